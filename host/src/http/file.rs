//! A piece of an open file as a body.
//!
//! Whoever writes to a plain socket may take the piece as it is and let the kernel copy it (`sendfile`); everybody else reads
//! it chunk by chunk. The file stays open as long as the piece lives, so that what is sent is one version of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 64 * 1024;

/// A piece of an open file.
#[derive(Debug, Clone)]
pub struct FilePiece {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl FilePiece {
    /// `length` bytes of a file from `offset` on. A file that turns out to be shorter ends the body with an error.
    pub fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self { file, offset, length }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the piece begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The piece without its first bytes, which have been sent.
    pub fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.length);
        self.offset += bytes;
        self.length -= bytes;
    }

    /// The next chunk; none at the end.
    pub fn read(&mut self) -> Option<io::Result<Bytes>> {
        if self.length == 0 {
            return None;
        }
        let mut chunk = vec![0; usize::try_from(self.length.min(CHUNK_BYTES)).unwrap_or_default()];
        let read = match self.file.read_at(&mut chunk, self.offset) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        Some(read.map(|read| {
            chunk.truncate(read);
            self.advance(read as u64);
            Bytes::from(chunk)
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_piece_is_read_to_its_end_and_not_beyond() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = Arc::new(file);
        let mut piece = FilePiece::new(Arc::clone(&file), 2, 5);
        assert_eq!(piece.read().unwrap().unwrap(), "23456");
        assert!(piece.read().is_none());
        let mut short = FilePiece::new(file, 8, 5);
        assert_eq!(short.read().unwrap().unwrap(), "89");
        assert_eq!(short.read().unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
