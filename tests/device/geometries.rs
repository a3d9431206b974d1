//! The fake driver, which has the rules of MIG from elsewhere, and our planner give one answer.
//!
//! `SLICEWISE_GEOMETRIES=10000` is the large count for each product.

use crate::stand::{Stand, UUID, gpu};
use slicewise::device::{Failed, Nvml, Place};
use slicewise::gpu::driver::Driver;
use slicewise::gpu::{Catalogue, Geometry, Layout, Places, Product, Slice, State, Step, plan_geometry};

/// Numbers from a seed, evenly enough.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

fn id(product: &Product, profile: u8) -> u32 {
    let profile = product.at(profile);
    profile.id().unwrap_or(100 + u32::from(profile.nvml_enum()))
}

fn place(product: &Product, slice: Slice) -> Place {
    Place { start: u32::from(slice.start), size: u32::from(product.at(slice.profile).memory_slices()) }
}

fn create(nvml: &Nvml, product: &Product, slice: Slice) -> Result<u32, Failed> {
    nvml.create_instance(UUID, id(product, slice.profile), place(product, slice))
}

/// Whether the driver can be brought to hold these profiles, by trying every place of each.
fn holds(nvml: &Nvml, product: &Product, profiles: &[u8]) -> bool {
    let Some((profile, rest)) = profiles.split_first() else { return true };
    product.at(*profile).starts().iter().any(|start| {
        let Ok(made) = create(nvml, product, Slice { start: *start, profile: *profile }) else {
            return false;
        };
        let held = holds(nvml, product, rest);
        nvml.destroy_instance(UUID, made).expect("it stands");
        held
    })
}

#[test]
fn the_driver_and_the_planner_agree() {
    let count = std::env::var("SLICEWISE_GEOMETRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let (mut feasible, mut infeasible, mut by_driver, mut steps) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (seed, product) in Catalogue::builtin().iter().filter(|p| p.is_mig()).enumerate() {
        let mut stand = Stand::with(gpu(product.id(), ""));
        stand.config.volatile = true;
        let mut draws = Draws(seed as u64);
        let states = product.states();
        let driver = Driver::new(product);
        for _ in 0..count {
            // As many slices as may just fit or just not.
            let many = 1 + draws.below(usize::from(product.memory_slices()).min(8));
            let profiles: Vec<u8> = (0..many).map(|_| draws.below(product.profiles().len()) as u8).collect();
            let names: Vec<&str> = profiles.iter().map(|p| product.at(*p).name()).collect();
            stand.renew();
            let nvml = stand.open();
            match Layout::place(product, &names) {
                Ok(layout) => {
                    feasible += 1;
                    let mut slices = layout.slices(product);
                    slices.sort_by_key(|s| product.at(s.profile).size_order());
                    for slice in &slices {
                        create(&nvml, product, *slice)
                            .unwrap_or_else(|e| panic!("{} {names:?}: {e}", product.id()));
                    }
                }
                Err(_) => {
                    infeasible += 1;
                    assert!(!holds(&nvml, product, &profiles), "{} holds {names:?}", product.id());
                }
            }
            // Without places: where the driver puts each, and which it refuses.
            stand.renew();
            let nvml = stand.open();
            let mut state = State::EMPTY;
            for profile in &profiles {
                by_driver += 1;
                let made = nvml.create_anywhere(UUID, id(product, *profile)).ok().map(|(_, place)| place);
                let expected = driver.create(state, *profile);
                let stands = expected.map(|(_, p)| place(product, states.place(p).slice));
                assert_eq!(made, stands, "{} {names:?}", product.id());
                state = expected.map_or(state, |(after, _)| after);
            }
            // From what stands now to another geometry: every step of the plan is taken.
            let target = states.geometries()[draws.below(states.geometries().len())];
            let plan = plan_geometry(states, state, Places::NONE, target).expect("a geometry of the product");
            for step in plan.steps(states) {
                steps += 1;
                match step {
                    Step::Create(p) => {
                        create(&nvml, product, states.place(p).slice).expect("a step of a plan");
                    }
                    Step::Destroy(p) => {
                        let slice = states.place(p).slice;
                        let ids: Vec<u32> =
                            (0..product.profiles().len() as u8).map(|p| id(product, p)).collect();
                        let stands = nvml.instances(UUID, &ids).expect("they are listed");
                        let of_it = stands.iter().find(|i| {
                            i.profile == id(product, slice.profile) && i.place == place(product, slice)
                        });
                        nvml.destroy_instance(UUID, of_it.expect("it stands").id).expect("a step of a plan");
                    }
                }
            }
            assert_eq!(
                states.geometry(plan.result(states, state)),
                target,
                "{}",
                Geometry::describe(target, product)
            );
        }
    }
    println!(
        "{count} geometries a product: {feasible} feasible, {infeasible} not; {by_driver} slices placed by the \
         driver; {steps} steps of plans"
    );
}
