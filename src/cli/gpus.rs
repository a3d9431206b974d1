//! `slicewise gpus`: the catalogue, one product, one layout.

use super::args::{Gpus, GpusFormat, GpusSet};
use super::{Failure, Terminal, print};
use crate::gpu::driver::{self, Driver};
use crate::gpu::{
    Catalogue, Confidence, Fragmentation, Geometry, Layout, Product, ProductSpec, Profile, ProfileSet, State,
};
use crate::partition::nos::hardware::{self, Check, Infeasible};
use crate::partition::nos::table::Tables;
use crate::report;
use crate::scenario;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// The catalogue inside the program, with a user's file laid over it; and the rows of that file.
pub(super) fn catalogue(file: Option<&Path>) -> Result<(Vec<ProductSpec>, Cow<'static, Catalogue>), Failure> {
    let Some(file) = file else { return Ok((Vec::new(), Cow::Borrowed(Catalogue::builtin()))) };
    let text = super::run::read_text(file)?;
    let (rows, catalogue) = scenario::load_gpus(&text, &file.display().to_string(), Catalogue::builtin())?;
    Ok((rows, Cow::Owned(catalogue)))
}

/// Does the verb.
pub(super) fn gpus(verb: &Gpus, terminal: &Terminal) -> Result<(), Failure> {
    let (_, catalogue) = catalogue(verb.gpus.as_deref())?;
    let Some(model) = verb.model.as_deref() else {
        return print(&match verb.format {
            GpusFormat::Text => list(&catalogue),
            GpusFormat::Json => format!("{:#}\n", catalogue.iter().map(json).collect::<Value>()),
            GpusFormat::Yaml => yaml(catalogue.iter()),
        });
    };
    let Some(product) = catalogue.find(model) else {
        let help = match catalogue.suggest(model) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`slicewise gpus` lists the models".to_owned(),
        };
        return Err(Failure::input("unknown-name", model, "no such GPU in the catalogue", &help));
    };
    if let Some(file) = &verb.svg {
        if !product.is_mig() {
            let message = format!("{} has no MIG: there is nothing to draw", product.id());
            return Err(Failure::input("no-mig", model, message, "`slicewise gpus` says which have"));
        }
        let svg = report::placements(product).svg();
        report::atomic(file, |out| out.write_all(svg.as_bytes()))
            .map_err(|error| Failure::Output(error.to_string()))?;
        terminal.say(&format!("wrote {}", file.display()));
    }
    if verb.check_nos {
        return print(&check_nos(product));
    }
    if let Some(layout) = &verb.layout {
        return print(&self::layout(product, layout)?);
    }
    print(&match verb.format {
        GpusFormat::Text => one(product, verb.geometries),
        GpusFormat::Json => format!("{:#}\n", json(product)),
        GpusFormat::Yaml => yaml(std::iter::once(product)),
    })
}

/// The catalogue, a line each.
fn list(catalogue: &Catalogue) -> String {
    let id = catalogue.iter().map(|p| p.id().len()).max().unwrap_or(0);
    let name = catalogue.iter().map(|p| p.name().len()).max().unwrap_or(0);
    let mut text = format!(
        "{:<id$}  {:<name$} {:>8} {:>4}  {:<17} {:>11}  confidence\n",
        "id", "name", "memory", "SMs", "MIG", "MPS clients"
    );
    for product in catalogue {
        let mig = match product.is_mig() {
            true => format!(
                "{}c {}m, {} profiles",
                product.compute_slices(),
                product.memory_slices(),
                product.profiles().len()
            ),
            false => "no".to_owned(),
        };
        let memory = format!("{} GB", product.memory_gb());
        let clients = format!("{} / {}", product.mps().clients, product.mps().clients_cuda_13_1);
        writeln!(
            text,
            "{:<id$}  {:<name$} {memory:>8} {:>4}  {mig:<17} {clients:>11}  {}",
            product.id(),
            product.name(),
            product.sms(),
            product.confidence().word(),
        )
        .expect("writing to a string succeeds");
    }
    text += "\nMIG: compute and memory slices. MPS clients of one GPU: CUDA up to 13.0 / from 13.1 on.\n";
    text
}

/// One product: facts, places, counts, geometries.
fn one(product: &Product, set: GpusSet) -> String {
    let mut text = facts(product);
    if !product.is_mig() {
        return text + "\nno MIG: MPS, time-slicing or whole\n";
    }
    text += &format!("\nplaces, by memory slice\n{}", report::placements_text(product));
    text += "\nlayouts          states  maximal  geometries  maximal\n";
    for (name, set) in ProfileSet::NAMED {
        let c = product.counts(set);
        text += &format!(
            "  {name:<14} {:>6} {:>8} {:>11} {:>8}\n",
            c.states, c.maximal_states, c.geometries, c.maximal_geometries
        );
    }
    text += &geometries(product, set.into());
    text += &doubts(product);
    text
}

