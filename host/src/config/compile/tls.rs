//! Reads how TLS is spoken. The files are read here, too, so that a configuration that is taken over has usable ones.

use std::path::{Path, PathBuf};

use super::super::file;
use super::super::problem::Report;
use super::millis;
use crate::listener;
use crate::plugin::schema::JsonPath;
use crate::time;
use crate::tls::{
    self, ClientCertificates, Demand, EXPIRY_NEAR, Identity, IdentityFiles, ServerSettings, TlsError, UnknownHost,
    Version,
};

/// The protocols that a listener speaks, best first; the first of them only where HTTP/2 is spoken.
pub(super) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Compiles `listeners[].tls`. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn listener(
    written: &file::ListenerTls,
    protocols: &[&'static [u8]],
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<listener::Tls> {
    let mut path = |text: &String| {
        let path = folder.join(text);
        if !included.contains(&path) {
            included.push(path.clone());
        }
        path
    };
    let mut certificates = Vec::new();
    for files in written.certificates.iter().flatten().flatten() {
        let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else { return None };
        let ocsp = files.ocsp.as_ref().map(&mut path);
        certificates.push(IdentityFiles { certificate: path(certificate), key: path(key), ocsp });
    }
    if certificates.is_empty() && written.acme != Some(true) {
        let at = at.key("certificates");
        if written.certificates.is_none() && !report.is_gone(&at) {
            report.add(&at, "missing", "add certificates, or obtain them: \"acme\": true");
        }
        return None;
    }
    let clients = match &written.client {
        Some(client) => {
            let authorities = path(client.ca.as_ref()?);
            let demand = match client.mode {
                None | Some(file::TlsClientMode::Required) => Demand::Required,
                Some(file::TlsClientMode::Optional) => Demand::Optional,
            };
            Some(ClientCertificates { authorities, demand })
        }
        None => None,
    };
    let settings = ServerSettings {
        certificates,
        unknown_host: match written.unknown_host {
            None | Some(file::UnknownHost::First) => UnknownHost::First,
            Some(file::UnknownHost::Refuse) => UnknownHost::Refuse,
        },
        version_min: match written.version_min {
            None | Some(file::TlsVersion::Tls12) => Version::Tls12,
            Some(file::TlsVersion::Tls13) => Version::Tls13,
        },
        ciphers: written.ciphers.iter().flatten().flatten().cloned().collect(),
        clients,
        protocols: protocols.to_vec(),
    };
    match tls::server(&settings) {
        Ok(acceptor) => {
            judge(&acceptor.identities, at, report);
            let handshake_timeout = millis(written.handshake_timeout_ms, file::ListenerTls::HANDSHAKE_TIMEOUT_MS);
            Some(listener::Tls { settings, slot: tls::Slot::new(acceptor), handshake_timeout })
        }
        Err(wrong) => {
            wrong.into_iter().for_each(|error| tell(error, at, report));
            None
        }
    }
}

/// Reports what is wrong with TLS settings that stand at `at`.
pub(super) fn tell(error: TlsError, at: &JsonPath, report: &mut Report) {
    let at = error.place.iter().fold(at.clone(), |at, step| match step.parse() {
        Ok(index) => at.index(index),
        Err(_) => at.key(step),
    });
    report.add(&at, error.what, error.remedy);
}

/// A certificate that has ended is a mistake only where there is no better: clients may be told to go on. It is logged.
fn judge(identities: &[Identity], at: &JsonPath, report: &mut Report) {
    let mut names: Vec<&str> = Vec::new();
    for (index, identity) in identities.iter().enumerate() {
        let at = at.key("certificates").index(index);
        let left = identity.ends.saturating_sub(time::unix());
        let hosts = identity.names.join(", ");
        if left.is_zero() {
            tracing::error!(hosts, "{at}: the certificate has ended; renew it");
        } else if left < EXPIRY_NEAR {
            tracing::warn!(hosts, days = left.as_secs() / 86_400, "{at}: the certificate ends soon; renew it");
        }
        if let Some(name) = identity.names.iter().find(|name| names.contains(&name.as_str())) {
            let what = format!("is for {name}, and so is a certificate before it, which is shown instead");
            report.add(&at, what, "remove one of the two");
        }
        names.extend(identity.names.iter().map(String::as_str));
    }
}
