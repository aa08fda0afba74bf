//! Sets of addresses and of ports, as sorted disjoint ranges. Exact integers, never floats.
//!
//! Addresses of both families are `u128`; a set never mixes families, its owner knows which one.

use crate::model::Family;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A closed range of addresses, low then high.
pub type AddressRange = (u128, u128);
/// A closed range of ports, low then high.
pub type PortRange = (u16, u16);

/// Bits of an address of the family.
pub fn bits(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    }
}

/// The family's last address.
pub fn last_address(family: Family) -> u128 {
    match family {
        Family::Ipv4 => u128::from(u32::MAX),
        Family::Ipv6 => u128::MAX,
    }
}

/// The number of addresses in one network with that prefix length, saturating at `u128::MAX` for
/// `::/0` (no set of internet addresses is that large).
pub fn network_size(family: Family, prefix: u32) -> u128 {
    let host = bits(family).saturating_sub(prefix);
    1u128.checked_shl(host).unwrap_or(u128::MAX)
}

/// A set of addresses: sorted, disjoint, never adjacent, so that equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressSet(Vec<AddressRange>);

impl AddressSet {
    /// No address.
    pub const EMPTY: Self = Self(Vec::new());

    /// Every address of the family.
    pub fn all(family: Family) -> Self {
        Self(vec![(0, last_address(family))])
    }

    /// The union of ranges in any order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = AddressRange>) -> Self {
        let mut sorted: Vec<AddressRange> = ranges
            .into_iter()
            .filter(|(low, high)| low <= high)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<AddressRange> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// Of ranges that are in order, disjoint and not adjacent already.
    pub(super) fn from_sorted(ranges: Vec<AddressRange>) -> Self {
        debug_assert!(
            ranges.is_sorted_by(|a, b| a.1.checked_add(1).is_some_and(|next| next < b.0)),
            "ranges are sorted, disjoint and not adjacent"
        );
        Self(ranges)
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[AddressRange] {
        &self.0
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many addresses it holds, saturating at `u128::MAX` for all of IPv6.
    pub fn count(&self) -> u128 {
        self.0.iter().fold(0u128, |sum, (low, high)| {
            sum.saturating_add(high.saturating_sub(*low).saturating_add(1))
        })
    }

    /// How many addresses of a range it holds, saturating likewise.
    pub fn count_within(&self, (low, high): AddressRange) -> u128 {
        let from = self.0.partition_point(|(_, end)| *end < low);
        self.0
            .iter()
            .skip(from)
            .take_while(|(start, _)| *start <= high)
            .fold(0, |sum, (start, end)| {
                let size = (*end).min(high).saturating_sub((*start).max(low));
                size.saturating_add(1).saturating_add(sum)
            })
    }

    /// Whether it holds that address.
    pub fn contains(&self, address: u128) -> bool {
        let after = self.0.partition_point(|(low, _)| *low <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|(_, high)| address <= *high)
    }

    /// Addresses in both.
    pub fn intersect(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a_low, a_high)), Some(&&(b_low, b_high))) = (left.peek(), right.peek()) {
            let (low, high) = (a_low.max(b_low), a_high.min(b_high));
            if low <= high {
                out.push((low, high));
            }
            if a_high <= b_high {
                left.next();
            } else {
                right.next();
            }
        }
        Self(out)
    }

    /// Addresses in either.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.0.iter().chain(other.0.iter()).copied())
    }

    /// Addresses in this and not in the other.
    pub fn subtract(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let mut holes = other.0.iter().peekable();
        for &(low, high) in &self.0 {
            let mut from = low;
            let mut done = false;
            while let Some(&&(hole_low, hole_high)) = holes.peek() {
                if hole_high < from {
                    holes.next();
                    continue;
                }
                if hole_low > high {
                    break;
                }
                if hole_low > from {
                    out.push((from, hole_low.saturating_sub(1)));
                }
                match hole_high.checked_add(1) {
                    Some(next) if hole_high < high => from = next,
                    _ => {
                        done = true;
                        break;
                    }
                }
                holes.next();
            }
            if !done && from <= high {
                out.push((from, high));
            }
        }
        Self(out)
    }

    /// Whether every address of this is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.subtract(other).is_empty()
    }

    /// The fewest CIDRs that make it up, in address order.
    pub fn cidrs(&self, family: Family) -> Vec<String> {
        // A set may have tens of thousands: growing the list would cost more than counting first.
        let mut out = Vec::with_capacity(self.0.iter().map(|range| cidr_count(*range)).sum());
        for &(low, high) in &self.0 {
            let mut from = low;
            loop {
                let host = host_bits(from, high).min(bits(family));
                out.push(cidr_text(family, from, bits(family).saturating_sub(host)));
                match block_end(from, host).and_then(|end| end.checked_add(1)) {
                    Some(next) if next <= high => from = next,
                    _ => break,
                }
            }
        }
        out
    }
}

