//! The nodes, however many there are, and the thread on which they are spoken to.
//!
//! Commands come in through a bounded channel and leave at once, many on one connection; answers go back by the way they came.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use ::redis::Value;
use futures_util::future::try_join_all;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use super::cluster::Cluster;
use super::context::Context;
use super::ledger::Ledger;
use super::node::{Entry, Node, Refusal, Request, Whereabouts};
use super::sentinel;
use super::settings::{Address, Nodes, Settings};
use super::subscription::{self, Subscription};
use super::trouble::Trouble;
use crate::time::Instant;

/// Orders that wait to be looked at. They do so only while the thread is busy with others.
const WAITING_MAX: usize = 1024;

/// Orders that are being answered. More than that is not in flight on any sound Redis within a timeout.
const IN_FLIGHT_MAX: usize = 4096;

/// Commands and where their answers go.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) requests: Vec<Request>,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Vec<Value>, Trouble>>,
}

/// Where orders and subscriptions go in. The thread ends with the last of these.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) subscriptions: mpsc::UnboundedSender<Subscription>,
}

/// The nodes.
pub(super) enum Fleet {
    One(Rc<Node>),
    Cluster(Rc<Cluster>),
}

/// Starts the thread.
pub(super) fn start(settings: Arc<Settings>, ledger: Arc<Ledger>) -> io::Result<Door> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (orders, incoming) = mpsc::channel(WAITING_MAX);
    let (subscriptions, subscribers) = mpsc::unbounded_channel();
    thread::Builder::new().name("redis".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, serve(Rc::new(Context::new(settings, ledger)), incoming, subscribers));
    })?;
    Ok(Door { orders, subscriptions })
}

async fn serve(
    context: Rc<Context>,
    mut orders: mpsc::Receiver<Order>,
    mut subscriptions: mpsc::UnboundedReceiver<Subscription>,
) {
    let fleet = Rc::new(Fleet::start(&context));
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    loop {
        // Never closed.
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { return };
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                let fleet = Rc::clone(&fleet);
                spawn_local(async move {
                    fleet.fill(order).await;
                    drop(permit);
                });
            }
            Some(subscription) = subscriptions.recv() => {
                spawn_local(subscription::follow(subscription, Rc::clone(&fleet), Rc::clone(&context)));
            }
        }
    }
}

impl Fleet {
    fn start(context: &Rc<Context>) -> Self {
        match &context.settings.nodes {
            Nodes::Single(address) => Self::One(Node::start(Whereabouts::Fixed(address.clone()), context)),
            Nodes::Sentinel(sentinel) => Self::One(Node::start(Whereabouts::Master(sentinel.clone()), context)),
            Nodes::Cluster(seeds) => Self::Cluster(Cluster::start(seeds, context)),
        }
    }

    async fn fill(&self, order: Order) {
        let Order { requests, deadline, reply } = order;
        if reply.is_closed() {
            return;
        }
        let result = match &*requests {
            [request] => self.answer(request, deadline).await.map(|answer| vec![answer]),
            several => try_join_all(several.iter().map(|request| self.answer(request, deadline))).await,
        };
        // Whoever asked may have gone away meanwhile.
        let _ = reply.send(result);
    }

    async fn answer(&self, request: &Request, deadline: Instant) -> Result<Value, Trouble> {
        let node = match self {
            Self::Cluster(cluster) => return cluster.answer(request, deadline).await,
            Self::One(node) => node,
        };
        node.ask(request, Entry::Owned, deadline).await.map_err(|refusal| match refusal {
            Refusal::Trouble(trouble) => trouble,
            // Said by clusters only, and told apart before.
            Refusal::Moved(to) | Refusal::Ask(to) => {
                Trouble::Refused { node: to.to_string().into(), why: "has the key".into() }
            }
            Refusal::Again => Trouble::Busy,
        })
    }

    /// Whether a server is one of ours, as far as we know.
    pub(super) fn has(&self, address: &Address) -> bool {
        match self {
            Self::Cluster(cluster) => cluster.has(address),
            Self::One(node) => node.address().is_none_or(|known| known == *address),
        }
    }

    /// Where a subscription connects to.
    pub(super) async fn somewhere(&self, attempt: usize, context: &Context) -> Result<Address, String> {
        match (self, &context.settings.nodes) {
            (Self::Cluster(cluster), _) => cluster.somewhere(attempt).ok_or_else(|| "no node is known".to_owned()),
            (Self::One(_), Nodes::Sentinel(settings)) => sentinel::master(&context.dialer, settings).await,
            (Self::One(node), _) => node.address().ok_or_else(|| "no node is known".to_owned()),
        }
    }
}
