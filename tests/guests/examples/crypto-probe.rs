//! Answers every request with what the `crypto` calls give for its configuration, one `name=value` per line.

use portcullis_sdk::crypto::{self, Algorithm, Hash, Key};
use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// An HMAC secret for HS256.
    secret: String,
    /// What is hashed and authenticated.
    data: String,
}

struct Probe {
    data: Vec<u8>,
    key: Key,
    refused: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[portcullis_sdk::plugin(name = "crypto-probe", grants = ["crypto"])]
impl Plugin for Probe {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let refused = match Key::secret("short", Algorithm::Hs256) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        Ok(Self { data: config.data.into_bytes(), key: Key::secret(config.secret, Algorithm::Hs256)?, refused })
    }

    fn pre_handler(&self, _: &Request) -> Result<Verdict> {
        let mac = self.key.hmac(&self.data);
        let (one, other) = (crypto::random(32), crypto::random(32));
        let lines = [
            format!("sha256={}", hex(&crypto::digest(Hash::Sha256, &self.data))),
            format!("hmac={}", hex(&mac)),
            format!("verified={}", self.key.verify(&self.data, &mac)),
            format!("forged={}", self.key.verify(b"something else", &mac)),
            format!("equal={}", crypto::equal(&mac, &mac)),
            format!("unequal={}", crypto::equal(&one, &other)),
            format!("random={},{},{}", one.len(), other.len(), one != other),
            format!("too_much_random={}", crypto::random(1_000_000).len()),
            format!("short_secret={}", self.refused),
        ];
        Ok(Response::text(200, &lines.join("\n")).into())
    }
}
