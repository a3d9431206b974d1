//! The ladder against the heap, key by key, and the calendar's order and refusals.

use super::*;
use crate::rng::Stream;
use crate::units::Span;
use proptest::prelude::*;
use std::panic::catch_unwind;

/// Four kinds, so that ranks matter within an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(u8);

impl Rank for Kind {
    const COUNT: u8 = 4;

    fn rank(self) -> u8 {
        self.0
    }

    fn from_rank(rank: u8) -> Kind {
        assert!(rank < Kind::COUNT, "only ranks of kinds are stored");
        Kind(rank)
    }
}

/// One move of a random simulation.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Schedule one event `after` the present.
    Push { after: u64, rank: u8 },
    /// Schedule `count` events at one instant.
    Burst { after: u64, rank: u8, count: u16 },
    /// Take up to `count` events.
    Pop { count: u16 },
    /// Take an event and put one of another rank at the same instant.
    Echo { rank: u8 },
    /// Take an event and schedule one, `count` times over.
    Hold { count: u16, after_max: u64 },
}

/// Makes the same moves on both queues and compares everything that comes out, to the last event.
#[derive(Debug, Default)]
struct Pair {
    ladder: Calendar<Kind>,
    heap: Calendar<Kind, Heap>,
}

impl Pair {
    fn push(&mut self, after: u64, rank: u8) {
        let at = Time(self.ladder.now().0.saturating_add(after));
        let target = (self.ladder.scheduled % u64::from(TARGETS)) as u32;
        let epoch = self.ladder.schedule(at, Kind(rank), target);
        assert_eq!(epoch, self.heap.schedule(at, Kind(rank), target));
    }

    fn pop(&mut self) -> Option<Event<Kind>> {
        assert_eq!(self.ladder.peek_time(), self.heap.peek_time());
        let event = self.ladder.pop();
        assert_eq!(event, self.heap.pop());
        assert_eq!(self.ladder.len(), self.heap.len());
        event
    }

    fn make(&mut self, step: Move, stream: &mut Stream) {
        match step {
            Move::Push { after, rank } => self.push(after, rank),
            Move::Burst { after, rank, count } => (0..count).for_each(|_| self.push(after, rank)),
            Move::Pop { count } => (0..count).for_each(|_| _ = self.pop()),
            Move::Echo { rank } => {
                self.pop();
                self.push(0, rank);
            }
            Move::Hold { count, after_max } => {
                for _ in 0..count {
                    self.pop();
                    self.push(stream.below(after_max), (stream.bits() % 4) as u8);
                }
            }
        }
    }

    fn finish(mut self) {
        while self.pop().is_some() {}
        assert!(self.ladder.is_empty());
    }
}

/// Spans of every magnitude: the present, ties, the usual, and as far as the clock goes.
fn any_span() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(0),
        3 => 0..4_u64,
        4 => 0..1_000_u64,
        4 => 0..1_000_000_000_u64,
        2 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => (0..1_000_u64).prop_map(|back| u64::MAX - back),
    ]
}

