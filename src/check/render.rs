//! What was found, for people and for the CI of somebody else.

use super::{NodeReport, Outcome};
use crate::diag::{Diagnostic, Severity};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Complaints of one message that are shown; the pods of a cluster often have the same one.
const SHOWN: usize = 3;

/// For people: complaints as rustc prints them, then what each node offers.
#[must_use]
pub fn text(outcome: &Outcome, styled: bool) -> String {
    let mut out = String::new();
    let mut alike: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in &outcome.findings {
        let count = alike.entry((finding.code, &finding.message)).or_default();
        *count += 1;
        if *count <= SHOWN {
            out.push_str(&finding.render(styled));
            out.push_str("\n\n");
        }
    }
    let folded: Vec<_> = alike.into_iter().filter(|(_, count)| SHOWN < *count).collect();
    for ((code, message), count) in &folded {
        out.push_str(&format!("and {} more of [{code}] {message}\n", count - SHOWN));
    }
    if !folded.is_empty() {
        out.push('\n');
    }
    if !outcome.nodes.is_empty() {
        out.push_str("what each node would advertise\n");
    }
    let mut alike: Vec<(&NodeReport, Vec<&str>)> = Vec::new();
    for node in &outcome.nodes {
        let same = |(other, _): &&mut (&NodeReport, Vec<&str>)| {
            NodeReport { name: node.name.clone(), ..(*other).clone() } == *node
        };
        match alike.iter_mut().find(same) {
            Some((_, names)) => names.push(&node.name),
            None => alike.push((node, vec![&node.name])),
        }
    }
    for (node, names) in alike {
        out.push_str(&node_text(node, &names));
    }
    if !outcome.unchecked.is_empty() {
        let shown = outcome.unchecked[..outcome.unchecked.len().min(SHOWN)].join(", ");
        let more = match outcome.unchecked.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.push_str(&format!("\nnothing to check in {shown}{more}\n"));
    }
    let (errors, warnings) = outcome.counts();
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut seen = vec![counted(outcome.files.len(), "file")];
    if !outcome.nodes.is_empty() {
        seen.push(counted(outcome.nodes.len(), "node"));
    }
    if 0 < outcome.pods {
        seen.push(format!("{} or their templates", counted(outcome.pods, "pod")));
    }
    let found = match (errors, warnings) {
        (0, 0) => "nothing to complain about".to_owned(),
        (0, n) => counted(n, "warning"),
        (n, 0) => counted(n, "error"),
        (n, m) => format!("{}, {}", counted(n, "error"), counted(m, "warning")),
    };
    if !outcome.nodes.is_empty() || !outcome.unchecked.is_empty() {
        out.push('\n');
    }
    out.trim_start_matches('\n').to_owned() + &format!("{found} in {}\n", seen.join(", "))
}

/// Nodes that offer the same.
fn node_text(node: &NodeReport, names: &[&str]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let mut out = match names.len().saturating_sub(SHOWN) {
        0 => format!("  {shown}"),
        more => format!("  {shown} and {more} more, each"),
    };
    if let Some((product, count)) = node.gpus.as_ref().filter(|(p, _)| !node.name.contains(p.as_str())) {
        out.push_str(&format!(": {count} x {product}"));
    }
    if !node.decided_by.is_empty() {
        out.push_str(&format!(" (by {})", node.decided_by.join(", ")));
    }
    out.push('\n');
    for (gpus, layout) in &node.layouts {
        let which = if gpus == "all" { "each GPU".to_owned() } else { format!("GPU {gpus}") };
        out.push_str(&format!("    {which}: {layout}\n"));
    }
    for (resource, count) in &node.resources {
        out.push_str(&format!("    {resource}: {count}\n"));
    }
    if node.resources.is_empty() {
        out.push_str("    no GPU resource\n");
    }
    for (label, value) in &node.labels {
        out.push_str(&format!("    label {label}={value}\n"));
    }
    out
}

/// For programs.
#[must_use]
pub fn json(outcome: &Outcome) -> String {
    let node = |n: &NodeReport| {
        json!({
            "name": n.name,
            "product": n.gpus.as_ref().map(|(p, _)| p),
            "gpus": n.gpus.as_ref().map(|(_, count)| count),
            "decided_by": n.decided_by,
            "resources": n.resources,
            "labels": n.labels,
            "layouts": n.layouts.iter().map(|(gpus, layout)| json!({"gpus": gpus, "layout": layout})).collect::<Value>(),
        })
    };
    let file = |(name, holds): &(String, Vec<String>)| json!({"file": name, "holds": holds});
    let (errors, warnings) = outcome.counts();
    let value = json!({
        "errors": errors,
        "warnings": warnings,
        "pods": outcome.pods,
        "unchecked": outcome.unchecked,
        "files": outcome.files.iter().map(file).collect::<Value>(),
        "nodes": outcome.nodes.iter().map(node).collect::<Value>(),
        "findings": outcome.findings,
    });
    format!("{value:#}\n")
}

/// Workflow commands of GitHub Actions: annotations at the lines of a change.
#[must_use]
pub fn github(outcome: &Outcome) -> String {
    // Both as GitHub's toolkit escapes them (actions/toolkit, packages/core/src/command.ts).
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let line = |d: &Diagnostic| {
        let level = if d.severity == Severity::Error { "error" } else { "warning" };
        let place = match (d.line, d.column) {
            (0, _) => String::new(),
            (line, column) => format!(",line={line},col={}", column.max(1)),
        };
        let help = d.help.as_ref().map_or(String::new(), |h| format!(" ({h})"));
        let message = data(&format!("{}{help}", d.message));
        format!("::{level} file={}{place},title={}::{message}\n", property(&d.file), property(d.code))
    };
    outcome.findings.iter().map(line).collect()
}

/// JUnit's XML: a suite for each file, a case for each complaint, or one that passed.
#[must_use]
pub fn junit(outcome: &Outcome) -> String {
    let escape = |text: &str| {
        let legal = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        let clean: String = text.chars().filter(legal).collect();
        clean
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\n', "&#10;")
    };
    let (errors, warnings) = outcome.counts();
    let clean = |name: &str| !outcome.findings.iter().any(|d| d.file == name);
    let passed = outcome.files.iter().filter(|(name, _)| clean(name)).count();
    let tests = errors + warnings + passed;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"slicewise check\" tests=\"{tests}\" failures=\"{errors}\">\n"
    );
    for (name, _) in &outcome.files {
        let of_file: Vec<&Diagnostic> = outcome.findings.iter().filter(|d| d.file == *name).collect();
        let failures = of_file.iter().filter(|d| d.severity == Severity::Error).count();
        let file = escape(name);
        out.push_str(&format!(
            "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{failures}\">\n",
            of_file.len().max(1)
        ));
        if of_file.is_empty() {
            out.push_str(&format!("    <testcase classname=\"{file}\" name=\"check\"/>\n"));
        }
        for d in of_file {
            let title = escape(&format!("{}:{}:{} {}", d.line, d.column, d.code, d.message));
            let help = escape(d.help.as_deref().unwrap_or_default());
            out.push_str(&format!("    <testcase classname=\"{file}\" name=\"{title}\">\n"));
            out.push_str(&match d.severity {
                Severity::Error => {
                    format!(
                        "      <failure type=\"{}\" message=\"{}\">{help}</failure>\n",
                        d.code,
                        escape(&d.message)
                    )
                }
                // A warning is not a failure.
                Severity::Warning => format!("      <system-out>warning: {help}</system-out>\n"),
            });
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}
