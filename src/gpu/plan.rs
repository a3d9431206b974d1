//! The per-GPU planner: from what stands, what must stay and what is wanted, to ordered steps.
//!
//! Pure and exact. Of all layouts that keep the pinned slices and serve the wants it finds the one
//! with the fewest destroyed, then the fewest created slices; ties go to the smallest list of
//! destroyed, then of created places. Its work is proportional to the layouts of the wanted
//! geometry (18 on average on an A100), each weighed in a few instructions.
//!
//! The search rests on one observation: whatever the answer keeps of the standing slices beyond the
//! wants, it holds a set of places that serves exactly the wants. For each such set the pinned
//! slices either go with it or do not, the free ones that overlap it must go, and only when media
//! engines run short is there a choice of what else goes.

use super::places::{Geometry, Lanes, ListOrder, PlaceId, Places};
use super::product::Product;
use super::states::{State, States};

/// What else may stand beside pinned and wanted slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Free slices stay unless they are in the way: for pods that wait.
    AtLeast,
    /// Nothing: for a configuration.
    Exact,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Destroy the slice of a place, its compute instances first.
    Destroy(PlaceId),
    /// Create a slice at a place with the compute instance of its full size.
    Create(PlaceId),
}

/// How to get from a standing layout to one that serves the wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Slices that go.
    pub destroyed: Places,
    /// Slices that come.
    pub created: Places,
}

impl Plan {
    /// Slices destroyed and created: what is kept small, destroyed ones first.
    #[must_use]
    pub fn operations(self) -> usize {
        self.destroyed.len() + self.created.len()
    }

    /// The layout after the plan.
    ///
    /// # Panics
    /// If the plan was not made from `standing`.
    #[must_use]
    pub fn result(self, states: &States, standing: State) -> State {
        let places = states.layout(standing).places();
        assert!(self.destroyed.within(places) && !self.created.meets(places), "the plan starts elsewhere");
        states.find(places.without(self.destroyed).with(self.created)).expect("a plan ends in a layout")
    }

    /// Its steps: what goes, by place; then what comes, larger slices first, equals by start. Every
    /// prefix leaves a legal layout, since legal layouts stay legal when a slice goes.
    #[must_use]
    pub fn steps(self, states: &States) -> Vec<Step> {
        let mut created: Vec<PlaceId> = self.created.iter().collect();
        created.sort_by_key(|p| states.place(*p).rank);
        self.destroyed.iter().map(Step::Destroy).chain(created.into_iter().map(Step::Create)).collect()
    }
}

/// Why no layout serves the wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first profile, larger ones first, that cannot be had beside the wants before it.
    pub profile: u8,
    /// Which of its kind it is among the wants, from 1.
    pub nth: u8,
    /// A smallest set of pinned slices beside which it cannot; empty if the GPU never holds so much.
    pub pinned: Places,
}

impl Refusal {
    /// As a sentence for people.
    #[must_use]
    pub fn describe(&self, product: &Product) -> String {
        let name = product.at(self.profile).name();
        let which = match self.nth {
            1 => format!("a {name}"),
            2 => format!("a second {name}"),
            3 => format!("a third {name}"),
            n => format!("a {n}th {name}"),
        };
        match self.pinned.is_empty() {
            true => format!("{} never holds {which} beside the larger slices wanted", product.id()),
            false => format!("no room for {which} beside {}", super::describe(self.pinned, product)),
        }
    }
}

/// Plans one GPU: `wanted` is what must stand beside the `pinned` slices of `standing`.
///
/// A free slice serves a want of its own profile where it stands. Pinned slices serve no want and
/// are never moved.
///
/// # Errors
/// The first want that cannot be served, with the pinned slices that are in its way.
///
/// # Panics
/// If a pinned slice does not stand.
pub fn plan(
    states: &States,
    standing: State,
    pinned: Places,
    wanted: Geometry,
    mode: Mode,
) -> Result<Plan, Refusal> {
    let stands = states.layout(standing).places();
    assert!(pinned.within(stands), "pinned slices stand");
    let pinned_engines = engines(states, pinned);
    let mut best: Option<(Plan, Cost)> = None;
    for serving in states.with_geometry(wanted) {
        if !goes_with(states, *serving, pinned, pinned_engines) {
            continue;
        }
        let serves = states.layout(*serving).places();
        let free = stands.without(pinned).without(serves);
        let mut destroyed = match mode {
            Mode::Exact => free,
            Mode::AtLeast => free.and(states.blocked(*serving)),
        };
        let created = serves.without(stands);
        let least = (destroyed.len(), created.len());
        if best.is_some_and(|(_, cost)| (cost.destroyed, cost.created) < least) {
            continue;
        }
        let fit = states.engines(standing).plus(engines(states, created)).within(states.limit);
        if mode == Mode::AtLeast && !fit {
            let kept = pinned.with(serves);
            destroyed = destroyed.with(make_room(states, kept, free.without(destroyed), destroyed));
        }
        let cost = Cost::of(destroyed, created);
        if best.is_none_or(|(_, known)| cost < known) {
            best = Some((Plan { destroyed, created }, cost));
        }
    }
    best.map(|(plan, _)| plan).ok_or_else(|| refusal(states, pinned, wanted))
}

