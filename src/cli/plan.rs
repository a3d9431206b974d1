//! `slicewise plan`: one planning decision for a cluster as kubectl lists it.

use super::args::Plan;
use super::{Failure, Terminal, print};
use crate::diag::{self, Diagnostic};
use crate::experiment;
use crate::formats;
use crate::partition::nos::names::Kind;
use crate::partition::nos::{Fix, Fixes, Settings, Tables};
use crate::partition::planner::Planner;
use crate::plan::{self, Options, Source};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Does the verb.
pub(super) fn plan(args: &Plan, terminal: &Terminal) -> Result<(), Failure> {
    let fixes = fixes(&args.fix)?;
    let (_, catalogue) = super::gpus::catalogue(args.gpus.as_deref())?;
    let tables = match &args.nos_geometries {
        None => Tables::deployed(),
        Some(file) => Tables::read(&super::run::read_text(file)?, &file.display().to_string())?,
    };
    let mut files: Vec<(String, String)> = Vec::new();
    let mut paths: Vec<&PathBuf> = Vec::new();
    for path in args.nodes.iter().chain(&args.pods) {
        // Nodes and pods may stand in one file.
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    for path in &paths {
        files.push((path.display().to_string(), if is_input(path) { input()? } else { read(path)? }));
    }
    match (&args.scenario, args.at) {
        (Some(scenario), Some(at)) => files.push(moment(scenario, at, args, terminal)?),
        _ if paths.is_empty() => files.push(("-".to_owned(), input()?)),
        _ => {}
    }
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    let kind = args.kind.as_deref().map(|word| if word == "mps" { Kind::Mps } else { Kind::Mig });
    let settings = Settings { fixes, ..Settings::default() };
    let cluster = plan::read(&sources, kind, &tables, &settings, &catalogue)?;
    let planner = Planner::parse(&args.planner).expect("one of the words");
    let decision = plan::decide(&cluster, &Options { planner, settings, seed: args.seed, steps: args.steps });
    match args.format.as_str() {
        "text" => print(&plan::text(&decision, args.explain))?,
        "json" => print(&format!("{:#}\n", plan::json(&decision)))?,
        word => {
            let format = formats::Format::parse(word).expect("one of the words");
            export(&decision, format, terminal)?;
        }
    }
    if decision.serves_all() || args.exit_zero { Ok(()) } else { Err(Failure::No(1)) }
}

/// The cluster of a scenario's variant at a moment, as kubectl would list it, with what it is called.
fn moment(
    path: &Path,
    at: crate::units::Span,
    args: &Plan,
    terminal: &Terminal,
) -> Result<(String, String), Failure> {
    let (mut file, inputs) = super::run::load(Some(path), &args.set, args.gpus.as_deref(), terminal)?;
    if let Some(name) = &args.variant {
        let names = || file.variants.iter().map(|variant| variant.name.as_str());
        if !names().any(|known| known == name) {
            let help = match diag::nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are `{}`", names().collect::<Vec<_>>().join("`, `")),
            };
            let message = format!("no variant is called `{name}`");
            return Err(Failure::input("unknown-name", "--variant", message, &help));
        }
        file.variants.retain(|variant| variant.name == *name);
    } else {
        file.variants.truncate(1);
    }
    let worlds = experiment::worlds(&mut file, &inputs, &[])?;
    let list = experiment::moment(&worlds[0], crate::units::Time(at.0));
    Ok((format!("{} at {at}", path.display()), list.to_string()))
}

/// Prints the plan as another program's file.
fn export(
    decision: &plan::Decision<'_>,
    format: formats::Format,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let refused = |why: String| {
        let help = "`slicewise plan -o text` shows the plan; other formats carry other things";
        Diagnostic::error("not-carried", format.word(), why).help(help)
    };
    if !decision.uncut.is_empty() {
        return Err(decision.uncut.iter().cloned().map(refused).collect::<Vec<_>>().into());
    }
    match formats::export(&decision.cuts, format) {
        Ok(export) => {
            for note in &export.notes {
                terminal.say(&format!("note: {note}"));
            }
            print(&export.text)
        }
        Err(refusals) => {
            Err(refusals.into_iter().map(|refusal| refused(refusal.to_string())).collect::<Vec<_>>().into())
        }
    }
}

/// The quirks that are to be corrected.
fn fixes(words: &[String]) -> Result<Fixes, Failure> {
    let mut fixes = Vec::new();
    let mut wrong = Vec::new();
    for word in words {
        match Fix::parse(word) {
            _ if word == "all" => fixes.extend(Fix::ALL),
            Some(fix) => fixes.push(fix),
            None => {
                let known = || Fix::ALL.iter().map(|fix| fix.word()).chain(["all"]);
                let help = match diag::nearest(word, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
                };
                let message = format!("nos has no quirk `{word}` that can be corrected");
                wrong.push(Diagnostic::error("unknown-fix", "--fix", message).help(help));
            }
        }
    }
    if wrong.is_empty() { Ok(Fixes::from_iter(fixes)) } else { Err(wrong.into()) }
}

fn is_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let help = "`kubectl get nodes,pods -A -o json > cluster.json` writes one";
        Failure::input("unreadable", &name, format!("cannot be read: {error}"), help)
    })?;
    utf8(bytes, &name)
}

fn input() -> Result<String, Failure> {
    let help = "kubectl get nodes,pods -A -o json | slicewise plan, or name files by --nodes and --pods";
    if std::io::stdin().is_terminal() {
        return Err(Failure::input("unreadable", "-", "standard input is a terminal", help));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::input("unreadable", "-", format!("cannot be read: {error}"), help))?;
    utf8(bytes, "-")
}

fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let help = "lists of nodes and pods are JSON or YAML in UTF-8";
        Failure::input("not-utf8", name, format!("byte {} is not UTF-8 text", at + 1), help)
    })
}
