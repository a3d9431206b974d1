//! How the MPS partitioner writes a plan: node after node, with a pause for each.
//!
//! internal/partitioning/mps/partitioner.go. For each node the device plugin's configuration goes into
//! the ConfigMap; then the controller sleeps, so that kubelet has the file where the plugin reads it; then
//! the node's label names the configuration and the plugin reloads. Meanwhile the controller looks at no
//! pod. MIG nodes are written at once ([`super::state::annotate`]).

use super::control::Write;
use super::settings::Settings;
use crate::units::{Span, Time};
use std::collections::VecDeque;

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The node's configuration is in the ConfigMap ([`super::state::plugin_config`],
    /// [`super::state::config_keys`]).
    Config(Write),
    /// The label of the node names it ([`super::state::config_key`]): its plugin reloads.
    Label(Write),
}

/// A plan on its way to the nodes.
#[derive(Clone, Debug)]
pub struct Rollout {
    delay: Span,
    left: VecDeque<Write>,
    /// The node whose configuration is written and whose label is not.
    sleeping: Option<Write>,
    at: Time,
}

impl Rollout {
    /// Begins to write.
    #[must_use]
    pub fn new(now: Time, writes: Vec<Write>, settings: &Settings) -> Rollout {
        Rollout { delay: settings.plugin_delay, left: writes.into(), sleeping: None, at: now }
    }

    /// When the next step is due; `None` once all is written, and the controller is free again.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        (self.sleeping.is_some() || !self.left.is_empty()).then_some(self.at)
    }

    /// The step that is due, if one is.
    pub fn step(&mut self, now: Time) -> Option<Step> {
        self.next().filter(|at| *at <= now)?;
        if let Some(write) = self.sleeping.take() {
            return Some(Step::Label(write));
        }
        let write = self.left.pop_front()?;
        self.at += self.delay;
        self.sleeping = Some(write.clone());
        Some(Step::Config(write))
    }

    /// Gives up: a node could not be written, and the first error ends the pass. Configurations and labels
    /// that are written stay.
    pub fn abort(&mut self) {
        self.left.clear();
        self.sleeping = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;

    #[test]
    fn every_node_takes_the_delay_of_its_own() {
        let write = |node: u32| Write {
            node: NodeId(node),
            name: format!("n{node}"),
            gpus: Vec::new(),
            changed: node == 0,
        };
        let now = Time::ZERO + Span::from_secs(7);
        let mut rollout = Rollout::new(now, vec![write(0), write(1)], &Settings::default());
        let mut seen = Vec::new();
        while let Some(at) = rollout.next() {
            let step = rollout.step(at).expect("it is due");
            let (word, write) = match &step {
                Step::Config(write) => ("config", write),
                Step::Label(write) => ("label", write),
            };
            seen.push((at.since(now).0 / 1_000_000, word, write.node.0));
        }
        assert_eq!(seen, [(0, "config", 0), (5, "label", 0), (5, "config", 1), (10, "label", 1)]);
        let mut given_up = Rollout::new(now, vec![write(0), write(1)], &Settings::default());
        given_up.step(now);
        given_up.abort();
        assert_eq!((given_up.next(), given_up.step(now)), (None, None));
    }
}
