//! The report for a terminal.

use super::apply::{Applied, Remains};
use super::sharing::Shared;
use super::{Answer, Judged, Outcome, Report, Severity, Verdict};
use std::fmt::Write as _;

/// Columns of a terminal.
const WIDTH: usize = 80;

/// The report as text.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let what = match report.level {
        0 => "level 0, offline",
        1 => "level 1, read-only",
        2 => "level 2, applied and restored",
        _ => "level 3, applied and restored, MIG mode included",
    };
    let driver = report.driver.as_ref().map_or_else(String::new, |d| format!(", driver {d}"));
    line(&mut out, 0, &format!("{what}; values from {}{driver}", report.source));
    for finding in &report.findings {
        item(&mut out, 0, finding.severity.word(), &finding.message, finding.help.as_deref());
    }
    for recovered in &report.recovered {
        let how = if recovered.outcome == Outcome::Feasible { "restored" } else { "not restored" };
        let what = format!("{}: an earlier run had ended unfinished: {how}", recovered.uuid);
        item(&mut out, 0, if how == "restored" { "note" } else { "error" }, &what, None);
        steps(&mut out, &recovered.steps);
        for finding in &recovered.findings {
            item(&mut out, 2, finding.severity.word(), &finding.message, None);
        }
        if let Some(remains) = &recovered.remains {
            self::remains(&mut out, remains);
        }
    }
    for judged in &report.judged {
        device(&mut out, judged);
    }
    for shared in &report.shared {
        self::shared(&mut out, shared);
    }
    for why in &report.blocked {
        item(&mut out, 0, "blocked", why, None);
    }
    let sentence = report.outcome().sentence();
    write!(out, "\n{sentence}\n").expect("to a string");
    out
}

fn shared(out: &mut String, shared: &Shared) {
    out.push('\n');
    let total = shared.total_mib;
    line(out, 0, &format!("{}  {}, {total} MiB", shared.uuid, shared.sharing.describe()));
    writeln!(out, "  client  limit MiB  taken MiB   SMs").expect("to a string");
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for (at, client) in shared.clients.iter().enumerate() {
        let (limit, taken) = (number(client.limit_mib), number(client.taken_mib));
        let sms = number(client.sms.map(u64::from));
        writeln!(out, "  {at:>6}  {limit:>9}  {taken:>9}  {sms:>4}").expect("to a string");
    }
    for work in ["memory", "compute"] {
        let of = |n: usize| {
            let steps = shared.timed.iter().filter(move |t| t.class == work && t.neighbours == n);
            steps.map(|t| t.step_us).max()
        };
        let all: Vec<u64> = (0..shared.clients.len()).map_while(of).collect();
        if let [alone, ..] = all.as_slice() {
            let steps: Vec<String> = all.iter().map(u64::to_string).collect();
            let slower = all.last().unwrap_or(alone).checked_mul(100).map_or(0, |n| n / (*alone).max(1));
            let what = format!(
                "{work}: slowest step with 1 to {} clients, in us: {}; {slower} % of alone at the end",
                all.len(),
                steps.join(" ")
            );
            line(out, 2, &what);
        }
    }
    for finding in &shared.findings {
        item(out, 2, finding.severity.word(), &finding.message, finding.help.as_deref());
    }
}

fn device(out: &mut String, judged: &Judged) {
    out.push('\n');
    let uuid = judged.uuid.as_ref().map_or_else(String::new, |u| format!("{u}  "));
    let known = match (&judged.product, judged.confidence) {
        (Some(product), Some(confidence)) => format!(" ({product}, {} confidence)", confidence.word()),
        _ => String::new(),
    };
    line(out, 0, &format!("{uuid}{}{known}", judged.name));
    if judged.uuid.is_some() {
        line(out, 2, &format!("MIG is {}", judged.mig));
        match judged.stands.as_deref() {
            Some("") => line(out, 2, "nothing stands on it"),
            Some(stands) => line(out, 2, &format!("stands: {stands}")),
            None => {}
        }
        let (compared, same) = judged.profiles;
        if 0 < compared {
            line(out, 2, &format!("{same} of {compared} profiles are as the catalogue has them"));
        }
        if !judged.targets.is_empty() {
            line(out, 2, &format!("targets are judged by the values of the {}", judged.basis));
        }
    }
    for finding in &judged.findings {
        item(out, 2, finding.severity.word(), &finding.message, finding.help.as_deref());
    }
    for answer in &judged.targets {
        target(out, answer);
    }
}

