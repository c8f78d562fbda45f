//! The process under a service manager, and a new one that takes over from it: sockets handed over, readiness told.

use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_tests::{Client, Gateway, Origin, Reply, Request, Setup, artefacts, eventually, in_time, json};
use tokio::net::UnixDatagram;

/// Asks again and again, each time on a new connection, until told to stop; gives what went wrong.
struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Callers {
    fn start(gateway: &Gateway, count: usize) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let call = |_| {
            let (address, stop, answered) = (gateway.address(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let sent = match Client::connect(address).await {
                        Ok(mut client) => client.try_send(&Request::get("/")).await.map_err(|error| error.to_string()),
                        Err(error) => Err(format!("connect: {error}")),
                    };
                    match sent {
                        Ok(response) if response.status == 200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(response) => failures.push(response.status.to_string()),
                        Err(error) => failures.push(error),
                    }
                }
                failures
            })
        };
        let tasks = (0..count).map(call).collect();
        Self { stop, answered, tasks }
    }

    async fn more(&self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        eventually("requests are answered", || async { (self.answered.load(Ordering::Relaxed) >= goal).then_some(()) })
            .await;
    }

    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        failures
    }
}

/// Ends a process that the gateway has started; it is not a child of ours.
struct Successor(String);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).status();
    }
}

#[tokio::test]
async fn a_successor_takes_over_and_nobody_notices() {
    let origin = Origin::start(|_| Reply::ok("here")).await;
    let mut gateway = Setup::to(&origin).patch(&json!({ "workers": 2 })).start().await;
    let callers = Callers::start(&gateway, 4);
    callers.more(50).await;
    gateway.signal("USR2");
    let started = gateway.logs().wait_for_words(0, &["a successor is started"]).await;
    let _successor = Successor(started.field("process").unwrap());
    gateway.logs().wait_for_words(0, &["the successor serves"]).await;
    assert!(gateway.ended().await.success(), "the old process ends by itself");
    callers.more(50).await;
    let failures = callers.stop().await;
    assert!(failures.is_empty(), "{failures:?}");
    // The address for operators has moved, too.
    assert_eq!(gateway.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_successor_that_does_not_come_up_changes_nothing() {
    let origin = Origin::start(|_| Reply::ok("here")).await;
    let mut gateway = Setup::to(&origin).start().await;
    gateway.write_config("{ this is no configuration");
    gateway.signal("USR2");
    gateway.logs().wait_for_words(0, &["the successor did not come up"]).await;
    assert!(gateway.is_running());
    assert_eq!(gateway.get("/").await.status, 200);
    // And the way is free for another try.
    let mark = gateway.logs().mark();
    gateway.signal("USR2");
    gateway.logs().wait_for_words(mark, &["did not come up"]).await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn whoever_opened_the_socket_for_us_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config = json!({
        "workers": 2,
        "listeners": [{ "address": address.to_string() }],
        "plugins": { "directory": "." },
        "upstreams": {},
        "routes": [{ "name": "all", "respond": { "body": "activated" } }],
    });
    std::fs::write(folder.path().join("portcullis.json"), config.to_string()).unwrap();
    // A shell moves the socket to where systemd puts it and becomes the gateway, so that the process id is right.
    let line = format!("exec 3<&{}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run --config \"$1\"", socket.as_raw_fd());
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    let mut child = Command::new("bash")
        .args(["-c", &line])
        .arg(artefacts::gateway())
        .arg(folder.path().join("portcullis.json"))
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("PORTCULLIS_CACHE_DIR", artefacts::compiled())
        .spawn()
        .unwrap();
    drop(socket);
    let mut word = [0; 256];
    let length = in_time("the word that it serves", told.recv(&mut word)).await.unwrap();
    assert!(word[..length].starts_with(b"READY=1"), "{}", String::from_utf8_lossy(&word[..length]));
    let response = Client::connect(address).await.unwrap().send(&Request::get("/")).await;
    assert_eq!(response.text(), "activated");
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let length = in_time("the word that it stops", told.recv(&mut word)).await.unwrap();
    assert!(word[..length].starts_with(b"STOPPING=1"), "{}", String::from_utf8_lossy(&word[..length]));
    assert!(child.wait().unwrap().success());
}
