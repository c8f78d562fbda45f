//! What operators ask of the cache and do to it: `GET /cache`, `GET /cache/lookup`, `POST /cache/purge`.
//!
//! Whatever takes a while runs on a thread of its own. No web page can purge, even in the browser of somebody who may: it can neither send
//! JSON to a site that is not its own nor leave `Origin` out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::purge;
use crate::cache::{Confirmed, Listed};
use crate::generation::Generation;
use crate::http::{Body, canonical_url};
use crate::purger::{Purger, Receipt};

/// Longest body.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// An answer: a status and what it says.
type Answer = (StatusCode, Value);

/// Answers a request to `/cache` or below it.
pub(super) async fn answer(
    purger: &Arc<Purger>,
    generation: Option<&Generation>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let (head, body) = request.into_parts();
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    let (status, value) = match head.uri.path() {
        "/cache" if reads => overview(purger).await,
        "/cache/lookup" if reads => lookup(purger, head.uri.query().unwrap_or_default()).await,
        "/cache/purge" if head.method == Method::POST => purge(purger, generation, &head.headers, body).await,
        "/cache" | "/cache/lookup" => return allowing("GET, HEAD"),
        "/cache/purge" => return allowing("POST"),
        _ => problem(StatusCode::NOT_FOUND, "there are /cache, /cache/lookup?url=... and /cache/purge"),
    };
    response(status, &value)
}

fn response(status: StatusCode, value: &Value) -> http::Response<Body> {
    let mut response = super::body("application/json", format!("{value:#}\n"));
    *response.status_mut() = status;
    response
}

fn allowing(methods: &'static str) -> http::Response<Body> {
    let (status, value) = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("only by {methods}"));
    let mut response = response(status, &value);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

fn problem(status: StatusCode, what: &str) -> Answer {
    (status, json!({ "problems": [what] }))
}

async fn overview(purger: &Arc<Purger>) -> Answer {
    let cache = Arc::clone(purger.cache());
    let counted = tokio::task::spawn_blocking(move || cache.counted_size()).await;
    let cache = purger.cache();
    let ((entries, bytes), (memory_bytes_max, object_bytes_max)) =
        (counted.unwrap_or_else(|_| cache.size()), cache.limits());
    let routes = cache.tally().requests().into_iter().map(|(route, sums)| {
        let sums: serde_json::Map<_, _> =
            sums.into_iter().map(|(outcome, count)| (outcome.as_str().to_owned(), count.into())).collect();
        (route.as_str().to_owned(), Value::Object(sums))
    });
    let value = json!({
        "entries": entries,
        "bytes": bytes,
        "memory_bytes_max": memory_bytes_max,
        "object_bytes_max": object_bytes_max,
        "last_purge": cache.sequence(),
        "requests": routes.collect::<serde_json::Map<_, _>>(),
    });
    (StatusCode::OK, value)
}

async fn lookup(purger: &Arc<Purger>, query: &str) -> Answer {
    let pairs: Vec<(&str, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name, decoded(value)))
        .collect();
    let (mut url, mut route) = (None, None);
    for (name, value) in pairs {
        match name {
            "url" => url = Some(value),
            "route" => route = Some(value),
            other => {
                let what = format!("{other:?}: is not known here; write url and route, percent-encoded");
                return problem(StatusCode::BAD_REQUEST, &what);
            }
        }
    }
    let Some(url) = url else {
        let what = "url: missing; write /cache/lookup?url= and a URL, percent-encoded";
        return problem(StatusCode::BAD_REQUEST, what);
    };
    let url = match canonical_url(&url) {
        Ok(url) => url,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("url: {error}")),
    };
    let (cache, wanted) = (Arc::clone(purger.cache()), url.clone());
    let listed = tokio::task::spawn_blocking(move || cache.list(&wanted, route.as_deref())).await;
    let listed = listed.unwrap_or_default();
    (StatusCode::OK, json!({ "url": url, "stored": listed.iter().map(stored).collect::<Vec<_>>() }))
}

