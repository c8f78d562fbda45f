//! JSON Web Tokens, good and forged (RFC 7515, RFC 7519).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Key {
    Hmac(Box<hmac::Key>, Vec<u8>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A key that signs tokens.
pub struct Signer {
    algorithm: &'static str,
    key: Key,
}

impl Signer {
    /// HS256, HS384 or HS512 with this secret.
    pub fn hmac(algorithm: &'static str, secret: &str) -> Self {
        let of = match algorithm {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            other => panic!("{other} is not HMAC"),
        };
        Self { algorithm, key: Key::Hmac(Box::new(hmac::Key::new(of, secret.as_bytes())), secret.as_bytes().to_vec()) }
    }

    /// A fresh key for RS256, PS256, ES256, ES384 or EdDSA.
    pub fn fresh(algorithm: &'static str) -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = match algorithm {
            "RS256" => Key::Rsa(rsa(), &RSA_PKCS1_SHA256),
            "PS256" => Key::Rsa(rsa(), &RSA_PSS_SHA256),
            "ES256" => Key::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Key::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "EdDSA" => Key::Ed25519(Ed25519KeyPair::generate().unwrap()),
            other => panic!("no fresh key for {other}"),
        };
        Self { algorithm, key }
    }

    /// The public key (or the secret) as a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037).
    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match &self.key {
            Key::Hmac(_, secret) => json!({ "kty": "oct", "k": encode(secret) }),
            Key::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) }),
            Key::Ecdsa(pair) => {
                // 0x04, x, y: the uncompressed form.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Key::Rsa(pair, _) => {
                let (_, inside, _) = der(pair.public_key().as_ref());
                let (_, modulus, rest) = der(inside);
                let (_, exponent, _) = der(rest);
                // DER puts a zero in front of what would look negative.
                let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
        };
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm, "typ": "JWT" }), claims)
    }

    /// A token with this header, whatever it says.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(self.sign(signed.as_bytes())))
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Hmac(key, _) => hmac::sign(key, data).as_ref().to_vec(),
            Key::Ecdsa(pair) => pair.sign(&random, data).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(data).as_ref().to_vec(),
            Key::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, data, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// Tag, contents and what follows, of the first DER value: an RSA public key is a sequence of two integers (RFC 8017
/// appendix A.1.1).
fn der(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, begin) = match bytes[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (bytes[2..2 + count].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)), 2 + count)
        }
    };
    (bytes[0], &bytes[begin..begin + length], &bytes[begin + length..])
}

/// A token with `alg: none` (RFC 8725 section 2.1).
pub fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", encode(json!({ "alg": "none", "typ": "JWT" }).to_string()), encode(claims.to_string()))
}
