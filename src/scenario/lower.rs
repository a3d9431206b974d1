//! From what is written to what is meant, and the checks that no table can express.
//!
//! Every function takes all keys of its record before it gives up on a bad one, so that the
//! complaints of the others are made too.

mod cluster;
mod gpus;
mod models;
mod workload;

use super::Known;
use super::resolved::{ReportSpec, Scenario, ScenarioFile, Until};
use super::table::{FILE, GPUS_FILE, SCENARIO};
use super::variables::{Refused, substitute};
use crate::cluster::spec::{ClusterSpec, Holders};
use crate::diag::nearest;
use crate::gpu::{Catalogue, ProductSpec};
use crate::metrics::TimedStep;
use crate::partition::nos::{Fix, Fixes};
use crate::partition::planner::Planner;
use crate::partition::spec::{Choice as NosChoice, Geometries, NosSpec, PartitionerSpec};
use crate::sched::spec::{
    ApiLimits, FitStrategy, GpuChoice, KubeSettings, KubeSpec, Profile, SchedulerSpec, ScoreSpec, Ties,
    Weights,
};
use crate::units::Span;
use crate::workload::policy::Evicted;
use crate::yaml::{Entry, Item, Kind, Lower, Node, Problem, Record, Shape, Value, overlay, read, record};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use workload::chosen;

/// GPU models that openb names and no catalogue has: some undisclosed, all without MIG. Modes that
/// need no facts about a GPU take them without a word.
const OF_TRACES: [&str; 7] = ["G2", "G3", "T4", "P100", "V100M16", "V100M32", "A10"];

/// What is needed to check a scenario, and its complaints so far.
pub(super) struct Context<'a> {
    known: &'a Known<'a>,
    /// The known GPUs with those of the scenario that is being lowered.
    catalogue: Cow<'a, Catalogue>,
    pub(super) problems: Vec<Problem>,
    /// Names of the list that is being lowered and where they stand, for [`Context::distinct`].
    names: Vec<(String, Range<usize>)>,
    /// Names and sizes of the node groups, where no node comes from elsewhere.
    groups: Option<Vec<(String, u32)>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(known: &'a Known<'a>) -> Context<'a> {
        Context {
            known,
            catalogue: Cow::Borrowed(known.catalogue),
            problems: Vec::new(),
            names: Vec::new(),
            groups: None,
        }
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn set_catalogue(&mut self, catalogue: Catalogue) {
        self.catalogue = Cow::Owned(catalogue);
    }

    fn complain(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Takes a name that must differ from its neighbours'.
    fn name(&mut self, record: &mut Record) -> Option<String> {
        let at = record.place("name");
        let name: String = record.take("name", self)?;
        self.names.push((name.clone(), at));
        Some(name)
    }

    /// Complains about names that were taken twice since the last call.
    fn distinct(&mut self, what: &str) {
        let mut seen = BTreeSet::new();
        for (name, at) in std::mem::take(&mut self.names) {
            if !seen.insert(name.clone()) {
                self.complain(Problem::new("duplicate-name", &at, format!("a second {what} `{name}`")));
            }
        }
    }

    /// A path with its variables replaced.
    fn path(&mut self, path: &str, at: &Range<usize>) -> Option<String> {
        let problem = match substitute(path, self.known.variables) {
            Ok(path) if path.trim().is_empty() => {
                Problem::new("bad-value", at, "the path is empty once its variables are replaced")
            }
            Ok(path) if path.chars().any(char::is_control) => {
                Problem::new("bad-value", at, "a variable of this path holds a control character")
            }
            Ok(path) => return Some(path),
            Err(Refused::Unset(name)) => {
                let help = format!(
                    "give `--set {name}=VALUE`, set the environment variable {name}, or write \
                     `${{{name}:-default}}`"
                );
                Problem::new("unset-variable", at, format!("the variable `{name}` is not set")).help(help)
            }
            Err(Refused::Malformed) => Problem::new("bad-value", at, "`${` begins no variable")
                .help("write `${NAME}` or `${NAME:-default}`, or `$${` for these characters themselves"),
        };
        self.complain(problem);
        None
    }

    /// Takes the path of a file.
    fn file(&mut self, record: &mut Record) -> Option<String> {
        let at = record.place("file");
        let path: String = record.take("file", self)?;
        self.path(&path, &at)
    }

    /// Looks up a GPU model. Unknown ones are an error where their profiles or memory are needed.
    fn gpu_model(&mut self, model: &str, at: &Range<usize>, needed: bool) -> bool {
        if self.catalogue().find(model).is_some() {
            return true;
        }
        let near = self.catalogue().suggest(model).map(str::to_owned);
        if !needed && OF_TRACES.contains(&model) {
            return false;
        }
        let problem = Problem::new("unknown-name", at, format!("no GPU model `{model}` is known"));
        let problem = match near {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("`slicewise gpus` lists the models"),
        };
        self.complain(if needed { problem } else { problem.warning() });
        false
    }
}

