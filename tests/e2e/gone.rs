//! Requests whose client leaves before the response: each has its one line, span and count, and harms nobody who stays.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::Method;
use portcullis_tests::{Gate, Gateway, Origin, Reply, Setup, Value, eventually, in_time, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ABORTED: &str = "portcullis_worker_requests_aborted_total{worker=\"0\"}";
const IN_FLIGHT: &str = "portcullis_worker_requests_in_flight{worker=\"0\"}";

/// An access log with the fields that matter here.
struct Log {
    _folder: TempDir,
    file: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        Self { _folder: folder, file }
    }

    fn patch(&self) -> Value {
        let fields = [
            "method",
            "target",
            "protocol",
            "route",
            "status",
            "bytes",
            "request_bytes",
            "duration_ms",
            "head_ms",
            "upstream_ms",
            "cache_ms",
            "plugins_ms",
            "cache",
            "upstream",
            "failure",
            "fault",
            "complete",
            "request.header.if-none-match",
        ];
        json!({ "access_log": { "to": { "file": self.file }, "fields": fields } })
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The lines, once there are so many.
    async fn until(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} lines"), || async {
            let lines = self.lines();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

/// A time in a line; that of what did not happen is none.
fn ms(line: &Value, field: &str) -> Option<f64> {
    line.get(field).map(|ms| ms.as_f64().unwrap())
}

/// What a line says that does not depend on time.
fn said(line: &Value) -> Value {
    let mut said = line.clone();
    let times = ["duration_ms", "head_ms", "upstream_ms", "cache_ms", "plugins_ms"];
    times.iter().for_each(|field| drop(said.as_object_mut().unwrap().remove(*field)));
    said
}

fn write(method: &str, target: &str, rest: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{rest}\r\n")
}

async fn metric_is(gateway: &Gateway, series: &str, value: f64) {
    eventually(&format!("{series} {value}"), || async { (gateway.metric(series).await == Some(value)).then_some(()) })
        .await;
}

/// A client that speaks HTTP/2.
async fn http2(gateway: &Gateway) -> (SendRequest<Bytes>, tokio::task::JoinHandle<()>) {
    let (sender, connection) =
        h2::client::handshake(TcpStream::connect(gateway.address()).await.unwrap()).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first in HTTP/2, and a GET of `/` on stream 1.
fn request_over_http2() -> Vec<u8> {
    // GET, http, /, and :authority as a literal (RFC 7541 appendix A).
    let head = [&[0x82, 0x86, 0x84, 0x01, 12][..], b"gateway.test"].concat();
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[]), &frame(1, 5, 1, &head)].concat()
}

fn ask(
    sender: &mut SendRequest<Bytes>,
    method: Method,
    path: &str,
    whole: bool,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let uri = format!("http://gateway.test{path}");
    let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
    sender.send_request(request, whole).unwrap()
}

#[tokio::test]
async fn who_does_not_wait_for_a_slow_upstream_is_in_the_log_the_metrics_and_the_figures() {
    let log = Log::new();
    let origin = Origin::start(|_| Reply::silence()).await;
    let proxy = json!({ "upstream": "origin", "host": "inside.test", "rewrite": { "strip_prefix": "/all" } });
    let gateway = Setup::to(&origin)
        .plugin("response-timing", json!({}))
        .guest("trace-order", json!({ "label": "a" }))
        .route(json!({ "name": "all", "match": { "path": "/all/*" }, "proxy": proxy }))
        .patch(&log.patch())
        .start()
        .await;
    // What comes before the first figures is in none of them.
    eventually("the first figures", || async {
        (gateway.admin("/api/v1/live").await.json()["window_seconds"].as_f64()? > 0.0).then_some(())
    })
    .await;
    let mut client = gateway.connect().await;
    client.write(write("GET", "/all/page?x=1", "If-None-Match: \"v1\"\r\n")).await;
    let seen = origin.wait_for(1).await;
    assert_eq!((seen[0].target.as_str(), seen[0].value("host")), ("/page?x=1", Some("inside.test")));
    drop(client);

    let lines = log.until(1).await;
    // As the client asked, and not as the upstream was asked.
    let expected = json!({
        "method": "GET", "target": "/all/page?x=1", "protocol": "HTTP/1.1", "route": "all", "status": 499, "bytes": 0, "request_bytes": 0,
        "upstream": "origin", "failure": "client_gone", "fault": "downstream", "complete": false, "request.header.if-none-match": "\"v1\"",
    });
    assert_eq!(said(&lines[0]), expected);
    let time = |field| ms(&lines[0], field);
    assert_eq!(time("head_ms"), None, "there was no response");
    assert!(time("upstream_ms") > Some(0.0) && time("duration_ms") >= time("upstream_ms"), "{:#}", lines[0]);
    assert!(time("plugins_ms") > Some(0.0), "{:#}", lines[0]);

    // Plugins that account for requests are told; nobody else is asked about a response that does not exist.
    let told = gateway.logs().wait_for("post-response", |line| line.message() == "trace a").await;
    let fields = "trace=\"a:pre-route a:pre-handler a:post-response\" bytes=\"0\" complete=\"false\"";
    assert_eq!(told.field("fields").unwrap(), fields);

    metric_is(&gateway, ABORTED, 1.0).await;
    let check = async |series: &str, value: Option<f64>| assert_eq!(gateway.metric(series).await, value, "{series}");
    check(IN_FLIGHT, Some(0.0)).await;
    check("portcullis_requests_total{route=\"all\",method=\"GET\",status=\"4xx\"}", Some(1.0)).await;
    check("portcullis_errors_total{route=\"all\",fault=\"downstream\",reason=\"client_gone\"}", Some(1.0)).await;
    check("portcullis_responses_incomplete_total{route=\"all\"}", Some(1.0)).await;
    check("portcullis_request_duration_seconds_count{route=\"all\"}", Some(1.0)).await;
    check("portcullis_response_head_seconds_count{route=\"all\"}", Some(0.0)).await;
    check("portcullis_request_plugin_requests_total{route=\"all\",plugin=\"trace-order\"}", Some(1.0)).await;
    assert!(gateway.metric("portcullis_request_part_seconds_total{route=\"all\",part=\"upstream\"}").await > Some(0.0));
    let text = gateway.admin("/metrics").await.text().to_owned();
    let timing =
        |line: &&str| line.starts_with("portcullis_plugin_response_timing_") && line.contains("status=\"499\"");
    assert!(text.lines().any(|line| timing(&line) && line.ends_with(" 1")), "{text}");

    let live = eventually("figures", || async {
        let live = gateway.admin("/api/v1/live?seconds=60").await.json();
        (live["total"]["requests"] == 1).then_some(live)
    })
    .await;
    let errors = json!({ "downstream": 1, "upstream": 0, "plugin": 0, "internal": 0 });
    assert_eq!((&live["total"]["errors"], &live["total"]["status"]["4xx"]), (&errors, &json!(1)), "{live:#}");
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_recorded_and_its_neighbours_are_answered() {
    let log = Log::new();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let gateway = Setup::to(&origin).patch(&log.patch()).start().await;
    let (mut sender, connection) = http2(&gateway).await;
    let (_gone, mut stream) = ask(&mut sender, Method::GET, "/gone", true);
    let (stays, _) = ask(&mut sender, Method::GET, "/stays", true);
    origin.wait_for(2).await;
    stream.send_reset(Reason::CANCEL);
    let lines = log.until(1).await;
    let expected = json!({
        "method": "GET", "target": "/gone", "protocol": "HTTP/2.0", "route": "all", "status": 499, "bytes": 0, "request_bytes": 0,
        "upstream": "origin", "failure": "client_gone", "fault": "downstream", "complete": false,
    });
    assert_eq!(said(&lines[0]), expected);
    gate.open();
    assert_eq!(in_time("the neighbour", stays).await.unwrap().status(), 200);
    // A connection that breaks takes all of its streams with it.
    let silent = Origin::start(|_| Reply::silence()).await;
    gateway.patch_config(&json!({ "upstreams": { "origin": { "endpoints": [silent.address().to_string()] } } }));
    metric_is(&gateway, "portcullis_configuration_serving_generation", 2.0).await;
    let (_one, _s1) = ask(&mut sender, Method::GET, "/1", true);
    let (_two, _s2) = ask(&mut sender, Method::GET, "/2", true);
    silent.wait_for(2).await;
    connection.abort();
    let lines = log.until(4).await;
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [499, 200, 499, 499]);
    metric_is(&gateway, ABORTED, 3.0).await;
    metric_is(&gateway, IN_FLIGHT, 0.0).await;
}

#[tokio::test]
async fn a_stream_that_is_opened_and_reset_at_once_is_recorded_without_a_route() {
    let log = Log::new();
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).guest("trace-order", json!({ "label": "a" })).patch(&log.patch()).start().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let mut bytes = request_over_http2();
    bytes.extend(frame(3, 0, 1, &8_u32.to_be_bytes()));
    stream.write_all(&bytes).await.unwrap();
    let lines = log.until(1).await;
    let expected = json!({
        "method": "GET", "target": "/", "protocol": "HTTP/2.0", "status": 499, "bytes": 0, "request_bytes": 0,
        "failure": "client_gone", "fault": "downstream", "complete": false,
    });
    assert_eq!(said(&lines[0]), expected);
    metric_is(&gateway, ABORTED, 1.0).await;
    metric_is(&gateway, "portcullis_requests_total{route=\"_none\",method=\"GET\",status=\"4xx\"}", 1.0).await;
    metric_is(&gateway, IN_FLIGHT, 0.0).await;
    assert!(origin.seen().is_empty());
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["trace a"]), 1, "only the end of the plugin: {}", logs.text());
}

