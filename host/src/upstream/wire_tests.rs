//! How endpoints are spoken to, against real sockets: TLS, Unix sockets, PROXY headers.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ::http::Method;
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::origin::run;
use super::tests::{alice, get, request, settings};
use super::*;
use crate::exchange::{Client, Reason};
use crate::http::{Body, Upgrade, UpgradeForm};
use crate::tls::{self, ClientSettings, IdentityFiles, Verification};

/// An authority that issues certificates into a folder.
pub(super) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(super) fn issue(&self, host: &str) -> (CertificateDer<'static>, KeyPair) {
        self.issue_until(host, 4096)
    }

    /// A certificate that is good until the first day of a year.
    fn issue_until(&self, host: &str, year: i32) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    pub(super) fn ca(&self) -> ClientSettings {
        let authorities = Some(self.folder.path().join("ca.pem"));
        ClientSettings { authorities, protocols: Protocol::Http1.offer().to_vec(), ..ClientSettings::default() }
    }

    /// Writes a certificate for us.
    pub(super) fn identity(&self) -> IdentityFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let path = |name: &str| self.folder.path().join(name);
        std::fs::write(path("gateway.pem"), pem).unwrap();
        std::fs::write(path("gateway.key"), key.serialize_pem()).unwrap();
        IdentityFiles { certificate: path("gateway.pem"), key: path("gateway.key"), ocsp: None }
    }
}

pub(super) fn server(certificate: CertificateDer<'static>, key: &KeyPair, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
}

/// Answers requests until the connection ends; gives what was read.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, read: Rc<RefCell<Vec<Vec<u8>>>>) {
    let index = read.borrow().len();
    read.borrow_mut().push(Vec::new());
    let mut buffer = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        read.borrow_mut()[index].extend_from_slice(&buffer[..count]);
        if read.borrow()[index].ends_with(b"\r\n\r\n") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            stream.flush().await.unwrap();
        }
    }
}

type Seen = Rc<RefCell<Vec<Vec<u8>>>>;

/// A TCP origin, with TLS or without.
async fn origin(tls: Option<TlsAcceptor>) -> (Endpoint, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let seen = Seen::default();
    let read = Rc::clone(&seen);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, read) = (tls.clone(), Rc::clone(&read));
            tokio::task::spawn_local(async move {
                match tls {
                    None => answer(stream, read).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, read).await;
                        }
                    }
                }
            });
        }
    });
    (endpoint, seen)
}

pub(super) fn upstreams(endpoint: &Endpoint, wire: Wire) -> Upstreams {
    Upstreams::new(&[Settings { wire, ..settings(&[endpoint]) }])
}

pub(super) fn by_tls(settings: &ClientSettings, name: Option<&str>) -> Wire {
    let name = name.map(|name| ServerName::try_from(name.to_owned()).unwrap());
    Wire { tls: Some(Tls::new(tls::client(settings).unwrap(), name, tls::client_digest(settings))), ..Wire::default() }
}

/// Asks for `/`; gives the text, or what is told about there being none.
async fn ask(upstreams: &Upstreams, client: &Client) -> Result<(String, Connected), UpstreamError> {
    let sent = upstreams.send(0, client, &get("/"), Body::Empty).await?;
    let text = sent.response.body.collect().await.unwrap().to_bytes();
    Ok((String::from_utf8(text.to_vec()).unwrap(), sent.connection))
}

async fn hi(upstreams: &Upstreams, expected: Connected) {
    assert_eq!(ask(upstreams, &alice()).await.unwrap(), ("hi".to_owned(), expected));
}

