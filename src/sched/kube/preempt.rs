//! Default preemption: whom to evict from one node, and from which node
//! (`plugins/defaultpreemption`, `framework/preemption`).

use super::filter::{Code, Plugins, Reasons, Status};
use crate::units::Time;
use std::cmp::Reverse;

/// What preemption asks of a pod on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<P> {
    /// Who.
    pub pod: P,
    /// Its priority.
    pub priority: i32,
    /// When it started; `None` counts as now.
    pub started: Option<Time>,
    /// Disruption budgets that match it, as positions in the list of allowances.
    pub budgets: Vec<usize>,
}

impl<P> Target<P> {
    /// Sorts the more important first: higher priority, then the older.
    fn importance(&self) -> impl Ord + use<P> {
        (Reverse(self.priority), self.started.unwrap_or(Time(u64::MAX)))
    }
}

/// A node on trial: pods are taken off it and put back, by their position among its pods.
pub trait Trial {
    /// Takes a pod off.
    fn remove(&mut self, index: usize);
    /// Puts it back.
    fn restore(&mut self, index: usize);
    /// What the node says to the preemptor now.
    fn status(&mut self) -> Status;
}

/// Who would be evicted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victims {
    /// Positions among the node's pods, in upstream's order.
    pub pods: Vec<usize>,
    /// How many of them violate a budget.
    pub violations: usize,
}

/// What a node says where nobody is of lower priority.
pub const NO_VICTIMS: Status =
    Status { code: Code::Unresolvable, reasons: Reasons::NO_VICTIMS, rejector: Plugins::NONE };

/// `SelectVictimsOnNode`: all pods of lower priority leave, then come back by importance, those
/// that violate budgets first, as long as the preemptor still fits.
///
/// # Errors
/// Why the node is no candidate.
pub fn select_victims<P>(
    pods: &[Target<P>],
    priority: i32,
    allowances: &[i64],
    sorted_again: bool,
    trial: &mut impl Trial,
) -> Result<Victims, Status> {
    let mut lower: Vec<usize> = (0..pods.len()).filter(|index| pods[*index].priority < priority).collect();
    if lower.is_empty() {
        return Err(NO_VICTIMS);
    }
    lower.iter().for_each(|index| trial.remove(*index));
    let status = trial.status();
    if !status.is_success() {
        lower.iter().for_each(|index| trial.restore(*index));
        return Err(status);
    }
    // Stable: full ties keep the order of the node's pods, where upstream leaves them to chance.
    lower.sort_by_key(|index| pods[*index].importance());
    let mut allowances = allowances.to_vec();
    let (violating, others): (Vec<usize>, Vec<usize>) = lower.iter().partition(|index| {
        let mut violates = false;
        for budget in &pods[**index].budgets {
            allowances[*budget] -= 1;
            violates |= allowances[*budget] < 0;
        }
        violates
    });
    let mut victims = Victims::default();
    for (group, violates) in [(&violating, 1), (&others, 0)] {
        for index in group {
            trial.restore(*index);
            if !trial.status().is_success() {
                trial.remove(*index);
                victims.pods.push(*index);
                victims.violations += violates;
            }
        }
    }
    victims.pods.iter().for_each(|index| trial.restore(*index));
    if sorted_again && !violating.is_empty() && !others.is_empty() {
        victims.pods.sort_by_key(|index| pods[*index].importance());
    }
    Ok(victims)
}

/// A node with whom it would lose, as choosing among nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Budget violations.
    pub violations: usize,
    /// Priority and start of the victims, in their order.
    pub victims: Vec<(i32, Option<Time>)>,
}

/// `pickOneNodeForPreemption`: positions of the best candidates, more than one on a full tie, which
/// upstream leaves to the order of a map.
#[must_use]
pub fn pick(candidates: &[Candidate]) -> Vec<usize> {
    let rank = |candidate: &Candidate| {
        let victims = &candidate.victims;
        let sum: i64 = victims.iter().map(|(priority, _)| i64::from(*priority) + (1 << 31)).sum();
        let highest = victims.iter().map(|(priority, _)| *priority).max().unwrap_or(i32::MIN);
        let of_highest = victims.iter().filter(|(priority, _)| *priority == highest);
        // Not started counts as now, which is later than any start.
        let earliest = of_highest.map(|(_, started)| started.unwrap_or(Time(u64::MAX))).min();
        let first = victims.first().map_or(i32::MIN, |(priority, _)| *priority);
        (candidate.violations, first, sum, victims.len(), Reverse(earliest))
    };
    let Some(best) = candidates.iter().map(rank).min() else { return Vec::new() };
    (0..candidates.len()).filter(|index| rank(&candidates[*index]) == best).collect()
}

/// How many of `nodes` a dry run looks at before it is content with what it found: a share in percent,
/// at least a number (`calculateNumCandidates`).
#[must_use]
pub fn candidates_wanted(nodes: usize, (percentage, absolute): (usize, usize)) -> usize {
    nodes.min((nodes * percentage / 100).max(absolute))
}
