//! Files for other programs: what GPUs were to be, in the words of whoever cuts them.

use super::{Failure, Terminal};
use crate::diag::Diagnostic;
use crate::formats::{self, Export, Format, Plan, Refusal};
use crate::gpu::Catalogue;
use crate::report;
use crate::scenario::resolved::ScenarioFile;
use std::path::Path;

/// Writes a plan in a format, with what is to be said about it on stderr.
pub(super) fn write(plan: &Plan<'_>, format: Format, to: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let Export { text, notes } = formats::export(plan, format).map_err(|r| refused(&r, format))?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Failure::Output(format!("{}: {e}", folder.display())))?;
    }
    report::atomic(to, |out| out.write_all(text.as_bytes()))
        .map_err(|error| Failure::Output(error.to_string()))?;
    terminal.say(&format!("{}: {}", format.word(), to.display()));
    for note in notes {
        terminal.say(&format!("  {note}"));
    }
    Ok(())
}

/// Refusals as complaints about the format: equal reasons once, with the first node that has each.
fn refused(refusals: &[Refusal], format: Format) -> Failure {
    let one = |line: String| Diagnostic::error("not-carried", format.word(), line);
    Failure::Input(reasons(refusals).into_iter().map(one).collect())
}

fn reasons(refusals: &[Refusal]) -> Vec<String> {
    let mut reasons: Vec<(&Refusal, usize)> = Vec::new();
    for refusal in refusals {
        match reasons.iter_mut().find(|(first, _)| first.why == refusal.why) {
            Some((_, more)) => *more += 1,
            None => reasons.push((refusal, 0)),
        }
    }
    let line = |(first, more): (&Refusal, usize)| match more {
        0 => first.to_string(),
        more => format!("{first} (and {more} more)"),
    };
    reasons.into_iter().map(line).collect()
}

/// Writes what the GPUs of each variant are when its run begins. A variant that a format cannot carry
/// is named and left out; it is a mistake only if that leaves nothing.
pub(super) fn of_scenario(
    file: &ScenarioFile,
    formats: &[Format],
    catalogue: &Catalogue,
    out: &Path,
    terminal: &Terminal,
) -> Result<(), Failure> {
    for format in formats.iter().copied() {
        let mut left_out = Vec::new();
        let mut written = 0;
        for variant in &file.variants {
            let mut catalogue = catalogue.clone();
            for row in &variant.gpus {
                // It was laid over a catalogue when the scenario was read.
                catalogue = catalogue.with(row.clone()).unwrap_or(catalogue);
            }
            let plan = formats::plan_of(&variant.cluster, &catalogue);
            let plan = plan.and_then(|plan| formats::export(&plan, format).map(|_| plan));
            match plan {
                Ok(plan) => {
                    let to = out.join("export").join(format!(
                        "{}.{}.{}",
                        variant.name,
                        format.word(),
                        format.extension()
                    ));
                    write(&plan, format, &to, terminal)?;
                    written += 1;
                }
                Err(refusals) => {
                    let of_variant = |r: Refusal| Refusal { node: join(&variant.name, &r.node), ..r };
                    left_out.extend(refusals.into_iter().map(of_variant));
                }
            }
        }
        if written == 0 {
            return Err(refused(&left_out, format));
        }
        for reason in reasons(&left_out) {
            terminal.say(&format!("{}: not written: {reason}", format.word()));
        }
    }
    Ok(())
}

/// A node of a variant; the variant alone if it is about all nodes.
fn join(variant: &str, node: &str) -> String {
    if node.is_empty() { variant.to_owned() } else { format!("{variant}, {node}") }
}
