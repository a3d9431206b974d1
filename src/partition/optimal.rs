//! The best plan for a snapshot, as a yardstick: as many pods served as can be, then as few GPUs re-cut
//! as can be, then as little fragmentation as can be.
//!
//! A pod is served if one node has the CPU, memory and slots for it beside the others, and one GPU of it
//! all its slices: free ones as they stand, or, on a GPU that is re-cut, any that have legal places beside
//! the slices in use. What a real scheduler would place counts, not what nos' simulated one sees.
//!
//! The search decides GPU after GPU what pods it takes, many first; whoever cannot beat the best plan so
//! far is given up, and at the border of two nodes so is whoever came there with the same pods left and no
//! better. It counts its steps and ends at a limit, so that equal inputs give equal plans everywhere; then
//! the bound says how far from the best the answer can be.

use super::boards::{Board, Boards, geometry, profile_of};
use crate::gpu::{Places, Product, ProfileSet, State, States};
use crate::id::ResourceId;
use crate::partition::nos::{Card, Counts, Names, Node, Pod, Resources, Shape, Snapshot};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Steps that a search takes at most if nobody says otherwise: some seconds.
pub const STEPS: u64 = 2_000_000;

/// GPUs and nodes that the search itself decides on; beyond them the first answer stands, with its bound.
const MOST_DECISIONS: usize = 1_024;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Nodes.
    pub snapshot: &'a Snapshot,
    /// Places of their MIG slices. MIG GPUs that are not there are left as they are and take no pod.
    pub boards: &'a Boards<'a>,
    /// Shapes of pods.
    pub shapes: &'a [Shape],
    /// Pods that wait.
    pub pods: &'a [Pod],
    /// Whether GPUs may be re-cut; otherwise only what stands is used.
    pub recuts: bool,
    /// Steps after which the search ends.
    pub steps: u64,
}

/// What a plan is judged by, the better the larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// Pods served.
    pub served: u64,
    /// GPUs that are not re-cut, of all.
    pub untouched: u64,
    /// Less fragmentation: 0 is none. In memory slices that the best packing with one plain profile leaves
    /// over beside what pods hold, summed over these profiles and GPUs; of MPS the GB that are left on
    /// GPUs that pods hold.
    pub order: i64,
}

/// Where a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// Position of the node in the snapshot.
    pub node: usize,
    /// Position of the GPU on it; `None` for a pod without slices.
    pub gpu: Option<usize>,
}

/// What becomes of a GPU that is re-cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A MIG GPU gets this layout.
    Mig(State),
    /// An MPS GPU gets these slices, used ones included.
    Mps(Counts),
}

/// The best plan that was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its worth.
    pub score: Score,
    /// Pods that can be served at the very most.
    pub bound: u64,
    /// Whether the search ended by itself: then nothing better exists.
    pub complete: bool,
    /// Steps taken.
    pub steps: u64,
    /// By pod, where it goes.
    pub seats: Vec<Option<Seat>>,
    /// GPUs that are re-cut, by position of node and GPU.
    pub cuts: Vec<((usize, usize), Cut)>,
}

impl Answer {
    /// Pods that a better plan could serve beyond this one.
    #[must_use]
    pub fn gap(&self) -> u64 {
        self.bound - self.score.served
    }
}

/// What one GPU costs with what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    recut: bool,
    fragmentation: i64,
}

/// A kind of GPU: equal ones cost the same.
#[derive(Clone, Debug)]
enum Class<'a> {
    Mig(&'a Product, State, Places),
    /// GB beside used slices, what stands free, and whether something is used.
    Mps(i64, Counts, bool),
    /// Nothing is known of its places.
    Closed,
}

impl PartialEq for Class<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Class::Mig(a, state, used), Class::Mig(b, other, held)) => {
                (a.id(), state, used) == (b.id(), other, held)
            }
            (Class::Mps(spare, free, used), Class::Mps(other, stands, held)) => {
                (spare, free, used) == (other, stands, held)
            }
            (Class::Closed, Class::Closed) => true,
            _ => false,
        }
    }
}

