//! Static files: what is found and how it is shown, parts and conditions, files that change while they are sent, and what stays out of reach.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use portcullis_tests::{Gateway, Request, Response, Setup, Value, command, in_time, json};
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// What nobody may ever see.
const SECRET: &str = "ea51e7-never-to-be-seen";

/// Larger than all buffers between the gateway and a client that does not read.
const HUGE_BYTES: u64 = 256 * 1024 * 1024;

/// Bytes that tell where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A folder `public` with something of everything, beside a secret.
fn site() -> TempDir {
    let folder = tempfile::Builder::new().prefix("portcullis-site-").tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["public/docs", "public/list", "public/.git", "public/.well-known", "private"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    for (name, text) in [
        ("public/index.html", "<h1>home"),
        ("public/docs/index.html", "<h1>docs"),
        ("public/a.txt", "0123456789"),
        ("public/empty.txt", ""),
        ("public/list/<b>&.txt", "x"),
        ("public/.well-known/security.txt", "open"),
        ("public/app.js", "plain"),
        ("public/app.js.br", "as br"),
        ("public/app.js.gz", "as gzip"),
        ("public/.env", SECRET),
        ("public/.git/config", SECRET),
        ("private/key", SECRET),
        ("secret", SECRET),
    ] {
        fs::write(path(name), text).unwrap();
    }
    fs::write(path("public/large.bin"), pattern(3_000_000)).unwrap();
    fs::File::create(path("public/huge.bin")).unwrap().set_len(HUGE_BYTES).unwrap();
    symlink("a.txt", path("public/inner")).unwrap();
    symlink("../private/key", path("public/outer")).unwrap();
    symlink(path("private"), path("public/elsewhere")).unwrap();
    symlink("/", path("public/slash")).unwrap();
    symlink("loop", path("public/loop")).unwrap();
    rustix::fs::mknodat(CWD, path("public/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    folder
}

/// A route to the folder with more keys.
fn route(site: &TempDir, more: &Value) -> Value {
    let mut files = json!({ "root": site.path().join("public") });
    files.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "name": "site", "files": files })
}

async fn serving(more: Value) -> (TempDir, Gateway) {
    let site = site();
    let gateway = Setup::new().route(route(&site, &more)).start().await;
    (site, gateway)
}

fn value<'r>(response: &'r Response, name: &str) -> &'r str {
    response.value(name).unwrap_or_default()
}

#[tokio::test]
async fn small_and_large_files_come_whole_over_one_connection() {
    let (_site, gateway) = serving(json!({})).await;
    let mut client = gateway.connect().await;
    for (target, expected, media_type) in [
        ("/", &b"<h1>home"[..], "text/html; charset=utf-8"),
        ("/docs/?a=b", b"<h1>docs", "text/html; charset=utf-8"),
        ("/a.txt", b"0123456789", "text/plain; charset=utf-8"),
        ("/empty.txt", b"", "text/plain; charset=utf-8"),
        ("/inner", b"0123456789", "application/octet-stream"),
        ("/.well-known/security.txt", b"open", "text/plain; charset=utf-8"),
        ("/large.bin", &pattern(3_000_000), "application/octet-stream"),
    ] {
        let whole = client.send(&Request::get(target)).await;
        assert_eq!((whole.status, value(&whole, "content-type")), (200, media_type), "{target}");
        assert!(whole.body == expected, "{target}: {} bytes", whole.body.len());
        let head = client.send(&Request::new("HEAD", target)).await;
        for name in ["content-length", "content-type", "etag", "last-modified", "accept-ranges"] {
            assert_eq!(value(&head, name), value(&whole, name), "{target} {name}");
        }
        assert_eq!(value(&head, "content-length"), expected.len().to_string());
    }
    let folder = client.send(&Request::get("//docs?a=b")).await;
    assert_eq!((folder.status, value(&folder, "location")), (301, "/docs/?a=b"));
    assert_eq!(client.send(&Request::get("/list/")).await.status, 404);
    let posted = client.send(&Request::post("/a.txt", "x")).await;
    assert_eq!((posted.status, value(&posted, "allow")), (405, "GET, HEAD"));
    assert_eq!(client.send(&Request::get("/a.txt")).await.text(), "0123456789");
}

