//! The nodes' side: what kubelet shows of their devices, the agents that report and act on it, and the
//! device plugins that restart.

use super::{Due, Side, choices, places};
use crate::cluster::Share;
use crate::gpu::{self, Step as GpuStep};
use crate::id::NodeId;
use crate::partition::nos::agent::{Act, Device, Operations, mps_report};
use crate::partition::nos::device::{Board, apply};
use crate::partition::nos::names::{Kind, Spec, Status};
use crate::record::{Observer, Record};
use crate::sim::World;
use crate::units::Span;

impl<O: Observer> World<'_, '_, O> {
    /// The devices of a node that kubelet shows: without a plugin those in use alone.
    fn nos_devices(&self, id: NodeId) -> Vec<Device> {
        let nos = self.nos.as_ref().expect("there is nos");
        let node = &nos.nodes[&id];
        let mut devices: Vec<Device> = match &node.side {
            Side::Mig { .. } => self.nos_boards(id).iter().flat_map(Board::devices).collect(),
            Side::Mps { .. } => {
                let of = |gpu: u8| {
                    let offered = self.cluster.offered(id, gpu).iter();
                    offered.flat_map(move |slices| {
                        (0..slices.all.max(slices.held)).map(move |number| Device {
                            gpu: i64::from(gpu),
                            resource: Kind::Mps.resource(&format!("{}gb", slices.gb)),
                            id: format!("GPU-{gpu}::{}::{number}", slices.gb),
                            status: if number < slices.held { Status::Used } else { Status::Free },
                        })
                    })
                };
                (0..self.cluster.class(id).gpus as u8).flat_map(of).collect()
            }
        };
        if !node.up {
            devices.retain(|device| device.status == Status::Used);
        }
        devices
    }

