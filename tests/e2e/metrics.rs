//! Metrics as operators scrape them: exact counts of real traffic, `promtool`, a real Prometheus, reloads, and the figures of the last seconds.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use portcullis_tests::{Client, Gate, Gateway, Origin, Reply, Request, Setup, Value, eventually, json};

/// An origin of everything that can happen, and a gateway with plugins, a cache and an upstream that is not there.
async fn busy() -> (Origin, Gateway) {
    let origin = Origin::start(|seen| match seen.target.as_str() {
        "/broken" => Reply::new(500, "broken"),
        "/cached" => Reply::ok("cached").field("Cache-Control", "max-age=60"),
        "/silent" => Reply::silence(),
        _ => Reply::ok("hello"),
    })
    .await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = json!({ "upstream": "origin", "rewrite": { "strip_prefix": "/all" } });
    let trap = json!({
        "config": { "hook": "pre-handler", "only_with": "x-misbehave" },
        "on_failure": "skip",
        "limits": { "quarantine_failures": 1000 },
    });
    let gateway = Setup::to(&origin)
        .upstream("nobody", nobody)
        .plugin("response-timing", json!({}))
        .guest_as("trap", "trap-in", trap)
        .guest("counts-calls", json!({}))
        .route(json!({ "name": "away", "match": { "path": "/away" }, "proxy": { "upstream": "nobody" } }))
        .route(json!({ "name": "all", "match": { "path": "/all/*" }, "cache": true, "proxy": proxy }))
        .start()
        .await;
    (origin, gateway)
}

/// Adds up all series of this name with these labels, as they are written.
fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let wanted = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    wanted.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

