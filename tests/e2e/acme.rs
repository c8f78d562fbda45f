//! Automatic certificates, obtained from a real CA that validates through the gateway's own listeners.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_tests::pebble::free_address;
use portcullis_tests::{Pebble, Setup, Validation, eventually, json};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const HOUR: u64 = 3600;

/// A CA that validates at a port, and a gateway that listens there. The storage is the test's, so that it outlives gateways.
async fn ca_and_setup(validity_seconds: u64, storage: &Path, hosts: &[&str]) -> (Pebble, Setup) {
    let (http, tls) = (free_address(), free_address());
    let validation = Validation { http_port: http.port(), tls_port: tls.port(), validity_seconds };
    let pebble = Pebble::start(validation).await;
    let setup = Setup::new().route(json!({ "name": "all", "respond": { "body": "a page" } })).patch(
        &json!({ "listeners": [{ "address": http.to_string() }], "acme": {
            "directory": pebble.directory(),
            "ca": pebble.ca(),
            "contact": ["mailto:admin@example.com"],
            "storage": storage,
            "challenges": ["http-01"],
            "hosts": hosts,
            "terms_accepted": true,
        }}),
    );
    (pebble, setup)
}

/// The files of the only CA in a storage, by name.
fn kept(storage: &Path) -> Vec<PathBuf> {
    let folders: Vec<_> = fs::read_dir(storage).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let mut files: Vec<_> = fs::read_dir(&folders[0]).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(files: &[PathBuf]) -> Vec<&str> {
    files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn certificates_are_obtained_kept_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("acme");
    let (pebble, setup) = ca_and_setup(24 * HOUR, &storage, &["a.example.com", "b.example.com"]).await;
    let gateway = setup.start().await;
    for host in ["a.example.com", "b.example.com"] {
        gateway.logs().wait_for_words(0, &["certificate obtained", host]).await;
    }
    // The page is there as before, and so is what looks like a proof and is not shown.
    assert_eq!(gateway.get("/").await.text(), "a page");
    assert_eq!(gateway.get("/.well-known/acme-challenge/unknown").await.text(), "a page");
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["ACME account made"]), 1, "{}", logs.text());

    let files = kept(&storage);
    assert_eq!(names(&files), ["a.example.com.pem", "account.json", "b.example.com.pem"]);
    assert_eq!((mode(&storage), mode(files[0].parent().unwrap())), (0o700, 0o700));
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file:?}");
    }
    let pem = fs::read_to_string(&files[0]).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    // The host's own and that of the CA between it and the root.
    assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 2);

    let gateway = setup.start().await;
    for host in ["a.example.com", "b.example.com"] {
        gateway.logs().wait_for_words(0, &["certificate taken from storage", host]).await;
    }
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["certificate obtained"]), 0, "{}", logs.text());
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), pem);
    assert_eq!(pebble.count("Issued certificate"), 2);
}

#[tokio::test]
async fn a_certificate_that_is_about_to_end_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    // Renewed after two thirds of twelve seconds.
    let (_pebble, setup) = ca_and_setup(12, folder.path(), &["short.example.com"]).await;
    let gateway = setup.start().await;
    gateway.logs().wait_for_words(0, &["certificate obtained"]).await;
    let mark = gateway.logs().mark();
    // Replaced in one step: whatever is read is whole.
    let pem = || {
        let kept = kept(folder.path());
        fs::read_to_string(kept.iter().find(|file| file.ends_with("short.example.com.pem"))?).ok()
    };
    let first = eventually("the certificate is kept", || async { pem() }).await;
    eventually("another certificate is kept", || async { pem().filter(|pem| *pem != first) }).await;
    // Told after it is kept.
    gateway.logs().wait_for_words(mark, &["certificate obtained"]).await;
    gateway.stop().await;
}

#[tokio::test]
async fn after_a_failure_it_waits_even_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (pebble, setup) = ca_and_setup(24 * HOUR, folder.path(), &["a.example.com"]).await;
    // Where the CA looks, nobody listens.
    let setup = setup.patch(&json!({ "listeners": [{ "address": "127.0.0.1:0" }] }));
    let gateway = setup.start().await;
    let line = gateway.logs().wait_for_words(0, &["no certificate: validation failed"]).await;
    assert_eq!((line.level(), line.field("failures")), ("ERROR".to_owned(), Some("1".to_owned())));
    assert_eq!(line.field("next_minutes").unwrap(), "2");
    // Clients are served all the while.
    assert_eq!(gateway.get("/").await.text(), "a page");
    gateway.stop().await;
    let files = kept(folder.path());
    assert_eq!(names(&files), ["a.example.com.failures", "account.json"]);

    let orders = pebble.count("/order-plz");
    let gateway = setup.start().await;
    assert_eq!(gateway.get("/").await.text(), "a page");
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["no certificate"]), 0, "{}", logs.text());
    assert_eq!(pebble.count("/order-plz"), orders);
}

#[tokio::test]
async fn a_configuration_that_wants_certificates_later_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_pebble, setup) = ca_and_setup(24 * HOUR, folder.path(), &["a.example.com"]).await;
    let acme = setup.config()["acme"].clone();
    let gateway = setup.patch(&json!({ "acme": null })).start().await;
    gateway.patch_config(&json!({ "acme": acme }));
    gateway.logs().wait_for_words(0, &["certificate obtained", "a.example.com"]).await;
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "acme": { "hosts": ["a.example.com", "later.example.com"] } }));
    gateway.logs().wait_for_words(mark, &["certificate obtained", "later.example.com"]).await;
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["certificate obtained"]), 2, "{}", logs.text());
}

#[tokio::test]
async fn a_host_is_proved_by_tls_alpn_on_a_listener_that_has_no_other_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (http, tls) = (free_address(), free_address());
    let validation = Validation { http_port: http.port(), tls_port: tls.port(), validity_seconds: 24 * HOUR };
    let pebble = Pebble::start(validation).await;
    let setup = Setup::new().route(json!({ "name": "all", "respond": { "body": "a page" } })).patch(&json!({
        "listeners": [{ "address": tls.to_string(), "tls": { "acme": true } }],
        "acme": {
            "directory": pebble.directory(),
            "ca": pebble.ca(),
            "storage": folder.path(),
            "challenges": ["tls-alpn-01"],
            "hosts": ["a.example.com"],
            "terms_accepted": true,
        },
    }));
    let gateway = setup.start().await;
    gateway.logs().wait_for_words(0, &["certificate obtained", "a.example.com"]).await;
    // What clients see is what is kept, and the page is behind it.
    let (shown, answer) = ask_over_tls(tls, "a.example.com").await;
    let kept = kept(folder.path());
    let pem = kept.iter().find(|file| file.ends_with("a.example.com.pem")).unwrap();
    let expected: Vec<_> = CertificateDer::pem_file_iter(pem).unwrap().map(Result::unwrap).collect();
    assert_eq!(shown, expected);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("a page"), "{answer}");
    gateway.stop().await;
}

/// The chain that the gateway shows, and its answer to a request.
async fn ask_over_tls(address: SocketAddr, host: &str) -> (Vec<CertificateDer<'static>>, String) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(host.to_owned().try_into().unwrap(), stream).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap().iter().map(|one| one.clone().into_owned()).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    (chain, String::from_utf8(answer).unwrap())
}

/// Takes every certificate: the test looks at it afterwards.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}
