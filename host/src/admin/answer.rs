//! What an operator gets: status, fields, and a body that is whole.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::http::Body;

/// What an operator gets.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// What the audit log says of it, instead of what was sent.
    pub(super) audited: Option<Value>,
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

impl Answer {
    /// A body of any sort.
    pub(super) fn bytes(media: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, media, fields: Vec::new(), body: body.into(), audited: None }
    }

    /// A JSON value.
    pub(super) fn json(value: &Value) -> Self {
        Self::bytes(JSON, format!("{value}\n"))
    }

    /// A line of text.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text)
    }

    /// With another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a field.
    pub(super) fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// With an entity tag, given without its quotes.
    pub(super) fn etag(self, tag: &str) -> Self {
        match HeaderValue::try_from(format!("\"{tag}\"")) {
            Ok(value) => self.field(header::ETAG, value),
            Err(_) => self,
        }
    }

    /// What the audit log is to say of the change, instead of what was sent. Holds no secrets.
    pub(super) fn audited(mut self, detail: Value) -> Self {
        self.audited = Some(detail);
        self
    }

    /// The response.
    pub(super) fn into_response(self) -> http::Response<Body> {
        let empty = self.body.is_empty();
        let mut response = http::Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !empty {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        for (name, value) in self.fields {
            headers.append(name, value);
        }
        response
    }
}

/// A Unix time in RFC 3339, in UTC and with milliseconds.
pub(super) fn rfc3339(unix: Duration) -> String {
    let (days, second) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
    // The civil calendar from days: eras of 400 years that begin in March (Howard Hinnant, `civil_from_days`).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, rest) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}.{:03}Z", unix.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_by_the_civil_calendar() {
        let check = |seconds, expected: &str| assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(1_709_251_199, "2024-02-29T23:59:59.000Z");
        check(1_763_725_863, "2025-11-21T11:51:03.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
        assert_eq!(rfc3339(Duration::from_millis(1_007)), "1970-01-01T00:00:01.007Z");
    }
}
