//! An alert as it is defined: what is measured, which values are bad, for how long, and what follows.

use std::time::Duration;

use crate::modes::Mode;
use crate::names::Name;
use crate::telemetry::metrics::Sample;

/// What the names of a histogram's buckets end with.
pub(super) const BUCKET: &str = "_bucket";

/// The metric that counts the parts of the gateway by how they are.
pub const HEALTH_PARTS: &str = "portcullis_health_parts";

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name, unique.
    pub name: Name,
    /// What is measured.
    pub measure: Measure,
    /// Which values are bad.
    pub bound: Bound,
    /// Over how long growth is measured.
    pub over: Duration,
    /// For how long the value must be bad until the alert fires.
    pub hold: Duration,
    /// For how long it does not fire again once it is over.
    pub cooldown: Duration,
    /// How much it matters.
    pub severity: Severity,
    /// What it tells people. `{value}` stands for the value.
    pub summary: String,
    /// Whether the log tells of it.
    pub logged: Logged,
    /// The webhooks that are told.
    pub webhooks: Vec<Name>,
    /// The mode that the gateway is in while it fires.
    pub mode: Option<Mode>,
}

/// Whether the log tells of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// It does.
    Yes,
    /// It does not: it is only shown.
    No,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information; the gateway counts as healthy.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Series that are added up: of this name, and for each label with one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The metric.
    pub metric: String,
    /// Labels and their values.
    pub labels: Vec<(String, Vec<String>)>,
}

impl Series {
    /// Whether a sample, whose name is the metric's with `suffix`, is one of them.
    pub fn includes(&self, sample: &Sample, suffix: &str) -> bool {
        let named = sample.name.strip_prefix(self.metric.as_str()) == Some(suffix);
        let has = |(name, values): &(String, Vec<String>)| {
            sample.labels.iter().any(|(known, value)| known == name && values.contains(value))
        };
        named && self.labels.iter().all(has)
    }

    /// Whether the metric, or the buckets of the histogram that it is, have this name.
    pub fn is_named(&self, name: &str) -> bool {
        name.strip_prefix(self.metric.as_str()).is_some_and(|suffix| matches!(suffix, "" | BUCKET))
    }

    /// Whether it only grows, by the grammar of names.
    pub fn grows(&self) -> bool {
        ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| self.metric.ends_with(suffix))
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// The present value.
    Value(Series),
    /// Growth per second.
    Rate(Series),
    /// One as a part of another: of their growth where both only grow, otherwise of their values.
    Ratio(Series, Series),
    /// Of what a histogram has counted meanwhile, the value that this part of it (0…1) does not exceed.
    Quantile(Series, f64),
}

impl Measure {
    /// What it is measured of.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        let (first, second) = match self {
            Self::Value(series) | Self::Rate(series) | Self::Quantile(series, _) => (series, None),
            Self::Ratio(part, whole) => (part, Some(whole)),
        };
        std::iter::once(first).chain(second)
    }
}

/// Which values are bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Those above this.
    Above(f64),
    /// Those below this.
    Below(f64),
    /// None at all: there is no such series.
    Absent,
}

impl Bound {
    /// Whether a value is bad. One that cannot be said is not, unless that is what is bad.
    pub fn is_crossed(self, value: Option<f64>) -> bool {
        match self {
            Self::Above(bound) => value.is_some_and(|value| value > bound),
            Self::Below(bound) => value.is_some_and(|value| value < bound),
            Self::Absent => value.is_none(),
        }
    }

    /// The number, if it is one.
    pub fn threshold(self) -> Option<f64> {
        match self {
            Self::Above(bound) | Self::Below(bound) => Some(bound),
            Self::Absent => None,
        }
    }
}

impl Definition {
    /// Whether it is about parts of the gateway that tell how they are themselves.
    pub fn is_about_health(&self) -> bool {
        matches!(&self.measure, Measure::Value(series) if series.metric == HEALTH_PARTS)
    }

    /// What is told to people of this value.
    pub fn told(&self, value: Option<f64>) -> String {
        if !self.summary.contains("{value}") {
            return self.summary.clone();
        }
        self.summary.replace("{value}", &value.map_or_else(|| "nothing".to_owned(), shown))
    }
}

/// A number with as many digits as say something.
fn shown(value: f64) -> String {
    let digits = if value == 0.0 || value.abs() >= 1000.0 { 0 } else { 3 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
