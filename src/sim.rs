//! The imagined cluster: pods arrive, wait, run and leave, in virtual time.
//!
//! [`run`] is the whole story: events come off the calendar in a total order, each handler changes
//! state through [`Cluster`] alone and emits records. Arrivals only enqueue; placing happens in
//! cycles, so ten arrivals in one instant cost one cycle.

pub mod advertised;
mod api;
pub mod check;
mod disruption;
mod failure;
mod gates;
mod kube;
mod nos;
mod recut;
mod running;

use crate::cluster::{Cluster, Placement, Planned};
use crate::engine::{Calendar, Rank};
use crate::id::{NodeId, PodId};
use crate::perf::Models;
use crate::perf::recut::Recut;
use crate::record::{Observer, Plugins, Reasons, Record};
use crate::sched::{Decision, Scheduler};
use crate::units::{Span, Time};
use crate::workload::Truth;
use crate::workload::policy::Gates;
use crate::workload::view::Pods;
use disruption::Disruptions;
pub use disruption::Fate;
use failure::Breakage;
use gates::Gated;
pub use kube::KubeScheduler;
use nos::Nos;
pub use nos::NosSetup;
use recut::Recuts;
use running::Running;

/// What can happen. The target of an event is a row of the table it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Back-off ends or a wait is too long: kube-scheduler's tick and its leftover flush.
    Timer,
    /// The pod in this running slot comes to the end of a phase: its start, a checkpoint, all its work.
    Turn,
    /// The pod in this running slot breaks by itself.
    Break,
    /// The next fault of a GPU or a node.
    Fault,
    /// This GPU or node is repaired.
    Repaired,
    /// The cut of this GPU is through, or what keeps the GPUs of this node out of service.
    Recut,
    /// The grace of the pod in this running slot ends.
    Evict,
    /// The call that binds this pod goes through.
    Bind,
    /// This planned event happens.
    Planned,
    /// A drain of this node goes on.
    Drain,
    /// An evicted pod is created anew.
    Return,
    /// The gates of this pod are lifted.
    Ungate,
    /// The next pods are created.
    Arrive,
    /// The partitioner, an agent of its or a device plugin does something.
    Partitioner,
    /// The cycle that takes time ends.
    CycleEnd,
    /// The scheduler looks at the queue.
    Cycle,
    /// This pod's patience ends.
    GiveUp,
}

impl Event {
    /// All kinds by rank.
    const RANKED: [Event; 17] = [
        // kube-scheduler's own clocks come before what the world does at the same instant.
        Event::Timer,
        // What frees room comes before what asks for it: a pod that arrives as another leaves
        // finds the room free.
        Event::Turn,
        // Whoever ends at the moment of a fault has ended.
        Event::Break,
        Event::Fault,
        Event::Repaired,
        Event::Recut,
        Event::Evict,
        Event::Bind,
        // Nodes change before pods arrive for them, and a node that pods have just left is drained
        // of nobody.
        Event::Planned,
        Event::Drain,
        Event::Return,
        Event::Ungate,
        // Everybody of an instant stands in the queue before the scheduler looks.
        Event::Arrive,
        // What the partitioner changes is there when the scheduler looks.
        Event::Partitioner,
        // Whatever happens at the instant in which a cycle ends met its pod in flight.
        Event::CycleEnd,
        // One look an instant, at everything that happened in it.
        Event::Cycle,
        // Patience ends after the cycle that could still have served the pod.
        Event::GiveUp,
    ];
}

impl Rank for Event {
    const COUNT: u8 = Event::RANKED.len() as u8;

    fn rank(self) -> u8 {
        self as u8
    }

    fn from_rank(rank: u8) -> Event {
        Event::RANKED[usize::from(rank)]
    }
}

