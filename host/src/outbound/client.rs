//! Speaks HTTP with whom we tell something: HTTP/1.1, by TLS where the URL says so, on connections that are kept for a while.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::call::{Answer, Call};
use crate::http::with_causes;

/// Longest answer. Usual ones have a hundred bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How long a connection is kept for the next request. Shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(20);

/// Whom we take for the other side.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    /// What tells it apart from others, contents of files included.
    digest: [u8; 32],
}

impl Trust {
    /// Those whom `config` trusts; `digest` tells it apart from others. It must not name protocols (ALPN).
    pub fn new(config: Arc<ClientConfig>, digest: [u8; 32]) -> Self {
        Self { config, digest }
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Trust {}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

/// A client of one service.
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// One that trusts so; without trust, nobody whose URL is an `https` one. None if the system has no TLS.
    pub fn new(trust: Option<&Trust>) -> Option<Self> {
        let mut config = match trust {
            Some(trust) => (*trust.config).clone(),
            None => ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .ok()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        };
        // The connector makes its own, and panics over others.
        config.alpn_protocols.clear();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector.wrap_connector(tcp));
        Some(Self(client))
    }

    /// Sends a request and gives the whole answer, or says in one line why there is none.
    pub async fn send(&self, call: &Call, timeout: Duration) -> Result<Answer, String> {
        let late = |_| Err(format!("no answer within {} ms", timeout.as_millis()));
        tokio::time::timeout(timeout, self.exchange(call)).await.unwrap_or_else(late)
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        *request.headers_mut() = call.headers.clone();
        let agent = HeaderValue::from_static("portcullis");
        request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
        let response = self.0.request(request).await.map_err(|error| with_causes(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        // What it says is of use for the log at most: the status has come.
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
