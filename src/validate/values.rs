//! A product made of what a device reports, so that the planner runs on the board itself.

use super::{Finding, Severity};
use crate::device::{Device, DeviceProfile, Instance, Place};
use crate::gpu::{
    Attribute, Catalogue, Confidence, Engines, Fault, MigSpec, Places, Product, ProductSpec, Profile,
    ProfileSpec, State,
};

/// What a profile is named by on the device, and what an apply must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The number that creation takes.
    pub id: u32,
    /// Memory slices.
    pub size: u32,
    /// Compute slices.
    pub slices: u32,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// What a device can be cut into, by its own words.
#[derive(Clone, Debug)]
pub struct Values {
    /// As a product that the planner reads.
    pub product: Product,
    /// Facts by index of the product's profiles.
    pub facts: Vec<Facts>,
    /// `device`, or `catalogue` where the device did not say.
    pub basis: &'static str,
}

impl Values {
    /// The values of a device, completed from the catalogue's row of it, and what was odd about them.
    /// `None` where neither says enough.
    #[must_use]
    pub fn of(device: &Device, known: Option<&Product>) -> (Option<Values>, Vec<Finding>) {
        let mut findings = Vec::new();
        if let Some(code) = device.profiles_failed {
            // A profile may be there and not have been told: nothing can be refused on such values.
            let what = format!("not all profiles could be read: {code}");
            let help = "targets are judged by the catalogue instead";
            findings.push(Finding::new(Severity::Warning, "profiles-not-read", what).help(help));
        }
        if device.profiles.is_empty() || device.profiles_failed.is_some() {
            return (known.and_then(Values::of_catalogue), findings);
        }
        let mut facts = Vec::new();
        let mut profiles = Vec::new();
        let mut unread = 0;
        for read in &device.profiles {
            let row =
                known.and_then(|k| k.profiles().iter().find(|p| u32::from(p.nvml_enum()) == read.nvml_enum));
            let places = match (&read.places, row) {
                (Ok(places), _) if !places.is_empty() => places.clone(),
                (_, Some(row)) => {
                    unread += 1;
                    let size = u32::from(row.memory_slices());
                    row.starts().iter().map(|s| Place { start: u32::from(*s), size }).collect()
                }
                _ => continue,
            };
            let Some(spec) = spec(read, row, &places) else { continue };
            facts.push(Facts {
                id: read.id,
                size: places[0].size,
                slices: read.slices,
                sms: read.sms,
                memory_mib: read.memory_mib,
            });
            profiles.push(spec);
        }
        if 0 < unread {
            let what =
                format!("the device did not tell the places of {unread} profiles: the catalogue's are used");
            findings.push(Finding::new(Severity::Warning, "places-not-read", what));
        }
        if let Some(known) = known
            && let Some(order) = same(known, &profiles)
        {
            let facts = order.into_iter().map(|at| facts[at]).collect();
            let basis = if unread == 0 { "device" } else { "device and catalogue" };
            // With the tables that the catalogue's product has already.
            let _ = known.states();
            return (Some(Values { product: known.clone(), facts, basis }), findings);
        }
        match product(device, known, profiles) {
            Ok(product) => {
                let basis = if unread == 0 { "device" } else { "device and catalogue" };
                (Some(Values { product, facts, basis }), findings)
            }
            Err(what) => {
                let what = format!("the device's own profiles cannot be planned with: {what}");
                findings.push(Finding::new(Severity::Error, "values-contradict", what));
                (known.and_then(Values::of_catalogue), findings)
            }
        }
    }

    /// The values of the catalogue; `None` for a product without MIG or with unknown ids.
    fn of_catalogue(product: &Product) -> Option<Values> {
        let fact = |p: &Profile| {
            Some(Facts {
                id: p.id()?,
                size: u32::from(p.memory_slices()),
                slices: u32::from(p.compute_slices()),
                sms: u32::from(p.sms()),
                memory_mib: p.memory().0,
            })
        };
        let facts: Option<Vec<Facts>> = product.profiles().iter().map(fact).collect();
        let facts = facts.filter(|f| !f.is_empty())?;
        Some(Values { product: product.clone(), facts, basis: "catalogue" })
    }

    /// The layout of what stands; `None` if these values do not allow it.
    #[must_use]
    pub fn state(&self, instances: &[Instance]) -> Option<State> {
        let place = |i: &Instance| {
            let profile = self.facts.iter().position(|f| f.id == i.profile && f.size == i.place.size)?;
            self.product.place(profile as u8, u8::try_from(i.place.start).ok()?)
        };
        let places: Option<Places> = instances.iter().map(place).collect();
        self.product.states().find(places?)
    }

    /// The name of a profile id.
    #[must_use]
    pub fn name(&self, id: u32) -> String {
        let found = self.facts.iter().position(|f| f.id == id);
        found.map_or_else(|| format!("profile {id}"), |i| self.product.at(i as u8).name().to_owned())
    }
}

