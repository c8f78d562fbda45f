//! Who signs tokens in these tests, and the gateway's side of verifying them.

use std::cell::Cell;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair};
use aws_lc_rs::{encoding::AsDer as _, hmac};
use portcullis_sdk::crypto::{Algorithm, KeySource};
use portcullis_sdk::serde_json::{self, Value, json};

use crate::base64url;
use crate::config::Config;
use crate::deny::Denial;
use crate::forward::{self, Reader};
use crate::keys;
use crate::settings::{self, Handling, Settings};
use crate::token::{Host, Scratch, authenticate};

/// A secret that is long enough for every hash.
pub(super) const SECRET: &str = "a secret for tests that is long enough even for SHA-512, 64 bytes";
/// When it is in these tests, in seconds.
pub(super) const NOW: i64 = 1_800_000_000;

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static P384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// Every algorithm.
pub(super) const ALL: [&str; 12] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The key that signs with this algorithm in these tests, as a configuration has it. PEM texts are names here.
pub(super) fn key(algorithm: &str) -> Value {
    match algorithm.get(..2) {
        Some("HS") => json!({ "secret": SECRET, "algorithms": [algorithm] }),
        Some("RS" | "PS") => json!({ "pem": "rsa", "algorithms": [algorithm] }),
        _ => json!({ "pem": algorithm, "algorithms": [algorithm] }),
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Signs with the key of this algorithm.
pub(super) fn sign(algorithm: &str, data: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let encoding: &'static dyn signature::RsaEncoding = match algorithm {
        "HS256" | "HS384" | "HS512" => return sign_with(algorithm, SECRET.as_bytes(), data),
        "ES256" => return P256.sign(&random, data).unwrap().as_ref().to_vec(),
        "ES384" => return P384.sign(&random, data).unwrap().as_ref().to_vec(),
        "EdDSA" => return ED.sign(data).as_ref().to_vec(),
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        "PS384" => &signature::RSA_PSS_SHA384,
        "PS512" => &signature::RSA_PSS_SHA512,
        other => panic!("{other}"),
    };
    let mut made = vec![0; RSA.public_modulus_len()];
    RSA.sign(encoding, &random, data, &mut made).unwrap();
    made
}

/// An HMAC with any secret.
pub(super) fn sign_with(algorithm: &str, secret: &[u8], data: &[u8]) -> Vec<u8> {
    let algorithm = hmac_algorithm(keys::algorithm(algorithm).unwrap()).unwrap();
    hmac::sign(&hmac::Key::new(algorithm, secret), data).as_ref().to_vec()
}

/// The public RSA key as everybody may have it.
pub(super) fn rsa_public_key() -> Vec<u8> {
    RSA.public_key().as_der().unwrap().as_ref().to_vec()
}

/// A token with this header and these claims, both as text.
pub(super) fn token_of(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
    format!("{signed}.{}", base64url::encode(&sign(signed.as_bytes())))
}

/// A token with the usual header.
pub(super) fn token(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    token_of(&header, &claims.to_string(), |data| sign(algorithm, data))
}

/// Claims that always pass, with changes; null takes one out.
pub(super) fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "joe", "exp": NOW + 3600 });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name).map(drop).unwrap_or_default(),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

enum Imported {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// The gateway's side: imported keys and a clock.
pub(super) struct Gateway {
    keys: Vec<Imported>,
    pub(super) now_ms: u64,
    pub(super) tries: Cell<usize>,
}

impl Gateway {
    fn import(&mut self, source: &KeySource, algorithm: Algorithm) -> Result<(), String> {
        let imported = match (source, hmac_algorithm(algorithm)) {
            (KeySource::Secret(secret), Some(lc)) => Imported::Hmac(Box::new(hmac::Key::new(lc, secret))),
            (KeySource::Pem(name), None) => Imported::Public(public(name, algorithm)?),
            (KeySource::Jwk(text), _) => self.jwk(text, algorithm)?,
            _ => return Err("the key does not fit the algorithm".to_owned()),
        };
        self.keys.push(imported);
        Ok(())
    }

