//! `slicewise validate` and `slicewise device`: the catalogue and real GPUs asked whether a layout can
//! be.

use super::args::{DeviceVerb, Save, Validate, ValidateFormat};
use super::{Failure, Terminal, print};
use crate::cluster::spec::Mode;
use crate::device::{Host, Inventory, Nvml, Reply};
use crate::diag::Diagnostic;
use crate::gpu::{Catalogue, Product, ProductSpec};
use crate::report;
use crate::validate::apply::{self, Event, Session};
use crate::validate::sharing::{self, Probes, Sharing, Timed};
use crate::validate::{self, Outcome, Report, Target};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where root's locks, snapshots and journals are.
const ROOTS_STATE: &str = "/var/lib/slicewise";

/// How long a driver is given before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Does the verb.
pub(super) fn validate(args: &Validate, terminal: &Terminal) -> Result<(), Failure> {
    sound(args)?;
    let (_, catalogue) = super::gpus::catalogue(args.gpus.as_deref())?;
    let mut catalogue = catalogue.into_owned();
    let product = args.product.as_deref().map(|name| find(&catalogue, name)).transpose()?.cloned();
    let mut targets = written(args, product.as_ref())?;
    if let Some(path) = &args.scenario {
        targets.extend(match asks(path)? {
            Asks::Run(layouts) => of_run(path, &layouts, args, &mut catalogue, terminal)?,
            Asks::Plan(text) => of_plan(path, &text)?,
            Asks::Scenario => of_scenario(path, args, &mut catalogue, terminal)?,
        });
    }
    if let Some(out) = &args.out {
        report::writable(out).map_err(|error| Failure::Output(error.to_string()))?;
    }
    let report = if args.offline {
        if targets.is_empty() {
            let help = "name a layout: slicewise validate --offline --product a100-40gb --layout '3g@4 1g'";
            return Err(Failure::input("no-target", "--offline", "nothing to judge", help));
        }
        validate::offline(&catalogue, product.as_ref(), &targets)
    } else if let Some(file) = &args.reply {
        let inventory = Inventory::of(&saved(file)?);
        validate::device(&inventory, &catalogue, &targets, &format!("the saved reply {}", file.display()))
    } else {
        on_devices(args, &catalogue, &targets, terminal)?
    };
    finish(args, &report, terminal)
}

/// What the options must have among them, which clap cannot say.
fn sound(args: &Validate) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut say = |code, word: &str, message: &str, help: &str| {
        wrong.push(Diagnostic::error(code, word, message).help(help));
    };
    let changes = if args.recover { "--recover" } else { "--apply" };
    if (args.apply || args.recover) && args.uuid.is_empty() {
        let help = "`nvidia-smi -L` lists them; \"all\" and indices are never taken";
        say("no-uuid", changes, "GPUs are changed only when each is named by --uuid", help);
    }
    if args.toggle_mig && !args.apply && !args.recover {
        say("toggle-alone", "--toggle-mig", "is for --apply and --recover", "add --apply");
    }
    if args.apply && args.layout.is_empty() && args.geometry.is_empty() && args.scenario.is_none() {
        let help = "add --layout, --geometry or a scenario";
        say("no-target", "--apply", "nothing to make", help);
    }
    let shares = args.mps.is_some() || args.mps_replicas.is_some() || args.time_slicing.is_some();
    if args.measure.is_some() && !args.apply && !shares {
        let help = "add --mps, --mps-replicas, --time-slicing or --apply";
        say("measure-alone", "--measure", "nothing runs whose steps could be timed", help);
    }
    for uuid in args.uuid.iter().filter(|u| !u.starts_with("GPU-")) {
        let help = "a GPU's UUID begins with GPU-; `nvidia-smi -L` lists them";
        say("bad-uuid", uuid, "is no UUID of a GPU", help);
    }
    let mut seen: Vec<&String> = Vec::new();
    for uuid in &args.uuid {
        if seen.contains(&uuid) {
            say("twice", uuid, "is named twice", "name each GPU once");
        }
        seen.push(uuid);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Product, Failure> {
    catalogue.find(name).ok_or_else(|| {
        let help = match catalogue.suggest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`slicewise gpus` lists the models".to_owned(),
        };
        Failure::input("unknown-name", name, "no such GPU in the catalogue", &help)
    })
}

