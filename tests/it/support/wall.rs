//! The wall itself: the binary under test, on a directory with the given files.

use super::Leash;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A running `partywall serve`; dropped, it is killed.
pub struct Wall {
    ports: BTreeMap<String, u16>,
    leash: Leash,
    log: Arc<Mutex<String>>,
    directory: PathBuf,
}

/// Set to what stands in `pool: { … }`, most tests run over such a pool: `PARTYWALL_TEST_POOL='mode: transaction, size: 2'`.
const POOL: &str = "PARTYWALL_TEST_POOL";

impl Wall {
    /// Starts it on `config` (partywall.yaml; listeners on port 0) and `policies` (file name, text), which stand in `policies/` unless the
    /// name has a `/`. Panics with what it said if it does not start.
    pub fn start(config: &str, policies: &[(&str, &str)]) -> Self {
        Self::attempt(config, policies).unwrap_or_else(|said| panic!("the wall does not start: {said}"))
    }

    /// The same; an error is what it said on its way out.
    pub fn attempt(config: &str, policies: &[(&str, &str)]) -> Result<Self, String> {
        Self::attempt_in(config, policies, &[])
    }

    /// The same with variables of the environment.
    pub fn attempt_in(config: &str, policies: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("partywall-wall-").tempdir().unwrap().keep();
        std::fs::create_dir(directory.join("policies")).unwrap();
        std::fs::write(directory.join("partywall.yaml"), config).unwrap();
        for (name, text) in policies {
            let place = place(&directory, name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        let program = [env!("CARGO_BIN_EXE_partywall"), "serve", "--config", "partywall.yaml"];
        let mut leash = Leash::start("KILL", Some(&directory), &program, &directory, env);
        let wanted = config.matches("listen:").count() + config.matches("admin:").count();
        let mut stdout = leash.stdout.take().unwrap();
        let log = follow(leash.stderr.take().unwrap());
        let mut ports = BTreeMap::new();
        while ports.len() < wanted {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                super::eventually(|| leash.has_ended());
                // Everything it said comes through the pipe before it closes; the follower may be a moment behind.
                std::thread::sleep(std::time::Duration::from_millis(100));
                return Err(log.lock().unwrap().clone());
            }
            if let Some((name, port)) = listening(&line) {
                ports.insert(name, port);
            }
        }
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Self { ports, leash, log, directory })
    }

    /// One PostgreSQL listener `pg` with `identity: [startup]` on a database, and an admin port; the policy must be named `test`.
    pub fn for_database(database: &super::Database, policy: &str) -> Self {
        Self::start(&Self::config(database, "identity: [startup]", "user: postgres"), &[("test.yaml", policy)])
    }

    /// partywall.yaml with one listener `pg` on a database, policy `test`, and an admin port; further keys of the listener and upstream.
    pub fn config(database: &super::Database, listener: &str, upstream: &str) -> String {
        let (port, name) = (database.port, &database.name);
        let pool = std::env::var(POOL).ok().filter(|_| !upstream.contains("pool:"));
        let upstream = pool.map_or_else(|| upstream.to_owned(), |pool| format!("{upstream}, pool: {{ {pool} }}"));
        format!(
            "listeners:\n  - {{ name: pg, protocol: postgres, listen: '127.0.0.1:0', upstream: db, policy: test, {listener} }}\n\
             upstreams:\n  db: {{ address: '127.0.0.1:{port}', database: {name}, {upstream} }}\n\
             policies: policies/\nadmin: 127.0.0.1:0\n"
        )
    }

    /// The port of a listener, by its name; `admin` for the admin port.
    pub fn port(&self, listener: &str) -> u16 {
        *self.ports.get(listener).unwrap_or_else(|| panic!("no listener {listener} among {:?}", self.ports))
    }

    /// Sends a signal, by name without SIG.
    pub fn signal(&self, name: &str) {
        self.leash.signal(name);
    }

    /// Has the process ended?
    pub fn has_ended(&self) -> bool {
        self.leash.has_ended()
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.leash.resident_kib()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Puts another text in a file's place; SIGHUP makes it count.
    pub fn rewrite(&self, name: &str, text: &(impl AsRef<[u8]> + ?Sized)) {
        std::fs::write(place(&self.directory, name), text).unwrap();
    }
}

fn place(directory: &Path, name: &str) -> PathBuf {
    if name.contains('/') || name == "partywall.yaml" { directory.join(name) } else { directory.join("policies").join(name) }
}

/// Name and port of a start line, `name: kind on 127.0.0.1:1234 …`.
fn listening(line: &str) -> Option<(String, u16)> {
    let (name, rest) = line.split_once(": ")?;
    let address = rest.split_once(" on ")?.1.split_whitespace().next()?;
    Some((name.to_owned(), address.rsplit_once(':').map_or(Some(0), |(_, port)| port.parse().ok())?))
}

/// Collects what the process says, so that it never waits for a reader.
fn follow(mut stderr: BufReader<std::process::ChildStderr>) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let writer = log.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stderr.read(&mut buffer) {
            writer.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
    log
}
