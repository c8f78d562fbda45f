//! What an endpoint is asked to find out whether it is well, and what its answers come to.
//!
//! States: well or not, and how many results in a row say otherwise. The first result of all decides alone.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ::http::uri::PathAndQuery;
use ::http::{Method, StatusCode};
use regex::Regex;

use super::Up;

/// How an endpoint is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The method of the request.
    pub method: Method,
    /// Its target.
    pub target: PathAndQuery,
    /// Its `Host`; none: that of the endpoint.
    pub host: Option<Arc<str>>,
    /// The statuses of which an answer must have one.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the body must have in it.
    pub body: Option<Expected>,
    /// From one check to the next, give or take a tenth.
    pub interval: Duration,
    /// Longest time for a check, connecting included.
    pub timeout: Duration,
    /// Checks that an unhealthy endpoint must pass one after the other.
    pub healthy_after: u32,
    /// Checks that a healthy one must fail one after the other.
    pub unhealthy_after: u32,
    /// What an endpoint is taken for before the first check.
    pub initially: Initially,
}

/// What an endpoint is taken for before the first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initially {
    /// It is asked.
    Healthy,
    /// It is not asked while others are.
    Unhealthy,
}

/// What a body must have in it.
#[derive(Debug, Clone)]
pub enum Expected {
    /// This text.
    Text(String),
    /// Something that this matches.
    Pattern(Regex),
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.as_str() == other.as_str(),
            (Self::Text(_), Self::Pattern(_)) | (Self::Pattern(_), Self::Text(_)) => false,
        }
    }
}

impl Eq for Expected {}

impl Check {
    /// Whether this status is a good one.
    pub(super) fn takes(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| range.contains(&status.as_u16()))
    }
}

impl Expected {
    /// Whether it is in this body.
    pub(super) fn is_in(&self, body: &str) -> bool {
        match self {
            Self::Text(text) => body.contains(text),
            Self::Pattern(pattern) => pattern.is_match(body),
        }
    }
}

/// What the results so far come to.
#[derive(Debug)]
pub(super) struct Verdict {
    up: Up,
    /// Whether there has been a result.
    known: bool,
    /// Results in a row that say otherwise.
    against: u32,
}

impl Verdict {
    /// Of an endpoint that is taken for well or not; `known`: by earlier results.
    pub(super) fn new(up: Up, known: bool) -> Self {
        Self { up, known, against: 0 }
    }

    /// Takes a result in; gives what the endpoint is from now on, if that is something else.
    pub(super) fn judge(&mut self, result: Up, check: &Check) -> Option<Up> {
        let first = !std::mem::replace(&mut self.known, true);
        if result == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if result == Up::Yes { check.healthy_after } else { check.unhealthy_after };
        if !first && self.against < needed {
            return None;
        }
        (self.up, self.against) = (result, 0);
        Some(result)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::single_range_in_vec_init, reason = "tests; a list of ranges is meant")]
mod tests {
    use super::*;

    fn check() -> Check {
        Check {
            method: Method::GET,
            target: PathAndQuery::from_static("/"),
            host: None,
            statuses: vec![200..=299],
            body: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
            initially: Initially::Healthy,
        }
    }

    #[test]
    fn results_in_a_row_turn_an_endpoint() {
        let judge = |known, results: &str| {
            let mut verdict = Verdict::new(Up::Yes, known);
            let turns = results.chars().map(|result| {
                let result = if result == '+' { Up::Yes } else { Up::No };
                verdict.judge(result, &check()).map_or('.', |up| if up == Up::Yes { '+' } else { '-' })
            });
            turns.collect::<String>()
        };
        assert_eq!(judge(true, "--+---"), ".....-");
        assert_eq!(judge(true, "---+-++--"), "..-...+..");
        // The first result of all decides alone.
        assert_eq!(judge(false, "-+-++"), "-...+");
        assert_eq!(judge(false, "+--"), "...");
    }

    #[test]
    fn statuses_and_bodies_are_held_against_the_check() {
        let check = check();
        assert!(check.takes(StatusCode::NO_CONTENT) && !check.takes(StatusCode::FOUND));
        let text = Expected::Text("ok".to_owned());
        assert!(text.is_in("it is ok") && !text.is_in("OK"));
        let pattern = Expected::Pattern(Regex::new("^up: (yes|1)$").unwrap());
        assert!(pattern.is_in("up: 1") && !pattern.is_in("up: 12"));
        assert_eq!(pattern, Expected::Pattern(Regex::new("^up: (yes|1)$").unwrap()));
        assert_ne!(pattern, text);
    }
}