/// Targets from the command line.
fn written(args: &Validate, product: Option<&Product>) -> Result<Vec<Target>, Failure> {
    let (mut targets, mut wrong) = (Vec::new(), Vec::new());
    for text in args.layout.iter().chain(&args.geometry) {
        match Target::parse(text, "command line", product.map(Product::id)) {
            Ok(target) => targets.push(target),
            Err(error) => {
                let help = "write profiles with places as `3g@4 1g@0`, without as `3g 1g x4`";
                wrong.push(Diagnostic::error("bad-target", text, error.to_string()).help(help));
            }
        }
    }
    for text in args.geometry.iter().filter(|text| text.contains('@')) {
        let help = "a geometry says what, not where: write `--layout` for places";
        wrong.push(Diagnostic::error("bad-target", text, "a geometry has no places").help(help));
    }
    if wrong.is_empty() { Ok(targets) } else { Err(wrong.into()) }
}

/// What a file or folder that is named asks for.
enum Asks {
    /// The layouts of a finished run: what its folder holds of them.
    Run(String),
    /// A plan, as `slicewise plan -o json` prints it.
    Plan(String),
    /// A scenario.
    Scenario,
}

fn asks(path: &Path) -> Result<Asks, Failure> {
    if path.is_dir() {
        let file = path.join("layouts.json");
        if !file.is_file() {
            let help = "name a folder that `slicewise run --out` wrote";
            let name = path.display().to_string();
            return Err(Failure::input("no-run", &name, "no layouts.json in this folder", help));
        }
        return Ok(Asks::Run(super::run::read_text(&file)?));
    }
    // Standard input can be read once: a scenario, as ever.
    if path == Path::new("-") {
        return Ok(Asks::Scenario);
    }
    let text = super::run::read_text(path)?;
    let json: Option<serde_json::Value> =
        text.trim_start().starts_with('{').then(|| serde_json::from_str(&text).ok()).flatten();
    Ok(match json {
        Some(value) if value.get("layouts_version").is_some() => Asks::Run(text),
        Some(value) if value.get("planner").is_some() => Asks::Plan(text),
        _ => Asks::Scenario,
    })
}

/// A complaint about a file of ours, at its place.
fn unreadable(path: &Path, error: &serde_json::Error, help: &str) -> Failure {
    let mut diagnostic = Diagnostic::error("bad-value", &path.display().to_string(), error.to_string());
    (diagnostic.line, diagnostic.column) = (error.line(), error.column());
    Failure::Input(vec![diagnostic.help(help)])
}

/// The MIG layouts of a plan.
fn of_plan(path: &Path, text: &str) -> Result<Vec<Target>, Failure> {
    let help = "`slicewise plan -o json > plan.json` writes one";
    let targets = Target::of_plan(text).map_err(|error| unreadable(path, &error, help))?;
    if targets.is_empty() {
        let name = path.display().to_string();
        return Err(Failure::input(
            "no-target",
            &name,
            "no MIG slice in this plan",
            "MPS slices are tried with --mps",
        ));
    }
    Ok(targets)
}

