//! HTTP/1.1 messages off a connection, byte-exact and without mercy (RFC 9112).
//!
//! Used on both sides: the client reads responses with it, the origin requests.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Field lines in the order received, names as they came.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl Fields {
    /// All values of a field as text.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| std::str::from_utf8(value).unwrap_or("(not UTF-8)")).collect()
    }

    /// The only value of a field; none where it is absent. Several are a mistake.
    pub fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} came {} times: {values:?}", values.len());
        values.first().copied()
    }

    /// The bytes of the first value.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.bytes(name).is_some()
    }
}

/// How the end of a body was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There can be no body.
    None,
    /// `Content-Length`.
    Length,
    /// Chunked.
    Chunked,
    /// The end of the connection.
    Close,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Fields,
    /// How the end of the body was told.
    pub framing: Framing,
}

impl Response {
    /// The only value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.value(name)
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.values(name)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A request as the origin got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Fields,
    /// How the end of the body was told.
    pub framing: Framing,
    /// The number of its connection, from 0.
    pub connection: usize,
}

impl Seen {
    /// The only value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.value(name)
    }
}

/// Reads messages from one connection.
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// A reader at the beginning of a message.
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new() }
    }

    /// A response to a request with this method; interim responses (1xx other than 101) are given, too.
    pub async fn response(&mut self, method: &str) -> io::Result<Response> {
        let (start, fields) = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut words = start.splitn(3, ' ');
        let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let status: u16 = status.parse().map_err(|_| invalid(&start))?;
        if version != "HTTP/1.1" {
            return Err(invalid(&start));
        }
        let bodyless = method == "HEAD" || status < 200 || matches!(status, 204 | 304);
        let framing = if bodyless { Framing::None } else { framing(&fields, Framing::Close)? };
        let (body, trailers) = self.body(framing, &fields).await?;
        Ok(Response { status, fields, body, trailers, framing })
    }

    /// The head of a request; none at the end of the connection.
    pub async fn request_head(&mut self) -> io::Result<Option<Seen>> {
        let Some((start, fields)) = self.head().await? else { return Ok(None) };
        let words: Vec<&str> = start.split(' ').collect();
        let [method, target, "HTTP/1.1"] = words[..] else { return Err(invalid(&start)) };
        let framing = framing(&fields, Framing::None)?;
        let (method, target) = (method.to_owned(), target.to_owned());
        let (body, trailers) = (Vec::new(), Fields::default());
        Ok(Some(Seen { method, target, fields, body, trailers, framing, connection: 0 }))
    }

    /// The body of the request with this head.
    pub async fn request_body(&mut self, seen: &mut Seen) -> io::Result<()> {
        (seen.body, seen.trailers) = self.body(seen.framing, &seen.fields).await?;
        Ok(())
    }

    /// Start line and fields; none at the end of the connection.
    async fn head(&mut self) -> io::Result<Option<(String, Fields)>> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Ok(None);
        }
        let start = self.line().await?;
        let fields = self.fields().await?;
        Ok(Some((String::from_utf8(start).map_err(|_| invalid("start line"))?, fields)))
    }

    async fn fields(&mut self) -> io::Result<Fields> {
        let mut fields = Fields::default();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| invalid("a field without colon"))?;
            let name = String::from_utf8(line[..colon].to_vec()).map_err(|_| invalid("a field name"))?;
            let value = line[colon + 1..].trim_ascii().to_vec();
            fields.0.push((name, value));
        }
    }

    async fn body(&mut self, framing: Framing, fields: &Fields) -> io::Result<(Vec<u8>, Fields)> {
        match framing {
            Framing::None => Ok((Vec::new(), Fields::default())),
            Framing::Length => {
                let text = fields.value("content-length").unwrap_or_default();
                let length = text.parse().map_err(|_| invalid(text))?;
                Ok((self.exactly(length).await?, Fields::default()))
            }
            Framing::Close => {
                while self.fill().await? > 0 {}
                Ok((std::mem::take(&mut self.buffer), Fields::default()))
            }
            Framing::Chunked => self.chunked().await,
        }
    }

    async fn chunked(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Ok((body, self.fields().await?));
            }
            body.extend(chunk);
        }
    }

    /// One chunk; an empty one is the last and stands before the trailers.
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = String::from_utf8_lossy(&self.line().await?).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid(&line))?;
        let chunk = self.exactly(size).await?;
        if size > 0 && !self.line().await?.is_empty() {
            return Err(invalid("a chunk longer than its size"));
        }
        Ok(chunk)
    }

    /// A response's head alone, for tests that read its body piece by piece.
    pub async fn response_head(&mut self) -> io::Result<(String, Fields)> {
        self.head().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next bytes, whatever they are: at least one and at most so many, none at the end.
    pub async fn some(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..most.min(self.buffer.len())).collect())
    }

    /// Whether the other side has closed; waits until it has or sends something.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill().await, Ok(0) | Err(_))
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill().await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body broke off"));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// One line without its CRLF.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the head broke off"));
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.from.read_buf(&mut self.buffer).await
    }
}

fn framing(fields: &Fields, without: Framing) -> io::Result<Framing> {
    match (fields.values("transfer-encoding")[..].first(), fields.has("content-length")) {
        (Some(_), true) => Err(invalid("both Transfer-Encoding and Content-Length")),
        (Some(coding), false) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (Some(coding), false) => Err(invalid(coding)),
        (None, true) => Ok(Framing::Length),
        (None, false) => Ok(without),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1.1: {what:?}"))
}
