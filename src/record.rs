//! What happened: the only output of a run.
//!
//! The simulation emits records and nothing else; metrics, tables, files and the checker are folds
//! over them, live as an [`Observer`] or over a saved log.

mod reason;

use crate::cluster::Grant;
use crate::id::{NodeId, PodId};
use crate::units::{Speed, Time, Work};
pub use reason::{Counted, ReasonId, Reasons, Then, WordId, event, render};

/// Filter plugins of kube-scheduler: a set, as of those that rejected a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plugins(pub u8);

impl Plugins {
    /// NodeUnschedulable.
    pub const UNSCHEDULABLE: Plugins = Plugins(1);
    /// TaintToleration.
    pub const TAINTS: Plugins = Plugins(1 << 1);
    /// NodeAffinity.
    pub const AFFINITY: Plugins = Plugins(1 << 2);
    /// NodeResourcesFit.
    pub const FIT: Plugins = Plugins(1 << 3);
    /// All of them.
    pub const ALL: Plugins = Plugins(15);
    /// None.
    pub const NONE: Plugins = Plugins(0);
    /// Names by bit, in the order in which they filter.
    pub const NAMES: [&'static str; 4] =
        ["NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodeResourcesFit"];

    /// The plugin of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Plugins> {
        Self::NAMES.iter().position(|known| *known == name).map(|bit| Plugins(1 << bit))
    }

    /// Whether some plugin is in both.
    #[must_use]
    pub fn meets(self, other: Plugins) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Plugins) -> Plugins {
        Plugins(self.0 | other.0)
    }

    /// Their names, in filter order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| name)
    }
}

/// Why a pod must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// A pod of higher priority needs the room.
    Preempted(PodId),
    /// Its node is drained.
    Drained,
    /// Its node has a NoExecute taint that it does not tolerate.
    Tainted,
    /// Its slice is cut away.
    Recut,
}

/// What took a pod down, or a GPU or node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its own process ended.
    Crash,
    /// It raised a fatal GPU fault.
    FatalFault,
    /// A pod beside it raised a fatal GPU fault.
    Neighbour,
    /// It asked for memory that its slice, or its GPU, did not have.
    OutOfMemory,
    /// Its GPU failed.
    Gpu,
    /// Its node failed.
    Node,
}

impl Cause {
    /// All causes, in their order.
    pub const ALL: [Cause; 6] =
        [Cause::Crash, Cause::FatalFault, Cause::Neighbour, Cause::OutOfMemory, Cause::Gpu, Cause::Node];

    /// What people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::Crash => "crash",
            Cause::FatalFault => "fatal GPU fault",
            Cause::Neighbour => "neighbour's fatal GPU fault",
            Cause::OutOfMemory => "out of memory",
            Cause::Gpu => "GPU fault",
            Cause::Node => "node fault",
        }
    }
}

