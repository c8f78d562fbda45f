//! Loading: examples, overlays, the environment, and every way to write a configuration wrongly.
//!
//! The wrong ones are files in `tests/config/invalid`, with the problems they give beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::names::Grant;
use crate::plugin::{FailurePolicy, Scope};
use crate::router::{HostPattern, Segment, Tail};
use crate::telemetry::LogFormat;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// With `UPDATE=1` in the environment, writes what is expected instead of comparing with it.
fn hold_to_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let how = "after looking at it, write it with: UPDATE=1 cargo test -p portcullis config::";
    assert!(text == expected, "{} is not up to date; {how}\n--- is\n{expected}\n--- should be\n{text}", path.display());
}

fn no_variables(_: &str) -> Option<String> {
    None
}

/// Loads a configuration and overlays that are given as values.
fn load_values(
    main: &Value,
    overlays: &[Value],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, value: &Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    };
    let main = write("main.json".to_owned(), main);
    let overlays: Vec<PathBuf> =
        overlays.iter().enumerate().map(|(number, value)| write(format!("{number}.json"), value)).collect();
    let prefix = format!("{}/", folder.path().display());
    load(&main, &overlays, environment).map_err(|problems| problems.to_string().replace(&prefix, ""))
}

fn good(main: &Value) -> Config {
    load_values(main, &[], &no_variables).unwrap()
}

/// A configuration with these routes and the upstream `demo`.
fn with_routes(routes: Value) -> Value {
    json!({
        "listeners": [{"address": "127.0.0.1:0"}],
        "upstreams": {"demo": {"endpoints": ["127.0.0.1:9000"]}},
        "routes": routes,
    })
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_code() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    hold_to_file(&workspace().join("config/portcullis.schema.json"), &text);
}

#[test]
fn every_example_loads_and_fits_the_published_schema() {
    let folder = workspace().join("config");
    let check = |main: &str, overlays: &[&str]| {
        let overlays: Vec<PathBuf> = overlays.iter().map(|name| folder.join(name)).collect();
        if let Err(problems) = load(&folder.join(main), &overlays, &no_variables) {
            panic!("{main} with {overlays:?}:\n{problems}");
        }
    };
    check("portcullis.json", &[]);
    check("portcullis.json", &["production.json"]);
    check("minimal.json", &[]);
    let checked = BTreeSet::from(["portcullis.json", "production.json", "minimal.json", "portcullis.schema.json"]);
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(path.extension() != Some("json".as_ref()) || checked.contains(name), "{name} is not checked");
    }
    let schema = plugin::schema::Schema::new(schema()).unwrap();
    for name in ["portcullis.json", "minimal.json"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema.problems(&value, &plugin::schema::JsonPath::root()), [], "{name}");
    }
}

#[test]
fn a_pipe_or_a_device_in_place_of_a_file_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    for odd in ["pipe", "/dev/zero"] {
        let mut document = with_routes(json!([{ "name": "all", "respond": {} }]));
        document["modes"] = json!({ "maintenance": { "file": odd } });
        document["addresses"] = json!({ "allow": [{ "file": odd }] });
        document["upstreams"]["demo"]["tls"] = json!({ "ca": odd });
        document["plugins"] = json!({ "chain": [{ "plugin": "p", "config": { "a": { "$file": odd } } }] });
        document["acme"] = json!({ "hosts": ["a.test"], "ca": odd, "storage": "s", "directory": "https://acme.test/" });
        let main = folder.path().join("portcullis.json");
        std::fs::write(&main, document.to_string()).unwrap();
        let told = load(&main, &[], &no_variables).unwrap_err().to_string();
        assert!(told.matches("is not a regular file").count() >= 5, "{odd}: {told}");
    }
    let told = load(&folder.path().join("pipe"), &[], &no_variables).unwrap_err().to_string();
    assert!(told.contains("is not a regular file"), "{told}");
}

#[test]
fn every_bad_file_gives_its_expected_problems() {
    let folder = workspace().join("tests/config/invalid");
    let environment = |name: &str| match name {
        "TEXT" => Some("many".to_owned()),
        "NUMBER" => Some("7".to_owned()),
        "SECRET" => Some("hunter2 hunter2".to_owned()),
        _ => None,
    };
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(stem) = name.strip_suffix(".json").filter(|stem| !stem.ends_with(".overlay")) else { continue };
        let overlay = folder.join(format!("{stem}.overlay.json"));
        let overlays: Vec<PathBuf> = Some(overlay).filter(|overlay| overlay.exists()).into_iter().collect();
        let problems = load(&path, &overlays, &environment).map(|_| ()).expect_err(name).to_string();
        assert!(!problems.contains("hunter2"), "{name} shows a secret: {problems}");
        assert!(!problems.contains("JSON Schema of the file describes"), "{name} passed the schema only: {problems}");
        let text = problems.replace(&format!("{}/", folder.display()), "") + "\n";
        hold_to_file(&folder.join(format!("{stem}.expected")), &text);
        seen += 1;
    }
    assert!(seen > 20, "{seen} files");
}

