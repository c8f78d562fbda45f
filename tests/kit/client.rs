//! Clients: one that sends requests over one kept-alive connection, and the raw connection below it.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::in_time;
use crate::wire::{Reader, Response};

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    host: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request with this method.
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, host: "gateway.test".to_owned(), fields: Vec::new(), body: None }
    }

    /// A GET request.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST request.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// With another `Host`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With one field line more.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Whether there is such a field line.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// With a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.field("Authorization", format!("Bearer {token}"))
    }

    /// With a body and its `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if let Some(body) = &self.body {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// One kept-alive connection.
pub struct Client {
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: Reader::new(reader), writer })
    }

    /// Sends a request and reads its final response.
    pub async fn send(&mut self, request: &Request) -> Response {
        let what = format!("{} {}", request.method, request.target);
        self.try_send(request).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The same where failing is a possible outcome.
    pub async fn try_send(&mut self, request: &Request) -> io::Result<Response> {
        self.writer.write_all(&request.bytes()).await?;
        self.response_to(&request.method).await
    }

    /// Sends exactly these bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads the final response to a request with this method.
    pub async fn response_to(&mut self, method: &str) -> io::Result<Response> {
        in_time("a response", async {
            loop {
                let response = self.reader.response(method).await?;
                if response.status >= 200 {
                    return Ok(response);
                }
            }
        })
        .await
    }

    /// Reads the next response, interim ones included.
    pub async fn interim(&mut self) -> io::Result<Response> {
        in_time("an interim response", self.reader.response("GET")).await
    }

    /// What reads from the connection.
    pub fn reader(&mut self) -> &mut Reader<OwnedReadHalf> {
        &mut self.reader
    }

    /// Waits until the other side closes.
    pub async fn is_closed(&mut self) -> bool {
        in_time("the end of the connection", self.reader.is_closed()).await
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.writer.shutdown().await.unwrap();
    }
}
