//! One run of changes: how a step is taken, and how everything is taken back.

use super::journal::{Found, Journal, Line, Op, SCHEMA};
use super::snapshot::{Snapshot, Spot, Stands};
use super::{Applied, Files, Recovered, Remains};
use crate::device::{Asked, Class, Code, Compute, Failed, Host, Instance, Inventory, Nvml, Process};
use crate::gpu::{Catalogue, Product, Step, plan_to};
use crate::validate::sharing::Timed;
use crate::validate::values::{Facts, Values};
use crate::validate::{Finding, Outcome, Severity, Target, Verdict, check};
use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that may work a moment later is repeated so often, a tenth of a second apart.
const TRIES: u32 = 10;
/// The way back is begun anew so often.
const ROUNDS: u32 = 10;

/// What happens, as it happens.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A line of the journal is on disk.
    Journal(&'a str),
    /// The driver came back from a call that changes something.
    Called(&'a Op),
    /// The way back begins, for this reason.
    Restoring(&'a str),
}

/// Times work on slices, given by name and UUID of their MIG devices.
pub type Measure<'a> = dyn Fn(&[(String, String)]) -> Result<Vec<Timed>, String> + 'a;

/// What a run of changes works with.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The driver.
    pub nvml: &'a Nvml,
    /// The machine.
    pub host: &'a Host,
    /// The state folder.
    pub folder: &'a Path,
    /// 2, or 3 where the MIG mode may be changed.
    pub level: u8,
    /// Goes on though somebody else manages the GPUs of this machine.
    pub forced: bool,
    /// Waits for a tenth of a second.
    pub wait: &'a dyn Fn(),
    /// Set by a signal.
    pub stop: &'a AtomicBool,
    /// Told of what happens.
    pub watch: &'a dyn Fn(Event<'_>),
    /// Times work on the slices of a verified layout, by name and MIG UUID.
    pub measure: Option<&'a Measure<'a>>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("folder", &self.folder).field("level", &self.level).finish()
    }
}

/// Why the way to a layout ended early.
enum Stop {
    /// There is no room for it, says the driver or the planner.
    Infeasible(String),
    /// A call failed.
    Call(Failed, String),
    /// A signal came.
    Signal,
    /// Something else.
    Other(String),
}

/// Why the way back is not at its end.
enum Trouble {
    /// A call failed: perhaps it works in another round.
    Call(Failed),
    /// The device is not yet as it should be.
    Differs,
    /// No further round will help.
    Final(String),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Trouble {
        Trouble::Call(failed)
    }
}

/// One GPU under change.
struct Work<'a> {
    session: Session<'a>,
    uuid: &'a str,
    snapshot: Snapshot,
    journal: Journal,
    /// Whether the journal still takes lines. It must while going there; on the way back the GPU
    /// comes first.
    broken: Option<String>,
    /// Profile ids to ask for.
    ids: Vec<u32>,
    level: u8,
    steps: RefCell<Vec<String>>,
    names: &'a dyn Fn(u32) -> String,
}

