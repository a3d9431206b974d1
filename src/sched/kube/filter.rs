//! Filters with their statuses and reasons, and the FailedScheduling message.

use super::node::Usage;
use super::resource::{Amounts, PodRequest, ResourceId, Resources};
pub use crate::record::Plugins;
use crate::record::render;
use std::collections::BTreeMap;

/// A set of reasons: bit r is "Insufficient" of resource r, the others are named below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reasons(pub u128);

impl Reasons {
    /// "Too many pods".
    pub const PODS: Reasons = Reasons(1 << 64);
    /// The node is cordoned.
    pub const CORDONED: Reasons = Reasons(1 << 65);
    /// Node selector or affinity.
    pub const AFFINITY: Reasons = Reasons(1 << 66);
    /// A taint, unnamed.
    pub const TAINT: Reasons = Reasons(1 << 67);
    /// Nobody of lower priority to evict.
    pub const NO_VICTIMS: Reasons = Reasons(1 << 68);
    /// Evicting does not help.
    pub const NO_HELP: Reasons = Reasons(1 << 69);
    /// PreFilter left the node out.
    pub const LEFT_OUT: Reasons = Reasons(1 << 70);
    /// No node is in all the lists of a term.
    pub const CONFLICT: Reasons = Reasons(1 << 71);
    /// First bit of the taints that are named.
    const NAMED: u32 = 72;

    /// "Insufficient" of a resource.
    #[must_use]
    pub fn short(resource: ResourceId) -> Reasons {
        Reasons(1 << resource.0)
    }

    /// The reason of the `index`-th taint of a table; beyond 56 they are counted as one.
    #[must_use]
    pub fn taint(index: usize) -> Reasons {
        if index < 128 - Self::NAMED as usize {
            Reasons(1 << (Self::NAMED + index as u32))
        } else {
            Self::TAINT
        }
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Reasons) -> Reasons {
        Reasons(self.0 | other.0)
    }

    /// Whether some reason is in both.
    #[must_use]
    pub fn meets(self, other: Reasons) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Their bits.
    pub(super) fn bits(self) -> impl Iterator<Item = u32> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (bit < u128::BITS).then_some(bit)
        })
    }

    /// Their texts.
    pub fn texts(self, names: &Names<'_>) -> Vec<String> {
        self.bits().map(|bit| names.text(bit)).collect()
    }
}

/// What the bits of [`Reasons`] are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Resources.
    pub resources: &'a Resources,
    /// Taints that are named, as `{KEY: VALUE}`.
    pub taints: &'a [String],
}

impl Names<'_> {
    pub(super) fn text(&self, bit: u32) -> String {
        match bit {
            0..64 => format!("Insufficient {}", self.resources.name(ResourceId(bit as u16))),
            64 => "Too many pods".to_owned(),
            65 => "node(s) were unschedulable".to_owned(),
            66 => "node(s) didn't match Pod's node affinity/selector".to_owned(),
            67 => "node(s) had untolerated taint(s)".to_owned(),
            68 => "No preemption victims found for incoming pod".to_owned(),
            69 => "Preemption is not helpful for scheduling".to_owned(),
            70 => "node(s) didn't satisfy plugin(s) [NodeAffinity]".to_owned(),
            71 => "pod affinity terms conflict".to_owned(),
            _ => format!("node(s) had untolerated taint {}", self.taints[(bit - Reasons::NAMED) as usize]),
        }
    }
}

/// Whether evicting pods could help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The node takes the pod.
    #[default]
    Success,
    /// It does not, for what stands on it.
    Unschedulable,
    /// It does not, whatever leaves it.
    Unresolvable,
}

/// What a node says to a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status {
    /// Whether and how it refuses.
    pub code: Code,
    /// Why.
    pub reasons: Reasons,
    /// The plugin that is recorded as the rejector.
    pub rejector: Plugins,
}

impl Status {
    /// Whether the node takes the pod.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Code::Success
    }

    /// A refusal of one plugin.
    #[must_use]
    pub fn refused(rejector: Plugins, code: Code, reasons: Reasons) -> Status {
        Status { code, reasons, rejector }
    }

    /// Joins the refusal of a later plugin: reasons united, the most severe code, and the first
    /// plugin of that (how 1.25 merges).
    #[must_use]
    pub fn merge(self, later: Status) -> Status {
        let reasons = self.reasons.and(later.reasons);
        let of = if self.code < later.code { later } else { self };
        Status { reasons, ..of }
    }
}

/// NodeResourcesFit: everything that is short (`plugins/noderesources/fit.go`, `fitsRequest`).
#[must_use]
pub fn fit(
    request: &PodRequest,
    ignored: Reasons,
    (allocatable, pods_most): (&Amounts, i64),
    usage: &Usage,
    unresolvable: bool,
) -> Status {
    let mut reasons = Reasons::default();
    let mut code = Code::Unschedulable;
    if pods_most < usage.pods + 1 {
        reasons = Reasons::PODS;
    }
    for (resource, amount) in
        request.real.iter().filter(|(r, amount)| 0 < *amount && !(r.is_scalar() && ignored.0 >> r.0 & 1 == 1))
    {
        let capacity = allocatable.get(resource);
        if capacity - usage.real.get(resource) < amount {
            reasons = reasons.and(Reasons::short(resource));
            if unresolvable && capacity < amount {
                code = Code::Unresolvable;
            }
        }
    }
    match reasons.is_none() {
        true => Status::default(),
        false => Status::refused(Plugins::FIT, code, reasons),
    }
}

/// `FitError.Error` of a pod that a PreFilter plugin refused.
#[must_use]
pub fn message_before(nodes: usize, pre_filter: &str, post_filter: &str) -> String {
    joined(render(nodes, [(pre_filter, 0)]), post_filter)
}

/// `FitError.Error`: nodes counted by reason, a node once in each of its reasons, sorted as text.
/// Nodes without a status count for `absent`.
#[must_use]
pub fn message<'r>(
    nodes: usize,
    statuses: impl IntoIterator<Item = (&'r [String], usize)>,
    absent: Option<&str>,
    post_filter: &str,
) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut explicit = 0;
    for (reasons, times) in statuses {
        explicit += times;
        for reason in reasons {
            *counts.entry(reason).or_default() += times;
        }
    }
    if let Some(absent) = absent.filter(|_| explicit < nodes) {
        *counts.entry(absent).or_default() += nodes - explicit;
    }
    joined(render(nodes, counts), post_filter)
}

fn joined(text: String, post_filter: &str) -> String {
    if post_filter.is_empty() { text } else { format!("{text} {post_filter}") }
}
