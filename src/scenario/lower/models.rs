//! From the keys of the models to their parameters.

use super::workload::{chosen, sha256};
use super::{Context, words};
use crate::diag::nearest;
use crate::perf::assign::{As, Assign, GpuKind, Which};
use crate::perf::failures::{Checkpoint, Failures, GpuFaults, Life, NodeFaults, RepairLaw, Retries};
use crate::perf::recut::{Call, Manager, Path, Recut};
use crate::perf::service::{Arrivals, Cost, RequestTrace, Service, Target, Tokens};
use crate::perf::{Behavior, FaultDomain, Mig, Mps, PairMode, PairRow, Threads, TimeSlicing};
use crate::scenario::resolved::ModelsSpec;
use crate::units::{Mib, Span};
use crate::workload::policy::Of;
use crate::yaml::{Item, Lower, Problem, Record, Value, record};
use std::collections::BTreeMap;
use std::ops::Range;

words! {
    Threads {
        "plugin" => Threads::Plugin,
        "unlimited" => Threads::Unlimited,
        "proportional" => Threads::Proportional,
    }
    FaultDomain { "gpu" => FaultDomain::Gpu, "process" => FaultDomain::Process }
    PairMode { "mps" => PairMode::Mps, "time-slicing" => PairMode::TimeSlicing }
    Path { "agent" => Path::Agent, "mig-manager" => Path::MigManager, "instant" => Path::AtOnce }
    GpuKind {
        "none" => GpuKind::None,
        "share" => GpuKind::Share,
        "slice" => GpuKind::Slice,
        "whole" => GpuKind::Whole,
    }
    RepairLaw { "exponential" => RepairLaw::Exponential, "constant" => RepairLaw::Constant }
}

impl<'a> Lower<Context<'a>> for ModelsSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let sharing = r.take("sharing", context);
            let life: Option<Item> = r.take("life", context);
            let life = life.and_then(|item| life_of(item, context));
            // Whatever is wrong with it, the classes are looked at.
            let base = life.unwrap_or(Life::DEFAULT);
            let default: Option<Item> = r.take("default", context);
            let default = default.and_then(|item| behavior(item, base, context));
            let classes: Option<Item> = r.take("classes", context);
            let classes = classes.and_then(|item| behaviors(item, base, context));
            let further: Option<Item> = r.take("behaviors", context);
            let further = further.and_then(|item| behaviors(item, base, context));
            let rules: Option<Item> = r.take("assign", context);
            // Without the names that rules go by there is no judging them.
            let assigned = match (&classes, further, rules) {
                (Some(classes), Some(mut further), Some(rules)) => {
                    assigns(rules, classes, &mut further, base, context).map(|rules| (further, rules))
                }
                _ => None,
            };
            let mig = r.take("mig", context);
            let mps = r.take("mps", context);
            let time_slicing = r.take("time_slicing", context);
            let pairs = r.take("pairs", context);
            let failures = r.optional("failures", context);
            let recut = r.take("recut", context);
            let services: Option<Item> = r.take("services", context);
            let services = services.and_then(|item| by_class(item, context));
            life?;
            let (behaviors, assign) = assigned?;
            Some(ModelsSpec {
                sharing: sharing?,
                default: default?,
                classes: classes?,
                behaviors,
                assign,
                mig: mig?,
                mps: mps?,
                time_slicing: time_slicing?,
                pairs: pairs?,
                failures: failures?,
                recut: recut?,
                services: services?,
            })
        })
    }
}

fn behaviors(item: Item, life: Life, context: &mut Context<'_>) -> Option<BTreeMap<String, Behavior>> {
    let Value::Map(entries) = item.value else { return None };
    // All are looked at, so that all that is wrong is said.
    let made: Vec<Option<(String, Behavior)>> = entries
        .into_iter()
        .map(|(key, _, item)| Some((key.to_string(), behavior(item, life, context)?)))
        .collect();
    made.into_iter().collect()
}

