//! Another protocol on a stream: extended CONNECT (RFC 8441), which an endpoint must have said that it takes.

use std::rc::Rc;

use ::http::{HeaderName, Method, header};
use hyper::body::Incoming;
use hyper::ext::Protocol;

use super::super::pool::Pool;
use super::super::send::Trouble;
use super::super::{Upstream, UpstreamError};
use super::ask::{TRIES_MAX, is_going_away, is_unprocessed, outgoing};
use super::multiplex::Slot;
use super::shared::Road;
use crate::exchange::{Client, Request};
use crate::http::{Body, Upgrade};
use crate::time;

/// Says in HTTP/1.1 what in HTTP/2 the pseudo-header fields say (RFC 8441 section 5.1).
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

impl Upstream {
    /// Asks one endpoint for another protocol; gives its answer and the stream.
    pub(in crate::upstream) async fn ask_connect(
        &self,
        pool: &Rc<Pool>,
        client: &Client,
        (request, upgrade): (&Request, &Upgrade),
    ) -> Result<(Slot, ::http::Response<Incoming>), UpstreamError> {
        let (mut tries, timeout) = (1, self.response_timeout);
        let late = || UpstreamError::ResponseTimeout { endpoint: Rc::clone(&pool.endpoint), timeout };
        loop {
            let (Road::Stream(slot), _) = pool.road(client, time::now()).await? else {
                return Err(UpstreamError::NoTunnel);
            };
            if !tokio::time::timeout(timeout, slot.takes_connect()).await.map_err(|_| late())? {
                return Err(UpstreamError::NoTunnel);
            }
            let error = match slot.exchange(connect(request, upgrade, pool), None, timeout).await {
                Ok(answer) => return Ok((slot, answer)),
                Err(Trouble::TimedOut) => return Err(late()),
                Err(Trouble::Returned(_, error)) => error,
                Err(Trouble::Failed(error)) if is_unprocessed(&error) => error,
                Err(Trouble::Failed(error)) => {
                    return Err(UpstreamError::Protocol { endpoint: Rc::clone(&pool.endpoint), error });
                }
            };
            if is_going_away(&error) {
                slot.retire();
            }
            if tries == TRIES_MAX {
                return Err(UpstreamError::Unprocessed { endpoint: Rc::clone(&pool.endpoint), error });
            }
            tries += 1;
        }
    }
}

fn connect(request: &Request, upgrade: &Upgrade, pool: &Pool) -> ::http::Request<Body> {
    let mut connect = outgoing(request, Body::Empty, pool);
    *connect.method_mut() = Method::CONNECT;
    let headers = connect.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(KEY);
    let protocol = upgrade.protocol.to_str().unwrap_or("websocket");
    connect.extensions_mut().insert(Protocol::from(protocol));
    connect
}
