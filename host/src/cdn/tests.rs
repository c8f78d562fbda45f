//! Purges as a CDN gets them: a scripted one on a real socket, told by a real thread.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::time;

const SOON: Duration = Duration::from_secs(20);

/// What an endpoint was asked.
#[derive(Debug)]
struct Asked {
    /// Method and target.
    line: String,
    /// In lower case, in order, without those that every request has.
    fields: Vec<String>,
    host: String,
    body: String,
    at: time::Instant,
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How it answers: the whole response, or not at all.
type Script = fn(usize) -> Option<&'static str>;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"success\":true}";
const UNSUCCESSFUL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"success\":false}";
const BROKEN: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";

/// A CDN's endpoint. What it is asked comes out of the channel.
struct Endpoint {
    address: SocketAddr,
    asked: mpsc::Receiver<Asked>,
}

impl Endpoint {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::channel();
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = read(&mut reader) {
                        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        if sender.send(request).is_err() {
                            return;
                        }
                        match script(number) {
                            Some(answer) => (&stream).write_all(answer.as_bytes()).unwrap(),
                            // Until the other side goes away.
                            None => drop(std::io::copy(&mut &stream, &mut std::io::sink())),
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn next(&self) -> Asked {
        self.asked.recv_timeout(SOON).expect("a request")
    }

    fn base(&self) -> Base {
        Base(format!("http://{}", self.address).into())
    }

    fn fastly(&self) -> Settings {
        let form = Form::Fastly { endpoint: self.base(), service: "SU1Z0".into(), token: Token("hush".into()) };
        settings("fastly", form)
    }

    fn cloudflare(&self) -> Settings {
        let form = Form::Cloudflare { endpoint: self.base(), zone: "023e10".into(), token: Token("hush".into()) };
        settings("cloudflare", form)
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0).strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let (mut length, mut host) = (0, String::new());
    lines.retain(|field| match field.split_once(": ").unwrap() {
        ("content-length", value) => {
            length = value.parse().unwrap();
            false
        }
        ("host", value) => {
            host = value.to_owned();
            false
        }
        ("user-agent" | "accept", _) => false,
        _ => true,
    });
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, fields: lines, host, body: String::from_utf8(body).unwrap(), at: time::now() })
}

fn settings(name: &str, form: Form) -> Settings {
    let millis = Duration::from_millis;
    Settings {
        name: name.parse().unwrap(),
        form,
        trust: None,
        timeout: Duration::from_secs(10),
        retries: Retries { wait: millis(4), wait_max: millis(16), give_up_after: Duration::from_secs(10) },
        queue_max: 1000,
    }
}

fn forwarder(settings: &[Settings]) -> Forwarder {
    let forwarder = Forwarder::default();
    forwarder.adopt(settings).unwrap();
    forwarder
}

fn tags(names: impl IntoIterator<Item = impl ToString>) -> Purge {
    Purge::Tags(names.into_iter().map(|name| name.to_string().into()).collect())
}

fn urls(names: impl IntoIterator<Item = impl ToString>) -> Purge {
    Purge::Urls(names.into_iter().map(|name| name.to_string().into()).collect())
}

/// Waits until nothing is pending, and gives what has become of all.
fn settled(forwarder: &Forwarder) -> Report {
    eventually(|| forwarder.pending() == 0);
    forwarder.report().remove(0)
}

fn eventually(is_so: impl Fn() -> bool) {
    let deadline = time::now() + SOON;
    while !is_so() {
        assert!(time::now() < deadline, "it never was");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn fastly_is_asked_as_it_wants_to_be() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = forwarder(&[endpoint.fastly()]);
    let check = |purge: Purge, mode, line: &str, fields: &[&str]| {
        forwarder.forward(purge, mode);
        let asked = endpoint.next();
        assert_eq!((asked.line.as_str(), asked.body.as_str()), (line, ""));
        assert_eq!(asked.fields, fields);
    };
    check(tags(["a", "b-2"]), Mode::Hard, "POST /service/SU1Z0/purge", &["fastly-key: hush", "surrogate-key: a b-2"]);
    check(
        tags(["a"]),
        Mode::Soft,
        "POST /service/SU1Z0/purge",
        &["fastly-key: hush", "fastly-soft-purge: 1", "surrogate-key: a"],
    );
    let url = "https://www.example.com:8443/a/b?c=d&e";
    check(urls([url]), Mode::Hard, "POST /purge/www.example.com:8443/a/b?c=d&e", &["fastly-key: hush"]);
    check(
        urls(["http://example.com"]),
        Mode::Soft,
        "POST /purge/example.com/",
        &["fastly-key: hush", "fastly-soft-purge: 1"],
    );
    // There is no soft one.
    check(Purge::All, Mode::Soft, "POST /service/SU1Z0/purge_all", &["fastly-key: hush"]);
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.failed, report.retries, report.trouble), (6, 0, 0, None));
}

