//! The series of all plugins behind `wit/metrics.wit`: named, capped, and found again after a swap.
//!
//! Border: registering takes a lock and belongs in `init`; a [`Series`] is then changed without one. How it is told is
//! `telemetry/metrics.rs`. Invariants: a full name has one kind and one owner; no plugin has more series than it may; what nobody holds and
//! says nothing is forgotten.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::names::Name;
use crate::telemetry::metrics::{Exposition, Histogram, Kind, Number};

/// Longest metric or label name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Most labels of one series. Every one multiplies what a monitoring system has to keep.
pub const LABELS_MAX: usize = 16;
/// Longest label value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Most bounds of one histogram.
pub const BOUNDS_MAX: usize = 64;
/// What we tell of plugins under names that begin like those of their own series.
const OURS: [&str; 8] = [
    "portcullis_plugin_calls_total",
    "portcullis_plugin_call_duration_seconds",
    "portcullis_plugin_failures_total",
    "portcullis_plugin_fuel_total",
    "portcullis_plugin_memory_bytes",
    "portcullis_plugin_quarantined",
    "portcullis_plugin_recycled_total",
    "portcullis_plugin_seconds_total",
];
/// What the format appends to the name of a histogram.
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];
/// What the name of a counter ends in.
const TOTAL: &str = "_total";

/// Why a series was not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Not a metric or label name, a label twice, over a limit, bounds that do not ascend, or a name that is taken by
    /// another kind or another plugin.
    #[error("not a valid name, label set or bounds, or the name is used for something else")]
    Invalid,
    /// The plugin has as many series as it may.
    #[error("the plugin has as many series as it may")]
    TooMany,
}

/// One series. Clones change the same numbers.
#[derive(Debug, Clone)]
pub enum Series {
    /// A number that only grows.
    Counter(Arc<Number>),
    /// A number that goes up and down.
    Gauge(Arc<Number>),
    /// A distribution.
    Histogram(Arc<Histogram>),
}

impl Series {
    /// Counter: adds (negative and NaN are ignored). Gauge: adds. Histogram: ignored.
    pub fn add(&self, amount: f64) {
        match self {
            Self::Counter(number) if amount >= 0.0 => number.add(amount),
            Self::Gauge(number) => number.add(amount),
            Self::Counter(_) | Self::Histogram(_) => {}
        }
    }

    /// Gauge only.
    pub fn set(&self, value: f64) {
        if let Self::Gauge(number) = self {
            number.set(value);
        }
    }

    /// Histogram only.
    pub fn observe(&self, value: f64) {
        if let Self::Histogram(histogram) = self {
            histogram.observe(value);
        }
    }

    /// Whether only the registry has it.
    fn is_alone(&self) -> bool {
        match self {
            Self::Counter(number) | Self::Gauge(number) => Arc::strong_count(number) == 1,
            Self::Histogram(histogram) => Arc::strong_count(histogram) == 1,
        }
    }

