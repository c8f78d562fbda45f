//! Checks `cdn`: what a CDN would refuse, and what would send a token where it must not go, is told here. No token is ever shown.

use std::path::{Path, PathBuf};

use http::Uri;

use super::super::file::{self, CdnForm, File};
use super::super::problem::Report;
use super::{Unique, cdn_request, millis, size};
use crate::cdn::{Base, Custom, Form, Settings, Token};
use crate::outbound::{Retries, Trust};
use crate::plugin::schema::JsonPath;
use crate::tls::{self, ClientSettings};

/// Compiles `cdn`. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn compile(
    file: &File,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Vec<Settings> {
    let at = JsonPath::root().key("cdn");
    let mut unique = Unique::default();
    let mut all = Vec::new();
    for (index, written) in file.cdn.iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let at = at.index(index);
        if let Some(name) = &written.name {
            unique.note(name, &at.key("name"), report, "give each its own name");
        }
        all.extend(one(written, (folder, &mut *included), &at, report));
    }
    all
}

fn one(
    written: &file::Cdn,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Settings> {
    let name = written.name.as_deref().and_then(|text| super::name(text, &at.key("name"), report));
    let form = form(written, at, report);
    let trust = trust(written, form.as_ref(), (folder, included), at, report);
    let wait = millis(written.retry_wait_ms, file::Cdn::RETRY_WAIT_MS);
    let wait_max = millis(written.retry_wait_max_ms, file::Cdn::RETRY_WAIT_MAX_MS);
    if written.retry_wait_max_ms.is_some() && wait_max < wait && !report.is_gone(&at.key("retry_wait_ms")) {
        let what = format!("{} is shorter than the first wait", wait_max.as_millis());
        report.add(&at.key("retry_wait_max_ms"), what, format!("write {} or more", wait.as_millis()));
    }
    Some(Settings {
        name: name?,
        form: form?,
        trust,
        timeout: millis(written.timeout_ms, file::Cdn::TIMEOUT_MS),
        retries: Retries {
            wait,
            wait_max: wait_max.max(wait),
            give_up_after: millis(written.give_up_ms, file::Cdn::GIVE_UP_MS),
        },
        queue_max: size(written.queue_max.unwrap_or(file::Cdn::QUEUE_MAX)),
    })
}

fn form(written: &file::Cdn, at: &JsonPath, report: &mut Report) -> Option<Form> {
    let form = written.form?;
    strays(written, form, at, report);
    let id = |key, text: &Option<String>, report: &mut Report| id(text.as_deref(), &at.key(key), report);
    let endpoint = |default, report: &mut Report| endpoint(written.endpoint.as_deref(), default, at, report);
    Some(match form {
        CdnForm::Fastly => {
            let service = id("service", &written.service, report);
            let token = token(written, at, report);
            let endpoint = endpoint(file::Cdn::FASTLY, report);
            Form::Fastly { endpoint: endpoint?, service: service?, token: token? }
        }
        CdnForm::Cloudflare => {
            let zone = id("zone", &written.zone, report);
            let token = token(written, at, report);
            let endpoint = endpoint(file::Cdn::CLOUDFLARE, report);
            Form::Cloudflare { endpoint: endpoint?, zone: zone?, token: token? }
        }
        CdnForm::Custom => Form::Custom(Box::new(custom(written, at, report)?)),
    })
}

/// Tells of keys that only another form has.
fn strays(written: &file::Cdn, form: CdnForm, at: &JsonPath, report: &mut Report) {
    use CdnForm::{Cloudflare, Custom, Fastly};
    let keys: [(&str, bool, &[CdnForm]); 9] = [
        ("endpoint", written.endpoint.is_some(), &[Fastly, Cloudflare]),
        ("service", written.service.is_some(), &[Fastly]),
        ("zone", written.zone.is_some(), &[Cloudflare]),
        ("token", written.token.is_some(), &[Fastly, Cloudflare]),
        ("tags", written.tags.is_some(), &[Custom]),
        ("urls", written.urls.is_some(), &[Custom]),
        ("all", written.all.is_some(), &[Custom]),
        ("batch_max", written.batch_max.is_some(), &[Custom]),
        ("separator", written.separator.is_some(), &[Custom]),
    ];
    for (key, is_there, forms) in keys {
        if is_there && !forms.contains(&form) {
            let remedy = match (key, form) {
                ("endpoint", _) => "write whole URLs into \"tags\", \"urls\" and \"all\"",
                ("token", _) => "write it into the \"headers\" of \"tags\", \"urls\" and \"all\"",
                ("service", Cloudflare) => "write \"zone\"",
                ("zone", Fastly) => "write \"service\"",
                _ => "remove it, or write \"form\": \"custom\"",
            };
            let remedy = if form == Custom && forms != [Custom] && matches!(key, "service" | "zone") {
                "write it into the URLs"
            } else {
                remedy
            };
            report.add(&at.key(key), "has no effect in this form", remedy);
        }
    }
}

fn id(text: Option<&str>, at: &JsonPath, report: &mut Report) -> Option<Box<str>> {
    let Some(text) = text else {
        if !report.is_gone(at) {
            report.add(at, "missing", "copy the id from the vendor's console");
        }
        return None;
    };
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Some(text.into());
    }
    report.add(at, format!("{text:?} is not an id"), "copy it from the vendor's console: letters and digits");
    None
}