#[test]
fn cloudflare_is_asked_as_it_wants_to_be() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    let check = |purge: Purge, mode, body: Value| {
        forwarder.forward(purge, mode);
        let asked = endpoint.next();
        assert_eq!(asked.line, "POST /client/v4/zones/023e10/purge_cache");
        assert_eq!(asked.fields, ["authorization: Bearer hush", "content-type: application/json"]);
        assert_eq!(asked.json(), body);
    };
    check(tags(["a", "b c \"d\""]), Mode::Hard, json!({"tags": ["a", "b c \"d\""]}));
    check(tags(["a"]), Mode::Soft, json!({"tags": ["a"]}));
    check(
        urls(["https://a.example/x?y", "https://b.example/"]),
        Mode::Hard,
        json!({"files": ["https://a.example/x?y", "https://b.example/"]}),
    );
    check(Purge::All, Mode::Hard, json!({"purge_everything": true}));
    assert_eq!(settled(&forwarder).sent, 6);
}

fn text(parts: &[TextPart]) -> Text {
    Text(parts.to_vec())
}

fn literal(text: impl ToString) -> TextPart {
    TextPart::Literal(text.to_string().into())
}

#[test]
fn others_are_asked_by_templates() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let field = |name: &'static str, parts: &[TextPart]| (::http::HeaderName::from_static(name), text(parts));
    let custom = Custom {
        tags: Some(Template {
            method: ::http::Method::PUT,
            url: text(&[literal(endpoint.base().0), literal("/purge?tags="), TextPart::Many]),
            headers: vec![field("x-token", &[literal("hush")]), field("xkey", &[TextPart::Many])],
            body: Some(Json::Object(vec![
                ("keys".to_owned(), Json::Many),
                ("how".to_owned(), Json::Text(text(&[literal("m:"), TextPart::Mode]))),
                ("deep".to_owned(), Json::Array(vec![Json::Plain(json!(1))])),
            ])),
        }),
        urls: Some(Template {
            method: ::http::Method::from_bytes(b"PURGE").unwrap(),
            url: text(&[literal(endpoint.base().0), TextPart::Path]),
            headers: vec![field("host", &[TextPart::Host])],
            body: None,
        }),
        all: None,
        batch_max: 2,
        separator: " ".into(),
    };
    let forwarder = forwarder(&[settings("own", Form::Custom(Box::new(custom)))]);
    forwarder.forward(tags(["a/b", "c", "d"]), Mode::Soft);
    let (one, other) = (endpoint.next(), endpoint.next());
    let (two, single) = if one.line.contains("%20") || one.body.contains('c') { (one, other) } else { (other, one) };
    // No blank can stand in a URL.
    assert_eq!(single.line, "PUT /purge?tags=d");
    assert_eq!(single.fields, ["content-type: application/json", "x-token: hush", "xkey: d"]);
    assert_eq!(single.json(), json!({"keys": ["d"], "how": "m:soft", "deep": [1]}));
    assert_eq!(two.line, "PUT /purge?tags=a%2Fb%20c");
    assert_eq!(two.field("xkey"), Some("a/b c"));
    forwarder.forward(urls(["https://www.example.com:1/x?y=z", "nonsense"]), Mode::Hard);
    let asked = endpoint.next();
    assert_eq!((asked.line.as_str(), asked.host.as_str()), ("PURGE /x?y=z", "www.example.com:1"));
    forwarder.forward(Purge::All, Mode::Hard);
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.unsupported, report.failed), (4, 2, 0));
}

#[test]
fn what_comes_together_shares_requests() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    forwarder.forward(tags((0..70).chain(0..70)), Mode::Hard);
    let mut batches: Vec<Vec<Value>> =
        (0..3).map(|_| endpoint.next().json()["tags"].as_array().unwrap().clone()).collect();
    batches.sort_by_key(|batch| batch[0].as_str().unwrap().parse::<u32>().unwrap());
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [30, 30, 10]);
    let names: Vec<String> = batches.concat().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (0..70).map(|number| number.to_string()).collect::<Vec<_>>());
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.merged), (70, 70));
    assert!(endpoint.asked.try_recv().is_err());

    // At Fastly by number and by length; a URL is one request there.
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = self::forwarder(&[endpoint.fastly()]);
    let sizes = |count| {
        let mut sizes: Vec<usize> =
            (0..count).map(|_| endpoint.next().field("surrogate-key").unwrap().split(' ').count()).collect();
        sizes.sort_unstable();
        sizes
    };
    forwarder.forward(tags(0..300), Mode::Hard);
    assert_eq!(sizes(2), [44, 256]);
    forwarder.forward(tags((0..20).map(|number| format!("{number:01000}"))), Mode::Hard);
    assert_eq!(sizes(2), [4, 16]);
    forwarder.forward(urls(["http://a/1", "http://a/2"]), Mode::Hard);
    let mut lines = [endpoint.next().line, endpoint.next().line];
    lines.sort();
    assert_eq!(lines, ["POST /purge/a/1", "POST /purge/a/2"]);
    forwarder.forward(tags(["two words", "ü", ""]), Mode::Hard);
    assert_eq!(settled(&forwarder).unsupported, 3);
}

