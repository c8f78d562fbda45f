//! Upstreams against real sockets and scripted origins.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::{Notify, mpsc};

use super::origin::Step::{Await, Close, Read, Send, Tell};
use super::origin::{HEAD, Origin, run};
use super::*;
use crate::exchange::{Client, Reason, Request};
use crate::http::test_bodies::{chunks, chunks_then, cut_off, failing};
use crate::http::{Body, BodyError};

pub(super) const OK: super::origin::Step = Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");

pub(super) fn settings(endpoints: &[&Endpoint]) -> Settings {
    Settings {
        name: "api".parse().unwrap(),
        endpoints: endpoints.iter().map(|endpoint| Share::of((*endpoint).clone())).collect(),
        wire: Wire::default(),
        balance: Balance::default(),
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        tunnel_timeout: Duration::from_secs(5),
        ejection: Ejection::NEVER,
        guards: Guards::default(),
        health: None,
        resolve_interval: None,
        idle_connections_max: 8,
        idle_connection_timeout: Duration::from_secs(30),
        connections_max: 8,
    }
}

/// A script that answers so many requests.
pub(super) fn answers(count: usize) -> Vec<super::origin::Step> {
    (0..count).flat_map(|_| [HEAD, OK]).collect()
}

fn to(origins: &[&Origin]) -> Upstreams {
    let endpoints: Vec<_> = origins.iter().map(|origin| &origin.endpoint).collect();
    Upstreams::new(&[settings(&endpoints)])
}

pub(super) fn request(method: Method, target: &str, fields: &[(&'static str, &str)]) -> Request {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    Request {
        method,
        authority: Arc::from("api.example"),
        target: target.parse().unwrap(),
        headers,
        version: ::http::Version::HTTP_11,
        upgrade: None,
    }
}

pub(super) fn alice() -> Client {
    Client::new("192.0.2.1:4000".parse().unwrap(), "192.0.2.2:443".parse().unwrap(), None)
}

pub(super) fn get(target: &str) -> Request {
    request(Method::GET, target, &[])
}

pub(super) async fn text(body: Body) -> Result<String, BodyError> {
    Ok(String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap())
}

/// Sends a GET and reads all of the answer.
async fn fetch(upstreams: &Upstreams) -> (StatusCode, String, Connected) {
    let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap();
    (sent.response.status, text(sent.response.body).await.unwrap(), sent.connection)
}

pub(super) fn counts(upstreams: &Upstreams) -> Vec<(usize, usize)> {
    upstreams.connections(0).iter().map(|known| (known.open, known.idle)).collect()
}

/// A port that refuses connections.
pub(super) fn refused() -> Endpoint {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() }
}

/// A body that the test feeds; dropping the sender ends it.
struct Fed(mpsc::UnboundedReceiver<&'static str>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }
}

pub(super) fn fed() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::boxed(Fed(receiver)))
}

#[test]
fn a_connection_is_used_again_and_again() {
    run(async {
        let origin = Origin::start(vec![answers(3)]).await;
        let upstreams = to(&[&origin]);
        for connected in [Connected::New, Connected::Reused, Connected::Reused] {
            let sent = upstreams.send(0, &alice(), &get("/a?b=%20"), Body::Empty).await.unwrap();
            assert_eq!((sent.connection, &*sent.endpoint), (connected, &origin.endpoint));
            // All of it came with the head, so that nothing is left to be driven.
            assert!(matches!(&sent.response.body, Body::Full(body) if *body == "hi"));
            assert_eq!(counts(&upstreams), [(1, 1)]);
        }
        assert_eq!(origin.received(), ["GET /a?b=%20 HTTP/1.1\r\nhost: api.example\r\n\r\n".repeat(3)]);
    });
}

