//! What is done to header fields, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::HeaderValues;

/// Edits of header fields: first `remove`, then `set`, then `append`. In values, `{client.address}`, `{request.id}`, `{request.scheme}`,
/// `{request.host}`, `{request.path}`, `{route}`, `{path.NAME}` (a parameter of the route's path) and `{attribute.NAME}` are filled in; a
/// field with something that is not there is removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct HeaderEdits {
    /// Fields that are put in the place of what is there.
    #[schemars(extend("examples" = [{"x-client-subject": "{attribute.tls.client.subject}"}]))]
    pub(in crate::config) set: Option<BTreeMap<String, Option<HeaderValues>>>,
    /// Fields that are put beside what is there.
    pub(in crate::config) append: Option<BTreeMap<String, Option<HeaderValues>>>,
    /// Fields that are taken away.
    pub(in crate::config) remove: Option<Vec<Option<String>>>,
}
