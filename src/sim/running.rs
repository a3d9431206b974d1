//! Pods that run: how fast, through which phases, and what they have done.
//!
//! A pod's speed is constant between events. When somebody comes to a GPU or leaves it, the model is
//! asked once for that GPU, and only residents whose speed differs are settled and planned anew. Work
//! is counted in integers, so nothing drifts: a pod that ends has done its work to one tick.
//!
//! A pod that is slowed keeps the event it has and looks again when that comes; one that speeds up
//! gets an earlier one. So a crowd that grows costs no events.

use super::failure::Break;
use super::{Event, World};
use crate::cluster::{Cluster, Placement, Share};
use crate::engine::Epoch;
use crate::id::{BehaviorId, GpuId, PodId};
use crate::perf::{Models, Resident, Residuals};
use crate::record::{Observer, Record};
use crate::units::{Span, Speed, Time, Work};
use crate::workload::request::Unit;

/// What a pod that has its place is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It starts, or reads its checkpoint; it does not use its GPUs yet.
    Starting,
    /// It works.
    Working,
    /// It writes a checkpoint; its neighbours feel it as before (assumed).
    Saving,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) pod: PodId,
    pub(super) placement: Placement,
    pub(super) phase: Phase,
    /// Work left at `settled`.
    pub(super) left: Work,
    /// Work left when it last saved what it had done.
    pub(super) saved: Work,
    /// How fast it works when it works.
    pace: Speed,
    settled: Time,
    /// When it got its place.
    pub(super) since: Time,
    /// The end of its phase as planned: an event that comes no later.
    turn: Epoch,
    due: Time,
    /// When its grace ends, if it must go.
    pub(super) doom: Option<Epoch>,
    /// When it breaks by itself, if it does.
    pub(super) breaks: Option<(Epoch, Break)>,
}

impl Run {
    /// How fast it works now.
    pub(super) fn speed(&self) -> Speed {
        if self.phase == Phase::Working { self.pace } else { Speed::STILL }
    }

    /// Accounts for the work done until `now`.
    pub(super) fn settle(&mut self, now: Time) {
        if self.phase == Phase::Working {
            self.left = self.left.minus(Work::done(now.since(self.settled), self.pace));
        }
        self.settled = now;
    }
}

/// A pod on one GPU, as its neighbours feel it.
#[derive(Clone, Debug)]
struct Entry {
    resident: Resident,
    slot: u32,
    /// Its speed on this GPU.
    pace: Speed,
    /// What its neighbours do to it beyond the model, by neighbour, in order of pods.
    residuals: Vec<(PodId, f64)>,
}

/// Running pods in reusable slots; with models, also who stands on each GPU.
#[derive(Debug)]
pub(super) struct Running {
    slots: Vec<Option<Run>>,
    free: Vec<u32>,
    /// Pods on each GPU, whatever their phase, in order of slots; empty without models.
    on_gpu: Vec<Vec<u32>>,
    /// Those of them that use it, ordered by what they do; empty where speeds are not modelled.
    users: Vec<Vec<Entry>>,
    /// Scratch of a change.
    residents: Vec<Resident>,
    slowdowns: Vec<f64>,
    touched: Vec<u32>,
}

impl Running {
    pub(super) fn new(gpus: usize, models: Option<&Models>) -> Running {
        let lists = if models.is_some() { gpus } else { 0 };
        let users = if models.is_some_and(|models| models.sharing) { gpus } else { 0 };
        Running {
            slots: Vec::new(),
            free: Vec::new(),
            on_gpu: vec![Vec::new(); lists],
            users: vec![Vec::new(); users],
            residents: Vec::new(),
            slowdowns: Vec::new(),
            touched: Vec::new(),
        }
    }

