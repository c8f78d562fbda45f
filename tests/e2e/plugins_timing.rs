//! `response-timing` as users meet it: `Server-Timing`, `X-Response-Time`, metrics, the log of slow requests.

use std::time::Duration;

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, Value, json};

async fn with(config: Value) -> (Origin, Gateway) {
    let origin = Origin::start(|seen| {
        let reply = Reply::ok("hello").field("Cache-Control", "max-age=60").after(Duration::from_millis(20));
        if seen.target == "/own" { reply.field("Server-Timing", "db;dur=5") } else { reply }
    })
    .await;
    let gateway = Setup::to(&origin)
        .plugin("response-timing", json!({ "config": config }))
        .guest("counts-calls", json!({}))
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    (origin, gateway)
}

/// Names and milliseconds of `Server-Timing` (W3C Server Timing section 3).
fn timings(response: &Response) -> Vec<(String, f64)> {
    let text = response.values("server-timing").join(", ");
    let part = |part: &str| {
        let (name, duration) = part.split_once(";dur=").unwrap_or_else(|| panic!("{part} in {text}"));
        (name.to_owned(), duration.parse().unwrap_or_else(|_| panic!("{duration} in {text}")))
    };
    text.split(", ").map(part).collect()
}

fn of(response: &Response, name: &str) -> Option<f64> {
    timings(response).into_iter().find(|(known, _)| known == name).map(|(_, duration)| duration)
}

#[tokio::test]
async fn server_timing_tells_the_parts() {
    let (_origin, gateway) = with(json!({})).await;
    let miss = gateway.get("/").await;
    let (upstream, total) = (of(&miss, "upstream").unwrap(), of(&miss, "total").unwrap());
    assert!(upstream >= 20.0 && total >= upstream && total < 20_000.0, "{:?}", timings(&miss));
    assert!(of(&miss, "routing").is_some() && of(&miss, "counts-calls").is_some(), "{:?}", timings(&miss));
    let hit = gateway.get("/").await;
    assert!(of(&hit, "upstream").is_none() && of(&hit, "cache").is_some(), "{:?}", timings(&hit));
    assert!(of(&hit, "total").unwrap() < 20.0, "{:?}", timings(&hit));
    assert_eq!(hit.value("x-response-time"), None);
}

#[tokio::test]
async fn parts_are_chosen_and_named() {
    let config = json!({ "server_timing": { "others": false, "total": "gw" }, "response_time": true });
    let (_origin, gateway) = with(config).await;
    let response = gateway.get("/").await;
    assert_eq!(timings(&response).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["gw"]);
    assert!(response.value("x-response-time").unwrap().ends_with("ms"));
}

#[tokio::test]
async fn what_the_upstream_measured_stays_in_front() {
    let (_origin, gateway) = with(json!({})).await;
    let response = gateway.get("/own").await;
    assert_eq!((timings(&response)[0].0.as_str(), of(&response, "db")), ("db", Some(5.0)));
    assert!(of(&response, "total").is_some());
}

#[tokio::test]
async fn strangers_are_not_told_where_that_is_wanted() {
    let (_origin, gateway) = with(json!({ "only_with_request_header": "x-timing" })).await;
    assert_eq!(gateway.get("/").await.value("server-timing"), None);
    assert!(gateway.send(Request::get("/").field("X-Timing", "1")).await.fields.has("server-timing"));
}

#[tokio::test]
async fn durations_become_a_histogram_by_route_and_status() {
    let (_origin, gateway) = with(json!({})).await;
    for _ in 0..3 {
        gateway.get("/").await;
    }
    let wanted = ["portcullis_plugin_response_timing_duration_seconds_count{", "route=\"all\"", "status=\"200\""];
    let counted = portcullis_tests::eventually("three requests in the histogram", || async {
        let metrics = gateway.admin("/metrics").await;
        let line = metrics.text().lines().find(|line| wanted.iter().all(|word| line.contains(word)));
        line.is_some_and(|line| line.ends_with(" 3")).then_some(())
    });
    counted.await;
}

#[tokio::test]
async fn slow_requests_are_logged_with_their_parts() {
    let (_origin, gateway) = with(json!({ "slow": { "threshold_ms": 10 } })).await;
    gateway.get("/slow?secret=1").await;
    let line = gateway.logs().wait_for_words(0, &["slow request", "/slow"]).await;
    assert!(line.says(&["upstream_ms", "duration_ms"]) && !line.says(&["secret"]), "{}", line.raw());
    let mark = gateway.logs().mark();
    gateway.get("/slow?secret=1").await;
    let logs = gateway.stop().await;
    assert!(!logs.lines()[mark..].iter().any(|line| line.says(&["slow request"])), "a hit is not slow");
}
