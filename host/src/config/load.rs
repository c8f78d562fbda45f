//! From files to a configuration: read, merge, fill in variables, check the shape, compile. No step stops at a first mistake,
//! except that nothing can be said about a file that is not JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::overlay::Provenance;
use super::problem::{Problem, Report, unreadable};
use super::secrets::Shape;
use super::{Config, Problems, compile, environment, include, read, shape};
use crate::plugin::schema::JsonPath;

/// Loads a configuration from its main file and the overlays that are merged into it, in order (RFC 7396).
///
/// `environment` looks up environment variables. Relative paths in the configuration are relative to the main file's
/// folder. Blocks; to be called at start and by whoever watches the files.
pub fn load(
    path: &Path,
    overlays: &[PathBuf],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    match examine(path, overlays, environment) {
        (Some(config), None) => Ok(config),
        (_, Some(problems)) => Err(problems),
        // Without a configuration there always is a problem that says why.
        (None, None) => Err(Problems(Vec::new())),
    }
}

/// Like [`load`], but gives what could be understood beside the problems, so that more can be said about it. A configuration
/// that comes with problems must not be used for anything else.
pub fn examine(
    path: &Path,
    overlays: &[PathBuf],
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Option<Config>, Option<Problems>) {
    let Examined { config, problems, .. } = examined(read::read(path), path, overlays, environment);
    (config, problems)
}

/// What a file says, as it is written: the same for all ways to write a number. Blocks.
pub fn document(path: &Path) -> Result<Value, Problem> {
    read::read(path).map(|document| document.value)
}

/// What could be understood of a document, and what is wrong with it.
#[derive(Debug)]
pub struct Examined {
    /// What could be understood. With problems beside it, it must not be used for anything but to say more.
    pub config: Option<Config>,
    /// Everything that is wrong.
    pub problems: Option<Problems>,
    provenance: Provenance,
    overlays: Vec<PathBuf>,
}

impl Examined {
    /// The overlay that decides what stands at a place, whatever the main file says.
    pub fn overlay_of(&self, path: &JsonPath) -> Option<&Path> {
        self.provenance.overlay_of(path).and_then(|index| self.overlays.get(index)).map(PathBuf::as_path)
    }
}

/// Like [`examine`], with this document in place of what the main file at `path` holds.
pub fn examine_document(
    document: &Value,
    path: &Path,
    overlays: &[PathBuf],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Examined {
    let main = read::Document { value: document.clone(), duplicates: Vec::new() };
    examined(Ok(main), path, overlays, environment)
}

fn examined(
    main: Result<read::Document, Problem>,
    path: &Path,
    overlays: &[PathBuf],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Examined {
    let mut report = Report::default();
    let mut provenance = Provenance::default();
    let mut unusable: Vec<Problem> = Vec::new();
    let mut document = match main {
        Ok(main) => {
            report_duplicates(&main, None, &mut report);
            main.value
        }
        Err(problem) => {
            unusable.push(problem);
            Value::Null
        }
    };
    let written = Arc::new(document.clone());
    for (index, path) in overlays.iter().enumerate() {
        match read::read(path) {
            Ok(overlay) if overlay.value.is_object() => {
                report_duplicates(&overlay, Some(path), &mut report);
                provenance.merge(&mut document, index, &overlay.value);
            }
            Ok(_) => unusable.push(unreadable(path, "is not an object", "write an object with the keys to change")),
            Err(problem) => unusable.push(problem),
        }
    }
    let overlays = overlays.to_vec();
    // What the files mean together is known only once all of them can be read.
    if !unusable.is_empty() {
        return Examined { config: None, problems: Some(Problems(unusable)), provenance, overlays };
    }
    let merged = if overlays.is_empty() { Arc::clone(&written) } else { Arc::new(document.clone()) };
    let variables = environment::expand(&mut document, environment, &mut report);
    let folder = path.parent().unwrap_or(Path::new(""));
    let included = include::expand(&mut document, folder, &mut report);
    let file = shape::check(&mut document, &variables, &mut report);
    let mut config = compile::compile(&file, folder, &mut report);
    config.included.extend(included);
    (config.written, config.merged) = (written, merged);
    report.hidden.document(&config.merged, &|_| Shape::Unmarked);
    config.hidden = report.hidden.clone();
    let problems = (!report.is_empty()).then(|| report.into_problems(&document, &provenance, &overlays));
    Examined { config: Some(config), problems, provenance, overlays }
}

fn report_duplicates(document: &read::Document, overlay: Option<&PathBuf>, report: &mut Report) {
    for path in &document.duplicates {
        report.add_in(overlay.cloned(), path, "is written twice", "keep one of the two");
    }
}
