//! Reads one public key out of PEM text (RFC 7468).
//!
//! Border: text to [`Public`]. Text around the blocks is ignored, as section 2 asks; what lies inside must be right. Private
//! keys are refused by name, since a gateway that verifies should never have been given one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyError, Kind, Public, der};

/// The key of the first block; more than one is taken only for a chain of certificates, whose first is its holder's.
pub(super) fn public_key(text: &str) -> Result<Public, KeyError> {
    let (label, body, mut rest) = next_block(text)?.ok_or(KeyError::Pem("there is no -----BEGIN … ----- line"))?;
    let bytes = decode(body)?;
    let key = match label {
        "PUBLIC KEY" => der::subject_public_key_info(&bytes),
        "RSA PUBLIC KEY" => der::rsa_public_key(&bytes, Kind::Rsa),
        "CERTIFICATE" => der::certificate(&bytes),
        private if private.ends_with("PRIVATE KEY") => {
            Err(KeyError::Pem("this is a private key; give the public key that belongs to it"))
        }
        _ => Err(KeyError::Pem("expected PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")),
    }?;
    while let Some((next, _, after)) = next_block(rest)? {
        if label != "CERTIFICATE" || next != "CERTIFICATE" {
            return Err(KeyError::Pem("more than one key; give each its own entry"));
        }
        rest = after;
    }
    Ok(key)
}

/// Label, base64 body and what follows of the next block.
fn next_block(text: &str) -> Result<Option<(&str, &str, &str)>, KeyError> {
    let Some((_, after)) = text.split_once("-----BEGIN ") else { return Ok(None) };
    let (label, after) = after.split_once("-----").ok_or(KeyError::Pem("the BEGIN line is broken"))?;
    let (body, after) = after.split_once("-----END ").ok_or(KeyError::Pem("there is no END line"))?;
    match after.strip_prefix(label).and_then(|after| after.strip_prefix("-----")) {
        Some(rest) => Ok(Some((label, body, rest))),
        None => Err(KeyError::Pem("the END line does not match the BEGIN line")),
    }
}

fn decode(body: &str) -> Result<Vec<u8>, KeyError> {
    let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| KeyError::Pem("the text between the lines is not base64"))
}
