//! HTTP/1.1 through the gateway: framing, streaming, hop-by-hop fields, forwarding, and each way in which an upstream fails.

use std::time::Duration;

use portcullis_tests::wire::Framing;
use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Setup, Value, json};

async fn through(script: impl Fn(&portcullis_tests::wire::Seen) -> Reply + Send + Sync + 'static) -> (Origin, Gateway) {
    let origin = Origin::start(script).await;
    let gateway = Setup::to(&origin).start().await;
    (origin, gateway)
}

#[tokio::test]
async fn bodies_pass_both_ways_in_either_framing() {
    let (origin, gateway) = through(|seen| match seen.target.as_str() {
        "/chunked" => Reply::chunks([seen.body.clone(), b"!".to_vec()]),
        "/close" => Reply::ok([&seen.body[..], b"!"].concat()).then_close(),
        _ => Reply::ok([&seen.body[..], b"!"].concat()),
    })
    .await;
    let mut client = gateway.connect().await;
    let large = vec![b'x'; 3_000_000];
    for (target, framing) in
        [("/length", Framing::Length), ("/chunked", Framing::Chunked), ("/close", Framing::Chunked)]
    {
        for body in [&b"hello"[..], &large] {
            let response = client.send(&Request::post(target, body)).await;
            assert_eq!((response.status, response.framing), (200, framing), "{target}");
            assert!(response.body.strip_suffix(b"!") == Some(body), "{target}: {} bytes", response.body.len());
            assert_eq!(origin.last().framing, Framing::Length);
        }
    }
    client
        .write(
            "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.response_to("POST").await.unwrap().text(), "one two!");
    assert_eq!(origin.last().framing, Framing::Chunked);
}

#[tokio::test]
async fn who_names_no_host_is_spoken_for() {
    let (origin, gateway) = through(|_| Reply::ok("hi")).await;
    let mut client = gateway.connect().await;
    client.write("GET /old HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response_to("GET").await.unwrap().status, 200);
    assert_eq!(origin.last().value("host"), Some(origin.address().to_string().as_str()));
}

#[tokio::test]
async fn a_response_is_streamed_piece_by_piece() {
    let gate = Gate::new();
    let held = gate.clone();
    let (_origin, gateway) = through(move |_| Reply::chunks(["first"]).then(&held, "second")).await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.reader().response_head().await.unwrap();
    assert_eq!(client.reader().chunk().await.unwrap(), b"first");
    gate.open();
    assert_eq!(client.reader().chunk().await.unwrap(), b"second");
    assert_eq!(client.reader().chunk().await.unwrap(), b"");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (origin, gateway) = through(|_| Reply::chunks(["body"]).field("Trailer", "X-Sum").trailer("X-Sum", "42")).await;
    let mut client = gateway.connect().await;
    client
        .write("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.write("4\r\nbody\r\n0\r\nX-Check: 7\r\n\r\n").await;
    let response = client.response_to("POST").await.unwrap();
    assert_eq!((response.text(), response.trailers.value("x-sum")), ("body", Some("42")));
    assert_eq!(origin.last().trailers.value("x-check"), Some("7"));
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_body() {
    let (origin, gateway) = through(|_| Reply::ok("hello").field("X-A", "1")).await;
    let mut client = gateway.connect().await;
    let response = client.send(&Request::new("HEAD", "/")).await;
    assert_eq!((response.value("content-length"), response.value("x-a")), (Some("5"), Some("1")));
    assert_eq!(origin.last().method, "HEAD");
    // The connection is where it should be.
    assert_eq!(client.send(&Request::get("/")).await.text(), "hello");
}

#[tokio::test]
async fn responses_without_body_have_no_framing() {
    let (_origin, gateway) = through(|seen| Reply::new(seen.target[1..].parse().unwrap(), "")).await;
    let mut client = gateway.connect().await;
    for status in [204, 304] {
        let response = client.send(&Request::get(&format!("/{status}"))).await;
        assert_eq!((response.status, response.framing), (status, Framing::None));
        assert_eq!(response.value("transfer-encoding"), None);
    }
    assert_eq!(client.send(&Request::get("/200")).await.value("content-length"), Some("0"));
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_before_its_body() {
    let (origin, gateway) = through(|seen| Reply::ok(seen.body.clone())).await;
    let mut client = gateway.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.interim().await.unwrap().status, 100);
    client.write("hello").await;
    assert_eq!(client.response_to("POST").await.unwrap().text(), "hello");
    assert_eq!(origin.last().body, b"hello");
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let (origin, gateway) = through(|_| {
        let reply = Reply::ok("hello").field("Connection", "X-Hop, keep-alive").field("X-Hop", "1");
        reply.field("Keep-Alive", "timeout=5").field("X-End", "1")
    })
    .await;
    let request = Request::get("/")
        .field("Connection", "X-Private, keep-alive")
        .field("X-Private", "secret")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("TE", "trailers, deflate")
        .field("Upgrade", "h2c")
        .field("X-End", "1");
    let response = gateway.send(request).await;
    let seen = origin.last();
    for name in ["x-private", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!seen.fields.has(name), "{name} reached the origin");
    }
    assert!(!seen.fields.values("te").join(",").contains("deflate"), "{:?}", seen.fields);
    for name in ["x-hop", "keep-alive"] {
        assert!(!response.fields.has(name), "{name} reached the client");
    }
    assert_eq!((seen.value("x-end"), response.value("x-end")), (Some("1"), Some("1")));
}

#[tokio::test]
async fn upstreams_are_told_who_the_client_is_and_nobody_else_can() {
    let (origin, gateway) = through(|_| Reply::ok("")).await;
    let spoofed = Request::get("/")
        .host("shop.test:8080")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("X-Forwarded-Proto", "https")
        .field("Forwarded", "for=6.6.6.6")
        .field("X-Request-Id", "spoofed");
    gateway.send(spoofed).await;
    let seen = origin.last();
    assert_eq!(seen.value("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.value("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.value("x-forwarded-host"), Some("shop.test:8080"));
    assert_eq!((seen.value("forwarded"), seen.value("host")), (None, Some("shop.test:8080")));
    let id = seen.value("x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");

    let trusting = Setup::to(&origin).patch(&json!({ "forwarding": { "fields": "both", "incoming": "append" } }));
    let gateway = trusting.start().await;
    gateway.send(Request::get("/").field("X-Forwarded-For", "10.0.0.1").field("X-Request-Id", "abc-123")).await;
    let seen = origin.last();
    assert_eq!(seen.fields.values("x-forwarded-for").join(", "), "10.0.0.1, 127.0.0.1");
    assert!(seen.fields.values("forwarded").join(", ").contains("for=127.0.0.1"), "{:?}", seen.fields);
    assert_eq!(seen.value("x-request-id"), Some("abc-123"));
}

#[tokio::test]
async fn a_proxy_of_ours_says_who_the_client_is_and_nobody_else_does() {
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("access.log");
    let origin = Origin::start(|_| Reply::ok("")).await;
    let trusting = |trusted: &str| {
        Setup::to(&origin).patch(&json!({
            "forwarding": { "trusted": [trusted, "10.0.0.0/8"] },
            "addresses": { "deny": ["203.0.113.7"], "refuse": "close" },
            "access_log": { "to": { "file": file }, "fields": ["client.address", "status"] },
        }))
    };
    let gateway = trusting("127.0.0.1").start().await;
    let ask = async |gateway: &Gateway, told: &str| {
        gateway.send(Request::get("/").field("X-Forwarded-For", told).field("X-Request-Id", "abc-123")).await.status
    };
    assert_eq!(ask(&gateway, "6.6.6.6, 198.51.100.1, 10.1.1.1").await, 200);
    let seen = origin.last();
    assert_eq!(seen.value("x-forwarded-for"), Some("6.6.6.6, 198.51.100.1, 10.1.1.1, 127.0.0.1"));
    assert_eq!(seen.value("x-request-id"), Some("abc-123"));
    // Who may not come is refused, but the connection is the proxy's.
    assert_eq!(ask(&gateway, "203.0.113.7").await, 403);
    assert_eq!(ask(&gateway, "203.0.113.7, 198.51.100.2").await, 200);
    gateway.stop().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let addresses = ["198.51.100.1", "203.0.113.7", "198.51.100.2"];
    assert!(text.lines().zip(addresses).all(|(line, address)| line.contains(address)), "{text}");

    let gateway = trusting("192.0.2.1").start().await;
    assert_eq!(ask(&gateway, "203.0.113.7").await, 200);
    let seen = origin.last();
    assert_eq!(seen.value("x-forwarded-for"), Some("127.0.0.1"));
    assert_ne!(seen.value("x-request-id"), Some("abc-123"));
}

#[tokio::test]
async fn connections_to_the_upstream_are_kept_and_a_stale_one_costs_nothing() {
    let (origin, gateway) = through(|_| Reply::ok("hello")).await;
    let mut client = gateway.connect().await;
    for _ in 0..10 {
        assert_eq!(client.send(&Request::get("/")).await.status, 200);
    }
    assert_eq!(origin.connections(), 1);

    // It says keep-alive and closes all the same.
    let (origin, gateway) = through(|_| Reply::ok("hello").field("Content-Length", "5").then_close()).await;
    let mut client = gateway.connect().await;
    for _ in 0..10 {
        assert_eq!(client.send(&Request::get("/")).await.text(), "hello");
    }
    assert_eq!(origin.seen().len(), 10);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_origin, gateway) = through(|seen| Reply::ok(seen.target.clone())).await;
    let mut client = gateway.connect().await;
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write([request("/1"), request("/2"), request("/3")].concat()).await;
    for expected in ["/1", "/2", "/3"] {
        assert_eq!(client.response_to("GET").await.unwrap().text(), expected);
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_never_passed_on() {
    let (origin, gateway) = through(|_| Reply::ok("hello")).await;
    let check = async |request: &str, expected: &[u16]| {
        let mut client = gateway.connect().await;
        client.write(request).await;
        let status = client.response_to("GET").await.map(|response| response.status);
        assert!(status.as_ref().is_ok_and(|status| expected.contains(status)), "{request:?}: {status:?}");
    };
    check("GET / HTTP/1.1\r\n\r\n", &[400]).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]).await;
    check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]).await;
    check("NONSENSE\r\n\r\n", &[400]).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", &[400]).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &[400]).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", &[400]).await;
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(200_000)), &[431]).await;
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300)), &[431]).await;
    assert_eq!(origin.seen().len(), 0);
}

