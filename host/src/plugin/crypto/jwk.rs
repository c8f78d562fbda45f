//! Reads one JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) for one algorithm.
//!
//! Border: text to [`Public`] or a secret. Whatever the key says about its own use must agree with the algorithm it is
//! imported for; members we do not know are ignored (RFC 7517 section 4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Algorithm, KeyError, KeyWarning, Kind, Public};

pub(super) enum Found {
    Secret(Vec<u8>),
    Public(Public),
}

pub(super) fn read(text: &str, algorithm: Algorithm) -> Result<(Found, Option<KeyWarning>), KeyError> {
    // The parser's own message could quote the key.
    let value: Value = serde_json::from_str(text).map_err(|_| KeyError::Jwk("not JSON"))?;
    let Value::Object(jwk) = value else { return Err(KeyError::Jwk("not a JSON object")) };
    if jwk.contains_key("keys") {
        return Err(KeyError::Jwk("this is a set of keys; give one of them"));
    }
    check_use(&jwk, algorithm)?;

    let found = match text_member(&jwk, "kty")? {
        "oct" => Found::Secret(bytes_member(&jwk, "k")?),
        "RSA" => Found::Public(Public::Rsa {
            modulus: number_member(&jwk, "n")?,
            exponent: number_member(&jwk, "e")?,
            kind: Kind::Rsa,
        }),
        "EC" => Found::Public(ec_point(&jwk)?),
        "OKP" => Found::Public(okp_point(&jwk)?),
        _ => return Err(KeyError::Jwk("\"kty\" is none of oct, RSA, EC, OKP")),
    };
    let private = !matches!(found, Found::Secret(_)) && jwk.contains_key("d");
    Ok((found, private.then_some(KeyWarning::PrivatePart)))
}

/// `alg`, `use` and `key_ops` (RFC 7517 sections 4.2 to 4.4).
fn check_use(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<(), KeyError> {
    let contradiction = |member| Err(KeyError::Contradiction { member, algorithm });
    // RFC 9864 gives Ed25519 a name of its own; here EdDSA means nothing else.
    let known_as = |name: &str| name == algorithm.as_str() || (algorithm == Algorithm::EdDsa && name == "Ed25519");
    if jwk.get("alg").is_some_and(|alg| !alg.as_str().is_some_and(known_as)) {
        return contradiction("alg");
    }
    if jwk.get("use").is_some_and(|value| value.as_str() != Some("sig")) {
        return contradiction("use");
    }
    if let Some(operations) = jwk.get("key_ops") {
        let symmetric = algorithm.needs() == Kind::Secret;
        let fits = |name: &Value| name == "verify" || (symmetric && name == "sign");
        if !operations.as_array().is_some_and(|names| names.iter().any(fits)) {
            return contradiction("key_ops");
        }
    }
    Ok(())
}

/// RFC 7518 section 6.2.1: both coordinates in full length.
fn ec_point(jwk: &Map<String, Value>) -> Result<Public, KeyError> {
    let (kind, size) = match text_member(jwk, "crv")? {
        "P-256" => (Kind::P256, 32),
        "P-384" => (Kind::P384, 48),
        _ => return Err(KeyError::Jwk("\"crv\" is neither P-256 nor P-384")),
    };
    let (x, y) = (bytes_member(jwk, "x")?, bytes_member(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return Err(KeyError::Jwk("\"x\" or \"y\" does not have the length of the curve"));
    }
    // SEC 1 section 2.3.3, uncompressed.
    let bytes = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok(Public::Point { bytes, kind })
}

fn okp_point(jwk: &Map<String, Value>) -> Result<Public, KeyError> {
    if text_member(jwk, "crv")? != "Ed25519" {
        return Err(KeyError::Jwk("\"crv\" is not Ed25519"));
    }
    let bytes = bytes_member(jwk, "x")?;
    if bytes.len() != 32 {
        return Err(KeyError::Jwk("\"x\" does not have the length of the curve"));
    }
    Ok(Public::Point { bytes, kind: Kind::Ed25519 })
}

fn text_member<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, KeyError> {
    jwk.get(name).and_then(Value::as_str).ok_or(KeyError::Jwk(match name {
        "kty" => "\"kty\" is missing",
        "crv" => "\"crv\" is missing",
        _ => "a member is missing or not a string",
    }))
}

/// base64url without padding, without stray bits (RFC 7515 section 2).
fn bytes_member(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(text_member(jwk, name)?).map_err(|_| KeyError::Jwk("a member is not base64url"))
}

/// A number without leading zeros. Some producers write one in front of `n`, against RFC 7518 section 6.3.1.1, which
/// itself warns that they do; it changes nothing.
fn number_member(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes_member(jwk, name)?;
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Ok(bytes.get(start..).unwrap_or_default().to_vec())
}
