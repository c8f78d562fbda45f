//! What Server-Timing shows for which configuration. The parts that need no gateway; plugins are shown in the end-to-end tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use portcullis_sdk::Timings;
use portcullis_sdk::serde_json::{self, Value, json};

use crate::config::{Config, Existing};
use crate::series::Series;
use crate::server_timing::Line;
use crate::slow::Slow;

fn config(config: Value) -> Config {
    serde_json::from_value(config).unwrap()
}

/// The header for an exchange with a miss, without plugins.
fn header(server_timing: Value) -> Result<Option<String>, String> {
    let config = config(json!({ "server_timing": server_timing }));
    let line = Line::new(&config.server_timing).map_err(|error| error.message().to_owned())?;
    let timings = Timings { elapsed: 2_003_400, routing: 1_000, cache: 0, upstream: 1_500_000, plugins: 9 };
    Ok(line.map(|line| {
        let mut text = Vec::new();
        line.write_parts(&timings, &mut text);
        line.write_total(&timings, &mut text);
        String::from_utf8(text).unwrap()
    }))
}

#[track_caller]
fn check(server_timing: Value, expected: Option<&str>) {
    assert_eq!(header(server_timing).unwrap().as_deref(), expected);
}

#[test]
fn what_happened_is_shown_under_its_name() {
    check(json!(true), Some("routing;dur=0.001, upstream;dur=1.500, total;dur=2.003"));
    check(json!({}), Some("routing;dur=0.001, upstream;dur=1.500, total;dur=2.003"));
    check(json!({ "routing": false, "upstream": "origin" }), Some("origin;dur=1.500, total;dur=2.003"));
    check(json!({ "others": false, "total": "gw" }), Some("gw;dur=2.003"));
}

#[test]
fn nothing_shown_is_no_header() {
    check(json!(false), None);
    check(json!({ "others": false }), None);
    check(json!({ "others": false, "cache": true }), Some(""));
}

#[test]
fn a_name_that_is_not_a_token_is_refused() {
    assert!(header(json!({ "total": "a b" })).unwrap_err().contains("`a b` is not a token"));
    assert!(header(json!({ "total": "" })).unwrap_err().contains("a name is empty"));
    assert!(header(json!({ "plugins": "p;" })).unwrap_err().contains("`p;` is not a token"));
    assert!(header(json!({ "plugins": "p-" })).is_ok());
}

#[test]
fn defaults_are_server_timing_and_metrics() {
    let config = config(json!({}));
    assert!(Line::new(&config.server_timing).unwrap().is_some());
    assert!(Series::new(&config.metrics).unwrap().is_some());
    assert_eq!(config.response_time.name("x"), None);
    assert_eq!(config.existing, Existing::Append);
    assert_eq!(Slow::new(config.slow.as_ref()), None);
}

#[test]
fn buckets_ascend() {
    let of = |buckets: Value| Series::new(&config(json!({ "metrics": { "buckets_ms": buckets } })).metrics).is_ok();
    assert!(of(json!([1, 2.5, 10])));
    assert!(!of(json!([1, 1])));
    assert!(!of(json!([10, 1])));
}

#[test]
fn unknown_keys_are_refused() {
    for wrong in
        [json!({ "slow": { "threshold": 1 } }), json!({ "server-timing": true }), json!({ "metrics": { "a": 1 } })]
    {
        assert!(serde_json::from_value::<Config>(wrong).is_err());
    }
}
