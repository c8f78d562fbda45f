//! HTTP/2 by the letter (RFC 9113, RFC 7541), over TLS and cleartext: what must be answered, and what must be a connection or
//! stream error with the right code, never an answer. One line per case, in the order of the RFC's sections.

use std::sync::Arc;
use std::time::Duration;

use portcullis_tests::{Gateway, Origin, Reply, Setup, in_time, json};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// Kinds of frames and their flags (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const MORE: u8 = 9;
const ACK: u8 = 1;
const END: u8 = 1;
const WHOLE: u8 = 4;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 32;

// Error codes (RFC 9113 section 7).
const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A field as a literal that is not kept, in ASCII below 127 bytes.
fn field((name, value): (&str, &str)) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().copied().flat_map(field).collect()
}

/// The fields of a request, with more behind them.
fn request(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all = block(&[(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]);
    all.extend(block(more));
    all
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE | END, stream, &request("GET", &[]))
}

/// A request whose body is to come.
fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &request("POST", more))
}

fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entry = |(key, value): &(u16, u32)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &entries.iter().flat_map(entry).collect::<Vec<_>>())
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW, 0, stream, &more.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &8_u32.to_be_bytes())
}

fn priority(on: u32) -> Vec<u8> {
    [&on.to_be_bytes()[..], &[15]].concat()
}

