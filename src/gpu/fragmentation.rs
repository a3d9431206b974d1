//! How much of what is free can serve a demand.
//!
//! A free slice is worth what it can be used for. A demand mix gives each profile `p` a weight
//! `w(p)`, the share of requests for it. A GPU in state `s` has `free(s)` free memory slices and fits
//! `more(s, p)` further slices of `p`, placed as well as can be, each of `size(p)` memory slices.
//!
//! - **Stranded**, our placement-aware measure: what even the best packing with `p` leaves over,
//!   `S(s) = Σ w(p) · (free(s) − more(s, p) · size(p)) / Σ w(p)`.
//! - **Unfit**, the measure of FGD (Weng et al., "Beware of Fragmentation", USENIX ATC 2023, §3) with
//!   a GPU's slices as its resource: all that is free counts if not even one `p` fits, and nothing
//!   otherwise, `F(s) = Σ w(p) · free(s) · [more(s, p) = 0] / Σ w(p)`.
//!
//! `F ≤ S ≤ free`. FGD asks whether the next request fits, which is what a scheduler needs to rank
//! places; `S` also sees that one 3g beside a 1g at 4 blocks the second. Both are amounts, so a
//! cluster's is the sum over its GPUs, and its share is that sum over the sum of what is free. The
//! same is defined for compute slices. An empty A100 strands one of eight memory slices for a demand
//! of 1g alone, since nothing but 3g, 7g and the double-memory 1g reaches the last: that part is the
//! device's, not the layout's.

use super::product::Product;
use super::states::State;

/// Slices of one kind: free ones, and those of them that a demand cannot use, times the total
/// weight of the mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    free: u128,
    stranded: u128,
    unfit: u128,
}

impl Free {
    fn add(&mut self, weight: u64, free: u8, size: u8, more: u8) {
        let (weight, used) = (u128::from(weight), u128::from(more) * u128::from(size));
        let free = u128::from(free);
        assert!(used <= free, "slices that fit are free");
        self.free += weight * free;
        self.stranded += weight * (free - used);
        self.unfit += weight * if more == 0 { free } else { 0 };
    }

    /// Share of the free slices that the best packing leaves over; 0 if none is free.
    #[must_use]
    pub fn stranded(self) -> f64 {
        share(self.stranded, self.free)
    }

    /// Share of the free slices on GPUs where not even one request fits; 0 if none is free.
    #[must_use]
    pub fn unfit(self) -> f64 {
        share(self.unfit, self.free)
    }

    fn plus(self, other: Free) -> Free {
        Free {
            free: self.free + other.free,
            stranded: self.stranded + other.stranded,
            unfit: self.unfit + other.unfit,
        }
    }
}

fn share(part: u128, whole: u128) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Fragmentation of a GPU, or of several: values add. Exact in integers until a share is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// Of memory slices.
    pub memory: Free,
    /// Of compute slices.
    pub compute: Free,
}

impl Fragmentation {
    /// Of one GPU in a state, for a demand mix of profiles by index with their weights.
    ///
    /// To sum over GPUs of several products, give each the same total weight.
    #[must_use]
    pub fn of(product: &Product, state: State, mix: &[(u8, u64)]) -> Fragmentation {
        let states = product.states();
        let slices = states.layout(state).slices(product);
        let used = |size: fn(&super::Profile) -> u8| -> u8 {
            slices.iter().map(|s| size(product.at(s.profile))).sum()
        };
        let memory = product.memory_slices() - used(super::Profile::memory_slices);
        let compute = product.compute_slices() - used(super::Profile::compute_slices);
        let mut sum = Fragmentation::default();
        for (index, weight) in mix {
            let (profile, more) = (product.at(*index), states.more(state, *index));
            sum.memory.add(*weight, memory, profile.memory_slices(), more);
            sum.compute.add(*weight, compute, profile.compute_slices(), more);
        }
        sum
    }

    /// Of both.
    #[must_use]
    pub fn plus(self, other: Fragmentation) -> Fragmentation {
        Fragmentation { memory: self.memory.plus(other.memory), compute: self.compute.plus(other.compute) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Catalogue, Layout};

    fn of(layout: &str, mix: &[(&str, u64)]) -> Fragmentation {
        let a100 = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        let names: Vec<&str> = layout.split_whitespace().collect();
        let state = a100.states().state(Layout::place(a100, &names).expect("a legal layout"));
        let mix: Vec<(u8, u64)> =
            mix.iter().map(|(n, w)| (a100.resolve_profile(n).expect("a profile").index(), *w)).collect();
        Fragmentation::of(a100, state, &mix)
    }

    #[track_caller]
    fn check(found: Free, stranded: f64, unfit: f64) {
        assert!((found.stranded() - stranded).abs() < 1e-15, "{} stranded", found.stranded());
        assert!((found.unfit() - unfit).abs() < 1e-15, "{} unfit", found.unfit());
    }

    /// Worked by hand from the places of the A100.
    #[test]
    fn shares_are_as_worked_by_hand() {
        // Seven 1g leave the eighth memory slice over, and no compute slice.
        check(of("", &[("1g", 1)]).memory, 1.0 / 8.0, 0.0);
        check(of("", &[("1g", 1)]).compute, 0.0, 0.0);
        // 1g at 0 and at 4: no 3g fits in six free slices; 1g fits 0 + 5 more times.
        check(of("1g@0 1g@4", &[("3g", 1)]).memory, 1.0, 1.0);
        check(of("1g@0 1g@4", &[("1g", 1)]).memory, 1.0 / 6.0, 0.0);
        check(of("1g@0 1g@4", &[("3g", 1), ("1g", 3)]).memory, (6.0 + 3.0) / 24.0, 6.0 / 24.0);
        // A 3g at 4 would have left room for a second one at 0; one 1g there takes it, and FGD's
        // rule sees no difference as long as one 2g fits.
        check(of("3g@4 1g@0", &[("2g", 1)]).memory, 1.0 / 3.0, 0.0);
        // Two 3g leave a compute slice that no memory goes with.
        check(of("3g@0 3g@4", &[("1g", 1)]).memory, 0.0, 0.0);
        check(of("3g@0 3g@4", &[("1g", 1)]).compute, 1.0, 1.0);
        check(of("7g", &[("1g", 1)]).memory, 0.0, 0.0);
    }

    #[test]
    fn a_clusters_share_weighs_gpus_by_what_is_free() {
        let mix = [("3g", 1)];
        let both = of("1g@0 1g@4", &mix).plus(of("3g@0", &mix));
        check(both.memory, 6.0 / 10.0, 6.0 / 10.0);
        assert_eq!(both, of("3g@0", &mix).plus(of("1g@0 1g@4", &mix)));
    }

    #[test]
    fn unfit_is_never_more_than_stranded() {
        let a100 = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        for state in a100.states().iter() {
            for profile in a100.profiles() {
                let found = Fragmentation::of(a100, state, &[(profile.index(), 1)]);
                assert!(found.memory.unfit <= found.memory.stranded);
                assert!(found.compute.unfit <= found.compute.stranded);
            }
        }
    }
}
