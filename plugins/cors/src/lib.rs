//! Says which other sites may read what a browser asks for (Fetch standard, "HTTP-CORS protocol").
//!
//! ```json
//! {
//!   "origins": ["https://app.example.com", "https://*.preview.example.com"],
//!   "methods": ["GET", "POST", "DELETE"],
//!   "request_headers": ["authorization", "content-type"],
//!   "response_headers": ["x-total-count"],
//!   "credentials": true
//! }
//! ```
//!
//! Preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) are answered here and reach neither later plugins nor the
//! upstream: put it before authentication, since browsers send no credentials with them, and let its routes accept `OPTIONS`. All other
//! requests go on; their answers, also errors and what comes from the cache, say whether the page may read them. What the
//! upstream says about CORS is removed, so that there is one place that decides. Where the answer depends on who asks, it says `Vary: Origin`.

mod config;

use portcullis_sdk::prelude::*;

pub use crate::config::Config;
use crate::config::Settings;

/// One instance.
pub struct Cors {
    settings: Settings,
    origin: HeaderName,
    asked_method: HeaderName,
    asked_headers: HeaderName,
    allow_origin: HeaderName,
    /// Removes what the upstream says; adds `Vary` where answers depend on who asks.
    clear: HeaderSet,
    /// What every allowed answer says beside the origin.
    allowed: Option<HeaderSet>,
    /// What every allowed preflight says beside origin and headers.
    preflight: HeaderSet,
    /// Says that private networks are allowed, where they are.
    private: bool,
}

#[portcullis_sdk::plugin]
impl Plugin for Cors {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let settings = Settings::new(&config)?;
        let mut clear = HeaderSet::builder();
        for name in ["allow-origin", "allow-credentials", "expose-headers", "allow-methods", "allow-headers", "max-age"]
        {
            clear = clear.remove(format!("access-control-{name}"));
        }
        if !settings.is_for_all() {
            clear = clear.append("vary", "Origin");
        }
        let mut allowed = HeaderSet::builder();
        let mut preflight = HeaderSet::builder()
            .set("access-control-allow-methods", config.methods.join(", "))
            .set("access-control-max-age", config.max_age_seconds.to_string())
            .append("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        if config.credentials {
            allowed = allowed.set("access-control-allow-credentials", "true");
            preflight = preflight.set("access-control-allow-credentials", "true");
        }
        if !config.response_headers.is_empty() {
            allowed = allowed.set("access-control-expose-headers", config.response_headers.join(", "));
        }
        Ok(Self {
            origin: HeaderName::intern("origin")?,
            asked_method: HeaderName::intern("access-control-request-method")?,
            asked_headers: HeaderName::intern("access-control-request-headers")?,
            allow_origin: HeaderName::intern("access-control-allow-origin")?,
            clear: clear.prepare()?,
            allowed: if allowed.is_empty() { None } else { Some(allowed.prepare()?) },
            preflight: preflight.prepare()?,
            private: config.private_network,
            settings,
        })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        if request.method() != "OPTIONS" {
            return Ok(Verdict::Next);
        }
        let (Some(origin), Some(method)) = (request.header(self.origin), request.header(self.asked_method)) else {
            return Ok(Verdict::Next);
        };
        let headers = request.header(self.asked_headers).unwrap_or_default();
        let text = |value: &HeaderValue| value.as_str().map(str::to_owned).unwrap_or_default();
        let (method, headers) = (text(&method), text(&headers));
        let response = Response::new(204);
        // What is not allowed is not said; the browser then refuses by itself, and says in its console why.
        if !self.settings.allows(&text(&origin)) || !self.settings.permits(&method, &headers) {
            return Ok(response.with_header("vary", "Origin").into());
        }
        let mut response = response.with(self.preflight);
        if !headers.trim().is_empty() {
            response = response.with_header("access-control-allow-headers", &headers);
        }
        if self.private && request.header_named("access-control-request-private-network").is_some() {
            response = response.with_header("access-control-allow-private-network", "true");
        }
        Ok(response.into())
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let origin = request.header(self.origin);
        let preflight = request.method() == "OPTIONS" && request.header(self.asked_method).is_some();
        if !preflight {
            response.apply(self.clear);
        }
        let Some(origin) = origin else { return Ok(Verdict::Next) };
        if !origin.as_str().is_ok_and(|origin| self.settings.allows(origin)) {
            return Ok(Verdict::Next);
        }
        if preflight && response.header_named("access-control-allow-methods").is_none() {
            return Ok(Verdict::Next);
        }
        if self.settings.is_for_all() {
            response.set_header(self.allow_origin, "*")?;
        } else {
            response.set_header(self.allow_origin, &origin)?;
        }
        if let Some(allowed) = self.allowed.filter(|_| !preflight) {
            response.apply(allowed);
        }
        Ok(Verdict::Next)
    }
}
