//! nos in the simulated cluster: its controllers, agents and the device plugins they restart, in virtual
//! time.
//!
//! What nos decides is [`crate::partition::nos`]'s; this file holds what surrounds it: nodes as texts,
//! the GPUs behind them, timers. What a node advertises is the cluster's business: while a device plugin
//! restarts, slices that nobody holds are taken off its GPUs, and those that stand by then appear when the
//! plugin is back. Kubelet counts devices without a plugin as unhealthy, so that allocatable is 0
//! meanwhile.
//!
//! Agents report every 10 s for ever; a report that finds nothing new has one effect, the token for the
//! actuator, so only those that find something stand on the calendar, and the others are counted when
//! the actuator looks. Watches have no delay here.

use super::{Decider, Event, State, World};
use crate::cluster::Share;
use crate::engine::Epoch;
use crate::gpu::driver::Driver;
use crate::gpu::{self, Catalogue, PlaceId, Places, Product, Step as GpuStep};
use crate::id::{NodeId, PodId, ShapeId};
use crate::partition::nos::agent::{Act, Device, MigAgent, Operations, mps_report};
use crate::partition::nos::batch::Batcher;
use crate::partition::nos::control::{Controller, Next, Sight, plan_id, writes};
use crate::partition::nos::device::{Board, apply};
use crate::partition::nos::names::{
    COUNT, Kind, MEMORY, MODEL, PARTITIONING, PLUGIN_CONFIG, Spec, Status, Texts,
};
use crate::partition::nos::queue::WorkQueue;
use crate::partition::nos::rollout::{Rollout, Step};
use crate::partition::nos::state::{Replicas, annotate, config_key, plugin_config};
use crate::partition::nos::usage::Seen;
use crate::partition::nos::{
    Choices, ClusterState, First, NodeLook, NodeText, Pod, Reach, Resources, Seeded, Settings, Shape, Tables,
    plan,
};
use crate::record::{Observer, ReasonId, Record};
use crate::sched::filter::resource_name;
use crate::units::{Span, Time};
use crate::workload::request::Request;
use std::collections::{BTreeMap, BTreeSet};

/// What a run needs of nos.
#[derive(Clone, Copy, Debug)]
pub struct NosSetup<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// The geometries it knows.
    pub tables: &'a Tables,
    /// What GPUs are.
    pub catalogue: &'a Catalogue,
    /// From the deletion of a device plugin's pod, or its new configuration, until it offers devices again.
    pub plugin: Span,
    /// The same of the plugin that serves MPS, with its server.
    pub mps_plugin: Span,
    /// Seed of the choices that nos leaves to chance; `None` takes the documented defaults.
    pub seed: Option<u64>,
}

/// How long a partitioner is watched that alone goes on, while no pod comes, is bound or ends: its re-queues for
/// a report that never comes, and re-cuts back and forth for pods that it cannot help, would keep a run going
/// for ever. Longer than any plan takes to be written.
const QUIET: Span = Span::from_secs(6 * 3_600);

/// Something of an agent or a plugin that is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The agent of a node reports.
    Report(NodeId),
    /// The actuator of a MIG agent looks.
    Act(NodeId),
    /// Its pass ends: the plugin is seen to be back, or given up.
    PassEnd(NodeId, u64, bool),
    /// The device plugin of a node is back, if it did not restart again.
    PluginUp(NodeId, u64),
}

/// A node that nos cuts.
#[derive(Debug)]
struct Managed {
    text: NodeText,
    /// When its agent started: its reports come at multiples of the interval from then on.
    started: Time,
    /// Ticks up to this one are accounted for.
    ticked: Time,
    report_due: bool,
    act_due: Option<Time>,
    /// Pods on it.
    pods: BTreeSet<PodId>,
    /// The last restart of the device plugin, and whether it is there.
    restart: u64,
    up: bool,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Mig {
        agent: Box<MigAgent>,
        /// Its product's driver.
        driver: usize,
        /// What stands on each GPU, advertised or not.
        states: Vec<gpu::State>,
        /// When the pass began that is under way, and its number.
        pass: Option<(Time, u64)>,
        /// Whether annotations changed during it.
        again: bool,
    },
    Mps {
        /// What its plugin offers, or will when it is back.
        config: Vec<Replicas>,
    },
}

