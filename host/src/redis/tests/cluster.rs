//! A real Redis Cluster: keys on all nodes, a slot that moves, a node that dies.

use portcullis_tests::RedisCluster;

use super::*;

fn of(cluster: &RedisCluster) -> Settings {
    settings(Nodes::Cluster(cluster.nodes.iter().map(at).collect()))
}

/// A key for each of three nodes.
fn keys() -> [Vec<u8>; 3] {
    let key = |node: u16| {
        let of_node = |key: &Vec<u8>| {
            let slot = slots::slot(&[Settings::PREFIX.as_bytes(), key].concat());
            slot / 5462 == node
        };
        (0..).map(|number| format!("key-{number}").into_bytes()).find(of_node).unwrap()
    };
    [key(0), key(1), key(2)]
}

#[tokio::test]
async fn keys_are_on_all_nodes_and_one_that_dies_takes_only_its_own() {
    let mut cluster = RedisCluster::start(3).await;
    // One seed is enough to find the others.
    let redis = connected(settings(Nodes::Cluster(vec![at(&cluster.nodes[0])]))).await;
    portcullis_tests::eventually("two connections per node", || async { (redis.connections() == 6).then_some(()) })
        .await;
    let keys = keys();
    for key in &keys {
        redis.set(key, key, MINUTE).await.unwrap();
    }
    for node in &cluster.nodes {
        assert_eq!(node.command(&["DBSIZE"]).await, "1");
    }
    let many = redis.values(&keys).await.unwrap();
    assert_eq!(many.into_iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>(), keys);
    assert!(redis.lock(b"l", 1, MINUTE).await.unwrap());
    redis.unlock(b"l", 1).await.unwrap();
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    redis.publish(b"news", b"a").await.unwrap();
    assert_eq!(next(&mut heard).await, message("a"));

    cluster.nodes[2].kill();
    degraded(&redis, &cluster.nodes[2].address().to_string()).await;
    for key in &keys[..2] {
        assert_eq!(redis.get(key).await.unwrap().unwrap(), key);
        redis.set(key, b"again", MINUTE).await.unwrap();
    }
    assert_eq!(redis.get(&keys[2]).await.unwrap_err().reason(), "absent");
    assert_eq!(redis.values(&keys).await.unwrap_err().reason(), "absent");
    assert_eq!(redis.delete(&keys[..2]).await.unwrap(), 2);

    // It comes back without a memory of the others, as an empty node would.
    cluster.nodes[2].launch().await;
    portcullis_tests::eventually("its keys are known again", || async { redis.set(&keys[2], b"x", MINUTE).await.ok() })
        .await;
    healthy(&redis).await;
}

#[tokio::test]
async fn a_stalled_node_takes_only_its_own() {
    let cluster = RedisCluster::start(3).await;
    let timeout = Duration::from_millis(300);
    let redis = connected(Settings { timeout, ..of(&cluster) }).await;
    let keys = keys();
    cluster.nodes[1].stall();
    let before = time::now();
    let asked = keys.iter().cycle().take(60).map(|key| redis.get(key));
    let results = futures_util::future::join_all(asked).await;
    assert!(time::now() - before < timeout + Duration::from_secs(5));
    for (index, result) in results.iter().enumerate() {
        match index % 3 {
            1 => assert_eq!(result.as_ref().unwrap_err().reason(), "timeout"),
            _ => assert_eq!(result.as_ref().unwrap(), &None),
        }
    }
    degraded(&redis, "does not answer").await;
    assert_eq!(redis.get(&keys[1]).await.unwrap_err().reason(), "open");
    assert_eq!(redis.get(&keys[0]).await.unwrap(), None);
    cluster.nodes[1].resume();
    healthy(&redis).await;
    assert_eq!(redis.get(&keys[1]).await.unwrap(), None);
}

