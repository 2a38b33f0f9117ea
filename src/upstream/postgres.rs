//! A PostgreSQL connection: TLS, startup, authentication (trust, cleartext, MD5, SCRAM-SHA-256), and the catalog loader.
//!
//! Source: the manual's "Message Flow", sections "Start-up", "SASL Authentication" and "SSL Session Encryption".

use super::Wire;
use super::login::{For, Logins, Who};
use crate::config::Upstream;
use crate::policy::{Home, Policy};
use crate::postgres::parameters::PINNED;
use crate::postgres::wire::{self, Frame, WireError};
use crate::postgres::{encode, startup};
use crate::sql::catalog::{CatalogProblem, Rows};
use crate::sql::home::{Question, queries};
use crate::sql::{Catalog, catalogs, fingerprint};
use bytes::{BufMut, BytesMut};
use postgres_protocol::authentication::{md5_hash, sasl};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket, or TLS.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server does not speak TLS and must.
    #[error("the server does not offer TLS")]
    NoTls,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// It asks for a way to authenticate that is not supported, or for a password that is not there.
    #[error("cannot authenticate: {0}")]
    Authentication(String),
    /// The server's own ErrorResponse: SQLSTATE and message.
    #[error("{0}: {1}")]
    Server(String, String),
    /// The catalog does not fit the policy.
    #[error("the catalog does not fit the policy: {}", .0.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
    Catalog(Vec<CatalogProblem>),
}

/// For the wall's own questions: how expressions are printed, and that nothing cuts an answer off, but who asks for a view's query waits for whoever
/// has locked what it reads (ruleutils.c, AcquireRewriteLocks): not for ever, for other tenants wait as well, and a reload does.
const STEADY: &str = "SET quote_all_identifiers = off; SET DateStyle = ISO; SET IntervalStyle = iso_8601; SET extra_float_digits = 3; SET TimeZone = UTC; SET bytea_output = hex; \
                      SET statement_timeout = 0; SET lock_timeout = '5s'; SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off";

type Res<T> = Result<T, ConnectError>;

/// An upstream made ready: its password read, its TLS set up.
#[derive(Clone, Debug)]
pub struct Target {
    address: String,
    logins: Arc<Logins>,
    database: String,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A connection that has said ReadyForQuery.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: Wire,
    /// Bytes read past ReadyForQuery.
    pub input: BytesMut,
    /// ParameterStatus as the server gave it.
    pub parameters: Vec<(String, String)>,
    /// BackendKeyData: process id and secret.
    pub key: (u32, Vec<u8>),
}

impl Target {
    /// Reads the password and the certificate authorities. Errors: a file that cannot be read.
    pub fn new(upstream: &Upstream) -> anyhow::Result<Self> {
        let tls = upstream.ca.as_ref().map(|ca| super::client_tls(ca)).transpose()?;
        Ok(Self { address: upstream.address.clone(), logins: Arc::new(Logins::new(upstream)?), database: upstream.database.clone(), tls })
    }

    /// Does this tenant log in with credentials of its own?
    pub fn has_login(&self, tenant: &str) -> bool {
        self.logins.is_own(tenant)
    }

    /// Connects and authenticates with these further startup parameters.
    pub async fn connect(&self, parameters: &[(String, String)]) -> Res<Connection> {
        self.connect_as(For::Wall, parameters).await
    }

    /// The same with the login of whom it is for, where that has one.
    pub async fn connect_as(&self, whose: For<'_>, parameters: &[(String, String)]) -> Res<Connection> {
        let who = self.logins.of(whose, false).await.map_err(ConnectError::Authentication)?;
        match self.connect_with(&who, parameters).await {
            // Rotated since, perhaps.
            Err(ConnectError::Server(state, message)) if matches!(state.as_str(), "28P01" | "28000") => {
                let again = self.logins.of(whose, true).await.map_err(ConnectError::Authentication)?;
                if again == who { Err(ConnectError::Server(state, message)) } else { self.connect_with(&again, parameters).await }
            }
            other => other,
        }
    }

