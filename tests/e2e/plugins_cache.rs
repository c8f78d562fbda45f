//! `smart-cache` as users meet it: ttl by route, path and status, keys, bypass, tags, what clients see.

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, Value, json};

/// An origin whose answers are numbered; `/404` and the like answer with that status, `X-Field: name=value` asks for a field.
async fn numbering() -> Origin {
    let count = AtomicU32::new(0);
    Origin::start(move |seen| {
        let number = count.fetch_add(1, Ordering::SeqCst).to_string();
        let status = seen.target.trim_start_matches('/').parse().unwrap_or(200);
        let fields = seen.fields.values("x-field").into_iter().filter_map(|field| field.split_once('='));
        fields.fold(Reply::new(status, number), |reply, (name, value)| reply.field(name, value))
    })
    .await
}

async fn with(config: Value) -> (Origin, Gateway) {
    let origin = numbering().await;
    let entry = json!({ "config": config, "grants": ["log", "metrics", "clock", "kv"] });
    let gateway = Setup::to(&origin)
        .plugin("smart-cache", entry)
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .route(json!({
            "name": "short", "match": { "path": "/short" }, "cache": true, "proxy": { "upstream": "origin" },
            "plugins": { "smart-cache": { "config": { "ttl": "0s" } } },
        }))
        .start()
        .await;
    (origin, gateway)
}

fn field(request: Request, field: &str) -> Request {
    request.field("X-Field", field)
}

/// Whether the second request gets what the first got.
async fn shared(gateway: &Gateway, first: Request, second: Request) -> bool {
    let first = gateway.send(first).await;
    gateway.send(second).await.body == first.body
}

async fn is_stored(gateway: &Gateway, request: Request) -> bool {
    shared(gateway, request.clone(), request).await
}

#[tokio::test]
async fn how_long_depends_on_route_path_and_status() {
    let (_origin, gateway) = with(json!({
        "ttl": "1h",
        "statuses": { "410": "1h", "5xx": "1h", "503": "0s" },
        "negative_ttl": "1h",
        "paths": [{ "path": "/never/*", "store": false }, { "path": "/short-lived", "ttl": "1ms" }],
    }))
    .await;
    let check = async |target: &str, expected: bool| {
        assert_eq!(is_stored(&gateway, Request::get(target)).await, expected, "{target}");
    };
    check("/page", true).await;
    check("/404", true).await;
    check("/410", true).await;
    check("/500", true).await;
    check("/503", false).await;
    check("/403", false).await;
    check("/never/x", false).await;
    check("/short", false).await;
}

#[tokio::test]
async fn the_origins_word_counts_unless_it_is_overridden() {
    let no_store = || field(Request::get("/x"), "Cache-Control=no-store");
    let (_origin, gateway) = with(json!({ "ttl": "1h" })).await;
    assert!(!is_stored(&gateway, no_store()).await);
    assert!(!is_stored(&gateway, field(Request::get("/cookie"), "Set-Cookie=a=b")).await);
    let (_origin, gateway) = with(json!({ "ttl": "1h", "override_origin": true })).await;
    assert!(is_stored(&gateway, no_store()).await);
}

#[tokio::test]
async fn without_configuration_http_decides() {
    let (_origin, gateway) = with(json!({})).await;
    assert!(!is_stored(&gateway, Request::get("/a")).await);
    assert!(is_stored(&gateway, field(Request::get("/b"), "Cache-Control=max-age=60")).await);
}

#[tokio::test]
async fn the_key_is_made_of_what_matters() {
    let (_origin, gateway) = with(json!({
        "ttl": "1h",
        "key": { "headers": ["x-tenant"], "cookies": ["flavour"], "query": { "deny": ["utm_*"] }, "sort_query": true },
    }))
    .await;
    let get = Request::get;
    assert!(shared(&gateway, get("/a?x=1&y=2&utm_source=mail"), get("/a?y=2&x=1")).await);
    assert!(!shared(&gateway, get("/b?x=1"), get("/b?x=2")).await);
    let tenant = |name: &str| get("/c").field("X-Tenant", name);
    assert!(!shared(&gateway, tenant("one"), tenant("two")).await);
    assert!(shared(&gateway, tenant("one"), tenant("one")).await);
    let cookie = |text: &str| get("/d").field("Cookie", text);
    assert!(shared(&gateway, cookie("flavour=sweet; session=1"), cookie("session=2; flavour=sweet")).await);
    assert!(!shared(&gateway, cookie("flavour=sweet"), cookie("flavour=salty")).await);

    let (_origin, gateway) =
        with(json!({ "ttl": "1h", "key": { "query": { "allow": ["page"] }, "host": false } })).await;
    assert!(shared(&gateway, get("/a?page=1&z=1"), get("/a?z=2&page=1").host("other.test")).await);
    assert!(!shared(&gateway, get("/a?page=1"), get("/a?page=2")).await);
}

#[tokio::test]
async fn some_requests_go_around_the_cache() {
    let (_origin, gateway) = with(json!({
        "ttl": "1h",
        "bypass": { "cookies": ["session"], "headers": [{ "name": "x-preview" }], "query": ["nocache"] },
    }))
    .await;
    let get = || Request::get("/a");
    assert!(is_stored(&gateway, get()).await);
    assert!(!shared(&gateway, get(), get().field("Cookie", "a=b; session=1")).await);
    assert!(!shared(&gateway, get(), get().field("X-Preview", "1")).await);
    assert!(!shared(&gateway, get(), get().field("Authorization", "Basic eDp5")).await);
    assert!(!is_stored(&gateway, Request::get("/a?nocache=1")).await);
    // What went around it has not replaced what is in it.
    assert!(shared(&gateway, get(), get()).await);
}

