//! Messages of refusals: stored as counts of reasons, rendered on demand, and forgotten once no pod's
//! first or last refusal needs them.
//!
//! On a busy cluster the counts in a message change with every pod that comes or goes, and thousands of
//! waiting pods meet each of them. So a message is some ten bytes, equal ones are one, and a message that
//! nobody holds gives its place to the next.

use hashbrown::HashTable;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::num::NonZeroU32;

/// Number of an interned reason; see [`Reasons`]. It is kept one higher, so that none costs no room: every
/// pod has a first and a last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonId(NonZeroU32);

impl ReasonId {
    /// The first that there is.
    pub const FIRST: ReasonId = ReasonId(NonZeroU32::MIN);

    fn of(number: u32) -> ReasonId {
        ReasonId(NonZeroU32::new(number.wrapping_add(1)).expect("fewer than 2^32 messages"))
    }

    fn number(self) -> u32 {
        self.0.get() - 1
    }
}

/// Number of a text that messages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordId(pub u32);

/// A message that counts nodes by reason: `0/N nodes are available: 2 Insufficient cpu, …`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All nodes.
    pub nodes: usize,
    /// Nodes by reason; a node counts once in each of its reasons. A count of 0 stands for a text that
    /// is no count.
    pub reasons: Vec<(WordId, usize)>,
    /// What follows.
    pub then: Then,
}

/// What follows the counts of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    #[default]
    Nothing,
    /// A text.
    Text(WordId),
    /// A text, and the counts of another look at the same nodes.
    Counts(WordId, Vec<(WordId, usize)>),
}

/// Messages by id, each stored once.
///
/// Every message stands to the end unless [`Reasons::forget_unheld`] was called; then one that was
/// held and is held no more gives up its place.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    words: Vec<Box<str>>,
    word_of: HashTable<u32>,
    /// Where each message begins in `bytes`, in units of [`UNIT`].
    starts: Vec<u32>,
    holds: Vec<u32>,
    known: HashTable<u32>,
    /// Messages: their length in two bytes, then numbers of seven bits to a byte.
    bytes: Vec<u8>,
    /// Free places by size in units, and free ids.
    free: Vec<Vec<u32>>,
    free_ids: Vec<u32>,
    forgets: bool,
}

/// Places are multiples of this many bytes.
const UNIT: usize = 4;

type Hasher = BuildHasherDefault<rustc_hash::FxHasher>;

fn hash<T: std::hash::Hash + ?Sized>(of: &T) -> u64 {
    Hasher::default().hash_one(of)
}

/// First number of a message: what it is.
const TEXT: usize = 0;
const COUNTED: usize = 1;
const COUNTED_THEN_TEXT: usize = 2;
const COUNTED_THEN_COUNTS: usize = 3;

fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while 127 < number {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut impl Iterator<Item = u8>) -> usize {
    let (mut number, mut shift) = (0, 0);
    for byte in bytes {
        number |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            break;
        }
    }
    number
}

fn put_counts(bytes: &mut Vec<u8>, counts: &[(WordId, usize)]) {
    put(bytes, counts.len());
    for (word, count) in counts {
        put(bytes, word.0 as usize);
        put(bytes, *count);
    }
}

impl Reasons {
    /// From now on a message that is released for the last time gives up its place.
    pub fn forget_unheld(&mut self) {
        self.forgets = true;
    }

    /// The id of a text that messages are made of, new or known.
    pub fn word(&mut self, text: &str) -> WordId {
        let Reasons { words, word_of, .. } = self;
        let found = word_of.find(hash(text), |word| *words[*word as usize] == *text);
        if let Some(word) = found {
            return WordId(*word);
        }
        words.push(text.into());
        let word = words.len() as u32 - 1;
        word_of.insert_unique(hash(text), word, |word| hash(&*words[*word as usize]));
        WordId(word)
    }

    /// The id of a message, new or known.
    pub fn intern(&mut self, text: &str) -> ReasonId {
        let word = self.word(text);
        let mut bytes = Vec::new();
        put(&mut bytes, TEXT);
        put(&mut bytes, word.0 as usize);
        self.store(&bytes)
    }

