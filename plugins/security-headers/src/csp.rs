//! Content-Security-Policy: the builder, its checks, and the template that a nonce is filled into.

use portcullis_sdk::prelude::*;

use crate::config::{Choice, Config, Defaults, Policy, Sources};

/// What stands for the nonce in a policy.
const PLACEHOLDER: &str = "{nonce}";

/// helmet's directives, in its order.
const HELMET: [(&str, &str); 11] = [
    ("default-src", "'self'"),
    ("base-uri", "'self'"),
    ("font-src", "'self' https: data:"),
    ("form-action", "'self'"),
    ("frame-ancestors", "'self'"),
    ("img-src", "'self' data:"),
    ("object-src", "'none'"),
    ("script-src", "'self'"),
    ("script-src-attr", "'none'"),
    ("style-src", "'self' https: 'unsafe-inline'"),
    ("upgrade-insecure-requests", ""),
];

/// Directives in which a nonce means something (CSP Level 3 section 6.7.2).
const NONCED: [&str; 5] = ["default-src", "script-src", "script-src-elem", "style-src", "style-src-elem"];

/// Sources that only mean something in quotes; without them they would be host names.
const QUOTED: [&str; 8] = [
    "self",
    "none",
    "unsafe-inline",
    "unsafe-eval",
    "strict-dynamic",
    "unsafe-hashes",
    "report-sample",
    "wasm-unsafe-eval",
];

/// The same for sources that begin with these.
const PREFIXES: [&str; 4] = ["nonce-", "sha256-", "sha384-", "sha512-"];

/// The two headers, whichever are on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Policies {
    /// Content-Security-Policy.
    pub(crate) enforced: Option<Template>,
    /// Content-Security-Policy-Report-Only.
    pub(crate) report_only: Option<Template>,
}

/// Composes both headers.
pub(crate) fn policies(config: &Config) -> Result<Policies> {
    let mut policies = Policies::default();
    match &config.content_security_policy {
        None if config.defaults == Defaults::Helmet => policies.enforced = Some(compose(&Policy::default())?),
        Some(Choice::Switch(true)) => policies.enforced = Some(compose(&Policy::default())?),
        Some(Choice::Value(text)) => policies.enforced = Some(Template::parse(text)),
        Some(Choice::Parts(parts)) if parts.report_only => policies.report_only = Some(compose(parts)?),
        Some(Choice::Parts(parts)) => policies.enforced = Some(compose(parts)?),
        None | Some(Choice::Switch(false)) => {}
    }
    let second = match &config.content_security_policy_report_only {
        Some(Choice::Switch(true)) => Some(compose(&Policy::default())?),
        Some(Choice::Value(text)) => Some(Template::parse(text)),
        Some(Choice::Parts(parts)) => Some(compose(parts)?),
        None | Some(Choice::Switch(false)) => None,
    };
    if policies.report_only.is_some() && second.is_some() {
        return Err(
            "content_security_policy.report_only and content_security_policy_report_only exclude each other".into()
        );
    }
    policies.report_only = policies.report_only.or(second);
    Ok(policies)
}

/// Composes one policy from its parts.
fn compose(policy: &Policy) -> Result<Template> {
    let mut directives: Vec<(&str, String)> = Vec::new();
    if policy.use_defaults {
        for (name, value) in HELMET {
            match policy.directives.get(name) {
                None => directives.push((name, value.to_owned())),
                Some(sources) => directives.extend(directive(name, sources)?),
            }
        }
    }
    for (name, sources) in &policy.directives {
        if !policy.use_defaults || !HELMET.iter().any(|(known, _)| known == name) {
            directives.extend(directive(name, sources)?);
        }
    }
    if directives.is_empty() {
        return Err("content-security-policy: no directive is left; use `false` to send none".into());
    }
    add_nonces(&mut directives, &policy.nonce)?;
    let parts: Vec<String> = directives
        .into_iter()
        .map(|(name, value)| if value.is_empty() { name.to_owned() } else { format!("{name} {value}") })
        .collect();
    Ok(Template::parse(&parts.join(";")))
}

/// One directive as written, checked; none where it is switched off.
fn directive<'a>(name: &'a str, sources: &Sources) -> Result<Option<(&'a str, String)>> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return Err(
            format!("content-security-policy: `{name}` is not a directive; they are written like `img-src`").into()
        );
    }
    let value = match sources {
        Sources::Switch(false) => return Ok(None),
        Sources::Switch(true) => String::new(),
        Sources::Text(text) => text.clone(),
        Sources::List(list) => list.join(" "),
    };
    for source in value.split_ascii_whitespace() {
        if source.contains([';', ',']) {
            let advice = "a source has no `;` and no `,`; write one directive per key";
            return Err(format!("content-security-policy: {name}: `{source}`: {advice}").into());
        }
        if QUOTED.contains(&source) || PREFIXES.iter().any(|prefix| source.starts_with(prefix)) {
            return Err(format!("content-security-policy: {name}: `{source}` must be written `'{source}'`").into());
        }
    }
    Ok(Some((name, value)))
}

/// Puts the placeholder into the directives that want a nonce.
fn add_nonces(directives: &mut Vec<(&str, String)>, wanted: &[String]) -> Result<()> {
    for name in wanted {
        let Some(&name) = NONCED.iter().find(|known| *known == name) else {
            let known = NONCED.join(", ");
            return Err(format!("content-security-policy: a nonce means nothing in `{name}`, only in {known}").into());
        };
        if !directives.iter().any(|(there, _)| *there == name) {
            let fallback = directives.iter().find(|(there, _)| *there == "default-src").map(|(_, value)| value.clone());
            directives.push((name, fallback.unwrap_or_default()));
        }
        for (_, value) in directives.iter_mut().filter(|(there, _)| *there == name) {
            // 'none' beside another source is ignored by browsers with a warning.
            let mut sources: Vec<&str> = value.split_ascii_whitespace().filter(|source| *source != "'none'").collect();
            sources.push("'nonce-{nonce}'");
            *value = sources.join(" ");
        }
    }
    Ok(())
}

/// A policy, taken apart where a nonce goes in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    pieces: Vec<String>,
}

impl Template {
    fn parse(text: &str) -> Self {
        Self { pieces: text.split(PLACEHOLDER).map(str::to_owned).collect() }
    }

    /// The policy, where it needs no nonce.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [whole] => Some(whole),
            _ => None,
        }
    }

    /// The policy with this nonce.
    pub(crate) fn fill(&self, nonce: &str) -> String {
        self.pieces.join(nonce)
    }
}
