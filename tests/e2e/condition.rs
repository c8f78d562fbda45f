//! How the gateway is, in a word and part by part; modes of degradation; alerts and who is told of them; advice.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis_tests::{Gateway, Origin, Reply, Request, Response, Setup, Value, eventually, json};
use rcgen::{CertificateParams, KeyPair};

/// An origin that can be told to be unwell; what it answers may be stored.
struct Patient {
    origin: Origin,
    well: Arc<AtomicBool>,
}

impl Patient {
    async fn new() -> Self {
        let well = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&well);
        let script = move |seen: &portcullis_tests::Seen| match seen.target.as_str() {
            "/healthz" if state.load(Ordering::SeqCst) => Reply::ok("fine"),
            "/healthz" => Reply::new(503, "ill"),
            _ => Reply::ok("stored").field("Cache-Control", "max-age=600").field("ETag", "\"1\""),
        };
        Self { origin: Origin::start(script).await, well }
    }

    fn setup(&self) -> Setup {
        let health = json!({ "path": "/healthz", "interval_ms": 50, "healthy_after": 1, "unhealthy_after": 1 });
        Setup::to(&self.origin)
            .patch(&json!({ "upstreams": { "origin": { "health": health } } }))
            .route(json!({ "name": "all", "proxy": { "upstream": "origin" } }))
            .route(json!({ "name": "cached", "match": { "path": "/cached/*" }, "cache": true, "proxy": { "upstream": "origin" } }))
            .route(json!({ "name": "own", "match": { "path": "/own" }, "respond": { "body": "own" } }))
    }

    fn is_well(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    /// Requests that were not checks.
    fn asked(&self) -> usize {
        self.origin.seen().iter().filter(|seen| seen.target != "/healthz").count()
    }
}

/// A part of the tree by its name.
fn part<'v>(tree: &'v Value, name: &str) -> Option<&'v Value> {
    let parts = tree["parts"].as_array()?;
    parts.iter().find_map(|one| if one["part"] == name { Some(one) } else { part(one, name) })
}

async fn until_part(gateway: &Gateway, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), || async {
        let tree: Value = gateway.admin("/api/v1/health").await.json();
        part(&tree, name).filter(|part| part["status"] == status).cloned()
    })
    .await
}

async fn until_ready(gateway: &Gateway) {
    eventually("ready", || async { (gateway.admin("/readyz").await.text() == "ready\n").then_some(()) }).await;
}

async fn choose(gateway: &Gateway, mode: &str) {
    let request = Request::new("PUT", "/api/v1/mode").field("Content-Type", "application/json");
    let response = gateway.ask_admin(&request.body(json!({ "mode": mode }).to_string())).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let told: Value = response.json();
    assert_eq!((&told["mode"], &told["survives_restart"]), (&json!(mode), &json!(false)));
}

fn reason(response: &Response) -> (u16, Value) {
    (response.status, response.json()["reason"].clone())
}

fn reasons(part: &Value) -> String {
    part["reasons"].to_string()
}

