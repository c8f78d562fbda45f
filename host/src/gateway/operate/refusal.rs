//! Why an order is not carried out. Whatever the reason, everything is as it was.

use std::path::PathBuf;

use crate::config;
use crate::names::Name;
use crate::plugin::schema::JsonPath;

/// Why an order is not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The document has been changed since.
    #[error("the configuration has been changed since: its entity tag is \"{etag}\" now; read it again")]
    NotCurrent {
        /// Its entity tag, without quotes.
        etag: String,
    },
    /// What it would become is wrong, or its plugins do not work.
    #[error("what it would become is not valid; nothing was changed")]
    Invalid(Vec<Problem>),
    /// Somebody edits the main file.
    #[error("{} says something else than what serves: it has been edited and not been read yet, or was refused; repair or reload it, so that the edit is not lost", .file.display())]
    Edited {
        /// Which file.
        file: PathBuf,
    },
    /// An overlay decides about something that was to be changed.
    #[error("{path} is written in the overlay {}, which the main file cannot change; edit the overlay", .overlay.display())]
    Overridden {
        /// What.
        path: String,
        /// Where it is written.
        overlay: PathBuf,
    },
    /// What was named is not there.
    #[error("{0}")]
    Unknown(String),
    /// It would have to be written where nothing can be written.
    #[error("{0}")]
    ReadOnly(String),
    /// It cannot be kept: the disk is full or broken.
    #[error("{0}; nothing was changed")]
    Storage(String),
    /// Too many orders wait already.
    #[error("too many changes wait already; try again")]
    Busy,
    /// The gateway is about to end.
    #[error("the gateway drains and is not changed any more")]
    Draining,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `$.routes[0].cache`; `$` where no place can be named.
    pub path: String,
    /// What is wrong. Never shows a secret.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Refusal {
    /// A stable word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotCurrent { .. } => "not_current",
            Self::Invalid(_) => "invalid",
            Self::Edited { .. } => "edited",
            Self::Overridden { .. } => "overridden",
            Self::Unknown(_) => "not_found",
            Self::ReadOnly(_) => "read_only",
            Self::Storage(_) => "storage",
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }

    /// A plugin does not work.
    pub(super) fn plugin(plugin: &Name, what: impl Into<String>) -> Self {
        Self::Invalid(Problem::of_plugin(plugin, &what.into()))
    }

    /// There is no such plugin.
    pub(super) fn no_plugin(plugin: &Name) -> Self {
        Self::Unknown(format!("there is no plugin {plugin}: neither a file of it nor an entry in plugins.chain"))
    }

    /// Something is wrong at a place.
    pub(super) fn at(path: &JsonPath, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem::at(path, what, remedy)])
    }
}

impl Problem {
    /// Something is wrong at a place.
    pub(super) fn at(path: &JsonPath, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.from_root(), what: what.into(), remedy: remedy.into() }
    }

    /// What is wrong with a plugin: several things where its configuration is.
    pub(super) fn of_plugin(plugin: &Name, what: &str) -> Vec<Self> {
        // That something goes on serving is said of all refusals.
        let what = match what.rsplit_once("; ") {
            Some((before, end)) if end.starts_with("version ") && end.ends_with(" goes on serving") => before,
            _ => what,
        };
        let placed = |line: &str| line.starts_with("plugins.") || line.starts_with("routes[");
        if what.lines().all(placed) {
            return what.lines().map(|line| Self::of_text("$.plugins", line)).collect();
        }
        let problem = Self::of_text("$.plugins", what);
        vec![Self { what: format!("plugin {plugin}: {}", problem.what), ..problem }]
    }

    /// What a message says: `place: what; remedy`.
    pub(super) fn of_text(path: &str, text: &str) -> Self {
        let is_place = |place: &&str| place.starts_with("plugins.") || place.starts_with("routes[");
        let (path, text) = match text.split_once(": ") {
            Some((place, rest)) if is_place(&place) => (format!("$.{place}"), rest),
            _ => (path.to_owned(), text),
        };
        let (what, remedy) = text.rsplit_once("; ").unwrap_or((text, "change the plugin or its configuration"));
        Self { path, what: what.to_owned(), remedy: remedy.to_owned() }
    }
}

impl From<&config::Problem> for Problem {
    fn from(problem: &config::Problem) -> Self {
        let place = match &problem.place {
            config::Place::Path(path) => path.from_root(),
            config::Place::File | config::Place::Text { .. } => "$".to_owned(),
        };
        let what = match &problem.file {
            Some(file) => format!("{} (in {})", problem.what, file.display()),
            None => problem.what.clone(),
        };
        Self { path: place, what, remedy: problem.remedy.clone() }
    }
}
