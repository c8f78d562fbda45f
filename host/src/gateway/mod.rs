//! The one assembly point: builds everything in order, then keeps it in step with the files.
//!
//! Order: configuration → plugins → Redis → first generation → sockets → workers → watching. A later change goes through the same steps aside and
//! takes effect only whole; on any failure what is running stays.

mod change;
mod control;
mod doors;
mod ending;
mod health;
mod inherited;
mod limits;
pub mod operate;
mod operators;
mod plugins;
mod source;
mod stored;
mod telling;
mod upgrade;

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::admin::{self, Status};
use crate::cache::Cache;
use crate::cdn::Forwarder;
use crate::condition::{self, Monitor};
use crate::config::Config;
use crate::generation::Generation;
use crate::plugin::metrics::Registry;
use crate::plugin::{Folder, Problem, Services, Watch};
use crate::purger::Purger;
use crate::redis::Redis;
use crate::shutdown::{Drain, Draining};
use crate::telemetry::Records;
use crate::traffic::Pressure;
use crate::upstream::Board;
use crate::{acme, modes, time, tls, warm, worker};

use change::{Followed, Refused};
use control::Event;
use inherited::notify;
use operate::Desk;
use plugins::lines;
use upgrade::Sockets;

pub use control::{Control, Orders};
pub use inherited::Inherited;
pub use operate::Operations;
pub use plugins::plugins;
pub use source::{Environment, Source};

/// A gateway that serves.
#[derive(Debug)]
pub struct Gateway {
    source: Source,
    services: Arc<Services>,
    folder: Folder,
    generation: Arc<Generation>,
    /// The configuration that the process started with: what takes effect at a start only is that one's.
    started: Arc<Config>,
    generations: watch::Sender<Arc<Generation>>,
    status: Arc<Mutex<Status>>,
    drain: Drain,
    draining: Draining,
    /// Given to those who answer operators, who look on while the gateway drains.
    leaving: Draining,
    workers: Vec<JoinHandle<()>>,
    events: mpsc::Receiver<Event>,
    control: Control,
    sockets: Sockets,
    /// What the running listeners accept TLS by, by the address in the configuration.
    tls: Vec<(std::net::SocketAddr, tls::Slot)>,
    watch: Option<Watch>,
    /// What `watch` watches.
    followed: Followed,
    /// The configuration that was refused last, as far as it was understood, until one is taken over.
    refused: Option<Refused>,
    addresses: Vec<std::net::SocketAddr>,
    problems: Vec<Problem>,
    /// What is known of endpoints.
    board: Arc<Board>,
    /// Forwards purges to CDNs.
    cdn: Forwarder,
    /// What is stored, once there are workers.
    cache: Option<Arc<Cache>>,
    /// The link to the Redis that instances share, where there is one.
    redis: Option<Redis>,
    /// Purges what is stored, once there is something.
    purger: Option<Arc<Purger>>,
    /// What was wrong with what was stored at the last end.
    cache_trouble: Vec<String>,
    /// What is recorded of exchanges.
    records: Arc<Records>,
    /// Obtains certificates, once a configuration wants that.
    acme: Option<JoinHandle<()>>,
    /// What operators ordered, and by what they order.
    desk: Desk,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its plugins are not what the configuration wants.
    #[error("{}", lines(.0))]
    Plugins(Vec<Problem>),
    /// The plugin folder cannot be read.
    #[error("plugins.directory: cannot read {}: {error}; create the folder", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A Unix socket cannot be listened on.
    #[error("cannot listen on {}: {error}", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The system refuses something the gateway needs.
    #[error("{0}")]
    System(String),
}

impl Gateway {
    /// Starts the gateway: when this returns, clients can connect.
    pub fn start(
        source: Source,
        config: Config,
        (control, orders): (Control, Orders),
        mut inherited: Inherited,
    ) -> Result<Self, StartError> {
        let system = |error: &dyn std::fmt::Display| StartError::System(error.to_string());
        let services = Services::new(Arc::new(Registry::default())).map_err(|error| system(&error))?;
        let (bans, limits) = limits::start(&services, &config);
        let mut folder = Folder::new(config.plugins.directory.clone());
        let (roster, problems) = plugins(&services, &mut folder, &config)?;
        for problem in &problems {
            tracing::error!("{problem}");
        }
        // It need not be there yet.
        let redis = config.redis.clone().map(Redis::start).transpose().map_err(|error| system(&error))?;
        let generation = Generation::new(1, Arc::new(config), roster).map_err(|error| system(&error))?;
        let generation = Arc::new(generation);
        let records = telling::start(&generation).map_err(StartError::System)?;
        let (generations, _) = watch::channel(Arc::clone(&generation));
        let cdn = Forwarder::default();
        let status = Status { bans, limits, cdn: cdn.clone(), redis: redis.clone(), ..Status::default() };
        let serving = status.serving.subscribe();
        let watched = (generations.subscribe(), serving, orders.draining.clone());
        let desk = Desk::new(&control, watched, &services, (&source.file, &generation.config));
        let status = Status { operations: Some(desk.operations.clone()), ..status };
        let mut gateway = Self {
            status: Arc::new(Mutex::new(status)),
            source,
            services,
            folder,
            started: Arc::clone(&generation.config),
            generation,
            generations,
            drain: orders.drain,
            draining: orders.draining,
            leaving: orders.leaving,
            workers: Vec::new(),
            events: orders.events,
            control,
            sockets: orders.sockets,
            tls: Vec::new(),
            watch: None,
            followed: Followed::default(),
            refused: None,
            addresses: Vec::new(),
            problems,
            board: Arc::default(),
            cdn,
            redis,
            cache: None,
            purger: None,
            cache_trouble: Vec::new(),
            records,
            acme: None,
            desk,
        };
        // Before anybody learns that the gateway listens, so that no change from then on is missed.
        gateway.follow_files(true);
        gateway.open(&mut inherited)?;
        gateway.report();
        gateway.found_in_file();
        inherited.ready();
        Ok(gateway)
    }

