//! The batch window: pods are collected until none came for a while, or for long enough.
//!
//! pkg/util/batcher.go, as a state machine in virtual time: whoever drives it calls [`Batcher::fire`]
//! at [`Batcher::next`].

use super::fix::{Fix, Fixes};
use crate::units::{Span, Time};

/// Settings of the batch window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// From the first item of a batch: `batchWindowTimeoutSeconds`, 60 s in nos' charts.
    pub timeout: Span,
    /// From its last: `batchWindowIdleSeconds`, 10 s there.
    pub idle: Span,
}

impl Default for Windows {
    /// helm-charts/nos/values.yaml.
    fn default() -> Windows {
        Windows { timeout: Span::from_secs(60), idle: Span::from_secs(10) }
    }
}

/// Items on their way into a batch.
#[derive(Clone, Debug)]
pub struct Batcher<T> {
    windows: Windows,
    fixes: Fixes,
    items: Vec<T>,
    timeout_at: Option<Time>,
    idle_at: Option<Time>,
    ready: Option<Vec<T>>,
}

impl<T> Batcher<T> {
    /// An empty batch.
    #[must_use]
    pub fn new(windows: Windows, fixes: Fixes) -> Batcher<T> {
        Batcher { windows, fixes, items: Vec::new(), timeout_at: None, idle_at: None, ready: None }
    }

    /// Adds an item. The timeout runs from the first item of a batch, the idle window from this one.
    pub fn add(&mut self, now: Time, item: T) {
        if self.items.is_empty() {
            self.timeout_at = Some(now + self.windows.timeout);
        }
        self.items.push(item);
        self.idle_at = Some(now + self.windows.idle);
    }

    /// When the batch will be ready if nothing is added.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        [self.timeout_at, self.idle_at].into_iter().flatten().min()
    }

    /// Lets the timers that are due make the batch ready. It is lost if the one before was not taken.
    pub fn fire(&mut self, now: Time) {
        if self.next().is_none_or(|at| now < at) {
            return;
        }
        (self.timeout_at, self.idle_at) = (None, None);
        let batch = std::mem::take(&mut self.items);
        self.ready.get_or_insert(batch);
    }

    /// Whether a batch can be taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Takes the batch that is ready.
    pub fn take(&mut self) -> Option<Vec<T>> {
        self.ready.take()
    }

    /// Stops the timers and drops the batch that is ready. The controllers hold copies that share
    /// these, and not the list: its items stay, so the next one finds a batch under way and starts no
    /// timeout ([`Fix::StaleBatch`]).
    pub fn reset(&mut self) {
        (self.timeout_at, self.idle_at) = (None, None);
        self.ready = None;
        if self.fixes.has(Fix::StaleBatch) {
            self.items.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn a_batch_is_lost_behind_one_that_nobody_took() {
        let mut batcher = Batcher::new(Windows::default(), Fixes::NONE);
        for second in [0, 20] {
            batcher.add(at(second), second);
            batcher.fire(at(second + 10));
        }
        assert_eq!(batcher.take(), Some(vec![0]));
        assert!(!batcher.is_ready() && batcher.next().is_none());
    }

    #[test]
    fn a_reset_takes_the_timeout_away_unless_it_takes_the_items_too() {
        let ready = |fixes| {
            let mut batcher = Batcher::new(Windows::default(), fixes);
            batcher.add(at(0), 0);
            batcher.reset();
            for second in (50..200).step_by(5) {
                batcher.fire(at(second));
                if let Some(batch) = batcher.take() {
                    return (second, batch.len());
                }
                batcher.add(at(second), second);
            }
            (0, 0)
        };
        assert_eq!(ready(Fixes::from_iter([Fix::StaleBatch])), (110, 12));
        assert_eq!(ready(Fixes::NONE), (0, 0), "a steady stream never ends the batch");
    }
}
