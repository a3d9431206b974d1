//! From a scenario to results: the verbs' engine room.
//!
//! [`prepare`] turns a resolved scenario into a [`World`]: pods, requests, an empty cluster, a
//! scheduler's settings. [`World::simulate`] runs it under any observer; [`World::run`] adds the
//! folds that a report needs. [`run`] does it for all variants of a file on all threads, and
//! [`replicate`] for many seeds; results come back in the order asked for, so the number of threads
//! changes nothing.

mod inputs;
mod moment;
mod notes;
mod pods_csv;

pub use inputs::{Inputs, QUICKSTART, QUICKSTART_TRACE};
pub use moment::moment;
pub use pods_csv::write_pods;

#[cfg(test)]
mod tests;

use crate::cluster::spec::{EventKind, EventSpec, NodeGroup};
use crate::cluster::{Cluster, GPU_PARTS, NodeClass, Planned, Share};
use crate::diag::Diagnostic;
use crate::gpu::Catalogue;
use crate::id::{BehaviorId, PodId, ShapeId};
use crate::metrics::{
    self, Frame, Layouts, Levels, PodLog, Requested, Slices, Summary, VariantResult, Window,
};
use crate::partition::nos::{Settings, Tables};
use crate::partition::spec::{Choice, PartitionerSpec};
use crate::perf::assign::assign;
use crate::perf::service::{Cost, Service, Tokens};
use crate::perf::{Behavior, Behaviors, Model, Models, PairRow, Printed, SpeedModel};
use crate::record::{Observer, Record};
use crate::scenario::resolved::{Scenario, ScenarioFile, Until};
use crate::sched::Scheduler;
use crate::sched::score::{Score, Scores};
use crate::sched::spec::Profile;
use crate::sim::check::Checker;
use crate::sim::{self, Decider, Fate, KubeScheduler, NosSetup, Outcome, Setup};
use crate::units::{Mib, Time};
use crate::workload::policy::{self, Budgets, Gates};
use crate::workload::request::{Request, Rule, Sharing, SliceNames, Translation};
use crate::workload::view::Pods;
use crate::workload::{Demand, GpuDemand, Workload};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything one run works from. Immutable: runs of one world are equal.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Scenario,
    workload: Arc<Workload>,
    translation: Translation,
    requests: Vec<Request>,
    shape_of: Vec<ShapeId>,
    slices: SliceNames,
    cluster: Cluster,
    planned: Vec<Planned>,
    nos: Option<NosWorld>,
    budgets: Budgets,
    gates: Gates,
    scores: Scores,
    models: Option<Models>,
    /// Requests to the pods of each class.
    services: Vec<Option<Service>>,
    /// Parts of a GPU that each demand keeps busy when it has all it asks for.
    demand_parts: Vec<u64>,
    notes: Vec<String>,
}

/// What nos works with.
#[derive(Clone, Debug)]
struct NosWorld {
    settings: Settings,
    tables: Tables,
    catalogue: Catalogue,
}

/// A finished run with what its files are written from.
#[derive(Debug)]
pub struct Run {
    /// Figures and curves.
    pub result: VariantResult,
    /// The life of each pod.
    pub log: PodLog,
    /// Events, attempts, end.
    pub outcome: Outcome,
    /// What it ran on.
    pub world: World,
}

