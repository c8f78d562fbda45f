//! An origin for tests that speaks bytes by a script, one script per connection.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Endpoint;

/// One thing that the origin does on a connection.
#[derive(Clone)]
pub(super) enum Step {
    /// Read until what was read since the last `Read` contains this text.
    Read(&'static str),
    /// Write this.
    Send(&'static str),
    /// Go on when told.
    Await(Rc<Notify>),
    /// Tell.
    Tell(Rc<Notify>),
    /// Close the connection.
    Close,
}

/// The end of a request head.
pub(super) const HEAD: Step = Step::Read("\r\n\r\n");

pub(super) struct Origin {
    pub(super) endpoint: Endpoint,
    received: Rc<RefCell<Vec<String>>>,
}

impl Origin {
    /// Starts an origin. Further connections play the last script; one that has played its script stays open.
    pub(super) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let received = Rc::new(RefCell::new(Vec::new()));
        let all = Rc::clone(&received);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let index = all.borrow().len();
                all.borrow_mut().push(String::new());
                let script = scripts[index.min(scripts.len() - 1)].clone();
                tokio::task::spawn_local(play(stream, script, Rc::clone(&all), index));
            }
        });
        Self { endpoint, received }
    }

    /// What came on each connection, in the order they were accepted.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.borrow().clone()
    }

    /// How many connections were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.received.borrow().len()
    }
}

async fn play(mut stream: TcpStream, script: Vec<Step>, all: Rc<RefCell<Vec<String>>>, index: usize) {
    let mut seen = 0;
    let mut buffer = [0; 4096];
    for step in script {
        match step {
            Step::Read(text) => loop {
                let found = all.borrow()[index][seen..].find(text);
                if let Some(at) = found {
                    seen += at + text.len();
                    break;
                }
                let count = stream.read(&mut buffer).await.unwrap_or(0);
                if count == 0 {
                    return;
                }
                all.borrow_mut()[index].push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            },
            Step::Send(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Step::Await(told) => told.notified().await,
            Step::Tell(told) => told.notify_one(),
            Step::Close => return,
        }
    }
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// Runs a test the way a worker runs: one thread, local tasks. A test that hangs fails.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, limited);
}
