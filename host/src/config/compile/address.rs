//! Reads addresses: of listeners and of endpoints.
//!
//! Looks nothing up; says for the usual slips (no port, a URL, a name instead of an IP address) what to write.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::super::problem::Report;
use crate::plugin::schema::JsonPath;
use crate::redis;
use crate::upstream::Endpoint;

/// An address to listen on: IP and port, since a name could stand for many or change.
pub(super) fn socket(text: &str, at: &JsonPath, report: &mut Report) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        let remedy = match text.rsplit_once(':') {
            Some(("" | "*", port)) if is_port(port) => format!("write \"0.0.0.0:{port}\""),
            Some(("localhost", port)) if is_port(port) => format!("write \"127.0.0.1:{port}\""),
            _ if is_port(text) => format!("write \"0.0.0.0:{text}\""),
            _ if text.parse::<Ipv6Addr>().is_ok() => format!("write \"[{text}]:8080\""),
            _ if text.parse::<IpAddr>().is_ok() => format!("write \"{text}:8080\""),
            _ => "write one such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
        };
        report.add(at, format!("{text:?} is not an IP address with a port"), remedy);
    }
    address
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Longest path of a Unix socket, in bytes (`sun_path` in unix(7), with its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

const HTTPS: &str = "https://";

/// Whether an endpoint is written as one that speaks TLS.
pub(super) fn is_https(text: &str) -> bool {
    text.starts_with(HTTPS)
}

/// Whether a host is followed by a port. Of an IPv6 address without one, the colons are its own.
fn has_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !port.ends_with(']') && (!host.contains(':') || host.starts_with('[')))
}

/// An endpoint: a DNS name or an IP address, and a port, after `https://` or not; or the path of a Unix socket.
pub(super) fn endpoint(text: &str, at: &JsonPath, report: &mut Report) -> Option<Endpoint> {
    let mut refuse = |what: String, remedy: String| {
        report.add(at, what, remedy);
        None
    };
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') {
            return refuse(format!("{path:?} is not an absolute path"), "write \"unix:/path/to.sock\"".to_owned());
        }
        if path.len() > SOCKET_PATH_BYTES_MAX || path.contains('\0') {
            let remedy = format!("write one of at most {SOCKET_PATH_BYTES_MAX} bytes");
            return refuse(format!("{path:?} cannot be the path of a socket"), remedy);
        }
        return Some(Endpoint::Unix(path.into()));
    }
    let origin = text.strip_prefix(HTTPS).filter(|rest| !rest.contains(['/', '?', '#', '@']));
    let completed = origin.map(|rest| if has_port(rest) { rest.to_owned() } else { format!("{rest}:443") });
    let text = completed.as_deref().unwrap_or(text);
    if let Some((scheme, rest)) = text.split_once("://") {
        let port = if scheme == "https" { 443 } else { 80 };
        // Not shown whole: a URL may hold a password.
        let host = rest.split(['/', '?', '#']).next().and_then(|rest| rest.rsplit('@').next()).unwrap_or_default();
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        return refuse("is a URL".to_owned(), format!("write host and port only: {host:?}"));
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|_| has_port(text)) else {
        let remedy = match text.parse::<Ipv6Addr>() {
            Ok(_) => format!("write \"[{text}]:80\""),
            Err(_) => format!("write \"{text}:80\""),
        };
        return refuse(format!("{text:?} has no port"), remedy);
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 && is_port(text.rsplit(':').next().unwrap_or_default()) => port,
        _ => return refuse(format!("{port:?} is not a port"), "write a number from 1 to 65535".to_owned()),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => is_dns_name(host),
    };
    if !good {
        let remedy = "write one such as \"app.internal:8080\", \"10.0.0.7:8080\" or \"[::1]:8080\"".to_owned();
        return refuse(format!("{host:?} is not a host"), remedy);
    }
    Some(Endpoint::Tcp { host: bare.unwrap_or(host).to_ascii_lowercase(), port })
}

/// A node of Redis: as an endpoint, but with a port that it has unless another is written.
pub(super) fn redis_node(text: &str, port: u16, at: &JsonPath, report: &mut Report) -> Option<redis::Address> {
    let completed =
        if text.starts_with("unix:") || has_port(text) { text.to_owned() } else { format!("{text}:{port}") };
    endpoint(&completed, at, report).map(|endpoint| match endpoint {
        Endpoint::Tcp { host, port } => redis::Address::Tcp(host, port),
        Endpoint::Unix(path) => redis::Address::Unix(path.to_path_buf()),
    })
}

/// Whether a text can be looked up: labels of 1 to 63 letters, digits, `-` and `_`, 253 in all (RFC 1035 section 2.3.4).
pub(super) fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, expected: Result<(&str, u16), &str>| {
            let mut report = Report::default();
            let endpoint = endpoint(text, &JsonPath::root(), &mut report);
            let problems = report.into_problems(&serde_json::Value::Null, &Default::default(), &[]).to_string();
            match expected {
                Ok((host, port)) => {
                    assert_eq!(endpoint, Some(Endpoint::Tcp { host: host.to_owned(), port }), "{problems}")
                }
                Err(message) => assert_eq!(problems, format!("(top level): {message}")),
            }
        };
        check("127.0.0.1:80", Ok(("127.0.0.1", 80)));
        check("[::1]:80", Ok(("::1", 80)));
        check("App_1.internal:65535", Ok(("app_1.internal", 65535)));
        check("https://app.internal", Ok(("app.internal", 443)));
        check("https://[::1]:8443", Ok(("::1", 8443)));
        check("localhost", Err(r#""localhost" has no port; write "localhost:80""#));
        check("[::1]", Err(r#""[::1]" has no port; write "[::1]:80""#));
        check("::1", Err(r#""::1" has no port; write "[::1]:80""#));
        check("unix:app.sock", Err(r#""app.sock" is not an absolute path; write "unix:/path/to.sock""#));
        check("a:0", Err(r#""0" is not a port; write a number from 1 to 65535"#));
        check("a:+1", Err(r#""+1" is not a port; write a number from 1 to 65535"#));
        check("http://a/b", Err(r#"is a URL; write host and port only: "a:80""#));
        check("https://me:pass@a:1", Err(r#"is a URL; write host and port only: "a:1""#));
        check(
            "-a:1",
            Err(r#""-a" is not a host; write one such as "app.internal:8080", "10.0.0.7:8080" or "[::1]:8080""#),
        );
    }
}
