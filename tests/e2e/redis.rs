//! The link to Redis, as operators see it: the gateway serves with and without it, and says how it is.

use portcullis_tests::{Gateway, RedisServer, Setup, eventually, json};

fn setup(server: &RedisServer) -> Setup {
    let routes = json!([{ "name": "all", "respond": { "body": "served" } }]);
    let redis = json!({ "url": server.url(), "password": "${REDIS_PASSWORD}", "timeout_ms": 1000 });
    Setup::new().patch(&json!({ "routes": routes, "redis": redis })).environment("REDIS_PASSWORD", "hunter2")
}

async fn until_ready(gateway: &Gateway, text: &str) -> String {
    eventually(text, || async {
        let ready = gateway.admin("/readyz").await;
        assert_eq!(ready.status, 200);
        ready.text().starts_with(text).then(|| ready.text().to_owned())
    })
    .await
}

#[tokio::test]
async fn the_gateway_serves_without_it_and_says_so() {
    let mut server = RedisServer::absent(&["--requirepass", "hunter2"]);
    let gateway = setup(&server).start().await;
    assert_eq!(gateway.get("/").await.text(), "served");
    assert_eq!(until_ready(&gateway, "degraded").await, "degraded: redis\n");
    let health = gateway.admin("/api/v1/health").await;
    assert!(health.text().contains(&server.address().to_string()), "{}", health.text());
    assert_eq!(gateway.metric("portcullis_redis_connected").await, Some(0.0));

    server.launch().await;
    until_ready(&gateway, "ready\n").await;
    assert_eq!(gateway.metric("portcullis_redis_connected").await, Some(1.0));
    assert_eq!(gateway.metric("portcullis_redis_failures_total{reason=\"timeout\"}").await, Some(0.0));
    let status = || async { gateway.admin("/api/v1/state").await.json()["redis"].clone() };
    let expected = json!({ "healthy": true, "reason": null, "degraded_ms": null, "connections": 2 });
    eventually("both connections", || async { (status().await == expected).then_some(()) }).await;

    server.kill();
    until_ready(&gateway, "degraded: redis").await;
    assert_eq!(gateway.get("/").await.text(), "served");
    let status = gateway.admin("/api/v1/state").await;
    assert!(status.text().contains("is not connected"), "{}", status.text());
    let logs = gateway.stop().await.text();
    assert!(logs.contains("redis is well") && !logs.contains("hunter2"), "{logs}");
}

#[tokio::test]
async fn a_gateway_without_redis_has_nothing_to_say_of_it() {
    let gateway = Setup::new().route(json!({ "name": "all", "respond": { "body": "served" } })).start().await;
    assert_eq!(gateway.admin("/readyz").await.text(), "ready\n");
    assert_eq!(gateway.metric("portcullis_redis_connected").await, None);
}
