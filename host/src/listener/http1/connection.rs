//! One connection from its first byte to its last: heads in, handler, responses out.
//!
//! States: reading a head → handling → writing → clearing away what is left of the request → reading the next head … → closing.
//! Draining, the connection ends where it would read the next head.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode, Version, header};
use http_body::Body as _;

use super::alarm::Alarm;
use super::body::Incoming;
use super::chunked::{Decoded, Decoder};
use super::encode::{self, Framing, Then};
use super::head::{self, Head, Limits};
use super::send::Sending;
use super::wire::{Trouble, Wire};
use crate::exchange::{Client, Failure, Reason};
use crate::http::{Body, HangUp, Upgrade, settle_length};
use crate::listener::http2::PREFACE;
use crate::listener::registry::Ticket;
use crate::listener::stream::Stream;
use crate::listener::{Handle, Settings};

use crate::time;

/// How long a connection that has not sent anything yet is waited for when the gateway drains. Its client has just connected
/// and has every reason to believe that its request will be answered.
const FRESH_GRACE: Duration = Duration::from_secs(1);
/// Bytes of a request body that nobody wanted which are read to keep the connection, or so that the client can read our
/// answer before it learns that the connection is closed (RFC 9112 section 9.6).
const DISCARDED_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How a connection ended.
pub(in crate::listener) enum Ended<S> {
    /// It is closed.
    Closed,
    /// It began with the preface of HTTP/2: the stream, and what was read.
    Preface(S, BytesMut),
}

/// What comes next on a connection.
enum Next {
    Head(Box<Head>),
    Refused(Failure),
    Preface,
    End,
}

/// What becomes of the connection after an exchange.
#[derive(PartialEq, Eq)]
enum After {
    Next,
    Close,
    /// Closed after what the client still sends was read, so that it sees our answer.
    Linger,
}

struct Session<'c, S, H> {
    wire: Rc<RefCell<Wire<S>>>,
    handler: &'c H,
    client: &'c Arc<Client>,
    settings: &'c Rc<Settings>,
    ticket: &'c Ticket,
    served: u64,
}

/// Serves a connection until it ends.
pub(in crate::listener) async fn serve<S, H>(
    stream: S,
    handler: &H,
    client: &Arc<Client>,
    settings: &Rc<Settings>,
    ticket: &Ticket,
) -> Ended<S>
where
    S: Stream,
    H: Handle,
{
    let wire = Rc::new(RefCell::new(Wire::new(stream)));
    let mut session = Session { wire, handler, client, settings, ticket, served: 0 };
    let after = loop {
        let after = match session.next_head().await {
            Next::Head(head) => {
                // Apart and only as long as it lasts, so that an idle connection does not need the room for it.
                Box::pin(session.exchange(head)).await
            }
            Next::Refused(failure) => Box::pin(session.refuse(&failure)).await,
            Next::End => After::Close,
            Next::Preface => {
                // Nobody else holds it before the first request.
                return match Rc::try_unwrap(session.wire) {
                    Ok(wire) => {
                        let (stream, read) = wire.into_inner().into_parts();
                        Ended::Preface(stream, read)
                    }
                    Err(_) => Ended::Closed,
                };
            }
        };
        if after != After::Next {
            break after;
        }
        session.served += 1;
    };
    session.close(after).await;
    Ended::Closed
}

