//! Scenarios made by chance: what is resolved loads to itself, and no text makes the reader panic.

use super::super::resolved::{ModelsSpec, ReportSpec, Scenario, Until, WorkloadSpec};
use super::{FULL, ScenarioFile, good, read, resolved_yaml};
use crate::cluster::spec::{
    Amounts, ClusterSpec, EventKind, EventSpec, Gpus, Holders, Mode, Mps, NodeGroup, NodeList, RecutSpec,
    Taint,
};
use crate::gpu::{Catalogue, ProductSpec};
use crate::metrics::TimedStep;
use crate::partition::nos::Fix;
use crate::partition::planner::Planner;
use crate::partition::spec::{Choice as NosChoice, Geometries, NosSpec, PartitionerSpec};
use crate::perf::assign::{As, Assign, GpuKind, Which};
use crate::perf::failures::{Checkpoint, Failures, GpuFaults, Life, NodeFaults, RepairLaw, Retries};
use crate::perf::recut::{Call, Manager, Path, Recut};
use crate::perf::service::{Arrivals as RequestArrivals, Cost, RequestTrace, Service, Target, Tokens};
use crate::perf::{Behavior, FaultDomain, Mig, Mps as PerfMps, PairMode, PairRow, Threads, TimeSlicing};
use crate::sched::spec::{
    ApiLimits, FitStrategy, GpuChoice, KubeSettings, KubeSpec, Profile, SchedulerSpec, ScoreSpec, Ties,
    Weights,
};
use crate::trace::spec::{
    Arrivals, Assume, BadRows, Changes, ClassSpec, Columns, Draw, Format, Generate, GpuSpec, Law, ProfileMix,
    Source, Window,
};
use crate::units::{Mib, MilliCpu, Span};
use crate::workload::policy::{Allows, Amount, DisruptionBudget, Evicted, Of, PriorityClass, SchedulingGate};
use crate::workload::request::{Rule, Sharing, Translation};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// Names that a YAML reader could take for something else, and plain ones.
fn name() -> impl Strategy<Value = String> {
    let odd =
        vec!["no", "null", "~", "42", "1e3", "<<", "*a", "&b", "x: y", "# z", "ü b", "true", "- q", "'", "{"];
    prop_oneof![select(odd).prop_map(str::to_owned), "[a-z][a-z0-9-]{0,8}"]
}

fn line() -> impl Strategy<Value = String> {
    "\\PC{1,10}".prop_filter("a line is not blank", |s| !s.trim().is_empty())
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z./]{1,12}", "[${}a:-]{1,8}", line()]
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        1..9_200_000_000_000_000_000_u64,
        (1..10_000_u64).prop_map(|s| s * 1_000_000),
        (1..10_000_u64).prop_map(|h| h * 3_600_000_000),
    ]
    .prop_map(Span)
}

fn span_or_none() -> impl Strategy<Value = Span> {
    prop_oneof![Just(Span::ZERO), span()]
}

fn memory() -> impl Strategy<Value = Mib> {
    prop_oneof![0..1_000_000_u64, 0..1_000_000_000_000_000_u64].prop_map(Mib)
}

fn cpu() -> impl Strategy<Value = MilliCpu> {
    prop_oneof![0..1_000_000_u64, 0..1_000_000_000_000_u64].prop_map(MilliCpu)
}

fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![1e-9..1e9, Just(1.0), Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(1e16)]
}

/// A weight of some; sums of a few stay finite.
fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![1e-9..1e9, Just(2.0), Just(1e300)]
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Native),
        Just(Format::Openb),
        Just(Format::Elasticflow),
        columns().prop_map(Format::Jobs)
    ]
}

