//! What becomes of the time of GPUs: the definitions of [`super::GpuTime`], kept up to date record by record.
//!
//! Who holds what is rebuilt from records in a [`Cluster`] of this fold's own. What a GPU's pods need,
//! hold and get done is kept by GPU, so a record costs its own GPUs only. What idle capacity is worth
//! to those who wait is asked when time passes: nothing that lasts no time is looked at.
//!
//! All amounts are [`GPU_PARTS`] × parts per million, so that need × speed is exact.

use crate::cluster::{Cluster, GPU_PARTS, Grant, Hold, Need, NodeClass, Out, Placement};
use crate::id::{NodeId, PodId, ShapeId};
use crate::units::{Speed, Time, Work};
use crate::workload::request::{GpuRequest, Request, Sharing};
use crate::workload::view::Pods;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, SubAssign};

/// All of one GPU.
const FULL: u64 = GPU_PARTS * Speed::FULL.0 as u64;

/// Where [`super::GpuTime::useful`] and [`super::GpuTime::lost`] stand among the uses.
pub(super) const USEFUL: usize = 0;
pub(super) const LOST: usize = 1;

/// Amounts that add up to all GPUs, in the order of [`super::GpuTime`]'s fields after `total`.
pub(super) const USES: usize = 10;

/// Ways of sharing.
pub(super) const MODES: usize = Sharing::ALL.len();

/// Levels of all GPUs at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// [`GPU_PARTS`] that count as allocated, by mode.
    pub(super) by_mode: [u64; MODES],
    /// [`GPU_PARTS`] of compute in pods' hands.
    pub(super) compute: u64,
    /// [`GPU_PARTS`] of memory in pods' hands.
    pub(super) memory: u64,
    /// GPUs with at least one pod.
    pub(super) touched: u64,
    /// Need × speed of the pods, however much that is.
    pub(super) work: u128,
    /// Where the GPUs go.
    pub(super) uses: [u128; USES],
}

/// What the pods of one GPU do with it, or of all GPUs.
#[derive(Clone, Copy, Debug, Default)]
struct Busy<T> {
    useful: T,
    stalled: T,
    slowed: T,
    unneeded: T,
}

impl Busy<u64> {
    /// Of a pod that needs and holds so many parts and runs at `speed`.
    fn of(need: u64, hold: u64, speed: Speed) -> Busy<u64> {
        let full = u64::from(Speed::FULL.0);
        let useful = need * u64::from(speed.0);
        let short = (need.min(hold) * full).saturating_sub(useful);
        let (stalled, slowed) = if speed == Speed::STILL { (short, 0) } else { (0, short) };
        Busy { useful, stalled, slowed, unneeded: hold.saturating_sub(need) * full }
    }

    /// As far as the GPU reaches, in this order.
    fn cut(self) -> Busy<u64> {
        let useful = self.useful.min(FULL);
        let stalled = self.stalled.min(FULL - useful);
        let slowed = self.slowed.min(FULL - useful - stalled);
        Busy { useful, stalled, slowed, unneeded: self.unneeded.min(FULL - useful - stalled - slowed) }
    }

    /// What is left of the GPU.
    fn idle(self) -> u64 {
        FULL - self.useful - self.stalled - self.slowed - self.unneeded
    }
}

impl<T: Copy + AddAssign + SubAssign> Busy<T> {
    /// Puts `is` in the place of `was`.
    fn replace<U: Into<T>>(&mut self, was: Busy<U>, is: Busy<U>) {
        // Added first, so that nothing is ever less than zero.
        self.useful += is.useful.into();
        self.useful -= was.useful.into();
        self.stalled += is.stalled.into();
        self.stalled -= was.stalled.into();
        self.slowed += is.slowed.into();
        self.slowed -= was.slowed.into();
        self.unneeded += is.unneeded.into();
        self.unneeded -= was.unneeded.into();
    }
}

/// What stands on one GPU. The amounts of its pods, added up; it may reach less far.
#[derive(Clone, Copy, Debug, Default)]
struct Gpu {
    compute: u64,
    memory: u64,
    busy: Busy<u64>,
}

