//! INFO as a server that holds one tenant would give it. What the wall does not know of such a server is left out, not invented; the keys of each
//! database are counted by a walk.

use super::session::Setup;
use super::understand::is_word;
use super::wire::Request;

/// The sections in the server's order.
const SECTIONS: &[&str] =
    &["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster", "keyspace"];

/// The sections that were asked for.
pub fn wanted(request: &Request) -> Vec<&'static str> {
    let all = request.len() == 1;
    let asks = |section: &str| {
        request.iter().skip(1).any(|arg| is_word(arg, section) || ["all", "everything", "default"].iter().any(|every| is_word(arg, every)))
    };
    SECTIONS.iter().copied().filter(|section| all || asks(section)).collect()
}

/// The text of the sections, with `keyspace` as it was counted.
pub fn text(sections: &[&str], setup: &Setup, keyspace: &[(u64, usize)]) -> String {
    let mut parts = Vec::new();
    for section in sections {
        let version = &setup.version;
        let body = match *section {
            "server" => format!("# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\nmultiplexing_api:epoll\r\n"),
            "clients" => {
                let (connected, blocked) = setup.peers.counts();
                format!("# Clients\r\nconnected_clients:{connected}\r\nblocked_clients:{blocked}\r\n")
            }
            "memory" => "# Memory\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n".to_owned(),
            "persistence" => "# Persistence\r\nloading:0\r\nasync_loading:0\r\n".to_owned(),
            "stats" => "# Stats\r\n".to_owned(),
            "replication" => "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n".to_owned(),
            "cpu" => "# CPU\r\n".to_owned(),
            "modules" => "# Modules\r\n".to_owned(),
            "errorstats" => "# Errorstats\r\n".to_owned(),
            "cluster" => "# Cluster\r\ncluster_enabled:0\r\n".to_owned(),
            _ => {
                let counts = keyspace.iter().filter(|(_, keys)| *keys > 0);
                let lines: Vec<String> = counts.map(|(db, keys)| format!("db{db}:keys={keys},expires=0,avg_ttl=0\r\n")).collect();
                format!("# Keyspace\r\n{}", lines.concat())
            }
        };
        parts.push(body);
    }
    parts.join("\r\n")
}
