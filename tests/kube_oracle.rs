//! The scheduler against a slow, obvious one: every queue a list that is searched, every status and
//! score computed anew, no index, no row, no memory of what failed. Both are driven through random
//! clusters with priorities, preemption, budgets, and nodes that come, change and go; every attempt
//! and every place in the queues must agree.
//!
//! `cargo test` runs a thousand clusters; `SLICEWISE_ORACLE=10000` says how many.
#![expect(clippy::print_stdout, reason = "how many were run is said")]

use slicewise::cluster::spec::Taint;
use slicewise::id::{NodeId, PodId, ShapeId};
use slicewise::rng::Stream;
use slicewise::sched::kube::backoff::holds;
use slicewise::sched::kube::filter::{self, Code, Names, Plugins, Reasons, Status};
use slicewise::sched::kube::node::{
    Affinity, NodeOrder, NodeSpec, Operator, Requirement, Term, Usage, intolerable, tolerates_cordon,
    untolerated,
};
use slicewise::sched::kube::preempt::{Candidate, Target, Trial, candidates_wanted, pick, select_victims};
use slicewise::sched::kube::queue::{Facts, Place};
use slicewise::sched::kube::resource::{Container, PodRequest, ResourceId, Resources};
use slicewise::sched::kube::rules::Rules;
use slicewise::sched::kube::score::{self, Listed, Room, Strategy};
use slicewise::sched::kube::{Kube, Nomination, Outcome, Settings, Shape};
use slicewise::units::Time;
use slicewise::workload::Toleration;
use std::collections::BTreeSet;

#[derive(Clone)]
struct Waiting {
    pod: PodId,
    facts: Facts,
    timestamp: Time,
    sequence: u64,
    attempts: u32,
    rejections: u32,
    errors: u32,
    rejectors: Plugins,
    place: Place,
    nominated: Option<NodeId>,
}

struct Node {
    name: String,
    spec: NodeSpec,
    present: bool,
    /// Pods in the order in which they came: who, what, when, and whether they must go.
    pods: Vec<(PodId, Facts, Option<Time>, bool)>,
}

/// Something that happened while a pod was in flight, or wakes pods.
#[derive(Clone)]
enum Event {
    PodGone,
    Timeout,
    Node { node: usize, old: Option<NodeSpec>, new: NodeSpec, taints: bool, labels: bool, room: bool },
}

struct Slow {
    settings: Settings,
    resources: Resources,
    shapes: Vec<Shape>,
    nodes: Vec<Node>,
    order: NodeOrder<NodeId>,
    waiting: Vec<Waiting>,
    start: usize,
    sequence: u64,
    in_flight: Option<PodId>,
    events: Vec<Event>,
    moved: bool,
    allowances: Vec<i64>,
}

/// What a cycle came to, for comparison.
#[derive(Debug, PartialEq)]
enum Said {
    Placed(PodId, NodeId, usize, usize),
    Failed {
        pod: PodId,
        message: String,
        rejectors: Plugins,
        victims: Vec<PodId>,
        nomination: Nomination,
        displaced: Vec<PodId>,
    },
}

struct NodeTrial<'a> {
    slow: &'a Slow,
    pod: PodId,
    facts: Facts,
    node: usize,
    gone: BTreeSet<usize>,
}

impl Trial for NodeTrial<'_> {
    fn remove(&mut self, index: usize) {
        self.gone.insert(index);
    }
    fn restore(&mut self, index: usize) {
        self.gone.remove(&index);
    }
    fn status(&mut self) -> Status {
        self.slow.status(self.pod, self.facts, self.node, &self.gone)
    }
}

impl Slow {
    fn request(&self, shape: ShapeId) -> &PodRequest {
        &self.shapes[shape.index()].request
    }

    fn usage(&self, node: usize, gone: &BTreeSet<usize>) -> Usage {
        let mut usage = Usage::default();
        for (index, (_, facts, ..)) in self.nodes[node].pods.iter().enumerate() {
            if !gone.contains(&index) {
                usage.add(self.request(facts.shape));
            }
        }
        usage
    }