#[tokio::test]
async fn a_replica_takes_the_place_of_its_master() {
    let mut cluster = RedisCluster::start(3).await;
    cluster.add_replica(0).await;
    let redis = connected(of(&cluster)).await;
    let keys = keys();
    redis.set(&keys[0], b"1", MINUTE).await.unwrap();
    portcullis_tests::eventually("the replica has it", || async {
        (cluster.nodes[3].command(&["DBSIZE"]).await == "1").then_some(())
    })
    .await;
    cluster.nodes[0].kill();
    degraded(&redis, &cluster.nodes[0].address().to_string()).await;
    assert_eq!(redis.get(&keys[1]).await.unwrap(), None);
    portcullis_tests::eventually("the replica is asked", || async { redis.set(&keys[0], b"2", MINUTE).await.ok() })
        .await;
    assert_eq!(text(redis.get(&keys[0]).await.unwrap()).unwrap(), "2");
    healthy(&redis).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start(3).await;
    let redis = connected(of(&cluster)).await;
    let [key, ..] = keys();
    let slot = slots::slot(&[Settings::PREFIX.as_bytes(), &key].concat());
    cluster.move_slot(slot, 2).await;
    redis.set(&key, b"1", MINUTE).await.unwrap();
    assert_eq!(cluster.nodes[2].command(&["DBSIZE"]).await, "1");

    // Half way to another node: what is not here any more is asked for there.
    let ids =
        [cluster.nodes[1].command(&["CLUSTER", "MYID"]).await, cluster.nodes[2].command(&["CLUSTER", "MYID"]).await];
    let slot = slot.to_string();
    assert_eq!(cluster.nodes[1].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[1]]).await, "OK");
    assert_eq!(cluster.nodes[2].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[0]]).await, "OK");
    redis.delete(&[&key]).await.unwrap();
    redis.set(&key, b"2", MINUTE).await.unwrap();
    assert_eq!(cluster.nodes[1].command(&["DBSIZE"]).await, "1");
    assert_eq!(text(redis.get(&key).await.unwrap()).unwrap(), "2");
}

#[tokio::test]
async fn a_server_that_is_no_cluster_says_so() {
    let server = RedisServer::start(&[]).await;
    let redis = Redis::start(settings(Nodes::Cluster(vec![at(&server)]))).unwrap();
    degraded(&redis, "cluster support disabled").await;
    assert_eq!(redis.get(b"a").await.unwrap_err().reason(), "absent");
}

#[tokio::test]
async fn a_node_that_has_left_is_not_listened_to() {
    let mut cluster = RedisCluster::start(2).await;
    let redis = connected(of(&cluster)).await;
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    let mut listened = 0;
    for (index, node) in cluster.nodes.iter().enumerate() {
        if node.command(&["PUBSUB", "NUMSUB", "portcullis:news"]).await == "portcullis:news\n1" {
            listened = index;
        }
    }
    let gone = cluster.dismiss(listened).await;
    let slots = if listened == 0 { ["0", "8191"] } else { ["8192", "16383"] };
    let heir = &cluster.nodes[0];
    assert_eq!(heir.command(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await, "OK");
    // The distribution is looked at when a node refuses a command.
    let theirs = |key: &Vec<u8>| {
        let slot = slots::slot(&[Settings::PREFIX.as_bytes(), key].concat());
        usize::from(slot / 8192) == listened
    };
    let key = (0..).map(|number| format!("key-{number}").into_bytes()).find(theirs).unwrap();
    portcullis_tests::eventually("the heir has it", || async { redis.set(&key, b"1", MINUTE).await.ok() }).await;
    assert_eq!(next(&mut heard).await, Heard::Lost);
    assert_eq!(next(&mut heard).await, Heard::Connected);
    assert_eq!(heir.command(&["PUBSUB", "NUMSUB", "portcullis:news"]).await, "portcullis:news\n1");
    assert_eq!(gone.command(&["PUBSUB", "NUMSUB", "portcullis:news"]).await, "portcullis:news\n0");
}
