//! What is sent of a file: a piece, or several with their headings (`multipart/byteranges`, RFC 9110 section 14.6).
//!
//! Small pieces are read at once, large ones are left to whoever sends them.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::http::{Body, FilePiece, Range};

/// Up to here a file is read at once: copying it costs less than another system call.
const READ_BYTES_MAX: u64 = 16 * 1024;

/// A piece of a file as a body.
pub(super) fn piece(file: &Arc<File>, offset: u64, length: u64) -> Body {
    if length == 0 {
        return Body::Empty;
    }
    let whole = (length <= READ_BYTES_MAX).then(|| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, offset).map(|()| Bytes::from(bytes))
    });
    match whole {
        Some(Ok(bytes)) => Body::Full(bytes),
        // A file that has become shorter since breaks off while it is sent: so much was announced.
        Some(Err(_)) | None => Body::File(FilePiece::new(Arc::clone(file), offset, length)),
    }
}

/// Several pieces as one body, and its media type.
pub(super) fn multipart(
    file: &Arc<File>,
    size: u64,
    ranges: &[Range],
    media_type: Option<&HeaderValue>,
) -> (HeaderValue, Body) {
    // Unforeseen, so that no file can hold it.
    let random = || RandomState::new().hash_one(size);
    let boundary = format!("{:016x}{:016x}", random(), random());
    let of_all = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or("application/octet-stream");
    let mut parts = Vec::new();
    let mut line_break = "";
    for range in ranges {
        let told = range.told(size);
        let heading =
            format!("{line_break}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {told}\r\n\r\n");
        parts.push(Body::from(Bytes::from(heading)));
        parts.push(Body::File(FilePiece::new(Arc::clone(file), range.first, range.length())));
        line_break = "\r\n";
    }
    parts.push(Body::from(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    (of_all.unwrap_or(HeaderValue::from_static("multipart/byteranges")), Body::in_order(parts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write as _;

    use http_body::Body as _;

    use super::*;
    use crate::http::test_bodies::collect;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[test]
    fn small_pieces_are_read_and_large_ones_left() {
        let file = file(&vec![b'x'; 20_000]);
        assert!(matches!(piece(&file, 0, 16_384), Body::Full(bytes) if bytes.len() == 16_384));
        assert!(
            matches!(piece(&file, 1, 16_385), Body::File(piece) if (piece.offset(), piece.length()) == (1, 16_385))
        );
        assert!(matches!(piece(&file, 0, 0), Body::Empty));
        // Shorter than it was.
        let (data, error) = collect(piece(&file, 19_999, 2));
        assert!(data == b"x" && matches!(error, Some(crate::http::BodyError::File(_))));
    }

    #[test]
    fn parts_have_headings_and_an_exact_length() {
        let ranges = [Range { first: 1, last: 2 }, Range { first: 9, last: 9 }];
        let (media_type, body) =
            multipart(&file(b"0123456789"), 10, &ranges, Some(&HeaderValue::from_static("text/x")));
        let boundary = media_type.to_str().unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
        let announced = body.size_hint().exact().unwrap();
        let (data, error) = collect(body);
        assert!(error.is_none());
        assert_eq!(announced, data.len() as u64);
        let expected = "--B\r\nContent-Type: text/x\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n\
                        --B\r\nContent-Type: text/x\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--B--\r\n";
        assert_eq!(String::from_utf8(data.to_vec()).unwrap().replace(&boundary, "B"), expected);
    }
}