    /// With nominated pods of at least its priority, and without them.
    fn status(&self, pod: PodId, facts: Facts, node: usize, gone: &BTreeSet<usize>) -> Status {
        let mut usage = self.usage(node, gone);
        let kept: Vec<&Waiting> = self
            .waiting
            .iter()
            .filter(|w| {
                w.nominated == Some(NodeId::of(node)) && w.pod != pod && facts.priority <= w.facts.priority
            })
            .collect();
        let alone = self.filters(facts.shape, node, &usage);
        if kept.is_empty() {
            return alone;
        }
        kept.iter().for_each(|w| usage.add(self.request(w.facts.shape)));
        let together = self.filters(facts.shape, node, &usage);
        if together.is_success() { alone } else { together }
    }

    fn filters(&self, shape: ShapeId, node: usize, usage: &Usage) -> Status {
        let (node, shape, rules) = (&self.nodes[node], &self.shapes[shape.index()], &self.settings.rules);
        let mut refusals = Vec::new();
        if node.spec.unschedulable && !tolerates_cordon(&shape.tolerations) {
            refusals.push(Status::refused(Plugins::UNSCHEDULABLE, Code::Unresolvable, Reasons::CORDONED));
        }
        if untolerated(&node.spec.taints, &shape.tolerations).is_some() {
            refusals.push(Status::refused(Plugins::TAINTS, Code::Unresolvable, Reasons::TAINT));
        }
        if !shape.affinity.allows(&node.name, &node.spec.labels) {
            refusals.push(Status::refused(Plugins::AFFINITY, Code::Unresolvable, Reasons::AFFINITY));
        }
        let amounts = node.spec.amounts();
        let room = (&amounts, node.spec.pods);
        let fit = filter::fit(&shape.request, Reasons::default(), room, usage, rules.fit_unresolvable);
        if !fit.is_success() {
            refusals.push(fit);
        }
        if rules.first_refusal {
            return refusals.first().copied().unwrap_or_default();
        }
        let code = refusals.iter().map(|s| s.code).max().unwrap_or_default();
        let first = refusals.iter().find(|s| s.code == code).copied().unwrap_or_default();
        let reasons = refusals.iter().fold(Reasons::default(), |all, s| all.and(s.reasons));
        Status { reasons, ..first }
    }

    fn expiry(&self, w: &Waiting) -> Option<Time> {
        let apart = if 0 < w.errors { w.errors } else { w.rejections };
        let count = if self.settings.rules.counts_apart { apart } else { w.attempts };
        self.settings.backoff.expiry(w.timestamp, count, &self.settings.rules)
    }