#[test]
fn every_framing_ends_where_it_should() {
    // What the origin sends, the body, and whether the connection can be used again.
    let check = |method: Method, answer: &'static str, expected: &'static str, kept: usize| {
        run(async move {
            let rest = Rc::new(Notify::new());
            // Once in one piece, and once with the body after a pause.
            for split in [false, true] {
                let (head, body) = answer.split_at(answer.find("\r\n\r\n").unwrap() + 4);
                let script = match split {
                    true => vec![HEAD, Send(head), Await(Rc::clone(&rest)), Send(body)],
                    false => vec![HEAD, Send(answer)],
                };
                let close = if kept == 0 { vec![Close] } else { vec![] };
                let origin = Origin::start(vec![[script, close].concat()]).await;
                let upstreams = to(&[&origin]);
                let sent = upstreams.send(0, &alice(), &request(method.clone(), "/", &[]), Body::Empty).await.unwrap();
                rest.notify_one();
                assert_eq!(text(sent.response.body).await.unwrap(), expected, "{answer}");
                assert_eq!(counts(&upstreams), [(kept, kept)], "{answer}");
            }
        });
    };
    check(Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345", "12345", 1);
    check(Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", 1);
    check(
        Method::GET,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n",
        "12345",
        1,
    );
    check(Method::GET, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", 1);
    check(Method::GET, "HTTP/1.1 200 OK\r\n\r\n12345", "12345", 0);
    check(Method::GET, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12345", "12345", 0);
    check(Method::GET, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n12345", "12345", 0);
    check(Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "", 1);
    check(Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", "", 1);
    check(Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", "", 1);
    check(
        Method::GET,
        "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1",
        "1",
        1,
    );
}

#[test]
fn response_fields_are_passed_without_those_of_the_connection() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nx-end: 2\r\n\
                      trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 7\r\n\r\n";
        let origin = Origin::start(vec![vec![HEAD, Send(answer)]]).await;
        let upstreams = to(&[&origin]);
        let response = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap().response;
        let expected = HeaderMap::from_iter([
            ("x-end".parse().unwrap(), "2".parse().unwrap()),
            (::http::header::TRAILER, "x-sum".parse().unwrap()),
        ]);
        assert_eq!(response.headers, expected);
        let whole = response.body.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "7");
        assert_eq!(counts(&upstreams), [(1, 1)]);
    });
}

#[test]
fn a_body_that_nobody_wants_closes_the_connection() {
    run(async {
        let origin = Origin::start(vec![vec![HEAD, Send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123")]]).await;
        let upstreams = to(&[&origin]);
        let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap();
        assert_eq!(counts(&upstreams), [(1, 0)]);
        drop(sent);
        assert_eq!(counts(&upstreams), [(0, 0)]);
    });
}

#[test]
fn a_response_that_breaks_off_is_an_error() {
    run(async {
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123";
        let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123";
        for answer in [cut, chunk] {
            let origin = Origin::start(vec![vec![HEAD, Send(answer), Close]]).await;
            let upstreams = to(&[&origin]);
            let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap();
            assert!(matches!(text(sent.response.body).await, Err(BodyError::Transport(_))), "{answer}");
            assert_eq!(counts(&upstreams), [(0, 0)]);
        }
        for head in
            ["HTTP/1.1 200 OK\r\nconte", "", "SMTP ready\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
        {
            let origin = Origin::start(vec![vec![HEAD, Send(head), Close]]).await;
            let upstreams = to(&[&origin]);
            let error = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
            assert_eq!(error.reason(), Reason::UpstreamProtocol, "{error}");
            // A new connection is not tried again, whatever the method.
            assert_eq!((origin.accepted(), counts(&upstreams)), (1, vec![(0, 0)]), "{head}");
        }
        let origin = Origin::start(vec![vec![HEAD, Send("HTTP/1.1 101 Go\r\nupgrade: x\r\n\r\n")]]).await;
        let error = to(&[&origin]).send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Switched { .. }), "{error}");
    });
}

#[test]
fn a_connection_closed_while_idle_is_not_used() {
    run(async {
        let closed = Rc::new(Notify::new());
        let closing = vec![HEAD, OK, Tell(Rc::clone(&closed)), Close];
        let origin = Origin::start(vec![closing, [HEAD, Read("body"), OK].to_vec()]).await;
        let other = Origin::start(vec![vec![HEAD, OK]]).await;
        let upstreams = to(&[&origin]);
        fetch(&upstreams).await;
        closed.notified().await;
        // The close has reached us at the latest together with an answer that was sent after it.
        fetch(&to(&[&other])).await;
        // A POST could not be repeated, so that this succeeds only if the closed connection was not even tried.
        let post = request(Method::POST, "/", &[]);
        let sent = upstreams.send(0, &alice(), &post, Body::from(Bytes::from_static(b"body"))).await.unwrap();
        assert_eq!((sent.connection, origin.accepted()), (Connected::New, 2));
    });
}

#[test]
fn a_request_is_repeated_only_where_that_is_safe() {
    let check = |method: Method, body: fn() -> Body, repeated: bool| {
        run(async move {
            // The second request on the first connection is read, and then the connection closed.
            let origin = Origin::start(vec![vec![HEAD, OK, HEAD, Close], vec![HEAD, OK]]).await;
            let upstreams = to(&[&origin]);
            fetch(&upstreams).await;
            let result = upstreams.send(0, &alice(), &request(method.clone(), "/", &[]), body()).await;
            match repeated {
                true => assert_eq!(result.unwrap().connection, Connected::New),
                false => assert_eq!(result.unwrap_err().reason(), Reason::UpstreamProtocol, "{method}"),
            }
            assert_eq!(origin.accepted(), if repeated { 2 } else { 1 }, "{method}");
        });
    };
    check(Method::GET, || Body::Empty, true);
    check(Method::DELETE, || Body::Empty, true);
    check(Method::POST, || Body::Empty, false);
    check(Method::PUT, || Body::from(Bytes::from_static(b"x")), false);
    check(Method::PUT, || chunks(&["x"]), false);
}

#[test]
fn old_connections_are_closed() {
    run(async {
        let closed = Rc::new(Notify::new());
        let origin = Origin::start(vec![vec![HEAD, OK, Read("never"), Tell(Rc::clone(&closed))]]).await;
        let mut settings = settings(&[&origin.endpoint]);
        settings.idle_connection_timeout = Duration::from_millis(20);
        let upstreams = Upstreams::new(&[settings]);
        fetch(&upstreams).await;
        assert_eq!(counts(&upstreams), [(1, 1)]);
        while counts(&upstreams) != [(0, 0)] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fetch(&upstreams).await.2, Connected::New);
    });
}

#[test]
fn endpoints_take_turns_and_an_unreachable_one_is_passed_over() {
    run(async {
        let (one, two) = (Origin::start(vec![answers(4)]).await, Origin::start(vec![answers(4)]).await);
        let upstreams = to(&[&one, &two]);
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap().endpoint);
        }
        let asked: Vec<&Endpoint> = asked.iter().map(|endpoint| &**endpoint).collect();
        assert_eq!(asked, [&one.endpoint, &two.endpoint, &one.endpoint, &two.endpoint]);

        let nobody = refused();
        let upstreams = Upstreams::new(&[settings(&[&nobody, &one.endpoint])]);
        for _ in 0..3 {
            let post = request(Method::POST, "/", &[]);
            let sent = upstreams.send(0, &alice(), &post, chunks(&["x"])).await.unwrap();
            assert_eq!(*sent.endpoint, one.endpoint);
            drop(text(sent.response.body).await);
        }
    });
}

#[test]
fn an_endpoint_that_fails_is_passed_over_for_a_while() {
    run(async {
        let one = Origin::start(vec![answers(20)]).await;
        let ejection = Ejection { failures: 2, duration: Duration::from_secs(3600), ..Ejection::NEVER };
        let upstreams = Upstreams::new(&[Settings { ejection, ..settings(&[&refused(), &one.endpoint]) }]);
        let now = crate::time::now();
        let ejected = || upstreams.list[0].fleet().members()[0].standing.is_ejected(now + Duration::from_secs(1));
        for asked in 0..6 {
            assert_eq!(ejected(), asked > 2, "{asked}");
            assert_eq!(*upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap().endpoint, one.endpoint);
        }
        // Where nobody else is left it is asked all the same.
        let alone = Upstreams::new(&[Settings { ejection, ..settings(&[&refused()]) }]);
        for _ in 0..4 {
            let error = alone.send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Connect { .. }), "{error}");
        }
    });
}

