//! What operators write, and what it means together.

use portcullis_sdk::origin::OriginPattern;
use portcullis_sdk::prelude::*;

/// What operators write.
#[portcullis_sdk::config]
pub struct Config {
    /// The origins that may read answers: `https://app.example.com`, `https://*.example.com` (every subdomain), `null`, or `*`.
    #[schemars(length(min = 1))]
    pub origins: Vec<String>,
    /// The methods that they may use.
    #[serde(default = "methods")]
    pub methods: Vec<String>,
    /// The request headers that they may send beyond the simple ones; `*` for whatever they ask for.
    #[serde(default)]
    pub request_headers: Vec<String>,
    /// The response headers that they may read beyond the simple ones.
    #[serde(default)]
    pub response_headers: Vec<String>,
    /// Whether they may send cookies and `Authorization`. Not together with `*` or `null` as an origin.
    #[serde(default)]
    pub credentials: bool,
    /// For how long a browser may remember the answer to a preflight, in seconds.
    #[serde(default = "ten_minutes")]
    #[schemars(range(max = 86400))]
    pub max_age_seconds: u32,
    /// Whether pages of public sites may ask although this site is in a private network.
    #[serde(default)]
    pub private_network: bool,
}

fn methods() -> Vec<String> {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).into()
}

const fn ten_minutes() -> u32 {
    600
}

/// The configuration as used.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) origins: Vec<OriginPattern>,
    pub(crate) methods: Vec<String>,
    /// In lower case; none: whatever is asked for.
    pub(crate) request_headers: Option<Vec<String>>,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let origins: Vec<_> = config.origins.iter().map(|text| OriginPattern::parse(text)).collect::<Result<_>>()?;
        // Every page may say that it is `null`: it is the origin of what is in a sandboxed frame (HTML, origins).
        let everybody = [(OriginPattern::Any, "*"), (OriginPattern::Null, "null")];
        if let Some((_, text)) = everybody.iter().find(|(pattern, _)| config.credentials && origins.contains(pattern)) {
            let remedy = "name the origins, or leave `credentials` out";
            return Err(Error::new(format_args!(
                "`credentials` with {text:?} would give every site what users see; {remedy}"
            )));
        }
        let is_token = |text: &String| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        let all = config.methods.iter().chain(&config.request_headers).chain(&config.response_headers);
        if let Some(wrong) = all.into_iter().find(|text| !is_token(text)) {
            return Err(Error::new(format_args!("{wrong:?} is neither a method nor the name of a header")));
        }
        let any = config.request_headers.iter().any(|name| name == "*");
        let names = config.request_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Self { origins, methods: config.methods.clone(), request_headers: (!any).then_some(names) })
    }

    /// Whether this is all that is allowed to everybody, so that answers do not depend on who asks.
    pub(crate) fn is_for_all(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known.matches(origin))
    }

    /// Whether a preflight may go on (Fetch, CORS-preflight fetch): the method and every header it asks for are allowed.
    pub(crate) fn permits(&self, method: &str, headers: &str) -> bool {
        let mut asked = headers.split(',').map(str::trim).filter(|name| !name.is_empty());
        // Methods are case-sensitive (RFC 9110 section 9.1); these three are always allowed.
        let known = matches!(method, "GET" | "HEAD" | "POST") || self.methods.iter().any(|known| known == method);
        known
            && self
                .request_headers
                .as_ref()
                .is_none_or(|names| asked.all(|name| names.iter().any(|known| known.eq_ignore_ascii_case(name))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use portcullis_sdk::serde_json::{self, Value, json};

    use super::*;

    fn settings(config: Value) -> Result<Settings> {
        Settings::new(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn a_preflight_needs_method_and_headers() {
        let some =
            settings(json!({"origins": ["https://a.test"], "methods": ["PUT"], "request_headers": ["X-A"]})).unwrap();
        assert!(some.permits("PUT", "") && some.permits("PUT", "x-a") && some.permits("POST", " X-a , ,x-A"));
        assert!(!some.permits("DELETE", "") && !some.permits("put", "") && !some.permits("PUT", "x-a, x-b"));
        assert!(some.allows("https://a.test") && !some.allows("https://b.test") && !some.is_for_all());
        let any = settings(json!({"origins": ["*"], "request_headers": ["*"]})).unwrap();
        assert!(any.permits("DELETE", "x-whatever") && any.is_for_all());
    }

    #[test]
    fn what_would_open_everything_is_refused() {
        let why = |config| settings(config).unwrap_err().message().to_owned();
        assert!(why(json!({"origins": ["*"], "credentials": true})).contains("every site"));
        assert!(
            why(json!({"origins": ["https://a.test", "null"], "credentials": true}))
                .contains("\"null\" would give every site")
        );
        assert!(settings(json!({"origins": ["null"]})).is_ok());
        assert!(why(json!({"origins": ["a.test"]})).contains("not an origin"));
        assert!(why(json!({"origins": ["*"], "response_headers": ["x a"]})).contains("\"x a\""));
    }
}
