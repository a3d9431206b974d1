//! The workload: traces, laws, and what is done to them.

use super::{Context, words};
use crate::scenario::resolved::WorkloadSpec;
use crate::trace::spec::{
    Arrivals, Assume, BadRows, Changes, ClassSpec, Columns, Draw, Format, Generate, GpuSpec, Law, ProfileMix,
    Source, Window,
};
use crate::units::Span;
use crate::workload::policy::{
    Allows, Amount, BUDGETS_MAX, DisruptionBudget, Of, PriorityClass, SchedulingGate,
};
use crate::workload::request::{Rule, Sharing, Translation};
use crate::yaml::{Item, Lower, Problem, Record, Value, record};
use std::ops::Range;

words! {
    BadRows { "refuse" => BadRows::Refuse, "skip" => BadRows::Skip }
    Sharing {
        "whole" => Sharing::Whole,
        "mig" => Sharing::Mig,
        "mps" => Sharing::Mps,
        "mps-replicas" => Sharing::MpsReplicas,
        "time-slicing" => Sharing::TimeSlicing,
        "fraction" => Sharing::Fraction,
    }
    Rule {
        "ceil-compute" => Rule::CeilCompute,
        "ceil-both" => Rule::CeilBoth,
        "nearest" => Rule::Nearest,
        "refresh-16gb-a100-40gb" => Rule::Refresh16gbA100,
        "refresh-16gb-h100-80gb" => Rule::Refresh16gbH100,
    }
}

/// An alternative of a choice and its value, if it has one. `None` if it is bad.
pub(super) fn chosen(item: Item) -> Option<(&'static str, Option<Item>)> {
    match item.value {
        Value::Choice(word, value) => Some((word, value.map(|v| *v))),
        Value::Bad => None,
        other => panic!("a choice by its table, not {other:?}"),
    }
}

/// A day, for times of day.
const DAY: Span = Span::from_secs(86_400);

impl<'a> Lower<Context<'a>> for WorkloadSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            if !["traces", "trace", "generate"].iter().any(|key| r.has(key)) {
                let message = "the workload has neither traces nor generated pods";
                let help = "add `trace: FILE`, `traces: [...]` or `generate: {...}`";
                context.complain(Problem::new("no-pods", &at, message).help(help));
            }
            let traces: Option<Option<Vec<Source>>> = r.optional("traces", context);
            let trace: Option<Option<Source>> = r.optional("trace", context);
            let generate = r.optional("generate", context);
            let changes = r.take("changes", context);
            let translation = r.optional("translation", context);
            let patience = r.optional("patience", context);
            let queue_limit = r.optional("queue_limit", context);
            let priority_classes = r.take("priority_classes", context);
            context.distinct("priority class");
            let disruption_budgets: Option<Vec<DisruptionBudget>> = r.take("disruption_budgets", context);
            context.distinct("disruption budget");
            if let Some(extra) = disruption_budgets.as_ref().and_then(|b| b.get(BUDGETS_MAX)) {
                let message =
                    format!("`{}` is one budget too many: a run has up to {BUDGETS_MAX}", extra.name);
                context.complain(Problem::new("bad-value", &r.place("disruption_budgets"), message));
            }
            let scheduling_gates = r.take("scheduling_gates", context);
            context.distinct("scheduling gate");
            let grace = r.take("grace", context);
            let evicted = r.take("evicted", context);
            let (traces, trace) = (traces?, trace?);
            Some(WorkloadSpec {
                traces: traces.unwrap_or_else(|| trace.into_iter().collect()),
                generate: generate?,
                changes: changes?,
                translation: translation?,
                patience: patience?,
                queue_limit: queue_limit?,
                priority_classes: priority_classes?,
                disruption_budgets: disruption_budgets?,
                scheduling_gates: scheduling_gates?,
                grace: grace?,
                evicted: evicted?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Of {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let namespaces = r.take("namespaces", context);
            let classes = r.take("classes", context);
            Some(Of { namespaces: namespaces?, classes: classes? })
        })
    }
}

impl<'a> Lower<Context<'a>> for PriorityClass {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let name = context.name(r);
            let value = r.take("value", context);
            let never_preempts = r.take("never_preempts", context);
            let of = r.optional("of", context);
            Some(PriorityClass { name: name?, value: value?, never_preempts: never_preempts?, of: of? })
        })
    }
}

impl<'a> Lower<Context<'a>> for SchedulingGate {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("name");
            let name = context.name(r);
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
            if name.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(good)) {
                let message = "a scheduling gate's name has letters, digits, `.`, `-`, `_` and a `/`";
                let help = "write it as in the pods, such as `example.com/quota`";
                context.complain(Problem::new("bad-value", &at, message).help(help));
            }
            let of = r.take("of", context);
            let lifted = r.take("lifted", context);
            Some(SchedulingGate { name: name?, of: of?, lifted: lifted? })
        })
    }
}

