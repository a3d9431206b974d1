//! The MIG agent's operations on GPUs as they are: which slices go, where the driver puts the new ones,
//! and what is left when it refuses.
//!
//! internal/controllers/migagent/actuator.go and pkg/gpu/nvml. A GPU gets all new devices of a pass or
//! none of them; what was deleted for them stays deleted. Values in, values out: whoever holds the GPUs
//! carries the steps out.

use super::agent::{DeleteError, Device, Operations, delete, profiles_to_create};
use super::fix::{Fix, Fixes};
use super::names::{Kind, Spec, Status};
use crate::gpu::driver::Driver;
use crate::gpu::tools::nos_create;
use crate::gpu::{Geometry, Mode, PlaceId, Places, Product, Profile, State, Step, plan};
use crate::partition::boards::profile_of;
use std::collections::BTreeMap;

/// One GPU as the agent finds it.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a> {
    /// Index on the node.
    pub index: i64,
    /// What it is.
    pub product: &'a Product,
    /// Where its driver puts slices.
    pub driver: &'a Driver<'a>,
    /// What stands on it.
    pub state: State,
    /// Slices that pods hold.
    pub used: Places,
}

impl Board<'_> {
    /// Its devices. Their ids are the starts of their places: where nos goes by UUID, we go by place.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let stands = self.driver.states().layout(self.state).places();
        stands.iter().map(|place| self.device(place)).collect()
    }

    fn device(&self, place: PlaceId) -> Device {
        let slice = self.driver.states().place(place).slice;
        Device {
            gpu: self.index,
            resource: self.product.at(slice.profile).resource(),
            id: format!("MIG-{}-{:02}", self.index, slice.start),
            status: if self.used.has(place) { Status::Used } else { Status::Free },
        }
    }

    /// A profile by the name that the driver gives it today. Names of older drivers are unknown to it, and
    /// so are those of resources with a dot where it has a plus.
    fn profile(&self, name: &str) -> Option<u8> {
        self.product.profiles().iter().find(|profile| profile.name() == name).map(Profile::index)
    }
}

/// What became of one GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index on the node.
    pub index: i64,
    /// What stands on it afterwards.
    pub state: State,
    /// Steps that lead there from what stood.
    pub steps: Vec<Step>,
    /// Orders of creation that were tried.
    pub attempts: u32,
    /// Slices that were created and destroyed on the way, those of failed attempts included.
    pub calls: u32,
    /// Slices that were asked for and not made.
    pub missing: i64,
}

/// What became of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// GPUs that something was done to, by index.
    pub gpus: Vec<Outcome>,
    /// Whether an operation failed: the pass is tried again.
    pub failed: bool,
    /// Whether the device plugin has to restart.
    pub restart: bool,
    /// Used devices that should have gone and were passed over.
    pub passed_over: usize,
}

impl Applied {
    /// Whether a slice came or went.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.gpus.iter().any(|gpu| !gpu.steps.is_empty())
    }
}

