//! The pods as a policy may see them: what each asks for, and nothing of what it will take.

use super::request::{Request, SliceNames};
use super::{Constraint, Pod};
use crate::id::{PodId, ShapeId};

/// What a scheduler knows of the pods: what each asks for, and nothing of what it will take.
#[derive(Clone, Copy, Debug)]
pub struct Pods<'a> {
    /// Pods by id.
    pub pods: &'a [Pod],
    /// Shape of each demand.
    pub shape_of: &'a [ShapeId],
    /// Request of each shape.
    pub requests: &'a [Request],
    /// Constraints that requests refer to.
    pub constraints: &'a [Constraint],
    /// MIG profile names that requests refer to, for messages.
    pub slices: &'a SliceNames,
}

impl Pods<'_> {
    /// A pod's shape.
    #[must_use]
    pub fn shape(&self, pod: PodId) -> ShapeId {
        self.shape_of[self.pods[pod.index()].demand.index()]
    }

    /// What a pod asks for.
    #[must_use]
    pub fn request(&self, pod: PodId) -> &Request {
        &self.requests[self.shape(pod).index()]
    }

    /// The members of the gang that `pod` leads, or the pod alone.
    pub fn members(&self, pod: PodId) -> impl Iterator<Item = PodId> + use<> {
        let gang = self.pods[pod.index()].gang;
        assert!(0 < gang, "a gang is named by its first pod");
        (pod.0..pod.0 + gang).map(PodId)
    }
}