/// Where, among the profiles of a device, each of a product's stands, if they can be placed alike in
/// every respect.
fn same(known: &Product, profiles: &[ProfileSpec]) -> Option<Vec<usize>> {
    if known.profiles().len() != profiles.len() {
        return None;
    }
    let at = |row: &Profile| {
        let alike = |p: &ProfileSpec| {
            p.nvml_enum == row.nvml_enum()
                && p.compute_slices == row.compute_slices()
                && p.memory_slices == row.memory_slices()
                && p.engines == row.engines()
                && p.starts.len() == row.starts().len()
                && row.starts().iter().all(|s| p.starts.contains(s))
        };
        profiles.iter().position(alike)
    };
    known.profiles().iter().map(at).collect()
}

/// A row for a profile that was read; `None` if its numbers are beyond what is counted.
fn spec(read: &DeviceProfile, row: Option<&Profile>, places: &[Place]) -> Option<ProfileSpec> {
    let name = row.map(|r| r.name().to_owned()).or_else(|| read.name.clone());
    let name = name.unwrap_or_else(|| format!("{}g#{}", read.slices, read.id));
    let attributes = row.map_or_else(|| attributes(&name), |r| r.attributes().to_vec());
    let byte = |n: u32| u8::try_from(n).ok();
    let starts: Option<Vec<u8>> = places.iter().map(|p| byte(p.start)).collect();
    let [copy, nvdec, nvenc, jpeg, ofa] = read.engines.map(|n| byte(n).unwrap_or(u8::MAX));
    let engines = match row {
        // Where the catalogue does not know the engines, neither does the driver: it says none at all.
        Some(row) if row.engines().is_none() => None,
        _ => Some(Engines { copy, nvdec, nvenc, jpeg, ofa }),
    };
    Some(ProfileSpec {
        name,
        aliases: row.map_or_else(Vec::new, |r| r.aliases().to_vec()),
        id: Some(read.id),
        nvml_enum: byte(read.nvml_enum)?,
        compute_slices: byte(read.slices)?,
        memory_slices: byte(places.first()?.size)?,
        memory_mib: read.memory_mib,
        sms: u16::try_from(read.sms).ok()?,
        max_instances: byte(read.instances)?,
        starts: starts?,
        engines,
        attributes,
        confidence: Confidence::High,
        source: "device".to_owned(),
    })
}

/// What a name says: `1g.24gb+me.all`.
fn attributes(name: &str) -> Vec<Attribute> {
    let ends = |(word, attribute): &(&str, Attribute)| {
        let tail = match attribute {
            Attribute::NoMedia => "-me".to_owned(),
            _ => format!("+{word}"),
        };
        name.ends_with(&tail).then_some(*attribute)
    };
    Attribute::WORDS.iter().filter_map(ends).collect()
}

/// The product of these profiles.
fn product(device: &Device, known: Option<&Product>, profiles: Vec<ProfileSpec>) -> Result<Product, String> {
    let name = device.name.clone().unwrap_or_else(|| "unnamed GPU".to_owned());
    let most = |of: &dyn Fn(&ProfileSpec) -> u8| profiles.iter().map(of).max().unwrap_or(0);
    let end = |p: &ProfileSpec| p.starts.iter().max().map_or(0, |s| s.saturating_add(p.memory_slices));
    // NVML does not tell a GPU's engines: the slice that takes all of it has them.
    let full = profiles.iter().max_by_key(|p| (p.memory_slices, p.engines.map(<[u8; 5]>::from)));
    let engines = known.map_or_else(|| full.and_then(|p| p.engines), Product::engines);
    let row = known.map(Product::to_spec);
    let spec = ProductSpec {
        id: known.map_or_else(|| name.clone(), |k| k.id().to_owned()),
        memory_mib: device.memory_mib.unwrap_or(0),
        memory_gb: known.map_or(1, Product::memory_gb),
        architecture: known.map_or_else(String::new, |k| k.architecture().to_owned()),
        sms: known.map_or(0, Product::sms),
        variants: Vec::new(),
        labels: Vec::new(),
        pci: Vec::new(),
        mps: row.map_or(DEFAULT_MPS, |r| r.mps),
        confidence: Confidence::High,
        source: "device".to_owned(),
        notes: Vec::new(),
        mig: Some(MigSpec {
            compute_slices: most(&|p| p.compute_slices),
            memory_slices: known.map_or(0, Product::memory_slices).max(most(&end)),
            engines,
            profiles,
        }),
        name,
    };
    let words = |faults: Vec<Fault>| faults.into_iter().map(|f| f.what).collect::<Vec<_>>().join("; ");
    // An empty catalogue refuses more layouts than can be numbered, which `Product::new` does not.
    let empty = Catalogue::parse("{\"sources\":{},\"products\":[]}").expect("a table without rows");
    match empty.with(spec.clone()) {
        // Counts of instances are compared elsewhere: the driver's are wrong at times.
        Err(faults) if faults.iter().any(|f| f.key != "max") => Err(words(faults)),
        _ => Product::new(spec).map_err(words),
    }
}

/// What a GPU is taken for that the catalogue does not know: Volta's limits.
const DEFAULT_MPS: crate::gpu::Mps =
    crate::gpu::Mps { clients: 48, clients_cuda_13_1: 60, memory_limit: true, plugin_replicas: 48 };