/// nos and what it runs on.
#[derive(Debug)]
pub(super) struct Nos<'a> {
    setup: NosSetup<'a>,
    products: Vec<(&'a Product, Driver<'a>)>,
    state: ClusterState<PodId>,
    nodes: BTreeMap<NodeId, Managed>,
    /// What pods of each shape ask for.
    shapes: Vec<Shape>,
    controllers: [Controller<PodId>; 2],
    queues: [WorkQueue<PodId>; 2],
    batcher: Batcher<PodId>,
    /// A plan on its way to MPS nodes, the pod whose look it was, and the plan's id.
    rollout: Option<(Rollout, PodId, String)>,
    timers: BTreeMap<(Time, u64), Due>,
    sequence: u64,
    plans: u64,
    /// Times that the controllers looked at their queues.
    looks: u64,
    wake: Option<(Time, Epoch)>,
    /// What the scheduler wrote into the status of pods that wait: why, and the node kept for them.
    conditions: BTreeMap<PodId, (ReasonId, Option<NodeId>)>,
    /// When a pod was last found unschedulable for the first time, bound, or gone.
    active: Time,
}

impl<'a> Nos<'a> {
    pub(super) fn new(
        setup: NosSetup<'a>,
        requests: &[Request],
        slices: &crate::workload::request::SliceNames,
    ) -> Nos<'a> {
        let settings = setup.settings;
        let mut state = ClusterState::new(setup.tables, settings.fixes);
        let shape = |request: &Request| {
            let mut requests = Resources {
                cpu_milli: request.cpu.0 as i64,
                memory_bytes: (request.memory.0 << 20) as i64,
                ..Resources::default()
            };
            if let Some(gpu) = request.gpu {
                requests.scalars.add(state.resource(&resource_name(gpu, slices)), i64::from(gpu.count));
            }
            Shape { requests, ..Shape::default() }
        };
        let shapes = requests.iter().map(shape).collect();
        let controllers = [Controller::new(settings), Controller::new(settings)];
        Nos {
            setup,
            products: Vec::new(),
            state,
            nodes: BTreeMap::new(),
            shapes,
            controllers,
            queues: Default::default(),
            batcher: Batcher::new(settings.batch, settings.fixes),
            rollout: None,
            timers: BTreeMap::new(),
            sequence: 0,
            plans: 0,
            looks: 0,
            wake: None,
            conditions: BTreeMap::new(),
            active: Time::ZERO,
        }
    }

    fn driver(&mut self, product: &'a Product) -> usize {
        let known = self.products.iter().position(|(known, _)| known.id() == product.id());
        known.unwrap_or_else(|| {
            self.products.push((product, Driver::new(product)));
            self.products.len() - 1
        })
    }

    fn at(&mut self, at: Time, due: Due) {
        self.sequence += 1;
        self.timers.insert((at, self.sequence), due);
    }

    /// The last tick of a node's agent up to `now`, and the first after it; `None` if it never reports by
    /// the clock.
    fn ticks(&self, node: &Managed, now: Time) -> Option<(Time, Time)> {
        let every = match node.side {
            Side::Mig { .. } => self.setup.settings.mig_report,
            Side::Mps { .. } => self.setup.settings.mps_report,
        };
        if every == Span::ZERO {
            return None;
        }
        let passed = now.since(node.started).0 / every.0;
        Some((node.started + Span(passed * every.0), node.started + Span((passed + 1) * every.0)))
    }

    /// The next report of a node will find something new.
    fn renew(&mut self, id: NodeId, now: Time) {
        let Some(node) = self.nodes.get(&id) else { return };
        if node.report_due {
            return;
        }
        if let Some((_, next)) = self.ticks(node, now) {
            self.nodes.get_mut(&id).expect("it was just there").report_due = true;
            self.at(next, Due::Report(id));
        }
    }

    /// Whether anything of it is still to come.
    pub(super) fn is_pending(&self) -> bool {
        self.wake.is_some()
    }

    fn next(&self) -> Option<Time> {
        let queues = self.queues.iter().filter_map(WorkQueue::next);
        let timers = self.timers.first_key_value().map(|((at, _), _)| *at);
        let rollout = self.rollout.as_ref().and_then(|(rollout, _, _)| rollout.next());
        queues.chain(self.batcher.next()).chain(timers).chain(rollout).min()
    }

    /// All pods on a node, as nos sees them.
    fn seen(&self, node: &Managed, shape_of: impl Fn(PodId) -> ShapeId) -> Vec<Seen<PodId>> {
        let seen = |pod: &PodId| Seen {
            pod: *pod,
            running: true,
            requests: self.shapes[shape_of(*pod).index()].requests.clone(),
            ports: Vec::new(),
        };
        node.pods.iter().map(seen).collect()
    }
}