/// The MIG layouts that a finished run went through.
fn of_run(
    path: &Path,
    text: &str,
    args: &Validate,
    catalogue: &mut Catalogue,
    terminal: &Terminal,
) -> Result<Vec<Target>, Failure> {
    let help = "`slicewise run --out` writes one";
    let targets = Target::of_run(text).map_err(|error| unreadable(path, &error, help))?;
    // GPUs of its own stand in the scenario beside it.
    let scenario = path.join("scenario.resolved.yaml");
    if scenario.is_file() {
        let (file, _) = super::run::load(Some(&scenario), &args.set, args.gpus.as_deref(), terminal)?;
        file.variants.iter().for_each(|variant| lay(&variant.gpus, catalogue));
    }
    if targets.is_empty() {
        let name = path.display().to_string();
        let help = "only GPUs cut by MIG have layouts";
        return Err(Failure::input("no-target", &name, "no MIG layout in this run", help));
    }
    Ok(targets)
}

/// Lays a scenario's rows over a catalogue; they were laid once when it was read.
fn lay(rows: &[ProductSpec], catalogue: &mut Catalogue) {
    for row in rows {
        *catalogue = catalogue.with(row.clone()).unwrap_or_else(|_| catalogue.clone());
    }
}

/// The MIG layouts of a scenario's initial clusters, each once.
fn of_scenario(
    path: &Path,
    args: &Validate,
    catalogue: &mut Catalogue,
    terminal: &Terminal,
) -> Result<Vec<Target>, Failure> {
    let (file, _) = super::run::load(Some(path), &args.set, args.gpus.as_deref(), terminal)?;
    let mut targets: Vec<Target> = Vec::new();
    for variant in &file.variants {
        lay(&variant.gpus, catalogue);
        for group in &variant.cluster.nodes {
            let (Some(gpus), Mode::Mig(slices)) = (&group.gpus, &group.mode) else { continue };
            let known =
                targets.iter().any(|t| t.product.as_ref() == Some(&gpus.model) && t.slices == *slices);
            if !known {
                targets.push(Target {
                    origin: format!("{}: {}", variant.name, group.name),
                    product: Some(gpus.model.clone()),
                    slices: slices.clone(),
                });
            }
        }
    }
    if targets.is_empty() {
        let help = "a node group with `mode: {mig: [...]}` has one";
        let name = path.display().to_string();
        return Err(Failure::input("no-target", &name, "no MIG layout in this scenario", help));
    }
    Ok(targets)
}

fn saved(file: &Path) -> Result<Reply, Failure> {
    let text = super::run::read_text(file)?;
    Reply::parse(&text).map_err(|error| {
        let mut diagnostic = Diagnostic::error("bad-reply", &file.display().to_string(), error.to_string());
        if let Some((line, column)) = error.place() {
            diagnostic.line = line;
            diagnostic.column = column;
        }
        Failure::Input(vec![diagnostic.help("`slicewise device save FILE` writes one")])
    })
}

/// The driver, or exit code 3: without it nothing was touched.
fn open(library: Option<&Path>, terminal: &Terminal) -> Result<Nvml, Failure> {
    Nvml::open(library).map_err(|error| {
        let help = "run it on a machine with an NVIDIA driver, or use --offline or --reply FILE";
        terminal.complain(vec![Diagnostic::error("no-driver", "NVML", error.to_string()).help(help)]);
        Failure::No(Outcome::Blocked.exit_code())
    })
}

