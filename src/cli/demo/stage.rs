//! The demo's stage: a throwaway PostgreSQL and Redis, certificates, and the wall itself, each a process of its own on a loopback port.
//!
//! A small shell script holds the other end of a pipe: it ends the servers and removes the directory as soon as the demo is gone,
//! also where it was killed.

use anyhow::{Context, bail};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer after it was started.
const READY: Duration = Duration::from_secs(20);

/// Everything that runs.
pub struct Stage {
    /// Holds all files; removed at the end.
    pub dir: PathBuf,
    /// PostgreSQL itself.
    pub postgres: u16,
    /// Redis itself.
    pub redis: u16,
    /// Where tenants reach PostgreSQL.
    pub wall_postgres: u16,
    /// Where tenants reach Redis.
    pub wall_redis: u16,
    /// The wall's admin port.
    pub admin: u16,
    /// `PostgreSQL 15.x`, `Redis 7.x`
    pub versions: [String; 2],
    bin: PathBuf,
    children: Vec<Child>,
}

/// The undertaker; it sets to work when this is dropped or the process is gone.
pub struct Undertaker {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Undertaker {
    /// Waits for `dir` to be no longer needed.
    pub fn hire(dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("undertaker.sh"), "undertaker"]).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.process_group(0).spawn().context("sh cannot be run")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Ends all servers and removes all files, and waits for it.
    pub fn bury(&mut self) {
        self.pipe.take();
        let _ = self.child.wait();
    }
}

/// The programs that are missing on this machine, as Debian names their packages.
pub fn missing() -> Vec<&'static str> {
    let lacking = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err();
    let mut all = Vec::new();
    if postgres_bin().is_none() {
        all.push("postgresql");
    }
    for (program, package) in
        [("psql", "postgresql-client"), ("redis-server", "redis-server"), ("redis-cli", "redis-tools"), ("openssl", "openssl")]
    {
        if lacking(program) {
            all.push(package);
        }
    }
    all
}

/// Debian keeps PostgreSQL's server programs off the path; the newest version is taken.
fn postgres_bin() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let number = |p: &PathBuf| p.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let homes = versions.filter_map(|v| Some(v.ok()?.path().join("bin"))).filter(|b| b.join("initdb").exists());
    homes.max_by_key(number).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|p| p.join("initdb").exists() && p.join("postgres").exists())
    })
}

impl Stage {
    /// An empty stage in a fresh directory. `steady`: the same names and ports every time, as far as they are free.
    pub fn new(steady: bool) -> anyhow::Result<Self> {
        let unique = std::env::temp_dir().join(format!("partywall-demo-{}", std::process::id()));
        let short = std::env::temp_dir().join("partywall-demo");
        let dir = if steady && fs::create_dir(&short).is_ok() {
            short
        } else {
            fs::create_dir(&unique).with_context(|| format!("{} cannot be made", unique.display()))?;
            unique
        };
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
        let bin = postgres_bin().context("PostgreSQL is not installed")?;
        // The same ports every time are easier to type; a check must not stand in another's way.
        let port = |wanted: u16| free_port(if steady { wanted } else { 0 });
        let (wall_postgres, wall_redis, admin) = (port(6432)?, port(6380)?, port(9901)?);
        let (postgres, redis) = (free_port(0)?, free_port(0)?);
        let versions = [String::new(), String::new()];
        Ok(Self { dir, postgres, redis, wall_postgres, wall_redis, admin, versions, bin, children: Vec::new() })
    }

