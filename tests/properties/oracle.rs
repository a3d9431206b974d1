//! What can be said of a run from its records alone, with a cluster of one's own.

use slicewise::cluster::{Cluster, Grant, Out, Placement};
use slicewise::experiment::World;
use slicewise::id::{NodeId, PodId};
use slicewise::record::{Observer, Reasons, Record};
use slicewise::units::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// All records as text, to compare runs.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Log(pub(crate) Vec<(Time, PodId, String)>);

impl Log {
    /// What happened to whom and when, in whatever order within one moment, and without the numbers
    /// of reasons.
    pub(crate) fn sorted(mut self) -> Log {
        for (_, _, text) in &mut self.0 {
            text.truncate(text.find(", reason").unwrap_or(text.len()));
        }
        self.0.sort_by_key(|(at, pod, _)| (*at, *pod));
        self
    }
}

impl Observer for Log {
    fn record(&mut self, at: Time, record: Record<'_>) {
        self.0.push((at, subject(&record), format!("{record:?}")));
        let last = self.0.len().saturating_sub(60);
        assert!(self.0.len() < 500_000, "a run of so few pods ends: {:#?}", &self.0[last..]);
    }
}

/// Whom a record is about.
fn subject(record: &Record<'_>) -> PodId {
    match record {
        // Nodes come before all pods of a moment.
        Record::NodeChanged { .. }
        | Record::Recut { .. }
        | Record::Resliced { .. }
        | Record::Plugin { .. }
        | Record::Planned { .. }
        | Record::Applied { .. }
        | Record::Down { .. }
        | Record::Up { .. }
        | Record::Withheld { .. }
        | Record::Judged { .. } => PodId(0),
        Record::Arrived { pod }
        | Record::Gated { pod, .. }
        | Record::Ungated { pod }
        | Record::Unbound { pod, .. }
        | Record::Refused { pod, .. }
        | Record::Bound { pod, .. }
        | Record::SpeedChanged { pod, .. }
        | Record::Finished { pod }
        | Record::Doomed { pod, .. }
        | Record::Evicted { pod, .. }
        | Record::Failed { pod, .. }
        | Record::Returned { pod }
        | Record::GaveUp { pod }
        | Record::TurnedAway { pod }
        | Record::NeverFits { pod, .. } => *pod,
    }
}

/// Whether `node` takes the request of `pod` now, each question asked one by one.
pub(crate) fn fits(world: &World, cluster: &Cluster, node: NodeId, pod: PodId) -> bool {
    let request = *world.pods().request(pod);
    let class = cluster.class(node);
    class.admits(&world.workload().constraints[request.constraint as usize]).is_ok()
        && 0 < cluster.pods_free(node)
        && request.cpu <= cluster.cpu_free(node)
        && request.memory <= cluster.memory_free(node)
        && cluster.gpus_serve(node, class.need(request.gpu))
}

/// Follows a run: integrals of levels, and room that lies idle while somebody waits for it.
#[derive(Debug)]
pub(crate) struct Oracle<'a> {
    world: &'a World,
    cluster: Cluster,
    now: Time,
    waiting: BTreeSet<PodId>,
    /// Evicted, and not yet created anew.
    away: BTreeSet<PodId>,
    /// Held by scheduling gates.
    gated: BTreeSet<PodId>,
    running: BTreeMap<PodId, (NodeId, Grant)>,
    /// ∫ waiting pods dt, in pod-microseconds.
    pub(crate) queue_integral: u128,
    /// ∫ running pods dt.
    pub(crate) running_integral: u128,
    /// The end of the run.
    pub(crate) end: Time,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(world: &'a World) -> Oracle<'a> {
        Oracle {
            world,
            cluster: world.cluster().clone(),
            now: Time::ZERO,
            waiting: BTreeSet::new(),
            away: BTreeSet::new(),
            gated: BTreeSet::new(),
            running: BTreeMap::new(),
            queue_integral: 0,
            running_integral: 0,
            end: Time::ZERO,
        }
    }

    /// Time goes on: what was true at the end of the moment before held in between.
    fn advance(&mut self, to: Time) {
        if self.now == to {
            return;
        }
        self.nothing_idle();
        let span = u128::from(to.since(self.now).0);
        self.queue_integral += span * (self.waiting.len() + self.away.len()) as u128;
        self.running_integral += span * self.running.len() as u128;
        self.now = to;
    }

    /// Work conservation: where a cycle follows every change, nobody who is alone waits for a node
    /// that would take it.
    fn nothing_idle(&self) {
        if self.world.scenario().scheduler.cycle != Span::ZERO {
            return;
        }
        let alone = |pod: &&PodId| self.world.pods().pods[pod.index()].gang == 1;
        for pod in self.waiting.iter().filter(alone) {
            let idle = self.cluster.nodes().find(|node| fits(self.world, &self.cluster, *node, *pod));
            assert_eq!(idle, None, "pod {} waits at {} and this node would take it", pod.0, self.now);
        }
    }

    fn place(&self, pod: PodId) -> Placement {
        let (node, grant) = self.running[&pod].clone();
        Placement { node, grant }
    }
}

