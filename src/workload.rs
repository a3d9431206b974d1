//! What is asked for: pods, their demands, and the truth about them that no policy may see.
//!
//! A [`Demand`] is what the workload needs whatever the sharing mode. What a pod asks Kubernetes
//! for in one mode is a [`request::Request`], derived from the demand by a named rule
//! ([`request::Rule`]). Pods with equal demands share one entry, so translating a million pods
//! translates a few hundred demands.

pub mod policy;
pub mod request;
pub mod view;

use crate::id::{ClassId, DemandId, NamespaceId, PodId};
use crate::units::{Mib, MilliCpu, Span, Time};
use rustc_hash::FxHashMap;

/// One pod as a scheduler may see it. 40 bytes less its demand, so a million fit in the cache of nobody
/// but in 32 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// When it is created.
    pub arrival: Time,
    /// What it needs.
    pub demand: DemandId,
    /// Its class, for reports and sharing models.
    pub class: ClassId,
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Higher goes first, as `spec.priority`.
    pub priority: i32,
    /// Pods that must start together, this one first: 1 for a pod alone, n for the first of a gang
    /// of n, 0 for its other members, which follow it.
    pub gang: u32,
    /// `preemptionPolicy: Never`: it evicts nobody.
    pub never_preempts: bool,
}

/// What a pod will really take. Held by the simulation alone; a policy is never handed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Run time alone on a full GPU (or on its CPUs).
    pub work: Span,
}

/// GPU part of a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GpuDemand {
    /// A CPU-only pod.
    None,
    /// Part of one GPU: `milli` thousandths, 1 to 999.
    Share {
        /// Thousandths of one GPU.
        milli: u16,
        /// GPU memory needed; 0 where the trace does not say.
        memory: Mib,
    },
    /// So many whole GPUs, 1 or more.
    Whole {
        /// Number of GPUs.
        gpus: u16,
    },
    /// One MIG slice named by profile, as `2g` (the plain profile of so many compute slices) or
    /// `1g.10gb`: an index into [`Workload::profiles`].
    Profile(u16),
}

/// What a pod needs whatever the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// CPU request.
    pub cpu: MilliCpu,
    /// Memory request.
    pub memory: Mib,
    /// GPU demand.
    pub gpu: GpuDemand,
    /// Where it may run: an index into [`Workload::constraints`]; 0 is anywhere.
    pub constraint: u32,
}

/// Where a pod may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Constraint {
    /// Allowed GPU models (catalogue ids, or any text that the cluster uses); empty allows all.
    pub models: Vec<String>,
    /// Labels a node must carry (`nodeSelector`).
    pub selector: Vec<(String, String)>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
}

/// One toleration, with Kubernetes' meaning of the empty fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Taint key; empty tolerates every key (with `value` `None`).
    pub key: String,
    /// Taint value that must be equal; `None` is the operator `Exists`.
    pub value: Option<String>,
    /// `NoSchedule`, `NoExecute`, `PreferNoSchedule`; empty is every effect.
    pub effect: String,
}

/// Pods in order of arrival with the tables that they refer to.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Pods by [`PodId`], arrival ascending.
    pub pods: Vec<Pod>,
    /// The truth of each pod.
    pub truths: Vec<Truth>,
    /// Names of the pods.
    pub names: Names,
    /// Distinct demands by [`DemandId`].
    pub demands: Vec<Demand>,
    /// Distinct constraints; entry 0 is "anywhere".
    pub constraints: Vec<Constraint>,
    /// Class names by [`ClassId`].
    pub classes: Vec<String>,
    /// Namespace names by [`NamespaceId`].
    pub namespaces: Vec<String>,
    /// MIG profile names that demands refer to.
    pub profiles: Vec<String>,
}

impl Workload {
    /// Number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there is no pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// A pod's demand.
    #[must_use]
    pub fn demand(&self, pod: PodId) -> &Demand {
        &self.demands[self.pods[pod.index()].demand.index()]
    }
}

/// A pod as a reader or generator hands it over, before its parts are interned.
#[derive(Clone, Debug)]
pub struct PodRow<'a> {
    /// Name; empty for `pod-<number>`.
    pub name: &'a str,
    /// Creation time.
    pub arrival: Time,
    /// Work alone on a full GPU.
    pub work: Span,
    /// CPU request.
    pub cpu: MilliCpu,
    /// Memory request.
    pub memory: Mib,
    /// GPU demand; [`GpuDemand::Profile`] through [`Builder::profile`].
    pub gpu: GpuDemand,
    /// Constraint; 0, or through [`Builder::constraint`].
    pub constraint: u32,
    /// Class name.
    pub class: &'a str,
    /// Namespace name.
    pub namespace: &'a str,
    /// Priority.
    pub priority: i32,
    /// Members that start together (see [`Pod::gang`]); members must be pushed one after another.
    pub gang: u32,
}

/// Collects pods and interns what they share.
#[derive(Debug, Default)]
pub struct Builder {
    workload: Workload,
    demands: FxHashMap<Demand, DemandId>,
    constraints: FxHashMap<Constraint, u32>,
    classes: FxHashMap<String, ClassId>,
    namespaces: FxHashMap<String, NamespaceId>,
    profiles: FxHashMap<String, u16>,
}

