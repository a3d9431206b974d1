//! What a plan is made from: nodes of one kind, and the pods that wait.
//!
//! A snapshot is kept, not taken: a caller puts a node in again when something on it changed, and
//! sums and candidates follow. What nos builds anew for every plan is the same value
//! (internal/partitioning/core/snapshot.go, internal/partitioning/{mig,mps}/snapshot_taker.go).

use super::gpu::{Need, Setup};
use super::mig::{Models, PlacedKey};
use super::names::Kind;
use super::node::Node;
use super::resources::{Counts, Names, Resources};
use super::state::State;
use super::table::Tables;
use super::{Choices, Fixes};
use crate::id::{ModelId, NodeId, ResourceId};

/// A host port that a pod holds on its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// Address; `0.0.0.0` or nothing is every address.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`; nothing is `TCP`.
    pub protocol: String,
    /// Number.
    pub number: u16,
}

impl Port {
    /// Whether two pods of one node cannot both hold theirs (NodePorts).
    #[must_use]
    pub fn conflicts(&self, other: &Port) -> bool {
        let protocol = |port: &Port| if port.protocol.is_empty() { "TCP" } else { &port.protocol }.to_owned();
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.number == other.number
            && protocol(self) == protocol(other)
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

/// Where pods of a shape may go as far as no geometry changes it: node name, cordon, taints, selector
/// and node affinity, which the simulated scheduler judges as the real one does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// To every node.
    #[default]
    Anywhere,
    /// To these, ascending.
    Nodes(Vec<NodeId>),
}

impl Reach {
    /// Whether a node is in reach.
    #[must_use]
    pub fn covers(&self, node: NodeId) -> bool {
        match self {
            Reach::Anywhere => true,
            Reach::Nodes(nodes) => nodes.binary_search(&node).is_ok(),
        }
    }
}

/// What pods ask for; pods that ask for the same share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Requests: of each resource the larger of the containers' sum and every init container, without
    /// overhead (pkg/resource/resource.go).
    pub requests: Resources,
    /// Overhead of the pod's runtime class: NodeResourcesFit counts it, the planner does not.
    pub overhead: Resources,
    /// Where they may go.
    pub reach: Reach,
    /// Host ports.
    pub ports: Vec<Port>,
    /// Whether they claim persistent volumes, or must run beside *other* pods: the simulated scheduler
    /// sees neither claims nor pods and refuses them everywhere.
    pub unseen: bool,
}

/// A pod that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// What it asks for: a position in the list of shapes.
    pub shape: usize,
    /// `spec.priority`; 0 if it has none.
    pub priority: i32,
}

/// Allocatable and requested amounts of every resource over all nodes, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    allocatable: Vec<i64>,
    requested: Vec<i64>,
}

impl Totals {
    pub(super) fn free(&self, name: ResourceId) -> i64 {
        let of = |sums: &Vec<i64>| sums.get(name.index()).copied().unwrap_or(0);
        (of(&self.allocatable) - of(&self.requested)).max(0)
    }

    pub(super) fn allocate(&mut self, scalars: &Counts, sign: i64) {
        add(&mut self.allocatable, scalars, sign);
    }

    pub(super) fn request(&mut self, scalars: &Counts, sign: i64) {
        add(&mut self.requested, scalars, sign);
    }

    fn count(&mut self, node: &Node, sign: i64) {
        self.allocate(&node.allocatable.scalars, sign);
        self.request(&node.requested.scalars, sign);
    }
}

fn add(sums: &mut Vec<i64>, scalars: &Counts, sign: i64) {
    for (name, count) in scalars.iter() {
        if sums.len() <= name.index() {
            sums.resize(name.index() + 1, 0);
        }
        sums[name.index()] += sign * count;
    }
}

/// Nodes of one kind of partitioning, by name.
#[derive(Clone, Debug)]
pub struct Snapshot {
    kind: Kind,
    names: Names,
    models: Models,
    /// By name.
    nodes: Vec<Node>,
    /// Whether the planner would visit the node: the index of candidates.
    free: Vec<bool>,
    totals: Totals,
}

impl Snapshot {
    /// No node. MIG takes its geometries from `tables`.
    #[must_use]
    pub fn new(kind: Kind, tables: &Tables) -> Snapshot {
        let mut names = Names::default();
        let models = match kind {
            Kind::Mig => Models::new(tables, &mut names),
            Kind::Mps => Models::default(),
        };
        Snapshot { kind, names, models, nodes: Vec::new(), free: Vec::new(), totals: Totals::default() }
    }

    /// Which slices are planned.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Names of resources and profiles.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Names, to add to.
    pub fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    pub(super) fn models(&self) -> &Models {
        &self.models
    }

    pub(super) fn add_placed(&mut self, key: PlacedKey, geometries: Vec<Counts>) -> ModelId {
        self.models.add_placed(key, geometries)
    }

    /// Gives GPUs of this index the table of a model; `false` if there is none.
    pub(super) fn set_model(&mut self, name: &str, index: i64, model: ModelId) -> bool {
        let Ok(at) = self.position(name) else { return false };
        let mut found = false;
        for gpu in self.nodes[at].gpus.iter_mut().filter(|gpu| gpu.index == index) {
            gpu.card = super::Card::Mig(model);
            found = true;
        }
        self.free[at] = self.has_free_capacity(&self.nodes[at]);
        found
    }