/// Pods of one shape.
struct Group<'a> {
    shape: &'a Shape,
    pods: Vec<usize>,
    /// Requests with overhead.
    total: Resources,
    slices: Vec<(ResourceId, i64)>,
}

/// The nodes as decisions: every GPU, then the pods without slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Gpu { node: usize, gpu: usize, class: usize },
    Rest { node: usize },
}

impl Decision {
    fn node(self) -> usize {
        match self {
            Decision::Gpu { node, .. } | Decision::Rest { node } => node,
        }
    }
}

/// Counts of pods by group.
type Taken = Vec<u32>;

/// What a partial plan takes at each decision.
#[derive(Clone, Debug, Default)]
struct Choice {
    taken: Vec<Taken>,
    score: Score,
}

struct Search<'a> {
    question: Question<'a>,
    names: &'a Names,
    groups: Vec<Group<'a>>,
    classes: Vec<Class<'a>>,
    /// Memo of [`Search::cost`].
    costs: FxHashMap<(usize, Counts), Option<Cost>>,
    decisions: Vec<Decision>,
    /// From each decision on: how many pods of each group can be taken at most.
    ahead: Vec<Vec<u64>>,
    /// From each decision on: free memory slices or GB, and free pod slots.
    room: Vec<(i64, i64)>,
    steps: u64,
    limit: u64,
    /// Number of GPUs.
    gpus: u64,
    best: Choice,
    /// Best prefix for the same pods left at the border of a node.
    borders: FxHashMap<(usize, Taken), (u64, i64)>,
}

/// A decision and how it stands before it.
struct Turn {
    at: usize,
    decision: Decision,
    left: Taken,
    score: Score,
    here: Left,
}

/// What is left of a node while it is decided on.
#[derive(Clone, Debug)]
struct Left {
    room: Resources,
    slots: i64,
    ports: Vec<usize>,
}

/// Finds the best plan.
#[must_use]
pub fn solve(question: &Question<'_>) -> Answer {
    let mut search = Search::new(*question);
    let bound = search.bound_at(0, &search.all());
    search.greedy();
    let mut complete = search.best.score.served == bound && search.best.score.untouched == search.gpus;
    complete &= search.best.score.order == 0;
    if !complete && search.decisions.len() <= MOST_DECISIONS {
        let mut taken = Vec::with_capacity(search.decisions.len());
        let left = search.all();
        let start = Score { served: 0, untouched: search.gpus, order: 0 };
        complete = search.descend(0, left, start, None, &mut taken);
    }
    search.answer(bound, complete)
}

