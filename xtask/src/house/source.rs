//! Reads the source files of the repository and separates code from comments, text and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file.
pub(super) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(super) path: String,
    /// As it is.
    pub(super) text: String,
    /// Line by line, without comments and without what stands in string literals, up to the first test module.
    pub(super) code: Vec<String>,
    /// Lines in test modules.
    pub(super) test_lines: usize,
}

impl Source {
    /// Takes a file apart.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let lines = text.lines().count();
        let tests_begin = if is_test_file(path) { lines } else { first_test_line(text) };
        let code = strip(text).lines().take(tests_begin).map(str::to_owned).collect();
        Self { path: path.to_owned(), text: text.to_owned(), code, test_lines: lines - tests_begin }
    }

    /// Whether the whole file is tests.
    pub(super) fn is_tests(&self) -> bool {
        is_test_file(&self.path)
    }

    /// The path below `host/src/`, for files of the gateway.
    pub(super) fn in_host(&self) -> Option<&str> {
        self.path.strip_prefix("host/src/")
    }

    /// Every line of code with its number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/e2e/")
}

/// The index of the first line of the test module, or the number of lines. Test modules stand last (STYLE 7).
fn first_test_line(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let declares = |index: usize| {
        let mut rest = lines[index..].iter().skip_while(|line| !line.starts_with("mod ") && !line.starts_with("}"));
        rest.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    (0..lines.len()).find(|&index| lines[index].starts_with("#[cfg(test)]") && declares(index)).unwrap_or(lines.len())
}

/// All Rust files of the repository.
pub(super) fn all() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    for folder in ["host", "sdk", "plugins", "tests", "benches", "xtask"] {
        walk(&root.join(folder), &mut files);
    }
    let rust = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let sources: Vec<_> = rust.map(|path| Source::new(&relative(&root, path), &read(path))).collect();
    assert!(sources.len() > 20, "found only {} Rust files below {}", sources.len(), root.display());
    sources
}

/// All text files of the repository with their paths.
pub(super) fn all_texts() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &mut files);
    let known = ["rs", "md", "toml", "json", "wit", "sh", "py", "yaml", "yml", ""];
    let texts = files.into_iter().filter(|path| {
        let end = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        known.contains(&end.as_str())
    });
    texts.filter_map(|path| Some((relative(&root, &path), fs::read_to_string(&path).ok()?))).collect()
}

/// One file by its path from the root of the repository.
pub(super) fn one(path: &str) -> String {
    read(&root().join(path))
}

fn root() -> PathBuf {
    // `cargo test` tells where it found this package; several checkouts may share one target directory.
    let told = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&told).parent().unwrap().to_path_buf()
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // `.git` is a file in a worktree.
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Blanks comments and the contents of string literals; lines stay where they are.
pub(super) fn strip(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let end = at + token_length(rest, out.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let blank = rest.starts_with("//") || rest.starts_with("/*");
        let literal = end - at > 1 && !blank && rest.starts_with(['"', 'r', 'b']);
        match () {
            () if blank => out.extend(text[at..end].chars().filter(|&c| c == '\n')),
            () if literal => {
                out.push('"');
                out.extend(text[at..end].chars().filter(|&c| c == '\n'));
                out.push('"');
            }
            () => out.push_str(&text[at..end]),
        }
        at = end;
    }
    out
}

/// The length of the comment, string literal or character that `rest` begins with.
fn token_length(rest: &str, in_word: bool) -> usize {
    let one = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
        return rest.find("\"'").unwrap_or(1) + 2;
    }
    let prefix = rest.len() - rest.trim_start_matches(['b', 'r']).len();
    if prefix > 2 || (prefix > 0 && in_word) {
        return one;
    }
    let (marks, body) = (&rest[..prefix], &rest[prefix..]);
    if marks.contains('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        if !body[hashes..].starts_with('"') {
            return one;
        }
        let close = format!("\"{}", "#".repeat(hashes));
        let inner = prefix + hashes + 1;
        return rest[inner..].find(&close).map_or(rest.len(), |end| inner + end + close.len());
    }
    if !body.starts_with('"') {
        return one;
    }
    let mut escaped = false;
    for (index, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return prefix + index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Fails with every broken place.
pub(super) fn expect_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}\n", broken.join("\n  "));
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked() {
        let check = |text: &str, expected: &str| assert_eq!(strip(text), expected, "{text:?}");
        check("let a = 1; // wasmtime\nb", "let a = 1; \nb");
        check("a /* x\ny */ b", "a \n b");
        check(r#"f("wasmtime // no", x) // c"#, "f(\"\", x) ");
        check(r##"f(r#"a "quoted" b"#, b"x", br"y")"##, "f(\"\", \"\", \"\")");
        check(r#"'"' if "a\"b" { 'b' }"#, "'\"' if \"\" { 'b' }");
        check("bar(); r.b(); /// doc `x`\n", "bar(); r.b(); \n");
        check("\"one\ntwo\"; x", "\"\n\"; x");
    }

    #[test]
    fn test_modules_are_left_out() {
        let text = "//! a\nfn f() {}\n\n#[cfg(test)]\n#[allow(x, reason = \"y\")]\nmod tests {\n    wasmtime\n}\n";
        let source = Source::new("host/src/a.rs", text);
        assert_eq!(source.code.len(), 3);
        assert_eq!(source.test_lines, 5);
        let outside = Source::new("host/src/a.rs", "//! a\n#[cfg(test)]\nmod tests;\nfn f() {}\n");
        assert_eq!((outside.code.len(), outside.test_lines), (4, 0));
    }
}
