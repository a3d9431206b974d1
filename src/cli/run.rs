//! `slicewise run`: a scenario to a table and a folder.

use super::args::Run as Args;
use super::{Failure, Terminal, print};
use crate::diag::{self, Diagnostic};
use crate::experiment::{self, Inputs, Run};
use crate::partition::spec::PartitionerSpec;
use crate::perf::service::Arrivals;
use crate::report::{self, Page};
use crate::scenario::resolved::{Scenario, ScenarioFile};
use crate::scenario::{self, Known};
use crate::sched::score;
use crate::sched::spec::Profile;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let (mut file, inputs) = load(args.scenario.as_deref(), &args.set, args.gpus.as_deref(), terminal)?;
    choose(&mut file, &args.only, args.seed)?;
    if let Some(replications) = args.replications {
        file.variants.iter_mut().for_each(|variant| variant.report.replications = replications);
    }
    let out = (!args.no_report).then(|| folder(args, &file));
    if let Some(out) = &out {
        // Noticed now rather than after an hour of simulating.
        report::writable(out).map_err(|error| Failure::Output(error.to_string()))?;
    }
    let interrupted = interruptible();
    let runs = simulate(&mut file, &inputs, terminal)?;
    let page = page(&file, &runs);
    interrupted.writing();
    print(&report::table(&page, args.format.into()))?;
    for run in &runs {
        never_fit(run, terminal);
    }
    let Some(out) = out else { return Ok(()) };
    write(&out, &page, &runs)?;
    if !args.export.is_empty() {
        let (_, catalogue) = super::gpus::catalogue(args.gpus.as_deref())?;
        super::export::of_scenario(&file, &args.export, &catalogue, &out, terminal)?;
    }
    terminal.say(&format!("report: {}", out.join("report.html").display()));
    let again = out.join("scenario.resolved.yaml");
    terminal.say(&format!("next: open the report, or change and rerun: slicewise run {}", again.display()));
    Ok(())
}

/// Reads and checks a scenario; its warnings are shown.
pub(super) fn load(
    path: Option<&Path>,
    set: &[(String, String)],
    gpus: Option<&Path>,
    terminal: &Terminal,
) -> Result<(ScenarioFile, Inputs), Failure> {
    let (name, text) = match path {
        None => {
            terminal.say("no scenario named: running the quickstart that is inside the program (slicewise init DIR writes it out)");
            ("quickstart.yaml".to_owned(), experiment::QUICKSTART.to_owned())
        }
        Some(path) if path == Path::new("-") => ("-".to_owned(), standard_input()?),
        Some(path) => (path.display().to_string(), read_text(path)?),
    };
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    variables.extend(set.iter().cloned());
    let (gpus, catalogue) = super::gpus::catalogue(gpus)?;
    let known = Known { scores: &score::BUILT_IN, catalogue: &catalogue, gpus: &gpus, variables: &variables };
    let (file, warnings) = scenario::load(&text, &name, &known)?;
    terminal.complain(warnings);
    let folder = path.filter(|p| *p != Path::new("-")).unwrap_or(Path::new(""));
    Ok((file, Inputs::beside(folder, &name)))
}

fn standard_input() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        let help = "pipe a scenario into it, or name a file";
        return Err(Failure::input("unreadable", "-", "standard input is a terminal", help));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|e| {
        Failure::input("unreadable", "-", format!("cannot be read: {e}"), "pipe a scenario into it")
    })?;
    utf8(bytes, "-")
}

pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path, or run `slicewise init DIR` for a first scenario"
            }
            _ => "check what it is and who may read it",
        };
        Failure::input("unreadable", &name, format!("cannot be read: {error}"), help)
    })?;
    utf8(bytes, &name)
}

fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        let mut diagnostic =
            Diagnostic::error("not-utf8", name, format!("byte {} is not UTF-8 text", at + 1));
        diagnostic.line = line;
        Failure::Input(vec![diagnostic.help("save it as UTF-8; is it a scenario at all?")])
    })
}

/// Keeps the variants asked for, and sets the seed asked for.
pub(super) fn choose(file: &mut ScenarioFile, only: &[String], seed: Option<u64>) -> Result<(), Failure> {
    let names: Vec<&str> = file.variants.iter().map(|v| v.name.as_str()).collect();
    let unknown: Vec<Diagnostic> = only
        .iter()
        .filter(|name| !names.contains(&name.as_str()))
        .map(|name| {
            let help = match diag::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", names.join(", ")),
            };
            Diagnostic::error("unknown-name", &file.name, format!("the scenario has no variant `{name}`"))
                .help(help)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown.into());
    }
    if !only.is_empty() {
        file.variants.retain(|variant| only.contains(&variant.name));
    }
    if let Some(seed) = seed {
        file.variants.iter_mut().for_each(|variant| variant.seed = seed);
    }
    Ok(())
}

/// Runs all variants with a progress display.
fn simulate(file: &mut ScenarioFile, inputs: &Inputs, terminal: &Terminal) -> Result<Vec<Run>, Failure> {
    let progress = Progress::new(terminal.quiet);
    let runs = experiment::run(file, inputs, &[], &|variant, pods| progress.tell(variant, pods))?;
    progress.bar.finish_and_clear();
    Ok(runs)
}

/// Pods that have departed, over all variants: a bar on a terminal, a line now and then off one.
struct Progress {
    bar: ProgressBar,
    quiet: bool,
    total: AtomicU64,
    by_variant: Mutex<BTreeMap<usize, u64>>,
    last_line: Mutex<Instant>,
}