fn columns() -> impl Strategy<Value = Columns> {
    let time = prop_oneof![
        line().prop_map(|d| (Some(d), None, None)),
        (line(), line()).prop_map(|(s, e)| (None, Some(s), Some(e)))
    ];
    (line(), time, vec(of(line()), 7), span()).prop_map(
        |(arrival, (duration, start, end), others, time_unit)| {
            let [name, gpus, cpus, memory_gib, class, namespace, priority] =
                <[Option<String>; 7]>::try_from(others).expect("seven");
            Columns {
                name,
                arrival,
                duration,
                start,
                end,
                gpus,
                cpus,
                memory_gib,
                class,
                namespace,
                priority,
                time_unit,
            }
        },
    )
}

fn source() -> impl Strategy<Value = Source> {
    let assume = (cpu(), memory(), 1..=1_024_u16).prop_map(|(cpu_per_gpu, memory_per_gpu, gpus_per_node)| {
        Assume { cpu_per_gpu, memory_per_gpu, gpus_per_node }
    });
    let bad_rows = select(vec![BadRows::Refuse, BadRows::Skip]);
    (path(), format(), bad_rows, of(name()), of(name()), assume, of("[0-9a-f]{64}")).prop_map(
        |(file, format, bad_rows, class, namespace, assume, sha256)| Source {
            file,
            format,
            bad_rows,
            class,
            namespace,
            assume,
            sha256,
        },
    )
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    prop_oneof![
        Just(Arrivals::AtOnce),
        positive().prop_map(|per_hour| Arrivals::Poisson { per_hour }),
        (positive(), 1.001..1e6, span(), 0.001..0.999).prop_map(|(per_hour, ratio, burst, share)| {
            Arrivals::Bursty { per_hour, ratio, burst, share }
        }),
        (positive(), 0.0..=1.0, 0..86_400_000_000_u64)
            .prop_map(|(per_hour, swing, peak)| Arrivals::Diurnal { per_hour, swing, peak: Span(peak) }),
    ]
}

fn law() -> impl Strategy<Value = Law> {
    prop_oneof![
        span().prop_map(|mean| Law::Constant { mean }),
        span().prop_map(|mean| Law::Exponential { mean }),
        (span(), 1..=10_000_u32).prop_map(|(mean, stages)| Law::Erlang { mean, stages }),
        (span(), 1.0..1e6).prop_map(|(mean, scv)| Law::Hyperexponential { mean, scv }),
        (span(), positive()).prop_map(|(mean, scv)| Law::Lognormal { mean, scv }),
        (span(), span(), 1.001..100.0).prop_map(|(a, b, shape)| Law::Pareto {
            mean: a.min(b),
            max: a.max(b),
            shape
        }),
    ]
}

fn gpu() -> impl Strategy<Value = GpuSpec> {
    let mix = prop_oneof![
        select(vec![
            ProfileMix::Uniform,
            ProfileMix::SmallHeavy,
            ProfileMix::SkewSmall,
            ProfileMix::SkewBig,
            ProfileMix::Bimodal,
            ProfileMix::OpenbNearest,
        ]),
        [weight(), weight(), weight(), weight(), weight()].prop_map(ProfileMix::Weights),
    ];
    prop_oneof![
        Just(GpuSpec::None),
        (1..=1_024_u16).prop_map(GpuSpec::Whole),
        vec((1..=999_u16, weight()), 1..4).prop_map(GpuSpec::Share),
        mix.prop_map(GpuSpec::Profiles),
    ]
}

fn class() -> impl Strategy<Value = ClassSpec> {
    (name(), weight(), cpu(), memory(), gpu(), law(), any::<i32>(), name()).prop_map(
        |(name, weight, cpu, memory, gpu, work, priority, namespace)| ClassSpec {
            name,
            weight,
            cpu,
            memory,
            gpu,
            work,
            priority,
            namespace,
        },
    )
}

/// Makes names distinct; none is made with a `+`.
fn number<T>(mut items: Vec<T>, name: impl Fn(&mut T) -> &mut String) -> Vec<T> {
    for (index, item) in items.iter_mut().enumerate().skip(1) {
        name(item).push_str(&format!("+{index}"));
    }
    items
}

