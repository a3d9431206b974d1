//! A cycle that finds no node: its message, its rejectors, and whom preemption evicts.

use super::filter::{Code, Names, Plugins, Reasons, Status};
use super::preempt::{self, Candidate, Target};
use super::queue::Facts;
use super::{Devices, Failure, Kube, Nomination, cache};
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{Counted, ReasonId, Then, WordId};
use std::collections::BTreeSet;

impl Kube {
    /// The failed cycle: its message, its rejectors, and what preemption wants.
    pub(super) fn fail(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        devices: &mut impl Devices,
    ) -> Failure {
        let shape = facts.shape.index();
        let failure = |message, rejectors| Failure {
            message,
            rejectors,
            victims: Vec::new(),
            nomination: Nomination::Clear,
            displaced: Vec::new(),
        };
        if self.is_known_failure(facts, nominated) {
            let known = self.cache.rows.memo(shape, facts.priority, facts.never_preempts);
            let known = known.expect("it is known");
            let keeps = facts.never_preempts || !self.cache.settings.preemption;
            let nomination = if keeps { Nomination::Keep } else { Nomination::Clear };
            return Failure { nomination, ..failure(known.message, known.rejectors) };
        }
        let pinned = self.cache.pinned(facts.shape).cloned();
        self.cache.refresh(facts.shape, devices);
        let mut statuses = match &pinned {
            Some(names) => self.refusals_pinned(pod, facts, nominated, names, devices),
            None => self.cache.refusals(pod, facts, devices),
        };
        // A PreFilter plugin that leaves nodes out is a rejector, whether it left some or not.
        let before = if pinned.is_some() { Plugins::AFFINITY } else { Plugins::NONE };
        let rejectors = statuses.iter().fold(before, |all, (status, _)| all.and(status.rejector));
        let rules = self.cache.settings.rules;
        let preemption = match self.cache.settings.preemption {
            false => Preemption::Off,
            true => self.preempt(pod, facts, nominated, &statuses, devices),
        };
        let nodes = self.list.len();
        let mut failure = failure(ReasonId::FIRST, rejectors);
        let evicts = matches!(preemption, Preemption::Evict { .. });
        let claims = if rules.claims_message { "no new claims to deallocate, " } else { "" };
        let then = match preemption {
            Preemption::Off => {
                failure.nomination = Nomination::Keep;
                Then::Nothing
            }
            Preemption::NotEligible(why) => {
                failure.nomination = Nomination::Keep;
                Then::Text(self.reasons.word(&format!("{claims}preemption: {why}")))
            }
            Preemption::Helpless(statuses) => {
                let said = self.counted(nodes, &statuses, true);
                Then::Counts(self.reasons.word(&format!("{claims}preemption: ")), said)
            }
            Preemption::Evict { node, victims, displaced } => {
                failure = Failure { nomination: Nomination::Set(node), victims, displaced, ..failure };
                Then::Nothing
            }
        };
        let conflicts = pinned.as_ref().is_some_and(BTreeSet::is_empty);
        if !conflicts && !rules.counts_left_out {
            statuses.retain(|(status, _)| !status.reasons.meets(Reasons::LEFT_OUT));
        }
        let mut reasons = self.counted(nodes, &statuses, false);
        if conflicts {
            // The message of PreFilter is no count of nodes.
            reasons.iter_mut().for_each(|(_, nodes)| *nodes = 0);
        }
        failure.message = self.reasons.count(&Counted { nodes, reasons, then });
        if nominated.is_none() && !evicts {
            let of = (facts.priority, facts.never_preempts);
            let exact = self.cache.has_nominees() || self.cache.has_below(facts.priority);
            self.reasons.hold(failure.message);
            if let Some(before) = self.cache.rows.remember(shape, of, exact, failure.message, rejectors) {
                self.reasons.release(before);
            }
        }
        failure
    }

    /// What the nodes that are there would say to a pod of `shape`, were they empty.
    #[must_use]
    pub fn refusal_when_empty(&mut self, shape: ShapeId) -> ReasonId {
        let list = self.order.list();
        let statuses: Vec<(Status, usize)> =
            list.iter().map(|node| (self.cache.status_when_empty(shape, *node), 1)).collect();
        let refused: Vec<_> = statuses.into_iter().filter(|(status, _)| !status.is_success()).collect();
        let reasons = self.counted(list.len(), &refused, false);
        let message = self.reasons.count(&Counted { nodes: list.len(), reasons, then: Then::Nothing });
        self.reasons.hold(message);
        message
    }

    /// Nodes by reason. Of `nodes`, those without a status count as ones that preemption did not try,
    /// if that is asked.
    fn counted(&mut self, nodes: usize, statuses: &[(Status, usize)], tried: bool) -> Vec<(WordId, usize)> {
        let mut counts: Vec<(u32, usize)> = Vec::new();
        let mut add = |bit: u32, nodes: usize| match counts.iter_mut().find(|(known, _)| *known == bit) {
            Some((_, count)) => *count += nodes,
            None => counts.push((bit, nodes)),
        };
        let mut explicit = 0;
        for (status, nodes) in statuses {
            explicit += nodes;
            status.reasons.bits().for_each(|bit| add(bit, *nodes));
        }
        if tried && explicit < nodes {
            Reasons::NO_HELP.bits().for_each(|bit| add(bit, nodes - explicit));
        }
        counts.sort_unstable();
        counts.into_iter().map(|(bit, count)| (self.word(bit), count)).collect()
    }