#[test]
fn an_upstream_is_trusted_by_issuer_name_and_pin() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let (certificate, key) = ours.issue("app.internal");
        let pin: [u8; 32] = Sha256::digest(key.subject_public_key_info()).into();
        let (endpoint, _) = origin(Some(server(certificate, &key, None))).await;
        let name = Some("app.internal");

        let good = upstreams(&endpoint, by_tls(&ours.ca(), name));
        hi(&good, Connected::New).await;
        hi(&good, Connected::Reused).await;
        let pinned = ClientSettings { pins: vec![[0; 32], pin], ..ours.ca() };
        hi(&upstreams(&endpoint, by_tls(&pinned, name)), Connected::New).await;
        let only_pinned = ClientSettings { authorities: None, verification: Verification::Off, ..pinned };
        hi(&upstreams(&endpoint, by_tls(&only_pinned, None)), Connected::New).await;

        let check = async |settings: ClientSettings, name: Option<&str>, expected: &str| {
            let error = ask(&upstreams(&endpoint, by_tls(&settings, name)), &alice()).await.unwrap_err();
            assert_eq!((error.reason(), error.reason().status().as_u16()), (Reason::UpstreamConnect, 502));
            assert_eq!(error.to_string(), format!("{endpoint}: no TLS: {expected}"));
        };
        check(other.ca(), name, "its certificate is of an authority that is not trusted").await;
        check(ours.ca(), Some("else.internal"), "its certificate is not for \"else.internal\"").await;
        check(ours.ca(), None, "its certificate is not for \"127.0.0.1\"").await;
        let mispinned = ClientSettings { pins: vec![[0; 32]], ..ours.ca() };
        check(mispinned, name, "its public key is none of the pinned ones").await;
        let mispinned = ClientSettings { pins: vec![[0; 32]], verification: Verification::Off, ..Default::default() };
        check(mispinned, name, "its public key is none of the pinned ones").await;

        let (certificate, key) = ours.issue_until("app.internal", 2001);
        let (expired, _) = origin(Some(server(certificate, &key, None))).await;
        let error = ask(&upstreams(&expired, by_tls(&ours.ca(), name)), &alice()).await.unwrap_err().to_string();
        assert_eq!(error, format!("{expired}: no TLS: its certificate has ended"));
    });
}

#[test]
fn an_upstream_that_asks_for_a_certificate_is_shown_ours() {
    run(async {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("app.internal");
        let (endpoint, _) = origin(Some(server(certificate, &key, Some(&authority)))).await;
        let shown = ClientSettings { identity: Some(authority.identity()), ..authority.ca() };
        hi(&upstreams(&endpoint, by_tls(&shown, Some("app.internal"))), Connected::New).await;
        // In TLS 1.3 the refusal follows the handshake.
        let error = ask(&upstreams(&endpoint, by_tls(&authority.ca(), Some("app.internal"))), &alice()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("CertificateRequired"), "{error}");
    });
}

#[test]
fn an_endpoint_that_speaks_no_tls_is_told_so() {
    run(async {
        let (endpoint, _) = origin(None).await;
        let wire = by_tls(&Authority::new().ca(), Some("app.internal"));
        let limited = Settings { wire, connect_timeout: Duration::from_millis(200), ..settings(&[&endpoint]) };
        let error = ask(&Upstreams::new(&[limited]), &alice()).await.unwrap_err();
        // It waits for the end of a request head, and nobody waits for it longer than for a connection.
        assert!(matches!(error, UpstreamError::ConnectTimeout { .. }), "{error}");
    });
}

#[test]
fn a_configuration_read_anew_keeps_connections_unless_a_file_of_tls_has_changed() {
    run(async {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("app.internal");
        let (encrypted, _) = origin(Some(server(certificate, &key, None))).await;
        let (plain, _) = origin(None).await;
        let wire = by_tls(&authority.ca(), Some("app.internal"));
        let check = async |endpoint: &Endpoint, wire: &Wire, again: Wire, expected: Connected| {
            let old = upstreams(endpoint, wire.clone());
            hi(&old, Connected::New).await;
            hi(&old.rebuilt(&[Settings { wire: again, ..settings(&[endpoint]) }]), expected).await;
        };
        check(&encrypted, &wire, wire.clone(), Connected::Reused).await;
        check(&encrypted, &wire, by_tls(&authority.ca(), Some("app.internal")), Connected::Reused).await;
        let ca = authority.folder.path().join("ca.pem");
        let other = std::fs::read_to_string(Authority::new().folder.path().join("ca.pem")).unwrap();
        std::fs::write(&ca, std::fs::read_to_string(&ca).unwrap() + &other).unwrap();
        check(&encrypted, &wire, by_tls(&authority.ca(), Some("app.internal")), Connected::New).await;
        check(&plain, &Wire::default(), Wire::default(), Connected::Reused).await;
    });
}