/// What a run needs beside a cluster and a scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The pods as policies see them.
    pub pods: Pods<'a>,
    /// What they will take.
    pub truths: &'a [Truth],
    /// How long pods wait before they give up; 0 leaves after the first cycle that does not serve
    /// them; `None` waits for ever.
    pub patience: Option<Span>,
    /// Most pods waiting after a cycle; the latest arrivals beyond it are turned away.
    pub queue_limit: Option<u64>,
    /// Cycles run at multiples of this; 0 is whenever something changed.
    pub cycle: Span,
    /// How pods run, and what breaks; `None` runs everything at full speed, and nothing breaks.
    pub models: Option<&'a Models>,
    /// How long re-cuts take.
    pub recut: Recut,
    /// Seed of those of their times that are drawn.
    pub recut_seed: u64,
    /// What happens to nodes, in order of time.
    pub planned: &'a [Planned],
    /// What becomes of pods that must go.
    pub fate: Fate<'a>,
    /// What keeps pods from being scheduled at first.
    pub gates: &'a Gates,
    /// Who cuts GPUs on demand.
    pub nos: Option<NosSetup<'a>>,
}

/// Who decides.
#[derive(Debug)]
pub enum Decider<'a> {
    /// The profile `ideal`.
    Ideal(Box<Scheduler<'a>>),
    /// kube-scheduler.
    Kube(Box<KubeScheduler>),
}

/// Figures of a run that are not in its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The moment of the last record.
    pub end: Time,
    /// Events handled.
    pub events: u64,
    /// Attempts to place a pod or gang.
    pub attempts: u64,
}

/// Runs until nothing can happen any more.
///
/// # Panics
/// On a broken invariant, which is a bug of ours or of a user's scoring policy.
pub fn run(
    setup: Setup<'_>,
    cluster: Cluster,
    decider: Decider<'_>,
    observer: &mut impl Observer,
) -> Outcome {
    let mut world = World {
        calendar: Calendar::new(),
        running: Running::new(cluster.gpus(), setup.models),
        state: vec![State::Unborn; setup.pods.pods.len()],
        next_arrival: 0,
        cycle_planned: None,
        fresh: Vec::new(),
        waiting: 0,
        departed: 0,
        reasons: Reasons::default(),
        disruptions: Disruptions::new(setup.fate.budgets, setup.planned.len()),
        failures: Breakage::default(),
        recuts: Recuts::default(),
        leaving: None,
        last: Time::ZERO,
        gated: Gated::new(setup.gates),
        nos: setup.nos.map(|nos| Nos::new(nos, setup.pods.requests, setup.pods.slices)),
        setup,
        cluster,
        decider,
        observer,
    };
    if let Decider::Kube(kube) = &mut world.decider
        && !world.observer.keeps_reasons()
    {
        kube.forget_messages();
    }
    for (index, planned) in setup.planned.iter().enumerate() {
        world.calendar.schedule(planned.at, Event::Planned, index as u32);
    }
    world.start_partitioner();
    world.start_failures();
    world.plan_arrival();
    let mut events = 0;
    while let Some(event) = world.calendar.pop() {
        events += 1;
        match event.kind {
            Event::Timer => world.timer(event.epoch),
            Event::Turn => world.turn(event.target, event.epoch),
            Event::Break => world.breaks(event.target, event.epoch),
            // Nothing breaks, and nothing is repaired, for nobody.
            Event::Fault | Event::Repaired if world.is_deserted() => break,
            Event::Fault => {
                if !world.fault(event.epoch) {
                    break;
                }
            }
            Event::Repaired => world.repaired(event.target),
            Event::Recut => world.recut_goes_on(event.target, event.epoch),
            Event::Evict => world.evict(event.target, event.epoch),
            Event::Bind => world.bind(PodId(event.target)),
            Event::Planned => world.planned(event.target),
            Event::Drain => world.drain(NodeId(event.target)),
            Event::Return => world.come_back(PodId(event.target)),
            Event::Ungate => world.ungate(PodId(event.target)),
            Event::Arrive => world.arrive(),
            Event::Partitioner => world.partitioner(event.epoch),
            Event::CycleEnd => world.cycle_end(),
            Event::Cycle => world.cycle(),
            Event::GiveUp => world.give_up(PodId(event.target)),
        }
        if events % 8_192 == 0 {
            world.observer.progress(world.calendar.now(), world.departed);
        }
    }
    // A clock that ticks for nobody does not make a run longer.
    let end = world.last;
    world.observer.progress(end, world.departed);
    let reasons = match &world.decider {
        Decider::Ideal(_) => &world.reasons,
        Decider::Kube(kube) => kube.reasons(),
    };
    world.observer.end(end, reasons);
    let attempts = match &world.decider {
        Decider::Ideal(scheduler) => scheduler.attempts(),
        Decider::Kube(kube) => kube.attempts(),
    };
    Outcome { end, events, attempts }
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unborn,
    Waiting,
    Running,
    Gone,
}

