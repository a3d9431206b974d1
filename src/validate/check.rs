//! Levels 0 and 1: a device's answers against the catalogue, and targets against both.

use super::target::Target;
use super::values::Values;
use super::{Answer, Finding, Judged, Report, Severity};
use crate::device::{Asked, Class, Device, DeviceProfile, Inventory, Mode};
use crate::gpu::driver::{self, Driver};
use crate::gpu::{
    Catalogue, Confidence, Geometry, Layout, Places, Product, State, Step, plan_geometry, plan_to,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Memory may differ by so many hundredths: drivers reserve more or less of it.
const MEMORY_PERCENT: u64 = 2;

/// Whether a target can be had on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Verdict {
    /// It can.
    Feasible {
        /// The layout that the planner chose, or the one asked for.
        layout: String,
        /// Slices that must go first.
        destroys: Vec<String>,
        /// Slices to create, in this order, at these places.
        creates: Vec<String>,
        /// Whether tools that give no places get there.
        without_places: WithoutPlaces,
        /// How far the model of the driver's choice, which that rests on, can be trusted.
        driver_model: Confidence,
        /// How far the values that it rests on can be trusted.
        confidence: Confidence,
    },
    /// It cannot.
    Infeasible {
        /// Why.
        why: String,
        /// What is near and can be had.
        help: Option<String>,
        /// How far the values that it rests on can be trusted.
        confidence: Confidence,
    },
    /// Nothing is known to judge it by.
    Unknown {
        /// What is missing.
        why: String,
    },
}

/// Whether a geometry can be created where the driver likes, which is what mig-parted, nos and
/// `nvidia-smi mig -cgi` without places do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutPlaces {
    /// In any order.
    AnyOrder,
    /// Larger slices first; other orders fail.
    LargerFirst,
    /// In no order: explicit places are needed.
    Never,
}

impl WithoutPlaces {
    /// On an empty GPU, by the model of the driver's choice.
    fn of(product: &Product, geometry: Geometry) -> WithoutPlaces {
        let driver = Driver::new(product);
        let larger = driver.create_all(State::EMPTY, product.states().by_size(geometry)).is_some();
        match (larger, every_order(&driver, State::EMPTY, geometry, &mut BTreeMap::new())) {
            (_, true) => WithoutPlaces::AnyOrder,
            (true, false) => WithoutPlaces::LargerFirst,
            (false, false) => WithoutPlaces::Never,
        }
    }

    /// As people say it.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            WithoutPlaces::AnyOrder => "tools that give no places create it in any order",
            WithoutPlaces::LargerFirst => {
                "tools that give no places must create the larger slices first (`nvidia-smi mig -cgi` in this order)"
            }
            WithoutPlaces::Never => {
                "needs explicit places: mig-parted, nos and `nvidia-smi mig -cgi` without places fail"
            }
        }
    }
}

/// Whether every order of creation succeeds from here.
fn every_order(
    driver: &Driver<'_>,
    state: State,
    left: Geometry,
    known: &mut BTreeMap<(State, Geometry), bool>,
) -> bool {
    if let Some(answer) = known.get(&(state, left)) {
        return *answer;
    }
    let answer = left.counts().all(|(profile, _)| {
        let rest = left.minus(Geometry::EMPTY.plus(profile)).expect("counted");
        driver.create(state, profile).is_some_and(|(after, _)| every_order(driver, after, rest, known))
    });
    known.insert((state, left), answer);
    answer
}