#[test]
fn a_minimal_file_gets_defaults() {
    let config = good(&json!({
        "listeners": [{"address": "127.0.0.1:0"}],
        "routes": [{"name": "hello", "respond": {"body": "hi"}}],
    }));
    assert!(config.workers >= 1);
    assert_eq!(config.listeners[0].headers_max, 100);
    assert_eq!(config.admin, None);
    assert_eq!(config.cache, cache::Settings::default());
    assert_eq!(config.forwarding, Forwarding::default());
    assert_eq!(config.log, LogSettings { filter: "info".to_owned(), format: LogFormat::Text });
    assert!(config.plugins.chain.is_empty());
    assert_eq!(config.plugins.unlisted, plugin::Unlisted::Append);
    let route = &config.routes[0];
    assert_eq!(route.matches.host, HostPattern::Any);
    assert_eq!((route.matches.path.segments.len(), route.matches.path.tail.clone()), (0, Tail::Anything));
    assert_eq!((&route.cache, route.body_bytes_max), (&None, None));
    assert_eq!(route.unlisted, RouteUnlisted::Except(Vec::new()));
}

#[test]
fn relative_paths_are_relative_to_the_main_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let write = |directory: &str| {
        let mut value = with_routes(json!([{"name": "x", "proxy": {"upstream": "demo"}}]));
        value["plugins"] = json!({"directory": directory});
        std::fs::write(&path, value.to_string()).unwrap();
        load(&path, &[], &no_variables).unwrap().plugins.directory
    };
    assert_eq!(write("wasm"), folder.path().join("wasm"));
    assert_eq!(write("/srv/wasm"), Path::new("/srv/wasm"));
}

#[test]
fn the_cache_may_leave_the_process() {
    use crate::cache::envelope::{CipherKey, Keys};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let mut value = with_routes(json!([{"name": "x", "proxy": {"upstream": "demo"}}]));
    value["cache"] = json!({
        "compress_above_bytes": 0,
        "encryption": {"keys": {"2026-10": "${OLD}", "2026-11": "${NEW}"}, "current": "2026-11"},
        "persist": {"path": "state/cache.bin"},
    });
    std::fs::write(&path, value.to_string()).unwrap();
    // As `openssl rand -base64 32` gives it, and in the alphabet for URLs without padding.
    let environment = |name: &str| match name {
        "OLD" => Some("-__-".repeat(10) + "-_8"),
        "NEW" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n".to_owned()),
        _ => None,
    };
    let cache = load(&path, &[], &environment).unwrap().cache;
    let new: Vec<u8> = (0..32).collect();
    let old = [[0xfb, 0xff, 0xfe].repeat(10), vec![0xfb, 0xff]].concat();
    let key = |id: &str, secret: &[u8]| (id.parse().unwrap(), CipherKey::new(secret).unwrap());
    let keys = Keys::new("2026-11".parse().unwrap(), vec![key("2026-10", &old), key("2026-11", &new)]);
    let defaults = cache::Settings::default();
    let persist = Some(folder.path().join("state/cache.bin"));
    assert_eq!(cache, cache::Settings { compress_above_bytes: 0, encryption: keys, persist, ..defaults });
    assert!(!format!("{cache:?}").contains("AAEC"));
}

#[test]
fn handlers_are_compiled() {
    let config = good(&with_routes(json!([
        {"name": "p", "match": {"path": "/p"}, "proxy": {"upstream": "demo"}},
        {"name": "t", "match": {"path": "/t"}, "respond": {"status": 201, "body": "x", "headers": {"X-A": ["1", "2"]}}},
        {"name": "j", "match": {"path": "/j"}, "respond": {"json": null, "headers": {"content-type": "a/b"}}},
        {"name": "r", "match": {"path": "/r/{id}"}, "redirect": {"location": "https://{host}/n/{id}{path}?a{query}"}},
    ])));
    assert!(
        matches!(config.routes[0].handler, Handler::Proxy(crate::pipeline::Proxy { ref shares, .. }) if shares[0].upstream == 0)
    );
    let Handler::Respond { status, headers, body } = &config.routes[1].handler else { panic!() };
    assert_eq!((status.as_u16(), body.as_ref()), (201, b"x".as_slice()));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers.get_all("x-a").iter().count(), 2);
    let Handler::Respond { headers, body, .. } = &config.routes[2].handler else { panic!() };
    assert_eq!((body.as_ref(), &headers["content-type"]), (b"null".as_slice(), &"a/b".parse().unwrap()));
    let Handler::Redirect { status, location } = &config.routes[3].handler else { panic!() };
    use crate::pipeline::RedirectPart::{Host, Literal, Parameter, Path, Query};
    let literal = |text: &str| Literal(text.to_owned());
    let parts = [literal("https://"), Host, literal("/n/"), Parameter("id".into()), Path, literal("?a"), Query];
    assert_eq!((status.as_u16(), location.0.as_slice()), (302, parts.as_slice()));
    assert_eq!(config.routes[3].matches.path.segments[1], Segment::Parameter("id".into()));
}