/// Rules, and in `further` every behavior that they name: those of classes and built-in ones join it.
fn assigns(
    item: Item,
    classes: &BTreeMap<String, Behavior>,
    further: &mut BTreeMap<String, Behavior>,
    life: Life,
    context: &mut Context<'_>,
) -> Option<Vec<Assign>> {
    let Value::List(items) = item.value else { return None };
    let rules: Vec<Option<Assign>> = items
        .into_iter()
        .map(|item| {
            record(item, |r| {
                let of = r.take("of", context);
                let to: Option<Item> = r.take("as", context);
                let names = to.and_then(|item| names_of(item, context));
                let (to, names) = names?;
                let mut known = true;
                for (name, at) in names {
                    let built_in = || Some(Behavior { life, ..built_in(&name)? });
                    let found = further.get(&name).or_else(|| classes.get(&name)).cloned().or_else(built_in);
                    match found {
                        Some(behavior) => _ = further.insert(name, behavior),
                        None => {
                            unknown_behavior(&name, &at, further.keys().chain(classes.keys()), context);
                            known = false;
                        }
                    }
                }
                Some(Assign { of: of?, to: known.then_some(to)? })
            })
        })
        .collect();
    rules.into_iter().collect()
}

fn unknown_behavior<'n>(
    name: &str,
    at: &Range<usize>,
    own: impl Iterator<Item = &'n String>,
    context: &mut Context<'_>,
) {
    let known: Vec<&str> =
        own.map(String::as_str).chain(Behavior::NAMED.iter().map(|(name, _)| *name)).collect();
    let problem = Problem::new("unknown-name", at, format!("no behavior is called `{name}`"));
    context.complain(problem.help(match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are `{}`; `models.behaviors` adds more", known.join("`, `")),
    }));
}

/// What a rule gives, and the names in it with their places.
type Given = (As, Vec<(String, Range<usize>)>);

fn names_of(item: Item, context: &mut Context<'_>) -> Option<Given> {
    let Item { at, value } = item;
    if let Value::Text(name) = value {
        return Some((As::One(name.clone()), vec![(name, at)]));
    }
    record(Item { at: at.clone(), value }, |r| {
        let mix: Option<Item> = r.take("mix", context);
        let Value::Map(entries) = mix?.value else { return None };
        if entries.is_empty() {
            let problem = Problem::new("bad-value", &at, "a mix of nothing");
            context
                .complain(problem.help("write weights by name, such as `{mix: {light: 0.4, medium: 0.6}}`"));
            return None;
        }
        let names: Vec<(String, Range<usize>)> =
            entries.iter().map(|(name, at, _)| (name.to_string(), at.clone())).collect();
        let weights: Vec<Option<(String, f64)>> = entries
            .into_iter()
            .map(|(name, _, item)| Some((name.to_string(), f64::lower(item, context)?)))
            .collect();
        let mix = weights.into_iter().collect::<Option<_>>()?;
        Some((As::Mix { mix }, names))
    })
}

impl<'a> Lower<Context<'a>> for Which {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let namespaces = r.take("namespaces", context);
            let classes = r.take("classes", context);
            let gpus = r.optional("gpus", context);
            let longer_than = r.optional("longer_than", context);
            let shorter_than = r.optional("shorter_than", context);
            let gpu_memory_at_least = r.optional("gpu_memory_at_least", context);
            let gpu_memory_below = r.optional("gpu_memory_below", context);
            Some(Which {
                of: Of { namespaces: namespaces?, classes: classes? },
                gpus: gpus?,
                longer_than: longer_than?,
                shorter_than: shorter_than?,
                gpu_memory_at_least: gpu_memory_at_least?,
                gpu_memory_below: gpu_memory_below?,
            })
        })
    }
}

fn built_in(word: &str) -> Option<Behavior> {
    Behavior::NAMED.into_iter().find(|(name, _)| *name == word).map(|(_, behavior)| behavior)
}

fn named(word: &str) -> Behavior {
    built_in(word).expect("the table has the model's names")
}

