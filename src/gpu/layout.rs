//! Sets of MIG slices that can exist together on one GPU.
//!
//! A set is legal if and only if each slice sits on a placement of its profile, no two overlap, and
//! the media engines suffice (NVIDIA's rules as `nvidia-smi mig -lgipp` and NVML state them; compute
//! slices never bind beyond these). Legal sets stay legal when a slice goes.

use super::places::{Geometry, Lanes, Place, PlaceId, Places, Slice, engine_lanes};
use super::product::{Product, Profile};
use std::fmt::Write as _;

/// A legal set of slices on one GPU of one product, as the set of their places. Orders as the list
/// of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout(Places);

/// Why slices cannot exist together. [`LayoutError::help`] says what could instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The product has no MIG.
    #[error("{product} has no MIG")]
    NotMig {
        /// Product id.
        product: String,
    },
    /// No such profile.
    #[error("{product} has no MIG profile `{text}`; it has {known}")]
    UnknownProfile {
        /// Product id.
        product: String,
        /// What was asked for.
        text: String,
        /// The product's profiles.
        known: String,
        /// The profile probably meant.
        suggestion: Option<String>,
    },
    /// The part after `@` is not a start of the profile.
    #[error("{profile} cannot start at `{start}` on {product}; it starts at {starts}")]
    IllegalStart {
        /// Product id.
        product: String,
        /// Profile name.
        profile: String,
        /// The start asked for.
        start: String,
        /// The starts it has.
        starts: String,
    },
    /// Two slices want one memory slice.
    #[error("{slice} overlaps {other}")]
    Overlap {
        /// The later slice, `profile@start`.
        slice: String,
        /// The earlier one.
        other: String,
    },
    /// Media engines are short.
    #[error("{slice} needs {needed} {engine} on {product}, of which {left} are left")]
    Engines {
        /// Product id.
        product: String,
        /// The slice that is too many, `profile@start`.
        slice: String,
        /// Kind of engine.
        engine: &'static str,
        /// How many it needs.
        needed: u8,
        /// How many the others leave.
        left: u8,
    },
    /// No placement fits a set of profiles.
    #[error("{product} has no room for {profile}{}", Beside(.beside))]
    NoRoom {
        /// Product id.
        product: String,
        /// The first profile, largest first, that does not fit.
        profile: String,
        /// The larger ones asked for, which do fit.
        beside: Vec<String>,
        /// What fits and is nearest to it, best first.
        nearest: Vec<Vec<String>>,
    },
}

impl LayoutError {
    /// What would be right, as a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            LayoutError::UnknownProfile { suggestion: Some(word), .. } => {
                Some(format!("did you mean `{word}`?"))
            }
            LayoutError::NoRoom { nearest, .. } if !nearest.is_empty() => {
                let lists: Vec<String> = nearest.iter().map(|n| format!("[{}]", n.join(", "))).collect();
                Some(format!("nearest that fit: {}", lists.join(" or ")))
            }
            _ => None,
        }
    }
}

/// ` beside …`, or nothing.
struct Beside<'a>(&'a [String]);

impl std::fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => Ok(()),
            others => write!(f, " beside {}", others.join(", ")),
        }
    }
}

impl Layout {
    /// The layout of these slices.
    ///
    /// # Errors
    /// The first slice, by start, that cannot be.
    ///
    /// # Panics
    /// If a profile index is not one of the product's.
    pub fn new(product: &Product, mut slices: Vec<Slice>) -> Result<Layout, LayoutError> {
        slices.sort_unstable();
        let mut room = Room::of(product);
        let mut places = Places::NONE;
        for (i, slice) in slices.iter().enumerate() {
            let profile = product.at(slice.profile);
            let Some(place) = product.place(slice.profile, slice.start) else {
                return Err(illegal_start(product, profile, &slice.start.to_string()));
            };
            room = room.take(product, place).ok_or_else(|| {
                let name = slice_name(product, *slice);
                let overlaps = product.places()[place.index()].overlaps;
                let other = |o: &&Slice| product.place(o.profile, o.start).is_some_and(|p| overlaps.has(p));
                match slices[..i].iter().find(other) {
                    Some(other) => LayoutError::Overlap { slice: name, other: slice_name(product, *other) },
                    None => room.lacks(product, place, name),
                }
            })?;
            places = places.with(Places::one(place));
        }
        Ok(Layout(places))
    }

