//! A Redis connection: TLS, password, and what the server says of itself.

use super::Stream;
use crate::config::Upstream;
use crate::redis::encode;
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer to what is asked while connecting.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket, or TLS.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server's own error.
    #[error("{0}")]
    Server(String),
    /// It said something else than was asked for.
    #[error("the server broke the protocol")]
    Protocol,
}

/// An upstream made ready: its password read, its TLS set up.
#[derive(Clone)]
pub struct Target {
    address: String,
    user: Option<String>,
    password: Option<String>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A connection that has authenticated.
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// Bytes read past the last answer.
    pub input: BytesMut,
    /// The server's number of the connection; 0 where it does not say, as while a script keeps it busy.
    pub id: u64,
}

impl Target {
    /// Reads the password and the certificates. Errors: a file that cannot be read or used.
    pub fn new(upstream: &Upstream) -> anyhow::Result<Self> {
        let password =
            upstream.password_file.as_ref().map(std::fs::read_to_string).transpose()?.map(|p| p.trim_end_matches('\n').to_owned());
        let tls = upstream.ca.as_deref().map(super::client_tls).transpose()?;
        Ok(Self { address: upstream.address.clone(), user: upstream.typed_user.clone(), password, tls })
    }

    /// Connects and authenticates. Errors: see [`ConnectError`].
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let mut connection = Connection { stream: self.open().await?, input: BytesMut::new(), id: 0 };
        let mut out = BytesMut::new();
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => encode::command(&mut out, &["AUTH", user, password]),
            (None, Some(password)) => encode::command(&mut out, &["AUTH", password]),
            _ => {}
        }
        if !out.is_empty() {
            connection.stream.write_all(&out).await?;
            connection.line().await?;
            out.clear();
        }
        encode::command(&mut out, &["CLIENT", "ID"]);
        connection.stream.write_all(&out).await?;
        connection.id = match connection.line().await {
            Ok(line) => line.strip_prefix(':').and_then(|id| id.parse().ok()).ok_or(ConnectError::Protocol)?,
            Err(ConnectError::Server(_)) => 0,
            Err(error) => return Err(error),
        };
        Ok(connection)
    }

    /// `redis_version` of the server. Errors: as for a connection.
    pub async fn version(&self) -> Result<String, ConnectError> {
        let mut connection = self.connect().await?;
        let mut out = BytesMut::new();
        encode::command(&mut out, &["INFO", "server"]);
        connection.stream.write_all(&out).await?;
        let info = connection.bulk().await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).ok_or(ConnectError::Protocol)?;
        Ok(version.trim().to_owned())
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(socket)) };
        let name = super::server_name(&self.address)?;
        Ok(Box::new(tokio_rustls::TlsConnector::from(tls.clone()).connect(name, socket).await?))
    }
}

impl Connection {
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
