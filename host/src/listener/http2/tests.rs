//! Raw frames against a connection: what the protocol demands, and what a hostile client tries.

use std::cell::{Cell, RefCell};
use std::future::Future;

use http::header::HeaderMap;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;

use super::*;
use crate::exchange::Failure;
use crate::http::test_bodies::chunks_then;
use crate::http::{Body, Upgrade};
use crate::listener::hpack;
use crate::listener::registry::Registry;
use frame::*;

/// A handler whose answer depends on the path, and what it was asked for.
#[derive(Default)]
struct Answers {
    asked: RefCell<Vec<Request<()>>>,
    given_up: Rc<Cell<usize>>,
    taken_back: Cell<usize>,
    go: Notify,
}

struct Tell(Rc<Cell<usize>>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Handle for Answers {
    async fn handle(&self, _: &Arc<Client>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        self.asked.borrow_mut().push(Request::from_parts(parts, ()));
        match path.as_str() {
            "/echo" => Response::new(body),
            "/length" => match body.collect().await {
                Ok(all) => Response::new(Body::from(bytes::Bytes::from(all.to_bytes().len().to_string()))),
                Err(_) => Response::builder().status(400).body(Body::Empty).unwrap(),
            },
            "/wait" => {
                let _tell = Tell(Rc::clone(&self.given_up));
                self.go.notified().await;
                Response::new(Body::from(bytes::Bytes::from_static(b"done")))
            }
            "/trailers" => {
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                Response::new(chunks_then(&["ab", "c"], trailers))
            }
            "/empty" => Response::builder().status(204).header("connection", "close").body(Body::Empty).unwrap(),
            "/large-head" => Response::builder().header("x", "y".repeat(40_000)).body(Body::Empty).unwrap(),
            "/large" => Response::new(Body::from(bytes::Bytes::from(vec![b'x'; 100_000]))),
            _ => Response::new(Body::from(bytes::Bytes::from_static(b"hello"))),
        }
    }

    fn taken_back(&self, _: &Arc<Client>, _: Request<Body>) {
        self.taken_back.set(self.taken_back.get() + 1);
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> Response<Body> {
        Response::builder().status(failure.reason.status()).body(Body::Empty).unwrap()
    }
}

struct Running {
    io: DuplexStream,
    answers: Rc<Answers>,
    registry: Rc<Registry>,
    decoder: hpack::Decoder,
}

fn settings() -> Settings {
    Settings {
        http1: crate::listener::Http1::default(),
        address: "127.0.0.1:0".parse().unwrap(),
        head_timeout: Duration::from_secs(30),
        head_bytes_max: 16_384,
        headers_max: 100,
        connections_max: 100,
        connections_per_address_max: None,
        proxy_protocol: None,
        tls: None,
        http2: Http2::default(),
        redirect_https: None,
    }
}

fn start(settings: Settings) -> Running {
    let (io, theirs) = duplex(1 << 20);
    let (answers, registry) = (Rc::new(Answers::default()), Rc::new(Registry::default()));
    let client = Arc::new(Client::new(settings.address, settings.address, None));
    let ticket = registry.enter();
    let handler = Rc::clone(&answers);
    tokio::task::spawn_local(serve(theirs, BytesMut::new(), handler, client, Rc::new(settings), ticket));
    Running { io, answers, registry, decoder: hpack::Decoder::new() }
}

/// Runs a test the way a worker runs, with a clock that jumps when everybody waits.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, limited);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
    out
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        length -= 127;
        out.push(127);
        while length > 127 {
            out.push(length as u8 | 128);
            length >>= 7;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(text);
}

/// A field as a literal that is not kept.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    text(&mut out, name.as_bytes());
    text(&mut out, value.as_bytes());
    out
}

fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A request's fields, with more behind them.
fn asks(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = fields(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]);
    block.extend(fields(more));
    block
}

/// HEADERS that are a whole request.
fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &asks("GET", path, &[]))
}

/// HEADERS that a body follows.
fn post(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &asks("POST", path, more))
}