/// Implements [`Lower`] for enums that are bare words.
macro_rules! words {
    ($($type:ty { $($word:literal => $variant:path),+ $(,)? })+) => {$(
        impl<'a> Lower<Context<'a>> for $type {
            fn lower(item: Item, _: &mut Context<'a>) -> Option<Self> {
                match item.value {
                    $(Value::Choice($word, None) => Some($variant),)+
                    Value::Bad => None,
                    other => panic!("a word of its table, not {other:?}"),
                }
            }
        }
    )+};
}
use words;

words! {
    Profile {
        "kube-1.35" => Profile::Kube1_35,
        "kube-1.25" => Profile::Kube1_25,
        "ideal" => Profile::Ideal,
    }
    Evicted { "return" => Evicted::Return, "leave" => Evicted::Leave }
    GpuChoice {
        "first-fit" => GpuChoice::FirstFit,
        "best-fit" => GpuChoice::BestFit,
        "worst-fit" => GpuChoice::WorstFit,
    }
    Planner {
        "nos" => Planner::Nos,
        "nos-placements" => Planner::NosPlacements,
        "optimal" => Planner::Optimal,
    }
    NosChoice { "first" => NosChoice::First, "seeded" => NosChoice::Seeded }
    Holders { "wait" => Holders::Wait, "evict" => Holders::Evict }
    Ties { "node-order" => Ties::NodeOrder, "seeded" => Ties::Seeded }
    Base { "scenario" => Base::Scenario, "none" => Base::None }
}

/// What a variant changes.
#[derive(PartialEq)]
enum Base {
    Scenario,
    None,
}

/// Lowers a whole file.
pub(super) fn file(root: &Rc<Node>, context: &mut Context<'_>) -> Option<ScenarioFile> {
    let item = read(root, &Kind::Object(&FILE), &mut context.problems);
    record(item, |r| {
        let name: Option<String> = r.take("name", context);
        let description = r.take("description", context);
        let variants: Option<Option<Item>> = r.optional("variants", context);
        read_elsewhere(r, context);
        let base = part(root);
        let variants = match variants? {
            Some(item) => {
                unused_base(&base, context);
                self::variants(root, item, &base, context)
            }
            None => scenario(name.clone(), &base, context).map(|one| vec![one]),
        };
        Some(ScenarioFile { name: name?, description: description?, variants: variants? })
    })
}

/// Lowers a file of GPUs alone: its rows, and the catalogue with them.
pub(super) fn gpus(root: &Rc<Node>, context: &mut Context<'_>) -> Option<(Vec<ProductSpec>, Catalogue)> {
    let item = read(root, &Kind::Object(&GPUS_FILE), &mut context.problems);
    let rows = record(item, |r| r.take::<Item, _>("gpus", context))?;
    let rows = gpus::lay(rows, context)?;
    Some((rows, context.catalogue.clone().into_owned()))
}