#[test]
fn errors_tell_what_happened() {
    run(async {
        let error = Upstreams::new(&[settings(&[])]).send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert_eq!(error.reason(), Reason::NoEndpoint);
        assert_eq!(to(&[]).send(9, &alice(), &get("/"), Body::Empty).await.unwrap_err().reason(), Reason::NoEndpoint);

        let nobody = refused();
        let error =
            Upstreams::new(&[settings(&[&nobody])]).send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert_eq!(error.reason(), Reason::UpstreamConnect);
        assert!(error.to_string().contains(&nobody.to_string()), "{error}");

        let unknown = Endpoint::Tcp { host: "nobody.invalid".to_owned(), port: 80 };
        let error =
            Upstreams::new(&[settings(&[&unknown])]).send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert_eq!(error.reason(), Reason::UpstreamConnect, "{error}");
    });
}

#[test]
fn timeouts_are_told_apart() {
    run(async {
        let short = Duration::from_millis(30);
        let silent = Origin::start(vec![vec![HEAD]]).await;
        let upstreams = Upstreams::new(&[Settings { response_timeout: short, ..settings(&[&silent.endpoint]) }]);
        let error = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error}");
        assert_eq!((error.reason(), counts(&upstreams)), (Reason::UpstreamTimeout, vec![(0, 0)]));

        // The client sends nothing more: not the upstream's fault.
        let (_sender, body) = fed();
        let error = upstreams.send(0, &alice(), &request(Method::POST, "/", &[]), body).await.unwrap_err();
        assert!(matches!(error, UpstreamError::RequestStalled { .. }), "{error}");

        let half = Origin::start(vec![vec![HEAD, Send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123")]]).await;
        let upstreams = Upstreams::new(&[Settings { idle_timeout: short, ..settings(&[&half.endpoint]) }]);
        let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap();
        assert!(matches!(text(sent.response.body).await, Err(BodyError::Idle(_))));
        assert_eq!(counts(&upstreams), [(0, 0)]);
    });
}

#[test]
fn an_endpoint_that_does_not_accept_times_out() {
    run(async {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // Nobody accepts: once the queue is full, the kernel leaves further connections without an answer.
        let short = Duration::from_millis(50);
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::time::timeout(short, tokio::net::TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: address.port() };
        let upstreams = Upstreams::new(&[Settings { connect_timeout: short, ..settings(&[&endpoint]) }]);
        let error = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap_err();
        assert!(matches!(error, UpstreamError::ConnectTimeout { .. }), "{error}");
        assert_eq!((error.reason(), counts(&upstreams)), (Reason::UpstreamTimeout, vec![(0, 0)]));
    });
}

#[test]
fn connections_are_limited() {
    run(async {
        let go = Rc::new(Notify::new());
        let origin = Origin::start(vec![vec![HEAD, Await(Rc::clone(&go)), OK]]).await;
        let upstreams = Upstreams::new(&[Settings { connections_max: 1, ..settings(&[&origin.endpoint]) }]);
        let (alice, request) = (alice(), get("/"));
        let (first, second) = tokio::join!(upstreams.send(0, &alice, &request, Body::Empty), async {
            let refused = upstreams.send(0, &alice, &request, Body::Empty).await;
            go.notify_one();
            refused
        });
        assert_eq!(second.unwrap_err().reason(), Reason::Overload);
        drop(first.unwrap());
        assert_eq!(counts(&upstreams), [(1, 1)]);
    });
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    run(async {
        let origin = Origin::start(vec![vec![HEAD, OK]]).await;
        let upstreams = Upstreams::new(&[Settings { idle_connections_max: 1, ..settings(&[&origin.endpoint]) }]);
        let (one, two) = tokio::join!(fetch(&upstreams), fetch(&upstreams));
        assert_eq!((one.2, two.2), (Connected::New, Connected::New));
        assert_eq!(counts(&upstreams), [(1, 1)]);
    });
}

#[test]
fn uploads_are_framed_by_what_is_known() {
    let check = |request: Request, body: fn() -> Body, until: &'static str, expected: &'static str| {
        run(async move {
            let origin = Origin::start(vec![vec![HEAD, Read(until), OK]]).await;
            let upstreams = to(&[&origin]);
            upstreams.send(0, &alice(), &request, body()).await.unwrap();
            let received = origin.received().concat();
            let lines = received.strip_prefix(&format!("{} / HTTP/1.1\r\n", request.method)).unwrap();
            assert_eq!(lines, expected);
            assert_eq!(counts(&upstreams), [(1, 1)]);
        });
    };
    let post = |fields: &[(&'static str, &str)]| request(Method::POST, "/", fields);
    let five = || Body::from(Bytes::from_static(b"12345"));
    let stream = || chunks(&["12", "345"]);
    let sized = "host: api.example\r\ncontent-length: 5\r\n\r\n12345";
    check(post(&[]), five, "12345", sized);
    check(post(&[("host", "api.example"), ("content-length", "5")]), five, "12345", sized);
    // A plugin may have replaced the body: a stale length would desynchronise the connection.
    check(post(&[("host", "other"), ("content-length", "7")]), five, "12345", sized);
    check(post(&[("content-length", "7")]), || Body::Empty, "", "content-length: 0\r\nhost: api.example\r\n\r\n");
    let chunked = "host: api.example\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n";
    check(post(&[]), stream, "0\r\n\r\n", chunked);
    check(request(Method::GET, "/", &[]), stream, "0\r\n\r\n", chunked);
    check(post(&[("host", "api.example"), ("content-length", "9")]), stream, "0\r\n\r\n", chunked);
    check(
        post(&[("host", "api.example"), ("trailer", "x-sum"), ("te", "trailers")]),
        || chunks_then(&["12"], HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())])),
        "7\r\n\r\n",
        "host: api.example\r\ntrailer: x-sum\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\n12\r\n0\r\nx-sum: 7\r\n\r\n",
    );
}

#[test]
fn a_clients_broken_body_is_the_clients_fault() {
    run(async {
        let script = || vec![HEAD, Read("never")];
        let origin = Origin::start(vec![script(), script()]).await;
        let upstreams = to(&[&origin]);
        let post = request(Method::POST, "/", &[]);
        let error = upstreams.send(0, &alice(), &post, failing()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::RequestBroken), "{error}");
        let error = upstreams.send(0, &alice(), &post, cut_off()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ClientGone, "{error}");
        let long = chunks(&["12", "345"]).limited(3).unwrap();
        let error = upstreams.send(0, &alice(), &post, long).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RequestTooLarge);
        assert_eq!(counts(&upstreams), [(0, 0)]);
    });
}

