//! What a call into a plugin costs: one hook, warm and in a fresh instance, and the chain of four plugins of the peer lab's S2.
//!
//! Scenario: one thread, one exchange after the other, everything warm. Compare runs of one machine only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot run says so and ends"
)]
#![allow(missing_docs, reason = "criterion makes the functions")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::exchange::Held;
use portcullis::plugin::crypto::{Algorithm, Key, KeySource};
use portcullis::plugin::{InstanceMode, Lane, Visit};
use portcullis_benches::{exchange, lane, services};
use serde_json::{Value, json};

const SECRET: &str = "lab-only-hs256-secret-0123456789";

/// An HS256 token like the peer lab's.
fn token() -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims =
        r#"{"iss":"lab","sub":"user-0001","aud":"api","iat":1700000000,"exp":4102444800,"scope":"read write"}"#;
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = Key::import(KeySource::Secret(SECRET.as_bytes()), Algorithm::Hs256).unwrap();
    let signature = key.hmac(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The chain of `benches/peers/s2.portcullis.json`, in the order in which it is called.
fn configurations() -> [(&'static str, Value); 4] {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/s2.portcullis.json");
    let text = std::fs::read_to_string(path).unwrap().replace("@@SECRET@@", SECRET).replace("@@ISSUER@@", "lab");
    let document: Value = serde_json::from_str(&text).unwrap();
    let chain = document["plugins"]["chain"].as_array().unwrap().clone();
    ["jwt-auth", "smart-cache", "security-headers", "response-timing"].map(|name| {
        let entry = chain.iter().find(|entry| entry["plugin"] == name).expect("the chain of S2 has it");
        (name, entry["config"].clone())
    })
}

/// It waits only for passwords to be tried, of which there are none.
fn pre_handler(lane: &Lane, exchange: &mut Held, visit: &mut Visit) {
    let called = pin!(lane.pre_handler(exchange, visit));
    let Poll::Ready(verdict) = called.poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
    verdict.unwrap();
}

fn post_handler(lane: &Lane, exchange: &mut Held, visit: &mut Visit) {
    lane.post_handler(exchange, visit).unwrap();
}

fn one_hook(criterion: &mut Criterion) {
    let services = services();
    let mut group = criterion.benchmark_group("one hook");
    for (label, mode) in [("reuse", InstanceMode::Reuse), ("per_request", InstanceMode::PerRequest)] {
        let lane = lane(&services, "hello.wasm", json!({}), mode);
        let mut exchange = exchange(&[]);
        group.bench_function(label, |bencher| {
            bencher.iter(|| post_handler(&lane, &mut exchange, &mut Visit::default()));
        });
    }
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let services = services();
    let lanes: Vec<Lane> = configurations()
        .into_iter()
        .map(|(name, config)| lane(&services, &format!("{}.wasm", name.replace('-', "_")), config, InstanceMode::Reuse))
        .collect();
    let (jwt, after) = lanes.split_first().unwrap();
    let mut exchange = exchange(&[("authorization", format!("Bearer {}", token()))]);
    let mut group = criterion.benchmark_group("plugin");
    group.bench_function("jwt-auth", |bencher| {
        bencher.iter(|| pre_handler(jwt, &mut exchange, &mut Visit::default()));
    });
    for lane in after {
        group.bench_function(lane.loaded().name.as_str(), |bencher| {
            bencher.iter(|| post_handler(lane, &mut exchange, &mut Visit::default()));
        });
    }
    group.bench_function("all four", |bencher| {
        bencher.iter(|| {
            let mut visit = Visit::default();
            pre_handler(jwt, &mut exchange, &mut visit);
            for lane in after {
                post_handler(lane, &mut exchange, &mut visit);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, one_hook, chain);
criterion_main!(benches);
