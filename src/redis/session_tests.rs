//! Conversations: what the client says, what goes upstream, what comes back, in order and however it is cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;
use crate::redis::cases::{names, setup};
use crate::redis::inline;
use crate::redis::line::Line;
use crate::redis::tenant::Number;
use crate::session::Session as _;
use std::sync::Arc;

struct Talk {
    session: Session,
    client: BytesMut,
    upstream: BytesMut,
    turn: Turn,
    closed: Option<Close>,
}

impl Talk {
    fn new() -> Self {
        Self::over(None)
    }

    fn over(line: Option<Arc<Line>>) -> Self {
        let setup = Setup { id: 7, line, ..setup() };
        Self { session: Session::new(setup), client: BytesMut::new(), upstream: BytesMut::new(), turn: Turn::default(), closed: None }
    }

    /// The client says lines; what goes upstream, as lines.
    fn say(&mut self, lines: &str) -> String {
        for line in lines.split(';') {
            let words = inline::split(line.as_bytes()).unwrap();
            self.client.extend_from_slice(&Request::new(&words).encoded());
        }
        self.closed = self.session.from_client(&mut self.client, &mut self.turn).err();
        self.sent()
    }

    fn sent(&mut self) -> String {
        let (mut scanner, mut out, mut lines) = (Scanner::default(), self.turn.to_upstream.split(), Vec::new());
        while let Some(request) = scanner.scan(&mut out, &Limits::TENANT).unwrap() {
            let words: Vec<_> = request.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
            // A mark is echoed by itself.
            if words.len() != 2 || words[0] != "ECHO" || words[1].len() != 16 {
                lines.push(words.join(" "));
            }
        }
        assert!(out.is_empty());
        lines.join(";")
    }

    /// What upstream says where a mark is due.
    fn echo(&mut self) {
        while let Some(Awaited::Mark(mark)) = self.session.awaited.front() {
            let mut asked = BytesMut::new();
            mark.ask(&mut asked);
            let echo = asked.strip_prefix(b"*2\r\n$4\r\nECHO\r\n").unwrap();
            self.upstream.extend_from_slice(echo);
            self.session.from_upstream(&mut self.upstream, &mut self.turn).unwrap();
        }
    }

    /// Upstream says bytes, one by one; what the client hears.
    fn hear(&mut self, bytes: &str) -> String {
        for byte in bytes.bytes() {
            self.echo();
            self.upstream.extend_from_slice(&[byte]);
            if let Err(close) = self.session.from_upstream(&mut self.upstream, &mut self.turn) {
                self.closed = Some(close);
                break;
            }
            if self.session.wants_client() && !self.client.is_empty() {
                self.closed = self.session.from_client(&mut self.client, &mut self.turn).err();
            }
        }
        self.echo();
        self.heard()
    }

    fn heard(&mut self) -> String {
        String::from_utf8_lossy(&self.turn.to_client.split()).replace("\r\n", " ").trim_end().to_owned()
    }
}

#[test]
fn replies_keep_their_order() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("GET a;CLIENT ID;FOO;GET b"), "GET acme:a;GET acme:b");
    assert_eq!(talk.heard(), "");
    assert_eq!(talk.hear("$1\r\nx\r\n"), "$1 x :7 -ERR unknown command 'FOO', with args beginning with:");
    assert!(!talk.session.at_rest());
    assert_eq!(talk.hear("$-1\r\n"), "$-1");
    assert!(talk.session.at_rest() && talk.closed.is_none());
}