/// A pod on its GPUs.
#[derive(Clone, Debug)]
struct Stay {
    placement: Placement,
    speed: Speed,
    /// Work done until `since`, within the measured window.
    done: Work,
    since: Time,
}

impl Stay {
    fn settle(&mut self, now: Time) {
        self.done = Work(self.done.0 + Work::done(now.since(self.since), self.speed).0);
        self.since = now;
    }
}

/// The pods of one shape that wait, and where they could go.
#[derive(Clone, Debug, Default)]
struct Asking {
    /// What one of them asks for: the most that it could hold anywhere.
    amount: u64,
    /// What it takes by node class; `None` where the class never admits it.
    needs: Vec<Option<Need>>,
    /// Those that wait, members of gangs left out.
    alone: u32,
    /// Whether the shape stands in [`Gpus::listed`].
    listed: bool,
    fits: Fits,
}

/// The nodes that would take a pod, as of a mark of the cluster.
#[derive(Clone, Debug, Default)]
struct Fits {
    mark: Option<u64>,
    nodes: Vec<u64>,
    count: usize,
}

impl Fits {
    fn has(&self, node: NodeId) -> bool {
        self.nodes[node.index() / 64] >> (node.index() % 64) & 1 == 1
    }

    fn set(&mut self, node: NodeId, fits: bool) {
        let (word, bit) = (node.index() / 64, 1 << (node.index() % 64));
        let had = self.nodes[word] & bit != 0;
        if had != fits {
            self.nodes[word] ^= bit;
            self.count = if fits { self.count + 1 } else { self.count - 1 };
        }
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let set = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        self.nodes
            .iter()
            .enumerate()
            .flat_map(move |(i, word)| set(*word).map(move |bit| NodeId::of(64 * i + bit)))
    }
}

impl Asking {
    /// Pods of `request`, of which none waits yet.
    fn new(request: &Request, pods: Pods<'_>, empty: &Cluster) -> Asking {
        let Some(GpuRequest { unit, count }) = request.gpu else { return Asking::default() };
        let constraint = &pods.constraints[request.constraint as usize];
        let need = |class: &NodeClass| match class.need(request.gpu) {
            Need::Never => None,
            need => class.admits(constraint).is_ok().then_some(need),
        };
        let needs: Vec<Option<Need>> = empty.classes().iter().map(need).collect();
        let able = empty.classes().iter().zip(&needs).filter(|(_, need)| need.is_some());
        let most = able.map(|(class, _)| class.hold(unit).gpu).max().unwrap_or(0);
        let amount = most * u64::from(count) * u64::from(Speed::FULL.0);
        Asking { amount, needs, ..Asking::default() }
    }

    /// Brings [`Asking::fits`] up to date.
    fn catch_up(&mut self, request: &Request, cluster: &Cluster) {
        let Asking { needs, fits, .. } = self;
        let serves = |node: NodeId| {
            needs[cluster.class_index(node)].is_some_and(|need| {
                request.cpu <= cluster.cpu_free(node)
                    && request.memory <= cluster.memory_free(node)
                    && 0 < cluster.pods_free(node)
                    && cluster.gpus_serve(node, need)
            })
        };
        fits.nodes.resize(cluster.len().div_ceil(64), 0);
        match fits.mark.and_then(|mark| cluster.changes_since(mark)) {
            Some(changed) => changed.for_each(|node| fits.set(node, serves(node))),
            None => cluster.nodes().for_each(|node| fits.set(node, serves(node))),
        }
        fits.mark = Some(cluster.mark());
    }
}