/// A token is never shown, not even a wrong one.
fn token(written: &file::Cdn, at: &JsonPath, report: &mut Report) -> Option<Token> {
    let at = at.key("token");
    let Some(text) = written.token.as_deref() else {
        if !report.is_gone(&at) {
            report.add(&at, "missing", "write the name of a variable that holds it: \"${CDN_TOKEN}\"");
        }
        return None;
    };
    if text.is_empty() {
        report.add(&at, "is empty", "set the variable it is taken from");
        return None;
    }
    // Files and variables like to end in a line break.
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        report.add(&at, "is not a token: there is something else in it than visible ASCII", "copy it unchanged");
        return None;
    }
    Some(Token(text.into()))
}

fn endpoint(text: Option<&str>, default: &str, at: &JsonPath, report: &mut Report) -> Option<Base> {
    let at = at.key("endpoint");
    if report.is_gone(&at) {
        return None;
    }
    let text = text.unwrap_or(default);
    let uri = text.parse::<Uri>().ok();
    let good = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && !text.contains('#')
    });
    let Some(uri) = uri.filter(|_| good) else {
        // Not shown: a URL may hold a password.
        report.add(&at, "is not the URL of an API", format!("write one such as {default:?}"));
        return None;
    };
    if uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_here) {
        report.add(&at, "the token would be sent in cleartext", "write \"https://\"");
        return None;
    }
    Some(Base(text.trim_end_matches('/').into()))
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn custom(written: &file::Cdn, at: &JsonPath, report: &mut Report) -> Option<Custom> {
    use cdn_request::About;
    let mut request = |key, written: &Option<file::CdnRequest>, about| {
        written.as_ref().and_then(|written| cdn_request::compile(written, about, &at.key(key), report))
    };
    let tags = request("tags", &written.tags, About::Tags);
    let urls = request("urls", &written.urls, About::Urls);
    let all = request("all", &written.all, About::All);
    let none = written.tags.is_none() && written.urls.is_none() && written.all.is_none();
    if none && ["tags", "urls", "all"].iter().all(|key| !report.is_gone(&at.key(key))) {
        report.add(at, "says of no purge how it is forwarded", "add \"tags\", \"urls\" or \"all\"");
        return None;
    }
    Some(Custom {
        tags,
        urls,
        all,
        batch_max: size(written.batch_max.unwrap_or(file::Cdn::BATCH_MAX)),
        separator: written.separator.as_deref().unwrap_or(file::Cdn::SEPARATOR).into(),
    })
}

/// Whom we take for the CDN, where that is to be known.
fn trust(
    written: &file::Cdn,
    form: Option<&Form>,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Trust> {
    let ca = written.ca.as_ref().map(|text| folder.join(text));
    let secure = match form {
        Some(Form::Fastly { endpoint, .. } | Form::Cloudflare { endpoint, .. }) => endpoint.0.starts_with("https:"),
        Some(Form::Custom(custom)) => {
            let templates = [&custom.tags, &custom.urls, &custom.all].into_iter().flatten();
            templates.into_iter().any(cdn_request::is_secure)
        }
        None => ca.is_some(),
    };
    if !secure {
        if form.is_some() && ca.is_some() {
            report.add(&at.key("ca"), "has no effect without TLS", "remove it, or write \"https://\"");
        }
        return None;
    }
    included.extend(ca.iter().filter(|path| !included.contains(path)).cloned().collect::<Vec<_>>());
    let settings = ClientSettings { authorities: ca, ..ClientSettings::default() };
    let digest = tls::client_digest(&settings);
    match tls::client(&settings) {
        Ok(config) => Some(Trust::new(config, digest)),
        Err(error) => {
            super::tls::tell(error, at, report);
            None
        }
    }
}
