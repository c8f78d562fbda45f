//! Purging as a whole: spelling, dependencies, counts, modes, and what plugins write.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::*;
use crate::cache::{Admission, Found, Recording, Settings};
use crate::exchange::Response;
use crate::http::Body;
use crate::time;

fn purger() -> Arc<Purger> {
    let purger = Purger::new(Arc::new(Cache::new(&Settings::default())), Forwarder::default());
    let pairs = [("page-home", "product-list"), ("product-list", "header"), ("header", "page-home")];
    purger.adopt(&Arc::new(Dependencies::new(pairs)));
    Arc::new(purger)
}

/// Stores something on the route `all`.
fn store(purger: &Purger, url: &str, tags: &[&str], status: u16) {
    store_asked(purger, url, tags, status, purger.cache().sequence());
}

/// Stores something that was asked for when `sequence` was the number of the last purge.
fn store_asked(purger: &Purger, url: &str, tags: &[&str], status: u16, sequence: u64) {
    let tags = tags.iter().map(|tag| (*tag).into()).collect();
    let admission = Admission { ttl: Duration::from_secs(60), tags, ..Admission::default() };
    let recording = Recording {
        key: &format!("all\0{url}"),
        admission,
        url,
        namespace: "all",
        request: &HeaderMap::new(),
        sequence,
        now: time::now(),
        lock: None,
    };
    let response = Response::new(StatusCode::from_u16(status).unwrap(), Body::from(bytes::Bytes::from_static(b"body")));
    assert!(purger.cache().record(recording, response).1);
}

/// Whether something is stored, and whether it is fresh.
fn standing(purger: &Purger, url: &str) -> Option<bool> {
    let now = time::now();
    match purger.cache().find(&format!("all\0{url}"), &HeaderMap::new(), now) {
        Found::Stored(stored) => Some(!stored.ttl(now).is_zero()),
        Found::OtherVariants | Found::Nothing => None,
    }
}

fn by(selection: Selection) -> Purge {
    Purge { selection, ..Purge::default() }
}

#[tokio::test]
async fn what_depends_on_a_tag_is_purged_with_it() {
    let purger = purger();
    for (url, tag) in [("http://a/1", "page-home"), ("http://a/2", "product-list"), ("http://a/3", "other")] {
        store(&purger, url, &[tag], 200);
    }
    let receipt = purger.purge(Purge { tags: vec!["header".into()], ..Purge::default() }, Counting::Counted).await;
    let receipt = receipt.unwrap();
    assert_eq!(receipt.tags, ["header", "product-list", "page-home"]);
    assert_eq!((receipt.number, receipt.hit, receipt.sort), (3, Some(2), Sort::Tag));
    assert_eq!((standing(&purger, "http://a/1"), standing(&purger, "http://a/3")), (None, Some(true)));
    // From now on by other dependencies.
    store(&purger, "http://a/1", &["page-home"], 200);
    purger.adopt(&Arc::default());
    let receipt = purger.purge(Purge { tags: vec!["header".into()], ..Purge::default() }, Counting::Uncounted).await;
    assert_eq!((receipt.unwrap().hit, standing(&purger, "http://a/1")), (None, Some(true)));
}

#[tokio::test]
async fn conditions_must_all_hold() {
    let purger = purger();
    store(&purger, "http://a/1", &["x"], 200);
    store(&purger, "http://a/2", &["x"], 404);
    store(&purger, "http://a/3", &["y"], 404);
    let selection = Selection { status: Some(404), ..Selection::default() };
    let purge = Purge { selection, tags: vec!["x".into(), "z".into()], mode: Mode::Hard };
    let receipt = purger.purge(purge, Counting::Counted).await.unwrap();
    assert_eq!(receipt.hit, Some(1));
    assert_eq!(
        ["http://a/1", "http://a/2", "http://a/3"].map(|url| standing(&purger, url).is_some()),
        [true, false, true]
    );
}

#[tokio::test]
async fn what_ages_after_a_purge_is_not_meant() {
    let purger = purger();
    store(&purger, "http://a/1", &[], 200);
    let number =
        purger.purge_now(by(Selection { age_min: Some(1), ..Selection::default() }), By::Admin).unwrap().number;
    let later = time::now() + Duration::from_secs(2);
    let found = purger.cache().find("all\0http://a/1", &HeaderMap::new(), later);
    assert!(matches!(found, Found::Stored(_)), "{number}: {found:?}");
}

