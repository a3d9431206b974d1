//! Where today's tools end up when they are asked for a geometry.
//!
//! None of mig-parted and the nos agent gives a place, so both depend on the driver's choice
//! ([`super::driver`]) and on the order in which they create; NVIDIA's DRA driver gives places, but
//! takes the lowest that is free. What each did was read in its source: mig-parted
//! `cmd/nvidia-mig-parted/apply`, `pkg/mig/config`, `pkg/types`; nos `internal/controllers/migagent`
//! and `pkg/gpu/nvml`; k8s-dra-driver-gpu's dynamic MIG devices with the structured allocator of
//! kube-scheduler. Where a Go map's order decides, one of the legal outcomes is chosen and named.

use super::driver::Driver;
use super::places::{Geometry, PlaceId, Places};
use super::product::{Attribute, Product, Profile};
use super::states::{State, States};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Orders of one GPU's new devices that the nos agent tries before it gives up
/// (pkg/gpu/nvml/client.go).
pub const NOS_ATTEMPTS: usize = 21;

/// How a tool's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It found what was asked for and touched nothing.
    Unchanged,
    /// Done, at this attempt.
    Done {
        /// Orders tried, the last with success.
        attempts: u32,
    },
    /// Every order failed.
    Failed {
        /// Orders tried.
        attempts: u32,
    },
    /// A slice in use could not be destroyed.
    InUse(PlaceId),
}

/// What a tool leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The layout afterwards.
    pub state: State,
    /// How it went.
    pub verdict: Verdict,
}

/// `mig-parted apply` of one GPU to counts of profiles, as its configuration file lists them.
///
/// A GPU that has just these is left alone, places included; a count of zero in the file makes them
/// never equal. Otherwise everything is destroyed, by NVML enum, which stops at a slice in use and
/// leaves the rest; then distinct orders are tried, larger profiles first, until one is complete.
/// After the last failure the GPU is left empty. Profiles of equal compute slices and attributes
/// begin in the order of a Go map: here in that of the catalogue.
///
/// # Panics
/// If a slice in use does not stand.
#[must_use]
pub fn mig_parted(
    product: &Product,
    driver: &Driver<'_>,
    standing: State,
    in_use: Places,
    wanted: &[(u8, u8)],
) -> Outcome {
    let states = driver.states();
    assert!(in_use.within(states.layout(standing).places()), "slices in use stand");
    let each = wanted.iter().flat_map(|(profile, n)| std::iter::repeat_n(*profile, usize::from(*n)));
    let mut order: Vec<u8> = each.collect();
    let listed_zero = wanted.iter().any(|(_, n)| *n == 0);
    if !listed_zero && states.geometry(standing) == Geometry::of(order.iter().copied()) {
        return Outcome { state: standing, verdict: Verdict::Unchanged };
    }
    let cleared = clear(product, states, standing, in_use);
    if let Some(place) = states.layout(cleared).places().and(in_use).iter().next() {
        return Outcome { state: cleared, verdict: Verdict::InUse(place) };
    }
    order.sort_by_key(|p| {
        let profile = product.at(*p);
        (Reverse(profile.compute_slices()), Reverse(attributes(profile)), *p)
    });
    let mut attempts = 0;
    let done = distinct_orders(&mut order, 0, &mut |order| {
        attempts += 1;
        driver.create_all(State::EMPTY, order.iter().copied())
    });
    match done {
        Some(state) => Outcome { state, verdict: Verdict::Done { attempts } },
        None => Outcome { state: State::EMPTY, verdict: Verdict::Failed { attempts } },
    }
}

/// What is left once everything was destroyed up to the first slice in use, by NVML enum, then
/// start.
fn clear(product: &Product, states: &States, standing: State, in_use: Places) -> State {
    let mut places: Vec<PlaceId> = states.layout(standing).places().iter().collect();
    places.sort_by_key(|p| {
        let slice = states.place(*p).slice;
        (product.at(slice.profile).nvml_enum(), slice.start)
    });
    let idle = places.iter().take_while(|p| !in_use.has(**p));
    idle.fold(standing, |state, p| states.destroy(state, *p).expect("it stands"))
}

