//! Networks, and which addresses a check may reach.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network as an operator writes it: `10.0.0.0/8`, `fd12::/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// True if `address` lies in the network. An IPv4 address written as IPv6 counts as the IPv4 address it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(first: u16, second: u16, prefix: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), prefix }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            format!("`{shown}` is not a network; write `10.0.0.0/8`, `fd12::/16` or one address")
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => digits.parse::<u8>().ok().filter(|p| *p <= longest).ok_or_else(wrong)?,
            None => longest,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Addresses that no check may ever reach, whoever lists them: metadata services, link-local, "this host", multicast
/// and reserved ones. Credentials of the whole machine can be had from the first for the asking.
const NEVER: [Network; 13] = [
    Network::v4(0, 0, 0, 0, 8),
    Network::v4(169, 254, 0, 0, 16),
    Network::v4(100, 100, 100, 200, 32),
    Network::v4(192, 0, 0, 192, 32),
    Network::v4(168, 63, 129, 16, 32),
    Network::v4(224, 0, 0, 0, 4),
    Network::v4(240, 0, 0, 0, 4),
    Network::v6(0, 0, 128),
    Network::v6(0xfe80, 0, 10),
    Network::v6(0xff00, 0, 8),
    Network { address: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), prefix: 128 },
    Network { address: IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), prefix: 128 },
    // Documentation of a translation that is not used in the open, and would hide an IPv4 address.
    Network { address: IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0)), prefix: 48 },
];

/// Addresses that are somebody's inside: reached only if the operator lists them, or as the service's own address.
const INSIDE: [Network; 9] = [
    Network::v4(127, 0, 0, 0, 8),
    Network::v4(10, 0, 0, 0, 8),
    Network::v4(172, 16, 0, 0, 12),
    Network::v4(192, 168, 0, 0, 16),
    Network::v4(100, 64, 0, 0, 10),
    Network::v4(198, 18, 0, 0, 15),
    Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    Network::v6(0xfc00, 0, 7),
    Network::v6(0xfec0, 0, 10),
];

/// Whose address a check is about to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The service's own host, as its spec names it: where SSH goes anyway.
    OwnHost,
    /// Any other.
    Elsewhere,
}

/// Which addresses checks may reach.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    allowed: Vec<Network>,
}

impl Reach {
    pub(crate) fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// True if a check may connect to `address`.
    pub(crate) fn permits(&self, address: IpAddr, target: Target) -> bool {
        spellings(address).into_iter().flatten().all(|address| {
            let lies_in = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
            let is_inside = lies_in(&INSIDE);
            !lies_in(&NEVER) && (!is_inside || target == Target::OwnHost || lies_in(&self.allowed))
        })
    }
}

/// The address itself, and the IPv4 address it may hide: mapped, compatible, translated (NAT64) or tunnelled (6to4).
fn spellings(address: IpAddr) -> [Option<IpAddr>; 2] {
    let IpAddr::V6(v6) = address else { return [Some(address), None] };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => [Some(v4(high, low)), None],
        // `::` and `::1` are judged as what they are.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => [Some(address), Some(v4(high, low))],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [Some(address), Some(v4(high, low))],
        [0x2002, high, low, ..] => [Some(address), Some(v4(high, low))],
        _ => [Some(address), None],
    }
}

#[cfg(test)]
mod tests;