/// Level 0: targets against the catalogue. A target that names no product is judged on `product`.
#[must_use]
pub fn offline(catalogue: &Catalogue, product: Option<&Product>, targets: &[Target]) -> Report {
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        level: 0,
        source: "the catalogue".to_owned(),
        driver: None,
        nvml: None,
        findings: Vec::new(),
        judged: Vec::new(),
        blocked: Vec::new(),
        shared: Vec::new(),
        recovered: Vec::new(),
    };
    for target in targets {
        let named = target.product.as_deref().and_then(|name| catalogue.find(name));
        let Some(product) = named.or(product) else {
            let what =
                format!("{} ({}): no product is named to judge it by", target.describe(), target.origin);
            report.findings.push(Finding::new(Severity::Error, "no-product", what));
            continue;
        };
        let at = report.judged.iter().position(|j| j.product.as_deref() == Some(product.id()));
        let at = at.unwrap_or_else(|| {
            report.judged.push(of_catalogue(product));
            report.judged.len() - 1
        });
        let verdict = judge(product, State::EMPTY, target, product.confidence());
        report.judged[at].targets.push(answer(target, verdict));
    }
    report
}

fn answer(target: &Target, verdict: Verdict) -> Answer {
    Answer { target: target.describe(), origin: target.origin.clone(), verdict, applied: None }
}

fn of_catalogue(product: &Product) -> Judged {
    let mut findings = Vec::new();
    if product.confidence() < Confidence::High {
        let what = format!(
            "the catalogue's row is of {} confidence ({}): let a device answer before you rely on it",
            product.confidence().word(),
            product.source()
        );
        findings.push(Finding::new(Severity::Warning, "low-confidence", what));
    }
    let mig = if product.is_mig() { "not asked" } else { "not supported" };
    Judged {
        uuid: None,
        name: product.name().to_owned(),
        product: Some(product.id().to_owned()),
        confidence: Some(product.confidence()),
        pci: None,
        mig: mig.to_owned(),
        stands: None,
        profiles: (0, 0),
        basis: "catalogue",
        findings,
        targets: Vec::new(),
    }
}

/// Level 1: what devices answered, against the catalogue and for these targets. `source` says whose
/// answers they are.
#[must_use]
pub fn device(inventory: &Inventory, catalogue: &Catalogue, targets: &[Target], source: &str) -> Report {
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        level: 1,
        source: source.to_owned(),
        driver: inventory.driver.clone(),
        nvml: inventory.nvml.clone(),
        findings: Vec::new(),
        judged: Vec::new(),
        blocked: Vec::new(),
        shared: Vec::new(),
        recovered: Vec::new(),
    };
    for (uuid, code) in &inventory.unknown {
        let what = format!("the driver knows no GPU {uuid}: {code}");
        let help = "`nvidia-smi -L` lists the UUIDs of this machine";
        report.findings.push(Finding::new(Severity::Error, "unknown-uuid", what).help(help));
    }
    if let Some((call, code)) = &inventory.failed {
        let what = format!("{call} returned {code}");
        report.findings.push(Finding::new(Severity::Warning, "call-failed", what));
    }
    if inventory.devices.is_empty() && inventory.unknown.is_empty() {
        report.findings.push(Finding::new(Severity::Error, "no-device", "the driver shows no GPU"));
    }
    let mut judged_targets = vec![false; targets.len()];
    for device in &inventory.devices {
        let known = device.name.as_deref().and_then(|name| catalogue.find(name));
        let (mut judged, values) = judge_device(device, known);
        for (target, done) in targets.iter().zip(&mut judged_targets) {
            let meant = target.product.as_deref().and_then(|name| catalogue.find(name)).map(Product::id);
            if meant.is_some() && meant != known.map(Product::id) {
                continue;
            }
            *done = true;
            let verdict = judge_on(device, known, values.as_ref(), target);
            judged.targets.push(answer(target, verdict));
        }
        report.judged.push(judged);
    }
    let elsewhere = targets.iter().zip(judged_targets).filter(|(_, done)| !done);
    for (target, _) in elsewhere.filter(|_| !inventory.devices.is_empty()) {
        let product = target.product.as_deref().unwrap_or("any GPU");
        let what = format!("{} ({}) is for {product}, which is not here", target.describe(), target.origin);
        let help = "`--offline` judges it by the catalogue";
        report.findings.push(Finding::new(Severity::Error, "no-such-device", what).help(help));
    }
    report
}

