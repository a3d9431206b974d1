//! Who holds what: nodes, their GPUs, and every allocation on them.
//!
//! The one module that changes allocations. A node belongs to a [`NodeClass`] (everything about it
//! that does not change), and its state is a few integers in arrays by [`NodeId`], so that a scan
//! over nodes reads memory in order. What a GPU has left is one `u32`, whose meaning depends on the
//! mode: see [`Share`]. A node that is cordoned, tainted, joins or leaves passes to another class; a GPU
//! that is re-cut has other slices of its class's table standing. Every change is logged, so that indexes over nodes can catch up lazily
//! ([`Cluster::changes_since`]).

pub mod build;
mod class;
mod event;
mod grant;
pub mod spec;

pub use class::{Hold, Need, NodeClass, Share, Slice, StaticRefusal};
pub use event::{Change, Planned};
pub use grant::{Grant, Placement};

use crate::id::{GpuId, NodeId};
use crate::units::{Mib, MilliCpu};
use crate::workload::request::Request;
use grant::{Take, bits, for_each_part, grant_matches, take_best};
use std::collections::BTreeMap;

/// Most GPUs that one node can have: a grant is a bit mask.
pub const GPUS_PER_NODE_MAX: usize = 64;

/// Most slices that a GPU is, or can be, cut into: what is free is a bit mask.
pub const SLICES_MAX: usize = 32;

/// Most CPU (thousandths) and memory (MiB) of a node. One less than 32 bits hold, so that a request
/// cut to 32 bits still exceeds every node.
pub const AMOUNT_MAX: u64 = u32::MAX as u64 - 1;

/// Parts of one GPU in which allocation is counted: a multiple of 1..=16 and of 1,000, so that
/// replicas, compute slices and thousandths are all exact. MPS memory shares are rounded to it.
pub const GPU_PARTS: u64 = 18_018_000;

/// MPS slices of one size on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpsSlices {
    /// Size, GB.
    pub gb: u16,
    /// Slices.
    pub all: u16,
    /// Those that pods hold; more than all of them where some went that were held.
    pub held: u16,
}

/// Consecutive nodes of one class, for scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index of the class.
    pub class: usize,
    /// The nodes, as positions in [`Cluster::cpus_free`] and its like.
    pub nodes: std::ops::Range<usize>,
}

/// Why nobody gets anything of a GPU that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// It is down after a fault.
    Failed = 1,
    /// It is being cut, or its device plugin restarts.
    Recut = 2,
}

/// The nodes and what is allocated on them.
#[derive(Clone, Debug)]
pub struct Cluster {
    classes: Vec<NodeClass>,
    names: Vec<String>,
    class_of: Vec<u16>,
    /// Consecutive nodes of one class.
    runs: Vec<Run>,
    /// Nodes that are there.
    present: usize,
    /// 32 bits, so that a scan compares several nodes at once: 4 million cores, 4 PiB.
    cpu_free: Vec<u32>,
    memory_free: Vec<u32>,
    pods_free: Vec<u32>,
    /// First GPU of each node, with one entry more than nodes.
    gpu_start: Vec<u32>,
    gpu_free: Vec<u32>,
    /// What each GPU has when nobody holds any of it: units, or the slices that stand on it.
    gpu_full: Vec<u32>,
    /// MPS slices of each GPU, by size; of GPUs shared otherwise none. Empty where there is no such GPU.
    mps: Vec<Vec<MpsSlices>>,
    /// Pods on each GPU.
    gpu_pods: Vec<u16>,
    /// CPU, memory and pods beyond what a node has, once it has less than its pods hold.
    debts: BTreeMap<NodeId, [u32; 3]>,
    /// What GPUs that are out of service have when they are back, and the reasons, as bits of [`Out`].
    out: BTreeMap<GpuId, (u32, u8)>,
    /// The last changes: a ring of `names.len()` nodes, and how many there were in all.
    log: Vec<NodeId>,
    logged: u64,
}

