//! Several nodes that share the keys: who has which, and what to do when that changes.
//!
//! The nodes are asked for the distribution at the start, whenever one of them sends a command elsewhere or ends a connection, and now
//! and then. A node that fails takes only its own keys with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use ::redis::{Cmd, Value};
use tokio::task::spawn_local;

use super::context::Context;
use super::dial::{question, server_words};
use super::node::{Entry, Node, Refusal, Request, Whereabouts};
use super::settings::Address;
use super::slots::{self, Ranges};
use super::trouble::Trouble;
use crate::time::Instant;

/// How often the distribution is asked for when nothing happens.
const REFRESH: Duration = Duration::from_secs(30);
/// Wait between two questions, however much happens: a failover moves thousands of slots at once.
const SPACING: Duration = Duration::from_millis(100);
/// A node that takes longer to say who has what is passed over for the next.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often a command is sent elsewhere: once because we were wrong, once because a slot moves, and once more.
const ATTEMPTS: u8 = 4;
/// Wait where a slot moves and half of the keys of a command have gone (`TRYAGAIN`).
const AGAIN: Duration = Duration::from_millis(5);

/// A Redis Cluster.
pub(super) struct Cluster {
    context: Rc<Context>,
    seeds: Vec<Address>,
    nodes: RefCell<BTreeMap<Address, Rc<Node>>>,
    /// Ascending.
    owners: RefCell<Vec<(RangeInclusive<u16>, Rc<Node>)>>,
}

impl Cluster {
    /// Starts to find out who the nodes are.
    pub(super) fn start(seeds: &[Address], context: &Rc<Context>) -> Rc<Self> {
        let cluster = Rc::new(Self {
            context: Rc::clone(context),
            seeds: seeds.to_vec(),
            nodes: RefCell::default(),
            owners: RefCell::default(),
        });
        spawn_local(follow(Rc::clone(&cluster)));
        cluster
    }

    /// Has a command answered by the node that has its key.
    pub(super) async fn answer(&self, request: &Request, deadline: Instant) -> Result<Value, Trouble> {
        let mut node = match request.slot {
            Some(slot) => self.owner(slot),
            None => self.any(),
        };
        let mut entry = Entry::Owned;
        for _ in 0..ATTEMPTS {
            let Some(asked) = node else {
                self.context.doubt.notify_one();
                return Err(Trouble::Absent { node: "the cluster".into(), why: "no node is known for the key".into() });
            };
            (node, entry) = match asked.ask(request, entry, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Trouble(trouble)) => return Err(trouble),
                Err(Refusal::Moved(to)) => {
                    self.context.doubt.notify_one();
                    (Some(self.at(to)), Entry::Owned)
                }
                Err(Refusal::Ask(to)) => (Some(self.at(to)), Entry::Importing),
                Err(Refusal::Again) => {
                    tokio::time::sleep(AGAIN).await;
                    (Some(asked), entry)
                }
            };
        }
        Err(Trouble::Refused { node: "the cluster".into(), why: "the key is on its way".into() })
    }

    /// Some node that answers, or else one that is known.
    pub(super) fn any(&self) -> Option<Rc<Node>> {
        let nodes = self.nodes.borrow();
        nodes.values().find(|node| node.ailment().is_none()).or_else(|| nodes.values().next()).cloned()
    }

    /// Where some node is.
    pub(super) fn somewhere(&self, attempt: usize) -> Option<Address> {
        let well = self.any().filter(|node| node.ailment().is_none()).and_then(|node| node.address());
        well.or_else(|| self.seeds.get(attempt.checked_rem(self.seeds.len())?).cloned())
    }

    /// Whether a server is one of the nodes, as far as we know.
    pub(super) fn has(&self, address: &Address) -> bool {
        let nodes = self.nodes.borrow();
        nodes.is_empty() || nodes.contains_key(address)
    }

    fn owner(&self, slot: u16) -> Option<Rc<Node>> {
        let owners = self.owners.borrow();
        let (range, node) = owners.get(owners.partition_point(|(range, _)| *range.end() < slot))?;
        range.contains(&slot).then(|| Rc::clone(node))
    }

    fn at(&self, address: Address) -> Rc<Node> {
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.entry(address);
        Rc::clone(node.or_insert_with_key(|address| Node::start(Whereabouts::Fixed(address.clone()), &self.context)))
    }

    /// Takes a distribution over.
    fn adopt(&self, mut ranges: Ranges) {
        ranges.sort_by_key(|(range, _)| *range.start());
        let wanted: Vec<&Address> = ranges.iter().map(|(_, address)| address).collect();
        self.nodes.borrow_mut().retain(|address, node| {
            let stays = wanted.contains(&address);
            if !stays {
                node.retire();
                self.context.leave(node);
            }
            stays
        });
        let owners = ranges.into_iter().map(|(range, address)| (range, self.at(address))).collect();
        *self.owners.borrow_mut() = owners;
    }

    /// Asks for the distribution: those that are connected first.
    async fn discover(&self) -> Result<Ranges, String> {
        let mut command = ::redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let well: Vec<Rc<Node>> = self.nodes.borrow().values().filter(|n| n.ailment().is_none()).cloned().collect();
        for node in well {
            let (Some(address), Some(mut connection)) = (node.address(), node.connection()) else { continue };
            let answer = tokio::time::timeout(TIMEOUT, connection.send_packed_command(&command)).await;
            if let Ok(Ok(answer)) = answer
                && let Some(ranges) = slots::ranges(&answer, &address)
            {
                return Ok(ranges);
            }
        }
        let mut troubles = Vec::new();
        for seed in &self.seeds {
            let late = |_| Err(format!("no answer within {} s", TIMEOUT.as_secs()));
            match tokio::time::timeout(TIMEOUT, self.ask_seed(seed, &command)).await.unwrap_or_else(late) {
                Ok(ranges) => return Ok(ranges),
                Err(why) => troubles.push(format!("{seed}: {why}")),
            }
        }
        Err(troubles.join("; "))
    }

    async fn ask_seed(&self, seed: &Address, command: &Cmd) -> Result<Ranges, String> {
        let (mut connection, mut driver) = self.context.dialer.connect(seed).await?;
        match question(&mut connection, &mut driver, command).await? {
            Value::ServerError(error) => Err(server_words(&error)),
            answer => match slots::ranges(&answer, seed) {
                Some(ranges) => Ok(ranges),
                None => Err("knows no node that has keys".to_owned()),
            },
        }
    }
}

/// Keeps the distribution up to date.
async fn follow(cluster: Rc<Cluster>) {
    let context = &cluster.context;
    loop {
        let found = cluster.discover().await;
        let known = found.is_ok();
        match found {
            Ok(ranges) => {
                cluster.adopt(ranges);
                context.unknown(None);
            }
            Err(why) => context.unknown(Some(format!("does not say which nodes there are: {why}"))),
        }
        if known {
            // Whoever has doubts asks for it to be looked at before the time.
            let _ = tokio::time::timeout(REFRESH, context.doubt.notified()).await;
        }
        tokio::time::sleep(SPACING).await;
    }
}
