//! Pods that ask for the same slices, in the order in which they are placed, and the next of them that a
//! node has CPU and memory for.
//!
//! Most pods that a full node refuses it refuses for CPU, and every node is asked about every pod. So a
//! line knows the least CPU and memory asked for in each block of its pods, and passes over blocks.

use super::node::Node;
use super::plan::Asked;

/// Pods of a block.
const BLOCK: usize = 32;

/// CPU and memory: what a pod needs free on its node, or what a node has free.
pub(super) type Room = (i64, i64);

/// What a node has free.
pub(super) fn room(node: &Node) -> Room {
    let (there, taken) = (&node.allocatable, &node.requested);
    (there.cpu_milli - taken.cpu_milli, there.memory_bytes - taken.memory_bytes)
}

/// Pods that ask for the same slices.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Positions in the order of placement.
    positions: Vec<usize>,
    needs: Vec<Room>,
    /// The least of each block.
    blocks: Vec<Room>,
    /// Distinct shapes in it.
    pub(super) shapes: usize,
}

impl Line {
    /// Adds the next pod. Whoever asks for nothing, and every pod if nobody looks at resources, needs
    /// nothing, not even a node that is not overcommitted.
    pub(super) fn push(&mut self, position: usize, asked: &Asked<'_>, resources_fit: bool) {
        let nothing = !resources_fit || asked.total.is_nothing();
        let need =
            if nothing { (i64::MIN, i64::MIN) } else { (asked.total.cpu_milli, asked.total.memory_bytes) };
        match self.blocks.last_mut() {
            Some(block) if !self.positions.len().is_multiple_of(BLOCK) => {
                *block = (block.0.min(need.0), block.1.min(need.1));
            }
            _ => self.blocks.push(need),
        }
        self.positions.push(position);
        self.needs.push(need);
    }

    /// Position in the order of placement of the pod at `at`; `None` behind the last.
    pub(super) fn position(&self, at: usize) -> Option<usize> {
        self.positions.get(at).copied()
    }

    /// Behind the last pod.
    pub(super) fn end(&self) -> usize {
        self.positions.len()
    }

    /// The first pod from `at` on that there is room for.
    pub(super) fn next(&self, mut at: usize, room: Room) -> usize {
        let fits = |need: Room| need.0 <= room.0 && need.1 <= room.1;
        while at < self.needs.len() {
            if at.is_multiple_of(BLOCK) && !fits(self.blocks[at / BLOCK]) {
                at += BLOCK;
            } else if fits(self.needs[at]) {
                return at;
            } else {
                at += 1;
            }
        }
        self.needs.len()
    }
}