/// Builds the world of a scenario from its pods.
///
/// `own` are scoring policies beyond the built-in ones, by name.
///
/// # Errors
/// Every reason why it cannot be run; `file` names the scenario in them.
pub fn prepare(
    scenario: &Scenario,
    workload: Arc<Workload>,
    nodes: &[(NodeGroup, bool)],
    own: &[Arc<dyn Score>],
    file: &str,
) -> Result<World, Vec<Diagnostic>> {
    let error = |code, message: String, help: Option<String>| {
        let diagnostic = Diagnostic::error(code, file, format!("variant `{}`: {message}", scenario.name));
        match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    };
    let catalogue = &*scenario.catalogue();
    let mut slices = SliceNames::default();
    let events = &scenario.cluster.events;
    let built = crate::cluster::build::build(nodes, events, catalogue, &mut slices);
    let built = built.map(|(cluster, planned)| (with_twins(cluster, scenario), planned));
    let (cluster, planned) = built.map_err(|errors| {
        errors.iter().map(|e| error("bad-cluster", e.to_string(), e.help())).collect::<Vec<_>>()
    })?;
    let translation = translation(scenario, &cluster).map_err(|message| {
        vec![error("no-translation", message, Some("say `workload.translation: {to: …}`".into()))]
    })?;
    let by_demand = translation.requests(&workload, catalogue, &mut slices).map_err(|errors| {
        errors.iter().map(|e| error("bad-demand", e.to_string(), e.help())).collect::<Vec<_>>()
    })?;
    let names = scenario.scheduler.scores.iter().map(|s| (s.name.as_str(), s.weight));
    let scores = Scores::by_name(names, own)
        .map_err(|name| vec![error("unknown-name", format!("no score is called `{name}`"), None)])?;
    if scenario.scheduler.profile != Profile::Ideal && workload.pods.iter().any(|pod| pod.gang != 1) {
        // GenericWorkload and GangScheduling are alpha in 1.35 and off by default.
        let message = "its pods start in gangs, and kube-scheduler places each pod by itself \
                       (1.35 has gangs behind alpha gates alone, which are not modelled)"
            .to_owned();
        let help = "say `scheduler: {profile: ideal}`, which starts gangs together".to_owned();
        return Err(vec![error("gangs", message, Some(help))]);
    }
    let workload = match scenario.workload.priority_classes.as_slice() {
        [] => workload,
        classes => {
            let mut workload = Workload::clone(&workload);
            policy::prioritize(&mut workload, classes);
            Arc::new(workload)
        }
    };
    let nos = match &scenario.partitioner {
        PartitionerSpec::None => None,
        PartitionerSpec::Nos(spec) => Some(NosWorld {
            settings: spec.settings(),
            tables: spec.geometries.tables(catalogue),
            catalogue: Catalogue::clone(catalogue),
        }),
    };
    let budgets = Budgets::new(&scenario.workload.disruption_budgets, &workload);
    let gates = match scenario.scheduler.profile {
        // The field came with Kubernetes 1.26.
        Profile::Kube1_25 => Gates::default(),
        Profile::Kube1_35 | Profile::Ideal => Gates::new(&scenario.workload.scheduling_gates, &workload),
    };
    let (requests, shape_of) = shapes(&by_demand);
    let demand_parts =
        workload.demands.iter().map(|d| parts(d.gpu, &workload, &translation, catalogue)).collect();
    let models = models(scenario, &workload, &cluster, catalogue);
    let services = services(scenario, &workload);
    let notes = notes::of(scenario, &workload, &translation, &cluster, models.as_ref());
    Ok(World {
        scenario: scenario.clone(),
        workload,
        translation,
        requests,
        shape_of,
        slices,
        cluster,
        planned,
        nos,
        budgets,
        gates,
        scores,
        models,
        services,
        demand_parts,
        notes,
    })
}

/// A cluster whose nodes may fail knows what they are while they are down.
fn with_twins(cluster: Cluster, scenario: &Scenario) -> Cluster {
    if scenario.models.failures.is_some_and(|failures| failures.node.per_day != 0.0) {
        cluster.with_absent_twins()
    } else {
        cluster
    }
}

/// Equal requests are one shape.
fn shapes(by_demand: &[Request]) -> (Vec<Request>, Vec<ShapeId>) {
    let mut known: FxHashMap<Request, ShapeId> = FxHashMap::default();
    let mut requests = Vec::new();
    let shape_of = by_demand
        .iter()
        .map(|request| {
            *known.entry(*request).or_insert_with(|| {
                requests.push(*request);
                ShapeId::of(requests.len() - 1)
            })
        })
        .collect();
    (requests, shape_of)
}

