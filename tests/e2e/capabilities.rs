//! What the gateway offers to plugins: kv, metrics, crypto, clock, header bytes and edits, and how instances live.

use portcullis_tests::{Gateway, Origin, Reply, Request, Setup, json};

async fn kv(gateway: &Gateway, commands: &str) -> String {
    gateway.send(Request::get("/").field("X-Kv", commands)).await.text().to_owned()
}

#[tokio::test]
async fn kv_keeps_swaps_counts_and_forgets() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).guest_as("kv-probe", "kv-probe", json!({ "grants": ["kv"] }));
    let gateway = setup.start().await;

    assert_eq!(kv(&gateway, "get a;set a 1;get a;delete a;delete a;get a").await, "none;ok;1;true;false;none");
    assert_eq!(kv(&gateway, "cas b - x;cas b - y;cas b x y;get b").await, "true;false;true;y");
    assert_eq!(kv(&gateway, "increment n 5;increment n -2;get n").await, "5;3;3");
    assert_eq!(kv(&gateway, "set w word;increment w 1").await, "ok;not a number");
    assert_eq!(kv(&gateway, "set t 1 1").await, "ok");
    gateway.until("the end of the ttl", Request::get("/").field("X-Kv", "get t"), |r| r.text() == "none").await;
    // It is the plugin's store, not the instance's: another file of the same name finds it.
    let mut other = portcullis_tests::artefacts::guest("kv-probe");
    other.extend(b"\x00\x02\x01x");
    gateway.put_plugin("kv-probe.wasm", &other);
    assert_eq!(kv(&gateway, "get b").await, "y");
}