struct World<'a, 'o, O> {
    setup: Setup<'a>,
    calendar: Calendar<Event>,
    cluster: Cluster,
    decider: Decider<'a>,
    running: Running,
    state: Vec<State>,
    next_arrival: usize,
    /// The moment of the cycle on the calendar, if there is one.
    cycle_planned: Option<Time>,
    /// First pods of gangs, and pods alone, that arrived since the last cycle.
    fresh: Vec<PodId>,
    waiting: u64,
    departed: u64,
    reasons: Reasons,
    disruptions: Disruptions,
    failures: Breakage,
    recuts: Recuts,
    /// The node whose pods go because it goes itself.
    leaving: Option<NodeId>,
    /// The moment of the last record.
    last: Time,
    gated: Gated<'a>,
    nos: Option<Nos<'a>>,
    observer: &'o mut O,
}

impl<O: Observer> World<'_, '_, O> {
    fn emit(&mut self, record: Record<'_>) {
        self.last = self.calendar.now();
        self.observer.record(self.calendar.now(), record);
    }

    /// Whether pods are still to be created, for the first time or anew, or planned events are to come.
    fn expects(&self) -> bool {
        let arrivals = self.next_arrival < self.setup.pods.pods.len();
        arrivals || self.disruptions.away != 0 || self.disruptions.to_come != 0
    }

    fn plan_arrival(&mut self) {
        if let Some(pod) = self.setup.pods.pods.get(self.next_arrival) {
            self.calendar.schedule(pod.arrival, Event::Arrive, 0);
        }
    }

    /// Makes sure that a cycle runs now, or at the next multiple of the cycle's length.
    fn plan_cycle(&mut self) {
        if self.cycle_planned.is_some() {
            return;
        }
        let now = self.calendar.now();
        let at = match self.setup.cycle.0 {
            0 => now,
            length => Time(now.0.div_ceil(length) * length),
        };
        self.calendar.schedule(at, Event::Cycle, 0);
        self.cycle_planned = Some(at);
    }

    /// All pods of this moment enter the queue, or leave at once if no node could ever take them.
    fn arrive(&mut self) {
        let now = self.calendar.now();
        while let Some(pod) = self.setup.pods.pods.get(self.next_arrival)
            && pod.arrival == now
        {
            let first = PodId::of(self.next_arrival);
            self.next_arrival += pod.gang as usize;
            for member in self.setup.pods.members(first) {
                self.emit(Record::Arrived { pod: member });
            }
            if self.can_ever_fit(first) {
                self.set_state(first, State::Unborn, State::Waiting);
                self.waiting += u64::from(pod.gang);
                if !self.gate(first) {
                    self.enqueue(first);
                    self.fresh.push(first);
                }
            } else {
                let reason = match &mut self.decider {
                    Decider::Ideal(scheduler) => scheduler.never_fits(first, &mut self.reasons),
                    Decider::Kube(kube) => kube.never_fits(first, &self.setup.pods),
                };
                self.leave(first, State::Unborn, |pod| Record::NeverFits { pod, reason });
            }
        }
        if !self.fresh.is_empty() {
            self.plan_cycle();
        }
        self.plan_arrival();
    }

    fn can_ever_fit(&mut self, first: PodId) -> bool {
        match &mut self.decider {
            Decider::Ideal(scheduler) => scheduler.can_ever_fit(first),
            Decider::Kube(kube) => kube.can_ever_fit(self.setup.pods.shape(first)),
        }
    }

    fn enqueue(&mut self, first: PodId) {
        match &mut self.decider {
            Decider::Ideal(scheduler) => scheduler.enqueue(first),
            Decider::Kube(kube) => {
                kube.arrive(first, &self.setup.pods, self.setup.fate.budgets, self.calendar.now())
            }
        }
    }

    fn set_state(&mut self, first: PodId, from: State, to: State) {
        for member in self.setup.pods.members(first) {
            let state = &mut self.state[member.index()];
            assert!(*state == from, "pod {} is {state:?}, expected {from:?}", member.0);
            *state = to;
        }
    }