fn facts(product: &Product) -> String {
    let mps = product.mps();
    let limit = if mps.memory_limit { "with a memory limit each" } else { "without memory limits" };
    let mut text = format!(
        "{} ({})\n  {}, {}, {} SMs, label {}\n  MPS: {} clients up to CUDA 13.0, {} from 13.1 on, {limit}; \
         {} replicas in NVIDIA's device plugin\n  confidence {}, from {}\n",
        product.name(),
        product.id(),
        product.architecture(),
        product.memory(),
        product.sms(),
        product.label(),
        mps.clients,
        mps.clients_cuda_13_1,
        mps.plugin_replicas,
        product.confidence().word(),
        product.source(),
    );
    let others: Vec<&str> = product.names().skip(2).collect();
    if !others.is_empty() {
        text += &format!("  also known as {}\n", others.join(", "));
    }
    for note in product.notes() {
        text += &format!("  note: {note}\n");
    }
    text
}

/// Maximal geometries, and which of them a tool that gives no places cannot count on.
fn geometries(product: &Product, set: ProfileSet) -> String {
    let states = product.states();
    let driver = Driver::new(product);
    let mut maximal = states.maximal_geometries(&product.profiles_of(set));
    maximal.sort_by_key(|g| states.by_size(*g).map(|p| product.at(p).size_order()).collect::<Vec<_>>());
    let mut text = "\nmaximal geometries\n".to_owned();
    for geometry in maximal {
        let largest_first: Vec<u8> = states.by_size(geometry).collect();
        let smallest_first = largest_first.iter().rev().copied();
        let reached = |order: &mut dyn Iterator<Item = u8>| driver.create_all(State::EMPTY, order).is_some();
        let note =
            match (reached(&mut largest_first.iter().copied()), reached(&mut smallest_first.into_iter())) {
                (true, true) => "",
                (true, false) => "   (without places: create the larger slices first)",
                (false, _) => "   (needs explicit places)",
            };
        text += &format!("  {}{note}\n", geometry.describe(product));
    }
    let confidence = driver::confidence(product).word();
    text + &format!(
        "  (what the driver does without places is a model fitted to listings, confidence {confidence})\n"
    )
}

/// Where nos' two tables are wrong or incomplete for a product.
fn check_nos(product: &Product) -> String {
    let mut text = String::new();
    for (name, tables) in [
        ("the table that nos' charts deploy", Tables::deployed()),
        ("the table in nos' code (its unit tests)", Tables::builtin()),
    ] {
        text += &format!("{name}\n");
        let checks = hardware::check(product, &tables);
        if checks.is_empty() {
            text += &format!("  no entry for {}: nos leaves such nodes as they are\n", product.id());
        }
        for check in checks {
            text += &entry(product, &check);
        }
    }
    text
}

/// One entry of nos' tables, a line for each finding.
fn entry(product: &Product, check: &Check) -> String {
    let mut lines = Vec::new();
    if !check.is_label {
        lines.push(format!("no board carries this label (nvidia.com/gpu.product={})", product.label()));
    }
    for Infeasible { geometry, unknown } in &check.infeasible {
        let listed: Vec<String> = geometry.iter().map(|(p, n)| format!("{p} x{n}")).collect();
        let why = match unknown.is_empty() {
            true => String::new(),
            false => format!(" (it has no {})", unknown.join(", ")),
        };
        lines.push(format!("impossible: {}{why}", listed.join(" + ")));
    }
    let old =
        check.old_names.iter().map(|(old, today)| format!("old name: {old} is {today} on today's drivers"));
    lines.extend(old);
    let mut each = |what: &str, geometries: &[Geometry]| {
        lines.extend(geometries.iter().map(|g| format!("{what}: {}", g.describe(product))));
    };
    each("missing, though maximal", &check.missing);
    each("listed, though more fits", &check.not_maximal);
    each("needs the larger slices created first", &check.depends_on_order);
    let never: Vec<&str> = check.never_offered.iter().map(|p| product.at(*p).name()).collect();
    if !never.is_empty() {
        lines.push(format!("never offered: {}", never.join(", ")));
    }
    if lines.is_empty() {
        lines.push("as the hardware has it".to_owned());
    }
    lines.iter().fold(format!("  {}\n", check.model), |text, line| text + &format!("    {line}\n"))
}