    fn at(&mut self, pod: PodId) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|w| w.pod == pod)
    }

    fn arrive(&mut self, pod: PodId, facts: Facts, now: Time) {
        self.sequence += 1;
        self.waiting.push(Waiting {
            pod,
            facts,
            timestamp: now,
            sequence: self.sequence,
            attempts: 0,
            rejections: 0,
            errors: 0,
            rejectors: Plugins::NONE,
            place: Place::Active,
            nominated: None,
        });
    }

    fn held(&self, w: &Waiting, now: Time) -> Place {
        if holds(self.expiry(w), now, &self.settings.rules) { Place::Backoff } else { Place::Active }
    }

    fn wake(&mut self, now: Time, event: &Event, most: Option<i32>) {
        self.moved = true;
        if self.in_flight.is_some() {
            self.events.push(event.clone());
        }
        for index in 0..self.waiting.len() {
            let w = &self.waiting[index];
            let meant = most.is_none_or(|most| w.facts.priority <= most);
            if w.place == Place::Unschedulable && meant && self.worth(event, w) {
                self.waiting[index].place = self.held(w, now);
            }
        }
    }

    /// The page's table of wake-ups, read top down.
    fn worth(&self, event: &Event, w: &Waiting) -> bool {
        if w.rejectors == Plugins::NONE {
            return true;
        }
        let shape = &self.shapes[w.facts.shape.index()];
        let by = |plugin: Plugins| w.rejectors.meets(plugin);
        let Event::Node { node, old, new, taints, labels, room } = event else {
            return matches!(event, Event::Timeout) || by(Plugins::FIT);
        };
        let name = &self.nodes[*node].name;
        let tolerated = |spec: &NodeSpec| untolerated(&spec.taints, &shape.tolerations).is_none();
        let allowed = |spec: &NodeSpec| shape.affinity.allows(name, &spec.labels);
        let fits = |spec: &NodeSpec, usage: &Usage| {
            let room = (&spec.amounts(), spec.pods);
            filter::fit(&shape.request, Reasons::default(), room, usage, false).is_success()
        };
        if !self.settings.rules.hints {
            return fits(new, &self.usage(*node, &BTreeSet::new())) && allowed(new) && tolerated(new);
        }
        let Some(old) = old else {
            return by(Plugins::UNSCHEDULABLE) && !new.unschedulable
                || by(Plugins::TAINTS) && tolerated(new)
                || by(Plugins::AFFINITY) && allowed(new)
                || by(Plugins::FIT) && fits(new, &Usage::default());
        };
        if *taints {
            return by(Plugins::FIT)
                || by(Plugins::AFFINITY)
                || by(Plugins::UNSCHEDULABLE) && old.unschedulable && !new.unschedulable
                || by(Plugins::TAINTS) && !tolerated(old) && tolerated(new);
        }
        if *labels {
            return by(Plugins::AFFINITY) && !allowed(old) && allowed(new);
        }
        let grew = old.pods < new.pods
            || shape.request.real.iter().any(|(r, _)| old.amounts().get(r) < new.amounts().get(r));
        *room && by(Plugins::FIT) && fits(new, &Usage::default()) && grew
    }

    fn update(&mut self, node: usize, new: NodeSpec, now: Time) {
        let old = std::mem::replace(&mut self.nodes[node].spec, new.clone());
        if !self.nodes[node].present {
            return self.join(node, now);
        }
        let zones = [&old, &new].map(|spec| NodeOrder::<NodeId>::zone(&spec.labels));
        if zones[0] != zones[1] {
            self.order.remove(NodeId::of(node), &zones[0]);
            self.order.add(NodeId::of(node), &zones[1]);
        }
        let kinds = [
            ((&old.allocatable, old.pods) != (&new.allocatable, new.pods), [false, false, true]),
            (old.labels != new.labels, [false, true, false]),
            (old.taints != new.taints || old.unschedulable && !new.unschedulable, [true, false, false]),
        ];
        let most = if self.settings.rules.hints { 3 } else { 1 };
        let events: Vec<[bool; 3]> =
            kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind).take(most).collect();
        for [taints, labels, room] in events {
            let event = Event::Node { node, old: Some(old.clone()), new: new.clone(), taints, labels, room };
            self.wake(now, &event, None);
        }
    }

    fn join(&mut self, node: usize, now: Time) {
        let new = self.nodes[node].spec.clone();
        self.nodes[node].present = true;
        self.order.add(NodeId::of(node), &NodeOrder::<NodeId>::zone(&new.labels));
        self.wake(
            now,
            &Event::Node { node, old: None, new, taints: false, labels: false, room: false },
            None,
        );
    }

    fn leave(&mut self, node: usize) {
        self.nodes[node].present = false;
        let zone = NodeOrder::<NodeId>::zone(&self.nodes[node].spec.labels);
        self.order.remove(NodeId::of(node), &zone);
    }

    fn tick(&mut self, now: Time) {
        for index in 0..self.waiting.len() {
            let w = &self.waiting[index];
            if matches!(w.place, Place::Backoff | Place::Errors)
                && !holds(self.expiry(w), now, &self.settings.rules)
            {
                self.waiting[index].place = Place::Active;
            }
        }
    }

    fn flush(&mut self, now: Time) {
        let long =
            |w: &Waiting| w.place == Place::Unschedulable && self.settings.stay_max < now.since(w.timestamp);
        let late: Vec<usize> = (0..self.waiting.len()).filter(|i| long(&self.waiting[*i])).collect();
        for index in &late {
            self.waiting[*index].place = self.held(&self.waiting[*index], now);
        }
        if !late.is_empty() {
            self.moved = true;
            if self.in_flight.is_some() {
                self.events.push(Event::Timeout);
            }
        }
    }

    fn pop(&self) -> Option<usize> {
        let key = |i: &usize| {
            let w = &self.waiting[*i];
            (std::cmp::Reverse(w.facts.priority), w.timestamp, w.sequence)
        };
        let active = self.standing(Place::Active).into_iter().min_by_key(key);
        let held = self.standing(Place::Backoff).into_iter();
        let early = held.min_by_key(|i| (self.expiry(&self.waiting[*i]), key(i)));
        active.or(early.filter(|_| self.settings.rules.pop_from_backoff))
    }

    fn standing(&self, place: Place) -> Vec<usize> {
        (0..self.waiting.len()).filter(|i| self.waiting[*i].place == place).collect()
    }

    fn begin(&mut self) -> Option<Said> {
        let at = self.pop()?;
        self.moved = false;
        self.events.clear();
        let w = &mut self.waiting[at];
        (w.place, w.attempts) = (Place::InFlight, w.attempts + 1);
        let (pod, facts, nominated) = (w.pod, w.facts, w.nominated);
        self.in_flight = Some(pod);
        let list = self.order.list();
        let none = BTreeSet::new();
        let mut statuses: Vec<(NodeId, Status)> = Vec::new();
        if let Some(node) = nominated.filter(|n| self.nodes[n.index()].present) {
            let status = self.status(pod, facts, node.index(), &none);
            if status.is_success() {
                return Some(self.assume(pod, facts, node, 1, 1));
            }
            statuses.push((node, status));
        }
        let wanted = score::feasible_wanted(list.len() as i32, self.settings.percentage, None) as usize;
        let mut feasible = Vec::new();
        for offset in 0..list.len() {
            let node = list[(self.start + offset) % list.len()];
            let status = self.status(pod, facts, node.index(), &none);
            if !status.is_success() {
                statuses.retain(|(known, _)| *known != node);
                statuses.push((node, status));
            } else if feasible.len() < wanted {
                feasible.push(node);
            } else {
                break;
            }
        }
        if list.is_empty() {
            return Some(Said::Failed {
                pod,
                message: "no nodes available to schedule pods".to_owned(),
                rejectors: Plugins::NONE,
                victims: Vec::new(),
                nomination: Nomination::Clear,
                displaced: Vec::new(),
            });
        }
        let evaluated = feasible.len() + statuses.len();
        self.start = (self.start + evaluated) % list.len();
        if feasible.is_empty() {
            return Some(self.fail(pod, facts, nominated, &statuses, list.len()));
        }
        let totals = self.totals(facts.shape, &feasible);
        let best = match self.settings.rules.heap {
            true => score::heap_order(&totals)[0],
            false => (0..totals.len()).rev().max_by_key(|i| totals[*i]).expect("some"),
        };
        Some(self.assume(pod, facts, feasible[best], feasible.len(), evaluated))
    }

    fn totals(&self, shape: ShapeId, feasible: &[NodeId]) -> Vec<i64> {
        let (of, settings) = (&self.shapes[shape.index()], &self.settings);
        let mut taints: Vec<i64> = feasible
            .iter()
            .map(|n| intolerable(&self.nodes[n.index()].spec.taints, &of.tolerations))
            .collect();
        let preference = |n: &NodeId| {
            let node = &self.nodes[n.index()];
            of.affinity.preference(&node.name, &node.spec.labels)
        };
        let mut affinity: Vec<i64> = feasible.iter().map(preference).collect();
        score::normalize(&mut taints, 100, true);
        score::normalize(&mut affinity, 100, false);
        let total = |(index, node): (usize, &NodeId)| {
            let amounts = self.nodes[node.index()].spec.amounts();
            let usage = self.usage(node.index(), &BTreeSet::new());
            let room = Room { allocatable: &amounts, usage: &usage };
            let (weight, how, listed) = settings.fit.as_ref().expect("it is on");
            let fit = weight * score::fit(how, listed, &of.request, room);
            let balanced = settings.balanced.as_ref().map_or(0, |(weight, listed)| {
                weight * score::balanced(listed, &of.request, room, &settings.rules).unwrap_or(0)
            });
            fit + balanced + settings.taints * taints[index] + settings.affinity * affinity[index]
        };
        feasible.iter().enumerate().map(total).collect()
    }

    fn assume(&mut self, pod: PodId, facts: Facts, node: NodeId, feasible: usize, evaluated: usize) -> Said {
        self.at(pod).expect("it waits").nominated = None;
        self.nodes[node.index()].pods.push((pod, facts, None, false));
        Said::Placed(pod, node, feasible, evaluated)
    }

    fn message(
        &self,
        nodes: usize,
        statuses: &[(NodeId, Status)],
        absent: Option<&str>,
        post: &str,
    ) -> String {
        let names = Names { resources: &self.resources, taints: &[] };
        let texts: Vec<Vec<String>> = statuses.iter().map(|(_, s)| s.reasons.texts(&names)).collect();
        filter::message(nodes, texts.iter().map(|t| (&t[..], 1)), absent, post)
    }

    fn fail(
        &self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        statuses: &[(NodeId, Status)],
        nodes: usize,
    ) -> Said {
        let rules = &self.settings.rules;
        let rejectors = statuses.iter().fold(Plugins::NONE, |all, (_, s)| all.and(s.rejector));
        let failed = |text: Option<String>, nomination, victims, displaced| {
            let claims = if rules.claims_message { "no new claims to deallocate, " } else { "" };
            let post = text.map_or_else(String::new, |text| format!("{claims}preemption: {text}"));
            let message = self.message(nodes, statuses, None, &post);
            Said::Failed { pod, message, rejectors, victims, nomination, displaced }
        };
        let ineligible = |why: &str| failed(Some(why.to_owned()), Nomination::Keep, Vec::new(), Vec::new());
        if facts.never_preempts {
            return ineligible("not eligible due to preemptionPolicy=Never.");
        }
        if let Some(node) = nominated {
            let of = &self.nodes[node.index()];
            let said = statuses.iter().find(|(known, _)| *known == node);
            let hopeless = said.is_some_and(|(_, s)| s.code == Code::Unresolvable);
            let leaving = of.pods.iter().any(|(_, f, _, leaving)| *leaving && f.priority < facts.priority);
            if of.present && !hopeless && leaving {
                return ineligible("not eligible due to a terminating pod on the nominated node.");
            }
        }
        let list = self.order.list();
        let mut helpful: Vec<NodeId> =
            statuses.iter().filter(|(_, s)| s.code == Code::Unschedulable).map(|(n, _)| *n).collect();
        helpful.sort_by_key(|n| list.iter().position(|other| other == n));
        let wanted = candidates_wanted(helpful.len(), (10, 100));
        let (mut sparing, mut violating, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for node in helpful {
            let targets: Vec<Target<PodId>> = self.nodes[node.index()]
                .pods
                .iter()
                .map(|(pod, f, started, _)| Target {
                    pod: *pod,
                    priority: f.priority,
                    started: *started,
                    budgets: (0..64).filter(|bit| f.budgets >> bit & 1 == 1).collect(),
                })
                .collect();
            let mut trial = NodeTrial { slow: self, pod, facts, node: node.index(), gone: BTreeSet::new() };
            match select_victims(&targets, facts.priority, &self.allowances, rules.victims_sorted, &mut trial)
            {
                Err(status) => said.push((node, status)),
                Ok(victims) if victims.pods.is_empty() => {}
                Ok(victims) => {
                    let chosen: Vec<&Target<PodId>> = victims.pods.iter().map(|at| &targets[*at]).collect();
                    let candidate = Candidate {
                        violations: victims.violations,
                        victims: chosen.iter().map(|t| (t.priority, t.started)).collect(),
                    };
                    let pods: Vec<PodId> = chosen.iter().map(|t| t.pod).collect();
                    let group = if victims.violations == 0 { &mut sparing } else { &mut violating };
                    group.push((node, candidate, pods));
                }
            }
            if !sparing.is_empty() && wanted <= sparing.len() + violating.len() {
                break;
            }
        }
        sparing.extend(violating);
        let candidates: Vec<Candidate> = sparing.iter().map(|(_, c, _)| c.clone()).collect();
        let Some(best) = pick(&candidates).first().copied() else {
            let absent = "Preemption is not helpful for scheduling";
            let text = self.message(nodes, &said, Some(absent), "");
            return failed(Some(text), Nomination::Clear, Vec::new(), Vec::new());
        };
        let (node, _, victims) = &sparing[best];
        let leaving = |pod: &PodId| self.nodes[node.index()].pods.iter().any(|(p, _, _, l)| p == pod && *l);
        let victims =
            victims.iter().copied().filter(|pod| !(rules.spares_terminating && leaving(pod))).collect();
        let mut displaced: Vec<PodId> = self
            .waiting
            .iter()
            .filter(|w| w.nominated == Some(*node) && w.facts.priority < facts.priority)
            .map(|w| w.pod)
            .collect();
        displaced.sort_unstable();
        failed(None, Nomination::Set(*node), victims, displaced)
    }

    fn end(&mut self, said: &Said, now: Time) {
        self.in_flight = None;
        let events = std::mem::take(&mut self.events);
        match said {
            Said::Placed(pod, node, ..) => {
                self.waiting.retain(|w| w.pod != *pod);
                if let Some(of) = self.nodes[node.index()].pods.iter_mut().find(|(p, ..)| p == pod) {
                    of.2 = Some(now);
                }
                self.moved = true;
            }
            Said::Failed { pod, rejectors, nomination, displaced, .. } => {
                if let Some(at) = self.waiting.iter().position(|w| w.pod == *pod) {
                    self.sequence += 1;
                    let error = *rejectors == Plugins::NONE;
                    let w = &mut self.waiting[at];
                    (w.rejectors, w.timestamp, w.sequence) = (*rejectors, now, self.sequence);
                    (w.rejections, w.errors) =
                        if error { (w.rejections, w.errors + 1) } else { (w.rejections + 1, 0) };
                    let w = &self.waiting[at];
                    let rules = &self.settings.rules;
                    let helped =
                        if rules.hints { events.iter().any(|e| self.worth(e, w)) } else { self.moved };
                    self.waiting[at].place = match () {
                        () if error && rules.pop_from_backoff => Place::Errors,
                        () if helped => self.held(w, now),
                        () => Place::Unschedulable,
                    };
                    self.nominate(*pod, *nomination, now);
                }
                displaced.iter().for_each(|pod| self.nominate(*pod, Nomination::Clear, now));
            }
        }
    }

    fn nominate(&mut self, pod: PodId, nomination: Nomination, now: Time) {
        let wanted = match nomination {
            Nomination::Keep => return,
            Nomination::Clear => None,
            Nomination::Set(node) => Some(node),
        };
        let Some(w) = self.at(pod) else { return };
        let (before, priority) = (std::mem::replace(&mut w.nominated, wanted), w.facts.priority);
        if before.is_some() && before != wanted && self.settings.rules.nomination_wakes {
            self.wake(now, &Event::PodGone, Some(priority));
        }
    }

    fn withdraw(&mut self, pod: PodId, now: Time) {
        let at = self.waiting.iter().position(|w| w.pod == pod).expect("it waits");
        let w = self.waiting.remove(at);
        if w.nominated.is_some() && self.settings.rules.nomination_wakes {
            self.wake(now, &Event::PodGone, Some(w.facts.priority));
        }
    }
}

