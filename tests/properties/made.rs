//! Scenarios made by chance: small, crowded, and of everything something.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use slicewise::cluster::spec::{
    Amounts, ClusterSpec, EventKind, EventSpec, Gpus, Holders, Mode, ModeSpec, Mps, NodeGroup, RecutSpec,
    Taint,
};
use slicewise::experiment::{World, prepare};
use slicewise::partition::nos::Fixes;
use slicewise::partition::planner::Planner;
use slicewise::partition::spec::{Choice, Geometries, NosSpec, PartitionerSpec};
use slicewise::perf::failures::{Checkpoint, Failures, GpuFaults, Life, NodeFaults, RepairLaw, Retries};
use slicewise::perf::recut::{Path, Recut};
use slicewise::perf::{Behavior, FaultDomain, Mig, Mps as PerfMps, PairMode, PairRow, Threads, TimeSlicing};
use slicewise::scenario::resolved::{ModelsSpec, ReportSpec, Scenario, WorkloadSpec};
use slicewise::sched::spec::{GpuChoice, KubeSpec, Profile, SchedulerSpec, ScoreSpec, Ties};
use slicewise::units::{Mib, MilliCpu, Span, Time};
use slicewise::workload::policy::{
    Allows, Amount, DisruptionBudget, Evicted, Of, PriorityClass, SchedulingGate,
};
use slicewise::workload::request::{Rule, Sharing, Translation};
use slicewise::workload::{Builder, Constraint, GpuDemand, PodRow, Toleration, Workload};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A whole scenario in few words.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) to: Sharing,
    pub(crate) rule: Rule,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Gang>,
    pub(crate) scores: Vec<(&'static str, u32)>,
    pub(crate) gpu_choice: GpuChoice,
    pub(crate) ties: Ties,
    pub(crate) cycle: Span,
    pub(crate) patience: Option<Span>,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) sharing: bool,
    /// What happens to nodes: when, to which group, what.
    pub(crate) events: Vec<(u64, usize, u8)>,
    pub(crate) policy: Policy,
    /// What breaks, and what is kept.
    pub(crate) models: Option<ModelsSpec>,
    /// Whether nos cuts MIG and MPS nodes.
    pub(crate) nos: Option<Cuts>,
}

/// How nos cuts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts {
    /// With all quirks mended.
    pub(crate) mended: bool,
    /// With chance.
    pub(crate) seeded: bool,
    pub(crate) planner: Planner,
    pub(crate) regret: bool,
}

/// What is said of pods that must go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) grace: Span,
    pub(crate) leave: bool,
    pub(crate) budgets: Vec<(bool, u32)>,
    pub(crate) meek: bool,
    /// Scheduling gates: of which class of pods, and seconds until they are lifted.
    pub(crate) gates: Vec<(usize, u64)>,
}

/// A group of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    count: u32,
    cpu: u64,
    memory_gib: u64,
    pods: u32,
    gpus: u16,
    h100: bool,
    /// Its mode, if not that of the pods' requests.
    other: Option<Sharing>,
    /// Which of the forms of its mode.
    form: usize,
    labelled: bool,
    taint: u8,
}

/// Pods that start together, or one alone.
#[derive(Clone, Debug)]
pub(crate) struct Gang {
    arrival: Time,
    priority: i32,
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    work: Span,
    cpu: u64,
    memory_gib: u64,
    gpu: Gpu,
    constraint: u8,
    class: u8,
}

#[derive(Clone, Copy, Debug)]
enum Gpu {
    None,
    Share(u16, u64),
    Whole(u16),
    Profile(&'static str),
}

/// Any case: one in three has many nodes and pods of few shapes, where the scheduler keeps rows.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let wide = prop_oneof![2 => Just(None), 1 => (4_u32..8, 1_usize..4).prop_map(Some)];
    (small(), wide).prop_map(|(case, wide)| match wide {
        Some((times, shapes)) => case.widened(times, shapes),
        None => case,
    })
}