/// The scenario's translation, or the one that the cluster suggests: its GPU nodes' common mode, and
/// their common product.
fn translation(scenario: &Scenario, cluster: &Cluster) -> Result<Translation, String> {
    let given = scenario.workload.translation.clone();
    let gpu_classes = || cluster.classes().iter().filter(|class| 0 < class.gpus);
    let mut modes: Vec<Sharing> = gpu_classes().map(|class| class.share.sharing()).collect();
    modes.sort_unstable();
    modes.dedup();
    let translation = |to| Translation { to, whole_to: None, rule: Rule::default(), product: None };
    let mut translation = match (given, &modes[..]) {
        (Some(given), _) => given,
        (None, []) => translation(Sharing::Whole),
        (None, [only]) => translation(*only),
        (None, _) => {
            return Err("its nodes share GPUs in several ways, so what pods ask for is not clear".to_owned());
        }
    };
    if translation.product.is_none() {
        let of_mode = gpu_classes().filter(|class| class.share.sharing() == translation.to);
        let mut models: Vec<&str> = of_mode.map(|class| class.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        if let [only] = models[..] {
            translation.product = Some(only.to_owned());
        }
    }
    Ok(translation)
}

/// Parts of a GPU that a demand can keep busy.
fn parts(gpu: GpuDemand, workload: &Workload, translation: &Translation, catalogue: &Catalogue) -> u64 {
    match gpu {
        GpuDemand::None => 0,
        GpuDemand::Share { milli, .. } => GPU_PARTS / 1_000 * u64::from(milli),
        GpuDemand::Whole { gpus } => GPU_PARTS * u64::from(gpus),
        GpuDemand::Profile(name) => {
            let product = translation.product.as_ref().and_then(|p| catalogue.find(p));
            let profile = product
                .and_then(|p| p.resolve_profile(&workload.profiles[usize::from(name)]).map(|f| (p, f)));
            // Without a product there is no slice to measure by: it counts as the whole GPU it gets.
            profile.map_or(GPU_PARTS, |(product, profile)| {
                GPU_PARTS * u64::from(profile.compute_slices()) / u64::from(product.compute_slices())
            })
        }
    }
}

/// The models, if the scenario has any on.
fn models(
    scenario: &Scenario,
    workload: &Workload,
    cluster: &Cluster,
    catalogue: &Catalogue,
) -> Option<Models> {
    let spec = &scenario.models;
    if !spec.are_on() {
        return None;
    }
    // First those of classes, by their ids, then those that rules give.
    let behavior = |class: &String| spec.classes.get(class).unwrap_or(&spec.default).clone();
    let of_classes = workload.classes.iter().map(behavior);
    let behaviors: Vec<Behavior> = of_classes.chain(spec.behaviors.values().cloned()).collect();
    let names: Vec<&str> = workload.classes.iter().chain(spec.behaviors.keys()).map(String::as_str).collect();
    let ids = |name: &String| {
        let called = names.iter().enumerate().filter(move |(_, known)| *known == name);
        called.map(|(index, _)| BehaviorId::of(index)).collect::<Vec<_>>()
    };
    // A name may be a class's and a rule's.
    let pairs = spec.pairs.iter().flat_map(|pair: &PairRow| {
        let (classes, others) = (ids(&pair.class), ids(&pair.beside));
        let both =
            classes.into_iter().flat_map(move |one| others.clone().into_iter().map(move |two| (one, two)));
        both.map(|(one, two)| ((pair.mode, one, two), pair.slowdown)).collect::<Vec<_>>()
    });
    let given = names.iter().enumerate().skip(workload.classes.len());
    let given = given.map(|(index, name)| (*name, BehaviorId::of(index))).collect();
    let memory = |demand: &Demand| match demand.gpu {
        GpuDemand::Share { memory, .. } => memory,
        GpuDemand::None | GpuDemand::Whole { .. } | GpuDemand::Profile(_) => Mib(0),
    };
    let of_class =
        |class: &NodeClass| catalogue.find(&class.model).map_or(Mib(0), |product| product.memory());
    Some(Models {
        behaviors: assign(&spec.assign, &given, workload, scenario.seed),
        model: Model {
            behaviors,
            mig: spec.mig,
            mps: spec.mps,
            time_slicing: spec.time_slicing,
            pairs: pairs.collect(),
        },
        own: None,
        sharing: spec.sharing,
        failures: spec.failures,
        memory: workload.demands.iter().map(memory).collect(),
        gpu_memory: cluster.classes().iter().map(of_class).collect(),
        seed: scenario.seed,
    })
}

/// The services of the workload's classes, with the costs of their tokens on a full GPU.
fn services(scenario: &Scenario, workload: &Workload) -> Vec<Option<Service>> {
    let spec = &scenario.models;
    let of = |class: &String| {
        let mut service = spec.services.get(class)?.clone();
        if let Cost::Tokens(tokens) = &mut service.cost
            && let Some(slices) = tokens.slices
        {
            let behavior = spec.classes.get(class).unwrap_or(&spec.default).clone();
            let model = Model { mig: spec.mig, ..Model::new(vec![behavior]) };
            let speed = if spec.sharing {
                1.0 / model.slice_slowdown(BehaviorId(0), slices as u8, Tokens::OF)
            } else {
                1.0
            };
            *tokens = tokens.on_full_gpu(speed);
        }
        Some(service)
    };
    workload.classes.iter().map(of).collect()
}

impl World {
    /// The pods as policies see them.
    #[must_use]
    pub fn pods(&self) -> Pods<'_> {
        Pods {
            pods: &self.workload.pods,
            shape_of: &self.shape_of,
            requests: &self.requests,
            constraints: &self.workload.constraints,
            slices: &self.slices,
        }
    }

    /// The pods with their truth.
    #[must_use]
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// What keeps pods from being scheduled at first.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The cluster, empty.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The scenario it was made from.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// How demands became requests.
    #[must_use]
    pub fn translation(&self) -> &Translation {
        &self.translation
    }

    /// Adds a sentence that a reader of the figures must know.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Simulates under `observer`, with the checker beside it.
    pub fn simulate(&self, observer: &mut impl Observer) -> Outcome {
        let mut checker = Checker::new(self.pods(), &self.workload.truths, &self.cluster);
        let spec = &self.scenario.scheduler;
        let (pods, cluster, seed) = (self.pods(), &self.cluster, self.scenario.seed);
        let decider = match spec.profile {
            Profile::Ideal => {
                Decider::Ideal(Box::new(Scheduler::new(pods, cluster, spec, self.scores.clone(), seed)))
            }
            Profile::Kube1_35 | Profile::Kube1_25 => {
                Decider::Kube(Box::new(KubeScheduler::new(&pods, cluster, spec, seed)))
            }
        };
        let setup = Setup {
            pods: self.pods(),
            truths: &self.workload.truths,
            patience: self.scenario.workload.patience,
            queue_limit: self.scenario.workload.queue_limit,
            cycle: spec.cycle,
            models: self.models.as_ref(),
            recut: self.scenario.models.recut,
            recut_seed: self.scenario.seed,
            planned: &self.planned,
            fate: Fate {
                grace: self.scenario.workload.grace,
                evicted: self.scenario.workload.evicted,
                budgets: &self.budgets,
            },
            gates: &self.gates,
            nos: self.nos(),
        };
        sim::run(setup, self.cluster.clone(), decider, &mut (&mut checker, observer))
    }

    fn nos(&self) -> Option<NosSetup<'_>> {
        let (PartitionerSpec::Nos(spec), Some(nos)) = (&self.scenario.partitioner, &self.nos) else {
            return None;
        };
        Some(NosSetup {
            settings: &nos.settings,
            tables: &nos.tables,
            catalogue: &nos.catalogue,
            plugin: spec.plugin,
            mps_plugin: spec.mps_plugin,
            seed: (spec.choices == Choice::Seeded).then_some(self.scenario.seed),
            planner: spec.planner,
            regret: spec.regret,
            steps: spec.steps,
        })
    }

    /// Simulates and summarizes: what [`replicate`] needs.
    #[must_use]
    pub fn summary(&self) -> (Summary, PodLog) {
        let mut log = PodLog::new(self.workload.len());
        let mut levels = Levels::new(self.pods(), &self.cluster, &self.demand_parts, self.window());
        let mut requests = self.requests();
        let outcome = self.simulate(&mut (&mut log, (&mut levels, &mut requests)));
        let summary = metrics::summarize(&self.frame(), &log, &levels, outcome.attempts);
        (Summary { services: requests.figures(), ..summary }, log)
    }

    /// Simulates with all folds of a report. `progress` is told the number of departed pods now and
    /// then.
    #[must_use]
    pub fn run(self, progress: &(dyn Fn(u64) + Sync)) -> Run {
        let mut log = PodLog::new(self.workload.len());
        let mut levels = Levels::new(self.pods(), &self.cluster, &self.demand_parts, self.window());
        let mut slices =
            Slices::new(self.pods(), &self.workload, &self.cluster, self.scenario.report.gpus_shown);
        let (mut layouts, mut told) = (Layouts::new(&self.cluster), Told(progress));
        let mut requests = self.requests();
        let rest = (&mut slices, (&mut layouts, (&mut requests, &mut told)));
        let outcome = self.simulate(&mut (&mut log, (&mut levels, rest)));
        let frame = self.frame();
        let result = VariantResult {
            name: self.scenario.name.clone(),
            what: self.describe(),
            summary: Summary {
                services: requests.figures(),
                ..metrics::summarize(&frame, &log, &levels, outcome.attempts)
            },
            replications: Vec::new(),
            timeline: levels.timeline(),
            waits: metrics::wait_curve(&frame, &log),
            slices: slices.chart(),
            classes: self.workload.classes.clone(),
            compared: metrics::compared(&frame, &log, &self.scenario.report.measured),
            models: self.printed(),
            notes: self.notes.clone(),
            layouts: layouts.seen(),
        };
        Run { result, log, outcome, world: self }
    }

    /// Puts a model of the caller's own in the place of ours: it says how fast pods run.
    pub fn set_speed_model(&mut self, own: Arc<dyn SpeedModel>) {
        let models = models(&self.scenario, &self.workload, &self.cluster, &self.scenario.catalogue());
        let models = self.models.take().or(models);
        let behaviors = Behaviors::by_class(self.workload.classes.len());
        let models = models.unwrap_or_else(|| Models {
            model: Model::new(vec![self.scenario.models.default.clone(); self.workload.classes.len()]),
            behaviors,
            own: None,
            sharing: true,
            failures: None,
            memory: Vec::new(),
            gpu_memory: Vec::new(),
            seed: self.scenario.seed,
        });
        self.models = Some(Models { own: Some(own), sharing: true, ..models });
    }

    /// Every number of the models that the run rests on, of the modes that its cluster has.
    fn printed(&self) -> Vec<Printed> {
        let cuts = |event: &EventSpec| matches!(event.change, EventKind::Recut(_) | EventKind::Mode(_));
        let cut = self.nos.is_some() || self.scenario.cluster.events.iter().any(cuts);
        let recuts = if cut { self.scenario.models.recut.printed() } else { Vec::new() };
        // As the scenario has them: those that run are converted to a full GPU.
        let named = self.scenario.models.services.iter();
        let named = named.filter(|(class, _)| self.workload.classes.contains(class));
        let mut services: Vec<Printed> = named.filter_map(|(_, service)| service.printed()).collect();
        services.dedup();
        services.extend(recuts);
        let Some(models) = &self.models else { return services };
        let has = |mode: Sharing| self.cluster.classes().iter().any(|class| class.share.sharing() == mode);
        let mut rows = if models.sharing { models.model.printed(has) } else { Vec::new() };
        rows.extend(services);
        rows.extend(models.failures.iter().flat_map(|failures| failures.printed()));
        if models.model.behaviors.iter().any(|b| b.life.is_eventful()) || models.failures.is_some() {
            rows.extend(self.scenario.models.default.life.printed());
        }
        rows
    }

    /// The requests to pods that serve.
    fn requests(&self) -> Requested<'_> {
        let models = self.models.as_ref().filter(|models| models.sharing);
        let slicing = models.map(|models| models.model.time_slicing);
        let seed = self.scenario.seed;
        Requested::new(&self.workload, &self.cluster, &self.services, slicing, self.window(), seed)
    }

    fn frame(&self) -> Frame<'_> {
        Frame { workload: &self.workload, cluster: &self.cluster, first: self.first() }
    }

    /// The first pod that figures count.
    fn first(&self) -> PodId {
        PodId::of((self.workload.len() as f64 * self.scenario.report.warm_up) as usize)
    }

    fn window(&self) -> Window {
        let first = self.first();
        let from = if first.0 == 0 { Time::ZERO } else { self.workload.pods[first.index()].arrival };
        let to = match self.scenario.report.until {
            Until::LastDeparture => None,
            Until::LastArrival => self.workload.pods.last().map(|pod| pod.arrival),
            Until::At(span) => Some(Time(span.0)),
        };
        Window { from, to }
    }

    /// One line: nodes, GPUs, mode.
    fn describe(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (index, class) in self.cluster.classes().iter().enumerate() {
            let nodes = self.cluster.nodes().filter(|n| self.cluster.class_index(*n) == index).count();
            let s = if nodes == 1 { "" } else { "s" };
            parts.push(match class.gpus {
                0 => format!("{nodes} node{s} without GPUs"),
                gpus => format!("{nodes} node{s} × {gpus} {}, {}", class.model, mode_text(&class.share)),
            });
        }
        // A node list can have dozens of kinds; the resolved scenario has them all.
        const SHOWN: usize = 4;
        let more = parts.len().saturating_sub(SHOWN);
        parts.truncate(SHOWN);
        if 0 < more {
            parts.push(format!("and {more} more kinds of node"));
        }
        parts.join("; ")
    }
}

