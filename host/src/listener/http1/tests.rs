//! HTTP/1.1 against clients that speak bytes, over a pipe in memory and with a clock that does not wait.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::exchange::{Client, Failure};
use crate::http::{Body, Upgrade};
use crate::listener::registry::Registry;
use crate::listener::{Handle, Settings};

/// Answers with what it read of the body, and remembers what it was asked.
#[derive(Default)]
struct Reader {
    asked: RefCell<Vec<String>>,
}

impl Handle for Reader {
    async fn handle(&self, _: &Arc<Client>, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        self.asked.borrow_mut().push(format!("{} {path}", request.method()));
        let upgrade = request.extensions().get::<Upgrade>().is_some();
        if path == "/tunnel" && upgrade {
            let response = Response::builder().status(101).header("upgrade", "echo");
            return response.body(request.into_body()).unwrap();
        }
        if path == "/ignore" {
            return Response::new(Body::from(Bytes::from_static(b"ignored")));
        }
        match request.into_body().collect().await {
            Ok(body) => {
                let trailer = body.trailers().and_then(|fields| fields.get("x-sum")).cloned();
                let mut response = Response::new(Body::from(body.to_bytes()));
                response.headers_mut().extend(trailer.map(|sum| (http::HeaderName::from_static("x-sum"), sum)));
                response
            }
            Err(_) => Response::builder().status(400).body(Body::Empty).unwrap(),
        }
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> Response<Body> {
        Response::builder().status(failure.reason.status()).body(Body::Empty).unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        address: "127.0.0.1:0".parse().unwrap(),
        head_timeout: Duration::from_secs(10),
        head_bytes_max: 8192,
        headers_max: 32,
        connections_max: 100,
        connections_per_address_max: None,
        proxy_protocol: None,
        tls: None,
        http2: crate::listener::Http2::default(),
        redirect_https: None,
        http1: Http1 { target_bytes_max: 1024, ..Http1::default() },
    }
}

/// Runs a test with a clock that jumps to the next timer when nothing else can be done.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn open(settings: Settings) -> (DuplexStream, Rc<Reader>) {
    let (client, server) = duplex(64 * 1024);
    let reader = Rc::new(Reader::default());
    let (handler, registry) = (Rc::clone(&reader), Rc::new(Registry::default()));
    tokio::task::spawn_local(async move {
        let (address, ticket) = ("192.0.2.1:1".parse().unwrap(), registry.enter());
        let client = Arc::new(Client::new(address, address, None));
        drop(serve(server, &*handler, &client, &Rc::new(settings), &ticket).await);
    });
    (client, reader)
}

/// Everything that comes back for these pieces, up to the end of the connection or silence, and what was asked. On a clock of its
/// own: it jumps, and the connection's own times do not jump with it.
fn answer(pieces: &[&[u8]]) -> (String, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, answer_on_this_clock(pieces))
}

async fn answer_on_this_clock(pieces: &[&[u8]]) -> (String, Vec<String>) {
    let (mut client, reader) = open(settings());
    let mut text = Vec::new();
    for piece in pieces {
        let _ = client.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut text)).await;
    let asked = reader.asked.borrow().clone();
    (String::from_utf8(text).unwrap(), asked)
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect()
}

const HOST: &str = "Host: a.example\r\n";

#[test]
fn what_is_sound_is_answered() {
    {
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nhOsT:\ta.example:80 \t\r\nX-Empty:\r\n\r\n", 1),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("GET http://a.example/x?y HTTP/1.1\r\nHost: b\r\n\r\n", 1),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 1),
            ("GET / HTTP/1.0\r\n\r\n", 1),
            ("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                2,
            ),
        ] {
            let (whole, asked) = answer(&[request.as_bytes()]);
            assert_eq!(statuses(&whole), vec!["200"; expected], "{request:?}: {whole:?}");
            assert_eq!(asked.len(), expected);
        }
    }
}

#[test]
fn a_request_may_come_in_any_two_pieces() {
    {
        let request =
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n\
            GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
        for at in 1..request.len() {
            let (whole, asked) = answer(&[&request[..at], &request[at..]]);
            assert_eq!(statuses(&whole), ["200", "200"], "{at}: {whole:?}");
            assert_eq!(asked, ["POST /a", "GET /b"], "{at}");
            assert!(whole.contains("\r\nx-sum: 1\r\n"), "{at}: {whole:?}");
        }
    }
}

