//! The framing of message bodies: a length, chunks (RFC 9112 section 7.1), or everything up to the end.
//!
//! Pure. Nothing that the grammar does not allow is tolerated: no blanks around a size, no bare line feed, no sign, no
//! overflow. What another reader might take for another size must not get past us.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Digits of a chunk size: what 64 bits hold.
const DIGITS_MAX: usize = 16;
/// Longest chunk size line, extensions included.
const LINE_BYTES_MAX: usize = 256;
/// Longest trailer section, in bytes.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// What is left of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes.
    Length(u64),
    /// A chunk size line comes.
    Size,
    /// So many bytes of a chunk, and the line end behind it.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// Trailer fields up to an empty line.
    Trailer,
    /// Bytes up to the end of the connection: another protocol.
    Raw,
    /// Nothing.
    Done,
}

/// What could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// Data.
    Data(Bytes),
    /// The trailer fields, and the end.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// More bytes are needed.
    Incomplete,
}

impl Decoder {
    /// Whether the body is over.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Length(0))
    }

    /// Takes the next piece out of what was read. The error says what is wrong with the framing.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, &'static str> {
        loop {
            match self {
                Self::Done | Self::Length(0) => {
                    *self = Self::Done;
                    return Ok(Decoded::End);
                }
                Self::Raw if buffer.is_empty() => return Ok(Decoded::Incomplete),
                Self::Raw => return Ok(Decoded::Data(buffer.split().freeze())),
                Self::Length(left) => return Ok(data(left, buffer)),
                Self::Chunk(left) if *left > 0 => return Ok(data(left, buffer)),
                Self::Chunk(_) => *self = Self::ChunkEnd,
                Self::ChunkEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    None if buffer.first().is_none_or(|byte| *byte == b'\r') => return Ok(Decoded::Incomplete),
                    _ => return Err("no line end behind a chunk"),
                },
                Self::Size => match line(buffer, LINE_BYTES_MAX)? {
                    Some(line) => *self = next(chunk_size(&line)?),
                    None => return Ok(Decoded::Incomplete),
                },
                Self::Trailer => {
                    let Some(section) = trailer_section(buffer)? else { return Ok(Decoded::Incomplete) };
                    let fields = trailers(&section)?;
                    *self = Self::Done;
                    return Ok(if fields.is_empty() { Decoded::End } else { Decoded::Trailers(fields) });
                }
            }
        }
    }
}

fn next(size: u64) -> Decoder {
    if size == 0 { Decoder::Trailer } else { Decoder::Chunk(size) }
}

fn data(left: &mut u64, buffer: &mut BytesMut) -> Decoded {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    if length == 0 {
        return Decoded::Incomplete;
    }
    *left -= length as u64;
    Decoded::Data(buffer.split_to(length).freeze())
}

/// A line without its end, once it is complete. Line feeds and carriage returns occur only together.
fn line(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, &'static str> {
    match buffer.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(at) if at <= bytes_max => match (buffer.get(at), buffer.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let line = buffer.split_to(at).freeze();
                buffer.advance(2);
                Ok(Some(line))
            }
            (Some(b'\r'), None) => Ok(None),
            _ => Err("a bare carriage return or line feed"),
        },
        None if buffer.len() <= bytes_max => Ok(None),
        _ => Err("a line that is too long"),
    }
}

/// `chunk-size [ chunk-ext ]`, without the blanks that RFC 9112 section 7.1.1 calls bad whitespace.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at_checked(digits).unwrap_or((line, b""));
    if digits == 0 || digits > DIGITS_MAX {
        return Err("no chunk size");
    }
    if !extension.is_empty() && !is_extension(extension) {
        return Err("a chunk extension that is none");
    }
    let digit = |size: u64, byte: &u8| size << 4 | u64::from(char::from(*byte).to_digit(16).unwrap_or_default());
    Ok(size.iter().fold(0, digit))
}

/// `*( ";" name [ "=" value ] )` of tokens and quoted strings.
fn is_extension(mut rest: &[u8]) -> bool {
    while let Some((b';', after)) = rest.split_first() {
        let name = token(after);
        if name == 0 {
            return false;
        }
        rest = after.get(name..).unwrap_or_default();
        if let Some((b'=', value)) = rest.split_first() {
            let length = if value.first() == Some(&b'"') { quoted(value) } else { token(value) };
            if length == 0 {
                return false;
            }
            rest = value.get(length..).unwrap_or_default();
        }
    }
    rest.is_empty()
}

