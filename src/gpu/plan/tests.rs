//! The planner against one that looks at everything, and what must hold of every plan.

use super::*;
use crate::gpu::{Catalogue, Profile, Slice};
use crate::rng::Stream;
use std::collections::BTreeSet;

fn product(id: &str) -> &'static Product {
    Catalogue::builtin().find(id).expect("a product of the catalogue")
}

/// Slices by start, then NVML enum: how lists of them are compared.
type List = Vec<(u8, u8)>;

/// The slow, obvious planner: every layout is tried and judged by the words of the rules.
struct Oracle {
    product: &'static Product,
    layouts: Vec<Vec<Slice>>,
}

impl Oracle {
    fn new(product: &'static Product) -> Oracle {
        let states = product.states();
        let layouts = states.iter().map(|s| states.layout(s).slices(product)).collect();
        Oracle { product, layouts }
    }

    fn list(&self, slices: &[Slice]) -> List {
        let mut list: List =
            slices.iter().map(|s| (s.start, self.product.at(s.profile).nvml_enum())).collect();
        list.sort_unstable();
        list
    }

    /// Profiles that a layout has besides the pinned slices; `None` if it lacks one of these.
    fn beside(layout: &[Slice], pinned: &[Slice]) -> Option<Vec<u8>> {
        if !pinned.iter().all(|p| layout.contains(p)) {
            return None;
        }
        Some(layout.iter().filter(|s| !pinned.contains(s)).map(|s| s.profile).collect())
    }

    fn covers(has: &[u8], wanted: &[u8]) -> bool {
        let count = |list: &[u8], p: u8| list.iter().filter(|x| **x == p).count();
        wanted.iter().all(|p| count(wanted, *p) <= count(has, *p))
    }

    fn plan(&self, standing: &[Slice], pinned: &[Slice], wanted: &[u8], mode: Mode) -> Option<(List, List)> {
        let cost = |layout: &Vec<Slice>| {
            let has = Oracle::beside(layout, pinned)?;
            let serves = match mode {
                Mode::AtLeast => Oracle::covers(&has, wanted),
                Mode::Exact => Oracle::covers(&has, wanted) && has.len() == wanted.len(),
            };
            if !serves {
                return None;
            }
            let not_in =
                |a: &[Slice], b: &[Slice]| a.iter().filter(|s| !b.contains(s)).copied().collect::<Vec<_>>();
            let destroyed = self.list(&not_in(standing, layout));
            let created = self.list(&not_in(layout, standing));
            Some((destroyed.len(), created.len(), destroyed, created))
        };
        self.layouts.iter().filter_map(cost).min().map(|(_, _, destroyed, created)| (destroyed, created))
    }

    fn refusal(&self, pinned: &[Slice], wanted: &[u8]) -> (u8, u8, List) {
        let mut sorted = wanted.to_vec();
        sorted.sort_by_key(|p| self.product.at(*p).size_order());
        let possible = |n: usize, beside: &[Slice]| {
            let serves = |l: &Vec<Slice>| {
                Oracle::beside(l, beside).is_some_and(|has| Oracle::covers(&has, &sorted[..n]))
            };
            self.layouts.iter().any(serves)
        };
        let name = |n: usize| {
            let profile = sorted[n - 1];
            (profile, sorted[..n].iter().filter(|p| **p == profile).count() as u8)
        };
        if let Some(n) = (1..=sorted.len()).find(|n| !possible(*n, &[])) {
            let (profile, nth) = name(n);
            return (profile, nth, Vec::new());
        }
        let n = (1..=sorted.len()).find(|n| !possible(*n, pinned)).expect("wants cannot be served");
        let mut clashes = Vec::new();
        for mask in 0..1_u32 << pinned.len() {
            let beside: Vec<Slice> =
                (0..pinned.len()).filter(|i| mask >> i & 1 == 1).map(|i| pinned[i]).collect();
            if !possible(n, &beside) {
                clashes.push((beside.len(), self.list(&beside)));
            }
        }
        let (profile, nth) = name(n);
        (profile, nth, clashes.into_iter().min().expect("all pinned slices clash").1)
    }