#[tokio::test]
async fn urls_patterns_and_keys_are_found_in_any_spelling() {
    let purger = purger();
    let check = |selection: Selection, expected: bool| {
        store(&purger, "http://a.example/x?y", &[], 200);
        purger.purge_now(by(selection.clone()), By::Admin).unwrap();
        assert_eq!(standing(&purger, "http://a.example/x?y").is_none(), expected, "{selection:?}");
    };
    let nothing = Selection::default;
    let url = |text: &str| Selection { url: Some(text.to_owned()), ..nothing() };
    let pattern = |text: &str| Selection { pattern: Some(text.to_owned()), ..nothing() };
    let key = |text: &str| Selection { key: Some(text.to_owned()), ..nothing() };
    let namespace = |text: &str| Selection { namespace: Some(text.to_owned()), ..nothing() };
    check(url("HTTP://A.Example:80/x?y#z"), true);
    check(url("http://a.example/x"), false);
    check(pattern("HTTP://A.Example:80/*"), true);
    check(pattern("*y"), true);
    check(pattern("https://*"), false);
    check(key("http://a.example/x?y"), true);
    check(key("all\0http://a.example/x?y"), true);
    check(key("other\0http://a.example/x?y"), false);
    check(namespace("all"), true);
    check(namespace("other"), false);
    check(nothing(), true);
    let refused = |selection| purger.purge_now(by(selection), By::Admin).unwrap_err();
    assert_eq!(refused(url("/x?y")), Refused::Url(UrlError::Scheme));
    assert_eq!(refused(pattern("/x*")), Refused::Pattern(UrlError::Nowhere));
}

#[tokio::test]
async fn a_soft_purge_makes_stale_and_counts() {
    let purger = purger();
    store(&purger, "http://a/1", &["x"], 200);
    let soft = || Purge { tags: vec!["x".into()], mode: Mode::Soft, ..Purge::default() };
    assert_eq!(purger.purge(soft(), Counting::Counted).await.unwrap().hit, Some(1));
    assert_eq!(standing(&purger, "http://a/1"), Some(false));
    assert_eq!(purger.purge(soft(), Counting::Counted).await.unwrap().hit, Some(0), "stale already");
}

#[tokio::test]
async fn plugins_purge_the_same_way() {
    let purger = purger();
    store(&purger, "http://a/1", &["page-home"], 200);
    store(&purger, "http://a/2", &[], 200);
    let plugin: &dyn Purges = &*purger;
    assert_eq!(plugin.purge(PurgeTarget::Tag("header"), PurgeMode::Hard), Ok(0));
    assert_eq!(["http://a/1", "http://a/2"].map(|url| standing(&purger, url).is_some()), [false, true]);
    let refused = plugin.purge(PurgeTarget::Url("/2"), PurgeMode::Hard).unwrap_err();
    assert!(refused.starts_with("url: does not begin with a scheme; write"), "{refused}");
    assert_eq!(plugin.purge(PurgeTarget::Url("http://A/2"), PurgeMode::Hard), Ok(0));
    assert_eq!(standing(&purger, "http://a/2"), None);
}

#[tokio::test]
async fn what_is_on_its_way_is_purged_although_all_was_compared_before_it_came() {
    let purger = purger();
    let by_pattern = || by(Selection { pattern: Some("*/1".into()), ..Selection::default() });
    let before = purger.cache().sequence();
    store(&purger, "http://a/2", &[], 200);
    assert_eq!(purger.purge(by_pattern(), Counting::Counted).await.unwrap().hit, Some(0));
    store_asked(&purger, "http://a/1", &[], 200, before);
    assert_eq!(standing(&purger, "http://a/1"), None, "counted");

    let (before, _) = (purger.cache().sequence(), purger.purge_now(by_pattern(), By::Admin).unwrap());
    purger.cache().sweep();
    store_asked(&purger, "http://a/1", &[], 200, before);
    assert_eq!(standing(&purger, "http://a/1"), None, "swept");
    store(&purger, "http://a/1", &[], 200);
    assert_eq!(["http://a/1", "http://a/2"].map(|url| standing(&purger, url)), [Some(true); 2]);
}

#[test]
fn many_conditions_do_not_pile_up() {
    let purger = purger();
    let nothing = |number: u64| Selection { pattern: Some(format!("*/{number}")), ..Selection::default() };
    (0..2000).for_each(|number| drop(purger.purge_now(by(nothing(number)), By::Plugin).unwrap()));
    // Whoever compares does so beside us.
    let deadline = time::now() + Duration::from_secs(30);
    while purger.cache().conditions() > 512 && time::now() < deadline {
        purger.purge_now(by(nothing(0)), By::Plugin).unwrap();
        std::thread::yield_now();
    }
    assert!(purger.cache().conditions() <= 512);
}
