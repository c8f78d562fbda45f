//! Which route a request gets, and what becomes of it on its way: conditions, rewrites, shares, mirrors, header fields.

use std::fs;

use portcullis_tests::command::portcullis;
use portcullis_tests::{Client, Gateway, Origin, Reply, Request, Setup, Value, json};

/// An origin that answers with its name and what it was asked for.
async fn origin(name: &'static str) -> Origin {
    Origin::start(move |seen| Reply::ok(format!("{name} {} {}", seen.method, seen.target))).await
}

fn respond(name: &str, matches: Value) -> Value {
    json!({ "name": name, "match": matches, "respond": { "body": name } })
}

async fn text(gateway: &Gateway, request: Request) -> String {
    gateway.send(request).await.text().to_owned()
}

#[tokio::test]
async fn headers_query_scheme_client_expressions_and_priority_choose_the_route() {
    let gateway = Setup::new()
        .route(respond("plain", json!({ "path": "/x" })))
        .route(respond("beta", json!({ "path": "/x", "headers": { "x-beta": true } })))
        .route(respond("second", json!({ "path": "/x", "query": { "v": "2" } })))
        .route(respond("tls", json!({ "path": "/x", "scheme": "https" })))
        .route(respond("abroad", json!({ "path": "/x", "clients": ["192.0.2.0/24"] })))
        .route(respond("version", json!({ "path_regex": "/v[0-9]+/.*" })))
        .route(respond("rest", json!({ "path": "/v1/{rest..}" })))
        .route(respond("first of all", json!({ "path": "/urgent/*" })).as_object().map_or(Value::Null, |route| {
            let mut route = route.clone();
            route.insert("priority".to_owned(), json!(5));
            route["name"] = json!("urgent");
            Value::Object(route)
        }))
        .route(respond("exact", json!({ "path": "/urgent/exact" })))
        .start()
        .await;
    let check = async |request: Request, expected: &str| assert_eq!(text(&gateway, request).await, expected);
    check(Request::get("/x"), "plain").await;
    check(Request::get("/x").field("X-Beta", ""), "beta").await;
    check(Request::get("/x?a=1&v=2"), "second").await;
    check(Request::get("/v2/a"), "version").await;
    check(Request::get("/v1/a"), "version").await;
    check(Request::get("/v1"), "rest").await;
    check(Request::get("/urgent/exact"), "first of all").await;
}

