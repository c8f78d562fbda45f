//! The origin: the server that plays the upstream, as well or as badly behaved as the test wants.
//!
//! A script gives the reply to each request; what came is kept. A script that panics fails the test when the origin
//! is dropped or asked.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::in_time;
use crate::wire::{Reader, Seen};

/// Something that waits until the test lets it go on.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[allow(clippy::new_without_default, reason = "a closed gate is not an obvious default")]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Opens it for all.
    pub fn open(&self) {
        self.0.close();
    }

    async fn pass(&self) {
        // An error means that the semaphore was closed: the gate is open.
        let _ = self.0.acquire().await;
    }
}

#[derive(Debug, Clone)]
enum Piece {
    Data(Vec<u8>),
    Wait(Gate),
    Pause(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    KeepAlive,
    Close,
    Hang,
}

/// What the origin answers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    before: Vec<Piece>,
    body: Vec<Piece>,
    trailers: Option<Vec<(String, String)>>,
    raw: bool,
    end: End,
}

impl Reply {
    /// A reply with this status and body, framed with Content-Length.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (fields, before, body) = (Vec::new(), Vec::new(), vec![Piece::Data(body.into())]);
        Self { status, fields, before, body, trailers: None, raw: false, end: End::KeepAlive }
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// Exactly these bytes; then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: true, end: End::Close, ..Self::ok(bytes) }
    }

    /// No reply: the connection is closed.
    pub fn hang_up() -> Self {
        Self::raw("")
    }

    /// No reply, ever.
    pub fn silence() -> Self {
        Self { end: End::Hang, ..Self::raw("") }
    }

    /// A chunked body: each piece is one chunk.
    pub fn chunks<B: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = B>) -> Self {
        let body = pieces.into_iter().map(|piece| Piece::Data(piece.into())).collect();
        Self { body, trailers: Some(Vec::new()), ..Self::ok("") }
    }

    /// With one field line more.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With a trailer field; only of chunked bodies.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.get_or_insert_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// Only when the gate is open.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.before.push(Piece::Wait(gate.clone()));
        self
    }

    /// Only after this time.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.before.push(Piece::Pause(pause));
        self
    }

    /// With one more piece of body, when the gate is open.
    #[must_use]
    pub fn then(mut self, gate: &Gate, piece: impl Into<Vec<u8>>) -> Self {
        self.body.extend([Piece::Wait(gate.clone()), Piece::Data(piece.into())]);
        self
    }

    /// Closes the connection at the end, whatever the framing promised.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let has = |wanted: &str| self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let bodyless = self.status < 200 || matches!(self.status, 204 | 304);
        if self.trailers.is_some() {
            head.extend(b"Transfer-Encoding: chunked\r\n");
        } else if !bodyless && !has("content-length") && self.end == End::KeepAlive {
            let length: usize =
                self.body.iter().map(|piece| if let Piece::Data(data) = piece { data.len() } else { 0 }).sum();
            head.extend(format!("Content-Length: {length}\r\n").into_bytes());
        }
        head.extend(b"\r\n");
        head
    }

    async fn write(&self, to: &mut OwnedWriteHalf, method: &str) -> std::io::Result<()> {
        play(&self.before, to, false).await?;
        if !self.raw {
            to.write_all(&self.head()).await?;
        }
        let bodyless = !self.raw && (method == "HEAD" || self.status < 200 || matches!(self.status, 204 | 304));
        if !bodyless {
            play(&self.body, to, self.trailers.is_some()).await?;
            if let Some(trailers) = &self.trailers {
                let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                to.write_all(format!("0\r\n{lines}\r\n").as_bytes()).await?;
            }
        }
        to.flush().await
    }
}

async fn play(pieces: &[Piece], to: &mut OwnedWriteHalf, chunked: bool) -> std::io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Wait(gate) => gate.pass().await,
            Piece::Pause(pause) => tokio::time::sleep(*pause).await,
            Piece::Data(data) if data.is_empty() => {}
            Piece::Data(data) if chunked => {
                to.write_all(&[format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()).await?;
            }
            Piece::Data(data) => to.write_all(data).await?,
        }
    }
    Ok(())
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: watch::Sender<Vec<Seen>>,
    connections: AtomicUsize,
    panicked: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A running origin.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Origin {
    /// Starts an origin that answers by this script.
    pub async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: watch::Sender::new(Vec::new()),
            connections: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            tasks: Mutex::new(Vec::new()),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    /// One that answers everything with 200 and this body.
    pub async fn saying(body: &'static str) -> Self {
        Self::start(move |_| Reply::ok(body)).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.check();
        self.shared.seen.borrow().clone()
    }

    /// The last request that came.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("nothing reached the origin")
    }

    /// Waits until this many requests have come (their bodies included) and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let mut watching = self.shared.seen.subscribe();
        let seen = in_time("requests at the origin", watching.wait_for(|seen| seen.len() >= count)).await;
        seen.unwrap().clone()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Stops listening and closes every connection.
    pub fn stop(&self) {
        self.accepting.abort();
        for task in self.shared.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    fn check(&self) {
        let panicked = self.shared.panicked.load(Ordering::SeqCst);
        assert!(!panicked || std::thread::panicking(), "the origin's script panicked");
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
        self.check();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let task = tokio::spawn(serve(stream, number, shared.clone()));
        shared.tasks.lock().unwrap().push(task);
    }
}

async fn serve(stream: TcpStream, number: usize, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    while let Ok(Some(mut seen)) = reader.request_head().await {
        seen.connection = number;
        let expects = seen.value("expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue"));
        if expects && writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return;
        }
        if reader.request_body(&mut seen).await.is_err() {
            return;
        }
        let reply = catch_unwind(AssertUnwindSafe(|| (shared.script)(&seen)));
        let method = seen.method.clone();
        shared.seen.send_modify(|all| all.push(seen));
        let Ok(reply) = reply else {
            shared.panicked.store(true, Ordering::SeqCst);
            return;
        };
        if reply.write(&mut writer, &method).await.is_err() {
            return;
        }
        match reply.end {
            End::KeepAlive => {}
            End::Close => return,
            End::Hang => std::future::pending().await,
        }
    }
}
