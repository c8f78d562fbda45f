//! Certificates by TLS-ALPN-01 from a real CA, with a TLS server that asks [`crate::certificates::resolve`] as listeners do.
//! What the whole gateway does is tested in `tests/e2e/acme.rs`.

use std::sync::Arc;
use std::time::Duration;

use portcullis_tests::{Pebble, Validation, eventually};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::certificates::{ACME_TLS_ALPN, Resolved, challenges, issued, resolve};

#[derive(Debug)]
struct Resolver;

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match resolve(&hello) {
            Resolved::Certificate(certificate) => Some(certificate),
            Resolved::Unknown | Resolved::Refused => None,
        }
    }
}

async fn serve(socket: TcpListener) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Resolver));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), ACME_TLS_ALPN.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = acceptor.accept(stream).await;
        });
    }
}

#[tokio::test]
async fn a_certificate_is_obtained_by_tls_alpn() {
    let host = "alpn.example.com";
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls_port = socket.local_addr().unwrap().port();
    tokio::spawn(serve(socket));
    let pebble = Pebble::start(Validation { http_port: 1, tls_port, validity_seconds: 24 * 3600 }).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        directory: pebble.directory(),
        contact: Vec::new(),
        storage: folder.path().to_owned(),
        challenges: vec![Challenge::TlsAlpn01],
        hosts: vec![host.to_owned()],
        ca: Some(pebble.ca()),
        renew_before: Duration::from_secs(3600),
        external_account: None,
    };
    let before = issued().version();
    // The placeholder signs itself; what the CA gives comes with the CA's own certificate.
    let obtained = eventually("a certificate from the CA", || async {
        issued().certified(host).filter(|certificate| certificate.cert.len() == 2)
    });
    let certificate = tokio::select! {
        certificate = obtained => certificate,
        () = keeper::keep(Some(&settings)) => panic!("it does not end by itself"),
    };
    let (_, leaf) = x509_parser::parse_x509_certificate(&certificate.cert[0]).unwrap();
    assert!(leaf.issuer().to_string().contains("Pebble"), "{}", leaf.issuer());
    // A placeholder and a certificate, at least.
    assert!(issued().version() >= before + 2);
    assert!(challenges().alpn_certificate(host).is_none(), "the proof is gone");
    assert!(pebble.count("set VALID by completed challenge") > 0);
}
