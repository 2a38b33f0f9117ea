//! Tokens good, expired, forged, confused.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::policy::Expiry;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const FAR: u64 = 4_000_000_000;

struct Signer {
    key: EncodingKey,
    jwk: Value,
    point: Vec<u8>,
}

fn signer(id: &str) -> Signer {
    let pair = rcgen::KeyPair::generate().unwrap();
    let point = pair.public_key_raw().to_vec();
    let (x, y) = point[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": B64.encode(x), "y": B64.encode(y)});
    Signer { key: EncodingKey::from_ec_der(pair.serialized_der()), jwk, point }
}

fn source() -> JwtSource {
    JwtSource {
        role: None,
        password: true,
        header: true,
        keys: "jwks.json".into(),
        issuer: Some("https://id.example".into()),
        audience: Some("shop".into()),
        claim: vec!["org".into(), "tenant".into()],
        leeway: Duration::from_secs(30),
        expiry: Expiry::End,
    }
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": ["shop", "other"], "exp": FAR, "org": {"tenant": "acme"}})
}

fn sign(signer: &Signer, id: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &signer.key).unwrap()
}

#[test]
fn a_token_of_a_key_of_the_set_names_the_tenant() {
    let (one, two) = (signer("one"), signer("two"));
    let keys = Keys::parse(&json!({"keys": [one.jwk, two.jwk]}).to_string()).unwrap();
    for (signer, id) in [(&one, Some("one")), (&two, Some("two")), (&two, None)] {
        let token = keys.verify(&source(), &sign(signer, id, &claims())).unwrap();
        assert_eq!(token.tenant, "acme");
        assert_eq!(token.ends, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(FAR + 30)));
    }
    assert!(keys.verify(&source(), &sign(&one, Some("two"), &claims())).is_err(), "of another key of the set");
    assert!(keys.verify(&source(), &sign(&one, Some("three"), &claims())).is_err(), "of a key that is not there");
    assert!(keys.verify(&source(), &sign(&signer("one"), Some("one"), &claims())).is_err(), "forged");
}

