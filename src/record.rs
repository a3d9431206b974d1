//! What happened: the only output of a run.
//!
//! The simulation emits records and nothing else; metrics, tables, files and the checker are folds
//! over them, live as an [`Observer`] or over a saved log.

use crate::cluster::Grant;
use crate::id::{NodeId, PodId};
use crate::units::{Speed, Time};

/// Number of an interned reason; see [`Reasons`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonId(pub u32);

/// One thing that happened to one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// It was created and waits.
    Arrived {
        /// Who.
        pod: PodId,
    },
    /// Its first attempt found no node; it waits on.
    Refused {
        /// Who.
        pod: PodId,
        /// Why.
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
    /// Its speed changed, since its neighbours or its slice did.
    SpeedChanged {
        /// Who.
        pod: PodId,
        /// How fast from now on.
        speed: Speed,
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
    fn end(&mut self, at: Time, reasons: &Reasons) {
        (**self).end(at, reasons);
    }
}

/// Messages by id, each stored once.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    texts: Vec<String>,
}

impl Reasons {
    /// Stores a message that is not yet known.
    pub fn add(&mut self, text: String) -> ReasonId {
        self.texts.push(text);
        ReasonId(u32::try_from(self.texts.len() - 1).expect("fewer than 2^32 messages"))
    }

    /// The text of a message.
    #[must_use]
    pub fn text(&self, reason: ReasonId) -> &str {
        &self.texts[reason.0 as usize]
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
