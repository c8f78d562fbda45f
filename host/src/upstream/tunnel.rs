//! Another protocol through an upstream: an HTTP/1.1 upgrade, and then bytes both ways (RFC 9110 section 7.8).
//!
//! A tunnel has a connection of its own, which is never used again. What the client says is the request's body, what it is
//! told the response's. States: asking → refused (an ordinary response) or open → one side has ended → ended.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::task::AbortHandle;

use super::connection::Patience;
use super::download;
use super::fleet::{Asking, Member};
use super::http2::Slot;
use super::pool::{Place, Pool};
use super::send::outgoing;
use super::stream::{Purpose, Stream};
use super::wire::Protocol;
use super::{Connected, Sent, Upstream, UpstreamError, Upstreams};
use crate::exchange::{Client, Request, Response};
use crate::http::{Body, BodyError, Transport, Upgrade, UpgradeForm, strip_response};
use crate::time;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Longest response head.
const HEAD_BYTES_MAX: usize = 128 * 1024;
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

impl Upstreams {
    /// Asks for another protocol. Granted, the response is the one that the client waits for (101, or 200 to an extended CONNECT),
    /// its body what the upstream says, and `said` is passed on to the upstream. Refused, it is the upstream's ordinary response.
    pub async fn tunnel(
        &self,
        upstream: usize,
        client: &Client,
        request: &Request,
        upgrade: &Upgrade,
        said: Body,
    ) -> Result<Sent, UpstreamError> {
        let started = time::now();
        let upstream = self.list.get(upstream).ok_or(UpstreamError::NoEndpoint)?;
        let admission = upstream.admit(started)?;
        let (fleet, asking) = (upstream.fleet(), Asking { client, request });
        let (mut failed, mut tried) = (UpstreamError::NoEndpoint, Vec::new());
        while let Some(index) = fleet.choose(asking, &tried, started) {
            let Some(Member { standing, .. }) = fleet.members().get(index) else { break };
            standing.tally.requests.increment();
            let pool = &standing.pool;
            let opened = match upstream.settings.wire.protocol {
                Protocol::Http2 => {
                    let asked = Box::pin(upstream.ask_connect(pool, client, (request, upgrade))).await;
                    asked.map(|(slot, answer)| Opened::Stream(slot, answer))
                }
                Protocol::Http1 | Protocol::Auto => {
                    let connected = pool.stream(client, Purpose::Http1).await;
                    connected.map(|(place, stream)| Opened::Connection(place, stream))
                }
            };
            match opened {
                Ok(opened) => {
                    let asked = ask(upstream, pool, opened, (request, upgrade), said).await;
                    let now = time::now();
                    let took = now.saturating_duration_since(started);
                    if let Some(admission) = admission {
                        admission.settle(asked.as_ref().map(|response| response.status), started);
                    }
                    let mut response = asked.inspect_err(|error| fleet.failed(index, error, took, now))?;
                    fleet.answered(index, response.status, took, now);
                    if let Some(cookie) = fleet.cookie(index, asking) {
                        response.headers.append(header::SET_COOKIE, cookie.clone());
                    }
                    let endpoint = Rc::clone(&pool.endpoint);
                    return Ok(Sent { response, endpoint, took, connection: Connected::New, retries: 0 });
                }
                Err(error) => {
                    let now = time::now();
                    fleet.failed(index, &error, now.saturating_duration_since(started), now);
                    let goes_on = error.is_unsent();
                    failed = error;
                    if !goes_on {
                        break;
                    }
                }
            }
            tried.push(index);
        }
        if let Some(admission) = admission {
            admission.settle(Err(&failed), started);
        }
        Err(failed)
    }
}

/// What a tunnel goes through.
enum Opened {
    /// A connection, on which nothing has been asked yet.
    Connection(Place, Stream),
    /// A stream of HTTP/2, and what the endpoint answered on it.
    Stream(Slot, ::http::Response<Incoming>),
}

/// What is held as long as a tunnel stands.
enum Held {
    Connection { _place: Place },
    Stream { _slot: Slot },
}

/// Asks one endpoint, or goes on where it has been asked.
async fn ask(
    upstream: &Upstream,
    pool: &Rc<Pool>,
    opened: Opened,
    (request, upgrade): (&Request, &Upgrade),
    said: Body,
) -> Result<Response, UpstreamError> {
    let (place, stream) = match opened {
        Opened::Connection(place, stream) => (place, stream),
        Opened::Stream(slot, answer) => return answered(upstream, slot, answer, (request, upgrade), said).await,
    };
    let endpoint = || Rc::clone(&pool.endpoint);
    let broken = |error| UpstreamError::Protocol { endpoint: endpoint(), error };
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(Transport::new(stream));
    let (mut sender, mut http) = handshake.await.map_err(broken)?;
    let (asking, key) = asking(request, upgrade);
    let answer = sender.send_request(asking);
    let mut answer = std::pin::pin!(answer);
    let mut over = false;
    let answered = poll_fn(|cx| {
        if !over {
            over = http.poll_without_shutdown(cx).is_ready();
        }
        answer.as_mut().poll(cx)
    });
    let timeout = upstream.response_timeout;
    let answer = match tokio::time::timeout(timeout, answered).await {
        Ok(answer) => answer.map_err(broken)?,
        Err(_) => return Err(UpstreamError::ResponseTimeout { endpoint: endpoint(), timeout }),
    };
    let (head, incoming) = answer.into_parts();
    let mut headers = head.headers;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        strip_response(&mut headers);
        // The connection is driven until the response is over.
        tokio::task::spawn_local(async move {
            let _ = http.await;
            drop((sender, place));
        });
        return Ok(Response { status: head.status, headers, body: Body::Incoming(incoming) });
    }
    if key.is_some_and(|key| headers.get(ACCEPT).is_none_or(|accept| accept.as_bytes() != key.as_bytes())) {
        return Err(UpstreamError::Switched { endpoint: endpoint() });
    }
    if !over {
        poll_fn(|cx| http.poll_without_shutdown(cx)).await.map_err(broken)?;
    }
    let parts = http.into_parts();
    let between = (parts.read_buf, parts.io.into_inner());
    let body = stand(upstream, between, said, Held::Connection { _place: place });
    let status = grant(&mut headers, upgrade);
    Ok(Response { status, headers, body })
}

