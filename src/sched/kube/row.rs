//! What makes a cycle cheap: every node's status and resource score for each shape, brought up to
//! date by the log of changed nodes; a scan of plain arrays for shapes scored by CPU and memory
//! alone; and the last failure of each shape while nothing has changed since.
//!
//! All three are only quicker: they say what the filters and scores of the nodes say.

use super::filter::{Plugins, Status};
use super::node::Usage;
use super::resource::{Amounts, PodRequest, ResourceId};
use crate::id::NodeId;
use crate::record::ReasonId;
use crate::sched::bound::{self, Bounds, REFUSED};
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

/// Status of a node that is absent.
const ABSENT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) leaves: Vec<Leaf>,
    /// Nodes by status.
    counts: Vec<u32>,
    /// Changes that it has seen.
    seen: u64,
}

impl Row {
    /// Sets a node's leaf; `None` for a node that is absent.
    pub(super) fn set(&mut self, node: NodeId, leaf: Option<Leaf>) {
        let leaf = leaf.unwrap_or(Leaf { status: ABSENT, score: 0 });
        let before = std::mem::replace(&mut self.leaves[node.index()], leaf).status;
        if before != ABSENT {
            self.counts[before as usize] -= 1;
        }
        if leaf.status != ABSENT {
            let status = leaf.status as usize;
            if self.counts.len() <= status {
                self.counts.resize(status + 1, 0);
            }
            self.counts[status] += 1;
        }
    }

    /// How many nodes have each status, by its index.
    pub(super) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Whether some node takes the pod.
    pub(super) fn has_feasible(&self) -> bool {
        self.counts.first().is_some_and(|nodes| 0 < *nodes)
    }
}

/// A failure that stands until some node changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memo {
    mark: u64,
    never_preempts: bool,
    priority: i32,
    /// Whether other priorities could fare otherwise: room is kept for somebody, or there is
    /// somebody of lower priority.
    exact: bool,
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

    /// How many changes a row has not seen; `None` where all leaves are to be made.
    pub(super) fn missing(&self, shape: usize) -> Option<u64> {
        let missing = self.logged - self.rows[shape].as_ref()?.seen;
        (missing < self.log.len() as u64).then_some(missing)
    }

    /// The node of the `age`-th change before the last.
    pub(super) fn changed_before(&self, age: u64) -> NodeId {
        self.log[((self.logged - 1 - age) % self.log.len() as u64) as usize]
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
                let leaf = Leaf { status: ABSENT, score: 0 };
                Row { leaves: vec![leaf; nodes], counts: Vec::new(), seen }
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
            let alike = if memo.exact { priority == memo.priority } else { priority <= memo.priority };
            memo.mark == self.logged && memo.never_preempts == never_preempts && alike
        })
    }

    /// Remembers a failure; the message of the one that it replaces.
    pub(super) fn remember(
        &mut self,
        shape: usize,
        (priority, never_preempts): (i32, bool),
        exact: bool,
        message: ReasonId,
        rejectors: Plugins,
    ) -> Option<ReasonId> {
        let memo = Memo { mark: self.logged, never_preempts, priority, exact, message, rejectors };
        self.memos[shape].replace(memo).map(|before| before.message)
    }
}

/// What a scan looks at, of the nodes in the order in which they are visited, by position.
///
/// Whether a pod fits is exact: free amounts are rounded down to units of which a request is a whole
/// number. Scores are bounded from above in float32, several nodes at once; only nodes that can still
/// be the best are scored exactly.
#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    /// Where each node stands; none for nodes that are absent.
    position: Vec<Option<u32>>,
    /// Free amounts by resource; what is beyond 32 bits is cut to them.
    free: Vec<Vec<i32>>,
    /// Pods that a node still takes.
    pods: Vec<i32>,
    /// Of CPU and memory: 1 ÷ capacity, in units.
    inverse: [Vec<f32>; 2],
    /// Of CPU and memory: the share of the capacity that is free, by what scores count.
    share: [Vec<f32>; 2],
    /// The same by real sums.
    real: [Vec<f32>; 2],
    /// Nodes whose real share is another, or which lack CPU or memory.
    phantoms: usize,
    odd: usize,
    /// Bounds of the nodes visited.
    pub(super) bounds: Bounds,
}