    /// A throwaway cluster: its owner comes in by a socket that only he can reach, the role `app` by password.
    pub fn start_postgres(&mut self) -> anyhow::Result<()> {
        let data = self.dir.join("pg");
        let password = secret()?;
        fs::write(self.dir.join("app.password"), &password)?;
        fs::set_permissions(self.dir.join("app.password"), fs::Permissions::from_mode(0o600))?;
        fs::create_dir(&data)?;
        let (uid, gid) = unprivileged("postgres")?;
        std::os::unix::fs::chown(&data, Some(uid), Some(gid))?;
        let mut init = Command::new(self.bin.join("initdb"));
        init.arg("-D").arg(&data).args(["-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        run(demoted(init.args(["--auth-local=trust", "--auth-host=scram-sha-256"]), uid, gid))?;
        let log = fs::File::create(self.dir.join("postgres.log"))?;
        let mut server = Command::new(self.bin.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&data).args(["-h", "127.0.0.1", "-p", &self.postgres.to_string(), "-F"]);
        server.args(["-c", "log_statement=all", "-c", "log_line_prefix=%u ", "-c", "shared_buffers=16MB"]);
        self.spawn(demoted(&mut server, uid, gid).stdout(Stdio::null()).stderr(log))?;
        wait_for("PostgreSQL", || self.owner("postgres", "SELECT 1").is_ok())?;
        self.owner("postgres", &format!("CREATE ROLE app LOGIN PASSWORD '{password}'"))?;
        self.owner("postgres", "CREATE DATABASE shop")?;
        self.owner("shop", include_str!("../../../policies/shop.sql"))?;
        self.owner("shop", include_str!("rows.sql"))?;
        self.versions[0] = format!("PostgreSQL {}", self.owner("shop", "SHOW server_version")?.split(' ').next().unwrap_or_default());
        Ok(())
    }

    /// Redis without persistence, filled with three tenants' keys.
    pub fn start_redis(&mut self) -> anyhow::Result<()> {
        let log = fs::File::create(self.dir.join("redis.log"))?;
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &self.redis.to_string(), "--save", "", "--appendonly", "no"]);
        let child = self.spawn(server.stdout(log).stderr(Stdio::null()))?;
        fs::write(self.dir.join("redis.pid"), format!("{child}\n"))?;
        wait_for("Redis", || self.redis_owner(&["PING"]).is_ok_and(|a| a == "PONG"))?;
        for line in include_str!("shop.redis").lines() {
            self.redis_owner(&words(line))?;
        }
        let info = self.redis_owner(&["INFO", "server"])?;
        let version = info.lines().find_map(|l| l.strip_prefix("redis_version:")).unwrap_or_default();
        self.versions[1] = format!("Redis {}", version.trim());
        Ok(())
    }

