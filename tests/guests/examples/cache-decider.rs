//! Decides about the cache as its configuration says.

use std::time::Duration;

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
#[derive(Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KeyPart {
    /// Leaves the key.
    Next,
    /// Adds the value of the request field `x-part`.
    Extend,
    /// Uses the value of the request field `x-part` alone.
    Replace,
    /// Goes around the cache.
    Bypass,
}

#[portcullis_sdk::config]
#[derive(Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Admit {
    /// Leaves it to the others.
    Next,
    /// Does not store.
    NoStore,
    /// Stores for `ttl_ms`.
    Store,
}

#[portcullis_sdk::config]
struct Config {
    /// What becomes of the key.
    key: KeyPart,
    /// What becomes of the response.
    admit: Admit,
    /// For how long.
    #[serde(default)]
    ttl_ms: u64,
    /// Under which tags.
    #[serde(default)]
    tags: Vec<String>,
    /// How long it may be shown while it is fetched anew.
    #[serde(default)]
    stale_while_revalidate_ms: u64,
    /// How long it may be shown where the upstream fails.
    #[serde(default)]
    stale_if_error_ms: u64,
    /// How much of its freshness is left when it is renewed.
    #[serde(default)]
    refresh_ahead_ms: u64,
}

struct Decider(Config);

#[portcullis_sdk::plugin(name = "cache-decider")]
impl Plugin for Decider {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn cache_key(&self, request: &Request) -> Result<KeyVerdict> {
        let part = || {
            let value = request.header_named("x-part").unwrap_or_default();
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        Ok(match self.0.key {
            KeyPart::Next => KeyVerdict::Next,
            KeyPart::Extend => KeyVerdict::Extend(part()),
            KeyPart::Replace => KeyVerdict::Replace(part()),
            KeyPart::Bypass => KeyVerdict::Bypass,
        })
    }

    fn cache_admit(&self, _: &Request, _: &Response) -> Result<AdmitVerdict> {
        Ok(match self.0.admit {
            Admit::Next => AdmitVerdict::Next,
            Admit::NoStore => AdmitVerdict::NoStore,
            Admit::Store => Admission::fresh_for(Duration::from_millis(self.0.ttl_ms))
                .tags(&self.0.tags)
                .stale_while_revalidate(Duration::from_millis(self.0.stale_while_revalidate_ms))
                .stale_if_error(Duration::from_millis(self.0.stale_if_error_ms))
                .refresh_ahead(Duration::from_millis(self.0.refresh_ahead_ms))
                .into(),
        })
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        response.set_header_named("x-cache-seen", format!("{:?}", request.cache_status()))?;
        Ok(Verdict::Next)
    }
}