fn generate() -> impl Strategy<Value = Generate> {
    let classes = vec(class(), 1..4).prop_map(|classes| number(classes, |c| &mut c.name));
    (1..=1_000_000_000_u64, arrivals(), classes).prop_map(|(pods, arrivals, classes)| Generate {
        pods,
        arrivals,
        classes,
    })
}

fn changes() -> impl Strategy<Value = Changes> {
    let window = (span_or_none(), of(span())).prop_map(|(from, length)| Window {
        from: Span(from.0 / 2),
        to: length.map(|l| Span(from.0 / 2 + l.0.div_ceil(2))),
    });
    let draw = prop_oneof![
        (1e-9..=1.0).prop_map(Draw::Sample),
        (1..=1_000_000_000_u64, arrivals()).prop_map(|(pods, arrivals)| Draw::Bootstrap { pods, arrivals }),
    ];
    (of(window), vec(line(), 0..3), of(draw), positive(), positive(), of(span())).prop_map(
        |(window, only_classes, draw, time_scale, load_scale, work_cap)| Changes {
            window,
            only_classes,
            draw,
            time_scale,
            load_scale,
            work_cap,
        },
    )
}

fn workload() -> impl Strategy<Value = WorkloadSpec> {
    let to = || select(Sharing::ALL.to_vec());
    let rules =
        vec![Rule::CeilCompute, Rule::CeilBoth, Rule::Nearest, Rule::Refresh16gbA100, Rule::Refresh16gbH100];
    let translation = (to(), of(to()), select(rules), of(Just("a100-40gb".to_owned())))
        .prop_map(|(to, whole_to, rule, product)| Translation { to, whole_to, rule, product });
    let pods =
        prop_oneof![(vec(source(), 1..3), Just(None)), (vec(source(), 0..2), generate().prop_map(Some)),];
    let choice = || {
        (vec(line(), 0..2), vec(line(), 0..2)).prop_map(|(namespaces, classes)| Of { namespaces, classes })
    };
    let priority_class = (name(), any::<i32>(), any::<bool>(), of(choice()))
        .prop_map(|(name, value, never_preempts, of)| PriorityClass { name, value, never_preempts, of });
    let amount = prop_oneof![(0..=1_000_u32).prop_map(Amount::Pods), (0..=100_u32).prop_map(Amount::Percent)];
    let allows = (any::<bool>(), amount).prop_map(|(min, amount)| {
        if min { Allows::MinAvailable(amount) } else { Allows::MaxUnavailable(amount) }
    });
    let budget =
        (name(), choice(), allows).prop_map(|(name, of, allows)| DisruptionBudget { name, of, allows });
    let evicted = select(vec![Evicted::Return, Evicted::Leave]);
    let gate =
        ("[a-z./]{1,9}", choice(), span()).prop_map(|(name, of, lifted)| SchedulingGate { name, of, lifted });
    let policy = (vec(priority_class, 0..3), vec(budget, 0..3), vec(gate, 0..3), span_or_none(), evicted);
    (pods, changes(), of(translation), of(span_or_none()), of(any::<u64>()), policy).prop_map(
        |((traces, generate), changes, translation, patience, queue_limit, policy)| {
            let (priority_classes, disruption_budgets, gates, grace, evicted) = policy;
            WorkloadSpec {
                traces,
                generate,
                changes,
                translation,
                patience,
                queue_limit,
                priority_classes: number(priority_classes, |class| &mut class.name),
                disruption_budgets: number(disruption_budgets, |budget| &mut budget.name),
                scheduling_gates: gates
                    .into_iter()
                    .enumerate()
                    .map(|(i, gate)| SchedulingGate { name: format!("{}.{i}", gate.name), ..gate })
                    .collect(),
                grace,
                evicted,
            }
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Whole),
        Just(Mode::Fraction),
        vec(select(vec!["1g.5gb".to_owned(), "2g.10gb".to_owned()]), 1..4).prop_map(Mode::Mig),
        Just(Mode::MigOnDemand),
        (1..=1_000_u16).prop_map(|clients| Mode::Mps(Mps::OnDemand { clients })),
        (1..=1_000_u16).prop_map(|clients| Mode::Mps(Mps::Memory { clients })),
        (2..=1_000_u16).prop_map(|replicas| Mode::Mps(Mps::Replicas(replicas))),
        (2..=1_000_u16).prop_map(|replicas| Mode::TimeSlicing { replicas }),
    ]
}