#[test]
fn a_transaction_answers_in_place() {
    let mut talk = Talk::new();
    assert_eq!(
        talk.say("MULTI;SET a 1;CLIENT ID;SORT a bad;KEYS *;DBSIZE;EXEC"),
        "MULTI;SET acme:a 1;PING;PING;KEYS acme:*;KEYS acme:*;EXEC"
    );
    let queued = "+QUEUED\r\n".repeat(5);
    assert_eq!(talk.hear(&format!("+OK\r\n{queued}")), "+OK +QUEUED +QUEUED +QUEUED +QUEUED +QUEUED");
    let exec = "*5\r\n+OK\r\n+PONG\r\n+PONG\r\n*1\r\n$6\r\nacme:a\r\n*1\r\n$6\r\nacme:a\r\n";
    assert_eq!(talk.hear(exec), "*5 +OK :7 -ERR syntax error *1 $1 a :1");
}

#[test]
fn a_refusal_within_a_transaction_spoils_it() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("MULTI;MONITOR;SET a 1;EXEC;EXEC;DISCARD;MULTI;MULTI;WATCH k"), "MULTI;SET acme:a 1;DISCARD;MULTI");
    let heard = talk.hear("+OK\r\n+QUEUED\r\n+OK\r\n+OK\r\n");
    let words = "+OK -NOPERM this user has no permissions to run the 'monitor' command +QUEUED \
        -EXECABORT Transaction discarded because of previous errors. -ERR EXEC without MULTI -ERR DISCARD without MULTI \
        +OK -ERR MULTI calls can not be nested -ERR WATCH inside MULTI is not allowed";
    assert_eq!(heard, words);
}

#[test]
fn subscriptions_and_messages() {
    let mut talk = Talk::new();
    // What GET is, is known once the client listens, or does not.
    assert_eq!(talk.say("SUBSCRIBE a b;GET x"), "SUBSCRIBE acme:a acme:b");
    assert_eq!(talk.hear("*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:a\r\n:1\r\n"), "*3 $9 subscribe $1 a :1");
    assert_eq!(talk.hear("*3\r\n$7\r\nmessage\r\n$6\r\nacme:a\r\n$6\r\nacme:v\r\n"), "*3 $7 message $1 a $6 acme:v");
    let heard = talk.hear("*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:b\r\n:2\r\n");
    assert!(heard.starts_with("*3 $9 subscribe $1 b :2 -ERR Can't execute 'get'"), "{heard}");
    assert_eq!(talk.say("PSUBSCRIBE p*"), "PSUBSCRIBE acme:p*");
    assert_eq!(talk.hear("*3\r\n$10\r\npsubscribe\r\n$7\r\nacme:p*\r\n:3\r\n"), "*3 $10 psubscribe $2 p* :3");
    assert_eq!(talk.hear("*4\r\n$8\r\npmessage\r\n$7\r\nacme:p*\r\n$7\r\nacme:pq\r\n$1\r\nm\r\n"), "*4 $8 pmessage $2 p* $2 pq $1 m");
    assert_eq!(talk.say("PING;UNSUBSCRIBE;PUNSUBSCRIBE;LRANGE l 0 -1"), "PING;UNSUBSCRIBE;PUNSUBSCRIBE;LRANGE acme:l 0 -1");
    assert_eq!(talk.hear("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), "*2 $4 pong $0");
    let gone = "*3\r\n$11\r\nunsubscribe\r\n$6\r\nacme:a\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$6\r\nacme:b\r\n:1\r\n";
    assert_eq!(talk.hear(gone), "*3 $11 unsubscribe $1 a :2 *3 $11 unsubscribe $1 b :1");
    assert_eq!(talk.hear("*3\r\n$12\r\npunsubscribe\r\n$7\r\nacme:p*\r\n:0\r\n"), "*3 $12 punsubscribe $2 p* :0");
    // A list that looks like a message is a list.
    assert_eq!(talk.hear("*3\r\n$7\r\nmessage\r\n$6\r\nacme:a\r\n$1\r\nv\r\n"), "*3 $7 message $6 acme:a $1 v");
    assert!(talk.closed.is_none());
}

#[test]
fn resp3_has_pushes_between_replies() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("HELLO 3;SUBSCRIBE a;GET k"), "HELLO 3;SUBSCRIBE acme:a;GET acme:k");
    let heard = talk.hear("%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
    assert_eq!(
        heard,
        "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :7 $4 mode $10 standalone $4 role $6 master $7 modules *0"
    );
    assert_eq!(talk.hear(">3\r\n$9\r\nsubscribe\r\n$6\r\nacme:a\r\n:1\r\n"), ">3 $9 subscribe $1 a :1");
    assert_eq!(talk.hear(">3\r\n$7\r\nmessage\r\n$6\r\nacme:a\r\n$1\r\nv\r\n$1\r\nx\r\n"), ">3 $7 message $1 a $1 v $1 x");
    assert!(talk.closed.is_none());
}

#[test]
fn hello_refuses_as_the_server_does() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("HELLO 4;HELLO x;HELLO 3 SETNAME \"a b\";HELLO 3 AUTH globex x;AUTH globex x;AUTH x;AUTH acme x"), "");
    let heard = talk.heard();
    for words in [
        "-NOPROTO unsupported protocol version",
        "-ERR Protocol version is not an integer",
        "-ERR Client names cannot",
        "-WRONGPASS invalid username-password pair or user is disabled. -WRONGPASS",
        "-ERR AUTH <password> called without any password",
    ] {
        assert!(heard.contains(words), "{heard}");
    }
    assert!(heard.ends_with("+OK"));
}