    /// A layout that holds these profiles, each written as [`Product::resolve_profile`] reads it,
    /// with `@` and a start where the place is given: `3g.20gb@4`.
    ///
    /// Of all that fit it is the one with the lexicographically smallest starts, larger profiles
    /// first. The search is exact.
    ///
    /// # Errors
    /// A name or start that the product lacks; else the first profile, larger ones first, that does
    /// not fit beside those before it.
    pub fn place(product: &Product, names: &[impl AsRef<str>]) -> Result<Layout, LayoutError> {
        if !product.is_mig() {
            return Err(LayoutError::NotMig { product: product.id().to_owned() });
        }
        let mut wants = Vec::with_capacity(names.len());
        for name in names {
            wants.push(Want::parse(product, name.as_ref())?);
        }
        wants.sort_by_key(Want::key);
        let places = fit(product, &wants).ok_or_else(|| no_room(product, &wants))?;
        Ok(Layout(places))
    }

    /// The places of its slices.
    #[must_use]
    pub fn places(self) -> Places {
        self.0
    }

    /// How many slices it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether it is the empty GPU.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its slices by start.
    ///
    /// # Panics
    /// If the layout is another product's.
    #[must_use]
    pub fn slices(self, product: &Product) -> Vec<Slice> {
        self.0.iter().map(|p| product.places()[p.index()].slice).collect()
    }

    /// The multiset of its profiles.
    #[must_use]
    pub fn geometry(self, product: &Product) -> Geometry {
        Geometry::of(self.slices(product).iter().map(|s| s.profile))
    }

    /// As people write it: `1g.5gb@0 1g.5gb@1 3g.20gb@4`.
    #[must_use]
    pub fn describe(self, product: &Product) -> String {
        describe(self.0, product)
    }

    /// From places that are known to go together.
    pub(super) fn of_legal(places: Places) -> Layout {
        Layout(places)
    }
}

/// Slices as people write them: `1g.5gb@0 3g.20gb@4`.
#[must_use]
pub fn describe(places: Places, product: &Product) -> String {
    let name = |p: PlaceId| slice_name(product, product.places()[p.index()].slice);
    places.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn slice_name(product: &Product, slice: Slice) -> String {
    format!("{}@{}", product.profiles()[usize::from(slice.profile)].name(), slice.start)
}

/// What is left of a GPU: places and media engines.
#[derive(Clone, Copy, Debug)]
struct Room {
    blocked: Places,
    taken: Lanes,
    limit: Lanes,
}

impl Room {
    /// An empty GPU.
    fn of(product: &Product) -> Room {
        let limit = product.engines().map_or(Lanes::UNLIMITED, engine_lanes);
        Room { blocked: Places::NONE, taken: Lanes::default(), limit }
    }

    /// What is left after a slice stands at a place; `None` if it cannot.
    fn take(self, product: &Product, place: PlaceId) -> Option<Room> {
        let Place { overlaps, engines, .. } = product.places()[place.index()];
        let taken = self.taken.plus(engines);
        let stands = !self.blocked.has(place) && taken.within(self.limit);
        stands.then(|| Room { blocked: self.blocked.with(overlaps), taken, limit: self.limit })
    }

    /// The engine that a slice lacks here.
    fn lacks(self, product: &Product, place: PlaceId, slice: String) -> LayoutError {
        let needed = product.places()[place.index()].engines.each();
        let names = product.engines().expect("only known engines can lack").media();
        let (taken, limit) = (self.taken.each(), self.limit.each());
        let short = (0..4).find(|i| limit[*i] - taken[*i] < needed[*i]).expect("an engine lacks");
        LayoutError::Engines {
            product: product.id().to_owned(),
            slice,
            engine: names[short].0,
            needed: needed[short],
            left: limit[short] - taken[short],
        }
    }
}

/// One profile to place.
#[derive(Clone, Copy, Debug)]
struct Want<'a> {
    profile: &'a Profile,
    /// The start that was given.
    pinned: Option<u8>,
}

