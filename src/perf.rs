//! How fast a pod runs where it stands: slowdown by slice and by neighbours, and what breaks.
//!
//! A pod's speed is 1/S, where S ≥ 1 is its slowdown against a full GPU of its own. Speeds are
//! constant between events; whenever the pods of a GPU change, the simulation asks again. Values
//! in, values out: IEEE `+ − × ÷`, comparisons and `libm` only, so every processor agrees, and the
//! residents of a GPU come in an order that does not depend on who came first.
//!
//! A class is described by two numbers ([`Behavior`]), because the modes punish different ones: MIG
//! and MPS care how much of the GPU a pod can fill, time-slicing how much of its time it wants it.
//! The numbers of the models are in [`Mig`], [`Mps`] and [`TimeSlicing`], each with its source; measured
//! tables win over formulas. [`failures`] has what breaks, and how long that lasts.
//!
//! [`assign`](mod@assign) says which behavior each pod has, and [`fit`] finds behaviors in measurements.
//! [`service`] has the requests of pods that serve.
//!
//! Another model is one function: implement [`SpeedModel`].

pub mod assign;
mod behavior;
pub mod failures;
pub mod fit;
mod parameters;
pub mod recut;
pub mod service;
mod slicing;

pub use behavior::Behavior;
pub use parameters::{FaultDomain, Mig, Mps, PairMode, PairRow, Printed, Threads, TimeSlicing};

use crate::cluster::Share;
use crate::id::{BehaviorId, PodId};
use crate::rng::Stream;
use crate::units::Mib;
use crate::workload::Pod;
use crate::workload::request::Sharing;
use crate::workload::view::Pods;
use failures::Life;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// A pod with work on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resident {
    /// What it does with the GPU.
    pub behavior: BehaviorId,
    /// Compute slices of its MIG slice; 0 in other modes.
    pub slices: u8,
    /// Share of the GPU's threads that it is limited to, percent; 100 is no limit.
    pub threads: u8,
}

/// How fast pods run that share a GPU.
pub trait SpeedModel: Debug + Send + Sync {
    /// Pushes the slowdown of each resident, in their order, each a finite number of at least 1.
    ///
    /// Residents come ordered by behavior, slices and threads, and equal ones must be slowed alike.
    fn slowdowns(&self, share: &Share, residents: &[Resident], out: &mut Vec<f64>);

    /// Whether a resident's slowdown depends on its neighbours in this mode: else those who stay are
    /// not asked again when somebody comes or goes.
    fn minds_neighbours(&self, share: &Share) -> bool {
        let _ = share;
        true
    }
}

/// Which behavior each pod has: that of its class, unless pods have their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviors {
    /// The behavior of each class.
    pub of_class: Vec<BehaviorId>,
    /// The behavior of each pod; empty where the class decides.
    pub of_pod: Vec<BehaviorId>,
}

impl Behaviors {
    /// Class by class, in their order.
    #[must_use]
    pub fn by_class(classes: usize) -> Behaviors {
        Behaviors { of_class: (0..classes).map(BehaviorId::of).collect(), of_pod: Vec::new() }
    }

    /// A pod's behavior.
    #[must_use]
    pub fn of(&self, id: PodId, pod: &Pod) -> BehaviorId {
        match self.of_pod.get(id.index()) {
            Some(own) => *own,
            None => self.of_class[pod.class.index()],
        }
    }
}

/// The sharing models.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Model {
    /// Behaviors by [`BehaviorId`].
    pub behaviors: Vec<Behavior>,
    /// Speed on MIG slices.
    pub mig: Mig,
    /// Interference under MPS.
    pub mps: Mps,
    /// Interference under time-slicing.
    pub time_slicing: TimeSlicing,
    /// Measured slowdowns: of a behavior beside another, by mode.
    pub pairs: BTreeMap<(PairMode, BehaviorId, BehaviorId), f64>,
}

impl Model {
    /// The default parameters for these behaviors.
    #[must_use]
    pub fn new(behaviors: Vec<Behavior>) -> Model {
        Model { behaviors, ..Model::default() }
    }

    fn behavior(&self, resident: &Resident) -> &Behavior {
        &self.behaviors[resident.behavior.index()]
    }

    /// Threads that a pod of this mode is limited to, in percent: `held` of the GPU's `all` memory units
    /// are its own.
    #[must_use]
    pub fn threads(&self, share: &Share, held: u16) -> u8 {
        let percent =
            |part: u16, all: u16| (100 * u32::from(part) / u32::from(all.max(1))).clamp(1, 100) as u8;
        match (share, self.mps.threads) {
            (Share::Replicas { replicas, mps: true }, Threads::Plugin | Threads::Proportional) => {
                percent(1, *replicas)
            }
            (Share::Memory { gb, .. } | Share::Sliced { gb, .. }, Threads::Proportional) => {
                percent(held, *gb)
            }
            _ => 100,
        }
    }

