//! Storing a response while it goes by.
//!
//! A body that is at hand is stored at once. One that is on its way is fetched by a task of its own, whatever becomes of who asked for it
//! first; whoever asks meanwhile follows what comes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap};
use http_body::Body as _;

use super::growing::Growing;
use super::purges::Marks;
use super::stored::{Content, Stored};
use super::{Admission, Cache, Lock};
use crate::exchange::Response;
use crate::http::{Body, parse_length};

/// A response that goes by and is to be stored.
pub struct Recording<'a> {
    /// Under which key.
    pub key: &'a str,
    /// How.
    pub admission: Admission,
    /// Which purges find it; its tags are the admission's.
    pub url: &'a str,
    /// What is made unreachable at once.
    pub namespace: &'a str,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// [`Cache::sequence`] from before it was asked for.
    pub sequence: u64,
    /// When its head came.
    pub now: Instant,
    /// The right to fetch it for all instances.
    pub lock: Option<Lock>,
}

impl Cache {
    /// Stores a response while it goes by, and says whether it does. Gives it back with a body that follows what comes. One
    /// that turns out too long, that breaks off, or that has trailers, is not stored in the end.
    ///
    /// Refuses what no cache may store, whoever says so: not-modified and broken partial responses, and `Vary: *`.
    pub fn record(&self, recording: Recording<'_>, mut response: Response) -> (Response, bool) {
        let Recording { key, mut admission, url, namespace, request, sequence, now, lock } = recording;
        let declared = response.headers.get(header::CONTENT_LENGTH);
        let declared = declared.map(|length| parse_length(length.as_bytes()).unwrap_or(u64::MAX));
        let length = declared.unwrap_or(0).max(response.body.size_hint().lower());
        let span = match response.status {
            StatusCode::NOT_MODIFIED => return (response, false),
            StatusCode::PARTIAL_CONTENT => match part_of(&response.headers) {
                Some(span) => Some(span),
                None => return (response, false),
            },
            _ => None,
        };
        if length > self.object_bytes_max {
            return (response, false);
        }
        let tags = std::mem::take(&mut admission.tags);
        let marks = Arc::new(Marks::new(url.into(), namespace.into(), tags));
        let stored = Stored::new(admission, request, response.status, &response.headers, (marks, sequence), now);
        let Some(stored) = stored.filter(|stored| !stored.keep_for(now).is_zero()) else { return (response, false) };
        let place = move |bytes: Bytes| match span {
            None => Some(Content::Whole(bytes)),
            Some((first, last, size)) if last - first + 1 == bytes.len() as u64 => {
                Some(Content::Part { first, bytes, size })
            }
            Some(_) => None,
        };
        response.body = match std::mem::take(&mut response.body) {
            Body::Empty => {
                let whole = declared.is_none_or(|declared| declared == 0);
                if let Some(content) = place(Bytes::new()).filter(|_| whole) {
                    self.insert(key, Arc::new(stored.with(content)), lock);
                }
                Body::Empty
            }
            Body::Full(bytes) => {
                // Copied, because as it came it is part of a larger read buffer.
                let whole = declared.is_none_or(|declared| declared == bytes.len() as u64);
                if let Some(content) = place(Bytes::copy_from_slice(&bytes)).filter(|_| whole) {
                    self.insert(key, Arc::new(stored.with(content)), lock);
                }
                Body::Full(bytes)
            }
            body => self.follow(key, stored, (body, declared), place, lock),
        };
        (response, true)
    }

    /// Fetches a body in a task of its own, so that it is stored whatever becomes of who asked for it first.
    fn follow(
        &self,
        key: &str,
        stored: Stored,
        (body, declared): (Body, Option<u64>),
        place: impl Fn(Bytes) -> Option<Content> + 'static,
        lock: Option<Lock>,
    ) -> Body {
        let growing = Growing::new(declared, self.object_bytes_max);
        let reader = growing.follow();
        let joinable = stored.status != StatusCode::PARTIAL_CONTENT;
        let draft = Arc::new(stored.with(Content::Growing(Arc::clone(&growing))));
        if joinable {
            self.keep(key, &draft);
        }
        let (cache, key) = (self.clone(), Box::<str>::from(key));
        // What is not fetched to its end is not left for others to wait for, either.
        let guard = Abandoned(Arc::clone(&growing));
        tokio::task::spawn_local(async move {
            let guard = guard;
            match guard.0.fetch(body).await.and_then(place) {
                Some(content) => cache.insert(&key, Arc::new(draft.with(content)), lock),
                None if joinable => cache.take_out(&key, &draft),
                None => {}
            }
        });
        reader
    }
}

/// Ends a body that nobody fetches any more.
struct Abandoned(Arc<Growing>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The one range of a partial response: first and last byte, and how long all is (RFC 9110 section 14.4).
fn part_of(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, size) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| parse_length(text.as_bytes());
    let (first, last, size) = (number(first)?, number(last)?, number(size)?);
    (first <= last && last < size).then_some((first, last, size))
}
