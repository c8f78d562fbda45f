//! One request to one endpoint: which connection, and when to take another.
//!
//! A request is sent a second time only when the first cannot have been acted upon, or when acting twice does no harm
//! (RFC 9110 section 9.2.2); and then on a new connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::http::header::{self, HeaderMap, HeaderValue};
use ::http::{StatusCode, Uri};
use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::task::unconstrained;

use super::download;
use super::fleet::Fleet;
use super::guard::{Replay, Retries};
use super::pool::{Lease, Pool};
use super::upload::{Progress, Upload};
use super::wire::Protocol;
use super::{Connected, Endpoint, Sent, Upstream, UpstreamError};
use crate::exchange::{Client, Request, Response};
use crate::http::{Body, is_plainly_framed, parse_length, strip_response};
use crate::time;

/// Bytes of a request body that are kept for an endpoint that may say that it did not begin with it.
const UNPROCESSED_BYTES_MAX: usize = 64 * 1024;

/// A request on its way, and what is needed to send it once more.
pub(super) struct Parcel<'a> {
    /// Who sends it.
    pub(super) client: &'a Client,
    pub(super) request: &'a Request,
    /// Taken when it is sent, back here when it came back.
    body: Body,
    upload: Option<Rc<Upload>>,
    /// What is needed to send it once more.
    kept: Kept,
    /// Whether sending it once more does no harm, though it may have been acted upon.
    repeatable: bool,
    /// Who is asked just now, since when; only where somebody must know who was too slow.
    pub(super) asking: Option<(Rc<Fleet>, usize, Instant)>,
    /// How often an endpoint was asked to take it.
    pub(super) tries: u32,
}

/// What is kept of a body to send it once more.
enum Kept {
    /// It cannot be sent once more.
    Nothing,
    /// There is none.
    Empty,
    /// All of it, which was at hand.
    Whole(Bytes),
    /// What has been sent of it.
    Sent(Rc<Replay>),
}

impl<'a> Parcel<'a> {
    pub(super) fn new(
        client: &'a Client,
        request: &'a Request,
        body: Body,
        (retries, protocol): (&Retries, Protocol),
    ) -> Self {
        let harmless = retries.methods.allow(&request.method);
        let bytes_max = match protocol {
            Protocol::Http2 | Protocol::Auto if retries.body_bytes_max == 0 => UNPROCESSED_BYTES_MAX,
            _ => retries.body_bytes_max,
        };
        let fits = |body: &Body| body.size_hint().lower() <= bytes_max as u64 && bytes_max > 0;
        let repeatable = harmless && (retries.body_bytes_max > 0 || body.is_end_stream());
        // Without a body, sending anew loses nothing; with an idempotent method, it changes nothing.
        let (kept, body) = match body {
            // In HTTP/2 an endpoint may say that it did not begin with it, whatever the method.
            body if !harmless && protocol == Protocol::Http1 => (Kept::Nothing, body),
            body if body.is_end_stream() => (Kept::Empty, body),
            Body::Full(bytes) if fits(&Body::Full(bytes.clone())) => (Kept::Whole(bytes.clone()), Body::Full(bytes)),
            body if fits(&body) => {
                let replay = Replay::new(body, bytes_max);
                // Nothing has been read yet.
                let body = replay.body().unwrap_or_default();
                (Kept::Sent(replay), body)
            }
            body => (Kept::Nothing, body),
        };
        let (upload, body) = Upload::watch(body);
        Self { client, request, body, upload, kept, repeatable, asking: None, tries: 0 }
    }

    /// The body, to be sent.
    pub(super) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// The body has come back.
    pub(super) fn put_back(&mut self, body: Body) {
        self.body = body;
    }

    /// Where the upload stands, if there is one.
    pub(super) fn upload(&self) -> Option<&Upload> {
        self.upload.as_deref()
    }

    /// Makes the parcel whole again, so that it can be sent once more though it may have been acted upon. Whether it is.
    pub(super) fn rewind(&mut self) -> bool {
        self.repeatable && self.restore()
    }