impl Cluster {
    /// An empty cluster of `nodes`, each a name and an index into `classes`.
    ///
    /// # Panics
    /// If a class is out of range, has more than [`GPUS_PER_NODE_MAX`] GPUs or 32 slices, or CPU or
    /// memory beyond [`AMOUNT_MAX`].
    #[must_use]
    pub fn new(classes: Vec<NodeClass>, nodes: Vec<(String, u16)>) -> Cluster {
        for class in &classes {
            assert!(usize::from(class.gpus) <= GPUS_PER_NODE_MAX, "a grant is a mask of 64 GPUs");
            assert!(class.cpu.0 <= AMOUNT_MAX && class.memory.0 <= AMOUNT_MAX, "free amounts are 32 bits");
            if let Share::Slices { slices, .. } = &class.share {
                assert!(slices.len() <= SLICES_MAX, "free slices are a mask of 32");
            }
        }
        let mut cluster = Cluster {
            names: Vec::with_capacity(nodes.len()),
            class_of: Vec::with_capacity(nodes.len()),
            runs: Vec::new(),
            present: 0,
            cpu_free: Vec::with_capacity(nodes.len()),
            memory_free: Vec::with_capacity(nodes.len()),
            pods_free: Vec::with_capacity(nodes.len()),
            gpu_start: vec![0],
            gpu_free: Vec::new(),
            gpu_full: Vec::new(),
            mps: Vec::new(),
            debts: BTreeMap::new(),
            out: BTreeMap::new(),
            gpu_pods: Vec::new(),
            log: vec![NodeId(0); nodes.len()],
            logged: 0,
            classes,
        };
        for (name, class) in nodes {
            let spec = &cluster.classes[usize::from(class)];
            cluster.names.push(name);
            cluster.class_of.push(class);
            cluster.cpu_free.push(spec.cpu.0 as u32);
            cluster.memory_free.push(spec.memory.0 as u32);
            cluster.pods_free.push(spec.pods);
            let free = spec.full();
            cluster.gpu_free.extend(std::iter::repeat_n(free, usize::from(spec.gpus)));
            cluster.gpu_start.push(cluster.gpu_free.len() as u32);
        }
        cluster.gpu_full = cluster.gpu_free.clone();
        if cluster.classes.iter().any(|class| matches!(class.share, Share::Sliced { .. })) {
            cluster.mps = vec![Vec::new(); cluster.gpu_free.len()];
        }
        cluster.gpu_pods = vec![0; cluster.gpu_free.len()];
        cluster.find_runs();
        cluster
    }

    /// What follows from the classes of all nodes.
    fn find_runs(&mut self) {
        self.runs.clear();
        self.present =
            self.class_of.iter().filter(|class| self.classes[usize::from(**class)].present).count();
        for (position, class) in self.class_of.iter().enumerate() {
            let class = usize::from(*class);
            match self.runs.last_mut() {
                Some(run) if run.class == class => run.nodes.end += 1,
                _ => self.runs.push(Run { class, nodes: position..position + 1 }),
            }
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Number of nodes that are there.
    #[must_use]
    pub fn nodes_present(&self) -> usize {
        self.present
    }

    /// Whether nodes stay what they are: no class is kept for later, and all slices stand.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        if !self.mps.is_empty() {
            return false;
        }
        let used = |class: usize| self.class_of.iter().any(|of| usize::from(*of) == class);
        let stands = |class: &NodeClass| match &class.share {
            Share::Slices { slices, standing, .. } => slices.len() == standing.count_ones() as usize,
            _ => true,
        };
        self.classes.iter().enumerate().all(|(index, class)| used(index) && stands(class))
    }

    /// Number of GPUs, those of nodes that are not there included.
    #[must_use]
    pub fn gpus(&self) -> usize {
        self.gpu_free.len()
    }

    /// The classes of nodes.
    #[must_use]
    pub fn classes(&self) -> &[NodeClass] {
        &self.classes
    }

    /// The index of a node's class.
    #[must_use]
    pub fn class_index(&self, node: NodeId) -> usize {
        usize::from(self.class_of[node.index()])
    }

    /// A node's class.
    #[must_use]
    pub fn class(&self, node: NodeId) -> &NodeClass {
        &self.classes[self.class_index(node)]
    }

    /// A node's name.
    #[must_use]
    pub fn name(&self, node: NodeId) -> &str {
        &self.names[node.index()]
    }

    /// Free CPU of a node.
    #[must_use]
    pub fn cpu_free(&self, node: NodeId) -> MilliCpu {
        MilliCpu(u64::from(self.cpu_free[node.index()]))
    }

    /// Free memory of a node.
    #[must_use]
    pub fn memory_free(&self, node: NodeId) -> Mib {
        Mib(u64::from(self.memory_free[node.index()]))
    }