fn choice<T: Clone>(stream: &mut Stream, of: &[T]) -> T {
    of[stream.below(of.len() as u64) as usize].clone()
}

fn taint(stream: &mut Stream) -> Taint {
    let effect = choice(stream, &["NoSchedule", "NoExecute", "PreferNoSchedule"]);
    Taint { key: choice(stream, &["a", "b"]).to_owned(), value: String::new(), effect: effect.to_owned() }
}

fn spec(stream: &mut Stream, gpu: ResourceId) -> NodeSpec {
    let mut allocatable = vec![
        (ResourceId::CPU, choice(stream, &[4_000, 8_000, 16_370])),
        (ResourceId::MEMORY, choice(stream, &[16_i64, 32, 33]) << 30),
    ];
    if stream.below(3) != 0 {
        allocatable.push((gpu, 1 + stream.below(4) as i64));
    }
    let mut labels = std::collections::BTreeMap::new();
    if stream.below(2) == 0 {
        labels.insert("kind".to_owned(), choice(stream, &["x", "y"]).to_owned());
    }
    if stream.below(3) == 0 {
        labels.insert("topology.kubernetes.io/zone".to_owned(), choice(stream, &["z1", "z2"]).to_owned());
    }
    let taints = if stream.below(4) == 0 { vec![taint(stream)] } else { Vec::new() };
    NodeSpec {
        allocatable,
        pods: choice(stream, &[3, 10]),
        labels,
        taints,
        unschedulable: stream.below(8) == 0,
    }
}

