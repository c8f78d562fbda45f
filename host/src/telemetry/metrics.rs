//! Numbers that workers change without a lock, and how they are told: the Prometheus text format 0.0.4.
//!
//! Border: who counts what under which name is decided elsewhere; this is the only file that knows the format. Invariant:
//! what an [`Exposition`] writes parses, whatever is in labels and help texts; names are its callers' duty.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// The `Content-Type` of an [`Exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A count of events.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A floating-point number that many may change at once.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds to it.
    pub fn add(&self, amount: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Replaces it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A distribution over buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    /// One per bound, and one for what is above all of them. Not cumulative.
    buckets: Box<[Counter]>,
    sum: Number,
}

impl Histogram {
    /// `bounds`: the upper bounds of the buckets, ascending, without the infinite one.
    pub fn new(bounds: &[f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds: bounds.into(), buckets, sum: Number::default() }
    }

    /// The upper bounds of the buckets.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Counts a value. NaN is ignored: it belongs into no bucket and would spoil the sum for ever.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let index = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.increment();
            self.sum.add(value);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum.value()
    }
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// The word of the format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Writes metrics family by family. All samples of a family follow its head.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// The head of a family. `name` must match `[a-zA-Z_:][a-zA-Z0-9_:]*` and appear once.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let help = Escaped { text: help, quotes: Quotes::Kept };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str()));
    }

    /// A count.
    pub fn count<N: AsRef<str>, V: AsRef<str>>(&mut self, name: &str, labels: &[(N, V)], value: u64) {
        self.line(format_args!("{name}{} {value}\n", Labels { labels, bound: None }));
    }

    /// A number.
    pub fn number<N: AsRef<str>, V: AsRef<str>>(&mut self, name: &str, labels: &[(N, V)], value: f64) {
        self.line(format_args!("{name}{} {}\n", Labels { labels, bound: None }, Float(value)));
    }

    /// A distribution. Count and buckets are read once, so that they agree even while others observe.
    pub fn histogram<N: AsRef<str>, V: AsRef<str>>(&mut self, name: &str, labels: &[(N, V)], histogram: &Histogram) {
        let mut count = 0;
        let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, bucket) in bounds.zip(&histogram.buckets) {
            count += bucket.value();
            self.line(format_args!("{name}_bucket{} {count}\n", Labels { labels, bound: Some(bound) }));
        }
        let labels = Labels { labels, bound: None };
        self.line(format_args!("{name}_sum{labels} {}\n{name}_count{labels} {count}\n", Float(histogram.sum())));
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(line);
    }
}

/// `{a="x",le="1"}`, or nothing.
struct Labels<'a, N, V> {
    labels: &'a [(N, V)],
    bound: Option<f64>,
}

impl<N: AsRef<str>, V: AsRef<str>> fmt::Display for Labels<'_, N, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '{';
        for (name, value) in self.labels {
            let value = Escaped { text: value.as_ref(), quotes: Quotes::Escaped };
            write!(f, "{before}{}=\"{value}\"", name.as_ref())?;
            before = ',';
        }
        if let Some(bound) = self.bound {
            write!(f, "{before}le=\"{}\"", Float(bound))?;
            before = ',';
        }
        if before == ',' { f.write_char('}') } else { Ok(()) }
    }
}

enum Quotes {
    Escaped,
    Kept,
}

/// Label values escape backslash, line feed and quote, help texts the first two.
struct Escaped<'a> {
    text: &'a str,
    quotes: Quotes,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match (c, &self.quotes) {
                ('\\', _) => f.write_str("\\\\")?,
                ('\n', _) => f.write_str("\\n")?,
                ('"', Quotes::Escaped) => f.write_str("\\\"")?,
                (other, _) => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A number as the format writes it.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            nan if nan.is_nan() => f.write_str("NaN"),
            number => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_text_is_exactly_this() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for value in [0.5, 0.6, 1.0, 7.0, f64::NAN] {
            histogram.observe(value);
        }
        let mut out = Exposition::default();
        out.family("a_total", "Counts \"a\"\\\nand b.", Kind::Counter);
        out.count("a_total", &[("path", "\"\\\n"), ("name", "ü")], 3);
        out.count::<&str, &str>("a_total", &[], u64::MAX);
        out.family("b", "B.", Kind::Gauge);
        out.number("b", &[("x", "")], -1.5);
        out.number("b", &[("x", "i")], f64::INFINITY);
        out.number("b", &[("x", "n")], f64::NAN);
        out.family("c_seconds", "C.", Kind::Histogram);
        out.histogram("c_seconds", &[("route", "r")], &histogram);
        out.histogram::<&str, &str>("c_seconds", &[], &Histogram::new(&[]));
        let expected = r#"# HELP a_total Counts "a"\\\nand b.
# TYPE a_total counter
a_total{path="\"\\\n",name="ü"} 3
a_total 18446744073709551615
# HELP b B.
# TYPE b gauge
b{x=""} -1.5
b{x="i"} +Inf
b{x="n"} NaN
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{route="r",le="0.5"} 1
c_seconds_bucket{route="r",le="1"} 3
c_seconds_bucket{route="r",le="+Inf"} 4
c_seconds_sum{route="r"} 9.1
c_seconds_count{route="r"} 4
c_seconds_bucket{le="+Inf"} 0
c_seconds_sum 0
c_seconds_count 0
"#;
        assert_eq!(out.finish(), expected);
        assert_eq!((histogram.count(), histogram.sum()), (4, 9.1));
    }

    #[test]
    fn threads_lose_nothing() {
        let (number, histogram) = (Number::default(), Histogram::new(&[1.0, 2.0]));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        number.add(0.5);
                        histogram.observe(2.0);
                    }
                });
            }
        });
        assert_eq!(number.value(), 20_000.0);
        assert_eq!((histogram.count(), histogram.sum()), (40_000, 80_000.0));
    }
}
