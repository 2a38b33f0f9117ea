//! Pools under load: pgbench's modes over few connections, tenants' turns, requests to cancel, backends that are killed, and a mix of whatever
//! leaves something behind.

use crate::pool::pooled;
use crate::smoke::{POLICY, shop};
use crate::support::{Client, Database, eventually, socket};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn ask(client: &mut Client, sql: &str) -> Result<String, String> {
    client.query(sql).map(|r| r.text()).map_err(|e| e.code)
}

#[test]
fn tenants_take_turns_however_many_clients_one_of_them_has() {
    let wall = pooled(&shop(), "mode: transaction, size: 1, wait: 20s", POLICY);
    let port = wall.port("pg");
    let (stop, greedy) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = Client::tenant(port, "acme");
                while !stop.load(Ordering::Relaxed) {
                    client.query("SELECT pg_sleep(0.02)").unwrap();
                    greedy.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut modest = Client::tenant(port, "globex");
        std::thread::sleep(Duration::from_millis(200));
        let (began, before) = (Instant::now(), greedy.load(Ordering::Relaxed));
        for _ in 0..10 {
            modest.query("SELECT pg_sleep(0.02)").unwrap();
        }
        let (took, others) = (began.elapsed(), greedy.load(Ordering::Relaxed) - before);
        stop.store(true, Ordering::Relaxed);
        // Each of its own waits for what runs and is next: without turns it would wait for twelve.
        assert!(others <= 25, "{others} of the other's ran beside 10, in {took:?}");
    });
}

#[test]
fn a_tenant_has_no_more_than_its_part() {
    let wall = pooled(&shop(), "mode: transaction, size: 2, per_tenant: 1, wait: 1s", POLICY);
    let (mut one, mut two) = (Client::tenant(wall.port("pg"), "acme"), Client::tenant(wall.port("pg"), "acme"));
    let mut other = Client::tenant(wall.port("pg"), "globex");
    one.query("BEGIN").unwrap();
    assert_eq!(ask(&mut two, "SELECT 1"), Err("53300".into()));
    assert_eq!(ask(&mut other, "SELECT 1"), Ok("1".into()));
    one.query("COMMIT").unwrap();
    assert_eq!(ask(&mut two, "SELECT 1"), Ok("1".into()));
}

fn cancel(port: u16, (pid, secret): (u32, u32)) {
    let mut socket = socket(port);
    let _ = socket.write_all(&[16u32, 80_877_102, pid, secret].map(u32::to_be_bytes).concat());
    let _ = socket.read(&mut [0]);
}

#[test]
fn a_cancel_reaches_its_own_clients_statement_and_no_other() {
    let wall = pooled(&shop(), "mode: transaction, size: 2, wait: 20s", POLICY);
    let port = wall.port("pg");
    let mut client = Client::tenant(port, "acme");
    let key = client.key;
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            cancel(port, key);
        });
        assert_eq!(ask(&mut client, "SELECT pg_sleep(20)"), Err("57014".into()));
    });
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(ask(&mut client, "SELECT 1"), Ok("1".into()));
    let (stop, cancelled) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // One whose short statements are cancelled all the time, mostly too late.
        let mut victim = Client::tenant(port, "acme");
        let (key, stop, cancelled) = (victim.key, &stop, &cancelled);
        for _ in 0..3 {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    cancel(port, key);
                }
            });
        }
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match ask(&mut victim, "SELECT pg_sleep(0.002)") {
                    Ok(_) => {}
                    Err(code) if code == "57014" => _ = cancelled.fetch_add(1, Ordering::Relaxed),
                    Err(code) => panic!("{code}"),
                }
            }
        });
        let others: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::tenant(port, "globex");
                    let mut failures = Vec::new();
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_secs(5) {
                        failures.extend(client.query("SELECT pg_sleep(0.003), count(*) FROM orders").err());
                    }
                    failures
                })
            })
            .collect();
        let failures: Vec<_> = others.into_iter().flat_map(|other| other.join().unwrap()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(failures.is_empty(), "{failures:?}");
    });
    assert!(cancelled.load(Ordering::Relaxed) > 0, "some are in time");
}

#[test]
fn killed_backends_end_their_own_sessions_and_no_others() {
    let database = shop();
    let wall = pooled(&database, "mode: transaction, size: 3, wait: 20s", POLICY);
    let (port, stop, served) = (wall.port("pg"), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (tenant, items) = if n % 2 == 0 { ("acme", "anvil\nrocket") } else { ("globex", "laser\nwhale") };
            let (stop, served) = (&stop, &served);
            scope.spawn(move || {
                let mut client = Client::tenant(port, tenant);
                while !stop.load(Ordering::Relaxed) {
                    match ask(&mut client, "SELECT item FROM orders ORDER BY id") {
                        Ok(text) => {
                            assert_eq!(text, items);
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(code) => {
                            assert!(["57P01", "08006", ""].contains(&code.as_str()), "{code}");
                            client = Client::tenant(port, tenant);
                        }
                    }
                }
            });
        }
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(100));
            database.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 2",
            );
        }
        let before = served.load(Ordering::Relaxed);
        assert!(eventually(|| served.load(Ordering::Relaxed) > before + 50), "it goes on");
        stop.store(true, Ordering::Relaxed);
    });
}

