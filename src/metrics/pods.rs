//! What became of each pod: one line per pod, filled in by its records.

use crate::cluster::Grant;
use crate::id::{NodeId, PodId};
use crate::record::{Observer, ReasonId, Reasons, Record};
use crate::units::{Span, Speed, Time, Work};
use rustc_hash::FxHashMap;

/// Where a pod stands, or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Not arrived yet.
    #[default]
    Unborn,
    /// In the queue.
    Waiting,
    /// On a node.
    Running,
    /// Ran to its end.
    Finished,
    /// Left after the cap on waiting.
    GaveUp,
    /// Left because the queue was full.
    TurnedAway,
    /// Left because nothing could ever hold it.
    NeverFits,
    /// Was evicted and did not return.
    Evicted,
    /// Failed and did not return.
    Failed,
}

impl Fate {
    /// Whether it is gone.
    #[must_use]
    pub fn has_left(self) -> bool {
        !matches!(self, Fate::Unborn | Fate::Waiting | Fate::Running)
    }

    /// The word for it in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fate::Unborn => "unborn",
            Fate::Waiting => "waiting",
            Fate::Running => "running",
            Fate::Finished => "finished",
            Fate::GaveUp => "gave-up",
            Fate::TurnedAway => "turned-away",
            Fate::NeverFits => "never-fits",
            Fate::Evicted => "evicted",
            Fate::Failed => "failed",
        }
    }
}

/// One pod's life but for what only those have that lost a place ([`Losses`]). 56 bytes.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// When it was first bound; meaningful once it ran.
    pub bound: Time,
    /// When it left; meaningful once it did, and until then when it last began to wait or to run.
    pub left: Time,
    /// Where it ran.
    pub node: NodeId,
    /// On what.
    pub grant: Grant,
    /// Why its first attempt failed, if it did, or which gates kept it from being tried.
    pub reason: Option<ReasonId>,
    /// The same of its latest failed attempt.
    pub last_reason: Option<ReasonId>,
    /// Attempts to place it that are told of.
    pub attempts: u32,
    /// Where it stands.
    pub fate: Fate,
}

impl Line {
    /// Whether it was ever given a place.
    #[must_use]
    pub fn was_bound(&self) -> bool {
        matches!(self.fate, Fate::Running | Fate::Finished)
    }
}

/// What a pod lost that lost a place. Few do, so they are kept apart from the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Times it was evicted: by a pod of higher priority, a drain, a taint, a re-cut or its node's leaving.
    pub evictions: u32,
    /// Times it failed: by itself, with a neighbour, a GPU or a node.
    pub failures: u32,
    /// Work done that it had to do again, as time alone on a full GPU.
    pub work: Span,
    /// The time it has waited since it first lost a place, until it last began to run or left.
    waited: Span,
    /// All the time it has had a place, the first included, until it last lost it.
    ran: Span,
}

/// Whom scheduling gates hold, and how long they held whom.
#[derive(Clone, Debug, Default)]
struct Gates {
    since: FxHashMap<PodId, Time>,
    held: FxHashMap<PodId, Span>,
}

impl Gates {
    fn end(&mut self, pod: PodId, at: Time) {
        if let Some(since) = self.since.remove(&pod) {
            let held = self.held.entry(pod).or_default();
            *held = Span(held.0 + at.since(since).0);
        }
    }
}

/// A fold over records into a line per pod.
#[derive(Clone, Debug, Default)]
pub struct PodLog {
    lines: Vec<Line>,
    losses: FxHashMap<PodId, Losses>,
    gates: Gates,
    /// The messages that reasons name; filled in at the end of the run.
    pub reasons: Reasons,
}

impl PodLog {
    /// A log for so many pods.
    #[must_use]
    pub fn new(pods: usize) -> PodLog {
        PodLog { lines: vec![Line::default(); pods], ..PodLog::default() }
    }

    /// How long scheduling gates held a pod back, which is part of its wait; `None` where it had none.
    #[must_use]
    pub fn gated(&self, pod: PodId) -> Option<Span> {
        self.gates.held.get(&pod).copied()
    }

    /// Lines by pod.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What a pod lost with its places; nothing for one that kept its first.
    #[must_use]
    pub fn losses(&self, pod: PodId) -> Losses {
        self.losses.get(&pod).copied().unwrap_or_default()
    }