fn target(out: &mut String, answer: &Answer) {
    let asked = match answer.origin.as_str() {
        "command line" => answer.target.clone(),
        origin => format!("{}  ({origin})", answer.target),
    };
    match &answer.verdict {
        Verdict::Feasible { layout, destroys, creates, without_places, driver_model, confidence } => {
            item(out, 2, if answer.was_refused() { "no" } else { "yes" }, &asked, None);
            if answer.was_refused() {
                line(out, 7, "the device refused it, though its own values allow it:");
            }
            line(out, 7, &format!("layout: {layout}"));
            if !destroys.is_empty() {
                line(out, 7, &format!("destroy: {}", destroys.join(", ")));
            }
            match creates.as_slice() {
                [] => line(out, 7, "it stands already"),
                creates => line(out, 7, &format!("create, in this order: {}", creates.join(", "))),
            }
            let model = driver_model.word();
            line(out, 7, &format!("{} (model of the driver, {model} confidence)", without_places.describe()));
            if *confidence < crate::gpu::Confidence::High {
                line(out, 7, &format!("the values are of {} confidence", confidence.word()));
            }
        }
        Verdict::Infeasible { why, help, confidence } => {
            item(out, 2, "no", &asked, None);
            line(out, 7, why);
            if let Some(help) = help {
                line(out, 7, &format!("help: {help}"));
            }
            if *confidence < crate::gpu::Confidence::High {
                line(out, 7, &format!("the values are of {} confidence", confidence.word()));
            }
        }
        Verdict::Unknown { why } => {
            item(out, 2, "?", &asked, None);
            line(out, 7, why);
        }
    }
    if let Some(applied) = &answer.applied {
        self::applied(out, applied);
    }
}

fn applied(out: &mut String, applied: &Applied) {
    let how = match applied.outcome {
        Outcome::Feasible => "made, verified, and what stood before is back",
        Outcome::NotFeasible => "refused, and what stood before is back",
        Outcome::Blocked => "not tried: nothing was touched",
        Outcome::Error => "failed, and what stood before is back",
        Outcome::Interrupted => "interrupted, and what stood before is back",
        Outcome::RollbackFailed => "what stood before is NOT back",
    };
    line(out, 7, &format!("tried: {how}"));
    if let Some(error) = &applied.error {
        line(out, 7, error);
    }
    steps(out, &applied.steps);
    for timed in applied.timed.iter().filter(|t| t.neighbours == 0) {
        line(out, 7, &format!("{} on {}: a step takes {} us", timed.class, timed.slice, timed.step_us));
    }
    for finding in &applied.findings {
        item(out, 7, finding.severity.word(), &finding.message, finding.help.as_deref());
    }
    if let Some(remains) = &applied.remains {
        self::remains(out, remains);
    }
}

fn steps(out: &mut String, steps: &[String]) {
    for step in steps {
        line(out, 9, &format!("- {step}"));
    }
}

fn remains(out: &mut String, remains: &Remains) {
    line(out, 7, &remains.why);
    let each = |stands: &super::apply::Stands| {
        let parts: Vec<String> = stands
            .compute
            .iter()
            .map(|c| format!("profile {} at {}:{}", c.profile, c.start, c.size))
            .collect();
        let gi = stands.gi;
        let compute = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
        format!(
            "GPU instance of profile {} at {}:{}, compute instances: {compute}",
            gi.profile, gi.start, gi.size
        )
    };
    for stands in &remains.missing {
        line(out, 7, &format!("missing: {}", each(stands)));
    }
    for stands in &remains.extra {
        line(out, 7, &format!("stands though it did not: {}", each(stands)));
    }
    if let Some(mig) = remains.mig {
        line(out, 7, &format!("MIG was {}", if mig { "on" } else { "off" }));
    }
    if !remains.commands.is_empty() {
        line(out, 7, "these commands would restore it:");
        for command in &remains.commands {
            // Commands are copied: they are never broken over lines.
            writeln!(out, "         {command}").expect("to a string");
        }
    }
}

/// A word that says what kind of line this is, then the line.
fn item(out: &mut String, indent: usize, word: &str, text: &str, help: Option<&str>) {
    line(out, indent, &format!("{word:<4} {text}"));
    if let Some(help) = help {
        line(out, indent + 5, &format!("help: {help}"));
    }
}

/// A line, broken at blanks where a terminal is too narrow.
fn line(out: &mut String, indent: usize, text: &str) {
    let mut width = indent;
    write!(out, "{:indent$}", "").expect("to a string");
    for (at, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if at != 0 && WIDTH < width + 1 + length {
            write!(out, "\n{:1$}", "", indent + 2).expect("to a string");
            width = indent + 2;
        } else if at != 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

/// The worst finding's word, for a heading.
pub(super) fn worst(judged: &Judged) -> Option<&'static str> {
    judged.findings.iter().map(|f| f.severity).min().filter(|s| *s != Severity::Note).map(Severity::word)
}