fn taint() -> impl Strategy<Value = Taint> {
    let effect = select(vec!["NoSchedule".to_owned(), "PreferNoSchedule".to_owned(), "NoExecute".to_owned()]);
    ("[a-z./]{1,6}", "[a-z0-9]{0,3}", effect).prop_map(|(key, value, effect)| Taint { key, value, effect })
}

fn node_group() -> impl Strategy<Value = NodeGroup> {
    let gpus = prop_oneof![
        Just((None, Mode::Whole)),
        (1..=1_024_u16, mode())
            .prop_map(|(count, mode)| (Some(Gpus { model: "a100-40gb".to_owned(), count }), mode)),
    ];
    let labels = btree_map(".{0,5}", ".{0,5}", 0..3);
    let price = of(0.0..1e6);
    (name(), 1..=1_000_000_u32, cpu(), memory(), 1..=100_000_u32, gpus, labels, vec(taint(), 0..3), price)
        .prop_map(|(name, count, cpu, memory, pods, (gpus, mode), labels, taints, price_per_hour)| {
            NodeGroup { name, count, cpu, memory, pods, gpus, mode, labels, taints, price_per_hour }
        })
}

fn cluster() -> impl Strategy<Value = ClusterSpec> {
    let models = btree_map(".{0,5}", Just("a100-40gb".to_owned()), 0..3);
    let node_list = (path(), mode(), models, 1..=100_000_u32)
        .prop_map(|(file, mode, models, pods)| NodeList { file, mode, models, pods });
    (vec(node_group(), 0..4), vec(node_list, 0..3))
        .prop_filter("some nodes", |(nodes, lists)| !nodes.is_empty() || !lists.is_empty())
        .prop_flat_map(|(nodes, node_lists)| {
            let nodes = number(nodes, |n| &mut n.name);
            let names: Vec<String> = nodes.iter().map(|group| group.name.clone()).collect();
            let events = if names.is_empty() {
                vec(event(vec!["x".to_owned()]), 0..1)
            } else {
                vec(event(names), 0..4)
            };
            (Just(nodes), Just(node_lists), events)
        })
        .prop_map(|(nodes, node_lists, events)| ClusterSpec { nodes, node_lists, events })
}

fn event(names: Vec<String>) -> impl Strategy<Value = EventSpec> {
    let amounts = (of(cpu()), of(memory()), of(0..=100_000_u32)).prop_map(|(cpu, memory, pods)| Amounts {
        cpu,
        memory,
        pods,
    });
    let profiles = vec(select(vec!["1g.5gb".to_owned(), "2g.10gb".to_owned()]), 1..4);
    let recut = (profiles, of(vec(0..8_u16, 1..3)), select(vec![Holders::Wait, Holders::Evict]))
        .prop_map(|(layout, gpus, running)| RecutSpec { layout, gpus, running });
    let change = prop_oneof![
        select(vec![
            EventKind::Join,
            EventKind::Leave,
            EventKind::Cordon,
            EventKind::Uncordon,
            EventKind::Drain
        ]),
        taint().prop_map(EventKind::Taint),
        taint().prop_map(EventKind::Untaint),
        btree_map(".{0,5}", ".{0,5}", 0..3).prop_map(EventKind::Label),
        amounts.prop_map(EventKind::Allocatable),
        recut.prop_map(EventKind::Recut),
    ];
    (span_or_none(), select(names), change).prop_map(|(at, name, change)| EventSpec {
        at,
        nodes: vec![name],
        change,
    })
}

