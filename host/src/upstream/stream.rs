//! The bytes to and from an endpoint: TCP or a Unix socket, with TLS in it or not.
//!
//! [`open`] gives a stream on which the first request may be written: connected, introduced and encrypted.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Endpoint;
use super::proxy_header;
use super::wire::{Ends, Protocol, Wire};

/// What a stream is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests, in whichever version of HTTP.
    Requests,
    /// What can be said in HTTP/1.1 only, such as the beginning of a tunnel.
    Http1,
}

/// Why there is no stream.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Nobody accepted the connection.
    Connect(io::Error),
    /// Somebody did, but TLS did not come about, for this reason.
    Tls(String),
}

/// A socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is read and written.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// A stream of HTTP/2 on which another protocol is spoken.
    Connected(TokioIo<Upgraded>),
}

impl Stream {
    /// Whether both sides agreed on HTTP/2 in TLS.
    pub(super) fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Connected(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Connects; `literal` is the endpoint's address where it is not a name.
pub(super) async fn open(
    endpoint: &Endpoint,
    literal: Option<SocketAddr>,
    (wire, purpose): (&Wire, Purpose),
    ends: Option<Ends>,
) -> Result<Stream, OpenError> {
    let mut socket = match (endpoint, literal) {
        (Endpoint::Unix(path), _) => connect_unix(path).await,
        (Endpoint::Tcp { .. }, Some(address)) => connect_tcp(address).await,
        (Endpoint::Tcp { host, port }, None) => connect_any(host, *port).await,
    }
    .map_err(OpenError::Connect)?;
    if let (Some(version), Some(ends)) = (wire.proxy_protocol, ends) {
        let header = proxy_header::header(version, ends).map_err(OpenError::Connect)?;
        socket.write_all(&header).await.map_err(OpenError::Connect)?;
    }
    let Some(tls) = &wire.tls else { return Ok(Stream::Plain(socket)) };
    let config = match purpose {
        Purpose::Requests => &tls.requests,
        Purpose::Http1 => &tls.http1,
    };
    let name = match (&tls.name, endpoint) {
        (Some(name), _) => name.clone(),
        (None, Endpoint::Tcp { host, .. }) => ServerName::try_from(host.clone())
            .map_err(|_| OpenError::Tls(format!("{host:?} is no name that a certificate could have")))?,
        (None, Endpoint::Unix(_)) => return Err(OpenError::Tls("a socket in the file system has no name".to_owned())),
    };
    let stream = encrypt(socket, config, name).await.map_err(OpenError::Tls)?;
    if wire.protocol == Protocol::Http2 && purpose == Purpose::Requests && !stream.agreed_on_http2() {
        return Err(OpenError::Tls("it does not agree to HTTP/2".to_owned()));
    }
    Ok(stream)
}

async fn encrypt(socket: Socket, config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Stream, String> {
    let wanted = name.to_str().into_owned();
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket).await;
    handshake.map(|stream| Stream::Tls(Box::new(stream))).map_err(|error| told(&error, &wanted))
}

/// What is to be said of a handshake that failed.
fn told(error: &io::Error, wanted: &str) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            // The second where an authority has the name of one that is trusted, but not its key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is of an authority that is not trusted".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("its certificate is not for {wanted:?}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has ended".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            other => format!("its certificate is not good: {other}"),
        },
        // What the verifier of pins says.
        Some(rustls::Error::General(text)) => text.clone(),
        Some(rustls::Error::AlertReceived(alert)) => format!("it refused: {alert:?}"),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

async fn connect_unix(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).await.map(Socket::Unix)
}

async fn connect_tcp(address: SocketAddr) -> io::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

/// Connects to the first address that accepts.
async fn connect_any(host: &str, port: u16) -> io::Result<Socket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match connect_tcp(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads and writes through whichever variant it is.
macro_rules! through {
    ($type:ty, $($variant:ident),+) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_read(cx, buffer),)+ }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_write(cx, bytes),)+ }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_flush(cx),)+ }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_shutdown(cx),)+ }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_write_vectored(cx, slices),)+ }
            }
        }
    };
}

through!(Socket, Tcp, Unix);
through!(Stream, Plain, Tls, Connected);