impl<S: Stream, H: Handle> Session<'_, S, H> {
    /// Waits for the next request head.
    async fn next_head(&mut self) -> Next {
        let settings = self.settings;
        let limits = Limits {
            head_bytes_max: settings.head_bytes_max,
            target_bytes_max: settings.http1.target_bytes_max,
            fields_max: settings.headers_max,
        };
        let (mut seen, mut grace) = (0, Alarm::default());
        {
            let mut wire = self.wire.borrow_mut();
            let waits = self.served > 0 && wire.buffer.is_empty();
            let timeout = if waits { settings.http1.idle_timeout } else { settings.head_timeout };
            wire.alarm.set(time::now(), timeout);
        }
        poll_fn(|cx| {
            self.ticket.remember(cx);
            let mut wire = self.wire.borrow_mut();
            loop {
                if let Some(next) = self.look(&mut wire, &mut seen, &limits) {
                    return Poll::Ready(next);
                }
                let empty = wire.buffer.is_empty();
                match wire.poll_read(cx) {
                    Poll::Ready(Ok(length)) if length > 0 => {
                        // A head has its time from its first byte on, however slowly the others come.
                        if empty {
                            wire.alarm.set(time::now(), settings.head_timeout);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Next::End),
                    Poll::Pending => break,
                }
            }
            if wire.alarm.poll(cx).is_ready() {
                let begun = !wire.buffer.is_empty();
                let failure = || Failure::new(Reason::RequestTimeout, "the request head did not come in time");
                return Poll::Ready(if begun { Next::Refused(failure()) } else { Next::End });
            }
            if self.ticket.draining() && wire.buffer.is_empty() {
                if self.served > 0 {
                    return Poll::Ready(Next::End);
                }
                if !grace.is_set() {
                    grace.set(time::now(), FRESH_GRACE);
                }
                return grace.poll(cx).map(|()| Next::End);
            }
            Poll::Pending
        })
        .await
    }

    /// What has been read so far comes to, if to anything.
    fn look(&self, wire: &mut Wire<S>, seen: &mut usize, limits: &Limits) -> Option<Next> {
        if wire.buffer.is_empty() {
            return None;
        }
        if self.served == 0 && self.settings.http2.enabled {
            if wire.buffer.starts_with(PREFACE) {
                return Some(Next::Preface);
            }
            if PREFACE.starts_with(&wire.buffer) {
                return None;
            }
        }
        match head::take(&mut wire.buffer, seen, limits) {
            Ok(head) => head.map(|head| Next::Head(Box::new(head))),
            Err(failure) => Some(Next::Refused(failure)),
        }
    }

    /// Lets the handler answer one request.
    async fn exchange(&mut self, head: Box<Head>) -> After {
        let Head { request, body: mut decoder, keep_alive, expects, trailers } = *head;
        // What is here of the body is looked at before anybody acts upon the request.
        let examined = examine(decoder.clone(), &self.wire.borrow().buffer);
        if let Err(what) = examined {
            return self.refuse(&Failure::new(Reason::BadRequest, what)).await;
        }
        let (method, version) = (request.method().clone(), request.version());
        let wishes = request.extensions().get::<Upgrade>().is_some();
        if wishes {
            decoder = Decoder::Raw;
        }
        let body = {
            let mut wire = self.wire.borrow_mut();
            wire.begin(decoder, expects);
            let (number, settings) = (wire.number, Rc::clone(self.settings));
            match wire.decoder {
                Decoder::Done | Decoder::Length(0) => Body::Empty,
                _ => Body::boxed(Incoming { wire: Rc::clone(&self.wire), settings, number, over: false }),
            }
        };
        let Some(mut response) = self.handle(request.map(|()| body)).await else { return After::Close };
        if response.extensions().get::<HangUp>().is_some() {
            return After::Close;
        }
        if let Some(failure) = self.spoilt(response.status()) {
            return self.refuse(&failure).await;
        }
        let granted = wishes && response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if response.status().is_informational() && !granted {
            let failure = Failure::new(Reason::Internal, "the response changes protocols, which nobody asked for");
            return self.refuse(&failure).await;
        }
        if wishes && !granted {
            self.wire.borrow_mut().begin(Decoder::Done, false);
        }
        let waits = self.wire.borrow_mut().forget_interim();
        let told = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let last = self.settings.http1.requests_max.is_some_and(|max| self.served + 1 >= max);
        let close = !keep_alive || told || waits || last || self.ticket.draining();
        let exact = response.body().size_hint().exact();
        let status = response.status();
        settle_length(&method, status, response.headers_mut(), exact);
        let framing = encode::framing(&method, status, version, exact);
        let then = match version {
            _ if close || framing == Framing::Close => Then::Close,
            Version::HTTP_10 => Then::KeepAliveToldSo,
            _ => Then::KeepAlive,
        };
        if self.send(response, framing, then, trailers).await.is_err() || granted {
            return After::Close;
        }
        match self.clear_away().await {
            _ if then == Then::Close => After::Linger,
            true => After::Next,
            false => After::Linger,
        }
    }

    /// Asks the handler, unless the client goes away meanwhile.
    async fn handle(&self, request: http::Request<Body>) -> Option<Response<Body>> {
        let mut handling = pin!(self.handler.handle(self.client, request));
        poll_fn(|cx| {
            self.ticket.remember(cx);
            if let Poll::Ready(response) = handling.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            self.wire.borrow_mut().poll_gone(cx).map(|()| None)
        })
        .await
    }

    /// What to say instead of a response when the request's own body went wrong.
    fn spoilt(&self, status: StatusCode) -> Option<Failure> {
        // The handler may have said so itself, in its own words.
        match self.wire.borrow().trouble? {
            Trouble::Framing(what) if status != StatusCode::BAD_REQUEST => Some(Failure::new(Reason::BadRequest, what)),
            Trouble::Slow => Some(Failure::new(Reason::RequestTimeout, "the request body did not come in time")),
            Trouble::Framing(_) | Trouble::Gone => None,
        }
    }

    async fn send(&self, response: Response<Body>, framing: Framing, then: Then, trailers: bool) -> Result<(), ()> {
        let (head, body) = response.into_parts();
        let mut sending = Sending::new(&head, body, framing, then, trailers);
        drop(head);
        let mut switched = framing != Framing::Raw;
        poll_fn(|cx| {
            self.ticket.remember(cx);
            let polled = sending.poll(cx, &self.wire, &self.settings.http1);
            if !switched && sending.head_is_out() {
                switched = true;
                self.wire.borrow_mut().switch();
            }
            polled
        })
        .await
    }

    /// Answers what is no request.
    async fn refuse(&self, failure: &Failure) -> After {
        let mut response = self.handler.refuse(self.client, failure);
        let exact = response.body().size_hint().exact();
        let status = response.status();
        settle_length(&Method::GET, status, response.headers_mut(), exact);
        let framing = encode::framing(&Method::GET, status, Version::HTTP_11, exact);
        match self.send(response, framing, Then::Close, false).await {
            Ok(()) => After::Linger,
            Err(()) => After::Close,
        }
    }

    /// Reads what is left of the request body. Whether the connection then stands where the next request begins.
    async fn clear_away(&self) -> bool {
        if self.wire.borrow().decoder.is_done() {
            return true;
        }
        let mut left = DISCARDED_BYTES_MAX;
        let mut alarm = Alarm::default();
        alarm.set(time::now(), DISCARD_TIMEOUT);
        self.wire.borrow_mut().number += 1;
        poll_fn(|cx| {
            let mut wire = self.wire.borrow_mut();
            loop {
                match wire.poll_body(cx, &self.settings.http1) {
                    Poll::Ready(None | Some(Ok(Decoded::Trailers(_)))) => return Poll::Ready(true),
                    Poll::Ready(Some(Ok(Decoded::Data(data)))) if data.len() <= left => left -= data.len(),
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return alarm.poll(cx).map(|()| false),
                }
            }
        })
        .await
    }

    /// Closes the connection.
    async fn close(&self, after: After) {
        let mut alarm = Alarm::default();
        alarm.set(time::now(), DISCARD_TIMEOUT);
        let mut told = false;
        let mut left = DISCARDED_BYTES_MAX;
        poll_fn(|cx: &mut Context<'_>| {
            let mut wire = self.wire.borrow_mut();
            if !told {
                match wire.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => told = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return alarm.poll(cx),
                }
            }
            if after == After::Close {
                return Poll::Ready(());
            }
            loop {
                wire.buffer.clear();
                match wire.poll_read(cx) {
                    Poll::Ready(Ok(length)) if length > 0 && length <= left => left -= length,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return alarm.poll(cx),
                }
            }
        })
        .await;
    }
}

/// Whether what is here of a body could be its beginning.
fn examine(mut decoder: Decoder, read: &[u8]) -> Result<(), &'static str> {
    if read.is_empty() || !matches!(decoder, Decoder::Size) {
        return Ok(());
    }
    let mut copy = BytesMut::from(read);
    loop {
        match decoder.decode(&mut copy)? {
            Decoded::Data(data) => drop::<Bytes>(data),
            Decoded::Incomplete | Decoded::End | Decoded::Trailers(_) => return Ok(()),
        }
    }
}