/// Passes over the keys that are read once overlays are laid.
fn read_elsewhere(record: &mut Record, context: &mut Context<'_>) {
    for key in ["seed", "gpus", "workload", "cluster", "scheduler", "models", "report"] {
        let _: Option<Option<Item>> = record.optional(key, context);
    }
    let _: Option<Item> = record.take("partitioner", context);
}

/// The keys of a file or variant that are those of a run.
fn part(node: &Rc<Node>) -> Rc<Node> {
    let entries = node.entries().unwrap_or_default();
    let kept: Vec<Entry> = entries.iter().filter(|e| SCENARIO.key(&e.key).is_some()).cloned().collect();
    Rc::new(Node::map(node.at.clone(), kept))
}

/// Checks what stands in a base although every variant may replace it. What is missing there may
/// come from the variants.
fn unused_base(base: &Rc<Node>, context: &mut Context<'_>) {
    let mut own = Context::new(context.known);
    scenario(None, base, &mut own);
    let incomplete = |p: &Problem| matches!(p.code, "missing-key" | "no-pods" | "no-nodes");
    context.problems.extend(own.problems.into_iter().filter(|p| !incomplete(p)));
}

fn variants(root: &Node, item: Item, base: &Rc<Node>, context: &mut Context<'_>) -> Option<Vec<Scenario>> {
    let Value::List(items) = item.value else { return None };
    let Shape::List(nodes) = &root.get("variants")?.value.shape else { return None };
    let heads: Vec<Option<(String, Base)>> =
        items.into_iter().map(|item| variant_head(item, context)).collect();
    context.distinct("variant");
    let made: Vec<Option<Scenario>> = heads
        .into_iter()
        .zip(nodes)
        .map(|(head, node)| match head? {
            (name, Base::None) => scenario(Some(name), &part(node), context),
            (name, Base::Scenario) => scenario(Some(name), &overlay(&SCENARIO, base, &part(node)), context),
        })
        .collect();
    made.into_iter().collect()
}

fn variant_head(item: Item, context: &mut Context<'_>) -> Option<(String, Base)> {
    record(item, |r| {
        let name = context.name(r);
        let base = r.take("base", context);
        read_elsewhere(r, context);
        name.zip(base)
    })
}

/// Lowers one complete variant; without a name only its complaints count.
fn scenario(name: Option<String>, node: &Rc<Node>, context: &mut Context<'_>) -> Option<Scenario> {
    let item = read(node, &Kind::Object(&SCENARIO), &mut context.problems);
    record(item, |r| {
        let seed = r.take("seed", context);
        context.catalogue = Cow::Borrowed(context.known.catalogue);
        let gpus: Option<Option<Item>> = r.optional("gpus", context);
        let gpus = match gpus? {
            Some(list) => gpus::lay(list, context),
            None => Some(Vec::new()),
        };
        let workload = r.take("workload", context);
        let cluster = r.take("cluster", context);
        let scheduler = r.take("scheduler", context);
        let partitioner_at = r.place(if r.has("partitioner") { "partitioner" } else { "cluster" });
        let partitioner: Option<PartitionerSpec> = r.take("partitioner", context);
        let models = r.take("models", context);
        let report = r.take("report", context);
        let cluster: Option<ClusterSpec> = cluster;
        if let (Some(cluster), Some(partitioner)) = (&cluster, &partitioner) {
            partitioned(cluster, partitioner, &partitioner_at, context);
        }
        Some(Scenario {
            name: name?,
            seed: seed?,
            gpus: context.known.gpus.iter().cloned().chain(gpus?).collect(),
            workload: workload?,
            cluster: cluster?,
            scheduler: scheduler?,
            partitioner: partitioner?,
            models: models?,
            report: report?,
        })
    })
}

