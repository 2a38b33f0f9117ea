//! Shared connections upstream: many clients of many tenants over two of them, each with replies to its own commands only, in order, whatever the
//! others do: pipelines, transactions, blocking, both protocols, connections that break within a reply, clients that leave.

use super::redis::{POLICY, play};
use super::redis_oracle::reply::{Client, Value, words};
use super::support::{Redis, Wall, eventually};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LOST: &str = "ERR the connection to the server was lost; the command may have been carried out";

/// A server, and the wall before it, whose clients share one connection a thread and protocol.
pub fn start() -> (Redis, Wall) {
    let redis = Redis::start();
    let config = format!(
        "listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: [startup] }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}', multiplex: {{ connections: 1 }} }}\npolicies: policies/\nadmin: 127.0.0.1:0\n",
        redis.port
    );
    let wall = Wall::start(&config, &[("test.yaml", POLICY)]);
    (redis, wall)
}

fn quiet(wall: &Wall) {
    let log = wall.log();
    assert!(!wall.has_ended() && !log.contains("panicked") && !log.contains("broke the protocol") && !log.contains("keeps state"), "{log}");
}

fn metric(wall: &Wall, line: &str) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", wall.port("admin"))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text.lines().find_map(|l| l.strip_prefix(line)).and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Connections that the server has of the wall's.
fn connections(redis: &Redis) -> usize {
    let mut client = Client::connect(redis.port, None);
    let Value::Bulk(_, list) = client.ask(&words(&["CLIENT", "LIST"])) else { panic!() };
    list.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count() - 1
}

#[test]
fn two_tenants_talk_over_shared_connections() {
    let (redis, wall) = start();
    play(&redis, &wall);
    quiet(&wall);
}

/// A random number from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}

/// What a command must be answered with.
enum Due {
    Exact(Value),
    NoError,
    Error,
}

/// One client and what it must find: its keys are its own, and named as those of every other tenant's clients.
struct Player {
    tag: String,
    resp3: bool,
    random: Random,
    count: u64,
    strings: BTreeMap<u64, Vec<u8>>,
    list: Vec<Vec<u8>>,
    number: i64,
}

fn bulk(text: impl AsRef<[u8]>) -> Value {
    Value::Bulk('$', text.as_ref().to_vec())
}

fn ok() -> Value {
    Value::Line('+', "OK".into())
}

fn integer(number: i64) -> Value {
    Value::Line(':', number.to_string())
}

impl Player {
    fn nil(&self) -> Value {
        Value::Nil(if self.resp3 { '_' } else { '$' })
    }

    fn value(&mut self) -> Vec<u8> {
        self.count += 1;
        let size = match self.random.below(400) {
            0 => 400_000,
            1 => 100_000,
            2..20 => 5_000,
            _ => 10,
        };
        format!("{}#{}#{}", self.tag, self.count, "x".repeat(size)).into_bytes()
    }

    /// Some commands with what each must be answered with.
    fn steps(&mut self, out: &mut Vec<(Vec<Vec<u8>>, Due)>) {
        let key = self.random.below(5);
        let name = format!("k{key}").into_bytes();
        let kind = self.random.below(30);
        if kind >= 20 {
            return self.steps_with_state(kind, key, &name, out);
        }
        let mut say = |text: &[&[u8]], due: Due| out.push((text.iter().map(|word| word.to_vec()).collect(), due));
        match kind {
            0..6 => {
                let value = self.value();
                say(&[b"ECHO", &value], Due::Exact(bulk(&value)));
            }
            6..10 => {
                let value = self.value();
                say(&[b"SET", &name, &value], Due::Exact(ok()));
                self.strings.insert(key, value);
            }
            10..16 => say(&[b"GET", &name], Due::Exact(self.strings.get(&key).map_or(self.nil(), bulk))),
            16 => {
                let all = (0..5).map(|k| self.strings.get(&k).map_or(self.nil(), bulk)).collect();
                say(&[b"MGET", b"k0", b"k1", b"k2", b"k3", b"k4"], Due::Exact(Value::Many('*', all)));
            }
            17 => {
                self.number += 1;
                say(&[b"INCR", b"n"], Due::Exact(integer(self.number)));
            }
            18 if self.list.len() > 20 => {
                self.list.clear();
                say(&[b"DEL", b"l"], Due::Exact(integer(1)));
            }
            18 => {
                let value = self.value();
                self.list.push(value.clone());
                say(&[b"RPUSH", b"l", &value], Due::Exact(integer(self.list.len() as i64)));
            }
            _ => say(&[b"LRANGE", b"l", b"0", b"-1"], Due::Exact(Value::Many('*', self.list.iter().map(bulk).collect()))),
        }
    }

