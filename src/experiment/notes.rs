//! What a report says its figures rest on, in sentences.

use crate::cluster::{Cluster, NodeClass, Share};
use crate::id::PodId;
use crate::perf::{Model, Models};
use crate::scenario::resolved::{Scenario, WorkloadSpec};
use crate::sched::spec::Profile;
use crate::units::Mib;
use crate::workload::policy::Of;
use crate::workload::request::{Sharing, Translation, share_milli};
use crate::workload::{Demand, GpuDemand, Workload};
use std::collections::BTreeSet;

/// What a reader of the figures must know.
pub(super) fn of(
    scenario: &Scenario,
    workload: &Workload,
    translation: &Translation,
    cluster: &Cluster,
    models: Option<&Models>,
) -> Vec<String> {
    let rule = serde_json::to_value(translation.rule).expect("a rule is a word");
    let product = translation.product.as_deref().unwrap_or("no product");
    let mut notes = Vec::new();
    if matches!(translation.to, Sharing::Mig | Sharing::Mps) {
        let rule = rule.as_str().unwrap_or_default();
        notes.push(format!("GPU fractions become requests by the rule `{rule}` for {product}; another rule gives other figures."));
    }
    match models.filter(|models| models.sharing) {
        None => notes.push(
            "Run times are those of the trace in every mode: slower slices and neighbours are not modelled (models.sharing is off).".to_owned(),
        ),
        Some(models) => {
            let Model { mig, mps, time_slicing, .. } = &models.model;
            notes.push(format!(
                "Slower slices and neighbours are modelled with parameters whose defaults were fitted to published measurements: MIG κ = {}, MPS α = {}, C = {}, time-slicing ε = {} (one data set: least certain).",
                mig.kappa, mps.alpha, mps.capacity, time_slicing.loss
            ));
            notes.extend(memory_note(workload, cluster, models));
        }
    }
    notes.extend(models.and_then(|models| assigned_note(scenario, workload, models)));
    let rules = &scenario.models.behaviors;
    let classes = |name: &String| !workload.classes.contains(name) && !rules.contains_key(name);
    let named = scenario.models.pairs.iter().flat_map(|pair| [&pair.class, &pair.beside]);
    let of_rules = scenario.models.assign.iter().flat_map(|rule| &rule.of.of.classes);
    let absent = of_rules.filter(|name| !workload.classes.contains(name));
    let named = scenario
        .models
        .classes
        .keys()
        .chain(scenario.models.services.keys())
        .chain(named)
        .filter(|name| classes(name));
    let named: BTreeSet<&String> = named.chain(absent).collect();
    if !named.is_empty() {
        let names: Vec<&str> = named.iter().map(|name| name.as_str()).collect();
        notes.push(format!("No pod is of these classes, which the models name: {}.", names.join(", ")));
    }
    for (what, name, of) in chosen_pods(&scenario.workload) {
        for unknown in of.unknown(workload) {
            notes.push(format!("The {what} `{name}` names `{unknown}`, which no pod has."));
        }
    }
    let gated = !scenario.workload.scheduling_gates.is_empty();
    notes.extend(gated.then(|| match scenario.scheduler.profile {
        Profile::Kube1_25 => "Scheduling gates came with Kubernetes 1.26: under kube-1.25 pods have none.",
        _ => "Waits count from a pod's creation, with the time that its scheduling gates hold it (`gated_s` in pods.csv).",
    }.to_owned()));
    if scenario.scheduler.profile != Profile::Ideal && 0.0 < scenario.scheduler.kube.bind_failures {
        let share = scenario.scheduler.kube.bind_failures * 100.0;
        notes.push(format!(
            "{share} % of the bindings fail, drawn by the seed (scheduler.kube.bind_failures)."
        ));
    }
    if 1 < scenario.report.replications && !scenario.varies_by_seed() {
        notes.push(
            "Seeds vary nothing here (no pod and no place is drawn): one run says all, and there is no interval."
                .to_owned(),
        );
    }
    let replicas = cluster.classes().iter().filter_map(|class| match class.share {
        Share::Replicas { replicas, .. } => Some(u64::from(replicas)),
        _ => None,
    });
    if let Some(replicas) = replicas.max() {
        let over =
            |demand: &Demand| share_milli(demand).is_some_and(|milli| 1_000 < u64::from(milli) * replicas);
        let count = workload.pods.iter().filter(|pod| over(&workload.demands[pod.demand.index()])).count();
        if 0 < count {
            notes.push(format!(
                "{count} pods need more of a GPU than 1 of {replicas} replicas promises; a replica gives them their turn, not their share."
            ));
        }
    }
    notes
}

/// How many pods have which behavior, where rules gave any.
fn assigned_note(scenario: &Scenario, workload: &Workload, models: &Models) -> Option<String> {
    if models.behaviors.of_pod.is_empty() {
        return None;
    }
    let classes = workload.classes.len();
    let mut counts = vec![0_usize; models.model.behaviors.len()];
    models.behaviors.of_pod.iter().for_each(|id| counts[id.index()] += 1);
    let by_class: usize = counts[..classes].iter().sum();
    let given = scenario.models.behaviors.keys().zip(&counts[classes..]).filter(|(_, count)| **count != 0);
    let mut parts: Vec<String> = given.map(|(name, count)| format!("{name} {count}")).collect();
    if by_class != 0 {
        parts.push(format!("that of its class {by_class}"));
    }
    Some(format!("Behaviors by rule, in pods: {}.", parts.join(", ")))
}

/// Where nobody says how much memory pods need, none runs out of it.
fn memory_note(workload: &Workload, cluster: &Cluster, models: &Models) -> Option<String> {
    let shared = |class: &NodeClass| matches!(class.share, Share::Replicas { .. });
    if !cluster.classes().iter().any(shared) {
        return None;
    }
    let unknown = workload.pods.iter().enumerate().filter(|(index, pod)| {
        let behavior = &models.model.behaviors[models.behaviors.of(PodId::of(*index), pod).index()];
        let of_trace = models.memory[pod.demand.index()];
        workload.demands[pod.demand.index()].gpu != GpuDemand::None
            && behavior.life.memory.unwrap_or(of_trace) == Mib(0)
    });
    let unknown = unknown.count();
    (unknown != 0).then(|| {
        format!(
            "Nothing says how much GPU memory {unknown} pods need (models.life.memory, or that of a class, would): they count with the memory of a context alone."
        )
    })
}

/// What the workload says of some of its pods: what it is, its name, and which pods.
fn chosen_pods(workload: &WorkloadSpec) -> impl Iterator<Item = (&'static str, &str, &Of)> {
    let classes = workload.priority_classes.iter();
    let classes = classes.filter_map(|c| Some(("priority class", &*c.name, c.of.as_ref()?)));
    let budgets = workload.disruption_budgets.iter().map(|b| ("disruption budget", &*b.name, &b.of));
    let gates = workload.scheduling_gates.iter().map(|g| ("scheduling gate", &*g.name, &g.of));
    classes.chain(budgets).chain(gates)
}