/// Complains about nodes that nobody cuts, and warns of a partitioner that has none to cut.
fn partitioned(
    cluster: &ClusterSpec,
    partitioner: &PartitionerSpec,
    at: &Range<usize>,
    context: &mut Context<'_>,
) {
    let modes = cluster.nodes.iter().map(|group| (&group.name, &group.mode));
    let modes = modes.chain(cluster.node_lists.iter().map(|list| (&list.file, &list.mode)));
    let on_demand: Vec<&String> =
        modes.filter(|(_, mode)| mode.is_on_demand()).map(|(name, _)| name).collect();
    match (partitioner, on_demand.first()) {
        (PartitionerSpec::None, Some(name)) => {
            let message = format!("the GPUs of `{name}` are cut on demand, and there is no partitioner");
            let problem = Problem::new("no-partitioner", at, message);
            context.complain(problem.help("add `partitioner: {nos: {}}`, or give `mode` a layout"));
        }
        (PartitionerSpec::Nos(_), None) => {
            let problem = Problem::new("nothing-to-cut", at, "no node's GPUs are cut on demand");
            let help = "give nodes `mode: mig` without a layout, or `mode: {mps: on-demand}`";
            context.complain(problem.help(help).warning());
        }
        _ => {}
    }
}

impl<'a> Lower<Context<'a>> for PartitionerSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("none", None) => Some(PartitionerSpec::None),
            ("nos", Some(nos)) => NosSpec::lower(nos, context).map(PartitionerSpec::Nos),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for NosSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let fix = r.take("fix", context);
            let geometries = r.take("geometries", context);
            let batch_timeout = r.take("batch_timeout", context);
            let batch_idle = r.take("batch_idle", context);
            let plugin_delay = r.take("plugin_delay", context);
            let mig_report = r.take("mig_report", context);
            let mps_report = r.take("mps_report", context);
            let plugin = r.take("plugin", context);
            let mps_plugin = r.take("mps_plugin", context);
            let choices = r.take("choices", context);
            let planner = r.take("planner", context);
            let regret = r.take("regret", context);
            let steps = r.take("steps", context);
            Some(NosSpec {
                fix: fix?,
                geometries: geometries?,
                batch_timeout: batch_timeout?,
                batch_idle: batch_idle?,
                plugin_delay: plugin_delay?,
                mig_report: mig_report?,
                mps_report: mps_report?,
                plugin: plugin?,
                mps_plugin: mps_plugin?,
                choices: choices?,
                planner: planner?,
                regret: regret?,
                steps: steps?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Geometries {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        match chosen(item)? {
            ("deployed", None) => Some(Geometries::Deployed),
            ("builtin", None) => Some(Geometries::Builtin),
            ("catalogue", None) => Some(Geometries::Catalogue),
            ("file", Some(path)) => {
                let path = String::lower(path, context)?;
                let file = context.path(&path, &at)?;
                Some(Geometries::File { file, tables: None })
            }
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for Fixes {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let words: Vec<(String, Range<usize>)> = match item.value {
            Value::List(items) => items
                .into_iter()
                .map(|item| {
                    let at = item.at.clone();
                    Some((String::lower(item, context)?, at))
                })
                .collect::<Option<_>>()?,
            _ => {
                let at = item.at.clone();
                vec![(String::lower(item, context)?, at)]
            }
        };
        let mut fixes = Vec::new();
        for (word, at) in words {
            if word == "all" {
                fixes.extend(Fix::ALL);
            } else if let Some(fix) = Fix::parse(&word) {
                fixes.push(fix);
            } else {
                let problem = Problem::new("unknown-name", &at, format!("nos has no quirk `{word}`"));
                let known = || Fix::ALL.iter().map(|fix| fix.word());
                let help = match nearest(&word, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("quirks are `all`, `{}`", known().collect::<Vec<_>>().join("`, `")),
                };
                context.complain(problem.help(help));
            }
        }
        Some(fixes.into_iter().collect())
    }
}

impl<'a> Lower<Context<'a>> for SchedulerSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let profile: Option<Profile> = r.take("profile", context);
            if let Some(profile) = profile {
                of_other_profile(profile, r, context);
            }
            let only: Option<Option<ScoreSpec>> = r.optional("score", context);
            // The default is looked up only where it counts, in case nobody registered it.
            let scores = match r.has("score") {
                true => r.take::<Item, _>("scores", context).map(|_| Vec::new()),
                false => r.take("scores", context),
            };
            let gpu_choice = r.take("gpu_choice", context);
            let ties = r.take("ties", context);
            let cycle = r.take("cycle", context);
            let kube = r.take("kube", context);
            Some(SchedulerSpec {
                profile: profile?,
                scores: only?.map_or(scores, |score| Some(vec![score]))?,
                gpu_choice: gpu_choice?,
                ties: ties?,
                cycle: cycle?,
                kube: kube?,
            })
        })
    }
}

