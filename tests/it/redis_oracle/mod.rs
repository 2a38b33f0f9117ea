//! A single-tenant oracle: random commands of every family through the wall, where other tenants use the same names in the same server, and on a
//! private server. What comes back is the same. `REDIS_ORACLE_N` commands by `REDIS_ORACLE_SEED`.

mod generate;
pub mod reply;

use crate::redis::start;
use crate::support::{Redis, Wall};
use generate::{Command, Generator, Random};
use reply::{Alike, Client, Value, alike, words};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Commands on one pair of connections, from an empty database on.
const SEGMENT: usize = 400;
/// Commands that are under way at once.
const BATCH: usize = 32;
/// Differences that are shown.
const SHOWN: usize = 20;

/// Commands that the wall refuses in a script, or whose errors there are worded otherwise.
const NOT_IN_SCRIPTS: &[&str] = &[
    "SELECT",
    "CLIENT",
    "CONFIG",
    "COMMAND",
    "WAIT",
    "ACL",
    "OBJECT",
    "XINFO",
    "PUBSUB",
    "EVAL",
    "EVALSHA",
    "EVAL_RO",
    "SCRIPT",
    "FUNCTION",
    "FCALL",
    "FCALL_RO",
    "READONLY",
    "CLUSTER",
    "NOSUCH",
    "GET",
    "TIME",
    "RANDOMKEY",
    "KEYS",
];

/// How a reply is compared: as a whole, or what EXEC gives element by element.
enum Compare {
    One(Alike),
    Exec(Vec<Alike>),
}

struct Step {
    words: Vec<Vec<u8>>,
    compare: Compare,
}

impl Step {
    fn one(words: Vec<Vec<u8>>, alike: Alike) -> Self {
        Self { words, compare: Compare::One(alike) }
    }

    fn same(&self, private: &Value, wall: &Value) -> bool {
        match (&self.compare, private, wall) {
            (Compare::Exec(ways), Value::Many(..), Value::Many(..)) => {
                let (private, wall) = (private.items(), wall.items());
                private.len() == wall.len() && private.len() == ways.len() && (0..ways.len()).all(|n| alike(ways[n], &private[n], &wall[n]))
            }
            (Compare::Exec(_), ..) => private == wall,
            (Compare::One(how), ..) => alike(*how, private, wall),
        }
    }
}

/// A random step, or several that belong together.
fn steps(generator: &mut Generator, out: &mut Vec<Step>) {
    match generator.random.below(12) {
        0 => {
            let count = 1 + generator.random.below(5);
            let queued: Vec<Command> = std::iter::from_fn(|| Some(generator.command())).filter(|c| c.plain).take(count).collect();
            if generator.random.below(3) == 0 {
                out.push(Step::one(words(&["WATCH", "s1", "l1"]), Alike::Exact));
            }
            out.push(Step::one(words(&["MULTI"]), Alike::Exact));
            let ways = queued.iter().map(|command| command.alike).collect();
            out.extend(queued.into_iter().map(|command| Step::one(command.words, Alike::Exact)));
            let discards = generator.random.below(8) == 0;
            out.push(if discards {
                Step::one(words(&["DISCARD"]), Alike::Exact)
            } else {
                Step { words: words(&["EXEC"]), compare: Compare::Exec(ways) }
            });
        }
        1 => {
            let command = generator.command();
            let name = String::from_utf8_lossy(&command.words[0]).to_uppercase();
            if command.plain && !NOT_IN_SCRIPTS.contains(&name.as_str()) {
                let script = words(&["EVAL", "return redis.pcall(unpack(ARGV))", "0"]);
                out.push(Step::one([script, command.words].concat(), command.alike));
            }
        }
        _ => {
            let command = generator.command();
            out.push(Step::one(command.words, command.alike));
        }
    }
}

/// The two sides, each with a subscriber.
struct Pair {
    sides: [Client; 2],
    listeners: [Client; 2],
}

impl Pair {
    fn connect(private: u16, wall: u16, resp3: bool) -> Self {
        let side = || [Client::connect(private, None), Client::connect(wall, Some("acme"))];
        let (mut sides, mut listeners) = (side(), side());
        for client in &mut sides {
            client.ask(&words(&["FLUSHALL"]));
            client.ask(&words(&["SCRIPT", "FLUSH"]));
            client.ask(&words(&["FUNCTION", "FLUSH"]));
            if resp3 {
                assert!(!client.ask(&words(&["HELLO", "3"])).is_error());
            }
        }
        for client in &mut listeners {
            client.ask(&words(&["SUBSCRIBE", "ch"]));
            client.ask(&words(&["PSUBSCRIBE", "p*"]));
        }
        Self { sides, listeners }
    }

    /// Nobody listens any more, which the next pair would be told of: an end of a connection takes its time.
    fn end(mut self) {
        for client in &mut self.listeners {
            client.send([words(&["UNSUBSCRIBE"]), words(&["PUNSUBSCRIBE"])].iter());
            let end = Value::Bulk('$', b"punsubscribe".to_vec());
            while client.reply().items().first() != Some(&end) {}
        }
    }

