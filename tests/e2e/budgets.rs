//! What a plugin may spend: every way of overspending costs the call that did it and nothing else.

use std::time::{Duration, Instant};

use portcullis_tests::{Gateway, Load, Origin, Reply, Request, Response, Setup, Value, json};

/// Guests that do not come back from a hook, and what makes them stop.
const HOSTILE: [&str; 5] = ["trap-in", "error-in", "spin", "eat-memory", "recurse"];

/// A guest that misbehaves in `hook`, on requests with `X-Misbehave` only.
async fn misbehaving(guest: &str, hook: &str, entry: Value) -> (Origin, Gateway) {
    let origin = Origin::start(|seen| match seen.value("x-fail") {
        Some(_) => Reply::hang_up(),
        None => Reply::ok("fine").field("Cache-Control", "max-age=60"),
    })
    .await;
    let mut whole =
        json!({ "config": { "hook": hook, "only_with": "x-misbehave" }, "limits": { "quarantine_failures": 1000 } });
    portcullis_tests::setup::merge(&mut whole, &entry);
    let gateway = Setup::to(&origin)
        .guest_as(guest, guest, whole)
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    (origin, gateway)
}

fn misbehave(target: &str) -> Request {
    Request::get(target).field("X-Misbehave", "1")
}

fn is_fine(response: &Response) -> Result<(), String> {
    match (response.status, response.text()) {
        (200, "fine") => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    }
}