    /// The id of a message of counts, new or known.
    pub fn count(&mut self, message: &Counted) -> ReasonId {
        let mut bytes = Vec::new();
        put(
            &mut bytes,
            match message.then {
                Then::Nothing => COUNTED,
                Then::Text(_) => COUNTED_THEN_TEXT,
                Then::Counts(..) => COUNTED_THEN_COUNTS,
            },
        );
        put(&mut bytes, message.nodes);
        put_counts(&mut bytes, &message.reasons);
        match &message.then {
            Then::Nothing => {}
            Then::Text(word) => put(&mut bytes, word.0 as usize),
            Then::Counts(word, counts) => {
                put(&mut bytes, word.0 as usize);
                put_counts(&mut bytes, counts);
            }
        }
        self.store(&bytes)
    }

    fn store(&mut self, message: &[u8]) -> ReasonId {
        let length = u16::try_from(message.len()).expect("at most 128 reasons, twice");
        let hashed = hash(message);
        if let Some(id) = self.known.find(hashed, |id| self.stored(*id) == message) {
            return ReasonId::of(*id);
        }
        let units = units(message);
        if self.free.len() <= units {
            self.free.resize(units + 1, Vec::new());
        }
        let start = self.free[units].pop().unwrap_or_else(|| {
            let start = self.bytes.len() / UNIT;
            self.bytes.resize(self.bytes.len() + units * UNIT, 0);
            u32::try_from(start).expect("messages of less than 16 GiB")
        });
        let at = start as usize * UNIT;
        self.bytes[at..at + 2].copy_from_slice(&length.to_le_bytes());
        self.bytes[at + 2..at + 2 + message.len()].copy_from_slice(message);
        let id = match self.free_ids.pop() {
            Some(id) => {
                self.starts[id as usize] = start;
                id
            }
            None => {
                self.starts.push(start);
                self.holds.push(0);
                u32::try_from(self.starts.len() - 1).expect("fewer than 2^32 messages")
            }
        };
        let Reasons { known, bytes, starts, .. } = self;
        known.insert_unique(hashed, id, |id| hash(stored(bytes, starts, *id)));
        ReasonId::of(id)
    }

    fn stored(&self, id: u32) -> &[u8] {
        stored(&self.bytes, &self.starts, id)
    }

    /// Somebody needs a message.
    pub fn hold(&mut self, reason: ReasonId) {
        self.holds[reason.number() as usize] += 1;
    }

    /// Somebody needs it no more.
    ///
    /// # Panics
    /// If nobody did.
    pub fn release(&mut self, reason: ReasonId) {
        let holds = &mut self.holds[reason.number() as usize];
        *holds = holds.checked_sub(1).expect("only what is held is released");
        if *holds == 0 && self.forgets {
            let hashed = hash(self.stored(reason.number()));
            let found = self.known.find_entry(hashed, |id| *id == reason.number());
            found.expect("a message that is stored").remove();
            let units = units(self.stored(reason.number()));
            self.free[units].push(self.starts[reason.number() as usize]);
            self.free_ids.push(reason.number());
        }
    }

    /// The text of a message.
    #[must_use]
    pub fn text(&self, reason: ReasonId) -> String {
        let mut bytes = self.stored(reason.number()).iter().copied();
        let kind = take(&mut bytes);
        if kind == TEXT {
            return self.words[take(&mut bytes)].to_string();
        }
        let nodes = take(&mut bytes);
        let mut text = self.counts(nodes, &mut bytes);
        if kind == COUNTED {
            return text;
        }
        text.push(' ');
        text.push_str(&self.words[take(&mut bytes)]);
        if kind == COUNTED_THEN_COUNTS {
            text.push_str(&self.counts(nodes, &mut bytes));
        }
        text
    }

    fn counts(&self, nodes: usize, bytes: &mut impl Iterator<Item = u8>) -> String {
        let reasons = take(bytes);
        let counts: Vec<(&str, usize)> =
            (0..reasons).map(|_| (&*self.words[take(bytes)], take(bytes))).collect();
        render(nodes, counts)
    }

    /// The message as an event of the API has it: at most 1,024 bytes (`truncateMessage`,
    /// `schedule_one.go`). The condition of the pod has all of it.
    #[must_use]
    pub fn event(&self, reason: ReasonId) -> String {
        event(self.text(reason))
    }

