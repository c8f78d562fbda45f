//! Refuses requests that change something and that a browser sends on behalf of another site (cross-site request forgery).
//!
//! Browsers say where a request comes from, and pages cannot change what they say: `Sec-Fetch-Site` (Fetch Metadata), and `Origin` where that
//! is missing. No tokens, no state, no change to the pages.
//!
//! ```json
//! { "trusted_origins": ["https://login.example.com"], "same_site": true, "except": ["/webhooks/*"] }
//! ```
//!
//! Checked are the methods that are not safe (RFC 9110 section 9.2.1) and WebSocket handshakes, which browsers send to other sites with cookies.
//! Who sends neither field is no browser, and passes unless `"without_origin": "deny"`.

mod judge;

use portcullis_sdk::origin::OriginPattern;
use portcullis_sdk::pattern::{self, Pattern};
use portcullis_sdk::prelude::*;

use crate::judge::{Facts, Judged, Trust, Unknown};

/// What operators write.
#[portcullis_sdk::config]
pub struct Config {
    /// Other origins whose pages may send such requests: `https://login.example.com`, `https://*.example.com`.
    #[serde(default)]
    trusted_origins: Vec<String>,
    /// Whether pages of the same site (`https://other.example.com` for `https://app.example.com`) may. Subdomains that others run are a danger.
    #[serde(default)]
    same_site: bool,
    /// What becomes of requests that do not say where they come from: those of programs and very old browsers.
    #[serde(default)]
    without_origin: WithoutOrigin,
    /// Patterns of paths that are not checked, such as `/webhooks/*`. Compared as the gateway's router reads a path.
    #[serde(default)]
    except: Vec<String>,
}

/// What becomes of requests that do not say where they come from.
#[portcullis_sdk::config]
#[derive(Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum WithoutOrigin {
    /// They pass.
    #[default]
    Allow,
    /// They do not.
    Deny,
}

/// One instance.
pub struct Csrf {
    trust: Trust,
    except: Vec<Pattern>,
    site: HeaderName,
    origin: HeaderName,
    websocket: HeaderName,
}

#[portcullis_sdk::plugin]
impl Plugin for Csrf {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let origins = config.trusted_origins.iter().map(|text| match OriginPattern::parse(text)? {
            OriginPattern::Any | OriginPattern::Null => {
                Err(Error::new(format_args!("`trusted_origins`: {text:?} would trust everybody")))
            }
            pattern => Ok(pattern),
        });
        let unknown = if config.without_origin == WithoutOrigin::Deny { Unknown::Denied } else { Unknown::Passes };
        Ok(Self {
            trust: Trust { origins: origins.collect::<Result<_>>()?, same_site: config.same_site, unknown },
            except: pattern::of_paths(&config.except),
            site: HeaderName::intern("sec-fetch-site")?,
            origin: HeaderName::intern("origin")?,
            websocket: HeaderName::intern("sec-websocket-key")?,
        })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        let method = request.method();
        let is_safe = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        if is_safe && request.header(self.websocket).is_none() {
            return Ok(Verdict::Next);
        }
        let origin = request.header(self.origin);
        let site = request.header(self.site);
        let authority = request.authority();
        let facts = Facts {
            site: site.as_ref().map(|site| site.as_str().unwrap_or("?")),
            origin: origin.as_ref().map(|origin| origin.as_str().unwrap_or("?")),
            authority: &authority,
        };
        match self.trust.judge(facts) {
            Judged::Passes => Ok(Verdict::Next),
            Judged::Denied(_) if pattern::surely(&self.except, &request.plain_path()) => Ok(Verdict::Next),
            Judged::Denied(why) => {
                let _ = request.set_attribute("csrf.denied", why);
                Ok(Response::problem(403, why).into())
            }
        }
    }
}
