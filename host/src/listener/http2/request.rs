//! Makes a request of a header block (RFC 9113 section 8.3), or says why it is malformed.
//!
//! Pure. What passes has exactly one method, scheme, authority and path, and a `Host` that says the same as the authority.

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request, Version};

use super::streams::Kind;
use crate::http::{Upgrade, UpgradeForm, parse_length};
use crate::listener::hpack::Field;

/// A request without its body.
pub(super) struct Asked {
    pub(super) request: Request<()>,
    pub(super) kind: Kind,
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// Whether its body may rest for as long as it likes: a tunnel's, a stream of messages.
    pub(super) may_rest: bool,
}

#[derive(Default)]
struct Pseudo {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<(Authority, HeaderValue)>,
    path: Option<PathAndQuery>,
    protocol: Option<HeaderValue>,
}

type Malformed = &'static str;

/// The request that the fields of a block are.
pub(super) fn request(fields: &mut Vec<Field>) -> Result<Asked, Malformed> {
    let mut pseudo = Pseudo::default();
    let mut headers = HeaderMap::with_capacity(fields.len());
    let (mut cookies, mut length, mut may_rest) = (None, None, false);
    let mut regular = false;
    for field in fields.drain(..) {
        let twice = match field {
            Field::Regular(name, value) => {
                regular = true;
                match name {
                    header::COOKIE => crumb(&mut cookies, &value),
                    header::CONTENT_LENGTH => {
                        let parsed = parse_length(value.as_bytes()).ok_or("a length that is no number")?;
                        if length.is_some_and(|length| length != parsed) {
                            return Err("two lengths");
                        }
                        if length.replace(parsed).is_none() {
                            headers.append(name, value);
                        }
                    }
                    _ => {
                        // Who expects an answer first does not go on without one.
                        may_rest |= name == header::EXPECT;
                        may_rest |= name == header::CONTENT_TYPE && value.as_bytes().starts_with(b"application/grpc");
                        headers.append(name, value);
                    }
                }
                continue;
            }
            Field::Malformed(why) => return Err(why),
            _ if regular => return Err("a pseudo-header behind a field"),
            Field::Method(method) => pseudo.method.replace(method).is_some(),
            Field::Scheme(scheme) => pseudo.scheme.replace(scheme).is_some(),
            Field::Authority(authority, value) => pseudo.authority.replace((authority, value)).is_some(),
            Field::Path(path) => pseudo.path.replace(path).is_some(),
            Field::Protocol(protocol) => pseudo.protocol.replace(protocol).is_some(),
        };
        if twice {
            return Err("a pseudo-header twice");
        }
    }
    if let Some(cookies) = cookies {
        headers.insert(header::COOKIE, cookies.finish());
    }
    assemble(pseudo, headers, length, may_rest)
}

fn assemble(pseudo: Pseudo, headers: HeaderMap, length: Option<u64>, may_rest: bool) -> Result<Asked, Malformed> {
    let method = pseudo.method.ok_or("no method")?;
    let mut headers = headers;
    let authority = host(pseudo.authority, &mut headers)?;
    let mut uri = http::uri::Parts::default();
    uri.authority = Some(authority);
    let plain_connect = method == Method::CONNECT && pseudo.protocol.is_none();
    if plain_connect {
        // Only the authority (section 8.5).
        if pseudo.scheme.is_some() || pseudo.path.is_some() {
            return Err("CONNECT with a scheme or a path");
        }
    } else {
        let path = pseudo.path.ok_or("no path")?;
        if path.as_str() == "*" && method != Method::OPTIONS {
            return Err("the path `*`");
        }
        uri.scheme = Some(pseudo.scheme.ok_or("no scheme")?);
        uri.path_and_query = Some(path);
    }
    let kind = match method {
        Method::HEAD => Kind::Head,
        Method::CONNECT => Kind::Connect,
        _ => Kind::Plain,
    };
    let mut request = Request::new(());
    if let Some(protocol) = pseudo.protocol {
        // RFC 8441 section 4.
        if kind != Kind::Connect {
            return Err("a protocol without CONNECT");
        }
        request.extensions_mut().insert(Upgrade { protocol, form: UpgradeForm::Connect });
    }
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| "a target that is none")?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok(Asked { request, kind, length, may_rest: may_rest || kind == Kind::Connect })
}

/// The authority, or what `Host` says in its place; where both are there they must agree (section 8.3.1).
fn host(authority: Option<(Authority, HeaderValue)>, headers: &mut HeaderMap) -> Result<Authority, Malformed> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("two hosts");
    }
    match (authority, host) {
        (Some((authority, _)), Some(host)) => {
            let same = host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
            if same { Ok(authority) } else { Err("a host that is not the authority") }
        }
        (Some((authority, value)), None) => {
            headers.insert(header::HOST, value);
            Ok(authority)
        }
        (None, Some(host)) if !host.as_bytes().contains(&b'@') => {
            Authority::try_from(host.as_bytes()).map_err(|_| "a host that is none")
        }
        (None, _) => Err("no authority"),
    }
}

/// Cookies that came in several fields become one again (section 8.2.3).
struct Crumbs {
    first: HeaderValue,
    joined: Vec<u8>,
}

fn crumb(cookies: &mut Option<Crumbs>, value: &HeaderValue) {
    match cookies {
        None => *cookies = Some(Crumbs { first: value.clone(), joined: Vec::new() }),
        Some(crumbs) => {
            if crumbs.joined.is_empty() {
                crumbs.joined.extend_from_slice(crumbs.first.as_bytes());
            }
            crumbs.joined.extend_from_slice(b"; ");
            crumbs.joined.extend_from_slice(value.as_bytes());
        }
    }
}

impl Crumbs {
    fn finish(self) -> HeaderValue {
        if self.joined.is_empty() {
            return self.first;
        }
        // Made of field values and of what they may hold.
        HeaderValue::try_from(self.joined).unwrap_or(self.first)
    }
}

/// The fields of a block that ends a body.
pub(super) fn trailers(fields: &mut Vec<Field>) -> Result<HeaderMap, Malformed> {
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields.drain(..) {
        match field {
            Field::Regular(name, value) => {
                trailers.append(name, value);
            }
            Field::Malformed(why) => return Err(why),
            _ => return Err("a pseudo-header in trailers"),
        }
    }
    Ok(trailers)
}
