//! `backstop: acl`: each tenant's connections are a user of its own on the server, which refuses by itself what the wall should have missed; and everything
//! that tenants do works as without.

use super::redis::{Client, POLICY, play_where};
use super::support::{Redis, Wall, eventually};

/// A server, and the wall before it, whose tenants have users of their own there.
pub fn start(upstream: &str) -> (Redis, Wall) {
    let redis = Redis::start();
    let wall = wall(&redis, upstream, &policy(), &[]).unwrap();
    (redis, wall)
}

/// `upstream` are further keys of the upstream.
fn wall(redis: &Redis, upstream: &str, policy: &str, env: &[(&str, &str)]) -> Result<Wall, String> {
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}'{upstream} }}\npolicies: policies/\nadmin: 127.0.0.1:0\n",
        redis.port
    );
    Wall::attempt_in(&config, &[("test.yaml", policy)], env)
}

/// With users of the server's.
pub fn policy() -> String {
    POLICY.replace("redis: { prefix: '{tenant}:',", "redis: { prefix: '{tenant}:', backstop: acl, scripts: with_backstop,")
}

const WAYS: [&str; 2] = ["", ", multiplex: { connections: 1 }"];
/// Users are removed soon.
const SOON: &[(&str, &str)] = &[("PARTYWALL_TEST_BACKSTOP_IDLE_MS", "200")];

/// The names of the wall's users of the server that end so.
fn users(server: &mut Client, end: &str) -> Vec<String> {
    let all = server.ask("ACL USERS");
    let names = all.trim_matches(['[', ']']).split(' ').map(|name| name.trim_matches('"').to_owned());
    names.filter(|name| name.starts_with("partywall:") && name.ends_with(end)).collect()
}

fn quiet(wall: &Wall) {
    assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
}

#[test]
fn tenants_talk_as_without_a_backstop() {
    for upstream in WAYS {
        let redis = Redis::start();
        let wall = wall(&redis, upstream, &policy(), &[]).unwrap();
        // In scripts the server refuses these two (docs/REDIS.md).
        play_where(&redis, &wall, |line| !line.contains("call('georadius'") && !line.contains("call('sort','l','by'"));
        quiet(&wall);
        let mut server = Client::connect(redis.port);
        assert_eq!(users(&mut server, ":acme").len(), 1, "{upstream}");
        // Nothing that a tenant did here was refused by the server but what each says of itself.
        let log = server.ask("ACL LOG 100");
        assert!(!log.contains("globex:") && !log.contains("acme:"), "{log}");
    }
}

/// What a connection as acme's own user tries, past the wall; each is refused by the server.
const ATTACKS: &[&str] = &[
    "GET globex:k",
    "SET globex:k x",
    "DEL globex:k",
    "RENAME acme:k globex:k",
    "COPY globex:k acme:stolen",
    "MGET acme:k globex:k",
    "BITOP AND acme:x globex:k",
    "SORT acme:l STORE globex:k",
    "SORT acme:l BY globex:w_*",
    "SORT acme:l GET globex:*",
    "SORT globex:l",
    "GEORADIUS acme:g 0 0 1 m STORE acme:x STORE globex:k",
    "XREADGROUP NOACK GROUP g STREAMS STREAMS globex:s >",
    "LMPOP 2 acme:nothing globex:l LEFT",
    "OBJECT ENCODING globex:k",
    "DUMP globex:k",
    "MOVE globex:k 1",
    "EVAL \"return redis.call('GET','globex:k')\" 0",
    "EVAL \"return redis.call('SET','globex:k','x')\" 0",
    "EVAL \"return redis.call('PUBLISH','globex:c','x')\" 0",
    "EVAL \"redis.call('SELECT',0) return redis.call('FLUSHDB')\" 0",
    "EVAL \"return redis.call('SORT','acme:l','GET','globex:*')\" 0",
    "PUBLISH globex:c x",
    "SPUBLISH globex:c x",
    "SUBSCRIBE globex:c",
    "SSUBSCRIBE globex:c",
    "SUBSCRIBE __keyspace@0__:globex:k",
    "SET common:rate 8",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "RANDOMKEY",
    "DBSIZE",
    "INFO",
    "MONITOR",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "ACL USERS",
    "ACL SETUSER x on",
    "CLIENT LIST",
    "CLIENT PAUSE 1",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "FUNCTION FLUSH",
    "FUNCTION DUMP",
    "MIGRATE 127.0.0.1 1 acme:k 0 1",
    "REPLICAOF NO ONE",
    "SAVE",
    "SLOWLOG GET",
    "MODULE LIST",
    "SHUTDOWN NOSAVE",
];

