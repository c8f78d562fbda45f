//! The link against real servers, which are killed, stalled, filled and moved about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cluster;
mod failures;
mod sentinel;

use std::time::Duration;

use portcullis_tests::{RedisServer, in_time};
use tokio::sync::mpsc;

use super::*;
use crate::tls::{ClientSettings, Verification};

const MINUTE: Duration = Duration::from_secs(60);

fn at(server: &RedisServer) -> Address {
    Address::Tcp("127.0.0.1".to_owned(), server.address().port())
}

/// Settings that fit a busy machine.
fn settings(nodes: Nodes) -> Settings {
    let breaker = BreakerSettings { open_for: Duration::from_millis(50), ..BreakerSettings::default() };
    Settings { timeout: Duration::from_secs(10), breaker, ..Settings::new(nodes) }
}

fn single(server: &RedisServer) -> Settings {
    settings(Nodes::Single(at(server)))
}

async fn healthy(redis: &Redis) {
    let mut conditions = redis.conditions();
    in_time("the link is well", conditions.wait_for(|condition| *condition == Condition::Healthy)).await.unwrap();
}

/// Waits until something is wrong whose description has this text.
async fn degraded(redis: &Redis, text: &str) {
    let mut conditions = redis.conditions();
    let wrong = |condition: &Condition| condition.reason().is_some_and(|reason| reason.contains(text));
    in_time(text, conditions.wait_for(|condition| wrong(condition))).await.unwrap();
}

async fn connected(settings: Settings) -> Redis {
    let redis = Redis::start(settings).unwrap();
    healthy(&redis).await;
    redis
}

async fn next(heard: &mut mpsc::Receiver<Heard>) -> Heard {
    in_time("something is heard", heard.recv()).await.unwrap()
}

fn message(text: &'static str) -> Heard {
    Heard::Message(Bytes::from_static(text.as_bytes()))
}

fn text(value: Option<Bytes>) -> Option<String> {
    value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn values_are_kept_under_the_prefix() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    assert_eq!(redis.get(b"a").await.unwrap(), None);
    redis.set(b"a", b"\0\r\n\xff", MINUTE).await.unwrap();
    assert_eq!(redis.get(b"a").await.unwrap().unwrap(), &b"\0\r\n\xff"[..]);
    redis.set(b"b", b"", MINUTE).await.unwrap();
    let many = redis.values(&[b"b", b"x", b"a"]).await.unwrap();
    assert_eq!(many.iter().map(|value| value.as_ref().map(Bytes::len)).collect::<Vec<_>>(), [Some(0), None, Some(4)]);
    assert_eq!(redis.values::<&[u8]>(&[]).await.unwrap(), Vec::<Option<Bytes>>::new());
    assert_eq!(server.command(&["EXISTS", "portcullis:a", "a"]).await, "1");
    assert_eq!(redis.delete(&[&b"a"[..], b"b", b"x"]).await.unwrap(), 2);
    assert_eq!(server.command(&["DBSIZE"]).await, "0");
    assert_eq!(redis.increment(b"n").await.unwrap(), 1);
    assert_eq!(redis.increment(b"n").await.unwrap(), 2);
    server.command(&["LPUSH", "portcullis:list", "x"]).await;
    let trouble = redis.get(b"list").await.unwrap_err();
    assert!(trouble.to_string().contains("WRONGTYPE"), "{trouble}");
    assert_eq!(trouble.reason(), "refused");
    degraded(&redis, "WRONGTYPE").await;
    redis.get(b"a").await.unwrap();
    healthy(&redis).await;
}

#[tokio::test]
async fn values_have_their_time() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    redis.set(b"long", b"x", Duration::MAX).await.unwrap();
    redis.set(b"minute", b"x", MINUTE).await.unwrap();
    redis.set(b"short", b"x", Duration::ZERO).await.unwrap();
    let left: i64 = server.command(&["PTTL", "portcullis:minute"]).await.parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    portcullis_tests::eventually("the value is gone", || async {
        redis.get(b"short").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(redis.get(b"long").await.unwrap().is_some());
}

#[tokio::test]
async fn a_lock_is_given_back_by_its_holder_only() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    assert!(redis.lock(b"l", 1, MINUTE).await.unwrap());
    assert!(!redis.lock(b"l", 2, MINUTE).await.unwrap());
    redis.unlock(b"l", 2).await.unwrap();
    assert!(!redis.lock(b"l", 2, MINUTE).await.unwrap());
    redis.unlock(b"l", 1).await.unwrap();
    assert!(redis.lock(b"l", u64::MAX, MINUTE).await.unwrap());
    redis.unlock(b"l", u64::MAX).await.unwrap();
    assert_eq!(server.command(&["DBSIZE"]).await, "0");
}

#[tokio::test]
async fn values_that_are_too_long_go_neither_way() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(Settings { value_bytes_max: 3, ..single(&server) }).await;
    redis.set(b"a", b"123", MINUTE).await.unwrap();
    assert_eq!(text(redis.get(b"a").await.unwrap()).unwrap(), "123");
    let trouble = redis.set(b"a", b"1234", MINUTE).await.unwrap_err();
    assert_eq!(trouble, Trouble::TooLong { bytes: 4, bytes_max: 3 });
    server.command(&["SET", "portcullis:b", "1234"]).await;
    assert_eq!(redis.get(b"b").await.unwrap_err(), trouble);
}

