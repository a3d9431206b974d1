//! A ladder queue: amortized constant time, whatever the keys look like.
//!
//! ```text
//!   sooner                                                               later
//!   bottom     | rung 1                   | rung 0                     | top
//!   ▁▂▃▄▅▆▇    | ▒▒ ▒▒ ▒▒ ▒▒ ▒▒ ▒▒ ▒▒ ▒▒  | ░░░░ ░░░░ ░░░░ ░░░░ ░░░░   | ······
//!   sorted     | buckets of one bucket → | of the whole top           | as they came
//! ```
//!
//! Only `bottom` is sorted. When it runs dry it takes the next bucket of the innermost rung; a
//! bucket too big to sort at once is spread over a finer rung first. The order is exact because
//! `bottom` is sorted by the whole key and everything elsewhere is later than all of it.
//!
//! Buckets split the *whole key*, not only its time, so a burst at one instant is spread over
//! buckets by rank and sequence like anything else: no case is special and none is quadratic.
//!
//! Before changing anything, know how the pieces share the line of keys. A rung reaches up to its
//! `last` and no further, because widths round up: without that, a key just beyond a rung's source
//! bucket would land in the rung and overtake. Between a rung's `last` and the end of the bucket it
//! was made from, keys go to that bucket, which therefore stays *current* until the rung is used
//! up. A far outlier thus costs one coarse rung, whose first bucket then serves as the top.

use super::Queue;

/// A batch up to this size is sorted; a bigger one is spread over a rung first.
///
/// Measured: anything from 16 to 48 is within a tenth of the best.
const SORT_MAX: usize = 32;

/// A batch up to this size is sorted by counting.
///
/// The work grows with the square: some 1.5 ns a key here for each eight keys, against 5 ns for a
/// mispredicted branch.
const COUNTED_MAX: usize = 16;

/// `bottom` up to this size takes insertions in place; beyond, it is spread over a rung.
///
/// Far enough above [`SORT_MAX`] that a spread is paid for by many insertions, and small enough
/// that shifting half of it is cheap: at 128, a hundred pending events took twice as long each.
const BOTTOM_MAX: usize = 64;

/// The fewest buckets of a rung, as a power of two.
const BUCKETS_LOG2_MIN: u32 = 6;

/// The most buckets of a rung, as a power of two: their heads (4 B each) fit a second-level cache.
const BUCKETS_LOG2_MAX: u32 = 16;

/// Keys in one chunk of a bucket: with its length and link it fills two cache lines.
const CHUNK_KEYS: usize = 7;

/// Bits of a [`Head`] that count keys.
const LEN_BITS: u32 = 3;
const _: () = assert!(CHUNK_KEYS == (1 << LEN_BITS) - 1, "a full chunk has all bits of its count set");

/// The queue of the [`Calendar`](super::Calendar): see the module's own words.
#[derive(Debug)]
pub struct Ladder {
    /// Keys up to `bottom_last`, latest first, so that the next one is popped from the end.
    /// Empty only if the whole queue is.
    bottom: Vec<u128>,
    bottom_last: u128,
    /// Coarse to fine; each was made from the current bucket of the one before.
    rungs: Vec<Rung>,
    /// Keys beyond the last of `rungs[0]`, in no order.
    top: Vec<u128>,
    chunks: Chunks,
    /// Rungs used up, kept for their allocations.
    spare: Vec<Rung>,
    len: usize,
}

impl Default for Ladder {
    fn default() -> Ladder {
        Ladder {
            bottom: Vec::new(),
            bottom_last: u128::MAX,
            rungs: Vec::new(),
            top: Vec::new(),
            chunks: Chunks { pool: Vec::new(), free: Head::NIL },
            spare: Vec::new(),
            len: 0,
        }
    }
}