    /// Compares one case and checks the steps; whether it can be solved, and its cost.
    #[track_caller]
    fn check(&self, standing: State, pinned: Places, wanted: &[u8], mode: Mode) -> Option<usize> {
        let states = self.product.states();
        let slices = |places: Places| -> Vec<Slice> {
            places.iter().map(|p| self.product.places()[p.index()].slice).collect()
        };
        let stands = states.layout(standing).slices(self.product);
        let geometry = Geometry::of(wanted.iter().copied());
        let case = || {
            format!(
                "{}: {} pinned {}, wanted {wanted:?}, {mode:?}",
                self.product.id(),
                states.layout(standing).describe(self.product),
                crate::gpu::describe(pinned, self.product),
            )
        };
        let answer = plan(states, standing, pinned, geometry, mode);
        assert_eq!(answer, plan(states, standing, pinned, geometry, mode), "equal inputs, equal plans");
        let expected = self.plan(&stands, &slices(pinned), wanted, mode);
        let lists = answer.map(|p| (self.list(&slices(p.destroyed)), self.list(&slices(p.created))));
        assert_eq!(lists.ok(), expected, "{}", case());
        match answer {
            Ok(plan) => {
                self.check_steps(plan, standing, pinned);
                Some(plan.operations())
            }
            Err(refusal) => {
                let named = (refusal.profile, refusal.nth, self.list(&slices(refusal.pinned)));
                assert_eq!(named, self.refusal(&slices(pinned), wanted), "{}", case());
                None
            }
        }
    }

    /// Every prefix of the steps is legal; pinned slices stay; the order is as promised.
    fn check_steps(&self, plan: Plan, standing: State, pinned: Places) {
        let states = self.product.states();
        let steps = plan.steps(states);
        let mut state = standing;
        for step in &steps {
            state = match step {
                Step::Destroy(place) => states.destroy(state, *place),
                Step::Create(place) => states.create(state, *place),
            }
            .expect("every prefix of a plan is legal");
            assert!(pinned.within(states.layout(state).places()), "pinned slices stay");
        }
        assert_eq!(state, plan.result(states, standing));
        let order = |step: &Step| match step {
            Step::Destroy(place) => {
                let s = states.place(*place).slice;
                (0, s.start, self.product.at(s.profile).nvml_enum(), 0)
            }
            Step::Create(place) => {
                let s = states.place(*place).slice;
                let p = self.product.at(s.profile);
                (1, u8::MAX - p.compute_slices(), u8::MAX - p.memory_slices(), s.start)
            }
        };
        assert!(steps.is_sorted_by_key(order), "{steps:?}");
    }
}

/// Every subset of a layout's places.
fn pinned_subsets(places: Places) -> Vec<Places> {
    let list: Vec<PlaceId> = places.iter().collect();
    subsets(&list).collect()
}

/// Every multiset of profiles with up to `max_instances` of each.
fn multisets(product: &Product) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for profile in product.profiles() {
        let add = |n: u8, set: &Vec<u8>| {
            let mut with = set.clone();
            with.extend(std::iter::repeat_n(profile.index(), usize::from(n)));
            with
        };
        all = (0..=profile.max_instances()).flat_map(|n| all.iter().map(move |s| add(n, s))).collect();
    }
    all
}

/// All 103,440 cases of the A30, of which another program solved the same number.
#[test]
fn every_case_of_the_a30_is_as_the_oracle_says() {
    let a30 = product("a30-24gb");
    let oracle = Oracle::new(a30);
    let states = a30.states();
    let multisets = multisets(a30);
    assert_eq!(multisets.len(), 120);
    let (mut cases, mut solved) = (0, 0);
    for standing in states.iter() {
        for pinned in pinned_subsets(states.layout(standing).places()) {
            for mode in [Mode::AtLeast, Mode::Exact] {
                for wanted in &multisets {
                    cases += 1;
                    let cost = oracle.check(standing, pinned, wanted, mode);
                    solved += usize::from(cost.is_some());
                    check_fewer_wants(states, standing, pinned, wanted, mode, cost);
                }
            }
        }
    }
    assert_eq!((cases, solved), (103_440, 7_570));
}

