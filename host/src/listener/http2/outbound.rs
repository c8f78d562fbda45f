//! What goes to the client: response heads, data, trailers.
//!
//! Streams that have something to send take turns, one frame each, as far as both windows and the output have room.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, OUT_BYTES_MAX};
use super::frame::{self, Code};
use super::stall::{HOLD_TIMEOUT, LINGER_TIMEOUT};
use super::streams::{Kind, Sending, Work};
use crate::http::{Body, settle_length};
use crate::listener::Handle;
use crate::listener::date::date;

/// Bytes that count as getting on with a response whose client opens its window bit by bit.
const PROGRESS_BYTES: usize = 1024;

/// What became of a stream's turn.
enum Turn {
    /// It may have more.
    More,
    /// It waits for something of its own, or has ended.
    Over,
    /// All wait for the connection's window.
    Stuck,
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handle> Connection<S, H> {
    /// Asks a stream that was woken.
    pub(super) fn poll_stream(&mut self, seat: usize) {
        self.settle(seat);
        let Some((stream, waker)) = self.streams.asked(seat) else { return };
        match &mut stream.work {
            Work::Handling(answer) => {
                if let Poll::Ready(response) = answer.as_mut().poll(&mut Context::from_waker(waker)) {
                    self.hold(seat, response);
                }
            }
            Work::Held(_) if stream.ended || stream.may_rest => {
                if let Work::Held(response) = std::mem::replace(&mut stream.work, Work::Done) {
                    self.respond(seat, *response);
                }
            }
            Work::Held(_) => {}
            Work::Sending(_) => self.enqueue(seat),
            Work::Done => {}
        }
    }

    /// Lets a stream take turns.
    pub(super) fn enqueue(&mut self, seat: usize) {
        if let Some(stream) = self.streams.at(seat)
            && !stream.queued
        {
            stream.queued = true;
            self.sendable.push_back(seat);
        }
    }

    /// Holds a response back for a moment whose request is not complete.
    fn hold(&mut self, seat: usize, response: Response<Body>) {
        let now = self.now;
        let Some(stream) = self.streams.at(seat) else { return };
        // The answer is dropped with the handler; what it held of the request is dropped by now.
        stream.work = Work::Done;
        let unwanted = stream.inbox.as_ref().is_none_or(|inbox| inbox.unwanted());
        if stream.ended || stream.may_rest || !unwanted {
            return self.respond(seat, response);
        }
        stream.work = Work::Held(Box::new(response));
        stream.progress = now;
        self.linger(HOLD_TIMEOUT);
    }

    fn respond(&mut self, seat: usize, response: Response<Body>) {
        let (response::Parts { status, mut headers, .. }, body) = response.into_parts();
        let Some(stream) = self.streams.at(seat) else { return };
        let (id, kind) = (stream.id, stream.kind);
        if status.is_informational() {
            return self.reset(seat, id, Code::Internal);
        }
        let bodiless = kind == Kind::Head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = frame_length(kind, status, &mut headers, &body);
        let ends = bodiless || body.is_end_stream();
        let start = self.begin(id);
        self.encoder.status(status, &mut self.out);
        encode(&mut self.encoder, &headers, &mut self.out);
        if let Some(length) = length {
            self.encoder.field(&header::CONTENT_LENGTH, &HeaderValue::from(length), &mut self.out);
        }
        if !headers.contains_key(header::DATE) {
            self.encoder.field(&header::DATE, &date(), &mut self.out);
        }
        self.seal(start, ends);
        let work = if ends {
            Work::Done
        } else {
            Work::Sending(Sending { body, piece: Bytes::new(), trailers: None, exhausted: false })
        };
        if let Some(stream) = self.streams.at(seat) {
            // Dropped here, together with what it holds of the request.
            stream.work = work;
        }
        if ends { self.finish(seat) } else { self.enqueue(seat) }
    }

    /// Lets streams send in turn.
    pub(super) fn fill(&mut self) {
        while self.room() {
            let Some(seat) = self.sendable.pop_front() else { return };
            match self.send(seat) {
                Turn::More => self.sendable.push_back(seat),
                Turn::Over => {}
                Turn::Stuck => return self.sendable.push_front(seat),
            }
        }
    }

    fn send(&mut self, seat: usize) -> Turn {
        let Some((stream, waker)) = self.streams.asked(seat) else { return Turn::Over };
        let Work::Sending(sending) = &mut stream.work else {
            stream.queued = false;
            return Turn::Over;
        };
        let id = stream.id;
        match sending.poll_piece(&mut Context::from_waker(waker)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(())) => {
                self.reset(seat, id, Code::Internal);
                return Turn::Over;
            }
            Poll::Pending => {
                stream.queued = false;
                return Turn::Over;
            }
        }
        if !sending.piece.is_empty() {
            let window = stream.send_window.min(self.send_window);
            if window <= 0 {
                stream.blocked.get_or_insert((self.now, 0));
                if stream.send_window > 0 {
                    return Turn::Stuck;
                }
                stream.queued = false;
                return Turn::Over;
            }
            let room = self.frame_max.min(usize::try_from(window).unwrap_or(usize::MAX));
            let length = sending.piece.len().min(room);
            let ends = sending.exhausted && length == sending.piece.len() && sending.trailers.is_none();
            frame::head(&mut self.out, length, frame::DATA, if ends { frame::END_STREAM } else { 0 }, id);
            self.out.extend_from_slice(sending.piece.get(..length).unwrap_or_default());
            sending.piece.advance(length);
            stream.send_window -= length as i64;
            self.send_window -= length as i64;
            self.controls.give(2);
            stream.blocked = match stream.blocked {
                Some((since, sent)) if sent + length < PROGRESS_BYTES && !sending.piece.is_empty() => {
                    Some((since, sent + length))
                }
                _ => None,
            };
            if ends {
                self.finish(seat);
                return Turn::Over;
            }
            if !sending.piece.is_empty() || !sending.exhausted {
                return Turn::More;
            }
        }
        let trailers = sending.trailers.take();
        match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => {
                let start = self.begin(id);
                encode(&mut self.encoder, &trailers, &mut self.out);
                self.seal(start, true);
            }
            None => frame::head(&mut self.out, 0, frame::DATA, frame::END_STREAM, id),
        }
        self.finish(seat);
        Turn::Over
    }

    /// Our half of a stream is closed. What the client still sends is waited for a moment before the stream is reset (section
    /// 8.1): a short request then ends by itself, and clients are known (curl) to lose a response that a reset follows at once.
    fn finish(&mut self, seat: usize) {
        let now = self.now;
        let Some(stream) = self.streams.at(seat) else { return };
        stream.work = Work::Done;
        if stream.queued {
            stream.queued = false;
            self.sendable.retain(|other| *other != seat);
        }
        stream.blocked = None;
        stream.progress = now;
        if stream.ended {
            return self.remove(seat);
        }
        self.linger(LINGER_TIMEOUT);
    }

    /// Begins a header block. Returns where its frame begins.
    fn begin(&mut self, id: u32) -> usize {
        let start = self.out.len();
        frame::head(&mut self.out, 0, frame::HEADERS, 0, id);
        self.encoder.begin(&mut self.out);
        start
    }

    /// Ends a header block: writes its length, and cuts it into frames where one is too short for it.
    fn seal(&mut self, start: usize, ends: bool) {
        let flags = if ends { frame::END_STREAM } else { 0 };
        frame::seal(&mut self.out, start, self.frame_max, flags);
    }

    fn room(&self) -> bool {
        self.unwritten() < OUT_BYTES_MAX
    }
}

impl Sending {
    /// Makes sure that there is a piece, unless the body is exhausted.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        while self.piece.is_empty() && !self.exhausted {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.exhausted = true,
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a response body broke off");
                    return Poll::Ready(Err(()));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.piece = data;
                        self.exhausted = self.body.is_end_stream();
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.exhausted = true;
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Settles `Content-Length`. Returns the length that is to be added.
fn frame_length(kind: Kind, status: StatusCode, headers: &mut HeaderMap, body: &Body) -> Option<u64> {
    if status == StatusCode::NO_CONTENT || kind == Kind::Connect && status.is_success() {
        headers.remove(header::CONTENT_LENGTH);
        return None;
    }
    let exact = body.size_hint().exact();
    let method = if kind == Kind::Head { Method::HEAD } else { Method::GET };
    settle_length(&method, status, headers, exact);
    let silent = kind == Kind::Head || status == StatusCode::NOT_MODIFIED;
    exact.filter(|_| !silent && !headers.contains_key(header::CONTENT_LENGTH))
}

/// Encodes fields, without those of a connection (section 8.2.2).
fn encode(encoder: &mut crate::listener::hpack::Encoder, headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        if !of_connection(name) {
            encoder.field(name, value, out);
        }
    }
}

fn of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade")
}