    /// What needs a connection of its own, or is answered otherwise by the two protocols.
    fn steps_with_state(&mut self, kind: u64, key: u64, name: &[u8], out: &mut Vec<(Vec<Vec<u8>>, Due)>) {
        let mut say = |text: &[&[u8]], due: Due| out.push((text.iter().map(|word| word.to_vec()).collect(), due));
        match kind {
            20 => {
                let value = self.value();
                say(&[b"MULTI"], Due::Exact(ok()));
                for text in [[b"SET".as_slice(), name, &value].as_slice(), &[b"GET", name], &[b"ECHO", &value]] {
                    say(text, Due::Exact(Value::Line('+', "QUEUED".into())));
                }
                say(&[b"EXEC"], Due::Exact(Value::Many('*', vec![ok(), bulk(&value), bulk(&value)])));
                self.strings.insert(key, value);
            }
            21 => {
                let value = self.value();
                say(&[b"RPUSH", b"q", &value], Due::Exact(integer(1)));
                say(&[b"BLPOP", b"q", b"1"], Due::Exact(Value::Many('*', vec![bulk("q"), bulk(&value)])));
            }
            22 => {
                say(&[b"WATCH", name], Due::Exact(ok()));
                say(&[b"GET", name], Due::Exact(self.strings.get(&key).map_or(self.nil(), bulk)));
                say(&[b"UNWATCH"], Due::Exact(ok()));
            }
            23 => {
                let value = self.value();
                say(
                    &[b"EVAL", b"return {KEYS[1], ARGV[1]}", b"1", name, &value],
                    Due::Exact(Value::Many('*', vec![bulk(name), bulk(&value)])),
                );
            }
            24 => say(&[b"LPUSH", b"n"], Due::Error),
            25 => say(&[b"CLIENT", b"GETNAME"], Due::Exact(self.nil())),
            26 => {
                let value = self.value();
                say(&[b"HSET", b"h", b"f", &value], Due::NoError);
                let kind = if self.resp3 { '%' } else { '*' };
                say(&[b"HGETALL", b"h"], Due::Exact(Value::Many(kind, vec![bulk("f"), bulk(&value)])));
            }
            27 => {
                let value = self.value();
                say(&[b"SELECT", b"1"], Due::Exact(ok()));
                say(&[b"SET", b"elsewhere", &value], Due::Exact(ok()));
                say(&[b"GET", b"elsewhere"], Due::Exact(bulk(&value)));
                say(&[b"RESET"], Due::Exact(Value::Line('+', "RESET".into())));
                if self.resp3 {
                    say(&[b"HELLO", b"3"], Due::NoError);
                }
                say(&[b"EXISTS", b"elsewhere"], Due::Exact(integer(0)));
            }
            28 if !self.resp3 => {
                let confirm = |what: &str, count| Due::Exact(Value::Many('*', vec![bulk(what), bulk("c"), integer(count)]));
                say(&[b"SUBSCRIBE", b"c"], confirm("subscribe", 1));
                say(&[b"UNSUBSCRIBE", b"c"], confirm("unsubscribe", 0));
            }
            _ => say(&[b"KEYS", b"n?nothing"], Due::Exact(Value::Many('*', Vec::new()))),
        }
    }
}

/// Whose each value in a reply is: only this client's.
fn own(value: &Value, tag: &str) -> bool {
    match value {
        Value::Bulk(_, text) => !text.contains(&b'#') || text.starts_with(tag.as_bytes()),
        Value::Many(_, items) => items.iter().all(|item| own(item, tag)),
        _ => true,
    }
}

/// When players stop: they have played for a while, and enough has happened, however slow the machine is.
struct Game {
    end: Instant,
    played: AtomicUsize,
    enough: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

impl Game {
    fn new(enough: impl Fn(usize) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Self::of(seconds(), enough)
    }

    fn of(seconds: u64, enough: impl Fn(usize) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { end: Instant::now() + Duration::from_secs(seconds), played: AtomicUsize::new(0), enough: Box::new(enough) })
    }

    fn played(&self) -> usize {
        self.played.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        let late = Instant::now().saturating_duration_since(self.end);
        assert!(late < Duration::from_secs(120), "{} commands only", self.played());
        late.is_zero() || !(self.enough)(self.played())
    }
}

