//! The end: on SIGTERM nothing new is taken, what is under way ends, and the process ends cleanly.

use std::io::Write as _;
use std::time::{Duration, Instant};

use portcullis_tests::{Client, Gate, Load, Origin, Reply, Request, Response, Setup, artefacts, json};

#[tokio::test]
async fn requests_under_way_are_answered_and_new_connections_are_not_taken() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let mut gateway = Setup::to(&origin).start().await;
    let mut client = gateway.connect().await;
    let mut idle = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;

    gateway.signal("TERM");
    assert!(idle.is_closed().await, "an idle connection is closed");
    portcullis_tests::eventually("connections are refused", || async {
        Client::connect(gateway.address()).await.is_err().then_some(())
    })
    .await;
    assert!(gateway.is_running());
    gate.open();
    let response = client.response_to("GET").await.unwrap();
    assert_eq!((response.status, response.text()), (200, "late"));
    assert!(client.is_closed().await);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_streamed_response_is_sent_to_its_end() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::chunks(["first "]).then(&held, "last")).await;
    let mut gateway = Setup::to(&origin).start().await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.reader().response_head().await.unwrap();
    assert_eq!(client.reader().chunk().await.unwrap(), b"first ");
    gateway.signal("TERM");
    gate.open();
    assert_eq!(client.reader().chunk().await.unwrap(), b"last");
    assert_eq!(client.reader().chunk().await.unwrap(), b"");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_timeout() {
    let origin = Origin::start(|_| Reply::silence()).await;
    let mut gateway = Setup::to(&origin).patch(&json!({ "drain_timeout_ms": 300 })).start().await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    let began = Instant::now();
    gateway.signal("TERM");
    gateway.ended().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(10), "{took:?}");
    assert!(client.response_to("GET").await.is_err());
}

#[tokio::test]
async fn a_drain_under_load_breaks_no_request() {
    let origin = Origin::saying("hello").await;
    let mut gateway = Setup::to(&origin).start().await;
    let is_hello = |response: &Response| match response.text() {
        "hello" => Ok(()),
        other => Err(other.to_owned()),
    };
    let load = Load::start(&gateway, 4, &Request::get("/"), is_hello);
    load.more(200).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let outcome = load.stop().await;
    // A kept-alive connection may be closed while the next request is on its way (RFC 9112 section 9.6), and new
    // ones are refused; but no response breaks off and none is wrong.
    let broken = |failure: &&String| failure.contains("broke off") || !failure.contains(": ");
    let broken: Vec<_> = outcome.failures.iter().filter(broken).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn an_interrupt_ends_it_too() {
    let origin = Origin::saying("hello").await;
    let mut gateway = Setup::to(&origin).start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    gateway.signal("INT");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn operators_are_answered_until_nobody_is_under_way() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let mut gateway = Setup::to(&origin).patch(&json!({ "admin": { "address": "127.0.0.1:0" } })).start().await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;

    gateway.signal("TERM");
    portcullis_tests::eventually("it is not ready any more", || async {
        (gateway.admin("/readyz").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(gateway.admin("/livez").await.status, 200);
    let state = gateway.admin("/api/v1/state").await.json();
    assert_eq!(state["draining"], true, "{state}");
    gate.open();
    assert_eq!(client.response_to("GET").await.unwrap().status, 200);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_end() {
    let setup = Setup::new().route(json!({ "name": "a", "respond": { "body": "hello" } }));
    let setup = setup.patch(&json!({ "admin": { "socket": "admin.sock" }, "log": { "filter": "info" } }));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    std::fs::write(folder.path().join("portcullis.json"), setup.config().to_string()).unwrap();
    // Full before the first line.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'-'; 64 * 1024]).unwrap();
    let mut process = std::process::Command::new(artefacts::gateway())
        .args(["run", "--config", "portcullis.json"])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    let socket = folder.path().join("admin.sock");
    portcullis_tests::eventually("it serves", || async { socket.exists().then_some(()) }).await;
    let status = std::process::Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(status.success());
    let ended = portcullis_tests::eventually("it ends", || {
        let ended = process.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert!(ended.success());
    drop(reader);
}

#[tokio::test]
async fn user_signal_1_opens_the_access_log_anew() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).patch(&json!({ "access_log": { "to": { "file": "access.log" } } })).start().await;
    let (path, moved) = (gateway.folder().join("access.log"), gateway.folder().join("access.log.1"));
    assert_eq!(gateway.get("/first").await.status, 200);
    let says =
        |path: &std::path::Path, words: &str| std::fs::read_to_string(path).is_ok_and(|text| text.contains(words));
    portcullis_tests::eventually("the first line", || async { says(&path, "/first").then_some(()) }).await;
    std::fs::rename(&path, &moved).unwrap();
    gateway.signal("USR1");
    portcullis_tests::eventually("there is a file again", || async { path.exists().then_some(()) }).await;
    assert_eq!(gateway.get("/second").await.status, 200);
    portcullis_tests::eventually("the second line", || async { says(&path, "/second").then_some(()) }).await;
    assert!(!says(&moved, "/second"));
}