/// How long the slices of one GPU take that are destroyed and created: one call for all of a kind, and a
/// compute instance for each (A100, 300 runs × 18 layouts: create 75 + 10·n ms, destroy 138 + 6·n ms, means
/// of measured calls; 100 ms for each compute instance is assumed).
fn cutting(destroyed: u64, created: u64, attempts: u64) -> Span {
    let destroy = if destroyed == 0 { 0 } else { 138_000 + 6_000 * destroyed };
    let create = 75_000 * attempts + 110_000 * created;
    Span(destroy + create)
}

fn places(mask: u32) -> Places {
    let bits = (0..32).filter(|bit| mask >> bit & 1 == 1);
    bits.fold(Places::NONE, |places, bit| places.with(Places::one(PlaceId::new(bit))))
}

impl<O: Observer> World<'_, '_, O> {
    /// The partitioner meets the nodes that are there at the start.
    pub(super) fn start_partitioner(&mut self) {
        for node in self.cluster.nodes() {
            if self.cluster.class(node).present {
                self.nos_node_joined(node);
            }
        }
        self.arm_partitioner();
    }

    /// A node joins: if it is to be cut on demand, its agent starts.
    pub(super) fn nos_node_joined(&mut self, id: NodeId) {
        let now = self.calendar.now();
        let Some(nos) = &mut self.nos else { return };
        let class = self.cluster.class(id);
        let catalogue: &Catalogue = nos.setup.catalogue;
        let (kind, product) = match (&class.share, catalogue.find(&class.model)) {
            // A layout that stays stands from the start.
            (Share::Slices { standing: 0, .. }, Some(product)) => (Kind::Mig, product),
            (Share::Sliced { .. }, Some(product)) => (Kind::Mps, product),
            _ => return,
        };
        let side = match kind {
            Kind::Mig => Side::Mig {
                agent: Box::new(MigAgent::new(nos.setup.settings)),
                driver: nos.driver(product),
                states: vec![gpu::State::EMPTY; usize::from(class.gpus)],
                pass: None,
                again: false,
            },
            Kind::Mps => Side::Mps { config: Vec::new() },
        };
        let managed = Managed {
            text: NodeText { id, name: self.cluster.name(id).to_owned(), ..NodeText::default() },
            started: now,
            ticked: now,
            report_due: false,
            act_due: None,
            pods: BTreeSet::new(),
            restart: 0,
            up: true,
            side,
        };
        nos.nodes.insert(id, managed);
        self.nos_write_text(id, kind, product);
        self.nos_node_event(id);
        self.nos_report(id);
    }

