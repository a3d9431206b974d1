//! The three queues: who waits to be tried, who is held back, and who waits for an event
//! (`backend/queue/`).
//!
//! Pods stand in a slab; the queues hold (key, slot, stamp), and an entry whose stamp is not its
//! pod's is stale and dropped when it surfaces, so that a move costs one push. Unschedulable pods
//! stand by the set of plugins that rejected them, so that an event looks only at those it can
//! concern.

use super::backoff::{Backoff, holds, leaves};
use super::filter::Plugins;
use super::rules::Rules;
use super::sorted::Sorted;
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::ReasonId;
use crate::units::{Span, Time};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// What the scheduler knows of a pod before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it asks for.
    pub shape: ShapeId,
    /// Its priority.
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Which disruption budgets match it: a set, by position.
    pub budgets: u64,
}

/// Where a pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be tried.
    Active,
    /// Held back after a rejection.
    Backoff,
    /// Held back after an error.
    Errors,
    /// Until an event that could help it.
    Unschedulable,
    /// Being tried.
    InFlight,
}

/// A pod that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Who.
    pub pod: PodId,
    /// What is known of it.
    pub facts: Facts,
    /// When it entered the queue or last failed.
    pub timestamp: Time,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts that ended in a rejection.
    rejections: u32,
    /// Errors since the last rejection.
    errors: u32,
    /// Plugins that rejected it in the last attempt.
    pub rejectors: Plugins,
    /// Where it stands.
    pub place: Place,
    /// Whether scheduling gates keep it from being tried.
    pub gated: bool,
    /// The node that preemption made room on for it.
    pub nominated: Option<NodeId>,
    /// What its first and its last failed attempt said.
    pub(super) first_message: Option<ReasonId>,
    pub(super) last_message: Option<ReasonId>,
    sequence: u64,
    stamp: u32,
}

/// Priority first, then time stamp, then who came to that time stamp first: both are the order in which
/// time stamps were given.
type Key = (u32, u64);

/// An entry of a queue.
type Entry = (u32, u32);

/// Slot of a pod that does not wait.
const NOWHERE: u32 = u32::MAX;

/// Which of the pods that the same plugins rejected an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// None of them.
    Nobody,
    /// All of them.
    All,
    /// Those of which the event is worth a try, as each shape of pod is asked.
    Some,
}

/// All queues of one scheduler.
#[derive(Debug)]
pub struct Queue {
    rules: Rules,
    backoff_limits: Backoff,
    /// Longest stay without an event (`podMaxInUnschedulablePodsDuration`).
    stay_max: Span,
    slots: Vec<Waiting>,
    free: Vec<u32>,
    /// By pod; [`NOWHERE`] for those that do not wait.
    slot_of: Vec<u32>,
    active: Sorted<(Key, Entry)>,
    backoff: Sorted<(Time, Key, Entry)>,
    /// In order of expiry alone; what ties came first.
    errors: Sorted<(Time, u64, Entry)>,
    /// Unschedulable pods by rejectors, each in order of time stamps.
    unschedulable: Vec<VecDeque<Entry>>,
    /// Pods in each place, in the order of [`Place`].
    counts: [usize; 5],
    /// Whether something asked pods to move since the pod in flight was taken.
    moved: bool,
    sequence: u64,
}