/// Both framings at once are how requests are smuggled (RFC 9112 section 6.3).
#[tokio::test]
async fn a_request_with_both_framings_cannot_smuggle_another() {
    let (origin, gateway) = through(|_| Reply::ok("hello")).await;
    let mut client = gateway.connect().await;
    client
        .write("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    client.write("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _ = client.response_to("POST").await;
    let _ = gateway.get("/after").await;
    let seen = origin.seen();
    let smuggled: Vec<_> =
        seen.iter().filter(|seen| seen.fields.has("content-length") && seen.target == "/a").collect();
    assert!(smuggled.is_empty(), "both framings reached the origin");
    assert!(seen.iter().all(|seen| seen.target != "/a" || seen.body.is_empty()));
}

#[tokio::test]
async fn no_route_is_404_and_the_wrong_method_405_with_allow() {
    let gateway = Setup::new()
        .route(json!({ "name": "a", "match": { "path": "/a", "methods": ["GET", "PUT"] }, "respond": { "body": "a" } }))
        .start()
        .await;
    assert_eq!(gateway.get("/nowhere").await.status, 404);
    let response = gateway.send(Request::new("DELETE", "/a")).await;
    assert_eq!(response.status, 405);
    let allow = response.value("allow").unwrap();
    for method in ["GET", "HEAD", "PUT"] {
        assert!(allow.split(", ").any(|allowed| allowed == method), "{allow}");
    }
    assert_eq!(gateway.send(Request::new("HEAD", "/a")).await.status, 200);
}

#[tokio::test]
async fn hosts_parameters_and_prefixes_choose_the_route() {
    let route = |name: &str, matches: Value| json!({ "name": name, "match": matches, "respond": { "body": name } });
    let gateway = Setup::new()
        .route(route("exact", json!({ "path": "/users/me" })))
        .route(route("parameter", json!({ "path": "/users/{id}" })))
        .route(route("prefix", json!({ "path": "/users/*" })))
        .route(route("host", json!({ "host": "shop.test", "path": "/users/*" })))
        .route(route("wildcard", json!({ "host": "*.shop.test" })))
        .start()
        .await;
    let check = async |host: &str, target: &str, expected: &str| {
        let response = gateway.send(Request::get(target).host(host)).await;
        assert_eq!(response.text(), expected, "{host} {target}");
    };
    check("a.test", "/users/me", "exact").await;
    check("a.test", "/users/7?x=/users/me", "parameter").await;
    check("a.test", "/users/7/orders", "prefix").await;
    check("a.test", "/users", "prefix").await;
    check("SHOP.test:8080", "/users/me", "host").await;
    check("eu.shop.test", "/users/me", "wildcard").await;
    assert_eq!(gateway.get("/userss").await.status, 404);
}

#[tokio::test]
async fn the_gateway_answers_and_redirects_itself() {
    let gateway = Setup::new()
        .route(json!({ "name": "json", "match": { "path": "/json" }, "respond": { "status": 201, "headers": { "x-a": ["1", "2"] }, "json": { "a": 1 } } }))
        .route(json!({ "name": "old", "match": { "path": "/old/{id}" }, "redirect": { "status": 308, "location": "https://{host}/new/{id}{query}" } }))
        .start()
        .await;
    let response = gateway.get("/json").await;
    assert_eq!((response.status, response.json(), response.values("x-a").len()), (201, json!({ "a": 1 }), 2));
    assert!(response.value("content-type").unwrap().starts_with("application/json"));
    let response = gateway.send(Request::get("/old/7?a=b").host("shop.test:80")).await;
    assert_eq!((response.status, response.value("location")), (308, Some("https://shop.test/new/7?a=b")));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let origin = Origin::start(|seen| Reply::ok(seen.body.clone())).await;
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "small", "body_bytes_max": 10, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    assert_eq!(gateway.send(Request::post("/", "0123456789")).await.status, 200);
    assert_eq!(gateway.send(Request::post("/", "0123456789x")).await.status, 413);
    let mut client = gateway.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789x\r\n0\r\n\r\n").await;
    assert_eq!(client.response_to("POST").await.unwrap().status, 413);
}

/// The status, and the reason as the error body tells it.
async fn failing(origin: &Origin, upstream: Value) -> (u16, String) {
    let gateway = Setup::to(origin).patch(&json!({ "upstreams": { "origin": upstream } })).start().await;
    let response = gateway.get("/").await;
    (response.status, response.json()["reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn every_way_in_which_an_upstream_fails_is_told_apart() {
    let quick = json!({ "response_timeout_ms": 200, "connect_timeout_ms": 200 });
    let check = |failure: (u16, String), status, reason: &str| assert_eq!(failure, (status, reason.to_owned()));

    let gone = Origin::saying("hello").await;
    gone.stop();
    check(failing(&gone, json!({})).await, 502, "upstream_connect");
    let closing = Origin::start(|_| Reply::hang_up()).await;
    check(failing(&closing, json!({})).await, 502, "upstream_protocol");
    let babbling = Origin::start(|_| Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
    check(failing(&babbling, json!({})).await, 502, "upstream_protocol");
    let silent = Origin::start(|_| Reply::silence()).await;
    check(failing(&silent, quick).await, 504, "upstream_timeout");
}

#[tokio::test]
async fn more_requests_than_connections_are_503_at_once() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("hello").behind(&held)).await;
    let limit = json!({ "upstreams": { "origin": { "connections_max": 1 } } });
    let gateway = Setup::to(&origin).patch(&limit).start().await;
    let mut first = gateway.connect().await;
    first.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    let response = gateway.get("/").await;
    assert_eq!(response.status, 503);
    assert!(response.fields.has("retry-after"));
    gate.open();
    assert_eq!(first.response_to("GET").await.unwrap().status, 200);
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_whole() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly \r\n";
    for bytes in [short, cut] {
        let (_origin, gateway) = through(move |_| Reply::raw(bytes)).await;
        assert!(gateway.connect().await.try_send(&Request::get("/")).await.is_err(), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::chunks(["first"]).then(&held, "never")).await;
    let setup = Setup::to(&origin).patch(&json!({ "upstreams": { "origin": { "idle_timeout_ms": 200 } } }));
    let gateway = setup.start().await;
    assert!(gateway.connect().await.try_send(&Request::get("/")).await.is_err());
}

#[tokio::test]
async fn endpoints_are_asked_in_turn() {
    let (one, two) = (Origin::saying("one").await, Origin::saying("two").await);
    let endpoints = json!([one.address().to_string(), two.address().to_string()]);
    let gateway =
        Setup::to(&one).patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } } })).start().await;
    for _ in 0..6 {
        gateway.get("/").await;
    }
    assert_eq!((one.seen().len(), two.seen().len()), (3, 3));
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_hold_the_upstream() {
    let (origin, gateway) = through(|_| Reply::ok("late").after(Duration::from_secs(60))).await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    drop(client);
    // The worker is free: another request passes, and the drain has nothing to wait for.
    gateway.stop().await;
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_its_route() {
    let origin = Origin::saying("fine").await;
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "private", "match": { "path": "/private/*" }, "respond": { "status": 403 } }))
        .route(json!({ "name": "rest", "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    let status = async |target: &str| {
        let mut client = gateway.connect().await;
        client.write(&format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        client.response_to("GET").await.unwrap().status
    };
    assert_eq!(status("/plain").await, 200);
    for target in ["/private/x", "//private/x", "/private//x", "http://a//private/x"] {
        assert_eq!(status(target).await, 403, "{target}");
    }
    for target in ["/plain/../private/x", "/plain/%2e%2E/private/x", "/./private", "/plain/.%2e/private"] {
        assert_eq!(status(target).await, 400, "{target}");
    }
}

#[tokio::test]
async fn what_is_framed_in_two_ways_is_read_in_one() {
    let (_origin, gateway) = through(|seen| match seen.target.as_str() {
        // RFC 9112 section 6.3: Transfer-Encoding counts.
        "/both" => Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        "/coded" => Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        _ => Reply::ok("fine"),
    })
    .await;
    assert_eq!(gateway.get("/both").await.text(), "hello");
    assert_eq!(gateway.get("/coded").await.status, 502);
    let mut client = gateway.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").await;
    assert_eq!(client.response_to("POST").await.unwrap().status, 400);
}
