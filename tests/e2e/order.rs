//! Where each hook stands in the life of a request, in which order plugins are asked, and what a verdict does to the rest.

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, json};

/// Two tracing plugins, `a` before `b`.
fn traced(setup: Setup) -> Setup {
    setup.guest_as("a", "trace-order", json!({ "config": { "label": "a" } })).guest_as(
        "b",
        "trace-order",
        json!({ "config": { "label": "b" } }),
    )
}

fn trace(response: &Response) -> Vec<&str> {
    response.value("x-trace-all").unwrap_or_default().split(' ').collect()
}

#[tokio::test]
async fn plugins_see_the_request_in_order_and_the_response_in_reverse() {
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin)).start().await;

    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert_eq!(
        trace(&response),
        ["a:pre-route", "b:pre-route", "a:pre-handler", "b:pre-handler", "b:post-handler", "a:post-handler"]
    );
    assert_eq!(response.values("x-trace").join(","), "b:post-handler,a:post-handler");
    let to_origin = origin.last().fields.values("x-trace").join(",");
    assert_eq!(to_origin, "a:pre-route,b:pre-route,a:pre-handler,b:pre-handler");

    let last = gateway.logs().wait_for_words(0, &["trace a", "a:post-response"]).await;
    let after = "a:post-handler b:post-response a:post-response";
    assert!(last.says(&[after]), "{}", last.raw());
    gateway.stop().await;
}

#[tokio::test]
async fn the_cache_hooks_stand_around_the_handler_and_a_hit_still_meets_the_others() {
    let origin = Origin::start(|_| Reply::ok("cached").field("Cache-Control", "max-age=60")).await;
    let setup = Setup::to(&origin).route(json!({ "name": "c", "cache": true, "proxy": { "upstream": "origin" } }));
    let gateway = traced(setup).start().await;

    let before = ["a:pre-route", "b:pre-route", "a:pre-handler", "b:pre-handler", "a:cache-key", "b:cache-key"];
    let (admit, after) = (["a:cache-admit", "b:cache-admit"], ["b:post-handler", "a:post-handler"]);
    let miss = gateway.get("/x").await;
    assert_eq!(trace(&miss), [&before[..], &admit, &after].concat());
    let hit = gateway.get("/x").await;
    assert_eq!(trace(&hit), [&before[..], &after].concat());
    assert_eq!((hit.text(), origin.seen().len()), ("cached", 1));
    // What the cache keeps is what the handler gave: the marks of the miss are not in it.
    assert_eq!(hit.values("x-trace").join(","), "b:post-handler,a:post-handler");
}

#[tokio::test]
async fn on_error_is_asked_in_order_and_the_response_hooks_run_on_what_comes_out() {
    let origin = Origin::start(|_| Reply::hang_up()).await;
    let gateway = traced(Setup::to(&origin)).guest("error-page", json!({})).start().await;

    let response = gateway.get("/broken?x=1").await;
    assert_eq!((response.status, response.value("x-error-page")), (502, Some("yes")));
    assert!(
        response.text().contains("reason=upstream_protocol fault=Fault::Upstream path=/broken"),
        "{}",
        response.text()
    );
    let expected = ["a:on-error", "b:on-error", "b:post-handler", "a:post-handler"];
    assert_eq!(trace(&response)[4..], expected);
}

#[tokio::test]
async fn no_error_hook_for_the_errors_of_others() {
    let origin = Origin::start(|_| Reply::new(503, "tired")).await;
    let gateway = Setup::to(&origin).guest("error-page", json!({})).start().await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text(), response.value("x-error-page")), (503, "tired", None));
}

async fn answering_in(hook: &str) -> (Origin, Gateway) {
    let origin = Origin::saying("from the origin").await;
    let early = json!({ "config": { "place": { "hook": hook }, "status": 418, "body": "early" } });
    let setup = Setup::to(&origin).guest_as("a", "trace-order", json!({ "config": { "label": "a" } }));
    let setup = setup.guest_as("early", "respond-early", early);
    let gateway = setup.guest_as("b", "trace-order", json!({ "config": { "label": "b" } })).start().await;
    (origin, gateway)
}

#[tokio::test]
async fn an_answer_in_pre_handler_skips_the_rest_and_the_handler() {
    let (origin, gateway) = answering_in("pre-handler").await;
    let response = gateway.get("/").await;
    assert_eq!(
        (response.status, response.text(), response.value("x-answered-in")),
        (418, "early", Some("pre-handler"))
    );
    let expected = ["a:pre-route", "b:pre-route", "a:pre-handler", "b:post-handler", "a:post-handler"];
    assert_eq!(trace(&response), expected);
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn an_answer_in_pre_route_skips_routing() {
    let (origin, gateway) = answering_in("pre-route").await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text()), (418, "early"));
    assert_eq!(trace(&response), ["a:pre-route", "b:post-handler", "a:post-handler"]);
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn an_answer_in_post_handler_replaces_the_response_for_the_hooks_that_remain() {
    let (origin, gateway) = answering_in("post-handler").await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.text()), (418, "early"));
    // b's mark went with the response it was on.
    assert_eq!(response.values("x-trace"), ["a:post-handler"]);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_but_its_length() {
    let (_origin, gateway) = answering_in("pre-handler").await;
    let response = gateway.send(Request::new("HEAD", "/")).await;
    assert_eq!((response.status, response.value("content-length")), (418, Some("5")));
}