#[tokio::test]
async fn many_commands_share_a_connection() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(Settings { connections: 1, ..single(&server) }).await;
    let value = vec![b'x'; 10_000];
    let asked = (0..500_u32).map(|number| {
        let (redis, value) = (redis.clone(), &value);
        async move {
            let key = number.to_be_bytes();
            redis.set(&key, &[&key, value.as_slice()].concat(), MINUTE).await.unwrap();
            assert_eq!(redis.get(&key).await.unwrap().unwrap()[..4], key);
        }
    });
    futures_util::future::join_all(asked).await;
    assert_eq!(redis.connections(), 1);
}

#[tokio::test]
async fn messages_reach_all_who_listen() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    let other = connected(Settings { prefix: "other:".to_owned(), ..single(&server) }).await;
    let (mut one, mut two, mut foreign) =
        (redis.subscribe(b"news"), redis.clone().subscribe(b"news"), other.subscribe(b"news"));
    for heard in [&mut one, &mut two, &mut foreign] {
        assert_eq!(next(heard).await, Heard::Connected);
    }
    for text in ["a", "b"] {
        redis.publish(b"news", text.as_bytes()).await.unwrap();
    }
    other.publish(b"news", b"c").await.unwrap();
    for heard in [&mut one, &mut two] {
        assert_eq!(next(heard).await, message("a"));
        assert_eq!(next(heard).await, message("b"));
    }
    assert_eq!(next(&mut foreign).await, message("c"));
    drop(one);
    portcullis_tests::eventually("the subscription ends", || async {
        let subscribers = server.command(&["PUBSUB", "NUMSUB", "portcullis:news"]).await;
        (subscribers == "portcullis:news\n1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_told_that_it_missed_something() {
    let server = RedisServer::start(&[]).await;
    let redis = connected(single(&server)).await;
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);
    for _ in 0..subscription::WAITING_MAX.div_ceil(100) {
        let said = (0..100).map(|_| redis.publish(b"news", b"x"));
        for result in futures_util::future::join_all(said).await {
            result.unwrap();
        }
    }
    portcullis_tests::eventually("the subscription is given up", || async {
        let subscribers = server.command(&["PUBSUB", "NUMSUB", "portcullis:news"]).await;
        (subscribers == "portcullis:news\n0").then_some(())
    })
    .await;
    let mut messages = 0;
    while next(&mut heard).await != Heard::Lost {
        messages += 1;
    }
    assert_eq!(messages, subscription::WAITING_MAX);
    assert_eq!(next(&mut heard).await, Heard::Connected);
}

#[tokio::test]
async fn passwords_and_users() {
    let server = RedisServer::start(&["--requirepass", "hunter2"]).await;
    let without = Redis::start(single(&server)).unwrap();
    degraded(&without, "NOAUTH").await;
    assert_eq!(without.get(b"a").await.unwrap_err().reason(), "absent");
    let access = |username: Option<&str>, password: &str| Access {
        username: username.map(str::to_owned),
        password: Some(Password::new(password.to_owned())),
    };
    let wrong = Settings { access: access(None, "hunter3"), ..single(&server) };
    assert!(!format!("{wrong:?}").contains("hunter3"));
    let wrong = Redis::start(wrong).unwrap();
    degraded(&wrong, "the password is not accepted").await;
    assert!(!format!("{:?}", wrong.condition()).contains("hunter3"));
    let right = connected(Settings { access: access(None, "hunter2"), ..single(&server) }).await;
    right.set(b"a", b"1", MINUTE).await.unwrap();
    connected(Settings { access: access(Some("default"), "hunter2"), database: 3, ..single(&server) }).await;
}

#[tokio::test]
async fn tls_is_verified() {
    let server = RedisServer::start_tls(&["--requirepass", "hunter2"]).await;
    let access = Access { username: None, password: Some(Password::new("hunter2".to_owned())) };
    let with = |client: ClientSettings| Settings {
        tls: Some(Tls { client, server_name: None }),
        access: access.clone(),
        ..single(&server)
    };
    let trusting = ClientSettings { authorities: Some(server.ca()), ..ClientSettings::default() };
    let redis = connected(with(trusting.clone())).await;
    redis.set(b"a", b"1", MINUTE).await.unwrap();
    assert_eq!(text(redis.get(b"a").await.unwrap()).unwrap(), "1");
    let mut heard = redis.subscribe(b"news");
    assert_eq!(next(&mut heard).await, Heard::Connected);

    let name = rustls::pki_types::ServerName::try_from("elsewhere.test").unwrap();
    let elsewhere = Tls { client: trusting, server_name: Some(name) };
    degraded(&Redis::start(Settings { tls: Some(elsewhere), ..single(&server) }).unwrap(), "certificate").await;
    let careless = ClientSettings { verification: Verification::Off, ..ClientSettings::default() };
    connected(with(careless)).await;
    let missing = ClientSettings { authorities: Some("missing.pem".into()), ..ClientSettings::default() };
    assert!(Redis::start(with(missing)).is_err());
}

#[tokio::test]
async fn a_socket_in_the_file_system_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let _server = RedisServer::start(&["--unixsocket", path.to_str().unwrap()]).await;
    let redis = connected(settings(Nodes::Single(Address::Unix(path)))).await;
    redis.set(b"a", b"1", MINUTE).await.unwrap();
}
