//! One response on its way out: small pieces go in one write, large ones uncopied, and nothing is held back that is here.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, response};
use http_body::Body as _;

use super::Http1;
use super::alarm::Alarm;
use super::encode::{self, CHUNK_END, Framing, Then};
use super::wire::Wire;
use crate::http::Body;
use crate::listener::stream::Stream;
use crate::time;

/// Longest piece that is copied behind the head or another piece; copying 8 KiB takes about 0.2 µs.
const COPIED_BYTES_MAX: usize = 8 * 1024;

/// A response on its way out.
pub(super) struct Sending {
    body: Body,
    framing: Framing,
    /// Whether the client takes trailer fields.
    trailers: bool,
    /// What is written next.
    out: BytesMut,
    /// What is written behind it.
    large: Bytes,
    /// Whether a chunk ends behind that.
    chunk_open: bool,
    /// Whether the body has given everything.
    finished: bool,
    /// Whether the head has been written.
    head_out: bool,
    patience: Alarm,
    /// Whether files are read, because the kernel cannot send them.
    reads_files: bool,
}

impl Sending {
    pub(super) fn new(head: &response::Parts, body: Body, framing: Framing, then: Then, trailers: bool) -> Self {
        let mut out = BytesMut::new();
        encode::head(&mut out, head, framing, then);
        let finished = matches!(framing, Framing::None(_) | Framing::Length(0));
        let patience = Alarm::default();
        let (large, chunk_open, head_out) = (Bytes::new(), false, false);
        Self { body, framing, trailers, out, large, chunk_open, finished, head_out, patience, reads_files: false }
    }

    /// Whether the head has been written.
    pub(super) fn head_is_out(&self) -> bool {
        self.head_out
    }

    /// Ready when everything is written, or cannot be.
    pub(super) fn poll<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &RefCell<Wire<S>>,
        limits: &Http1,
    ) -> Poll<Result<(), ()>> {
        loop {
            let file = self.next_is_file(&wire.borrow());
            let waits = if file { false } else { self.collect(cx)? };
            if !self.out.is_empty() || !self.large.is_empty() {
                let before = self.out.len() + self.large.len();
                // Not borrowed while the body is read: it may be the request's own.
                match wire.borrow_mut().poll_write(cx, &mut self.out, &mut self.large) {
                    Poll::Ready(Ok(())) => {
                        self.patience.clear();
                        self.head_out = true;
                        if std::mem::take(&mut self.chunk_open) {
                            self.out.put_slice(&CHUNK_END);
                        }
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                    Poll::Pending => {
                        return self.wait(self.out.len() + self.large.len() < before, cx, limits);
                    }
                }
            }
            if self.finished {
                return Poll::Ready(Ok(()));
            }
            if file {
                match self.poll_file(cx, &mut wire.borrow_mut()) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => return self.wait(false, cx, limits),
                }
                self.patience.clear();
                continue;
            }
            if waits {
                // A client that has gone away is noticed even while there is nothing to write to it.
                return wire.borrow_mut().poll_gone(cx).map(|()| Err(()));
            }
        }
    }

    /// Waits for the client to read. Patience begins anew with every bit of progress.
    fn wait(&mut self, progress: bool, cx: &mut Context<'_>, limits: &Http1) -> Poll<Result<(), ()>> {
        if progress || !self.patience.is_set() {
            self.patience.set(time::now(), limits.write_timeout);
        }
        self.patience.poll(cx).map(|()| Err(()))
    }

    /// Whether what comes next is a file that the kernel can send.
    fn next_is_file<S: Stream>(&self, wire: &Wire<S>) -> bool {
        let Framing::Length(left) = self.framing else { return false };
        let file = || self.body.file().is_some_and(|piece| piece.length() == left);
        !self.finished && !self.reads_files && wire.sends_files() && file()
    }

    /// Lets the kernel send some more of the file.
    fn poll_file<S: Stream>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<S>) -> Poll<Result<(), ()>> {
        let (Some(piece), Framing::Length(left)) = (self.body.file(), &mut self.framing) else {
            return Poll::Ready(Err(()));
        };
        match ready!(wire.poll_send_file(cx, piece)) {
            Ok(sent) => {
                self.body.file_sent(sent);
                *left = left.saturating_sub(sent);
                self.finished = *left == 0;
                Poll::Ready(Ok(()))
            }
            // A file system from which the kernel cannot send.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                self.reads_files = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                tracing::debug!(%error, "a response broke off");
                Poll::Ready(Err(()))
            }
        }
    }

    /// Takes pieces of the body as long as they fit into one write. Whether the body has to be waited for.
    fn collect(&mut self, cx: &mut Context<'_>) -> Result<bool, ()> {
        while !self.finished && self.large.is_empty() && !self.chunk_open && self.out.len() < COPIED_BYTES_MAX {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.push(data)?,
                    Err(frame) => self.finish(frame.into_trailers().ok())?,
                },
                Poll::Ready(None) => self.finish(None)?,
                // Cut off: the client must not take what it has for all.
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a response broke off");
                    return Err(());
                }
            }
        }
        Ok(false)
    }

    fn push(&mut self, data: Bytes) -> Result<(), ()> {
        if data.is_empty() {
            return Ok(());
        }
        if let Framing::Length(left) = &mut self.framing {
            // More than was announced would be taken for the next response.
            *left = left.checked_sub(data.len() as u64).ok_or(())?;
        }
        let chunked = self.framing == Framing::Chunked;
        if chunked {
            encode::chunk_size(&mut self.out, data.len());
        }
        if data.len() > COPIED_BYTES_MAX {
            self.large = data;
            self.chunk_open = chunked;
        } else {
            self.out.extend_from_slice(&data);
            if chunked {
                self.out.put_slice(&CHUNK_END);
            }
        }
        if self.framing == Framing::Length(0) {
            self.finished = true;
        }
        Ok(())
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), ()> {
        self.finished = true;
        match self.framing {
            Framing::Chunked => {
                encode::last_chunk(&mut self.out, trailers.as_ref().filter(|_| self.trailers));
                Ok(())
            }
            Framing::Length(left) if left > 0 => Err(()),
            _ => Ok(()),
        }
    }
}
