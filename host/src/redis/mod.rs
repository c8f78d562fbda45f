//! The link to Redis, which instances share: bytes in, bytes out. Knows nothing of what the bytes mean.
//!
//! One thread of its own holds all connections; workers hand it commands and await answers. Invariant: no call takes longer than
//! [`Settings::timeout`], whatever Redis does; what has no answer by then is a [`Trouble`], and the caller goes on without. Connections are
//! made anew by themselves, masters are followed through failovers, and a node that does not answer is not asked until it does.

mod breaker;
mod cluster;
mod command;
mod context;
mod dial;
mod fleet;
mod ledger;
mod node;
mod sentinel;
mod settings;
mod slots;
mod subscription;
mod trouble;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value};
use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::telemetry::metrics::Exposition;
use crate::time;

use fleet::{Door, Order};
use ledger::Ledger;
use node::{Effect, Request};

pub use ledger::Condition;
pub use settings::{Access, Address, BreakerSettings, Nodes, Password, Sentinel, Settings, Tls};
pub use subscription::Heard;
pub use trouble::Trouble;

/// The link. Cheap to clone; all clones are one link, and it ends with the last.
#[derive(Debug, Clone)]
pub struct Redis(Arc<Link>);

#[derive(Debug)]
struct Link {
    settings: Arc<Settings>,
    ledger: Arc<Ledger>,
    door: Door,
}

/// What a script gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nothing,
    /// A number.
    Number(i64),
    /// A text.
    Bytes(Bytes),
    /// Several.
    List(Vec<Reply>),
}

impl Redis {
    /// Starts the link. Does not wait for Redis to be there.
    ///
    /// # Errors
    /// The system gives no thread, or the files of TLS cannot be used.
    pub fn start(settings: Settings) -> io::Result<Self> {
        if let Some(tls) = &settings.tls {
            crate::tls::client(&tls.client).map_err(io::Error::other)?;
        }
        let (settings, ledger) = (Arc::new(settings), Arc::new(Ledger::new()));
        let door = fleet::start(Arc::clone(&settings), Arc::clone(&ledger))?;
        Ok(Self(Arc::new(Link { settings, ledger, door })))
    }