fn small() -> impl Strategy<Value = Case> {
    let to = prop_oneof![
        Just(Sharing::Whole),
        Just(Sharing::Mig),
        Just(Sharing::Mps),
        Just(Sharing::MpsReplicas),
        Just(Sharing::TimeSlicing),
        Just(Sharing::Fraction),
    ];
    let rule = prop_oneof![Just(Rule::CeilCompute), Just(Rule::CeilBoth), Just(Rule::Nearest)];
    let choice = prop_oneof![Just(GpuChoice::FirstFit), Just(GpuChoice::BestFit), Just(GpuChoice::WorstFit)];
    let ties = prop_oneof![Just(Ties::NodeOrder), Just(Ties::Seeded)];
    let score = prop_oneof![
        3 => Just("least-allocated"),
        2 => Just("most-allocated"),
        2 => Just("balanced-allocation"),
        1 => Just("random"),
    ];
    let cycle = prop_oneof![3 => Just(Span::ZERO), 1 => Just(Span::from_secs(7))];
    let patience = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Span::ZERO)),
        1 => (1_u64..60).prop_map(|secs| Some(Span::from_secs(secs))),
    ];
    let limit = prop_oneof![3 => Just(None), 1 => (0_u64..6).prop_map(Some)];
    let what = (any::<u64>(), to, rule, vec(node(), 1..=6), vec(gang(), 1..60));
    let how = (vec((score, 1_u32..=3), 0..=2), choice, ties, cycle, patience, limit, any::<bool>());
    (what, how).prop_map(|((seed, to, rule, nodes, pods), how)| {
        let (scores, gpu_choice, ties, cycle, patience, queue_limit, sharing) = how;
        Case {
            seed,
            to,
            rule,
            nodes,
            pods,
            scores,
            gpu_choice,
            ties,
            cycle,
            patience,
            queue_limit,
            sharing,
            events: Vec::new(),
            policy: Policy::default(),
            nos: None,
            models: None,
        }
    })
}

fn node() -> impl Strategy<Value = Node> {
    let other = prop_oneof![5 => Just(None), 1 => Just(Some(Sharing::Whole)), 1 => Just(Some(Sharing::Mig))];
    let gpus = prop_oneof![1 => Just(0_u16), 4 => 1_u16..=4];
    let size = (1_u32..=2, 1_u64..=16, 1_u64..=64, prop_oneof![1 => 1_u32..4, 3 => Just(110)]);
    (size, gpus, prop::bool::weighted(0.2), other, 0_usize..4, any::<bool>(), 0_u8..4).prop_map(
        |((count, cpu, memory_gib, pods), gpus, h100, other, form, labelled, taint)| Node {
            count,
            cpu,
            memory_gib,
            pods,
            gpus,
            h100,
            other,
            form,
            labelled,
            taint,
        },
    )
}

fn gang() -> impl Strategy<Value = Gang> {
    // Few moments, so that many pods share one; some off the grid of a second.
    let arrival = prop_oneof![4 => (0_u64..12).prop_map(|i| i * 10_000_000), 1 => 0_u64..120_000_000];
    let size = prop_oneof![4 => Just(1_usize), 1 => 2_usize..=4];
    let priority = prop_oneof![3 => Just(0), 1 => -2..=2];
    (arrival, priority, size.prop_flat_map(|n| vec(member(), n)))
        .prop_map(|(arrival, priority, members)| Gang { arrival: Time(arrival), priority, members })
}

fn member() -> impl Strategy<Value = Member> {
    let work = prop_oneof![
        1 => Just(Span::ZERO),
        4 => (1_u64..8).prop_map(|i| Span::from_secs(i * 10)),
        2 => (1_u64..90_000_000).prop_map(Span),
    ];
    let memory = prop_oneof![2 => Just(0), 1 => Just(4_096_u64), 1 => Just(16_384)];
    let profile = prop_oneof![Just("1g"), Just("2g"), Just("3g"), Just("7g"), Just("1g.10gb")];
    let gpu = prop_oneof![
        2 => Just(Gpu::None),
        4 => (prop_oneof![1_u16..=999, Just(500), Just(250)], memory).prop_map(|(m, g)| Gpu::Share(m, g)),
        2 => (1_u16..=3).prop_map(Gpu::Whole),
        1 => profile.prop_map(Gpu::Profile),
    ];
    let constraint = prop_oneof![4 => Just(0_u8), 1 => 1_u8..6];
    (work, 0_u64..=6, 0_u64..=16, gpu, constraint, 0_u8..3).prop_map(
        |(work, cpu, memory_gib, gpu, constraint, class)| Member {
            work,
            cpu,
            memory_gib,
            gpu,
            constraint,
            class,
        },
    )
}

