//! A stored response as bytes: a compact, versioned binary form, and the way back.
//!
//! What is read may have been written by anybody: every length is held against what is there before memory is taken, every count
//! against a limit, and nothing panics. Body and field values are not copied but shared with the bytes that they were
//! read from.
//!
//! The form: `PCR`, version, then flags, generation, times and status, key, `Vary`, tags, fields, body, and at the end a CRC-32 over
//! all before it (little endian). Numbers are varints (LEB128); what has a length stands behind it.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::Corrupt;

const MAGIC: [u8; 3] = *b"PCR";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Most fields, and most fields of the request that the response depends on: far more than listeners and upstreams let through.
const FIELDS_MAX: u64 = 4096;
/// Most tags. Each takes 16 bytes besides its text, so that the list has at most 1 MiB.
const TAGS_MAX: u64 = 65_536;

/// A stored response as it leaves the process and comes back. Times are in milliseconds, so that they mean the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The primary cache key.
    pub key: Box<str>,
    /// Its URL.
    pub url: Box<str>,
    /// What it is purged with at once.
    pub namespace: Box<str>,
    /// The request fields that the response depends on, and what the request said of each (RFC 9111 section 4.1).
    pub vary: Vec<(HeaderName, Option<HeaderValue>)>,
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The names under which it can be purged.
    pub tags: Vec<Box<str>>,
    /// When its head came, as Unix time.
    pub received_unix_ms: u64,
    /// How old it was then (RFC 9111 section 4.2.3).
    pub age_ms: u64,
    /// For how long from then it is fresh.
    pub ttl_ms: u64,
    /// For how long after that it may be served while it is revalidated (RFC 5861 section 3).
    pub stale_while_revalidate_ms: u64,
    /// For how long after it was fresh it may be served in place of an error (RFC 5861 section 4).
    pub stale_if_error_ms: u64,
    /// For how long after it was fresh it may be served where there is no answer.
    pub stale_if_unreachable_ms: u64,
    /// How long before it turns stale it is fetched anew; 0: not ahead.
    pub refresh_ahead_ms: u64,
    /// The generation of the cache that it belongs to.
    pub generation: u64,
    /// Whatever else is yes or no. Its meaning is that of who writes it.
    pub flags: u32,
}

impl Record {
    /// The Unix time in milliseconds from which on nobody may be served with it: neither fresh nor within a stale window.
    pub fn usable_until_unix_ms(&self) -> u64 {
        let stale = self.stale_while_revalidate_ms.max(self.stale_if_error_ms).max(self.stale_if_unreachable_ms);
        self.received_unix_ms.saturating_add(self.ttl_ms).saturating_add(stale)
    }

    /// At most so many bytes are its encoded form.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        // No varint has more than ten bytes; two of them stand before each field, one before everything else.
        let fields: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 20).sum();
        let value = |value: &Option<HeaderValue>| value.as_ref().map_or(0, HeaderValue::len);
        let vary: usize = self.vary.iter().map(|(name, of)| name.as_str().len() + value(of) + 21).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 10).sum();
        MAGIC.len()
            + 1
            + 17 * 10
            + self.key.len()
            + self.url.len()
            + self.namespace.len()
            + vary
            + tags
            + fields
            + self.body.len()
            + CHECKSUM_BYTES
    }
}

/// The bytes of a record.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(record.encoded_bytes_max());
    encode_into(record, &mut bytes);
    bytes
}

/// Appends the bytes of a record.
pub(super) fn encode_into(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    let numbers = [
        u64::from(record.flags),
        record.generation,
        record.received_unix_ms,
        record.age_ms,
        record.ttl_ms,
        record.stale_while_revalidate_ms,
        record.stale_if_error_ms,
        record.stale_if_unreachable_ms,
        record.refresh_ahead_ms,
        u64::from(record.status.as_u16()),
    ];
    for number in numbers {
        put_varint(number, out);
    }
    for text in [&record.key, &record.url, &record.namespace] {
        put_bytes(text.as_bytes(), out);
    }
    put_varint(record.vary.len() as u64, out);
    for (name, value) in &record.vary {
        put_bytes(name.as_str().as_bytes(), out);
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put_value(value, out);
        }
    }
    put_varint(record.tags.len() as u64, out);
    for tag in &record.tags {
        put_bytes(tag.as_bytes(), out);
    }
    put_varint(record.headers.len() as u64, out);
    for (name, value) in &record.headers {
        put_bytes(name.as_str().as_bytes(), out);
        put_value(value, out);
    }
    put_bytes(&record.body, out);
    let checksum = checksum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&checksum);
}

