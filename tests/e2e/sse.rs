//! Server-Sent Events: each event arrives before the next is sent, with every plugin active, compression and the cache on.

use portcullis_tests::token::{Signer, now};
use portcullis_tests::{Gate, Gateway, Origin, Reply, Setup, in_time, json};
use tokio::net::TcpStream;

const EVENTS: usize = 5;
const SECRET: &str = "a secret for tests, long enough: 0123456789012345678901234567890";

/// An origin that sends the next event when the last one is known to have arrived, and the gateway before it.
async fn start(gates: &[Gate]) -> (Origin, Gateway) {
    let gates = gates.to_vec();
    let origin = Origin::start(move |_| {
        let first = Reply::chunks(["data: 0\n\n"]).field("Content-Type", "text/event-stream");
        gates.iter().enumerate().fold(first, |reply, (at, gate)| reply.then(gate, format!("data: {}\n\n", at + 1)))
    })
    .await;
    let grants = ["log", "metrics", "clock", "crypto", "kv"];
    let jwt = json!({ "keys": [{ "secret": SECRET, "algorithms": ["HS256"] }] });
    let of = |names: &[&str]| grants.iter().filter(|name| names.contains(name)).copied().collect::<Vec<_>>();
    let gateway = Setup::to(&origin)
        .plugin("response-timing", json!({ "config": {}, "grants": of(&["log", "metrics", "clock"]) }))
        .plugin("jwt-auth", json!({ "config": jwt, "grants": of(&["log", "metrics", "clock", "crypto"]) }))
        .plugin("smart-cache", json!({ "config": { "ttl": "60s" }, "grants": of(&["log", "metrics", "clock", "kv"]) }))
        .plugin("security-headers", json!({ "config": {}, "grants": of(&["log", "crypto"]) }))
        .patch(&json!({ "compression": { "bytes_min": 0, "types": ["text/*"] } }))
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    (origin, gateway)
}

fn token() -> String {
    Signer::hmac("HS256", SECRET).token(&json!({ "sub": "ann", "exp": now() + 600 }))
}

#[tokio::test]
async fn events_arrive_one_by_one_over_http1() {
    let gates: Vec<Gate> = (1..EVENTS).map(|_| Gate::new()).collect();
    let (_origin, gateway) = start(&gates).await;
    let mut client = gateway.connect().await;
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n",
        token()
    );
    client.write(head).await;
    let (status, fields) = client.reader().response_head().await.unwrap();
    assert!(status.contains("200"), "{status}");
    assert_eq!(fields.value("content-encoding"), None);
    assert!(fields.has("x-content-type-options"), "security-headers is not active");
    for event in 0..EVENTS {
        let chunk = in_time("an event", client.reader().chunk()).await.unwrap();
        assert_eq!(String::from_utf8(chunk).unwrap(), format!("data: {event}\n\n"));
        gates.get(event).into_iter().for_each(Gate::open);
    }
    assert_eq!(client.reader().chunk().await.unwrap(), b"");
}

#[tokio::test]
async fn events_arrive_one_by_one_over_http2() {
    let gates: Vec<Gate> = (1..EVENTS).map(|_| Gate::new()).collect();
    let (_origin, gateway) = start(&gates).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://a/events")
        .header("authorization", format!("Bearer {}", token()))
        .header("accept-encoding", "gzip, br, zstd")
        .body(())
        .unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let response = in_time("a response", response).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("content-encoding")), (200, None));
    let mut body = response.into_body();
    for event in 0..EVENTS {
        let data = in_time("an event", body.data()).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&data), format!("data: {event}\n\n"));
        gates.get(event).into_iter().for_each(Gate::open);
    }
    // The end may come in a frame of its own.
    assert!(in_time("the end", body.data()).await.is_none_or(|last| last.unwrap().is_empty()));
}
