//! Asking a planner, and what follows.

use super::Cluster;
use super::show::{geometry_text, slices};
use crate::formats::{Cut, GpuPlan, MpsSlice, NodePlan, Plan as Cuts};
use crate::gpu::{Mode, Step, plan as plan_gpu};
use crate::partition::boards::{Board, geometry};
use crate::partition::nos::control::writes;
use crate::partition::nos::names::Kind;
use crate::partition::nos::{
    Card, Choices, Counts, First, Fix, Gpu, Node, Pod, Resources, Seeded, Settings, Shape, lacking,
};
use crate::partition::optimal::{self, Question};
use crate::partition::planner::{Ask, Planned, Planner, Proof, after, answer};
use std::collections::BTreeMap;

/// How a decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who plans.
    pub planner: Planner,
    /// Settings of nos.
    pub settings: Settings,
    /// Seed of the choices that nos leaves to Go's maps; without one, the documented ones.
    pub seed: Option<u64>,
    /// Steps that searches may take.
    pub steps: u64,
}

/// One GPU that is asked to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuChange {
    /// Node.
    pub node: String,
    /// Index on it.
    pub gpu: i64,
    /// Slices that pods hold.
    pub used: String,
    /// Slices that stand free.
    pub free: String,
    /// Slices that it should have.
    pub asked: String,
    /// What stands on it afterwards, with places where these are known.
    pub becomes: Option<String>,
    /// Steps to get there.
    pub steps: Vec<String>,
    /// Orders of creation that nos' agent tries.
    pub attempts: u32,
    /// Slices that were asked for and cannot be made.
    pub missing: i64,
}

/// A pod that can run once the plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    /// Namespace and name.
    pub pod: String,
    /// Its slices.
    pub slices: String,
    /// Node.
    pub node: String,
    /// GPU, if it has slices.
    pub gpu: Option<i64>,
}

/// A pod that still waits then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Namespace and name.
    pub pod: String,
    /// Its slices.
    pub slices: String,
    /// Why, in one line.
    pub why: String,
    /// GPU by GPU.
    pub details: Vec<String>,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision<'c> {
    /// Who planned.
    pub planner: Planner,
    /// Which slices.
    pub kind: Kind,
    /// Nodes that were looked at.
    pub nodes: usize,
    /// Slices that all pods together lacked, as the planner reckons.
    pub lacking: String,
    /// GPUs that are asked to change, by node and index.
    pub changes: Vec<GpuChange>,
    /// Nodes that nos writes to though they do not change.
    pub rewritten: Vec<String>,
    /// Pods that can run at the same time afterwards.
    pub served: Vec<Seated>,
    /// Whether it is proven that no more of them can.
    pub proven: bool,
    /// Pods that still wait.
    pub waiting: Vec<Waits>,
    /// Pods that nos passes over, with the reason.
    pub passed_over: Vec<(String, String)>,
    /// Of `optimal`.
    pub proof: Option<Proof>,
    /// Why nothing was planned at all.
    pub blocked: Option<String>,
    /// What was assumed.
    pub notes: Vec<String>,
    /// How all GPUs would be cut, for other programs' files.
    pub cuts: Cuts<'c>,
    /// Why these are not complete, if they are not.
    pub uncut: Vec<String>,
}

impl Decision<'_> {
    /// Whether every pod that nos would plan for can run afterwards.
    #[must_use]
    pub fn serves_all(&self) -> bool {
        self.waiting.is_empty() && self.blocked.is_none()
    }
}

