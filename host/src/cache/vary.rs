//! Which stored response suits a request (RFC 9111 section 4.1).
//!
//! Pure. Spellings of one thing are one: lists are compared without blanks, languages and codings without regard to case and order.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::http::weighted;

/// The request fields that a response depends on, and what they were, normalised.
pub(super) type Vary = Box<[(HeaderName, Option<HeaderValue>)]>;

/// The fields that `Vary` names with what the request says of each; none for `*`.
pub(super) fn vary(request: &HeaderMap, response: &HeaderMap) -> Option<Vary> {
    let lines = response.get_all(header::VARY).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let fields = names.filter(|name| !name.is_empty()).map(|name| {
        // A name that is none cannot be compared, just as `*` cannot.
        let name = if name == b"*" { None } else { HeaderName::from_bytes(name).ok() }?;
        let value = normalised(request, &name);
        Some((name, value))
    });
    let mut fields = fields.collect::<Option<Vec<_>>>()?;
    fields.sort_unstable_by(|(one, _), (two, _)| one.as_str().cmp(two.as_str()));
    fields.dedup();
    Some(fields.into())
}

/// Whether a response that depends on these fields is the answer to a request with those. `stored` are the response's own.
pub(super) fn suits(vary: &Vary, stored: &HeaderMap, request: &HeaderMap) -> bool {
    vary.iter().all(|(name, value)| {
        // As it came, it most often is as it is stored.
        let mut lines = request.get_all(name).iter();
        let same = match (lines.next(), lines.next()) {
            (line, None) => line == value.as_ref(),
            _ => false,
        };
        same || normalised(request, name) == *value || *name == header::ACCEPT_LANGUAGE && speaks(stored, request)
    })
}

/// Whether the response is in the one language that the client likes best.
fn speaks(stored: &HeaderMap, request: &HeaderMap) -> bool {
    let Some(spoken) = stored.get(header::CONTENT_LANGUAGE).and_then(|value| value.to_str().ok()) else { return false };
    let mut liked: Vec<_> = weighted(request, &header::ACCEPT_LANGUAGE).filter(|(_, quality)| *quality > 0).collect();
    liked.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    match *liked.as_slice() {
        [(best, first), (_, second), ..] => first > second && best.eq_ignore_ascii_case(spoken.trim()),
        [(best, _)] => best.eq_ignore_ascii_case(spoken.trim()),
        [] => false,
    }
}

/// What a request says in a field, in the one spelling that is stored.
pub(super) fn normalised(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    if !headers.contains_key(name) {
        return None;
    }
    let text = match *name {
        header::ACCEPT_ENCODING | header::ACCEPT_LANGUAGE => {
            let mut members: Vec<_> = weighted(headers, name)
                .filter(|(_, quality)| *quality > 0)
                .map(|(member, quality)| (std::cmp::Reverse(quality), member.to_ascii_lowercase()))
                .collect();
            members.sort();
            let told = members.into_iter().map(|(quality, member)| match quality.0 {
                1000 => member,
                quality => format!("{member};{quality}"),
            });
            told.collect::<Vec<_>>().join(",").into_bytes()
        }
        _ => joined(headers, name),
    };
    HeaderValue::from_bytes(&text).ok()
}

/// All lines of a field as one list, without the blanks around its members. Commas within quotes are part of a member.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut all: Vec<u8> = Vec::new();
    for (index, line) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            all.push(b',');
        }
        let mut quoted = false;
        let mut blanks = 0;
        for byte in line.as_bytes().trim_ascii() {
            match byte {
                b' ' | b'\t' if !quoted => {
                    // Those behind a comma go at once, those before one when it comes.
                    if !all.ends_with(b",") {
                        blanks += 1;
                        all.push(*byte);
                    }
                    continue;
                }
                b',' if !quoted => all.truncate(all.len() - blanks),
                b'"' => quoted = !quoted,
                _ => {}
            }
            blanks = 0;
            all.push(*byte);
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn request(name: &'static str, lines: &str) -> HeaderMap {
        let name = HeaderName::from_static(name);
        lines.split('|').map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn spellings_of_one_request_are_one() {
        let check = |name: &'static str, stored: &str, asked: &str, expected| {
            let response = HeaderMap::from_iter([(header::VARY, HeaderValue::from_static(name))]);
            let vary = vary(&request(name, stored), &response).unwrap();
            assert_eq!(suits(&vary, &response, &request(name, asked)), expected, "{stored} {asked}");
        };
        check("foo", "1, 2", "1|2", true);
        check("foo", "1,2", " 1 ,\t2 ", true);
        check("foo", "1 2", "1 2", true);
        check("foo", "\"a , b\"", "\"a,b\"", false);
        check("foo", "1, 2", "2, 1", false);
        check("foo", "A", "a", false);
        check("accept-language", "en, de", "DE,en", true);
        check("accept-language", "en, de;q=0.5", "de, en;q=0.5", false);
        check("accept-language", "en;q=1.0", "en", true);
        check("accept-encoding", "gzip, br", "br,GZIP", true);
        check("accept-encoding", "gzip, br;q=0", "gzip", true);
        check("accept-encoding", "gzip", "br", false);
    }

    #[test]
    fn a_response_in_the_language_that_is_liked_best_suits() {
        let fields = [("vary", "accept-language"), ("content-language", "de")];
        let response: HeaderMap = fields
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let vary = vary(&request("accept-language", "en, de"), &response).unwrap();
        let check = |asked: &str, expected| {
            assert_eq!(suits(&vary, &response, &request("accept-language", asked)), expected, "{asked}");
        };
        check("fr;q=0.5, de;q=1.0", true);
        check("de", true);
        check("de, fr", false);
        check("de;q=0", false);
        check("fr, de;q=0.5", false);
    }
}
