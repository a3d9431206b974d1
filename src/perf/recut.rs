//! How long it takes to cut GPUs anew, and to share them in another way.
//!
//! The hardware takes some tenths of a second; the software around it is what costs.

use super::parameters::{Printed, printed};
use crate::rng::Stream;
use crate::units::Span;
use serde::Serialize;

/// Who carries out re-cuts that are planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// An agent on the node, as nos': the GPU alone is cut, then the node's device plugin restarts.
    #[default]
    Agent,
    /// mig-manager: the whole node is without plugin until it is through.
    MigManager,
    /// Nobody: it takes no time.
    #[serde(rename = "instant")]
    AtOnce,
}

/// Time of one call to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Of the call.
    pub call: Span,
    /// And of each instance.
    pub each: Span,
}

/// A log-normal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// Median.
    pub median: Span,
    /// 95th percentile.
    pub p95: Span,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recut {
    /// Who does it.
    pub path: Path,
    /// Creating GPU instances.
    pub create: Call,
    /// Destroying them.
    pub destroy: Call,
    /// A compute instance in one.
    pub compute_instance: Span,
    /// The retry that a pod makes needed which has just ended.
    pub retry: Span,
    /// From the restart of the device plugin until it offers devices again.
    pub plugin: Span,
    /// The start of an MPS server.
    pub mps_server: Span,
    /// mig-manager's work on a node.
    pub manager: Manager,
    /// A reset of the GPUs of a node.
    pub reset: Span,
}

impl Default for Recut {
    fn default() -> Recut {
        let millis = |n: u64| Span(n * 1_000);
        Recut {
            path: Path::Agent,
            create: Call { call: millis(75), each: millis(10) },
            destroy: Call { call: millis(138), each: millis(6) },
            compute_instance: millis(100),
            retry: millis(300),
            plugin: Span::from_secs(10),
            mps_server: Span::from_secs(10),
            manager: Manager { median: Span::from_secs(90), p95: Span::from_secs(300) },
            reset: Span::from_secs(60),
        }
    }
}

impl Recut {
    /// Time in which so many slices of one GPU are destroyed, all by one call, and so many made by `calls`
    /// calls, each with its compute instance.
    #[must_use]
    pub fn cut(&self, destroyed: u64, created: u64, calls: u64) -> Span {
        let destroy = if destroyed == 0 { 0 } else { self.destroy.call.0 + destroyed * self.destroy.each.0 };
        let each = self.create.each.0 + self.compute_instance.0;
        Span(destroy + calls * self.create.call.0 + created * each)
    }

    /// One of mig-manager's times.
    #[must_use]
    pub fn managed(&self, stream: &mut Stream) -> Span {
        /// The 95 % quantile of the standard normal.
        const Z95: f64 = 1.644_853_626_951_472_7;
        let (median, p95) = (self.manager.median.as_secs_f64(), self.manager.p95.as_secs_f64());
        let sigma = if median == 0.0 { 0.0 } else { libm::log(p95.max(median) / median) / Z95 };
        Span::from_secs_f64(median * libm::exp(sigma * stream.normal())).unwrap_or(self.manager.p95)
    }

    /// Every number that a run rests on, with its source.
    #[must_use]
    pub fn printed(&self) -> Vec<Printed> {
        let is = Recut::default();
        let path = |path: Path| match path {
            Path::Agent => "agent",
            Path::MigManager => "mig-manager",
            Path::AtOnce => "instant",
        };
        let call = |call: Call| format!("{} + {} each", call.call, call.each);
        let manager = |manager: Manager| format!("median {}, p95 {}", manager.median, manager.p95);
        let words =
            |key, value: String, default: String, source| printed("re-cuts", key, &value, &default, source);
        vec![
            words(
                "path",
                path(self.path).to_owned(),
                path(is.path).to_owned(),
                ("assumed", "as nos' agent; mig-manager takes longer"),
            ),
            words(
                "create",
                call(self.create),
                call(is.create),
                ("A", "A100, 300 runs of each of 18 layouts: means .057 to .138 s, p95 at most .204 s"),
            ),
            words(
                "destroy",
                call(self.destroy),
                call(is.destroy),
                ("A", "the same runs: means .124 to .179 s; A30 .10 to .11 s (B)"),
            ),
            printed(
                "re-cuts",
                "compute_instance",
                &self.compute_instance,
                &is.compute_instance,
                ("assumed", "those runs timed GPU instances only"),
            ),
            printed(
                "re-cuts",
                "retry",
                &self.retry,
                &is.retry,
                ("B", "\"a few tenths\" of a second after a job has ended"),
            ),
            printed("re-cuts", "plugin", &self.plugin, &is.plugin, ("assumed", "no source")),
            printed("re-cuts", "mps_server", &self.mps_server, &is.mps_server, ("assumed", "no source")),
            words(
                "manager",
                manager(self.manager),
                manager(is.manager),
                (
                    "C",
                    "3 to 5 minutes in an operator's notes; its code stops four daemon sets with a limit of 5 minutes each (B)",
                ),
            ),
            printed(
                "re-cuts",
                "reset",
                &self.reset,
                &is.reset,
                (
                    "assumed",
                    "which products reset is documented (B), how long it takes is not; 600 s on cloud machines that reboot",
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_calls_and_instances() {
        let recut = Recut::default();
        assert_eq!(recut.cut(0, 1, 1), Span(185_000));
        assert_eq!(recut.cut(2, 3, 1), Span(150_000 + 75_000 + 330_000));
        assert_eq!(recut.cut(1, 0, 0), Span(144_000));
    }

    #[test]
    fn mig_managers_times_have_their_quantiles() {
        let recut = Recut::default();
        let mut times: Vec<u64> =
            (0..4_001).map(|i| recut.managed(&mut Stream::new(3, "managed", i)).0).collect();
        times.sort_unstable();
        let near = |rank: usize, secs: f64| (times[rank] as f64 / 1e6 / secs - 1.0).abs() < 0.08;
        assert!(near(2_000, 90.0) && near(3_800, 300.0), "{} {}", times[2_000], times[3_800]);
    }
}
