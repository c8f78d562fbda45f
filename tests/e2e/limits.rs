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
    assert!((allowed / expected - 1.0).abs() <= 0.01, "{allowed} instead of {expected} in {time} s");
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

/// A listener that is told for whom somebody connects.
fn told_addresses() -> Value {
    json!({ "listeners": [{ "address": "127.0.0.1:0", "proxy_protocol": { "from": ["127.0.0.0/8"] } }], "workers": 2 })
}

/// What a client at this address is answered to these request lines and fields; none where the connection is closed.
async fn from(gateway: &Gateway, address: &str, request: &str) -> Option<Response> {
    let mut client = gateway.connect().await;
    let (family, local) = if address.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
    client.write(format!("PROXY {family} {address} {local} 5000 80\r\n{request}\r\nHost: a\r\n\r\n")).await;
    client.response_to("GET").await.ok()
}

/// Replaces the file with networks in one step.
fn replace(gateway: &Gateway, text: &str) {
    let new = gateway.folder().join("deny.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, gateway.folder().join("plugins/deny.txt")).unwrap();
}

async fn status_from(gateway: &Gateway, address: &str, target: &str) -> u16 {
    from(gateway, address, &format!("GET {target} HTTP/1.1")).await.map_or(0, |response| response.status)
}

#[tokio::test]
async fn networks_are_denied_and_the_list_is_reloaded_while_clients_come() {
    let origin = Origin::saying("hello").await;
    let proxy = json!({ "upstream": "origin" });
    let gateway = Setup::to(&origin)
        .patch(&told_addresses())
        .patch(&json!({ "addresses": { "deny": ["198.51.100.0/24", "2001:db8::/32", { "file": "plugins/deny.txt" }], "allow": ["198.51.100.7"] } }))
        .file("deny.txt", b"# those who do not behave\n203.0.113.0/25 # a network\n\n".to_vec())
        .route(json!({ "name": "all", "proxy": proxy }))
        .route(json!({ "name": "inner", "match": { "path": "/inner/*" }, "proxy": proxy, "addresses": { "allow": ["192.0.2.0/28"] } }))
        .start()
        .await;
    for (address, target, expected) in [
        ("192.0.2.1", "/", 200),
        ("198.51.100.1", "/", 403),
        ("198.51.100.7", "/", 200),
        ("203.0.113.1", "/", 403),
        ("203.0.113.128", "/", 200),
        ("2001:db8::1", "/", 403),
        ("2001:db9::1", "/", 200),
        ("192.0.2.1", "/inner/x", 200),
        ("192.0.2.99", "/inner/x", 403),
    ] {
        assert_eq!(status_from(&gateway, address, target).await, expected, "{address} {target}");
    }
    let refused = from(&gateway, "203.0.113.1", "GET / HTTP/1.1").await.unwrap();
    assert_eq!(refused.json()["reason"], "forbidden");
    let mark = gateway.logs().mark();
    replace(&gateway, "192.0.2.0/24\n");
    gateway.logs().wait_for_words(mark, &["generation takes over"]).await;
    portcullis_tests::eventually("the new list", || async {
        (status_from(&gateway, "192.0.2.1", "/").await == 403).then_some(())
    })
    .await;
    assert_eq!(status_from(&gateway, "203.0.113.1", "/").await, 200);
    // A list with a mistake is refused, and the one that holds goes on holding.
    let mark = gateway.logs().mark();
    replace(&gateway, "192.0.2.0/24\n192.0.2\n");
    gateway.logs().wait_for_words(mark, &["refused", "deny.txt, line 2"]).await;
    assert_eq!(status_from(&gateway, "192.0.2.1", "/").await, 403);
}

#[tokio::test]
async fn who_may_not_come_can_be_left_without_a_word() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin)
        .patch(&told_addresses())
        .patch(&json!({ "addresses": { "allow": ["192.0.2.0/24"], "refuse": "close" } }))
        .start()
        .await;
    assert_eq!(status_from(&gateway, "192.0.2.1", "/").await, 200);
    assert_eq!(status_from(&gateway, "198.51.100.1", "/").await, 0);
    assert_eq!(origin.seen().len(), 1);
    let series =
        format!(r#"portcullis_connections_refused_total{{listener="{}",reason="not_welcome"}}"#, gateway.address());
    assert_eq!(gateway.metric(&series).await, Some(1.0));
}

