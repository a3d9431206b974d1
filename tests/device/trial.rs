//! One run of an apply on a stand, and what it left.

use crate::stand::{FORKS, Stand, UUID};
use fake_driver::State;
use slicewise::device::Host;
use slicewise::gpu::Catalogue;
use slicewise::validate::apply::{self, Applied, Event, Recovered, Remains, Session, Spot, Stands};
use slicewise::validate::{Report, Target};
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

/// A GPU as the snapshot compares it: mode now and pending, instances with their compute instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) mode: (bool, bool),
    pub(crate) stands: Vec<Stands>,
}

/// The first GPU of a state.
pub(crate) fn standing(state: &State) -> Standing {
    let gpu = &state.gpus[0];
    let spot = |profile, start, size| Spot { start, size, profile };
    let mut stands: Vec<Stands> = gpu
        .instances
        .iter()
        .map(|i| {
            let mut compute: Vec<Spot> = i.compute.iter().map(|c| spot(c.profile, c.start, c.size)).collect();
            compute.sort_unstable();
            Stands { gi: spot(i.profile, i.start, i.size), compute }
        })
        .collect();
    stands.sort_unstable();
    Standing { mode: (gpu.mig, gpu.pending), stands }
}

/// How to run.
pub(crate) struct Trial<'a> {
    pub(crate) target: &'a str,
    pub(crate) level: u8,
    pub(crate) forced: bool,
    pub(crate) dry: bool,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) watch: &'a dyn Fn(Event<'_>),
}

/// No signal comes.
pub(crate) static QUIET: AtomicBool = AtomicBool::new(false);

impl<'a> Trial<'a> {
    pub(crate) fn of(target: &'a str) -> Trial<'a> {
        Trial { target, level: 2, forced: false, dry: false, stop: &QUIET, watch: &|_| {} }
    }
}

impl Stand {
    /// The machine that the program sees: no process, no manager, the boot of the fake driver.
    pub(crate) fn host(&self) -> Host {
        Host { proc: self.path("proc"), kubelet: self.path("kubelet") }
    }

    /// What stands on the first GPU.
    pub(crate) fn standing(&self) -> Standing {
        standing(&self.state())
    }

    fn session<T>(&self, trial: &Trial<'_>, go: impl FnOnce(&Session<'_>) -> T) -> T {
        let _no_forks = FORKS.read().unwrap_or_else(PoisonError::into_inner);
        let (nvml, host, folder) = (self.open(), self.host(), self.path("states"));
        go(&Session {
            nvml: &nvml,
            host: &host,
            folder: &folder,
            level: trial.level,
            forced: trial.forced,
            wait: &|| {},
            stop: trial.stop,
            watch: trial.watch,
            measure: None,
        })
    }

    /// The whole run, as the command line makes it.
    pub(crate) fn run(&self, trial: &Trial<'_>) -> Report {
        let target = Target::parse(trial.target, "test", None).expect("a target");
        let uuids = [UUID.to_owned()];
        self.session(trial, |session| {
            apply::run(session, Catalogue::builtin(), &uuids, &[target], "the fake driver", trial.dry)
        })
    }

    /// Puts right what a run left.
    pub(crate) fn recover(&self, trial: &Trial<'_>) -> Option<Recovered> {
        self.session(trial, |session| session.recover(UUID))
    }
}

/// What happened to the only target on the only GPU.
#[track_caller]
pub(crate) fn applied(report: &Report) -> &Applied {
    let answer = &report.judged[0].targets[0];
    answer.applied.as_ref().unwrap_or_else(|| panic!("not tried: {:?} {:?}", report.blocked, answer.verdict))
}

/// Whether what is said to be missing is just what is.
pub(crate) fn is_exact(remains: &Remains, before: &Standing, now: &Standing) -> bool {
    let lacks = |from: &Standing, other: &Standing| -> Vec<Stands> {
        from.stands.iter().filter(|s| !other.stands.contains(s)).cloned().collect()
    };
    let mode = (before.mode != now.mode).then_some(before.mode.0);
    if !remains.read {
        // What could not be read is not known: all that stood is listed.
        return remains.missing == before.stands;
    }
    remains.missing == lacks(before, now) && remains.extra == lacks(now, before) && remains.mig == mode
}