/// What is done, and what is expected then.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    /// The stream gets a response with this status and comes to its end.
    Answered(u32, &'static str),
    /// A PING that is sent now is answered.
    Alive,
    /// The next DATA frame has this length.
    Data(usize),
    /// Our SETTINGS are acknowledged.
    Acknowledged,
    /// The connection ends: GOAWAY with one of these codes, or it is just closed.
    Ends(&'static [u32]),
    /// The stream is reset with one of these codes before any response to it, or the connection ends for it.
    Resets(u32, &'static [u32]),
}

use Step::*;

type Case = (&'static str, Vec<Step>);

fn sends(what: &'static str, frames: Vec<Vec<u8>>, then: Step) -> Case {
    (what, vec![Send(frames.concat()), then])
}

/// A frame of a kind that must not come on a stream that has ended, after what ended it.
fn after(what: &'static str, ended: Vec<Vec<u8>>, frame: Vec<u8>, waits: bool) -> Case {
    let mut steps = vec![Send(ended.concat())];
    if waits {
        steps.push(Answered(1, "200"));
    }
    steps.extend([Send(frame), Ends(&[CLOSED, PROTOCOL])]);
    (what, steps)
}

/// Sections 3 to 5: the preface, frames, streams.
fn frames_and_streams() -> Vec<Case> {
    let invalid = [0x80 | 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff];
    let unfinished = || frame(HEADERS, END, 1, &request("GET", &[]));
    let half = || vec![get(1)];
    let too_large = vec![0; 16_385];
    vec![
        sends("a request is answered", vec![get(1)], Answered(1, "200")),
        sends("HEAD", vec![frame(HEADERS, WHOLE | END, 1, &request("HEAD", &[]))], Answered(1, "200")),
        sends("a body", vec![post(1, &[]), data(1, END, b"test")], Answered(1, "200")),
        sends(
            "a body and trailers",
            vec![
                post(1, &[("trailer", "x")]),
                data(1, 0, b"test"),
                frame(HEADERS, WHOLE | END, 1, &block(&[("x", "y")])),
            ],
            Answered(1, "200"),
        ),
        sends("4.1 an unknown type", vec![frame(0x16, 0, 0, &[0; 8])], Alive),
        sends("4.1 an unknown type on a stream", vec![frame(0xff, 0, 1, &[0; 8]), get(1)], Answered(1, "200")),
        sends("4.1 undefined flags", vec![frame(PING, 0x16, 0, &[0; 8])], Alive),
        sends("4.1 the reserved bit", vec![frame(PING, 0, 1 << 31, &[0; 8])], Alive),
        sends("4.2 DATA of 2^14 bytes", vec![post(1, &[]), data(1, END, &[0; 16_384])], Answered(1, "200")),
        sends("4.2 DATA that is too large", vec![post(1, &[]), data(1, END, &too_large)], Ends(&[SIZE])),
        sends("4.2 HEADERS that are too large", vec![frame(HEADERS, WHOLE | END, 1, &too_large)], Ends(&[SIZE])),
        sends("4.2 SETTINGS that are too large", vec![frame(SETTINGS, 0, 0, &[0; 16_386])], Ends(&[SIZE])),
        sends("4.3 a wrong header block", vec![frame(HEADERS, WHOLE | END, 1, &invalid)], Ends(&[COMPRESSION])),
        sends(
            "4.3 PRIORITY in a header block",
            vec![unfinished(), frame(PRIORITY, 0, 1, &priority(0))],
            Ends(&[PROTOCOL]),
        ),
        sends("4.3 HEADERS in another's block", vec![unfinished(), get(3)], Ends(&[PROTOCOL])),
        sends("5.1 idle: DATA", vec![data(1, END, b"test")], Ends(&[PROTOCOL, CLOSED])),
        sends("5.1 idle: RST_STREAM", vec![reset(1)], Ends(&[PROTOCOL])),
        sends("5.1 idle: WINDOW_UPDATE", vec![window(1, 100)], Ends(&[PROTOCOL])),
        sends("5.1 idle: CONTINUATION", vec![frame(MORE, WHOLE, 1, &request("GET", &[]))], Ends(&[PROTOCOL])),
        sends("5.1 idle: PRIORITY", vec![frame(PRIORITY, 0, 3, &priority(0)), get(5)], Answered(5, "200")),
        after("5.1 half-closed: DATA", half(), data(1, END, b"test"), false),
        after("5.1 half-closed: HEADERS", half(), get(1), false),
        after("5.1 half-closed: CONTINUATION", half(), frame(MORE, WHOLE, 1, &request("GET", &[])), false),
        after("5.1 reset: DATA", vec![post(1, &[]), reset(1)], data(1, END, b"test"), false),
        after("5.1 reset: HEADERS", vec![post(1, &[]), reset(1)], get(1), false),
        after("5.1 reset: CONTINUATION", vec![get(1), reset(1)], frame(MORE, WHOLE, 1, &request("GET", &[])), false),
        after("5.1 closed: DATA", half(), data(1, END, b"test"), true),
        after("5.1 closed: HEADERS", half(), get(1), true),
        after("5.1 closed: CONTINUATION", half(), frame(MORE, WHOLE, 1, &request("GET", &[])), true),
        (
            "5.1 closed: PRIORITY",
            vec![Send(get(1)), Answered(1, "200"), Send(frame(PRIORITY, 0, 1, &priority(0))), Alive],
        ),
        ("5.1 closed: WINDOW_UPDATE", vec![Send(get(1)), Answered(1, "200"), Send(window(1, 1)), Alive]),
        ("5.1 closed: RST_STREAM", vec![Send(get(1)), Answered(1, "200"), Send(reset(1)), Alive]),
        sends("5.1.1 an even stream", vec![get(2)], Ends(&[PROTOCOL])),
        sends("5.1.1 a lower stream", vec![get(5), get(3)], Ends(&[PROTOCOL, CLOSED])),
        sends(
            "5.1.2 more streams than allowed",
            [vec![settings(&[(4, 0)])], (0..=128).map(|stream| get(2 * stream + 1)).collect()].concat(),
            Resets(257, &[PROTOCOL, REFUSED]),
        ),
        sends(
            "5.3.1 HEADERS that depend on themselves",
            vec![frame(HEADERS, WHOLE | END | PRIORITIZED, 1, &[priority(1), request("GET", &[])].concat())],
            Resets(1, &[PROTOCOL]),
        ),
        sends(
            "5.3.1 PRIORITY that depends on itself",
            vec![get(1), frame(PRIORITY, 0, 3, &priority(3))],
            Resets(3, &[PROTOCOL]),
        ),
        sends("5.4.1 a wrong frame ends it", vec![frame(PING, 0, 3, &[0; 8])], Ends(&[PROTOCOL])),
        sends("5.5 an unknown frame in a block", vec![unfinished(), frame(0xff, 0, 1, &[0; 8])], Ends(&[PROTOCOL])),
    ]
}

/// Section 6: each frame's own demands.
fn frames() -> Vec<Case> {
    let whole = |flags: u8, payload: &[u8]| frame(HEADERS, WHOLE | END | flags, 1, payload);
    let plain = request("GET", &[]);
    let padded = |pad: u8, block: &[u8]| [&[pad][..], block, &vec![0; usize::from(pad)]].concat();
    let unfinished = || frame(HEADERS, END, 1, &request("GET", &[]));
    let dummy = |flags: u8| frame(MORE, flags, 1, &block(&[("x-dummy", "y")]));
    vec![
        sends("6.1 padded DATA", vec![post(1, &[]), data(1, END | PADDED, &padded(3, b"test"))], Answered(1, "200")),
        sends("6.1 DATA on stream 0", vec![data(0, END, b"test")], Ends(&[PROTOCOL])),
        sends(
            "6.1 padding as long as the frame",
            vec![post(1, &[("content-length", "4")]), data(1, END | PADDED, b"\x06Test")],
            Ends(&[PROTOCOL]),
        ),
        sends("6.2 padded HEADERS", vec![whole(PADDED, &padded(9, &plain))], Answered(1, "200")),
        sends(
            "6.2 HEADERS with priority",
            vec![whole(PRIORITIZED, &[priority(0), plain.clone()].concat())],
            Answered(1, "200"),
        ),
        sends("6.2 HEADERS on stream 0", vec![frame(HEADERS, WHOLE | END, 0, &plain)], Ends(&[PROTOCOL])),
        sends(
            "6.2 padding as long as the frame",
            vec![whole(PADDED, &[&[200][..], &plain].concat())],
            Ends(&[PROTOCOL]),
        ),
        sends("6.3 PRIORITY before the stream", vec![frame(PRIORITY, 0, 1, &priority(0)), get(1)], Answered(1, "200")),
        sends(
            "6.3 PRIORITY, exclusive",
            vec![frame(PRIORITY, 0, 3, &priority(1 << 31 | 1)), get(5)],
            Answered(5, "200"),
        ),
        sends("6.3 PRIORITY on stream 0", vec![frame(PRIORITY, 0, 0, &priority(1))], Ends(&[PROTOCOL])),
        sends(
            "6.3 PRIORITY of another length",
            vec![post(1, &[]), frame(PRIORITY, 0, 1, &[0, 0, 0, 1])],
            Resets(1, &[SIZE]),
        ),
        sends("6.4 RST_STREAM on stream 0", vec![reset(0)], Ends(&[PROTOCOL])),
        sends("6.4 RST_STREAM of another length", vec![post(1, &[]), frame(RESET, 0, 1, &[0; 3])], Ends(&[SIZE])),
        sends("6.4 RST_STREAM with an unknown code", vec![post(1, &[]), frame(RESET, 0, 1, &[0xff; 4])], Alive),
        ("6.5 SETTINGS are acknowledged", vec![Acknowledged, Send(settings(&[(3, 100)])), Acknowledged]),
        sends("6.5 ACK with a payload", vec![frame(SETTINGS, ACK, 0, &[0; 6])], Ends(&[SIZE])),
        sends("6.5 SETTINGS on a stream", vec![frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])], Ends(&[PROTOCOL])),
        sends("6.5 SETTINGS of another length", vec![frame(SETTINGS, 0, 0, &[0, 3, 0])], Ends(&[SIZE])),
        sends("6.5.2 ENABLE_PUSH", vec![settings(&[(2, 2)])], Ends(&[PROTOCOL])),
        sends("6.5.2 INITIAL_WINDOW_SIZE", vec![settings(&[(4, 1 << 31)])], Ends(&[FLOW])),
        sends("6.5.2 MAX_FRAME_SIZE below", vec![settings(&[(5, 16_383)])], Ends(&[PROTOCOL])),
        sends("6.5.2 MAX_FRAME_SIZE above", vec![settings(&[(5, 1 << 24)])], Ends(&[PROTOCOL])),
        sends("6.5.2 an unknown setting", vec![settings(&[(0xff, 1)])], Alive),
        sends("6.5.3 the last of several values counts", vec![settings(&[(4, 100), (4, 1)]), get(1)], Data(1)),
        sends(
            "6.6 PUSH_PROMISE",
            vec![frame(PUSH, WHOLE, 1, &[&2_u32.to_be_bytes()[..], &plain].concat())],
            Ends(&[PROTOCOL]),
        ),
        sends("6.7 PING", vec![], Alive),
        sends("6.7 an answer to no PING", vec![frame(PING, ACK, 0, b"invalid!")], Alive),
        sends("6.7 PING on a stream", vec![frame(PING, 0, 1, &[0; 8])], Ends(&[PROTOCOL])),
        sends("6.7 PING of another length", vec![frame(PING, 0, 0, &[0; 6])], Ends(&[SIZE])),
        sends("6.8 GOAWAY on a stream", vec![frame(GOAWAY, 0, 1, &[0; 8])], Ends(&[PROTOCOL])),
        sends("6.9 WINDOW_UPDATE", vec![window(0, 100), get(1)], Answered(1, "200")),
        sends("6.9 by nothing", vec![window(0, 0)], Ends(&[PROTOCOL])),
        sends("6.9 by nothing on a stream", vec![post(1, &[]), window(1, 0)], Resets(1, &[PROTOCOL])),
        sends("6.9 of another length", vec![frame(WINDOW, 0, 0, &[0, 0, 1])], Ends(&[SIZE])),
        sends("6.9.1 a window of one byte", vec![settings(&[(4, 1)]), get(1)], Data(1)),
        sends("6.9.1 more than 2^31-1", vec![window(0, (1 << 31) - 1), window(0, (1 << 31) - 1)], Ends(&[FLOW])),
        sends(
            "6.9.1 more than 2^31-1 on a stream",
            vec![post(1, &[]), window(1, (1 << 31) - 1), window(1, (1 << 31) - 1)],
            Resets(1, &[FLOW]),
        ),
        (
            "6.9.2 a window that opens later",
            vec![Send([settings(&[(4, 0)]), get(1), settings(&[(4, 1)])].concat()), Data(1)],
        ),
        (
            "6.9.2 a window below zero",
            vec![
                Send([settings(&[(4, 3)]), get(1)].concat()),
                Data(3),
                Send([settings(&[(4, 2)]), window(1, 2)].concat()),
                Data(1),
            ],
        ),
        sends("6.9.2 a window that grows beyond", vec![settings(&[(4, u32::MAX)])], Ends(&[FLOW])),
        sends("6.10 CONTINUATION", vec![unfinished(), dummy(WHOLE)], Answered(1, "200")),
        sends("6.10 several", vec![unfinished(), dummy(0), dummy(WHOLE)], Answered(1, "200")),
        sends("6.10 followed by another frame", vec![unfinished(), dummy(0), data(1, END, b"test")], Ends(&[PROTOCOL])),
        sends("6.10 on stream 0", vec![unfinished(), frame(MORE, WHOLE, 0, &[])], Ends(&[PROTOCOL])),
        sends("6.10 on another stream", vec![unfinished(), frame(MORE, WHOLE, 3, &[])], Ends(&[PROTOCOL])),
        sends("6.10 after a whole HEADERS", vec![post(1, &[]), dummy(WHOLE)], Ends(&[PROTOCOL])),
        sends(
            "6.10 after a whole CONTINUATION",
            vec![frame(HEADERS, 0, 1, &plain), dummy(WHOLE), dummy(WHOLE)],
            Ends(&[PROTOCOL]),
        ),
        sends("6.10 after DATA", vec![post(1, &[]), data(1, 0, b"test"), dummy(WHOLE)], Ends(&[PROTOCOL])),
        sends("7 GOAWAY with an unknown code", vec![frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])], Alive),
    ]
}

