//! The queue in front of each of nos' controllers: controller-runtime's, which takes a key once however
//! often it was added.
//!
//! client-go util/workqueue (queue.go, delaying_queue.go, default_rate_limiters.go) as Kubernetes 1.25
//! has it, as a state machine in virtual time: whoever drives it calls [`WorkQueue::fire`] at
//! [`WorkQueue::next`], takes a key with [`WorkQueue::pop`] while a worker is idle, and says when its
//! reconcile is [`WorkQueue::done`].

use crate::units::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// First delay after an error, doubled with each that follows.
const FIRST_RETRY: Span = Span(5_000);

/// Longest delay after an error.
const LAST_RETRY: Span = Span::from_secs(1_000);

/// Keys that wait for a worker.
#[derive(Clone, Debug)]
pub struct WorkQueue<K> {
    ready: VecDeque<K>,
    /// Keys to be processed, be it after the pass under way.
    dirty: BTreeSet<K>,
    processing: BTreeSet<K>,
    /// When keys come back by themselves: the earliest time that was asked for.
    delayed: BTreeMap<K, Time>,
    /// Keys by that time, in the order of the requests where it is equal.
    timers: BTreeMap<(Time, u64), K>,
    sequence: BTreeMap<K, u64>,
    requests: u64,
    failures: BTreeMap<K, u32>,
}

impl<K> Default for WorkQueue<K> {
    fn default() -> WorkQueue<K> {
        WorkQueue {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            processing: BTreeSet::new(),
            delayed: BTreeMap::new(),
            timers: BTreeMap::new(),
            sequence: BTreeMap::new(),
            requests: 0,
            failures: BTreeMap::new(),
        }
    }
}

impl<K: Copy + Ord> WorkQueue<K> {
    /// Adds a key: once, if it waits already; after its pass, if one is under way. *O*(log *n*).
    pub fn add(&mut self, key: K) {
        if self.dirty.insert(key) && !self.processing.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// Adds a key at a later time; of several the earliest counts. It does not replace what is added
    /// meanwhile.
    pub fn add_at(&mut self, at: Time, key: K) {
        if self.delayed.get(&key).is_some_and(|known| *known <= at) {
            return;
        }
        if let Some(known) = self.delayed.insert(key, at) {
            let sequence = self.sequence[&key];
            self.timers.remove(&(known, sequence));
        }
        self.requests += 1;
        self.sequence.insert(key, self.requests);
        self.timers.insert((at, self.requests), key);
    }

    /// When the next delayed key is due.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Adds the delayed keys that are due.
    pub fn fire(&mut self, now: Time) {
        while let Some(entry) = self.timers.first_entry() {
            if now < entry.key().0 {
                return;
            }
            let key = entry.remove();
            self.delayed.remove(&key);
            self.sequence.remove(&key);
            self.add(key);
        }
    }

    /// Takes the next key for a worker.
    pub fn pop(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.processing.insert(key);
        self.dirty.remove(&key);
        Some(key)
    }

    /// A key's pass is over; it waits again if it was added meanwhile.
    pub fn done(&mut self, key: K) {
        self.processing.remove(&key);
        if self.dirty.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// A key's pass failed: it comes back after a delay that doubles with each failure in a row, 5 ms to
    /// 1,000 s. (The limit of ten retries per second over all keys is left out.)
    pub fn failed(&mut self, now: Time, key: K) {
        let failures = self.failures.entry(key).or_insert(0);
        let delay = FIRST_RETRY.0.saturating_mul(1_u64 << (*failures).min(40));
        *failures += 1;
        self.add_at(now + Span(delay.min(LAST_RETRY.0)), key);
        self.done(key);
    }

    /// A key's pass succeeded: the next failure is the first again. nos' reconciles that ask to be looked
    /// at later count as such.
    pub fn forget(&mut self, key: K) {
        self.failures.remove(&key);
    }

    /// Whether no key waits, now or later, and none is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.delayed.is_empty() && self.processing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time(millis * 1_000)
    }

    #[test]
    fn a_key_waits_once_and_comes_back_if_it_was_added_during_its_pass() {
        let mut queue = WorkQueue::default();
        queue.add(1);
        queue.add(2);
        queue.add(1);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), None]);
        queue.add(1);
        assert_eq!(queue.pop(), None, "it is under way");
        queue.done(1);
        assert_eq!(queue.pop(), Some(1));
        queue.done(1);
        queue.done(2);
        assert!(queue.is_idle());
    }

    #[test]
    fn of_several_delays_the_earliest_counts() {
        let mut queue = WorkQueue::default();
        queue.add_at(at(5), 1);
        queue.add_at(at(9), 1);
        queue.add_at(at(5), 2);
        queue.add_at(at(3), 1);
        assert_eq!(queue.next(), Some(at(3)));
        queue.fire(at(4));
        assert_eq!((queue.pop(), queue.next()), (Some(1), Some(at(5))));
        queue.fire(at(9));
        assert_eq!((queue.pop(), queue.next()), (Some(2), None));
    }

    #[test]
    fn failures_double_the_delay_up_to_its_limit() {
        let mut queue = WorkQueue::default();
        let mut delays = Vec::new();
        let mut now = at(0);
        for _ in 0..20 {
            queue.add(1);
            let key = queue.pop().expect("the key");
            queue.failed(now, key);
            let next = queue.next().expect("a retry");
            delays.push(next.since(now).0 / 1_000);
            now = next;
            queue.fire(now);
        }
        assert_eq!(delays[..4], [5, 10, 20, 40]);
        assert_eq!(delays[19], 1_000_000);
        queue.forget(1);
        queue.pop();
        queue.failed(now, 1);
        assert_eq!(queue.next(), Some(now + FIRST_RETRY));
    }
}