/// The steps to a layout whose places are given: what stands on its place stays.
#[must_use]
pub fn plan_to(states: &States, standing: State, target: State) -> Plan {
    let (stands, target) = (states.layout(standing).places(), states.layout(target).places());
    Plan { destroyed: stands.without(target), created: target.without(stands) }
}

/// What a plan is judged by, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    destroyed: usize,
    created: usize,
    which_destroyed: ListOrder,
    which_created: ListOrder,
}

impl Cost {
    fn of(destroyed: Places, created: Places) -> Cost {
        Cost {
            destroyed: destroyed.len(),
            created: created.len(),
            which_destroyed: destroyed.list_order(),
            which_created: created.list_order(),
        }
    }
}

fn engines(states: &States, places: Places) -> Lanes {
    places.iter().fold(Lanes::default(), |sum, p| sum.plus(states.place(p).engines))
}

/// Whether a layout can stand beside pinned slices.
fn goes_with(states: &States, layout: State, pinned: Places, pinned_engines: Lanes) -> bool {
    !states.blocked(layout).meets(pinned) && states.engines(layout).plus(pinned_engines).within(states.limit)
}

/// The fewest of `free` that must go besides `gone` so that the rest's engines suffice beside `kept`;
/// ties to the smallest list of all that goes.
fn make_room(states: &States, kept: Places, free: Places, gone: Places) -> Places {
    let list: Vec<PlaceId> = free.iter().collect();
    let suffices = |goes: Places| engines(states, kept.with(free.without(goes))).within(states.limit);
    subsets(&list)
        .filter(|goes| suffices(*goes))
        .min_by_key(|goes| (goes.len(), gone.with(*goes).list_order()))
        .expect("without any free slice the engines suffice")
}

/// Every subset of a few places.
fn subsets(list: &[PlaceId]) -> impl Iterator<Item = Places> {
    (0..1_u32 << list.len())
        .map(|mask| (0..list.len()).filter(|i| mask >> i & 1 == 1).map(|i| list[i]).collect())
}

/// Names the first want that cannot be served and what is in its way.
fn refusal(states: &States, pinned: Places, wanted: Geometry) -> Refusal {
    let possible = |prefix: Geometry, beside: Places| {
        let taken = engines(states, beside);
        states.with_geometry(prefix).iter().any(|s| goes_with(states, *s, beside, taken))
    };
    let first = |beside: Places| {
        let mut prefix = Geometry::EMPTY;
        for profile in states.by_size(wanted) {
            prefix = prefix.plus(profile);
            if !possible(prefix, beside) {
                return Some((prefix, profile));
            }
        }
        None
    };
    if let Some((prefix, profile)) = first(Places::NONE) {
        return Refusal { profile, nth: prefix.count(profile), pinned: Places::NONE };
    }
    let (prefix, profile) = first(pinned).expect("wants that nothing serves have a first that cannot be");
    let list: Vec<PlaceId> = pinned.iter().collect();
    let pinned = subsets(&list)
        .filter(|beside| !possible(prefix, *beside))
        .min_by_key(|beside| (beside.len(), beside.list_order()))
        .expect("all pinned slices are in the way");
    Refusal { profile, nth: prefix.count(profile), pinned }
}

/// Why a whole geometry cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRefusal {
    /// It lacks the profile of a pinned slice, or has too few of them.
    Lacks(PlaceId),
    /// The rest of it has no room beside the pinned slices.
    NoRoom(Refusal),
}

/// The plan for a whole target geometry, which counts the pinned slices: exactly this and no more.
///
/// # Errors
/// What stands in the way; of pinned slices that the target lacks, the first.
///
/// # Panics
/// If a pinned slice does not stand.
pub fn plan_geometry(
    states: &States,
    standing: State,
    pinned: Places,
    target: Geometry,
) -> Result<Plan, TargetRefusal> {
    let mut beside = target;
    for place in pinned.iter() {
        let one = Geometry::EMPTY.plus(states.place(place).slice.profile);
        beside = beside.minus(one).ok_or(TargetRefusal::Lacks(place))?;
    }
    plan(states, standing, pinned, beside, Mode::Exact).map_err(TargetRefusal::NoRoom)
}

#[cfg(test)]
mod tests;
