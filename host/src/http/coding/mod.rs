//! Codings of contents: which of them a client accepts (RFC 9110 section 12.5.3), and bodies that are encoded on their way.
//!
//! What a client accepts is a pure question. A quality is told in thousandths.

mod encoded;
mod encoder;

use http::{HeaderMap, HeaderName, header};

pub use encoder::Levels;

/// A coding of contents (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a file in it ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// The codings of `offered` that the client likes at least as much as none, best first; of equals, the one that is offered first.
pub fn accepted_codings(headers: &HeaderMap, offered: &[Coding]) -> [Option<Coding>; 3] {
    let mut found = [None; 3];
    if offered.is_empty() || !headers.contains_key(header::ACCEPT_ENCODING) {
        return found;
    }
    let quality = |token: &str| {
        let named = weighted(headers, &header::ACCEPT_ENCODING)
            .find(|(name, _)| name.eq_ignore_ascii_case(token) || (token == "gzip" && *name == "x-gzip"));
        named.map(|(_, quality)| quality)
    };
    let any = quality("*");
    // Not named, no coding is acceptable, and everything that is named is liked better.
    let plain = quality("identity").unwrap_or(0);
    let mut ranked: Vec<(u16, Coding)> = offered
        .iter()
        .map(|coding| (quality(coding.token()).or(any).unwrap_or(0), *coding))
        .filter(|(quality, _)| *quality > 0 && *quality >= plain)
        .collect();
    // Stable.
    ranked.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    for (slot, (_, coding)) in found.iter_mut().zip(ranked) {
        *slot = Some(coding);
    }
    found
}

/// The members of a list with weights, in thousandths (RFC 9110 section 12.4.2). One with a weight that is none is left out.
pub fn weighted<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, u16)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        for part in parts {
            if let Some(weight) = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")) {
                return Some((name, thousandths(weight)?));
            }
        }
        Some((name, 1000))
    })
}

/// `qvalue`: at most one before the point, at most three digits behind it.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn with(name: HeaderName, text: &str) -> HeaderMap {
        text.split('|').filter(|line| !line.is_empty()).map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn codings_are_ranked_by_weight_and_then_by_offer() {
        let check = |text: &str, expected: &str| {
            let offered = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
            let found = accepted_codings(&with(header::ACCEPT_ENCODING, text), &offered);
            let found: Vec<&str> = found.into_iter().flatten().map(Coding::token).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        };
        check("", "");
        check("gzip", "gzip");
        check("x-gzip", "gzip");
        check("gzip, deflate, br, zstd", "br zstd gzip");
        check("gzip;q=1.0, br;q=0.5", "gzip br");
        check("GZIP;Q=0.5|BR ; q=0.6", "br gzip");
        check("br;q=0, gzip", "gzip");
        check("*", "br zstd gzip");
        check("*;q=0.5, br;q=0", "zstd gzip");
        check("*;q=0", "");
        check("identity", "");
        check("identity, gzip;q=0.5", "");
        check("identity;q=0.5, gzip;q=0.5", "gzip");
        check("identity;q=0, *", "br zstd gzip");
        check("gzip;q=2, br;q=x, zstd;q=0.0001", "");
        check("gzip;q=0.001", "gzip");
    }
}