/// Every guest in one hook: the call fails as the contract says, the requests before and after do not.
async fn check_hook(hook: &str, expected: u16) {
    for guest in HOSTILE {
        let (_origin, gateway) = misbehaving(guest, hook, json!({})).await;
        assert_eq!(is_fine(&gateway.get("/a").await), Ok(()), "{guest} in {hook}, before");
        for turn in 0..3 {
            let response = gateway.send(misbehave(&format!("/{turn}"))).await;
            assert_eq!(response.status, expected, "{guest} in {hook}");
            assert!(!response.text().contains("wasm"), "the client reads {}", response.text());
            assert_eq!(is_fine(&gateway.get("/a").await), Ok(()), "{guest} in {hook}, after");
        }
        gateway.logs().wait_for_words(0, &[guest, hook]).await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn in_pre_route_the_exchange_fails() {
    check_hook("pre-route", 500).await;
}

#[tokio::test]
async fn in_pre_handler_the_exchange_fails() {
    check_hook("pre-handler", 500).await;
}

#[tokio::test]
async fn in_cache_key_the_exchange_fails() {
    check_hook("cache-key", 500).await;
}

#[tokio::test]
async fn in_cache_admit_nothing_is_stored() {
    check_hook("cache-admit", 200).await;
}

#[tokio::test]
async fn in_post_handler_the_exchange_fails() {
    check_hook("post-handler", 500).await;
}

#[tokio::test]
async fn in_post_response_nobody_notices() {
    check_hook("post-response", 200).await;
}

#[tokio::test]
async fn in_on_error_the_gateways_own_error_stays() {
    for guest in HOSTILE {
        let (_origin, gateway) = misbehaving(guest, "on-error", json!({})).await;
        let failing = |request: Request| gateway.send(request.field("X-Fail", "1"));
        assert_eq!(failing(misbehave("/")).await.status, 502, "{guest}");
        assert_eq!(failing(Request::get("/")).await.status, 502, "{guest}");
        assert_eq!(is_fine(&gateway.get("/").await), Ok(()), "{guest}");
    }
}

#[tokio::test]
async fn what_cache_admit_did_not_decide_is_not_stored() {
    let (origin, gateway) = misbehaving("error-in", "cache-admit", json!({})).await;
    assert_eq!(is_fine(&gateway.send(misbehave("/x")).await), Ok(()));
    assert_eq!(is_fine(&gateway.send(misbehave("/x")).await), Ok(()));
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn skip_goes_on_without_the_plugin() {
    for guest in HOSTILE {
        for hook in ["pre-route", "pre-handler", "cache-key", "post-handler"] {
            let (_origin, gateway) = misbehaving(guest, hook, json!({ "on_failure": "skip" })).await;
            assert_eq!(is_fine(&gateway.send(misbehave("/")).await), Ok(()), "{guest} in {hook}");
            assert_eq!(is_fine(&gateway.get("/").await), Ok(()), "{guest} in {hook}");
        }
    }
}

#[tokio::test]
async fn skip_in_cache_key_goes_around_the_cache() {
    let (origin, gateway) = misbehaving("error-in", "cache-key", json!({ "on_failure": "skip" })).await;
    gateway.send(misbehave("/x")).await;
    gateway.send(misbehave("/x")).await;
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn neighbours_are_served_while_a_plugin_burns_itself() {
    for guest in HOSTILE {
        let (_origin, gateway) = misbehaving(guest, "pre-handler", json!({})).await;
        let load = Load::start(&gateway, 4, &Request::get("/a"), is_fine);
        load.more(50).await;
        let mut client = gateway.connect().await;
        for _ in 0..10 {
            assert_eq!(client.send(&misbehave("/b")).await.status, 500, "{guest}");
        }
        load.more(50).await;
        load.stop().await.expect_clean(100);
    }
}

#[tokio::test]
async fn an_endless_loop_ends_by_fuel_or_by_time() {
    let by_fuel = json!({ "limits": { "fuel": 100_000, "timeout_ms": 60_000 } });
    let by_time = json!({ "limits": { "fuel": 1_000_000_000_000_u64, "timeout_ms": 100 } });
    for (entry, at_most) in [(by_fuel, 5_000), (by_time, 10_000)] {
        let (_origin, gateway) = misbehaving("spin", "pre-handler", entry).await;
        let began = Instant::now();
        assert_eq!(gateway.send(misbehave("/")).await.status, 500);
        assert!(began.elapsed() < Duration::from_millis(at_most), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn memory_ends_at_the_cap() {
    let entry = json!({ "limits": { "memory_bytes_max": 8 << 20, "fuel": 10_000_000_000_u64, "timeout_ms": 10_000 } });
    let (_origin, gateway) = misbehaving("eat-memory", "pre-handler", entry).await;
    is_fine(&gateway.get("/").await).unwrap();
    let before = gateway.memory_bytes();
    for _ in 0..20 {
        assert_eq!(gateway.send(misbehave("/")).await.status, 500);
    }
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "the process grew by {grown} bytes");
}

#[tokio::test]
async fn after_repeated_failures_the_plugin_is_left_alone_for_a_while() {
    let entry = json!({ "limits": { "quarantine_failures": 3, "quarantine_ms": 500 } });
    let (_origin, gateway) = misbehaving("trap-in", "pre-handler", entry).await;
    for _ in 0..3 {
        assert_eq!(gateway.send(misbehave("/")).await.status, 500);
    }
    // Quarantined: also requests that it would have let pass are refused, since it may guard something.
    assert_eq!(gateway.get("/").await.status, 503);
    gateway.until("the end of the quarantine", Request::get("/"), |response| response.status == 200).await;
}

#[tokio::test]
async fn a_quarantined_plugin_that_may_be_skipped_is_skipped() {
    let entry = json!({ "on_failure": "skip", "limits": { "quarantine_failures": 2, "quarantine_ms": 60_000 } });
    let (_origin, gateway) = misbehaving("trap-in", "pre-handler", entry).await;
    for _ in 0..5 {
        assert_eq!(is_fine(&gateway.send(misbehave("/")).await), Ok(()));
    }
    assert_eq!(is_fine(&gateway.get("/").await), Ok(()));
}

#[tokio::test]
async fn a_log_flood_is_cut_off() {
    let origin = Origin::saying("fine").await;
    let entry = json!({ "config": { "messages": 1000, "bytes": 1000 }, "limits": { "log_bytes_max": 10_000 } });
    let gateway = Setup::to(&origin).guest_as("log-flood", "log-flood", entry).start().await;
    assert_eq!(is_fine(&gateway.get("/").await), Ok(()));
    let logs = gateway.stop().await;
    let lines = logs.count(&["flood ", "xxxxxxxxxx"]);
    assert!((1..=10).contains(&lines), "{lines} lines of a flood of 1000");
}

/// What the guest `huge-output` reports, and the response it reports on.
async fn huge(what: &str, size: usize, limits: Value) -> Response {
    let origin = Origin::saying("fine").await;
    let entry = json!({ "config": { "what": what, "size": size }, "limits": limits });
    let gateway = Setup::to(&origin).guest_as("huge-output", "huge-output", entry).start().await;
    let response = gateway.get("/").await;
    // Whatever became of it, the gateway is well.
    assert_eq!(gateway.get("/").await.status, response.status);
    gateway.stop().await;
    response
}

#[tokio::test]
async fn huge_output_is_refused_with_a_value_or_ends_the_call() {
    let generous = json!({ "host_bytes_max": 1 << 30, "fuel": 1_000_000_000_u64, "timeout_ms": 5000 });
    for (what, size) in [("attribute", 1 << 20), ("attributes", 1000), ("fields", 40_000)] {
        let response = huge(what, size, generous.clone()).await;
        assert_eq!(response.status, 200, "{what}");
        assert_ne!(response.value("x-huge"), Some("taken"), "{what}");
        assert!(response.value("x-huge").is_some(), "{what}");
    }
    // Over the bytes that one call may hand over, as they are by default.
    assert_eq!(huge("header", 2 << 20, json!({ "fuel": 1_000_000_000_u64 })).await.status, 500);
    let response = huge("body", 100_000, generous.clone()).await;
    assert_eq!((response.status, response.body.len(), response.value("x-huge")), (200, 100_000, Some("taken")));
    // Over the bytes that one call may hand over.
    assert_eq!(huge("body", 100_000, json!({ "host_bytes_max": 50_000 })).await.status, 500);
    assert_eq!(huge("error", 1 << 20, generous).await.status, 500);
}