    /// Plays steps on both sides; what differs.
    fn play(&mut self, steps: &[Step], differences: &mut Vec<String>) {
        for client in &mut self.sides {
            client.send(steps.iter().map(|step| &step.words));
        }
        let mut heard = 0;
        for (at, step) in steps.iter().enumerate() {
            let [private, wall] = self.sides.each_mut().map(Client::reply);
            if let (b"PUBLISH", Value::Line(':', count)) = (step.words[0].as_slice(), &private) {
                heard += count.parse::<usize>().unwrap();
            }
            if !step.same(&private, &wall) {
                let before: Vec<String> = steps[at.saturating_sub(6)..at].iter().map(|s| format!("      {}", shown(&s.words))).collect();
                let (private, wall) = (short(&private), short(&wall));
                differences.push(format!("{}\n    private {private}\n    wall    {wall}\n{}", shown(&step.words), before.join("\n")));
            }
        }
        for _ in 0..heard {
            let [private, wall] = self.listeners.each_mut().map(Client::reply);
            if private != wall {
                differences.push(format!("a message\n    private {private:?}\n    wall    {wall:?}"));
            }
        }
    }
}

fn shown(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

fn short(value: &Value) -> String {
    format!("{value:?}").chars().take(400).collect()
}

/// Other tenants, busy with the same names, until told to stop.
fn neighbours(port: u16, seed: u64, fits: fn(&[Vec<u8>]) -> bool, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    ["globex", "acm", "acme2"]
        .into_iter()
        .enumerate()
        .map(|(n, tenant)| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut generator = Generator::new(seed + 1000 + n as u64, fits);
                let mut client = Client::connect(port, Some(tenant));
                let fill: Vec<Vec<Vec<u8>>> = (0..2000).map(|n| words(&["SET", &format!("fill:{n}"), "theirs"])).collect();
                client.send(fill.iter());
                fill.iter().for_each(|_| drop(client.reply()));
                while !stop.load(Ordering::Relaxed) {
                    let batch: Vec<Vec<Vec<u8>>> = (0..8).map(|_| generator.command().words).filter(|w| w[0] != b"FLUSHDB").collect();
                    client.send(batch.iter());
                    batch.iter().for_each(|_| drop(client.reply()));
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            })
        })
        .collect()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_tenant_has_a_redis_of_its_own() {
    play(start(), setting("REDIS_ORACLE_N", 20_000), |_| true);
}

#[test]
fn a_tenant_has_a_redis_of_its_own_over_shared_connections() {
    play(crate::redis_multiplex::start(), setting("REDIS_ORACLE_N", 10_000), |_| true);
}

#[test]
fn a_tenant_has_a_redis_of_its_own_in_a_cluster() {
    let cluster = crate::redis_cluster::Cluster::start(false);
    let wall = cluster.wall(", multiplex: { connections: 1 }");
    play((cluster, wall), setting("REDIS_ORACLE_N", 10_000), is_for_a_cluster);
}

#[test]
fn a_tenant_has_a_redis_of_its_own_with_a_backstop() {
    for upstream in ["", ", multiplex: { connections: 1 }"] {
        play(crate::redis_backstop::start(upstream), setting("REDIS_ORACLE_N", 5_000), is_for_a_backstop);
    }
}

/// What the server refuses within scripts and transactions.
fn is_for_a_backstop(words: &[Vec<u8>]) -> bool {
    let has = |option: &str| words.iter().any(|word| word.eq_ignore_ascii_case(option.as_bytes()));
    match words[0].to_ascii_uppercase().as_slice() {
        b"GEORADIUS" | b"GEORADIUSBYMEMBER" => false,
        b"SORT" | b"SORT_RO" => !has("BY") && !has("GET"),
        b"XREAD" | b"XREADGROUP" => words.iter().filter(|word| word.eq_ignore_ascii_case(b"STREAMS")).count() == 1,
        _ => true,
    }
}

/// A node refuses other databases and patterns of SORT; libraries the wall refuses there.
fn is_for_a_cluster(words: &[Vec<u8>]) -> bool {
    let has = |option: &str| words.iter().any(|word| word.eq_ignore_ascii_case(option.as_bytes()));
    match words[0].to_ascii_uppercase().as_slice() {
        b"SELECT" | b"MOVE" | b"FUNCTION" | b"FCALL" | b"FCALL_RO" => false,
        b"SORT" | b"SORT_RO" => !has("BY") && !has("GET"),
        b"COPY" => !has("DB"),
        _ => true,
    }
}

fn play((_shared, wall): (impl Sized, Wall), count: usize, fits: fn(&[Vec<u8>]) -> bool) {
    let seed = setting("REDIS_ORACLE_SEED", 7) as u64;
    let private = Redis::start();
    let stop = Arc::new(AtomicBool::new(false));
    let others = neighbours(wall.port("redis"), seed, fits, &stop);
    let mut differences = Vec::new();
    let (mut done, mut segment) = (0, 0);
    while done < count && differences.len() < SHOWN {
        let mut generator = Generator::new(seed.wrapping_mul(1 << 20).wrapping_add(segment), fits);
        let resp3 = Random::new(seed + segment).below(2) == 1;
        let mut pair = Pair::connect(private.port, wall.port("redis"), resp3);
        let before = differences.len();
        let mut here = 0;
        while here < SEGMENT && differences.len() == before {
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                steps(&mut generator, &mut batch);
            }
            pair.play(&batch, &mut differences);
            here += batch.len();
        }
        if let Some(first) = differences.get(before) {
            println!("seed {seed}, segment {segment}, RESP{}: {first}", if resp3 { 3 } else { 2 });
        }
        pair.end();
        done += here;
        segment += 1;
        if segment % 100 == 0 {
            println!("{done} commands, {} differences", differences.len());
        }
    }
    stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(!wall.has_ended() && !wall.log().contains("panicked"), "{}", wall.log());
    assert!(differences.is_empty(), "{} differences in {done} commands; the first of each segment stands above", differences.len());
    println!("{done} commands, no difference");
}
