//! Scheduling gates: pods that are created before they may be scheduled, as by a quota controller.
//!
//! A gated pod is in no queue: no attempt counts, no event moves it, and it takes no room in the queue of
//! a scenario. It can give up. A pod that is created anew after an eviction has its gates again, as
//! its template says.

use super::{Decider, Event, World};
use crate::id::PodId;
use crate::record::{Observer, Record};
use crate::units::Span;
use crate::workload::policy::Gates;
use rustc_hash::FxHashSet;

/// Gates, and whom they hold.
#[derive(Debug)]
pub(super) struct Gated<'a> {
    gates: &'a Gates,
    /// First pods of gangs, and pods alone.
    held: FxHashSet<PodId>,
}

impl<'a> Gated<'a> {
    pub(super) fn new(gates: &'a Gates) -> Gated<'a> {
        Gated { gates, held: FxHashSet::default() }
    }

    /// Whether gates hold anybody, who will come.
    pub(super) fn any(&self) -> bool {
        !self.held.is_empty()
    }
}

impl<O: Observer> World<'_, '_, O> {
    /// A pod or gang that was created now stays out of the queue until its gates are lifted; whether it
    /// has any.
    pub(super) fn gate(&mut self, first: PodId) -> bool {
        let gates = self.gated.gates;
        let Some(lifted) = gates.lifted(first, &self.setup.pods) else { return false };
        let now = self.calendar.now();
        let message = gates.message(first, &self.setup.pods);
        let reason = match &mut self.decider {
            Decider::Ideal(_) => self.reasons.intern(&message),
            Decider::Kube(kube) => {
                kube.arrive_gated(first, &self.setup.pods, self.setup.fate.budgets, &message, now)
            }
        };
        self.gated.held.insert(first);
        self.waiting -= u64::from(self.setup.pods.pods[first.index()].gang);
        for pod in self.setup.pods.members(first) {
            self.emit(Record::Gated { pod, reason });
        }
        self.calendar.schedule(now + lifted, Event::Ungate, first.0);
        if let Some(patience) = self.setup.patience.filter(|patience| *patience != Span::ZERO) {
            let end = self.setup.pods.pods[first.index()].arrival + patience;
            self.calendar.schedule(end.max(now), Event::GiveUp, first.0);
        }
        true
    }

    /// The last gate of a pod or gang is lifted, unless it left before.
    pub(super) fn ungate(&mut self, first: PodId) {
        if !self.gated.held.remove(&first) {
            return;
        }
        for pod in self.setup.pods.members(first) {
            self.emit(Record::Ungated { pod });
        }
        match &mut self.decider {
            Decider::Ideal(scheduler) => scheduler.enqueue(first),
            Decider::Kube(kube) => kube.ungate(first, self.calendar.now()),
        }
        self.waiting += u64::from(self.setup.pods.pods[first.index()].gang);
        self.fresh.push(first);
        self.plan_cycle();
    }

    /// A gated pod or gang leaves its gates behind; whether it had any.
    pub(super) fn leave_gates(&mut self, first: PodId) -> bool {
        let was = self.gated.held.remove(&first);
        if was {
            self.waiting += u64::from(self.setup.pods.pods[first.index()].gang);
        }
        was
    }
}