fn mode_text(share: &Share) -> String {
    match share {
        Share::Whole => "whole GPUs".to_owned(),
        Share::Milli => "thousandths of a GPU".to_owned(),
        Share::Memory { gb, .. } => format!("MPS memory slices of {gb} GB"),
        Share::Sliced { gb, .. } => format!("MPS memory slices of {gb} GB, cut on demand"),
        Share::Replicas { replicas, mps: true } => format!("MPS, {replicas} replicas"),
        Share::Replicas { replicas, mps: false } => format!("time-slicing, {replicas} replicas"),
        Share::Slices { slices, .. } => {
            let names: Vec<&str> = slices.iter().map(|s| s.label.as_str()).collect();
            format!("MIG {}", names.join(" "))
        }
    }
}

/// Passes on progress.
struct Told<'p>(&'p (dyn Fn(u64) + Sync));

impl Observer for Told<'_> {
    fn record(&mut self, _: Time, _: Record<'_>) {}
    fn progress(&mut self, _: Time, departed: u64) {
        (self.0)(departed);
    }
}

/// Runs all variants of a file, on all threads, results in the file's order. The file comes back
/// with what reading its traces filled in. Variants that ask for replications, and that seeds vary,
/// run again with the seeds that follow theirs: the same for all variants, so that they meet the
/// same chances.
///
/// `progress` is told a variant's index and how many of its pods have departed, and first the number
/// of pods of all variants under the index `usize::MAX`.
///
/// # Errors
/// Every reason why some variant cannot be run; nothing is simulated then. And none of its pods left
/// under a further seed, which a sample may draw.
pub fn run(
    file: &mut ScenarioFile,
    inputs: &Inputs,
    own: &[Arc<dyn Score>],
    progress: &(dyn Fn(usize, u64) + Sync),
) -> Result<Vec<Run>, Vec<Diagnostic>> {
    let mut cache = inputs::Cache::default();
    let worlds = worlds_of(file, inputs, own, &mut cache)?;
    let pods = |world: &World| world.workload.len() as u64 * (1 + further(&world.scenario).count() as u64);
    progress(usize::MAX, worlds.iter().map(pods).sum());
    let runs = worlds.into_par_iter().enumerate().map(|(i, world)| {
        let (scenario, pods) = (world.scenario.clone(), world.workload.len() as u64);
        let mut run = world.run(&|departed| progress(i, departed));
        let departed = AtomicU64::new(pods);
        let seeds: Vec<u64> = further(&scenario).collect();
        let more = replications(&scenario, inputs, &seeds, own, &cache, &|| {
            progress(i, pods + departed.fetch_add(pods, Ordering::Relaxed));
        })?;
        if !more.is_empty() {
            run.result.replications = std::iter::once(run.result.summary.clone()).chain(more).collect();
        }
        Ok(run)
    });
    runs.collect()
}

