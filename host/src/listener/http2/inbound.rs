//! What comes from the client: frames, header blocks, data.
//!
//! A mistake of one stream resets that stream; one that concerns the state both sides share ends the connection (RFC 9113 section 5.4).

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Block, Connection, Phase};
use super::frame::{self, Broken, Code, Head};
use super::inbox::{Arriving, Inbox};
use super::request::{self, Asked};
use super::streams::{Gone, Kind, Stream, Work};
use crate::exchange::{Client, Failure, Reason};
use crate::http::Body;
use crate::listener::Handle;

/// CONTINUATION frames of one header block at most; a block of the usual limit needs four.
const CONTINUATIONS_MAX: u32 = 64;
/// Bytes of a body that nobody wants which are let in and thrown away.
const DISCARD_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of a body that count as getting on: fewer in all that time are a client that is slow on purpose.
const PROGRESS_BYTES: usize = 1024;

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handle> Connection<S, H> {
    /// Takes all frames that are complete.
    pub(super) fn take_frames(&mut self) -> Result<(), Broken> {
        let read = std::mem::take(&mut self.read);
        let mut at = 0;
        let taken = self.walk(&read, &mut at);
        self.consume(read, at);
        taken
    }

    fn walk(&mut self, read: &[u8], at: &mut usize) -> Result<(), Broken> {
        if self.preface < frame::PREFACE.len() {
            let expected = frame::PREFACE.get(self.preface..).unwrap_or_default();
            let common = expected.len().min(read.len());
            if expected.get(..common) != read.get(..common) {
                return Err(Broken::protocol("not the preface"));
            }
            self.preface += common;
            *at += common;
        }
        while let Some((head, bytes)) = read.get(*at..).and_then(|bytes| Some((Head::parse(bytes)?, bytes))) {
            if head.length > frame::FRAME_BYTES_MAX {
                return Err(Broken::size("a frame longer than allowed"));
            }
            let end = frame::HEAD_BYTES + head.length;
            let Some(payload) = bytes.get(frame::HEAD_BYTES..end) else { break };
            *at += end;
            self.frame(head, payload)?;
        }
        Ok(())
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if !self.greeted {
            if head.kind != frame::SETTINGS || head.has(frame::ACK) {
                return Err(Broken::protocol("no SETTINGS behind the preface"));
            }
            self.greeted = true;
        }
        if self.block.is_some() && head.kind != frame::CONTINUATION {
            return Err(Broken::protocol("a frame within a header block"));
        }
        match head.kind {
            frame::DATA => self.data(head, payload),
            frame::HEADERS => self.headers(head, payload),
            frame::CONTINUATION => self.continuation(head, payload),
            frame::RST_STREAM => self.rst_stream(head, payload),
            frame::WINDOW_UPDATE => self.window_update(head, payload),
            frame::SETTINGS => self.client_settings(head, payload),
            frame::PING => self.ping(head, payload),
            frame::PRIORITY => self.priority(head, payload),
            frame::GOAWAY if head.stream != 0 => Err(Broken::protocol("GOAWAY on a stream")),
            frame::GOAWAY if payload.len() < 8 => Err(Broken::size("GOAWAY that is too short")),
            frame::PUSH_PROMISE => Err(Broken::protocol("PUSH_PROMISE from a client")),
            // The client opens no more streams; those that are open go on. Unknown frames are passed over (section 5.5).
            _ => self.controls.take(),
        }
    }

    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream.is_multiple_of(2) {
            return Err(Broken::protocol("HEADERS on a stream that is not the client's"));
        }
        let mut fragment = unpadded(head, payload)?;
        if head.has(frame::WITH_PRIORITY) {
            let (priority, rest) =
                fragment.split_at_checked(5).ok_or(Broken::size("HEADERS without their priority"))?;
            if frame::u32_of(priority) & 0x7fff_ffff == head.stream {
                return Err(Broken::protocol("a stream that depends on itself"));
            }
            fragment = rest;
        }
        let ends = head.has(frame::END_STREAM);
        if head.has(frame::END_HEADERS) {
            return self.block(head.stream, ends, fragment);
        }
        if fragment.is_empty() {
            self.controls.take()?;
        }
        let bytes = fragment.to_vec();
        self.block = Some(Block { stream: head.stream, ends, bytes, frames: 0, started: self.now });
        Ok(())
    }

    fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == head.stream) else {
            return Err(Broken::protocol("CONTINUATION of nothing"));
        };
        block.frames += 1;
        // What is longer than this cannot become a list within the limit, and is not worth decoding.
        let bytes_max = self.settings.head_bytes_max + frame::FRAME_BYTES_MAX;
        if block.frames > CONTINUATIONS_MAX || block.bytes.len() + payload.len() > bytes_max {
            return Err(Broken::flood("a header block that is too long"));
        }
        if payload.is_empty() {
            self.controls.take()?;
        }
        block.bytes.extend_from_slice(payload);
        if head.has(frame::END_HEADERS) {
            return self.block(block.stream, block.ends, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Takes a whole header block: a request, or what ends one.
    fn block(&mut self, id: u32, ends: bool, fragment: &[u8]) -> Result<(), Broken> {
        self.list.clear();
        // Also where nobody wants it: the table goes on.
        let decoded = self.decoder.decode(fragment, &mut self.list);
        decoded.map_err(|wrong| Broken { code: Code::Compression, why: wrong.0 })?;
        if let Some(seat) = self.streams.find(id) {
            return self.trailers(seat, id, ends);
        }
        match self.streams.gone(id) {
            Gone::Idle => self.request(id, ends),
            Gone::ClosedByUs => self.controls.take(),
            Gone::Skipped => Err(Broken::protocol("a stream that was passed over")),
            Gone::Closed => Err(Broken { code: Code::StreamClosed, why: "HEADERS on a closed stream" }),
        }
    }

    fn trailers(&mut self, seat: usize, id: u32, ends: bool) -> Result<(), Broken> {
        let trailers = request::trailers(&mut self.list.fields);
        let over = self.list.over;
        let Some(stream) = self.streams.at(seat) else { return Ok(()) };
        let wrong = match &trailers {
            _ if stream.ended => Some(Code::StreamClosed),
            _ if over => Some(Code::EnhanceYourCalm),
            Ok(_) if ends && stream.left.unwrap_or(0) == 0 => None,
            _ => Some(Code::Protocol),
        };
        if let Some(code) = wrong {
            return self.fail(seat, id, code);
        }
        stream.ended = true;
        if let Some(inbox) = &stream.inbox {
            inbox.end(trailers.ok());
        }
        if matches!(stream.work, Work::Done) {
            self.remove(seat);
        } else {
            self.streams.woken.mark(seat);
        }
        Ok(())
    }

    fn request(&mut self, id: u32, ends: bool) -> Result<(), Broken> {
        self.streams.note(id);
        self.controls.give(2);
        let full = self.streams.len() >= self.settings.http2.streams_max as usize;
        if full || self.phase == Phase::Leaving {
            return self.turn_away(id, Code::RefusedStream);
        }
        if self.list.over {
            let failure = Failure::new(Reason::HeadTooLarge, "a header list longer than allowed");
            let answer = std::future::ready(self.handler.refuse(&self.client, &failure));
            let (seat, _) = self.streams.seat();
            let stream = self.stream(id, Kind::Plain, Work::Handling(Box::pin(answer)), ends);
            self.streams.open(seat, stream);
            return Ok(());
        }
        let asked = match request::request(&mut self.list.fields) {
            Ok(asked) if !(ends && asked.length.unwrap_or(0) > 0) => asked,
            Ok(_) => return self.turn_away(id, Code::Protocol),
            Err(why) => {
                tracing::debug!(client = %self.client.address, stream = id, why, "malformed HTTP/2 request");
                return self.turn_away(id, Code::Protocol);
            }
        };
        let (seat, waker) = self.streams.seat();
        let Asked { request, kind, length, may_rest } = asked;
        let inbox = (!ends).then(|| Inbox::new(waker, length));
        let body = inbox.as_ref().map_or(Body::Empty, |inbox| Body::boxed(Arriving(Rc::clone(inbox))));
        let request = request.map(|()| body);
        let (handler, client) = (Rc::clone(&self.handler), Arc::clone(&self.client));
        let mut unbegun = Unbegun { handler, client, request: Some(request) };
        // A block and no `async fn`, which would keep a second copy of it.
        let answer = async move {
            match unbegun.request.take() {
                Some(request) => unbegun.handler.handle(&unbegun.client, request).await,
                // It is there until here.
                None => Response::new(Body::Empty),
            }
        };
        let mut stream = self.stream(id, kind, Work::Handling(Box::pin(answer)), ends);
        stream.inbox = inbox;
        stream.left = length;
        stream.may_rest = may_rest;
        self.streams.open(seat, stream);
        Ok(())
    }

    fn stream(&self, id: u32, kind: Kind, work: Work, ended: bool) -> Stream {
        Stream {
            id,
            kind,
            work,
            ended,
            inbox: None,
            left: None,
            receive_window: i64::from(self.settings.http2.stream_window_bytes.max(frame::WINDOW_BYTES)),
            unreturned: 0,
            discard_left: DISCARD_BYTES_MAX,
            send_window: self.window_first,
            queued: false,
            progress: self.now,
            arrived: 0,
            blocked: None,
            may_rest: false,
        }
    }

    /// Resets a stream that was not opened.
    fn turn_away(&mut self, id: u32, code: Code) -> Result<(), Broken> {
        frame::number(&mut self.out, frame::RST_STREAM, id, code as u32);
        self.streams.note_closed_by_us(id);
        self.resets.take()
    }

    /// Resets an open stream for a mistake of the client.
    pub(super) fn fail(&mut self, seat: usize, id: u32, code: Code) -> Result<(), Broken> {
        self.reset(seat, id, code);
        self.resets.take()
    }

    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream == 0 {
            return Err(Broken::protocol("DATA on no stream"));
        }
        // Padding counts (section 6.9.1).
        self.receive_window -= payload.len() as i64;
        if self.receive_window < 0 {
            return Err(Broken { code: Code::FlowControl, why: "more data than the connection's window" });
        }
        let data = unpadded(head, payload)?;
        let Some(seat) = self.streams.find(head.stream) else {
            self.give_back(payload.len());
            return match self.streams.gone(head.stream) {
                Gone::Idle => Err(Broken::protocol("DATA on an idle stream")),
                Gone::ClosedByUs => self.controls.take(),
                _ => Err(Broken { code: Code::StreamClosed, why: "DATA on a closed stream" }),
            };
        };
        let ends = head.has(frame::END_STREAM);
        if payload.is_empty() && !ends {
            self.controls.take()?;
        }
        let now = self.now;
        let Some(stream) = self.streams.at(seat) else { return Ok(()) };
        stream.receive_window -= payload.len() as i64;
        let left = stream.left.map(|left| left.checked_sub(data.len() as u64));
        let wrong = match left {
            _ if stream.ended => Some(Code::StreamClosed),
            _ if stream.receive_window < 0 => Some(Code::FlowControl),
            Some(None) => Some(Code::Protocol),
            Some(Some(1..)) if ends => Some(Code::Protocol),
            _ => None,
        };
        if let Some(code) = wrong {
            self.give_back(payload.len());
            return self.fail(seat, head.stream, code);
        }
        stream.left = left.flatten();
        stream.arrived += payload.len();
        if stream.arrived >= PROGRESS_BYTES && !matches!(stream.work, Work::Done) {
            (stream.arrived, stream.progress) = (0, now);
        }
        let padding = payload.len() - data.len();
        stream.unreturned += padding as u32;
        match &stream.inbox {
            Some(inbox) => inbox.put(data),
            None => stream.unreturned += data.len() as u32,
        }
        let lost = if stream.inbox.is_some() { padding } else { payload.len() };
        if ends {
            stream.ended = true;
            if let Some(inbox) = &stream.inbox {
                inbox.end(None);
            }
        }
        let (done, ended) = (matches!(stream.work, Work::Done), stream.ended);
        self.give_back(lost);
        if done && ended {
            self.remove(seat);
        } else {
            self.settle(seat);
            if ended {
                self.streams.woken.mark(seat);
            }
        }
        Ok(())
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if payload.len() != 4 {
            return Err(Broken::size("RST_STREAM that is not four bytes"));
        }
        match self.streams.find(head.stream) {
            Some(seat) => {
                let done = self.streams.at(seat).is_some_and(|stream| matches!(stream.work, Work::Done));
                self.remove(seat);
                if done { self.controls.take() } else { self.resets.take() }
            }
            None if self.streams.gone(head.stream) == Gone::Idle => {
                Err(Broken::protocol("RST_STREAM on an idle stream"))
            }
            None => self.controls.take(),
        }
    }
}

/// A payload without its padding (section 6.1).
fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Broken> {
    if !head.has(frame::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(Broken::size("no room for the padding's length"))?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or(Broken::protocol("more padding than payload"))?;
    Ok(rest.get(..length).unwrap_or_default())
}

/// A request that nobody has begun with. Dropped, it has been taken back.
struct Unbegun<H: Handle> {
    handler: Rc<H>,
    client: Arc<Client>,
    request: Option<Request<Body>>,
}

impl<H: Handle> Drop for Unbegun<H> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.handler.taken_back(&self.client, request);
        }
    }
}