impl Observer for Oracle<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        self.advance(at);
        match record {
            Record::Arrived { pod } => assert!(self.waiting.insert(pod), "a pod arrives once"),
            Record::Gated { pod, .. } => {
                assert!(self.waiting.remove(&pod), "gates hold who waits");
                self.gated.insert(pod);
            }
            Record::Ungated { pod } => {
                assert!(self.gated.remove(&pod), "gates are lifted of whom they hold");
                self.waiting.insert(pod);
            }
            Record::Refused { pod, .. } => assert!(self.waiting.contains(&pod), "who is refused waits on"),
            Record::Unbound { .. } => panic!("`ideal` calls nobody"),
            Record::Bound { pod, node, grant, .. } => {
                assert!(self.waiting.remove(&pod), "who is bound waited");
                assert!(fits(self.world, &self.cluster, node, pod), "a pod is bound where it fits");
                self.running.insert(pod, (node, grant.clone()));
                self.cluster.bind(self.world.pods().request(pod), &self.place(pod));
            }
            Record::SpeedChanged { pod, .. } => {
                assert!(self.world.scenario().models.sharing && self.running.contains_key(&pod));
            }
            Record::Doomed { .. } => {}
            Record::Down { node, gpu: Some(gpu), .. } => self.cluster.set_out(node, gpu, Out::Failed, true),
            Record::Up { node, gpu: Some(gpu) } => self.cluster.set_out(node, gpu, Out::Failed, false),
            Record::Withheld { node, gpu, withheld } => {
                self.cluster.set_out(node, gpu, Out::Recut, withheld);
            }
            Record::Down { gpu: None, .. } | Record::Up { gpu: None, .. } => {}
            Record::Evicted { pod, returns, .. } | Record::Failed { pod, returns, .. } => {
                self.cluster.release(self.world.pods().request(pod), &self.place(pod));
                self.running.remove(&pod);
                if returns {
                    self.away.insert(pod);
                }
            }
            Record::Returned { pod } => {
                assert!(self.away.remove(&pod), "who returns was evicted");
                self.waiting.insert(pod);
            }
            Record::NodeChanged { node, class } => self.cluster.set_class(node, class),
            Record::Recut { node, gpu, standing } => self.cluster.recut(node, gpu, standing),
            Record::Resliced { node, gpu, slices } => self.cluster.offer(node, gpu, slices),
            Record::Plugin { .. }
            | Record::Planned { .. }
            | Record::Judged { .. }
            | Record::Applied { .. } => {}
            Record::Finished { pod } => {
                self.cluster.release(self.world.pods().request(pod), &self.place(pod));
                self.running.remove(&pod);
            }
            Record::GaveUp { pod } | Record::TurnedAway { pod } | Record::NeverFits { pod, .. } => {
                let waited = self.waiting.remove(&pod) | self.away.remove(&pod) | self.gated.remove(&pod);
                assert!(waited, "who leaves waited");
            }
        }
    }

    fn end(&mut self, at: Time, _: &Reasons) {
        self.advance(at);
        self.nothing_idle();
        self.end = at;
    }
}
