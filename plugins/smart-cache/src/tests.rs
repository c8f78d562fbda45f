//! From configuration to decisions: which ttl, for which status and path, and what wins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use portcullis_sdk::serde_json::{self, Value, json};

use crate::bypass::{has_cookie, has_parameter};
use crate::config::Config;
use crate::origin::{Fields, Origin};
use crate::ttl::{Decision, Facts, Ttl};
use crate::windows::Wins;
use portcullis_sdk::{Path, pattern};

fn config(config: Value) -> Config {
    serde_json::from_value(config).unwrap()
}

fn facts(status: u16, cache_control: &str) -> Facts {
    let origin = Origin::new(&Fields { cache_control: &[cache_control.as_bytes()], ..Fields::default() });
    Facts { status, origin, sets_cookie: false, varies_by_all: false, authorized: false }
}

#[track_caller]
fn check(of: &Value, path: &str, facts: &Facts, expected: Decision) {
    let ttl = Ttl::new(&config(of.clone())).unwrap();
    let place = ttl.place(&Path::new(path.to_owned())).unwrap();
    assert_eq!(ttl.decide(place, facts), expected, "{of} {path} {facts:?}");
}

#[test]
fn status_decides_code_before_class_before_ttl() {
    let of = json!({ "statuses": { "404": "1s", "4xx": "2s", "500": "0s" }, "ttl": "9s" });
    check(&of, "/", &facts(404, ""), Decision::For(1_000));
    check(&of, "/", &facts(410, ""), Decision::For(2_000));
    check(&of, "/", &facts(500, ""), Decision::NoStore);
    check(&of, "/", &facts(502, ""), Decision::Next);
    check(&of, "/", &facts(200, ""), Decision::For(9_000));
    check(&of, "/", &facts(206, ""), Decision::Next);
}

#[test]
fn negative_answers_have_a_ttl_of_their_own() {
    let of = json!({ "negative_ttl": "30s", "statuses": { "410": "1h" } });
    check(&of, "/", &facts(404, ""), Decision::For(30_000));
    check(&of, "/", &facts(410, ""), Decision::For(3_600_000));
    check(&of, "/", &facts(403, ""), Decision::Next);
    check(&of, "/", &facts(200, ""), Decision::Next);
}

#[test]
fn the_first_path_that_matches_counts() {
    let of = json!({ "ttl": "1s", "paths": [
        { "path": "/a/private/*", "store": false },
        { "path": "/a/*", "ttl": "2s", "statuses": { "404": "3s" } },
        { "path": "*", "ttl": "4s" },
    ] });
    check(&of, "/a/private/x", &facts(200, ""), Decision::NoStore);
    check(&of, "//%61/private/x", &facts(200, ""), Decision::NoStore);
    // Some origins take the first for `/a/private/x`, others for something in `/a/x`.
    let ttl = Ttl::new(&config(of.clone())).unwrap();
    assert!(ttl.place(&Path::new("/a/x/..%2Fprivate%2Fx".to_owned())).is_err());
    check(&of, "/a/x%2Fy", &facts(200, ""), Decision::For(2_000));
    check(&of, "/a/x", &facts(200, ""), Decision::For(2_000));
    check(&of, "/a/x", &facts(404, ""), Decision::For(3_000));
    check(&of, "/b", &facts(200, ""), Decision::For(4_000));
}

#[test]
fn the_origin_wins_unless_overridden() {
    let of = json!({ "ttl": "10s" });
    let overriding = json!({ "ttl": "10s", "override_origin": true });
    let mixed = json!({ "ttl": "10s", "paths": [{ "path": "/o", "override_origin": true }] });
    for (control, respected) in [
        ("no-store", Decision::NoStore),
        ("private, max-age=5", Decision::NoStore),
        ("no-cache", Decision::Next),
        ("max-age=5", Decision::AsOriginSays(5_000)),
        ("public", Decision::For(10_000)),
    ] {
        check(&of, "/o", &facts(200, control), respected);
        check(&overriding, "/o", &facts(200, control), Decision::For(10_000));
        check(&mixed, "/o", &facts(200, control), Decision::For(10_000));
        check(&mixed, "/other", &facts(200, control), respected);
    }
}

#[test]
fn what_is_for_one_client_is_not_stored() {
    let of = json!({ "ttl": "10s" });
    let set_cookie = Facts { sets_cookie: true, ..facts(200, "max-age=5") };
    check(&of, "/", &set_cookie, Decision::NoStore);
    check(&json!({ "ttl": "10s", "store_set_cookie": true }), "/", &set_cookie, Decision::AsOriginSays(5_000));
    let varies = Facts { varies_by_all: true, ..facts(200, "") };
    check(&json!({ "ttl": "10s", "override_origin": true }), "/", &varies, Decision::NoStore);
    // RFC 9111 section 3.5.
    check(&of, "/", &Facts { authorized: true, ..facts(200, "max-age=5") }, Decision::NoStore);
    check(&of, "/", &Facts { authorized: true, ..facts(200, "public") }, Decision::For(10_000));
}

