//! Who waits, in which order, and whom it is worth trying.
//!
//! Waiting pods stand in groups of equal shape: if one of a group finds no node, none of it does,
//! so the group is blocked until some change could serve it. A cycle walks the heads of the groups
//! that are not blocked, best entry first, which gives priority-then-arrival over all of them.

use crate::id::{PodId, ShapeId};
use rustc_hash::FxHashSet;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A waiting pod's place in the order: higher priority first, then earlier arrival. Pods are
/// numbered by arrival, so the pod id is the arrival order and no two entries tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(u64);

impl Entry {
    /// The entry of a pod.
    #[must_use]
    pub fn new(priority: i32, pod: PodId) -> Entry {
        // Flipping the sign bit orders i32 as u32; the complement puts high priorities first.
        let rank = !(priority as u32 ^ 1 << 31);
        Entry(u64::from(rank) << 32 | u64::from(pod.0))
    }

    /// The pod.
    #[must_use]
    pub fn pod(self) -> PodId {
        PodId(self.0 as u32)
    }
}

/// Number of a group: shapes have the group of their own number, gangs further ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

#[derive(Debug, Default)]
struct Group {
    waiting: BinaryHeap<Reverse<Entry>>,
    blocked: bool,
}

/// Waiting pods by group.
#[derive(Debug)]
pub struct Queue {
    groups: Vec<Group>,
    /// Shapes of the gang groups, which follow the groups of single shapes.
    gangs: Vec<Vec<ShapeId>>,
    shapes: usize,
    ready: BinaryHeap<Reverse<(Entry, GroupId)>>,
    blocked: Vec<GroupId>,
    /// Entries that left while they waited; they are dropped when they come to a head.
    gone: FxHashSet<Entry>,
}

impl Queue {
    /// An empty queue for so many shapes.
    #[must_use]
    pub fn new(shapes: usize) -> Queue {
        Queue {
            groups: (0..shapes).map(|_| Group::default()).collect(),
            gangs: Vec::new(),
            shapes,
            ready: BinaryHeap::new(),
            blocked: Vec::new(),
            gone: FxHashSet::default(),
        }
    }

    /// A group for gangs whose members have these shapes.
    pub fn add_group(&mut self, members: &[ShapeId]) -> GroupId {
        let mut distinct = members.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        self.gangs.push(distinct);
        self.groups.push(Group::default());
        GroupId((self.groups.len() - 1) as u32)
    }

    /// Adds an entry. *O*(log *n*) of the group, *O*(1) when entries come in order.
    pub fn push(&mut self, group: GroupId, entry: Entry) {
        let of = &mut self.groups[group.0 as usize];
        let first = of.waiting.peek().is_none_or(|head| entry < head.0);
        of.waiting.push(Reverse(entry));
        if first && !of.blocked {
            self.ready.push(Reverse((entry, group)));
        }
    }

    /// Takes an entry out, wherever it stands.
    pub fn remove(&mut self, group: GroupId, entry: Entry) {
        let fresh = self.gone.insert(entry);
        assert!(fresh, "an entry leaves once");
        self.settle(group);
    }

    /// Drops departed entries from the head of a group.
    fn settle(&mut self, group: GroupId) {
        let waiting = &mut self.groups[group.0 as usize].waiting;
        let mut moved = false;
        while let Some(head) = waiting.peek()
            && self.gone.remove(&head.0)
        {
            waiting.pop();
            moved = true;
        }
        if moved {
            self.offer(group);
        }
    }

    /// Makes a group's head known to the cycle.
    fn offer(&mut self, group: GroupId) {
        let of = &self.groups[group.0 as usize];
        if let Some(head) = of.waiting.peek()
            && !of.blocked
        {
            self.ready.push(Reverse((head.0, group)));
        }
    }

    /// The best entry worth trying. *O*(log groups), amortized.
    pub fn head(&mut self) -> Option<(GroupId, Entry)> {
        while let Some(Reverse((entry, group))) = self.ready.peek().copied() {
            let of = &self.groups[group.0 as usize];
            if !of.blocked && of.waiting.peek() == Some(&Reverse(entry)) {
                return Some((group, entry));
            }
            self.ready.pop();
        }
        None
    }

    /// The head of `group` was placed and leaves.
    pub fn pop(&mut self, group: GroupId) {
        self.groups[group.0 as usize].waiting.pop().expect("a placed pod waited");
        self.settle(group);
        self.offer(group);
    }

    /// The head of `group` found no node: none of the group does until something is freed.
    pub fn block(&mut self, group: GroupId) {
        let of = &mut self.groups[group.0 as usize];
        assert!(!of.blocked, "a blocked group is not tried");
        of.blocked = true;
        self.blocked.push(group);
    }

    /// Unblocks the groups of which some shape is `served` by what changed.
    pub fn unblock(&mut self, served: impl Fn(ShapeId) -> bool) {
        let mut blocked = std::mem::take(&mut self.blocked);
        blocked.retain(|group| {
            let index = group.0 as usize;
            // An empty group has nobody to try; it is judged again when somebody joins it.
            let wake = self.groups[index].waiting.is_empty()
                || match index.checked_sub(self.shapes) {
                    None => served(ShapeId(group.0)),
                    Some(gang) => self.gangs[gang].iter().any(|shape| served(*shape)),
                };
            if wake {
                self.groups[index].blocked = false;
                self.offer(*group);
            }
            !wake
        });
        self.blocked = blocked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_then_arrival_across_groups() {
        let mut queue = Queue::new(2);
        for (group, priority, pod) in [(0, 0, 1), (1, 0, 2), (0, 5, 3), (1, -5, 4), (0, 0, 5)] {
            queue.push(GroupId(group), Entry::new(priority, PodId(pod)));
        }
        let mut order = Vec::new();
        while let Some((group, entry)) = queue.head() {
            order.push(entry.pod().0);
            queue.pop(group);
        }
        assert_eq!(order, [3, 1, 2, 5, 4]);
        assert_eq!(queue.head(), None);
    }

    #[test]
    fn blocked_groups_wait_for_a_change_that_serves_them() {
        let mut queue = Queue::new(2);
        queue.push(GroupId(0), Entry::new(0, PodId(1)));
        queue.push(GroupId(1), Entry::new(0, PodId(2)));
        queue.block(GroupId(0));
        assert_eq!(queue.head().map(|h| h.1.pod()), Some(PodId(2)));
        queue.push(GroupId(0), Entry::new(9, PodId(3)));
        assert_eq!(queue.head().map(|h| h.1.pod()), Some(PodId(2)), "joining does not unblock");
        queue.unblock(|shape| shape.0 == 1);
        assert_eq!(queue.head().map(|h| h.1.pod()), Some(PodId(2)));
        queue.unblock(|shape| shape.0 == 0);
        assert_eq!(queue.head().map(|h| h.1.pod()), Some(PodId(3)));
    }

    #[test]
    fn departed_entries_are_skipped() {
        let mut queue = Queue::new(1);
        for pod in 1..=4 {
            queue.push(GroupId(0), Entry::new(0, PodId(pod)));
        }
        for pod in [2, 1] {
            queue.remove(GroupId(0), Entry::new(0, PodId(pod)));
        }
        assert_eq!(queue.head().map(|h| h.1.pod()), Some(PodId(3)));
        queue.remove(GroupId(0), Entry::new(0, PodId(4)));
        queue.pop(GroupId(0));
        assert_eq!(queue.head(), None);
        assert!(queue.gone.is_empty(), "nothing is kept of those who left");
    }
}
