//! The configuration as used: checked, with keys imported and claims given their places.
//!
//! Border: everything that needs the gateway comes in as a function, so that all of this is tested without one. What is
//! wrong is said with the name of the key in the configuration and never with a secret.

use portcullis_sdk::crypto::{Algorithm, KeySource};
use portcullis_sdk::serde_json::Value;

use crate::check::{Comparison, Demand, Expected, Types};
use crate::claims::{ClaimPath, Wanted};
use crate::config::{Config, DemandConfig, KeyConfig, PathConfig, PlaceConfig};
use crate::deny::Challenge;
use crate::import;
use crate::keys::{Keys, Kid};
use crate::place::Place;

/// What a token and its claims must be.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The keys.
    pub keys: Keys,
    /// The types that are taken.
    pub types: Types,
    /// The claims that are looked for.
    pub wanted: Wanted,
    /// Longest token.
    pub token_bytes_max: usize,
    /// By how many seconds clocks may differ.
    pub leeway: f64,
    /// Whether `exp` must be there.
    pub require_exp: bool,
    /// Whether `sub` must be there.
    pub require_sub: bool,
    /// Oldest token, in seconds.
    pub age_max: Option<f64>,
    /// Issuers that are taken; empty: all.
    pub issuers: Vec<String>,
    /// Audiences that are ours; empty: not checked.
    pub audiences: Vec<String>,
    /// Scopes of which all must be there.
    pub scopes: Vec<String>,
    /// Roles of which one must be there.
    pub roles: Option<Demand>,
    /// Claims that must have certain values.
    pub demands: Vec<Demand>,
}

/// What happens with a request beside checking its token.
#[derive(Debug)]
pub(crate) struct Handling {
    /// Where tokens are looked for, in this order.
    pub places: Vec<Place>,
    /// What requests without a token meet.
    pub missing: Missing,
    /// What becomes of the token.
    pub token: TokenFate,
    /// Headers and the claims they get.
    pub headers: Vec<(String, ClaimPath)>,
    /// Attributes and the claims they get.
    pub attributes: Vec<(String, ClaimPath)>,
    /// What clients that do not pass are told.
    pub challenge: Challenge,
}

/// What requests without a token meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// 401.
    Denied,
    /// They pass.
    Passes,
}

/// What becomes of a token that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFate {
    /// The upstream sees it.
    Kept,
    /// It is taken out.
    Stripped,
}

/// Imports a key for an algorithm; it gets the next number. The message does not hold the key.
pub(crate) type Import<'a> = dyn FnMut(&KeySource, Algorithm) -> Result<(), String> + 'a;

/// Checks a configuration and imports its keys.
pub(crate) fn compile(config: &Config, import: &mut Import<'_>) -> Result<(Settings, Handling), String> {
    let types = Types(config.types.iter().map(|typ| Types::normal(typ)).collect());
    let keys = import_keys(&config.keys, import)?;
    let kid = if config.require_kid { Kid::Required } else { Kid::Optional };
    let keys = Keys::new(keys, kid, &types)?;

    let mut wanted = Wanted::default();
    let roles = match config.roles.as_slice() {
        [] => None,
        roles => Some(Demand {
            claim: path(&mut wanted, &config.roles_claim, "roles_claim")?,
            comparison: Comparison::Meets,
            values: roles.iter().cloned().map(Expected::Text).collect(),
        }),
    };
    let demands = config.claims.iter().enumerate();
    let demands =
        demands.map(|(index, demand)| compile_demand(demand, index, &mut wanted)).collect::<Result<_, _>>()?;

    let places: Vec<_> = config.tokens.iter().map(compile_place).collect::<Result<_, _>>()?;
    let mut headers = Vec::new();
    for (name, claim) in &config.headers {
        let name = name.to_ascii_lowercase();
        if places.iter().any(|place| matches!(place, Place::Header { name: token, .. } if *token == name)) {
            return Err(format!("headers: `{name}` cannot carry a claim, since it carries the token"));
        }
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(format!("headers: `{name}` twice, once in another case"));
        }
        headers.push((name, path(&mut wanted, claim, "headers")?));
    }
    let mut attributes = Vec::new();
    for (name, claim) in &config.attributes {
        // Values come from tokens and are checked then; a bad name would fail every request.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return Err(format!("attributes: `{name}` is not an attribute name: use a-z A-Z 0-9 _ - ."));
        }
        attributes.push((name.clone(), path(&mut wanted, claim, "attributes")?));
    }
    let settings = Settings {
        keys,
        types,
        wanted,
        token_bytes_max: config.max_token_bytes,
        leeway: config.leeway_seconds.into(),
        require_exp: config.require_exp,
        require_sub: config.require_sub,
        age_max: config.max_age_seconds.map(f64::from),
        issuers: config.issuers.clone(),
        audiences: config.audiences.clone(),
        scopes: config.scopes.clone(),
        roles,
        demands,
    };
    let handling = Handling {
        challenge: challenge(config, &places)?,
        places,
        missing: if config.optional { Missing::Passes } else { Missing::Denied },
        token: if config.strip_token { TokenFate::Stripped } else { TokenFate::Kept },
        headers,
        attributes,
    };
    Ok((settings, handling))
}

