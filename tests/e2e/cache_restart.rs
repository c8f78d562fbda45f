//! What outlives a restart: stored responses, and what was asked for most; and what is asked for before clients do.

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, Value, eventually, json};

fn cached() -> Value {
    json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } })
}

async fn pages() -> Origin {
    Origin::start(|seen| match seen.target.as_str() {
        "/sitemap.xml" => Reply::ok("<urlset><url><loc>http://gateway.test/from/sitemap</loc></url></urlset>"),
        target => Reply::ok(target.to_owned()).field("Cache-Control", "max-age=600"),
    })
    .await
}

fn is_hit(response: &Response) -> bool {
    response.value("cache-status").is_some_and(|status| status.starts_with("portcullis; hit"))
}

async fn started(origin: &Origin, cache: &Value) -> Gateway {
    Setup::to(origin).route(cached()).patch(&json!({ "cache": cache })).start().await
}

#[tokio::test]
async fn what_is_stored_outlives_a_restart_once() {
    let origin = pages().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache.bin");
    let cache = json!({ "persist": { "path": path } });
    let gateway = started(&origin, &cache).await;
    gateway.get("/kept").await;
    gateway.get("/purged").await;
    gateway.send(Request::new("PUT", "/purged").body("x")).await;
    gateway.stop().await;
    let gateway = started(&origin, &cache).await;
    assert!(is_hit(&gateway.get("/kept").await));
    assert!(!is_hit(&gateway.get("/purged").await));
    // Taken away when it was read: a crash now would leave nothing that could have been purged since.
    assert!(!path.exists());
    gateway.stop().await;
    // What is damaged is said and costs nothing else.
    let mut bytes = std::fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&path, bytes).expect("the file");
    let gateway = started(&origin, &cache).await;
    gateway.logs().wait_for("a warning", |line| line.says(&["cache.persist"])).await;
    assert_eq!(gateway.get("/kept").await.status, 200);
}

#[tokio::test]
async fn lists_sitemaps_and_memories_are_asked_for_at_the_start() {
    let origin = pages().await;
    let folder = tempfile::tempdir().expect("a folder");
    let most_asked = json!({ "path": folder.path().join("state/asked.txt"), "count": 1 });
    let gateway = started(&origin, &json!({ "warm": { "most_asked": most_asked } })).await;
    for _ in 0..3 {
        gateway.get("/often").await;
    }
    gateway.get("/once").await;
    gateway.stop().await;
    let warm = json!({ "warm": {
        "urls": ["http://gateway.test/listed"],
        "sitemaps": ["http://gateway.test/sitemap.xml"],
        "most_asked": most_asked,
    } });
    let gateway = started(&origin, &warm).await;
    gateway.logs().wait_for("the end of warming", |line| line.says(&["warmed"])).await;
    for target in ["/listed", "/from/sitemap", "/often"] {
        assert!(is_hit(&gateway.get(target).await), "{target}");
    }
    assert!(!is_hit(&gateway.get("/once").await));
}

#[tokio::test]
async fn memory_is_given_back_before_anybody_is_refused() {
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 1 << 20]).field("Cache-Control", "max-age=600")).await;
    let gateway = started(&origin, &json!({})).await;
    let before = gateway.memory_bytes();
    drop(gateway);
    // Far more is stored than there is memory for.
    let limit = before + (64 << 20);
    let cache = json!({ "cache": { "memory_bytes_max": 1_u64 << 30 }, "overload": { "memory_bytes_max": limit } });
    let gateway = Setup::to(&origin).route(cached()).patch(&cache).start().await;
    for number in 0..150 {
        let target = format!("/{number}");
        // Faster than the memory is looked at: who is refused comes again.
        eventually("room", || async { (gateway.get(&target).await.status == 200).then_some(()) }).await;
    }
    assert!(gateway.logs().lines().iter().any(|line| line.says(&["given up"])));
}