impl Queue for Ladder {
    #[inline]
    fn push(&mut self, key: u128) {
        self.len += 1;
        if key <= self.bottom_last {
            self.insert(key);
        } else if let Some(rung) = self.rungs.iter_mut().rev().find(|rung| key <= rung.last) {
            rung.push(&mut self.chunks, key);
        } else {
            self.top.push(key);
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<u128> {
        let key = self.bottom.pop()?;
        self.len -= 1;
        if self.bottom.is_empty() {
            self.refill();
        }
        Some(key)
    }

    #[inline]
    fn peek(&self) -> Option<u128> {
        self.bottom.last().copied()
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Ladder {
    /// Puts a key in its place in `bottom`.
    fn insert(&mut self, key: u128) {
        let place = self.bottom.partition_point(|later| key < *later);
        self.bottom.insert(place, key);
        if BOTTOM_MAX < self.bottom.len() {
            self.spread();
            self.refill();
        }
    }

    /// Fills the empty `bottom` with the next keys, sorted.
    #[inline(never)]
    fn refill(&mut self) {
        assert!(self.bottom.is_empty(), "what is sorted comes first");
        while self.bottom.is_empty() {
            let Some(rung) = self.rungs.last_mut() else {
                std::mem::swap(&mut self.bottom, &mut self.top);
                self.bottom_last = u128::MAX;
                if SORT_MAX < self.bottom.len() {
                    self.spread();
                    continue;
                }
                break;
            };
            match rung.drain_next(&mut self.chunks, &mut self.bottom) {
                Some(last) => self.bottom_last = last,
                None => self.spare.extend(self.rungs.pop()),
            }
            if SORT_MAX < self.bottom.len() {
                self.spread();
            }
        }
        sort_latest_first(&mut self.bottom);
    }

    /// Moves all of `bottom` to a new innermost rung. A refill must follow.
    fn spread(&mut self) {
        let (mut low, mut high) = (u128::MAX, 0);
        for &key in &self.bottom {
            low = low.min(key);
            high = high.max(key);
        }
        assert!(low < high, "keys are distinct");
        // Insertions may have brought keys from before the current bucket of the rung below. The
        // new rung must reach up to that bucket, or keys in the gap would belong nowhere.
        if let Some(parent) = self.rungs.last() {
            high = high.max(parent.current_first());
        }
        let mut rung = self.spare.pop().unwrap_or_default();
        rung.cover(low, high, self.bottom.len(), self.bottom_last);
        for key in self.bottom.drain(..) {
            rung.push(&mut self.chunks, key);
        }
        self.rungs.push(rung);
    }
}

/// Sorts a batch so that the next key is its last.
///
/// The usual batch is a handful of keys, where any comparison sort pays a mispredicted branch or
/// two per key. Counting for each key those later than it has no branch to mispredict.
fn sort_latest_first(batch: &mut [u128]) {
    if COUNTED_MAX < batch.len() {
        return batch.sort_unstable_by(|a, b| b.cmp(a));
    }
    let mut sorted = [0; COUNTED_MAX];
    for &key in &*batch {
        let place: usize = batch.iter().map(|other| usize::from(key < *other)).sum();
        sorted[place] = key;
    }
    batch.copy_from_slice(&sorted[..batch.len()]);
}

/// A stretch of keys cut into buckets of equal width.
#[derive(Debug, Default)]
struct Rung {
    first: u128,
    /// The last key that belongs here; widths round up, so this may be amid a bucket.
    last: u128,
    /// A bucket is 2^`shift` keys wide.
    shift: u32,
    /// The bucket drained last; all before it are empty and stay so.
    current: usize,
    /// For each bucket the newest chunk of its list.
    heads: Vec<Head>,
}

impl Rung {
    /// Sets this empty rung up for `count` keys of `low..=high`, and as far as `limit` at no cost.
    fn cover(&mut self, low: u128, high: u128, count: usize, limit: u128) {
        // A bucket for every key: events crowd near the present, so the first buckets hold some
        // ten times the mean. A bucket for four keys was a third slower on exponential spans (and
        // a fifth faster on bimodal ones).
        let log2 = (count.ilog2() + 1).clamp(BUCKETS_LOG2_MIN, BUCKETS_LOG2_MAX);
        let bits = u128::BITS - (high - low).leading_zeros();
        self.first = low;
        self.shift = bits.saturating_sub(log2);
        let reach = u128::MAX >> (u128::BITS - log2 - self.shift);
        self.last = low.saturating_add(reach).min(limit);
        self.current = 0;
        self.heads.clear();
        self.heads.resize(1 << log2, Head::NIL);
    }

    #[inline]
    fn push(&mut self, chunks: &mut Chunks, key: u128) {
        let bucket = ((key - self.first) >> self.shift) as usize;
        chunks.push(&mut self.heads[bucket], key);
    }

    /// Moves the first bucket that holds anything to `batch` and returns the last key that belongs
    /// to it; `None` when the rung is used up.
    fn drain_next(&mut self, chunks: &mut Chunks, batch: &mut Vec<u128>) -> Option<u128> {
        self.current += self.heads[self.current..].iter().position(|head| *head != Head::NIL)?;
        chunks.drain(&mut self.heads[self.current], batch);
        let width_less_1 = (1_u128 << self.shift) - 1;
        Some(self.current_first().saturating_add(width_less_1).min(self.last))
    }

    /// The first key of the current bucket.
    fn current_first(&self) -> u128 {
        self.first + ((self.current as u128) << self.shift)
    }
}

/// The memory of all buckets: lists of chunks from one pool.
///
/// A chunk freed last is used next, while it is still cached; a vector per bucket would leave its
/// memory behind, cold, until the rung comes round again.
#[derive(Debug)]
struct Chunks {
    pool: Vec<Chunk>,
    /// The list of free chunks; their counts mean nothing.
    free: Head,
}

/// Keys of one bucket. All but the newest chunk of a list are full.
#[derive(Debug)]
struct Chunk {
    keys: [u128; CHUNK_KEYS],
    next: Head,
}

const _: () = assert!(size_of::<Chunk>() == 128, "a chunk fills two cache lines");

/// Where a list of chunks begins: the index of its newest chunk and how many keys that holds.
///
/// The count stands here and not in the chunk, so that a push *writes* to the chunk and reads
/// nothing there: among a million events the chunk is not cached, and a branch on its content
/// would hold up the processor until it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head(u32);

impl Head {
    /// No chunk; reads as full, so that a push needs one test only.
    const NIL: Head = Head(u32::MAX);

    #[inline]
    fn chunk(self) -> usize {
        (self.0 >> LEN_BITS) as usize
    }

    #[inline]
    fn len(self) -> usize {
        self.0 as usize & CHUNK_KEYS
    }
}

impl Chunks {
    #[inline]
    fn push(&mut self, head: &mut Head, key: u128) {
        if head.len() == CHUNK_KEYS {
            *head = self.take(*head, key);
        } else {
            self.pool[head.chunk()].keys[head.len()] = key;
            head.0 += 1;
        }
    }

    /// A list of a chunk with this one key, and then `next`.
    fn take(&mut self, next: Head, key: u128) -> Head {
        if self.free == Head::NIL {
            assert!(self.pool.len() < Head::NIL.chunk(), "the last index means no chunk");
            self.free = Head((self.pool.len() as u32) << LEN_BITS);
            self.pool.push(Chunk { keys: [0; CHUNK_KEYS], next: Head::NIL });
        }
        let index = self.free.chunk();
        let chunk = &mut self.pool[index];
        self.free = std::mem::replace(&mut chunk.next, next);
        chunk.keys[0] = key;
        Head((index as u32) << LEN_BITS | 1)
    }

    /// Moves a bucket's keys to `batch` and frees its chunks.
    fn drain(&mut self, head: &mut Head, batch: &mut Vec<u128>) {
        while *head != Head::NIL {
            let chunk = &mut self.pool[head.chunk()];
            batch.extend_from_slice(&chunk.keys[..head.len()]);
            let next = std::mem::replace(&mut chunk.next, self.free);
            self.free = std::mem::replace(head, next);
        }
    }
}
