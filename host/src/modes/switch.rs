//! The switch: who wants which mode, and which one counts.
//!
//! A person's wish counts until a person takes it back by choosing `normal`, which also calls off what alerts have wanted so far. Without a
//! person's wish the strictest mode that a firing alert wants counts. Nothing of it outlives the process.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Mode;

/// Who has chosen a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Nobody: it is how the gateway starts.
    Start,
    /// Somebody, under this name.
    Person(String),
    /// The alert of this name, by firing or by being over.
    Alert(String),
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Person(name) => f.write_str(name),
            Self::Alert(name) => write!(f, "alert {name}"),
        }
    }
}

/// Which mode counts, since when (Unix time; zero: since the start), and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The mode.
    pub mode: Mode,
    /// Since when it counts.
    pub since: Duration,
    /// By whom.
    pub by: By,
}

/// An alert's wish.
#[derive(Debug)]
struct Wish {
    alert: String,
    mode: Mode,
    since: Duration,
    /// Whether a person has chosen `normal` since.
    called_off: bool,
}

#[derive(Debug)]
struct Wishes {
    person: Option<Standing>,
    alerts: Vec<Wish>,
    standing: Standing,
}

/// Holds the mode of the process.
#[derive(Debug)]
pub struct Switch {
    mode: AtomicU8,
    stale_kept_s: AtomicU64,
    wishes: Mutex<Wishes>,
}

/// The process's switch.
pub fn switch() -> &'static Switch {
    static SHARED: Switch = Switch::new();
    &SHARED
}

impl Switch {
    const fn new() -> Self {
        let standing = Standing { mode: Mode::Normal, since: Duration::ZERO, by: By::Start };
        let wishes = Wishes { person: None, alerts: Vec::new(), standing };
        Self { mode: AtomicU8::new(0), stale_kept_s: AtomicU64::new(0), wishes: Mutex::new(wishes) }
    }

    /// The mode that counts.
    #[inline]
    pub fn mode(&self) -> Mode {
        match self.mode.load(Relaxed) {
            0 => Mode::Normal,
            1 => Mode::ServeStale,
            2 => Mode::CacheOnly,
            3 => Mode::ReadOnly,
            _ => Mode::Maintenance,
        }
    }

    /// For how long after its freshness something is to be kept for the modes that serve what is stale.
    pub fn stale_kept(&self) -> Duration {
        Duration::from_secs(self.stale_kept_s.load(Relaxed))
    }

    /// From now on things are kept so long. What is stored already is kept as it was.
    pub fn keep_stale(&self, kept: Option<Duration>) {
        self.stale_kept_s.store(kept.unwrap_or_default().as_secs(), Relaxed);
    }