/// Fewer wants never turn yes into no, nor make an *at least* dearer.
fn check_fewer_wants(
    states: &States,
    standing: State,
    pinned: Places,
    wanted: &[u8],
    mode: Mode,
    cost: Option<usize>,
) {
    let Some(cost) = cost else { return };
    for less in 0..wanted.len() {
        let fewer = wanted.iter().enumerate().filter(|(i, _)| *i != less).map(|(_, p)| *p);
        let plan = plan(states, standing, pinned, Geometry::of(fewer), mode).expect("fewer wants are served");
        assert!(mode == Mode::Exact || plan.operations() <= cost);
    }
}

/// 100,000 cases each of other products: half of the wants were drawn freely, half from what
/// some layout holds, so that many can be served.
#[test]
fn random_cases_are_as_the_oracle_says() {
    for id in ["a100-40gb", "h100-80gb-sxm", "rtx-pro-6000-blackwell-96gb"] {
        let product = product(id);
        let oracle = Oracle::new(product);
        let states = product.states();
        let mut solved = 0;
        for case in 0..100_000 {
            let mut draw = Stream::new(case, "plan-oracle", 0);
            let (standing, pinned, wanted, mode) = random_case(product, &mut draw);
            let cost = oracle.check(standing, pinned, &wanted, mode);
            solved += u32::from(cost.is_some());
            check_fewer_wants(states, standing, pinned, &wanted, mode, cost);
        }
        assert!(20_000 < solved && solved < 80_000, "{id}: {solved} cases can be solved");
    }
}

fn random_case(product: &Product, draw: &mut Stream) -> (State, Places, Vec<u8>, Mode) {
    let states = product.states();
    let all: Vec<State> = states.iter().collect();
    let any = |draw: &mut Stream| all[draw.below(all.len() as u64) as usize];
    let standing = any(draw);
    let pin = draw.below(3);
    let stands = states.layout(standing).places();
    let pinned: Places = stands.iter().filter(|_| draw.below(3) < pin).collect();
    let wanted: Vec<u8> = if draw.below(2) == 0 {
        let profiles = product.profiles().len() as u64;
        (0..draw.below(4)).map(|_| draw.below(profiles) as u8).collect()
    } else {
        let held: Vec<u8> = states.geometry(any(draw)).profiles().collect();
        held.into_iter().filter(|_| draw.below(2) == 0).collect()
    };
    (standing, pinned, wanted, if draw.below(2) == 0 { Mode::AtLeast } else { Mode::Exact })
}

/// The cost against the shortest way over single steps, on the A30.
#[test]
fn no_shorter_way_exists() {
    let a30 = product("a30-24gb");
    let states = a30.states();
    for standing in states.iter() {
        for pinned in pinned_subsets(states.layout(standing).places()) {
            let distance = distances(states, standing, pinned);
            for wanted in multisets(a30).iter().step_by(7) {
                let geometry = Geometry::of(wanted.iter().copied());
                let Ok(plan) = plan(states, standing, pinned, geometry, Mode::AtLeast) else { continue };
                let taken = Geometry::of(pinned.iter().map(|p| states.place(p).slice.profile));
                let serves = |s: &State| {
                    let has = states.geometry(*s).minus(taken).expect("pinned slices stay");
                    has.covers(geometry)
                };
                let reached = states.iter().filter(|s| distance[s.index()].is_some() && serves(s));
                let fewest_destroyed = reached.filter_map(|s| distance[s.index()]).min();
                assert_eq!(Some((plan.destroyed.len(), plan.created.len())), fewest_destroyed);
            }
        }
    }
}

/// Fewest destroys, then creates, from `from` to each state without touching pinned slices.
fn distances(states: &States, from: State, pinned: Places) -> Vec<Option<(usize, usize)>> {
    let mut best: Vec<Option<(usize, usize)>> = vec![None; states.len()];
    let mut queue = BTreeSet::from([((0, 0), from)]);
    while let Some((cost, state)) = queue.pop_first() {
        if best[state.index()].is_some() {
            continue;
        }
        best[state.index()] = Some(cost);
        let places = states.layout(state).places();
        for place in places.without(pinned).iter() {
            let next = states.destroy(state, place).expect("it stands");
            queue.insert(((cost.0 + 1, cost.1), next));
        }
        for number in 0..states.places().len() {
            if let Some(next) = states.create(state, PlaceId::new(number)) {
                queue.insert(((cost.0, cost.1 + 1), next));
            }
        }
    }
    best
}