#[tokio::test]
async fn clients_see_the_cache_control_of_the_path_and_no_tags() {
    let (_origin, gateway) = with(json!({
        "ttl": "1h",
        "tags": { "headers": ["surrogate-key"] },
        "cache_control": [
            { "path": "/static/*", "value": "public, max-age=31536000, immutable" },
            { "path": "/own/*" },
            { "value": "no-store" },
        ],
    }))
    .await;
    let sent = |target: &str| field(field(Request::get(target), "Cache-Control=max-age=5"), "Surrogate-Key=a b");
    let seen = async |target: &str| -> Response { gateway.send(sent(target)).await };
    assert_eq!(seen("/static/a.css").await.value("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(seen("/own/a").await.value("cache-control"), Some("max-age=5"));
    let rest = seen("/rest").await;
    assert_eq!((rest.value("cache-control"), rest.value("surrogate-key")), (Some("no-store"), None));
    // From the cache, too.
    let again = seen("/rest").await;
    assert_eq!((again.value("cache-control"), again.body == rest.body), (Some("no-store"), true));
}

#[tokio::test]
async fn what_never_changes_is_kept_longer() {
    let (_origin, gateway) = with(json!({ "adaptive": { "min": "1ms", "max": "1h", "share": 1.0 } })).await;
    // Unchanged for years, says Last-Modified: as long as allowed.
    let old = || field(Request::get("/old"), "Last-Modified=Tue, 01 Jan 2019 00:00:00 GMT");
    assert!(is_stored(&gateway, old()).await);
    // Nothing tells when it changed: not adapted, so HTTP decides.
    assert!(!is_stored(&gateway, Request::get("/unknown")).await);
}

#[tokio::test]
async fn a_length_counts_as_a_sign_of_change_where_that_is_wanted() {
    let (_origin, gateway) = with(json!({ "adaptive": { "min": "1h", "max": "1h", "by_length": true } })).await;
    assert!(is_stored(&gateway, Request::get("/unknown")).await);
}

#[tokio::test]
async fn negative_answers_are_stored_where_that_is_wanted() {
    let (_origin, gateway) = with(json!({})).await;
    assert!(!is_stored(&gateway, Request::get("/404")).await);
    let (_origin, gateway) = with(json!({ "negative": { "404": "1h", "5xx": "1h", "410": "0s" } })).await;
    let check = async |target: &str, expected: bool| {
        assert_eq!(is_stored(&gateway, Request::get(target)).await, expected, "{target}");
    };
    check("/404", true).await;
    check("/503", true).await;
    check("/410", false).await;
    check("/403", false).await;
    check("/200", false).await;
}

#[tokio::test]
async fn windows_neither_store_nor_forbid() {
    let (_origin, gateway) = with(json!({
        "stale_while_revalidate": "1h", "stale_if_error": "1h", "refresh_ahead": "10%",
        "statuses": { "404": { "ttl": "1h", "stale_if_error": "1h" } },
    }))
    .await;
    assert!(!is_stored(&gateway, Request::get("/nothing-said")).await);
    assert!(is_stored(&gateway, Request::get("/404")).await);
    assert!(is_stored(&gateway, field(Request::get("/a"), "Cache-Control=max-age=60")).await);
    assert!(!is_stored(&gateway, field(Request::get("/b"), "Cache-Control=no-store")).await);
    // What is for caches like this one counts and the rest does not.
    let targeted = field(field(Request::get("/c"), "Cache-Control=max-age=60"), "CDN-Cache-Control=no-store");
    assert!(!is_stored(&gateway, targeted).await);
}

#[tokio::test]
async fn purging_needs_the_grant_and_only_where_it_is_wanted() {
    let purges = json!({ "ttl": "1h", "purge_on": [{ "path": "/articles/*", "tags": ["article-{1}"] }] });
    let origin = numbering().await;
    let entry = |grants: &[&str]| json!({ "config": purges, "grants": grants });
    let setup = Setup::to(&origin).plugin("smart-cache", entry(&["clock", "kv"]));
    let (_, output) = Gateway::fail_to_start(&setup).await;
    assert!(output.contains("is not granted `cache`; add \"cache\" to plugins.chain[0].grants"), "{output}");

    // A write is answered whatever comes of the purge.
    let gateway = Setup::to(&origin).plugin("smart-cache", entry(&["clock", "kv", "cache"])).start().await;
    assert_eq!(gateway.send(Request::post("/articles/5", "new")).await.status, 200);
    assert_eq!(gateway.get("/articles/5").await.status, 200);
}

#[tokio::test]
async fn a_purge_that_names_nothing_is_refused() {
    let origin = numbering().await;
    let wrong = |text: &str| {
        let config = json!({ "purge_on": [{ "path": "/articles/*", "tags": [text] }] });
        Setup::to(&origin).plugin("smart-cache", json!({ "config": config, "grants": ["clock", "kv", "cache"] }))
    };
    let (_, output) = Gateway::fail_to_start(&wrong("article-{2}")).await;
    assert!(output.contains("purge_on[0]: `article-{2}`: the path has no `*` number 2"), "{output}");
}