/// Decides.
#[must_use]
pub fn decide<'c>(cluster: &Cluster<'c>, options: &Options) -> Decision<'c> {
    let ask = Ask {
        snapshot: &cluster.snapshot,
        boards: &cluster.boards,
        shapes: &cluster.shapes,
        pods: &cluster.pods,
        settings: &options.settings,
        steps: options.steps,
    };
    let mut choices: Box<dyn Choices> = match options.seed {
        Some(seed) => Box::new(Seeded::new(seed, 0)),
        None => Box::new(First),
    };
    // A node that nos cannot read stops it for all.
    let none: [Pod; 0] = [];
    let asked = if cluster.blocked.is_some() { Ask { pods: &none, ..ask } } else { ask };
    let planned = answer(options.planner, &asked, &mut *choices);
    let rewritten = match options.planner {
        Planner::Optimal => Vec::new(),
        _ => writes(&cluster.snapshot, &planned.plan, options.settings.fixes, &mut *choices)
            .into_iter()
            .filter(|write| !write.changed)
            .map(|write| write.name)
            .collect(),
    };
    let (snapshot, boards) = after(&ask, &planned);
    let question = Question {
        snapshot: &snapshot,
        boards: &boards,
        shapes: &cluster.shapes,
        pods: &cluster.pods,
        recuts: false,
        steps: options.steps,
    };
    let seats = optimal::solve(&question);
    let (mut served, mut waiting) = (Vec::new(), Vec::new());
    for (number, seat) in seats.seats.iter().enumerate() {
        let about = &cluster.waiting[number];
        let (pod, slices) = (about.name.clone(), about.slices.clone());
        match seat {
            Some(seat) => {
                let node = &snapshot.nodes()[seat.node];
                let gpu = seat.gpu.map(|gpu| node.gpus[gpu].index);
                served.push(Seated { pod, slices, node: node.name.clone(), gpu });
            }
            None => {
                let (why, details) = reason(cluster, number, options);
                waiting.push(Waits { pod, slices, why, details });
            }
        }
    }
    let lacking = planned.plan.lacking.levels().iter().fold(Counts::new(), |mut sum, level| {
        sum.add_all(level);
        sum
    });
    let (cuts, uncut) = cuts(cluster, &planned);
    Decision {
        planner: options.planner,
        kind: cluster.kind,
        nodes: cluster.snapshot.nodes().len(),
        lacking: slices(cluster.snapshot.names(), cluster.kind, &lacking),
        changes: changes(cluster, &planned),
        rewritten,
        served,
        proven: seats.complete,
        waiting,
        passed_over: cluster.passed_over.clone(),
        proof: planned.proof,
        blocked: cluster.blocked.clone(),
        notes: cluster.notes.clone(),
        cuts,
        uncut,
    }
}

/// GPUs that are asked to change.
fn changes(cluster: &Cluster<'_>, planned: &Planned<'_>) -> Vec<GpuChange> {
    let names = cluster.snapshot.names();
    let show = |counts: &Counts| slices(names, cluster.kind, counts);
    let mut changes = Vec::new();
    for recut in &planned.plan.recuts {
        let node = cluster.snapshot.get(&recut.name).expect("a node of the snapshot");
        let mut standing: Vec<&Gpu> = node.gpus.iter().collect();
        for (index, asked) in &recut.gpus {
            // Two GPUs may have one index in nos' eyes; equal ones are the same.
            let same = |gpu: &&Gpu| gpu.index == *index && show(&gpu.geometry()) == show(asked);
            let at = standing.iter().position(same);
            let unchanged = at.is_some();
            let Some(at) = at.or_else(|| standing.iter().position(|gpu| gpu.index == *index)) else {
                continue;
            };
            let gpu = standing.remove(at);
            if unchanged {
                continue;
            }
            let outcome = planned
                .outcomes
                .iter()
                .find(|outcome| outcome.node == recut.node && outcome.board.index == *index);
            let states = outcome.map(|outcome| outcome.board.product.states());
            let step = |step: &Step| {
                let (outcome, states) = (outcome.expect("it has steps"), states.expect("it has steps"));
                let (word, place) = match step {
                    Step::Destroy(place) => ("destroy", *place),
                    Step::Create(place) => ("create", *place),
                };
                let slice = states.place(place).slice;
                format!("{word} {}@{}", outcome.board.product.at(slice.profile).name(), slice.start)
            };
            changes.push(GpuChange {
                node: recut.name.clone(),
                gpu: *index,
                used: show(&gpu.used),
                free: show(&gpu.free),
                asked: show(asked),
                becomes: outcome.map(|outcome| {
                    let layout = states.expect("it has a product").layout(outcome.state);
                    layout.describe(outcome.board.product)
                }),
                steps: outcome.map(|o| o.steps.iter().map(step).collect()).unwrap_or_default(),
                attempts: outcome.map_or(0, |outcome| outcome.attempts),
                missing: outcome.map_or(0, |outcome| outcome.missing),
            });
        }
    }
    changes.sort_by(|a, b| (&a.node, a.gpu).cmp(&(&b.node, b.gpu)));
    changes
}