    /// Pods that a node can still take.
    #[must_use]
    pub fn pods_free(&self, node: NodeId) -> u32 {
        self.pods_free[node.index()]
    }

    /// What each GPU of a node has left (see [`Share`]).
    #[must_use]
    pub fn gpu_free(&self, node: NodeId) -> &[u32] {
        &self.gpu_free[self.gpu_range(node)]
    }

    /// What each GPU of a node has when nobody holds any of it; what is held of it while it is out of service.
    #[must_use]
    pub fn gpu_full(&self, node: NodeId) -> &[u32] {
        &self.gpu_full[self.gpu_range(node)]
    }

    /// The slices that stand on a GPU, or will when it is back in service.
    #[must_use]
    pub fn standing(&self, node: NodeId, gpu: u8) -> u32 {
        let id = self.gpu_id(node, gpu);
        self.out.get(&id).map_or(self.gpu_full[id.index()], |(full, _)| *full)
    }

    /// Whether a GPU is out of service.
    #[must_use]
    pub fn is_out(&self, node: NodeId, gpu: u8) -> bool {
        !self.out.is_empty() && self.out.contains_key(&self.gpu_id(node, gpu))
    }

    /// Whether a GPU is down after a fault.
    #[must_use]
    pub fn has_failed(&self, node: NodeId, gpu: u8) -> bool {
        let out = self.out.get(&self.gpu_id(node, gpu));
        out.is_some_and(|(_, why)| why & Out::Failed as u8 != 0)
    }

    /// GPUs of a node that are in service.
    #[must_use]
    pub fn gpus_in_service(&self, node: NodeId) -> usize {
        let range = self.gpu_range(node);
        let ids = GpuId(range.start as u32)..GpuId(range.end as u32);
        range.len() - if self.out.is_empty() { 0 } else { self.out.range(ids).count() }
    }

    /// This cluster with, for each class of nodes that are there, one of nodes that are not.
    ///
    /// # Panics
    /// Beyond 65,535 classes.
    #[must_use]
    pub fn with_absent_twins(mut self) -> Cluster {
        for index in 0..self.classes.len() {
            let twin = NodeClass { present: false, ..self.classes[index].clone() };
            if !self.classes.contains(&twin) {
                self.classes.push(twin);
            }
        }
        assert!(self.classes.len() <= usize::from(u16::MAX), "a class is named in 16 bits");
        self
    }

    /// The class of nodes that are as those of `class` and are not there.
    ///
    /// # Panics
    /// If no such class was built.
    #[must_use]
    pub fn absent(&self, class: u16) -> u16 {
        let of = NodeClass { present: false, ..self.classes[usize::from(class)].clone() };
        let found = self.classes.iter().position(|known| *known == of);
        found.expect("classes of nodes that may fail are built with their absent twins") as u16
    }

    /// The MPS slices of a GPU, by size, where a partitioner makes them.
    #[must_use]
    pub fn offered(&self, node: NodeId, gpu: u8) -> &[MpsSlices] {
        self.mps.get(self.gpu_id(node, gpu).index()).map_or(&[], Vec::as_slice)
    }

    /// Whether a GPU has a slice for `each` units: of that size, where slices are made by a partitioner.
    fn has_slice(&self, node: NodeId, gpu: usize, each: u16) -> bool {
        self.mps.is_empty()
            || !matches!(self.class(node).share, Share::Sliced { .. })
            || self.offered(node, gpu as u8).iter().any(|s| s.gb == each && s.held < s.all)
    }

    /// Pods on each GPU of a node.
    #[must_use]
    pub fn gpu_pods(&self, node: NodeId) -> &[u16] {
        &self.gpu_pods[self.gpu_range(node)]
    }

    /// The number, through all nodes, of a node's GPU.
    #[must_use]
    pub fn gpu_id(&self, node: NodeId, gpu: u8) -> GpuId {
        GpuId(self.gpu_start[node.index()] + u32::from(gpu))
    }

    /// Consecutive nodes of one class, in node order.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Free CPU of all nodes, thousandths, in node order.
    #[must_use]
    pub fn cpus_free(&self) -> &[u32] {
        &self.cpu_free
    }

    /// Free memory of all nodes, MiB, in node order.
    #[must_use]
    pub fn memories_free(&self) -> &[u32] {
        &self.memory_free
    }

