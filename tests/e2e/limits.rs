//! Protection as clients meet it: rate limits that are exact over workers, address lists, bans, adaptive concurrency, limits of heads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_tests::token::{Signer, now};
use portcullis_tests::{Client, Gateway, Origin, Request, Response, Setup, Value, json};

const SECRET: &str = "a secret for tests, long enough for HS512: 0123456789012345678901234567890";

/// A gateway with two workers and the rate limit plugin.
fn limited(origin: &Origin, config: Value) -> Setup {
    let entry = json!({ "config": config, "grants": ["limits", "metrics", "log"] });
    Setup::to(origin).plugin("rate-limit", entry).patch(&json!({ "workers": 2 }))
}

/// Sends this request without pause on so many connections, for so long after the first response, and gives when a response with status 200 came.
async fn flood(gateway: &Gateway, connections: usize, request: &Request, time: Duration) -> Vec<Duration> {
    let (began, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let one = |_| {
        let (address, request, stop) = (gateway.address(), request.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut client = Client::connect(address).await.unwrap();
            let mut passed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let response = client.send(&request).await;
                match response.status {
                    200 => passed.push(began.elapsed()),
                    429 => assert!(response.value("retry-after").is_some()),
                    other => panic!("{other} {}", response.text()),
                }
                if began.elapsed() > time {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            passed
        })
    };
    let tasks: Vec<_> = (0..connections).map(one).collect();
    let mut passed = Vec::new();
    for task in tasks {
        passed.extend(task.await.unwrap());
    }
    passed.sort();
    passed
}

fn statuses(responses: &[Response]) -> Vec<u16> {
    responses.iter().map(|response| response.status).collect()
}

/// So many of these requests one after the other, each on a connection of its own, so that they meet all workers.
async fn ask(gateway: &Gateway, request: &Request, count: usize) -> Vec<u16> {
    let mut responses = Vec::new();
    for _ in 0..count {
        responses.push(gateway.send(request.clone()).await);
    }
    statuses(&responses)
}

#[tokio::test]
async fn a_sliding_window_is_exact_under_load_over_two_workers() {
    let origin = Origin::saying("hello").await;
    let config = json!({ "limits": [{ "name": "all", "requests": 400, "window": "2s" }] });
    let gateway = limited(&origin, config).start().await;
    let passed = flood(&gateway, 8, &Request::get("/"), Duration::from_millis(5_000)).await;
    // In the first two and a half windows each 400 pass, the last of them when the first of the window before have left.
    let allowed = passed.len() as f64;
    assert!((1_188.0..=1_212.0).contains(&allowed), "{allowed} instead of 1200");
    for (index, from) in passed.iter().enumerate() {
        // By the client's clock, which sees responses later than the gateway decided, by more or less.
        let within = passed[index..].iter().take_while(|at| **at < *from + Duration::from_millis(1_900)).count();
        assert!(within <= 404, "{within} within a window");
    }
}

#[tokio::test]
async fn a_token_bucket_gives_its_burst_and_its_rate_under_load() {
    let origin = Origin::saying("hello").await;
    let limit = json!({ "name": "all", "algorithm": "token_bucket", "requests": 200, "window": "1s", "burst": 50 });
    let gateway = limited(&origin, json!({ "limits": [limit] })).start().await;
    let passed = flood(&gateway, 8, &Request::get("/"), Duration::from_millis(4_000)).await;
    let time = (*passed.last().unwrap() - *passed.first().unwrap()).as_secs_f64();
    let (allowed, expected) = (passed.len() as f64, 50.0 + 200.0 * time);
    assert!((allowed / expected - 1.0).abs() <= 0.015, "{allowed} instead of {expected} in {time} s");
}

#[tokio::test]
async fn what_is_left_is_told_and_refusals_say_when_to_come_back() {
    let origin = Origin::saying("hello").await;
    let config = json!({
        "limits": [
            { "name": "per-client", "requests": 3, "window": "1m" },
            { "name": "burst", "algorithm": "token_bucket", "requests": 60, "window": "1m", "burst": 100 },
        ],
        "headers": ["draft", "legacy", "x"],
    });
    let gateway = limited(&origin, config).start().await;
    let first = gateway.get("/").await;
    assert_eq!(first.value("ratelimit-policy"), Some(r#""per-client";q=3;w=60, "burst";q=100;w=100"#));
    assert_eq!(first.value("ratelimit"), Some(r#""per-client";r=2;t=60, "burst";r=99;t=1"#));
    let told = ["ratelimit-limit", "ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-remaining"];
    assert_eq!(told.map(|name| first.value(name)), [Some("3"), Some("2"), Some("3"), Some("2")]);
    assert_eq!(ask(&gateway, &Request::get("/"), 3).await, [200, 200, 429]);
    let refused = gateway.get("/").await;
    let after: u64 = refused.value("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&after), "{after}");
    assert_eq!(refused.json()["reason"], "rate_limited");
    assert_eq!(refused.json()["limit"], "per-client");
    let left = refused.value("ratelimit").unwrap();
    assert!(left.starts_with(r#""per-client";r=0;t="#), "{left}");
    // Nothing was taken from the other limit by what this one refused: three passed, and time has filled it up since.
    let burst = left.split(", ").nth(1).unwrap();
    assert!(burst.starts_with(r#""burst";r=9"#) && !burst.starts_with(r#""burst";r=95"#), "{left}");
    let limited = r#"portcullis_plugin_rate_limit_limited_total{limit="per-client"}"#;
    assert_eq!(gateway.metric(limited).await, Some(2.0));
}

#[tokio::test]
async fn keys_are_headers_routes_methods_and_several_of_them() {
    let origin = Origin::saying("hello").await;
    let limit = |name: &str, requests: u32, rest: Value| {
        let mut limit = json!({ "name": name, "requests": requests, "window": "1m" });
        portcullis_tests::setup::merge(&mut limit, &rest);
        limit
    };
    let config = json!({ "limits": [
        limit("key", 2, json!({ "key": ["header:x-api-key", "route"], "missing": "skip" })),
        limit("posts", 1, json!({ "key": ["address"], "when": { "methods": ["POST"], "paths": ["/b/*"] } })),
        limit("noted", 1, json!({ "key": ["cookie:session"], "missing": "skip", "on_exceed": "log" })),
    ] });
    let proxy = json!({ "upstream": "origin" });
    let gateway = limited(&origin, config)
        .route(json!({ "name": "a", "match": { "path": "/a/*" }, "proxy": proxy }))
        .route(json!({ "name": "b", "match": { "path": "/b/*" }, "proxy": proxy }))
        .start()
        .await;
    let key = |path: &str, key: &str| Request::get(path).field("X-Api-Key", key);
    assert_eq!(ask(&gateway, &key("/a/1", "one"), 3).await, [200, 200, 429]);
    assert_eq!(ask(&gateway, &key("/a/2", "two"), 3).await, [200, 200, 429]);
    assert_eq!(ask(&gateway, &key("/b/1", "one"), 3).await, [200, 200, 429], "another route");
    assert_eq!(ask(&gateway, &Request::get("/a/1"), 5).await, [200; 5], "without the header there is no limit");
    assert_eq!(ask(&gateway, &Request::post("/b/1", "x"), 2).await, [200, 429]);
    assert_eq!(ask(&gateway, &Request::post("//b/%31", "x"), 1).await, [429], "written another way");
    assert_eq!(ask(&gateway, &Request::post("/a/1", "x"), 2).await, [200, 200]);
    let session = Request::get("/a/1").field("Cookie", "x=1; session=abc");
    assert_eq!(ask(&gateway, &session, 3).await, [200; 3], "only noted");
    gateway.logs().wait_for_words(0, &["a request exceeds a limit", "noted"]).await;
    let noted = r#"portcullis_plugin_rate_limit_exceeded_total{limit="noted"}"#;
    assert_eq!(gateway.metric(noted).await, Some(2.0));
}

#[tokio::test]
async fn a_limit_counts_by_the_subject_of_a_token() {
    let origin = Origin::saying("hello").await;
    let jwt = json!({ "keys": [{ "secret": SECRET, "algorithms": ["HS256"] }] });
    let limit = json!({ "name": "user", "requests": 2, "window": "1m", "key": ["attribute:auth.subject"] });
    let gateway = Setup::to(&origin)
        .plugin("jwt-auth", json!({ "config": jwt, "grants": ["log", "metrics", "clock", "crypto"] }))
        .plugin("rate-limit", json!({ "config": { "limits": [limit] }, "grants": ["limits", "metrics", "log"] }))
        .patch(&json!({ "workers": 2 }))
        .start()
        .await;
    let of = |subject: &str| {
        let claims = json!({ "sub": subject, "iat": now(), "exp": now() + 600 });
        Request::get("/").bearer(&Signer::hmac("HS256", SECRET).token(&claims))
    };
    assert_eq!(ask(&gateway, &of("ann"), 3).await, [200, 200, 429]);
    assert_eq!(ask(&gateway, &of("bob"), 3).await, [200, 200, 429]);
    assert_eq!(ask(&gateway, &Request::get("/"), 1).await, [401], "who is not let in has used nothing");
}

#[tokio::test]
async fn what_was_used_outlives_a_changed_limit() {
    let origin = Origin::saying("hello").await;
    let config = |requests: u32| json!({ "limits": [{ "name": "all", "requests": requests, "window": "1m" }] });
    let gateway = limited(&origin, config(3)).start().await;
    assert_eq!(ask(&gateway, &Request::get("/"), 4).await, [200, 200, 200, 429]);
    let mark = gateway.logs().mark();
    let mut changed = gateway.config();
    changed["plugins"]["chain"][0]["config"] = config(5);
    gateway.write_config(changed.to_string());
    gateway.logs().wait_for_words(mark, &["generation takes over"]).await;
    portcullis_tests::eventually("the raised limit", || async { (gateway.get("/").await.status == 200).then_some(()) })
        .await;
    assert_eq!(ask(&gateway, &Request::get("/"), 2).await, [200, 429], "three of five had been used");
}
