//! One server, or whichever is the master at the moment: its connections, its breaker, and what it complains of.
//!
//! Each connection is kept by a task of its own that makes it anew when it ends, ever more slowly. Commands are spread over those that
//! stand. Everything here runs on the link's own thread.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, ServerError, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};

use super::breaker::{Breaker, Change};
use super::context::Context;
use super::dial::{Connection, Driver, server_words};
use super::settings::{Address, Nodes, Sentinel};
use super::trouble::Trouble;
use super::{sentinel, slots};
use crate::time::{self, Instant};

/// Wait before the first attempt to connect again.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// Longest wait: nobody should have to wait longer for a Redis that is back.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How often a connection is asked whether it still leads somewhere, so that one that nobody uses is not closed as idle and its end is
/// noticed before it is needed; and how long that may take.
const CHECK: Duration = Duration::from_secs(15);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A node whose breaker has been open for this long gets new connections: the old ones may lead nowhere.
const STALL_MAX: Duration = Duration::from_secs(5);

/// Where a node is.
pub(super) enum Whereabouts {
    Fixed(Address),
    Master(Sentinel),
}

/// A command and where it belongs.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) command: Cmd,
    /// The slot of its key; none: any node will do.
    pub(super) slot: Option<u16>,
    pub(super) effect: Effect,
}

/// What a command does to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

/// Whether a command is let in although its slot is still on its way to the node (`ASKING`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Owned,
    Importing,
}

/// What a node answers that has no answer.
pub(super) enum Refusal {
    /// Another node has the slot, for good.
    Moved(Address),
    /// Another node has this key already.
    Ask(Address),
    /// Half of the keys are here, half there: soon.
    Again,
    /// There is none.
    Trouble(Trouble),
}

struct Complaint {
    effect: Effect,
    why: String,
}

/// One server.
pub(super) struct Node {
    whereabouts: Whereabouts,
    /// Where it is at the moment.
    address: RefCell<Option<Address>>,
    name: RefCell<Arc<str>>,
    context: Rc<Context>,
    links: RefCell<Vec<Option<Connection>>>,
    turn: Cell<usize>,
    breaker: RefCell<Breaker>,
    /// Why there is no connection.
    why: RefCell<Arc<str>>,
    complaint: RefCell<Option<Complaint>>,
    /// Ends connections, so that they are made anew.
    renew: Notify,
    tasks: RefCell<Vec<AbortHandle>>,
}

impl Node {
    /// Starts to connect.
    pub(super) fn start(whereabouts: Whereabouts, context: &Rc<Context>) -> Rc<Self> {
        let (address, name) = match &whereabouts {
            Whereabouts::Fixed(address) => (Some(address.clone()), address.to_string()),
            Whereabouts::Master(sentinel) => (None, format!("the master {:?}", sentinel.master)),
        };
        let node = Rc::new(Self {
            whereabouts,
            address: RefCell::new(address),
            name: RefCell::new(name.into()),
            context: Rc::clone(context),
            links: RefCell::new(vec![None; context.settings.connections]),
            turn: Cell::new(0),
            breaker: RefCell::default(),
            why: RefCell::new("not tried yet".into()),
            complaint: RefCell::default(),
            renew: Notify::new(),
            tasks: RefCell::default(),
        });
        let keepers = (0..context.settings.connections).map(|link| spawn_local(keep(Rc::clone(&node), link)));
        node.tasks.borrow_mut().extend(keepers.map(|task| task.abort_handle()));
        context.join(&node);
        node
    }

    /// Ends the connections.
    pub(super) fn retire(&self) {
        self.tasks.borrow_mut().drain(..).for_each(|task| task.abort());
        self.links.borrow_mut().iter_mut().for_each(|link| *link = None);
    }

    /// Where it is, as far as that is known.
    pub(super) fn address(&self) -> Option<Address> {
        self.address.borrow().clone()
    }

    /// A connection that stands.
    pub(super) fn connection(&self) -> Option<Connection> {
        let links = self.links.borrow();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let start = turn.checked_rem(links.len())?;
        let (before, after) = links.split_at_checked(start)?;
        after.iter().chain(before).flatten().next().cloned()
    }

