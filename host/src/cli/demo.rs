//! What `portcullis run --demo` adds: an origin to play with and ready-made command lines.
//!
//! The origin is a real HTTP/1.1 server on a loopback port and a thread of its own, so that what is shown is what happens with any upstream. It
//! is for looking around: no TLS, no authentication, nothing outside this machine can reach it.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, SERVER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};

use crate::time;

/// The HMAC secret of the default configuration, for tokens on one's own machine only.
pub const SECRET: &str = "demo-secret-for-local-use-only-0123456789";
/// Longest wait that `/slow` grants.
const SLOW_MAX: Duration = Duration::from_secs(30);
/// How many pieces `/stream` sends, and how far apart.
const STREAM_PIECES: u32 = 10;
const STREAM_PAUSE: Duration = Duration::from_millis(200);
/// How long the token on the command lines is good.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Starts the origin and gives its address. It lives as long as the process.
pub fn start() -> anyhow::Result<SocketAddr> {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the demo origin finds no port")?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => serve(listener).await,
                Err(error) => tracing::error!(%error, "the demo origin cannot listen"),
            }
        });
    })?;
    Ok(address)
}

async fn serve(listener: tokio::net::TcpListener) {
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            // Out of descriptors, most likely: accepting again at once would only burn the core.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(connection), service_fn(|request| async { answer(request).await }));
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to the demo origin ended early");
            }
        });
    }
}

/// The endpoint is the first known part of the path, so that it is found behind any prefix of a route.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut parts = request.uri().path().split('/').filter(|part| !part.is_empty());
    let known = ["headers", "slow", "cached", "status", "stream"];
    let mut response = match parts.find(|part| known.contains(part)) {
        Some("headers") => json_response(&headers(&request)),
        Some("slow") => slow(request.uri().query()).await,
        Some("cached") => cached(request.headers()),
        Some("status") => status(parts.next()),
        Some("stream") => streamed(),
        _ => json_response(&json!({
            "message": "hello from the demo origin",
            "method": request.method().as_str(),
            "path": request.uri().path(),
        })),
    };
    // So that there is something for security-headers to remove.
    response.headers_mut().insert(SERVER, HeaderValue::from_static("demo-origin"));
    Ok(response)
}

/// What the gateway and its plugins sent on.
fn headers(request: &Request<Incoming>) -> Value {
    let mut fields = serde_json::Map::new();
    for name in request.headers().keys() {
        let values = request.headers().get_all(name).iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        fields.insert(name.as_str().to_owned(), json!(values.join(", ")));
    }
    json!({ "method": request.method().as_str(), "target": request.uri().to_string(), "headers": fields })
}

async fn slow(query: Option<&str>) -> Response<Body> {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("ms="));
    let wait = asked.map_or(Some(1000), |text| text.parse().ok()).map(Duration::from_millis);
    match wait.filter(|wait| *wait <= SLOW_MAX) {
        Some(wait) => {
            tokio::time::sleep(wait).await;
            json_response(&json!({ "waited_ms": wait.as_millis() as u64 }))
        }
        None => refusal(&format!("ms is a number up to {}", SLOW_MAX.as_millis())),
    }
}

/// A counter shows whether the origin was asked. No Cache-Control: what is kept is the gateway's and its plugins' decision.
fn cached(fields: &HeaderMap) -> Response<Body> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    // The tag changes every ten requests, so that revalidation can show both outcomes.
    let tag = format!("\"v{}\"", asked / 10);
    let mut response = if fields.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        with_status(StatusCode::NOT_MODIFIED, Empty::new().boxed_unsync())
    } else {
        json_response(&json!({ "origin_was_asked": asked, "unix_ms": time::unix().as_millis() as u64 }))
    };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

fn status(code: Option<&str>) -> Response<Body> {
    let code = code.and_then(|text| text.parse().ok()).filter(|code| (200..=599).contains(code));
    match code.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status) if matches!(status.as_u16(), 204 | 205 | 304) => with_status(status, Empty::new().boxed_unsync()),
        Some(status) => {
            let mut response = json_response(&json!({ "status": status.as_u16() }));
            *response.status_mut() = status;
            response
        }
        None => refusal("write /status/200 to /status/599"),
    }
}