    async fn connect_with(&self, who: &Who, parameters: &[(String, String)]) -> Res<Connection> {
        let mut stream = self.open().await?;
        // With it on, a scan of a large table begins where another session's is: the order of rows tells of it (PostgreSQL manual, 20.13.1).
        let mut all = vec![("user", who.user.as_str()), ("database", self.database.as_str()), ("synchronize_seqscans", "off")];
        all.extend(parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut out = BytesMut::new();
        startup::startup_message(&mut out, &all)?;
        stream.write_all(&out).await?;
        let mut connection = Connection { stream, input: BytesMut::new(), parameters: Vec::new(), key: (0, Vec::new()) };
        Self::authenticate(who, &mut connection).await?;
        loop {
            let frame = connection.frame().await?;
            match frame.tag {
                b'S' => connection.report(frame.body())?,
                b'K' => {
                    let mut reader = wire::Reader::new(frame.body());
                    let process = reader.u32()?;
                    connection.key = (process, frame.body().get(4..).unwrap_or_default().to_vec());
                }
                b'Z' => return Ok(connection),
                b'N' => {}
                _ => return Err(WireError::Value.into()),
            }
        }
    }

    /// Asks the server to cancel what this key's backend is doing.
    pub async fn cancel(&self, key: &(u32, Vec<u8>)) -> Res<()> {
        let mut stream = self.open().await?;
        let mut out = BytesMut::new();
        startup::cancel_request(&mut out, key.0, &key.1);
        stream.write_all(&out).await?;
        // The server closes without a word once it has passed the request on.
        let _ = stream.read(&mut [0; 1]).await?;
        Ok(())
    }

    /// Reads the catalog that `policy` is judged on.
    pub async fn catalog(&self, policy: &Policy) -> Res<Catalog> {
        self.catalog_for(policy, &Home::Rows).await
    }

    /// The same for those who live at `home`, whose upstream this is.
    pub async fn catalog_for(&self, policy: &Policy, home: &Home) -> Res<Catalog> {
        Catalog::build_for(policy, home, &self.answers(queries(policy, home)).await?).map_err(ConnectError::Catalog)
    }

    /// Asks on connections of its own: what is long for another server process to answer does not keep the rest waiting.
    pub async fn answers(&self, questions: Vec<Question>) -> Res<HashMap<&'static str, Rows>> {
        let (long, short) = questions.into_iter().partition(|q| catalogs::LONG.contains(&q.name));
        let (mut answers, more) = tokio::try_join!(self.asked(short), self.asked(long))?;
        answers.extend(more);
        Ok(answers)
    }

    async fn asked(&self, questions: Vec<Question>) -> Res<HashMap<&'static str, Rows>> {
        if questions.is_empty() {
            return Ok(HashMap::new());
        }
        let mut connection = self.own("partywall catalog").await?;
        let mut answers: HashMap<&'static str, Rows> = HashMap::new();
        for question in questions {
            answers.insert(question.name, connection.rows(&question.sql).await?);
        }
        connection.stream.write_all(&[b'X', 0, 0, 0, 4]).await?;
        Ok(answers)
    }

    /// What tells that a catalog may be another than it was: of each of these places, all in this database.
    pub async fn fingerprints(&self, homes: &[&Home]) -> Res<Vec<Rows>> {
        let mut connection = self.own("partywall catalog").await?;
        let mut all = Vec::with_capacity(homes.len());
        for home in homes {
            all.push(connection.rows(&fingerprint::question(home)).await?);
        }
        connection.stream.write_all(&[b'X', 0, 0, 0, 4]).await?;
        Ok(all)
    }

    /// Whether another leads to the same database.
    pub fn is_beside(&self, other: &Target) -> bool {
        (&self.address, &self.database) == (&other.address, &other.database)
    }

    /// A connection for the wall's own questions, whose answers no setting of the database's or the role's changes. The path stays theirs: it is asked for.
    async fn own(&self, name: &str) -> Res<Connection> {
        let pinned = PINNED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let parameters: Vec<_> = pinned.chain([("application_name".to_owned(), name.to_owned())]).collect();
        let mut connection = self.connect(&parameters).await?;
        connection.rows(STEADY).await?;
        Ok(connection)
    }

    /// Asks questions that may fail, each for so many milliseconds at most, and changes nothing. Rows that row-level security keeps away are
    /// an error, never left out. Errors of a question: in the server's words.
    pub async fn ask(&self, questions: &[String], milliseconds: u32) -> Res<Vec<Result<Rows, String>>> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.own("partywall check").await?;
        let mut answers = Vec::new();
        for question in questions {
            let settings = format!(
                "SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds}; SET LOCAL row_security = off"
            );
            connection.rows("BEGIN READ ONLY").await?;
            connection.rows(&settings).await?;
            answers.push(connection.attempt(question).await?);
            connection.rows("ROLLBACK").await?;
        }
        connection.stream.write_all(&[b'X', 0, 0, 0, 4]).await?;
        Ok(answers)
    }

    async fn open(&self) -> Res<Wire> {
        let mut socket = TcpStream::connect(&self.address).await?;
        super::set_up(&socket)?;
        let Some(tls) = &self.tls else { return Ok(Wire::Plain(socket)) };
        let mut out = BytesMut::new();
        startup::ssl_request(&mut out);
        socket.write_all(&out).await?;
        // One byte and no more: what follows it before the handshake would be an attacker's.
        let mut answer = [0u8; 1];
        socket.read_exact(&mut answer).await?;
        if answer != *b"S" {
            return Err(ConnectError::NoTls);
        }
        let name = super::server_name(&self.address)?;
        let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, socket).await?;
        Ok(Wire::Tls(Box::new(stream)))
    }

    async fn authenticate(who: &Who, connection: &mut Connection) -> Res<()> {
        let password = || who.password.as_deref().ok_or_else(|| ConnectError::Authentication("the server asks for a password".into()));
        loop {
            let frame = connection.frame().await?;
            if frame.tag != b'R' {
                return Err(WireError::Value.into());
            }
            let mut reader = wire::Reader::new(frame.body());
            match reader.u32()? {
                0 => return Ok(()),
                3 => connection.password(password()?.as_bytes()).await?,
                5 => {
                    let salt: [u8; 4] = reader.bytes(4)?.try_into().map_err(|_| WireError::Truncated)?;
                    let hash = md5_hash(who.user.as_bytes(), password()?.as_bytes(), salt);
                    connection.password(hash.as_bytes()).await?;
                }
                10 => connection.scram(password()?, &frame).await?,
                other => return Err(ConnectError::Authentication(format!("method {other} is not supported"))),
            }
        }
    }
}

