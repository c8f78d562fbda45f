//! Fills environment variables into strings: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`.
//!
//! Pure: variables come from a function. A message names a variable, never its value, since that may be a secret.

use std::collections::HashMap;

use serde_json::Value;

use super::problem::Report;
use crate::plugin::schema::JsonPath;

/// The strings that were one whole variable, by place, each with the variable's name. Such a string may become a number.
pub(super) type Variables = HashMap<JsonPath, String>;

/// Fills in all variables of a document. A string with one that cannot be filled in stays as it is and is marked as gone.
pub(super) fn expand(
    document: &mut Value,
    environment: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Variables {
    let mut variables = Variables::new();
    expand_at(document, &JsonPath::root(), environment, report, &mut variables);
    variables
}

fn expand_at(
    value: &mut Value,
    at: &JsonPath,
    environment: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
    variables: &mut Variables,
) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_at(item, &at.index(index), environment, report, variables);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                expand_at(value, &at.key(key), environment, report, variables);
            }
        }
        Value::String(text) if text.contains("${") => match expand_text(text, environment) {
            Ok(expanded) => {
                expanded.filled.iter().for_each(|(name, value)| report.hidden.variable(at, name, value));
                if let Some(name) = expanded.whole {
                    variables.insert(at.clone(), name);
                }
                *text = expanded.text;
            }
            Err((what, remedy)) => {
                report.add(at, what, remedy);
                report.mark_gone(at.clone());
            }
        },
        _ => {}
    }
}

struct Expanded {
    text: String,
    /// The variable's name, if the string was nothing but one variable.
    whole: Option<String>,
    /// The variables with what was filled in for them.
    filled: Vec<(String, String)>,
}

fn expand_text(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, (String, String)> {
    let mut expanded = String::new();
    let (mut whole, mut filled) = (None, Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, variable) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = variable.get(2..).unwrap_or_default();
            continue;
        }
        expanded.push_str(before);
        let Some(end) = variable.find('}') else {
            return Err((
                "has a \"${\" without a \"}\"".to_owned(),
                "write ${NAME} for a variable or $${ for a literal \"${\"".to_owned(),
            ));
        };
        let (inner, after) = (variable.get(2..end).unwrap_or_default(), variable.get(end + 1..).unwrap_or_default());
        let (name, value) = look_up(inner, environment)?;
        if variable.len() == text.len() && after.is_empty() {
            whole = Some(name.to_owned());
        }
        expanded.push_str(&value);
        filled.push((name.to_owned(), value));
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Expanded { text: expanded, whole, filled })
}

/// The name and value of what stands between the braces.
fn look_up<'a>(
    inner: &'a str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(&'a str, String), (String, String)> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let well_formed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !well_formed {
        return Err((
            format!("{:?} is not the name of a variable", name.chars().take(40).collect::<String>()),
            "write ${NAME}, ${NAME:-default} or $${ for a literal \"${\"".to_owned(),
        ));
    }
    // As in a shell, the default stands in for an empty variable, too.
    let value = environment(name).filter(|value| default.is_none() || !value.is_empty());
    match value.or_else(|| default.map(str::to_owned)) {
        Some(value) => Ok((name, value)),
        None => Err((
            format!("the environment variable {name} is not set"),
            format!("set it or write ${{{name}:-default}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let environment = |name: &str| match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        let check =
            |text: &str, expected: Result<&str, &str>, whole: Option<&str>| match expand_text(text, &environment) {
                Ok(expanded) => {
                    assert_eq!(Ok(expanded.text.as_str()), expected, "{text}");
                    assert_eq!(expanded.whole.as_deref(), whole, "{text}");
                }
                Err((what, _)) => assert_eq!(Err(what.as_str()), expected, "{text}"),
            };
        check("a$b{c}$$", Ok("a$b{c}$$"), None);
        check("${HOST}", Ok("example.com"), Some("HOST"));
        check("http://${HOST}:${PORT:-80}/", Ok("http://example.com:80/"), None);
        check("${PORT:-80}", Ok("80"), Some("PORT"));
        check("${EMPTY}", Ok(""), Some("EMPTY"));
        check("${EMPTY:-x}", Ok("x"), Some("EMPTY"));
        check("${EMPTY:-}", Ok(""), Some("EMPTY"));
        check("$${HOST}", Ok("${HOST}"), None);
        check("$${HOST} is ${HOST}", Ok("${HOST} is example.com"), None);
        check("${HOST}${HOST}", Ok("example.comexample.com"), None);
        check("${HOST", Err("has a \"${\" without a \"}\""), None);
        check("${}", Err("\"\" is not the name of a variable"), None);
        check("${A B}", Err("\"A B\" is not the name of a variable"), None);
        check("${9}", Err("\"9\" is not the name of a variable"), None);
        check("${ABSENT}", Err("the environment variable ABSENT is not set"), None);
        // What a variable holds is not looked at again.
        check("${NESTED}", Ok("${HOST}"), Some("NESTED"));
    }
}
