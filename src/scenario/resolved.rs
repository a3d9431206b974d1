//! A scenario with every default filled in and every name checked: what a run works from, and what
//! `scenario.resolved.yaml` holds.

use crate::cluster::spec::{ClusterSpec, EventKind};
use crate::gpu::{Catalogue, ProductSpec};
use crate::metrics::TimedStep;
use crate::partition::spec::{Choice, PartitionerSpec};
use crate::perf::assign::Assign;
use crate::perf::failures::Failures;
use crate::perf::recut::{Path, Recut};
use crate::perf::service::Service;
use crate::perf::{Behavior, Mig, Mps, PairRow, TimeSlicing};
use crate::sched::spec::{Profile, SchedulerSpec, Ties};
use crate::trace::spec::{Changes, Generate, Source};
use crate::units::Span;
use crate::workload::policy::{DisruptionBudget, Evicted, GRACE, PriorityClass, SchedulingGate};
use crate::workload::request::Translation;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A scenario file: its variants, each complete.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioFile {
    /// Name.
    pub name: String,
    /// What question it answers.
    pub description: String,
    /// Variants in order; a file without any has one, named after the scenario.
    pub variants: Vec<Scenario>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scenario {
    /// Name of the variant.
    pub name: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// GPUs laid over the catalogue inside the program, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<ProductSpec>,
    /// What arrives.
    pub workload: WorkloadSpec,
    /// What there is.
    pub cluster: ClusterSpec,
    /// Who decides.
    pub scheduler: SchedulerSpec,
    /// Who cuts GPUs while pods run.
    pub partitioner: PartitionerSpec,
    /// How fast pods run.
    pub models: ModelsSpec,
    /// What is measured and shown.
    pub report: ReportSpec,
}

impl Scenario {
    /// The GPUs it knows: those inside the program, and its own.
    ///
    /// # Panics
    /// If a row of its own is refused, which one that was read from a file never is.
    #[must_use]
    pub fn catalogue(&self) -> Cow<'static, Catalogue> {
        let lay = |known: Cow<'static, Catalogue>, row: &ProductSpec| {
            Cow::Owned(known.with(row.clone()).expect("rows were laid once before"))
        };
        self.gpus.iter().fold(Cow::Borrowed(Catalogue::builtin()), lay)
    }
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadSpec {
    /// Trace files, merged by arrival.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Source>,
    /// Pods made by laws, instead of or beside traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// What is done to them.
    pub changes: Changes,
    /// From demand to request; `None` follows the cluster, when all its GPU nodes share one mode and model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// Pods give up after waiting so long; 0 makes a loss system; `None` waits for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<Span>,
    /// Most pods waiting after a cycle; the latest are turned away; `None` has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_limit: Option<u64>,
    /// Priority classes, given to pods by rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_classes: Vec<PriorityClass>,
    /// How many pods may be disrupted at a time, where that is limited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disruption_budgets: Vec<DisruptionBudget>,
    /// What keeps pods from being scheduled at first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduling_gates: Vec<SchedulingGate>,
    /// How long a pod that must go keeps its place: `terminationGracePeriodSeconds`.
    pub grace: Span,
    /// What becomes of it then.
    pub evicted: Evicted,
}

impl Default for WorkloadSpec {
    fn default() -> WorkloadSpec {
        WorkloadSpec {
            traces: Vec::new(),
            generate: None,
            changes: Changes::default(),
            translation: None,
            patience: None,
            queue_limit: None,
            priority_classes: Vec::new(),
            disruption_budgets: Vec::new(),
            scheduling_gates: Vec::new(),
            grace: GRACE,
            evicted: Evicted::default(),
        }
    }
}

/// What is measured and shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportSpec {
    /// Share of the pods, by arrival, that no figure counts: warm-up, 0 to below 1.
    pub warm_up: f64,
    /// End of the measured window of levels over time.
    pub until: Until,
    /// GPUs in the chart of slices.
    pub gpus_shown: u16,
    /// Runs, with the seed and those that follow it, where seeds vary anything.
    pub replications: u16,
    /// Steps that were timed on real GPUs, to show beside the model's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<TimedStep>,
}

