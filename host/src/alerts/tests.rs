//! Alerts over time: what is told when, without waiting for it.

use std::time::Duration;

use super::*;
use crate::modes::Mode;
use crate::telemetry::metrics::Sample;
use crate::time::{self, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn series(metric: &str, labels: &[(&str, &[&str])]) -> Series {
    let labels = labels
        .iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()));
    Series { metric: metric.to_owned(), labels: labels.collect() }
}

fn definition(measure: Measure, bound: Bound) -> Definition {
    Definition {
        name: "test".parse().unwrap(),
        measure,
        bound,
        over: 10 * SECOND,
        hold: Duration::ZERO,
        cooldown: Duration::ZERO,
        severity: Severity::Warning,
        summary: "it is {value}".to_owned(),
        logged: Logged::No,
        webhooks: Vec::new(),
        mode: None,
    }
}

/// An engine with a clock of its own.
struct Bench {
    engine: Engine,
    base: Instant,
    log: Vec<String>,
}

impl Bench {
    fn new(definition: Definition) -> Self {
        let mut engine = Engine::default();
        assert_eq!(engine.adopt(&[Arc::new(definition)], SECOND), []);
        Self { engine, base: time::now(), log: Vec::new() }
    }

    /// Looks at this text at this second.
    fn at(&mut self, second: u32, text: &str) -> &mut Self {
        let at = SECOND * (1000 + second);
        let samples = Sample::read(text, |name| self.engine.watches(name));
        let told = self.engine.evaluate(&samples, self.base + SECOND * second, at);
        for transition in told {
            assert_eq!(transition.at, at);
            let told = transition.told();
            self.log.push(format!("{second}: {:?}, {told}", transition.change));
        }
        self
    }

    fn state(&self) -> (&'static str, Option<f64>) {
        let report = self.engine.report().remove(0);
        (report.phase.as_str(), report.value)
    }
}

#[test]
fn a_threshold_fires_once_it_has_held_and_is_told_when_it_is_over() {
    let value = Measure::Value(series("a", &[]));
    let hold = 3 * SECOND;
    let mut bench = Bench::new(Definition { hold, cooldown: 5 * SECOND, ..definition(value, Bound::Above(2.0)) });
    bench.at(0, "a 2").at(1, "a 3");
    assert_eq!(bench.state(), ("pending", Some(3.0)));
    // A good moment begins it anew.
    bench.at(2, "a 1").at(3, "a 4").at(4, "a 4").at(5, "a 4");
    assert_eq!((bench.state(), bench.log.len()), (("pending", Some(4.0)), 0));
    bench.at(6, "a 5").at(7, "a 6");
    assert_eq!(bench.state(), ("firing", Some(6.0)));
    bench.at(8, "a 1.5").at(9, "a 9");
    assert_eq!(bench.state(), ("inactive", Some(9.0)), "it rests");
    // Bad since the second 9, and long enough, but the rest lasts until 13.
    bench.at(12, "a 9").at(13, "a 9").at(14, "b 1");
    assert_eq!(
        bench.log,
        ["6: Fired, it is 5", "8: Resolved, it is 1.5", "13: Fired, it is 9", "14: Resolved, it was: it is 9"]
    );
}

#[test]
fn what_recovers_during_the_rest_is_inactive_after_it() {
    let value = Measure::Value(series("a", &[]));
    let mut bench = Bench::new(Definition { cooldown: 5 * SECOND, ..definition(value, Bound::Below(1.0)) });
    bench.at(0, "a 0").at(1, "a 1").at(2, "a 0").at(3, "a 1").at(6, "a 1").at(7, "a 0").at(7, "a 0").at(8, "a 1");
    assert_eq!(bench.log, ["0: Fired, it is 0", "1: Resolved, it is 1", "7: Fired, it is 0", "8: Resolved, it is 1"]);
}

#[test]
fn labels_choose_series_and_the_others_are_added_up() {
    let text = "a{x=\"1\",y=\"1\"} 1\na{x=\"2\",y=\"1\"} 2\na{x=\"3\",y=\"2\"} 4\nab{x=\"1\",y=\"1\"} 100\n# a 9\n";
    let check = |labels: &[(&str, &[&str])], expected| {
        let mut bench = Bench::new(definition(Measure::Value(series("a", labels)), Bound::Above(0.0)));
        assert_eq!(bench.at(0, text).state().1, expected, "{labels:?}");
    };
    check(&[], Some(7.0));
    check(&[("x", &["1", "3"])], Some(5.0));
    check(&[("x", &["1", "3"]), ("y", &["2"])], Some(4.0));
    check(&[("x", &["4"])], None);
    check(&[("z", &["1"])], None);
}