    /// Which mode counts, since when and by whom.
    pub fn standing(&self) -> Standing {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).standing.clone()
    }

    /// A person chooses a mode, `now` as Unix time. [`Mode::Normal`] takes back what persons and alerts have wanted.
    pub fn choose(&self, mode: Mode, person: &str, now: Duration) -> Standing {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let by = By::Person(person.to_owned());
        wishes.person = (mode != Mode::Normal).then(|| Standing { mode, since: now, by: by.clone() });
        if mode == Mode::Normal {
            wishes.alerts.iter_mut().for_each(|wish| wish.called_off = true);
        }
        self.settle(&mut wishes, by, now)
    }

    /// An alert that fires wants a mode. A wish that it has already is not renewed: if it was called off, it stays so until the alert is over.
    pub fn want(&self, alert: &str, mode: Mode, now: Duration) {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if wishes.alerts.iter().any(|wish| wish.alert == alert && wish.mode == mode) {
            return;
        }
        wishes.alerts.retain(|wish| wish.alert != alert);
        wishes.alerts.push(Wish { alert: alert.to_owned(), mode, since: now, called_off: false });
        self.settle(&mut wishes, By::Alert(alert.to_owned()), now);
    }

    /// An alert is over, and so is its wish.
    pub fn want_no_more(&self, alert: &str, now: Duration) {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = wishes.alerts.len();
        wishes.alerts.retain(|wish| wish.alert != alert);
        if wishes.alerts.len() != before {
            self.settle(&mut wishes, By::Alert(alert.to_owned()), now);
        }
    }

    /// Lets the mode count that now is to; `by`: who has changed something.
    fn settle(&self, wishes: &mut Wishes, by: By, now: Duration) -> Standing {
        let strictest = wishes.alerts.iter().filter(|wish| !wish.called_off).max_by_key(|wish| wish.mode.strictness());
        let wanted = match (&wishes.person, strictest) {
            (Some(person), _) => person.clone(),
            (None, Some(wish)) => Standing { mode: wish.mode, since: wish.since, by: By::Alert(wish.alert.clone()) },
            (None, None) => Standing { mode: Mode::Normal, since: now, by },
        };
        let before = &wishes.standing;
        if wanted.mode != before.mode {
            let (mode, by) = (wanted.mode.as_str(), wanted.by.to_string());
            match wanted.mode {
                Mode::Normal => tracing::info!(mode, by, before = before.mode.as_str(), "mode changes"),
                _ => tracing::warn!(mode, by, before = before.mode.as_str(), "mode changes"),
            }
        }
        if wanted.mode != Mode::Normal || wanted.mode != before.mode {
            wishes.standing = wanted;
        }
        self.mode.store(wishes.standing.mode as u8, Relaxed);
        wishes.standing.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn told(switch: &Switch) -> String {
        let standing = switch.standing();
        assert_eq!(standing.mode, switch.mode());
        format!("{} {} {}", standing.mode, standing.since.as_secs(), standing.by)
    }

    #[test]
    fn every_mode_is_read_as_it_was_chosen() {
        let switch = Switch::new();
        assert_eq!(told(&switch), "normal 0 start");
        for mode in Mode::ALL {
            assert_eq!(switch.choose(mode, "ada", at(1)).mode, mode);
            assert_eq!((switch.mode(), mode.as_str().parse()), (mode, Ok(mode)));
        }
        assert!("Normal".parse::<Mode>().is_err());
    }

    #[test]
    fn alerts_enter_the_strictest_mode_and_leave_it() {
        let switch = Switch::new();
        switch.want("slow", Mode::ServeStale, at(1));
        assert_eq!(told(&switch), "serve_stale 1 alert slow");
        switch.want("broken", Mode::CacheOnly, at(2));
        assert_eq!(told(&switch), "cache_only 2 alert broken");
        switch.want("writes", Mode::ReadOnly, at(3));
        assert_eq!(told(&switch), "cache_only 2 alert broken");
        switch.want_no_more("broken", at(4));
        assert_eq!(told(&switch), "read_only 3 alert writes");
        switch.want_no_more("writes", at(5));
        switch.want_no_more("unknown", at(6));
        assert_eq!(told(&switch), "serve_stale 1 alert slow");
        switch.want_no_more("slow", at(7));
        assert_eq!(told(&switch), "normal 7 alert slow");
    }

    #[test]
    fn what_a_person_chose_stays_whatever_alerts_want() {
        let switch = Switch::new();
        switch.choose(Mode::ReadOnly, "ada", at(1));
        switch.want("broken", Mode::Maintenance, at(2));
        assert_eq!(told(&switch), "read_only 1 ada");
        switch.want_no_more("broken", at(3));
        assert_eq!(told(&switch), "read_only 1 ada");
        switch.choose(Mode::Normal, "bob", at(4));
        assert_eq!(told(&switch), "normal 4 bob");
    }

    #[test]
    fn who_chooses_normal_calls_off_what_alerts_want_until_they_fire_anew() {
        let switch = Switch::new();
        switch.want("broken", Mode::CacheOnly, at(1));
        switch.choose(Mode::Normal, "ada", at(2));
        assert_eq!(told(&switch), "normal 2 ada");
        switch.want("broken", Mode::CacheOnly, at(3));
        assert_eq!(told(&switch), "normal 2 ada");
        switch.want_no_more("broken", at(4));
        assert_eq!(told(&switch), "normal 2 ada", "nothing has changed");
        switch.want("broken", Mode::CacheOnly, at(5));
        assert_eq!(told(&switch), "cache_only 5 alert broken");
    }
}
