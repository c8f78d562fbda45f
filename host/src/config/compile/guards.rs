//! Checks what an upstream is guarded by: breaker, retries, queue, total timeout.

use std::time::Duration;

use http::StatusCode;

use super::super::file;
use super::super::problem::Report;
use super::{millis, pattern, size};
use crate::plugin::schema::{JsonPath, nearest};
use crate::upstream::{BreakerSettings, BudgetSettings, Guards, Methods, Pending, Retries, Slow, Trigger};

/// Compiles `breaker`, `retries`, `pending_max`, `pending_timeout_ms` and `total_timeout_ms`.
pub(super) fn compile(written: &file::Upstream, at: &JsonPath, report: &mut Report) -> Guards {
    let retries = written.retries.as_ref().map(|retries| self::retries(retries, &at.key("retries"), report));
    let pending_max = written.pending_max.map_or(0, size);
    if pending_max == 0 && written.pending_timeout_ms.is_some() && !report.is_gone(&at.key("pending_max")) {
        report.add(&at.key("pending_timeout_ms"), "nothing waits", "write \"pending_max\", too, or remove it");
    }
    Guards {
        breaker: written.breaker.as_ref().map(|breaker| self::breaker(breaker, &at.key("breaker"), report)),
        retries: retries.unwrap_or_default(),
        pending: Pending {
            max: pending_max,
            timeout: millis(written.pending_timeout_ms, file::Upstream::PENDING_TIMEOUT_MS),
        },
        total_timeout: written.total_timeout_ms.map(Duration::from_millis),
    }
}

/// The schema's limits are below what a `u32` holds.
fn number(written: Option<u64>, default: u32) -> u32 {
    written.map_or(default, |written| u32::try_from(written).unwrap_or(u32::MAX))
}

fn breaker(written: &file::Breaker, at: &JsonPath, report: &mut Report) -> BreakerSettings {
    let failure_percent = number(written.failure_percent, file::Breaker::FAILURE_PERCENT);
    let slow = written.slow_ms.map(|after| Slow {
        after: Duration::from_millis(after),
        percent: number(written.slow_percent, file::Breaker::SLOW_PERCENT),
    });
    if slow.is_none() && !report.is_gone(&at.key("slow_ms")) {
        if written.slow_percent.is_some() {
            report.add(&at.key("slow_percent"), "no response is slow", "write \"slow_ms\", too, or remove it");
        }
        if failure_percent == 0 {
            report.add(at, "nothing opens it", "write \"failure_percent\" above 0 or \"slow_ms\"");
        }
    }
    BreakerSettings {
        failure_percent: Some(failure_percent).filter(|percent| *percent > 0),
        slow,
        requests_min: number(written.requests_min, file::Breaker::REQUESTS_MIN),
        window: millis(written.window_ms, file::Breaker::WINDOW_MS),
        open: millis(written.open_ms, file::Breaker::OPEN_MS),
        probes: number(written.probes, file::Breaker::PROBES),
    }
}

fn retries(written: &file::Retries, at: &JsonPath, report: &mut Report) -> Retries {
    let defaults = Retries::default();
    let backoff = millis(written.backoff_ms, file::Retries::BACKOFF_MS);
    let backoff_max = millis(written.backoff_ms_max, file::Retries::BACKOFF_MS_MAX.max(backoff_ms(backoff)));
    if backoff > backoff_max && !report.is_gone(&at.key("backoff_ms")) {
        let what = format!("{} is less than the first wait", backoff_max.as_millis());
        report.add(&at.key("backoff_ms_max"), what, format!("write {} or more", backoff.as_millis()));
    }
    Retries {
        max: number(written.max, defaults.max),
        on: match &written.on {
            Some(list) => triggers(list, &at.key("on"), report),
            None => defaults.on,
        },
        methods: methods(written, &at.key("methods"), report),
        budget: BudgetSettings {
            percent: number(written.budget_percent, defaults.budget.percent),
            per_second_min: number(written.budget_per_second_min, defaults.budget.per_second_min),
        },
        body_bytes_max: size(written.body_bytes_max.unwrap_or(file::Retries::BODY_BYTES_MAX)),
        backoff: Some(backoff),
        backoff_max,
        try_timeout: written.try_timeout_ms.map(Duration::from_millis),
    }
}

fn backoff_ms(backoff: Duration) -> u64 {
    u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX)
}

fn triggers(list: &[Option<String>], at: &JsonPath, report: &mut Report) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    for (index, text) in list.iter().enumerate() {
        let Some(text) = text.as_deref() else { continue };
        let status = text.parse::<u16>().ok().and_then(|number| StatusCode::from_u16(number).ok());
        let status = status.filter(|status| status.is_client_error() || status.is_server_error());
        triggers.push(match (text, status) {
            ("connect", _) => Trigger::Connect,
            ("reset", _) => Trigger::Reset,
            ("timeout", _) => Trigger::Timeout,
            (_, Some(status)) => Trigger::Status(status),
            (other, None) => {
                let remedy = match nearest(other, ["connect", "reset", "timeout"]) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => "write \"connect\", \"reset\", \"timeout\" or a status from \"400\" to \"599\"".to_owned(),
                };
                report.add(&at.index(index), format!("{other:?} is nothing to retry after"), remedy);
                continue;
            }
        });
    }
    triggers
}

fn methods(written: &file::Retries, at: &JsonPath, report: &mut Report) -> Methods {
    let Some(list) = &written.methods else { return Methods::Idempotent };
    let mut methods = Vec::new();
    for (index, text) in list.iter().enumerate() {
        methods.extend(text.as_deref().and_then(|text| pattern::method(text, &at.index(index), report)));
    }
    Methods::Only(methods)
}