#[test]
fn adaptation_is_for_200_where_nothing_nearer_is_said() {
    let of = json!({ "ttl": "10s", "adaptive": {}, "paths": [
        { "path": "/fixed", "ttl": "2s" }, { "path": "/not", "adaptive": false },
    ] });
    check(&of, "/", &facts(200, ""), Decision::Adapt(Some(10_000)));
    check(&of, "/", &facts(301, ""), Decision::For(10_000));
    check(&of, "/", &facts(200, "max-age=1"), Decision::AsOriginSays(1_000));
    check(&of, "/fixed", &facts(200, ""), Decision::For(2_000));
    check(&of, "/not", &facts(200, ""), Decision::For(10_000));
    check(&json!({ "adaptive": {} }), "/", &facts(200, ""), Decision::Adapt(None));
}

#[test]
fn bypass_looks_at_whole_names() {
    let names = pattern::all(&["session".to_owned(), "wp_*".to_owned()]);
    assert!(has_cookie(&names, b"a=1; session=x"));
    assert!(has_cookie(&names, b"wp_user=1"));
    assert!(!has_cookie(&names, b"my-session=x; a=session=1"));
    assert!(has_parameter(&names, "a=1&session"));
    assert!(!has_parameter(&names, "a=session&b"));
}

#[test]
fn mistakes_are_refused() {
    for wrong in [
        json!({ "ttl": 10 }),
        json!({ "ttl": "10" }),
        json!({ "cache_control": ["no-store"] }),
        json!({ "paths": [{ "ttl": "1s" }] }),
        json!({ "negative": { "403": "1s" } }),
        json!({ "statuses": { "200": { "tll": "1s" } } }),
        json!({ "stale_if_error": "10%" }),
        json!({ "refresh_ahead": "95%" }),
        json!({ "purge_on": [{ "tags": ["a"] }] }),
        json!({ "purge_on": [{ "path": "*", "tags": ["a"], "mode": "gone" }] }),
    ] {
        assert!(serde_json::from_value::<Config>(wrong.clone()).is_err(), "{wrong}");
    }
    for status in ["abc", "700", "9xx", "xx", "1xx"] {
        assert!(Ttl::new(&config(json!({ "statuses": { status: "1s" } }))).is_err(), "{status}");
    }
}

#[test]
fn negative_answers_are_kept_for_a_short_time_where_that_is_wanted() {
    let of = json!({ "negative": {} });
    check(&of, "/", &facts(404, ""), Decision::For(10_000));
    check(&of, "/", &facts(410, ""), Decision::For(60_000));
    check(&of, "/", &facts(503, ""), Decision::For(1_000));
    check(&of, "/", &facts(403, ""), Decision::Next);
    check(&of, "/", &facts(404, "max-age=5"), Decision::AsOriginSays(5_000));
    check(&of, "/", &facts(503, "no-store"), Decision::NoStore);
    check(&json!({}), "/", &facts(404, ""), Decision::Next);
    let of = json!({ "negative": { "404": "0s" }, "negative_ttl": "30s", "statuses": { "502": "7s" } });
    check(&of, "/", &facts(404, ""), Decision::NoStore);
    check(&of, "/", &facts(502, ""), Decision::For(7_000));
    check(&of, "/", &facts(405, ""), Decision::For(30_000));
}

#[test]
fn windows_are_looked_for_like_ttls() {
    let of = json!({
        "stale_while_revalidate": "1s", "stale_if_error": "2s", "refresh_ahead": "10%",
        "statuses": { "301": { "stale_if_error": "3s" }, "4xx": { "ttl": "9s", "stale_if_error": "4s" }, "404": { "ttl": "8s" } },
        "paths": [{ "path": "/a", "stale_if_error": "5s", "statuses": { "200": { "refresh_ahead": "5s" } } }],
    });
    let ttl = Ttl::new(&config(of.clone())).unwrap();
    let check_windows = |path: &str, status: u16, expected: [u64; 3]| {
        let around = ttl.windows(ttl.place(&Path::new(path.to_owned())).unwrap(), status).around(
            60_000,
            &Origin::default(),
            Wins::Origin,
        );
        let found = [around.stale_while_revalidate, around.stale_if_error, around.refresh_ahead];
        assert_eq!(found, expected, "{path} {status}");
    };
    check_windows("/", 200, [1_000, 2_000, 6_000]);
    check_windows("/", 301, [1_000, 3_000, 6_000]);
    // What is said without a status is for answers of which there is something to show.
    check_windows("/", 404, [0, 4_000, 0]);
    check_windows("/", 500, [0, 0, 0]);
    check_windows("/a", 200, [1_000, 5_000, 5_000]);
    check_windows("/a", 301, [1_000, 5_000, 6_000]);
    check_windows("/a", 403, [0, 4_000, 0]);
    check(&of, "/", &facts(404, ""), Decision::For(8_000));
    check(&of, "/", &facts(403, ""), Decision::For(9_000));
    check(&of, "/", &facts(301, ""), Decision::Next);
}

#[test]
fn an_override_that_says_nothing_leaves_it_to_the_origin() {
    let of = json!({ "override_origin": true, "stale_if_error": "1h", "statuses": { "404": "1s" } });
    check(&of, "/", &facts(200, "max-age=5"), Decision::AsOriginSays(5_000));
    check(&of, "/", &facts(404, "max-age=5"), Decision::For(1_000));
    check(&of, "/", &facts(200, ""), Decision::Next);
    check(&of, "/", &facts(200, "private"), Decision::NoStore);
}
