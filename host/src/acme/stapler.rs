//! Keeps OCSP responses for certificates from files: those that name a responder and have no response from a file.
//!
//! What was fetched is kept over changes of the configuration, and asked for again at half of its life. Without an answer a certificate
//! is shown as it is: clients ask themselves, or do without.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::staple;
use crate::certificates::ocsp::{self, Question, Staple};
use crate::generation::Generation;
use crate::shutdown::Draining;
use crate::time;
use crate::tls::{Acceptor, Shown, Slot};

/// How long to wait after a responder gave no answer that counts.
const PAUSE: Duration = Duration::from_secs(3600);
/// Longest time between two looks: the clock may be set.
const LOOK_MAX: Duration = Duration::from_secs(24 * 3600);

/// A certificate that responses are fetched for.
pub(super) struct Subject {
    names: String,
    shown: Shown,
    question: Question,
    /// When to ask, as Unix time.
    ask_at: Duration,
}

/// What is known of a certificate, by its end-entity certificate.
pub(super) type Known = HashMap<CertificateDer<'static>, Staple>;

/// Follows the generations until the gateway drains.
pub(super) async fn follow(mut generations: watch::Receiver<Arc<Generation>>, mut draining: Draining) {
    let mut known = Known::new();
    loop {
        let mut subjects = {
            let generation = generations.borrow_and_update();
            let slots = generation.config.listeners.iter().filter_map(|listener| Some(&listener.tls.as_ref()?.slot));
            subjects(slots.map(Slot::acceptor), &mut known)
        };
        tokio::select! {
            () = draining.wait() => return,
            changed = generations.changed() => if changed.is_err() { return },
            () = keep(&mut subjects, &mut known) => {}
        }
    }
}

/// The certificates that need responses. What is known of them already is stapled at once.
pub(super) fn subjects(acceptors: impl Iterator<Item = Acceptor>, known: &mut Known) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let mut used = Known::new();
    for acceptor in acceptors {
        for identity in acceptor.identities.iter() {
            let certified = identity.shown.current();
            let (None, Some(question)) = (&certified.ocsp, ocsp::question(&certified.cert)) else { continue };
            let staple = certified.cert.first().and_then(|leaf| known.get_key_value(leaf));
            let ask_at = staple.map_or(Duration::ZERO, |(_, staple)| staple.refresh());
            if let Some((leaf, staple)) = staple {
                identity.shown.staple(staple.der.clone());
                used.insert(leaf.clone(), staple.clone());
            }
            subjects.push(Subject {
                names: identity.names.join(", "),
                shown: identity.shown.clone(),
                question,
                ask_at,
            });
        }
    }
    *known = used;
    subjects
}

/// Asks whenever it is time.
pub(super) async fn keep(subjects: &mut [Subject], known: &mut Known) {
    loop {
        for subject in subjects.iter_mut().filter(|subject| subject.ask_at <= time::unix()) {
            subject.ask(known).await;
        }
        match subjects.iter().map(|subject| subject.ask_at).min() {
            Some(next) => {
                tokio::time::sleep(next.saturating_sub(time::unix()).clamp(Duration::from_secs(1), LOOK_MAX)).await
            }
            None => std::future::pending().await,
        }
    }
}

impl Subject {
    async fn ask(&mut self, known: &mut Known) {
        let certified = self.shown.current();
        let answered = staple::ask(&self.question).await.map_err(|error| error.to_string());
        let checked = answered
            .and_then(|answer| ocsp::answer(&answer, &certified.cert, time::unix()).map_err(|error| error.to_string()));
        match checked {
            Ok(staple) => {
                tracing::info!(names = self.names, "OCSP response obtained");
                self.shown.staple(staple.der.clone());
                self.ask_at = staple.refresh();
                if let Some(leaf) = certified.cert.first() {
                    known.insert(leaf.clone(), staple);
                }
            }
            Err(error) => {
                tracing::warn!(names = self.names, "no OCSP response: {error}");
                self.ask_at = time::unix() + PAUSE;
            }
        }
    }
}
