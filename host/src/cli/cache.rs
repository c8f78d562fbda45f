//! `portcullis cache`: purges what a running gateway stores, and shows it.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::operator::{Operator, encoded};
use super::print;

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Purge what a running gateway stores. Several conditions together must all hold; of several tags, one.
    Purge {
        #[command(flatten)]
        operator: Operator,
        #[command(flatten)]
        what: What,
        /// Print the gateway's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is stored for a URL, or how much is stored.
    Show {
        #[command(flatten)]
        operator: Operator,
        /// The URL, with scheme and host.
        url: Option<String>,
        /// Only what this route has stored.
        #[arg(long, requires = "url")]
        route: Option<String>,
        /// Print the gateway's answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What is purged.
#[derive(Debug, Args)]
pub(super) struct What {
    /// What is stored for this URL.
    #[arg(long)]
    url: Option<String>,
    /// What has this tag, or depends on it; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What is stored for URLs like this, in which `*` stands for anything.
    #[arg(long)]
    pattern: Option<String>,
    /// What is in this namespace: a route's name, unless it has another.
    #[arg(long)]
    namespace: Option<String>,
    /// What is stored under this key; `\0` stands for the separator of its parts.
    #[arg(long)]
    key: Option<String>,
    /// What has this status.
    #[arg(long)]
    status: Option<u16>,
    /// What has this field, of which the value contains this text.
    #[arg(long, value_name = "NAME: TEXT")]
    header: Option<String>,
    /// What is at least so many seconds old.
    #[arg(long, value_name = "SECONDS")]
    older_than: Option<u64>,
    /// What has a body of more bytes.
    #[arg(long, value_name = "BYTES")]
    larger_than: Option<u64>,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Do not remove it, but take it for stale.
    #[arg(long)]
    soft: bool,
    /// Count what is hit. Takes a while where much is stored.
    #[arg(long)]
    count: bool,
}

impl What {
    fn request(self) -> anyhow::Result<Value> {
        let header = |line: String| {
            let (name, contains) = line.split_once(':').unwrap_or((&line, ""));
            json!({ "name": name.trim(), "contains": contains.trim() })
        };
        let entries = [
            ("url", self.url.map(Value::from)),
            ("tags", (!self.tags.is_empty()).then(|| Value::from(self.tags))),
            ("pattern", self.pattern.map(Value::from)),
            ("namespace", self.namespace.map(Value::from)),
            ("key", self.key.map(|key| Value::from(key.replace("\\0", "\0")))),
            ("status", self.status.map(Value::from)),
            ("header", self.header.map(header)),
            ("older_than_seconds", self.older_than.map(Value::from)),
            ("larger_than_bytes", self.larger_than.map(Value::from)),
            ("all", self.all.then_some(Value::Bool(true))),
        ];
        let mut request: Map<String, Value> =
            entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        if request.is_empty() {
            anyhow::bail!("nothing says what is to be purged; write --all for everything, or see --help");
        }
        for (name, on) in [("soft", self.soft), ("count", self.count)] {
            if on {
                request.insert(name.to_owned(), Value::Bool(true));
            }
        }
        Ok(Value::Object(request))
    }
}

pub(super) fn cache(command: CacheCommand) -> anyhow::Result<()> {
    match command {
        CacheCommand::Purge { operator, what, json } => {
            let answer = asked(&operator, "POST", "/api/v1/cache/purge", Some(&what.request()?))?;
            print(&if json { format!("{answer:#}\n") } else { receipt(&answer) })
        }
        CacheCommand::Show { operator, url: None, json, .. } => {
            let answer = asked(&operator, "GET", "/api/v1/cache", None)?;
            print(&if json { format!("{answer:#}\n") } else { overview(&answer) })
        }
        CacheCommand::Show { operator, url: Some(url), route, json } => {
            let route = route.map(|route| format!("&route={}", encoded(&route))).unwrap_or_default();
            let answer = asked(&operator, "GET", &format!("/api/v1/cache/lookup?url={}{route}", encoded(&url)), None)?;
            let stored = of(&answer, "stored").as_array().map(Vec::as_slice).unwrap_or_default();
            if json {
                print(&format!("{answer:#}\n"))?;
            }
            if stored.is_empty() {
                anyhow::bail!("nothing is stored for {}", text(of(&answer, "url")));
            }
            if json { Ok(()) } else { print(&stored.iter().map(shown).collect::<String>()) }
        }
    }
}

/// What the gateway answers; what it refuses is an error.
fn asked(operator: &Operator, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let (status, answer) = operator.ask(method, target, body)?;
    if status == 200 {
        return Ok(answer);
    }
    let problem = |problem: &Value| {
        let path = text(of(problem, "path"));
        let (what, remedy) = (text(of(problem, "what")), text(of(problem, "remedy")));
        match path.trim_start_matches(['$', '?', '.']) {
            "" => format!("{what}; {remedy}"),
            path => format!("{path}: {what}; {remedy}"),
        }
    };
    let problems: Vec<String> = of(&answer, "problems").as_array().into_iter().flatten().map(problem).collect();
    match (problems.is_empty(), of(&answer, "detail").as_str()) {
        (true, Some(detail)) => anyhow::bail!("{detail}"),
        (true, None) => anyhow::bail!("the gateway answers with status {status}: {answer}"),
        (false, _) => anyhow::bail!("{}", problems.join("\n")),
    }
}

fn receipt(answer: &Value) -> String {
    let mut out = format!("purge {} ({}): ", of(answer, "number"), text(of(answer, "mode")));
    let purged: Vec<String> = of(answer, "purged").as_object().into_iter().flatten().map(part).collect();
    out.push_str(&purged.join(", "));
    if let Some(count) = of(answer, "count").as_u64() {
        let _ = write!(out, "\n{count} stored responses hit");
    }
    out.push_str(match of(answer, "instances").as_str() {
        Some("pending") => "\nsome instances have not confirmed it yet",
        Some("later") => "\nother instances are told as soon as Redis answers",
        _ => "",
    });
    out.push_str(match of(answer, "cdn").as_str() {
        Some("told") => "\nCDNs are told\n",
        Some("cannot_be_told") => "\nCDNs are not told: they know tags, URLs and everything, one at a time\n",
        _ => "\n",
    });
    out
}

fn part((name, value): (&String, &Value)) -> String {
    match value {
        Value::Bool(_) => "everything".to_owned(),
        Value::Array(items) => format!("{name} {}", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        value => format!("{name} {}", text(value)),
    }
}

fn overview(answer: &Value) -> String {
    let mut out = String::new();
    let lines = [
        ("entries", text(of(answer, "entries"))),
        ("bytes", format!("{} of {}", of(answer, "bytes"), of(answer, "memory_bytes_max"))),
        ("longest body", format!("{} bytes", of(answer, "object_bytes_max"))),
        ("last purge", text(of(answer, "last_purge"))),
    ];
    for (label, value) in lines {
        let _ = writeln!(out, "{label:<14}{value}");
    }
    for (route, sums) in of(answer, "requests").as_object().into_iter().flatten() {
        let sums = sums.as_object().into_iter().flatten().map(|(name, count)| format!("{name} {count}"));
        let _ = writeln!(out, "{:<14}{}", format!("route {route}"), sums.collect::<Vec<_>>().join(", "));
    }
    out
}

fn shown(stored: &Value) -> String {
    let fresh = match of(stored, "ttl_seconds").as_u64() {
        Some(0) | None => "stale".to_owned(),
        Some(ttl) => format!("fresh for {ttl} s"),
    };
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {}: {}, {} s old, {fresh}",
        text(of(stored, "route")),
        text(of(stored, "key")).replace('\0', "\\0"),
        of(stored, "status"),
        of(stored, "age_seconds")
    );
    let _ = writeln!(
        out,
        "  {}, {} bytes, {} in memory",
        text(of(stored, "content")),
        of(stored, "body_bytes"),
        of(stored, "memory_bytes")
    );
    let _ = writeln!(out, "  namespace {}", text(of(stored, "namespace")));
    let tags: Vec<String> = of(stored, "tags").as_array().into_iter().flatten().map(text).collect();
    if !tags.is_empty() {
        let _ = writeln!(out, "  tags {}", tags.join(" "));
    }
    for (name, value) in of(stored, "vary").as_object().into_iter().flatten() {
        let _ =
            writeln!(out, "  varies by {name}: {}", if value.is_null() { "(absent)".to_owned() } else { text(value) });
    }
    out
}

/// A field of an answer; null where it is not there.
fn of<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
