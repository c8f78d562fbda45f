//! `crypto`: keys by number over the native implementation.

use std::sync::Arc;

use super::contract::crypto::{Algorithm, Hash, Host, KeySource, Tried};
use crate::http::customer;
use crate::plugin::crypto::{self, Busy, Pair};
use crate::plugin::state::{PREPARED_MAX, State, Trial};
use crate::time;

const fn algorithm(algorithm: Algorithm) -> crypto::Algorithm {
    match algorithm {
        Algorithm::Hs256 => crypto::Algorithm::Hs256,
        Algorithm::Hs384 => crypto::Algorithm::Hs384,
        Algorithm::Hs512 => crypto::Algorithm::Hs512,
        Algorithm::Rs256 => crypto::Algorithm::Rs256,
        Algorithm::Rs384 => crypto::Algorithm::Rs384,
        Algorithm::Rs512 => crypto::Algorithm::Rs512,
        Algorithm::Ps256 => crypto::Algorithm::Ps256,
        Algorithm::Ps384 => crypto::Algorithm::Ps384,
        Algorithm::Ps512 => crypto::Algorithm::Ps512,
        Algorithm::Es256 => crypto::Algorithm::Es256,
        Algorithm::Es384 => crypto::Algorithm::Es384,
        Algorithm::Eddsa => crypto::Algorithm::EdDsa,
    }
}

impl Host for State {
    fn import_key(&mut self, source: KeySource, wanted: Algorithm) -> wasmtime::Result<Result<u32, String>> {
        if self.prepared.keys.len() >= PREPARED_MAX {
            return Ok(Err(format!("more than {PREPARED_MAX} keys")));
        }
        // A prepared key is larger than what it was made of: an RSA key with its precomputed values takes a few KB.
        if !Arc::make_mut(&mut self.prepared).take(4096) {
            return Ok(Err("no room for another key".to_owned()));
        }
        let source = match &source {
            KeySource::Secret(secret) => crypto::KeySource::Secret(secret),
            KeySource::Pem(pem) => crypto::KeySource::Pem(pem),
            KeySource::Jwk(jwk) => crypto::KeySource::Jwk(jwk),
        };
        match crypto::Key::import(source, algorithm(wanted)) {
            Ok(key) => {
                if let Some(warning) = key.warning() {
                    tracing::warn!(plugin = %self.plugin, %warning, "imported key");
                }
                let keys = &mut Arc::make_mut(&mut self.prepared).keys;
                keys.push(Arc::new(key));
                Ok(Ok(u32::try_from(keys.len() - 1)?))
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn verify(&mut self, key: u32, data: Vec<u8>, signature: Vec<u8>) -> wasmtime::Result<bool> {
        Ok(self.prepared.keys.get(key as usize).is_some_and(|key| key.verify(&data, &signature)))
    }

    fn hmac(&mut self, key: u32, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let mac = self.prepared.keys.get(key as usize).and_then(|key| key.hmac(&data));
        Ok(mac.map(|mac| mac.as_ref().to_vec()).unwrap_or_default())
    }

    fn import_password(&mut self, stored: String) -> wasmtime::Result<Result<u32, String>> {
        if self.prepared.passwords.len() >= PREPARED_MAX {
            return Ok(Err(format!("more than {PREPARED_MAX} passwords")));
        }
        if !Arc::make_mut(&mut self.prepared).take(stored.len() + 64) {
            return Ok(Err("no room for another password".to_owned()));
        }
        match crypto::Password::import(&stored) {
            Ok(password) => {
                let passwords = &mut Arc::make_mut(&mut self.prepared).passwords;
                passwords.push(Arc::new(password));
                Ok(Ok(u32::try_from(passwords.len() - 1)?))
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn verify_password(&mut self, password: u32, given: Vec<u8>) -> wasmtime::Result<bool> {
        let Some(password) = self.prepared.passwords.get(password as usize) else { return Ok(false) };
        let began = time::now();
        let is_right = password.verify(&given);
        self.patience.note(time::now().saturating_duration_since(began));
        Ok(is_right)
    }

    fn try_password(&mut self, password: u32, given: Vec<u8>) -> wasmtime::Result<Tried> {
        self.spend(given.len())?;
        let Some(stored) = self.prepared.passwords.get(password as usize) else { return Ok(Tried::Wrong) };
        let pair = Pair::new(Arc::clone(stored), &given);
        let said = |is_right| if is_right { Tried::Right } else { Tried::Wrong };
        match std::mem::replace(&mut self.trial, Trial::Idle) {
            Trial::Known(known, is_right) if known.is_same(&pair) => return Ok(said(is_right)),
            running @ Trial::Running(..) => {
                self.trial = running;
                return Ok(Tried::Pending);
            }
            Trial::Impossible => {
                self.trial = Trial::Impossible;
                return Ok(said(self.verify_password(password, given)?));
            }
            Trial::Idle | Trial::Known(..) => {}
        }
        let client = customer(self.exchange()?.client.address.ip());
        match self.services.trials.ask(client, pair.clone()) {
            Ok(told) => {
                self.trial = Trial::Running(pair, told);
                Ok(Tried::Pending)
            }
            Err(Busy) => Ok(Tried::Busy),
        }
    }

    fn digest(&mut self, hash: Hash, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let hash = match hash {
            Hash::Sha256 => crypto::Hash::Sha256,
            Hash::Sha384 => crypto::Hash::Sha384,
            Hash::Sha512 => crypto::Hash::Sha512,
        };
        Ok(crypto::digest(hash, &data).as_ref().to_vec())
    }

    fn equal(&mut self, a: Vec<u8>, b: Vec<u8>) -> wasmtime::Result<bool> {
        Ok(crypto::equal(&a, &b))
    }

    fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        let length = length.min(u32::try_from(crypto::RANDOM_BYTES_MAX)?);
        crypto::random(length).ok_or_else(|| wasmtime::format_err!("the system gives no randomness"))
    }
}
