//! The partitioner of nos (nebuly-ai/nos, commit 12e0a72), decision for decision.
//!
//! What nos decides is decided here with its quirks; each quirk can be corrected on its own
//! ([`Fix`]). The parts, in the order in which a plan passes through them:
//!
//! ```text
//! text of a node  --names, table-->  Node  --insert-->  Snapshot  --plan-->  Plan  --state-->  State
//!   labels, annotations              GPUs, sums         by name              re-cuts           what is written
//! ```
//!
//! [`plan`](plan()) walks over the nodes by name, once. On each it lets the GPUs change their
//! geometry for what all pods together lack, places as many pods as fit, and keeps the change if one
//! did.
//!
//! # The control loop
//!
//! Around the planner stand the controllers and agents, as state machines without a clock: they are told
//! what happened and when, and answer what they do and when they want to be asked again. Whoever drives
//! them holds nodes ([`NodeText`]: labels, annotations, allocatable amounts), pods and GPUs.
//!
//! | when | call | what follows |
//! |---|---|---|
//! | a node comes, or its labels, annotations or allocatable amounts change | [`ClusterState::node_event`] | [`NodeLook::Initialize`]: [`state::annotate`] under a [`control::plan_id`], which is such a change |
//! | a pod is bound, or its phase changes while bound | [`ClusterState::pod_event`] | |
//! | a pod or node is deleted | [`ClusterState::pod_deleted`], [`ClusterState::node_deleted`] | |
//! | anything about a pod changes | [`queue::WorkQueue::add`] on the queue of each kind's controller | a look, when its one worker is free |
//! | the worker takes a pod | [`control::Controller::reconcile`] after [`batch::Batcher::fire`] | [`control::Next`]: again after a while, or plan |
//! | a plan is due | [`ClusterState::snapshot`], [`plan`](plan()) for all helpable pods, [`control::writes`] | MIG: annotations of every node in [`control::Write`]; MPS: a [`rollout::Rollout`], during which the worker is busy |
//! | every 10 s on a MIG node, and at its start | [`agent::MigAgent::report`] with [`device::Board::devices`] | annotations, if they change |
//! | annotations of a MIG node change | [`agent::MigAgent::act`] | [`agent::Act::Apply`]: [`device::apply`], the device plugin restarts ([`Settings::restart_wait`]), then [`agent::MigAgent::applied`] |
//! | every 10 s on an MPS node | [`agent::mps_report`] | annotations, if they change |
//! | a rollout labels an MPS node | [`state::plugin_config`] | its plugin reloads and offers [`state::Replicas::resource`] |
//!
//! ```
//! use slicewise::gpu::{Catalogue, Places, State, driver::Driver};
//! use slicewise::id::NodeId;
//! use slicewise::partition::nos::agent::{Act, MigAgent};
//! use slicewise::partition::nos::batch::Batcher;
//! use slicewise::partition::nos::control::{Controller, Next, Sight, plan_id, writes};
//! use slicewise::partition::nos::device::{Board, apply};
//! use slicewise::partition::nos::names::{Kind, Spec};
//! use slicewise::partition::nos::state::annotate;
//! use slicewise::partition::nos::{
//!     ClusterState, First, NodeLook, NodeText, Pod, Resources, Settings, Shape, Tables, plan,
//! };
//! use slicewise::units::{Span, Time};
//!
//! let settings = Settings::default();
//! let at = |seconds| Time::ZERO + Span::from_secs(seconds);
//! let product = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
//! let driver = Driver::new(product);
//! let board = |state| Board { index: 0, product, driver: &driver, state, used: Places::NONE };
//!
//! // A node with one A100 joins at 0 s: its empty GPU is to become seven 1g.
//! let mut state: ClusterState<u32> = ClusterState::new(&Tables::deployed(), settings.fixes);
//! let labels = [
//!     ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-40GB"),
//!     ("nvidia.com/gpu.count", "1"),
//!     ("nos.nebuly.com/gpu-partitioning", "mig"),
//! ];
//! let mut node = NodeText {
//!     id: NodeId(0),
//!     name: "n".to_owned(),
//!     labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
//!     allocatable: Resources { cpu_milli: 8_000, pods: 110, ..Resources::default() },
//!     ..NodeText::default()
//! };
//! let look = state.node_event(node.clone(), Vec::new).expect("a readable node");
//! let NodeLook::Initialize(gpus) = look else { panic!("{look:?}") };
//! node.annotations = annotate(&node.annotations, &gpus, &plan_id(at(0), settings.fixes)).expect("slices");
//! assert_eq!(state.node_event(node.clone(), Vec::new), Ok(NodeLook::Known));
//! assert!(state.owes_report(), "nobody plans before the agent reports");
//!
//! // Its agent reports, acts on what is asked for, and reports again.
//! let mut agent = MigAgent::new(&settings);
//! let mut layout = State::EMPTY;
//! let mut pass = |node: &mut NodeText, layout: &mut State| {
//!     node.annotations =
//!         agent.report(&node.annotations, &board(*layout).devices()).unwrap_or(node.annotations.clone());
//!     let act = agent.act(&node.annotations, &board(*layout).devices(), &mut First);
//!     if let Act::Apply(operations) = act {
//!         let specs: Vec<Spec> = Spec::of(&node.annotations).collect();
//!         let applied = apply(&operations, &specs, &[board(*layout)], settings.fixes);
//!         *layout = applied.gpus[0].state;
//!         agent.applied(applied.failed);
//!     }
//!     node.annotations =
//!         agent.report(&node.annotations, &board(*layout).devices()).unwrap_or(node.annotations.clone());
//! };
//! pass(&mut node, &mut layout);
//! let slice = state.resource("nvidia.com/mig-1g.5gb");
//! node.allocatable.scalars.add(slice, 7);
//! assert_eq!(state.node_event(node.clone(), Vec::new), Ok(NodeLook::Known));
//! assert!(!state.owes_report());
//!
//! // A pod that wants a 3g is found unschedulable at 100 s, and looked at every 5 s.
//! let mut requests = Resources { cpu_milli: 1_000, ..Resources::default() };
//! requests.scalars.add(state.resource("nvidia.com/mig-3g.20gb"), 1);
//! let (mut controller, mut batcher) = (Controller::new(&settings), Batcher::new(settings.batch, settings.fixes));
//! let mut now = at(100);
//! loop {
//!     batcher.fire(now);
//!     let sight = Sight {
//!         has_nodes: state.has_nodes(Kind::Mig),
//!         exists: true,
//!         helpable: true,
//!         unreported: state.owes_report(),
//!     };
//!     match controller.reconcile(now, 7_u32, sight, &mut batcher) {
//!         Next::Again(span) => now += span,
//!         Next::Done => unreachable!("the pod can be helped"),
//!         Next::Plan => break,
//!     }
//! }
//! assert_eq!(now, at(110));
//! let snapshot = state.snapshot(Kind::Mig).expect("readable nodes");
//! let shapes = [Shape { requests, ..Shape::default() }];
//! let planned = plan(snapshot, &shapes, &[Pod { shape: 0, priority: 0 }], &settings, &mut First);
//! for write in writes(snapshot, &planned, settings.fixes, &mut First) {
//!     let gpus = write.state(snapshot.names());
//!     node.annotations = annotate(&node.annotations, &gpus, &plan_id(now, settings.fixes)).expect("slices");
//! }
//! pass(&mut node, &mut layout);
//! let stands = product.states().layout(layout).describe(product);
//! assert_eq!(stands, "1g.5gb@0 1g.5gb@1 2g.10gb@2 3g.20gb@4");
//! ```
//!
//! Where nos follows the order of a Go map, [`Choices`] decides: one documented legal choice by
//! default, all of them with a seed. Counts are Go maps as well: an entry of 0 is not an absent one.
//!
//! Sources are named as files of the nos repository. Three liberties: counts beyond ±2⁴⁰ are cut
//! there (Go wraps at 2⁶³), GPUs of one node are put in their free order when the planner visits it
//! and not when the snapshot is taken, and pods of equal requests share one [`Shape`].

pub mod agent;
pub mod batch;
mod choice;
mod cluster_state;
pub mod control;
pub mod device;
mod fix;
mod gpu;
pub mod hardware;
mod line;
mod mig;
mod mps;
pub mod names;
mod node;
pub mod order;
mod placed;
mod plan;
pub mod queue;
mod resources;
pub mod rollout;
mod settings;
mod snapshot;
pub mod state;
pub mod table;
mod tracker;
pub mod usage;

pub use choice::{Choices, First, Free, Seeded, arrange};
pub use cluster_state::{ClusterState, NodeLook};
pub use fix::{Fix, Fixes};
pub use gpu::{Card, Gpu, Need};
pub use names::Kind;
pub use node::{Node, NodeError, NodeText, build, take};
pub use plan::{Plan, Recut, lacking, plan, sort};
pub use resources::{Counts, Names, Resources};
pub use settings::Settings;
pub use snapshot::{Pod, Port, Reach, Shape, Snapshot};
pub use table::Tables;
pub use tracker::Tracker;