#[test]
fn the_next_connection_resumes_the_session() {
    run(async {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("app.internal");
        let tls = server(certificate, &key, None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let kinds = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&kinds);
        tokio::task::spawn_local(async move {
            loop {
                let stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
                told.borrow_mut().push(stream.get_ref().1.handshake_kind().unwrap());
                tokio::task::spawn_local(answer(stream, Seen::default()));
            }
        });
        let wire = by_tls(&authority.ca(), Some("app.internal"));
        let brief = Upstreams::new(&[Settings { idle_connections_max: 0, wire, ..settings(&[&endpoint]) }]);
        hi(&brief, Connected::New).await;
        hi(&brief, Connected::New).await;
        assert_eq!(*kinds.borrow(), [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
    });
}

fn listen(path: &Path) -> UnixListener {
    UnixListener::bind(path).unwrap()
}

#[test]
fn a_socket_in_the_file_system_is_an_endpoint() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let endpoint = Endpoint::Unix(path.clone());
        let missing = ask(&upstreams(&endpoint, Wire::default()), &alice()).await.unwrap_err();
        assert_eq!(missing.reason(), Reason::UpstreamConnect);
        assert!(missing.to_string().starts_with(&format!("unix:{}: no connection: ", path.display())), "{missing}");

        let listener = listen(&path);
        let seen = Seen::default();
        let read = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(answer(stream, Rc::clone(&read)));
            }
        });
        let upstreams = upstreams(&endpoint, Wire::default());
        hi(&upstreams, Connected::New).await;
        hi(&upstreams, Connected::Reused).await;
        let seen = String::from_utf8(seen.borrow()[0].clone()).unwrap();
        assert!(seen.contains("\r\nhost: api.example\r\n"), "{seen}");
    });
}

#[test]
fn a_connection_that_names_its_client_is_for_that_client_only() {
    run(async {
        let bob = Client::new("[2001:db8::1]:5".parse().unwrap(), "[2001:db8::2]:6".parse().unwrap(), None);
        let (endpoint, seen) = origin(None).await;
        let wire = Wire { proxy_protocol: Some(ProxyProtocol::V1), ..Wire::default() };
        let upstreams = upstreams(&endpoint, wire);
        let expected = [(&alice(), Connected::New), (&bob, Connected::New), (&alice(), Connected::Reused)];
        for (client, connected) in expected {
            assert_eq!(ask(&upstreams, client).await.unwrap().1, connected);
        }
        let begins = |index: usize, text: &str| {
            let seen = String::from_utf8(seen.borrow()[index].clone()).unwrap();
            assert!(seen.starts_with(&format!("{text}\r\nGET / HTTP/1.1\r\n")), "{seen}");
            assert_eq!(seen.matches("PROXY").count(), 1, "{seen}");
        };
        begins(0, "PROXY TCP4 192.0.2.1 192.0.2.2 4000 443");
        begins(1, "PROXY TCP6 2001:db8::1 2001:db8::2 5 6");
    });
}

#[test]
fn connections_of_clients_that_left_make_room() {
    run(async {
        let (endpoint, _) = origin(None).await;
        let wire = Wire { proxy_protocol: Some(ProxyProtocol::V2), ..Wire::default() };
        let one = Settings { idle_connections_max: 1, wire, ..settings(&[&endpoint]) };
        let upstreams = Upstreams::new(&[one]);
        let client = |port: u16| Client::new(([192, 0, 2, 1], port).into(), ([192, 0, 2, 2], 80).into(), None);
        for (port, connected) in [(1, Connected::New), (2, Connected::New), (2, Connected::Reused), (1, Connected::New)]
        {
            assert_eq!(ask(&upstreams, &client(port)).await.unwrap().1, connected);
        }
        let counts = upstreams.connections(0);
        assert_eq!((counts[0].open, counts[0].idle), (1, 1));
    });
}

#[test]
fn a_header_goes_before_tls_and_a_tunnel_through_both() {
    let check = async |length: usize| {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("app.internal");
        let tls = server(certificate, &key, None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let told = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut header = [0; 28];
            stream.read_exact(&mut header).await.unwrap();
            let mut stream = tls.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst,").await.unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            stream.write_all(&said).await.unwrap();
            // The second time it ends TLS without saying so, as many do.
            if said.len() < 200_000 {
                stream.shutdown().await.unwrap();
            }
            header
        });
        let wire = Wire { proxy_protocol: Some(ProxyProtocol::V2), ..by_tls(&authority.ca(), Some("app.internal")) };
        let upgrade = Upgrade { protocol: "echo".parse().unwrap(), form: UpgradeForm::Upgrade };
        let said = Body::Full(vec![b'x'; length].into());
        let asked = request(Method::GET, "/", &[]);
        let sent = upstreams(&endpoint, wire).tunnel(0, &alice(), &asked, &upgrade, said).await.unwrap();
        assert_eq!(sent.response.status, 101);
        let text = sent.response.body.collect().await.unwrap().to_bytes();
        assert_eq!((&text[..6], text.len()), (&b"first,"[..], length + 6));
        let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x0f\xa0\x01\xbb";
        assert_eq!(&told.await.unwrap(), expected);
    };
    run(async {
        check(100_000).await;
        check(200_000).await;
    });
}
