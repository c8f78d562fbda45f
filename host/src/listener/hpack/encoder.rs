//! Encodes response fields (RFC 7541 section 6).
//!
//! A field that comes a second time enters the table and costs one byte from then on; what differs from response to response never does, and so
//! does not drive out what repeats. Looking a field up is one hash of a few of its bytes and one comparison.

use std::collections::VecDeque;

use http::header::{HeaderName, HeaderValue};

use super::fixed::{FIXED, name_index};
use super::{ENTRY_BYTES, TABLE_BYTES};

/// Places to remember fields by their hash. More than twice as many as entries of usual size have room.
const PLACES: usize = 128;

struct Entry {
    name: HeaderName,
    value: HeaderValue,
}

impl Entry {
    fn size(&self) -> usize {
        self.name.as_str().len() + self.value.len() + ENTRY_BYTES
    }
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// The hash of the last field that fell here and was not kept.
    seen: u32,
    /// Which entry fell here last, counted from 1 over the whole connection.
    entry: u32,
}

/// One direction's state.
pub(in crate::listener) struct Encoder {
    /// The newest first.
    table: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    /// The sizes to tell with the next block: the smallest since the last one, and the one that counts.
    resized: Option<usize>,
    inserted: u32,
    places: Box<[Place; PLACES]>,
}

impl Encoder {
    pub(in crate::listener) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            bytes: 0,
            bytes_max: TABLE_BYTES,
            resized: None,
            inserted: 0,
            places: Box::new([Place::default(); PLACES]),
        }
    }

    /// The client's table holds so many bytes. We use no more than the default.
    pub(in crate::listener) fn limit(&mut self, bytes: usize) {
        let bytes = bytes.min(TABLE_BYTES);
        if bytes != self.bytes_max || self.resized.is_some() {
            self.resized = Some(self.resized.map_or(bytes, |least| least.min(bytes)));
            self.bytes_max = bytes;
            self.evict(0);
        }
    }

    /// Begins a block: tells a table size that changed (section 4.2).
    pub(in crate::listener) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(least) = self.resized.take() {
            if least < self.bytes_max {
                integer(out, 0x20, 5, least);
            }
            integer(out, 0x20, 5, self.bytes_max);
        }
    }

    /// `:status`.
    pub(in crate::listener) fn status(&mut self, status: http::StatusCode, out: &mut Vec<u8>) {
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                out.push(8);
                return string(out, status.as_str().as_bytes());
            }
        };
        out.push(0x80 | index);
    }

    /// A field.
    pub(in crate::listener) fn field(&mut self, name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
        let hash = hash(name.as_str().as_bytes(), value.as_bytes());
        let at = hash as usize % PLACES;
        let place = self.places.get(at).copied().unwrap_or_default();
        let age = self.inserted.wrapping_sub(place.entry) as usize;
        if place.entry != 0
            && let Some(entry) = self.table.get(age)
            && entry.value == *value
            && entry.name == *name
        {
            return integer(out, 0x80, 7, FIXED.len() + 1 + age);
        }
        let size = name.as_str().len() + value.len() + ENTRY_BYTES;
        // A large entry would drive out most others.
        let keep = place.seen == hash && size <= self.bytes_max / 4 && !value.is_sensitive();
        let index = name_index(name);
        let (bits, prefix) = match (keep, value.is_sensitive()) {
            (true, _) => (0x40, 6),
            (false, true) => (0x10, 4),
            (false, false) => (0, 4),
        };
        integer(out, bits, prefix, usize::from(index));
        if index == 0 {
            string(out, name.as_str().as_bytes());
        }
        string(out, value.as_bytes());
        let mut place = place;
        place.seen = hash;
        if keep {
            self.evict(size);
            self.bytes += size;
            self.table.push_front(Entry { name: name.clone(), value: value.clone() });
            self.inserted = self.inserted.wrapping_add(1);
            place.entry = self.inserted;
        }
        if let Some(slot) = self.places.get_mut(at) {
            *slot = place;
        }
    }

    fn evict(&mut self, size: usize) {
        while self.bytes + size > self.bytes_max {
            let Some(entry) = self.table.pop_back() else { return };
            self.bytes -= entry.size();
        }
    }
}

/// FNV-1a over both lengths, the name's first bytes and the value's last ones: what tells fields apart in practice. A collision costs a few bytes.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let mut hash = mix(mix(0x811c_9dc5, name.len() as u8), value.len() as u8);
    hash = name.iter().rev().take(8).fold(hash, |hash, byte| mix(hash, *byte));
    value.iter().rev().take(16).fold(hash, |hash, byte| mix(hash, *byte)) | 1
}

/// An integer behind the bits of a prefix (section 5.1).
fn integer(out: &mut Vec<u8>, bits: u8, prefix: u32, mut value: usize) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        return out.push(bits | value as u8);
    }
    out.push(bits | most as u8);
    value -= most;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A string, not compressed: what repeats is in the table.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}
