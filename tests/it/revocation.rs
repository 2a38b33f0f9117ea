//! What takes a certificate's or a token's rights away takes effect, whatever else is broken.

use crate::support::{Authority, Redis, Signed, Wall, eventually, socket, tls};
use rustls::pki_types::{CertificateRevocationListDer, pem::PemObject};
use std::io::{Read, Write};

const POLICY: &str = "version: 1\nname: test\ntenants: { id: '[a-z]+' }\nidentity: { mtls: { cn: '{tenant}' }, jwt: { from: [password], keys: jwks.json } }\n\
                      redis: { prefix: '{tenant}:' }\n";

/// Of a key that nobody has.
const JWKS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// It holds no key.
const BROKEN: &str = r#"{"keys": []}"#;

/// A wall with a port `cache` whose clients show certificates, and further keys of `tls:`.
fn attempt(redis: &Redis, sources: &str, more: &str, files: &[(&str, &str)]) -> Result<Wall, String> {
    let config = format!(
        "listeners:\n  - {{ name: cache, protocol: redis, listen: '127.0.0.1:0', upstream: r, policy: test, identity: {sources}, \
         tls: {{ cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt{more}], crl: [tls/crl.pem] }} }}\n\
         upstreams:\n  r: {{ address: '127.0.0.1:{}' }}\npolicies: policies/test.yaml\n",
        redis.port
    );
    Wall::attempt(&config, &[&[("test.yaml", POLICY), ("jwks.json", BROKEN)], files].concat())
}

/// Is who shows this certificate served?
fn serves(wall: &Wall, authority: &Authority, client: &Signed) -> bool {
    let ask = || {
        let mut stream = tls(socket(wall.port("cache")), "localhost", authority, Some(client))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).map(|()| answer)
    };
    ask().is_ok_and(|answer| answer == *b"+PONG\r\n")
}

/// Waits until it complains once more.
fn complains(wall: &Wall, of: &str) {
    let before = wall.log().matches(of).count();
    assert!(eventually(|| wall.log().matches(of).count() > before), "{}", wall.log());
}

#[test]
fn a_file_without_a_list_takes_no_revocation_back() {
    let (redis, ours) = (Redis::start(), Authority::new());
    let (server, good, bad) = (ours.server("localhost"), ours.client("", false), ours.client("", false));
    let (none, one) = (ours.revoke(&[]), ours.revoke(&[&bad]));
    let begin = |ca: &str, crl: &str| {
        let files = [("tls/tls.crt", &*server.certificate), ("tls/tls.key", &server.key), ("tls/ca.crt", ca), ("tls/crl.pem", crl)];
        attempt(&redis, "[mtls]", "", &files)
    };
    let key = &good.key;
    for (ca, crl) in [(&*ours.pem, ""), (&ours.pem, "junk"), (&ours.pem, &*ours.pem), (&(ours.pem.clone() + key), &none), ("", &none)] {
        assert!(begin(ca, crl).is_err(), "{ca} {crl}");
    }
    let wall = begin(&ours.pem, &none).unwrap();
    assert!(serves(&wall, &ours, &bad));
    wall.rewrite("tls/crl.pem", &one);
    assert!(eventually(|| !serves(&wall, &ours, &bad)));
    let of_old = one.replace("X509 CRL", "CRL");
    for text in ["", "junk\n", &*ours.pem, &*of_old, &one[..one.len() / 2], &*format!("{one}{}", ours.pem)] {
        wall.rewrite("tls/crl.pem", text);
        complains(&wall, "tls/crl.pem: ");
        assert!(!serves(&wall, &ours, &bad) && serves(&wall, &ours, &good), "{text}");
    }
    // As distribution points serve it.
    let other = ours.revoke(&[&good]);
    wall.rewrite("tls/crl.pem", &CertificateRevocationListDer::from_pem_slice(other.as_bytes()).unwrap());
    assert!(eventually(|| serves(&wall, &ours, &bad) && !serves(&wall, &ours, &good)), "{}", wall.log());
}

