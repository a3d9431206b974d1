//! The planners, behind one question: how should GPUs be cut for the pods that wait?
//!
//! | planner | geometries | decides |
//! |---|---|---|
//! | `nos` | of nos' table, without places | as nos does; the agent and the driver make of it what they can |
//! | `nos-placements` | all of the catalogue, at places beside the used slices | as nos does, otherwise |
//! | `optimal` | the same | the best plan there is, within a number of steps |
//!
//! All answer with a [`Plan`] and with what becomes of each GPU.

use super::boards::{Board, Boards, geometry};
use super::nos::agent::operations;
use super::nos::device;
use super::nos::names::{Kind, Spec};
use super::nos::{Card, Choices, Counts, Names, Plan, Pod, Recut, Settings, Shape, Snapshot, Tracker, plan};
use super::optimal::{self, Cut, Question};
use crate::gpu::driver::Driver;
use crate::gpu::{self, Geometry, State, Step, plan_geometry, plan_to};
use crate::id::NodeId;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Who plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planner {
    /// nos, quirks included.
    #[default]
    Nos,
    /// nos on true places.
    NosPlacements,
    /// The best plan.
    Optimal,
}

impl Planner {
    /// All of them.
    pub const ALL: [Planner; 3] = [Planner::Nos, Planner::NosPlacements, Planner::Optimal];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Planner::Nos => "nos",
            Planner::NosPlacements => "nos-placements",
            Planner::Optimal => "optimal",
        }
    }

    /// The planner of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Planner> {
        Planner::ALL.into_iter().find(|planner| planner.word() == word)
    }
}

impl fmt::Display for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for Planner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Nodes of one kind. The names of its products' profiles must be known to it ([`know`]).
    pub snapshot: &'a Snapshot,
    /// Places of the MIG slices. `nos` plans without them.
    pub boards: &'a Boards<'a>,
    /// Shapes of pods.
    pub shapes: &'a [Shape],
    /// Pods that wait, in the order of the list.
    pub pods: &'a [Pod],
    /// Settings of nos' planner and agents.
    pub settings: &'a Settings,
    /// Steps that `optimal` may take ([`optimal::STEPS`]).
    pub steps: u64,
}

/// How sure `optimal` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Pods that the plan serves, those that need no re-cut included.
    pub served: u64,
    /// Pods that any plan serves at the very most.
    pub bound: u64,
    /// Whether nothing better exists.
    pub complete: bool,
    /// Steps taken.
    pub steps: u64,
}

/// What becomes of one MIG GPU.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    /// Its node.
    pub node: NodeId,
    /// What it is and what stood on it.
    pub board: Board<'a>,
    /// What stands on it afterwards.
    pub state: State,
    /// Steps from the one to the other.
    pub steps: Vec<Step>,
    /// Slices that were asked for and cannot be made.
    pub missing: i64,
    /// Orders of creation that nos' agent tries; 0 where places are given.
    pub attempts: u32,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Planned<'a> {
    /// Nodes that pods were placed on, and what their GPUs should have.
    pub plan: Plan,
    /// MIG GPUs of known places that are asked to change, by node and index.
    pub outcomes: Vec<Outcome<'a>>,
    /// Of `optimal`.
    pub proof: Option<Proof>,
}

/// Makes the profiles of a product known.
pub fn know(names: &mut Names, product: &gpu::Product) {
    for profile in product.profiles() {
        names.intern(&profile.resource());
    }
}

/// Plans.
///
/// # Panics
/// If a product's profiles are not known to the snapshot, or a pod names a shape that is not there.
#[must_use]
pub fn answer<'a>(planner: Planner, ask: &Ask<'a>, choices: &mut dyn Choices) -> Planned<'a> {
    match planner {
        Planner::Nos => {
            let plan = plan(ask.snapshot, ask.shapes, ask.pods, ask.settings, choices);
            let outcomes = outcomes(ask, &plan, &mut |node, board, wanted| agent(ask, node, board, wanted));
            Planned { plan, outcomes, proof: None }
        }
        Planner::NosPlacements => {
            let mut snapshot = ask.snapshot.clone();
            for node in ask.snapshot.nodes() {
                for board in ask.boards.get(&node.id).into_iter().flatten() {
                    snapshot.place(&node.name, board);
                }
            }
            let plan = plan(&snapshot, ask.shapes, ask.pods, ask.settings, choices);
            let outcomes = outcomes(ask, &plan, &mut |node, board, wanted| {
                let names = snapshot.names();
                let wanted = geometry(board.product, names, wanted).expect("of the product's table");
                placed(node, board, wanted)
            });
            Planned { plan, outcomes, proof: None }
        }
        Planner::Optimal => best(ask),
    }
}

