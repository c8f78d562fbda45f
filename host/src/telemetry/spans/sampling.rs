//! Which traces are kept: decided at the beginning by the parent or by chance, and once more at the end by what became of it.
//!
//! Pure. Chance is the trace id itself, compared as OpenTelemetry's ratio samplers do (`TraceIdRatioBased` in Go, Rust and Python), so
//! that services with the same ratio keep the same traces.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use crate::exchange::{DecidedBy, Fault, Reason, Sampled, TraceId};
use crate::names::Name;

/// Which traces are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// How many of all.
    pub ratio: Ratio,
    /// How many of a route's, where that is another number.
    pub routes: BTreeMap<Name, Ratio>,
    /// Whether whoever sent the request decides, where it has.
    pub parent: Follow,
    /// Whether exchanges that went wrong are kept, whatever was decided.
    pub errors: Errors,
    /// Exchanges that took longer are kept, whatever was decided; none: there is no such limit.
    pub slower_than: Option<Duration>,
}

/// Whether whoever sent the request decides if its trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// It does.
    #[default]
    Parent,
    /// The ratio decides, always.
    Ratio,
}

/// Whether exchanges that went wrong are kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Errors {
    /// They are.
    Kept,
    /// They are like all others.
    #[default]
    Sampled,
}

/// A share of all traces: of 2^63 possible ids, so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u64);

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self(1 << 63);

    /// A share from 0 to 1; what is below or above is taken for that.
    pub fn new(share: f64) -> Self {
        if share >= 1.0 {
            return Self::ALL;
        }
        // A negative number or none becomes 0.
        Self((share * Self::ALL.0 as f64) as u64)
    }

    /// Whether a trace is among them. More of the same trace are so for any greater ratio.
    pub fn decide(self, trace: TraceId) -> Sampled {
        // The last eight bytes: the part of an id that even old systems fill with chance.
        if (trace.0 as u64) >> 1 < self.0 { Sampled::Yes } else { Sampled::No }
    }
}

/// How an exchange ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) status: StatusCode,
    pub(super) failure: Option<Reason>,
    pub(super) duration: Duration,
}

impl Fate {
    /// Whether it went wrong, and not by the client's fault.
    pub(super) fn went_wrong(&self) -> bool {
        self.status.is_server_error() || self.failure.is_some_and(|reason| reason.fault() != Fault::Downstream)
    }
}

impl Sampling {
    /// Decides at the beginning; `parent`: what whoever sent the request decided.
    pub(super) fn first(&self, trace: TraceId, parent: Option<Sampled>) -> (Sampled, DecidedBy) {
        match (parent, self.parent) {
            (Some(sampled), Follow::Parent) => (sampled, DecidedBy::Parent),
            _ => (self.ratio.decide(trace), DecidedBy::Gateway),
        }
    }

    /// Decides for a route where the gateway decides; none: as it was.
    pub(super) fn on_route(&self, trace: TraceId, route: &Name) -> Option<Sampled> {
        self.routes.get(route).map(|ratio| ratio.decide(trace))
    }

    /// Whether a trace that was not kept at the beginning may be kept at the end.
    pub(super) fn may_change_its_mind(&self) -> bool {
        self.errors == Errors::Kept || self.slower_than.is_some()
    }

    /// Whether steps must be kept before the route is known.
    pub(super) fn depends_on_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Decides at the end.
    pub(super) fn last(&self, first: Sampled, fate: &Fate) -> Sampled {
        let wrong = self.errors == Errors::Kept && fate.went_wrong();
        let slow = self.slower_than.is_some_and(|limit| fate.duration > limit);
        if first == Sampled::Yes || wrong || slow { Sampled::Yes } else { Sampled::No }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn sampling(ratio: f64) -> Sampling {
        Sampling {
            ratio: Ratio::new(ratio),
            routes: BTreeMap::new(),
            parent: Follow::Parent,
            errors: Errors::Sampled,
            slower_than: None,
        }
    }

    #[test]
    fn the_id_decides_as_elsewhere() {
        let check = |share: f64, id: u128, expected| {
            assert_eq!(Ratio::new(share).decide(TraceId(id)), expected, "{share} {id:x}");
        };
        check(0.0, 0, Sampled::No);
        check(-1.0, 1, Sampled::No);
        check(f64::NAN, 1, Sampled::No);
        check(1.0, u128::MAX, Sampled::Yes);
        check(7.0, u128::MAX, Sampled::Yes);
        // Half of the last eight bytes, whatever comes before them.
        check(0.5, 0x7fff_ffff_ffff_ffff, Sampled::Yes);
        check(0.5, 0x8000_0000_0000_0000, Sampled::No);
        check(0.5, u128::MAX << 64, Sampled::Yes);
        // From the tests of OpenTelemetry for Python: 0.01 of 2^64 is 0x28f5c28f5c28f5c.
        check(0.01, 0x028f_5c28_f5c2_8f5a, Sampled::Yes);
        check(0.01, 0x028f_5c28_f5c2_9000, Sampled::No);
    }

    #[test]
    fn of_many_the_right_share_is_kept() {
        let ids = (1..=100_000_u128).map(|n| TraceId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)));
        let kept = ids.filter(|id| Ratio::new(0.1).decide(*id) == Sampled::Yes).count();
        assert!((9_800..10_200).contains(&kept), "{kept}");
    }

    #[test]
    fn the_parent_decides_where_it_is_followed() {
        let (never, always) = (sampling(0.0), sampling(1.0));
        let id = TraceId(u128::MAX);
        assert_eq!(never.first(id, Some(Sampled::Yes)), (Sampled::Yes, DecidedBy::Parent));
        assert_eq!(always.first(id, Some(Sampled::No)), (Sampled::No, DecidedBy::Parent));
        assert_eq!(always.first(id, None), (Sampled::Yes, DecidedBy::Gateway));
        let own = Sampling { parent: Follow::Ratio, ..never };
        assert_eq!(own.first(id, Some(Sampled::Yes)), (Sampled::No, DecidedBy::Gateway));
    }

    #[test]
    fn the_end_decides_what_is_wrong_or_slow() {
        let sampling = Sampling { errors: Errors::Kept, slower_than: Some(Duration::from_secs(1)), ..sampling(0.0) };
        let check = |status: u16, failure, millis, expected| {
            let status = StatusCode::from_u16(status).unwrap();
            let fate = Fate { status, failure, duration: Duration::from_millis(millis) };
            assert_eq!(sampling.last(Sampled::No, &fate), expected, "{fate:?}");
            assert_eq!(sampling.last(Sampled::Yes, &fate), Sampled::Yes);
        };
        check(200, None, 1000, Sampled::No);
        check(200, None, 1001, Sampled::Yes);
        check(500, None, 0, Sampled::Yes);
        check(404, Some(Reason::NoRoute), 0, Sampled::No);
        // A plugin's own answer to an upstream's failure.
        check(200, Some(Reason::UpstreamConnect), 0, Sampled::Yes);
        check(403, Some(Reason::PluginFailed), 0, Sampled::Yes);
    }
}