    /// An authority, the wall's certificate, and one for each tenant that names it.
    pub fn make_certificates(&self) -> anyhow::Result<()> {
        let openssl = |arguments: &str| run(Command::new("openssl").args(arguments.split(' ')).current_dir(&self.dir));
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=demo"))?;
        for (name, san) in [
            ("wall", "DNS:localhost,IP:127.0.0.1"),
            ("acme", "URI:spiffe://shop.example/tenant/acme/web"),
            ("globex", "URI:spiffe://shop.example/tenant/globex/web"),
        ] {
            fs::write(self.dir.join("san.cnf"), format!("subjectAltName={san}\nbasicConstraints=CA:FALSE\n"))?;
            openssl(&format!("req {} -keyout {name}.key -out {name}.csr -subj /CN={name}", key.replace(" -days 2", "")))?;
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 -extfile san.cnf"
            ))?;
        }
        Ok(())
    }

    /// The wall, as `partywall serve` on files like anybody's.
    pub fn start_wall(&mut self) -> anyhow::Result<()> {
        fs::create_dir(self.dir.join("policies"))?;
        fs::write(self.dir.join("policies/shop.yaml"), include_str!("../../../policies/shop.yaml"))?;
        fs::write(self.dir.join("partywall.yaml"), self.configuration())?;
        let mut wall = Command::new(std::env::current_exe()?);
        wall.args(["serve", "--config", "partywall.yaml"]).current_dir(&self.dir).stdout(Stdio::piped());
        let log = self.dir.join("wall.log");
        let child = self.spawn(wall.stderr(fs::File::create(&log)?))?;
        fs::write(self.dir.join("wall.pid"), format!("{child}\n"))?;
        let stdout = self.children.last_mut().and_then(|c| c.stdout.take()).context("the wall has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut waited_for = vec!["shop-pg: ", "shop-redis: "];
        while !waited_for.is_empty() {
            let Some(Ok(line)) = lines.next() else {
                bail!("the wall did not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
            };
            waited_for.retain(|name| !line.starts_with(name));
        }
        // The wall may go on talking; nobody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    fn configuration(&self) -> String {
        format!(
            "listeners:
  - {{ name: shop-pg, protocol: postgres, listen: 127.0.0.1:{}, upstream: shop-db, policy: shop, identity: [startup] }}
  - name: shop-redis
    protocol: redis
    listen: 127.0.0.1:{}
    upstream: shop-redis
    policy: shop
    identity: [mtls]
    tls: {{ cert: wall.crt, key: wall.key, client_ca: ca.crt, require: true }}
upstreams:
  shop-db: {{ address: 127.0.0.1:{}, database: shop, user: app, password_file: app.password }}
  shop-redis: {{ address: 127.0.0.1:{} }}
policies: policies/
admin: 127.0.0.1:{}
",
            self.wall_postgres, self.wall_redis, self.postgres, self.redis, self.admin
        )
    }

    /// Starts a process of its own group, so that Ctrl-C reaches only the demo; gives its id.
    fn spawn(&mut self, command: &mut Command) -> anyhow::Result<u32> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.with_context(|| format!("{} cannot be run", command.get_program().to_string_lossy()))?;
        let id = child.id();
        self.children.push(child);
        Ok(id)
    }

    /// What PostgreSQL's owner is told, past the wall.
    pub fn owner(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let host = self.dir.join("pg");
        let conninfo = format!("host={} port={} user=postgres dbname={database}", host.display(), self.postgres);
        run(psql(&conninfo).args(["-q", "-A", "-F", "|", "-P", "footer=off", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// What Redis' owner is told, past the wall.
    pub fn redis_owner(&self, command: &[&str]) -> anyhow::Result<String> {
        run(Command::new("redis-cli").args(["-h", "127.0.0.1", "-p", &self.redis.to_string()]).args(command))
    }

    /// How a tenant connects with psql.
    pub fn conninfo(&self, tenant: &str) -> String {
        format!("host=127.0.0.1 port={} dbname=shop options='-c partywall.tenant={tenant}'", self.wall_postgres)
    }

    /// How a tenant connects with redis-cli, in the stage's directory.
    pub fn redis_arguments(&self, tenant: &str) -> String {
        format!("-p {} --tls --cacert ca.crt --cert {tenant}.crt --key {tenant}.key", self.wall_redis)
    }

    /// A line as a person types it into a shell in the stage's directory: what it says.
    pub fn shell(&self, line: &str) -> anyhow::Result<String> {
        run(Command::new("sh").args(["-c", line]).current_dir(&self.dir))
    }

    /// How much PostgreSQL has logged so far.
    pub fn log_length(&self) -> usize {
        fs::metadata(self.dir.join("postgres.log")).map_or(0, |m| usize::try_from(m.len()).unwrap_or(0))
    }

    /// The last statement of the role `app` in PostgreSQL's log after this length.
    pub fn received_since(&self, length: usize) -> anyhow::Result<String> {
        let log = fs::read(self.dir.join("postgres.log"))?;
        let text = String::from_utf8_lossy(log.get(length..).unwrap_or_default()).into_owned();
        let mut statements = text.lines().filter_map(|l| l.strip_prefix("app LOG:  statement: "));
        Ok(statements.next_back().unwrap_or_default().to_owned())
    }
}

/// psql with nothing of this user's settings.
pub fn psql(conninfo: &str) -> Command {
    let mut command = Command::new("psql");
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.env("PGCONNECT_TIMEOUT", "10").stdin(Stdio::null());
    command.args(["-X", "-d", conninfo]);
    command
}

/// A line's words; double quotes keep blanks together.
pub fn words(line: &str) -> Vec<&str> {
    line.split('"').enumerate().flat_map(|(i, p)| if i % 2 == 1 { vec![p] } else { p.split_whitespace().collect() }).collect()
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Root may not run PostgreSQL: its own account does then.
fn demoted(command: &mut Command, uid: u32, gid: u32) -> &mut Command {
    if is_root() { command.uid(uid).gid(gid).current_dir("/") } else { command }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

fn unprivileged(account: &str) -> anyhow::Result<(u32, u32)> {
    let of = |flag: &str| -> anyhow::Result<u32> {
        let mut command = Command::new("id");
        command.arg(flag);
        Ok(run(if is_root() { command.arg(account) } else { &mut command })?.parse()?)
    };
    Ok((of("-u")?, of("-g")?))
}

/// A password that nobody guesses.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The wanted port if nobody has it, else any.
fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let socket = TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(socket.local_addr()?.port())
}

fn wait_for(what: &str, ready: impl Fn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > READY {
            bail!("{what} does not answer");
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    Ok(())
}
