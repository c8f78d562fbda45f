//! Host and path patterns as text: `*.example.com`, `/users/{id}/*`.
//!
//! A pattern that parsed is canonical: lowercase host, decoded literals. Its `Display` gives text that parses to it again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::percent;

/// Which hosts a route answers to. Names are lowercase and without port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Any, or none.
    Any,
    /// This one.
    Exact(String),
    /// Any name that ends with this suffix, given with its leading dot: `.example.com`.
    Suffix(String),
}

/// Which paths a route answers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// The parts after each slash. `/` alone is one empty part.
    pub segments: Vec<Segment>,
    /// Whether anything may follow: the pattern ended in `/*`.
    pub tail: Tail,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, percent-decoded.
    Literal(String),
    /// Any one non-empty part, kept under this name.
    Parameter(Arc<str>),
}

/// What may follow the segments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tail {
    /// Nothing.
    End,
    /// Nothing, or a slash and anything.
    Anything,
    /// The same, kept under this name as the client wrote it: the pattern ended in `/{name..}`.
    Rest(Arc<str>),
}

/// A text that is not a host pattern: what is wrong and what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing.
    #[error("is empty; write a host name, or `*` for any host")]
    Empty,
    /// `*` elsewhere than as the first label.
    #[error("has a `*` in the wrong place; it stands for whole names only, as in `*` or `*.example.com`")]
    Wildcard,
    /// A port.
    #[error("has a port; leave it out, hosts are matched by name")]
    Port,
    /// A scheme, a path or user information.
    #[error("is a URL; write the host name alone, as in `www.example.com`")]
    Url,
    /// A name outside ASCII.
    #[error("has letters outside ASCII; write its ASCII form, which begins with `xn--`")]
    NotAscii,
    /// Anything else.
    #[error("is not a host name; labels are 1 to 63 of a-z 0-9 - _ with dots between, an IPv6 address is in brackets")]
    Name,
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        match text {
            "" => return Err(HostPatternError::Empty),
            "*" => return Ok(Self::Any),
            _ => {}
        }
        if text.contains(['/', '@', '?', '#']) {
            return Err(HostPatternError::Url);
        }
        if !text.is_ascii() {
            return Err(HostPatternError::NotAscii);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']').ok_or(HostPatternError::Name)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| HostPatternError::Name)?;
            return match after {
                "" => Ok(Self::Exact(text.to_ascii_lowercase())),
                _ if after.starts_with(':') => Err(HostPatternError::Port),
                _ => Err(HostPatternError::Name),
            };
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        if let Some((name, port)) = name.split_once(':') {
            let port = !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if port { HostPatternError::Port } else { HostPatternError::Name });
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        // RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters.
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(HostPatternError::Name);
        }
        let name = name.to_ascii_lowercase();
        Ok(if text.starts_with('*') { Self::Suffix(format!(".{name}")) } else { Self::Exact(name) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// A text that is not a path pattern: what is wrong and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// It does not begin with a slash.
    #[error("does not begin with `/`")]
    NotAbsolute,
    /// A query or fragment.
    #[error("has a `?` or `#`; routes match the path alone (write `%3F` or `%23` for the characters themselves)")]
    Query,
    /// `*` elsewhere than as the last part.
    #[error(
        "has a `*` in the wrong place; it can only be the whole last part, as in `/files/*` (write `%2A` for the character)"
    )]
    Wildcard,
    /// A brace that does not enclose a whole part.
    #[error(
        "has a `{{` or `}}` in the wrong place; a parameter is a whole part, as in `/users/{{id}}` (write `%7B` for the character)"
    )]
    Brace,
    /// A parameter name that is not one.
    #[error("has the parameter name `{0}`; use letters, digits, `_` and `-`, beginning with a letter or `_`")]
    ParameterName(String),
    /// Two parameters of one name.
    #[error("has the parameter `{0}` twice; give each its own name")]
    ParameterTwice(String),
    /// Two slashes in a row.
    #[error("has an empty part (`//`)")]
    EmptyPart,
    /// `.` or `..`.
    #[error("has a `.` or `..` part, which no client sends; write the path that it leads to")]
    DotPart,
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("has a `%` that does not encode text; write `%25` for the character itself")]
    Percent,
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').ok_or(PathPatternError::NotAbsolute)?;
        if rest.contains(['?', '#']) {
            return Err(PathPatternError::Query);
        }
        let mut parts: Vec<&str> = rest.split('/').collect();
        let tail = match parts.last() {
            Some(&"*") => {
                parts.pop();
                Tail::Anything
            }
            Some(part) => match part.strip_prefix('{').and_then(|part| part.strip_suffix("..}")) {
                Some(name) => {
                    let name = parameter_name(name)?;
                    parts.pop();
                    Tail::Rest(name)
                }
                None => Tail::End,
            },
            None => Tail::End,
        };
        let count = parts.len();
        let mut segments = Vec::with_capacity(count);
        for (index, part) in parts.into_iter().enumerate() {
            // Only the very last part may be empty: the pattern ends in a slash.
            if part.is_empty() && (index + 1 < count || tail != Tail::End) {
                return Err(PathPatternError::EmptyPart);
            }
            let segment = segment(part)?;
            if let Segment::Parameter(name) = &segment
                && segments.contains(&segment)
            {
                return Err(PathPatternError::ParameterTwice(name.to_string()));
            }
            segments.push(segment);
        }
        if let Tail::Rest(name) = &tail
            && segments.contains(&Segment::Parameter(Arc::clone(name)))
        {
            return Err(PathPatternError::ParameterTwice(name.to_string()));
        }
        Ok(Self { segments, tail })
    }
}

