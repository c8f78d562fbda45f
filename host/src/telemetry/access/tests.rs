//! Lines, byte by byte; which exchanges get one; what is dropped and counted; files that are laid aside, moved, removed and full.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde_json::Value;

use super::memory::Memory;
use super::output::Output;
use super::*;
use crate::exchange::{CacheStatus, Client, Exchange, Reason, Received, Request, Response, Tls};
use crate::http::Body;
use crate::names::Name;
use crate::telemetry::End;
use crate::time;

/// An exchange that went well.
fn exchange() -> Exchange {
    let now = time::now();
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("0123456789abcdef"));
    Exchange {
        route: Some("api".parse().unwrap()),
        received: Received::Whole(17),
        ..Exchange::new(
            HeaderValue::from_static("0123456789abcdef"),
            now,
            Arc::new(Client::new((Ipv4Addr::new(192, 0, 2, 7), 4711).into(), (Ipv4Addr::LOCALHOST, 80).into(), None)),
            Request {
                method: Method::GET,
                authority: "example.com".into(),
                target: "/api/items?id=7&token=s3cret".parse().unwrap(),
                headers,
                version: Version::HTTP_11,
                upgrade: None,
            },
        )
    }
}

fn end() -> End {
    End {
        route: Some(0),
        status: StatusCode::OK,
        body_bytes: 1234,
        head: Some(Duration::from_micros(900)),
        duration: Duration::from_micros(1250),
        complete: true,
    }
}

fn settings(to: Target, format: Format) -> Settings {
    Settings {
        to,
        format,
        only: None,
        redact_headers: REDACTED_HEADERS.iter().map(|name| HeaderName::from_static(name)).collect(),
        redact_query: REDACTED_QUERY.map(Into::into).to_vec(),
        without: Vec::new(),
    }
}

fn fields(names: &[&str]) -> Format {
    Format::Json(names.iter().map(|name| name.parse().unwrap()).collect())
}

fn template(parts: &[&str]) -> Format {
    let part = |text: &&str| text.parse().map_or_else(|_| Part::Text((*text).into()), Part::Field);
    Format::Template(parts.iter().map(part).collect())
}

