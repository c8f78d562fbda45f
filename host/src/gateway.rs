//! The one assembly point: builds everything in order, then keeps it in step with the files.
//!
//! Order: configuration → plugins → first generation → sockets → workers → watching. A later change goes through the same steps aside and
//! takes effect only whole; on any failure what is running stays.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::admin::{self, Status};
use crate::cache::Cache;
use crate::config::{self, Config};
use crate::generation::{Generation, wanted};
use crate::listener::Listener;
use crate::plugin::metrics::Registry;
use crate::plugin::{Change, Folder, Problem, Roster, Services, Watch, Watched};
use crate::shutdown::{Drain, Draining};
use crate::{time, worker};

/// Looks up environment variables.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where the configuration comes from.
pub struct Source {
    /// The main file.
    pub file: PathBuf,
    /// Overlays, merged over it in this order.
    pub overlays: Vec<PathBuf>,
    /// Looks up `${NAME}`.
    pub environment: Environment,
    /// Workers, where the command line says so.
    pub workers: Option<usize>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.file.display())
    }
}

impl Source {
    /// Reads and checks the configuration.
    pub fn load(&self) -> Result<Config, config::Problems> {
        let mut config = config::load(&self.file, &self.overlays, &*self.environment)?;
        if let Some(workers) = self.workers {
            config.workers = workers.max(1);
        }
        Ok(config)
    }

    /// What could be understood of the configuration, and everything that is wrong with it.
    pub fn examine(&self) -> (Option<Config>, Option<config::Problems>) {
        config::examine(&self.file, &self.overlays, &*self.environment)
    }

    /// Every file that it is read from.
    fn files(&self) -> Vec<PathBuf> {
        let all = std::iter::once(&self.file).chain(&self.overlays);
        all.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())).collect()
    }
}

/// What asks the gateway to do something.
#[derive(Debug)]
enum Event {
    Changed(Watched),
    Drain,
}

/// Tells a gateway what to do, from before it starts.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Event>);

/// What a gateway has been told.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<Event>);

