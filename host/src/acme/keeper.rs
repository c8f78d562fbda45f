//! Keeps the certificates of all hosts: takes what is on disk, obtains what is missing, renews what is about to end.
//!
//! One host after the other, so that a CA is never asked for two things at once. Ends only by being dropped.

use std::time::Duration;

use super::certificate::{self, Certificate, CertificateError};
use super::order::{self, OrderError};
use super::storage::{Failures, Storage};
use super::{Settings, schedule, staple};
use crate::certificates::issued;
use crate::certificates::ocsp::{self, Question, Staple};
use crate::time;

/// How often to look at the clock while waiting: it may be set, and the machine may sleep.
const LOOK: Duration = Duration::from_secs(600);

/// How long to wait before the storage is tried again.
const STORAGE_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait before a responder is asked again that gave nothing to show.
const STAPLE_PAUSE: Duration = Duration::from_secs(3600);

/// What is known of a host.
struct Host<'a> {
    name: &'a str,
    certificate: Option<Certificate>,
    failures: Failures,
    /// What to ask the responder that its certificate names.
    question: Option<Question>,
    staple: Option<Staple>,
    /// When to ask, as Unix time.
    ask_at: Duration,
}

/// Keeps what these settings want; without settings, nothing.
pub(super) async fn keep(settings: Option<&Settings>) {
    issued().keep_only(settings.map_or(&[], |settings| &settings.hosts));
    let Some(settings) = settings else { return std::future::pending().await };
    for host in &settings.hosts {
        show_placeholder(host);
    }
    let storage = loop {
        match Storage::open(&settings.storage, &settings.directory) {
            Ok(storage) => break storage,
            Err(error) => {
                tracing::error!(path = %settings.storage.display(), %error, "acme.storage cannot be used");
                tokio::time::sleep(STORAGE_PAUSE).await;
            }
        }
    };
    let mut hosts: Vec<_> = settings.hosts.iter().map(|name| Host::load(name, &storage)).collect();
    loop {
        // Those that wait longest first.
        let Some(host) = hosts.iter_mut().min_by_key(|host| host.due(settings)) else { return };
        wait_until(host.due(settings)).await;
        if host.renewal(settings) <= time::unix() {
            host.renew(settings, &storage).await;
        } else {
            host.staple(&storage).await;
        }
    }
}

/// So that a client's handshake has an end until the first certificate is there. One that is shown already is better.
fn show_placeholder(host: &str) {
    if issued().certified(host).is_some() {
        return;
    }
    match certificate::placeholder(host) {
        Ok(certified) => issued().put(host, certified.into()),
        Err(error) => tracing::error!(host, %error, "no self-signed certificate; handshakes fail until there is one"),
    }
}