    /// JWKs name their key in `x`, secrets are plain text in `k`.
    fn jwk(&self, text: &str, algorithm: Algorithm) -> Result<Imported, String> {
        let jwk: Value = serde_json::from_str(text).unwrap();
        if jwk.get("alg").is_some_and(|alg| alg != keys::name(algorithm)) || jwk.get("use").is_some_and(|u| u != "sig")
        {
            return Err("contradiction".to_owned());
        }
        match (jwk["kty"].as_str(), hmac_algorithm(algorithm)) {
            (Some("oct"), Some(lc)) => {
                Ok(Imported::Hmac(Box::new(hmac::Key::new(lc, jwk["k"].as_str().unwrap().as_bytes()))))
            }
            (Some("RSA" | "EC" | "OKP"), None) => public(jwk["x"].as_str().unwrap(), algorithm).map(Imported::Public),
            _ => Err("the key does not fit the algorithm".to_owned()),
        }
    }
}

fn public(name: &str, algorithm: Algorithm) -> Result<ParsedPublicKey, String> {
    let parsed = match (name, algorithm) {
        ("ES256", Algorithm::Es256) => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, P256.public_key().as_ref())
        }
        ("ES384", Algorithm::Es384) => {
            ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, P384.public_key().as_ref())
        }
        ("EdDSA", Algorithm::Eddsa) => ParsedPublicKey::new(&signature::ED25519, ED.public_key().as_ref()),
        ("rsa", algorithm) => {
            let parameters = match algorithm {
                Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                _ => return Err("the key does not fit the algorithm".to_owned()),
            };
            ParsedPublicKey::new(parameters, RSA.public_key().as_ref())
        }
        _ => return Err("the key does not fit the algorithm".to_owned()),
    };
    Ok(parsed.unwrap())
}

impl Host for Gateway {
    fn verify(&self, key: usize, data: &[u8], signature: &[u8]) -> bool {
        self.tries.set(self.tries.get() + 1);
        match &self.keys[key] {
            Imported::Hmac(key) => hmac::verify(key, data, signature).is_ok(),
            Imported::Public(key) => key.verify_sig(data, signature).is_ok(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// A configured plugin.
pub(super) struct Guard {
    pub(super) settings: Settings,
    pub(super) handling: Handling,
    pub(super) gateway: Gateway,
}

impl Guard {
    /// With this configuration; `keys` may be left out for an HS256 secret.
    pub(super) fn new(config: Value) -> Self {
        Self::try_new(config).unwrap()
    }

    pub(super) fn try_new(mut config: Value) -> Result<Self, String> {
        if config.get("keys").is_none() {
            config["keys"] = json!([key("HS256")]);
        }
        let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
        let mut gateway = Gateway { keys: Vec::new(), now_ms: NOW as u64 * 1000, tries: Cell::new(0) };
        let (settings, handling) =
            settings::compile(&config, &mut |source, algorithm| gateway.import(source, algorithm))?;
        Ok(Self { settings, handling, gateway })
    }

    /// What becomes of a token: what its attributes and then its headers would say, or why it does not pass.
    pub(super) fn judge(&self, token: &str) -> Result<Vec<Option<String>>, Denial> {
        let mut scratch = Scratch::default();
        let claims = authenticate(token.as_bytes(), &self.settings, &mut scratch, &self.gateway)?;
        let attributes = self.handling.attributes.iter().map(|(_, path)| (path, Reader::Plugins));
        let headers = self.handling.headers.iter().map(|(_, path)| (path, Reader::Upstream));
        let text = |(path, reader)| forward::text(claims.at(path).map_err(|_| Denial::Invalid("twice"))?, reader);
        attributes.chain(headers).map(|of| text(of).map(|text| text.map(|text| text.into_owned()))).collect()
    }

    /// The status that a token with these claims, signed with HS256, meets.
    pub(super) fn status(&self, claims: &Value) -> u16 {
        self.judge(&token("HS256", claims)).map_or_else(Denial::status, |_| 200)
    }
}