#[tokio::test]
async fn operators_and_clients_hear_a_word() {
    let patient = Patient::new().await;
    let paths = json!({ "livez": "/alive", "readyz": "/ready", "startupz": "/started" });
    let gateway = patient.setup().patch(&json!({ "health": { "public": paths } })).start().await;
    until_ready(&gateway).await;
    for (admin, public, text) in
        [("/livez", "/alive", "alive\n"), ("/startupz", "/started", "started\n"), ("/readyz", "/ready", "ready\n")]
    {
        let told = gateway.admin(admin).await;
        assert_eq!((told.status, told.text()), (200, text), "{admin}");
        let told = gateway.until(public, Request::get(public), |response| response.text() == text).await;
        assert_eq!((told.status, told.value("cache-control")), (200, Some("no-store")), "{public}");
    }
    // Whatever is no question about health is the routes' business.
    assert_eq!(gateway.send(Request::post("/ready", "x")).await.text(), "stored");
    assert_eq!(gateway.get("/readyz").await.text(), "stored");
    patient.is_well(false);
    let told = gateway.until("degraded", Request::get("/ready"), |response| response.text() == "degraded\n").await;
    assert_eq!(told.status, 200, "no details, and clients still come here");
    let told = gateway.admin("/readyz").await;
    assert_eq!((told.status, told.text()), (200, "degraded: upstreams\n"), "strangers hear neither why nor where");
    let verbose = gateway.admin("/readyz?verbose").await;
    assert!(verbose.text().contains("\nworkers healthy\n") && verbose.text().contains("\nupstreams unhealthy\n"));
    assert!(!verbose.text().contains("origin") && !verbose.text().contains("endpoints"), "{}", verbose.text());
    let health = gateway.admin("/api/v1/health").await;
    assert!(health.text().contains("all of its endpoints are down"), "{}", health.text());
    gateway.logs().wait_for_words(0, &["health changes", "degraded", "all of its endpoints are down"]).await;
    choose(&gateway, "maintenance").await;
    let told = gateway.get("/ready").await;
    assert_eq!((told.status, told.text()), (503, "maintenance\n"));
    assert_eq!(gateway.admin("/readyz").await.status, 503);
    assert_eq!(gateway.get("/alive").await.status, 200);
}