fn import_keys(configs: &[KeyConfig], import: &mut Import<'_>) -> Result<Vec<crate::keys::Key>, String> {
    let mut keys = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        import::keys(config, &mut keys, import).map_err(|problem| format!("keys[{index}]: {problem}"))?;
    }
    if keys.is_empty() { Err("keys: give at least one".to_owned()) } else { Ok(keys) }
}

fn path(wanted: &mut Wanted, config: &PathConfig, key: &str) -> Result<ClaimPath, String> {
    let names = config.names();
    names.and_then(|names| wanted.path(&names)).ok_or_else(|| format!("{key}: a claim without a name"))
}

fn compile_demand(config: &DemandConfig, index: usize, wanted: &mut Wanted) -> Result<Demand, String> {
    let key = format!("claims[{index}]");
    let (comparison, values) = match (&config.equals, &config.one_of, &config.contains) {
        (Some(value), None, None) => (Comparison::OneOf, std::slice::from_ref(value)),
        (None, Some(values), None) => (Comparison::OneOf, values.as_slice()),
        (None, None, Some(Value::Array(values))) => (Comparison::ContainsAll, values.as_slice()),
        (None, None, Some(value)) => (Comparison::ContainsAll, std::slice::from_ref(value)),
        _ => return Err(format!("{key}: give exactly one of equals, one_of and contains")),
    };
    if values.is_empty() {
        return Err(format!("{key}: give at least one value"));
    }
    let expected = |value: &Value| match value {
        Value::String(text) => Ok(Expected::Text(text.clone())),
        Value::Number(number) => Ok(Expected::Number(number.to_string())),
        Value::Bool(flag) => Ok(Expected::Flag(*flag)),
        _ => Err(format!("{key}: values are strings, numbers or booleans")),
    };
    let values = values.iter().map(expected).collect::<Result<_, _>>()?;
    Ok(Demand { claim: path(wanted, &config.claim, &key)?, comparison, values })
}

fn compile_place(config: &PlaceConfig) -> Result<Place, String> {
    match (&config.header, &config.cookie, &config.query, &config.scheme) {
        (Some(name), None, None, scheme) => {
            let name = name.to_ascii_lowercase();
            let usual = if name == "authorization" { "Bearer" } else { "" };
            let scheme = scheme.clone().unwrap_or_else(|| usual.to_owned());
            if scheme.bytes().all(is_token) {
                Ok(Place::Header { name, scheme })
            } else {
                Err("tokens: not a scheme".to_owned())
            }
        }
        (None, Some(name), None, None) if !name.is_empty() => Ok(Place::Cookie(name.clone())),
        (None, None, Some(name), None) if !name.is_empty() => Ok(Place::Query(name.clone())),
        _ => Err("tokens: give each exactly one of header (with or without scheme), cookie and query".to_owned()),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The scheme is that of the first header that has one: it is the way we would like clients to come.
fn challenge(config: &Config, places: &[Place]) -> Result<Challenge, String> {
    if config.realm.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err("realm: use printable ASCII".to_owned());
    }
    // RFC 6749 section 3.3.
    let is_scope =
        |scope: &String| !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if !config.scopes.iter().all(is_scope) {
        return Err("scopes: a scope is one word without quotes and backslashes".to_owned());
    }
    let schemes = places.iter().filter_map(|place| match place {
        Place::Header { scheme, .. } if !scheme.is_empty() => Some(scheme.as_str()),
        _ => None,
    });
    Ok(Challenge::new(schemes.into_iter().next().unwrap_or("Bearer"), &config.realm, &config.scopes))
}
