//! `cors`, `csrf`, `api-key`, `basic-auth` and `access-control` as users meet them, alone and together.

use std::cell::Cell;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::future::{join, join_all};
use portcullis_tests::{Gateway, Origin, Reply, Request, Setup, Value, artefacts, json};

/// An origin that shows what it was asked with.
async fn origin() -> Origin {
    Origin::start(|seen| {
        let field = |name: &str| seen.value(name).unwrap_or("-").to_owned();
        let text = format!("{} {} {}", seen.target, field("authorization"), field("x-who"));
        Reply::ok(text).field("Access-Control-Allow-Origin", "https://upstream.test")
    })
    .await
}

async fn with(plugin: &str, config: Value) -> (Origin, Gateway) {
    let origin = origin().await;
    let entry = json!({ "config": config, "grants": ["log", "metrics", "clock", "crypto", "limits"] });
    let gateway = Setup::to(&origin).plugin(plugin, entry).start().await;
    (origin, gateway)
}

/// What `portcullis hash` says to a secret.
fn hash(arguments: &[&str], secret: &str) -> String {
    let mut command = Command::new(artefacts::gateway());
    command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn basic(joined: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(joined))
}

#[tokio::test]
async fn a_preflight_is_answered_and_answers_say_who_may_read_them() {
    let config = json!({
        "origins": ["https://app.test", "https://*.preview.test"], "methods": ["PUT"], "request_headers": ["x-a"],
        "response_headers": ["x-total"], "credentials": true, "max_age_seconds": 60,
    });
    let (origin, gateway) = with("cors", config).await;
    let preflight = |from: &str, method: &str, headers: &str| {
        let request = Request::new("OPTIONS", "/a").field("origin", from);
        request.field("access-control-request-method", method).field("access-control-request-headers", headers)
    };
    let response = gateway.send(preflight("https://x.preview.test", "PUT", "X-A")).await;
    assert_eq!(response.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://x.preview.test"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "X-A"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(response.value(name), Some(value), "{name}");
    }
    for (from, method, headers) in [
        ("https://evil.test", "PUT", "x-a"),
        ("https://app.test", "DELETE", "x-a"),
        ("https://app.test", "PUT", "x-b"),
        ("null", "PUT", "x-a"),
    ] {
        let response = gateway.send(preflight(from, method, headers)).await;
        assert_eq!(
            (response.status, response.value("access-control-allow-origin")),
            (204, None),
            "{from} {method} {headers}"
        );
    }
    assert_eq!(origin.seen().len(), 0, "no preflight reaches the upstream");
    let response = gateway.send(Request::get("/a").field("origin", "https://app.test")).await;
    assert_eq!(response.values("access-control-allow-origin"), ["https://app.test"]);
    assert_eq!(response.value("access-control-expose-headers"), Some("x-total"));
    assert_eq!(response.value("vary"), Some("Origin"));
    let response = gateway.send(Request::get("/a").field("origin", "https://evil.test")).await;
    assert_eq!((response.status, response.values("access-control-allow-origin").len()), (200, 0));
    assert_eq!(gateway.get("/a").await.value("vary"), Some("Origin"));
}

#[tokio::test]
async fn requests_of_other_sites_change_nothing() {
    let config = json!({ "trusted_origins": ["https://login.test"], "except": ["/hooks/*"] });
    let (_origin, gateway) = with("csrf", config).await;
    let check = async |request: Request, expected: u16| {
        let response = gateway.send(request.clone()).await;
        assert_eq!(response.status, expected, "{request:?}");
    };
    let post = || Request::new("POST", "/a").host("app.test");
    check(post(), 200).await;
    check(post().field("origin", "https://app.test"), 200).await;
    check(post().field("origin", "https://evil.test"), 403).await;
    check(post().field("origin", "null"), 403).await;
    check(post().field("origin", "https://login.test").field("sec-fetch-site", "cross-site"), 200).await;
    check(post().field("origin", "https://app.test").field("sec-fetch-site", "cross-site"), 403).await;
    check(post().field("sec-fetch-site", "same-origin"), 200).await;
    check(Request::new("POST", "/hooks/x").field("origin", "https://evil.test"), 200).await;
    check(Request::get("/a").field("origin", "https://evil.test").field("sec-fetch-site", "cross-site"), 200).await;
    let handshake = Request::get("/a").field("origin", "https://evil.test").field("sec-websocket-key", "x");
    check(handshake, 403).await;
}