fn any_move() -> impl Strategy<Value = Move> {
    let rank = || 0..Kind::COUNT;
    prop_oneof![
        4 => (any_span(), rank()).prop_map(|(after, rank)| Move::Push { after, rank }),
        2 => (any_span(), rank(), 0..400_u16)
            .prop_map(|(after, rank, count)| Move::Burst { after, rank, count }),
        3 => (0..300_u16).prop_map(|count| Move::Pop { count }),
        3 => rank().prop_map(|rank| Move::Echo { rank }),
        3 => (0..400_u16, any_span())
            .prop_map(|(count, max)| Move::Hold { count, after_max: max.max(1) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn ladder_pops_as_the_heap_does(moves in prop::collection::vec(any_move(), 0..60), seed: u64) {
        let mut stream = Stream::new(seed, "holds", 0);
        let mut pair = Pair::default();
        for step in moves {
            pair.make(step, &mut stream);
        }
        pair.finish();
    }

    /// Keys that no calendar would make: going back in time, and at both ends of 128 bits.
    #[test]
    fn ladder_sorts_any_distinct_keys(
        keys in prop::collection::btree_set(prop_oneof![
            any::<u128>(),
            (0..1_000_u128).prop_map(|low| low),
            (0..1_000_u128).prop_map(|back| u128::MAX - back),
        ], 0..600).prop_map(|keys| keys.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        pops in 0..5_usize,
    ) {
        let (mut ladder, mut heap) = (Ladder::default(), Heap::default());
        for (turn, &key) in keys.iter().enumerate() {
            ladder.push(key);
            heap.push(key);
            for _ in 0..if turn % 3 == 0 { pops } else { 0 } {
                prop_assert_eq!(ladder.pop(), heap.pop());
            }
        }
        while let Some(key) = heap.pop() {
            prop_assert_eq!(ladder.pop(), Some(key));
        }
        prop_assert_eq!(ladder.pop(), None);
    }
}

/// The moves of a long run, as a fixed program of holds under a law of spans.
fn stress(name: &str, pending: u64, holds: u64, mut span: impl FnMut(&mut Stream) -> u64) {
    let mut stream = Stream::new(1, name, pending);
    let mut pair = Pair::default();
    for _ in 0..pending {
        pair.push(span(&mut stream), (stream.bits() % 4) as u8);
    }
    for _ in 0..holds {
        pair.pop();
        pair.push(span(&mut stream), (stream.bits() % 4) as u8);
    }
    pair.finish();
}

#[test]
fn a_million_events_come_out_in_order() {
    let exponential = |mean: f64| move |s: &mut Stream| (s.exponential() * mean) as u64;
    stress("exponential", 100_000, 300_000, exponential(1e6));
    stress("ties", 50_000, 200_000, exponential(3.0));
    stress("bimodal", 50_000, 200_000, |s| {
        let mean = if s.below(10) == 0 { 1e9 } else { 1e3 };
        (s.exponential() * mean) as u64
    });
    stress("magnitudes", 50_000, 200_000, |s| 1 << s.below(50));
}

#[test]
fn few_events_leap_and_then_crowd() {
    // Wide batches in the sorted bottom must give way when the scale of time shrinks.
    let mut calls = 0_u64;
    stress("leaps", 40, 200_000, |s| {
        calls += 1;
        if calls < 1_000 { s.below(1 << 40) } else { s.below(1 << (calls / 1_000 % 40)) }
    });
    for backwards in [false, true] {
        let mut pair = Pair::default();
        pair.push(u64::MAX, 3);
        for step in 0..100_000 {
            pair.push(if backwards { 100_000 - step } else { step }, 0);
        }
        pair.finish();
    }
}

#[test]
fn a_burst_at_one_instant_is_not_quadratic() {
    const BURST: u32 = 1_000_000;
    let mut pair = Pair::default();
    for _ in 0..BURST {
        pair.push(7, 2);
    }
    // Each event of the burst schedules another one at the same instant, before or behind the rest.
    for turn in 0..BURST {
        let event = pair.pop().expect("the burst lasts");
        assert_eq!(event.at, Time(7));
        pair.push(0, if turn % 2 == 0 { 1 } else { 3 });
    }
    pair.finish();
}

#[test]
fn ranks_and_then_first_come_decide_an_instant() {
    let mut calendar = Calendar::<Kind>::new();
    for (target, rank) in [3, 1, 3, 0, 1].into_iter().enumerate() {
        calendar.schedule(Time(9), Kind(rank), target as u32);
    }
    let order: Vec<u32> = std::iter::from_fn(|| calendar.pop()).map(|event| event.target).collect();
    assert_eq!(order, [3, 1, 4, 0, 2]);
}

#[test]
fn a_lower_rank_at_the_present_goes_next() {
    let mut calendar = Calendar::<Kind>::new();
    calendar.schedule(Time(4), Kind(3), 0);
    calendar.schedule(Time(4), Kind(3), 1);
    assert_eq!(calendar.pop().map(|event| event.target), Some(0));
    calendar.schedule(calendar.now(), Kind(1), 2);
    assert_eq!(calendar.peek_time(), Some(Time(4)));
    assert_eq!(calendar.pop().map(|event| event.target), Some(2));
    assert_eq!(calendar.pop().map(|event| event.target), Some(1));
    assert_eq!(calendar.pop(), None);
    assert_eq!(calendar.now(), Time(4), "the clock stays at the last event");
}

#[test]
fn an_event_comes_back_as_it_was_scheduled() {
    let mut calendar = Calendar::<Kind>::new();
    let far = Time::ZERO + Span(u64::MAX);
    let first = calendar.schedule(far, Kind(3), TARGETS - 1);
    let second = calendar.schedule(far, Kind(3), TARGETS - 1);
    assert_ne!(first, second);
    assert_ne!(first, Epoch::NONE);
    assert_eq!(Epoch::default(), Epoch::NONE);
    for epoch in [first, second] {
        let event = Event { at: far, kind: Kind(3), target: TARGETS - 1, epoch };
        assert_eq!(calendar.pop(), Some(event));
    }
    calendar.scheduled = EVENTS - 1;
    let last = calendar.schedule(far, Kind(0), 0);
    assert_eq!(calendar.pop().map(|event| event.epoch), Some(last));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |misuse: fn(&mut Calendar<Kind>)| {
        catch_unwind(|| {
            let mut calendar = Calendar::<Kind>::new();
            calendar.schedule(Time(2), Kind(0), 0);
            calendar.pop();
            misuse(&mut calendar);
        })
        .is_err()
    };
    assert!(!refused(|c| _ = c.schedule(Time(2), Kind(3), 0)));
    assert!(refused(|c| _ = c.schedule(Time(1), Kind(0), 0)), "the past");
    assert!(refused(|c| _ = c.schedule(Time(2), Kind(4), 0)), "a rank beyond the kinds");
    assert!(refused(|c| _ = c.schedule(Time(2), Kind(0), TARGETS)), "a target beyond its bits");
    assert!(
        refused(|c| {
            c.scheduled = EVENTS;
            c.schedule(Time(2), Kind(0), 0);
        }),
        "a sequence beyond its bits"
    );
}
