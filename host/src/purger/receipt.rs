//! What whoever purges gets to know of it.

use crate::cache::{Confirmed, Mode, Selection, Sort};

/// What was purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the purge; later ones have higher numbers.
    pub number: u64,
    /// By what.
    pub sort: Sort,
    /// How.
    pub mode: Mode,
    /// What holds for all of it, in the spelling of the cache; tags stand apart.
    pub selection: Selection,
    /// It has one of these tags: those that were named and those that depend on them.
    pub tags: Vec<String>,
    /// How many stored responses were hit, where that was counted.
    pub hit: Option<u64>,
    /// Whether the other instances know.
    pub confirmed: Confirmed,
    /// Whether CDNs are told.
    pub told: Told,
}

/// Whether CDNs are told of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// They are, in the background.
    Told,
    /// They cannot be told this: they know tags, URLs and everything, one at a time.
    CannotBe,
    /// There are none.
    NoCdn,
}

impl Told {
    /// A stable word for answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::CannotBe => "cannot_be_told",
            Self::NoCdn => "none",
        }
    }
}