/// How many bytes of a token come first (RFC 9110 section 5.6.2).
fn token(text: &[u8]) -> usize {
    let is_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    text.iter().take_while(is_token).count()
}

/// How long the quoted string is that comes first, quotes included; 0 for none.
fn quoted(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return 0,
        }
    }
    0
}

/// The lines of the trailer section with its empty last one, once it is complete.
fn trailer_section(buffer: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
    let mut at = 0;
    loop {
        let mut rest = BytesMut::from(buffer.get(at..).unwrap_or_default());
        match line(&mut rest, TRAILER_BYTES_MAX)? {
            None if buffer.len() > TRAILER_BYTES_MAX => return Err("trailer fields that are too long"),
            None => return Ok(None),
            Some(line) => {
                at += line.len() + 2;
                if line.is_empty() {
                    return Ok(Some(buffer.split_to(at).freeze()));
                }
                if at > TRAILER_BYTES_MAX {
                    return Err("trailer fields that are too long");
                }
            }
        }
    }
}

/// Fields that a trailer must not have: they would frame, route or authorise after the fact (RFC 9110 section 6.5.1).
const FORBIDDEN: [HeaderName; 9] = [
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
];

fn trailers(section: &Bytes) -> Result<HeaderMap, &'static str> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut slots) else {
        return Err("trailer fields that are none");
    };
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a trailer field without a name")?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| "a trailer field with a control character")?;
        if FORBIDDEN.contains(&name) {
            return Err("a trailer field that frames the message");
        }
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// What a chunked body comes to, given in pieces of so many bytes.
    fn read(body: &[u8], pieces: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), &'static str> {
        let (mut decoder, mut buffer) = (Decoder::Size, BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
        let mut rest = body.chunks(pieces);
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(piece) => data.extend_from_slice(&piece),
                Decoded::Trailers(fields) => trailers = fields,
                Decoded::End => {
                    let left = [&buffer[..], &rest.collect::<Vec<_>>().concat()].concat();
                    return Ok((data, trailers, left));
                }
                Decoded::Incomplete => match rest.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Err("incomplete"),
                },
            }
        }
    }

    #[test]
    fn chunks_are_read_however_they_come() {
        let body = b"3\r\nabc\r\n00a;x=\"a\\\"b\";y=1;z\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET";
        for pieces in 1..body.len() {
            let (data, trailers, left) = read(body, pieces).unwrap();
            assert_eq!((&data[..], &left[..]), (&b"abc0123456789"[..], &b"GET"[..]), "{pieces}");
            assert_eq!(trailers.get("x-sum").unwrap(), "1");
        }
        assert_eq!(read(b"FFFFFFFFFFFFFFFF\r\n", 99), Err("incomplete"));
        assert_eq!(read(b"0\r\n\r\n", 1).unwrap().0, b"");
    }

    #[test]
    fn what_could_be_read_differently_is_refused() {
        for body in [
            &b" 3\r\nabc\r\n0\r\n\r\n"[..],
            b"3 \r\nabc\r\n0\r\n\r\n",
            b"3\t;a\r\nabc\r\n",
            b"3 ;a\r\nabc\r\n",
            b"3; a\r\nabc\r\n",
            b"3;a =b\r\nabc\r\n",
            b"3;\r\nabc\r\n",
            b"3;a=\"\n\"\r\nabc\r\n",
            b"3\nabc\r\n0\r\n\r\n",
            b"3\rabc\r\n",
            b"3\r\r\nabc\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"0x3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"-1\r\n",
            b"g\r\n",
            b"\r\nabc",
            b"10000000000000000\r\n",
            b"00000000000000003\r\nabc\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"0\r\nContent-Length: 3\r\n\r\n",
            b"0\r\nHost: a\r\n\r\n",
            b"0\r\nX : 1\r\n\r\n",
            b"0\r\nX: 1\r\n y\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\nX: \0\r\n\r\n",
        ] {
            for pieces in [1, body.len()] {
                let told = read(body, pieces);
                let refused = told.as_ref().is_err_and(|error| *error != "incomplete");
                assert!(refused, "{:?}: {told:?}", String::from_utf8_lossy(body));
            }
        }
        let long = [b"1;".to_vec(), b"a".repeat(LINE_BYTES_MAX), b"\r\n".to_vec()].concat();
        assert!(read(&long, 7).is_err());
        let trailer = [b"0\r\nx: ".to_vec(), b"a".repeat(TRAILER_BYTES_MAX), b"\r\n\r\n".to_vec()].concat();
        assert!(read(&trailer, 1000).is_err());
    }
}
