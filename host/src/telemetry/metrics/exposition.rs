//! How metrics are told: Prometheus' text format 0.0.4, or OpenMetrics 1.0 for those who ask for it.
//!
//! Invariant: what an [`Exposition`] writes parses, whatever is in labels and help texts. Names are its callers' duty: a counter's ends in
//! `_total`, a unit stands before that, and none appears twice.

use std::fmt::{self, Write as _};

use http::HeaderMap;
use http::header::ACCEPT;

use super::{Histogram, Kind};
use crate::http::weighted;
use crate::telemetry::accounts::Exemplar;

/// Units that names may end in. OpenMetrics has a line for them.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// Most characters of all names and values of an exemplar's labels (OpenMetrics 1.0, "Exemplars").
const EXEMPLAR_CHARACTERS_MAX: usize = 128;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0: with units and exemplars.
    OpenMetrics,
}

impl Format {
    /// What a client wants to read: OpenMetrics only where it says so and does not prefer text.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let weight = |wanted: &str| {
            let accepted = weighted(headers, &ACCEPT).filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            accepted.map(|(_, weight)| weight).max().unwrap_or_default()
        };
        let open = weight("application/openmetrics-text");
        if open > 0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One bucket of a histogram.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'e> {
    /// Its upper bound.
    pub bound: f64,
    /// How many are in this and all buckets below it.
    pub count: u64,
    /// One of them.
    pub exemplar: Option<&'e Exemplar>,
}

/// Writes metrics family by family. All samples of a family follow its head.
#[derive(Debug, Default)]
pub struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    /// One in this format.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// The head of a family. `name` must match `[a-zA-Z_:][a-zA-Z0-9_:]*` and appear once.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let (quotes, word) = match (self.format, kind) {
            (Format::Prometheus, Kind::Counter) => (Quotes::Kept, "counter"),
            (Format::Prometheus, Kind::Gauge | Kind::Info) => (Quotes::Kept, "gauge"),
            (Format::Prometheus, Kind::Histogram) => (Quotes::Kept, "histogram"),
            (Format::OpenMetrics, Kind::Counter) => (Quotes::Escaped, "counter"),
            (Format::OpenMetrics, Kind::Gauge) => (Quotes::Escaped, "gauge"),
            (Format::OpenMetrics, Kind::Histogram) => (Quotes::Escaped, "histogram"),
            (Format::OpenMetrics, Kind::Info) => (Quotes::Escaped, "info"),
        };
        let help = Escaped { text: help, quotes };
        if self.format == Format::Prometheus {
            return self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {word}\n"));
        }
        // There the family is called without what its samples end in.
        let name = match kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            Kind::Info => name.strip_suffix("_info").unwrap_or(name),
            Kind::Gauge | Kind::Histogram => name,
        };
        self.line(format_args!("# TYPE {name} {word}\n"));
        if let Some((_, unit)) = name.rsplit_once('_').filter(|(_, unit)| UNITS.contains(unit)) {
            self.line(format_args!("# UNIT {name} {unit}\n"));
        }
        self.line(format_args!("# HELP {name} {help}\n"));
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
        let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.zip(histogram.counts()).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some(Bucket { bound, count: *sum, exemplar: None })
        });
        self.buckets(name, labels, buckets, histogram.sum());
    }

    /// A distribution bucket by bucket, the infinite one last, and the sum of what was counted.
    pub fn buckets<'e, N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: &str,
        labels: &[(N, V)],
        buckets: impl Iterator<Item = Bucket<'e>>,
        sum: f64,
    ) {
        let mut all = 0;
        for Bucket { bound, count, exemplar } in buckets {
            all = count;
            let bound = Labels { labels, bound: Some((bound, self.format)) };
            self.line(format_args!("{name}_bucket{bound} {count}"));
            if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
                self.exemplar(exemplar);
            }
            self.line(format_args!("\n"));
        }
        let labels = Labels { labels, bound: None };
        self.line(format_args!("{name}_sum{labels} {}\n{name}_count{labels} {all}\n", Float(sum)));
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let mut labels = Vec::new();
        if let Some(trace) = exemplar.trace {
            labels.push(("trace_id", format!("{:032x}", trace.0)));
        }
        if let Ok(request) = exemplar.request.to_str() {
            labels.push(("request_id", request.to_owned()));
        }
        let characters = |labels: &[(&str, String)]| -> usize {
            labels.iter().map(|(name, value)| name.len() + value.chars().count()).sum()
        };
        while characters(&labels) > EXEMPLAR_CHARACTERS_MAX {
            labels.pop();
        }
        if labels.is_empty() {
            return;
        }
        let (labels, took, at) = (Labels { labels: &labels, bound: None }, exemplar.took, exemplar.at);
        self.line(format_args!(" # {labels} {} {}.{:03}", Float(took.as_secs_f64()), at.as_secs(), at.subsec_millis()));
    }

    /// The text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
    }
}