/// How often the leftover flush looks.
pub const FLUSH_EVERY: Span = Span::from_secs(30);

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(rules: Rules, backoff_limits: Backoff, stay_max: Span) -> Queue {
        Queue {
            rules,
            backoff_limits,
            stay_max,
            slots: Vec::new(),
            free: Vec::new(),
            slot_of: Vec::new(),
            active: Sorted::new(),
            backoff: Sorted::new(),
            errors: Sorted::new(),
            unschedulable: vec![VecDeque::new(); 1 + usize::from(Plugins::ALL.0)],
            counts: [0; 5],
            moved: false,
            sequence: 0,
        }
    }

    /// A waiting pod.
    #[must_use]
    pub fn get(&self, pod: PodId) -> Option<&Waiting> {
        self.slot(pod).map(|slot| &self.slots[slot as usize])
    }

    /// A waiting pod, to nominate it.
    pub fn get_mut(&mut self, pod: PodId) -> Option<&mut Waiting> {
        self.slot(pod).map(|slot| &mut self.slots[slot as usize])
    }

    fn slot(&self, pod: PodId) -> Option<u32> {
        self.slot_of.get(pod.index()).copied().filter(|slot| *slot != NOWHERE)
    }

    /// Pods in a place.
    #[must_use]
    pub fn count(&self, place: Place) -> usize {
        self.counts[place as usize]
    }

    /// Whether a cycle would find a pod to try.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        0 < self.count(Place::Active) || (self.rules.pop_from_backoff && 0 < self.count(Place::Backoff))
    }

    /// A pod is created.
    ///
    /// # Panics
    /// If it waits already.
    pub fn add(&mut self, pod: PodId, facts: Facts, now: Time) {
        let slot = self.take_slot(pod, facts, now);
        self.activate(slot);
    }

    /// A pod is created that gates keep from being tried: no event moves it, and no flush.
    ///
    /// # Panics
    /// If it waits already.
    pub fn add_gated(&mut self, pod: PodId, facts: Facts, now: Time) {
        let slot = self.take_slot(pod, facts, now);
        self.slots[slot as usize].gated = true;
        self.enter(slot, Place::Unschedulable);
    }

    /// The last gate of a pod is removed: it is to be tried, by the time stamp it was created with.
    ///
    /// # Panics
    /// If it is not gated.
    pub fn ungate(&mut self, pod: PodId) {
        let slot = self.slot(pod).expect("a pod that waits");
        let gated = std::mem::take(&mut self.slots[slot as usize].gated);
        assert!(gated, "gates are removed once");
        self.activate(slot);
    }

    /// A plugin asks for a pod to be tried at once, whatever holds it back but gates. Whether it was
    /// moved.
    pub fn urge(&mut self, pod: PodId) -> bool {
        let Some(slot) = self.slot(pod) else { return false };
        let waiting = &self.slots[slot as usize];
        let held = matches!(waiting.place, Place::Unschedulable | Place::Backoff | Place::Errors);
        let moves = held && !waiting.gated;
        if moves {
            self.activate(slot);
        }
        moves
    }

    /// What is known of a pod changed; it stands where it stood, by its new priority. `helped` says
    /// whether the change makes an unschedulable pod worth a try.
    pub fn update(&mut self, pod: PodId, facts: Facts, now: Time, helped: bool) {
        let slot = self.slot(pod).expect("a pod that waits");
        self.slots[slot as usize].facts = facts;
        let waiting = &self.slots[slot as usize];
        match waiting.place {
            Place::Active => self.activate(slot),
            Place::Backoff => {
                let expiry = self.expiry(slot).expect("it is held back");
                let entry = self.enter(slot, Place::Backoff);
                self.backoff.push((expiry, self.key(slot), entry));
            }
            Place::Unschedulable if helped && !waiting.gated => self.release(slot, now),
            Place::Unschedulable | Place::Errors | Place::InFlight => {}
        }
    }

    fn take_slot(&mut self, pod: PodId, facts: Facts, now: Time) -> u32 {
        let waiting = Waiting {
            pod,
            facts,
            timestamp: now,
            attempts: 0,
            rejections: 0,
            errors: 0,
            rejectors: Plugins::NONE,
            place: Place::InFlight,
            gated: false,
            nominated: None,
            first_message: None,
            last_message: None,
            sequence: 0,
            stamp: 0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                // The stamp goes on, so that what was left of the slot's last pod stays stale.
                let stamp = self.slots[slot as usize].stamp;
                self.slots[slot as usize] = Waiting { stamp, ..waiting };
                slot
            }
            None => {
                self.slots.push(waiting);
                (self.slots.len() - 1) as u32
            }
        };
        if self.slot_of.len() <= pod.index() {
            self.slot_of.resize(pod.index() + 1, NOWHERE);
        }
        let before = std::mem::replace(&mut self.slot_of[pod.index()], slot);
        assert!(before == NOWHERE, "a pod is queued once");
        self.counts[Place::InFlight as usize] += 1;
        self.stamp_time(slot, now);
        slot
    }

    /// Gives a pod a new time stamp, told apart from equal ones by their order.
    fn stamp_time(&mut self, slot: u32, now: Time) {
        self.sequence += 1;
        let waiting = &mut self.slots[slot as usize];
        (waiting.timestamp, waiting.sequence) = (now, self.sequence);
    }

    /// A waiting pod leaves: deleted, or bound.
    ///
    /// # Panics
    /// If it does not wait.
    pub fn remove(&mut self, pod: PodId) -> Waiting {
        let slot = self.slot(pod).expect("only a waiting pod leaves the queue");
        self.slot_of[pod.index()] = NOWHERE;
        let waiting = self.slots[slot as usize].clone();
        self.counts[waiting.place as usize] -= 1;
        self.slots[slot as usize].stamp += 1;
        self.free.push(slot);
        waiting
    }

    fn key(&self, slot: u32) -> Key {
        let waiting = &self.slots[slot as usize];
        // Flipping the sign bit orders i32 as u32; the complement puts high priorities first.
        (!(waiting.facts.priority as u32 ^ 1 << 31), waiting.sequence)
    }

    fn expiry(&self, slot: u32) -> Option<Time> {
        let waiting = &self.slots[slot as usize];
        let count = match self.rules.counts_apart {
            true if 0 < waiting.errors => waiting.errors,
            true => waiting.rejections,
            false => waiting.attempts,
        };
        self.backoff_limits.expiry(waiting.timestamp, count, &self.rules)
    }

    /// Moves a pod to a place; the entry that stands for it there.
    fn enter(&mut self, slot: u32, place: Place) -> Entry {
        let waiting = &mut self.slots[slot as usize];
        self.counts[waiting.place as usize] -= 1;
        self.counts[place as usize] += 1;
        waiting.place = place;
        waiting.stamp += 1;
        (slot, waiting.stamp)
    }

    /// To be tried.
    fn activate(&mut self, slot: u32) {
        let entry = self.enter(slot, Place::Active);
        self.active.push((self.key(slot), entry));
    }

    /// To back-off as long as it holds, else to be tried.
    fn release(&mut self, slot: u32, now: Time) {
        let expiry = self.expiry(slot);
        match expiry.filter(|_| holds(expiry, now, &self.rules)) {
            None => self.activate(slot),
            Some(expiry) => {
                let entry = self.enter(slot, Place::Backoff);
                self.backoff.push((expiry, self.key(slot), entry));
            }
        }
    }

    fn is_live(slots: &[Waiting], (slot, stamp): Entry) -> bool {
        slots[slot as usize].stamp == stamp
    }

    /// Takes the next pod to try: the head of the active queue or, where that is empty and the
    /// version does so, of those held back. *O*(log *n*), amortized.
    pub fn pop(&mut self) -> Option<PodId> {
        let slots = &self.slots;
        let active = loop {
            match self.active.pop() {
                None => break None,
                Some((_, entry)) if Self::is_live(slots, entry) => break Some(entry.0),
                Some(_) => {}
            }
        };
        let slot = active.or_else(|| {
            while self.rules.pop_from_backoff
                && let Some((_, _, entry)) = self.backoff.pop()
            {
                if Self::is_live(slots, entry) {
                    return Some(entry.0);
                }
            }
            None
        })?;
        self.enter(slot, Place::InFlight);
        self.moved = false;
        let waiting = &mut self.slots[slot as usize];
        waiting.attempts += 1;
        Some(waiting.pod)
    }

    /// Puts a pod back that `rejectors` refused; none stand for an error. `helped` says whether an
    /// event arrived during the attempt that could help it.
    pub fn put_back(&mut self, pod: PodId, now: Time, rejectors: Plugins, helped: bool) {
        let slot = self.slot(pod).expect("a pod that waits");
        let waiting = &mut self.slots[slot as usize];
        assert!(waiting.place == Place::InFlight, "only a pod that was taken is put back");
        waiting.rejectors = rejectors;
        let error = rejectors == Plugins::NONE;
        (waiting.rejections, waiting.errors) = match error {
            true => (waiting.rejections, waiting.errors + 1),
            false => (waiting.rejections + 1, 0),
        };
        self.stamp_time(slot, now);
        if error && self.rules.pop_from_backoff {
            match self.expiry(slot) {
                None => self.activate(slot),
                Some(expiry) => {
                    let entry = self.enter(slot, Place::Errors);
                    self.errors.push((expiry, self.sequence, entry));
                }
            }
        } else if helped || (error && self.rules.hints) || (!self.rules.hints && self.moved) {
            self.release(slot, now);
        } else {
            let entry = self.enter(slot, Place::Unschedulable);
            self.unschedulable[usize::from(rejectors.0)].push_back(entry);
        }
    }

    /// Something asked pods to move, though nobody needs to.
    pub fn stir(&mut self) {
        self.moved = true;
    }

    /// Something happened that could help unschedulable pods. `concerns` says which of those that the
    /// same plugins rejected; where that is some, `worth` is asked once for each shape.
    pub fn wake(
        &mut self,
        now: Time,
        concerns: impl Fn(Plugins) -> Concerns,
        worth: impl Fn(&Waiting) -> bool,
    ) {
        self.moved = true;
        let mut known: FxHashMap<ShapeId, bool> = FxHashMap::default();
        for group in 0..self.unschedulable.len() {
            if self.unschedulable[group].is_empty() {
                continue;
            }
            let concerns = concerns(Plugins(group as u8));
            if concerns == Concerns::Nobody {
                continue;
            }
            known.clear();
            let mut entries = std::mem::take(&mut self.unschedulable[group]);
            entries.retain(|entry| {
                if !Self::is_live(&self.slots, *entry) {
                    return false;
                }
                let waiting = &self.slots[entry.0 as usize];
                let moves = concerns == Concerns::All
                    || *known.entry(waiting.facts.shape).or_insert_with(|| worth(waiting));
                if moves {
                    self.release(entry.0, now);
                }
                !moves
            });
            self.unschedulable[group] = entries;
        }
    }

    /// The same for all whom `worth` says, one by one.
    pub fn wake_each(&mut self, now: Time, worth: impl Fn(&Waiting) -> bool) {
        self.moved = true;
        for group in 0..self.unschedulable.len() {
            let mut entries = std::mem::take(&mut self.unschedulable[group]);
            entries.retain(|entry| {
                let live = Self::is_live(&self.slots, *entry);
                let moves = live && worth(&self.slots[entry.0 as usize]);
                if moves {
                    self.release(entry.0, now);
                }
                live && !moves
            });
            self.unschedulable[group] = entries;
        }
    }

    /// The tick of every whole second: whose back-off ended is to be tried.
    pub fn tick(&mut self, now: Time) {
        while let Some((expiry, _, entry)) = self.backoff.peek() {
            let live = Self::is_live(&self.slots, entry);
            if live && holds(Some(expiry), now, &self.rules) {
                break;
            }
            self.backoff.pop();
            if live {
                self.activate(entry.0);
            }
        }
        while let Some((expiry, _, entry)) = self.errors.peek() {
            let live = Self::is_live(&self.slots, entry);
            if live && holds(Some(expiry), now, &self.rules) {
                break;
            }
            self.errors.pop();
            if live {
                self.activate(entry.0);
            }
        }
    }

    /// The leftover flush of every 30 s: who waited too long without an event moves. Whether anybody
    /// did.
    pub fn flush(&mut self, now: Time) -> bool {
        let mut any = false;
        for group in 0..self.unschedulable.len() {
            while let Some(entry) = self.unschedulable[group].front().copied() {
                let live = Self::is_live(&self.slots, entry);
                if live && now.since(self.slots[entry.0 as usize].timestamp) <= self.stay_max {
                    break;
                }
                self.unschedulable[group].pop_front();
                if live {
                    any = true;
                    self.release(entry.0, now);
                }
            }
        }
        self.moved |= any;
        any
    }

    /// The next moment after `now` at which [`Queue::tick`] or [`Queue::flush`] moves somebody.
    pub fn next_timer(&mut self) -> Option<Time> {
        while let Some((_, _, entry)) = self.backoff.peek()
            && !Self::is_live(&self.slots, entry)
        {
            self.backoff.pop();
        }
        while let Some((_, _, entry)) = self.errors.peek()
            && !Self::is_live(&self.slots, entry)
        {
            self.errors.pop();
        }
        let tick = self.backoff.peek().map(|(expiry, ..)| leaves(expiry, &self.rules));
        let error = self.errors.peek().map(|(expiry, ..)| leaves(expiry, &self.rules));
        let slots = &self.slots;
        let oldest = self.unschedulable.iter_mut().filter_map(|group| {
            while group.front().is_some_and(|entry| !Self::is_live(slots, *entry)) {
                group.pop_front();
            }
            group.front().map(|entry| slots[entry.0 as usize].timestamp)
        });
        // Strictly longer than the longest stay, so a pod that reaches it on a flush waits for the next.
        let flush =
            oldest.min().map(|since| Time(((since + self.stay_max).0 / FLUSH_EVERY.0 + 1) * FLUSH_EVERY.0));
        [tick, error, flush].into_iter().flatten().min()
    }

    /// The oldest time stamp of all who wait and are neither gated, nor to be tried, nor being tried; `None`
    /// without any. *O*(pods that ever waited at once).
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        let held = |(slot, waiting): &(usize, &Waiting)| {
            let here = self.slot(waiting.pod).is_some_and(|of| of as usize == *slot);
            here && !waiting.gated && !matches!(waiting.place, Place::Active | Place::InFlight)
        };
        self.slots.iter().enumerate().filter(held).map(|(_, waiting)| waiting.timestamp).min()
    }
}
