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

/// One pod's life. 96 bytes.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// When it was first bound; meaningful once it ran.
    pub bound: Time,
    /// When it left; meaningful once it did, and until then when it last began to wait or to run.
    pub left: Time,
    /// All the time it has waited, also after it lost a place, until it last began to run or left.
    pub waited: Span,
    /// All the time it has had a place, until it last lost it.
    pub ran: Span,
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
    /// Times it was evicted: by a pod of higher priority, a drain, a taint, a re-cut or its node's leaving.
    pub evictions: u32,
    /// Times it failed: by itself, with a neighbour, a GPU or a node.
    pub failures: u32,
    /// Work done that it had to do again, as time alone on a full GPU.
    pub lost: Span,
    /// Where it stands.
    pub fate: Fate,
}

impl Line {
    /// Whether it was ever given a place.
    #[must_use]
    pub fn was_bound(&self) -> bool {
        matches!(self.fate, Fate::Running | Fate::Finished)
    }

    /// All the time it waited for places, of one that has, or had to its end, the last of them.
    #[must_use]
    pub fn wait(&self) -> Option<Span> {
        self.was_bound().then_some(self.waited)
    }
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

    fn line(&mut self, pod: PodId) -> &mut Line {
        &mut self.lines[pod.index()]
    }

    fn lose(&mut self, pod: PodId, at: Time, returns: bool, lost: Work, otherwise: Fate) {
        let line = self.line(pod);
        line.lost = line.lost + lost.time_at(Speed::FULL);
        line.ran = line.ran + at.since(line.left);
        let fate = if returns { Fate::Waiting } else { otherwise };
        self.leave(pod, at, fate);
    }

    fn leave(&mut self, pod: PodId, at: Time, fate: Fate) {
        self.gates.end(pod, at);
        let line = self.line(pod);
        if line.fate == Fate::Waiting {
            line.waited = line.waited + at.since(line.left);
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
                let line = self.line(pod);
                line.attempts += 1;
                if line.evictions == 0 && line.failures == 0 {
                    line.bound = at;
                }
                line.waited = line.waited + at.since(line.left);
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
                self.line(pod).evictions += 1;
                self.lose(pod, at, returns, lost, Fate::Evicted);
            }
            Record::Failed { pod, returns, lost, .. } => {
                self.line(pod).failures += 1;
                self.lose(pod, at, returns, lost, Fate::Failed);
            }
            Record::Finished { pod } => {
                let line = self.line(pod);
                line.ran = line.ran + at.since(line.left);
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
