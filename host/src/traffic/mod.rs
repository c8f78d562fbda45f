//! What the gateway takes on: under pressure it refuses at once, instead of growing until the system ends it.
//!
//! Two limits. Exchanges are counted per worker, without a lock; the memory of the process is looked at from a thread of its
//! own, and what it finds is one flag that every worker reads. Beside them: who may come ([`access`], [`bans`]), what one route takes on
//! ([`concurrency`]), and limits that plugins hold clients to ([`rate`]).

pub mod access;
pub mod bans;
pub mod concurrency;
pub mod rate;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use http::StatusCode;

use crate::http::is_nobody;
use crate::time::Instant;
use access::{Access, Refusing, Verdict};
use bans::Bans;

/// How often the memory is looked at. A gateway that is flooded grows by some hundred MiB in that time at most.
const INTERVAL: Duration = Duration::from_millis(100);
/// Of the memory there is, what may be used where nothing else is said. The rest is the kernel's, for its buffers.
const SHARE_PERCENT: u64 = 75;
/// Below this part of the limit the pressure is over: at the limit itself it would come and go with every request.
const RELIEF_PERCENT: u64 = 95;
/// Over this part of the limit, memory is given back where that is possible, before anybody is refused.
const NEAR_PERCENT: u64 = 90;

/// What is taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Exchanges per worker whose response has not begun. Over it the answer is 503.
    pub exchanges_max: usize,
    /// Resident memory of the process, in bytes. Over it the answer is 503. Absent: three quarters of what the machine or
    /// the control group has.
    pub memory_bytes_max: Option<u64>,
    /// Who may come; none: everybody.
    pub access: Option<Arc<Access>>,
    /// Who is banned; none: nobody, but by hand.
    pub bans: Option<Arc<bans::Settings>>,
}

/// What one route takes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Protection {
    /// Who may come; none: everybody.
    pub access: Option<Arc<Access>>,
    /// Most header fields that a client may send.
    pub headers_max: Option<usize>,
    /// Most bytes of header fields that a client may send.
    pub header_bytes_max: Option<usize>,
    /// How many requests may be under way; none: any number.
    pub concurrency: Option<concurrency::Settings>,
}

impl Settings {
    /// The resident memory over which requests are refused, in bytes; none where nobody knows how much there is.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_bytes_max.or_else(available).filter(|max| *max > 0)
    }
}

impl Default for Settings {
    /// As many exchanges as a worker may have connections, and the memory there is.
    fn default() -> Self {
        Self { exchanges_max: 16_000, memory_bytes_max: None, access: None, bans: None }
    }
}

/// Why a request is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The worker has as many exchanges as it may.
    #[error("{0} exchanges are under way in this worker already")]
    Exchanges(usize),
    /// The process has as much memory as it may.
    #[error("the process uses more memory than `overload.memory_bytes_max` allows")]
    Memory,
}

/// Somebody who may not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwelcome {
    /// Why not.
    pub why: Why,
    /// How they are refused.
    pub refusing: Refusing,
}

/// Why somebody may not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody may from their network.
    Denied,
    /// They have been banned, for so much longer.
    Banned(Duration),
}

/// Whether the process uses more memory than it may. One per process.
#[derive(Debug, Default)]
pub struct Pressure {
    high: AtomicBool,
    /// Whether memory should be given back before it comes to that.
    wants_room: AtomicBool,
    memory_bytes: AtomicU64,
}

impl Pressure {
    /// Looks at the memory from now on, for as long as somebody holds what this gives.
    pub fn watch(settings: &Settings) -> io::Result<Arc<Self>> {
        let pressure = Arc::new(Self::default());
        let Some(max) = settings.memory_limit() else {
            return Ok(pressure);
        };
        let watched = Arc::downgrade(&pressure);
        thread::Builder::new().name("memory".into()).spawn(move || {
            let mut relieved_at = 0;
            while let Some(pressure) = watched.upgrade() {
                if let Some(bytes) = resident() {
                    pressure.note(bytes, max);
                    // What is given back is used again by this process, not seldom before the system gets it: only what grows, or is too much, needs more.
                    let near = bytes > max / 100 * NEAR_PERCENT;
                    if near && (bytes > relieved_at || pressure.high.load(Ordering::Relaxed)) {
                        pressure.wants_room.store(true, Ordering::Relaxed);
                    }
                    relieved_at = if near { relieved_at.max(bytes) } else { 0 };
                }
                drop(pressure);
                thread::sleep(INTERVAL);
            }
        })?;
        Ok(pressure)
    }

