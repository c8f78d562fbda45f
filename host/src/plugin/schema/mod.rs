//! Holds a JSON value against a JSON Schema and says in plain words everything that is wrong with it.
//!
//! Used for the gateway's own configuration and for each plugin's. A schema may come from a plugin and is not trusted:
//! it cannot fetch anything, and its patterns run in linear time. Messages never show a value except where the
//! schema lists the values that are allowed, because a configuration holds secrets.

mod nearest;
mod path;
mod words;

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

pub use nearest::nearest;
pub use path::{JsonPath, Step};

/// Something that is wrong with a value, where, and what to write instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where. For a key that is missing, where it should be.
    pub path: JsonPath,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
    /// What sort of mistake it is.
    pub fault: Fault,
}

/// What sort of mistake a [`Problem`] is, for code that wants to go on with the rest of the document.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The value is of another type than these.
    Type(Vec<&'static str>),
    /// The value is none of these.
    Choice(Vec<Value>),
    /// Another fault of the value.
    Value,
    /// The key is not known; perhaps this one was meant.
    UnknownKey(Option<String>),
    /// The key is missing.
    MissingKey,
    /// None of these keys is there, and one has to be.
    MissingOneOf(Vec<String>),
    /// More than one of several keys is there, and only one may be.
    TooManyOf,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.remedy)
    }
}

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is no JSON Schema, or refers to something that is not in it.
    #[error("not a usable JSON Schema: {0}")]
    Unusable(String),
    /// It is larger than [`SCHEMA_BYTES_MAX`].
    #[error("a JSON Schema of {0} bytes, more than the {SCHEMA_BYTES_MAX} that are allowed")]
    TooLarge(usize),
}

/// Longest schema, in bytes of JSON. The gateway's own has 30 KiB; what is far longer is a mistake or an attack.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes that one compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A JSON Schema, ready to be used many times.
#[derive(Debug, Clone)]
pub struct Schema {
    source: Value,
    validator: Validator,
}

impl Schema {
    /// Prepares a schema.
    pub fn new(source: Value) -> Result<Self, SchemaError> {
        let length = source.to_string().len();
        if length > SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge(length));
        }
        // The crate is built without its resolvers, so a reference can only point into the schema itself.
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            .build(&source)
            .map_err(|error| SchemaError::Unusable(error.masked().to_string()))?;
        Ok(Self { source, validator })
    }

    /// Everything that is wrong with `instance`, which stands at `at` in the document the user wrote.
    ///
    /// What follows from another mistake is left out: a key that is missing because it was misspelled is one problem.
    pub fn problems(&self, instance: &Value, at: &JsonPath) -> Vec<Problem> {
        let words = words::Words { schema: &self.source, instance, at };
        let problems = words.all(self.validator.iter_errors(instance));
        let misspelled = |path: &JsonPath, key: &str| {
            problems.iter().any(|problem| match &problem.fault {
                Fault::UnknownKey(Some(meant)) => meant == key && problem.path.parent().as_ref() == Some(path),
                _ => false,
            })
        };
        // A value of the wrong type breaks everything else as well; the type is what to say.
        let wrong_type = |path: &JsonPath| {
            problems.iter().any(|problem| problem.path == *path && matches!(problem.fault, Fault::Type(_)))
        };
        let follows = |problem: &Problem| match &problem.fault {
            Fault::Type(_) => false,
            _ if wrong_type(&problem.path) => true,
            Fault::MissingKey => match (problem.path.parent(), problem.path.last_key()) {
                (Some(parent), Some(key)) => misspelled(&parent, key),
                _ => false,
            },
            Fault::MissingOneOf(keys) => keys.iter().any(|key| misspelled(&problem.path, key)),
            _ => false,
        };
        let mut kept: Vec<Problem> = Vec::new();
        for problem in &problems {
            if !follows(problem) && !kept.contains(problem) {
                kept.push(problem.clone());
            }
        }
        kept
    }
}

/// Everything that is wrong with `instance`, which stands at `at` in the document the user wrote.
pub fn schema_problems(schema: &Value, instance: &Value, at: &JsonPath) -> Result<Vec<Problem>, SchemaError> {
    Ok(Schema::new(schema.clone())?.problems(instance, at))
}

#[cfg(test)]
mod tests;