fn scheduler() -> impl Strategy<Value = SchedulerSpec> {
    let names = vec!["least-allocated".to_owned(), "most-allocated".to_owned(), "random".to_owned()];
    let score = (select(names), 1..=100_u32).prop_map(|(name, weight)| ScoreSpec { name, weight });
    let choices = select(vec![GpuChoice::FirstFit, GpuChoice::BestFit, GpuChoice::WorstFit]);
    let ties = select(vec![Ties::NodeOrder, Ties::Seeded]);
    let ideal = (vec(score, 0..3), choices.clone(), ties, span_or_none()).prop_map(
        |(scores, gpu_choice, ties, cycle)| SchedulerSpec {
            scores,
            gpu_choice,
            ties,
            cycle,
            ..SchedulerSpec::ideal()
        },
    );
    let api = of((1..=1_000_000_u32, 1..=1_000_000_u32).prop_map(|(qps, burst)| ApiLimits { qps, burst }));
    let kube = (kube_settings(), span_or_none(), 0.0..=0.9, api);
    let kube = kube.prop_map(|(settings, cycle_time, bind_failures, api)| KubeSpec {
        settings,
        cycle_time,
        bind_failures,
        api,
        config: None,
        scheduler_name: None,
    });
    let profiles = select(vec![Profile::Kube1_35, Profile::Kube1_25]);
    let real = (profiles, choices, span_or_none(), kube).prop_map(|(profile, gpu_choice, cycle, kube)| {
        SchedulerSpec { profile, gpu_choice, cycle, kube, ..SchedulerSpec::default() }
    });
    prop_oneof![ideal, real]
}

fn kube_settings() -> impl Strategy<Value = KubeSettings> {
    let ratio = FitStrategy::Ratio(vec![(0, 0), (50, 3), (100, 10)]);
    let strategies = select(vec![FitStrategy::LeastAllocated, FitStrategy::MostAllocated, ratio]);
    let names = select(vec!["cpu", "memory", "nvidia.com/gpu"]);
    let resources = proptest::collection::btree_map(names.prop_map(str::to_owned), 1..=100_u32, 0..3);
    let weights = (0..=100_u32, 0..=100_u32, 0..=100_u32, 0..=100_u32)
        .prop_map(|(fit, balanced, taints, affinity)| Weights { fit, balanced, taints, affinity });
    let off = select(vec![vec![], vec!["NodeAffinity".to_owned(), "TaintToleration".to_owned()]]);
    (strategies, resources, weights, off, 0..=100_u16, proptest::bool::ANY).prop_map(
        |(strategy, resources, weights, filters_off, percentage_of_nodes_to_score, preemption)| {
            KubeSettings {
                strategy,
                resources,
                weights,
                filters_off,
                percentage_of_nodes_to_score,
                preemption,
                ..KubeSettings::default()
            }
        },
    )
}

/// Products of the catalogue under names of their own, or with other facts in their places.
fn gpus() -> impl Strategy<Value = Vec<ProductSpec>> {
    let known: Vec<ProductSpec> = Catalogue::builtin().iter().map(|p| p.to_spec()).collect();
    let one = (select(known), any::<bool>(), line(), 1..=u16::MAX).prop_map(|(spec, own, source, sms)| {
        let spec = ProductSpec { source, sms, ..spec };
        match own {
            false => spec,
            true => ProductSpec {
                id: format!("my {}", spec.id),
                name: format!("my {}", spec.name),
                variants: Vec::new(),
                labels: Vec::new(),
                ..spec
            },
        }
    });
    vec(one, 0..3)
}

fn is_cut_on_demand(cluster: &ClusterSpec) -> bool {
    let lists = cluster.node_lists.iter().map(|list| &list.mode);
    cluster.nodes.iter().map(|group| &group.mode).chain(lists).any(Mode::is_on_demand)
}

