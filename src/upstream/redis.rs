//! A Redis connection: TLS, password, and what the server says of itself.

mod backstop;
pub mod cluster;
mod event;
mod inbox;
mod keeper;
mod lane;
mod replicas;
mod sentinel;
mod shared;

pub use backstop::{Backstop, Lease, Users};
pub use cluster::route::{Routed, Whose};
pub use keeper::Keeper;
pub use lane::{Lane, Multiplex};
pub use shared::{Event, Tell};

use super::Stream;
use super::login::{For, Logins, Who};
use crate::config::Upstream;
use crate::redis::commands::Lacks;
use crate::redis::encode::{self, Resp};
use crate::redis::frames::Measure;
use crate::redis::tenant::Number;
use crate::redis::value::Value;
use bytes::{Buf, BytesMut};
use cluster::Cluster;
use sentinel::{Followed, Sentinels};
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer to what is asked while connecting.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket, or TLS.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server's own error.
    #[error("{0}")]
    Server(String),
    /// The password cannot be had.
    #[error("cannot authenticate: {0}")]
    Login(String),
    /// The sentinels' master says that it is none.
    #[error("the server is no master")]
    NoMaster,
    /// It said something else than was asked for.
    #[error("the server broke the protocol")]
    Protocol,
}

/// An upstream made ready: its password read, its TLS set up.
#[derive(Clone)]
pub struct Target {
    address: String,
    sentinels: Option<Arc<Sentinels>>,
    cluster: Option<Arc<Cluster>>,
    user: Option<String>,
    logins: Arc<Logins>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A connection that has authenticated.
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// Bytes read past the last answer.
    pub input: BytesMut,
    /// The server's number of the connection; none where it does not say, as while a script keeps it busy.
    pub number: Number,
}

/// What a server says of itself at the start.
#[derive(Clone, Debug)]
pub struct About {
    /// `redis_version`
    pub version: String,
    /// Payloads of RESTORE are looked over before they are taken.
    pub sanitizes: bool,
    /// Replies that nobody reads are kept without bound.
    pub replies_unbounded: bool,
    /// Commands that it does not have.
    pub lacks: Lacks,
}

impl Target {
    /// Reads the password and the certificates. Errors: a file that cannot be read or used.
    pub fn new(upstream: &Upstream) -> anyhow::Result<Self> {
        let tls = upstream.ca.as_deref().map(super::client_tls).transpose()?;
        let (address, user, logins) = (upstream.address.clone(), upstream.typed_user.clone(), Arc::new(Logins::new(upstream)?));
        let sentinels = upstream.sentinel.as_ref().map(|sentinel| Arc::new(Sentinels::new(&address, sentinel, tls.clone())));
        let cluster = upstream.cluster.as_ref().map(|cluster| Arc::new(Cluster::new(&address, &cluster.others)));
        Ok(Self { address, sentinels, cluster, user, logins, tls })
    }

    /// Follows failovers, where sentinels or the nodes of a cluster tell of them. None: nobody does.
    pub fn follow(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if let Some(cluster) = &self.cluster {
            return Some(Box::pin(cluster.clone().follow(self.clone())));
        }
        self.sentinels.clone().map(|sentinels| Box::pin(sentinels.follow()) as Pin<Box<_>>)
    }

    /// The cluster that it is, if it is one: then only its nodes can be connected to.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// One server of those that it leads to.
    pub fn node(&self, address: &str) -> Self {
        Self { address: address.to_owned(), cluster: None, sentinels: None, ..self.clone() }
    }

    /// All servers that serve: one, but for a cluster. Errors: no node says.
    pub async fn servers(&self) -> Result<Vec<Self>, ConnectError> {
        let Some(cluster) = &self.cluster else { return Ok(vec![self.clone()]) };
        Ok(cluster.masters(self).await?.iter().map(|address| self.node(address)).collect())
    }

