//! The directives of `Cache-Control` (RFC 9111 section 5.2) and of the fields that are meant for caches like this one (RFC 9213).
//!
//! Pure. What cannot be understood never makes a response fresher than it is.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Longest time that is believed (RFC 9111 section 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// `delta-seconds` (section 1.2.2): digits, capped.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, add).min(SECONDS_MAX))
}

/// A number of seconds in a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seconds {
    /// Not said.
    #[default]
    Absent,
    /// So many.
    Given(u64),
    /// Not a number, or two different ones.
    Unclear,
}

impl Seconds {
    /// The time, where it is said and understood.
    pub fn given(self) -> Option<std::time::Duration> {
        match self {
            Self::Given(seconds) => Some(std::time::Duration::from_secs(seconds)),
            Self::Absent | Self::Unclear => None,
        }
    }

    fn add(&mut self, value: Option<&[u8]>) {
        let given = value.and_then(seconds).map_or(Self::Unclear, Self::Given);
        *self = if *self == Self::Absent || *self == given { given } else { Self::Unclear };
    }
}

/// What `max-stale` lets through (section 5.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// By so many seconds.
    Seconds(u64),
}

/// The directives that matter here, of a request or of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Nothing is stored.
    pub no_store: bool,
    /// Nothing is used without being validated.
    pub no_cache: bool,
    /// Meant for one client.
    pub private: bool,
    /// Meant for all, even where it would not seem so.
    pub public: bool,
    /// Nothing stale is used.
    pub must_revalidate: bool,
    /// The same, for shared caches.
    pub proxy_revalidate: bool,
    /// Stored only where the status is understood (section 5.2.2.3).
    pub must_understand: bool,
    /// Only what is stored (section 5.2.1.7).
    pub only_if_cached: bool,
    /// Fresh for so long.
    pub max_age: Seconds,
    /// Fresh for so long in shared caches.
    pub s_maxage: Seconds,
    /// Fresh for so long yet (section 5.2.1.3).
    pub min_fresh: Seconds,
    /// May be so stale.
    pub max_stale: Option<MaxStale>,
    /// May be used so long after its freshness while it is validated (RFC 5861 section 3).
    pub stale_while_revalidate: Seconds,
    /// May be used so long after its freshness where validating fails (RFC 5861 section 4).
    pub stale_if_error: Seconds,
    /// Fields that `no-cache` and `private` name: these are not stored, the rest is.
    pub withheld: Vec<HeaderName>,
}

impl Directives {
    /// The directives of `Cache-Control`.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for directive in Parts(line.as_bytes()) {
                let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
                    Some(at) => (directive.get(..at), directive.get(at + 1..)),
                    None => (Some(directive), None),
                };
                let value = value.map(|value| unquote(value.trim_ascii()));
                directives.add(&name.unwrap_or_default().trim_ascii().to_ascii_lowercase(), value);
            }
        }
        directives
    }

    /// The directives for caches like this one: those of the first of `targeted` that is there and well-formed, otherwise
    /// those of `Cache-Control` (RFC 9213 section 2.2). Says whether they were targeted: then `Expires` does not count.
    pub fn of_response(headers: &HeaderMap, targeted: &[HeaderName]) -> (Self, Target) {
        let found =
            targeted.iter().filter(|name| headers.contains_key(*name)).find_map(|name| dictionary(headers, name));
        match found {
            Some(members) => {
                let mut directives = Self::default();
                for (name, value) in members {
                    directives.add(name.as_bytes(), value.as_deref().map(str::as_bytes));
                }
                (directives, Target::Us)
            }
            None => (Self::read(headers), Target::Everybody),
        }
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        match name {
            b"max-age" => self.max_age.add(value),
            b"s-maxage" => self.s_maxage.add(value),
            b"min-fresh" => self.min_fresh.add(value),
            b"stale-while-revalidate" => self.stale_while_revalidate.add(value),
            b"stale-if-error" => self.stale_if_error.add(value),
            b"max-stale" => {
                self.max_stale = match value {
                    None => Some(MaxStale::Any),
                    Some(value) => seconds(value).map(MaxStale::Seconds).or(self.max_stale),
                };
            }
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= !self.withholds(value),
            b"private" => self.private |= !self.withholds(value),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }

    /// Whether a list names fields; these are then withheld. A list of something else forbids everything.
    fn withholds(&mut self, value: Option<&[u8]>) -> bool {
        let names = value.map(|list| list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
        let names: Option<Vec<_>> = names.and_then(|names| {
            names.filter(|name| !name.is_empty()).map(|name| HeaderName::from_bytes(name).ok()).collect()
        });
        let Some(names) = names.filter(|names| !names.is_empty()) else { return false };
        self.withheld.extend(names);
        true
    }

    /// Whether nothing stale may be used, whatever else is said (section 4.2.4).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage != Seconds::Absent
    }
}

