//! Every layout that a product can hold, in tables: what a hot path asks is one lookup.
//!
//! An A100 has 2,319 layouts of its seven profiles. They are enumerated once, numbered, and the
//! number of the layout after each create and destroy is stored, so that a simulated GPU is two
//! bytes and never searches. The same tables hold, for each geometry, the layouts that have it:
//! planning (see [`super::plan`]) walks those alone.

use super::layout::Layout;
use super::places::{Geometry, Lanes, Place, PlaceId, Places, Slice, engine_lanes};
use super::product::{Attribute, Product, Profile};
use std::collections::{BTreeMap, BTreeSet};

/// Marks what cannot be done in a table of states.
const NONE: u16 = u16::MAX;

/// Marks a state in which no profile fits.
const NO_PROFILE: u8 = u8::MAX;

/// A layout of a product by its number; 0 is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(u16);

impl State {
    /// The empty GPU.
    pub const EMPTY: State = State(0);

    /// Its number.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Profiles that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSet {
    /// The ordinary profile of each size.
    Base,
    /// Those and the double-memory 1g: all without attributes.
    DoubleMemory,
    /// All but graphics.
    Media,
    /// All.
    All,
}

impl ProfileSet {
    /// The sets with the names that scripts use.
    pub const NAMED: [(&str, ProfileSet); 4] = [
        ("base", ProfileSet::Base),
        ("double_memory", ProfileSet::DoubleMemory),
        ("media", ProfileSet::Media),
        ("all", ProfileSet::All),
    ];

