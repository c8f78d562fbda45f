//! The cache by what comes out after what went in.

mod policy;

use bytes::Bytes;
use http::{HeaderName, StatusCode};

use super::*;
use crate::exchange::Response;
use crate::http::Body;
use crate::http::test_bodies::{chunks, chunks_then, collect, failing};
use crate::time;

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    headers
}

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> Cache {
    Cache::new(&Settings { memory_bytes_max: 1 << 20, object_bytes_max: 10, ..Settings::default() })
}

fn minute() -> Admission {
    Admission { ttl: 60 * SECOND, ..Admission::default() }
}

fn response(lines: &[(&'static str, &str)], body: Body) -> Response {
    Response { status: StatusCode::OK, headers: fields(lines), body }
}

fn full(text: &'static str) -> Body {
    Body::from(Bytes::from_static(text.as_bytes()))
}

fn recording<'a>(key: &'a str, admission: Admission, request: &'a HeaderMap, now: Instant) -> Recording<'a> {
    Recording { key, admission, url: "http://a/b", namespace: "n", request, sequence: 0, now, lock: None }
}

/// What is stored for a request.
fn found(cache: &Cache, key: &str, request: &HeaderMap, now: Instant) -> Option<Arc<Stored>> {
    match cache.find(key, request, now) {
        Found::Stored(stored) => Some(stored),
        Found::OtherVariants | Found::Nothing => None,
    }
}

/// Records a response, lets it be fetched, and gives what is then found.
fn record(cache: &Cache, request: &HeaderMap, response: Response) -> Option<Arc<Stored>> {
    let now = time::now();
    on_a_worker(|| drop(collect(cache.record(recording("key", minute(), request, now), response).0.body)));
    found(cache, "key", request, now)
}

/// Runs something where tasks can be started, and these to their ends.
fn on_a_worker<T>(run: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let given = local.block_on(&runtime, async {
        let given = run();
        tokio::task::yield_now().await;
        given
    });
    runtime.block_on(local);
    given
}

#[test]
fn a_hit_is_what_was_stored() {
    let cache = cache();
    let now = time::now();
    let tags = vec!["a".into(), "b".into()];
    let admission = Admission { ttl: 60 * SECOND, age: 5 * SECOND, tags, ..Admission::default() };
    let given = response(&[("x", "1"), ("x", "2"), ("age", "5"), ("content-length", "4")], full("body"));
    let (passed, stored) = cache.record(recording("key", admission, &HeaderMap::new(), now), given);
    assert!(stored);
    assert_eq!(passed.headers, fields(&[("x", "1"), ("x", "2"), ("age", "5"), ("content-length", "4")]));
    assert_eq!(collect(passed.body).0, b"body");

    let later = now + 10 * SECOND;
    let stored = found(&cache, "key", &HeaderMap::new(), later).unwrap();
    let hit = stored.response(later);
    assert_eq!((hit.status, stored.tags().collect::<Vec<_>>()), (StatusCode::OK, vec!["a", "b"]));
    assert_eq!(hit.headers, fields(&[("x", "1"), ("x", "2"), ("content-length", "4"), ("age", "15")]));
    assert!(matches!(hit.body, Body::Full(body) if body == "body"));
    let told = |at: u64| {
        (stored.ttl(now + SECOND * at as u32).as_secs(), stored.facts(now + SECOND * at as u32).staleness.as_secs())
    };
    assert_eq!([told(10), told(60), told(100)], [(50, 0), (0, 0), (0, 40)]);
    assert!(matches!(cache.find("other", &HeaderMap::new(), now), Found::Nothing));
}

#[test]
fn only_what_is_complete_and_true_is_stored() {
    let check = |lines: &[(&'static str, &str)], body: fn() -> Body, stored: Option<&str>| {
        let found = record(&cache(), &HeaderMap::new(), response(lines, body()));
        let text = found.map(|found| String::from_utf8(collect(found.response(time::now()).body).0).unwrap());
        assert_eq!(text.as_deref(), stored, "{lines:?}");
    };
    check(&[], || Body::Empty, Some(""));
    check(&[], || full("12345"), Some("12345"));
    check(&[], || chunks(&["12", "345"]), Some("12345"));
    check(&[("content-length", "5")], || chunks(&["12", "345"]), Some("12345"));
    check(&[("content-length", "6")], || chunks(&["12", "345"]), None);
    check(&[("content-length", "6")], || full("12345"), None);
    // An answer to HEAD.
    check(&[("content-length", "6")], || Body::Empty, None);
    check(&[("content-length", "x")], || full("12345"), None);
    check(&[], failing, None);
    check(&[], || chunks_then(&["12"], HeaderMap::new()), None);
    check(&[], || chunks(&["1234567890"]), Some("1234567890"));
    check(&[], || chunks(&["12345", "678901"]), None);
    check(&[], || full("12345678901"), None);
    check(&[("vary", "*")], || full("1"), None);
}

#[test]
fn a_body_is_stored_although_nobody_reads_it_to_its_end() {
    let (cache, now) = (cache(), time::now());
    on_a_worker(|| {
        drop(cache.record(recording("key", minute(), &HeaderMap::new(), now), response(&[], chunks(&["12", "345"]))))
    });
    assert_eq!(found(&cache, "key", &HeaderMap::new(), now).unwrap().whole().unwrap(), "12345");
}

#[test]
fn a_part_is_stored_if_it_is_what_it_says() {
    let check = |range: &str, body: &'static str, expected| {
        let given = response(&[("content-range", range)], full(body));
        let given = Response { status: StatusCode::PARTIAL_CONTENT, ..given };
        let stored = record(&cache(), &HeaderMap::new(), given);
        assert_eq!(stored.and_then(|stored| stored.part().map(|(first, _, size)| (first, size))), expected, "{range}");
    };
    check("bytes 2-3/10", "23", Some((2, 10)));
    check("bytes 2-3/10", "234", None);
    check("bytes 2-3/*", "23", None);
    check("bytes 2-3/3", "23", None);
    check("bytes 3-2/10", "", None);
    check("lines 2-3/10", "23", None);
}

#[test]
fn who_comes_while_it_grows_reads_all_of_it() {
    let (cache, now) = (cache(), time::now());
    let (first, second) = on_a_worker(|| {
        let given = response(&[], chunks(&["12", "345"]));
        let first = cache.record(recording("key", minute(), &HeaderMap::new(), now), given).0.body;
        let second = found(&cache, "key", &HeaderMap::new(), now).unwrap().response(now).body;
        (first, second)
    });
    assert_eq!((collect(first).0.as_slice(), collect(second).0.as_slice()), (&b"12345"[..], &b"12345"[..]));
}

#[test]
fn what_is_purged_is_gone_and_what_comes_later_is_not() {
    let (cache, now) = (cache(), time::now());
    let store = |sequence| {
        let admission = Admission { tags: vec!["t".into()], ..minute() };
        let request = HeaderMap::new();
        let recording = Recording { sequence, ..recording("key", admission, &request, now) };
        drop(cache.record(recording, response(&[("x-kind", "page of a shop")], full("1"))));
    };
    let there = || found(&cache, "key", &HeaderMap::new(), now).is_some();
    let some = |text: &str| Some(text.to_owned());
    let none = Selection::default();
    let hits = [
        Selection { url: some("http://a/b"), ..none.clone() },
        Selection { tag: some("t"), ..none.clone() },
        Selection { namespace: some("n"), ..none.clone() },
        Selection { key: some("key"), ..none.clone() },
        Selection { pattern: some("http://*/b"), ..none.clone() },
        Selection { status: Some(200), bytes_min: Some(1), ..none.clone() },
        Selection { field: Some(("x-kind".into(), "of a".into())), tag: some("t"), ..none.clone() },
        Selection { age_min: Some(0), ..none.clone() },
        none.clone(),
    ];
    for selection in hits {
        let before = cache.sequence();
        store(before);
        assert!(there());
        cache.purge(&selection, Mode::Hard);
        assert!(!there(), "{selection:?}");
        // Asked for before, come after.
        store(before);
        assert!(!there(), "{selection:?}");
        store(cache.sequence());
        assert!(there(), "{selection:?}");
    }
    let misses = [
        Selection { url: some("http://a/c"), ..none.clone() },
        Selection { tag: some("u"), ..none.clone() },
        Selection { namespace: some("m"), ..none.clone() },
        Selection { pattern: some("https://*"), ..none.clone() },
        Selection { status: Some(404), ..none.clone() },
        Selection { tag: some("t"), status: Some(404), ..none.clone() },
        Selection { age_min: Some(1), ..none.clone() },
        Selection { bytes_min: Some(2), ..none.clone() },
        Selection { field: Some(("x-kind".into(), "else".into())), ..none.clone() },
    ];
    for selection in misses {
        cache.purge(&selection, Mode::Hard);
        assert!(there(), "{selection:?}");
    }
    cache.purge(&Selection { tag: some("t"), ..none.clone() }, Mode::Soft);
    let soft = found(&cache, "key", &HeaderMap::new(), now).unwrap();
    assert_eq!(soft.ttl(now), Duration::ZERO);
    cache.purge(&none, Mode::Hard);
    assert_eq!((cache.sweep(), cache.sweep(), there()), (1, 0, false));
}

#[test]
fn one_fetches_and_the_others_wait() {
    let (cache, now) = (cache(), time::now());
    let Boarding::Lead(lead) = cache.board("key", now) else { unreachable!() };
    let waits: Vec<_> = std::iter::repeat_with(|| cache.board("key", now)).take(3).collect();
    assert!(cache.is_underway("key") && !cache.is_underway("other"));
    lead.stored();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for wait in waits {
        let Boarding::Wait(wait) = wait else { unreachable!() };
        assert_eq!(runtime.block_on(wait.landed(SECOND)), Landing::Stored);
    }
    // Not stored: nobody waits, for a while.
    let Boarding::Lead(lead) = cache.board("key", now) else { unreachable!() };
    let Boarding::Wait(wait) = cache.board("key", now) else { unreachable!() };
    lead.pass(now + SECOND);
    assert_eq!(runtime.block_on(wait.landed(SECOND)), Landing::Empty);
    assert!(matches!(cache.board("key", now), Boarding::Alone));
    assert!(matches!(cache.board("key", now + SECOND), Boarding::Lead(_)));
}

#[test]
fn variants_are_told_apart_by_what_vary_names() {
    let (cache, now) = (cache(), time::now());
    let store = |request: &HeaderMap, body: &'static str| {
        let given = response(&[("vary", "Accept, accept-language"), ("vary", "accept")], full(body));
        assert!(record(&cache, request, given).is_some());
    };
    let find = |request: &HeaderMap| {
        found(&cache, "key", request, now).map(|found| String::from_utf8(collect(found.response(now).body).0).unwrap())
    };
    let (html, json) = (fields(&[("accept", "text/html")]), fields(&[("accept", "application/json")]));
    store(&html, "html");
    assert_eq!((find(&html).as_deref(), find(&json), find(&HeaderMap::new())), (Some("html"), None, None));
    store(&json, "json");
    store(&HeaderMap::new(), "none");
    assert_eq!((find(&html).as_deref(), find(&json).as_deref()), (Some("html"), Some("json")));
    assert_eq!(find(&HeaderMap::new()).as_deref(), Some("none"));
    let unrelated = fields(&[("accept", "text/html"), ("user-agent", "x")]);
    assert_eq!(find(&unrelated).as_deref(), Some("html"));
    // Two lines are the same as one with a comma (RFC 9110 section 5.3).
    store(&fields(&[("accept", "a"), ("accept", "b")]), "both");
    assert_eq!(find(&fields(&[("accept", "a, b")])).as_deref(), Some("both"));
    assert_eq!(find(&fields(&[("accept", "a"), ("accept", "b")])).as_deref(), Some("both"));
    // The same variant again replaces the first.
    store(&html, "new");
    assert_eq!(find(&html).as_deref(), Some("new"));
}

#[test]
fn variants_and_memory_are_bounded() {
    let cache = cache();
    let languages: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for language in &languages {
        let request = fields(&[("accept-language", language)]);
        record(&cache, &request, response(&[("vary", "accept-language")], full("x")));
    }
    let is_there =
        |language: &String| found(&cache, "key", &fields(&[("accept-language", language)]), time::now()).is_some();
    let kept: Vec<bool> = languages.iter().map(is_there).collect();
    assert_eq!(kept, [[false; 12].as_slice(), [true; VARIANTS_MAX].as_slice()].concat());

    let small = Cache::new(&Settings { memory_bytes_max: 10_000, object_bytes_max: 10, ..Settings::default() });
    for number in 0..200 {
        let (key, request) = (format!("key {number}"), HeaderMap::new());
        drop(small.record(recording(&key, minute(), &request, time::now()), response(&[], full("x"))));
    }
    small.entries.run_pending_tasks();
    let (count, bytes) = small.size();
    assert!(count > 0 && count < 40 && bytes <= 10_000, "{count} {bytes}");
}

#[test]
fn a_stored_response_does_not_keep_the_buffer_it_came_in() {
    let buffer = Bytes::from(vec![b'x'; 4096]);
    let unique = buffer.clone();
    let value = http::HeaderValue::from_maybe_shared(buffer.slice(..5)).unwrap();
    let given = Response {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(HeaderName::from_static("x"), value)]),
        body: Body::Full(buffer.slice(5..9)),
    };
    drop(buffer);
    let cache = cache();
    assert!(record(&cache, &HeaderMap::new(), given).is_some());
    assert!(unique.is_unique());
}