/// Section 8: requests that are malformed.
fn requests() -> Vec<Case> {
    let with = |more: &[(&str, &str)]| vec![frame(HEADERS, WHOLE | END, 1, &request("GET", more))];
    let of = |fields: &[(&str, &str)]| vec![frame(HEADERS, WHOLE | END, 1, &block(fields))];
    let malformed = |what, frames| sends(what, frames, Resets(1, &[PROTOCOL]));
    let body = |length: &str, pieces: &[&[u8]]| {
        let mut frames = vec![post(1, &[("content-length", length)])];
        let last = pieces.len() - 1;
        frames.extend(pieces.iter().enumerate().map(|(at, piece)| data(1, u8::from(at == last), piece)));
        frames
    };
    let (method, scheme, path, host) = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"));
    let mut cases = vec![
        malformed(
            "8.1 a second HEADERS that does not end it",
            vec![post(1, &[]), frame(HEADERS, WHOLE, 1, &request("GET", &[]))],
        ),
        malformed("8.2 an upper-case name", with(&[("X-Test", "ok")])),
        malformed("8.2 an empty name", with(&[("", "ok")])),
        malformed("8.2 a name with a colon", with(&[("a:b", "ok")])),
        malformed("8.2 a name with a blank", with(&[("a b", "ok")])),
        malformed("8.2 a value with a line feed", with(&[("x", "a\nb")])),
        malformed("8.2 a value with NUL", with(&[("x", "a\0b")])),
        malformed("8.2 a value that begins with a blank", with(&[("x", " a")])),
        malformed("8.3 an unknown pseudo field", with(&[(":test", "ok")])),
        malformed("8.3 a pseudo field of responses", with(&[(":status", "200")])),
        malformed(
            "8.3 a pseudo field in trailers",
            vec![post(1, &[]), data(1, 0, b"test"), frame(HEADERS, WHOLE | END, 1, &block(&[method]))],
        ),
        malformed("8.3 a pseudo field behind others", of(&[method, scheme, ("x", "y"), path, host])),
        malformed("8.2.2 te: gzip", with(&[("te", "gzip")])),
        malformed("8.2.2 te: trailers, deflate", with(&[("trailers", "test"), ("te", "trailers, deflate;q=0.5")])),
        sends("8.2.2 te: trailers", with(&[("te", "trailers")]), Answered(1, "200")),
        malformed("8.3.1 an empty path", of(&[method, scheme, (":path", ""), host])),
        malformed("8.3.1 a path without slash", of(&[method, scheme, (":path", "a"), host])),
        malformed("8.3.1 a path that is a URL", of(&[method, scheme, (":path", "http://a/"), host])),
        malformed("8.3.1 `*` for GET", of(&[method, scheme, (":path", "*"), host])),
        malformed("8.3.1 no method", of(&[scheme, path, host])),
        malformed("8.3.1 no scheme", of(&[method, path, host])),
        malformed("8.3.1 no path", of(&[method, scheme, host])),
        malformed("8.3.1 two methods", of(&[method, method, scheme, path, host])),
        malformed("8.3.1 two schemes", of(&[method, scheme, scheme, path, host])),
        malformed("8.3.1 two paths", of(&[method, scheme, path, path, host])),
        malformed("8.3.1 two authorities", of(&[method, scheme, path, host, host])),
        malformed("8.3.1 another host", of(&[method, scheme, path, host, ("host", "b")])),
        malformed("8.3.1 userinfo", of(&[method, scheme, path, (":authority", "u@a")])),
        malformed("8.3.1 an empty host", of(&[method, scheme, path, (":authority", "")])),
        malformed("8.1.1 a body longer than told", body("1", &[b"test"])),
        malformed("8.1.1 a body shorter than told", body("5", &[b"test"])),
        malformed("8.1.1 pieces longer than told", body("1", &[b"test", b"test"])),
        malformed(
            "8.1.1 two lengths",
            vec![post(1, &[("content-length", "4"), ("content-length", "5")]), data(1, END, b"test")],
        ),
        malformed("8.1.1 a length with a sign", vec![post(1, &[("content-length", "+4")]), data(1, END, b"test")]),
        malformed("8.1.1 a length and no body", with(&[("content-length", "4")])),
    ];
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        cases.push(malformed("8.2.2 a field of connections", with(&[(name, "chunked")])));
    }
    cases
}