impl Case {
    /// The same on `times` as many nodes, with three times the pods, all like the first `shapes`.
    fn widened(mut self, times: u32, shapes: usize) -> Case {
        self.nodes.iter_mut().for_each(|node| node.count *= times);
        let like: Vec<Member> = self.pods.iter().take(shapes).map(|gang| gang.members[0].clone()).collect();
        let copies = (0..3).flat_map(|copy| self.pods.iter().map(move |gang| (copy, gang)));
        let pods = copies.enumerate().map(|(at, (copy, gang))| {
            let like = like[at % like.len()].clone();
            let members = gang.members.iter().map(|member| Member { work: member.work, ..like.clone() });
            Gang {
                arrival: Time(gang.arrival.0 + copy * 3_333_333),
                priority: gang.priority,
                members: members.collect(),
            }
        });
        self.pods = pods.collect();
        self
    }

    /// The same without what the reference scheduler leaves out: slowdowns, cycles that keep people
    /// waiting, gangs of unequal members, and gangs where equals are drawn.
    ///
    /// Whether unequal members fit can depend on which node the scores send the first of them to, so
    /// a pod bound elsewhere can make room for a gang; `ideal` tries gangs again when room is freed,
    /// and the obvious scheduler tries at every moment. A gang that fails half-way has drawn, too.
    pub(crate) fn plain(mut self) -> Case {
        let most = if self.draws() { 1 } else { usize::MAX };
        for gang in &mut self.pods {
            gang.members.truncate(most);
            let (first, rest) = gang.members.split_first_mut().expect("a gang has a member");
            rest.iter_mut().for_each(|member| *member = Member { work: member.work, ..first.clone() });
        }
        Case { cycle: Span::ZERO, sharing: false, ..self }
    }

    /// Whether equally good nodes are drawn among.
    fn draws(&self) -> bool {
        self.ties == Ties::Seeded || self.scores.iter().any(|(name, _)| *name == "random")
    }

    /// The same pods without gangs under kube-scheduler.
    pub(crate) fn under(mut self, profile: Profile, kube: KubeSpec) -> World {
        self.pods.iter_mut().for_each(|gang| gang.members.truncate(1));
        self.world_of(SchedulerSpec {
            profile,
            gpu_choice: self.gpu_choice,
            cycle: self.cycle,
            kube,
            ..SchedulerSpec::default()
        })
    }

    /// What it describes.
    pub(crate) fn world(&self) -> World {
        let score = |(name, weight): &(&str, u32)| ScoreSpec { name: (*name).to_owned(), weight: *weight };
        self.world_of(SchedulerSpec {
            scores: self.scores.iter().map(score).collect(),
            gpu_choice: self.gpu_choice,
            ties: self.ties,
            cycle: self.cycle,
            ..SchedulerSpec::ideal()
        })
    }

    fn partitioner(&self) -> PartitionerSpec {
        match self.nos {
            None => PartitionerSpec::None,
            Some(Cuts { mended, seeded, planner, regret }) => PartitionerSpec::Nos(NosSpec {
                fix: if mended { Fixes::all() } else { Fixes::NONE },
                geometries: Geometries::Catalogue,
                choices: if seeded { Choice::Seeded } else { Choice::First },
                planner,
                regret,
                steps: 300,
                ..NosSpec::default()
            }),
        }
    }