async fn wait_until(due: Duration) {
    loop {
        let left = due.saturating_sub(time::unix());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

impl<'a> Host<'a> {
    /// What is on disk.
    fn load(name: &'a str, storage: &Storage) -> Self {
        let failures = storage.failures(name);
        let mut host = Self { name, certificate: None, failures, question: None, staple: None, ask_at: Duration::ZERO };
        let Some(pem) = storage.certificate(name) else { return host };
        match host.show(&pem) {
            Ok(certificate) => {
                let days = days(certificate.not_after.saturating_sub(time::unix()));
                tracing::info!(host = name, days, "certificate taken from storage");
                host.take_staple(storage);
            }
            Err(error) => tracing::warn!(host = name, %error, "the stored certificate cannot be used"),
        }
        host
    }

    /// Shows a certificate to clients from now on.
    fn show(&mut self, pem: &[u8]) -> Result<&Certificate, CertificateError> {
        let certificate = Certificate::read(pem, self.name)?;
        issued().put(self.name, certificate.certified.clone());
        self.question = ocsp::question(&certificate.certified.cert);
        (self.staple, self.ask_at) = (None, Duration::ZERO);
        Ok(self.certificate.insert(certificate))
    }

    /// When something is to be done, as Unix time.
    fn due(&self, settings: &Settings) -> Duration {
        let asking = if self.question.is_some() { self.ask_at } else { Duration::MAX };
        self.renewal(settings).min(asking)
    }

    /// When a certificate is to be obtained, as Unix time.
    fn renewal(&self, settings: &Settings) -> Duration {
        let renewal = self.certificate.as_ref().map_or(Duration::ZERO, |certificate| {
            schedule::renewal(certificate.not_before, certificate.not_after, settings.renew_before)
        });
        renewal.max(self.failures.wait_until)
    }

    /// Obtains a certificate, or notes that it failed.
    async fn renew(&mut self, settings: &Settings, storage: &Storage) {
        let ways = &settings.challenges;
        // Each failure is followed by another way, where there is one: the first may be blocked for good.
        let turn = usize::try_from(self.failures.count).unwrap_or_default() % ways.len().max(1);
        let Some(first) = ways.get(turn).copied() else { return };
        match order::obtain(settings, storage, self.name, first).await {
            Ok(pem) => match self.show(pem.as_bytes()) {
                Ok(certificate) => {
                    let days = days(certificate.not_after.saturating_sub(time::unix()));
                    self.keep_obtained(storage, &pem);
                    tracing::info!(host = self.name, days, "certificate obtained");
                }
                Err(error) => self.note(storage, &error.into()),
            },
            Err(error) => self.note(storage, &error),
        }
    }

    /// Asks the responder and shows what it says together with the certificate.
    async fn staple(&mut self, storage: &Storage) {
        let (Some(question), Some(certificate)) = (&self.question, &self.certificate) else { return };
        let host = self.name;
        let answered = staple::ask(question).await.map_err(|error| error.to_string()).and_then(|answer| {
            let checked = ocsp::answer(&answer, &certificate.certified.cert, time::unix());
            checked.map_err(|error| error.to_string())
        });
        match answered {
            Ok(staple) => {
                if let Err(error) = storage.put_staple(host, &staple.der) {
                    tracing::error!(host, %error, "the OCSP response cannot be kept in acme.storage");
                }
                tracing::info!(host, "OCSP response obtained");
                self.show_staple(staple);
            }
            Err(error) => {
                tracing::warn!(host, "no OCSP response: {error}");
                self.ask_at = time::unix() + STAPLE_PAUSE;
                self.drop_stale();
            }
        }
    }

    /// Shows what the responder said before the restart, where that still counts.
    fn take_staple(&mut self, storage: &Storage) {
        let (Some(kept), Some(certificate)) = (storage.staple(self.name), &self.certificate) else { return };
        if let Ok(staple) = ocsp::answer(&kept, &certificate.certified.cert, time::unix()) {
            self.show_staple(staple);
        }
    }

    fn show_staple(&mut self, staple: Staple) {
        let Some(certificate) = &self.certificate else { return };
        let mut certified = (*certificate.certified).clone();
        certified.ocsp = Some(staple.der.clone());
        issued().put(self.name, certified.into());
        // Not at once again, should the responder give an answer that is half over already.
        self.ask_at = staple.refresh().max(time::unix() + STAPLE_PAUSE).min(staple.next_update);
        self.staple = Some(staple);
    }

    /// A response that is over is worse than none; one that ends before the next question is looked at when it does.
    fn drop_stale(&mut self) {
        let (Some(staple), Some(certificate)) = (&self.staple, &self.certificate) else { return };
        if staple.next_update > time::unix() {
            self.ask_at = self.ask_at.min(staple.next_update);
            return;
        }
        issued().put(self.name, certificate.certified.clone());
        self.staple = None;
    }

    fn keep_obtained(&mut self, storage: &Storage, pem: &str) {
        storage.forget_failures(self.name);
        self.failures = Failures::default();
        // It serves all the same; only the next start would ask the CA again.
        if let Err(error) = storage.put_certificate(self.name, pem) {
            tracing::error!(host = self.name, %error, "the certificate cannot be kept in acme.storage");
        }
    }

    /// Notes a failure and waits longer than the last time.
    fn note(&mut self, storage: &Storage, error: &OrderError) {
        let count = self.failures.count.saturating_add(1);
        let pause = schedule::pause(count, error.trouble());
        self.failures = Failures { count, wait_until: time::unix() + pause };
        let kept = storage.put_failures(self.name, self.failures);
        let file = kept.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let minutes = pause.as_secs() / 60;
        let serving = self.certificate.as_ref().is_some_and(|certificate| certificate.not_after > time::unix());
        let host = self.name;
        if serving {
            tracing::warn!(host, failures = count, next_minutes = minutes, file, "certificate not renewed: {error}");
        } else {
            // Clients see a certificate that they do not trust.
            tracing::error!(host, failures = count, next_minutes = minutes, file, "no certificate: {error}");
        }
    }
}

fn days(left: Duration) -> u64 {
    left.as_secs() / (24 * 3600)
}