/// The seeds of a scenario's further runs.
fn further(scenario: &Scenario) -> impl Iterator<Item = u64> + use<> {
    let runs = if scenario.varies_by_seed() { u64::from(scenario.report.replications) } else { 1 };
    let seed = scenario.seed;
    (1..runs).map(move |i| seed.wrapping_add(i))
}

/// The worlds of all variants of a file.
///
/// # Errors
/// As [`run`].
pub fn worlds(
    file: &mut ScenarioFile,
    inputs: &Inputs,
    own: &[Arc<dyn Score>],
) -> Result<Vec<World>, Vec<Diagnostic>> {
    worlds_of(file, inputs, own, &mut inputs::Cache::default())
}

fn worlds_of(
    file: &mut ScenarioFile,
    inputs: &Inputs,
    own: &[Arc<dyn Score>],
    cache: &mut inputs::Cache,
) -> Result<Vec<World>, Vec<Diagnostic>> {
    let mut worlds = Vec::new();
    let mut errors = Vec::new();
    for scenario in &mut file.variants {
        match world(scenario, inputs, cache, own) {
            Ok(world) => worlds.push(world),
            Err(more) => errors.extend(more.into_iter().filter(|e| !errors.contains(e)).collect::<Vec<_>>()),
        }
    }
    if errors.is_empty() { Ok(worlds) } else { Err(errors) }
}

