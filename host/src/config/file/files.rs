//! The shape of `files`: a route that answers with files.

use schemars::JsonSchema;
use serde::Deserialize;

/// Answer with files from a folder, to GET and HEAD. Nothing outside of it can be reached, and hidden files (`.name`, except
/// `.well-known`) are not there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Files {
    /// The folder, relative to the configuration file.
    #[schemars(required, length(min = 1), extend("examples" = ["public"]))]
    pub(in crate::config) root: Option<String>,
    /// What paths begin with that is no part of the folder: with `/static`, the path `/static/a.css` is the file `a.css`.
    #[schemars(extend("examples" = ["/static"]))]
    pub(in crate::config) strip_prefix: Option<String>,
    /// The names of the files that stand for the folder they are in, best first.
    #[schemars(extend("uniqueItems" = true, "default" = Files::INDEX))]
    pub(in crate::config) index: Option<Vec<Option<String>>>,
    /// Whether a folder without such a file is listed.
    #[schemars(extend("default" = false))]
    pub(in crate::config) listing: Option<bool>,
    /// For an application that draws its own pages: the file, by its path in the folder, that those get who want a page (`text/html`) where there is no file.
    #[schemars(extend("examples" = ["/index.html"]))]
    pub(in crate::config) spa: Option<String>,
    /// The codings in which files lie beside the plain ones: `a.js.br`, `a.js.zst`, `a.js.gz`. Best first; the client's preferences count more.
    #[schemars(extend("uniqueItems" = true, "default" = [], "examples" = [["br", "zstd", "gzip"]]))]
    pub(in crate::config) precompressed: Option<Vec<Option<FilesCoding>>>,
    /// The field `Cache-Control` of every file. What `spa` answers is always `no-cache`.
    #[schemars(length(min = 1), extend("examples" = ["public, max-age=3600"]))]
    pub(in crate::config) cache_control: Option<String>,
}

impl Files {
    /// Default of `index`.
    pub(in crate::config) const INDEX: [&str; 1] = ["index.html"];
}

/// A coding in which a file lies beside the plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(in crate::config) enum FilesCoding {
    /// Brotli: `.br`.
    #[serde(rename = "br")]
    Brotli,
    /// Zstandard: `.zst`.
    #[serde(rename = "zstd")]
    Zstd,
    /// gzip: `.gz`.
    #[serde(rename = "gzip")]
    Gzip,
}
