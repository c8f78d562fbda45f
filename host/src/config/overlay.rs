//! Merges JSON into JSON (RFC 7396), and remembers which overlay a value came from.
//!
//! Pure. A patch that is an object merges key by key, `null` removes, everything else replaces, arrays too.

use serde_json::{Map, Value};

use crate::plugin::schema::JsonPath;

/// Which values came from which overlay.
#[derive(Debug, Default)]
pub(super) struct Provenance {
    touched: Vec<(JsonPath, usize)>,
}

impl Provenance {
    /// The number of the last overlay that wrote or removed the value at a place, or what it stands in.
    pub(super) fn overlay_of(&self, path: &JsonPath) -> Option<usize> {
        self.touched.iter().rev().find(|(touched, _)| path.is_within(touched)).map(|(_, overlay)| *overlay)
    }

    /// Merges an overlay into the document.
    pub(super) fn merge(&mut self, document: &mut Value, overlay: usize, patch: &Value) {
        merge_at(document, patch, &JsonPath::root(), &mut |path| self.touched.push((path, overlay)));
    }
}

/// Merges a patch into a target (RFC 7396 section 2).
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    merge_map(target, patch, &JsonPath::root(), &mut |_| {});
}

fn merge_at(target: &mut Value, patch: &Value, at: &JsonPath, touched: &mut dyn FnMut(JsonPath)) {
    let Value::Object(patch) = patch else {
        touched(at.clone());
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        touched(at.clone());
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        merge_map(target, patch, at, touched);
    }
}

fn merge_map(
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    at: &JsonPath,
    touched: &mut dyn FnMut(JsonPath),
) {
    for (key, value) in patch {
        if value.is_null() {
            touched(at.key(key));
            // `shift`: the other keys keep their order, in which problems are told.
            target.shift_remove(key);
        } else {
            merge_at(target.entry(key.clone()).or_insert(Value::Null), value, &at.key(key), touched);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges_as_the_examples_of_the_rfc() {
        // RFC 7396 appendix A, those whose target is an object or that replace it.
        let check = |target: Value, patch: Value, expected: Value| {
            let mut merged = target.clone();
            Provenance::default().merge(&mut merged, 0, &patch);
            assert_eq!(merged, expected, "{target} with {patch}");
        };
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"]));
        check(json!({"a": "b"}), json!(["c"]), json!(["c"]));
        check(json!({"a": "foo"}), json!("bar"), json!("bar"));
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    #[test]
    fn remembers_who_wrote_what() {
        let mut document = json!({"a": {"b": 1, "c": 2}, "d": 1});
        let mut provenance = Provenance::default();
        provenance.merge(&mut document, 0, &json!({"a": {"b": 3, "e": [1]}}));
        provenance.merge(&mut document, 1, &json!({"a": {"e": [2]}, "d": null}));
        let a = JsonPath::root().key("a");
        assert_eq!(provenance.overlay_of(&a), None);
        assert_eq!(provenance.overlay_of(&a.key("c")), None);
        assert_eq!(provenance.overlay_of(&a.key("b")), Some(0));
        assert_eq!(provenance.overlay_of(&a.key("e").index(0)), Some(1));
        assert_eq!(provenance.overlay_of(&JsonPath::root().key("d")), Some(1));
    }
}