#[test]
fn reset_never_reaches_upstream() {
    let mut talk = Talk::new();
    talk.say("SUBSCRIBE a");
    talk.hear("*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:a\r\n:1\r\n");
    assert_eq!(talk.say("RESET;GET k"), "UNSUBSCRIBE;UNWATCH;SELECT 0;CLIENT TRACKING OFF;GET acme:k");
    assert_eq!(talk.hear("*3\r\n$11\r\nunsubscribe\r\n$6\r\nacme:a\r\n:0\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\nv\r\n"), "+RESET $1 v");
    assert!(talk.closed.is_none());
}

#[test]
fn tracking_is_of_own_keys() {
    let mut talk = Talk::new();
    talk.say("HELLO 3");
    talk.hear("%1\r\n+a\r\n+b\r\n");
    let sent = talk.say(
        "CLIENT TRACKING ON BCAST;CLIENT TRACKING ON BCAST PREFIX acme: PREFIX \"\";CLIENT TRACKING ON REDIRECT 5;CLIENT TRACKINGINFO",
    );
    assert_eq!(sent, "CLIENT TRACKING ON BCAST PREFIX acme:;CLIENT TRACKING ON BCAST PREFIX acme:acme: PREFIX acme:;CLIENT TRACKINGINFO");
    assert_eq!(talk.hear(">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nacme:k\r\n+OK\r\n"), ">2 $10 invalidate *1 $1 k +OK");
    let overlap =
        "-ERR Prefix 'acme:acme:' overlaps with another provided prefix 'acme:'. Prefixes for a single client must not overlap.\r\n";
    let words = "-ERR Prefix 'acme:' overlaps with another provided prefix ''. Prefixes for a single client must not overlap. \
        -ERR The client ID you want redirect to does not exist";
    assert_eq!(talk.hear(overlap), words);
    let info = "%3\r\n$5\r\nflags\r\n~1\r\n$2\r\non\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n$5\r\nacme:\r\n";
    assert!(talk.hear(info).ends_with("$8 prefixes *1 $0"));
    talk.hear(">2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\nglobex:k\r\n");
    assert_eq!(talk.closed, Some(Close::UpstreamBroke("a name of somebody else")));
}

