//! How fast a pod runs where it stands: slowdown by slice and by neighbours.
//!
//! A pod's speed is 1/S, where S ≥ 1 is its slowdown against a full GPU of its own. Speeds are
//! constant between events; whenever the pods of a GPU change, the simulation asks again. Values
//! in, values out: IEEE `+ − × ÷` and comparisons only, so every processor agrees.
//!
//! Formulas and defaults are those of our notes on sharing models, each with its source in
//! [`Model`]'s fields. A class is described by two numbers ([`Behavior`]), because the modes punish
//! different ones: MIG and MPS care how much of the GPU a pod can fill, time-slicing how much of
//! its time it wants it.

pub mod fit;

use crate::cluster::Share;
use crate::id::ClassId;
use crate::units::Speed;
use serde::Serialize;

/// What a class of pods does with a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Behavior {
    /// Share of its run time, alone, in which the GPU is not the limit, 0 to 1.
    pub host: f64,
    /// Share of the GPU that it can fill while it computes, above 0 to 1.
    pub fill: f64,
}

impl Behavior {
    /// Named classes: our summary of fits to measured slices (training on A100-40GB from MISO's
    /// logs, inference on A100-80GB from ParvaGPU's). The range is measured, the grouping is ours.
    pub const NAMED: [(&'static str, Behavior); 6] = [
        ("saturating", Behavior { host: 0.05, fill: 1.00 }),
        ("medium", Behavior { host: 0.45, fill: 0.90 }),
        ("light", Behavior { host: 0.50, fill: 0.55 }),
        ("small-batch", Behavior { host: 0.15, fill: 0.35 }),
        ("launch-bound", Behavior { host: 0.30, fill: 0.14 }),
        ("host-bound", Behavior { host: 0.90, fill: 0.80 }),
    ];

    /// Time-averaged share of the GPU that it uses alone.
    fn demand(self) -> f64 {
        (1.0 - self.host) * self.fill
    }

    /// Slowdown when `available` of the GPU's compute is its own.
    fn slowdown(self, available: f64) -> f64 {
        self.host + (1.0 - self.host) * (self.fill / available).max(1.0)
    }
}

/// Parameters of the sharing models, and the behavior of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Behavior by [`ClassId`].
    pub behaviors: Vec<Behavior>,
    /// Compute that a MIG slice gives beyond its share: f(k) = min(1, κ·k/7). Default 1.10, least
    /// squares over 406 measured points (RMS 4.5 % in sample); anything in 1.00–1.12 fits alike.
    pub kappa: f64,
    /// Slowdown by each neighbour's demand under MPS: α = 0.10, 1,318 measured points (RMS 3.9 % in
    /// sample, 5.7 % left out).
    pub alpha: f64,
    /// Demand that an MPS GPU serves before it saturates: C = 1.
    pub capacity: f64,
    /// Loss under time-slicing whenever two or more pods want the GPU: ε = 0.11, one data set
    /// (nos' own comparison on A100-80GB), the least certain of these.
    pub epsilon: f64,
}

impl Model {
    /// The default parameters for classes of these behaviors.
    #[must_use]
    pub fn new(behaviors: Vec<Behavior>) -> Model {
        Model { behaviors, kappa: 1.10, alpha: 0.10, capacity: 1.0, epsilon: 0.11 }
    }

    /// Speeds of the pods on one GPU, in their order. `residents` are each pod's class and, under
    /// MIG, the compute slices of its slice.
    ///
    /// Whole GPUs and thousandths run at full speed: nobody measured the latter, and schedulers that
    /// hand them out promise it.
    #[must_use]
    pub fn speeds(&self, share: &Share, residents: &[(ClassId, u8)]) -> Vec<Speed> {
        let of = |class: ClassId| self.behaviors[class.index()];
        let slowdowns: Vec<f64> = match share {
            Share::Whole | Share::Milli => vec![1.0; residents.len()],
            Share::Slices { compute, .. } => residents
                .iter()
                .map(|(class, slices)| of(*class).slowdown(self.slice_share(*slices, *compute)))
                .collect(),
            Share::Replicas { mps: false, .. } => {
                self.time_slicing(&residents.iter().map(|(class, _)| of(*class)).collect::<Vec<_>>())
            }
            Share::Memory { .. } | Share::Sliced { .. } => {
                self.mps(&residents.iter().map(|(class, _)| of(*class)).collect::<Vec<_>>(), 1.0)
            }
            Share::Replicas { replicas, mps: true } => {
                let limit = 1.0 / f64::from(*replicas);
                self.mps(&residents.iter().map(|(class, _)| of(*class)).collect::<Vec<_>>(), limit)
            }
        };
        slowdowns.into_iter().map(|s| Speed::from_ratio(1.0 / s)).collect()
    }