impl Session<'_> {
    /// Whether a signal came.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Repeats what may work a moment later.
    fn patiently<T>(&self, mut ask: impl FnMut() -> Result<T, Failed>) -> Result<T, Failed> {
        for _ in 0..TRIES {
            match ask() {
                Err(failed) if matches!(failed.class(), Class::Transient | Class::Busy) => (self.wait)(),
                other => return other,
            }
        }
        ask()
    }

    /// Why these GPUs may not be changed now; empty if they may.
    #[must_use]
    pub fn preconditions(&self, uuids: &[String]) -> Vec<String> {
        let mut blocked = Vec::new();
        let managers = self.host.managers();
        if !managers.is_empty() && !self.forced {
            let who = managers.join(", ");
            blocked.push(format!(
                "somebody else cuts the GPUs of this machine: {who}; --force goes on all the same"
            ));
        }
        for uuid in uuids {
            if let Err(why) = self.precondition(uuid) {
                blocked.extend(why.into_iter().map(|w| format!("{uuid}: {w}")));
            }
        }
        blocked
    }

    fn precondition(&self, uuid: &str) -> Result<(), Vec<String>> {
        let told = |failed: Failed| vec![failed.to_string()];
        let mode = self.patiently(|| self.nvml.mode(uuid)).map_err(|failed| match failed.class() {
            Class::Unsupported => vec!["it has no MIG".to_owned()],
            _ => told(failed),
        })?;
        let mut why = Vec::new();
        if mode.current != mode.pending {
            why.push("its MIG mode waits for a reset: reset it or reboot first".to_owned());
        } else if !mode.current && self.level < 3 {
            why.push("MIG is off: --toggle-mig turns it on for the time".to_owned());
        }
        why.extend(self.users(uuid).map_err(told)?);
        if why.is_empty() && mode.current {
            // Whoever may not read what stands may not change it either.
            why.extend(self.look(uuid).err());
        }
        if why.is_empty() { Ok(()) } else { Err(why) }
    }

    /// Who uses these GPUs, in words; also why that cannot be told. Empty if nobody does.
    #[must_use]
    pub fn idle(&self, uuids: &[String]) -> Vec<String> {
        let one = |uuid: &String| {
            let users = self.users(uuid).unwrap_or_else(|failed| vec![failed.to_string()]);
            users.into_iter().map(|who| format!("{uuid}: {who}")).collect::<Vec<_>>()
        };
        uuids.iter().flat_map(one).collect()
    }

    fn users(&self, uuid: &str) -> Result<Vec<String>, Failed> {
        let mut processes = self.patiently(|| self.nvml.processes(uuid))?;
        let minor = self.patiently(|| self.nvml.minor(uuid))?;
        processes.extend(self.host.holders(minor, uuid));
        let words = |p: &Process| format!("process {} is on it ({}, {})", p.pid, p.how, p.on);
        Ok(processes.iter().map(words).collect())
    }

    /// Puts right what an earlier run left; `None` if none did.
    #[must_use]
    pub fn recover(&self, uuid: &str) -> Option<Recovered> {
        let files = Files::of(self.folder, uuid);
        let failed = |why: String| {
            let remains = Remains {
                read: false,
                missing: Vec::new(),
                extra: Vec::new(),
                mig: None,
                why,
                commands: Vec::new(),
            };
            Some(Recovered {
                uuid: uuid.to_owned(),
                outcome: Outcome::RollbackFailed,
                steps: Vec::new(),
                findings: Vec::new(),
                remains: Some(remains),
            })
        };
        let found = match Found::read(&files.journal) {
            Ok(found) => found.filter(|f| !f.is_finished())?,
            Err(why) => return failed(why),
        };
        let Some(Line::Begin { snapshot, level, .. }) = found.lines.first() else {
            return failed(format!("{} does not begin", files.journal.display()));
        };
        let snapshot = match Snapshot::read(&files.snapshot, snapshot) {
            Ok(snapshot) => snapshot,
            Err(why) => return failed(why),
        };
        let journal = match found.go_on(&files.journal) {
            Ok(journal) => journal,
            Err(error) => return failed(format!("{}: {error}", files.journal.display())),
        };
        let names = |id: u32| format!("profile {id}");
        let mut work = Work {
            session: *self,
            uuid,
            snapshot,
            journal,
            broken: None,
            ids: Vec::new(),
            level: self.level.max(*level),
            steps: RefCell::default(),
            names: &names,
        };
        let restored = work.restore("an earlier run ended before it had restored");
        let steps = work.steps.take();
        let outcome = match restored {
            Ok(()) => Outcome::Feasible,
            Err(_) => Outcome::RollbackFailed,
        };
        if restored.is_ok() {
            work.end("restored by a later run");
        }
        let findings = work.made_anew().into_iter().chain(work.unwritten()).collect();
        Some(Recovered { uuid: uuid.to_owned(), outcome, steps, findings, remains: restored.err() })
    }

    /// Makes a target on a GPU, verifies it, and restores what stood.
    #[must_use]
    pub fn apply(&self, uuid: &str, catalogue: &Catalogue, target: &Target) -> Applied {
        let blocked = |error: String| Applied {
            outcome: Outcome::Blocked,
            steps: Vec::new(),
            error: Some(error),
            findings: Vec::new(),
            timed: Vec::new(),
            remains: None,
        };
        let (snapshot, ids) = match self.look(uuid) {
            Ok(seen) => seen,
            Err(why) => return blocked(why),
        };
        let files = Files::of(self.folder, uuid);
        let begun = snapshot.write(&files.snapshot).and_then(|hash| {
            let begin = Line::Begin {
                seq: 0,
                schema: SCHEMA,
                boot: self.host.boot_id(),
                uuid: uuid.to_owned(),
                driver: snapshot.driver.clone(),
                level: self.level,
                snapshot: hash,
                plan: target.describe(),
            };
            Journal::begin(&files.journal, &begin)
        });
        let journal = match begun {
            Ok((journal, line)) => {
                (self.watch)(Event::Journal(&line));
                journal
            }
            Err(error) => return blocked(format!("the state folder {}: {error}", self.folder.display())),
        };
        let known = RefCell::new(None::<Values>);
        let names = |id: u32| {
            known.borrow().as_ref().map_or_else(|| format!("profile {id}"), |v: &Values| v.name(id))
        };
        let mut work = Work {
            session: *self,
            uuid,
            snapshot,
            journal,
            broken: None,
            ids,
            level: self.level,
            steps: RefCell::default(),
            names: &names,
        };
        let (mut findings, mut timed) = (Vec::new(), Vec::new());
        let went = work.go(catalogue, target, &known, &mut findings, &mut timed);
        let touched = !work.journal.ops.is_empty();
        let (outcome, error) = match &went {
            Ok(()) => (Outcome::Feasible, None),
            Err(Stop::Infeasible(why)) => (Outcome::NotFeasible, Some(why.clone())),
            Err(Stop::Signal) => (Outcome::Interrupted, Some("interrupted by a signal".to_owned())),
            Err(Stop::Call(_, why) | Stop::Other(why)) if touched => (Outcome::Error, Some(why.clone())),
            Err(Stop::Call(_, why) | Stop::Other(why)) => (Outcome::Blocked, Some(why.clone())),
        };
        // After these codes not a further call goes to the GPU: what is missing is the journal's word.
        let end = matches!(&went, Err(Stop::Call(failed, _)) if failed.code.is_end());
        let reason = error.clone().unwrap_or_else(|| "it was tried".to_owned());
        let restored = match (touched, end) {
            (false, _) => Ok(()),
            (true, true) => Err(work.unread(&reason)),
            (true, false) => work.restore(&reason),
        };
        match restored {
            Ok(()) => {
                work.end(outcome.sentence());
                findings.extend(work.made_anew());
                findings.extend(work.unwritten());
                Applied { outcome, steps: work.steps.take(), error, findings, timed, remains: None }
            }
            Err(remains) => Applied {
                outcome: Outcome::RollbackFailed,
                steps: work.steps.take(),
                error,
                findings,
                timed,
                remains: Some(remains),
            },
        }
    }

    /// A GPU as it stands, and the profile ids to ask for. What is read must agree with itself: every
    /// MIG device is a compute instance that was seen, and every one seen has its device.
    fn look(&self, uuid: &str) -> Result<(Snapshot, Vec<u32>), String> {
        let told = |failed: Failed| failed.to_string();
        let driver = self.patiently(|| self.nvml.driver()).map_err(told)?;
        let mode = self.patiently(|| self.nvml.mode(uuid)).map_err(told)?;
        if mode.current != mode.pending {
            return Err("its MIG mode waits for a reset".to_owned());
        }
        if !mode.current {
            return Ok((Snapshot::new(uuid, false, driver, &[]), Vec::new()));
        }
        let ids = self.patiently(|| self.nvml.profile_ids(uuid)).map_err(told)?;
        let instances = self.patiently(|| self.nvml.instances(uuid, &ids)).map_err(told)?;
        let devices = self.patiently(|| self.nvml.mig_devices(uuid)).map_err(told)?;
        let of = |i: &Instance| i.compute.iter().map(|c| (i.id, c.id)).collect::<Vec<_>>();
        let mut seen: Vec<(u32, u32)> = instances.iter().flat_map(of).collect();
        let mut shown: Vec<(u32, u32)> = devices.iter().map(|d| (d.instance, d.compute)).collect();
        seen.sort_unstable();
        shown.sort_unstable();
        if seen != shown {
            return Err(format!(
                "its instances and its MIG devices do not agree ({} compute instances, {} devices)",
                seen.len(),
                shown.len()
            ));
        }
        Ok((Snapshot::new(uuid, true, driver, &instances), ids))
    }
}

