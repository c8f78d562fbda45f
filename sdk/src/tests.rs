//! The parts of the SDK that need no gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::time::Duration;

use crate::raw::cache_admit;
use crate::{Admission, AdmitVerdict, Error, HeaderSet, HeaderValue, NoConfig, Result};

#[test]
fn an_error_is_made_from_whatever_can_be_displayed() {
    fn text() -> Result<()> {
        Err("no token")?
    }
    fn number() -> Result<u16> {
        Ok("70000".parse::<u16>()?)
    }
    assert_eq!(text().unwrap_err().message(), "no token");
    assert_eq!(number().unwrap_err().message(), "number too large to fit in target type");
    assert_eq!(Error::new("b").context("a").message(), "a: b");
}

#[test]
fn a_value_that_is_not_utf8_is_an_error_and_not_a_panic() {
    let value = HeaderValue::from(vec![b'a', 0xff]);
    assert!(value.as_str().is_err());
    assert_eq!(value.as_bytes(), b"a\xff");
    assert_eq!(format!("{value:?}"), "\"a\\xff\"");
    assert_eq!(HeaderValue::from("x"), "x");
}

#[test]
fn a_builder_knows_when_it_is_empty() {
    assert!(HeaderSet::builder().is_empty());
    assert!(!HeaderSet::builder().remove("server").is_empty());
}

#[test]
fn no_configuration_refuses_a_key() {
    assert!(serde_json::from_str::<NoConfig>("{}").is_ok());
    assert!(serde_json::from_str::<NoConfig>(r#"{"a":1}"#).is_err());
}

#[test]
fn an_admission_says_what_was_named_and_no_more() {
    let raw = |admission: Admission| match AdmitVerdict::from(admission).into() {
        cache_admit::AdmitVerdict::Store(raw) => raw,
        other => panic!("{other:?}"),
    };
    let least = raw(Admission::fresh_for(Duration::from_secs(1)));
    assert_eq!((least.ttl_ms, least.tags.len()), (1_000, 0));
    assert_eq!((least.stale_while_revalidate_ms, least.stale_if_error_ms, least.refresh_ahead_ms), (0, 0, 0));
    let most = Admission::fresh_for(Duration::MAX)
        .tag("a")
        .tags(["b", "c"])
        .stale_while_revalidate(Duration::from_millis(1))
        .stale_if_error(Duration::from_millis(2))
        .refresh_ahead(Duration::from_millis(3));
    let most = raw(most);
    assert_eq!((most.ttl_ms, most.tags.concat().as_str()), (u64::MAX, "abc"));
    assert_eq!((most.stale_while_revalidate_ms, most.stale_if_error_ms, most.refresh_ahead_ms), (1, 2, 3));
}
