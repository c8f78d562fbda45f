//! Requests without pause on several kept-alive connections, for tests that change something meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::client::{Client, Request};
use crate::gateway::Gateway;
use crate::wire::Response;

/// Whether a response is as it should be; otherwise why not.
pub type Judge = fn(&Response) -> Result<(), String>;

/// A load under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    connections: Vec<JoinHandle<Vec<String>>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How many requests were answered.
    pub requests: usize,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl Load {
    /// Sends this request again and again on so many connections.
    pub fn start(gateway: &Gateway, connections: usize, request: &Request, judge: Judge) -> Self {
        Self::at(gateway.address(), connections, request, judge)
    }

    /// The same to whoever listens there.
    pub fn at(address: SocketAddr, connections: usize, request: &Request, judge: Judge) -> Self {
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let start = |_| tokio::spawn(one(address, request.clone(), judge, stop.clone(), requests.clone()));
        let connections = (0..connections).map(start).collect();
        Self { stop, requests, connections }
    }

    /// How many requests have been answered so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests have been answered.
    pub async fn more(&self, count: usize) {
        let goal = self.requests() + count;
        crate::in_time("requests under load", async {
            while self.requests() < goal && !self.connections.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// Ends it after the requests under way.
    pub async fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for connection in self.connections {
            failures.extend(connection.await.unwrap());
        }
        Outcome { requests: self.requests.load(Ordering::Relaxed), failures }
    }
}

impl Outcome {
    /// Requires that every request was answered rightly, and that there were enough for this to mean something.
    pub fn expect_clean(&self, requests_min: usize) {
        let first: Vec<_> = self.failures.iter().take(5).collect();
        assert!(self.failures.is_empty(), "{} of {} failed: {first:?}", self.failures.len(), self.requests);
        assert!(self.requests >= requests_min, "only {} requests", self.requests);
    }
}

async fn one(
    address: SocketAddr,
    request: Request,
    judge: Judge,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client = None;
    while !stop.load(Ordering::Relaxed) && failures.len() < 100 {
        let mut open = match client.take() {
            Some(open) => open,
            None => match Client::connect(address).await {
                Ok(open) => open,
                Err(error) => {
                    failures.push(format!("connect: {error}"));
                    continue;
                }
            },
        };
        match open.try_send(&request).await {
            Ok(response) => {
                requests.fetch_add(1, Ordering::Relaxed);
                failures.extend(judge(&response).err());
                let closes = response.value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                client = (!closes).then_some(open);
            }
            Err(error) => failures.push(format!("request: {error}")),
        }
    }
    failures
}
