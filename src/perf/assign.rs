//! Which behavior each pod has, where its class does not say: rules, and mixes drawn by the seed.
//!
//! A trace names classes such as `train` or `inference`, and what such pods do with a GPU differs. Rules
//! look at what is known of a pod, its true run time included: no policy sees a behavior.

use super::Behaviors;
use crate::id::{BehaviorId, PodId};
use crate::rng::Stream;
use crate::units::{Mib, Span};
use crate::workload::policy::Of;
use crate::workload::{GpuDemand, Pod, Truth, Workload};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a pod asks of GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuKind {
    /// Nothing.
    None,
    /// A part of one.
    Share,
    /// A MIG slice.
    Slice,
    /// One or more.
    Whole,
}

impl GpuKind {
    fn of(demand: GpuDemand) -> GpuKind {
        match demand {
            GpuDemand::None => GpuKind::None,
            GpuDemand::Share { .. } => GpuKind::Share,
            GpuDemand::Profile(_) => GpuKind::Slice,
            GpuDemand::Whole { .. } => GpuKind::Whole,
        }
    }
}

/// The pods that a rule means; what is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Which {
    /// Namespaces and classes.
    #[serde(flatten)]
    pub of: Of,
    /// What they ask of GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<GpuKind>,
    /// Their run time alone on a full GPU is above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longer_than: Option<Span>,
    /// It is below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shorter_than: Option<Span>,
    /// The GPU memory that their trace says is at least this; who says nothing is not meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory_at_least: Option<Mib>,
    /// It is below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory_below: Option<Mib>,
}

impl Which {
    fn means(&self, pod: &Pod, truth: &Truth, workload: &Workload) -> bool {
        let demand = workload.demands[pod.demand.index()].gpu;
        let said = match demand {
            GpuDemand::Share { memory, .. } if memory != Mib(0) => Some(memory),
            _ => None,
        };
        let namespace = &workload.namespaces[pod.namespace.index()];
        self.of.holds(namespace, &workload.classes[pod.class.index()])
            && self.gpus.is_none_or(|kind| kind == GpuKind::of(demand))
            && self.longer_than.is_none_or(|span| span < truth.work)
            && self.shorter_than.is_none_or(|span| truth.work < span)
            && self.gpu_memory_at_least.is_none_or(|least| said.is_some_and(|said| least <= said))
            && self.gpu_memory_below.is_none_or(|limit| said.is_some_and(|said| said < limit))
    }
}

/// The behavior of the pods of a rule, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum As {
    /// This one.
    One(String),
    /// One of several, drawn for each pod with these weights.
    Mix {
        /// Weights, each above 0, by name.
        mix: BTreeMap<String, f64>,
    },
}

impl As {
    /// The names that it may give.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let (one, mix) = match self {
            As::One(name) => (Some(name), None),
            As::Mix { mix } => (None, Some(mix.keys())),
        };
        one.into_iter().chain(mix.into_iter().flatten())
    }
}

/// A rule that gives pods a behavior.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assign {
    /// The pods.
    pub of: Which,
    /// Their behavior.
    #[serde(rename = "as")]
    pub to: As,
}

