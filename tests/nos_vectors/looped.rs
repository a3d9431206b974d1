//! The control loop in virtual time: a small cluster whose nodes, agents and controllers are driven event
//! by event, and what comes of it second by second. kube-scheduler is a loop that binds what fits.

use slicewise::gpu::driver::Driver;
use slicewise::gpu::{Catalogue, PlaceId, Places, Product, State};
use slicewise::id::NodeId;
use slicewise::partition::nos::agent::{Act, Device, MigAgent, mps_report};
use slicewise::partition::nos::batch::Batcher;
use slicewise::partition::nos::control::{Controller, Next, Sight, plan_id, writes};
use slicewise::partition::nos::device::{Board, apply};
use slicewise::partition::nos::names::{Kind, SPEC_PLAN, STATUS_PLAN, Spec, Status};
use slicewise::partition::nos::queue::WorkQueue;
use slicewise::partition::nos::rollout::{Rollout, Step};
use slicewise::partition::nos::state::{Replicas, annotate, plugin_config};
use slicewise::partition::nos::usage::Seen;
use slicewise::partition::nos::{
    ClusterState, First, Fix, Fixes, NodeLook, NodeText, Pod, Resources, Settings, Shape, Tables, plan,
};
use slicewise::units::{Span, Time};
use std::collections::BTreeMap;

/// How long a restarted device plugin takes until its pod is ready again.
const PLUGIN: Span = Span::from_secs(8);

