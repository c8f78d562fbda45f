//! Who may register what, and that the exposition of it all parses strictly.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::thread;

use super::*;

const NONE: &[(&str, &str)] = &[];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn exposed(registry: &Registry) -> String {
    let mut out = Exposition::default();
    registry.expose(&mut out);
    let text = out.finish();
    check_format(&text);
    text
}

/// A strict reader of what `Exposition` may write: heads first, one family at a time, no sample twice, no name twice,
/// histograms cumulative and complete.
fn check_format(text: &str) {
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind, mut cumulated) = (String::new(), String::new(), 0.0);
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').unwrap().0.to_owned();
            let of_type = lines.next().unwrap().strip_prefix(&format!("# TYPE {family} ")).unwrap();
            kind = of_type.to_owned();
            assert!(["counter", "gauge", "histogram"].contains(&of_type), "{line}");
            assert!(families.insert(family.clone()), "{family} twice");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(samples.insert(series.to_owned()), "{series} twice");
        let sample = series.split('{').next().unwrap();
        let value: f64 = value.parse().unwrap();
        if kind != "histogram" {
            assert_eq!(sample, family);
        } else if sample == format!("{family}_bucket") {
            assert!(value >= cumulated, "{line}");
            cumulated = value;
        } else if sample == format!("{family}_count") {
            assert_eq!(value, cumulated, "{line}");
            cumulated = 0.0;
        } else {
            assert_eq!(sample, format!("{family}_sum"));
        }
        if let Some((_, labels)) = series.split_once('{') {
            check_labels(labels.strip_suffix('}').unwrap());
        }
    }
}

