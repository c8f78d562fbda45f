//! What is read of hostile and of harmless contexts, and what is passed on.

use proptest::prelude::*;

use http::{HeaderMap, HeaderValue};

use super::context::*;
use crate::exchange::{Sampled, SpanId, TraceId};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn read(text: &str) -> Option<(String, String, bool)> {
    let parent = parent(text.as_bytes())?;
    let sampled = parent.sampled == Sampled::Yes;
    Some((parent.trace.digits().to_string(), parent.span.digits().to_string(), sampled))
}

#[test]
fn a_traceparent_is_read_strictly() {
    let good = |text: &str, sampled| {
        assert_eq!(read(text), Some((TRACE.to_owned(), SPAN.to_owned(), sampled)), "{text}");
    };
    good(&format!("00-{TRACE}-{SPAN}-01"), true);
    good(&format!("00-{TRACE}-{SPAN}-00"), false);
    // Flags that Level 1 does not know.
    good(&format!("00-{TRACE}-{SPAN}-03"), true);
    good(&format!("00-{TRACE}-{SPAN}-fe"), false);
    good(&format!("  00-{TRACE}-{SPAN}-01\t"), true);
    // A later version is read as far as this one goes.
    good(&format!("01-{TRACE}-{SPAN}-01"), true);
    good(&format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), true);
    good(&format!("fe-{TRACE}-{SPAN}-00-"), false);

    let bad = |text: &str| assert_eq!(read(text), None, "{text}");
    bad("");
    bad("00");
    bad(&format!("00-{TRACE}-{SPAN}"));
    bad(&format!("00-{TRACE}-{SPAN}-"));
    bad(&format!("00-{TRACE}-{SPAN}-1"));
    bad(&format!("00-{TRACE}-{SPAN}-01-"));
    bad(&format!("00-{TRACE}-{SPAN}-01-more"));
    bad(&format!("00-{TRACE}-{SPAN}-01."));
    bad(&format!("ff-{TRACE}-{SPAN}-01"));
    bad(&format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-not-bring"));
    bad(&format!("0-{TRACE}-{SPAN}-001"));
    bad(&format!("0x-{TRACE}-{SPAN}-01"));
    bad(&format!("00-{}-{SPAN}-01", "0".repeat(32)));
    bad(&format!("00-{TRACE}-{}-01", "0".repeat(16)));
    bad(&format!("00-{}-{SPAN}-01", TRACE.to_uppercase()));
    bad(&format!("00-{TRACE}-{}-01", SPAN.to_uppercase()));
    bad(&format!("00-{TRACE}-{SPAN}-0A"));
    bad(&format!("00-{TRACE}-{SPAN}-.0"));
    bad(&format!("00_{TRACE}-{SPAN}-01"));
    bad(&format!("00-{TRACE}_{SPAN}-01"));
    bad(&format!("00-{TRACE}-{SPAN}_01"));
    bad(&format!("00-{}g-{SPAN}-01", &TRACE[1..]));
    bad(&format!("00-{}é-{SPAN}-01", &TRACE[2..]));
    bad(&format!("{TRACE}-{SPAN}-01-{TRACE}"));
}

