//! A part of the gateway, how it is and why, and how parts make a whole.

use serde_json::{Value, json};

/// Most reasons that a part takes over from its parts; the others are counted.
const REASONS_MAX: usize = 5;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Healthy,
    /// It works, but not as it should.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// Why, if it is not healthy.
    pub reasons: Vec<String>,
    /// What it is made of.
    pub parts: Vec<Part>,
}

impl Part {
    /// One that is as it should be.
    pub fn healthy(name: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Healthy, reasons: Vec::new(), parts: Vec::new() }
    }

    /// One that is worse where there are reasons.
    pub fn judged(name: impl Into<String>, worse: Status, reasons: Vec<String>) -> Self {
        let status = if reasons.is_empty() { Status::Healthy } else { worse };
        Self { status, reasons, ..Self::healthy(name) }
    }

    /// One that is as its parts are: unhealthy when all are, degraded when any is not healthy.
    pub fn of(name: impl Into<String>, parts: Vec<Self>) -> Self {
        let all = !parts.is_empty() && parts.iter().all(|part| part.status == Status::Unhealthy);
        let status = match parts.iter().any(|part| part.status != Status::Healthy) {
            true if all => Status::Unhealthy,
            true => Status::Degraded,
            false => Status::Healthy,
        };
        let mut bad: Vec<&Self> = parts.iter().filter(|part| part.status != Status::Healthy).collect();
        bad.sort_by_key(|part| std::cmp::Reverse(part.status));
        let mut reasons: Vec<String> = bad.iter().take(REASONS_MAX).map(|part| part.told()).collect();
        if bad.len() > REASONS_MAX {
            reasons.push(format!("and {} more", bad.len() - REASONS_MAX));
        }
        Self { name: name.into(), status, reasons, parts }
    }

    /// With reasons of its own, which make it at least `worse`.
    #[must_use]
    pub fn and(mut self, worse: Status, reasons: Vec<String>) -> Self {
        if !reasons.is_empty() {
            self.status = self.status.max(worse);
            self.reasons.splice(0..0, reasons);
        }
        self
    }

    /// How many of the parts directly below are so; one that has none counts as its own.
    pub fn count(&self, status: Status) -> usize {
        match self.parts.as_slice() {
            [] => usize::from(self.status == status),
            parts => parts.iter().filter(|part| part.status == status).count(),
        }
    }

    /// Name and first reason.
    fn told(&self) -> String {
        match self.reasons.first() {
            Some(reason) => format!("{}: {reason}", self.name),
            None => format!("{} is {}", self.name, self.status.as_str()),
        }
    }

    /// The part of this name, anywhere below.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.parts.iter().find_map(|part| if part.name == name { Some(part) } else { part.find(name) })
    }

    /// As the admin API tells it.
    pub fn json(&self) -> Value {
        json!({
            "part": self.name,
            "status": self.status.as_str(),
            "reasons": self.reasons,
            "parts": self.parts.iter().map(Self::json).collect::<Vec<_>>(),
        })
    }

    /// The parts directly below that are not healthy, by their names only.
    pub fn ailing(&self) -> Vec<&str> {
        self.parts.iter().filter(|part| part.status != Status::Healthy).map(|part| part.name.as_str()).collect()
    }

    /// One line for each part directly below, for whoever asks: its name and status. What is further below has names of operators' own.
    pub fn lines(&self) -> String {
        self.parts.iter().map(|part| format!("{} {}\n", part.name, part.status.as_str())).collect()
    }
}