#[test]
fn what_cannot_be_read_keeps_no_revocation_from_taking_effect() {
    let (redis, ours, theirs) = (Redis::start(), Authority::named("ours"), Authority::named("theirs"));
    let (server, next) = (ours.server("localhost"), ours.server("localhost"));
    let (one, two, other) = (ours.client("", false), ours.client("", false), theirs.client("", false));
    let files = [
        ("tls/tls.crt", &*server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
        ("tls/theirs.crt", &theirs.pem),
        ("tls/crl.pem", &ours.revoke(&[])),
    ];
    let start =
        |sources: &str, jwks: &str| attempt(&redis, sources, ", tls/theirs.crt", &[files.as_slice(), &[("jwks.json", jwks)]].concat());
    assert!(start("[mtls, jwt]", BROKEN).is_err());
    drop(start("[mtls]", BROKEN).unwrap_or_else(|e| panic!("its sources take nothing from jwks.json: {e}")));
    let wall = start("[mtls, jwt]", JWKS).unwrap();
    wall.rewrite("jwks.json", BROKEN);
    complains(&wall, "jwks.json: ");
    wall.rewrite("tls/crl.pem", &ours.revoke_in(2021, &[&one]));
    assert!(eventually(|| !serves(&wall, &ours, &one)), "{}", wall.log());
    assert!(serves(&wall, &ours, &two) && serves(&wall, &ours, &other));
    // Half of another server certificate, and an authority's file that is being written.
    wall.rewrite("tls/tls.crt", &next.certificate);
    wall.rewrite("tls/ca.crt", "");
    complains(&wall, "tls/tls.key: ");
    complains(&wall, "tls/ca.crt: ");
    wall.rewrite("tls/crl.pem", &ours.revoke_in(2022, &[&one, &two]));
    assert!(eventually(|| !serves(&wall, &ours, &two)), "{}", wall.log());
    wall.rewrite("tls/theirs.crt", &ours.pem);
    assert!(eventually(|| !serves(&wall, &ours, &other)), "{}", wall.log());
}

#[test]
fn a_list_counts_until_a_later_one_of_its_authority() {
    let (redis, ours, theirs) = (Redis::start(), Authority::named("ours"), Authority::named("theirs"));
    let (server, one, other) = (ours.server("localhost"), ours.client("", false), theirs.client("", false));
    let files = [
        ("tls/tls.crt", &*server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &*(ours.pem.clone() + &theirs.pem)),
        ("tls/crl.pem", &*(ours.revoke(&[]) + &ours.revoke_in(2021, &[&one]) + &theirs.revoke(&[&other]))),
    ];
    let wall = attempt(&redis, "[mtls]", "", &files).unwrap();
    assert!(!serves(&wall, &ours, &one), "the later one counts, wherever it stands");
    assert!(!serves(&wall, &ours, &other));
    // What has fetched the other's could not.
    wall.rewrite("tls/crl.pem", &ours.revoke_in(2022, &[]));
    assert!(eventually(|| serves(&wall, &ours, &one)));
    assert!(!serves(&wall, &ours, &other));
    wall.rewrite("tls/crl.pem", &(ours.revoke_in(2022, &[]) + &theirs.revoke(&[])));
    assert!(eventually(|| serves(&wall, &ours, &other)));
}

#[test]
fn a_session_that_waits_ends_when_its_certificate_is_revoked() {
    let (redis, ours) = (Redis::start(), Authority::new());
    let (server, client) = (ours.server("localhost"), ours.client("", false));
    let files = [
        ("tls/tls.crt", &*server.certificate),
        ("tls/tls.key", &server.key),
        ("tls/ca.crt", &ours.pem),
        ("tls/crl.pem", &ours.revoke(&[])),
    ];
    let wall = attempt(&redis, "[mtls]", "", &files).unwrap();
    let waits =
        ["BLPOP q 0\r\n".repeat(6), "MULTI\r\nSET k v\r\n".into(), "XREAD BLOCK 0 STREAMS s $\r\n".into(), "SUBSCRIBE c\r\n".into()];
    let mut all = waits.map(|said| {
        let mut stream = tls(socket(wall.port("cache")), "localhost", &ours, Some(&client)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        stream.read_exact(&mut [0; 7]).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        (said, stream)
    });
    wall.rewrite("tls/crl.pem", &ours.revoke(&[&client]));
    for (said, stream) in &mut all {
        stream.sock.set_read_timeout(Some(std::time::Duration::from_secs(6))).unwrap();
        let mut heard = Vec::new();
        let ended = stream.read_to_end(&mut heard).map_err(|e| e.kind());
        // TLS may end without a word of its own.
        assert!(matches!(ended, Ok(_) | Err(std::io::ErrorKind::UnexpectedEof)), "{said}: {ended:?}");
    }
}
