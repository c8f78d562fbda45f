//! What operators ask and do: health, metrics, state, and every change, over HTTP on a listener of its own.
//!
//! It has a thread of its own, so that asking costs no request its latency. Without credentials there is health and the page to sign in;
//! everything else goes through the table of endpoints (`endpoint`), is allowed by a role, and where it changes something, written
//! down first (`audit`).

mod settings;

mod access;
mod adoptions;
mod answer;
mod audit;
mod body;
mod context;
mod endpoint;
mod openapi;
mod respond;
mod router;
mod store;
mod target;
mod trouble;

mod alerts;
mod bans;
mod cache;
mod certificates;
mod condition;
mod configuration;
mod dashboard;
mod health;
mod hints;
mod journal;
mod log;
mod metrics;
mod pages;
mod plugins;
mod protection;
mod purge;
mod routes;
mod sampler;
mod session;
mod state;
mod traps;
mod upstreams;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

use crate::cdn::Forwarder;
use crate::condition::Monitor;
use crate::gateway::Operations;
use crate::generation::Generation;
use crate::listener::{Listener, Local, Predecessor};
use crate::plugin::Loaded;
use crate::plugin::metrics::Registry;
use crate::purger::Purger;
use crate::redis::Redis;
use crate::shutdown::Draining;
use crate::time::{self, Instant};
use crate::traffic::bans::Bans;
use crate::traffic::rate::Limits;
use crate::upstream::Board;

pub(crate) use adoptions::log_adoptions;
pub(crate) use metrics::{Instruments, written};
pub(crate) use sampler::start as sample;
pub use settings::{Access, CertificateHolder, Mark, Role, Settings, Socket, Token, listener_settings};

use access::Doorkeeper;
use audit::Audit;
use endpoint::Endpoint;
use router::Router;

/// What the gateway is at the moment.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) generation: Option<Arc<Generation>>,
    pub(crate) metrics: Option<Arc<Registry>>,
    /// What is known of the process besides.
    pub(crate) monitor: Option<Arc<Monitor>>,
    /// What is known of endpoints.
    pub(crate) board: Option<Arc<Board>>,
    /// Who is banned.
    pub(crate) bans: Arc<Bans>,
    /// What plugins hold clients to.
    pub(crate) limits: Arc<Limits>,
    /// What forwards purges to CDNs.
    pub(crate) cdn: Forwarder,
    /// The link to Redis.
    pub(crate) redis: Option<Redis>,
    /// What purges, and what is purged.
    pub(crate) purger: Option<Arc<Purger>>,
    /// What is wrong with plugin files although the gateway serves.
    pub(crate) problems: Vec<String>,
    /// The last change that was refused, until one is taken over: of what, and why.
    pub(crate) refused: Option<(&'static str, String)>,
    /// What of the configuration is other than what the process started with and takes effect at a start only, as paths.
    pub(crate) restart_needed: Vec<&'static str>,
    /// Why the audit log could not be written when it was to be last, so that a change was refused.
    pub(crate) audit_trouble: Arc<Mutex<Option<String>>>,
    /// The newest generation that every worker has taken over.
    pub(crate) adopted: u64,
    /// What measures.
    pub(crate) instruments: Instruments,
    /// Tells of `adopted` whenever it grows.
    pub(crate) serving: watch::Sender<u64>,
    /// What operators can change.
    pub(crate) operations: Option<Operations>,
}

pub(crate) type Shared = Arc<Mutex<Status>>;

/// What of the process stays the same as long as it lives.
#[derive(Clone)]
pub(crate) struct Process {
    /// How many workers it has.
    pub(crate) workers: usize,
    /// Where clients connect, and whether TLS is spoken there.
    pub(crate) listeners: Vec<(SocketAddr, bool)>,
    /// Lets the gateway drain.
    pub(crate) drain: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} workers)", self.workers)
    }
}

/// What operators are answered with.
#[derive(Debug)]
pub(crate) struct Equipment {
    pub(crate) settings: Settings,
    pub(crate) listener: Option<Listener>,
    pub(crate) local: Option<Local>,
    pub(crate) status: Shared,
    pub(crate) process: Process,
    pub(crate) draining: Draining,
    /// Given when operators are not answered any more.
    pub(crate) leaving: Draining,
}

/// The table of endpoints.
fn endpoints() -> Vec<Endpoint> {
    let all = [
        openapi::endpoints(),
        metrics::endpoints(),
        condition::endpoints(),
        alerts::endpoints(),
        hints::endpoints(),
        state::endpoints(),
        configuration::endpoints(),
        plugins::endpoints(),
        traps::endpoints(),
        upstreams::endpoints(),
        routes::endpoints(),
        certificates::endpoints(),
        cache::endpoints(),
        bans::endpoints(),
        protection::endpoints(),
        journal::endpoints(),
        log::endpoints(),
        sampler::endpoints(),
        session::endpoints(),
    ];
    all.into_iter().flatten().collect()
}

