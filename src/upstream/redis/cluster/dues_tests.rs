//! Replies come in the order of the commands, whatever a node did not carry out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use super::*;

const NONCE: &str = "0123456789abcdef";
const PROBE: &str = "*2\r\n$6\r\nEXISTS\r\n$23\r\n{acme}:0123456789abcdef\r\n";

struct Talk {
    dues: Dues,
    out: BytesMut,
    ready: BytesMut,
}

impl Talk {
    fn new() -> Self {
        Self { dues: Dues::new(Bytes::from_static(b"{acme}:"), NONCE.into()), out: BytesMut::new(), ready: BytesMut::new() }
    }

    /// Says commands; what goes to the node, and how many of them were taken.
    fn say(&mut self, commands: &[&str]) -> (String, usize) {
        let mut input = BytesMut::new();
        for command in commands {
            encode::command(&mut input, &command.split(' ').collect::<Vec<_>>());
        }
        let mut taken = 0;
        while self.dues.take(&mut input, &mut self.out, 7).unwrap() {
            taken += 1;
        }
        (text(&mut self.out), taken)
    }

    /// The node says something, byte by byte; what the client hears.
    fn hear(&mut self, said: &str) -> String {
        let mut input = BytesMut::new();
        for byte in said.bytes() {
            input.extend_from_slice(&[byte]);
            self.dues.hear(&mut input, &mut self.ready).unwrap();
        }
        assert!(input.is_empty());
        text(&mut self.ready)
    }

    fn again(&mut self, replies: &[&str]) -> (Redirect, String) {
        assert!(self.dues.is_to_be_said_again());
        let again = self.dues.again().unwrap();
        assert_eq!(again.count, replies.len());
        self.dues.answer(replies.iter().map(|reply| reply.as_bytes().into()).collect(), 9, &mut self.ready).unwrap();
        (again.why, text(&mut self.ready))
    }
}

fn text(bytes: &mut BytesMut) -> String {
    String::from_utf8(bytes.split().to_vec()).unwrap()
}

#[test]
fn what_was_moved_is_said_again_in_its_turn() {
    let mut talk = Talk::new();
    assert_eq!(talk.say(&["GET a", "GET b", "PING", "GET c"]).1, 4);
    assert_eq!(talk.hear("$1\r\n1\r\n-MOVED 5 10.0.0.1:7000\r\n"), "$1\r\n1\r\n");
    // Nothing more is said before it is done.
    assert_eq!(talk.say(&["GET d"]), (String::new(), 0));
    assert!(!talk.dues.is_to_be_said_again());
    assert_eq!(talk.hear("+PONG\r\n-ASK 5 10.0.0.1:7000\r\n"), "");
    assert_eq!(talk.again(&["$1\r\n2\r\n"]), (Redirect::Moved, "$1\r\n2\r\n+PONG\r\n".into()));
    assert_eq!(talk.again(&["$-1\r\n"]), (Redirect::Ask, "$-1\r\n".into()));
    assert!(talk.dues.again().is_none());
    talk.dues.go_on();
    assert!(talk.dues.at_rest());
    assert_eq!(talk.say(&["GET d"]).1, 1);
}