fn world(
    scenario: &mut Scenario,
    inputs: &Inputs,
    cache: &mut inputs::Cache,
    own: &[Arc<dyn Score>],
) -> Result<World, Vec<Diagnostic>> {
    // All are tried, so that one look shows what is wrong with either.
    let pods = inputs.workload(scenario, cache);
    let nodes = inputs.nodes(&mut scenario.cluster);
    let scheduler = inputs.scheduler(&mut scenario.scheduler.kube);
    let partitioner = inputs.partitioner(&mut scenario.partitioner);
    let services = inputs.services(&mut scenario.models.services, cache);
    match (pods, nodes, scheduler, partitioner, services) {
        (Ok((workload, notes)), Ok(nodes), Ok(()), Ok(()), Ok(())) => {
            let mut world = prepare(scenario, workload, &nodes, own, inputs.file())?;
            notes.into_iter().for_each(|note| world.note(note));
            Ok(world)
        }
        (pods, nodes, scheduler, partitioner, services) => {
            let errors = [pods.err(), nodes.err(), scheduler.err(), partitioner.err(), services.err()];
            Err(errors.into_iter().flatten().flatten().collect())
        }
    }
}

/// Runs one scenario under many seeds, on all threads, results in the order of `seeds`.
///
/// # Errors
/// As [`run`].
pub fn replicate(
    scenario: &Scenario,
    inputs: &Inputs,
    seeds: &[u64],
) -> Result<Vec<Summary>, Vec<Diagnostic>> {
    replications(scenario, inputs, seeds, &[], &inputs::Cache::default(), &|| {})
}

/// The figures of a scenario under each seed, from files that `cache` holds; `done` is called after
/// each run.
fn replications(
    scenario: &Scenario,
    inputs: &Inputs,
    seeds: &[u64],
    own: &[Arc<dyn Score>],
    cache: &inputs::Cache,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Summary>, Vec<Diagnostic>> {
    let one = |seed: &u64| {
        let mut scenario = Scenario { seed: *seed, ..scenario.clone() };
        let world = world(&mut scenario, inputs, &mut cache.clone(), own)?;
        let (summary, _) = world.summary();
        done();
        Ok(summary)
    };
    seeds.par_iter().map(one).collect()
}
