//! The kit itself: its origin and its client understand each other, so that a failing test speaks of the gateway.

use portcullis_tests::wire::Framing;
use portcullis_tests::{Client, Gate, Origin, Reply, Request, artefacts};

async fn client(origin: &Origin) -> Client {
    Client::connect(origin.address()).await.unwrap()
}

#[tokio::test]
async fn origin_and_client_speak_http() {
    let origin = Origin::start(|seen| match seen.target.as_str() {
        "/chunked" => Reply::chunks(["one ", "two"]).trailer("X-Sum", "2"),
        "/empty" => Reply::new(204, ""),
        _ => Reply::ok(seen.body.clone()).field("X-Bytes", b"\xff\xfe"),
    })
    .await;
    let mut client = client(&origin).await;

    let echoed = client.send(&Request::post("/", "hello").field("X-A", "1")).await;
    assert_eq!((echoed.status, echoed.text(), echoed.framing), (200, "hello", Framing::Length));
    assert_eq!(echoed.fields.bytes("x-bytes"), Some(&b"\xff\xfe"[..]));
    let chunked = client.send(&Request::get("/chunked")).await;
    assert_eq!(
        (chunked.text(), chunked.framing, chunked.trailers.value("x-sum")),
        ("one two", Framing::Chunked, Some("2"))
    );
    assert_eq!(client.send(&Request::new("HEAD", "/")).await.text(), "");
    assert_eq!(client.send(&Request::get("/empty")).await.status, 204);

    let seen = origin.wait_for(4).await;
    assert_eq!((seen[0].value("x-a"), seen[0].body.as_slice()), (Some("1"), &b"hello"[..]));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_gate_holds_a_body_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::chunks(["first"]).then(&held, "second")).await;
    let mut client = client(&origin).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.reader().response_head().await.unwrap();
    assert_eq!(client.reader().chunk().await.unwrap(), b"first");
    gate.open();
    assert_eq!(client.reader().chunk().await.unwrap(), b"second");
}

#[tokio::test]
async fn hanging_up_is_an_error_for_the_client() {
    let origin = Origin::start(|_| Reply::hang_up()).await;
    assert!(client(&origin).await.try_send(&Request::get("/")).await.is_err());
}

#[test]
fn versions_differ_in_their_digits_only() {
    let (one, two) = (artefacts::version(1), artefacts::version(2));
    assert_eq!(one.iter().zip(&two).filter(|(a, b)| a != b).count(), 1);
}
