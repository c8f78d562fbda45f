//! The policy by tables; the cache by what comes out after what went in.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderName, Method};

use super::policy::{Lookup, NotStored, freshness};
use super::*;
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

#[test]
fn a_request_may_ask_for_something_new() {
    let check = |method: Method, lines: &[(&'static str, &str)], expected| {
        assert_eq!(policy::lookup(&method, &fields(lines)), expected, "{method} {lines:?}");
    };
    check(Method::GET, &[], Lookup::Allowed);
    check(Method::HEAD, &[], Lookup::Allowed);
    check(Method::POST, &[], Lookup::Unsuited);
    check(Method::GET, &[("cache-control", "max-age=5")], Lookup::Allowed);
    check(Method::GET, &[("cache-control", "Max-Age=0")], Lookup::Bypass);
    check(Method::GET, &[("cache-control", "x"), ("cache-control", "y,  no-cache ")], Lookup::Bypass);
    check(Method::GET, &[("cache-control", "no-store")], Lookup::Bypass);
    check(Method::GET, &[("pragma", "No-Cache")], Lookup::Bypass);
    check(Method::GET, &[("pragma", "no-cache"), ("cache-control", "max-age=5")], Lookup::Allowed);
    check(Method::GET, &[("range", "bytes=0-1")], Lookup::Bypass);
}

/// The freshness of a response to GET, in seconds, that came in at 00:01:00 and took one second.
fn fresh(request: &[(&'static str, &str)], status: u16, response: &[(&'static str, &str)]) -> Result<u64, NotStored> {
    let now = Duration::from_secs(946_684_860);
    let (request, response) = (fields(request), fields(response));
    let status = StatusCode::from_u16(status).unwrap();
    freshness((&Method::GET, &request), (status, &response), now, SECOND).map(|admission| admission.ttl.as_secs())
}

#[test]
fn freshness_is_what_the_response_says() {
    let check = |response: &[(&'static str, &str)], expected| {
        assert_eq!(fresh(&[], 200, response), expected, "{response:?}");
    };
    let date = |second: &str| format!("Sat, 01 Jan 2000 00:0{second} GMT");
    check(&[], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=60")], Ok(60));
    check(&[("cache-control", "max-age=\"60\"")], Ok(60));
    check(&[("cache-control", "max-age=60, s-maxage=90")], Ok(90));
    check(&[("cache-control", "x=\"a, s-maxage=5, \\\" b\", max-age=60")], Ok(60));
    check(&[("cache-control", "max-age=60"), ("expires", &date("9:00"))], Ok(60));
    check(&[("cache-control", "max-age=60, max-age=60")], Ok(60));
    check(&[("cache-control", "max-age=60, max-age=61")], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=x"), ("expires", &date("9:00"))], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=-1")], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=0")], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=99999999999999999999")], Ok(1 << 31));
    check(&[("expires", &date("2:00"))], Ok(60));
    check(&[("expires", &date("2:00")), ("date", &date("1:00"))], Ok(60));
    check(&[("expires", &date("2:00")), ("date", &date("0:50"))], Ok(60));
    check(&[("expires", &date("1:00"))], Err(NotStored::NotFresh));
    check(&[("expires", "0")], Err(NotStored::NotFresh));
    // Age: what the Date says or what the field says plus what it took to get here, whichever is more.
    check(&[("cache-control", "max-age=60"), ("date", &date("0:50"))], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "9")], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "9"), ("date", &date("0:20"))], Ok(20));
    check(&[("cache-control", "max-age=60"), ("age", "70")], Err(NotStored::NotFresh));
}

#[test]
fn not_everything_may_be_stored() {
    let check = |request: &[(&'static str, &str)], status, response: &[(&'static str, &str)], expected| {
        let with_age = [response, &[("cache-control", "max-age=60")]].concat();
        assert_eq!(fresh(request, status, &with_age), expected, "{request:?} {status} {response:?}");
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check(&[], status, &[], Ok(60));
    }
    for status in [201, 206, 302, 304, 307, 400, 401, 403, 500, 502, 503] {
        check(&[], status, &[], Err(NotStored::Status));
    }
    check(&[("cache-control", "no-store")], 200, &[], Err(NotStored::Forbidden));
    check(&[("cache-control", "no-cache")], 200, &[], Ok(60));
    check(&[], 200, &[("cache-control", "No-Store")], Err(NotStored::Forbidden));
    check(&[], 200, &[("cache-control", "no-cache=\"x-a, x-b\"")], Err(NotStored::Forbidden));
    check(&[], 200, &[("cache-control", "private")], Err(NotStored::Private));
    check(&[], 200, &[("set-cookie", "a=b")], Err(NotStored::Private));
    check(&[], 200, &[("vary", "accept, *")], Err(NotStored::Varies));
    check(&[("authorization", "x")], 200, &[], Err(NotStored::Private));
    for shared in ["public", "must-revalidate", "s-maxage=60"] {
        check(&[("authorization", "x")], 200, &[("cache-control", shared)], Ok(60));
    }
    let response = fields(&[("cache-control", "max-age=60")]);
    let post = freshness((&Method::POST, &HeaderMap::new()), (StatusCode::OK, &response), SECOND, SECOND);
    assert_eq!(post, Err(NotStored::Method));
}

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

