//! Lets pass who brings a key that is known. Kept is only what SHA-256 makes of a key.
//!
//! ```json
//! {
//!   "keys": [
//!     { "name": "billing", "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "roles": ["reader"] }
//!   ],
//!   "places": [{ "header": "x-api-key" }],
//!   "name_header": "x-client-name"
//! }
//! ```
//!
//! `portcullis hash key` makes a key and its hash. Keys are random and long, so that one round of a fast hash is enough; for passwords that
//! people think up there is `basic-auth`. Which keys exist cannot be learned from how long an answer takes: digests are compared in
//! constant time, all of them that share their first byte.
//!
//! The attributes `auth.subject`, `auth.method` (`api-key`) and `auth.roles` tell later plugins, limits and logs who it was. The key is
//! taken out of the request unless `"keep_key": true`.

mod keys;

use portcullis_sdk::crypto::{self, Hash};
use portcullis_sdk::list;
use portcullis_sdk::prelude::*;

use crate::keys::{Keys, Known};

/// What operators write.
#[portcullis_sdk::config]
pub struct Config {
    /// The keys.
    #[schemars(length(min = 1))]
    keys: Vec<KeyConfig>,
    /// Where a key is looked for, in this order; the first place that holds one counts. Default: the header `x-api-key`.
    #[serde(default = "places")]
    #[schemars(length(min = 1))]
    places: Vec<PlaceConfig>,
    /// Whether requests without a key pass. A wrong key never does.
    #[serde(default)]
    optional: bool,
    /// Whether the upstream sees the key.
    #[serde(default)]
    keep_key: bool,
    /// The request header that tells the upstream the name of the key. What clients send under that name is removed.
    #[serde(default)]
    name_header: Option<String>,
}

/// One key.
#[portcullis_sdk::config]
struct KeyConfig {
    /// Whose it is.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// SHA-256 of the key, in hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    sha256: String,
    /// The roles of its owner, for `access-control`.
    #[serde(default)]
    roles: Vec<String>,
}

/// Where a key may be. Exactly one of `header` and `query` must be there.
#[portcullis_sdk::config]
struct PlaceConfig {
    /// The name of a header.
    #[serde(default)]
    header: Option<String>,
    /// The scheme in front of the key in that header, such as `Bearer`.
    #[serde(default)]
    scheme: Option<String>,
    /// The name of a query parameter. Queries end up in logs and histories: only where there is no other way.
    #[serde(default)]
    query: Option<String>,
}

fn places() -> Vec<PlaceConfig> {
    vec![PlaceConfig { header: Some("x-api-key".to_owned()), scheme: None, query: None }]
}

enum Place {
    Header(HeaderName, Option<String>),
    Query(String),
}

/// One instance.
pub struct ApiKey {
    keys: Keys,
    places: Vec<Place>,
    optional: bool,
    keep_key: bool,
    name_header: Option<HeaderName>,
}

#[portcullis_sdk::plugin(grants = ["crypto"])]
impl Plugin for ApiKey {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let mut keys = Keys::default();
        for key in config.keys {
            keys.add(&key.sha256, Known { name: key.name, roles: list::joined(key.roles) })?;
        }
        let places = config.places.into_iter().map(|place| match (place.header, place.query, place.scheme) {
            (Some(header), None, scheme) => Ok(Place::Header(HeaderName::intern(&header)?, scheme)),
            (None, Some(query), None) => Ok(Place::Query(query)),
            _ => Err(Error::new("`places`: write either `header`, with or without `scheme`, or `query`")),
        });
        Ok(Self {
            keys,
            places: places.collect::<Result<_>>()?,
            optional: config.optional,
            keep_key: config.keep_key,
            name_header: config.name_header.as_deref().map(HeaderName::intern).transpose()?,
        })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        if let Some(name) = self.name_header {
            request.remove_header(name);
        }
        for place in &self.places {
            let brought = match place {
                Place::Header(name, scheme) => match request.headers(*name).as_slice() {
                    [] => None,
                    [value] => behind_scheme(value, scheme.as_deref()).map(<[u8]>::to_vec),
                    _ => return Ok(denied(400, "more than one key")),
                },
                Place::Query(name) => match values(request.query().unwrap_or_default().as_str(), name).as_slice() {
                    [] => None,
                    [value] => Some(value.clone().into_bytes()),
                    _ => return Ok(denied(400, "more than one key")),
                },
            };
            let Some(key) = brought else { continue };
            let Some(known) = self.keys.find(&crypto::digest(Hash::Sha256, &key)) else {
                return Ok(denied(401, "the key is not known"));
            };
            request.set_attribute("auth.subject", &known.name)?;
            request.set_attribute("auth.method", "api-key")?;
            request.set_attribute("auth.roles", &known.roles)?;
            if let Some(name) = self.name_header {
                request.set_header(name, &known.name)?;
            }
            if !self.keep_key {
                self.take_out(request)?;
            }
            return Ok(Verdict::Next);
        }
        Ok(if self.optional { Verdict::Next } else { denied(401, "a key is required") })
    }
}

impl ApiKey {
    /// Takes keys out of every place where one may be, not only where it was found.
    fn take_out(&self, request: &Request) -> Result<()> {
        for place in &self.places {
            match place {
                Place::Header(name, _) => request.remove_header(*name),
                Place::Query(name) => {
                    let Some(query) = request.query() else { continue };
                    let kept: Vec<&str> = query.split('&').filter(|pair| !is_named(pair, name)).collect();
                    let (path, kept) = (request.path(), kept.join("&"));
                    if kept != query {
                        let target = if kept.is_empty() { path } else { format!("{path}?{kept}") };
                        request.set_path_and_query(&target)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn denied(status: u16, why: &str) -> Verdict {
    let response = Response::problem(status, why);
    // RFC 9110 section 15.5.2 wants a challenge. The scheme has no registration; everybody calls it so.
    if status == 401 { response.with_header("www-authenticate", "ApiKey").into() } else { response.into() }
}

/// The credentials behind an authentication scheme (RFC 9110 section 11.4); without a scheme the whole value.
fn behind_scheme<'a>(value: &'a [u8], scheme: Option<&str>) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let key = match scheme {
        None => value,
        Some(scheme) => {
            let (start, rest) = value.split_at_checked(scheme.len())?;
            let rest = rest.strip_prefix(b" ")?;
            if !start.eq_ignore_ascii_case(scheme.as_bytes()) {
                return None;
            }
            rest.trim_ascii()
        }
    };
    (!key.is_empty()).then_some(key)
}

fn is_named(pair: &str, name: &str) -> bool {
    pair.split_once('=').map_or(pair, |(name, _)| name) == name
}

/// The values of a query parameter. A key is made of letters that need no percent-encoding, so that none is undone.
fn values(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter(|pair| is_named(pair, name));
    pairs.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_behind_its_scheme_or_name() {
        assert_eq!(behind_scheme(b" k ", None), Some(&b"k"[..]));
        assert_eq!(behind_scheme(b"bearer  k", Some("Bearer")), Some(&b"k"[..]));
        for (value, scheme) in
            [("", None), ("Bearer", Some("Bearer")), ("Bearer ", Some("Bearer")), ("Basic k", Some("Bearer"))]
        {
            assert_eq!(behind_scheme(value.as_bytes(), scheme), None, "{value}");
        }
        assert_eq!(values("a=1&key=x&b", "key"), ["x"]);
        assert_eq!(values("key=x&key=x", "key").len(), 2);
        assert!(values("xkey=1&key&key=", "key").is_empty());
    }
}
