//! Checks `alerts` and `alert_webhooks`. URLs and fields of webhooks are never shown: they may hold a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};

use super::super::file::{self, File, LabelValues};
use super::super::problem::Report;
use super::handler::{header_name, header_value, lines};
use super::{Unique, dangling, millis};
use crate::alerts::{Bound, Definition, Form, Logged, Measure, Series, Settings, Severity, Webhook, builtin};
use crate::modes::Mode;
use crate::outbound::Trust;
use crate::plugin::schema::JsonPath;
use crate::tls::{self, ClientSettings};

/// The name by which the log is told.
const LOG: &str = "log";

/// Compiles both. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn compile(file: &File, (folder, included): (&Path, &mut Vec<PathBuf>), report: &mut Report) -> Settings {
    let at = JsonPath::root().key("alert_webhooks");
    let mut webhooks = Vec::new();
    for (key, written) in file.alert_webhooks.iter().flatten() {
        let at = at.key(key);
        let name = super::name(key, &at, report);
        if key == LOG {
            report.add(&at, "is the name of the log", "give the webhook another one");
        }
        let Some(written) = written else { continue };
        let webhook = webhook(written, (folder, &mut *included), &at, report);
        webhooks.extend(name.zip(webhook).map(|(name, webhook)| Arc::new(Webhook { name, ..webhook })));
    }
    let known: Vec<&str> = file.alert_webhooks.iter().flatten().map(|(key, _)| key.as_str()).collect();
    let at = JsonPath::root().key("alerts");
    let mut unique = Unique::default();
    let ours = builtin();
    let mut definitions = Vec::new();
    for (index, written) in file.alerts.iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let at = at.index(index);
        if let Some(name) = &written.name {
            unique.note(name, &at.key("name"), report, "give each its own name");
            if ours.iter().any(|known| known.name.as_str() == name) {
                report.add(
                    &at.key("name"),
                    format!("{name:?} is an alert that is always there"),
                    "give it another name",
                );
            }
        }
        definitions.extend(definition(written, &known, &at, report).map(Arc::new));
    }
    Settings { definitions, webhooks }
}

fn definition(written: &file::Alert, webhooks: &[&str], at: &JsonPath, report: &mut Report) -> Option<Definition> {
    let name = written.name.as_deref().and_then(|text| super::name(text, &at.key("name"), report));
    let series = series(written.metric.as_deref(), written.labels.as_ref(), at, report);
    let of = written.of.as_ref();
    let whole = of.map(|of| self::series(of.metric.as_deref(), of.labels.as_ref(), &at.key("of"), report));
    let rule = written.condition.as_ref().and_then(|condition| bound(condition, &at.key("condition"), report));
    let (logged, told) = notify(written, webhooks, &at.key("notify"), report);
    if of.is_some() && written.quantile.is_some() {
        report.add(&at.key("quantile"), "stands beside \"of\"", "remove one of the two");
        return None;
    }
    let plain = of.is_none() && written.quantile.is_none();
    if let (Some((_, Grows::Yes)), false) = (rule, plain) {
        let beside = if of.is_some() { "of" } else { "quantile" };
        let what = format!("a rate stands beside {beside:?}");
        report.add(&at.key("condition"), what, "write \"above\" or \"below\": growth is what is measured anyway");
        return None;
    }
    let (bound, grows) = rule?;
    if bound == Bound::Absent && !plain {
        let beside = if of.is_some() { "of" } else { "quantile" };
        let what = format!("\"absent\" stands beside {beside:?}, which is nothing whenever nothing happens");
        report.add(
            &at.key("condition").key("absent"),
            what,
            "write an alert without it, about whether the metric is there",
        );
        return None;
    }
    let measure = match (whole, written.quantile, grows) {
        (Some(whole), _, _) => Measure::Ratio(series?, whole?),
        (None, Some(quantile), _) => Measure::Quantile(series?, quantile),
        (None, None, Grows::Yes) => Measure::Rate(series?),
        (None, None, Grows::No) => Measure::Value(series?),
    };
    let seconds = |written: Option<u64>, default| Duration::from_secs(written.unwrap_or(default));
    let name = name?;
    Some(Definition {
        summary: written.summary.clone().unwrap_or_else(|| format!("{name}: the value is {{value}}")),
        name,
        measure,
        bound,
        over: seconds(written.over_seconds, file::Alert::OVER_SECONDS),
        hold: seconds(written.for_seconds, 0),
        cooldown: seconds(written.cooldown_seconds, file::Alert::COOLDOWN_SECONDS),
        severity: match written.severity {
            Some(file::AlertSeverity::Info) => Severity::Info,
            None | Some(file::AlertSeverity::Warning) => Severity::Warning,
            Some(file::AlertSeverity::Critical) => Severity::Critical,
        },
        logged,
        webhooks: told,
        mode: written.then.as_ref().and_then(|then| then.mode).map(|mode| match mode {
            file::AlertMode::ServeStale => Mode::ServeStale,
            file::AlertMode::CacheOnly => Mode::CacheOnly,
            file::AlertMode::ReadOnly => Mode::ReadOnly,
            file::AlertMode::Maintenance => Mode::Maintenance,
        }),
    })
}