fn layout(product: &Product, text: &str) -> (State, Places) {
    let names: Vec<&str> = text.split_whitespace().collect();
    let layout = crate::gpu::Layout::place(product, &names).expect("a legal layout");
    (product.states().state(layout), layout.places())
}

#[track_caller]
fn steps(id: &str, standing: &str, pinned: &str, wanted: &str, mode: Mode, expected: &str) {
    let product = product(id);
    let states = product.states();
    let named = |n: &str| product.resolve_profile(n).map(Profile::index).expect("a profile");
    let wanted = Geometry::of(wanted.split_whitespace().map(named));
    let pinned = layout(product, pinned).1;
    let name = |p: PlaceId| crate::gpu::describe(Places::one(p), product);
    let text = match plan(states, layout(product, standing).0, pinned, wanted, mode) {
        Ok(plan) => {
            let step = |s: Step| match s {
                Step::Destroy(p) => format!("-{}", name(p)),
                Step::Create(p) => format!("+{}", name(p)),
            };
            plan.steps(states).into_iter().map(step).collect::<Vec<_>>().join(" ")
        }
        Err(refusal) => refusal.describe(product),
    };
    assert_eq!(text, expected);
}

#[test]
fn plans_are_as_a_person_would_make_them() {
    use Mode::{AtLeast, Exact};
    let a100 = "a100-40gb";
    steps(a100, "", "", "1g 1g 1g 1g 3g", AtLeast, "+3g.20gb@4 +1g.5gb@0 +1g.5gb@1 +1g.5gb@2 +1g.5gb@3");
    steps(a100, "3g@4 1g@0", "3g@4", "1g", AtLeast, "");
    steps(a100, "3g@4 1g@0", "3g@4", "1g 1g", AtLeast, "+1g.5gb@1");
    steps(a100, "3g@4 1g@0", "3g@4", "1g 1g", Exact, "+1g.5gb@1");
    steps(a100, "3g@4 1g@0", "", "4g", Exact, "-1g.5gb@0 -3g.20gb@4 +4g.20gb@0");
    steps(a100, "1g@0 1g@4", "1g@0", "3g", AtLeast, "-1g.5gb@4 +3g.20gb@4");
    steps(a100, "1g@0 1g@6", "1g@0 1g@6", "3g", AtLeast, "no room for a 3g.20gb beside 1g.5gb@0 1g.5gb@6");
    steps(a100, "1g@0 1g@6", "1g@0 1g@6", "4g", AtLeast, "no room for a 4g.20gb beside 1g.5gb@0");
    steps(
        a100,
        "",
        "",
        "4g 4g",
        AtLeast,
        "a100-40gb never holds a second 4g.20gb beside the larger slices wanted",
    );
    // One set of media engines: the free slice that has it goes, though it is not in the way.
    steps(a100, "1g.5gb+me@0", "", "7g", AtLeast, "-1g.5gb+me@0 +7g.40gb@0");
    let rtx = "rtx-pro-6000-blackwell-96gb";
    steps(rtx, "1g.24gb+me@0", "", "1g.24gb+me.all", AtLeast, "-1g.24gb+me@0 +1g.24gb+me.all@0");
}

#[test]
fn whole_targets_count_what_is_pinned() {
    let a100 = product("a100-40gb");
    let states = a100.states();
    let (standing, pinned) = layout(a100, "3g@0");
    let named = |n: &str| a100.resolve_profile(n).map(Profile::index).expect("a profile");
    let target = |names: &str| Geometry::of(names.split_whitespace().map(named));
    let plan = plan_geometry(states, standing, pinned, target("3g 3g")).expect("room at 4");
    assert_eq!(crate::gpu::describe(plan.created, a100), "3g.20gb@4");
    let lacks = plan_geometry(states, standing, pinned, target("4g"));
    assert_eq!(lacks, Err(TargetRefusal::Lacks(pinned.iter().next().expect("one place"))));
    // A 3g at 0 leaves no room for the four small slices that one at 4 would.
    let clash = plan_geometry(states, standing, pinned, target("3g 1g 1g 1g 1g"));
    let refusal = Refusal { profile: named("1g"), nth: 4, pinned };
    assert_eq!(clash, Err(TargetRefusal::NoRoom(refusal)));
    let given = plan_to(states, standing, layout(a100, "3g@4 1g@0").0);
    assert_eq!(given.operations(), 3);
}