    /// Resident memory when it was looked at last, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Whether it is more than it may be.
    pub fn is_high(&self) -> bool {
        self.high.load(Ordering::Relaxed)
    }

    fn note(&self, bytes: u64, max: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
        let was = self.high.load(Ordering::Relaxed);
        let is = if was { bytes > max / 100 * RELIEF_PERCENT } else { bytes > max };
        if was != is {
            self.high.store(is, Ordering::Relaxed);
            match is {
                true => {
                    tracing::error!(bytes, max, "too much memory is used: new requests are refused until it is less")
                }
                false => tracing::warn!(bytes, max, "memory is below its limit again"),
            }
        }
    }
}

/// A worker's gate.
#[derive(Debug)]
pub struct Gate {
    pressure: Arc<Pressure>,
    exchanges: Cell<usize>,
    exchanges_max: Cell<usize>,
    bans: Arc<Bans>,
    access: RefCell<Option<Arc<Access>>>,
    banning: RefCell<Option<Arc<bans::Settings>>>,
}

impl Gate {
    /// A gate with nobody inside.
    pub fn new(pressure: Arc<Pressure>, bans: Arc<Bans>, settings: &Settings) -> Rc<Self> {
        let gate = Self {
            pressure,
            exchanges: Cell::new(0),
            exchanges_max: Cell::default(),
            bans,
            access: RefCell::default(),
            banning: RefCell::default(),
        };
        gate.limit(settings);
        Rc::new(gate)
    }

    /// From now on these limits hold.
    pub fn limit(&self, settings: &Settings) {
        self.exchanges_max.set(settings.exchanges_max);
        self.access.borrow_mut().clone_from(&settings.access);
        self.banning.borrow_mut().clone_from(&settings.bans);
    }

    /// Whether this client may connect. Who is refused with an answer may: the answer is to its requests.
    pub fn admits(&self, client: SocketAddr, now: Instant) -> bool {
        match self.welcome(client, now) {
            Err(unwelcome) if unwelcome.refusing == Refusing::Close => {
                self.bans.turned_away.note_client(client.ip(), now);
                false
            }
            _ => true,
        }
    }

    /// Whether this client's request is taken.
    #[inline]
    pub fn receive(&self, client: SocketAddr, now: Instant) -> Result<(), Unwelcome> {
        let welcome = self.welcome(client, now);
        if welcome.is_err() {
            self.bans.turned_away.note_client(client.ip(), now);
        }
        welcome
    }

    #[inline]
    fn welcome(&self, client: SocketAddr, now: Instant) -> Result<(), Unwelcome> {
        if is_nobody(client) {
            return Ok(());
        }
        if let Some(access) = &*self.access.borrow()
            && access.verdict(client.ip()) == Verdict::Deny
        {
            return Err(Unwelcome { why: Why::Denied, refusing: access.refusing });
        }
        match self.bans.left(client.ip(), now) {
            None => Ok(()),
            Some(left) => {
                let refusing = self.banning.borrow().as_ref().map(|banning| banning.refusing).unwrap_or_default();
                Err(Unwelcome { why: Why::Banned(left), refusing })
            }
        }
    }

    /// Notes what a client was answered with: it may be an offence.
    pub fn saw(&self, client: SocketAddr, status: StatusCode, now: Instant) {
        let offends = self.banning.borrow().as_ref().is_some_and(|banning| banning.statuses.contains(&status));
        if offends && !is_nobody(client) {
            self.bans.offence(client.ip(), now);
        }
    }

    /// Whether the caller should give memory back, where it can: little is left. Says so to one caller.
    pub fn wants_room(&self) -> bool {
        self.pressure.wants_room.load(Ordering::Relaxed) && self.pressure.wants_room.swap(false, Ordering::Relaxed)
    }

