//! The cache as HTTP describes it (RFC 9111): validation, stale windows, ranges, invalidation, one fetch for many, targeted fields.

use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Response, Seen, Setup, Value, json};

fn cached(more: Value) -> Value {
    let cache = if more.is_null() { json!(true) } else { more };
    json!({ "name": "all", "cache": cache, "proxy": { "upstream": "origin" } })
}

/// A gateway whose origin answers its n-th request with the n-th reply, and with the last from then on.
async fn scripted(route: Value, replies: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> (Origin, Gateway) {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |seen| replies(count.fetch_add(1, Ordering::SeqCst), seen)).await;
    let gateway = Setup::to(&origin).route(route).start().await;
    (origin, gateway)
}

fn status(response: &Response) -> &str {
    response.value("cache-status").unwrap_or_default()
}

fn is_hit(response: &Response) -> bool {
    status(response).starts_with("portcullis; hit")
}

#[tokio::test]
async fn what_is_stale_is_validated_and_renewed() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, seen| match number {
        0 => Reply::ok("body")
            .field("ETag", "\"a\"")
            .field("Cache-Control", "no-cache")
            .field("X-Old", "1")
            .field("X-New", "1"),
        1 => {
            assert_eq!(seen.value("if-none-match"), Some("\"a\""));
            Reply::new(304, "").field("ETag", "\"a\"").field("Cache-Control", "max-age=60").field("X-New", "2")
        }
        _ => Reply::ok("too much"),
    })
    .await;
    assert_eq!(status(&gateway.get("/").await), "portcullis; fwd=uri-miss; fwd-status=200; stored; ttl=0");
    let renewed = gateway.get("/").await;
    assert_eq!((renewed.status, renewed.text()), (200, "body"));
    assert_eq!((renewed.value("x-old"), renewed.value("x-new")), (Some("1"), Some("2")));
    assert_eq!(status(&renewed), "portcullis; fwd=stale; fwd-status=304; stored; ttl=60");
    assert!(is_hit(&gateway.get("/").await));
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn clients_conditions_are_judged_by_what_is_stored() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let (origin, gateway) = scripted(cached(Value::Null), move |_, seen| {
        assert_eq!(seen.value("if-none-match"), None);
        Reply::ok("0123456789").field("ETag", "\"a\"").field("Last-Modified", date).field("Cache-Control", "max-age=60")
    })
    .await;
    // On a miss, too: what comes is stored whole, and the client hears that it has it.
    let first = gateway.send(Request::get("/").field("If-None-Match", "\"a\"")).await;
    assert_eq!((first.status, first.value("etag"), first.body.len()), (304, Some("\"a\""), 0));
    let check = async |name: &str, value: &str, expected: (u16, &str)| {
        let response = gateway.send(Request::get("/").field(name, value)).await;
        assert_eq!((response.status, response.text()), expected, "{name}: {value}");
        assert!(is_hit(&response) || expected.0 == 416, "{response:?}");
        response
    };
    check("If-None-Match", "\"b\", W/\"a\"", (304, "")).await;
    check("If-None-Match", "\"b\"", (200, "0123456789")).await;
    check("If-Modified-Since", date, (304, "")).await;
    let part = check("Range", "bytes=2-4", (206, "234")).await;
    assert_eq!(part.value("content-range"), Some("bytes 2-4/10"));
    check("Range", "bytes=-1", (206, "9")).await;
    let outside = gateway.send(Request::get("/").field("Range", "bytes=10-")).await;
    assert_eq!((outside.status, outside.value("content-range")), (416, Some("bytes */10")));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn parts_are_stored_and_completed() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, seen| {
        let reply =
            |status, body: &str| Reply::new(status, body).field("ETag", "\"a\"").field("Cache-Control", "max-age=60");
        match number {
            0 => reply(206, "01234").field("Content-Range", "bytes 0-4/10"),
            _ => {
                assert_eq!((seen.value("range"), seen.value("if-range")), (Some("bytes=5-"), Some("\"a\"")));
                reply(206, "56789").field("Content-Range", "bytes 5-9/10")
            }
        }
    })
    .await;
    let range = |range: &str| Request::get("/").field("Range", range);
    assert_eq!(gateway.send(range("bytes=0-4")).await.text(), "01234");
    let inner = gateway.send(range("bytes=1-3")).await;
    assert_eq!((inner.status, inner.text(), is_hit(&inner)), (206, "123", true));
    let whole = gateway.get("/").await;
    assert_eq!((whole.status, whole.text()), (200, "0123456789"));
    assert!(is_hit(&gateway.send(range("bytes=8-")).await));
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn the_rest_of_another_version_is_no_rest() {
    let (_origin, gateway) = scripted(cached(Value::Null), |number, _| {
        let reply = |tag, body: &str| Reply::new(206, body).field("ETag", tag).field("Cache-Control", "max-age=60");
        match number {
            0 => reply("\"a\"", "01234").field("Content-Range", "bytes 0-4/10"),
            1 => reply("\"b\"", "vwxyz").field("Content-Range", "bytes 5-9/10"),
            _ => Reply::ok("abcdefghij"),
        }
    })
    .await;
    gateway.send(Request::get("/").field("Range", "bytes=0-4")).await;
    assert_eq!(gateway.get("/").await.status, 502);
    assert_eq!(gateway.get("/").await.text(), "abcdefghij");
}

