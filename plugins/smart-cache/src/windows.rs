//! The time around the end of a response's freshness: how long it may be shown stale, and when it is renewed ahead.
//! Takes values, asks nobody.

use portcullis_sdk::duration::Milliseconds;

use crate::ahead::Ahead;
use crate::origin::Origin;

/// What the configuration says in one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) stale_while_revalidate: Option<Milliseconds>,
    pub(crate) stale_if_error: Option<Milliseconds>,
    pub(crate) refresh_ahead: Option<Ahead>,
}

/// What becomes of one response; milliseconds, 0 for what does not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Around {
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    pub(crate) refresh_ahead: u64,
}

/// Whose word counts where both say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wins {
    Origin,
    Configuration,
}

impl Windows {
    /// What is said here, and for the rest what is said there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            stale_while_revalidate: self.stale_while_revalidate.or(other.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(other.stale_if_error),
            refresh_ahead: self.refresh_ahead.or(other.refresh_ahead),
        }
    }

    /// Whether nothing is said.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// For a response with this ttl. What the origin allows and forbids is passed on, since an admission replaces its words.
    pub(crate) fn around(&self, ttl: u64, origin: &Origin, wins: Wins) -> Around {
        let stale = |configured: Option<Milliseconds>, said: Option<u64>| {
            let configured = configured.map(|window| window.0);
            // Stale must not be shown where the origin forbids it, whatever windows it names itself (RFC 9111 section 4.2.4).
            let said = if origin.must_revalidate { Some(0) } else { said.or(origin.shared_lifetime.then_some(0)) };
            let chosen = match wins {
                Wins::Origin => said.or(configured),
                Wins::Configuration => configured.or(said),
            };
            chosen.unwrap_or(0)
        };
        Around {
            stale_while_revalidate: stale(self.stale_while_revalidate, origin.stale_while_revalidate),
            stale_if_error: stale(self.stale_if_error, origin.stale_if_error),
            refresh_ahead: self.refresh_ahead.map_or(0, |ahead| ahead.of(ttl)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Fields;

    fn windows(revalidate: u64, error: u64) -> Windows {
        Windows {
            stale_while_revalidate: Some(Milliseconds(revalidate)),
            stale_if_error: Some(Milliseconds(error)),
            refresh_ahead: None,
        }
    }

    #[test]
    fn the_origin_allows_and_forbids_unless_it_is_overridden() {
        let check = |control: &str, by_origin: (u64, u64), by_configuration: (u64, u64)| {
            let origin = Origin::new(&Fields { cache_control: &[control.as_bytes()], ..Fields::default() });
            let of = |windows: Windows, wins| {
                let around = windows.around(10, &origin, wins);
                (around.stale_while_revalidate, around.stale_if_error)
            };
            assert_eq!(of(windows(1, 2), Wins::Origin), by_origin, "{control}");
            assert_eq!(of(windows(1, 2), Wins::Configuration), by_configuration, "{control}");
            // Where nothing is configured the origin's word is all there is.
            let silent = of(Windows::default(), Wins::Configuration);
            assert_eq!(silent, of(Windows::default(), Wins::Origin), "{control}");
        };
        check("", (1, 2), (1, 2));
        check("max-age=60", (1, 2), (1, 2));
        check("max-age=60, stale-while-revalidate=5", (5_000, 2), (1, 2));
        check("max-age=60, stale-if-error=0", (1, 0), (1, 2));
        check("max-age=60, must-revalidate", (0, 0), (1, 2));
        check("max-age=60, proxy-revalidate, stale-if-error=9", (0, 0), (1, 2));
        // It means `proxy-revalidate`, too (RFC 9111 section 5.2.2.10), unless the origin says how it is meant.
        check("s-maxage=60", (0, 0), (1, 2));
        check("s-maxage=60, stale-if-error=9", (0, 9_000), (1, 2));
    }

    #[test]
    fn what_is_nearer_counts_one_by_one() {
        let near = Windows { stale_if_error: Some(Milliseconds(9)), ..Windows::default() };
        assert_eq!(near.or(windows(1, 2)), windows(1, 9));
        assert!(Windows::default().is_silent() && !near.is_silent());
    }

    #[test]
    fn ahead_is_a_part_of_the_ttl() {
        let origin = Origin::default();
        let ahead = |ahead, ttl| {
            let windows = Windows { refresh_ahead: Some(ahead), ..Windows::default() };
            windows.around(ttl, &origin, Wins::Origin).refresh_ahead
        };
        assert_eq!(ahead(Ahead::Percent(10), 60_000), 6_000);
        assert_eq!(ahead(Ahead::Percent(90), 1_001), 900);
        assert!(ahead(Ahead::Percent(90), u64::MAX) < u64::MAX);
        assert_eq!(ahead(Ahead::Left(Milliseconds(5_000)), 60_000), 5_000);
        // Or every hit would fetch.
        assert_eq!(ahead(Ahead::Left(Milliseconds(5_000)), 1_000), 900);
    }
}
