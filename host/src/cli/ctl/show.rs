//! What the gateway answers, as text for people. Pure: JSON in, text out.

use serde_json::Value;

use super::table::{Table, cell};

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    State,
    Health,
    Plugins,
    Plugin,
    Traps,
    PluginVersions,
    Routes,
    Upstreams,
    Document,
    Validity,
    Changes,
    History,
    Certificates,
    Alerts,
    Advice,
    Bans,
    Audit,
    /// Anything else: the fields of an object, one a line.
    Fields,
}

/// Columns of a table: heads, and the JSON pointers of their values.
type Columns = &'static [(&'static str, &'static str)];

/// The list that an answer is, and its columns, where it is no more than that.
const fn columns(subject: Subject) -> Option<(&'static str, Columns)> {
    let list: (&str, Columns) = match subject {
        Subject::Traps => (
            "traps",
            &[("AT", "/at"), ("HOOK", "/hook"), ("ROUTE", "/route"), ("REQUEST", "/request_id"), ("WHAT", "/what")],
        ),
        Subject::PluginVersions => (
            "versions",
            &[
                ("HASH", "/hash"),
                ("VERSION", "/version"),
                ("BYTES", "/bytes"),
                ("STORED", "/stored_at"),
                ("CURRENT", "/current"),
            ],
        ),
        Subject::Routes => (
            "routes",
            &[
                ("ROUTE", "/route"),
                ("HOST", "/match/host"),
                ("PATH", "/match/path"),
                ("METHODS", "/match/methods"),
                ("HANDLER", "/handler/kind"),
                ("UPSTREAMS", "/handler/upstreams"),
                ("CACHE", "/cache"),
                ("CHAIN", "/chain"),
            ],
        ),
        Subject::History => {
            ("versions", &[("ID", "/id"), ("AT", "/at"), ("BY", "/by"), ("ACTION", "/action"), ("CURRENT", "/current")])
        }
        Subject::Certificates => (
            "certificates",
            &[
                ("LISTENER", "/listener"),
                ("NAMES", "/names"),
                ("DAYS LEFT", "/days_left"),
                ("NOT AFTER", "/not_after"),
                ("ISSUER", "/issuer"),
            ],
        ),
        Subject::Alerts => (
            "alerts",
            &[
                ("ALERT", "/alert"),
                ("STATE", "/state"),
                ("SINCE", "/since"),
                ("VALUE", "/value"),
                ("THRESHOLD", "/threshold"),
                ("SUMMARY", "/summary"),
            ],
        ),
        Subject::Advice => ("advice", &[("SEVERITY", "/severity"), ("KIND", "/kind"), ("ADVICE", "/text")]),
        Subject::Bans => {
            ("bans", &[("ADDRESS", "/address"), ("UNTIL", "/until"), ("OFFENCES", "/offences"), ("REASON", "/reason")])
        }
        _ => return None,
    };
    Some(list)
}

/// An answer as text.
pub(super) fn shown(subject: Subject, answer: &Value) -> String {
    if let Some((name, columns)) = columns(subject) {
        return Table::of(of(answer, name), columns).to_string();
    }
    match subject {
        Subject::Health => tree(answer, 0),
        Subject::Plugins => plugins(answer),
        Subject::Upstreams => upstreams(answer),
        Subject::Document => format!("{:#}\n", of(answer, "document")),
        Subject::Validity => validity(answer),
        Subject::Changes => changes(answer),
        Subject::Audit => audit(answer),
        _ => fields(answer),
    }
}

/// What the gateway refuses, with every problem and its remedy.
pub(super) fn refusal(status: u16, answer: &Value) -> String {
    let detail = ["detail", "title", "reason"].iter().find_map(|name| of(answer, name).as_str());
    let mut out = format!("{} (status {status})", detail.unwrap_or("the gateway refuses"));
    for problem in of(answer, "problems").as_array().into_iter().flatten() {
        out.push_str(&format!("\n{}", told(problem)));
    }
    out
}

/// A problem in one line.
fn told(problem: &Value) -> String {
    match (of(problem, "path").as_str(), of(problem, "what").as_str(), of(problem, "remedy").as_str()) {
        (Some(path), Some(what), Some(remedy)) => format!("{path}: {what}; {remedy}"),
        (Some(path), Some(what), None) => format!("{path}: {what}"),
        (_, Some(what), _) => what.to_owned(),
        _ => cell(problem),
    }
}

/// The fields of an object, one a line; what is in them below and further in.
fn fields(answer: &Value) -> String {
    let mut out = String::new();
    indented(answer, 0, &mut out);
    if out.is_empty() { "done\n".to_owned() } else { out }
}