#[test]
fn a_cdn_that_wants_us_to_wait_is_waited_for() {
    let endpoint = Endpoint::start(|number| {
        Some(if number == 0 { "HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n" } else { OK })
    });
    let forwarder = forwarder(&[endpoint.fastly()]);
    forwarder.forward(tags(["a"]), Mode::Hard);
    let first = endpoint.next();
    // Another one meanwhile waits as well.
    eventually(|| forwarder.report()[0].retries == 1);
    forwarder.forward(tags(["b"]), Mode::Hard);
    for _ in 0..2 {
        let asked = endpoint.next();
        // It measures from when its answer is written, we from when it was asked.
        assert!(asked.at - first.at >= Duration::from_secs(1), "{asked:?}");
    }
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.failed, report.retries, report.trouble), (2, 0, 1, None));
}

#[test]
fn a_cdn_that_fails_is_asked_again_and_then_no_more() {
    let endpoint = Endpoint::start(|_| Some(BROKEN));
    let mut settings = endpoint.fastly();
    settings.retries.give_up_after = Duration::from_secs(1);
    let forwarder = forwarder(&[settings]);
    forwarder.forward(tags(["a", "b"]), Mode::Hard);
    let report = settled(&forwarder);
    let asked = 1 + report.retries;
    assert!(asked >= 2, "{report:?}");
    assert_eq!((report.sent, report.failed), (0, 2));
    let trouble = report.trouble.unwrap();
    assert_eq!(trouble, format!("it answers 500; asked {asked} times"));
    assert_eq!(endpoint.asked.try_iter().count() as u64, asked);
}

#[test]
fn what_a_cdn_refuses_is_not_asked_again() {
    let endpoint = Endpoint::start(|_| Some("HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nbad token"));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    forwarder.forward(tags(["a"]), Mode::Hard);
    let report = settled(&forwarder);
    assert_eq!((report.failed, report.retries), (1, 0));
    assert_eq!(report.trouble.as_deref(), Some("it answers 403 bad token"));
    assert_eq!(endpoint.asked.try_iter().count(), 1);
}

#[test]
fn a_good_status_without_success_is_a_failure() {
    let endpoint = Endpoint::start(|number| Some(if number < 2 { UNSUCCESSFUL } else { OK }));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    forwarder.forward(tags(["a"]), Mode::Hard);
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.failed, report.retries), (1, 0, 2));
    assert_eq!(endpoint.asked.try_iter().count(), 3);
}

#[test]
fn nobody_waits_for_a_slow_cdn() {
    let (slow, quick) = (Endpoint::start(|_| None), Endpoint::start(|_| Some(OK)));
    let stuck = Settings { queue_max: 100, ..slow.fastly() };
    let forwarder = forwarder(&[stuck, quick.cloudflare()]);
    forwarder.forward(tags(["first"]), Mode::Hard);
    assert_eq!(slow.next().field("surrogate-key"), Some("first"));
    let began = time::now();
    for number in 0..1000 {
        forwarder.forward(urls([format!("http://a.example/{number}")]), Mode::Hard);
    }
    let spent = began.elapsed();
    assert!(spent < Duration::from_secs(2), "{spent:?}");
    eventually(|| forwarder.report()[1].sent == 1001);
    let report = forwarder.report().remove(0);
    // Three more couriers may have taken one each before the queue was full.
    assert!((897..=900).contains(&report.dropped), "{report:?}");
    assert_eq!((report.pending as u64 + report.dropped, report.sent), (1001, 0));
}

#[test]
fn more_purges_than_the_thread_can_take_on_are_counted() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    for _ in 0..100_000 {
        forwarder.forward(tags(["a", "b"]), Mode::Hard);
    }
    let report = settled(&forwarder);
    assert_eq!(report.sent + report.merged + report.dropped, 200_000, "{report:?}");
    assert!(report.sent >= 2);
}

