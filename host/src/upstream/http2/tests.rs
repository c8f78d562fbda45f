//! HTTP/2 to endpoints, against real servers.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use ::http::{HeaderMap, Method, Response, StatusCode, Version};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use super::super::origin::run;
use super::super::tests::{alice, fed, get, request, settings};
use super::super::wire_tests::{Authority, by_tls, server, upstreams};
use super::super::{Connected, Endpoint, Protocol, Sent, Settings, UpstreamError, Upstreams, Wire};
use crate::exchange::{Reason as Why, Request};
use crate::http::test_bodies::chunks_then;
use crate::http::{Body, Upgrade, UpgradeForm};
use crate::tls::ClientSettings;

type Answering = Pin<Box<dyn Future<Output = ()>>>;
type Asked = (::http::Request<RecvStream>, SendResponse<Bytes>);

/// A server that speaks HTTP/2.
struct Origin {
    endpoint: Endpoint,
    accepted: Rc<Cell<usize>>,
}

/// How its connections are.
#[derive(Clone)]
struct Manners {
    tls: Option<TlsAcceptor>,
    streams_max: u32,
    /// Gives up each connection, gracefully, after so many requests.
    requests_max: usize,
    /// Whether it takes extended CONNECT.
    connects: bool,
    /// Cuts the connection.
    cut: Rc<Notify>,
}

impl Default for Manners {
    fn default() -> Self {
        Self { tls: None, streams_max: 100, requests_max: usize::MAX, connects: false, cut: Rc::default() }
    }
}

