//! A connection: what it keeps, and the round it goes each time its task is woken.
//!
//! States: greeting (preface, then SETTINGS) → open → parting (the client has been told, what it sent before it knew is still answered) →
//! leaving (nothing new is answered, streams go on) → closing (what is to be written is written,
//! what comes is thrown away) → ended. A round reads, asks streams, fills the output, writes, and goes on as long as
//! anything moved.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::allowance::Bucket;
use super::frame::{self, Broken, Code, WINDOW_BYTES};
use super::stall::tick;
use super::streams::Streams;
use crate::exchange::Client;
use crate::listener::hpack::{Decoder, Encoder, List};
use crate::listener::{Handle, Settings};
use crate::time::{self, Instant};

/// Output from which on nothing more is read or taken from bodies until it has been written.
pub(super) const OUT_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 32 * 1024;
/// Rounds before other connections get their turn.
const ROUNDS_MAX: usize = 32;
/// How long a client may take to answer that it knows that we leave.
const PARTING_TIMEOUT: Duration = Duration::from_secs(1);
/// What it is to answer.
pub(super) const PARTING_PING: &[u8; 8] = b"parting!";
/// How long a client may take to hear why it was cut off.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Parting { until: Instant },
    Leaving,
    Closing { deadline: Instant },
}

/// A header block that is not complete yet.
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) frames: u32,
    pub(super) started: Instant,
}

