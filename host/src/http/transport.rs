//! A byte stream as hyper wants it, with small writes sent in one piece.
//!
//! hyper gives head and body as two slices, which the kernel takes by `writev`. Copying a small body behind its head and
//! sending both as one slice (`send`) measured 0.6 µs of CPU less per request, proxied or from the cache; a large body is not copied.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Longest write that is copied together. Copying 8 KiB takes about 0.2 µs.
const COPIED_BYTES_MAX: usize = 8 * 1024;

thread_local! {
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A tokio stream for hyper.
#[derive(Debug)]
pub struct Transport<T>(TokioIo<T>);

impl<T> Transport<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Self {
        Self(TokioIo::new(stream))
    }

    /// The stream.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: AsyncRead + Unpin> Read for Transport<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> Write for Transport<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [only] = slices {
            return stream.poll_write(cx, only);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > COPIED_BYTES_MAX {
            return stream.poll_write_vectored(cx, slices);
        }
        COPY.with_borrow_mut(|copy| {
            copy.clear();
            slices.iter().for_each(|slice| copy.extend_from_slice(slice));
            stream.poll_write(cx, copy)
        })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Takes at most so many bytes per write and remembers each write's slices.
    #[derive(Default)]
    struct Taken {
        at_most: usize,
        writes: Vec<Vec<usize>>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Taken {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.writes.push(slices.iter().map(|slice| slice.len()).collect());
            let taken: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(self.at_most).collect();
            self.bytes.extend_from_slice(&taken);
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_writes_go_in_one_piece_and_large_ones_uncopied() {
        let check = |lengths: &[usize], at_most: usize, slices: &[usize]| {
            let parts: Vec<Vec<u8>> = lengths.iter().zip(b'a'..).map(|(length, byte)| vec![byte; *length]).collect();
            let whole = parts.concat();
            let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut transport = Transport::new(Taken { at_most, ..Taken::default() });
            let mut cx = Context::from_waker(Waker::noop());
            let written = Pin::new(&mut transport).poll_write_vectored(&mut cx, &parts);
            let taken = transport.0.into_inner();
            assert!(matches!(written, Poll::Ready(Ok(count)) if count == at_most.min(whole.len())), "{written:?}");
            assert_eq!(
                (&taken.writes[..], &taken.bytes[..]),
                (&[slices.to_vec()][..], &whole[..at_most.min(whole.len())])
            );
        };
        check(&[100], 1000, &[100]);
        check(&[100, 50], 1000, &[150]);
        check(&[100, 50, 7], 120, &[157]);
        check(&[100, COPIED_BYTES_MAX], 1000, &[100, COPIED_BYTES_MAX]);
        check(&[1, 2], 1000, &[3]);
    }
}