#[test]
fn invalidations_go_to_own_connections_only() {
    let mut talk = Talk::new();
    talk.session.setup.peers.join(8, Number { id: 88, run: 1 }, "127.0.0.1:8".into());
    let sent = talk.say(
        "CLIENT TRACKING ON REDIRECT 88;CLIENT TRACKING ON REDIRECT 8 REDIRECT 8;CLIENT TRACKING ON REDIRECT -8;\
         CLIENT TRACKING ON REDIRECT 8 BCAST;CLIENT TRACKINGINFO;CLIENT GETREDIR",
    );
    assert_eq!(sent, "CLIENT TRACKING ON BCAST REDIRECT 88 PREFIX acme:;CLIENT TRACKINGINFO;CLIENT GETREDIR");
    let nobody = "-ERR The client ID you want redirect to does not exist";
    assert_eq!(talk.heard(), format!("{nobody} -ERR A client can only redirect to a single other client {nobody}"));
    let info = "*6\r\n$5\r\nflags\r\n*1\r\n$2\r\non\r\n$8\r\nredirect\r\n:88\r\n$8\r\nprefixes\r\n*1\r\n$5\r\nacme:\r\n";
    assert_eq!(talk.hear(&format!("+OK\r\n{info}:88\r\n")), "+OK *6 $5 flags *1 $2 on $8 redirect :8 $8 prefixes *1 $0  :8");
    // What upstream says of none is as it is.
    assert_eq!(talk.say("CLIENT TRACKING OFF;CLIENT GETREDIR"), "CLIENT TRACKING OFF;CLIENT GETREDIR");
    assert_eq!(talk.hear("+OK\r\n:-1\r\n"), "+OK :-1");
    // A prefix may be called so.
    assert_eq!(talk.say("CLIENT TRACKING ON BCAST PREFIX redirect"), "CLIENT TRACKING ON BCAST PREFIX acme:redirect");
    assert_eq!(talk.hear("+OK\r\n"), "+OK");
}

#[test]
fn a_connection_that_is_gone_is_told_by_its_own_number() {
    let mut talk = Talk::new();
    talk.session.setup.peers.join(8, Number { id: 88, run: 1 }, "127.0.0.1:8".into());
    talk.say("HELLO 3");
    talk.hear("%1\r\n+a\r\n+b\r\n");
    talk.say("CLIENT TRACKING ON REDIRECT 8");
    assert_eq!(talk.hear("+OK\r\n>2\r\n$21\r\ntracking-redir-broken\r\n:88\r\n"), "+OK >2 $21 tracking-redir-broken :8");
    assert!(talk.closed.is_none());
}

#[test]
fn clients_are_the_tenants_own() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("CLIENT UNBLOCK 77;CLIENT UNBLOCK 7 ERROR;CLIENT KILL ID 77"), "CLIENT UNBLOCK 77 ERROR");
    assert_eq!(talk.heard(), ":0");
    assert_eq!(talk.hear(":0\r\n"), ":0 :0");
    talk.session.setup.peers.join(8, Number { id: 78, run: 1 }, "127.0.0.1:8".into());
    assert_eq!(talk.say("CLIENT KILL ID 7;CLIENT KILL 127.0.0.1:1;CLIENT KILL SKIPME no"), "CLIENT KILL ID 78 SKIPME no");
    // First the others, then itself.
    assert_eq!(talk.hear(":1\r\n"), ":0 -ERR No such client :2");
    assert_eq!(talk.closed, Some(Close::Bye));
}