#[tokio::test]
async fn a_key_is_known_by_its_hash_and_does_not_travel_on() {
    let made = hash(&["key"], "");
    let (key, sha256) = (line(&made, "key: "), line(&made, "sha256: "));
    assert_eq!(line(&hash(&["key", "--stdin"], &format!("{key}\n")), "sha256: "), sha256);
    let config = json!({
        "keys": [{ "name": "billing", "sha256": sha256 }], "name_header": "x-who",
        "places": [{ "header": "x-api-key" }, { "header": "authorization", "scheme": "ApiKey" }, { "query": "key" }],
    });
    let (_origin, gateway) = with("api-key", config).await;
    for request in [
        Request::get("/a?b=1").field("x-api-key", &key),
        Request::get("/a?b=1").field("authorization", format!("apikey {key}")),
        Request::get(&format!("/a?key={key}&b=1")),
    ] {
        let response = gateway.send(request.field("x-who", "root")).await;
        assert_eq!((response.status, response.text()), (200, "/a?b=1 - billing"));
    }
    for (request, status) in [
        (Request::get("/a"), 401),
        (Request::get("/a").field("x-api-key", ""), 401),
        (Request::get("/a").field("x-api-key", &key[1..]), 401),
        (Request::get("/a").field("x-api-key", sha256.as_str()), 401),
        (Request::get("/a").field("x-api-key", &key).field("x-api-key", &key), 400),
    ] {
        let response = gateway.send(request).await;
        assert_eq!(response.status, status);
        assert_eq!(response.value("content-type"), Some("application/problem+json"));
    }
}

fn line(text: &str, start: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned()
}

#[tokio::test]
async fn a_password_is_tried_once_and_guessing_has_an_end() {
    let stored = hash(&["password"], "open sesame\n");
    let config = json!({
        "htpasswd": format!("# users\nalice:{stored}"), "name_header": "x-who", "realm": "a \"b\"", "attempts_per_second": 2,
    });
    let (_origin, gateway) = with("basic-auth", config).await;
    let ask = async |joined: &str| gateway.send(Request::get("/a").field("authorization", basic(joined))).await;
    let response = gateway.get("/a").await;
    assert_eq!(
        (response.status, response.value("www-authenticate")),
        (401, Some(r#"Basic realm="a \"b\"", charset="UTF-8""#))
    );
    // Far more often than passwords are tried.
    let mut connection = gateway.connect().await;
    for _ in 0..20 {
        let request = Request::get("/a").field("authorization", basic("alice:open sesame"));
        let response = connection.send(&request).await;
        assert_eq!((response.status, response.text()), (200, "/a - alice"));
    }
    let mut seen = Vec::new();
    for guess in 0..20 {
        seen.push(ask(&format!("alice:{guess}")).await.status);
    }
    assert!(
        seen.contains(&401) && seen.contains(&429) && seen.iter().all(|status| [401, 429].contains(status)),
        "{seen:?}"
    );
    assert_eq!(gateway.send(Request::get("/a").field("authorization", "Basic !")).await.status, 400);
}

#[tokio::test]
async fn passwords_are_tried_beside_the_workers_and_for_as_long_as_it_takes() {
    let origin = origin().await;
    // Some fifty milliseconds at least.
    let stored = hash(&["password"], "open sesame\n");
    let config = json!({ "users": [{ "name": "alice", "password": stored.trim() }], "attempts_per_second": 1000 });
    let entry = json!({ "config": config, "grants": ["crypto", "limits"], "limits": { "timeout_ms": 10 } });
    let gateway = Setup::to(&origin).plugin("basic-auth", entry).patch(&json!({ "workers": 1 })).start().await;
    for (joined, expected) in [("alice:wrong", 401), ("alice:open sesame", 200), ("bob:open sesame", 401)] {
        let response = gateway.send(Request::get("/a").field("authorization", basic(joined))).await;
        assert_eq!(response.status, expected, "{joined}: {}", response.text());
    }
    // Twelve guesses take more than half a second, and if the one worker tried them, nobody else would get more than one answer in between.
    let (answered, over) = (Cell::new(0), Cell::new(false));
    let guesses = async {
        for round in 0..3 {
            let guess = |number| {
                let joined = basic(&format!("alice:{round} {number}"));
                gateway.send(Request::get("/a").field("authorization", joined))
            };
            for response in join_all((0..4).map(guess)).await {
                assert_eq!(response.status, 401, "{}", response.text());
            }
        }
        over.set(true);
    };
    let others = async {
        let mut connection = gateway.connect().await;
        let known = Request::get("/a").field("authorization", basic("alice:open sesame"));
        while !over.get() {
            assert_eq!(connection.send(&known).await.status, 200);
            answered.set(answered.get() + 1);
        }
    };
    join(guesses, others).await;
    assert!(answered.get() > 60, "{answered:?}");
}

#[tokio::test]
async fn a_place_is_the_same_however_its_path_is_spelled() {
    let origin = origin().await;
    let policy =
        json!({ "places": [{ "paths": ["/admin/*"], "roles": ["admin"] }, { "paths": ["/*"], "allow": "anyone" }] });
    let proxy = json!({ "upstream": "origin" });
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "admin", "match": { "path": "/admin/*" }, "proxy": proxy }))
        .route(json!({ "name": "rest", "proxy": proxy }))
        .plugin("access-control", json!({ "config": policy, "grants": [] }))
        .plugin("csrf", json!({ "config": { "except": ["/hooks/*"] }, "grants": [] }))
        .start()
        .await;
    for path in ["/admin/users", "/%61dmin/users", "//admin/users", "/admin%2Fusers", "/x%2F..%2Fadmin%2Fusers"] {
        assert_eq!(gateway.get(path).await.status, 401, "{path}");
    }
    assert_eq!(gateway.get("/open/%61").await.status, 200);
    for (path, expected) in [("/hooks/a", 200), ("//%68ooks/a", 200), ("/hooks/..%2Faccount", 403), ("/account", 403)] {
        let request = Request::new("POST", path).field("sec-fetch-site", "cross-site");
        assert_eq!(gateway.send(request).await.status, expected, "{path}");
    }
}