#[test]
fn the_server_itself_refuses_what_the_wall_would_have_missed() {
    let redis = Redis::start();
    let wall = wall(&redis, "", &policy(), &[]).unwrap();
    let (mut acme, mut server) = (Client::of(wall.port("redis"), "acme"), Client::connect(redis.port));
    assert_eq!(acme.ask("SET k mine"), "OK");
    for set in ["MSET globex:k yours common:rate 7", "RPUSH globex:l 1 2", "RPUSH acme:l 1 2"] {
        server.ask(set);
    }
    let name = users(&mut server, ":acme").pop().unwrap();
    // Its password nobody knows: it is given another one beside.
    assert_eq!(server.ask(&format!("ACL SETUSER {name} >known")), "OK");
    let mut past = Client::connect(redis.port);
    assert_eq!(past.ask(&format!("AUTH {name} known")), "OK");
    assert_eq!(past.ask("GET acme:k"), "\"mine\"");
    assert_eq!(past.ask("GET common:rate"), "\"7\"");
    for attack in ATTACKS {
        let said = past.ask(attack);
        let refused =
            said.starts_with("!NOPERM") || said.contains("The user executing the script") || said.contains("insufficient ACL permissions");
        assert!(refused, "{attack}: {said}");
    }
    assert_eq!(server.ask("MGET globex:k common:rate"), "[\"yours\" \"7\"]");
    // What it cannot refuse: names of keys and channels (docs/REDIS.md says so).
    assert!(past.ask("KEYS *").contains("globex:k"));
    assert!(past.ask("PUBSUB CHANNELS").starts_with('['));
    // The other two may do one thing each.
    for (end, works) in [(":patterns", "SORT globex:l BY nosort"), (":maker", "AUTH x y")] {
        let name = users(&mut server, end).pop().unwrap();
        server.ask(&format!("ACL SETUSER {name} >known"));
        let mut other = Client::connect(redis.port);
        assert_eq!(other.ask(&format!("AUTH {name} known")), "OK");
        assert!(!other.ask(works).starts_with("!NOPERM"), "{works}");
        for refused in ["GET globex:k", "KEYS *", "EVAL \"return 1\" 0", "FLUSHALL", "CONFIG GET *", "ACL USERS"] {
            assert!(other.ask(refused).starts_with("!NOPERM"), "{end} {refused}");
        }
    }
}

#[test]
fn what_the_server_cannot_look_at_runs_all_the_same() {
    for upstream in WAYS {
        let redis = Redis::start();
        let wall = wall(&redis, upstream, &policy(), &[]).unwrap();
        let mut acme = Client::of(wall.port("redis"), "acme");
        acme.ask("RPUSH l a b c");
        acme.ask("MSET w_a 3 w_b 2 w_c 1 v_a x v_b y v_c z");
        acme.ask("GEOADD g 13.361389 38.115556 Palermo");
        assert_eq!(acme.ask("SORT l BY w_* GET v_* GET #"), "[\"z\" \"c\" \"y\" \"b\" \"x\" \"a\"]", "{upstream}");
        assert_eq!(acme.ask("GEORADIUS g 13 38 200 km STORE found"), "1");
        assert_eq!(acme.ask("ZCARD found"), "1");
        acme.ask("XGROUP CREATE s STREAMS 0 MKSTREAM");
        assert_eq!(acme.ask("XREADGROUP GROUP STREAMS c STREAMS s >"), "nil");
        // The next command is the tenant's own user's again, and within MULTI nobody sees the change.
        assert_eq!(acme.ask("GET v_a"), "\"x\"");
        for (asked, said) in [("MULTI", "OK"), ("GET v_a", "QUEUED"), ("SORT l BY w_*", "QUEUED"), ("SET v_a new", "QUEUED")] {
            assert_eq!(acme.ask(asked), said);
        }
        assert_eq!(acme.ask("EXEC"), "[\"x\" [\"c\" \"b\" \"a\"] OK]");
        assert_eq!(acme.ask("GET v_a"), "\"new\"");
        assert_eq!(acme.ask("PSUBSCRIBE news.* __keyevent@0__:*"), "[\"psubscribe\" \"news.*\" 1]");
        acme.reply();
        quiet(&wall);
    }
}

