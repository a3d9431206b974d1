//! What differs between versions of kube-scheduler, each difference a named switch.
//!
//! Sources are paths below `pkg/scheduler/` of kubernetes/kubernetes at the tags v1.35.4 and
//! v1.25.5; both sets were checked against recorded runs of the real code (tests/kube_vectors.rs).

/// How the scheduler of one version behaves where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Pods are woken by queueing hints and by the very events that arrived during their attempt
    /// (`SchedulerQueueingHints`, on since 1.32); before, by what plugins registered for, and any
    /// move request during an attempt sends the pod to back off.
    pub hints: bool,
    /// An idle scheduler takes pods out of back-off, back-off ends on whole seconds, and pods that
    /// met an error wait apart (`SchedulerPopFromBackoffQ`, on since 1.33).
    pub pop_from_backoff: bool,
    /// Back-off holds at the very moment of its end (since 1.33).
    pub holds_at_expiry: bool,
    /// Back-off counts rejections and errors apart instead of attempts (since 1.34).
    pub counts_apart: bool,
    /// A node stops at its first refusal (since 1.26); before, every filter runs, the reasons are
    /// united, and the rejector is the first plugin of the most severe refusal.
    pub first_refusal: bool,
    /// What is more than the whole node has is unresolvable (since 1.34,
    /// `plugins/noderesources/fit.go`).
    pub fit_unresolvable: bool,
    /// The reason of a taint names it (until 1.34).
    pub taint_named: bool,
    /// The best node is the head of a binary heap over the feasible ones (since 1.35); before, a
    /// uniform draw among the best.
    pub heap: bool,
    /// The next start is counted over all nodes (since 1.29) instead of those a filter left.
    pub start_over_all: bool,
    /// Balanced allocation leaves out pods that ask for none of its resources (since 1.33).
    pub balanced_skips: bool,
    /// Balanced allocation scores the change that the pod makes (since 1.36).
    pub balanced_change: bool,
    /// The message of a failed preemption begins with that of DynamicResources (since 1.34).
    pub claims_message: bool,
    /// Only pods that a preemption terminates make a preemptor wait (since 1.27); before, any
    /// terminating pod of lower priority.
    pub waits_for_preempted: bool,
    /// Victims that are terminating already are left alone (since 1.34); before, deleted again.
    pub spares_terminating: bool,
    /// Victims are sorted by importance again where some violate budgets (since 1.32).
    pub victims_sorted: bool,
    /// A nomination that is cleared or moved wakes pods of at most its pod's priority (since 1.33).
    pub nomination_wakes: bool,
    /// A pod that is deleted while its binding is under way is forgotten at once (since 1.35); before,
    /// once its binding fails.
    pub forgets_assumed: bool,
    /// The nodes that PreFilter left out count in messages, and as unresolvable (since 1.31).
    pub counts_left_out: bool,
    /// Without score plugins the first feasible node is enough (since 1.30).
    pub stops_at_first: bool,
}

impl Rules {
    /// Kubernetes 1.35 with its default feature gates.
    pub const V1_35: Rules = Rules {
        hints: true,
        pop_from_backoff: true,
        holds_at_expiry: true,
        counts_apart: true,
        first_refusal: true,
        fit_unresolvable: true,
        taint_named: false,
        heap: true,
        start_over_all: true,
        balanced_skips: true,
        balanced_change: false,
        claims_message: true,
        waits_for_preempted: true,
        spares_terminating: true,
        victims_sorted: true,
        nomination_wakes: true,
        forgets_assumed: true,
        counts_left_out: true,
        stops_at_first: true,
    };

    /// Kubernetes 1.25, which nos was built on.
    pub const V1_25: Rules = Rules {
        hints: false,
        pop_from_backoff: false,
        holds_at_expiry: false,
        counts_apart: false,
        first_refusal: false,
        fit_unresolvable: false,
        taint_named: true,
        heap: false,
        start_over_all: false,
        balanced_skips: false,
        balanced_change: false,
        claims_message: false,
        waits_for_preempted: false,
        spares_terminating: false,
        victims_sorted: false,
        nomination_wakes: false,
        forgets_assumed: false,
        counts_left_out: false,
        stops_at_first: false,
    };
}
