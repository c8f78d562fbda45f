//! What requests that change something do to what is stored (RFC 9111 section 4.4).

use http::{HeaderName, Method, StatusCode, header};

use super::key;
use crate::cache::{By, Mode, Selection, Sort};
use crate::exchange::Exchange;
use crate::pipeline::Pipeline;

/// Fields that tell of other URLs that may have changed, too.
const REFERENCES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

impl Pipeline {
    /// Lets what is stored of the target be forgotten, and of what the answer refers to on the same site, unless it tells of an error. Gives
    /// the number of the last of these purges, if there was no other since `sequence`: only then what came can be stored.
    pub(super) fn forget_changed(&self, exchange: &Exchange, sequence: u64) -> Option<u64> {
        let response = exchange.response.as_ref()?;
        if !response.status.is_success() && !response.status.is_redirection() {
            return None;
        }
        let mut ours = Some(sequence);
        let references = REFERENCES.iter().filter_map(|name| response.headers.get(name)?.to_str().ok());
        let referred = references.filter_map(|reference| key::referred(exchange, reference));
        for url in std::iter::once(key::url(exchange)).chain(referred) {
            let number = self.cache.purge(&Selection { url: Some(url), ..Selection::default() }, Mode::Hard);
            self.cache.tally().purged(By::Request, Sort::Url, Mode::Hard);
            ours = ours.filter(|last| number == last + 1).map(|_| number);
        }
        ours
    }
}

/// Whether an answer to POST is what GET of the same URL would bring (RFC 9110 section 9.3.3).
pub(super) fn is_what_get_brings(exchange: &Exchange) -> bool {
    let Some(response) = &exchange.response else { return false };
    let location = response.headers.get(header::CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    exchange.request.method == Method::POST
        && response.status == StatusCode::OK
        && location.and_then(|location| key::referred(exchange, location)).is_some_and(|url| url == key::url(exchange))
}
