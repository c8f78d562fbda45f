//! Keys, conditions and fields, without a gateway. What the gateway counts is shown in the end-to-end tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use portcullis_sdk::Path;
use portcullis_sdk::limits::Decision;
use portcullis_sdk::serde_json::{self, Value, json};

use crate::config::Config;
use crate::fields::{self, Least};
use crate::key::{self, Facts, Part};
use crate::plan::Plan;
use portcullis_sdk::duration::Milliseconds;

/// A request by what it says.
#[derive(Default, Clone)]
struct Said {
    address: &'static str,
    method: &'static str,
    path: &'static str,
    route: Option<&'static str>,
    headers: BTreeMap<usize, &'static [u8]>,
    attributes: BTreeMap<&'static str, &'static str>,
}

impl Facts for Said {
    fn address(&self) -> String {
        self.address.to_owned()
    }

    fn path(&self) -> Path {
        Path::new(self.path.to_owned())
    }

    fn part(&self, part: &Part) -> Option<Vec<u8>> {
        match part {
            Part::Method => Some(self.method.into()),
            Part::Route => self.route.map(Into::into),
            Part::Header(number) => self.headers.get(number).map(|value| value.to_vec()),
            Part::Cookie { header, name } => key::cookie(self.headers.get(header).into_iter().copied(), name),
            Part::Attribute(name) => self.attributes.get(name.as_str()).map(|value| (*value).into()),
            _ => None,
        }
    }
}

fn plan(config: Value) -> Result<Plan, String> {
    let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
    Plan::new(&config).map_err(|error| error.message().to_owned())
}

fn limit(changes: Value) -> Value {
    let mut limit = json!({ "name": "a", "requests": 10, "window": "1m" });
    for (name, value) in changes.as_object().unwrap() {
        limit[name] = value.clone();
    }
    json!({ "limits": [limit] })
}

/// The key of a request under one limit; none where it does not apply.
fn key_of(changes: Value, said: &Said) -> Option<Vec<u8>> {
    let [deny, log] = plan(limit(changes)).unwrap().asked(said);
    deny.into_iter().chain(log).next().map(|(_, key)| key)
}

fn client(address: &'static str) -> Said {
    Said { address, method: "GET", path: "/", ..Said::default() }
}

#[test]
fn addresses_count_with_their_network() {
    let same = |config: Value, one, other| key_of(config.clone(), &client(one)) == key_of(config, &client(other));
    assert!(same(json!({}), "192.0.2.1", "192.0.2.1"));
    assert!(!same(json!({}), "192.0.2.1", "192.0.2.2"));
    assert!(same(json!({}), "2001:db8::1", "2001:db8::ffff"));
    assert!(!same(json!({}), "2001:db8::1", "2001:db8:0:1::1"));
    let mut whole = limit(json!({}));
    whole["ipv6_prefix"] = json!(128);
    whole["ipv4_prefix"] = json!(24);
    let plan = plan(whole).unwrap();
    let key = |address| plan.asked(&client(address))[0][0].1.clone();
    assert_ne!(key("2001:db8::1"), key("2001:db8::2"));
    assert_eq!(key("192.0.2.1"), key("192.0.2.2"));
    assert_ne!(key("192.0.2.1"), key("192.0.3.1"));
}

#[test]
fn parts_cannot_be_shifted_into_one_another() {
    let key = |one: &'static [u8], two: &'static [u8]| {
        let said = Said { headers: BTreeMap::from([(0, one), (1, two)]), ..client("192.0.2.1") };
        key_of(json!({ "key": ["header:a", "header:b"] }), &said).unwrap()
    };
    assert_ne!(key(b"ab", b"c"), key(b"a", b"bc"));
    assert_ne!(key(b"", b"abc"), key(b"abc", b""));
    assert_eq!(key(b"a", b"b"), key(b"a", b"b"));
    // Who writes an address into a header does not count with that address.
    let as_header = Said { headers: BTreeMap::from([(0, &[192_u8, 0, 2, 1][..])]), ..client("198.51.100.1") };
    let wanted = json!({ "key": ["header:a"] });
    assert_ne!(key_of(wanted.clone(), &as_header), key_of(wanted, &client("192.0.2.1")));
}

#[test]
fn what_is_missing_is_the_address_or_nothing_or_the_limit_is() {
    let of = |missing: &str, address| key_of(json!({ "key": ["header:a"], "missing": missing }), &client(address));
    assert_ne!(of("address", "192.0.2.1"), of("address", "192.0.2.2"));
    assert_eq!(of("together", "192.0.2.1"), of("together", "192.0.2.2"));
    assert!(of("together", "192.0.2.1").is_some());
    assert_eq!(of("skip", "192.0.2.1"), None);
}

#[test]
fn cookies_attributes_routes_and_everybody_are_keys() {
    let said = Said {
        headers: BTreeMap::from([(0, &b"x=1; session=abc; y=2"[..])]),
        attributes: BTreeMap::from([("auth.subject", "alice")]),
        route: Some("api"),
        ..client("192.0.2.1")
    };
    let other = Said { headers: BTreeMap::from([(0, &b"session=abcd"[..])]), ..said.clone() };
    let check = |part: &str, same: bool| {
        let config = json!({ "key": [part] });
        assert_eq!(key_of(config.clone(), &said) == key_of(config, &other), same, "{part}");
    };
    check("cookie:session", false);
    check("cookie:x", false);
    check("attribute:auth.subject", true);
    check("route", true);
    assert_eq!(key_of(json!({ "key": [] }), &said), Some(Vec::new()));
}

