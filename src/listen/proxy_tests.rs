//! Headers good, short, long and forged.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat()
}

fn v4(values: &[u8]) -> Vec<u8> {
    [&[10, 0, 0, 9, 127, 0, 0, 1, 0, 80, 21, 56][..], values].concat()
}

fn ssl_value(client: u8, verify: u32, cn: &[u8]) -> Vec<u8> {
    tlv(TYPE_SSL, &[&[client][..], &verify.to_be_bytes(), &tlv(0x21, b"TLSv1.3"), &tlv(SUBTYPE_SSL_CN, cn)].concat())
}

#[test]
fn addresses_and_values_are_read() {
    let ten = Peer::Ip("10.0.0.9".parse().unwrap());
    assert_eq!(parse(0x21, 0x11, &v4(&[])), Some((ten, vec![])));
    assert_eq!(parse(0x21, 0x11, &v4(&tlv(2, b"acme.db"))), Some((ten, vec![(2, b"acme.db".to_vec())])));
    assert_eq!(parse(0x21, 0x11, &v4(&ssl_value(3, 0, b"acme"))), Some((ten, vec![(0x22, b"acme".to_vec())])));
    assert_eq!(parse(0x20, 0x00, &tlv(2, b"acme.db")), Some((Peer::Unknown, vec![])), "LOCAL says nothing");
    assert_eq!(parse(0x21, 0x00, &tlv(2, b"x")), Some((Peer::Unknown, vec![(2, b"x".to_vec())])));
    let v6 = [&[0; 15][..], &[1], &[0; 16], &[0, 1, 0, 2]].concat();
    assert_eq!(parse(0x21, 0x21, &v6), Some((Peer::Ip("::1".parse().unwrap()), vec![])));
    assert_eq!(parse(0x21, 0x31, &[0; 216]), Some((Peer::Unknown, vec![])));
}

#[test]
fn a_name_that_was_not_verified_is_none() {
    for value in [ssl_value(1, 0, b"acme"), ssl_value(3, 1, b"acme"), tlv(SUBTYPE_SSL_CN, b"acme")] {
        assert_eq!(parse(0x21, 0x11, &v4(&value)).unwrap().1, vec![]);
    }
}

#[test]
fn malformed_headers_are_refused() {
    let good = v4(&tlv(2, b"acme.db"));
    for cut in (0..good.len()).filter(|cut| *cut != 12) {
        assert_eq!(parse(0x21, 0x11, &good[..cut]), None, "{cut}");
    }
    for (command, family) in [(0x11, 0x11), (0x22, 0x11), (0x21, 0x12), (0x21, 0x51), (0x21, 0xff)] {
        assert_eq!(parse(command, family, &good), None, "{command} {family}");
    }
    assert_eq!(parse(0x21, 0x11, &v4(&tlv(TYPE_SSL, &[3, 0, 0]))), None);
}

#[test]
fn a_loopback_address_is_of_the_proxys_machine() {
    let ip = |text: &str| Peer::Ip(text.parse().unwrap());
    for address in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0"] {
        assert_eq!(from_elsewhere(ip(address)), Peer::Unknown, "{address}");
    }
    for address in ["10.0.0.9", "2001:db8::1", "::ffff:10.0.0.9"] {
        assert_eq!(from_elsewhere(ip(address)), ip(address));
    }
    assert!([ip("127.0.0.1"), ip("::ffff:127.0.0.1"), ip("::1"), Peer::Unix(None)].into_iter().all(Peer::is_of_this_machine));
    assert!(![ip("10.0.0.9"), ip("::"), Peer::Unknown].into_iter().any(Peer::is_of_this_machine));
    // As a whole: the header of a proxy elsewhere.
    let header = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 21, 56]].concat();
    for (proxy, client) in [(ip("10.0.0.1"), Peer::Unknown), (ip("127.0.0.1"), ip("127.0.0.1"))] {
        let mut shown = Shown { peer: proxy, ..Shown::default() };
        let (near, mut far) = tokio::io::duplex(64);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::io::AsyncWriteExt::write_all(&mut far, &header).await.unwrap();
            drop(read(Box::new(near), &mut shown).await.unwrap());
        });
        assert_eq!(shown.peer, client);
    }
}