fn nos() -> impl Strategy<Value = NosSpec> {
    let geometries = prop_oneof![
        Just(Geometries::Deployed),
        Just(Geometries::Builtin),
        Just(Geometries::Catalogue),
        path().prop_map(|file| Geometries::File { file, tables: None }),
    ];
    let fix = vec(select(Fix::ALL.to_vec()), 0..4).prop_map(|fixes| fixes.into_iter().collect());
    let spans = (span(), span(), span(), span(), span(), span_or_none(), span_or_none());
    let choices = select(vec![NosChoice::First, NosChoice::Seeded]);
    let planner = (select(Planner::ALL.to_vec()), any::<bool>(), 1..=1_000_000_000_u64);
    let made = (fix, geometries, spans, choices, planner);
    made.prop_map(|(fix, geometries, spans, choices, (planner, regret, steps))| {
        let (batch_timeout, batch_idle, plugin_delay, mig_report, mps_report, plugin, mps_plugin) = spans;
        NosSpec {
            fix,
            geometries,
            batch_timeout,
            batch_idle,
            plugin_delay,
            mig_report,
            mps_report,
            plugin,
            mps_plugin,
            choices,
            planner,
            regret,
            steps,
        }
    })
}

fn share() -> impl Strategy<Value = f64> {
    0.0..=1.0
}

fn life() -> impl Strategy<Value = Life> {
    let checkpoint =
        of((span(), span_or_none())).prop_map(|some| some.map(|(every, cost)| Checkpoint { every, cost }));
    let spans = (span_or_none(), span_or_none());
    let retries = prop_oneof![Just(Retries::Unlimited), (0_u32..1_000_000).prop_map(Retries::Limit)];
    let memory = of((0..1_u64 << 40).prop_map(Mib));
    (memory, spans, checkpoint, any::<bool>(), 0.0..1e6, share(), retries).prop_map(
        |(memory, (start_up, resume), checkpoint, saves_on_eviction, crashes_per_hour, fatal, retries)| {
            Life { memory, start_up, checkpoint, resume, saves_on_eviction, crashes_per_hour, fatal, retries }
        },
    )
}

fn behavior() -> impl Strategy<Value = Behavior> {
    let numbers = (share(), 0.01..=1.0, of(share()));
    (numbers, btree_map(1..=64_u8, 0.01..10.0, 0..3), life())
        .prop_map(|((host, fill, demand), speeds, life)| Behavior { host, fill, demand, speeds, life })
}

/// Behaviors by name, and rules that name them.
fn assigned() -> impl Strategy<Value = (BTreeMap<String, Behavior>, Vec<Assign>)> {
    let names = || vec("[a-z]{1,5}", 0..3);
    let kind = select(vec![GpuKind::None, GpuKind::Share, GpuKind::Slice, GpuKind::Whole]);
    let memory = || of((0..1_u64 << 40).prop_map(Mib));
    let which = (names(), names(), of(kind), of(span_or_none()), of(span_or_none()), memory(), memory())
        .prop_map(
            |(
                namespaces,
                classes,
                gpus,
                longer_than,
                shorter_than,
                gpu_memory_at_least,
                gpu_memory_below,
            )| Which {
                of: Of { namespaces, classes },
                gpus,
                longer_than,
                shorter_than,
                gpu_memory_at_least,
                gpu_memory_below,
            },
        );
    (btree_map("[a-z]{1,9}", behavior(), 1..4), vec((which, any::<bool>(), 0.1..10.0), 0..3)).prop_map(
        |(behaviors, rules)| {
            let rule = |(of, one, weight): (Which, bool, f64)| {
                let to = match (one, behaviors.keys().next()) {
                    (true, Some(name)) => As::One(name.clone()),
                    _ => As::Mix { mix: behaviors.keys().map(|name| (name.clone(), weight)).collect() },
                };
                Assign { of, to }
            };
            let rules = rules.into_iter().map(rule).collect();
            (behaviors, rules)
        },
    )
}