#[test]
fn each_route_has_its_own_chain() {
    let mut value = with_routes(json!([
        {"name": "one", "match": {"path": "/1"}, "proxy": {"upstream": "demo"}},
        {"name": "two", "match": {"path": "/2"}, "proxy": {"upstream": "demo"}, "plugins": {
            "auth": true, "timing": false, "off": {"config": {"a": 1}}, "dropped-in": false,
        }},
        {"name": "three", "match": {"path": "/3"}, "proxy": {"upstream": "demo"}, "plugins": {
            "timing": {"config": {"deep": {"b": null, "c": 3}}, "limits": {"fuel": 7}, "on_failure": "skip"},
        }},
    ]));
    value["plugins"] = json!({"chain": [
        {"plugin": "timing", "config": {"deep": {"a": 1, "b": 2}}, "limits": {"timeout_ms": 9}},
        {"plugin": "off", "enabled": false},
        {"plugin": "auth", "routes": ["one"], "grants": ["crypto"]},
    ]});
    let config = good(&value);
    let names = |chain: &[plugin::Entry]| chain.iter().map(|entry| entry.plugin.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&config.plugins.chain), ["timing", "auth"]);
    assert_eq!(config.plugins.chain[0].scope, Scope::Gateway);
    assert_eq!(config.plugins.chain[1].scope, Scope::Routes);
    assert_eq!(config.plugins.chain[1].grants, BTreeSet::from([Grant::Crypto]));
    assert_eq!(config.plugins.chain[1].origin.to_string(), "plugins.chain[2].config");
    let [one, two, three] = config.routes.as_slice() else { panic!() };
    assert_eq!(names(&one.chain), ["timing", "auth"]);
    assert_eq!(names(&two.chain), ["auth"]);
    assert_eq!(names(&three.chain), ["timing"]);
    // What a route does not change is the same entry.
    assert_eq!(one.chain, config.plugins.chain);
    let changed = &three.chain[0];
    assert_eq!(changed.config, json!({"deep": {"a": 1, "c": 3}}));
    assert_eq!(changed.origin.to_string(), "routes[2].plugins.timing.config");
    let route = json!({"name": "a", "respond": {}, "plugins": {"timing": {"limits": {"fuel": 7}}}});
    let mut limited = with_routes(json!([route]));
    limited["plugins"] = json!({"chain": [{"plugin": "timing"}]});
    let limited = good(&limited);
    let origin = limited.routes[0].chain[0].origin.to_string();
    assert_eq!(origin, "routes[0].plugins.timing.config", "told from the entry that it changes");
    assert_eq!((changed.limits.fuel, changed.limits.timeout.as_millis()), (7, 9));
    assert_eq!(changed.on_failure, FailurePolicy::Skip);
    assert_eq!(two.unlisted, RouteUnlisted::Except(vec!["dropped-in".parse().unwrap()]));
}

#[test]
fn overlays_are_merged_in_order() {
    let main = with_routes(json!([{"name": "x", "proxy": {"upstream": "demo"}}]));
    let first = json!({"workers": 3, "upstreams": {"demo": {"connections_max": 5}}, "cache": {"memory_bytes_max": 1}});
    let second = json!({"workers": 4, "cache": null});
    let config = load_values(&main, &[first, second], &no_variables).unwrap();
    assert_eq!((config.workers, config.upstreams[0].connections_max), (4, 5));
    assert_eq!(config.cache, cache::Settings::default());
}

