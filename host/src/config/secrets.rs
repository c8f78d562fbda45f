//! What of a configuration is a secret, and the document without it.
//!
//! Secret are strings: those that our own schema marks and others at places that hold secrets, those whose keys are named like secrets, those that a
//! plugin's schema marks (`writeOnly`, `format: password`), private keys and URLs with passwords wherever they stand. Where nobody knows a
//! plugin's schema, all texts of its configuration are. A reference to a variable or a file is none.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::file;

/// What stands in place of a secret.
pub const REDACTED: &str = "(redacted)";

/// Places that hold secrets although neither our schema nor their keys say so. A `*` is any one step.
const OWN: &[&[&str]] = &[
    &["cache", "encryption", "keys", "*"],
    &["acme", "external_account", "hmac"],
    &["alert_webhooks", "*", "url"],
    &["alert_webhooks", "*", "headers", "*"],
    &["cdn", "*", "urls", "headers", "*"],
    &["cdn", "*", "tags", "headers", "*"],
];
/// Words of keys whose values are secrets, wherever they stand.
const WORDS: &[&str] = &[
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "token",
    "tokens",
    "credential",
    "credentials",
    "authorization",
    "hmac",
    "apikey",
    "webhook",
    "htpasswd",
];
/// Words of names of header fields that prove something.
const PROOFS: &[&str] = &["auth", "verify", "cookie", "dsn", "signature", "session", "sid", "pass", "proof", "jwt"];
/// Words before `key` that make it a secret one.
const KEYS: &[&str] = &["api", "private", "secret", "signing", "encryption", "access", "shared", "master", "auth"];
/// Last words of keys whose values only say something about a secret, or of other things that are called so.
const ABOUT: &[&str] = &[
    "url",
    "uri",
    "header",
    "headers",
    "name",
    "names",
    "id",
    "file",
    "path",
    "ttl",
    "seconds",
    "ms",
    "max",
    "min",
    "prefix",
    "type",
    "endpoint",
    "algorithm",
    "algorithms",
    "cookie",
    "parameter",
    "field",
    "source",
    "bytes",
    "claim",
    "claims",
    "issuer",
    "audience",
    "bucket",
    "window",
    "rate",
    "limit",
    "burst",
    "mode",
    "policy",
    "format",
    "location",
    "from",
];
/// What hashes of passwords begin with (crypt(5), and htpasswd's own): who has one can try passwords out.
const HASHES: &[&str] =
    &["$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$argon2", "$scrypt$", "$apr1$", "{SHA}", "{SSHA}"];
/// Keys within a secret whose values only say whose it is.
const WHOSE: &[&str] = &[
    "name",
    "id",
    "kid",
    "user",
    "username",
    "subject",
    "role",
    "roles",
    "alg",
    "algorithms",
    "kty",
    "use",
    "crv",
    "description",
];
/// Maps whose keys are names of header fields.
const FIELDS: &[&str] = &["headers", "fields", "set", "add", "append"];

/// What is known of the shape of a plugin's configuration.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Its schema, which may mark secrets.
    Schema(Value),
    /// There is none, so only names tell.
    Unmarked,
    /// Nobody knows whether there is one: every text may be a secret.
    Unknown,
}

/// Gives the shape of a plugin's configuration.
pub type Schemas<'a> = &'a dyn Fn(&str) -> Shape;

/// The schema of the whole file, which marks its secrets.
static OUR_SCHEMA: LazyLock<Value> = LazyLock::new(file::strict_schema);

/// The document without its secrets.
pub fn redacted(document: &Value, schemas: Schemas<'_>) -> Value {
    let mut shown = document.clone();
    let own = Place { shapes: vec![&*OUR_SCHEMA], root: Some(&*OUR_SCHEMA), ..Place::default() };
    walk(&mut shown, &mut Vec::new(), &own);
    let chain = shown.pointer_mut("/plugins/chain").and_then(Value::as_array_mut);
    for entry in chain.into_iter().flatten() {
        let plugin = entry.get("plugin").and_then(Value::as_str).unwrap_or_default().to_owned();
        config_of(entry, &plugin, schemas);
    }
    for route in shown.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten() {
        for (plugin, entry) in route.get_mut("plugins").and_then(Value::as_object_mut).into_iter().flatten() {
            config_of(entry, plugin, schemas);
        }
    }
    shown
}