/// What becomes of the GPUs that a plan changes.
fn outcomes<'a>(
    ask: &Ask<'a>,
    plan: &Plan,
    of: &mut dyn FnMut(NodeId, Board<'a>, &Counts) -> Outcome<'a>,
) -> Vec<Outcome<'a>> {
    let mut outcomes = Vec::new();
    for recut in &plan.recuts {
        let node = ask.snapshot.get(&recut.name).expect("a node of the snapshot");
        for board in ask.boards.get(&recut.node).into_iter().flatten() {
            let standing = node.gpus.iter().find(|gpu| gpu.index == board.index);
            let wanted = recut.gpus.iter().find(|(index, _)| *index == board.index);
            let (Some(standing), Some((_, wanted))) = (standing, wanted) else { continue };
            if !same(&standing.geometry(), wanted) {
                outcomes.push(of(recut.node, *board, wanted));
            }
        }
    }
    outcomes.sort_by_key(|outcome| (outcome.node, outcome.board.index));
    outcomes
}

/// Whether two counts have the same slices, whatever entries of 0 there are.
fn same(a: &Counts, b: &Counts) -> bool {
    a.iter().all(|(name, count)| count == b.get(name)) && b.iter().all(|(name, count)| count == a.get(name))
}

/// What nos' agent and the driver make of it.
fn agent<'a>(ask: &Ask<'a>, node: NodeId, board: Board<'a>, wanted: &Counts) -> Outcome<'a> {
    let driver = Driver::new(board.product);
    let Board { index, product, state, used, .. } = board;
    let of_agent = device::Board { index, product, driver: &driver, state, used };
    let names = ask.snapshot.names();
    let spec = |(profile, quantity): (crate::id::ResourceId, i64)| Spec {
        index,
        profile: names.profile_text(Kind::Mig, profile).to_owned(),
        quantity,
    };
    let specs: Vec<Spec> = wanted.iter().map(spec).collect();
    let mut asked = operations(&of_agent.devices(), &specs);
    asked.creates.sort();
    let applied = device::apply(&asked, &specs, &[of_agent], ask.settings.fixes);
    match applied.gpus.into_iter().next() {
        Some(gpu) => Outcome {
            node,
            board,
            state: gpu.state,
            steps: gpu.steps,
            missing: gpu.missing,
            attempts: gpu.attempts,
        },
        None => Outcome { node, board, state, steps: Vec::new(), missing: 0, attempts: 0 },
    }
}

/// Given places: the cheapest way to the geometry.
fn placed(node: NodeId, board: Board<'_>, wanted: Geometry) -> Outcome<'_> {
    let states = board.product.states();
    let plan = plan_geometry(states, board.state, board.used, wanted);
    let plan = plan.expect("a geometry that was found beside the used slices has places there");
    let state = plan.result(states, board.state);
    Outcome { node, board, state, steps: plan.steps(states), missing: 0, attempts: 0 }
}

fn best<'a>(ask: &Ask<'a>) -> Planned<'a> {
    let question = Question {
        snapshot: ask.snapshot,
        boards: ask.boards,
        shapes: ask.shapes,
        pods: ask.pods,
        recuts: true,
        steps: ask.steps,
    };
    let found = optimal::solve(&question);
    let (nodes, names) = (ask.snapshot.nodes(), ask.snapshot.names());
    let mut on: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (pod, seat) in found.seats.iter().enumerate() {
        if let Some(seat) = seat {
            on.entry(seat.node).or_default().push(pod);
        }
    }
    let mut outcomes = Vec::new();
    let mut recuts = Vec::new();
    for (node, pods) in on {
        let of = &nodes[node];
        let mut gpus = of.geometries();
        let mut updated = false;
        for ((_, gpu), cut) in found.cuts.iter().filter(|((at, _), _)| *at == node) {
            updated = true;
            gpus[*gpu].1 = match cut {
                Cut::Mps(slices) => slices.clone(),
                Cut::Mig(state) => {
                    let mut boards = ask.boards.get(&of.id).into_iter().flatten();
                    let board = *boards.find(|b| b.index == gpus[*gpu].0).expect("it was re-cut");
                    let states = board.product.states();
                    let steps = plan_to(states, board.state, *state).steps(states);
                    let state = *state;
                    outcomes.push(Outcome { node: of.id, board, state, steps, missing: 0, attempts: 0 });
                    counts(names, board.product, states.geometry(state))
                }
            };
        }
        recuts.push(Recut { node: of.id, name: of.name.clone(), updated, gpus, pods });
    }
    outcomes.sort_by_key(|outcome| (outcome.node, outcome.board.index));
    let lacking = Tracker::judge(ask.snapshot, ask.shapes, ask.pods, ask.settings).need().clone();
    let mut unmet = Counts::new();
    for (pod, _) in ask.pods.iter().zip(&found.seats).filter(|(_, seat)| seat.is_none()) {
        let requests = &ask.shapes[pod.shape].requests.scalars;
        unmet.add_all(&names.slices(ask.snapshot.kind(), requests));
    }
    let proof = Proof {
        served: found.score.served,
        bound: found.bound,
        complete: found.complete,
        steps: found.steps,
    };
    let plan = Plan { lacking, unmet: super::nos::Need::of([unmet]), recuts };
    Planned { plan, outcomes, proof: Some(proof) }
}

