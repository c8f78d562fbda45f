//! What a responder says of a certificate, for stapling (RFC 6960, RFC 6066 section 8): the question, and whether the answer can be
//! shown.
//!
//! Pure: who asks, when and where the answer is kept is for others. An answer comes over cleartext from anybody, so that its
//! signature is checked here: clients end the handshake where a staple is bad.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::der::{BITS, ENUMERATED, Element, INTEGER, OCTETS, Reader, SEQUENCE, TIME, element};

/// SHA-1, without and with parameters: what every responder understands (RFC 5019 section 2.1.1), and no secret depends on it.
const SHA1: [u8; 9] = [0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];
const NULL: [u8; 2] = [0x05, 0x00];

/// How far a responder's clock may be ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// How long an answer is good that does not say so (newer information is always available, RFC 6960 section 4.2.2.1).
const NO_NEXT_UPDATE: Duration = Duration::from_secs(24 * 3600);

/// A question to a responder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom to ask: an `http` URL.
    pub url: String,
    /// What to POST as `application/ocsp-request`.
    pub body: Vec<u8>,
}

/// An answer that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// The response as it came.
    pub der: Vec<u8>,
    /// When it was made, as Unix time.
    pub this_update: Duration,
    /// When it ends, as Unix time.
    pub next_update: Duration,
}

/// Why an answer cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// It cannot be read.
    #[error("not an OCSP response")]
    Format,
    /// The responder refuses (RFC 6960 section 4.2.1).
    #[error("the responder refuses with status {0}")]
    Status(u8),
    /// It says nothing of this certificate.
    #[error("the response is not about this certificate")]
    Other,
    /// It does not say that the certificate is good.
    #[error("the certificate is revoked or unknown to the responder")]
    NotGood,
    /// It is from the future or too old.
    #[error("the response is not of now")]
    Time,
    /// It is not signed by the issuer or by whom the issuer has entitled.
    #[error("the signature of the response is wrong")]
    Signature,
}

impl Staple {
    /// When to ask again: at half of its life, so that a responder may be away for the other half.
    pub fn refresh(&self) -> Duration {
        self.this_update + self.next_update.saturating_sub(self.this_update) / 2
    }
}

/// The question for a chain, where its first certificate names a responder and its second is the issuer.
pub fn question(chain: &[CertificateDer<'_>]) -> Option<Question> {
    let (leaf, issuer) = parse(chain)?;
    let url = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        // id-ad-ocsp (RFC 5280 section 4.2.2.1)
        ParsedExtension::AuthorityInfoAccess(access) => access.iter().find_map(|access| match access.access_location {
            GeneralName::URI(url) if access.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1" => Some(url),
            _ => None,
        }),
        _ => None,
    })?;
    let asked = asked(&leaf, &issuer);
    let algorithm = element(SEQUENCE, &[SHA1.get(2..)?, &NULL]);
    let [name, key, serial] = &asked;
    let certificate = element(SEQUENCE, &[&algorithm, name, key, serial]);
    let requests = element(SEQUENCE, &[&element(SEQUENCE, &[&certificate])]);
    Some(Question { url: url.to_owned(), body: element(SEQUENCE, &[&element(SEQUENCE, &[&requests])]) })
}

