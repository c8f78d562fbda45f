//! The policy by tables.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::directives::{Directives, Seconds};
use super::*;
use crate::cache::Admission;

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    headers
}

const SECOND: Duration = Duration::from_secs(1);
/// 2000-01-01 00:01:00.
const NOW: Duration = Duration::from_secs(946_684_860);

/// What is decided of a response to GET that came in at 00:01:00 and took one second.
fn decided(
    policy: &Policy,
    request: &[(&'static str, &str)],
    status: u16,
    response: &[(&'static str, &str)],
) -> Result<Admission, NotStored> {
    let (request, response) = (fields(request), fields(response));
    let status = StatusCode::from_u16(status).unwrap();
    let method = &Method::GET;
    admission(policy, &Storing { method, request: &request, status, response: &response, now: NOW, took: SECOND })
}

fn fresh(request: &[(&'static str, &str)], status: u16, response: &[(&'static str, &str)]) -> Result<u64, NotStored> {
    let policy = Policy { stale_if_unreachable: Duration::ZERO, ..Policy::default() };
    decided(&policy, request, status, response).map(|admission| admission.ttl.as_secs())
}

fn date(second: &str) -> String {
    format!("Sat, 01 Jan 2000 00:0{second} GMT")
}

#[test]
fn freshness_is_what_the_response_says() {
    let check = |response: &[(&'static str, &str)], expected| {
        assert_eq!(fresh(&[], 200, response), expected, "{response:?}");
    };
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
    check(&[("expires", &date("2:00")), ("expires", &date("2:00"))], Err(NotStored::NotFresh));
    // Age: what the Date says or what the field says plus what it took to get here, whichever is more.
    check(&[("cache-control", "max-age=60"), ("date", &date("0:50"))], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "9")], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "9, 70")], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "9"), ("age", "70")], Ok(50));
    check(&[("cache-control", "max-age=60"), ("age", "70.0")], Ok(60));
    check(&[("cache-control", "max-age=60"), ("age", "-1")], Ok(60));
    check(&[("cache-control", "max-age=60"), ("age", "9"), ("date", &date("0:20"))], Ok(20));
    check(&[("cache-control", "max-age=60"), ("age", "70")], Err(NotStored::NotFresh));
    check(&[("cache-control", "max-age=60"), ("age", "2147483649")], Err(NotStored::NotFresh));
}