/// The admin listener, on a socket that was `handed` over if there is one. Another gateway on that address is an error: who
/// asks must know whom.
pub(crate) fn listener(
    settings: &crate::listener::Settings,
    handed: Option<std::net::TcpListener>,
) -> io::Result<Listener> {
    if let Some(socket) = handed {
        return Listener::on(settings, socket);
    }
    // Listeners share addresses, since workers do. A socket that does not share finds out whether somebody is there.
    drop(std::net::TcpListener::bind(settings.address)?);
    Listener::bind(settings)
}

/// The Unix socket for operators. That of a gateway which hands its sockets over is replaced.
pub(crate) fn local(socket: &Socket, predecessor: Predecessor) -> io::Result<Local> {
    let settings = listener_settings(SocketAddr::from(([127, 0, 0, 1], 0)), None);
    Local::bind(&settings, &socket.path, socket.mode, predecessor)
}

/// Starts to answer operators.
pub(crate) fn start(equipment: Equipment) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let built_in = prepared(&equipment.settings);
    let trouble = Arc::clone(&equipment.status.lock().unwrap_or_else(PoisonError::into_inner).audit_trouble);
    thread::Builder::new().name("admin".into()).spawn(move || {
        let Equipment { settings, listener, local, status, process, draining, leaving } = equipment;
        let admin = Rc::new(Admin {
            status,
            process,
            draining,
            doorkeeper: Doorkeeper::new(built_in),
            audit: Audit::new(&settings.state, trouble),
            router: Router::new(endpoints()),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            started: (time::now(), time::unix()),
            settings,
        });
        let desk = Rc::new(respond::Desk(Rc::clone(&admin)));
        let by_address = async {
            match listener {
                Some(listener) => listener.serve(Rc::clone(&desk), leaving.clone()).await,
                None => Ok(()),
            }
        };
        let by_socket = async {
            match local {
                Some(local) => local.serve(Rc::clone(&desk), leaving.clone()).await,
                None => Ok(()),
            }
        };
        let set = LocalSet::new();
        set.spawn_local(token_when_none_is_left(Rc::clone(&admin)));
        let (one, other) = set.block_on(&runtime, async { tokio::join!(by_address, by_socket) });
        if let Err(error) = one.and(other) {
            tracing::error!(%error, "the admin listener ended");
        }
    })?;
    Ok(())
}

/// Makes the folder, and the token if it counts from the start.
fn prepared(settings: &Settings) -> Option<[u8; 32]> {
    if let Err(error) = store::prepare(&settings.state) {
        tracing::error!(path = %settings.state.display(), %error, "admin.state: cannot be made; nothing can be changed");
    }
    if settings.access.tokens.is_empty() { built_in(settings) } else { None }
}

/// Sees to it that somebody gets in also after the last token has been taken out of the configuration.
async fn token_when_none_is_left(admin: Rc<Admin>) {
    let mut serving = admin.status.lock().unwrap_or_else(PoisonError::into_inner).serving.subscribe();
    while serving.changed().await.is_ok() {
        if admin.access().tokens.is_empty() && !admin.doorkeeper.has_built_in() {
            built_in(&admin.settings).into_iter().for_each(|digest| admin.doorkeeper.take_built_in(digest));
        }
    }
}

/// The token that counts where none is configured; made if there is none. A gateway that cannot make one still serves.
fn built_in(settings: &Settings) -> Option<[u8; 32]> {
    match store::token(&settings.state) {
        Ok((digest, path, store::Made::Now)) => {
            tracing::info!(path = %path.display(), "admin token made");
            Some(digest)
        }
        Ok((digest, path, store::Made::Before)) => {
            tracing::info!(path = %path.display(), "admin token read");
            Some(digest)
        }
        Err(error) => {
            let folder = settings.state.display();
            tracing::error!(%folder, %error, "no admin token can be made; add admin.tokens or make the folder writable");
            None
        }
    }
}

/// Uploads that are taken at once; each is kept in memory whole until it is answered.
const UPLOADS_MAX: usize = 2;
/// Longest wait for a turn.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(5);

/// What answers operators.
#[derive(Debug)]
struct Admin {
    status: Shared,
    process: Process,
    draining: Draining,
    settings: Settings,
    doorkeeper: Doorkeeper,
    audit: Audit,
    router: Router,
    uploads: Arc<Semaphore>,
    /// On the two clocks.
    started: (Instant, Duration),
}

impl Admin {
    /// Who may do what, at the moment.
    fn access(&self) -> Access {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let now = status.generation.as_ref().and_then(|generation| generation.config.admin.as_ref());
        now.map_or_else(|| self.settings.access.clone(), |admin| admin.access.clone())
    }
}

/// Every variant of every plugin that runs.
fn plugins(status: &Status) -> impl Iterator<Item = &Arc<Loaded>> {
    status.generation.iter().flat_map(|generation| generation.roster.plugins()).flat_map(|(_, _, variants)| variants)
}