#[test]
fn claims_that_do_not_hold_are_refused() {
    let one = signer("one");
    let keys = Keys::parse(&json!({"keys": [one.jwk]}).to_string()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (pointer, value, good) in [
        ("/exp", json!(now - 10), true),
        ("/exp", json!(now - 60), false),
        ("/exp", json!("soon"), false),
        ("/exp", Value::Null, false),
        ("/iss", json!("https://evil.example"), false),
        ("/iss", Value::Null, false),
        ("/aud", json!("shop"), true),
        ("/aud", json!("shops"), false),
        ("/aud", Value::Null, false),
        ("/org/tenant", json!(["acme"]), false),
        ("/org/tenant", Value::Null, false),
    ] {
        let mut claims = claims();
        *claims.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(keys.verify(&source(), &sign(&one, None, &claims)).is_ok(), good, "{pointer} {value}");
    }
    let mut early = claims();
    early["nbf"] = json!(now + 3600);
    assert!(keys.verify(&source(), &sign(&one, None, &early)).is_err());
}

#[test]
fn claims_of_the_wrong_type_are_refused_and_not_overheard() {
    let one = signer("one");
    let keys = Keys::parse(&json!({"keys": [one.jwk]}).to_string()).unwrap();
    let strict = source();
    // Types are the policy's affair no more than signatures are.
    let plain = JwtSource { issuer: None, audience: None, ..source() };
    let odd = [
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!(["https://id.example"]),
        json!("4000000000"),
        json!("soon"),
        json!(5),
        json!(-5),
    ];
    let fits = |name: &str, value: &Value| match name {
        "exp" => false,
        "nbf" | "iat" => *value == json!(5),
        "aud" => value.is_string() || value.is_array(),
        _ => value.is_string(),
    };
    for name in ["exp", "nbf", "iat", "iss", "sub", "jti", "aud"] {
        for value in &odd {
            let mut claims = claims();
            claims[name] = value.clone();
            let token = sign(&one, None, &claims);
            assert_eq!(keys.verify(&plain, &token).is_ok(), fits(name, value), "{name} {value}");
            assert!(fits(name, value) || keys.verify(&strict, &token).is_err(), "{name} {value}");
        }
    }
    for exp in [json!(4e12), json!(1e300)] {
        let mut claims = claims();
        claims["exp"] = exp;
        assert!(keys.verify(&plain, &sign(&one, None, &claims)).is_err());
    }
    for issuer in [json!(["https://id.example"]), json!(["https://evil.example", "https://id.example"])] {
        let mut claims = claims();
        claims["iss"] = issuer;
        assert!(keys.verify(&strict, &sign(&one, None, &claims)).is_err());
    }
    for claims in [json!([]), json!("x"), json!(null)] {
        assert!(keys.verify(&plain, &sign(&one, None, &claims)).is_err());
    }
}

/// A token with this header, signed as it stands.
fn with_header(signer: &Signer, header: &Value) -> String {
    signed(signer, &header.to_string(), &claims().to_string())
}

/// A token of these texts.
fn signed(signer: &Signer, header: &str, claims: &str) -> String {
    let said = format!("{}.{}", B64.encode(header), B64.encode(claims));
    format!("{said}.{}", jsonwebtoken::crypto::sign(said.as_bytes(), &signer.key, Algorithm::ES256).unwrap())
}

#[test]
fn a_header_that_asks_for_more_is_refused() {
    let one = signer("one");
    let keys = Keys::parse(&json!({"keys": [one.jwk]}).to_string()).unwrap();
    for (more, good) in [
        (json!({}), true),
        (json!({"typ": "JWT"}), true),
        (json!({"x": 1}), true),
        (json!({"b64": true}), true),
        (json!({"b64": false}), false),
        (json!({"b64": "false"}), false),
        (json!({"b64": null}), false),
        (json!({"crit": ["x"], "x": 1}), false),
        (json!({"crit": ["b64"], "b64": true}), false),
        (json!({"crit": ["exp"], "exp": FAR}), false),
        (json!({"crit": []}), false),
        (json!({"crit": null}), false),
        (json!({"crit": "x"}), false),
        (json!({"typ": 1}), false),
        (json!({"kid": 1}), false),
        (json!({"kid": ["one"]}), false),
    ] {
        let mut header = json!({"alg": "ES256"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(keys.verify(&source(), &with_header(&one, &header)).is_ok(), good, "{header}");
    }
}

#[test]
fn what_two_readers_may_read_differently_is_refused() {
    let one = signer("one");
    let keys = Keys::parse(&json!({"keys": [one.jwk]}).to_string()).unwrap();
    let source = JwtSource { issuer: None, audience: None, claim: vec!["tenant".into()], ..source() };
    let verify = |header: &str, claims: &str| keys.verify(&source, &signed(&one, header, claims)).map(|token| token.tenant);
    const HEADER: &str = r#"{"alg":"ES256"}"#;
    let claims = |more: &str| format!(r#"{{"tenant":"acme","exp":{FAR}{more}}}"#);
    assert_eq!(verify(HEADER, &claims("")), Ok("acme".into()));
    let odd = r#","other":{"tenant":"beta","n":[-1,1.5,1e300,null,true,18446744073709551615]},"x":[{"a":1},{"a":1}]"#;
    assert_eq!(verify(HEADER, &claims(odd)), Ok("acme".into()));
    for more in [
        r#","tenant":"beta""#,
        r#","tenant":"acme""#,
        r#","\u0074enant":"beta""#,
        r#","exp":1"#,
        r#","x":1,"x":1"#,
        r#","x":{"a":1,"a":2}"#,
        r#","x":[[{"a":1,"a":1}]]"#,
    ] {
        assert!(verify(HEADER, &claims(more)).is_err(), "{more}");
    }
    for header in [r#"{"alg":"ES256","alg":"ES256"}"#, r#"{"alg":"ES256","x":1,"x":1}"#, r#"{"alg":"ES256","x":{"a":1,"a":1}}"#] {
        assert!(verify(header, &claims("")).is_err(), "{header}");
    }
    let set = json!({"keys": [one.jwk]}).to_string();
    assert!(Keys::parse(&set).is_ok() && Keys::parse(&set.replacen('{', r#"{"keys": [],"#, 1)).is_err());
}

#[test]
fn the_key_says_the_algorithm_never_the_token() {
    let one = signer("one");
    let keys = Keys::parse(&json!({"keys": [one.jwk]}).to_string()).unwrap();
    let good = sign(&one, None, &claims());
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"RS256"}"#, r#"{}"#, r#"{"alg":"HS256"}"#] {
        let header = B64.encode(header);
        assert!(keys.verify(&source(), &format!("{header}.{rest}")).is_err());
        assert!(keys.verify(&source(), &format!("{header}.{payload}.")).is_err());
    }
    // The public key as the secret of an HMAC.
    let confused = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(&one.point)).unwrap();
    assert!(keys.verify(&source(), &confused).is_err());
    for broken in ["", ".", "..", "a.b", "a.b.c.d", &good[..good.len() - 2], &"x".repeat(TOKEN_BYTES + 1)] {
        assert!(keys.verify(&source(), broken).is_err(), "{broken}");
    }
}

#[test]
fn sets_without_a_usable_key_are_refused() {
    let one = signer("one");
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).to_string();
    let encryption = json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "enc", "x": one.jwk["x"], "y": one.jwk["y"]}]}).to_string();
    let signs = |what: Value| {
        let mut key = one.jwk.clone();
        key["key_ops"] = what;
        json!({ "keys": [key] }).to_string()
    };
    assert!(Keys::parse(&signs(json!(["verify"]))).is_ok());
    for bad in ["", "{}", r#"{"keys": []}"#, r#"{"keys": [{}]}"#, &secret, &encryption, &signs(json!(["encrypt"])), &signs(json!([]))] {
        assert!(Keys::parse(bad).is_err(), "{bad}");
    }
}
