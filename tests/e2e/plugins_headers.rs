//! `security-headers` as users meet it: the defaults, overrides per route, a policy with nonce, removal.

use portcullis_tests::{Origin, Reply, Request, Response, Setup, Value, json};

async fn with(config: Value) -> Response {
    let origin = Origin::start(|_| {
        let reply = Reply::ok("hello").field("Server", "secret/1.0").field("X-Powered-By", "curiosity");
        reply.field("X-Frame-Options", "ALLOWALL")
    })
    .await;
    let entry = json!({ "config": config, "grants": ["log", "crypto"] });
    let gateway = Setup::to(&origin).plugin("security-headers", entry).start().await;
    gateway.get("/").await
}

#[tokio::test]
async fn the_defaults_are_those_of_helmet() {
    let response = with(json!({})).await;
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-dns-prefetch-control", "off"),
        ("x-download-options", "noopen"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-permitted-cross-domain-policies", "none"),
        ("x-xss-protection", "0"),
    ] {
        assert_eq!(response.value(name), Some(value), "{name}");
    }
    let policy = response.value("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("object-src 'none'"), "{policy}");
    // RFC 6797 section 7.2: not over http.
    assert_eq!(response.value("strict-transport-security"), None);
    assert_eq!((response.value("server"), response.value("x-powered-by")), (None, None));
    assert_eq!(response.value("cross-origin-embedder-policy"), None);
}

#[tokio::test]
async fn each_header_can_be_chosen_switched_off_or_left_to_the_upstream() {
    let response = with(json!({
        "strict_transport_security": { "max_age": 300, "include_subdomains": false, "preload": false },
        "hsts_over_http": true,
        "referrer_policy": "same-origin",
        "x_xss_protection": false,
        "permissions_policy": { "camera": [], "geolocation": ["self"] },
        "cross_origin_embedder_policy": true,
        "extra": { "x-team": "blue" },
        "remove": ["server"],
        "keep": ["x-frame-options"],
    }))
    .await;
    assert_eq!(response.value("strict-transport-security"), Some("max-age=300"));
    assert_eq!(response.value("referrer-policy"), Some("same-origin"));
    assert_eq!(response.value("x-xss-protection"), None);
    assert_eq!(response.value("permissions-policy"), Some("camera=(), geolocation=(self)"));
    assert_eq!(response.value("cross-origin-embedder-policy"), Some("require-corp"));
    assert_eq!((response.value("x-team"), response.value("server")), (Some("blue"), None));
    assert_eq!(
        (response.value("x-powered-by"), response.value("x-frame-options")),
        (Some("curiosity"), Some("ALLOWALL"))
    );
}

#[tokio::test]
async fn a_nonce_is_fresh_and_told_to_the_upstream() {
    let origin = Origin::saying("hello").await;
    let config = json!({ "content_security_policy": { "nonce": ["script-src"] }, "nonce_request_header": "x-nonce" });
    let entry = json!({ "config": config, "grants": ["log", "crypto"] });
    let gateway = Setup::to(&origin).plugin("security-headers", entry).start().await;
    let mut nonces = Vec::new();
    for _ in 0..3 {
        let response = gateway.get("/").await;
        let nonce = origin.last().value("x-nonce").unwrap().to_owned();
        let policy = response.value("content-security-policy").unwrap();
        assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy} {nonce}");
        assert!(nonce.len() >= 22 && !nonces.contains(&nonce), "{nonce}");
        nonces.push(nonce);
    }
    // A client cannot choose it.
    gateway.send(Request::get("/").field("X-Nonce", "mine")).await;
    assert_ne!(origin.last().value("x-nonce"), Some("mine"));
}

#[tokio::test]
async fn report_only_and_routes_change_the_policy() {
    let origin = Origin::saying("hello").await;
    let override_here = json!({ "config": { "content_security_policy": { "report_only": true } } });
    let gateway = Setup::to(&origin)
        .plugin("security-headers", json!({ "grants": ["log", "crypto"] }))
        .route(json!({ "name": "rest", "proxy": { "upstream": "origin" } }))
        .route(json!({
            "name": "trying", "match": { "path": "/trying/*" }, "proxy": { "upstream": "origin" },
            "plugins": { "security-headers": override_here },
        }))
        .route(json!({
            "name": "off", "match": { "path": "/off" }, "proxy": { "upstream": "origin" },
            "plugins": { "security-headers": false },
        }))
        .start()
        .await;
    let rest = gateway.get("/").await;
    assert!(rest.fields.has("content-security-policy") && !rest.fields.has("content-security-policy-report-only"));
    let trying = gateway.get("/trying/x").await;
    assert!(!trying.fields.has("content-security-policy") && trying.fields.has("content-security-policy-report-only"));
    assert!(!gateway.get("/off").await.fields.has("x-content-type-options"));
    // Errors of the gateway carry them, too.
    origin.stop();
    let failed = gateway.get("/").await;
    assert_eq!((failed.status, failed.value("x-content-type-options")), (502, Some("nosniff")));
}