/// The GPUs of a run.
#[derive(Debug)]
pub(super) struct Gpus<'a> {
    pods: Pods<'a>,
    /// Parts that each demand keeps busy when it has all it asks for.
    demand_parts: &'a [u64],
    cluster: Cluster,
    stays: FxHashMap<PodId, Stay>,
    gpus: Vec<Gpu>,
    /// Idle amount by node.
    idle: Vec<u64>,
    asking: Vec<Asking>,
    /// Shapes of which a pod alone waits, or did.
    listed: Vec<ShapeId>,
    /// What all who wait ask for.
    asked: u128,
    busy: Busy<u128>,
    /// GPUs of nodes that are there.
    present: u64,
    /// Nodes that are there and take no new pods.
    cordoned: BTreeSet<NodeId>,
    /// Nodes whose device plugin is not there.
    down: BTreeSet<NodeId>,
    /// GPUs of nodes that failed, and GPUs that failed of nodes that did not.
    failed_nodes: BTreeMap<NodeId, u64>,
    failed: BTreeSet<(NodeId, u8)>,
    /// GPUs that are being cut, or whose device plugin restarts.
    withheld: BTreeSet<(NodeId, u8)>,
    now: Now,
}

impl<'a> Gpus<'a> {
    pub(super) fn new(pods: Pods<'a>, empty: &Cluster, demand_parts: &'a [u64]) -> Gpus<'a> {
        let idle = empty.nodes().map(|node| FULL * empty.gpu_free(node).len() as u64).collect();
        let there = empty.nodes().map(|node| empty.class(node)).filter(|class| class.present);
        let cordoned = |node: &NodeId| empty.class(*node).present && empty.class(*node).unschedulable;
        Gpus {
            pods,
            demand_parts,
            cluster: empty.clone(),
            stays: FxHashMap::default(),
            gpus: vec![Gpu::default(); empty.gpus()],
            idle,
            asking: pods.requests.iter().map(|request| Asking::new(request, pods, empty)).collect(),
            listed: Vec::new(),
            asked: 0,
            busy: Busy::default(),
            present: there.map(|class| u64::from(class.gpus)).sum(),
            cordoned: empty.nodes().filter(cordoned).collect(),
            down: BTreeSet::new(),
            failed_nodes: BTreeMap::new(),
            failed: BTreeSet::new(),
            withheld: BTreeSet::new(),
            now: Now::default(),
        }
    }

    /// The GPUs of nodes that are there, or would be if they had not failed.
    pub(super) fn present(&self) -> u64 {
        self.present + self.failed_nodes.values().sum::<u64>()
    }

    /// Whether a node is down after a fault.
    pub(super) fn has_failed(&self, node: NodeId) -> bool {
        self.failed_nodes.contains_key(&node)
    }

    /// A GPU or a node goes down, its pods gone.
    pub(super) fn failed(&mut self, node: NodeId, gpu: Option<u8>) {
        match gpu {
            None => _ = self.failed_nodes.insert(node, u64::from(self.cluster.class(node).gpus)),
            Some(gpu) => {
                self.cluster.set_out(node, gpu, Out::Failed, true);
                self.idle[node.index()] -= FULL;
                self.failed.insert((node, gpu));
            }
        }
    }

    /// Nobody new gets any of a GPU, or that is over.
    pub(super) fn withheld(&mut self, node: NodeId, gpu: u8, withheld: bool) {
        self.cluster.set_out(node, gpu, Out::Recut, withheld);
        if withheld {
            self.withheld.insert((node, gpu));
        } else {
            self.withheld.remove(&(node, gpu));
        }
    }

    /// It is back.
    pub(super) fn repaired(&mut self, node: NodeId, gpu: Option<u8>) {
        match gpu {
            None => _ = self.failed_nodes.remove(&node),
            Some(gpu) => {
                self.cluster.set_out(node, gpu, Out::Failed, false);
                self.idle[node.index()] += FULL;
                self.failed.remove(&(node, gpu));
            }
        }
    }

    pub(super) fn node_changed(&mut self, node: NodeId, class: u16) {
        let gpus = |cluster: &Cluster| {
            let class = cluster.class(node);
            if class.present { u64::from(class.gpus) } else { 0 }
        };
        self.present -= gpus(&self.cluster);
        self.cluster.set_class(node, class);
        self.present += gpus(&self.cluster);
        let class = self.cluster.class(node);
        match class.present && class.unschedulable {
            true => self.cordoned.insert(node),
            false => self.cordoned.remove(&node),
        };
    }

    pub(super) fn resliced(&mut self, node: NodeId, gpu: u8, slices: &[(u16, u16)]) {
        self.cluster.offer(node, gpu, slices);
    }

    pub(super) fn plugin(&mut self, node: NodeId, up: bool) {
        match up {
            true => self.down.remove(&node),
            false => self.down.insert(node),
        };
    }

    pub(super) fn recut(&mut self, node: NodeId, gpu: u8, standing: u32) {
        self.cluster.recut(node, gpu, standing);
    }

    /// A pod starts to wait.
    pub(super) fn arrived(&mut self, pod: PodId) {
        let shape = self.pods.shape(pod);
        let asking = &mut self.asking[shape.index()];
        self.asked += u128::from(asking.amount);
        if asking.amount != 0 && self.pods.pods[pod.index()].gang == 1 {
            asking.alone += 1;
            if !asking.listed {
                asking.listed = true;
                self.listed.push(shape);
            }
        }
    }

    /// A pod waits no longer.
    pub(super) fn left_queue(&mut self, pod: PodId) {
        let asking = &mut self.asking[self.pods.shape(pod).index()];
        self.asked -= u128::from(asking.amount);
        if asking.amount != 0 && self.pods.pods[pod.index()].gang == 1 {
            asking.alone -= 1;
        }
    }

    /// A pod gets its place; `now` is the moment within the measured window.
    pub(super) fn bound(&mut self, now: Time, pod: PodId, node: NodeId, grant: &Grant, speed: Speed) {
        self.left_queue(pod);
        if self.gpus.is_empty() {
            return;
        }
        let placement = Placement { node, grant: grant.clone() };
        self.cluster.bind(self.pods.request(pod), &placement);
        self.stand(pod, &placement, None, Some(speed));
        self.stays.insert(pod, Stay { placement, speed, done: Work::default(), since: now });
    }

    pub(super) fn speed_changed(&mut self, now: Time, pod: PodId, speed: Speed) {
        let Some(mut stay) = self.stays.remove(&pod) else { return };
        stay.settle(now);
        self.stand(pod, &stay.placement, Some(stay.speed), Some(speed));
        self.stays.insert(pod, Stay { speed, ..stay });
    }

    /// A pod leaves its place. Of the work that it `lost`, what was done in the measured window, as need ×
    /// speed × time.
    pub(super) fn left_place(&mut self, now: Time, pod: PodId, lost: Work) -> u128 {
        let Some(mut stay) = self.stays.remove(&pod) else { return 0 };
        stay.settle(now);
        self.cluster.release(self.pods.request(pod), &stay.placement);
        self.stand(pod, &stay.placement, Some(stay.speed), None);
        match self.pods.request(pod).gpu {
            None => 0,
            Some(gpu) => {
                let need = self.demand_parts[self.pods.pods[pod.index()].demand.index()];
                u128::from(need / u64::from(gpu.count) * u64::from(gpu.count)) * lost.0.min(stay.done.0)
            }
        }
    }

    /// Counts a pod in on each of its GPUs, at `is`, and out, at `was`.
    fn stand(&mut self, pod: PodId, placement: &Placement, was: Option<Speed>, is: Option<Speed>) {
        let Some(GpuRequest { unit, count }) = self.pods.request(pod).gpu else { return };
        let class = self.cluster.class(placement.node);
        let (hold, mode) = (class.hold(unit), class.share.sharing() as usize);
        let need = self.demand_parts[self.pods.pods[pod.index()].demand.index()] / u64::from(count);
        let load = |speed: Option<Speed>| match speed {
            None => (Hold { gpu: 0, compute: 0, memory: 0 }, Busy::default()),
            Some(speed) => (hold, Busy::of(need, hold.gpu, speed)),
        };
        let ((held, did), (holds, does)) = (load(was), load(is));
        for gpu in placement.grant.units() {
            let gpu = &mut self.gpus[self.cluster.gpu_id(placement.node, gpu).index()];
            let (before, now) = (*gpu, &mut self.now);
            gpu.compute = gpu.compute + holds.compute - held.compute;
            gpu.memory = gpu.memory + holds.memory - held.memory;
            gpu.busy.replace(did, does);
            now.by_mode[mode] = now.by_mode[mode] + holds.gpu - held.gpu;
            now.work = now.work + u128::from(does.useful) - u128::from(did.useful);
            // What is held in common counts once.
            now.compute = now.compute + gpu.compute.min(GPU_PARTS) - before.compute.min(GPU_PARTS);
            now.memory = now.memory + gpu.memory.min(GPU_PARTS) - before.memory.min(GPU_PARTS);
            now.touched = now.touched + u64::from(gpu.compute != 0) - u64::from(before.compute != 0);
            let (was, is) = (before.busy.cut(), gpu.busy.cut());
            self.busy.replace(was, is);
            let idle = &mut self.idle[placement.node.index()];
            *idle = *idle + is.idle() - was.idle();
        }
    }

    /// The levels, which hold until the next record.
    ///
    /// *O*(1) while nobody waits for a GPU; else *O*(shapes that wait × nodes that changed).
    pub(super) fn now(&mut self) -> &Now {
        let Busy { useful, stalled, slowed, unneeded } = self.busy;
        let all = u128::from(FULL) * u128::from(self.present());
        let down = self.failed.iter().filter(|(node, _)| self.cluster.class(*node).present).count() as u128;
        let down = down + self.failed_nodes.values().map(|gpus| u128::from(*gpus)).sum::<u128>();
        let failed = u128::from(FULL) * down;
        let out = self.cordoned.union(&self.down).filter(|node| self.cluster.class(**node).present);
        let unavailable = out.map(|node| u128::from(self.idle[node.index()])).sum::<u128>();
        let apart = self.withheld.iter().filter(|(node, gpu)| {
            let counted = self.cordoned.contains(node) || self.down.contains(node);
            let failed = self.failed.contains(&(*node, *gpu));
            !counted && !failed && self.cluster.class(*node).present
        });
        let idle_of = |(node, gpu): &(NodeId, u8)| {
            self.gpus[self.cluster.gpu_id(*node, *gpu).index()].busy.cut().idle()
        };
        let unavailable = unavailable + apart.map(|gpu| u128::from(idle_of(gpu))).sum::<u128>();
        let idle = all - useful - stalled - slowed - unneeded - unavailable - failed;
        let wanted = idle.min(self.asked);
        // Pods that tolerate a cordon could use what counts as unavailable.
        let usable = if wanted == 0 { 0 } else { self.usable() };
        let usable = if self.cordoned.is_empty() && self.down.is_empty() && self.withheld.is_empty() {
            usable
        } else {
            usable.min(wanted)
        };
        assert!(usable <= wanted, "what could be used is idle and asked for");
        // What is lost is taken from what was useful when it is.
        self.now.uses = [
            useful,
            0,
            stalled,
            slowed,
            unneeded,
            usable,
            wanted - usable,
            idle - wanted,
            unavailable,
            failed,
        ];
        &self.now
    }

    /// What the pods that wait alone could take at once: what those ask for whom some node would take
    /// as it stands, at most what is idle on such nodes.
    fn usable(&mut self) -> u128 {
        let Gpus { asking, listed, cluster, pods, .. } = self;
        listed.retain(|shape| {
            let asking = &mut asking[shape.index()];
            asking.listed = 0 < asking.alone;
            asking.listed
        });
        let mut servable = Vec::new();
        let mut amount = 0;
        for shape in &*listed {
            let asking = &mut asking[shape.index()];
            asking.catch_up(&pods.requests[shape.index()], cluster);
            if asking.fits.count != 0 {
                servable.push(*shape);
                amount += u128::from(asking.amount) * u128::from(asking.alone);
            }
        }
        let mut idle = 0;
        for (i, shape) in servable.iter().enumerate() {
            let seen = |node: NodeId| servable[..i].iter().any(|s| self.asking[s.index()].fits.has(node));
            for node in self.asking[shape.index()].fits.nodes().filter(|node| !seen(*node)) {
                idle += u128::from(self.idle[node.index()]);
                if amount <= idle {
                    return amount;
                }
            }
        }
        idle
    }
}
