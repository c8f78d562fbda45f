//! Metrics by name: what an exposition says, read back, so that conditions can be about any of them.
//!
//! Labels that are asked for must match; series that have more of them are added up.

use crate::time::Instant;

/// One series at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, with `_bucket`, `_sum` or `_count` where it is a part of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// All series at one moment.
#[derive(Debug, Clone)]
pub struct Samples {
    /// When.
    pub at: Instant,
    /// The series, in the order of the exposition.
    pub all: Vec<Sample>,
}

impl Samples {
    /// Reads an exposition in Prometheus' text format that was written `at`. Lines that are none of its are left out.
    pub fn parse(text: &str, at: Instant) -> Self {
        Self { at, all: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// The series of this name with at least these labels.
    pub fn matching<'s>(&'s self, name: &'s str, labels: &'s [(String, String)]) -> impl Iterator<Item = &'s Sample> {
        let wanted = move |sample: &Sample| labels.iter().all(|label| sample.labels.contains(label));
        self.all.iter().filter(move |sample| sample.name == name && wanted(sample))
    }

    /// The sum of the series of this name with at least these labels; none where there is no such series.
    pub fn value(&self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        self.matching(name, labels).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// By how much the same sum has grown per second since `earlier`. A series that is new began at nothing, and one that has shrunk began
    /// anew. None where there is no such series, or no time has passed.
    pub fn rate(&self, earlier: &Self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let before: Vec<_> = earlier.matching(name, labels).collect();
        let growth = |sample: &Sample| {
            let known = before.iter().find(|known| known.labels == sample.labels).map_or(0.0, |known| known.value);
            if sample.value >= known { sample.value - known } else { sample.value }
        };
        let grown = self.matching(name, labels).map(growth).reduce(|sum, growth| sum + growth)?;
        (seconds > 0.0).then(|| grown / seconds)
    }
}

/// `name{label="value"} 1.5`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

type Labels = Vec<(String, String)>;

/// What stands between the braces, and what follows.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.strip_prefix(',').unwrap_or(text);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), rest.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(match chars.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.push((name.to_owned(), value));
        text = chars.as_str();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::{Exposition, Kind};
    use crate::time;

    fn label(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_was_told_is_read_back() {
        let nasty = "a\"b\\c\nd{}=,# x";
        let mut out = Exposition::default();
        out.family("a_total", "A.", Kind::Counter);
        out.count("a_total", &[("v", nasty), ("route", "r")], 3);
        out.count("a_total", &[("v", "other"), ("route", "r")], 4);
        out.family("b", "B.", Kind::Gauge);
        out.number::<&str, &str>("b", &[], f64::INFINITY);
        let samples = Samples::parse(&out.finish(), time::now());
        assert_eq!(samples.all.len(), 3);
        assert_eq!(samples.all.first().unwrap().labels, [label("v", nasty), label("route", "r")]);
        assert_eq!(samples.value("a_total", &[]), Some(7.0));
        assert_eq!(samples.value("a_total", &[label("route", "r"), label("v", nasty)]), Some(3.0));
        assert_eq!(samples.value("b", &[]), Some(f64::INFINITY));
        assert_eq!(samples.value("a_total", &[label("route", "s")]), None);
        assert_eq!(samples.value("a", &[]), None);
    }

    #[test]
    fn rates_are_per_second_and_survive_a_series_that_began_anew() {
        let then = time::now();
        let before = Samples::parse("a{r=\"1\"} 10\na{r=\"2\"} 100\n", then);
        let after = Samples::parse("a{r=\"1\"} 30\na{r=\"2\"} 8\na{r=\"3\"} 2\n", then + Duration::from_secs(10));
        let rate = |labels: &[_]| after.rate(&before, "a", labels);
        assert_eq!(rate(&[]), Some(3.0));
        assert_eq!(rate(&[label("r", "1")]), Some(2.0));
        assert_eq!(rate(&[label("r", "4")]), None);
        assert_eq!(before.rate(&before, "a", &[]), None);
    }
}
