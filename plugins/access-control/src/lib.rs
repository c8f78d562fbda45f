//! Says who may do what, by the roles and facts that authentication has found (role-based access control).
//!
//! ```json
//! {
//!   "roles": { "editor": ["articles:read", "articles:write"], "admin": ["*"] },
//!   "places": [
//!     { "paths": ["/articles/*"], "methods": ["GET"], "allow": "anyone" },
//!     { "paths": ["/articles/*"], "permissions": ["articles:write"] },
//!     { "paths": ["/account/*"], "allow": "authenticated" },
//!     { "paths": ["/reports/*"], "attributes": { "auth.tenant": ["acme", "initech"] }, "roles": ["auditor"] }
//!   ]
//! }
//! ```
//!
//! Put it behind `jwt-auth`, `api-key` or `basic-auth`: they leave the attributes `auth.subject` and `auth.roles` (`jwt-auth` with
//! `"attributes": { "auth.subject": "sub", "auth.roles": "roles" }`). The first place that matches path and method decides; all that it asks for
//! must be there, and of each list one. What matches no place is denied, unless `"otherwise": "allow"`. Who is not known gets 401, who
//! is known and may not gets 403.
//!
//! Paths are compared as the gateway's router reads them, however they are spelled. Where an encoded slash (`%2F`) lets a path be read in two ways,
//! what is decided about both counts: the stricter. A place for GET is one for HEAD, too.

mod config;
mod decide;

use portcullis_sdk::prelude::*;

pub use crate::config::Config;
use crate::decide::{Decided, Policy};

/// One instance.
pub struct AccessControl {
    policy: Policy,
    subject: String,
    challenge: String,
}

#[portcullis_sdk::plugin]
impl Plugin for AccessControl {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self {
            subject: config.subject_attribute.clone(),
            challenge: config.challenge.clone(),
            policy: Policy::new(&config)?,
        })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        let (method, path) = (request.method(), request.plain_path());
        let attribute = |name: &str| request.attribute(name);
        match self.policy.decide(&method, &path, request.attribute(&self.subject).as_deref(), &attribute) {
            Decided::Allowed => Ok(Verdict::Next),
            Decided::Unknown => {
                let response = Response::problem(401, "authentication is required");
                Ok(response.with_header("www-authenticate", &self.challenge).into())
            }
            Decided::Denied => {
                let _ = request.set_attribute("access.denied", "yes");
                Ok(Response::problem(403, "this is not allowed").into())
            }
        }
    }
}
