//! Every setting of nos, with the value that its charts or its code give it.

use super::batch::Windows;
use super::fix::Fixes;
use crate::units::Span;

/// Settings of the planner, the control loop and the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Quirks that are corrected; none in nos.
    pub fixes: Fixes,
    /// Whether the simulated scheduler has the plugin NodeResourcesFit, as its default profile does; a
    /// scheduler configuration may leave it out (cmd/gpupartitioner/gpupartitioner.go).
    pub resources_fit: bool,
    /// `batchWindowTimeoutSeconds` and `batchWindowIdleSeconds`: 60 s and 10 s
    /// (helm-charts/nos/values.yaml; the code has no default).
    pub batch: Windows,
    /// Until a pod is looked at again whose batch is not ready: 5 s, a constant
    /// (internal/controllers/gpupartitioner/partitioner_controller.go).
    pub requeue: Span,
    /// Until a pod is looked at again while a node owes a report: 10 s, a constant there.
    pub requeue_unreported: Span,
    /// `devicePluginDelaySeconds` (`configUpdateDelaySeconds` of the chart): 5 s between an MPS node's
    /// new configuration and the label that names it, during which the controller waits.
    pub plugin_delay: Span,
    /// `reportConfigIntervalSeconds` of the MIG agent: 10 s (helm-charts/nos/values.yaml); with 0 it
    /// reports at its start and when the node's capacity changes, never by the clock.
    pub mig_report: Span,
    /// The same of the GPU agent, which serves MPS: 10 s.
    pub mps_report: Span,
    /// Until the MIG agent's actuator looks again for a report: 1 s, a constant
    /// (internal/controllers/migagent/actuator.go).
    pub gate_poll: Span,
    /// Between two looks at the device plugin's pod while it restarts: 5 s, a constant there.
    pub restart_poll: Span,
    /// After which the actuator gives that up: 60 s, a constant there.
    pub restart_timeout: Span,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fixes: Fixes::NONE,
            resources_fit: true,
            batch: Windows::default(),
            requeue: Span::from_secs(5),
            requeue_unreported: Span::from_secs(10),
            plugin_delay: Span::from_secs(5),
            mig_report: Span::from_secs(10),
            mps_report: Span::from_secs(10),
            gate_poll: Span::from_secs(1),
            restart_poll: Span::from_secs(5),
            restart_timeout: Span::from_secs(60),
        }
    }
}

impl Settings {
    /// How long the actuator waits for a device plugin that is ready after `ready`: it looks at every
    /// [`restart_poll`](Settings::restart_poll).
    ///
    /// # Errors
    /// The timeout, if the plugin is not ready by then: the pass failed, and is tried again.
    pub fn restart_wait(&self, ready: Span) -> Result<Span, Span> {
        let poll = self.restart_poll.0.max(1);
        // The first look is one interval after the deletion.
        let looks = ready.0.div_ceil(poll).max(1);
        let wait = Span(looks.saturating_mul(poll));
        if self.restart_timeout < wait { Err(self.restart_timeout) } else { Ok(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_looked_at_every_five_seconds_for_a_minute() {
        let wait = |seconds| Settings::default().restart_wait(Span::from_secs(seconds));
        let seconds = Span::from_secs;
        assert_eq!([wait(0), wait(5), wait(6)], [Ok(seconds(5)), Ok(seconds(5)), Ok(seconds(10))]);
        assert_eq!([wait(60), wait(61)], [Ok(seconds(60)), Err(seconds(60))]);
    }
}
