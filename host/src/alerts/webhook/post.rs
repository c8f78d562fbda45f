//! Brings what is to be told to webhooks: for each a bounded queue and a task, so that one that is dead holds up no other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderValue, Method, header};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Webhook;
use super::form::state;
use crate::alerts::Transition;
use crate::names::Name;
use crate::outbound::{Call, Client, Outcome, Proof, Retries, Scope, chance};
use crate::time;

/// Most that waits for one webhook. What comes then is lost, counted and logged.
const QUEUE_MAX: usize = 256;
/// Longest wait from one try to the next.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What became of what was to be told.
#[derive(Debug, Default)]
pub struct Counted {
    /// Taken by the webhook.
    pub sent: AtomicU64,
    /// Given up after the last try, or refused.
    pub failed: AtomicU64,
    /// Lost because too much waited.
    pub dropped: AtomicU64,
}

/// Tells the webhooks of the present configuration. Must live on a `LocalSet`.
#[derive(Debug, Default)]
pub struct Post {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    webhook: Arc<Webhook>,
    waiting: Rc<Waiting>,
    counted: Arc<Counted>,
    task: AbortHandle,
}

/// What waits to be told, the oldest first, which may be on its way.
#[derive(Debug, Default)]
struct Waiting {
    transitions: RefCell<VecDeque<Rc<Transition>>>,
    /// Told of every new one.
    more: Notify,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Post {
    /// Tells these from now on. What waits for one that stays goes there, by its new settings; what was on its way may be told twice.
    pub fn adopt(&mut self, webhooks: &[Arc<Webhook>]) {
        let mut before = std::mem::take(&mut self.lines);
        for webhook in webhooks {
            let known = before.iter().position(|line| line.webhook == *webhook);
            let line = match known {
                Some(index) => Some(before.swap_remove(index)),
                None => {
                    let known = before.iter().find(|line| line.webhook.name == webhook.name);
                    let kept = known.map(|line| (Rc::clone(&line.waiting), Arc::clone(&line.counted)));
                    Line::start(webhook, kept.unwrap_or_default())
                }
            };
            self.lines.extend(line);
        }
    }

    /// Tells those who want to hear of this alert. Never waits.
    pub fn tell(&self, transition: &Transition) {
        let wanted = &transition.definition.webhooks;
        let shared = Rc::new(transition.clone());
        for line in self.lines.iter().filter(|line| wanted.contains(&line.webhook.name)) {
            if !line.waiting.put(&shared) {
                line.counted.dropped.fetch_add(1, Relaxed);
                let (webhook, alert) = (&line.webhook.name, &transition.definition.name);
                tracing::error!(%webhook, %alert, "too much waits for a webhook: it is not told of this");
            }
        }
    }

    /// What became of what was to be told, by webhook.
    pub fn counted(&self) -> Vec<(Name, Arc<Counted>)> {
        self.lines.iter().map(|line| (line.webhook.name.clone(), Arc::clone(&line.counted))).collect()
    }
}

impl Line {
    /// None if the system has no TLS.
    fn start(webhook: &Arc<Webhook>, (waiting, counted): (Rc<Waiting>, Arc<Counted>)) -> Option<Self> {
        let client = Client::new(webhook.trust.as_ref())?;
        let courier = Courier { webhook: Arc::clone(webhook), client, counted: Arc::clone(&counted) };
        let shared = Rc::clone(&waiting);
        let task = tokio::task::spawn_local(async move {
            loop {
                let first = shared.transitions.borrow().front().cloned();
                match first {
                    Some(transition) => {
                        courier.bring(&transition).await;
                        shared.transitions.borrow_mut().pop_front();
                    }
                    None => shared.more.notified().await,
                }
            }
        });
        Some(Self { webhook: Arc::clone(webhook), waiting, counted, task: task.abort_handle() })
    }
}

impl Waiting {
    /// Whether there was room.
    fn put(&self, transition: &Rc<Transition>) -> bool {
        let mut transitions = self.transitions.borrow_mut();
        let has_room = transitions.len() < QUEUE_MAX;
        if has_room {
            transitions.push_back(Rc::clone(transition));
            self.more.notify_one();
        }
        has_room
    }
}

/// Brings one thing after the other, so that nobody hears of an end before its beginning.
struct Courier {
    webhook: Arc<Webhook>,
    client: Client,
    counted: Arc<Counted>,
}

impl Courier {
    async fn bring(&self, transition: &Transition) {
        let Webhook { name, url, headers, form, timeout, retries, retry_wait, .. } = &*self.webhook;
        let mut headers = headers.clone();
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let call = Call { method: Method::POST, uri: url.clone(), headers, body: form.body(transition) };
        let pauses = Retries { wait: *retry_wait, wait_max: WAIT_MAX.max(*retry_wait), give_up_after: Duration::MAX };
        let (alert, state) = (&transition.definition.name, state(transition.change));
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = match self.client.send(&call, *timeout).await {
                Ok(answer) => answer.outcome(Proof::Status, time::unix()),
                Err(why) => Outcome::Later { why, asked: None, scope: Scope::Request },
            };
            let (why, asked) = match outcome {
                Outcome::Taken => {
                    self.counted.sent.fetch_add(1, Relaxed);
                    return tracing::debug!(webhook = %name, %alert, state, "webhook told");
                }
                Outcome::Refused(why) => {
                    self.counted.failed.fetch_add(1, Relaxed);
                    return tracing::error!(webhook = %name, %alert, state, "webhook refuses to be told: {why}");
                }
                Outcome::Later { why, asked, .. } => (why, asked.map(|asked| asked.min(WAIT_MAX))),
            };
            let pause = pauses.wait(tries, Duration::ZERO, asked, chance()).filter(|_| tries <= *retries);
            let Some(pause) = pause else {
                self.counted.failed.fetch_add(1, Relaxed);
                return tracing::error!(webhook = %name, %alert, state, tries, "webhook cannot be told: {why}");
            };
            tracing::warn!(webhook = %name, %alert, state, tries, "webhook is told again later: {why}");
            tokio::time::sleep(pause).await;
        }
    }
}