fn service() -> impl Strategy<Value = Service> {
    let count = || 0..=100_000_000_u32;
    let costs = (span_or_none(), span_or_none(), span_or_none(), span_or_none(), of(1..=7_u32));
    let tokens = (costs, count(), count()).prop_map(
        |((prefill, per_prompt_token, per_token, per_request, slices), prompt, output)| Tokens {
            prefill,
            per_prompt_token,
            per_token,
            per_request,
            slices,
            prompt: Some(prompt),
            output: Some(output),
        },
    );
    let cost = prop_oneof![law().prop_map(Cost::Law), tokens.prop_map(Cost::Tokens)];
    let sha256 = of("[0-9a-f]{64}");
    let trace = (path(), line(), line(), line(), 0.001..1e6, sha256).prop_map(
        |(file, arrival, prompt, output, speed, sha256)| RequestTrace {
            file,
            arrival,
            prompt,
            output,
            speed,
            sha256,
            requests: None,
        },
    );
    let arrivals = prop_oneof![
        (0.001..1e6).prop_map(|per_second| RequestArrivals::Poisson { per_second }),
        trace.prop_map(RequestArrivals::Trace)
    ];
    let target = (0.001..1.0, span()).prop_map(|(quantile, within)| Target { quantile, within });
    (cost, arrivals, 1..=10_000_u32, of(target)).prop_map(|(cost, arrivals, concurrency, target)| Service {
        cost,
        arrivals,
        concurrency,
        target,
    })
}

fn models() -> impl Strategy<Value = ModelsSpec> {
    let mig =
        (0.1..2.0, 0.1..=1.0, 0.0..1.0).prop_map(|(kappa, full, residual)| Mig { kappa, full, residual });
    let threads = select(vec![Threads::Plugin, Threads::Unlimited, Threads::Proportional]);
    let mps = (0.0..1.0, 0.1..2.0, threads, 0.0..1.0)
        .prop_map(|(alpha, capacity, threads, residual)| PerfMps { alpha, capacity, threads, residual });
    let domain = select(vec![FaultDomain::Gpu, FaultDomain::Process]);
    let memory = (0..1_u64 << 40).prop_map(Mib);
    let slicing = (0.0..1.0, span(), memory, span_or_none(), domain, 0.0..1.0).prop_map(
        |(loss, slice, context, out_of_memory_within, fault_domain, residual)| TimeSlicing {
            loss,
            slice,
            context,
            out_of_memory_within,
            fault_domain,
            residual,
        },
    );
    let mode = select(vec![PairMode::Mps, PairMode::TimeSlicing]);
    let pair = (mode, line(), line(), 0.1..10.0).prop_map(|(mode, class, beside, slowdown)| PairRow {
        mode,
        class,
        beside,
        slowdown,
    });
    let gpu = (0.0..1.0, share(), span_or_none(), span_or_none())
        .prop_map(|(per_day, swapped, swap, reset)| GpuFaults { per_day, swapped, swap, reset });
    let node = (0.0..1.0, span_or_none(), span_or_none())
        .prop_map(|(per_day, repair, evicted_after)| NodeFaults { per_day, repair, evicted_after });
    let law = select(vec![RepairLaw::Exponential, RepairLaw::Constant]);
    let failures = (gpu, node, law, of(1..100_u32), span_or_none())
        .prop_map(|(gpu, node, law, crews, mps_restart)| Failures { gpu, node, law, crews, mps_restart });
    let classes = btree_map("[a-z]{1,9}", behavior(), 0..3);
    let services = btree_map("[a-z]{1,9}", service(), 0..3);
    let tables = (mig, mps, slicing, vec(pair, 0..3));
    let call = || (span_or_none(), span_or_none()).prop_map(|(call, each)| Call { call, each });
    let path = select(vec![Path::Agent, Path::MigManager, Path::AtOnce]);
    let times = (span_or_none(), span_or_none(), span_or_none(), span_or_none(), span_or_none());
    let manager =
        (span_or_none(), span_or_none()).prop_map(|(a, b)| Manager { median: a.min(b), p95: a.max(b) });
    let recut = (path, call(), call(), times, manager).prop_map(|(path, create, destroy, times, manager)| {
        let (compute_instance, retry, plugin, mps_server, reset) = times;
        Recut { path, create, destroy, compute_instance, retry, plugin, mps_server, manager, reset }
    });
    (any::<bool>(), behavior(), (classes, assigned()), tables, (of(failures), recut, services)).prop_map(
        |(
            sharing,
            default,
            (classes, (behaviors, assign)),
            (mig, mps, time_slicing, pairs),
            (failures, recut, services),
        )| {
            ModelsSpec {
                sharing,
                default,
                classes,
                behaviors,
                assign,
                mig,
                mps,
                time_slicing,
                pairs,
                failures,
                recut,
                services,
            }
        },
    )
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let until = prop_oneof![
        Just(Until::LastDeparture),
        Just(Until::LastArrival),
        (1..=1_u64 << 50).prop_map(|micros| Until::At(Span(micros))),
    ];
    let step = (of(line()), span(), span(), ".{0,9}").prop_map(|(class, alone, step, source)| TimedStep {
        class,
        alone,
        step,
        source,
    });
    let figures = (0.0..1.0, until, any::<u16>(), 1..10_000_u16, vec(step, 0..3));
    let report = figures.prop_map(|(warm_up, until, gpus_shown, replications, measured)| ReportSpec {
        warm_up,
        until,
        gpus_shown,
        replications,
        measured,
    });
    let models = models();
    (name(), any::<u64>(), gpus(), workload(), cluster(), scheduler(), nos(), models, report).prop_map(
        |(name, seed, gpus, workload, cluster, scheduler, nos, models, report)| Scenario {
            partitioner: match is_cut_on_demand(&cluster) {
                true => PartitionerSpec::Nos(nos),
                false => PartitionerSpec::None,
            },
            models,
            name,
            seed,
            gpus,
            workload,
            cluster,
            scheduler,
            report,
        },
    )
}