/// By xorshift; the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a session believes of itself.
struct Believer {
    tenant: String,
    client: Client,
    zone: String,
    temp: bool,
    prepared: Vec<(String, String)>,
    numbers: Vec<String>,
}

impl Believer {
    fn new(port: u16, n: usize, home: &str) -> Self {
        let tenant = format!("t{}", n % 4);
        let client = Client::tenant(port, &tenant);
        Self { tenant, client, zone: home.to_owned(), temp: false, prepared: Vec::new(), numbers: Vec::new() }
    }

    fn says(&mut self, sql: &str, wanted: &str) {
        assert_eq!(ask(&mut self.client, sql).as_deref(), Ok(wanted), "{} of {}", sql, self.tenant);
    }

    fn runs(&mut self, name: &str, wanted: &str) {
        self.client.bind("", name, &[]);
        self.client.execute("", 0);
        self.client.sync();
        let answer = self.client.answers().remove(0);
        assert_eq!(answer.map(|r| r.text()).map_err(|e| e.code).as_deref(), Ok(wanted), "{name} of {}", self.tenant);
    }

    fn acts(&mut self, dice: &mut Dice, home: &str) {
        let (zone, tenant) = (self.zone.clone(), self.tenant.clone());
        self.says("SHOW TimeZone", &zone);
        self.says("SELECT DISTINCT item FROM orders", &tenant);
        match dice.throw(14) {
            0 => {
                self.zone = ["Asia/Tokyo", "Europe/Vienna", "America/Lima"][dice.throw(3) as usize].to_owned();
                self.client.query(&format!("SET TimeZone = '{}'", self.zone)).unwrap();
            }
            1 => {
                self.client.query("RESET TimeZone").unwrap();
                self.zone = home.to_owned();
            }
            2 => drop(self.client.query("BEGIN; SET TimeZone = 'Asia/Kabul'; SELECT 1/0").unwrap_err()),
            3 => drop(self.client.query("BEGIN; SET LOCAL TimeZone = 'Asia/Kabul'; COMMIT").unwrap()),
            4 if !self.temp => {
                self.client.query(&format!("CREATE TEMP TABLE own AS SELECT '{tenant}'::text AS x")).unwrap();
                self.temp = true;
            }
            5 if self.temp => {
                self.says("SELECT x FROM own", &tenant);
                self.client.query("DROP TABLE own").unwrap();
                self.temp = false;
            }
            6 => assert_eq!(ask(&mut self.client, "SELECT count(*) FROM own").is_ok(), self.temp, "{tenant}"),
            7 => self.numbers.push(ask(&mut self.client, "SELECT nextval('numbers')").unwrap()),
            8 => self.knows_a_number(),
            9 | 10 => {
                let (name, wanted) = (format!("s{}", self.prepared.len()), format!("{tenant} {}", dice.throw(5)));
                self.client.parse(&name, &format!("SELECT '{wanted}'"), &[]);
                self.client.sync();
                assert!(self.client.answers().is_empty());
                self.prepared.push((name, wanted));
            }
            11 | 12 => {
                for (name, wanted) in self.prepared.clone() {
                    self.runs(&name, &wanted);
                }
            }
            _ => {
                self.client.query("DISCARD ALL").unwrap();
                (self.zone, self.temp, self.prepared) = (home.to_owned(), false, Vec::new());
            }
        }
        if self.client.status != b'I' {
            self.client.query("ROLLBACK").unwrap();
        }
    }

    /// What `currval` says is nobody else's number: it is one of its own, or there is none.
    fn knows_a_number(&mut self) {
        match ask(&mut self.client, "SELECT currval('numbers')") {
            Ok(number) => assert!(self.numbers.contains(&number), "{number} is not {}'s", self.tenant),
            Err(code) => assert_eq!(code, "55000"),
        }
    }
}

#[test]
fn a_mix_of_whatever_leaves_something_crosses_to_nobody() {
    let database: Database = shop();
    database.psql("CREATE SEQUENCE numbers; TRUNCATE orders; INSERT INTO orders SELECT 't' || t, i, 't' || t FROM generate_series(0, 3) t, generate_series(1, 3) i");
    let policy = POLICY.replace("  tables:\n", "  tables:\n    public.numbers: { shared: read }\n");
    // As many connections as sessions can keep at a time, and one for the rest.
    for (size, sessions) in [(3, 3), (9, 8)] {
        let wall = pooled(&database, &format!("mode: transaction, size: {size}, wait: 20s"), &policy);
        let port = wall.port("pg");
        let home = ask(&mut Client::tenant(port, "t0"), "SHOW TimeZone").unwrap();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 + size as u64);
        let mut believers: Vec<Believer> = (0..sessions).map(|n| Believer::new(port, n, &home)).collect();
        for _ in 0..400 {
            let at = dice.throw(sessions as u64) as usize;
            if dice.throw(40) == 0 {
                believers[at] = Believer::new(port, at, &home);
            }
            believers[at].acts(&mut dice, &home);
        }
    }
}
