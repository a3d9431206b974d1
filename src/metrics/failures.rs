//! What broke, and what it cost.

use crate::record::{Cause, Record};
use crate::units::{Speed, Work};
use serde::Serialize;
use std::collections::BTreeMap;

/// Figures on failures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Failures {
    /// Pods that failed, by cause: as many as were lost each time.
    pub pods: BTreeMap<&'static str, u64>,
    /// Faults of GPUs.
    pub gpu_faults: u64,
    /// Faults of nodes.
    pub node_faults: u64,
    /// Restarts of MPS servers.
    pub server_restarts: u64,
    /// Pods evicted: preempted, drained, tainted away, re-cut away or gone with their node.
    pub evictions: u64,
    /// Hours of work, alone on full GPUs, that pods had to do again.
    pub lost_hours: f64,
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Fold {
    failures: Failures,
    lost: u128,
}

impl Fold {
    pub(super) fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Failed { cause, lost, .. } => {
                *self.failures.pods.entry(cause.word()).or_default() += 1;
                self.lost += lost.0;
            }
            Record::Evicted { lost, .. } => {
                self.failures.evictions += 1;
                self.lost += lost.0;
            }
            Record::Down { cause: Cause::Node, .. } => self.failures.node_faults += 1,
            Record::Down { cause: Cause::Gpu, .. } => self.failures.gpu_faults += 1,
            Record::Down { .. } => self.failures.server_restarts += 1,
            _ => {}
        }
    }

    /// `None` where nothing broke and nobody was evicted.
    pub(super) fn figures(&self) -> Option<Failures> {
        let lost_hours = Work(self.lost).time_at(Speed::FULL).as_secs_f64() / 3_600.0;
        let figures = Failures { lost_hours, ..self.failures.clone() };
        (figures != Failures::default()).then_some(figures)
    }
}
