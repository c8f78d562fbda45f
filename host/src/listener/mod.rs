//! The door: accepts connections and speaks HTTP/1.1 on them.
//!
//! One listener per worker and address (`SO_REUSEPORT`). It knows nothing of routes or plugins: it hands each request
//! to a handler and sends back what that gives. Everything it spawns is a local task of the worker.

mod connection;
mod counts;
mod crowd;
mod date;
mod handshake;
mod hpack;
mod http1;
mod http2;
mod local;
mod proxy_protocol;
mod registry;
mod socket;
mod stream;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::exchange::{Client, Failure, RedirectHttps};
use crate::http::Body;
use crate::shutdown::Draining;

pub use counts::Counts;
pub use handshake::Tls;
pub use http1::Http1;
pub use http2::{Allowance, Http2};
pub use local::{Local, Predecessor};
pub use proxy_protocol::ProxyProtocol;

use crowd::Crowd;
use registry::Registry;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Longest time for a request head to arrive, however its bytes come.
    pub head_timeout: Duration,
    /// Longest request head, in bytes; over it the answer is 431.
    pub head_bytes_max: usize,
    /// Most header fields in a request; over it the answer is 431.
    pub headers_max: usize,
    /// How HTTP/1.1 is spoken.
    pub http1: Http1,
    /// Connections per worker; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Connections of one client address, counted over all workers; further ones are closed at once. None: any number.
    pub connections_per_address_max: Option<usize>,
    /// Who says for whom it connects.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How it accepts TLS; without, it speaks cleartext.
    pub tls: Option<Tls>,
    /// How HTTP/2 is spoken.
    pub http2: Http2,
    /// Where clients are sent instead of being served.
    pub redirect_https: Option<RedirectHttps>,
}

/// What answers requests.
pub trait Handle: 'static {
    /// Answers one request. Called once per request, in HTTP/1.1 one after the other, in HTTP/2 for all streams at once;
    /// dropped before it is done when the client goes away. `request` is as it came, hop-by-hop fields included. In HTTP/2
    /// its URI has scheme and authority.
    ///
    /// A client that wants to change protocols says so by [`crate::http::Upgrade`] in the extensions. The body then is what it
    /// says in that protocol, once the response (101, or 200 to a CONNECT) has granted it.
    ///
    /// A `Content-Length` of the response that is not the body's length is corrected; hop-by-hop fields are the listener's.
    fn handle(
        &self,
        client: &Arc<Client>,
        request: ::http::Request<Body>,
    ) -> impl Future<Output = ::http::Response<Body>>;

    /// Told of a request that the client took back before it was even begun: [`handle`](Self::handle) is not called for it. Possible only in
    /// HTTP/2, where both may come at once.
    fn taken_back(&self, _client: &Arc<Client>, _request: ::http::Request<Body>) {}

    /// Whether a client may connect at all. Asked once per connection, when it is known who it is and before anything is read or said; the connection
    /// of one who may not is closed.
    fn admits(&self, _client: SocketAddr) -> bool {
        true
    }

    /// The answer to what could not be read as a request. The listener closes the connection behind it.
    fn refuse(&self, client: &Arc<Client>, failure: &Failure) -> ::http::Response<Body>;
}

/// A bound address, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    settings: Settings,
    socket: std::net::TcpListener,
    address: SocketAddr,
    /// Shared with the listeners of other workers.
    crowd: Crowd,
    counts: Arc<Counts>,
}