    /// The events of all nodes, each possible at its time: a node that left is there again before
    /// anything else happens to it.
    fn events(&self) -> Vec<EventSpec> {
        let mut away = vec![false; self.nodes.len()];
        let mut switched = vec![false; self.nodes.len()];
        let mut events = self.events.clone();
        events.sort_by_key(|(at, _, _)| *at);
        let mut made = Vec::new();
        for (at, group, kind) in events {
            let group = group % self.nodes.len();
            let cuts = self.nos.is_none() && self.nodes[group].gpus != 0;
            let mig = cuts && !switched[group] && self.nodes[group].other.unwrap_or(self.to) == Sharing::Mig;
            let taint = |value: &str, effect: &str| Taint {
                key: "gone".to_owned(),
                value: value.to_owned(),
                effect: effect.to_owned(),
            };
            let layouts: [&[&str]; 3] = [&["3g", "3g"], &["2g", "2g", "2g", "1g"], &["7g"]];
            let recut = |layout: usize, running| {
                EventKind::Recut(RecutSpec {
                    layout: layouts[layout].iter().map(|profile| (*profile).to_owned()).collect(),
                    gpus: None,
                    running,
                })
            };
            let change = match (std::mem::take(&mut away[group]), kind) {
                (true, _) => EventKind::Join,
                (false, 0) => {
                    away[group] = true;
                    EventKind::Leave
                }
                (false, 1) => EventKind::Cordon,
                (false, 2) => EventKind::Uncordon,
                (false, 3) => EventKind::Drain,
                (false, 4) => EventKind::Taint(taint("a", "NoExecute")),
                (false, 5) => EventKind::Taint(taint("b", "PreferNoSchedule")),
                (false, 6) => EventKind::Label(BTreeMap::from([("zone".to_owned(), "a".to_owned())])),
                (false, 7) => EventKind::Allocatable(Amounts {
                    cpu: Some(MilliCpu(3_000)),
                    pods: Some(2),
                    ..Amounts::default()
                }),
                (false, 11 | 12) if cuts => {
                    switched[group] = true;
                    let to = if kind == 11 { Mode::TimeSlicing { replicas: 3 } } else { Mode::Whole };
                    let running = if at % 2 == 0 { Holders::Wait } else { Holders::Evict };
                    EventKind::Mode(ModeSpec { to, running })
                }
                (false, 8) if mig => recut(0, Holders::Wait),
                (false, 9) if mig => recut(1, Holders::Evict),
                (false, _) if mig => recut(2, Holders::Wait),
                (false, _) => EventKind::Uncordon,
            };
            let nodes = vec![format!("n{group}")];
            made.push(EventSpec { at: Span::from_secs(at), nodes, change });
        }
        made
    }

    fn world_of(&self, scheduler: SchedulerSpec) -> World {
        let product = Some("a100-40gb".to_owned());
        let translation = Translation { to: self.to, whole_to: None, rule: self.rule, product };
        let groups: Vec<NodeGroup> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(i, node)| node.group(i, self.to, self.nos.is_some()))
            .collect();
        let classes = ["a", "b", "c"].iter().zip([1, 3, 5]);
        let scenario = Scenario {
            gpus: Vec::new(),
            name: "case".to_owned(),
            seed: self.seed,
            workload: WorkloadSpec {
                translation: Some(translation),
                patience: self.patience,
                queue_limit: self.queue_limit,
                ..self.policy.spec()
            },
            cluster: ClusterSpec { nodes: groups.clone(), events: self.events(), ..ClusterSpec::default() },
            scheduler,
            partitioner: self.partitioner(),
            models: self.models.clone().unwrap_or_else(|| ModelsSpec {
                sharing: self.sharing,
                classes: classes
                    .map(|(name, i)| ((*name).to_owned(), Behavior::NAMED[i].1.clone()))
                    .collect(),
                ..ModelsSpec::default()
            }),
            report: ReportSpec::default(),
        };
        let groups: Vec<_> = groups.into_iter().map(|group| (group, false)).collect();
        prepare(&scenario, Arc::new(self.workload()), &groups, &[], "case").expect("a case can be run")
    }

    fn workload(&self) -> Workload {
        let mut builder = Builder::new();
        let constraints = [
            Constraint::default(),
            Constraint { models: vec!["a100-40gb".to_owned()], ..Constraint::default() },
            Constraint { models: vec!["h100-80gb-sxm".to_owned()], ..Constraint::default() },
            Constraint { selector: vec![("zone".to_owned(), "a".to_owned())], ..Constraint::default() },
            Constraint {
                tolerations: vec![Toleration { key: "gpu".to_owned(), ..Toleration::default() }],
                ..Constraint::default()
            },
            Constraint { tolerations: vec![Toleration::default()], ..Constraint::default() },
        ]
        .map(|constraint| builder.constraint(constraint));
        for gang in &self.pods {
            for (i, member) in gang.members.iter().enumerate() {
                let gpu = match member.gpu {
                    Gpu::None => GpuDemand::None,
                    Gpu::Share(milli, memory) => GpuDemand::Share { milli, memory: Mib(memory) },
                    Gpu::Whole(gpus) => GpuDemand::Whole { gpus },
                    Gpu::Profile(name) => builder.profile(name),
                };
                builder.push(&PodRow {
                    name: "",
                    arrival: gang.arrival,
                    work: member.work,
                    cpu: MilliCpu(member.cpu * 1_000),
                    memory: Mib(member.memory_gib * 1_024),
                    gpu,
                    constraint: constraints[usize::from(member.constraint)],
                    class: ["a", "b", "c"][usize::from(member.class)],
                    namespace: "default",
                    priority: gang.priority,
                    gang: if i == 0 { gang.members.len() as u32 } else { 0 },
                });
            }
        }
        builder.finish()
    }
}