    /// The value of a key; none where there is none or its time is over.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Trouble> {
        let key = self.name(key);
        let answer = self.ask(&key, command::get(&key), Effect::Reads).await;
        self.counted(answer.and_then(|answer| command::value(answer, self.0.settings.value_bytes_max)))
    }

    /// The values of several keys, in their order: all of them, or why not all of them can be had.
    pub async fn values<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Trouble> {
        let requests = keys.iter().map(|key| {
            let key = self.name(key.as_ref());
            self.request(&key, command::get(&key), Effect::Reads)
        });
        let answers = self.ask_all(requests.collect()).await;
        let read = |answer| command::value(answer, self.0.settings.value_bytes_max);
        self.counted(answers.and_then(|answers| answers.into_iter().map(read).collect()))
    }

    /// Sets the value of a key for a time; less than a millisecond counts as one.
    pub async fn set(&self, key: &[u8], value: &[u8], ttl: Duration) -> Result<(), Trouble> {
        let bytes_max = self.0.settings.value_bytes_max;
        if value.len() > bytes_max {
            return self.counted(Err(Trouble::TooLong { bytes: value.len(), bytes_max }));
        }
        let key = self.name(key);
        let answer = self.ask(&key, command::set(&key, value, ttl), Effect::Writes).await;
        self.counted(answer.map(drop))
    }

    /// Deletes keys and gives how many there were. After a failure some may be left.
    pub async fn delete<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Trouble> {
        let requests = keys.iter().map(|key| {
            let key = self.name(key.as_ref());
            self.request(&key, command::delete(&key), Effect::Writes)
        });
        let answers = self.ask_all(requests.collect()).await;
        self.counted(answers.and_then(|answers| answers.into_iter().map(command::number).sum()))
    }

    /// Adds one to the number that a key has and gives the sum. A key that is not there counts as 0. It does not expire.
    pub async fn increment(&self, key: &[u8]) -> Result<u64, Trouble> {
        let key = self.name(key);
        let answer = self.ask(&key, command::increment(&key), Effect::Writes).await;
        self.counted(answer.and_then(command::number))
    }

    /// Lets Redis run a script. All keys must be in one slot of a cluster: give them one `{hash tag}`.
    pub async fn eval(&self, script: &str, keys: &[&[u8]], arguments: &[&[u8]]) -> Result<Reply, Trouble> {
        let keys: Vec<_> = keys.iter().map(|key| self.name(key)).collect();
        let first = keys.first().cloned().unwrap_or_default();
        let answer = self.ask(&first, command::eval(script, &keys, arguments), Effect::Writes).await;
        self.counted(answer.map(command::reply))
    }

    /// Says something to all who have subscribed to a channel and are connected.
    pub async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<(), Trouble> {
        let command = command::publish(&self.name(channel), message);
        let request = Request { command, slot: None, effect: Effect::Reads };
        let answers = self.ask_all(vec![request]).await;
        self.counted(answers.map(drop))
    }

    /// What is said on a channel from now on. Ends when the receiver is dropped.
    ///
    /// A cluster passes messages on between its nodes as well as it can: what must not be missed has to be found otherwise, too.
    pub fn subscribe(&self, channel: &[u8]) -> mpsc::Receiver<Heard> {
        let (ears, heard) = mpsc::channel(subscription::WAITING_MAX);
        // Without the thread the receiver ends at once, which says it all.
        let _ = self.0.door.subscriptions.send(subscription::Subscription { channel: self.name(channel), ears });
        heard
    }

    /// Takes a lock for a time, unless somebody has it: gives whether it is ours now.
    pub async fn lock(&self, key: &[u8], token: u64, ttl: Duration) -> Result<bool, Trouble> {
        let key = self.name(key);
        let answer = self.ask(&key, command::lock(&key, token, ttl), Effect::Writes).await;
        self.counted(answer.and_then(command::done))
    }

    /// Gives a lock back. Does nothing if somebody else's token is there by now.
    pub async fn unlock(&self, key: &[u8], token: u64) -> Result<(), Trouble> {
        let key = self.name(key);
        let answer = self.ask(&key, command::unlock(&key, token), Effect::Writes).await;
        self.counted(answer.map(drop))
    }

    /// How the link is doing.
    pub fn condition(&self) -> Condition {
        self.0.ledger.condition().borrow().clone()
    }

    /// How the link is doing, whenever that changes.
    pub fn conditions(&self) -> watch::Receiver<Condition> {
        self.0.ledger.condition()
    }

    /// How many connections there are, without those of subscriptions.
    pub fn connections(&self) -> usize {
        self.0.ledger.connections()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Writes the series `portcullis_redis_*`.
    pub fn expose(&self, out: &mut Exposition) {
        self.0.ledger.expose(out);
    }

    /// The name of a key or channel in Redis.
    fn name(&self, key: &[u8]) -> Vec<u8> {
        [self.0.settings.prefix.as_bytes(), key].concat()
    }

    fn request(&self, key: &[u8], command: Cmd, effect: Effect) -> Request {
        let in_cluster = matches!(self.0.settings.nodes, Nodes::Cluster(_));
        Request { command, slot: in_cluster.then(|| slots::slot(key)), effect }
    }

    async fn ask(&self, key: &[u8], command: Cmd, effect: Effect) -> Result<Value, Trouble> {
        let answers = self.ask_all(vec![self.request(key, command, effect)]).await?;
        answers.into_iter().next().ok_or(Trouble::Ended)
    }

    async fn ask_all(&self, requests: Vec<Request>) -> Result<Vec<Value>, Trouble> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        // Where there is nobody to ask, the other thread need not be troubled.
        if let Some(trouble) = self.0.ledger.hopeless() {
            return Err(trouble);
        }
        let after = self.0.settings.timeout;
        let deadline = time::now() + after;
        let (reply, answer) = oneshot::channel();
        self.0.door.orders.try_send(Order { requests, deadline, reply }).map_err(|error| match error {
            TrySendError::Full(_) => Trouble::Busy,
            TrySendError::Closed(_) => Trouble::Ended,
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Trouble::Ended),
            Err(_) => Err(Trouble::Timeout { after }),
        }
    }

    fn counted<T>(&self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        self.0.ledger.count(&result);
        result
    }
}

#[cfg(test)]
mod tests;