#[test]
fn absence_is_bad_only_where_that_is_meant() {
    let mut bench = Bench::new(definition(Measure::Value(series("a", &[])), Bound::Absent));
    bench.at(0, "a 1").at(1, "b 1").at(2, "a 0");
    assert_eq!(bench.log, ["1: Fired, it is nothing", "2: Resolved, it is 0"]);
}

#[test]
fn rates_are_per_second_over_the_window_whatever_becomes_of_a_series() {
    let mut bench = Bench::new(definition(Measure::Rate(series("a_total", &[])), Bound::Above(4.0)));
    // What was counted before the first look is not growth, and before the window is full nothing is said.
    bench.at(0, "a_total 1000").at(9, "a_total 1090");
    assert_eq!(bench.state(), ("inactive", None));
    bench.at(10, "a_total 1100");
    assert_eq!(bench.state(), ("firing", Some(10.0)));
    // Began anew: what is there now is not counted twice, and nothing is negative.
    bench.at(15, "a_total 0").at(20, "a_total 20");
    assert_eq!(bench.state(), ("inactive", Some(2.0)));
    // Gone and here again.
    bench.at(21, "b 1").at(31, "a_total 70");
    assert_eq!(bench.state(), ("firing", Some(5.0)));
    assert_eq!(bench.log.len(), 3);
}

#[test]
fn a_series_that_goes_or_comes_hides_nothing_and_is_no_jump() {
    let mut bench = Bench::new(definition(Measure::Rate(series("a_total", &[])), Bound::Above(4.0)));
    let both = |one: u32, other: u32| format!("a_total{{x=\"1\"}} {one}\na_total{{x=\"2\"}} {other}");
    bench.at(0, &both(1000, 100)).at(10, "a_total{x=\"2\"} 130");
    assert_eq!(bench.state(), ("inactive", Some(3.0)), "what is left has grown");
    bench.at(20, &both(1010, 130));
    assert_eq!(bench.state(), ("inactive", Some(1.0)), "what is back goes on from where it was");
    bench.at(30, &(both(1010, 130) + "\na_total{x=\"3\"} 20"));
    assert_eq!(bench.state(), ("inactive", Some(2.0)), "what is new began at nothing");
}

#[test]
fn nothing_happening_is_a_rate_of_zero() {
    let mut bench = Bench::new(definition(Measure::Rate(series("a_total", &[])), Bound::Below(1.0)));
    bench.at(0, "").at(10, "");
    assert_eq!(bench.state(), ("firing", Some(0.0)));
}

#[test]
fn a_ratio_is_of_what_happened_within_the_window() {
    let errors = series("errors_total", &[("fault", &["upstream", "plugin"])]);
    let measure = Measure::Ratio(errors, series("requests_total", &[]));
    let mut bench = Bench::new(definition(measure, Bound::Above(0.05)));
    let text = |errors: u32, client: u32, requests: u32| {
        format!(
            "errors_total{{fault=\"upstream\"}} {errors}\nerrors_total{{fault=\"downstream\"}} {client}\nrequests_total {requests}\n"
        )
    };
    bench.at(0, &text(50, 0, 100)).at(10, &text(50, 100, 300));
    assert_eq!(bench.state(), ("inactive", Some(0.0)));
    bench.at(20, &text(60, 100, 400));
    assert_eq!(bench.state(), ("firing", Some(0.1)));
    // Nobody asks: there is no ratio, and nothing fails.
    bench.at(30, &text(60, 100, 400));
    assert_eq!(bench.state(), ("inactive", None));
    let gauges = Measure::Ratio(series("used_bytes", &[]), series("all_bytes", &[]));
    let mut bench = Bench::new(definition(gauges, Bound::Above(0.9)));
    assert_eq!(bench.at(0, "used_bytes 95\nall_bytes 100").state(), ("firing", Some(0.95)));
}