/// A device against its row.
fn judge_device(device: &Device, known: Option<&Product>) -> (Judged, Option<Values>) {
    let (values, odd) = Values::of(device, known);
    let mut judged = Judged {
        uuid: device.uuid.clone(),
        name: device.name.clone().unwrap_or_else(|| "unnamed GPU".to_owned()),
        product: known.map(|k| k.id().to_owned()),
        confidence: known.map(Product::confidence),
        pci: device.pci.clone(),
        mig: mig_in_words(device),
        stands: None,
        profiles: (0, 0),
        basis: values.as_ref().map_or("nothing", |v| v.basis),
        findings: odd,
        targets: Vec::new(),
    };
    let findings = &mut judged.findings;
    if known.is_none() {
        let what = format!("the catalogue does not know `{}`: nothing to compare with", judged.name);
        let help = "`--gpus FILE` lays rows of your own over the catalogue";
        findings.push(Finding::new(Severity::Warning, "unknown-product", what).help(help));
    }
    if let Ok(Mode { current, pending }) = device.mode
        && current != pending
    {
        let what = format!("MIG is {} until a reset, then {}", on_off(current), on_off(pending));
        findings.push(Finding::new(Severity::Warning, "mode-pending", what));
    }
    for (call, code) in &device.failed {
        findings.push(Finding::new(Severity::Warning, "call-failed", format!("{call} returned {code}")));
    }
    if let Some(known) = known {
        total_memory(device, known, findings);
        judged.profiles = compare_profiles(device, known, findings);
    }
    if let Some(values) = &values {
        judged.stands = standing(device, values, findings);
    }
    (judged, values)
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn mig_in_words(device: &Device) -> String {
    match device.mode {
        Ok(mode) => on_off(mode.current).to_owned(),
        Err(code) if code.class(Asked::Read) == Class::Unsupported => "not supported".to_owned(),
        Err(code) => format!("not read: {code}"),
    }
}

/// Whether two memories are within a few hundredths of the larger.
pub(super) fn near(a: u64, b: u64) -> bool {
    u128::from(a.abs_diff(b)) * 100 <= u128::from(MEMORY_PERCENT) * u128::from(a.max(b))
}

fn total_memory(device: &Device, known: &Product, findings: &mut Vec<Finding>) {
    let Some(read) = device.memory_mib else { return };
    if !near(read, known.memory().0) {
        let what =
            format!("{read} MiB of memory; the catalogue has {} MiB for {}", known.memory().0, known.id());
        findings.push(Finding::new(Severity::Warning, "memory", what));
    }
}

/// Compares the profiles of a device with the catalogue's; how many were compared, and how many are
/// the same in all that must be.
fn compare_profiles(device: &Device, known: &Product, findings: &mut Vec<Finding>) -> (usize, usize) {
    // Calls that failed are told with the values.
    if device.profiles_failed.is_some() {
        return (0, 0);
    }
    if device.profiles.is_empty() && known.is_mig() {
        let told = |code, what: &str, severity| {
            Finding::new(severity, code, what).help("targets are judged by the catalogue instead")
        };
        findings.push(match device.mode {
            Ok(mode) if !mode.current => told(
                "profiles-not-read",
                "this driver tells profiles only while MIG is on, and it is off",
                Severity::Warning,
            ),
            Ok(_) => told("profiles-not-read", "the driver told no profiles", Severity::Warning),
            Err(_) => told(
                "no-mig",
                &format!("the driver says that it has no MIG; {} has", known.id()),
                Severity::Error,
            ),
        });
        return (0, 0);
    }
    let mut same = 0;
    for row in known.profiles() {
        let found = device.profiles.iter().find(|p| p.nvml_enum == u32::from(row.nvml_enum()));
        let mut differ = Vec::new();
        // A row that is not sure of itself is no reason to call a device wrong.
        let severity = if row.confidence() == Confidence::Low { Severity::Warning } else { Severity::Error };
        match found {
            None => differ.push((severity, "profile-missing", "the device does not have it".to_owned())),
            Some(read) => compare_profile(read, row, known, severity, &mut differ),
        }
        same += usize::from(differ.iter().all(|(s, ..)| *s != Severity::Error));
        for (severity, code, what) in differ {
            findings.push(Finding::new(severity, code, format!("{}: {what}", row.name())));
        }
    }
    for read in &device.profiles {
        if !known.profiles().iter().any(|p| u32::from(p.nvml_enum()) == read.nvml_enum) {
            let name = read.name.clone().unwrap_or_else(|| format!("{} compute slices", read.slices));
            let what =
                format!("{name} (id {}, enum {}): the catalogue does not have it", read.id, read.nvml_enum);
            findings.push(Finding::new(Severity::Warning, "profile-unknown", what));
        }
    }
    (known.profiles().len(), same)
}

type Difference = (Severity, &'static str, String);

fn compare_profile(
    read: &DeviceProfile,
    row: &crate::gpu::Profile,
    known: &Product,
    severity: Severity,
    differ: &mut Vec<Difference>,
) {
    match row.id() {
        Some(id) if id != read.id => {
            differ.push((severity, "profile-id", format!("its id is {}; the catalogue has {id}", read.id)));
        }
        None => differ.push((
            Severity::Note,
            "profile-id",
            format!("its id is {}, which the catalogue does not know", read.id),
        )),
        Some(_) => {}
    }
    let starts: Vec<u32> = row.starts().iter().map(|s| u32::from(*s)).collect();
    match &read.places {
        Ok(places) => {
            let mut there: Vec<u32> = places.iter().map(|p| p.start).collect();
            there.sort_unstable();
            let size = u32::from(row.memory_slices());
            if there != starts || places.iter().any(|p| p.size != size) {
                let list = |starts: &[u32], size: u32| {
                    let starts: Vec<String> = starts.iter().map(u32::to_string).collect();
                    format!("{{{}}}:{size}", starts.join(","))
                };
                let its = list(&there, places.first().map_or(0, |p| p.size));
                let what = format!("its places are {its}; the catalogue has {}", list(&starts, size));
                differ.push((severity, "placements", what));
            }
        }
        Err(code) => differ.push((
            Severity::Warning,
            "placements-not-read",
            format!("its places could not be read: {code}"),
        )),
    }
    let most = u32::from(row.max_instances());
    if read.instances != most {
        // Some A30 drivers count wrong; places and engines say how many there can be.
        let wrong = known.id() == "a30-24gb" && read.places.as_ref().is_ok_and(|p| p.len() == starts.len());
        let severity = if wrong { Severity::Warning } else { severity };
        let known = if wrong { " (a known fault of some A30 drivers)" } else { "" };
        let what = format!(
            "the driver counts {} instances at most; the catalogue has {most}{known}",
            read.instances
        );
        differ.push((severity, "instance-count", what));
    }
    if read.slices != u32::from(row.compute_slices()) {
        let what = format!("{} compute slices; the catalogue has {}", read.slices, row.compute_slices());
        differ.push((severity, "compute-slices", what));
    }
    if 0 < row.memory().0 && !near(read.memory_mib, row.memory().0) {
        let what = format!(
            "{} MiB; the catalogue has {} MiB, more than {MEMORY_PERCENT} % apart",
            read.memory_mib,
            row.memory().0
        );
        differ.push((severity, "profile-memory", what));
    }
    if read.sms != u32::from(row.sms()) {
        let what = format!("{} SMs; the catalogue has {}", read.sms, row.sms());
        differ.push((Severity::Warning, "sms", what));
    }
    if let Some(engines) = row.engines() {
        let row: [u8; 5] = engines.into();
        if row.map(u32::from) != read.engines {
            let what = format!(
                "copy, NVDEC, NVENC, JPEG, OFA engines are {:?}; the catalogue has {row:?}",
                read.engines
            );
            differ.push((Severity::Warning, "engines", what));
        }
    }
}

/// What stands, in words; odd things about it become findings.
fn standing(device: &Device, values: &Values, findings: &mut Vec<Finding>) -> Option<String> {
    let instances = match device.instances.as_ref()? {
        Ok(instances) => instances,
        Err((call, code)) => {
            let what = format!("what stands could not be read: {call} returned {code}");
            findings.push(Finding::new(Severity::Warning, "instances-not-read", what));
            return None;
        }
    };
    let Some(state) = values.state(instances) else {
        let list: Vec<String> =
            instances.iter().map(|i| format!("{}@{}", values.name(i.profile), i.place.start)).collect();
        let what = format!("what stands cannot be by the device's own profiles: {}", list.join(" "));
        findings.push(Finding::new(Severity::Error, "standing-illegal", what));
        return Some(list.join(" "));
    };
    let states = values.product.states();
    for (profile, facts) in values.product.profiles().iter().zip(&values.facts) {
        let read = device.profiles.iter().find(|p| p.id == facts.id).and_then(|p| p.remaining);
        let fit = u32::from(states.more(state, profile.index()));
        if let Some(Ok(more)) = read
            && more != fit
        {
            let what =
                format!("{}: the driver has room for {more} more, by the rules {fit} fit", profile.name());
            let help = "something else may take room on it; a target that needs the room may be refused";
            findings.push(Finding::new(Severity::Warning, "room", what).help(help));
        }
    }
    Some(states.layout(state).describe(&values.product))
}

/// A target on a device.
fn judge_on(device: &Device, known: Option<&Product>, values: Option<&Values>, target: &Target) -> Verdict {
    let Some(values) = values else {
        return match known {
            Some(known) => judge(known, State::EMPTY, target, known.confidence()),
            None => Verdict::Unknown {
                why: "neither the device nor the catalogue says what it can hold".to_owned(),
            },
        };
    };
    let stands = match &device.instances {
        Some(Ok(instances)) => values.state(instances).unwrap_or(State::EMPTY),
        _ => State::EMPTY,
    };
    let confidence = match values.basis {
        "device" => Confidence::High,
        _ => known.map_or(Confidence::Low, Product::confidence),
    };
    judge(&values.product, stands, target, confidence)
}

/// The layout to have for a target, from what stands in the fewest steps where the places are free.
pub(super) fn layout(product: &Product, standing: State, target: &Target) -> Result<Layout, Verdict> {
    let placed = target.place(product).map_err(|error| Verdict::Infeasible {
        why: error.to_string(),
        help: error.help(),
        confidence: Confidence::High,
    })?;
    if target.has_places() {
        return Ok(placed);
    }
    let states = product.states();
    let plan = plan_geometry(states, standing, Places::NONE, placed.geometry(product));
    let plan = plan.expect("a geometry that some layout has, with nothing pinned");
    Ok(states.layout(plan.result(states, standing)))
}

fn judge(product: &Product, standing: State, target: &Target, sure: Confidence) -> Verdict {
    let layout = match layout(product, standing, target) {
        Ok(layout) => layout,
        Err(Verdict::Infeasible { why, help, .. }) => {
            return Verdict::Infeasible { why, help, confidence: sure };
        }
        Err(other) => return other,
    };
    let states = product.states();
    let plan = plan_to(states, standing, states.state(layout));
    let (mut destroys, mut creates) = (Vec::new(), Vec::new());
    for step in plan.steps(states) {
        match step {
            Step::Destroy(p) => destroys.push(crate::gpu::describe(Places::one(p), product)),
            Step::Create(p) => creates.push(crate::gpu::describe(Places::one(p), product)),
        }
    }
    let rows = layout.slices(product).into_iter().map(|s| product.at(s.profile).confidence());
    Verdict::Feasible {
        layout: layout.describe(product),
        destroys,
        creates,
        without_places: WithoutPlaces::of(product, layout.geometry(product)),
        driver_model: driver::confidence(product),
        confidence: rows.min().unwrap_or(sure).min(sure),
    }
}
