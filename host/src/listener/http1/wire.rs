//! One connection's two directions, shared by the task that serves it and the request body that reads from it.
//!
//! Everything runs on one thread, and nobody holds the borrow across a wait. What was read lies in `buffer` until somebody
//! takes it; an idle connection has none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::alarm::Alarm;
use super::chunked::{Decoded, Decoder};
use super::{Http1, RATE_GRACE};
use crate::http::{BodyError, FilePiece};
use crate::listener::stream::{Stream, poll_send_file};
use crate::time::{self, Instant};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of later requests that are read ahead while one is answered.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// What a client that waits for it is told before its body is read (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

thread_local! {
    static SCRATCH: RefCell<Box<[u8; READ_BYTES]>> = RefCell::new(Box::new([0; READ_BYTES]));
}

/// Why the request body cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its framing is wrong.
    Framing(&'static str),
    /// It came too slowly, or not at all.
    Slow,
    /// The connection ended.
    Gone,
}

/// A connection.
pub(super) struct Wire<S> {
    stream: S,
    /// What was read and not taken.
    pub(super) buffer: BytesMut,
    /// What is left of the request body.
    pub(super) decoder: Decoder,
    /// What went wrong with it.
    pub(super) trouble: Option<Trouble>,
    /// What is left to be said before the body is read.
    interim: &'static [u8],
    /// Whether the other protocol has begun.
    raw: bool,
    /// Who waits for it to begin.
    awaits_raw: Option<Waker>,
    /// Counts the exchanges, so that a body that outlived its own cannot read another's.
    pub(super) number: u64,
    /// The end of what the client sends has been read.
    ended: bool,
    pub(super) alarm: Alarm,
    body_began: Option<Instant>,
    body_bytes: u64,
}

impl<S: Stream> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            decoder: Decoder::Done,
            trouble: None,
            interim: b"",
            raw: false,
            awaits_raw: None,
            number: 0,
            ended: false,
            alarm: Alarm::default(),
            body_began: None,
            body_bytes: 0,
        }
    }

    /// Gives the stream back, and what was read.
    pub(super) fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.buffer)
    }

    /// A new request body begins.
    pub(super) fn begin(&mut self, decoder: Decoder, expects: bool) {
        self.interim = if expects && !decoder.is_done() { CONTINUE } else { b"" };
        self.decoder = decoder;
        self.number += 1;
        self.alarm.clear();
        (self.body_began, self.body_bytes) = (None, 0);
    }

    /// The client is not told to go on any more: the response begins. Whether it waits in vain.
    pub(super) fn forget_interim(&mut self) -> bool {
        let waits = self.interim.len() == CONTINUE.len();
        if waits {
            self.interim = b"";
        }
        waits
    }

    /// The other protocol begins.
    pub(super) fn switch(&mut self) {
        self.raw = true;
        if let Some(waker) = self.awaits_raw.take() {
            waker.wake();
        }
    }

    /// Reads what is there; 0 at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(&mut scratch[..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let length = read.filled().len();
            self.ended |= length == 0;
            self.buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(length))
        })
    }

    /// The next piece of the request body; none at its end.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Http1,
    ) -> Poll<Option<Result<Decoded, BodyError>>> {
        if let Some(trouble) = self.trouble {
            return Poll::Ready(Some(Err(trouble.into())));
        }
        let polled = self.poll_decoded(cx, limits);
        let trouble = match ready!(polled) {
            Ok(Decoded::End) => return Poll::Ready(None),
            Ok(decoded) => return Poll::Ready(Some(Ok(decoded))),
            Err(trouble) => trouble,
        };
        self.trouble = Some(trouble);
        Poll::Ready(Some(Err(trouble.into())))
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>, limits: &Http1) -> Poll<Result<Decoded, Trouble>> {
        while !self.interim.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, self.interim)) {
                Ok(written) if written > 0 => self.interim = self.interim.get(written..).unwrap_or_default(),
                _ => return Poll::Ready(Err(Trouble::Gone)),
            }
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
        if self.decoder == Decoder::Raw && !self.raw {
            self.awaits_raw = Some(cx.waker().clone());
            return Poll::Pending;
        }
        loop {
            match self.decoder.decode(&mut self.buffer).map_err(Trouble::Framing) {
                Ok(Decoded::Incomplete) => {}
                Ok(Decoded::End) => {
                    self.alarm.clear();
                    return Poll::Ready(Ok(Decoded::End));
                }
                decoded => return Poll::Ready(decoded),
            }
            if self.ended {
                return Poll::Ready(if self.raw { Ok(Decoded::End) } else { Err(Trouble::Gone) });
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Ok(bytes)) => self.arrived(bytes as u64, limits)?,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Trouble::Gone)),
                Poll::Pending => return self.poll_patience(cx, limits).map(|()| Err(Trouble::Slow)),
            }
        }
    }

    /// Notes that more of the body has come, and whether it comes fast enough.
    fn arrived(&mut self, bytes: u64, limits: &Http1) -> Result<(), Trouble> {
        if self.raw {
            return Ok(());
        }
        let now = time::now();
        let began = *self.body_began.get_or_insert(now);
        self.body_bytes += bytes;
        let took = now.saturating_duration_since(began);
        self.alarm.set(now, limits.body_timeout);
        if took >= RATE_GRACE && self.body_bytes < limits.body_rate_min.saturating_mul(took.as_secs()) {
            return Err(Trouble::Slow);
        }
        Ok(())
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>, limits: &Http1) -> Poll<()> {
        if self.raw {
            return Poll::Pending;
        }
        if !self.alarm.is_set() {
            let now = time::now();
            self.body_began.get_or_insert(now);
            self.alarm.set(now, limits.body_timeout);
        }
        self.alarm.poll(cx)
    }

    /// Ready when the client has gone away. Only asked while nobody reads the body; what comes meanwhile is the next request.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.decoder.is_done() {
            return if self.trouble == Some(Trouble::Gone) { Poll::Ready(()) } else { Poll::Pending };
        }
        while !self.ended && self.buffer.len() < AHEAD_BYTES_MAX {
            match self.poll_read(cx) {
                Poll::Ready(Ok(length)) if length > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Writes `first` and then `second` as far as possible; what was written is taken off.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        first: &mut BytesMut,
        second: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        while !first.is_empty() || !second.is_empty() {
            let mut stream = Pin::new(&mut self.stream);
            let written = if second.is_empty() {
                stream.poll_write(cx, first)
            } else if first.is_empty() {
                stream.poll_write(cx, second)
            } else {
                stream.as_mut().poll_write_vectored(cx, &[io::IoSlice::new(first), io::IoSlice::new(second)])
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_first = written.min(first.len());
            first.advance(of_first);
            second.advance(written - of_first);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Whether [`Self::poll_send_file`] can be used.
    pub(super) fn sends_files(&self) -> bool {
        self.stream.plain().is_some()
    }

    /// Writes bytes of a file. Gives how many; never 0.
    pub(super) fn poll_send_file(&mut self, cx: &mut Context<'_>, piece: &FilePiece) -> Poll<io::Result<u64>> {
        match self.stream.plain() {
            Some(socket) => poll_send_file(socket, piece, cx),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Says that nothing more is sent.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl From<Trouble> for BodyError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Framing(what) => Self::Framing(what),
            Trouble::Slow => Self::Framing("the body comes too slowly"),
            Trouble::Gone => Self::Closed,
        }
    }
}