#[test]
fn walks_hold_the_client() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("DBSIZE;SET a 1"), "SCAN 0 MATCH acme:* COUNT 1000");
    assert!(!talk.session.wants_client());
    assert_eq!(talk.hear("*2\r\n$1\r\n9\r\n*2\r\n$6\r\nacme:a\r\n$6\r\nacme:b\r\n"), "");
    assert_eq!(talk.sent(), "SCAN 9 MATCH acme:* COUNT 1000");
    // The server may name a key twice.
    assert_eq!(talk.hear("*2\r\n$1\r\n0\r\n*1\r\n$6\r\nacme:b\r\n"), ":2");
    assert_eq!(talk.sent(), "SET acme:a 1");
    assert_eq!(talk.hear("+OK\r\n"), "+OK");

    assert_eq!(talk.say("FLUSHDB"), "SCAN 0 MATCH acme:* COUNT 1000");
    talk.hear("*2\r\n$1\r\n0\r\n*2\r\n$6\r\nacme:a\r\n$6\r\nacme:b\r\n");
    assert_eq!(talk.sent(), "UNLINK acme:a acme:b");
    assert_eq!(talk.hear(":2\r\n"), "+OK");

    assert_eq!(talk.say("FLUSHALL ASYNC"), "CLIENT INFO");
    talk.hear("$8\r\nx=1 db=3\r\n");
    assert_eq!(talk.sent(), "SELECT 0");
    talk.hear("+OK\r\n");
    assert_eq!(talk.sent(), "SCAN 0 MATCH acme:* COUNT 1000");
    talk.hear("*2\r\n$1\r\n0\r\n*0\r\n");
    assert_eq!(talk.sent(), "SELECT 1");
    talk.hear("-ERR DB index is out of range\r\n");
    assert_eq!(talk.sent(), "SELECT 3");
    assert_eq!(talk.hear("+OK\r\n"), "+OK");
}

#[test]
fn scan_goes_on_while_others_fill_the_pages() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("SCAN 0 MATCH a* COUNT 1"), "SCAN 0 MATCH acme:a* COUNT 1");
    talk.hear("*2\r\n$1\r\n7\r\n*0\r\n");
    assert_eq!(talk.sent(), "SCAN 7 MATCH acme:a* COUNT 1000");
    let heard = talk.hear("*2\r\n$2\r\n11\r\n*1\r\n$6\r\nacme:a\r\n");
    let hidden = heard.split(' ').nth(2).unwrap().to_owned();
    assert_ne!(hidden, "11");
    assert_eq!(talk.say(&format!("SCAN {hidden}")), "SCAN 11 MATCH acme:* COUNT 10");
}