#[test]
fn what_is_written_can_be_read() {
    let check = |trace: u128, span: u64, sampled, expected: &str| {
        let value = value(TraceId(trace), SpanId(span), sampled);
        assert_eq!(value, expected);
        assert_eq!(
            parent(value.as_bytes()).unwrap(),
            Parent { trace: TraceId(trace), span: SpanId(span), sampled },
            "{expected}"
        );
    };
    check(1, 2, Sampled::No, "00-00000000000000000000000000000001-0000000000000002-00");
    let (trace, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
    check(trace, span, Sampled::Yes, &format!("00-{TRACE}-{SPAN}-01"));
    check(u128::MAX, u64::MAX, Sampled::Yes, &format!("00-{}-{}-01", "f".repeat(32), "f".repeat(16)));
}

/// What of these lines of `tracestate` goes on, behind a good `traceparent`.
fn passed_on(lines: &[&str]) -> Vec<String> {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let mut all = vec![("traceparent", parent.as_str())];
    all.extend(lines.iter().map(|line| ("tracestate", *line)));
    let mut headers = headers(&all);
    assert!(take(&mut headers).is_some(), "a bad tracestate costs no trace");
    headers.get_all("tracestate").iter().map(|line| String::from_utf8(line.as_bytes().to_vec()).unwrap()).collect()
}

#[test]
fn tracestate_is_kept_as_it_is_where_it_is_right() {
    let kept = |line: &str| assert_eq!(passed_on(&[line]), [line]);
    kept("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    kept("a=1, b=2 ,\tc=3");
    kept("a=1,,b=2,");
    kept("fw529a3039@dt=FfAzNzM4;x:y z!");
    kept("0tenant@sys=1");
    kept("a_-*/9=\"~");
    kept(&format!("{}=1", "k".repeat(256)));
    kept(&format!("a={}", "v".repeat(256)));
    kept(&(0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(","));
    assert_eq!(passed_on(&["a=1", "b=2,c=3", ""]), ["a=1,b=2,c=3"]);
    assert!(passed_on(&[]).is_empty());
}

#[test]
fn tracestate_goes_where_it_is_wrong() {
    let gone = |lines: &[&str]| assert!(passed_on(lines).is_empty(), "{lines:?}");
    gone(&["a"]);
    gone(&["a="]);
    gone(&["=1"]);
    gone(&["A=1"]);
    gone(&["1a=1"]);
    gone(&["a=1=2"]);
    gone(&["a b=1"]);
    gone(&["a=1,a=2"]);
    gone(&["a=1", "a=2"]);
    gone(&["a@=1"]);
    gone(&["@a=1"]);
    gone(&["a@b@c=1"]);
    gone(&["a@1=1"]);
    gone(&[&format!("a@{}=1", "s".repeat(15))]);
    gone(&[&format!("{}@s=1", "t".repeat(242))]);
    gone(&["a=é"]);
    gone(&["a=x\ty"]);
    gone(&[&format!("{}=1", "k".repeat(257))]);
    gone(&[&format!("a={}", "v".repeat(257))]);
    gone(&[&(0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",")]);
}

#[test]
fn a_list_that_is_too_long_loses_its_long_members_first_and_then_its_oldest() {
    let long = format!("long={}", "v".repeat(200));
    let members: Vec<String> = (0..20).map(|n| format!("k{n:02}={}", "v".repeat(20))).collect();
    let line = format!("{},{long},{}", members[0], members[1..].join(","));
    let passed = passed_on(&[&line]).remove(0);
    // 20 members of 24 bytes and 19 commas.
    assert_eq!(passed, members.join(","));
    let more: Vec<String> = (0..30).map(|n| format!("k{n:02}={}", "v".repeat(20))).collect();
    assert_eq!(passed_on(&[&more.join(",")]), [more[..20].join(",")]);
}

#[test]
fn nothing_of_a_bad_context_goes_on() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let check = |lines: &[(&'static str, &str)]| {
        let mut headers = headers(lines);
        assert_eq!(take(&mut headers), None);
        assert!(headers.is_empty(), "{headers:?}");
    };
    check(&[("traceparent", "nonsense"), ("tracestate", "a=1")]);
    check(&[("tracestate", "a=1"), ("tracestate", "b=1")]);
    check(&[("traceparent", &parent), ("traceparent", &parent), ("tracestate", "a=1")]);
    check(&[]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_sent_is_too_much(
        parents in prop::collection::vec("[0-9a-f-]{50,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", 0..3),
        states in prop::collection::vec("([a-c@=, ]|[ -~]|k[0-9]{1,3}=v{1,200},){0,60}", 0..4),
    ) {
        let mut lines: Vec<_> = parents.iter().map(|text| ("traceparent", text.as_str())).collect();
        lines.extend(states.iter().map(|text| ("tracestate", text.as_str())));
        let mut headers = headers(&lines);
        let taken = take(&mut headers);
        let left: Vec<_> = headers.get_all("tracestate").iter().cloned().collect();
        prop_assert!(left.len() <= 1 && left.iter().all(|line| line.len() <= STATE_BYTES_MAX));
        prop_assert!(taken.is_some() || headers.is_empty());
        // What goes on is right, and so goes on unchanged.
        prop_assert_eq!(state(&headers), None);
    }
}
