//! Asks a responder about a certificate (RFC 6960 appendix A.1). What is asked and what counts as an answer is decided in
//! [`crate::certificates::ocsp`].

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::certificates::ocsp::Question;

/// Longest time for an answer. Responders are served from caches near us.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Longest answer. Usual ones have 500 bytes, those with a responder's certificates two thousand.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The responder's URL is of another kind.
    #[error("the responder {0:?} is not an http URL")]
    Url(String),
    /// It cannot be reached.
    #[error("cannot connect to the responder: {0}")]
    Connect(#[from] std::io::Error),
    /// It does not speak HTTP with us.
    #[error("cannot talk to the responder: {0}")]
    Http(#[from] hyper::Error),
    /// It does not answer.
    #[error("the responder answers {0}")]
    Status(StatusCode),
    /// Its answer is broken or far too long.
    #[error("the responder's answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long.
    #[error("no answer from the responder within {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// Asks and gives what came back, unchecked.
pub(super) async fn ask(question: &Question) -> Result<Bytes, AskError> {
    tokio::time::timeout(TIMEOUT, post(question)).await.unwrap_or(Err(AskError::Timeout))
}

async fn post(question: &Question) -> Result<Bytes, AskError> {
    let wrong = || AskError::Url(question.url.clone());
    let uri: Uri = question.url.parse().map_err(|_| wrong())?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::post(target)
        .header(HOST, authority.as_str())
        .header(CONTENT_TYPE, "application/ocsp-request")
        .body(Full::new(Bytes::copy_from_slice(&question.body)))
        .map_err(|_| wrong())?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchanged = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(AskError::Body)?;
        Ok(body.to_bytes())
    };
    tokio::pin!(exchanged);
    // The connection must be driven until the answer is there; it may end just before that is seen.
    tokio::select! {
        biased;
        answer = &mut exchanged => return answer,
        ended = connection => ended?,
    }
    exchanged.await
}