#[tokio::test]
async fn nothing_hidden_or_outside_is_ever_shown() {
    let (site, gateway) = serving(json!({ "listing": true, "precompressed": ["gzip"] })).await;
    let outside = site.path().join("secret");
    let outside = outside.to_str().unwrap();
    let mut targets: Vec<String> = vec![outside.to_owned(), format!("/{outside}"), format!("/slash{outside}")];
    for up in ["..", "%2e%2e", ".%2e", "%2E.", "..%00", "...", "%252e%252e", "%c0%ae%c0%ae", "%uff0e%uff0e", "..;"] {
        for slash in ["/", "//", "/./", "%2f", "%2F", "\\", "%5c", "%255c", "%252f", "%c0%af"] {
            for from in ["/", "/docs/", "/docs/index.html/", "//", "/.well-known/", "/inner/"] {
                targets.push(format!("{from}{up}{slash}secret"));
                targets.push(format!("{from}{up}{slash}{up}{slash}secret"));
                targets.push(format!("{from}{up}{slash}{up}{slash}private{slash}key"));
            }
        }
    }
    for target in [
        "/.env",
        "/%2eenv",
        "/.env.gz",
        "/.git/config",
        "/.git/",
        "/.git",
        "/outer",
        "/elsewhere/key",
        "/elsewhere/",
        "/elsewhere",
        "/slash/",
        "/slash/etc/passwd",
        "/loop",
        "/loop/",
        "/pipe",
        "/pipe/",
        "/a.txt%00.html",
        "/%00",
        "/a.txt/../.env",
        "/a.txt/",
        "/a.txt/.",
        "/%",
        "/%2",
        "/%zz",
        "/~root",
        "/proc/self/environ",
        "/C:%5csecret",
        "http://gateway.test/../secret",
    ] {
        targets.push(target.to_owned());
    }
    let mut client = gateway.connect().await;
    for target in targets {
        let asked = client.try_send(&Request::get(&target)).await;
        let response = asked.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.status);
        assert!(!String::from_utf8_lossy(&response.body).contains(SECRET), "{target}");
        if value(&response, "connection").eq_ignore_ascii_case("close") {
            client = gateway.connect().await;
        }
    }
    // A page that lists the folder names none of it either.
    fs::remove_file(site.path().join("public/index.html")).unwrap();
    let page = client.send(&Request::get("/")).await;
    assert_eq!(page.status, 200);
    for name in [".env", ".git", "outer", "elsewhere", "slash", "loop", "pipe", "../"] {
        assert!(!page.text().contains(name), "{name}: {}", page.text());
    }
    assert!(page.text().contains("href=\"inner\"") && page.text().contains("href=\".well-known/\""));
}