fn series(
    metric: Option<&str>,
    labels: Option<&BTreeMap<String, Option<LabelValues>>>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Series> {
    let metric = metric?;
    let begins = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    let good = metric.as_bytes().first().is_some_and(begins)
        && metric.bytes().all(|byte| begins(&byte) || byte.is_ascii_digit());
    if !good {
        let remedy = "write it as it stands in /metrics, labels into \"labels\"";
        report.add(&at.key("metric"), format!("{metric:?} is not the name of a metric"), remedy);
        return None;
    }
    let values = |values: &LabelValues| match values {
        LabelValues::One(value) => vec![value.clone()],
        LabelValues::Many(values) => values.iter().flatten().cloned().collect(),
    };
    let labels =
        labels.into_iter().flatten().filter_map(|(name, written)| Some((name.clone(), values(written.as_ref()?))));
    Some(Series { metric: metric.to_owned(), labels: labels.collect() })
}

/// Whether a condition is about growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grows {
    Yes,
    No,
}

fn bound(written: &file::AlertCondition, at: &JsonPath, report: &mut Report) -> Option<(Bound, Grows)> {
    let found = [
        written.above.map(|bound| (Bound::Above(bound), Grows::No)),
        written.below.map(|bound| (Bound::Below(bound), Grows::No)),
        written.rate_above.map(|bound| (Bound::Above(bound), Grows::Yes)),
        written.rate_below.map(|bound| (Bound::Below(bound), Grows::Yes)),
        written.absent.map(|_| (Bound::Absent, Grows::No)),
    ];
    let mut found = found.into_iter().flatten();
    let (first, second) = (found.next(), found.next());
    let keys = ["above", "below", "rate_above", "rate_below", "absent"];
    if keys.iter().any(|key| report.is_gone(&at.key(key))) {
        return None;
    }
    if written.absent == Some(false) {
        report.add(
            &at.key("absent"),
            "false says nothing",
            "write true, or \"above\", \"below\", \"rate_above\" or \"rate_below\"",
        );
        return None;
    }
    match (first, second) {
        (Some(only), None) => Some(only),
        (None, _) => {
            report.add(at, "says nothing", "write \"above\", \"below\", \"rate_above\", \"rate_below\" or \"absent\"");
            None
        }
        (Some(_), Some(_)) => {
            report.add(at, "says more than one thing", "keep one key and write another alert for the other");
            None
        }
    }
}

fn notify(
    written: &file::Alert,
    webhooks: &[&str],
    at: &JsonPath,
    report: &mut Report,
) -> (Logged, Vec<crate::names::Name>) {
    let Some(list) = &written.notify else { return (Logged::Yes, Vec::new()) };
    let (mut logged, mut told) = (Logged::No, Vec::new());
    for (index, text) in list.iter().enumerate() {
        match text.as_deref() {
            None => {}
            Some(LOG) => logged = Logged::Yes,
            Some(text) if webhooks.contains(&text) => told.extend(text.parse().ok()),
            Some(text) => {
                let known = webhooks.iter().copied().chain([LOG]);
                dangling("webhook", text, known, "add it to \"alert_webhooks\"", &at.index(index), report);
            }
        }
    }
    (logged, told)
}

/// A webhook that has no name yet.
fn webhook(
    written: &file::AlertWebhook,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Webhook> {
    let url = written.url.as_deref().and_then(|text| url(text, &at.key("url"), report));
    let mut headers = HeaderMap::new();
    for (key, values) in written.headers.iter().flatten() {
        let at = at.key("headers").key(key);
        let name = header_name(key, &at, report);
        for (text, at) in lines(values.as_ref(), &at) {
            if let Some((name, mut value)) = name.clone().zip(header_value(text, &at, report)) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
    }
    let is_secure = url.as_ref().is_some_and(|url| url.scheme_str() == Some("https"));
    let trust = trust(written, is_secure, (folder, included), at, report);
    Some(Webhook {
        name: "unnamed".parse().ok()?,
        url: url?,
        headers,
        form: match written.format {
            None | Some(file::AlertFormat::Json) => Form::Json,
            Some(file::AlertFormat::Slack) => Form::Slack,
            Some(file::AlertFormat::Alertmanager) => Form::Alertmanager,
        },
        timeout: millis(written.timeout_ms, file::AlertWebhook::TIMEOUT_MS),
        retries: written.retries.unwrap_or(file::AlertWebhook::RETRIES),
        retry_wait: millis(written.retry_wait_ms, file::AlertWebhook::RETRY_WAIT_MS),
        trust: trust?,
    })
}

fn url(text: &str, at: &JsonPath, report: &mut Report) -> Option<Uri> {
    let uri = text.trim().parse::<Uri>().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some());
    let Some(uri) = uri.filter(|_| !text.contains('#')) else {
        report.add(at, "is not an http or https URL", "write one such as \"https://hooks.example.com/alerts\"");
        return None;
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        report.add(at, "has a user or password in it", "write them into \"headers\": \"authorization\"");
        return None;
    }
    Some(uri)
}

/// Whom we take for the webhook; none inside where that need not be known, none at all where it is wrong.
fn trust(
    written: &file::AlertWebhook,
    is_secure: bool,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Option<Trust>> {
    let authorities = written.ca.as_ref().map(|text| folder.join(text));
    if !is_secure {
        if authorities.is_some() && written.url.is_some() {
            report.add(&at.key("ca"), "has no effect without TLS", "remove it, or write \"https://\"");
        }
        return Some(None);
    }
    included.extend(authorities.iter().filter(|path| !included.contains(path)).cloned().collect::<Vec<_>>());
    let settings = ClientSettings { authorities, ..ClientSettings::default() };
    let digest = tls::client_digest(&settings);
    match tls::client(&settings) {
        Ok(config) => Some(Some(Trust::new(config, digest))),
        Err(error) => {
            super::tls::tell(error, at, report);
            None
        }
    }
}
