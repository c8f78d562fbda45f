//! A plain proxy out of nothing but the listener and the upstreams: what the pipeline adds has tests of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portcullis::exchange::{self, Client, Failure};
use portcullis::http::{Body, Forwarding, strip_request};
use portcullis::listener::{self, Handle, Listener};
use portcullis::shutdown::Drain;
use portcullis::upstream::{self, Endpoint, Share, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Proxy(Upstreams);

impl Handle for Proxy {
    async fn handle(&self, client: &Arc<Client>, request: http::Request<Body>) -> http::Response<Body> {
        let (head, body) = request.into_parts();
        let authority = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().into();
        let target = head.uri.path_and_query().cloned().unwrap();
        let mut request = exchange::Request {
            method: head.method,
            authority,
            target,
            headers: head.headers,
            version: head.version,
            upgrade: None,
        };
        strip_request(&mut request.headers);
        Forwarding::default().apply(
            &mut request.headers,
            &client.address_value,
            client.scheme.as_str(),
            &request.authority,
        );
        match self.0.send(0, client, &request, body).await {
            Ok(sent) => {
                let mut response = http::Response::new(sent.response.body);
                *response.status_mut() = sent.response.status;
                *response.headers_mut() = sent.response.headers;
                response
            }
            Err(error) => {
                let body = Body::from(bytes::Bytes::from(error.to_string()));
                http::Response::builder().status(error.reason().status()).body(body).unwrap()
            }
        }
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> http::Response<Body> {
        http::Response::builder().status(failure.reason.status()).body(Body::Empty).unwrap()
    }
}

/// Sends each text on one connection through the proxy to an origin that echoes what it reads as a chunked response,
/// and gives what came back for each.
fn through(parts: &'static [(&'static str, &'static str)]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let test = async move {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = origin.local_addr().unwrap().port();
        tokio::task::spawn_local(echo(origin));
        let upstreams = Upstreams::new(&[upstream::Settings {
            name: "origin".parse().unwrap(),
            endpoints: vec![Share::of(Endpoint::Tcp { host: "127.0.0.1".to_owned(), port })],
            wire: upstream::Wire::default(),
            balance: upstream::Balance::default(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            tunnel_timeout: Duration::from_secs(1),
            ejection: upstream::Ejection::NEVER,
            guards: upstream::Guards::default(),
            health: None,
            resolve_interval: None,
            idle_connections_max: 4,
            idle_connection_timeout: Duration::from_secs(5),
            connections_max: 4,
        }]);
        let listener = Listener::bind(&listener::Settings {
            address: "127.0.0.1:0".parse().unwrap(),
            head_timeout: Duration::from_secs(5),
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            connections_max: 16,
            connections_per_address_max: None,
            proxy_protocol: None,
            tls: None,
            http1: listener::Http1::default(),
            http2: listener::Http2::default(),
            redirect_https: None,
        })
        .unwrap();
        let address = listener.address();
        let (drain, draining) = Drain::new();
        let serving = tokio::task::spawn_local(listener.serve(Rc::new(Proxy(upstreams)), draining));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut answers = Vec::new();
        for (text, end) in parts {
            client.write_all(text.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !String::from_utf8_lossy(&answer).ends_with(end) {
                assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{:?}", String::from_utf8_lossy(&answer));
            }
            answers.push(String::from_utf8(answer).unwrap());
        }
        drain.start();
        serving.await.unwrap().unwrap();
        answers
    };
    let limited = async { tokio::time::timeout(Duration::from_secs(10), test).await };
    local.block_on(&runtime, limited).expect("the test hangs")
}

/// An origin that answers each request with what it read of it, head and body, and a trailer.
async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(async move {
            let mut read = Vec::new();
            while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&read).into_owned();
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let whole = match head.split_once("content-length: ") {
                    Some((_, length)) => body.len() >= length.lines().next().unwrap().parse().unwrap(),
                    None if head.contains("transfer-encoding") => body.ends_with("\r\n\r\n"),
                    None => text.ends_with("\r\n\r\n"),
                };
                if !whole {
                    continue;
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-origin: 1\r\nkeep-alive: timeout=5\r\ntrailer: x-sum\r\n\
                     transfer-encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\nx-sum: 7\r\n\r\n",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                read.clear();
            }
        });
    }
}

#[test]
fn fields_bodies_and_trailers_go_through_both_ways() {
    let answers = through(&[
        (
            "GET /a?b HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n\
             X-Forwarded-For: 6.6.6.6\r\n\r\n",
            "0\r\nx-sum: 7\r\n\r\n",
        ),
        ("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc\r\n0\r\n\r\n"),
        (
            "POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Continue\r\n\r\n",
        ),
        ("3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n\r\n0\r\n\r\n"),
    ]);
    let [get, post, go_on, chunked] = answers.try_into().unwrap();
    assert!(get.contains("x-origin: 1\r\n") && !get.contains("timeout=5"), "{get}");
    let echoed = get.split_once("\r\n\r\n").unwrap().1;
    assert!(echoed.contains("GET /a?b HTTP/1.1\r\n") && echoed.contains("x-forwarded-for: 127.0.0.1\r\n"), "{get}");
    assert!(!echoed.contains("x-hop") && !echoed.contains("6.6.6.6"), "{get}");
    assert!(post.contains("POST /b HTTP/1.1\r\n") && post.contains("content-length: 3\r\n"), "{post}");
    assert!(!post.contains("x-sum: 7"), "trailers for a client that did not ask for them: {post}");
    assert_eq!(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(
        chunked.contains("transfer-encoding: chunked\r\n") && chunked.contains("3\r\nabc\r\n0\r\n\r\n"),
        "{chunked}"
    );
    assert!(!chunked.contains("expect:"), "{chunked}");
}
