//! Finds the claims that the configuration asks for (RFC 7519 section 4), in one pass over the claims set.
//!
//! Border: where values are; what they must be is `check.rs`. Invariant: no claim appears twice, asked for or not
//! (RFC 7519 section 4 allows to refuse that, and it leaves no room for two readings of one token).

use crate::json::{self, Kind, Malformed, Span, Value};

/// Most members of a claims set. Large directories put groups into lists, not into claims.
const MEMBERS_MAX: usize = 256;

/// Claims that are always looked for, by their place.
pub(crate) const REGISTERED: [&str; 8] = ["exp", "nbf", "iat", "iss", "aud", "sub", "scope", "scp"];
/// Place of `exp` (RFC 7519 section 4.1.4).
pub(crate) const EXP: usize = 0;
/// Place of `nbf` (RFC 7519 section 4.1.5).
pub(crate) const NBF: usize = 1;
/// Place of `iat` (RFC 7519 section 4.1.6).
pub(crate) const IAT: usize = 2;
/// Place of `iss` (RFC 7519 section 4.1.1).
pub(crate) const ISS: usize = 3;
/// Place of `aud` (RFC 7519 section 4.1.3).
pub(crate) const AUD: usize = 4;
/// Place of `sub` (RFC 7519 section 4.1.2).
pub(crate) const SUB: usize = 5;
/// Place of `scope` (RFC 8693 section 4.2, RFC 9068 section 2.2.3).
pub(crate) const SCOPE: usize = 6;
/// Place of `scp`, which some providers write instead.
pub(crate) const SCP: usize = 7;

/// Which members are looked for.
#[derive(Debug)]
pub(crate) struct Wanted(Vec<(u32, Box<str>)>);

impl Default for Wanted {
    fn default() -> Self {
        Self(REGISTERED.iter().map(|name| (fingerprint(name.as_bytes()), (*name).into())).collect())
    }
}

impl Wanted {
    /// Looks for this claim, too.
    pub(crate) fn path(&mut self, names: &[String]) -> Option<ClaimPath> {
        let (first, rest) = names.split_first()?;
        let place = self.0.iter().position(|(_, known)| **known == **first).unwrap_or_else(|| {
            self.0.push((fingerprint(first.as_bytes()), first.as_str().into()));
            self.0.len() - 1
        });
        Some(ClaimPath { place, rest: rest.iter().map(|name| name.as_str().into()).collect() })
    }

    #[inline]
    fn place(&self, key: Value<'_>, mark: u32) -> Option<usize> {
        let is = |wanted: &(u32, Box<str>)| match key.kind() {
            Kind::Text => wanted.0 == mark && json::is_same(wanted.1.as_bytes(), key.bytes()),
            _ => key.is_text(&wanted.1),
        };
        self.0.iter().position(is)
    }
}

/// Where a claim is: a member of the claims set, or a member of an object in it.
#[derive(Debug)]
pub(crate) struct ClaimPath {
    place: usize,
    rest: Box<[Box<str>]>,
}

/// Memory that is used again for every token; holds nothing of the last one that a later one could see.
#[derive(Debug, Default)]
pub(crate) struct Places {
    found: Vec<Span>,
    names: Vec<(u32, Span)>,
}

/// The claims of one token, whose signature has been verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims<'a> {
    text: &'a str,
    found: &'a [Span],
}

impl<'a> Claims<'a> {
    /// Reads a claims set.
    pub(crate) fn read(text: &'a str, wanted: &Wanted, places: &'a mut Places) -> Result<Self, Malformed> {
        places.found.clear();
        places.found.resize(wanted.0.len(), Span::ABSENT);
        places.names.clear();
        let (found, names) = (&mut places.found, &mut places.names);
        let mut any_escaped = false;
        json::object(text, |name, value| {
            let key = name.of(text);
            any_escaped |= key.kind() == Kind::Escaped;
            let mark = fingerprint(key.bytes());
            if names.len() >= MEMBERS_MAX || is_known(names, text, key, mark, any_escaped) {
                return Err(Malformed);
            }
            names.push((mark, name));
            if let Some(place) = wanted.place(key, mark)
                && let Some(found) = found.get_mut(place)
            {
                *found = value;
            }
            Ok(())
        })?;
        Ok(Self { text, found })
    }

