//! As much of the protobuf wire format as OTLP needs: varints, fixed numbers and length-delimited fields, written and read.
//!
//! Reading never trusts a length, and skips what it does not know.

/// Writes one message.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

impl Writer {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    /// An `int64`, `uint32`, `enum` or `bool`, even if it is zero.
    pub(super) fn number(&mut self, field: u32, number: u64) {
        self.tag(field, VARINT);
        self.varint(number);
    }

    /// A `fixed64`, `sfixed64` or the bits of a `double`.
    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A `fixed32`.
    pub(super) fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// `bytes` or a `string`.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message in this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        write(self);
        // Its length is known only now. Most messages are short, so that moving them costs little.
        let length = self.0.len() - start;
        self.tag(field, BYTES);
        self.varint(length as u64);
        self.0.get_mut(start..).unwrap_or_default().rotate_left(length);
    }

    /// What has been written so far, in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The message.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of another kind.
    Other,
}

/// Reads the fields of a message, up to where it stops making sense.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match (tag & 7) as u32 {
            VARINT => Value::Number(self.varint()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            FIXED64 => self.bytes(8).map(|_| Value::Other)?,
            FIXED32 => self.bytes(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_the_wire_format() {
        let mut writer = Writer::default();
        writer.number(1, 150);
        writer.bytes(2, b"testing");
        writer.message(3, |inner| inner.number(1, 150));
        writer.fixed32(4, 1);
        writer.fixed64(5, 2);
        writer.message(16, |_| {});
        // The first three are the examples of protobuf.dev/programming-guides/encoding.
        let expected = [
            &[0x08, 0x96, 0x01][..],
            &[0x12, 0x07],
            b"testing",
            &[0x1a, 0x03, 0x08, 0x96, 0x01],
            &[0x25, 1, 0, 0, 0],
            &[0x29, 2, 0, 0, 0, 0, 0, 0, 0],
            &[0x82, 0x01, 0x00],
        ];
        let bytes = writer.finish();
        assert_eq!(bytes, expected.concat());
        let read: Vec<_> = Reader(&bytes).collect();
        let inner = [0x08, 0x96, 0x01];
        let expected = [
            (1, Value::Number(150)),
            (2, Value::Bytes(b"testing")),
            (3, Value::Bytes(&inner)),
            (4, Value::Other),
            (5, Value::Other),
            (16, Value::Bytes(b"")),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn nonsense_ends_the_reading() {
        let check = |bytes: &[u8], count| assert_eq!(Reader(bytes).count(), count, "{bytes:x?}");
        check(&[], 0);
        check(&[0xff; 20], 0);
        check(&[0x08, 0x01, 0x12, 0x05, b'a'], 1);
        check(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 0);
        check(&[0x0b], 0);
        check(&[0x09, 1, 2, 3], 0);
    }
}