#[test]
fn what_the_connection_holds_is_not_said_elsewhere() {
    let mut talk = Talk::new();
    talk.say(&["MULTI", "GET a", "EXEC", "GET b"]);
    assert_eq!(
        talk.hear("+OK\r\n-MOVED 5 10.0.0.1:7000\r\n-EXECABORT x\r\n"),
        "+OK\r\n-TRYAGAIN the keys are being moved\r\n-EXECABORT x\r\n"
    );
    assert!(!talk.dues.is_to_be_said_again());
    assert_eq!(talk.hear("$1\r\n1\r\n"), "$1\r\n1\r\n");
    assert!(talk.dues.at_rest());
    talk.say(&["WATCH a", "GET a"]);
    assert_eq!(talk.hear("+OK\r\n-ASK 5 x:1\r\n"), "+OK\r\n-TRYAGAIN the keys are being moved\r\n");
    assert!(!talk.dues.at_rest());
    talk.say(&["MULTI", "EXEC"]);
    assert_eq!(talk.hear("+OK\r\n-MOVED 5 x:1\r\n"), "+OK\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert!(talk.dues.at_rest());
}

#[test]
fn a_script_is_not_run_again_for_its_own_words() {
    let mut talk = Talk::new();
    talk.say(&["EVAL x 0", "EVAL x 0"]);
    assert_eq!(talk.hear("-TRYAGAIN me\r\n-CLUSTERDOWN me\r\n"), "-TRYAGAIN the keys are being moved\r\n".repeat(2));
    assert!(talk.dues.at_rest());
    talk.say(&["EVALSHA x 0"]);
    talk.hear("-MOVED 1 x:1\r\n");
    assert!(talk.dues.again().unwrap().is_script);
}

#[test]
fn a_page_counts_where_the_node_has_all_of_the_slot() {
    let mut talk = Talk::new();
    let (said, _) = talk.say(&["SCAN 0 MATCH {acme}:*"]);
    assert_eq!(said, format!("{PROBE}*4\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n$8\r\n{{acme}}:*\r\n{PROBE}"));
    let cursor = 5_u64 | 7 << 40;
    assert_eq!(talk.hear(":0\r\n*2\r\n$1\r\n5\r\n*1\r\n$1\r\na\r\n:0\r\n"), format!("*2\r\n$13\r\n{cursor}\r\n*1\r\n$1\r\na\r\n"));
    // Its own cursor goes on, that of another node begins anew.
    assert!(talk.say(&[&format!("SCAN {cursor}")]).0.contains("$4\r\nSCAN\r\n$1\r\n5\r\n"));
    assert_eq!(talk.hear(":0\r\n*2\r\n$1\r\n0\r\n*0\r\n:0\r\n"), "*2\r\n$1\r\n0\r\n*0\r\n");
    assert!(talk.say(&[&format!("SCAN {}", 5_u64 | 8 << 40)]).0.contains("$4\r\nSCAN\r\n$1\r\n0\r\n"));
    // The slot is on its way, or gone: what was found is not all.
    assert_eq!(talk.hear("-ASK 5 x:1\r\n*2\r\n$1\r\n0\r\n*0\r\n-ASK 5 x:1\r\n"), "-TRYAGAIN the keys are being moved\r\n");
    talk.say(&[&format!("SCAN {cursor}")]);
    assert_eq!(talk.hear(":0\r\n*2\r\n$1\r\n0\r\n*0\r\n-MOVED 5 x:1\r\n"), "-TRYAGAIN the keys are being moved\r\n");
    assert!(talk.dues.at_rest());
    // From the beginning it is asked elsewhere, and the cursor is then of that node.
    talk.say(&["SCAN 0", "PING"]);
    assert_eq!(talk.hear("-MOVED 5 x:1\r\n*2\r\n$1\r\n0\r\n*0\r\n-MOVED 5 x:1\r\n+PONG\r\n"), "");
    let (why, said) = talk.again(&[":0\r\n", "*2\r\n$1\r\n5\r\n*0\r\n", ":0\r\n"]);
    assert_eq!((why, said), (Redirect::Moved, format!("*2\r\n$13\r\n{}\r\n*0\r\n+PONG\r\n", 5_u64 | 9 << 40)));
}

#[test]
fn messages_pass_between_replies() {
    let mut talk = Talk::new();
    let (said, _) = talk.say(&["SUBSCRIBE {acme}:c", "PING"]);
    assert!(said.ends_with(&format!("*2\r\n$4\r\nPING\r\n$16\r\n{NONCE}\r\n")));
    let confirmed = "*3\r\n$9\r\nsubscribe\r\n$8\r\n{acme}:c\r\n:1\r\n";
    let message = "*3\r\n$7\r\nmessage\r\n$8\r\n{acme}:c\r\n$1\r\nx\r\n";
    assert_eq!(talk.hear(confirmed), confirmed);
    assert_eq!(talk.hear(&format!("{message}*2\r\n$4\r\npong\r\n$16\r\n{NONCE}\r\n{message}")), message.repeat(2));
    assert!(!talk.dues.at_rest() && talk.dues.hears_unasked());
    talk.say(&["PING"]);
    assert_eq!(talk.hear("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    talk.say(&["UNSUBSCRIBE"]);
    let over = "*3\r\n$11\r\nunsubscribe\r\n$8\r\n{acme}:c\r\n:0\r\n";
    assert_eq!(talk.hear(&format!("{over}$16\r\n{NONCE}\r\n")), over);
    assert!(talk.dues.at_rest());
    talk.say(&["HELLO 3", "CLIENT TRACKING ON", "GET a"]);
    let push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n";
    assert_eq!(
        talk.hear(&format!("%0\r\n+OK\r\n{push}-MOVED 5 x:1\r\n{push}")),
        format!("%0\r\n+OK\r\n{push}-TRYAGAIN the keys are being moved\r\n{push}")
    );
}

#[test]
fn a_long_command_passes_and_is_not_kept() {
    let mut talk = Talk::new();
    let mut input = BytesMut::from(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", 200 << 10).as_bytes());
    input.extend_from_slice(&vec![b'x'; 150 << 10]);
    while talk.dues.take(&mut input, &mut talk.out, 7).unwrap() {}
    assert!(input.is_empty() && talk.out.len() > 150 << 10 && !talk.dues.at_rest());
    input.extend_from_slice(&vec![b'x'; 50 << 10]);
    encode::command(&mut input, &["PING"]);
    input.clone_from(&[b"".as_slice(), &input[..50 << 10], b"\r\n", &input[50 << 10..]].concat().as_slice().into());
    while talk.dues.take(&mut input, &mut talk.out, 7).unwrap() {}
    assert!(talk.out.ends_with(b"*1\r\n$4\r\nPING\r\n"));
    assert_eq!(talk.hear("-MOVED 5 x:1\r\n+PONG\r\n"), "-TRYAGAIN the keys are being moved\r\n+PONG\r\n");
    assert!(talk.dues.at_rest());
}

#[test]
fn what_is_nobodys_breaks_the_connection() {
    let mut talk = Talk::new();
    assert!(talk.dues.hear(&mut BytesMut::from("+OK\r\n"), &mut talk.ready).is_err());
    let mut talk = Talk::new();
    talk.say(&["SCAN 0"]);
    assert!(talk.dues.hear(&mut BytesMut::from(":0\r\n+OK\r\n:0\r\n"), &mut talk.ready).is_err());
    let mut talk = Talk::new();
    assert!(talk.dues.take(&mut BytesMut::from("*2\r\n$4\r\nSCAN\r\n$1\r\nx\r\n"), &mut talk.out, 7).is_err());
}

/// A command of 200 names of 1 kB.
fn long(name: &str) -> BytesMut {
    let (mut input, filler) = (BytesMut::new(), "x".repeat(1000));
    let names: Vec<String> = (0..200).map(|n| format!("{{acme}}:{n}{filler}")).collect();
    encode::command(&mut input, &[&[name], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    input
}

/// All of it, in two parts.
fn take(talk: &mut Talk, mut whole: BytesMut) -> String {
    let mut input = whole.split_to(150 << 10);
    while talk.dues.take(&mut input, &mut talk.out, 7).unwrap() {}
    input.unsplit(whole);
    while talk.dues.take(&mut input, &mut talk.out, 7).unwrap() {}
    assert!(input.is_empty());
    text(&mut talk.out)
}

#[test]
fn a_long_command_is_known_by_its_first_words() {
    let mut talk = Talk::new();
    take(&mut talk, long("WATCH"));
    assert_eq!(talk.hear("+OK\r\n"), "+OK\r\n");
    assert!(!talk.dues.at_rest(), "it watches");
    talk.say(&["MULTI", "EXEC"]);
    assert_eq!(talk.hear("+OK\r\n-MOVED 5 x:1\r\n"), "+OK\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
    for resp in [Resp::Two, Resp::Three] {
        talk.dues.begin_anew(resp).unwrap();
        assert!(talk.dues.at_rest());
        assert!(take(&mut talk, long("SUBSCRIBE")).ends_with(&format!("*2\r\n$4\r\nPING\r\n$16\r\n{NONCE}\r\n")));
        let (kind, pong) = if resp == Resp::Two { ('*', "*2\r\n$4\r\npong\r\n") } else { ('>', "") };
        let confirmed = format!("{kind}3\r\n$9\r\nsubscribe\r\n$8\r\n{{acme}}:0\r\n:1\r\n");
        assert_eq!(talk.hear(&format!("{confirmed}{pong}$16\r\n{NONCE}\r\n")), confirmed);
        assert!(talk.dues.hears_unasked() && !talk.dues.at_rest());
    }
    let mut talk = Talk::new();
    talk.say(&["CLIENT TRACKING ON"]);
    talk.hear("+OK\r\n");
    assert!(talk.dues.take(&mut long("SCAN"), &mut talk.out, 7).is_err());
}

#[test]
fn another_connection_holds_nothing_of_the_last() {
    let mut talk = Talk::new();
    talk.dues.begin_anew(Resp::Three).unwrap();
    talk.say(&["SUBSCRIBE {acme}:c"]);
    let confirmed = ">3\r\n$9\r\nsubscribe\r\n$8\r\n{acme}:c\r\n:1\r\n";
    // No HELLO went by: the connection spoke so from its beginning.
    assert_eq!(talk.hear(&format!("{confirmed}$16\r\n{NONCE}\r\n")), confirmed);
    assert!(talk.dues.hears_unasked());
    talk.say(&["UNSUBSCRIBE"]);
    let over = ">3\r\n$11\r\nunsubscribe\r\n$8\r\n{acme}:c\r\n:0\r\n";
    assert_eq!(talk.hear(over), over);
    // The session has heard all, and leaves before the answer to the fence.
    assert!(talk.dues.begin_anew(Resp::Two).unwrap());
    assert!(talk.dues.at_rest());
    talk.say(&["GET a"]);
    assert!(talk.dues.begin_anew(Resp::Two).is_err());
}
