//! gRPC and other HTTP/2 all the way: client, gateway and upstream speak it, in cleartext and in TLS; trailers, streams both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use portcullis_tests::{Gateway, Origin, Reply, Setup, in_time, json};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server with the methods that the tests call.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                match tls.clone() {
                    None => drop(tokio::spawn(serve(stream))),
                    Some(tls) => drop(tokio::spawn(async move { serve(tls.accept(stream).await.unwrap()).await })),
                }
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    async fn gateway(&self) -> Gateway {
        let patch = json!({ "upstreams": { "origin": { "protocol": "http2" } } });
        Setup::new().upstream("origin", self.address).patch(&patch).start().await
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    // Per connection: how often `/test/Refused` was called, whose first stream is refused.
    let mut refused = false;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        match request.uri().path() {
            "/test/Refused" if !refused => {
                refused = true;
                respond.send_reset(Reason::REFUSED_STREAM);
            }
            "/test/Away" => {
                connection.graceful_shutdown();
                tokio::spawn(answer(request, respond));
            }
            _ => drop(tokio::spawn(answer(request, respond))),
        }
    }
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())])
}

fn head() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (parts, mut body) = request.into_parts();
    if parts.uri.path() == "/test/Nothing" {
        let only = Response::builder().header("content-type", "application/grpc").header("grpc-status", "12");
        respond.send_response(only.body(()).unwrap(), true).unwrap();
        return;
    }
    if parts.uri.path() == "/test/Whole" {
        let (bytes, trailers) = read(&mut body).await;
        let told = format!(
            "{:?} {:?} {:?} {}",
            parts.version,
            parts.headers.get("te"),
            trailers.as_ref().map(|trailers| &trailers["x-sum"]),
            bytes.len()
        );
        let mut stream = respond.send_response(head(), false).unwrap();
        stream.send_data(told.into(), false).unwrap();
        stream.send_trailers(status("0")).unwrap();
        return;
    }
    // Says back what it is told, while it is told it.
    let mut stream = respond.send_response(head(), false).unwrap();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        stream.send_data(data, false).unwrap();
    }
    let _ = stream.send_trailers(status("0"));
}

async fn read(body: &mut RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(data) = in_time("data", body.data()).await {
        let data = data.unwrap();
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    (bytes, in_time("trailers", body.trailers()).await.unwrap())
}

async fn client(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// Calls a method; what is sent follows.
async fn call(
    client: &SendRequest<Bytes>,
    method: &str,
) -> (impl Future<Output = Result<Response<RecvStream>, h2::Error>>, SendStream<Bytes>) {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://grpc.example/test/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    client.clone().ready().await.unwrap().send_request(request, false).unwrap()
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    let client = client(&gateway).await;
    for _ in 0..3 {
        let (response, mut say) = call(&client, "Whole").await;
        say.send_data(vec![7; 100_000].into(), false).unwrap();
        say.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "700000".parse().unwrap())])).unwrap();
        let mut response = in_time("the response", response).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let (bytes, trailers) = read(response.body_mut()).await;
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"HTTP/2.0 Some("trailers") Some("700000") 100000"#);
        assert_eq!(trailers, Some(status("0")));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn both_sides_speak_whenever_they_want() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    let client = client(&gateway).await;
    // Ten calls at the same time, on one connection to the upstream.
    let mut calls = Vec::new();
    for _ in 0..10 {
        let (response, say) = call(&client, "Echo").await;
        // The response begins before anything has been said.
        calls.push((in_time("the head", response).await.unwrap().into_body(), say));
    }
    for word in ["one", "two", "three"] {
        for (heard, say) in &mut calls {
            say.send_data(word.into(), false).unwrap();
            assert_eq!(in_time("the echo", heard.data()).await.unwrap().unwrap(), word);
        }
    }
    for (heard, say) in &mut calls {
        say.send_data(Bytes::new(), true).unwrap();
        assert_eq!(read(heard).await, (Vec::new(), Some(status("0"))));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_response_may_be_trailers_only() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    let client = client(&gateway).await;
    let (response, mut say) = call(&client, "Nothing").await;
    say.send_data("some".into(), true).unwrap();
    let mut response = in_time("the response", response).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &"12".parse().unwrap()));
    assert_eq!(read(response.body_mut()).await, (Vec::new(), None));
}

