//! Reads what a route does to header fields.

use std::collections::BTreeMap;

use http::header::{HOST, HeaderName};

use super::super::file::{self, HeaderValues};
use super::super::problem::Report;
use super::handler::{header_name, header_value, lines};
use super::template::{self, Parameters};
use crate::pipeline::{Edits, FieldText};
use crate::plugin::schema::JsonPath;

/// Whose fields are edited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Compiles `request_headers` or `response_headers`.
pub(super) fn compile(
    written: Option<&file::HeaderEdits>,
    (side, parameters): (Side, Option<&Parameters>),
    at: &JsonPath,
    report: &mut Report,
) -> Edits {
    let mut edits = Edits::default();
    let Some(written) = written else { return edits };
    for (index, text) in written.remove.iter().flatten().enumerate() {
        let at = at.key("remove").index(index);
        edits.remove.extend(text.as_deref().and_then(|text| name(text, side, &at, report)));
    }
    edits.set = fields(written.set.as_ref(), (side, parameters), &at.key("set"), report);
    // The first of several replaces, the others stand beside it.
    let mut seen: Vec<HeaderName> = Vec::new();
    let (first, more) = edits.set.drain(..).partition(|(name, _)| {
        let first = !seen.contains(name);
        seen.push(name.clone());
        first
    });
    (edits.set, edits.append) = (first, more);
    edits.append.extend(fields(written.append.as_ref(), (side, parameters), &at.key("append"), report));
    edits
}

fn name(text: &str, side: Side, at: &JsonPath, report: &mut Report) -> Option<HeaderName> {
    let name = header_name(text, at, report)?;
    if side == Side::Request && name == HOST {
        report.add(at, "\"host\" is no field like others", "write \"host\" into \"proxy\"");
        return None;
    }
    Some(name)
}

fn fields(
    written: Option<&BTreeMap<String, Option<HeaderValues>>>,
    (side, parameters): (Side, Option<&Parameters>),
    at: &JsonPath,
    report: &mut Report,
) -> Vec<(HeaderName, FieldText)> {
    let mut fields = Vec::new();
    for (key, values) in written.into_iter().flatten() {
        let at = at.key(key);
        let name = name(key, side, &at, report);
        for (text, at) in lines(values.as_ref(), &at) {
            fields.extend(name.clone().zip(self::text(text, parameters, &at, report)));
        }
    }
    fields
}

fn text(text: &str, parameters: Option<&Parameters>, at: &JsonPath, report: &mut Report) -> Option<FieldText> {
    let value = header_value(text, at, report)?;
    if !text.contains(['{', '}']) {
        return Some(FieldText::Fixed(value));
    }
    template::field(text, parameters, at, report).map(FieldText::Made)
}
