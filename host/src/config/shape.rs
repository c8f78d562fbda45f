//! Holds a configuration against the schema, reports what is wrong, and takes that out, so that the rest can be checked.
//!
//! What is left always fits `file`: a wrong value becomes `null`, which every field there understands as "reported".

use std::sync::LazyLock;

use serde_json::Value;

use super::environment::Variables;
use super::file::{self, File};
use super::problem::Report;
use crate::plugin::schema::{Fault, JsonPath, Problem, Schema, SchemaError, Step};

/// Keys that had another name once: the old path, with `[]` for any index, and the new name.
const RENAMED: &[(&str, &str)] = &[];

/// What every configuration is held against.
static SCHEMA: LazyLock<Result<Schema, SchemaError>> = LazyLock::new(|| Schema::new(file::strict_schema()));

/// What is said where the schema and the types differ; a test looks for it.
const NOT_DECODED: &str = "change it to what the JSON Schema of the file describes";

/// Turns a document into its typed shape.
pub(super) fn check(document: &mut Value, variables: &Variables, report: &mut Report) -> File {
    let schema = match &*SCHEMA {
        Ok(schema) => schema,
        Err(error) => {
            report.add(&JsonPath::root(), error.to_string(), "report this as a bug of Portcullis");
            return File::default();
        }
    };
    let mut problems = schema.problems(document, &JsonPath::root());
    if convert(document, variables, &problems) {
        problems = schema.problems(document, &JsonPath::root());
    }
    // What a variable could not be filled into has been reported; that its key is unknown has not.
    problems.retain(|problem| matches!(problem.fault, Fault::UnknownKey(_)) || !report.is_gone(&problem.path));
    let mut rest = document.clone();
    for place in report.gone().iter().filter(|place| !is_opaque(place)) {
        if let Some(value) = place.find_mut(&mut rest) {
            *value = Value::Null;
        }
    }
    for problem in problems {
        tell(&problem, variables, RENAMED, report);
        take_out(&problem, &mut rest, report);
    }
    if rest.is_null() {
        return File::default();
    }
    serde_json::from_value(rest).unwrap_or_else(|error| {
        // The schema and the types are made from one source; a test looks for values on which they differ.
        report.add(&JsonPath::root(), error.to_string(), NOT_DECODED);
        File::default()
    })
}

/// Where a variable stands for a number or a boolean, makes its text one. Says whether anything changed.
fn convert(document: &mut Value, variables: &Variables, problems: &[Problem]) -> bool {
    let mut changed = false;
    for problem in problems {
        let Fault::Type(wanted) = &problem.fault else { continue };
        let Some(value) = variables.get(&problem.path).and_then(|_| problem.path.find_mut(document)) else { continue };
        let converted = value.as_str().and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
        let fits = |converted: &Value| match converted {
            Value::Bool(_) => wanted.contains(&"boolean"),
            Value::Number(_) => wanted.contains(&"integer") || wanted.contains(&"number"),
            _ => false,
        };
        if let Some(converted) = converted.filter(fits) {
            *value = converted;
            changed = true;
        }
    }
    changed
}

fn tell(problem: &Problem, variables: &Variables, renamed: &[(&str, &str)], report: &mut Report) {
    let new_name = match problem.fault {
        Fault::UnknownKey(_) => renamed.iter().find(|(old, _)| *old == pattern_of(&problem.path)),
        _ => None,
    };
    match (new_name, variables.get(&problem.path)) {
        (Some((_, new)), _) => report.add(&problem.path, "has a new name", format!("write {new:?}")),
        (None, Some(variable)) => {
            let what = match problem.fault {
                // Elsewhere the words never show a value.
                Fault::Choice(_) => "the value is not known here",
                _ => &problem.what,
            };
            report.add(&problem.path, format!("{what} (from ${{{variable}}})"), problem.remedy.clone());
        }
        (None, None) => report.add(&problem.path, problem.what.clone(), problem.remedy.clone()),
    }
}

/// Makes the rest of the document fit its types again, and notes what must not be reported a second time.
fn take_out(problem: &Problem, rest: &mut Value, report: &mut Report) {
    match &problem.fault {
        Fault::Type(_) | Fault::Choice(_) => {
            if let Some(value) = problem.path.find_mut(rest) {
                *value = Value::Null;
            }
            report.mark_gone(problem.path.clone());
        }
        // An array of a wrong length can still be looked into; a number out of range may not fit its type.
        Fault::Value => {
            if let Some(value) = problem.path.find_mut(rest)
                && !value.is_array()
                && !value.is_object()
            {
                *value = Value::Null;
            }
            report.mark_gone(problem.path.clone());
        }
        Fault::UnknownKey(meant) => {
            let Some(parent) = problem.path.parent() else { return };
            if let (Some(Value::Object(map)), Some(key)) = (parent.find_mut(rest), problem.path.last_key()) {
                map.shift_remove(key);
            }
            if let Some(meant) = meant {
                report.mark_gone(parent.key(meant));
            }
        }
        Fault::MissingKey => report.mark_gone(problem.path.clone()),
        Fault::MissingOneOf(_) | Fault::TooManyOf => {}
    }
}

/// Whether a place is inside a plugin's own configuration, of which nothing is decoded here. A string there stays a string,
/// so that the plugin's schema does not find fault with what has been reported already.
fn is_opaque(path: &JsonPath) -> bool {
    match path.steps() {
        [Step::Key(plugins), Step::Key(chain), Step::Index(_), Step::Key(config), _, ..] => {
            plugins == "plugins" && chain == "chain" && config == "config"
        }
        [Step::Key(routes), Step::Index(_), Step::Key(plugins), Step::Key(_), Step::Key(config), _, ..] => {
            routes == "routes" && plugins == "plugins" && config == "config"
        }
        _ => false,
    }
}

/// A path as it stands in [`RENAMED`].
fn pattern_of(path: &JsonPath) -> String {
    let steps = path.steps().iter().map(|step| match step {
        Step::Key(key) => key.as_str(),
        Step::Index(_) => "[]",
    });
    steps.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_own_configuration_is_opaque() {
        let root = JsonPath::root();
        let entry = root.key("plugins").key("chain").index(0);
        let route = root.key("routes").index(0).key("plugins").key("config");
        assert!(is_opaque(&entry.key("config").key("a")));
        assert!(is_opaque(&route.key("config").key("a")));
        for place in [entry.key("config"), entry.key("limits").key("fuel"), route.clone(), route.key("config")] {
            assert!(!is_opaque(&place), "{place}");
        }
    }

    #[test]
    fn a_renamed_key_tells_its_new_name() {
        let path = JsonPath::root().key("routes").index(2).key("body_max");
        let what = "unknown key".to_owned();
        let problem = Problem { path, what, remedy: "remove it".to_owned(), fault: Fault::UnknownKey(None) };
        let mut report = Report::default();
        tell(&problem, &Variables::new(), &[("routes.[].body_max", "body_bytes_max")], &mut report);
        let problems = report.into_problems(&Value::Null, &Default::default(), &[]);
        assert_eq!(problems.to_string(), "routes[2].body_max: has a new name; write \"body_bytes_max\"");
    }
}
