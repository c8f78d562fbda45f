//! Active health checks: endpoints that say they are unwell get no requests, and operators can see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_tests::{Gateway, Load, Origin, Reply, Request, Setup, Value, eventually, json};

/// An origin that answers checks as it is told, and counts them.
struct Patient {
    origin: Origin,
    well: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
}

impl Patient {
    async fn new(name: &'static str) -> Self {
        let (well, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (state, count) = (Arc::clone(&well), Arc::clone(&checks));
        let origin = Origin::start(move |seen| match (seen.target.as_str(), state.load(Ordering::SeqCst)) {
            ("/healthz", well) => {
                assert_eq!(seen.value("host"), Some("checks.test"));
                count.fetch_add(1, Ordering::SeqCst);
                if well { Reply::ok("status: fine") } else { Reply::ok("status: ill") }
            }
            _ => Reply::ok(name),
        });
        Self { origin: origin.await, well, checks }
    }

    fn endpoint(&self) -> String {
        self.origin.address().to_string()
    }
}

fn setup(endpoints: &[String]) -> Setup {
    let health = json!({
        "path": "/healthz", "host": "checks.test", "body": "fine", "interval_ms": 50,
        "healthy_after": 2, "unhealthy_after": 2,
    });
    Setup::new()
        .patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints, "health": health } }, "workers": 2 }))
}

async fn healthy(gateway: &Gateway, endpoint: &str) -> Option<f64> {
    let labels = format!("{{upstream=\"origin\",endpoint=\"{endpoint}\"}}");
    gateway.metric(&format!("portcullis_upstream_endpoint_healthy{labels}")).await
}

async fn until_healthy(gateway: &Gateway, endpoint: &str, value: f64) {
    eventually("the endpoint's health", || async { (healthy(gateway, endpoint).await == Some(value)).then_some(()) })
        .await;
}

#[tokio::test]
async fn an_endpoint_that_is_unwell_is_not_asked_until_it_is_well() {
    let patients = [Patient::new("one").await, Patient::new("two").await];
    let endpoints: Vec<String> = patients.iter().map(Patient::endpoint).collect();
    let gateway = setup(&endpoints).start().await;
    let load = Load::start(&gateway, 4, &Request::get("/"), |response| match response.status {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
    load.more(50).await;
    patients[0].well.store(false, Ordering::SeqCst);
    until_healthy(&gateway, &endpoints[0], 0.0).await;
    gateway.logs().wait_for_words(0, &["endpoint unhealthy", &endpoints[0], "body"]).await;
    // What the workers have under way may still go there, so that only what comes after a round trip counts.
    load.more(50).await;
    let asked = |patient: &Patient| patient.origin.seen().iter().filter(|seen| seen.target == "/").count();
    let before = asked(&patients[0]);
    load.more(100).await;
    assert_eq!(asked(&patients[0]), before);
    patients[0].well.store(true, Ordering::SeqCst);
    until_healthy(&gateway, &endpoints[0], 1.0).await;
    load.more(100).await;
    assert!(asked(&patients[0]) > before);
    load.stop().await.expect_clean(300);
    let status: Value = gateway.admin("/api/v1/upstreams").await.json();
    let told = &status["upstreams"][0];
    assert_eq!((&told["upstream"], &told["endpoints"][1]["healthy"]), (&json!("origin"), &json!(true)));
    assert!(told["endpoints"][0]["requests"].as_u64() > Some(0), "{status}");
    let to = |to: &str| {
        let labels = format!("{{upstream=\"origin\",endpoint=\"{}\",to=\"{to}\"}}", endpoints[0]);
        format!("portcullis_upstream_endpoint_health_changes_total{labels}")
    };
    assert!(gateway.metric(&to("unhealthy")).await >= Some(1.0));
    assert!(gateway.metric(&to("healthy")).await >= Some(1.0));
}

#[tokio::test]
async fn where_nobody_is_well_all_are_asked_and_checks_are_made_once_per_process() {
    let patient = Patient::new("alone").await;
    patient.well.store(false, Ordering::SeqCst);
    let gateway = setup(&[patient.endpoint()]).start().await;
    until_healthy(&gateway, &patient.endpoint(), 0.0).await;
    assert_eq!(gateway.get("/").await.text(), "alone");
    // A configuration without checks ends them, and nobody is unwell any more.
    let mut config = gateway.config();
    config["upstreams"]["origin"].as_object_mut().unwrap().remove("health");
    gateway.write_config(config.to_string());
    until_healthy(&gateway, &patient.endpoint(), 1.0).await;
    let checks = patient.checks.load(Ordering::SeqCst);
    for _ in 0..20 {
        gateway.get("/").await;
    }
    assert!(patient.checks.load(Ordering::SeqCst) <= checks + 1, "a check may have been under way");
}

#[tokio::test]
async fn a_name_is_looked_up_and_each_of_its_addresses_checked() {
    let patient = Patient::new("by name").await;
    // Not an address by RFC 3986, but what the resolver of every system makes one of, without asking the network.
    let named = format!("127.1:{}", patient.origin.address().port());
    let endpoints = [named.clone(), "nobody.invalid:80".to_owned()];
    let patch = json!({ "upstreams": { "origin": { "resolve_interval_ms": 100, "connect_timeout_ms": 1000 } } });
    let gateway = setup(&endpoints).patch(&patch).start().await;
    gateway.logs().wait_for_words(0, &["endpoint addresses changed", &named]).await;
    gateway.logs().wait_for_words(0, &["name not found", "nobody.invalid"]).await;
    // The one that cannot be found is found out by its checks, or passed over.
    assert_eq!(gateway.get("/").await.text(), "by name");
    let site = format!("{named} at 127.0.0.1");
    patient.well.store(false, Ordering::SeqCst);
    until_healthy(&gateway, &site, 0.0).await;
    patient.well.store(true, Ordering::SeqCst);
    until_healthy(&gateway, &site, 1.0).await;
    // It is said once, not every time.
    assert_eq!(gateway.logs().count(&["endpoint addresses changed"]), 1);
}