#[test]
fn a_user_that_is_gone_is_made_again() {
    for upstream in WAYS {
        let redis = Redis::start();
        let wall = wall(&redis, upstream, &policy(), &[]).unwrap();
        let (mut acme, mut server) = (Client::of(wall.port("redis"), "acme"), Client::connect(redis.port));
        assert_eq!(acme.ask("SET k 1"), "OK");
        for round in 0..2 {
            for name in users(&mut server, "") {
                server.ask(&format!("ACL DELUSER {name}"));
            }
            // What was under way is lost, or the session is; the next one is served.
            let said = acme.ask("GET k");
            assert!(said.is_empty() || said.starts_with("!ERR") || said == "\"1\"", "{said}");
            acme = Client::of(wall.port("redis"), "acme");
            let mut last = String::new();
            assert!(
                eventually(|| {
                    last = acme.ask("GET k");
                    if last.is_empty() {
                        acme = Client::of(wall.port("redis"), "acme");
                    }
                    last == "\"1\""
                }),
                "{upstream} {round} {last}"
            );
            assert_eq!(users(&mut server, ":acme").len(), 1);
        }
        quiet(&wall);
    }
}

#[test]
fn users_of_tenants_that_are_away_are_removed_and_nobody_notices() {
    for upstream in WAYS {
        let redis = Redis::start();
        let wall = wall(&redis, upstream, &policy(), SOON).unwrap();
        let mut server = Client::connect(redis.port);
        let mut globex = Client::of(wall.port("redis"), "globex");
        assert_eq!(globex.ask("SET k 0"), "OK");
        let mut names = std::collections::BTreeSet::new();
        for round in 1..4 {
            let mut acme = Client::of(wall.port("redis"), "acme");
            assert_eq!(acme.ask("SET k 1"), "OK");
            names.extend(users(&mut server, ":acme"));
            drop(acme);
            assert!(eventually(|| users(&mut server, ":acme").is_empty()), "{upstream} {round}");
            assert_eq!(globex.ask("INCR k"), round.to_string());
        }
        assert_eq!((names.len(), users(&mut server, ":globex").len()), (3, 1), "{upstream} {names:?}");
        quiet(&wall);
    }
}

#[test]
fn two_walls_and_their_ends() {
    let redis = Redis::start();
    let mut server = Client::connect(redis.port);
    let one = wall(&redis, "", &policy(), &[]).unwrap();
    let two = wall(&redis, WAYS[1], &policy(), &[]).unwrap();
    let (mut here, mut there) = (Client::of(one.port("redis"), "acme"), Client::of(two.port("redis"), "acme"));
    assert_eq!(here.ask("SET k 1"), "OK");
    assert_eq!(there.ask("GET k"), "\"1\"");
    assert_eq!(users(&mut server, ":acme").len(), 2);
    // One ends as it should and takes its own along.
    one.signal("TERM");
    assert!(eventually(|| one.has_ended()));
    assert_eq!(users(&mut server, ":acme").len(), 1);
    assert_eq!(there.ask("INCR k"), "2");
    // The other is killed; the next that starts removes what it left.
    drop((two, there));
    assert!(eventually(|| server.ask("CLIENT LIST").matches("partywall:").count() == 0));
    assert_eq!(users(&mut server, "").len(), 3);
    let three = wall(&redis, "", &policy(), &[]).unwrap();
    assert_eq!(users(&mut server, ":acme").len(), 0);
    assert_eq!(users(&mut server, "").len(), 2);
    assert_eq!(Client::of(three.port("redis"), "acme").ask("GET k"), "\"2\"");
}

#[test]
fn a_wall_that_may_not_make_users_does_not_start() {
    let redis = Redis::start();
    let mut server = Client::connect(redis.port);
    server.ask("ACL SETUSER limited on >secret ~* &* +@all -acl");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret").unwrap();
    let upstream = format!(", user: limited, password_file: '{}'", file.path().display());
    let said = wall(&redis, &upstream, &policy(), &[]).err().unwrap();
    assert!(said.contains("redis.backstop: acl") && said.contains("NOPERM"), "{said}");
    assert!(wall(&redis, &upstream, POLICY, &[]).is_ok());
    // Scripts that may only run with a backstop need one.
    let alone = POLICY.replace("redis: {", "redis: { scripts: with_backstop,");
    let said = wall(&redis, "", &alone, &[]).err().unwrap();
    assert!(said.contains("there is no backstop that scripts could run with"), "{said}");
}
