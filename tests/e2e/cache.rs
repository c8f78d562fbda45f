//! The memory cache: what is stored and for how long, and what the two cache hooks change about it.

use std::time::Duration;

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, Value, json};

/// An origin that answers with a fresh number each time, and says what `X-Cache-Control` asks it to say.
async fn counting() -> Origin {
    let count = std::sync::atomic::AtomicU32::new(0);
    Origin::start(move |seen| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let reply = Reply::ok(format!("{number}"));
        let reply = seen.value("x-say").into_iter().fold(reply, |reply, say| reply.field("Cache-Control", say));
        seen.value("x-vary").into_iter().fold(reply, |reply, vary| reply.field("Vary", vary))
    })
    .await
}

fn cached() -> Value {
    json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } })
}

async fn gateway(origin: &Origin) -> Gateway {
    Setup::to(origin).route(cached()).start().await
}

fn is_hit(response: &Response) -> bool {
    response.value("cache-status").is_some_and(|status| status.contains("; hit"))
}

/// Whether the second of two equal requests is answered from the cache.
async fn second_is_hit(gateway: &Gateway, request: &Request) -> bool {
    let first = gateway.send(request.clone()).await;
    assert!(!is_hit(&first), "{first:?}");
    let second = gateway.send(request.clone()).await;
    assert_eq!(is_hit(&second), first.body == second.body, "{second:?}");
    is_hit(&second)
}

#[tokio::test]
async fn what_http_allows_is_stored_and_nothing_else() {
    let origin = counting().await;
    let gateway = gateway(&origin).await;
    let request = |target: &str, say: &str| Request::get(target).field("X-Say", say);
    let check = async |request: Request, expected: bool| {
        assert_eq!(second_is_hit(&gateway, &request).await, expected, "{request:?}");
    };
    check(request("/1", "max-age=60"), true).await;
    check(request("/2", "s-maxage=60, max-age=0"), true).await;
    check(request("/3", "no-store"), false).await;
    check(request("/4", "private, max-age=60"), false).await;
    check(request("/5", "max-age=0"), false).await;
    check(Request::get("/6"), false).await;
    // RFC 9111 section 3.5.
    check(request("/7", "max-age=60").field("Authorization", "Basic eDp5"), false).await;
    check(request("/8", "public, max-age=60").field("Authorization", "Basic eDp5"), true).await;
    check(Request::post("/9", "x").field("X-Say", "max-age=60"), false).await;
    check(request("/10", "max-age=60").field("Cache-Control", "no-store"), false).await;
}

#[tokio::test]
async fn a_stored_response_has_an_age_and_an_end() {
    let origin = counting().await;
    let gateway = gateway(&origin).await;
    let request = Request::get("/").field("X-Say", "max-age=1");
    let first = gateway.send(request.clone()).await;
    let second = gateway.send(request.clone()).await;
    assert!(is_hit(&second) && second.fields.has("age"), "{second:?}");
    gateway.until("the end of freshness", request, |response| response.body != first.body).await;
}

#[tokio::test]
async fn query_host_and_route_are_part_of_the_key() {
    let origin = counting().await;
    let gateway = Setup::to(&origin)
        .route(cached())
        .route(json!({ "name": "other", "match": { "host": "other.test" }, "cache": true, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    let say = |request: Request| request.field("X-Say", "max-age=60");
    let first = gateway.send(say(Request::get("/a?x=1"))).await;
    for other in
        [Request::get("/a?x=2"), Request::get("/a"), Request::get("/A?x=1"), Request::get("/a?x=1").host("other.test")]
    {
        assert_ne!(gateway.send(say(other)).await.body, first.body);
    }
    assert!(is_hit(&gateway.send(say(Request::get("/a?x=1"))).await));
}

#[tokio::test]
async fn vary_keeps_variants_apart() {
    let origin = counting().await;
    let gateway = gateway(&origin).await;
    let request = |language: &str| {
        let request = Request::get("/v").field("X-Say", "max-age=60").field("X-Vary", "Accept-Language");
        request.field("Accept-Language", language)
    };
    let german = gateway.send(request("de")).await;
    let french = gateway.send(request("fr")).await;
    assert_ne!(german.body, french.body);
    // Whether a variant is still stored is the cache's choice; that a wrong one never comes is not.
    assert_eq!(gateway.send(request("fr")).await.body, french.body);
    let star = || Request::get("/star").field("X-Say", "max-age=60").field("X-Vary", "*");
    assert_ne!(gateway.send(star()).await.body, gateway.send(star()).await.body);
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let origin = counting().await;
    let gateway = gateway(&origin).await;
    let request = |method: &str| Request::new(method, "/").field("X-Say", "max-age=60");
    gateway.send(request("GET")).await;
    let response = gateway.send(request("HEAD")).await;
    assert!(is_hit(&response) && response.body.is_empty());
    assert_eq!((response.value("content-length"), origin.seen().len()), (Some("1"), 1));
}

#[tokio::test]
async fn what_is_too_large_passes_through() {
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 2000]).field("Cache-Control", "max-age=60")).await;
    let small = json!({ "cache": { "object_bytes_max": 1000 } });
    let gateway = Setup::to(&origin).route(cached()).patch(&small).start().await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.body.len(), 2000);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_not_stored() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let origin = Origin::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf"),
        _ => Reply::ok("whole").field("Cache-Control", "max-age=60"),
    })
    .await;
    let gateway = gateway(&origin).await;
    assert!(gateway.connect().await.try_send(&Request::get("/")).await.is_err());
    assert_eq!(gateway.get("/").await.text(), "whole");
}