    /// Speed of a MIG slice: f(k) = min(1, κ·k/K), f(K) = 1, times that of the full instance. For
    /// products without seven slices the form is assumed.
    fn slice_share(&self, slices: u8, of: u8) -> f64 {
        let share =
            if slices == of { 1.0 } else { (self.mig.kappa * f64::from(slices) / f64::from(of)).min(1.0) };
        share * self.mig.full
    }

    /// Slowdown of a behavior alone on a MIG slice, against the same GPU with MIG off.
    #[must_use]
    pub fn slice_slowdown(&self, behavior: BehaviorId, slices: u8, of: u8) -> f64 {
        let behavior = &self.behaviors[behavior.index()];
        match behavior.speeds.get(&slices) {
            Some(speed) => 1.0 / (speed * self.mig.full),
            None => behavior.slowdown(self.slice_share(slices, of)),
        }
    }

    fn mig(&self, of: u8, residents: &[Resident], out: &mut Vec<f64>) {
        let busy: u32 = residents.iter().map(|r| u32::from(r.slices)).sum();
        for resident in residents {
            let alone = self.slice_slowdown(resident.behavior, resident.slices, of);
            let others = f64::from(busy - u32::from(resident.slices));
            out.push(alone * (1.0 + self.mig.residual * others));
        }
    }

    /// `S_i = max(1 + α·Σ_{j≠i} u_j, Σ_j u_j ÷ C)`, times the slowdown on a share p of the threads
    /// where clients are limited, with `u = (1−h)·min(d, p)`.
    fn mps(&self, residents: &[Resident], out: &mut Vec<f64>) {
        let limit = |r: &Resident| f64::from(r.threads) / 100.0;
        let demand = |r: &Resident| self.behavior(r).demand(limit(r));
        let total: f64 = residents.iter().map(demand).sum();
        for resident in residents {
            let shared = self.mps.shared(demand(resident), total);
            let own = match resident.threads {
                100 => 1.0,
                _ => self.behavior(resident).slowdown(limit(resident)),
            };
            out.push(shared * own);
        }
    }

    fn time_slicing(&self, residents: &[Resident], out: &mut Vec<f64>) {
        let hosts: Vec<f64> = residents.iter().map(|r| self.behavior(r).host).collect();
        slicing::slowdowns(&hosts, self.time_slicing.loss, out);
    }

    fn by_formula(&self, share: &Share, residents: &[Resident], out: &mut Vec<f64>) {
        match share {
            // Whole GPUs and thousandths run at full speed: nobody measured the latter, and schedulers
            // that hand them out promise it.
            Share::Whole | Share::Milli => out.extend(residents.iter().map(|_| 1.0)),
            Share::Slices { compute, .. } => self.mig(*compute, residents, out),
            Share::Replicas { mps: false, .. } => self.time_slicing(residents, out),
            Share::Memory { .. } | Share::Sliced { .. } | Share::Replicas { mps: true, .. } => {
                self.mps(residents, out);
            }
        }
    }

    /// What measured pairs say beyond the formula: each resident's slowdown times the geometric mean,
    /// over its n − 1 neighbours, of measured ÷ modelled slowdown of the two alone. Exact for two; the
    /// rule for more is assumed.
    fn correct(&self, mode: PairMode, share: &Share, residents: &[Resident], out: &mut [f64]) {
        let mut both = Vec::with_capacity(2);
        for (i, resident) in residents.iter().enumerate() {
            let mut log = 0.0;
            for (j, other) in residents.iter().enumerate() {
                let Some(measured) = self.pairs.get(&(mode, resident.behavior, other.behavior)) else {
                    continue;
                };
                if i == j {
                    continue;
                }
                both.clear();
                self.by_formula(share, &[*resident, *other], &mut both);
                log += libm::log(measured.max(1.0) / both[0]);
            }
            if log != 0.0 {
                out[i] = (out[i] * libm::exp(log / (residents.len() - 1) as f64)).max(1.0);
            }
        }
    }

    /// Every number that runs rest on whose clusters have these modes, with its source.
    #[must_use]
    pub fn printed(&self, has: impl Fn(Sharing) -> bool) -> Vec<Printed> {
        let mut rows = Vec::new();
        if has(Sharing::Mig) {
            rows.extend(self.mig.printed());
        }
        if has(Sharing::Mps) || has(Sharing::MpsReplicas) {
            rows.extend(self.mps.printed());
        }
        if has(Sharing::TimeSlicing) {
            rows.extend(self.time_slicing.printed());
        }
        rows
    }
}

