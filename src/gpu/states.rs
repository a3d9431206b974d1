//! Every layout of a product, for counting, for oracles and for small exhaustive searches.

use super::layout::{Layout, Room, Slice};
use super::{Product, Profile};
use std::collections::BTreeSet;

/// Every legal layout of the profiles that `keep` lets through, the empty one first, in
/// lexicographic order of their slices. At most a few thousand on any known product.
pub fn states(product: &Product, keep: impl Fn(&Profile) -> bool) -> Vec<Layout> {
    let kept: Vec<&Profile> = product.profiles().iter().filter(|p| keep(p)).collect();
    let mut found = Vec::new();
    extend(product, &kept, 0, Room::of(product), &mut Vec::new(), &mut found);
    found
}

/// Adds the layouts that begin with `slices` and go on from memory slice `from`.
fn extend(
    product: &Product,
    kept: &[&Profile],
    from: u8,
    room: Room,
    slices: &mut Vec<Slice>,
    found: &mut Vec<Layout>,
) {
    found.push(Layout::of_legal(slices.clone()));
    for start in from..product.memory_slices() {
        for profile in kept.iter().filter(|p| p.starts().contains(&start)) {
            let Some(left) = room.take(profile, start) else { continue };
            slices.push(Slice { start, profile: profile.index() });
            extend(product, kept, start + profile.memory_slices(), left, slices, found);
            slices.pop();
        }
    }
}

/// How many layouts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Layouts, the empty one included.
    pub states: usize,
    /// Layouts to which no slice can be added.
    pub maximal_states: usize,
    /// Distinct multisets of profiles, the empty one included.
    pub geometries: usize,
    /// Multisets to which no profile can be added, wherever the others stand.
    pub maximal_geometries: usize,
}

/// Counts the layouts of the profiles that `keep` lets through.
pub fn counts(product: &Product, keep: impl Fn(&Profile) -> bool) -> Counts {
    let kept: Vec<&Profile> = product.profiles().iter().filter(|p| keep(p)).collect();
    let states = states(product, keep);
    let geometries: BTreeSet<Vec<u8>> = states.iter().map(Layout::geometry).collect();
    let grows = |geometry: &[u8]| {
        kept.iter().any(|p| {
            let mut larger = geometry.to_vec();
            larger.push(p.index());
            larger.sort_unstable();
            geometries.contains(&larger)
        })
    };
    Counts {
        states: states.len(),
        maximal_states: states.iter().filter(|s| is_maximal(product, &kept, s)).count(),
        geometries: geometries.len(),
        maximal_geometries: geometries.iter().filter(|g| !grows(g)).count(),
    }
}

fn is_maximal(product: &Product, kept: &[&Profile], layout: &Layout) -> bool {
    let stand = |room: Room, slice: &Slice| {
        room.take(&product.profiles()[usize::from(slice.profile)], slice.start).expect("a layout is legal")
    };
    let room = layout.slices().iter().fold(Room::of(product), stand);
    !kept.iter().any(|p| p.starts().iter().any(|s| room.take(p, *s).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Attribute, Catalogue};

    type Row = (usize, usize, usize, usize);

    /// Counts of the base, double-memory, media and full profile sets.
    #[track_caller]
    fn check(product: &Product, expected: [Row; 4]) {
        let sets: [fn(&Profile) -> bool; 4] = [
            Profile::is_plain,
            |p| p.attributes().is_empty(),
            |p| !p.attributes().contains(&Attribute::Graphics),
            |_| true,
        ];
        let row = |c: Counts| (c.states, c.maximal_states, c.geometries, c.maximal_geometries);
        assert_eq!(sets.map(|keep| row(counts(product, keep))), expected, "{}", product.id());
    }

    /// The numbers of an independent enumeration, and the hand check for the base profiles: 27
    /// fillings of the left half times 11 of the right, plus 7g, is 298.
    #[test]
    fn layouts_are_counted_as_elsewhere() {
        let eight = [(298, 19, 38, 12), (723, 78, 78, 28), (2319, 239, 128, 44), (2319, 239, 128, 44)];
        for product in Catalogue::builtin().iter().filter(|p| p.is_mig()) {
            let expected = match product.id() {
                "a30-24gb" => [(26, 5, 10, 4), (26, 5, 10, 4), (76, 17, 20, 8), (76, 17, 20, 8)],
                "rtx-pro-6000-blackwell-96gb" => {
                    [(26, 5, 10, 4), (26, 5, 10, 4), (304, 97, 57, 27), (717, 302, 115, 64)]
                }
                "rtx-pro-5000-blackwell-48gb" => {
                    [(5, 2, 4, 2), (5, 2, 4, 2), (20, 11, 12, 7), (30, 19, 18, 12)]
                }
                "rtx-pro-4500-blackwell-32gb" => [(5, 2, 4, 2), (5, 2, 4, 2), (14, 7, 9, 5), (22, 13, 14, 9)],
                "thor-igpu" => [(5, 2, 5, 2), (5, 2, 5, 2), (7, 3, 7, 3), (14, 8, 14, 8)],
                _ => eight,
            };
            check(product, expected);
        }
    }
}