    /// Binds all sockets, then starts workers and the admin listener.
    fn open(&mut self, inherited: &mut Inherited) -> Result<(), StartError> {
        let config = Arc::clone(&self.generation.config);
        let system = |error: std::io::Error| StartError::System(error.to_string());
        let wanted: Vec<_> = config
            .listeners
            .iter()
            .map(|settings| settings.address)
            .chain(config.admin.iter().filter_map(|admin| admin.address()))
            .collect();
        let sockets = self.bind(&config, &wanted, inherited)?;
        // Before anybody can purge.
        self.tell_cdns();
        self.tell_traces();
        let cache = self.fill_cache(&config).map_err(system)?;
        let pressure = Pressure::watch(&config.overload).map_err(system)?;
        let monitor = Arc::new(Monitor::new(Arc::clone(&pressure), self.draining.clone()));
        self.cache_trouble.drain(..).for_each(|what| monitor.cache_trouble(what));
        self.status.lock().unwrap_or_else(PoisonError::into_inner).monitor = Some(Arc::clone(&monitor));
        modes::switch().keep_stale(config.modes.stale_kept);
        let (ask, asked) = warm::channel();
        let mut asks = config.warm.is_some().then_some(asked);
        let (adopted, adoptions) = tokio::sync::mpsc::unbounded_channel();
        for (number, listeners) in sockets.into_iter().enumerate() {
            let equipment = worker::Equipment {
                number,
                listeners,
                generations: self.generations.subscribe(),
                cache: Arc::clone(&cache),
                board: Arc::clone(&self.board),
                pressure: Arc::clone(&pressure),
                bans: self.bans(),
                draining: self.draining.clone(),
                records: Arc::clone(&self.records),
                adopted: adopted.clone(),
                pulse: monitor.pulse(number, time::now()),
                asks: asks.take(),
            };
            self.workers.push(worker::start(equipment).map_err(system)?);
        }
        health::start(Arc::clone(&self.board), self.generations.subscribe(), self.draining.clone()).map_err(system)?;
        admin::sample(&self.status).map_err(system)?;
        admin::log_adoptions(adoptions, config.workers, &self.status).map_err(system)?;
        condition::start(monitor, Arc::clone(&self.status), self.draining.clone()).map_err(system)?;
        if let Some(settings) = &config.admin {
            self.open_admin(settings, &wanted, inherited)?;
        }
        for address in &self.addresses {
            tracing::info!(%address, "listening");
        }
        if let Some(settings) = &config.warm {
            warm::start(settings.clone(), ask).map_err(system)?;
        }
        // Last, because a CA looks at what listens.
        self.obtain_certificates();
        Ok(())
    }

    /// Starts to obtain certificates where that is wanted and not done yet. A gateway that cannot still serves.
    fn obtain_certificates(&mut self) {
        if self.acme.is_some() || self.generation.config.acme.is_none() {
            return;
        }
        match acme::start(self.generations.subscribe(), self.draining.clone()) {
            Ok(thread) => self.acme = Some(thread),
            Err(error) => tracing::error!(%error, "certificates cannot be obtained"),
        }
    }

    /// Forwards purges to the CDNs of the present configuration. A gateway that cannot still serves.
    fn tell_cdns(&self) {
        if let Err(error) = self.cdn.adopt(&self.generation.config.cdn) {
            tracing::error!(%error, "purges cannot be forwarded to CDNs");
        }
    }

    /// Exports spans as the present configuration wants it. A gateway that cannot still serves.
    fn tell_traces(&self) {
        let config = &self.generation.config;
        if let Err(error) = self.records.spans().adopt(config.tracing.as_ref(), config.workers) {
            tracing::error!(%error, "spans cannot be exported");
        }
    }

    /// What operators can change while it runs.
    pub fn operations(&self) -> &Operations {
        &self.desk.operations
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.addresses
    }

    /// Keeps the gateway in step with its files until it is told to drain; then waits for what is under way.
    pub fn run(mut self) {
        let asked = loop {
            match self.events.recv() {
                // Whoever is about to end does not compile.
                Ok(Event::Changed(_)) if self.draining.started() => {}
                Ok(Event::Changed(watched)) => {
                    notify("STATUS=taking over a change");
                    self.change(watched);
                    notify("STATUS=serving");
                }
                Ok(Event::Order(order)) if self.draining.started() => order.refuse(),
                Ok(Event::Order(order)) => self.perform(*order),
                Ok(Event::Drain(asked)) => break asked,
                Err(_) => break time::now(),
            }
        };
        self.end(asked);
    }
}