#[tokio::test]
async fn stale_is_served_while_it_is_fetched_anew() {
    let gate = Gate::new();
    let held = gate.clone();
    let (origin, gateway) = scripted(cached(Value::Null), move |number, _| {
        let reply = Reply::ok(format!("{number}")).field("Cache-Control", "max-age=0, stale-while-revalidate=60");
        if number == 0 { reply } else { reply.field("Cache-Control", "max-age=60").behind(&held) }
    })
    .await;
    assert_eq!(gateway.get("/").await.text(), "0");
    for _ in 0..5 {
        let stale = gateway.get("/").await;
        assert_eq!((stale.text(), is_hit(&stale)), ("0", true), "{stale:?}");
    }
    origin.wait_for(2).await;
    gate.open();
    gateway.until("the new response", Request::get("/"), |response| response.text() == "1").await;
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn stale_is_better_than_an_error_where_that_is_allowed() {
    let check = async |said: &'static str, trouble: fn() -> Reply, expected: (u16, &str)| {
        let (_origin, gateway) = scripted(cached(Value::Null), move |number, _| match number {
            0 => Reply::ok("stored").field("Cache-Control", said),
            _ => trouble(),
        })
        .await;
        gateway.get("/").await;
        let response = gateway.get("/").await;
        assert_eq!((response.status, response.text()), expected, "{said}");
    };
    let error = || Reply::new(503, "sorry");
    check("max-age=0, stale-if-error=60", error, (200, "stored")).await;
    check("max-age=0, stale-if-error=60", Reply::hang_up, (200, "stored")).await;
    check("max-age=0", error, (503, "sorry")).await;
    check("max-age=0", Reply::hang_up, (200, "stored")).await;
    let (_origin, gateway) = scripted(cached(Value::Null), |number, _| match number {
        0 => Reply::ok("stored").field("ETag", "\"a\"").field("Cache-Control", "max-age=0, must-revalidate"),
        _ => Reply::hang_up(),
    })
    .await;
    gateway.get("/").await;
    assert_eq!(gateway.get("/").await.status, 502);
}

#[tokio::test]
async fn requests_say_how_fresh_it_must_be() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, _| {
        Reply::ok(format!("{number}")).field("Cache-Control", "max-age=60").field("Age", "10")
    })
    .await;
    let say = |say: &str| Request::get("/").field("Cache-Control", say);
    let nothing = gateway.send(say("only-if-cached")).await;
    assert_eq!(nothing.status, 504);
    gateway.get("/").await;
    for enough in ["max-age=20", "min-fresh=40", "only-if-cached", "max-stale", "unknown"] {
        assert!(is_hit(&gateway.send(say(enough)).await), "{enough}");
    }
    for (number, too_little) in ["max-age=5", "min-fresh=55", "no-cache", "max-age=0"].iter().enumerate() {
        let response = gateway.send(say(too_little)).await;
        assert_eq!(
            (response.text(), status(&response).contains("fwd=request")),
            (format!("{}", number + 1).as_str(), true)
        );
    }
    assert_eq!(origin.seen().len(), 5);
}

#[tokio::test]
async fn requests_that_change_something_let_it_be_forgotten() {
    let (_origin, gateway) = scripted(cached(Value::Null), |number, seen| {
        let reply = Reply::new(if seen.target == "/fails" { 500 } else { 200 }, format!("{number}"));
        let reply = reply.field("Cache-Control", "max-age=60");
        if seen.method == "POST" {
            reply.field("Location", "/other").field("Content-Location", "more?x")
        } else {
            reply
        }
    })
    .await;
    let check = async |method: &str, target: &str, forgotten: &[&str], kept: &[&str]| {
        for url in forgotten.iter().chain(kept) {
            gateway.get(url).await;
            assert!(is_hit(&gateway.get(url).await), "{url}");
        }
        gateway.send(Request::new(method, target).body("x")).await;
        for url in kept {
            assert!(is_hit(&gateway.get(url).await), "{method} {target}: {url}");
        }
        for url in forgotten {
            assert!(!is_hit(&gateway.get(url).await), "{method} {target}: {url}");
        }
    };
    check("PUT", "/a", &["/a"], &["/b", "/a?x"]).await;
    check("DELETE", "/a", &["/a"], &["/b"]).await;
    check("M-SEARCH", "/a", &["/a"], &["/b"]).await;
    check("POST", "/c/d", &["/c/d", "/other", "/c/more?x"], &["/b"]).await;
    check("PUT", "/fails", &[], &["/fails"]).await;
}