    /// `host:port`, as the file or the cluster names it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects and authenticates. Errors: see [`ConnectError`].
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let who = self.logins.of(For::Wall, false).await.map_err(ConnectError::Login)?;
        match self.connect_with(&who).await {
            // Rotated since, perhaps.
            Err(ConnectError::Server(said)) if is_of_login(&said) => {
                let again = self.logins.of(For::Wall, true).await.map_err(ConnectError::Login)?;
                if again == who { Err(ConnectError::Server(said)) } else { self.connect_with(&again).await }
            }
            other => other,
        }
    }

    async fn connect_with(&self, who: &Who) -> Result<Connection, ConnectError> {
        match &self.sentinels {
            None => self.login(dial(&self.address, self.tls.as_ref()).await?, who).await,
            Some(sentinels) => match self.connect_master(sentinels, who, false).await {
                // A failover, perhaps: the sentinels know.
                Err(ConnectError::Io(_) | ConnectError::NoMaster) => self.connect_master(sentinels, who, true).await,
                other => other,
            },
        }
    }

    /// A connection to what is the master by the sentinels' word and by its own.
    async fn connect_master(&self, sentinels: &Sentinels, who: &Who, again: bool) -> Result<Connection, ConnectError> {
        let (address, known) = sentinels.find(again).await?;
        let stream = dial(&address, self.tls.as_ref()).await?;
        let mut connection = self.login(Box::new(Followed::new(stream, address, known)), who).await?;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["ROLE"]);
        connection.stream.write_all(&out).await?;
        let role = connection.reply().await?;
        if role.starts_with(b"*3\r\n$6\r\nmaster\r\n") { Ok(connection) } else { Err(ConnectError::NoMaster) }
    }

    async fn login(&self, stream: Stream, who: &Who) -> Result<Connection, ConnectError> {
        let mut connection = Connection { stream, input: BytesMut::new(), number: Number::default() };
        self.authenticate(&mut connection, who).await?;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["CLIENT", "ID"]);
        encode::command(&mut out, &["INFO", "server"]);
        connection.stream.write_all(&out).await?;
        let id = match connection.line().await {
            Ok(line) => line.strip_prefix(':').and_then(|id| id.parse().ok()).ok_or(ConnectError::Protocol)?,
            Err(ConnectError::Server(_)) => 0,
            Err(error) => return Err(error),
        };
        connection.number = Number { id, run: run(&connection.reply().await?) };
        Ok(connection)
    }

    /// The same for one client, as the tenant's own user where there is one, and in this protocol.
    pub async fn open_own(&self, resp: Resp, users: Option<&Users>) -> Result<Connection, ConnectError> {
        let mut connection = self.connect().await?;
        connection.become_own(resp, users).await?;
        Ok(connection)
    }

    /// The same as the wall's own user.
    async fn open_for(&self, resp: Resp) -> Result<Connection, ConnectError> {
        self.open_own(resp, None).await
    }

    /// Takes everything off a connection that a client has left on it, so that it is as new. Errors: it is not, and must end.
    async fn renew(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        if connection.ask(&["RESET"]).await? != "+RESET" {
            return Err(ConnectError::Protocol);
        }
        // RESET makes it the default user's.
        let who = self.logins.of(For::Wall, false).await.map_err(ConnectError::Login)?;
        match self.authenticate(connection, &who).await {
            Err(ConnectError::Server(said)) if is_of_login(&said) => {
                let again = self.logins.of(For::Wall, true).await.map_err(ConnectError::Login)?;
                self.authenticate(connection, &again).await?;
            }
            other => other?,
        }
        if connection.input.is_empty() { Ok(()) } else { Err(ConnectError::Protocol) }
    }

    async fn authenticate(&self, connection: &mut Connection, who: &Who) -> Result<(), ConnectError> {
        let mut out = BytesMut::new();
        self.write_auth(who, &mut out);
        if !out.is_empty() {
            connection.stream.write_all(&out).await?;
            if connection.line().await? != "+OK" {
                return Err(ConnectError::Protocol);
            }
        }
        Ok(())
    }

    fn write_auth(&self, who: &Who, out: &mut BytesMut) {
        match (&self.user, &who.password) {
            (Some(user), Some(password)) => encode::command(out, &["AUTH", user, password]),
            (None, Some(password)) => encode::command(out, &["AUTH", password]),
            _ => {}
        }
    }

    /// What the server is and how it is set up; of a cluster, what holds for all who have slots or may come to have them. Errors: as for a connection.
    pub async fn about(&self) -> Result<About, ConnectError> {
        let mut all: Option<About> = None;
        let mut servers = self.servers().await?;
        let masters = servers.len();
        servers.extend(self.cluster.iter().flat_map(|cluster| cluster.map().addresses()).skip(masters).map(|replica| self.node(&replica)));
        for (at, server) in servers.iter().enumerate() {
            let one = match (server.about_one().await, &all) {
                // Of a replica that does not say it nothing good is believed.
                (Err(_), Some(all)) if at >= masters => About { sanitizes: false, ..all.clone() },
                (one, _) => one?,
            };
            all = Some(match all {
                None => one,
                Some(all) => About {
                    version: if newer(&one.version, &all.version) { all.version } else { one.version },
                    sanitizes: all.sanitizes && one.sanitizes,
                    replies_unbounded: all.replies_unbounded || one.replies_unbounded,
                    lacks: all.lacks.or(one.lacks),
                },
            });
        }
        all.ok_or_else(|| ConnectError::Server("no node of the cluster has slots".to_owned()))
    }

    async fn about_one(&self) -> Result<About, ConnectError> {
        let mut connection = self.connect().await?;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["INFO", "server"]);
        connection.stream.write_all(&out).await?;
        let info = connection.bulk().await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).ok_or(ConnectError::Protocol)?;
        let sanitizes = connection.setting("sanitize-dump-payload").await?.is_some_and(|set| set == "yes" || set == "clients");
        let limits = connection.setting("client-output-buffer-limit").await?;
        let replies_unbounded = limits.is_some_and(|set| set.starts_with("normal 0 "));
        let lacks = connection.commands().await?;
        Ok(About { version: version.trim().to_owned(), sanitizes, replies_unbounded, lacks })
    }
}

