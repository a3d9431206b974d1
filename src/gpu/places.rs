//! The places that slices can stand at, and sets of them as bit masks.
//!
//! A product has few places (25 on an A100, 30 on an RTX PRO 6000), so a set is one word: what
//! stands, what is pinned and what is in the way are compared in single instructions. Places are
//! numbered by start, then NVML enum, which is the order in which ties are broken everywhere.

use super::product::{Engines, Product, Profile};
use std::fmt;

/// One slice: a profile at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slice {
    /// First memory slice.
    pub start: u8,
    /// Index into [`super::Product::profiles`].
    pub profile: u8,
}

/// A place of a product by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u8);

impl PlaceId {
    /// The place of a number.
    ///
    /// # Panics
    /// From [`Places::MOST`] on.
    #[must_use]
    pub fn new(number: usize) -> PlaceId {
        assert!(number < Places::MOST, "place {number}");
        PlaceId(number as u8)
    }

    /// Its number.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Media engines in four lanes of a byte each, in the order of [`Engines::media`]. Each lane stays
/// below 128, so that lanes add and compare without a carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes(u32);

impl Lanes {
    /// More than any sum, where a product's engines are not known and limit nothing.
    pub(super) const UNLIMITED: Lanes = Lanes(0x7f7f_7f7f);

    pub(super) fn plus(self, other: Lanes) -> Lanes {
        Lanes(self.0 + other.0)
    }

    /// Whether no lane is above the other's.
    pub(super) fn within(self, limit: Lanes) -> bool {
        const HIGH: u32 = 0x8080_8080;
        // A lane that borrows clears its high bit.
        (limit.0 | HIGH).wrapping_sub(self.0) & HIGH == HIGH
    }

    /// The lanes.
    pub(super) fn each(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

/// The lanes of these engines.
pub(super) fn engine_lanes(engines: Engines) -> Lanes {
    Lanes(u32::from_le_bytes(engines.media().map(|(_, n)| n)))
}

/// A place of a product.
#[derive(Clone, Debug)]
pub struct Place {
    /// The slice that stands there.
    pub slice: Slice,
    /// Memory slices it takes, as bits.
    pub mask: u16,
    /// Places that overlap it, itself included.
    pub overlaps: Places,
    pub(super) engines: Lanes,
    /// Position among all places when larger profiles come first, then lower starts.
    pub(super) rank: u8,
}

impl Place {
    /// The places of these profiles, numbered.
    pub(super) fn all(profiles: &[Profile]) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for profile in profiles {
            // Up to 14 slices: shifts stay within 16 bits.
            let mask = (1_u16 << profile.memory_slices()) - 1;
            let engines = profile.engines().map_or(Lanes::default(), engine_lanes);
            places.extend(profile.starts().iter().map(|start| Place {
                slice: Slice { start: *start, profile: profile.index() },
                mask: mask << start,
                overlaps: Places::NONE,
                engines,
                rank: 0,
            }));
        }
        let of = |p: &Place| &profiles[usize::from(p.slice.profile)];
        places.sort_by_key(|p| (p.slice.start, of(p).nvml_enum()));
        let mut by_size: Vec<usize> = (0..places.len()).collect();
        by_size.sort_by_key(|i| (of(&places[*i]).size_order(), places[*i].slice.start));
        for (rank, place) in by_size.into_iter().enumerate() {
            places[place].rank = rank as u8;
        }
        let masks: Vec<u16> = places.iter().map(|p| p.mask).collect();
        for place in &mut places {
            let meets = |(i, mask): (usize, &u16)| (place.mask & mask != 0).then(|| PlaceId::new(i));
            place.overlaps = masks.iter().enumerate().filter_map(meets).collect();
        }
        places
    }
}

/// A set of places of one product.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Places(u64);

impl Places {
    /// No place.
    pub const NONE: Places = Places(0);

    /// Places that a product can have.
    pub const MOST: usize = 64;

    /// The set of one place.
    #[must_use]
    pub fn one(place: PlaceId) -> Places {
        Places(1 << place.0)
    }

    /// The set as a number: bit `i` for place `i`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many places it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether a place is in it.
    #[must_use]
    pub fn has(self, place: PlaceId) -> bool {
        self.0 >> place.0 & 1 == 1
    }

