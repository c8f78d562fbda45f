//! What a call into a plugin costs: one hook, warm and in a fresh instance, and the whole chain of four plugins.
//!
//! Scenario: one thread, one exchange after the other, everything warm. Compare runs of one machine only.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::plugin::{InstanceMode, Lane, Visit};
use portcullis_benches::{exchange, lane, services};
use serde_json::json;

/// An HS256 token for the secret of the bench's configuration: iss "lab", sub "user-0001", aud "api", exp 4102444800.
const SECRET: &str = "lab-only-hs256-secret-0123456789";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsYWIiLCJzdWIiOiJ1c2VyLTAwMDEiLCJhdWQiOiJhcGkiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMCwic2NvcGUiOiJyZWFkIHdyaXRlIn0";

fn one_hook(criterion: &mut Criterion) {
    let services = services();
    let mut group = criterion.benchmark_group("one hook");
    for (label, mode) in [("reuse", InstanceMode::Reuse), ("per_request", InstanceMode::PerRequest)] {
        let lane = lane(&services, "hello.wasm", json!({}), mode);
        let mut exchange = exchange(&[]);
        group.bench_function(label, |bencher| {
            bencher.iter(|| lane.post_handler(&mut exchange, &mut Visit::default()).unwrap());
        });
    }
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let services = services();
    let reuse = InstanceMode::Reuse;
    let jwt = lane(&services, "jwt_auth.wasm", jwt_config(), reuse);
    let after: Vec<Lane> = [
        (
            "smart_cache.wasm",
            json!({ "cache_control": [{ "path": "/api/*", "value": "private, max-age=0, must-revalidate" }] }),
        ),
        ("security_headers.wasm", json!({})),
        ("response_timing.wasm", json!({})),
    ]
    .into_iter()
    .map(|(file, config)| lane(&services, file, config, reuse))
    .collect();
    let mut exchange = exchange(&[("authorization", format!("Bearer {TOKEN}.{}", signature()))]);
    let mut group = criterion.benchmark_group("plugin");
    group.bench_function("jwt-auth", |bencher| {
        bencher.iter(|| jwt.pre_handler(&mut exchange, &mut Visit::default()).unwrap());
    });
    for lane in &after {
        group.bench_function(lane.loaded().name.as_str(), |bencher| {
            bencher.iter(|| lane.post_handler(&mut exchange, &mut Visit::default()).unwrap());
        });
    }
    group.bench_function("all four", |bencher| {
        bencher.iter(|| {
            let mut visit = Visit::default();
            jwt.pre_handler(&mut exchange, &mut visit).unwrap();
            for lane in &after {
                lane.post_handler(&mut exchange, &mut visit).unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, one_hook, chain);
criterion_main!(benches);