    /// Number of messages that are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - self.free_ids.len()
    }

    /// Bytes that messages take, with their index.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let places = self.starts.capacity() + self.holds.capacity() + self.free_ids.capacity();
        // A bucket of the index is an id and a byte of its hash.
        self.bytes.capacity() + 4 * places + 5 * self.known.capacity()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn stored<'b>(bytes: &'b [u8], starts: &[u32], id: u32) -> &'b [u8] {
    let at = starts[id as usize] as usize * UNIT;
    let length = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    &bytes[at + 2..at + 2 + usize::from(length)]
}

/// Size of a message's place.
fn units(message: &[u8]) -> usize {
    (2 + message.len()).div_ceil(UNIT)
}

/// Counts of nodes by reason as kube-scheduler words them (`FitError.Error`): sorted as text.
#[must_use]
pub fn render<'r>(nodes: usize, reasons: impl IntoIterator<Item = (&'r str, usize)>) -> String {
    let one = |(reason, count): (&str, usize)| match count {
        0 => reason.to_owned(),
        _ => format!("{count} {reason}"),
    };
    let mut parts: Vec<String> = reasons.into_iter().map(one).collect();
    parts.sort();
    let mut text = format!("0/{nodes} nodes are available:");
    if !parts.is_empty() {
        text.push_str(&format!(" {}.", parts.join(", ")));
    }
    text
}

/// Longest text of an event, in bytes (`validation.NoteLengthLimit`).
const EVENT_MOST: usize = 1_024;

/// A message cut to what an event holds.
#[must_use]
pub fn event(mut text: String) -> String {
    const END: &str = " ...";
    if EVENT_MOST < text.len() {
        let cut = (0..=EVENT_MOST - END.len()).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.expect("0 is one"));
        text.push_str(END);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_out_as_text_and_equal_ones_are_one() {
        let mut reasons = Reasons::default();
        let [cpu, gone, then, none] =
            ["Insufficient cpu", "node(s) were unschedulable", "preemption: ", "No help"]
                .map(|text| reasons.word(text));
        let counted = |cpus, then| Counted { nodes: 300, reasons: vec![(gone, 10), (cpu, cpus)], then };
        let then = || Then::Counts(then, vec![(none, 300)]);
        let first = reasons.count(&counted(290, then()));
        let second = reasons.count(&counted(2, Then::Nothing));
        assert_eq!(reasons.count(&counted(290, then())), first);
        let head = "0/300 nodes are available:";
        assert_eq!(
            reasons.text(first),
            format!(
                "{head} 10 node(s) were unschedulable, 290 Insufficient cpu. preemption: {head} 300 No help."
            )
        );
        assert_eq!(
            reasons.text(second),
            format!("{head} 10 node(s) were unschedulable, 2 Insufficient cpu.")
        );
        let text = reasons.intern("no nodes available to schedule pods");
        assert_eq!(reasons.text(text), "no nodes available to schedule pods");
        assert_eq!(reasons.len(), 3);
    }

    #[test]
    fn what_nobody_holds_gives_its_place_to_the_next() {
        let mut reasons = Reasons::default();
        reasons.forget_unheld();
        let word = reasons.word("Insufficient cpu");
        let message = |nodes| Counted { nodes, reasons: vec![(word, nodes)], then: Then::Nothing };
        let kept = reasons.count(&message(1));
        reasons.hold(kept);
        let mut last = None;
        for nodes in 2..100_000 {
            let id = reasons.count(&message(nodes));
            reasons.hold(id);
            if let Some(last) = last.replace(id) {
                reasons.release(last);
            }
        }
        assert_eq!(reasons.len(), 2);
        assert!(reasons.bytes.len() < 100 && reasons.starts.len() < 10);
        assert_eq!(reasons.text(kept), "0/1 nodes are available: 1 Insufficient cpu.");
        assert_eq!(reasons.count(&message(1)), kept);
        assert!(reasons.text(last.expect("many")).starts_with("0/99999 nodes"));
    }

    #[test]
    fn events_are_cut_at_1024_bytes() {
        let cut = event("x".repeat(2_000));
        assert_eq!((cut.len(), &cut[1_018..]), (1_024, "xx ..."));
        assert_eq!(event("x".repeat(1_024)), "x".repeat(1_024));
    }
}