    /// The same where it was not acted upon.
    pub(super) fn restore(&mut self) -> bool {
        self.body = match &self.kept {
            Kept::Nothing => return false,
            Kept::Empty => Body::Empty,
            Kept::Whole(bytes) => Body::Full(bytes.clone()),
            Kept::Sent(replay) => {
                let Some(body) = replay.body() else { return false };
                let (upload, body) = Upload::watch(body);
                self.upload = upload;
                body
            }
        };
        true
    }
}

/// Why there was no response on one connection.
pub(super) enum Trouble {
    /// The connection was closed before the request was written: it is all here.
    Returned(Body, hyper::Error),
    /// The connection failed when some or all of it had been written.
    Failed(hyper::Error),
    /// No head in time.
    TimedOut,
}

impl Upstream {
    /// Asks one endpoint, on a kept-alive connection if there is one.
    pub(super) async fn ask(
        &self,
        pool: &Rc<Pool>,
        parcel: &mut Parcel<'_>,
        started: Instant,
    ) -> Result<Sent, UpstreamError> {
        if pool.wire.protocol != Protocol::Http1 {
            return Box::pin(self.ask_shared(pool, parcel, started)).await;
        }
        let (lease, connected, sent_at) = match pool.reuse(started, parcel.client) {
            Some(lease) => (lease, Connected::Reused, started),
            None => (pool.connect(parcel.client).await?, Connected::New, time::now()),
        };
        self.ask_on(lease, connected, parcel, (started, sent_at)).await
    }

    /// Asks on a connection, and if that was no longer there on another.
    pub(super) async fn ask_on(
        &self,
        mut lease: Lease,
        mut connected: Connected,
        parcel: &mut Parcel<'_>,
        (started, mut sent_at): (Instant, Instant),
    ) -> Result<Sent, UpstreamError> {
        loop {
            let outgoing = outgoing(parcel.request, std::mem::take(&mut parcel.body));
            lease.connection.patience.restart(sent_at, self.response_timeout);
            let trouble = match exchange(&mut lease, outgoing, parcel.upload.as_deref(), self.response_timeout).await {
                Ok(answer) => return self.sent(answer, lease, connected, parcel, started),
                Err(trouble) => trouble,
            };
            let reused = connected == Connected::Reused;
            parcel.body = match trouble {
                Trouble::Returned(body, _) if reused => body,
                Trouble::Failed(ref error) if reused && is_gone(error) && parcel.rewind() => {
                    std::mem::take(&mut parcel.body)
                }
                trouble => return Err(self.judge(trouble, &lease.pool().endpoint, parcel)),
            };
            let pool = Rc::clone(lease.pool());
            drop(lease);
            lease = pool.connect(parcel.client).await?;
            (connected, sent_at) = (Connected::New, time::now());
        }
    }