/// How many bits the host part of the largest network has that begins at an address and ends by another.
fn host_bits(from: u128, high: u128) -> u32 {
    let span = high.saturating_sub(from);
    match (u64::try_from(from), u64::try_from(span)) {
        // IPv4, and quicker.
        (Ok(from), Ok(span)) if from > 0 && span < u64::MAX => {
            from.trailing_zeros().min(span.saturating_add(1).ilog2())
        }
        _ => {
            let align = if from == 0 {
                128
            } else {
                from.trailing_zeros()
            };
            align.min(span.checked_add(1).map_or(128, u128::ilog2))
        }
    }
}

/// How many CIDRs make up a range: up to the widest boundary in it, and on from there, one for each bit
/// of the length.
fn cidr_count((low, high): AddressRange) -> usize {
    let ones = |length: u128| usize::try_from(length.count_ones()).unwrap_or(0);
    let Some(end) = high.checked_add(1) else {
        return ones(low.wrapping_neg()).max(1);
    };
    let boundary = (low ^ end)
        .checked_ilog2()
        .map_or(end, |bit| end >> bit << bit);
    ones(boundary.saturating_sub(low)) + ones(end.saturating_sub(boundary))
}

/// The last address of the block of `2^host` addresses at `from`.
fn block_end(from: u128, host: u32) -> Option<u128> {
    let size_less_one = if host >= 128 {
        u128::MAX
    } else {
        (1u128 << host).saturating_sub(1)
    };
    from.checked_add(size_less_one)
}

/// A network as text. A set may have thousands: IPv4 is written without the formatting machinery.
fn cidr_text(family: Family, address: u128, prefix: u32) -> String {
    match (family, u32::try_from(address)) {
        (Family::Ipv4, Ok(address)) => {
            let mut text = String::with_capacity("255.255.255.255/32".len());
            let [a, b, c, d] = address.to_be_bytes().map(u32::from);
            for (number, mark) in [(a, "."), (b, "."), (c, "."), (d, "/")] {
                push_decimal(&mut text, number);
                text.push_str(mark);
            }
            push_decimal(&mut text, prefix);
            text
        }
        _ => format!("{}/{prefix}", address_text(family, address)),
    }
}

/// A number below a thousand.
fn push_decimal(text: &mut String, number: u32) {
    let digit = |of: u32| char::from_digit(of % 10, 10).unwrap_or('?');
    if number >= 100 {
        text.push(digit(number / 100));
    }
    if number >= 10 {
        text.push(digit(number / 10));
    }
    text.push(digit(number));
}

/// An address as text.
pub fn address_text(family: Family, address: u128) -> String {
    match family {
        Family::Ipv4 => u32::try_from(address).map_or_else(
            |_| String::from("?"),
            |bits| Ipv4Addr::from(bits).to_string(),
        ),
        Family::Ipv6 => Ipv6Addr::from(address).to_string(),
    }
}

/// Reads an address of either family.
pub fn parse_address(text: &str) -> Option<(Family, u128)> {
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Some((Family::Ipv4, u128::from(u32::from(v4))));
    }
    text.parse::<Ipv6Addr>()
        .ok()
        .map(|v6| (Family::Ipv6, u128::from(v6)))
}

/// Reads a CIDR or a bare address of one family; host bits are dropped, a bare address is one
/// address. `None` for all else, a bare `0.0.0.0` or `::` too: one address or all?
pub fn parse_cidr(family: Family, text: &str) -> Option<AddressRange> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let bits_of = bits(family);
    let base = match family {
        Family::Ipv4 => u128::from(u32::from(address.parse::<Ipv4Addr>().ok()?)),
        Family::Ipv6 => u128::from(address.parse::<Ipv6Addr>().ok()?),
    };
    let prefix = match prefix {
        None if base == 0 => return None,
        None => bits_of,
        Some(digits) => parse_prefix(digits, bits_of)?,
    };
    let host_mask = if prefix == 0 {
        last_address(family)
    } else {
        network_size(family, prefix).saturating_sub(1)
    };
    let low = base & !host_mask;
    Some((low, low | host_mask))
}

/// Reads a CIDR or bare address of whichever family it is.
pub fn parse_any_cidr(text: &str) -> Option<(Family, AddressRange)> {
    let family = if text.contains(':') {
        Family::Ipv6
    } else {
        Family::Ipv4
    };
    Some((family, parse_cidr(family, text)?))
}

/// A prefix length: digits without sign or leading zero, at most the family's bits.
pub fn parse_prefix(digits: &str, bits: u32) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.is_empty()
        && (digits.len() == 1 || !digits.starts_with('0'));
    let prefix = if plain {
        digits.parse::<u32>().ok()?
    } else {
        return None;
    };
    (prefix <= bits).then_some(prefix)
}

