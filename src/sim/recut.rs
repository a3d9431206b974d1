//! Planned re-cuts and changes of mode, and the time they take.
//!
//! A GPU is cut when nobody holds a slice that is to go; until then what is free and not wanted takes
//! nobody any more. While it is cut, while the device plugin of its node restarts, and while a node
//! changes its mode, nobody new gets any of its GPUs; pods that hold some of them run on.

use super::{Event, World};
use crate::cluster::spec::Holders;
use crate::cluster::{Grant, Out, Placement};
use crate::engine::Epoch;
use crate::id::{GpuId, NodeId};
use crate::perf::recut::Path;
use crate::record::{Doom, Observer, Record};
use crate::rng::Stream;
use crate::units::Span;
use crate::workload::request::Sharing;
use std::collections::{BTreeMap, BTreeSet};

/// A node that changes its mode.
#[derive(Clone, Copy, Debug)]
struct Switch {
    class: u16,
    reset: bool,
    /// When it is through, once nobody holds its GPUs.
    due: Option<Epoch>,
}

/// The state of all that.
#[derive(Debug, Default)]
pub(super) struct Recuts {
    /// The slices that are to stand on GPUs that are not cut yet.
    retiring: BTreeMap<GpuId, u32>,
    /// GPUs that are being cut, and where they are.
    cutting: BTreeMap<GpuId, (NodeId, u8)>,
    /// Nodes whose device plugin is not there.
    restarting: BTreeMap<NodeId, Epoch>,
    switching: BTreeMap<NodeId, Switch>,
    /// GPUs that are out of service for that.
    withheld: BTreeSet<GpuId>,
    /// mig-manager's runs so far.
    managed: u64,
}

impl Recuts {
    /// Whether something of it is still to come by itself.
    pub(super) fn is_pending(&self) -> bool {
        !self.cutting.is_empty()
            || !self.restarting.is_empty()
            || self.switching.values().any(|switch| switch.due.is_some())
    }

    /// Whether a node is about to change its mode: it passes to this class then.
    pub(super) fn passes_to(&mut self, node: NodeId, class: u16) -> bool {
        let Some(switch) = self.switching.get_mut(&node) else { return false };
        switch.class = class;
        true
    }

    /// A node left, and so did its change of mode.
    pub(super) fn left(&mut self, node: NodeId) {
        self.switching.remove(&node);
    }
}

impl<O: Observer> World<'_, '_, O> {
    /// A GPU is to be cut so that `standing` stands.
    pub(super) fn plan_recut(&mut self, node: NodeId, gpu: u8, standing: u32, running: Holders) {
        self.recuts.retiring.insert(self.cluster.gpu_id(node, gpu), standing);
        if running == Holders::Evict && !self.recuts.switching.contains_key(&node) {
            let held = |grant: &Grant| match grant {
                Grant::Slice { gpu: at, slice } => *at == gpu && standing >> slice & 1 == 0,
                Grant::Slices(held) => {
                    held.iter().any(|(at, slice)| *at == gpu && standing >> slice & 1 == 0)
                }
                Grant::None | Grant::Gpus(_) => false,
            };
            for slot in self.slots_on(node) {
                if held(&self.running.get(slot).placement.grant) {
                    self.doom(slot, Doom::Recut);
                }
            }
        }
        self.recut(node, gpu, false);
    }

