//! The `portcullis` command where it does one thing and ends: `check`, `plugin inspect`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::artefacts;

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `portcullis` with these arguments in this folder.
pub fn portcullis(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(artefacts::gateway());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env("NO_COLOR", "1");
    command.env("PORTCULLIS_CACHE_DIR", artefacts::compiled());
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", artefacts::gateway().display()));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
