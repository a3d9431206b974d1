//! Resources by name, and what a pod asks for in kube-scheduler's arithmetic: int64, CPU in
//! millicores, everything else in bytes or units.

/// Position of a resource in [`Resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub u16);

impl ResourceId {
    /// `cpu`, in millicores.
    pub const CPU: ResourceId = ResourceId(0);
    /// `memory`, in bytes.
    pub const MEMORY: ResourceId = ResourceId(1);
    /// `ephemeral-storage`, in bytes.
    pub const EPHEMERAL: ResourceId = ResourceId(2);

    /// Whether it is a scalar ("extended") resource: anything but the three above.
    #[must_use]
    pub fn is_scalar(self) -> bool {
        ResourceId::EPHEMERAL < self
    }

    /// Position.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names of resources. `pods` is none of them: kube-scheduler counts pods apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources(Vec<String>);

impl Default for Resources {
    fn default() -> Resources {
        Resources(["cpu", "memory", "ephemeral-storage"].map(str::to_owned).to_vec())
    }
}

impl Resources {
    /// Most resources of one run: reasons of refusal are a set of 64 bits of them.
    pub const MOST: usize = 64;

    /// The id of a name, new or known. Names beyond [`Resources::MOST`] share the last id, which no
    /// cluster of real devices reaches.
    pub fn intern(&mut self, name: &str) -> ResourceId {
        if let Some(id) = self.find(name) {
            return id;
        }
        if self.0.len() < Self::MOST {
            self.0.push(name.to_owned());
        }
        ResourceId((self.0.len() - 1) as u16)
    }

    /// The id of a known name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ResourceId> {
        self.0.iter().position(|known| known == name).map(|index| ResourceId(index as u16))
    }

    /// The name of an id.
    #[must_use]
    pub fn name(&self, id: ResourceId) -> &str {
        &self.0[id.index()]
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = ResourceId> + use<> {
        (0..self.0.len() as u16).map(ResourceId)
    }
}

/// Amounts by resource; what lies beyond the end is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts(Vec<i64>);

impl Amounts {
    /// The amount of one resource.
    #[must_use]
    pub fn get(&self, resource: ResourceId) -> i64 {
        self.0.get(resource.index()).copied().unwrap_or(0)
    }

    /// Sets the amount of one resource.
    pub fn set(&mut self, resource: ResourceId, amount: i64) {
        self.reach(resource.index() + 1);
        self.0[resource.index()] = amount;
    }

    /// The resources with an amount other than 0.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceId, i64)> + '_ {
        let pairs = self.0.iter().enumerate().map(|(index, amount)| (ResourceId(index as u16), *amount));
        pairs.filter(|(_, amount)| *amount != 0)
    }

    fn reach(&mut self, len: usize) {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }

    /// Adds `sign` × `other`.
    pub fn add(&mut self, other: &Amounts, sign: i64) {
        self.reach(other.0.len());
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += sign * theirs;
        }
    }

    fn raise_to(&mut self, other: &Amounts) {
        self.reach(other.0.len());
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }
}

impl FromIterator<(ResourceId, i64)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (ResourceId, i64)>>(pairs: I) -> Amounts {
        let mut amounts = Amounts::default();
        pairs.into_iter().for_each(|(resource, amount)| amounts.set(resource, amount));
        amounts
    }
}

/// One container's requests. A resource that is absent differs from one of which 0 is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Requests that are written, by resource.
    pub requests: Vec<(ResourceId, i64)>,
    /// Of init containers: whether it goes on running beside the others (a sidecar).
    pub restartable: bool,
}

/// CPU that a container without a CPU request counts for in scores, millicores
/// (`util.DefaultMilliCPURequest`).
pub const DEFAULT_CPU: i64 = 100;

/// Memory that a container without a memory request counts for in scores: 200 MiB
/// (`util.DefaultMemoryRequest`).
pub const DEFAULT_MEMORY: i64 = 200 << 20;

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodRequest {
    /// What filters count.
    pub real: Amounts,
    /// CPU and memory as scores count them: with the defaults for containers that ask for none.
    pub nonzero: [i64; 2],
}

impl PodRequest {
    /// The request of a pod (component-helpers `resource.PodRequests`): per resource the larger of
    /// the containers together and what the init containers need in their turn, plus overhead.
    #[must_use]
    pub fn of(containers: &[Container], init: &[Container], overhead: &[(ResourceId, i64)]) -> PodRequest {
        let overhead: Amounts = overhead.iter().copied().collect();
        let total = |defaults: bool| {
            let mut amounts = aggregate(containers, init, defaults);
            amounts.add(&overhead, 1);
            amounts
        };
        let scored = total(true);
        PodRequest {
            real: total(false),
            nonzero: [scored.get(ResourceId::CPU), scored.get(ResourceId::MEMORY)],
        }
    }
}

fn aggregate(containers: &[Container], init: &[Container], defaults: bool) -> Amounts {
    let amounts = |container: &Container| {
        let mut amounts: Amounts = container.requests.iter().copied().collect();
        for (resource, default) in [(ResourceId::CPU, DEFAULT_CPU), (ResourceId::MEMORY, DEFAULT_MEMORY)] {
            if defaults && !container.requests.iter().any(|(asked, _)| *asked == resource) {
                amounts.set(resource, default);
            }
        }
        amounts
    };
    let mut sum = Amounts::default();
    containers.iter().for_each(|container| sum.add(&amounts(container), 1));
    let (mut sidecars, mut most) = (Amounts::default(), Amounts::default());
    for container in init {
        let mut own = amounts(container);
        if container.restartable {
            sum.add(&own, 1);
            sidecars.add(&own, 1);
            most.raise_to(&sidecars);
        } else {
            own.add(&sidecars, 1);
            most.raise_to(&own);
        }
    }
    sum.raise_to(&most);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_count_beside_later_init_containers_and_all_containers() {
        let cpu = |amount| Container { requests: vec![(ResourceId::CPU, amount)], restartable: false };
        let sidecar = |amount| Container { restartable: true, ..cpu(amount) };
        for (containers, init, expected) in [
            (vec![cpu(100), cpu(200)], vec![cpu(250)], 300),
            (vec![cpu(100)], vec![cpu(250)], 250),
            (vec![cpu(100)], vec![sidecar(50), cpu(250)], 300),
            (vec![cpu(100)], vec![cpu(250), sidecar(50)], 250),
            (vec![cpu(300)], vec![sidecar(50), cpu(10), sidecar(20)], 370),
        ] {
            let request = PodRequest::of(&containers, &init, &[(ResourceId::CPU, 7)]);
            assert_eq!(request.real.get(ResourceId::CPU), expected + 7, "{containers:?} {init:?}");
        }
    }

    #[test]
    fn absent_requests_count_in_scores_and_explicit_zeros_do_not() {
        let absent = Container::default();
        let zero = Container { requests: vec![(ResourceId::CPU, 0)], restartable: false };
        let request = PodRequest::of(&[absent, zero], &[], &[]);
        assert_eq!(request.nonzero, [DEFAULT_CPU, 2 * DEFAULT_MEMORY]);
        assert_eq!(request.real.iter().count(), 0);
    }
}
