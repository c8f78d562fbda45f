//! What a receiver's answer means: OTLP/HTTP and OTLP/gRPC say it differently (OTLP specification 1.5, "Failures").
//!
//! Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use http::{HeaderMap, StatusCode, header};

use super::protobuf::{Reader, Value};

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has the spans, less some that it does not want, and perhaps a word to say.
    Taken { rejected: u64, message: String },
    /// It never will have them, however often they are sent.
    Refused(String),
    /// It may the next time.
    Later { why: String, asked: Option<Duration> },
}

/// An answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

/// Most of a message that is shown in the log, in characters.
const SHOWN_MAX: usize = 200;

/// What an answer in OTLP/HTTP means.
pub(super) fn http(answer: &Answer) -> Outcome {
    match answer.status {
        status if status.is_success() => taken(&answer.body),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Later {
            why: format!("it answers {}", answer.status.as_u16()),
            asked: retry_after(&answer.headers),
        },
        status => {
            // A `google.rpc.Status`, whose second field is for people.
            let message = text_of(&answer.body, 2);
            Outcome::Refused(shown(&format!("it answers {} {message}", status.as_u16())))
        }
    }
}

/// What an answer in OTLP/gRPC means.
pub(super) fn grpc(answer: &Answer) -> Outcome {
    if answer.status != StatusCode::OK {
        // Something between us that speaks no gRPC; taken as the mapping of gRPC says.
        return http(&Answer {
            body: Vec::new(),
            ..Answer { status: answer.status, headers: answer.headers.clone(), ..Answer::default() }
        });
    }
    // Where nothing but the status is sent, it stands in front.
    let field = |name: &str| answer.trailers.get(name).or_else(|| answer.headers.get(name));
    let Some(status) = field("grpc-status") else {
        return Outcome::Later { why: "its answer breaks off before grpc-status".to_owned(), asked: None };
    };
    let code: u32 = status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    if code == 0 {
        // Behind the flag and the length of the frame.
        return taken(answer.body.get(5..).unwrap_or_default());
    }
    let message = field("grpc-message").map(|text| String::from_utf8_lossy(text.as_bytes())).unwrap_or_default();
    let why = shown(&format!("it answers with gRPC status {code} {message}"));
    match code {
        // Cancelled, deadline exceeded, resource exhausted, aborted, out of range, unavailable, data loss.
        1 | 4 | 8 | 10 | 11 | 14 | 15 => {
            let details = field("grpc-status-details-bin").and_then(|details| retry_info(details.as_bytes()));
            Outcome::Later { why, asked: details.or_else(|| retry_after(&answer.headers)) }
        }
        _ => Outcome::Refused(why),
    }
}

/// An `ExportTraceServiceResponse`.
fn taken(body: &[u8]) -> Outcome {
    let (mut rejected, mut message) = (0, String::new());
    for (_, partial) in Reader(body).filter(|(field, _)| *field == 1) {
        let Value::Bytes(partial) = partial else { continue };
        for (field, value) in Reader(partial) {
            match (field, value) {
                (1, Value::Number(count)) => rejected = count,
                (2, Value::Bytes(text)) => message = shown(&String::from_utf8_lossy(text)),
                _ => {}
            }
        }
    }
    Outcome::Taken { rejected, message }
}

/// How long the receiver asks us to wait, in seconds (RFC 9110 section 10.2.3). Receivers do not send dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The same in gRPC: a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(details: &[u8]) -> Option<Duration> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let status = LENIENT.decode(details).ok()?;
    let details = Reader(&status).filter(|(field, _)| *field == 3);
    details.filter_map(|(_, detail)| bytes(detail)).find_map(|detail| {
        if !text_of(detail, 1).ends_with("/google.rpc.RetryInfo") {
            return None;
        }
        let info = Reader(detail).find(|(field, _)| *field == 2).and_then(|(_, value)| bytes(value))?;
        let delay = Reader(info).find(|(field, _)| *field == 1).and_then(|(_, value)| bytes(value))?;
        let (mut seconds, mut nanoseconds) = (0, 0);
        for (field, value) in Reader(delay) {
            match (field, value) {
                (1, Value::Number(number)) => seconds = number,
                (2, Value::Number(number)) => nanoseconds = u32::try_from(number).ok()?.min(999_999_999),
                _ => {}
            }
        }
        // A negative time is none.
        i64::try_from(seconds).ok().map(|_| Duration::new(seconds, nanoseconds))
    })
}

