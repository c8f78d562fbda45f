//! Purging: by operators (admin API and command line) and plugins, what depends on tags, CDNs; looking at what is stored.

use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::command::{Outcome, portcullis};
use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Response, Setup, Value, eventually, json};

/// What the tests store, and what the origin says of it.
const PAGES: [&str; 4] = ["/a", "/b?x=1", "/404", "/shop/big"];

/// Answers each request with a number of its own.
async fn numbering() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let long = "max-age=600, stale-while-revalidate=600";
        let page = |status, tags: &str, length: usize| {
            let reply = Reply::new(status, format!("{number:0length$}"));
            reply.field("Cache-Control", long).field("Surrogate-Key", tags)
        };
        match seen.target.as_str() {
            "/a" => page(200, "news page-home", 1),
            "/b?x=1" => page(200, "header", 1),
            "/404" => page(404, "news", 1),
            "/shop/big" => page(200, "product-list", 500).field("Content-Type", "image/png"),
            _ => Reply::ok("").field("Cache-Control", "no-store"),
        }
    })
    .await
}

fn setup(origin: &Origin) -> Setup {
    let cached = |name: &str, path: &str| json!({ "name": name, "match": { "path": path }, "cache": true, "proxy": { "upstream": "origin" } });
    Setup::to(origin).route(cached("all", "/*")).route(cached("shop", "/shop/*"))
}

async fn started() -> (Origin, Gateway) {
    let origin = numbering().await;
    let gateway = setup(&origin).start().await;
    (origin, gateway)
}

fn is_hit(response: &Response) -> bool {
    response.value("cache-status").is_some_and(|status| status.starts_with("portcullis; hit"))
}

async fn ask(gateway: &Gateway, request: Request) -> Response {
    gateway.ask_admin(&request).await
}

fn wanted(what: &Value) -> Request {
    Request::post("/api/v1/cache/purge", what.to_string()).field("Content-Type", "application/json")
}

async fn purge(gateway: &Gateway, what: Value) -> Value {
    let response = ask(gateway, wanted(&what)).await;
    assert_eq!(response.status, 200, "{what}: {}", response.text());
    response.json()
}

/// Stores everything, and lets something be purged; gives what was.
async fn gone(gateway: &Gateway, purge: impl AsyncFnOnce()) -> Vec<&'static str> {
    for page in PAGES {
        gateway.get(page).await;
        assert!(is_hit(&gateway.get(page).await), "{page} is not stored");
    }
    purge().await;
    let mut gone = Vec::new();
    for page in PAGES {
        if !is_hit(&gateway.get(page).await) {
            gone.push(page);
        }
    }
    gone
}

#[tokio::test]
async fn every_kind_of_purge_hits_what_it_means() {
    let (_origin, gateway) = started().await;
    let check = async |what: Value, expected: &[&str]| {
        let found = gone(&gateway, async || drop(purge(&gateway, what.clone()).await)).await;
        assert_eq!(found, expected, "{what}");
    };
    check(json!({ "url": "HTTP://Gateway.Test:80/a#top" }), &["/a"]).await;
    check(json!({ "tag": "news" }), &["/a", "/404"]).await;
    check(json!({ "tags": ["header", "nothing-has-this"] }), &["/b?x=1"]).await;
    check(json!({ "pattern": "http://Gateway.Test/sho*" }), &["/shop/big"]).await;
    check(json!({ "namespace": "shop" }), &["/shop/big"]).await;
    check(json!({ "key": "http://gateway.test/b?x=1" }), &["/b?x=1"]).await;
    check(json!({ "key": "all\u{0}http://gateway.test/a" }), &["/a"]).await;
    check(json!({ "status": 404 }), &["/404"]).await;
    check(json!({ "header": { "name": "Content-Type", "contains": "image/" } }), &["/shop/big"]).await;
    check(json!({ "larger_than_bytes": 499 }), &["/shop/big"]).await;
    check(json!({ "larger_than_bytes": 500 }), &[]).await;
    check(json!({ "older_than_seconds": 3600 }), &[]).await;
    check(json!({ "older_than_seconds": 0 }), &PAGES).await;
    check(json!({ "tag": "news", "status": 404 }), &["/404"]).await;
    check(json!({ "all": true }), &PAGES).await;

    let receipt = purge(&gateway, json!({ "tag": "news", "count": true })).await;
    let expected = json!({ "mode": "hard", "purged": { "tags": ["news"] }, "instances": "confirmed", "cdn": "none", "survives_restart": true, "count": 2 });
    let mut without_number = receipt.clone();
    without_number.as_object_mut().unwrap().remove("number");
    assert_eq!(without_number, expected);
    assert_eq!(purge(&gateway, json!({ "tag": "news", "count": true })).await["count"], 0);
    let overview = ask(&gateway, Request::get("/api/v1/cache")).await.json();
    assert_eq!(overview["last_purge"].as_u64().unwrap(), receipt["number"].as_u64().unwrap() + 1);
    let tags = "portcullis_cache_purges_total{by=\"admin\",kind=\"tag\",mode=\"hard\"}";
    assert_eq!(gateway.metric(tags).await, Some(5.0));
}