/// Plays while the game goes on; where connections break, a command may be lost, and then nothing is known but whose each value is.
fn player(port: u16, number: usize, game: &Game, broken: bool) {
    let (tenant, resp3) = (format!("t{number}"), number.is_multiple_of(2));
    let connect = || {
        let mut client = Client::connect(port, Some(&tenant));
        if resp3 {
            client.ask(&words(&["HELLO", "3"]));
        }
        client
    };
    let mut client = connect();
    let random = Random(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1) << 20);
    let (tag, strings, list) = (format!("{tenant}#"), BTreeMap::new(), Vec::new());
    let mut player = Player { tag: tag.clone(), resp3, random, count: 0, strings, list, number: 0 };
    while game.goes_on() {
        let mut steps = Vec::new();
        for _ in 0..=player.random.below(12) {
            player.steps(&mut steps);
        }
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            client.send(steps.iter().map(|(command, _)| command));
            steps.iter().map(|_| client.reply()).collect::<Vec<_>>()
        }));
        let said = match said {
            Ok(said) => said,
            // Its own connection broke, or one within its reply: the client's ends too.
            Err(_) if broken => {
                client = connect();
                continue;
            }
            Err(panic) => std::panic::resume_unwind(panic),
        };
        for ((command, due), said) in steps.iter().zip(&said) {
            let shown =
                format!("{tenant}: {} gave {}", command[0].escape_ascii(), format!("{said:?}").chars().take(300).collect::<String>());
            assert!(own(said, &tag), "{shown}");
            let lost = matches!(said, Value::Line('-', text) if text == LOST || text == "ERR the server is not available");
            match due {
                _ if lost && broken => {}
                // In order: each has another number.
                Due::Exact(value) if !broken || command[0] == b"ECHO" && command.len() == 2 && !matches!(said, Value::Line(..)) => {
                    assert_eq!(said, value, "{shown}");
                }
                Due::Exact(_) => {}
                Due::NoError => assert!(broken || !said.is_error(), "{shown}"),
                Due::Error => assert!(said.is_error(), "{shown}"),
            }
        }
        game.played.fetch_add(steps.len(), Ordering::Relaxed);
    }
}

fn seconds() -> u64 {
    std::env::var("MULTIPLEX_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn players(wall: &Wall, count: usize, game: &Arc<Game>, broken: bool) {
    let port = wall.port("redis");
    let play = |number: usize| {
        let game = game.clone();
        std::thread::spawn(move || player(port, number, &game, broken))
    };
    let all: Vec<_> = (0..count).map(play).collect();
    all.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn random_pipelines_of_many_tenants_have_their_own_replies() {
    let (redis, wall) = start();
    let game = Game::new(|played| played > 2000);
    players(&wall, 24, &game, false);
    println!("{} commands", game.played());
    quiet(&wall);
    assert_eq!(metric(&wall, "partywall_multiplex_failures_total{listener=\"redis\",kind=\"lost\"}"), 0);
    let strange: Vec<String> = super::redis_clients::keys(&redis).into_iter().filter(|key| !key.starts_with('t')).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn connections_that_break_are_nobody_elses_loss() {
    let (redis, wall) = start();
    let (stop, kills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let killer = {
        let (port, stop, kills) = (redis.port, stop.clone(), kills.clone());
        std::thread::spawn(move || {
            let mut client = Client::connect(port, None);
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(40));
                if let Value::Line(':', count) = client.ask(&words(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])) {
                    kills.fetch_add(count.parse().unwrap(), Ordering::Relaxed);
                }
            }
        })
    };
    let hook = std::panic::take_hook();
    // That its connection ends is what a client sees here; anything else is said.
    std::panic::set_hook(Box::new(|info| {
        if info.location().is_some_and(|at| !at.file().ends_with("reply.rs")) {
            eprintln!("{info}");
        }
    }));
    let game = {
        let kills = kills.clone();
        Game::new(move |played| played > 500 && kills.load(Ordering::Relaxed) > 20)
    };
    let over = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| players(&wall, 24, &game, true)));
    std::panic::set_hook(hook);
    stop.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    over.unwrap();
    println!("{} commands, {} connections killed", game.played(), kills.load(Ordering::Relaxed));
    quiet(&wall);
    // And all is well again.
    let mut client = Client::connect(wall.port("redis"), Some("t1"));
    assert!(eventually(|| client.ask(&words(&["ECHO", "x"])) == bulk("x")));
}

