//! The second road: occupancy rebuilt from records alone.
//!
//! The cluster asserts when it binds; this checker knows only the records, what each pod asks for
//! and what each node has, and must come to the same conclusions: nothing is given twice, nobody
//! runs who did not arrive, every pod's work is done when it finishes, and everybody is accounted
//! for at the end. It runs with every run.

use crate::cluster::{Cluster, Grant, Need, Out};
use crate::id::{NodeId, PodId};
use crate::record::{Observer, Reasons, Record};
use crate::units::{Speed, Time, Work};
use crate::workload::Truth;
use crate::workload::view::Pods;
use rustc_hash::FxHashMap;

/// Checks the records of one run as they come; panics on the first that cannot be.
#[derive(Debug)]
pub struct Checker<'a> {
    pods: Pods<'a>,
    truths: &'a [Truth],
    /// Capacities, and numbers of GPUs; its allocations are never touched.
    empty: Cluster,
    used: Vec<Used>,
    gpu_used: Vec<u32>,
    running: FxHashMap<PodId, Job>,
    /// Work left of those that lost their place and not all of what they had done.
    kept: FxHashMap<PodId, Work>,
    waiting: u64,
    totals: Totals,
    now: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu: u64,
    memory: u64,
    pods: u32,
}

#[derive(Clone, Debug)]
struct Job {
    node: NodeId,
    grant: Grant,
    left: Work,
    speed: Speed,
    since: Time,
}

/// What became of everybody: the balance that must hold at any moment.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    arrived: u64,
    /// Ran to the end.
    finished: u64,
    /// Left without having run to the end: gave up, turned away, never fit, evicted or failed for good.
    left: u64,
}

