//! Checks `cache.dependencies`.

use std::sync::Arc;

use super::super::file;
use super::super::problem::Report;
use crate::plugin::schema::JsonPath;
use crate::purger::Dependencies;

/// Most pairs of a tag and one that it depends on: so many are followed while a request waits.
const PAIRS_MAX: usize = 10_000;

/// Compiles `cache.dependencies`.
pub(super) fn compile(written: Option<&file::Cache>, at: &JsonPath, report: &mut Report) -> Arc<Dependencies> {
    let mut pairs = Vec::new();
    for (tag, needed) in written.and_then(|written| written.dependencies.as_ref()).into_iter().flatten() {
        let at = at.key(tag);
        if is_tag(tag, &at, report) {
            for (index, needed) in needed.iter().flatten().enumerate() {
                let needed = needed.as_deref().filter(|needed| is_tag(needed, &at.index(index), report));
                pairs.extend(needed.map(|needed| (tag.as_str(), needed)));
            }
        }
    }
    if pairs.len() > PAIRS_MAX {
        let what = format!("has {} dependencies; {PAIRS_MAX} are allowed", pairs.len());
        report.add(at, what, "put a tag between those that depend on the same");
    }
    Arc::new(Dependencies::new(pairs))
}

/// Whether a response can have this tag.
fn is_tag(text: &str, at: &JsonPath, report: &mut Report) -> bool {
    let sound = !text.is_empty() && text.trim() == text && !text.contains(|c: char| c.is_control());
    if !sound {
        let remedy = "write a tag as responses have it, without blanks around it";
        report.add(at, format!("{text:?} is no tag"), remedy);
    }
    sound
}