impl<'a> Want<'a> {
    fn parse(product: &'a Product, text: &str) -> Result<Want<'a>, LayoutError> {
        let (name, start) = match text.split_once('@') {
            Some((name, start)) => (name, Some(start.trim())),
            None => (text, None),
        };
        let profile = product.resolve_profile(name).ok_or_else(|| unknown_profile(product, name))?;
        let pinned = match start {
            None => None,
            Some(text) => {
                let legal = text.parse().ok().filter(|s| profile.starts().contains(s));
                Some(legal.ok_or_else(|| illegal_start(product, profile, text))?)
            }
        };
        Ok(Want { profile, pinned })
    }

    /// Larger first; equal profiles side by side, pinned ones before the others.
    fn key(&self) -> impl Ord + use<> {
        use std::cmp::Reverse;
        let Want { profile, pinned } = self;
        let size = (Reverse(profile.memory_slices()), Reverse(profile.compute_slices()), profile.index());
        (size, pinned.is_none(), *pinned)
    }

    fn name(&self) -> String {
        let mut name = self.profile.name().to_owned();
        if let Some(start) = self.pinned {
            write!(name, "@{start}").expect("writing to a string succeeds");
        }
        name
    }
}

/// Places for `wants`, which stand in the order of [`Want::key`].
fn fit(product: &Product, wants: &[Want<'_>]) -> Option<Places> {
    fn search(product: &Product, wants: &[Want<'_>], from: u8, room: Room, places: Places) -> Option<Places> {
        let Some((want, rest)) = wants.split_first() else { return Some(places) };
        let pinned = want.pinned.as_slice();
        let starts = if pinned.is_empty() { want.profile.starts() } else { pinned };
        for start in starts.iter().copied().filter(|s| want.pinned.is_some() || from <= *s) {
            let place = product.place(want.profile.index(), start).expect("a start of the profile");
            let Some(left) = room.take(product, place) else { continue };
            // The next of the same profile goes further right: orders of equals are one layout.
            let twin =
                |next: &Want<'_>| want.pinned.is_none() && next.profile.index() == want.profile.index();
            let next = if rest.first().is_some_and(twin) { start + 1 } else { 0 };
            let with = places.with(Places::one(place));
            if let Some(found) = search(product, rest, next, left, with) {
                return Some(found);
            }
        }
        None
    }
    search(product, wants, 0, Room::of(product), Places::NONE)
}

fn no_room(product: &Product, wants: &[Want<'_>]) -> LayoutError {
    let fitting = (1..=wants.len())
        .find(|n| fit(product, &wants[..*n]).is_none())
        .expect("a set that does not fit has a first prefix that does not")
        - 1;
    LayoutError::NoRoom {
        product: product.id().to_owned(),
        profile: wants[fitting].name(),
        beside: wants[..fitting].iter().map(Want::name).collect(),
        nearest: nearest_fits(product, wants),
    }
}

/// Up to three sets that fit: those that lose the fewest memory slices of what was wanted, then give
/// the most back in other sizes without taking more than was asked for. Given places are kept, as
/// long as they go together.
fn nearest_fits(product: &Product, wants: &[Want<'_>]) -> Vec<Vec<String>> {
    let states = product.states();
    let pinned: Vec<Want<'_>> = wants.iter().filter(|w| w.pinned.is_some()).copied().collect();
    let kept = fit(product, &pinned).unwrap_or(Places::NONE);
    let wanted = Geometry::of(wants.iter().map(|w| w.profile.index()));
    let size = |p: u8| u32::from(product.at(p).memory_slices());
    let usual = |g: &Geometry| g.counts().all(|(p, n)| n <= wanted.count(p) || product.at(p).is_plain());
    let lost_and_gained = |g: Geometry| {
        (0..product.profiles().len() as u8).fold((0, 0), |(lost, gained), p| {
            let (w, g) = (u32::from(wanted.count(p)), u32::from(g.count(p)));
            (lost + size(p) * w.saturating_sub(g), gained + size(p) * g.saturating_sub(w))
        })
    };
    let mut near: Vec<_> = states
        .geometries()
        .iter()
        .filter(|g| {
            usual(g) && states.with_geometry(**g).iter().any(|s| kept.within(states.layout(*s).places()))
        })
        .map(|g| (lost_and_gained(*g), *g))
        .filter(|((lost, gained), g)| gained <= lost && !g.is_empty())
        .map(|((lost, gained), g)| ((lost, std::cmp::Reverse(gained), g.len(), g), g))
        .collect();
    near.sort_unstable();
    let names = |g: Geometry| {
        let mut left: Vec<String> =
            if kept.is_empty() { Vec::new() } else { pinned.iter().map(Want::name).collect() };
        let stands = Geometry::of(kept.iter().map(|p| product.places()[p.index()].slice.profile));
        let rest = g.minus(stands).expect("the kept places are part of it");
        left.extend(states.by_size(rest).map(|p| product.at(p).name().to_owned()));
        left
    };
    let mut shown: Vec<Geometry> = Vec::new();
    for (_, g) in near {
        if shown.len() < 3 && !shown.iter().any(|better| better.covers(g)) {
            shown.push(g);
        }
    }
    shown.into_iter().map(names).collect()
}

fn unknown_profile(product: &Product, text: &str) -> LayoutError {
    LayoutError::UnknownProfile {
        product: product.id().to_owned(),
        text: text.to_owned(),
        known: product.profile_names(),
        suggestion: product.suggest_profile(text).map(str::to_owned),
    }
}

fn illegal_start(product: &Product, profile: &Profile, start: &str) -> LayoutError {
    let starts: Vec<_> = profile.starts().iter().map(u8::to_string).collect();
    LayoutError::IllegalStart {
        product: product.id().to_owned(),
        profile: profile.name().to_owned(),
        start: start.to_owned(),
        starts: starts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Catalogue;

    fn product(id: &str) -> &'static Product {
        Catalogue::builtin().find(id).expect("a product of the catalogue")
    }

    /// Places `wants` on `id`; the answer is the layout, or the message with its help.
    #[track_caller]
    fn check(id: &str, wants: &str, expected: &str) {
        let names: Vec<&str> = wants.split_whitespace().collect();
        let answer = match Layout::place(product(id), &names) {
            Ok(layout) => layout.describe(product(id)),
            Err(error) => match error.help() {
                Some(help) => format!("{error}; {help}"),
                None => error.to_string(),
            },
        };
        assert_eq!(answer, expected, "{wants}");
    }

    #[test]
    fn places_are_found() {
        check("a100-40gb", "", "");
        check("a100-40gb", "1g 1g 1g 1g 3g", "1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4");
        check("a100-40gb", "2g 2g 3g", "2g.10gb@0 2g.10gb@2 3g.20gb@4");
        check("a100-40gb", "3g 1g 1g 1g", "3g.20gb@0 1g.5gb@4 1g.5gb@5 1g.5gb@6");
        check("a100-40gb", "3g 4g", "4g.20gb@0 3g.20gb@4");
        check(
            "a100-40gb",
            "1g.10gb 1g 1g 1g 1g 1g 1g",
            "1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 1g.5gb@4 1g.5gb@5 1g.10gb@6",
        );
        check("a100-40gb", "1g 3g@4 1g@1", "1g.5gb@0 1g.5gb@1 3g.20gb@4");
        check(
            "rtx-pro-6000-blackwell-96gb",
            "1g.24gb+me.all 1g.24gb-me 2g.48gb-me",
            "2g.48gb-me@0 1g.24gb+me.all@6 1g.24gb-me@9",
        );
    }

    #[test]
    fn refusals_say_what_fits() {
        check("a100-40gb", "3g@2", "3g.20gb cannot start at `2` on a100-40gb; it starts at 0, 4");
        check("a100-40gb", "3g@x", "3g.20gb cannot start at `x` on a100-40gb; it starts at 0, 4");
        check(
            "a100-40gb",
            "4g 4g",
            "a100-40gb has no room for 4g.20gb beside 4g.20gb; nearest that fit: [4g.20gb, 3g.20gb] or \
             [4g.20gb, 2g.10gb, 1g.5gb] or [4g.20gb, 1g.5gb, 1g.5gb, 1g.5gb]",
        );
        check(
            "a100-40gb",
            "3g@0 1g 1g 1g 1g",
            "a100-40gb has no room for 1g.5gb beside 3g.20gb@0, 1g.5gb, 1g.5gb, 1g.5gb; \
             nearest that fit: [3g.20gb@0, 1g.5gb, 1g.5gb, 1g.5gb] or \
             [3g.20gb@0, 2g.10gb, 1g.5gb] or [3g.20gb@0, 3g.20gb]",
        );
        check(
            "a100-40gb",
            "1g.5gb+me 1g.5gb+me",
            "a100-40gb has no room for 1g.5gb+me beside 1g.5gb+me; nearest that fit: \
             [1g.5gb, 1g.5gb+me] or [2g.10gb] or [1g.5gb, 1g.5gb]",
        );
        check(
            "a30-24gb",
            "1g.6bg",
            "a30-24gb has no MIG profile `1g.6bg`; it has 1g.6gb, 1g.6gb+me, 2g.12gb, 2g.12gb+me, 4g.24gb; \
             did you mean `1g.6gb`?",
        );
        check("t4", "1g", "t4 has no MIG");
    }

    #[test]
    fn given_places_are_checked() {
        let a100 = product("a100-40gb");
        let index = |name: &str| a100.resolve_profile(name).expect("a profile of the A100").index();
        let slices = |list: &[(&str, u8)]| {
            Layout::new(
                a100,
                list.iter().map(|(p, start)| Slice { start: *start, profile: index(p) }).collect(),
            )
            .map(|l| l.describe(a100))
            .map_err(|e| e.to_string())
        };
        assert_eq!(slices(&[("3g", 4), ("1g", 3)]), Ok("1g.5gb@3 3g.20gb@4".to_owned()));
        assert_eq!(slices(&[("3g", 0), ("1g", 3)]), Err("1g.5gb@3 overlaps 3g.20gb@0".to_owned()));
        assert_eq!(
            slices(&[("1g", 7)]),
            Err("1g.5gb cannot start at `7` on a100-40gb; it starts at 0, 1, 2, 3, 4, 5, 6".to_owned())
        );
        let media = slices(&[("1g.5gb+me", 0), ("1g.5gb+me", 1)]);
        assert_eq!(media, Err("1g.5gb+me@1 needs 1 JPEG on a100-40gb, of which 0 are left".to_owned()));
    }

    /// The search against the enumeration: every geometry is found, nothing else is.
    #[test]
    fn placing_is_exact() {
        for id in ["a100-40gb", "a30-24gb", "rtx-pro-6000-blackwell-96gb", "thor-igpu"] {
            let product = product(id);
            for geometry in product.states().geometries() {
                for extra in product.profiles() {
                    let wanted = geometry.plus(extra.index());
                    let names: Vec<_> = wanted.profiles().map(|p| product.at(p).name()).collect();
                    let found = Layout::place(product, &names).map(|l| l.geometry(product));
                    let possible = !product.states().with_geometry(wanted).is_empty();
                    assert_eq!(found.ok(), possible.then_some(wanted), "{id}: {names:?}");
                }
            }
        }
    }

    /// The driver's printed maxima follow from the three rules.
    #[test]
    fn instance_counts_follow_from_the_rules() {
        let mut profiles = 0;
        for product in Catalogue::builtin() {
            for profile in product.profiles() {
                let copies = |n: u8| vec![profile.name(); usize::from(n)];
                let most = profile.max_instances();
                assert!(Layout::place(product, &copies(most)).is_ok(), "{} {}", product.id(), profile.name());
                assert!(
                    Layout::place(product, &copies(most + 1)).is_err(),
                    "{} {}",
                    product.id(),
                    profile.name()
                );
                profiles += 1;
            }
        }
        assert_eq!(profiles, 176);
    }
}