#[test]
fn a_path_counts_as_one_however_it_is_spelled() {
    let key = |path: &'static str| key_of(json!({ "key": ["path"] }), &Said { path, ..client("192.0.2.1") }).unwrap();
    for path in ["/a/b", "//a///b", "/%61%2Fb", "/x%2F..%2Fa/b"] {
        assert_eq!(key(path), key("/a/b"), "{path}");
    }
    assert_ne!(key("/a/b"), key("/a/b/"));
    let applies = |condition: &str, path: &'static str| {
        let said = Said { path, ..client("192.0.2.1") };
        key_of(json!({ condition: { "paths": ["/login", "/free/*"] } }), &said).is_some()
    };
    for (path, when, unless) in [
        ("/login", true, false),
        ("//%6Cogin", true, false),
        ("/login/", false, true),
        ("/x%2F..%2Flogin", true, true),
        ("/free/a", true, false),
        ("/free/..%2Fx", true, true),
    ] {
        assert_eq!((applies("when", path), applies("unless", path)), (when, unless), "{path}");
    }
}

#[test]
fn limits_apply_when_and_unless() {
    let said = Said {
        method: "POST",
        path: "/login",
        route: Some("api"),
        headers: BTreeMap::from([(0, &b"1"[..])]),
        attributes: BTreeMap::from([("auth.role", "admin")]),
        ..client("192.0.2.1")
    };
    let check = |condition: Value, applies: bool| {
        assert_eq!(key_of(json!({ "when": condition }), &said).is_some(), applies, "{condition}");
        assert_eq!(key_of(json!({ "unless": condition }), &said).is_some(), !applies, "unless {condition}");
    };
    check(json!({}), true);
    check(json!({ "methods": ["PUT", "POST"] }), true);
    check(json!({ "methods": ["GET"] }), false);
    check(json!({ "paths": ["/log*"] }), true);
    check(json!({ "paths": ["/x"], "methods": ["POST"] }), false);
    check(json!({ "routes": ["api"] }), true);
    check(json!({ "routes": ["web"] }), false);
    check(json!({ "headers": ["X-Api-Key"] }), true);
    check(json!({ "attributes": ["auth.role"] }), true);
    check(json!({ "attributes": ["auth.subject"] }), false);
    check(json!({ "attribute_values": { "auth.role": "admin" } }), true);
    check(json!({ "attribute_values": { "auth.role": "user" } }), false);
}

#[test]
fn limits_that_only_note_are_asked_apart() {
    let config = json!({ "limits": [
        { "name": "a", "requests": 1, "window": "1s", "on_exceed": "log" },
        { "name": "b", "requests": 1, "window": "1s" },
    ] });
    let [deny, log] = plan(config).unwrap().asked(&client("192.0.2.1"));
    assert_eq!((deny[0].0, log[0].0), (1, 0));
}

#[test]
fn fields_say_what_is_left() {
    let config = json!({ "limits": [
        { "name": "default", "requests": 100, "window": "1m" },
        { "name": "burst", "algorithm": "token_bucket", "requests": 10, "window": "1s", "burst": 25 },
    ] });
    let plan = plan(config).unwrap();
    assert_eq!(plan.policy, r#""default";q=100;w=60, "burst";q=25;w=3"#);
    assert_eq!(fields::applying(&plan.policy, r#""burst";r=1;t=1, "default";r=0;t=9"#), None);
    let some = fields::applying(&plan.policy, r#""burst";r=1;t=1"#);
    assert_eq!(some.as_deref(), Some(r#""burst";q=25;w=3"#));
    let decision = |remaining, reset_ms| Decision { allowed: true, limit: 0, remaining, reset_ms, retry_after_ms: 0 };
    let (one, two) = (decision(50, 29_001), decision(3, 1));
    let state = fields::state([("default", &one), ("burst", &two)].into_iter());
    assert_eq!(state, r#""default";r=50;t=30, "burst";r=3;t=1"#);
    let quota = |name: &str| plan.limits.iter().find(|limit| limit.name == name).map(crate::plan::Planned::quota);
    assert_eq!(fields::least(&state, quota), Some(Least { limit: 25, remaining: 3, reset: 1 }));
    assert_eq!(fields::least("", quota), None);
    let body: Value = serde_json::from_str(&fields::body(429, "default", 30)).unwrap();
    assert_eq!(body["reason"], "rate_limited");
}

#[test]
fn wrong_configurations_are_refused_with_what_is_wrong() {
    let check = |config: Value, expected: &str| {
        let error = plan(config).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(limit(json!({ "name": "a b" })), "limit `a b`: its name");
    check(limit(json!({ "window": "0s" })), "1ms to 31d");
    check(limit(json!({ "window": "32d" })), "1ms to 31d");
    check(limit(json!({ "window": "soon" })), "not a duration");
    check(limit(json!({ "burst": 5 })), "a sliding window has no burst");
    check(limit(json!({ "cost": 11 })), "takes 11");
    check(limit(json!({ "key": ["adress"] })), "`adress` is not known");
    check(limit(json!({ "key": ["header:"] })), "has no name");
    check(limit(json!({ "key": ["address:x"] })), "is not known");
    check(limit(json!({ "keys": [] })), "unknown field");
    check(json!({ "limits": [] }), "there is no limit");
    let twice = json!({ "name": "a", "requests": 1, "window": "1s" });
    check(json!({ "limits": [twice, twice] }), "twice");
    assert_eq!(Milliseconds::parse("2h").unwrap().0, 7_200_000);
}
