//! `portcullis plugin inspect`: what a plugin file is, without running it for a request.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::print;
use crate::names::Name;
use crate::plugin::metrics::Registry;
use crate::plugin::{Code, LoadError, Relation, Services};

pub(super) fn inspect(file: &Path) -> anyhow::Result<()> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name: Name = stem.parse().with_context(|| format!("the file name {stem:?}"))?;
    let services = Services::new(Arc::new(Registry::default())).map_err(|error| anyhow::anyhow!("{error}"))?;
    let read = std::fs::read(file).map_err(LoadError::from);
    let code = read.and_then(|bytes| Code::load(&services, &name, &bytes));
    let code = code.with_context(|| file.display().to_string())?;
    print(&report(&code))
}

fn report(code: &Code) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "{label:<14}{value}");
    };
    let about = &code.description;
    line("plugin", format!("{} {}", about.name, about.version));
    line("summary", about.summary.clone());
    line("size", format!("{} bytes", code.bytes.len()));
    line("sha256", code.hash.to_string());
    line("hooks", code.hooks.keys().map(|hook| hook.as_str()).collect::<Vec<_>>().join(", "));
    line("grants asked", about.grants.join(", "));
    let needed = code.capabilities.keys().filter(|grant| !code.does_without(**grant));
    line("grants needed", needed.map(|grant| grant.as_str()).collect::<Vec<_>>().join(", "));
    line("requires", relations(&about.requires));
    line("conflicts", relations(&about.conflicts));
    line("imports", String::new());
    for import in &code.imports {
        line("", import.clone());
    }
    match &about.config_schema {
        Some(schema) => line("configuration", format!("\n{schema:#}")),
        None => line("configuration", "no schema: anything goes".to_owned()),
    }
    out
}

fn relations(relations: &[Relation]) -> String {
    let one = |relation: &Relation| format!("{} {}", relation.plugin, relation.versions);
    relations.iter().map(one).collect::<Vec<_>>().join(", ")
}