fn file() -> impl Strategy<Value = ScenarioFile> {
    let variants = vec(scenario(), 1..4).prop_map(|variants| number(variants, |v| &mut v.name));
    (name(), ".*", variants).prop_map(|(name, description, variants)| ScenarioFile {
        name,
        description,
        variants,
    })
}

/// What happens to a scenario on its way through an editor: cut, inserted, moved.
#[derive(Clone, Debug)]
enum Edit {
    Cut(usize, usize),
    Insert(usize, String),
    Copy(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0..FULL.len();
    let words = vec![
        "{", "}", "[", "]", ":", "- ", "\n", "  ", "*", "&a ", "<<: ", "~", "'", "\"", "#", "-1", "ä", "|",
        "!x ", "mig",
    ];
    prop_oneof![
        (place(), 0..40_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (place(), select(words)).prop_map(|(at, word)| Edit::Insert(at, word.to_owned())),
        (place(), place(), 0..80_usize).prop_map(|(from, to, length)| Edit::Copy(from, to, length)),
    ]
}

fn edited(mut text: String, edit: &Edit) -> String {
    let boundary = |text: &str, at: usize| {
        (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
    };
    match edit {
        Edit::Cut(at, length) => {
            let (start, end) = (boundary(&text, *at), boundary(&text, at + length));
            text.replace_range(start..end, "");
        }
        Edit::Insert(at, word) => text.insert_str(boundary(&text, *at), word),
        Edit::Copy(from, to, length) => {
            let piece = text[boundary(&text, *from)..boundary(&text, from + length)].to_owned();
            text.insert_str(boundary(&text, *to), &piece);
        }
    }
    text
}

proptest! {
    #[test]
    fn what_is_resolved_loads_to_itself(file in file()) {
        let text = resolved_yaml(&file);
        let again = good(&text);
        prop_assert_eq!(&again, &file, "{}", text);
        prop_assert_eq!(resolved_yaml(&again), text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*|[a-z:\\-\\[\\]{}&*!|>'\"#%@`,? \n]{0,80}") {
        let _ = read(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_edit_makes_the_reader_panic(edits in vec(edit(), 1..5)) {
        let text = edits.iter().fold(FULL.to_owned(), edited);
        if let Err(complaints) = read(&text) {
            prop_assert!(complaints.iter().all(|c| 0 < c.line && !c.render(false).is_empty()));
        }
    }
}
