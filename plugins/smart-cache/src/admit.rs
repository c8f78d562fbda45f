//! Whether and for how long a response is stored: reads the facts, lets `ttl` decide, adds tags. Runs on misses only.

use std::time::Duration;

use portcullis_sdk::prelude::*;

use crate::adaptive::{Adaptive, Seen};
use crate::asked::Asked;
use crate::config::Config;
use crate::key::Key;
use crate::origin::{Fields, Origin};
use crate::tags::Tags;
use crate::ttl::{Decision, Facts, Ttl, store};

/// What an admission looks at.
pub(crate) struct Admit {
    ttl: Ttl,
    tags: Tags,
    /// Interned only where a request with Authorization can get here.
    authorization: Option<HeaderName>,
    names: Names,
}

/// Response headers that say something about caching.
struct Names {
    cache_control: HeaderName,
    expires: HeaderName,
    date: HeaderName,
    age: HeaderName,
    vary: HeaderName,
    set_cookie: HeaderName,
    targeted: HeaderName,
    etag: HeaderName,
    last_modified: HeaderName,
    /// Interned only where a length counts as a sign of a change.
    length: Option<HeaderName>,
}

impl Names {
    fn new(config: &Config) -> Result<Self> {
        let by_length = config.adaptive.as_ref().is_some_and(|adaptive| adaptive.by_length);
        Ok(Self {
            targeted: HeaderName::intern("cdn-cache-control")?,
            length: if by_length { Some(HeaderName::intern("content-length")?) } else { None },
            cache_control: HeaderName::intern("cache-control")?,
            expires: HeaderName::intern("expires")?,
            date: HeaderName::intern("date")?,
            age: HeaderName::intern("age")?,
            vary: HeaderName::intern("vary")?,
            set_cookie: HeaderName::intern("set-cookie")?,
            etag: HeaderName::intern("etag")?,
            last_modified: HeaderName::intern("last-modified")?,
        })
    }
}

impl Admit {
    /// None where everything is left to the gateway.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>> {
        let ttl = Ttl::new(config)?;
        if ttl.is_silent() && config.tags.headers.is_empty() && config.tags.always.is_empty() {
            return Ok(None);
        }
        let authorization = if config.bypass.authorization { None } else { Some(HeaderName::intern("authorization")?) };
        Ok(Some(Self { ttl, tags: Tags::new(&config.tags)?, authorization, names: Names::new(config)? }))
    }

    pub(crate) fn verdict(
        &self,
        asked: &Asked<'_>,
        response: &Response,
        adaptive: Option<&Adaptive>,
        key: &Key,
    ) -> AdmitVerdict {
        let place = if self.ttl.looks_at_path() { self.ttl.place(&asked.request.plain_path()) } else { Ok(None) };
        // What may be private is not stored as something that is not.
        let Ok(place) = place else { return AdmitVerdict::NoStore };
        let facts = self.facts(asked.request, response);
        let mut decision = self.ttl.decide(place, &facts);
        if let (Decision::Adapt(otherwise), Some(adaptive)) = (decision, adaptive) {
            let learned = adaptive.ttl(key.resource(asked), &self.seen(response));
            decision = learned.or(otherwise).map_or(Decision::Next, store);
        }
        let (ttl_ms, from_origin) = match decision {
            Decision::NoStore => return AdmitVerdict::NoStore,
            Decision::Next | Decision::Adapt(_) => return AdmitVerdict::Next,
            Decision::AsOriginSays(ttl_ms) => (ttl_ms, true),
            Decision::For(ttl_ms) => (ttl_ms, false),
        };
        let tags = self.tags.of(response, place.map_or(&[], |place| &place.tags));
        let windows = self.ttl.windows(place, facts.status);
        // Without anything to add, the gateway reads the origin's words better than we do.
        if from_origin && (ttl_ms == 0 || (tags.is_empty() && windows.is_silent())) {
            return AdmitVerdict::Next;
        }
        let around = windows.around(ttl_ms, &facts.origin, self.ttl.wins(place));
        let ms = Duration::from_millis;
        Admission::fresh_for(ms(ttl_ms))
            .tags(tags)
            .stale_while_revalidate(ms(around.stale_while_revalidate))
            .stale_if_error(ms(around.stale_if_error))
            .refresh_ahead(ms(around.refresh_ahead))
            .into()
    }

    fn facts(&self, request: &Request, response: &Response) -> Facts {
        let names = &self.names;
        let (targeted, control) = (response.headers(names.targeted), response.headers(names.cache_control));
        let targeted: Vec<&[u8]> = targeted.iter().map(|line| line.as_bytes()).collect();
        let control: Vec<&[u8]> = control.iter().map(|line| line.as_bytes()).collect();
        let (expires, date) = (response.header(names.expires), response.header(names.date));
        let age = response.header(names.age);
        let fields = Fields {
            targeted: &targeted,
            cache_control: &control,
            expires: expires.as_deref(),
            date: date.as_deref(),
            age: age.as_deref(),
        };
        Facts {
            status: response.status(),
            origin: Origin::new(&fields),
            sets_cookie: response.header(names.set_cookie).is_some(),
            varies_by_all: response.headers(names.vary).iter().any(|value| value.contains(&b'*')),
            authorized: self.authorization.is_some_and(|name| request.header(name).is_some()),
        }
    }

    fn seen(&self, response: &Response) -> Seen {
        let etag = response.header(self.names.etag);
        let modified = response.header(self.names.last_modified);
        let length = self.names.length.and_then(|name| response.header(name));
        Seen::new(etag.as_deref(), modified.as_deref(), length.as_deref())
    }
}
