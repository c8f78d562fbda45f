//! The plugin itself: from the request to the token, and from the verified claims back to the request.
//!
//! Invariant: a header that tells the upstream about the token holds either what a verified token says or nothing, whatever
//! the client sent.

use std::cell::RefCell;

use portcullis_sdk::crypto::Key;
use portcullis_sdk::prelude::*;
use portcullis_sdk::{clock, crypto};

use crate::claims::{ClaimPath, Claims};
use crate::config::Config;
use crate::deny::{Challenge, Denial};
use crate::forward::{self, Reader};
use crate::place::{self, Found, Place};
use crate::settings::{self, Missing, Settings, TokenFate};
use crate::token::{Host, Scratch, authenticate};

/// One instance.
pub struct JwtAuth {
    settings: Settings,
    keys: Vec<Key>,
    places: Vec<(Place, HeaderName)>,
    missing: Missing,
    token: TokenFate,
    headers: Vec<(HeaderName, ClaimPath)>,
    /// Removes all of `headers`.
    strip: Option<HeaderSet>,
    attributes: Vec<(String, ClaimPath)>,
    challenge: Challenge,
    /// What every denial carries.
    denial: HeaderSet,
    /// For responses to requests whose token may be in the query.
    private: HeaderSet,
    scratch: RefCell<Scratch>,
}

struct Gateway<'a>(&'a [Key]);

impl Host for Gateway<'_> {
    fn verify(&self, key: usize, data: &[u8], signature: &[u8]) -> bool {
        self.0.get(key).is_some_and(|key| key.verify(data, signature))
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
}

#[portcullis_sdk::plugin(grants = ["crypto", "clock"])]
impl Plugin for JwtAuth {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let mut keys = Vec::new();
        let mut import = |source: &crypto::KeySource, algorithm| {
            keys.push(Key::import(source, algorithm).map_err(|error| error.message().to_owned())?);
            Ok(())
        };
        let (settings, handling) = settings::compile(&config, &mut import)?;
        let mut headers = Vec::new();
        let mut strip = HeaderSet::builder();
        for (name, claim) in handling.headers {
            headers.push((HeaderName::intern(&name)?, claim));
            strip = strip.remove(name);
        }
        let mut places = Vec::new();
        for place in handling.places {
            let name = match &place {
                Place::Header { name, .. } => HeaderName::intern(name)?,
                Place::Cookie(_) | Place::Query(_) => HeaderName::intern("cookie")?,
            };
            places.push((place, name));
        }
        let denial =
            HeaderSet::builder().set("content-type", "application/problem+json").set("cache-control", "no-store");
        Ok(Self {
            settings,
            keys,
            places,
            missing: handling.missing,
            token: handling.token,
            strip: if strip.is_empty() { None } else { Some(strip.prepare()?) },
            headers,
            attributes: handling.attributes,
            challenge: handling.challenge,
            denial: denial.prepare()?,
            private: HeaderSet::builder().default_value("cache-control", "private").prepare()?,
            scratch: RefCell::default(),
        })
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        let in_query = self.places.iter().any(|(place, _)| matches!(place, Place::Query(_)));
        if in_query { Vec::new() } else { vec![Hook::PostHandler] }
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        for (place, name) in &self.places {
            let judged = match place {
                Place::Header { scheme, .. } => {
                    let values = request.headers(*name);
                    self.judge(request, place::in_header(values.iter().map(HeaderValue::as_bytes), scheme))
                }
                Place::Cookie(cookie) => {
                    let values = request.headers(*name);
                    self.judge(request, place::in_cookies(values.iter().map(HeaderValue::as_bytes), cookie))
                }
                Place::Query(parameter) => {
                    let query = request.query().unwrap_or_default();
                    self.judge(request, place::in_query(&query, parameter))
                }
            };
            if let Some(verdict) = judged? {
                return Ok(verdict);
            }
        }
        match (self.missing, self.strip) {
            (Missing::Denied, _) => Ok(self.deny(Denial::Missing)),
            (Missing::Passes, None) => Ok(Verdict::Next),
            (Missing::Passes, Some(strip)) => {
                request.apply(strip);
                Ok(Verdict::Next)
            }
        }
    }

    /// RFC 6750 section 2.3: what was asked for with a token in the query must not stay in shared caches.
    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.apply(self.private);
        Ok(Verdict::Next)
    }
}