    fn insert(&mut self, run: Run, cluster: &Cluster) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        if !self.on_gpu.is_empty() {
            for gpu in gpus_of(&run.placement, cluster) {
                let list = &mut self.on_gpu[gpu.index()];
                let at = list.partition_point(|other| *other < slot);
                list.insert(at, slot);
            }
        }
        self.slots[slot as usize] = Some(run);
        slot
    }

    /// Takes a pod from its slot and from the lists of its GPUs; not from those who use them.
    fn take(&mut self, slot: u32, cluster: &Cluster) -> Run {
        let run = self.slots[slot as usize].take().expect("a running slot");
        if !self.on_gpu.is_empty() {
            for gpu in gpus_of(&run.placement, cluster) {
                self.on_gpu[gpu.index()].retain(|other| *other != slot);
            }
        }
        self.free.push(slot);
        run
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    pub(super) fn has(&self, slot: u32) -> bool {
        self.slots[slot as usize].is_some()
    }

    /// The slots of some pods, in order of these. *O*(slots).
    pub(super) fn slots_where(&self, wanted: impl Fn(&Run) -> bool) -> Vec<u32> {
        let of = |(slot, run): (usize, &Option<Run>)| {
            run.as_ref().filter(|run| wanted(run)).map(|run| (run.pod, slot as u32))
        };
        let mut found: Vec<(PodId, u32)> = self.slots.iter().enumerate().filter_map(of).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, slot)| slot).collect()
    }

    pub(super) fn get(&self, slot: u32) -> &Run {
        self.slots[slot as usize].as_ref().expect("a running slot")
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Run {
        self.slots[slot as usize].as_mut().expect("a running slot")
    }

    pub(super) fn is_doomed(&self, slot: u32, epoch: Epoch) -> bool {
        self.slots[slot as usize].as_ref().is_some_and(|run| run.doom == Some(epoch))
    }

    /// What breaks a pod at this event, if the event still means it.
    pub(super) fn breaks(&mut self, slot: u32, epoch: Epoch) -> Option<Break> {
        let run = self.slots[slot as usize].as_mut()?;
        run.breaks.take_if(|(planned, _)| *planned == epoch).map(|(_, what)| what)
    }

    fn waits_for(&self, slot: u32, epoch: Epoch) -> bool {
        self.slots[slot as usize].as_ref().is_some_and(|run| run.turn == epoch)
    }

    /// The pods on a GPU, in order of slots.
    pub(super) fn on_gpu(&self, gpu: GpuId) -> &[u32] {
        &self.on_gpu[gpu.index()]
    }

    /// Lists a pod among the users of its GPUs.
    fn use_gpus(&mut self, slot: u32, behavior: BehaviorId, gb: u16, cluster: &Cluster, models: &Models) {
        let run = self.slots[slot as usize].as_ref().expect("a running slot");
        let (pod, place) = (run.pod, &run.placement);
        let share = &cluster.class(place.node).share;
        let threads = models.model.threads(share, gb);
        let residuals = Residuals::of(&models.model, models.seed).filter(|r| r.sigma(share) != 0.0);
        for gpu in place.grant.gpus() {
            let slices = place.compute_slices(share, gpu);
            let resident = Resident { behavior, slices, threads };
            let users = &mut self.users[cluster.gpu_id(place.node, gpu).index()];
            let mut own = Vec::new();
            if let Some(residuals) = &residuals {
                for other in users.iter_mut() {
                    let beside = self.slots[other.slot as usize].as_ref().expect("a user runs").pod;
                    let at = other.residuals.partition_point(|(known, _)| *known < pod);
                    other.residuals.insert(at, (pod, residuals.draw(beside, pod)));
                    own.push((beside, residuals.draw(pod, beside)));
                }
                own.sort_unstable_by_key(|(beside, _)| *beside);
            }
            let entry = Entry { resident, slot, pace: Speed::STILL, residuals: own };
            let at = users.partition_point(|other| (other.resident, other.slot) < (resident, slot));
            users.insert(at, entry);
        }
    }

    fn leave_gpus(&mut self, run: &Run, slot: u32, cluster: &Cluster) {
        if self.users.is_empty() {
            return;
        }
        for gpu in gpus_of(&run.placement, cluster) {
            let users = &mut self.users[gpu.index()];
            users.retain(|entry| entry.slot != slot);
            for other in users {
                other.residuals.retain(|(beside, _)| *beside != run.pod);
            }
        }
    }

    /// Asks the model about one GPU and notes whose speed on it differs; of `newcomer` alone where
    /// neighbours do not matter.
    fn judge(&mut self, gpu: GpuId, share: &Share, models: &Models, newcomer: Option<u32>) {
        let model = models.speed_model();
        let alone = !model.minds_neighbours(share);
        let users = &mut self.users[gpu.index()];
        let asked = |entry: &Entry| !alone || Some(entry.slot) == newcomer;
        self.residents.clear();
        self.residents.extend(users.iter().filter(|entry| asked(entry)).map(|entry| entry.resident));
        if self.residents.is_empty() {
            return;
        }
        self.slowdowns.clear();
        model.slowdowns(share, &self.residents, &mut self.slowdowns);
        assert!(self.slowdowns.len() == self.residents.len(), "a speed model answers for every resident");
        let sigma = Residuals::of(&models.model, models.seed).map_or(0.0, |r| r.sigma(share));
        for (entry, slowdown) in users.iter_mut().filter(|entry| asked(entry)).zip(&self.slowdowns) {
            let slowdown = match entry.residuals.len() {
                0 => *slowdown,
                n => {
                    let sum = entry.residuals.iter().map(|(_, z)| z).sum();
                    Residuals::apply(sigma, *slowdown, sum, n)
                }
            };
            let pace = Speed::from_ratio(1.0 / slowdown);
            if entry.pace != pace {
                entry.pace = pace;
                self.touched.push(entry.slot);
            }
        }
    }

    /// The speed of a pod among its neighbours: the slowest of its GPUs sets the pace.
    fn pace(&self, slot: u32, cluster: &Cluster) -> Speed {
        let place = &self.get(slot).placement;
        let on = |gpu: GpuId| {
            let entry = self.users[gpu.index()].iter().find(|entry| entry.slot == slot);
            entry.expect("a user is listed on its GPU").pace
        };
        gpus_of(place, cluster).map(on).min().unwrap_or(Speed::FULL)
    }
}

