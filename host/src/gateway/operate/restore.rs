//! Puts secrets back into a document that was sent without them.
//!
//! Pure. What says [`REDACTED`] must stand where it was shown; in a list, where its element can be told from the others. A secret
//! never moves to where it was not: that would hand it to somebody else.

use serde_json::Value;

use super::REDACTED;
use super::refusal::Problem;
use crate::plugin::schema::JsonPath;

/// What elements of lists are told apart by, the most telling first.
const IDENTITIES: &[&str] =
    &["plugin", "name", "id", "kid", "address", "upstream", "user", "username", "subject", "host", "url"];

/// Fills in what `shown` hid of `stored`, and gives what cannot be filled in.
pub(super) fn restore(sent: &mut Value, shown: &Value, stored: &Value) -> Vec<Problem> {
    let mut lost = Vec::new();
    fill(sent, Some((shown, stored)), &JsonPath::root(), &mut lost);
    let problem = |path: &JsonPath| {
        let what = format!("{REDACTED:?} stands for nothing here: no secret was shown like that at this place");
        Problem::at(path, what, "write the value, or leave what was shown where it was")
    };
    lost.iter().map(problem).collect()
}

fn fill(sent: &mut Value, known: Option<(&Value, &Value)>, at: &JsonPath, lost: &mut Vec<JsonPath>) {
    match sent {
        Value::String(text) if text == REDACTED => match known {
            Some((Value::String(shown), stored)) if shown == REDACTED => *sent = stored.clone(),
            _ => lost.push(at.clone()),
        },
        Value::Object(map) => {
            for (key, value) in map {
                let known = known.and_then(|(shown, stored)| Some((shown.get(key)?, stored.get(key)?)));
                fill(value, known, &at.key(key), lost);
            }
        }
        Value::Array(items) => {
            let (shown, stored) = match known {
                Some((Value::Array(shown), Value::Array(stored))) => (shown.as_slice(), stored.as_slice()),
                _ => (&[][..], &[][..]),
            };
            let length = items.len();
            let mut taken = vec![false; shown.len()];
            for (index, item) in items.iter_mut().enumerate() {
                let found = partner(item, (index, length), shown);
                // One secret for two is one too many.
                let found =
                    found.filter(|found| taken.get_mut(*found).is_some_and(|taken| !std::mem::replace(taken, true)));
                let known = found.and_then(|found| Some((shown.get(found)?, stored.get(found)?)));
                fill(item, known, &at.index(index), lost);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Which element of a list that was shown has become this one.
fn partner(item: &Value, (index, length): (usize, usize), shown: &[Value]) -> Option<usize> {
    let same_length = length == shown.len();
    let mut equal = shown.iter().enumerate().filter(|(_, shown)| *shown == item).map(|(index, _)| index);
    match (equal.next(), equal.next()) {
        (Some(only), None) => return Some(only),
        // Alike, but perhaps not in what is hidden: only their places tell them apart.
        (Some(_), Some(_)) => return (same_length && shown.get(index) == Some(item)).then_some(index),
        (None, _) => {}
    }
    if let Some(name) = identity(item) {
        let mut same = shown.iter().enumerate().filter(|(_, shown)| identity(shown) == Some(name));
        let first = same.next().map(|(index, _)| index);
        return first.filter(|_| same.next().is_none());
    }
    let nameless = shown.get(index).is_some_and(|shown| identity(shown).is_none());
    (same_length && nameless).then_some(index)
}

/// What an element of a list is called.
pub(super) fn identity(item: &Value) -> Option<(&'static str, &str)> {
    IDENTITIES.iter().find_map(|key| Some((*key, item.get(key)?.as_str()?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::secrets::{Shape, redacted};

    fn stored() -> Value {
        json!({
            "redis": { "password": "one" },
            "plugins": { "chain": [
                { "plugin": "a", "config": { "secret": "two", "keys": ["three", "four"] } },
                { "plugin": "b", "config": { "secret": "five" } },
            ] },
        })
    }

    /// What comes of a document that was shown and then edited: what is stored, or where it is wrong.
    fn sent(edit: impl FnOnce(&mut Value)) -> Result<Value, Vec<String>> {
        let stored = stored();
        let shown = redacted(&stored, &|_| Shape::Unmarked);
        assert!(!["one", "two", "three", "four", "five"].iter().any(|secret| shown.to_string().contains(secret)));
        let mut sent = shown.clone();
        edit(&mut sent);
        let lost = restore(&mut sent, &shown, &stored);
        if lost.is_empty() { Ok(sent) } else { Err(lost.into_iter().map(|problem| problem.path).collect()) }
    }

    #[test]
    fn what_comes_back_as_it_was_shown_is_what_it_was() {
        assert_eq!(sent(|_| {}).unwrap(), stored());
        let swapped = sent(|sent| sent["plugins"]["chain"].as_array_mut().unwrap().reverse()).unwrap();
        assert_eq!(swapped["plugins"]["chain"][0]["config"]["secret"], "five");
        let edited = sent(|sent| sent["plugins"]["chain"][0]["enabled"] = json!(false)).unwrap();
        assert_eq!(edited["plugins"]["chain"][0]["config"]["keys"], json!(["three", "four"]));
        let other = sent(|sent| sent["redis"]["password"] = json!("new")).unwrap();
        assert_eq!(other["redis"]["password"], "new");
    }

    #[test]
    fn a_secret_does_not_move() {
        let moved = sent(|sent| sent["redis"]["username"] = json!(REDACTED));
        assert_eq!(moved.unwrap_err(), ["$.redis.username"]);
        let renamed = sent(|sent| sent["plugins"]["chain"][1]["plugin"] = json!("c"));
        assert_eq!(renamed.unwrap_err(), ["$.plugins.chain[1].config.secret"]);
        let copied = sent(|sent| {
            let copy = sent["plugins"]["chain"][1].clone();
            sent["plugins"]["chain"].as_array_mut().unwrap().push(copy);
        });
        assert_eq!(copied.unwrap_err(), ["$.plugins.chain[2].config.secret"]);
        let ambiguous =
            sent(|sent| drop(sent["plugins"]["chain"][0]["config"]["keys"].as_array_mut().unwrap().remove(0)));
        assert_eq!(ambiguous.unwrap_err(), ["$.plugins.chain[0].config.keys[0]"]);
    }
}