impl Policy {
    fn spec(&self) -> WorkloadSpec {
        let budget = |(number, (min, pods)): (usize, &(bool, u32))| DisruptionBudget {
            name: format!("b{number}"),
            of: Of { classes: vec![["a", "b", "c"][number % 3].to_owned()], ..Of::default() },
            allows: match min {
                true => Allows::MinAvailable(Amount::Pods(*pods)),
                false => Allows::MaxUnavailable(Amount::Percent(*pods * 20)),
            },
        };
        let gate = |(number, (class, lifted)): (usize, &(usize, u64))| SchedulingGate {
            name: format!("g{number}"),
            of: Of { classes: vec![["a", "b", "c"][*class].to_owned()], ..Of::default() },
            lifted: Span::from_secs(*lifted),
        };
        let meek = PriorityClass {
            name: "meek".to_owned(),
            value: 2,
            never_preempts: true,
            of: Some(Of { classes: vec!["c".to_owned()], ..Of::default() }),
        };
        WorkloadSpec {
            grace: self.grace,
            evicted: if self.leave { Evicted::Leave } else { Evicted::Return },
            disruption_budgets: self.budgets.iter().enumerate().map(budget).collect(),
            scheduling_gates: self.gates.iter().enumerate().map(gate).collect(),
            priority_classes: if self.meek { vec![meek] } else { Vec::new() },
            ..WorkloadSpec::default()
        }
    }
}

/// What happens to nodes, and what is said of pods that must go.
pub(crate) fn disturbance() -> impl Strategy<Value = (Vec<(u64, usize, u8)>, Policy)> {
    let event = (0_u64..150, 0_usize..6, 0_u8..13);
    let gates = prop_oneof![2 => Just(Vec::new()), 1 => vec((0_usize..3, 1_u64..90), 1..4)];
    let policy = (0_u64..40, any::<bool>(), vec((any::<bool>(), 0_u32..4), 0..3), any::<bool>(), gates);
    let policy = policy.prop_map(|(grace, leave, budgets, meek, gates)| Policy {
        grace: Span::from_secs(grace),
        leave,
        budgets,
        meek,
        gates,
    });
    (vec(event, 0..12), policy)
}