/// Redis 7.0 writes it so; 7.2 behind the reply.
#[test]
fn messages_within_a_reply_are_messages() {
    let mut talk = Talk::new();
    talk.say("HELLO 3;SUBSCRIBE ch;MULTI;PUBLISH ch m;ZPOPMIN z;RANDOMKEY;EXEC;GET k");
    talk.hear("%1\r\n+a\r\n+b\r\n>3\r\n$9\r\nsubscribe\r\n$7\r\nacme:ch\r\n:1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    let message = ">3\r\n$7\r\nmessage\r\n$7\r\nacme:ch\r\n$1\r\nm\r\n";
    let heard = talk.hear(&format!("*3\r\n{message}:1\r\n*2\r\n{message}$1\r\na\r\n,1\r\n{message}$6\r\nacme:k\r\n$1\r\nv\r\n"));
    let message = ">3 $7 message $2 ch $1 m";
    assert_eq!(heard, format!("*3 {message} :1 *2 {message} $1 a ,1 {message} $1 k $1 v"));
    assert!(talk.closed.is_none() && talk.session.at_rest());
    // Nothing but a message of a known kind, and whole.
    for said in [">2\r\n+x\r\n+y\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", ">3\r\n$7\r\nmessage\r\n>1\r\n"] {
        let mut talk = Talk::new();
        talk.say("HELLO 3;LRANGE l 0 -1");
        talk.hear(&format!("%1\r\n+a\r\n+b\r\n*2\r\n{said}"));
        assert!(matches!(talk.closed, Some(Close::UpstreamBroke(_))), "{said}");
    }
}

#[test]
fn broken_protocol_ends_after_what_is_due() {
    let mut talk = Talk::new();
    talk.say("GET a");
    talk.client.extend_from_slice(b"*1\r\nPING\r\n");
    assert!(talk.session.from_client(&mut talk.client, &mut talk.turn).is_ok());
    assert_eq!(talk.hear("$1\r\nx\r\n"), "$1 x -ERR Protocol error: expected '$', got 'P'");
    assert_eq!(talk.closed, Some(Close::ClientBroke("protocol error")));

    let mut talk = Talk::new();
    talk.say("QUIT;GET a");
    assert_eq!((talk.heard().as_str(), talk.closed), ("+OK", Some(Close::Bye)));
}

#[test]
fn upstream_that_breaks_ends_it() {
    for said in ["$8\r\nglobex:k\r\n", "?\r\n", ">2\r\n+x\r\n+y\r\n"] {
        let mut talk = Talk::new();
        talk.say("MULTI;RANDOMKEY;EXEC");
        talk.hear("+OK\r\n+QUEUED\r\n");
        talk.hear(&format!("*1\r\n{said}"));
        assert!(matches!(talk.closed, Some(Close::UpstreamBroke(_))), "{said}");
    }
    let mut talk = Talk::new();
    talk.hear("+OK\r\n");
    assert_eq!(talk.closed, Some(Close::UpstreamBroke("a reply to nothing")));
}

#[test]
fn a_large_value_passes_without_being_kept() {
    let mut talk = Talk::new();
    talk.client.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000000\r\n");
    let mut sent = 0;
    for _ in 0..1000 {
        talk.session.from_client(&mut talk.client, &mut talk.turn).unwrap();
        sent += talk.turn.to_upstream.split().len();
        assert!(talk.client.is_empty());
        talk.client.extend_from_slice(&[b'v'; 1000]);
    }
    assert_eq!(sent, 999 * 1000 + "*3\r\n$3\r\nSET\r\n$6\r\nacme:k\r\n$300000000\r\n".len());
    assert!(!talk.session.at_rest());
}

#[test]
fn a_revoked_tenant_ends() {
    let mut talk = Talk::new();
    talk.session.renew(Some(names()));
    assert_eq!(talk.say("GET a"), "GET acme:a");
    talk.session.renew(None);
    assert_eq!(talk.say("GET a"), "");
    assert_eq!(talk.hear("$1\r\nx\r\n"), "$1 x -NOAUTH Authentication required.");
    assert!(talk.closed.is_some());
}

#[path = "session/renewal_tests.rs"]
mod renewal;

/// A client whose connections upstream are shared: what it says, which way it goes then, and what upstream says; in turn.
#[test]
fn a_client_has_a_connection_of_its_own_while_it_holds_something() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        // What upstream hears, what it answers; then the way: `own` or `shared`.
        ("GET k", &[("GET acme:k", "$-1\r\n"), ("shared", "")]),
        ("MULTI;SET k v;EXEC", &[("MULTI;SET acme:k v;EXEC", "+OK\r\n+QUEUED\r\n"), ("own", "*1\r\n+OK\r\n"), ("shared", "")]),
        ("WATCH k", &[("WATCH acme:k", "+OK\r\n"), ("own", "")]),
        ("WATCH k;UNWATCH", &[("WATCH acme:k;UNWATCH", "+OK\r\n"), ("own", "+OK\r\n"), ("shared", "")]),
        ("WATCH k;MULTI;DISCARD", &[("WATCH acme:k;MULTI;DISCARD", "+OK\r\n+OK\r\n"), ("own", "+OK\r\n"), ("shared", "")]),
        ("BLPOP q 0", &[("BLPOP acme:q 0", ""), ("own", "*-1\r\n"), ("shared", "")]),
        ("XREAD BLOCK 0 STREAMS s $", &[("XREAD BLOCK 0 STREAMS acme:s $", ""), ("own", "*-1\r\n"), ("shared", "")]),
        ("XREAD STREAMS s 0", &[("XREAD STREAMS acme:s 0", ""), ("shared", "*-1\r\n"), ("shared", "")]),
        ("SELECT 1;SELECT 0", &[("SELECT 1;SELECT 0", "+OK\r\n+OK\r\n"), ("own", "")]),
        ("SELECT 0", &[("", ""), ("shared", "")]),
        ("CLIENT TRACKING ON;CLIENT TRACKING OFF", &[("CLIENT TRACKING ON;CLIENT TRACKING OFF", "+OK\r\n+OK\r\n"), ("own", "")]),
        ("CLIENT NO-TOUCH ON", &[("CLIENT NO-TOUCH ON", "+OK\r\n"), ("own", "")]),
        ("WAIT 1 0", &[("WAIT 1 0", ""), ("own", ":0\r\n"), ("shared", "")]),
        ("SUBSCRIBE c", &[("SUBSCRIBE acme:c", "*3\r\n$9\r\nsubscribe\r\n$6\r\nacme:c\r\n:1\r\n"), ("own", "")]),
        ("HELLO 3", &[("", ""), ("shared", "")]),
        ("RESET", &[("", ""), ("shared", "")]),
        ("BLPOP q", &[("", ""), ("shared", "")]),
    ];
    for (said, steps) in cases {
        let line = Arc::new(Line::default());
        let mut talk = Talk::over(Some(line.clone()));
        let (first, rest) = steps.split_first().unwrap();
        assert_eq!(talk.say(said), first.0, "{said}");
        talk.hear(first.1);
        for (way, answer) in rest {
            assert_eq!(if line.is_own() { "own" } else { "shared" }, *way, "{said}");
            talk.hear(answer);
        }
        assert_eq!(talk.closed, None, "{said}");
    }
}

