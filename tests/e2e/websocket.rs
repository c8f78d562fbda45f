//! Other protocols through the gateway: WebSocket over HTTP/1.1 and over HTTP/2, granted, refused, idle and closed.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use h2::ext::Protocol;
use portcullis_tests::{Client, Origin, Reply, Setup, in_time, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// A WebSocket server that sends back what it is sent, and answers to a subprotocol.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                #[allow(clippy::result_large_err, reason = "the crate wants it so")]
                let choose = |request: &Request, mut response: Response| {
                    if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
                        response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
                    }
                    Ok(response)
                };
                let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, choose).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn messages_pings_and_the_closing_handshake_pass_unchanged() {
    let gateway = Setup::new().upstream("origin", echo().await).start().await;
    let mut request = format!("ws://{}/chat", gateway.address()).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat.v1".parse().unwrap());
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
    let mut messages = vec![Message::text("hello"), Message::binary(vec![7; 300_000]), Message::text("")];
    messages.extend((0..200).map(|number| Message::text(number.to_string())));
    for message in &messages {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(in_time("the echo", socket.next()).await.unwrap().unwrap(), *message);
    }
    socket.send(Message::Ping(b"are you there"[..].into())).await.unwrap();
    let pong = in_time("the pong", socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"are you there"[..].into()));
    let bye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    socket.close(Some(bye.clone())).await.unwrap();
    assert_eq!(in_time("the close", socket.next()).await.unwrap().unwrap(), Message::Close(Some(bye)));
    assert!(in_time("the end", socket.next()).await.is_none());
}

#[tokio::test]
async fn a_websocket_over_http_2_reaches_an_upstream_that_speaks_http_1() {
    let gateway = Setup::new().upstream("origin", echo().await).start().await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    // The gateway's settings say whether it may be asked (RFC 8441 section 3).
    portcullis_tests::eventually("the gateway's settings", || async {
        let mut ready = client.clone();
        let _ = std::future::poll_fn(|cx| ready.poll_ready(cx)).await;
        client.is_extended_connect_protocol_enabled().then_some(())
    })
    .await;
    let mut request = http::Request::builder()
        .method("CONNECT")
        .uri(format!("http://{}/chat", gateway.address()))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, mut send) = client.send_request(request, false).unwrap();
    let response = in_time("the grant", response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    // A masked text frame with "hi" (RFC 6455 section 5.2), and its echo, which is not masked.
    send.send_data(b"\x81\x82\0\0\0\0hi"[..].into(), false).unwrap();
    let mut body = response.into_body();
    let mut echoed = Vec::new();
    while echoed.len() < 4 {
        echoed.extend_from_slice(&in_time("the echo", body.data()).await.unwrap().unwrap());
    }
    assert_eq!(echoed, b"\x81\x02hi");
    driver.abort();
}

#[tokio::test]
async fn a_websocket_reaches_an_upstream_that_speaks_http_2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection =
            h2::server::Builder::new().enable_connect_protocol().handshake::<_, bytes::Bytes>(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.extensions().get::<Protocol>(), Some(&Protocol::from_static("websocket")));
            tokio::spawn(async move {
                let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                let mut body = request.into_body();
                // Frames of servers are not masked; those of this client are, with zeros.
                while let Some(Ok(frame)) = body.data().await {
                    assert_eq!(frame, b"\x81\x82\0\0\0\0hi"[..]);
                    stream.send_data(b"\x81\x02hi"[..].into(), false).unwrap();
                }
            });
        }
    });
    let patch = json!({ "upstreams": { "origin": { "protocol": "http2" } } });
    let gateway = Setup::new().upstream("origin", address).patch(&patch).start().await;
    let mut client = gateway.connect().await;
    client
        .write(
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .await;
    let granted = client.interim().await.unwrap();
    assert_eq!((granted.status, granted.value("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    for _ in 0..3 {
        client.write(b"\x81\x82\0\0\0\0hi").await;
        assert_eq!(in_time("the echo", client.reader().some(4)).await.unwrap(), b"\x81\x02hi");
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_client_and_the_connection_goes_on() {
    let origin = Origin::start(|seen| match seen.target.as_str() {
        "/chat" => Reply::new(403, "not you"),
        _ => Reply::ok("fine"),
    })
    .await;
    let gateway = Setup::to(&origin).start().await;
    let mut client = gateway.connect().await;
    let ask = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write(ask).await;
    let refused = client.response_to("GET").await.unwrap();
    assert_eq!((refused.status, refused.text()), (403, "not you"));
    client.write("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response_to("GET").await.unwrap().text(), "fine");
    let seen = origin.wait_for(2).await;
    assert_eq!((seen[0].value("upgrade"), seen[0].value("connection")), (Some("websocket"), Some("upgrade")));
}

#[tokio::test]
async fn what_a_route_does_not_allow_is_an_ordinary_request() {
    let origin = Origin::start(|_| Reply::ok("plain")).await;
    let route = json!({ "name": "all", "proxy": { "upstream": "origin", "upgrades": [] } });
    let gateway = Setup::to(&origin).route(route).start().await;
    let mut client = gateway.connect().await;
    for protocol in ["websocket", "h2c"] {
        client.write(&format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")).await;
        assert_eq!(client.response_to("GET").await.unwrap().text(), "plain");
    }
    assert!(origin.wait_for(2).await.iter().all(|seen| seen.value("upgrade").is_none()));
}

#[tokio::test]
async fn a_tunnel_in_which_nobody_speaks_is_closed() {
    let gateway = Setup::new()
        .upstream("origin", echo().await)
        .patch(&json!({ "upstreams": { "origin": { "tunnel_timeout_ms": 200 } } }))
        .start()
        .await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time("the end", client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    let _: Client = gateway.connect().await;
}
