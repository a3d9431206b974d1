//! The cluster: groups of nodes, lists of nodes, and what their GPUs are cut into.

use super::Context;
use super::workload::chosen;
use crate::cluster::spec::{
    Amounts, ClusterSpec, EventKind, EventSpec, Gpus, Mode, ModeSpec, Mps, NodeGroup, NodeList, RecutSpec,
    Taint,
};
use crate::diag::nearest;
use crate::gpu::{Layout, LayoutError};
use crate::yaml::{Item, Lower, Problem, Record, Value, record};
use std::collections::BTreeMap;
use std::ops::Range;

/// Pods on one GPU under MPS where the scenario does not say: CUDA up to 13.0 serves 48 clients.
const MPS_CLIENTS: u16 = 48;

/// What Kubernetes knows a taint to do.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

impl<'a> Lower<Context<'a>> for ClusterSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            let nodes: Option<Vec<NodeGroup>> = r.take("nodes", context);
            context.distinct("node group");
            let node_lists: Option<Vec<NodeList>> = r.take("node_lists", context);
            context.groups = match (&nodes, &node_lists) {
                (Some(nodes), Some(lists)) if lists.is_empty() => {
                    Some(nodes.iter().map(|group| (group.name.clone(), group.count)).collect())
                }
                _ => None,
            };
            let events: Option<Vec<EventSpec>> = r.take("events", context);
            let cluster = ClusterSpec { nodes: nodes?, node_lists: node_lists?, events: events? };
            if cluster.nodes.is_empty() && cluster.node_lists.is_empty() {
                let problem = Problem::new("no-nodes", &at, "the cluster has no nodes");
                context.complain(problem.help("add a group to `nodes` or a file to `node_lists`"));
            }
            Some(cluster)
        })
    }
}

/// Complains about names that are no node's and no group's. Nodes of lists are known once these are
/// read; where there are any, names are looked up then.
fn known_nodes(names: &[String], at: &Range<usize>, context: &mut Context<'_>) {
    let Some(groups) = context.groups.clone() else { return };
    let known = |name: &str| {
        groups.iter().any(|(group, count)| {
            let index = name.strip_prefix(&**group).and_then(|rest| rest.strip_prefix('-'));
            name == group || index.is_some_and(|i| i.parse::<u32>().is_ok_and(|i| i < *count))
        })
    };
    for name in names.iter().filter(|name| !known(name)) {
        let message = format!("`{name}` is no node and no group of nodes");
        let named: Vec<String> = groups.iter().flat_map(|(g, _)| [g.clone(), format!("{g}-0")]).collect();
        let problem = Problem::new("unknown-name", at, message);
        context.complain(match nearest(name, named.iter().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("nodes are called `{}`", named.join("`, `"))),
        });
    }
}

impl<'a> Lower<Context<'a>> for EventSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.take("at", context);
            let nodes_at = r.place("nodes");
            let nodes: Option<Vec<String>> = r.take("nodes", context);
            known_nodes(nodes.as_deref().unwrap_or_default(), &nodes_at, context);
            let change = r.take("do", context);
            Some(EventSpec { at: at?, nodes: nodes?, change: change? })
        })
    }
}

impl<'a> Lower<Context<'a>> for EventKind {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        Some(match chosen(item)? {
            ("join", None) => EventKind::Join,
            ("leave", None) => EventKind::Leave,
            ("cordon", None) => EventKind::Cordon,
            ("uncordon", None) => EventKind::Uncordon,
            ("drain", None) => EventKind::Drain,
            ("taint", Some(taint)) => EventKind::Taint(Taint::lower(taint, context)?),
            ("untaint", Some(taint)) => EventKind::Untaint(Taint::lower(taint, context)?),
            ("label", Some(labels)) => EventKind::Label(pairs(Pairs::lower(labels, context)?)),
            ("allocatable", Some(amounts)) => EventKind::Allocatable(record(amounts, |r| {
                let cpu = r.optional("cpu", context);
                let memory = r.optional("memory", context);
                let pods = r.optional("pods", context);
                Some(Amounts { cpu: cpu?, memory: memory?, pods: pods? })
            })?),
            ("recut", Some(recut)) => EventKind::Recut(record(recut, |r| {
                let layout = r.take("layout", context);
                let gpus = r.optional("gpus", context);
                let running = r.take("running", context);
                Some(RecutSpec { layout: layout?, gpus: gpus?, running: running? })
            })?),
            ("mode", Some(mode)) => EventKind::Mode(record(mode, |r| {
                let to: Option<PlacedMode> = r.take("to", context);
                let running = r.take("running", context);
                Some(ModeSpec { to: to?.mode, running: running? })
            })?),
            other => panic!("a form of its table, not {other:?}"),
        })
    }
}

