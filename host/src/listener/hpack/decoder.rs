//! Decodes header blocks (RFC 7541 sections 3 and 6).
//!
//! A block is always read to its end, also when its fields are too many: the table must see all of it. What goes beyond the list's limits is
//! not even cloned, so that a small block which names a large field again and again costs neither memory nor much time.

use std::collections::VecDeque;

use super::field::{Field, Name};
use super::fixed::FIXED;
use super::{ENTRY_BYTES, TABLE_BYTES, Wrong, huffman};

/// The fields of one block.
#[derive(Debug)]
pub(in crate::listener) struct List {
    pub(in crate::listener) fields: Vec<Field>,
    /// Whether there was more than allowed.
    pub(in crate::listener) over: bool,
    bytes: usize,
    bytes_max: usize,
    fields_max: usize,
}

impl List {
    /// A list of so many bytes (names, values, 32 for each field: RFC 9113 section 6.5.2) and fields at most.
    pub(in crate::listener) fn new(bytes_max: usize, fields_max: usize) -> Self {
        Self { fields: Vec::new(), over: false, bytes: 0, bytes_max, fields_max }
    }

    /// Makes room for another block.
    pub(in crate::listener) fn clear(&mut self) {
        self.fields.clear();
        self.over = false;
        self.bytes = 0;
    }

    /// Whether another field of that size has room.
    fn admits(&mut self, size: usize) -> bool {
        self.bytes += size;
        self.over |= self.bytes > self.bytes_max || self.fields.len() >= self.fields_max;
        !self.over
    }
}

/// A name and a value that a literal or a later index brings back.
struct Entry {
    name: Name,
    field: Field,
    name_bytes: usize,
    value_bytes: usize,
}

impl Entry {
    fn size(&self) -> usize {
        self.name_bytes + self.value_bytes + ENTRY_BYTES
    }
}

/// One direction's state.
pub(in crate::listener) struct Decoder {
    /// The newest first.
    table: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    scratch: Vec<u8>,
}

impl Decoder {
    pub(in crate::listener) fn new() -> Self {
        Self { table: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES, scratch: Vec::new() }
    }

    /// Decodes a whole block into `list`.
    pub(in crate::listener) fn decode(&mut self, mut block: &[u8], list: &mut List) -> Result<(), Wrong> {
        let mut fields = false;
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                self.indexed(index, list)?;
            } else if first & 0xe0 == 0x20 {
                // Only at the beginning of a block (section 4.2).
                if fields {
                    return Err(Wrong("a table size update behind a field"));
                }
                let size = integer(&mut block, 5)?;
                if size > TABLE_BYTES {
                    return Err(Wrong("a table larger than allowed"));
                }
                self.bytes_max = size;
                self.evict(0);
                continue;
            } else {
                let mut scratch = std::mem::take(&mut self.scratch);
                let done = self.literal(&mut block, first & 0xc0 == 0x40, list, &mut scratch);
                self.scratch = scratch;
                done?;
            }
            fields = true;
        }
        Ok(())
    }

    fn indexed(&mut self, index: usize, list: &mut List) -> Result<(), Wrong> {
        match index.checked_sub(FIXED.len() + 1) {
            Some(at) => {
                let entry = self.table.get(at).ok_or(Wrong("an index beyond the table"))?;
                if list.admits(entry.size()) {
                    list.fields.push(entry.field.clone());
                }
            }
            None => {
                let (name, value) = fixed(index)?;
                if list.admits(name.len() + value.len() + ENTRY_BYTES) {
                    list.fields.push(Name::parse(name.as_bytes()).with(value.as_bytes()));
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, block: &mut &[u8], keep: bool, list: &mut List, scratch: &mut Vec<u8>) -> Result<(), Wrong> {
        let index = integer(block, if keep { 6 } else { 4 })?;
        let (name, name_bytes) = match index.checked_sub(FIXED.len() + 1) {
            _ if index == 0 => {
                let text = string(block, scratch)?;
                (Name::parse(text), text.len())
            }
            Some(at) => {
                let entry = self.table.get(at).ok_or(Wrong("an index beyond the table"))?;
                (entry.name.clone(), entry.name_bytes)
            }
            None => {
                let (name, _) = fixed(index)?;
                (Name::parse(name.as_bytes()), name.len())
            }
        };
        let value = string(block, scratch)?;
        let (value_bytes, size) = (value.len(), name_bytes + value.len() + ENTRY_BYTES);
        let admitted = list.admits(size);
        if !keep {
            if admitted {
                list.fields.push(name.with(value));
            }
            return Ok(());
        }
        self.evict(size);
        if size <= self.bytes_max {
            let field = name.with(value);
            if admitted {
                list.fields.push(field.clone());
            }
            self.bytes += size;
            self.table.push_front(Entry { name, field, name_bytes, value_bytes });
        } else if admitted {
            list.fields.push(name.with(value));
        }
        Ok(())
    }

    /// Makes room for an entry; one that is larger than the table empties it (section 4.4).
    fn evict(&mut self, size: usize) {
        while self.bytes + size > self.bytes_max {
            let Some(entry) = self.table.pop_back() else { return };
            self.bytes -= entry.size();
        }
    }
}

fn fixed(index: usize) -> Result<(&'static str, &'static str), Wrong> {
    index.checked_sub(1).and_then(|at| FIXED.get(at)).copied().ok_or(Wrong("index 0"))
}

/// An integer with a prefix of so many bits (section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Wrong> {
    let (first, mut rest) = block.split_first().ok_or(Wrong("the block ends within a field"))?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        // Four bytes hold more than any index or length here may be.
        let mut shift = 0;
        loop {
            let (byte, behind) = rest.split_first().ok_or(Wrong("the block ends within a number"))?;
            rest = behind;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(Wrong("a number that is too large"));
            }
        }
    }
    *block = rest;
    Ok(value)
}

/// A string, decoded into `scratch` where it is compressed (section 5.2).
fn string<'o, 'b: 'o>(block: &mut &'b [u8], scratch: &'o mut Vec<u8>) -> Result<&'o [u8], Wrong> {
    let packed = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Wrong("the block ends within a string"))?;
    *block = rest;
    if !packed {
        return Ok(text);
    }
    scratch.clear();
    huffman::decode(text, scratch)?;
    Ok(scratch)
}
