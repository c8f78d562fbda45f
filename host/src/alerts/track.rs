//! Turns what the metrics say from moment to moment into the value that an alert is about.
//!
//! Pure. Counters are remembered as growth, series by series, so that one that began anew, or went and came back, does not look like a jump.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::definition::{BUCKET, Measure, Series};
use crate::telemetry::metrics::Sample;
use crate::time::Instant;

type Labels = Vec<(String, String)>;

/// A counter: its series by their labels. One of which nothing has been seen began at nothing.
type Counter<'s> = BTreeMap<&'s [(String, String)], f64>;

/// What was seen of what one alert measures.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The series of each counter as they were when they were seen last.
    last: Option<Vec<BTreeMap<Labels, f64>>>,
    /// By how much each has grown since the first look.
    grown: Vec<f64>,
    /// The same at earlier moments, the oldest first; the first is the last one that is at least as old as the window.
    history: VecDeque<(Instant, Vec<f64>)>,
    /// Bounds of a histogram's buckets.
    bounds: Vec<f64>,
}

impl Track {
    /// The value now, of growth over the last `over`; none where it cannot be said, or not yet.
    pub(super) fn value(&mut self, measure: &Measure, samples: &[Sample], over: Duration, now: Instant) -> Option<f64> {
        match measure {
            Measure::Value(series) => sum(samples, series),
            Measure::Rate(series) => {
                self.look(&[counter(samples, series)], over, now);
                let (growth, seconds) = self.growth(over, now)?;
                Some(growth.first()? / seconds)
            }
            Measure::Ratio(part, whole) if part.grows() && whole.grows() => {
                self.look(&[part, whole].map(|series| counter(samples, series)), over, now);
                let (growth, _) = self.growth(over, now)?;
                ratio(*growth.first()?, *growth.get(1)?)
            }
            Measure::Ratio(part, whole) => ratio(sum(samples, part)?, sum(samples, whole)?),
            Measure::Quantile(series, quantile) => {
                let buckets = buckets(samples, series);
                let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
                if bounds != self.bounds {
                    *self = Self { bounds, ..Self::default() };
                }
                let counters: Vec<_> = buckets.into_iter().map(|(_, counter)| counter).collect();
                self.look(&counters, over, now);
                let (growth, _) = self.growth(over, now)?;
                within(&self.bounds, &growth, *quantile)
            }
        }
    }

    fn look(&mut self, counters: &[Counter<'_>], over: Duration, now: Instant) {
        match &mut self.last {
            Some(last) if last.len() == counters.len() => {
                for (grown, (before, after)) in self.grown.iter_mut().zip(last.iter_mut().zip(counters)) {
                    *grown += follow(before, after);
                }
            }
            last => {
                let first = |counter: &Counter<'_>| {
                    let mut seen = BTreeMap::new();
                    follow(&mut seen, counter);
                    seen
                };
                *last = Some(counters.iter().map(first).collect());
                self.grown = vec![0.0; counters.len()];
                self.history.clear();
            }
        }
        self.history.push_back((now, self.grown.clone()));
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= over;
        while self.history.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.history.pop_front();
        }
    }

    /// By how much each counter has grown within the window, and in how many seconds; none while the window is not full.
    fn growth(&self, over: Duration, now: Instant) -> Option<(Vec<f64>, f64)> {
        let (at, before) = self.history.front()?;
        let elapsed = now.saturating_duration_since(*at);
        if elapsed < over || elapsed.is_zero() {
            return None;
        }
        let growth = self.grown.iter().zip(before).map(|(after, before)| after - before).collect();
        Some((growth, elapsed.as_secs_f64()))
    }
}

fn sum(samples: &[Sample], series: &Series) -> Option<f64> {
    let matching = samples.iter().filter(|sample| series.includes(sample, ""));
    matching.map(|sample| sample.value).reduce(|sum, value| sum + value)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Notes how the series of a counter are now, and says by how much they have grown together.
fn follow(seen: &mut BTreeMap<Labels, f64>, counter: &Counter<'_>) -> f64 {
    let mut grown = 0.0;
    for (labels, now) in counter {
        match seen.get_mut(*labels) {
            Some(before) => {
                // One that has shrunk began anew.
                grown += if now >= before { now - *before } else { *now };
                *before = *now;
            }
            None => {
                grown += now;
                seen.insert(labels.to_vec(), *now);
            }
        }
    }
    grown
}

fn counter<'s>(samples: &'s [Sample], series: &Series) -> Counter<'s> {
    let matching = samples.iter().filter(|sample| series.includes(sample, ""));
    matching.map(|sample| (&sample.labels[..], sample.value)).collect()
}

/// The buckets of a histogram by bound, ascending. Cumulative.
fn buckets<'s>(samples: &'s [Sample], series: &Series) -> Vec<(f64, Counter<'s>)> {
    let mut buckets: Vec<(f64, Counter<'s>)> = Vec::new();
    for sample in samples.iter().filter(|sample| series.includes(sample, BUCKET)) {
        let bound = sample.labels.iter().find(|(name, _)| name == "le").and_then(|(_, text)| text.parse().ok());
        let Some(bound): Option<f64> = bound else { continue };
        let index = buckets.iter().position(|(known, _)| *known == bound).unwrap_or_else(|| {
            buckets.push((bound, Counter::new()));
            buckets.len() - 1
        });
        if let Some((_, counter)) = buckets.get_mut(index) {
            counter.insert(&sample.labels, sample.value);
        }
    }
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    buckets
}

/// The value below which this part of what is counted lies: interpolated within its bucket; the last bound where it is above all of them.
fn within(bounds: &[f64], cumulative: &[f64], quantile: f64) -> Option<f64> {
    let all = *cumulative.last()?;
    if all <= 0.0 {
        return None;
    }
    let rank = quantile * all;
    let index = cumulative.iter().position(|count| *count >= rank)?;
    let below = index.checked_sub(1);
    let lower = below.and_then(|index| bounds.get(index)).copied().unwrap_or_default();
    let upper = *bounds.get(index)?;
    if upper.is_infinite() {
        return Some(lower);
    }
    let before = below.and_then(|index| cumulative.get(index)).copied().unwrap_or_default();
    let inside = cumulative.get(index)? - before;
    let part = if inside > 0.0 { (rank - before) / inside } else { 1.0 };
    Some(lower + (upper - lower) * part)
}