    /// The claim at one of the registered places.
    pub(crate) fn registered(self, place: usize) -> Value<'a> {
        self.found.get(place).copied().unwrap_or(Span::ABSENT).of(self.text)
    }

    /// The claim at a path.
    pub(crate) fn at(self, path: &ClaimPath) -> Result<Value<'a>, Malformed> {
        path.rest.iter().try_fold(self.registered(path.place), |value, name| value.member(name))
    }
}

/// Length, first and last byte: differs for most names that differ.
fn fingerprint(bytes: &[u8]) -> u32 {
    let byte = |byte: Option<&u8>| byte.copied().map_or(0, u32::from);
    (bytes.len() as u32) << 16 | byte(bytes.first()) << 8 | byte(bytes.last())
}

fn is_known(names: &[(u32, Span)], text: &str, key: Value<'_>, mark: u32, any_escaped: bool) -> bool {
    if any_escaped {
        // The same name can then be spelt in different ways.
        let Some(key) = key.text() else { return true };
        return names.iter().any(|(_, known)| known.of(text).is_text(&key));
    }
    names.iter().any(|(other, known)| *other == mark && json::is_same(known.of(text).bytes(), key.bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(text: &str, path: &[&str]) -> Result<String, Malformed> {
        let mut wanted = Wanted::default();
        let names: Vec<_> = path.iter().map(|name| (*name).to_owned()).collect();
        let path = wanted.path(&names).unwrap();
        let mut places = Places::default();
        let claims = Claims::read(text, &wanted, &mut places)?;
        claims.at(&path).map(|value| value.raw().to_owned())
    }

    #[test]
    fn claims_are_found_by_path() {
        let text = r#"{"sub":"joe","realm_access":{"roles":["a"],"x":{"y":1}},"a\/b":2}"#;
        assert_eq!(read(text, &["sub"]).unwrap(), "joe");
        assert_eq!(read(text, &["realm_access", "roles"]).unwrap(), r#"["a"]"#);
        assert_eq!(read(text, &["realm_access", "x", "y"]).unwrap(), "1");
        assert_eq!(read(text, &["a/b"]).unwrap(), "2");
        assert_eq!(read(text, &["sub", "x"]).unwrap(), "");
        assert_eq!(read(text, &["none"]).unwrap(), "");
    }

    #[test]
    fn duplicates_are_refused_however_they_are_spelt() {
        for text in [
            r#"{"exp":1,"exp":2}"#,
            r#"{"other":1,"other":1}"#,
            r#"{"exp":1,"\u0065xp":2}"#,
            r#"{"\u0065xp":1,"exp":2}"#,
            r#"{"\u0065xp":1,"e\u0078p":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
        ] {
            assert_eq!(read(text, &["a", "b"]), Err(Malformed), "{text}");
        }
        assert!(read(r#"{"abc":1,"adc":2,"ac":3}"#, &["a"]).is_ok());
        let many: Vec<_> = (0..=MEMBERS_MAX).map(|index| format!("\"{index}\":1")).collect();
        assert!(read(&format!("{{{}}}", many.join(",")), &["a"]).is_err());
        assert!(read(&format!("{{{}}}", many.get(1..).unwrap().join(",")), &["a"]).is_ok());
    }

    #[test]
    fn nothing_stays_from_the_token_before() {
        let (wanted, mut places) = (Wanted::default(), Places::default());
        Claims::read(r#"{"sub":"joe","iss":"x"}"#, &wanted, &mut places).unwrap();
        let claims = Claims::read(r#"{"iss":"y"}"#, &wanted, &mut places).unwrap();
        assert_eq!(claims.registered(SUB).kind(), Kind::Absent);
        assert_eq!(claims.registered(ISS).raw(), "y");
    }
}
