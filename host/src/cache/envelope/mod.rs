//! How a stored response leaves the process and comes back: as a [`Record`], in an [`Envelope`] that compresses and encrypts.
//!
//! Pure. Whoever reads what was written, from Redis or a file, gets what was put in or a reason why not; a reason means a miss. With
//! keys, nothing is taken back that was not encrypted: who can write to Redis could else put words into our mouth.
//!
//! The form: `PC`, version, coding; if encrypted, the key's id behind its length, and the nonce; then the record, perhaps
//! compressed, perhaps encrypted; if encrypted, the tag.

mod record;

mod cipher;
mod compress;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use bytes::{Bytes, BytesMut};

use super::Settings;
use crate::names::{NAME_BYTES_MAX, Name};
use cipher::{NONCE_BYTES, TAG_BYTES};

pub use cipher::{BadSecret, CipherKey, Keys, SECRET_BYTES};
pub use record::{Record, decode, encode};

const MAGIC: [u8; 2] = *b"PC";
const VERSION: u8 = 1;
/// Bits of the coding.
const ZSTD: u8 = 1;
const AES_256_GCM: u8 = 2;

/// What an envelope adds at most.
const ENVELOPE_BYTES_MAX: usize = 4 + 1 + NAME_BYTES_MAX + NONCE_BYTES + TAG_BYTES;
/// What a record may have besides its body: key, fields, tags. Heads are limited to far less where they come in.
const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes are not a stored response that can be used. Each is a miss to who looked it up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// It begins like nothing of ours.
    #[error("it is no stored response")]
    Foreign,
    /// It was written by another version.
    #[error("it is written in version {0} of the form, which is not known here")]
    Version(u8),
    /// It was damaged.
    #[error("its checksum does not match")]
    Checksum,
    /// A part of it is impossible or broken off.
    #[error("its {0} cannot be read")]
    Part(&'static str),
    /// It, or what it would become, is longer than what is stored.
    #[error("it is longer than a stored response may be")]
    TooLong,
    /// It cannot be decompressed.
    #[error("it cannot be decompressed")]
    Expansion,
    /// It is encrypted with a key that is not known here, or not any more.
    #[error("it is encrypted with the key {0:?}, which is not known here")]
    UnknownKey(Name),
    /// It is not encrypted, although here everything is.
    #[error("it is not encrypted, and only what is encrypted is trusted here")]
    NotEncrypted,
    /// It was changed, was moved from another place, or was encrypted with another secret.
    #[error("it does not open with its key: it was changed, moved or encrypted with another secret")]
    Forged,
}

/// Why a record was not put into an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It would not be taken back.
    #[error("the response is longer than a stored response may be")]
    TooLong,
    /// The cryptographic library refused: there are no random numbers.
    #[error("the response cannot be encrypted")]
    Cipher,
}

/// What is done to records before they leave the process, and undone when they come back.
#[derive(Debug, Clone)]
pub struct Envelope {
    keys: Option<Keys>,
    compress_above_bytes: usize,
    object_bytes_max: usize,
}