impl<'a> Search<'a> {
    fn new(question: Question<'a>) -> Search<'a> {
        let snapshot = question.snapshot;
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut of_shape: FxHashMap<usize, usize> = FxHashMap::default();
        for (number, pod) in question.pods.iter().enumerate() {
            let group = *of_shape.entry(pod.shape).or_insert_with(|| {
                let shape = &question.shapes[pod.shape];
                let mut total = shape.requests.plus(&shape.overhead);
                let slices = snapshot.names().slices(snapshot.kind(), &shape.requests.scalars);
                let slices = slices.iter().filter(|(_, count)| 0 < *count).collect();
                total.scalars.retain(|name| snapshot.names().slice(snapshot.kind(), name).is_none());
                groups.push(Group { shape, pods: Vec::new(), total, slices });
                groups.len() - 1
            });
            groups[group].pods.push(number);
        }
        // Of equal pods those of higher priority are served first.
        for group in &mut groups {
            group.pods.sort_by_key(|pod| (Reverse(question.pods[*pod].priority), *pod));
        }
        // Small demands first: the first plans that are tried serve many.
        let names = snapshot.names();
        let size = |(profile, count): &(ResourceId, i64)| names.gb(snapshot.kind(), *profile) * count;
        groups.sort_by_key(|group| {
            let gb: i64 = group.slices.iter().map(size).sum();
            (gb, group.total.cpu_milli, group.total.memory_bytes, group.pods[0])
        });
        let mut search = Search {
            question,
            names: snapshot.names(),
            groups,
            classes: Vec::new(),
            costs: FxHashMap::default(),
            decisions: Vec::new(),
            ahead: Vec::new(),
            room: Vec::new(),
            steps: 0,
            limit: question.steps,
            gpus: snapshot.nodes().iter().map(|node| node.gpus.len() as u64).sum(),
            best: Choice::default(),
            borders: FxHashMap::default(),
        };
        search.decide();
        search
    }

    /// Lists the decisions and what lies ahead of each.
    fn decide(&mut self) {
        let nodes = self.question.snapshot.nodes();
        for (node, of) in nodes.iter().enumerate() {
            if self.groups.iter().all(|group| self.most_on(of, group) == 0) {
                continue;
            }
            let mut classes: Vec<(usize, usize)> = Vec::new();
            for gpu in 0..of.gpus.len() {
                let class = self.class_of(of, gpu);
                let class = self.classes.iter().position(|known| *known == class).unwrap_or_else(|| {
                    self.classes.push(class);
                    self.classes.len() - 1
                });
                classes.push((class, gpu));
            }
            // Equal GPUs stand side by side, so that only one order of what they take is looked at.
            classes.sort_unstable();
            self.decisions.extend(classes.into_iter().map(|(class, gpu)| Decision::Gpu { node, gpu, class }));
            self.decisions.push(Decision::Rest { node });
        }
        let none = (vec![0; self.groups.len()], (0, 0));
        let (mut ahead, mut room) = (vec![none.0], vec![none.1]);
        for at in (0..self.decisions.len()).rev() {
            let decision = self.decisions[at];
            let of = &nodes[decision.node()];
            let last = ahead.last().expect("one was pushed").clone();
            let (mut memory, mut slots) = *room.last().expect("one was pushed");
            let mut most: Vec<u64> = last;
            for (group, most) in most.iter_mut().enumerate() {
                let more = match decision {
                    Decision::Gpu { class, .. } if !self.groups[group].slices.is_empty() => {
                        self.most_of(class, group).min(self.most_on(of, &self.groups[group]))
                    }
                    Decision::Rest { .. } if self.groups[group].slices.is_empty() => {
                        self.most_on(of, &self.groups[group])
                    }
                    _ => 0,
                };
                *most = (*most + more).min(self.groups[group].pods.len() as u64);
            }
            match decision {
                Decision::Gpu { class, .. } => memory += self.memory(class),
                Decision::Rest { .. } => slots += (of.allocatable.pods - of.pods).max(0),
            }
            ahead.push(most);
            room.push((memory, slots));
        }
        ahead.reverse();
        room.reverse();
        (self.ahead, self.room) = (ahead, room);
    }

    fn class_of(&self, node: &Node, gpu: usize) -> Class<'a> {
        let gpu = &node.gpus[gpu];
        match gpu.card {
            Card::Mig(_) => {
                let boards = self.question.boards.get(&node.id);
                let board = boards.and_then(|boards| boards.iter().find(|board| board.index == gpu.index));
                board.map_or(Class::Closed, |Board { product, state, used, .. }| {
                    Class::Mig(product, *state, *used)
                })
            }
            Card::Mps { memory_gb } => {
                let gb = |counts: &Counts| -> i64 {
                    counts.iter().map(|(profile, count)| self.names.memory_gb(profile) * count).sum()
                };
                Class::Mps(memory_gb - gb(&gpu.used), gpu.free.clone(), 0 < gb(&gpu.used))
            }
        }
    }

    /// Memory slices or GB that pods do not hold.
    fn memory(&self, class: usize) -> i64 {
        match &self.classes[class] {
            Class::Mig(product, _, used) => {
                let pinned = product.states().find(*used).expect("a part of a layout is one");
                free_slices(product, pinned)
            }
            Class::Mps(spare, ..) => *spare,
            Class::Closed => 0,
        }
    }

