//! What the gateway answers itself, whatever the routes say: redirects to TLS, `OPTIONS *`, and TRACE.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::rewrite::without_port;
use crate::exchange::{Exchange, Failure, Reason, RedirectHttps, Response};
use crate::http::Body;

/// The methods that a gateway can be asked about without naming a resource.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The answer, where it is not the routes' business.
pub(super) fn answer(exchange: &Exchange) -> Result<Option<Response>, Failure> {
    if let Some(redirect) = exchange.client.redirect_https {
        return to_https(redirect, exchange).map(Some);
    }
    let request = &exchange.request;
    let field = |status, name: HeaderName, text: &'static str| {
        let mut response = Response::new(status, Body::Empty);
        response.headers.insert(name, HeaderValue::from_static(text));
        response
    };
    match request.method {
        // What a client sees of its own request it knows already; a script should not see the cookies in it (RFC 9110 section 9.3.8).
        Method::TRACE => {
            let failure = Failure::new(Reason::MethodNotAllowed, "TRACE is not answered");
            Err(failure.with(header::ALLOW, HeaderValue::from_static(METHODS)))
        }
        // Of the gateway as a whole (RFC 9110 section 9.3.7).
        Method::OPTIONS if request.target.path() == "*" => {
            Ok(Some(field(StatusCode::NO_CONTENT, header::ALLOW, METHODS)))
        }
        _ => Ok(None),
    }
}

fn to_https(redirect: RedirectHttps, exchange: &Exchange) -> Result<Response, Failure> {
    let bad = |detail| Failure::new(Reason::BadRequest, detail);
    let host = without_port(&exchange.request.authority);
    if host.is_empty() {
        return Err(bad("no host to be sent to"));
    }
    let port = if redirect.port == 443 { String::new() } else { format!(":{}", redirect.port) };
    let target = match exchange.request.target.as_str() {
        "*" => "/",
        target => target,
    };
    let location = HeaderValue::try_from(format!("https://{host}{port}{target}"));
    let mut response = Response::new(redirect.status, Body::Empty);
    response.headers.insert(header::LOCATION, location.map_err(|_| bad("the target would not be a field value"))?);
    Ok(response)
}