/// All models on, with faults of everything every few minutes.
pub(crate) fn trouble() -> impl Strategy<Value = ModelsSpec> {
    let second = |most: u64| (0..most).prop_map(Span::from_secs);
    let checkpoint = of((1_u64..30, second(3)))
        .prop_map(|some| some.map(|(every, cost)| Checkpoint { every: Span::from_secs(every), cost }));
    let memory = of((0..50_u64).prop_map(|gib| Mib(gib * 1_024)));
    let rate = || select(vec![0.0, 30.0, 120.0]);
    let retries = select(vec![Retries::Limit(0), Retries::Limit(6)]);
    let spans = (second(5), second(5));
    let life = (memory, spans, checkpoint, any::<bool>(), rate(), select(vec![0.0, 0.2, 1.0]), retries)
        .prop_map(
            |(
                memory,
                (start_up, resume),
                checkpoint,
                saves_on_eviction,
                crashes_per_hour,
                fatal,
                retries,
            )| {
                Life {
                    memory,
                    start_up,
                    checkpoint,
                    resume,
                    saves_on_eviction,
                    crashes_per_hour,
                    fatal,
                    retries,
                }
            },
        );
    let day = || select(vec![0.0, 20.0, 60.0]);
    let law = select(vec![RepairLaw::Exponential, RepairLaw::Constant]);
    let failures =
        (day(), day(), law, of(2_u32..5), second(11)).prop_map(|(gpu, node, law, crews, repair)| Failures {
            gpu: GpuFaults { per_day: gpu, swapped: 0.5, swap: repair, reset: Span::from_secs(3) },
            node: NodeFaults { per_day: node, repair, evicted_after: Span::from_secs(20) },
            law,
            crews,
            mps_restart: Span::from_secs(2),
        });
    let residual = || select(vec![0.0, 0.2]);
    let tables = (residual(), residual(), any::<bool>(), any::<bool>());
    let sharing = (any::<bool>(), select(vec![Path::Agent, Path::MigManager, Path::AtOnce]));
    (sharing, vec(life, 3..=3), of(failures), tables).prop_map(
        |((sharing, path), lives, failures, tables)| {
            let (mps, mig, domain, pairs) = tables;
            let classes = ["a", "b", "c"].iter().zip([1, 3, 5]).zip(lives);
            let pair = |mode| PairRow { mode, class: "a".to_owned(), beside: "b".to_owned(), slowdown: 1.7 };
            ModelsSpec {
                sharing,
                classes: classes
                    .map(|((name, i), life)| {
                        ((*name).to_owned(), Behavior { life, ..Behavior::NAMED[i].1.clone() })
                    })
                    .collect(),
                mig: Mig { residual: mig, ..Mig::default() },
                mps: PerfMps { residual: mps, threads: Threads::Proportional, ..PerfMps::default() },
                time_slicing: TimeSlicing {
                    residual: mps,
                    fault_domain: if domain { FaultDomain::Gpu } else { FaultDomain::Process },
                    ..TimeSlicing::default()
                },
                pairs: if pairs {
                    vec![pair(PairMode::Mps), pair(PairMode::TimeSlicing)]
                } else {
                    Vec::new()
                },
                failures,
                recut: Recut { path, ..Recut::default() },
                ..ModelsSpec::default()
            }
        },
    )
}

impl Node {
    fn group(&self, index: usize, to: Sharing, on_demand: bool) -> NodeGroup {
        let taint = |key: &str, effect: &str| Taint {
            key: key.to_owned(),
            value: String::new(),
            effect: effect.to_owned(),
        };
        NodeGroup {
            name: format!("n{index}"),
            count: self.count,
            cpu: MilliCpu(self.cpu * 1_000),
            memory: Mib(self.memory_gib * 1_024),
            pods: self.pods,
            gpus: (0 < self.gpus).then(|| Gpus {
                model: if self.h100 { "h100-80gb-sxm" } else { "a100-40gb" }.to_owned(),
                count: self.gpus,
            }),
            mode: match self.other.unwrap_or(to) {
                Sharing::Mig if on_demand => Mode::MigOnDemand,
                Sharing::Mps if on_demand => Mode::Mps(Mps::OnDemand { clients: 48 }),
                sharing => self.mode(sharing),
            },
            labels: if self.labelled {
                BTreeMap::from([("zone".to_owned(), "a".to_owned())])
            } else {
                BTreeMap::new()
            },
            taints: match self.taint {
                0 => vec![taint("gpu", "NoSchedule")],
                1 => vec![taint("soft", "PreferNoSchedule")],
                _ => Vec::new(),
            },
            price_per_hour: None,
        }
    }

    fn mode(&self, sharing: Sharing) -> Mode {
        let replicas = [2, 3, 4, 7][self.form];
        match sharing {
            Sharing::Whole => Mode::Whole,
            Sharing::Fraction => Mode::Fraction,
            Sharing::Mps => Mode::Mps(Mps::Memory { clients: [48, 1, 2, 3][self.form] }),
            Sharing::MpsReplicas => Mode::Mps(Mps::Replicas(replicas)),
            Sharing::TimeSlicing => Mode::TimeSlicing { replicas },
            Sharing::Mig => {
                let layouts: [&[&str]; 4] = [
                    &["3g", "2g", "1g", "1g"],
                    &["7g"],
                    &["4g", "3g"],
                    &["1g", "1g", "1g", "1g", "1g", "1g", "1g"],
                ];
                Mode::Mig(layouts[self.form].iter().map(|profile| (*profile).to_owned()).collect())
            }
        }
    }
}