/// Carries out the operations of a pass: deletions first, device by device, then what is to be made, GPU by
/// GPU. `specs` is what was asked for; only [`Fix::Placement`] looks at it.
///
/// # Panics
/// If a used slice of a board does not stand.
#[must_use]
pub fn apply(operations: &Operations, specs: &[Spec], boards: &[Board<'_>], fixes: Fixes) -> Applied {
    for board in boards {
        let stands = board.driver.states().layout(board.state).places();
        assert!(board.used.within(stands), "used slices stand");
    }
    let mut applied =
        if fixes.has(Fix::Placement) { place(operations, specs, boards) } else { follow(operations, boards) };
    applied.gpus.retain(|gpu| !gpu.steps.is_empty() || 0 < gpu.attempts || 0 < gpu.missing);
    if fixes.has(Fix::PluginRestart) {
        applied.restart = applied.changed();
    }
    applied
}

fn untouched(board: &Board<'_>) -> Outcome {
    let (index, state) = (board.index, board.state);
    Outcome { index, state, steps: Vec::new(), attempts: 0, calls: 0, missing: 0 }
}

/// As nos does it.
fn follow(operations: &Operations, boards: &[Board<'_>]) -> Applied {
    let mut applied = Applied::default();
    let mut gpus: Vec<Outcome> = boards.iter().map(untouched).collect();
    for op in &operations.deletes {
        applied.passed_over += op.iter().filter(|device| device.status != Status::Free).count();
        let deleted = delete(op, |device| {
            let at = boards.iter().position(|board| board.index == device.gpu);
            let at = at.ok_or(DeleteError::NotFound)?;
            let states = boards[at].driver.states();
            let stands = states.layout(gpus[at].state).places();
            let place = stands.iter().find(|place| boards[at].device(*place).is_same(device));
            let place = place.ok_or(DeleteError::NotFound)?;
            gpus[at].state = states.destroy(gpus[at].state, place).expect("it stands");
            gpus[at].steps.push(Step::Destroy(place));
            gpus[at].calls += 1;
            Ok(())
        });
        applied.failed |= deleted.failed;
        applied.restart |= deleted.restart;
    }
    let (mut made, mut refused) = (false, false);
    for (index, names) in profiles_to_create(operations) {
        let Some(at) = boards.iter().position(|board| board.index == index) else {
            refused |= !names.is_empty();
            continue;
        };
        let profiles: Option<Vec<u8>> = names.iter().map(|name| boards[at].profile(name)).collect();
        let creation = profiles.map(|profiles| nos_create(boards[at].driver, gpus[at].state, &profiles));
        let gpu = &mut gpus[at];
        if let Some(creation) = &creation {
            gpu.attempts += creation.attempts;
            gpu.calls += creation.calls;
        }
        match creation.and_then(|creation| creation.created) {
            Some(created) => {
                let states = boards[at].driver.states();
                for place in created {
                    gpu.state = states.create(gpu.state, place).expect("the driver made it");
                    gpu.steps.push(Step::Create(place));
                }
                made = true;
            }
            None => {
                gpu.missing = names.len() as i64;
                refused = true;
            }
        }
    }
    applied.failed |= refused;
    applied.restart |= made || !refused;
    applied.gpus = gpus;
    applied
}

/// With places found beside the used slices, as many of the slices asked for as fit, large ones first.
fn place(operations: &Operations, specs: &[Spec], boards: &[Board<'_>]) -> Applied {
    let mut applied = Applied::default();
    let touched = |board: &Board<'_>| {
        operations.creates.iter().any(|create| create.gpu == board.index)
            || operations.deletes.iter().flatten().any(|device| device.gpu == board.index)
    };
    for board in boards.iter().filter(|board| touched(board)) {
        let states = board.driver.states();
        let mut wanted: BTreeMap<u8, i64> = BTreeMap::new();
        let mut missing = 0;
        for spec in specs.iter().filter(|spec| spec.index == board.index) {
            match profile_of(board.product, &Kind::Mig.resource(&spec.profile)) {
                Some(profile) => *wanted.entry(profile).or_insert(0) += spec.quantity,
                None => missing += spec.quantity.max(0),
            }
        }
        for place in board.used.iter() {
            // A used slice that nobody asks for stays.
            let count = wanted.entry(states.place(place).slice.profile).or_insert(0);
            applied.passed_over += usize::from(*count <= 0);
            *count -= 1;
        }
        let mut order: Vec<u8> = wanted.keys().copied().collect();
        order.sort_by_key(|profile| board.product.at(*profile).size_order());
        let mut beside = Geometry::EMPTY;
        let mut steps = Vec::new();
        let mut found = plan(states, board.state, board.used, beside, Mode::Exact);
        for profile in order {
            for _ in 0..wanted[&profile].max(0) {
                let more = plan(states, board.state, board.used, beside.plus(profile), Mode::Exact);
                if more.is_err() {
                    missing += 1;
                    continue;
                }
                (found, beside) = (more, beside.plus(profile));
            }
        }
        let mut state = board.state;
        if let Ok(found) = found {
            steps = found.steps(states);
            state = found.result(states, board.state);
        }
        applied.failed |= 0 < missing;
        let calls = steps.len() as u32;
        let attempts = u32::from(steps.iter().any(|step| matches!(step, Step::Create(_))));
        applied.gpus.push(Outcome { index: board.index, state, steps, attempts, calls, missing });
    }
    applied.restart = true;
    applied
}

impl Device {
    /// Whether it is the same device, whatever it is doing.
    fn is_same(&self, other: &Device) -> bool {
        self.gpu == other.gpu && self.resource == other.resource && self.id == other.id
    }
}

#[cfg(test)]
mod tests {
    use super::super::agent::operations;
    use super::*;
    use crate::gpu::{Catalogue, Layout};

    struct Bench {
        product: &'static Product,
        driver: Driver<'static>,
    }

    impl Bench {
        fn new() -> Bench {
            let product = Catalogue::builtin().find("a100-40gb").expect("a product of the catalogue");
            Bench { product, driver: Driver::new(product) }
        }

        fn places(&self, text: &str) -> Places {
            let names: Vec<&str> = text.split_whitespace().collect();
            Layout::place(self.product, &names).expect("a legal layout").places()
        }

        /// Applies what a specification asks for; the layout afterwards.
        fn apply(&self, standing: &str, used: &str, spec: &[(&str, i64)], fixes: Fixes) -> (String, Applied) {
            let state = self.product.states().find(self.places(standing)).expect("a legal layout");
            let (product, driver, used) = (self.product, &self.driver, self.places(used));
            let board = Board { index: 0, product, driver, state, used };
            let specs = spec.iter().map(|(profile, quantity)| {
                let profile = (*profile).to_owned();
                Spec { index: 0, profile, quantity: *quantity }
            });
            let specs: Vec<Spec> = specs.collect();
            let asked = operations(&board.devices(), &specs);
            let applied = apply(&asked, &specs, &[board], fixes);
            let after = applied.gpus.first().map_or(state, |gpu| gpu.state);
            let mut stepped = state;
            for step in applied.gpus.iter().flat_map(|gpu| &gpu.steps) {
                let states = product.states();
                stepped = match step {
                    Step::Destroy(place) => states.destroy(stepped, *place),
                    Step::Create(place) => states.create(stepped, *place),
                }
                .expect("every step is legal");
            }
            assert_eq!(stepped, after);
            (product.states().layout(after).describe(product), applied)
        }
    }

    const NOS: Fixes = Fixes::NONE;

    #[test]
    fn a_gpu_gets_all_new_devices_or_none_and_loses_its_free_ones() {
        let bench = Bench::new();
        // The free 1g makes way, and the 4g finds no room beside the used 1g at 0.
        let (after, applied) = bench.apply("1g@0 1g@1", "1g@0", &[("1g.5gb", 2), ("4g.20gb", 1)], NOS);
        assert_eq!(after, "1g.5gb@0");
        assert!(applied.failed && applied.restart, "a deletion was made");
        assert_eq!((applied.gpus[0].attempts, applied.gpus[0].missing), (2, 2));
        let fixed = Fixes::from_iter([Fix::Placement]);
        let (after, applied) = bench.apply("1g@0 1g@1", "1g@0", &[("1g.5gb", 2), ("4g.20gb", 1)], fixed);
        assert_eq!(after, "1g.5gb@0 1g.5gb@1");
        assert_eq!((applied.failed, applied.gpus[0].missing), (true, 1));
    }

    #[test]
    fn placement_makes_what_any_order_of_the_driver_misses() {
        let bench = Bench::new();
        let wanted = [("1g.5gb", 4), ("3g.20gb", 1)];
        let (after, applied) = bench.apply("", "", &wanted, NOS);
        assert_eq!((after.as_str(), applied.failed, applied.restart), ("", true, false));
        assert_eq!(applied.gpus[0].attempts, 21);
        let (after, applied) = bench.apply("", "", &wanted, Fixes::from_iter([Fix::Placement]));
        assert_eq!(after, "1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4");
        assert!(!applied.failed);
    }

    #[test]
    fn used_devices_are_passed_over_and_the_plugin_restarts_all_the_same() {
        let bench = Bench::new();
        let (after, applied) = bench.apply("3g@4", "3g@4", &[], NOS);
        assert_eq!((after.as_str(), applied.passed_over, applied.changed()), ("3g.20gb@4", 1, false));
        assert!(applied.restart && !applied.failed, "no creation failed");
        let (_, applied) = bench.apply("3g@4", "3g@4", &[], Fixes::from_iter([Fix::PluginRestart]));
        assert!(!applied.restart);
    }

    #[test]
    fn a_profile_of_an_older_driver_is_refused() {
        let product = Catalogue::builtin().find("a100-80gb").expect("a product of the catalogue");
        let bench = Bench { product, driver: Driver::new(product) };
        let (after, applied) = bench.apply("1g@0", "", &[("7g.79gb", 1)], NOS);
        assert_eq!((after.as_str(), applied.failed, applied.gpus[0].attempts), ("", true, 0));
    }
}
