//! What is wrong with a configuration: all of it, in the order of the file, each with what to write instead.
//!
//! Knows nothing of what is checked; a [`Report`] only collects, sorts, and says from which file a value came.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::hidden::Hidden;
use super::overlay::Provenance;
use crate::plugin::schema::{self, JsonPath, Step};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in; none for the main file, except where the text itself is at fault.
    pub file: Option<PathBuf>,
    /// Where in the file.
    pub place: Place,
    /// What is wrong, as a predicate or a sentence.
    pub what: String,
    /// What to write instead, as an imperative.
    pub remedy: String,
}

/// Where in a file something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The whole file: it cannot be read.
    File,
    /// In the text, which is no JSON. Both count from 1; the column counts bytes.
    Text {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// At this value or key.
    Path(JsonPath),
}

impl From<schema::Problem> for Problem {
    fn from(problem: schema::Problem) -> Self {
        Self { file: None, place: Place::Path(problem.path), what: problem.what, remedy: problem.remedy }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.place) {
            (Some(file), Place::File) => write!(f, "{}: ", file.display())?,
            (Some(file), Place::Text { line, column }) => write!(f, "{}:{line}:{column}: ", file.display())?,
            (Some(file), Place::Path(path)) => write!(f, "{}: {path}: ", file.display())?,
            (None, Place::File) => {}
            (None, Place::Text { line, column }) => write!(f, "{line}:{column}: ")?,
            (None, Place::Path(path)) => write!(f, "{path}: ")?,
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with a configuration; never empty. Shows one problem per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects problems while a configuration is checked.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With paths.
    found: Vec<(JsonPath, Problem)>,
    /// Places whose values, now gone, were reported; what is missing there is no news.
    gone: Vec<JsonPath>,
    /// What no message may show.
    pub(super) hidden: Hidden,
}

impl Report {
    /// Notes that something is wrong at a place.
    pub(super) fn add(&mut self, path: &JsonPath, what: impl Into<String>, remedy: impl Into<String>) {
        self.add_in(None, path, what, remedy);
    }

    /// Notes that something is wrong at a place in a certain overlay.
    pub(super) fn add_in(
        &mut self,
        file: Option<PathBuf>,
        path: &JsonPath,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = Problem { file, place: Place::Path(path.clone()), what: what.into(), remedy: remedy.into() };
        self.found.push((path.clone(), problem));
    }

    /// Notes that the value at a place was reported and taken out.
    pub(super) fn mark_gone(&mut self, path: JsonPath) {
        self.gone.push(path);
    }

    /// The places whose values were taken out.
    pub(super) fn gone(&self) -> &[JsonPath] {
        &self.gone
    }

    /// Whether the value at a place, or what it stood in, was taken out.
    pub(super) fn is_gone(&self, path: &JsonPath) -> bool {
        self.gone.iter().any(|gone| path.is_within(gone))
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems in the order of the document, each with the overlay it comes from and without what came from variables and files.
    pub(super) fn into_problems(mut self, document: &Value, provenance: &Provenance, overlays: &[PathBuf]) -> Problems {
        self.found.sort_by_cached_key(|(path, _)| position(path, document));
        let overlay = |path: &JsonPath| provenance.overlay_of(path).and_then(|index| overlays.get(index)).cloned();
        let hidden = &self.hidden;
        let problems = self.found.into_iter().map(|(path, problem)| Problem {
            file: problem.file.or_else(|| overlay(&path)),
            place: match problem.place {
                Place::Path(path) => Place::Path(hidden.place(&path)),
                place => place,
            },
            what: hidden.of_place(&path, &problem.what),
            remedy: hidden.of_remedy(&path, &problem.remedy),
        });
        Problems(problems.collect())
    }
}

/// A problem with a file as a whole.
pub(super) fn unreadable(file: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { file: Some(file.to_owned()), place: Place::File, what: what.into(), remedy: remedy.into() }
}

/// Where a path comes in a document: the number of each step among its siblings. What is missing comes last.
fn position(path: &JsonPath, document: &Value) -> Vec<usize> {
    let mut here = Some(document);
    let mut position = Vec::new();
    for step in path.steps() {
        let (number, next) = match (here, step) {
            (Some(Value::Object(map)), Step::Key(key)) => {
                (map.keys().position(|other| other == key).unwrap_or(usize::MAX), map.get(key))
            }
            (Some(Value::Array(items)), Step::Index(index)) => (*index, items.get(*index)),
            _ => (usize::MAX, None),
        };
        position.push(number);
        here = next;
    }
    position
}
