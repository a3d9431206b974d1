//! What to do next: the scheduling cycle.
//!
//! The framework is kube-scheduler's: queue → filter → score → host choice, with statuses, reasons
//! and counted messages. Filters are [`filter`]; scores are [`score`], one trait that anybody can
//! implement; [`row`] keeps, for each shape of pod, every node's status and score and brings only
//! the changed nodes up to date; [`queue`] orders who waits. [`Scheduler`] is the profile `ideal`:
//! priority, then arrival; a waiting pod is tried again exactly when something changed that could
//! serve it; no back-off. [`kube`] is the real scheduler, version by version.
//!
//! A policy is shown requests and a read-only cluster, never how long a pod will run.

mod bound;
pub mod filter;
pub mod kube;
pub mod queue;
pub mod row;
pub mod score;
pub mod spec;

use crate::cluster::{Cluster, Placement};
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{ReasonId, Reasons};
use crate::rng::Stream;
use crate::workload::view::Pods;
use filter::{Shape, fit_together};
use queue::{Entry, GroupId, Queue};
use row::Rows;
use rustc_hash::FxHashMap;
use score::Scores;
use spec::{GpuChoice, SchedulerSpec, Ties};

/// What the scheduler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bind these pods: one, or all members of a gang, each with its place.
    Bind(Vec<(PodId, Placement)>),
    /// Nobody who waits can be placed now.
    Wait,
}

/// The profile `ideal`.
#[derive(Debug)]
pub struct Scheduler<'a> {
    pods: Pods<'a>,
    shapes: Vec<Shape>,
    rows: Rows,
    queue: Queue,
    gangs: FxHashMap<Vec<ShapeId>, GroupId>,
    gpu_choice: GpuChoice,
    ties: Option<Stream>,
    /// The cluster as it was given, for what can never be placed.
    empty: Cluster,
    gang_fits: FxHashMap<GroupId, bool>,
    attempts: u64,
}

