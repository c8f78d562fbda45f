//! Settings against files made for the purpose; handshakes are tested end to end.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::resolver::Resolver;
use super::*;

/// Writes a certificate for these names and its key.
fn write(folder: &Path, name: &str, hosts: &[&str]) -> IdentityFiles {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let certificate = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
    let files = IdentityFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        ocsp: None,
    };
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn settings(certificates: Vec<IdentityFiles>) -> ServerSettings {
    ServerSettings {
        certificates,
        unknown_host: UnknownHost::First,
        version_min: Version::Tls12,
        ciphers: Vec::new(),
        clients: None,
        protocols: Vec::new(),
    }
}

#[test]
fn the_name_chooses_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        write(folder.path(), "first", &["first.example"]),
        write(folder.path(), "wild", &["*.example.com", "example.com"]),
        write(folder.path(), "exact", &["www.example.com"]),
    ];
    let identities: Vec<Identity> = files.iter().map(|files| Identity::read(files).unwrap()).collect();
    let resolver = Resolver::new(&identities, UnknownHost::First);
    let check = |host: Option<&str>, expected: Option<usize>| {
        let found = resolver.find(host);
        let expected = expected.and_then(|index| identities.get(index)).map(|identity| identity.shown.current());
        assert_eq!(found.is_some(), expected.is_some(), "{host:?}");
        assert!(
            found.iter().zip(expected).all(|(found, expected)| std::sync::Arc::ptr_eq(found, &expected)),
            "{host:?}"
        );
    };
    check(Some("first.example"), Some(0));
    check(Some("a.example.com"), Some(1));
    check(Some("example.com"), Some(1));
    check(Some("www.example.com"), Some(2));
    check(Some("a.b.example.com"), None);
    check(Some("other"), None);
    check(None, None);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (write(folder.path(), "one", &["a"]), write(folder.path(), "two", &["b"]));
    let missing = IdentityFiles { certificate: folder.path().join("none.pem"), ..one.clone() };
    let crossed = IdentityFiles { key: two.key.clone(), ..one.clone() };
    let swapped = IdentityFiles { certificate: one.key.clone(), key: one.certificate.clone(), ocsp: None };
    let stapled = IdentityFiles { ocsp: Some(one.key.clone()), ..one.clone() };
    let encrypted = folder.path().join("encrypted.key");
    fs::write(&encrypted, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let locked = IdentityFiles { key: encrypted, ..one.clone() };
    let mut settings = settings(vec![missing, crossed, swapped, stapled, locked]);
    settings.ciphers = vec!["TLS_AES_128_GCM_SHA256".to_owned(), "TLS_RSA_WITH_RC4_128_MD5".to_owned()];
    settings.clients = Some(ClientCertificates { authorities: one.key.clone(), demand: Demand::Required });
    let told: Vec<String> = server(&settings)
        .unwrap_err()
        .into_iter()
        .map(|error| {
            format!("{}: {}", error.place.join("."), error.what.replace(&folder.path().display().to_string(), ""))
        })
        .collect();
    assert_eq!(
        told,
        [
            "certificates.0.certificate: /none.pem cannot be read: No such file or directory (os error 2)",
            "certificates.1.key: /two.key does not belong to the certificate in /one.pem",
            "certificates.2.certificate: /one.key has no certificate",
            "certificates.3.ocsp: /one.key is no OCSP response",
            "certificates.4.key: /encrypted.key is encrypted",
            "ciphers.1: \"TLS_RSA_WITH_RC4_128_MD5\" is not a suite that is spoken here",
            "client.ca: /one.key has no certificate",
        ]
    );
}

#[test]
fn suites_and_versions_that_do_not_suit_each_other_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), "one", &["a"]);
    let mut settings = settings(vec![files]);
    settings.ciphers = vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()];
    assert!(server(&settings).is_ok());
    settings.version_min = Version::Tls13;
    assert_eq!(server(&settings).unwrap_err().first().unwrap().place, ["ciphers"]);
}

#[test]
fn an_upstream_needs_files_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), "one", &["a"]);
    let own = ClientSettings { authorities: Some(files.certificate.clone()), ..ClientSettings::default() };
    assert!(client(&own).is_ok());
    let none = ClientSettings { authorities: Some(folder.path().join("none.pem")), ..ClientSettings::default() };
    assert_eq!(client(&none).unwrap_err().place, ["ca"]);
    assert!(client(&ClientSettings { identity: Some(files), ..own }).is_ok());
}