#[test]
fn a_quantile_is_of_what_was_counted_within_the_window() {
    let mut bench = Bench::new(definition(Measure::Quantile(series("t_seconds", &[]), 0.9), Bound::Above(0.5)));
    let text = |counts: [u32; 3]| {
        let lines = ["0.1", "1", "+Inf"].into_iter().zip(counts);
        lines
            .map(|(bound, count)| format!("t_seconds_bucket{{route=\"r\",le=\"{bound}\"}} {count}\n"))
            .collect::<String>()
    };
    bench.at(0, &text([0, 100, 200])).at(10, &text([100, 200, 300]));
    let (state, value) = bench.state();
    assert_eq!(state, "inactive");
    assert!((value.unwrap() - 0.09).abs() < 1e-9, "{value:?}");
    // Of ten, five are fast and five between 0.1 and 1: the ninth lies at four fifths of that bucket.
    bench.at(20, &text([105, 210, 310]));
    let (state, value) = bench.state();
    assert_eq!(state, "firing");
    assert!((value.unwrap() - 0.82).abs() < 1e-9, "{value:?}");
    // Above all bounds: at least the last of them.
    bench.at(30, &text([105, 210, 320]));
    assert_eq!(bench.state(), ("firing", Some(1.0)));
    bench.at(40, &text([105, 210, 320]));
    assert_eq!(bench.state(), ("inactive", None));
}

#[test]
fn what_stays_goes_on_and_what_goes_is_over() {
    let one = Arc::new(definition(Measure::Value(series("a", &[])), Bound::Above(0.0)));
    let two = Arc::new(Definition { name: "two".parse().unwrap(), mode: Some(Mode::ReadOnly), ..(*one).clone() });
    let mut engine = Engine::default();
    engine.adopt(&[Arc::clone(&one), Arc::clone(&two)], SECOND);
    let now = time::now();
    assert_eq!(engine.evaluate(&Sample::read("a 1", |_| true), now, 5 * SECOND).len(), 2);
    let changed = Arc::new(Definition { bound: Bound::Above(5.0), ..(*two).clone() });
    let over = engine.adopt(&[Arc::clone(&one), changed], 7 * SECOND);
    let told: Vec<_> =
        over.iter().map(|over| (over.definition.name.as_str(), over.change, over.fired, over.at)).collect();
    assert_eq!(told, [("two", Change::Resolved, 5 * SECOND, 7 * SECOND)]);
    assert_eq!(engine.evaluate(&Sample::read("a 1", |_| true), now + SECOND, 8 * SECOND), []);
    let states: Vec<_> = engine.report().iter().map(|report| (report.phase.as_str(), report.since)).collect();
    assert_eq!(states, [("firing", Some(5 * SECOND)), ("inactive", None)]);
}

#[test]
fn those_that_are_always_there_say_what_is_wrong() {
    let all = builtin();
    assert_eq!(all.len(), 5);
    let mut engine = Engine::default();
    engine.adopt(&all, SECOND);
    let now = time::now();
    let told = |engine: &mut Engine, second: u32, text: &str| -> Vec<String> {
        let changes = engine.evaluate(&Sample::read(text, |_| true), now + SECOND * second, SECOND * second);
        changes.iter().map(|change| format!("{} {:?}", change.definition.name, change.change)).collect()
    };
    let part = |part: &str, status: &str, count: u32| {
        format!("portcullis_health_parts{{part=\"{part}\",status=\"{status}\"}} {count}\n")
    };
    let bad =
        part("plugins", "unhealthy", 1) + &part("configuration", "degraded", 1) + &part("upstreams", "degraded", 1);
    assert_eq!(told(&mut engine, 0, &bad), ["plugin-quarantined Fired", "change-refused Fired"]);
    let worse =
        part("upstreams", "unhealthy", 2) + &part("certificates", "degraded", 1) + &part("plugins", "unhealthy", 0);
    let expected =
        ["plugin-quarantined Resolved", "certificate-expiring Fired", "upstream-down Fired", "change-refused Resolved"];
    assert_eq!(told(&mut engine, 1, &worse), expected);
    let mut fired = Vec::new();
    for second in 2..100 {
        let text = format!(
            "{worse}portcullis_requests_total{{route=\"r\"}} {}\nportcullis_errors_total{{fault=\"internal\"}} {}\n",
            second * 10,
            second
        );
        fired.extend(told(&mut engine, second, &text).into_iter().map(|what| format!("{second} {what}")));
    }
    assert_eq!(fired, ["75 error-ratio Fired"], "a window of 15 s, and a minute");
}