/// Header compression (RFC 7541).
fn compression() -> Vec<Case> {
    let pseudo = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let asks = |more: &[u8]| vec![frame(HEADERS, WHOLE | END, 1, &[&pseudo[..], more].concat())];
    let begins = |first: &[u8]| vec![frame(HEADERS, WHOLE | END, 1, &[first, &pseudo[..]].concat())];
    let ok = |what, frames| sends(what, frames, Answered(1, "200"));
    let wrong = |what, frames| sends(what, frames, Ends(&[COMPRESSION]));
    vec![
        ok("an indexed field", asks(&[])),
        ok("a literal that is kept, known name", asks(&[0x7a, 2, b'm', b'e'])),
        ok("a literal that is kept, Huffman", asks(&[0x7a, 0x82, 0xa4, 0xbf])),
        ok("a literal that is kept, new name", asks(b"\x40\x04test\x02me")),
        ok("a literal that is kept, new name, Huffman", asks(&[0x40, 0x83, 0x49, 0x50, 0x9f, 0x81, 0xa7])),
        ok("a literal that is not kept, known name", asks(&[0x0f, 0x2b, 2, b'm', b'e'])),
        ok("a literal that is not kept, new name", asks(b"\x00\x04test\x02me")),
        ok("a literal that is never kept, known name", asks(&[0x1f, 0x2b, 2, b'm', b'e'])),
        ok("a literal that is never kept, new name", asks(b"\x10\x04test\x02me")),
        ok("an index of the dynamic table", asks(b"\x40\x04test\x02me\xbe")),
        ok("a new size of the table", begins(&[0x20])),
        ok("two new sizes", begins(&[0x20, 0x3f, 0xe1, 0x1f])),
        wrong("2.3.3 an index beyond the tables", asks(&[0xc6])),
        wrong("2.3.3 a name beyond the tables", asks(&[0x7f, 0x07, 1, b'a'])),
        wrong("4.2 a new size behind a field", asks(&[0x20])),
        wrong("5.2 padding of more than 7 bits", asks(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")),
        wrong("5.2 padding of zeros", asks(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")),
        wrong("5.2 the end symbol", asks(b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")),
        wrong("6.1 index 0", asks(&[0x80])),
        wrong("6.3 a size above the setting", begins(&[0x3f, 0xe1, 0xff, 0x03])),
        wrong(
            "5.1 a number that has no end",
            asks(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        wrong("5.2 a string beyond the block", asks(&[0x00, 0x7e, b'a'])),
    ]
}

trait Bytes: AsyncRead + AsyncWrite + Unpin + std::marker::Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + std::marker::Send> Bytes for T {}

struct Connection {
    io: Box<dyn Bytes>,
    pings: u8,
}

impl Connection {
    async fn send(&mut self, bytes: &[u8]) {
        // A connection that was closed takes no more, which is what some cases want.
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }

    /// The next frame: kind, flags, stream, payload. None at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// Does a step, or says what came instead.
    async fn take(&mut self, step: &Step) -> Result<(), String> {
        if let Send(bytes) = step {
            self.send(bytes).await;
            return Ok(());
        }
        self.pings += 1;
        let ping = [self.pings; 8];
        if matches!(step, Alive) {
            self.send(&frame(PING, 0, 0, &ping)).await;
        }
        let mut answered = false;
        loop {
            let Some((kind, flags, stream, payload)) = self.next().await else {
                return match step {
                    Ends(_) | Resets(..) => Ok(()),
                    _ => Err("the connection was closed".to_owned()),
                };
            };
            let code = || u32::from_be_bytes(payload[payload.len() - 4..].try_into().unwrap());
            let last = || u32::from_be_bytes(payload[4..8].try_into().unwrap());
            match (step, kind) {
                (Answered(wanted, status), HEADERS) if stream == *wanted => {
                    answered = true;
                    // Indexed, or a literal with an indexed name: the gateway writes the status first.
                    let is = |status: &str| payload[0] == 0x88 && status == "200";
                    if !is(status) {
                        return Err(format!("another status: {:x?}", &payload[..4]));
                    }
                    if flags & END != 0 {
                        return Ok(());
                    }
                }
                (Answered(wanted, _), DATA) if stream == *wanted && flags & END != 0 && answered => return Ok(()),
                (Answered(..), RESET) => return Err(format!("reset with {}", code())),
                (Alive, PING) if flags & ACK != 0 && payload == ping => return Ok(()),
                (Data(length), DATA) if payload.len() == *length => return Ok(()),
                (Data(_), DATA) => return Err(format!("DATA of {} bytes", payload.len())),
                (Acknowledged, SETTINGS) if flags & ACK != 0 => return Ok(()),
                (Ends(codes), GOAWAY) | (Resets(_, codes), GOAWAY) if codes.contains(&last()) => return Ok(()),
                // A stream error where a connection error is allowed: on closed streams the RFC leaves the choice.
                (Ends(codes), RESET) if codes.contains(&CLOSED) && codes.contains(&code()) => return Ok(()),
                (Resets(wanted, codes), RESET) if stream == *wanted => {
                    return if codes.contains(&code()) { Ok(()) } else { Err(format!("reset with {}", code())) };
                }
                (Resets(wanted, _), HEADERS) if stream == *wanted => return Err("an answer".to_owned()),
                (_, GOAWAY) => return Err(format!("GOAWAY with {}", last())),
                _ => {}
            }
        }
    }
}

/// Where a connection goes to, and how.
struct Way {
    gateway: Gateway,
    tls: Option<TlsConnector>,
}

impl Way {
    async fn open(&self) -> Connection {
        let stream = TcpStream::connect(self.gateway.address()).await.unwrap();
        let io: Box<dyn Bytes> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()),
        };
        Connection { io, pings: 0 }
    }

    /// Runs every case on a connection of its own and tells of all that went wrong.
    async fn run(&self) {
        let mut wrong = Vec::new();
        for (what, steps) in [frames_and_streams(), frames(), requests(), compression()].concat() {
            let mut connection = self.open().await;
            connection.send(&[PREFACE, &settings(&[])].concat()).await;
            for (at, step) in steps.iter().enumerate() {
                let taken = tokio::time::timeout(Duration::from_secs(10), connection.take(step)).await;
                if let Err(problem) = taken.unwrap_or_else(|_| Err("nothing".to_owned())) {
                    wrong.push(format!("{what}: step {at}: {problem}"));
                    break;
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        for first in [&b"INVALID CONNECTION PREFACE\r\n\r\n"[..], &[PREFACE, &get(1)].concat()] {
            let mut connection = self.open().await;
            connection.send(first).await;
            let mut all = Vec::new();
            // However it ends, with a reset or without: it does.
            let _ = in_time("the end", connection.io.read_to_end(&mut all)).await;
            assert!(!String::from_utf8_lossy(&all).contains("hello"), "an answer to what is no HTTP/2");
        }
    }
}

async fn origin() -> Origin {
    Origin::start(|_| Reply::ok("hello, world")).await
}

#[tokio::test]
async fn cleartext_by_the_letter() {
    let origin = origin().await;
    let gateway = Setup::to(&origin).start().await;
    Way { gateway, tls: None }.run().await;
}

#[tokio::test]
async fn tls_by_the_letter() {
    let origin = origin().await;
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let tls = json!({ "certificates": [{ "certificate": certificate, "key": key }] });
    let gateway =
        Setup::to(&origin).patch(&json!({ "listeners": [{ "address": "127.0.0.1:0", "tls": tls }] })).start().await;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Way { gateway, tls: Some(TlsConnector::from(Arc::new(config))) }.run().await;
}