impl Builder {
    /// An empty workload.
    #[must_use]
    pub fn new() -> Builder {
        let mut builder = Builder::default();
        builder.constraint(Constraint::default());
        builder
    }

    /// Number of pods so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workload.len()
    }

    /// Whether no pod was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workload.is_empty()
    }

    /// The number of a constraint, for [`PodRow::constraint`].
    pub fn constraint(&mut self, constraint: Constraint) -> u32 {
        let next = u32::try_from(self.workload.constraints.len()).expect("fewer than 2^32 constraints");
        *self.constraints.entry(constraint).or_insert_with_key(|c| {
            self.workload.constraints.push(c.clone());
            next
        })
    }

    /// The demand for a MIG profile, for [`PodRow::gpu`].
    ///
    /// # Panics
    /// Beyond 65,536 distinct names, which no reader lets through.
    pub fn profile(&mut self, name: &str) -> GpuDemand {
        let next = u16::try_from(self.workload.profiles.len()).expect("readers refuse so many profile names");
        if let Some(known) = self.profiles.get(name) {
            return GpuDemand::Profile(*known);
        }
        self.workload.profiles.push(name.to_owned());
        self.profiles.insert(name.to_owned(), next);
        GpuDemand::Profile(next)
    }

    /// Adds a pod.
    pub fn push(&mut self, row: &PodRow<'_>) {
        let demand = Demand { cpu: row.cpu, memory: row.memory, gpu: row.gpu, constraint: row.constraint };
        let demands = &mut self.workload.demands;
        let demand = *self.demands.entry(demand).or_insert_with(|| {
            demands.push(demand);
            DemandId::of(demands.len() - 1)
        });
        let class = intern(&mut self.classes, &mut self.workload.classes, row.class, ClassId::of);
        let namespace =
            intern(&mut self.namespaces, &mut self.workload.namespaces, row.namespace, NamespaceId::of);
        self.workload.pods.push(Pod {
            arrival: row.arrival,
            demand,
            class,
            namespace,
            priority: row.priority,
            gang: row.gang,
            never_preempts: false,
        });
        self.workload.truths.push(Truth { work: row.work });
        self.workload.names.push(row.name);
    }

    /// The workload, its pods in order of arrival; pods of one moment keep the order they came in.
    #[must_use]
    pub fn finish(mut self) -> Workload {
        if !self.workload.pods.is_sorted_by_key(|p| p.arrival) {
            let mut order: Vec<u32> = (0..self.workload.pods.len() as u32).collect();
            order.sort_by_key(|i| self.workload.pods[*i as usize].arrival);
            self.workload = self.workload.pick(&order);
        }
        self.workload
    }
}

impl Workload {
    /// The pods at `order`, in that order, with the tables unchanged. A pod may be taken twice.
    #[must_use]
    pub fn pick(&self, order: &[u32]) -> Workload {
        let mut names = Names::default();
        for i in order {
            names.push(&self.names.get(PodId(*i)));
        }
        Workload {
            pods: order.iter().map(|i| self.pods[*i as usize]).collect(),
            truths: order.iter().map(|i| self.truths[*i as usize]).collect(),
            names,
            demands: self.demands.clone(),
            constraints: self.constraints.clone(),
            classes: self.classes.clone(),
            namespaces: self.namespaces.clone(),
            profiles: self.profiles.clone(),
        }
    }
}

fn intern<I: Copy>(
    known: &mut FxHashMap<String, I>,
    table: &mut Vec<String>,
    name: &str,
    id: fn(usize) -> I,
) -> I {
    if let Some(found) = known.get(name) {
        return *found;
    }
    let new = id(table.len());
    table.push(name.to_owned());
    known.insert(name.to_owned(), new);
    new
}

/// Pod names end to end in one string: 4 bytes and the letters each.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Names {
    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).expect("pod names fit 4 GiB"));
    }

    /// A pod's name; `pod-<number>` where it was given none.
    #[must_use]
    pub fn get(&self, pod: PodId) -> std::borrow::Cow<'_, str> {
        let start = pod.index().checked_sub(1).map_or(0, |i| self.ends[i]) as usize;
        match &self.text[start..self.ends[pod.index()] as usize] {
            "" => format!("pod-{}", pod.0).into(),
            name => name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, at: u64) -> PodRow<'_> {
        PodRow {
            name,
            arrival: Time(at),
            work: Span(at + 1),
            cpu: MilliCpu(1),
            memory: Mib(2),
            gpu: GpuDemand::Whole { gpus: 1 },
            constraint: 0,
            class: "c",
            namespace: "n",
            priority: 0,
            gang: 1,
        }
    }

    #[test]
    fn pods_are_sorted_and_shared_parts_interned() {
        let mut builder = Builder::new();
        for (name, at) in [("b", 5), ("a", 3), ("", 5)] {
            builder.push(&row(name, at));
        }
        let workload = builder.finish();
        let names: Vec<_> = (0..3).map(|i| workload.names.get(PodId(i)).into_owned()).collect();
        assert_eq!(names, ["a", "b", "pod-2"]);
        assert_eq!(workload.truths[0].work, Span(4));
        assert_eq!((workload.demands.len(), workload.classes.len(), workload.constraints.len()), (1, 1, 1));
    }
}
