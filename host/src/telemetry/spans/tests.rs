//! From the fields of a request to the spans in the boxes: what a worker does, without a receiver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::outbox::{BATCH_SPANS, Shared};
use super::protobuf::{Reader, Value};
use super::*;
use crate::exchange::{Asked, Call, Client, Exchange, Part, Reason, Request, Sampled};
use crate::names::{Hook, Name};
use crate::telemetry::End;
use crate::time;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn settings(ratio: f64) -> Settings {
    Settings {
        otlp: Otlp {
            host: "127.0.0.1".to_owned(),
            port: 4318,
            path: "/v1/traces".to_owned(),
            protocol: Protocol::Http,
            tls: None,
            headers: Secrets::new([(http::header::AUTHORIZATION, HeaderValue::from_static("hush"))]),
            timeout: Duration::from_secs(1),
            compression: Compression::None,
        },
        resource: vec![("service.name".to_owned(), Attribute::Text("edge".to_owned()))],
        sampling: Sampling {
            ratio: Ratio::new(ratio),
            routes: BTreeMap::new(),
            parent: Follow::Parent,
            errors: Errors::Sampled,
            slower_than: None,
        },
        incoming: IncomingTrace::Trust,
        queue_max: 1024,
    }
}

/// A worker's traces under these settings.
fn tracer(settings: Settings) -> (Tracer, Arc<Shared>) {
    let shared = Arc::new(Shared::default());
    shared.limit(settings.queue_max, 1);
    let tracer = Tracer::new(shared.open());
    let plugins = [(7, "auth".parse::<Name>().unwrap())];
    tracer.adopt(Some(&Arc::new(settings)), plugins.into_iter(), std::iter::empty());
    (tracer, shared)
}