    /// Pods that each node can still take, in node order.
    #[must_use]
    pub fn pod_slots_free(&self) -> &[u32] {
        &self.pods_free
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.names.len()).map(NodeId::of)
    }

    /// A cluster of this node alone, as it stands, to try things on.
    #[must_use]
    pub fn alone(&self, node: NodeId) -> Cluster {
        let mut alone =
            Cluster::new(self.classes.clone(), vec![(String::new(), self.class_of[node.index()])]);
        alone.cpu_free[0] = self.cpu_free[node.index()];
        alone.memory_free[0] = self.memory_free[node.index()];
        alone.pods_free[0] = self.pods_free[node.index()];
        alone.gpu_free.copy_from_slice(self.gpu_free(node));
        alone.gpu_full.copy_from_slice(self.gpu_full(node));
        alone.debts.extend(self.debts.get(&node).map(|debt| (NodeId(0), *debt)));
        alone.gpu_pods.copy_from_slice(self.gpu_pods(node));
        let outs = self
            .out
            .range(self.gpu_id(node, 0)..)
            .take_while(|(id, _)| id.index() < self.gpu_range(node).end);
        alone.out.extend(outs.map(|(id, kept)| (GpuId(id.0 - self.gpu_start[node.index()]), *kept)));
        for gpu in 0..alone.mps.len() {
            alone.mps[gpu] = self.offered(node, gpu as u8).to_vec();
        }
        alone
    }

    fn gpu_range(&self, node: NodeId) -> std::ops::Range<usize> {
        self.gpu_start[node.index()] as usize..self.gpu_start[node.index() + 1] as usize
    }

    /// How many changes there have been: a mark for [`Cluster::changes_since`].
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.logged
    }

    /// The nodes changed since `mark`, oldest first, possibly repeated; `None` when that is more
    /// than there are nodes, and looking at all of them is cheaper.
    #[must_use]
    pub fn changes_since(&self, mark: u64) -> Option<impl Iterator<Item = NodeId> + '_> {
        assert!(mark <= self.logged, "a mark of this cluster");
        let nodes = self.log.len() as u64;
        (self.logged - mark <= nodes)
            .then(|| (mark..self.logged).map(move |i| self.log[(i % nodes) as usize]))
    }

    /// Which GPUs of `node` serve `need`, by `choice`; `None` when they do not.
    ///
    /// *O*(GPUs of the node).
    #[must_use]
    pub fn choose(&self, node: NodeId, need: Need, choice: spec::GpuChoice) -> Option<Grant> {
        let free = self.gpu_free(node);
        match need {
            Need::None => Some(Grant::None),
            Need::Never => None,
            Need::Units { each, count } => {
                let pods = self.gpu_pods(node);
                let most = self.class(node).clients();
                let able = |gpu: usize| {
                    u32::from(each) <= free[gpu] && pods[gpu] < most && self.has_slice(node, gpu, each)
                };
                take_best(free.len(), usize::from(count), choice, able, |gpu| free[gpu]).map(Grant::Gpus)
            }
            Need::Slices { mask, count: 1 } => {
                let able = |gpu: usize| free[gpu] & mask != 0;
                let room = |gpu: usize| free[gpu].count_ones();
                let gpu = take_best(free.len(), 1, choice, able, room)?.trailing_zeros() as u8;
                let slice = (free[usize::from(gpu)] & mask).trailing_zeros() as u8;
                Some(Grant::Slice { gpu, slice })
            }
            Need::Slices { mask, count } => {
                let found = (0..free.len() as u8)
                    .flat_map(|gpu| bits(u64::from(free[usize::from(gpu)] & mask)).map(move |s| (gpu, s)));
                let slices: Box<[_]> = found.take(usize::from(count)).collect();
                (slices.len() == usize::from(count)).then_some(Grant::Slices(Box::new(slices)))
            }
        }
    }

    /// Whether the GPUs of `node` can serve `need` now. *O*(GPUs of the node).
    #[must_use]
    pub fn gpus_serve(&self, node: NodeId, need: Need) -> bool {
        match need {
            Need::None => true,
            Need::Never => false,
            Need::Units { each, count } => {
                let most = self.class(node).clients();
                let free = self.gpu_free(node).iter().zip(self.gpu_pods(node)).enumerate();
                let able = free.filter(|(gpu, (free, pods))| {
                    u32::from(each) <= **free && **pods < most && self.has_slice(node, *gpu, each)
                });
                usize::from(count) <= able.count()
            }
            Need::Slices { mask, count } => {
                let free: u32 = self.gpu_free(node).iter().map(|free| (free & mask).count_ones()).sum();
                u32::from(count) <= free
            }
        }
    }

    /// Gives `request` what `placement` says. [`Cluster::choose`] offers nothing of a GPU that is out of
    /// service; where records are followed, a pod that was on its way to one gets what it was promised.
    ///
    /// # Panics
    /// If any of it is not free: whoever decided looked at another cluster.
    pub fn bind(&mut self, request: &Request, placement: &Placement) {
        let node = placement.node.index();
        let need = self.class(placement.node).need(request.gpu);
        let (cpu, memory) = (cut(request.cpu.0), cut(request.memory.0));
        self.cpu_free[node] = self.cpu_free[node].checked_sub(cpu).expect("bound CPU is free");
        self.memory_free[node] = self.memory_free[node].checked_sub(memory).expect("bound memory is free");
        self.pods_free[node] = self.pods_free[node].checked_sub(1).expect("a bound pod has a pod slot");
        assert!(grant_matches(need, &placement.grant), "a grant gives what was asked for");
        let first = self.gpu_start[node] as usize;
        let most = self.class(placement.node).clients();
        for_each_part(need, &placement.grant, |gpu, take| {
            let at = first + gpu;
            let out = if self.out.is_empty() { None } else { self.out.get(&GpuId(at as u32)) };
            match (take, out) {
                // Of a GPU that is out of service there is what is held.
                (Take::Units(units), Some((kept, _))) => {
                    self.gpu_full[at] += u32::from(units);
                    assert!(self.gpu_full[at] <= *kept, "bound GPU units are free");
                }
                (Take::Slice(bit), Some((kept, _))) => {
                    assert!(*kept & !self.gpu_full[at] & bit != 0, "a bound slice is free");
                    self.gpu_full[at] |= bit;
                }
                (Take::Units(units), None) => {
                    let free = self.gpu_free[at].checked_sub(u32::from(units));
                    self.gpu_free[at] = free.expect("bound GPU units are free");
                }
                (Take::Slice(bit), None) => {
                    assert!(self.gpu_free[at] & bit != 0, "a bound slice is free");
                    self.gpu_free[at] &= !bit;
                }
            }
        });
        for gpu in placement.grant.gpus() {
            let pods = &mut self.gpu_pods[first + usize::from(gpu)];
            *pods += 1;
            assert!(*pods <= most, "a GPU holds no more pods than its mode allows");
            if let Some(slices) = self.mps_slices(placement.node, gpu, need) {
                assert!(slices.held < slices.all, "a bound MPS slice is free");
                slices.held += 1;
            }
        }
        self.changed(placement.node);
    }

    /// Takes back what [`Cluster::bind`] gave.
    ///
    /// # Panics
    /// If it was not held.
    pub fn release(&mut self, request: &Request, placement: &Placement) {
        let node = placement.node.index();
        let class = self.class(placement.node);
        let need = class.need(request.gpu);
        let (cpu, memory, pods) = (class.cpu.0, class.memory.0, class.pods);
        let mut back = [cut(request.cpu.0), cut(request.memory.0), 1];
        if let Some(debt) = self.debts.get_mut(&placement.node) {
            for (back, debt) in back.iter_mut().zip(debt) {
                let paid = (*back).min(*debt);
                *back -= paid;
                *debt -= paid;
            }
        }
        self.cpu_free[node] += back[0];
        self.memory_free[node] += back[1];
        self.pods_free[node] += back[2];
        assert!(u64::from(self.cpu_free[node]) <= cpu, "released CPU was held");
        assert!(u64::from(self.memory_free[node]) <= memory, "released memory was held");
        assert!(self.pods_free[node] <= pods, "a released pod had a slot");
        let first = self.gpu_start[node] as usize;
        for_each_part(need, &placement.grant, |gpu, take| {
            let out = !self.out.is_empty() && self.out.contains_key(&GpuId((first + gpu) as u32));
            let (free, full) = (&mut self.gpu_free[first + gpu], &mut self.gpu_full[first + gpu]);
            match take {
                // Of a GPU that is out of service there is what is held, and nothing is free.
                Take::Units(units) if out => {
                    *full = full.checked_sub(u32::from(units)).expect("released GPU units were held");
                }
                Take::Slice(bit) if out => {
                    assert!(*full & bit != 0, "a released slice was held");
                    *full &= !bit;
                }
                Take::Units(units) => {
                    *free += u32::from(units);
                    assert!(*free <= *full, "released GPU units were held");
                }
                Take::Slice(bit) => {
                    assert!(*free & bit == 0, "a released slice was held");
                    assert!(*full & bit != 0, "a held slice stands");
                    *free |= bit;
                }
            }
        });
        for gpu in placement.grant.gpus() {
            let pods = &mut self.gpu_pods[first + usize::from(gpu)];
            *pods = pods.checked_sub(1).expect("a released GPU had a pod");
            if let Some(slices) = self.mps_slices(placement.node, gpu, need) {
                slices.held = slices.held.checked_sub(1).expect("a released MPS slice was held");
            }
        }
        self.changed(placement.node);
    }

    /// The slices that a pod takes one of, where a partitioner makes them.
    fn mps_slices(&mut self, node: NodeId, gpu: u8, need: Need) -> Option<&mut MpsSlices> {
        let Need::Units { each, .. } = need else { return None };
        let at = self.gpu_id(node, gpu).index();
        self.mps.get_mut(at)?.iter_mut().find(|slices| slices.gb == each)
    }

    /// A GPU offers these MPS slices, as (GB, number), from now on. Those that are held and are not among
    /// them are held on.
    ///
    /// # Panics
    /// If its slices are not made by a partitioner.
    pub fn offer(&mut self, node: NodeId, gpu: u8, slices: &[(u16, u16)]) {
        assert!(matches!(self.class(node).share, Share::Sliced { .. }), "its MPS slices are made on demand");
        let at = self.gpu_id(node, gpu).index();
        let mut offered: Vec<MpsSlices> = self.mps[at].iter().map(|s| MpsSlices { all: 0, ..*s }).collect();
        for (gb, all) in slices {
            match offered.iter_mut().find(|known| known.gb == *gb) {
                Some(known) => known.all += all,
                None => offered.push(MpsSlices { gb: *gb, all: *all, held: 0 }),
            }
        }
        offered.retain(|slices| 0 < slices.all || 0 < slices.held);
        offered.sort_by_key(|slices| slices.gb);
        self.mps[at] = offered;
        self.changed(node);
    }

    /// A node passes to another class: it is cordoned, tainted or labelled, joins or leaves, has other
    /// allocatable amounts, or another mode of sharing. What its pods hold beyond these is owed: freed room
    /// pays it off first.
    ///
    /// *O*(nodes).
    ///
    /// # Panics
    /// If the other class has other GPUs, the node has pods and leaves, or pods hold GPUs whose mode changes.
    pub fn set_class(&mut self, node: NodeId, class: u16) {
        let at = node.index();
        let (was, is) = (self.class(node), &self.classes[usize::from(class)]);
        assert!(was.gpus == is.gpus, "a node keeps its GPUs");
        if was.share != is.share {
            let full = is.full();
            assert!(
                self.gpu_pods(node).iter().all(|pods| *pods == 0),
                "nobody holds GPUs whose mode changes"
            );
            for gpu in self.gpu_range(node) {
                match self.out.get_mut(&GpuId(gpu as u32)) {
                    Some((kept, _)) => *kept = full,
                    None => (self.gpu_full[gpu], self.gpu_free[gpu]) = (full, full),
                }
            }
        }
        let (was, is) = (self.class(node), &self.classes[usize::from(class)]);
        let debt = self.debts.get(&node).copied().unwrap_or_default();
        let used = [
            cut(was.cpu.0) - self.cpu_free[at] + debt[0],
            cut(was.memory.0) - self.memory_free[at] + debt[1],
            was.pods - self.pods_free[at] + debt[2],
        ];
        assert!(is.present || used[2] == 0, "a node that leaves has no pods");
        let has = [cut(is.cpu.0), cut(is.memory.0), is.pods];
        let free: [u32; 3] = std::array::from_fn(|i| has[i].saturating_sub(used[i]));
        let debt: [u32; 3] = std::array::from_fn(|i| used[i].saturating_sub(has[i]));
        [self.cpu_free[at], self.memory_free[at], self.pods_free[at]] = free;
        if debt == [0; 3] {
            self.debts.remove(&node);
        } else {
            self.debts.insert(node, debt);
        }
        self.class_of[at] = class;
        self.find_runs();
        self.changed(node);
    }

    /// A GPU is re-cut: the slices of this mask, of its class's table, stand on it from now on.
    ///
    /// # Panics
    /// If a slice that is held would go, or slices that stand would overlap.
    pub fn recut(&mut self, node: NodeId, gpu: u8, standing: u32) {
        let Share::Slices { slices, .. } = &self.class(node).share else {
            panic!("only MIG GPUs are re-cut")
        };
        let mut taken = 0_u64;
        for slice in bits(u64::from(standing)).map(|bit| &slices[usize::from(bit)]) {
            let places = ((1_u64 << slice.size) - 1) << slice.start;
            assert!(taken & places == 0, "slices that stand do not overlap");
            taken |= places;
        }
        let at = self.gpu_id(node, gpu).index();
        let held = self.gpu_full[at] & !self.gpu_free[at];
        assert!(held & !standing == 0, "a slice that is held stays");
        if let Some((kept, _)) = self.out.get_mut(&GpuId(at as u32)) {
            *kept = standing;
            return;
        }
        self.gpu_full[at] = standing;
        self.gpu_free[at] = standing & !held;
        self.changed(node);
    }

    /// A GPU goes out of service for a reason, and nobody gets any more of it, or that reason is gone: it is
    /// back when none is left. Pods that hold some of it hold it on.
    ///
    /// # Panics
    /// If that changes nothing.
    pub fn set_out(&mut self, node: NodeId, gpu: u8, why: Out, out: bool) {
        let id = self.gpu_id(node, gpu);
        let at = id.index();
        let slices = matches!(self.class(node).share, Share::Slices { .. });
        let bit = why as u8;
        if out {
            let (full, free) = (self.gpu_full[at], self.gpu_free[at]);
            let entry = self.out.entry(id).or_insert((full, 0));
            assert!(entry.1 & bit == 0, "a GPU goes out of service once for one reason");
            if entry.1 == 0 {
                self.gpu_full[at] = if slices { full & !free } else { full - free };
                self.gpu_free[at] = 0;
            }
            entry.1 |= bit;
        } else {
            let entry = self.out.get_mut(&id).expect("a GPU that is back was out of service");
            assert!(entry.1 & bit != 0, "a GPU is back from what it was out for");
            entry.1 &= !bit;
            if entry.1 == 0 {
                let (full, _) = self.out.remove(&id).expect("it was just there");
                let held = self.gpu_full[at];
                self.gpu_full[at] = full;
                self.gpu_free[at] = if slices { full & !held } else { full - held };
            }
        }
        self.changed(node);
    }

    fn changed(&mut self, node: NodeId) {
        let nodes = self.log.len() as u64;
        self.log[(self.logged % nodes) as usize] = node;
        self.logged += 1;
    }
}

