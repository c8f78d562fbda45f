//! W3C Trace Context (Level 1): `traceparent` and `tracestate`, read as strictly as it says and written in version 00.
//!
//! Pure. What is malformed is never repaired: the trace then begins here, and nothing of what was sent goes on (section 2.2.3 of
//! the recommendation). `tracestate` belongs to others: it is passed on or left out, never added to.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{Sampled, SpanId, TraceId};

/// Says which trace a request belongs to.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems say to themselves.
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most members of a list (section 3.3.1.1). With more, all of it is discarded.
pub(super) const MEMBERS_MAX: usize = 32;
/// Longest list that is passed on, in bytes: as much as everybody must (section 3.3.1.5).
pub(super) const STATE_BYTES_MAX: usize = 512;
/// Members longer than this are the first to go where the list is too long (section 3.3.1.5).
pub(super) const MEMBER_BYTES_KEPT: usize = 128;

/// What whoever sent a request said about its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) sampled: Sampled,
}

/// Reads the context of a request and leaves of it what may be passed on.
pub(super) fn take(headers: &mut HeaderMap) -> Option<Parent> {
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let parent = match (lines.next(), lines.next()) {
        (Some(only), None) => parent(only.as_bytes()),
        // Several, of which nobody knows the right one.
        (Some(_), Some(_)) => None,
        (None, _) => {
            // Without a trace it has no meaning. Most requests have neither.
            headers.remove(&TRACESTATE);
            return None;
        }
    };
    if parent.is_none() {
        drop_context(headers);
        return None;
    }
    if let Some(state) = state(headers) {
        match state {
            Some(state) => drop(headers.insert(TRACESTATE, state)),
            None => drop(headers.remove(&TRACESTATE)),
        }
    }
    parent
}

/// Takes away what was said about the trace.
pub(super) fn drop_context(headers: &mut HeaderMap) {
    headers.remove(&TRACEPARENT);
    headers.remove(&TRACESTATE);
}

/// Reads a `traceparent` (section 3.2).
pub(super) fn parent(value: &[u8]) -> Option<Parent> {
    let value = value.trim_ascii();
    let (head, rest) = value.split_at_checked(55)?;
    let [v1, v2, b'-', head @ ..] = head else { return None };
    let version = number(&[*v1, *v2])?;
    // Version ff is forbidden. A later version may have more to say, behind another dash (section 3.2.4).
    let known = version == 0 && rest.is_empty();
    let later = (1..0xff).contains(&version) && rest.first().is_none_or(|byte| *byte == b'-');
    if !known && !later {
        return None;
    }
    let (trace, head) = head.split_at_checked(32)?;
    let [b'-', head @ ..] = head else { return None };
    let (span, head) = head.split_at_checked(16)?;
    let [b'-', flags @ ..] = head else { return None };
    let (high, low) = trace.split_at_checked(16)?;
    let trace = u128::from(number(high)?) << 64 | u128::from(number(low)?);
    let (span, flags) = (number(span)?, number(flags)?);
    if trace == 0 || span == 0 {
        return None;
    }
    let sampled = if flags & 1 == 1 { Sampled::Yes } else { Sampled::No };
    Some(Parent { trace: TraceId(trace), span: SpanId(span), sampled })
}

/// Up to 16 hexadecimal digits, which must be lowercase.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Writes a `traceparent`.
pub(super) fn value(trace: TraceId, span: SpanId, sampled: Sampled) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (trace, span) = (trace.digits(), span.digits());
    let digits = trace.as_str().bytes().chain([b'-']).chain(span.as_str().bytes());
    for (place, digit) in text.iter_mut().skip(3).zip(digits) {
        *place = digit;
    }
    if let (Some(last), Sampled::Yes) = (text.last_mut(), sampled) {
        *last = b'1';
    }
    // Digits and dashes always are a field value.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// What becomes of `tracestate`; outer none: it stays as it is, inner none: it goes.
pub(super) fn state(headers: &HeaderMap) -> Option<Option<HeaderValue>> {
    let mut lines = headers.get_all(&TRACESTATE).iter();
    let first = lines.next()?;
    let Some(second) = lines.next() else {
        let members = members(first.as_bytes().split(|byte| *byte == b','));
        return match members {
            Some(_) if first.len() <= STATE_BYTES_MAX => None,
            Some(members) => Some(joined(members)),
            None => Some(None),
        };
    };
    // One list, split over lines (RFC 9110 section 5.3).
    let all = [first, second].into_iter().chain(lines);
    let all = members(all.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')));
    Some(all.and_then(joined))
}

/// The members of a list, without empty ones; none if it is malformed.
fn members<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<Vec<&'a [u8]>> {
    let mut members: Vec<&[u8]> = Vec::new();
    for part in parts {
        let part = part.trim_ascii();
        if part.is_empty() {
            continue;
        }
        let key = key_of(part)?;
        let twice = members.iter().any(|known| key_of(known) == Some(key));
        if twice || members.len() == MEMBERS_MAX {
            return None;
        }
        members.push(part);
    }
    Some(members)
}

/// The members in one line, as many as may be.
fn joined(mut members: Vec<&[u8]>) -> Option<HeaderValue> {
    let length = |members: &[&[u8]]| members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while length(&members) > STATE_BYTES_MAX {
        // The newest are in front.
        let long = members.iter().rposition(|member| member.len() > MEMBER_BYTES_KEPT);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    if members.is_empty() { None } else { HeaderValue::from_bytes(&members.join(&b","[..])).ok() }
}

/// The key of a member `key=value` that is well-formed (section 3.3.1.3).
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let mut halves = member.splitn(2, |byte| *byte == b'=');
    let (key, value) = (halves.next()?, halves.next()?);
    let word = |text: &[u8]| {
        text.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/')) && !text.is_empty()
    };
    let begins_low = |text: &[u8]| text.first().is_some_and(u8::is_ascii_lowercase);
    let good_key = match key.iter().position(|byte| *byte == b'@') {
        None => key.len() <= 256 && begins_low(key) && word(key),
        Some(at) => {
            let (tenant, system) = (key.get(..at)?, key.get(at + 1..)?);
            let tenant_begins = tenant.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let lengths = tenant.len() <= 241 && system.len() <= 14;
            lengths && tenant_begins && begins_low(system) && word(tenant) && word(system)
        }
    };
    let good_value = (1..=256).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
        && value.last() != Some(&b' ');
    (good_key && good_value).then_some(key)
}
