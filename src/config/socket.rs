//! Where a port is: `host:port`, or a Unix socket and who may connect to it.

use super::document::{Node, Reader, Value};

/// `host:port`
pub(super) fn host_and_port(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let good = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !good {
        reader.say(node, format!("`{text}` is no address"), "write `host:port`");
    }
    good.then_some(text)
}

/// The same, or `unix:/path`.
pub(super) fn listen(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(path) if path.starts_with("unix:/") => Some(path.clone()),
        _ => host_and_port(reader, node),
    }
}

/// The mode of a Unix socket. A number would be read as another in one YAML than in the next, so it is a text.
pub(super) fn mode(reader: &mut Reader<'_>, node: &Node, unix: bool) -> Option<u32> {
    if !unix {
        reader.say(node, "only a Unix socket has a mode", "take it out, or write `listen: unix:/run/partywall/db.sock`");
    }
    let digits = match &node.value {
        Value::Text(text) => text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text),
        _ => "",
    };
    let mode = u32::from_str_radix(digits, 8).ok().filter(|_| digits.len() == 3 && !digits.starts_with('+'));
    if mode.is_none() {
        reader.say(node, "a mode is three octal digits, in quotes", "write `socket_mode: '0660'`");
    }
    mode
}
