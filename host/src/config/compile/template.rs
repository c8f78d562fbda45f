//! Texts with placeholders in braces: redirect targets, rewritten paths, header values.

use std::sync::Arc;

use super::super::problem::Report;
use crate::pipeline::{FieldPart, RedirectPart, RedirectTarget};
use crate::plugin::schema::{JsonPath, nearest};
use crate::router::Expression;

/// What a route's path keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    /// Under these names.
    pub(super) names: Vec<Arc<str>>,
    /// The one of them that is the rest of the path.
    pub(super) rest: Option<Arc<str>>,
}

impl Parameters {
    fn part(&self, name: &str) -> Option<RedirectPart> {
        let name = self.names.iter().find(|known| ***known == *name)?;
        let is_rest = self.rest.as_ref() == Some(name);
        Some(if is_rest { RedirectPart::Rest(Arc::clone(name)) } else { RedirectPart::Parameter(Arc::clone(name)) })
    }
}

/// A piece of a text with placeholders.
enum Piece<'t> {
    Literal(&'t str),
    Placeholder(&'t str),
}

/// Takes a text apart; none if it has been reported.
fn pieces<'t>(text: &'t str, at: &JsonPath, report: &mut Report) -> Option<Vec<Piece<'t>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (literal, after) = rest.split_at(start);
        let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
            report.add(at, "has a brace without its other half", "write {name}, or %7B and %7D for braces");
            return None;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        pieces.push(Piece::Placeholder(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    Some(pieces)
}

/// A target with the request's path, query and host and the parameters of the route's path. Without parameters, the route's path was
/// at fault and has been reported.
pub(super) fn target(
    text: &str,
    parameters: Option<&Parameters>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<RedirectTarget> {
    let mut parts = Vec::new();
    for piece in pieces(text, at, report)? {
        match piece {
            Piece::Literal(literal) => parts.push(RedirectPart::Literal(literal.to_owned())),
            Piece::Placeholder(name) => parts.extend(placeholder(name, parameters, at, report)),
        }
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let encoded: String = bad.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
        report.add(at, format!("has {bad:?}"), format!("write {encoded:?} for it"));
    }
    Some(RedirectTarget(parts))
}

fn placeholder(
    name: &str,
    parameters: Option<&Parameters>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<RedirectPart> {
    let parameter = parameters.and_then(|parameters| parameters.part(name));
    let fixed = match name {
        "path" => Some(RedirectPart::Path),
        "query" => Some(RedirectPart::Query),
        "host" => Some(RedirectPart::Host),
        _ => None,
    };
    if fixed.is_some() && parameter.is_some() {
        let what = format!("{{{name}}} is a parameter of the path and the request's {name}");
        report.add(at, what, "give the parameter another name");
    }
    let part = fixed.or(parameter);
    if let (None, Some(parameters)) = (&part, parameters) {
        let known = parameters.names.iter().map(|name| &**name).chain(["path", "query", "host"]);
        unknown(name, "the route's path has no parameter", known, at, report);
    }
    part
}

/// The value of a field, taken apart. A route's path that was at fault has been reported.
pub(super) fn field(
    text: &str,
    parameters: Option<&Parameters>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Vec<FieldPart>> {
    let mut parts = Vec::new();
    for piece in pieces(text, at, report)? {
        parts.push(match piece {
            Piece::Literal(literal) => FieldPart::Literal(literal.to_owned()),
            Piece::Placeholder(name) => field_part(name, parameters, at, report)?,
        });
    }
    Some(parts)
}

fn field_part(name: &str, parameters: Option<&Parameters>, at: &JsonPath, report: &mut Report) -> Option<FieldPart> {
    const FIXED: [&str; 6] =
        ["client.address", "request.id", "request.scheme", "request.host", "request.path", "route"];
    Some(match name {
        "client.address" => FieldPart::ClientAddress,
        "request.id" => FieldPart::RequestId,
        "request.scheme" => FieldPart::Scheme,
        "request.host" => FieldPart::Host,
        "request.path" => FieldPart::Target(RedirectTarget(vec![RedirectPart::Path])),
        "route" => FieldPart::Route,
        _ => {
            if let Some(attribute) = name.strip_prefix("attribute.") {
                return Some(FieldPart::Attribute(attribute.to_owned()));
            }
            let parameters = parameters?;
            let known: Vec<String> = parameters.names.iter().map(|name| format!("path.{name}")).collect();
            let part = name.strip_prefix("path.").and_then(|name| parameters.part(name));
            let Some(part) = part else {
                let known = known.iter().map(String::as_str).chain(FIXED).chain(["attribute.NAME"]);
                unknown(name, "there is no", known, at, report);
                return None;
            };
            FieldPart::Target(RedirectTarget(vec![part]))
        }
    })
}

/// What comes in place of what an expression matches, as the crate `regex` writes it; groups stand in braces here as everywhere.
pub(super) fn replacement(text: &str, expression: &Expression, at: &JsonPath, report: &mut Report) -> Option<String> {
    let mut replacement = String::new();
    for piece in pieces(text, at, report)? {
        match piece {
            Piece::Literal(literal) => replacement.push_str(&literal.replace('$', "$$")),
            Piece::Placeholder(group) => {
                let numbered = group.parse::<usize>().is_ok_and(|number| number <= expression.groups());
                if !numbered && !expression.names().any(|name| name == group) {
                    let remedy = "write the number or the name of a group of it";
                    report.add(at, format!("the expression has no group {{{group}}}"), remedy);
                    return None;
                }
                replacement.push_str("${");
                replacement.push_str(group);
                replacement.push('}');
            }
        }
    }
    Some(replacement)
}

fn unknown<'k>(
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    at: &JsonPath,
    report: &mut Report,
) {
    let remedy = match nearest(name, known.clone()) {
        Some(meant) => format!("did you mean {{{meant}}}?"),
        None => format!("write one of {{{}}}", known.collect::<Vec<_>>().join("}, {")),
    };
    report.add(at, format!("{what} {{{name}}}"), remedy);
}
