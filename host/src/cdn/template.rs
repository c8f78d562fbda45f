//! Requests of one's own making: URL, fields and body with places that are filled in.
//!
//! Pure. Templates have been checked when they get here; filling one in fails only where a tag or URL cannot stand in its place.

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::Mode;
use crate::outbound::Call;

/// A request with places to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// The method.
    pub method: Method,
    /// The URL: `http` or `https`, with a host that does not depend on what is filled in.
    pub url: Text,
    /// The fields.
    pub headers: Vec<(HeaderName, Text)>,
    /// The body, if there is one.
    pub body: Option<Json>,
}

/// Fields, bodies and URLs may hold secrets: only what could not be one is shown.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({})", self.method)
    }
}

/// A text with places to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub Vec<TextPart>);

/// A part of a text.
#[derive(Clone, PartialEq, Eq)]
pub enum TextPart {
    /// As it stands.
    Literal(Box<str>),
    /// The one tag or URL that the request is about.
    One,
    /// All tags or URLs that it is about, with the separator between them.
    Many,
    /// Host and port of the URL.
    Host,
    /// Path and query of the URL, as they are.
    Path,
    /// `soft` or `hard`.
    Mode,
}

/// A JSON document with places to fill in.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// As it stands.
    Plain(Value),
    /// A string.
    Text(Text),
    /// An array of all tags or URLs that the request is about.
    Many,
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

/// What is filled in.
pub(super) struct Fill<'a> {
    /// Tags or URLs; none for everything.
    pub(super) names: Vec<&'a str>,
    pub(super) mode: Mode,
    pub(super) separator: &'a str,
}

/// How a name is written where it is put.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    /// As a part of a URL (RFC 3986 section 2.1).
    Percent,
}

impl Text {
    fn has(&self, wanted: &[TextPart]) -> bool {
        self.0.iter().any(|part| wanted.contains(part))
    }

    fn fill(&self, fill: &Fill<'_>, spelling: Spelling) -> Result<String, &'static str> {
        let mut text = String::new();
        let first = || fill.names.first().copied().unwrap_or_default();
        for part in &self.0 {
            match part {
                TextPart::Literal(literal) => text.push_str(literal),
                TextPart::One => spell(first(), spelling, &mut text),
                TextPart::Many => {
                    for (index, name) in fill.names.iter().enumerate() {
                        if index > 0 {
                            separate(fill.separator, spelling, &mut text);
                        }
                        spell(name, spelling, &mut text);
                    }
                }
                TextPart::Host => text.push_str(parsed(first())?.authority().ok_or(NO_URL)?.as_str()),
                TextPart::Path => text.push_str(parsed(first())?.path_and_query().ok_or(NO_URL)?.as_str()),
                TextPart::Mode => text.push_str(match fill.mode {
                    Mode::Soft => "soft",
                    Mode::Hard => "hard",
                }),
            }
        }
        Ok(text)
    }
}

const NO_URL: &str = "is not an absolute URL";

fn parsed(url: &str) -> Result<Uri, &'static str> {
    url.parse().map_err(|_| NO_URL)
}

fn spell(name: &str, spelling: Spelling, text: &mut String) {
    match spelling {
        Spelling::Plain => text.push_str(name),
        Spelling::Percent => percent(name, b"-._~", text),
    }
}

/// A separator is the operator's: what a URL may have in it stays (RFC 3986 section 2.2).
fn separate(separator: &str, spelling: Spelling, text: &mut String) {
    match spelling {
        Spelling::Plain => text.push_str(separator),
        Spelling::Percent => percent(separator, b"-._~,;:+&=/", text),
    }
}

fn percent(name: &str, kept: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |number: u8| DIGITS.get(usize::from(number)).copied().map_or('0', char::from);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

impl Json {
    fn has(&self, wanted: &[TextPart]) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Text(text) => text.has(wanted),
            Self::Many => wanted.contains(&TextPart::Many),
            Self::Array(items) => items.iter().any(|item| item.has(wanted)),
            Self::Object(entries) => entries.iter().any(|(_, value)| value.has(wanted)),
        }
    }

    fn fill(&self, fill: &Fill<'_>) -> Result<Value, &'static str> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => Value::String(text.fill(fill, Spelling::Plain)?),
            Self::Many => fill.names.iter().copied().map(Value::from).collect(),
            Self::Array(items) => Value::Array(items.iter().map(|item| item.fill(fill)).collect::<Result<_, _>>()?),
            Self::Object(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    map.insert(key.clone(), value.fill(fill)?);
                }
                Value::Object(map)
            }
        })
    }
}

impl Template {
    /// Whether one request is about one tag or URL only.
    pub fn is_single(&self) -> bool {
        self.has(&[TextPart::One, TextPart::Host, TextPart::Path])
    }

    /// Whether it can be told which tags or URLs a request is about.
    pub fn names_subjects(&self) -> bool {
        self.is_single() || self.has(&[TextPart::Many])
    }

    /// Whether soft and hard requests differ.
    pub(super) fn tells_modes(&self) -> bool {
        self.has(&[TextPart::Mode])
    }

    fn has(&self, wanted: &[TextPart]) -> bool {
        self.url.has(wanted)
            || self.headers.iter().any(|(_, text)| text.has(wanted))
            || self.body.as_ref().is_some_and(|body| body.has(wanted))
    }

    /// The URL, filled in.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, as a predicate of what was filled in.
    pub(super) fn uri(&self, fill: &Fill<'_>) -> Result<Uri, &'static str> {
        self.url.fill(fill, Spelling::Percent)?.parse().map_err(|_| "makes no URL")
    }

    /// The request.
    ///
    /// # Errors
    ///
    /// Says why there is none, as a predicate of what was filled in.
    pub(super) fn call(&self, fill: &Fill<'_>) -> Result<Call, &'static str> {
        let mut headers = HeaderMap::new();
        let mut body = Bytes::new();
        if let Some(json) = &self.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            body = json.fill(fill)?.to_string().into();
        }
        for (name, text) in &self.headers {
            let text = text.fill(fill, Spelling::Plain)?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| "cannot stand in a header field")?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(Call { method: self.method.clone(), uri: self.uri(fill)?, headers, body })
    }

    /// The URL for a tag or URL that is made up: to find out whether it makes sense.
    ///
    /// # Errors
    ///
    /// If it does not make a URL.
    pub fn sample(&self, name: &str) -> Result<Uri, &'static str> {
        self.uri(&Fill { names: vec![name], mode: Mode::Hard, separator: "," })
    }
}
