//! nos in the simulated cluster: its controllers, agents and the device plugins they restart, in virtual
//! time.
//!
//! What nos decides is [`crate::partition::nos`]'s; this module holds what surrounds it: nodes as texts and
//! timers here, their GPUs and agents in `agents`, the controllers in `planning`. What a node advertises is the cluster's business: while a device plugin
//! restarts, slices that nobody holds are taken off its GPUs, and those that stand by then appear when the
//! plugin is back. Kubelet counts devices without a plugin as unhealthy, so that allocatable is 0
//! meanwhile.
//!
//! Agents report every 10 s for ever; a report that finds nothing new has one effect, the token for the
//! actuator, so only those that find something stand on the calendar, and the others are counted when
//! the actuator looks. Watches have no delay here.

mod agents;
mod planning;

use super::advertised::{Standing, labels, standing};
use super::{Decider, Event, World};
use crate::cluster::Share;
use crate::engine::Epoch;
use crate::gpu::driver::Driver;
use crate::gpu::{self, Catalogue, PlaceId, Places, Product};
use crate::id::{NodeId, PodId, ShapeId};
use crate::partition::nos::agent::MigAgent;
use crate::partition::nos::batch::Batcher;
use crate::partition::nos::control::{Controller, plan_id};
use crate::partition::nos::names::{Kind, PLUGIN_CONFIG};
use crate::partition::nos::queue::WorkQueue;
use crate::partition::nos::rollout::Rollout;
use crate::partition::nos::state::{Replicas, annotate};
use crate::partition::nos::usage::Seen;
use crate::partition::nos::{
    Choices, ClusterState, First, NodeLook, NodeText, Resources, Seeded, Settings, Shape, Tables,
};
use crate::partition::planner::Planner;
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
    /// Who plans.
    pub planner: Planner,
    /// Whether the best plan is sought beside each, to tell what it falls short of.
    pub regret: bool,
    /// Steps that each search for the best plan may take.
    pub steps: u64,
}

impl NosSetup<'_> {
    /// Whether plans are made or judged on the places of slices, of which nos knows nothing.
    fn on_places(&self) -> bool {
        self.regret || self.planner != Planner::Nos
    }
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

    /// Whether pods have come, been bound or ended lately enough for it to help somebody yet.
    pub(super) fn may_help(&self, now: Time) -> bool {
        now <= self.active + QUIET
    }

    fn next(&self) -> Option<Time> {
        let queues = self.queues.iter().filter_map(WorkQueue::next);
        let timers = self.timers.first_key_value().map(|((at, _), _)| *at);
        let rollout = self.rollout.as_ref().and_then(|(rollout, _, _)| rollout.next());
        queues.chain(self.batcher.next()).chain(timers).chain(rollout).min()
    }
}

/// All pods on a node, as nos sees them.
fn seen(pods: &BTreeSet<PodId>, shapes: &[Shape], shape_of: impl Fn(PodId) -> ShapeId) -> Vec<Seen<PodId>> {
    let seen = |pod: &PodId| Seen {
        pod: *pod,
        running: true,
        requests: shapes[shape_of(*pod).index()].requests.clone(),
        ports: Vec::new(),
    };
    pods.iter().map(seen).collect()
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
        if nos.setup.on_places() {
            for profile in product.profiles() {
                nos.state.resource(&profile.resource());
            }
        }
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
        let mut labels = labels(class, product, Some(kind));
        let mut allocatable = Resources {
            cpu_milli: class.cpu.0 as i64,
            memory_bytes: (class.memory.0 << 20) as i64,
            pods: i64::from(class.pods),
            ..Resources::default()
        };
        let mut advertised: BTreeMap<String, i64> = BTreeMap::new();
        for Standing { profile, all, .. } in standing(&self.cluster, id, self.setup.pods.slices) {
            *advertised.entry(kind.resource(&profile)).or_default() += i64::from(all);
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
                Side::Mig { .. } => {
                    self.cut(id, gpu, 0);
                }
                Side::Mps { .. } => self.nos_offer(id, gpu, &[]),
            }
        }
    }

    /// The event of a node's text reaches the controllers, and the actuator on it.
    fn nos_node_event(&mut self, id: NodeId) {
        let now = self.calendar.now();
        let pods = self.setup.pods;
        let Some(nos) = &mut self.nos else { return };
        let Nos { state, nodes, shapes, .. } = nos;
        let node = &nodes[&id];
        let seen = || seen(&node.pods, shapes, |pod| pods.shape(pod));
        if let Ok(NodeLook::Initialize(gpus)) = state.node_event(node.text.clone(), seen) {
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
        let Nos { state, nodes, shapes, .. } = nos;
        let Some(managed) = nodes.get_mut(&node) else { return };
        managed.pods.insert(pod);
        let requests = &shapes[shape.index()].requests;
        // First the binding is seen, then that the pod runs.
        for running in [false, true] {
            let now_seen = Seen { pod, running, requests: requests.clone(), ports: Vec::new() };
            let others = || seen(&managed.pods, shapes, |pod| self.setup.pods.shape(pod));
            // A node that cannot be read is one of those that stop planning.
            let _ = state.pod_event(&managed.text, now_seen, others);
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
        if quiet && nos.rollout.is_none() && !nos.may_help(now) {
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

    /// Whether nothing but the partitioner can make anything happen.
    fn is_over(&self) -> bool {
        let placing = match &self.decider {
            Decider::Kube(kube) => kube.is_placing(),
            Decider::Ideal(_) => false,
        };
        !self.expects() && !placing && self.running.is_empty()
    }
}

/// Who chooses where nos does not.
fn choices(seed: Option<u64>, number: u64) -> Box<dyn Choices> {
    match seed {
        Some(seed) => Box::new(Seeded::new(seed, number)),
        None => Box::new(First),
    }
}
