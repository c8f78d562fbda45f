//! Paths and queries of requests, and the table's templates held against them.
//!
//! Pure. What is no percent-encoding of UTF-8 (RFC 3986 section 2.1) is refused rather than guessed at.

use super::endpoint::{Need, Parameter};
use super::trouble::{Problem, Trouble};

/// What a path has where a template has names; none if it does not fit.
pub(super) fn matched<'p>(template: &'static str, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(values),
            (Some(part), Some(text)) => match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) if !text.is_empty() => values.push((name, text)),
                None if part == text => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The text behind a percent-encoded one; none if it is none. Control characters belong into no name.
pub(super) fn decoded(text: &str, plus: Plus) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
                bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
                rest = after.get(2..).unwrap_or_default();
            }
            b'+' if plus == Plus::Space => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What a `+` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// Itself, as in paths and in queries that are not forms.
    Plus,
    /// A space, as in forms.
    Space,
}

/// The parameters of a query. Each must be known, of its type, and there once.
pub(super) fn query(text: Option<&str>, known: &[Parameter]) -> Result<Vec<(&'static str, String)>, Trouble> {
    let mut values: Vec<(&'static str, String)> = Vec::new();
    let mut problems = Vec::new();
    for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
            let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
            let remedy =
                if names.is_empty() { "leave it out".to_owned() } else { format!("there is {}", names.join(", ")) };
            problems.push(in_query(name, "is not known here", remedy));
            continue;
        };
        match decoded(value, Plus::Plus) {
            None => problems.push(in_query(name, "is not percent-encoded UTF-8", "encode what is no letter or digit")),
            Some(_) if values.iter().any(|(known, _)| *known == parameter.name) => {
                problems.push(in_query(name, "stands there twice", "keep one of the two"));
            }
            Some(value) => match unfit(parameter, &value) {
                Some(remedy) => problems.push(in_query(name, "has a value that it cannot have", remedy)),
                None => values.push((parameter.name, value)),
            },
        }
    }
    for parameter in known.iter().filter(|parameter| parameter.need == Need::Required) {
        let said = problems.iter().any(|problem: &Problem| problem.path == format!("?{}", parameter.name));
        if !said && !values.iter().any(|(name, _)| *name == parameter.name) {
            problems.push(in_query(parameter.name, "is missing", format!("write ?{}=", parameter.name)));
        }
    }
    if problems.is_empty() {
        return Ok(values);
    }
    Err(Trouble::bad_request("the query cannot be understood").with(problems))
}

fn in_query(name: &str, what: &str, remedy: impl Into<String>) -> Problem {
    let name: String = name.chars().take(64).collect();
    Problem { path: format!("?{name}"), what: what.to_owned(), remedy: remedy.into() }
}

/// What to write instead, where a value does not fit its schema.
fn unfit(parameter: &Parameter, value: &str) -> Option<String> {
    let schema = &parameter.value;
    let bound = |key: &str| schema.get(key).and_then(serde_json::Value::as_u64);
    match schema.get("type").and_then(serde_json::Value::as_str) {
        Some("integer") => {
            let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::MAX));
            let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let fits = plain && value.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number));
            (!fits).then(|| format!("write a whole number from {least} to {most}"))
        }
        Some("boolean") => (!matches!(value, "true" | "false")).then(|| "write true or false".to_owned()),
        _ => {
            let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(8192));
            let length = value.chars().count() as u64;
            (!(least..=most).contains(&length)).then(|| format!("write a text of {least} to {most} characters"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_take_one_part_for_a_name() {
        assert_eq!(matched("/a/b", "/a/b"), Some(Vec::new()));
        assert_eq!(matched("/a/{x}/b", "/a/1%2F2/b"), Some(vec![("x", "1%2F2")]));
        for path in ["/a//b", "/a/1/b/", "/a/1", "/a/1/b/c", "", "/"] {
            assert_eq!(matched("/a/{x}/b", path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_percent_encoding_is_refused() {
        assert_eq!(decoded("a%20b+c%C3%A9", Plus::Plus).unwrap(), "a b+c\u{e9}");
        assert_eq!(decoded("a+b", Plus::Space).unwrap(), "a b");
        for text in ["%", "%4", "%zz", "%ff", "%C3"] {
            assert_eq!(decoded(text, Plus::Plus), None, "{text}");
        }
    }

    #[test]
    fn queries_have_what_is_known_and_nothing_else() {
        let known = [
            Parameter {
                name: "limit",
                summary: "",
                need: Need::Optional,
                value: json!({ "type": "integer", "minimum": 1, "maximum": 9 }),
            },
            Parameter { name: "url", summary: "", need: Need::Required, value: json!({ "type": "string" }) },
        ];
        assert_eq!(
            query(Some("url=%2F&limit=9"), &known).unwrap(),
            [("url", "/".to_owned()), ("limit", "9".to_owned())]
        );
        let wrong = |text: &str| {
            let trouble = query(Some(text), &known).unwrap_err();
            trouble.problems.iter().map(|problem| problem.path.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(wrong("limit=0"), "?limit ?url");
        assert_eq!(wrong("url=a&limit=%2B1&x=1"), "?limit ?x");
        assert_eq!(wrong("url=a&url=b"), "?url");
        assert_eq!(wrong("url=%ff"), "?url");
        assert_eq!(wrong("url=a&limit=99999999999999999999999"), "?limit");
    }
}