    fn slice_share(&self, slices: u8, of: u8) -> f64 {
        if slices == of { 1.0 } else { (self.kappa * f64::from(slices) / f64::from(of)).min(1.0) }
    }

    /// `S_i = max(1 + α·Σ_{j≠i} u_j, Σ_j u_j ÷ C)`, times the slowdown on a share `limit` of the
    /// threads where clients are limited, with `u = (1−h)·min(d, limit)`.
    #[must_use]
    pub fn mps(&self, residents: &[Behavior], limit: f64) -> Vec<f64> {
        let demand = |b: &Behavior| Behavior { fill: b.fill.min(limit), ..*b }.demand();
        let total: f64 = residents.iter().map(demand).sum();
        let slowdown = |b: &Behavior| (1.0 + self.alpha * (total - demand(b))).max(total / self.capacity);
        residents.iter().map(|b| slowdown(b).max(1.0) * b.slowdown(limit)).collect()
    }

    /// `S_i = G(J) ÷ G(J∖{i})` with `G = c₀ + Σ_k k!·(1+ε)^(k−1)·c_k` over the coefficients of
    /// `Π_j (h_j + t_j·z)`: pods that alternate between a host and a GPU part, a GPU that serves those
    /// who want it in equal turns and loses ε when they are two or more.
    ///
    /// *O*(n³) for n pods on a GPU, which are few: each product is built anew, since dividing a
    /// factor out cancels digits when t is near 1.
    #[must_use]
    pub fn time_slicing(&self, residents: &[Behavior]) -> Vec<f64> {
        let all = self.normalizer(residents.iter());
        let without = |i: usize| {
            self.normalizer(residents.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, b)| b))
        };
        (0..residents.len()).map(|i| all / without(i)).collect()
    }

    fn normalizer<'b>(&self, residents: impl Iterator<Item = &'b Behavior>) -> f64 {
        let mut product = vec![1.0];
        for behavior in residents {
            product.push(0.0);
            for k in (0..product.len()).rev() {
                let below = if k == 0 { 0.0 } else { product[k - 1] };
                product[k] = behavior.host * product[k] + (1.0 - behavior.host) * below;
            }
        }
        let mut weight = 1.0;
        let mut sum = product[0];
        for (k, coefficient) in product.iter().enumerate().skip(1) {
            weight *= k as f64;
            if 1 < k {
                weight *= 1.0 + self.epsilon;
            }
            sum += weight * coefficient;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], expected: &[f64]) {
        for (g, e) in got.iter().zip(expected) {
            assert!((g - e).abs() < 6e-5 * e, "{got:?} against {expected:?}");
        }
        assert_eq!(got.len(), expected.len());
    }

    fn model() -> Model {
        Model::new(Vec::new())
    }

    #[test]
    fn time_slicing_matches_the_check_values() {
        let with = |times: &[f64]| {
            model().time_slicing(
                &times.iter().map(|t| Behavior { host: 1.0 - t, fill: 1.0 }).collect::<Vec<_>>(),
            )
        };
        close(&with(&[1.0, 1.0, 1.0]), &[3.33, 3.33, 3.33]);
        close(&with(&[0.85, 0.5, 0.3, 0.1]), &[2.2414, 1.9474, 1.6463, 1.2546]);
        let seven = with(&[0.1, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95]);
        close(&seven[..2], &[1.6717, 6.7770]);
    }

    #[test]
    fn measured_yolos_is_met() {
        // Pods, seconds under time-slicing and MPS, measured (nos' demo on A100-80GB); one pod
        // alone takes .08815 s, and on a 1g slice .34237 s.
        let loops = Behavior { host: 0.0, fill: 0.56 };
        for (pods, slicing, mps) in [(3, 0.29314, 0.16400), (5, 0.48895, 0.24086), (7, 0.68488, 0.31982)] {
            let residents = vec![loops; pods];
            assert!((model().time_slicing(&residents)[0] * 0.08815 / slicing - 1.0).abs() < 0.01);
            assert!((model().mps(&residents, 1.0)[0] * 0.08815 / mps - 1.0).abs() < 0.12);
        }
        let slice = loops.slowdown(model().slice_share(1, 7)) * 0.08815;
        assert!((slice / 0.34237 - 1.0).abs() < 0.12);
    }

    #[test]
    fn slices_match_the_class_table() {
        for ((name, behavior), expected) in Behavior::NAMED.iter().zip([
            [0.164, 0.325, 0.484, 0.640],
            [0.278, 0.494, 0.667, 0.808],
            [0.444, 0.727, 0.923, 1.0],
            [0.489, 0.912, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
            [0.710, 0.866, 0.935, 0.973],
        ]) {
            for (slices, speed) in (1..=4).zip(expected) {
                let got = 1.0 / behavior.slowdown(model().slice_share(slices, 7));
                assert!((got - speed).abs() < 5e-4_f64.max(0.0006), "{name} {slices}g: {got}");
            }
        }
    }
}