#[tokio::test]
async fn kv_is_bounded_and_belongs_to_one_plugin() {
    let origin = Origin::saying("hello").await;
    let small = json!({ "grants": ["kv"], "limits": { "kv_bytes_max": 10_000 }, "routes": ["small"] });
    let gateway = Setup::to(&origin)
        .guest_as("small", "kv-probe", small)
        .guest_as("other", "kv-probe", json!({ "grants": ["kv"], "routes": ["other"] }))
        .route(json!({ "name": "small", "match": { "path": "/small" }, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "other", "match": { "path": "/other" }, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    let ask = async |path: &str, commands: &str| {
        gateway.send(Request::get(path).field("X-Kv", commands)).await.text().to_owned()
    };
    let taken: usize = ask("/small", "fill k 100 1000").await.parse().unwrap();
    assert!((5..=10).contains(&taken), "{taken} values of 1000 bytes in 10000");
    let more = format!("set one-more {}", "x".repeat(1000));
    assert_eq!(ask("/small", &more).await, "quota");
    assert_eq!(ask("/other", "get k0;fill k 20 1000").await, "none;20");
}

#[tokio::test]
async fn metrics_show_at_the_operators_address() {
    let origin = Origin::saying("hello").await;
    let entry = json!({ "config": { "more": 50 }, "limits": { "series_max": 20 } });
    let gateway = Setup::to(&origin).guest_as("metrics-probe", "metrics-probe", entry).start().await;
    let response = gateway.get("/").await;
    gateway.get("/").await;
    let report = response.value("x-metrics").unwrap();
    assert!(report.contains("bad_name=invalid"), "{report}");
    assert!(report.contains("other_kind=invalid"), "{report}");
    let registered: u32 = report.split(['=', ' ']).nth(1).unwrap().parse().unwrap();
    assert!((1..20).contains(&registered), "{report}");

    let name = "portcullis_plugin_metrics_probe";
    let metrics = gateway.admin("/metrics").await;
    let value = |series: &str| {
        let found = metrics.text().lines().find(|line| line.starts_with(&format!("{series} ")));
        found.unwrap_or_else(|| panic!("no {series} in\n{}", metrics.text())).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value(&format!("{name}_requests_total{{colour=\"blue\"}}")), "2");
    assert_eq!(value(&format!("{name}_level")), "42");
    assert_eq!(value(&format!("{name}_sizes_bucket{{le=\"1\"}}")), "0");
    assert_eq!(value(&format!("{name}_sizes_bucket{{le=\"10\"}}")), "2");
    assert_eq!(value(&format!("{name}_sizes_sum")), "14");
}

#[tokio::test]
async fn crypto_gives_what_the_standards_say() {
    let origin = Origin::saying("hello").await;
    // RFC 4231 test case 2 has a shorter key than HS256 allows, so this is a case of our own, computed with OpenSSL.
    let config = json!({ "secret": "0123456789abcdef0123456789abcdef", "data": "abc" });
    let entry = json!({ "grants": ["crypto"], "config": config });
    let gateway = Setup::to(&origin).guest_as("crypto-probe", "crypto-probe", entry).start().await;
    let response = gateway.get("/").await;
    let lines: Vec<&str> = response.text().lines().collect();
    assert_eq!(lines[0], "sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(lines[1], "hmac=a60c859a6827c5ea576a48d8d368672fbfe4667c6a927428284a0cb3859cc1d6");
    assert_eq!(lines[2..6], ["verified=true", "forged=false", "equal=true", "unequal=false"]);
    assert_eq!(lines[6], "random=32,32,true");
    assert_eq!(lines[7], "too_much_random=1024");
    assert!(lines[8].contains("short_secret=") && !lines[8].ends_with("nothing"), "{}", lines[8]);
}

#[tokio::test]
async fn header_values_are_bytes_both_ways() {
    let odd = b"caf\xe9 \xff";
    let origin = Origin::start(|_| Reply::ok("hello").field("X-Bytes", b"\x80\xa0up")).await;
    let gateway = Setup::to(&origin).guest("header-bytes", json!({})).start().await;

    let response = gateway.send(Request::get("/").field("X-Bytes", odd)).await;
    let seen = origin.last();
    assert_eq!((seen.fields.bytes("x-bytes"), seen.fields.bytes("x-bytes-copy")), (Some(&odd[..]), Some(&odd[..])));
    assert_eq!((seen.value("x-bytes-hex"), seen.value("x-bytes-utf8")), (Some("636166e920ff"), Some("false")));
    assert_eq!(seen.fields.bytes("x-bytes-odd"), Some(&b"\xff\xfe\x80"[..]));
    assert_eq!(response.fields.bytes("x-bytes-copy"), Some(&b"\x80\xa0up"[..]));
    assert_eq!(response.fields.bytes("x-bytes-odd"), Some(&b"\xff\xfe\x80"[..]));
    // A line break would be a second field, or a second response.
    assert_eq!((response.value("x-bytes-refused"), response.value("x-smuggled")), (Some("true"), None));
}

#[tokio::test]
async fn a_prepared_set_of_edits_does_what_it_says() {
    let origin = Origin::start(|_| {
        let reply = Reply::ok("hello").field("X-Set", "old").field("X-Default", "old");
        reply.field("X-Append", "old").field("X-Remove", "old")
    })
    .await;
    let gateway = Setup::to(&origin).guest("header-edits", json!({})).start().await;
    let request =
        Request::get("/").field("X-Set", "a").field("X-Set", "b").field("X-Append", "old").field("X-Remove", "1");
    let response = gateway.send(request).await;
    let seen = origin.last();
    assert_eq!(
        (seen.value("x-set"), seen.value("x-default"), seen.value("x-remove")),
        (Some("new"), Some("new"), None)
    );
    assert_eq!(seen.fields.values("x-append").join(","), "old,new");
    assert_eq!((response.value("x-set"), response.value("x-default")), (Some("new"), Some("old")));
    assert_eq!((response.values("x-append").join(",").as_str(), response.value("x-remove")), ("old,new", None));
    assert_eq!(response.value("x-refused"), Some("4"));
}

#[tokio::test]
async fn clocks_and_timings_are_there() {
    let origin = Origin::start(|_| Reply::ok("hello").after(std::time::Duration::from_millis(20))).await;
    let gateway =
        Setup::to(&origin).guest_as("first", "counts-calls", json!({})).guest("clock-probe", json!({})).start().await;
    let response = gateway.get("/").await;
    let number = |name: &str| response.value(name).unwrap().parse::<u64>().unwrap();
    assert!(number("x-now-ms").abs_diff(portcullis_tests::token::now() * 1000) < 60_000);
    assert_eq!(response.value("x-monotonic"), Some("true"));
    assert!(number("x-upstream-ns") >= 20_000_000 && number("x-elapsed-ns") >= number("x-upstream-ns"));
    assert!(response.value("x-plugins").unwrap().contains("first"), "{:?}", response.value("x-plugins"));
}

#[tokio::test]
async fn a_reused_instance_remembers_and_a_fresh_one_does_not() {
    let origin = Origin::saying("hello").await;
    let calls = async |entry: portcullis_tests::Value| {
        let gateway = Setup::to(&origin).guest_as("counts-calls", "counts-calls", entry).start().await;
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(gateway.get("/").await.value("x-calls").unwrap().to_owned());
        }
        calls.join(",")
    };
    assert_eq!(calls(json!({})).await, "1,2,3,4,5,6");
    assert_eq!(calls(json!({ "instance": "per_request" })).await, "1,1,1,1,1,1");
    // Two hooks a request: recycled after two requests, or a little later.
    let recycled = calls(json!({ "limits": { "recycle_calls": 4 } })).await;
    assert!(recycled.starts_with("1,2") && recycled.matches('1').count() >= 2, "{recycled}");
}

#[tokio::test]
async fn a_hook_that_the_configuration_has_no_use_for_is_not_called() {
    let origin = Origin::saying("hello").await;
    for (idle, expected) in [(false, Some("called")), (true, None)] {
        let gateway = Setup::to(&origin).guest("idle-hooks", json!({ "idle": idle })).start().await;
        let response = gateway.get("/").await;
        assert_eq!((response.value("x-idle"), response.value("x-busy")), (expected, Some("called")));
    }
}

#[tokio::test]
async fn destroy_is_called_when_an_instance_ends_in_good_order() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).guest("destroy-logs", json!({ "word": "alpha" })).start().await;
    gateway.get("/").await;
    gateway.logs().wait_for_words(0, &["init of alpha"]).await;
    gateway
        .patch_config(&json!({ "plugins": { "chain": [{ "plugin": "destroy-logs", "config": { "word": "beta" } }] } }));
    gateway.logs().wait_for_words(0, &["init of beta"]).await;
    gateway.get("/").await;
    gateway.logs().wait_for_words(0, &["destroy of alpha"]).await;
    let logs = gateway.stop().await;
    assert!(logs.count(&["destroy of beta"]) >= 1, "{}", logs.text());
}

#[tokio::test]
async fn purging_is_for_those_who_are_granted_it() {
    let origin = Origin::saying("hello").await;
    let ungranted = Setup::to(&origin).guest_as("purger", "purger", json!({}));
    let (_, output) = Gateway::fail_to_start(&ungranted).await;
    assert!(output.contains("is not granted `cache`; add \"cache\" to plugins.chain[0].grants"), "{output}");

    let gateway = Setup::to(&origin).guest_as("purger", "purger", json!({ "grants": ["cache"] })).start().await;
    let purged = async |field: &str, text: &str| {
        let response = gateway.send(Request::get("/").field(field, text)).await;
        response.value("x-purged").unwrap_or_default().to_owned()
    };
    assert_eq!(purged("X-Purge", "url").await, "an empty url names nothing");
    assert_eq!(purged("X-Purge", &format!("url {}", "x".repeat(9000))).await, "a url of 9000 bytes; 8192 are allowed");
    for (field, text) in [("X-Purge-Tag", "news"), ("X-Purge", "all"), ("X-Purge", "pattern */news/*")] {
        let said = purged(field, text).await;
        assert_eq!(said, "0", "{field}: {text}");
    }
}