#[tokio::test]
async fn roles_of_whoever_authenticated_decide() {
    let origin = origin().await;
    let digest = |key: &str| line(&hash(&["key", "--stdin"], key), "sha256: ");
    let keys = json!([
        { "name": "ed", "sha256": digest("ed"), "roles": ["chief editor", "editor", "x"] }, { "name": "rita", "sha256": digest("rita"), "roles": ["reader", "no editor"] },
    ]);
    let policy = json!({
        "roles": { "editor": ["articles:*"], "reader": ["articles:read"] },
        "places": [
            { "paths": ["/open"], "allow": "anyone" },
            { "paths": ["/articles/*"], "methods": ["GET"], "permissions": ["articles:read"] },
            { "paths": ["/articles/*"], "permissions": ["articles:write"] },
        ],
    });
    let gateway = Setup::to(&origin)
        .plugin("api-key", json!({ "config": { "keys": keys, "optional": true }, "grants": ["crypto"] }))
        .plugin("access-control", json!({ "config": policy, "grants": [] }))
        .start()
        .await;
    for (method, path, key, expected) in [
        ("GET", "/open", None, 200),
        ("GET", "/articles/1", None, 401),
        ("GET", "/articles/1", Some("rita"), 200),
        ("PUT", "/articles/1", Some("rita"), 403),
        ("PUT", "/articles/1", Some("ed"), 200),
        ("GET", "/else", Some("ed"), 403),
        ("GET", "/articles/1", Some("nobody"), 401),
    ] {
        let request = Request::new(method, path);
        let request = key.map_or(request.clone(), |key| request.field("x-api-key", key));
        assert_eq!(gateway.send(request).await.status, expected, "{method} {path} {key:?}");
    }
}

#[tokio::test]
async fn what_would_protect_nothing_is_refused_at_the_start() {
    let origin = origin().await;
    for (plugin, config, wanted) in [
        ("cors", json!({ "origins": ["*"], "credentials": true }), "every site"),
        ("cors", json!({ "origins": ["null"], "credentials": true }), "every site"),
        ("csrf", json!({ "trusted_origins": ["*"] }), "trust everybody"),
        ("basic-auth", json!({ "users": [{ "name": "a", "password": "secret" }] }), "not a hash of bcrypt"),
        ("basic-auth", json!({}), "nobody could pass"),
        ("api-key", json!({ "keys": [{ "name": "a", "sha256": "abc" }] }), "keys[0].sha256"),
        ("access-control", json!({ "places": [{ "permissions": ["a"] }] }), "no role gives"),
    ] {
        let entry = json!({ "config": config, "grants": ["crypto", "limits"] });
        let (code, text) = Gateway::fail_to_start(&Setup::to(&origin).plugin(plugin, entry)).await;
        assert_eq!(code, Some(1));
        assert!(text.contains(wanted), "{plugin}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