#[tokio::test]
async fn what_the_upstream_did_not_begin_with_is_asked_again() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    let client = client(&gateway).await;
    for method in ["Refused", "Away", "Echo", "Away", "Echo"] {
        let (response, mut say) = call(&client, method).await;
        say.send_data("same".into(), true).unwrap();
        let mut response = in_time("the response", response).await.unwrap();
        assert_eq!(read(response.body_mut()).await, (b"same".to_vec(), Some(status("0"))), "{method}");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_client_that_breaks_off_does_not_hurt_the_others() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    let client = client(&gateway).await;
    let (kept, mut say) = call(&client, "Echo").await;
    let mut kept = in_time("the head", kept).await.unwrap().into_body();
    for _ in 0..20 {
        let (response, mut say) = call(&client, "Echo").await;
        drop(in_time("the head", response).await.unwrap());
        say.send_reset(Reason::CANCEL);
    }
    say.send_data("still here".into(), true).unwrap();
    assert_eq!(read(&mut kept).await, (b"still here".to_vec(), Some(status("0"))));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn versions_are_translated() {
    let server = Server::start(None).await;
    let gateway = server.gateway().await;
    // A client of HTTP/1.1.
    let mut old = gateway.connect().await;
    old.write(
        "POST /test/Whole HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await;
    old.write("3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n").await;
    let response = in_time("the response", old.response_to("POST")).await.unwrap();
    assert_eq!(response.text(), r#"HTTP/2.0 Some("trailers") Some("3") 3"#);

    // An upstream of HTTP/1.1.
    let origin = Origin::start(|seen| Reply::chunks([seen.body.clone()]).trailer("grpc-status", "0")).await;
    let gateway = Setup::to(&origin).start().await;
    let client = client(&gateway).await;
    let (response, mut say) = call(&client, "Old").await;
    say.send_data("abc".into(), true).unwrap();
    let mut response = in_time("the response", response).await.unwrap();
    assert_eq!(read(response.body_mut()).await, (b"abc".to_vec(), Some(status("0"))));
}

#[tokio::test]
async fn tls_agrees_on_http_2_where_the_upstream_can() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["grpc.internal".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = Server::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    for protocol in ["auto", "http2"] {
        let upstream = json!({
            "endpoints": [format!("https://{}", server.address)],
            "tls": { "ca": ca, "server_name": "grpc.internal" },
            "protocol": protocol,
        });
        let gateway = Setup::new().patch(&json!({ "upstreams": { "origin": upstream } })).start().await;
        let client = client(&gateway).await;
        for _ in 0..2 {
            let (response, mut say) = call(&client, "Whole").await;
            say.send_data("abc".into(), true).unwrap();
            let mut response = in_time("the response", response).await.unwrap();
            let (bytes, trailers) = read(response.body_mut()).await;
            assert_eq!(String::from_utf8(bytes).unwrap(), r#"HTTP/2.0 Some("trailers") None 3"#);
            assert_eq!(trailers, Some(status("0")));
        }
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn checks_of_health_speak_what_requests_speak() {
    let server = Server::start(None).await;
    let health = json!({ "path": "/test/Nothing", "interval_ms": 50, "initially": "unhealthy" });
    let patch = json!({ "upstreams": { "origin": { "protocol": "http2", "health": health } } });
    let gateway = Setup::new().upstream("origin", server.address).patch(&patch).start().await;
    gateway.logs().wait_for_words(0, &["endpoint healthy"]).await;
}