fn at(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

/// A pod of one slice, by its resource.
struct Waiting {
    resource: String,
    from: Time,
    until: Time,
    bound: Option<(usize, Time)>,
}

struct Machine {
    text: NodeText,
    kind: Kind,
    gone: bool,
    // MIG
    state: State,
    used: BTreeMap<u32, PlaceId>,
    agent: MigAgent,
    /// A pass of the actuator, whose plugin is back then.
    busy: Option<(Time, bool)>,
    look: Option<Time>,
    // MPS
    config: Vec<Replicas>,
    holds: BTreeMap<u32, String>,
}

/// A cluster of A100s, MIG and MPS, one GPU each.
struct Cluster {
    settings: Settings,
    product: &'static Product,
    driver: Driver<'static>,
    state: ClusterState<u32>,
    nodes: Vec<Machine>,
    pods: Vec<Waiting>,
    kinds: [(Controller<u32>, WorkQueue<u32>); 2],
    batcher: Batcher<u32>,
    rollout: Option<Rollout>,
    /// Which controller is the first to look when both are due.
    turns: [Kind; 2],
    now: Time,
    log: Vec<String>,
}

impl Cluster {
    fn new(kinds: &[Kind], settings: Settings) -> Cluster {
        let product = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        let mut cluster = Cluster {
            settings,
            product,
            driver: Driver::new(product),
            state: ClusterState::new(&Tables::deployed(), settings.fixes),
            nodes: Vec::new(),
            pods: Vec::new(),
            kinds: std::array::from_fn(|_| (Controller::new(&settings), WorkQueue::default())),
            batcher: Batcher::new(settings.batch, settings.fixes),
            rollout: None,
            turns: [Kind::Mig, Kind::Mps],
            now: Time::ZERO,
            log: Vec::new(),
        };
        for (number, kind) in kinds.iter().enumerate() {
            cluster.join(number, *kind);
        }
        cluster
    }

    fn join(&mut self, number: usize, kind: Kind) {
        let labels = [
            ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-40GB"),
            ("nvidia.com/gpu.count", "1"),
            ("nvidia.com/gpu.memory", "40960"),
            ("nos.nebuly.com/gpu-partitioning", kind.word()),
        ];
        let text = NodeText {
            id: NodeId::of(number),
            name: format!("n{number}"),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            allocatable: Resources { cpu_milli: 64_000, pods: 110, ..Resources::default() },
            ..NodeText::default()
        };
        self.nodes.push(Machine {
            text,
            kind,
            gone: false,
            state: State::EMPTY,
            used: BTreeMap::new(),
            agent: MigAgent::new(&self.settings),
            busy: None,
            look: None,
            config: Vec::new(),
            holds: BTreeMap::new(),
        });
        self.node_changed(number);
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        self.log.push(format!("{} {what}", self.now.0 / 1_000_000));
    }

    fn board(&self, node: usize) -> Board<'_> {
        let used: Places = self.nodes[node].used.values().copied().collect();
        let (product, driver) = (self.product, &self.driver);
        Board { index: 0, product, driver, state: self.nodes[node].state, used }
    }

    /// What kubelet shows of a node's devices.
    fn devices(&self, node: usize) -> Vec<Device> {
        let machine = &self.nodes[node];
        if machine.kind == Kind::Mig {
            return self.board(node).devices();
        }
        let mut left: Vec<&String> = machine.holds.values().collect();
        let mut devices = Vec::new();
        for entry in &machine.config {
            for id in entry.ids("0") {
                let resource = entry.resource();
                let held = left.iter().position(|held| **held == resource);
                held.map(|held| left.swap_remove(held));
                let status = if held.is_some() { Status::Used } else { Status::Free };
                devices.push(Device { gpu: 0, resource, id, status });
            }
        }
        devices
    }

    /// The device plugin offers what stands.
    fn advertise(&mut self, node: usize) {
        let devices = self.devices(node);
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for device in devices {
            *counts.entry(device.resource).or_insert(0) += 1;
        }
        let mut scalars = slicewise::partition::nos::Counts::new();
        for (resource, count) in counts {
            scalars.add(self.state.resource(&resource), count);
        }
        self.nodes[node].text.allocatable.scalars = scalars;
        self.node_changed(node);
    }

    fn bound(&mut self, node: usize) -> Vec<Seen<u32>> {
        let pods: Vec<u32> = (0..self.pods.len() as u32)
            .filter(|pod| self.pods[*pod as usize].bound.is_some_and(|(at, _)| at == node))
            .collect();
        pods.into_iter().map(|pod| self.seen(pod)).collect()
    }

    fn requests(&mut self, pod: u32) -> Resources {
        let resource = self.pods[pod as usize].resource.clone();
        let mut requests = Resources { cpu_milli: 1_000, ..Resources::default() };
        requests.scalars.add(self.state.resource(&resource), 1);
        requests
    }

    fn seen(&mut self, pod: u32) -> Seen<u32> {
        Seen { pod, running: true, requests: self.requests(pod), ports: Vec::new() }
    }

    /// The node's event reaches the node controller, and its agent's actuator.
    fn node_changed(&mut self, node: usize) {
        if self.nodes[node].gone {
            return;
        }
        let pods = self.bound(node);
        let look = self.state.node_event(self.nodes[node].text.clone(), || pods).expect("a readable node");
        if let NodeLook::Initialize(gpus) = look {
            let id = plan_id(self.now, self.settings.fixes);
            let annotations = &self.nodes[node].text.annotations;
            self.nodes[node].text.annotations = annotate(annotations, &gpus, &id).expect("slices");
            self.say(format_args!("n{node} initialize"));
            self.node_changed(node);
        }
        if self.nodes[node].kind == Kind::Mig {
            self.nodes[node].look = Some(self.now);
        }
    }

    fn report(&mut self, node: usize) {
        let devices = self.devices(node);
        let machine = &mut self.nodes[node];
        let annotations = match machine.kind {
            Kind::Mig => machine.agent.report(&machine.text.annotations, &devices),
            Kind::Mps => mps_report(&machine.text.annotations, &devices),
        };
        if let Some(annotations) = annotations {
            machine.text.annotations = annotations;
            self.node_changed(node);
        }
    }

    fn act(&mut self, node: usize) {
        self.nodes[node].look = None;
        let devices = self.devices(node);
        let machine = &mut self.nodes[node];
        match machine.agent.act(&machine.text.annotations, &devices, &mut First) {
            Act::Nothing => {}
            Act::Again(span) => machine.look = Some(self.now + span),
            Act::Apply(operations) => {
                let specs: Vec<Spec> = Spec::of(&machine.text.annotations).collect();
                let applied = apply(&operations, &specs, &[self.board(node)], self.settings.fixes);
                let state = applied.gpus.first().map_or(self.nodes[node].state, |gpu| gpu.state);
                self.nodes[node].state = state;
                let stands = self.product.states().layout(state).describe(self.product);
                self.say(format_args!("n{node} {}{stands}", if applied.failed { "failed: " } else { "" }));
                let wait = if applied.restart { self.settings.restart_wait(PLUGIN) } else { Ok(Span::ZERO) };
                let wait = wait.expect("the plugin is back in time");
                self.nodes[node].busy = Some((self.now + wait, applied.failed));
            }
        }
    }

    fn reconcile(&mut self, kind: Kind) {
        let sight = Sight {
            has_nodes: self.state.has_nodes(kind),
            exists: true,
            helpable: false,
            unreported: self.state.owes_report(),
        };
        let (controller, queue) = &mut self.kinds[kind as usize];
        let Some(pod) = queue.pop() else { return };
        let waiting = &self.pods[pod as usize];
        let helpable = waiting.bound.is_none() && self.now < waiting.until;
        let next = controller.reconcile(self.now, pod, Sight { helpable, ..sight }, &mut self.batcher);
        queue.forget(pod);
        queue.done(pod);
        match next {
            Next::Done => {}
            Next::Again(span) => queue.add_at(self.now + span, pod),
            Next::Plan => self.plan(kind),
        }
    }

    fn plan(&mut self, kind: Kind) {
        let helpable: Vec<u32> = (0..self.pods.len() as u32)
            .filter(|pod| {
                let waiting = &self.pods[*pod as usize];
                waiting.bound.is_none() && waiting.from <= self.now && self.now < waiting.until
            })
            .collect();
        let shapes: Vec<Shape> =
            helpable.iter().map(|pod| Shape { requests: self.requests(*pod), ..Shape::default() }).collect();
        let pods: Vec<Pod> = (0..shapes.len()).map(|shape| Pod { shape, priority: 0 }).collect();
        let Ok(snapshot) = self.state.snapshot(kind) else { return };
        let planned = plan(snapshot, &shapes, &pods, &self.settings, &mut First);
        let writes = writes(snapshot, &planned, self.settings.fixes, &mut First);
        let names: Vec<String> = writes.iter().map(|write| write.name.clone()).collect();
        let states: Vec<_> = writes.iter().map(|write| write.state(snapshot.names())).collect();
        self.say(format_args!("plan {} for {}: {}", kind.word(), pods.len(), names.join(" ")));
        if kind == Kind::Mps {
            self.rollout = Some(Rollout::new(self.now, writes, &self.settings));
            return;
        }
        let id = plan_id(self.now, self.settings.fixes);
        for (write, gpus) in writes.iter().zip(states) {
            let node = write.node.index();
            if self.nodes[node].gone {
                self.say(format_args!("n{node} is not found"));
                return;
            }
            let annotations = &self.nodes[node].text.annotations;
            self.nodes[node].text.annotations = annotate(annotations, &gpus, &id).expect("slices");
            self.node_changed(node);
        }
    }

    /// Binds what fits, first node first, and ends pods.
    fn schedule(&mut self) {
        for pod in 0..self.pods.len() as u32 {
            let waiting = &self.pods[pod as usize];
            if let Some((node, end)) = waiting.bound
                && end == self.now
            {
                self.nodes[node].used.remove(&pod);
                self.nodes[node].holds.remove(&pod);
                self.pods[pod as usize].bound = None;
                self.state.pod_deleted(&pod).expect("it was bound");
            }
            let waiting = &self.pods[pod as usize];
            if waiting.bound.is_some() || self.now < waiting.from || waiting.until <= self.now {
                continue;
            }
            let resource = waiting.resource.clone();
            let id = self.state.resource(&resource);
            let fits = (0..self.nodes.len()).find(|node| {
                let free = |d: &Device| d.resource == resource && d.status == Status::Free;
                let offered = self.nodes[*node].text.allocatable.scalars.get(id);
                let devices = self.devices(*node);
                let held = devices.iter().filter(|d| d.resource == resource && !free(d)).count() as i64;
                !self.nodes[*node].gone
                    && self.nodes[*node].busy.is_none()
                    && held < offered
                    && devices.iter().any(free)
            });
            let Some(node) = fits else { continue };
            match self.nodes[node].kind {
                Kind::Mig => {
                    let board = self.board(node);
                    let places = board.driver.states().layout(board.state).places();
                    let of_it = |p: &PlaceId| {
                        let profile = board.driver.states().place(*p).slice.profile;
                        Kind::Mig.resource(self.product.at(profile).name()) == resource
                    };
                    let place = places.without(board.used).iter().find(of_it).expect("it is free");
                    self.nodes[node].used.insert(pod, place);
                }
                Kind::Mps => _ = self.nodes[node].holds.insert(pod, resource.clone()),
            }
            let end = self.pods[pod as usize].until;
            self.pods[pod as usize].bound = Some((node, end));
            self.say(format_args!("pod {pod} on n{node}"));
            let (seen, pods) = (self.seen(pod), self.bound(node));
            let text = self.nodes[node].text.clone();
            self.state.pod_event(&text, seen, || pods).expect("a known node");
            self.kinds.iter_mut().for_each(|(_, queue)| queue.add(pod));
        }
    }

    fn run(&mut self, end: u64) {
        while self.now <= at(end) {
            self.second();
            self.now += Span::from_secs(1);
        }
    }

    fn second(&mut self) {
        let now = self.now;
        for node in 0..self.nodes.len() {
            if let Some((until, failed)) = self.nodes[node].busy
                && until == now
            {
                self.nodes[node].busy = None;
                if self.nodes[node].agent.applied(failed) {
                    self.nodes[node].look = Some(now);
                }
                self.advertise(node);
            }
        }
        if let Some(rollout) = &mut self.rollout {
            let mut steps = Vec::new();
            while let Some(step) = rollout.step(now) {
                steps.push(step);
            }
            if rollout.next().is_none() {
                self.rollout = None;
            }
            for step in steps {
                let Step::Label(write) = step else { continue };
                let node = write.node.index();
                let gpus = write.state(self.state.names());
                self.nodes[node].config = plugin_config(&gpus).expect("slices");
                self.say(format_args!("n{node} reloads"));
                self.advertise(node);
            }
        }
        self.schedule();
        for pod in 0..self.pods.len() as u32 {
            if self.pods[pod as usize].from == now && self.pods[pod as usize].bound.is_none() {
                self.kinds.iter_mut().for_each(|(_, queue)| queue.add(pod));
            }
        }
        for node in (0..self.nodes.len()).filter(|_| now.0.is_multiple_of(10_000_000)) {
            if self.nodes[node].busy.is_none() && !self.nodes[node].gone {
                self.report(node);
            }
        }
        self.batcher.fire(now);
        for kind in self.turns {
            self.kinds[kind as usize].1.fire(now);
            let waiting = self.pods.len();
            for _ in 0..waiting {
                if kind == Kind::Mps && self.rollout.is_some() {
                    break;
                }
                self.reconcile(kind);
            }
        }
        for node in 0..self.nodes.len() {
            let due = self.nodes[node].look.is_some_and(|at| at <= now);
            if due && self.nodes[node].busy.is_none() && !self.nodes[node].gone {
                self.act(node);
            }
        }
    }

    fn pod(&mut self, resource: &str, from: u64, until: u64) {
        let (resource, from, until) = (resource.to_owned(), at(from), at(until));
        self.pods.push(Waiting { resource, from, until, bound: None });
    }
}