/// Whom the directives of a response were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Caches like this one (RFC 9213).
    Us,
    /// All caches.
    Everybody,
}

/// The members of a dictionary (RFC 8941 section 3.2) whose values are integers or true; none where the field is malformed
/// or empty. The last of several members with one name counts.
fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(String, Option<String>)>> {
    let mut members: Vec<(String, Option<String>)> = Vec::new();
    for line in headers.get_all(name) {
        let text = line.to_str().ok()?;
        for member in Parts(text.as_bytes()) {
            let member = std::str::from_utf8(member).ok()?.trim_matches([' ', '\t']);
            let (key, value) = member_of(member)?;
            members.retain(|(known, _)| known != key);
            match value {
                Item::True => members.push((key.to_owned(), None)),
                Item::Integer(digits) => members.push((key.to_owned(), Some(digits.to_owned()))),
                // Well-formed, but not what any directive is.
                Item::Other => {}
            }
        }
    }
    (!members.is_empty()).then_some(members)
}

/// The value of a dictionary's member.
enum Item<'t> {
    True,
    Integer(&'t str),
    Other,
}

/// Key and value of a member; parameters are left out. None where it is malformed.
fn member_of(member: &str) -> Option<(&str, Item<'_>)> {
    let end =
        member.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-' | '.' | '*')).unwrap_or(member.len());
    let (key, rest) = member.split_at(end);
    if !key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
        return None;
    }
    let Some(value) = rest.strip_prefix('=') else {
        return (rest.is_empty() || rest.starts_with(';')).then_some((key, Item::True));
    };
    let value = match value.find(';') {
        Some(at) if !value.starts_with('"') => value.split_at(at).0.trim_end(),
        _ => value,
    };
    let digits = value.strip_prefix('-').unwrap_or(value);
    let item = match value.as_bytes() {
        _ if !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Item::Integer(value)
        }
        b"?1" => Item::True,
        [b'"', .., b'"'] | [b':', .., b':'] | [b'(', .., b')'] | b"?0" => Item::Other,
        [first, rest @ ..] if first.is_ascii_alphabetic() || *first == b'*' => {
            let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(byte);
            rest.iter().all(token).then_some(Item::Other)?
        }
        // A decimal, or an integer that is too long.
        [first, ..] if first.is_ascii_digit() || *first == b'-' => {
            digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(Item::Other)?
        }
        _ => return None,
    };
    Some((key, item))
}

/// Whether `Pragma: no-cache` is said (section 5.4).
pub(super) fn has_pragma_no_cache(headers: &HeaderMap) -> bool {
    let says = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
    };
    headers.get_all(header::PRAGMA).iter().any(says)
}

fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The parts of a comma-separated list, commas within quotes left alone.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' => return !quoted,
                _ => {}
            }
            false
        });
        let (part, rest) = match end {
            Some(at) => (self.0.get(..at), self.0.get(at + 1..)),
            None => (Some(self.0), None),
        };
        self.0 = rest.unwrap_or_default();
        Some(part.unwrap_or_default().trim_ascii())
    }
}
