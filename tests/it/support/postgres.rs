//! Throwaway PostgreSQL 15: unprivileged, on loopback, in a directory of its own that goes with it.

use super::{Leash, eventually, free_port};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian puts the server's programs.
pub const BIN: &str = "/usr/lib/postgresql/15/bin";
const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n";
const CONF: &str = "listen_addresses = '127.0.0.1'\nfsync = off\nfull_page_writes = off\nsynchronous_commit = off\nmax_connections = 200\n\
shared_buffers = 32MB\nmax_wal_size = 256MB\nautovacuum = off\nlogging_collector = off\n";

/// A server.
pub struct Postgres {
    /// Its TCP port.
    pub port: u16,
    directory: PathBuf,
    _leash: Leash,
}

/// A database of a shared server, for one test.
#[derive(Clone, Debug)]
pub struct Database {
    /// The server's port.
    pub port: u16,
    /// Its name.
    pub name: String,
}

impl Postgres {
    /// A server of its own, trusting everybody on loopback; superuser `postgres`.
    pub fn start() -> Self {
        Self::start_with("", TRUST, &[])
    }

    /// A server with further lines of postgresql.conf, a pg_hba.conf, and files (name, text) in the data directory.
    pub fn start_with(conf: &str, hba: &str, files: &[(&str, &str)]) -> Self {
        for _ in 0..5 {
            if let Some(server) = Self::attempt(BIN, conf, hba, files) {
                return server;
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// The server that all tests share, started by the first; ask it for a [`Database`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A new database, empty.
    pub fn database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        Database { port: self.port, name }
    }

    /// Runs SQL as superuser; unaligned rows, `|` between columns. Panics on an error.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        psql(self.port, database, sql)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// A server of the programs in `bin`, which may be of another version.
    pub fn start_from(bin: &str) -> Self {
        let mut starts = (0..5).filter_map(|_| Self::attempt(bin, "", TRUST, &[]));
        starts.next().expect("PostgreSQL does not start")
    }

    fn attempt(bin: &str, conf: &str, hba: &str, files: &[(&str, &str)]) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("partywall-pg-").tempdir().unwrap().keep();
        own(&directory, 0o700);
        let data = directory.join("data");
        let data = data.to_str().unwrap();
        let made = unprivileged(&[&format!("{bin}/initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--locale=C", "-E", "UTF8", "-N"]);
        let output = Command::new(&made[0]).args(&made[1..]).current_dir("/").output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let path = |name: &str| Path::new(data).join(name);
        let text = std::fs::read_to_string(path("postgresql.conf")).unwrap();
        let sockets = directory.display();
        std::fs::write(path("postgresql.conf"), format!("{text}\n{CONF}port = {port}\nunix_socket_directories = '{sockets}'\n{conf}\n"))
            .unwrap();
        std::fs::write(path("pg_hba.conf"), hba).unwrap();
        for (name, text) in files {
            std::fs::write(path(name), text).unwrap();
            own(&path(name), 0o600);
        }
        let log = directory.join("log");
        std::fs::write(&log, "").unwrap();
        own(&log, 0o600);
        let serve = format!("exec {bin}/postgres -D {data} >>{} 2>&1", log.display());
        let program = unprivileged(&["sh", "-c", &serve]);
        let program: Vec<&str> = program.iter().map(String::as_str).collect();
        // At once: a server that is still recovering can miss the wish to shut down in good order.
        let leash = Leash::start("QUIT", Some(&directory), &program, Path::new("/"), &[]);
        let server = Self { port, directory, _leash: leash };
        let up = eventually(|| server._leash.has_ended() || server.log().contains("database system is ready to accept connections"));
        if up && !server._leash.has_ended() {
            return Some(server);
        }
        eprintln!("{}", server.log());
        None
    }
}

impl Database {
    /// Runs SQL as superuser; unaligned rows, `|` between columns. Panics on an error.
    pub fn psql(&self, sql: &str) -> String {
        psql(self.port, &self.name, sql)
    }
}

/// `psql` as the server's superuser.
fn psql(port: u16, database: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", database, "-c", sql])
        .env("PGPORT", port.to_string())
        .output()
        .expect("psql");
    assert!(output.status.success(), "psql: {}\n{sql}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// PostgreSQL refuses to run as root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn unprivileged(program: &[&str]) -> Vec<String> {
    // setpriv, unlike runuser, becomes the program, so that signals reach it.
    let as_postgres: &[&str] = if is_root() { &["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] } else { &[] };
    as_postgres.iter().chain(program).map(|s| (*s).to_owned()).collect()
}

fn own(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if is_root() {
        let status = Command::new("chown").arg("postgres:postgres").arg(path).status().unwrap();
        assert!(status.success());
    }
}