/// Complains about keys that mean nothing under a profile, so that nobody believes they do.
fn of_other_profile(profile: Profile, record: &Record, context: &mut Context<'_>) {
    let (keys, of): (&[&str], &str) = match profile {
        Profile::Ideal => (&["kube"], "the `kube-` profiles"),
        Profile::Kube1_35 | Profile::Kube1_25 => (&["score", "scores", "ties"], "the profile `ideal`"),
    };
    for key in keys.iter().filter(|key| record.has(key)) {
        let message = format!("`{key}` belongs to {of} and would change nothing here");
        let problem = Problem::new("other-profile", &record.place(key), message);
        let problem = problem.help(match profile {
            Profile::Ideal => "leave it out, or choose a `kube-` profile",
            _ => "add `profile: ideal`, or leave it out: kube-scheduler has its own scores and ties",
        });
        context.complain(problem.warning());
    }
}

impl<'a> Lower<Context<'a>> for KubeSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("config");
            let config: Option<Option<String>> = r.optional("config", context);
            let config = config?.map(|path| context.path(&path, &at));
            let scheduler_name: Option<Option<String>> = r.optional("scheduler_name", context);
            let settings = r.take("settings", context);
            let cycle_time = r.take("cycle_time", context);
            let bind_failures = r.take("bind_failures", context);
            let api = r.optional("api", context);
            Some(KubeSpec {
                config: config.map_or(Some(None), |path| path.map(Some))?,
                scheduler_name: scheduler_name?,
                settings: settings?,
                cycle_time: cycle_time?,
                bind_failures: bind_failures?,
                api: api?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for ApiLimits {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let qps = r.take("qps", context);
            let burst = r.take("burst", context);
            Some(ApiLimits { qps: qps?, burst: burst? })
        })
    }
}

impl<'a> Lower<Context<'a>> for KubeSettings {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let percentage_of_nodes_to_score = r.take("percentage_of_nodes_to_score", context);
            let backoff_initial = r.take("backoff_initial", context);
            let backoff_max = r.take("backoff_max", context);
            let unschedulable_max = r.take("unschedulable_max", context);
            let filters: Option<Vec<Item>> = r.take("filters_off", context);
            let ignored_resources = r.take("ignored_resources", context);
            let ignored_groups = r.take("ignored_groups", context);
            let preemption = r.take("preemption", context);
            let candidates_percentage = r.take("candidates_percentage", context);
            let candidates_absolute = r.take("candidates_absolute", context);
            let weights = r.take("weights", context);
            let at = r.place("strategy");
            let strategy: Option<FitStrategy> = r.take("strategy", context);
            let resources: Option<Item> = r.take("resources", context);
            let balanced_resources = r.take("balanced_resources", context);
            if let Some(FitStrategy::Ratio(points)) = &strategy
                && !points.is_sorted_by(|one, next| one.0 < next.0)
            {
                let message = "the utilizations of these points do not ascend";
                context.complain(Problem::new("bad-value", &at, message));
                return None;
            }
            Some(KubeSettings {
                percentage_of_nodes_to_score: percentage_of_nodes_to_score?,
                backoff_initial: backoff_initial?,
                backoff_max: backoff_max?,
                unschedulable_max: unschedulable_max?,
                filters_off: filters?.into_iter().map(word).collect::<Option<_>>()?,
                ignored_resources: ignored_resources?,
                ignored_groups: ignored_groups?,
                preemption: preemption?,
                candidates_percentage: candidates_percentage?,
                candidates_absolute: candidates_absolute?,
                weights: weights?,
                strategy: strategy?,
                resources: integers(resources?)?,
                balanced_resources: balanced_resources?,
            })
        })
    }
}

