//! Turns what the metrics say from moment to moment into the value that an alert is about.
//!
//! Pure. Counters are remembered as growth, so that one that began anew, or a series that came or went, does not look like a jump.

use std::collections::VecDeque;
use std::time::Duration;

use super::definition::{Measure, Series};
use crate::telemetry::metrics::Sample;
use crate::time::Instant;

/// What was seen of what one alert measures.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The counters as they were last.
    last: Option<Vec<f64>>,
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
                self.look(vec![sum(samples, series).unwrap_or_default()], over, now);
                let (growth, seconds) = self.growth(over, now)?;
                Some(growth.first()? / seconds)
            }
            Measure::Ratio(part, whole) if part.grows() && whole.grows() => {
                let counters = [part, whole].map(|series| sum(samples, series).unwrap_or_default());
                self.look(counters.to_vec(), over, now);
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
                self.look(buckets.iter().map(|(_, count)| *count).collect(), over, now);
                let (growth, _) = self.growth(over, now)?;
                within(&self.bounds, &growth, *quantile)
            }
        }
    }

    fn look(&mut self, counters: Vec<f64>, over: Duration, now: Instant) {
        match self.last.take() {
            Some(last) if last.len() == counters.len() => {
                for (grown, (before, after)) in self.grown.iter_mut().zip(last.iter().zip(&counters)) {
                    *grown += (after - before).max(0.0);
                }
            }
            _ => {
                self.grown = vec![0.0; counters.len()];
                self.history.clear();
            }
        }
        self.last = Some(counters);
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

/// The buckets of a histogram by bound, ascending, those of several series added up. Cumulative.
fn buckets(samples: &[Sample], series: &Series) -> Vec<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for sample in samples.iter().filter(|sample| series.includes(sample, "_bucket")) {
        let bound = sample.labels.iter().find(|(name, _)| name == "le").and_then(|(_, text)| text.parse().ok());
        let Some(bound): Option<f64> = bound else { continue };
        match buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += sample.value,
            None => buckets.push((bound, sample.value)),
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
