//! One worker: a thread with its own event loop, sockets, upstream connections and plugin instances.
//!
//! It shares nothing that is written to with other workers. A new generation reaches it through a watch channel and takes effect
//! between two requests.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::cache::Cache;
use crate::condition::Pulse;
use crate::exchange::{Client, Failure};
use crate::generation::Generation;
use crate::http::{Body, RequestIds};
use crate::listener::{Handle, Listener};
use crate::pipeline::Pipeline;
use crate::shutdown::Draining;
use crate::telemetry::{Recorder, Records};
use crate::time;
use crate::traffic::bans::Bans;
use crate::traffic::{Gate, Pressure};
use crate::upstream::{Board, Upstreams};
use crate::warm::{self, Asks};

/// Native stack of a worker. Wasm frames may use 512 KiB of it, the rest is for hyper and us.
const STACK_BYTES: usize = 4 * 1024 * 1024;

/// What a worker is given.
pub(crate) struct Equipment {
    pub(crate) number: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) generations: watch::Receiver<Arc<Generation>>,
    pub(crate) cache: Arc<Cache>,
    /// What is known of endpoints, shared with whoever checks them.
    pub(crate) board: Arc<Board>,
    pub(crate) pressure: Arc<Pressure>,
    /// Who is banned.
    pub(crate) bans: Arc<Bans>,
    pub(crate) draining: Draining,
    /// Where it is recorded what becomes of exchanges.
    pub(crate) records: Arc<Records>,
    /// Told the number of a generation when the worker has taken it over.
    pub(crate) adopted: mpsc::UnboundedSender<u64>,
    /// Beats while the worker's event loop turns.
    pub(crate) pulse: Arc<Pulse>,
    /// What we ask ourselves for, in the worker that answers it.
    pub(crate) asks: Option<Asks>,
}

/// Starts a worker's thread. It ends when the gateway drains and its last connection has ended.
pub(crate) fn start(equipment: Equipment) -> io::Result<JoinHandle<()>> {
    let name = format!("worker-{}", equipment.number);
    thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "a worker cannot start its event loop"),
        };
        let local = LocalSet::new();
        local.block_on(&runtime, run(equipment));
    })
}

async fn run(equipment: Equipment) {
    let Equipment {
        number,
        listeners,
        mut generations,
        cache,
        board,
        pressure,
        bans,
        draining,
        records,
        adopted,
        asks,
        pulse,
    } = equipment;
    let _beating = pulse.start();
    let first = Arc::clone(&generations.borrow_and_update());
    let worker = Rc::new(Worker {
        cache,
        gate: Gate::new(pressure, bans, &first.config.overload),
        ids: Rc::new(RequestIds::new()),
        recorder: records.recorder(),
        draining: draining.clone(),
        upstreams: RefCell::new(Rc::new(Upstreams::on(&board, &first.config.upstreams))),
        pipeline: RefCell::new(None),
    });
    worker.adopt(&first);
    let _ = adopted.send(first.number);
    if let Some(asks) = asks {
        tokio::task::spawn_local(warm::serve(asks, Rc::clone(&worker)));
    }
    let recorder = Rc::clone(&worker.recorder);
    tokio::task::spawn_local(async move { recorder.keep_up().await });
    let follower = Rc::clone(&worker);
    let following = tokio::task::spawn_local(async move {
        while generations.changed().await.is_ok() {
            let next = Arc::clone(&generations.borrow_and_update());
            follower.adopt(&next);
            let _ = adopted.send(next.number);
        }
    });
    let serving: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::task::spawn_local(listener.serve(Rc::clone(&worker), draining.clone())))
        .collect();
    for listener in serving {
        match listener.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(worker = number, %error, "a listener ended"),
            Err(error) => tracing::error!(worker = number, %error, "a listener panicked"),
        }
    }
    following.abort();
    // What was cut off may have left something to be done behind it.
    tokio::task::yield_now().await;
}

struct Worker {
    cache: Arc<Cache>,
    gate: Rc<Gate>,
    ids: Rc<RequestIds>,
    recorder: Rc<Recorder>,
    draining: Draining,
    upstreams: RefCell<Rc<Upstreams>>,
    pipeline: RefCell<Option<Rc<Pipeline>>>,
}

impl Worker {
    /// Takes a generation over. What did not change is kept: connections to endpoints, instances of plugins.
    fn adopt(&self, generation: &Generation) {
        let upstreams = Rc::new(self.upstreams.borrow().rebuilt(&generation.config.upstreams));
        *self.upstreams.borrow_mut() = Rc::clone(&upstreams);
        let before = self.pipeline.borrow().clone();
        let plan = Arc::clone(&generation.plan);
        self.trace(generation);
        let own = (Rc::clone(&self.ids), Rc::clone(&self.recorder), self.draining.clone());
        self.gate.limit(&generation.config.overload);
        let gate = Rc::clone(&self.gate);
        let next = Pipeline::new(plan, before.as_deref(), upstreams, Arc::clone(&self.cache), gate, own);
        // Dropping the old one ends the instances that nobody uses any more; exchanges under way hold it until they are done.
        *self.pipeline.borrow_mut() = Some(Rc::new(next));
    }
}

impl Worker {
    /// Traces as a generation wants it.
    fn trace(&self, generation: &Generation) {
        let plugins = generation.plan.plugins.iter().map(|loaded| (loaded.number, loaded.name.clone()));
        let routes = generation.config.routes.iter().map(|route| &route.matches);
        let patterns = routes.map(|route| (route.name.clone(), route.path.to_string().into()));
        self.recorder.spans().adopt(generation.config.tracing.as_ref(), plugins, patterns);
    }
}

impl Handle for Worker {
    async fn handle(&self, client: &Arc<Client>, request: http::Request<Body>) -> http::Response<Body> {
        let pipeline = self.pipeline.borrow().clone();
        match pipeline {
            Some(pipeline) => pipeline.handle(client, request).await,
            // A worker adopts its first generation before it listens.
            None => http::Response::new(Body::Empty),
        }
    }

    fn taken_back(&self, client: &Arc<Client>, request: http::Request<Body>) {
        if let Some(pipeline) = &*self.pipeline.borrow() {
            pipeline.taken_back(client, request);
        }
    }

    fn admits(&self, client: SocketAddr) -> bool {
        self.gate.admits(client, time::now())
    }

    fn refuse(&self, client: &Arc<Client>, failure: &Failure) -> http::Response<Body> {
        let pipeline = self.pipeline.borrow().clone();
        // A worker adopts its first generation before it listens.
        pipeline.map_or_else(|| http::Response::new(Body::Empty), |pipeline| pipeline.refuse(client, failure))
    }
}
