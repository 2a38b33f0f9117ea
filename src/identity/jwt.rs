//! Signed tokens (RFC 7519) against a JWK set (RFC 7517). The key says which algorithms it serves, never the token (RFC 8725, 3.1).

use super::json::Unambiguous;
use crate::policy::JwtSource;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The longest token that is read, in bytes.
const TOKEN_BYTES: usize = 8 << 10;
/// So many keys a set has at most: a token without `kid` is tried with each.
const KEYS_MAX: usize = 32;

/// What is later than this is no time, but a mistake (milliseconds, most likely).
const SECONDS_MAX: f64 = 1e11;

/// Public keys that sign tokens.
#[derive(Clone)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|k| (&k.id, &k.algorithms))).finish()
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The claim that names the tenant.
    pub tenant: String,
    /// The claim that names the role.
    pub role: Option<String>,
    /// `exp`, and the leeway.
    pub ends: Option<SystemTime>,
}

impl Keys {
    /// Reads a JWK set. Errors: what is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Unambiguous(document) = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
        let all = document.get("keys").and_then(|k| k.as_array()).ok_or("it has no `keys`")?;
        let mut keys = Vec::new();
        for (index, value) in all.iter().enumerate() {
            let jwk: Jwk = serde_json::from_value(value.clone()).map_err(|e| format!("key {index}: {e}"))?;
            keys.extend(key(&jwk).map_err(|e| format!("key {index}: {e}"))?);
        }
        match keys.len() {
            0 => Err("it holds no key that signs".into()),
            KEYS_MAX.. => Err(format!("it holds more than {KEYS_MAX} keys")),
            _ => Ok(Self(keys)),
        }
    }

    /// Proves a token. Errors: it proves nothing; why is for the log.
    pub fn verify(&self, source: &JwtSource, token: &str) -> Result<Token, String> {
        if token.len() > TOKEN_BYTES {
            return Err("the token is too long".into());
        }
        let header = decode_header(token).map_err(|e| e.to_string())?;
        header_holds(token)?;
        let mut why = "no key of the set fits the token".to_owned();
        for key in &self.0 {
            if !key.algorithms.contains(&header.alg) || header.kid.is_some() && header.kid != key.id {
                continue;
            }
            match decode::<Unambiguous>(token, &key.key, &validation(source, header.alg)) {
                Ok(data) => return said(source, &data.claims.0),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

fn key(jwk: &Jwk) -> Result<Option<Key>, String> {
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) || !verifies {
        return Ok(None);
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
        }
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        AlgorithmParameters::OctetKey(_) => return Err("a shared secret is no public key".into()),
        _ => return Err("this curve is not supported".into()),
    };
    if let Some(named) = jwk.common.key_algorithm {
        algorithms.retain(|a| format!("{a:?}") == named.to_string());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?;
    Ok(Some(Key { id: jwk.common.key_id.clone(), algorithms, key }))
}

fn validation(source: &JwtSource, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    let mut required = vec!["exp"];
    validation.leeway = source.leeway.as_secs();
    validation.validate_nbf = true;
    validation.validate_aud = source.audience.is_some();
    if let Some(audience) = &source.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = &source.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// What the header asks for besides a signature, which the one who verifies it has to understand. Errors: it asks for something (RFC 7515, 4.1.11;
/// RFC 7797, 3).
fn header_holds(token: &str) -> Result<(), &'static str> {
    const BROKEN: &str = "the token's header cannot be read";
    let text = B64.decode(token.split('.').next().unwrap_or_default()).map_err(|_| BROKEN)?;
    let Unambiguous(header) = serde_json::from_slice(&text).map_err(|_| BROKEN)?;
    let header = header.as_object().ok_or(BROKEN)?;
    if header.contains_key("crit") {
        return Err("the token's header has `crit`, which asks for what nobody here understands");
    }
    if header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return Err("the token's header has `b64`: its payload would be another");
    }
    Ok(())
}

/// Are the registered claims of the types that they have (RFC 7519, 4.1)? One of another type says nothing, and may mean to forbid. Errors: it is not.
fn typed(claims: &Value) -> Result<(), String> {
    let claims = claims.as_object().ok_or("the token's claims are no object")?;
    for (name, value) in claims {
        let texts = |all: &[Value]| all.iter().all(Value::is_string);
        let good = match name.as_str() {
            "exp" | "nbf" | "iat" => value.as_f64().is_some_and(|at| (0.0..SECONDS_MAX).contains(&at)),
            "iss" | "sub" | "jti" => value.is_string(),
            "aud" => value.is_string() || value.as_array().is_some_and(|all| texts(all)),
            _ => true,
        };
        if !good {
            return Err(format!("the token's `{name}` is none"));
        }
    }
    Ok(())
}

fn said(source: &JwtSource, claims: &Value) -> Result<Token, String> {
    typed(claims)?;
    let way = source.claim.join(".");
    let found = source.claim.iter().try_fold(claims, |at, key| at.get(key));
    let tenant = found.and_then(|v| v.as_str()).ok_or_else(|| format!("the token has no text at `{way}`"))?;
    let ends = claims
        .get("exp")
        .and_then(Value::as_f64)
        .map(|e| Duration::from_secs_f64(e) + source.leeway)
        .and_then(|e| SystemTime::UNIX_EPOCH.checked_add(e));
    let role = match source.role.as_ref().and_then(|way| way.iter().try_fold(claims, |at, key| at.get(key))) {
        None | Some(Value::Null) => None,
        Some(role) => Some(role.as_str().ok_or("the role of the token is no text")?.to_owned()),
    };
    Ok(Token { tenant: tenant.to_owned(), role, ends })
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