/// How all GPUs would be cut, and what cannot be said.
fn cuts<'c>(cluster: &Cluster<'c>, planned: &Planned<'_>) -> (Cuts<'c>, Vec<String>) {
    let names = cluster.snapshot.names();
    let (mut nodes, mut uncut) = (Vec::new(), Vec::new());
    for (node, product) in cluster.snapshot.nodes().iter().zip(&cluster.products) {
        let Some(product) = *product else {
            uncut.push(format!("{}: the catalogue does not have its GPUs", node.name));
            continue;
        };
        let recut = planned.plan.recuts.iter().find(|recut| recut.node == node.id);
        let mut gpus: Vec<(i64, GpuPlan)> = Vec::new();
        for gpu in &node.gpus {
            let asked = recut.and_then(|r| r.gpus.iter().find(|(index, _)| *index == gpu.index));
            let wanted = asked.map_or_else(|| gpu.geometry(), |(_, counts)| counts.clone());
            let cut = match gpu.card {
                Card::Mps { .. } => {
                    let mut sizes: BTreeMap<i64, i64> = BTreeMap::new();
                    for (profile, count) in wanted.iter().filter(|(_, count)| 0 < *count) {
                        *sizes.entry(names.memory_gb(profile)).or_insert(0) += count;
                    }
                    let slice = |(gb, count): (i64, i64)| {
                        Some(MpsSlice { gb: u16::try_from(gb).ok()?, count: u16::try_from(count).ok()? })
                    };
                    sizes.into_iter().rev().map(slice).collect::<Option<Vec<_>>>().map(Cut::Mps)
                }
                Card::Mig(_) => {
                    let outcome = planned
                        .outcomes
                        .iter()
                        .find(|outcome| outcome.node == node.id && outcome.board.index == gpu.index);
                    let board = cluster.boards.get(&node.id).into_iter().flatten();
                    let board = board.into_iter().find(|board| board.index == gpu.index);
                    let state = outcome.map(|outcome| outcome.state).or(board.map(|board| board.state));
                    match state {
                        Some(state) => Some(Cut::Mig(product.states().layout(state))),
                        None => geometry(product, names, &wanted).ok().map(Cut::Counts),
                    }
                }
            };
            match cut {
                Some(cut) if gpus.iter().all(|(index, _)| *index != gpu.index) => {
                    gpus.push((gpu.index, GpuPlan { uuid: None, cut }));
                }
                Some(_) => uncut.push(format!("{}: GPU {} is there twice", node.name, gpu.index)),
                None => uncut.push(format!("{}, GPU {}: no layout has its slices", node.name, gpu.index)),
            }
        }
        gpus.sort_by_key(|(index, _)| *index);
        if gpus.iter().enumerate().any(|(at, (index, _))| at as i64 != *index) {
            uncut.push(format!("{}: not every GPU is known", node.name));
            continue;
        }
        let gpus = gpus.into_iter().map(|(_, gpu)| gpu).collect();
        nodes.push(NodePlan { name: node.name.clone(), product, gpus });
    }
    (Cuts { nodes }, uncut)
}

/// Why a pod waits: in one line, and GPU by GPU.
fn reason(cluster: &Cluster<'_>, number: usize, options: &Options) -> (String, Vec<String>) {
    let shape = &cluster.shapes[cluster.pods[number].shape];
    let names = cluster.snapshot.names();
    let wanted = names.slices(cluster.kind, &shape.requests.scalars);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut details = Vec::new();
    let mut possible = 0;
    for node in cluster.snapshot.nodes() {
        let why = refusal(cluster, node, shape, &wanted, &mut details);
        match why {
            Some(why) => *counts.entry(why).or_insert(0) += 1,
            None => possible += 1,
        }
    }
    let nodes = cluster.snapshot.nodes().len();
    if cluster.blocked.is_some() {
        return ("nos plans nothing, for any pod".to_owned(), details);
    }
    if possible == 0 {
        let counts: Vec<String> = counts.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
        let all = if counts.is_empty() { "no node of this kind".to_owned() } else { counts.join(", ") };
        return (format!("{nodes} node{}: {all}", if nodes == 1 { "" } else { "s" }), details);
    }
    let mut why =
        format!("{possible} of {nodes} node{} could take it alone", if nodes == 1 { "" } else { "s" });
    let lacks = lacking(&cluster.snapshot, &shape.requests.scalars);
    let blind = shape.unseen && !options.settings.fixes.has(Fix::BlindScheduler);
    if options.planner != Planner::Optimal && blind {
        why += "; nos' simulated scheduler refuses pods with volume claims or affinity to others \
                (fix blind-scheduler)";
    } else if options.planner != Planner::Optimal && !wanted.is_empty() && lacks.is_empty() {
        why += "; nos counts free slices in the whole cluster and finds that it lacks none \
                (fixes lacking-per-pod, cluster-wide-free)";
    } else if options.planner != Planner::Optimal {
        why += ", and the plan has none for it";
    } else {
        why += ", and others took the room";
    }
    (why, details)
}