#[test]
fn another_way_is_taken_only_when_nothing_is_under_way() {
    let line = Arc::new(Line::default());
    let mut talk = Talk::over(Some(line.clone()));
    assert_eq!(talk.say("GET a;MULTI;GET b;EXEC;GET c"), "GET acme:a");
    assert!(!line.is_own() && !talk.session.wants_client());
    assert_eq!(talk.hear("$1\r\n1\r\n"), "$1 1");
    assert!(line.is_own());
    assert_eq!(talk.sent(), "MULTI;GET acme:b;EXEC;GET acme:c");
    assert_eq!(talk.hear("+OK\r\n+QUEUED\r\n*1\r\n$1\r\n2\r\n"), "+OK +QUEUED *1 $1 2");
    assert!(line.is_own(), "a reply is due");
    assert_eq!(talk.hear("$1\r\n3\r\n"), "$1 3");
    assert!(!line.is_own());
    // Another protocol is another shared connection.
    assert_eq!(talk.say("GET a;HELLO 3;GET b"), "GET acme:a");
    assert_eq!(line.way(), Way::Shared(Resp::Two));
    assert!(talk.hear("$1\r\n1\r\n").starts_with("$1 1 %7"));
    assert_eq!((line.way(), talk.sent().as_str()), (Way::Shared(Resp::Three), "GET acme:b"));
    assert_eq!(talk.hear("_\r\n"), "_");
    assert_eq!(talk.say("MULTI"), "MULTI");
    assert_eq!(line.way(), Way::Own(Resp::Three));
}

#[test]
fn what_is_large_goes_its_own_way() {
    let line = Arc::new(Line::default());
    let mut talk = Talk::over(Some(line.clone()));
    // One that is long, for once.
    let long = "v".repeat(70_000);
    assert_eq!(talk.say(&format!("GET a;SET k {long}")), "GET acme:a");
    talk.hear("$-1\r\n");
    assert!(line.is_own() && talk.sent().starts_with("SET acme:k vvv"));
    talk.hear("+OK\r\n");
    assert!(!line.is_own());
    // One that is longer than what is kept of one.
    talk.client.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000\r\nvv");
    talk.session.from_client(&mut talk.client, &mut talk.turn).unwrap();
    assert_eq!(talk.sent(), "GET acme:a");
    talk.hear("$-1\r\n");
    assert!(line.is_own() && talk.turn.to_upstream.starts_with(b"*3\r\n$3\r\nSET\r\n$6\r\nacme:k\r\n$2000000\r\nvv"));
    // After a large reply all, for good; and all of a tenant that has many.
    let line = Arc::new(Line::default());
    let mut talk = Talk::over(Some(line.clone()));
    line.set_large();
    talk.say("GET k");
    talk.hear("$-1\r\n");
    assert!(line.is_own());
    let line = Arc::new(Line::default());
    let mut talk = Talk::over(Some(line.clone()));
    talk.session.setup.peers.add_large(crate::redis::tenant::LARGE_MAX);
    assert_eq!(talk.say("GET k"), "GET acme:k");
    assert!(line.is_own());
}