#[tokio::test]
async fn a_soft_purge_gives_what_is_stale_while_it_is_fetched_anew() {
    let (gate, count) = (Gate::new(), AtomicUsize::new(0));
    let waiting = gate.clone();
    let origin = Origin::start(move |_| {
        let reply = |text: &str| {
            Reply::ok(text).field("Cache-Control", "max-age=600, stale-while-revalidate=600").field("Cache-Tag", "x")
        };
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => reply("old"),
            _ => reply("new").behind(&waiting),
        }
    })
    .await;
    let gateway = setup(&origin).start().await;
    gateway.get("/").await;
    let receipt = purge(&gateway, json!({ "tag": "x", "soft": true, "count": true })).await;
    assert_eq!((&receipt["mode"], &receipt["count"]), (&json!("soft"), &json!(1)));
    let stale = gateway.get("/").await;
    assert!(is_hit(&stale) && stale.value("cache-status").unwrap().contains("ttl=-"), "{stale:?}");
    assert_eq!(stale.text(), "old");
    origin.wait_for(2).await;
    gate.open();
    let fresh = gateway.until("the new one", Request::get("/"), |response| response.text() == "new").await;
    assert!(is_hit(&fresh), "{fresh:?}");
    let stale = gateway.metric("portcullis_cache_requests_total{route=\"all\",result=\"stale\"}").await;
    assert!(stale.is_some_and(|count| count >= 1.0), "{stale:?}");
    assert_eq!(gateway.metric("portcullis_cache_requests_total{route=\"all\",result=\"miss\"}").await, Some(1.0));
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn what_depends_on_a_tag_goes_with_it() {
    let origin = numbering().await;
    let graph =
        json!({ "page-home": ["product-list", "header"], "product-list": ["product-1"], "header": ["page-home"] });
    let gateway = setup(&origin).patch(&json!({ "cache": { "dependencies": graph } })).start().await;
    let by = async |tag: &str| gone(&gateway, async || drop(purge(&gateway, json!({ "tag": tag })).await)).await;
    assert_eq!(by("product-1").await, ["/a", "/b?x=1", "/shop/big"]);
    assert_eq!(by("header").await, ["/a", "/b?x=1"]);
    assert_eq!(by("news").await, ["/a", "/404"]);
    let receipt = purge(&gateway, json!({ "tag": "product-list" })).await;
    assert_eq!(receipt["purged"]["tags"], json!(["product-list", "page-home", "header"]));

    gateway.patch_config(&json!({ "cache": { "dependencies": null } }));
    eventually("the new dependencies", || async {
        let receipt = purge(&gateway, json!({ "tag": "product-list" })).await;
        (receipt["purged"]["tags"] == json!(["product-list"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cdns_are_told_what_they_understand() {
    let (origin, endpoint) = (numbering().await, Origin::start(|_| Reply::ok("")).await);
    let base = format!("http://{}", endpoint.address());
    let cdn = json!([{
        "name": "own", "form": "custom",
        "tags": { "url": format!("{base}/tag/{{tag}}/{{mode}}") },
        "urls": { "method": "PURGE", "url": format!("{base}/of/{{host}}{{path}}") },
        "all": { "url": format!("{base}/everything") },
    }]);
    let graph = json!({ "page": ["header"] });
    let gateway = setup(&origin).patch(&json!({ "cdn": cdn, "cache": { "dependencies": graph } })).start().await;
    let told = async |what: Value| purge(&gateway, what).await["cdn"].as_str().unwrap().to_owned();
    assert_eq!(told(json!({ "tag": "header", "status": 404 })).await, "cannot_be_told");
    assert_eq!(told(json!({ "pattern": "*" })).await, "cannot_be_told");
    assert_eq!(told(json!({ "tag": "header", "soft": true })).await, "told");
    endpoint.wait_for(2).await;
    assert_eq!(told(json!({ "url": "HTTP://Gateway.Test/a" })).await, "told");
    endpoint.wait_for(3).await;
    assert_eq!(told(json!({ "all": true })).await, "told");
    let seen = endpoint.wait_for(4).await;
    let mut targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    targets[..2].sort_unstable();
    assert_eq!(targets, ["/tag/header/soft", "/tag/page/soft", "/of/gateway.test/a", "/everything"]);
}

#[tokio::test]
async fn plugins_purge_by_everything_too() {
    let origin = numbering().await;
    let gateway = setup(&origin).guest_as("purger", "purger", json!({ "grants": ["cache"] })).start().await;
    let check = async |field: (&str, &str), expected: &[&str]| {
        let found = gone(&gateway, async || {
            let response = gateway.send(Request::get("/quiet").field(field.0, field.1)).await;
            assert_eq!(response.value("x-purged"), Some("0"), "{field:?}");
        });
        assert_eq!(found.await, expected, "{field:?}");
    };
    check(("X-Purge-Tag", "news"), &["/a", "/404"]).await;
    check(("X-Purge", "url http://Gateway.Test/a"), &["/a"]).await;
    check(("X-Purge", "key http://gateway.test/b?x=1"), &["/b?x=1"]).await;
    check(("X-Purge", "pattern */shop/*"), &["/shop/big"]).await;
    check(("X-Purge", "version shop"), &["/shop/big"]).await;
    check(("X-Purge", "all"), &PAGES).await;
    let wrong = gateway.send(Request::get("/quiet").field("X-Purge", "url /a")).await;
    assert!(wrong.value("x-purged").unwrap().starts_with("url: does not begin with a scheme; write"), "{wrong:?}");
    let namespaces = "portcullis_cache_purges_total{by=\"plugin\",kind=\"namespace\",mode=\"hard\"}";
    assert_eq!(gateway.metric(namespaces).await, Some(1.0));
    gateway.send(Request::post("/a", "new")).await;
    let requests = "portcullis_cache_purges_total{by=\"request\",kind=\"url\",mode=\"hard\"}";
    assert_eq!(gateway.metric(requests).await, Some(1.0));
}

#[tokio::test]
async fn what_is_wrong_purges_nothing() {
    let (_origin, gateway) = started().await;
    gateway.get("/a").await;
    let all = || json!({ "all": true }).to_string();
    let json_of = |text: &str| Request::post("/api/v1/cache/purge", text).field("Content-Type", "application/json");
    let check = async |request: Request, status: u16, words: &str| {
        let response = ask(&gateway, request).await;
        assert_eq!(response.status, status, "{}", response.text());
        assert!(response.text().contains(words), "{words} is not in {}", response.text());
        response
    };
    // What a form of a web page can send, and what its scripts can.
    check(Request::post("/api/v1/cache/purge", all()), 415, "send `Content-Type: application/json`").await;
    for media_type in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        check(Request::post("/api/v1/cache/purge", all()).field("Content-Type", media_type), 415, "application/json")
            .await;
    }
    check(json_of(&all()).field("Origin", "http://evil.test"), 403, "page of another site").await;
    let wrong_method = check(Request::get("/api/v1/cache/purge"), 405, "POST").await;
    assert_eq!(wrong_method.value("allow"), Some("POST, OPTIONS"));
    check(Request::post("/api/v1/cache", all()), 405, "GET").await;
    check(Request::get("/api/v1/cache/other"), 404, "openapi.json").await;
    let long = json!({ "tag": "x".repeat(1024 * 1024) }).to_string();
    check(json_of(&long), 413, "longer than 1048576 bytes").await;
    check(json_of("{"), 400, "is not JSON").await;
    check(json_of("{}"), 400, "nothing says what is to be purged").await;
    check(json_of(r#"{"url": "/a"}"#), 400, "does not begin with a scheme").await;
    check(json_of(r#"{"pattern": "/a*"}"#), 400, "matches no URL").await;
    check(json_of(r#"{"namespace": "shpo"}"#), 400, "did you mean").await;
    check(json_of(r#"{"tga": "news"}"#), 400, "$.tga").await;
    check(Request::get("/api/v1/cache/lookup"), 400, "?url").await;
    check(Request::get("/api/v1/cache/lookup?url=/a"), 400, "does not begin with a scheme").await;
    assert!(is_hit(&gateway.get("/a").await), "something was purged");
}

#[tokio::test]
async fn operators_see_what_is_stored() {
    let (_origin, gateway) = started().await;
    for page in PAGES {
        gateway.get(page).await;
    }
    gateway.get("/a").await;
    let overview = ask(&gateway, Request::get("/api/v1/cache")).await.json();
    assert_eq!((&overview["entries"], &overview["last_purge"]), (&json!(4), &json!(0)));
    assert!(overview["bytes"].as_u64().unwrap() > 500, "{overview}");
    assert_eq!(overview["requests"]["all"], json!({ "hit": 1, "stale": 0, "miss": 3, "bypass": 0, "revalidated": 0 }));
    assert_eq!(gateway.metric("portcullis_cache_entries").await, Some(4.0));
    assert!(gateway.metric("portcullis_cache_bytes").await.unwrap() > 500.0);
    assert_eq!(gateway.metric("portcullis_cache_requests_total{route=\"all\",result=\"hit\"}").await, Some(1.0));

    let look = async |query: &str| ask(&gateway, Request::get(&format!("/api/v1/cache/lookup?{query}"))).await.json();
    let found = look("url=http%3A%2F%2FGateway.Test%2Fb%3Fx%3D1").await;
    assert_eq!(found["url"], "http://gateway.test/b?x=1");
    let stored = &found["stored"][0];
    assert_eq!(
        (&stored["route"], &stored["status"], &stored["tags"]),
        (&json!("all"), &json!(200), &json!(["header"]))
    );
    assert_eq!(
        (&stored["body_bytes"], &stored["fresh"], &stored["content"]),
        (&json!(1), &json!(true), &json!("whole"))
    );
    assert_eq!(look("url=http://gateway.test/a&route=shop").await["stored"], json!([]));
    purge(&gateway, json!({ "tag": "header" })).await;
    assert_eq!(look("url=http://gateway.test/b?x%3D1").await["stored"], json!([]));
}

/// Runs `portcullis` beside this test's event loop.
async fn command(gateway: &Gateway, arguments: &[&str]) -> Outcome {
    let admin = gateway.admin_address().await.to_string();
    let arguments: Vec<String> = arguments
        .iter()
        .copied()
        .chain(["--admin", &admin, "--config", "portcullis.json"])
        .map(str::to_owned)
        .collect();
    let folder = gateway.folder().to_owned();
    let run = move || portcullis(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn the_command_line_purges_and_shows() {
    let (_origin, gateway) = started().await;
    let check = async |arguments: &[&str], expected: &[&str], words: &str| {
        let arguments = [&["cache", "purge"], arguments].concat();
        let found = gone(&gateway, async || {
            let outcome = command(&gateway, &arguments).await;
            assert_eq!(outcome.code, Some(0), "{}", outcome.text());
            assert!(outcome.stdout.contains(words), "{words} is not in {}", outcome.stdout);
        });
        assert_eq!(found.await, expected, "{arguments:?}");
    };
    check(&["--url", "http://gateway.test/a"], &["/a"], "(hard): url http://gateway.test/a").await;
    check(&["--tag", "news", "--tag", "header", "--count"], &["/a", "/b?x=1", "/404"], "3 stored responses hit").await;
    check(&["--pattern", "*/shop/*"], &["/shop/big"], "pattern */shop/*").await;
    check(&["--namespace", "shop"], &["/shop/big"], "namespace shop").await;
    check(&["--key", "all\\0http://gateway.test/a"], &["/a"], "key all").await;
    check(&["--status", "404", "--older-than", "0"], &["/404"], "status 404").await;
    check(&["--header", "content-type: image/", "--larger-than", "9"], &["/shop/big"], "header").await;
    check(&["--all", "--json"], &PAGES, "\"all\": true").await;

    let show = async |arguments: &[&str]| command(&gateway, &[&["cache", "show"], arguments].concat()).await;
    let overview = show(&[]).await;
    assert!(overview.code == Some(0) && overview.stdout.contains("entries       4"), "{}", overview.text());
    let page = show(&["http://gateway.test/b?x=1"]).await;
    assert!(page.stdout.starts_with("all http://gateway.test/b?x=1: 200, "), "{}", page.text());
    assert!(page.stdout.contains("\n  tags header\n"), "{}", page.text());
    let nothing = show(&["http://gateway.test/nothing"]).await;
    assert_eq!((nothing.code, nothing.stderr.trim()), (Some(1), "nothing is stored for http://gateway.test/nothing"));

    let unsaid = command(&gateway, &["cache", "purge", "--soft"]).await;
    assert!(unsaid.code == Some(1) && unsaid.stderr.contains("write --all for everything"), "{}", unsaid.text());
    let wrong = command(&gateway, &["cache", "purge", "--url", "/a"]).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("url: does not begin with a scheme"), "{}", wrong.text());
    assert_eq!(command(&gateway, &["cache", "purge", "--status", "many"]).await.code, Some(2));
}

#[test]
fn a_command_that_reaches_nobody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // A port that nobody listens on any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let outcome = portcullis(folder.path(), &["cache", "purge", "--all", "--admin", &address]);
    let words = format!("no gateway listens at {address}; start one, or name its admin address by --admin or --config");
    assert!(outcome.code == Some(1) && outcome.stderr.contains(&words), "{}", outcome.text());
    let config =
        Setup::new().route(json!({ "name": "a", "respond": {} })).patch(&json!({ "admin": { "address": address } }));
    std::fs::write(folder.path().join("c.json"), config.config().to_string()).unwrap();
    let outcome = portcullis(folder.path(), &["cache", "show", "--config", "c.json"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains(&words), "{}", outcome.text());
}
