//! What a Redis that is absent, killed, stalled or full does to those who ask.

use super::*;

#[tokio::test]
async fn a_redis_that_comes_later_is_found() {
    let mut server = RedisServer::absent(&[]);
    let redis = Redis::start(single(&server)).unwrap();
    let mut heard = redis.subscribe(b"news");
    degraded(&redis, "refused").await;
    let trouble = redis.get(b"a").await.unwrap_err();
    assert_eq!(trouble.reason(), "absent");
    assert!(trouble.to_string().contains(&server.address().to_string()), "{trouble}");
    server.launch().await;
    healthy(&redis).await;
    redis.set(b"a", b"1", MINUTE).await.unwrap();
    assert_eq!(next(&mut heard).await, Heard::Connected);
}

#[tokio::test]
async fn a_redis_that_is_killed_is_found_again() {
    let mut server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    server.kill();
    assert_eq!(next(&mut heard).await, Heard::Lost);
    degraded(&redis, "is not connected").await;
    assert_eq!(redis.connections(), 0);
    assert!(matches!(redis.get(b"a").await.unwrap_err(), Trouble::Absent { .. }));
    server.launch().await;
    healthy(&redis).await;
    assert_eq!(redis.increment(b"n").await.unwrap(), 1);
    assert_eq!(next(&mut heard).await, Heard::Connected);
    redis.publish(b"news", b"back").await.unwrap();
    assert_eq!(next(&mut heard).await, message("back"));
}

#[tokio::test]
async fn a_stalled_redis_holds_nobody() {
    let server = RedisServer::start(&[]).await;
    let timeout = Duration::from_millis(100);
    let breaker = BreakerSettings { failures: 3, open_for: Duration::from_millis(50) };
    let redis = connected(Settings { timeout, breaker, ..single(&server) }).await;
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    server.stall();
    let before = time::now();
    for _ in 0..3 {
        assert_eq!(redis.get(b"a").await.unwrap_err(), Trouble::Timeout { after: timeout });
    }
    let held = time::now() - before;
    assert!(held >= timeout * 3, "{held:?}");
    // Three timeouts, and room for a machine that does other things as well.
    assert!(held < timeout * 3 + Duration::from_secs(5), "{held:?}");
    degraded(&redis, "does not answer").await;
    let before = time::now();
    for _ in 0..100 {
        let trouble = redis.get(b"a").await.unwrap_err();
        assert!(matches!(trouble, Trouble::Open { .. }), "{trouble}");
    }
    assert!(time::now() - before < timeout * 50, "it is not waited for");
    assert_eq!(next(&mut heard).await, Heard::Lost);
    server.resume();
    healthy(&redis).await;
    assert_eq!(redis.get(b"a").await.unwrap(), None);
    assert_eq!(next(&mut heard).await, Heard::Connected);
    let mut out = Exposition::default();
    redis.expose(&mut out);
    let out = out.finish();
    for line in [
        "portcullis_redis_commands_total 104",
        "portcullis_redis_failures_total{reason=\"timeout\"} 3",
        "portcullis_redis_failures_total{reason=\"open\"} 100",
        "portcullis_redis_failures_total{reason=\"busy\"} 0",
        "portcullis_redis_breaker_opened_total 1",
        "portcullis_redis_connected 1",
        "portcullis_redis_connections 2",
        "portcullis_redis_healthy 1",
    ] {
        assert!(out.lines().any(|written| written == line), "{line} is not in\n{out}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_but_never_answers_is_not_connected() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
    let redis = Redis::start(settings(Nodes::Single(address))).unwrap();
    let _streams = [listener.accept().await.unwrap(), listener.accept().await.unwrap()];
    assert_eq!(redis.get(b"a").await.unwrap_err().reason(), "absent");
    degraded(&redis, "no answer within 5 s").await;
}

#[tokio::test]
async fn more_commands_than_can_wait_are_refused_at_once() {
    let server = RedisServer::start(&[]).await;
    let breaker = BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() };
    let redis = connected(Settings { timeout: Duration::from_secs(2), breaker, ..single(&server) }).await;
    server.stall();
    let asked = (0..10_000).map(|_| redis.get(b"a"));
    let mut reasons: Vec<_> =
        futures_util::future::join_all(asked).await.into_iter().map(|result| result.unwrap_err().reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons, ["busy", "timeout"]);
    server.resume();
    assert_eq!(redis.get(b"a").await.unwrap(), None);
}

#[tokio::test]
async fn a_full_redis_says_so_and_still_gives() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    redis.set(b"a", b"1", MINUTE).await.unwrap();
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "1"]).await, "OK");
    let trouble = redis.set(b"b", b"2", MINUTE).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Full { .. }), "{trouble}");
    assert_eq!(text(redis.get(b"a").await.unwrap()).unwrap(), "1");
    degraded(&redis, "OOM").await;
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "0"]).await, "OK");
    redis.set(b"b", b"2", MINUTE).await.unwrap();
    healthy(&redis).await;
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_left() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(Settings { connections: 1, ..single(&server) }).await;
    let id = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
    let port = portcullis_tests::redis::own_address().port().to_string();
    assert_eq!(server.command(&["REPLICAOF", "127.0.0.1", &port]).await, "OK");
    let trouble = redis.set(b"a", b"1", MINUTE).await.unwrap_err();
    assert!(trouble.to_string().contains("READONLY"), "{trouble}");
    portcullis_tests::eventually("a new connection", || async {
        let now = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
        (redis.connections() == 1 && now.lines().next() != id.lines().next()).then_some(())
    })
    .await;
    assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]).await, "OK");
    portcullis_tests::eventually("it can be written", || async { redis.set(b"a", b"1", MINUTE).await.ok() }).await;
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    let heard = redis.subscribe(b"news");
    drop((redis.clone(), redis));
    let mut heard = heard;
    portcullis_tests::eventually("the end", || {
        let ended = heard.is_closed() || matches!(heard.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        async move { ended.then_some(()) }
    })
    .await;
    portcullis_tests::eventually("no connection is left", || async {
        (server.command(&["CLIENT", "LIST"]).await.lines().count() == 1).then_some(())
    })
    .await;
}
