//! What operators write.

use std::collections::BTreeMap;

/// What operators write.
#[portcullis_sdk::config]
pub struct Config {
    /// Roles and the permissions they give; `*` gives all, `articles:*` all that begin so.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
    /// What is asked for where. The first that matches path and method decides.
    #[schemars(length(min = 1))]
    pub places: Vec<PlaceConfig>,
    /// What becomes of requests that match none of them.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// The attribute that says who it is.
    #[serde(default = "subject")]
    pub subject_attribute: String,
    /// The attribute that holds the roles, separated by commas or blanks; such characters in a role are percent-encoded.
    #[serde(default = "roles")]
    pub roles_attribute: String,
    /// The value of `WWW-Authenticate` in a 401.
    #[serde(default = "bearer")]
    pub challenge: String,
}

/// What is asked for somewhere. All that is written must be there; of each list one.
#[portcullis_sdk::config]
pub struct PlaceConfig {
    /// Patterns of paths, such as `/articles/*`, which matches what is below `/articles/`. Empty: all.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Methods; GET includes HEAD. Empty: all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Who passes without more being asked.
    #[serde(default)]
    pub allow: Option<Allow>,
    /// One of these roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// One of these permissions, which roles give.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// One of these subjects.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Attributes of the exchange, each with one of its values.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// Who passes.
#[portcullis_sdk::config]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// Everybody.
    Anyone,
    /// Who is known.
    Authenticated,
    /// Nobody.
    Nobody,
}

/// What becomes of requests that match no place.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// They are denied.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

fn subject() -> String {
    "auth.subject".to_owned()
}

fn roles() -> String {
    "auth.roles".to_owned()
}

fn bearer() -> String {
    "Bearer".to_owned()
}
