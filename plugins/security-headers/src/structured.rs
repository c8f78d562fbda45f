//! Headers with an inner structure other than CSP: Strict-Transport-Security, Permissions-Policy, Reporting-Endpoints.

use portcullis_sdk::prelude::*;

use crate::config::{Choice, Config, Defaults, Endpoints, Features, Hsts};

/// What `"permissions_policy": true` denies: what a page that does not expect it would not miss.
const DENIED: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The value of Strict-Transport-Security, where it is on.
pub(crate) fn hsts(config: &Config) -> Result<Option<String>> {
    Ok(match &config.strict_transport_security {
        None if config.defaults == Defaults::Helmet => Some(hsts_value(&Hsts::default())),
        Some(Choice::Switch(true)) => Some(hsts_value(&Hsts::default())),
        Some(Choice::Value(value)) if !value.to_ascii_lowercase().contains("max-age=") => {
            return Err("strict-transport-security: `max-age=SECONDS` is missing (RFC 6797 section 6.1.1)".into());
        }
        Some(Choice::Value(value)) => Some(value.clone()),
        Some(Choice::Parts(parts)) => Some(hsts_value(parts)),
        None | Some(Choice::Switch(false)) => None,
    })
}

fn hsts_value(parts: &Hsts) -> String {
    let subdomains = if parts.include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if parts.preload { "; preload" } else { "" };
    format!("max-age={}{subdomains}{preload}", parts.max_age)
}

/// The value of Permissions-Policy, where it is on.
pub(crate) fn permissions(config: &Config) -> Result<Option<String>> {
    Ok(match &config.permissions_policy {
        Some(Choice::Switch(true)) => Some(DENIED.to_owned()),
        Some(Choice::Value(value)) => Some(value.clone()),
        Some(Choice::Parts(features)) => Some(features_value(features)?),
        None | Some(Choice::Switch(false)) => None,
    })
}

/// A dictionary of lists (RFC 9651 section 3.2): `camera=(), geolocation=(self "https://maps.example")`.
fn features_value(features: &Features) -> Result<String> {
    let mut parts = Vec::new();
    for (feature, allowed) in &features.0 {
        key(feature).map_err(|error| error.context("permissions-policy"))?;
        let allowed = allowed.iter().map(|who| origin(who)).collect::<Result<Vec<_>>>()?;
        parts.push(match allowed.as_slice() {
            [everyone] if everyone == "*" => format!("{feature}=*"),
            some => format!("{feature}=({})", some.join(" ")),
        });
    }
    Ok(parts.join(", "))
}

fn origin(who: &str) -> Result<String> {
    match who {
        "self" | "src" | "*" => Ok(who.to_owned()),
        _ => string(who).map_err(|error| error.context("permissions-policy")),
    }
}

/// The value of Reporting-Endpoints, where it is on.
pub(crate) fn reporting(config: &Config) -> Result<Option<String>> {
    Ok(match &config.reporting_endpoints {
        Some(Choice::Switch(true)) => {
            return Err("reporting-endpoints: `true` says nothing; name an endpoint and its URL".into());
        }
        Some(Choice::Value(value)) => Some(value.clone()),
        Some(Choice::Parts(endpoints)) => Some(endpoints_value(endpoints)?),
        None | Some(Choice::Switch(false)) => None,
    })
}

fn endpoints_value(endpoints: &Endpoints) -> Result<String> {
    let mut parts = Vec::new();
    for (name, url) in &endpoints.0 {
        key(name).map_err(|error| error.context("reporting-endpoints"))?;
        let url = string(url).map_err(|error| error.context("reporting-endpoints"))?;
        parts.push(format!("{name}={url}"));
    }
    Ok(parts.join(", "))
}

/// A structured field's key (RFC 9651 section 3.1.2).
fn key(text: &str) -> Result<()> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
    let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b));
    if first && rest { Ok(()) } else { Err(format!("`{text}` is not a name of a-z 0-9 _ - . *").into()) }
}

/// A structured field's string (RFC 9651 section 3.3.3).
fn string(text: &str) -> Result<String> {
    if !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(format!("`{}` is not printable ASCII", text.escape_default()).into());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
