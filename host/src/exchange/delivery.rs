//! Who was asked for the response, for those who tell of it later.

use std::fmt;
use std::rc::Rc;

use crate::names::Name;

/// Who was asked for the response.
#[derive(Clone, Default)]
pub struct Delivery {
    /// The upstream that was asked, whether it answered or not.
    pub upstream: Option<Name>,
    /// The endpoint that answered. Written out only when somebody wants to read it.
    pub endpoint: Option<Rc<dyn fmt::Display>>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_ref().map(ToString::to_string);
        f.debug_struct("Delivery").field("upstream", &self.upstream).field("endpoint", &endpoint).finish()
    }
}