fn counts(names: &Names, product: &gpu::Product, geometry: Geometry) -> Counts {
    let entry = |(profile, count): (u8, u8)| {
        let resource = product.at(profile).resource();
        (names.find(&resource).expect("the product is known"), i64::from(count))
    };
    geometry.counts().map(entry).collect()
}

/// The cluster after a plan, as far as GPUs are concerned: a copy of the snapshot whose free slices are
/// those that the plan leads to, and the places of MIG slices.
#[must_use]
pub fn after<'a>(ask: &Ask<'a>, planned: &Planned<'a>) -> (Snapshot, Boards<'a>) {
    let (mut snapshot, mut boards) = (ask.snapshot.clone(), ask.boards.clone());
    for outcome in &planned.outcomes {
        let of_node = boards.get_mut(&outcome.node).into_iter().flatten();
        for board in of_node.filter(|board| board.index == outcome.board.index) {
            board.state = outcome.state;
        }
    }
    for recut in &planned.plan.recuts {
        let mut node = ask.snapshot.get(&recut.name).expect("a node of the snapshot").clone();
        for gpu in &mut node.gpus {
            let outcome = planned
                .outcomes
                .iter()
                .find(|outcome| outcome.node == recut.node && outcome.board.index == gpu.index);
            let mut free = match (outcome, gpu.card) {
                (Some(outcome), _) => {
                    let product = outcome.board.product;
                    let stands = product.states().geometry(outcome.state);
                    let names = snapshot.names_mut();
                    know(names, product);
                    counts(names, product, stands)
                }
                (None, Card::Mps { .. }) => {
                    let wanted = recut.gpus.iter().find(|(index, _)| *index == gpu.index);
                    wanted.expect("every GPU of a node is in its plan").1.clone()
                }
                // It was not asked to change, or nothing is known of its places.
                (None, Card::Mig(_)) => continue,
            };
            for (name, count) in gpu.used.iter() {
                free.take(name, count);
            }
            gpu.free = free;
        }
        snapshot.insert(node);
    }
    (snapshot, boards)
}

/// What a plan falls short of the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regret {
    /// Pods that can run at the same time once the plan was carried out.
    pub served: u64,
    /// GPUs that it asked to change.
    pub recuts: u64,
    /// Pods that the best plan serves that was found.
    pub best_served: u64,
    /// Pods that any plan serves at the very most.
    pub bound: u64,
    /// GPUs that the best plan re-cuts.
    pub best_recuts: u64,
    /// Whether the best plan, and the pods that run after this one, are proven.
    pub complete: bool,
}

impl Regret {
    /// Pods that the plan leaves waiting and the best one does not.
    #[must_use]
    pub fn pods(&self) -> u64 {
        self.best_served.saturating_sub(self.served)
    }
}

/// A plan's regret against the best one: how many more pods could run.
#[must_use]
pub fn regret<'a>(ask: &Ask<'a>, planned: &Planned<'a>) -> Regret {
    let solve = |snapshot: &Snapshot, boards: &Boards<'_>, recuts: bool| {
        let (shapes, pods, steps) = (ask.shapes, ask.pods, ask.steps);
        optimal::solve(&Question { snapshot, boards, shapes, pods, recuts, steps })
    };
    let best = solve(ask.snapshot, ask.boards, true);
    let (snapshot, boards) = after(ask, planned);
    let served = solve(&snapshot, &boards, false);
    let mut recuts = 0;
    for recut in &planned.plan.recuts {
        let node = ask.snapshot.get(&recut.name).expect("a node of the snapshot");
        let mut standing = node.geometries();
        for (index, wanted) in &recut.gpus {
            match standing.iter().position(|(i, counts)| i == index && same(counts, wanted)) {
                Some(at) => _ = standing.swap_remove(at),
                None => recuts += 1,
            }
        }
    }
    Regret {
        served: served.score.served,
        recuts,
        best_served: best.score.served,
        bound: best.bound,
        best_recuts: best.cuts.len() as u64,
        complete: best.complete && served.complete,
    }
}