/// Reads a record. What is longer than `bytes` is refused before memory is taken for it; field values and body stay part of `bytes`.
///
/// # Errors
/// Another version, a wrong checksum, or a part that cannot be.
pub fn decode(bytes: &Bytes) -> Result<Record, Corrupt> {
    let body_bytes = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Corrupt::Foreign)?;
    let (body, written) = bytes.split_at(body_bytes);
    match body {
        [b'P', b'C', b'R', VERSION, ..] => {}
        [b'P', b'C', b'R', version, ..] => return Err(Corrupt::Version(*version)),
        _ => return Err(Corrupt::Foreign),
    }
    if checksum(body) != written {
        return Err(Corrupt::Checksum);
    }
    let mut rest = Reader(bytes.slice(MAGIC.len() + 1..body_bytes));
    let flags = u32::try_from(rest.varint("flags")?).map_err(|_| Corrupt::Part("flags"))?;
    let generation = rest.varint("generation")?;
    let received_unix_ms = rest.varint("time")?;
    let age_ms = rest.varint("age")?;
    let ttl_ms = rest.varint("ttl")?;
    let stale_while_revalidate_ms = rest.varint("stale window")?;
    let stale_if_error_ms = rest.varint("stale window")?;
    let stale_if_unreachable_ms = rest.varint("stale window")?;
    let refresh_ahead_ms = rest.varint("refresh time")?;
    let status = u16::try_from(rest.varint("status")?).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let record = Record {
        flags,
        generation,
        received_unix_ms,
        age_ms,
        ttl_ms,
        stale_while_revalidate_ms,
        stale_if_error_ms,
        stale_if_unreachable_ms,
        refresh_ahead_ms,
        status: status.ok_or(Corrupt::Part("status"))?,
        key: rest.text("key")?,
        url: rest.text("url")?,
        namespace: rest.text("namespace")?,
        vary: rest.vary()?,
        tags: rest.tags()?,
        headers: rest.headers()?,
        body: rest.bytes("body")?,
    };
    if rest.0.is_empty() { Ok(record) } else { Err(Corrupt::Part("end")) }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A field value. The lowest bit of its length says whether it is to be kept out of logs and HPACK's table.
fn put_value(value: &HeaderValue, out: &mut Vec<u8>) {
    put_varint((value.len() as u64) << 1 | u64::from(value.is_sensitive()), out);
    out.extend_from_slice(value.as_bytes());
}

/// What is left to read. Each reader is told what it reads, for the message.
struct Reader(Bytes);

impl Reader {
    fn byte(&mut self, of: &'static str) -> Result<u8, Corrupt> {
        self.take(1, of)?.first().copied().ok_or(Corrupt::Part(of))
    }

    fn varint(&mut self, of: &'static str) -> Result<u64, Corrupt> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(of)?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Corrupt::Part(of))
    }

    fn take(&mut self, length: u64, of: &'static str) -> Result<Bytes, Corrupt> {
        match usize::try_from(length) {
            Ok(length) if length <= self.0.len() => Ok(self.0.split_to(length)),
            _ => Err(Corrupt::Part(of)),
        }
    }

    fn bytes(&mut self, of: &'static str) -> Result<Bytes, Corrupt> {
        let length = self.varint(of)?;
        self.take(length, of)
    }

    fn text(&mut self, of: &'static str) -> Result<Box<str>, Corrupt> {
        std::str::from_utf8(&self.bytes(of)?).map(Box::from).map_err(|_| Corrupt::Part(of))
    }

    fn count(&mut self, max: u64, of: &'static str) -> Result<u64, Corrupt> {
        Some(self.varint(of)?).filter(|count| *count <= max).ok_or(Corrupt::Part(of))
    }

    fn name(&mut self, of: &'static str) -> Result<HeaderName, Corrupt> {
        HeaderName::from_bytes(&self.bytes(of)?).map_err(|_| Corrupt::Part(of))
    }

    fn value(&mut self, of: &'static str) -> Result<HeaderValue, Corrupt> {
        let length = self.varint(of)?;
        let bytes = self.take(length >> 1, of)?;
        let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| Corrupt::Part(of))?;
        value.set_sensitive(length & 1 == 1);
        Ok(value)
    }

    // Below, no memory is taken for a count: each element has to be there first.

    fn vary(&mut self) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, Corrupt> {
        let mut vary = Vec::new();
        for _ in 0..self.count(FIELDS_MAX, "vary")? {
            let name = self.name("vary")?;
            let value = match self.byte("vary")? {
                0 => None,
                1 => Some(self.value("vary")?),
                _ => return Err(Corrupt::Part("vary")),
            };
            vary.push((name, value));
        }
        Ok(vary)
    }

    fn tags(&mut self) -> Result<Vec<Box<str>>, Corrupt> {
        let mut tags = Vec::new();
        for _ in 0..self.count(TAGS_MAX, "tags")? {
            tags.push(self.text("tags")?);
        }
        Ok(tags)
    }

    fn headers(&mut self) -> Result<HeaderMap, Corrupt> {
        let mut headers = HeaderMap::new();
        for _ in 0..self.count(FIELDS_MAX, "fields")? {
            let (name, value) = (self.name("fields")?, self.value("fields")?);
            headers.try_append(name, value).map_err(|_| Corrupt::Part("fields"))?;
        }
        Ok(headers)
    }
}
