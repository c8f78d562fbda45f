//! What a line of the access log costs the worker that writes it.
//!
//! Scenario: one thread, JSON with the default fields, an exchange that was proxied; blocks go to `/dev/null`. Compare runs of one machine only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot run says so and ends")]
#![allow(missing_docs, reason = "criterion makes the functions")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::StatusCode;
use portcullis::telemetry::access::{Field, Format, REDACTED_HEADERS, REDACTED_QUERY, Rotation, Settings, Target};
use portcullis::telemetry::{End, Records};
use portcullis_benches::exchange;

fn settings(format: Format) -> Settings {
    Settings {
        to: Target::File { path: "/dev/null".into(), rotation: Rotation::default() },
        format,
        only: None,
        redact_headers: REDACTED_HEADERS.iter().map(|name| name.parse().unwrap()).collect(),
        redact_query: REDACTED_QUERY.map(Into::into).to_vec(),
        without: Vec::new(),
    }
}

fn a_line(criterion: &mut Criterion) {
    let mut exchange = exchange(&[]);
    exchange.route = Some("api".parse().unwrap());
    exchange.request.target = "/api/items?id=7&page=2".parse().unwrap();
    exchange.timings.upstream = Duration::from_micros(700);
    exchange.timings.add_plugin(3, Duration::from_micros(41));
    exchange.delivery.upstream = Some("origin".parse().unwrap());
    exchange.delivery.endpoint = Some(Rc::new("127.0.0.1:9000"));
    let end = End {
        route: Some(0),
        status: StatusCode::OK,
        body_bytes: 1234,
        head: Some(Duration::from_micros(900)),
        duration: Duration::from_micros(1250),
        complete: true,
    };
    let mut group = criterion.benchmark_group("a line of the access log");
    let all = Format::Json(Field::DEFAULT.iter().map(|name| name.parse().unwrap()).collect());
    let mut measure = |label: &str, settings: Option<Settings>| {
        let records = Arc::new(Records::default());
        let opened = records.access().open(settings.as_ref()).unwrap();
        records.access().adopt(settings.as_ref(), opened, vec![(3, "jwt-auth".parse().unwrap())]).unwrap();
        let recorder = records.recorder();
        group.bench_function(label, |bencher| bencher.iter(|| recorder.ended(&exchange, &end)));
        drop(recorder);
        records.access().flush();
    };
    measure("off", None);
    measure("JSON, default fields", Some(settings(all)));
    measure("JSON, status alone", Some(settings(Format::Json(vec![Field::Status]))));
    group.finish();
}

criterion_group!(benches, a_line);
criterion_main!(benches);
