//! What the origin says about caching (RFC 9111 section 5.2.2), as far as it matters here. Takes values, asks nobody.

use std::time::Duration;

use httpdate::parse_http_date;

/// The directives of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `no-store` or `private`: not for a shared cache.
    pub(crate) forbids: bool,
    /// `no-cache`: to be asked every time.
    pub(crate) no_cache: bool,
    /// `public`, `must-revalidate` or `s-maxage`: also for requests with Authorization (RFC 9111 section 3.5).
    pub(crate) allows_authorized: bool,
    /// How long it is fresh, where it says so; milliseconds.
    pub(crate) lifetime: Option<u64>,
    /// `must-revalidate` or `proxy-revalidate`: never to be shown stale.
    pub(crate) must_revalidate: bool,
    /// `s-maxage`, which means `proxy-revalidate`, too (RFC 9111 section 5.2.2.10).
    pub(crate) shared_lifetime: bool,
    /// How long it may be shown stale while it is fetched anew (RFC 5861 section 3); milliseconds.
    pub(crate) stale_while_revalidate: Option<u64>,
    /// How long it may be shown stale where there is an error (RFC 5861 section 4); milliseconds.
    pub(crate) stale_if_error: Option<u64>,
}

/// What is read of the response.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    /// The lines of CDN-Cache-Control. Where there is one, Cache-Control and Expires are for others (RFC 9213 section 2.2).
    pub(crate) targeted: &'a [&'a [u8]],
    /// The lines of Cache-Control.
    pub(crate) cache_control: &'a [&'a [u8]],
    pub(crate) expires: Option<&'a [u8]>,
    pub(crate) date: Option<&'a [u8]>,
    pub(crate) age: Option<&'a [u8]>,
}

impl Origin {
    pub(crate) fn new(fields: &Fields<'_>) -> Self {
        let mut origin = Self::default();
        let (mut shared, mut max_age) = (None, None);
        let targeted = fields.targeted.iter().any(|line| !line.trim_ascii().is_empty());
        let lines = if targeted { fields.targeted } else { fields.cache_control };
        for directive in lines.iter().flat_map(|line| line.split(|&b| b == b',')) {
            let (name, value) = name_and_value(directive);
            match name.to_ascii_lowercase().as_slice() {
                b"no-store" => origin.forbids = true,
                // With field names only those fields are meant; a shared cache that keeps no copy is on the safe side.
                b"private" => origin.forbids = true,
                b"no-cache" => origin.no_cache = true,
                b"public" => origin.allows_authorized = true,
                b"must-revalidate" => {
                    origin.allows_authorized = true;
                    origin.must_revalidate = true;
                }
                b"proxy-revalidate" => origin.must_revalidate = true,
                b"stale-while-revalidate" => {
                    origin.stale_while_revalidate = Some(seconds(value).saturating_mul(1000));
                }
                b"stale-if-error" => origin.stale_if_error = Some(seconds(value).saturating_mul(1000)),
                b"s-maxage" => {
                    origin.allows_authorized = true;
                    origin.shared_lifetime = true;
                    shared = Some(seconds(value));
                }
                b"max-age" => max_age = Some(seconds(value)),
                _ => {}
            }
        }
        let lifetime = shared.or(max_age).or_else(|| if targeted { None } else { expires(fields) });
        let age = fields.age.map_or(0, seconds);
        origin.lifetime = lifetime.map(|lifetime| lifetime.saturating_sub(age).saturating_mul(1000));
        origin
    }
}

/// What comes out of `Expires` and `Date` in seconds. An Expires that is no date is in the past (RFC 9111 section 5.3).
fn expires(fields: &Fields<'_>) -> Option<u64> {
    let expires = fields.expires?;
    let date = |bytes: &[u8]| parse_http_date(std::str::from_utf8(bytes).ok()?).ok();
    let until = date(expires).zip(fields.date.and_then(date));
    Some(until.and_then(|(expires, date)| expires.duration_since(date).ok()).map_or(0, |span: Duration| span.as_secs()))
}

/// `name`, `name=value` or `name="value"`.
fn name_and_value(directive: &[u8]) -> (&[u8], &[u8]) {
    let directive = directive.trim_ascii();
    match directive.iter().position(|&b| b == b'=').and_then(|equals| directive.split_at_checked(equals)) {
        Some((name, value)) => (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or(value).trim_ascii()),
        None => (directive, b""),
    }
}

/// Seconds; what is no number counts as 0, that is stale (RFC 9111 section 4.2.1).
fn seconds(value: &[u8]) -> u64 {
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    match text.parse() {
        Ok(seconds) => seconds,
        // RFC 9111 section 1.2.2: a number too large to be held is as good as infinite.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => u64::MAX,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(line: &str) -> Origin {
        Origin::new(&Fields { cache_control: &[line.as_bytes()], ..Fields::default() })
    }

    #[test]
    fn directives_are_read() {
        assert_eq!(control(""), Origin::default());
        assert!(control("No-Store").forbids);
        assert!(control("max-age=60, private=\"set-cookie\"").forbids);
        assert!(control("no-cache").no_cache);
        assert!(control("public").allows_authorized);
        assert_eq!(control("max-age=60").lifetime, Some(60_000));
        assert_eq!(control("max-age=60, s-maxage=\"5\"").lifetime, Some(5_000));
        assert_eq!(control("max-age=x").lifetime, Some(0));
        assert_eq!(control("max-age=99999999999999999999").lifetime, Some(u64::MAX));
        assert_eq!(control("stale-while-revalidate=60").lifetime, None);
        assert_eq!(control("stale-while-revalidate=60").stale_while_revalidate, Some(60_000));
        assert_eq!(control("Stale-If-Error=\"9\"").stale_if_error, Some(9_000));
        assert!(control("must-revalidate").must_revalidate && control("proxy-revalidate").must_revalidate);
        assert!(control("s-maxage=1").shared_lifetime && !control("max-age=1").shared_lifetime);
    }

    #[test]
    fn what_is_for_caches_like_ours_counts_alone() {
        let of = |targeted: &'static [u8]| {
            let fields =
                Fields { targeted: &[targeted], cache_control: &[b"no-store, max-age=5"], ..Fields::default() };
            Origin::new(&Fields { expires: Some(b"0"), ..fields })
        };
        assert_eq!(of(b"max-age=60"), Origin { lifetime: Some(60_000), ..Origin::default() });
        assert_eq!(of(b"public").lifetime, None);
        assert!(of(b" ").forbids);
    }

    #[test]
    fn age_and_expires_count() {
        let aged = Fields { cache_control: &[b"max-age=60"], age: Some(b"15"), ..Fields::default() };
        assert_eq!(Origin::new(&aged).lifetime, Some(45_000));
        let date = Some(&b"Sun, 06 Nov 1994 08:49:37 GMT"[..]);
        let of = |expires: &'static [u8], date| {
            Origin::new(&Fields { expires: Some(expires), date, ..Fields::default() }).lifetime
        };
        assert_eq!(of(b"Sun, 06 Nov 1994 08:50:37 GMT", date), Some(60_000));
        assert_eq!(of(b"Sun, 06 Nov 1994 08:40:37 GMT", date), Some(0));
        assert_eq!(of(b"0", date), Some(0));
        assert_eq!(of(b"Sun, 06 Nov 1994 08:50:37 GMT", None), Some(0));
    }
}