fn segment(part: &str) -> Result<Segment, PathPatternError> {
    if part.contains('*') {
        return Err(PathPatternError::Wildcard);
    }
    if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        return parameter_name(name).map(Segment::Parameter);
    }
    if part.contains(['{', '}']) {
        return Err(PathPatternError::Brace);
    }
    if !percent::is_sound(part) {
        return Err(PathPatternError::Percent);
    }
    let literal = String::from_utf8(percent::decode(part).into_owned()).map_err(|_| PathPatternError::Percent)?;
    match literal.as_str() {
        "." | ".." => Err(PathPatternError::DotPart),
        _ => Ok(Segment::Literal(literal)),
    }
}

fn parameter_name(name: &str) -> Result<Arc<str>, PathPatternError> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Err(PathPatternError::ParameterName(name.to_owned()));
    }
    Ok(name.into())
}

impl PathPattern {
    /// The names under which parts of a path are kept.
    pub fn parameters(&self) -> impl Iterator<Item = &Arc<str>> {
        let named = self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) => None,
        });
        let rest = match &self.tail {
            Tail::Rest(name) => Some(name),
            Tail::End | Tail::Anything => None,
        };
        named.chain(rest)
    }

    /// What comes behind its segments in a path that it matches, with the slash; none if it does not match.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut rest = path;
        for segment in &self.segments {
            let (text, after) = super::tree::split(rest)?;
            let same = match segment {
                Segment::Parameter(_) => !text.is_empty(),
                Segment::Literal(literal) => *percent::decode(text) == *literal.as_bytes(),
            };
            rest = if same { after } else { return None };
        }
        let ends = rest.is_empty() || (self.tail != Tail::End && rest.starts_with('/'));
        ends.then_some(rest)
    }
}

impl HostPattern {
    /// Whether it matches a name without port.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(known) => known.eq_ignore_ascii_case(name),
            Self::Suffix(suffix) => {
                let front = name.len().checked_sub(suffix.len()).filter(|front| *front > 0);
                let end = front.and_then(|front| name.get(front..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
                Segment::Literal(text) => {
                    f.write_str("/")?;
                    for character in text.chars() {
                        match character {
                            '/' | '?' | '#' | '*' | '{' | '}' | '%' => write!(f, "%{:02X}", u32::from(character))?,
                            _ => write!(f, "{character}")?,
                        }
                    }
                }
            }
        }
        match &self.tail {
            Tail::End => Ok(()),
            Tail::Anything => f.write_str("/*"),
            Tail::Rest(name) => write!(f, "/{{{name}..}}"),
        }
    }
}
