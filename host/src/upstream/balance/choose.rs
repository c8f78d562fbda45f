//! The choices that need no memory of the request: in turn, the least busy, by chance.

use std::cell::Cell;

use super::Dice;

/// An endpoint that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Candidate {
    /// Its position.
    pub(in crate::upstream) index: usize,
    /// Its weight. While it starts slowly, less than the configured one; never 0.
    pub(in crate::upstream) weight: u32,
    /// Requests under way.
    pub(in crate::upstream) busy: usize,
}

/// In turn, by weight, without giving one endpoint several requests in a row where others wait: each gains its weight, the richest
/// is asked and pays what all have gained. `credits` has one entry per position.
pub(in crate::upstream) fn smooth(candidates: impl Iterator<Item = Candidate>, credits: &[Cell<i64>]) -> Option<usize> {
    let (mut total, mut richest) = (0, None);
    for candidate in candidates {
        let Some(credit) = credits.get(candidate.index) else { continue };
        let weight = i64::from(candidate.weight);
        let gained = credit.get() + weight;
        credit.set(gained);
        total += weight;
        if richest.is_none_or(|(_, most)| gained > most) {
            richest = Some((candidate.index, gained));
        }
    }
    let (index, gained) = richest?;
    credits.get(index)?.set(gained - total);
    Some(index)
}

/// The one with the fewest requests under way for its weight, this one included; of equals the first at or after `turn`.
pub(in crate::upstream) fn least_busy(candidates: impl Iterator<Item = Candidate>, turn: usize) -> Option<usize> {
    let load = |one: &Candidate, other: &Candidate| (one.busy as u64 + 1) * u64::from(other.weight);
    let best = candidates.reduce(|best, other| match load(&other, &best).cmp(&load(&best, &other)) {
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Equal if best.index < turn && other.index >= turn => other,
        _ => best,
    })?;
    Some(best.index)
}

/// By chance, by weight.
pub(in crate::upstream) fn random(candidates: impl Iterator<Item = Candidate> + Clone, dice: &Dice) -> Option<usize> {
    let total = candidates.clone().map(|candidate| u64::from(candidate.weight)).sum();
    let mut left = dice.below(total);
    for candidate in candidates {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(candidate.index),
        }
    }
    None
}

/// Two different ones by chance; the second is missing where there is only one.
pub(in crate::upstream) fn two(
    candidates: impl Iterator<Item = Candidate> + Clone,
    dice: &Dice,
) -> Option<(usize, Option<usize>)> {
    let first = random(candidates.clone(), dice)?;
    Some((first, random(candidates.filter(|candidate| candidate.index != first), dice)))
}