/// A behavior by name or by numbers, whose pods live by `life` where it does not say otherwise.
fn behavior(item: Item, life: Life, context: &mut Context<'_>) -> Option<Behavior> {
    if let Value::Choice(word, _) = item.value {
        return Some(Behavior { life, ..named(word) });
    }
    let at = item.at.clone();
    record(item, |r| {
        let like: Option<Option<Item>> = r.optional("like", context);
        let like = like?.and_then(|item| match item.value {
            Value::Choice(word, _) => Some(named(word)),
            _ => None,
        });
        let host: Option<Option<f64>> = r.optional("host", context);
        let fill: Option<Option<f64>> = r.optional("fill", context);
        let demand = r.optional("demand", context);
        let speeds: Option<Item> = r.take("speeds", context);
        let speeds = speeds.and_then(|item| speeds_of(item, context));
        let life = partial_life(r, life, context);
        let numbers = match (host?, fill?, like) {
            (Some(host), Some(fill), _) => (host, fill),
            (host, fill, Some(like)) => (host.unwrap_or(like.host), fill.unwrap_or(like.fill)),
            _ => {
                let message = "a behavior needs `host` and `fill`, or `like`";
                let problem = Problem::new("missing-key", &at, message.to_owned());
                context.complain(problem.help("`{host: 0.45, fill: 0.9}`, or `{like: medium}`"));
                return None;
            }
        };
        Some(Behavior { host: numbers.0, fill: numbers.1, demand: demand?, speeds: speeds?, life: life? })
    })
}

/// Speeds by compute slices, `1` or `1g`.
fn speeds_of(item: Item, context: &mut Context<'_>) -> Option<BTreeMap<u8, f64>> {
    let Value::Map(entries) = item.value else { return None };
    let mut speeds = BTreeMap::new();
    let mut good = true;
    for (key, at, item) in entries {
        let slices = key.strip_suffix('g').unwrap_or(&key).parse::<u8>();
        match (slices, f64::lower(item, context)) {
            (Ok(slices @ 1..=64), Some(speed)) => _ = speeds.insert(slices, speed),
            (Ok(1..=64), None) => good = false,
            _ => {
                let message = format!("`{key}` is no number of compute slices");
                let problem = Problem::new("bad-value", &at, message);
                context.complain(problem.help("write `1`, or `1g`"));
                good = false;
            }
        }
    }
    good.then_some(speeds)
}

fn life_of(item: Item, context: &mut Context<'_>) -> Option<Life> {
    record(item, |r| partial_life(r, Life::DEFAULT, context))
}

/// The keys of a life that are written, the others from `base`.
fn partial_life(r: &mut Record, base: Life, context: &mut Context<'_>) -> Option<Life> {
    let memory: Option<Option<Mib>> = r.optional("memory", context);
    let start_up: Option<Option<Span>> = r.optional("start_up", context);
    let checkpoint: Option<Option<Item>> = r.optional("checkpoint", context);
    let checkpoint = checkpoint.map(|item| item.map(|item| checkpoint_of(item, context)));
    let resume: Option<Option<Span>> = r.optional("resume", context);
    let saves: Option<Option<bool>> = r.optional("saves_on_eviction", context);
    let crashes: Option<Option<f64>> = r.optional("crashes_per_hour", context);
    let fatal: Option<Option<f64>> = r.optional("fatal", context);
    let retries: Option<Option<Retries>> = r.optional("retries", context);
    Some(Life {
        memory: memory?.or(base.memory),
        start_up: start_up?.unwrap_or(base.start_up),
        checkpoint: match checkpoint? {
            None => base.checkpoint,
            Some(made) => made?,
        },
        resume: resume?.unwrap_or(base.resume),
        saves_on_eviction: saves?.unwrap_or(base.saves_on_eviction),
        crashes_per_hour: crashes?.unwrap_or(base.crashes_per_hour),
        fatal: fatal?.unwrap_or(base.fatal),
        retries: retries?.unwrap_or(base.retries),
    })
}

impl<'a> Lower<Context<'a>> for Retries {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match item.value {
            Value::Choice(..) => Some(Retries::Unlimited),
            _ => u32::lower(item, context).map(Retries::Limit),
        }
    }
}

fn checkpoint_of(item: Item, context: &mut Context<'_>) -> Option<Option<Checkpoint>> {
    if let Value::Choice(..) = item.value {
        return Some(None);
    }
    record(item, |r| {
        let every = r.take("every", context);
        let cost = r.take("cost", context);
        Some(Some(Checkpoint { every: every?, cost: cost? }))
    })
}

