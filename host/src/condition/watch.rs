//! The thread that looks at the whole about once a second: it lets alerts be evaluated and told, tells clients the words for how the gateway
//! is, and logs when that changes.
//!
//! Nobody waits for it, and it waits for nobody: webhooks are told by tasks of its event loop, between two looks.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::task::LocalSet;

use super::{Monitor, Part, Status};
use crate::admin;
use crate::alerts::{Change, Engine, Logged, Post, Settings, Severity, Transition, builtin};
use crate::modes::{switch, words};
use crate::shutdown::Draining;
use crate::telemetry::metrics::{Format, Sample};
use crate::time::{self, Instant};

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same while the gateway starts: whoever waits for it does not wait for us.
const STARTING: Duration = Duration::from_millis(20);

/// Starts the thread. It ends with the process: who drains is asked for its health, too.
pub(crate) fn start(
    monitor: Arc<Monitor>,
    status: Arc<Mutex<admin::Status>>,
    mut draining: Draining,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("condition".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            let mut watcher = Watcher::new(monitor, status);
            loop {
                watcher.look(time::now());
                let started = words().started() && watcher.settings.is_some();
                let interval = if started { INTERVAL } else { STARTING };
                let drains = draining.started();
                tokio::select! {
                    () = draining.wait(), if !drains => {}
                    () = tokio::time::sleep(interval) => {}
                }
            }
        });
    })?;
    Ok(())
}

struct Watcher {
    monitor: Arc<Monitor>,
    status: Arc<Mutex<admin::Status>>,
    engine: Engine,
    post: Post,
    /// What the engine watches for, and whom the post tells.
    settings: Option<Arc<Settings>>,
    evaluated: Option<Instant>,
    before: Status,
}

impl Watcher {
    fn new(monitor: Arc<Monitor>, status: Arc<Mutex<admin::Status>>) -> Self {
        let (engine, post, before) = (Engine::default(), Post::default(), Status::Healthy);
        Self { monitor, status, engine, post, settings: None, evaluated: None, before }
    }

    fn look(&mut self, now: Instant) {
        // Until it is known what to watch for, there is something to be known at every look.
        let due = self.settings.is_none()
            || self.evaluated.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if due {
            self.evaluated = Some(now);
            self.evaluate(now);
        }
        let (whole, serves) = {
            let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let (whole, word) = self.monitor.examine(&status);
            let serves = status.adopted > 0;
            words().tell(word, self.monitor.is_alive(now), serves);
            (whole, serves)
        };
        // Before, it is not well only because it starts.
        if serves {
            tell_health(&whole, self.before);
            self.before = whole.status;
        }
    }

    fn evaluate(&mut self, now: Instant) {
        let (exposition, settings) = {
            let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let settings = status.generation.as_ref().map(|generation| Arc::clone(&generation.config.alerts));
            (admin::written(&status, Format::Prometheus), settings)
        };
        let at = time::unix();
        let mut transitions = Vec::new();
        if let Some(settings) = settings.filter(|settings| self.settings.as_ref() != Some(settings)) {
            let all: Vec<_> = builtin().into_iter().chain(settings.definitions.iter().cloned()).collect();
            // An alert that is gone is over for those webhooks that stay.
            transitions = self.engine.adopt(&all, at);
            self.post.adopt(&settings.webhooks);
            self.settings = Some(settings);
        }
        let samples = Sample::read(&exposition, |name| self.engine.watches(name));
        transitions.extend(self.engine.evaluate(&samples, now, at));
        for transition in &transitions {
            act(transition);
            self.post.tell(transition);
        }
        self.monitor.note_alerts(self.engine.report(), self.post.counted());
    }
}

/// What the log is told of an alert, and what becomes of the mode.
fn act(transition: &Transition) {
    let Transition { definition, change, value, at, .. } = transition;
    let (alert, severity, summary) = (definition.name.as_str(), definition.severity.as_str(), transition.told());
    match (definition.logged, change, definition.severity) {
        (Logged::No, _, _) => {}
        (Logged::Yes, Change::Fired, Severity::Critical) => {
            tracing::error!(alert, severity, value, "alert fires: {summary}")
        }
        (Logged::Yes, Change::Fired, _) => tracing::warn!(alert, severity, value, "alert fires: {summary}"),
        (Logged::Yes, Change::Resolved, _) => tracing::info!(alert, severity, value, "alert is over: {summary}"),
    }
    match (definition.mode, change) {
        (Some(mode), Change::Fired) => switch().want(alert, mode, *at),
        (Some(_), Change::Resolved) => switch().want_no_more(alert, *at),
        (None, _) => {}
    }
}

/// Logs a change.
fn tell_health(whole: &Part, before: Status) {
    if whole.status == before {
        return;
    }
    let (status, reasons) = (whole.status.as_str(), whole.reasons.join("; "));
    match whole.status {
        Status::Healthy => tracing::info!(status, "health changes"),
        Status::Degraded => tracing::warn!(status, reasons, "health changes"),
        Status::Unhealthy => tracing::error!(status, reasons, "health changes"),
    }
}
