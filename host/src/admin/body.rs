//! Bodies of requests: of the right sort, not too long, not too slow, and what the endpoint says they are.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::answer::JSON;
use super::endpoint::{Endpoint, Takes};
use super::trouble::{Problem, Trouble};
use crate::http::{Body, BodyError};
use crate::plugin::schema::JsonPath;

/// Longest JSON.
pub(super) const JSON_BYTES_MAX: u64 = 1024 * 1024;
/// Longest document: as large as the largest configuration file.
pub(super) const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest upload: as large as the largest plugin.
const UPLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time for a JSON body to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for an upload to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Reads what an endpoint takes: the bytes, and the JSON where it is that.
pub(super) async fn read(endpoint: &Endpoint, headers: &HeaderMap, body: Body) -> Result<(Bytes, Value), Trouble> {
    match &endpoint.takes {
        Takes::Nothing => Ok((Bytes::new(), Value::Null)),
        Takes::Bytes(media) => {
            check_media(headers, media)?;
            Ok((collect(body, UPLOAD_BYTES_MAX, UPLOAD_TIMEOUT).await?, Value::Null))
        }
        Takes::Json { schema, bytes_max, .. } => {
            check_media(headers, JSON)?;
            let bytes = collect(body, *bytes_max, JSON_TIMEOUT).await?;
            let value = parse(&bytes)?;
            let problems = schema.iter().flat_map(|schema| schema.problems(&value, &JsonPath::root()));
            let problems: Vec<Problem> = problems.map(|problem| Problem::from(&problem)).collect();
            if !problems.is_empty() {
                return Err(Trouble::bad_request("the body is not what this takes").with(problems));
            }
            Ok((bytes, value))
        }
    }
}

/// JSON in these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Trouble> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The message names no more of the text than a character.
        let detail = format!("the body is not JSON: {error}");
        Trouble::new(StatusCode::BAD_REQUEST, "bad_json", detail)
    })
}

fn check_media(headers: &HeaderMap, media: &'static str) -> Result<(), Trouble> {
    if is_media(headers, media) {
        return Ok(());
    }
    let detail = format!("the body is not said to be {media}; send `Content-Type: {media}`");
    Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Whether a body is said to be of this media type.
pub(super) fn is_media(headers: &HeaderMap, media: &str) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media)
}

/// The whole body.
pub(super) async fn collect(body: Body, bytes_max: u64, timeout: Duration) -> Result<Bytes, Trouble> {
    let too_long = || {
        let detail = format!("the body is longer than {bytes_max} bytes");
        Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    let body = body.limited(bytes_max).map_err(|_| too_long())?;
    match tokio::time::timeout(timeout, body.collect()).await {
        Err(_) => {
            let detail = format!("the body was not complete within {} s", timeout.as_secs());
            Err(Trouble::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail))
        }
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(BodyError::TooLarge(_))) => Err(too_long()),
        Ok(Err(error)) => Err(Trouble::bad_request(format!("the body broke off: {error}"))),
    }
}