impl Progress {
    fn new(quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = match quiet || !terminal {
            true => ProgressBar::hidden(),
            false => ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8)),
        };
        let style =
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} pods  {rate}  {eta} left");
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // The template's own rate has decimals; a display that cannot be written to shows nothing.
            let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
        };
        bar.set_style(style.expect("a template of known keys").with_key("rate", rate));
        Progress {
            bar,
            quiet: quiet || terminal,
            total: AtomicU64::new(0),
            by_variant: Mutex::default(),
            last_line: Mutex::new(Instant::now()),
        }
    }

    fn tell(&self, variant: usize, pods: u64) {
        if variant == usize::MAX {
            self.total.store(pods, Ordering::Relaxed);
            self.bar.set_length(pods);
            return;
        }
        let done: u64 = {
            let mut by_variant = self.by_variant.lock().expect("nobody panics while holding it");
            by_variant.insert(variant, pods);
            by_variant.values().sum()
        };
        self.bar.set_position(done);
        let mut last = self.last_line.lock().expect("nobody panics while holding it");
        if !self.quiet && Duration::from_secs(10) <= last.elapsed() {
            *last = Instant::now();
            eprintln!("{done} of {} pods", self.total.load(Ordering::Relaxed));
        }
    }
}

/// What Ctrl-C does: nothing was written before the report is, and a report is finished once begun.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn writing(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn interruptible() -> Interrupt {
    let writing = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&writing);
    let set = ctrlc::set_handler(move || {
        if !flag.load(Ordering::SeqCst) {
            eprintln!("interrupted: nothing was written");
            std::process::exit(130);
        }
    });
    // Without a handler Ctrl-C ends the process as ever.
    drop(set);
    Interrupt(writing)
}

/// Names the pods that can never be placed: whoever sized the cluster wants to know.
fn never_fit(run: &Run, terminal: &Terminal) {
    for refusal in run.result.summary.refusals.iter().filter(|refusal| refusal.for_ever) {
        let more = refusal.pods - refusal.examples.len() as u64;
        let more = if 0 < more { format!(" and {more} more") } else { String::new() };
        let (pods, names) = (refusal.pods, refusal.examples.join(", "));
        let s = if pods == 1 { "" } else { "s" };
        terminal.say(&format!(
            "{}: {pods} pod{s} can never fit ({names}{more}): {}",
            run.result.name, refusal.message
        ));
    }
}

fn page(file: &ScenarioFile, runs: &[Run]) -> Page {
    let mut hashes: Vec<(String, String)> = Vec::new();
    let pods = file.variants.iter().flat_map(|variant| &variant.workload.traces);
    let services = file.variants.iter().flat_map(|variant| variant.models.services.values());
    let requests = services.filter_map(|service| match &service.arrivals {
        Arrivals::Trace(trace) => Some((&trace.file, &trace.sha256)),
        Arrivals::Poisson { .. } => None,
    });
    for (name, hash) in pods.map(|source| (&source.file, &source.sha256)).chain(requests) {
        let pair = (name.clone(), hash.clone().unwrap_or_default());
        if !hashes.contains(&pair) {
            hashes.push(pair);
        }
    }
    Page {
        title: file.name.clone(),
        question: file.description.trim().to_owned(),
        // What gives this report again, byte for byte, whatever first made it.
        command: "slicewise run scenario.resolved.yaml".to_owned(),
        seed: file.variants.first().map_or(0, |variant| variant.seed),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_yaml: scenario::resolved_yaml(file),
        trace_hashes: hashes,
        limits: limits(file),
        partial: None,
        variants: runs.iter().map(|run| run.result.clone()).collect(),
    }
}

/// What every reader must know of this version, and of the schedulers that it ran.
fn limits(file: &ScenarioFile) -> Vec<String> {
    let mut profiles: Vec<Profile> = file.variants.iter().map(|variant| variant.scheduler.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let mut limits: Vec<String> = profiles.into_iter().map(|profile| profile.limits().to_owned()).collect();
    let mut partitioners: Vec<&PartitionerSpec> = file.variants.iter().map(|v| &v.partitioner).collect();
    partitioners.dedup();
    limits.extend(partitioners.into_iter().filter_map(PartitionerSpec::limits));
    let off = |variant: &Scenario| match (variant.models.failures.is_some(), variant.models.sharing) {
        (true, true) => None,
        (true, false) => Some("No pod runs out of GPU memory (models.sharing is off)."),
        (false, true) => Some("No GPU and no node fails (models.failures is not given)."),
        (false, false) => Some(
            "No GPU and no node fails, and no pod runs out of GPU memory (models.failures, models.sharing).",
        ),
    };
    let offs: Vec<Option<&str>> = file.variants.iter().map(off).collect();
    let same = offs.windows(2).all(|pair| pair[0] == pair[1]);
    for (variant, text) in file.variants.iter().zip(offs) {
        let named =
            |text: &str| if same { text.to_owned() } else { format!("Variant `{}`: {text}", variant.name) };
        limits.extend(text.map(named));
    }
    // Several variants may rest on the same.
    let mut said = std::collections::BTreeSet::new();
    limits.retain(|limit| said.insert(limit.clone()));
    limits
}

fn folder(args: &Args, file: &ScenarioFile) -> PathBuf {
    args.out.clone().unwrap_or_else(|| Path::new("reports").join(&file.name))
}

fn write(out: &Path, page: &Page, runs: &[Run]) -> Result<(), Failure> {
    let failed = |error: report::WriteError| Failure::Output(error.to_string());
    std::fs::create_dir_all(out)
        .map_err(|e| Failure::Output(format!("{}: {e}; name another folder with --out", out.display())))?;
    report::atomic(&out.join("pods.csv"), |csv| experiment::write_pods(runs, csv)).map_err(failed)?;
    report::write(out, page).map_err(failed)?;
    Ok(())
}
