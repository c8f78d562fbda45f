//! `GET /api/v1/certificates`: what the listeners show their clients, and how long it is good.

use std::time::Duration;

use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::certificates::issued;
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/certificates", Role::Read, "The certificates, and how long each is good")
            .gives(schema())
            .by(list),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let generation = context.generation()?;
    let config = &generation.config;
    let operators = config.admin.iter().filter_map(|admin| admin.listener.as_ref());
    let mut certificates = Vec::new();
    for listener in config.listeners.iter().chain(operators) {
        let Some(tls) = &listener.tls else { continue };
        let address = listener.address.to_string();
        let identities = tls.slot.acceptor().identities;
        certificates.extend(identities.iter().filter_map(|identity| shown(&address, &identity.shown.current(), None)));
    }
    let mut obtained = issued().all();
    obtained.sort_by(|(one, _), (other, _)| one.cmp(other));
    certificates.extend(obtained.iter().filter_map(|(host, key)| shown("acme", key, Some(host))));
    Ok(Answer::json(&json!({ "certificates": certificates })))
}

/// One certificate, of a listener or obtained for a host.
fn shown(listener: &str, key: &CertifiedKey, host: Option<&str>) -> Option<Value> {
    let (_, parsed) = parse_x509_certificate(key.cert.first()?).ok()?;
    let ends = Duration::from_secs(parsed.validity().not_after.timestamp().try_into().unwrap_or(0));
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let names: Vec<String> = match host {
        Some(host) => vec![host.to_owned()],
        None => alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect(),
    };
    let left = i64::try_from(ends.as_secs()).unwrap_or(i64::MAX) - i64::try_from(time::unix().as_secs()).unwrap_or(0);
    Some(json!({
        "listener": listener,
        "names": names,
        "not_after": time::rfc3339(ends),
        "days_left": left.div_euclid(86_400),
        "issuer": parsed.issuer().to_string(),
    }))
}

fn schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["certificates"],
        "properties": { "certificates": { "type": "array", "items": {
            "type": "object",
            "required": ["listener", "names", "not_after", "days_left", "issuer"],
            "properties": {
                "listener": { "type": "string", "description": "The listener's address; `acme` where it was obtained." },
                "names": { "type": "array", "items": text }, "not_after": { "type": "string", "format": "date-time" },
                "days_left": { "type": "integer" }, "issuer": text,
            },
        } } },
    })
}
