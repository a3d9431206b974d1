//! The controllers: whom they look at, what they plan, and how MPS nodes are written.

use super::{Nos, NosSetup, Side, choices, places};
use crate::cluster::Cluster;
use crate::gpu::Geometry;
use crate::id::{NodeId, PodId, ShapeId};
use crate::partition::boards::{Board, Boards, geometry};
use crate::partition::nos::control::{Next, Sight, plan_id, writes};
use crate::partition::nos::names::{Kind, PLUGIN_CONFIG};
use crate::partition::nos::rollout::{Rollout, Step};
use crate::partition::nos::state::{Replicas, annotate, config_key, plugin_config};
use crate::partition::nos::{Choices, Counts, Gpu, Names, Plan, Pod, Reach, Snapshot, plan};
use crate::partition::planner::{Ask, Regret, answer, regret};
use crate::record::{Observer, Record};
use crate::sim::nos::Due;
use crate::sim::{State, World};
use std::collections::{BTreeMap, BTreeSet};

impl<O: Observer> World<'_, '_, O> {
    /// A node of an MPS plan is written.
    pub(super) fn nos_rollout(&mut self, step: Step) {
        let now = self.calendar.now();
        let Step::Label(write) = step else { return };
        let id = write.node;
        let nos = self.nos.as_mut().expect("there is nos");
        let gpus = write.state(nos.state.names());
        let (_, _, plan) = nos.rollout.as_ref().expect("it is under way");
        let key = config_key(&write.name, plan);
        let mps_plugin = nos.setup.mps_plugin;
        let Some(node) = nos.nodes.get_mut(&id) else {
            // The node is gone, and the first error ends the pass.
            nos.rollout.as_mut().expect("it is under way").0.abort();
            return;
        };
        node.text.labels.insert(PLUGIN_CONFIG.to_owned(), key);
        let Side::Mps { config } = &mut node.side else { return };
        let Ok(new) = plugin_config(&gpus) else { return };
        let count = |config: &[Replicas]| {
            let mut slices: BTreeMap<(i64, i64), i64> = BTreeMap::new();
            for entry in config {
                *slices.entry((entry.device, entry.memory_gb)).or_default() += entry.replicas;
            }
            slices
        };
        let (was, is) = (count(config), count(&new));
        let more = |a: &BTreeMap<(i64, i64), i64>, b: &BTreeMap<(i64, i64), i64>| {
            let surplus = |(key, n): (&(i64, i64), &i64)| (n - b.get(key).unwrap_or(&0)).max(0);
            a.iter().map(surplus).sum::<i64>() as u32
        };
        let (created, destroyed) = (more(&is, &was), more(&was, &is));
        *config = new;
        nos.sequence += 1;
        node.restart = nos.sequence;
        let restart = node.restart;
        nos.at(now + mps_plugin, Due::PluginUp(id, restart));
        self.emit(Record::Applied { node: id, created, destroyed, missing: 0 });
        self.nos_plugin_down(id);
    }

    /// The workers of both controllers look at the pods in their queues; whether one did.
    pub(super) fn nos_look(&mut self) -> bool {
        let now = self.calendar.now();
        let mut looked = false;
        let nos = self.nos.as_mut().expect("there is nos");
        nos.looks += 1;
        // Both controllers take batches from one channel, and which comes first is a race upstream (N11):
        // they take turns here, since the one that always came second would never plan.
        let order = if nos.looks.is_multiple_of(2) { [Kind::Mps, Kind::Mig] } else { [Kind::Mig, Kind::Mps] };
        for kind in order {
            loop {
                let nos = self.nos.as_mut().expect("there is nos");
                if kind == Kind::Mps && nos.rollout.is_some() {
                    break;
                }
                let Some(pod) = nos.queues[kind as usize].pop() else { break };
                looked = true;
                let sight = Sight {
                    has_nodes: nos.state.has_nodes(kind),
                    exists: self.state[pod.index()] == State::Waiting
                        || self.state[pod.index()] == State::Running,
                    helpable: self.state[pod.index()] == State::Waiting
                        && nos.conditions.get(&pod).is_some_and(|(_, nominated)| nominated.is_none()),
                    unreported: nos.state.owes_report(),
                };
                let next = nos.controllers[kind as usize].reconcile(now, pod, sight, &mut nos.batcher);
                let queue = &mut nos.queues[kind as usize];
                match next {
                    Next::Done => queue.done(pod),
                    Next::Again(span) => {
                        queue.forget(pod);
                        queue.add_at(now + span, pod);
                        queue.done(pod);
                    }
                    Next::Plan => self.nos_plan(kind, pod),
                }
            }
        }
        looked
    }