fn indented(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    let is_inner = |value: &Value| match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    };
    match value {
        Value::Object(object) => {
            let width = object.iter().filter(|(_, value)| !is_inner(value)).map(|(name, _)| name.chars().count()).max();
            for (name, value) in object {
                if is_inner(value) {
                    out.push_str(&format!("{pad}{name}\n"));
                    indented(value, depth + 1, out);
                } else {
                    out.push_str(
                        format!("{pad}{name:width$}  {}", cell(value), width = width.unwrap_or_default()).trim_end(),
                    );
                    out.push('\n');
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push('\n');
                }
                indented(item, depth, out);
            }
        }
        value => out.push_str(&format!("{pad}{}\n", cell(value))),
    }
}

/// A part with its reasons, and its parts below it.
fn tree(part: &Value, depth: usize) -> String {
    let reasons: Vec<String> = of(part, "reasons").as_array().into_iter().flatten().map(cell).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    let mut out = format!("{}{} {}{reasons}\n", "  ".repeat(depth), cell(of(part, "part")), cell(of(part, "status")));
    for part in of(part, "parts").as_array().into_iter().flatten() {
        out.push_str(&tree(part, depth + 1));
    }
    out
}

fn plugins(answer: &Value) -> String {
    let mut table =
        Table::new(&["#", "PLUGIN", "VERSION", "STATE", "CALLS", "FAILURES", "MEAN µs", "MEMORY", "PROBLEM"]);
    for plugin in of(answer, "plugins").as_array().into_iter().flatten() {
        let hooks = || {
            let variants = of(plugin, "variants").as_array().into_iter().flatten();
            variants.flat_map(|variant| of(variant, "hooks").as_object().into_iter().flatten().map(|(_, hook)| hook))
        };
        let sum = |name: &str| hooks().filter_map(|hook| of(hook, name).as_u64()).sum::<u64>();
        let (calls, nanoseconds) = (sum("calls"), sum("nanoseconds"));
        let mean =
            if calls == 0 { "-".to_owned() } else { format!("{:.1}", nanoseconds as f64 / calls as f64 / 1000.0) };
        table.row([
            cell(of(plugin, "position")),
            cell(of(plugin, "plugin")),
            cell(of(plugin, "version")),
            cell(of(plugin, "state")),
            calls.to_string(),
            sum("failures").to_string(),
            mean,
            cell(of(plugin, "memory_bytes")),
            of(plugin, "problem").as_str().unwrap_or_default().to_owned(),
        ]);
    }
    table.to_string()
}

fn upstreams(answer: &Value) -> String {
    let mut table = Table::new(&[
        "UPSTREAM",
        "ENDPOINT",
        "HEALTHY",
        "WEIGHT",
        "DRAINING",
        "IN FLIGHT",
        "REQUESTS",
        "FAILURES",
        "EJECTED BY",
    ]);
    for upstream in of(answer, "upstreams").as_array().into_iter().flatten() {
        for endpoint in of(upstream, "endpoints").as_array().into_iter().flatten() {
            let names = [
                "endpoint",
                "healthy",
                "weight",
                "draining",
                "in_flight",
                "requests",
                "failures",
                "ejected_by_workers",
            ];
            let cells = names.iter().map(|name| cell(of(endpoint, name)));
            table.row(std::iter::once(cell(of(upstream, "upstream"))).chain(cells));
        }
    }
    table.to_string()
}

fn validity(answer: &Value) -> String {
    if of(answer, "valid").as_bool() == Some(true) {
        return "valid\n".to_owned();
    }
    of(answer, "problems").as_array().into_iter().flatten().map(|problem| format!("{}\n", told(problem))).collect()
}

fn changes(answer: &Value) -> String {
    let mut out = String::new();
    for change in of(answer, "changes").as_array().into_iter().flatten() {
        out.push_str(&format!("{}\n", cell(of(change, "path"))));
        for (sign, name) in [('-', "before"), ('+', "after")] {
            match of(change, name) {
                Value::Null => {}
                value => format!("{value:#}").lines().for_each(|line| out.push_str(&format!("  {sign} {line}\n"))),
            }
        }
    }
    let note = of(answer, "note").as_str();
    if out.is_empty() && note.is_none() {
        out.push_str("no changes\n");
    }
    for path in of(answer, "restart_needed").as_array().into_iter().flatten() {
        out.push_str(&format!("{} takes effect at the next start\n", cell(path)));
    }
    match (of(answer, "survives_restart").as_bool(), note) {
        (Some(false), Some(note)) => out.push_str(&format!("does not survive a restart: {note}\n")),
        (Some(false), None) => out.push_str("does not survive a restart\n"),
        (_, Some(note)) => out.push_str(&format!("{note}\n")),
        (_, None) => {}
    }
    out
}