/// Gives each pod the behavior of the first rule that means it, and the others that of their class.
/// `named` are the behaviors that rules name.
///
/// A mix is drawn from a stream of the pod's own, so that neither another rule nor another pod moves it.
///
/// # Panics
/// If a rule names a behavior that is not in `named`, which a scenario refuses.
#[must_use]
pub fn assign(
    rules: &[Assign],
    named: &BTreeMap<&str, BehaviorId>,
    workload: &Workload,
    seed: u64,
) -> Behaviors {
    let by_class = Behaviors::by_class(workload.classes.len());
    if rules.is_empty() {
        return by_class;
    }
    let id = |name: &String| named[name.as_str()];
    let one = |(index, (pod, truth)): (usize, (&Pod, &Truth))| {
        let Some(rule) = rules.iter().find(|rule| rule.of.means(pod, truth, workload)) else {
            return by_class.of(PodId::of(index), pod);
        };
        match &rule.to {
            As::One(name) => id(name),
            As::Mix { mix } => {
                let weights: Vec<f64> = mix.values().copied().collect();
                let drawn = Stream::new(seed, "behavior", index as u64).weighted(&weights);
                id(mix.keys().nth(drawn).expect("a weight has a name"))
            }
        }
    };
    let of_pod = workload.pods.iter().zip(&workload.truths).enumerate().map(one).collect();
    Behaviors { of_pod, ..by_class }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MilliCpu, Time};
    use crate::workload::{Builder, PodRow};

    /// 3,000 pods of two classes; every third says its memory and runs for two hours.
    fn workload() -> Workload {
        let mut builder = Builder::new();
        for pod in 0..3_000_u64 {
            let gpu = match pod % 3 {
                0 => GpuDemand::Share { milli: 500, memory: Mib(10 << 10) },
                1 => GpuDemand::Share { milli: 200, memory: Mib(0) },
                _ => GpuDemand::Whole { gpus: 1 },
            };
            builder.push(&PodRow {
                name: "",
                arrival: Time(pod),
                work: Span::from_secs(if pod % 3 == 0 { 7_200 } else { 60 }),
                cpu: MilliCpu(1),
                memory: Mib(1),
                gpu,
                constraint: 0,
                class: if pod % 2 == 0 { "even" } else { "odd" },
                namespace: "default",
                priority: 0,
                gang: 1,
            });
        }
        builder.finish()
    }

    fn rule(of: Which, to: As) -> Assign {
        Assign { of, to }
    }

    fn names() -> BTreeMap<&'static str, BehaviorId> {
        [("light", BehaviorId::of(2)), ("medium", BehaviorId::of(3))].into()
    }

    fn one(name: &str) -> As {
        As::One(name.to_owned())
    }

    #[test]
    fn the_first_rule_that_means_a_pod_counts() {
        let workload = workload();
        let long = Which { longer_than: Some(Span::from_secs(3_600)), ..Which::default() };
        let whole =
            Which { gpus: Some(GpuKind::Whole), shorter_than: Some(Span::from_secs(61)), ..Which::default() };
        let small = Which { gpu_memory_below: Some(Mib(20 << 10)), ..Which::default() };
        let rules = [rule(long, one("medium")), rule(whole, one("light")), rule(small, one("light"))];
        let given = assign(&rules, &names(), &workload, 1);
        for (index, pod) in workload.pods.iter().enumerate() {
            let expected = match index % 3 {
                0 => 3,
                2 => 2,
                // Says no memory, so that no limit of it means the pod.
                _ => index % 2,
            };
            assert_eq!(given.of(PodId::of(index), pod), BehaviorId::of(expected), "{index}");
        }
    }

    #[test]
    fn mixes_have_their_shares_and_depend_on_the_pod_alone() {
        let workload = workload();
        let mix =
            |light: f64| As::Mix { mix: [("light".to_owned(), light), ("medium".to_owned(), 3.0)].into() };
        let all = assign(&[rule(Which::default(), mix(1.0))], &names(), &workload, 1);
        let light = all.of_pod.iter().filter(|id| **id == BehaviorId::of(2)).count();
        assert!((light as f64 / 3_000.0 - 0.25).abs() < 0.03, "{light}");
        // A rule for other pods before it moves no draw.
        let odd = Of { classes: vec!["odd".to_owned()], ..Of::default() };
        let first = rule(Which { of: odd, ..Which::default() }, one("medium"));
        let fewer = assign(&[first, rule(Which::default(), mix(1.0))], &names(), &workload, 1);
        for index in (0..3_000).step_by(2) {
            assert_eq!(all.of_pod[index], fewer.of_pod[index]);
        }
        let other = assign(&[rule(Which::default(), mix(1.0))], &names(), &workload, 2);
        assert_ne!(all, other);
        assert!(assign(&[], &names(), &workload, 1).of_pod.is_empty());
    }
}