/// Reads and checks what came back. `now` is Unix time.
pub fn answer(response: &[u8], chain: &[CertificateDer<'_>], now: Duration) -> Result<Staple, OcspError> {
    let (leaf, issuer) = parse(chain).ok_or(OcspError::Format)?;
    let mut outer = Reader(response).enter(SEQUENCE).ok_or(OcspError::Format)?;
    match outer.expect(ENUMERATED).ok_or(OcspError::Format)?.content {
        [0] => {}
        [status] => return Err(OcspError::Status(*status)),
        _ => return Err(OcspError::Format),
    }
    let signed = Signed::read(&mut outer).ok_or(OcspError::Format)?;
    let single = single(&signed, &asked(&leaf, &issuer))?;
    let (this_update, next_update) = (single.this_update, single.next_update);
    if this_update > now + CLOCK_SKEW || next_update <= now {
        return Err(OcspError::Time);
    }
    if !signed.is_by(&issuer, now) {
        return Err(OcspError::Signature);
    }
    Ok(Staple { der: response.to_vec(), this_update, next_update })
}

fn parse<'a>(chain: &'a [CertificateDer<'_>]) -> Option<(X509Certificate<'a>, X509Certificate<'a>)> {
    let [leaf, issuer, ..] = chain else { return None };
    let parse = |der: &'a CertificateDer<'_>| x509_parser::parse_x509_certificate(der).ok().map(|(_, parsed)| parsed);
    Some((parse(leaf)?, parse(issuer)?))
}

/// What names a certificate: hash of the issuer's name, hash of its key, serial number (RFC 6960 section 4.1.1), each with its tag.
fn asked(leaf: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> [Vec<u8>; 3] {
    let sha1 = |bytes: &[u8]| element(OCTETS, &[digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()]);
    let name = sha1(issuer.subject().as_raw());
    let key = sha1(&issuer.public_key().subject_public_key.data);
    [name, key, element(INTEGER, &[leaf.tbs_certificate.raw_serial()])]
}

/// A `BasicOCSPResponse` (RFC 6960 section 4.2.1).
struct Signed<'a> {
    data: Element<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Option<Reader<'a>>,
}

impl<'a> Signed<'a> {
    fn read(outer: &mut Reader<'a>) -> Option<Self> {
        let mut bytes = outer.enter(0xa0)?.enter(SEQUENCE)?;
        // Its type: there is but one.
        bytes.next()?;
        let mut basic = bytes.enter(OCTETS)?.enter(SEQUENCE)?;
        let data = basic.expect(SEQUENCE)?;
        let algorithm = basic.expect(SEQUENCE)?.content;
        let signature = basic.expect(BITS)?.content.get(1..)?;
        let certificates = basic.enter(0xa0).and_then(|mut list| list.enter(SEQUENCE));
        Some(Self { data, algorithm, signature, certificates })
    }

    /// Whether the issuer has signed it, or somebody whom the issuer has entitled (RFC 6960 section 4.2.2.2).
    fn is_by(&self, issuer: &X509Certificate<'_>, now: Duration) -> bool {
        let key = issuer.public_key().raw;
        if verifies(key, self.algorithm, self.data.whole, self.signature) {
            return true;
        }
        let Some(mut certificates) = self.certificates else { return false };
        while let Some(certificate) = certificates.next() {
            let Ok((_, responder)) = x509_parser::parse_x509_certificate(certificate.whole) else { continue };
            let entitled = responder.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
            let validity = responder.validity();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let of_now = validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp();
            if entitled
                && of_now
                && signed_by(certificate, key)
                && verifies(responder.public_key().raw, self.algorithm, self.data.whole, self.signature)
            {
                return true;
            }
        }
        false
    }
}

/// Whether a certificate is signed with a key.
fn signed_by(certificate: Element<'_>, key: &[u8]) -> bool {
    let parts = || {
        let mut parts = Reader(certificate.content);
        let data = parts.expect(SEQUENCE)?.whole;
        let algorithm = parts.expect(SEQUENCE)?.content;
        Some((data, algorithm, parts.expect(BITS)?.content.get(1..)?))
    };
    parts().is_some_and(|(data, algorithm, signature)| verifies(key, algorithm, data, signature))
}

/// Whether a signature is right. `key` is a `SubjectPublicKeyInfo`, `algorithm` the content of an `AlgorithmIdentifier`.
fn verifies(key: &[u8], algorithm: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let parts = || {
        let mut key = Reader(key).enter(SEQUENCE)?;
        Some((key.expect(SEQUENCE)?.content, key.expect(BITS)?.content.get(1..)?))
    };
    let Some((kind, key)) = parts() else { return false };
    default_provider().signature_verification_algorithms.all.iter().any(|known| {
        known.signature_alg_id().as_ref() == algorithm
            && known.public_key_alg_id().as_ref() == kind
            && known.verify_signature(key, data, signature).is_ok()
    })
}

struct Single {
    this_update: Duration,
    next_update: Duration,
}

/// What the response says of the certificate that was asked for.
fn single(signed: &Signed<'_>, asked: &[Vec<u8>; 3]) -> Result<Single, OcspError> {
    let list = || {
        let mut data = Reader(signed.data.content);
        // A version, who it is from, when it was made.
        data.expect(0xa0);
        data.next()?;
        data.expect(TIME)?;
        data.enter(SEQUENCE)
    };
    let mut list = list().ok_or(OcspError::Format)?;
    while let Some(one) = list.next() {
        let mut one = Reader(one.content);
        let mut certificate = one.enter(SEQUENCE).ok_or(OcspError::Format)?;
        let algorithm = certificate.expect(SEQUENCE).ok_or(OcspError::Format)?.content;
        let same = algorithm.starts_with(SHA1.get(2..).unwrap_or_default()) && certificate.0 == asked.concat();
        if !same {
            continue;
        }
        let status = one.next().ok_or(OcspError::Format)?;
        // [0] IMPLICIT NULL is good.
        if status.tag != 0x80 {
            return Err(OcspError::NotGood);
        }
        let this_update = one.expect(TIME).and_then(|at| unix(at.content)).ok_or(OcspError::Format)?;
        let next_update = match one.enter(0xa0) {
            None => this_update + NO_NEXT_UPDATE,
            Some(mut at) => at.expect(TIME).and_then(|at| unix(at.content)).ok_or(OcspError::Format)?,
        };
        return Ok(Single { this_update, next_update });
    }
    Err(OcspError::Other)
}

/// A `GeneralizedTime` without fractions, as certificates have it: `20261121035229Z` (RFC 5280 section 4.1.2.5.2).
fn unix(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    let seconds = days.checked_sub(719_468)? * 86_400 + number(8, 10)? * 3_600 + number(10, 12)? * 60 + number(12, 14)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    // Made by `openssl ocsp`: a P-256 CA, a certificate of it, and answers that are good for seven days.
    const LEAF: &[u8] = include_bytes!("fixtures/leaf.der");
    const CA: &[u8] = include_bytes!("fixtures/ca.der");
    const REQUEST: &[u8] = include_bytes!("fixtures/req.der");
    const GOOD: &[u8] = include_bytes!("fixtures/good.der");
    const REVOKED: &[u8] = include_bytes!("fixtures/revoked.der");
    const DELEGATED: &[u8] = include_bytes!("fixtures/delegated.der");
    const UNENTITLED: &[u8] = include_bytes!("fixtures/unentitled.der");
    const MADE: u64 = 1_795_233_149;

    fn chain() -> [CertificateDer<'static>; 2] {
        [LEAF.into(), CA.into()]
    }

    fn check(response: &[u8], after_seconds: u64) -> Result<Staple, OcspError> {
        answer(response, &chain(), Duration::from_secs(MADE + after_seconds))
    }

    #[test]
    fn the_question_is_that_of_openssl() {
        let question = question(&chain()).unwrap();
        assert_eq!(question.url, "http://ocsp.example.com:8080/a");
        assert_eq!(question.body, REQUEST);
        // No responder in it, and no issuer.
        assert_eq!(super::question(&[CA.into(), CA.into()]), None);
        assert_eq!(super::question(&[LEAF.into()]), None);
    }

    #[test]
    fn only_what_is_good_and_of_now_is_shown() {
        let day = 24 * 3600;
        let staple = check(GOOD, 60).unwrap();
        assert_eq!(staple.der, GOOD);
        assert_eq!(staple.this_update.as_secs(), MADE);
        assert_eq!(staple.next_update.as_secs(), MADE + 7 * day);
        assert_eq!(staple.refresh().as_secs(), MADE + 7 * day / 2);
        assert_eq!(check(GOOD, 7 * day), Err(OcspError::Time));
        assert_eq!(answer(GOOD, &chain(), Duration::from_secs(MADE - 3600)), Err(OcspError::Time));
        assert_eq!(check(REVOKED, 60), Err(OcspError::NotGood));
        // tryLater
        assert_eq!(check(&[0x30, 3, 0x0a, 1, 3], 60), Err(OcspError::Status(3)));
        let other = [CA.into(), CA.into()];
        assert_eq!(answer(GOOD, &other, Duration::from_secs(MADE + 60)), Err(OcspError::Other));
    }

    #[test]
    fn only_the_issuer_or_whom_it_has_entitled_may_say_so() {
        assert!(check(DELEGATED, 60).is_ok());
        assert_eq!(check(UNENTITLED, 60), Err(OcspError::Signature));
    }

    #[test]
    fn damage_is_found_and_harmless() {
        for response in [GOOD, DELEGATED] {
            for at in 0..response.len() {
                let mut damaged = response.to_vec();
                damaged[at] ^= 0x55;
                // What is not signed (such as the length of an outer element) may not matter; nothing panics.
                let _ = check(&damaged, 60);
                assert!(check(&response[..at], 60).is_err(), "cut off at {at}");
            }
        }
        let status = GOOD.windows(2).position(|pair| pair == [0x80, 0x00]).unwrap();
        let mut signed_part = GOOD.to_vec();
        signed_part[status - 10] ^= 1;
        assert!(check(&signed_part, 60).is_err());
    }
}
