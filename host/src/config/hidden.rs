//! What of a configuration must not be read in messages: texts that came from variables and files, and the secrets written in it.
//!
//! Pure. A message names the variable or the file in place of the text. What is said of such a value itself may hold a part of it, cut or
//! taken apart, so there short pieces are hidden, too; what plugins say is never trusted to hold none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::secrets::{self, REDACTED, Schemas};
use crate::plugin::schema::{JsonPath, Step};

/// Longest part of a message that is looked through; no message of ours is that long, and a plugin may write what it likes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a key in a file from which on it may be a secret and not a word that somebody looks for.
const KEY_BYTES_MIN: usize = 16;
/// Bytes that a piece of a text has at least to be hidden: between quotes in what is said of its own value,
const PIECE_OWN: usize = 3;
/// of something around that,
const PIECE_AROUND: usize = 6;
/// and anywhere, where only chance makes pieces of this length equal.
const PIECE: usize = 8;

/// Which pieces of a text are hidden in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The whole text, between quotes or where it is long.
    Whole,
    /// Pieces of some length, wherever they stand.
    Pieces,
    /// Those, shorter ones between quotes, and the whole text also as a word.
    Around,
    /// The same with the shortest pieces.
    Own,
}

impl Reach {
    /// The length of pieces between quotes, and of those that stand elsewhere.
    const fn pieces(self) -> (Option<usize>, Option<usize>) {
        match self {
            Self::Whole => (None, None),
            Self::Pieces => (None, Some(PIECE)),
            Self::Around => (Some(PIECE_AROUND), Some(PIECE)),
            Self::Own => (Some(PIECE_OWN), Some(PIECE)),
        }
    }
}

/// What must not be read in messages.
#[derive(Clone, Default)]
pub struct Hidden(Vec<Text>);

/// One text.
#[derive(Clone)]
struct Text {
    /// In lower case: what is shown may have been normalised.
    text: String,
    /// Where it was put in; none: anywhere.
    place: Option<JsonPath>,
    /// What is shown in its place.
    label: String,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden({} texts)", self.0.len())
    }
}

impl Hidden {
    /// Hides what a variable stands for at a place.
    pub(super) fn variable(&mut self, at: &JsonPath, name: &str, text: &str) {
        self.add(text, Some(at), &format!("${{{name}}}"));
    }

    /// Hides what a file holds that is put in at a place.
    pub(super) fn file(&mut self, at: &JsonPath, name: &str, held: &Value) {
        self.value(at, &format!("{{$file: {name}}}"), held);
    }

    /// Hides the secrets that are written in a document.
    pub fn document(&mut self, document: &Value, schemas: Schemas<'_>) {
        self.secrets(document, &secrets::redacted(document, schemas));
    }

