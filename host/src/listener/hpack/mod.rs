//! Header compression (RFC 7541): [`Decoder`] for requests, [`Encoder`] for responses.
//!
//! Pure: bytes in, fields out, and the other way round. What is decoded is already parsed, and the table keeps it parsed, so that a field
//! that is sent again costs no second look.

mod decoder;
mod encoder;
mod field;
mod fixed;
mod huffman;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

pub(super) use decoder::{Decoder, List};
pub(super) use encoder::Encoder;
pub(super) use field::Field;

/// Bytes of both tables: the protocol's default.
pub(super) const TABLE_BYTES: usize = 4096;
/// What an entry counts beside its name and value (section 4.1).
const ENTRY_BYTES: usize = 32;

/// Why a header block cannot be read. Nothing that follows on the connection can be read either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) &'static str);