fn whole(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

fn setting(key: u16, value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame::settings(&mut out, &[(key, value)]);
    out
}

impl Running {
    async fn greet(&mut self) {
        self.send(PREFACE).await;
        self.send(&frame(SETTINGS, 0, 0, &[])).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A connection that was cut off takes no more, which is what some tests want.
        let _ = self.io.write_all(bytes).await;
    }

    /// The next frame in words, without those that every connection begins with; "end" at the end.
    async fn next(&mut self) -> String {
        loop {
            let mut bytes = [0; HEAD_BYTES];
            if self.io.read_exact(&mut bytes).await.is_err() {
                return "end".to_owned();
            }
            let head = Head::parse(&bytes).unwrap();
            let mut payload = vec![0; head.length];
            self.io.read_exact(&mut payload).await.unwrap();
            let end = if head.flags & END_STREAM != 0 { " end" } else { "" };
            let id = head.stream;
            return match head.kind {
                SETTINGS => continue,
                WINDOW_UPDATE if id == 0 => continue,
                DATA if payload.len() < 20 => format!("data {id} {}{end}", String::from_utf8_lossy(&payload)),
                DATA => format!("data {id} {} bytes{end}", payload.len()),
                HEADERS if head.flags & END_HEADERS != 0 => format!("headers {id} {}{end}", self.fields(&payload)),
                HEADERS => format!("headers {id} {} bytes to go on{end}", payload.len()),
                CONTINUATION => format!("continuation {id} {} bytes {}", payload.len(), head.flags & END_HEADERS),
                RST_STREAM => format!("reset {id} {}", u32_of(&payload)),
                GOAWAY => format!("goaway {} {}", u32_of(&payload), u32_of(&payload[4..])),
                PING => format!("ping {}", head.flags),
                kind => format!("{kind} {id} {}", u32_of(&payload)),
            };
        }
    }

    fn fields(&mut self, block: &[u8]) -> String {
        // The decoder takes a response's `:status` for a malformed field, which is all that is malformed here.
        let mut list = hpack::List::new(1 << 20, 1000);
        self.decoder.decode(block, &mut list).unwrap();
        let name = |field: &hpack::Field| match field {
            hpack::Field::Regular(name, value) => format!("{name}={}", value.to_str().unwrap()),
            _ => format!("#{}", block[0] & 0x7f),
        };
        let names: Vec<_> = list.fields.iter().map(name).filter(|field| !field.starts_with("date=")).collect();
        names.join(" ")
    }

    /// All frames up to one that begins so, or to the end.
    async fn until(&mut self, start: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            all.push(self.next().await);
            if all.last().is_some_and(|last| last.starts_with(start) || last == "end") {
                return all;
            }
        }
    }
}

/// What is sent behind the greeting is answered by these frames, in this order.
#[track_caller]
fn check(sent: &[Vec<u8>], expected: &[&str]) {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&sent.concat()).await;
        for expected in expected {
            assert_eq!(running.next().await, *expected);
        }
    });
}

/// What is sent behind the greeting ends the connection with this code.
#[track_caller]
fn breaks(code: Code, sent: &[Vec<u8>]) {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&sent.concat()).await;
        let all = running.until("goaway").await;
        let last = all.last().unwrap();
        assert!(last.starts_with("goaway") && last.ends_with(&format!(" {}", code as u32)), "{code:?} {all:?}");
        assert_eq!(running.next().await, "end");
    });
}

/// What is sent on stream 1 resets it with this code; the connection goes on.
#[track_caller]
fn resets(code: Code, sent: &[Vec<u8>]) {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&sent.concat()).await;
        let all = running.until("reset 1").await;
        assert_eq!(all.last().unwrap(), &format!("reset 1 {}", code as u32), "{all:?}");
        running.send(&get(101, "/")).await;
        assert_eq!(running.until("data 101").await.last().unwrap(), "data 101 hello end");
    });
}

const HELLO: &str = "headers 1 #8 content-length=5";

