//! What requests are counted by.
//!
//! Invariant: two keys are the same bytes only if all their parts are the same, whatever clients write into headers: each part says how long
//! it is and whether it was there at all.

use portcullis_sdk::Path;
use portcullis_sdk::limits;
use portcullis_sdk::prelude::*;

use crate::config::Missing;

/// A part of a key. Headers are numbers of names that are interned later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Address,
    Route,
    Method,
    Path,
    Host,
    Header(usize),
    Cookie { header: usize, name: String },
    Attribute(String),
    Parameter(String),
}

const KNOWN: &str =
    "write address, route, method, path, host, header:NAME, cookie:NAME, attribute:NAME or parameter:NAME";

impl Part {
    /// Reads a part; header names are added to `names`.
    pub(crate) fn parse(text: &str, names: &mut Vec<String>) -> Result<Self> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        if text.contains(':') && name.is_empty() {
            return Err(format!("key: `{text}` has no name; {KNOWN}").into());
        }
        Ok(match (kind, name) {
            ("address", "") => Self::Address,
            ("route", "") => Self::Route,
            ("method", "") => Self::Method,
            ("path", "") => Self::Path,
            ("host", "") => Self::Host,
            ("header", name) if !name.is_empty() => Self::Header(number(name, names)),
            ("cookie", name) if !name.is_empty() => {
                Self::Cookie { header: number("cookie", names), name: name.to_owned() }
            }
            ("attribute", name) if !name.is_empty() => Self::Attribute(name.to_owned()),
            ("parameter", name) if !name.is_empty() => Self::Parameter(name.to_owned()),
            _ => return Err(format!("key: `{text}` is not known; {KNOWN}").into()),
        })
    }
}

/// The number of a header name.
pub(crate) fn number(name: &str, names: &mut Vec<String>) -> usize {
    let name = name.to_ascii_lowercase();
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// What is asked of a request.
pub(crate) trait Facts {
    /// The client's address.
    fn address(&self) -> String;
    /// The path.
    fn path(&self) -> Path;
    /// What a part says; none where the request has no such thing. Never asked for address or path.
    fn part(&self, part: &Part) -> Option<Vec<u8>>;
}

/// Bits of an address that count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefixes {
    pub(crate) ipv4: u8,
    pub(crate) ipv6: u8,
}

/// The key of a request; none where it has no such thing as a part and the limit does not apply then.
pub(crate) fn key(parts: &[Part], missing: Missing, prefixes: Prefixes, facts: &dyn Facts) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(32);
    for part in parts {
        if matches!(part, Part::Address) {
            push(&mut key, b'a', &network(facts, prefixes));
            continue;
        }
        // By what it may be read as, so that nobody gets another count by writing it another way.
        let value = match part {
            Part::Path => Some(facts.path().resolved().as_bytes().to_vec()),
            part => facts.part(part),
        };
        match (value, missing) {
            (Some(value), _) => push(&mut key, b'v', &value),
            (None, Missing::Skip) => return None,
            (None, Missing::Together) => push(&mut key, b'-', b""),
            (None, Missing::Address) => push(&mut key, b'a', &network(facts, prefixes)),
        }
    }
    Some(key)
}

/// The bits of the client's address that count.
fn network(facts: &dyn Facts, prefixes: Prefixes) -> Vec<u8> {
    limits::network(&facts.address(), prefixes.ipv4, prefixes.ipv6)
}

fn push(key: &mut Vec<u8>, kind: u8, value: &[u8]) {
    key.push(kind);
    key.extend_from_slice(&(value.len() as u64).to_le_bytes());
    key.extend_from_slice(value);
}

/// The value of a cookie in `Cookie` lines (RFC 6265 section 4.2.1).
pub(crate) fn cookie<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<Vec<u8>> {
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}
