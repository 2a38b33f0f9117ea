//! Redis Cluster: which node has a tenant's slot, as the nodes themselves say (CLUSTER NODES; redis.io, "Redis cluster specification"). A tenant's keys
//! are all in one slot, so each client has one node at a time; `route` carries its commands there, and goes with the slot.

mod due;
mod dues;
mod leg;
pub mod route;

use super::{ConnectError, Connection, Target};
use crate::redis::encode;
use crate::redis::slots::Map;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// One node's answer, its connection among it.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_secs(1);
/// Within so short a time one look serves all who ask.
const FRESH: Duration = Duration::from_millis(50);

/// The nodes that the file names, and the cluster by the last word of one of them.
pub struct Cluster {
    seeds: Vec<String>,
    known: watch::Sender<Arc<Map>>,
    /// When which node was asked last; held while one is asked.
    asked: Mutex<Option<(Instant, String)>>,
}

impl Cluster {
    /// `first` and the others of the file.
    pub fn new(first: &str, others: &[String]) -> Self {
        let seeds = std::iter::once(first.to_owned()).chain(others.iter().cloned()).collect();
        Self { seeds, known: watch::Sender::new(Arc::default()), asked: Mutex::default() }
    }

    /// What is known now, and whoever hears of another.
    pub fn watch(&self) -> watch::Receiver<Arc<Map>> {
        self.known.subscribe()
    }

    /// What is known now.
    pub fn map(&self) -> Arc<Map> {
        self.known.borrow().clone()
    }

    /// Asks for the cluster anew: `first` before others, where it is given. Errors: no node says.
    async fn look(&self, target: &Target, first: Option<&str>) -> Result<Arc<Map>, ConnectError> {
        let mut asked = self.asked.lock().await;
        if let Some((since, whom)) = &*asked
            && since.elapsed() < FRESH
            && first.is_none_or(|first| first == whom)
        {
            return Ok(self.map());
        }
        let mut last = ConnectError::Protocol;
        let known = self.map().addresses();
        for node in first.map(str::to_owned).into_iter().chain(known).chain(self.seeds.iter().cloned()) {
            let answer = tokio::time::timeout(ANSWER, async { self.ask(&mut target.node(&node).connect().await?, target, &node).await });
            match answer.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(map) => {
                    *asked = Some((Instant::now(), node));
                    return Ok(self.learn(map));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// One node's view. Errors: it has none, or is cut off from the others.
    async fn ask(&self, connection: &mut Connection, target: &Target, node: &str) -> Result<Map, ConnectError> {
        let mut out = BytesMut::new();
        encode::command(&mut out, &["CLUSTER", "INFO"]);
        encode::command(&mut out, &["CLUSTER", "NODES"]);
        connection.stream.write_all(&out).await?;
        let info = connection.bulk().await?;
        let nodes = connection.bulk().await?;
        let map = Map::read(&nodes, node, target.tls.is_some()).ok_or(ConnectError::Protocol)?;
        // A cluster that is down as a whole is known by what it was.
        let cut_off = info.contains("cluster_state:fail") && !self.map().masters().is_empty();
        if cut_off { Err(ConnectError::Server("the node is cut off from its cluster".to_owned())) } else { Ok(map) }
    }

    fn learn(&self, map: Map) -> Arc<Map> {
        let learnt = self.known.send_if_modified(|known| {
            let new = **known != map;
            if new {
                *known = Arc::new(map);
            }
            new
        });
        if learnt {
            tracing::info!(masters = ?self.map().masters(), "the cluster is another");
        }
        self.map()
    }

    /// Looks at the cluster, for ever.
    pub async fn follow(self: Arc<Self>, target: Target) {
        loop {
            for node in self.map().addresses().into_iter().chain(self.seeds.iter().cloned()) {
                if let Err(error) = self.hear(&target, &node).await {
                    tracing::debug!(node, %error, "a node is silent");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks one node again and again, until it is silent.
    async fn hear(&self, target: &Target, node: &str) -> Result<(), ConnectError> {
        let late = |_| ConnectError::from(io::Error::from(io::ErrorKind::TimedOut));
        let mut connection = tokio::time::timeout(ANSWER, target.node(node).connect()).await.map_err(late)??;
        loop {
            let map = tokio::time::timeout(ANSWER, self.ask(&mut connection, target, node)).await.map_err(late)??;
            if !map.is_older_than(&self.map()) {
                self.learn(map);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Who has the slot. `again`: what is known did not do. Errors: nobody, as far as is known.
    pub async fn master(&self, target: &Target, slot: u16, again: bool) -> Result<String, ConnectError> {
        let mut now = self.map();
        if again || now.master(slot).is_none() {
            now = self.look(target, None).await?;
        }
        now.master(slot).map(str::to_owned).ok_or_else(|| ConnectError::Server("no node has the slot".to_owned()))
    }

    /// Who has the slot, as `from` says, which had it. Errors: as above.
    pub async fn successor(&self, target: &Target, slot: u16, from: &str) -> Result<String, ConnectError> {
        self.look(target, Some(from)).await?;
        self.master(target, slot, false).await
    }

    /// To whom `from` is giving the slot. Errors: nobody says. None: it is not.
    pub async fn taker(&self, target: &Target, slot: u16, from: &str) -> Result<Option<String>, ConnectError> {
        Ok(self.look(target, Some(from)).await?.leaves_for(slot).map(str::to_owned))
    }

    /// All who have slots. Errors: nobody says.
    pub async fn masters(&self, target: &Target) -> Result<Vec<String>, ConnectError> {
        let now = self.map().masters();
        if now.is_empty() { Ok(self.look(target, None).await?.masters()) } else { Ok(now) }
    }
}
