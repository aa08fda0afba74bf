//! The internet: all addresses that are globally reachable by the IANA special-purpose registries,
//! less the networks a policy trusts.

use super::set::{AddressSet, bits, parse_any_cidr, parse_cidr};
use crate::model::Family;
use std::sync::LazyLock;

/// IPv4 blocks that are not globally reachable.
/// Source: IANA IPv4 Special-Purpose Address Registry; 192.88.99.0/24 is deprecated 6to4 (RFC 7526).
pub const NOT_INTERNET_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// The global unicast space that IANA hands out.
pub const INTERNET_V6: &str = "2000::/3";

/// IPv6 blocks in it that are not globally reachable.
/// Source: IANA IPv6 Special-Purpose Address Registry; 2002::/16 is 6to4.
pub const NOT_INTERNET_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// Networks that companies number their own machines from: RFC 1918, the shared space of RFC 6598
/// (which the provider's own services use too), RFC 4193.
pub const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

/// The widest network that may be trusted, per family.
pub const WIDEST_TRUSTED: [(Family, u32); 2] = [(Family::Ipv4, 8), (Family::Ipv6, 20)];

/// Internet addresses of both families, less the trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internet {
    v4: AddressSet,
    v6: AddressSet,
    whole_v4: u128,
    whole_v6: u128,
}

fn ranges(family: Family, texts: &[&str]) -> AddressSet {
    AddressSet::from_ranges(texts.iter().filter_map(|text| parse_cidr(family, text)))
}

impl Internet {
    /// The internet less nothing.
    pub fn whole() -> Self {
        let v4 = AddressSet::all(Family::Ipv4).subtract(&ranges(Family::Ipv4, &NOT_INTERNET_V4));
        let v6 =
            ranges(Family::Ipv6, &[INTERNET_V6]).subtract(&ranges(Family::Ipv6, &NOT_INTERNET_V6));
        let (whole_v4, whole_v6) = (v4.count(), v6.count());
        Self {
            v4,
            v6,
            whole_v4,
            whole_v6,
        }
    }

    /// Every address of both families: for questions about all traffic, not only the internet's.
    pub fn everything() -> Self {
        let (v4, v6) = (AddressSet::all(Family::Ipv4), AddressSet::all(Family::Ipv6));
        let (whole_v4, whole_v6) = (v4.count(), v6.count());
        Self {
            v4,
            v6,
            whole_v4,
            whole_v6,
        }
    }

    /// The private networks of both families, for checks on that side; none of them is internet.
    pub fn private() -> &'static Self {
        static NETWORKS: LazyLock<Internet> = LazyLock::new(|| {
            let (v4, v6) = (
                ranges(Family::Ipv4, &PRIVATE),
                ranges(Family::Ipv6, &PRIVATE),
            );
            let (whole_v4, whole_v6) = (v4.count(), v6.count());
            Internet {
                v4,
                v6,
                whole_v4,
                whole_v6,
            }
        });
        &NETWORKS
    }

    /// The internet less the trusted networks.
    ///
    /// # Errors
    /// Names the first entry that is not a network, or is wider than may be trusted.
    pub fn less_trusted(trusted: &[String]) -> Result<Self, String> {
        let mut net = Self::whole();
        for text in trusted {
            let (family, range) = parse_any_cidr(text)
                .ok_or_else(|| format!("\"{text}\" is not a network (such as 47.100.1.0/24)"))?;
            let widest = WIDEST_TRUSTED
                .iter()
                .find(|(of, _)| *of == family)
                .map_or(bits(family), |(_, prefix)| *prefix);
            let set = AddressSet::from_ranges([range]);
            if set.count() > super::set::network_size(family, widest) {
                return Err(format!(
                    "\"{text}\" is too wide to be trusted: at most a /{widest} of {}",
                    family.as_str()
                ));
            }
            match family {
                Family::Ipv4 => net.v4 = net.v4.subtract(&set),
                Family::Ipv6 => net.v6 = net.v6.subtract(&set),
            }
        }
        Ok(net)
    }

    /// The family's internet, less the trusted.
    pub fn of(&self, family: Family) -> &AddressSet {
        match family {
            Family::Ipv4 => &self.v4,
            Family::Ipv6 => &self.v6,
        }
    }

    /// How many addresses the family's whole internet has, the trusted too.
    pub fn whole_count(&self, family: Family) -> u128 {
        match family {
            Family::Ipv4 => self.whole_v4,
            Family::Ipv6 => self.whole_v6,
        }
    }

    /// `count` as a share of the family's whole internet, four digits, rounded down; for display.
    pub fn share_text(&self, family: Family, count: u128) -> String {
        // Exact in IPv4; in IPv6, whose whole is near 2^125, twenty bits less keep the product below
        // 2^128 and change no digit that is shown.
        let shift = if self.whole_count(family) >> 100 == 0 {
            0
        } else {
            20
        };
        let whole = (self.whole_count(family) >> shift).max(1);
        let share = (count >> shift).saturating_mul(10_000) / whole;
        let share = share.min(10_000);
        format!("{}.{:04}", share / 10_000, share % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_read() {
        assert_eq!(
            ranges(Family::Ipv4, &NOT_INTERNET_V4).ranges().len(),
            14,
            "two adjoin"
        );
        assert_eq!(ranges(Family::Ipv6, &NOT_INTERNET_V6).ranges().len(), 4);
        let net = Internet::whole();
        // 2^32 less the fifteen blocks, which do not overlap.
        let less: u128 = [8, 8, 10, 8, 16, 12, 24, 24, 24, 16, 15, 24, 24, 4, 4]
            .iter()
            .map(|p| 1u128 << (32 - p))
            .sum();
        assert_eq!(net.of(Family::Ipv4).count(), (1u128 << 32) - less);
        let less6: u128 = [23, 32, 16, 20].iter().map(|p| 1u128 << (128 - p)).sum();
        assert_eq!(net.of(Family::Ipv6).count(), (1u128 << 125) - less6);
        assert_eq!(
            net.share_text(Family::Ipv6, net.whole_count(Family::Ipv6)),
            "1.0000"
        );
        assert_eq!(
            net.share_text(Family::Ipv4, net.whole_count(Family::Ipv4)),
            "1.0000"
        );
        assert_eq!(net.share_text(Family::Ipv4, 1 << 30), "0.2900");
    }

    #[test]
    fn a_trusted_network_wider_than_a_slash_8_or_a_slash_20_is_an_error() {
        let less = |text: &str| Internet::less_trusted(&[text.to_owned()]);
        assert!(less("47.0.0.0/8").is_ok());
        assert!(less("46.0.0.0/7").is_err());
        assert!(less("2400::/20").is_ok());
        assert!(less("2400::/19").is_err());
        assert!(less("office").is_err());
    }
}
