//! What a finished handshake says about the client, in the gateway's own words.

use rustls::ServerConnection;
use sha2::{Digest as _, Sha256};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

use super::server::suite_name;
use crate::exchange::{Certificate, Tls};

/// The facts of a connection whose handshake is complete.
pub fn facts(connection: &ServerConnection) -> Tls {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher = connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite())).unwrap_or_default();
    Tls {
        version,
        cipher: cipher.into(),
        server_name: connection.server_name().map(Into::into),
        certificate: connection.peer_certificates().and_then(|chain| certificate(chain.first()?)),
    }
}

fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = parse_x509_certificate(der).ok()?;
    Some(Certificate {
        subject: distinguished_name(parsed.subject()).into(),
        serial: hex(parsed.raw_serial()).into(),
        fingerprint: hex(&Sha256::digest(der)).into(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name as RFC 4514 writes it: the last part first, with commas between.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let kind = oid2abbrev(attribute.attr_type(), oid_registry()).map(str::to_owned);
                let kind = kind.unwrap_or_else(|_| attribute.attr_type().to_id_string());
                format!("{kind}={}", escaped(attribute.as_str().unwrap_or_default()))
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// RFC 4514 section 2.4. Control characters, which no field value may have, go as well.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', character]),
            '#' | ' ' if index == 0 => escaped.extend(['\\', character]),
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}
