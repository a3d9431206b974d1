//! The order in which pods are placed: Go's stable sort under nos' comparison.
//!
//! internal/partitioning/core/util.go. The comparison is not an order: a pod without slices equals
//! every other, and two MIG profiles may each be smaller than the other. What comes out then depends
//! on which pairs are compared, so the algorithm is Go's (`sort.SliceStable`): insertion sort of
//! blocks, merged pairwise by rotations.

use super::choice::{Choices, Free};
use super::names::Kind;
use super::resources::Names;
use crate::id::ResourceId;

/// Elements of a block that is sorted by insertion.
const BLOCK: usize = 20;

/// What a comparison looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// `spec.priority`.
    pub priority: i32,
    /// Profiles of the slices asked for, by name.
    pub slices: &'a [(ResourceId, i64)],
}

/// Whether pod `x` goes before pod `y`: higher priority, then the smaller profile. Of a pod with
/// several profiles one is looked at, whichever (N5).
pub(super) fn less(x: &Key<'_>, y: &Key<'_>, kind: Kind, names: &Names, choices: &mut dyn Choices) -> bool {
    if x.priority != y.priority {
        return y.priority < x.priority;
    }
    let (Some((first_x, _)), Some((first_y, _))) = (x.slices.first(), y.slices.first()) else {
        return false;
    };
    let by_default = names.smaller(kind, *first_x, *first_y);
    if x.slices.len() == 1 && y.slices.len() == 1 {
        return by_default;
    }
    let mut pairs = x.slices.iter().flat_map(|(a, _)| y.slices.iter().map(move |(b, _)| (*a, *b)));
    let both = pairs.any(|(a, b)| names.smaller(kind, a, b) != by_default);
    // Only whether it is smaller matters, not for which pair.
    if both && choices.pick(Free::Comparison, 2) == 1 { !by_default } else { by_default }
}

/// Sorts as Go's `sort.SliceStable` does, comparison by comparison.
pub fn go_stable_sort<T>(items: &mut [T], mut less: impl FnMut(&T, &T) -> bool) {
    for block in items.chunks_mut(BLOCK) {
        for i in 1..block.len() {
            let mut j = i;
            while 0 < j && less(&block[j], &block[j - 1]) {
                block.swap(j, j - 1);
                j -= 1;
            }
        }
    }
    let mut width = BLOCK;
    while width < items.len() {
        for pair in items.chunks_mut(2 * width) {
            if width < pair.len() {
                merge(pair, width, &mut less);
            }
        }
        width *= 2;
    }
}

/// Merges the sorted runs before and after `middle` in place.
fn merge<T>(items: &mut [T], middle: usize, less: &mut impl FnMut(&T, &T) -> bool) {
    let end = items.len();
    if middle == 1 {
        let k = first_in(1, end, |k| !less(&items[k], &items[0]));
        items[..k].rotate_left(1);
        return;
    }
    if end - middle == 1 {
        let k = first_in(0, middle, |k| less(&items[middle], &items[k]));
        items[k..].rotate_right(1);
        return;
    }
    let center = end / 2;
    let total = center + middle;
    let (from, to) = if center < middle { (total - end, center) } else { (0, middle) };
    let start = first_in(from, to, |k| less(&items[total - 1 - k], &items[k]));
    let stop = total - start;
    if start < middle && middle < stop {
        items[start..stop].rotate_left(middle - start);
    }
    let (left, right) = items.split_at_mut(center);
    if 0 < start && start < center {
        merge(left, start, less);
    }
    if center < stop && stop < end {
        merge(right, stop - center, less);
    }
}

/// The first of `from..to` for which `holds`, by bisection, or `to`.
fn first_in(mut from: usize, mut to: usize, mut holds: impl FnMut(usize) -> bool) -> usize {
    while from < to {
        let middle = from.midpoint(to);
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn under_a_true_order_it_is_a_stable_sort() {
        let mut stream = Stream::new(1, "order", 0);
        for n in 0..200 {
            let items: Vec<(u64, u64)> = (0..n).map(|i| (stream.below(7), i)).collect();
            let (mut ours, mut std) = (items.clone(), items);
            go_stable_sort(&mut ours, |a, b| a.0 < b.0);
            std.sort_by_key(|item| item.0);
            assert_eq!(ours, std);
        }
    }

    /// Go merges ranges of one array; here a merge is handed its part, which moves every probe alike.
    #[test]
    fn a_merge_of_a_part_probes_what_go_probes() {
        fn go(data: &mut [u32], a: usize, m: usize, b: usize, less: &mut impl FnMut(u32, u32) -> bool) {
            if m - a == 1 {
                let (mut i, mut j) = (m, b);
                while i < j {
                    let h = (i + j) / 2;
                    if less(data[h], data[a]) { i = h + 1 } else { j = h }
                }
                data[a..i].rotate_left(1);
                return;
            }
            if b - m == 1 {
                let (mut i, mut j) = (a, m);
                while i < j {
                    let h = (i + j) / 2;
                    if less(data[m], data[h]) { j = h } else { i = h + 1 }
                }
                data[i..=m].rotate_right(1);
                return;
            }
            let mid = (a + b) / 2;
            let n = mid + m;
            let (mut start, mut r) = if mid < m { (n - b, mid) } else { (a, m) };
            while start < r {
                let c = (start + r) / 2;
                if less(data[n - 1 - c], data[c]) { r = c } else { start = c + 1 }
            }
            let end = n - start;
            if start < m && m < end {
                data[start..end].rotate_left(m - start);
            }
            if a < start && start < mid {
                go(data, a, start, mid, less);
            }
            if mid < end && end < b {
                go(data, mid, end, b, less);
            }
        }
        // No order at all: what comes out is the algorithm.
        let mut wild = |a: u32, b: u32| (a.wrapping_mul(2_654_435_761) ^ b.wrapping_mul(40_503)) & 8 != 0;
        for n in 2..400_usize {
            let items: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(7_919) % 1_009).collect();
            let mut ours = items.clone();
            go_stable_sort(&mut ours, |a, b| wild(*a, *b));
            let mut expected = items;
            for block in expected.chunks_mut(BLOCK) {
                for i in 1..block.len() {
                    let mut j = i;
                    while 0 < j && wild(block[j], block[j - 1]) {
                        block.swap(j, j - 1);
                        j -= 1;
                    }
                }
            }
            let mut width = BLOCK;
            while width < n {
                let mut a = 0;
                while a + width < n {
                    go(&mut expected, a, a + width, (a + 2 * width).min(n), &mut wild);
                    a += 2 * width;
                }
                width *= 2;
            }
            assert_eq!(ours, expected, "{n}");
        }
    }
}
