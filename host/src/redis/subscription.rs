//! The messages of a channel, as long as somebody hears them. It has a connection of its own.
//!
//! States: connecting → hearing (the reader is told `Connected`, then every message) → lost (the reader is told `Lost`) → connecting. A
//! reader that does not keep up loses the connection, because it must know that it has missed something.

use std::rc::Rc;
use std::time::Duration;

use ::redis::Value;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::context::Context;
use super::fleet::Fleet;

/// Messages that wait for their reader.
pub(super) const WAITING_MAX: usize = 1024;

/// How often the connection is asked whether it still leads somewhere, and how long that may take: so long may a loss go unnoticed.
const CHECK: Duration = Duration::from_secs(1);

/// Wait before the next attempt to connect.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest wait.
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// What comes of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Messages come from now on. What was said before, or since the last [`Heard::Lost`], was missed.
    Connected,
    /// A message.
    Message(Bytes),
    /// Messages are being missed.
    Lost,
}

/// Somebody who wants to hear.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Vec<u8>,
    pub(super) ears: mpsc::Sender<Heard>,
}

/// Serves a subscription until its reader is gone.
pub(super) async fn follow(subscription: Subscription, fleet: Rc<Fleet>, context: Rc<Context>) {
    let ears = subscription.ears.clone();
    tokio::select! {
        () = ears.closed() => {}
        () = hear(subscription, fleet, context) => {}
    }
}

async fn hear(subscription: Subscription, fleet: Rc<Fleet>, context: Rc<Context>) {
    let Subscription { channel, ears } = subscription;
    let mut wait = AGAIN;
    for attempt in 0.. {
        let listening = match fleet.somewhere(attempt, &context).await {
            Ok(address) => match context.dialer.listen(&address, &channel).await {
                Ok(listening) => Ok((listening, address)),
                Err(why) => Err(format!("{address}: {why}")),
            },
            Err(why) => Err(why),
        };
        match listening {
            Ok((listening, address)) => {
                if ears.send(Heard::Connected).await.is_err() {
                    return;
                }
                wait = AGAIN;
                pass_on(listening, &ears, || fleet.has(&address)).await;
                if ears.send(Heard::Lost).await.is_err() {
                    return;
                }
            }
            Err(why) => tracing::debug!("redis: cannot subscribe: {why}"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_MAX);
    }
}

/// Passes messages on until the connection ends, the reader does not keep up, or nobody speaks there any more: a server that has left the
/// others stays connected and silent.
async fn pass_on(listening: ::redis::aio::PubSub, ears: &mpsc::Sender<Heard>, belongs: impl Fn() -> bool) {
    let (mut sink, mut messages) = listening.split();
    let mut check = tokio::time::interval(CHECK);
    loop {
        let message = tokio::select! {
            biased;
            message = messages.next() => message,
            _ = check.tick() => {
                // Messages wait meanwhile, but no longer than this.
                match tokio::time::timeout(CHECK, sink.ping::<Value>()).await {
                    Ok(Ok(_)) if belongs() => continue,
                    _ => None,
                }
            }
        };
        let Some(message) = message else { return };
        let message = Heard::Message(Bytes::copy_from_slice(message.get_payload_bytes()));
        if ears.try_send(message).is_err() {
            return;
        }
    }
}
