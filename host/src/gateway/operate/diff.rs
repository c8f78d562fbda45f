//! What differs between two documents, value by value.
//!
//! Pure. Lists are compared element by element behind what both begin with and before what both end with; what has another name is
//! another element.

use serde_json::Value;

use super::restore::identity;
use crate::plugin::schema::JsonPath;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where: `$.routes[0].cache`, in the document after the change; what was taken away, in the one before.
    pub path: String,
    /// What stood there, without secrets; none: nothing.
    pub before: Option<Value>,
    /// What stands there, without secrets; none: nothing.
    pub after: Option<Value>,
}

/// Where two documents differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) before: Option<JsonPath>,
    pub(super) after: Option<JsonPath>,
}

impl Difference {
    /// What is shown of it, out of documents without secrets.
    pub(super) fn change(&self, before: &Value, after: &Value) -> Change {
        let place = self.after.as_ref().or(self.before.as_ref());
        let of =
            |path: &Option<JsonPath>, document: &Value| path.as_ref().and_then(|path| path.find(document)).cloned();
        Change {
            path: place.map(JsonPath::from_root).unwrap_or_default(),
            before: of(&self.before, before),
            after: of(&self.after, after),
        }
    }

    /// The places of single values that differ, in a document.
    pub(super) fn leaves(&self, before: &Value, after: &Value) -> Vec<JsonPath> {
        let mut leaves = Vec::new();
        for (path, document) in [(&self.before, before), (&self.after, after)] {
            if let Some(path) = path
                && let Some(value) = path.find(document)
            {
                collect(value, path, &mut leaves);
            }
        }
        leaves
    }
}

fn collect(value: &Value, at: &JsonPath, leaves: &mut Vec<JsonPath>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| collect(value, &at.key(key), leaves));
        }
        _ => leaves.push(at.clone()),
    }
}

/// Everything that differs, in the order of the document after the change.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare((before, after), (&JsonPath::root(), &JsonPath::root()), &mut found);
    found
}

fn compare((before, after): (&Value, &Value), (at, to): (&JsonPath, &JsonPath), found: &mut Vec<Difference>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                match old.get(key) {
                    Some(known) => compare((known, value), (&at.key(key), &to.key(key)), found),
                    None => found.push(Difference { before: None, after: Some(to.key(key)) }),
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                found.push(Difference { before: Some(at.key(key)), after: None });
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
            let (old_rest, new_rest) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
            let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
            let old_rest = old_rest.get(..old_rest.len() - end).unwrap_or_default();
            let new_rest = new_rest.get(..new_rest.len() - end).unwrap_or_default();
            for number in 0..old_rest.len().max(new_rest.len()) {
                let (at, to) = (at.index(start + number), to.index(start + number));
                match (old_rest.get(number), new_rest.get(number)) {
                    (Some(old), Some(new)) if identity(old) == identity(new) => compare((old, new), (&at, &to), found),
                    (old, new) => {
                        found.push(Difference { before: old.map(|_| at), after: new.map(|_| to) });
                    }
                }
            }
        }
        _ => found.push(Difference { before: Some(at.clone()), after: Some(to.clone()) }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_compared_value_by_value() {
        let check = |before: Value, after: Value, expected: &[(&str, Option<Value>, Option<Value>)]| {
            let found = differences(&before, &after);
            let changes: Vec<_> = found.iter().map(|difference| difference.change(&before, &after)).collect();
            let wanted = expected.iter().map(|(path, before, after)| Change {
                path: (*path).to_owned(),
                before: before.clone(),
                after: after.clone(),
            });
            assert_eq!(changes, wanted.collect::<Vec<_>>(), "{before} {after}");
        };
        check(json!({"a": 1}), json!({"a": 1}), &[]);
        check(
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": 3, "d": 4}}),
            &[
                ("$.a.b", Some(json!(1)), Some(json!(3))),
                ("$.a.d", None, Some(json!(4))),
                ("$.a.c", Some(json!(2)), None),
            ],
        );
        check(json!([1, 2, 3]), json!([1, 3]), &[("$[1]", Some(json!(2)), None)]);
        check(json!([1, 3]), json!([1, 2, 3]), &[("$[1]", None, Some(json!(2)))]);
        let named = |name: &str, on: bool| json!({"plugin": name, "enabled": on});
        check(
            json!([named("a", true)]),
            json!([named("a", false)]),
            &[("$[0].enabled", Some(json!(true)), Some(json!(false)))],
        );
        check(
            json!([named("a", true)]),
            json!([named("b", true)]),
            &[("$[0]", Some(named("a", true)), Some(named("b", true)))],
        );
    }
}