/// `{a="x",le="1"}`, or nothing.
struct Labels<'a, N, V> {
    labels: &'a [(N, V)],
    bound: Option<(f64, Format)>,
}

impl<N: AsRef<str>, V: AsRef<str>> fmt::Display for Labels<'_, N, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '{';
        for (name, value) in self.labels {
            let value = Escaped { text: value.as_ref(), quotes: Quotes::Escaped };
            write!(f, "{before}{}=\"{value}\"", name.as_ref())?;
            before = ',';
        }
        if let Some((bound, format)) = self.bound {
            // OpenMetrics wants to see that it is a float ("Considerations: Canonical Numbers").
            match format {
                Format::OpenMetrics if bound.fract() == 0.0 => write!(f, "{before}le=\"{bound:.1}\"")?,
                _ => write!(f, "{before}le=\"{}\"", Float(bound))?,
            }
            before = ',';
        }
        if before == ',' { f.write_char('}') } else { Ok(()) }
    }
}

enum Quotes {
    Escaped,
    Kept,
}

/// Label values escape backslash, line feed and quote, and so do help texts in OpenMetrics. Those of Prometheus keep the quote.
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

/// A number as the formats write it.
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exchange::TraceId;

    fn written(format: Format) -> String {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for value in [0.5, 0.6, 1.0, 7.0, f64::NAN] {
            histogram.observe(value);
        }
        let mut out = Exposition::new(format);
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
        out.family("d_info", "D.", Kind::Info);
        out.count("d_info", &[("version", "1")], 1);
        out.finish()
    }

    #[test]
    fn the_text_is_exactly_this() {
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
# HELP d_info D.
# TYPE d_info gauge
d_info{version="1"} 1
"#;
        assert_eq!(written(Format::Prometheus), expected);
    }

    #[test]
    fn open_metrics_names_families_and_bounds_its_own_way() {
        let text = written(Format::OpenMetrics);
        for part in [
            "# TYPE a counter\n# HELP a Counts \\\"a\\\"\\\\\\nand b.\na_total{",
            "# TYPE c_seconds histogram\n# UNIT c_seconds seconds\n# HELP c_seconds C.\n",
            "c_seconds_bucket{route=\"r\",le=\"1.0\"} 3\n",
            "c_seconds_bucket{route=\"r\",le=\"+Inf\"} 4\n",
            "# TYPE d info\n# HELP d D.\nd_info{version=\"1\"} 1\n# EOF\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn exemplars_are_told_only_in_open_metrics_and_never_too_long() {
        let check = |format, id: String, trace, expected: &str| {
            let (took, at) = (Duration::from_micros(1500), Duration::from_millis(5040));
            let exemplar = Exemplar { request: id.parse().unwrap(), trace, took, at };
            let mut out = Exposition::new(format);
            let bucket = Bucket { bound: f64::INFINITY, count: 1, exemplar: Some(&exemplar) };
            out.buckets::<&str, &str>("a", &[], [bucket].into_iter(), 0.0);
            let line = out.finish().lines().next().unwrap().to_owned();
            assert_eq!(line, format!("a_bucket{{le=\"+Inf\"}} 1{expected}"));
        };
        let (id, open) = (|| "abc".to_owned(), Format::OpenMetrics);
        check(Format::Prometheus, id(), None, "");
        check(open, id(), None, " # {request_id=\"abc\"} 0.0015 5.040");
        let trace = "trace_id=\"00000000000000000000000000000001\"";
        let one = Some(TraceId(1));
        check(open, id(), one, &format!(" # {{{trace},request_id=\"abc\"}} 0.0015 5.040"));
        check(open, "x".repeat(128), one, &format!(" # {{{trace}}} 0.0015 5.040"));
        check(open, "x".repeat(128), None, "");
    }

    #[test]
    fn open_metrics_is_for_those_who_want_it() {
        let check = |accept: &str, expected| {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Format::wanted(&headers), expected, "{accept}");
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(prometheus, Format::OpenMetrics);
        check("application/openmetrics-text; version=1.0.0", Format::OpenMetrics);
        check("application/openmetrics-text;q=0", Format::Prometheus);
        check("application/openmetrics-text;q=0.2, text/plain", Format::Prometheus);
        check("text/html, */*", Format::Prometheus);
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Prometheus);
    }
}
