//! The listener against real sockets and clients that speak bytes.

use std::cell::RefCell;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::http::{BodyEnd, BodyOutcome, FilePiece};
use crate::shutdown::Drain;

/// A handler whose answer depends on the path, and what it was asked for.
#[derive(Default)]
struct Answers {
    asked: RefCell<Vec<String>>,
    arrived: Notify,
    go: Notify,
    given_up: Rc<Notify>,
    file: RefCell<Option<Body>>,
    ends: Rc<RefCell<Vec<BodyEnd>>>,
}

impl Handle for Answers {
    async fn handle(&self, client: &Arc<Client>, request: Request<Body>) -> Response<Body> {
        self.asked.borrow_mut().push(format!("{} {}", request.method(), request.uri().path()));
        match request.uri().path() {
            "/client" => Response::new(Body::from(Bytes::from(client.address.to_string()))),
            "/echo" => Response::new(request.into_body()),
            "/length" => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Response::new(Body::from(Bytes::from(body.len().to_string())))
            }
            "/wait" => {
                struct Tell(Rc<Notify>);
                impl Drop for Tell {
                    fn drop(&mut self) {
                        self.0.notify_one();
                    }
                }
                let _tell = Tell(Rc::clone(&self.given_up));
                self.arrived.notify_one();
                self.go.notified().await;
                Response::new(Body::from(Bytes::from_static(b"done")))
            }
            "/lie" => {
                let body = Body::from(Bytes::from_static(b"12345"));
                Response::builder().header("content-length", "999").body(body).unwrap()
            }
            "/file" => {
                let ends = Rc::clone(&self.ends);
                Response::new(self.file.borrow_mut().take().unwrap().observed(move |end| ends.borrow_mut().push(end)))
            }
            _ => Response::new(Body::from(Bytes::from_static(b"hi"))),
        }
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> Response<Body> {
        Response::builder().status(failure.reason.status()).body(Body::Empty).unwrap()
    }
}

struct Running {
    address: SocketAddr,
    answers: Rc<Answers>,
    drain: Drain,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

fn settings() -> Settings {
    Settings {
        address: "127.0.0.1:0".parse().unwrap(),
        head_timeout: Duration::from_secs(5),
        head_bytes_max: 8192,
        headers_max: 100,
        connections_max: 100,
        connections_per_address_max: None,
        proxy_protocol: None,
        tls: None,
        http1: Http1::default(),
        http2: Http2::default(),
        redirect_https: None,
    }
}

fn start(settings: &Settings) -> Running {
    let listener = Listener::bind(settings).unwrap();
    let (address, answers) = (listener.address(), Rc::new(Answers::default()));
    let (drain, draining) = Drain::new();
    let task = tokio::task::spawn_local(listener.serve(Rc::clone(&answers), draining));
    Running { address, answers, drain, task }
}

/// Runs a test the way a worker runs. A test that hangs fails.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, limited);
}

struct Connection(TcpStream);