#[test]
fn an_early_response_and_the_rest_of_the_upload_go_on_together() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12";
        let script = vec![HEAD, Read("first"), Send(answer), Read("second"), Read("0\r\n\r\n"), Send("345")];
        let origin = Origin::start(vec![script]).await;
        let upstreams = to(&[&origin]);
        let (sender, body) = fed();
        sender.send("first").unwrap();
        let sent = upstreams.send(0, &alice(), &request(Method::POST, "/", &[]), body).await.unwrap();
        // The origin gives the rest only when it has the rest of the request, which nobody here waits for.
        sender.send("second").unwrap();
        drop(sender);
        assert_eq!(text(sent.response.body).await.unwrap(), "12345");
        while counts(&upstreams) != [(1, 1)] {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn connections_survive_a_new_configuration() {
    run(async {
        let (one, two) = (Origin::start(vec![answers(2)]).await, Origin::start(vec![vec![HEAD, OK]]).await);
        let old = to(&[&one]);
        fetch(&old).await;
        let new = old.rebuilt(&[Settings { connections_max: 1, ..settings(&[&two.endpoint, &one.endpoint]) }]);
        drop(old);
        assert_eq!(counts(&new), [(0, 0), (1, 1)]);
        fetch(&new).await;
        assert_eq!(fetch(&new).await.2, Connected::Reused);
        // Another upstream's connections are its own, even to the same endpoint.
        let other = new.rebuilt(&[Settings { name: "other".parse().unwrap(), ..settings(&[&one.endpoint]) }]);
        assert_eq!(counts(&other), [(0, 0)]);
    });
}
