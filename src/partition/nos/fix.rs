//! Quirks of nos that can be corrected one by one, to measure what each costs.
//!
//! Without a fix, nos decides. The numbers are those of our list of nos' quirks; what each does
//! wrong, and what is done instead, stands at the flag.

use std::fmt;

macro_rules! fixes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $word:literal;)+) => {
        /// One quirk that is corrected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Fix {
            $($(#[$doc])* $name,)+
        }

        impl Fix {
            /// All of them, by number.
            pub const ALL: &[Fix] = &[$(Fix::$name,)+];

            /// The word for it in `partitioner.nos.fix`.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Fix::$name => $word,)+
                }
            }

            /// Its number in the list of quirks.
            #[must_use]
            pub fn number(self) -> u8 {
                match self {
                    $(Fix::$name => $number,)+
                }
            }
        }
    };
}

fixes! {
    /// nos judges each pod alone: while one slice is free, any number of pods that want one lack
    /// nothing. Instead, pods share what is free, in planning order.
    LackingPerPod = 1, "lacking-per-pod";
    /// nos asks whether slices are free anywhere: one on a node where the pod cannot run, or spread
    /// over several GPUs, hides that it lacks some. Instead, a pod has its slices only where one
    /// node could take it now.
    ClusterWideFree = 2, "cluster-wide-free";
    /// What pods lack is net of free slices, and a GPU takes its free slices off again, so a pod of
    /// several slices may never be served. Instead, all slices of a pod that lacks any are asked for.
    DoubleDiscount = 3, "double-discount";
    /// MPS drops the whole profile when it makes room, new slices included, even when there was room
    /// enough. Instead, only slices that stood before make room, and only if something is missing.
    MpsGrow = 4, "mps-grow";
    /// MPS serves small missing slices first, and puts back all free slices of a profile or none.
    /// Instead, large ones go first and slices are put back one by one.
    MpsRestore = 5, "mps-restore";
    /// A MIG geometry is scored for what it provides of the requirements that are not yet met, twice
    /// if it is listed twice, and counts as a change even if it is the current one. Instead, every
    /// requirement that a geometry meets counts, once, and one that meets no more than the current
    /// one is not taken.
    MigScore = 6, "mig-score";
    /// Pods placed on one node are placed again on later ones. Instead, once.
    DuplicatePlacement = 7, "duplicate-placement";
    /// Any pod that fits, even one without slices, makes a new geometry permanent. Instead, a pod
    /// must have lacked slices.
    AnyPodCommits = 8, "any-pod-commits";
    /// Geometries are chosen for all lacking slices alike. Instead, pods of higher priority count
    /// first and the others break ties.
    PriorityBlind = 9, "priority-blind";
    /// The simulated scheduler does not count the pods it places, and refuses every pod with a
    /// volume claim or a required affinity to others, since it sees neither. Instead, it counts, and
    /// lets those pods pass.
    BlindScheduler = 10, "blind-scheduler";
    /// Annotations that skip a GPU index make nos use another index twice. Instead, the index that is
    /// missing is filled in.
    MissingIndex = 11, "missing-index";
    /// One node that cannot be read stops planning for all. Instead, it is left out.
    BadNode = 12, "bad-node";
    /// MPS counts memory in thousands of MiB, rounded up: 41 GB on a 40 GB card. Instead, GiB rounded
    /// down.
    MemoryRounding = 13, "memory-rounding";
    /// MPS creates slices of 0 GB, which it then refuses to read. Instead, they are never created.
    ZeroSlices = 14, "zero-slices";
    /// Nodes go by name as text, `node-10` before `node-2`. Instead, numbers in names count as
    /// numbers.
    TextOrder = 15, "text-order";
    /// Places are not modelled: the agent lets the driver place new slices, in up to 21 orders, and a
    /// GPU on which no order works is left with none of them. Instead, the agent finds places beside the
    /// used slices itself, moves free ones only where it must, and makes what fits, large slices first.
    Placement = 16, "placement";
    /// A plan that changes one node is written to all nodes of its kind, each of which then restarts
    /// its device plugin. Instead, only to those that change.
    RewriteAll = 17, "rewrite-all";
    /// A plan's id is the second in which it was made, so two plans may share it, and the agent reports
    /// it once it was read, applied or not. Instead, ids are microseconds, and reported when the agent
    /// is through with the plan.
    PlanIds = 18, "plan-ids";
    /// Resetting the batch window leaves its items behind, and the next batch runs without a timeout.
    /// Instead, they go too.
    StaleBatch = 19, "stale-batch";
    /// Nodes that were deleted stay known: a plan that they never reported keeps all planning waiting,
    /// and one that changes anything fails at them. Instead, they are forgotten.
    DeletedNodes = 20, "deleted-nodes";
    /// A node that loses its partitioning label stays known, since its events are filtered out. Instead,
    /// it is forgotten.
    LabelRemoval = 21, "label-removal";
    /// The event of a pod makes its node known without the checks that the node's own event would have
    /// met: a node that was never initialized is planned for. Instead, the checks are made.
    UncheckedNodes = 22, "unchecked-nodes";
    /// A MIG node whose GPUs all had slices before nos came is never initialized, and never planned for.
    /// Instead, what stands on it is written as what is asked for, which initializes it.
    NeverInitialized = 23, "never-initialized";
    /// A pod that was bound before it ran is not counted as running until its node changes. Instead,
    /// it is.
    LateUsage = 24, "late-usage";
    /// Writing the MPS configuration of `node-1` deletes that of `node-10`. Instead, only its own.
    ConfigPrefix = 25, "config-prefix";
    /// Every pass of the MIG agent that had operations restarts the device plugin, even if nothing came
    /// of them, and a pass that failed is repeated whenever the node's status changes. Instead, the
    /// plugin restarts when a slice came or went, and the same operations are not tried twice in a row.
    PluginRestart = 26, "plugin-restart";
    /// The MIG agent deletes all free slices when it starts. Instead, it leaves them.
    AgentStart = 27, "agent-start";
}

impl Fix {
    /// The fix of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Fix> {
        Fix::ALL.iter().copied().find(|fix| fix.word() == word)
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A set of fixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fixes(u32);

impl Fixes {
    /// nos as it is.
    pub const NONE: Fixes = Fixes(0);

    /// Every quirk that can be corrected.
    #[must_use]
    pub fn all() -> Fixes {
        Fix::ALL.iter().copied().collect()
    }

    /// Whether a quirk is corrected.
    #[must_use]
    pub fn has(self, fix: Fix) -> bool {
        self.0 & (1 << fix as u8) != 0
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, fix: Fix) -> Fixes {
        Fixes(self.0 | 1 << fix as u8)
    }

    /// Whether one of these is corrected.
    #[must_use]
    pub fn meets(self, others: Fixes) -> bool {
        self.0 & others.0 != 0
    }
}

impl FromIterator<Fix> for Fixes {
    fn from_iter<I: IntoIterator<Item = Fix>>(fixes: I) -> Fixes {
        Fixes(fixes.into_iter().fold(0, |set, fix| set | 1 << fix as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_distinct() {
        for fix in Fix::ALL {
            assert_eq!(Fix::parse(fix.word()), Some(*fix));
        }
        assert!(Fix::ALL.is_sorted_by_key(|fix| fix.number()));
        assert!(Fix::ALL.iter().all(|fix| Fixes::all().has(*fix) && !Fixes::NONE.has(*fix)));
    }
}