/// A mode with the places of its MIG profiles.
struct PlacedMode {
    mode: Mode,
    profiles: Vec<Range<usize>>,
}

impl PlacedMode {
    /// Whether the mode depends on what the catalogue knows of a model: its slices, its memory.
    fn needs_catalogue(&self) -> bool {
        matches!(self.mode, Mode::Mig(_) | Mode::Mps(Mps::Memory { .. })) || self.mode.is_on_demand()
    }

    /// Looks a model up and whether it can be cut so.
    fn check(&self, model: &str, at: &Range<usize>, context: &mut Context<'_>) {
        let known = context.gpu_model(model, at, self.needs_catalogue());
        if let (true, Mode::Mig(profiles)) = (known, &self.mode) {
            self.check_layout(model, profiles, context);
        }
    }

    /// Complains about each profile that the model has not; if it has them all, about the first
    /// that has no room beside those before it.
    fn check_layout(&self, model: &str, profiles: &[String], context: &mut Context<'_>) {
        let product = context.catalogue().find(model).expect("asked only about models that are known");
        let wrong = |(profile, at): (&String, &Range<usize>)| {
            let error = Layout::place(product, std::slice::from_ref(profile)).err()?;
            Some(layout_problem(&error, at))
        };
        let mut problems: Vec<Problem> = profiles.iter().zip(&self.profiles).filter_map(wrong).collect();
        if problems.is_empty()
            && let Err(error) = Layout::place(product, profiles)
        {
            let fits = |upto: &usize| Layout::place(product, &profiles[..=*upto]).is_ok();
            let first = (0..profiles.len() - 1).take_while(fits).count();
            problems.push(layout_problem(&error, &self.profiles[first]));
        }
        problems.into_iter().for_each(|problem| context.complain(problem));
    }
}

fn layout_problem(error: &LayoutError, at: &Range<usize>) -> Problem {
    let problem = Problem::new("bad-layout", at, error.to_string());
    match error.help() {
        Some(help) => problem.help(help),
        None => problem,
    }
}

impl<'a> Lower<Context<'a>> for PlacedMode {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let mode = match chosen(item)? {
            ("whole", _) => Mode::Whole,
            ("fraction", _) => Mode::Fraction,
            ("mig", Some(layout)) => return self::layout(layout),
            ("mig", None) => Mode::MigOnDemand,
            ("mps", Some(mps)) => Mode::Mps(Mps::lower(mps, context)?),
            ("mps", None) => Mode::Mps(Mps::Memory { clients: MPS_CLIENTS }),
            ("time-slicing", Some(value)) => {
                record(value, |r| Some(Mode::TimeSlicing { replicas: r.take("replicas", context)? }))?
            }
            other => panic!("a form of its table, not {other:?}"),
        };
        Some(PlacedMode { mode, profiles: Vec::new() })
    }
}

/// A MIG layout, listed or counted.
fn layout(item: Item) -> Option<PlacedMode> {
    let at = item.at;
    let placed: Vec<Option<(String, Range<usize>, usize)>> = match item.value {
        Value::List(items) => items
            .into_iter()
            .map(|item| match item.value {
                Value::Text(profile) => Some((profile, item.at, 1)),
                _ => None,
            })
            .collect(),
        Value::Map(entries) => entries
            .into_iter()
            .map(|(profile, at, count)| match count.value {
                Value::Integer(count) => Some((profile.to_string(), at, usize::try_from(count).ok()?)),
                _ => None,
            })
            .collect(),
        other => panic!("a layout by its table, not {other:?} at {at:?}"),
    };
    let placed: Vec<_> = placed.into_iter().collect::<Option<_>>()?;
    let each = || placed.iter().flat_map(|(profile, at, count)| std::iter::repeat_n((profile, at), *count));
    Some(PlacedMode {
        mode: Mode::Mig(each().map(|(profile, _)| profile.clone()).collect()),
        profiles: each().map(|(_, at)| at.clone()).collect(),
    })
}

impl<'a> Lower<Context<'a>> for Mps {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("on-demand", None) => Some(Mps::OnDemand { clients: MPS_CLIENTS }),
            ("on-demand", Some(value)) => {
                record(value, |r| Some(Mps::OnDemand { clients: r.take("clients", context)? }))
            }
            ("memory", None) => Some(Mps::Memory { clients: MPS_CLIENTS }),
            ("memory", Some(value)) => {
                record(value, |r| Some(Mps::Memory { clients: r.take("clients", context)? }))
            }
            ("replicas", Some(replicas)) => u16::lower(replicas, context).map(Mps::Replicas),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for NodeGroup {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let name = context.name(r);
            let count = r.take("count", context);
            let cpu = r.take("cpu", context);
            let memory = r.take("memory", context);
            let pods = r.take("pods", context);
            let (gpus, mode) = gpus_and_mode(r, context);
            let labels = r.take("labels", context);
            let taints = r.take("taints", context);
            let price_per_hour = r.optional("price_per_hour", context);
            Some(NodeGroup {
                name: name?,
                count: count?,
                cpu: cpu?,
                memory: memory?,
                pods: pods?,
                gpus: gpus?,
                mode: mode?,
                labels: pairs(labels?),
                taints: taints?,
                price_per_hour: price_per_hour?,
            })
        })
    }
}

