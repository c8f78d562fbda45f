//! What instances share through a real Redis: responses, purges, the right to fetch.

use portcullis_tests::{Gate, Gateway, Origin, RedisServer, Reply, Request, Response, Setup, Value, eventually, json};

fn cached() -> Value {
    json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } })
}

/// A gateway that has joined the others.
async fn instance(origin: &Origin, redis: &RedisServer, more: &Value) -> Gateway {
    let before = redis.command(&["ZCARD", "portcullis:{purges}:alive"]).await;
    let before: usize = before.trim().parse().expect("a number");
    let shared = json!({ "redis": { "url": redis.url() } });
    let gateway = Setup::to(origin).route(cached()).patch(&shared).patch(more).start().await;
    members(redis, before + 1).await;
    gateway
}

async fn members(redis: &RedisServer, count: usize) {
    eventually("all members", || async {
        let members = redis.command(&["ZCARD", "portcullis:{purges}:alive"]).await;
        members.contains(&count.to_string()).then_some(())
    })
    .await;
}

/// Waits until so many responses are in Redis.
async fn shared(redis: &RedisServer, count: usize) {
    eventually("responses in Redis", || async {
        let keys = redis.command(&["KEYS", "portcullis:cache:*"]).await;
        (keys.matches("portcullis:cache:").count() >= count).then_some(())
    })
    .await;
}

fn is_hit(response: &Response) -> bool {
    response.value("cache-status").is_some_and(|status| status.starts_with("portcullis; hit"))
}

async fn counting(vary: bool) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let reply =
            Reply::ok(format!("body {number}")).field("Cache-Control", "max-age=60").field("Surrogate-Key", "t");
        if vary { reply.field("Vary", "Accept-Language") } else { reply }
    })
    .await
}

#[tokio::test]
async fn what_one_stores_the_others_find() {
    let (origin, redis) = (counting(false).await, RedisServer::start(&[]).await);
    let one = instance(&origin, &redis, &json!({})).await;
    let two = instance(&origin, &redis, &json!({})).await;
    assert_eq!(one.get("/").await.text(), "body 0");
    shared(&redis, 1).await;
    let found = two.get("/").await;
    assert_eq!((found.text(), is_hit(&found), found.value("surrogate-key")), ("body 0", true, Some("t")));
    // From memory now.
    redis.command(&["FLUSHALL"]).await;
    assert!(is_hit(&two.get("/").await));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn variants_are_shared_each_for_itself() {
    let (origin, redis) = (counting(true).await, RedisServer::start(&[]).await);
    let one = instance(&origin, &redis, &json!({})).await;
    let two = instance(&origin, &redis, &json!({})).await;
    let request = |language: &str| Request::get("/").field("Accept-Language", language);
    assert_eq!(one.send(request("de")).await.text(), "body 0");
    assert_eq!(one.send(request("fr")).await.text(), "body 1");
    shared(&redis, 3).await;
    for (language, expected) in [("fr", "body 1"), ("de", "body 0"), ("en", "body 2")] {
        assert_eq!(two.send(request(language)).await.text(), expected, "{language}");
    }
}

#[tokio::test]
async fn what_is_changed_through_one_is_forgotten_by_all() {
    let (origin, redis) = (counting(false).await, RedisServer::start(&[]).await);
    let one = instance(&origin, &redis, &json!({})).await;
    let two = instance(&origin, &redis, &json!({})).await;
    one.get("/").await;
    shared(&redis, 1).await;
    assert!(is_hit(&two.get("/").await));
    one.send(Request::new("PUT", "/").body("x")).await;
    assert!(!is_hit(&one.get("/").await));
    two.until("the purge", Request::get("/"), |response| response.text() != "body 0").await;
    // An instance that starts later knows of it, too.
    one.send(Request::new("PUT", "/").body("x")).await;
    let seen = origin.seen().len();
    let three = instance(&origin, &redis, &json!({})).await;
    assert_eq!(three.get("/").await.text(), format!("body {seen}"));
}

#[tokio::test]
async fn one_instance_fetches_for_all() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("once").field("Cache-Control", "max-age=60").behind(&held)).await;
    let redis = RedisServer::start(&[]).await;
    let one = std::sync::Arc::new(instance(&origin, &redis, &json!({})).await);
    let two = std::sync::Arc::new(instance(&origin, &redis, &json!({})).await);
    let ask = |gateway: &std::sync::Arc<Gateway>| {
        let gateway = std::sync::Arc::clone(gateway);
        tokio::spawn(async move { gateway.get("/").await.text().to_owned() })
    };
    let first = ask(&one);
    origin.wait_for(1).await;
    let second = ask(&two);
    gate.open();
    assert_eq!((first.await.expect("one"), second.await.expect("two")), ("once".to_owned(), "once".to_owned()));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn without_redis_everything_goes_on() {
    let (origin, mut redis) = (counting(false).await, RedisServer::start(&[]).await);
    let one = instance(&origin, &redis, &json!({})).await;
    let two = instance(&origin, &redis, &json!({})).await;
    one.get("/kept").await;
    shared(&redis, 1).await;
    assert!(is_hit(&two.get("/kept").await));
    redis.kill();
    // From memory, and from the upstream.
    assert!(is_hit(&two.get("/kept").await));
    assert_eq!(two.get("/new").await.status, 200);
    eventually("degraded", || async { one.admin("/readyz").await.text().contains("degraded: redis").then_some(()) })
        .await;
    // What is purged now reaches the other when Redis is back.
    one.send(Request::new("PUT", "/kept").body("x")).await;
    assert!(!is_hit(&one.get("/kept").await));
    redis.launch().await;
    two.until("the purge", Request::get("/kept"), |response| response.text() != "body 0").await;
    eventually("ready", || async { (one.admin("/readyz").await.text() == "ready\n").then_some(()) }).await;
}