#[test]
fn requests_are_answered() {
    check(&[get(1, "/")], &[HELLO, "data 1 hello end"]);
    check(&[get(1, "/empty")], &["headers 1 #9 end"]);
    check(&[whole(1, &asks("HEAD", "/", &[]))], &["headers 1 #8 end"]);
    check(&[get(1, "/trailers")], &["headers 1 #8", "data 1 ab", "data 1 c", "headers 1 grpc-status=0 end"]);
    check(&[frame(PING, 0, 0, b"12345678")], &["ping 1"]);
    let long = "headers 1 16384 bytes to go on end";
    check(&[get(1, "/large-head")], &[long, "continuation 1 16384 bytes 0", "continuation 1 7276 bytes 4"]);
}

#[test]
fn bodies_are_taken_and_echoed() {
    let data = |flags, data: &[u8]| frame(DATA, flags, 1, data);
    check(
        &[post(1, "/length", &[("content-length", "5")]), data(0, b"12"), data(1, b"345")],
        &["headers 1 #8 content-length=1", "data 1 5 end"],
    );
    // Padded, and ended by trailers.
    check(
        &[post(1, "/echo", &[]), data(PADDED, b"\x02ab\0\0"), whole(1, &field("x-sum", "1"))],
        &["headers 1 #8", "data 1 ab", "headers 1 x-sum=1 end"],
    );
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&post(1, "/length", &[])).await;
        // Many windows full.
        for _ in 0..100 {
            running.send(&frame(DATA, 0, 1, &[b'x'; 16_384])).await;
            tokio::task::yield_now().await;
        }
        running.send(&frame(DATA, END_STREAM, 1, &[])).await;
        let all = running.until("data").await;
        assert_eq!(all.last().unwrap(), "data 1 1638400 end");
        assert!(all.iter().any(|frame| frame.starts_with("8 1 ")), "{all:?}");
    });
}

#[test]
fn requests_arrive_as_they_are_meant() {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        let more = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("host", "A")];
        running.send(&whole(1, &asks("GET", "/p?q", &more))).await;
        let connect = [(":method", "CONNECT"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")];
        let connect = [fields(&connect), field(":protocol", "websocket")].concat();
        running.send(&frame(HEADERS, END_HEADERS, 3, &connect)).await;
        running.send(&frame(DATA, 0, 3, b"hi")).await;
        running.until("data 3 hi").await;
        let asked = running.answers.asked.borrow();
        assert_eq!((asked[0].uri().to_string().as_str(), asked[0].version()), ("http://a/p?q", http::Version::HTTP_2));
        assert_eq!(
            (&asked[0].headers()["cookie"], &asked[0].headers()["host"]),
            (&"a=1; b=2".parse().unwrap(), &"A".parse().unwrap())
        );
        assert_eq!(asked[1].extensions().get::<Upgrade>().unwrap().protocol, "websocket");
        assert_eq!((asked[1].method().as_str(), &asked[1].headers()["host"]), ("CONNECT", &"a".parse().unwrap()));
    });
}

#[test]
fn malformed_requests_are_reset_and_never_handled() {
    let ask = |more: &[(&str, &str)]| whole(1, &asks("GET", "/", more));
    let (m, s, p, a) = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"));
    for block in [
        ask(&[("X", "y")]),
        ask(&[(":x", "y")]),
        ask(&[(":status", "200")]),
        ask(&[(":path", "/")]),
        ask(&[("x", "y"), (":method", "GET")]),
        ask(&[("connection", "keep-alive")]),
        ask(&[("transfer-encoding", "chunked")]),
        ask(&[("upgrade", "x")]),
        ask(&[("te", "trailers, deflate")]),
        ask(&[("host", "b")]),
        ask(&[("x", "a\nb")]),
        ask(&[("x", " a")]),
        ask(&[("content-length", "1")]),
        ask(&[("content-length", "x")]),
        ask(&[(":protocol", "websocket")]),
        whole(1, &fields(&[m, s, (":path", ""), a])),
        whole(1, &fields(&[m, s, (":path", "a"), a])),
        whole(1, &fields(&[m, s, (":path", "*"), a])),
        whole(1, &fields(&[s, p, a])),
        whole(1, &fields(&[m, p, a])),
        whole(1, &fields(&[m, s, a])),
        whole(1, &fields(&[m, s, p])),
        whole(1, &fields(&[m, s, p, (":authority", "u@a")])),
    ] {
        resets(Code::Protocol, &[block]);
    }
    let data = |flags, data: &[u8]| frame(DATA, flags, 1, data);
    resets(Code::Protocol, &[post(1, "/length", &[("content-length", "1")]), data(1, b"12")]);
    resets(Code::Protocol, &[post(1, "/", &[("content-length", "3")]), data(0, b"1"), data(1, b"2")]);
    resets(Code::Protocol, &[post(1, "/length", &[]), frame(HEADERS, END_HEADERS, 1, &field("x", "y"))]);
    resets(Code::Protocol, &[post(1, "/length", &[]), whole(1, &field(":path", "/"))]);
}