    /// Cuts a GPU as far as those who hold slices of it allow. `freed`: a pod has just ended.
    fn recut(&mut self, node: NodeId, gpu: u8, freed: bool) {
        let id = self.cluster.gpu_id(node, gpu);
        let Some(target) = self.recuts.retiring.get(&id).copied() else { return };
        if self.recuts.switching.contains_key(&node) || self.recuts.cutting.contains_key(&id) {
            return;
        }
        let held = self.held(node, gpu);
        let standing = self.cluster.standing(node, gpu);
        if held & !target != 0 {
            // What stands and is wanted stays; what is free and is not wanted takes nobody any more.
            self.stand(node, gpu, held | standing & target);
            return;
        }
        match self.setup.recut.path {
            Path::AtOnce => {
                self.recuts.retiring.remove(&id);
                self.stand(node, gpu, target);
            }
            Path::Agent => {
                let destroyed = (standing & !target).count_ones();
                let created = (target & !standing).count_ones();
                let calls = u64::from(created != 0);
                let mut takes = self.setup.recut.cut(u64::from(destroyed), u64::from(created), calls);
                if freed {
                    takes = takes + self.setup.recut.retry;
                }
                self.recuts.cutting.insert(id, (node, gpu));
                self.calendar.schedule(self.calendar.now() + takes, Event::Recut, id.0);
                self.withhold(node);
            }
            // One run does all that can be done at its end.
            Path::MigManager if self.recuts.restarting.contains_key(&node) => {}
            Path::MigManager => {
                let takes = self.managed();
                self.restart(node, takes);
            }
        }
    }

    /// The slices of a GPU that pods hold.
    fn held(&self, node: NodeId, gpu: u8) -> u32 {
        let at = usize::from(gpu);
        self.cluster.gpu_full(node)[at] & !self.cluster.gpu_free(node)[at]
    }

    fn managed(&mut self) -> Span {
        self.recuts.managed += 1;
        let mut stream = Stream::new(self.setup.recut_seed, "mig-manager", self.recuts.managed);
        self.setup.recut.managed(&mut stream)
    }

    /// These slices stand on a GPU from now on; whether that is a change.
    pub(super) fn cut(&mut self, node: NodeId, gpu: u8, standing: u32) -> bool {
        let changes = standing != self.cluster.standing(node, gpu);
        if changes {
            self.cluster.recut(node, gpu, standing);
            self.emit(Record::Recut { node, gpu, standing });
        }
        changes
    }

    fn stand(&mut self, node: NodeId, gpu: u8, standing: u32) {
        if self.cut(node, gpu, standing) {
            self.node_changed(node);
        }
    }

    /// The device plugin of a node goes, and is back after so long.
    fn restart(&mut self, node: NodeId, takes: Span) {
        let at = self.calendar.now() + takes;
        let epoch = self.calendar.schedule(at, Event::Recut, self.node_target(node));
        self.recuts.restarting.insert(node, epoch);
        self.withhold(node);
    }

    /// Events of nodes come after those of GPUs.
    fn node_target(&self, node: NodeId) -> u32 {
        self.cluster.gpus() as u32 + node.0
    }

    /// Takes the GPUs of a node out of service that are to be, and brings the others back.
    fn withhold(&mut self, node: NodeId) {
        let all = self.recuts.restarting.contains_key(&node) || self.recuts.switching.contains_key(&node);
        let mut changed = false;
        for gpu in 0..self.cluster.class(node).gpus as u8 {
            let id = self.cluster.gpu_id(node, gpu);
            let out = all || self.recuts.cutting.contains_key(&id);
            let was = self.recuts.withheld.contains(&id);
            if out == was {
                continue;
            }
            if out {
                self.recuts.withheld.insert(id);
            } else {
                self.recuts.withheld.remove(&id);
            }
            self.cluster.set_out(node, gpu, Out::Recut, out);
            self.emit(Record::Withheld { node, gpu, withheld: out });
            changed = true;
        }
        if changed {
            self.node_changed(node);
        }
    }

