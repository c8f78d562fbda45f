//! One request to an endpoint that may speak HTTP/2: on which stream, and when to take another.

use std::io;
use std::rc::Rc;

use ::http::header;
use ::http::uri::{Authority, Parts, Scheme, Uri};
use ::http::{HeaderValue, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::super::pool::Pool;
use super::super::send::{Parcel, Trouble};
use super::super::{Connected, Endpoint, Sent, Upstream, UpstreamError, download};
use super::multiplex::Slot;
use super::shared::Road;
use crate::exchange::{Request, Response};
use crate::http::{Body, parse_length, strip_response};
use crate::time::{self, Instant};

/// How often one endpoint is asked where it did not begin with what was asked: a second time because it was going away, a third
/// time because the next connection was, too.
pub(super) const TRIES_MAX: u32 = 3;

impl Upstream {
    /// Asks one endpoint on a stream or, where it speaks HTTP/1.1 only, on a connection.
    pub(in crate::upstream) async fn ask_shared(
        &self,
        pool: &Rc<Pool>,
        parcel: &mut Parcel<'_>,
        started: Instant,
    ) -> Result<Sent, UpstreamError> {
        let mut tries = 1;
        loop {
            let (slot, connected) = match pool.road(parcel.client, time::now()).await? {
                (Road::Stream(slot), connected) => (slot, connected),
                (Road::Connection(lease), connected) => {
                    return self.ask_on(lease, connected, parcel, (started, time::now())).await;
                }
            };
            let request = outgoing(parcel.request, parcel.take_body(), pool);
            let trouble = match slot.exchange(request, parcel.upload(), self.response_timeout).await {
                Ok(answer) => return self.sent_shared(answer, slot, connected, started),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Returned(body, _) if tries < TRIES_MAX => parcel.put_back(body),
                Trouble::Failed(error) if is_unprocessed(&error) && parcel.restore() => {
                    if is_going_away(&error) {
                        slot.retire();
                    }
                    if tries == TRIES_MAX {
                        return Err(UpstreamError::Unprocessed { endpoint: Rc::clone(&pool.endpoint), error });
                    }
                }
                Trouble::Failed(ref error)
                    if connected == Connected::Reused
                        && is_gone(error, &slot)
                        && tries < TRIES_MAX
                        && parcel.rewind() =>
                {
                    slot.retire();
                }
                Trouble::Failed(error) if is_gone(&error, &slot) && slot.is_mute() => {
                    return Err(UpstreamError::Mute { endpoint: Rc::clone(&pool.endpoint) });
                }
                trouble => return Err(self.judge(trouble, &pool.endpoint, parcel)),
            }
            tries += 1;
        }
    }

    fn sent_shared(
        &self,
        answer: ::http::Response<Incoming>,
        slot: Slot,
        connected: Connected,
        started: Instant,
    ) -> Result<Sent, UpstreamError> {
        let endpoint = Rc::clone(&slot.pool.endpoint);
        let (head, incoming) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::Switched { endpoint });
        }
        let mut headers = head.headers;
        strip_response(&mut headers);
        let body = download::body_shared(incoming, slot, self.idle_timeout);
        let response = Response { status: head.status, headers, body };
        let took = time::now().saturating_duration_since(started);
        Ok(Sent { response, endpoint, took, connection: connected, retries: 0 })
    }
}

/// The request as it is written to a stream: what HTTP/1.1 says by `Host` and framing is said by pseudo-header fields and frames
/// (RFC 9113 section 8.3.1).
pub(super) fn outgoing(request: &Request, body: Body, pool: &Pool) -> ::http::Request<Body> {
    let mut headers = request.headers.clone();
    headers.remove(header::HOST);
    let declared = headers.get(header::CONTENT_LENGTH).map(|value| parse_length(value.as_bytes()));
    match (declared, body.size_hint().exact()) {
        (Some(declared), Some(exact)) if declared != Some(exact) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(exact));
        }
        (Some(_), None) => drop(headers.remove(header::CONTENT_LENGTH)),
        _ => {}
    }
    let mut parts = Parts::default();
    parts.scheme = Some(if pool.wire.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority(request, &pool.endpoint));
    parts.path_and_query = Some(request.target.clone());
    let mut outgoing = ::http::Request::new(body);
    *outgoing.method_mut() = request.method.clone();
    // Complete, hence valid.
    *outgoing.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *outgoing.version_mut() = ::http::Version::HTTP_2;
    *outgoing.headers_mut() = headers;
    outgoing
}

/// What was asked for; where that is nothing that could be said here, the endpoint itself.
fn authority(request: &Request, endpoint: &Endpoint) -> Authority {
    let asked = Authority::try_from(request.authority.as_bytes());
    asked.or_else(|_| Authority::try_from(endpoint.to_string())).unwrap_or(Authority::from_static("localhost"))
}

/// What the HTTP/2 library says.
fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether the endpoint says that it did not begin with the request: it refused the stream (RFC 9113 section 8.7), or was going away
/// and named an earlier one as its last (section 6.8). Streams up to that one fail otherwise.
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    cause(error).is_some_and(|cause| {
        cause.is_remote()
            && (cause.is_go_away() || (cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM)))
    })
}

pub(super) fn is_going_away(error: &hyper::Error) -> bool {
    cause(error).is_some_and(h2::Error::is_go_away)
}

/// Whether the connection just was no longer there, as opposed to the stream having been broken off.
fn is_gone(error: &hyper::Error, slot: &Slot) -> bool {
    match cause(error) {
        Some(cause) => cause.is_io(),
        // A broken connection is told in one of these ways, or as a mistake of ours that ended what drove it.
        None => {
            error.is_closed()
                || error.is_canceled()
                || std::error::Error::source(error).is_some_and(|cause| cause.is::<io::Error>())
                || (error.is_user() && slot.is_closed())
        }
    }
}