#[tokio::test]
async fn repeated_offences_are_a_ban_until_somebody_pardons() {
    let origin = Origin::saying("hello").await;
    let bans = json!({ "bans": { "after": 3, "within_seconds": 60, "for_seconds": 600, "statuses": [401], "never": ["192.0.2.8/32"] } });
    let setup = Setup::to(&origin)
        .patch(&told_addresses())
        .patch(&bans)
        .route(json!({ "name": "all", "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "no", "match": { "path": "/no" }, "respond": { "status": 401 } }));
    let gateway = setup.start().await;
    for address in ["192.0.2.7", "192.0.2.8"] {
        for _ in 0..3 {
            assert_eq!(status_from(&gateway, address, "/no").await, 401);
        }
    }
    let banned = from(&gateway, "192.0.2.7", "GET / HTTP/1.1").await.unwrap();
    assert_eq!((banned.status, banned.json()["reason"].as_str()), (403, Some("banned")));
    let after: u64 = banned.value("retry-after").unwrap().parse().unwrap();
    assert!((590..=600).contains(&after), "{after}");
    assert_eq!(status_from(&gateway, "192.0.2.8", "/").await, 200, "never banned");
    assert_eq!(status_from(&gateway, "192.0.2.9", "/").await, 200);
    let list = gateway.admin("/api/v1/bans").await.json();
    assert_eq!(list["bans"][0]["address"], "192.0.2.7");
    assert_eq!(list["bans"][0]["offences"], 3);
    let change = |method: &str, target: &str, body: &str| {
        Request::new(method, target).field("Content-Type", "application/json").body(body)
    };
    let pardoned = gateway.ask_admin(&Request::new("DELETE", "/api/v1/bans/192.0.2.7")).await;
    assert_eq!((pardoned.status, pardoned.json()["bans"].as_array().unwrap().len()), (200, 0), "{}", pardoned.text());
    assert_eq!(gateway.ask_admin(&Request::new("DELETE", "/api/v1/bans/192.0.2.7")).await.status, 404);
    assert_eq!(status_from(&gateway, "192.0.2.7", "/").await, 200);
    let by_hand = json!({ "address": "2001:db8::5", "seconds": 60, "reason": "because" }).to_string();
    let made = gateway.ask_admin(&change("POST", "/api/v1/bans", &by_hand)).await;
    assert_eq!((made.status, made.json()["bans"][0]["reason"].as_str()), (200, Some("because")), "{}", made.text());
    assert_eq!(status_from(&gateway, "2001:db8::99", "/").await, 403, "neighbours are one customer");
    let never = json!({ "address": "192.0.2.8", "seconds": 60 }).to_string();
    assert_eq!(gateway.ask_admin(&change("POST", "/api/v1/bans", &never)).await.status, 409);
    let closing = setup.patch(&json!({ "bans": { "refuse": "close" } })).start().await;
    for _ in 0..3 {
        assert_eq!(status_from(&closing, "192.0.2.7", "/no").await, 401);
    }
    assert_eq!(status_from(&closing, "192.0.2.7", "/").await, 0);
}

/// The hints of this kind about this key or address; none while there is none.
async fn hint(gateway: &Gateway, kind: &str, part: &str, value: &str) -> Option<Value> {
    let told = gateway.admin("/api/v1/advice").await.json();
    let hints = told["advice"].as_array().cloned().unwrap_or_default();
    hints.into_iter().find(|hint| hint["kind"] == kind && hint[part] == value)
}

#[tokio::test]
async fn who_floods_a_limit_is_named_but_not_the_key_and_banning_is_the_end_of_it() {
    let origin = Origin::saying("hello").await;
    let limit = json!({ "name": "per-key", "requests": 2, "window": "10m", "key": ["header:x-api-key"] });
    let gateway = limited(&origin, json!({ "limits": [limit] }))
        .patch(&told_addresses())
        .patch(&json!({ "admin": { "address": "127.0.0.1:0", "socket": "admin.sock" } }))
        .start()
        .await;
    // So many requests with this key, on connections of four each, which meet both workers.
    let ask = async |address: &str, key: &str, count: usize| {
        let mut statuses = Vec::new();
        while statuses.len() < count {
            let mut client = gateway.connect().await;
            client.write(format!("PROXY TCP4 {address} 127.0.0.1 5000 80\r\n")).await;
            for _ in 0..4 {
                statuses.push(client.send(&Request::get("/").field("X-Api-Key", key)).await.status);
            }
        }
        statuses
    };
    for other in 0..15 {
        let statuses = ask(&format!("198.51.100.{other}"), &format!("other-{other}"), 4).await;
        assert_eq!(statuses, [200, 200, 429, 429]);
    }
    assert!(gateway.admin("/api/v1/advice").await.json()["advice"].as_array().unwrap().is_empty(), "each a little");
    assert_eq!(ask("192.0.2.7", "secret-of-ann", 152).await.iter().filter(|status| **status == 429).count(), 150);
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        ask(address, "secret-of-bob", 40).await;
    }
    let told = hint(&gateway, "flooded_limit", "address", "192.0.2.7").await.expect("a hint about the flood");
    let expected = json!({ "kind": "flooded_limit", "severity": "warning", "plugin": "rate-limit", "limit": "per-key", "address": "192.0.2.7" });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{told}");
    }
    let figures = &told["figures"];
    assert_eq!((&figures["refused"], &figures["refused_total"]), (&json!(150.0), &json!(298.0)), "{told}");
    let text =
        portcullis_tests::command::portcullis(gateway.folder(), &["ctl", "--config", "portcullis.json", "advice"]);
    let key = told["key"].as_str().unwrap();
    assert!(key.starts_with('#') && text.stdout.contains(key), "{}", text.text());
    assert!(text.stdout.contains("portcullis ctl ban 192.0.2.7"), "{}", text.text());
    assert!(text.stdout.contains("from several addresses"), "{}", text.text());
    assert!(!text.stdout.contains("secret") && !told.to_string().contains("secret"), "{}", text.text());
    let order = ["ctl", "--config", "portcullis.json", "ban", "192.0.2.7"];
    let banned = portcullis_tests::command::portcullis(gateway.folder(), &order);
    assert_eq!(banned.code, Some(0), "{}", banned.text());
    assert_eq!(hint(&gateway, "flooded_limit", "address", "192.0.2.7").await, None);
    // Who comes all the same is told of, now by address.
    assert!(ask("192.0.2.7", "secret-of-ann", 700).await.iter().all(|status| *status == 403));
    let told = hint(&gateway, "flooding_address", "address", "192.0.2.7").await.expect("a hint about the address");
    assert_eq!((&told["figures"]["refused"], &told["severity"]), (&json!(700.0), &json!("info")), "{told}");
}

#[tokio::test]
async fn who_wants_more_connections_than_it_may_have_is_named() {
    let origin = Origin::saying("hello").await;
    let mut listeners = told_addresses();
    listeners["listeners"][0]["connections_per_address_max"] = json!(1);
    let gateway = Setup::to(&origin).patch(&listeners).start().await;
    let connect = async || {
        let mut client = gateway.connect().await;
        client.write("PROXY TCP4 192.0.2.7 127.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        (client.response_to("GET").await.ok(), client)
    };
    let (first, _held) = connect().await;
    assert_eq!(first.unwrap().status, 200);
    for _ in 0..610 {
        assert!(connect().await.0.is_none());
    }
    let told = hint(&gateway, "flooding_address", "address", "192.0.2.7").await.expect("a hint about the address");
    assert_eq!((&told["figures"]["refused"], &told["severity"]), (&json!(610.0), &json!("warning")), "{told}");
}

#[tokio::test]
async fn a_route_takes_only_heads_of_its_size() {
    let origin = Origin::saying("hello").await;
    let proxy = json!({ "upstream": "origin" });
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "all", "proxy": proxy }))
        .route(json!({ "name": "few", "match": { "path": "/few" }, "proxy": proxy, "headers_max": 3 }))
        .route(json!({ "name": "short", "match": { "path": "/short" }, "proxy": proxy, "header_bytes_max": 100 }))
        .start()
        .await;
    let with = |target: &str, fields: usize, value: usize| {
        (0..fields).fold(Request::get(target), |request, number| {
            request.field(&format!("X-Field-{number}"), "v".repeat(value))
        })
    };
    // Host is one of them.
    for (target, fields, value, expected) in
        [("/few", 2, 1, 200), ("/few", 3, 1, 431), ("/short", 1, 60, 200), ("/short", 1, 80, 431), ("/", 50, 100, 200)]
    {
        let response = gateway.send(with(target, fields, value)).await;
        assert_eq!(response.status, expected, "{target} {fields} {value}: {}", response.text());
    }
    // What is ours does not count, and what the client sent does, whatever becomes of it.
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "few", "proxy": proxy, "headers_max": 3 }))
        .patch(&json!({ "tracing": { "otlp": { "endpoint": "http://127.0.0.1:9" }, "sample": { "ratio": 1 } }, "forwarding": { "fields": "both", "incoming": "append" } }))
        .start()
        .await;
    assert_eq!(gateway.send(with("/", 2, 1)).await.status, 200);
    assert!(origin.seen().last().unwrap().value("traceparent").is_some());
    let told = Request::get("/").field("x-forwarded-for", "192.0.2.1").field("forwarded", "for=192.0.2.1");
    assert_eq!(gateway.send(told.clone()).await.status, 200);
    assert_eq!(gateway.send(told.field("traceparent", "of theirs")).await.status, 431);
}