impl<'a> Lower<Context<'a>> for Mig {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let kappa = r.take("kappa", context);
            let full = r.take("full", context);
            let residual = r.take("residual", context);
            Some(Mig { kappa: kappa?, full: full?, residual: residual? })
        })
    }
}

impl<'a> Lower<Context<'a>> for Mps {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let alpha = r.take("alpha", context);
            let capacity = r.take("capacity", context);
            let threads = r.take("threads", context);
            let residual = r.take("residual", context);
            Some(Mps { alpha: alpha?, capacity: capacity?, threads: threads?, residual: residual? })
        })
    }
}

impl<'a> Lower<Context<'a>> for TimeSlicing {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let loss = r.take("loss", context);
            let slice = r.take("slice", context);
            let memory = r.take("context", context);
            let within = r.take("out_of_memory_within", context);
            let fault_domain = r.take("fault_domain", context);
            let residual = r.take("residual", context);
            Some(TimeSlicing {
                loss: loss?,
                slice: slice?,
                context: memory?,
                out_of_memory_within: within?,
                fault_domain: fault_domain?,
                residual: residual?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for PairRow {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let mode = r.take("mode", context);
            let class = r.take("class", context);
            let beside = r.take("beside", context);
            let slowdown = r.take("slowdown", context);
            Some(PairRow { mode: mode?, class: class?, beside: beside?, slowdown: slowdown? })
        })
    }
}

impl<'a> Lower<Context<'a>> for Failures {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let gpu = r.take("gpu", context);
            let node = r.take("node", context);
            let law = r.take("law", context);
            let crews = r.optional("crews", context);
            let mps_restart = r.take("mps_restart", context);
            Some(Failures { gpu: gpu?, node: node?, law: law?, crews: crews?, mps_restart: mps_restart? })
        })
    }
}

impl<'a> Lower<Context<'a>> for Recut {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let path = r.take("path", context);
            let create = r.take("create", context);
            let destroy = r.take("destroy", context);
            let compute_instance = r.take("compute_instance", context);
            let retry = r.take("retry", context);
            let plugin = r.take("plugin", context);
            let mps_server = r.take("mps_server", context);
            let manager = r.take("manager", context);
            let reset = r.take("reset", context);
            Some(Recut {
                path: path?,
                create: create?,
                destroy: destroy?,
                compute_instance: compute_instance?,
                retry: retry?,
                plugin: plugin?,
                mps_server: mps_server?,
                manager: manager?,
                reset: reset?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Call {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let call = r.take("call", context);
            let each = r.take("each", context);
            Some(Call { call: call?, each: each? })
        })
    }
}

impl<'a> Lower<Context<'a>> for Manager {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let median: Option<Span> = r.take("median", context);
            let at = r.place("p95");
            let p95: Option<Span> = r.take("p95", context);
            let (median, p95) = (median?, p95?);
            if p95 < median {
                let message = "the 95th percentile is below the median".to_owned();
                let problem = Problem::new("out-of-range", &at, message);
                context.complain(problem.help(format!("write {median}, or more")));
                return None;
            }
            Some(Manager { median, p95 })
        })
    }
}

impl<'a> Lower<Context<'a>> for GpuFaults {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let per_day = r.take("per_day", context);
            let swapped = r.take("swapped", context);
            let swap = r.take("swap", context);
            let reset = r.take("reset", context);
            Some(GpuFaults { per_day: per_day?, swapped: swapped?, swap: swap?, reset: reset? })
        })
    }
}

impl<'a> Lower<Context<'a>> for NodeFaults {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let per_day = r.take("per_day", context);
            let repair = r.take("repair", context);
            let evicted_after = r.take("evicted_after", context);
            Some(NodeFaults { per_day: per_day?, repair: repair?, evicted_after: evicted_after? })
        })
    }
}

fn by_class(item: Item, context: &mut Context<'_>) -> Option<BTreeMap<String, Service>> {
    let Value::Map(entries) = item.value else { return None };
    let made: Vec<Option<(String, Service)>> = entries
        .into_iter()
        .map(|(key, _, item)| Some((key.to_string(), Service::lower(item, context)?)))
        .collect();
    made.into_iter().collect()
}

