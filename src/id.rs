//! Typed names: an index into one table cannot index another.
//!
//! State lives in arrays by id, so iteration order is id order and needs no thought.

/// Declares a `u32` newtype that indexes one table.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(pub u32);

        impl $name {
            /// The id of position `index` in its table.
            ///
            /// # Panics
            /// Beyond 2³² entries.
            #[must_use]
            pub fn of(index: usize) -> Self {
                $name(u32::try_from(index).expect("a table has fewer than 2^32 rows"))
            }

            /// Position in its table.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}

ids! {
    /// One pod of a workload, in order of arrival.
    PodId,
    /// One node of a cluster, in the order the cluster lists them.
    NodeId,
    /// One GPU of a cluster, numbered through all nodes.
    GpuId,
    /// A distinct demand (what the workload needs whatever the mode).
    DemandId,
    /// A distinct request under one translation: pods of one shape are equal to a scheduler.
    ShapeId,
    /// A workload class (a name that groups pods in reports and in sharing models).
    ClassId,
    /// What pods do with a GPU: a row of the sharing models' table.
    BehaviorId,
    /// A Kubernetes namespace (tenant).
    NamespaceId,
    /// A MIG profile name of a run.
    SliceId,
    /// A Kubernetes resource name of a partitioner's snapshot, such as `nvidia.com/mig-1g.5gb`.
    ResourceId,
    /// A GPU model of a partitioner's table of geometries.
    ModelId,
}
