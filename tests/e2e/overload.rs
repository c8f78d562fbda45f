//! What is more than the gateway takes on is refused at once, and what it has taken on is answered.

use portcullis_tests::{Gate, Origin, Reply, Request, Setup, json};

#[tokio::test]
async fn exchanges_over_the_limit_are_refused_and_the_others_answered() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let gateway = Setup::to(&origin).patch(&json!({ "overload": { "exchanges_max": 2 } })).start().await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    for client in [&mut one, &mut two] {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    origin.wait_for(2).await;
    let refused = gateway.get("/").await;
    assert_eq!((refused.status, refused.value("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("overload"), "{}", refused.text());
    gate.open();
    for client in [&mut one, &mut two] {
        assert_eq!(client.response_to("GET").await.unwrap().text(), "late");
    }
    assert_eq!(gateway.send(Request::get("/")).await.text(), "late");
}

#[tokio::test]
async fn memory_over_the_limit_is_a_reason_to_refuse() {
    let origin = Origin::start(|_| Reply::ok("fine")).await;
    // Less than the process needs for itself.
    let limits =
        json!({ "overload": { "memory_bytes_max": 33_554_432 }, "cache": { "memory_bytes_max": 268_435_456 } });
    let route = json!({ "name": "cached", "cache": true, "proxy": { "upstream": "origin" } });
    let filler = Origin::start(|_| Reply::ok("x".repeat(4 << 20)).field("Cache-Control", "max-age=600")).await;
    let gateway = Setup::to(&filler).upstream("fine", origin.address()).route(route).patch(&limits).start().await;
    // The cache fills until the process is over its limit.
    let mut refused = None;
    for number in 0..64 {
        let response = gateway.get(&format!("/{number}")).await;
        if response.status == 503 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("the memory of 64 responses of 4 MiB is refused at 32 MiB");
    assert_eq!(refused.value("retry-after"), Some("1"));
    gateway.logs().wait_for_words(0, &["too much memory is used"]).await;
}