#[tokio::test]
async fn parts_are_those_that_were_asked_for() {
    let (_site, gateway) = serving(json!({})).await;
    let large = pattern(3_000_000);
    let mut client = gateway.connect().await;
    let ask = |range: &str| Request::get("/large.bin").field("Range", range);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100000-2999998", 100_000, 2_999_999),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=-70000", 2_930_000, 3_000_000),
        ("bytes=1000-99999999", 1000, 3_000_000),
    ] {
        let part = client.send(&ask(range)).await;
        assert_eq!(value(&part, "content-range"), format!("bytes {from}-{}/3000000", to - 1));
        assert_eq!(part.status, 206);
        assert!(part.body == large[from..to], "{range}");
    }
    let outside = client.send(&ask("bytes=3000000-")).await;
    assert_eq!((outside.status, value(&outside, "content-range")), (416, "bytes */3000000"));
    for range in
        ["bytes=9-1", "lines=0-1", &format!("bytes={}", "0-,".repeat(50)), &format!("bytes={}", "0-0,".repeat(1000))]
    {
        let whole = client.send(&ask(range)).await;
        assert!(whole.status == 200 && whole.body == large, "{range}");
    }
    // Several.
    let several = client.send(&ask("bytes=5-6, 100000-199999, -1")).await;
    assert_eq!(several.status, 206);
    let boundary = value(&several, "content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let mut expected = Vec::new();
    for (from, to) in [(5, 7), (100_000, 200_000), (2_999_999, 3_000_000)] {
        let heading = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {from}-{}/3000000\r\n\r\n",
            to - 1
        );
        expected.extend([heading.as_bytes(), &large[from..to]].concat());
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert!(several.body == expected[2..], "{} and {} bytes", several.body.len(), expected.len());
    // With the version that the client has, and with another.
    let first = client.send(&Request::new("HEAD", "/large.bin")).await;
    for (validator, status) in
        [(value(&first, "etag"), 206), ("\"other\"", 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)]
    {
        let response = client.send(&ask("bytes=0-9").field("If-Range", validator)).await;
        assert_eq!(response.status, status, "{validator}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_file_is_told_so() {
    let (site, gateway) = serving(json!({ "cache_control": "max-age=60" })).await;
    let mut client = gateway.connect().await;
    let first = client.send(&Request::get("/a.txt")).await;
    let (etag, modified) = (value(&first, "etag"), value(&first, "last-modified"));
    assert_eq!(value(&first, "cache-control"), "max-age=60");
    let (old, other) = ("Sun, 06 Nov 1994 08:49:37 GMT", "\"other\"");
    let weak = format!("W/{etag}");
    let cases: [(&[(&str, &str)], u16); 12] = [
        (&[("If-None-Match", etag)], 304),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", other)], 200),
        (&[("If-Modified-Since", modified)], 304),
        (&[("If-Modified-Since", old)], 200),
        (&[("If-None-Match", other), ("If-Modified-Since", modified)], 200),
        (&[("If-Match", etag)], 200),
        (&[("If-Match", &weak)], 412),
        (&[("If-Match", other), ("If-None-Match", etag)], 412),
        (&[("If-Unmodified-Since", old)], 412),
        (&[("If-Match", etag), ("If-Unmodified-Since", old)], 200),
    ];
    for method in ["GET", "HEAD"] {
        for (fields, status) in &cases {
            let request =
                fields.iter().fold(Request::new(method, "/a.txt"), |request, (name, value)| request.field(name, value));
            let response = client.send(&request).await;
            assert_eq!(response.status, *status, "{method} {fields:?}");
            if *status == 304 {
                assert_eq!((value(&response, "etag"), value(&response, "cache-control")), (etag, "max-age=60"));
            }
        }
    }
    // The same length, at once.
    fs::write(site.path().join("public/a.txt"), "9876543210").unwrap();
    let changed = client.send(&Request::get("/a.txt").field("If-None-Match", etag)).await;
    assert_eq!((changed.status, changed.text()), (200, "9876543210"));
}

#[tokio::test]
async fn neighbours_applications_and_lists_are_shown_where_that_is_wanted() {
    let site = site();
    let files = |more: Value| route(&site, &more)["files"].clone();
    let setup = Setup::new()
        .route(
            json!({ "name": "app", "files": files(json!({ "spa": "/index.html", "precompressed": ["br", "gzip"] })) }),
        )
        .route(json!({
            "name": "list",
            "match": { "path": "/static/*" },
            "files": files(json!({ "strip_prefix": "/static", "listing": true })),
        }));
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    for (accepted, coding, text) in [
        ("gzip, br", "br", "as br"),
        ("br;q=0.5, gzip", "gzip", "as gzip"),
        ("br;q=0", "", "plain"),
        ("zstd", "", "plain"),
    ] {
        let response = client.send(&Request::get("/app.js").field("Accept-Encoding", accepted)).await;
        assert_eq!((value(&response, "content-encoding"), response.text()), (coding, text), "{accepted}");
        assert_eq!(value(&response, "vary"), "Accept-Encoding");
    }
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let page = client.send(&Request::get("/users/42").field("Accept", browser)).await;
    assert_eq!((page.status, page.text(), value(&page, "cache-control")), (200, "<h1>home", "no-cache"));
    for (target, accept) in [("/users/42", "application/json"), ("/gone.js", "*/*"), ("/.env", browser)] {
        assert_eq!(client.send(&Request::get(target).field("Accept", accept)).await.status, 404, "{target}");
    }
    assert_eq!(client.send(&Request::new("POST", "/users/42").field("Accept", browser)).await.status, 405);
    let list = client.send(&Request::get("/static/list/")).await;
    assert!(list.text().contains("<a href=\"%3Cb%3E%26.txt\">&lt;b&gt;&amp;.txt</a>"), "{}", list.text());
    assert_eq!(value(&client.send(&Request::get("/static/list")).await, "location"), "/static/list/");
    assert_eq!(client.send(&Request::get("/static/list/%3Cb%3E%26.txt")).await.text(), "x");
    assert_eq!(client.send(&Request::get("/static/none")).await.status, 404);
}

/// Begins to read the file that does not fit into any buffer, and gives its announced length.
async fn begin(client: &mut portcullis_tests::Client, target: &str) -> u64 {
    client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let (start, fields) = in_time("the head", client.reader().response_head()).await.unwrap();
    assert!(start.starts_with("HTTP/1.1 200 "), "{start}");
    fields.value("content-length").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_sent_ends_where_it_was_announced_to_end() {
    let (site, gateway) = serving(json!({})).await;
    let path = site.path().join("public/large.bin");
    let mut client = gateway.connect().await;
    client.write("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_, fields) = in_time("the head", client.reader().response_head()).await.unwrap();
    fs::File::options().append(true).open(&path).unwrap().write_all(&[b'+'; 500_000]).unwrap();
    assert_eq!(fields.value("content-length"), Some("3000000"));
    // What follows the announced length is the next response.
    client.write("GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=3499999-\r\n\r\n").await;
    let mut all = Vec::new();
    while all.len() < 3_000_000 {
        let left = 3_000_000 - all.len();
        all.extend(read(&mut client, left).await.unwrap());
    }
    assert!(all == pattern(3_000_000));
    let next = client.response_to("GET").await.unwrap();
    assert_eq!((next.status, value(&next, "content-range"), next.text()), (206, "bytes 3499999-3499999/3500000", "+"));
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_breaks_off_the_connection() {
    let (site, gateway) = serving(json!({})).await;
    let mut client = gateway.connect().await;
    assert_eq!(begin(&mut client, "/huge.bin").await, HUGE_BYTES);
    fs::File::options().write(true).open(site.path().join("public/huge.bin")).unwrap().set_len(1000).unwrap();
    let mut got = 0;
    let end = loop {
        match read(&mut client, 1 << 20).await {
            Ok(bytes) if bytes.is_empty() => break Ok(()),
            Ok(bytes) => got += bytes.len() as u64,
            Err(error) => break Err(error),
        }
    };
    assert!(got < HUGE_BYTES, "{got} bytes came, then {end:?}");
    // Nobody else is hurt.
    assert_eq!(gateway.get("/huge.bin").await.body.len(), 1000);
}

async fn read(client: &mut portcullis_tests::Client, most: usize) -> std::io::Result<Vec<u8>> {
    in_time("bytes of a body", client.reader().some(most)).await
}

#[tokio::test]
async fn files_go_over_http2_as_well() {
    let (_site, gateway) = serving(json!({})).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let large = pattern(3_000_000);
    for (method, range, status, expected) in [
        ("GET", "", 200, &large[..]),
        ("GET", "bytes=7-100000", 206, &large[7..=100_000]),
        ("HEAD", "", 200, &[]),
        ("GET", "bytes=3000000-", 416, &[]),
    ] {
        let mut request = http::Request::builder().method(method).uri("http://gateway.test/large.bin");
        if !range.is_empty() {
            request = request.header("range", range);
        }
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let response = in_time("a response", response).await.unwrap();
        assert_eq!(response.status(), status, "{method} {range}");
        if method == "HEAD" {
            assert_eq!(response.headers()["content-length"], "3000000");
        }
        let mut body = response.into_body();
        let mut all = Vec::new();
        while let Some(data) = in_time("data", body.data()).await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            all.extend(data);
        }
        assert!(status == 416 || all == expected, "{method} {range}: {} bytes", all.len());
    }
}

#[tokio::test]
async fn plugins_and_the_cache_see_files_like_any_response() {
    let site = site();
    let files = route(&site, &json!({ "cache_control": "max-age=600" }))["files"].clone();
    let setup = Setup::new()
        .route(json!({ "name": "new", "files": files }))
        .route(json!({ "name": "kept", "match": { "host": "kept.test" }, "cache": true, "files": files }))
        .plugin("security-headers", json!({ "grants": ["log", "crypto"] }));
    let gateway = setup.start().await;
    for (target, status, size) in [("/a.txt", 200, 10), ("/large.bin", 200, 3_000_000)] {
        let response = gateway.get(target).await;
        assert_eq!((response.status, response.body.len()), (status, size));
        assert_eq!(value(&response, "x-content-type-options"), "nosniff");
    }
    assert_eq!(value(&gateway.get("/none").await, "x-content-type-options"), "nosniff");
    let kept = Request::get("/a.txt").host("kept.test");
    assert_eq!(gateway.send(kept.clone()).await.text(), "0123456789");
    fs::write(site.path().join("public/a.txt"), "changed").unwrap();
    assert_eq!(gateway.get("/a.txt").await.text(), "changed");
    assert_eq!(gateway.send(kept).await.text(), "0123456789");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let check = |root: &str| {
        let config = json!({
            "listeners": [{ "address": "127.0.0.1:0" }],
            "routes": [{ "name": "site", "files": { "root": root } }],
        });
        fs::write(folder.path().join("portcullis.json"), config.to_string()).unwrap();
        command::portcullis(folder.path(), &["check", "--config", "portcullis.json"])
    };
    let outcome = check("public");
    assert_ne!(outcome.code, Some(0));
    assert!(outcome.text().contains("routes[0].files.root: there is no folder "), "{}", outcome.text());
    fs::create_dir(folder.path().join("public")).unwrap();
    assert_eq!(check("public").code, Some(0), "{}", check("public").text());
}

#[tokio::test]
async fn descriptors_are_given_back() {
    let (_site, gateway) = serving(json!({ "precompressed": ["br", "gzip"], "listing": true })).await;
    let mut client = gateway.connect().await;
    let targets = ["/", "/a.txt", "/large.bin", "/none", "/docs", "/list/", "/pipe", "/outer", "/app.js"];
    let mut held = Vec::new();
    for _ in 0..5 {
        for target in targets {
            client.send(&Request::get(target)).await;
            client.send(&Request::get(target).field("Range", "bytes=0-1,3-4")).await;
        }
        held.push(gateway.descriptors());
    }
    assert_eq!(held.first(), held.last(), "{held:?}");
}
