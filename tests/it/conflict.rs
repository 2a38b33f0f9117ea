//! `conflict: first`: the first source of the listener's order counts, on both protocols, and what is said behind it and proves nothing refuses all
//! the same; `refuse` stands in `every_source`.

use crate::every_source::{CONFLICT, Dial, INVALID, Port, UNTRUSTED, check, proxied, token, with};
use crate::support::{socket, tls};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use jsonwebtoken::EncodingKey;
use serde_json::json;
use std::io::{Read, Write};

/// A key that signs tokens, and the set that holds it.
fn signer() -> (EncodingKey, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": B64.encode(x), "y": B64.encode(y)}]}).to_string();
    (EncodingKey::from_ec_der(pair.serialized_der()), jwks)
}

#[test]
fn the_first_of_a_tunnels_sources_counts() {
    let (own, jwks) = signer();
    let other = EncodingKey::from_ec_der(rcgen::KeyPair::generate().unwrap().serialized_der());
    let opens = |headers: &[&str]| with(|d| d.tunnel = Some(headers.iter().map(|h| format!("{h}\r\n")).collect()));
    let bearer = |key: &EncodingKey, tenant: &str, seconds| format!("Authorization: Bearer {}", token(key, tenant, seconds));
    let (good, forged, expired) = (bearer(&own, "globex", 60), bearer(&other, "globex", 60), bearer(&own, "globex", -9));
    let acme = "x-tenant: acme";
    let port = |sources: &str, trust: &str, listener: &str| {
        let identity =
            format!("  header: {{ name: x-tenant, trust: [{trust}] }}\n  jwt: {{ from: [header], keys: jwks.json, leeway: 0s }}");
        Port::new(&identity, sources, listener, &[("jwks.json", &jwks)])
    };
    check(
        &port("header, jwt", "loopback", ", tunnel: http, conflict: first"),
        &[
            ("both, which differ", opens(&[acme, &good]), "acme", "acme", ""),
            ("only the second", opens(&[&good]), "globex", "globex", ""),
            ("a forged second", opens(&[acme, &forged]), "28P01", "NOAUTH", "InvalidSignature"),
            ("an expired second", opens(&[acme, &expired]), "28P01", "NOAUTH", "ExpiredSignature"),
            ("a second that names no tenant", opens(&[acme, &bearer(&own, "A B", 60)]), "28000", "NOAUTH", INVALID),
            ("a first that names no tenant", opens(&["x-tenant: A_B", &good]), "28000", "NOAUTH", INVALID),
            ("one that says two things", opens(&[acme, "x-tenant: globex", &good]), "28000", "NOAUTH", CONFLICT),
        ],
    );
    check(
        &port("jwt, header", "loopback", ", tunnel: http, conflict: first"),
        &[
            ("the other order", opens(&[acme, &good]), "globex", "globex", ""),
            ("a forged first", opens(&[acme, &forged]), "28P01", "NOAUTH", "InvalidSignature"),
        ],
    );
    let distrusting = port("jwt, header", "10.0.0.0/8", ", tunnel: http, conflict: first");
    check(&distrusting, &[("a second that is not trusted", opens(&[acme, &good]), "28000", "NOAUTH", UNTRUSTED)]);
    let said = port("header, jwt", "loopback", ", tunnel: http, conflict: refuse");
    check(&said, &[("refuse, said", opens(&[acme, &good]), "28000", "NOAUTH", CONFLICT)]);
}

#[test]
fn the_first_source_counts_without_a_tunnel() {
    let identity = "  mtls: { uri: 'spiffe://corp/tenant/{tenant}/*' }\n  proxy: { tlv: { type: 0xE1, value: '{tenant}' } }\n  \
                    startup: { trust: [loopback, 10.0.0.0/8] }\n  static: { env: PARTYWALL_TEST_NO_SUCH_VARIABLE }\n\
                    operators: { mtls: ['spiffe://corp/migrator', 'spiffe://corp/tenant/globex/operator'] }";
    let listener = ", conflict: first, proxy_protocol: { trust: [loopback] }, \
                    tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], require: true }";
    let dial = |port: &Port, name: &str, proxy: &str, startup: &str| {
        let certificate = port.authority.client(&format!("spiffe://corp/{name}"), false);
        let first = if proxy.is_empty() { proxied(&[]) } else { proxied(&[(0xE1, proxy.as_bytes())]) };
        let parameters = if startup.is_empty() { Vec::new() } else { vec![("partywall.tenant", startup.to_owned())] };
        Dial { first, tls: true, certificate: Some(certificate), parameters, ..Dial::default() }
    };
    let port = Port::new(identity, "proxy, mtls, startup", listener, &[]);
    check(
        &port,
        &[
            ("both", dial(&port, "tenant/globex/app", "acme", ""), "acme", "acme", ""),
            ("all three", dial(&port, "tenant/globex/app", "acme", "globex"), "acme", "-", ""),
            ("the second and the third", dial(&port, "tenant/globex/app", "", "acme"), "globex", "-", ""),
            ("the third", dial(&port, "other", "", "acme"), "acme", "-", ""),
            ("a third that names no tenant", dial(&port, "tenant/globex/app", "acme", "A'b"), "28000", "-", INVALID),
        ],
    );
    // An operator that a source calls a tenant is neither, whatever counts among tenants.
    let acts = |name: &str| {
        let mut dial = dial(&port, name, "acme", "acme");
        dial.parameters.push(("partywall.reason", "ticket-7".to_owned()));
        dial.said = Some(("acme".into(), "ticket-7".into()));
        dial
    };
    check(
        &port,
        &[
            ("an operator", acts("migrator"), "acme", "acme", ""),
            ("one whose certificate is a tenant's", acts("tenant/globex/operator"), "28000", "NOAUTH", "an operator's and a tenant's"),
        ],
    );
    let port = Port::new(identity, "mtls, proxy, startup", listener, &[]);
    check(&port, &[("the other order", dial(&port, "tenant/globex/app", "acme", "acme"), "globex", "globex", "")]);
}

#[test]
fn a_later_token_that_does_not_count_is_refused_whatever_it_says() {
    let (own, jwks) = signer();
    let identity = "  mtls: { uri: 'spiffe://corp/{tenant}/*' }\n  jwt: { from: [password], keys: jwks.json }";
    let listener = ", conflict: first, tls: { cert: tls/tls.crt, key: tls/tls.key, client_ca: [tls/ca.crt], require: true }";
    for (sources, own_token, anothers) in [("mtls, jwt", "-WRONGPASS", "-WRONGPASS"), ("jwt, mtls", "+OK", "-WRONGPASS")] {
        let port = Port::new(identity, sources, listener, &[("jwks.json", &jwks)]);
        for (tenant, wanted) in [("acme", own_token), ("globex", anothers)] {
            let certificate = port.authority.client("spiffe://corp/acme/app", false);
            let mut stream = tls(socket(port.wall.port("redis")), "localhost", &port.authority, Some(&certificate)).unwrap();
            let token = token(&own, tenant, 60);
            write!(stream, "*2\r\n$4\r\nAUTH\r\n${}\r\n{token}\r\nGET who\r\nQUIT\r\n", token.len()).unwrap();
            let mut back = Vec::new();
            let _ = stream.read_to_end(&mut back);
            let back = String::from_utf8_lossy(&back);
            assert!(back.starts_with(wanted) && back.contains("acme"), "{sources}, {tenant}: {back}");
        }
    }
}