impl Scenario {
    /// Whether runs with different seeds differ: pods are generated or drawn, or places are.
    #[must_use]
    pub fn varies_by_seed(&self) -> bool {
        self.workload.generate.is_some()
            || self.workload.changes.draw.is_some()
            || self.models.vary_by_seed()
            || self.models.recut.path == Path::MigManager
                && self
                    .cluster
                    .events
                    .iter()
                    .any(|event| matches!(event.change, EventKind::Recut(_) | EventKind::Mode(_)))
            || self.scheduler.profile == Profile::Kube1_25
            || (self.scheduler.profile != Profile::Ideal && 0.0 < self.scheduler.kube.bind_failures)
            || self.scheduler.ties == Ties::Seeded
            || self.scheduler.scores.iter().any(|score| score.name == "random")
            || matches!(&self.partitioner, PartitionerSpec::Nos(nos) if nos.choices == Choice::Seeded)
    }
}

/// Where the measured window of levels ends. Waits and counts are of all pods whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// When the last pod leaves.
    #[default]
    LastDeparture,
    /// When the last pod arrives: what a steady state is measured over.
    LastArrival,
    /// So long after the start.
    At(Span),
}

impl Default for ReportSpec {
    fn default() -> ReportSpec {
        ReportSpec {
            warm_up: 0.0,
            until: Until::LastDeparture,
            gpus_shown: 12,
            replications: 1,
            measured: Vec::new(),
        }
    }
}

/// How fast pods run on slices and beside neighbours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelsSpec {
    /// Whether slower slices and neighbours are modelled; off runs everything at full speed.
    pub sharing: bool,
    /// Behavior of the classes that are not named.
    pub default: Behavior,
    /// Behavior by class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, Behavior>,
    /// Every behavior that rules name, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub behaviors: BTreeMap<String, Behavior>,
    /// Behaviors of pods by rule or mix, before their class counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assign: Vec<Assign>,
    /// Speed on MIG slices.
    pub mig: Mig,
    /// Interference under MPS.
    pub mps: Mps,
    /// Interference under time-slicing.
    pub time_slicing: TimeSlicing,
    /// Measured slowdowns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairRow>,
    /// Faults and repairs; `None` where nothing breaks but pods by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// How long re-cuts take.
    pub recut: Recut,
    /// Requests to the pods that serve, by class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
}

impl Default for ModelsSpec {
    fn default() -> ModelsSpec {
        let [(_, saturating), ..] = Behavior::NAMED;
        ModelsSpec {
            sharing: false,
            default: saturating,
            classes: BTreeMap::new(),
            behaviors: BTreeMap::new(),
            assign: Vec::new(),
            mig: Mig::default(),
            mps: Mps::default(),
            time_slicing: TimeSlicing::default(),
            pairs: Vec::new(),
            failures: None,
            recut: Recut::default(),
            services: BTreeMap::new(),
        }
    }
}

impl ModelsSpec {
    fn all(&self) -> impl Iterator<Item = &Behavior> {
        self.classes.values().chain(self.behaviors.values()).chain([&self.default])
    }

    /// Whether pods do anything but run at full speed to their end.
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.sharing || self.failures.is_some() || self.all().any(|b| b.life.is_eventful())
    }

    /// Whether seeds decide anything here.
    #[must_use]
    pub fn vary_by_seed(&self) -> bool {
        let residuals = self.mps.residual != 0.0 || self.time_slicing.residual != 0.0;
        let faults = |f: &Failures| f.gpu.per_day != 0.0 || f.node.per_day != 0.0;
        let drawn = self.assign.iter().any(|rule| 1 < rule.to.names().count());
        !self.services.is_empty()
            || self.sharing && residuals
            || self.are_on() && drawn
            || self.failures.as_ref().is_some_and(faults)
            || self.all().any(|b| b.life.crashes_per_hour != 0.0)
    }
}