/// A set of ports: sorted, disjoint, never adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Ports 1 to 65535.
    pub fn all() -> Self {
        Self(vec![(1, u16::MAX)])
    }

    /// The union of ranges in any order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = PortRange>) -> Self {
        let mut sorted: Vec<PortRange> = ranges
            .into_iter()
            .filter(|(low, high)| low <= high)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ports in both.
    pub fn intersect(&self, other: &Self) -> Self {
        Self::from_ranges(self.0.iter().flat_map(|&(low, high)| {
            other
                .0
                .iter()
                .map(move |&(from, to)| (low.max(from), high.min(to)))
        }))
    }

    /// Whether it holds that port.
    pub fn contains(&self, port: u16) -> bool {
        self.0
            .iter()
            .any(|(low, high)| *low <= port && port <= *high)
    }

    /// Whether it holds any port of a range.
    pub fn overlaps(&self, (low, high): PortRange) -> bool {
        self.0.iter().any(|(from, to)| low <= *to && *from <= high)
    }

    /// Ports 1 to 65535 that are not in it.
    pub fn complement(&self) -> Self {
        let mut out = Vec::new();
        let mut from: u16 = 1;
        for &(low, high) in &self.0 {
            if low > from {
                out.push((from, low.saturating_sub(1)));
            }
            match high.checked_add(1) {
                Some(next) => from = from.max(next),
                None => return Self(out),
            }
        }
        out.push((from, u16::MAX));
        Self(out)
    }
}

/// `22` or `20-25`
pub fn ports_text((low, high): PortRange) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low}-{high}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_are_read_as_the_page_says() {
        let v4 = |text| parse_cidr(Family::Ipv4, text);
        assert_eq!(
            v4("10.1.2.3/8"),
            Some((0x0a00_0000, 0x0aff_ffff)),
            "host bits dropped"
        );
        assert_eq!(
            v4("8.8.8.8"),
            Some((0x0808_0808, 0x0808_0808)),
            "a bare address is one"
        );
        assert_eq!(v4("0.0.0.0"), None, "one address or all?");
        assert_eq!(v4("0.0.0.0/0"), Some((0, 0xffff_ffff)));
        assert_eq!(v4("0.0.0.0/32"), Some((0, 0)));
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/08",
            "1.2.3.4/",
            "::/0",
            "01.2.3.4",
        ] {
            assert_eq!(v4(bad), None, "{bad}");
        }
        assert_eq!(parse_cidr(Family::Ipv6, "::/0"), Some((0, u128::MAX)));
        assert_eq!(parse_cidr(Family::Ipv6, "::"), None);
    }

    #[test]
    fn the_fewest_cidrs() {
        let set = AddressSet::from_ranges([(1, 6)]);
        assert_eq!(
            set.cidrs(Family::Ipv4),
            ["0.0.0.1/32", "0.0.0.2/31", "0.0.0.4/31", "0.0.0.6/32"]
        );
        assert_eq!(
            AddressSet::all(Family::Ipv4).cidrs(Family::Ipv4),
            ["0.0.0.0/0"]
        );
        assert_eq!(AddressSet::all(Family::Ipv6).cidrs(Family::Ipv6), ["::/0"]);
        let halves = AddressSet::from_ranges([(0x8000_0000, 0xffff_ffff), (0, 0x7fff_ffff)]);
        assert_eq!(halves.cidrs(Family::Ipv4), ["0.0.0.0/0"]);
    }

    #[test]
    fn their_number_is_known_beforehand() {
        let ends = [
            0,
            1,
            2,
            3,
            6,
            7,
            8,
            9,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
        ];
        for low in ends {
            for high in ends.into_iter().filter(|high| *high >= low) {
                for (family, top) in [(Family::Ipv4, 0), (Family::Ipv6, u128::MAX << 32)] {
                    let range = (low | top, high | top);
                    let set = AddressSet::from_ranges([range]);
                    assert_eq!(set.cidrs(family).len(), cidr_count(range), "{range:x?}");
                }
            }
        }
        assert_eq!(cidr_count((0, u128::MAX)), 1);
    }

    #[test]
    fn subtraction_at_the_edges() {
        let all = AddressSet::all(Family::Ipv6);
        assert!(all.subtract(&all).is_empty());
        let top = AddressSet::from_ranges([(u128::MAX, u128::MAX)]);
        assert_eq!(all.subtract(&top).ranges(), [(0, u128::MAX - 1)]);
        assert_eq!(top.subtract(&all), AddressSet::EMPTY);
        assert_eq!(
            PortSet::from_ranges([(1, 1), (65535, 65535)])
                .complement()
                .ranges(),
            [(2, 65534)]
        );
        assert!(PortSet::all().complement().is_empty());
    }
}
