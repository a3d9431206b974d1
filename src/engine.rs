//! Event core: what happens next, and when.
//!
//! A [`Calendar`] hands out events in a total order nobody can argue with: time, then the [`Rank`]
//! of the kind, then first come. The simulator supplies the kinds and their ranks, and keeps the
//! entities; the calendar knows only their indices.
//!
//! ```text
//!           127        64 63  59 58        26 25       0
//! event  =  |   time    | rank | sequence   | target   |   one u128; smaller is sooner
//! ```
//!
//! The key *is* the event: 16 bytes carry everything, so there is no slab to look into and nothing
//! to cancel. The sequence number doubles as the [`Epoch`]: an entity remembers the epoch of the
//! event it waits for, and an event that fires with another one is stale and is dropped by its
//! handler. Forgetting the epoch cancels the event.
//!
//! ```
//! use slicewise::engine::{Calendar, Epoch, Rank};
//! use slicewise::units::Time;
//!
//! #[derive(Clone, Copy, Debug, PartialEq, Eq)]
//! enum Kind { Finish, Arrive }
//!
//! impl Rank for Kind {
//!     const COUNT: u8 = 2;
//!     fn rank(self) -> u8 { self as u8 }
//!     fn from_rank(rank: u8) -> Kind { [Kind::Finish, Kind::Arrive][usize::from(rank)] }
//! }
//!
//! let mut calendar = Calendar::<Kind>::new();
//! calendar.schedule(Time(5), Kind::Arrive, 1);
//! let awaited: Epoch = calendar.schedule(Time(5), Kind::Finish, 0);
//! let event = calendar.pop().expect("two events wait");
//! assert_eq!((event.kind, event.target), (Kind::Finish, 0), "what frees room comes first");
//! assert_eq!(event.epoch, awaited);
//! assert_eq!(calendar.now(), Time(5));
//! ```

mod heap;
mod ladder;
#[cfg(test)]
mod tests;

pub use heap::Heap;
pub use ladder::Ladder;

use crate::units::Time;
use std::fmt::Debug;
use std::marker::PhantomData;

const TARGET_BITS: u32 = 26;
const SEQUENCE_BITS: u32 = 33;
const RANK_BITS: u32 = 5;
const TIME_SHIFT: u32 = TARGET_BITS + SEQUENCE_BITS + RANK_BITS;
const _: () = assert!(TIME_SHIFT == u64::BITS, "time is the upper word of a key");

/// Targets are below this: 67 million entities of one kind.
pub const TARGETS: u32 = 1 << TARGET_BITS;

/// Events scheduled in one run are fewer than this: 8 billion, half an hour at full speed.
pub const EVENTS: u64 = 1 << SEQUENCE_BITS;

/// The kinds of event of one simulator, in the order in which they happen within an instant.
pub trait Rank: Copy + Eq + Debug {
    /// How many kinds there are; at most 32.
    const COUNT: u8;

    /// The place of this kind within an instant, below [`Rank::COUNT`]; lower goes first.
    fn rank(self) -> u8;

    /// The kind at this place: the inverse of [`Rank::rank`].
    fn from_rank(rank: u8) -> Self;
}

/// A priority queue of distinct keys, smallest first.
pub trait Queue: Default + Debug {
    /// Adds a key that is not in the queue.
    fn push(&mut self, key: u128);

    /// Removes the smallest key.
    fn pop(&mut self) -> Option<u128>;

    /// The smallest key.
    fn peek(&self) -> Option<u128>;

    /// How many keys wait.
    fn len(&self) -> usize;

    /// Whether none waits.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names one scheduling of an event, never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of no event: what an entity holds that waits for nothing.
    pub const NONE: Epoch = Epoch(u64::MAX);
}

impl Default for Epoch {
    fn default() -> Epoch {
        Epoch::NONE
    }
}

/// Something that happens to one entity at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<R> {
    /// When it happens.
    pub at: Time,
    /// What happens.
    pub kind: R,
    /// To whom: an index into the simulator's own table for this kind.
    pub target: u32,
    /// Which scheduling this was. Another one than the entity waits for means: stale, drop it.
    pub epoch: Epoch,
}

/// The clock and everything yet to happen.
///
/// The queue `Q` decides how fast this is and never what comes out.
#[derive(Debug)]
pub struct Calendar<R, Q = Ladder> {
    queue: Q,
    now: Time,
    scheduled: u64,
    kinds: PhantomData<R>,
}

impl<R: Rank, Q: Queue> Default for Calendar<R, Q> {
    fn default() -> Calendar<R, Q> {
        const { assert!(R::COUNT <= 1 << RANK_BITS, "ranks fit their bits of the key") }
        Calendar { queue: Q::default(), now: Time::ZERO, scheduled: 0, kinds: PhantomData }
    }
}

impl<R: Rank> Calendar<R> {
    /// An empty calendar at [`Time::ZERO`], on the ladder queue.
    #[must_use]
    pub fn new() -> Calendar<R> {
        Calendar::default()
    }
}

impl<R: Rank, Q: Queue> Calendar<R, Q> {
    /// Lets `kind` happen to `target` at `at`, after what is already there at its time and rank.
    ///
    /// Amortized *O*(1) on the ladder.
    ///
    /// # Panics
    /// If `at` has passed, or the target or the number of events outgrows its bits of the key.
    #[inline]
    pub fn schedule(&mut self, at: Time, kind: R, target: u32) -> Epoch {
        assert!(self.now <= at, "an event is scheduled now or later");
        assert!(kind.rank() < R::COUNT, "a rank is below the count of ranks");
        assert!(target < TARGETS, "a target fits its bits of the key");
        assert!(self.scheduled < EVENTS, "a sequence number fits its bits of the key");
        let epoch = Epoch(self.scheduled);
        self.scheduled += 1;
        self.queue.push(pack(at, kind.rank(), epoch, target));
        epoch
    }

    /// Takes the next event and moves the clock to it. Amortized *O*(1) on the ladder.
    #[inline]
    pub fn pop(&mut self) -> Option<Event<R>> {
        let event = unpack(self.queue.pop()?);
        assert!(self.now <= event.at, "time never goes back");
        self.now = event.at;
        Some(event)
    }

    /// The present: when the last event popped happened.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// When the next event happens.
    #[must_use]
    pub fn peek_time(&self) -> Option<Time> {
        self.queue.peek().map(time_of)
    }

    /// How many events wait, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is left to happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

fn pack(at: Time, rank: u8, epoch: Epoch, target: u32) -> u128 {
    let low = u64::from(rank) << (SEQUENCE_BITS + TARGET_BITS) | epoch.0 << TARGET_BITS | u64::from(target);
    u128::from(at.0) << TIME_SHIFT | u128::from(low)
}

fn unpack<R: Rank>(key: u128) -> Event<R> {
    let low = key as u64;
    Event {
        at: time_of(key),
        kind: R::from_rank((low >> (SEQUENCE_BITS + TARGET_BITS)) as u8),
        target: low as u32 & (TARGETS - 1),
        epoch: Epoch(low >> TARGET_BITS & (EVENTS - 1)),
    }
}

fn time_of(key: u128) -> Time {
    Time((key >> TIME_SHIFT) as u64)
}