    /// Labels and amounts of a node as Kubernetes has them.
    fn nos_write_text(&mut self, id: NodeId, kind: Kind, product: &Product) {
        let class = self.cluster.class(id);
        let mut labels: Texts = [
            (MODEL, product.label()),
            (COUNT, class.gpus.to_string()),
            (MEMORY, product.memory().0.to_string()),
            (PARTITIONING, kind.word().to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        // What the scenario says of a node wins: labels differ between clusters.
        labels.extend(class.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
        let mut allocatable = Resources {
            cpu_milli: class.cpu.0 as i64,
            memory_bytes: (class.memory.0 << 20) as i64,
            pods: i64::from(class.pods),
            ..Resources::default()
        };
        let mut advertised: BTreeMap<String, i64> = BTreeMap::new();
        for gpu in 0..class.gpus as u8 {
            match &class.share {
                Share::Slices { slices, .. } => {
                    let full = self.cluster.gpu_full(id)[usize::from(gpu)];
                    for slice in (0..slices.len()).filter(|bit| full >> bit & 1 == 1).map(|bit| &slices[bit])
                    {
                        let profile = self.setup.pods.slices.get(slice.profile);
                        *advertised.entry(Kind::Mig.resource(&profile.replace('+', "."))).or_default() += 1;
                    }
                }
                _ => {
                    for slices in self.cluster.offered(id, gpu) {
                        let profile = format!("{}gb", slices.gb);
                        *advertised.entry(Kind::Mps.resource(&profile)).or_default() += i64::from(slices.all);
                    }
                }
            }
        }
        let nos = self.nos.as_mut().expect("there is nos");
        for (resource, count) in advertised {
            allocatable.scalars.add(nos.state.resource(&resource), count);
        }
        let text = &mut nos.nodes.get_mut(&id).expect("a node of nos").text;
        if let Some(config) = text.labels.get(PLUGIN_CONFIG) {
            labels.insert(PLUGIN_CONFIG.to_owned(), config.clone());
        }
        (text.labels, text.allocatable) = (labels, allocatable);
    }

    /// What the cluster knows of a node changed: nos is told.
    pub(super) fn nos_node_changed(&mut self, id: NodeId) {
        let Some(nos) = &mut self.nos else { return };
        let Some(node) = nos.nodes.get(&id) else { return };
        let catalogue: &Catalogue = nos.setup.catalogue;
        let kind = if matches!(node.side, Side::Mig { .. }) { Kind::Mig } else { Kind::Mps };
        let product = catalogue.find(&self.cluster.class(id).model).expect("it was known when it joined");
        self.nos_write_text(id, kind, product);
        self.nos_node_event(id);
    }

    /// A node left, and its slices with it.
    pub(super) fn nos_node_left(&mut self, id: NodeId) {
        let Some(nos) = &mut self.nos else { return };
        let Some(node) = nos.nodes.remove(&id) else { return };
        nos.state.node_deleted(id);
        if !node.up {
            self.emit(Record::Plugin { node: id, up: true });
        }
        for gpu in 0..self.cluster.class(id).gpus as u8 {
            match node.side {
                Side::Mig { .. } => self.nos_stand(id, gpu, 0),
                Side::Mps { .. } => self.nos_offer(id, gpu, &[]),
            }
        }
    }

    /// The event of a node's text reaches the controllers, and the actuator on it.
    fn nos_node_event(&mut self, id: NodeId) {
        let now = self.calendar.now();
        let pods = self.setup.pods;
        let Some(nos) = &mut self.nos else { return };
        let node = &nos.nodes[&id];
        let seen = nos.seen(node, |pod| pods.shape(pod));
        let text = node.text.clone();
        if let Ok(NodeLook::Initialize(gpus)) = nos.state.node_event(text, || seen) {
            let fixes = nos.setup.settings.fixes;
            let node = nos.nodes.get_mut(&id).expect("it was just there");
            // A patch that changes nothing is no event: a node that nothing can initialize is left there.
            if let Ok(annotations) = annotate(&node.text.annotations, &gpus, &plan_id(now, fixes))
                && annotations != node.text.annotations
            {
                node.text.annotations = annotations;
                self.nos_node_event(id);
                self.nos_act(id);
            }
        }
    }

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
    fn nos_report(&mut self, id: NodeId) {
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
    fn nos_act(&mut self, id: NodeId) {
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
            took = Span(took.0 + cutting(u64::from(gone), made, u64::from(gpu.attempts)).0);
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
    fn nos_plugin_down(&mut self, id: NodeId) {
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
                    self.nos_stand(id, gpu, held);
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
    fn nos_plugin_up(&mut self, id: NodeId, restart: u64) {
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
                    self.nos_stand(id, gpu, standing);
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

    fn nos_stand(&mut self, node: NodeId, gpu: u8, standing: u32) {
        if self.cluster.gpu_full(node)[usize::from(gpu)] != standing {
            self.cluster.recut(node, gpu, standing);
            self.emit(Record::Recut { node, gpu, standing });
        }
    }

    fn nos_offer(&mut self, node: NodeId, gpu: u8, slices: &[(u16, u16)]) {
        self.cluster.offer(node, gpu, slices);
        self.emit(Record::Resliced { node, gpu, slices });
    }

    /// A pass of an actuator ends.
    fn nos_pass_end(&mut self, id: NodeId, number: u64, failed: bool) {
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

    /// The scheduler wrote into the status of a pod why it waits.
    pub(super) fn nos_told(&mut self, pod: PodId, reason: ReasonId, nominated: Option<NodeId>) {
        let now = self.calendar.now();
        let Some(nos) = &mut self.nos else { return };
        let before = nos.conditions.insert(pod, (reason, nominated));
        if before.is_none() {
            nos.active = now;
        }
        if before != Some((reason, nominated)) {
            nos.queues.iter_mut().for_each(|queue| queue.add(pod));
            self.wake_partitioner_at(now);
        }
    }

    /// A pod runs on a node.
    pub(super) fn nos_bound(&mut self, pod: PodId, node: NodeId) {
        let now = self.calendar.now();
        let shape = self.setup.pods.shape(pod);
        let Some(nos) = &mut self.nos else { return };
        nos.active = now;
        if nos.conditions.remove(&pod).is_some() {
            nos.queues.iter_mut().for_each(|queue| queue.add(pod));
            self.wake_partitioner_at(now);
        }
        let nos = self.nos.as_mut().expect("there is nos");
        let requests = nos.shapes[shape.index()].requests.clone();
        let Some(managed) = nos.nodes.get_mut(&node) else { return };
        managed.pods.insert(pod);
        let text = managed.text.clone();
        let others = nos.seen(&nos.nodes[&node], |pod| self.setup.pods.shape(pod));
        // First the binding is seen, then that the pod runs.
        for running in [false, true] {
            let seen = Seen { pod, running, requests: requests.clone(), ports: Vec::new() };
            let others = others.clone();
            // A node that cannot be read is one of those that stop planning.
            let _ = nos.state.pod_event(&text, seen, || others);
        }
        nos.renew(node, now);
        self.arm_partitioner();
    }

    /// A pod that ran is gone from its node.
    pub(super) fn nos_gone(&mut self, pod: PodId, node: NodeId) {
        let now = self.calendar.now();
        let Some(nos) = &mut self.nos else { return };
        nos.active = now;
        if let Some(managed) = nos.nodes.get_mut(&node) {
            managed.pods.remove(&pod);
            // One that nos knew of no binding of is no news to it.
            let _ = nos.state.pod_deleted(&pod);
            nos.renew(node, now);
            self.arm_partitioner();
        }
    }

    /// A pod that waited left.
    pub(super) fn nos_forget(&mut self, pod: PodId) {
        if let Some(nos) = &mut self.nos {
            nos.conditions.remove(&pod);
        }
    }

    fn wake_partitioner_at(&mut self, at: Time) {
        let nos = self.nos.as_mut().expect("there is nos");
        if nos.wake.is_none_or(|(known, _)| at < known) {
            nos.wake = Some((at, self.calendar.schedule(at, Event::Partitioner, 0)));
        }
    }

    /// Plans the next moment at which something of nos is due.
    pub(super) fn arm_partitioner(&mut self) {
        let now = self.calendar.now();
        let quiet = self.is_over();
        let Some(nos) = &self.nos else { return };
        if quiet && nos.rollout.is_none() && nos.active + QUIET < now {
            return;
        }
        if let Some(next) = nos.next() {
            self.wake_partitioner_at(next.max(now));
        }
    }

    /// Something of nos is due.
    pub(super) fn partitioner(&mut self, epoch: Epoch) {
        let now = self.calendar.now();
        let nos = self.nos.as_mut().expect("there is nos");
        if nos.wake.take_if(|(_, planned)| *planned == epoch).is_none() {
            return;
        }
        loop {
            let nos = self.nos.as_mut().expect("there is nos");
            if let Some(entry) = nos.timers.first_entry()
                && entry.key().0 <= now
            {
                let due = entry.remove();
                self.nos_due(due);
                continue;
            }
            if let Some((rollout, _, _)) = &mut nos.rollout {
                if let Some(step) = rollout.step(now) {
                    self.nos_rollout(step);
                    continue;
                }
                if rollout.next().is_none() {
                    let (_, pod, _) = nos.rollout.take().expect("it is there");
                    nos.queues[Kind::Mps as usize].done(pod);
                }
            }
            nos.batcher.fire(now);
            nos.queues.iter_mut().for_each(|queue| queue.fire(now));
            if !self.nos_look() {
                break;
            }
        }
        self.arm_partitioner();
        self.arm();
    }

    fn nos_due(&mut self, due: Due) {
        match due {
            Due::Report(id) => {
                let nos = self.nos.as_mut().expect("there is nos");
                let Some(node) = nos.nodes.get_mut(&id) else { return };
                node.report_due = false;
                // During a pass the reporter waits for the lock; the end of the pass lets it in.
                if !matches!(node.side, Side::Mig { pass: Some(_), .. }) {
                    self.nos_report(id);
                }
            }
            Due::Act(id) => {
                let nos = self.nos.as_mut().expect("there is nos");
                if let Some(node) = nos.nodes.get_mut(&id) {
                    node.act_due = None;
                    self.nos_act(id);
                }
            }
            Due::PassEnd(id, number, failed) => self.nos_pass_end(id, number, failed),
            Due::PluginUp(id, restart) => self.nos_plugin_up(id, restart),
        }
    }

    /// A node of an MPS plan is written.
    fn nos_rollout(&mut self, step: Step) {
        let now = self.calendar.now();
        let Step::Label(write) = step else { return };
        let id = write.node;
        let nos = self.nos.as_mut().expect("there is nos");
        let gpus = write.state(nos.state.names());
        let (_, _, plan) = nos.rollout.as_ref().expect("it is under way");
        let key = config_key(&write.name, plan);
        let mps_plugin = nos.setup.mps_plugin;
        let Some(node) = nos.nodes.get_mut(&id) else {
            // The node is gone, and the first error ends the pass.
            nos.rollout.as_mut().expect("it is under way").0.abort();
            return;
        };
        node.text.labels.insert(PLUGIN_CONFIG.to_owned(), key);
        let Side::Mps { config } = &mut node.side else { return };
        let Ok(new) = plugin_config(&gpus) else { return };
        let count = |config: &[Replicas]| {
            let mut slices: BTreeMap<(i64, i64), i64> = BTreeMap::new();
            for entry in config {
                *slices.entry((entry.device, entry.memory_gb)).or_default() += entry.replicas;
            }
            slices
        };
        let (was, is) = (count(config), count(&new));
        let more = |a: &BTreeMap<(i64, i64), i64>, b: &BTreeMap<(i64, i64), i64>| {
            let surplus = |(key, n): (&(i64, i64), &i64)| (n - b.get(key).unwrap_or(&0)).max(0);
            a.iter().map(surplus).sum::<i64>() as u32
        };
        let (created, destroyed) = (more(&is, &was), more(&was, &is));
        *config = new;
        nos.sequence += 1;
        node.restart = nos.sequence;
        let restart = node.restart;
        nos.at(now + mps_plugin, Due::PluginUp(id, restart));
        self.emit(Record::Applied { node: id, created, destroyed, missing: 0 });
        self.nos_plugin_down(id);
    }

    /// The workers of both controllers look at the pods in their queues; whether one did.
    fn nos_look(&mut self) -> bool {
        let now = self.calendar.now();
        let mut looked = false;
        let nos = self.nos.as_mut().expect("there is nos");
        nos.looks += 1;
        // Both controllers take batches from one channel, and which comes first is a race upstream (N11):
        // they take turns here, since the one that always came second would never plan.
        let order = if nos.looks.is_multiple_of(2) { [Kind::Mps, Kind::Mig] } else { [Kind::Mig, Kind::Mps] };
        for kind in order {
            loop {
                let nos = self.nos.as_mut().expect("there is nos");
                if kind == Kind::Mps && nos.rollout.is_some() {
                    break;
                }
                let Some(pod) = nos.queues[kind as usize].pop() else { break };
                looked = true;
                let sight = Sight {
                    has_nodes: nos.state.has_nodes(kind),
                    exists: self.state[pod.index()] == State::Waiting
                        || self.state[pod.index()] == State::Running,
                    helpable: self.state[pod.index()] == State::Waiting
                        && nos.conditions.get(&pod).is_some_and(|(_, nominated)| nominated.is_none()),
                    unreported: nos.state.owes_report(),
                };
                let next = nos.controllers[kind as usize].reconcile(now, pod, sight, &mut nos.batcher);
                let queue = &mut nos.queues[kind as usize];
                match next {
                    Next::Done => queue.done(pod),
                    Next::Again(span) => {
                        queue.forget(pod);
                        queue.add_at(now + span, pod);
                        queue.done(pod);
                    }
                    Next::Plan => self.nos_plan(kind, pod),
                }
            }
        }
        looked
    }

    /// Plans for all pods that could be helped, and writes the plan.
    fn nos_plan(&mut self, kind: Kind, look: PodId) {
        let now = self.calendar.now();
        let pods = self.setup.pods;
        let nos = self.nos.as_mut().expect("there is nos");
        nos.plans += 1;
        let waiting: Vec<PodId> = nos
            .conditions
            .iter()
            .filter(|(_, (_, nominated))| nominated.is_none())
            .map(|(pod, _)| *pod)
            .collect();
        let used: BTreeSet<ShapeId> = waiting.iter().map(|pod| pods.shape(*pod)).collect();
        for shape in used {
            let constraint = &pods.constraints[pods.requests[shape.index()].constraint as usize];
            let admits = |node: &NodeId| self.cluster.class(*node).admits(constraint).is_ok();
            let reached: Vec<NodeId> = nos.nodes.keys().copied().filter(admits).collect();
            let all = reached.len() == nos.nodes.len();
            nos.shapes[shape.index()].reach = if all { Reach::Anywhere } else { Reach::Nodes(reached) };
        }
        let of =
            |pod: &PodId| Pod { shape: pods.shape(*pod).index(), priority: pods.pods[pod.index()].priority };
        let asked: Vec<Pod> = waiting.iter().map(of).collect();
        let mut choices = choices(nos.setup.seed, nos.plans);
        let settings = nos.setup.settings;
        let Ok(snapshot) = nos.state.snapshot(kind) else {
            nos.queues[kind as usize].failed(now, look);
            return;
        };
        let planned = plan(snapshot, &nos.shapes, &asked, settings, &mut *choices);
        let writes = writes(snapshot, &planned, settings.fixes, &mut *choices);
        let placed: BTreeSet<usize> =
            planned.recuts.iter().flat_map(|recut| recut.pods.iter().copied()).collect();
        let record = Record::Planned {
            pods: asked.len() as u32,
            placed: placed.len() as u32,
            nodes: writes.len() as u32,
            changed: writes.iter().filter(|write| write.changed).count() as u32,
        };
        let id = plan_id(now, settings.fixes);
        if kind == Kind::Mps && !writes.is_empty() {
            nos.queues[kind as usize].forget(look);
            nos.rollout = Some((Rollout::new(now, writes, settings), look, id));
            self.emit(record);
            return;
        }
        nos.queues[kind as usize].forget(look);
        nos.queues[kind as usize].done(look);
        let states: Vec<(NodeId, _)> =
            writes.iter().map(|write| (write.node, write.state(nos.state.names()))).collect();
        self.emit(record);
        for (node, gpus) in states {
            let nos = self.nos.as_mut().expect("there is nos");
            // A node that is gone cannot be written, and the first error ends the pass.
            let Some(managed) = nos.nodes.get_mut(&node) else {
                nos.queues[kind as usize].failed(now, look);
                break;
            };
            if let Ok(annotations) = annotate(&managed.text.annotations, &gpus, &id) {
                managed.text.annotations = annotations;
                self.nos_node_event(node);
                self.nos_act(node);
            }
        }
    }

    /// Whether nothing but the partitioner can make anything happen.
    fn is_over(&self) -> bool {
        let arrivals = self.next_arrival < self.setup.pods.pods.len();
        let waits = self.disruptions.away != 0 || self.disruptions.to_come != 0;
        let placing = match &self.decider {
            Decider::Kube(kube) => kube.is_placing(),
            Decider::Ideal(_) => false,
        };
        !arrivals && !waits && !placing && self.running.is_empty()
    }
}

/// Who chooses where nos does not.
fn choices(seed: Option<u64>, number: u64) -> Box<dyn Choices> {
    match seed {
        Some(seed) => Box::new(Seeded::new(seed, number)),
        None => Box::new(First),
    }
}