/// What tells this start of a server from all others: the beginning of its `run_id`, 40 hexadecimal digits by chance. 0: INFO does not say.
fn run(info: &[u8]) -> u64 {
    let lines = info.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b"run_id:"));
    let digits = lines.filter_map(|id| std::str::from_utf8(id.get(..16)?).ok());
    digits.filter_map(|digits| u64::from_str_radix(digits, 16).ok()).next().unwrap_or(0)
}

/// Whether a version is above another.
fn newer(one: &str, other: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    numbers(one) > numbers(other)
}

/// Whether an error is about who logs in: a password that was rotated, perhaps.
fn is_of_login(said: &str) -> bool {
    ["WRONGPASS", "NOAUTH", "ERR invalid password"].iter().any(|begins| said.starts_with(begins))
}

/// A socket, or TLS over one.
async fn dial(address: &str, tls: Option<&Arc<rustls::ClientConfig>>) -> Result<Stream, ConnectError> {
    let socket = TcpStream::connect(address).await?;
    super::set_up(&socket)?;
    // All tenants may wait on it.
    super::give_up(&socket)?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let name = super::server_name(address)?;
    Ok(Box::new(tokio_rustls::TlsConnector::from(tls.clone()).connect(name, socket).await?))
}

impl Connection {
    /// Sends a command and reads the line that it is answered with. Errors: the server's own is one.
    pub async fn ask(&mut self, command: &[&str]) -> Result<String, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, command);
        self.stream.write_all(&out).await?;
        self.line().await
    }

    /// Becomes a tenant's own user, which is made if need be; and speaks this protocol.
    async fn become_own(&mut self, resp: Resp, users: Option<&Users>) -> Result<(), ConnectError> {
        if let Some(users) = users {
            let own = &users.own;
            // As long as it is the wall's.
            let made = if own.is_made() { self.confirmed(&[users.patterns.make(), own.auth()]).await } else { Ok(()) };
            match made {
                Ok(()) if own.is_made() => {}
                // The server was started anew, or somebody removed it.
                Err(ConnectError::Server(said)) if !said.starts_with("WRONGPASS") => return Err(ConnectError::Server(said)),
                Ok(()) | Err(ConnectError::Server(_)) => {
                    self.confirmed(&[users.patterns.make(), own.make(), own.auth()]).await?;
                    own.set_made();
                }
                Err(error) => return Err(error),
            }
        }
        self.speak(resp).await
    }

    /// Becomes the user that can do nothing but make tenants' own.
    async fn become_maker(&mut self, users: &Users) -> Result<(), ConnectError> {
        self.confirmed(&[users.maker.make(), users.maker.auth()]).await
    }

    /// Sends commands, each of which must be answered with OK. Errors: the server's own is one.
    async fn confirmed(&mut self, commands: &[&[u8]]) -> Result<(), ConnectError> {
        self.stream.write_all(&commands.concat()).await?;
        let mut wrong = None;
        for _ in commands {
            match self.line().await {
                Ok(line) if line == "+OK" => {}
                Ok(_) => return Err(ConnectError::Protocol),
                Err(ConnectError::Server(said)) => wrong = Some(said),
                Err(error) => return Err(error),
            }
        }
        wrong.map_or(Ok(()), |said| Err(ConnectError::Server(said)))
    }

    /// Speaks another protocol. Errors: the server's own is one.
    async fn speak(&mut self, resp: Resp) -> Result<(), ConnectError> {
        if resp == Resp::Two {
            return Ok(());
        }
        let mut out = BytesMut::new();
        encode::command(&mut out, &["HELLO", "3"]);
        self.stream.write_all(&out).await?;
        let refused = self.reply().await?.starts_with(b"-");
        if refused { Err(ConnectError::Server("HELLO was refused".to_owned())) } else { Ok(()) }
    }

    /// A whole reply as it came.
    async fn reply(&mut self) -> Result<BytesMut, ConnectError> {
        self.reply_of(ANSWER_MAX_BYTES).await
    }

    /// The same of at most so many bytes.
    async fn reply_of(&mut self, max: usize) -> Result<BytesMut, ConnectError> {
        let (mut measure, mut reply) = (Measure::default(), BytesMut::new());
        loop {
            let (bytes, whole) = measure.feed(&self.input, Resp::Three).map_err(|_| ConnectError::Protocol)?;
            reply.extend_from_slice(&self.input.split_to(bytes));
            match whole {
                true => return Ok(reply),
                false if reply.len() > max => return Err(ConnectError::Protocol),
                false => self.read().await?,
            }
        }
    }

    /// Whether a script keeps the server from serving. Errors: as for a connection.
    pub async fn is_busy(&mut self) -> Result<bool, ConnectError> {
        match self.ask(&["PING"]).await {
            Ok(_) => Ok(false),
            Err(ConnectError::Server(said)) => Ok(said.starts_with("BUSY")),
            Err(error) => Err(error),
        }
    }

    /// A line without its end; an error is one.
    async fn line(&mut self) -> Result<String, ConnectError> {
        loop {
            if let Some(end) = self.input.iter().position(|b| *b == b'\n') {
                let line = self.input.split_to(end + 1);
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                return match line.strip_prefix('-') {
                    Some(error) => Err(ConnectError::Server(error.to_owned())),
                    None => Ok(line),
                };
            }
            self.read().await?;
        }
    }

    /// What of the table the server lacks; nothing where it does not tell. Errors: as for a connection.
    async fn commands(&mut self) -> Result<Lacks, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, &["COMMAND", "LIST"]);
        self.stream.write_all(&out).await?;
        let reply = self.reply().await?.freeze();
        let listed = Value::read(&reply).ok_or(ConnectError::Protocol)?;
        if listed.items().is_empty() {
            return Ok(Lacks::default());
        }
        Ok(Lacks::new(listed.items().iter().filter_map(Value::text).map(AsRef::as_ref)))
    }

    /// A setting by CONFIG GET; None where the server has none, or does not tell this user.
    async fn setting(&mut self, name: &str) -> Result<Option<String>, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, &["CONFIG", "GET", name]);
        self.stream.write_all(&out).await?;
        match self.line().await {
            Err(ConnectError::Server(_)) => Ok(None),
            Err(error) => Err(error),
            Ok(head) if head == "*0" => Ok(None),
            Ok(_) => {
                self.bulk().await?;
                Ok(Some(self.bulk().await?))
            }
        }
    }

    async fn bulk(&mut self) -> Result<String, ConnectError> {
        let head = self.line().await?;
        let length = head.strip_prefix('$').and_then(|n| n.parse().ok()).filter(|n: &usize| *n < ANSWER_MAX_BYTES);
        let length = length.ok_or(ConnectError::Protocol)?;
        while self.input.len() < length + 2 {
            self.read().await?;
        }
        let text = self.input.split_to(length);
        self.input.advance(2);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    async fn read(&mut self) -> Result<(), ConnectError> {
        if self.input.len() > ANSWER_MAX_BYTES {
            return Err(ConnectError::Protocol);
        }
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}