    /// All the time a pod that arrived at `arrival` has waited, also after it lost a place, until it last
    /// began to run or left.
    #[must_use]
    pub fn waited(&self, pod: PodId, arrival: Time) -> Span {
        let line = &self.lines[pod.index()];
        match (self.losses.get(&pod), line.fate) {
            (Some(losses), _) => line.bound.since(arrival) + losses.waited,
            (None, Fate::Running | Fate::Finished) => line.bound.since(arrival),
            (None, Fate::Unborn | Fate::Waiting) => Span::ZERO,
            (None, Fate::GaveUp | Fate::TurnedAway | Fate::NeverFits | Fate::Evicted | Fate::Failed) => {
                line.left.since(arrival)
            }
        }
    }

    /// The same of one that has a place, or had its last to its end.
    #[must_use]
    pub fn wait(&self, pod: PodId, arrival: Time) -> Option<Span> {
        self.lines[pod.index()].was_bound().then(|| self.waited(pod, arrival))
    }

    /// All the time a pod has had a place, until it last lost it.
    #[must_use]
    pub fn ran(&self, pod: PodId) -> Span {
        let line = &self.lines[pod.index()];
        match self.losses.get(&pod) {
            Some(losses) => losses.ran,
            None if line.fate == Fate::Finished => line.left.since(line.bound),
            None => Span::ZERO,
        }
    }

    fn line(&mut self, pod: PodId) -> &mut Line {
        &mut self.lines[pod.index()]
    }

    /// A pod loses its place; what it lost so far, with the work.
    fn lose(&mut self, pod: PodId, at: Time, fate: Fate, work: Work) -> &mut Losses {
        let since = self.line(pod).left;
        self.leave(pod, at, fate);
        let losses = self.losses.entry(pod).or_default();
        losses.work = losses.work + work.time_at(Speed::FULL);
        losses.ran = losses.ran + at.since(since);
        losses
    }

    fn leave(&mut self, pod: PodId, at: Time, fate: Fate) {
        self.gates.end(pod, at);
        let line = &mut self.lines[pod.index()];
        if line.fate == Fate::Waiting
            && let Some(losses) = self.losses.get_mut(&pod)
        {
            losses.waited = losses.waited + at.since(line.left);
        }
        (line.left, line.fate) = (at, fate);
    }
}

impl Observer for PodLog {
    fn record(&mut self, at: Time, record: Record<'_>) {
        match record {
            Record::Arrived { pod } => {
                let line = self.line(pod);
                (line.left, line.fate) = (at, Fate::Waiting);
            }
            Record::Refused { pod, reason, .. } | Record::Unbound { pod, reason, .. } => {
                let line = self.line(pod);
                line.reason = line.reason.or(Some(reason));
                line.last_reason = Some(reason);
                line.attempts += 1;
            }
            Record::Gated { pod, reason } => {
                let line = self.line(pod);
                line.reason = line.reason.or(Some(reason));
                line.last_reason = Some(reason);
                self.gates.since.insert(pod, at);
            }
            Record::Ungated { pod } => self.gates.end(pod, at),
            Record::Bound { pod, node, grant, .. } => {
                let line = &mut self.lines[pod.index()];
                match self.losses.get_mut(&pod) {
                    Some(losses) => losses.waited = losses.waited + at.since(line.left),
                    None => line.bound = at,
                }
                line.attempts += 1;
                (line.left, line.node, line.fate) = (at, node, Fate::Running);
                line.grant = grant.clone();
            }
            Record::SpeedChanged { .. }
            | Record::Doomed { .. }
            | Record::Returned { .. }
            | Record::NodeChanged { .. }
            | Record::Recut { .. }
            | Record::Resliced { .. }
            | Record::Plugin { .. }
            | Record::Planned { .. }
            | Record::Applied { .. }
            | Record::Judged { .. }
            | Record::Down { .. }
            | Record::Withheld { .. }
            | Record::Up { .. } => {}
            Record::Evicted { pod, returns, lost } => {
                let fate = if returns { Fate::Waiting } else { Fate::Evicted };
                self.lose(pod, at, fate, lost).evictions += 1;
            }
            Record::Failed { pod, returns, lost, .. } => {
                let fate = if returns { Fate::Waiting } else { Fate::Failed };
                self.lose(pod, at, fate, lost).failures += 1;
            }
            Record::Finished { pod } => {
                let since = self.line(pod).left;
                if let Some(losses) = self.losses.get_mut(&pod) {
                    losses.ran = losses.ran + at.since(since);
                }
                self.leave(pod, at, Fate::Finished);
            }
            Record::GaveUp { pod } => self.leave(pod, at, Fate::GaveUp),
            Record::TurnedAway { pod } => self.leave(pod, at, Fate::TurnedAway),
            Record::NeverFits { pod, reason } => {
                self.line(pod).reason = Some(reason);
                self.leave(pod, at, Fate::NeverFits);
            }
        }
    }

    fn end(&mut self, _: Time, reasons: &Reasons) {
        self.reasons = reasons.clone();
    }
}