#[test]
fn what_waits_goes_where_the_next_configuration_says() {
    let (old, new) = (Endpoint::start(|_| Some(BROKEN)), Endpoint::start(|_| Some(OK)));
    let mut failing = old.cloudflare();
    failing.retries = Retries { wait: Duration::from_secs(60), wait_max: Duration::from_secs(60), ..failing.retries };
    failing.retries.give_up_after = Duration::from_secs(3600);
    let forwarder = forwarder(&[failing.clone()]);
    forwarder.forward(tags(["a", "b"]), Mode::Hard);
    eventually(|| forwarder.report()[0].retries == 1);
    // Nothing that concerns it.
    forwarder.adopt(&[failing.clone()]).unwrap();
    assert_eq!(forwarder.pending(), 2);
    forwarder.adopt(&[new.cloudflare()]).unwrap();
    assert_eq!(new.next().json(), json!({"tags": ["a", "b"]}));
    let report = settled(&forwarder);
    assert_eq!((report.sent, report.failed, report.merged), (2, 0, 0));

    forwarder.adopt(&[failing]).unwrap();
    forwarder.forward(tags(["c"]), Mode::Hard);
    eventually(|| forwarder.report()[0].retries == 2);
    forwarder.adopt(&[]).unwrap();
    eventually(|| forwarder.pending() == 0);
    assert_eq!(forwarder.report(), []);
    // Nobody is told.
    forwarder.forward(tags(["d"]), Mode::Hard);
    assert_eq!(forwarder.pending(), 0);
}

#[test]
fn a_cdn_that_is_not_there_yet_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let form = Form::Fastly {
        endpoint: Base(format!("http://{address}").into()),
        service: "s".into(),
        token: Token("hush".into()),
    };
    let forwarder = forwarder(&[settings("gone", form)]);
    forwarder.forward(tags(["a"]), Mode::Hard);
    eventually(|| forwarder.report()[0].retries > 0);
    let trouble = forwarder.report()[0].trouble.clone().unwrap();
    assert!(trouble.contains("onnect"), "{trouble}");
    let listener = TcpListener::bind(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let asked = read(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
    assert_eq!(asked.field("surrogate-key"), Some("a"));
    (&stream).write_all(OK.as_bytes()).unwrap();
    assert_eq!(settled(&forwarder).sent, 1);
}

#[test]
fn tls_is_spoken_with_those_who_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let server = Arc::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut both = rustls::Stream::new(&mut tls, &mut stream);
            let mut buffer = [0; 4096];
            // A client that does not trust us goes away.
            if both.read(&mut buffer).is_ok_and(|count| count > 0) {
                both.write_all(OK.as_bytes()).unwrap();
            }
        }
    });
    let trust = |authorities| {
        let settings = crate::tls::ClientSettings { authorities, ..Default::default() };
        Some(Trust::new(crate::tls::client(&settings).unwrap(), crate::tls::client_digest(&settings)))
    };
    let base = Base(format!("https://localhost:{port}").into());
    let form = Form::Fastly { endpoint: base, service: "s".into(), token: Token("hush".into()) };
    let stranger = Settings { trust: None, ..settings("edge", form) };
    let forwarder = forwarder(std::slice::from_ref(&stranger));
    forwarder.forward(tags(["a"]), Mode::Hard);
    eventually(|| forwarder.report()[0].retries > 0);
    let trouble = forwarder.report()[0].trouble.clone().unwrap();
    assert!(trouble.contains("certificate"), "{trouble}");
    forwarder.adopt(&[Settings { trust: trust(Some(ca)), ..stranger }]).unwrap();
    assert_eq!(settled(&forwarder).sent, 1);
}

#[test]
fn no_token_is_shown() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let shown = format!("{:?} {:?}", endpoint.fastly(), endpoint.cloudflare());
    assert!(shown.contains("SU1Z0") && !shown.contains("hush"), "{shown}");
    let template = Template {
        method: ::http::Method::POST,
        url: text(&[literal("http://a/hush")]),
        headers: Vec::new(),
        body: None,
    };
    assert_eq!(format!("{template:?}"), "Template(POST)");
}

#[test]
fn metrics_tell_what_became_of_purges() {
    let endpoint = Endpoint::start(|_| Some(OK));
    let forwarder = forwarder(&[endpoint.cloudflare()]);
    forwarder.forward(tags(["a", "b", "a"]), Mode::Hard);
    settled(&forwarder);
    let mut out = crate::telemetry::metrics::Exposition::default();
    expose(&forwarder.report(), &mut out);
    let out = out.finish();
    for line in [
        "portcullis_cdn_purges_total{cdn=\"cloudflare\",result=\"sent\"} 2",
        "portcullis_cdn_purges_total{cdn=\"cloudflare\",result=\"merged\"} 1",
        "portcullis_cdn_purges_total{cdn=\"cloudflare\",result=\"failed\"} 0",
        "portcullis_cdn_retries_total{cdn=\"cloudflare\"} 0",
        "portcullis_cdn_pending{cdn=\"cloudflare\"} 0",
    ] {
        assert!(out.lines().any(|known| known == line), "{line} is not in\n{out}");
    }
    let mut none = crate::telemetry::metrics::Exposition::default();
    expose(&[], &mut none);
    assert_eq!(none.finish(), "");
}