impl Connection {
    /// The next message; an ErrorResponse is an error.
    async fn frame(&mut self) -> Res<Frame> {
        loop {
            if let Some(frame) = wire::take(&mut self.input, |_| 1 << 24)? {
                if frame.tag != b'E' {
                    return Ok(frame);
                }
                let fields = wire::fields(frame.body())?;
                let text = |code: u8| {
                    fields.iter().find(|(c, _)| *c == code).map(|(_, t)| String::from_utf8_lossy(t).into_owned()).unwrap_or_default()
                };
                return Err(ConnectError::Server(text(b'C'), text(b'M')));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    async fn password(&mut self, secret: &[u8]) -> Res<()> {
        let mut out = BytesMut::new();
        encode::message(&mut out, b'p', |b| encode::string(b, secret))?;
        Ok(self.stream.write_all(&out).await?)
    }

    async fn scram(&mut self, password: &str, offer: &Frame) -> Res<()> {
        let offered = offer.body().get(4..).unwrap_or_default();
        if !offered.split(|b| *b == 0).any(|m| m == b"SCRAM-SHA-256") {
            return Err(ConnectError::Authentication("the server offers no SCRAM-SHA-256".into()));
        }
        let mut scram = sasl::ScramSha256::new(password.as_bytes(), sasl::ChannelBinding::unsupported());
        let mut out = BytesMut::new();
        encode::message(&mut out, b'p', |b| {
            encode::string(b, b"SCRAM-SHA-256")?;
            b.put_u32(u32::try_from(scram.message().len()).map_err(|_| WireError::Value)?);
            b.put_slice(scram.message());
            Ok(())
        })?;
        self.stream.write_all(&out).await?;
        let challenge = self.sasl(11).await?;
        scram.update(&challenge)?;
        out.clear();
        encode::message(&mut out, b'p', |b| {
            b.put_slice(scram.message());
            Ok(())
        })?;
        self.stream.write_all(&out).await?;
        // The server's own proof is checked: it knows the password, or it is another.
        let proof = self.sasl(12).await?;
        Ok(scram.finish(&proof)?)
    }

    async fn sasl(&mut self, wanted: u32) -> Res<Vec<u8>> {
        let frame = self.frame().await?;
        let mut reader = wire::Reader::new(frame.body());
        if frame.tag != b'R' || reader.u32()? != wanted {
            return Err(WireError::Value.into());
        }
        Ok(frame.body().get(4..).unwrap_or_default().to_vec())
    }

    /// The same, where the server's refusal is an answer as well.
    pub async fn attempt(&mut self, sql: &str) -> Res<Result<Rows, String>> {
        match self.rows(sql).await {
            Ok(rows) => Ok(Ok(rows)),
            Err(ConnectError::Server(_, message)) => {
                while self.frame().await?.tag != b'Z' {}
                Ok(Err(message))
            }
            Err(error) => Err(error),
        }
    }

    /// The rows that a question gives, of the last statement in it; parameters that the server reports are taken in. After an error nothing
    /// more can be asked.
    pub async fn rows(&mut self, sql: &str) -> Res<Rows> {
        let mut out = BytesMut::new();
        encode::query(&mut out, sql)?;
        self.stream.write_all(&out).await?;
        let mut rows = Rows::new();
        loop {
            let frame = self.frame().await?;
            match frame.tag {
                b'D' => {
                    let mut reader = wire::Reader::new(frame.body());
                    let count = reader.u16()?;
                    let mut row = Vec::with_capacity(usize::from(count));
                    for _ in 0..count {
                        let value = wire::value(&mut reader)?;
                        row.push(value.map(wire::utf8).transpose()?.map(str::to_owned));
                    }
                    rows.push(row);
                }
                b'Z' => return Ok(rows),
                b'T' => rows.clear(),
                b'S' => self.report(frame.body())?,
                _ => {}
            }
        }
    }

    fn report(&mut self, body: &[u8]) -> Res<()> {
        let mut reader = wire::Reader::new(body);
        let (name, value) = (reader.string()?.to_owned(), reader.string()?.to_owned());
        match self.parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.parameters.push((name, value)),
        }
        Ok(())
    }
}
