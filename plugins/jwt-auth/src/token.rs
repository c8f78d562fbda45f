//! One token from its characters to its claims: structure, header, key, signature, claims set, in this order
//! (RFC 7515 section 5.2, RFC 7519 section 7.2).
//!
//! Border: what the claims must be is `check.rs`. Invariants: no claim is looked at before the signature has been verified
//! with a key of ours that is bound to the token's algorithm; nothing of a token outlives it.

use crate::base64url;
use crate::check::check;
use crate::claims::{Claims, Places};
use crate::deny::Denial;
use crate::json::{self, Malformed, Span, Value};
use crate::settings::Settings;

/// What this needs of the gateway.
pub(crate) trait Host {
    /// Whether the key with this number made this signature.
    fn verify(&self, key: usize, data: &[u8], signature: &[u8]) -> bool;

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// Memory that is used again for every token.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    header: Vec<u8>,
    signature: Vec<u8>,
    payload: Vec<u8>,
    places: Places,
}

const MALFORMED: Denial = Denial::Invalid("the token is malformed");

/// Takes a token apart, verifies it and checks its claims. Cheap checks come first.
pub(crate) fn authenticate<'a>(
    token: &[u8],
    settings: &Settings,
    scratch: &'a mut Scratch,
    host: &impl Host,
) -> Result<Claims<'a>, Denial> {
    if token.len() > settings.token_bytes_max {
        return Err(Denial::Invalid("the token is too long"));
    }
    let (signed, signature) = split_last(token).ok_or(MALFORMED)?;
    // No signature is what "none" looks like; no algorithm of ours makes an empty one.
    if signature.is_empty() {
        return Err(Denial::Invalid("the token is not signed"));
    }
    base64url::decode(signature, &mut scratch.signature).map_err(|_| MALFORMED)?;

    let verified = |key: &usize| host.verify(*key, signed, &scratch.signature);
    let (key, payload) = match settings.keys.by_usual_header(signed) {
        Some((candidates, payload)) => (candidates.iter().copied().find(verified), payload),
        None => {
            let (header, payload) = split_first(signed).ok_or(MALFORMED)?;
            let header = Header::read(header, &mut scratch.header)?;
            (settings.keys.candidates(&header, &settings.types)?.find(verified), payload)
        }
    };
    let key = key.ok_or(Denial::Invalid("the signature does not verify"))?;

    base64url::decode(payload, &mut scratch.payload).map_err(|_| MALFORMED)?;
    let text = std::str::from_utf8(&scratch.payload).map_err(|_| MALFORMED)?;
    let not_claims = |_| Denial::Invalid("the claims are not a JSON object in which each name stands once");
    let claims = Claims::read(text, &settings.wanted, &mut scratch.places).map_err(not_claims)?;
    check(claims, key, settings, host)?;
    Ok(claims)
}

/// The members of a JOSE header that matter here (RFC 7515 section 4.1). `jku`, `jwk`, `x5u` and `x5c` are ignored on
/// purpose: a token does not bring its own key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// The algorithm.
    pub alg: Value<'a>,
    /// Which key.
    pub kid: Value<'a>,
    /// What kind of token.
    pub typ: Value<'a>,
}

/// Most members of a header; some producers put a dozen there.
const HEADER_MEMBERS_MAX: usize = 32;

impl<'a> Header<'a> {
    fn read(encoded: &[u8], decoded: &'a mut Vec<u8>) -> Result<Self, Denial> {
        base64url::decode(encoded, decoded).map_err(|_| MALFORMED)?;
        let text = std::str::from_utf8(decoded).map_err(|_| MALFORMED)?;
        let header = Self::parse(text).map_err(|Malformed| MALFORMED)?;
        // RFC 7515 section 4.1.11: extensions that must be understood. There are none that we do, `b64` included.
        if header.crit.is_present() {
            return Err(Denial::Invalid("the token needs an extension that is not supported"));
        }
        Ok(Header { alg: header.alg.of(text), kid: header.kid.of(text), typ: header.typ.of(text) })
    }

    fn parse(text: &str) -> Result<Spans, Malformed> {
        let mut spans = Spans { alg: Span::ABSENT, kid: Span::ABSENT, typ: Span::ABSENT, crit: Span::ABSENT };
        let mut names: Vec<Value<'_>> = Vec::new();
        json::object(text, |name, value| {
            let name = name.of(text);
            // Section 4: names must be unique.
            if names.len() == HEADER_MEMBERS_MAX || names.iter().any(|known| is_same(*known, name)) {
                return Err(Malformed);
            }
            names.push(name);
            for (known, span) in
                [("alg", &mut spans.alg), ("kid", &mut spans.kid), ("typ", &mut spans.typ), ("crit", &mut spans.crit)]
            {
                if name.is_text(known) {
                    *span = value;
                }
            }
            Ok(())
        })?;
        Ok(spans)
    }
}

struct Spans {
    alg: Span,
    kid: Span,
    typ: Span,
    crit: Span,
}

fn is_same(one: Value<'_>, other: Value<'_>) -> bool {
    one.text().is_some_and(|text| other.is_text(&text))
}

/// Cuts at the last dot. The signature is the shortest part but one, so looking from the end is looking least.
fn split_last(token: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b'.', token)?;
    Some((token.get(..at)?, token.get(at + 1..)?))
}

/// Cuts at the first dot. A further one would not decode.
fn split_first(signed: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'.', signed)?;
    Some((signed.get(..at)?, signed.get(at + 1..)?))
}