/// A profile's attributes as mig-parted compares them; being without media engines is none.
fn attributes(profile: &Profile) -> String {
    let known = profile.attributes().iter().filter(|a| **a != Attribute::NoMedia);
    let word = |a: &Attribute| Attribute::WORDS.iter().find(|(_, known)| known == a).map_or("", |(w, _)| *w);
    known.map(word).collect::<Vec<_>>().join(",")
}

/// mig-parted's way through the orders of a list: at each position every distinct item in turn.
fn distinct_orders<T>(list: &mut [u8], from: usize, visit: &mut dyn FnMut(&[u8]) -> Option<T>) -> Option<T> {
    if list.len() <= from {
        return visit(list);
    }
    for other in from..list.len() {
        if list[from..other].contains(&list[other]) {
            continue;
        }
        list.swap(from, other);
        if let Some(found) = distinct_orders(list, from + 1, visit) {
            return Some(found);
        }
        list.swap(from, other);
    }
    None
}

/// What the nos agent asks for on one GPU: devices `D` that go, by operation, and how many of which
/// profiles `K` come afterwards. The order of operations is that of a Go map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NosOperations<K, D> {
    /// Devices to delete, by operation; used ones are passed over when it comes to it.
    pub deletes: Vec<Vec<D>>,
    /// Devices to make, by operation.
    pub creates: Vec<(K, i64)>,
}

/// The operations with which the nos agent turns what stands on a GPU into what is wanted, places
/// unknown (internal/controllers/migagent/plan/plan.go).
///
/// 1. Devices of a profile that nobody asks for go, used ones too.
/// 2. Of every other profile, what is missing comes and what is too much goes: free devices first,
///    in the order in which they are listed.
/// 3. A GPU that gets a device gives up its free ones and gets them anew, so that the driver may place
///    all of them as it likes.
///
/// `exist` has the devices of each profile with whether they are free.
pub fn nos_operations<K: Copy + Ord, D: Copy>(
    exist: &BTreeMap<K, Vec<(D, bool)>>,
    wanted: &BTreeMap<K, i64>,
) -> NosOperations<K, D> {
    let mut operations = NosOperations { deletes: Vec::new(), creates: Vec::new() };
    let devices = |list: &[(D, bool)]| list.iter().map(|(device, _)| *device).collect::<Vec<D>>();
    let unwanted = exist.iter().filter(|(profile, _)| !wanted.contains_key(profile));
    operations.deletes.extend(unwanted.map(|(_, list)| devices(list)));
    // Free devices that are not on their way out.
    let mut staying: Vec<(K, Vec<D>)> = Vec::new();
    for (profile, quantity) in wanted {
        let mut list = exist.get(profile).cloned().unwrap_or_default();
        list.sort_by_key(|(_, free)| !free);
        let missing = quantity - list.len() as i64;
        let surplus = usize::try_from(-missing).unwrap_or(0).min(list.len());
        if 0 < missing {
            operations.creates.push((*profile, missing));
        } else if missing < 0 {
            operations.deletes.push(devices(&list[..surplus]));
        }
        let free: Vec<(D, bool)> = list[surplus..].iter().copied().filter(|(_, free)| *free).collect();
        staying.push((*profile, devices(&free)));
    }
    staying.retain(|(_, free)| !free.is_empty());
    if !operations.creates.is_empty() && !staying.is_empty() {
        operations.creates.extend(staying.iter().map(|(profile, free)| (*profile, free.len() as i64)));
        operations.deletes.push(staying.into_iter().flat_map(|(_, free)| free).collect());
    }
    operations
}

/// How the nos agent's creation of devices on one GPU went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NosCreation {
    /// Places in the order of creation; `None` if no order worked, and nothing was made.
    pub created: Option<Vec<PlaceId>>,
    /// Orders tried.
    pub attempts: u32,
    /// Slices created and destroyed on the way, those of failed attempts included.
    pub calls: u32,
}

/// Creates devices as the nos agent does: the list as it is handed over, then its further orders by
/// index, equal profiles told apart, at most [`NOS_ATTEMPTS`]; a failed attempt is undone.
#[must_use]
pub fn nos_create(driver: &Driver<'_>, state: State, profiles: &[u8]) -> NosCreation {
    let mut creation = NosCreation { created: None, attempts: 0, calls: 0 };
    if profiles.is_empty() {
        creation.created = Some(Vec::new());
        return creation;
    }
    for order in permutations(profiles).take(NOS_ATTEMPTS) {
        creation.attempts += 1;
        let (mut state, mut made) = (state, Vec::new());
        for profile in order {
            let Some((after, place)) = driver.create(state, profile) else { break };
            state = after;
            made.push(place);
        }
        let done = made.len() == profiles.len();
        creation.calls += if done { made.len() } else { 2 * made.len() } as u32;
        if done {
            creation.created = Some(made);
            break;
        }
    }
    creation
}

