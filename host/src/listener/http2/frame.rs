//! Frames (RFC 9113 sections 4 and 6): their heads, their types, their flags, and how ours are written.

use std::fmt;

/// What the client sends first (section 3.4).
pub(in super::super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 9;
/// Longest frame we take, the protocol's default (section 4.2).
pub(super) const FRAME_BYTES_MAX: usize = 16_384;
/// Windows until somebody says otherwise (section 6.9.2).
pub(super) const WINDOW_BYTES: u32 = 65_535;
/// The largest window (section 6.9.1).
pub(super) const WINDOW_BYTES_MAX: i64 = (1 << 31) - 1;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const WITH_PRIORITY: u8 = 0x20;

pub(super) const SETTING_HEADER_TABLE_SIZE: u16 = 1;
pub(super) const SETTING_ENABLE_PUSH: u16 = 2;
pub(super) const SETTING_MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const SETTING_MAX_FRAME_SIZE: u16 = 5;
pub(super) const SETTING_MAX_HEADER_LIST_SIZE: u16 = 6;
pub(super) const SETTING_ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Error codes (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// An error of the whole connection, which ends it (section 5.4.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    pub(super) code: Code,
    pub(super) why: &'static str,
}

impl Broken {
    pub(super) const fn protocol(why: &'static str) -> Self {
        Self { code: Code::Protocol, why }
    }

    pub(super) const fn size(why: &'static str) -> Self {
        Self { code: Code::FrameSize, why }
    }

    pub(super) const fn flood(why: &'static str) -> Self {
        Self { code: Code::EnhanceYourCalm, why }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.why)
    }
}

/// A frame's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// The head at the front of `bytes`; none while it is not all there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEAD_BYTES>()?;
        // The highest bit means nothing (section 4.1).
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        Some(Self { length, kind: *kind, flags: *flags, stream })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes a frame's head.
pub(super) fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// Writes a frame whose payload is one number: RST_STREAM, WINDOW_UPDATE.
pub(super) fn number(out: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    head(out, 4, kind, 0, stream);
    out.extend_from_slice(&number.to_be_bytes());
}

/// The highest number of a stream.
pub(super) const STREAM_MAX: u32 = (1 << 31) - 1;

/// Writes GOAWAY.
pub(super) fn goaway(out: &mut Vec<u8>, last: u32, code: Code) {
    head(out, 8, GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Writes SETTINGS.
pub(super) fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    head(out, settings.len() * 6, SETTINGS, 0, 0);
    for (key, value) in settings {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Completes the header block whose frame begins at `start`: writes the length, and cuts what is longer than a frame may be
/// into CONTINUATION frames (section 6.10).
pub(super) fn seal(out: &mut Vec<u8>, start: usize, frame_max: usize, flags: u8) {
    let length = out.len() - start - HEAD_BYTES;
    let rest = if length > frame_max { out.split_off(start + HEAD_BYTES + frame_max) } else { Vec::new() };
    let [_, a, b, c] = (length.min(frame_max) as u32).to_be_bytes();
    if let Some([first, second, third, _, flagged]) = out.get_mut(start..).and_then(|frame| frame.first_chunk_mut()) {
        (*first, *second, *third) = (a, b, c);
        *flagged = flags | if rest.is_empty() { END_HEADERS } else { 0 };
    }
    let Some(Head { stream, .. }) = out.get(start..).and_then(Head::parse) else { return };
    let mut pieces = rest.chunks(frame_max).peekable();
    while let Some(piece) = pieces.next() {
        head(out, piece.len(), CONTINUATION, if pieces.peek().is_none() { END_HEADERS } else { 0 }, stream);
        out.extend_from_slice(piece);
    }
}

/// The number in four bytes.
pub(super) fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
