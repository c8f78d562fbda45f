//! The parts of the SDK that need no gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::{Error, HeaderSet, HeaderValue, NoConfig, Result};

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
