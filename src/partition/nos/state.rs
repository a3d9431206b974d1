//! What stands, or should stand, on each GPU, as nos writes it to Kubernetes.
//!
//! internal/partitioning/state/partitioning.go, internal/partitioning/core/actuator.go and
//! internal/partitioning/{mig,mps}/partitioner.go.

use super::fix::{Fix, Fixes};
use super::names::{Kind, SPEC_PLAN, SPEC_PREFIX, Spec, Texts, mps_memory_gb};
use super::resources::{Counts, Names};
use std::collections::{BTreeMap, BTreeSet};

/// Slices of one GPU by resource; an entry of 0 is not an absent one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GpuState {
    /// GPU index on the node.
    pub index: i64,
    /// Slices by resource.
    pub resources: BTreeMap<String, i64>,
}

/// The partitioning of nodes by name. Two are equal if their nodes are, GPUs in any order.
#[derive(Clone, Debug, Default)]
pub struct State(BTreeMap<String, Vec<GpuState>>);

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && same_gpus(a.1, b.1))
    }
}

impl Eq for State {}

/// Whether two lists have the same GPUs, in any order.
#[must_use]
pub fn same_gpus(a: &[GpuState], b: &[GpuState]) -> bool {
    let sorted = |gpus: &[GpuState]| {
        let mut gpus = gpus.to_vec();
        gpus.sort();
        gpus
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

impl FromIterator<(String, Vec<GpuState>)> for State {
    fn from_iter<I: IntoIterator<Item = (String, Vec<GpuState>)>>(nodes: I) -> State {
        State(nodes.into_iter().collect())
    }
}

impl State {
    /// The slices of one node's GPUs, as they are written.
    #[must_use]
    pub fn of_node(names: &Names, gpus: Vec<(i64, Counts)>) -> Vec<GpuState> {
        let gpu = |(index, counts): (i64, Counts)| {
            let resources = counts.iter().map(|(name, count)| (names.text(name).to_owned(), count));
            GpuState { index, resources: resources.collect() }
        };
        gpus.into_iter().map(gpu).collect()
    }

    /// The state of nodes with these GPUs.
    pub(super) fn of<'a>(
        names: &Names,
        nodes: impl IntoIterator<Item = (&'a str, Vec<(i64, Counts)>)>,
    ) -> State {
        nodes.into_iter().map(|(name, gpus)| (name.to_owned(), State::of_node(names, gpus))).collect()
    }

    /// GPUs of a node.
    #[must_use]
    pub fn get(&self, node: &str) -> Option<&[GpuState]> {
        self.0.get(node).map(Vec::as_slice)
    }

    /// Nodes by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[GpuState])> {
        self.0.iter().map(|(node, gpus)| (node.as_str(), gpus.as_slice()))
    }

    /// Takes over the nodes of another state.
    pub fn replace(&mut self, other: State) {
        self.0.extend(other.0);
    }

    /// The nodes to which a desired state is written, by name (nos: in any order, N7). None if it is
    /// empty or stands already; otherwise all of them, changed or not ([`Fix::RewriteAll`]).
    #[must_use]
    pub fn written<'a>(&self, desired: &'a State, fixes: Fixes) -> Vec<&'a str> {
        if desired.0.is_empty() || self == desired {
            return Vec::new();
        }
        let stands = |(node, gpus): &(&str, &[GpuState])| {
            self.get(node).is_some_and(|current| same_gpus(current, gpus))
        };
        let written = desired.iter().filter(|node| !(fixes.has(Fix::RewriteAll) && stands(node)));
        written.map(|(node, _)| node).collect()
    }
}

/// A resource in a partitioning that is no slice of its kind: nothing is written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{resource}` is no {} slice", .kind.word())]
pub struct NotASlice {
    /// The resource.
    pub resource: String,
    /// What it should be a slice of.
    pub kind: Kind,
}

/// The profiles of a partitioning with their GPU indexes and counts.
fn profiles(kind: Kind, gpus: &[GpuState]) -> Result<Vec<(i64, &str, i64)>, NotASlice> {
    let mut profiles = Vec::new();
    for gpu in gpus {
        for (resource, count) in &gpu.resources {
            let not_a_slice = || NotASlice { resource: resource.clone(), kind };
            profiles.push((gpu.index, kind.profile(resource).ok_or_else(not_a_slice)?, *count));
        }
    }
    Ok(profiles)
}

/// Annotations of a MIG node that is asked for a partitioning: those that asked for another go. Of two
/// GPUs with one index, equal profiles overwrite each other.
///
/// # Errors
/// A resource that is no MIG slice.
pub fn annotate(annotations: &Texts, gpus: &[GpuState], plan: &str) -> Result<Texts, NotASlice> {
    let mut annotations = annotations.clone();
    annotations.retain(|key, _| !key.starts_with(SPEC_PREFIX));
    for (index, profile, quantity) in profiles(Kind::Mig, gpus)? {
        let spec = Spec { index, profile: profile.to_owned(), quantity };
        annotations.insert(spec.to_string(), quantity.to_string());
    }
    annotations.insert(SPEC_PLAN.to_owned(), plan.to_owned());
    Ok(annotations)
}

/// One entry of the device plugin's MPS configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicas {
    /// What `nvidia.com/gpu` is called there, `gpu-<n>gb`.
    pub rename: String,
    /// Memory limit of each replica.
    pub memory_gb: i64,
    /// GPU index.
    pub device: i64,
    /// How many.
    pub replicas: i64,
}

impl Replicas {
    /// The resource under which the device plugin offers them.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("nvidia.com/{}", self.rename)
    }

    /// Their device ids: the GPU's, then `::` and a number from 0.
    pub fn ids<'a>(&self, gpu: &'a str) -> impl Iterator<Item = String> + use<'a> {
        (0..self.replicas).map(move |replica| format!("{gpu}::{replica}"))
    }
}

/// The device plugin's configuration of an MPS node; its order is free (N13).
///
/// # Errors
/// A resource that is no MPS slice.
pub fn plugin_config(gpus: &[GpuState]) -> Result<Vec<Replicas>, NotASlice> {
    let entry = |(device, profile, replicas): (i64, &str, i64)| Replicas {
        rename: format!("gpu-{profile}"),
        memory_gb: mps_memory_gb(profile),
        device,
        replicas,
    };
    Ok(profiles(Kind::Mps, gpus)?.into_iter().map(entry).collect())
}

/// The key of a node's configuration in the device plugin's ConfigMap, and the label that names it.
#[must_use]
pub fn config_key(node: &str, plan: &str) -> String {
    format!("{node}-{plan}")
}

/// Keys of the device plugin's ConfigMap after a plan was written for a node: every key that begins
/// with the node's name makes way, that of `node-10` for `node-1` too ([`Fix::ConfigPrefix`]).
#[must_use]
pub fn config_keys(keys: &BTreeSet<String>, node: &str, plan: &str, fixes: Fixes) -> BTreeSet<String> {
    let own = |key: &str| match key.strip_prefix(node).and_then(|rest| rest.strip_prefix('-')) {
        // A plan id has no hyphen; a node's name may go on with one.
        Some(id) => !id.contains('-'),
        None => false,
    };
    let goes = |key: &str| if fixes.has(Fix::ConfigPrefix) { own(key) } else { key.starts_with(node) };
    let mut keys: BTreeSet<String> = keys.iter().filter(|key| !goes(key)).cloned().collect();
    keys.insert(config_key(node, plan));
    keys
}