    fn secrets(&mut self, document: &Value, shown: &Value) {
        match (document, shown) {
            (Value::String(text), Value::String(shown)) if shown == REDACTED => {
                // What stands for something else is not what is hidden of it.
                let parts = text.split("${").enumerate();
                let written = parts
                    .map(|(n, part)| if n == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) });
                written.filter(|part| part.trim().len() > 1).for_each(|part| self.add(part, None, REDACTED));
            }
            (Value::Array(items), Value::Array(shown)) => {
                items.iter().zip(shown).for_each(|(item, shown)| self.secrets(item, shown));
            }
            (Value::Object(map), Value::Object(shown)) => {
                let both = map.iter().filter_map(|(key, value)| Some((value, shown.get(key)?)));
                both.for_each(|(value, shown)| self.secrets(value, shown));
            }
            _ => {}
        }
    }

    fn value(&mut self, at: &JsonPath, label: &str, value: &Value) {
        match value {
            Value::String(text) => self.add(text, Some(at), label),
            Value::Number(number) => self.add(&number.to_string(), Some(at), label),
            Value::Array(items) => items.iter().for_each(|item| self.value(at, label, item)),
            Value::Object(map) => {
                for (key, value) in map {
                    if key.len() >= KEY_BYTES_MIN {
                        self.add(key, Some(at), label);
                    }
                    self.value(at, label, value);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add(&mut self, text: &str, place: Option<&JsonPath>, label: &str) {
        let text = text.trim().to_lowercase();
        if !text.is_empty() {
            self.0.push(Text { text, place: place.cloned(), label: label.to_owned() });
        }
    }

    /// A place as it may be named: keys that came from a file and may be secrets are not.
    pub(super) fn place(&self, path: &JsonPath) -> JsonPath {
        let cut = |step: &Step| match step {
            Step::Key(key) if self.0.iter().any(|hidden| hidden.text == key.to_lowercase()) => {
                Step::Key("(hidden)".to_owned())
            }
            step => step.clone(),
        };
        let is_put_in = |hidden: &Text| hidden.place.as_ref().is_some_and(|place| path.is_within(place));
        if !self.0.iter().any(is_put_in) {
            return path.clone();
        }
        path.steps().iter().map(cut).fold(JsonPath::root(), |path, step| path.step(step))
    }

    /// What is said of a place in our own words.
    pub(super) fn of_place(&self, path: &JsonPath, message: &str) -> String {
        let reach = |hidden: &Text| match &hidden.place {
            Some(place) if path.is_within(place) => Reach::Own,
            Some(place) if place.is_within(path) => Reach::Around,
            _ => Reach::Whole,
        };
        self.cover(message, &reach).into_owned()
    }

    /// What is to be written instead. It has examples, which may be like the text.
    pub(super) fn of_remedy(&self, path: &JsonPath, remedy: &str) -> String {
        let is_near = |place: &JsonPath| path.is_within(place) || place.is_within(path);
        let reach = |hidden: &Text| match &hidden.place {
            Some(place) if is_near(place) => Reach::Pieces,
            _ => Reach::Whole,
        };
        self.cover(remedy, &reach).into_owned()
    }

    /// A message without what must not be read in it, whoever wrote it.
    pub fn cover_all<'a>(&self, message: &'a str) -> Cow<'a, str> {
        self.cover(message, &|_| Reach::Pieces)
    }

    /// Words of ours about what serves, without the texts that must not be read.
    pub fn cover_whole<'a>(&self, message: &'a str) -> Cow<'a, str> {
        self.cover(message, &|_| Reach::Whole)
    }

    fn cover<'a>(&self, message: &'a str, reach: &dyn Fn(&Text) -> Reach) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(message);
        }
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = message.get(..end).unwrap_or_default();
        // Only ASCII: other letters may change their length.
        let lower = message.to_ascii_lowercase();
        let quoted = quoted(lower.as_bytes());
        let mut covered: Vec<Option<usize>> = vec![None; message.len()];
        let mut known = Pieces { message: lower.as_bytes(), by_length: HashMap::new() };
        for (number, hidden) in self.0.iter().enumerate() {
            let mut mark = |start: usize, length: usize| {
                covered.iter_mut().skip(start).take(length).for_each(|at| *at = at.or(Some(number)));
            };
            let (text, reach) = (hidden.text.as_str(), reach(hidden));
            let is_word = matches!(reach, Reach::Own | Reach::Around);
            whole(&lower, text, is_word).for_each(|start| mark(start, text.len()));
            let (between, anywhere) = reach.pieces();
            for (length, quotes) in [(between, true), (anywhere, false)] {
                let Some(length) = length else { continue };
                for start in known.of(text, length) {
                    let inside = || quoted.iter().skip(start).take(length).all(|inside| *inside);
                    if !quotes || inside() {
                        mark(start, length);
                    }
                }
            }
        }
        if covered.iter().all(Option::is_none) {
            return Cow::Borrowed(message);
        }
        Cow::Owned(self.replaced(message, &covered))
    }

    /// The message with a label in place of every run of bytes that is covered.
    fn replaced(&self, message: &str, covered: &[Option<usize>]) -> String {
        let mut text = String::with_capacity(message.len());
        let mut last = None;
        for (start, character) in message.char_indices() {
            // A piece may begin or end within a character.
            let here = covered.iter().skip(start).take(character.len_utf8()).find_map(|number| *number);
            match here {
                None => text.push(character),
                Some(_) if last.is_some() => {}
                Some(number) => text.push_str(self.0.get(number).map_or(REDACTED, |hidden| &hidden.label)),
            }
            last = here;
        }
        text
    }
}

/// The pieces of a message, by their length.
struct Pieces<'a> {
    message: &'a [u8],
    by_length: HashMap<usize, HashMap<&'a [u8], Vec<usize>>>,
}

