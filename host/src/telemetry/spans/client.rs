//! Speaks with one receiver of OTLP: HTTP/1.1 or gRPC, in cleartext or TLS, on one connection that is kept.
//!
//! Must run on a `LocalSet`. Whatever the receiver does ends here as an [`Outcome`], within the time that is given.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::answer::{self, Answer, Outcome};
use super::settings::{Compression, Otlp, Protocol};
use crate::http::with_causes;
use crate::tls;

/// Longest answer. Usual ones have a few bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where gRPC is asked.
pub const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A client of one receiver.
#[derive(Debug)]
pub(super) struct Client {
    otlp: Otlp,
    connection: Option<Connection>,
}

#[derive(Debug)]
enum Connection {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    fn is_open(&self) -> bool {
        match self {
            Self::Http(sender) => !sender.is_closed(),
            Self::Grpc(sender) => !sender.is_closed(),
        }
    }
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Client {
    pub(super) fn new(otlp: &Otlp) -> Self {
        Self { otlp: otlp.clone(), connection: None }
    }

    /// The body of a request with this message.
    pub(super) fn body(&self, message: Vec<u8>) -> Bytes {
        let message = match self.otlp.compression {
            Compression::None => message,
            Compression::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                // Writing to memory does not fail.
                let _ = gzip.write_all(&message);
                gzip.finish().unwrap_or_default()
            }
        };
        match self.otlp.protocol {
            Protocol::Http => message.into(),
            Protocol::Grpc => {
                // A message: whether it is compressed, its length, itself.
                let flag = u8::from(self.otlp.compression == Compression::Gzip);
                let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
                [&[flag][..], &length, &message].concat().into()
            }
        }
    }

    /// Sends a body and says what came of it.
    pub(super) async fn send(&mut self, body: &Bytes) -> Outcome {
        let timeout = self.otlp.timeout;
        match tokio::time::timeout(timeout, self.exchange(body)).await {
            Ok(Ok(answer)) => match self.otlp.protocol {
                Protocol::Http => answer::http(&answer),
                Protocol::Grpc => answer::grpc(&answer),
            },
            Ok(Err(why)) => Outcome::Later { why, asked: None },
            Err(_) => {
                // Whatever it says now is the answer to something else.
                self.connection = None;
                Outcome::Later { why: format!("no answer within {} ms", timeout.as_millis()), asked: None }
            }
        }
    }

    async fn exchange(&mut self, body: &Bytes) -> Result<Answer, String> {
        let kept = self.connection.take().filter(Connection::is_open);
        if let Some(kept) = kept {
            // It may be closed at this very moment, which is no failure.
            if let Ok(answer) = self.ask(kept, body).await {
                return Ok(answer);
            }
        }
        let fresh = self.connect().await?;
        self.ask(fresh, body).await
    }

    async fn ask(&mut self, mut connection: Connection, body: &Bytes) -> Result<Answer, String> {
        let request = self.request(body.clone())?;
        let response = match &mut connection {
            Connection::Http(sender) => {
                sender.ready().await.map_err(|error| error.to_string())?;
                sender.send_request(request).await
            }
            Connection::Grpc(sender) => {
                sender.ready().await.map_err(|error| error.to_string())?;
                sender.send_request(request).await
            }
        };
        let answer = read(response.map_err(|error| with_causes(&error))?).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let gzip = HeaderValue::from_static("gzip");
        let compressed = self.otlp.compression == Compression::Gzip;
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.otlp.headers.reveal().clone();
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(agent);
        let uri = match self.otlp.protocol {
            Protocol::Http => {
                let host = HeaderValue::try_from(self.otlp.authority()).map_err(|error| error.to_string())?;
                headers.entry(header::HOST).or_insert(host);
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                if compressed {
                    headers.insert(header::CONTENT_ENCODING, gzip);
                }
                self.otlp.path.clone()
            }
            Protocol::Grpc => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(header::TE, HeaderValue::from_static("trailers"));
                if compressed {
                    headers.insert(HeaderName::from_static("grpc-encoding"), gzip);
                }
                format!("{}{}", self.otlp, self.otlp.path)
            }
        };
        *request.uri_mut() = uri.parse::<Uri>().map_err(|error| error.to_string())?;
        Ok(request)
    }

    async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect((self.otlp.host.as_str(), self.otlp.port)).await;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> = match &self.otlp.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = match &tls.server_name {
                    Some(name) => name.clone(),
                    None => ServerName::try_from(self.otlp.host.clone()).map_err(|error| error.to_string())?,
                };
                let mut config = (*tls::client(&tls.client).map_err(|error| error.to_string())?).clone();
                config.alpn_protocols = match self.otlp.protocol {
                    Protocol::Http => vec![b"http/1.1".to_vec()],
                    Protocol::Grpc => vec![b"h2".to_vec()],
                };
                let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                Box::new(connected.map_err(|error| format!("TLS: {error}"))?)
            }
        };
        let stream = TokioIo::new(stream);
        match self.otlp.protocol {
            Protocol::Http => {
                let (sender, connection) = http1::handshake(stream).await.map_err(|error| with_causes(&error))?;
                tokio::task::spawn_local(connection);
                Ok(Connection::Http(sender))
            }
            Protocol::Grpc => {
                let shaken = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) = shaken.map_err(|error| with_causes(&error))?;
                tokio::task::spawn_local(connection);
                Ok(Connection::Grpc(sender))
            }
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes().to_vec(), trailers })
}
