//! Asks the parts of the gateway how they are.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{self, Access};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use super::findings::{Certificate, Findings, FiringAlert};
use super::{Monitor, Part, tree, word};
use crate::admin::Status;
use crate::alerts::{Phase, Report, Severity};
use crate::certificates::issued;
use crate::generation::Generation;
use crate::modes::{Word, switch};
use crate::redis::Redis;
use crate::time;

/// Most names of a certificate that are told.
const NAMES_MAX: usize = 3;

/// The certificates that were obtained, read once for each of their versions.
#[derive(Debug, Default)]
pub(super) struct Obtained(Mutex<(Option<u64>, Vec<Certificate>)>);

impl Obtained {
    fn certificates(&self) -> Vec<Certificate> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = issued().version();
        if known.0 != Some(version) {
            let mut all: Vec<_> = issued().all();
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            *known = (Some(version), all.iter().map(|(host, key)| obtained(host, key)).collect());
        }
        known.1.clone()
    }
}

/// A certificate that stands in for another is signed by itself.
fn obtained(host: &str, key: &CertifiedKey) -> Certificate {
    let parsed = key.cert.first().and_then(|leaf| parse_x509_certificate(leaf).ok()).map(|(_, parsed)| parsed);
    let own = parsed.as_ref().filter(|parsed| parsed.issuer() != parsed.subject());
    let ends = own.map(|parsed| Duration::from_secs(parsed.validity().not_after.timestamp().try_into().unwrap_or(0)));
    Certificate { name: format!("{host} (obtained)"), ends }
}

impl Monitor {
    /// What is found of the gateway at the moment.
    pub(crate) fn findings(&self, status: &Status) -> Findings {
        let now = time::now();
        let generation = status.generation.as_deref();
        Findings {
            serving: status.adopted > 0,
            draining: self.draining.started(),
            workers: self.beats(now),
            refused: status.refused.as_ref().map(|(of, why)| ((*of).to_owned(), why.clone())),
            restart_needed: status.restart_needed.iter().map(|path| (*path).to_owned()).collect(),
            problems: status.problems.clone(),
            plugins: generation.map(plugins).unwrap_or_default(),
            upstreams: status.board.as_ref().map(|board| board.report(now)).unwrap_or_default(),
            cache: self.cache(),
            redis: redis(status),
            state: state(status),
            certificates: self.certificates(generation),
            alerts: self.alerts().0.iter().filter(|report| report.phase == Phase::Firing).map(firing).collect(),
            mode: switch().standing(),
            now: time::unix(),
        }
    }

    /// How the gateway is, and that in a word.
    pub(crate) fn examine(&self, status: &Status) -> (Part, Word) {
        let found = self.findings(status);
        let whole = tree(&found);
        let word = word(&found, &whole);
        (whole, word)
    }

    fn cache(&self) -> Vec<String> {
        let mut reasons = self.cache_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.pressure.is_high() {
            let bytes = self.pressure.memory_bytes();
            reasons.push(format!("the process uses {bytes} bytes of memory, more than it may: requests are refused"));
        }
        reasons
    }

    fn certificates(&self, generation: Option<&Generation>) -> Vec<Certificate> {
        let mut certificates: Vec<Certificate> = Vec::new();
        let listeners = generation.iter().flat_map(|generation| &generation.config.listeners);
        for (address, tls) in listeners.filter_map(|settings| Some((settings.address, settings.tls.as_ref()?))) {
            for identity in tls.slot.acceptor().identities.iter() {
                let mut names = identity.names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
                if names.is_empty() {
                    names.push_str("no name");
                }
                certificates.push(Certificate { name: format!("{names} on {address}"), ends: Some(identity.ends) });
            }
        }
        certificates.extend(self.obtained.certificates());
        certificates
    }
}

/// What is a part of the tree already is not told twice.
fn firing(report: &Report) -> FiringAlert {
    let definition = &report.definition;
    FiringAlert {
        name: definition.name.to_string(),
        summary: definition.told(report.value),
        is_serious: definition.severity > Severity::Info && !definition.is_about_health(),
    }
}

/// Each plugin once, and the longest quarantine of its variants.
fn plugins(generation: &Generation) -> Vec<(String, Option<Duration>)> {
    let longest = |variants: &[Arc<crate::plugin::Loaded>]| variants.iter().filter_map(|one| one.quarantined()).max();
    generation.roster.plugins().map(|(name, _, variants)| (name.to_string(), longest(variants))).collect()
}

fn redis(status: &Status) -> Option<Vec<String>> {
    let condition = status.redis.as_ref().map(Redis::condition)?;
    let mut reasons: Vec<String> = condition.reason().map(ToOwned::to_owned).into_iter().collect();
    if status.purger.as_ref().is_some_and(|purger| purger.cache().is_cut_off(time::now())) {
        reasons
            .push("what is stored is validated before it is used, since other instances may have purged it".to_owned());
    }
    Some(reasons)
}

/// What keeps changes from being written down, and with that from being made.
fn state(status: &Status) -> Vec<String> {
    let Some(admin) = status.generation.as_ref().and_then(|generation| generation.config.admin.as_ref()) else {
        return Vec::new();
    };
    let (folder, log) = (admin.state.display(), admin.state.join("audit.log"));
    let closed = |path: &Path, access: Access| fs::access(path, access).err();
    let read_only = closed(&admin.state, Access::WRITE_OK | Access::EXEC_OK)
        .or_else(|| closed(&log, Access::WRITE_OK).filter(|error| *error != rustix::io::Errno::NOENT));
    if let Some(error) = read_only {
        return vec![format!("every change is refused, since the state folder {folder} cannot be written to: {error}")];
    }
    if fs::statvfs(&admin.state).is_ok_and(|disk| disk.f_blocks > 0 && disk.f_bavail == 0) {
        return vec![format!("every change is refused, since the disk with the state folder {folder} is full")];
    }
    let trouble = status.audit_trouble.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |error: &String| {
        format!("the last change was refused, since the audit log in {folder} could not be written: {error}")
    };
    trouble.iter().map(told).collect()
}