#[test]
fn mistakes_of_the_connection_end_it() {
    let rst = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let begun = || frame(HEADERS, END_STREAM, 1, &asks("GET", "/", &[]));
    let window = |stream, more: u32| frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    let protocol = [
        vec![frame(PING, 0, 1, &[0; 8])],
        vec![frame(DATA, 0, 0, b"x")],
        vec![frame(DATA, 0, 1, b"x")],
        vec![rst(1)],
        vec![rst(0)],
        vec![window(1, 1)],
        vec![window(0, 0)],
        vec![frame(CONTINUATION, END_HEADERS, 1, b"")],
        vec![begun(), frame(PING, 0, 0, &[0; 8])],
        vec![begun(), frame(0x20, 0, 0, b"")],
        vec![begun(), frame(CONTINUATION, END_HEADERS, 3, b"")],
        vec![get(2, "/")],
        vec![get(0, "/")],
        vec![get(5, "/"), get(3, "/")],
        vec![post(1, "/wait", &[]), frame(DATA, PADDED, 1, b"\x09abc")],
        vec![frame(PRIORITY, 0, 3, b"\0\0\0\x03\0")],
        vec![frame(PRIORITY, 0, 0, b"\0\0\0\x03\0")],
        vec![frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")],
        vec![setting(SETTING_ENABLE_PUSH, 2)],
        vec![setting(SETTING_MAX_FRAME_SIZE, 16_383)],
        vec![frame(SETTINGS, 0, 1, b"")],
        vec![frame(GOAWAY, 0, 1, &[0; 8])],
    ];
    protocol.iter().for_each(|sent| breaks(Code::Protocol, sent));
    breaks(Code::FrameSize, &[frame(PING, 0, 0, b"1")]);
    breaks(Code::FrameSize, &[frame(SETTINGS, 0, 0, b"1")]);
    breaks(Code::FrameSize, &[frame(SETTINGS, ACK, 0, &[0; 6])]);
    breaks(Code::FrameSize, &[frame(PRIORITY, 0, 1, b"1234")]);
    breaks(Code::FrameSize, &[post(1, "/wait", &[]), frame(DATA, 0, 1, &[0; 16_385])]);
    breaks(Code::StreamClosed, &[post(1, "/wait", &[]), rst(1), frame(DATA, 0, 1, b"x")]);
    breaks(Code::StreamClosed, &[post(1, "/wait", &[]), rst(1), get(1, "/")]);
    breaks(Code::Compression, &[whole(1, b"\x80")]);
    breaks(Code::Compression, &[whole(1, b"\xff\xff\xff\xff\xff\x7f")]);
    breaks(Code::FlowControl, &[setting(SETTING_INITIAL_WINDOW_SIZE, 1 << 31)]);
    breaks(Code::FlowControl, &[window(0, (1 << 31) - 1)]);
    resets(Code::StreamClosed, &[get(1, "/wait"), frame(DATA, 0, 1, b"x")]);
    resets(Code::Protocol, &[get(1, "/wait"), window(1, 0)]);
    resets(Code::FlowControl, &[get(1, "/wait"), window(1, (1 << 31) - 1)]);
}

#[test]
fn a_preface_that_is_none_ends_the_connection() {
    run(async {
        let mut running = start(settings());
        running.send(b"PRI * HTTP/2.0\r\n\r\nXX").await;
        assert_eq!(running.until("goaway").await.last().unwrap(), "goaway 0 1");
        assert_eq!(running.next().await, "end");
    });
}

#[test]
fn windows_are_kept() {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&[setting(SETTING_INITIAL_WINDOW_SIZE, 3), get(1, "/")].concat()).await;
        assert_eq!(running.until("data").await.last().unwrap(), "data 1 hel");
        // Below nothing, and back to one.
        let more = frame(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes());
        running.send(&[setting(SETTING_INITIAL_WINDOW_SIZE, 2), more].concat()).await;
        assert_eq!(running.next().await, "data 1 l");
        running.send(&setting(SETTING_INITIAL_WINDOW_SIZE, 1000)).await;
        assert_eq!(running.next().await, "data 1 o end");
        // The connection's own window: 65 535 less five.
        running.send(&setting(SETTING_INITIAL_WINDOW_SIZE, 1 << 20)).await;
        running.send(&[get(3, "/large"), get(5, "/large")].concat()).await;
        let mut sent = [0, 0];
        while sent.iter().sum::<usize>() < 65_530 {
            let next = running.next().await;
            if let Some((id, rest)) = next.strip_prefix("data ").and_then(|rest| rest.split_once(' ')) {
                sent[usize::from(id == "5")] += rest.split(' ').next().unwrap().parse::<usize>().unwrap();
            }
        }
        assert_eq!(sent.iter().sum::<usize>(), 65_530);
        assert!(sent[0].abs_diff(sent[1]) <= 16_384, "in turn: {sent:?}");
    });
}

