//! Static files: the station that answers from a folder.
//!
//! What is outside the folder cannot be reached, by construction: a path is opened relative to the folder, and the kernel
//! refuses whatever would lead out of it (see `root`). Everything that decides (paths, conditions, ranges, codings) is pure.

mod accept;
mod listing;
mod media;
mod parts;
mod path;
mod root;
mod validators;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cap_std::fs::Dir;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::exchange::{Failure, Reason, Request, Response};
use crate::http::{Body, Decision, Ranges, accepted_codings, decide, merged_slashes, wanted_ranges};
use crate::time::Instant;

pub use crate::http::Coding;
use path::Asked;
use root::{OpenFile, Opened, Root};

/// `Allow` of every resource here.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD");
/// Said where the answer must be asked for anew each time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// What is served, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder.
    pub root: PathBuf,
    /// The names of the files that stand for their folder, best first.
    pub index: Vec<Box<str>>,
    /// Whether a folder without such a file is listed.
    pub listing: Listing,
    /// The file, relative to the folder, that is shown where there is no other and a page is wanted.
    pub fallback: Option<PathBuf>,
    /// The codings in which files may lie beside the plain one, best first.
    pub precompressed: Vec<Coding>,
    /// `Cache-Control` of every file.
    pub cache_control: Option<HeaderValue>,
    /// What paths begin with, that is no part of the folder.
    pub strip_prefix: Option<Box<str>>,
}

/// Whether a folder is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is not.
    Off,
    /// It is.
    On,
}

/// One worker's way to answer from a folder.
#[derive(Debug)]
pub struct Files {
    settings: Arc<Settings>,
    root: Root,
}

/// What a path leads to.
enum Found {
    /// A file, and where it is.
    File(OpenFile, PathBuf),
    /// A folder that has something to show, asked for without its slash.
    Folder,
    /// A folder to be listed.
    Listing(Dir),
    /// Nothing that may be shown.
    Nothing,
}

/// Why a file is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It was asked for.
    Asked,
    /// What was asked for is not there.
    Fallback,
}

impl Files {
    /// Answers from a folder.
    pub fn new(settings: Arc<Settings>) -> Self {
        let root = Root::new(settings.root.clone());
        Self { settings, root }
    }

    /// The answer to a request at a time, given on the monotonic clock and since the Unix epoch.
    ///
    /// Fails with 400 for a path that cannot name a file, 404 where there is none, 405 for other methods than GET and HEAD, 412
    /// and 416 (RFC 9110 sections 15.5.13 and 15.5.17).
    pub fn answer(&self, request: &Request, now: Instant, unix: Duration) -> Result<Response, Failure> {
        if request.method != Method::GET && request.method != Method::HEAD {
            let detail = format!("{} of a file", request.method);
            return Err(Failure::new(Reason::MethodNotAllowed, detail).with(header::ALLOW, ALLOW));
        }
        let asked = path::read(request.target.path(), self.settings.strip_prefix.as_deref())?;
        let root = self.root.dir(now).ok_or_else(|| Failure::new(Reason::NoFile, "the folder cannot be opened"))?;
        match self.find(&root, &asked)? {
            Found::File(file, path) => self.file(&root, file, &path, request, Cause::Asked, unix),
            Found::Folder => to_slash(request),
            Found::Listing(dir) => listed(&dir, &asked, request),
            Found::Nothing => self.fallback(&root, &asked, request, unix),
        }
    }

    fn find(&self, root: &Dir, asked: &Asked) -> Result<Found, Failure> {
        if !asked.is_folder {
            return Ok(match root::open(root, &asked.path)? {
                Some(Opened::File(file)) => Found::File(file, asked.path.clone()),
                // Nobody learns of a folder that has nothing to show.
                Some(Opened::Folder) if self.settings.listing == Listing::On => Found::Folder,
                Some(Opened::Folder) if self.index(root, &asked.path)?.is_some() => Found::Folder,
                Some(Opened::Folder) | None => Found::Nothing,
            });
        }
        if let Some((file, path)) = self.index(root, &asked.path)? {
            return Ok(Found::File(file, path));
        }
        Ok(match self.settings.listing {
            Listing::On => root::open_folder(root, &asked.path)?.map_or(Found::Nothing, Found::Listing),
            Listing::Off => Found::Nothing,
        })
    }

    /// The file that stands for a folder.
    fn index(&self, root: &Dir, folder: &Path) -> Result<Option<(OpenFile, PathBuf)>, Failure> {
        for name in &self.settings.index {
            let path = folder.join(&**name);
            if let Some(Opened::File(file)) = root::open(root, &path)? {
                return Ok(Some((file, path)));
            }
        }
        Ok(None)
    }

    /// The page that is shown where nothing else is, to those who want a page.
    fn fallback(&self, root: &Dir, asked: &Asked, request: &Request, unix: Duration) -> Result<Response, Failure> {
        let nothing = || Failure::new(Reason::NoFile, format!("no file {}", asked.path.display()));
        let path = self.settings.fallback.as_deref().ok_or_else(nothing)?;
        if !accept::wants_page(&request.headers, &asked.path) {
            return Err(nothing());
        }
        match root::open(root, path)? {
            Some(Opened::File(file)) => self.file(root, file, path, request, Cause::Fallback, unix),
            _ => Err(nothing()),
        }
    }