/// Why one node cannot take a pod even if no other pod comes; `None` if it can.
fn refusal(
    cluster: &Cluster<'_>,
    node: &Node,
    shape: &Shape,
    wanted: &Counts,
    details: &mut Vec<String>,
) -> Option<String> {
    if !shape.reach.covers(node.id) {
        details.push(format!("{}: cordoned, tainted, or not selected by the pod", node.name));
        return Some("out of reach (cordon, taint, selector, affinity)".to_owned());
    }
    let total = shape.requests.plus(&shape.overhead);
    if let Some(short) = short(node, &total, cluster) {
        details.push(format!("{}: {short}", node.name));
        return Some(short);
    }
    if wanted.iter().all(|(_, count)| count <= 0) {
        return None;
    }
    let names = cluster.snapshot.names();
    let boards: Vec<&Board<'_>> = cluster.boards.get(&node.id).into_iter().flatten().collect();
    let mut possible = false;
    for gpu in &node.gpus {
        let refusal = match gpu.card {
            Card::Mps { memory_gb } => {
                let gb = |counts: &Counts| -> i64 {
                    counts.iter().map(|(profile, count)| names.memory_gb(profile) * count).sum()
                };
                let left = memory_gb - gb(&gpu.used);
                (left < gb(wanted)).then(|| format!("{left} GB beside what is in use"))
            }
            Card::Mig(_) => match boards.iter().find(|board| board.index == gpu.index) {
                None => Some("nothing is known of its places".to_owned()),
                Some(board) => match geometry(board.product, names, wanted) {
                    Err(error) => Some(error.to_string()),
                    Ok(wanted) => {
                        let states = board.product.states();
                        let found = plan_gpu(states, board.state, board.used, wanted, Mode::AtLeast);
                        found.err().map(|refusal| refusal.describe(board.product))
                    }
                },
            },
        };
        match refusal {
            Some(refusal) => details.push(format!("{}, GPU {}: {refusal}", node.name, gpu.index)),
            None => possible = true,
        }
    }
    let wanted = geometry_text(names, cluster.kind, wanted);
    (!possible).then(|| format!("without a GPU that can have {wanted} beside what is in use"))
}

/// What a node has too little of, in kube-scheduler's words.
fn short(node: &Node, total: &Resources, cluster: &Cluster<'_>) -> Option<String> {
    let (there, taken) = (&node.allocatable, &node.requested);
    if there.pods < node.pods + 1 {
        return Some("Too many pods".to_owned());
    }
    if total.is_nothing() {
        return None;
    }
    for (word, asked, left) in [
        ("cpu", total.cpu_milli, there.cpu_milli - taken.cpu_milli),
        ("memory", total.memory_bytes, there.memory_bytes - taken.memory_bytes),
        ("ephemeral-storage", total.storage_bytes, there.storage_bytes - taken.storage_bytes),
    ] {
        if left < asked {
            return Some(format!("Insufficient {word}"));
        }
    }
    let names = cluster.snapshot.names();
    let scalars = total.scalars.iter().filter(|(name, _)| names.slice(cluster.kind, *name).is_none());
    for (name, asked) in scalars {
        if there.scalars.get(name) - taken.scalars.get(name) < asked {
            return Some(format!("Insufficient {}", names.text(name)));
        }
    }
    None
}
