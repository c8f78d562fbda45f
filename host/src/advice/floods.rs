//! Hints about who is refused most: a key that floods a limit, an address that comes again and again although it may not.
//!
//! What a key is nobody is told, since it may be a secret: it has an alias, and the address where that is the same all the time.

use std::net::IpAddr;

use super::{About, Hint, Known, Severity};
use crate::telemetry::refusals::{Often, Refused, Whence};

/// Refusals in a minute below which nobody floods: one a second.
const REFUSED_MIN: u64 = 60;
/// Requests and connections in a minute that somebody who may not come must try to be spoken of: ten a second.
const TURNED_AWAY_MIN: u64 = 600;
/// A key that has this part of all refusals stands out.
const SHARE_MIN: f64 = 0.25;

/// Those that stand out, with their share.
fn outstanding(refused: &Refused, min: u64) -> impl Iterator<Item = (&Often, f64)> {
    let share = |often: &Often| often.count as f64 / refused.total.max(1) as f64;
    let all = refused.keys.iter().map(move |often| (often, share(often)));
    all.filter(move |(often, share)| often.count >= min && *share >= SHARE_MIN)
}

fn figures(often: &Often, refused: &Refused, share: f64) -> Vec<(&'static str, f64)> {
    vec![("refused", often.count as f64), ("refused_total", refused.total as f64), ("share", share)]
}

/// As people write it: of IPv6 it is a network.
fn written(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

/// Keys that flood a limit.
pub(super) fn limits(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for exceeded in &known.exceeded {
        for (often, share) in outstanding(&exceeded.refused, REFUSED_MIN) {
            let (plugin, limit, alias) = (exceeded.owner.as_str(), &exceeded.limit, often.alias.to_string());
            let address = often.whence.address().map(written);
            let whence = match (often.whence, &address) {
                (Whence::Only(_), Some(address)) => format!("all from {address}"),
                (_, Some(address)) => format!("most from {address}"),
                (_, None) => "from several addresses".to_owned(),
            };
            let remedy = match &address {
                Some(address) => {
                    format!("Ban who is there: portcullis ctl ban {address}. Where it may use as much")
                }
                None => "Talk to whoever has this key. Where it may use as much".to_owned(),
            };
            let text = format!(
                "Limit {limit} of plugin {plugin} had no room for {} requests in the last minute; {} of them ({:.0} %) were of one key, {alias}, \
                 {whence}. {remedy}, raise \"requests\" of the limit in the plugin's \"config\".",
                exceeded.refused.total,
                often.count,
                share * 100.0
            );
            let about = About {
                plugin: Some(plugin.to_owned()),
                limit: Some(limit.clone()),
                key: Some(alias),
                address,
                ..About::default()
            };
            let figures = figures(often, &exceeded.refused, share);
            hints.push(Hint { kind: "flooded_limit", severity: Severity::Warning, about, text, figures });
        }
    }
    hints
}

/// Addresses that come again and again although they are banned or denied.
pub(super) fn turned_away(known: &Known<'_>) -> Vec<Hint> {
    let text = |address: &str, count: u64, total: u64| {
        format!(
            "{address} was turned away {count} times in the last minute, of {total} altogether: it is banned or may not come. Spare the answers, \
             \"refuse\": \"close\" in \"bans\" and \"addresses\", or let a firewall keep it out."
        )
    };
    addresses(&known.turned_away, Severity::Info, text)
}

/// Addresses that want more connections than they may have.
pub(super) fn crowds(known: &Known<'_>) -> Vec<Hint> {
    let text = |address: &str, count: u64, total: u64| {
        format!(
            "{address} was refused {count} connections in the last minute, of {total} altogether: it has as many as it may. Ban it: portcullis ctl \
             ban {address}. Where many are behind it, raise \"connections_per_address_max\" of the listener."
        )
    };
    addresses(&known.crowds, Severity::Warning, text)
}

fn addresses(refused: &Refused, severity: Severity, text: impl Fn(&str, u64, u64) -> String) -> Vec<Hint> {
    let hint = |(often, share): (&Often, f64)| {
        let address = written(often.whence.address()?);
        let text = text(&address, often.count, refused.total);
        let (about, figures) = (About { address: Some(address), ..About::default() }, figures(often, refused, share));
        Some(Hint { kind: "flooding_address", severity, about, text, figures })
    };
    outstanding(refused, TURNED_AWAY_MIN).filter_map(hint).collect()
}
