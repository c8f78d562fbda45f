//! Counts and measures (WIT `metrics`). Grant: `metrics`.
//!
//! A series is registered once and then used by number. Its full name is `portcullis_plugin_<plugin>_<name>`. The same
//! name and labels give the same series in every instance and after a swap. A counter's full name ends in `_total`, whether
//! `name` does or not.

use crate::Result;
use crate::raw::metrics;

pub use crate::raw::metrics::MetricsError;

/// A number that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counter(metrics::Series);

impl Counter {
    /// Registers the series `name` with these labels.
    ///
    /// # Errors
    /// Not a metric or label name, another kind of the same name, or too many series.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Result<Self, MetricsError> {
        metrics::counter(name, &owned(labels)).map(Self)
    }

    /// Adds `amount`; negative amounts and NaN are ignored.
    pub fn add(self, amount: f64) {
        metrics::add(self.0, amount);
    }

    /// Adds one.
    pub fn increment(self) {
        self.add(1.0);
    }
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gauge(metrics::Series);

impl Gauge {
    /// Registers the series `name` with these labels.
    ///
    /// # Errors
    /// Not a metric or label name, another kind of the same name, or too many series.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Result<Self, MetricsError> {
        metrics::gauge(name, &owned(labels)).map(Self)
    }

    /// Adds `amount`, which may be negative.
    pub fn add(self, amount: f64) {
        metrics::add(self.0, amount);
    }

    /// Sets the value.
    pub fn set(self, value: f64) {
        metrics::set(self.0, value);
    }
}

/// A distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Histogram(metrics::Series);

impl Histogram {
    /// Registers the series `name` with these labels. `bounds` are the upper bounds of its buckets, ascending.
    ///
    /// # Errors
    /// Not a metric or label name, another kind of the same name, or too many series.
    pub fn new(name: &str, labels: &[(&str, &str)], bounds: &[f64]) -> Result<Self, MetricsError> {
        metrics::histogram(name, &owned(labels), bounds).map(Self)
    }

    /// Counts `value` into its bucket.
    pub fn observe(self, value: f64) {
        metrics::observe(self.0, value);
    }
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