/// The GPUs of a placement, numbered through all nodes.
pub(super) fn gpus_of<'c>(place: &Placement, cluster: &'c Cluster) -> impl Iterator<Item = GpuId> + use<'c> {
    let node = place.node;
    place.grant.gpus().map(move |gpu| cluster.gpu_id(node, gpu))
}

impl<O: Observer> World<'_, '_, O> {
    /// A pod whose place is bound begins to run.
    pub(super) fn start(&mut self, pod: PodId, placement: Placement) -> u32 {
        self.set_state_of(pod, super::State::Waiting, super::State::Running);
        self.waiting -= 1;
        let now = self.calendar.now();
        let node = placement.node;
        let grant = placement.grant.clone();
        let all = Work::alone(self.setup.truths[pod.index()].work);
        let kept = self.failures.kept(pod);
        let left = kept.unwrap_or(all);
        let life = self.setup.models.map(|models| *models.life(pod, &self.setup.pods));
        let wait =
            life.map_or(
                Span::ZERO,
                |life| {
                    if kept.is_some() { life.start_up + life.resume } else { life.start_up }
                },
            );
        let phase = if wait == Span::ZERO { Phase::Working } else { Phase::Starting };
        let run = Run {
            pod,
            placement,
            phase,
            left,
            saved: left,
            pace: Speed::FULL,
            settled: now,
            since: now,
            turn: Epoch::default(),
            due: now,
            doom: None,
            breaks: None,
        };
        let slot = self.running.insert(run, &self.cluster);
        match phase {
            Phase::Working => {
                // Its own speed comes with the record that binds it; then the others'.
                let touched = self.join(slot);
                let speed = self.running.get(slot).speed();
                self.emit(Record::Bound { pod, node, grant: &grant, speed });
                self.count_started(pod);
                self.nos_bound(pod, node);
                self.plan_turn(slot);
                self.respeed(touched, Some(slot));
            }
            _ => {
                self.emit(Record::Bound { pod, node, grant: &grant, speed: Speed::STILL });
                self.count_started(pod);
                self.nos_bound(pod, node);
                let end = now + wait;
                let run = self.running.get_mut(slot);
                (run.due, run.turn) = (end, self.calendar.schedule(end, Event::Turn, slot));
            }
        }
        self.plan_break(slot);
        slot
    }

    /// A pod begins to use its GPUs: its pace is set, and who is slowed by it is returned.
    fn join(&mut self, slot: u32) -> Vec<u32> {
        let Some(models) = self.setup.models.filter(|models| models.sharing) else { return Vec::new() };
        let run = self.running.get(slot);
        let behavior = models.behavior(run.pod, &self.setup.pods);
        let gb = match self.setup.pods.request(run.pod).gpu.map(|gpu| gpu.unit) {
            Some(Unit::MemoryGb(gb)) => gb,
            _ => 0,
        };
        self.running.use_gpus(slot, behavior, gb, &self.cluster, models);
        let touched = self.judge_gpus(slot, models);
        let pace = self.running.pace(slot, &self.cluster);
        self.running.get_mut(slot).pace = pace;
        touched
    }

    fn judge_gpus(&mut self, slot: u32, models: &Models) -> Vec<u32> {
        let place = &self.running.get(slot).placement;
        let share = &self.cluster.class(place.node).share;
        let gpus: Vec<GpuId> = gpus_of(place, &self.cluster).collect();
        for gpu in gpus {
            self.running.judge(gpu, share, models, Some(slot));
        }
        std::mem::take(&mut self.running.touched)
    }

    /// A pod that is gone used its GPUs no longer: who stays runs faster.
    pub(super) fn part(&mut self, run: &Run, slot: u32) {
        let Some(models) = self.setup.models.filter(|models| models.sharing) else { return };
        if run.phase == Phase::Starting {
            return;
        }
        self.running.leave_gpus(run, slot, &self.cluster);
        let share = &self.cluster.class(run.placement.node).share;
        for gpu in gpus_of(&run.placement, &self.cluster) {
            self.running.judge(gpu, share, models, None);
        }
        let touched = std::mem::take(&mut self.running.touched);
        self.respeed(touched, None);
    }