#[test]
fn variables_become_what_their_place_wants() {
    let environment = |name: &str| match name {
        "WORKERS" => Some("3".to_owned()),
        "CACHE" => Some("true".to_owned()),
        "PORT" => Some("81".to_owned()),
        "STATUS" => Some(" 404\n".to_owned()),
        _ => None,
    };
    let value = json!({
        "workers": "${WORKERS}",
        "listeners": [{"address": "127.0.0.1:${PORT}", "headers_max": "${HEADERS:-50}"}],
        "plugins": {"chain": [{"plugin": "p", "enabled": "${ENABLED:-false}", "config": {"text": "${PORT}"}}]},
        "routes": [
            {"name": "a", "match": {"path": "/a"}, "cache": "${CACHE}", "plugins": {"p": "${OFF:-false}"},
             "respond": {"body": "${PORT}", "status": "${STATUS}", "headers": {"x": "$${PORT}"}}},
        ],
    });
    let config = load_values(&value, &[], &environment).unwrap();
    assert_eq!((config.workers, config.listeners[0].headers_max), (3, 50));
    assert_eq!(config.listeners[0].address.port(), 81);
    assert!(config.plugins.chain.is_empty());
    assert!(config.routes[0].cache.is_some());
    let Handler::Respond { status, headers, body } = &config.routes[0].handler else { panic!() };
    assert_eq!((status.as_u16(), body.as_ref(), &headers["x"]), (404, b"81".as_slice(), &"${PORT}".parse().unwrap()));
}

#[test]
fn a_missing_file_and_a_bad_overlay_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let (main, overlay) = (folder.path().join("main.json"), folder.path().join("overlay.json"));
    std::fs::write(&overlay, "[]").unwrap();
    let problems = load(&main, &[overlay], &no_variables).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    assert_eq!((problems.0[0].place.clone(), problems.0[1].what.as_str()), (Place::File, "is not an object"));
}

#[test]
fn routes_that_differ_in_one_thing_are_different() {
    let route = |name: &str, matches: Value| json!({"name": name, "match": matches, "proxy": {"upstream": "demo"}});
    good(&with_routes(json!([
        route("a", json!({"path": "/x", "methods": ["GET"]})),
        route("b", json!({"path": "/x", "methods": ["POST"]})),
        route("c", json!({"path": "/x", "host": "a.example.com"})),
        route("d", json!({"path": "/x", "host": "*.example.com"})),
        route("e", json!({"path": "/x/"})),
        route("f", json!({"path": "/x/*"})),
        route("g", json!({"path": "/{x}"})),
        route("h", json!({})),
    ])));
}

/// Any JSON, with the keys and words of a configuration more often than chance would have it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("demo"),
        Just("x"),
        Just("/a/{b}"),
        Just("/*"),
        Just("127.0.0.1:80"),
        Just("${A}"),
        Just("${A:-1}"),
        Just("deny"),
        Just("GET"),
        Just("{path}"),
        Just("log"),
        Just("append"),
        Just("{"),
        Just(""),
        Just("é"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..300).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("listeners"),
        Just("address"),
        Just("routes"),
        Just("name"),
        Just("match"),
        Just("host"),
        Just("path"),
        Just("methods"),
        Just("proxy"),
        Just("upstream"),
        Just("upstreams"),
        Just("demo"),
        Just("endpoints"),
        Just("respond"),
        Just("headers"),
        Just("json"),
        Just("body"),
        Just("status"),
        Just("redirect"),
        Just("location"),
        Just("plugins"),
        Just("chain"),
        Just("plugin"),
        Just("grants"),
        Just("limits"),
        Just("fuel"),
        Just("config"),
        Just("enabled"),
        Just("workers"),
        Just("cache"),
        Just("x"),
        Just("a.b"),
        Just("log"),
        Just("filter"),
        Just("admin"),
        Just("quarantine_failures"),
        Just("on_failure"),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Puts a value in some place of a good configuration, so that the checks behind the schema are met, too.
fn damage(value: &mut Value, mut way: u64, with: Value) {
    match value {
        Value::Object(map) if !map.is_empty() && !way.is_multiple_of(7) => {
            let index = usize::try_from(way).unwrap_or(0) % map.len();
            way /= 3;
            damage(map.values_mut().nth(index).unwrap(), way, with);
        }
        Value::Array(items) if !items.is_empty() && !way.is_multiple_of(7) => {
            let index = usize::try_from(way).unwrap_or(0) % items.len();
            way /= 3;
            damage(&mut items[index], way, with);
        }
        other => *other = with,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_either_loaded_or_refused_with_words(value in any_json(), overlay in any_json(), way in any::<u64>()) {
        let text = std::fs::read_to_string(workspace().join("config/portcullis.json")).unwrap();
        let mut damaged: Value = serde_json::from_str(&text).unwrap();
        damage(&mut damaged, way, value.clone());
        for main in [value, damaged] {
            for overlays in [vec![], vec![overlay.clone()]] {
                if let Err(problems) = load_values(&main, &overlays, &no_variables) {
                    prop_assert!(!problems.is_empty());
                    // The schema lets nothing through that the types do not take.
                    prop_assert!(!problems.contains("JSON Schema of the file describes"), "{main}\n{problems}");
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::write(&path, text).unwrap();
        prop_assert!(load(&path, &[], &no_variables).is_err());
    }
}