    /// Something of a re-cut is through: the cut of a GPU, a restart, or a change of mode.
    pub(super) fn recut_goes_on(&mut self, target: u32, epoch: Epoch) {
        let gpus = self.cluster.gpus() as u32;
        if target < gpus {
            let id = GpuId(target);
            let (node, gpu) = self.recuts.cutting.remove(&id).expect("a GPU that was being cut");
            // A change of mode came in between, and cuts the node in its own way.
            if !self.recuts.switching.contains_key(&node) {
                let standing = self.recuts.retiring.remove(&id).expect("it was cut to something");
                self.stand(node, gpu, standing);
                self.restart(node, self.setup.recut.plugin);
            }
        } else {
            let node = NodeId(target - gpus);
            if self.recuts.switching.get(&node).is_some_and(|switch| switch.due == Some(epoch)) {
                if let Some(end) = self.placing_on(node) {
                    // A pod is on its way there, judged by what the node was.
                    let later = self.calendar.schedule(end + Span(1), Event::Recut, target);
                    let switch = self.recuts.switching.get_mut(&node).expect("it was just there");
                    switch.due = Some(later);
                    return;
                }
                let switch = self.recuts.switching.remove(&node).expect("it was just there");
                // One that is down after a fault comes back as what it was to be.
                match self.failures.comes_back.get_mut(&node) {
                    Some(class) => *class = switch.class,
                    None => self.set_class(node, switch.class),
                }
            } else if self.recuts.restarting.get(&node) == Some(&epoch) {
                self.recuts.restarting.remove(&node);
                if self.setup.recut.path == Path::MigManager {
                    self.stand_all(node);
                }
            }
            self.withhold(node);
            for gpu in 0..self.cluster.class(node).gpus as u8 {
                self.recut(node, gpu, false);
            }
        }
        self.arm();
    }

    /// mig-manager leaves all GPUs as they are to be whose slices nobody held.
    fn stand_all(&mut self, node: NodeId) {
        for gpu in 0..self.cluster.class(node).gpus as u8 {
            let id = self.cluster.gpu_id(node, gpu);
            if let Some(target) = self.recuts.retiring.get(&id).copied()
                && self.held(node, gpu) & !target == 0
            {
                self.recuts.retiring.remove(&id);
                self.stand(node, gpu, target);
            }
        }
    }

    /// The GPUs of a node are to be shared in another way.
    pub(super) fn plan_switch(&mut self, node: NodeId, class: u16, running: Holders, reset: bool) {
        self.recuts.switching.insert(node, Switch { class, reset, due: None });
        // What it was to be cut to before is settled with that.
        for gpu in 0..self.cluster.class(node).gpus as u8 {
            self.recuts.retiring.remove(&self.cluster.gpu_id(node, gpu));
        }
        if running == Holders::Evict {
            for slot in self.slots_on(node) {
                if self.running.get(slot).placement.grant != Grant::None {
                    self.doom(slot, Doom::Recut);
                }
            }
        }
        self.withhold(node);
        self.switch(node);
    }

    /// Goes on with a change of mode once nobody holds GPUs of the node.
    pub(super) fn switch(&mut self, node: NodeId) {
        let Some(switch) = self.recuts.switching.get(&node).copied() else { return };
        let held = self.cluster.gpu_pods(node).iter().any(|pods| *pods != 0);
        if switch.due.is_some() || held || !self.cluster.class(node).present {
            return;
        }
        let model = self.setup.recut;
        let to = self.cluster.classes()[usize::from(switch.class)].share.sharing();
        let cut = [to, self.cluster.class(node).share.sharing()].contains(&Sharing::Mig);
        let server = matches!(to, Sharing::Mps | Sharing::MpsReplicas);
        let managed = cut && model.path == Path::MigManager;
        let mut takes = if managed { self.managed() } else { model.plugin };
        if model.path == Path::AtOnce {
            takes = Span::ZERO;
        } else {
            takes = takes + if switch.reset { model.reset } else { Span::ZERO };
            takes = takes + if server { model.mps_server } else { Span::ZERO };
        }
        let at = self.calendar.now() + takes;
        let epoch = self.calendar.schedule(at, Event::Recut, self.node_target(node));
        self.recuts.switching.insert(node, Switch { due: Some(epoch), ..switch });
    }

    /// Re-cuts and changes of mode go on that waited for a pod that is gone.
    pub(super) fn given_back(&mut self, placement: &Placement) {
        if !self.recuts.retiring.is_empty() {
            for gpu in placement.grant.gpus() {
                self.recut(placement.node, gpu, true);
            }
        }
        if !self.recuts.switching.is_empty() {
            self.switch(placement.node);
        }
        // Of a GPU that is out of service there is what is held: now less.
        if placement.grant.gpus().any(|gpu| self.cluster.is_out(placement.node, gpu)) {
            self.node_changed(placement.node);
        }
    }
}
