//! What makes a cycle cheap: every node's status and resource score for each shape, brought up to
//! date by the log of changed nodes; a scan of plain arrays for shapes that ask for CPU and memory
//! alone; and the last failure of each shape while nothing has changed since.
//!
//! All three are only quicker: they say what the filters and scores of the nodes say.

use super::filter::{Plugins, Status};
use crate::id::NodeId;
use crate::record::ReasonId;
use rustc_hash::FxHashMap;

/// Leaves in all rows together; beyond it all rows are dropped and built anew on demand. 2²³ leaves
/// are 64 MiB.
const LEAVES_MAX: usize = 1 << 23;

/// A node's status, as an index into [`Rows::statuses`] (0 is success), and its score.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leaf {
    pub(super) status: u32,
    pub(super) score: i32,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) leaves: Vec<Leaf>,
    /// Changes that it has seen.
    seen: u64,
}

/// A failure that stands until some node changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memo {
    mark: u64,
    never_preempts: bool,
    priority: i32,
    pub(super) message: ReasonId,
    pub(super) rejectors: Plugins,
}

#[derive(Clone, Debug)]
pub(super) struct Rows {
    rows: Vec<Option<Row>>,
    memos: Vec<Option<Memo>>,
    pub(super) statuses: Vec<Status>,
    index_of: FxHashMap<Status, u32>,
    /// Changed nodes, the latest as many as there are nodes.
    log: Vec<NodeId>,
    logged: u64,
    leaves: usize,
}

impl Rows {
    pub(super) fn new() -> Rows {
        Rows {
            rows: Vec::new(),
            memos: Vec::new(),
            statuses: vec![Status::default()],
            index_of: FxHashMap::from_iter([(Status::default(), 0)]),
            log: Vec::new(),
            logged: 0,
            leaves: 0,
        }
    }

    pub(super) fn add_shape(&mut self) {
        self.rows.push(None);
        self.memos.push(None);
    }

    /// A node is new: rows are too short for it.
    pub(super) fn add_node(&mut self) {
        self.rows.iter_mut().for_each(|row| *row = None);
        self.leaves = 0;
        // The ring changes its length, so what it held is no longer where it was.
        self.log = vec![NodeId(0); self.log.len() + 1];
        self.logged += self.log.len() as u64;
    }

    pub(super) fn changed(&mut self, node: NodeId) {
        let nodes = self.log.len() as u64;
        self.log[(self.logged % nodes) as usize] = node;
        self.logged += 1;
    }

    /// The nodes whose leaves a row lacks: `None` for all of them.
    pub(super) fn stale(&self, shape: usize) -> Option<Vec<NodeId>> {
        let (row, nodes) = (self.rows[shape].as_ref()?, self.log.len() as u64);
        let missing = self.logged - row.seen;
        (missing < nodes).then(|| (row.seen..self.logged).map(|i| self.log[(i % nodes) as usize]).collect())
    }

    /// Takes a row out to bring it up to date; an empty one if there is none.
    pub(super) fn take(&mut self, shape: usize) -> Row {
        let nodes = self.log.len();
        let seen = self.logged;
        match self.rows[shape].take() {
            Some(row) => Row { seen, ..row },
            None => {
                self.leaves += nodes;
                if LEAVES_MAX < self.leaves {
                    self.leaves = nodes;
                    self.rows.iter_mut().for_each(|row| *row = None);
                }
                Row { leaves: vec![Leaf::default(); nodes], seen }
            }
        }
    }

    pub(super) fn put(&mut self, shape: usize, row: Row) {
        self.rows[shape] = Some(row);
    }

    pub(super) fn row(&self, shape: usize) -> &Row {
        self.rows[shape].as_ref().expect("it was brought up to date")
    }

    pub(super) fn index(&mut self, status: Status) -> u32 {
        *self.index_of.entry(status).or_insert_with(|| {
            self.statuses.push(status);
            (self.statuses.len() - 1) as u32
        })
    }

    /// The failure of the last pod of this shape, if the next one fails alike.
    pub(super) fn memo(&self, shape: usize, priority: i32, never_preempts: bool) -> Option<Memo> {
        // With nobody below the higher priority there is nobody below the lower one.
        self.memos[shape].filter(|memo| {
            memo.mark == self.logged && memo.never_preempts == never_preempts && priority <= memo.priority
        })
    }

    pub(super) fn remember(
        &mut self,
        shape: usize,
        (priority, never_preempts): (i32, bool),
        message: ReasonId,
        rejectors: Plugins,
    ) {
        self.memos[shape] = Some(Memo { mark: self.logged, never_preempts, priority, message, rejectors });
    }
}

/// CPU and memory of all nodes, in float64 that hold them exactly: CPU in millicores and memory in
/// bytes are below 2⁵³.
#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    pub(super) capacity: [Vec<f64>; 2],
    pub(super) real: [Vec<f64>; 2],
    pub(super) nonzero: [Vec<f64>; 2],
    pub(super) pods_free: Vec<i32>,
}

/// Weights of the scores that a plain scan knows: LeastAllocated and balance, of CPU and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainScores {
    pub(super) fit: i32,
    pub(super) balanced: i32,
}

impl Plain {
    /// Scores of the nodes of a range for a pod, −1 where it does not fit.
    ///
    /// The same arithmetic as `score::fit` and `score::balanced`, several nodes at once. A quotient
    /// of integers below 2⁵³, each divisor below 2⁴⁶, truncates alike in float64: it misses the next
    /// integer by at least 1 ÷ divisor, which is more than its rounding.
    pub(super) fn scan(
        &self,
        nodes: std::ops::Range<usize>,
        real: [f64; 2],
        nonzero: [f64; 2],
        weights: PlainScores,
        out: &mut Vec<i32>,
    ) {
        out.clear();
        out.resize(nodes.len(), 0);
        let (cap_cpu, cap_memory) = (&self.capacity[0][nodes.clone()], &self.capacity[1][nodes.clone()]);
        let (real_cpu, real_memory) = (&self.real[0][nodes.clone()], &self.real[1][nodes.clone()]);
        let (some_cpu, some_memory) = (&self.nonzero[0][nodes.clone()], &self.nonzero[1][nodes.clone()]);
        let pods_free = &self.pods_free[nodes];
        for (i, out) in out.iter_mut().enumerate() {
            let cpu = real_cpu[i] + real[0];
            let memory = real_memory[i] + real[1];
            let fits = (real[0] == 0.0 || cpu <= cap_cpu[i])
                & (real[1] == 0.0 || memory <= cap_memory[i])
                & (0 < pods_free[i]);
            let least = |capacity: f64, used: f64| ((capacity - used).max(0.0) * 100.0 / capacity) as i32;
            let fit = (least(cap_cpu[i], some_cpu[i] + nonzero[0])
                + least(cap_memory[i], some_memory[i] + nonzero[1]))
                / 2;
            let fractions = [(cpu / cap_cpu[i]).min(1.0), (memory / cap_memory[i]).min(1.0)];
            let balance = ((1.0 - ((fractions[0] - fractions[1]) / 2.0).abs()) * 100.0) as i32;
            *out = if fits { weights.fit * fit + weights.balanced * balance } else { -1 };
        }
    }
}
