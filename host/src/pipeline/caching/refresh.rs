//! Fetching something anew while clients get what is stored (RFC 5861 section 3, and ahead of the end of freshness).

use std::rc::Rc;
use std::sync::Arc;

use http::{Method, header};

use super::{Asking, CONDITIONS, Fetch, Looked, key, take_fields};
use crate::cache::Stored;
use crate::exchange::{CacheStatus, Exchange, Held, Request};
use crate::http::Body;
use crate::pipeline::Pipeline;
use crate::pipeline::walk::Walk;
use crate::plugin::Visit;
use crate::time;

impl Pipeline {
    /// Fetches anew what is stored under a key, in a task of its own, unless somebody does already.
    pub(super) fn refresh(self: &Rc<Self>, walk: &Walk<'_>, key: &str, stored: Arc<Stored>) {
        let sequence = self.cache.sequence();
        let (Some(number), Some(lead)) = (walk.route, self.lead_alone(key)) else { return };
        let mut exchange = copied(&walk.exchange);
        exchange.trace = self.recorder.spans().beside(&walk.exchange, &mut exchange.request.headers);
        let fetch = Fetch::in_background((key, &key::url(&walk.exchange)), stored, lead, sequence)
            .prepared(&mut exchange.request);
        let pipeline = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let Some(route) = pipeline.plan.routes.get(number) else { return };
            let (lanes, chain) = (&pipeline.lanes[..], &route.chain);
            let (exchange, visit) = (Held::new(exchange), Visit::default());
            let mut walk = Walk { exchange, visit, lanes, chain, route: Some(number), failed: Vec::new() };
            let mut looked = Looked::Ask(Box::new(fetch));
            let asking = Asking { walk: &mut walk, looked: &mut looked };
            let handled = pipeline.handle_with(asking.walk, route, Body::Empty).await;
            drop(asking);
            // What came is being stored, or not; nobody waits for it.
            if let Err(failure) = pipeline.settle(&mut walk, route, looked, handled) {
                tracing::debug!(error = %failure.detail, "a stored response could not be fetched anew");
            }
            pipeline.recorder.spans().ended_beside(&walk.exchange);
        });
    }
}

/// The same request once more, whole and without conditions.
fn copied(exchange: &Exchange) -> Exchange {
    let request = &exchange.request;
    let mut headers = request.headers.clone();
    take_fields(&mut headers, &CONDITIONS);
    take_fields(&mut headers, &[header::RANGE, header::IF_RANGE]);
    let now = time::now();
    Exchange {
        credentials: exchange.credentials,
        route: exchange.route.clone(),
        parameters: exchange.parameters.clone(),
        attributes: exchange.attributes.clone(),
        cache: CacheStatus::Miss,
        ..Exchange::new(
            exchange.id.clone(),
            now,
            Arc::clone(&exchange.client),
            Request {
                method: Method::GET,
                authority: Arc::clone(&request.authority),
                target: request.target.clone(),
                headers,
                version: request.version,
                upgrade: None,
            },
        )
    }
}