/// Units of a resource: memory is in bytes, and requests are mostly whole MiB.
fn unit(resource: ResourceId) -> i64 {
    match resource {
        ResourceId::MEMORY | ResourceId::EPHEMERAL => 1 << 20,
        _ => 1,
    }
}

fn clamped(amount: i64) -> i32 {
    amount.clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
}

/// Weights of the scores that a plain scan knows: LeastAllocated and balance, of CPU and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainScores {
    pub(super) fit: i64,
    pub(super) balanced: i64,
}

impl PlainScores {
    /// How far float32 may be off a bound: its operands are at most 1, each operation is off by at
    /// most 2⁻²⁴ of them, and there are fewer than 16 before a factor of at most 100 × weights.
    pub(super) fn slack(self) -> f32 {
        (self.fit + self.balanced) as f32 * 1e-3
    }
}

/// A request in units, for scans; see [`Plain`].
#[derive(Clone, Debug)]
pub(super) struct PlainRequest {
    /// Least free amounts by resource.
    needs: Vec<(ResourceId, i32)>,
    scored: [f32; 2],
    real: [f32; 2],
}

impl PlainRequest {
    /// `None` for a request that is no whole number of units.
    pub(super) fn new(request: &PodRequest) -> Option<PlainRequest> {
        let mut needs = Vec::new();
        for (resource, amount) in request.real.iter() {
            let whole = amount % unit(resource) == 0 && 0 < amount;
            let amount = i32::try_from(amount / unit(resource)).ok().filter(|_| whole)?;
            needs.push((resource, amount));
        }
        let of = |resource: ResourceId, amount: i64| amount as f32 / unit(resource) as f32;
        let scored = [of(ResourceId::CPU, request.nonzero[0]), of(ResourceId::MEMORY, request.nonzero[1])];
        let real = [ResourceId::CPU, ResourceId::MEMORY].map(|r| of(r, request.real.get(r)));
        Some(PlainRequest { needs, scored, real })
    }
}

/// A node as a scan sees it.
pub(super) struct PlainNode<'a> {
    pub(super) allocatable: &'a Amounts,
    pub(super) usage: &'a Usage,
    pub(super) pods: i64,
}

