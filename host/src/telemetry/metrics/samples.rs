//! Metrics by name: what an exposition says, read back, so that conditions can be about any of them.
//!
//! Pure.

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

impl Sample {
    /// Reads the series with these names from an exposition in Prometheus' text format. Lines that are none of its are left out.
    pub fn read(exposition: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<Self> {
        let name = |line: &str| line.split(['{', ' ']).next().is_some_and(&is_wanted);
        exposition.lines().filter(|line| !line.starts_with('#') && name(line)).filter_map(sample).collect()
    }

    /// Whether it has this label with this value.
    pub fn has(&self, label: &str, value: &str) -> bool {
        self.labels.iter().any(|(known, text)| known == label && text == value)
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
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Exposition, Kind};

    #[test]
    fn what_was_told_is_read_back() {
        let nasty = "a\"b\\c\nd{}=,# x";
        let mut out = Exposition::default();
        out.family("a_total", "A.", Kind::Counter);
        out.count("a_total", &[("v", nasty), ("route", "r")], 3);
        out.count("a_total", &[("v", "other"), ("route", "r")], 4);
        out.family("b", "B.", Kind::Gauge);
        out.number::<&str, &str>("b", &[], f64::INFINITY);
        let text = out.finish();
        let all = Sample::read(&text, |_| true);
        assert_eq!(all.iter().map(|sample| sample.value).collect::<Vec<_>>(), [3.0, 4.0, f64::INFINITY]);
        assert!(all.first().is_some_and(|first| first.has("v", nasty) && first.has("route", "r")));
        assert!(!all.iter().any(|sample| sample.has("route", "v") || sample.has("v", "r")));
        let some = Sample::read(&text, |name| name == "b");
        assert_eq!(some.iter().map(|sample| sample.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