/// Levels 1, 2 and 3.
fn on_devices(
    args: &Validate,
    catalogue: &Catalogue,
    targets: &[Target],
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let nvml = open(args.nvml.as_deref(), terminal)?;
    let source = "the driver of this machine";
    let folder = state_folder(args.state_dir.as_deref())?;
    if !args.apply && !args.recover {
        let inventory = Inventory::of(&nvml.read(&args.uuid));
        let mut report = validate::device(&inventory, catalogue, targets, source);
        if let Some(sharing) = sharing(args)? {
            share(args, &nvml, &inventory, catalogue, &sharing, &folder, &mut report)?;
        }
        let uuids: Vec<String> = report.judged.iter().filter_map(|j| j.uuid.clone()).collect();
        // What root left, others should hear of too.
        let mut unfinished = apply::unfinished(&folder, &uuids);
        if args.state_dir.is_none() && folder != Path::new(ROOTS_STATE) {
            unfinished.extend(apply::unfinished(Path::new(ROOTS_STATE), &uuids));
        }
        for uuid in unfinished {
            report.warn_unfinished(&uuid);
        }
        return Ok(report);
    }
    let host = Host::default();
    let stop = interruptible();
    let watch = |event: Event<'_>| {
        if let Event::Restoring(reason) = event {
            terminal.say(&format!("restoring what stood before: {reason}"));
        }
    };
    let program = this_program()?;
    let probes = Probes {
        program: &program,
        control: &args.mps_control,
        cuda: args.cuda.as_deref(),
        measure: args.measure.is_some(),
        stop: &stop,
    };
    let measure = |slices: &[(String, String)]| sharing::measure_slices(&probes, slices);
    let session = Session {
        nvml: &nvml,
        host: &host,
        folder: &folder,
        level: if args.toggle_mig { 3 } else { 2 },
        forced: args.force,
        wait: &|| std::thread::sleep(PAUSE),
        stop: &stop,
        watch: &watch,
        measure: if args.measure.is_some() { Some(&measure) } else { None },
    };
    if args.recover {
        return Ok(apply::recover(&session, catalogue, &args.uuid, source));
    }
    let report = apply::run(&session, catalogue, &args.uuid, targets, source, args.dry_run);
    let answers = report.judged.iter().flat_map(|j| &j.targets);
    write_timed(args, answers.filter_map(|a| a.applied.as_ref()).flat_map(|a| &a.timed))?;
    Ok(report)
}

/// This program, which is its own probes.
fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::Output(format!("this program: {e}")))
}

/// Writes timed steps where they were asked for.
fn write_timed<'a>(args: &Validate, timed: impl IntoIterator<Item = &'a Timed>) -> Result<(), Failure> {
    let Some(file) = &args.measure else { return Ok(()) };
    let csv = sharing::csv(timed);
    report::atomic(file, |out| out.write_all(csv.as_bytes()))
        .map_err(|error| Failure::Output(error.to_string()))
}

/// How GPUs are to be shared, if that was asked.
fn sharing(args: &Validate) -> Result<Option<Sharing>, Failure> {
    if let Some(limits) = &args.mps {
        let sharing = Sharing::parse_mps(limits).map_err(|why| {
            Failure::input("bad-limits", limits, why, "write limits of clients in GB, such as `10gb x2 20gb`")
        })?;
        return Ok(Some(sharing));
    }
    let replicas = args.mps_replicas.map(|replicas| Sharing::MpsReplicas { replicas });
    Ok(replicas.or(args.time_slicing.map(|replicas| Sharing::TimeSlicing { replicas })))
}

/// Shares each GPU named, one after the other, if nobody uses any of them.
fn share(
    args: &Validate,
    nvml: &Nvml,
    inventory: &Inventory,
    catalogue: &Catalogue,
    how: &Sharing,
    folder: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    // Memory is taken to the last block: whoever else is on the GPU would fail.
    let host = Host::default();
    let stop = AtomicBool::new(false);
    let session = Session {
        nvml,
        host: &host,
        folder,
        level: 3,
        forced: true,
        wait: &|| std::thread::sleep(PAUSE),
        stop: &stop,
        watch: &|_| {},
        measure: None,
    };
    let _locks = match apply::lock(folder, &args.uuid) {
        Ok(locks) => locks,
        Err(why) => {
            report.blocked.push(why);
            return Ok(());
        }
    };
    report.blocked.extend(session.idle(&args.uuid));
    for device in &inventory.devices {
        if device.mode.is_ok_and(|mode| mode.current) {
            let uuid = device.uuid.as_deref().unwrap_or("a GPU");
            report.blocked.push(format!("{uuid}: MIG is on; sharing is probed on whole GPUs"));
        }
    }
    if !inventory.unknown.is_empty() || !report.blocked.is_empty() {
        return Ok(());
    }
    let program = this_program()?;
    let stop = interruptible();
    let probes = Probes {
        program: &program,
        control: &args.mps_control,
        cuda: args.cuda.as_deref(),
        measure: args.measure.is_some(),
        stop: &stop,
    };
    for device in &inventory.devices {
        let (Some(uuid), Some(total)) = (&device.uuid, device.memory_mib) else { continue };
        let known = device.name.as_deref().and_then(|name| catalogue.find(name));
        let wrong = sharing::plan_findings(how, known, total, report.driver.as_deref());
        let sms = known.map(|k| u32::from(k.sms()));
        let mut shared = sharing::share(&probes, uuid, how, total, sms);
        shared.findings.splice(0..0, wrong.iter().cloned());
        if !wrong.is_empty() {
            shared.outcome = shared.outcome.max(Outcome::NotFeasible);
        }
        report.shared.push(shared);
    }
    write_timed(args, report.shared.iter().flat_map(|s| &s.timed))
}

