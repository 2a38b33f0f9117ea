//! The PROXY protocol, version 2: what a proxy in front says of the connection it passes on. Source: HAProxy's proxy-protocol.txt.

use crate::identity::Shown;
use crate::policy::Peer;
use crate::upstream::Stream;
use std::io::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::io::AsyncReadExt;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header behind its first 16 bytes.
const HEADER_BYTES: usize = 4096;
const TYPE_SSL: u8 = 0x20;
const SUBTYPE_SSL_CN: u8 = 0x22;
/// The client showed a certificate, on this connection or the session that it resumed.
const CERTIFICATE: u8 = 0x02 | 0x04;

/// Reads the header, and nothing behind it. Errors: there is none, or it is malformed.
pub async fn read(mut stream: Stream, shown: &mut Shown) -> std::io::Result<Stream> {
    let mut start = [0; 16];
    stream.read_exact(&mut start).await?;
    let [signature @ .., command, family, high, low] = start;
    if signature != SIGNATURE {
        return Err(Error::other("no PROXY header"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES {
        return Err(Error::other("the PROXY header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    let (peer, proxied) = parse(command, family, &rest).ok_or_else(|| Error::other("the PROXY header is malformed"))?;
    let peer = if shown.peer.is_of_this_machine() { peer } else { from_elsewhere(peer) };
    // What stood for the proxy does not stand for whom it speaks for.
    *shown = Shown { peer, proxied, ..Shown::default() };
    Ok(stream)
}

/// A loopback address that a proxy on another machine says is of that machine, and of nobody's here.
fn from_elsewhere(peer: Peer) -> Peer {
    match peer {
        Peer::Ip(ip) if ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified() => Peer::Unknown,
        other => other,
    }
}

type Said = (Peer, Vec<(u8, Vec<u8>)>);

fn parse(command: u8, family: u8, rest: &[u8]) -> Option<Said> {
    match command {
        // LOCAL: the proxy speaks for itself, and says nothing of a client.
        0x20 => return Some((Peer::Unknown, Vec::new())),
        0x21 => {}
        _ => return None,
    }
    let (peer, values) = match family {
        0x11 => {
            let (source, _) = rest.split_first_chunk::<4>()?;
            (Peer::Ip(IpAddr::V4(Ipv4Addr::from(*source))), rest.get(12..)?)
        }
        0x21 => {
            let (source, _) = rest.split_first_chunk::<16>()?;
            (Peer::Ip(IpAddr::V6(Ipv6Addr::from(*source))), rest.get(36..)?)
        }
        // A Unix socket of the proxy's machine, which need not be this one.
        0x31 => (Peer::Unknown, rest.get(216..)?),
        0x00 => (Peer::Unknown, rest),
        _ => return None,
    };
    let mut proxied = Vec::new();
    for (kind, value) in vectors(values)? {
        match kind {
            TYPE_SSL => proxied.extend(ssl(value)?),
            // Only within what says that the certificate was verified.
            SUBTYPE_SSL_CN => {}
            kind => proxied.push((kind, value.to_vec())),
        }
    }
    Some((peer, proxied))
}

/// Types, lengths and values, to the end.
fn vectors(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut all = Vec::new();
    while let Some(([kind, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        all.push((*kind, value));
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

/// The common name of a certificate that the proxy verified.
fn ssl(value: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let ([client, verify @ ..], values) = value.split_first_chunk::<5>()?;
    let values = vectors(values)?;
    if client & CERTIFICATE == 0 || *verify != [0; 4] {
        return Some(Vec::new());
    }
    Some(values.into_iter().filter(|(kind, _)| *kind == SUBTYPE_SSL_CN).map(|(kind, value)| (kind, value.to_vec())).collect())
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