#[tokio::test]
async fn bodies_that_are_too_long_do_not_shrink_what_others_may_ask() {
    let origin = Origin::start(|_| portcullis_tests::Reply::ok("hello").after(Duration::from_millis(200))).await;
    let limit = json!({ "algorithm": "aimd", "latency_ms": 5000, "initial": 8, "min": 1, "max": 8 });
    let route = json!({ "name": "all", "proxy": { "upstream": "origin" }, "concurrency": limit, "body_bytes_max": 10 });
    let gateway = Setup::to(&origin).route(route).start().await;
    let began = Instant::now();
    let mut seen = 0;
    // For some twenty of the windows after which the limit changes.
    while began.elapsed() < Duration::from_millis(2_500) {
        let mut client = gateway.connect().await;
        client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n".to_owned()).await;
        client.write(format!("{}\r\n0\r\n\r\n", "x".repeat(32))).await;
        assert_eq!(client.response_to("POST").await.unwrap().status, 413);
        seen += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen > 20, "{seen}");
    let at_once = (0..8).map(|_| gateway.get("/"));
    let responses = futures_util::future::join_all(at_once).await;
    assert_eq!(statuses(&responses), [200; 8]);
}

#[tokio::test]
async fn who_guesses_passwords_keeps_nobody_else_out() {
    let origin = Origin::saying("hello").await;
    // As `htpasswd -nbB -C 5 u open` makes it.
    let user = json!({ "name": "u", "password": "$2b$05$T9Cyr3uaIzzSNtLMoEqGreW1Ywakh2bJheVQjS6MtD1ylfU4yKw4a" });
    let gateway = |attempts: Value| {
        let mut config = json!({ "users": [user] });
        attempts.as_object().unwrap().iter().for_each(|(name, value)| config[name] = value.clone());
        let entry = json!({ "config": config, "grants": ["crypto", "limits"] });
        let setup = Setup::to(&origin).plugin("basic-auth", entry).patch(&told_addresses());
        async move { setup.start().await }
    };
    let ask = async |gateway: &Gateway, address: &str, joined: &str| {
        let credentials = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, joined);
        let request = format!("GET / HTTP/1.1\r\nAuthorization: Basic {credentials}");
        from(gateway, address, &request).await.map_or(0, |response| response.status)
    };
    let by_client = gateway(json!({ "attempts_per_second_of_all": 1000 })).await;
    let mut guesses = Vec::new();
    for guess in 0..20 {
        guesses.push(ask(&by_client, "192.0.2.1", &format!("u:{guess}")).await);
    }
    assert!(guesses[..5] == [401; 5] && guesses.contains(&429), "{guesses:?}");
    // Over both workers, and for the right password too; others are not kept out, nor is who knows it slowed down.
    assert_eq!(ask(&by_client, "192.0.2.1", "u:open").await, 429);
    for _ in 0..10 {
        assert_eq!(ask(&by_client, "192.0.2.2", "u:open").await, 200);
    }
    let together = gateway(json!({ "attempts_per_second_of_all": 2 })).await;
    let mut guesses = Vec::new();
    for guess in 0..20 {
        guesses.push(ask(&together, &format!("192.0.2.{guess}"), "u:guess").await);
    }
    assert!(guesses.contains(&401) && guesses.contains(&503) && !guesses.contains(&429), "{guesses:?}");
}