#[tokio::test]
async fn many_readers_cost_one_fetch() {
    let gate = Gate::new();
    let held = gate.clone();
    let (origin, gateway) = scripted(cached(Value::Null), move |number, _| {
        Reply::ok(format!("{number}")).field("Cache-Control", "max-age=60").behind(&held)
    })
    .await;
    let gateway = std::sync::Arc::new(gateway);
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move { gateway.get("/").await.text().to_owned() })
        })
        .collect();
    origin.wait_for(1).await;
    gate.open();
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), "0");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_stored_does_not_line_its_readers_up() {
    let gate = Gate::new();
    let held = gate.clone();
    let (origin, gateway) = scripted(cached(Value::Null), move |number, _| {
        let reply = Reply::ok(format!("{number}")).field("Cache-Control", "no-store");
        if number == 0 { reply } else { reply.behind(&held) }
    })
    .await;
    gateway.get("/").await;
    let gateway = std::sync::Arc::new(gateway);
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move { gateway.get("/").await.status })
        })
        .collect();
    // All of them at once, although none has been answered.
    origin.wait_for(6).await;
    gate.open();
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), 200);
    }
}

#[tokio::test]
async fn a_slow_fetch_does_not_hold_its_readers_for_ever() {
    let gate = Gate::new();
    let held = gate.clone();
    let (origin, gateway) = scripted(cached(json!({ "wait_max_ms": 50 })), move |number, _| {
        let reply = Reply::ok(format!("{number}")).field("Cache-Control", "max-age=60");
        if number == 0 { reply.behind(&held) } else { reply }
    })
    .await;
    let gateway = std::sync::Arc::new(gateway);
    let first = tokio::spawn({
        let gateway = std::sync::Arc::clone(&gateway);
        async move { gateway.get("/").await.text().to_owned() }
    });
    origin.wait_for(1).await;
    assert_eq!(gateway.get("/").await.text(), "1");
    gate.open();
    assert_eq!(first.await.expect("the first"), "0");
}