impl Connection {
    async fn to(running: &Running) -> Self {
        Self(TcpStream::connect(running.address).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` came, or to the end of the stream.
    async fn read_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(end) && self.0.read_buf(&mut all).await.unwrap_or(0) > 0 {}
        String::from_utf8(all).unwrap()
    }

    /// Reads until the other side closes.
    async fn read_all(&mut self) -> String {
        self.read_until("\0").await
    }
}

#[test]
fn requests_are_answered_one_after_the_other() {
    run(async {
        let running = start(&settings());
        let mut connection = Connection::to(&running).await;
        connection.send("GET /client HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let own = connection.0.local_addr().unwrap().to_string();
        let answer = connection.read_until(&own).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\ndate: "), "{answer}");
        // Pipelined.
        connection
            .send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        let answer = connection.read_all().await;
        assert_eq!(answer.matches("content-length: 2").count(), 2, "{answer}");
        assert_eq!(answer.matches("hi").count(), 1, "{answer}");
        assert_eq!(*running.answers.asked.borrow(), ["GET /client", "GET /1", "HEAD /2"]);
    });
}

#[test]
fn bodies_stream_and_continue_is_answered_when_the_body_is_wanted() {
    run(async {
        let running = start(&settings());
        let mut connection = Connection::to(&running).await;
        let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n";
        connection.send(chunked).await;
        let first = connection.read_until("2\r\n12\r\n").await;
        assert!(first.contains("transfer-encoding: chunked"), "{first}");
        connection.send("3\r\n345\r\n0\r\n\r\n").await;
        assert_eq!(connection.read_until("0\r\n\r\n").await, "3\r\n345\r\n0\r\n\r\n");

        connection.send("POST /length HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
        assert_eq!(connection.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        connection.send("abc").await;
        assert!(connection.read_until("\r\n\r\n3").await.contains("content-length: 1\r\n"));
    });
}

#[test]
fn a_wrong_length_is_corrected() {
    run(async {
        let running = start(&settings());
        let mut connection = Connection::to(&running).await;
        connection.send("GET /lie HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let answer = connection.read_until("12345").await;
        assert!(answer.contains("\r\ncontent-length: 5\r\n") && !answer.contains("999"), "{answer}");
    });
}

#[test]
fn heads_are_limited() {
    run(async {
        let running = start(&Settings { headers_max: 3, head_bytes_max: 300, ..settings() });
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(300));
        for (head, status) in [
            ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\ny: 2\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\ny: 2\r\nz: 3\r\n\r\n", "431 "),
            (&long, "431 "),
            ("GET / HTTP/9.1\r\n\r\n", "505 "),
            ("\0\r\n\r\n", "400 "),
        ] {
            let mut connection = Connection::to(&running).await;
            connection.send(head).await;
            let answer = connection.read_until("\r\n\r\n").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head:?} {answer:?}");
        }
    });
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    run(async {
        let timeout = Duration::from_millis(40);
        let http1 = Http1 { idle_timeout: timeout, ..Http1::default() };
        let running = start(&Settings { head_timeout: timeout, http1, ..settings() });
        let mut half = Connection::to(&running).await;
        half.send("GET / HTTP/1.1\r\nho").await;
        assert!(half.read_all().await.starts_with("HTTP/1.1 408 "));
        // The timer of one request serves the next, and each wait is a whole one.
        let mut idle = Connection::to(&running).await;
        for _ in 0..3 {
            idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            idle.read_until("hi").await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(idle.read_all().await, "");
        assert_eq!(running.answers.asked.borrow().len(), 3);
    });
}

#[test]
fn a_client_that_goes_away_is_not_worked_for() {
    run(async {
        let running = start(&settings());
        let mut connection = Connection::to(&running).await;
        connection.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.arrived.notified().await;
        drop(connection);
        running.answers.given_up.notified().await;
    });
}

#[test]
fn draining_ends_idle_connections_and_finishes_requests() {
    run(async {
        let running = start(&settings());
        let (mut fresh, mut idle, mut busy) =
            tokio::join!(Connection::to(&running), Connection::to(&running), Connection::to(&running));
        idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        idle.read_until("hi").await;
        busy.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.arrived.notified().await;
        running.drain.start();
        assert_eq!((fresh.read_all().await, idle.read_all().await), (String::new(), String::new()));
        assert!(TcpStream::connect(running.address).await.is_err(), "still listens");
        assert!(!running.task.is_finished());
        running.answers.go.notify_one();
        let answer = busy.read_all().await;
        assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("done"), "{answer}");
        running.task.await.unwrap().unwrap();
    });
}

#[test]
fn whoever_stands_at_the_door_when_it_closes_is_served() {
    run(async {
        let running = start(&settings());
        // Both before the listener runs again: it finds a connection in the backlog, and that it is to drain.
        let mut stream = std::net::TcpStream::connect(running.address).unwrap();
        io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        running.drain.start();
        stream.set_nonblocking(true).unwrap();
        let mut connection = Connection(TcpStream::from_std(stream).unwrap());
        let answer = connection.read_all().await;
        assert!(answer.ends_with("hi"), "{answer}");
        running.task.await.unwrap().unwrap();
    });
}

#[test]
fn connections_end_when_nobody_serves_any_more() {
    run(async {
        let running = start(&settings());
        let mut busy = Connection::to(&running).await;
        busy.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.arrived.notified().await;
        running.task.abort();
        running.answers.given_up.notified().await;
        assert_eq!(busy.read_all().await, "");
    });
}

#[test]
fn what_does_not_end_is_ended_when_draining_is_over() {
    run(async {
        let running = start(&settings());
        let mut busy = Connection::to(&running).await;
        busy.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.arrived.notified().await;
        running.drain.start();
        tokio::task::yield_now().await;
        assert!(!running.task.is_finished());
        running.drain.give_up();
        running.answers.given_up.notified().await;
        assert_eq!(busy.read_all().await, "");
        running.task.await.unwrap().unwrap();
    });
}

#[test]
fn no_more_connections_than_allowed() {
    run(async {
        let running = start(&Settings { connections_max: 1, ..settings() });
        let mut first = Connection::to(&running).await;
        first.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.arrived.notified().await;
        let mut second = Connection::to(&running).await;
        second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        running.answers.go.notify_one();
        assert!(first.read_until("done").await.ends_with("done"));
        assert_eq!(running.answers.asked.borrow().len(), 1);
        drop(first);
        assert!(second.read_until("hi").await.ends_with("hi"));
    });
}

#[test]
fn no_more_connections_of_one_address_than_allowed() {
    run(async {
        let running = start(&Settings { connections_per_address_max: Some(2), ..settings() });
        let mut connections = Vec::new();
        for _ in 0..2 {
            let mut connection = Connection::to(&running).await;
            connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert!(connection.read_until("hi").await.ends_with("hi"));
            connections.push(connection);
        }
        assert_eq!(Connection::to(&running).await.read_all().await, "");
        // Where one leaves there is room for another.
        let mut leaving = connections.pop().unwrap();
        leaving.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        leaving.read_all().await;
        drop(leaving);
        loop {
            let mut connection = Connection::to(&running).await;
            connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            if connection.read_until("hi").await.ends_with("hi") {
                break;
            }
        }
    });
}

#[test]
fn workers_share_an_address() {
    let listeners = Listener::bind_for(&settings(), 3).unwrap();
    let addresses: Vec<_> = listeners.iter().map(Listener::address).collect();
    assert!(addresses[0].port() != 0 && addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
}

#[test]
fn files_are_sent_whole_or_visibly_cut_off() {
    run(async {
        const LENGTH: usize = 5_000_000;
        let running = start(&settings());
        let content: Vec<u8> = (0_u32..).flat_map(u32::to_le_bytes).take(LENGTH).collect();
        let file = Arc::new(tempfile::tempfile().unwrap());
        std::os::unix::fs::FileExt::write_all_at(&*file, &content, 0).unwrap();
        let serve = |offset: u64, length: u64| {
            *running.answers.file.borrow_mut() = Some(Body::File(FilePiece::new(Arc::clone(&file), offset, length)));
        };
        let mut connection = Connection::to(&running).await;
        // More than the socket's buffers hold, and something behind it on the same connection.
        serve(7, LENGTH as u64 - 7);
        connection.send("GET /file HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut all = Vec::new();
        while !all.ends_with(b"\r\n\r\nhi") {
            assert!(connection.0.read_buf(&mut all).await.unwrap() > 0);
        }
        let at = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(all[at..].starts_with(&content[7..]), "another content");
        let ends = running.answers.ends.take();
        assert_eq!(ends.last(), Some(&BodyEnd { bytes: LENGTH as u64 - 7, outcome: BodyOutcome::Complete }));
        // The file has become shorter meanwhile.
        serve(0, LENGTH as u64 + 1);
        connection.send("GET /file HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut all = Vec::new();
        while connection.0.read_buf(&mut all).await.is_ok_and(|read| read > 0) {}
        assert!(all.ends_with(&content[LENGTH - 100..]), "not all that there is");
        let ends = running.answers.ends.take();
        assert_eq!(ends, [BodyEnd { bytes: LENGTH as u64, outcome: BodyOutcome::Incomplete }]);
    });
}