impl<'a> Lower<Context<'a>> for DisruptionBudget {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            let name = context.name(r);
            let of = r.take("of", context);
            let mut allows = Vec::new();
            for (key, make) in [
                ("min_available", Allows::MinAvailable as fn(Amount) -> Allows),
                ("max_unavailable", Allows::MaxUnavailable),
            ] {
                if let Some(amount) = r.optional::<Amount, _>(key, context)? {
                    allows.push(make(amount));
                }
            }
            if allows.len() != 1 {
                let message = "a disruption budget has either `min_available` or `max_unavailable`";
                context.complain(Problem::new("bad-value", &at, message));
                return None;
            }
            Some(DisruptionBudget { name: name?, of: of?, allows: allows[0] })
        })
    }
}

impl<'a> Lower<Context<'a>> for Amount {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        let text = String::lower(item, context)?;
        let number = |text: &str| text.parse::<u32>().ok();
        let amount = match text.strip_suffix('%') {
            Some(percent) => number(percent).filter(|percent| *percent <= 100).map(Amount::Percent),
            None => number(&text).map(Amount::Pods),
        };
        if amount.is_none() {
            let problem = Problem::new("bad-value", &at, format!("`{text}` is no number of pods"));
            context.complain(problem.help("write a whole number, or a share such as `50%`"));
        }
        amount
    }
}

impl<'a> Lower<Context<'a>> for Source {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let Item { at, value } = item;
        match value {
            Value::Text(path) => Some(Source {
                file: context.path(&path, &at)?,
                format: Format::Native,
                bad_rows: BadRows::default(),
                class: None,
                namespace: None,
                assume: Assume::default(),
                sha256: None,
            }),
            value => record(Item { at, value }, |r| {
                let file = context.file(r);
                let format = r.take("format", context);
                let bad_rows = r.take("bad_rows", context);
                let class = r.optional("class", context);
                let namespace = r.optional("namespace", context);
                let assume = r.take("assume", context);
                let sha256 = sha256(r, context);
                Some(Source {
                    file: file?,
                    format: format?,
                    bad_rows: bad_rows?,
                    class: class?,
                    namespace: namespace?,
                    assume: assume?,
                    sha256: sha256?,
                })
            }),
        }
    }
}

pub(super) fn sha256(record: &mut Record, context: &mut Context<'_>) -> Option<Option<String>> {
    let at = record.place("sha256");
    let Some(text): Option<String> = record.optional("sha256", context)? else { return Some(None) };
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(Some(text.to_lowercase()));
    }
    let problem = Problem::new("bad-value", &at, "a SHA-256 is 64 hexadecimal digits");
    context.complain(problem.help("`sha256sum FILE` prints it"));
    None
}