#[tokio::test]
async fn who_leaves_while_a_plugin_works_is_recorded_with_what_the_plugin_took() {
    let log = Log::new();
    let origin = Origin::start(|_| Reply::silence()).await;
    let gateway = Setup::to(&origin).guest("slow-hook", json!({ "ms": 300 })).patch(&log.patch()).start().await;
    let mut client = gateway.connect().await;
    client.write(write("GET", "/one", "")).await;
    drop(client);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(&request_over_http2()).await.unwrap();
    stream.shutdown().await.unwrap();
    let lines = log.until(2).await;
    for line in &lines {
        let told = (&line["status"], &line["failure"], &line["route"]);
        assert_eq!(told, (&json!(499), &json!("client_gone"), &json!("all")), "{line:#}");
        assert!(ms(line, "plugins_ms") >= Some(299.0) && ms(line, "duration_ms") >= Some(299.0), "{line:#}");
    }
    let mut targets: Vec<_> = lines.iter().map(|line| line["target"].as_str().unwrap()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["/", "/one"]);
    metric_is(&gateway, ABORTED, 2.0).await;
}

#[tokio::test]
async fn where_who_fetches_leaves_those_who_wait_are_answered() {
    let log = Log::new();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("kept").field("Cache-Control", "max-age=60").behind(&held)).await;
    let gateway = Setup::to(&origin)
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .patch(&log.patch())
        .start()
        .await;
    let mut first = gateway.connect().await;
    first.write(write("GET", "/a", "If-None-Match: \"old\"\r\n")).await;
    let seen = origin.wait_for(1).await;
    assert_eq!(seen[0].value("if-none-match"), None, "what can be stored is asked for");
    // One that waits over HTTP/1.1, one over HTTP/2, and one that leaves while it waits.
    let mut second = gateway.connect().await;
    second.write(write("GET", "/a", "")).await;
    let (mut sender, connection) = http2(&gateway).await;
    let (third, _third) = ask(&mut sender, Method::GET, "/a", true);
    let (_fourth, mut fourth) = ask(&mut sender, Method::GET, "/a", true);
    metric_is(&gateway, IN_FLIGHT, 4.0).await;
    fourth.send_reset(Reason::CANCEL);
    let lines = log.until(1).await;
    assert_eq!((&lines[0]["status"], &lines[0]["protocol"]), (&json!(499), &json!("HTTP/2.0")), "{:#}", lines[0]);
    assert!(ms(&lines[0], "cache_ms") > Some(0.0), "it waited for the cache: {:#}", lines[0]);
    assert_eq!((ms(&lines[0], "upstream_ms"), lines[0].get("upstream")), (None, None));
    assert_eq!(origin.seen().len(), 1);

    drop(first);
    let lines = log.until(2).await;
    let expected = json!({
        "method": "GET", "target": "/a", "protocol": "HTTP/1.1", "route": "all", "status": 499, "bytes": 0, "request_bytes": 0,
        "cache": "miss", "upstream": "origin", "failure": "client_gone", "fault": "downstream", "complete": false,
        "request.header.if-none-match": "\"old\"",
    });
    assert_eq!(said(&lines[1]), expected, "and its own fields are there again");
    // One of those who wait fetches.
    origin.wait_for(2).await;
    gate.open();
    let response = second.response_to("GET").await.unwrap();
    assert_eq!((response.status, response.text()), (200, "kept"));
    assert_eq!(in_time("the third", third).await.unwrap().status(), 200);
    let lines = log.until(4).await;
    assert!(lines[2..].iter().all(|line| line["status"] == 200), "{lines:#?}");
    assert_eq!(origin.seen().len(), 2);
    metric_is(&gateway, ABORTED, 2.0).await;
    metric_is(&gateway, IN_FLIGHT, 0.0).await;
    connection.abort();
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_the_own_body_is_recorded_with_what_came() {
    let log = Log::new();
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Setup::new().upstream("origin", origin.local_addr().unwrap()).patch(&log.patch()).start().await;
    // Reads until the body has come as far as this.
    let received = async |body: &str| {
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(body) {
            assert!(in_time("the body", stream.read_buf(&mut read)).await.unwrap() > 0);
        }
        stream
    };
    let mut client = gateway.connect().await;
    client.write(write("POST", "/one", "Content-Length: 100\r\n")).await;
    client.write("12345").await;
    let _first = received("12345").await;
    drop(client);
    let lines = log.until(1).await;
    let expected = |target: &str, protocol: &str, bytes: u64| {
        json!({
            "method": "POST", "target": target, "protocol": protocol, "route": "all", "status": 499, "bytes": 0, "request_bytes": bytes,
            "upstream": "origin", "failure": "client_gone", "fault": "downstream", "complete": false,
        })
    };
    assert_eq!(said(&lines[0]), expected("/one", "HTTP/1.1", 5));
    let (mut sender, connection) = http2(&gateway).await;
    let (_response, mut stream) = ask(&mut sender, Method::POST, "/two", false);
    stream.send_data(Bytes::from_static(b"1234567"), false).unwrap();
    let _second = received("1234567").await;
    stream.send_reset(Reason::CANCEL);
    let lines = log.until(2).await;
    assert_eq!(said(&lines[1]), expected("/two", "HTTP/2.0", 7));
    metric_is(&gateway, ABORTED, 2.0).await;
    connection.abort();
}