/// A requested amount in 32 bits; what does not fit stays more than any node has.
#[must_use]
pub fn cut(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::spec::GpuChoice::{BestFit, FirstFit, WorstFit};
    use super::*;
    use crate::id::SliceId;
    use crate::workload::Constraint;
    use crate::workload::request::{GpuRequest, Unit};

    fn class(gpus: u16, share: Share) -> NodeClass {
        NodeClass {
            cpu: MilliCpu(8_000),
            memory: Mib(1_024),
            pods: 10,
            gpus,
            model: "m".to_owned(),
            memory_slices: 8,
            share,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            price_per_hour: None,
            unschedulable: false,
            present: true,
        }
    }

    fn request(unit: Unit, count: u16) -> Request {
        Request { cpu: MilliCpu(1_000), memory: Mib(1), gpu: Some(GpuRequest { unit, count }), constraint: 0 }
    }

    fn one(share: Share, gpus: u16) -> Cluster {
        Cluster::new(vec![class(gpus, share)], vec![("n".to_owned(), 0)])
    }

    fn place(cluster: &mut Cluster, request: &Request, choice: spec::GpuChoice) -> Option<Placement> {
        let node = NodeId(0);
        let grant = cluster.choose(node, cluster.class(node).need(request.gpu), choice)?;
        let placement = Placement { node, grant };
        cluster.bind(request, &placement);
        Some(placement)
    }

    #[test]
    fn gpus_are_chosen_by_fit() {
        for (choice, expected) in [(FirstFit, 0), (BestFit, 1), (WorstFit, 2)] {
            let mut cluster = one(Share::Milli, 3);
            for (gpu, milli) in [(0, 300), (1, 600)] {
                cluster.bind(
                    &request(Unit::Milli(milli), 1),
                    &Placement { node: NodeId(0), grant: Grant::Gpus(1 << gpu) },
                );
            }
            let got = place(&mut cluster, &request(Unit::Milli(250), 1), choice).expect("fits");
            assert_eq!(got.grant, Grant::Gpus(1 << expected), "{choice:?}");
        }
    }

    #[test]
    fn slices_go_once_and_come_back() {
        let slice = |profile, start, size, compute| Slice {
            profile: SliceId(profile),
            label: String::new(),
            start,
            size,
            compute,
        };
        let share = Share::Slices {
            slices: vec![slice(0, 4, 4, 3), slice(1, 0, 1, 1), slice(1, 1, 1, 1)],
            standing: 0b111,
            compute: 7,
        };
        let mut cluster = one(share, 1);
        let small = request(Unit::Slice(SliceId(1)), 1);
        let first = place(&mut cluster, &small, FirstFit).expect("free");
        assert_eq!(first.grant, Grant::Slice { gpu: 0, slice: 1 });
        assert!(place(&mut cluster, &small, FirstFit).is_some());
        assert_eq!(place(&mut cluster, &small, FirstFit), None);
        cluster.release(&small, &first);
        assert_eq!(place(&mut cluster, &small, FirstFit), Some(first));
        assert_eq!(cluster.class(NodeId(0)).parts(small.gpu), GPU_PARTS / 7);
        assert_eq!(cluster.class(NodeId(0)).need(request(Unit::Slice(SliceId(9)), 1).gpu), Need::Never);
    }

    #[test]
    fn memory_slices_stop_at_the_client_limit() {
        let mut cluster = one(Share::Memory { gb: 40, clients: 2 }, 1);
        assert!(place(&mut cluster, &request(Unit::MemoryGb(1), 1), BestFit).is_some());
        assert!(place(&mut cluster, &request(Unit::MemoryGb(1), 1), BestFit).is_some());
        assert!(!cluster.gpus_serve(NodeId(0), Need::Units { each: 1, count: 1 }));
        assert_eq!(place(&mut cluster, &request(Unit::MemoryGb(1), 1), BestFit), None);
    }

    #[test]
    fn several_gpus_are_different_gpus() {
        let mut cluster = one(Share::Replicas { replicas: 2, mps: false }, 3);
        let got = place(&mut cluster, &request(Unit::Replica, 2), FirstFit).expect("fits");
        assert_eq!(got.grant.gpus().collect::<Vec<_>>(), [0, 1]);
        assert!(!cluster.gpus_serve(NodeId(0), Need::Units { each: 1, count: 4 }));
    }

    #[test]
    fn changes_are_logged_until_a_scan_is_cheaper() {
        let mut cluster =
            Cluster::new(vec![class(1, Share::Whole)], vec![("a".to_owned(), 0), ("b".to_owned(), 0)]);
        let cpu = Request { gpu: None, ..request(Unit::Whole, 1) };
        for node in [1, 0] {
            cluster.bind(&cpu, &Placement { node: NodeId(node), grant: Grant::None });
        }
        assert_eq!(cluster.changes_since(0).expect("two of two").map(|n| n.0).collect::<Vec<_>>(), [1, 0]);
        cluster.bind(&cpu, &Placement { node: NodeId(0), grant: Grant::None });
        assert!(cluster.changes_since(0).is_none());
        assert_eq!(cluster.changes_since(1).expect("two").count(), 2);
    }

    #[test]
    fn taints_labels_and_models_refuse() {
        let mut class = class(1, Share::Whole);
        class.taints.push(spec::Taint { key: "k".into(), value: "v".into(), effect: "NoSchedule".into() });
        let mut constraint = Constraint::default();
        assert_eq!(class.admits(&constraint), Err(StaticRefusal::Taint));
        constraint.tolerations.push(crate::workload::Toleration { key: "k".into(), ..Default::default() });
        constraint.selector.push(("zone".into(), "a".into()));
        assert_eq!(class.admits(&constraint), Err(StaticRefusal::Affinity));
        class.labels.insert("zone".into(), "a".into());
        constraint.models.push("M".into());
        assert_eq!(class.admits(&constraint), Ok(()));
        constraint.models[0] = "other".into();
        assert_eq!(class.admits(&constraint), Err(StaticRefusal::Model));
    }
}