impl JwtAuth {
    /// The verdict about what a place holds; none where it holds nothing.
    fn judge(&self, request: &Request, found: Found<'_>) -> Result<Option<Verdict>> {
        let token = match found {
            Found::Nothing => return Ok(None),
            Found::Several => return Ok(Some(self.deny(Denial::Several))),
            Found::Token(token) => token,
        };
        let mut scratch = self.scratch.borrow_mut();
        let told = match authenticate(token, &self.settings, &mut scratch, &Gateway(&self.keys)) {
            Ok(claims) => self.tell(request, claims)?,
            Err(denial) => Err(denial),
        };
        if let Err(denial) = told {
            return Ok(Some(self.deny(denial)));
        }
        if self.token == TokenFate::Stripped {
            self.strip_token(request)?;
        }
        Ok(Some(Verdict::Next))
    }

    /// Headers and attributes. What is set before a denial reaches nobody, since the handler is not called then.
    fn tell(&self, request: &Request, claims: Claims<'_>) -> Result<Result<(), Denial>> {
        let text = |path, reader| match claims.at(path) {
            Ok(value) => forward::text(value, reader),
            Err(_) => Err(Denial::Invalid("a claim stands twice")),
        };
        for (name, path) in &self.headers {
            match text(path, Reader::Upstream) {
                Ok(Some(text)) => request.set_header(*name, text.as_bytes()).map_err(|_| TOO_LARGE)?,
                Ok(None) => request.remove_header(*name),
                Err(denial) => return Ok(Err(denial)),
            }
        }
        for (name, path) in &self.attributes {
            match text(path, Reader::Plugins) {
                Ok(Some(text)) => request.set_attribute(name, &text).map_err(|_| TOO_LARGE)?,
                Ok(None) => {}
                Err(denial) => return Ok(Err(denial)),
            }
        }
        Ok(Ok(()))
    }

    /// Takes the token out of every place where one may be, not only where it was found.
    fn strip_token(&self, request: &Request) -> Result<()> {
        const REFUSED: &str = "the gateway does not take the request without its token";
        for (place, name) in &self.places {
            match place {
                Place::Header { .. } => request.remove_header(*name),
                Place::Cookie(cookie) => {
                    let lines = request.headers(*name);
                    let kept: Vec<_> = lines.iter().map(|line| place::without_cookie(line, cookie)).collect();
                    let kept = kept.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b"; "[..]);
                    match kept.as_slice() {
                        [] => request.remove_header(*name),
                        kept => request.set_header(*name, kept).map_err(|_| REFUSED)?,
                    }
                }
                Place::Query(parameter) => {
                    let Some(query) = request.query() else { continue };
                    let (path, kept) = (request.path(), place::without_parameter(&query, parameter));
                    if kept == query {
                        continue;
                    }
                    let target = if kept.is_empty() { path } else { format!("{path}?{kept}") };
                    request.set_path_and_query(&target).map_err(|_| REFUSED)?;
                }
            }
        }
        Ok(())
    }

    fn deny(&self, denial: Denial) -> Verdict {
        Response::new(denial.status())
            .with(self.denial)
            .with_header("www-authenticate", self.challenge.value(denial))
            .with_body(denial.body())
            .into()
    }
}

/// The gateway's limits for headers and attributes are far beyond what the longest token holds; meeting one is the hook's
/// failure and so never a pass.
const TOO_LARGE: &str = "a claim is too large to be forwarded, or there are too many";