#[tokio::test]
async fn a_slow_origin_is_not_asked_for_more_than_it_answers() {
    let slow = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&slow);
    let origin = Origin::start(move |_| {
        let pause = if told.load(Ordering::Relaxed) { 400 } else { 5 };
        portcullis_tests::Reply::ok("hello").after(Duration::from_millis(pause))
    })
    .await;
    let limit = json!({ "algorithm": "aimd", "latency_ms": 150, "initial": 40, "min": 2, "max": 40 });
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "all", "proxy": { "upstream": "origin" }, "concurrency": limit }))
        .start()
        .await;
    let load = |time: u64| {
        let address = gateway.address();
        let one = move |_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                let (began, mut counts) = (Instant::now(), [0_u32; 2]);
                while began.elapsed() < Duration::from_millis(time) {
                    let response = client.send(&Request::get("/")).await;
                    match response.status {
                        200 => counts[0] += 1,
                        503 => {
                            assert_eq!(response.value("retry-after"), Some("1"));
                            assert!(response.text().contains("concurrency_limited"), "{}", response.text());
                            counts[1] += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        other => panic!("{other}"),
                    }
                }
                counts
            })
        };
        let tasks: Vec<_> = (0..20).map(one).collect();
        async move {
            let mut sum = [0; 2];
            for task in tasks {
                let counts = task.await.unwrap();
                sum = [sum[0] + counts[0], sum[1] + counts[1]];
            }
            sum
        }
    };
    let [answered, refused] = load(1_000).await;
    assert!(answered > 100 && refused == 0, "{answered} {refused}");
    slow.store(true, Ordering::Relaxed);
    load(10_000).await;
    let seen = origin.seen().len();
    let [answered, refused] = load(1_000).await;
    assert!(refused > answered, "{answered} {refused}");
    // Of twenty clients that never wait, at most a few are let through at a time.
    assert!(origin.seen().len() - seen <= 40, "{}", origin.seen().len() - seen);
}