/// What the nos agent does to one GPU for the counts of its specification ([`nos_operations`],
/// [`nos_create`]).
///
/// Used slices stay: they are skipped where the plan would delete them. The order in which new slices
/// are handed over comes from a Go map: `rank` says which profiles go first ([`by_name`] is our
/// choice). Surplus free slices go lowest start first, where the agent goes by UUID.
///
/// # Panics
/// If a used slice does not stand.
#[must_use]
pub fn nos_agent(
    driver: &Driver<'_>,
    standing: State,
    used: Places,
    wanted: Geometry,
    rank: impl Fn(u8) -> usize,
) -> Outcome {
    let states = driver.states();
    let stands = states.layout(standing).places();
    assert!(used.within(stands), "used slices stand");
    if states.geometry(standing) == wanted {
        return Outcome { state: standing, verdict: Verdict::Unchanged };
    }
    let mut exist: BTreeMap<u8, Vec<(PlaceId, bool)>> = BTreeMap::new();
    for place in stands.iter() {
        exist.entry(states.place(place).slice.profile).or_default().push((place, !used.has(place)));
    }
    let wanted = wanted.counts().map(|(profile, count)| (profile, i64::from(count))).collect();
    let operations = nos_operations(&exist, &wanted);
    let asked: Places = operations.deletes.iter().flatten().copied().collect();
    let gone = asked.without(used);
    let kept = gone.iter().fold(standing, |state, p| states.destroy(state, p).expect("it stands"));
    let each = operations.creates.iter().flat_map(|(p, n)| (0..*n).map(|_| *p));
    let mut profiles: Vec<u8> = each.collect();
    profiles.sort_by_key(|p| (rank(*p), *p));
    let creation = nos_create(driver, kept, &profiles);
    let attempts = creation.attempts.max(1);
    let create = |state, place: &PlaceId| states.create(state, *place).expect("the driver made it");
    let state = creation.created.as_ref().map_or(kept, |made| made.iter().fold(kept, create));
    let verdict = match (creation.created, asked.and(used).iter().next()) {
        (None, _) => Verdict::Failed { attempts },
        (Some(_), Some(place)) => Verdict::InUse(place),
        (Some(_), None) => Verdict::Done { attempts },
    };
    Outcome { state, verdict }
}

/// Rank of profiles by their name, for [`nos_agent`]: `1g.5gb` goes before `3g.20gb`.
pub fn by_name(product: &Product) -> impl Fn(u8) -> usize + use<> {
    let mut names: Vec<(String, u8)> =
        product.profiles().iter().map(|p| (p.name().to_owned(), p.index())).collect();
    names.sort_unstable();
    move |profile| names.iter().position(|(_, p)| *p == profile).expect("a profile of the product")
}

/// Orders of `items` by position, the first as they are; equal items count as different. None of no
/// items (nos pkg/util/stat.go).
pub fn permutations<T: Clone>(items: &[T]) -> impl Iterator<Item = Vec<T>> {
    let first = (!items.is_empty()).then(|| (0..items.len()).collect::<Vec<_>>());
    let orders = std::iter::successors(first, |order| {
        let mut next = order.clone();
        let rise = next.windows(2).rposition(|pair| pair[0] < pair[1])?;
        let swap = next.iter().rposition(|at| next[rise] < *at).expect("the next one is larger");
        next.swap(rise, swap);
        next[rise + 1..].reverse();
        Some(next)
    });
    orders.map(|order| order.into_iter().map(|at| items[at].clone()).collect())
}

