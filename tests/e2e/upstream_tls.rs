//! How endpoints are reached: by TLS, by Unix sockets, with a PROXY header; plainly and with tunnels through them.

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use portcullis_tests::{Gateway, Request, Setup, Value, in_time, json};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

/// An authority, and a folder for what it issues.
struct Authority {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self {
            folder: tempfile::tempdir().unwrap(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        };
        std::fs::write(authority.path("ca.pem"), certificate.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, host: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server for `app.internal`; `clients` issues the certificates that it asks for.
    fn server(&self, clients: Option<&Self>) -> TlsAcceptor {
        let (certificate, key) = self.issue("app.internal");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }
}

/// Answers each request with its first line; gives up on what is not HTTP.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" => {
                let body = std::mem::take(&mut first);
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(response.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            line if line.starts_with("PROXY ") || line.starts_with("GET ") => first.push_str(line),
            _ => {}
        }
    }
}

/// Says back what it is told by WebSocket.
async fn chat(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// What an origin does with its connections.
#[derive(Clone, Copy)]
enum Does {
    Answer,
    Chat,
}

async fn encrypted(tls: TlsAcceptor, does: Does) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                match does {
                    Does::Answer => answer(stream).await,
                    Does::Chat => chat(stream).await,
                }
            });
        }
    });
    format!("https://{address}")
}

fn unix(path: &Path, does: Does) -> String {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match does {
                Does::Answer => drop(tokio::spawn(answer(stream))),
                Does::Chat => drop(tokio::spawn(chat(stream))),
            }
        }
    });
    format!("unix:{}", path.display())
}

async fn gateway(upstream: &Value) -> Gateway {
    Setup::new().patch(&json!({ "upstreams": { "origin": upstream } })).start().await
}

async fn hi(gateway: &Gateway) {
    let response = gateway.get("/hi").await;
    assert_eq!((response.status, response.text()), (200, "GET /hi HTTP/1.1"));
}

#[tokio::test]
async fn an_upstream_is_trusted_by_its_issuer_which_may_change_while_the_gateway_runs() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let endpoint = encrypted(ours.server(None), Does::Answer).await;
    let trusted = ours.path("trusted.pem");
    std::fs::copy(other.path("ca.pem"), &trusted).unwrap();
    let tls = json!({ "ca": trusted, "server_name": "app.internal" });
    let gateway = gateway(&json!({ "endpoints": [endpoint], "tls": tls })).await;
    let mark = gateway.logs().mark();
    assert_eq!(gateway.get("/hi").await.status, 502);
    let reason = "no TLS: its certificate is of an authority that is not trusted";
    let told = gateway.logs().wait_for_words(mark, &[reason]).await;
    assert!(told.raw().contains(endpoint.trim_start_matches("https://")), "{}", told.raw());

    std::fs::copy(ours.path("ca.pem"), ours.path("new.pem")).unwrap();
    std::fs::rename(ours.path("new.pem"), &trusted).unwrap();
    gateway.until("the new authority", Request::get("/hi"), |response| response.status == 200).await;
    hi(&gateway).await;
}

#[tokio::test]
async fn a_name_that_is_not_in_the_certificate_is_not_trusted() {
    let ours = Authority::new("ours");
    let endpoint = encrypted(ours.server(None), Does::Answer).await;
    let gateway = gateway(&json!({ "endpoints": [endpoint], "tls": { "ca": ours.path("ca.pem") } })).await;
    let mark = gateway.logs().mark();
    assert_eq!(gateway.get("/hi").await.status, 502);
    gateway.logs().wait_for_words(mark, &["no TLS: its certificate is not for"]).await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_is_shown_one() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let endpoint = encrypted(servers.server(Some(&clients)), Does::Answer).await;
    let (certificate, key) = clients.issue("gateway");
    std::fs::write(clients.path("gateway.pem"), certificate.pem()).unwrap();
    std::fs::write(clients.path("gateway.key"), key.serialize_pem()).unwrap();
    let mut tls = json!({ "ca": servers.path("ca.pem"), "server_name": "app.internal" });
    let without = gateway(&json!({ "endpoints": [endpoint], "tls": tls })).await;
    assert_eq!(without.get("/hi").await.status, 502);
    tls["certificate"] = json!(clients.path("gateway.pem"));
    tls["key"] = json!(clients.path("gateway.key"));
    hi(&gateway(&json!({ "endpoints": [endpoint], "tls": tls })).await).await;
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_an_endpoint_and_may_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let gateway = gateway(&json!({ "endpoints": [format!("unix:{}", path.display())] })).await;
    let mark = gateway.logs().mark();
    assert_eq!(gateway.get("/hi").await.status, 502);
    gateway.logs().wait_for_words(mark, &["app.sock: no connection"]).await;
    unix(&path, Does::Answer);
    gateway.until("the socket", Request::get("/hi"), |response| response.status == 200).await;
    hi(&gateway).await;
}

#[tokio::test]
async fn tunnels_lead_through_tls_and_unix_sockets() {
    let ours = Authority::new("ours");
    let tls = json!({ "ca": ours.path("ca.pem"), "server_name": "app.internal" });
    let by_tls = encrypted(ours.server(None), Does::Chat).await;
    let by_path = unix(&ours.path("chat.sock"), Does::Chat);
    for upstream in [
        json!({ "endpoints": [by_tls], "tls": tls }),
        json!({ "endpoints": [by_tls], "tls": tls, "protocol": "auto" }),
        json!({ "endpoints": [by_path] }),
    ] {
        let gateway = gateway(&upstream).await;
        let stream = TcpStream::connect(gateway.address()).await.unwrap();
        let address = format!("ws://{}/chat", gateway.address());
        let (mut socket, _) = in_time("the grant", tokio_tungstenite::client_async(address, stream)).await.unwrap();
        for length in [2, 200_000] {
            let message = Message::text("x".repeat(length));
            socket.send(message.clone()).await.unwrap();
            assert_eq!(in_time("the echo", socket.next()).await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        let close = in_time("the close", socket.next()).await;
        assert!(matches!(close, Some(Ok(Message::Close(_)))), "{upstream}: {close:?}");
    }
}

#[tokio::test]
async fn an_upstream_is_told_for_whom_a_connection_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let gateway = gateway(&json!({ "endpoints": [endpoint], "proxy_protocol": "v1" })).await;
    for _ in 0..2 {
        let stream = TcpStream::connect(gateway.address()).await.unwrap();
        let (ours, port) = (stream.local_addr().unwrap().port(), gateway.address().port());
        let mut stream = BufReader::new(stream);
        for expected in
            [format!("PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {port}GET / HTTP/1.1"), "GET / HTTP/1.1".to_owned()]
        {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut told = String::new();
            while !told.ends_with("\r\n\r\n") {
                assert_ne!(in_time("a response", stream.read_line(&mut told)).await.unwrap(), 0);
            }
            let mut body = vec![0; expected.len()];
            in_time("the body", tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body)).await.unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), expected);
        }
    }
}