impl Origin {
    async fn start(manners: Manners, answer: impl Fn(Asked) -> Answering + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let accepted = Rc::new(Cell::new(0));
        let (count, answer) = (Rc::clone(&accepted), Rc::new(answer));
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.set(count.get() + 1);
                let (manners, answer) = (manners.clone(), Rc::clone(&answer));
                tokio::task::spawn_local(async move {
                    match manners.tls.clone() {
                        None => serve(stream, manners, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, manners, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { endpoint, accepted }
    }

    fn upstreams(&self) -> Upstreams {
        upstreams(&self.endpoint, http2())
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    manners: Manners,
    answer: Rc<impl Fn(Asked) -> Answering + 'static>,
) {
    let mut builder = h2::server::Builder::new();
    if manners.connects {
        builder.enable_connect_protocol();
    }
    let Ok(mut connection) = builder.max_concurrent_streams(manners.streams_max).handshake(stream).await else {
        return;
    };
    let mut requests = 0;
    loop {
        tokio::select! {
            () = manners.cut.notified() => return,
            asked = connection.accept() => {
                let Some(Ok(asked)) = asked else { return };
                tokio::task::spawn_local(answer(asked));
                requests += 1;
                if requests == manners.requests_max {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

fn http2() -> Wire {
    Wire { protocol: Protocol::Http2, ..Wire::default() }
}

/// Reads all of a request; gives its body and its trailers.
async fn read(mut body: RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    (bytes, body.trailers().await.unwrap())
}

fn reply(mut respond: SendResponse<Bytes>, text: Vec<u8>, trailers: Option<HeaderMap>) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(text.into(), trailers.is_none()).unwrap();
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers).unwrap();
    }
}

/// Answers with what it was sent, trailers included.
fn echo((asked, respond): Asked) -> Answering {
    Box::pin(async move {
        let (bytes, trailers) = read(asked.into_body()).await;
        reply(respond, bytes, trailers);
    })
}

fn post() -> Request {
    request(Method::POST, "/", &[])
}

async fn send(upstreams: &Upstreams, request: &Request, body: Body) -> Result<Sent, UpstreamError> {
    upstreams.send(0, &alice(), request, body).await
}

async fn text(sent: Sent) -> String {
    String::from_utf8(sent.response.body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Lets everybody else go on until there is nothing to do.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn many_requests_share_a_connection() {
    run(async {
        let go = Rc::new(Notify::new());
        let gate = Rc::clone(&go);
        let waiting = Rc::new(Cell::new(0));
        let waits = Rc::clone(&waiting);
        let origin = Origin::start(Manners::default(), move |(asked, respond)| {
            let (gate, waits) = (Rc::clone(&gate), Rc::clone(&waits));
            Box::pin(async move {
                waits.set(waits.get() + 1);
                if waits.get() == 20 {
                    gate.notify_waiters();
                } else {
                    gate.notified().await;
                }
                reply(respond, asked.uri().path().as_bytes().to_vec(), None);
            })
        })
        .await;
        let upstreams = origin.upstreams();
        // Nobody is answered before all have asked.
        let asks = (0..20).map(async |index| {
            let path = format!("/{index}");
            assert_eq!(text(send(&upstreams, &get(&path), Body::Empty).await.unwrap()).await, path);
        });
        join_all(asks).await;
        assert_eq!((waiting.get(), origin.accepted.get()), (20, 1));
        let counts = upstreams.connections(0);
        assert_eq!((counts[0].open, counts[0].idle), (1, 1));
    });
}

#[test]
fn a_request_is_written_as_http2_wants_it() {
    run(async {
        let origin = Origin::start(Manners::default(), |(asked, respond)| {
            Box::pin(async move {
                let (head, _) = asked.into_parts();
                let field = |name: &str| head.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
                let fields = ["host", "te", "connection", "content-length", "x-own"].map(field).join(" ");
                reply(respond, format!("{} {} {fields}", head.method, head.uri).into_bytes(), None);
            })
        })
        .await;
        let upstreams = origin.upstreams();
        let asked = request(Method::PUT, "/a?b=c", &[("te", "trailers"), ("x-own", "1"), ("host", "other.example")]);
        let sent = send(&upstreams, &asked, Bytes::from_static(b"four").into()).await.unwrap();
        assert_eq!(text(sent).await, "PUT http://api.example/a?b=c - trailers - 4 1");
    });
}

#[test]
fn trailers_pass_both_ways() {
    run(async {
        let origin = Origin::start(Manners::default(), echo).await;
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let body = chunks_then(&["one,", "two"], trailers.clone());
        let sent = send(&origin.upstreams(), &post(), body).await.unwrap();
        assert_eq!(sent.connection, Connected::New);
        let whole = sent.response.body.collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "one,two");
    });
}

#[test]
fn a_response_of_fields_only_ends_with_its_head() {
    run(async {
        let origin = Origin::start(Manners::default(), |(_, mut respond)| {
            Box::pin(async move {
                let head = Response::builder().header("grpc-status", "12").body(()).unwrap();
                respond.send_response(head, true).unwrap();
            })
        })
        .await;
        let upstreams = origin.upstreams();
        let sent = send(&upstreams, &post(), Bytes::from_static(b"x").into()).await.unwrap();
        assert_eq!(sent.response.headers["grpc-status"], "12");
        assert!(matches!(sent.response.body, Body::Empty));
        assert_eq!(upstreams.connections(0)[0].idle, 1);
    });
}

#[test]
fn both_sides_speak_at_the_same_time() {
    run(async {
        let origin = Origin::start(Manners::default(), |(asked, mut respond)| {
            Box::pin(async move {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                let mut body = asked.into_body();
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                    stream.send_data(data, false).unwrap();
                }
                stream.send_data("end".into(), true).unwrap();
            })
        })
        .await;
        let (say, said) = fed();
        let sent = send(&origin.upstreams(), &post(), said).await.unwrap();
        let mut heard = sent.response.body;
        for word in ["one", "two"] {
            say.send(word).unwrap();
            assert_eq!(heard.frame().await.unwrap().unwrap().into_data().unwrap(), word);
        }
        drop(say);
        assert_eq!(heard.collect().await.unwrap().to_bytes(), "end");
    });
}

#[test]
fn no_connection_gets_more_streams_than_it_takes() {
    run(async {
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (running, peak) = (Rc::clone(&now), Rc::clone(&most));
        let manners = Manners { streams_max: 2, ..Manners::default() };
        let origin = Origin::start(manners, move |(_, respond)| {
            let (running, peak) = (Rc::clone(&running), Rc::clone(&peak));
            Box::pin(async move {
                running.set(running.get() + 1);
                peak.set(peak.get().max(running.get()));
                settle().await;
                running.set(running.get() - 1);
                reply(respond, b"hi".to_vec(), None);
            })
        })
        .await;
        let upstreams = origin.upstreams();
        let ask = async || assert_eq!(text(send(&upstreams, &post(), Body::Empty).await.unwrap()).await, "hi");
        // Before the limit is known, what is over it waits in the connection, and nothing is refused.
        join_all((0..7).map(|_| ask())).await;
        assert_eq!((most.get(), origin.accepted.get()), (2, 1));
        // Once it is known, what is over it goes to other connections.
        join_all((0..7).map(|_| ask())).await;
        assert_eq!(origin.accepted.get(), 4);
    });
}

#[test]
fn connections_are_limited_too() {
    run(async {
        let manners = Manners { streams_max: 1, ..Manners::default() };
        let origin = Origin::start(manners, |(_, respond)| {
            Box::pin(async move {
                settle().await;
                reply(respond, b"hi".to_vec(), None);
            })
        })
        .await;
        let one = Settings { connections_max: 1, wire: http2(), ..settings(&[&origin.endpoint]) };
        let upstreams = Upstreams::new(&[one]);
        // All wait in the first connection, whose limit nobody knows yet.
        let asks = join_all((0..3).map(|_| async { send(&upstreams, &post(), Body::Empty).await.unwrap() })).await;
        drop(asks);
        let request = post();
        let (first, second) =
            tokio::join!(send(&upstreams, &request, Body::Empty), send(&upstreams, &request, Body::Empty));
        assert_eq!(first.unwrap().response.status, StatusCode::OK);
        assert_eq!(second.unwrap_err().reason(), Why::Overload);
    });
}

#[test]
fn what_was_refused_is_sent_again() {
    run(async {
        let refusals = Rc::new(Cell::new(2));
        let left = Rc::clone(&refusals);
        let origin = Origin::start(Manners::default(), move |(asked, mut respond)| {
            let left = Rc::clone(&left);
            Box::pin(async move {
                let (bytes, _) = read(asked.into_body()).await;
                if left.get() > 0 {
                    left.set(left.get() - 1);
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                reply(respond, bytes, None);
            })
        })
        .await;
        let upstreams = origin.upstreams();
        // Even where the method is not idempotent: nothing has been done.
        let body = chunks_then(&["one,", "two"], HeaderMap::new());
        assert_eq!(text(send(&upstreams, &post(), body).await.unwrap()).await, "one,two");
        assert_eq!((origin.accepted.get(), refusals.get()), (1, 0));
        refusals.set(3);
        let error = send(&upstreams, &post(), Body::Empty).await.unwrap_err();
        let expected = format!("{}: did not begin with the request: ", origin.endpoint);
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.reason(), Why::UpstreamProtocol);
    });
}

#[test]
fn what_was_reset_otherwise_is_not() {
    run(async {
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let origin = Origin::start(Manners::default(), move |(_, mut respond)| {
            count.set(count.get() + 1);
            Box::pin(async move { respond.send_reset(Reason::INTERNAL_ERROR) })
        })
        .await;
        let error = send(&origin.upstreams(), &post(), Body::Empty).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Protocol { .. }), "{error}");
        assert_eq!(asked.get(), 1);
    });
}

#[test]
fn a_connection_that_goes_away_takes_nothing_with_it() {
    run(async {
        let manners = Manners { requests_max: 2, ..Manners::default() };
        let origin = Origin::start(manners, echo).await;
        let upstreams = origin.upstreams();
        for index in 0..9 {
            let word = format!("word {index}");
            let sent = send(&upstreams, &post(), Bytes::from(word.clone()).into()).await.unwrap();
            assert_eq!(text(sent).await, word);
        }
        assert!((4..=9).contains(&origin.accepted.get()), "{}", origin.accepted.get());
    });
}

#[test]
fn a_connection_that_dies_fails_its_streams_only() {
    run(async {
        let cut = Rc::new(Notify::new());
        let heard = Rc::new(RefCell::new(Vec::new()));
        let paths = Rc::clone(&heard);
        let manners = Manners { cut: Rc::clone(&cut), ..Manners::default() };
        let origin = Origin::start(manners, move |(asked, respond)| {
            let mut paths = paths.borrow_mut();
            paths.push(asked.uri().path().to_owned());
            // Those that come for the first time are never answered.
            let again = paths.iter().filter(|path| **path == asked.uri().path()).count() > 1;
            Box::pin(async move {
                match again {
                    true => reply(respond, b"hi".to_vec(), None),
                    false => std::future::pending().await,
                }
            })
        })
        .await;
        let upstreams = origin.upstreams();
        let post = post();
        let (lost, ()) = tokio::join!(send(&upstreams, &post, Body::Empty), async {
            while heard.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
            cut.notify_one();
        });
        assert!(matches!(lost.unwrap_err(), UpstreamError::Protocol { .. }));
        assert_eq!(text(send(&upstreams, &post, Body::Empty).await.unwrap()).await, "hi");
        // On a connection that was there before, what may be asked twice is.
        let asking = get("/get");
        let (found, ()) = tokio::join!(send(&upstreams, &asking, Body::Empty), async {
            while heard.borrow().len() < 3 {
                tokio::task::yield_now().await;
            }
            cut.notify_one();
        });
        assert_eq!(text(found.unwrap()).await, "hi");
        assert_eq!(origin.accepted.get(), 3);
    });
}

#[test]
fn a_response_that_nobody_wants_any_more_is_cancelled() {
    run(async {
        let (tell, mut told) = mpsc::unbounded_channel();
        let origin = Origin::start(Manners::default(), move |(_, mut respond)| {
            let tell = tell.clone();
            Box::pin(async move {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data("some".into(), false).unwrap();
                tell.send(std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap()).unwrap();
            })
        })
        .await;
        let upstreams = origin.upstreams();
        let mut sent = send(&upstreams, &get("/"), Body::Empty).await.unwrap();
        assert!(sent.response.body.frame().await.unwrap().is_ok());
        assert_eq!(upstreams.connections(0)[0].idle, 0);
        drop(sent);
        assert_eq!(told.recv().await, Some(Reason::CANCEL));
        assert_eq!((upstreams.connections(0)[0].open, upstreams.connections(0)[0].idle), (1, 1));
    });
}

#[test]
fn who_does_not_answer_is_given_up_with_the_connection() {
    run(async {
        let origin = Origin::start(Manners::default(), |asked| {
            Box::pin(async move {
                let _held = asked;
                std::future::pending().await
            })
        })
        .await;
        let timeout = Duration::from_millis(50);
        let hasty = Settings { response_timeout: timeout, wire: http2(), ..settings(&[&origin.endpoint]) };
        let upstreams = Upstreams::new(&[hasty]);
        for connections in 1..3 {
            let error = send(&upstreams, &post(), Body::Empty).await.unwrap_err();
            assert!(matches!(error, UpstreamError::ResponseTimeout { .. }), "{error}");
            assert_eq!(origin.accepted.get(), connections);
        }
    });
}

fn offering(authority: &Authority, protocols: &[&[u8]]) -> TlsAcceptor {
    let (certificate, key) = authority.issue("app.internal");
    let mut config = rustls::ServerConfig::clone(server(certificate, &key, None).config());
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(std::sync::Arc::new(config))
}

#[test]
fn tls_agrees_on_the_version() {
    run(async {
        let authority = Authority::new();
        let wire = |protocol: Protocol| {
            let client = ClientSettings { protocols: protocol.offer().to_vec(), ..authority.ca() };
            Wire { protocol, ..by_tls(&client, Some("app.internal")) }
        };
        let version = |(asked, respond): Asked| -> Answering {
            Box::pin(async move {
                assert_eq!((asked.version(), asked.uri().scheme_str()), (Version::HTTP_2, Some("https")));
                reply(respond, b"two".to_vec(), None);
            })
        };
        let manners = Manners { tls: Some(offering(&authority, &[b"h2", b"http/1.1"])), ..Manners::default() };
        let origin = Origin::start(manners, version).await;
        for protocol in [Protocol::Http2, Protocol::Auto] {
            let upstreams = upstreams(&origin.endpoint, wire(protocol));
            // Those that come while the version is not known yet wait for it.
            let asked = get("/");
            let (one, two) = tokio::join!(send(&upstreams, &asked, Body::Empty), send(&upstreams, &asked, Body::Empty));
            assert_eq!((text(one.unwrap()).await, text(two.unwrap()).await), ("two".to_owned(), "two".to_owned()));
            assert_eq!(upstreams.connections(0)[0].open, 1);
        }

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let tls = offering(&authority, &[]);
        tokio::task::spawn_local(async move {
            loop {
                let mut stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
                tokio::task::spawn_local(async move {
                    let mut head = [0; 4096];
                    while let Ok(1..) = stream.read(&mut head).await {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
                    }
                });
            }
        });
        let old = upstreams(&endpoint, wire(Protocol::Auto));
        for connected in [Connected::New, Connected::Reused] {
            let sent = send(&old, &get("/"), Body::Empty).await.unwrap();
            assert_eq!(sent.connection, connected);
            assert_eq!(text(sent).await, "one");
        }
        let error = send(&upstreams(&endpoint, wire(Protocol::Http2)), &get("/"), Body::Empty).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{endpoint}: no TLS: it does not agree to HTTP/2"));
    });
}

#[test]
fn who_does_not_speak_it_is_told_so() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        tokio::task::spawn_local(async move {
            loop {
                let mut stream = listener.accept().await.unwrap().0;
                let _ = stream.read(&mut [0; 24]).await;
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        });
        let upstreams = upstreams(&endpoint, http2());
        let error = send(&upstreams, &get("/"), Body::Empty).await.unwrap_err();
        assert_eq!(error.reason(), Why::UpstreamProtocol);
        assert_eq!(error.to_string(), format!("{endpoint}: no response: it does not seem to speak HTTP/2"));
    });
}

/// Grants `/chat` to those who ask for it, says `hello` and then what it is told.
fn chat((asked, mut respond): Asked) -> Answering {
    Box::pin(async move {
        let protocol = asked.extensions().get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().to_owned());
        let (head, mut body) = asked.into_parts();
        assert_eq!((head.method, protocol.as_deref()), (Method::CONNECT, Some("websocket")));
        assert_eq!(head.uri.to_string(), format!("http://api.example{}", head.uri.path()));
        assert!(!head.headers.contains_key("sec-websocket-key") && head.headers["sec-websocket-version"] == "13");
        if head.uri.path() != "/chat" {
            let refusal = Response::builder().status(403).body(()).unwrap();
            respond.send_response(refusal, false).unwrap().send_data("not you".into(), true).unwrap();
            return;
        }
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data("hello".into(), false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            stream.send_data(data, false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
    })
}

#[test]
fn other_protocols_are_spoken_on_streams() {
    run(async {
        let origin = Origin::start(Manners { connects: true, ..Manners::default() }, chat).await;
        let upstreams = origin.upstreams();
        let fields = [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")];
        for (form, status) in [(UpgradeForm::Upgrade, 101), (UpgradeForm::Connect, 200)] {
            let upgrade = Upgrade { protocol: "websocket".parse().unwrap(), form };
            let asked = request(Method::GET, "/chat", &fields);
            let (say, said) = fed();
            let sent = upstreams.tunnel(0, &alice(), &asked, &upgrade, said).await.unwrap();
            assert_eq!(sent.response.status, status);
            // RFC 6455 section 1.3 has this pair.
            let accept = sent.response.headers.get("sec-websocket-accept").map(|accept| accept.to_str().unwrap());
            assert_eq!(accept, (status == 101).then_some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
            let mut heard = sent.response.body;
            assert_eq!(heard.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
            say.send("word").unwrap();
            assert_eq!(heard.frame().await.unwrap().unwrap().into_data().unwrap(), "word");
            assert_eq!(upstreams.connections(0)[0].idle, 0);
            drop(say);
            assert_eq!(heard.collect().await.unwrap().to_bytes(), "");
            assert_eq!((upstreams.connections(0)[0].open, upstreams.connections(0)[0].idle), (1, 1));

            let asked = request(Method::GET, "/other", &fields);
            let sent = upstreams.tunnel(0, &alice(), &asked, &upgrade, Body::Empty).await.unwrap();
            assert_eq!(sent.response.status, StatusCode::FORBIDDEN);
            assert_eq!(text(sent).await, "not you");
        }
        assert_eq!(origin.accepted.get(), 1);
    });
}

#[test]
fn who_does_not_take_other_protocols_is_not_asked_for_them() {
    run(async {
        let origin = Origin::start(Manners::default(), |_| unreachable!()).await;
        let upgrade = Upgrade { protocol: "websocket".parse().unwrap(), form: UpgradeForm::Upgrade };
        let error = origin.upstreams().tunnel(0, &alice(), &get("/"), &upgrade, Body::Empty).await.unwrap_err();
        assert_eq!(error.reason(), Why::UpstreamProtocol);
        assert_eq!(error.to_string(), "the upstream speaks HTTP/2 and takes no upgrades to other protocols there");
    });
}

#[test]
fn many_that_cannot_connect_are_told_once() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        drop(listener);
        let upstreams = upstreams(&endpoint, http2());
        let errors = join_all((0..3).map(|_| async { send(&upstreams, &get("/"), Body::Empty).await.unwrap_err() }));
        for error in errors.await {
            assert_eq!(error.reason(), Why::UpstreamConnect, "{error}");
        }
        assert_eq!(upstreams.connections(0)[0].open, 0);
    });
}