    /// How many connections stand.
    pub(super) fn connections(&self) -> usize {
        self.links.borrow().iter().flatten().count()
    }

    /// What is wrong, if anything is.
    pub(super) fn ailment(&self) -> Option<String> {
        let name = self.name.borrow();
        if self.connections() == 0 {
            return Some(format!("is not connected: {name}: {}", self.why.borrow()));
        }
        if self.breaker.borrow().is_open() {
            return Some(format!("does not answer in time: {name}"));
        }
        self.complaint.borrow().as_ref().map(|complaint| format!("refuses commands: {name}: {}", complaint.why))
    }

    /// What comes of any command at the moment, where it is not asked at all.
    pub(super) fn hopeless(&self) -> Option<Trouble> {
        let node = || Arc::clone(&self.name.borrow());
        if self.connections() == 0 {
            return Some(Trouble::Absent { node: node(), why: Arc::clone(&self.why.borrow()) });
        }
        self.breaker.borrow().is_open().then(|| Trouble::Open { node: node() })
    }

    /// Has a command answered.
    pub(super) async fn ask(
        self: &Rc<Self>,
        request: &Request,
        entry: Entry,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        if let Some(trouble) = self.hopeless() {
            return Err(Refusal::Trouble(trouble));
        }
        // There is one, or there would be no hope.
        let Some(mut connection) = self.connection() else { return Err(Refusal::Again) };
        let node = || Arc::clone(&self.name.borrow());
        let answer = send(&mut connection, &request.command, entry);
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(Value::ServerError(error))) => Err(self.refused(&error, request.effect)),
            Ok(Ok(answer)) => {
                self.answered(Some(request.effect));
                Ok(answer)
            }
            Ok(Err(_)) => {
                self.failed();
                Err(Refusal::Trouble(Trouble::Lost { node: node() }))
            }
            Err(_) => {
                self.failed();
                Err(Refusal::Trouble(Trouble::Timeout { after: self.context.settings.timeout }))
            }
        }
    }

    /// It has answered; with what was asked for, where there is an effect.
    fn answered(&self, effect: Option<Effect>) {
        let closed = self.breaker.borrow_mut().answered() == Change::Closed;
        let mut complaint = self.complaint.borrow_mut();
        // That it can be read from does not mean that it can be written to.
        let content = complaint
            .as_ref()
            .is_some_and(|complaint| effect == Some(Effect::Writes) || effect == Some(complaint.effect));
        if content {
            *complaint = None;
        }
        drop(complaint);
        if closed || content {
            self.context.report();
        }
    }

    fn failed(self: &Rc<Self>) {
        if self.breaker.borrow_mut().failed(self.context.settings.breaker.failures) == Change::Opened {
            self.context.ledger.breaker_opened.increment();
            self.context.report();
            let probe = spawn_local(probe(Rc::clone(self))).abort_handle();
            let mut tasks = self.tasks.borrow_mut();
            tasks.retain(|task| !task.is_finished());
            tasks.push(probe);
        }
    }

    fn refused(&self, error: &ServerError, effect: Effect) -> Refusal {
        self.answered(None);
        let in_cluster = matches!(self.context.settings.nodes, Nodes::Cluster(_));
        let redirected = || {
            let text = error.details()?.split_ascii_whitespace().nth(1)?;
            slots::redirected(text, self.address.borrow().as_ref()?)
        };
        match error.kind() {
            Some(ServerErrorKind::Moved) if in_cluster && let Some(to) = redirected() => return Refusal::Moved(to),
            Some(ServerErrorKind::Ask) if in_cluster && let Some(to) = redirected() => return Refusal::Ask(to),
            Some(ServerErrorKind::TryAgain) if in_cluster => return Refusal::Again,
            // It was the master. Where the next one is, its name or the sentinels know.
            Some(ServerErrorKind::ReadOnly) => self.renew.notify_waiters(),
            _ => {}
        }
        self.context.doubt.notify_one();
        let node = Arc::clone(&self.name.borrow());
        let why = server_words(error);
        *self.complaint.borrow_mut() = Some(Complaint { effect, why: why.clone() });
        self.context.report();
        Refusal::Trouble(match error.code() {
            "OOM" => Trouble::Full { node },
            _ => Trouble::Refused { node, why: why.into() },
        })
    }

    async fn dial(&self) -> Result<(Connection, Driver), String> {
        let dialer = &self.context.dialer;
        match &self.whereabouts {
            Whereabouts::Fixed(address) => dialer.connect(address).await,
            Whereabouts::Master(settings) => {
                let (address, connection, driver) = sentinel::connect(dialer, settings).await?;
                *self.name.borrow_mut() = format!("the master {:?} at {address}", settings.master).into();
                *self.address.borrow_mut() = Some(address);
                Ok((connection, driver))
            }
        }
    }

    fn set(&self, link: usize, connection: Option<Connection>) {
        if let Some(slot) = self.links.borrow_mut().get_mut(link) {
            *slot = connection;
        }
    }
}