fn stored(listed: &Listed) -> Value {
    json!({
        "route": listed.route,
        "key": listed.key,
        "status": listed.status,
        "age_seconds": listed.age.as_secs(),
        "ttl_seconds": listed.ttl.as_secs(),
        "fresh": !listed.ttl.is_zero(),
        "content": listed.content,
        "body_bytes": listed.body_bytes,
        "memory_bytes": listed.memory_bytes,
        "namespace": listed.namespace,
        "tags": listed.tags,
        "vary": listed.vary.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// The text behind a percent-encoded one (RFC 3986 section 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn purge(purger: &Arc<Purger>, generation: Option<&Generation>, headers: &HeaderMap, body: Body) -> Answer {
    if headers.contains_key(header::ORIGIN) {
        return problem(StatusCode::FORBIDDEN, "this comes from a web page; purge from a command line or a program");
    }
    if !says_json(headers) {
        let what = "the body is not said to be JSON; send `Content-Type: application/json`";
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, what);
    }
    let text = match read(body).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    let routes = generation.iter().flat_map(|generation| &generation.config.routes);
    let namespaces: BTreeSet<&str> =
        routes.filter_map(|route| route.cache.as_ref()).map(|policy| &*policy.namespace).collect();
    let (purge, counting) = match purge::read(&text, &namespaces) {
        Ok(read) => read,
        Err(problems) => return (StatusCode::BAD_REQUEST, json!({ "problems": problems })),
    };
    match purger.purge(purge, counting).await {
        Ok(receipt) => (StatusCode::OK, told(&receipt)),
        Err(refused) => problem(StatusCode::BAD_REQUEST, &refused.to_string()),
    }
}

async fn read(body: Body) -> Result<Bytes, Answer> {
    let what = format!("the body is longer than {BODY_BYTES_MAX} bytes; purge in several requests");
    let too_long = || problem(StatusCode::PAYLOAD_TOO_LARGE, &what);
    let body = body.limited(BODY_BYTES_MAX).map_err(|_| too_long())?;
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(crate::http::BodyError::TooLarge(_)) => Err(too_long()),
        Err(error) => Err(problem(StatusCode::BAD_REQUEST, &format!("the body broke off: {error}"))),
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// What was purged; only what was said stands in it.
fn told(receipt: &Receipt) -> Value {
    let selection = &receipt.selection;
    let field = selection.field.as_ref();
    let purged = [
        ("url", selection.url.as_deref().map(Value::from)),
        ("key", selection.key.as_deref().map(Value::from)),
        ("tags", (!receipt.tags.is_empty()).then(|| Value::from(receipt.tags.clone()))),
        ("pattern", selection.pattern.as_deref().map(Value::from)),
        ("namespace", selection.namespace.as_deref().map(Value::from)),
        ("status", selection.status.map(Value::from)),
        ("header", field.map(|(name, contains)| json!({ "name": name, "contains": contains }))),
        ("older_than_seconds", selection.age_min.map(Value::from)),
        ("larger_than_bytes", selection.bytes_min.map(|least| Value::from(least.saturating_sub(1)))),
        ("all", (receipt.sort == crate::cache::Sort::All).then_some(Value::Bool(true))),
    ];
    let purged = purged.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut value = json!({
        "number": receipt.number,
        "mode": receipt.mode.as_str(),
        "purged": purged.collect::<serde_json::Map<_, _>>(),
        "instances": match receipt.confirmed {
            Confirmed::All => "confirmed",
            Confirmed::Pending => "pending",
            Confirmed::Later => "later",
        },
        "cdn": receipt.told.as_str(),
    });
    if let (Some(hit), Some(object)) = (receipt.hit, value.as_object_mut()) {
        object.insert("count".to_owned(), hit.into());
    }
    value
}