impl Plain {
    /// Nodes are visited in this order from now on.
    pub(super) fn order<'a>(
        &mut self,
        nodes: usize,
        list: &[NodeId],
        resources: usize,
        node: impl Fn(NodeId) -> PlainNode<'a>,
    ) {
        let (len, zeros) = (list.len(), || vec![0.0; list.len()]);
        *self = Plain {
            position: vec![None; nodes],
            free: vec![vec![0; len]; resources],
            pods: vec![0; len],
            inverse: [zeros(), zeros()],
            share: [zeros(), zeros()],
            real: [zeros(), zeros()],
            phantoms: 0,
            odd: 0,
            bounds: Bounds::default(),
        };
        for (at, id) in list.iter().enumerate() {
            self.position[id.index()] = Some(at as u32);
            self.changed(*id, node(*id));
        }
    }

    /// A node or what stands on it changed.
    pub(super) fn changed(&mut self, id: NodeId, node: PlainNode<'_>) {
        let Some(at) = self.position.get(id.index()).copied().flatten() else { return };
        let at = at as usize;
        for (index, column) in self.free.iter_mut().enumerate() {
            let resource = ResourceId(index as u16);
            let free = node.allocatable.get(resource) - node.usage.real.get(resource);
            column[at] = clamped(free.div_euclid(unit(resource)));
        }
        self.pods[at] = clamped(node.pods - node.usage.pods);
        let is_phantom = |plain: &Plain| (0..2).any(|of| plain.share[of][at] != plain.real[of][at]);
        let is_odd = |plain: &Plain| (0..2).any(|of| plain.inverse[of][at] == f32::INFINITY);
        self.phantoms -= usize::from(is_phantom(self));
        self.odd -= usize::from(is_odd(self));
        for (of, resource) in [ResourceId::CPU, ResourceId::MEMORY].into_iter().enumerate() {
            let capacity = node.allocatable.get(resource);
            let share = |used: i64| (capacity - used) as f64 / capacity.max(1) as f64;
            self.inverse[of][at] = match capacity {
                0 => f32::INFINITY,
                _ => (unit(resource) as f64 / capacity as f64) as f32,
            };
            self.share[of][at] = share(node.usage.nonzero[of]) as f32;
            self.real[of][at] = share(node.usage.real.get(resource)) as f32;
        }
        self.phantoms += usize::from(is_phantom(self));
        self.odd += usize::from(is_odd(self));
    }

    /// Whether some node lacks CPU or memory, which a scan does not know.
    pub(super) fn is_odd(&self) -> bool {
        0 < self.odd
    }

    /// Whether all that a request asks for has its column.
    pub(super) fn knows(&self, request: &PlainRequest) -> bool {
        request.needs.iter().all(|(resource, _)| resource.index() < self.free.len())
    }

    /// Visits nodes from `start` until one more feasible node is met than wanted, which ends the scan;
    /// the number of nodes visited and of feasible ones. Leaves the bounds of those visited.
    pub(super) fn scan(
        &mut self,
        start: usize,
        request: &PlainRequest,
        weights: PlainScores,
        wanted: usize,
    ) -> (usize, usize) {
        /// Nodes at a time: enough to compare many at once, few enough to stop in time.
        const BLOCK: usize = 128;
        let all = self.pods.len();
        let alike = self.phantoms == 0 && request.scored == request.real;
        let mut bounds = std::mem::take(&mut self.bounds);
        let values = &mut bounds.values;
        values.clear();
        let mut feasible = 0;
        while values.len() < all {
            let offset = values.len();
            let at = if start + offset < all { start + offset } else { start + offset - all };
            let length = BLOCK.min(all - at).min(all - offset);
            values.resize(offset + length, 0.0);
            let block = &mut values[offset..];
            self.bound(at..at + length, request, weights, alike, block);
            let here = bound::count(block);
            if wanted < feasible + here {
                let end = bound::nth(block, wanted - feasible).expect("it has one more than wanted");
                values.truncate(offset + end);
                feasible = wanted;
                break;
            }
            feasible += here;
        }
        let visited = values.len();
        self.bounds = bounds;
        (visited, feasible)
    }

    /// Upper bounds of the scores of some nodes.
    ///
    /// In real numbers, with a and b the free shares beside the pod and none below 0: LeastAllocated
    /// is 50 (a + b), balance is 100 − 50 |a − b|; the scores round down from there.
    fn bound<'p>(
        &'p self,
        nodes: std::ops::Range<usize>,
        request: &PlainRequest,
        weights: PlainScores,
        alike: bool,
        out: &mut [f32],
    ) {
        let column = |column: &'p [f32]| &column[nodes.clone()];
        let inverse = [0, 1].map(|of| column(&self.inverse[of]));
        let share = [0, 1].map(|of| column(&self.share[of]));
        let real = if alike { share } else { [0, 1].map(|of| column(&self.real[of])) };
        let (fit, balanced) = (50.0 * weights.fit as f32, 50.0 * weights.balanced as f32);
        let left = |share: f32, inverse: f32, amount: f32| (share - amount * inverse).max(0.0);
        let bound =
            |a: f32, b: f32, c: f32, d: f32| fit * (a + b) + (2.0 * balanced - balanced * (c - d).abs());
        let most = out.len();
        let [inverse, share, real] = [inverse, share, real].map(|of| of.map(|column| &column[..most]));
        let (scored, asked) = (request.scored, request.real);
        if alike {
            for i in 0..most {
                let a = left(share[0][i], inverse[0][i], scored[0]);
                let b = left(share[1][i], inverse[1][i], scored[1]);
                out[i] = bound(a, b, a, b);
            }
        } else {
            for i in 0..most {
                let a = left(share[0][i], inverse[0][i], scored[0]);
                let b = left(share[1][i], inverse[1][i], scored[1]);
                let c = left(real[0][i], inverse[0][i], asked[0]);
                let d = left(real[1][i], inverse[1][i], asked[1]);
                out[i] = bound(a, b, c, d);
            }
        }
        let mut keep = |free: &[i32], need: i32| {
            for (out, free) in out.iter_mut().zip(free) {
                *out = if need <= *free { *out } else { REFUSED };
            }
        };
        keep(&self.pods[nodes.clone()], 1);
        for (resource, need) in &request.needs {
            keep(&self.free[resource.index()][nodes.clone()], *need);
        }
    }
}
