//! What is left of the internet while rules take their part of it, one after another; and how much of
//! that lies in a network. Each question costs the logarithm of the number of borders, so that a
//! group of a thousand Drops and Accepts by turns stays cheap.

use super::set::{AddressRange, AddressSet};

/// Addresses that nobody has taken yet.
#[derive(Clone, Debug)]
pub(super) struct Left {
    /// Where each stretch begins that no range divides; it ends before the next.
    starts: Vec<u128>,
    /// How many addresses of the stretch were there at first.
    sizes: Vec<u128>,
    /// The first stretch from here on that may still be there; shortened when it is followed.
    next: Vec<usize>,
    /// Sums of what is left, as a binary indexed tree: entry `i` (from 1) has those of the `i & -i`
    /// stretches that end with it.
    sums: Vec<u128>,
}

impl Left {
    /// All of a set, to be divided by those ranges only.
    pub(super) fn new(net: &AddressSet, ranges: impl Iterator<Item = AddressRange>) -> Self {
        let mut starts: Vec<u128> = ranges
            .chain(net.ranges().iter().copied())
            .flat_map(|(low, high)| [Some(low), high.checked_add(1)])
            .flatten()
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let ends = starts
            .iter()
            .skip(1)
            .map(|start| start.saturating_sub(1))
            .chain([u128::MAX]);
        let sizes: Vec<u128> = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| net.count_within((*start, end)))
            .collect();
        let mut sums = vec![0; sizes.len().saturating_add(1)];
        for (at, size) in (1..).zip(&sizes) {
            add(&mut sums, at, *size);
            let (sum, above) = (sums.get(at).copied(), parent(at));
            if let (Some(sum), true) = (sum, above < sums.len()) {
                add(&mut sums, above, sum);
            }
        }
        Self {
            next: (0..=starts.len()).collect(),
            starts,
            sizes,
            sums,
        }
    }

    /// Takes a range out. It must be one of those that divide the set.
    pub(super) fn take(&mut self, (low, high): AddressRange) {
        let end = self.after(high);
        let mut at = self.first_from(self.before(low));
        while at < end {
            let size = self.sizes.get(at).copied().unwrap_or(0);
            let mut of = at.saturating_add(1);
            while of < self.sums.len() {
                if let Some(sum) = self.sums.get_mut(of) {
                    *sum = sum.saturating_sub(size);
                }
                of = parent(of);
            }
            if let Some(next) = self.next.get_mut(at) {
                *next = at.saturating_add(1);
            }
            at = self.first_from(at);
        }
    }

    /// How many addresses of a range are left. It must be one of those that divide the set.
    pub(super) fn count(&self, (low, high): AddressRange) -> u128 {
        self.sum(self.after(high))
            .saturating_sub(self.sum(self.before(low)))
    }

    /// What is left in the first so many stretches.
    fn sum(&self, stretches: usize) -> u128 {
        let (mut at, mut sum) = (stretches, 0u128);
        while at > 0 {
            sum = sum.saturating_add(self.sums.get(at).copied().unwrap_or(0));
            at &= at.saturating_sub(1);
        }
        sum
    }

    /// Stretches that begin before an address.
    fn before(&self, address: u128) -> usize {
        self.starts.partition_point(|start| *start < address)
    }

    /// Stretches that begin at an address or before.
    fn after(&self, address: u128) -> usize {
        self.starts.partition_point(|start| *start <= address)
    }

    /// The first stretch from this on that may be left.
    fn first_from(&mut self, from: usize) -> usize {
        let mut at = from;
        while let Some(next) = self.next.get(at).copied().filter(|next| *next != at) {
            // Halves the way for whoever comes after.
            let further = self.next.get(next).copied().unwrap_or(next);
            if let Some(slot) = self.next.get_mut(at) {
                *slot = further;
            }
            at = further;
        }
        at
    }
}

/// The next entry whose stretches include those of this one.
fn parent(at: usize) -> usize {
    at.saturating_add(at & at.wrapping_neg())
}

fn add(sums: &mut [u128], at: usize, size: u128) {
    if let Some(sum) = sums.get_mut(at) {
        // No internet has 2^126 addresses.
        *sum = sum.saturating_add(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_are_those_of_the_sets(
            ranges in prop::collection::vec((0u128..40, 0u128..40, any::<bool>()), 1..12),
            net in prop::collection::vec((0u128..40, 0u128..40), 0..4),
        ) {
            let ordered = |(a, b): (u128, u128)| (a.min(b), a.max(b));
            let mut set = AddressSet::from_ranges(net.into_iter().map(ordered));
            let steps: Vec<_> = ranges.iter().map(|(a, b, take)| (ordered((*a, *b)), *take)).collect();
            let mut left = Left::new(&set, steps.iter().map(|(range, _)| *range));
            for (range, take) in steps {
                prop_assert_eq!(left.count(range), set.count_within(range));
                if take {
                    left.take(range);
                    set = set.subtract(&AddressSet::from_ranges([range]));
                }
            }
        }
    }

    #[test]
    fn the_last_address_has_no_next() {
        let all = (0, u128::MAX);
        let top = (u128::MAX, u128::MAX);
        let net = AddressSet::from_ranges([(u128::MAX - 9, u128::MAX)]);
        let mut left = Left::new(&net, [all, top].into_iter());
        assert_eq!((left.count(all), left.count(top)), (10, 1));
        left.take(top);
        assert_eq!((left.count(all), left.count(top)), (9, 0));
        left.take(all);
        assert_eq!(left.count(all), 0);
    }
}