#[test]
fn a_pod_is_served_by_a_recut_of_a_mig_node() {
    let mut cluster = Cluster::new(&[Kind::Mig], Settings::default());
    cluster.pod("nvidia.com/mig-3g.20gb", 100, 900);
    cluster.run(200);
    assert_eq!(
        cluster.log,
        [
            "0 n0 initialize",
            // The first report frees the actuator.
            "0 n0 1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 1g.5gb@4 1g.5gb@5 1g.5gb@6",
            "110 plan mig for 1: n0",
            "110 n0 1g.5gb@0 1g.5gb@1 2g.10gb@2 3g.20gb@4",
            // The plugin is ready after 8 s, and looked at every 5.
            "120 pod 0 on n0",
        ]
    );
    let annotations = &cluster.nodes[0].text.annotations;
    assert_eq!(annotations[SPEC_PLAN], "110");
    assert_eq!(annotations[SPEC_PLAN], annotations[STATUS_PLAN]);
    assert!(!cluster.state.owes_report());
}

#[test]
fn mps_nodes_are_written_one_after_the_other() {
    let mut cluster = Cluster::new(&[Kind::Mps, Kind::Mps], Settings::default());
    cluster.pod("nvidia.com/gpu-20gb", 100, 900);
    cluster.pod("nvidia.com/gpu-10gb", 103, 900);
    cluster.run(200);
    assert_eq!(
        cluster.log,
        [
            // Idle since 103; the pods look at 110, and at 113 when the batch is ready.
            "113 plan mps for 2: n0 n1",
            "118 n0 reloads",
            "118 pod 0 on n0",
            "118 pod 1 on n0",
            "123 n1 reloads",
        ]
    );
    let fixed = Settings { fixes: Fixes::from_iter([Fix::RewriteAll]), ..Settings::default() };
    let mut cluster = Cluster::new(&[Kind::Mps, Kind::Mps], fixed);
    cluster.pod("nvidia.com/gpu-20gb", 100, 900);
    cluster.run(200);
    assert_eq!(cluster.log, ["110 plan mps for 1: n0", "115 n0 reloads", "115 pod 0 on n0"]);
}