/// The request that asks for the protocol, and what the answer to it must have accepted, where that is for us to check.
fn asking(request: &Request, upgrade: &Upgrade) -> (::http::Request<Body>, Option<String>) {
    let mut asking = outgoing(request, Body::Empty);
    let mut accept = None;
    if upgrade.form == UpgradeForm::Connect {
        // What HTTP/2 says by a pseudo-header field, HTTP/1.1 says by a method and a key (RFC 8441 section 5.1).
        *asking.method_mut() = Method::GET;
        let mut random = [0; 16];
        // Not secret: it only shows that whoever answers speaks WebSocket.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let key = STANDARD.encode(random);
        accept = is_websocket(upgrade).then(|| self::accept(key.as_bytes()));
        if let Ok(key) = HeaderValue::try_from(key) {
            asking.headers_mut().insert(KEY, key);
        }
    }
    let headers = asking.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, upgrade.protocol.clone());
    (asking, accept)
}

fn is_websocket(upgrade: &Upgrade) -> bool {
    upgrade.protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// What shows that a key was understood (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    STANDARD.encode(digest)
}

/// What an endpoint answered on a stream: a tunnel, or an ordinary response.
async fn answered(
    upstream: &Upstream,
    slot: Slot,
    mut answer: ::http::Response<Incoming>,
    (request, upgrade): (&Request, &Upgrade),
    said: Body,
) -> Result<Response, UpstreamError> {
    let status = answer.status();
    if status != StatusCode::OK {
        let (head, incoming) = answer.into_parts();
        let mut headers = head.headers;
        strip_response(&mut headers);
        return Ok(Response { status, headers, body: download::body_shared(incoming, slot, upstream.idle_timeout) });
    }
    let broken = |error| UpstreamError::Protocol { endpoint: Rc::clone(&slot.pool().endpoint), error };
    let stream = Stream::Connected(TokioIo::new(hyper::upgrade::on(&mut answer).await.map_err(broken)?));
    let mut headers = std::mem::take(answer.headers_mut());
    let body = stand(upstream, (Bytes::new(), stream), said, Held::Stream { _slot: slot });
    let status = grant(&mut headers, upgrade);
    if upgrade.form == UpgradeForm::Upgrade
        && let Some(key) = request.headers.get(KEY).filter(|_| is_websocket(upgrade))
        && let Ok(accept) = HeaderValue::try_from(accept(key.as_bytes()))
    {
        headers.insert(ACCEPT, accept);
    }
    Ok(Response { status, headers, body })
}

/// Lets both sides speak; gives what the upstream says.
fn stand(upstream: &Upstream, (first, stream): (Bytes, Stream), said: Body, held: Held) -> Body {
    let (from, to) = tokio::io::split(stream);
    let activity = Rc::new(Cell::new(time::now()));
    let pump = tokio::task::spawn_local(pump(said, to, Rc::clone(&activity))).abort_handle();
    let (timeout, patience) = (upstream.tunnel_timeout, Patience::default());
    Body::boxed(Told { first, from, activity, timeout, patience, pump, _held: held })
}

/// Makes the fields those that grant the client's wish, and gives the status that does.
fn grant(headers: &mut HeaderMap, upgrade: &Upgrade) -> StatusCode {
    let protocol = headers.get(header::UPGRADE).cloned().unwrap_or_else(|| upgrade.protocol.clone());
    strip_response(headers);
    headers.remove(header::CONTENT_LENGTH);
    match upgrade.form {
        UpgradeForm::Upgrade => {
            headers.insert(header::UPGRADE, protocol);
            StatusCode::SWITCHING_PROTOCOLS
        }
        UpgradeForm::Connect => {
            headers.remove(ACCEPT);
            StatusCode::OK
        }
    }
}

/// Passes on what the client says; its end becomes the end of what the upstream hears.
async fn pump(mut said: Body, mut to: WriteHalf<Stream>, activity: Rc<Cell<Instant>>) {
    while let Some(Ok(frame)) = said.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        activity.set(time::now());
        // Flushed, since TLS may hold back what the socket did not take at once.
        if to.write_all(&data).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// What the upstream says.
struct Told {
    /// What came behind the head.
    first: Bytes,
    from: ReadHalf<Stream>,
    /// When either side last said something.
    activity: Rc<Cell<Instant>>,
    timeout: Duration,
    patience: Patience,
    pump: AbortHandle,
    _held: Held,
}

impl Told {
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let said = self.activity.get();
            self.patience.restart(said, self.timeout);
            ready!(self.patience.poll(cx, self.timeout));
            if self.activity.get() == said {
                return Poll::Ready(());
            }
        }
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        let mut space = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut space);
        match Pin::new(&mut self.from).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => {
                self.activity.set(time::now());
                Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(read.filled())))))
            }
            // Many end TLS without saying so (RFC 8446 section 6.1); protocols that are tunnelled say themselves when they are complete.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(None),
            Poll::Ready(Err(_)) => Poll::Ready(Some(Err(BodyError::Closed))),
            Poll::Pending => self.poll_patience(cx).map(|()| Some(Err(BodyError::Idle(self.timeout)))),
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
