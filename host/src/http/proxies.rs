//! Proxies in front of the gateway whose word counts: for whom they ask.
//!
//! Pure. What is read is what such proxies append to `X-Forwarded-For`: from the end, as long as it was one of them that spoke. What a client
//! itself wrote there stands further in front, and is never reached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;

use super::Network;
use super::forwarding::X_FORWARDED_FOR;

/// The networks of these proxies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies(Arc<[Network]>);

impl Proxies {
    /// Whether who connects from here is one of them.
    #[inline]
    pub fn include(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// For whom one of them asks with these header fields: the last address that is none of theirs; where all are, the first. None where
    /// nothing is said, or where what the last of them says is no address.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = None;
        for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            for element in value.as_bytes().rsplit(|byte| *byte == b',') {
                let Some(address) = address(element) else { return client };
                client = Some(address);
                if !self.include(address) {
                    return client;
                }
            }
        }
        client
    }
}

impl FromIterator<Network> for Proxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// An address, with or without a port, in brackets or not.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let proxies: Proxies = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).into_iter().collect();
        let check = |lines: &[&str], expected: Option<&str>| {
            let headers = lines.iter().map(|line| (X_FORWARDED_FOR, line.parse().unwrap())).collect();
            assert_eq!(proxies.client(&headers), expected.map(|text| text.parse().unwrap()), "{lines:?}");
        };
        check(&[], None);
        check(&["192.0.2.1"], Some("192.0.2.1"));
        check(&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1"));
        check(&["6.6.6.6, 192.0.2.1 ,10.1.1.1"], Some("192.0.2.1"));
        check(&["6.6.6.6", "192.0.2.1:4711, 10.1.1.1", "[2001:db8::7]:80"], Some("192.0.2.1"));
        check(&["[2001:4860::1], ::ffff:10.0.0.1"], Some("2001:4860::1"));
        check(&["10.0.0.1, 10.0.0.2"], Some("10.0.0.1"));
        // What is no address was not written by a proxy of ours, nor is what stands before it.
        check(&["6.6.6.6, unknown, 10.0.0.2"], Some("10.0.0.2"));
        check(&["6.6.6.6, "], None);
        assert!(proxies.include("::ffff:10.9.9.9".parse().unwrap()) && !proxies.include("11.0.0.1".parse().unwrap()));
    }
}