/// Quirk 20: a node that was deleted before it reported keeps everybody waiting.
#[test]
fn a_deleted_node_keeps_planning_waiting() {
    for (fixes, planned) in [(Fixes::NONE, false), (Fixes::from_iter([Fix::DeletedNodes]), true)] {
        let settings = Settings { fixes, ..Settings::default() };
        let mut cluster = Cluster::new(&[Kind::Mig], settings);
        cluster.run(50);
        cluster.join(1, Kind::Mig);
        assert!(cluster.state.owes_report());
        cluster.nodes[1].gone = true;
        cluster.state.node_deleted(NodeId(1));
        cluster.pod("nvidia.com/mig-3g.20gb", 100, 900);
        cluster.run(400);
        let plans = cluster.log.iter().filter(|line| line.contains("plan mig")).count();
        assert_eq!(0 < plans, planned, "{:?}", cluster.log);
    }
}

/// Quirk 21: whoever loses the label stays known.
#[test]
fn a_node_that_loses_its_label_stays_known() {
    for (fixes, known) in [(Fixes::NONE, true), (Fixes::from_iter([Fix::LabelRemoval]), false)] {
        let mut cluster = Cluster::new(&[Kind::Mig], Settings { fixes, ..Settings::default() });
        cluster.run(50);
        cluster.nodes[0].text.labels.remove("nos.nebuly.com/gpu-partitioning");
        cluster.node_changed(0);
        assert_eq!(cluster.state.has_nodes(Kind::Mig), known);
        assert_eq!(cluster.state.snapshot(Kind::Mig).expect("readable").nodes().len(), usize::from(known));
    }
}

