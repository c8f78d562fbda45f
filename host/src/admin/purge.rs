//! What operators write to purge something: JSON with conditions, all of which must hold.
//!
//! Pure. Everything that is wrong is told at once, each with its remedy; nothing is purged then.

use std::collections::BTreeSet;

use http::HeaderName;
use serde_json::{Map, Value};

use super::trouble::Problem;
use crate::cache::{Mode, Selection};
use crate::plugin::schema::nearest;
use crate::purger::{Counting, Purge};

/// What can be written.
const KEYS: [&str; 13] = [
    "url",
    "key",
    "tag",
    "tags",
    "pattern",
    "namespace",
    "status",
    "header",
    "older_than_seconds",
    "larger_than_bytes",
    "all",
    "soft",
    "count",
];

/// Longest text, in bytes; no URL that the gateway takes is longer.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Most tags.
const TAGS_MAX: usize = 1000;

/// Reads what is to be purged. `namespaces` are those of the routes.
pub(super) fn read(value: &Value, namespaces: &BTreeSet<&str>) -> Result<(Purge, Counting), Vec<Problem>> {
    let Value::Object(object) = value else {
        return Err(vec![Problem::new("", "is not an object", "write one such as {\"tag\": \"news\"}")]);
    };
    let mut reading = Reading { object, problems: Vec::new() };
    reading.check_names();
    let mut selection = Selection {
        key: reading.text("key"),
        url: reading.text("url"),
        tag: None,
        namespace: reading.text("namespace"),
        pattern: reading.text("pattern"),
        status: reading.status(),
        field: reading.header(),
        age_min: reading.number("older_than_seconds"),
        bytes_min: reading.number("larger_than_bytes").map(|bytes| bytes.saturating_add(1)),
    };
    if let Some(namespace) = selection.namespace.take_if(|namespace| !namespaces.contains(namespace.as_str())) {
        let remedy = match nearest(&namespace, namespaces.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("write one of {namespaces:?}"),
        };
        let what = format!("no route that caches has {namespace:?}");
        reading.problems.push(Problem::new("namespace", what, remedy));
    }
    let mut tags: Vec<String> = reading.text("tag").into_iter().collect();
    tags.extend(reading.tags());
    let everything = reading.switch("all");
    let mode = if reading.switch("soft") { Mode::Soft } else { Mode::Hard };
    let counting = if reading.switch("count") { Counting::Counted } else { Counting::Uncounted };
    let bare = selection == Selection::default() && tags.is_empty();
    if reading.problems.is_empty() && bare && !everything {
        let remedy = "write \"all\": true for everything";
        reading.problems.push(Problem::new("", "nothing says what is to be purged", remedy));
    }
    if everything && !bare {
        reading.problems.push(Problem::new("all", "stands beside conditions", "leave one or the other out"));
    }
    match reading.problems.is_empty() {
        true => Ok((Purge { selection, tags, mode }, counting)),
        false => Err(reading.problems),
    }
}

