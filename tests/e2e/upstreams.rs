//! Endpoints that go away and come back under load: no client notices where a request may be sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::{Load, Request, Setup, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// A server that can be killed with all its connections, and started again at its address.
struct Mortal {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    life: Option<tokio::task::JoinHandle<()>>,
}

impl Mortal {
    async fn born() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answered) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let life = Some(tokio::spawn(live(listener, Arc::clone(&answered))));
        Self { address, answered, life }
    }

    /// Ends in the middle of whatever it does; its connections are reset.
    async fn die(&mut self) {
        let life = self.life.take().unwrap();
        life.abort();
        let _ = life.await;
    }

    fn revive(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.life = Some(tokio::spawn(live(socket.listen(128).unwrap(), Arc::clone(&self.answered))));
    }
}

async fn live(listener: TcpListener, answered: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&answered)));
    }
}

async fn answer(mut stream: TcpStream, answered: Arc<AtomicUsize>) {
    stream.set_zero_linger().unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..length]);
        while let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            read.drain(..at + 4);
            answered.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive").await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn endpoints_die_and_are_revived_and_no_client_notices() {
    let mut mortals = [Mortal::born().await, Mortal::born().await, Mortal::born().await];
    let endpoints: Vec<String> = mortals.iter().map(|mortal| mortal.address.to_string()).collect();
    let upstream = json!({ "endpoints": endpoints, "ejection_failures": 2, "ejection_ms": 100 });
    let gateway = Setup::new().patch(&json!({ "upstreams": { "origin": upstream }, "workers": 2 })).start().await;
    let load = Load::start(&gateway, 8, &Request::get("/"), |response| match response.status {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
    load.more(100).await;
    for round in 0..6 {
        let mortal = &mut mortals[round % 3];
        mortal.die().await;
        load.more(200).await;
        mortal.revive();
        let (before, revived) = (mortal.answered.load(Ordering::Relaxed), Arc::clone(&mortal.answered));
        portcullis_tests::eventually("the revived endpoint is asked again", || async {
            (revived.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
    load.stop().await.expect_clean(1000);
}