fn streamed() -> Response<Body> {
    let pieces = stream::unfold(1, |piece| async move {
        if piece > STREAM_PIECES {
            return None;
        }
        if piece > 1 {
            tokio::time::sleep(STREAM_PAUSE).await;
        }
        let text = format!("piece {piece} of {STREAM_PIECES}\n");
        Some((Ok(Frame::data(Bytes::from(text))), piece + 1))
    });
    let mut response = with_status(StatusCode::OK, StreamBody::new(pieces).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = with_status(StatusCode::OK, Full::from(format!("{value}\n")).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Something else to remove, and a field that does not belong to any standard.
    response.headers_mut().insert(HeaderName::from_static("x-powered-by"), HeaderValue::from_static("curiosity"));
    response
}

fn refusal(why: &str) -> Response<Body> {
    let mut response = json_response(&json!({ "error": why }));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Where operators look: the dashboard, signed in by the token that the gateway has made, and the command line. None where other tokens are
/// configured, or no address.
pub fn operator_lines(settings: &crate::admin::Settings) -> Option<String> {
    let address = settings.address().filter(|address| address.port() != 0)?;
    let token = std::fs::read_to_string(settings.state.join("admin-token")).ok()?;
    let program = std::env::args().next()?;
    let (token, none) = (token.trim(), settings.access.tokens.is_empty());
    none.then(|| {
        format!("# the dashboard\nhttp://{address}/login#token={token}\n# the same from the command line\n{program} ctl top\n")
    })
}

/// Command lines to try, for the gateway at this address and the routes of the default configuration.
pub fn curl_lines(gateway: SocketAddr, secret: &str) -> String {
    let token = token(secret, time::unix(), TOKEN_LIFETIME);
    let at = format!("http://{gateway}");
    let lines = [
        ("a plain route; see Server-Timing and the security headers", format!("curl -i {at}/plain")),
        ("what the origin got", format!("curl -s {at}/plain/headers")),
        ("a protected route without a token: 401", format!("curl -i {at}/private/headers")),
        ("and with one", format!("curl -i -H 'Authorization: Bearer {token}' {at}/private/headers")),
        ("a cached route; the second answer is a hit", format!("curl -i {at}/cached; curl -i {at}/cached")),
        ("a streamed body", format!("curl -N {at}/stream")),
    ];
    let mut text = String::from("try:\n");
    for (what, line) in lines {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  # {what}\n  {line}\n");
    }
    text.push_str(
        "\nwhile it runs:\n\n  \
         # change the order of plugins.chain in config/portcullis.json, or anything else in it\n  \
         # copy another plugin's .wasm into config/plugins, replace one, or remove it\n\n\
         the change shows with the next request; the log says what was taken over or why not\n",
    );
    text
}

/// A token that the default configuration's `jwt-auth` accepts.
fn token(secret: &str, now: Duration, lifetime: Duration) -> String {
    let claims = json!({
        "iss": "portcullis-demo",
        "aud": "demo",
        "sub": "user-0001",
        "scope": "read write",
        "roles": ["user"],
        "iat": now.as_secs(),
        "exp": (now + lifetime).as_secs(),
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": "JWT" }).to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string()),
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn ask(origin: SocketAddr, target: &str) -> String {
        let mut connection = std::net::TcpStream::connect(origin).unwrap();
        write!(connection, "GET {target} HTTP/1.1\r\nHost: demo\r\nX-Seen: yes\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn every_endpoint_answers_behind_any_prefix() {
        let origin = start().unwrap();
        let check = |target: &str, begins: &str, contains: &str| {
            let answer = ask(origin, target);
            assert!(answer.starts_with(begins) && answer.contains(contains), "{target}: {answer}");
        };
        check("/", "HTTP/1.1 200", "hello from");
        check("/private/headers?a=b", "HTTP/1.1 200", "\"x-seen\":\"yes\"");
        check("/slow?ms=1", "HTTP/1.1 200", "\"waited_ms\":1");
        check("/slow?ms=99999999", "HTTP/1.1 400", "up to 30000");
        check("/api/cached", "HTTP/1.1 200", "etag: \"v0\"");
        check("/status/503", "HTTP/1.1 503", "503");
        check("/status/204", "HTTP/1.1 204", "\r\n\r\n");
        check("/status/99", "HTTP/1.1 400", "error");
        check("/stream", "HTTP/1.1 200", "piece 10 of 10");
    }

    #[test]
    fn the_command_lines_carry_a_token_of_the_secret() {
        let lines = curl_lines(([127, 0, 0, 1], 8080).into(), SECRET);
        let token = lines.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).is_ok());
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert!(claims["exp"].as_u64().unwrap() > time::unix().as_secs());
    }
}
