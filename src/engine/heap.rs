//! A binary heap behind the queue trait: the oracle of the tests and the yardstick of the benches.

use super::Queue;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// `std`'s binary heap, smallest key first: obviously right, *O*(log *n*) in the keys that wait.
#[derive(Debug, Default)]
pub struct Heap(BinaryHeap<Reverse<u128>>);

impl Queue for Heap {
    #[inline]
    fn push(&mut self, key: u128) {
        self.0.push(Reverse(key));
    }

    #[inline]
    fn pop(&mut self) -> Option<u128> {
        self.0.pop().map(|Reverse(key)| key)
    }

    #[inline]
    fn peek(&self) -> Option<u128> {
        self.0.peek().map(|Reverse(key)| *key)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}
