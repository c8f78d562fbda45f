//! What stands between the bindings' export macros and an author's [`Plugin`]: the instance, and one adapter per hook.
//!
//! Border: used by the code that `#[plugin]` writes, never by authors. Nothing here is reached for a hook that was not
//! written, so the linker drops it.

use std::cell::OnceCell;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::plugin::{Admission, AdmitVerdict, KeyVerdict, Verdict};
use crate::raw;
use crate::{Plugin, Request, Response, Result};

/// What `describe` says beside the schema of the configuration.
#[derive(Debug)]
pub struct About {
    /// The plugin's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// Plugins that must stand earlier in the chain, as name and semver range.
    pub requires: &'static [(&'static str, &'static str)],
    /// Plugins that must not be in the same chain.
    pub conflicts: &'static [(&'static str, &'static str)],
    /// The grants it asks for.
    pub grants: &'static [&'static str],
}

/// A plugin that `#[plugin]` made exportable.
pub trait Exportable: Plugin {
    /// What `describe` says.
    const ABOUT: About;

    /// Runs `f` with the place of this component's one instance.
    fn with_slot<R>(f: impl FnOnce(&OnceCell<Self>) -> R) -> R;

    /// The instance where there is no `init` hook.
    #[must_use]
    fn implied() -> Option<Self> {
        None
    }
}

/// The type that the bindings' export macros are invoked with.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

/// Runs one hook on the instance.
fn run<P: Exportable, T>(hook: impl FnOnce(&P) -> Result<T>) -> Result<T, String> {
    P::with_slot(|slot| {
        let plugin = match slot.get() {
            Some(plugin) => plugin,
            None => match P::implied() {
                Some(plugin) => slot.get_or_init(|| plugin),
                None => return Err("a hook was called before `init`".to_owned()),
            },
        };
        hook(plugin).map_err(crate::Error::into_message)
    })
}

/// Reads the configuration, naming the place of a mistake.
fn parse<C: DeserializeOwned>(config: &str) -> Result<C, String> {
    serde_json::from_str(config).map_err(|error| format!("configuration: {error}"))
}

fn relations<T>(pairs: &[(&str, &str)], make: impl Fn(String, String) -> T) -> Vec<T> {
    pairs.iter().map(|(plugin, versions)| make((*plugin).to_owned(), (*versions).to_owned())).collect()
}

impl<P: Exportable> raw::describe::Guest for Exported<P> {
    fn describe() -> raw::describe::Description {
        let about = P::ABOUT;
        let relation = |plugin, versions| raw::describe::Relation { plugin, versions };
        let schema = schemars::schema_for!(P::Config);
        raw::describe::Description {
            name: about.name.to_owned(),
            version: about.version.to_owned(),
            summary: about.summary.to_owned(),
            requires: relations(about.requires, relation),
            conflicts: relations(about.conflicts, relation),
            config_schema: schema.as_value().to_string(),
            grants: about.grants.iter().map(|grant| (*grant).to_owned()).collect(),
        }
    }
}

impl<P: Exportable> raw::init::Guest for Exported<P> {
    fn init(config: String) -> Result<Vec<raw::init::Hook>, String> {
        let plugin = P::init(parse(&config)?).map_err(crate::Error::into_message)?;
        let idle = plugin.idle_hooks();
        P::with_slot(|slot| slot.set(plugin)).map_err(|_| "`init` was called twice".to_owned())?;
        Ok(idle)
    }
}

impl<P: Exportable> raw::pre_route::Guest for Exported<P> {
    fn pre_route(request: &raw::types::Request) -> Result<raw::types::Verdict, String> {
        run(|plugin: &P| plugin.pre_route(Request::lent(request)).map(Into::into))
    }
}

impl<P: Exportable> raw::pre_handler::Guest for Exported<P> {
    fn pre_handler(request: &raw::types::Request) -> Result<raw::types::Verdict, String> {
        run(|plugin: &P| plugin.pre_handler(Request::lent(request)).map(Into::into))
    }
}

impl<P: Exportable> raw::cache_key::Guest for Exported<P> {
    fn cache_key(request: &raw::types::Request) -> Result<raw::cache_key::KeyVerdict, String> {
        run(|plugin: &P| plugin.cache_key(Request::lent(request)).map(Into::into))
    }
}

impl<P: Exportable> raw::cache_admit::Guest for Exported<P> {
    fn cache_admit(
        request: &raw::types::Request,
        response: &raw::types::Response,
    ) -> Result<raw::cache_admit::AdmitVerdict, String> {
        run(|plugin: &P| plugin.cache_admit(Request::lent(request), Response::lent(response)).map(Into::into))
    }
}

impl<P: Exportable> raw::post_handler::Guest for Exported<P> {
    fn post_handler(
        request: &raw::types::Request,
        response: &raw::types::Response,
    ) -> Result<raw::types::Verdict, String> {
        run(|plugin: &P| plugin.post_handler(Request::lent(request), Response::lent(response)).map(Into::into))
    }
}

impl<P: Exportable> raw::post_response::Guest for Exported<P> {
    fn post_response(
        request: &raw::types::Request,
        response: &raw::types::Response,
        summary: raw::post_response::Summary,
    ) -> Result<(), String> {
        run(|plugin: &P| plugin.post_response(Request::lent(request), Response::lent(response), &summary))
    }
}

impl<P: Exportable> raw::on_error::Guest for Exported<P> {
    fn on_error(request: &raw::types::Request, error: raw::on_error::Error) -> Result<raw::types::Verdict, String> {
        run(|plugin: &P| plugin.on_error(Request::lent(request), &error).map(Into::into))
    }
}

impl<P: Exportable> raw::destroy::Guest for Exported<P> {
    fn destroy() {
        P::with_slot(|slot| slot.get().map(Plugin::destroy));
    }
}

impl From<Verdict> for raw::types::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Next => Self::Next,
            Verdict::Respond(response) => Self::Respond(response.into_raw()),
        }
    }
}

impl From<KeyVerdict> for raw::cache_key::KeyVerdict {
    fn from(verdict: KeyVerdict) -> Self {
        match verdict {
            KeyVerdict::Next => Self::Next,
            KeyVerdict::Extend(part) => Self::Extend(part),
            KeyVerdict::Replace(key) => Self::Replace(key),
            KeyVerdict::Bypass => Self::Bypass,
        }
    }
}

impl From<AdmitVerdict> for raw::cache_admit::AdmitVerdict {
    fn from(verdict: AdmitVerdict) -> Self {
        match verdict {
            AdmitVerdict::Next => Self::Next,
            AdmitVerdict::NoStore => Self::NoStore,
            AdmitVerdict::Store(admission) => Self::Store(admission.into()),
        }
    }
}

impl From<Admission> for raw::cache_admit::Admission {
    fn from(admission: Admission) -> Self {
        Self {
            ttl_ms: milliseconds(admission.ttl),
            tags: admission.tags,
            stale_while_revalidate_ms: milliseconds(admission.stale_while_revalidate),
            stale_if_error_ms: milliseconds(admission.stale_if_error),
            refresh_ahead_ms: milliseconds(admission.refresh_ahead),
        }
    }
}

/// More milliseconds than fit are as good as forever.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
