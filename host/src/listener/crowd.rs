//! How many connections each address has, so that none of them takes all.
//!
//! Shared by the workers that listen on one address: the kernel spreads one client's connections over all of them. Only accepting and
//! closing look here, never a request.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// The connections of each address.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<DashMap<IpAddr, usize>>);

/// One connection of an address; given back when dropped.
pub(super) struct Guest {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// A connection more, if there are fewer than `max`. An IPv6 address counts with its neighbours in the same /64: that is what one
    /// customer is given (RFC 6177).
    pub(super) fn enter(&self, address: IpAddr, max: usize) -> Option<Guest> {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address @ IpAddr::V4(_) => address,
        };
        let mut count = self.0.entry(address).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(count);
        Some(Guest { crowd: self.clone(), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.crowd.0.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_count_and_nothing_is_left_behind() {
        let crowd = Crowd::default();
        let enter = |text: &str| crowd.enter(text.parse().unwrap(), 2);
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        let neighbours = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(neighbours.0.is_some() && neighbours.1.is_some() && enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop((second, neighbours));
        assert!(crowd.0.is_empty());
    }
}