async fn send(connection: &mut Connection, command: &Cmd, entry: Entry) -> ::redis::RedisResult<Value> {
    if entry == Entry::Owned {
        return connection.send_packed_command(command).await;
    }
    let mut both = ::redis::pipe();
    both.cmd("ASKING").add_command(command.clone());
    connection.send_packed_commands(&both, 0, 2).await.map(|mut answers| answers.pop().unwrap_or_default())
}

/// Keeps one connection: connecting → standing → waiting → connecting.
async fn keep(node: Rc<Node>, link: usize) {
    let mut wait = BACKOFF_MIN;
    loop {
        match node.dial().await {
            Ok((connection, driver)) => {
                node.set(link, Some(connection.clone()));
                *node.complaint.borrow_mut() = None;
                node.breaker.borrow_mut().answered();
                node.context.report();
                let since = time::now();
                let why = tokio::select! {
                    () = driver => "the connection was closed",
                    () = node.renew.notified() => "the connection is renewed",
                    () = silence(connection) => "the connection is dead",
                };
                node.set(link, None);
                *node.why.borrow_mut() = why.into();
                // One that is closed as soon as it stands is no success.
                if time::now() - since > BACKOFF_MAX {
                    wait = BACKOFF_MIN;
                }
            }
            Err(why) => *node.why.borrow_mut() = why.into(),
        }
        node.context.report();
        node.context.doubt.notify_one();
        tokio::time::sleep(scattered(wait)).await;
        wait = (wait * 2).min(BACKOFF_MAX);
    }
}

/// Ends when a connection does not answer any more.
async fn silence(mut connection: Connection) {
    let command = ::redis::cmd("PING");
    loop {
        tokio::time::sleep(CHECK).await;
        if tokio::time::timeout(CHECK_TIMEOUT, connection.send_packed_command(&command)).await.is_err() {
            return;
        }
    }
}

/// Half of a wait and up to another half, so that not all gateways come back at the same moment.
fn scattered(wait: Duration) -> Duration {
    let dice = RandomState::new().build_hasher().finish();
    wait / 2 + wait.mul_f64((dice % 1024) as f64 / 2048.0)
}

/// Looks whether a node answers again, ever more seldom, until it does or gets new connections. Most that stall do so for a moment: to
/// fork, or to free a large value.
async fn probe(node: Rc<Node>) {
    let since = time::now();
    let settings = &node.context.settings;
    let mut wait = settings.timeout;
    while node.breaker.borrow().is_open() {
        wait = wait.min(settings.breaker.open_for);
        tokio::time::sleep(wait).await;
        wait *= 2;
        // Whoever makes the next one closes the breaker.
        let Some(mut connection) = node.connection() else { return };
        let command = ::redis::cmd("PING");
        let answer = tokio::time::timeout(settings.timeout, connection.send_packed_command(&command));
        if let Ok(Ok(_)) = answer.await {
            node.answered(None);
        } else if time::now() - since >= STALL_MAX {
            node.renew.notify_waiters();
            return;
        }
    }
}