#[test]
fn floods_are_cut_off() {
    let ping = frame(PING, 0, 0, &[0; 8]);
    let begun = || frame(HEADERS, END_STREAM, 1, &asks("GET", "/", &[]));
    let rst = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let many = |one: Vec<u8>| vec![one; 2000].concat();
    breaks(Code::EnhanceYourCalm, &[many(ping)]);
    breaks(Code::EnhanceYourCalm, &[many(frame(SETTINGS, 0, 0, b""))]);
    breaks(Code::EnhanceYourCalm, &[many(frame(PRIORITY, 0, 1, &[0; 5]))]);
    breaks(Code::EnhanceYourCalm, &[many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))]);
    breaks(Code::EnhanceYourCalm, &[many(frame(0x99, 0, 0, b""))]);
    breaks(Code::EnhanceYourCalm, &[post(1, "/wait", &[]), many(frame(DATA, 0, 1, b""))]);
    breaks(Code::EnhanceYourCalm, &[begun(), many(frame(CONTINUATION, 0, 1, b""))]);
    breaks(Code::EnhanceYourCalm, &[begun(), vec![frame(CONTINUATION, 0, 1, &[0; 9000]); 10].concat()]);
    let reset: Vec<u8> = (0..500).flat_map(|n| [get(n * 2 + 1, "/wait"), rst(n * 2 + 1)].concat()).collect();
    breaks(Code::EnhanceYourCalm, &[reset]);
    let malformed: Vec<u8> = (0..500).flat_map(|n| whole(n * 2 + 1, b"\x82")).collect();
    breaks(Code::EnhanceYourCalm, &[malformed]);
}