    /// Lets one more exchange in, until what this gives is dropped.
    pub fn enter(&self) -> Result<Pass<'_>, Refusal> {
        let exchanges = self.exchanges.get();
        if exchanges >= self.exchanges_max.get() {
            return Err(Refusal::Exchanges(exchanges));
        }
        if self.pressure.high.load(Ordering::Relaxed) {
            return Err(Refusal::Memory);
        }
        self.exchanges.set(exchanges + 1);
        Ok(Pass(self))
    }
}

/// One exchange's leave to be under way.
#[derive(Debug)]
pub struct Pass<'g>(&'g Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.exchanges.set(self.0.exchanges.get() - 1);
    }
}

/// Gives to the system what this thread no longer uses. Only the thread that has asked for memory can.
#[allow(unsafe_code, reason = "the allocator has no other way to be told")]
pub fn give_back() {
    // SAFETY: may be called at any time and touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Resident memory of this process, in bytes (proc(5), `statm`).
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The share of the memory of the machine, or of the control group where that is less.
fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().map(|bytes| bytes / 100 * SHARE_PERCENT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_counted_and_leave() {
        let settings = Settings { exchanges_max: 2, ..Settings::default() };
        let gate = Gate::new(Arc::default(), Arc::default(), &settings);
        let (one, _two) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert_eq!(gate.enter().unwrap_err(), Refusal::Exchanges(2));
        drop(one);
        assert!(gate.enter().is_ok());
        gate.limit(&Settings { exchanges_max: 1, ..settings });
        assert_eq!(gate.enter().unwrap_err(), Refusal::Exchanges(1));
    }

    #[test]
    fn who_is_turned_away_is_known_once_for_each_time() {
        let bans = Arc::<Bans>::default();
        let gate = Gate::new(Arc::default(), Arc::clone(&bans), &Settings::default());
        let (client, now) = ("192.0.2.1:5000".parse().unwrap(), crate::time::now());
        let (admitted, received) = (gate.admits(client, now), gate.receive(client, now));
        assert!(admitted && received.is_ok());
        let told = || bans.turned_away.told(9, now).total;
        assert_eq!(told(), 0);
        bans.ban(client.ip(), Duration::from_secs(9), "", now).unwrap();
        let (admitted, received) = (gate.admits(client, now), gate.receive(client, now));
        assert!(admitted && received.is_err());
        assert_eq!(told(), 1, "its request was, its connection was not");
    }

    #[test]
    fn what_we_ask_ourselves_for_is_no_offence_of_anybody() {
        let banning = bans::Settings {
            after: 1,
            within: Duration::from_secs(60),
            lasts: Duration::from_secs(60),
            lasts_max: Duration::from_secs(60),
            statuses: vec![StatusCode::FORBIDDEN],
            never: Vec::new(),
            refusing: Refusing::Answer,
        };
        let banning = Arc::new(banning);
        let bans = Arc::<Bans>::default();
        bans.adopt(Some(&banning));
        let settings = Settings { bans: Some(banning), ..Settings::default() };
        let gate = Gate::new(Arc::default(), Arc::clone(&bans), &settings);
        let now = crate::time::now();
        (0..9).for_each(|_| gate.saw("127.0.0.1:0".parse().unwrap(), StatusCode::FORBIDDEN, now));
        assert!(bans.list(now).is_empty());
        (0..9).for_each(|_| gate.saw("127.0.0.1:5000".parse().unwrap(), StatusCode::FORBIDDEN, now));
        assert_eq!(bans.list(now).len(), 1);
    }

    #[test]
    fn pressure_begins_at_the_limit_and_ends_below_it() {
        let pressure = Arc::new(Pressure::default());
        let gate = Gate::new(Arc::clone(&pressure), Arc::default(), &Settings::default());
        let check = |bytes, refused| {
            pressure.note(bytes, 1000);
            assert_eq!(gate.enter().err(), if refused { Some(Refusal::Memory) } else { None }, "{bytes}");
        };
        check(1000, false);
        check(1001, true);
        check(960, true);
        check(950, false);
        check(960, false);
        assert_eq!(pressure.memory_bytes(), 960);
    }

    #[test]
    fn this_process_has_memory_and_so_has_the_machine() {
        let (used, there) = (resident().unwrap(), available().unwrap());
        assert!(used > 100_000 && used < there, "{used} {there}");
    }
}