#[test]
fn notifications_are_of_own_keys() {
    let mut talk = Talk::new();
    let sent = talk.say("SUBSCRIBE __keyevent@0__:del __keyspace@0__:k;PSUBSCRIBE __keyspace@*__:k*");
    assert_eq!(sent, "SUBSCRIBE __keyevent@0__:del __keyspace@0__:acme:k;PSUBSCRIBE __keyspace@*__:acme:k*");
    talk.hear("*3\r\n$9\r\nsubscribe\r\n$18\r\n__keyevent@0__:del\r\n:1\r\n");
    let heard = talk.hear("*3\r\n$9\r\nsubscribe\r\n$21\r\n__keyspace@0__:acme:k\r\n:2\r\n");
    assert_eq!(heard, "*3 $9 subscribe $16 __keyspace@0__:k :2");
    let heard = talk.hear("*3\r\n$10\r\npsubscribe\r\n$22\r\n__keyspace@*__:acme:k*\r\n:3\r\n");
    assert_eq!(heard, "*3 $10 psubscribe $17 __keyspace@*__:k* :3");
    let event = |key: &str| format!("*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:del\r\n${}\r\n{key}\r\n", key.len());
    assert_eq!(talk.hear(&event("acme:k")), "*3 $7 message $18 __keyevent@0__:del $1 k");
    for other in ["globex:k", "acm", "", "globex:acme:k"] {
        assert_eq!(talk.hear(&event(other)), "", "{other}");
    }
    let by_pattern = |channel: &str| {
        format!("*4\r\n$8\r\npmessage\r\n$22\r\n__keyspace@*__:acme:k*\r\n${}\r\n{channel}\r\n$3\r\ndel\r\n", channel.len())
    };
    let own = talk.hear(&by_pattern("__keyspace@3__:acme:kk"));
    assert_eq!(own, "*4 $8 pmessage $17 __keyspace@*__:k* $17 __keyspace@3__:kk $3 del");
    assert_eq!(talk.hear(&by_pattern("__keyspace@3__:globex:__:acme:kk")), "");
    assert!(talk.closed.is_none());
    // Nothing but that is dropped.
    talk.hear("*3\r\n$7\r\nmessage\r\n$8\r\nglobex:n\r\n$1\r\nx\r\n");
    assert!(talk.closed.is_some());
}

#[test]
fn an_unknown_command_shows_nothing_that_was_sent() {
    let mut talk = Talk::new();
    assert_eq!(talk.say("VADD k v;GET k"), "VADD acme:k v;GET acme:k");
    let error = "-ERR unknown command 'VADD', with args beginning with: 'acme:k' 'v' \r\n";
    assert_eq!(talk.hear(error), "-ERR unknown command 'VADD', with args beginning with:");
    // As 6.2 has it, and other errors that begin so.
    assert_eq!(talk.hear("-ERR unknown\r\n"), "-ERR unknown");
    talk.say("MULTI;VADD k v;EXEC");
    talk.hear("+OK\r\n");
    let error = "-ERR unknown command `VADD`, with args beginning with: `acme:k`, `v`, \r\n";
    assert_eq!(talk.hear(error), "-ERR unknown command `VADD`, with args beginning with:");
}
