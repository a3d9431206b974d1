//! What the driver does when a slice is created without a place, and how it numbers instances.
//!
//! `nvmlDeviceCreateGpuInstance` and `nvidia-smi mig -cgi` leave the place to closed firmware. The
//! model here tries the starts of a profile in a fixed order and takes the first that fits. On
//! 8-slice GPUs the orders were fitted to creation sequences seen on real machines, all 18 of which
//! it reproduces; NVIDIA does not document them ([`confidence`]). Use it to foresee what
//! mig-parted, nos or `nvidia-smi` end up with; whoever creates with explicit places, largest first,
//! does not depend on it.

use super::places::PlaceId;
use super::product::{Confidence, Product};
use super::states::{State, States};

/// Starts of a slice of one memory slice, in the order in which they are tried.
const ONE: [u8; 7] = [6, 4, 5, 0, 1, 2, 3];
/// Starts of two memory slices; a plain 2g has no start at 6.
const TWO: [u8; 4] = [4, 0, 2, 6];
/// Starts of four; a 4g has none at 4.
const FOUR: [u8; 2] = [4, 0];

/// The driver's choice of places on one product.
#[derive(Clone, Debug)]
pub struct Driver<'a> {
    states: &'a States,
    /// Places of each profile, in the order in which they are tried.
    preference: Vec<Vec<PlaceId>>,
}

impl<'a> Driver<'a> {
    /// The driver of a product.
    #[must_use]
    pub fn new(product: &'a Product) -> Driver<'a> {
        let preference = |index: u8| {
            let profile = product.at(index);
            let fitted: &[u8] = match (product.memory_slices(), profile.memory_slices()) {
                (8, 1) => &ONE,
                (8, 2) => &TWO,
                (8, 4) => &FOUR,
                _ => &[],
            };
            let last = fitted.len();
            let mut starts = profile.starts().to_vec();
            starts.sort_by_key(|s| (fitted.iter().position(|f| f == s).unwrap_or(last), *s));
            starts.into_iter().filter_map(|s| product.place(index, s)).collect()
        };
        let profiles = product.profiles().iter().map(super::Profile::index);
        Driver { states: product.states(), preference: profiles.map(preference).collect() }
    }

    /// The product's layouts.
    #[must_use]
    pub fn states(&self) -> &'a States {
        self.states
    }

    /// Creates a slice of a profile where the driver wants it; `None` if it refuses.
    #[must_use]
    pub fn create(&self, state: State, profile: u8) -> Option<(State, PlaceId)> {
        let tried = self.preference[usize::from(profile)].iter();
        tried.filter_map(|p| self.states.create(state, *p).map(|after| (after, *p))).next()
    }

    /// Creates slices one after the other; `None` as soon as one is refused.
    #[must_use]
    pub fn create_all(&self, state: State, profiles: impl IntoIterator<Item = u8>) -> Option<State> {
        profiles.into_iter().try_fold(state, |state, profile| Some(self.create(state, profile)?.0))
    }
}

/// How far the model can be trusted on a product: sequences were seen on Ampere and Hopper parts
/// with eight memory slices and on the A30; elsewhere it is a guess.
#[must_use]
pub fn confidence(product: &Product) -> Confidence {
    let seen = matches!(product.architecture(), "Ampere" | "Hopper");
    if seen && product.is_mig() { Confidence::Medium } else { Confidence::Low }
}

/// How a board numbers its GPU instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Ids ascend with starts.
    Ordinary,
    /// The missing GPC lies in the other half, and the halves change places: seen on some A100 and
    /// H100 boards.
    Mirrored,
}