impl<'a> Lower<Context<'a>> for Service {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            let tokens_at = r.place("tokens");
            let request = r.optional("request", context);
            let tokens: Option<Option<Tokens>> = r.optional("tokens", context);
            let arrivals: Option<Arrivals> = r.take("arrivals", context);
            let concurrency = r.take("concurrency", context);
            let target = r.optional("target", context);
            let cost = match (request?, tokens?) {
                (Some(law), None) => Cost::Law(law),
                (None, Some(tokens)) => Cost::Tokens(tokens),
                (request, _) => {
                    let problem = match request {
                        Some(_) => Problem::new(
                            "bad-value",
                            &at,
                            "`request` and `tokens` both say what a request costs",
                        ),
                        None => Problem::new("missing-key", &at, "nothing says what a request costs"),
                    };
                    let help =
                        "give `request: {exponential: {mean: 50ms}}`, or `tokens: {like: 7g.40gb-14b}`";
                    context.complain(problem.help(help));
                    return None;
                }
            };
            let arrivals = arrivals?;
            if let (Cost::Tokens(Tokens { prompt, output, .. }), Arrivals::Poisson { .. }) =
                (&cost, &arrivals)
                && (prompt.is_none() || output.is_none())
            {
                let problem =
                    Problem::new("missing-key", &tokens_at, "nothing says how many tokens a request has");
                context.complain(problem.help("give `prompt` and `output`, or take the arrivals of a trace"));
                return None;
            }
            Some(Service { cost, arrivals, concurrency: concurrency?, target: target? })
        })
    }
}

fn measured(word: &str) -> Tokens {
    let named = Tokens::NAMED.into_iter().find(|(name, _)| *name == word);
    named.expect("the table has the model's names").1
}

impl<'a> Lower<Context<'a>> for Tokens {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        if let Value::Choice(word, _) = item.value {
            return Some(measured(word));
        }
        let at = item.at.clone();
        record(item, |r| {
            let like: Option<Option<Item>> = r.optional("like", context);
            let like = like?.and_then(chosen).map(|(word, _)| measured(word));
            let own = ["prefill", "per_prompt_token", "per_token", "per_request"]
                .map(|key| r.optional::<Span, _>(key, context));
            let slices: Option<Option<u32>> = r.optional("slices", context);
            let prompt = r.optional("prompt", context);
            let output = r.optional("output", context);
            let [prefill, per_prompt_token, per_token, per_request] = own;
            let own = [prefill?, per_prompt_token?, per_token?, per_request?];
            let theirs = like.map(|t| [t.prefill, t.per_prompt_token, t.per_token, t.per_request]);
            let of = |i: usize| own[i].or(theirs.map(|theirs| theirs[i]));
            let (Some(prefill), Some(per_prompt_token), Some(per_token), Some(per_request)) =
                (of(0), of(1), of(2), of(3))
            else {
                let message = "costs of tokens need `prefill`, `per_prompt_token`, `per_token` and `per_request`, or `like`";
                context.complain(Problem::new("missing-key", &at, message).help("`{like: 7g.40gb-14b}`"));
                return None;
            };
            Some(Tokens {
                prefill,
                per_prompt_token,
                per_token,
                per_request,
                slices: slices?.or(like.and_then(|like| like.slices)),
                prompt: prompt?,
                output: output?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Arrivals {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let (word, value) = chosen(item)?;
        let value = value.expect("every stream has parameters");
        match word {
            "poisson" => {
                record(value, |r| Some(Arrivals::Poisson { per_second: r.take("per_second", context)? }))
            }
            "trace" => Some(Arrivals::Trace(RequestTrace::lower(value, context)?)),
            other => panic!("a stream of its table, not `{other}`"),
        }
    }
}

impl<'a> Lower<Context<'a>> for RequestTrace {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let file = context.file(r);
            let arrival = r.take("arrival", context);
            let prompt = r.take("prompt", context);
            let output = r.take("output", context);
            let speed = r.take("speed", context);
            let sha256 = sha256(r, context);
            Some(RequestTrace {
                file: file?,
                arrival: arrival?,
                prompt: prompt?,
                output: output?,
                speed: speed?,
                sha256: sha256?,
                requests: None,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Target {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let quantile = r.take("quantile", context);
            let within = r.take("within", context);
            Some(Target { quantile: quantile?, within: within? })
        })
    }
}