#[tokio::test]
async fn editing_the_json_reorders_the_chain() {
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin)).start().await;
    assert_eq!(trace(&gateway.get("/").await)[0], "a:pre-route");

    let mut chain = gateway.config()["plugins"]["chain"].clone();
    chain.as_array_mut().unwrap().reverse();
    gateway.patch_config(&json!({ "plugins": { "chain": chain } }));
    let turned = |response: &Response| trace(response)[0] == "b:pre-route";
    let response = gateway.until("the new order", Request::get("/"), turned).await;
    assert_eq!(response.values("x-trace").join(","), "a:post-handler,b:post-handler");
}

#[tokio::test]
async fn a_plugin_runs_where_the_configuration_says() {
    let origin = Origin::saying("hello").await;
    let proxy = json!({ "upstream": "origin" });
    let gateway = Setup::to(&origin)
        .guest_as("everywhere", "trace-order", json!({ "config": { "label": "everywhere" } }))
        .guest_as("some", "trace-order", json!({ "config": { "label": "some" }, "routes": ["one", "three"] }))
        .route(json!({ "name": "one", "match": { "path": "/one" }, "proxy": proxy }))
        .route(
            json!({ "name": "two", "match": { "path": "/two" }, "proxy": proxy, "plugins": { "everywhere": false } }),
        )
        .route(json!({
            "name": "three", "match": { "path": "/three" }, "proxy": proxy,
            "plugins": { "some": { "config": { "label": "other" } } },
        }))
        .start()
        .await;

    let marks = async |target: &str| gateway.get(target).await.values("x-trace").join(",");
    assert_eq!(marks("/one").await, "some:post-handler,everywhere:post-handler");
    assert_eq!(marks("/two").await, "");
    assert_eq!(marks("/three").await, "other:post-handler,everywhere:post-handler");
    // No route: the gateway's own 404, with the plugins that are for everything.
    assert_eq!(marks("/four").await, "everywhere:post-handler");
}

#[tokio::test]
async fn files_that_the_chain_does_not_name_join_its_end() {
    let origin = Origin::saying("hello").await;
    let with_file = |setup: Setup| setup.file("version.wasm", portcullis_tests::artefacts::version(7));
    let gateway = with_file(traced(Setup::to(&origin))).start().await;
    assert_eq!(gateway.get("/").await.value("x-version"), Some("00000007"));

    let ignoring = json!({ "plugins": { "unlisted": "ignore" } });
    let gateway = with_file(traced(Setup::to(&origin))).patch(&ignoring).start().await;
    assert_eq!(gateway.get("/").await.value("x-version"), None);
}

#[tokio::test]
async fn pre_route_decides_the_route() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin)
        .guest("rewrite", json!({}))
        .route(json!({ "name": "get", "match": { "path": "/target", "methods": ["GET"] }, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "host", "match": { "host": "other.test" }, "respond": { "body": "other host" } }))
        .start()
        .await;
    assert_eq!(gateway.get("/elsewhere").await.status, 404);

    let response = gateway.send(Request::get("/elsewhere").field("X-Set-Path", "/target?a=b")).await;
    assert_eq!((response.status, origin.last().target.as_str()), (200, "/target?a=b"));
    let response = gateway.send(Request::new("DELETE", "/target").field("X-Set-Method", "GET")).await;
    assert_eq!((response.status, origin.last().method.as_str()), (200, "GET"));
    let response = gateway.send(Request::get("/").field("X-Set-Authority", "other.test")).await;
    assert_eq!(response.text(), "other host");

    let refused = Request::get("/target").field("X-Set-Path", "no slash").field("X-Set-Method", "G E T");
    assert_eq!(gateway.send(refused).await.status, 200);
    assert_eq!(origin.last().value("x-rewrite-refused"), Some("path,method"));
}

#[tokio::test]
async fn attributes_pass_from_plugin_to_plugin() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin)
        .guest("attribute-writer", json!({ "attributes": { "auth.subject": "ann", "tier": "gold" } }))
        .guest("attribute-reader", json!({ "names": ["auth.subject", "tier", "unknown"] }))
        .start()
        .await;
    let response = gateway.get("/").await;
    let seen = origin.last();
    for (name, value) in [("auth.subject", "ann"), ("tier", "gold"), ("unknown", "none")] {
        let field = format!("x-attribute-{name}");
        assert_eq!((seen.value(&field), response.value(&field)), (Some(value), Some(value)), "{name}");
    }
}

#[tokio::test]
async fn a_fresh_instance_belongs_to_one_configuration_only() {
    let origin = Origin::saying("hello").await;
    // `pre-route` runs with the gateway's configuration, what follows with the route's, in instances of their own.
    let entry = json!({ "instance": "per_request", "config": { "label": "gateway" } });
    let gateway = Setup::to(&origin)
        .guest_as("trace", "trace-order", entry)
        .route(json!({
            "name": "own",
            "plugins": { "trace": { "config": { "label": "route" } } },
            "proxy": { "upstream": "origin" }
        }))
        .start()
        .await;
    assert_eq!(trace(&gateway.get("/").await), ["gateway:pre-route", "route:pre-handler", "route:post-handler"]);
}