fn shape(stream: &mut Stream, gpu: ResourceId) -> Shape {
    let mut requests = Vec::new();
    if stream.below(4) != 0 {
        requests.push((ResourceId::CPU, choice(stream, &[500, 1_000, 3_500, 9_000])));
    }
    if stream.below(4) != 0 {
        requests.push((ResourceId::MEMORY, choice(stream, &[1_i64, 4, 9]) << 30));
    }
    if stream.below(2) == 0 {
        requests.push((gpu, 1 + stream.below(3) as i64));
    }
    let term = |values: Vec<String>| Term {
        expressions: vec![Requirement { key: "kind".to_owned(), operator: Operator::In, values }],
        fields: Vec::new(),
    };
    let x = || vec!["x".to_owned()];
    let required = if stream.below(5) == 0 { vec![term(x())] } else { Vec::new() };
    let preferred =
        if stream.below(4) == 0 { vec![(1 + stream.below(50) as i64, term(x()))] } else { Vec::new() };
    let tolerations = match stream.below(3) {
        0 => vec![Toleration { key: choice(stream, &["a", "", "b"]).to_owned(), ..Toleration::default() }],
        _ => Vec::new(),
    };
    Shape {
        request: PodRequest::of(&[Container { requests, restartable: false }], &[], &[]),
        tolerations,
        affinity: Affinity { selector: Vec::new(), required, preferred },
        device: None,
    }
}