#[tokio::test]
async fn the_second_reader_follows_the_first() {
    let gate = Gate::new();
    let held = gate.clone();
    let (origin, gateway) = scripted(cached(Value::Null), move |_, _| {
        Reply::chunks(["first "]).field("Cache-Control", "max-age=60").then(&held, "second")
    })
    .await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    one.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    two.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.open();
    let followed = two.response_to("GET").await.expect("the second");
    assert_eq!((followed.text(), is_hit(&followed)), ("first second", true));
    assert_eq!(one.response_to("GET").await.expect("the first").text(), "first second");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn fields_for_caches_like_this_one_count_first() {
    let (origin, gateway) = scripted(cached(Value::Null), |_, _| {
        Reply::ok("x").field("CDN-Cache-Control", "max-age=60").field("Cache-Control", "no-store")
    })
    .await;
    gateway.get("/").await;
    let hit = gateway.get("/").await;
    assert!(is_hit(&hit) && hit.value("cache-control") == Some("no-store"), "{hit:?}");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn cookies_are_stored_stripped_or_refused() {
    let check = async |settings: Value, hit: bool, cookie: Option<&str>| {
        let (_origin, gateway) = scripted(cached(settings.clone()), |_, _| {
            Reply::ok("x").field("Set-Cookie", "a=b").field("Cache-Control", "max-age=60")
        })
        .await;
        assert_eq!(gateway.get("/").await.value("set-cookie"), Some("a=b"));
        let second = gateway.get("/").await;
        assert_eq!((is_hit(&second), second.value("set-cookie")), (hit, cookie), "{settings}");
    };
    check(Value::Null, true, Some("a=b")).await;
    check(json!({ "set_cookie": "strip" }), true, None).await;
    check(json!({ "set_cookie": "refuse" }), false, Some("a=b")).await;
}

#[tokio::test]
async fn head_tells_whether_what_is_stored_is_right() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, seen| match (number, seen.target.as_str()) {
        (0, _) => Reply::ok("body").field("Cache-Control", "max-age=0").field("ETag", "\"a\""),
        (_, "/same") => Reply::ok("body").field("Cache-Control", "max-age=60").field("ETag", "\"a\""),
        _ => Reply::ok("body").field("ETag", "\"b\""),
    })
    .await;
    gateway.get("/same").await;
    gateway.send(Request::new("HEAD", "/same")).await;
    let hit = gateway.get("/same").await;
    assert!(is_hit(&hit) && hit.text() == "body", "{hit:?}");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_not_modified_about_something_else_is_not_believed() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, seen| match number {
        0 => Reply::ok("old").field("ETag", "\"a\"").field("Cache-Control", "no-cache"),
        1 => Reply::new(304, "").field("ETag", "\"b\"").field("Cache-Control", "max-age=60"),
        _ => {
            assert_eq!(seen.value("if-none-match"), None);
            Reply::ok("new").field("ETag", "\"b\"").field("Cache-Control", "max-age=60")
        }
    })
    .await;
    gateway.get("/").await;
    let strange = gateway.get("/").await;
    assert_eq!((strange.text(), strange.value("etag")), ("old", Some("\"a\"")));
    assert_eq!(gateway.get("/").await.text(), "new");
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn what_comes_stale_is_stale_for_as_long_as_it_was() {
    let (origin, gateway) = scripted(cached(Value::Null), |number, _| {
        let reply = Reply::ok(format!("{number}")).field("ETag", format!("\"{number}\""));
        reply.field("Age", "100").field("Cache-Control", "max-age=10, stale-while-revalidate=50")
    })
    .await;
    gateway.get("/").await;
    let second = gateway.get("/").await;
    assert_eq!((second.text(), status(&second).contains("fwd=stale")), ("1", true), "{second:?}");
    let little = gateway.send(Request::get("/").field("Cache-Control", "max-stale=80")).await;
    assert_eq!(little.text(), "2");
    let enough = gateway.send(Request::get("/").field("Cache-Control", "max-stale=100")).await;
    assert_eq!((enough.text(), status(&enough)), ("2", "portcullis; hit; ttl=-90"));
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn who_says_how_old_it_may_be_does_not_get_it_stale() {
    let (_origin, gateway) = scripted(cached(Value::Null), |number, _| {
        let reply = Reply::ok(format!("{number}"));
        reply.field("Cache-Control", "max-age=0, stale-while-revalidate=60")
    })
    .await;
    gateway.get("/").await;
    assert_eq!(gateway.send(Request::get("/").field("Cache-Control", "max-age=30")).await.text(), "1");
    let both = Request::get("/").field("Cache-Control", "max-age=30, max-stale");
    assert_eq!(gateway.send(both).await.text(), "1");
}

#[tokio::test]
async fn errors_tell_what_the_cache_did() {
    let (_origin, gateway) = scripted(cached(Value::Null), |number, _| match number {
        0 => Reply::ok("0123456789").field("Cache-Control", "max-age=60"),
        _ => Reply::hang_up(),
    })
    .await;
    let only = Request::get("/").field("Cache-Control", "only-if-cached");
    assert_eq!(status(&gateway.send(only).await), "portcullis; detail=not_cached");
    gateway.get("/").await;
    let outside = gateway.send(Request::get("/").field("Range", "bytes=10-")).await;
    assert_eq!((outside.status, status(&outside)), (416, "portcullis; detail=range_not_satisfiable"));
    let failed = gateway.get("/fails").await;
    assert_eq!((failed.status, status(&failed)), (502, "portcullis; fwd=uri-miss"));
}

#[tokio::test]
async fn plugins_say_how_stale_and_how_early() {
    let check = async |windows: Value, then: fn() -> Reply, expected: &[&str]| {
        let mut config = json!({ "key": "next", "admit": "store", "ttl_ms": 1 });
        config.as_object_mut().expect("an object").extend(windows.as_object().expect("an object").clone());
        let count = AtomicUsize::new(0);
        let origin = Origin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::ok("stored"),
            _ => then(),
        })
        .await;
        let gateway = Setup::to(&origin).route(cached(Value::Null)).guest("cache-decider", config).start().await;
        gateway.get("/").await;
        for text in expected {
            gateway.until(text, Request::get("/"), |response| response.text() == *text).await;
        }
    };
    let error = || Reply::new(503, "sorry");
    check(json!({ "stale_if_error_ms": 60_000 }), error, &["stored", "stored"]).await;
    check(json!({}), error, &["sorry"]).await;
    // The old one once more, then the new one that was fetched meanwhile.
    check(json!({ "stale_while_revalidate_ms": 60_000 }), || Reply::ok("new"), &["stored", "new"]).await;
    check(json!({ "ttl_ms": 60_000, "refresh_ahead_ms": 59_999 }), || Reply::ok("new"), &["stored", "new"]).await;
}
