//! Amounts: what is asked for, what is there, and the names they go by.
//!
//! Names are interned once per snapshot, with all that the planner wants to know about each, so that
//! a plan compares numbers.

use super::names::{Kind, limited, mig_size, mps_memory_gb};
use crate::id::ResourceId;
use rustc_hash::FxHashMap;

/// A Go map from names to numbers: sorted by id, and an entry of 0 is not an absent one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts(Vec<(ResourceId, i64)>);

impl Counts {
    /// No entry.
    #[must_use]
    pub const fn new() -> Counts {
        Counts(Vec::new())
    }

    /// The number of a name; 0 without an entry.
    #[must_use]
    pub fn get(&self, name: ResourceId) -> i64 {
        self.0.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count)
    }

    /// Whether there is an entry, be it of 0.
    #[must_use]
    pub fn has(&self, name: ResourceId) -> bool {
        self.0.iter().any(|(n, _)| *n == name)
    }

    /// Adds to an entry, which begins at 0.
    pub fn add(&mut self, name: ResourceId, count: i64) {
        match self.0.iter().position(|(n, _)| name <= *n) {
            Some(at) if self.0[at].0 == name => self.0[at].1 += count,
            Some(at) => self.0.insert(at, (name, count)),
            None => self.0.push((name, count)),
        }
    }

    /// Adds every entry of `other`, those of 0 too.
    pub fn add_all(&mut self, other: &Counts) {
        for (name, count) in other.iter() {
            self.add(name, count);
        }
    }

    /// Takes away, and with it the entry if nothing is left.
    pub fn take(&mut self, name: ResourceId, count: i64) {
        self.add(name, -count);
        self.0.retain(|(n, left)| *n != name || 0 < *left);
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(ResourceId) -> bool) {
        self.0.retain(|(name, _)| keep(*name));
    }

    /// Entries by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ResourceId, i64)> + Clone {
        self.0.iter().copied()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all entries and keeps the room for them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Becomes equal to `other` in the room there is.
    pub(super) fn copy(&mut self, other: &Counts) {
        self.0.clone_from(&other.0);
    }
}

impl FromIterator<(ResourceId, i64)> for Counts {
    /// Counts of one name are added up.
    fn from_iter<I: IntoIterator<Item = (ResourceId, i64)>>(entries: I) -> Counts {
        let mut counts = Counts::new();
        for (name, count) in entries {
            counts.add(name, limited(count));
        }
        counts
    }
}

/// Amounts as kube-scheduler holds them (`framework.Resource`). An amount may be below 0 after
/// [`Resources::minus`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_milli: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Ephemeral storage in bytes.
    pub storage_bytes: i64,
    /// Pods; of allocatable amounts alone.
    pub pods: i64,
    /// Extended resources.
    pub scalars: Counts,
}

impl Resources {
    /// The sum (pkg/resource/resource.go).
    #[must_use]
    pub fn plus(&self, other: &Resources) -> Resources {
        self.with(other, |a, b| a + b)
    }

    /// The difference; a scalar that only `other` has ends below 0.
    #[must_use]
    pub fn minus(&self, other: &Resources) -> Resources {
        self.with(other, |a, b| a - b)
    }

    /// The difference, at least 0 each.
    #[must_use]
    pub fn minus_to_zero(&self, other: &Resources) -> Resources {
        self.with(other, |a, b| (a - b).max(0))
    }

    fn with(&self, other: &Resources, op: impl Fn(i64, i64) -> i64) -> Resources {
        let names = self.scalars.iter().chain(other.scalars.iter()).map(|(name, _)| (name, 0));
        let union: Counts = names.collect();
        let scalar = |(name, _)| (name, op(self.scalars.get(name), other.scalars.get(name)));
        Resources {
            cpu_milli: op(self.cpu_milli, other.cpu_milli),
            memory_bytes: op(self.memory_bytes, other.memory_bytes),
            storage_bytes: op(self.storage_bytes, other.storage_bytes),
            pods: op(self.pods, other.pods),
            scalars: union.iter().map(scalar).collect(),
        }
    }

    /// Whether nothing is asked for in the eyes of NodeResourcesFit, to whom a scalar of 0 is
    /// something.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.cpu_milli == 0 && self.memory_bytes == 0 && self.storage_bytes == 0 && self.scalars.is_empty()
    }

    /// Adds in place; the number of pods stays.
    pub(super) fn charge(&mut self, other: &Resources) {
        self.cpu_milli += other.cpu_milli;
        self.memory_bytes += other.memory_bytes;
        self.storage_bytes += other.storage_bytes;
        self.scalars.add_all(&other.scalars);
    }

    /// Becomes equal to `other` in the room there is.
    pub(super) fn copy(&mut self, other: &Resources) {
        self.scalars.copy(&other.scalars);
        self.cpu_milli = other.cpu_milli;
        self.memory_bytes = other.memory_bytes;
        self.storage_bytes = other.storage_bytes;
        self.pods = other.pods;
    }
}

/// What is known about one name.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    /// The resource of the profile it stands for, as a slice of MIG and of MPS: itself, unless the
    /// prefix does not stand in front.
    slice: [Option<ResourceId>; 2],
    /// Memory and compute slices as a MIG profile.
    mig: (i64, i64),
    /// GB as an MPS profile.
    memory_gb: i64,
    /// The resource that the MPS planner creates for so many GB, spelled its own way.
    created: Option<ResourceId>,
}

/// Names of resources by id. A profile goes by the id of its resource.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: Vec<Name>,
    ids: FxHashMap<String, ResourceId>,
}