/// One random cluster, driven for a while; attempts, failures and victims are added to the tally.
fn compare(seed: u64, tally: &mut [u64; 3]) {
    let stream = &mut Stream::new(seed, "oracle", 0);
    let mut resources = Resources::default();
    let gpu = resources.intern("nvidia.com/gpu");
    let rules = choice(stream, &[Rules::V1_35, Rules::V1_25]);
    // Named taints read alike but for their text.
    let rules = Rules { taint_named: false, ..rules };
    let mut settings = Settings { percentage: choice(stream, &[0, 0, 10]), ..Settings::of(rules) };
    if stream.below(3) == 0 {
        let gpus = Listed { resource: gpu, weight: 5 };
        let strategy = choice(stream, &[Strategy::Most, Strategy::Ratio(vec![(0, 0), (60, 4), (100, 10)])]);
        settings.fit = Some((2, strategy, vec![Listed { resource: ResourceId::CPU, weight: 1 }, gpus]));
    }
    // Nodes that differ in size alone, and many shapes, are what scans of plain arrays are for.
    let flat = stream.below(6) == 0;
    let large = stream.below(if flat { 3 } else { 12 }) == 0;
    let mut fast = Kube::new(settings.clone(), resources.clone(), None);
    let mut slow = Slow {
        settings,
        resources,
        shapes: (0..1 + stream.below(if flat { 30 } else { 6 })).map(|_| shape(stream, gpu)).collect(),
        nodes: Vec::new(),
        order: NodeOrder::new(),
        waiting: Vec::new(),
        start: 0,
        sequence: 0,
        in_flight: None,
        events: Vec::new(),
        moved: false,
        allowances: vec![stream.below(2) as i64, stream.below(3) as i64],
    };
    fast.forget_messages();
    fast.set_allowances(slow.allowances.clone());
    if flat {
        slow.shapes.iter_mut().for_each(|shape| shape.affinity = Affinity::default());
    }
    slow.shapes.iter().for_each(|shape| {
        fast.add_shape(shape.clone());
    });
    let nodes = if large { 101 + stream.below(40) } else { 1 + stream.below(6) };
    let mut kinds: Vec<NodeSpec> = (0..4).map(|_| spec(stream, gpu)).collect();
    if flat {
        for kind in &mut kinds {
            (kind.taints, kind.unschedulable) = (Vec::new(), false);
            kind.labels.remove("kind");
        }
    }
    let mut pods = 0;
    let mut now = Time::ZERO;
    let mut running: Vec<(PodId, NodeId)> = Vec::new();
    for step in 0..(if large { nodes + 60 } else { 90 }) {
        let later = Time(
            now.0 + choice(stream, &[0, 1_000, 300_000, 1_000_000, 7_700_000]) * u64::from(nodes <= step),
        );
        for second in now.0 / 1_000_000 + 1..=later.0 / 1_000_000 {
            let at = Time(second * 1_000_000);
            fast.tick(at);
            slow.tick(at);
            if second % 30 == 0 {
                fast.flush(at);
                slow.flush(at);
            }
        }
        now = later;
        if step < nodes {
            let new = choice(stream, &kinds);
            let name = format!("n{step}");
            slow.nodes.push(Node { name: name.clone(), spec: new.clone(), present: false, pods: Vec::new() });
            fast.add_node(name, new, now);
            slow.join(slow.nodes.len() - 1, now);
        }
        let mut happen = |fast: &mut Kube,
                          slow: &mut Slow,
                          running: &mut Vec<(PodId, NodeId)>,
                          stream: &mut Stream| {
            match stream.below(9) {
                0..4 => {
                    let facts = Facts {
                        shape: ShapeId(stream.below(slow.shapes.len() as u64) as u32),
                        priority: choice(stream, &[0, 0, 10, 20]),
                        never_preempts: stream.below(6) == 0,
                        budgets: stream.below(4),
                    };
                    fast.arrive(PodId(pods), facts, now);
                    slow.arrive(PodId(pods), facts, now);
                    pods += 1;
                }
                4..6 if !running.is_empty() => {
                    let (pod, node) = running.swap_remove(stream.below(running.len() as u64) as usize);
                    fast.deleted(pod, node, now);
                    slow.nodes[node.index()].pods.retain(|(p, ..)| *p != pod);
                    slow.wake(now, &Event::PodGone, None);
                }
                6 => {
                    let node = stream.below(slow.nodes.len() as u64) as usize;
                    let mut new = choice(stream, &kinds);
                    if stream.below(2) == 0 {
                        new =
                            NodeSpec { unschedulable: stream.below(2) == 0, ..slow.nodes[node].spec.clone() };
                    }
                    fast.update_node(NodeId::of(node), new.clone(), now);
                    slow.update(node, new, now);
                }
                7 if stream.below(4) == 0 => {
                    let node = stream.below(slow.nodes.len() as u64) as usize;
                    if slow.nodes[node].present {
                        fast.remove_node(NodeId::of(node));
                        slow.leave(node);
                    }
                }
                8 if stream.below(3) == 0 => {
                    let free: Vec<PodId> =
                        slow.waiting.iter().filter(|w| w.place != Place::InFlight).map(|w| w.pod).collect();
                    if !free.is_empty() {
                        let pod = choice(stream, &free);
                        fast.withdraw(pod, now);
                        slow.withdraw(pod, now);
                    }
                }
                _ => {}
            }
        };
        happen(&mut fast, &mut slow, &mut running, stream);
        // A few cycles, with things happening while pods are in flight.
        for _ in 0..stream.below(6) {
            let attempt = fast.begin(&mut ());
            let said = slow.begin();
            let Some(attempt) = attempt else {
                assert!(said.is_none(), "seed {seed} step {step}: only the slow one tries: {said:?}");
                break;
            };
            let said = said.unwrap_or_else(|| panic!("seed {seed} step {step}: only the fast one tries"));
            let got = match &attempt.outcome {
                Outcome::Placed { node, feasible, evaluated } => {
                    Said::Placed(attempt.pod, *node, *feasible, *evaluated)
                }
                Outcome::Failed(failure) => Said::Failed {
                    pod: attempt.pod,
                    message: fast.reasons().text(failure.message),
                    rejectors: failure.rejectors,
                    victims: failure.victims.clone(),
                    nomination: failure.nomination,
                    displaced: failure.displaced.clone(),
                },
            };
            assert_eq!(got, said, "seed {seed} step {step}");
            tally[0] += 1;
            if stream.below(3) == 0 {
                happen(&mut fast, &mut slow, &mut running, stream);
            }
            fast.end(&attempt, now);
            slow.end(&said, now);
            match &said {
                Said::Placed(pod, node, ..) => running.push((*pod, *node)),
                Said::Failed { victims, .. } => {
                    tally[1] += 1;
                    tally[2] += victims.len() as u64;
                    for victim in victims {
                        if let Some((_, node)) = running.iter().find(|(pod, _)| pod == victim) {
                            fast.terminate(*victim, *node, true);
                            let of = slow.nodes[node.index()].pods.iter_mut().find(|(pod, ..)| pod == victim);
                            of.expect("it runs").3 = true;
                            slow.moved = true;
                        }
                    }
                }
            }
        }
        assert_eq!(fast.next_start(), slow.start, "seed {seed} step {step}");
        for w in &slow.waiting {
            let of = fast.queue().get(w.pod).expect("it waits in both");
            let got = (of.place, of.attempts, of.timestamp, of.nominated);
            assert_eq!(
                got,
                (w.place, w.attempts, w.timestamp, w.nominated),
                "seed {seed} step {step} {:?}",
                w.pod
            );
        }
    }
}

#[test]
fn fast_equals_slow() {
    let clusters = std::env::var("SLICEWISE_ORACLE").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let mut tally = [0; 3];
    (0..clusters).for_each(|seed| compare(seed, &mut tally));
    let [attempts, failures, victims] = tally;
    println!("{clusters} random clusters: {attempts} attempts equal, {failures} failed, {victims} victims");
    assert!(clusters < 1_000 || 1_000 < victims, "preemption is worth comparing");
}
