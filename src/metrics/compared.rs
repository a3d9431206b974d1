//! Steps that somebody timed on real GPUs, beside what a run says of them.

use super::{Fate, Frame, PodLog};
use crate::stats::sample::mean;
use crate::units::Span;
use serde::Serialize;

/// A step that was timed on real GPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedStep {
    /// Pods of this class took it; without one, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What it takes alone on a whole GPU.
    pub alone: Span,
    /// What it took as the variant shares its GPUs.
    pub step: Span,
    /// Who timed it, and where.
    pub source: String,
}

/// A timed step beside the model's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The class; none is all pods.
    pub class: Option<String>,
    /// Finished pods that the model's figure is a mean of.
    pub pods: u64,
    /// Their mean time on their places ÷ their time alone on a full GPU; `None` where none finished.
    pub slowdown: Option<f64>,
    /// The step by the model, slowdown × the step alone, in seconds.
    pub modelled_s: Option<f64>,
    /// The step that was measured, in seconds.
    pub measured_s: f64,
    /// Modelled ÷ measured − 1.
    pub error: Option<f64>,
    /// Who measured.
    pub source: String,
}

/// Puts each timed step beside the mean of the pods that it is of.
///
/// A pod's slowdown is all the time it had a place ÷ its work, whatever slowed it: slices, neighbours,
/// starts, work that it lost.
#[must_use]
pub fn compared(frame: &Frame<'_>, log: &PodLog, steps: &[TimedStep]) -> Vec<Compared> {
    let one = |step: &TimedStep| {
        let class = |name: &String| frame.workload.classes.iter().position(|known| known == name);
        let wanted = step.class.as_ref().map(class);
        let slowdowns: Vec<f64> = frame
            .counted(log)
            .filter(|(_, pod, line)| {
                let of_class = wanted.is_none_or(|class| class == Some(pod.class.index()));
                of_class && line.fate == Fate::Finished
            })
            .map(|(id, ..)| (log.ran(id), frame.workload.truths[id.index()].work))
            .filter(|(_, work)| 0 < work.0)
            .map(|(ran, work)| ran.0 as f64 / work.0 as f64)
            .collect();
        let slowdown = mean(&slowdowns);
        let modelled_s = slowdown.map(|slowdown| slowdown * step.alone.as_secs_f64());
        let measured_s = step.step.as_secs_f64();
        Compared {
            class: step.class.clone(),
            pods: slowdowns.len() as u64,
            slowdown,
            modelled_s,
            measured_s,
            error: modelled_s.map(|modelled| modelled / measured_s - 1.0),
            source: step.source.clone(),
        }
    };
    steps.iter().map(one).collect()
}