/// How long to wait after an error of `accept` that is about us, such as too many open files: it will not go away at once,
/// and trying again at once would burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Binds one socket.
    pub fn bind(settings: &Settings) -> io::Result<Self> {
        let socket = socket::bind(settings.address)?;
        let address = socket.local_addr()?;
        let settings = settings.clone();
        Ok(Self { settings, socket, address, crowd: Crowd::default(), counts: Arc::default() })
    }

    /// A listener on a socket that listens already.
    pub fn on(settings: &Settings, socket: std::net::TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let settings = Settings { address, ..settings.clone() };
        Ok(Self { settings, socket, address, crowd: Crowd::default(), counts: Arc::default() })
    }

    /// One listener per worker, on sockets that were `handed` over as far as there are any. Workers that find none for
    /// themselves share one: the address may belong to a socket that does not share it. Of more sockets than workers all
    /// are used, since clients may be waiting in each of them.
    pub fn open_for(settings: &Settings, workers: usize, handed: Vec<std::net::TcpListener>) -> io::Result<Vec<Self>> {
        let mut listeners =
            handed.into_iter().map(|socket| Self::on(settings, socket)).collect::<io::Result<Vec<_>>>()?;
        let shared = listeners.first().map(Self::socket).transpose()?;
        match shared {
            None => return Self::bind_for(settings, workers),
            Some(shared) => {
                while listeners.len() < workers {
                    listeners.push(Self::on(settings, shared.try_clone()?)?);
                }
            }
        }
        Ok(Self::together(listeners))
    }

    /// The socket once more, to hand it over.
    pub fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.socket.try_clone()
    }

    /// Binds one socket per worker to the same address. Where the settings say port 0, all get the port that the first
    /// one got.
    pub fn bind_for(settings: &Settings, workers: usize) -> io::Result<Vec<Self>> {
        let mut settings = settings.clone();
        let mut listeners = Vec::with_capacity(workers);
        for _ in 0..workers {
            let mut listener = Self::bind(&settings)?;
            settings.address = listener.address;
            listener.settings.address = listener.address;
            listeners.push(listener);
        }
        Ok(Self::together(listeners))
    }

    /// Lets listeners count the connections of addresses together.
    fn together(mut listeners: Vec<Self>) -> Vec<Self> {
        let crowd = Crowd::default();
        listeners.iter_mut().for_each(|listener| listener.crowd = crowd.clone());
        listeners
    }

    /// What is counted of its connections.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The address with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and serves until `draining`; then closes idle connections, lets requests under way finish (their responses
    /// carry `Connection: close`), and returns when the last connection has ended: by itself, or since draining is over. Dropped
    /// earlier, it ends all of them.
    ///
    /// Must run on a `LocalSet` or a `LocalRuntime`. Fails only before the first connection.
    pub async fn serve<H: Handle>(self, handler: Rc<H>, mut draining: Draining) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let registry = Rc::new(Registry::new(self.counts));
        let _evict = registry::Evict(Rc::clone(&registry));
        let door = Rc::new(connection::Door::new(&self.settings, handler, Rc::clone(&registry), self.crowd));
        loop {
            let room = registry.room(self.settings.connections_max);
            let accepted = async {
                room.await;
                socket.accept().await
            };
            let accepted = tokio::select! {
                biased;
                () = draining.wait() => break,
                accepted = accepted => accepted,
            };
            if let Some(pause) = admit(accepted, &door) {
                tokio::time::sleep(pause).await;
            }
        }
        // Who is in the backlog already has been told by the kernel that the connection stands. The kernel is asked
        // directly, because tokio learns of new connections only when the worker next waits for events.
        let socket = socket.into_std()?;
        while let Ok((stream, address)) = socket.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            let _ = admit(stream.map(|stream| (stream, address)), &door);
        }
        drop(socket);
        // The first lets them start, the second lets the worker learn what they have sent already.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        registry.drain();
        tokio::select! {
            () = registry.empty() => return Ok(()),
            () = draining.wait_until_over() => registry.evict(),
        }
        registry.empty().await;
        Ok(())
    }
}

/// Starts a connection, or says how long to wait before the next `accept`.
fn admit<H: Handle>(accepted: io::Result<(TcpStream, SocketAddr)>, door: &Rc<connection::Door<H>>) -> Option<Duration> {
    match accepted {
        Ok((stream, address)) => {
            // Fails only on a connection that is gone already, which the first read will tell.
            let _ = stream.set_nodelay(true);
            door.open(stream, address);
            None
        }
        // The connection broke while it waited for us; the next one need not suffer (accept(2)).
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
            ) =>
        {
            None
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            Some(ACCEPT_PAUSE)
        }
    }
}
