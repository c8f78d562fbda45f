//! Warming: asking ourselves for what clients will ask for, before they do.
//!
//! What is asked for is written down, listed in a sitemap, or was asked for most in the last run. Requests go through the pipeline of a
//! worker like any other, with its plugins; nobody waits for them, and what fails is only counted.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use futures_util::StreamExt as _;
use http::{HeaderValue, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::exchange::{Client, Scheme};
use crate::http::Body;
use crate::listener::Handle;
use crate::time;

/// Most URLs that are asked for.
const URLS_MAX: usize = 10_000;
/// Longest sitemap that is read, in bytes (sitemaps.org: 50 MB; nobody warms that much).
const SITEMAP_BYTES_MAX: usize = 4 * 1024 * 1024;
const WAITING_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// These, with scheme and host.
    pub urls: Vec<Uri>,
    /// What these sitemaps list.
    pub sitemaps: Vec<Uri>,
    /// What was asked for most in the last run.
    pub most_asked: Option<MostAsked>,
    /// How many at a time.
    pub concurrency: usize,
}

/// What was asked for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MostAsked {
    /// The file in which it is kept, a URL per line.
    pub path: PathBuf,
    /// How many.
    pub count: usize,
}

/// A request to ourselves.
#[derive(Debug)]
pub(crate) struct Ask {
    url: Uri,
    /// Told the status and what there is of the body.
    reply: oneshot::Sender<(u16, Vec<u8>)>,
}

/// A worker's ears.
pub(crate) type Asks = mpsc::Receiver<Ask>;

/// Where a worker is asked.
pub(crate) fn channel() -> (mpsc::Sender<Ask>, Asks) {
    mpsc::channel(WAITING_MAX)
}

/// Answers what we ask ourselves. Must run on a `LocalSet`.
pub(crate) async fn serve(mut asks: Asks, handle: Rc<impl Handle>) {
    while let Some(Ask { url, reply }) = asks.recv().await {
        let handle = Rc::clone(&handle);
        tokio::task::spawn_local(async move {
            let Some((client, request)) = request(url) else { return };
            let response = handle.handle(&client, request).await;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), SITEMAP_BYTES_MAX).collect().await;
            let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
            let _ = reply.send((status, body));
        });
    }
}

fn request(url: Uri) -> Option<(Arc<Client>, http::Request<Body>)> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut client = Client::new(here, here, None);
    if url.scheme_str() == Some("https") {
        client.scheme = Scheme::Https;
    }
    let host = HeaderValue::try_from(url.authority()?.as_str()).ok()?;
    let target = url.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let request = http::Request::get(target)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "portcullis (warming)")
        .header(header::ACCEPT_ENCODING, "gzip, br, zstd");
    Some((Arc::new(client), request.body(Body::Empty).ok()?))
}

/// Starts to warm.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start(settings: Settings, ask: mpsc::Sender<Ask>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("warming".into()).spawn(move || runtime.block_on(warm(settings, ask)))?;
    Ok(())
}

async fn warm(settings: Settings, ask: mpsc::Sender<Ask>) {
    let started = time::now();
    let Settings { mut urls, sitemaps, most_asked, concurrency } = settings;
    for sitemap in sitemaps {
        urls.extend(listed(&ask, sitemap).await);
    }
    if let Some(MostAsked { path, count }) = most_asked {
        urls.extend(remembered(&path, count));
    }
    let mut seen = std::collections::HashSet::new();
    urls.retain(|url| seen.insert(url.clone()));
    urls.truncate(URLS_MAX);
    let all = urls.len();
    let asked = futures_util::stream::iter(urls).map(|url| one(&ask, url)).buffer_unordered(concurrency.max(1));
    let well = asked.filter(|answer| std::future::ready(matches!(answer, Some((200..400, _))))).count().await;
    let took_ms = u64::try_from(time::now().saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX);
    tracing::info!(urls = all, answered = well, took_ms, "warmed");
}

async fn one(ask: &mpsc::Sender<Ask>, url: Uri) -> Option<(u16, Vec<u8>)> {
    let (reply, answer) = oneshot::channel();
    ask.send(Ask { url, reply }).await.ok()?;
    answer.await.ok()
}

/// What a sitemap lists, and what the sitemaps list that it lists (sitemaps.org).
async fn listed(ask: &mpsc::Sender<Ask>, sitemap: Uri) -> Vec<Uri> {
    let mut urls = Vec::new();
    let mut sitemaps = vec![(sitemap, 0)];
    while let Some((sitemap, depth)) = sitemaps.pop() {
        let Some((200, body)) = one(ask, sitemap.clone()).await else {
            tracing::warn!(%sitemap, "a sitemap cannot be read");
            continue;
        };
        let text = String::from_utf8_lossy(&body);
        let found = locations(&text);
        if text.contains("<sitemapindex") && depth == 0 {
            sitemaps.extend(found.map(|url| (url, 1)));
        } else {
            urls.extend(found.take(URLS_MAX - urls.len().min(URLS_MAX)));
        }
    }
    urls
}

/// What stands between `<loc>` and `</loc>`.
fn locations(text: &str) -> impl Iterator<Item = Uri> {
    let entries = text.split("<loc>").skip(1).filter_map(|rest| rest.split_once("</loc>"));
    entries.filter_map(|(url, _)| url.trim().replace("&amp;", "&").parse().ok())
}

/// What was asked for most in the last run. A file that is not there is no trouble.
fn remembered(path: &Path, count: usize) -> Vec<Uri> {
    match fs::read_to_string(path) {
        Ok(text) => text.lines().filter_map(|line| line.parse().ok()).take(count).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "what was asked for most cannot be read");
            Vec::new()
        }
    }
}

/// Keeps what was asked for most for the next run.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn remember(most_asked: &MostAsked, urls: impl Iterator<Item = Box<str>>) -> io::Result<()> {
    if let Some(folder) = most_asked.path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = most_asked.path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    for url in urls.take(most_asked.count) {
        writeln!(file, "{url}")?;
    }
    file.sync_all()?;
    fs::rename(aside, &most_asked.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sitemaps_list_their_locations() {
        let text = "<urlset><url><loc> http://a/b?x&amp;y </loc></url><url><loc>not a url\u{1}</loc><loc>http://a/c</loc></urlset>";
        let found: Vec<String> = locations(text).map(|url| url.to_string()).collect();
        assert_eq!(found, ["http://a/b?x&y", "http://a/c"]);
    }
}