impl<'a> Scheduler<'a> {
    /// A scheduler for `pods` on `cluster`, which is empty as yet.
    ///
    /// `seed` decides ties where the scheduler's settings say so.
    #[must_use]
    pub fn new(
        pods: Pods<'a>,
        cluster: &Cluster,
        spec: &SchedulerSpec,
        scores: Scores,
        seed: u64,
    ) -> Scheduler<'a> {
        let shapes: Vec<Shape> = pods
            .requests
            .iter()
            .map(|r| Shape::new(r, &pods.constraints[r.constraint as usize], cluster.classes()))
            .collect();
        let seeded = spec.ties == Ties::Seeded || scores.is_random();
        Scheduler {
            rows: Rows::new(shapes.len(), cluster, scores, seeded),
            queue: Queue::new(shapes.len()),
            shapes,
            pods,
            gangs: FxHashMap::default(),
            gpu_choice: spec.gpu_choice,
            ties: seeded.then(|| Stream::new(seed, "ties", 0)),
            empty: cluster.clone(),
            gang_fits: FxHashMap::default(),
            attempts: 0,
        }
    }

    /// Attempts to place a pod or gang so far.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Whether pods wait that a cycle might place.
    #[must_use]
    pub fn has_ready(&mut self) -> bool {
        self.queue.head().is_some()
    }

    /// Whether `pod` (the first of its gang) could be placed on the empty cluster: all members at
    /// once, each where the scores put it beside those before it, the first of equal nodes. Where nodes
    /// change later, a gang is given the benefit of the doubt.
    #[must_use]
    pub fn can_ever_fit(&mut self, pod: PodId) -> bool {
        let shape = self.pods.shape(pod);
        if self.pods.pods[pod.index()].gang == 1 {
            return self.shapes[shape.index()].fits_empty();
        }
        let group = self.group(pod);
        if let Some(known) = self.gang_fits.get(&group) {
            return *known;
        }
        let fits = !self.empty.is_settled() || self.gang_fits_empty(pod);
        self.gang_fits.insert(group, fits);
        fits
    }

    /// Placed as it would be on the idle cluster, so that a gang which passes is placed there.
    fn gang_fits_empty(&mut self, first: PodId) -> bool {
        let Scheduler { pods, shapes, rows, .. } = self;
        let members = pods.members(first).map(|member| &shapes[pods.shape(member).index()]);
        fit_together(members, self.empty.clone(), self.gpu_choice, |shape, cluster| {
            rows.scan(shape, cluster, None)
        })
    }

    /// The message for a pod that [`Scheduler::can_ever_fit`] denies: what the empty cluster says.
    pub fn never_fits(&mut self, pod: PodId, reasons: &mut Reasons) -> ReasonId {
        let alone = |m: &PodId| self.shapes[self.pods.shape(*m).index()].fits_empty();
        let member = self.pods.members(pod).find(|m| !alone(m)).unwrap_or(pod);
        let shape = self.pods.shape(member);
        let counts = self.rows.refusals(&self.shapes[shape.index()], &self.empty);
        self.message(shape, self.empty.nodes_present(), counts, reasons)
    }

    /// A pod (the first of its gang) starts to wait.
    pub fn enqueue(&mut self, pod: PodId) {
        let group = self.group(pod);
        self.queue.push(group, Entry::new(self.pods.pods[pod.index()].priority, pod));
    }

    /// A waiting pod leaves.
    pub fn withdraw(&mut self, pod: PodId) {
        let group = self.group(pod);
        self.queue.remove(group, Entry::new(self.pods.pods[pod.index()].priority, pod));
    }

    fn group(&mut self, pod: PodId) -> GroupId {
        let shape = self.pods.shape(pod);
        if self.pods.pods[pod.index()].gang == 1 {
            return GroupId(shape.0);
        }
        let shapes: Vec<ShapeId> = self.pods.members(pod).map(|m| self.pods.shape(m)).collect();
        if let Some(group) = self.gangs.get(&shapes) {
            return *group;
        }
        let group = self.queue.add_group(&shapes);
        self.gangs.insert(shapes, group);
        group
    }

    /// Room was freed on `node`: groups that could use it are tried again in the next cycle.
    ///
    /// *O*(groups that wait).
    pub fn freed(&mut self, node: NodeId, cluster: &Cluster) {
        let (shapes, queue) = (&self.shapes, &mut self.queue);
        queue.unblock(|shape| shapes[shape.index()].refusal(cluster, node).is_none());
    }

    /// The next decision of a cycle. The caller carries it out and asks again, until `Wait`.
    pub fn next(&mut self, cluster: &mut Cluster) -> Decision {
        while let Some((group, entry)) = self.queue.head() {
            self.attempts += 1;
            let pod = entry.pod();
            let places = match self.pods.pods[pod.index()].gang {
                1 => self.place(self.pods.shape(pod), cluster).map(|place| vec![(pod, place)]),
                _ => self.place_gang(pod, cluster),
            };
            match places {
                Some(places) => {
                    self.queue.pop(group);
                    return Decision::Bind(places);
                }
                None => self.queue.block(group),
            }
        }
        Decision::Wait
    }

    /// Filter, score, host choice, GPU choice for one pod.
    fn place(&mut self, shape: ShapeId, cluster: &Cluster) -> Option<Placement> {
        let of = &self.shapes[shape.index()];
        let node = self.rows.best(shape, of, cluster, self.ties.as_mut())?;
        let need = of.need(cluster.class_index(node));
        let grant = cluster.choose(node, need, self.gpu_choice).expect("the filter passed this node");
        Some(Placement { node, grant })
    }

    /// All members or none: each is tried on the cluster that holds those before it, and all are
    /// taken back, since it is the caller who binds.
    fn place_gang(&mut self, first: PodId, cluster: &mut Cluster) -> Option<Vec<(PodId, Placement)>> {
        let mut placed: Vec<(PodId, Placement)> = Vec::new();
        for member in self.pods.members(first) {
            let Some(placement) = self.place(self.pods.shape(member), cluster) else { break };
            cluster.bind(self.pods.request(member), &placement);
            placed.push((member, placement));
        }
        for (member, placement) in placed.iter().rev() {
            cluster.release(self.pods.request(*member), placement);
        }
        (placed.len() == self.pods.members(first).count()).then_some(placed)
    }

    /// Why a waiting pod (the first of its gang) finds no node now, as kube-scheduler words it.
    pub fn explain(&mut self, pod: PodId, cluster: &Cluster, reasons: &mut Reasons) -> ReasonId {
        let shape = self.pods.shape(pod);
        let counts = self.rows.refusals(&self.shapes[shape.index()], cluster);
        self.message(shape, cluster.nodes_present(), counts, reasons)
    }

    fn message(
        &self,
        shape: ShapeId,
        nodes: usize,
        counts: Vec<(u8, u32)>,
        reasons: &mut Reasons,
    ) -> ReasonId {
        let request = &self.pods.requests[shape.index()];
        filter::message(&counts, request, self.pods.slices, nodes, reasons)
    }
}