fn config_of(entry: &mut Value, plugin: &str, schemas: Schemas<'_>) {
    let Some(config) = entry.get_mut("config") else { return };
    let shape = schemas(plugin);
    let root = match &shape {
        Shape::Schema(schema) => Some(schema),
        Shape::Unmarked | Shape::Unknown => None,
    };
    let unknown = matches!(shape, Shape::Unknown);
    let place = Place { plugin: true, secret: unknown, unknown, shapes: root.into_iter().collect(), root };
    walk(config, &mut Vec::new(), &place);
}

/// Where the walk is.
#[derive(Debug, Clone, Default)]
struct Place<'a> {
    /// In the configuration of a plugin, where a key named `key` is one.
    plugin: bool,
    /// Within something secret.
    secret: bool,
    /// Of a shape that nobody knows.
    unknown: bool,
    /// What a plugin's schema says about the value.
    shapes: Vec<&'a Value>,
    root: Option<&'a Value>,
}

fn walk(value: &mut Value, path: &mut Vec<String>, place: &Place<'_>) {
    match value {
        Value::String(text) => {
            let says_itself = !place.unknown && (is_path(text) || is_part_of_request(text));
            if (place.secret && !is_reference(text) && !says_itself) || is_secret_itself(text) {
                REDACTED.clone_into(text);
            }
        }
        Value::Array(items) => {
            let within = place.within(&|shape| vec![shape.get("items")], None);
            path.push("*".to_owned());
            for item in items {
                walk(item, path, &within);
            }
            path.pop();
        }
        Value::Object(map) if is_file(map) => {}
        Value::Object(map) => {
            for (key, value) in map {
                // What a plugin's own schema says counts more than names.
                if key == "config" && !place.plugin && is_plugin(path) {
                    continue;
                }
                let within = place.key(key, path);
                path.push(key.clone());
                walk(value, path, &within);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl<'a> Place<'a> {
    fn key(&self, key: &str, path: &[String]) -> Self {
        let is_fields = path.last().is_some_and(|last| FIELDS.contains(&last.as_str()));
        let proves = is_fields && words(key).iter().any(|word| PROOFS.contains(&word.as_str()));
        let owns = !self.plugin && OWN.iter().any(|own| is_at(own, path, key));
        let named = is_named_secret(key, if self.plugin || is_fields { Keys::AllSecret } else { Keys::MostlyNames });
        let secret = owns || named || proves || self.secret && !WHOSE.contains(&key);
        let of_key = |shape: &'a Value| {
            let property = shape.get("properties").and_then(|properties| properties.get(key));
            vec![property.or_else(|| shape.get("additionalProperties"))]
        };
        self.within(&of_key, Some(secret))
    }

    /// The place of a value inside, of which the schema says what `of` finds.
    fn within(&self, of: &dyn Fn(&'a Value) -> Vec<Option<&'a Value>>, secret: Option<bool>) -> Self {
        let mut shapes: Vec<&Value> = Vec::new();
        for shape in &self.shapes {
            for found in variants(shape, self.root, 0).into_iter().flat_map(of).flatten() {
                shapes.extend(variants(found, self.root, 0));
            }
        }
        let said = |shape: &&Value| match shape.get("writeOnly") {
            Some(Value::Bool(said)) => Some(*said),
            _ => (shape.get("format").and_then(Value::as_str) == Some("password")).then_some(true),
        };
        let said = shapes.iter().find_map(said);
        let secret = self.unknown || said.or(secret).unwrap_or(self.secret);
        Self { plugin: self.plugin, secret, unknown: self.unknown, shapes, root: self.root }
    }
}

/// A schema with those that it refers to. A schema comes from a plugin and may refer to itself.
fn variants<'a>(shape: &'a Value, root: Option<&'a Value>, depth: usize) -> Vec<&'a Value> {
    let mut all = vec![shape];
    if depth > 8 {
        return all;
    }
    let reference = shape.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
    let referred = reference.and_then(|pointer| root.and_then(|root| root.pointer(pointer)));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| shape.get(key)?.as_array());
    for other in referred.into_iter().chain(lists.flatten()) {
        all.extend(variants(other, root, depth + 1));
    }
    all
}

/// Whether an entry for a plugin stands at a place.
fn is_plugin(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(path.as_slice(), ["plugins", "chain", "*"] | ["routes", "*", "plugins", _])
}

fn is_at(own: &[&str], path: &[String], key: &str) -> bool {
    let steps = path.iter().map(String::as_str).chain([key]);
    own.len() == path.len() + 1 && own.iter().zip(steps).all(|(own, step)| *own == "*" || *own == step)
}

/// What is called a key, and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// May open something.
    AllSecret,
    /// Is what something goes by, unless another word says more.
    MostlyNames,
}

/// Whether a key is named like a secret.
pub fn is_named_secret(key: &str, keys: Keys) -> bool {
    let words = words(key);
    let Some(last) = words.last().map(String::as_str) else { return false };
    if ABOUT.contains(&last) || words.iter().any(|word| word == "public") {
        return false;
    }
    let before = words.iter().rev().nth(1).map(String::as_str);
    let is_key = matches!(last, "key" | "keys");
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        || is_key && (keys == Keys::AllSecret || before.is_some_and(|word| KEYS.contains(&word)))
}

/// The words of a key, however they are put together: `api_key`, `apiKey`, `X-API-Key`.
fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower = false;
    for character in key.chars() {
        if !character.is_alphanumeric() || (character.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = character.is_lowercase();
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a text is nothing but variables, or something that is filled in per purge. A default is a value, not a reference.
fn is_reference(text: &str) -> bool {
    let mut rest = text;
    for scheme in ["Bearer ", "Basic ", "Token "] {
        rest = rest.strip_prefix(scheme).unwrap_or(rest);
    }
    if rest.is_empty() || ["{tag}", "{tags}", "{url}", "{urls}"].contains(&rest) {
        return true;
    }
    let mut any = false;
    while let Some(inner) = rest.strip_prefix("${") {
        let Some((name, after)) = inner.split_once('}') else { return false };
        if name.split_once(":-").is_some_and(|(_, default)| !default.is_empty()) {
            return false;
        }
        any = true;
        rest = after;
    }
    any && rest.is_empty()
}

/// Whether a text says what of a request something goes by, as in `"key": ["address", "header:x-user"]`.
fn is_part_of_request(text: &str) -> bool {
    let (kind, name) = text.split_once(':').unwrap_or((text, "a"));
    let kinds = [
        "address",
        "network",
        "header",
        "cookie",
        "query",
        "parameter",
        "route",
        "path",
        "host",
        "method",
        "attribute",
        "jwt",
    ];
    kinds.contains(&kind) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

/// Whether a text can only be meant as a path.
fn is_path(text: &str) -> bool {
    let ends = [".pem", ".key", ".crt", ".json", ".txt", ".jwk"].iter().any(|end| text.ends_with(end));
    let plain = !text.chars().any(char::is_whitespace);
    plain && (text.starts_with("./") || text.starts_with("../") || ends)
}

/// Whether a text is a secret wherever it stands: a private key, the hash of a password, or a URL with a password.
fn is_secret_itself(text: &str) -> bool {
    // A hash may stand behind a user's name, in one of many lines.
    let mut words = text.split(|c: char| c.is_whitespace() || ":,;=\"'".contains(c));
    let is_hash = |word: &str| HASHES.iter().any(|hash| word.starts_with(hash));
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY") || words.any(is_hash) {
        return true;
    }
    if has_secret_parameter(text) {
        return true;
    }
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    user.is_some_and(|(_, password)| !password.is_empty() && !is_reference(password))
}

/// Whether a text is a URL or a path with a query in which something is named like a secret.
fn has_secret_parameter(text: &str) -> bool {
    let is_target = text.starts_with('/') || text.contains("://");
    let Some((_, query)) = text.split_once('?').filter(|_| is_target && !text.contains(char::is_whitespace)) else {
        return false;
    };
    let pairs = query.split('#').next().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let is_named = |name: &str| {
        is_named_secret(name, Keys::AllSecret)
            || words(name).iter().any(|word| word == "sig" || PROOFS.contains(&word.as_str()))
    };
    // What stands in braces is filled in from elsewhere.
    pairs
        .into_iter()
        .any(|(name, value)| is_named(name) && !value.is_empty() && !is_reference(value) && !value.starts_with('{'))
}

/// Whether an object stands for a file.
fn is_file(map: &Map<String, Value>) -> bool {
    map.len() == 1 && map.contains_key("$file")
}