struct Reading<'v> {
    object: &'v Map<String, Value>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn check_names(&mut self) {
        for name in self.object.keys().filter(|name| !KEYS.contains(&name.as_str())) {
            let remedy = match nearest(name, KEYS) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("there are {}", KEYS.join(", ")),
            };
            self.problems.push(Problem::new(name, "is not known here", remedy));
        }
    }

    fn wrong(&mut self, name: &str, remedy: &str) {
        let what = match self.object.get(name) {
            Some(Value::String(text)) if text.len() > 64 => format!("a text of {} bytes", text.len()),
            Some(value) => value.to_string().chars().take(80).collect(),
            None => "nothing".to_owned(),
        };
        self.problems.push(Problem::new(name, format!("is {what}"), remedy));
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.object.get(name)? {
            Value::String(text) if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => return Some(text.clone()),
            _ => self.wrong(name, &format!("write a text of 1 to {TEXT_BYTES_MAX} bytes")),
        }
        None
    }

    fn tags(&mut self) -> Vec<String> {
        let Some(value) = self.object.get("tags") else { return Vec::new() };
        let text = |value: &Value| match value {
            Value::String(text) if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => Some(text.clone()),
            _ => None,
        };
        let tags = value.as_array().filter(|list| (1..=TAGS_MAX).contains(&list.len()));
        match tags.and_then(|list| list.iter().map(text).collect()) {
            Some(tags) => tags,
            None => {
                self.wrong("tags", &format!("write a list of 1 to {TAGS_MAX} tags such as [\"news\", \"header\"]"));
                Vec::new()
            }
        }
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let number = self.object.get(name)?.as_u64();
        if number.is_none() {
            self.wrong(name, "write a whole number");
        }
        number
    }

    fn status(&mut self) -> Option<u16> {
        let status = self.object.get("status")?.as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (100..=599).contains(status));
        if status.is_none() {
            self.wrong("status", "write a status such as 404");
        }
        status
    }

    fn header(&mut self) -> Option<(String, String)> {
        let value = self.object.get("header")?;
        let known = |object: &Map<String, Value>| object.keys().all(|key| key == "name" || key == "contains");
        let read = || {
            let object = value.as_object().filter(|object| known(object))?;
            let name = HeaderName::try_from(object.get("name")?.as_str()?).ok()?;
            let contains = object.get("contains").map_or(Some(""), Value::as_str)?;
            Some((name.as_str().to_owned(), contains.to_owned()))
        };
        let header = read();
        if header.is_none() {
            self.wrong("header", "write {\"name\": \"content-type\", \"contains\": \"image/\"}");
        }
        header
    }

    fn switch(&mut self, name: &str) -> bool {
        match self.object.get(name) {
            None => false,
            Some(Value::Bool(on)) => *on,
            Some(_) => {
                self.wrong(name, "write true or leave it out");
                false
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_conditions_are_read() {
        let namespaces = BTreeSet::from(["shop"]);
        let text = br#"{"url": "http://a/", "key": "k", "tag": "a", "tags": ["b"], "pattern": "*", "namespace": "shop", "status": 404,
            "header": {"name": "Content-Type", "contains": "image/"}, "older_than_seconds": 60, "larger_than_bytes": 1000,
            "all": false, "soft": true, "count": true}"#;
        let selection = Selection {
            key: Some("k".into()),
            url: Some("http://a/".into()),
            tag: None,
            namespace: Some("shop".into()),
            pattern: Some("*".into()),
            status: Some(404),
            field: Some(("content-type".into(), "image/".into())),
            age_min: Some(60),
            bytes_min: Some(1001),
        };
        let expected = Purge { selection, tags: vec!["a".into(), "b".into()], mode: Mode::Soft };
        let text = serde_json::from_slice(text).unwrap();
        assert_eq!(read(&text, &namespaces), Ok((expected, Counting::Counted)));
        assert_eq!(read(&json!({ "all": true }), &namespaces), Ok((Purge::default(), Counting::Uncounted)));
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let namespaces = BTreeSet::from(["shop", "blog"]);
        let check = |text: &str, expected: &[&str]| {
            let problems = read(&serde_json::from_str(text).unwrap(), &namespaces).unwrap_err();
            let told = problems.len() == expected.len()
                && problems.iter().zip(expected).all(|(problem, start)| problem.to_string().starts_with(start));
            assert!(told, "{text}: {problems:#?}");
        };
        check("[]", &["$: is not an object; "]);
        check("{}", &["$: nothing says what is to be purged; write \"all\": true for everything"]);
        check(r#"{"all": false, "soft": true}"#, &["$: nothing says"]);
        check(r#"{"all": true, "status": 404}"#, &["$.all: stands beside conditions; "]);
        check(r#"{"tagg": "a"}"#, &["$.tagg: is not known here; did you mean \"tag\"?"]);
        check(r#"{"everything": 1}"#, &["$.everything: is not known here; there are url, key, tag,"]);
        check(r#"{"namespace": "shp"}"#, &["$.namespace: no route that caches has \"shp\"; did you mean \"shop\"?"]);
        check(
            r#"{"namespace": "zzzzzz"}"#,
            &["$.namespace: no route that caches has \"zzzzzz\"; write one of {\"blog\", \"shop\"}"],
        );
        check(
            r#"{"url": "", "key": 5, "tags": [], "status": 600, "header": {"name": "a b"}, "older_than_seconds": -1,
                "larger_than_bytes": 1.5, "all": "yes", "soft": 1, "count": null}"#,
            &[
                "$.key: is 5; ",
                "$.url: is \"\"; ",
                "$.status: is 600; ",
                "$.header: is {",
                "$.older_than_seconds: is -1; ",
                "$.larger_than_bytes: is 1.5; ",
                "$.tags: is []; ",
                "$.all: is \"yes\"; ",
                "$.soft: is 1; ",
                "$.count: is null; ",
            ],
        );
        check(r#"{"tags": ["a", ""]}"#, &["$.tags: is [\"a\",\"\"]; "]);
        check(r#"{"header": {"name": "a", "contain": "b"}}"#, &["$.header: "]);
    }
}