    /// Memory slices or GB of a pod, at the least over the GPUs there are.
    fn demand(&self, group: usize) -> i64 {
        let slices = &self.groups[group].slices;
        let of = |class: &Class<'_>| match class {
            Class::Mig(product, ..) => slices.iter().try_fold(0, |sum, (name, count)| {
                let profile = profile_of(product, self.names.text(*name))?;
                Some(sum + i64::from(product.at(profile).memory_slices()) * count)
            }),
            Class::Mps(..) => Some(slices.iter().map(|(p, count)| self.names.memory_gb(*p) * count).sum()),
            Class::Closed => None,
        };
        self.classes.iter().filter_map(of).min().unwrap_or(0)
    }

    /// Most pods of a group that one node has CPU, memory and slots for.
    fn most_on(&self, node: &Node, group: &Group<'_>) -> u64 {
        if !group.shape.reach.covers(node.id) {
            return 0;
        }
        let left = Left::of(node);
        u64::from(left.most(group, group.pods.len() as u32, self, node))
    }

    /// Most pods of a group that one GPU takes.
    fn most_of(&mut self, class: usize, group: usize) -> u64 {
        let mut wants = Counts::new();
        for taken in 0..self.groups[group].pods.len() as u64 {
            for (name, count) in self.groups[group].slices.clone() {
                wants.add(name, count);
            }
            if self.cost(class, &wants).is_none() {
                return taken;
            }
        }
        self.groups[group].pods.len() as u64
    }

    /// What a GPU costs with these slices beside the used ones; `None` if it cannot have them.
    fn cost(&mut self, class: usize, wants: &Counts) -> Option<Cost> {
        if let Some(known) = self.costs.get(&(class, wants.clone())) {
            return *known;
        }
        let cost = match &self.classes[class] {
            Class::Mig(product, state, used) => {
                let cut = place(self.names, product, *state, *used, wants, self.question.recuts);
                cut.map(|cut| Cost { recut: cut.recut, fragmentation: cut.fragmentation })
            }
            Class::Mps(spare, free, used) => {
                let gb: i64 = wants.iter().map(|(p, count)| self.names.memory_gb(p) * count).sum();
                let stands = wants.iter().all(|(profile, count)| count <= free.get(profile));
                let holds = *used || !wants.is_empty();
                let real = wants.iter().all(|(profile, _)| 0 < self.names.memory_gb(profile));
                let possible = stands || (self.question.recuts && real && gb <= *spare);
                let fragmentation = if holds { spare - gb } else { 0 };
                possible.then_some(Cost { recut: !stands, fragmentation })
            }
            Class::Closed => wants.is_empty().then_some(Cost { recut: false, fragmentation: 0 }),
        };
        self.costs.insert((class, wants.clone()), cost);
        cost
    }

    fn all(&self) -> Taken {
        self.groups.iter().map(|group| group.pods.len() as u32).collect()
    }

    /// Most pods that can be served from a decision on, given how many of each group are left.
    fn bound_at(&self, at: usize, left: &[u32]) -> u64 {
        let (memory, slots) = self.room[at];
        let most = |group: usize| u64::from(left[group]).min(self.ahead[at][group]);
        let mut by_demand: Vec<(i64, u64)> = (0..self.groups.len())
            .filter(|group| !self.groups[*group].slices.is_empty())
            .map(|group| (self.demand(group), most(group)))
            .collect();
        by_demand.sort_unstable();
        // Small ones first: no choice of pods has more in so much memory.
        let (mut sliced, mut memory) = (0, memory.max(0));
        for (demand, most) in by_demand {
            let fit = if demand <= 0 { most } else { most.min((memory / demand) as u64) };
            sliced += fit;
            memory -= demand.max(0) * fit as i64;
        }
        let plain = (0..self.groups.len()).filter(|group| self.groups[*group].slices.is_empty());
        let total = sliced + plain.map(most).sum::<u64>();
        // Slots of the node under way are counted with its last decision.
        total.min(slots.max(0) as u64)
    }

    /// A first plan: pods with the least demand first, each where it costs least.
    fn greedy(&mut self) {
        let nodes = self.question.snapshot.nodes();
        let mut lefts: FxHashMap<usize, Left> = FxHashMap::default();
        let mut taken = vec![vec![0_u32; self.groups.len()]; self.decisions.len()];
        let mut wants: Vec<Counts> = vec![Counts::new(); self.decisions.len()];
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|group| (self.demand(*group), *group));
        for group in order {
            // What took none of a group will take none later either: room only shrinks.
            let mut closed = vec![false; self.decisions.len()];
            for _ in 0..self.groups[group].pods.len() {
                let mut best: Option<(bool, i64, usize, Counts)> = None;
                for at in 0..self.decisions.len() {
                    let decision = self.decisions[at];
                    let sliced = !self.groups[group].slices.is_empty();
                    if closed[at] || sliced != matches!(decision, Decision::Gpu { .. }) {
                        continue;
                    }
                    let node = &nodes[decision.node()];
                    let left = lefts.entry(decision.node()).or_insert_with(|| Left::of(node));
                    let reaches = self.groups[group].shape.reach.covers(node.id);
                    let left = left.clone();
                    if !reaches || left.most(&self.groups[group], 1, self, node) == 0 {
                        closed[at] = true;
                        continue;
                    }
                    let mut with = wants[at].clone();
                    for (name, count) in &self.groups[group].slices {
                        with.add(*name, *count);
                    }
                    let cost = match decision {
                        Decision::Gpu { class, .. } => {
                            let before = self.cost(class, &wants[at].clone()).expect("it was taken");
                            self.cost(class, &with).map(|cost| {
                                let more = cost.fragmentation - before.fragmentation;
                                (cost.recut && !before.recut, more)
                            })
                        }
                        Decision::Rest { .. } => Some((false, 0)),
                    };
                    let Some((recut, more)) = cost else {
                        closed[at] = true;
                        continue;
                    };
                    if best.as_ref().is_none_or(|known| (recut, more) < (known.0, known.1)) {
                        best = Some((recut, more, at, with));
                    }
                    if matches!(decision, Decision::Rest { .. }) {
                        break;
                    }
                }
                let Some((_, _, at, with)) = best else { break };
                let left = lefts.get_mut(&self.decisions[at].node()).expect("it was looked at");
                left.take(group, &self.groups[group], 1);
                taken[at][group] += 1;
                wants[at] = with;
            }
        }
        let score = self.score(&taken);
        self.best = Choice { taken, score };
    }

    /// The worth of a whole plan.
    fn score(&mut self, taken: &[Taken]) -> Score {
        let mut score = Score { served: 0, untouched: self.gpus, order: 0 };
        for (at, taken) in taken.iter().enumerate() {
            score.served += taken.iter().map(|count| u64::from(*count)).sum::<u64>();
            if let Decision::Gpu { class, .. } = self.decisions[at] {
                let cost = self.cost(class, &self.wants(taken)).expect("a plan is possible");
                score.untouched -= u64::from(cost.recut);
                score.order -= cost.fragmentation;
            }
        }
        score
    }

    fn wants(&self, taken: &[u32]) -> Counts {
        let mut wants = Counts::new();
        for (group, count) in taken.iter().enumerate().filter(|(_, count)| 0 < **count) {
            for (name, each) in &self.groups[group].slices {
                wants.add(*name, each * i64::from(*count));
            }
        }
        wants
    }

    /// Decides from `at` on; whether all was looked at within the limit.
    fn descend(
        &mut self,
        at: usize,
        left: Taken,
        score: Score,
        node: Option<Left>,
        taken: &mut Vec<Taken>,
    ) -> bool {
        if self.limit <= self.steps {
            return false;
        }
        self.steps += 1;
        let Some(decision) = self.decisions.get(at).copied() else {
            if self.best.score < score {
                self.best = Choice { taken: taken.clone(), score };
            }
            return true;
        };
        let most = score.served + self.bound_at(at, &left);
        let hope = Score { served: most, untouched: score.untouched, order: score.order };
        if hope <= self.best.score {
            return true;
        }
        let entering = at == 0 || self.decisions[at - 1].node() != decision.node();
        let of = &self.question.snapshot.nodes()[decision.node()];
        let here = match node {
            Some(here) if !entering => here,
            _ => {
                let prefix = (score.untouched, score.order);
                let known = self.borders.get(&(at, left.clone())).copied();
                if known.is_some_and(|known| prefix <= known) {
                    return true;
                }
                self.borders.insert((at, left.clone()), prefix);
                Left::of(of)
            }
        };
        // Of equal GPUs the first takes the most, in the order of groups.
        let ceiling = match (decision, at.checked_sub(1).map(|before| self.decisions[before])) {
            (Decision::Gpu { node, class, .. }, Some(Decision::Gpu { node: other, class: same, .. }))
                if node == other && class == same =>
            {
                taken.last().cloned()
            }
            _ => None,
        };
        if matches!(decision, Decision::Rest { .. })
            && let Some(option) = self.everything(of, &left, &here)
        {
            let turn = Turn { at, decision, left, score, here };
            return self.take(&turn, option, Cost { recut: false, fragmentation: 0 }, taken);
        }
        let mut chosen = vec![0; self.groups.len()];
        let room = here.clone();
        let turn = Turn { at, decision, left, score, here };
        self.options(&turn, 0, &room, ceiling.as_deref(), &mut chosen, taken)
    }

    /// All pods without slices that are left and may run on a node, if there is room for all of them:
    /// nothing else is asked of what the node has left.
    fn everything(&self, node: &Node, left: &[u32], here: &Left) -> Option<Taken> {
        let mut room = here.clone();
        let mut option = vec![0; self.groups.len()];
        for (number, group) in self.groups.iter().enumerate() {
            if group.slices.is_empty() && group.shape.reach.covers(node.id) {
                let most = room.most(group, left[number], self, node);
                if most < left[number] {
                    return None;
                }
                room.take(number, group, most);
                option[number] = most;
            }
        }
        Some(option)
    }

    /// Takes an option and decides on.
    fn take(&mut self, turn: &Turn, option: Taken, cost: Cost, taken: &mut Vec<Taken>) -> bool {
        let (mut left, mut here) = (turn.left.clone(), turn.here.clone());
        for (group, count) in option.iter().enumerate() {
            left[group] -= count;
            here.take(group, &self.groups[group], *count);
        }
        let score = Score {
            served: turn.score.served + option.iter().map(|count| u64::from(*count)).sum::<u64>(),
            untouched: turn.score.untouched - u64::from(cost.recut),
            order: turn.score.order - cost.fragmentation,
        };
        taken.push(option);
        let complete = self.descend(turn.at + 1, left, score, Some(here), taken);
        taken.pop();
        complete
    }

    /// Tries what a decision can take, group by group, many first; whether all was tried.
    fn options(
        &mut self,
        turn: &Turn,
        group: usize,
        room: &Left,
        ceiling: Option<&[u32]>,
        chosen: &mut Taken,
        taken: &mut Vec<Taken>,
    ) -> bool {
        if self.limit <= self.steps {
            return false;
        }
        let node = &self.question.snapshot.nodes()[turn.decision.node()];
        if group == self.groups.len() {
            self.steps += 1;
            let cost = match turn.decision {
                Decision::Gpu { class, .. } => self.cost(class, &self.wants(chosen)),
                Decision::Rest { .. } => {
                    // Whoever still fits is taken: nothing else is asked of what the node has left.
                    let more = |(number, group): (usize, &Group<'_>)| {
                        group.slices.is_empty()
                            && group.shape.reach.covers(node.id)
                            && 0 < room.most(group, turn.left[number] - chosen[number], self, node)
                    };
                    let full = !self.groups.iter().enumerate().any(more);
                    full.then_some(Cost { recut: false, fragmentation: 0 })
                }
            };
            return cost.is_none_or(|cost| self.take(turn, chosen.clone(), cost, taken));
        }
        let sliced = !self.groups[group].slices.is_empty();
        let mut most = 0;
        if sliced == matches!(turn.decision, Decision::Gpu { .. })
            && self.groups[group].shape.reach.covers(node.id)
        {
            most = room.most(&self.groups[group], turn.left[group], self, node);
        }
        if let Some(ceiling) = ceiling {
            most = most.min(ceiling[group]);
        }
        for count in (0..=most).rev() {
            chosen[group] = count;
            if let Decision::Gpu { class, .. } = turn.decision
                && 0 < count
                && self.cost(class, &self.wants(chosen)).is_none()
            {
                self.steps += 1;
                continue;
            }
            let mut room = room.clone();
            room.take(group, &self.groups[group], count);
            // Below the ceiling once, free afterwards.
            let below = ceiling.filter(|ceiling| count == ceiling[group]);
            if !self.options(turn, group + 1, &room, below, chosen, taken) {
                chosen[group] = 0;
                return false;
            }
        }
        chosen[group] = 0;
        true
    }

    fn answer(mut self, bound: u64, complete: bool) -> Answer {
        let best = std::mem::take(&mut self.best);
        let mut seats: Vec<Option<Seat>> = vec![None; self.question.pods.len()];
        let mut next = vec![0; self.groups.len()];
        let mut cuts = Vec::new();
        for (at, taken) in best.taken.iter().enumerate() {
            let decision = self.decisions[at];
            let (node, gpu) = match decision {
                Decision::Gpu { node, gpu, .. } => (node, Some(gpu)),
                Decision::Rest { node } => (node, None),
            };
            for (group, count) in taken.iter().enumerate() {
                for _ in 0..*count {
                    seats[self.groups[group].pods[next[group]]] = Some(Seat { node, gpu });
                    next[group] += 1;
                }
            }
            if let Decision::Gpu { node, gpu, class } = decision {
                cuts.extend(self.cut(node, gpu, class, &self.wants(taken)).map(|cut| ((node, gpu), cut)));
            }
        }
        let bound = if complete { best.score.served } else { bound };
        Answer { score: best.score, bound, complete, steps: self.steps, seats, cuts }
    }

    /// What becomes of a GPU that must be re-cut for these slices.
    fn cut(&self, node: usize, gpu: usize, class: usize, wants: &Counts) -> Option<Cut> {
        match &self.classes[class] {
            Class::Mig(product, state, used) => {
                let placed = place(self.names, product, *state, *used, wants, self.question.recuts)?;
                placed.recut.then(|| Cut::Mig(around(product.states(), *state, placed.held)))
            }
            Class::Mps(spare, free, _) => {
                if wants.iter().all(|(profile, count)| count <= free.get(profile)) {
                    return None;
                }
                // Free slices stay as far as they fit, large ones first.
                let gb = |profile| self.names.memory_gb(profile);
                let mut slices = self.question.snapshot.nodes()[node].gpus[gpu].used.clone();
                let mut spare = spare - wants.iter().map(|(p, count)| gb(p) * count).sum::<i64>();
                slices.add_all(wants);
                let mut beside: Vec<(ResourceId, i64)> =
                    free.iter().map(|(p, count)| (p, count - wants.get(p).min(count))).collect();
                beside.sort_by_key(|(profile, _)| (-gb(*profile), *profile));
                for (profile, count) in beside.into_iter().filter(|(p, count)| 0 < *count && 0 < gb(*p)) {
                    let fit = count.min(spare / gb(profile));
                    if 0 < fit {
                        slices.add(profile, fit);
                        spare -= fit * gb(profile);
                    }
                }
                Some(Cut::Mps(slices))
            }
            Class::Closed => None,
        }
    }
}