impl<'a> Lower<Context<'a>> for Assume {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let cpu_per_gpu = r.take("cpu_per_gpu", context);
            let memory_per_gpu = r.take("memory_per_gpu", context);
            let gpus_per_node = r.take("gpus_per_node", context);
            Some(Assume {
                cpu_per_gpu: cpu_per_gpu?,
                memory_per_gpu: memory_per_gpu?,
                gpus_per_node: gpus_per_node?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Format {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("native", _) => Some(Format::Native),
            ("openb", _) => Some(Format::Openb),
            ("elasticflow", _) => Some(Format::Elasticflow),
            ("jobs", Some(columns)) => Columns::lower(columns, context).map(Format::Jobs),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for Columns {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            run_time(r, &at, context);
            let name = r.optional("name", context);
            let arrival = r.take("arrival", context);
            let duration = r.optional("duration", context);
            let start = r.optional("start", context);
            let end = r.optional("end", context);
            let gpus = r.optional("gpus", context);
            let cpus = r.optional("cpus", context);
            let memory_gib = r.optional("memory_gib", context);
            let class = r.optional("class", context);
            let namespace = r.optional("namespace", context);
            let priority = r.optional("priority", context);
            let time_unit = r.take("time_unit", context);
            Some(Columns {
                name: name?,
                arrival: arrival?,
                duration: duration?,
                start: start?,
                end: end?,
                gpus: gpus?,
                cpus: cpus?,
                memory_gib: memory_gib?,
                class: class?,
                namespace: namespace?,
                priority: priority?,
                time_unit: time_unit?,
            })
        })
    }
}

/// Checks that the run time of a job log is said, and once.
fn run_time(record: &Record, at: &Range<usize>, context: &mut Context<'_>) {
    let problem = match (record.has("duration"), record.has("start"), record.has("end")) {
        (true, false, false) | (false, true, true) => return,
        (true, ..) => {
            Problem::new("bad-value", &record.place("duration"), "`duration` and `start`, `end` say the same")
        }
        (false, true, false) => Problem::new("missing-key", &record.place("start"), "`start` needs `end`"),
        (false, false, true) => Problem::new("missing-key", &record.place("end"), "`end` needs `start`"),
        (false, false, false) => Problem::new("missing-key", at, "no column holds the run time"),
    };
    context.complain(problem.help("give `duration`, or both `start` and `end`"));
}

impl<'a> Lower<Context<'a>> for Changes {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let window = r.optional("window", context);
            let only_classes = r.take("only_classes", context);
            let draw = r.optional("draw", context);
            let time_scale = r.take("time_scale", context);
            let load_scale = r.take("load_scale", context);
            let work_cap = r.optional("work_cap", context);
            Some(Changes {
                window: window?,
                only_classes: only_classes?,
                draw: draw?,
                time_scale: time_scale?,
                load_scale: load_scale?,
                work_cap: work_cap?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Window {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("to");
            let from = r.take("from", context);
            let to = r.optional("to", context);
            let window = Window { from: from?, to: to? };
            if let Some(to) = window.to
                && to <= window.from
            {
                let message = format!("the window ends at {to}, not after its start at {}", window.from);
                context.complain(Problem::new("out-of-range", &at, message));
            }
            Some(window)
        })
    }
}

impl<'a> Lower<Context<'a>> for Draw {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("sample", Some(share)) => f64::lower(share, context).map(Draw::Sample),
            ("bootstrap", Some(value)) => record(value, |r| {
                let pods = r.take("pods", context);
                let arrivals = r.take("arrivals", context);
                Some(Draw::Bootstrap { pods: pods?, arrivals: arrivals? })
            }),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for Arrivals {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("at-once", _) => Some(Arrivals::AtOnce),
            ("poisson", Some(value)) => {
                record(value, |r| Some(Arrivals::Poisson { per_hour: r.take("per_hour", context)? }))
            }
            ("bursty", Some(value)) => record(value, |r| {
                let per_hour = r.take("per_hour", context);
                let ratio = r.take("ratio", context);
                let burst = r.take("burst", context);
                let share = r.take("share", context);
                Some(Arrivals::Bursty { per_hour: per_hour?, ratio: ratio?, burst: burst?, share: share? })
            }),
            ("diurnal", Some(value)) => record(value, |r| {
                let at = r.place("peak");
                let per_hour = r.take("per_hour", context);
                let swing = r.take("swing", context);
                let peak: Option<Span> = r.take("peak", context);
                if peak.is_some_and(|peak| DAY <= peak) {
                    let message = "the peak is a time of day and must be below 24h";
                    context.complain(Problem::new("out-of-range", &at, message));
                }
                Some(Arrivals::Diurnal { per_hour: per_hour?, swing: swing?, peak: peak? })
            }),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

impl<'a> Lower<Context<'a>> for Generate {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("classes");
            let pods = r.take("pods", context);
            let arrivals = r.take("arrivals", context);
            let classes: Option<Vec<ClassSpec>> = r.take("classes", context);
            context.distinct("class");
            if let Some(classes) = &classes {
                some_weight(classes.iter().map(|c| c.weight), "classes", &at, context);
            }
            Some(Generate { pods: pods?, arrivals: arrivals?, classes: classes? })
        })
    }
}

/// Complains when nothing can be drawn, or when the sum of the weights is beyond a float.
fn some_weight(weights: impl Iterator<Item = f64>, what: &str, at: &Range<usize>, context: &mut Context<'_>) {
    let sum: f64 = weights.sum();
    if sum <= 0.0 {
        let message = format!("the weights of all {what} are 0");
        context
            .complain(Problem::new("out-of-range", at, message).help("give at least one of them a weight"));
    } else if sum.is_infinite() {
        context.complain(Problem::new(
            "out-of-range",
            at,
            format!("the weights of the {what} are too large"),
        ));
    }
}

