//! Puts files into plugin configurations and operators' tokens: `{"$file": "keys.json"}` becomes what the file holds.
//!
//! A file whose name ends in `.json` becomes the value it holds, any other the text without line breaks at its end. Keys and certificates can so live outside the
//! configuration, with permissions of their own; a change of such a file is a change of the configuration. Messages
//! name a file and never what is in it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::problem::Report;
use crate::plugin::schema::JsonPath;
use crate::regular;

/// The key of an object that stands for a file.
const FILE: &str = "$file";
/// Largest file that is put in, in bytes. A key set is a few KB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Puts files into all plugin configurations and tokens of a document and gives their paths. Relative ones are relative to `folder`.
pub(super) fn expand(document: &mut Value, folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    let mut include = Include { folder, report, files: Vec::new() };
    let root = JsonPath::root();
    if let Some(Value::Array(chain)) = document.pointer_mut("/plugins/chain") {
        let at = root.key("plugins").key("chain");
        for (index, entry) in chain.iter_mut().enumerate() {
            include.config_of(entry, &at.index(index));
        }
    }
    if let Some(Value::Array(tokens)) = document.pointer_mut("/admin/tokens") {
        for (index, entry) in tokens.iter_mut().enumerate() {
            if let Some(token) = entry.get_mut("token") {
                include.walk(token, &root.key("admin").key("tokens").index(index).key("token"));
            }
        }
    }
    if let Some(Value::Array(routes)) = document.get_mut("routes") {
        for (index, route) in routes.iter_mut().enumerate() {
            let Some(Value::Object(plugins)) = route.get_mut("plugins") else { continue };
            let at = root.key("routes").index(index).key("plugins");
            for (name, entry) in plugins {
                include.config_of(entry, &at.key(name));
            }
        }
    }
    include.files
}

struct Include<'a> {
    folder: &'a Path,
    report: &'a mut Report,
    files: Vec<PathBuf>,
}

impl Include<'_> {
    fn config_of(&mut self, entry: &mut Value, at: &JsonPath) {
        if let Some(config) = entry.get_mut("config") {
            self.walk(config, &at.key("config"));
        }
    }

    fn walk(&mut self, value: &mut Value, at: &JsonPath) {
        let named = match &*value {
            Value::Object(map) if map.len() == 1 => map.get(FILE).map(|name| name.as_str().map(str::to_owned)),
            _ => None,
        };
        match (named, &mut *value) {
            (Some(Some(name)), _) => match self.read(&name) {
                Ok(held) => {
                    self.report.hidden.file(at, &name, &held);
                    *value = held;
                }
                Err(what) => {
                    self.report.add(&at.key(FILE), what, "name a file that the gateway may read");
                    self.report.mark_gone(at.clone());
                }
            },
            (Some(None), _) => self.report.add(&at.key(FILE), "is not a string", "write the path of a file"),
            (None, Value::Array(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.walk(item, &at.index(index));
                }
            }
            (None, Value::Object(map)) => {
                for (key, value) in map {
                    self.walk(value, &at.key(key));
                }
            }
            (None, _) => {}
        }
    }

    fn read(&mut self, name: &str) -> Result<Value, String> {
        let path = self.folder.join(name);
        let shown = path.display();
        self.files.push(path.clone());
        let bytes = regular::read(&path, FILE_BYTES_MAX).map_err(|error| format!("{shown} {error}"))?;
        let mut text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))?;
        if path.extension().is_some_and(|extension| extension == "json") {
            let position = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
            return serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON ({})", position(&error)));
        }
        // The line break that editors put at the end of every file is not part of a secret.
        if text.ends_with('\n') {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        Ok(Value::String(text))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn files_become_values_and_texts_and_what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("keys.json"), r#"{"keys": []}"#).unwrap();
        fs::write(folder.path().join("key.pem"), "PEM\n").unwrap();
        fs::write(folder.path().join("bad.json"), "{").unwrap();
        let mut document = json!({
            "plugins": { "chain": [{ "plugin": "a", "config": { "jwks": { "$file": "keys.json" }, "other": [{ "$file": "key.pem" }] } }] },
            "routes": [{ "plugins": { "a": { "config": { "x": { "$file": "bad.json" }, "y": { "$file": "none" } } }, "b": false } }],
        });
        let mut report = Report::default();
        let files = expand(&mut document, folder.path(), &mut report);
        let config = &document["plugins"]["chain"][0]["config"];
        assert_eq!(config["jwks"], json!({ "keys": [] }));
        assert_eq!(config["other"][0], "PEM");
        assert_eq!(files.len(), 4, "what is missing is watched, too");
        let problems = report.into_problems(&document, &Default::default(), &[]);
        let text = problems.to_string();
        assert!(text.contains("bad.json is not JSON (line 1"), "{text}");
        assert!(text.contains("none cannot be read"), "{text}");
        assert_eq!(problems.0.len(), 2);
    }
}