    /// These pods may run at new speeds from now on.
    fn respeed(&mut self, mut touched: Vec<u32>, but: Option<u32>) {
        let now = self.calendar.now();
        touched.sort_unstable();
        touched.dedup();
        for slot in touched.iter().copied().filter(|slot| Some(*slot) != but) {
            let pace = self.running.pace(slot, &self.cluster);
            let run = self.running.get_mut(slot);
            if run.pace == pace {
                continue;
            }
            run.settle(now);
            run.pace = pace;
            if run.phase == Phase::Working {
                let pod = run.pod;
                self.emit(Record::SpeedChanged { pod, speed: pace });
                self.plan_turn(slot);
            }
        }
        touched.clear();
        self.running.touched = touched;
    }

    /// Puts the end of a working pod's phase on the calendar, unless an event is there that comes no later.
    fn plan_turn(&mut self, slot: u32) {
        let stop = self.stop(slot);
        let now = self.calendar.now();
        let run = self.running.get_mut(slot);
        let end = run.settled + run.left.minus(stop).time_at(run.pace);
        let waits = run.turn != Epoch::NONE && run.due <= end && now <= run.due;
        if !waits {
            (run.due, run.turn) = (end, self.calendar.schedule(end, Event::Turn, slot));
        }
    }

    /// The work that is left when a pod writes its next checkpoint; none at its end.
    fn stop(&self, slot: u32) -> Work {
        let run = self.running.get(slot);
        let Some(models) = self.setup.models else { return Work::default() };
        let Some(checkpoint) = models.life(run.pod, &self.setup.pods).checkpoint else {
            return Work::default();
        };
        let all = Work::alone(self.setup.truths[run.pod.index()].work);
        let every = Work::alone(checkpoint.every);
        // A checkpoint may come a fraction of a tick late, so pieces count from the last one.
        let pieces = all.minus(run.saved).0 / every.0 + 1;
        let at = pieces.checked_mul(every.0).filter(|at| *at < all.0);
        at.map_or(Work::default(), |at| all.minus(Work(at)))
    }

    /// The phase of a pod ends, or it is time to look.
    pub(super) fn turn(&mut self, slot: u32, epoch: Epoch) {
        // The slot may be free, or run under a later plan: its speed changed after this event was made.
        if !self.running.waits_for(slot, epoch) {
            return;
        }
        let now = self.calendar.now();
        let stop = self.stop(slot);
        let run = self.running.get_mut(slot);
        run.turn = Epoch::NONE;
        run.settle(now);
        match run.phase {
            Phase::Starting => {
                run.phase = Phase::Working;
                let pod = run.pod;
                let touched = self.join(slot);
                let speed = self.running.get(slot).speed();
                self.emit(Record::SpeedChanged { pod, speed });
                self.plan_turn(slot);
                self.respeed(touched, Some(slot));
            }
            Phase::Saving => {
                run.phase = Phase::Working;
                run.saved = run.left;
                let (pod, speed) = (run.pod, run.speed());
                self.emit(Record::SpeedChanged { pod, speed });
                self.plan_turn(slot);
            }
            // It was slowed since.
            Phase::Working if stop < run.left => self.plan_turn(slot),
            Phase::Working if run.left == Work::default() => self.finish(slot),
            Phase::Working => {
                let pod = run.pod;
                let life = self.setup.models.expect("checkpoints are a model").life(pod, &self.setup.pods);
                let cost = life.checkpoint.expect("it stopped for one").cost;
                let run = self.running.get_mut(slot);
                run.phase = Phase::Saving;
                self.emit(Record::SpeedChanged { pod, speed: Speed::STILL });
                let end = now + cost;
                let turn = self.calendar.schedule(end, Event::Turn, slot);
                let run = self.running.get_mut(slot);
                (run.due, run.turn) = (end, turn);
            }
        }
    }

    fn finish(&mut self, slot: u32) {
        let run = self.leave_place(slot);
        assert!(run.left == Work::default(), "a pod ends when its work is done");
        self.set_state_of(run.pod, super::State::Running, super::State::Gone);
        self.failures.forget(run.pod);
        self.count_finished(&run);
        self.departed += 1;
        self.emit(Record::Finished { pod: run.pod });
        self.nos_gone(run.pod, run.placement.node);
        self.part(&run, slot);
        self.freed(run.pod, &run.placement);
    }

    /// A pod gives back what it holds, its work accounted for.
    pub(super) fn leave_place(&mut self, slot: u32) -> Run {
        let mut run = self.running.take(slot, &self.cluster);
        run.settle(self.calendar.now());
        self.cluster.release(self.setup.pods.request(run.pod), &run.placement);
        run
    }
}