    /// Plans for all pods that could be helped, and writes the plan.
    fn nos_plan(&mut self, kind: Kind, look: PodId) {
        let now = self.calendar.now();
        let pods = self.setup.pods;
        let nos = self.nos.as_mut().expect("there is nos");
        nos.plans += 1;
        let waiting: Vec<PodId> = nos
            .conditions
            .iter()
            .filter(|(_, (_, nominated))| nominated.is_none())
            .map(|(pod, _)| *pod)
            .collect();
        let used: BTreeSet<ShapeId> = waiting.iter().map(|pod| pods.shape(*pod)).collect();
        for shape in used {
            let constraint = &pods.constraints[pods.requests[shape.index()].constraint as usize];
            let admits = |node: &NodeId| self.cluster.class(*node).admits(constraint).is_ok();
            let reached: Vec<NodeId> = nos.nodes.keys().copied().filter(admits).collect();
            let all = reached.len() == nos.nodes.len();
            nos.shapes[shape.index()].reach = if all { Reach::Anywhere } else { Reach::Nodes(reached) };
        }
        let of =
            |pod: &PodId| Pod { shape: pods.shape(*pod).index(), priority: pods.pods[pod.index()].priority };
        let asked: Vec<Pod> = waiting.iter().map(of).collect();
        let mut choices = choices(nos.setup.seed, nos.plans);
        let settings = nos.setup.settings;
        let Ok(snapshot) = nos.state.snapshot(kind) else {
            nos.queues[kind as usize].failed(now, look);
            return;
        };
        let (planned, regret) = match nos.setup.on_places() {
            false => (plan(snapshot, &nos.shapes, &asked, settings, &mut *choices), None),
            true => ask(nos, &self.cluster, snapshot, &asked, &mut *choices),
        };
        let writes = writes(snapshot, &planned, settings.fixes, &mut *choices);
        let placed: BTreeSet<usize> =
            planned.recuts.iter().flat_map(|recut| recut.pods.iter().copied()).collect();
        let record = Record::Planned {
            pods: asked.len() as u32,
            placed: placed.len() as u32,
            nodes: writes.len() as u32,
            changed: writes.iter().filter(|write| write.changed).count() as u32,
        };
        let id = plan_id(now, settings.fixes);
        let judged = regret.map(|regret| Record::Judged {
            served: regret.served as u32,
            best: regret.best_served as u32,
            bound: regret.bound as u32,
            exact: regret.complete,
            recuts: regret.recuts as u32,
            best_recuts: regret.best_recuts as u32,
        });
        if kind == Kind::Mps && !writes.is_empty() {
            nos.queues[kind as usize].forget(look);
            nos.rollout = Some((Rollout::new(now, writes, settings), look, id));
            self.emit(record);
            judged.into_iter().for_each(|record| self.emit(record));
            return;
        }
        nos.queues[kind as usize].forget(look);
        nos.queues[kind as usize].done(look);
        let states: Vec<(NodeId, _)> =
            writes.iter().map(|write| (write.node, write.state(nos.state.names()))).collect();
        self.emit(record);
        judged.into_iter().for_each(|record| self.emit(record));
        for (node, gpus) in states {
            let nos = self.nos.as_mut().expect("there is nos");
            // A node that is gone cannot be written, and the first error ends the pass.
            let Some(managed) = nos.nodes.get_mut(&node) else {
                nos.queues[kind as usize].failed(now, look);
                break;
            };
            if let Ok(annotations) = annotate(&managed.text.annotations, &gpus, &id) {
                managed.text.annotations = annotations;
                self.nos_node_event(node);
                self.nos_act(node);
            }
        }
    }
}

/// Asks a planner that goes by the places of slices, and what the best plan would do better.
fn ask(
    nos: &Nos<'_>,
    cluster: &Cluster,
    snapshot: &Snapshot,
    pods: &[Pod],
    choices: &mut dyn Choices,
) -> (Plan, Option<Regret>) {
    let mut boards = Boards::new();
    for node in snapshot.nodes() {
        // A node that left may still be planned for; nobody knows its places.
        let Some(side) = nos.nodes.get(&node.id).map(|managed| &managed.side) else { continue };
        let Side::Mig { driver, states, .. } = side else { continue };
        let product = nos.products[*driver].0;
        let (full, free) = (cluster.gpu_full(node.id), cluster.gpu_free(node.id));
        let board = |gpu: &Gpu| {
            let at = usize::try_from(gpu.index).ok().filter(|at| *at < states.len())?;
            let board = Board {
                index: gpu.index,
                product,
                state: states[at],
                used: places(full[at] & !free[at]),
                known: true,
            };
            // Where nos' view lags behind, it is planned for what it sees, at places that could be.
            if shows(snapshot.names(), gpu, &board) {
                return Some(board);
            }
            Board::guessed(gpu.index, product, snapshot.names(), &gpu.used, &gpu.free).ok()
        };
        boards.insert(node.id, node.gpus.iter().filter_map(board).collect());
    }
    let NosSetup { settings, planner, steps, .. } = nos.setup;
    let ask = Ask { snapshot, boards: &boards, shapes: &nos.shapes, pods, settings, steps };
    let planned = answer(planner, &ask, choices);
    let regret = nos.setup.regret.then(|| regret(&ask, &planned));
    (planned.plan, regret)
}

/// Whether a GPU is in nos' eyes what it is.
fn shows(names: &Names, gpu: &Gpu, board: &Board<'_>) -> bool {
    let states = board.product.states();
    let used = Geometry::of(board.used.iter().map(|place| states.place(place).slice.profile));
    let seen = |counts: &Counts| geometry(board.product, names, counts).ok();
    seen(&gpu.geometry()) == Some(states.geometry(board.state)) && seen(&gpu.used) == Some(used)
}
