//! The profile `ideal` written the obvious way: at every moment everybody who waits is tried, best
//! first, on every node. No groups, no rows, no reasons to wake anybody; pods run at full speed.

use crate::oracle::{Log, fits};
use slicewise::cluster::{Cluster, Placement};
use slicewise::experiment::World;
use slicewise::id::{NodeId, PodId};
use slicewise::record::{Observer, Plugins, ReasonId, Record};
use slicewise::rng::Stream;
use slicewise::sched::spec::Ties;
use slicewise::units::{Span, Speed, Time};
use std::cell::RefCell;

struct Reference<'a> {
    world: &'a World,
    cluster: Cluster,
    now: Time,
    /// First pods of gangs and pods alone, with whether no cycle has seen them yet.
    waiting: Vec<(PodId, bool)>,
    /// By end, then by the order of binding.
    running: Vec<(Time, PodId, Placement)>,
    /// Draws among equally good nodes, where the scenario wants them.
    ties: Option<RefCell<Stream>>,
    log: Log,
}

/// The records of a run, in the order of [`Log::sorted`].
pub(crate) fn run(world: &World) -> Log {
    let scenario = world.scenario();
    let spec = &scenario.scheduler;
    let drawn = spec.ties == Ties::Seeded || spec.scores.iter().any(|score| score.name == "random");
    let mut reference = Reference {
        world,
        cluster: world.cluster().clone(),
        now: Time::ZERO,
        waiting: Vec::new(),
        running: Vec::new(),
        ties: drawn.then(|| RefCell::new(Stream::new(scenario.seed, "ties", 0))),
        log: Log::default(),
    };
    reference.run();
    reference.log.sorted()
}

