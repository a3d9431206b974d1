//! A priority queue for keys that mostly come in order.
//!
//! Pods that fail one after another, or are woken together, enter a queue in its own order but for
//! their priorities. So a queue is a few sorted runs, to whose ends such keys are added and from whose
//! fronts they are taken in constant time, and a heap for whatever fits no run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Runs of one queue: pods of as many priorities stay out of the heap.
const RUNS: usize = 4;

/// An empty run that has room for more keys than this gives it back: a pod of a long queue stands in one
/// queue at a time, and would cost its place in each. A smaller one is kept, for it fills again soon.
const KEPT: usize = 4_096;

/// Equal keys leave in the order of their entries, which none do here: keys end with a sequence.
#[derive(Clone, Debug)]
pub(super) struct Sorted<K> {
    runs: [VecDeque<K>; RUNS],
    heap: BinaryHeap<Reverse<K>>,
}

impl<K: Ord + Copy> Sorted<K> {
    pub(super) fn new() -> Sorted<K> {
        Sorted { runs: std::array::from_fn(|_| VecDeque::new()), heap: BinaryHeap::new() }
    }

    /// Adds a key. *O*(1) at the end of a run, else *O*(log *n*).
    pub(super) fn push(&mut self, key: K) {
        // The run that ends closest before the key leaves the others to lower keys; an empty one is
        // the last choice.
        let ends = (0..RUNS).filter(|run| self.runs[*run].back().is_none_or(|back| *back <= key));
        match ends.max_by_key(|run| self.runs[*run].back().copied()) {
            Some(run) => self.runs[run].push_back(key),
            None => self.heap.push(Reverse(key)),
        }
    }

    fn first(&self) -> Option<usize> {
        let front = |run: &usize| self.runs[*run].front().copied();
        (0..RUNS).filter(|run| !self.runs[*run].is_empty()).min_by_key(front)
    }

    /// The lowest key.
    pub(super) fn peek(&self) -> Option<K> {
        let run = self.first().and_then(|run| self.runs[run].front().copied());
        let heap = self.heap.peek().map(|key| key.0);
        match (run, heap) {
            (Some(run), Some(heap)) => Some(run.min(heap)),
            (run, heap) => run.or(heap),
        }
    }

    /// Takes the lowest key. *O*(1) from a run, else *O*(log *n*).
    pub(super) fn pop(&mut self) -> Option<K> {
        let run = self.first();
        let front = run.and_then(|run| self.runs[run].front().copied());
        let heap = self.heap.peek().map(|key| key.0);
        match run.filter(|_| heap.is_none_or(|heap| front.is_some_and(|front| front <= heap))) {
            Some(run) => {
                let run = &mut self.runs[run];
                let key = run.pop_front();
                if run.is_empty() && KEPT < run.capacity() {
                    *run = VecDeque::new();
                }
                key
            }
            None => self.heap.pop().map(|key| key.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_comes_out_sorted() {
        let mut stream = crate::rng::Stream::new(1, "sorted", 0);
        for spread in [1, 3, 100] {
            let (mut queue, mut heap) = (Sorted::new(), BinaryHeap::new());
            for index in 0..5_000_u64 {
                if stream.below(5) < 3 {
                    let key = (stream.below(spread), index);
                    queue.push(key);
                    heap.push(Reverse(key));
                }
                if stream.below(2) == 0 {
                    assert_eq!(queue.peek(), heap.peek().map(|key| key.0));
                    assert_eq!(queue.pop(), heap.pop().map(|key| key.0));
                }
            }
        }
    }
}