#[tokio::test]
async fn what_the_gateway_itself_cuts_off_when_it_ends_is_not_the_clients_doing() {
    let log = Log::new();
    let origin = Origin::start(|_| Reply::silence()).await;
    let mut gateway = Setup::to(&origin)
        .guest("trace-order", json!({ "label": "a" }))
        .patch(&log.patch())
        .patch(&json!({ "drain_timeout_ms": 200 }))
        .start()
        .await;
    let mut client = gateway.connect().await;
    client.write(write("GET", "/one", "")).await;
    let (mut sender, _connection) = http2(&gateway).await;
    let (_response, _stream) = ask(&mut sender, Method::GET, "/two", true);
    origin.wait_for(2).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        let told = (&line["status"], &line["failure"], &line["fault"], &line["complete"]);
        assert_eq!(told, (&json!(503), &json!("drain_timeout"), &json!("internal"), &json!(false)), "{line:#}");
        assert!(ms(line, "duration_ms") >= Some(199.0), "{line:#}");
    }
    assert_eq!(gateway.logs().count(&["trace a", "a:post-response"]), 2, "{}", gateway.logs().text());
}

#[tokio::test]
async fn a_mirrored_copy_is_nobodys_request() {
    let log = Log::new();
    let (origin, shadow) = (Origin::start(|_| Reply::silence()).await, Origin::start(|_| Reply::silence()).await);
    let proxy = json!({ "upstream": "origin", "mirror": { "upstream": "shadow" } });
    let gateway = Setup::to(&origin)
        .upstream("shadow", shadow.address())
        .route(json!({ "name": "all", "proxy": proxy }))
        .patch(&log.patch())
        .start()
        .await;
    let mut client = gateway.connect().await;
    client.write(write("GET", "/", "")).await;
    origin.wait_for(1).await;
    shadow.wait_for(1).await;
    drop(client);
    log.until(1).await;
    // The copy goes on by itself, and ends with the connection to the shadow.
    shadow.stop();
    let endpoint = format!("{{upstream=\"shadow\",endpoint=\"{}\"}}", shadow.address());
    metric_is(&gateway, &format!("portcullis_upstream_endpoint_in_flight{endpoint}"), 0.0).await;
    metric_is(&gateway, "portcullis_requests_total{route=\"all\",method=\"GET\",status=\"4xx\"}", 1.0).await;
    metric_is(&gateway, ABORTED, 1.0).await;
    let logs = gateway.stop().await;
    assert_eq!(log.lines().len(), 1, "{}", logs.text());
}
