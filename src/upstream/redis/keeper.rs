//! Removes tenants' users of the server: those whose tenant is away, those that a wall left that is gone, and at the end all of this one. Its connection has
//! the process' name, by which other walls see that it lives. Never ACL LIST or SAVE, which stop the server for a while a user.

use super::backstop::{Backstop, Users, orphans};
use super::{ConnectError, Connection, Target};
use crate::redis::encode;
use crate::redis::value::Value;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// The longest list of users or clients that is read.
const LIST_MAX_BYTES: usize = 64 << 20;
/// Users that are removed by one command.
const REMOVED_AT_ONCE: usize = 1000;

/// The one that keeps a listener's users.
pub struct Keeper {
    target: Target,
    backstop: Arc<Backstop>,
    connection: Option<Connection>,
    begun: bool,
    /// No connection becomes one of them any more.
    gone: Vec<String>,
}

impl Keeper {
    /// For a listener's server.
    pub fn new(target: Target, backstop: Arc<Backstop>) -> Self {
        Self { target, backstop, connection: None, begun: false, gone: Vec::new() }
    }

    /// Connects, removes what dead walls left, and tries whether users can be made. Errors: they cannot.
    pub async fn begin(&mut self) -> Result<(), ConnectError> {
        self.begun = true;
        let mut connection = self.target.connect().await?;
        connection.ask(&["CLIENT", "SETNAME", self.backstop.process()]).await?;
        connection.confirmed(&[self.backstop.maker().make(), self.backstop.patterns().make()]).await?;
        let users = connection.list(&["ACL", "USERS"]).await?;
        let clients = connection.list(&["CLIENT", "LIST"]).await?;
        let users = Value::read(&users).ok_or(ConnectError::Protocol)?;
        let names = users.items().iter().filter_map(Value::text).filter_map(|name| std::str::from_utf8(name).ok());
        let left: Vec<String> = orphans(names, &String::from_utf8_lossy(&clients)).into_iter().map(str::to_owned).collect();
        connection.remove(&left).await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Whether there may be anything to remove.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// From time to time: what was left at the last time is removed; `leave` sees to it that shared connections are none of the next.
    pub async fn tick(&mut self, leave: impl FnOnce(&[Arc<Users>])) -> Result<(), ConnectError> {
        if self.connection.is_none() {
            self.begin().await?;
        }
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        connection.ask(&["PING"]).await?;
        connection.remove(&self.gone).await?;
        let idle = self.backstop.take_idle();
        leave(&idle);
        self.gone = idle.iter().map(|users| users.own.name().to_owned()).collect();
        self.connection = Some(connection);
        Ok(())
    }

    /// Removes all. Errors: some may be left, for the next wall that starts.
    pub async fn end(&mut self) -> Result<(), ConnectError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        let mut names = std::mem::take(&mut self.gone);
        names.extend(self.backstop.take_all());
        connection.remove(&names).await
    }
}

impl Connection {
    async fn list(&mut self, command: &[&str]) -> Result<Bytes, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, command);
        self.stream.write_all(&out).await?;
        let reply = self.reply_of(LIST_MAX_BYTES).await?.freeze();
        if reply.starts_with(b"-") { Err(ConnectError::Server(String::from_utf8_lossy(&reply).trim_end().to_owned())) } else { Ok(reply) }
    }

    async fn remove(&mut self, users: &[String]) -> Result<(), ConnectError> {
        for names in users.chunks(REMOVED_AT_ONCE) {
            let words: Vec<&str> = ["ACL", "DELUSER"].into_iter().chain(names.iter().map(String::as_str)).collect();
            self.ask(&words).await?;
        }
        Ok(())
    }
}
