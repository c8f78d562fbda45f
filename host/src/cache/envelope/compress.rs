//! Zstandard, fast and with a limit on the way back.

use std::cell::RefCell;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

use super::Corrupt;

/// Where somebody waits, the fastest is best; the next levels save a tenth more and take twice as long.
const LEVEL: i32 = 1;

// Made anew for each record, they would take longer than the compression of a small one.
thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// Whether a body with these fields can be expected to become smaller: those that are encoded, and media that are, do not.
pub(super) fn is_compressible(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let begins = |with: &str| kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
    let dense = ["image/", "video/", "audio/", "font/woff", "application/zip", "application/gzip"];
    begins("image/svg") || !dense.into_iter().any(begins)
}

/// The compressed bytes, unless that does not save a sixteenth.
pub(super) fn squeeze(plain: &[u8]) -> Option<Vec<u8>> {
    let compressed = COMPRESSOR.with_borrow_mut(|context| context.as_mut()?.compress(plain).ok())?;
    (compressed.len() <= plain.len() - plain.len() / 16).then_some(compressed)
}

/// The bytes that were compressed; refused before memory is taken where they say that they are more than `bytes_max`, and when they are
/// more than they say.
pub(super) fn expand(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Corrupt> {
    let declared = get_frame_content_size(compressed).ok().flatten().ok_or(Corrupt::Expansion)?;
    let length = usize::try_from(declared).ok().filter(|length| *length <= bytes_max).ok_or(Corrupt::TooLong)?;
    let mut plain = Vec::with_capacity(length);
    let written =
        DECOMPRESSOR.with_borrow_mut(|context| context.as_mut()?.decompress_to_buffer(compressed, &mut plain).ok());
    match written {
        Some(written) if written == length => Ok(plain),
        _ => Err(Corrupt::Expansion),
    }
}