    pub(super) fn setup(&self, fixes: Fixes) -> Setup<'_> {
        Setup { kind: self.kind, names: &self.names, models: &self.models, fixes }
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Nodes by name.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.position(name).ok().map(|at| &self.nodes[at])
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.name.as_str().cmp(name))
    }

    /// Puts a node in, in place of the one of its name. *O*(its GPUs), and *O*(nodes) for a new one.
    pub fn insert(&mut self, node: Node) {
        let free = node.has_free_capacity(&self.setup(Fixes::NONE));
        self.totals.count(&node, 1);
        match self.position(&node.name) {
            Ok(at) => {
                self.totals.count(&self.nodes[at], -1);
                self.nodes[at] = node;
                self.free[at] = free;
            }
            Err(at) => {
                self.nodes.insert(at, node);
                self.free.insert(at, free);
            }
        }
    }

    /// Changes what pods ask for of a node; nothing if it is not there. *O*(its scalars).
    pub fn charge(&mut self, name: &str, requested: Resources, pods: i64, ports: Vec<Port>) {
        let Ok(at) = self.position(name) else { return };
        let node = &mut self.nodes[at];
        self.totals.request(&node.requested.scalars, -1);
        self.totals.request(&requested.scalars, 1);
        (node.requested, node.pods, node.ports) = (requested, pods, ports);
    }

    /// Takes a node out.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.totals.count(&self.nodes[at], -1);
            self.nodes.remove(at);
            self.free.remove(at);
        }
    }

    /// Nodes with free capacity, by name: what a plan visits.
    pub fn candidates(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().zip(&self.free).filter(|(_, free)| **free).map(|(node, _)| node)
    }

    /// What stands on every node.
    #[must_use]
    pub fn state(&self) -> State {
        State::of(&self.names, self.nodes.iter().map(|node| (node.name.as_str(), node.geometries())))
    }

    /// Lets the GPUs of a node change for `need` and counts its allocatable slices anew, as the first
    /// step of a visit; says whether a GPU changed. The node need not be in the snapshot.
    pub fn update(&self, node: &mut Node, need: &Need, fixes: Fixes, choices: &mut dyn Choices) -> bool {
        node.update(&mut need.clone(), &self.setup(fixes), choices)
    }

    /// Whether the planner would visit a node.
    #[must_use]
    pub fn has_free_capacity(&self, node: &Node) -> bool {
        node.has_free_capacity(&self.setup(Fixes::NONE))
    }

    /// Whether nos accepts a GPU from annotations: any of MIG, and of MPS one whose slices have a size
    /// and fit its memory.
    #[must_use]
    pub fn accepts(&self, gpu: &super::Gpu) -> bool {
        match gpu.card {
            super::Card::Mig(_) => true,
            super::Card::Mps { memory_gb } => super::mps::is_valid(gpu, memory_gb, &self.names),
        }
    }

    /// The card of a GPU model; of MIG, if the table has it.
    #[must_use]
    pub fn card(&self, model: &str) -> Option<super::Card> {
        self.models.find(model).map(super::Card::Mig)
    }

    /// Whether a MIG geometry is one that the table allows the GPU's model.
    #[must_use]
    pub fn allows(&self, gpu: &super::Gpu, geometry: &Counts) -> bool {
        match gpu.card {
            super::Card::Mig(model) => self.models.allows(model, geometry),
            super::Card::Mps { .. } => false,
        }
    }

    /// Makes the GPU's geometry another one of its table; `false`, and nothing done, if it is none or
    /// has no place for a used slice.
    pub fn apply(&self, gpu: &mut super::Gpu, geometry: &Counts) -> bool {
        self.allows(gpu, geometry) && super::mig::apply(gpu, geometry)
    }

    /// Gives a GPU the geometry that nos begins with; `false` if a used slice has no place in it.
    pub fn begin(&self, gpu: &mut super::Gpu) -> bool {
        match gpu.card {
            super::Card::Mig(model) => {
                self.models.initial(model).is_some_and(|geometry| super::mig::apply(gpu, geometry))
            }
            super::Card::Mps { .. } => false,
        }
    }

    /// Cuts each empty MIG GPU of a node as nos does when it first meets it; says whether there was
    /// one (internal/partitioning/mig/initializer.go).
    ///
    /// # Errors
    /// The index of a GPU for which the table has no geometry.
    pub fn initialize(&self, node: &mut Node) -> Result<bool, i64> {
        node.initialize(&self.setup(Fixes::NONE))
    }

    /// Gives a pod its slices and charges its requests to the node; `false` if no single GPU has them
    /// all, after which some may have moved all the same.
    pub fn add_pod(&self, node: &mut Node, shape: &Shape, choices: &mut dyn Choices) -> bool {
        let slices = self.named_slices(&shape.requests.scalars);
        let taken = node.gpus.iter_mut().any(|gpu| gpu.add_pod(&slices, choices));
        if taken {
            node.requested.charge(&shape.requests);
            node.requested.charge(&shape.overhead);
        }
        taken
    }

    /// Slices among requests, by name: the order in which a pod takes them.
    pub(super) fn named_slices(&self, requests: &Counts) -> Vec<(ResourceId, i64)> {
        let mut slices: Vec<_> = self.names.slices(self.kind, requests).iter().collect();
        slices.sort_by(|a, b| self.names.text(a.0).cmp(self.names.text(b.0)));
        slices
    }
}
