//! Whether a request comes from where it may come from. Pure: what browsers say comes in, a judgement goes out.

use portcullis_sdk::origin::{Origin, OriginPattern};

/// Who is trusted.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) origins: Vec<OriginPattern>,
    pub(crate) same_site: bool,
    pub(crate) unknown: Unknown,
}

/// What becomes of requests that do not say where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Passes,
    Denied,
}

/// What a request says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// `Sec-Fetch-Site`.
    pub(crate) site: Option<&'a str>,
    /// `Origin`.
    pub(crate) origin: Option<&'a str>,
    /// Host and port that were asked for.
    pub(crate) authority: &'a str,
}

/// The judgement, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Passes,
    Denied(&'static str),
}

const CROSS_SITE: Judged = Judged::Denied("a request of another site");

impl Trust {
    pub(crate) fn judge(&self, facts: Facts<'_>) -> Judged {
        let trusted = facts.origin.is_some_and(|origin| self.origins.iter().any(|known| known.matches(origin)));
        match (facts.site, facts.origin) {
            // `none`: the user did it, by a bookmark or the address bar.
            (Some("same-origin" | "none"), _) => Judged::Passes,
            _ if trusted => Judged::Passes,
            (Some("same-site"), _) if self.same_site => Judged::Passes,
            (Some(_), _) => CROSS_SITE,
            // A browser that sends no Fetch Metadata: the scheme may have been changed on the way here, host and port have not.
            (None, Some(origin)) if Origin::parse(origin).is_some_and(|origin| origin.is_of(facts.authority)) => {
                Judged::Passes
            }
            (None, Some(_)) => CROSS_SITE,
            (None, None) if self.unknown == Unknown::Passes => Judged::Passes,
            (None, None) => Judged::Denied("a request that does not say where it comes from"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_say_decides() {
        let mut trust = Trust {
            origins: vec![OriginPattern::parse("https://login.test").unwrap()],
            same_site: false,
            unknown: Unknown::Passes,
        };
        let passes = |trust: &Trust, site, origin| {
            trust.judge(Facts { site, origin, authority: "app.test:8443" }) == Judged::Passes
        };
        assert!(passes(&trust, Some("same-origin"), Some("https://app.test:8443")));
        assert!(passes(&trust, Some("none"), None));
        assert!(!passes(&trust, Some("same-site"), Some("https://x.app.test")));
        assert!(!passes(&trust, Some("cross-site"), Some("https://evil.test")));
        assert!(!passes(&trust, Some("cross-site"), None));
        assert!(!passes(&trust, Some("what is this"), Some("https://app.test:8443")));
        assert!(passes(&trust, Some("cross-site"), Some("https://login.test")));
        assert!(passes(&trust, None, Some("https://app.test:8443")));
        assert!(passes(&trust, None, Some("http://APP.test:8443")));
        assert!(!passes(&trust, None, Some("https://app.test")));
        assert!(!passes(&trust, None, Some("null")));
        assert!(!passes(&trust, None, Some("?")));
        assert!(passes(&trust, None, None));
        trust.same_site = true;
        trust.unknown = Unknown::Denied;
        assert!(passes(&trust, Some("same-site"), Some("https://x.app.test")));
        assert!(!passes(&trust, None, None));
    }
}
