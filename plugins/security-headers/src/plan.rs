//! From the configuration to the edits: which headers are set, kept, removed, and which must wait for a nonce or for https.

use portcullis_sdk::prelude::*;

use crate::config::{Config, Defaults, Text};
use crate::csp::{self, Template};
use crate::{plain, structured};

/// One edit of the header set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Edit {
    /// Replaces what the upstream sent.
    Set(String, String),
    /// Only where the upstream sent none.
    Default(String, String),
    /// Removes it.
    Remove(String),
}

/// What is to be done with every response.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) edits: Vec<Edit>,
    /// Strict-Transport-Security, where it is for https only.
    pub(crate) secure_only: Option<Edit>,
    /// Policies that need a nonce.
    pub(crate) nonced: Vec<(&'static str, Template)>,
}

impl Plan {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let keep: Vec<String> = config.keep.iter().map(|name| name.to_ascii_lowercase()).collect();
        let edit = |name: &str, value: String| {
            let (kept, name) = (keep.iter().any(|kept| kept == name), name.to_owned());
            if kept { Edit::Default(name, value) } else { Edit::Set(name, value) }
        };
        let mut plan = Self { edits: removals(config), secure_only: None, nonced: Vec::new() };
        let policies = csp::policies(config)?;
        let policies = [
            ("content-security-policy", policies.enforced),
            ("content-security-policy-report-only", policies.report_only),
        ];
        for (name, policy) in policies {
            let Some(policy) = policy else { continue };
            match policy.constant() {
                Some(value) => plan.edits.push(edit(name, value.to_owned())),
                None if keep.iter().any(|kept| kept == name) => {
                    return Err(format!("keep: `{name}` needs a nonce, so the upstream's value cannot stay").into());
                }
                None => plan.nonced.push((name, policy)),
            }
        }
        if let Some(value) = structured::hsts(config)? {
            let hsts = edit("strict-transport-security", value);
            if config.hsts_over_http {
                plan.edits.push(hsts);
            } else {
                plan.secure_only = Some(hsts);
            }
        }
        plan.edits.extend(plain::values(config)?.into_iter().map(|(name, value)| edit(name, value)));
        if let Some(value) = structured::permissions(config)? {
            plan.edits.push(edit("permissions-policy", value));
        }
        if let Some(value) = structured::reporting(config)? {
            plan.edits.push(edit("reporting-endpoints", value));
        }
        for (name, value) in &config.extra {
            let name = name.to_ascii_lowercase();
            plan.edits.push(match value {
                Text::Value(value) => edit(&name, value.clone()),
                Text::Switch(false) => Edit::Remove(name),
                Text::Switch(true) => return Err(format!("extra: `{name}`: `true` is no value; write a string").into()),
            });
        }
        Ok(plan)
    }
}

fn removals(config: &Config) -> Vec<Edit> {
    let names = match (&config.remove, config.defaults) {
        (Some(names), _) => names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        (None, Defaults::Helmet) => vec!["server".to_owned(), "x-powered-by".to_owned()],
        (None, Defaults::None) => Vec::new(),
    };
    names.into_iter().map(Edit::Remove).collect()
}
