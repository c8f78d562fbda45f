//! Keys as the configuration has them, to the gateway one by one, each for one algorithm at a time.
//!
//! Border: what a key must be is the gateway's to say; here is decided which algorithms it is for. Invariant: a key never
//! gets an algorithm that neither the configuration nor the key itself names, except where its curve leaves no choice.

use portcullis_sdk::crypto::{Algorithm, KeySource};
use portcullis_sdk::serde_json::{self, Value};

use crate::base64url;
use crate::config::KeyConfig;
use crate::keys::{self, Key};
use crate::settings::Import;

const SAY_WHICH: &str = "say which algorithms it is for, for instance \"algorithms\": [\"RS256\"]";

/// Imports one entry.
pub(crate) fn keys(config: &KeyConfig, into: &mut Vec<Key>, import: &mut Import<'_>) -> Result<(), String> {
    let allowed = algorithms(&config.algorithms)?;
    let KeyConfig { secret, secret_base64, pem, jwk, jwks, .. } = config;
    let source = match (secret, secret_base64, pem, jwk, jwks) {
        (Some(secret), None, None, None, None) => KeySource::Secret(secret.clone().into_bytes()),
        (None, Some(secret), None, None, None) => KeySource::Secret(base64(secret)?),
        (None, None, Some(pem), None, None) => KeySource::Pem(pem.clone()),
        (None, None, None, Some(jwk), None) => return import_jwk(&parsed(jwk)?, config, &allowed, into, import),
        (None, None, None, None, Some(jwks)) => return import_set(&parsed(jwks)?, config, &allowed, into, import),
        _ => return Err("give exactly one of secret, secret_base64, pem, jwk and jwks".to_owned()),
    };
    if allowed.is_empty() {
        return Err(SAY_WHICH.to_owned());
    }
    add(&source, config.kid.clone(), config, &allowed, into, import)
}

fn import_jwk(
    jwk: &Value,
    config: &KeyConfig,
    allowed: &[Algorithm],
    into: &mut Vec<Key>,
    import: &mut Import<'_>,
) -> Result<(), String> {
    let own = own_algorithms(jwk);
    let algorithms = match (allowed, own.as_slice()) {
        ([], []) => return Err(SAY_WHICH.to_owned()),
        ([], own) => own,
        // The gateway refuses what contradicts the key.
        (allowed, _) => allowed,
    };
    let own_kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    let kid = config.kid.clone().or(own_kid);
    add(&KeySource::Jwk(jwk.to_string()), kid, config, algorithms, into, import)
}

/// RFC 7517 section 5: keys that cannot be used are left out. A set of nothing else is a mistake.
fn import_set(
    set: &Value,
    config: &KeyConfig,
    allowed: &[Algorithm],
    into: &mut Vec<Key>,
    import: &mut Import<'_>,
) -> Result<(), String> {
    if config.kid.is_some() {
        return Err("the keys of a set have their own \"kid\"".to_owned());
    }
    let keys = set.get("keys").and_then(Value::as_array).ok_or("a key set is an object with a list \"keys\"")?;
    let before = into.len();
    let mut first_problem = None;
    for (index, jwk) in keys.iter().enumerate() {
        let own = own_algorithms(jwk);
        let mut one = |algorithms: &[Algorithm]| {
            if let Err(problem) = import_jwk(jwk, config, algorithms, into, import) {
                first_problem.get_or_insert_with(|| format!("key {index}: {problem}"));
            }
        };
        if allowed.is_empty() {
            one(&[]);
        }
        // One set may hold keys of several kinds; each gets of the allowed algorithms those that it can have.
        for algorithm in allowed.iter().filter(|algorithm| own.is_empty() || own.contains(algorithm)) {
            one(&[*algorithm]);
        }
    }
    if into.len() > before {
        return Ok(());
    }
    let problem = first_problem.unwrap_or_else(|| "none is for the algorithms allowed".to_owned());
    Err(format!("no key of the set can be used; {problem}"))
}

/// Imports a key for each of the algorithms. Keys here and in the gateway are counted alike, also where one fails.
fn add(
    source: &KeySource,
    kid: Option<String>,
    config: &KeyConfig,
    algorithms: &[Algorithm],
    into: &mut Vec<Key>,
    import: &mut Import<'_>,
) -> Result<(), String> {
    for algorithm in algorithms {
        import(source, *algorithm)?;
        into.push(Key { algorithm: *algorithm, kid: kid.clone(), issuer: config.issuer.clone() });
    }
    Ok(())
}

/// What a JWK says it is for; a curve of ours has one algorithm.
fn own_algorithms(jwk: &Value) -> Vec<Algorithm> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let algorithm = match (text("alg"), text("kty"), text("crv")) {
        (Some(alg), ..) => keys::algorithm(alg),
        (None, Some("EC"), Some("P-256")) => Some(Algorithm::Es256),
        (None, Some("EC"), Some("P-384")) => Some(Algorithm::Es384),
        (None, Some("OKP"), Some("Ed25519")) => Some(Algorithm::Eddsa),
        _ => None,
    };
    algorithm.into_iter().collect()
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
    let mut algorithms = Vec::new();
    for name in names {
        let algorithm = keys::algorithm(name).ok_or_else(|| {
            format!("`{name}` is not an algorithm: use HS, RS or PS with 256, 384 or 512, ES256, ES384 or EdDSA")
        })?;
        if algorithms.contains(&algorithm) {
            return Err(format!("the algorithm {name} twice"));
        }
        algorithms.push(algorithm);
    }
    Ok(algorithms)
}

/// An object, or text that is one. The parser's message could quote the key.
fn parsed(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => serde_json::from_str(text).map_err(|_| "the key is not JSON".to_owned()),
        other => Ok(other.clone()),
    }
}

/// Either alphabet, with or without padding.
fn base64(text: &str) -> Result<Vec<u8>, String> {
    let url: Vec<u8> = text
        .trim()
        .trim_end_matches('=')
        .bytes()
        .map(|b| {
            if b == b'+' {
                b'-'
            } else if b == b'/' {
                b'_'
            } else {
                b
            }
        })
        .collect();
    let mut out = Vec::new();
    base64url::decode(&url, &mut out).map_err(|_| "secret_base64 is not base64".to_owned())?;
    Ok(out)
}