#[tokio::test]
async fn what_leaves_the_process_is_encrypted_where_that_is_wanted() {
    let (origin, redis) = (counting(false).await, RedisServer::start(&[]).await);
    let key = |letter: &str| letter.repeat(43);
    let with = |keys: Value, current: &str| json!({ "cache": { "encryption": { "keys": keys, "current": current } } });
    let one = instance(&origin, &redis, &with(json!({ "a": key("A") }), "a")).await;
    one.get("/").await;
    shared(&redis, 1).await;
    let name = redis.command(&["KEYS", "portcullis:cache:*"]).await;
    let name = name.trim().rsplit(['\n', ' ']).next().expect("a key").trim_matches('"').to_owned();
    assert!(!redis.command(&["GET", &name]).await.contains("body"));
    // Rotation: the new key writes, the old one still reads.
    let rotated = instance(&origin, &redis, &with(json!({ "a": key("A"), "b": key("E") }), "b")).await;
    assert_eq!(rotated.get("/").await.text(), "body 0");
    // Without the key it is a miss.
    let stranger = instance(&origin, &redis, &with(json!({ "b": key("E") }), "b")).await;
    assert_eq!(stranger.get("/").await.text(), "body 1");
}

#[tokio::test]
async fn nothing_stale_is_read_after_a_purge_was_confirmed() {
    let (origin, redis) = (counting(false).await, RedisServer::start(&[]).await);
    let one = instance(&origin, &redis, &json!({})).await;
    let two = instance(&origin, &redis, &json!({})).await;
    let number = |response: &Response| response.text().trim_start_matches("body ").parse::<i32>().expect("a number");
    let mut newest = -1;
    for round in 0..30 {
        let bodies = [&two, &one, &two, &one].map(|gateway| gateway.get("/"));
        let mut seen = Vec::new();
        for body in bodies {
            seen.push(number(&body.await));
        }
        assert!(seen.iter().all(|number| *number > newest), "round {round}: {seen:?} after {newest}");
        newest = seen.into_iter().max().expect("some");
        let purge = Request::post("/api/v1/cache/purge", r#"{"tag":"t"}"#).field("Content-Type", "application/json");
        let receipt = one.ask_admin(&purge).await;
        assert_eq!((receipt.status, receipt.json()["instances"].as_str()), (200, Some("confirmed")));
    }
}

#[tokio::test]
async fn a_cluster_is_shared_too() {
    let origin = counting(false).await;
    let redis = portcullis_tests::RedisCluster::start(3).await;
    let urls: Vec<String> = redis.nodes.iter().map(RedisServer::url).collect();
    let shared = json!({ "redis": { "cluster": urls } });
    let start = async || Setup::to(&origin).route(cached()).patch(&shared).start().await;
    let (one, two) = (start().await, start().await);
    // Until both have joined, each fetches for itself.
    let attempts = std::cell::Cell::new(0);
    let target = eventually("the same response", || async {
        attempts.set(attempts.get() + 1);
        let target = format!("/{}", attempts.get());
        let (first, second) = (one.get(&target).await, two.get(&target).await);
        (first.text() == second.text()).then_some(target)
    })
    .await;
    let old = one.get(&target).await.text().to_owned();
    one.send(Request::new("PUT", &target).body("x")).await;
    assert_ne!(one.get(&target).await.text(), old);
    two.until("the purge", Request::get(&target), |response| response.text() != old).await;
}

#[tokio::test]
async fn who_is_cut_off_for_too_long_validates_what_it_has() {
    let (origin, mut redis) = (counting(false).await, RedisServer::start(&[]).await);
    let shared = |cut_off: &str| json!({ "cache": { "shared": { "lease_seconds": 2, "cut_off": cut_off } } });
    let careful = instance(&origin, &redis, &shared("validate")).await;
    let bold = instance(&origin, &redis, &shared("serve")).await;
    careful.get("/careful").await;
    bold.get("/bold").await;
    redis.kill();
    assert!(is_hit(&careful.get("/careful").await));
    careful.until("the end of the lease", Request::get("/careful"), |response| !is_hit(response)).await;
    assert!(is_hit(&bold.get("/bold").await));
    redis.launch().await;
    careful.until("being in step again", Request::get("/careful"), is_hit).await;
}
