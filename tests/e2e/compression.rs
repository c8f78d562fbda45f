//! Encoded responses, decoded by real decoders: who gets which coding, what never is encoded, and what the fields then say.

use std::io::Read;
use std::sync::Arc;

use portcullis_tests::{Gate, Gateway, Origin, Reply, Request, Response, Setup, Value, json};

fn text() -> String {
    (0..2000).map(|number| format!("line {number} of a text that can be made shorter\n")).collect()
}

/// An origin with one answer per path.
async fn origin() -> Origin {
    Origin::start(|seen| {
        let html = |reply: Reply| reply.field("Content-Type", "text/html; charset=utf-8");
        match seen.target.split('?').next().unwrap_or_default() {
            "/tiny" => html(Reply::ok("tiny")),
            "/image" => Reply::ok(text()).field("Content-Type", "image/png"),
            "/encoded" => html(Reply::ok(text())).field("Content-Encoding", "gzip"),
            "/no-transform" => html(Reply::ok(text())).field("Cache-Control", "public, no-transform"),
            "/part" => html(Reply::new(206, text())).field("Content-Range", "bytes 0-9/99999"),
            "/not-modified" => html(Reply::new(304, "")).field("ETag", "\"one\""),
            "/grpc" => Reply::ok(text()).field("Content-Type", "application/grpc"),
            "/cut" => html(Reply::raw(
                ["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 500000\r\n\r\n", &text()].concat(),
            )),
            "/cached" => html(Reply::ok(text())).field("Cache-Control", "max-age=60"),
            "/vary" => html(Reply::ok(text())).field("Vary", "Cookie, accept-encoding"),
            _ => html(Reply::ok(text()))
                .field("ETag", "\"one\"")
                .field("Accept-Ranges", "bytes")
                .field("Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        }
    })
    .await
}

async fn with(compression: Value) -> (Origin, Gateway) {
    let origin = origin().await;
    let gateway = Setup::to(&origin)
        .patch(&json!({ "compression": compression }))
        .route(json!({ "name": "all", "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "cached", "match": { "path": "/cached" }, "cache": true, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "off", "match": { "path": "/off" }, "compression": false, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    (origin, gateway)
}

fn asking(target: &str, codings: &str) -> Request {
    Request::get(target).field("Accept-Encoding", codings)
}

fn decoded(response: &Response) -> String {
    let mut out = String::new();
    let bytes = &response.body[..];
    match response.value("content-encoding") {
        Some("gzip") => drop(flate2::read::GzDecoder::new(bytes).read_to_string(&mut out).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(bytes, 4096).read_to_string(&mut out).unwrap()),
        Some("zstd") => drop(zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut out).unwrap()),
        Some(other) => panic!("the coding {other}"),
        None => out.push_str(response.text()),
    }
    out
}

#[tokio::test]
async fn the_client_gets_the_coding_that_it_likes_best() {
    let (_origin, gateway) = with(json!({})).await;
    for (asked, coding) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br;q=0.9", Some("gzip")),
        ("zstd;q=0, *;q=0.1", Some("br")),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
    ] {
        let response = gateway.send(asking("/", asked)).await;
        assert_eq!((response.status, response.value("content-encoding")), (200, coding), "{asked}");
        assert_eq!(response.value("vary"), Some("Accept-Encoding"), "{asked}");
        assert_eq!(decoded(&response), text(), "{asked}");
        let encoded = coding.is_some();
        assert_eq!(response.value("etag"), Some(if encoded { "W/\"one\"" } else { "\"one\"" }), "{asked}");
        for name in ["accept-ranges", "content-md5"] {
            assert_eq!(response.value(name).is_none(), encoded, "{name} for {asked}");
        }
        assert!(!encoded || response.body.len() * 4 < text().len(), "{asked}: {} bytes", response.body.len());
    }
    let plain = gateway.get("/").await;
    assert_eq!((plain.value("content-encoding"), plain.value("vary")), (None, Some("Accept-Encoding")));
    let head = gateway.send(Request::new("HEAD", "/").field("Accept-Encoding", "gzip")).await;
    assert_eq!((head.value("content-encoding"), head.value("content-length")), (Some("gzip"), None));
    assert_eq!(head.value("vary"), Some("Accept-Encoding"));
}

#[tokio::test]
async fn what_should_not_be_encoded_is_not() {
    let (_origin, gateway) = with(json!({})).await;
    for target in ["/tiny", "/image", "/no-transform", "/part", "/grpc", "/off", "/not-modified"] {
        let response = gateway.send(asking(target, "gzip, br, zstd")).await;
        assert_eq!((response.value("content-encoding"), response.value("vary")), (None, None), "{target}");
    }
    let encoded = gateway.send(asking("/encoded", "br")).await;
    assert_eq!((encoded.value("content-encoding"), encoded.body == text().as_bytes()), (Some("gzip"), true));
    let vary = gateway.send(asking("/vary", "br")).await;
    assert_eq!((vary.values("vary"), vary.value("content-encoding")), (vec!["Cookie, accept-encoding"], Some("br")));
}

#[tokio::test]
async fn settings_count() {
    let (_origin, gateway) =
        with(json!({ "encodings": ["gzip"], "bytes_min": 1, "types": ["image/*", "text/html"] })).await;
    for (target, coding) in [("/tiny", "gzip"), ("/image", "gzip")] {
        let response = gateway.send(asking(target, "zstd, br, gzip")).await;
        assert_eq!(response.value("content-encoding"), Some(coding), "{target}");
    }
    assert_eq!(gateway.send(asking("/", "zstd, br")).await.value("content-encoding"), None);
}

#[tokio::test]
async fn the_cache_keeps_what_the_upstream_gave_and_everybody_gets_their_coding() {
    let (origin, gateway) = with(json!({})).await;
    for asked in ["gzip", "br", "zstd", "identity", "gzip"] {
        let response = gateway.send(asking("/cached", asked)).await;
        assert_eq!(response.value("content-encoding").unwrap_or("identity"), asked);
        assert_eq!(decoded(&response), text(), "{asked}");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn what_breaks_off_does_not_look_whole() {
    let (_origin, gateway) = with(json!({})).await;
    for coding in ["gzip", "br", "zstd"] {
        let mut client = gateway.connect().await;
        assert!(client.try_send(&asking("/cut", coding)).await.is_err(), "{coding}");
    }
}

#[tokio::test]
async fn a_stream_stays_one() {
    for coding in ["gzip", "br", "zstd"] {
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::start(move |_| {
            Reply::chunks(["first words, "]).then(&held, "last words").field("Content-Type", "text/plain")
        })
        .await;
        let gateway = Setup::to(&origin)
            .route(json!({ "name": "all", "compression": true, "proxy": { "upstream": "origin" } }))
            .start()
            .await;
        let mut client = gateway.connect().await;
        client.write(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")).await;
        let (_, fields) = client.reader().response_head().await.unwrap();
        assert_eq!(fields.value("content-encoding"), Some(coding));
        // The first words come out before the last ones are said.
        let mut decoder = Decoder::new(coding);
        let mut said = String::new();
        while said != "first words, " {
            said.push_str(&decoder.push(&client.reader().chunk().await.unwrap()));
        }
        gate.open();
        while said != "first words, last words" {
            let chunk = client.reader().chunk().await.unwrap();
            assert!(!chunk.is_empty(), "{coding}: only {said:?}");
            said.push_str(&decoder.push(&chunk));
        }
    }
}

/// A decoder that gives what it has at once.
enum Decoder {
    Gzip(flate2::write::GzDecoder<Vec<u8>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

impl Decoder {
    fn new(coding: &str) -> Self {
        match coding {
            "gzip" => Self::Gzip(flate2::write::GzDecoder::new(Vec::new())),
            "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(Vec::new(), 4096))),
            _ => Self::Zstd(zstd::stream::write::Decoder::new(Vec::new()).unwrap()),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> String {
        use std::io::Write;
        let out = match self {
            Self::Gzip(decoder) => {
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
            Self::Brotli(decoder) => {
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
            Self::Zstd(decoder) => {
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
        };
        String::from_utf8(out).unwrap()
    }
}

#[tokio::test]
async fn many_at_once_do_not_stand_in_each_others_way() {
    let (_origin, gateway) = with(json!({})).await;
    let gateway = Arc::new(gateway);
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move {
                let coding = ["gzip", "br", "zstd"][number % 3];
                decoded(&gateway.send(asking("/", coding)).await) == text()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
}