fn bytes(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Number(_) | Value::Other => None,
    }
}

fn text_of(message: &[u8], wanted: u64) -> String {
    let field = Reader(message).find(|(field, _)| *field == wanted).and_then(|(_, value)| bytes(value));
    String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
}

/// The beginning of a text, in one line.
fn shown(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    line.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::super::protobuf::Writer;
    use super::*;

    fn later(seconds: Option<u64>) -> impl Fn(Outcome) {
        move |outcome| match outcome {
            Outcome::Later { asked, .. } => assert_eq!(asked, seconds.map(Duration::from_secs)),
            other => panic!("{other:?}"),
        }
    }

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn http_answers_are_understood() {
        let answer = |status: u16, lines: &[(&'static str, &str)], body: &[u8]| {
            let status = StatusCode::from_u16(status).unwrap();
            http(&Answer { status, headers: fields(lines), body: body.to_vec(), trailers: HeaderMap::new() })
        };
        assert_eq!(answer(200, &[], b""), Outcome::Taken { rejected: 0, message: String::new() });
        let mut partial = Writer::default();
        partial.message(1, |out| {
            out.number(1, 7);
            out.bytes(2, b"too\nold");
        });
        let taken = answer(200, &[], &partial.finish());
        assert_eq!(taken, Outcome::Taken { rejected: 7, message: "too old".to_owned() });
        // What is no protobuf says nothing.
        assert_eq!(answer(202, &[], b"<html>"), Outcome::Taken { rejected: 0, message: String::new() });
        later(Some(3))(answer(429, &[("retry-after", "3")], b""));
        later(None)(answer(503, &[("retry-after", "soon")], b""));
        later(None)(answer(502, &[], b""));
        later(None)(answer(504, &[], b""));
        let mut status = Writer::default();
        status.number(1, 3);
        status.bytes(2, b"no\x07 such thing");
        assert_eq!(answer(400, &[], &status.finish()), Outcome::Refused("it answers 400 no such thing".to_owned()));
        assert!(matches!(answer(500, &[], b"\xff\xff"), Outcome::Refused(_)));
        assert!(matches!(answer(301, &[("retry-after", "3")], b""), Outcome::Refused(_)));
    }

    #[test]
    fn grpc_answers_are_understood() {
        let answer = |lines: &[(&'static str, &str)], trailers: &[(&'static str, &str)], body: &[u8]| {
            grpc(&Answer {
                status: StatusCode::OK,
                headers: fields(lines),
                body: body.to_vec(),
                trailers: fields(trailers),
            })
        };
        let taken = Outcome::Taken { rejected: 0, message: String::new() };
        assert_eq!(answer(&[], &[("grpc-status", "0")], b"\0\0\0\0\0"), taken);
        let mut partial = Writer::default();
        partial.message(1, |out| out.number(1, 2));
        let frame = [b"\0\0\0\0\x04".as_slice(), &partial.finish()].concat();
        let some = Outcome::Taken { rejected: 2, message: String::new() };
        assert_eq!(answer(&[], &[("grpc-status", "0")], &frame), some);
        later(None)(answer(&[], &[("grpc-status", "14"), ("grpc-message", "busy")], b""));
        later(None)(answer(&[("grpc-status", "8")], &[], b""));
        later(None)(answer(&[], &[], b""));
        assert!(matches!(answer(&[], &[("grpc-status", "3")], b""), Outcome::Refused(_)));
        assert!(matches!(answer(&[("grpc-status", "16")], &[], b""), Outcome::Refused(_)));
        assert!(matches!(answer(&[("grpc-status", "x")], &[], b""), Outcome::Refused(_)));

        let mut status = Writer::default();
        status.number(1, 8);
        status.message(3, |out| {
            out.bytes(1, b"type.googleapis.com/google.rpc.RetryInfo");
            out.message(2, |out| out.message(1, |out| out.number(1, 5)));
        });
        let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.finish());
        later(Some(5))(answer(&[], &[("grpc-status", "8"), ("grpc-status-details-bin", &details)], b""));
        later(None)(answer(&[], &[("grpc-status", "8"), ("grpc-status-details-bin", "?")], b""));
    }
}