#[tokio::test]
async fn targets_are_rewritten_for_the_upstream_alone() {
    let upstream = origin("app").await;
    let route = |name: &str, path: &str, rewrite: Value| json!({ "name": name, "match": { "path": path }, "proxy": { "upstream": "origin", "rewrite": rewrite } });
    let gateway = Setup::to(&upstream)
        .route(route("strip", "/api/*", json!({ "strip_prefix": "/api" })))
        .route(route("replace", "/old/*", json!({ "strip_prefix": "/old", "add_prefix": "/new" })))
        .route(route("path", "/users/{id}/{rest..}", json!({ "path": "/u/{id}/r/{rest}" })))
        .route(route("regex", "/r/*", json!({ "regex": "/r/([a-z]+)/(.*)", "to": "/{2}/{1}" })))
        .start()
        .await;
    let check = async |target: &str, expected: &str| {
        assert_eq!(text(&gateway, Request::get(target)).await, format!("app GET {expected}"), "{target}");
    };
    check("/api/a/b?q=1", "/a/b?q=1").await;
    check("/api", "/").await;
    check("/%61pi/a%2Fb", "/a%2Fb").await;
    check("/api//a", "/a").await;
    check("/old/x", "/new/x").await;
    check("/old", "/new").await;
    check("/users/a%2Fb/c%2Fd/e?x", "/u/a%2Fb/r/c%2Fd/e?x").await;
    check("/r/abc/d%20e", "/d%20e/abc").await;
    check("/r/1/2", "/r/1/2").await;
    // What would lead outside once it is rewritten does not pass.
    for target in ["/r/abc/..", "/r/abc/%2e%2e/x"] {
        assert_eq!(gateway.get(target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn shares_are_kept_and_clients_can_stay_with_theirs() {
    let (stable, canary) = (origin("stable").await, origin("canary").await);
    let split = json!([{ "upstream": "stable", "weight": 3 }, { "upstream": "canary", "weight": 1 }]);
    let gateway = Setup::new()
        .upstream("stable", stable.address())
        .upstream("canary", canary.address())
        .route(json!({ "name": "dealt", "match": { "path": "/dealt" }, "proxy": { "split": split } }))
        .route(json!({
            "name": "kept", "match": { "path": "/kept" },
            "proxy": { "split": split, "split_by": { "cookie": "user" } },
        }))
        .start()
        .await;
    let mut client = gateway.connect().await;
    for _ in 0..100 {
        client.send(&Request::get("/dealt")).await;
    }
    assert!((24..=26).contains(&canary.seen().len()), "{} of 100", canary.seen().len());
    let mut upstreams = Vec::new();
    for user in 0..40 {
        let request = Request::get("/kept").field("Cookie", format!("a=b; user={user}"));
        let first = client.send(&request).await.text().to_owned();
        for _ in 0..3 {
            assert_eq!(client.send(&request).await.text(), first, "user {user} was sent elsewhere");
        }
        upstreams.push(first.starts_with("canary"));
    }
    assert!(upstreams.contains(&true) && upstreams.contains(&false), "{upstreams:?}");
}

#[tokio::test]
async fn mirrors_get_copies_and_disturb_nobody() {
    let (main, shadow) = (origin("main").await, origin("shadow").await);
    let mirror = json!({ "upstream": "shadow", "body_bytes_max": 1000 });
    let gateway = Setup::new()
        .upstream("main", main.address())
        .upstream("shadow", shadow.address())
        .route(json!({ "name": "all", "proxy": { "upstream": "main", "mirror": mirror } }))
        .start()
        .await;
    assert_eq!(text(&gateway, Request::get("/a?b")).await, "main GET /a?b");
    assert_eq!(text(&gateway, Request::post("/c", "hello")).await, "main POST /c");
    let seen = shadow.wait_for(2).await;
    assert_eq!((seen[0].target.as_str(), seen[0].value("x-portcullis-mirror")), ("/a?b", Some("1")));
    assert_eq!((seen[1].method.as_str(), &seen[1].body[..]), ("POST", &b"hello"[..]));
    assert_eq!(main.last().value("x-portcullis-mirror"), None);
    // Too long to be copied, but not to be sent.
    assert_eq!(text(&gateway, Request::post("/long", vec![b'x'; 5000])).await, "main POST /long");
    shadow.stop();
    assert_eq!(text(&gateway, Request::get("/alone")).await, "main GET /alone");
    assert!(shadow.seen().iter().all(|seen| seen.target != "/long"));
}

#[tokio::test]
async fn header_fields_are_edited_on_the_way() {
    let upstream = Origin::start(|_| Reply::ok("hi").field("Server", "secret/1.0").field("X-Keep", "yes")).await;
    let edits = json!({
        "name": "all",
        "match": { "path": "/users/{id}" },
        "request_headers": {
            "remove": ["x-secret"],
            "set": { "x-user": "{path.id}", "x-client": "{client.address} by {request.scheme}", "x-subject": "{attribute.tls.client.subject}" },
            "append": { "x-list": "gateway" },
        },
        "response_headers": { "remove": ["server"], "set": { "x-route": "{route}", "cache-control": "no-store" } },
        "proxy": { "upstream": "origin", "host": "app.internal" },
    });
    let gateway = Setup::to(&upstream).route(edits).start().await;
    let request =
        Request::get("/users/a%20b").field("X-Secret", "1").field("X-Subject", "CN=forged").field("X-List", "client");
    let response = gateway.send(request).await;
    let seen = upstream.last();
    assert_eq!(seen.value("x-secret"), None);
    assert_eq!((seen.value("x-user"), seen.value("x-client")), (Some("a%20b"), Some("127.0.0.1 by http")));
    assert_eq!(seen.value("x-subject"), None, "a subject that nobody verified");
    assert_eq!(seen.fields.values("x-list"), ["client", "gateway"]);
    assert_eq!(seen.value("host"), Some("app.internal"));
    assert_eq!((response.value("server"), response.value("x-keep")), (None, Some("yes")));
    assert_eq!((response.value("x-route"), response.value("cache-control")), (Some("all"), Some("no-store")));
}

#[tokio::test]
async fn a_listener_can_send_everybody_to_tls() {
    let upstream = origin("app").await;
    let listeners = json!({ "listeners": [{ "address": "127.0.0.1:0", "redirect_https": { "port": 8443 } }] });
    let gateway = Setup::to(&upstream)
        .patch(&listeners)
        .route(json!({ "name": "all", "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    let response = gateway.send(Request::post("/a/b?c=d", "x").host("shop.example:80")).await;
    assert_eq!(response.status, 308);
    assert_eq!(response.value("location"), Some("https://shop.example:8443/a/b?c=d"));
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn trace_is_not_answered_and_the_gateway_speaks_for_itself() {
    let upstream = origin("app").await;
    let gateway = Setup::to(&upstream).route(json!({ "name": "all", "proxy": { "upstream": "origin" } })).start().await;
    let trace = gateway.send(Request::new("TRACE", "/")).await;
    assert_eq!((trace.status, trace.value("allow").is_some()), (405, true));
    let mut client = Client::connect(gateway.address()).await.unwrap();
    client.write("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let options = client.response_to("OPTIONS").await.unwrap();
    assert_eq!((options.status, options.value("allow").is_some()), (204, true));
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn explain_says_which_route_wins_and_why_the_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let config = Setup::new()
        .upstream("app", "127.0.0.1:9".parse().unwrap())
        .route(json!({
            "name": "users", "match": { "host": "api.example.com", "path": "/users/{id}" },
            "proxy": { "upstream": "app", "rewrite": { "path": "/u/{id}" } },
        }))
        .route(respond("beta", json!({ "path": "/users/{id}", "headers": { "x-beta": "1" } })))
        .route(respond("posts", json!({ "path": "/users/*", "methods": ["POST"] })))
        .route(respond("all", json!({})))
        .config();
    fs::write(folder.path().join("c.json"), config.to_string()).unwrap();
    let explain = |arguments: &[&str]| {
        let outcome =
            portcullis(folder.path(), &[&["routes", "explain", "--config", "c.json"][..], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.text());
        outcome.text()
    };
    let told = explain(&["GET", "http://api.example.com/users/7?x=1"]);
    for line in [
        "-> users: proxy to app",
        "priority 0, host api.example.com, path /users/{id}",
        "{id} = 7",
        "the upstream is asked for /u/7?x=1",
        "all                  matches too, but comes later",
        "posts                no: the method is not POST",
        "beta                 no: not that the header x-beta is \"1\"",
    ] {
        assert!(told.contains(line), "nothing of {line:?} in\n{told}");
    }
    assert!(explain(&["POST", "http://b/users/7"]).contains("-> posts: respond 200"));
    assert!(explain(&["GET", "http://b/users/7", "--header", "x-beta: 1"]).contains("-> beta"));
}