    /// Whether it says no more than a fresh one.
    fn is_unused(&self) -> bool {
        match self {
            Self::Counter(number) | Self::Gauge(number) => number.value() == 0.0,
            Self::Histogram(histogram) => histogram.count() == 0,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

/// Sorted by name, so that the order in which a plugin writes them does not matter.
type Labels = Vec<(Box<str>, Box<str>)>;

#[derive(Debug, Clone)]
struct Family {
    owner: Name,
    kind: Kind,
    series: BTreeMap<Labels, Series>,
}

/// The series of all plugins.
#[derive(Debug, Default)]
pub struct Registry {
    /// By full name: plugin names that differ only in what is mangled could otherwise meet unnoticed. Replaced where somebody reads while
    /// something is registered, so that neither waits for the other.
    families: Mutex<Arc<Families>>,
}

type Families = BTreeMap<String, Family>;

impl Registry {
    /// The counter of this name and these labels; the same ones give the same series, as long as somebody holds it or it says something.
    /// `series_max` counts all that the plugin has; those of former instances make room where there is none. A counter is told under a name that ends in `_total`.
    pub fn counter<L: AsRef<str>>(
        &self,
        plugin: &Name,
        name: &str,
        labels: &[(L, L)],
        series_max: usize,
    ) -> Result<Series, MetricsError> {
        self.register(plugin, name, labels, series_max, Series::Counter(Arc::default()))
    }

    /// The gauge of this name and these labels.
    pub fn gauge<L: AsRef<str>>(
        &self,
        plugin: &Name,
        name: &str,
        labels: &[(L, L)],
        series_max: usize,
    ) -> Result<Series, MetricsError> {
        self.register(plugin, name, labels, series_max, Series::Gauge(Arc::default()))
    }

    /// The histogram of this name and these labels. Where it exists with other bounds, it starts anew with these: the
    /// counts of one cannot be told in the buckets of the other.
    pub fn histogram<L: AsRef<str>>(
        &self,
        plugin: &Name,
        name: &str,
        labels: &[(L, L)],
        bounds: &[f64],
        series_max: usize,
    ) -> Result<Series, MetricsError> {
        let ascending = bounds.iter().zip(bounds.iter().skip(1)).all(|(low, high)| low < high);
        if bounds.len() > BOUNDS_MAX || !ascending || !bounds.iter().all(|bound| bound.is_finite()) {
            return Err(MetricsError::Invalid);
        }
        self.register(plugin, name, labels, series_max, Series::Histogram(Arc::new(Histogram::new(bounds))))
    }

    /// Writes every series.
    pub fn expose(&self, out: &mut Exposition) {
        let families = {
            let mut families = self.lock();
            // A configuration that was only tried leaves nothing behind.
            forget(&mut families, &|_, series| series.is_alone() && series.is_unused());
            Arc::clone(&families)
        };
        for (name, family) in &*families {
            out.family(name, &format!("Registered by the plugin {}.", family.owner), family.kind);
            for (labels, series) in &family.series {
                match series {
                    Series::Counter(number) | Series::Gauge(number) => out.number(name, labels, number.value()),
                    Series::Histogram(histogram) => out.histogram(name, labels, histogram),
                }
            }
        }
    }

    /// Gives the series that exists, or `fresh`.
    fn register<L: AsRef<str>>(
        &self,
        plugin: &Name,
        name: &str,
        labels: &[(L, L)],
        series_max: usize,
        fresh: Series,
    ) -> Result<Series, MetricsError> {
        let kind = fresh.kind();
        let labels = checked_labels(labels, kind)?;
        if !is_name(name) {
            return Err(MetricsError::Invalid);
        }
        let name = full_name(plugin, name, kind);
        let mut families = self.lock();
        let known = families.get(&name).is_some_and(|family| family.series.contains_key(&labels));
        if !known {
            forget(&mut families, &|_, series| series.is_alone() && series.is_unused());
        }
        if !families.contains_key(&name) && is_taken(&families, &name, kind) {
            return Err(MetricsError::Invalid);
        }
        match families.get(&name) {
            Some(family) if family.kind != kind || family.owner != *plugin => return Err(MetricsError::Invalid),
            Some(family) => {
                let known = family.series.get(&labels);
                if let Some(known) = known.filter(|known| bounds(known) == bounds(&fresh)) {
                    return Ok(known.clone());
                }
                if known.is_some() {
                    let family = Arc::make_mut(&mut families).get_mut(&name);
                    family.and_then(|family| family.series.insert(labels, fresh.clone()));
                    return Ok(fresh);
                }
            }
            None => {}
        }
        let is_full = |families: &Families| {
            let owned = families.values().filter(|family| family.owner == *plugin);
            owned.map(|family| family.series.len()).sum::<usize>() >= series_max
        };
        if is_full(&families) {
            forget(&mut families, &|family, series| family.owner == *plugin && series.is_alone());
        }
        if is_full(&families) {
            return Err(MetricsError::TooMany);
        }
        let empty = || Family { owner: plugin.clone(), kind, series: BTreeMap::new() };
        Arc::make_mut(&mut families).entry(name).or_insert_with(empty).series.insert(labels, fresh.clone());
        Ok(fresh)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Families>> {
        // Whoever panicked left whole entries behind: every change is one insertion.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what is so, and the families of which nothing is left. Series that somebody reads at the moment do not count as alone, and stay.
fn forget(families: &mut Arc<Families>, is_so: &dyn Fn(&Family, &Series) -> bool) {
    if !families.values().any(|family| family.series.values().any(|series| is_so(family, series))) {
        return;
    }
    // Decided before the map may be cloned, which makes another holder of each.
    let mut gone: Vec<(String, Labels)> = Vec::new();
    for (name, family) in &**families {
        let so = family.series.iter().filter(|(_, series)| is_so(family, series));
        gone.extend(so.map(|(labels, _)| (name.clone(), labels.clone())));
    }
    let families = Arc::make_mut(families);
    for (name, labels) in gone {
        if let Some(family) = families.get_mut(&name) {
            family.series.remove(&labels);
        }
    }
    families.retain(|_, family| !family.series.is_empty());
}

fn bounds(series: &Series) -> &[f64] {
    match series {
        Series::Histogram(histogram) => histogram.bounds(),
        Series::Counter(_) | Series::Gauge(_) => &[],
    }
}

/// Whether a new family would write or meet a sample of another's name: a histogram `x` also writes `x_count`.
fn is_taken(families: &Families, name: &str, kind: Kind) -> bool {
    let is_part_of_histogram = || {
        let bases = HISTOGRAM_SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
        bases.filter_map(|base| families.get(base)).any(|family| family.kind == Kind::Histogram)
    };
    let parts_are_taken = || HISTOGRAM_SUFFIXES.iter().any(|suffix| families.contains_key(&format!("{name}{suffix}")));
    // In OpenMetrics a counter's family is called without `_total`.
    let family_is_taken = || match name.strip_suffix(TOTAL) {
        Some(base) if kind == Kind::Counter => families.contains_key(base),
        _ => families.get(&format!("{name}{TOTAL}")).is_some_and(|family| family.kind == Kind::Counter),
    };
    let is_ours = |ours: &&str| {
        let base = name.strip_suffix(TOTAL).unwrap_or(name);
        let rest = ours.strip_prefix(base).or_else(|| base.strip_prefix(*ours));
        rest.is_some_and(|rest| rest.is_empty() || rest == TOTAL || HISTOGRAM_SUFFIXES.contains(&rest))
    };
    is_part_of_histogram()
        || (kind == Kind::Histogram && parts_are_taken())
        || family_is_taken()
        || OURS.iter().any(is_ours)
}

/// `portcullis_plugin_<plugin>_<name>`, the plugin's name in lower case with `_` for what a metric name may not hold. A counter's ends
/// in `_total`, whether the plugin says so or not.
fn full_name(plugin: &Name, name: &str, kind: Kind) -> String {
    let mangle = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let plugin: String = plugin.as_str().chars().map(mangle).collect();
    let mut full = format!("portcullis_plugin_{plugin}_{name}");
    if kind == Kind::Counter && !full.ends_with(TOTAL) {
        full.push_str(TOTAL);
    }
    full
}

/// `[a-z_][a-z0-9_]*` (`wit/metrics.wit`).
fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= NAME_BYTES_MAX && name.bytes().all(inner) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn checked_labels<L: AsRef<str>>(labels: &[(L, L)], kind: Kind) -> Result<Labels, MetricsError> {
    // Prometheus keeps names with two underscores for itself, and `le` for the bounds of buckets.
    let is_label = |name: &str| is_name(name) && !name.starts_with("__") && (kind != Kind::Histogram || name != "le");
    let fits = |(name, value): &(L, L)| is_label(name.as_ref()) && value.as_ref().len() <= LABEL_VALUE_BYTES_MAX;
    if labels.len() > LABELS_MAX || !labels.iter().all(fits) {
        return Err(MetricsError::Invalid);
    }
    let mut sorted: Labels = labels.iter().map(|(name, value)| (name.as_ref().into(), value.as_ref().into())).collect();
    sorted.sort();
    let twice = sorted.iter().zip(sorted.iter().skip(1)).any(|(one, next)| one.0 == next.0);
    if twice { Err(MetricsError::Invalid) } else { Ok(sorted) }
}

#[cfg(test)]
mod tests;