impl Work<'_> {
    /// Takes a line down. While going there a journal that does not take it ends the way.
    fn note(&mut self, line: &Line) -> Result<(), Stop> {
        match self.journal.write(line) {
            Ok(text) => {
                (self.session.watch)(Event::Journal(&text));
                Ok(())
            }
            Err(why) => {
                self.broken.get_or_insert(why.clone());
                Err(Stop::Other(format!("the journal cannot be written: {why}")))
            }
        }
    }

    /// Says that nothing is left to do. If that cannot be written, the next run finds nothing to do.
    fn end(&mut self, outcome: &str) {
        let _ = self.note(&Line::End { outcome: outcome.to_owned() });
    }

    /// What stands, as often as it takes to be told.
    fn stands(&self) -> Result<Vec<Instance>, Failed> {
        self.session.patiently(|| self.session.nvml.instances(self.uuid, &self.ids))
    }

    /// Whether a change shows on the device.
    fn shows(&self, op: &Op, stands: &[Instance]) -> Result<bool, Failed> {
        let of = |gi: Spot| stands.iter().map(Stands::of).find(|s| s.gi == gi);
        Ok(match op {
            Op::SetMode { on } => {
                let mode = self.session.nvml.mode(self.uuid)?;
                mode.current == *on && mode.pending == *on
            }
            Op::CreateGi { gi } => of(*gi).is_some(),
            Op::DestroyGi { gi } => of(*gi).is_none(),
            Op::CreateCi { gi, ci } => of(*gi).is_some_and(|s| s.compute.contains(ci)),
            Op::DestroyCi { gi, ci } => of(*gi).is_none_or(|s| !s.compute.contains(ci)),
        })
    }

    /// One call for a change. What it made is added to `stands`, what it ended taken off.
    fn call(&self, op: &Op, stands: &mut Vec<Instance>) -> Result<Option<u32>, Failed> {
        let (nvml, uuid) = (self.session.nvml, self.uuid);
        // Seen before it is changed; if it has gone meanwhile, somebody else is at work here.
        let gone = Failed { call: "nvmlDeviceGetGpuInstances", asked: Asked::Read, code: Code::NOT_FOUND };
        let position = |gi: Spot, stands: &[Instance]| {
            stands.iter().position(|i| Spot::new(i.profile, i.place) == gi).ok_or(gone)
        };
        match *op {
            Op::SetMode { on } => nvml.set_mode(uuid, on).map(|()| None),
            Op::CreateGi { gi } => {
                let id = nvml.create_instance(uuid, gi.profile, gi.place())?;
                stands.push(Instance { id, profile: gi.profile, place: gi.place(), compute: Vec::new() });
                Ok(Some(id))
            }
            Op::DestroyGi { gi } => {
                let at = position(gi, stands)?;
                nvml.destroy_instance(uuid, stands[at].id)?;
                stands.remove(at);
                Ok(None)
            }
            Op::CreateCi { gi, ci } => {
                let at = position(gi, stands)?;
                let id = nvml.create_compute(uuid, stands[at].id, ci.profile, ci.place())?;
                let made = Compute { id, profile: ci.profile, place: ci.place() };
                stands[at].compute.push(made);
                Ok(Some(id))
            }
            Op::DestroyCi { gi, ci } => {
                let at = position(gi, stands)?;
                let found = stands[at].compute.iter().position(|c| Spot::new(c.profile, c.place) == ci);
                let found = found.ok_or(gone)?;
                nvml.destroy_compute(uuid, stands[at].id, stands[at].compute[found].id)?;
                stands[at].compute.remove(found);
                Ok(None)
            }
        }
    }

    /// Makes a change: announced first, repeated where that may help, looked at where it is unclear
    /// whether it took effect.
    fn change(&mut self, op: Op, stands: &mut Vec<Instance>, back: bool) -> Result<(), Stop> {
        if !back && self.session.stopped() {
            return Err(Stop::Signal);
        }
        let seq = self.journal.next(op);
        if let Err(stop) = self.note(&Line::Intent { seq, op })
            && !back
        {
            self.journal.ops.pop();
            return Err(stop);
        }
        let mut tries = 0;
        let made = loop {
            let made = self.call(&op, stands);
            (self.session.watch)(Event::Called(&op));
            let Err(failed) = made else { break made };
            if !matches!(failed.class(), Class::Transient | Class::Busy) || TRIES <= tries {
                break Err(failed);
            }
            tries += 1;
            (self.session.wait)();
            // It may have taken effect all the same: a second attempt would then fail, or make two.
            if !matches!(op, Op::SetMode { .. }) {
                match self.stands() {
                    Ok(now) => *stands = now,
                    Err(failed) => break Err(failed),
                }
            }
            match self.shows(&op, stands) {
                Ok(true) => break Ok(None),
                Ok(false) => {}
                Err(failed) => break Err(failed),
            }
        };
        // SetMigMode succeeds though nothing may have happened: the device has the last word.
        let made = match (made, op) {
            (Ok(_), Op::SetMode { on }) => match self.session.patiently(|| self.session.nvml.mode(self.uuid))
            {
                Ok(mode) if mode.current == on && mode.pending == on => Ok(None),
                Ok(_) => Err(Failed {
                    call: "nvmlDeviceSetMigMode",
                    asked: Asked::Change,
                    code: Code::RESET_REQUIRED,
                }),
                Err(failed) => Err(failed),
            },
            (made, _) => made,
        };
        let words = self.words(&op);
        match made {
            Ok(instance) => {
                self.steps.borrow_mut().push(words);
                match self.note(&Line::Done { seq, instance }) {
                    Err(stop) if !back => Err(stop),
                    _ => Ok(()),
                }
            }
            Err(failed) => {
                self.steps.borrow_mut().push(format!("{words}: failed, {}", failed.code));
                let noted = self.note(&Line::Failed { seq, code: failed.code.0 });
                let why = format!("{words}: {failed}");
                match failed.class() {
                    Class::Infeasible => Err(Stop::Infeasible(why)),
                    _ => match noted {
                        Err(stop) if !back && !failed.code.is_end() => Err(stop),
                        _ => Err(Stop::Call(failed, why)),
                    },
                }
            }
        }
    }

    /// A change in words.
    fn words(&self, op: &Op) -> String {
        let name = |gi: &Spot| format!("{}@{}", (self.names)(gi.profile), gi.start);
        let part = |ci: &Spot| format!("compute instance {}:{} (profile {})", ci.start, ci.size, ci.profile);
        match op {
            Op::SetMode { on } => format!("turn MIG {}", if *on { "on" } else { "off" }),
            Op::CreateGi { gi } => format!("create {}", name(gi)),
            Op::DestroyGi { gi } => format!("destroy {}", name(gi)),
            Op::CreateCi { gi, ci } => format!("create {} of {}", part(ci), name(gi)),
            Op::DestroyCi { gi, ci } => format!("destroy {} of {}", part(ci), name(gi)),
        }
    }

    /// The way to a layout.
    fn go(
        &mut self,
        catalogue: &Catalogue,
        target: &Target,
        known: &RefCell<Option<Values>>,
        findings: &mut Vec<Finding>,
        timed: &mut Vec<Timed>,
    ) -> Result<(), Stop> {
        let call = |failed: Failed| Stop::Call(failed, failed.to_string());
        let mut stands = Vec::new();
        if !self.snapshot.mig {
            self.change(Op::SetMode { on: true }, &mut stands, false)?;
            self.ids = self.session.patiently(|| self.session.nvml.profile_ids(self.uuid)).map_err(call)?;
        }
        stands = self.stands().map_err(call)?;
        if Stands::all(&stands) != self.snapshot.instances {
            return Err(Stop::Other("what stands changed since the snapshot was taken".to_owned()));
        }
        let inventory = Inventory::of(&self.session.nvml.read(&[self.uuid.to_owned()]));
        let device = inventory.devices.first();
        let device = device.ok_or_else(|| Stop::Other("the GPU is no longer there".to_owned()))?;
        if let Some(code) = device.profiles_failed {
            return Err(Stop::Other(format!("not all profiles could be read: {code}")));
        }
        let row = device.name.as_deref().and_then(|name| catalogue.find(name));
        let (values, _) = Values::of(device, row);
        let values = values.ok_or_else(|| Stop::Other("the GPU does not say what it can hold".to_owned()))?;
        *known.borrow_mut() = Some(values.clone());
        let product = &values.product;
        let state = values.state(&stands);
        let state = state
            .ok_or_else(|| Stop::Other("what stands cannot be by the device's own profiles".to_owned()))?;
        let layout = check::layout(product, state, target).map_err(|verdict| match verdict {
            Verdict::Infeasible { why, .. } => Stop::Infeasible(why),
            _ => Stop::Other("the target cannot be judged".to_owned()),
        })?;
        let states = product.states();
        let plan = plan_to(states, state, states.state(layout));
        for step in plan.steps(states) {
            let (Step::Destroy(place) | Step::Create(place)) = step;
            let slice = states.place(place).slice;
            let facts = values.facts[usize::from(slice.profile)];
            let gi = Spot { start: u32::from(slice.start), size: facts.size, profile: facts.id };
            match step {
                Step::Destroy(_) => self.destroy(gi, &mut stands, false)?,
                Step::Create(_) => {
                    self.change(Op::CreateGi { gi }, &mut stands, false)?;
                    self.make_whole(gi, facts, &mut stands)?;
                }
            }
        }
        // What was kept may have other compute instances than one of its full size.
        let kept: Vec<Spot> = stands.iter().map(|i| Spot::new(i.profile, i.place)).collect();
        for gi in kept {
            let facts = values.facts.iter().find(|f| f.id == gi.profile).copied();
            self.make_whole(gi, facts.expect("the layout is of these profiles"), &mut stands)?;
        }
        let devices = self.verify(&values, product, layout, findings)?;
        if let Some(measure) = self.session.measure {
            let measured = measure(&devices);
            if self.session.stopped() {
                return Err(Stop::Signal);
            }
            *timed = measured.map_err(Stop::Other)?;
        }
        Ok(())
    }

    /// Destroys a GPU instance, its compute instances first.
    fn destroy(&mut self, gi: Spot, stands: &mut Vec<Instance>, back: bool) -> Result<(), Stop> {
        let compute: Vec<Spot> =
            stands.iter().map(Stands::of).find(|s| s.gi == gi).map_or_else(Vec::new, |s| s.compute);
        for ci in compute {
            self.change(Op::DestroyCi { gi, ci }, stands, back)?;
        }
        self.change(Op::DestroyGi { gi }, stands, back)
    }

    /// Gives a GPU instance one compute instance of its full size.
    fn make_whole(&mut self, gi: Spot, facts: Facts, stands: &mut Vec<Instance>) -> Result<(), Stop> {
        let standing =
            stands.iter().find(|i| Spot::new(i.profile, i.place) == gi).expect("it stands").clone();
        let nvml = self.session.nvml;
        let full = self
            .session
            .patiently(|| nvml.full_compute(self.uuid, standing.id, facts.id, facts.slices, facts.sms))
            .map_err(|failed| Stop::Call(failed, failed.to_string()))?;
        let full = full.ok_or_else(|| {
            Stop::Other(format!("{}: no compute-instance profile takes all of it", (self.names)(gi.profile)))
        })?;
        let ci = Spot { start: 0, size: full.slices, profile: full.id };
        let has = Stands::of(&standing).compute;
        if has == [ci] {
            return Ok(());
        }
        for old in has {
            self.change(Op::DestroyCi { gi, ci: old }, stands, false)?;
        }
        self.change(Op::CreateCi { gi, ci }, stands, false)
    }

    /// Whether the device now holds the layout, each slice with a device that CUDA can use: its slices
    /// with the UUIDs of those.
    fn verify(
        &self,
        values: &Values,
        product: &Product,
        layout: crate::gpu::Layout,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<(String, String)>, Stop> {
        let call = |failed: Failed| Stop::Call(failed, failed.to_string());
        let stands = self.stands().map_err(call)?;
        let reached = values.state(&stands).map(|s| product.states().layout(s));
        if reached != Some(layout) {
            let there: Vec<String> =
                stands.iter().map(|i| format!("{}@{}", values.name(i.profile), i.place.start)).collect();
            let wanted = layout.describe(product);
            return Err(Stop::Other(format!("the device holds {}, not {wanted}", there.join(" "))));
        }
        let devices = self.session.patiently(|| self.session.nvml.mig_devices(self.uuid)).map_err(call)?;
        let mut found = Vec::new();
        for instance in &stands {
            let name = format!("{}@{}", values.name(instance.profile), instance.place.start);
            let shown = devices.iter().find(|d| d.instance == instance.id);
            let Some(device) = shown.filter(|d| !d.uuid.is_empty()) else {
                return Err(Stop::Other(format!("{name} has no MIG device")));
            };
            found.push((name.clone(), device.uuid.clone()));
            let facts = values.facts.iter().find(|f| f.id == instance.profile);
            if let (Some((sms, memory)), Some(facts)) = (device.attributes, facts) {
                if sms != facts.sms {
                    let what = format!("{name}: its MIG device has {sms} SMs, its profile {}", facts.sms);
                    findings.push(Finding::new(Severity::Warning, "attributes", what));
                }
                if !check::near(memory, facts.memory_mib) {
                    let what =
                        format!("{name}: its MIG device has {memory} MiB, its profile {}", facts.memory_mib);
                    findings.push(Finding::new(Severity::Warning, "attributes", what));
                }
            }
        }
        Ok(found)
    }

    /// The way back, whatever stands now.
    fn restore(&mut self, reason: &str) -> Result<(), Remains> {
        (self.session.watch)(Event::Restoring(reason));
        let _ = self.note(&Line::Restore { reason: reason.to_owned() });
        let mut why = String::new();
        for round in 0..ROUNDS {
            if 0 < round {
                (self.session.wait)();
            }
            match self.restore_once() {
                Ok(()) => return Ok(()),
                Err(Trouble::Call(failed)) => {
                    why = failed.to_string();
                    if failed.code.is_end() {
                        return Err(self.unread(&why));
                    }
                }
                Err(Trouble::Differs) => why = "the device is not as it was".to_owned(),
                Err(Trouble::Final(reason)) => return Err(self.remains(reason)),
            }
        }
        Err(self.remains(why))
    }

    fn restore_once(&mut self) -> Result<(), Trouble> {
        let nvml = self.session.nvml;
        let trouble = |stop: Stop| match stop {
            Stop::Call(failed, _) => Trouble::Call(failed),
            _ => Trouble::Differs,
        };
        let mode = self.session.patiently(|| nvml.mode(self.uuid))?;
        let mut none = Vec::new();
        if self.snapshot.mig && !mode.current {
            if self.level < 3 {
                let why = "MIG is off, as after a reboot or a reload of the driver, and only --toggle-mig may turn it on";
                return Err(Trouble::Final(why.to_owned()));
            }
            self.change(Op::SetMode { on: true }, &mut none, true).map_err(trouble)?;
        }
        if self.snapshot.mig || mode.current {
            self.restore_instances()?;
        }
        if self.snapshot.mig {
            return Ok(());
        }
        if mode.current || mode.pending {
            if !self.journal.ops.iter().any(|op| matches!(op, Op::SetMode { .. })) {
                return Err(Trouble::Final("MIG is on, and it was not turned on here".to_owned()));
            }
            self.change(Op::SetMode { on: false }, &mut none, true).map_err(trouble)?;
        }
        Ok(())
    }

    fn restore_instances(&mut self) -> Result<(), Trouble> {
        let trouble = |stop: Stop| match stop {
            Stop::Call(failed, _) => Trouble::Call(failed),
            _ => Trouble::Differs,
        };
        let ids = self.session.patiently(|| self.session.nvml.profile_ids(self.uuid))?;
        let ours = self.snapshot.instances.iter().map(|s| s.gi.profile);
        let mut ids: Vec<u32> = ids.into_iter().chain(ours).chain(self.ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        self.ids = ids;
        let mut stands = self.stands()?;
        let foreign: Vec<Stands> =
            Stands::all(&stands).into_iter().filter(|s| !self.may_be_ours(s)).collect();
        if !foreign.is_empty() {
            let list: Vec<String> = foreign.iter().map(|s| self.describe(s)).collect();
            let why = format!("somebody else's instances stand on it: {}", list.join(" "));
            return Err(Trouble::Final(why));
        }
        let wanted = self.snapshot.instances.clone();
        for there in Stands::all(&stands) {
            match wanted.iter().find(|w| w.gi == there.gi) {
                None => self.destroy(there.gi, &mut stands, true).map_err(trouble)?,
                Some(before) => {
                    for ci in there.compute.iter().filter(|ci| !before.compute.contains(ci)) {
                        let op = Op::DestroyCi { gi: there.gi, ci: *ci };
                        self.change(op, &mut stands, true).map_err(trouble)?;
                    }
                }
            }
        }
        let mut larger_first: Vec<&Stands> = wanted.iter().collect();
        larger_first.sort_by_key(|w| (std::cmp::Reverse(w.gi.size), w.gi.start));
        for before in larger_first {
            let there = Stands::all(&stands).into_iter().find(|s| s.gi == before.gi);
            if there.is_none() {
                self.change(Op::CreateGi { gi: before.gi }, &mut stands, true).map_err(trouble)?;
            }
            let has = there.map_or_else(Vec::new, |s| s.compute);
            for ci in before.compute.iter().filter(|ci| !has.contains(ci)) {
                let op = Op::CreateCi { gi: before.gi, ci: *ci };
                self.change(op, &mut stands, true).map_err(trouble)?;
            }
        }
        if Stands::all(&self.stands()?) == wanted { Ok(()) } else { Err(Trouble::Differs) }
    }

    /// Whether an instance and all of its compute instances stood before or were announced here.
    fn may_be_ours(&self, there: &Stands) -> bool {
        let before = self.snapshot.instances.iter().find(|s| s.gi == there.gi);
        let announced = |op: Op| self.journal.ops.contains(&op);
        let gi = before.is_some() || announced(Op::CreateGi { gi: there.gi });
        gi && there.compute.iter().all(|ci| {
            before.is_some_and(|s| s.compute.contains(ci))
                || announced(Op::CreateCi { gi: there.gi, ci: *ci })
        })
    }

    fn describe(&self, stands: &Stands) -> String {
        format!("{}@{}", (self.names)(stands.gi.profile), stands.gi.start)
    }

    /// What stood before and was made again: the same to whoever plans, another to whoever holds its UUID.
    fn made_anew(&self) -> Option<Finding> {
        let again = |s: &&Stands| {
            self.journal.ops.iter().any(|op| match op {
                Op::CreateGi { gi } => *gi == s.gi,
                Op::CreateCi { gi, ci } => *gi == s.gi && s.compute.contains(ci),
                _ => false,
            })
        };
        let names: Vec<String> =
            self.snapshot.instances.iter().filter(again).map(|s| self.describe(s)).collect();
        let what = format!("made anew, with other instance ids and MIG UUIDs: {}", names.join(" "));
        (!names.is_empty()).then(|| Finding::new(Severity::Note, "made-anew", what))
    }

    /// A journal that did not take every line: the GPU came first.
    fn unwritten(&self) -> Option<Finding> {
        let why = self.broken.as_ref()?;
        let what = format!("the journal could not be written to its end: {why}");
        Some(
            Finding::new(Severity::Warning, "journal", what).help("the next run may find nothing left to do"),
        )
    }

    /// What is not as it was, from the device.
    fn remains(&self, why: String) -> Remains {
        let nvml = self.session.nvml;
        let read = self.session.patiently(|| nvml.mode(self.uuid)).and_then(|mode| {
            let stands = if mode.current { self.stands()? } else { Vec::new() };
            Ok((mode, Stands::all(&stands)))
        });
        let Ok((mode, there)) = read else { return self.unread(&why) };
        let before = &self.snapshot.instances;
        let missing: Vec<Stands> = before.iter().filter(|s| !there.contains(s)).cloned().collect();
        let extra: Vec<Stands> = there.into_iter().filter(|s| !before.contains(s)).collect();
        let settled = mode.current == self.snapshot.mig && mode.pending == self.snapshot.mig;
        let mig = (!settled).then_some(self.snapshot.mig);
        let commands = self.commands(&missing, mig);
        Remains { read: true, missing, extra, mig, why, commands }
    }

    /// What may not be as it was, where the device says nothing: all of it.
    fn unread(&self, why: &str) -> Remains {
        let missing = self.snapshot.instances.clone();
        let toggled = self.journal.ops.iter().any(|op| matches!(op, Op::SetMode { .. }));
        let mig = toggled.then_some(self.snapshot.mig);
        let commands = self.commands(&missing, mig);
        let why = format!("{why}; the GPU cannot be read: this is all that stood before");
        Remains { read: false, missing, extra: Vec::new(), mig, why, commands }
    }

    /// What a person would type.
    fn commands(&self, missing: &[Stands], mig: Option<bool>) -> Vec<String> {
        let smi = format!("nvidia-smi mig -i {}", self.uuid);
        let mode = mig.map(|on| format!("nvidia-smi -i {} -mig {}", self.uuid, u8::from(on)));
        let mut larger_first: Vec<&Stands> = missing.iter().collect();
        larger_first.sort_by_key(|s| (std::cmp::Reverse(s.gi.size), s.gi.start));
        let lines = larger_first.into_iter().flat_map(|s| {
            let create = format!("{smi} -cgi {}:{}", s.gi.profile, s.gi.start);
            let compute: Vec<String> =
                s.compute.iter().map(|c| format!("{}:{}", c.profile, c.start)).collect();
            let parts = format!("{smi} -gi <the new instance> -cci {}", compute.join(","));
            [Some(create), (!compute.is_empty()).then_some(parts)].into_iter().flatten()
        });
        mode.into_iter().chain(lines).collect()
    }
}