impl Control {
    /// A way to tell a gateway what to do, and what the gateway is started with.
    pub fn new() -> (Self, Orders) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), Orders(receiver))
    }

    /// Reads configuration and plugins again.
    pub fn reload(&self) {
        let _ = self.0.send(Event::Changed(Watched { folder: true, configuration: true }));
    }

    /// Ends the gateway once the exchanges under way are done, or the drain timeout is over.
    pub fn drain(&self) {
        let _ = self.0.send(Event::Drain);
    }
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Gateway {
    source: Source,
    services: Arc<Services>,
    folder: Folder,
    generation: Arc<Generation>,
    generations: watch::Sender<Arc<Generation>>,
    status: Arc<Mutex<Status>>,
    drain: Drain,
    draining: Draining,
    workers: Vec<JoinHandle<()>>,
    events: mpsc::Receiver<Event>,
    control: Control,
    watch: Option<Watch>,
    addresses: Vec<std::net::SocketAddr>,
    problems: Vec<Problem>,
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
    /// The system refuses something the gateway needs.
    #[error("{0}")]
    System(String),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Loads what a configuration wants of the plugin folder.
pub fn plugins(
    services: &Arc<Services>,
    folder: &mut Folder,
    config: &Config,
) -> Result<(Roster, Vec<Problem>), StartError> {
    folder.scan(services).map_err(|error| StartError::Folder { path: folder.path().to_owned(), error })?;
    let next = Roster::default().next(services, folder, &wanted(config), Change::Configuration);
    next.map_err(|refused| StartError::Plugins(refused.0))
}

impl Gateway {
    /// Starts the gateway: when this returns, clients can connect.
    pub fn start(source: Source, config: Config, (control, orders): (Control, Orders)) -> Result<Self, StartError> {
        let system = |error: &dyn std::fmt::Display| StartError::System(error.to_string());
        let services = Services::new(Arc::new(Registry::default())).map_err(|error| system(&error))?;
        let mut folder = Folder::new(config.plugins.directory.clone());
        let (roster, problems) = plugins(&services, &mut folder, &config)?;
        for problem in &problems {
            tracing::error!("{problem}");
        }
        let generation = Generation::new(1, Arc::new(config), roster).map_err(|error| system(&error))?;
        let generation = Arc::new(generation);
        let (generations, _) = watch::channel(Arc::clone(&generation));
        let (drain, draining) = Drain::new();
        let mut gateway = Self {
            status: Arc::new(Mutex::new(Status::default())),
            source,
            services,
            folder,
            generation,
            generations,
            drain,
            draining,
            workers: Vec::new(),
            events: orders.0,
            control,
            watch: None,
            addresses: Vec::new(),
            problems,
        };
        // Before anybody learns that the gateway listens, so that no change from then on is missed.
        gateway.follow_files();
        gateway.open()?;
        gateway.report();
        Ok(gateway)
    }

    /// Binds all sockets, then starts workers and the admin listener.
    fn open(&mut self) -> Result<(), StartError> {
        let config = Arc::clone(&self.generation.config);
        let system = |error: std::io::Error| StartError::System(error.to_string());
        let mut sockets: Vec<Vec<Listener>> = (0..config.workers).map(|_| Vec::new()).collect();
        for settings in &config.listeners {
            let address = settings.address;
            let bound =
                Listener::bind_for(settings, config.workers).map_err(|error| StartError::Listen { address, error })?;
            for (worker, listener) in sockets.iter_mut().zip(bound) {
                if worker.is_empty() || !self.addresses.contains(&listener.address()) {
                    self.addresses.push(listener.address());
                }
                worker.push(listener);
            }
        }
        self.addresses.dedup();
        let cache = Arc::new(Cache::new(&config.cache));
        let (adopted, adoptions) = tokio::sync::mpsc::unbounded_channel();
        for (number, listeners) in sockets.into_iter().enumerate() {
            let equipment = worker::Equipment {
                number,
                listeners,
                generations: self.generations.subscribe(),
                cache: Arc::clone(&cache),
                draining: self.draining.clone(),
                adopted: adopted.clone(),
            };
            self.workers.push(worker::start(equipment).map_err(system)?);
        }
        admin::log_adoptions(adoptions, config.workers, &self.status).map_err(system)?;
        if let Some(address) = config.admin {
            let bound = admin::start(address, Arc::clone(&self.status), self.draining.clone());
            let bound = bound.map_err(|error| StartError::Listen { address, error })?;
            tracing::info!(address = %bound, "admin listening");
        }
        for address in &self.addresses {
            tracing::info!(%address, "listening");
        }
        Ok(())
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.addresses
    }

    /// Keeps the gateway in step with its files until it is told to drain; then waits for what is under way.
    pub fn run(mut self) {
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Changed(watched) => self.change(watched),
                Event::Drain => break,
            }
        }
        self.end();
    }

    fn end(mut self) {
        let timeout = self.generation.config.drain_timeout;
        tracing::info!(timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX), "draining");
        self.drain.start();
        let deadline = time::now() + timeout;
        while self.workers.iter().any(|worker| !worker.is_finished()) {
            if time::now() >= deadline {
                tracing::warn!("drain timeout: connections that are still open are closed");
                break;
            }
            // A second signal ends the wait.
            match self.events.recv_timeout(Duration::from_millis(10)) {
                Ok(Event::Drain) => break,
                Ok(Event::Changed(_)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        for worker in self.workers.drain(..).filter(JoinHandle::is_finished) {
            let _ = worker.join();
        }
        tracing::info!("stopped");
    }

    fn follow_files(&mut self) {
        let sender = self.control.0.clone();
        let folder = std::path::absolute(self.folder.path()).unwrap_or_else(|_| self.folder.path().to_owned());
        let changed = move |watched| drop(sender.send(Event::Changed(watched)));
        let mut files = self.source.files();
        files.extend(self.generation.config.included.iter().filter_map(|file| std::path::absolute(file).ok()));
        self.watch = match Watch::new(&folder, &files, changed) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::error!(%error, "files cannot be watched; changes take effect after SIGHUP");
                None
            }
        };
    }

    /// Makes the next generation after a change of files. On any failure the present one stays.
    fn change(&mut self, watched: Watched) {
        let mut config = Arc::clone(&self.generation.config);
        let mut change = Change::Folder;
        if watched.configuration {
            match self.source.load() {
                Ok(loaded) => {
                    config = Arc::new(loaded);
                    change = Change::Configuration;
                }
                Err(problems) => {
                    tracing::error!("configuration refused, the running one stays:\n{problems}");
                    self.problems_of_change("configuration", problems.to_string());
                    return;
                }
            }
        }
        let moved = config.plugins.directory != self.folder.path();
        if moved {
            self.folder = Folder::new(config.plugins.directory.clone());
        }
        if let Err(error) = self.folder.scan(&self.services) {
            tracing::error!(folder = %self.folder.path().display(), %error, "the plugin folder cannot be read; the running plugins stay");
            return;
        }
        let next = self.generation.roster.next(&self.services, &self.folder, &wanted(&config), change);
        let (roster, problems) = match next {
            Ok(next) => next,
            Err(refused) => {
                tracing::error!("configuration refused, the running one stays:\n{}", lines(&refused.0));
                self.problems_of_change("plugins", lines(&refused.0));
                return;
            }
        };
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::error!("{problem}");
        }
        self.problems = problems;
        if change == Change::Folder && roster.is_same(&self.generation.roster) {
            // Nothing that serves has changed; only what is wrong may have.
            return self.report();
        }
        match Generation::new(self.generation.number + 1, config, roster) {
            Ok(generation) => self.publish(generation, moved),
            Err(error) => tracing::error!(error, "the running generation stays"),
        }
    }

    fn publish(&mut self, generation: Generation, moved: bool) {
        let before = std::mem::replace(&mut self.generation, Arc::new(generation));
        let (old, new) = (&before.config, &self.generation.config);
        if old.listeners != new.listeners
            || old.workers != new.workers
            || old.admin != new.admin
            || old.cache != new.cache
        {
            tracing::warn!("listeners, workers, admin and cache sizes take effect at the next start");
        }
        for (name, code, _) in self.generation.roster.plugins() {
            let known = before.roster.plugins().find(|(known, _, _)| *known == name);
            if known.is_none_or(|(_, before, _)| before.hash != code.hash) {
                tracing::info!(plugin = %name, version = %code.description.version, hash = %code.hash, "plugin takes over");
            }
        }
        for (name, _, _) in before.roster.plugins() {
            if self.generation.roster.plugins().all(|(known, _, _)| known != name) {
                tracing::info!(plugin = %name, "plugin leaves");
            }
        }
        tracing::info!(generation = self.generation.number, "generation takes over");
        self.status.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
        self.generations.send_replace(Arc::clone(&self.generation));
        if moved || before.config.included != self.generation.config.included {
            self.follow_files();
        }
        self.report();
    }

    fn problems_of_change(&self, of: &'static str, what: String) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.refused = Some((of, what));
    }

    fn report(&self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.generation = Some(Arc::clone(&self.generation));
        status.metrics = Some(Arc::clone(&self.services.metrics));
        status.problems = self.problems.iter().map(ToString::to_string).collect();
    }
}
