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
use crate::certificates::ocsp::Question;
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

#[tokio::test]
async fn a_responder_is_asked_as_it_wants_to_be() {
    use http_body_util::{BodyExt as _, Full};
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
                let (head, body) = request.into_parts();
                let known = head.method == "POST" && head.uri.path() == "/a";
                let right = head.headers["content-type"] == "application/ocsp-request";
                let asked = body.collect().await.unwrap().to_bytes();
                let status = if known && right { 200 } else { 404 };
                let answer = Full::new([b"answer to ", &asked[..]].concat().into());
                http::Response::builder().status(status).body::<Full<bytes::Bytes>>(answer)
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
        }
    });
    let ask = async |url: String| staple::ask(&Question { url, body: b"question".to_vec() }).await;
    assert_eq!(ask(format!("http://{address}/a")).await.unwrap(), "answer to question");
    assert!(matches!(ask(format!("http://{address}/b")).await, Err(staple::AskError::Status(_))));
    assert!(matches!(ask(format!("ldap://{address}/a")).await, Err(staple::AskError::Url(_))));
    assert!(matches!(ask("http://127.0.0.1:1/a".to_owned()).await, Err(staple::AskError::Connect(_))));
}

/// Runs openssl in a folder.
fn openssl(folder: &std::path::Path, arguments: &str) {
    let run = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A CA, a certificate of it for `host` that names a responder, and what openssl needs to answer for it.
fn certificate_with_responder(folder: &std::path::Path, host: &str, responder: &str) -> String {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    write("ext", format!("subjectAltName=DNS:{host}\nauthorityInfoAccess=OCSP;URI:{responder}\n"));
    write("index.txt", format!("V\t21261121000000Z\t\t1234567890\tunknown\t/CN={host}\n"));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 100 -subj /CN=CA"));
    openssl(folder, &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN={host}"));
    let sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 0x1234567890 -days 90 -extfile ext";
    openssl(folder, &format!("{sign} -out leaf.pem"));
    format!("{}{}{}", read("leaf.key"), read("leaf.pem"), read("ca.pem"))
}

/// A responder that answers by openssl for what is in the folder.
fn answering(socket: TcpListener, folder: &std::path::Path) -> tokio::task::JoinHandle<()> {
    let answers = folder.to_owned();
    tokio::spawn(async move {
        use http_body_util::{BodyExt as _, Full};
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                std::fs::write(answers.join("question"), asked).unwrap();
                let signer = "-rsigner ca.pem -rkey ca.key -CA ca.pem -index index.txt -ndays 2";
                openssl(&answers, &format!("ocsp {signer} -reqin question -respout answer"));
                Ok::<_, std::io::Error>(http::Response::new(Full::new(bytes::Bytes::from(
                    std::fs::read(answers.join("answer")).unwrap(),
                ))))
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
        }
    })
}

#[tokio::test]
async fn what_the_responder_says_is_stapled_and_kept() {
    let host = "stapled.example.com";
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().to_owned();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let responder = format!("http://{}/", socket.local_addr().unwrap());
    let pem = certificate_with_responder(&folder, host, &responder);
    let serving = answering(socket, &folder);
    let directory = "https://127.0.0.1:1/directory".to_owned();
    let kept = storage::Storage::open(&folder.join("acme"), &directory).unwrap();
    kept.put_certificate(host, &pem).unwrap();
    let settings = Settings {
        directory,
        contact: Vec::new(),
        storage: folder.join("acme"),
        challenges: vec![Challenge::Http01],
        hosts: vec![host.to_owned()],
        ca: None,
        renew_before: Duration::from_secs(3600),
        external_account: None,
    };
    let stapled = || async {
        eventually("a stapled response", || async { issued().certified(host).and_then(|shown| shown.ocsp.clone()) })
            .await
    };
    let keep = async || {
        tokio::select! {
            staple = stapled() => staple,
            () = keeper::keep(Some(&settings)) => panic!("it does not end by itself"),
        }
    };
    let staple = keep().await;
    assert_eq!(staple, std::fs::read(folder.join("answer")).unwrap());
    assert_eq!(kept.staple(host).unwrap(), staple);
    // After a restart it is shown before anybody is asked, and though nobody answers.
    serving.abort();
    issued().keep_only(&[]);
    assert_eq!(keep().await, staple);
}

#[tokio::test]
async fn certificates_from_files_are_stapled_too() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().to_owned();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let responder = format!("http://{}/", socket.local_addr().unwrap());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    certificate_with_responder(&folder, "file.example.com", &responder);
    std::fs::write(folder.join("chain.pem"), format!("{}{}", read("leaf.pem"), read("ca.pem"))).unwrap();
    let serving = answering(socket, &folder);
    let (certificate, key) = (folder.join("chain.pem"), folder.join("leaf.key"));
    let settings = crate::tls::ServerSettings {
        certificates: vec![crate::tls::IdentityFiles { certificate, key, ocsp: None }],
        unknown_host: crate::tls::UnknownHost::First,
        version_min: crate::tls::Version::Tls12,
        ciphers: Vec::new(),
        clients: None,
        protocols: Vec::new(),
    };
    let acceptor = || crate::tls::server(&settings).unwrap();
    let stapled = |acceptor: &crate::tls::Acceptor| acceptor.identities[0].shown.current().ocsp.clone();
    let (mut known, first) = (stapler::Known::new(), acceptor());
    let mut subjects = stapler::subjects([first.clone()].into_iter(), &mut known);
    let staple = tokio::select! {
        staple = eventually("a stapled response", || async { stapled(&first) }) => staple,
        () = stapler::keep(&mut subjects, &mut known) => panic!("it does not end by itself"),
    };
    assert_eq!(staple, std::fs::read(folder.join("answer")).unwrap());
    // The same certificate, read anew, is stapled before anybody is asked.
    serving.abort();
    let second = acceptor();
    assert_eq!(stapled(&second), None);
    stapler::subjects([second.clone()].into_iter(), &mut known);
    assert_eq!(stapled(&second), Some(staple));
}