/// Who changed what, and to what.
fn audit(answer: &Value) -> String {
    let mut table = Table::new(&["AT", "WHO", "ROLE", "ACTION", "TARGET", "OUTCOME", "DETAIL"]);
    for entry in of(answer, "entries").as_array().into_iter().flatten() {
        let names = ["at", "actor", "role", "action", "target", "outcome"];
        let cells = names.iter().map(|name| cell(of(entry, name)));
        table.row(cells.chain([brief(of(entry, "detail"))]));
    }
    table.to_string()
}

/// What a change was about, in a few words: the places that it changed, what was sent, or why it was refused.
fn brief(detail: &Value) -> String {
    if let Some(why) = of(detail, "detail").as_str() {
        return shortened(why);
    }
    if let Some(changes) = of(detail, "changes").as_array() {
        let paths: Vec<String> = changes.iter().map(|change| cell(of(change, "path"))).collect();
        return shortened(&paths.join(", "));
    }
    let fields = detail.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object() && !value.is_array());
    shortened(&fields.map(|(name, value)| format!("{name} {}", cell(value))).collect::<Vec<_>>().join(", "))
}

fn shortened(text: &str) -> String {
    /// What fits beside the other columns.
    const CHARACTERS: usize = 60;
    if text.chars().count() <= CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(CHARACTERS).chain(['…']).collect()
}

/// A field of an answer; null where it is not there.
pub(super) fn of<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_stand_below_what_they_belong_to() {
        let answer = json!({ "version": "1", "mode": { "mode": "normal", "by": "start" }, "problems": [], "listeners": [{ "tls": true }, { "tls": false }] });
        let expected =
            "version   1\nmode\n  mode  normal\n  by    start\nproblems\nlisteners\n  tls  yes\n\n  tls  no\n";
        assert_eq!(shown(Subject::State, &answer), expected);
        assert_eq!(shown(Subject::Fields, &json!({})), "done\n");
    }

    #[test]
    fn health_is_a_tree_with_reasons() {
        let answer = json!({ "part": "gateway", "status": "degraded", "reasons": [], "parts": [
            { "part": "upstreams", "status": "degraded", "reasons": ["demo: 1 of 2 endpoints is down"], "parts": [] } ] });
        let expected = "gateway degraded\n  upstreams degraded: demo: 1 of 2 endpoints is down\n";
        assert_eq!(shown(Subject::Health, &answer), expected);
    }

    #[test]
    fn changes_and_refusals_name_the_place() {
        let answer = json!({ "changes": [{ "path": "$.a", "before": 1, "after": null }], "survives_restart": false, "note": "read-only" });
        assert_eq!(shown(Subject::Changes, &answer), "$.a\n  - 1\ndoes not survive a restart: read-only\n");
        assert_eq!(shown(Subject::Changes, &json!({ "changes": [] })), "no changes\n");
        let joined = json!({ "changes": [], "survives_restart": true, "note": "plugin a joins the chain" });
        assert_eq!(shown(Subject::Changes, &joined), "plugin a joins the chain\n");
        let problem =
            json!({ "detail": "it is wrong", "problems": [{ "path": "$.a", "what": "is 1", "remedy": "write 2" }] });
        assert_eq!(refusal(422, &problem), "it is wrong (status 422)\n$.a: is 1; write 2");
        assert_eq!(shown(Subject::Validity, &json!({ "valid": true })), "valid\n");
    }

    #[test]
    fn the_audit_log_says_what_was_chosen() {
        let entry = |detail: Value| json!({ "entries": [{ "action": "PUT /x", "target": null, "detail": detail }] });
        let check = |detail: Value, expected: &str| {
            let text = shown(Subject::Audit, &entry(detail));
            assert!(text.lines().nth(1).is_some_and(|row| row.ends_with(expected)), "{text}");
        };
        check(json!({ "mode": "maintenance" }), "mode maintenance");
        check(json!({ "changes": [{ "path": "$.a" }, { "path": "$.b" }], "etag": "e" }), "$.a, $.b");
        check(json!({ "status": 404, "detail": "there is none" }), "there is none");
    }

    #[test]
    fn plugins_have_their_mean_cost() {
        let hooks = json!({ "pre-handler": { "calls": 3, "failures": 1, "nanoseconds": 6000 }, "post-handler": { "calls": 1, "failures": 0, "nanoseconds": 2000 } });
        let answer = json!({ "plugins": [{ "plugin": "a", "position": 1, "version": "1.0.0", "state": "active", "memory_bytes": 9, "variants": [{ "hooks": hooks }] }] });
        let text = shown(Subject::Plugins, &answer);
        let row: Vec<&str> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(row, ["1", "a", "1.0.0", "active", "4", "1", "2.0", "9"]);
    }
}