/// The id that the driver gives the instance at a place: a node of a binary tree, 0 for the whole
/// GPU, 1 and 2 for its halves, and so on. `None` where it is not known: GPUs of two or three memory
/// slices, and mirrored boards without eight.
///
/// For reading logs only: never infer a place from an id on a board that may be mirrored.
#[must_use]
pub fn instance_id(product: &Product, place: PlaceId, board: Board) -> Option<u32> {
    let slice = product.places()[place.index()].slice;
    let (slices, size) = (product.memory_slices(), product.at(slice.profile).memory_slices());
    let start = match board {
        Board::Ordinary => slice.start,
        Board::Mirrored if size == slices => slice.start,
        Board::Mirrored if slices == 8 => slice.start ^ 4,
        Board::Mirrored => return None,
    };
    if ![4, 8, 12].contains(&slices) || slices % size != 0 {
        return None;
    }
    let parts = slices / size;
    Some(u32::from(parts - 1 + start / size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Catalogue, Geometry, Profile};
    use std::collections::BTreeSet;

    fn product(id: &str) -> &'static Product {
        Catalogue::builtin().find(id).expect("a product of the catalogue")
    }

    /// Creates profiles, by their ids, on an empty GPU; the instance ids, `None` for a refusal.
    fn sequence(id: &str, board: Board, profile_ids: &[u32]) -> Vec<Option<u32>> {
        let product = product(id);
        let driver = Driver::new(product);
        let mut state = State::EMPTY;
        let mut ids = Vec::new();
        for profile_id in profile_ids {
            let profile = product.profiles().iter().find(|p| p.id() == Some(*profile_id));
            let created = driver.create(state, profile.expect("a profile of that id").index());
            state = created.map_or(state, |(after, _)| after);
            ids.push(created.and_then(|(_, place)| instance_id(product, place, board)));
        }
        ids
    }

    /// All creation sequences that were collected from real machines.
    #[test]
    fn observed_sequences_are_reproduced() {
        use Board::{Mirrored, Ordinary};
        let a100 = "a100-40gb";
        let seen: [(&str, Board, &[u32], &[u32]); 18] = [
            (a100, Ordinary, &[19, 19, 14, 9], &[13, 11, 3]),
            (a100, Ordinary, &[9, 19, 14, 19], &[2, 7, 4, 8]),
            (a100, Ordinary, &[14, 19, 19, 19, 19, 19], &[5, 13, 7, 8, 9, 10]),
            (a100, Ordinary, &[19, 14, 5], &[13, 5, 1]),
            (a100, Ordinary, &[9, 9], &[2, 1]),
            (a100, Ordinary, &[19, 19, 19, 19, 19, 19, 19], &[13, 11, 12, 7, 8, 9, 10]),
            (a100, Ordinary, &[9, 14, 19], &[2, 3, 9]),
            (a100, Ordinary, &[9, 14, 19, 19], &[2, 3, 9, 10]),
            (a100, Ordinary, &[14, 14, 14, 20], &[5, 3, 4, 13]),
            ("gh200-96gb", Ordinary, &[15, 15, 15], &[5, 3, 4]),
            ("h100-80gb-sxm", Ordinary, &[9, 14], &[2, 3]),
            (a100, Mirrored, &[9, 19, 14, 19], &[1, 11, 6, 12]),
            (a100, Mirrored, &[19, 19, 19, 19, 19, 19, 19], &[9, 7, 8, 11, 12, 13, 14]),
            (a100, Mirrored, &[9, 14, 19], &[1, 5, 13]),
            ("h100-94gb-nvl", Mirrored, &[9, 15, 19], &[1, 5, 13]),
            (a100, Mirrored, &[14, 14, 19], &[3, 5, 9]),
            (a100, Mirrored, &[9, 9], &[1, 2]),
            ("a30-24gb", Ordinary, &[14, 14, 5], &[3, 4, 2]),
        ];
        for (id, board, profiles, instances) in seen {
            let mut expected: Vec<Option<u32>> = instances.iter().copied().map(Some).collect();
            // What is missing at the end was refused.
            expected.resize(profiles.len(), None);
            assert_eq!(sequence(id, board, profiles), expected, "{id} {board:?} {profiles:?}");
        }
    }

    #[test]
    fn instance_ids_are_told_apart_and_unknown_ones_are_not_made_up() {
        for id in ["a100-40gb", "a30-24gb", "rtx-pro-6000-blackwell-96gb"] {
            let product = product(id);
            for state in product.states().iter() {
                let places: Vec<PlaceId> = product.states().layout(state).places().iter().collect();
                let ids: BTreeSet<Option<u32>> =
                    places.iter().map(|p| instance_id(product, *p, Board::Ordinary)).collect();
                assert!(ids.len() == places.len() && !ids.contains(&None), "{id}");
            }
        }
        let whole = |id: &str| PlaceId::new(product(id).places().len() - 1);
        assert_eq!(instance_id(product("a30-24gb"), PlaceId::new(0), Board::Mirrored), None);
        assert_eq!(instance_id(product("thor-igpu"), whole("thor-igpu"), Board::Ordinary), None);
    }

    /// Distinct orders in which a geometry can be created, and how many of them the driver
    /// completes.
    fn orders(driver: &Driver<'_>, geometry: Geometry) -> (usize, usize) {
        fn all(left: Geometry, order: &mut Vec<u8>, found: &mut Vec<Vec<u8>>) {
            if left.is_empty() {
                found.push(order.clone());
            }
            for (profile, _) in left.counts() {
                order.push(profile);
                all(left.minus(Geometry::EMPTY.plus(profile)).expect("counted"), order, found);
                order.pop();
            }
        }
        let mut found = Vec::new();
        all(geometry, &mut Vec::new(), &mut found);
        let done = |order: &&Vec<u8>| driver.create_all(State::EMPTY, order.iter().copied()).is_some();
        (found.len(), found.iter().filter(done).count())
    }

    fn by_compute(product: &Product, geometry: Geometry, larger_first: bool) -> Vec<u8> {
        let mut order: Vec<u8> = product.states().by_size(geometry).collect();
        if !larger_first {
            order.reverse();
        }
        order
    }

    /// Three geometries of the user guide's nineteen layouts depend on the order of creation, as
    /// its known issue says; largest first reaches whatever any order does.
    #[test]
    fn creation_order_matters_for_three_geometries() {
        let a100 = product("a100-40gb");
        let driver = Driver::new(a100);
        let states = a100.states();
        let base: Vec<u8> = a100.profiles().iter().filter(|p| p.is_plain()).map(Profile::index).collect();
        let full = |s: &State| base.iter().all(|p| !states.fits(*s, *p));
        let of_base = |s: &State| states.geometry(*s).counts().all(|(p, _)| base.contains(&p));
        let drawn: BTreeSet<Geometry> =
            states.iter().filter(of_base).filter(full).map(|s| states.geometry(s)).collect();
        assert_eq!(drawn.len(), 14);
        let mut depending = BTreeSet::new();
        for geometry in drawn {
            let (all, done) = orders(&driver, geometry);
            let reached = |larger_first| {
                driver.create_all(State::EMPTY, by_compute(a100, geometry, larger_first)).is_some()
            };
            assert!(reached(true));
            assert_eq!(reached(false), all == done);
            if done < all {
                depending.insert((done, all, geometry.len()));
            }
        }
        assert_eq!(depending, BTreeSet::from([(1, 3, 3), (1, 5, 5), (3, 12, 4)]));
    }

    /// Fourteen geometries need explicit places: a double-memory 1g must stand at 6.
    #[test]
    fn some_geometries_need_explicit_places() {
        for (id, out_of_reach) in
            [("a100-40gb", 14), ("a30-24gb", 0), ("h100-80gb-sxm", 14), ("rtx-pro-6000-blackwell-96gb", 0)]
        {
            let product = product(id);
            let driver = Driver::new(product);
            let mut never = 0;
            for geometry in product.states().geometries() {
                let reached = orders(&driver, *geometry).1 > 0;
                never += usize::from(!reached);
                let largest_first = by_compute(product, *geometry, true);
                assert_eq!(driver.create_all(State::EMPTY, largest_first).is_some(), reached, "{id}");
            }
            assert_eq!(never, out_of_reach, "{id}");
        }
    }
}