#[test]
fn clients_that_leave_with_replies_pending() {
    let (_redis, wall) = start();
    // Each leaver has left some times, too.
    let (port, left) = (wall.port("redis"), Arc::new(AtomicUsize::new(0)));
    let game = {
        let left = left.clone();
        Game::of(seconds().min(3), move |played| played > 200 && left.load(Ordering::Relaxed) > 20)
    };
    let leavers: Vec<_> = (0..4)
        .map(|n| {
            let (game, left) = (game.clone(), left.clone());
            std::thread::spawn(move || {
                while game.goes_on() {
                    std::thread::sleep(Duration::from_millis(10));
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    let many = format!("ECHO t9#{}\r\n", "y".repeat(3000)).repeat(40);
                    let _ = stream.write_all(format!("AUTH t9 x\r\n{many}").as_bytes());
                    if n % 2 == 0 {
                        let _ = stream.shutdown(Shutdown::Write);
                        let mut all = Vec::new();
                        stream.read_to_end(&mut all).unwrap();
                        assert_eq!(all.len(), 5 + 40 * (3003 + 9), "a half-closed client has all its replies");
                    }
                    left.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    players(&wall, 8, &game, false);
    leavers.into_iter().for_each(|one| one.join().unwrap());
    println!("{} commands, {} left", game.played(), left.load(Ordering::Relaxed));
    quiet(&wall);
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let (_redis, wall) = start();
    let mut client = Client::connect(wall.port("redis"), Some("acme"));
    let large = "z".repeat(8 << 20);
    assert_eq!(client.ask(&words(&["SET", "large", &large])), ok());
    let deaf: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", wall.port("redis"))).unwrap();
            // More than the wall and the sockets between keep for it; what is more than that only costs the machine.
            stream.write_all(format!("AUTH acme x\r\n{}", "GET large\r\n".repeat(4)).as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut other = Client::connect(wall.port("redis"), Some("globex"));
    // Those read nothing until all of this is answered.
    for n in 0..200 {
        let text = format!("globex#{n}");
        assert_eq!(other.ask(&words(&["ECHO", &text])), bulk(&text));
    }
    // What has large replies has a connection of its own from then on, and all of them.
    let mut again = Client::connect(wall.port("redis"), Some("acme"));
    for _ in 0..3 {
        assert_eq!(again.ask(&words(&["GET", "large"])), bulk(&large));
    }
    drop(deaf);
    quiet(&wall);
}

#[test]
fn a_connection_of_ones_own_is_given_back() {
    let (redis, wall) = start();
    let all = |line: &str| metric(&wall, &format!("partywall_multiplex_connections{{listener=\"redis\",kind=\"{line}\"}}"));
    let mut clients: Vec<Client> = (0..20).map(|n| Client::connect(wall.port("redis"), Some(&format!("t{}", n % 2)))).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&words(&["SET", "k", "v"])), ok());
    }
    assert!(eventually(|| connections(&redis) <= 5), "{}", connections(&redis));
    // Each of these holds something.
    for (at, hold) in
        [&["MULTI"][..], &["WATCH", "k"], &["SELECT", "1"], &["SUBSCRIBE", "c"], &["CLIENT", "TRACKING", "ON"]].iter().enumerate()
    {
        let _ = clients[at].ask(&words(hold));
    }
    assert!(eventually(|| all("own") == 5), "{}", all("own"));
    // And lets go of it.
    for (at, release) in [&["DISCARD"][..], &["UNWATCH"], &["RESET"], &["UNSUBSCRIBE", "c"], &["RESET"]].iter().enumerate() {
        let _ = clients[at].ask(&words(release));
    }
    assert!(eventually(|| all("own") == 0), "{}", all("own"));
    // One of a tenant's clients after another takes the same.
    let before = connections(&redis);
    for client in &mut clients {
        assert_eq!(client.ask(&words(&["MULTI"])), ok());
        assert_eq!(client.ask(&words(&["EXEC"])), Value::Many('*', Vec::new()));
    }
    assert!(eventually(|| connections(&redis) <= before + 4), "{} after {before}", connections(&redis));
    quiet(&wall);
}

#[test]
fn kill_and_wait_are_about_the_right_client() {
    let (_redis, wall) = start();
    let connect = |tenant| Client::connect(wall.port("redis"), Some(tenant));
    let (mut a, mut b, mut other) = (connect("acme"), connect("acme"), connect("globex"));
    let Value::Line(':', id) = b.ask(&words(&["CLIENT", "ID"])) else { panic!() };
    assert_eq!(other.ask(&words(&["CLIENT", "KILL", "ID", &id])), integer(0));
    assert_eq!(b.ask(&words(&["PING"])), Value::Line('+', "PONG".into()));
    assert_eq!(a.ask(&words(&["CLIENT", "KILL", "ID", &id])), integer(1));
    let mut ended = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| b.ask(&words(&["PING"])))).is_err();
    assert!(eventually(&mut ended), "it has ended");
    // One that blocks, by its own connection.
    let mut c = connect("acme");
    let Value::Line(':', id) = c.ask(&words(&["CLIENT", "ID"])) else { panic!() };
    c.send(std::iter::once(&words(&["BLPOP", "nothing", "30"])));
    assert!(eventually(|| a.ask(&words(&["CLIENT", "UNBLOCK", &id])) == integer(1)));
    assert_eq!(c.reply(), Value::Nil('*'));
    assert_eq!(a.ask(&words(&["WAIT", "0", "10"])), integer(0));
    assert_eq!(other.ask(&words(&["PING"])), Value::Line('+', "PONG".into()));
    quiet(&wall);
}