impl Names {
    /// The id of a resource, new or known.
    pub fn intern(&mut self, resource: &str) -> ResourceId {
        if let Some(id) = self.ids.get(resource) {
            return *id;
        }
        let id = ResourceId::of(self.names.len());
        let profile = |kind: Kind| resource.strip_prefix(kind.prefix()).unwrap_or(resource);
        let memory_gb = mps_memory_gb(profile(Kind::Mps));
        self.ids.insert(resource.to_owned(), id);
        self.names.push(Name {
            text: resource.to_owned(),
            slice: [None; 2],
            mig: mig_size(profile(Kind::Mig)),
            memory_gb,
            created: None,
        });
        for kind in [Kind::Mig, Kind::Mps] {
            // The inner call ends: its name has the prefix in front.
            let slice = kind.profile(resource).map(|profile| self.intern(&kind.resource(profile)));
            self.names[id.index()].slice[kind as usize] = slice;
        }
        if resource.starts_with(Kind::Mps.prefix()) {
            // This one too: `<n>gb` of n GB is itself.
            let created = self.intern(&Kind::Mps.resource(&format!("{memory_gb}gb")));
            self.names[id.index()].created = Some(created);
        }
        id
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Takes over the names that `other`, which begins with these, has beyond them.
    ///
    /// # Panics
    /// If it begins otherwise.
    pub fn follow(&mut self, other: &Names) {
        // One name may bring others with it, in the same order as it did there.
        while self.names.len() < other.names.len() {
            let at = self.names.len();
            self.intern(&other.names[at].text);
            assert!(self.names[at].text == other.names[at].text, "names have been interned in another order");
        }
    }

    /// The id of a profile.
    pub fn profile(&mut self, kind: Kind, profile: &str) -> ResourceId {
        self.intern(&kind.resource(profile))
    }

    /// The id of a resource that is known.
    #[must_use]
    pub fn find(&self, resource: &str) -> Option<ResourceId> {
        self.ids.get(resource).copied()
    }

    /// The text of a name.
    #[must_use]
    pub fn text(&self, id: ResourceId) -> &str {
        &self.names[id.index()].text
    }

    /// The profile in the resource of one.
    ///
    /// # Panics
    /// If the id is not of a profile of this kind.
    #[must_use]
    pub fn profile_text(&self, kind: Kind, id: ResourceId) -> &str {
        self.text(id).strip_prefix(kind.prefix()).expect("profiles are interned with their prefix")
    }

    /// The profile that a resource stands for in the planner of `kind`.
    #[must_use]
    pub fn slice(&self, kind: Kind, resource: ResourceId) -> Option<ResourceId> {
        self.names[resource.index()].slice[kind as usize]
    }

    /// The slices of `kind` among requests, by profile.
    #[must_use]
    pub fn slices(&self, kind: Kind, requests: &Counts) -> Counts {
        requests.iter().filter_map(|(name, count)| Some((self.slice(kind, name)?, count))).collect()
    }

    /// Memory and compute slices of a MIG profile.
    pub(super) fn mig_size(&self, profile: ResourceId) -> (i64, i64) {
        self.names[profile.index()].mig
    }

    /// GB in the name of a profile.
    pub(in crate::partition) fn gb(&self, kind: Kind, profile: ResourceId) -> i64 {
        match kind {
            Kind::Mig => self.mig_size(profile).0,
            Kind::Mps => self.memory_gb(profile),
        }
    }

    /// GB of an MPS profile.
    #[must_use]
    pub fn memory_gb(&self, profile: ResourceId) -> i64 {
        self.names[profile.index()].memory_gb
    }

    /// The profile that stands for a slice which the MPS planner creates in place of this one.
    pub(super) fn created(&self, profile: ResourceId) -> ResourceId {
        self.names[profile.index()].created.expect("an MPS profile is interned with its prefix")
    }

    /// Whether the first profile is smaller (pkg/gpu/{mig,slicing}/profile.go).
    #[must_use]
    pub fn smaller(&self, kind: Kind, a: ResourceId, b: ResourceId) -> bool {
        match kind {
            Kind::Mig => super::names::mig_smaller(self.mig_size(a), self.mig_size(b)),
            Kind::Mps => self.memory_gb(a) < self.memory_gb(b),
        }
    }

    /// Sorts ids by their text: the default order wherever nos follows a map.
    pub(super) fn sort(&self, ids: &mut [ResourceId]) {
        ids.sort_by(|a, b| self.text(*a).cmp(self.text(*b)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_zero_stays_until_something_is_taken() {
        let (a, b) = (ResourceId(0), ResourceId(1));
        let mut counts = Counts::from_iter([(b, 0), (a, 2)]);
        assert!(counts.has(b) && counts != Counts::from_iter([(a, 2)]));
        counts.take(b, 0);
        counts.take(a, 1);
        assert_eq!(counts, Counts::from_iter([(a, 1)]));
        counts.take(b, -3);
        assert_eq!(counts.get(b), 3, "a negative count taken is one given");
    }

    #[test]
    fn odd_names_stand_for_the_profiles_that_nos_reads_in_them() {
        let mut names = Names::default();
        let odd = names.intern("x.nvidia.com/gpu-010gb");
        let profile = names.slice(Kind::Mps, odd).expect("a slice");
        assert_eq!(names.text(profile), "nvidia.com/gpu-x.nvidia.com/gpu-010gb");
        assert_eq!(names.text(names.created(profile)), "nvidia.com/gpu-0gb");
        let padded = names.profile(Kind::Mps, "010gb");
        assert_eq!(names.text(names.created(padded)), "nvidia.com/gpu-10gb");
        assert_eq!(names.slice(Kind::Mig, padded), None);
    }
}
