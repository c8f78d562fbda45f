//! One client connection: hyper's HTTP/1.1 around a handler.
//!
//! States: reading a head → handling → writing → reading the next head … → ended. Draining turns the next "reading a head"
//! into "ended".

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::handshake::{self, Tls};
use super::proxy_protocol::{self, Ends, ProxyProtocol};
use super::registry::{Registry, Ticket};
use super::timer::HeadTimer;
use super::{Handle, Settings, http2};
use crate::exchange::Client;
use crate::http::{Body, Transport, settle_length};
use crate::tls::facts;

/// hyper's own limit. It parses into the stack up to here; a higher limit costs an allocation per request.
const HYPER_HEADERS_MAX: usize = 100;
/// Bytes that are buffered per connection and direction at most. hyper's default of 408 KiB buys nothing on a stream that
/// is passed on as it comes, and is a lot of memory times all connections.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// How long a connection that has not sent anything yet is waited for when the gateway drains. Its client has just connected
/// and has every reason to believe that its request will be answered.
const FRESH_GRACE: Duration = Duration::from_secs(1);

/// Opens connections.
pub(super) struct Door<H> {
    http: http1::Builder,
    handler: Rc<H>,
    registry: Rc<Registry>,
    proxy_protocol: Option<ProxyProtocol>,
    tls: Option<Tls>,
    settings: Rc<Settings>,
}

/// What the requests of one connection share.
struct Visit<H> {
    handler: Rc<H>,
    client: Arc<Client>,
    /// Whether a request has been read.
    asked: Rc<Cell<bool>>,
}

impl<H: Handle> Door<H> {
    pub(super) fn new(settings: &Settings, handler: Rc<H>, registry: Rc<Registry>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(HeadTimer::default())
            .header_read_timeout(settings.head_timeout)
            .max_header_size(settings.head_bytes_max)
            .max_buf_size(BUFFER_BYTES_MAX.max(settings.head_bytes_max))
            .keep_alive(true)
            // A client that closes its side has gone away, as for nginx: what it asked for is not worth finishing.
            .half_close(false);
        if settings.headers_max != HYPER_HEADERS_MAX {
            http.max_headers(settings.headers_max);
        }
        let (proxy_protocol, tls) = (settings.proxy_protocol.clone(), settings.tls.clone());
        Self { http, handler, registry, proxy_protocol, tls, settings: Rc::new(settings.clone()) }
    }

    /// Serves a connection in a task of its own.
    pub(super) fn open(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let (door, ticket) = (Rc::clone(self), self.registry.enter());
        let index = ticket.index();
        let task = tokio::task::spawn_local(async move { door.admit(stream, address, ticket).await });
        self.registry.seat(index, task.abort_handle());
    }

    /// What comes before the first request: who the client is, and TLS.
    async fn admit(&self, mut stream: TcpStream, address: SocketAddr, ticket: Ticket) {
        // Only a connection that is gone already has no address of ours.
        let local = stream.local_addr().unwrap_or(address);
        let mut ends = (address, local);
        if self.proxy_protocol.as_ref().is_some_and(|proxy| proxy.expects(address.ip())) {
            match proxy_protocol::read(&mut stream).await {
                Ok(told) => ends = told.unwrap_or(ends),
                Err(error) => {
                    return tracing::warn!(%address, %error, "no PROXY protocol header; the connection is closed");
                }
            }
        }
        match &self.tls {
            None => {
                let client = Client::new(ends.0, ends.1, None);
                let limited = tokio::time::timeout(self.settings.head_timeout, speaks_http2(&stream, &ticket));
                let begins = limited.await.unwrap_or(false);
                if self.settings.http2.enabled && begins {
                    return Box::pin(self.serve_http2(stream, client, ticket)).await;
                }
                self.serve(stream, client, ticket).await;
            }
            // Apart, so that a connection without TLS does not need the room for it.
            Some(tls) => Box::pin(self.serve_tls(tls, stream, ends, ticket)).await,
        }
    }

    async fn serve_tls(&self, tls: &Tls, stream: TcpStream, (address, local): Ends, ticket: Ticket) {
        match handshake::accept(tls, stream).await {
            Ok(stream) => {
                let client = Client::new(address, local, Some(facts(stream.get_ref().1)));
                if self.settings.http2.enabled && stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    return self.serve_http2(stream, client, ticket).await;
                }
                self.serve(stream, client, ticket).await;
            }
            // Anybody can cause it: a scan, a client that distrusts us.
            Err(error) => tracing::debug!(%address, %error, "no TLS"),
        }
    }

    async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T, client: Client, ticket: Ticket) {
        let (handler, settings) = (Rc::clone(&self.handler), Rc::clone(&self.settings));
        http2::serve(stream, BytesMut::new(), handler, Arc::new(client), settings, ticket).await;
    }

    async fn serve<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T, client: Client, ticket: Ticket) {
        let asked = Rc::new(Cell::new(false));
        let handler = Rc::clone(&self.handler);
        let visit = Rc::new(Visit { handler, client: Arc::new(client), asked: Rc::clone(&asked) });
        let service = service_fn(move |request| {
            let visit = Rc::clone(&visit);
            async move { Ok::<_, Infallible>(answer(&visit, request).await) }
        });
        run(self.http.serve_connection(Transport::new(stream), service), ticket, asked).await;
    }
}

/// Whether a connection begins as HTTP/2 does (RFC 9113 section 3.3). Looks at as few bytes as tell, and takes none.
async fn speaks_http2(stream: &TcpStream, ticket: &Ticket) -> bool {
    let mut start = [0; 4];
    poll_fn(|cx| {
        ticket.remember(cx);
        if ticket.draining() {
            return Poll::Ready(false);
        }
        let mut buffer = ReadBuf::new(&mut start);
        match stream.poll_peek(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            // No method of HTTP/1 begins with these.
            Poll::Ready(peeked) => Poll::Ready(peeked.is_ok() && http2::PREFACE.starts_with(&start)),
        }
    })
    .await
}

async fn answer<H: Handle>(visit: &Visit<H>, request: ::http::Request<Incoming>) -> ::http::Response<Body> {
    visit.asked.set(true);
    let method = request.method().clone();
    let request = request.map(Body::Incoming);
    let mut response = visit.handler.handle(&visit.client, request).await;
    let (status, exact) = (response.status(), response.body().size_hint().exact());
    settle_length(&method, status, response.headers_mut(), exact);
    response
}

async fn run<T, S>(http: http1::Connection<Transport<T>, S>, ticket: Ticket, asked: Rc<Cell<bool>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = pin!(http);
    let mut told = false;
    let mut grace = None;
    let ended = poll_fn(|cx| {
        ticket.remember(cx);
        let polled = http.as_mut().poll(cx);
        if polled.is_ready() || told || !ticket.draining() {
            return polled;
        }
        if !asked.get() {
            let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(FRESH_GRACE)));
            if grace.as_mut().poll(cx).is_pending() {
                return polled;
            }
        }
        // First looked for a request that is here already, then told to stop: that request is still answered.
        told = true;
        http.as_mut().graceful_shutdown();
        http.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended early");
    }
}
