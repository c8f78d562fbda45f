//! What a write takes out of the cache: which requests count, and the names that are made of their paths.
//!
//! Border: takes what was asked and gives targets; only [`Purging::after`] asks the gateway. Invariant: what a client writes into a
//! path never becomes a `*` of a pattern.

use portcullis_sdk::cache::{self, PurgeMode, PurgeTarget};
use portcullis_sdk::prelude::*;

use crate::config::{Mode, PurgeEntry};
use portcullis_sdk::pattern::Pattern;

/// All entries of `purge_on`.
pub(crate) struct Purging(Vec<Entry>);

struct Entry {
    methods: Vec<String>,
    path: Pattern,
    targets: Vec<(Kind, Template)>,
    mode: PurgeMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tag,
    Url,
    Pattern,
}

/// Text with places for what the request brings.
#[derive(Debug)]
struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `{path}`
    Path,
    /// `{1}`: what the first `*` stands for.
    Star(usize),
    /// `{id}`: a parameter of the route's path.
    Parameter(String),
}

/// What templates are filled with.
struct Values<'a> {
    path: &'a str,
    stars: Vec<&'a str>,
    parameter: &'a dyn Fn(&str) -> Option<String>,
}

impl Purging {
    /// None where no request purges anything. Fails where the plugin is not granted `cache`: the call traps and says so.
    pub(crate) fn new(entries: &[PurgeEntry]) -> Result<Option<Self>> {
        if entries.is_empty() {
            return Ok(None);
        }
        let prepared = Self::prepare(entries)?;
        cache::require();
        Ok(Some(prepared))
    }

    fn prepare(entries: &[PurgeEntry]) -> Result<Self> {
        let named = |(index, entry): (usize, &PurgeEntry)| {
            Entry::new(entry).map_err(|error| error.context(format!("purge_on[{index}]")))
        };
        entries.iter().enumerate().map(named).collect::<Result<_>>().map(Self)
    }

    /// Purges what this request calls for, now that its response is known. Before the client hears of the success, so that what it reads next
    /// is not what it has just replaced.
    pub(crate) fn after(&self, request: &Request, response: &Response) {
        let method = request.method();
        // Most requests end here.
        if !self.0.iter().any(|entry| entry.is_for(&method)) || !succeeded(response.status()) {
            return;
        }
        let base = || format!("{}://{}", request.scheme(), request.authority());
        for (target, mode) in
            self.targets(&method, request.plain_path().plain(), &|name| request.parameter(name), &base)
        {
            // The gateway logs what fails. The write has happened, and an error of ours would not undo it.
            let _ = cache::purge(&target, mode);
        }
    }

    fn targets(
        &self,
        method: &str,
        path: &str,
        parameter: &dyn Fn(&str) -> Option<String>,
        base: &dyn Fn() -> String,
    ) -> Vec<(PurgeTarget, PurgeMode)> {
        let mut targets = Vec::new();
        for entry in self.0.iter().filter(|entry| entry.is_for(method)) {
            let Some(stars) = entry.path.captures(path) else { continue };
            let values = Values { path, stars, parameter };
            for (kind, template) in &entry.targets {
                let Some(text) = template.fill(*kind, &values) else { continue };
                targets.push((kind.target(text, base), entry.mode));
            }
        }
        targets
    }
}

/// RFC 9111 section 4.4: what is no error may have changed something.
fn succeeded(status: u16) -> bool {
    (200..400).contains(&status)
}

impl Entry {
    fn new(entry: &PurgeEntry) -> Result<Self> {
        let path = Pattern::of_paths(&entry.path);
        let kinds = [(Kind::Tag, &entry.tags), (Kind::Url, &entry.urls), (Kind::Pattern, &entry.patterns)];
        let mut targets = Vec::new();
        for (kind, text) in kinds.into_iter().flat_map(|(kind, texts)| texts.iter().map(move |text| (kind, text))) {
            targets.push((kind, Template::new(text, path.stars())?));
        }
        if targets.is_empty() {
            return Err("name what is purged in `tags`, `urls` or `patterns`".into());
        }
        if entry.methods.is_empty() {
            return Err("`methods` names none".into());
        }
        // Methods are case-sensitive (RFC 9110 section 9.1), and an entry for `post` would wait for ever.
        if let Some(small) = entry.methods.iter().find(|method| method.bytes().any(|b| b.is_ascii_lowercase())) {
            return Err(format!("methods are written in capitals: `{}`", small.to_ascii_uppercase()).into());
        }
        let mode = match entry.mode {
            Mode::Hard => PurgeMode::Hard,
            Mode::Soft => PurgeMode::Soft,
        };
        Ok(Self { methods: entry.methods.clone(), path, targets, mode })
    }

    fn is_for(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }
}

impl Kind {
    /// URLs may be written without scheme and authority; then they are those of the request.
    fn target(self, text: String, base: &dyn Fn() -> String) -> PurgeTarget {
        let whole = |text: String| if text.starts_with('/') { base() + &text } else { text };
        match self {
            Self::Tag => PurgeTarget::Tag(text),
            Self::Url => PurgeTarget::Url(whole(text)),
            Self::Pattern => PurgeTarget::Pattern(whole(text)),
        }
    }
}