/// One thing that happened to one pod or node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// It was created and waits.
    Arrived {
        /// Who.
        pod: PodId,
    },
    /// An attempt found no node; it waits on. Under `ideal` only the first attempt is told.
    Refused {
        /// Who.
        pod: PodId,
        /// Why. A pod's first and latest reason stand to the end of the run, others until nobody has
        /// them; see [`Observer::keeps_reasons`].
        reason: ReasonId,
        /// Plugins that rejected it; none under `ideal`, where changes are judged by what they free.
        rejectors: Plugins,
        /// The node that preemption makes room on for it.
        nominated: Option<NodeId>,
    },
    /// It was created with scheduling gates, and is not tried until they are lifted.
    Gated {
        /// Who.
        pod: PodId,
        /// What is said of it.
        reason: ReasonId,
    },
    /// Its gates are lifted, and it waits to be tried.
    Ungated {
        /// Who.
        pod: PodId,
    },
    /// A node was found, and its binding failed; it waits on.
    Unbound {
        /// Who.
        pod: PodId,
        /// Where.
        node: NodeId,
        /// What is said of it.
        reason: ReasonId,
    },
    /// It was given a place, and runs.
    Bound {
        /// Who.
        pod: PodId,
        /// Where.
        node: NodeId,
        /// On what.
        grant: &'a Grant,
        /// How fast it starts.
        speed: Speed,
    },
    /// Its speed changed: its neighbours did, or it began or stopped working; [`Speed::STILL`] while it starts
    /// or saves.
    SpeedChanged {
        /// Who.
        pod: PodId,
        /// How fast from now on.
        speed: Speed,
    },
    /// It must go, and keeps its place until its grace ends.
    Doomed {
        /// Who.
        pod: PodId,
        /// Why.
        why: Doom,
    },
    /// Its grace ended, or its node left: it lost its place, and the work it had not saved.
    Evicted {
        /// Who.
        pod: PodId,
        /// Whether it will be created anew, and counts as waiting until then; otherwise it is gone.
        returns: bool,
        /// Work that it has to do again.
        lost: Work,
    },
    /// It broke, or was taken down: it lost its place, and the work it had not saved.
    Failed {
        /// Who.
        pod: PodId,
        /// By what.
        cause: Cause,
        /// Whether it will be created anew, and counts as waiting until then; otherwise it is gone.
        returns: bool,
        /// Work that it has to do again.
        lost: Work,
    },
    /// A GPU or a node is out of service; what ran there was lost in the records before.
    Down {
        /// The node.
        node: NodeId,
        /// The GPU; `None` is the whole node.
        gpu: Option<u8>,
        /// By what.
        cause: Cause,
    },
    /// Nobody new gets any of a GPU, which is being cut or whose device plugin restarts, or that is over.
    Withheld {
        /// Its node.
        node: NodeId,
        /// Its number there.
        gpu: u8,
        /// Whether it is from now on.
        withheld: bool,
    },
    /// A GPU or a node is repaired.
    Up {
        /// The node.
        node: NodeId,
        /// The GPU; `None` is the whole node.
        gpu: Option<u8>,
    },
    /// It was created anew after an eviction, and waits to be tried.
    Returned {
        /// Who.
        pod: PodId,
    },
    /// It ran to its end and left.
    Finished {
        /// Who.
        pod: PodId,
    },
    /// It waited as long as it would and left.
    GaveUp {
        /// Who.
        pod: PodId,
    },
    /// The queue was full and it left.
    TurnedAway {
        /// Who.
        pod: PodId,
    },
    /// A node passed to another class: it joined, left, was cordoned, tainted, or changed otherwise.
    NodeChanged {
        /// Which.
        node: NodeId,
        /// Its class from now on.
        class: u16,
    },
    /// A GPU was re-cut.
    Recut {
        /// Its node.
        node: NodeId,
        /// Its number there.
        gpu: u8,
        /// The slices that stand on it from now on, of its class's table.
        standing: u32,
    },
    /// A GPU offers other MPS slices.
    Resliced {
        /// Its node.
        node: NodeId,
        /// Its number there.
        gpu: u8,
        /// The slices that it offers from now on, as (GB, number).
        slices: &'a [(u16, u16)],
    },
    /// The device plugin of a node goes down or is back: its GPUs take nobody meanwhile.
    Plugin {
        /// Its node.
        node: NodeId,
        /// Whether it is there.
        up: bool,
    },
    /// The partitioner planned.
    Planned {
        /// Pods that it planned for.
        pods: u32,
        /// Pods that the plan places, each once.
        placed: u32,
        /// Nodes that are written to.
        nodes: u32,
        /// Those of them that are to change.
        changed: u32,
    },
    /// What the plan that was just made is worth beside the best one for the same pods and GPUs.
    Judged {
        /// Pods that can run at once after it.
        served: u32,
        /// Pods that the best plan serves that was found.
        best: u32,
        /// Pods that any plan serves at the very most.
        bound: u32,
        /// Whether no better plan exists.
        exact: bool,
        /// GPUs that it asks to change.
        recuts: u32,
        /// GPUs that the best plan re-cuts.
        best_recuts: u32,
    },
    /// A node was asked for other slices, and this is what its GPUs made of it.
    Applied {
        /// The node.
        node: NodeId,
        /// Slices created.
        created: u32,
        /// Slices destroyed.
        destroyed: u32,
        /// Slices that were asked for and that the device refused beside those that stand.
        missing: u32,
    },
    /// It fits no node of the empty cluster and left at once.
    NeverFits {
        /// Who.
        pod: PodId,
        /// Why.
        reason: ReasonId,
    },
}

/// Sees every record of a run in order.
pub trait Observer {
    /// One record, at its moment.
    fn record(&mut self, at: Time, record: Record<'_>);

    /// Called now and then with the number of pods that have left, for progress displays.
    fn progress(&mut self, _at: Time, _departed: u64) {}

    /// Whether every message must stand to the end; else those of a pod's first and latest refusal do.
    fn keeps_reasons(&self) -> bool {
        false
    }

    /// The run is over at `at`; `reasons` explains the ids of the records.
    fn end(&mut self, _at: Time, _reasons: &Reasons) {}
}

impl Observer for () {
    fn record(&mut self, _: Time, _: Record<'_>) {}
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn record(&mut self, at: Time, record: Record<'_>) {
        self.0.record(at, record);
        self.1.record(at, record);
    }
    fn progress(&mut self, at: Time, departed: u64) {
        self.0.progress(at, departed);
        self.1.progress(at, departed);
    }
    fn keeps_reasons(&self) -> bool {
        self.0.keeps_reasons() || self.1.keeps_reasons()
    }
    fn end(&mut self, at: Time, reasons: &Reasons) {
        self.0.end(at, reasons);
        self.1.end(at, reasons);
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn record(&mut self, at: Time, record: Record<'_>) {
        (**self).record(at, record);
    }
    fn progress(&mut self, at: Time, departed: u64) {
        (**self).progress(at, departed);
    }
    fn keeps_reasons(&self) -> bool {
        (**self).keeps_reasons()
    }
    fn end(&mut self, at: Time, reasons: &Reasons) {
        (**self).end(at, reasons);
    }
}
