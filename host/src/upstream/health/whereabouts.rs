//! Where the names of endpoints lead: looked up aside, read by workers without a lock while nothing changes.
//!
//! A name stands for all of its addresses, each an endpoint of its own. One that cannot be looked up keeps the addresses it
//! had; one that never could is looked up for each connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::{Endpoint, Share};
use super::Site;

/// The addresses behind the names of one upstream.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Whereabouts {
    /// Counts the changes.
    version: AtomicU64,
    found: Mutex<Vec<(Endpoint, Vec<SocketAddr>)>>,
}

impl Whereabouts {
    /// Changes whenever the addresses do.
    #[inline]
    pub(in crate::upstream) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Notes where an endpoint's name leads. Whether that is news.
    pub(in crate::upstream) fn note(&self, endpoint: &Endpoint, mut addresses: Vec<SocketAddr>) -> bool {
        // Name servers shuffle them.
        addresses.sort_unstable();
        addresses.dedup();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match found.iter_mut().find(|(known, _)| known == endpoint) {
            Some((_, known)) if *known == addresses => return false,
            Some((_, known)) => *known = addresses,
            None => found.push((endpoint.clone(), addresses)),
        }
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Where the endpoints of an upstream are, each with the position of its share.
    pub(in crate::upstream) fn sites(&self, shares: &[Share]) -> Vec<(usize, Site)> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let sites = shares.iter().enumerate().flat_map(|(index, share)| {
            let site = |address| (index, Site { endpoint: share.endpoint.clone(), address });
            match found.iter().find(|(known, _)| *known == share.endpoint) {
                Some((_, addresses)) => addresses.iter().map(|address| site(Some(*address))).collect(),
                None => vec![site(None)],
            }
        });
        sites.collect()
    }
}

/// Host and port of an endpoint that is to be looked up. `localhost` is not: all of it is this machine (RFC 6761 section 6.3).
pub(in crate::upstream) fn name_of(endpoint: &Endpoint) -> Option<(&str, u16)> {
    let Endpoint::Tcp { host, port } = endpoint else { return None };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let fixed = bare.parse::<IpAddr>().is_ok() || bare == "localhost" || bare.ends_with(".localhost");
    (!fixed).then_some((bare, *port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_all_its_addresses() {
        let endpoint = |host: &str| Endpoint::Tcp { host: host.to_owned(), port: 80 };
        let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
        let shares = [Share::of(endpoint("app.internal")), Share::of(endpoint("10.9.9.9"))];
        let whereabouts = Whereabouts::default();
        let sites = || {
            let sites = whereabouts.sites(&shares);
            sites.iter().map(|(index, site)| format!("{index} {site}")).collect::<Vec<_>>()
        };
        assert_eq!(sites(), ["0 app.internal:80", "1 10.9.9.9:80"]);
        assert!(whereabouts.note(&endpoint("app.internal"), vec![address(2), address(1), address(2)]));
        assert_eq!(sites(), ["0 app.internal:80 at 10.0.0.1", "0 app.internal:80 at 10.0.0.2", "1 10.9.9.9:80"]);
        let version = whereabouts.version();
        assert!(!whereabouts.note(&endpoint("app.internal"), vec![address(1), address(2)]));
        assert_eq!(whereabouts.version(), version);
        assert!(whereabouts.note(&endpoint("app.internal"), vec![address(3)]));
        assert_eq!((sites().len(), whereabouts.version()), (2, version + 1));
    }

    #[test]
    fn only_names_are_looked_up() {
        let check = |host: &str, expected: bool| {
            assert_eq!(name_of(&Endpoint::Tcp { host: host.to_owned(), port: 1 }).is_some(), expected, "{host}");
        };
        check("app.internal", true);
        check("10.0.0.1", false);
        check("::1", false);
        check("localhost", false);
        check("a.localhost", false);
    }
}