/// Requests that two readers could read differently: one answer, 400, and the end; and nobody acted upon them.
#[test]
fn what_could_hide_a_request_is_refused_once() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let field = |field: &str| format!("POST / HTTP/1.1\r\n{HOST}{field}\r\n\r\n0\r\n\r\n{smuggled}");
    let chunks = |body: &str| format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{body}{smuggled}");
    let mut requests: Vec<String> = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        " Content-Length: 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding:\r\n chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: \0",
        "X: \x7f",
        "X[]: y",
        ": y",
        "X y",
        "Host: b",
    ]
    .map(field)
    .into();
    requests.extend(
        [
            " 3\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3 ;x\r\nabc\r\n0\r\n\r\n",
            "3\nabc\n0\n\n",
            "3;\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcX\r\n0\r\n\r\n",
        ]
        .map(chunks),
    );
    requests.extend(
        [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: ..\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\nX: y\r\n\r\n",
            "G=T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /\r\n\r\n",
            "\x16\x03\x01\x02\r\n\r\n",
        ]
        .map(|request| format!("{request}{smuggled}")),
    );
    {
        for request in requests {
            let (whole, asked) = answer(&[request.as_bytes()]);
            assert_eq!(statuses(&whole), ["400"], "{request:?}: {whole:?}");
            assert!(whole.contains("\r\nconnection: close\r\n"), "{whole:?}");
            assert!(asked.is_empty(), "{request:?}: {asked:?}");
        }
    }
}

#[test]
fn what_is_too_much_is_told_which() {
    {
        for (request, status) in [
            (format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "x".repeat(2000)), "414"),
            (format!("GET /{}", "x".repeat(9000)), "414"),
            (format!("GET / HTTP/1.1\r\n{HOST}x: {}\r\n\r\n", "x".repeat(9000)), "431"),
            (format!("GET / HTTP/1.1\r\n{HOST}x: {}", "x".repeat(9000)), "431"),
            (format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "x: y\r\n".repeat(40)), "431"),
            (format!("GET / HTTP/2.0\r\n{HOST}\r\n"), "505"),
        ] {
            let (whole, _) = answer(&[request.as_bytes()]);
            assert_eq!(statuses(&whole), [status], "{:?}: {whole:?}", &request[..30]);
        }
    }
}

#[test]
fn who_sends_slowly_is_cut_off() {
    run(async {
        let began = tokio::time::Instant::now();
        // A byte of the head per second.
        let (mut client, reader) = open(settings());
        let mut answer = Vec::new();
        for byte in "GET / HTTP/1.1\r\nHost: a\r\nX: and so on".bytes() {
            if client.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
        // A byte of the body per second.
        let (client, _) = open(settings());
        let (mut from, mut to) = tokio::io::split(client);
        to.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
        let sending = tokio::task::spawn_local(async move {
            while to.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
        drop(from);
        sending.await.unwrap();
        // None of the body at all.
        let (mut client, _) = open(settings());
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(reader.asked.borrow().len(), 0);
        assert!(began.elapsed() < Duration::from_secs(120));
    });
}

#[test]
fn another_protocol_is_spoken_from_the_first_byte_behind_the_head() {
    run(async {
        let (mut client, _) = open(settings());
        let ask = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nearly ";
        client.write_all(ask.as_bytes()).await.unwrap();
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut whole = Vec::new();
        client.read_to_end(&mut whole).await.unwrap();
        let whole = String::from_utf8(whole).unwrap();
        let (head, tunnel) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("\r\nupgrade: echo") && head.contains("\r\nconnection: upgrade"), "{head}");
        assert_eq!(tunnel, "early late");
    });
}

#[test]
fn a_body_that_nobody_wants_is_passed_over() {
    {
        let (whole, asked) = answer(&[
            b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            b"12345GET /ignore HTTP/1.1\r\nHost: a\r\n\r\n",
        ]);
        assert_eq!((statuses(&whole), asked.len()), (vec!["200", "200"], 2), "{whole:?}");
        // One that is not sent, because its client waits to be told, ends the connection.
        let ask = b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        let (whole, _) = answer(&[ask]);
        assert_eq!(statuses(&whole), ["200"], "{whole:?}");
        assert!(whole.contains("\r\nconnection: close\r\n"), "{whole:?}");
    }
}
