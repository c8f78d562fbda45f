//! What operators can ask: is it alive, is it ready, what does it run, what does it cost, what does it keep. Only purging changes anything.
//!
//! It has a thread of its own, so that asking costs no request its latency.

mod cache;
mod condition;
mod metrics;
mod purge;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;

use crate::cdn::{self, Forwarder};
use crate::condition::Monitor;
use crate::exchange::{Client, Failure};
use crate::gateway::Operations;
use crate::generation::Generation;
use crate::http::Body;
use crate::listener::{self, Handle, Listener};
use crate::plugin::Loaded;
use crate::plugin::metrics::Registry;
use crate::purger::Purger;
use crate::redis::{Condition, Redis};
use crate::shutdown::Draining;
use crate::telemetry::metrics::Format;
use crate::time;
use crate::upstream::{Board, EndpointReport, UpstreamReport};

pub(crate) use metrics::Instruments;

/// What the gateway is at the moment.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) generation: Option<Arc<Generation>>,
    pub(crate) metrics: Option<Arc<Registry>>,
    /// What is known of the process besides.
    pub(crate) monitor: Option<Arc<Monitor>>,
    /// What is known of endpoints.
    pub(crate) board: Option<Arc<Board>>,
    /// What forwards purges to CDNs.
    pub(crate) cdn: Forwarder,
    /// The link to Redis.
    pub(crate) redis: Option<Redis>,
    /// What purges, and what is purged.
    pub(crate) purger: Option<Arc<Purger>>,
    /// What is wrong with plugin files although the gateway serves.
    pub(crate) problems: Vec<String>,
    /// The last change that was refused, until one is taken over: of what, and why.
    pub(crate) refused: Option<(&'static str, String)>,
    /// The newest generation that every worker has taken over.
    pub(crate) adopted: u64,
    /// What measures.
    pub(crate) instruments: Instruments,
    /// Tells of `adopted` whenever it grows.
    pub(crate) serving: tokio::sync::watch::Sender<u64>,
    /// What operators can change.
    pub(crate) operations: Option<Operations>,
}

type Shared = Arc<Mutex<Status>>;

/// Notes and logs when all workers have taken a generation over: from then on nothing of the one before is used for new requests.
pub(crate) fn log_adoptions(mut adoptions: UnboundedReceiver<u64>, workers: usize, status: &Shared) -> io::Result<()> {
    let status = Arc::clone(status);
    thread::Builder::new().name("adoptions".into()).spawn(move || {
        let mut counted: Vec<(u64, usize)> = Vec::new();
        while let Some(generation) = adoptions.blocking_recv() {
            let count = match counted.iter_mut().find(|(known, _)| *known == generation) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    counted.push((generation, 1));
                    1
                }
            };
            if count == workers {
                // A worker that was busy may skip a generation; what is older will never be complete.
                counted.retain(|(known, _)| *known > generation);
                let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
                status.adopted = status.adopted.max(generation);
                status.serving.send_replace(status.adopted);
                tracing::info!(generation, "generation serves");
            }
        }
    })?;
    Ok(())
}

/// The admin listener, on a socket that was `handed` over if there is one. Another gateway on that address is an error: who
/// asks must know whom.
pub(crate) fn listener(address: SocketAddr, handed: Option<std::net::TcpListener>) -> io::Result<Listener> {
    let settings = listener::Settings {
        address,
        head_timeout: Duration::from_secs(10),
        head_bytes_max: 16 * 1024,
        headers_max: 64,
        connections_max: 64,
        connections_per_address_max: None,
        proxy_protocol: None,
        tls: None,
        http1: listener::Http1::default(),
        http2: crate::listener::Http2::default(),
        redirect_https: None,
    };
    if let Some(socket) = handed {
        return Listener::on(&settings, socket);
    }
    // Listeners share addresses, since workers do. A socket that does not share finds out whether somebody is there.
    drop(std::net::TcpListener::bind(address)?);
    Listener::bind(&settings)
}

/// Starts to answer operators.
pub(crate) fn start(listener: Listener, status: Shared, draining: Draining) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("admin".into()).spawn(move || {
        let admin = Rc::new(Admin { status });
        if let Err(error) = LocalSet::new().block_on(&runtime, listener.serve(admin, draining)) {
            tracing::error!(%error, "the admin listener ended");
        }
    })?;
    Ok(())
}

struct Admin {
    status: Shared,
}

impl Admin {
    fn cache(&self) -> (Option<Arc<Purger>>, Option<Arc<Generation>>) {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.purger.clone(), status.generation.clone())
    }
}