impl<'a> Pieces<'a> {
    /// Where pieces of a text stand in the message.
    fn of(&mut self, text: &str, length: usize) -> Vec<usize> {
        let message = self.message;
        let known = self.by_length.entry(length).or_insert_with(|| {
            let mut known: HashMap<&'a [u8], Vec<usize>> = HashMap::new();
            for (start, piece) in message.windows(length).enumerate() {
                known.entry(piece).or_default().push(start);
            }
            known
        });
        text.as_bytes().windows(length).filter_map(|piece| known.get(piece)).flatten().copied().collect()
    }
}

/// Which bytes of a message stand between double quotes.
fn quoted(message: &[u8]) -> Vec<bool> {
    let (mut inside, mut escaped) = (false, false);
    let of = |byte: &u8| {
        let is_quote = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        inside ^= is_quote;
        inside && !is_quote
    };
    message.iter().map(of).collect()
}

/// Where a text stands whole in a message: anywhere if it is long, otherwise between quotes, or also as a word of its own.
fn whole<'a>(message: &'a str, text: &'a str, words: bool) -> impl Iterator<Item = usize> + 'a {
    let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_quote = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\'' | b'`'));
    message.match_indices(text).map(|(start, _)| start).filter(move |start| {
        let before = start.checked_sub(1).and_then(|before| message.as_bytes().get(before));
        let after = message.as_bytes().get(start + text.len());
        text.len() >= PIECE_AROUND
            || is_quote(before) && is_quote(after)
            || words && !is_part(before) && !is_part(after)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hidden() -> Hidden {
        let (root, mut hidden) = (JsonPath::root(), Hidden::default());
        hidden.variable(&root.key("allow").index(0), "PASSWORD", "Hunter2-hunter2");
        hidden.variable(&root.key("port"), "PORT", "99999");
        hidden.variable(&root.key("mode"), "MODE", "on");
        hidden.file(&root.key("config"), "keys.json", &json!({ "0123456789abcdef": ["topsecretvalue"], "kind": 7 }));
        hidden.document(&json!({ "redis": { "password": "correct horse battery" } }), &|_| secrets::Shape::Unmarked);
        hidden
    }

    #[test]
    fn what_is_said_of_a_value_names_where_it_came_from() {
        let hidden = hidden();
        let check = |path: JsonPath, message: &str, expected: &str| {
            assert_eq!(hidden.of_place(&path, message), expected, "{path}: {message}");
        };
        let root = JsonPath::root();
        let allow = root.key("allow");
        check(allow.index(0), "\"Hunter2-hunter2\" is not a network", "\"${PASSWORD}\" is not a network");
        check(allow.index(0), "hunter2-hunter2 is no name", "${PASSWORD} is no name");
        check(allow.index(0), "\"hunt…\" is not known here", "\"${PASSWORD}…\" is not known here");
        check(allow.clone(), "has \"hunter2\" in it", "has \"${PASSWORD}\" in it");
        check(allow.index(0), "such an unterrified hunter", "such an unterrified hunter");
        check(root.key("name"), "did you mean \"Hunter2-hunter2\"?", "did you mean \"${PASSWORD}\"?");
        check(root.key("name"), "a hunter was seen", "a hunter was seen");
        check(root.key("port"), "99999 is too large", "${PORT} is too large");
        check(root.key("mode"), "on is not only \"on\"", "${MODE} is not only \"${MODE}\"");
        check(root.key("name"), "based on \"on\"", "based on \"${MODE}\"");
        check(root.key("name"), "é is fine", "é is fine");
        let remedy = hidden.of_remedy(&allow.index(0), "write \"hunter\", or did you mean \"hunter2-h\"?");
        assert_eq!(remedy, "write \"hunter\", or did you mean \"${PASSWORD}\"?");
    }

    #[test]
    fn what_a_plugin_says_holds_no_piece() {
        let hidden = hidden();
        let check = |message: &str, expected: &str| assert_eq!(hidden.cover_all(message), expected, "{message}");
        check(
            "config.0123456789abcdef: \"topsecretvalue\" is bad",
            "config.{$file: keys.json}: \"{$file: keys.json}\" is bad",
        );
        check("horse battery is no key", "(redacted) is no key");
        check("hunter2-h… is no key", "${PASSWORD}… is no key");
        check("nothing of it", "nothing of it");
        let at = JsonPath::root().key("config").key("0123456789abcdef").index(0);
        assert_eq!(hidden.place(&at).to_string(), "config[\"(hidden)\"][0]");
        assert!(!format!("{hidden:?}").contains("hunter"));
    }
}