#[test]
fn freshness_is_guessed_where_nothing_is_said() {
    let long_ago = ("last-modified", "Fri, 31 Dec 1999 23:51:00 GMT");
    let check = |status, more: &[(&'static str, &str)], expected| {
        assert_eq!(fresh(&[], status, &[&[long_ago], more].concat()), expected, "{status} {more:?}");
    };
    check(200, &[], Ok(60));
    check(404, &[], Ok(60));
    check(201, &[], Err(NotStored::Status));
    check(599, &[], Err(NotStored::Status));
    check(599, &[("cache-control", "public")], Ok(60));
    check(200, &[("pragma", "no-cache")], Ok(0));
    check(200, &[("set-cookie", "a=b")], Err(NotStored::Private));
    check(200, &[("cache-control", "max-age=5")], Ok(5));
    let year = "Fri, 01 Jan 1999 00:00:00 GMT";
    assert_eq!(fresh(&[], 200, &[("last-modified", year)]), Ok(24 * 60 * 60));
    let none = Policy { heuristic_percent: 0, ..Policy::default() };
    assert_eq!(decided(&none, &[], 200, &[long_ago]).unwrap().ttl, Duration::ZERO);
}

#[test]
fn what_can_be_validated_is_stored_although_it_is_not_fresh() {
    let tag = ("etag", "\"a\"");
    assert_eq!(fresh(&[], 200, &[tag]), Ok(0));
    assert_eq!(fresh(&[], 200, &[tag, ("cache-control", "max-age=0")]), Ok(0));
    assert_eq!(fresh(&[("cookie", "a=b")], 200, &[tag]), Err(NotStored::NotFresh));
    let always = decided(&Policy::default(), &[], 200, &[tag, ("cache-control", "no-cache, max-age=60")]).unwrap();
    assert!(always.validate && always.stale.forbidden);
    // The cookie of the first client must not come with what is validated for the second.
    let cookie = [tag, ("cache-control", "no-cache, max-age=60"), ("set-cookie", "a=b")];
    assert_eq!(decided(&Policy::default(), &[], 200, &cookie).unwrap().withheld, [header::SET_COOKIE]);
}

#[test]
fn not_everything_may_be_stored() {
    let check = |request: &[(&'static str, &str)], status, response: &[(&'static str, &str)], expected| {
        let with_age = [response, &[("cache-control", "max-age=60")]].concat();
        assert_eq!(fresh(request, status, &with_age), expected, "{request:?} {status} {response:?}");
    };
    for status in [200, 201, 203, 204, 299, 301, 302, 400, 404, 410, 500, 503, 599] {
        check(&[], status, &[], Ok(60));
    }
    check(&[], 304, &[], Err(NotStored::Status));
    check(&[("cache-control", "no-store")], 200, &[], Err(NotStored::Forbidden));
    check(&[("cache-control", "no-cache")], 200, &[], Ok(60));
    check(&[], 200, &[("cache-control", "No-Store")], Err(NotStored::Forbidden));
    check(&[], 200, &[("cache-control", "no-store, must-understand")], Ok(60));
    check(&[], 499, &[("cache-control", "must-understand")], Err(NotStored::Forbidden));
    check(&[], 200, &[("cache-control", "no-cache")], Err(NotStored::NotFresh));
    check(&[], 200, &[("cache-control", "private")], Err(NotStored::Private));
    check(&[], 200, &[("set-cookie", "a=b")], Ok(60));
    check(&[], 200, &[("vary", "accept, *")], Err(NotStored::Varies));
    check(&[("authorization", "x")], 200, &[], Err(NotStored::Private));
    for shared in ["public", "must-revalidate", "s-maxage=60"] {
        check(&[("authorization", "x")], 200, &[("cache-control", shared)], Ok(60));
    }
    let named = [("cache-control", "max-age=60, no-cache=\"x-a, x-b\", private=x-c")];
    let admission = decided(&Policy::default(), &[], 200, &named).unwrap();
    assert_eq!(admission.withheld, ["x-a", "x-b", "x-c"]);
    assert!(!admission.validate);
}

#[test]
fn a_route_may_be_stricter() {
    let with = |policy: Policy, request: &[(&'static str, &str)], response: &[(&'static str, &str)]| {
        decided(&policy, request, 200, &[response, &[("cache-control", "max-age=60, public")]].concat())
    };
    let cookie = [("set-cookie", "a=b")];
    let refuse = Policy { set_cookie: SetCookie::Refuse, ..Policy::default() };
    assert_eq!(with(refuse, &[], &cookie), Err(NotStored::Private));
    let strip = Policy { set_cookie: SetCookie::Strip, ..Policy::default() };
    assert_eq!(with(strip, &[], &cookie).unwrap().withheld, [header::SET_COOKIE]);
    let refuse = Policy { authorization: Authorization::Refuse, ..Policy::default() };
    assert_eq!(with(refuse, &[("authorization", "x")], &[]), Err(NotStored::Private));
    let deaf = Policy { client_directives: ClientDirectives::Ignored, ..Policy::default() };
    assert!(with(deaf, &[("cache-control", "no-store")], &[]).is_ok());
}

#[test]
fn what_is_meant_for_us_counts_instead_of_what_is_meant_for_all() {
    let check = |targeted: &str, other: &str, expected| {
        let response = [("cdn-cache-control", targeted), ("cache-control", other), ("expires", "0")];
        assert_eq!(fresh(&[], 200, &response), expected, "{targeted} {other}");
    };
    check("max-age=60", "no-store", Ok(60));
    check("foobar, max-age=60;a=1", "max-age=1", Ok(60));
    check("max-age=99999999999", "", Ok(1 << 31));
    check("no-store", "max-age=60", Err(NotStored::Forbidden));
    check("private", "max-age=60", Err(NotStored::Private));
    check("max-age=0", "max-age=60", Err(NotStored::NotFresh));
    // Malformed, as if it were not there.
    for malformed in ["max-age=60, &&&&", "max-age =60", "max-age= 60", "Max-Age=60", "max-age=", "", "max-age=60 x"] {
        check(malformed, "no-store", Err(NotStored::Forbidden));
        check(malformed, "max-age=7", Ok(7));
    }
    // Well-formed, but no number of seconds.
    check("max-age=\"60\"", "no-store", Err(NotStored::Forbidden));
    check("max-age=60.5, x", "max-age=60", Err(NotStored::NotFresh));
}

#[test]
fn stale_windows_are_what_the_response_or_the_route_says() {
    let route = Policy { stale_if_error: 7 * SECOND, ..Policy::default() };
    let check = |said: &str, expected: [u64; 3]| {
        let stale = decided(&route, &[], 200, &[("cache-control", said)]).unwrap().stale;
        let told = [stale.while_revalidate, stale.if_error, stale.if_unreachable].map(|window| window.as_secs());
        assert_eq!((told, stale.forbidden), (expected, expected == [0; 3]), "{said}");
    };
    check("max-age=1", [0, 7, 60]);
    check("max-age=1, stale-while-revalidate=5, stale-if-error=9", [5, 9, 9]);
    check("max-age=1, stale-if-error=0, stale-while-revalidate=1", [1, 0, 0]);
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=1"] {
        check(&format!("max-age=1, stale-while-revalidate=5, {forbidding}"), [0, 0, 0]);
    }
}

