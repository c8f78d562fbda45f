//! A real master, its replica and sentinels: the master dies and another takes its place.

use portcullis_tests::RedisSentinels;

use super::*;

fn of(all: &RedisSentinels) -> Settings {
    settings(Nodes::Sentinel(Sentinel {
        sentinels: all.sentinels.iter().map(at).collect(),
        master: RedisSentinels::MASTER.to_owned(),
        access: Access::default(),
    }))
}

#[tokio::test]
async fn the_next_master_is_followed() {
    let mut all = RedisSentinels::start(3).await;
    let redis = connected(of(&all)).await;
    redis.set(b"a", b"1", MINUTE).await.unwrap();
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    portcullis_tests::eventually("the replica has it", || async {
        (all.servers[1].command(&["GET", "portcullis:a"]).await == "1").then_some(())
    })
    .await;
    all.servers[0].kill();
    assert_eq!(next(&mut heard).await, Heard::Lost);
    degraded(&redis, "is not connected").await;
    healthy(&redis).await;
    assert_eq!(text(redis.get(b"a").await.unwrap()).unwrap(), "1");
    redis.set(b"a", b"2", MINUTE).await.unwrap();
    assert_eq!(all.servers[1].command(&["GET", "portcullis:a"]).await, "2");
    assert_eq!(next(&mut heard).await, Heard::Connected);
}

#[tokio::test]
async fn a_master_that_nobody_knows_is_told() {
    let all = RedisSentinels::start(1).await;
    let mut settings = of(&all);
    if let Nodes::Sentinel(sentinel) = &mut settings.nodes {
        sentinel.master = "other".to_owned();
        // The first is not there at all.
        sentinel.sentinels.insert(0, at(&RedisServer::absent(&[])));
    }
    let redis = Redis::start(settings).unwrap();
    degraded(&redis, "knows no master \"other\"").await;
}