impl Left {
    fn of(node: &Node) -> Left {
        let room = node.allocatable.minus(&node.requested);
        Left { room, slots: node.allocatable.pods - node.pods, ports: Vec::new() }
    }

    /// Most pods of a group, up to `most`, that there is room for.
    fn most(&self, group: &Group<'_>, most: u32, search: &Search<'_>, node: &Node) -> u32 {
        let mut fit = i64::from(most).min(self.slots.max(0));
        let total = &group.total;
        if !(total.is_nothing() && group.slices.is_empty()) {
            for (room, each) in [
                (self.room.cpu_milli, total.cpu_milli),
                (self.room.memory_bytes, total.memory_bytes),
                (self.room.storage_bytes, total.storage_bytes),
            ] {
                fit = fit.min(times(room, each));
            }
            for (name, each) in total.scalars.iter() {
                fit = fit.min(times(self.room.scalars.get(name), each));
            }
        }
        if !group.shape.ports.is_empty() {
            let conflicts = |port: &crate::partition::nos::Port| {
                let held = self.ports.iter().flat_map(|group| &search.groups[*group].shape.ports);
                held.chain(&node.ports).any(|held| held.conflicts(port))
            };
            fit = fit.min(i64::from(!group.shape.ports.iter().any(conflicts)));
        }
        fit.max(0) as u32
    }

