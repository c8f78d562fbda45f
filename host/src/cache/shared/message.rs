//! Purges as they are told to other instances.

use serde_json::{Map, Value, json};

use crate::cache::{Mode, Selection};

/// A purge as text.
pub(super) fn write(selection: &Selection, mode: Mode) -> String {
    let Selection { key, url, tag, namespace, pattern, status, field, age_min, bytes_min } = selection;
    let mut told = Map::new();
    let texts = [("key", key), ("url", url), ("tag", tag), ("namespace", namespace), ("pattern", pattern)];
    for (name, text) in texts {
        told.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
    }
    let numbers = [("status", status.map(u64::from)), ("age_min", *age_min), ("bytes_min", *bytes_min)];
    for (name, number) in numbers {
        told.extend(number.map(|number| (name.to_owned(), json!(number))));
    }
    told.extend(field.as_ref().map(|(name, part)| ("field".to_owned(), json!([name, part]))));
    if mode == Mode::Soft {
        told.insert("soft".to_owned(), json!(true));
    }
    Value::Object(told).to_string()
}

/// A purge that another instance told. None where it says something that is not known here: then everything must be taken for purged.
pub(super) fn read(text: &str) -> Option<(Selection, Mode)> {
    let Value::Object(told) = serde_json::from_str(text).ok()? else { return None };
    let (mut selection, mut mode) = (Selection::default(), Mode::Hard);
    for (name, value) in told {
        let text = || value.as_str().map(str::to_owned);
        match name.as_str() {
            "key" => selection.key = Some(text()?),
            "url" => selection.url = Some(text()?),
            "tag" => selection.tag = Some(text()?),
            "namespace" => selection.namespace = Some(text()?),
            "pattern" => selection.pattern = Some(text()?),
            "status" => selection.status = Some(u16::try_from(value.as_u64()?).ok()?),
            "age_min" => selection.age_min = Some(value.as_u64()?),
            "bytes_min" => selection.bytes_min = Some(value.as_u64()?),
            "field" => {
                let part = |at: usize| value.get(at)?.as_str().map(str::to_owned);
                selection.field = Some((part(0)?, part(1)?));
            }
            "soft" => mode = Mode::Soft,
            _ => return None,
        }
    }
    Some((selection, mode))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let some = |text: &str| Some(text.to_owned());
        let none = Selection::default();
        for selection in [
            none.clone(),
            Selection { key: some("a\0b"), url: some("http://ä/"), ..none.clone() },
            Selection { tag: some("\"t\""), namespace: some(""), pattern: some("*"), ..none.clone() },
            Selection { status: Some(404), age_min: Some(u64::MAX), bytes_min: Some(0), ..none.clone() },
            Selection { field: Some(("x".into(), "y".into())), ..none },
        ] {
            for mode in [Mode::Hard, Mode::Soft] {
                assert_eq!(read(&write(&selection, mode)).unwrap(), (selection.clone(), mode));
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for text in ["", "[]", "{\"color\":\"red\"}", "{\"url\":1}", "{\"field\":[\"a\"]}", "{\"status\":70000}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