/// The line of an exchange that began on 21 November 2026.
fn line(format: Format, exchange: &Exchange, end: &End) -> String {
    let mut memory = Memory::default();
    memory.stamp.follow(exchange.started, Duration::ZERO, || Duration::from_millis(1_795_252_500_007));
    let plugins = vec![(9, "timing".parse().unwrap()), (3, "jwt-auth".parse().unwrap())];
    let mut out = Vec::new();
    Form::new(&settings(Target::Stdout, format), plugins).line((exchange, end), &mut memory, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_of_json_has_what_is_known() {
    let mut exchange = exchange();
    let default = || fields(&Field::DEFAULT);
    let plain = concat!(
        r#"{"time":"2026-11-21T09:15:00.007Z","request_id":"0123456789abcdef","client.address":"192.0.2.7","method":"GET","#,
        r#""path":"/api/items","query":"id=7&token=(redacted)","route":"api","status":200,"bytes":1234,"duration_ms":1.250}"#,
        "\n"
    );
    assert_eq!(line(default(), &exchange, &end()), plain);
    exchange.cache = CacheStatus::Miss;
    exchange.timings.upstream = Duration::from_micros(700);
    exchange.timings.add_plugin(3, Duration::from_micros(41));
    exchange.timings.add_plugin(9, Duration::from_micros(2));
    exchange.timings.add_plugin(77, Duration::from_micros(1));
    exchange.failure = Some(Reason::UpstreamTimeout);
    exchange.delivery.upstream = Some("origin".parse().unwrap());
    exchange.delivery.endpoint = Some(Rc::new("127.0.0.1:9000"));
    let told = serde_json::from_str::<Value>(&line(default(), &exchange, &End { complete: false, ..end() })).unwrap();
    let check = |name: &str, expected: Value| assert_eq!(told[name], expected, "{name}");
    check("cache", "miss".into());
    check("upstream_ms", 0.7.into());
    check("plugins_ms", 0.044.into());
    check("endpoint", "127.0.0.1:9000".into());
    check("failure", "upstream_timeout".into());
    check("fault", "upstream".into());
    check("incomplete", true.into());
    let more = fields(&["scheme", "authority", "protocol", "head_ms", "upstream", "complete"]);
    let others = concat!(
        r#"{"scheme":"http","authority":"example.com","protocol":"HTTP/1.1","head_ms":0.900,"upstream":"origin","complete":true}"#,
        "\n"
    );
    assert_eq!(line(more, &exchange, &end()), others);
    let plugins = line(fields(&["plugins"]), &exchange, &end());
    assert_eq!(plugins, "{\"plugins\":{\"jwt-auth\":0.041,\"timing\":0.002}}\n");
    assert_eq!(line(template(&["plugins"]), &exchange, &end()), "jwt-auth=0.041,timing=0.002\n");
}

#[test]
fn every_field_has_a_name_and_is_found_by_it() {
    for (name, field) in Field::PLAIN {
        assert_eq!(name.parse(), Ok(field.clone()));
        assert_eq!(field.to_string(), name);
    }
    for name in ["request.header.user-agent", "response.header.etag", "attribute.auth.subject"] {
        assert_eq!(name.parse::<Field>().unwrap().to_string(), name);
    }
    for name in ["", "times", "request.header.", "request.header.a b", "attribute.", "attribute.a\"b"] {
        assert_eq!(name.parse::<Field>(), Err(UnknownField), "{name}");
    }
}

#[test]
fn a_template_has_a_dash_for_what_is_not_known() {
    let mut exchange = exchange();
    let combined = template(&[
        "client.address",
        " - ",
        "attribute.auth.subject",
        " [",
        "time.common",
        "] \"",
        "method",
        " ",
        "target",
        " ",
        "protocol",
        "\" ",
        "status",
        " ",
        "bytes",
        " \"",
        "request.header.referer",
        "\" \"",
        "request.header.user-agent",
        "\"",
    ]);
    let expected = "192.0.2.7 - - [21/Nov/2026:09:15:00 +0000] \"GET /api/items?id=7&token=(redacted) HTTP/1.1\" 200 1234 \"-\" \"-\"\n";
    assert_eq!(line(combined.clone(), &exchange, &end()), expected);
    let headers = &mut exchange.request.headers;
    headers.insert("referer", HeaderValue::from_static("https://a.example/login?code=abc&x=1"));
    headers.insert("user-agent", HeaderValue::from_bytes(b"a\"b \\ \xff").unwrap());
    exchange.attributes.set("auth.subject", "al\nice").unwrap();
    let line = line(combined, &exchange, &end());
    assert!(line.starts_with("192.0.2.7 - al\\x0aice ["), "{line}");
    assert!(line.ends_with("\"https://a.example/login?code=(redacted)&x=1\" \"a\\\"b \\\\ \\xff\"\n"), "{line}");
}

#[test]
fn what_could_not_be_read_as_a_request_is_not_made_up() {
    let mut exchange = exchange();
    exchange.request.headers.clear();
    exchange.route = None;
    exchange.failure = Some(Reason::BadRequest);
    let end = End { status: StatusCode::BAD_REQUEST, ..end() };
    let names = ["method", "authority", "path", "query", "target", "protocol", "status", "failure", "fault"];
    let expected = "{\"status\":400,\"failure\":\"bad_request\",\"fault\":\"downstream\"}\n";
    assert_eq!(line(fields(&names), &exchange, &end), expected);
    assert_eq!(line(template(&["method", " ", "path"]), &exchange, &end), "- -\n");
}

#[test]
fn header_fields_are_shown_unless_they_are_secrets() {
    let mut exchange = exchange();
    let headers = &mut exchange.request.headers;
    headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
    headers.append("cookie", HeaderValue::from_static("a=1"));
    headers.append("accept", HeaderValue::from_static("text/html"));
    headers.append("accept", HeaderValue::from_static("*/*"));
    let mut head = HeaderMap::new();
    head.insert("set-cookie", HeaderValue::from_static("session=abc"));
    head.insert("location", HeaderValue::from_static("https://u:p@a.example/?token=1#access_token=2"));
    head.insert("etag", HeaderValue::from_static("\"v1\""));
    head.insert("server", HeaderValue::from_static("x"));
    let names = ["set-cookie", "location", "etag", "x-none"].map(|name| format!("response.header.{name}"));
    let mut all = ["authorization", "cookie", "accept", "x-none"].map(|name| format!("request.header.{name}")).to_vec();
    all.push("request_bytes".to_owned());
    all.extend(names);
    let format = fields(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let form = Form::new(&settings(Target::Stdout, format.clone()), Vec::new());
    let headers = form.kept(&head).unwrap();
    assert_eq!(headers.len(), 3, "{headers:?}");
    exchange.response = Some(Response { status: StatusCode::OK, headers, body: Body::Empty });
    let expected = concat!(
        r#"{"request.header.authorization":"(redacted)","request.header.cookie":"(redacted)","#,
        r#""request.header.accept":"text/html, */*","request_bytes":17,"response.header.set-cookie":"(redacted)","#,
        r#""response.header.location":"https://(redacted)@a.example/?token=(redacted)#access_token=(redacted)","#,
        r#""response.header.etag":"\"v1\""}"#,
        "\n"
    );
    assert_eq!(line(format, &exchange, &end()), expected);
    // Nobody else pays for it.
    assert!(Form::new(&settings(Target::Stdout, fields(&Field::DEFAULT)), Vec::new()).kept(&head).is_none());
}

fn by_tls() -> Arc<Client> {
    let tls = Tls {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        server_name: Some("a.example".into()),
        certificate: None,
    };
    Arc::new(Client::new("[2001:db8::1]:1".parse().unwrap(), "[::1]:443".parse().unwrap(), Some(tls)))
}

#[test]
fn in_json_every_field_has_its_kind() {
    let mut exchange = exchange();
    exchange.client = by_tls();
    (exchange.cache, exchange.failure, exchange.answered_by) =
        (CacheStatus::Miss, Some(Reason::UpstreamTimeout), Some(3));
    (exchange.timings.upstream, exchange.timings.cache) = (Duration::from_micros(7), Duration::from_micros(8));
    exchange.timings.add_plugin(3, Duration::from_micros(9));
    exchange.delivery.upstream = Some("origin".parse().unwrap());
    exchange.delivery.endpoint = Some(Rc::new("127.0.0.1:9000"));
    for (name, _) in Field::PLAIN.into_iter().filter(|(name, _)| *name != "trace_id") {
        let line = line(fields(&[name]), &exchange, &End { complete: false, ..end() });
        let told = serde_json::from_str::<Value>(&line).expect(&line);
        let is_number = name.ends_with("_ms") || name.ends_with("bytes") || ["status", "client.port"].contains(&name);
        match &told[name] {
            Value::Number(_) => assert!(is_number, "{line}"),
            Value::Bool(_) => assert!(name.ends_with("complete"), "{line}"),
            Value::Object(_) => assert_eq!(name, "plugins"),
            other => assert!(other.is_string() && !is_number && !name.ends_with("complete"), "{line}"),
        }
    }
}

#[test]
fn what_tls_told_is_known() {
    let mut exchange = exchange();
    exchange.client = by_tls();
    exchange.request.version = Version::HTTP_2;
    let names = [
        "client.address",
        "client.port",
        "listener",
        "tls.version",
        "tls.cipher",
        "tls.server_name",
        "scheme",
        "protocol",
    ];
    let expected = concat!(
        r#"{"client.address":"2001:db8::1","client.port":1,"listener":"[::1]:443","tls.version":"TLSv1.3","#,
        r#""tls.cipher":"TLS_AES_128_GCM_SHA256","tls.server_name":"a.example","scheme":"https","protocol":"HTTP/2.0"}"#,
        "\n"
    );
    assert_eq!(line(fields(&names), &exchange, &end()), expected);
}

#[test]
fn conditions_pick_and_errors_are_never_left_to_chance() {
    let check = |only: Only, change: &dyn Fn(&mut Exchange, &mut End), dice: u8, expected: bool| {
        let (mut exchange, mut end) = (exchange(), end());
        change(&mut exchange, &mut end);
        let settings = Settings { only: Some(only), ..settings(Target::Stdout, fields(&["status"])) };
        assert_eq!(Form::new(&settings, Vec::new()).wants(&exchange, &end, || dice), expected);
    };
    let status = |text: &str| Only { status: vec![text.parse().unwrap()], ..Only::default() };
    let slow = Only { slower_than: Some(Duration::from_millis(1)), ..Only::default() };
    let sample = |percent| Only { sample_percent: Some(percent), ..Only::default() };
    let nothing = |_: &mut Exchange, _: &mut End| {};
    let missing = |_: &mut Exchange, end: &mut End| end.status = StatusCode::NOT_FOUND;
    check(status("4xx"), &nothing, 0, false);
    check(status("4xx"), &missing, 99, true);
    check(status("404"), &missing, 99, true);
    check(status("403"), &missing, 0, false);
    check(slow.clone(), &nothing, 99, true);
    check(slow, &|_, end| end.duration = Duration::from_millis(1), 0, false);
    check(sample(5), &nothing, 4, true);
    check(sample(5), &nothing, 5, false);
    check(sample(0), &nothing, 0, false);
    check(sample(100), &nothing, 99, true);
    check(sample(0), &|_, end| end.status = StatusCode::BAD_GATEWAY, 99, true);
    check(sample(0), &|_, end| end.complete = false, 99, true);
    check(sample(0), &|exchange, _| exchange.failure = Some(Reason::NoRoute), 99, true);
    let without: Vec<Name> = vec!["health".parse().unwrap(), "api".parse().unwrap()];
    let settings = Settings { without, ..settings(Target::Stdout, fields(&["status"])) };
    assert!(!Form::new(&settings, Vec::new()).wants(&exchange(), &end(), || 0));
}

fn to(path: &Path, rotation: Rotation) -> Target {
    Target::File { path: path.to_owned(), rotation }
}

fn started(target: Target) -> AccessLog {
    let log = AccessLog::default();
    let settings = settings(target, fields(&["path", "status"]));
    let opened = log.open(Some(&settings)).unwrap();
    log.adopt(Some(&settings), opened, Vec::new()).unwrap();
    log
}

/// Writes this many lines that differ.
fn written(scribe: &Scribe, numbers: std::ops::Range<usize>) {
    let (mut exchange, end) = (exchange(), end());
    for number in numbers {
        exchange.request.target = format!("/{number:06}").parse().unwrap();
        scribe.ended(&exchange, &end);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The numbers in the lines of all files, each of which must be whole.
fn numbers(files: &[PathBuf]) -> Vec<usize> {
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(text.is_empty() || text.ends_with('\n'));
    let number = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        value["path"].as_str().unwrap()[1..].parse().unwrap()
    };
    let mut numbers: Vec<usize> = text.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn everything_is_written_by_the_end() {
    let folder = tempfile::tempdir().unwrap();
    // Folders that are missing are made.
    let path = folder.path().join("logs/access.log");
    let log = started(to(&path, Rotation::default()));
    let (one, two) = (Scribe::new(&log), Scribe::new(&log));
    written(&one, 0..3000);
    written(&two, 3000..6000);
    drop((one, two));
    log.flush();
    assert_eq!(numbers(&[path]), (0..6000).collect::<Vec<_>>());
    assert_eq!((log.written(), log.dropped()), (6000, 0));
}

#[test]
fn a_line_in_haste_is_handed_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = started(to(&path, Rotation::default()));
    let scribe = Scribe::new(&log);
    log.hurry();
    written(&scribe, 0..1);
    log.flush();
    assert_eq!(numbers(&[path]), [0]);
    drop(scribe);
}

#[test]
fn files_that_are_full_are_laid_aside_and_no_line_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let rotation = Rotation { bytes: Some(10_000), keep: 1000, ..Rotation::default() };
    let log = started(to(&path, rotation));
    let scribe = Scribe::new(&log);
    written(&scribe, 0..5000);
    drop(scribe);
    log.flush();
    let files = files(folder.path());
    // A line has 32 bytes.
    assert_eq!(files.len(), 5000_usize.div_ceil(10_000 / 32), "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 10_000));
    assert_eq!(numbers(&files), (0..5000).collect::<Vec<_>>());
}

#[test]
fn a_file_that_others_moved_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = started(to(&path, Rotation::default()));
    let scribe = Scribe::new(&log);
    log.hurry();
    written(&scribe, 0..10);
    log.flush();
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    written(&scribe, 10..20);
    log.flush();
    assert_eq!(numbers(std::slice::from_ref(&moved)), (0..10).collect::<Vec<_>>());
    assert_eq!(numbers(&[path]), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_line_that_was_torn_off_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "{\"path\":\"/000000\"}\n{\"pa").unwrap();
    let mut output = Output::open(&to(&path, Rotation::default())).unwrap();
    let outcome = output.write(b"{\"path\":\"/000001\"}\n");
    assert_eq!((outcome.written, outcome.lost), (1, 0));
    output.reopen();
    assert_eq!(output.write(b"{\"path\":\"/000002\"}\n").written, 1);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().nth(1), Some("{\"pa"));
    assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), ["{\"path\":\"/000001\"}", "{\"path\":\"/000002\"}"]);
}