    fn take(&mut self, number: usize, group: &Group<'_>, count: u32) {
        if count == 0 {
            return;
        }
        let count = i64::from(count);
        self.slots -= count;
        self.room.cpu_milli -= group.total.cpu_milli * count;
        self.room.memory_bytes -= group.total.memory_bytes * count;
        self.room.storage_bytes -= group.total.storage_bytes * count;
        for (name, each) in group.total.scalars.iter() {
            self.room.scalars.add(name, -each * count);
        }
        if !group.shape.ports.is_empty() {
            self.ports.push(number);
        }
    }
}

/// How often `each` fits `room`; a node that is overcommitted takes none.
fn times(room: i64, each: i64) -> i64 {
    match (room < 0, each <= 0) {
        (true, _) => 0,
        (false, true) => i64::MAX,
        (false, false) => room / each,
    }
}

/// Slices at their places.
struct Placed {
    recut: bool,
    fragmentation: i64,
    /// What pods hold then.
    held: State,
}

/// Puts wanted slices beside used ones: onto free ones that stand if there are enough, else anywhere, if
/// GPUs may be re-cut; with the least fragmentation, then the fewest slices destroyed and created.
fn place(
    names: &Names,
    product: &Product,
    state: State,
    used: Places,
    wants: &Counts,
    recuts: bool,
) -> Option<Placed> {
    let wanted = geometry(product, names, wants).ok()?;
    let states = product.states();
    let stands = states.layout(state).places();
    let free = stands.without(used);
    let best = |serving: &mut dyn Iterator<Item = State>| {
        let held = serving.filter_map(|serving| {
            let serving = states.layout(serving).places();
            let held = (!serving.meets(used)).then(|| states.find(used.with(serving)))??;
            let created = serving.without(free).len();
            let destroyed = stands.without(states.layout(around(states, state, held)).places()).len();
            Some((fragmentation(product, held), destroyed, created, held))
        });
        held.min()
    };
    let serving = states.with_geometry(wanted);
    let standing = best(&mut serving.iter().copied().filter(|s| states.layout(*s).places().within(free)));
    if let Some((fragmentation, _, _, held)) = standing {
        return Some(Placed { recut: false, fragmentation, held });
    }
    let (fragmentation, _, _, held) = recuts.then(|| best(&mut serving.iter().copied()))??;
    Some(Placed { recut: true, fragmentation, held })
}

/// A layout with what pods hold and, beside it, as many of the slices that stand as go with it.
fn around(states: &States, standing: State, held: State) -> State {
    let stands = states.layout(standing).places();
    stands
        .without(states.layout(held).places())
        .iter()
        .fold(held, |state, place| states.create(state, place).unwrap_or(state))
}

fn free_slices(product: &Product, held: State) -> i64 {
    let states = product.states();
    let taken = states
        .layout(held)
        .places()
        .iter()
        .map(|place| i64::from(product.at(states.place(place).slice.profile).memory_slices()));
    i64::from(product.memory_slices()) - taken.sum::<i64>()
}

/// Memory slices that the best packing with one plain profile leaves over, summed over these.
fn fragmentation(product: &Product, held: State) -> i64 {
    let (states, free) = (product.states(), free_slices(product, held));
    let stranded = |profile: u8| {
        let more = i64::from(states.more(held, profile));
        free - more * i64::from(product.at(profile).memory_slices())
    };
    product.profiles_of(ProfileSet::Base).into_iter().map(stranded).sum()
}
