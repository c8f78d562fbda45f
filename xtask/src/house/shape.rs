//! How files look: opening words, lengths, places (STYLE 6, 7, 14).

use std::collections::BTreeSet;

use super::source::{Source, all, expect_none};

/// Longest file, tests not counted.
const FILE_LINES_MAX: usize = 400;
/// Longest function, from its first line to its last.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest test module inside a file; a longer one moves to `tests.rs`.
const INLINE_TEST_LINES_MAX: usize = 120;

#[test]
fn every_file_says_what_it_is_for() {
    let mute = all().into_iter().filter(|source| !source.text.starts_with("//!")).map(|source| source.path);
    expect_none("a file opens with //!: its job, its border, its invariant", &mute.collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for source in all() {
        let lines = source.code.len();
        if !source.is_tests() && lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines", source.path));
        }
        if source.test_lines > INLINE_TEST_LINES_MAX {
            broken.push(format!("{}: {} lines of tests, put them into tests.rs", source.path, source.test_lines));
        }
    }
    expect_none(&format!("a file has at most {FILE_LINES_MAX} lines without tests"), &broken);
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    for source in all().iter().filter(|source| !source.is_tests()) {
        for (name, line, length) in functions(source) {
            if length > FUNCTION_LINES_MAX {
                broken.push(format!("{}:{line}: {name} has {length} lines", source.path));
            }
        }
    }
    expect_none(&format!("a function has at most {FUNCTION_LINES_MAX} lines"), &broken);
}

#[test]
fn a_module_with_a_folder_is_its_mod_rs() {
    let sources = all();
    let folders: BTreeSet<&str> =
        sources.iter().filter_map(|source| source.path.rsplit_once('/')).map(|(folder, _)| folder).collect();
    let beside = sources.iter().filter(|source| folders.contains(source.path.trim_end_matches(".rs")));
    let broken: Vec<_> = beside.map(|source| source.path.clone()).collect();
    expect_none("a module with a folder is `folder/mod.rs`, not a file beside the folder", &broken);
}

#[test]
fn folders_are_at_most_two_deep() {
    let depth = |path: &str| path.split_once("/src/").map_or(0, |(_, inside)| inside.matches('/').count());
    let broken: Vec<_> = all().into_iter().map(|source| source.path).filter(|path| depth(path) > 2).collect();
    expect_none("modules are at most two folders deep", &broken);
}

/// Name, first line and length of every function. It ends at the first closing brace that is indented like it.
fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (number, line) in source.numbered() {
        let Some(name) = function_name(line) else { continue };
        let indent = indent_of(line);
        let rest = &source.code[number - 1..];
        let ends = |line: &String| indent_of(line) == indent && line.trim_start().starts_with('}');
        let bodyless = |line: &String| line.ends_with(';') || (line.contains('{') && line.ends_with('}'));
        let length = if bodyless(&source.code[number - 1]) { 1 } else { rest.iter().position(ends).unwrap_or(0) + 1 };
        found.push((name.to_owned(), number, length));
    }
    found
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name of the function that this line declares.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let known = ["pub", "const", "async", "unsafe", "extern"];
    let word = words.find(|word| !known.contains(word) && !word.starts_with("pub(") && !word.starts_with('"'))?;
    let name = if word == "fn" { words.next()? } else { return None };
    name.split(['(', '<']).next()
}

#[test]
fn functions_are_measured() {
    let text =
        "fn one() {}\npub(crate) async fn two<T>(\n    a: T,\n) {\n    x;\n}\ntrait T {\n    fn three(&self);\n}\n";
    let found = functions(&Source::new("a.rs", text));
    let expected = [("one", 1, 1), ("two", 2, 5), ("three", 8, 1)];
    assert_eq!(found, expected.map(|(name, line, length)| (name.to_owned(), line, length)));
}
