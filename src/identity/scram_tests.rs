//! Exchanges with the client's side of another implementation: good, wrong, forged, downgraded.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

// Of the password `pencil` (made by PostgreSQL 15).
const PENCIL: &str =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn users() -> Users {
    Users::parse(
        "users.yaml",
        &format!("app: {{ tenant: acme, password: '{PENCIL}' }}\nother: {{ tenant: globex, password: '{PENCIL}' }}\n"),
    )
    .unwrap()
}

fn exchange(user: &str, password: &str, mechanism: &str, binding: ChannelBinding, endpoint: Option<&[u8]>) -> Result<String, String> {
    let users = users();
    let mut server = Exchange::new(&users, user, endpoint);
    let mut client = ScramSha256::new(password.as_bytes(), binding);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let challenge = server.first(mechanism, &text(client.message()))?.to_owned();
    client.update(challenge.as_bytes()).map_err(|e| e.to_string())?;
    let (last, tenant) = server.last(&text(client.message()))?;
    client.finish(last.as_bytes()).map_err(|e| e.to_string())?;
    Ok(tenant.tenant)
}

#[test]
fn a_user_with_its_password_is_its_tenant() {
    let plain = ChannelBinding::unsupported;
    assert_eq!(exchange("app", "pencil", PLAIN, plain(), None), Ok("acme".into()));
    assert_eq!(exchange("other", "pencil", PLAIN, plain(), Some(b"hash")), Ok("globex".into()));
    let bound = || ChannelBinding::tls_server_end_point(b"hash".to_vec());
    assert_eq!(exchange("app", "pencil", PLUS, bound(), Some(b"hash")), Ok("acme".into()));
    for (user, password) in [("app", "pen"), ("app", ""), ("nobody", "pencil"), ("", "pencil")] {
        assert!(exchange(user, password, PLAIN, plain(), None).unwrap_err().contains("another password"), "{user} {password}");
    }
    assert!(exchange("app", "pencil", PLUS, bound(), Some(b"another")).unwrap_err().contains("another channel"));
    assert!(exchange("app", "pencil", PLUS, bound(), None).unwrap_err().contains("not offered"));
    assert!(exchange("app", "pencil", PLAIN, bound(), Some(b"hash")).unwrap_err().contains("does not fit"));
    assert!(exchange("app", "pencil", PLAIN, ChannelBinding::unrequested(), Some(b"hash")).unwrap_err().contains("no channel binding"));
    assert!(exchange("app", "pencil", "SCRAM-SHA-1", plain(), None).is_err());
}

#[test]
fn malformed_messages_prove_nothing() {
    let users = users();
    for first in ["", "n", "n,,", "n,a=other,n=,r=abc", "n,,m=x,n=,r=abc", "n,,n=,r=", "n,,n=,r=a b", "x,,n=,r=abc", "n,,n=,r=a,b"] {
        assert!(Exchange::new(&users, "app", None).first(PLAIN, first).is_err(), "{first}");
    }
    let mut server = Exchange::new(&users, "app", None);
    assert!(server.last("c=biws,r=,p=").is_err());
    let nonce = server.first(PLAIN, "n,,n=,r=abc").unwrap().split(',').next().unwrap()[2..].to_owned();
    let zeros = B64.encode([0; 32]);
    for last in [
        "",
        "c=biws",
        "c=biws,r=abc,p=",
        &format!("c=biws,r={nonce}"),
        &format!("c=biws,r={nonce},p=!"),
        &format!("c=biws,r={nonce},p={zeros}"),
        &format!("c=biws,r={nonce}x,p={zeros}"),
        &format!("c=eSws,r={nonce},p={zeros}"),
    ] {
        assert!(server.last(last).is_err(), "{last}");
    }
}

#[test]
fn a_strangers_challenge_is_the_same_each_time() {
    let users = users();
    let salt = |user: &str| Exchange::new(&users, user, None).first(PLAIN, "n,,n=,r=abc").unwrap().split(",s=").nth(1).unwrap().to_owned();
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_ne!(salt("nobody"), salt("somebody"));
    assert_eq!(salt("nobody").len(), salt("app").len());
}

#[test]
fn strangers_are_asked_what_the_listed_are_asked() {
    // Another cost and another length of salt: both are asked of some strangers, in every process alike.
    let other = PENCIL.replace("$4096:W22ZaJ0SNY7soEsUEjb6gQ==", "$10000:W22ZaJ0SNY7soEsUEjb6gSJ0SNY7soEs");
    let read = || {
        Users::parse("u.yaml", &format!("a: {{ tenant: acme, password: '{PENCIL}' }}\nb: {{ tenant: acme, password: '{other}' }}")).unwrap()
    };
    let (one, again) = (read(), read());
    let asked = |users: &Users, user: &str| {
        let mut exchange = Exchange::new(users, user, None);
        let said = exchange.first(PLAIN, "n,,n=,r=abc").unwrap().split_once(",s=").unwrap().1.to_owned();
        let (salt, iterations) = said.split_once(",i=").unwrap();
        (salt.to_owned(), iterations.to_owned())
    };
    let efforts = |names: &mut dyn Iterator<Item = String>| {
        names.map(|name| asked(&one, &name)).map(|(salt, iterations)| (salt.len(), iterations)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(efforts(&mut (0..64).map(|n| format!("stranger{n}"))), efforts(&mut ["a".to_owned(), "b".to_owned()].into_iter()));
    assert!((0..64).all(|n| asked(&one, &n.to_string()) == asked(&again, &n.to_string())));
}

#[test]
fn a_password_in_the_clear_is_checked_by_the_same_list() {
    let users = users();
    assert_eq!(users.check("app", "pencil").map(|n| n.tenant), Ok("acme".into()));
    for (user, password) in [("app", "Pencil"), ("app", ""), ("nobody", "pencil")] {
        assert!(users.check(user, password).is_err());
    }
}

#[test]
fn lists_that_are_none_are_refused() {
    let read = |text: &str| Users::parse("u.yaml", text).err().unwrap_or_default();
    assert!(
        read("app: { tenant: acme, password: secret }").starts_with("u.yaml:1:32: this is no SCRAM-SHA-256 verifier"),
        "{}",
        read("app: { tenant: acme, password: secret }")
    );
    assert!(read("app: { password: x }").contains("`tenant` is missing"));
    assert!(read("{}").contains("nobody"));
    assert!(!read("- a").is_empty());
    for broken in ["SCRAM-SHA-256$0:YQ==$", "SCRAM-SHA-256$4096:$x:y", "SCRAM-SHA-256$4096:YQ==$YQ==:YQ==", "md5abc"] {
        assert!(Verifier::parse(broken).is_none(), "{broken}");
    }
}