async fn scrape(gateway: &Gateway) -> String {
    let response = gateway.admin("/metrics").await;
    assert_eq!(response.value("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    response.text().to_owned()
}

/// What is recorded when the last byte has gone may be recorded a little after the client has read it.
async fn counted(gateway: &Gateway, requests: f64) -> String {
    eventually("all requests in the metrics", || async {
        let text = scrape(gateway).await;
        (sum(&text, "portcullis_requests_total", &[]) == requests).then_some(text)
    })
    .await
}

async fn traffic(gateway: &Gateway) {
    for _ in 0..2 {
        assert_eq!(gateway.get("/all/").await.status, 200);
    }
    assert_eq!(gateway.send(Request::get("/all/").field("X-Misbehave", "1")).await.status, 200);
    for _ in 0..2 {
        assert_eq!(gateway.get("/all/cached").await.status, 200);
    }
    assert_eq!(gateway.send(Request::post("/all/", "12345")).await.status, 200);
    assert_eq!(gateway.get("/all/broken").await.status, 500);
    assert_eq!(gateway.get("/away").await.status, 502);
    assert_eq!(gateway.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn every_request_is_counted_once_and_where_it_belongs() {
    let (_origin, gateway) = busy().await;
    traffic(&gateway).await;
    let text = counted(&gateway, 9.0).await;
    let all = "route=\"all\"";
    let check = |name: &str, labels: &[&str], expected: f64| {
        assert_eq!(sum(&text, name, labels), expected, "{name} {labels:?} in\n{text}");
    };
    check("portcullis_requests_total", &[all, "method=\"GET\"", "status=\"2xx\""], 5.0);
    check("portcullis_requests_total", &[all, "method=\"POST\"", "status=\"2xx\""], 1.0);
    check("portcullis_requests_total", &[all, "status=\"5xx\""], 1.0);
    check("portcullis_requests_total", &["route=\"_none\"", "status=\"4xx\""], 1.0);
    check("portcullis_errors_total", &[all], 1.0);
    check("portcullis_errors_total", &[all, "fault=\"upstream\"", "reason=\"upstream_status\""], 1.0);
    check("portcullis_errors_total", &["route=\"away\"", "fault=\"upstream\"", "reason=\"upstream_connect\""], 1.0);
    check("portcullis_errors_total", &["route=\"_none\"", "fault=\"downstream\"", "reason=\"no_route\""], 1.0);
    check("portcullis_request_duration_seconds_count", &[all], 7.0);
    check("portcullis_request_duration_seconds_bucket", &[all, "le=\"+Inf\""], 7.0);
    check("portcullis_response_head_seconds_count", &[], 9.0);
    check("portcullis_request_bytes_total", &[all], 5.0);
    check("portcullis_response_bytes_total", &[all], (4 * 5 + 2 * 6 + 6) as f64);
    check("portcullis_request_plugin_requests_total", &[all, "plugin=\"counts-calls\""], 7.0);
    check("portcullis_plugin_failures_total", &["plugin=\"trap\"", "kind=\"trap\""], 1.0);
    check("portcullis_plugin_call_duration_seconds_count", &["plugin=\"counts-calls\"", "hook=\"pre-handler\""], 8.0);
    check("portcullis_cache_requests_total", &[all, "result=\"hit\""], 1.0);
    check("portcullis_upstream_response_seconds_count", &["upstream=\"origin\""], 6.0);
    check("portcullis_upstream_endpoint_failures_total", &["upstream=\"nobody\""], 1.0);
    check("portcullis_connections_accepted_total", &[], 9.0);
    check("portcullis_configuration_generation", &[], 1.0);
    check("portcullis_worker_requests_in_flight", &[], 0.0);
    for present in [
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_start_time_seconds ",
        "portcullis_worker_busy_seconds_total{worker=\"0\"} ",
        "portcullis_build_info{version=\"",
    ] {
        assert!(text.lines().any(|line| line.starts_with(present)), "{present} in\n{text}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let (origin, gateway) = busy().await;
    traffic(&gateway).await;
    let before = origin.seen().len();
    let mut client = gateway.connect().await;
    client.write("GET /all/silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(before + 1).await;
    drop(client);
    let text = counted(&gateway, 10.0).await;
    assert_eq!(sum(&text, "portcullis_errors_total", &["fault=\"downstream\"", "reason=\"client_gone\""]), 1.0);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, from Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.is_empty() && error.is_empty(), "{out}{error}\n{text}");
}

#[tokio::test]
async fn a_reload_resets_nothing_and_a_refused_one_shows() {
    let (_origin, gateway) = busy().await;
    traffic(&gateway).await;
    counted(&gateway, 9.0).await;
    let mut config = gateway.config();
    let routes = config["routes"].as_array_mut().unwrap();
    routes.reverse();
    routes.push(json!({ "name": "more", "match": { "path": "/more" }, "respond": { "body": "more" } }));
    // Another configuration makes another variant of the plugin.
    let chain = config["plugins"]["chain"].as_array_mut().unwrap();
    let timing = chain.iter_mut().find(|entry| entry["plugin"] == "response-timing").unwrap();
    timing["config"] = json!({ "response_time": true });
    gateway.write_config(config.to_string());
    gateway.until("the new route", Request::get("/more"), |response| response.status == 200).await;
    traffic(&gateway).await;
    let text = eventually("all of it", || async {
        let text = scrape(&gateway).await;
        (sum(&text, "portcullis_requests_total", &["route=\"all\""]) == 14.0).then_some(text)
    })
    .await;
    let calls = sum(&text, "portcullis_plugin_calls_total", &["response-timing", "post-handler"]);
    assert!(calls >= 18.0, "{calls} in\n{text}");
    assert_eq!(sum(&text, "portcullis_request_duration_seconds_count", &["route=\"away\""]), 2.0);
    assert_eq!(sum(&text, "portcullis_configuration_generation", &[]), 2.0);
    assert_eq!(sum(&text, "portcullis_configuration_refused", &[]), 0.0);
    gateway.write_config("{");
    eventually("the refusal", || async {
        let text = scrape(&gateway).await;
        let refused = sum(&text, "portcullis_configuration_refused", &[]) == 1.0;
        let counted = sum(&text, "portcullis_configuration_changes_total", &["refused"]) >= 1.0;
        (refused && counted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_under_way_and_what_was_given_up_are_told() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let gateway = Setup::to(&origin).route(json!({ "name": "all", "proxy": { "upstream": "origin" } })).start().await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    let value = |name: &'static str| async { sum(&scrape(&gateway).await, name, &[]) };
    assert_eq!(value("portcullis_worker_requests_in_flight").await, 1.0);
    assert_eq!(value("portcullis_connections_open").await, 1.0);
    drop(client);
    eventually("the abort", || async {
        (value("portcullis_worker_requests_aborted_total").await == 1.0).then_some(())
    })
    .await;
    assert_eq!(value("portcullis_worker_requests_in_flight").await, 0.0);
    assert_eq!(value("portcullis_requests_total").await, 1.0);
    assert_eq!(value("portcullis_response_head_seconds_count").await, 0.0);
    gate.open();
}

/// A real Prometheus that scrapes a gateway every second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn of(gateway: &Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = gateway.admin_address().await;
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": [{
                "job_name": "gateway",
                "authorization": { "credentials": gateway.admin_token().unwrap() },
                "static_configs": [{ "targets": [target.to_string()] }],
            }],
        });
        // What is JSON is YAML.
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let flag = |name: &str, value: String| format!("--{name}={value}");
        let child = Command::new("prometheus")
            .arg(flag("config.file", folder.path().join("prometheus.yml").display().to_string()))
            .arg(flag("storage.tsdb.path", folder.path().join("data").display().to_string()))
            .arg(flag("web.listen-address", address.to_string()))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package prometheus");
        Self { child, address, _folder: folder }
    }

    async fn ask(&self, target: &str) -> Option<Value> {
        let response = Client::connect(self.address).await.ok()?.try_send(&Request::get(target)).await.ok()?;
        (response.status == 200).then(|| response.json()["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_prometheus_reads_open_metrics_with_exemplars() {
    let (_origin, gateway) = busy().await;
    traffic(&gateway).await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let response = gateway.ask_admin(&Request::get("/metrics").field("Accept", accept)).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.value("content-type"), Some(kind));
    assert!(
        response.text().ends_with("# EOF\n") && response.text().contains(" # {request_id=\""),
        "{}",
        response.text()
    );
    let prometheus = Prometheus::of(&gateway).await;
    let query = "/api/v1/query?query=sum(portcullis_requests_total)";
    eventually("nine requests in Prometheus", || async {
        let data = prometheus.ask(query).await?;
        (data["result"][0]["value"][1] == "9").then_some(())
    })
    .await;
    let targets = prometheus.ask("/api/v1/targets").await.unwrap();
    assert_eq!(targets["activeTargets"][0]["health"], "up", "{targets}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let query = format!(
        "/api/v1/query_exemplars?query=portcullis_request_duration_seconds_bucket&start={}&end={}",
        now - 600,
        now + 600
    );
    eventually("exemplars", || async {
        let data = prometheus.ask(&query).await?;
        data[0]["exemplars"][0]["labels"]["request_id"].as_str().filter(|id| id.len() == 32).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn the_last_seconds_show_which_plugin_makes_a_route_slow() {
    let (_origin, gateway) = busy().await;
    let live = eventually("figures", || async {
        traffic(&gateway).await;
        let live = gateway.admin("/api/v1/live?seconds=60").await.json();
        let known = live["routes"].as_array().is_some_and(|routes| routes.len() == 3);
        (known && live["upstreams"][0]["requests_per_second"].as_f64()? > 0.0).then_some(live)
    })
    .await;
    let route = |name: &str| live["routes"].as_array().unwrap().iter().find(|route| route["route"] == name).unwrap();
    let all = route("all");
    assert!(all["requests"].as_u64().unwrap() >= 7, "{live:#}");
    assert!(all["latency_ms"]["p95"].as_f64().unwrap() > 0.0, "{live:#}");
    assert!(all["cache_hit_ratio"].as_f64().unwrap() > 0.0, "{live:#}");
    assert!(all["plugins"].as_array().unwrap().iter().any(|plugin| plugin["plugin"] == "response-timing"), "{live:#}");
    assert!(live["total"]["errors"]["downstream"].as_u64().unwrap() >= 1, "{live:#}");
    assert!(live["process"]["memory_bytes"].as_u64().unwrap() > 1_000_000, "{live:#}");
    let hooks = live["plugins"].as_array().unwrap();
    assert!(hooks.iter().any(|hook| hook["plugin"] == "trap" && hook["failures_per_second"].as_f64() > Some(0.0)));
    assert_eq!(gateway.admin("/api/v1/live?seconds=301").await.status, 400);
}