    /// Shows a file: in the best form, if the conditions hold, the part that is wanted.
    fn file(
        &self,
        root: &Dir,
        plain: OpenFile,
        path: &Path,
        request: &Request,
        cause: Cause,
        unix: Duration,
    ) -> Result<Response, Failure> {
        let (file, coding) = self.best_form(root, plain, path, &request.headers)?;
        let validators = validators::of(&file.stamp, coding, unix);
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(validators.etag.clone().map(|etag| (header::ETAG, etag)));
        if let Some(vary) = self.vary(cause) {
            headers.insert(header::VARY, vary);
        }
        match (cause, &self.settings.cache_control) {
            // Another file may take its place at any time.
            (Cause::Fallback, _) => drop(headers.insert(header::CACHE_CONTROL, NO_CACHE)),
            (Cause::Asked, Some(value)) => drop(headers.insert(header::CACHE_CONTROL, value.clone())),
            (Cause::Asked, None) => {}
        }
        let size = file.stamp.size;
        let ranges = match decide(&request.method, &request.headers, &validators, unix) {
            Decision::Failed => return Err(Failure::new(Reason::PreconditionFailed, "the file is another now")),
            Decision::NotModified => {
                return Ok(Response { status: StatusCode::NOT_MODIFIED, headers, body: Body::Empty });
            }
            Decision::Whole => Ranges::Whole,
            Decision::Part => wanted_ranges(&request.headers, size),
        };
        headers.insert(header::CONTENT_TYPE, media::of(path));
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        insert(&mut headers, header::LAST_MODIFIED, validators::last_modified(&validators).as_deref());
        let file = Arc::new(file.file);
        let (status, body) = match ranges {
            Ranges::Whole if request.method == Method::HEAD => {
                // Nothing is read for what is not sent.
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
                (StatusCode::OK, Body::Empty)
            }
            Ranges::Whole => (StatusCode::OK, parts::piece(&file, 0, size)),
            Ranges::One(range) => {
                insert(&mut headers, header::CONTENT_RANGE, Some(&range.told(size)));
                (StatusCode::PARTIAL_CONTENT, parts::piece(&file, range.first, range.length()))
            }
            Ranges::Many(ranges) => {
                let media_type = headers.remove(header::CONTENT_TYPE);
                let (of_all, body) = parts::multipart(&file, size, &ranges, media_type.as_ref());
                headers.insert(header::CONTENT_TYPE, of_all);
                (StatusCode::PARTIAL_CONTENT, body)
            }
            Ranges::Outside => return Err(outside(size)),
        };
        Ok(Response { status, headers, body })
    }

    /// The file, or the one beside it in the coding that the client likes best.
    fn best_form(
        &self,
        root: &Dir,
        plain: OpenFile,
        path: &Path,
        headers: &HeaderMap,
    ) -> Result<(OpenFile, Option<Coding>), Failure> {
        for coding in accepted_codings(headers, &self.settings.precompressed).into_iter().flatten() {
            let mut beside = path.as_os_str().to_owned();
            beside.push(coding.suffix());
            if let Some(Opened::File(file)) = root::open(root, Path::new(&beside))? {
                return Ok((file, Some(coding)));
            }
        }
        Ok((plain, None))
    }

    /// What in the request another answer could come from (RFC 9110 section 12.5.5).
    fn vary(&self, cause: Cause) -> Option<HeaderValue> {
        match (cause, self.settings.precompressed.is_empty()) {
            (Cause::Asked, true) => None,
            (Cause::Asked, false) => Some(HeaderValue::from_static("Accept-Encoding")),
            (Cause::Fallback, true) => Some(HeaderValue::from_static("Accept")),
            (Cause::Fallback, false) => Some(HeaderValue::from_static("Accept, Accept-Encoding")),
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) {
    // Dates and ranges always are field values.
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(name, value);
    }
}

/// The answer where only what lies outside is asked for (RFC 9110 section 15.5.17).
fn outside(size: u64) -> Failure {
    let failure = Failure::new(Reason::RangeNotSatisfiable, "no range within the file");
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(value) => failure.with(header::CONTENT_RANGE, value),
        Err(_) => failure,
    }
}

/// Sends the client to the path with a slash, so that relative references in what stands for the folder are right.
fn to_slash(request: &Request) -> Result<Response, Failure> {
    // Two slashes at the front would be another site.
    let mut location = merged_slashes(request.target.path()).into_owned();
    location.push('/');
    if let Some(query) = request.target.query() {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location)
        .map_err(|_| Failure::new(Reason::BadRequest, "the path would not be a field value"))?;
    let mut response = Response::new(StatusCode::MOVED_PERMANENTLY, Body::Empty);
    response.headers.insert(header::LOCATION, location);
    Ok(response)
}

fn listed(dir: &Dir, asked: &Asked, request: &Request) -> Result<Response, Failure> {
    let page = listing::page(dir, request.target.path(), &asked.path)
        .map_err(|error| Failure::new(Reason::Internal, format!("{}: {error}", asked.path.display())))?;
    let mut response = Response::new(StatusCode::OK, Body::from(Bytes::from(page)));
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers.insert(header::CACHE_CONTROL, NO_CACHE);
    Ok(response)
}