#[test]
fn heads_that_are_too_large_are_answered_and_bombs_do_not_go_off() {
    // One field of 4000 bytes into the table, then named again and again.
    let mut bomb = asks("GET", "/", &[]);
    bomb.extend([0x40, 1, b'x']);
    text(&mut bomb, &[b'y'; 4000]);
    bomb.extend([0xbe; 10_000]);
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&whole(1, &bomb)).await;
        assert_eq!(running.next().await, "headers 1 #8 content-length=0 end");
        assert!(running.answers.asked.borrow().is_empty());
    });
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    run(async {
        let mut settings = settings();
        settings.http2.streams_max = 2;
        let mut running = start(settings);
        running.greet().await;
        running.send(&[get(1, "/wait"), get(3, "/wait"), get(5, "/")].concat()).await;
        assert_eq!(running.next().await, "reset 5 7");
        running.send(&[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), get(7, "/")].concat()).await;
        assert_eq!(running.until("data").await.last().unwrap(), "data 7 hello end");
        assert_eq!(running.answers.given_up.get(), 1);
    });
}

#[test]
fn what_is_taken_back_before_it_is_begun_is_told_and_not_asked() {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        let both = [get(1, "/wait"), reset(1), post(3, "/echo", &[]), reset(3), get(5, "/")].concat();
        running.send(&both).await;
        assert_eq!(running.until("data").await.last().unwrap(), "data 5 hello end");
        assert_eq!((running.answers.taken_back.get(), running.answers.asked.borrow().len()), (2, 1));
        assert_eq!(running.answers.given_up.get(), 0);
    });
}

#[test]
fn draining_finishes_streams_and_ends() {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&[get(1, "/wait"), frame(PING, 0, 0, &[0; 8])].concat()).await;
        assert_eq!(running.next().await, "ping 1");
        running.registry.drain();
        assert_eq!(running.next().await, "goaway 2147483647 0");
        assert_eq!(running.next().await, "ping 0");
        // Sent before the client could know: still answered.
        running.send(&[get(3, "/"), frame(PING, 1, 0, b"parting!")].concat()).await;
        let rest = running.until("goaway").await;
        assert_eq!(rest.last().unwrap(), "goaway 3 0");
        running.send(&get(5, "/")).await;
        let answers = running.until("reset").await;
        assert_eq!(answers.last().unwrap(), "reset 5 7");
        assert!([rest, answers].concat().contains(&"data 3 hello end".to_owned()));
        running.answers.go.notify_one();
        assert_eq!(running.until("data").await.last().unwrap(), "data 1 done end");
        assert_eq!(running.next().await, "end");
        drop(running.io);
        running.registry.empty().await;
    });
}

#[test]
fn who_stands_still_is_cut_off() {
    run(async {
        let mut quick = settings();
        quick.head_timeout = Duration::from_millis(60);
        quick.http2.stall_timeout = Duration::from_millis(40);
        quick.http1.idle_timeout = Duration::from_millis(60);
        // Idle.
        let mut running = start(quick.clone());
        running.greet().await;
        assert_eq!(running.until("goaway").await.last().unwrap(), "goaway 0 0");
        // A header block that is never finished.
        let mut running = start(quick.clone());
        running.greet().await;
        running.send(&frame(HEADERS, END_STREAM, 1, &asks("GET", "/", &[]))).await;
        assert_eq!(running.until("goaway").await.last().unwrap(), "goaway 0 11");
        // A body that rests, and a window that stays shut.
        let mut running = start(quick);
        running.greet().await;
        running.send(&[setting(SETTING_INITIAL_WINDOW_SIZE, 0), post(1, "/length", &[]), get(3, "/")].concat()).await;
        let all = [running.until("reset").await, running.until("reset").await].concat();
        assert!(all.contains(&"reset 1 8".to_owned()) && all.contains(&"reset 3 8".to_owned()), "{all:?}");
    });
}

#[test]
fn a_request_that_was_answered_early_is_waited_for_and_then_reset() {
    run(async {
        let mut running = start(settings());
        running.greet().await;
        running.send(&post(1, "/", &[])).await;
        running.until("data 1 hello end").await;
        running.send(&frame(DATA, 0, 1, b"late")).await;
        assert_eq!(running.next().await, "reset 1 0");
        // Still on its way when the reset was sent.
        running.send(&[frame(DATA, END_STREAM, 1, b"later"), get(3, "/")].concat()).await;
        assert_eq!(running.until("data 3").await.last().unwrap(), "data 3 hello end");
    });
}