impl Handle for Admin {
    async fn handle(&self, _: &Arc<Client>, request: http::Request<Body>) -> http::Response<Body> {
        let path = request.uri().path();
        if path == "/cache" || path.starts_with("/cache/") {
            let (purger, generation) = self.cache();
            return match purger {
                Some(purger) => cache::answer(&purger, generation.as_deref(), request).await,
                None => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            };
        }
        if condition::is_ours(path) {
            return condition::answer(&self.status, request).await;
        }
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match path {
            "/status" => body("application/json", format!("{:#}\n", self::status(&status))),
            "/metrics" => {
                let format = Format::wanted(request.headers());
                body(format.content_type(), metrics::written(&status, format))
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /status, /metrics and /cache\n"),
        }
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> http::Response<Body> {
        text(StatusCode::BAD_REQUEST, failure.reason.as_str())
    }
}

fn text(status: StatusCode, text: &'static str) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn body(content_type: &'static str, body: String) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plugins(status: &Status) -> impl Iterator<Item = &Arc<Loaded>> {
    status.generation.iter().flat_map(|generation| generation.roster.plugins()).flat_map(|(_, _, variants)| variants)
}

fn status(status: &Status) -> Value {
    let generation = status.generation.as_ref();
    let chain: Vec<Value> = generation
        .iter()
        .flat_map(|generation| generation.roster.plugins())
        .map(|(name, code, variants)| {
            json!({
                "plugin": name.as_str(),
                "version": code.description.version.to_string(),
                "hash": code.hash.to_string(),
                "hooks": code.hooks.keys().map(|hook| hook.as_str()).collect::<Vec<_>>(),
                "variants": variants.iter().map(|loaded| variant(loaded)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "generation": generation.map(|generation| generation.number),
        "serving": status.adopted,
        "plugins": chain,
        "upstreams": upstreams(status).iter().map(upstream).collect::<Vec<_>>(),
        "cdn": status.cdn.report().iter().map(cdn).collect::<Vec<_>>(),
        "redis": status.redis.as_ref().map(redis),
        "problems": status.problems,
        "refused": status.refused.as_ref().map(|(of, what)| json!({ "change": of, "why": what })),
    })
}

fn redis(redis: &Redis) -> Value {
    let condition = redis.condition();
    let degraded_ms = match &condition {
        Condition::Healthy => None,
        Condition::Degraded { since, .. } => {
            Some(u64::try_from((time::now() - *since).as_millis()).unwrap_or(u64::MAX))
        }
    };
    json!({
        "healthy": condition == Condition::Healthy,
        "reason": condition.reason(),
        "degraded_ms": degraded_ms,
        "connections": redis.connections(),
    })
}

fn upstreams(status: &Status) -> Vec<UpstreamReport> {
    status.board.as_ref().map(|board| board.report(time::now())).unwrap_or_default()
}

fn upstream(report: &UpstreamReport) -> Value {
    let endpoint = |endpoint: &EndpointReport| {
        json!({
            "endpoint": endpoint.endpoint,
            "healthy": endpoint.healthy,
            "ejected_by_workers": endpoint.ejected,
            "in_flight": endpoint.busy,
            "open_connections": endpoint.open,
            "idle_connections": endpoint.idle,
            "requests": endpoint.requests,
            "failures": endpoint.failures,
        })
    };
    json!({
        "upstream": report.name.as_str(),
        "endpoints": report.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "breakers_open": report.breakers_open,
        "pending": report.pending[0],
        "retries": report.retries[0],
    })
}

fn cdn(report: &cdn::Report) -> Value {
    json!({
        "cdn": report.name.as_str(),
        "pending": report.pending,
        "sent": report.sent,
        "failed": report.failed,
        "merged": report.merged,
        "dropped": report.dropped,
        "unsupported": report.unsupported,
        "retries": report.retries,
        "trouble": report.trouble,
    })
}

fn variant(loaded: &Loaded) -> Value {
    let cost = loaded.cost();
    let hooks = cost.hooks.iter().map(|(hook, cost)| {
        let entry = json!({
            "calls": cost.calls,
            "failures": cost.failures,
            "nanoseconds": u64::try_from(cost.time.as_nanos()).unwrap_or(u64::MAX),
            "fuel": cost.fuel,
        });
        (hook.as_str().to_owned(), entry)
    });
    json!({
        "origin": loaded.entry.origin.to_string(),
        "grants": loaded.entry.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "quarantined_ms": loaded.quarantined().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        "memory_bytes": cost.memory_bytes,
        "recycled": cost.recycled,
        "hooks": hooks.collect::<serde_json::Map<_, _>>(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::shutdown::Drain;

    #[test]
    fn a_second_gateway_does_not_share_the_address_for_operators() {
        let (drain, draining) = Drain::new();
        let first = listener("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = first.address();
        start(first, Shared::default(), draining).unwrap();
        let error = listener(address, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drain.start();
    }
}
