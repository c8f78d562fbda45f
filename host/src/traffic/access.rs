//! Who may come: networks that are allowed or denied, looked up by address.
//!
//! Of all networks that hold an address the smallest decides, and of two that are the same the one that denies. Pure and immutable: a table of
//! stretches of addresses, made once and searched in as many steps as its length has digits in binary.

use std::net::IpAddr;

use crate::http::Network;

/// What becomes of who comes from a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They may come.
    Allow,
    /// They may not.
    Deny,
}

/// How somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refusing {
    /// By an answer that says so.
    #[default]
    Answer,
    /// By closing the connection without a word.
    Close,
}

/// Who may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The first addresses of stretches, ascending, and what is said of each stretch.
    ipv4: Vec<(u128, Verdict)>,
    ipv6: Vec<(u128, Verdict)>,
    /// What becomes of who comes from elsewhere.
    pub otherwise: Verdict,
    /// Networks that may come and networks that may not, as many as were given.
    pub networks: [usize; 2],
    /// How who may not is refused.
    pub refusing: Refusing,
}

impl Access {
    /// Who comes from none of these networks meets `otherwise`.
    pub fn new(networks: &[(Network, Verdict)], otherwise: Verdict, refusing: Refusing) -> Self {
        let table = |ipv4| {
            let of = networks.iter().filter(|(network, _)| network.is_ipv4() == ipv4);
            stretches(of.copied().collect(), otherwise)
        };
        let given = |wanted| networks.iter().filter(|(_, verdict)| *verdict == wanted).count();
        let networks = [given(Verdict::Allow), given(Verdict::Deny)];
        Self { ipv4: table(true), ipv6: table(false), otherwise, networks, refusing }
    }

    /// What becomes of who comes from this address. An IPv4 address that arrived over IPv6 counts as IPv4.
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        let (table, number) = match address.to_canonical() {
            IpAddr::V4(address) => (&self.ipv4, u128::from(u32::from(address))),
            IpAddr::V6(address) => (&self.ipv6, u128::from(address)),
        };
        let behind = table.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|index| table.get(index)).map_or(self.otherwise, |(_, verdict)| *verdict)
    }
}

/// The stretches of addresses of which the same is said. Two networks are either apart or one within the other, so those that hold the
/// present address are a pile with the smallest on top.
fn stretches(mut networks: Vec<(Network, Verdict)>, otherwise: Verdict) -> Vec<(u128, Verdict)> {
    networks.sort_by_key(|(network, verdict)| (network.bounds().0, network.prefix_bits(), *verdict));
    let mut table: Vec<(u128, Verdict)> = Vec::with_capacity(networks.len());
    let mut pile: Vec<(u128, Verdict)> = Vec::new();
    for (network, verdict) in networks {
        let (first, last) = network.bounds();
        leave(&mut pile, Some(first), otherwise, &mut table);
        pile.push((last, verdict));
        say(&mut table, first, verdict);
    }
    leave(&mut pile, None, otherwise, &mut table);
    table
}

/// Takes from the pile what ends before `next`, or everything; what lies below holds again behind it.
fn leave(pile: &mut Vec<(u128, Verdict)>, next: Option<u128>, otherwise: Verdict, table: &mut Vec<(u128, Verdict)>) {
    while let Some((last, _)) = pile.last().copied()
        && next.is_none_or(|next| last < next)
    {
        pile.pop();
        let below = pile.last().map_or(otherwise, |(_, verdict)| *verdict);
        // Behind the last address of all there is nothing.
        if let Some(behind) = last.checked_add(1) {
            say(table, behind, below);
        }
    }
}

/// Says something of all addresses from this one on.
fn say(table: &mut Vec<(u128, Verdict)>, first: u128, verdict: Verdict) {
    if table.last().is_some_and(|(known, _)| *known == first) {
        table.pop();
    }
    if table.last().is_none_or(|(_, known)| *known != verdict) {
        table.push((first, verdict));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::Verdict::{Allow, Deny};
    use super::*;

    fn access(networks: &[(&str, Verdict)], otherwise: Verdict) -> Access {
        let networks: Vec<_> = networks.iter().map(|(text, verdict)| (text.parse().unwrap(), *verdict)).collect();
        Access::new(&networks, otherwise, Refusing::Answer)
    }

    #[test]
    fn the_smallest_network_decides() {
        let access = access(
            &[
                ("10.0.0.0/8", Deny),
                ("10.1.0.0/16", Allow),
                ("10.1.2.3", Deny),
                ("10.1.2.3", Allow),
                ("255.255.255.255", Deny),
                ("2001:db8::/32", Deny),
                ("2001:db8::1", Allow),
                ("ffff::/16", Deny),
            ],
            Allow,
        );
        let check = |address: &str, expected| {
            assert_eq!(access.verdict(address.parse().unwrap()), expected, "{address}");
        };
        check("9.255.255.255", Allow);
        check("10.0.0.0", Deny);
        check("10.0.255.255", Deny);
        check("10.1.0.0", Allow);
        check("10.1.2.2", Allow);
        check("10.1.2.3", Deny);
        check("10.1.2.4", Allow);
        check("10.2.0.0", Deny);
        check("11.0.0.0", Allow);
        check("255.255.255.255", Deny);
        check("::ffff:10.1.2.3", Deny);
        check("2001:db8::1", Allow);
        check("2001:db8::2", Deny);
        check("2001:db9::", Allow);
        check("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Deny);
        assert_eq!(super::Access::new(&[], Deny, Refusing::Answer).verdict("::1".parse().unwrap()), Deny);
    }

    proptest! {
        #[test]
        fn the_table_says_what_looking_at_all_networks_would(
            networks in prop::collection::vec((0_u32..256, 24_u8..=32, any::<bool>()), 0..40),
            addresses in prop::collection::vec(0_u32..256, 50),
        ) {
            let text = |(low, bits, _): &(u32, u8, bool)| format!("10.0.0.{low}/{bits}");
            let networks: Vec<(Network, Verdict)> = networks
                .iter()
                .map(|written| (text(written).parse().unwrap(), if written.2 { Deny } else { Allow }))
                .collect();
            let access = Access::new(&networks, Allow, Refusing::Answer);
            for low in addresses {
                let address: IpAddr = format!("10.0.0.{low}").parse().unwrap();
                let holding = networks.iter().filter(|(network, _)| network.contains(address));
                let expected = holding.max_by_key(|(network, verdict)| (network.prefix_bits(), *verdict));
                let expected = expected.map_or(Allow, |(_, verdict)| *verdict);
                prop_assert_eq!(access.verdict(address), expected);
            }
        }
    }
}
