//! The `Date` field (RFC 9110 section 6.6.1), written once per second and thread.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use crate::time;

thread_local! {
    static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// The field's value now.
pub(super) fn date() -> HeaderValue {
    let second = time::unix().as_secs();
    LAST.with_borrow_mut(|(written, value)| {
        if *written != second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            // A date is made of what a field value may have.
            *value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
            *written = second;
        }
        value.clone()
    })
}