#[test]
fn requests_say_what_they_take() {
    let read = |lines: &[(&'static str, &str)]| Asked::read(&Policy::default(), &fields(lines));
    let nothing = Asked::default();
    assert_eq!(read(&[]), nothing);
    assert_eq!(read(&[("pragma", "No-Cache")]), Asked { validate: true, ..nothing });
    assert_eq!(
        read(&[("pragma", "no-cache"), ("cache-control", "max-age=5")]),
        Asked { max_age: Some(5 * SECOND), ..nothing }
    );
    assert_eq!(
        read(&[("cache-control", "x"), ("cache-control", "y,  no-cache ")]),
        Asked { validate: true, ..nothing }
    );
    assert_eq!(read(&[("cache-control", "max-stale")]), Asked { max_stale: Some(Duration::MAX), ..nothing });
    assert_eq!(
        read(&[("cache-control", "max-stale=3, min-fresh=4, only-if-cached")]),
        Asked { max_stale: Some(3 * SECOND), min_fresh: 4 * SECOND, only_if_cached: true, ..nothing }
    );
    assert_eq!(read(&[("cache-control", "max-age=x")]), Asked { max_age: Some(Duration::ZERO), ..nothing });
}

#[test]
fn reuse_is_decided_by_both_sides() {
    let fresh = Facts {
        age: 10 * SECOND,
        ttl: 5 * SECOND,
        staleness: Duration::ZERO,
        validate: false,
        stale_forbidden: false,
        while_revalidate: 3 * SECOND,
    };
    let stale = |seconds: u64| Facts { ttl: Duration::ZERO, staleness: SECOND * seconds as u32, ..fresh };
    let asked = Asked::default();
    let check = |facts: Facts, asked: Asked, expected| {
        assert_eq!(reuse(&facts, &asked), expected, "{facts:?} {asked:?}");
    };
    check(fresh, asked, Reuse::Fresh);
    check(Facts { validate: true, ..fresh }, asked, Reuse::Validated);
    check(fresh, Asked { validate: true, ..asked }, Reuse::Validated);
    check(fresh, Asked { max_age: Some(10 * SECOND), ..asked }, Reuse::Fresh);
    check(fresh, Asked { max_age: Some(9 * SECOND), ..asked }, Reuse::Validated);
    check(fresh, Asked { max_age: Some(Duration::ZERO), ..asked }, Reuse::Validated);
    check(fresh, Asked { min_fresh: 5 * SECOND, ..asked }, Reuse::Fresh);
    check(fresh, Asked { min_fresh: 6 * SECOND, ..asked }, Reuse::Validated);
    check(stale(2), asked, Reuse::WhileRevalidating);
    check(stale(3), asked, Reuse::Validated);
    check(stale(9), Asked { max_stale: Some(9 * SECOND), ..asked }, Reuse::Stale);
    check(stale(9), Asked { max_stale: Some(8 * SECOND), ..asked }, Reuse::Validated);
    check(
        Facts { stale_forbidden: true, ..stale(1) },
        Asked { max_stale: Some(Duration::MAX), ..asked },
        Reuse::Validated,
    );
    check(stale(1), Asked { min_fresh: SECOND, ..asked }, Reuse::Validated);
}

#[test]
fn directives_are_read_from_every_line() {
    let read =
        Directives::read(&fields(&[("cache-control", "PUBLIC, max-age=1"), ("cache-control", "must-revalidate")]));
    assert!(read.public && read.must_revalidate && read.max_age == Seconds::Given(1));
    assert!(Directives::read(&fields(&[("cache-control", "private=\"\"")])).private);
    assert!(Directives::read(&fields(&[("cache-control", "no-cache=\"not a name\"")])).no_cache);
}
