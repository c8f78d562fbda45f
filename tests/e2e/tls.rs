//! TLS in front: which certificate, which version, whose client, and files that change while connections stand.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_tests::{Gateway, Origin, Reply, Setup, Value, in_time, json};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority, and a folder for what it issues.
struct Authority {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a certificate for these hosts; gives its entry in the configuration.
    fn issue(&self, name: &str, hosts: &[&str]) -> Value {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, secret) = (self.path().join(format!("{name}.pem")), self.path().join(format!("{name}.key")));
        // In one step each, as a careful operator does.
        for (path, text) in [(&pem, certificate.pem()), (&secret, key.serialize_pem())] {
            fs::write(path.with_extension("new"), text).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }
        json!({ "certificate": pem, "key": secret })
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion], identity: Option<&Value>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(files) => {
                use rustls::pki_types::pem::PemObject;
                let file = |key: &str| files[key].as_str().unwrap().to_owned();
                let chain = CertificateDer::pem_file_iter(file("certificate")).unwrap().map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

async fn connect(gateway: &Gateway, config: ClientConfig, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway.address()).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    in_time("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// Sends a GET and gives what comes back until the connection closes or the body `hi` is there.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.ends_with("hi") {
        match in_time("a response", stream.read(&mut buffer)).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    Ok(text)
}

/// The common name of the certificate that the gateway showed.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(files: &Value) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(files["certificate"].as_str().unwrap()).unwrap().to_vec()
}

async fn start(origin: &Origin, tls: Value) -> Gateway {
    let listeners = json!({ "listeners": [{ "address": "127.0.0.1:0", "tls": tls }] });
    let names = json!({ "names": ["tls.client.subject", "tls.client.fingerprint"] });
    Setup::to(origin).patch(&listeners).guest("attribute-reader", names).start().await
}

#[tokio::test]
async fn the_host_chooses_the_certificate_and_upstreams_learn_of_https() {
    let authority = Authority::new();
    let (one, two) = (authority.issue("one", &["one.example"]), authority.issue("two", &["*.two.example"]));
    let origin = Origin::start(|_| Reply::ok("hi")).await;
    let gateway = start(&origin, json!({ "certificates": [one, two] })).await;
    for (host, expected) in [("one.example", &one), ("a.two.example", &two)] {
        for version in BOTH {
            let mut stream = connect(&gateway, authority.client(&[version], None), host).await.unwrap();
            assert_eq!(shown(&stream), der(expected), "{host}");
            assert!(ask(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
        }
    }
    let seen = origin.wait_for(4).await;
    assert!(seen.iter().all(|seen| seen.value("x-forwarded-proto") == Some("https")));
    // A host that no certificate is for is shown the first, which the client then refuses.
    assert!(connect(&gateway, authority.client(BOTH, None), "other.example").await.is_err());
}

#[tokio::test]
async fn versions_and_hosts_are_refused_where_the_configuration_says_so() {
    let authority = Authority::new();
    let one = authority.issue("one", &["one.example"]);
    let origin = Origin::start(|_| Reply::ok("hi")).await;
    let tls = json!({ "certificates": [one], "version_min": "1.3", "unknown_host": "refuse" });
    let gateway = start(&origin, tls).await;
    let older = authority.client(&[&rustls::version::TLS12], None);
    let error = connect(&gateway, older, "one.example").await.unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let error = connect(&gateway, authority.client(BOTH, None), "b.example").await.unwrap_err().to_string();
    assert!(error.contains("alert"), "{error}");
    let mut stream = connect(&gateway, authority.client(BOTH, None), "one.example").await.unwrap();
    ask(&mut stream).await.unwrap();
}

#[tokio::test]
async fn clients_show_certificates() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let one = authority.issue("one", &["one.example"]);
    let (alice, mallory) = (authority.issue("alice", &["alice"]), stranger.issue("mallory", &["mallory"]));
    let origin = Origin::start(|_| Reply::ok("hi")).await;
    let ca = authority.path().join("ca.pem");
    let required = start(&origin, json!({ "certificates": [one], "client": { "ca": ca } })).await;
    let optional = start(&origin, json!({ "certificates": [one], "client": { "ca": ca, "mode": "optional" } })).await;
    let get = async |gateway: &Gateway, identity: Option<&Value>| {
        let mut stream = connect(gateway, authority.client(BOTH, identity), "one.example").await?;
        ask(&mut stream).await
    };
    assert!(get(&required, Some(&alice)).await.is_ok());
    let told = get(&required, Some(&alice)).await.unwrap();
    assert!(told.contains("\r\nx-attribute-tls.client.subject: CN=alice\r\n"), "{told}");
    let fingerprint: String = digest(&SHA256, &der(&alice)).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(told.contains(&format!("\r\nx-attribute-tls.client.fingerprint: {fingerprint}\r\n")), "{told}");
    // In TLS 1.3 a client learns only when it reads that its certificate is not wanted.
    assert!(get(&required, None).await.is_err());
    assert!(get(&required, Some(&mallory)).await.is_err());
    assert!(get(&optional, None).await.unwrap().contains("\r\nx-attribute-tls.client.subject: none\r\n"));
    assert!(get(&optional, Some(&mallory)).await.is_err());
}

#[tokio::test]
async fn new_files_are_taken_over_and_connections_stand() {
    let authority = Authority::new();
    let one = authority.issue("one", &["one.example"]);
    let before = der(&one);
    let origin = Origin::start(|_| Reply::ok("hi")).await;
    let gateway = start(&origin, json!({ "certificates": [one] })).await;
    let mut standing = connect(&gateway, authority.client(BOTH, None), "one.example").await.unwrap();
    ask(&mut standing).await.unwrap();

    // A file that is wrong changes nothing.
    let mark = gateway.logs().mark();
    fs::write(authority.path().join("one.key"), "this is no key").unwrap();
    gateway.logs().wait_for_words(mark, &["configuration refused", "has no private key"]).await;
    let stream = connect(&gateway, authority.client(BOTH, None), "one.example").await.unwrap();
    assert_eq!(shown(&stream), before);

    let mark = gateway.logs().mark();
    authority.issue("one", &["one.example"]);
    gateway.logs().wait_for_words(mark, &["generation takes over"]).await;
    let stream = connect(&gateway, authority.client(BOTH, None), "one.example").await.unwrap();
    assert_eq!(shown(&stream), der(&one));
    assert_ne!(der(&one), before);
    ask(&mut standing).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let authority = Authority::new();
    let one = authority.issue("one", &["one.example"]);
    let origin = Origin::start(|_| Reply::ok("hi")).await;
    let gateway = start(&origin, json!({ "certificates": [one], "handshake_timeout_ms": 200 })).await;
    let mut silent = TcpStream::connect(gateway.address()).await.unwrap();
    assert_eq!(in_time("the end", silent.read(&mut [0; 16])).await.unwrap(), 0);
    let mut plain = TcpStream::connect(gateway.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = in_time("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}
