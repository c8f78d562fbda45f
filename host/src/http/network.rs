//! Networks as operators write them: an address, or an address and the length of its prefix (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a network; write one such as \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.1\"")]
pub struct NetworkError;

/// Bits of an IPv6 address by which clients count.
const CUSTOMER_BITS: u8 = 64;

impl Network {
    /// Whether an address belongs to it. An IPv4 address that arrived over IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl Network {
    /// Whether any address that counts together with this one ([`customer`]) belongs to it.
    pub fn touches(&self, address: IpAddr) -> bool {
        match self.address {
            IpAddr::V4(_) => self.contains(address),
            IpAddr::V6(_) => Self { prefix_bits: self.prefix_bits.min(CUSTOMER_BITS), ..*self }.contains(address),
        }
    }

    /// Its first and its last address, as numbers.
    pub fn bounds(&self) -> (u128, u128) {
        let (address, bits) = match self.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        // All bits behind the prefix; a shift by all 128 of them would be none.
        let behind = bits - u32::from(self.prefix_bits);
        let rest = 1_u128.checked_shl(behind).map_or(u128::MAX, |next| next - 1);
        (address & !rest, address | rest)
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The length of its prefix.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

/// The address by which a client counts where it may have several: an IPv6 address counts with its neighbours in the same /64, since that is
/// what one customer is given (RFC 6177).
pub fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether a client is nobody: what we ask ourselves for, and what comes over a Unix socket, comes from no port.
pub fn is_nobody(client: SocketAddr) -> bool {
    client.port() == 0 && client.ip().is_loopback()
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or(NetworkError)?
            }
            Some(_) => return Err(NetworkError),
        };
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_or_do_not() {
        let check = |network: &str, address: &str, belongs: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), belongs, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/33", "2001:db8:ffff::1", false);
        check("::/0", "::1", true);
    }

    #[test]
    fn a_customer_belongs_where_one_of_its_addresses_does() {
        let check = |network: &str, address: &str, belongs: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.touches(customer(address.parse().unwrap())), belongs, "{network} {address}");
        };
        check("::1", "::1", true);
        check("2001:db8::5/128", "2001:db8::5", true);
        check("2001:db8::5/128", "2001:db8::6", true);
        check("2001:db8::5/128", "2001:db8:0:1::5", false);
        check("2001:db8::/48", "2001:db8:0:1::5", true);
        check("::/0", "2001:db8::5", true);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("::1", "127.0.0.1", false);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "10.0.0.0/8/8", "*"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
