//! Distributed traces: the context that comes and goes on, the spans that a receiver of OTLP gets, and which it does not get.

mod receiver;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use portcullis_tests::command::portcullis;
use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Setup, Value, eventually, json};
use receiver::{Mood, Receiver, Told, attribute, servers};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A setup with traces that go to this receiver.
fn traced(setup: Setup, receiver: &Receiver, tracing: Value) -> Setup {
    setup
        .patch(&json!({ "tracing": { "otlp": { "endpoint": receiver.url() }, "sample": { "ratio": 1 } } }))
        .patch(&json!({ "tracing": tracing }))
}

fn context(flags: &str) -> Request {
    Request::get("/").field("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"))
}

fn named<'a>(spans: &'a [Told], name: &str) -> &'a Told {
    let names: Vec<_> = spans.iter().map(|told| &told.span.name).collect();
    let mut found = spans.iter().filter(|told| told.span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no span {name:?} among {names:?}"));
    assert!(found.next().is_none(), "two spans {name:?} among {names:?}");
    first
}

/// The parts of the `traceparent` that the origin got last.
fn passed_on(origin: &Origin) -> (String, String, String) {
    let seen = origin.last();
    let fields = seen.fields.values("traceparent");
    assert_eq!(fields.len(), 1, "{fields:?}");
    let parts: Vec<&str> = fields[0].split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"));
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[tokio::test]
async fn a_trace_goes_on_through_the_gateway_and_its_spans_reach_a_receiver_over_http() {
    let receiver = Receiver::http().await;
    a_trace_goes_on(&receiver, json!({ "otlp": { "compression": "gzip" } })).await;
    assert_eq!(receiver.origin().last().value("authorization"), Some("Bearer hush"));
    assert_eq!(receiver.origin().last().value("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_trace_goes_on_through_the_gateway_and_its_spans_reach_a_receiver_over_grpc() {
    let receiver = Receiver::grpc().await;
    a_trace_goes_on(&receiver, json!({ "otlp": { "protocol": "grpc" } })).await;
    let metadata = receiver.metadata.lock().unwrap().clone();
    assert_eq!(metadata.get("authorization").unwrap(), "Bearer hush");
}

async fn a_trace_goes_on(receiver: &Receiver, tracing: Value) {
    let origin = Origin::start(|_| Reply::ok("hello").field("cache-control", "max-age=60")).await;
    let setup = Setup::to(&origin)
        .guest("trace-order", json!({ "label": "a" }))
        .route(json!({ "name": "page", "match": { "path": "/page/{id}" }, "proxy": { "upstream": "origin" }, "cache": true }))
        .environment("TOKEN", "hush");
    let setup = traced(setup, receiver, tracing).patch(&json!({ "tracing": {
        "otlp": { "headers": { "authorization": "Bearer ${TOKEN}" } },
        "service_name": "edge", "resource": { "deployment.environment.name": "test", "weight": 2.5, "floor": -3, "new": true },
    } }));
    let gateway = setup.start().await;
    let request = Request::get("/page/7?secret=1")
        .field("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .field("tracestate", "rojo=1,congo=2");
    assert_eq!(gateway.send(request).await.status, 200);
    let (trace, upstream_parent, flags) = passed_on(&origin);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_eq!(origin.last().value("tracestate"), Some("rojo=1,congo=2"));
    let request_id = origin.last().value("x-request-id").unwrap().to_owned();

    let all = receiver
        .until("the last hook", |spans| spans.iter().any(|told| told.span.name.ends_with("post-response")))
        .await;
    assert!(all.iter().all(|told| told.trace == TRACE && told.span.trace_state == "rojo=1,congo=2"), "{all:#?}");
    assert_eq!(all.iter().map(|told| &told.id).collect::<HashSet<_>>().len(), all.len(), "ids are unique");
    let server = named(&all, "GET page");
    assert_eq!((server.span.kind, server.parent.as_str()), (2, PARENT));
    let told = |key: &str| server.text(key);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(told("http.request.method"), text("GET"));
    assert_eq!(told("url.path"), text("/page/7"));
    assert_eq!(told("url.scheme"), text("http"));
    assert_eq!(told("server.address"), text("gateway.test"));
    assert_eq!(told("client.address"), text("127.0.0.1"));
    assert_eq!(told("network.protocol.version"), text("1.1"));
    assert_eq!(told("http.route"), text("/page/{id}"));
    assert_eq!(told("http.response.status_code"), text("200"));
    assert_eq!(told("portcullis.route"), text("page"));
    assert_eq!(told("portcullis.request_id"), text(&request_id));
    assert_eq!(told("portcullis.cache"), text("miss"));
    assert_eq!(told("error.type"), None);
    assert!(!server.failed());
    assert_eq!(server.span.flags & 0x3ff, 0x301, "sampled, and its parent is known to be another's");

    let hooks = ["pre-route", "pre-handler", "cache-key", "cache-admit", "post-handler", "post-response"];
    for hook in hooks {
        let span = named(&all, &format!("plugin trace-order {hook}"));
        assert_eq!((span.span.kind, &span.parent), (1, &server.id), "{hook}");
        assert!(span.text("portcullis.fuel").unwrap().parse::<u64>().unwrap() > 0, "{hook}");
    }
    let (lookup, client) = (named(&all, "cache lookup"), named(&all, "GET origin"));
    assert_eq!((lookup.span.kind, &lookup.parent), (1, &server.id));
    assert_eq!((client.span.kind, &client.parent), (3, &server.id));
    assert_eq!(client.id, upstream_parent, "the upstream was told of the span that asked it");
    assert_eq!(client.text("portcullis.upstream"), text("origin"));
    assert_eq!(client.text("portcullis.endpoint"), text(&origin.address().to_string()));
    assert_eq!(client.text("server.port"), text(&origin.address().port().to_string()));
    assert_eq!(client.text("http.response.status_code"), text("200"));
    assert_eq!((client.text("portcullis.connection"), client.text("http.request.resend_count")), (text("new"), None));
    assert_eq!(all.len(), 3 + hooks.len());

    // One after the other, and all within the exchange but what comes after it.
    let mut at = server.span.start_time_unix_nano;
    for name in [
        "plugin trace-order pre-route",
        "plugin trace-order pre-handler",
        "plugin trace-order cache-key",
        "cache lookup",
        "GET origin",
        "plugin trace-order cache-admit",
        "plugin trace-order post-handler",
    ] {
        let span = &named(&all, name).span;
        assert!(span.start_time_unix_nano >= at && span.end_time_unix_nano >= span.start_time_unix_nano, "{name}");
        assert!(span.end_time_unix_nano <= server.span.end_time_unix_nano, "{name}");
        at = span.end_time_unix_nano;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!((now - 120_000_000_000..=now).contains(&server.span.start_time_unix_nano));

    let resource = receiver.resources().remove(0);
    let told = |key| attribute(&resource.attributes, key).unwrap();
    assert_eq!((told("service.name"), told("deployment.environment.name")), ("edge".into(), "test".into()));
    assert_eq!((told("weight"), told("floor"), told("new")), ("2.5".into(), "-3".into(), "true".into()));
    let logs = gateway.stop().await;
    assert!(!logs.text().contains("hush"));
}

#[tokio::test]
async fn a_hit_has_no_span_of_an_upstream_and_a_trace_begins_where_none_came() {
    let receiver = Receiver::http().await;
    let origin = Origin::start(|_| Reply::ok("hello").field("cache-control", "max-age=60")).await;
    let setup = Setup::to(&origin).route(json!({ "name": "all", "proxy": { "upstream": "origin" }, "cache": true }));
    let gateway = traced(setup, &receiver, json!({})).start().await;
    gateway.get("/").await;
    let (trace, _, flags) = passed_on(&origin);
    assert_eq!(flags, "01");
    gateway.get("/").await;
    assert_eq!(origin.seen().len(), 1);
    let all = receiver.until("two exchanges", |spans| servers(spans).len() == 2).await;
    let first: Vec<_> = all.iter().filter(|told| told.trace == trace).cloned().collect();
    let second: Vec<_> = all.iter().filter(|told| told.trace != trace).cloned().collect();
    assert_eq!((first.len(), second.len()), (3, 2), "{all:#?}");
    assert_eq!(named(&first, "GET all").parent, "");
    assert_eq!(named(&second, "GET all").text("portcullis.cache").unwrap(), "hit");
    assert_eq!(named(&second, "cache lookup").parent, named(&second, "GET all").id);
}

#[tokio::test]
async fn what_is_malformed_begins_a_new_trace_and_goes_no_further() {
    let receiver = Receiver::http().await;
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin), &receiver, json!({})).start().await;
    let upper = format!("00-{}-{PARENT}-01", TRACE.to_uppercase());
    let long = format!("00-{TRACE}-{PARENT}-01-more");
    for bad in ["", "nonsense", &upper, &long, "00-00000000000000000000000000000000-0000000000000000-01"] {
        let request = Request::get("/").field("traceparent", bad).field("tracestate", "a=1");
        assert_eq!(gateway.send(request).await.status, 200);
        let (trace, ..) = passed_on(&origin);
        assert!(!trace.eq_ignore_ascii_case(TRACE), "{bad}");
        assert_eq!(origin.last().value("tracestate"), None, "{bad}");
    }
    let twice = context("01").field("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    gateway.send(twice).await;
    assert_ne!(passed_on(&origin).0, TRACE);
    // One from the future goes on in our version.
    let later = Request::get("/").field("traceparent", format!("cc-{TRACE}-{PARENT}-01-future"));
    gateway.send(later).await;
    assert_eq!(passed_on(&origin).0, TRACE);
}

#[tokio::test]
async fn without_configuration_the_context_passes_by_untouched() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).start().await;
    gateway.send(Request::get("/").field("traceparent", "anything").field("tracestate", "=")).await;
    assert_eq!((origin.last().value("traceparent"), origin.last().value("tracestate")), (Some("anything"), Some("=")));
    assert_eq!(gateway.metric("portcullis_spans_exported_total").await, None);
}

#[tokio::test]
async fn ratio_route_parent_errors_and_slowness_decide_what_is_kept() {
    let receiver = Receiver::http().await;
    let slow = Gate::new();
    let held = slow.clone();
    let origin = Origin::start(move |seen| match seen.target.as_str() {
        "/broken" => Reply::new(500, "no"),
        "/missing" => Reply::new(404, "no"),
        "/slow" => Reply::ok("at last").behind(&held),
        _ => Reply::ok("hello"),
    })
    .await;
    let setup = Setup::to(&origin)
        .upstream("gone", "127.0.0.1:1".parse().unwrap())
        .route(json!({ "name": "all", "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "always", "match": { "path": "/always" }, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "gone", "match": { "path": "/gone" }, "proxy": { "upstream": "gone" } }));
    let sample = json!({ "ratio": 0, "routes": { "always": 1 }, "slower_than_ms": 300 });
    let gateway = traced(setup, &receiver, json!({ "sample": sample })).start().await;
    gateway.get("/").await;
    assert_eq!(passed_on(&origin).2, "00", "the upstream is told that nobody keeps this");
    gateway.get("/missing").await;
    gateway.send(context("00")).await;
    gateway.get("/broken").await;
    gateway.get("/gone").await;
    gateway.get("/always").await;
    assert_eq!(passed_on(&origin).2, "01", "the route decides before the upstream is asked");
    gateway.send(context("01")).await;
    let waiting = gateway.get("/slow");
    let opening = async {
        origin.wait_for(7).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        slow.open();
    };
    tokio::join!(waiting, opening);
    gateway.get("/").await;

    let kept = receiver.exchanges(5).await;
    let paths: Vec<_> = kept.iter().map(|told| told.text("url.path").unwrap()).collect();
    assert_eq!(paths, ["/broken", "/gone", "/always", "/", "/slow"]);
    let errors: Vec<_> = kept.iter().map(|told| (told.failed(), told.text("error.type"))).collect();
    let text = |text: &str| Some(text.to_owned());
    let none = (false, None);
    assert_eq!(errors, [(true, text("500")), (true, text("upstream_connect")), none.clone(), none.clone(), none]);
    let all = receiver.spans();
    let refused = all.iter().find(|told| told.span.name == "GET gone" && told.span.kind == 3).unwrap();
    assert_eq!((refused.text("error.type"), refused.failed()), (text("upstream_connect"), true));
    // Nothing more comes.
    let logs = gateway.stop().await;
    assert_eq!(servers(&receiver.spans()).len(), 5, "{}", logs.text());
}

#[tokio::test]
async fn clients_need_not_be_trusted() {
    let receiver = Receiver::http().await;
    let origin = Origin::saying("hello").await;
    let ratio_decides = json!({ "sample": { "ratio": 0, "parent": "ignore", "errors": false } });
    let gateway = traced(Setup::to(&origin), &receiver, ratio_decides).start().await;
    gateway.send(context("01")).await;
    let (trace, _, flags) = passed_on(&origin);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));

    gateway.patch_config(&json!({ "tracing": { "incoming": "ignore", "sample": { "ratio": 1 } } }));
    let changed = || async {
        gateway.send(context("00").field("tracestate", "a=1")).await;
        (passed_on(&origin).2 == "01").then_some(())
    };
    eventually("the other configuration", changed).await;
    assert_ne!(passed_on(&origin).0, TRACE);
    assert_eq!(origin.last().value("tracestate"), None);
    let kept = receiver.exchanges(1).await;
    assert!(kept.iter().all(|told| told.parent.is_empty() && told.trace != TRACE));
}

#[tokio::test]
async fn plugins_that_fail_and_answer_are_in_the_trace() {
    let receiver = Receiver::http().await;
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).guest("trap-in", json!({ "hook": "pre-handler" }));
    let gateway = traced(setup, &receiver, json!({ "sample": { "ratio": 0 } })).start().await;
    assert_eq!(gateway.get("/").await.status, 500);
    let kept = receiver.exchanges(1).await;
    assert_eq!(kept[0].text("error.type").unwrap(), "plugin_failed");
    let all = receiver.spans();
    assert!(named(&all, "plugin trap-in pre-handler").failed());
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn who_does_not_wait_for_the_response_leaves_a_span() {
    let receiver = Receiver::http().await;
    let origin = Origin::start(|_| Reply::silence()).await;
    let setup = Setup::to(&origin).guest("trace-order", json!({ "label": "a" }));
    let gateway = traced(setup, &receiver, json!({})).start().await;
    let mut client = gateway.connect().await;
    client.write("GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    origin.wait_for(1).await;
    drop(client);
    let all = receiver
        .until("the last hook", |spans| spans.iter().any(|told| told.span.name.ends_with("post-response")))
        .await;
    let (server, asked) = (named(&all, "GET all"), named(&all, "GET origin"));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        (server.text("http.response.status_code"), server.text("error.type")),
        (text("499"), text("client_gone"))
    );
    assert_eq!((asked.text("error.type"), &asked.parent), (text("client_gone"), &server.id));
    assert!(!server.failed() && !asked.failed(), "it is nobody's error but the client's");
    assert!(asked.span.end_time_unix_nano <= server.span.end_time_unix_nano);
    // And what the gateway would not have kept is not kept for it.
    gateway.patch_config(&json!({ "tracing": { "sample": { "ratio": 0 } } }));
    let generation = "portcullis_configuration_serving_generation";
    eventually("the change", || async { (gateway.metric(generation).await == Some(2.0)).then_some(()) }).await;
    let mut client = gateway.connect().await;
    client.write("GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    origin.wait_for(2).await;
    drop(client);
    let aborted = "portcullis_worker_requests_aborted_total{worker=\"0\"}";
    eventually("the abort", || async { (gateway.metric(aborted).await == Some(2.0)).then_some(()) }).await;
    gateway.stop().await;
    assert_eq!(servers(&receiver.spans()).len(), 1);
}

#[tokio::test]
async fn a_receiver_in_any_mood_delays_nobody_and_gets_everything_in_the_end() {
    let receiver = Receiver::http().await;
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin), &receiver, json!({ "otlp": { "timeout_ms": 500 } })).start().await;
    let later = Mood::Http(429, vec![("retry-after", "1".to_owned())]);
    receiver.moods([
        Mood::Silence,
        Mood::Bytes(
            "SSH-2.0-nonsense

",
        ),
        later,
    ]);
    let mut client = gateway.connect().await;
    let mut slowest = Duration::ZERO;
    for number in 0..200 {
        let started = Instant::now();
        assert_eq!(client.send(&Request::get(&format!("/{number}"))).await.status, 200);
        slowest = slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // No request waits for a receiver that takes half a second to be given up.
    assert!(slowest < Duration::from_millis(400), "{slowest:?}");
    let all = receiver.exchanges(200).await;
    let paths: HashSet<_> = all.iter().map(|told| told.text("url.path").unwrap()).collect();
    assert_eq!((all.len(), paths.len()), (200, 200), "each once");
    assert_eq!(gateway.metric("portcullis_spans_export_retries_total").await, Some(3.0));
    assert_eq!(gateway.metric("portcullis_spans_dropped_total{reason=\"queue_full\"}").await, Some(0.0));
    let logs = gateway.logs();
    assert_eq!(logs.count(&["spans cannot be exported"]), 1, "{}", logs.text());
    assert_eq!(logs.count(&["spans are exported again"]), 1);

    // What it does not want is not sent again.
    receiver.moods([Mood::Http(400, Vec::new())]);
    gateway.get("/unwanted").await;
    let dropped = "portcullis_spans_dropped_total{reason=\"rejected\"}";
    eventually("spans that are refused", || async { (gateway.metric(dropped).await == Some(2.0)).then_some(()) }).await;
}

#[tokio::test]
async fn a_receiver_of_grpc_is_asked_again_where_it_says_so() {
    let receiver = Receiver::grpc().await;
    let origin = Origin::saying("hello").await;
    let setup = traced(Setup::to(&origin), &receiver, json!({ "otlp": { "protocol": "grpc", "compression": "gzip" } }));
    let gateway = setup.start().await;
    use tonic::Code::{InvalidArgument, ResourceExhausted, Unavailable};
    receiver.moods([Unavailable, ResourceExhausted, InvalidArgument].map(Mood::Grpc));
    gateway.get("/lost").await;
    let dropped = "portcullis_spans_dropped_total{reason=\"rejected\"}";
    eventually("spans that are refused", || async { (gateway.metric(dropped).await == Some(2.0)).then_some(()) }).await;
    gateway.get("/kept").await;
    let kept = receiver.exchanges(1).await;
    assert_eq!((kept.len(), kept[0].text("url.path").unwrap().as_str()), (1, "/kept"));
    assert_eq!(gateway.metric("portcullis_spans_export_retries_total").await, Some(2.0));
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_a_bounded_number_of_spans() {
    let receiver = Receiver::http().await;
    receiver.always(Some(Mood::Silence));
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin), &receiver, json!({ "queue_max": 512 })).start().await;
    let mut client = gateway.connect().await;
    let send = async |client: &mut portcullis_tests::Client, count: usize| {
        for _ in 0..count {
            assert_eq!(client.send(&Request::get("/")).await.status, 200);
        }
    };
    send(&mut client, 300).await;
    receiver.asked(1).await;
    send(&mut client, 1500).await;
    let pending = gateway.metric("portcullis_spans_pending").await.unwrap();
    let dropped = gateway.metric("portcullis_spans_dropped_total{reason=\"queue_full\"}").await.unwrap();
    // One box and what is under way.
    assert!((512.0..=1024.0).contains(&pending), "{pending}");
    assert_eq!(pending + dropped, 3600.0, "two for each exchange");
    // It ends in time all the same.
    let started = Instant::now();
    gateway.stop().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn nothing_is_lost_when_the_gateway_drains() {
    let origin = Origin::saying("hello").await;
    for (receiver, protocol) in [(Receiver::http().await, "http"), (Receiver::grpc().await, "grpc")] {
        let setup = traced(Setup::to(&origin), &receiver, json!({ "otlp": { "protocol": protocol } }));
        drain(&setup.patch(&json!({ "workers": 2 })), &receiver).await;
    }
}

async fn drain(setup: &Setup, receiver: &Receiver) {
    let gateway: Gateway = setup.start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(gateway.connect().await);
    }
    for _ in 0..100 {
        for client in &mut clients {
            assert_eq!(client.send(&Request::get("/")).await.status, 200);
        }
    }
    drop(clients);
    gateway.stop().await;
    assert_eq!(servers(&receiver.spans()).len(), 400);
}

#[tokio::test]
async fn another_receiver_takes_over_without_a_restart() {
    let (dead, receiver) = (Receiver::http().await, Receiver::http().await);
    dead.always(Some(Mood::Http(503, Vec::new())));
    let origin = Origin::saying("hello").await;
    let gateway = traced(Setup::to(&origin), &dead, json!({})).start().await;
    gateway.get("/first").await;
    dead.asked(1).await;
    gateway.patch_config(&json!({ "tracing": { "otlp": { "endpoint": receiver.url() } } }));
    // What the other did not take is this one's.
    let kept = receiver.exchanges(1).await;
    assert_eq!(kept[0].text("url.path").unwrap(), "/first");
    gateway.get("/second").await;
    assert_eq!(receiver.exchanges(2).await.len(), 2);
}

#[tokio::test]
async fn what_is_fetched_anew_in_the_background_belongs_to_the_trace_that_set_it_off() {
    let receiver = Receiver::http().await;
    let origin =
        Origin::start(|_| Reply::ok("hello").field("cache-control", "max-age=0, stale-while-revalidate=60")).await;
    let setup = Setup::to(&origin).route(json!({ "name": "all", "proxy": { "upstream": "origin" }, "cache": true }));
    let gateway = traced(setup, &receiver, json!({})).start().await;
    gateway.get("/").await;
    gateway.get("/").await;
    origin.wait_for(2).await;
    let (trace, parent, _) = passed_on(&origin);
    let all = receiver
        .until("two requests upstream", |spans| spans.iter().filter(|told| told.span.kind == 3).count() == 2)
        .await;
    let background: Vec<_> = all.iter().filter(|told| told.trace == trace).cloned().collect();
    let asked = named(&background, "GET origin");
    assert_eq!((&asked.id, &asked.parent), (&parent, &named(&background, "GET all").id));
}

#[test]
fn check_knows_a_good_tracing_from_a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    let check = |tracing: Value| {
        let setup = Setup::new().route(json!({ "name": "all", "respond": { "body": "x" } }));
        let config = setup.patch(&json!({ "tracing": tracing })).config();
        std::fs::write(folder.path().join("c.json"), config.to_string()).unwrap();
        portcullis(folder.path(), &["check", "--config", "c.json"])
    };
    let good = check(
        json!({ "otlp": { "endpoint": "https://[::1]:4317/", "protocol": "grpc" }, "sample": { "routes": { "all": 0.5 } } }),
    );
    assert_eq!(good.code, Some(0), "{}", good.text());
    let bad = check(
        json!({ "otlp": { "endpoint": "http://me:hush@a:1", "headers": { "x": "hush\u{1}" } }, "sample": { "routes": { "al": 1 } } }),
    );
    assert_eq!(bad.code, Some(1), "{}", bad.text());
    for words in ["tracing.otlp.endpoint", "tracing.otlp.headers.x", "did you mean \"all\"?"] {
        assert!(bad.text().contains(words), "{words}: {}", bad.text());
    }
    assert!(!bad.text().contains("hush"), "{}", bad.text());
}