    /// The GPUs of a MIG node.
    fn nos_boards(&self, id: NodeId) -> Vec<Board<'_>> {
        let nos = self.nos.as_ref().expect("there is nos");
        let Side::Mig { driver, states, .. } = &nos.nodes[&id].side else { panic!("a MIG node") };
        let (product, driver) = &nos.products[*driver];
        let (full, free) = (self.cluster.gpu_full(id), self.cluster.gpu_free(id));
        let board = |(index, state): (usize, &gpu::State)| Board {
            index: index as i64,
            product,
            driver,
            state: *state,
            used: places(full[index] & !free[index]),
        };
        states.iter().enumerate().map(board).collect()
    }

    /// The agent of a node reports.
    pub(super) fn nos_report(&mut self, id: NodeId) {
        let now = self.calendar.now();
        if !self.nos.as_ref().is_some_and(|nos| nos.nodes.contains_key(&id)) {
            return;
        }
        let devices = self.nos_devices(id);
        let nos = self.nos.as_mut().expect("there is nos");
        let node = nos.nodes.get_mut(&id).expect("it was just there");
        node.ticked = now;
        let changed = match &mut node.side {
            Side::Mig { agent, .. } => agent.report(&node.text.annotations, &devices),
            Side::Mps { .. } => mps_report(&node.text.annotations, &devices),
        };
        if let Some(annotations) = changed {
            node.text.annotations = annotations;
            self.nos_node_event(id);
            self.nos_act(id);
        }
    }

    /// The actuator of a MIG node looks at what is asked for.
    pub(super) fn nos_act(&mut self, id: NodeId) {
        let now = self.calendar.now();
        let Some(nos) = &mut self.nos else { return };
        let Some(node) = nos.nodes.get(&id) else { return };
        let ticks = nos.ticks(node, now);
        let node = nos.nodes.get_mut(&id).expect("it was just there");
        let Side::Mig { agent, pass, again, .. } = &mut node.side else { return };
        if pass.is_some() {
            *again = true;
            return;
        }
        if let Some((last, _)) = ticks
            && node.ticked < last
        {
            agent.tick();
            node.ticked = last;
        }
        let devices = self.nos_devices(id);
        let nos = self.nos.as_mut().expect("there is nos");
        nos.plans += 1;
        let mut choices = choices(nos.setup.seed, nos.plans);
        let node = nos.nodes.get_mut(&id).expect("it was just there");
        let Side::Mig { agent, .. } = &mut node.side else { unreachable!("it was MIG") };
        match agent.act(&node.text.annotations, &devices, &mut *choices) {
            Act::Nothing => nos.renew(id, now),
            Act::Again(poll) => {
                // It looks every second until a report has come: at the first look that can find one.
                let Some((_, next)) = ticks else { return };
                let looks = next.since(now).0.div_ceil(poll.0.max(1)).max(1);
                let at = now + Span(looks * poll.0.max(1));
                if node.act_due.is_none_or(|due| at < due) {
                    node.act_due = Some(at);
                    nos.at(at, Due::Act(id));
                }
            }
            Act::Apply(operations) => self.nos_apply(id, &operations),
        }
    }

    /// Devices are destroyed and made, and the device plugin restarts.
    fn nos_apply(&mut self, id: NodeId, operations: &Operations) {
        let now = self.calendar.now();
        let boards = self.nos_boards(id);
        let nos = self.nos.as_ref().expect("there is nos");
        let settings = *nos.setup.settings;
        let specs: Vec<Spec> = Spec::of(&nos.nodes[&id].text.annotations).collect();
        let applied = apply(operations, &specs, &boards, settings.fixes);
        let (mut created, mut destroyed, mut missing, mut took) = (0, 0, 0, Span::ZERO);
        for gpu in &applied.gpus {
            let gone = gpu.steps.iter().filter(|step| matches!(step, GpuStep::Destroy(_))).count() as u32;
            destroyed += gone;
            created += gpu.steps.len() as u32 - gone;
            missing += u32::try_from(gpu.missing).unwrap_or(0);
            let made = u64::from(gpu.calls.saturating_sub(gone));
            took = Span(took.0 + self.setup.recut.cut(u64::from(gone), made, u64::from(gpu.attempts)).0);
        }
        let nos = self.nos.as_mut().expect("there is nos");
        let plugin = nos.setup.plugin;
        let node = nos.nodes.get_mut(&id).expect("it was just there");
        let Side::Mig { states, pass, .. } = &mut node.side else { unreachable!("it was MIG") };
        nos.sequence += 1;
        let number = nos.sequence;
        *pass = Some((now, number));
        for gpu in &applied.gpus {
            states[gpu.index as usize] = gpu.state;
        }
        let mut failed = applied.failed;
        let mut end = now + took;
        if applied.restart {
            end += match settings.restart_wait(plugin) {
                Ok(wait) => wait,
                Err(timeout) => {
                    failed = true;
                    timeout
                }
            };
            let back = now + took + plugin;
            node.restart = number;
            nos.at(back, Due::PluginUp(id, number));
        }
        nos.at(end, Due::PassEnd(id, number, failed));
        self.emit(Record::Applied { node: id, created, destroyed, missing });
        if applied.restart {
            self.nos_plugin_down(id);
        }
    }

    /// The device plugin of a node goes: slices that nobody holds are not to be had.
    pub(super) fn nos_plugin_down(&mut self, id: NodeId) {
        let node = self.nos.as_mut().expect("there is nos").nodes.get_mut(&id).expect("a node of nos");
        let was_up = std::mem::replace(&mut node.up, false);
        if was_up {
            self.emit(Record::Plugin { node: id, up: false });
        }
        for gpu in 0..self.cluster.class(id).gpus as u8 {
            match self.cluster.class(id).share {
                Share::Slices { .. } => {
                    let held = self.cluster.gpu_full(id)[usize::from(gpu)]
                        & !self.cluster.gpu_free(id)[usize::from(gpu)];
                    self.cut(id, gpu, held);
                }
                _ => {
                    let offered = self.cluster.offered(id, gpu);
                    let held: Vec<(u16, u16)> =
                        offered.iter().map(|s| (s.gb, s.held)).filter(|s| 0 < s.1).collect();
                    self.nos_offer(id, gpu, &held);
                }
            }
        }
        self.nos_node_changed(id);
        self.node_changed(id);
    }

    /// It is back and offers what stands.
    pub(super) fn nos_plugin_up(&mut self, id: NodeId, restart: u64) {
        let now = self.calendar.now();
        let nos = self.nos.as_mut().expect("there is nos");
        let Some(node) = nos.nodes.get_mut(&id).filter(|node| node.restart == restart) else { return };
        node.up = true;
        self.emit(Record::Plugin { node: id, up: true });
        for gpu in 0..self.cluster.class(id).gpus as u8 {
            let nos = self.nos.as_ref().expect("there is nos");
            match &nos.nodes[&id].side {
                Side::Mig { driver, states, .. } => {
                    let layout = nos.products[*driver].0.states().layout(states[usize::from(gpu)]);
                    let standing =
                        u32::try_from(layout.places().bits()).expect("a class has 32 slices at most");
                    self.cut(id, gpu, standing);
                }
                Side::Mps { config } => {
                    let of_gpu = config.iter().filter(|entry| entry.device == i64::from(gpu));
                    let slices: Vec<(u16, u16)> = of_gpu
                        .map(|entry| {
                            (entry.memory_gb.clamp(0, 65_535) as u16, entry.replicas.clamp(0, 65_535) as u16)
                        })
                        .filter(|(gb, replicas)| 0 < *gb && 0 < *replicas)
                        .collect();
                    self.nos_offer(id, gpu, &slices);
                }
            }
        }
        self.nos_node_changed(id);
        self.node_changed(id);
        self.nos.as_mut().expect("there is nos").renew(id, now);
    }

    pub(super) fn nos_offer(&mut self, node: NodeId, gpu: u8, slices: &[(u16, u16)]) {
        self.cluster.offer(node, gpu, slices);
        self.emit(Record::Resliced { node, gpu, slices });
    }

    /// A pass of an actuator ends.
    pub(super) fn nos_pass_end(&mut self, id: NodeId, number: u64, failed: bool) {
        let now = self.calendar.now();
        let nos = self.nos.as_mut().expect("there is nos");
        let Some(node) = nos.nodes.get(&id) else { return };
        let tick = nos.ticks(node, now).map(|(last, _)| last);
        let node = nos.nodes.get_mut(&id).expect("it was just there");
        let Side::Mig { agent, pass, again, .. } = &mut node.side else { return };
        // It may be that of a node of this name that has left.
        let Some((began, _)) = pass.take_if(|(_, of)| *of == number) else { return };
        let retry = agent.applied(failed);
        let again = std::mem::take(again) || retry;
        nos.renew(id, now);
        // A reporter that came meanwhile waited for the lock.
        if tick.is_some_and(|tick| began < tick) {
            self.nos_report(id);
        }
        if again {
            self.nos_act(id);
        }
    }
}