impl Reference<'_> {
    fn run(&mut self) {
        let pods = &self.world.workload().pods;
        let mut next = 0;
        while let Some(now) = self.next_moment(pods.get(next).map(|pod| pod.arrival)) {
            self.now = now;
            self.finish();
            while pods.get(next).is_some_and(|pod| pod.arrival == now) {
                self.arrive(PodId::of(next));
                next += pods[next].gang as usize;
            }
            self.cycle();
            // Pods without work end in the moment they begin, and leave room for more of them.
            while self.finish() {
                self.cycle();
            }
            self.give_up();
        }
    }

    fn patience(&self) -> Option<Span> {
        self.world.scenario().workload.patience
    }

    /// The next moment in which anything happens.
    fn next_moment(&self, arrival: Option<Time>) -> Option<Time> {
        let finish = self.running.iter().map(|run| run.0).min();
        let patience = self.patience();
        let patience = self.waiting.iter().filter_map(|w| Some(self.arrival(w.0) + patience?)).min();
        [arrival, finish, patience].into_iter().flatten().min()
    }

    fn arrival(&self, pod: PodId) -> Time {
        self.world.workload().pods[pod.index()].arrival
    }

    fn members(&self, first: PodId) -> Vec<PodId> {
        self.world.pods().members(first).collect()
    }

    fn log_all(&mut self, first: PodId, record: impl Fn(PodId) -> Record<'static>) {
        for pod in self.members(first) {
            self.log.record(self.now, record(pod));
        }
    }

    fn arrive(&mut self, first: PodId) {
        self.log_all(first, |pod| Record::Arrived { pod });
        // A gang's members are equal here, so the order in which nodes are tried does not matter.
        let mut empty = self.world.cluster().clone();
        let first_node = |_: &Cluster, _: PodId, fit: &[NodeId]| fit.first().copied();
        match self.try_on(&mut empty, first, first_node) {
            Some(_) => self.waiting.push((first, true)),
            None => self.log_all(first, |pod| Record::NeverFits { pod, reason: ReasonId::FIRST }),
        }
    }

    /// Binds all members on `cluster`, or none.
    fn try_on(
        &self,
        cluster: &mut Cluster,
        first: PodId,
        choose: impl Fn(&Cluster, PodId, &[NodeId]) -> Option<NodeId>,
    ) -> Option<Vec<(PodId, Placement)>> {
        let mut tried = cluster.clone();
        let mut placed = Vec::new();
        for pod in self.members(first) {
            let fit: Vec<NodeId> =
                tried.nodes().filter(|node| fits(self.world, &tried, *node, pod)).collect();
            let node = choose(&tried, pod, &fit)?;
            let request = *self.world.pods().request(pod);
            let need = tried.class(node).need(request.gpu);
            let choice = self.world.scenario().scheduler.gpu_choice;
            let grant = tried.choose(node, need, choice).expect("the node fits");
            let placement = Placement { node, grant };
            tried.bind(&request, &placement);
            placed.push((pod, placement));
        }
        *cluster = tried;
        Some(placed)
    }

    fn cycle(&mut self) {
        let pods = &self.world.workload().pods;
        let mut order: Vec<PodId> = self.waiting.iter().map(|w| w.0).collect();
        order.sort_by_key(|first| (std::cmp::Reverse(pods[first.index()].priority), *first));
        for first in order {
            let mut cluster = self.cluster.clone();
            let best = |cluster: &Cluster, pod: PodId, fit: &[NodeId]| self.best(cluster, pod, fit);
            let Some(placed) = self.try_on(&mut cluster, first, best) else { continue };
            self.cluster = cluster;
            self.waiting.retain(|w| w.0 != first);
            for (pod, placement) in placed {
                let (node, grant) = (placement.node, &placement.grant);
                self.log.record(self.now, Record::Bound { pod, node, grant, speed: Speed::FULL });
                let end = self.now + self.world.workload().truths[pod.index()].work;
                self.running.push((end, pod, placement));
            }
        }
        self.let_go();
    }

    /// The newcomers of this cycle who must leave at once.
    fn let_go(&mut self) {
        let mut fresh: Vec<PodId> = self.waiting.iter().filter(|w| w.1).map(|w| w.0).collect();
        self.waiting.iter_mut().for_each(|w| w.1 = false);
        for first in &fresh {
            self.log_all(*first, |pod| Record::Refused {
                pod,
                reason: ReasonId::FIRST,
                rejectors: Plugins::NONE,
                nominated: None,
            });
        }
        if self.patience() == Some(Span::ZERO) {
            for first in fresh.drain(..) {
                self.leave(first, |pod| Record::GaveUp { pod });
            }
        }
        let limit = self.world.scenario().workload.queue_limit.unwrap_or(u64::MAX);
        while limit < self.waiting.iter().map(|w| self.members(w.0).len() as u64).sum() {
            let Some(latest) = fresh.pop() else { break };
            self.leave(latest, |pod| Record::TurnedAway { pod });
        }
    }

    fn leave(&mut self, first: PodId, record: impl Fn(PodId) -> Record<'static>) {
        self.waiting.retain(|w| w.0 != first);
        self.log_all(first, record);
    }

    fn give_up(&mut self) {
        let Some(patience) = self.patience() else { return };
        let over = |w: &&(PodId, bool)| self.arrival(w.0) + patience <= self.now;
        let over: Vec<PodId> = self.waiting.iter().filter(over).map(|w| w.0).collect();
        for first in over {
            self.leave(first, |pod| Record::GaveUp { pod });
        }
    }

    /// Ends the runs of this moment; whether there were any.
    fn finish(&mut self) -> bool {
        let now = self.now;
        let (ended, running) = std::mem::take(&mut self.running).into_iter().partition(|run| run.0 == now);
        self.running = running;
        let ended: Vec<(Time, PodId, Placement)> = ended;
        for (_, pod, placement) in &ended {
            self.cluster.release(self.world.pods().request(*pod), placement);
            self.log.record(now, Record::Finished { pod: *pod });
        }
        !ended.is_empty()
    }

    /// The first of the best nodes, or one drawn among them.
    fn best(&self, cluster: &Cluster, pod: PodId, fit: &[NodeId]) -> Option<NodeId> {
        let scores: Vec<u64> = fit.iter().map(|node| self.score(cluster, *node, pod)).collect();
        let best = *scores.iter().max()?;
        let equals: Vec<NodeId> =
            fit.iter().zip(&scores).filter(|(_, score)| **score == best).map(|(node, _)| *node).collect();
        let chosen = self.ties.as_ref().map_or(0, |ties| ties.borrow_mut().below(equals.len() as u64));
        Some(equals[chosen as usize])
    }

    /// kube-scheduler's scores, from their formulas.
    fn score(&self, cluster: &Cluster, node: NodeId, pod: PodId) -> u64 {
        let (request, class) = (*self.world.pods().request(pod), cluster.class(node));
        let cpu = (class.cpu.0 - cluster.cpu_free(node).0 + request.cpu.0, class.cpu.0);
        let memory = (class.memory.0 - cluster.memory_free(node).0 + request.memory.0, class.memory.0);
        let scores = &self.world.scenario().scheduler.scores;
        let score = |name: &str| match name {
            "least-allocated" => ((cpu.1 - cpu.0) * 100 / cpu.1 + (memory.1 - memory.0) * 100 / memory.1) / 2,
            "most-allocated" => (cpu.0 * 100 / cpu.1 + memory.0 * 100 / memory.1) / 2,
            "balanced-allocation" => {
                let share = |(used, all): (u64, u64)| used as f64 / all as f64;
                ((1.0 - (share(cpu) - share(memory)).abs() / 2.0) * 100.0) as u64
            }
            // Not a figure of its own: a draw among the nodes that the others leave equal.
            "random" => 0,
            other => panic!("no formula for {other}"),
        };
        scores.iter().map(|s| score(&s.name) * u64::from(s.weight)).sum()
    }
}