#[tokio::test]
async fn the_tree_says_what_is_wrong_until_it_is_well() {
    let patient = Patient::new().await;
    let trap = json!({ "config": { "hook": "pre-handler", "only_with": "x-trap" }, "limits": { "quarantine_failures": 2, "quarantine_ms": 4000 } });
    let gateway = patient.setup().guest_as("trap", "trap-in", trap).start().await;
    until_ready(&gateway).await;
    let tree: Value = gateway.admin("/api/v1/health").await.json();
    let names: Vec<_> = tree["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    let expected = ["workers", "configuration", "plugins", "upstreams", "cache", "certificates", "alerts", "mode"];
    assert_eq!((&tree["part"], &tree["status"], names), (&json!("gateway"), &json!("healthy"), expected.to_vec()));

    patient.is_well(false);
    let down = until_part(&gateway, "origin", "unhealthy").await;
    assert!(reasons(&down).contains("all of its endpoints are down (1)"), "{down}");
    patient.is_well(true);
    until_part(&gateway, "origin", "healthy").await;

    let good = gateway.config();
    gateway.patch_config(&json!({ "workers": "many" }));
    let refused = until_part(&gateway, "configuration", "degraded").await;
    assert!(reasons(&refused).contains("a change of the configuration was refused: workers: "), "{refused}");
    gateway.write_config(good.to_string());
    until_part(&gateway, "configuration", "healthy").await;

    for _ in 0..3 {
        gateway.send(Request::get("/").field("X-Trap", "1")).await;
    }
    let trapped = until_part(&gateway, "trap", "unhealthy").await;
    assert!(reasons(&trapped).contains("is quarantined for"), "{trapped}");
    until_part(&gateway, "plugins", "unhealthy").await;
    gateway.until("the end of the quarantine", Request::get("/"), |response| response.status == 200).await;
    until_part(&gateway, "plugins", "healthy").await;
    until_ready(&gateway).await;
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let issue = |name: &str, days: u64| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        params.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400)).into();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, secret) = (folder.path().join(format!("{name}.pem")), folder.path().join(format!("{name}.key")));
        fs::write(&pem, certificate.pem()).unwrap();
        fs::write(&secret, key.serialize_pem()).unwrap();
        json!({ "certificate": pem, "key": secret })
    };
    let certificates = [issue("soon", 3), issue("late", 90)];
    let listener = json!([{ "address": "127.0.0.1:0", "tls": { "certificates": certificates } }]);
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).patch(&json!({ "listeners": listener })).start().await;
    let soon = until_part(&gateway, "soon.example on 127.0.0.1:0", "degraded").await;
    assert!(reasons(&soon).contains("expires in 2 days"), "{soon}");
    until_part(&gateway, "late.example on 127.0.0.1:0", "healthy").await;
    // The next look at the whole finds it, too.
    eventually("the alert", || async {
        let told: Value = gateway.admin("/api/v1/alerts").await.json();
        let fires = |alert: &Value| alert["alert"] == "certificate-expiring" && alert["state"] == "firing";
        told["alerts"].as_array()?.iter().any(fires).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_stale_is_served_where_that_is_the_mode() {
    let patient = Patient::new().await;
    let gateway = patient.setup().start().await;
    assert_eq!(gateway.get("/cached/a").await.status, 200);
    let purge = Request::post("/api/v1/cache/purge", json!({ "all": true, "soft": true }).to_string());
    let purge = purge.field("Content-Type", "application/json");
    assert_eq!(gateway.ask_admin(&purge).await.status, 200);
    choose(&gateway, "serve_stale").await;
    let before = patient.asked();
    let stale = gateway.get("/cached/a").await;
    assert_eq!((stale.status, stale.text()), (200, "stored"));
    let status = stale.value("cache-status").unwrap();
    assert!(status.starts_with("portcullis; hit; ttl=-") && status.ends_with("detail=serve_stale"), "{status}");
    // Nobody has waited for it, but it is fetched anew.
    eventually("it is fetched anew", || async { (patient.asked() == before + 1).then_some(()) }).await;
    // A client's wish for something newer is not heard; what is not stored is asked for.
    let reload = gateway.send(Request::get("/cached/a").field("Cache-Control", "no-cache")).await;
    assert!(reload.value("cache-status").unwrap().starts_with("portcullis; hit"), "{:?}", reload.value("cache-status"));
    assert!(gateway.get("/cached/b").await.value("cache-status").unwrap().contains("fwd=uri-miss"));
    assert_eq!(gateway.metric("portcullis_mode{mode=\"serve_stale\"}").await, Some(1.0));
    assert_eq!(gateway.metric("portcullis_mode{mode=\"normal\"}").await, Some(0.0));
    gateway.logs().wait_for_words(0, &["mode changes", "serve_stale"]).await;
}

#[tokio::test]
async fn only_what_is_stored_is_served_where_that_is_the_mode() {
    let patient = Patient::new().await;
    let gateway = patient.setup().start().await;
    assert_eq!(gateway.get("/cached/a").await.status, 200);
    choose(&gateway, "cache_only").await;
    let before = patient.asked();
    assert_eq!(gateway.get("/cached/a").await.text(), "stored");
    let reload = gateway.send(Request::get("/cached/a").field("Cache-Control", "no-cache")).await;
    assert_eq!(reload.text(), "stored");
    let missing = gateway.get("/cached/b").await;
    assert_eq!(reason(&missing), (503, json!("cache_only")));
    assert_eq!(
        (missing.value("retry-after"), missing.value("cache-status")),
        (Some("30"), Some("portcullis; detail=cache_only"))
    );
    assert_eq!(reason(&gateway.get("/other").await), (503, json!("cache_only")));
    assert_eq!(reason(&gateway.send(Request::post("/cached/a", "x")).await), (503, json!("cache_only")));
    assert_eq!(gateway.get("/own").await.text(), "own");
    assert_eq!(patient.asked(), before, "no upstream is asked");
    choose(&gateway, "normal").await;
    assert_eq!(gateway.get("/cached/b").await.status, 200);
}

#[tokio::test]
async fn only_reading_is_allowed_where_that_is_the_mode() {
    let patient = Patient::new().await;
    let gateway = patient.setup().patch(&json!({ "modes": { "retry_after_seconds": 7 } })).start().await;
    choose(&gateway, "read_only").await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
        let refused = gateway.send(Request::new(method, "/own")).await;
        assert_eq!(
            (reason(&refused), refused.value("retry-after")),
            ((503, json!("read_only")), Some("7")),
            "{method}"
        );
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(gateway.send(Request::new(method, "/")).await.status, 200, "{method}");
    }
    let part = until_part(&gateway, "mode", "degraded").await;
    assert!(reasons(&part).contains("read_only, chosen by"), "{part}");
    for wrong in ["{\"mode\":\"readonly\"}", "{}", "[", "{\"mode\":\"normal\",\"x\":1}"] {
        let request = Request::new("PUT", "/api/v1/mode").field("Content-Type", "application/json");
        let refused = gateway.ask_admin(&request.body(wrong)).await;
        assert!((400..500).contains(&refused.status), "{wrong}: {}", refused.status);
    }
    assert_eq!(gateway.get("/own").await.status, 200);
}

#[tokio::test]
async fn everything_is_refused_but_those_who_are_let_in_where_that_is_the_mode() {
    let patient = Patient::new().await;
    let page = json!({ "modes": { "maintenance": { "body": "<p>Back soon", "allow": ["192.0.2.0/24"] } } });
    let gateway = patient.setup().patch(&page).start().await;
    choose(&gateway, "maintenance").await;
    for request in [Request::get("/own"), Request::get("/cached/a"), Request::post("/", "x"), Request::get("/nowhere")]
    {
        let refused = gateway.send(request).await;
        assert_eq!((refused.status, refused.text()), (503, "<p>Back soon"));
        assert_eq!(
            (refused.value("content-type"), refused.value("retry-after")),
            (Some("text/html; charset=utf-8"), Some("30"))
        );
    }
    gateway.patch_config(&json!({ "modes": { "maintenance": { "allow": ["127.0.0.0/8"] } } }));
    gateway.until("let in", Request::get("/own"), |response| response.text() == "own").await;
    assert_eq!(gateway.admin("/readyz").await.status, 503, "the others are not");
}

/// What a webhook was told, and when.
struct Receiver {
    origin: Origin,
}

impl Receiver {
    async fn new() -> Self {
        Self { origin: Origin::start(|_| Reply::new(204, "")).await }
    }

    async fn told(&self, count: usize) -> Vec<Value> {
        let seen = self.origin.wait_for(count).await;
        seen.iter().map(|seen| portcullis_tests::from_json(&seen.body).unwrap()).collect()
    }
}

#[tokio::test]
async fn an_alert_is_told_to_whoever_listens_and_switches_the_mode() {
    let patient = Patient::new().await;
    let receiver = Receiver::new().await;
    let dead = {
        let gone = Origin::saying("").await;
        gone.stop();
        gone.address()
    };
    let alert = json!({
        "name": "origin-ill", "metric": "portcullis_upstream_endpoint_healthy", "labels": { "upstream": "origin" },
        "condition": { "below": 1 }, "for_seconds": 1, "cooldown_seconds": 4, "severity": "critical",
        "summary": "healthy: {value}", "notify": ["log", "dead", "ops"], "then": { "mode": "serve_stale" },
    });
    let webhooks = json!({
        "ops": { "url": format!("http://{}/hook", receiver.origin.address()), "headers": { "authorization": "Bearer hunter2" } },
        "dead": { "url": format!("http://{dead}/"), "retries": 1, "retry_wait_ms": 1, "timeout_ms": 1000 },
    });
    let gateway = patient.setup().patch(&json!({ "alerts": [alert], "alert_webhooks": webhooks })).start().await;
    until_ready(&gateway).await;

    patient.is_well(false);
    let told = receiver.told(1).await.remove(0);
    assert_eq!(
        (&told["alert"], &told["state"], &told["summary"]),
        (&json!("origin-ill"), &json!("firing"), &json!("healthy: 0"))
    );
    let seen = receiver.origin.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hook"));
    assert_eq!(seen.fields.value("authorization"), Some("Bearer hunter2"));
    until_mode(&gateway, "serve_stale").await;
    let standing: Value = gateway.admin("/api/v1/mode").await.json();
    assert_eq!(standing["by"], "alert origin-ill");
    let alerts = until_part(&gateway, "alerts", "degraded").await;
    assert!(reasons(&alerts).contains("origin-ill fires: healthy: 0"), "{alerts}");
    gateway.logs().wait_for_words(0, &["alert fires", "origin-ill"]).await;
    gateway.logs().wait_for_words(0, &["webhook cannot be told", "dead"]).await;
    assert_eq!(gateway.logs().count(&["hunter2"]), 0);

    patient.is_well(true);
    let told = receiver.told(2).await.remove(1);
    let over = Instant::now();
    assert_eq!((&told["state"], &told["summary"]), (&json!("resolved"), &json!("healthy: 1")));
    until_mode(&gateway, "normal").await;
    let sent = "portcullis_alert_notifications_total{webhook=\"ops\",outcome=\"sent\"}";
    eventually("both are counted", || async { (gateway.metric(sent).await == Some(2.0)).then_some(()) }).await;
    assert!(
        gateway.metric("portcullis_alert_notifications_total{webhook=\"dead\",outcome=\"failed\"}").await >= Some(1.0)
    );

    // Bad again at once: nobody is told before the cooldown is over.
    patient.is_well(false);
    let told = receiver.told(3).await.remove(2);
    assert_eq!(told["state"], "firing");
    assert!(over.elapsed() > Duration::from_secs(3), "{:?}", over.elapsed());
    until_mode(&gateway, "serve_stale").await;
    // What a person says counts, until the alert fires anew.
    choose(&gateway, "normal").await;
    let asked: Value = gateway.admin("/api/v1/alerts").await.json();
    let firing =
        |alert: &Value| alert["alert"] == "origin-ill" && alert["state"] == "firing" && alert["threshold"] == 1.0;
    assert!(asked["alerts"].as_array().unwrap().iter().any(firing), "{asked}");
    assert_eq!(gateway.metric("portcullis_mode{mode=\"normal\"}").await, Some(1.0));
}

async fn until_mode(gateway: &Gateway, mode: &str) {
    let series = format!("portcullis_mode{{mode=\"{mode}\"}}");
    eventually(mode, || async { (gateway.metric(&series).await == Some(1.0)).then_some(()) }).await;
}

#[tokio::test]
async fn advice_names_the_plugin_that_is_slow_and_the_route_that_should_cache() {
    let patient = Patient::new().await;
    let slow = json!({ "grants": ["clock"], "config": { "ms": 4 } });
    let gateway = patient.setup().guest_as("slow", "slow-hook", slow).patch(&json!({ "routes": [
        { "name": "own", "match": { "path": "/own" }, "respond": { "body": "own" } },
        { "name": "all", "plugins": { "slow": false }, "proxy": { "upstream": "origin" } },
    ] }));
    let gateway = gateway.start().await;
    let mut client = gateway.connect().await;
    for _ in 0..30 {
        assert_eq!(client.send(&Request::get("/own")).await.status, 200);
    }
    // One in sixteen is looked at, and 32 must have been compared with one before.
    for _ in 0..640 {
        assert_eq!(client.send(&Request::get("/same")).await.status, 200);
    }
    let hint = |told: &Value, kind: &str| {
        let hints = told["advice"].as_array().cloned().unwrap_or_default();
        hints.into_iter().find(|hint| hint["kind"] == kind)
    };
    let told = eventually("both hints", || async {
        let told: Value = gateway.admin("/api/v1/advice").await.json();
        (hint(&told, "slow_plugin").is_some() && hint(&told, "uncached_route").is_some()).then_some(told)
    })
    .await;
    let slow = hint(&told, "slow_plugin").unwrap();
    assert_eq!(
        (&slow["plugin"], &slow["route"], &slow["severity"]),
        (&json!("slow"), &json!("own"), &json!("warning"))
    );
    assert!(
        slow["figures"]["mean_ms"].as_f64() >= Some(4.0) && slow["figures"]["share"].as_f64() > Some(0.5),
        "{slow}"
    );
    let uncached = hint(&told, "uncached_route").unwrap();
    assert_eq!((&uncached["route"], &uncached["figures"]["same_ratio"]), (&json!("all"), &json!(1.0)));
    assert!(uncached["text"].as_str().unwrap().contains("heuristic_percent"), "{uncached}");
    // With a cache there is nothing to advise.
    gateway.patch_config(&json!({ "routes": [
        { "name": "own", "match": { "path": "/own" }, "respond": { "body": "own" } },
        { "name": "all", "plugins": { "slow": false }, "cache": true, "proxy": { "upstream": "origin" } },
    ] }));
    eventually("no hint about the route", || async {
        let told: Value = gateway.admin("/api/v1/advice").await.json();
        hint(&told, "uncached_route").is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn advice_names_the_endpoint_that_is_slow() {
    let quick = Origin::start(|_| Reply::ok("quick")).await;
    let slow = Origin::start(|_| Reply::ok("slow").after(Duration::from_millis(40))).await;
    let endpoints = json!([quick.address().to_string(), slow.address().to_string()]);
    let gateway =
        Setup::to(&quick).patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } } })).start().await;
    let mut client = gateway.connect().await;
    for _ in 0..44 {
        assert_eq!(client.send(&Request::get("/")).await.status, 200);
    }
    let told = eventually("a hint about the slow endpoint", || async {
        let told: Value = gateway.admin("/api/v1/advice").await.json();
        let hints = told["advice"].as_array().cloned().unwrap_or_default();
        hints.into_iter().find(|hint| hint["kind"] == "slow_endpoint")
    })
    .await;
    assert_eq!(
        (&told["upstream"], &told["endpoint"]),
        (&json!("origin"), &json!(slow.address().to_string())),
        "{told}"
    );
    let figures = &told["figures"];
    assert!(figures["usual_ms"].as_f64() >= Some(40.0) && figures["times"].as_f64() >= Some(2.0), "{told}");
    assert!(figures["others_usual_ms"].as_f64() < Some(20.0), "{told}");
    // What an operator is told is what an operator can do.
    let order = format!("portcullis ctl endpoint origin {} --drain", slow.address());
    assert!(told["text"].as_str().unwrap().contains(&order), "{told}");
}