fn check_labels(mut text: &str) {
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{name}");
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        text = &rest[end.unwrap() + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

#[test]
fn the_same_name_and_labels_give_the_same_series() {
    let (registry, plugin) = (Registry::default(), name("My-Plugin.1"));
    let most = 10;
    registry.counter(&plugin, "hits_total", &[("a", "1"), ("b", "2")], most).unwrap().add(1.0);
    registry.counter(&plugin, "hits_total", &[("b", "2"), ("a", "1")], most).unwrap().add(2.5);
    registry.counter(&plugin, "hits_total", &[("a", "1"), ("b", "3")], most).unwrap().add(7.0);
    registry.gauge(&plugin, "level", NONE, most).unwrap().set(-3.0);
    let text = exposed(&registry);
    assert!(text.contains("\nportcullis_plugin_my_plugin_1_hits_total{a=\"1\",b=\"2\"} 3.5\n"), "{text}");
    assert!(text.contains("\nportcullis_plugin_my_plugin_1_hits_total{a=\"1\",b=\"3\"} 7\n"), "{text}");
    assert!(text.contains("# HELP portcullis_plugin_my_plugin_1_level Registered by the plugin My-Plugin.1.\n"));
    assert!(text.contains("\nportcullis_plugin_my_plugin_1_level -3\n"));
}

#[test]
fn each_kind_takes_only_its_own_changes() {
    let (registry, plugin) = (Registry::default(), name("p"));
    let most = 10;
    let all = [
        registry.counter(&plugin, "c", NONE, most).unwrap(),
        registry.gauge(&plugin, "g", NONE, most).unwrap(),
        registry.histogram(&plugin, "h", NONE, &[1.0], most).unwrap(),
    ];
    for series in &all {
        for amount in [2.0, -1.0, f64::NAN] {
            if !(amount.is_nan() && matches!(series, Series::Gauge(_))) {
                series.add(amount);
            }
        }
        series.observe(0.5);
        series.observe(f64::NAN);
    }
    all[0].set(9.0);
    all[2].set(9.0);
    let text = exposed(&registry);
    for line in
        ["p_c_total 2", "p_g 1", "p_h_bucket{le=\"1\"} 1", "p_h_bucket{le=\"+Inf\"} 1", "p_h_sum 0.5", "p_h_count 1"]
    {
        assert!(text.contains(&format!("portcullis_plugin_{line}\n")), "{line} in {text}");
    }
}

#[test]
fn a_name_has_one_kind_and_one_owner() {
    let (registry, mut held) = (Registry::default(), Vec::new());
    let (plugin, alike, prefix) = (name("a-b"), name("a.b"), name("a"));
    let most = 10;
    held.push(registry.counter(&plugin, "x", NONE, most).unwrap());
    held.push(registry.histogram(&plugin, "h", NONE, &[], most).unwrap());
    assert_eq!(registry.gauge(&plugin, "x", NONE, most).unwrap_err(), MetricsError::Invalid);
    assert_eq!(registry.histogram(&plugin, "x", &[("l", "v")], &[], most).unwrap_err(), MetricsError::Invalid);
    // Both are told as `x_total`.
    held.push(registry.counter(&plugin, "x_total", NONE, 2).unwrap());
    assert_eq!(registry.gauge(&plugin, "x_total", NONE, most).unwrap_err(), MetricsError::Invalid);
    held.push(registry.gauge(&plugin, "g", NONE, most).unwrap());
    assert_eq!(registry.counter(&plugin, "g", NONE, most).unwrap_err(), MetricsError::Invalid);
    assert_eq!(registry.gauge(&plugin, "h_count", NONE, most).unwrap_err(), MetricsError::Invalid);
    held.push(registry.gauge(&plugin, "y_sum", NONE, most).unwrap());
    assert_eq!(registry.histogram(&plugin, "y", NONE, &[], most).unwrap_err(), MetricsError::Invalid);
    for (other, same) in [(&alike, "x"), (&prefix, "b_x")] {
        assert_eq!(registry.counter(other, same, NONE, 10).unwrap_err(), MetricsError::Invalid);
        held.push(registry.counter(other, "own", NONE, 10).unwrap());
    }
    exposed(&registry);
}

#[test]
fn no_plugin_takes_the_names_of_ours() {
    let registry = Registry::default();
    let most = 10;
    for (plugin, taken) in
        [("calls", "total"), ("call", "duration_seconds_sum"), ("memory", "bytes"), ("fuel", "total")]
    {
        assert_eq!(registry.counter(&name(plugin), taken, NONE, most).unwrap_err(), MetricsError::Invalid, "{taken}");
        assert_eq!(registry.gauge(&name(plugin), taken, NONE, most).unwrap_err(), MetricsError::Invalid, "{taken}");
    }
    let histogram = registry.histogram(&name("call"), "duration_seconds", NONE, &[], most);
    assert_eq!(histogram.unwrap_err(), MetricsError::Invalid);
    registry.counter(&name("calls"), "made", NONE, most).unwrap();
    exposed(&registry);
}

#[test]
fn bad_names_labels_and_bounds_are_refused() {
    let (registry, plugin) = (Registry::default(), name("p"));
    let most = 1000;
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in ["", "1a", "A", "a-b", "a b", "ä", "a:b", long.as_str()] {
        assert_eq!(registry.counter(&plugin, bad, NONE, most).unwrap_err(), MetricsError::Invalid, "{bad:?}");
        assert_eq!(registry.counter(&plugin, "ok", &[(bad, "")], most).unwrap_err(), MetricsError::Invalid, "{bad:?}");
    }
    let many: Vec<_> = (0..=LABELS_MAX).map(|index| (format!("l{index}"), String::new())).collect();
    assert_eq!(registry.counter(&plugin, "ok", &many, most).unwrap_err(), MetricsError::Invalid);
    registry.counter(&plugin, "ok", &many[1..], most).unwrap();
    let long = "x".repeat(LABEL_VALUE_BYTES_MAX + 1);
    for bad in [&[("a", "1"), ("a", "2")][..], &[("__a", "1")], &[("a", &long)]] {
        assert_eq!(registry.gauge(&plugin, "ok2", bad, most).unwrap_err(), MetricsError::Invalid, "{bad:?}");
    }
    assert_eq!(registry.histogram(&plugin, "h", &[("le", "1")], &[], most).unwrap_err(), MetricsError::Invalid);
    let many: Vec<f64> = (0..=BOUNDS_MAX).map(|index| index as f64).collect();
    for bad in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[1.0, f64::INFINITY], &many] {
        assert_eq!(registry.histogram(&plugin, "h", NONE, bad, most).unwrap_err(), MetricsError::Invalid, "{bad:?}");
    }
    registry.gauge(&plugin, "evil", &[("v", "a\"b\\c\nd{}=,# TYPE")], most).unwrap();
    exposed(&registry);
}

#[test]
fn a_plugin_has_no_more_series_than_it_may() {
    let (registry, plugin, other) = (Registry::default(), name("p"), name("q"));
    let most = 2;
    let _held = registry.counter(&plugin, "a", NONE, most).unwrap();
    let _too = registry.counter(&plugin, "a", &[("l", "1")], most).unwrap();
    assert_eq!(registry.counter(&plugin, "a", &[("l", "2")], most).unwrap_err(), MetricsError::TooMany);
    assert_eq!(registry.gauge(&plugin, "b", NONE, most).unwrap_err(), MetricsError::TooMany);
    registry.counter(&plugin, "a", NONE, most).unwrap();
    let _other = registry.counter(&other, "a", NONE, 1).unwrap();
    assert_eq!(exposed(&registry).matches("# TYPE").count(), 2, "what was refused left no trace");
}

#[test]
fn what_was_only_tried_leaves_nothing_and_takes_no_room() {
    let (registry, plugin) = (Registry::default(), name("p"));
    let most = 2;
    let held = registry.counter(&plugin, "held", NONE, most).unwrap();
    for number in 0..1000 {
        let label = number.to_string();
        registry.counter(&plugin, "tried", &[("l", label.as_str())], most).unwrap();
    }
    assert_eq!(exposed(&registry).matches("# TYPE").count(), 1, "nothing says nothing");
    // The name is free for something else.
    registry.gauge(&plugin, "tried", NONE, most).unwrap().set(7.0);
    assert!(exposed(&registry).contains("p_tried 7\n"), "what says something stays while there is room");
    let last = registry.counter(&plugin, "last", NONE, most).unwrap();
    assert!(!exposed(&registry).contains("tried"), "and no longer");
    assert_eq!(registry.counter(&plugin, "more", NONE, most).unwrap_err(), MetricsError::TooMany);
    held.add(1.0);
    last.add(1.0);
    drop((held, last));
    let text = exposed(&registry);
    assert!(text.contains("p_held_total 1\n") && text.contains("p_last_total 1\n"), "a swap loses no count: {text}");
}

#[test]
fn other_bounds_start_a_histogram_anew() {
    let (registry, plugin) = (Registry::default(), name("p"));
    let most = 1;
    registry.histogram(&plugin, "h", NONE, &[1.0], most).unwrap().observe(1.0);
    registry.histogram(&plugin, "h", NONE, &[1.0], most).unwrap().observe(1.0);
    assert!(exposed(&registry).contains("h_count 2\n"));
    registry.histogram(&plugin, "h", NONE, &[2.0], most).unwrap().observe(1.0);
    assert!(exposed(&registry).contains("h_bucket{le=\"2\"} 1\n"));
}

#[test]
fn threads_share_series_while_they_are_exposed() {
    let (registry, plugin) = (Registry::default(), name("p"));
    let most = 100;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2_000 {
                    registry.counter(&plugin, "c", NONE, most).unwrap().add(1.0);
                    let label = (round % 10).to_string();
                    registry.histogram(&plugin, "h", &[("l", label.as_str())], &[0.5], most).unwrap().observe(1.0);
                }
            });
        }
        for _ in 0..20 {
            exposed(&registry);
        }
    });
    assert!(exposed(&registry).contains("portcullis_plugin_p_c_total 8000\n"));
}