/// The word of a choice without values.
fn word(item: Item) -> Option<String> {
    match item.value {
        Value::Choice(word, _) => Some(word.to_owned()),
        _ => None,
    }
}

fn integers(item: Item) -> Option<BTreeMap<String, u32>> {
    let Value::Map(entries) = item.value else { return None };
    entries
        .into_iter()
        .map(|(key, _, item)| match item.value {
            Value::Integer(number) => Some((key.to_string(), number as u32)),
            _ => None,
        })
        .collect()
}

impl<'a> Lower<Context<'a>> for Weights {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let fit = r.take("fit", context);
            let balanced = r.take("balanced", context);
            let taints = r.take("taints", context);
            let affinity = r.take("affinity", context);
            Some(Weights { fit: fit?, balanced: balanced?, taints: taints?, affinity: affinity? })
        })
    }
}

impl<'a> Lower<Context<'a>> for FitStrategy {
    fn lower(item: Item, _: &mut Context<'a>) -> Option<Self> {
        let point = |item: Item| {
            let Value::List(numbers) = item.value else { return None };
            let mut numbers = numbers.into_iter().map(|item| match item.value {
                Value::Integer(number) => Some(number as u8),
                _ => None,
            });
            numbers.next().flatten().zip(numbers.next().flatten())
        };
        match workload::chosen(item)? {
            ("ratio", Some(Item { value: Value::List(points), .. })) => {
                points.into_iter().map(point).collect::<Option<_>>().map(FitStrategy::Ratio)
            }
            ("ratio", _) => None,
            ("most-allocated", _) => Some(FitStrategy::MostAllocated),
            _ => Some(FitStrategy::LeastAllocated),
        }
    }
}

impl<'a> Lower<Context<'a>> for ScoreSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let Item { at, value } = item;
        match value {
            Value::Text(name) => score_name(name, &at, context).map(|name| ScoreSpec { name, weight: 1 }),
            value => record(Item { at, value }, |r| {
                let at = r.place("name");
                let name: Option<String> = r.take("name", context);
                let name = name.and_then(|name| score_name(name, &at, context));
                let weight = r.take("weight", context);
                Some(ScoreSpec { name: name?, weight: weight? })
            }),
        }
    }
}

fn score_name(name: String, at: &Range<usize>, context: &mut Context<'_>) -> Option<String> {
    let known = context.known.scores;
    if known.contains(&name.as_str()) {
        return Some(name);
    }
    let help = match nearest(&name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("known scores: {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "))
        }
    };
    context.complain(Problem::new("unknown-name", at, format!("no score `{name}` is known")).help(help));
    None
}

impl<'a> Lower<Context<'a>> for ReportSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let warm_up = r.take("warm_up", context);
            let until = r.take("until", context);
            let gpus_shown = r.take("gpus_shown", context);
            let replications = r.take("replications", context);
            let measured = r.take("measured", context);
            Some(ReportSpec {
                warm_up: warm_up?,
                until: until?,
                gpus_shown: gpus_shown?,
                replications: replications?,
                measured: measured?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for TimedStep {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let class = r.optional("class", context);
            let alone = r.take("alone", context);
            let step = r.take("step", context);
            let source = r.take("source", context);
            Some(TimedStep { class: class?, alone: alone?, step: step?, source: source? })
        })
    }
}

impl<'a> Lower<Context<'a>> for Until {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match workload::chosen(item)? {
            ("at", Some(span)) => Span::lower(span, context).map(Until::At),
            ("last-arrival", _) => Some(Until::LastArrival),
            _ => Some(Until::LastDeparture),
        }
    }
}
