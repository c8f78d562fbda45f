//! Asks endpoints whether they are well and names where they lead, once per process and off the way of requests.
//!
//! One task per upstream, and one per endpoint that is checked. What they find is on the [`Board`]; workers only read. A task
//! ends when its upstream is configured otherwise, and begins anew with what was known.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Version, header};
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Limited};
use tokio::task::AbortHandle;

use super::check::Verdict;
use super::whereabouts::{Whereabouts, name_of};
use super::{Board, Check, Initially, Site, Up, Vital};
use crate::exchange::{Client, Request};
use crate::http::Body;
use crate::names::Name;
use crate::time;
use crate::upstream::balance::{Balance, Dice};
use crate::upstream::{Ejection, Endpoint, Guards, Settings, Share, Upstreams};

/// Most of a body that is looked at.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest time for looking up a name; what takes longer is tried again.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Watches the upstreams of the present configuration.
pub struct Overseer {
    board: Arc<Board>,
    watched: Vec<Watched>,
}

struct Watched {
    settings: Rc<Settings>,
    _task: Task,
}

/// A task that ends with this.
struct Task(AbortHandle);

impl Task {
    fn start(work: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Overseer {
    /// Watches nothing yet. Must run on a `LocalSet`.
    pub fn new(board: Arc<Board>) -> Self {
        Self { board, watched: Vec::new() }
    }

    /// Watches the upstreams of another configuration. Where one stays as it was, nobody notices.
    pub fn adopt(&mut self, settings: &[Settings]) {
        let mut before = std::mem::take(&mut self.watched);
        for settings in settings {
            let same = before.iter().position(|watched| *watched.settings == *settings);
            self.watched.push(match same {
                Some(index) => before.swap_remove(index),
                None => {
                    let settings = Rc::new(settings.clone());
                    let task = Task::start(watch(Rc::clone(&settings), Arc::clone(&self.board)));
                    Watched { settings, _task: task }
                }
            });
        }
    }
}

/// Keeps one upstream's names looked up and its endpoints checked.
async fn watch(settings: Rc<Settings>, board: Arc<Board>) {
    // Workers do not look there where names are looked up for each connection, nor must we.
    let named = settings.resolve_interval.is_some();
    let whereabouts = if named { board.whereabouts(&settings.name) } else { Arc::default() };
    let dice = Dice::new();
    let mut checked: Vec<(Site, Task)> = Vec::new();
    let mut failing = false;
    let named = settings.endpoints.iter().any(|share| name_of(&share.endpoint).is_some());
    loop {
        if let Some(interval) = settings.resolve_interval.filter(|_| named) {
            failing = look_up(&settings, &whereabouts, failing).await;
            follow(&mut checked, &settings, &whereabouts, &board);
            tokio::time::sleep(jittered(interval, &dice)).await;
        } else {
            follow(&mut checked, &settings, &whereabouts, &board);
            return std::future::pending().await;
        }
    }
}

/// Looks up all names of an upstream. Whether one of them could not be.
async fn look_up(settings: &Settings, whereabouts: &Whereabouts, failing: bool) -> bool {
    let lookups = settings.endpoints.iter().filter_map(|share| {
        let (host, port) = name_of(&share.endpoint)?;
        Some(async move { (&share.endpoint, addresses(host, port).await) })
    });
    let mut failed = false;
    for (endpoint, looked_up) in join_all(lookups).await {
        match looked_up {
            Ok(addresses) => {
                let count = addresses.len();
                if whereabouts.note(endpoint, addresses) {
                    tracing::info!(upstream = %settings.name, %endpoint, count, "endpoint addresses changed");
                }
            }
            Err(error) => {
                failed = true;
                // Once, not every interval.
                if !failing {
                    tracing::warn!(upstream = %settings.name, %endpoint, "name not found, addresses stay: {error}");
                }
            }
        }
    }
    failed
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.collect();
            if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
    }
}

/// Checks the endpoints that there are now, and no others.
fn follow(checked: &mut Vec<(Site, Task)>, settings: &Rc<Settings>, whereabouts: &Whereabouts, board: &Board) {
    let sites = whereabouts.sites(&settings.endpoints);
    checked.retain(|(known, _)| sites.iter().any(|(_, site)| site == known));
    for (_, site) in sites {
        let vital = board.vital(&settings.name, &site, initially(settings));
        match &settings.health {
            None => vital.release(),
            Some(_) if checked.iter().any(|(known, _)| *known == site) => {}
            Some(check) => {
                let work = examine(Rc::clone(settings), check.clone(), site.clone(), vital);
                checked.push((site, Task::start(work)));
            }
        }
    }
}

/// What an endpoint of an upstream is taken for before anything is known.
pub(in crate::upstream) fn initially(settings: &Settings) -> Up {
    match &settings.health {
        Some(Check { initially: Initially::Unhealthy, .. }) => Up::No,
        _ => Up::Yes,
    }
}

/// Checks one endpoint again and again.
async fn examine(settings: Rc<Settings>, check: Check, site: Site, vital: Arc<Vital>) {
    let dice = Dice::new();
    let probe = Probe::new(&settings, &check, &site);
    let (up, known) = (if vital.is_up() { Up::Yes } else { Up::No }, vital.is_known());
    let mut verdict = Verdict::new(up, known);
    loop {
        let found = match tokio::time::timeout(check.timeout, probe.ask(&check)).await {
            Ok(found) => found,
            Err(_) => Err(format!("no answer within {} ms", check.timeout.as_millis())),
        };
        let turned = verdict.judge(if found.is_ok() { Up::Yes } else { Up::No }, &check);
        vital.learn();
        if let Some(up) = turned {
            vital.turn(up, time::now());
            tell(&settings.name, &site, &found);
        }
        tokio::time::sleep(jittered(check.interval, &dice)).await;
    }
}

fn tell(upstream: &Name, endpoint: &Site, found: &Result<(), String>) {
    match found {
        Ok(()) => tracing::info!(%upstream, %endpoint, "endpoint healthy"),
        Err(why) => tracing::warn!(%upstream, %endpoint, "endpoint unhealthy: {why}"),
    }
}

/// Give or take a tenth, so that not all endpoints are asked at the same moment for ever.
fn jittered(interval: Duration, dice: &Dice) -> Duration {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos((nanos - nanos / 10).saturating_add(dice.below(nanos / 5)))
}

/// What asks one endpoint, on a new connection each time: as a client's first request would find it.
struct Probe {
    upstreams: Upstreams,
    client: Client,
    request: Request,
}

impl Probe {
    fn new(settings: &Settings, check: &Check, site: &Site) -> Self {
        let alone = Settings {
            endpoints: vec![Share::of(site.endpoint.clone())],
            balance: Balance::default(),
            ejection: Ejection::NEVER,
            guards: Guards::default(),
            health: None,
            resolve_interval: None,
            connect_timeout: check.timeout,
            response_timeout: check.timeout,
            idle_timeout: check.timeout,
            idle_connections_max: 0,
            connections_max: usize::MAX,
            ..settings.clone()
        };
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let request = Request {
            method: check.method.clone(),
            authority: check.host.clone().unwrap_or_else(|| host(&site.endpoint)),
            target: check.target.clone(),
            headers: HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static("portcullis-health"))]),
            version: Version::HTTP_11,
            upgrade: None,
        };
        Self { upstreams: Upstreams::only(alone, site), client: Client::new(nobody, nobody, None), request }
    }

    /// Asks once. Otherwise gives what is wrong.
    async fn ask(&self, check: &Check) -> Result<(), String> {
        let sent = self.upstreams.send(0, &self.client, &self.request, Body::Empty).await;
        let response = sent.map_err(|error| error.to_string())?.response;
        if !check.takes(response.status) {
            return Err(format!("it answers with {}", response.status.as_u16()));
        }
        let Some(expected) = &check.body else { return Ok(()) };
        let whole = Limited::new(response.body, BODY_BYTES_MAX).collect().await;
        let bytes = whole.map_err(|error| format!("its body cannot be read: {error}"))?.to_bytes();
        match expected.is_in(&String::from_utf8_lossy(&bytes)) {
            true => Ok(()),
            false => Err("its body is not the expected one".to_owned()),
        }
    }
}

fn host(endpoint: &Endpoint) -> Arc<str> {
    Arc::from(endpoint.to_string())
}
