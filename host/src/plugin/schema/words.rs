//! Words for what a validator found.
//!
//! A validator speaks of keywords; a user wants to know what to write. The work is in alternatives (`anyOf`, `oneOf`):
//! of all the reasons why none of them fits, only those are told that belong to the one that was meant.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::Location;
use serde_json::Value;

use super::{Fault, JsonPath, Problem, Step, nearest};

/// Longest list of allowed words in a message.
const LISTED_MAX: usize = 24;

/// What is needed to speak of one document.
pub(super) struct Words<'a> {
    /// The schema, to look up what would have been allowed.
    pub(super) schema: &'a Value,
    /// The whole value that was checked.
    pub(super) instance: &'a Value,
    /// Where it stands in the user's document.
    pub(super) at: &'a JsonPath,
}

impl Words<'_> {
    /// The problems that some errors stand for.
    pub(super) fn all<'e>(&self, errors: impl IntoIterator<Item = ValidationError<'e>>) -> Vec<Problem> {
        errors.into_iter().flat_map(|error| self.one(&error)).collect()
    }

    fn one(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let path = self.path(error.instance_path());
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                unexpected.iter().map(|key| self.unknown_key(error, &path, key)).collect()
            }
            Kind::AnyOf { context } => self.alternatives(&path, context, "at least"),
            Kind::OneOfNotValid { context } => self.alternatives(&path, context, "exactly"),
            Kind::OneOfMultipleValid { .. } => vec![self.too_many(error, path)],
            Kind::Required { property } => vec![self.missing_key(error, &path, property)],
            Kind::Type { kind } => vec![wrong_type(path, error.instance(), expected_types(kind))],
            Kind::Enum { options } => {
                let options = options.as_array().cloned().unwrap_or_default();
                vec![wrong_choice(path, error.instance(), options)]
            }
            Kind::Constant { expected_value } => {
                vec![wrong_choice(path, error.instance(), vec![expected_value.as_ref().clone()])]
            }
            _ => vec![limit_broken(path, error)],
        }
    }

    /// The place of an error. The validator's locations do not tell a key `0` from an index 0; the document does.
    fn path(&self, location: &Location) -> JsonPath {
        let mut path = self.at.clone();
        let mut value = Some(self.instance);
        for segment in location.iter() {
            let text = segment.to_string();
            match (value, text.parse::<usize>()) {
                (Some(Value::Array(items)), Ok(index)) => {
                    path = path.index(index);
                    value = items.get(index);
                }
                (here, _) => {
                    path = path.key(&text);
                    value = here.and_then(|here| here.get(&text));
                }
            }
        }
        path
    }

    /// The schema object that the keyword of an error stands in.
    fn schema_around(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let (around, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
        self.schema.pointer(around)
    }

    fn known_keys(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let properties = self.schema_around(error).and_then(|schema| schema.get("properties")?.as_object());
        properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn unknown_key(&self, error: &ValidationError<'_>, path: &JsonPath, key: &str) -> Problem {
        let known = self.known_keys(error);
        let meant = nearest(key, known.iter().copied());
        let remedy = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if known.is_empty() => "remove it".to_owned(),
            None => format!("remove it; known here: {}", listed(&known, "and")),
        };
        let fault = Fault::UnknownKey(meant.map(str::to_owned));
        Problem { path: path.key(key), what: "unknown key".to_owned(), remedy, fault }
    }

    fn missing_key(&self, error: &ValidationError<'_>, path: &JsonPath, property: &Value) -> Problem {
        let key = property.as_str().unwrap_or_default();
        let schema = self.schema_around(error).and_then(|schema| schema.get("properties")?.get(key));
        let example = schema.and_then(|schema| schema.get("examples")?.get(0));
        let kind = schema.and_then(|schema| schema.get("type")?.as_str()).map(type_words);
        let remedy = match (example, kind) {
            (Some(example), _) => format!("add it, for example {key:?}: {example}"),
            (None, Some(kind)) => format!("add it: {kind}"),
            (None, None) => "add it".to_owned(),
        };
        Problem { path: path.key(key), what: "missing".to_owned(), remedy, fault: Fault::MissingKey }
    }

    fn too_many(&self, error: &ValidationError<'_>, path: JsonPath) -> Problem {
        let branches = self.schema.pointer(error.schema_path().as_str()).and_then(Value::as_array);
        let keys: Vec<&str> = branches
            .into_iter()
            .flatten()
            .filter_map(|branch| branch.get("required")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let there: Vec<&str> = keys.iter().copied().filter(|key| error.instance().get(key).is_some()).collect();
        let (what, remedy) = if there.len() > 1 {
            (format!("has {}", listed(&there, "and")), format!("keep exactly one of {}", listed(&keys, "and")))
        } else {
            let what = "fits more than one of the alternatives its schema gives";
            (what.to_owned(), "write it so that it fits exactly one".to_owned())
        };
        Problem { path, what, remedy, fault: Fault::TooManyOf }
    }

    /// None of several alternatives fits. Which was meant?
    fn alternatives(&self, here: &JsonPath, context: &[Vec<ValidationError<'static>>], how_many: &str) -> Vec<Problem> {
        let mut branches: Vec<Vec<Problem>> =
            context.iter().map(|errors| errors.iter().flat_map(|error| self.one(error)).collect()).collect();
        // Those for another type were not meant, unless none is for this one.
        if let Some(problem) = merged_types(here, &branches) {
            return vec![problem];
        }
        let other_type = |problem: &Problem| problem.path == *here && matches!(problem.fault, Fault::Type(_));
        branches.retain(|branch| !branch.iter().any(other_type));
        // A value, or a tag such as `"kind": "x"`, that none of them knows.
        if branches.len() > 1
            && let Some(problem) = merged_choices(&branches, self.instance, self.at)
        {
            return vec![problem];
        }
        let tagged_otherwise =
            |branch: &Vec<Problem>| branch.iter().any(|problem| matches!(problem.fault, Fault::Choice(_)));
        if !branches.iter().all(tagged_otherwise) {
            branches.retain(|branch| !tagged_otherwise(branch));
        }
        // One key names the alternative, and it is not there.
        if branches.len() > 1
            && let Some(problems) = merged_missing(here, &branches, how_many)
        {
            return problems;
        }
        let rank =
            |branch: &Vec<Problem>| (branch.iter().any(|problem| problem.fault == Fault::MissingKey), branch.len());
        branches.into_iter().min_by_key(rank).unwrap_or_default()
    }
}

/// If every alternative wants another type: all the types that are wanted.
fn merged_types(here: &JsonPath, branches: &[Vec<Problem>]) -> Option<Problem> {
    let mut wanted: Vec<&'static str> = Vec::new();
    let mut found = None;
    for branch in branches {
        let (problem, types) = branch.iter().find_map(|problem| match &problem.fault {
            Fault::Type(types) if problem.path == *here => Some((problem, types)),
            _ => None,
        })?;
        found = found.or(Some(problem));
        wanted.extend(types.iter().filter(|kind| !wanted.contains(kind)).copied().collect::<Vec<_>>());
    }
    let remedy = wanted_types(&wanted);
    Some(Problem { remedy, fault: Fault::Type(wanted), ..found?.clone() })
}

/// If every alternative wants another word in the same place: all the words that are wanted.
fn merged_choices(branches: &[Vec<Problem>], instance: &Value, at: &JsonPath) -> Option<Problem> {
    let choice = |problem: &Problem| matches!(problem.fault, Fault::Choice(_));
    let place = &branches.first()?.iter().find(|problem| choice(problem))?.path;
    let mut options: Vec<Value> = Vec::new();
    for branch in branches {
        let Fault::Choice(more) = &branch.iter().find(|problem| choice(problem) && problem.path == *place)?.fault
        else {
            return None;
        };
        options.extend(more.iter().cloned());
    }
    let within = place.steps().get(at.steps().len()..).unwrap_or_default();
    let value = within.iter().try_fold(instance, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })?;
    Some(wrong_choice(place.clone(), value, options))
}

/// If every alternative misses a key of its own: that one of them is needed, and what is there instead.
fn merged_missing(here: &JsonPath, branches: &[Vec<Problem>], how_many: &str) -> Option<Vec<Problem>> {
    let mut keys: Vec<String> = Vec::new();
    for branch in branches {
        let missing =
            |problem: &&Problem| problem.fault == Fault::MissingKey && problem.path.parent().as_ref() == Some(here);
        let key = branch.iter().find(missing)?.path.last_key()?;
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    if keys.len() < 2 {
        return None; // All miss the same key: that is no choice.
    }
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    // A key that no alternative knows, perhaps a misspelled name of one.
    let (first, others) = branches.split_first()?;
    let unknown = |problem: &Problem| matches!(problem.fault, Fault::UnknownKey(_));
    let everywhere = first.iter().filter(|problem| unknown(problem)).filter(|problem| {
        others.iter().all(|branch| branch.iter().any(|other| unknown(other) && other.path == problem.path))
    });
    let mut problems: Vec<Problem> = everywhere
        .map(|problem| {
            let meant = nearest(problem.path.last_key().unwrap_or_default(), names.iter().copied());
            let remedy = match meant {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "remove it".to_owned(),
            };
            Problem { remedy, fault: Fault::UnknownKey(meant.map(str::to_owned)), ..problem.clone() }
        })
        .collect();
    problems.push(Problem {
        path: here.clone(),
        what: format!("has none of {}", listed(&names, "and")),
        remedy: format!("add {how_many} one of them"),
        fault: Fault::MissingOneOf(keys),
    });
    Some(problems)
}

fn wrong_type(path: JsonPath, value: &Value, expected: Vec<&'static str>) -> Problem {
    let what = match type_of(value) {
        "number" => "is a number with a fraction".to_owned(),
        "boolean" => format!("is {value}"),
        other => format!("is {}", type_words(other)),
    };
    Problem { path, what, remedy: wanted_types(&expected), fault: Fault::Type(expected) }
}

fn wrong_choice(path: JsonPath, value: &Value, options: Vec<Value>) -> Problem {
    let texts: Vec<String> = options.iter().map(ToString::to_string).collect();
    let meant = value.as_str().and_then(|value| nearest(value, options.iter().filter_map(Value::as_str)));
    let remedy = match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("write {}", joined(&texts, "or")),
    };
    // Shown, because it stands where one of a few known words should; cut, because it may be anything.
    let mut shown: String = value.to_string().chars().take(60).collect();
    if shown.len() < value.to_string().len() {
        shown.push('…');
    }
    let what = format!("{shown} is not known here");
    Problem { path, what, remedy, fault: Fault::Choice(options) }
}

/// A value of the right type that breaks a limit.
fn limit_broken(path: JsonPath, error: &ValidationError<'_>) -> Problem {
    let value = error.instance();
    let length = match value.as_ref() {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    let (what, remedy) = match error.kind() {
        Kind::Minimum { limit } => (format!("{value} is too small"), format!("write {limit} or more")),
        Kind::Maximum { limit } => (format!("{value} is too large"), format!("write {limit} or less")),
        Kind::ExclusiveMinimum { limit } => (format!("{value} is too small"), format!("write more than {limit}")),
        Kind::ExclusiveMaximum { limit } => (format!("{value} is too large"), format!("write less than {limit}")),
        Kind::MinLength { limit: 1 } => ("is empty".to_owned(), "write something".to_owned()),
        Kind::MinLength { limit } => (has(length, "character"), format!("write at least {limit}")),
        Kind::MaxLength { limit } => (has(length, "character"), format!("write at most {limit}")),
        Kind::MinItems { .. } | Kind::MinProperties { .. } if length == 0 => {
            ("is empty".to_owned(), "add at least one".to_owned())
        }
        Kind::MinItems { limit } => (has(length, "item"), format!("write at least {limit}")),
        Kind::MaxItems { limit } => (has(length, "item"), format!("write at most {limit}")),
        Kind::MinProperties { limit } => (has(length, "key"), format!("write at least {limit}")),
        Kind::MaxProperties { limit } => (has(length, "key"), format!("write at most {limit}")),
        Kind::UniqueItems => ("has the same item twice".to_owned(), "remove one of them".to_owned()),
        Kind::Pattern { pattern } => {
            ("has not the form it must have".to_owned(), format!("write something that matches {pattern}"))
        }
        Kind::Format { format } => ("has not the form it must have".to_owned(), format!("write: {format}")),
        Kind::FalseSchema => ("is not allowed here".to_owned(), "remove it".to_owned()),
        _ => (error.masked_with("the value").to_string(), "change it to what its schema asks for".to_owned()),
    };
    Problem { path, what, remedy, fault: Fault::Value }
}

fn has(count: usize, what: &str) -> String {
    format!("has {count} {what}{}", if count == 1 { "" } else { "s" })
}

fn expected_types(kind: &TypeKind) -> Vec<&'static str> {
    match kind {
        TypeKind::Single(one) => vec![one.as_str()],
        TypeKind::Multiple(set) => set.iter().map(|one| one.as_str()).collect(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_words(name: &str) -> &'static str {
    match name {
        "null" => "null",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "array" => "an array",
        "object" => "an object",
        _ => "something else",
    }
}

fn wanted_types(types: &[&'static str]) -> String {
    let texts: Vec<String> = types.iter().map(|name| type_words(name).to_owned()).collect();
    format!("write {}", joined(&texts, "or"))
}

/// `"a", "b" and "c"`.
fn listed(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    joined(&quoted, last)
}

fn joined(texts: &[String], last: &str) -> String {
    match texts {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [front @ .., back] if texts.len() <= LISTED_MAX => format!("{} {last} {back}", front.join(", ")),
        _ => {
            let front: Vec<&str> = texts.iter().take(LISTED_MAX).map(String::as_str).collect();
            format!("{} {last} {} more", front.join(", "), texts.len() - LISTED_MAX)
        }
    }
}