impl Template {
    fn new(text: &str, stars: usize) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else {
                return Err(format!("`{text}` opens a brace and does not close it").into());
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match name.parse::<usize>() {
                Ok(number) if (1..=stars).contains(&number) => Piece::Star(number - 1),
                Ok(number) => return Err(format!("`{text}`: the path has no `*` number {number}").into()),
                Err(_) if name == "path" => Piece::Path,
                Err(_) if name.is_empty() => return Err(format!("`{text}`: `{{}}` names nothing").into()),
                Err(_) => Piece::Parameter(name.to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.is_empty() {
            return Err("an empty text names nothing".into());
        }
        Ok(Self(pieces))
    }

    /// None where the request has no such parameter, or where what it brings is empty: that names something else.
    fn fill(&self, kind: Kind, values: &Values<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            let parameter;
            let value = match piece {
                Piece::Text(fixed) => {
                    text.push_str(fixed);
                    continue;
                }
                Piece::Path => values.path,
                Piece::Star(index) => values.stars.get(*index)?,
                Piece::Parameter(name) => {
                    parameter = (values.parameter)(name)?;
                    &parameter
                }
            };
            if value.is_empty() {
                return None;
            }
            match kind {
                Kind::Pattern => text.push_str(&value.replace('*', "%2A")),
                Kind::Tag | Kind::Url => text.push_str(value),
            }
        }
        Some(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use portcullis_sdk::serde_json::{self, Value, json};

    use super::*;

    fn purging(entries: Value) -> Result<Purging> {
        Purging::prepare(&serde_json::from_value::<Vec<PurgeEntry>>(entries).unwrap())
    }

    /// `kind text mode`, one after the other.
    fn targets(entries: &Value, method: &str, path: &str) -> Vec<String> {
        let parameter = |name: &str| (name == "id").then(|| "17".to_owned());
        let all = purging(entries.clone()).unwrap();
        let all = all.targets(method, path, &parameter, &|| "https://a.test".to_owned());
        let one = |(target, mode)| match target {
            PurgeTarget::Tag(tag) => format!("tag {tag} {mode:?}"),
            PurgeTarget::Url(url) => format!("url {url} {mode:?}"),
            PurgeTarget::Pattern(pattern) => format!("pattern {pattern} {mode:?}"),
            other => format!("{other:?}"),
        };
        all.into_iter().map(one).map(|text| text.replace("PurgeMode::", "")).collect()
    }

    #[test]
    fn a_write_purges_what_its_path_says() {
        let of = json!([
            { "path": "/articles/*", "tags": ["article-{1}", "lists"], "urls": ["/articles"] },
            { "path": "/users/*/posts/*", "methods": ["POST"], "tags": ["user-{1}", "post-{2}"], "mode": "soft" },
            { "path": "*", "methods": ["DELETE"], "patterns": ["{path}/*"], "urls": ["http://other.test/{id}"] },
        ]);
        let check = |method: &str, path: &str, expected: &[&str]| {
            assert_eq!(targets(&of, method, path), expected, "{method} {path}");
        };
        check("PUT", "/articles/5", &["tag article-5 Hard", "tag lists Hard", "url https://a.test/articles Hard"]);
        check("GET", "/articles/5", &[]);
        check("put", "/articles/5", &[]);
        check("POST", "/users/ann/posts/9", &["tag user-ann Soft", "tag post-9 Soft"]);
        check("PUT", "/users/ann/posts/9", &[]);
        check("DELETE", "/x/*", &["url http://other.test/17 Hard", "pattern https://a.test/x/%2A/* Hard"]);
        // Nothing stands for the number, and a tag `article-` would be another one.
        check("PUT", "/articles/", &["tag lists Hard", "url https://a.test/articles Hard"]);
    }

    #[test]
    fn a_parameter_that_is_not_there_names_nothing() {
        assert!(targets(&json!([{ "path": "*", "tags": ["a-{slug}"] }]), "POST", "/").is_empty());
        assert_eq!(targets(&json!([{ "path": "*", "tags": ["a-{id}"] }]), "POST", "/"), ["tag a-17 Hard"]);
    }

    #[test]
    fn mistakes_are_refused() {
        for (wrong, why) in [
            (
                json!([{ "path": "*", "tags": ["a"] }, { "path": "*", "tags": ["a"], "methods": [] }]),
                "purge_on[1]: `methods`",
            ),
            (json!([{ "path": "*", "tags": ["a"], "methods": ["PUT", "post"] }]), "in capitals: `POST`"),
            (json!([{ "path": "/a/*" }]), "purge_on[0]: name what is purged"),
            (json!([{ "path": "/a/*", "tags": ["x", "{2}"] }]), "no `*` number 2"),
            (json!([{ "path": "/a", "tags": ["{0}"] }]), "no `*` number 0"),
            (json!([{ "path": "/a", "tags": ["{path"] }]), "does not close"),
            (json!([{ "path": "/a", "tags": ["{}"] }]), "names nothing"),
            (json!([{ "path": "/a", "tags": [""] }]), "names nothing"),
        ] {
            let error = purging(wrong).err().unwrap();
            assert!(error.message().contains(why), "{}", error.message());
        }
    }

    #[test]
    fn only_success_counts() {
        assert!(succeeded(200) && succeeded(201) && succeeded(204) && succeeded(303));
        assert!(!succeeded(404) && !succeeded(412) && !succeeded(500));
    }
}