    /// The places of both.
    #[must_use]
    pub fn with(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    /// The places that are not in `other`.
    #[must_use]
    pub fn without(self, other: Places) -> Places {
        Places(self.0 & !other.0)
    }

    /// The places that are in both.
    #[must_use]
    pub fn and(self, other: Places) -> Places {
        Places(self.0 & other.0)
    }

    /// Whether every place is in `other`.
    #[must_use]
    pub fn within(self, other: Places) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether both have a place in common.
    #[must_use]
    pub fn meets(self, other: Places) -> bool {
        self.0 & other.0 != 0
    }

    /// Places by number.
    pub fn iter(self) -> impl Iterator<Item = PlaceId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let next = (left != 0).then(|| PlaceId(left.trailing_zeros() as u8))?;
            left &= left - 1;
            Some(next)
        })
    }

    /// A key that orders sets as lists of their places: smaller first places first, a list before
    /// its continuations.
    #[must_use]
    pub fn list_order(self) -> ListOrder {
        ListOrder(self.0)
    }
}

impl FromIterator<PlaceId> for Places {
    fn from_iter<I: IntoIterator<Item = PlaceId>>(places: I) -> Places {
        places.into_iter().fold(Places::NONE, |set, place| set.with(Places::one(place)))
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(PlaceId::index)).finish()
    }
}

/// A set of places ordered as the list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOrder(u64);

impl Ord for ListOrder {
    fn cmp(&self, other: &ListOrder) -> std::cmp::Ordering {
        let differ = self.0 ^ other.0;
        if differ == 0 {
            return std::cmp::Ordering::Equal;
        }
        // At the lowest place that only one has, that one is smaller, unless the other list has
        // ended there.
        let lowest = differ & differ.wrapping_neg();
        let above = !(lowest | (lowest - 1));
        let has = self.0 & lowest != 0;
        let goes_on = if has { other.0 } else { self.0 } & above != 0;
        if has == goes_on { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater }
    }
}

impl PartialOrd for ListOrder {
    fn partial_cmp(&self, other: &ListOrder) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A multiset of a product's profiles: how many of each, up to 15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Geometry(u64);

impl Geometry {
    /// No slice.
    pub const EMPTY: Geometry = Geometry(0);

    /// The multiset of these profiles. Counts stay at 15, which is more than any GPU holds.
    #[must_use]
    pub fn of(profiles: impl IntoIterator<Item = u8>) -> Geometry {
        profiles.into_iter().fold(Geometry::EMPTY, Geometry::plus)
    }

    /// How many of a profile.
    #[must_use]
    pub fn count(self, profile: u8) -> u8 {
        (self.0 >> (4 * profile) & 15) as u8
    }

    /// One more of a profile.
    #[must_use]
    pub fn plus(self, profile: u8) -> Geometry {
        if self.count(profile) == 15 { self } else { Geometry(self.0 + (1 << (4 * profile))) }
    }

    /// As people write it, larger profiles first: `3g.20gb + 2g.10gb + 1g.5gb x2`.
    #[must_use]
    pub fn describe(self, product: &Product) -> String {
        let mut counts: Vec<(u8, u8)> = self.counts().collect();
        counts.sort_by_key(|(profile, _)| product.at(*profile).size_order());
        let part = |(profile, n): &(u8, u8)| match n {
            1 => product.at(*profile).name().to_owned(),
            n => format!("{} x{n}", product.at(*profile).name()),
        };
        counts.iter().map(part).collect::<Vec<_>>().join(" + ")
    }

    /// How many slices.
    #[must_use]
    pub fn len(self) -> usize {
        (0..16).map(|p| usize::from(self.count(p))).sum()
    }

    /// Whether it has no slice.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has at least as many of every profile as `other`.
    #[must_use]
    pub fn covers(self, other: Geometry) -> bool {
        (0..16).all(|p| other.count(p) <= self.count(p))
    }

    /// What is left when `other` is taken off; `None` if some of it is not there.
    #[must_use]
    pub fn minus(self, other: Geometry) -> Option<Geometry> {
        self.covers(other).then(|| Geometry(self.0 - other.0))
    }

    /// Profiles with their counts, by index.
    pub fn counts(self) -> impl Iterator<Item = (u8, u8)> {
        (0..16).map(move |p| (p, self.count(p))).filter(|(_, n)| *n > 0)
    }

    /// Every slice's profile, by index.
    pub fn profiles(self) -> impl Iterator<Item = u8> {
        self.counts().flat_map(|(p, n)| std::iter::repeat_n(p, usize::from(n)))
    }
}
