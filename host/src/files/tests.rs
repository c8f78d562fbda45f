//! Answers from real folders: what is found, in which form, and what never leaves the folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, VARY,
};
use http::{HeaderName, Version};
use tempfile::TempDir;

use super::*;
use crate::http::test_bodies::collect;
use crate::time;

/// A folder that has something of everything, beside a secret.
struct Site {
    _all: TempDir,
    settings: Settings,
}

impl Site {
    fn new() -> Self {
        let all = tempfile::tempdir().unwrap();
        let root = all.path().join("public");
        for folder in ["public/docs", "public/empty", "public/.git", "public/.well-known", "private"] {
            fs::create_dir_all(all.path().join(folder)).unwrap();
        }
        for (path, text) in [
            ("public/index.html", "<h1>home"),
            ("public/docs/index.html", "<h1>docs"),
            ("public/a.txt", "0123456789"),
            ("public/app.js", "plain"),
            ("public/app.js.br", "as br"),
            ("public/app.js.gz", "as gzip"),
            ("public/.env", "secret"),
            ("public/.git/config", "secret"),
            ("public/.well-known/security.txt", "open"),
            ("public/a b ä.txt", "blank"),
            ("private/key", "secret"),
        ] {
            fs::write(all.path().join(path), text).unwrap();
        }
        symlink("a.txt", root.join("inner")).unwrap();
        symlink("../private/key", root.join("outer")).unwrap();
        symlink(all.path().join("private"), root.join("elsewhere")).unwrap();
        symlink(root.join("a.txt"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let settings = Settings {
            root,
            index: vec!["index.html".into()],
            listing: Listing::Off,
            fallback: None,
            precompressed: Vec::new(),
            cache_control: None,
            strip_prefix: None,
        };
        Self { _all: all, settings }
    }

    fn ask(&self, request: &Request) -> Result<Response, Failure> {
        Files::new(Arc::new(self.settings.clone())).answer(request, Instant::now(), time::unix())
    }

    fn get(&self, target: &str) -> Result<Response, Failure> {
        self.ask(&request(Method::GET, target, &[]))
    }

    /// The status that a GET gets.
    fn status(&self, target: &str) -> u16 {
        self.get(target).map_or_else(|failure| failure.reason.status(), |response| response.status).as_u16()
    }
}

fn request(method: Method, target: &str, fields: &[(HeaderName, &str)]) -> Request {
    Request {
        method,
        authority: "a".into(),
        target: target.parse().unwrap(),
        headers: fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect(),
        version: Version::HTTP_11,
        upgrade: None,
    }
}

fn text(response: Response) -> String {
    let (data, error) = collect(response.body);
    assert!(error.is_none());
    String::from_utf8(data.to_vec()).unwrap()
}

fn value(response: &Response, name: HeaderName) -> &str {
    response.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn files_and_indexes_are_found() {
    let site = Site::new();
    let check = |target: &str, expected: &str| assert_eq!(text(site.get(target).unwrap()), expected, "{target}");
    check("/", "<h1>home");
    check("/?query", "<h1>home");
    check("//docs//", "<h1>docs");
    check("/docs/index.html", "<h1>docs");
    check("/a%20b%20%C3%A4.txt", "blank");
    check("/inner", "0123456789");
    check("/.well-known/security.txt", "open");
    let response = site.get("/a.txt").unwrap();
    assert_eq!(value(&response, CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(value(&response, ACCEPT_RANGES), "bytes");
    assert!(value(&response, LAST_MODIFIED).ends_with(" GMT"));
    assert!(value(&response, ETAG).starts_with('"'));
    assert!(!response.headers.contains_key(VARY) && !response.headers.contains_key(CACHE_CONTROL));
    for target in ["/none", "/a.txt/", "/a.txt/x", "/empty/", "/empty", "/docs/none", &format!("/{}", "x".repeat(300))]
    {
        assert_eq!(site.status(target), 404, "{target}");
    }
}

#[test]
fn nothing_hidden_or_outside_is_shown() {
    let mut site = Site::new();
    site.settings.listing = Listing::On;
    for target in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/.git",
        "/outer",
        "/elsewhere/key",
        "/elsewhere/",
        "/elsewhere",
        "/absolute",
        "/loop",
        "/../private/key",
        "/%2e%2e/private/key",
        "/..%2fprivate%2fkey",
        "/docs/..%2f..%2fprivate/key",
        "/%2e%2e%2fprivate%2fkey",
        "/..%5cprivate%5ckey",
        "/a.txt%00",
        "/%00",
        "/%252e%252e/private/key",
        "/docs/%2E%2E/%2e./private/key",
        "//etc/passwd",
        "/proc/self/environ",
        "/%c0%ae%c0%ae/private/key",
    ] {
        let answer = site.get(target);
        let failure = answer.err().unwrap_or_else(|| panic!("{target} was answered"));
        assert!(matches!(failure.reason, Reason::NoFile | Reason::BadRequest), "{target}: {:?}", failure.reason);
    }
    // While what stays within is.
    assert_eq!(site.status("/inner"), 200);
}

#[test]
fn only_regular_files_are_opened_and_nothing_is_waited_for() {
    use rustix::fs::{CWD, FileType, Mode};
    let site = Site::new();
    let pipe = site.settings.root.join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.settings.root.join("socket")).unwrap();
    assert_eq!((site.status("/pipe"), site.status("/socket")), (404, 404));
    // With a writer, too.
    let _writer = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    assert_eq!(site.status("/pipe"), 404);
}

#[test]
fn folders_are_sent_to_their_slash_on_this_site() {
    let mut site = Site::new();
    let check = |site: &Site, target: &str, expected: &str| {
        let response = site.get(target).unwrap();
        assert_eq!((response.status.as_u16(), value(&response, LOCATION)), (301, expected), "{target}");
    };
    check(&site, "/docs", "/docs/");
    check(&site, "/docs?a=b&c", "/docs/?a=b&c");
    check(&site, "//docs", "/docs/");
    check(&site, "/%64ocs", "/%64ocs/");
    site.settings.strip_prefix = Some("/static".into());
    check(&site, "/static", "/static/");
    check(&site, "/static/docs", "/static/docs/");
    assert_eq!(text(site.get("/static/").unwrap()), "<h1>home");
    assert_eq!(site.status("/docs/"), 404);
}

#[test]
fn only_get_and_head_are_answered() {
    let site = Site::new();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::CONNECT, Method::TRACE] {
        let failure = site.ask(&request(method, "/a.txt", &[])).unwrap_err();
        assert_eq!(failure.reason, Reason::MethodNotAllowed);
        assert_eq!(failure.fields, [(ALLOW, HeaderValue::from_static("GET, HEAD"))]);
    }
    let response = site.ask(&request(Method::HEAD, "/a.txt", &[(RANGE, "bytes=0-1")])).unwrap();
    assert_eq!((response.status.as_u16(), value(&response, CONTENT_LENGTH)), (200, "10"));
    assert!(matches!(response.body, Body::Empty));
}

#[test]
fn parts_and_conditions_go_by_the_validators() {
    let mut site = Site::new();
    site.settings.cache_control = Some(HeaderValue::from_static("max-age=60"));
    let first = site.get("/a.txt").unwrap();
    let etag = value(&first, ETAG).to_owned();
    let ask = |fields: &[(HeaderName, &str)]| site.ask(&request(Method::GET, "/a.txt", fields));
    let not_modified = ask(&[(IF_NONE_MATCH, &etag)]).unwrap();
    assert_eq!(not_modified.status, StatusCode::NOT_MODIFIED);
    assert_eq!((value(&not_modified, ETAG), value(&not_modified, CACHE_CONTROL)), (&*etag, "max-age=60"));
    assert!(matches!(not_modified.body, Body::Empty));
    let part = ask(&[(RANGE, "bytes=2-4"), (IF_RANGE, &etag)]).unwrap();
    assert_eq!((part.status.as_u16(), value(&part, CONTENT_RANGE)), (206, "bytes 2-4/10"));
    assert_eq!(text(part), "234");
    let whole = ask(&[(RANGE, "bytes=2-4"), (IF_RANGE, "\"other\"")]).unwrap();
    assert_eq!((whole.status.as_u16(), &*text(whole)), (200, "0123456789"));
    let several = ask(&[(RANGE, "bytes=0-0,-1")]).unwrap();
    assert!(value(&several, CONTENT_TYPE).starts_with("multipart/byteranges; boundary="));
    assert!(!several.headers.contains_key(CONTENT_RANGE));
    assert!(
        text(several).contains("Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n")
    );
    let outside = ask(&[(RANGE, "bytes=10-")]).unwrap_err();
    assert_eq!(outside.reason, Reason::RangeNotSatisfiable);
    assert_eq!(outside.fields, [(CONTENT_RANGE, HeaderValue::from_static("bytes */10"))]);
    fs::write(site.settings.root.join("a.txt"), "changed").unwrap();
    assert_eq!(ask(&[(IF_NONE_MATCH, &etag)]).unwrap().status, StatusCode::OK);
    assert_eq!(ask(&[(header::IF_MATCH, &etag)]).unwrap_err().reason, Reason::PreconditionFailed);
}

#[test]
fn the_form_beside_the_file_is_preferred_where_it_is_accepted() {
    let mut site = Site::new();
    site.settings.precompressed = vec![Coding::Brotli, Coding::Zstd, Coding::Gzip];
    let check = |accepted: &str, coding: &str, expected: &str| {
        let response = site.ask(&request(Method::GET, "/app.js", &[(ACCEPT_ENCODING, accepted)])).unwrap();
        assert_eq!((value(&response, CONTENT_ENCODING), value(&response, VARY)), (coding, "Accept-Encoding"));
        assert_eq!(value(&response, CONTENT_TYPE), "text/javascript; charset=utf-8");
        let etag = value(&response, ETAG).to_owned();
        assert_eq!(text(response), expected);
        etag
    };
    let tags = [
        check("gzip, br, zstd", "br", "as br"),
        check("gzip, br;q=0.5", "gzip", "as gzip"),
        // There is no such file.
        check("zstd", "", "plain"),
    ];
    assert!(tags[0] != tags[1] && tags[1] != tags[2]);
    // A tag holds for the form it was given for.
    let fields = [(ACCEPT_ENCODING, "gzip"), (IF_NONE_MATCH, &*tags[0])];
    let response = site.ask(&request(Method::GET, "/app.js", &fields)).unwrap();
    assert_eq!((response.status.as_u16(), value(&response, VARY)), (200, "Accept-Encoding"));
    let part = [(ACCEPT_ENCODING, "gzip"), (RANGE, "bytes=-4")];
    assert_eq!(text(site.ask(&request(Method::GET, "/app.js", &part)).unwrap()), "gzip");
    // Asked for by its own name it is what it is.
    let itself = site.get("/app.js.gz").unwrap();
    assert_eq!((value(&itself, CONTENT_TYPE), value(&itself, CONTENT_ENCODING)), ("application/gzip", ""));
}

#[test]
fn an_application_gets_its_page_where_there_is_no_file() {
    let mut site = Site::new();
    site.settings.fallback = Some("index.html".into());
    site.settings.cache_control = Some(HeaderValue::from_static("max-age=31536000"));
    let ask = |target: &str, accept: &str| site.ask(&request(Method::GET, target, &[(ACCEPT, accept)]));
    let page = ask("/users/42", "text/html,*/*;q=0.8").unwrap();
    assert_eq!((page.status.as_u16(), value(&page, CACHE_CONTROL), value(&page, VARY)), (200, "no-cache", "Accept"));
    assert_eq!(value(&page, CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(text(page), "<h1>home");
    assert_eq!(text(ask("/empty/", "text/html").unwrap()), "<h1>home");
    assert_eq!(value(&ask("/a.txt", "text/html").unwrap(), CACHE_CONTROL), "max-age=31536000");
    for (target, accept) in [("/users/42", "application/json"), ("/gone.js", "*/*"), ("/.env", "text/html")] {
        assert_eq!(ask(target, accept).unwrap_err().reason, Reason::NoFile, "{target}");
    }
}

#[test]
fn folders_are_listed_where_that_is_wanted() {
    let mut site = Site::new();
    site.settings.listing = Listing::On;
    let page = site.get("/empty/").unwrap();
    assert_eq!(value(&page, CONTENT_TYPE), "text/html; charset=utf-8");
    assert!(text(page).contains("Index of /empty/"));
    assert_eq!(value(&site.get("/empty").unwrap(), LOCATION), "/empty/");
    assert_eq!(text(site.get("/docs/").unwrap()), "<h1>docs");
}

#[test]
fn a_folder_that_takes_the_place_of_another_is_noticed() {
    let all = tempfile::tempdir().unwrap();
    for version in ["one", "two"] {
        fs::create_dir(all.path().join(version)).unwrap();
        fs::write(all.path().join(version).join("a"), version).unwrap();
    }
    let current = all.path().join("current");
    symlink("one", &current).unwrap();
    let settings = Settings { root: current.clone(), ..Site::new().settings };
    let files = Files::new(Arc::new(settings));
    let start = Instant::now();
    let ask = |after| {
        let answer = files.answer(&request(Method::GET, "/a", &[]), start + Duration::from_secs(after), Duration::ZERO);
        answer.map(text).map_err(|failure| failure.reason)
    };
    assert_eq!(ask(0), Ok("one".to_owned()));
    fs::remove_file(&current).unwrap();
    symlink("two", &current).unwrap();
    assert_eq!(ask(0), Ok("one".to_owned()));
    assert_eq!(ask(1), Ok("two".to_owned()));
    fs::remove_file(&current).unwrap();
    assert_eq!(ask(2), Err(Reason::NoFile));
    symlink("one", &current).unwrap();
    assert_eq!(ask(3), Ok("one".to_owned()));
}