/// The mode of pair tables that a way of sharing belongs to.
fn pair_mode(share: &Share) -> Option<PairMode> {
    match share {
        Share::Memory { .. } | Share::Sliced { .. } | Share::Replicas { mps: true, .. } => {
            Some(PairMode::Mps)
        }
        Share::Replicas { mps: false, .. } => Some(PairMode::TimeSlicing),
        Share::Whole | Share::Milli | Share::Slices { .. } => None,
    }
}

impl SpeedModel for Model {
    fn slowdowns(&self, share: &Share, residents: &[Resident], out: &mut Vec<f64>) {
        let first = out.len();
        self.by_formula(share, residents, out);
        if let Some(mode) = pair_mode(share)
            && !self.pairs.is_empty()
            && 1 < residents.len()
        {
            self.correct(mode, share, residents, &mut out[first..]);
        }
    }

    fn minds_neighbours(&self, share: &Share) -> bool {
        match share {
            Share::Whole | Share::Milli => false,
            Share::Slices { .. } => self.mig.residual != 0.0,
            _ => true,
        }
    }
}

/// Seeded residuals: what a pair of pods does to each other beyond the model.
///
/// `S_i · exp(σ · Σ_{j≠i} z_ij ÷ √(n−1))`, held at 1 or more, z_ij standard normal, drawn once per ordered
/// pair and keyed by both. σ is measured (S7 .13, S6 .25); the rule for more than two and the floor are
/// assumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Residuals {
    /// Seed of the run.
    pub seed: u64,
    /// σ under MPS.
    pub mps: f64,
    /// σ under time-slicing.
    pub time_slicing: f64,
}

impl Residuals {
    /// Those of a model, if it has any.
    #[must_use]
    pub fn of(model: &Model, seed: u64) -> Option<Residuals> {
        let (mps, time_slicing) = (model.mps.residual, model.time_slicing.residual);
        (mps != 0.0 || time_slicing != 0.0).then_some(Residuals { seed, mps, time_slicing })
    }

    /// σ in this mode.
    #[must_use]
    pub fn sigma(&self, share: &Share) -> f64 {
        match pair_mode(share) {
            Some(PairMode::Mps) => self.mps,
            Some(PairMode::TimeSlicing) => self.time_slicing,
            None => 0.0,
        }
    }

    /// z of a pod beside another.
    #[must_use]
    pub fn draw(&self, pod: PodId, beside: PodId) -> f64 {
        let key = u64::from(pod.0) << 32 | u64::from(beside.0);
        Stream::new(self.seed, "residual", key).normal()
    }

    /// A slowdown with the residuals of a pod's neighbours: `sum` is Σ z.
    #[must_use]
    pub fn apply(sigma: f64, slowdown: f64, sum: f64, neighbours: usize) -> f64 {
        (slowdown * libm::exp(sigma * sum / libm::sqrt(neighbours as f64))).max(1.0)
    }
}

/// All that a run knows of how pods run, beside what they ask for.
#[derive(Clone, Debug)]
pub struct Models {
    /// Which behavior each pod has.
    pub behaviors: Behaviors,
    /// What behaviors do, and the numbers of the sharing models.
    pub model: Model,
    /// A model of the user's own, which answers in place of ours.
    pub own: Option<Arc<dyn SpeedModel>>,
    /// Whether slices and neighbours slow pods.
    pub sharing: bool,
    /// What breaks; `None` is nothing but pods by themselves.
    pub failures: Option<failures::Failures>,
    /// GPU memory that pods of each demand need; 0 where the trace does not say.
    pub memory: Vec<Mib>,
    /// Memory of a GPU of each node class; 0 where it is unknown.
    pub gpu_memory: Vec<Mib>,
    /// Seed of residuals, faults and crashes.
    pub seed: u64,
}

impl Models {
    /// The model that says how fast pods run.
    #[must_use]
    pub fn speed_model(&self) -> &dyn SpeedModel {
        match &self.own {
            Some(own) => &**own,
            None => &self.model,
        }
    }

    /// A pod's behavior.
    #[must_use]
    pub fn behavior(&self, pod: PodId, pods: &Pods<'_>) -> BehaviorId {
        self.behaviors.of(pod, &pods.pods[pod.index()])
    }

    /// How a pod lives.
    #[must_use]
    pub fn life(&self, pod: PodId, pods: &Pods<'_>) -> &Life {
        &self.model.behaviors[self.behavior(pod, pods).index()].life
    }

    /// GPU memory that a pod needs on each of its GPUs; 0 where nobody says.
    #[must_use]
    pub fn memory(&self, pod: PodId, pods: &Pods<'_>) -> Mib {
        let of_trace = || self.memory.get(pods.pods[pod.index()].demand.index()).copied().unwrap_or_default();
        self.life(pod, pods).memory.unwrap_or_else(of_trace)
    }
}

#[cfg(test)]
mod tests;
