//! What bad origins and bad clients can do to the cache: nothing stalls, nothing grows without end, nothing broken is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Response, Seen, Setup, json};

async fn scripted(
    more: portcullis_tests::Value,
    replies: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
) -> (Origin, Gateway) {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |seen| replies(count.fetch_add(1, Ordering::SeqCst), seen)).await;
    let route = json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } });
    let gateway = Setup::to(&origin).route(route).patch(&more).start().await;
    (origin, gateway)
}

fn is_hit(response: &Response) -> bool {
    response.value("cache-status").unwrap_or_default().starts_with("portcullis; hit")
}

fn minute(reply: Reply) -> Reply {
    reply.field("Cache-Control", "max-age=60")
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_by_all_its_readers() {
    let never = Gate::new();
    let (origin, gateway) =
        scripted(json!({ "upstreams": { "origin": { "idle_timeout_ms": 300 } } }), move |number, _| match number {
            0 => minute(Reply::chunks(["first "])).then(&never, "never"),
            _ => minute(Reply::ok("whole")),
        })
        .await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    one.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    two.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(one.response_to("GET").await.is_err());
    assert!(two.response_to("GET").await.is_err());
    let whole = gateway.until("the next", Request::get("/"), |response| response.text() == "whole").await;
    assert_eq!(whole.status, 200);
    assert!(is_hit(&gateway.get("/").await));
}

#[tokio::test]
async fn a_body_that_is_shorter_than_it_says_is_not_kept() {
    let (origin, gateway) = scripted(json!({}), |number, _| match number {
        0 => minute(Reply::ok("12345")).field("Content-Length", "10").then_close(),
        _ => minute(Reply::ok("1234567890")),
    })
    .await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.response_to("GET").await.is_err());
    assert_eq!(gateway.get("/").await.text(), "1234567890");
    assert!(is_hit(&gateway.get("/").await));
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_body_without_end_does_not_fill_the_memory() {
    const PIECES: usize = 1500;
    let (_origin, gateway) = scripted(json!({ "cache": { "object_bytes_max": 1_000_000 } }), |_, _| {
        minute(Reply::chunks(std::iter::repeat_n(vec![b'x'; 64 * 1024], PIECES)))
    })
    .await;
    gateway.send(Request::new("HEAD", "/other")).await;
    let before = gateway.memory_bytes();
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The client does not read yet: the gateway must not fetch all of it. Somebody else does with something else.
    let other = gateway.get("/else").await;
    assert_eq!(other.body.len(), PIECES * 64 * 1024);
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes");
}

#[tokio::test]
async fn as_many_variants_as_there_are_clients_stay_few() {
    let (_origin, gateway) = scripted(json!({}), |_, seen| {
        minute(Reply::ok(seen.value("accept").unwrap_or_default().to_owned())).field("Vary", "Accept")
    })
    .await;
    let mut client = gateway.connect().await;
    let request = |number: usize| Request::get("/").field("Accept", format!("type/{number}"));
    for number in 0..2000 {
        assert_eq!(client.send(&request(number)).await.text(), format!("type/{number}"));
    }
    assert!(is_hit(&client.send(&request(1999)).await));
    assert!(!is_hit(&client.send(&request(0)).await));
}

#[tokio::test]
async fn a_leader_that_leaves_hands_over_to_one_of_those_who_wait() {
    const READERS: usize = 10;
    let (first, rest) = (Gate::new(), Gate::new());
    let held = (first.clone(), rest.clone());
    let (origin, gateway) = scripted(json!({}), move |number, _| {
        minute(Reply::ok("body")).behind(if number == 0 { &held.0 } else { &held.1 })
    })
    .await;
    let gateway = Arc::new(gateway);
    let mut leader = gateway.connect().await;
    leader.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.get("/").await.text().to_owned() })
        })
        .collect();
    drop(leader);
    origin.wait_for(2).await;
    rest.open();
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), "body");
    }
    first.open();
    // The one who led, and one of the others.
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn changes_without_end_stall_no_hits() {
    let (_origin, gateway) = scripted(json!({}), |_, _| minute(Reply::ok("kept"))).await;
    gateway.get("/kept").await;
    let (mut changing, mut reading) = (gateway.connect().await, gateway.connect().await);
    let before = gateway.memory_bytes();
    for number in 0..3000 {
        changing.send(&Request::new("DELETE", &format!("/{number}"))).await;
        if number % 10 == 0 {
            assert_eq!(reading.send(&Request::get("/kept")).await.text(), "kept");
        }
    }
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < 20 << 20, "{grown} bytes");
}