/// NVIDIA's DRA driver with one claim for all of these slices: devices are tried by name, which is
/// lowest start first, and the scheduler goes back inside the claim until all are found. `held` is
/// what other claims hold; free slices do not stand, since each goes with its claim.
#[must_use]
pub fn dra_claim(states: &States, held: State, requests: &[u8]) -> Option<State> {
    let Some((profile, rest)) = requests.split_first() else { return Some(held) };
    let of_it = |p: &PlaceId| states.place(*p).slice.profile == *profile;
    let places = (0..states.places().len()).map(PlaceId::new).filter(of_it);
    places.filter_map(|p| states.create(held, p)).find_map(|next| dra_claim(states, next, rest))
}

/// NVIDIA's DRA driver with a claim for each slice, in this order: each takes the lowest start that
/// is free, for good. The layout, and which claims stay pending.
#[must_use]
pub fn dra_claims(states: &States, held: State, requests: &[u8]) -> (State, Vec<usize>) {
    let mut state = held;
    let mut pending = Vec::new();
    for (claim, request) in requests.iter().enumerate() {
        match dra_claim(states, state, &[*request]) {
            Some(next) => state = next,
            None => pending.push(claim),
        }
    }
    (state, pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Catalogue, Layout};

    struct Bench {
        product: &'static Product,
        driver: Driver<'static>,
    }

    impl Bench {
        fn new(id: &str) -> Bench {
            let product = Catalogue::builtin().find(id).expect("a product of the catalogue");
            Bench { product, driver: Driver::new(product) }
        }

        fn profile(&self, name: &str) -> u8 {
            self.product.resolve_profile(name).expect("a profile of the product").index()
        }

        fn list(&self, names: &str) -> Vec<u8> {
            names.split_whitespace().map(|n| self.profile(n)).collect()
        }

        fn places(&self, text: &str) -> Places {
            let names: Vec<&str> = text.split_whitespace().collect();
            Layout::place(self.product, &names).expect("a legal layout").places()
        }

        fn state(&self, text: &str) -> State {
            self.product.states().find(self.places(text)).expect("a legal layout")
        }

        fn show(&self, state: State) -> String {
            self.product.states().layout(state).describe(self.product)
        }

        fn mig_parted(&self, standing: &str, in_use: &str, wanted: &[(&str, u8)]) -> (String, Verdict) {
            let wanted: Vec<(u8, u8)> = wanted.iter().map(|(n, c)| (self.profile(n), *c)).collect();
            let standing = self.state(standing);
            let outcome = mig_parted(self.product, &self.driver, standing, self.places(in_use), &wanted);
            (self.show(outcome.state), outcome.verdict)
        }

        fn nos(&self, standing: &str, used: &str, wanted: &str, first: &str) -> (String, Verdict) {
            let wanted = Geometry::of(self.list(wanted));
            let first = self.profile(first);
            let rank = |p: u8| usize::from(p != first);
            let outcome = nos_agent(&self.driver, self.state(standing), self.places(used), wanted, rank);
            (self.show(outcome.state), outcome.verdict)
        }
    }

    fn done(layout: &str, attempts: u32) -> (String, Verdict) {
        (layout.to_owned(), Verdict::Done { attempts })
    }

    #[test]
    fn mig_parted_leaves_alone_what_is_right_and_clears_what_is_not() {
        let a100 = Bench::new("a100-40gb");
        let unchanged = ("1g.5gb@0 3g.20gb@4".to_owned(), Verdict::Unchanged);
        assert_eq!(a100.mig_parted("1g@0 3g@4", "3g@4", &[("3g", 1), ("1g", 1)]), unchanged);
        // A zero in the file makes the GPU never equal: it is cut again, elsewhere.
        let again = a100.mig_parted("3g@0 1g@4", "", &[("3g", 1), ("1g", 1), ("2g", 0)]);
        assert_eq!(again, done("1g.5gb@0 3g.20gb@4", 1));
        let larger_first = a100.mig_parted("1g@0", "", &[("1g", 4), ("3g", 1)]);
        assert_eq!(larger_first, done("1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4", 1));
        // The slice in use has the second enum: the first is gone, it and the third stand.
        let (left, verdict) = a100.mig_parted("1g@0 2g@2 3g@4", "2g@2", &[("7g", 1)]);
        assert_eq!(left, "2g.10gb@2 3g.20gb@4");
        assert!(matches!(verdict, Verdict::InUse(_)));
    }

    #[test]
    fn mig_parted_fails_where_only_explicit_places_help() {
        let a100 = Bench::new("a100-40gb");
        let (left, verdict) = a100.mig_parted("3g@4", "", &[("1g.10gb", 1), ("1g", 6)]);
        assert_eq!((left.as_str(), verdict), ("", Verdict::Failed { attempts: 7 }));
    }

    /// The first attempt works or none does, for every geometry of up to six instances.
    #[test]
    fn mig_parteds_further_orders_never_help() {
        for id in ["a100-40gb", "h100-80gb-sxm", "a30-24gb", "rtx-pro-6000-blackwell-96gb"] {
            let bench = Bench::new(id);
            for geometry in bench.product.states().geometries().iter().filter(|g| g.len() <= 6) {
                let wanted: Vec<(u8, u8)> = geometry.counts().collect();
                let product = bench.product;
                let outcome = mig_parted(product, &bench.driver, State::EMPTY, Places::NONE, &wanted);
                let first = matches!(
                    outcome.verdict,
                    Verdict::Unchanged | Verdict::Done { attempts: 1 } | Verdict::Failed { .. }
                );
                assert!(first, "{id}: {:?}", outcome.verdict);
            }
        }
    }

    #[test]
    fn the_nos_agent_depends_on_the_order_it_is_handed() {
        let a100 = Bench::new("a100-40gb");
        let large_first = a100.nos("", "", "3g 1g 1g 1g 1g", "3g");
        assert_eq!(large_first, done("1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4", 1));
        let small_first = a100.nos("", "", "3g 1g 1g 1g 1g", "1g");
        assert_eq!(small_first, (String::new(), Verdict::Failed { attempts: 21 }));
        // Two 2g and a 3g have six orders, of which the last two start with the 3g.
        assert_eq!(a100.nos("", "", "3g 2g 2g", "2g"), done("2g.10gb@0 2g.10gb@2 3g.20gb@4", 5));
    }

    #[test]
    fn the_nos_agent_renews_free_slices_and_keeps_used_ones() {
        let a100 = Bench::new("a100-40gb");
        // The free 1g is destroyed and created again, elsewhere; the used one stays.
        let renewed = a100.nos("1g@0 1g@1", "1g@0", "1g 1g 2g", "2g");
        assert_eq!(renewed, done("1g.5gb@0 2g.10gb@4 1g.5gb@6", 1));
        // A used slice that the specification lacks is skipped; the rest is done.
        let (layout, verdict) = a100.nos("3g@4 1g@0", "3g@4", "1g 1g", "1g");
        assert_eq!(layout, "1g.5gb@0 1g.5gb@1 3g.20gb@4");
        assert!(matches!(verdict, Verdict::InUse(_)));
        // All or none: the free 1g is lost when the 4g finds no room beside the used one.
        let (layout, verdict) = a100.nos("1g@0 1g@1", "1g@0", "1g 1g 4g", "4g");
        assert_eq!((layout.as_str(), verdict), ("1g.5gb@0", Verdict::Failed { attempts: 2 }));
        let unchanged = a100.nos("1g@0", "1g@0", "1g", "1g");
        assert_eq!(unchanged, ("1g.5gb@0".to_owned(), Verdict::Unchanged));
        // Only too many: nothing is renewed.
        assert_eq!(a100.nos("1g@0 1g@1 1g@2", "1g@0", "1g 1g", "1g"), done("1g.5gb@0 1g.5gb@2", 1));
    }

    #[test]
    fn names_rank_small_slices_first() {
        let a100 = Bench::new("a100-40gb");
        let rank = by_name(a100.product);
        assert!(rank(a100.profile("1g")) < rank(a100.profile("3g")));
    }

    #[test]
    fn one_claim_goes_back_where_claims_of_their_own_do_not() {
        let a100 = Bench::new("a100-40gb");
        let states = a100.product.states();
        let wanted = a100.list("3g 1g 1g 1g 1g");
        let one = dra_claim(states, State::EMPTY, &wanted).map(|s| a100.show(s));
        assert_eq!(one.as_deref(), Some("1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4"));
        let (state, pending) = dra_claims(states, State::EMPTY, &wanted);
        assert_eq!(a100.show(state), "3g.20gb@0 1g.5gb@4 1g.5gb@5 1g.5gb@6");
        assert_eq!(pending, [4]);
        assert_eq!(dra_claim(states, a100.state("1g@0 1g@6"), &a100.list("3g")), None);
    }
}
