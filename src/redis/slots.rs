//! Where Redis Cluster keeps what (redis.io, "Redis cluster specification"): the slot of a tenant's keys, the map of slots, and redirections. A tenant's
//! prefix holds a hash tag, so that all its keys are in one slot, whatever braces a client writes: the first brace of the key is the prefix's.

use std::collections::BTreeMap;

/// Slots of a cluster.
pub const SLOTS: u16 = 16384;

/// The slot of every key that begins with `prefix`. None: it depends on what follows.
pub fn of_prefix(prefix: &[u8]) -> Option<u16> {
    let open = prefix.iter().position(|b| *b == b'{')?;
    let rest = prefix.get(open + 1..)?;
    let tag = rest.get(..rest.iter().position(|b| *b == b'}')?)?;
    (!tag.is_empty()).then(|| crc16(tag) % SLOTS)
}

/// CRC-16 as the specification's appendix has it (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// What a node's own cursors of SCAN have of the wall's; the bits above say which node's it is, for elsewhere it means nothing.
pub const CURSOR_BITS: u32 = 40;

/// A cursor for the node whose mark this is. One of another node's begins anew: every key is then seen, some twice, as SCAN allows.
pub fn cursor_for(cursor: u64, mark: u8) -> u64 {
    let marked = cursor >> CURSOR_BITS;
    if marked == 0 || marked == u64::from(mark) { cursor & ((1 << CURSOR_BITS) - 1) } else { 0 }
}

/// A cursor that a node gave, with its mark. None: it is too large.
pub fn cursor_of(cursor: u64, mark: u8) -> Option<u64> {
    match cursor {
        0 => Some(0),
        _ if cursor >> CURSOR_BITS == 0 => Some(cursor | u64::from(mark) << CURSOR_BITS),
        _ => None,
    }
}

/// The mark of a node, never 0.
pub fn mark(address: &str) -> u8 {
    u8::try_from(crc16(address.as_bytes()) % 255).unwrap_or(0) + 1
}

/// Why a node did not carry out a command. Where to go instead is never taken from the error: a script can say one that looks like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// The slot is another node's.
    Moved,
    /// The slot is about to be another node's, and this one has not the key.
    Ask,
    /// Some of the keys have moved, others not yet.
    TryAgain,
    /// The cluster does not serve the slot now.
    Down,
}

const KINDS: [(&[u8], Redirect); 4] =
    [(b"-MOVED ", Redirect::Moved), (b"-ASK ", Redirect::Ask), (b"-TRYAGAIN ", Redirect::TryAgain), (b"-CLUSTERDOWN ", Redirect::Down)];

/// What an error line says of this kind, if it does.
pub fn redirect(line: &[u8]) -> Option<Redirect> {
    KINDS.iter().find(|(word, _)| line.starts_with(word)).map(|(_, kind)| *kind)
}

/// Whether these first bytes of a reply are, or may become, an error that names a node.
pub fn may_name_a_node(begun: &[u8]) -> bool {
    KINDS.iter().take(2).any(|(word, _)| begun.starts_with(word) || word.starts_with(begun))
}

/// What a client hears instead of it.
pub const MOVING: &[u8] = b"-TRYAGAIN the keys are being moved\r\n";

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    address: String,
    /// Whose replica it is.
    master: Option<String>,
    failed: bool,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// By their ids.
    nodes: BTreeMap<String, Node>,
    /// First and last slot, and whose they are.
    ranges: Vec<(u16, u16, String)>,
    /// Slots that the node itself is giving to another.
    leaving: Vec<(u16, String)>,
    /// The highest configuration epoch: a view with a lower one is older.
    epoch: u64,
}

impl Map {
    /// Reads the answer to CLUSTER NODES that the node at `from` gave; `by_name`: nodes are called by the names that they announce. None: it is no such answer.
    pub fn read(text: &str, from: &str, by_name: bool) -> Option<Self> {
        let mut map = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [id, place, flags, master, _, _, epoch, _, slots @ ..] = fields.as_slice() else { return None };
            let flags: Vec<&str> = flags.split(',').collect();
            if flags.iter().any(|flag| ["handshake", "noaddr"].contains(flag)) {
                continue;
            }
            map.epoch = map.epoch.max(epoch.parse().ok()?);
            let address = address(place, from, by_name)?;
            let master = (*master != "-").then(|| (*master).to_owned());
            let failed = flags.iter().any(|flag| ["fail", "fail?"].contains(flag));
            map.nodes.insert((*id).to_owned(), Node { address, master, failed });
            for slot in slots {
                map.slot(slot, id)?;
            }
        }
        (!map.nodes.is_empty()).then_some(map)
    }

    fn slot(&mut self, text: &str, id: &str) -> Option<()> {
        let number = |text: &str| text.parse().ok().filter(|slot| *slot < SLOTS);
        if let Some(moving) = text.strip_prefix('[') {
            if let Some((slot, target)) = moving.strip_suffix(']')?.split_once("->-") {
                self.leaving.push((number(slot)?, target.to_owned()));
            }
            return Some(());
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        self.ranges.push((number(first)?, number(last)?, id.to_owned()));
        Some(())
    }

    /// Whether it is certainly older than another view.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.epoch < other.epoch
    }

    fn owner(&self, slot: u16) -> Option<&str> {
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, id)| id.as_str())
    }

    /// Who has a slot.
    pub fn master(&self, slot: u16) -> Option<&str> {
        self.nodes.get(self.owner(slot)?).map(|node| node.address.as_str())
    }

    /// The replicas of a slot that nobody holds to have failed.
    pub fn replicas(&self, slot: u16) -> Vec<&str> {
        let Some(owner) = self.owner(slot) else { return Vec::new() };
        self.nodes.values().filter(|node| node.master.as_deref() == Some(owner) && !node.failed).map(|node| node.address.as_str()).collect()
    }

    /// To whom the node that gave the answer is giving a slot.
    pub fn leaves_for(&self, slot: u16) -> Option<&str> {
        let (_, target) = self.leaving.iter().find(|(leaving, _)| *leaving == slot)?;
        self.nodes.get(target).map(|node| node.address.as_str())
    }

    /// All who have slots, each once.
    pub fn masters(&self) -> Vec<String> {
        let with_slots = |id: &String| self.ranges.iter().any(|(_, _, owner)| owner == id);
        self.nodes.iter().filter(|(id, _)| with_slots(id)).map(|(_, node)| node.address.clone()).collect()
    }

    /// Whoever may be asked; those who have slots first.
    pub fn addresses(&self) -> Vec<String> {
        let others = self.nodes.values().filter(|node| node.master.is_some() && !node.failed).map(|node| node.address.clone());
        self.masters().into_iter().chain(others).collect()
    }
}

/// `ip:port@bus,name,…` as `host:port`. A node that was met by nobody yet does not know its own ip.
fn address(place: &str, from: &str, by_name: bool) -> Option<String> {
    let (socket, rest) = place.split_once('@').unwrap_or((place, ""));
    let (ip, port) = socket.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let name = rest.split(',').nth(1).filter(|name| by_name && !name.is_empty() && *name != "?");
    Some(match (name, ip) {
        (Some(name), _) => format!("{name}:{port}"),
        (None, "") => format!("{}:{port}", from.rsplit_once(':')?.0),
        (None, ip) if ip.contains(':') => format!("[{ip}]:{port}"),
        (None, ip) => format!("{ip}:{port}"),
    })
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
