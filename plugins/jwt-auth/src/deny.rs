//! Why a request does not pass, and how the client is told (RFC 6750 section 3, RFC 9457).
//!
//! Border: status, challenge and body as text. Invariant: all of it is made of fixed texts and of the configuration;
//! nothing from the request is repeated.

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// There is no token.
    Missing,
    /// There is more than one token.
    Several,
    /// The token is malformed, expired, not meant for us or not signed by a known key.
    Invalid(&'static str),
    /// The token is good, but does not allow this.
    Forbidden(&'static str),
}

impl Denial {
    /// The status code.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Several => 400,
            Self::Missing | Self::Invalid(_) => 401,
            Self::Forbidden(_) => 403,
        }
    }

    /// What went wrong, for people.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Missing => "a token is required",
            Self::Several => "more than one token",
            Self::Invalid(description) | Self::Forbidden(description) => description,
        }
    }

    /// The body, a problem document (RFC 9457 section 3). No fixed text needs escaping in JSON.
    pub(crate) fn body(self) -> String {
        let (status, detail) = (self.status(), self.description());
        let title = match status {
            400 => "Bad Request",
            403 => "Forbidden",
            _ => "Unauthorized",
        };
        format!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\"}}")
    }
}

/// What every challenge says.
#[derive(Debug)]
pub(crate) struct Challenge {
    start: String,
    scope: String,
}

impl Challenge {
    /// `scheme` is a token (RFC 9110 section 5.6.2), `scopes` are scope tokens (RFC 6749 section 3.3).
    pub(crate) fn new(scheme: &str, realm: &str, scopes: &[String]) -> Self {
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let scope = if scopes.is_empty() { String::new() } else { format!(", scope=\"{}\"", scopes.join(" ")) };
        Self { start: format!("{scheme} realm=\"{realm}\""), scope }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3). Who sent no token at all is not told of an error (3.1).
    pub(crate) fn value(&self, denial: Denial) -> String {
        let Self { start, scope } = self;
        let (error, scope) = match denial {
            Denial::Missing => return format!("{start}{scope}"),
            Denial::Several => ("invalid_request", ""),
            Denial::Invalid(_) => ("invalid_token", ""),
            Denial::Forbidden(_) => ("insufficient_scope", scope.as_str()),
        };
        format!("{start}, error=\"{error}\", error_description=\"{}\"{scope}", denial.description())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_follow_the_standard() {
        let challenge = Challenge::new("Bearer", "a \"b\" \\", &["read".to_owned(), "write".to_owned()]);
        let check = |denial, expected: &str| assert_eq!(challenge.value(denial), expected);
        check(Denial::Missing, r#"Bearer realm="a \"b\" \\", scope="read write""#);
        check(
            Denial::Several,
            r#"Bearer realm="a \"b\" \\", error="invalid_request", error_description="more than one token""#,
        );
        check(
            Denial::Invalid("the token has expired"),
            r#"Bearer realm="a \"b\" \\", error="invalid_token", error_description="the token has expired""#,
        );
        check(
            Denial::Forbidden("no"),
            r#"Bearer realm="a \"b\" \\", error="insufficient_scope", error_description="no", scope="read write""#,
        );
        assert_eq!(Challenge::new("Bearer", "x", &[]).value(Denial::Missing), r#"Bearer realm="x""#);
    }

    #[test]
    fn bodies_are_problem_documents() {
        use portcullis_sdk::serde_json::{self, json};
        let body: serde_json::Value = serde_json::from_str(&Denial::Forbidden("no").body()).unwrap_or_default();
        assert_eq!(body, json!({"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "no"}));
    }
}
