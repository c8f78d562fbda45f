//! `cache`: purging.
//!
//! Border: what can be said without knowing the cache is said here (budget, texts that name nothing); the rest is the
//! [`Purges`](crate::plugin::Purges) that was handed in.

use super::contract::cache::{Host, PurgeMode, PurgeTarget};
use crate::plugin::purges;
use crate::plugin::state::State;

/// What a purge costs of the call's byte budget beside its text. It is work that fuel does not see: with the default budget
/// a call can purge about a thousand tags,
const PRICE: usize = 1024;
/// or look at everything sixteen times.
const PRICE_OF_A_WALK: usize = 64 * 1024;

/// Longest text of a target; no URL that the gateway takes is longer.
const TEXT_BYTES_MAX: usize = 8 * 1024;

fn target(target: &PurgeTarget) -> purges::PurgeTarget<'_> {
    match target {
        PurgeTarget::Key(key) => purges::PurgeTarget::Key(key),
        PurgeTarget::Url(url) => purges::PurgeTarget::Url(url),
        PurgeTarget::Tag(tag) => purges::PurgeTarget::Tag(tag),
        PurgeTarget::Pattern(pattern) => purges::PurgeTarget::Pattern(pattern),
        PurgeTarget::Version(namespace) => purges::PurgeTarget::Version(namespace),
        PurgeTarget::All => purges::PurgeTarget::All,
    }
}

const fn mode(mode: PurgeMode) -> purges::PurgeMode {
    match mode {
        PurgeMode::Hard => purges::PurgeMode::Hard,
        PurgeMode::Soft => purges::PurgeMode::Soft,
    }
}

impl Host for State {
    fn purge(&mut self, wanted: PurgeTarget, how: PurgeMode) -> wasmtime::Result<Result<u64, String>> {
        let target = target(&wanted);
        let price = match target {
            purges::PurgeTarget::Pattern(_) | purges::PurgeTarget::All => PRICE_OF_A_WALK,
            _ => PRICE,
        };
        self.spend(target.text().map_or(0, str::len) + price)?;
        // A trial of a configuration, by `portcullis check` for instance, must not change what the gateway gives.
        let Some(exchange) = &self.exchange else {
            return Ok(Err("nothing can be purged in `init` and `destroy`".to_owned()));
        };
        let result = match target.text() {
            Some("") => Err(format!("an empty {} names nothing", target.kind())),
            Some(text) if text.len() > TEXT_BYTES_MAX => {
                Err(format!("a {} of {} bytes; {TEXT_BYTES_MAX} are allowed", target.kind(), text.len()))
            }
            _ => self.services.purges().purge(target, mode(how)),
        };
        if let Err(why) = &result {
            let request_id = exchange.id.to_str().unwrap_or_default();
            tracing::warn!(target: "plugin", plugin = %self.plugin, request_id, "nothing is purged by {}: {why}", target.kind());
        }
        Ok(result)
    }
}
