//! Reads one JSON file.
//!
//! Unlike serde_json alone it refuses a key that is written twice, of which all but the last would be lost silently,
//! and takes `1.0` and `1e3` for the whole numbers they are (RFC 8259 section 6 knows one kind of number).

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{Place, Problem, unreadable};
use crate::plugin::schema::{JsonPath, Step};
use crate::regular;

/// A JSON document and the keys that stand in it twice.
#[derive(Debug)]
pub(super) struct Document {
    /// The document, with the last of each.
    pub(super) value: Value,
    /// Where a key stands that stood there before.
    pub(super) duplicates: Vec<JsonPath>,
}

/// Longest configuration file, in bytes. Someone may name a log file or a device by mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Document, Problem> {
    let bytes = regular::read(path, FILE_BYTES_MAX).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "write the file or name another",
            ErrorKind::PermissionDenied => "let the gateway's user read it",
            ErrorKind::FileTooLarge => "name a configuration file",
            _ => "name a file that can be read",
        };
        unreadable(path, error.to_string(), remedy)
    })?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(unreadable(path, "is not UTF-8", "save it as UTF-8 (RFC 8259 section 8.1)"));
    };
    parse(&text).map_err(|error| syntax_problem(path, &text, &error))
}

/// Parses a text.
fn parse(text: &str) -> Result<Document, serde_json::Error> {
    // A byte order mark may be ignored (RFC 8259 section 8.1); some editors write one.
    let mut deserializer = serde_json::Deserializer::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reading = Reading::default();
    let value = Reader(&mut reading).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Document { value, duplicates: reading.duplicates })
}

fn syntax_problem(path: &Path, text: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let here = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let (what, remedy) = match what {
        _ if text.trim().is_empty() => ("the file is empty", "write a JSON object"),
        _ if here.starts_with('/') || here.starts_with('#') => ("JSON has no comments", "remove this one"),
        _ if here.starts_with('\'') => ("JSON has no single quotes", "write double quotes"),
        "trailing comma" => ("there is a comma, but nothing follows it", "remove the comma before this place"),
        "key must be a string" => ("a key must be a string", "put the key in double quotes"),
        "expected `,` or `}`" => ("expected a comma or \"}\"", "add what is missing before this place"),
        "expected `,` or `]`" => ("expected a comma or \"]\"", "add what is missing before this place"),
        "expected `:`" => ("expected a colon", "write it between the key and its value"),
        "expected value" => ("expected a value", "write an object, array, string, number, true, false or null"),
        "trailing characters" => {
            ("the document has ended, but text follows", "remove what follows, or a \"}\" too many")
        }
        "recursion limit exceeded" => ("is nested too deeply", "flatten it"),
        eof if eof.starts_with("EOF") => ("the file ends in the middle", "add the closing bracket or quote"),
        string if string.starts_with("control character") => {
            ("a line break or control character stands in a string", "close the string or write \\n")
        }
        other => (other, "write valid JSON (RFC 8259)"),
    };
    Problem {
        file: Some(path.to_owned()),
        place: Place::Text { line: error.line(), column: error.column() },
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Where the reader is, and what it noticed.
#[derive(Debug, Default)]
struct Reading {
    path: Vec<Step>,
    duplicates: Vec<JsonPath>,
}

impl Reading {
    fn here(&self) -> JsonPath {
        self.path.iter().cloned().fold(JsonPath::root(), |path, step| path.step(step))
    }
}

struct Reader<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            self.0.path.push(Step::Index(array.len()));
            let item = items.next_element_seed(Reader(self.0))?;
            self.0.path.pop();
            match item {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.path.push(Step::Key(key.clone()));
            let value = entries.next_value_seed(Reader(self.0))?;
            if map.insert(key, value).is_some() {
                let here = self.0.here();
                self.0.duplicates.push(here);
            }
            self.0.path.pop();
        }
        Ok(Value::Object(map))
    }
}

/// A number, whole if it is.
fn number(value: f64) -> Value {
    // Up to 2^53 every whole number has its own f64 (RFC 8259 section 6).
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_whole() {
        let value = parse("[1, 1.0, 1e3, -2.0, 0.5, 1e300]").unwrap().value;
        assert_eq!(value, json!([1, 1, 1000, -2, 0.5, 1e300]));
    }

    #[test]
    fn a_key_that_stands_twice_is_noticed() {
        let document = parse(r#"{"a": [{"b": 1, "c": 2, "b": 3}], "a2": 1}"#).unwrap();
        assert_eq!(document.duplicates.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a[0].b"]);
        assert_eq!(document.value, json!({"a": [{"b": 3, "c": 2}], "a2": 1}));
    }

    #[test]
    fn syntax_errors_say_where_and_what() {
        let check = |text: &str, expected: &str| {
            let problem = syntax_problem(Path::new("x.json"), text, &parse(text).unwrap_err());
            assert_eq!(problem.to_string(), expected, "{text:?}");
        };
        check("", "x.json:1:0: the file is empty; write a JSON object");
        check(
            "{\"a\": 1,}",
            "x.json:1:9: there is a comma, but nothing follows it; remove the comma before this place",
        );
        check("{\"a\": 1\n\"b\": 2}", "x.json:2:1: expected a comma or \"}\"; add what is missing before this place");
        check("{\n  // a\n}", "x.json:2:3: JSON has no comments; remove this one");
        check("{a: 1}", "x.json:1:2: a key must be a string; put the key in double quotes");
        check("{\"a\" 1}", "x.json:1:6: expected a colon; write it between the key and its value");
        check("{\"a\": 1", "x.json:1:7: the file ends in the middle; add the closing bracket or quote");
        check(
            "{} {}",
            "x.json:1:4: the document has ended, but text follows; remove what follows, or a \"}\" too many",
        );
        check("{\"a\": 'x'}", "x.json:1:7: JSON has no single quotes; write double quotes");
        check(
            "{\"a\": \"x\n\"}",
            "x.json:2:0: a line break or control character stands in a string; close the string or write \\n",
        );
        let deep = "[".repeat(200);
        check(&deep, "x.json:1:128: is nested too deeply; flatten it");
    }
}
