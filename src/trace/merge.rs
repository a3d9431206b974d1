//! Several workloads into one, and single pods from one workload into another.

use crate::id::PodId;
use crate::workload::{Builder, GpuDemand, PodRow, Workload};
use rustc_hash::FxHashSet;
use std::borrow::Borrow;

/// All pods by arrival; those of one moment in the order of `parts`. A name that an earlier part
/// has too gets `@` and the number of its part, from 2: copies of a trace share all their names.
#[must_use]
pub fn merge<W: Borrow<Workload>>(parts: &[W]) -> Workload {
    if let [only] = parts {
        return only.borrow().clone();
    }
    let mut builder = Builder::new();
    let mut taken = FxHashSet::default();
    for (number, part) in parts.iter().map(Borrow::borrow).enumerate() {
        let copier = Copier::new(part, &mut builder);
        for pod in (0..part.len()).map(PodId::of) {
            let mut name = part.names.get(pod).into_owned();
            if taken.contains(&name) {
                name = unused(&taken, &name, number + 1);
            }
            builder.push(&copier.row(pod, &name));
            taken.insert(name);
        }
    }
    builder.finish()
}

fn unused(taken: &FxHashSet<String>, name: &str, part: usize) -> String {
    let mut new = format!("{name}@{part}");
    while taken.contains(&new) {
        new.push('\'');
    }
    new
}

/// Pods of one workload as rows for another's builder.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    from: &'a Workload,
    /// What the builder calls the constraints and profiles of `from`.
    constraints: Vec<u32>,
    profiles: Vec<GpuDemand>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(from: &'a Workload, builder: &mut Builder) -> Copier<'a> {
        Copier {
            from,
            constraints: from.constraints.iter().map(|c| builder.constraint(c.clone())).collect(),
            profiles: from.profiles.iter().map(|name| builder.profile(name)).collect(),
        }
    }

    pub(super) fn row<'r>(&self, id: PodId, name: &'r str) -> PodRow<'r>
    where
        'a: 'r,
    {
        let pod = &self.from.pods[id.index()];
        let demand = self.from.demand(id);
        PodRow {
            name,
            arrival: pod.arrival,
            work: self.from.truths[id.index()].work,
            cpu: demand.cpu,
            memory: demand.memory,
            gpu: match demand.gpu {
                GpuDemand::Profile(profile) => self.profiles[usize::from(profile)],
                gpu => gpu,
            },
            constraint: self.constraints[demand.constraint as usize],
            class: &self.from.classes[pod.class.index()],
            namespace: &self.from.namespaces[pod.namespace.index()],
            priority: pod.priority,
            gang: pod.gang,
        }
    }
}
