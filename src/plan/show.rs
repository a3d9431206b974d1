//! A decision for people, and for scripts.

use super::{Decision, GpuChange};
use crate::formats::{Cut, MpsSlice};
use crate::partition::nos::names::Kind;
use crate::partition::nos::{Counts, Names};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Slices as people write them: `1g.5gb x3 + 2g.10gb`; empty if there is none.
pub(super) fn slices(names: &Names, kind: Kind, counts: &Counts) -> String {
    let mut slices: Vec<(&str, i64)> = counts
        .iter()
        .filter(|(_, count)| *count != 0)
        .map(|(profile, count)| (names.profile_text(kind, profile), count))
        .collect();
    slices.sort_unstable();
    let word = |(profile, count): (&str, i64)| match count {
        1 => profile.to_owned(),
        count => format!("{profile} x{count}"),
    };
    slices.into_iter().map(word).collect::<Vec<_>>().join(" + ")
}

/// The same with an article where there is one slice.
pub(super) fn geometry_text(names: &Names, kind: Kind, counts: &Counts) -> String {
    let text = slices(names, kind, counts);
    if text.contains(['+', ' ']) { text } else { format!("a {text}") }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

/// `word` and its ending for so many.
fn verb(count: usize, word: &str) -> String {
    format!("{word}{}", if count == 1 { "s" } else { "" })
}

/// Columns of a line.
const WIDTH: usize = 80;

/// A text in lines that begin with `first`, then with `rest`.
fn wrapped(out: &mut String, first: &str, rest: &str, text: &str) {
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split_whitespace() {
        if begun && WIDTH < line.chars().count() + 1 + word.chars().count() {
            out.push_str(&line);
            out.push('\n');
            line = rest.to_owned();
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    out.push_str(&line);
    out.push('\n');
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A decision as text of some 80 columns; with `explain`, step by step.
#[must_use]
pub fn text(decision: &Decision<'_>, explain: bool) -> String {
    let mut out = String::new();
    let pods = decision.served.len() + decision.waiting.len();
    let _ = writeln!(
        out,
        "{} plans {} for {} that {}: {} lacking",
        decision.planner,
        plural(decision.nodes, &format!("{} node", decision.kind.word())),
        plural(pods, "pod"),
        verb(pods, "wait"),
        or_nothing(&decision.lacking),
    );
    if let Some(blocked) = &decision.blocked {
        out.push('\n');
        wrapped(&mut out, "nos plans nothing: ", "  ", blocked);
        out.push_str("  (with --fix bad-node the node is left out)\n");
    }
    let _ = writeln!(out, "\n{} to change", plural(decision.changes.len(), "GPU"));
    for change in &decision.changes {
        gpu(&mut out, change, explain);
    }
    if !decision.rewritten.is_empty() {
        let nodes = if explain || decision.rewritten.len() <= 6 {
            decision.rewritten.join(", ")
        } else {
            format!("{} and {} more", decision.rewritten[..6].join(", "), decision.rewritten.len() - 6)
        };
        let text = format!("nos writes to these as well, unchanged (fix rewrite-all): {nodes}");
        wrapped(&mut out, "  ", "    ", &text);
    }
    let _ = writeln!(out, "\n{} can run then", plural(decision.served.len(), "pod"));
    let width = decision.served.iter().map(|pod| pod.pod.chars().count()).max().unwrap_or(0).min(40);
    for pod in &decision.served {
        let place = match pod.gpu {
            Some(gpu) => format!("{} on {}, GPU {gpu}", pod.slices, pod.node),
            None => format!("on {}", pod.node),
        };
        let _ = writeln!(out, "  {:width$}  {place}", pod.pod);
    }
    if !decision.waiting.is_empty() {
        let count = decision.waiting.len();
        let _ = writeln!(out, "\n{} still {}", plural(count, "pod"), verb(count, "wait"));
    }
    for pod in &decision.waiting {
        let slices = if pod.slices.is_empty() { String::new() } else { format!("  {}", pod.slices) };
        let _ = writeln!(out, "  {}{slices}", pod.pod);
        wrapped(&mut out, "      ", "      ", &pod.why);
        for detail in pod.details.iter().filter(|_| explain) {
            wrapped(&mut out, "      - ", "        ", detail);
        }
    }
    if !decision.passed_over.is_empty() {
        let _ = writeln!(out, "\nnos passes over {}", plural(decision.passed_over.len(), "pod"));
        for (pod, why) in &decision.passed_over {
            wrapped(&mut out, "  ", "      ", &format!("{pod}: {why}"));
        }
    }
    if let Some(proof) = &decision.proof {
        let _ = match proof.complete {
            true => writeln!(out, "\nno plan serves more pods, or as many with fewer re-cuts"),
            false => writeln!(
                out,
                "\nstopped after {} steps: no plan serves more than {} pods",
                proof.steps, proof.bound
            ),
        };
    } else if !decision.proven {
        let _ = writeln!(out, "\nmore of them may fit than were found: the search for seats was cut off");
    }
    for note in &decision.notes {
        out.push('\n');
        wrapped(&mut out, "note: ", "      ", note);
    }
    out
}

fn gpu(out: &mut String, change: &GpuChange, explain: bool) {
    let _ = writeln!(out, "  {}, GPU {}", change.node, change.gpu);
    let mut now = Vec::new();
    if !change.used.is_empty() {
        now.push(format!("{} in use", change.used));
    }
    if !change.free.is_empty() {
        now.push(format!("{} free", change.free));
    }
    let _ = writeln!(out, "    has      {}", or_nothing(&now.join(", ")));
    let _ = writeln!(out, "    asked    {}", or_nothing(&change.asked));
    if let Some(becomes) = &change.becomes {
        let _ = writeln!(out, "    becomes  {}", or_nothing(becomes));
    }
    if 0 < change.missing {
        let _ = match change.attempts {
            0 => writeln!(out, "    the driver knows no such profile: no new slice is made"),
            n => writeln!(out, "    the driver refused {n} orders of creation: no new slice is made"),
        };
    }
    if explain && !change.steps.is_empty() {
        wrapped(out, "    steps    ", "             ", &change.steps.join(", "));
        if 1 < change.attempts && change.missing == 0 {
            let _ = writeln!(out, "    done at order {} of creation, of 21 that are tried", change.attempts);
        }
    }
}

/// A decision as JSON.
#[must_use]
pub fn json(decision: &Decision<'_>) -> Value {
    let changes = decision.changes.iter().map(|change| {
        json!({
            "node": change.node,
            "gpu": change.gpu,
            "used": change.used,
            "free": change.free,
            "asked": change.asked,
            "becomes": change.becomes,
            "steps": change.steps,
            "attempts": change.attempts,
            "missing": change.missing,
        })
    });
    let served = decision
        .served
        .iter()
        .map(|pod| json!({ "pod": pod.pod, "slices": pod.slices, "node": pod.node, "gpu": pod.gpu }));
    let waiting = decision
        .waiting
        .iter()
        .map(|pod| json!({ "pod": pod.pod, "slices": pod.slices, "why": pod.why, "details": pod.details }));
    let passed = decision.passed_over.iter().map(|(pod, why)| json!({ "pod": pod, "why": why }));
    let proof = decision.proof.map(|proof| {
        json!({
            "served": proof.served,
            "bound": proof.bound,
            "complete": proof.complete,
            "steps": proof.steps,
        })
    });
    json!({
        "planner": decision.planner.word(),
        "kind": decision.kind.word(),
        "nodes": decision.nodes,
        "lacking": decision.lacking,
        "blocked": decision.blocked,
        "changes": changes.collect::<Vec<_>>(),
        "rewritten": decision.rewritten,
        "served": served.collect::<Vec<_>>(),
        "proven": decision.proven,
        "waiting": waiting.collect::<Vec<_>>(),
        "passedOver": passed.collect::<Vec<_>>(),
        "proof": proof,
        "notes": decision.notes,
        "gpus": gpus(decision),
    })
}

/// How every GPU stands once the plan is carried out: MIG slices with their places where these are known.
fn gpus(decision: &Decision<'_>) -> Vec<Value> {
    let mut gpus = Vec::new();
    for node in &decision.cuts.nodes {
        for (index, gpu) in node.gpus.iter().enumerate() {
            let slices: Vec<String> = match &gpu.cut {
                Cut::Mig(layout) => {
                    let slices = layout.slices(node.product).into_iter();
                    slices.map(|s| format!("{}@{}", node.product.at(s.profile).name(), s.start)).collect()
                }
                Cut::Counts(geometry) => {
                    geometry.profiles().map(|profile| node.product.at(profile).name().to_owned()).collect()
                }
                Cut::Mps(slices) => {
                    let each = |slice: &MpsSlice| vec![format!("{}gb", slice.gb); usize::from(slice.count)];
                    slices.iter().flat_map(each).collect()
                }
                Cut::Whole | Cut::MpsReplicas(_) | Cut::TimeSlices(_) => Vec::new(),
            };
            gpus.push(json!({
                "node": node.name,
                "gpu": index,
                "product": node.product.id(),
                "kind": decision.kind.word(),
                "slices": slices,
            }));
        }
    }
    gpus
}
