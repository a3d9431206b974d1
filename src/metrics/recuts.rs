//! What a partitioner did: plans, what was written, what the devices made of it, and what it cost.

use crate::id::NodeId;
use crate::record::Record;
use crate::units::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// What was cut while pods ran, over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Recuts {
    /// Batches of pods that were planned for.
    pub plans: u64,
    /// Plans that asked some node for other slices.
    pub plans_that_change: u64,
    /// Pods in those batches, a pod once for each.
    pub pods_planned_for: u64,
    /// Pods that the plans had a place for.
    pub pods_placed: u64,
    /// Nodes that were written to, changed or not.
    pub nodes_written: u64,
    /// Times that a node's GPUs were worked on.
    pub applications: u64,
    /// Those after which slices were missing that had been asked for.
    pub partial: u64,
    /// Slices created.
    pub created: u64,
    /// Slices destroyed.
    pub destroyed: u64,
    /// Slices that the device refused beside those that stood.
    pub refused: u64,
    /// Restarts of device plugins.
    pub restarts: u64,
    /// GPU-hours during which their node's device plugin was away, and they took nobody.
    pub gpu_hours_without_plugin: f64,
    /// What the plans fall short of, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regret: Option<Regret>,
}

/// Plans beside the best ones for the same pods and GPUs. Pods count once for each plan that was made for
/// them, those included that need no re-cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Regret {
    /// Plans that were judged.
    pub plans: u64,
    /// Those of which it is proven how good they are: the best plan is known.
    pub exact: u64,
    /// Those after which fewer pods can run than after the best plan that was found.
    pub behind: u64,
    /// Pods that can run at once after each plan, summed.
    pub served: u64,
    /// Pods that the best plans serve that were found.
    pub best: u64,
    /// Pods that any plans serve at the very most.
    pub bound: u64,
    /// GPUs that the plans asked to change.
    pub recuts: u64,
    /// GPUs that the best plans re-cut.
    pub best_recuts: u64,
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Fold {
    figures: Recuts,
    /// Since when plugins are away.
    down: BTreeMap<NodeId, Time>,
    /// GPUs × microseconds.
    away: u128,
}

impl Fold {
    /// Takes note of a record; `gpus` tells how many GPUs a node has.
    pub(super) fn record(&mut self, at: Time, record: &Record<'_>, gpus: impl Fn(NodeId) -> u16) {
        let of = &mut self.figures;
        match *record {
            Record::Planned { pods, placed, nodes, changed } => {
                of.plans += 1;
                of.plans_that_change += u64::from(0 < changed);
                of.pods_planned_for += u64::from(pods);
                of.pods_placed += u64::from(placed);
                of.nodes_written += u64::from(nodes);
            }
            Record::Judged { served, best, bound, exact, recuts, best_recuts } => {
                let regret = of.regret.get_or_insert_default();
                regret.plans += 1;
                regret.exact += u64::from(exact);
                regret.behind += u64::from(served < best);
                regret.served += u64::from(served);
                regret.best += u64::from(best);
                regret.bound += u64::from(bound);
                regret.recuts += u64::from(recuts);
                regret.best_recuts += u64::from(best_recuts);
            }
            Record::Applied { created, destroyed, missing, .. } => {
                of.applications += 1;
                of.partial += u64::from(0 < missing);
                of.created += u64::from(created);
                of.destroyed += u64::from(destroyed);
                of.refused += u64::from(missing);
            }
            Record::Plugin { node, up: false } => {
                of.restarts += 1;
                self.down.insert(node, at);
            }
            Record::Plugin { node, up: true } => {
                if let Some(since) = self.down.remove(&node) {
                    self.away += u128::from(at.since(since).0) * u128::from(gpus(node));
                }
            }
            _ => {}
        }
    }

    /// The figures; `None` where nobody planned or cut anything.
    pub(super) fn figures(&self) -> Option<Recuts> {
        let figures = Recuts { gpu_hours_without_plugin: self.away as f64 / 3.6e9, ..self.figures };
        (0 < figures.plans + figures.applications).then_some(figures)
    }
}