/// A flag that the first signal sets. Further ones change nothing: what is being restored is restored.
fn interruptible() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let set = ctrlc::set_handler(move || {
        if !flag.swap(true, Ordering::SeqCst) {
            eprintln!("interrupted: what stood before is restored first");
        }
    });
    // Without a handler a signal ends the process, and the next run restores.
    drop(set);
    stop
}

/// Where locks, snapshots and journals are: on storage that outlives a reboot.
fn state_folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = asked {
        return Ok(folder.to_owned());
    }
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if is_root() {
        return Ok(PathBuf::from(ROOTS_STATE));
    }
    let home = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    home.map(|folder| folder.join("slicewise")).ok_or_else(|| {
        let help = "name a folder that outlives a reboot with --state-dir";
        Failure::input("no-state-dir", "--state-dir", "neither XDG_STATE_HOME nor HOME is set", help)
    })
}

/// Whether this process is root's.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Prints the report, writes it where it was asked for, and answers.
fn finish(args: &Validate, report: &Report, terminal: &Terminal) -> Result<(), Failure> {
    let outcome = report.outcome();
    let json = json!({"outcome": outcome, "exit_code": outcome.exit_code(), "report": report});
    let json = format!("{json:#}\n");
    print(&match args.format {
        ValidateFormat::Text => validate::text(report),
        ValidateFormat::Json => json.clone(),
    })?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(|e| Failure::Output(format!("{}: {e}", out.display())))?;
        for (name, text) in [("validate.json", json), ("validate.html", validate::page(report))] {
            report::atomic(&out.join(name), |file| file.write_all(text.as_bytes()))
                .map_err(|error| Failure::Output(error.to_string()))?;
        }
        terminal.say(&format!("wrote {}", out.join("validate.html").display()));
    }
    match outcome.exit_code() {
        0 => Ok(()),
        // Nothing may hide that a GPU is not as it was.
        code if args.exit_zero && outcome != Outcome::RollbackFailed && code != 130 => Ok(()),
        code => Err(Failure::No(code)),
    }
}

/// `slicewise device …`.
pub(super) fn device(verb: &DeviceVerb, terminal: &Terminal) -> Result<(), Failure> {
    match verb {
        DeviceVerb::Save(save) => self::save(save, terminal),
    }
}

fn save(args: &Save, terminal: &Terminal) -> Result<(), Failure> {
    let nvml = open(args.nvml.as_deref(), terminal)?;
    let reply = nvml.read(&args.uuid);
    let text = reply.to_text();
    if args.file == Path::new("-") {
        return print(&text);
    }
    report::atomic(&args.file, |file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Output(error.to_string()))?;
    let (calls, gpus) = (reply.calls.len(), Inventory::of(&reply).devices.len());
    terminal.say(&format!("wrote {}: {calls} calls, {gpus} GPUs", args.file.display()));
    terminal.say(&format!("next: slicewise validate --reply {}", args.file.display()));
    Ok(())
}