impl<'a> Checker<'a> {
    /// A checker for a run on `empty`.
    #[must_use]
    pub fn new(pods: Pods<'a>, truths: &'a [Truth], empty: &'a Cluster) -> Checker<'a> {
        Checker {
            pods,
            truths,
            used: vec![Used::default(); empty.len()],
            gpu_used: vec![0; empty.gpus()],
            empty: empty.clone(),
            running: FxHashMap::default(),
            kept: FxHashMap::default(),
            waiting: 0,
            totals: Totals::default(),
            now: Time::ZERO,
        }
    }

    fn bound(&mut self, pod: PodId, node: NodeId, grant: &Grant, speed: Speed) {
        assert!(0 < self.waiting, "only a waiting pod is bound");
        self.waiting -= 1;
        let (request, class) = (self.pods.request(pod), self.empty.class(node));
        assert!(class.present, "a pod is bound to a node that is there");
        assert!(
            // One that was on its way when its GPU was taken out to be cut holds its part of it.
            grant.gpus().all(|gpu| !self.empty.has_failed(node, gpu)),
            "a pod is bound to GPUs that are not down"
        );
        let used = &mut self.used[node.index()];
        used.cpu += request.cpu.0;
        used.memory += request.memory.0;
        used.pods += 1;
        // A node that lost CPU may hold more than it has, and still takes a pod that asks for none.
        let none = |asked: u64| asked == 0;
        assert!(none(request.cpu.0) || used.cpu <= class.cpu.0, "CPU of a node is not oversubscribed");
        assert!(
            none(request.memory.0) || used.memory <= class.memory.0,
            "memory of a node is not oversubscribed"
        );
        assert!(used.pods <= class.pods, "a node holds no more pods than it may");
        self.hold(pod, node, grant, true);
        let left = self.kept.remove(&pod).unwrap_or(Work::alone(self.truths[pod.index()].work));
        let job = Job { node, grant: grant.clone(), left, speed, since: self.now };
        assert!(self.running.insert(pod, job).is_none(), "a pod runs once at a time");
    }

    /// Counts the GPU parts of a grant in or out. For slices the counter is a mask of those held.
    fn hold(&mut self, pod: PodId, node: NodeId, grant: &Grant, take: bool) {
        let class = self.empty.class(node);
        let at = |gpu: u8| {
            assert!(u16::from(gpu) < class.gpus, "a GPU of this node");
            self.empty.gpu_id(node, gpu).index()
        };
        match (grant, class.need(self.pods.request(pod).gpu)) {
            (Grant::None, Need::None) => {}
            (Grant::Gpus(mask), Need::Units { each, count }) => {
                assert!(mask.count_ones() == u32::from(count), "as many GPUs as asked");
                for gpu in grant.gpus() {
                    let held = &mut self.gpu_used[at(gpu)];
                    *held = if take { *held + u32::from(each) } else { *held - u32::from(each) };
                    assert!(*held <= class.full(), "a GPU is not oversubscribed");
                }
            }
            (Grant::Slice { gpu, slice }, Need::Slices { mask, count: 1 }) => {
                let full = self.empty.standing(node, *gpu);
                toggle(&mut self.gpu_used[at(*gpu)], full, *slice, mask, take);
            }
            (Grant::Slices(slices), Need::Slices { mask, count }) => {
                assert!(slices.len() == usize::from(count), "as many slices as asked");
                for (gpu, slice) in slices.iter() {
                    let full = self.empty.standing(node, *gpu);
                    toggle(&mut self.gpu_used[at(*gpu)], full, *slice, mask, take);
                }
            }
            (grant, need) => panic!("{grant:?} does not give {need:?}"),
        }
    }

    fn speed_changed(&mut self, pod: PodId, speed: Speed) {
        let job = self.running.get_mut(&pod).expect("only a running pod changes its speed");
        job.left = job.left.minus(Work::done(self.now.since(job.since), job.speed));
        (job.since, job.speed) = (self.now, speed);
    }

    fn finished(&mut self, pod: PodId) {
        let job = self.running.remove(&pod).expect("only a running pod ends");
        let done = Work::done(self.now.since(job.since), job.speed);
        assert!(job.left <= done, "a pod ends when its work is done");
        // Work conservation to one tick: a microsecond less would not have been enough.
        let early = done.minus(Work::done(crate::units::Span(1), job.speed));
        assert!(early < job.left || done == Work::default(), "a pod ends as soon as its work is done");
        self.free(pod, &job);
        self.totals.finished += 1;
    }

    fn lost(&mut self, pod: PodId, returns: bool, lost: Work) {
        let job = self.running.remove(&pod).expect("only a running pod loses its place");
        let left = job.left.minus(Work::done(self.now.since(job.since), job.speed));
        let again = Work(left.0 + lost.0);
        let all = Work::alone(self.truths[pod.index()].work);
        assert!(again <= all, "nobody loses more work than was done");
        self.free(pod, &job);
        match returns {
            true => {
                self.waiting += 1;
                if again != all {
                    self.kept.insert(pod, again);
                }
            }
            false => self.totals.left += 1,
        }
    }

    fn free(&mut self, pod: PodId, job: &Job) {
        self.hold(pod, job.node, &job.grant, false);
        let request = self.pods.request(pod);
        let used = &mut self.used[job.node.index()];
        used.cpu -= request.cpu.0;
        used.memory -= request.memory.0;
        used.pods -= 1;
    }

    fn node_changed(&mut self, node: NodeId, class: u16) {
        self.empty.set_class(node, class);
        let present = self.empty.class(node).present;
        assert!(present || self.used[node.index()].pods == 0, "a node that left has no pods");
    }

    fn recut(&mut self, node: NodeId, gpu: u8, standing: u32) {
        let held = self.gpu_used[self.empty.gpu_id(node, gpu).index()];
        assert!(held & !standing == 0, "a slice that is held stands");
        self.empty.recut(node, gpu, standing);
    }

    fn left(&mut self) {
        assert!(0 < self.waiting, "only a waiting pod leaves the queue");
        self.waiting -= 1;
        self.totals.left += 1;
    }
}

fn toggle(held: &mut u32, full: u32, slice: u8, mask: u32, take: bool) {
    let bit = 1 << slice;
    assert!(full & bit != 0, "a slice that stands");
    assert!(mask & bit != 0, "a slice of the profile that was asked for");
    assert!((*held & bit == 0) == take, "a slice has one holder");
    *held ^= bit;
}

impl Observer for Checker<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        assert!(self.now <= at, "records come in order of time");
        self.now = at;
        match record {
            Record::Arrived { .. } => {
                self.totals.arrived += 1;
                self.waiting += 1;
            }
            Record::Refused { .. }
            | Record::Unbound { .. }
            | Record::Gated { .. }
            | Record::Ungated { .. }
            | Record::Doomed { .. }
            | Record::Returned { .. } => {}
            Record::Evicted { pod, returns, lost } | Record::Failed { pod, returns, lost, .. } => {
                self.lost(pod, returns, lost);
            }
            Record::Down { node, gpu: Some(gpu), .. } => self.empty.set_out(node, gpu, Out::Failed, true),
            Record::Up { node, gpu: Some(gpu) } => self.empty.set_out(node, gpu, Out::Failed, false),
            Record::Withheld { node, gpu, withheld } => {
                self.empty.set_out(node, gpu, Out::Recut, withheld);
            }
            Record::Down { gpu: None, .. } | Record::Up { gpu: None, .. } => {}
            Record::Bound { pod, node, grant, speed } => self.bound(pod, node, grant, speed),
            Record::SpeedChanged { pod, speed } => self.speed_changed(pod, speed),
            Record::Finished { pod } => self.finished(pod),
            Record::NodeChanged { node, class } => self.node_changed(node, class),
            Record::Recut { node, gpu, standing } => self.recut(node, gpu, standing),
            Record::Resliced { node, gpu, slices } => self.empty.offer(node, gpu, slices),
            Record::Plugin { .. }
            | Record::Planned { .. }
            | Record::Judged { .. }
            | Record::Applied { .. } => {}
            Record::GaveUp { .. } | Record::TurnedAway { .. } | Record::NeverFits { .. } => self.left(),
        }
        let Totals { arrived, finished, left } = self.totals;
        let inside = self.waiting + self.running.len() as u64;
        assert!(arrived == finished + left + inside, "pods in = out + waiting + running + refused");
    }

    fn end(&mut self, _: Time, _: &Reasons) {
        assert!(self.totals.arrived == self.pods.pods.len() as u64, "every pod arrives");
        assert!(self.running.is_empty(), "a run goes on while anything runs");
        assert!(
            self.used.iter().all(|u| u.cpu == 0 && u.memory == 0 && u.pods == 0),
            "an idle cluster is free"
        );
        assert!(self.gpu_used.iter().all(|held| *held == 0), "idle GPUs are free");
    }
}