pub(super) struct Connection<S, H> {
    io: S,
    pub(super) handler: Rc<H>,
    pub(super) client: Arc<Client>,
    pub(super) settings: Rc<Settings>,
    pub(super) phase: Phase,
    pub(super) read: BytesMut,
    /// How much of the preface has come, and whether SETTINGS have.
    pub(super) preface: usize,
    pub(super) greeted: bool,
    pub(super) block: Option<Block>,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) list: List,
    pub(super) streams: Streams,
    /// Seats of streams that may have something to send, each once.
    pub(super) sendable: VecDeque<usize>,
    pub(super) send_window: i64,
    pub(super) receive_window: i64,
    pub(super) unreturned: u32,
    /// What the client said: the window of new streams, and its longest frame.
    pub(super) window_first: i64,
    pub(super) frame_max: usize,
    pub(super) resets: Bucket,
    pub(super) controls: Bucket,
    pub(super) out: Vec<u8>,
    written: usize,
    flushed: bool,
    pub(super) write_blocked: Option<Instant>,
    shut: bool,
    /// Whether a response is still held back.
    pub(super) linger_again: bool,
    pub(super) now: Instant,
    pub(super) idle_since: Instant,
    pub(super) timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handle> Connection<S, H> {
    pub(super) fn new(io: S, read: BytesMut, handler: Rc<H>, client: Arc<Client>, settings: Rc<Settings>) -> Self {
        let now = time::now();
        let http2 = &settings.http2;
        let mut out = Vec::with_capacity(256);
        frame::settings(
            &mut out,
            &[
                (frame::SETTING_MAX_CONCURRENT_STREAMS, http2.streams_max),
                (frame::SETTING_INITIAL_WINDOW_SIZE, http2.stream_window_bytes.max(WINDOW_BYTES)),
                (frame::SETTING_MAX_HEADER_LIST_SIZE, u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX)),
                (frame::SETTING_ENABLE_CONNECT_PROTOCOL, 1),
            ],
        );
        let more = http2.connection_window_bytes.saturating_sub(WINDOW_BYTES);
        if more > 0 {
            frame::number(&mut out, frame::WINDOW_UPDATE, 0, more);
        }
        Self {
            io,
            handler,
            client,
            phase: Phase::Open,
            read,
            preface: 0,
            greeted: false,
            block: None,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            list: List::new(settings.head_bytes_max, settings.headers_max),
            streams: Streams::new(http2.streams_max),
            sendable: VecDeque::new(),
            send_window: i64::from(WINDOW_BYTES),
            receive_window: i64::from(WINDOW_BYTES + more),
            unreturned: 0,
            window_first: i64::from(WINDOW_BYTES),
            frame_max: frame::FRAME_BYTES_MAX,
            resets: Bucket::new(http2.resets, now, "too many streams reset"),
            controls: Bucket::new(http2.controls, now, "too many frames that carry nothing"),
            out,
            written: 0,
            flushed: false,
            write_blocked: None,
            shut: false,
            linger_again: false,
            now,
            idle_since: now,
            timer: Box::pin(tokio::time::sleep_until((now + tick(&settings)).into())),
            settings,
        }
    }

    /// Goes on; ready when the connection has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, draining: bool) -> Poll<()> {
        self.streams.woken.task.register(cx.waker());
        self.now = time::now();
        // First what is here already: a request that came before the connection was told to drain is still answered.
        let mut told = !draining || self.phase != Phase::Open;
        for _ in 0..ROUNDS_MAX {
            if let Phase::Closing { .. } = self.phase {
                return self.poll_close(cx);
            }
            let mut moved = match self.poll_input(cx) {
                Ok(Input::Ended) => return Poll::Ready(()),
                Ok(Input::Moved) => true,
                Ok(Input::Waits) => false,
                Err(broken) => {
                    self.cut(broken);
                    continue;
                }
            };
            if !moved && !told {
                told = true;
                self.part();
            }
            if let Phase::Parting { until } = self.phase
                && self.now >= until
            {
                self.leave();
                moved = true;
            }
            moved |= self.poll_streams();
            self.fill();
            match self.poll_output(cx) {
                Ok(wrote) => moved |= wrote,
                Err(_) => return Poll::Ready(()),
            }
            if self.phase == Phase::Leaving && self.streams.len() == 0 && self.block.is_none() && self.out.is_empty() {
                self.close();
                continue;
            }
            if !moved {
                return self.poll_timer(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the client that we leave. What it has sent before it can know is still answered: which stream is the last is said when it
    /// has answered, or has not for too long (section 6.8).
    fn part(&mut self) {
        if !self.greeted {
            return self.leave();
        }
        frame::goaway(&mut self.out, frame::STREAM_MAX, Code::NoError);
        frame::head(&mut self.out, PARTING_PING.len(), frame::PING, 0, 0);
        self.out.extend_from_slice(PARTING_PING);
        self.phase = Phase::Parting { until: self.now + PARTING_TIMEOUT };
        self.linger(PARTING_TIMEOUT);
    }

    /// From now on nothing new is answered.
    pub(super) fn leave(&mut self) {
        frame::goaway(&mut self.out, self.streams.last, Code::NoError);
        self.phase = Phase::Leaving;
    }

    /// Reads once and takes the frames that are complete.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<Input, Broken> {
        if self.unwritten() >= OUT_BYTES_MAX {
            return Ok(Input::Waits);
        }
        if !self.read.is_empty() && self.preface == 0 {
            // What was read before this connection was known to be HTTP/2.
            self.take_frames()?;
        }
        self.read.reserve(READ_BYTES);
        // Keeps nothing between two calls, so that it may be made anew each time.
        let polled = pin!(self.io.read_buf(&mut self.read)).poll(cx);
        match polled {
            Poll::Pending => {
                if self.streams.len() == 0 && self.read.is_empty() {
                    // An idle connection keeps no buffer.
                    self.read = BytesMut::new();
                }
                Ok(Input::Waits)
            }
            Poll::Ready(Ok(0) | Err(_)) => Ok(Input::Ended),
            Poll::Ready(Ok(_)) => {
                self.resets.refill(self.now);
                self.controls.refill(self.now);
                self.take_frames()?;
                Ok(Input::Moved)
            }
        }
    }

    /// Asks the streams that were woken. Whether there were any.
    fn poll_streams(&mut self) -> bool {
        let mut any = false;
        let mut word = 0;
        while let Some(mut seats) = self.streams.woken.take(word) {
            any |= seats != 0;
            while seats != 0 {
                let seat = word * 64 + seats.trailing_zeros() as usize;
                seats &= seats - 1;
                self.poll_stream(seat);
            }
            word += 1;
        }
        any
    }

    /// Writes what is to be written. Whether any was.
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.flushed = false;
                    self.write_blocked = None;
                    wrote = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.write_blocked.get_or_insert(self.now);
                    if self.written >= OUT_BYTES_MAX {
                        self.out.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(wrote);
                }
            }
        }
        self.out.clear();
        self.written = 0;
        if self.streams.len() == 0 && self.out.capacity() > 4096 {
            self.out = Vec::new();
        }
        if !self.flushed {
            match Pin::new(&mut self.io).poll_flush(cx)? {
                Poll::Ready(()) => self.flushed = true,
                Poll::Pending => {
                    self.write_blocked.get_or_insert(self.now);
                }
            }
        }
        Ok(wrote)
    }

    /// Tells the client why, and ends the connection.
    pub(super) fn cut(&mut self, broken: Broken) {
        tracing::debug!(client = %self.client.address, %broken, "HTTP/2 connection cut off");
        // Nothing else of what waits is worth its time, but a frame that was begun must not be cut in two.
        frame::goaway(&mut self.out, self.streams.last, broken.code);
        self.close();
    }

    fn close(&mut self) {
        self.sendable.clear();
        let seats: Vec<usize> = self.streams.iter_mut().map(|(seat, _)| seat).collect();
        for seat in seats {
            drop(self.streams.close(seat));
        }
        self.block = None;
        self.phase = Phase::Closing { deadline: self.now + CLOSING_TIMEOUT };
        self.timer.as_mut().reset((self.now + CLOSING_TIMEOUT).into());
    }

    /// Writes the rest, closes our side, and waits a moment for the client to close its own: closed with bytes unread, the
    /// kernel would reset the connection, and the client might never read why.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.shut {
            if self.poll_output(cx).is_err() {
                return Poll::Ready(());
            }
            if self.out.is_empty() && self.flushed {
                match Pin::new(&mut self.io).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => self.shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
        }
        let mut thrown = [0; 4096];
        for _ in 0..ROUNDS_MAX {
            let mut buffer = ReadBuf::new(&mut thrown);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resets a stream that is open.
    pub(super) fn reset(&mut self, seat: usize, id: u32, code: Code) {
        frame::number(&mut self.out, frame::RST_STREAM, id, code as u32);
        self.streams.note_closed_by_us(id);
        self.remove(seat);
    }

    /// Removes a stream; what it had not taken of its body is given back to the connection.
    pub(super) fn remove(&mut self, seat: usize) {
        let Some(stream) = self.streams.close(seat) else { return };
        let held = stream.inbox.as_ref().map_or(0, |inbox| inbox.settle() + inbox.waiting());
        if stream.queued {
            self.sendable.retain(|other| *other != seat);
        }
        drop(stream);
        self.give_back(held);
        self.idle_since = self.now;
    }

    /// Bytes that wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Drops what has been taken from the front of the input.
    pub(super) fn consume(&mut self, mut read: BytesMut, bytes: usize) {
        read.advance(bytes);
        self.read = read;
    }
}

enum Input {
    Moved,
    Waits,
    Ended,
}