/// The GPUs of a group and their mode, which are checked against each other.
fn gpus_and_mode(record: &mut Record, context: &mut Context<'_>) -> (Option<Option<Gpus>>, Option<Mode>) {
    let (has_gpus, mode_at) = (record.has("gpus"), record.place("mode"));
    let gpus: Option<Option<PlacedGpus>> = record.optional("gpus", context);
    let mode: Option<PlacedMode> = record.take("mode", context);
    if let (Some(Some(gpus)), Some(mode)) = (&gpus, &mode) {
        mode.check(&gpus.gpus.model, &gpus.model_at, context);
    }
    if let Some(mode) = &mode
        && mode.mode != Mode::Whole
        && !has_gpus
    {
        let problem = Problem::new("missing-key", &mode_at, "nodes without `gpus` have nothing to share");
        context.complain(problem.help("add `gpus: {model: …, count: …}`, or leave `mode` out"));
    }
    (gpus.map(|g| g.map(|g| g.gpus)), mode.map(|m| m.mode))
}

/// GPUs with the place of their model.
struct PlacedGpus {
    gpus: Gpus,
    model_at: Range<usize>,
}

impl<'a> Lower<Context<'a>> for PlacedGpus {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let model_at = r.place("model");
            let model = r.take("model", context);
            let count = r.take("count", context);
            Some(PlacedGpus { gpus: Gpus { model: model?, count: count? }, model_at })
        })
    }
}

impl<'a> Lower<Context<'a>> for NodeList {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let file = context.file(r);
            let mode: Option<PlacedMode> = r.take("mode", context);
            let models: Option<Item> = r.take("models", context);
            let pods = r.take("pods", context);
            let models = placed_pairs(models?)?;
            if let Some(mode) = &mode {
                models.iter().for_each(|(_, product, at)| mode.check(product, at, context));
            }
            Some(NodeList {
                file: file?,
                mode: mode?.mode,
                models: models.into_iter().map(|(name, product, _)| (name, product)).collect(),
                pods: pods?,
            })
        })
    }
}

/// Entries of a mapping of texts with the places of their values.
fn placed_pairs(item: Item) -> Option<Vec<(String, String, Range<usize>)>> {
    let Value::Map(entries) = item.value else { panic!("a mapping by its table") };
    entries
        .into_iter()
        .map(|(key, _, item)| match item.value {
            Value::Text(text) => Some((key.to_string(), text, item.at)),
            _ => None,
        })
        .collect()
}

/// A mapping of texts.
struct Pairs(Vec<(String, String)>);

impl<'a> Lower<Context<'a>> for Pairs {
    fn lower(item: Item, _: &mut Context<'a>) -> Option<Self> {
        match item.value {
            Value::Bad => None,
            _ => Some(Pairs(placed_pairs(item)?.into_iter().map(|(k, v, _)| (k, v)).collect())),
        }
    }
}

fn pairs(pairs: Pairs) -> BTreeMap<String, String> {
    pairs.0.into_iter().collect()
}

impl<'a> Lower<Context<'a>> for Taint {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        let text = String::lower(item, context)?;
        let problem = match taint(&text) {
            Ok(taint) => return Some(taint),
            Err(None) => Problem::new("bad-value", &at, format!("`{text}` is not a taint"))
                .help("write `key=value:NoSchedule` or `key:NoSchedule`"),
            Err(Some(effect)) => {
                let problem = Problem::new("unknown-name", &at, format!("a taint has no effect `{effect}`"));
                match nearest(&effect, EFFECTS) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help(format!("effects are `{}`", EFFECTS.join("`, `"))),
                }
            }
        };
        context.complain(problem);
        None
    }
}

/// Reads `key=value:effect` or `key:effect`; fails with the effect if that is what is wrong.
fn taint(text: &str) -> Result<Taint, Option<String>> {
    let (front, effect) = text.rsplit_once(':').ok_or(None)?;
    let (key, value) = front.split_once('=').unwrap_or((front, ""));
    let odd = |part: &str| part.contains([':', '=']) || part.contains(char::is_whitespace);
    if key.is_empty() || odd(key) || odd(value) {
        return Err(None);
    }
    if !EFFECTS.contains(&effect) {
        return Err(Some(effect.to_owned()));
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}