#[test]
fn a_disk_that_takes_nothing_costs_lines_which_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = started(to(Path::new("/dev/full"), Rotation { bytes: Some(1024), ..Rotation::default() }));
    let scribe = Scribe::new(&log);
    written(&scribe, 0..4000);
    drop(scribe);
    // Elsewhere there is room.
    let path = folder.path().join("access.log");
    let settings = settings(to(&path, Rotation::default()), fields(&["path", "status"]));
    let opened = log.open(Some(&settings)).unwrap();
    log.adopt(Some(&settings), opened, Vec::new()).unwrap();
    let scribe = Scribe::new(&log);
    written(&scribe, 4000..4010);
    drop(scribe);
    log.flush();
    assert_eq!((log.written(), log.dropped()), (10, 4000));
    assert_eq!(numbers(&[path]), (4000..4010).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_is_too_slow_costs_lines_which_are_counted_and_nobody_waits() {
    let (reader, writer) = std::io::pipe().unwrap();
    let log = started(to(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), Rotation::default()));
    let scribe = Scribe::new(&log);
    // Beyond what the pipe, the channel and the buffer hold: 64 KiB, and 64 KiB in each of 129 blocks and one more.
    const LINES: usize = 300_000;
    written(&scribe, 0..LINES);
    let dropped = usize::try_from(log.dropped()).unwrap();
    assert!(dropped > 0 && dropped < LINES, "{dropped}");
    // Now somebody reads, and what was kept comes whole and in order.
    let (read, numbers) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines() {
            read.send(line.unwrap()[10..16].parse::<usize>().unwrap()).unwrap();
        }
    });
    drop(scribe);
    log.flush();
    let kept = LINES - usize::try_from(log.dropped()).unwrap();
    let read: Vec<usize> = (0..kept).map(|_| numbers.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
    assert_eq!(usize::try_from(log.written()).unwrap(), kept);
    assert!(read.is_sorted_by(|one, two| one < two));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog::default();
    let settings = settings(to(folder.path(), Rotation::default()), fields(&["path"]));
    let error = log.open(Some(&settings)).unwrap_err();
    assert!(error.contains("access_log.to.file") && error.contains(folder.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_file_is_laid_aside_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "{\"path\":\"/000000\"}\n").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let rotation = Rotation { seconds: Some(31_536_000), keep: 5, aside: Aside::Plain, bytes: None };
    let mut output = Output::open(&to(&path, rotation)).unwrap();
    assert_eq!(output.write(b"{\"path\":\"/000001\"}\n").written, 1);
    assert_eq!(output.write(b"{\"path\":\"/000002\"}\n").lost, 0);
    let files = files(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(numbers(&files[..1]), [1, 2]);
    assert_eq!(numbers(&files[1..]), [0]);
}