/// Quirks 22 and 23: a node whose GPUs all had slices before nos came is excluded, until the event of a
/// pod brings it in without a check.
#[test]
fn nodes_with_slices_of_their_own_are_excluded_until_a_pod_runs_there() {
    let look = |fixes: Fixes| {
        let mut state: ClusterState<u32> = ClusterState::new(&Tables::deployed(), fixes);
        let mut text = Cluster::new(&[Kind::Mig], Settings::default()).nodes.remove(0).text;
        text.annotations = [("nos.nebuly.com/status-gpu-0-7g.40gb-used".to_owned(), "1".to_owned())].into();
        let first = state.node_event(text.clone(), Vec::new).expect("readable");
        let seen = Seen { pod: 1, running: true, ..Seen::default() };
        let second = state.pod_event(&text, seen, Vec::new).expect("readable");
        let word = |look: NodeLook| match look {
            NodeLook::Initialize(gpus) => format!("initialize {:?}", gpus[0].resources),
            other => format!("{other:?}"),
        };
        [word(first), word(second), state.has_nodes(Kind::Mig).to_string()]
    };
    assert_eq!(look(Fixes::NONE), ["Excluded", "Known", "true"]);
    assert_eq!(look(Fixes::from_iter([Fix::UncheckedNodes])), ["Excluded", "Excluded", "false"]);
    let [first, ..] = look(Fixes::from_iter([Fix::NeverInitialized]));
    assert_eq!(first, r#"initialize {"nvidia.com/mig-7g.40gb": 1}"#);
}

/// Quirk 18: a plan counts as reported when it was read; its slices may be minutes away.
#[test]
fn a_plan_is_reported_when_it_was_read_unless_it_is_to_be_applied_first() {
    let gate = |fixes: Fixes| {
        let settings = Settings { fixes, ..Settings::default() };
        let mut agent = MigAgent::new(&settings);
        let spec = [("nos.nebuly.com/spec-gpu-0-7g.40gb", "1"), (SPEC_PLAN, "5")];
        let annotations = spec.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        agent.report(&annotations, &[]);
        assert!(matches!(agent.act(&annotations, &[], &mut First), Act::Apply(_)));
        let during = agent.report(&annotations, &[]).and_then(|texts| texts.get(STATUS_PLAN).cloned());
        assert!(agent.applied(true), "a pass that failed is tried again");
        let after = agent.report(&annotations, &[]).and_then(|texts| texts.get(STATUS_PLAN).cloned());
        assert!(matches!(agent.act(&annotations, &[], &mut First), Act::Nothing), "the same plan again");
        (during, after)
    };
    let five = Some("5".to_owned());
    assert_eq!(gate(Fixes::NONE), (five.clone(), five.clone()));
    assert_eq!(gate(Fixes::from_iter([Fix::PlanIds])), (None, five));
    assert_eq!(plan_id(Time(1_500_000), Fixes::NONE), "1");
    assert_eq!(plan_id(Time(1_500_000), Fixes::from_iter([Fix::PlanIds])), "1500000");
}

/// Quirk 26: a failing plan is tried again whenever the status changed.
#[test]
fn a_failing_plan_is_suppressed_only_while_the_status_stays() {
    let tries = |fixes: Fixes| {
        let mut agent = MigAgent::new(&Settings { fixes, ..Settings::default() });
        let status = |count: u32| {
            let free = ("nos.nebuly.com/status-gpu-0-1g.5gb-unknown".to_owned(), count.to_string());
            [free, ("nos.nebuly.com/spec-gpu-0-7g.40gb".to_owned(), "1".to_owned())].into()
        };
        let mut acts = Vec::new();
        for count in [0, 0, 1] {
            agent.report(&status(count), &[]);
            acts.push(matches!(agent.act(&status(count), &[], &mut First), Act::Apply(_)));
            agent.applied(true);
        }
        acts
    };
    assert_eq!(tries(Fixes::NONE), [true, false, true]);
    assert_eq!(tries(Fixes::from_iter([Fix::PluginRestart])), [true, false, false]);
}

/// Quirk 27: the agent's start takes all free devices.
#[test]
fn an_agent_that_starts_deletes_what_is_free() {
    let device = |id: &str, status| Device {
        gpu: 0,
        resource: "nvidia.com/mig-1g.5gb".to_owned(),
        id: id.to_owned(),
        status,
    };
    let devices = [device("a", Status::Used), device("b", Status::Free)];
    let deleted = |fixes| MigAgent::new(&Settings { fixes, ..Settings::default() }).start(&devices).len();
    assert_eq!([deleted(Fixes::NONE), deleted(Fixes::from_iter([Fix::AgentStart]))], [1, 0]);
}

/// Two kinds in one process share the batch window: one token wakes whichever looks first (N11), and who
/// is always second waits until the other has nobody left to look for.
#[test]
fn one_token_wakes_one_controller() {
    for (turns, served) in [([Kind::Mig, Kind::Mps], 0), ([Kind::Mps, Kind::Mig], 1)] {
        let mut cluster = Cluster::new(&[Kind::Mig, Kind::Mps], Settings::default());
        cluster.turns = turns;
        cluster.pod("nvidia.com/mig-2g.10gb", 100, 900);
        cluster.pod("nvidia.com/gpu-10gb", 100, 900);
        cluster.run(400);
        let bound: Vec<usize> = cluster.pods.iter().filter_map(|pod| Some(pod.bound?.0)).collect();
        assert_eq!(bound, [served], "{:?}", cluster.log);
    }
}
