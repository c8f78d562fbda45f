//! The first step: what hyper read becomes an exchange.
//!
//! Hop-by-hop fields go, forwarding fields and the request id come, host and target are settled (RFC 9112 section 3.2).

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request};

use super::{Pipeline, protect};
use crate::exchange::{Attributes, Client, Credentials, Exchange, Failure, HeadSize, Held, Reason, Received, Request};
use crate::http::{Body, IncomingForwarding, REQUEST_ID, Upgrade, ambiguity, is_plainly_framed, strip_request};
use crate::time;

/// An admitted request. Where `refused` says why, it is still an exchange, so that it is answered and logged like any other.
pub(super) struct Admitted {
    pub(super) exchange: Held,
    pub(super) body: Body,
    pub(super) refused: Option<Failure>,
}

impl Pipeline {
    /// Makes an exchange of a request.
    pub(super) fn admit(&self, client: &Arc<Client>, request: http::Request<Body>) -> Admitted {
        let started = time::now();
        let (request::Parts { method, uri, mut headers, version, mut extensions, .. }, body) = request.into_parts();
        let upgrade = extensions.remove::<Upgrade>();
        let settled = authority(&uri, &headers, version);
        let bad = |detail| Some(Failure::new(Reason::BadRequest, detail));
        let refused = match &settled {
            Err(failure) => Some(failure.clone()),
            Ok(_) if method == Method::CONNECT && upgrade.is_none() => bad("CONNECT is not for gateways"),
            Ok(_) if !is_plainly_framed(&headers) => bad("a transfer coding other than `chunked`"),
            // Routes decide who may pass; a path that others would tidy up into another route's must not pass on this one.
            Ok(_) => ambiguity(uri.path()).and_then(bad),
        };
        let authority = settled.unwrap_or_default();
        strip_request(&mut headers);
        let sent = headers.contains_key(header::AUTHORIZATION);
        let credentials = if sent { Credentials::Sent } else { Credentials::None };
        let head = if self.measures_heads { protect::head_size(&headers) } else { HeadSize::default() };
        let (mut forwarding, mut told) = (self.plan.forwarding, None);
        if self.plan.proxies.include(client.address.ip()) {
            forwarding.incoming = IncomingForwarding::Append;
            told = self.plan.proxies.client(&headers).map(|address| Arc::new(client.behind(address)));
        }
        let id = self.ids.id(&headers, forwarding.incoming);
        forwarding.apply(&mut headers, &client.address_value, client.scheme.as_str(), &authority);
        headers.insert(REQUEST_ID, id.clone());
        let target = uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let trace = self.recorder.spans().begin(&mut headers);
        let request = Request { method, authority, target, headers, version, upgrade };
        let (body, received) = received(body, &request);
        let mut exchange =
            Exchange { trace, ..exchange(told.as_ref().unwrap_or(client), id, started, request, credentials) };
        (exchange.received, exchange.head) = (received, head);
        exchange.presence = self.recorder.presence();
        Admitted { exchange: Held::new(exchange), body, refused }
    }

    /// An exchange for what could not be read as a request: nothing of it is known but the client.
    pub(super) fn blank(&self, client: &Arc<Client>) -> Exchange {
        let mut headers = HeaderMap::new();
        let id = self.ids.id(&headers, self.plan.forwarding.incoming);
        let trace = self.recorder.spans().begin(&mut headers);
        let request = Request {
            method: Method::GET,
            authority: Arc::default(),
            target: PathAndQuery::from_static("/"),
            headers,
            version: Version::HTTP_11,
            upgrade: None,
        };
        let mut exchange = Exchange { trace, ..exchange(client, id, time::now(), request, Credentials::None) };
        exchange.presence = self.recorder.presence();
        exchange
    }
}

/// The body of a request, counted while it comes. What follows in another protocol is not.
fn received(body: Body, request: &Request) -> (Body, Received) {
    match body {
        body if http_body::Body::is_end_stream(&body) => (Body::Empty, Received::Nothing),
        Body::Full(bytes) => {
            let count = bytes.len() as u64;
            (Body::Full(bytes), Received::Whole(count))
        }
        body if request.upgrade.is_some() => (body, Received::Nothing),
        body => {
            let (body, bytes) = body.counted();
            (body, Received::Growing(bytes))
        }
    }
}

/// An exchange that has gone no further than its request.
fn exchange(
    client: &Arc<Client>,
    id: HeaderValue,
    started: time::Instant,
    request: Request,
    credentials: Credentials,
) -> Exchange {
    let mut attributes = Attributes::default();
    if let Some(certificate) = client.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) {
        // Verified by the listener. A subject too long for an attribute is known by its fingerprint.
        let _ = attributes.set("tls.client.subject", &certificate.subject);
        let _ = attributes.set("tls.client.serial", &certificate.serial);
        let _ = attributes.set("tls.client.fingerprint", &certificate.fingerprint);
    }
    Exchange { credentials, attributes, ..Exchange::new(id, started, Arc::clone(client), request) }
}

/// What the client asked for: the target's authority where it has one, otherwise `Host`, of which there must be exactly
/// one in HTTP/1.1 (RFC 9112 section 3.2).
fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Arc<str>, Failure> {
    let bad = |detail: &'static str| Failure::new(Reason::BadRequest, detail);
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(bad("more than one Host field")),
        (None, _) if version == Version::HTTP_11 => return Err(bad("no Host field")),
        (host, None) | (host @ None, _) => host,
    };
    if let Some(authority) = uri.authority() {
        // Authority-form is for CONNECT alone (RFC 9112 section 3.2.3), which has been refused.
        if uri.scheme().is_none() {
            return Err(bad("a target that is an authority"));
        }
        return if authority.as_str().contains('@') {
            Err(bad("userinfo in the target"))
        } else {
            Ok(authority.as_str().into())
        };
    }
    let Some(host) = host else { return Ok(Arc::default()) };
    match host.to_str() {
        Ok(text) if is_host(text) => Ok(text.into()),
        _ => Err(bad("a Host field that is no host")),
    }
}

/// Whether a text is made of what a host with a port may be made of (RFC 3986 section 3.2.2): enough to refuse what could
/// be read differently behind us.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b':'
                    | b'['
                    | b']'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            )
    };
    !text.is_empty() && text.bytes().all(allowed)
}