async fn decided(config: Value) -> (Origin, Gateway) {
    let origin = counting().await;
    let gateway = Setup::to(&origin).route(cached()).guest("cache-decider", config).start().await;
    (origin, gateway)
}

#[tokio::test]
async fn the_key_is_what_the_plugins_make_of_it() {
    let store = |key: &str| json!({ "key": key, "admit": "store", "ttl_ms": 60_000 });
    let part = |target: &str, part: &str| Request::get(target).field("X-Part", part);

    let (_origin, gateway) = decided(store("extend")).await;
    let first = gateway.send(part("/a", "x")).await;
    assert!(is_hit(&gateway.send(part("/a", "x")).await));
    assert!(!is_hit(&gateway.send(part("/a", "y")).await));
    assert!(!is_hit(&gateway.send(part("/b", "x")).await));
    assert_eq!(first.value("x-cache-seen"), Some("CacheStatus::Miss"));

    let (_origin, gateway) = decided(store("replace")).await;
    gateway.send(part("/a", "x")).await;
    assert!(is_hit(&gateway.send(part("/b", "x")).await));

    let (origin, gateway) = decided(store("bypass")).await;
    gateway.get("/a").await;
    let response = gateway.get("/a").await;
    assert_eq!((response.value("x-cache-seen"), origin.seen().len()), (Some("CacheStatus::Bypass"), 2));
}

#[tokio::test]
async fn admission_is_what_the_plugins_decide() {
    let (_origin, gateway) = decided(json!({ "key": "next", "admit": "store", "ttl_ms": 60_000 })).await;
    assert!(second_is_hit(&gateway, &Request::get("/says-nothing")).await);
    let (_origin, gateway) = decided(json!({ "key": "next", "admit": "no_store" })).await;
    assert!(!second_is_hit(&gateway, &Request::get("/").field("X-Say", "max-age=60")).await);
    let (_origin, gateway) = decided(json!({ "key": "next", "admit": "next" })).await;
    assert!(second_is_hit(&gateway, &Request::get("/").field("X-Say", "max-age=60")).await);
    let (_origin, gateway) = decided(json!({ "key": "next", "admit": "store", "ttl_ms": 300 })).await;
    let first = gateway.get("/").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_ne!(gateway.get("/").await.body, first.body);
}

#[tokio::test]
async fn a_get_with_a_body_goes_past_the_cache() {
    let origin = counting().await;
    let gateway = gateway(&origin).await;
    let with_body = "GET /fat HTTP/1.1\r\nHost: a\r\nX-Say: max-age=60\r\nContent-Length: 4\r\n\r\nevil";
    let mut client = gateway.connect().await;
    client.write(with_body).await;
    let fat = client.response_to("GET").await.unwrap();
    let plain = gateway.send(Request::get("/fat").field("X-Say", "max-age=60")).await;
    assert!(!is_hit(&plain), "what a body brought about was stored: {plain:?}");
    assert_ne!(fat.body, plain.body);
    // Nor does it get what others left.
    client.write(with_body).await;
    assert!(!is_hit(&client.response_to("GET").await.unwrap()));
}