    fn word(&mut self, bit: u32) -> WordId {
        let known = self.words[bit as usize];
        known.unwrap_or_else(|| {
            let names = Names { resources: &self.resources, taints: &self.cache.taints };
            let word = self.reasons.word(&names.text(bit));
            self.words[bit as usize] = Some(word);
            word
        })
    }

    /// Default preemption.
    fn preempt(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        statuses: &[(Status, usize)],
        devices: &mut impl Devices,
    ) -> Preemption {
        let rules = self.cache.settings.rules;
        if facts.never_preempts {
            return Preemption::NotEligible("not eligible due to preemptionPolicy=Never.");
        }
        if let Some(node) = nominated {
            let present = self.cache.node(node).present;
            let hopeless = present && self.cache.status(pod, facts, node, devices).code == Code::Unresolvable;
            let of = self.cache.node(node);
            if !hopeless && present && of.waits_for(facts.priority, rules.waits_for_preempted) {
                return Preemption::NotEligible(
                    "not eligible due to a terminating pod on the nominated node.",
                );
            }
        }
        let helpful = statuses.iter().filter(|(status, _)| status.code == Code::Unschedulable);
        let helpful: usize = helpful.map(|(_, nodes)| nodes).sum();
        if helpful == 0 {
            return Preemption::Helpless(Vec::new());
        }
        if !self.cache.has_below(facts.priority) {
            return Preemption::Helpless(vec![(preempt::NO_VICTIMS, helpful)]);
        }
        let list = match self.cache.pinned(facts.shape) {
            Some(names) => self.named(names),
            None => self.list.clone(),
        };
        let helpful = self.cache.helpful(pod, facts, &list, devices);
        let (candidates, said) = self.dry_run(pod, facts, &helpful, devices);
        if candidates.is_empty() {
            return Preemption::Helpless(said);
        }
        let ranked: Vec<Candidate> = candidates.iter().map(|(_, candidate, _)| candidate.clone()).collect();
        let best = preempt::pick(&ranked);
        let (node, _, victims) = &candidates[best[self.chosen(best.len())]];
        let of = self.cache.node(*node);
        let spared = |pod: &PodId| {
            let gone = |r: &&cache::Resident| r.target.pod == *pod && r.terminating;
            rules.spares_terminating && of.residents.iter().any(|r| gone(&r))
        };
        let victims = victims.iter().copied().filter(|pod| !spared(pod)).collect();
        let mut displaced: Vec<PodId> = of
            .nominated
            .iter()
            .filter(|other| other.priority < facts.priority)
            .map(|other| other.pod)
            .collect();
        displaced.sort_unstable();
        Preemption::Evict { node: *node, victims, displaced }
    }

    /// Tries the nodes from a drawn offset until enough candidates are found; and what the others
    /// say.
    #[expect(clippy::type_complexity, reason = "what is found, and why the rest is not")]
    fn dry_run(
        &mut self,
        pod: PodId,
        facts: Facts,
        nodes: &[NodeId],
        devices: &mut impl Devices,
    ) -> (Vec<(NodeId, Candidate, Vec<PodId>)>, Vec<(Status, usize)>) {
        let (mut candidates, mut said): (Vec<(NodeId, Candidate, Vec<PodId>)>, Vec<_>) =
            (Vec::new(), Vec::new());
        let wanted = preempt::candidates_wanted(nodes.len(), self.cache.settings.candidates);
        let offset = if nodes.is_empty() { 0 } else { self.chosen(nodes.len()) };
        let sorted = self.cache.settings.rules.victims_sorted;
        for index in 0..nodes.len() {
            let node = nodes[(offset + index) % nodes.len()];
            if !self.cache.node(node).residents.iter().any(|r| r.target.priority < facts.priority) {
                said.push((preempt::NO_VICTIMS, 1));
                continue;
            }
            let targets: Vec<Target<PodId>> =
                self.cache.node(node).residents.iter().map(|resident| resident.target.clone()).collect();
            let mut trial = self.cache.trial(pod, facts, node, devices);
            match preempt::select_victims(&targets, facts.priority, &self.allowances, sorted, &mut trial) {
                Err(status) => said.push((status, 1)),
                // Nobody need go: an error upstream, and no candidate.
                Ok(victims) if victims.pods.is_empty() => {}
                Ok(victims) => {
                    let of = victims.pods.iter().map(|at| &targets[*at]);
                    let ranked = of.clone().map(|target| (target.priority, target.started)).collect();
                    let candidate = Candidate { violations: victims.violations, victims: ranked };
                    candidates.push((node, candidate, of.map(|target| target.pod).collect()));
                }
            }
            let sparing = candidates.iter().any(|(_, candidate, _)| candidate.violations == 0);
            if sparing && wanted <= candidates.len() {
                break;
            }
        }
        // Those that violate no budget are listed first.
        candidates.sort_by_key(|(_, candidate, _)| 0 < candidate.violations);
        (candidates, said)
    }
}

/// What default preemption came to.
enum Preemption {
    /// It is not on.
    Off,
    /// The pod may not preempt now.
    NotEligible(&'static str),
    /// No node is gained; what those said that were tried.
    Helpless(Vec<(Status, usize)>),
    /// These make room there.
    Evict { node: NodeId, victims: Vec<PodId>, displaced: Vec<PodId> },
}
