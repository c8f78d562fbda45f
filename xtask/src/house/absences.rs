//! What must not be found, and where it may (DESIGN 1 and 6; STYLE 3, 10 and 12).

use super::source::{Source, all, all_texts, expect_none};

#[test]
fn only_the_plugin_room_knows_wasmtime() {
    only("wasmtime", "plugin/");
}

/// The reader of the file has a `Deserialize` of its own, by hand: it keeps the places of mistakes.
#[test]
fn only_the_file_shape_is_deserialised() {
    only_in("Deserialize", &["config/file", "config/read.rs"]);
}

#[test]
fn only_time_asks_for_the_time() {
    only("Instant::now", "time.rs");
    only("SystemTime::now", "time.rs");
}

/// The status of a `Reason` becomes a response in one place; everybody else passes the failure on. (`plugin/lane.rs` tells
/// the `on-error` hooks what it would be.)
#[test]
fn only_rescue_answers_with_errors() {
    only_in("reason.status()", &["pipeline/rescue.rs", "plugin/lane.rs", "admin/respond.rs"]);
    only("Reason::status", "pipeline/rescue.rs");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "#[ignore", "dbg!"];
    let mut broken = Vec::new();
    for source in all() {
        let stripped = super::source::strip(&source.text);
        for (index, line) in stripped.lines().enumerate() {
            broken.extend(hits(line, &words).map(|word| format!("{}:{}: {word}", source.path, index + 1)));
        }
    }
    expect_none("nothing is left for later and no test is skipped", &broken);
}

#[test]
fn no_path_of_one_machine() {
    // Put together here, so that this file does not break its own rule.
    let folders = ["work", "root", "home", "farm", "Users"].map(|name| format!("/{name}/"));
    let mut broken = Vec::new();
    for (path, text) in all_texts() {
        for (index, line) in text.lines().enumerate() {
            let begins = |folder: &String| {
                let before = line.find(folder.as_str()).map(|at| line[..at].chars().next_back());
                before.is_some_and(|c| c.is_none_or(|c| !c.is_alphanumeric() && !"._-*}".contains(c)))
            };
            broken.extend(folders.iter().filter(|folder| begins(folder)).map(|_| format!("{path}:{}", index + 1)));
        }
    }
    expect_none("no file names a path of one machine", &broken);
}

#[test]
fn things_have_our_names() {
    let mut broken = Vec::new();
    for source in all() {
        for (line, name) in declared(&source) {
            let parts = words_of(&name);
            let never = ["backend", "peer", "callback", "stage", "manager", "helper", "helpers", "util", "utils"];
            let bad = parts.iter().find(|part| never.contains(&part.as_str()));
            broken.extend(bad.map(|part| format!("{}:{line}: {name} ({part})", source.path)));
        }
    }
    expect_none("one word per thing; these words are not ours (DESIGN 6, STYLE 10)", &broken);
}

#[test]
fn getters_have_no_get() {
    let mut broken = Vec::new();
    for source in all() {
        let bad = declared(&source).into_iter().filter(|(_, name)| name.starts_with("get_"));
        broken.extend(bad.map(|(line, name)| format!("{}:{line}: {name}", source.path)));
    }
    expect_none("no get_ (STYLE 12)", &broken);
}

/// A word that may stand in the gateway's code only at one place.
fn only(word: &str, place: &str) {
    only_in(word, &[place]);
}

fn only_in(word: &str, places: &[&str]) {
    let mut broken = Vec::new();
    for source in all() {
        let Some(path) = source.in_host() else { continue };
        if places.iter().any(|place| path.starts_with(place)) || source.is_tests() {
            continue;
        }
        let found = source.numbered().filter(|(_, line)| line.contains(word));
        broken.extend(found.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    expect_none(&format!("only {} in host/src may name {word}", places.join(" and ")), &broken);
}

fn hits<'a>(line: &str, words: &[&'a str]) -> impl Iterator<Item = &'a str> {
    words.iter().copied().filter(|word| line.contains(word)).collect::<Vec<_>>().into_iter()
}

/// Every name that this file gives to something.
fn declared(source: &Source) -> Vec<(usize, String)> {
    let keywords = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "let", "mut"];
    let mut found = Vec::new();
    for (number, line) in source.numbered() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for pair in words.windows(2) {
            let [keyword, name] = pair else { continue };
            if keywords.contains(keyword) && !name.is_empty() && !keywords.contains(name) {
                found.push((number, (*name).to_owned()));
            }
        }
    }
    found
}

/// `PeerSet` and `peer_set` are both `peer`, `set`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn names_are_taken_apart() {
    assert_eq!(words_of("PeerSet"), ["peer", "set"]);
    assert_eq!(words_of("next_peer"), ["next", "peer"]);
    assert_eq!(words_of("speers"), ["speers"]);
    let source = Source::new("a.rs", "//! backend\nfn peer_of(x: u8) { let mut stage = \"util\"; }\n");
    let names: Vec<_> = declared(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["peer_of", "stage"]);
}