    /// A pod or gang departs without having run.
    fn leave(&mut self, first: PodId, from: State, record: impl Fn(PodId) -> Record<'static>) {
        self.set_state(first, from, State::Gone);
        for member in self.setup.pods.members(first) {
            self.emit(record(member));
            self.departed += 1;
        }
    }

    fn leave_queue(&mut self, first: PodId, record: impl Fn(PodId) -> Record<'static>) {
        let was_gated = self.leave_gates(first);
        match &mut self.decider {
            // It was never told of a pod that gates hold.
            Decider::Ideal(_) if was_gated => {}
            Decider::Ideal(scheduler) => scheduler.withdraw(first),
            Decider::Kube(kube) => kube.withdraw(first, self.calendar.now()),
        }
        self.waiting -= u64::from(self.setup.pods.pods[first.index()].gang);
        for member in self.setup.pods.members(first) {
            self.nos_forget(member);
        }
        self.leave(first, State::Waiting, record);
    }

    /// Places whom it can, and lets go whom the queue cannot hold.
    fn cycle(&mut self) {
        assert!(self.cycle_planned == Some(self.calendar.now()), "one cycle at a time");
        self.cycle_planned = None;
        match &mut self.decider {
            Decider::Ideal(_) => self.place_all(),
            Decider::Kube(_) => self.try_pods(),
        }
        self.settle_queue();
    }

    /// The cycle of `ideal`: places whom it can, and tells the newcomers that it could not place why.
    fn place_all(&mut self) {
        while let Decider::Ideal(scheduler) = &mut self.decider
            && let Decision::Bind(places) = scheduler.next(&mut self.cluster)
        {
            for (pod, placement) in places {
                self.cluster.bind(self.setup.pods.request(pod), &placement);
                self.start(pod, placement);
            }
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|first| self.state[first.index()] == State::Waiting);
        for first in &fresh {
            let Decider::Ideal(scheduler) = &mut self.decider else { unreachable!("who decides stays") };
            let reason = scheduler.explain(*first, &self.cluster, &mut self.reasons);
            for pod in self.setup.pods.members(*first) {
                self.emit(Record::Refused { pod, reason, rejectors: Plugins::NONE, nominated: None });
                self.nos_told(pod, reason, None);
            }
        }
        if self.setup.patience == Some(Span::ZERO) {
            for first in fresh.drain(..) {
                self.leave_queue(first, |pod| Record::GaveUp { pod });
            }
        }
        self.fresh = fresh;
    }

    /// Turns away whom the queue cannot hold, and plans the end of the others' patience.
    fn settle_queue(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|first| self.state[first.index()] == State::Waiting);
        let limit = self.setup.queue_limit.unwrap_or(u64::MAX);
        while limit < self.waiting
            && let Some(latest) = fresh.pop()
        {
            if !self.is_in_flight(latest) {
                self.leave_queue(latest, |pod| Record::TurnedAway { pod });
            }
        }
        // Without patience a pod leaves after its first attempt, whenever that is.
        if let Some(patience) = self.setup.patience.filter(|patience| *patience != Span::ZERO) {
            for first in &fresh {
                let end = (self.setup.pods.pods[first.index()].arrival + patience).max(self.calendar.now());
                self.calendar.schedule(end, Event::GiveUp, first.0);
            }
        }
        fresh.clear();
        self.fresh = fresh;
    }

    /// Its state says whether this event still means anything: patience counts from the arrival,
    /// also of a pod that ran in between and lost its place.
    fn give_up(&mut self, first: PodId) {
        if self.state[first.index()] == State::Waiting && !self.is_in_flight(first) {
            self.leave_queue(first, |pod| Record::GaveUp { pod });
        }
    }

    fn set_state_of(&mut self, pod: PodId, from: State, to: State) {
        let state = &mut self.state[pod.index()];
        assert!(*state == from, "pod {} is {state:?}, expected {from:?}", pod.0);
        *state = to;
    }

    /// Room was freed: whoever could use it is tried.
    fn freed(&mut self, pod: PodId, placement: &Placement) {
        self.given_back(placement);
        let node = placement.node;
        let ready = match &mut self.decider {
            Decider::Ideal(scheduler) => {
                scheduler.freed(node, &self.cluster);
                scheduler.has_ready()
            }
            Decider::Kube(kube) => kube.deleted(pod, node, self.calendar.now()),
        };
        if ready {
            self.plan_cycle();
        }
        self.arm();
    }
}