#[tokio::test]
async fn an_endpoint_that_fails_all_requests_is_told_until_it_answers_one() {
    let well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&well);
    let answer = move |_: &portcullis_tests::Seen| {
        if state.load(Ordering::SeqCst) { Reply::ok("fine") } else { Reply::new(503, "ill") }
    };
    let origin = Origin::start(answer).await;
    let gateway = Setup::to(&origin).start().await;
    assert_eq!(gateway.get("/").await.status, 200);
    well.store(false, Ordering::SeqCst);
    for _ in 0..8 {
        assert_eq!(gateway.get("/").await.status, 503);
    }
    let told = until_part(&gateway, "origin", "degraded").await;
    assert!(reasons(&told).contains("has failed its last 8 requests"), "{told}");
    well.store(true, Ordering::SeqCst);
    assert_eq!(gateway.get("/").await.status, 200);
    until_part(&gateway, "origin", "healthy").await;
}

#[tokio::test]
async fn a_state_folder_that_takes_nothing_is_told_with_why_changes_are_refused() {
    let patient = Patient::new().await;
    let gateway = patient.setup().start().await;
    until_ready(&gateway).await;
    let state = gateway.folder().join("state");
    let log = state.join("audit.log");
    fs::remove_file(&log).ok();
    fs::create_dir(&log).unwrap();
    let body = Request::new("PUT", "/api/v1/mode").field("Content-Type", "application/json");
    let refused = gateway.ask_admin(&body.body(json!({ "mode": "normal" }).to_string())).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let told = until_part(&gateway, "configuration", "degraded").await;
    assert!(reasons(&told).contains("audit log"), "{told}");
    fs::remove_dir(&log).unwrap();
    choose(&gateway, "normal").await;
    until_part(&gateway, "configuration", "healthy").await;
}