fn exchange(tracer: &Tracer, lines: &[(&'static str, &str)]) -> Exchange {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    let trace = tracer.begin(&mut headers);
    let now = time::now();
    let client = Client::new("192.0.2.1:1".parse().unwrap(), "192.0.2.2:80".parse().unwrap(), None);
    Exchange {
        route: Some("page".parse().unwrap()),
        trace,
        ..Exchange::new(
            HeaderValue::from_static("id"),
            now,
            Arc::new(client),
            Request {
                method: Method::GET,
                authority: "a.example:81".into(),
                target: PathAndQuery::from_static("/p?q"),
                headers,
                version: Version::HTTP_11,
                upgrade: None,
            },
        )
    }
}

fn end(status: u16) -> End {
    End {
        route: Some(0),
        status: StatusCode::from_u16(status).unwrap(),
        body_bytes: 5,
        head: Some(Duration::from_millis(1)),
        duration: Duration::from_millis(2),
        complete: true,
    }
}

fn parent_of(exchange: &Exchange) -> &str {
    exchange.request.headers["traceparent"].to_str().unwrap()
}

#[test]
fn without_configuration_nothing_happens() {
    let shared = Arc::new(Shared::default());
    let tracer = Tracer::new(shared.open());
    let mut exchange = exchange(&tracer, &[("traceparent", "x"), ("tracestate", "y")]);
    assert!(exchange.trace.is_none());
    assert_eq!((parent_of(&exchange), exchange.request.headers.len()), ("x", 2));
    tracer.routed(&mut exchange);
    tracer.ended(&exchange, &end(500));
    assert_eq!(shared.pending(), 0);
}

#[test]
fn what_is_not_kept_costs_no_steps() {
    let (tracer, shared) = tracer(settings(0.0));
    let mut exchange = exchange(&tracer, &[]);
    exchange.lap_of(Part::Cache, time::now());
    let trace = exchange.trace.as_ref().unwrap();
    assert!(!trace.keeps_steps() && trace.steps().is_empty() && !trace.is_sampled());
    assert!(parent_of(&exchange).ends_with("-00") && parent_of(&exchange).contains(trace.trace_id().as_str()));
    tracer.ended(&exchange, &end(500));
    assert_eq!(shared.pending(), 0);
}

#[test]
fn a_route_decides_unless_the_parent_has() {
    let route = |ratio: f64| BTreeMap::from([("page".parse().unwrap(), Ratio::new(ratio))]);
    let with = |ratio, on_route| {
        let mut settings = settings(ratio);
        settings.sampling.routes = route(on_route);
        tracer(settings)
    };
    let (tracer, _) = with(0.0, 1.0);
    let mut kept = exchange(&tracer, &[]);
    kept.lap_of(Part::Cache, time::now());
    assert!(parent_of(&kept).ends_with("-00"));
    tracer.routed(&mut kept);
    assert!(parent_of(&kept).ends_with("-01"));
    assert_eq!(kept.trace.as_ref().unwrap().steps().len(), 1, "what came before the route is not lost");

    let mut told = exchange(&tracer, &[("traceparent", &PARENT.replace("-01", "-00"))]);
    tracer.routed(&mut told);
    assert_eq!(told.trace.as_ref().unwrap().sampled, Sampled::No);

    let mut rewritten = exchange(&tracer, &[]);
    rewritten.request.headers.insert("traceparent", HeaderValue::from_static("by a plugin"));
    tracer.routed(&mut rewritten);
    assert_eq!(parent_of(&rewritten), "by a plugin");

    let (tracer, _) = with(1.0, 0.0);
    let mut dropped = exchange(&tracer, &[]);
    tracer.routed(&mut dropped);
    assert!(parent_of(&dropped).ends_with("-00"));
    assert!(!dropped.trace.unwrap().keeps_steps());
}

#[test]
fn a_box_that_is_full_loses_the_oldest_and_counts_it() {
    let (tracer, shared) = tracer(settings(1.0));
    let exchange = exchange(&tracer, &[]);
    for status in [500; 6].into_iter().chain([200; 1024]) {
        tracer.ended(&exchange, &end(status));
    }
    assert_eq!((shared.pending(), shared.counts.overflowed.value()), (1024, 6));
    let mut taken = Vec::new();
    shared.take(&mut taken, BATCH_SPANS);
    let went_well = |report: &report::Report| report.facts.as_ref().is_some_and(|facts| facts.status == StatusCode::OK);
    assert!(taken.iter().all(went_well), "what came last is there");
    assert_eq!((taken.len(), shared.waiting(), shared.pending()), (1024, 0, 1024), "held is not gone");
    tracer.ended(&exchange, &end(200));
    assert_eq!(shared.pending(), 1025);
    shared.settle(1024);
    assert_eq!(shared.pending(), 1);
}

#[test]
fn memory_is_bounded_whatever_the_request_says() {
    let (tracer, shared) = tracer(settings(1.0));
    let long = "x".repeat(8000);
    let mut exchange = exchange(&tracer, &[("user-agent", &long)]);
    exchange.request.target = format!("/{long}").parse().unwrap();
    exchange.request.authority = long.as_str().into();
    for _ in 0..1000 {
        exchange.lap_of(Part::Cache, time::now());
    }
    assert_eq!(exchange.trace.as_ref().unwrap().steps().len(), 256);
    tracer.ended(&exchange, &end(200));
    let mut taken = Vec::new();
    shared.take(&mut taken, 1);
    let (message, told, spans) = encode::request(b"", &taken, &ids::Ids::default());
    assert_eq!((told, spans), (1, 257));
    assert!(message.len() < 30_000, "{}", message.len());
}

#[test]
fn requests_have_an_end() {
    let (tracer, shared) = tracer(Settings { queue_max: 1_000_000, ..settings(1.0) });
    let exchange = exchange(&tracer, &[]);
    for _ in 0..5000 {
        tracer.ended(&exchange, &end(200));
    }
    let mut taken = Vec::new();
    shared.take(&mut taken, BATCH_SPANS);
    let mut requests = Vec::new();
    while !taken.is_empty() {
        let (message, told, spans) = encode::request(b"", &taken, &ids::Ids::default());
        assert!(message.len() < 3 * 1024 * 1024);
        taken.drain(..told);
        requests.push(spans);
    }
    assert_eq!(requests, [2048, 2048, 904]);
}

/// The fields of a message with this number.
fn fields(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let found = Reader(message).filter(|(field, _)| *field == wanted);
    found.filter_map(|(_, value)| if let Value::Bytes(bytes) = value { Some(bytes) } else { None }).collect()
}

#[test]
fn spans_say_what_happened() {
    let (tracer, shared) = tracer(settings(0.0));
    let mut exchange = exchange(&tracer, &[("traceparent", PARENT)]);
    let plugin = Part::Plugin { number: 7, hook: Hook::PreHandler, fuel: 3, call: Call::Well };
    exchange.lap_of(plugin, time::now());
    let asked = Asked { outcome: Err(Reason::UpstreamTimeout), connection: None, retries: 0 };
    exchange.lap_of(Part::Upstream(asked), time::now());
    exchange.failure = Some(Reason::UpstreamTimeout);
    exchange.delivery.upstream = Some("app".parse().unwrap());
    tracer.ended(&exchange, &end(504));
    let mut taken = Vec::new();
    shared.take(&mut taken, BATCH_SPANS);
    let resource = encode::resource(&settings(0.0).resource);
    let (message, ..) = encode::request(&resource, &taken, &ids::Ids::default());
    let resource_spans = fields(&message, 1)[0];
    assert_eq!(fields(resource_spans, 1), [resource.as_slice()]);
    let spans = fields(fields(resource_spans, 2)[0], 2);
    let names: Vec<_> = spans.iter().map(|span| std::str::from_utf8(fields(span, 5)[0]).unwrap()).collect();
    assert_eq!(names, ["GET page", "plugin auth pre-handler", "GET app"]);
    let own = exchange.trace.as_ref().unwrap().span.0.to_be_bytes();
    let parents: Vec<_> = spans.iter().map(|span| fields(span, 4)[0]).collect();
    assert_eq!(parents, [&0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(), &own, &own]);
    // A status of `ERROR` for all but the plugin.
    let status: Vec<_> = spans.iter().map(|span| fields(span, 15)).collect();
    assert_eq!(status, [vec![[0x18, 2].as_slice()], vec![], vec![[0x18, 2].as_slice()]]);
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {}", settings(1.0), settings(1.0).otlp);
    assert!(shown.contains("authorization") && !shown.contains("hush"), "{shown}");
}