    /// Whether a profile is in the set.
    #[must_use]
    pub fn contains(self, profile: &Profile) -> bool {
        match self {
            ProfileSet::Base => profile.is_plain(),
            ProfileSet::DoubleMemory => profile.attributes().is_empty(),
            ProfileSet::Media => !profile.attributes().contains(&Attribute::Graphics),
            ProfileSet::All => true,
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

/// Every layout of one product.
#[derive(Clone, Debug)]
pub struct States {
    profiles: usize,
    places: Vec<Place>,
    /// Profiles by index, larger ones first.
    by_size: Vec<u8>,
    /// Engines of the whole GPU.
    pub(super) limit: Lanes,
    layouts: Vec<Places>,
    /// Layouts with their state, ascending by bits.
    by_layout: Vec<(u64, u16)>,
    /// The state after the slice of a place comes or goes, by state and place.
    toggled: Vec<u16>,
    /// Free starts as bits, by state and profile.
    free: Vec<u16>,
    /// How many more of a profile fit, by state and profile.
    more: Vec<u8>,
    /// Largest profile that fits, by state.
    largest: Vec<u8>,
    /// Memory slices taken, by state.
    taken: Vec<u16>,
    /// Places that overlap the layout, its own included, by state.
    blocked: Vec<Places>,
    /// Engines taken, by state.
    engines: Vec<Lanes>,
    geometries: Vec<Geometry>,
    /// Position in `geometries`, by state.
    geometry: Vec<u16>,
    /// States by geometry; those of geometry `g` stand at `groups[g]..groups[g + 1]`.
    grouped: Vec<State>,
    groups: Vec<u32>,
}

impl States {
    /// Enumerates a product's layouts.
    ///
    /// # Panics
    /// From 65,535 layouts on, which [`super::Catalogue`] refuses.
    pub(super) fn of(product: &Product) -> States {
        let layouts = enumerate(product, usize::from(NONE)).expect("the catalogue refuses more layouts");
        let places = product.places().to_vec();
        let profiles = product.profiles();
        let mut by_layout: Vec<(u64, u16)> =
            layouts.iter().enumerate().map(|(i, l)| (l.bits(), i as u16)).collect();
        by_layout.sort_unstable();
        let number = |layout: Places| {
            by_layout.binary_search_by_key(&layout.bits(), |(bits, _)| *bits).ok().map(|i| by_layout[i].1)
        };
        let by_size = {
            let mut order: Vec<&Profile> = profiles.iter().collect();
            order.sort_by_key(|p| p.size_order());
            order.iter().map(|p| p.index()).collect::<Vec<u8>>()
        };
        let mut states = States {
            profiles: profiles.len(),
            by_size,
            limit: product.engines().map_or(Lanes::UNLIMITED, engine_lanes),
            toggled: vec![NONE; layouts.len() * places.len()],
            free: vec![0; layouts.len() * profiles.len()],
            more: vec![0; layouts.len() * profiles.len()],
            largest: vec![NO_PROFILE; layouts.len()],
            taken: Vec::with_capacity(layouts.len()),
            blocked: Vec::with_capacity(layouts.len()),
            engines: Vec::with_capacity(layouts.len()),
            geometries: Vec::new(),
            geometry: Vec::new(),
            grouped: Vec::new(),
            groups: Vec::new(),
            places,
            layouts: Vec::new(),
            by_layout: Vec::new(),
        };
        for (i, layout) in layouts.iter().enumerate() {
            let of = |place: PlaceId| &states.places[place.index()];
            states.taken.push(layout.iter().fold(0, |mask, p| mask | of(p).mask));
            states.blocked.push(layout.iter().fold(Places::NONE, |all, p| all.with(of(p).overlaps)));
            states.engines.push(layout.iter().fold(Lanes::default(), |sum, p| sum.plus(of(p).engines)));
            for (number_of_place, place) in states.places.iter().enumerate() {
                let id = PlaceId::new(number_of_place);
                let one = Places::one(id);
                let after = if layout.has(id) { layout.without(one) } else { layout.with(one) };
                let Some(after) = number(after) else { continue };
                states.toggled[i * states.places.len() + number_of_place] = after;
                if !layout.has(id) {
                    let Slice { start, profile } = place.slice;
                    states.free[i * profiles.len() + usize::from(profile)] |= 1 << start;
                }
            }
            let fits = |p: &&u8| states.free[i * profiles.len() + usize::from(**p)] != 0;
            states.largest[i] = states.by_size.iter().find(fits).copied().unwrap_or(NO_PROFILE);
        }
        states.count_more(&layouts);
        states.group(&layouts);
        states.layouts = layouts;
        states.by_layout = by_layout;
        states
    }

    /// Fills `more`: fuller layouts first, since what fits into one is one more than what fits once
    /// it is fuller.
    fn count_more(&mut self, layouts: &[Places]) {
        let mut order: Vec<usize> = (0..layouts.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(layouts[*i].len()));
        for i in order {
            for (number, place) in self.places.iter().enumerate() {
                let after = self.toggled[i * self.places.len() + number];
                if after != NONE && !layouts[i].has(PlaceId::new(number)) {
                    let profile = usize::from(place.slice.profile);
                    let more = 1 + self.more[usize::from(after) * self.profiles + profile];
                    let here = &mut self.more[i * self.profiles + profile];
                    *here = more.max(*here);
                }
            }
        }
    }

    /// Fills the tables of geometries.
    fn group(&mut self, layouts: &[Places]) {
        let profile = |place: PlaceId| self.places[place.index()].slice.profile;
        let mut groups: BTreeMap<Geometry, Vec<State>> = BTreeMap::new();
        for (i, layout) in layouts.iter().enumerate() {
            groups.entry(Geometry::of(layout.iter().map(profile))).or_default().push(State(i as u16));
        }
        self.geometry = vec![0; layouts.len()];
        self.groups.push(0);
        for (number, (geometry, states)) in groups.into_iter().enumerate() {
            self.geometries.push(geometry);
            states.iter().for_each(|s| self.geometry[s.index()] = number as u16);
            self.grouped.extend(states);
            self.groups.push(self.grouped.len() as u32);
        }
    }

    /// How many states there are; they are numbered from 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layouts.len()
    }

    /// Never: the empty layout is one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Every state: the empty one first, then by the slices from the lowest start on.
    pub fn iter(&self) -> impl Iterator<Item = State> + use<> {
        (0..self.layouts.len()).map(|i| State(i as u16))
    }

    /// The layout of a state.
    #[must_use]
    pub fn layout(&self, state: State) -> Layout {
        Layout::of_legal(self.layouts[state.index()])
    }

    /// The state of a set of places; `None` if they cannot stand together.
    #[must_use]
    pub fn find(&self, places: Places) -> Option<State> {
        let found = self.by_layout.binary_search_by_key(&places.bits(), |(bits, _)| *bits);
        found.ok().map(|i| State(self.by_layout[i].1))
    }

    /// The state of a layout of this product.
    ///
    /// # Panics
    /// If the layout is another product's.
    #[must_use]
    pub fn state(&self, layout: Layout) -> State {
        self.find(layout.places()).expect("a layout of this product")
    }

    /// Every place, by number.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// A place by its number.
    #[must_use]
    pub fn place(&self, place: PlaceId) -> &Place {
        &self.places[place.index()]
    }

    /// The state once a slice stands at a place; `None` if it cannot.
    #[must_use]
    pub fn create(&self, state: State, place: PlaceId) -> Option<State> {
        let after = self.toggled[state.index() * self.places.len() + place.index()];
        (after != NONE && !self.layouts[state.index()].has(place)).then_some(State(after))
    }

    /// The state once the slice of a place is gone; `None` if none stands there.
    #[must_use]
    pub fn destroy(&self, state: State, place: PlaceId) -> Option<State> {
        let after = self.toggled[state.index() * self.places.len() + place.index()];
        self.layouts[state.index()].has(place).then_some(State(after))
    }

    /// Memory slices at which a slice of a profile can be created now, as bits.
    #[must_use]
    pub fn free_starts(&self, state: State, profile: u8) -> u16 {
        self.free[state.index() * self.profiles + usize::from(profile)]
    }

    /// Whether a slice of a profile can be created now.
    #[must_use]
    pub fn fits(&self, state: State, profile: u8) -> bool {
        self.free_starts(state, profile) != 0
    }

    /// The largest profile that fits: most compute slices, then most memory slices, then the lowest
    /// NVML enum.
    #[must_use]
    pub fn largest_free(&self, state: State) -> Option<u8> {
        Some(self.largest[state.index()]).filter(|p| *p != NO_PROFILE)
    }

    /// How many more slices of a profile fit, placed as well as can be.
    #[must_use]
    pub fn more(&self, state: State, profile: u8) -> u8 {
        self.more[state.index() * self.profiles + usize::from(profile)]
    }

    /// Memory slices taken, as bits.
    #[must_use]
    pub fn taken(&self, state: State) -> u16 {
        self.taken[state.index()]
    }

    /// Places that overlap the layout, its own included.
    #[must_use]
    pub(super) fn blocked(&self, state: State) -> Places {
        self.blocked[state.index()]
    }

    /// Engines that the layout takes.
    pub(super) fn engines(&self, state: State) -> Lanes {
        self.engines[state.index()]
    }

    /// The multiset of a state's profiles.
    #[must_use]
    pub fn geometry(&self, state: State) -> Geometry {
        self.geometries[usize::from(self.geometry[state.index()])]
    }

    /// Every geometry that some layout has, ascending.
    #[must_use]
    pub fn geometries(&self) -> &[Geometry] {
        &self.geometries
    }

    /// The layouts of a geometry, in the order of states; none if it is impossible.
    #[must_use]
    pub fn with_geometry(&self, geometry: Geometry) -> &[State] {
        match self.geometries.binary_search(&geometry) {
            Ok(g) => &self.grouped[self.groups[g] as usize..self.groups[g + 1] as usize],
            Err(_) => &[],
        }
    }

    /// Every slice's profile, larger ones first (see [`Profile::size_order`]).
    pub fn by_size(&self, geometry: Geometry) -> impl Iterator<Item = u8> {
        let count = move |p: u8| usize::from(geometry.count(p));
        self.by_size.iter().flat_map(move |p| std::iter::repeat_n(*p, count(*p)))
    }

    /// Counts the layouts of some profiles, by index.
    #[must_use]
    pub fn counts(&self, profiles: &[u8]) -> Counts {
        let kept: Places = (0..self.places.len())
            .filter(|p| profiles.contains(&self.places[*p].slice.profile))
            .map(PlaceId::new)
            .collect();
        let states = || self.iter().filter(|s| self.layouts[s.index()].within(kept));
        let full = |s: &State| profiles.iter().all(|p| !self.fits(*s, *p));
        let geometries: BTreeSet<Geometry> = states().map(|s| self.geometry(s)).collect();
        let grows = |g: &&Geometry| profiles.iter().any(|p| geometries.contains(&g.plus(*p)));
        Counts {
            states: states().count(),
            maximal_states: states().filter(full).count(),
            geometries: geometries.len(),
            maximal_geometries: geometries.len() - geometries.iter().filter(grows).count(),
        }
    }

    /// Geometries of some profiles, by index, to which none of these can be added.
    #[must_use]
    pub fn maximal_geometries(&self, profiles: &[u8]) -> Vec<Geometry> {
        let of_these = |g: &Geometry| g.counts().all(|(p, _)| profiles.contains(&p));
        let grows = |g: Geometry| profiles.iter().any(|p| !self.with_geometry(g.plus(*p)).is_empty());
        self.geometries.iter().copied().filter(|g| of_these(g) && !grows(*g)).collect()
    }
}

/// Every legal set of places, the empty one first, then in the order of their lists; `None` if there
/// are `most` or more.
pub(super) fn enumerate(product: &Product, most: usize) -> Option<Vec<Places>> {
    let limit = product.engines().map_or(Lanes::UNLIMITED, engine_lanes);
    let mut found = Vec::new();
    extend(product.places(), 0, Places::NONE, Places::NONE, (Lanes::default(), limit), most, &mut found)
        .then_some(found)
}

/// Adds `layout` and what it becomes with places from number `from` on. Whether there is room for
/// all of them.
fn extend(
    places: &[Place],
    from: usize,
    layout: Places,
    blocked: Places,
    (engines, limit): (Lanes, Lanes),
    most: usize,
    found: &mut Vec<Places>,
) -> bool {
    found.push(layout);
    if most <= found.len() {
        return false;
    }
    for number in from..places.len() {
        let (id, place) = (PlaceId::new(number), &places[number]);
        let engines = engines.plus(place.engines);
        if blocked.has(id) || !engines.within(limit) {
            continue;
        }
        let (layout, blocked) = (layout.with(Places::one(id)), blocked.with(place.overlaps));
        if !extend(places, number + 1, layout, blocked, (engines, limit), most, found) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Catalogue;

    type Row = (usize, usize, usize, usize);

    /// Counts of the base, double-memory, media and full profile sets.
    #[track_caller]
    fn check(product: &Product, expected: [Row; 4]) {
        let row = |(_, set): (&str, ProfileSet)| {
            let c = product.counts(set);
            (c.states, c.maximal_states, c.geometries, c.maximal_geometries)
        };
        assert_eq!(ProfileSet::NAMED.map(row), expected, "{}", product.id());
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

    /// The user guide's drawing of an A100: left half times right half, and the whole.
    #[test]
    fn the_user_guides_nineteen_layouts_are_the_maximal_ones() {
        let a100 = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        let mut drawn = BTreeSet::from(["7g@0".to_owned()]);
        for left in ["4g@0", "3g@0", "2g@0 2g@2", "2g@0 1g@2 1g@3", "1g@0 1g@1 2g@2", "1g@0 1g@1 1g@2 1g@3"] {
            for right in ["3g@4", "2g@4 1g@6", "1g@4 1g@5 1g@6"] {
                drawn.insert(format!("{left} {right}"));
            }
        }
        let base: Vec<&Profile> = a100.profiles().iter().filter(|p| p.is_plain()).collect();
        let states = a100.states();
        let of_base =
            |s: &State| states.layout(*s).slices(a100).iter().all(|x| a100.at(x.profile).is_plain());
        let full = |s: &State| base.iter().all(|p| !states.fits(*s, p.index()));
        let short = |s: State| {
            let slices = states.layout(s).slices(a100);
            let name = |x: &Slice| format!("{}g@{}", a100.at(x.profile).compute_slices(), x.start);
            slices.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let found: BTreeSet<String> = states.iter().filter(of_base).filter(full).map(short).collect();
        assert_eq!(found, drawn);
        assert_eq!(found.len(), 19);
        let both = found.iter().filter(|l| l.contains("4g") && l.contains("3g")).count();
        assert_eq!(found.len() - both, 18, "drivers before R510 refuse 4g beside 3g");
    }

    /// Tables against the rules: what is free, what comes and goes, how many more fit.
    #[test]
    fn tables_say_what_the_rules_say() {
        for id in ["a30-24gb", "a100-40gb", "rtx-pro-6000-blackwell-96gb", "thor-igpu"] {
            let product = Catalogue::builtin().find(id).expect("in the catalogue");
            let states = product.states();
            assert_eq!(states.find(Places::NONE), Some(State::EMPTY));
            for state in states.iter() {
                let layout = states.layout(state);
                assert_eq!(states.state(layout), state);
                for (number, place) in product.places().iter().enumerate() {
                    let id = PlaceId::new(number);
                    let mut slices = layout.slices(product);
                    let stands = layout.places().has(id);
                    slices.retain(|s| *s != place.slice);
                    let without = slices.clone();
                    slices.push(place.slice);
                    let legal = !stands && Layout::new(product, slices.clone()).is_ok();
                    assert_eq!(states.create(state, id).is_some(), legal);
                    if let Some(after) = states.create(state, id) {
                        assert_eq!(states.layout(after), Layout::new(product, slices).expect("legal"));
                        assert_eq!(states.destroy(after, id), Some(state));
                    }
                    let free = states.free_starts(state, place.slice.profile) >> place.slice.start & 1 == 1;
                    assert_eq!(free, legal);
                    let gone = states.destroy(state, id).map(|s| states.layout(s).slices(product));
                    assert_eq!(gone, stands.then_some(without));
                }
                let fitting = product.profiles().iter().filter(|p| states.fits(state, p.index()));
                let largest = fitting.min_by_key(|p| p.size_order()).map(Profile::index);
                assert_eq!(states.largest_free(state), largest);
            }
        }
    }

    /// `more` against adding slices one by one in every way.
    #[test]
    fn how_many_more_fit_is_exact() {
        fn most(states: &States, state: State, profile: u8) -> u8 {
            let starts = |p: &usize| states.places[*p].slice.profile == profile;
            let after = |p: usize| states.create(state, PlaceId::new(p));
            let tried = (0..states.places.len()).filter(starts).filter_map(after);
            tried.map(|s| 1 + most(states, s, profile)).max().unwrap_or(0)
        }
        for id in ["a30-24gb", "rtx-pro-6000-blackwell-96gb"] {
            let product = Catalogue::builtin().find(id).expect("in the catalogue");
            for state in product.states().iter() {
                for profile in 0..product.profiles().len() as u8 {
                    assert_eq!(product.states().more(state, profile), most(product.states(), state, profile));
                }
            }
        }
    }

    #[test]
    fn the_last_memory_slice_is_hard_to_reach() {
        let a100 = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        let reaching: BTreeSet<&str> = a100
            .places()
            .iter()
            .filter(|p| p.mask & 1 << 7 != 0)
            .map(|p| a100.at(p.slice.profile).name())
            .collect();
        assert_eq!(reaching, BTreeSet::from(["1g.10gb", "3g.20gb", "7g.40gb"]));
    }
}