/// Rows that are less sure than the product.
fn doubts(product: &Product) -> String {
    let unsure: Vec<&Profile> =
        product.profiles().iter().filter(|p| p.confidence() < Confidence::High).collect();
    if unsure.is_empty() {
        return String::new();
    }
    let mut text = "\nprofiles below high confidence\n".to_owned();
    for profile in unsure {
        text +=
            &format!("  {}: {}, from {}\n", profile.name(), profile.confidence().word(), profile.source());
    }
    text
}

/// What a layout leaves free, and for which profiles.
fn layout(product: &Product, layout: &str) -> Result<String, Failure> {
    let names: Vec<&str> = layout.split([',', ' ']).filter(|n| !n.is_empty()).collect();
    let placed = Layout::place(product, &names).map_err(|error| {
        let help = error.help().unwrap_or_else(|| "write profiles and places as `3g@4 1g@0`".to_owned());
        Failure::input("bad-layout", layout, error.to_string(), &help)
    })?;
    let states = product.states();
    let state = states.state(placed);
    let mut text = report::layout_text(product, placed);
    let widest = product.profiles().iter().map(|p| p.name().len()).max().unwrap_or(0);
    text += &format!(
        "\n  {:<widest$}  {:>4}  {:<14} stranded for it: memory slices, compute slices\n",
        "profile", "more", "at"
    );
    for profile in product.profiles() {
        let free = states.free_starts(state, profile.index());
        let starts: Vec<String> = (0..16).filter(|s| free >> s & 1 == 1).map(|s: u8| s.to_string()).collect();
        let stranded = Fragmentation::of(product, state, &[(profile.index(), 1)]);
        text += &format!(
            "  {:<widest$}  {:>4}  {:<14} {:>3.0} % {:>6.0} %\n",
            profile.name(),
            states.more(state, profile.index()),
            starts.join(" "),
            100.0 * stranded.memory.stranded(),
            100.0 * stranded.compute.stranded(),
        );
    }
    Ok(text)
}

/// A product for scripts.
fn json(product: &Product) -> Value {
    let counts = |set| {
        let c = product.counts(set);
        json!({
            "states": c.states,
            "maximal_states": c.maximal_states,
            "geometries": c.geometries,
            "maximal_geometries": c.maximal_geometries,
        })
    };
    let counts = match product.is_mig() {
        true => ProfileSet::NAMED.iter().map(|(name, set)| ((*name).to_owned(), counts(*set))).collect(),
        false => Value::Null,
    };
    let profile = |p: &Profile| {
        json!({
            "name": p.name(),
            "aliases": p.aliases(),
            "resource": p.resource(),
            "id": p.id(),
            "nvml_profile_enum": p.nvml_enum(),
            "compute_slices": p.compute_slices(),
            "memory_slices": p.memory_slices(),
            "memory_mib": p.memory().0,
            "sm_count": p.sms(),
            "instance_count": p.max_instances(),
            "placements": p.starts().iter().map(|s| json!({"start": s, "size": p.memory_slices()})).collect::<Value>(),
            "engines": p.engines().map(engines),
            "attributes": p.attributes(),
            "confidence": p.confidence(),
            "source": p.source(),
        })
    };
    json!({
        "id": product.id(),
        "product": product.name(),
        "label": product.label(),
        "also_known_as": product.names().skip(2).collect::<Vec<_>>(),
        "architecture": product.architecture(),
        "memory_mib": product.memory().0,
        "memory_gb": product.memory_gb(),
        "sm_count": product.sms(),
        "mps": product.mps(),
        "compute_slices": product.compute_slices(),
        "memory_slices": product.memory_slices(),
        "engines": product.engines().map(engines),
        "counts": counts,
        "profiles": product.profiles().iter().map(profile).collect::<Value>(),
        "driver_model_confidence": product.is_mig().then(|| driver::confidence(product)),
        "confidence": product.confidence(),
        "source": product.source(),
        "notes": product.notes(),
    })
}

fn engines(e: crate::gpu::Engines) -> Value {
    json!({"copy": e.copy, "nvdec": e.nvdec, "nvenc": e.nvenc, "jpeg": e.jpeg, "ofa": e.ofa})
}

/// Products as a file that `--gpus` reads: a start for one's own.
fn yaml<'a>(products: impl Iterator<Item = &'a Product>) -> String {
    crate::yaml::emit(&json!({"gpus": products.map(|p| json!(p.to_spec())).collect::<Value>()}))
}

impl From<GpusSet> for ProfileSet {
    fn from(set: GpusSet) -> ProfileSet {
        match set {
            GpusSet::Base => ProfileSet::Base,
            GpusSet::DoubleMemory => ProfileSet::DoubleMemory,
            GpusSet::Media => ProfileSet::Media,
            GpusSet::All => ProfileSet::All,
        }
    }
}