/// Records a response, reads it to its end, and gives what is then found.
fn record(cache: &Cache, request: &HeaderMap, response: Response) -> Option<Arc<Stored>> {
    let now = time::now();
    drop(collect(cache.record("key", minute(), request, response, now).body));
    cache.lookup("key", request, now)
}

#[test]
fn a_hit_is_what_was_stored() {
    let cache = cache();
    let now = time::now();
    let admission = Admission { ttl: 60 * SECOND, age: 5 * SECOND, tags: vec!["a".into(), "b".into()] };
    let given = response(&[("x", "1"), ("x", "2"), ("age", "5"), ("content-length", "4")], full("body"));
    let passed = cache.record("key", admission, &HeaderMap::new(), given, now);
    assert_eq!(passed.headers, fields(&[("x", "1"), ("x", "2"), ("age", "5"), ("content-length", "4")]));
    assert_eq!(collect(passed.body).0, b"body");

    let later = now + 10 * SECOND;
    let stored = cache.lookup("key", &HeaderMap::new(), later).unwrap();
    let hit = stored.response(later);
    assert_eq!((hit.status, stored.tags().collect::<Vec<_>>()), (StatusCode::OK, vec!["a", "b"]));
    assert_eq!(hit.headers, fields(&[("x", "1"), ("x", "2"), ("content-length", "4"), ("age", "15")]));
    assert!(matches!(hit.body, Body::Full(body) if body == "body"));
    assert_eq!(stored.cache_status(later), "portcullis; hit; ttl=50");
    assert_eq!(stored.cache_status(now + 100 * SECOND), "portcullis; hit; ttl=0");
    assert_eq!(stored.cache_status(now + 51 * SECOND), "portcullis; hit; ttl=9");

    assert!(cache.lookup("key", &HeaderMap::new(), now + 60 * SECOND).is_none());
    assert!(cache.lookup("other", &HeaderMap::new(), now).is_none());
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
fn a_body_that_is_not_read_to_its_end_is_not_stored() {
    let (cache, now) = (cache(), time::now());
    let given = response(&[], chunks(&["12", "345"]));
    let mut body = cache.record("key", minute(), &HeaderMap::new(), given, now).body;
    let read = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(read, Poll::Ready(Some(Ok(_)))));
    drop(body);
    assert!(cache.lookup("key", &HeaderMap::new(), now).is_none());
    let partial = Response { status: StatusCode::PARTIAL_CONTENT, ..response(&[], full("1")) };
    assert!(record(&cache, &HeaderMap::new(), partial).is_none());
}

#[test]
fn variants_are_told_apart_by_what_vary_names() {
    let (cache, now) = (cache(), time::now());
    let store = |request: &HeaderMap, body: &'static str| {
        let given = response(&[("vary", "Accept, accept-language"), ("vary", "accept")], full(body));
        assert!(record(&cache, request, given).is_some());
    };
    let find = |request: &HeaderMap| {
        cache.lookup("key", request, now).map(|found| String::from_utf8(collect(found.response(now).body).0).unwrap())
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
    let found =
        |language: &String| cache.lookup("key", &fields(&[("accept-language", language)]), time::now()).is_some();
    let kept: Vec<bool> = languages.iter().map(found).collect();
    assert_eq!(kept, [[false; 12].as_slice(), [true; VARIANTS_MAX].as_slice()].concat());

    let small = Cache::new(&Settings { memory_bytes_max: 10_000, object_bytes_max: 10, ..Settings::default() });
    for number in 0..200 {
        drop(small.record(
            &format!("key {number}"),
            minute(),
            &HeaderMap::new(),
            response(&[], full("x")),
            time::now(),
        ));
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
