//! Checks `acme`: what a CA would refuse is refused here, before it counts as a failed attempt.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::file::{self, File};
use super::super::problem::Report;
use super::Unique;
use super::address::is_dns_name;
use crate::acme::{Challenge, ExternalAccount, Settings};
use crate::plugin::schema::JsonPath;
use crate::{regular, tls};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Compiles `acme`.
pub(super) fn compile(file: &File, folder: &Path, report: &mut Report) -> Option<Settings> {
    let at = JsonPath::root().key("acme");
    let Some(written) = &file.acme else {
        check_listeners(file, &at, report);
        return None;
    };
    if written.terms_accepted == Some(false) {
        let remedy = "read the terms of service of the CA and write true";
        report.add(&at.key("terms_accepted"), "the CA gives nothing to those who do not accept its terms", remedy);
    }
    let directory = written.directory.as_deref().unwrap_or(file::Acme::DIRECTORY);
    check_directory(directory, &at.key("directory"), report);
    let days = written.renew_before_days.unwrap_or(file::Acme::RENEW_BEFORE_DAYS);
    Some(Settings {
        directory: directory.to_owned(),
        contact: contact(written, &at.key("contact"), report),
        storage: folder.join(written.storage.as_deref().unwrap_or(file::Acme::STORAGE)),
        challenges: challenges(written, &at.key("challenges"), report),
        hosts: hosts(written, &at.key("hosts"), report),
        ca: written.ca.as_ref().map(|path| ca(folder, path, &at.key("ca"), report)),
        renew_before: DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX)),
        external_account: external_account(written, &at.key("external_account"), report),
    })
}

/// Whether a listener waits for certificates that nobody obtains.
fn check_listeners(file: &File, acme: &JsonPath, report: &mut Report) {
    let at = JsonPath::root().key("listeners");
    for (index, listener) in file.listeners.iter().flatten().enumerate() {
        let tls = listener.as_ref().and_then(|listener| listener.tls.as_ref());
        if tls.and_then(|tls| tls.acme) == Some(true) && !report.is_gone(acme) {
            let at = at.index(index).key("tls").key("acme");
            report.add(&at, "no certificates are obtained", "say in \"acme\" for which hosts");
        }
    }
}

fn check_directory(text: &str, at: &JsonPath, report: &mut Report) {
    let uri = text.parse::<Uri>().ok();
    let good =
        uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()));
    if !good {
        report.add(
            at,
            format!("{text:?} is not an https URL"),
            format!("write one such as {:?}", file::Acme::DIRECTORY),
        );
    }
}

fn contact(written: &file::Acme, at: &JsonPath, report: &mut Report) -> Vec<String> {
    let mut contact = Vec::new();
    for (index, text) in written.contact.iter().flatten().enumerate() {
        let Some(text) = text else { continue };
        let address = text.strip_prefix("mailto:");
        if address.is_none_or(|address| !address.contains('@') || address.contains([',', '?', ' '])) {
            // RFC 8555 section 7.3: one address, no header fields.
            let remedy = match text.strip_prefix("mailto:") {
                None if text.contains('@') && !text.contains([',', ' ']) => format!("write \"mailto:{text}\""),
                _ => "write one address such as \"mailto:admin@example.com\"".to_owned(),
            };
            report.add(&at.index(index), format!("{text:?} is not the URL of a mail address"), remedy);
        }
        contact.push(text.clone());
    }
    contact
}

fn challenges(written: &file::Acme, at: &JsonPath, report: &mut Report) -> Vec<Challenge> {
    let Some(list) = &written.challenges else { return vec![Challenge::Http01, Challenge::TlsAlpn01] };
    let mut challenges = Vec::new();
    for (index, written) in list.iter().enumerate() {
        let challenge = match written {
            None => continue,
            Some(file::AcmeChallenge::Http01) => Challenge::Http01,
            Some(file::AcmeChallenge::TlsAlpn01) => Challenge::TlsAlpn01,
        };
        if challenges.contains(&challenge) {
            report.add(&at.index(index), "stands here twice", "remove it");
        }
        challenges.push(challenge);
    }
    challenges
}

fn hosts(written: &file::Acme, at: &JsonPath, report: &mut Report) -> Vec<String> {
    let mut hosts = Vec::new();
    let mut unique = Unique::default();
    for (index, text) in written.hosts.iter().flatten().enumerate() {
        let Some(text) = text else { continue };
        let at = at.index(index);
        let problem = if text.starts_with("*.") {
            Some(("a wildcard can be proved by DNS only, which is not done here", "name each host"))
        } else if text.parse::<IpAddr>().is_ok() {
            Some(("an IP address is not a host", "write a DNS name"))
        } else if !is_dns_name(text) || !text.contains('.') {
            Some(("this is not a public DNS name", "write one such as \"www.example.com\""))
        } else {
            None
        };
        if let Some((what, remedy)) = problem {
            report.add(&at, what, remedy);
        }
        unique.note(text, &at, report, "name each host once");
        hosts.push(text.to_ascii_lowercase());
    }
    hosts
}

fn ca(folder: &Path, text: &str, at: &JsonPath, report: &mut Report) -> PathBuf {
    let path = folder.join(text);
    match regular::read(&path, tls::PEM_BYTES_MAX) {
        Err(error) => report.add(at, format!("{text:?} {error}"), "write the path of a PEM file"),
        Ok(bytes) if CertificateDer::from_pem_slice(&bytes).is_err() => {
            report.add(at, format!("there is no certificate in {text:?}"), "write the path of a PEM file");
        }
        Ok(_) => {}
    }
    path
}

fn external_account(written: &file::Acme, at: &JsonPath, report: &mut Report) -> Option<ExternalAccount> {
    let account = written.external_account.as_ref()?;
    let (kid, text) = (account.kid.as_ref()?, account.hmac.as_ref()?);
    // CAs show it with and without padding.
    let decoded = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
    match decoded {
        Ok(hmac) => Some(ExternalAccount { kid: kid.clone(), hmac }),
        Err(_) => {
            // Not shown: it is a secret.
            report.add(&at.key("hmac"), "is not base64url", "copy it from the CA unchanged");
            None
        }
    }
}
