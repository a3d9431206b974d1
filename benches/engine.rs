//! The event core under the hold model: take the next event, dispatch it, schedule one.
//!
//! Sketch of the cost, per event at 10⁶ pending: one write to a random bucket and one touch of a
//! random entity, a cache miss each (overlapped), one small sort shared by some ten events, one
//! mispredicted dispatch: 60 to 150 ns. At 10³ all is in the first two caches: 30 ns.
//!
//! `cargo bench --bench engine` measures the ladder and the heap in one run, so that their ratio
//! holds on a noisy machine; with `-- --test` the same code runs once at a small size. A hash of
//! the order of events is printed and must be equal for both queues.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slicewise::engine::{Calendar, Heap, Ladder, Queue, Rank};
use slicewise::rng::Stream;
use slicewise::units::{Span, Time};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

/// As many kinds as the simulator has in its hot loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Finish,
    Evict,
    Arrive,
    Cycle,
}

impl Rank for Kind {
    const COUNT: u8 = 4;

    fn rank(self) -> u8 {
        self as u8
    }

    fn from_rank(rank: u8) -> Kind {
        match rank {
            0 => Kind::Finish,
            1 => Kind::Evict,
            2 => Kind::Arrive,
            3 => Kind::Cycle,
            _ => unreachable!("only ranks of kinds are stored"),
        }
    }
}

/// Spans drawn beforehand, so that neither the generator nor a logarithm is timed. A power of two
/// long, and small enough (512 KiB) to leave the caches to the queue.
const SPANS: usize = 1 << 16;

/// Exponential spans with a mean of a simulated second.
fn exponential(stream: &mut Stream) -> Span {
    Span((stream.exponential() * 1e6) as u64)
}

/// Nine in ten a hundredth of a second, the tenth a thousand times longer, exponential.
fn bimodal(stream: &mut Stream) -> Span {
    let mean = if stream.below(10) == 0 { 1e7 } else { 1e4 };
    Span((stream.exponential() * mean) as u64)
}

/// A simulator with nothing in it but events: each entity always waits for one.
struct Hold<Q> {
    calendar: Calendar<Kind, Q>,
    spans: Rc<[Span]>,
    next_span: usize,
    /// Events of each entity: a touch of its state, as any handler has.
    seen: Vec<u32>,
    finished: u64,
    evicted: u64,
    arrived: u64,
    cycles: u64,
    hash: u64,
}

impl<Q: Queue> Hold<Q> {
    /// A simulator in its steady state.
    fn new(pending: u32, spans: Rc<[Span]>) -> Hold<Q> {
        let mut hold = Hold {
            calendar: Calendar::default(),
            spans,
            next_span: 0,
            seen: vec![0; pending as usize],
            finished: 0,
            evicted: 0,
            arrived: 0,
            cycles: 0,
            hash: 0,
        };
        for target in 0..pending {
            let at = Time::ZERO + hold.span();
            hold.calendar.schedule(at, Kind::from_rank((target % 4) as u8), target);
        }
        hold.run(2 * u64::from(pending));
        hold
    }

    fn span(&mut self) -> Span {
        let span = self.spans[self.next_span % SPANS];
        self.next_span += 1;
        span
    }

    fn run(&mut self, events: u64) {
        for _ in 0..events {
            let event = self.calendar.pop().expect("every entity waits for an event");
            self.seen[event.target as usize] += 1;
            match event.kind {
                Kind::Finish => self.finished += 1,
                Kind::Evict => self.evicted += event.at.0 & 7,
                Kind::Arrive => self.arrived += u64::from(event.target),
                Kind::Cycle => self.cycles ^= event.at.0,
            }
            self.hash = (self.hash.rotate_left(5) ^ event.at.0 ^ u64::from(event.target))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = event.at + self.span();
            self.calendar.schedule(at, event.kind, event.target);
        }
    }

    /// What happened, and in which order.
    fn digest(&self) -> u64 {
        let counts = [self.finished, self.evicted, self.arrived, self.cycles];
        let seen = self.seen.iter().map(|count| u64::from(*count));
        counts.into_iter().chain(seen).fold(self.hash, |hash, count| (hash ^ count).rotate_left(7))
    }
}

/// Events timed as one: enough to pass through every state of a ladder between its tops.
fn batch(pending: u32) -> u64 {
    u64::from(pending).max(100_000)
}

/// Measures one queue and returns the digest of a fixed number of its events.
fn measure<Q: Queue>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    pending: u32,
    spans: &Rc<[Span]>,
) -> u64 {
    let mut hold = Hold::<Q>::new(pending, spans.clone());
    hold.run(batch(pending));
    let digest = hold.digest();
    group.throughput(Throughput::Elements(batch(pending)));
    group.bench_function(BenchmarkId::new(name, pending), |bencher| {
        bencher.iter(|| hold.run(batch(pending)));
    });
    black_box(hold.digest());
    digest
}

#[expect(clippy::print_stderr, reason = "a bench tells the hash of its result")]
fn hold(criterion: &mut Criterion) {
    let quick = std::env::args().any(|arg| arg == "--test");
    let sizes: &[u32] = if quick { &[1_000] } else { &[1_000, 100_000, 1_000_000] };
    for (law, draw) in [("exponential", exponential as fn(&mut Stream) -> Span), ("bimodal", bimodal)] {
        let mut stream = Stream::new(1, law, 0);
        let spans: Rc<[Span]> = (0..SPANS).map(|_| draw(&mut stream)).collect();
        let mut group = criterion.benchmark_group(format!("engine/{law}"));
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
        for &pending in sizes {
            let ladder = measure::<Ladder>(&mut group, "ladder", pending, &spans);
            let heap = measure::<Heap>(&mut group, "heap", pending, &spans);
            assert_eq!(ladder, heap, "the queue decides how fast and never what");
            eprintln!("engine/{law}/{pending}: hash {ladder:016x}");
        }
        group.finish();
    }
}

criterion_group!(benches, hold);
criterion_main!(benches);