impl Envelope {
    /// As the settings want it.
    pub fn new(settings: &Settings) -> Self {
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            keys: settings.encryption.clone(),
            compress_above_bytes: size(settings.compress_above_bytes),
            object_bytes_max: size(settings.object_bytes_max),
        }
    }

    /// Longest that a sealed record can be, in bytes. Who reads need not read further.
    pub fn sealed_bytes_max(&self) -> usize {
        self.record_bytes_max().saturating_add(ENVELOPE_BYTES_MAX)
    }

    fn record_bytes_max(&self) -> usize {
        self.object_bytes_max.saturating_add(HEAD_BYTES_MAX)
    }

    /// The bytes to write. `place` is where they are kept, such as a key of Redis: encrypted, they open there and nowhere else.
    ///
    /// Compression takes up to a millisecond per MiB and all else a tenth of it; a large record is better sealed on another thread than the
    /// worker's.
    ///
    /// # Errors
    /// Those that [`Self::open`] would refuse are [`SealError::TooLong`].
    pub fn seal(&self, place: &[u8], record: &Record) -> Result<Vec<u8>, SealError> {
        let record_bytes_max = record.encoded_bytes_max();
        if record.body.len() > self.object_bytes_max || record_bytes_max > self.record_bytes_max() {
            return Err(SealError::TooLong);
        }
        let compressed = self.compressed(record);
        let key = self.keys.as_ref().and_then(Keys::current);
        let mut coding = if compressed.is_some() { ZSTD } else { 0 };
        let mut nonce = [0; NONCE_BYTES];
        if key.is_some() {
            coding |= AES_256_GCM;
            aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Cipher)?;
        }

        let payload_bytes = compressed.as_ref().map_or(record_bytes_max, Vec::len);
        let mut sealed = Vec::with_capacity(payload_bytes + ENVELOPE_BYTES_MAX);
        sealed.extend_from_slice(&MAGIC);
        sealed.extend([VERSION, coding]);
        if let Some((id, _)) = key {
            sealed.push(id.as_str().len() as u8);
            sealed.extend_from_slice(id.as_str().as_bytes());
        }
        let bound = [sealed.as_slice(), place].concat();
        if key.is_some() {
            sealed.extend_from_slice(&nonce);
        }
        let head_bytes = sealed.len();
        match compressed {
            Some(compressed) => sealed.extend_from_slice(&compressed),
            None => record::encode_into(record, &mut sealed),
        }
        if let Some((_, key)) = key {
            let payload = sealed.get_mut(head_bytes..).unwrap_or_default();
            let tag = key.encrypt(nonce, &bound, payload).map_err(|_| SealError::Cipher)?;
            sealed.extend_from_slice(tag.as_ref());
        }
        Ok(sealed)
    }

    /// The record's bytes compressed, where that pays.
    fn compressed(&self, record: &Record) -> Option<Vec<u8>> {
        let long = record.encoded_bytes_max() > self.compress_above_bytes;
        if long && compress::is_compressible(&record.headers) { compress::squeeze(&encode(record)) } else { None }
    }

    /// The record in bytes that were kept at `place`. Where they are neither compressed nor encrypted, or `sealed` is shared with nobody,
    /// the body is not copied.
    ///
    /// Without keys, nothing holds a record to its place: who has a place for several keys compares [`Record::key`].
    ///
    /// # Errors
    /// See [`Corrupt`].
    pub fn open(&self, place: &[u8], mut sealed: Bytes) -> Result<Record, Corrupt> {
        if sealed.len() > self.sealed_bytes_max() {
            return Err(Corrupt::TooLong);
        }
        let coding = match &*sealed {
            [b'P', b'C', VERSION, coding, ..] if *coding <= ZSTD | AES_256_GCM => *coding,
            [b'P', b'C', VERSION, ..] => return Err(Corrupt::Part("coding")),
            [b'P', b'C', version, _, ..] => return Err(Corrupt::Version(*version)),
            _ => return Err(Corrupt::Foreign),
        };
        // Copied, because a part that is held on to would keep the rest from being decrypted in place.
        let head = sealed.split_to(MAGIC.len() + 2).to_vec();
        let payload = match (coding & AES_256_GCM != 0, &self.keys) {
            (true, keys) => decrypt(keys.as_ref(), (&head, place), sealed)?,
            (false, None) => sealed,
            (false, Some(_)) => return Err(Corrupt::NotEncrypted),
        };
        let plain = if coding & ZSTD != 0 {
            Bytes::from(compress::expand(&payload, self.record_bytes_max())?)
        } else {
            payload
        };
        let record = decode(&plain)?;
        if record.body.len() > self.object_bytes_max { Err(Corrupt::TooLong) } else { Ok(record) }
    }
}

/// Opens what follows the head: the key's id, the nonce, what was encrypted, the tag.
fn decrypt(keys: Option<&Keys>, (head, place): (&[u8], &[u8]), mut sealed: Bytes) -> Result<Bytes, Corrupt> {
    let id_bytes = usize::from(*sealed.first().ok_or(Corrupt::Part("key id"))?);
    if sealed.len() < 1 + id_bytes + NONCE_BYTES + TAG_BYTES {
        return Err(Corrupt::Part("key id"));
    }
    let id = sealed.split_to(1 + id_bytes);
    let name = id.get(1..).and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse::<Name>().ok());
    let name = name.ok_or(Corrupt::Part("key id"))?;
    let Some(key) = keys.and_then(|keys| keys.named(&name)) else { return Err(Corrupt::UnknownKey(name)) };
    let bound = [head, &*id, place].concat();
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&sealed.split_to(NONCE_BYTES));
    drop(id);
    let mut payload = sealed.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let plain_bytes = key.decrypt(nonce, &bound, &mut payload).map_err(|_| Corrupt::Forged)?;
    payload.truncate(plain_bytes);
    Ok(payload.freeze())
}
