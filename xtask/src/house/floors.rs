//! The floors of the gateway (DESIGN 1): a room uses only rooms on floors below its own.
//!
//! The table is read from `host/src/lib.rs`; what it cannot say stands in [`may_use`].

use std::collections::BTreeMap;

use super::source::{Source, all, expect_none, one};

/// A room's floor and its place on it, from the left.
type Place = (u8, usize);

#[test]
fn rooms_use_only_what_is_below() {
    let places = places(&one("host/src/lib.rs"));
    let mut broken = Vec::new();
    for source in all().iter().filter(|source| source.in_host().is_some() && !source.is_tests()) {
        broken.extend(misuses(source, &places));
    }
    expect_none("a room uses only floors below its own (the table is in host/src/lib.rs)", &broken);
}

/// Whether a room at `from` may use one at `to`.
fn may_use(from: Place, to: Place) -> bool {
    match from.0 {
        // The ground and the assembly are each one storey with connecting doors: the ground's lead one way only.
        1 => to.0 == 1 && from.1 < to.1,
        4 => to.0 <= 4,
        floor => to.0 < floor,
    }
}

/// The table in the crate's documentation: `| 2 stations | [`router`], [`cache`] |`.
fn places(library: &str) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for line in library.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let Some(floor) = line.bytes().next().filter(u8::is_ascii_digit) else { continue };
        let names = line.split('`').skip(1).step_by(2).enumerate();
        places.extend(names.map(|(index, name)| (name.to_owned(), (floor - b'0', index))));
    }
    assert!(places.len() >= 16, "the table of floors in host/src/lib.rs has only {places:?}");
    places
}

fn misuses(source: &Source, places: &BTreeMap<String, Place>) -> Vec<String> {
    let room = room_of(source.in_host().unwrap_or_default());
    if matches!(room, "lib" | "main") {
        return Vec::new();
    }
    let Some(&from) = places.get(room) else {
        return vec![format!("{}: the room `{room}` is not in the table", source.path)];
    };
    let code = source.code.join("\n");
    let mut broken = Vec::new();
    if code.contains(&"super::".repeat(depth(&source.path))) {
        broken.push(format!("{}: leaves the room by super::, write crate::", source.path));
    }
    for (line, used) in uses(&code) {
        let allowed = used == room || places.get(&used).is_none_or(|&to| may_use(from, to));
        // The listener hands requests to whoever it is given, so it must not know the stations either.
        let upstairs = room == "listener" && places.get(&used).is_some_and(|to| to.0 != 1);
        if !allowed || (upstairs && used != room) {
            broken.push(format!("{}:{line}: `{room}` uses `{used}`", source.path));
        }
    }
    broken
}

/// How many `super::` lead from this file to the crate: one from `room.rs` and `room/mod.rs`, two from `room/part.rs`.
fn depth(path: &str) -> usize {
    path.trim_start_matches("host/src/").trim_end_matches("/mod.rs").split('/').count()
}

fn room_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or_default()
}

/// Every room named behind `crate::`, with its line.
fn uses(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("crate::") {
        let start = from + at + "crate::".len();
        let line = code[..start].matches('\n').count() + 1;
        let rest = &code[start..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_names(group).into_iter().map(|name| (line, name))),
            None => found.push((line, leading_name(rest))),
        }
        from = start;
    }
    found
}

/// The first path segment of every entry of a `{a, b::c, d::{e, f}}` whose opening brace is already gone.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut entry_begins = true;
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => entry_begins = true,
            c if entry_begins && !c.is_whitespace() => {
                names.push(leading_name(&group[index..]));
                entry_begins = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn a_use_upwards_is_found() {
    let places = places(&one("host/src/lib.rs"));
    let check = |path: &str, code: &str, expected: usize| {
        let found = misuses(&Source::new(path, code), &places);
        assert_eq!(found.len(), expected, "{path} {code} {found:?}");
    };
    check("host/src/router/mod.rs", "use crate::names::Name;", 0);
    check("host/src/router/mod.rs", "use crate::cache;", 1);
    check("host/src/router/table.rs", "use crate::{\n    http::x,\n    upstream::{A, b},\n    pipeline,\n};", 2);
    check("host/src/listener/mod.rs", "fn f() { crate::router::find() }", 1);
    check("host/src/pipeline/mod.rs", "use crate::{cache, router, exchange::Exchange};", 0);
    check("host/src/pipeline/mod.rs", "use crate::listener;", 1);
    check("host/src/config/mod.rs", "use crate::{listener, generation, pipeline};", 0);
    check("host/src/telemetry/mod.rs", "use crate::exchange::Exchange;", 0);
    check("host/src/exchange/mod.rs", "use crate::telemetry;", 1);
    check("host/src/time.rs", "// crate::cache in a comment", 0);
    check("host/src/attic/mod.rs", "", 1);
    check("host/src/cache/mod.rs", "use super::router;", 1);
    check("host/src/cache/store.rs", "use super::Settings;", 0);
    check("host/src/cache/store.rs", "use super::super::router;", 1);
    check("host/src/cache/store/part.rs", "use super::super::Settings;", 0);
}