impl<'a> Lower<Context<'a>> for ClassSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let name = context.name(r);
            let weight = r.take("weight", context);
            let cpu = r.take("cpu", context);
            let memory = r.take("memory", context);
            let gpu = r.take("gpu", context);
            let work = r.take("work", context);
            let priority = r.take("priority", context);
            let namespace = r.take("namespace", context);
            Some(ClassSpec {
                name: name?,
                weight: weight?,
                cpu: cpu?,
                memory: memory?,
                gpu: gpu?,
                work: work?,
                priority: priority?,
                namespace: namespace?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for GpuSpec {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        match chosen(item)? {
            ("none", _) => Some(GpuSpec::None),
            ("whole", Some(gpus)) => u16::lower(gpus, context).map(GpuSpec::Whole),
            ("share", Some(shares)) => self::shares(shares, context).map(GpuSpec::Share),
            ("profiles", Some(mix)) => ProfileMix::lower(mix, context).map(GpuSpec::Profiles),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

fn shares(item: Item, context: &mut Context<'_>) -> Option<Vec<(u16, f64)>> {
    let Item { at, value } = item;
    let Value::List(items) = value else {
        return u16::lower(Item { at, value }, context).map(|milli| vec![(milli, 1.0)]);
    };
    let made: Vec<Option<(u16, f64)>> = items.into_iter().map(|item| share(item, context)).collect();
    let shares: Vec<(u16, f64)> = made.into_iter().collect::<Option<_>>()?;
    some_weight(shares.iter().map(|s| s.1), "shares", &at, context);
    Some(shares)
}

fn share(item: Item, context: &mut Context<'_>) -> Option<(u16, f64)> {
    let Item { at, value } = item;
    let Value::List(items) = value else {
        return u16::lower(Item { at, value }, context).map(|milli| (milli, 1.0));
    };
    let [milli, weight] = <[Item; 2]>::try_from(items).expect("a pair by its table");
    Some((u16::lower(milli, context)?, f64::lower(weight, context)?))
}

impl<'a> Lower<Context<'a>> for ProfileMix {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        if matches!(item.value, Value::List(_)) {
            return weights(item, context);
        }
        match chosen(item)? {
            ("uniform", _) => Some(ProfileMix::Uniform),
            ("small-heavy", _) => Some(ProfileMix::SmallHeavy),
            ("skew-small", _) => Some(ProfileMix::SkewSmall),
            ("skew-big", _) => Some(ProfileMix::SkewBig),
            ("bimodal", _) => Some(ProfileMix::Bimodal),
            ("openb-nearest", _) => Some(ProfileMix::OpenbNearest),
            ("weights", Some(item)) => weights(item, context),
            other => panic!("a form of its table, not {other:?}"),
        }
    }
}

fn weights(item: Item, context: &mut Context<'_>) -> Option<ProfileMix> {
    let at = item.at.clone();
    let weights: [f64; 5] = Vec::lower(item, context)?.try_into().expect("five by their table");
    some_weight(weights.into_iter(), "profiles", &at, context);
    Some(ProfileMix::Weights(weights))
}

impl<'a> Lower<Context<'a>> for Law {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let (word, value) = chosen(item)?;
        record(value.expect("every law has parameters"), |r| {
            let mean: Option<Span> = r.take("mean", context);
            match word {
                "constant" => Some(Law::Constant { mean: mean? }),
                "exponential" => Some(Law::Exponential { mean: mean? }),
                "erlang" => {
                    let stages = r.take("stages", context);
                    Some(Law::Erlang { mean: mean?, stages: stages? })
                }
                "hyperexponential" => {
                    let scv = r.take("scv", context);
                    Some(Law::Hyperexponential { mean: mean?, scv: scv? })
                }
                "lognormal" => {
                    let scv = r.take("scv", context);
                    Some(Law::Lognormal { mean: mean?, scv: scv? })
                }
                "pareto" => pareto(mean, r, context),
                other => panic!("a law of its table, not `{other}`"),
            }
        })
    }
}

fn pareto(mean: Option<Span>, record: &mut Record, context: &mut Context<'_>) -> Option<Law> {
    let at = record.place("max");
    let shape: Option<f64> = record.take("shape", context);
    let max: Option<Span> = record.take("max", context);
    let (mean, shape, max) = (mean?, shape?, max?);
    let least = mean.as_secs_f64() * (shape - 1.0) / shape;
    if max.as_secs_f64() <= least {
        let least = Span::from_secs_f64(least).unwrap_or(mean);
        let message = format!("`max` is {max}, but no draw of this law is below {least}");
        context.complain(Problem::new("out-of-range", &at, message));
    }
    Some(Law::Pareto { mean, shape, max })
}

impl<'a> Lower<Context<'a>> for Translation {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("product");
            let to = r.take("to", context);
            let whole_to = r.optional("whole_to", context);
            let rule = r.take("rule", context);
            let product: Option<Option<String>> = r.optional("product", context);
            if let Some(Some(product)) = &product {
                context.gpu_model(product, &at, true);
            }
            Some(Translation { to: to?, whole_to: whole_to?, rule: rule?, product: product? })
        })
    }
}
