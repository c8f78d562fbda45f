//! The reader against serde_json, and what both must refuse.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use portcullis_sdk::serde_json::{self, Value as Json};
use proptest::prelude::*;

use super::*;

fn accepts(text: &str) -> bool {
    object(text, |_, _| Ok(())).is_ok()
}

/// The value as serde_json has it, through everything a [`Value`] can tell.
fn rebuilt(value: Value<'_>) -> Json {
    match value.kind() {
        Kind::Absent => panic!("absent"),
        Kind::Text | Kind::Escaped => value.text().unwrap().into_owned().into(),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Null => Json::Null,
        Kind::List => {
            let mut elements = Vec::new();
            value.find(|element| {
                elements.push(rebuilt(element));
                None::<()>
            });
            elements.into()
        }
        Kind::Object => {
            let mut members = serde_json::Map::new();
            object(value.raw(), |name, member| {
                members.insert(name.of(value.raw()).text().unwrap().into_owned(), rebuilt(member.of(value.raw())));
                Ok(())
            })
            .unwrap();
            members.into()
        }
    }
}

/// Accepts and means the same as serde_json, where that is not stricter about the size of numbers or we about depth.
fn agrees(text: &str) {
    match serde_json::from_str::<Json>(text) {
        Ok(json) => {
            let nested = text.matches(['{', '[']).count() >= DEPTH_MAX as usize;
            assert!(nested || accepts(text) == json.is_object(), "{text}");
            if accepts(text) {
                assert_eq!(rebuilt(Value { kind: Kind::Object, raw: text.as_bytes() }), json, "{text}");
            }
        }
        Err(error) => assert!(!accepts(text) || error.to_string().contains("number out of range"), "{text}: {error}"),
    }
}

#[test]
fn good_and_bad_texts() {
    for text in [
        r#"{}"#,
        r#" { } "#,
        "\t\r\n{}",
        r#"{"a":1}"#,
        r#"{"a":-0.5e+10,"b":[],"c":{},"d":[1,"x",null,true,false]}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"}"#,
        r#"{"ä":"ö😀"}"#,
        r#"{"":""}"#,
        r#"{"\u0061":1}"#,
        "",
        " ",
        "1",
        "[]",
        "\"x\"",
        "null",
        "{",
        "}",
        "{}{}",
        "{} x",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":-}"#,
        r#"{"a":0x1}"#,
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        r#"{"a":tru}"#,
        r#"{"a":truex}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800x"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\ud800"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\u{0}\"}",
        r#"{"a":"x}"#,
        r#"{"a":1 /* c */}"#,
        "\u{feff}{}",
        "{\u{a0}}",
        r#"{"a":1}}"#,
        r#"{"a":"b" "c":"d"}"#,
        r#"{"a":1e999}"#,
    ] {
        agrees(text);
    }
}

#[test]
fn depth_is_limited_and_does_not_overflow() {
    let nested = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1) + "{", "}".repeat(depth));
    assert!(accepts(&nested(DEPTH_MAX as usize)));
    assert!(!accepts(&nested(DEPTH_MAX as usize + 1)));
    assert!(!accepts(&nested(100_000)));
    assert!(!accepts(&format!("{{\"a\":{}", "[".repeat(1_000_000))));
}

#[test]
fn members_are_found_once() {
    let text = r#"{"a":{"b":[1],"\u0062b":2,"x":1,"\u0078":2}}"#;
    let outer = Value { kind: Kind::Object, raw: text.as_bytes() };
    let inner = outer.member("a").unwrap();
    assert_eq!(inner.member("b").unwrap().raw(), "[1]");
    assert_eq!(inner.member("bb").unwrap().raw(), "2");
    assert_eq!(inner.member("x").unwrap_err(), Malformed);
    assert_eq!(inner.member("none").unwrap().kind(), Kind::Absent);
    assert_eq!(inner.member("b").unwrap().member("c").unwrap().kind(), Kind::Absent);
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes(json in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        agrees(&text.unwrap());
    }

    #[test]
    fn agrees_on_damaged_texts(json in json(), at: prop::sample::Index, with in r#"[{}\[\],:"\\u0-9a-f.eE+ntrd -]{0,3}"#) {
        let mut text = serde_json::to_string(&serde_json::json!({ "a": json })).unwrap();
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) { at -= 1; }
        text.replace_range(at..at + text[at..].chars().next().map_or(0, char::len_utf8), &with);
        agrees(&text);
    }

    #[test]
    fn agrees_on_noise(text in r#"\{"a":[{}\[\],:"\\u0-9a-f.eE+ntrsl -]{0,12}\}"#) {
        agrees(&text);
    }

    #[test]
    fn agrees_on_escapes(text in r#"\{"a":"(\\u[dD][89abcdefABC][0-9a-f]{2}|\\u[0-9a-fA-F]{4}|\\[bfnrt/\\"x]|[a-zä😀]){0,4}"\}"#) {
        agrees(&text);
    }
}