    fn sent(
        &self,
        answer: ::http::Response<Incoming>,
        mut lease: Lease,
        connected: Connected,
        parcel: &Parcel<'_>,
        started: Instant,
    ) -> Result<Sent, UpstreamError> {
        let now = time::now();
        let endpoint = Rc::clone(&lease.pool().endpoint);
        let (head, incoming) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::Switched { endpoint });
        }
        if !is_plainly_framed(&head.headers) {
            return Err(UpstreamError::Coding { endpoint });
        }
        let mut headers = head.headers;
        strip_response(&mut headers);
        lease.connection.patience.stop();
        let uploading = parcel.upload.as_ref().is_some_and(|upload| upload.progress() != Progress::Done);
        let body = if uploading && !lease.connection.is_ended() {
            download::body_apart(incoming, lease, self.idle_timeout)
        } else {
            download::body(incoming, lease, now, self.idle_timeout)
        };
        let response = Response { status: head.status, headers, body };
        Ok(Sent { response, endpoint, took: now.saturating_duration_since(started), connection: connected, retries: 0 })
    }

    /// Whose fault it was.
    pub(super) fn judge(&self, trouble: Trouble, endpoint: &Rc<Endpoint>, parcel: &Parcel<'_>) -> UpstreamError {
        let progress = parcel.upload.as_ref().map_or(Progress::Done, |upload| upload.progress());
        let timeout = self.response_timeout;
        match (progress, trouble) {
            (Progress::Gone, _) => UpstreamError::RequestGone,
            (Progress::Broken, _) => UpstreamError::RequestBroken,
            (Progress::TooLarge, _) => UpstreamError::RequestTooLarge,
            (Progress::Awaiting, Trouble::TimedOut) => UpstreamError::RequestStalled { timeout },
            (_, Trouble::TimedOut) => UpstreamError::ResponseTimeout { endpoint: Rc::clone(endpoint), timeout },
            (_, Trouble::Returned(_, error) | Trouble::Failed(error)) => {
                UpstreamError::Protocol { endpoint: Rc::clone(endpoint), error }
            }
        }
    }
}

/// Whether the connection just was no longer there, as opposed to something wrong having come over it.
fn is_gone(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user()
}

/// Sends a request on a connection and drives it until the response head is there, or the connection's patience ends.
async fn exchange(
    lease: &mut Lease,
    request: ::http::Request<Body>,
    upload: Option<&Upload>,
    timeout: Duration,
) -> Result<::http::Response<Incoming>, Trouble> {
    let connection = &mut *lease.connection;
    let answer = connection.relay.quietly(|| connection.sender.try_send_request(request));
    // Polled without a waker, because only driving the connection can bring the answer; hence also unconstrained: tokio's
    // way to make a busy task yield is to return `Pending` and to wake it.
    let mut answer = pin!(unconstrained(answer));
    let mut uploaded = 0;
    poll_fn(|cx| {
        connection.drive(cx);
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Poll::Ready(answer.map_err(|mut failed| match failed.take_message() {
                Some(request) => Trouble::Returned(request.into_body(), failed.into_error()),
                None => Trouble::Failed(failed.into_error()),
            }));
        }
        while connection.poll_patience(timeout).is_ready() {
            match upload.map(Upload::bytes) {
                Some(bytes) if bytes > uploaded => uploaded = bytes,
                _ => return Poll::Ready(Err(Trouble::TimedOut)),
            }
            connection.patience.restart(time::now(), timeout);
        }
        Poll::Pending
    })
    .await
}

/// The request as it is written to the connection.
pub(super) fn outgoing(request: &Request, body: Body) -> ::http::Request<Body> {
    let mut headers = request.headers.clone();
    let authority = request.authority.as_bytes();
    if headers.get(header::HOST).is_none_or(|host| host.as_bytes() != authority)
        && let Ok(host) = HeaderValue::from_bytes(authority)
    {
        headers.insert(header::HOST, host);
    }
    if headers.contains_key(header::TE) {
        // RFC 9110 section 10.1.4: who sends TE names it in Connection.
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    frame(&mut headers, &body);
    let mut outgoing = ::http::Request::new(body);
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = Uri::from(request.target.clone());
    *outgoing.headers_mut() = headers;
    outgoing
}

/// Makes the fields say what the body is. hyper adds a missing `Content-Length` and believes one that is there; a body of
/// unknown length it sends with any method only when told.
fn frame(headers: &mut HeaderMap, body: &Body) {
    let declared = headers.get(header::CONTENT_LENGTH).map(|value| parse_length(value.as_bytes()));
    match (declared, body.size_hint().exact()) {
        (None, Some(_)) => {}
        (Some(declared), Some(exact)) if declared == Some(exact) => {}
        (Some(_), Some(exact)) => drop(headers.insert(header::CONTENT_LENGTH, HeaderValue::from(exact))),
        (declared, None) => {
            if declared.is_some() {
                headers.remove(header::CONTENT_LENGTH);
            }
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}
