//! Checks `access_log`: where lines go, which fields they have, which exchanges get one.

use std::path::Path;
use std::time::Duration;

use http::HeaderName;

use super::super::file::{
    AccessLog, AccessLogFile, AccessLogFormat, AccessLogOnly, AccessLogOptions, AccessLogTarget, File,
};
use super::super::problem::Report;
use crate::plugin::schema::{JsonPath, nearest};
use crate::telemetry::access::{
    Aside, Field, Format, Only, Part, REDACTED_HEADERS, REDACTED_QUERY, Rotation, Settings, Target,
};

const COMMON: &str =
    "{client.address} - {attribute.auth.subject} [{time.common}] \"{method} {target} {protocol}\" {status} {bytes}";
const COMBINED: &str = " \"{request.header.referer}\" \"{request.header.user-agent}\"";

/// Longest name of a query parameter that is not shown.
const PARAMETER_BYTES_MAX: usize = 64;

/// Compiles `access_log`; none: no lines. Relative paths are relative to `folder`.
pub(super) fn compile(file: &File, folder: &Path, at: &JsonPath, report: &mut Report) -> Option<Settings> {
    let nothing = AccessLogOptions::default();
    let written = match file.access_log.as_ref()? {
        AccessLog::Switch(false) => return None,
        AccessLog::Switch(true) => &nothing,
        AccessLog::Options(options) => options,
    };
    let without = file.routes.iter().flatten().flatten().filter(|route| route.access_log == Some(false));
    let to = match &written.to {
        None | Some(AccessLogTarget::Name(_)) => Target::Stdout,
        Some(AccessLogTarget::File(file)) => target(file, folder)?,
    };
    Some(Settings {
        to,
        format: format(written, at, report),
        only: written.only.as_ref().map(|only| self::only(only, &at.key("only"), report)),
        redact_headers: headers(written.redact_headers.as_deref(), &at.key("redact_headers"), report),
        redact_query: parameters(written.redact_query.as_deref(), &at.key("redact_query"), report),
        // What is no name has been reported where the route is.
        without: without.filter_map(|route| route.name.as_deref()?.parse().ok()).collect(),
    })
}

fn target(written: &AccessLogFile, folder: &Path) -> Option<Target> {
    let rotation = Rotation {
        bytes: written.rotate_bytes,
        seconds: written.rotate_seconds,
        keep: written.keep.unwrap_or(AccessLogFile::KEEP),
        aside: if written.compress == Some(true) { Aside::Gzip } else { Aside::Plain },
    };
    Some(Target::File { path: folder.join(written.file.as_deref()?), rotation })
}

fn format(written: &AccessLogOptions, at: &JsonPath, report: &mut Report) -> Format {
    let named = matches!(written.format, Some(AccessLogFormat::Common | AccessLogFormat::Combined));
    if written.template.is_some() && written.format.is_some() {
        report.add(&at.key("template"), "stands beside \"format\"", "keep one of the two");
    }
    if written.fields.is_some() && (named || written.template.is_some()) {
        let what = "is only for \"format\": \"json\"";
        report.add(&at.key("fields"), what, "take it out, or \"template\" and any other \"format\"");
    }
    match (&written.template, written.format) {
        (Some(text), _) => template(text, &at.key("template"), report),
        (None, Some(AccessLogFormat::Common)) => template(COMMON, at, report),
        (None, Some(AccessLogFormat::Combined)) => template(&format!("{COMMON}{COMBINED}"), at, report),
        (None, None | Some(AccessLogFormat::Json)) => {
            let at = at.key("fields");
            match &written.fields {
                Some(fields) => {
                    let fields = fields.iter().enumerate();
                    let field =
                        |(index, text): (usize, &Option<String>)| field(text.as_deref()?, &at.index(index), report);
                    Format::Json(fields.filter_map(field).collect())
                }
                None => Format::Json(Field::DEFAULT.iter().filter_map(|name| name.parse().ok()).collect()),
            }
        }
    }
}

fn field(text: &str, at: &JsonPath, report: &mut Report) -> Option<Field> {
    let field = text.parse().ok();
    if field.is_none() {
        let remedy = match nearest(text, Field::PLAIN.iter().map(|(name, _)| *name)) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => {
                "write one such as \"status\", \"request.header.user-agent\" or \"attribute.auth.subject\"".to_owned()
            }
        };
        report.add(at, format!("{text:?} is not a field of the access log"), remedy);
    }
    field
}

/// Takes a template apart at its braces.
fn template(text: &str, at: &JsonPath, report: &mut Report) -> Format {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(brace);
        literal.push_str(before);
        if let Some(after) = after.strip_prefix("{{") {
            literal.push('{');
            rest = after;
            continue;
        }
        if let Some(after) = after.strip_prefix("}}") {
            literal.push('}');
            rest = after;
            continue;
        }
        let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
            report.add(at, "has a brace without its other one", "write \"{{\" or \"}}\" for the brace itself");
            return Format::Template(Vec::new());
        };
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal).into()));
        }
        parts.extend(field(name, at, report).map(Part::Field));
        rest = after;
    }
    literal.push_str(rest);
    if literal.contains(|character: char| character.is_control() && character != '\t') {
        report.add(at, "has control characters in it", "keep to one line of text; a line ends by itself");
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Format::Template(parts)
}

fn only(written: &AccessLogOnly, at: &JsonPath, report: &mut Report) -> Only {
    let at = at.key("status");
    let mut status = Vec::new();
    for (index, text) in written.status.iter().flatten().enumerate() {
        let Some(text) = text else { continue };
        match text.parse() {
            Ok(class) => status.push(class),
            Err(()) => {
                report.add(&at.index(index), format!("{text:?} is no status"), "write one such as \"404\" or \"5xx\"");
            }
        }
    }
    let slower_than = written.slower_than_ms.map(Duration::from_millis);
    Only { status, slower_than, sample_percent: written.sample_percent }
}

fn headers(written: Option<&[Option<String>]>, at: &JsonPath, report: &mut Report) -> Vec<HeaderName> {
    let mut names: Vec<_> = REDACTED_HEADERS.iter().map(|name| HeaderName::from_static(name)).collect();
    for (index, text) in written.unwrap_or_default().iter().enumerate() {
        let Some(text) = text else { continue };
        match text.parse() {
            Ok(name) => names.push(name),
            Err(_) => {
                let what = format!("{text:?} is not the name of a header field");
                report.add(&at.index(index), what, "write one such as \"x-internal-token\"");
            }
        }
    }
    names
}

fn parameters(written: Option<&[Option<String>]>, at: &JsonPath, report: &mut Report) -> Vec<Box<str>> {
    let Some(written) = written else { return REDACTED_QUERY.map(Into::into).to_vec() };
    let mut names = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let Some(text) = text else { continue };
        let odd = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'=' | b'&' | b'?' | b'#' | b'%');
        match text.is_empty() || text.len() > PARAMETER_BYTES_MAX || text.bytes().any(odd) {
            false => names.push(text.to_ascii_lowercase().into()),
            true => {
                let what = format!("{text:?} is not the name of a query parameter");
                report.add(&at.index(index), what, "write it as it is after decoding, such as \"token\"");
            }
        }
    }
    names
}
