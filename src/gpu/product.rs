//! One GPU product: what it has, what MIG can cut it into, and how far each fact can be trusted.
//!
//! A row is written as a [`ProductSpec`], in `data/gpus.json` or by a user, and becomes a
//! [`Product`] through one constructor that checks it, so that nobody past it asks whether a profile
//! fits its product.

use super::places::{Place, PlaceId, Places, engine_lanes};
use super::states::{Counts, ProfileSet, States};
use crate::diag::nearest;
use crate::units::Mib;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The NVML profile of the 1g slice with twice the memory (`1_SLICE_REV2`): no attribute tells it
/// from the plain one.
const DOUBLE_MEMORY_ENUM: u8 = 9;

/// Most memory slices of a product: 12 are known, and counts of slices are packed in four bits.
const MEMORY_SLICES_MAX: u8 = 14;

/// Most profiles of a product: 11 are known, and a [`super::Geometry`] has a count for 16.
const PROFILES_MAX: usize = 16;

/// Most of one kind of engine: the sum of two layouts' stays below 128, as lanes demand.
const ENGINES_MAX: u8 = 60;

/// How far a fact can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Estimated, extrapolated or unconfirmed: no reason to reject a plan on its own.
    Low,
    /// One document, or copied from a sibling product.
    Medium,
    /// A real listing or two sources that agree.
    High,
}

impl Confidence {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// Fixed-function engines of a GPU or of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "[u8; 5]", into = "[u8; 5]")]
pub struct Engines {
    /// Copy engines; they never bind beyond the placements.
    pub copy: u8,
    /// Video decoders.
    pub nvdec: u8,
    /// Video encoders.
    pub nvenc: u8,
    /// JPEG decoders.
    pub jpeg: u8,
    /// Optical flow accelerators.
    pub ofa: u8,
}

impl From<[u8; 5]> for Engines {
    fn from([copy, nvdec, nvenc, jpeg, ofa]: [u8; 5]) -> Engines {
        Engines { copy, nvdec, nvenc, jpeg, ofa }
    }
}

impl From<Engines> for [u8; 5] {
    fn from(e: Engines) -> [u8; 5] {
        [e.copy, e.nvdec, e.nvenc, e.jpeg, e.ofa]
    }
}

impl Engines {
    /// The engines that limit a layout (rule 3 of MIG placement), with their names.
    #[must_use]
    pub fn media(self) -> [(&'static str, u8); 4] {
        [("NVDEC", self.nvdec), ("NVENC", self.nvenc), ("JPEG", self.jpeg), ("OFA", self.ofa)]
    }
}

/// What MPS can do on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mps {
    /// Clients of one GPU, CUDA up to 13.0.
    pub clients: u16,
    /// Clients of one GPU from CUDA 13.1 (driver R590) on.
    pub clients_cuda_13_1: u16,
    /// Whether a client's memory can be limited (Volta and later).
    pub memory_limit: bool,
    /// Most replicas that NVIDIA's device plugin accepts.
    pub plugin_replicas: u16,
}

/// What sets a profile apart from the plain one of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Attribute {
    /// `+me`: with media engines, of which there is one set.
    #[serde(rename = "me")]
    Media,
    /// `+me.all`: with every media engine of the GPU.
    #[serde(rename = "me.all")]
    AllMedia,
    /// `-me`: without media engines.
    #[serde(rename = "no-me")]
    NoMedia,
    /// `+gfx`: with graphics.
    #[serde(rename = "gfx")]
    Graphics,
}

impl Attribute {
    /// Every attribute by its word.
    pub const WORDS: [(&str, Attribute); 4] = [
        ("me", Attribute::Media),
        ("me.all", Attribute::AllMedia),
        ("no-me", Attribute::NoMedia),
        ("gfx", Attribute::Graphics),
    ];
}

/// A MIG profile as a row of the table says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Name as current drivers print it.
    pub name: String,
    /// Names under older drivers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The number that `nvidia-smi mig -cgi` takes, where it is known.
    pub id: Option<u32>,
    /// `NVML_GPU_INSTANCE_PROFILE_…`.
    #[serde(rename = "enum")]
    pub nvml_enum: u8,
    /// Compute slices taken.
    #[serde(rename = "compute")]
    pub compute_slices: u8,
    /// Memory slices taken.
    #[serde(rename = "memory")]
    pub memory_slices: u8,
    /// Memory of an instance; 0 where it is not known.
    pub memory_mib: u64,
    /// Streaming multiprocessors.
    pub sms: u16,
    /// Most instances on one GPU.
    #[serde(rename = "max")]
    pub max_instances: u8,
    /// Memory slices at which an instance may start.
    pub starts: Vec<u8>,
    /// Engines taken; `None` where they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engines: Option<Engines>,
    /// What sets it apart from the plain profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// How far the row can be trusted.
    pub confidence: Confidence,
    /// Where it comes from.
    pub source: String,
}

/// The MIG side of a product as a row of the table says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MigSpec {
    /// Compute slices.
    pub compute_slices: u8,
    /// Memory slices.
    pub memory_slices: u8,
    /// Engines that its slices divide; `None` where they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engines: Option<Engines>,
    /// Profiles.
    pub profiles: Vec<ProfileSpec>,
}

/// A product as a row of the table says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProductSpec {
    /// Our name for it.
    pub id: String,
    /// Name that NVML reports.
    pub name: String,
    /// NVML names of boards that are the same product to a simulator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// Other words for it that tools use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// PCI device ids of its boards, such as `0x20B0`, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pci: Vec<String>,
    /// Architecture.
    pub architecture: String,
    /// Memory as NVML reports it.
    pub memory_mib: u64,
    /// Memory as it is sold, in GB.
    pub memory_gb: u16,
    /// Streaming multiprocessors.
    pub sms: u16,
    /// What MPS can do on it.
    pub mps: Mps,
    /// How far the row can be trusted.
    pub confidence: Confidence,
    /// Where it comes from.
    pub source: String,
    /// What else should be known about the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// MIG, where it has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig: Option<MigSpec>,
}

/// What is wrong with a [`ProductSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of its profiles, by position; `None` for the product itself.
    pub profile: Option<usize>,
    /// The key as the table spells it.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
}

/// One MIG profile of one product.
#[derive(Clone, Debug)]
pub struct Profile {
    index: u8,
    spec: ProfileSpec,
}

impl Profile {
    /// Position in [`Product::profiles`].
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Name as current drivers print it, such as `1g.5gb+me`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Names under older drivers.
    #[must_use]
    pub fn aliases(&self) -> &[String] {
        &self.spec.aliases
    }

    /// Kubernetes resource, such as `nvidia.com/mig-1g.5gb.me`.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("nvidia.com/mig-{}", self.name().replace('+', "."))
    }

    /// The number that `nvidia-smi mig -cgi` takes; `None` where it is not known.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.spec.id
    }

    /// `NVML_GPU_INSTANCE_PROFILE_…`, unique within a product.
    #[must_use]
    pub fn nvml_enum(&self) -> u8 {
        self.spec.nvml_enum
    }

    /// Compute slices taken.
    #[must_use]
    pub fn compute_slices(&self) -> u8 {
        self.spec.compute_slices
    }

    /// Memory slices taken: the length of every placement.
    #[must_use]
    pub fn memory_slices(&self) -> u8 {
        self.spec.memory_slices
    }

    /// Memory of an instance; 0 where it is not known (Thor).
    #[must_use]
    pub fn memory(&self) -> Mib {
        Mib(self.spec.memory_mib)
    }

    /// Streaming multiprocessors; not proportional to compute slices from Hopper on.
    #[must_use]
    pub fn sms(&self) -> u16 {
        self.spec.sms
    }

    /// Most instances on one GPU, as the driver prints it.
    #[must_use]
    pub fn max_instances(&self) -> u8 {
        self.spec.max_instances
    }

    /// Memory slices at which an instance may start, ascending.
    #[must_use]
    pub fn starts(&self) -> &[u8] {
        &self.spec.starts
    }

    /// Engines taken; `None` where they are not known (Thor).
    #[must_use]
    pub fn engines(&self) -> Option<Engines> {
        self.spec.engines
    }

    /// What sets it apart from the plain profile.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.spec.attributes
    }

    /// How far the row can be trusted.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.spec.confidence
    }

    /// Where it comes from: keys of [`super::Catalogue::sources`].
    #[must_use]
    pub fn source(&self) -> &str {
        &self.spec.source
    }

    /// Whether it is the double-memory 1g.
    #[must_use]
    pub fn is_double_memory(&self) -> bool {
        self.nvml_enum() == DOUBLE_MEMORY_ENUM
    }

    /// Whether it is the ordinary profile of its compute slices: no attribute, no double memory.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.attributes().is_empty() && !self.is_double_memory()
    }

    /// Larger profiles first: compute slices, then memory slices, both descending; equals by NVML
    /// enum.
    pub fn size_order(&self) -> impl Ord + use<> {
        use std::cmp::Reverse;
        (Reverse(self.compute_slices()), Reverse(self.memory_slices()), self.nvml_enum())
    }
}

/// One GPU product.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its row, but for the profiles, which stand below.
    spec: ProductSpec,
    profiles: Vec<Profile>,
    places: Vec<Place>,
    states: OnceLock<Box<States>>,
}

impl Product {
    /// Checks a row. The starts of its profiles may come in any order.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(mut spec: ProductSpec) -> Result<Product, Vec<Fault>> {
        for profile in spec.mig.iter_mut().flat_map(|mig| &mut mig.profiles) {
            profile.starts.sort_unstable();
        }
        let faults = faults(&spec);
        if !faults.is_empty() {
            return Err(faults);
        }
        let rows = spec.mig.as_mut().map_or_else(Vec::new, |mig| std::mem::take(&mut mig.profiles));
        let number = |(index, spec)| Profile { index: u8::try_from(index).expect("few profiles"), spec };
        let profiles: Vec<Profile> = rows.into_iter().enumerate().map(number).collect();
        let places = Place::all(&profiles);
        Ok(Product { spec, profiles, places, states: OnceLock::new() })
    }

    /// The row it was made from.
    #[must_use]
    pub fn to_spec(&self) -> ProductSpec {
        let mut spec = self.spec.clone();
        if let Some(mig) = &mut spec.mig {
            mig.profiles = self.profiles.iter().map(|p| p.spec.clone()).collect();
        }
        spec
    }

    /// Our name for it, such as `a100-40gb`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// Name that NVML reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// NVML names of boards that are the same product to a simulator.
    #[must_use]
    pub fn variants(&self) -> &[String] {
        &self.spec.variants
    }

    /// Value of the node label `nvidia.com/gpu.product`.
    #[must_use]
    pub fn label(&self) -> String {
        self.name().replace(' ', "-")
    }

    /// Everything it is called: id, NVML names, other words that tools use. Labels are NVML names
    /// with `-` for a blank.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = [&self.spec.id, &self.spec.name].into_iter();
        names.chain(&self.spec.variants).chain(&self.spec.labels).map(String::as_str)
    }

    /// PCI device ids of its boards, such as `0x20B0`; empty where they are not known.
    #[must_use]
    pub fn pci(&self) -> &[String] {
        &self.spec.pci
    }

    /// Architecture, such as `Ampere`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.spec.architecture
    }

    /// Memory as NVML reports it.
    #[must_use]
    pub fn memory(&self) -> Mib {
        Mib(self.spec.memory_mib)
    }

    /// Memory as it is sold, in GB: what MPS memory slices are counted in.
    #[must_use]
    pub fn memory_gb(&self) -> u16 {
        self.spec.memory_gb
    }

    /// Streaming multiprocessors.
    #[must_use]
    pub fn sms(&self) -> u16 {
        self.spec.sms
    }

    /// What MPS can do on it.
    #[must_use]
    pub fn mps(&self) -> Mps {
        self.spec.mps
    }

    /// How far the row can be trusted.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.spec.confidence
    }

    /// Where it comes from: keys of [`super::Catalogue::sources`].
    #[must_use]
    pub fn source(&self) -> &str {
        &self.spec.source
    }

    /// What else should be known about the row.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.spec.notes
    }

    /// Whether MIG can cut it.
    #[must_use]
    pub fn is_mig(&self) -> bool {
        self.spec.mig.is_some()
    }

    /// Compute slices; 0 without MIG.
    #[must_use]
    pub fn compute_slices(&self) -> u8 {
        self.spec.mig.as_ref().map_or(0, |m| m.compute_slices)
    }

    /// Memory slices; 0 without MIG.
    #[must_use]
    pub fn memory_slices(&self) -> u8 {
        self.spec.mig.as_ref().map_or(0, |m| m.memory_slices)
    }

    /// Engines that its slices divide; `None` where they are not known or there is no MIG.
    #[must_use]
    pub fn engines(&self) -> Option<Engines> {
        self.spec.mig.as_ref().and_then(|m| m.engines)
    }

    /// MIG profiles; empty without MIG.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The profile of an index.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, index: u8) -> &Profile {
        &self.profiles[usize::from(index)]
    }

    /// Every place that a slice can stand at, by start, then NVML enum; at most 64.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The place of a profile at a start.
    #[must_use]
    pub fn place(&self, profile: u8, start: u8) -> Option<PlaceId> {
        let found = self.places.iter().position(|p| p.slice.profile == profile && p.slice.start == start);
        found.map(PlaceId::new)
    }

    /// Every layout it can hold, in tables. The first call makes them (about a millisecond).
    #[must_use]
    pub fn states(&self) -> &States {
        self.states.get_or_init(|| Box::new(States::of(self)))
    }

    /// How many layouts there are of the profiles of a set.
    #[must_use]
    pub fn counts(&self, set: ProfileSet) -> Counts {
        self.states().counts(&self.profiles_of(set))
    }

    /// The profiles of a set, by index.
    #[must_use]
    pub fn profiles_of(&self, set: ProfileSet) -> Vec<u8> {
        self.profiles.iter().filter(|p| set.contains(p)).map(|p| p.index).collect()
    }

    /// The profile of a name or an alias.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        let by_name = self.profiles.iter().find(|p| p.name() == name);
        by_name.or_else(|| self.profiles.iter().find(|p| p.aliases().iter().any(|a| a == name)))
    }

    /// The plain profile of so many compute slices.
    #[must_use]
    pub fn plain(&self, compute_slices: u8) -> Option<&Profile> {
        self.profiles.iter().find(|p| p.is_plain() && p.compute_slices() == compute_slices)
    }

    /// The profile that takes the whole GPU; `None` without MIG.
    #[must_use]
    pub fn full(&self) -> Option<&Profile> {
        self.plain(self.compute_slices())
    }

    /// The profile that a person means by `2g`, `2g.10gb`, `mig-2g.10gb`, `1g.5gb.me` or
    /// `nvidia.com/mig-2g.10gb`.
    #[must_use]
    pub fn resolve_profile(&self, text: &str) -> Option<&Profile> {
        let text = text.trim().to_lowercase();
        let name = text.strip_prefix("nvidia.com/").unwrap_or(&text);
        let name = name.strip_prefix("mig-").unwrap_or(name);
        if let Some(slices) = name.strip_suffix('g') {
            return slices.parse().ok().and_then(|n| self.plain(n));
        }
        // A resource name has a dot where the profile has a plus.
        self.profile(name).or_else(|| {
            let dotted = |p: &&Profile| {
                p.name().replace('+', ".") == name || p.aliases().iter().any(|a| a.replace('+', ".") == name)
            };
            self.profiles.iter().find(dotted)
        })
    }

    /// The profile name that was probably meant.
    #[must_use]
    pub fn suggest_profile(&self, text: &str) -> Option<&str> {
        // Whoever got the memory wrong has the slices right.
        let slices = |name: &str| name.split('.').next().map(str::to_owned);
        let alike = self.profiles.iter().map(Profile::name).filter(|name| slices(name) == slices(text));
        nearest(text, alike).or_else(|| nearest(text, self.profiles.iter().map(Profile::name)))
    }

    /// Names of its profiles, for messages: `1g.5gb, 1g.5gb+me, …`.
    #[must_use]
    pub fn profile_names(&self) -> String {
        self.profiles.iter().map(Profile::name).collect::<Vec<_>>().join(", ")
    }
}

/// What is wrong with a row, the starts of whose profiles ascend.
fn faults(spec: &ProductSpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |holds: bool, profile: Option<usize>, key: &'static str, what: &dyn Fn() -> String| {
        if !holds {
            faults.push(Fault { profile, key, what: what() });
        }
    };
    fault(!spec.id.trim().is_empty(), None, "id", &|| "an empty id".to_owned());
    fault(!spec.name.trim().is_empty(), None, "name", &|| "an empty name".to_owned());
    let device = |id: &String| {
        id.strip_prefix("0x").is_some_and(|hex| hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    fault(spec.pci.iter().all(device), None, "pci", &|| "a PCI device id is written `0x20B0`".to_owned());
    fault(spec.memory_gb > 0, None, "memory_gb", &|| "no memory".to_owned());
    let Some(mig) = &spec.mig else { return faults };
    let slices = mig.memory_slices;
    fault((1..=MEMORY_SLICES_MAX).contains(&slices), None, "memory_slices", &|| {
        format!("{slices} memory slices; slicewise counts 1 to {MEMORY_SLICES_MAX}")
    });
    fault(mig.profiles.len() <= PROFILES_MAX, None, "profiles", &|| {
        format!("{} profiles; slicewise counts up to {PROFILES_MAX}", mig.profiles.len())
    });
    fault(
        mig.profiles.iter().map(|p| p.starts.len()).sum::<usize>() <= Places::MOST,
        None,
        "profiles",
        &|| format!("more than {} places for slices", Places::MOST),
    );
    let most = |e: Engines| e.media().iter().all(|(_, n)| *n <= ENGINES_MAX);
    fault(mig.engines.is_none_or(most), None, "engines", &|| "more engines than any GPU has".to_owned());
    let plain = |p: &ProfileSpec| p.attributes.is_empty() && p.nvml_enum != DOUBLE_MEMORY_ENUM;
    let full = |p: &ProfileSpec| plain(p) && p.compute_slices == mig.compute_slices;
    fault(mig.profiles.iter().any(full), None, "profiles", &|| "no profile takes the whole GPU".to_owned());
    for (index, profile) in mig.profiles.iter().enumerate() {
        let at = Some(index);
        let what = |text: &str| format!("{}: {text}", profile.name);
        fault(profile.compute_slices <= mig.compute_slices, at, "compute", &|| {
            what("too many compute slices")
        });
        fault(0 < profile.memory_slices, at, "memory", &|| what("no memory slice"));
        fault(profile.starts.is_sorted_by(|a, b| a < b), at, "starts", &|| what("a start is given twice"));
        let within = |s: &u8| s.checked_add(profile.memory_slices).is_some_and(|end| end <= slices);
        fault(profile.starts.last().is_some_and(within), at, "starts", &|| {
            what(&format!("a place beyond the {slices} memory slices, or none at all"))
        });
        let known = profile.engines.is_some() == mig.engines.is_some();
        fault(known, at, "engines", &|| what("engines known in part"));
        let enough = |needed: Engines, there: Engines| engine_lanes(needed).within(engine_lanes(there));
        let suffice = profile
            .engines
            .zip(mig.engines)
            .is_none_or(|(needed, there)| most(needed) && most(there) && enough(needed, there));
        fault(suffice, at, "engines", &|| what("more engines than the GPU has"));
        for other in &mig.profiles[..index] {
            fault(profile.name != other.name, at, "name", &|| what("named twice"));
            fault(profile.nvml_enum != other.nvml_enum, at, "enum", &|| what("its NVML enum is taken"));
            let both_plain = plain(profile) && plain(other);
            fault(!both_plain || profile.compute_slices != other.compute_slices, at, "compute", &|| {
                what("a second plain profile of its size")
            });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Catalogue;

    #[track_caller]
    fn check(product: &str, text: &str, expected: Option<&str>) {
        let product = Catalogue::builtin().find(product).expect("a product of the catalogue");
        assert_eq!(product.resolve_profile(text).map(Profile::name), expected, "{text}");
    }

    #[test]
    fn profiles_are_found_as_people_and_tools_write_them() {
        for text in ["2g", "2g.10gb", "mig-2g.10gb", "nvidia.com/mig-2g.10gb", " 2G.10GB "] {
            check("a100-40gb", text, Some("2g.10gb"));
        }
        check("a100-40gb", "1g", Some("1g.5gb"));
        check("a100-40gb", "1g.10gb", Some("1g.10gb"));
        check("a100-80gb", "1g.10gb", Some("1g.10gb"));
        check("a100-80gb", "7g.79gb", Some("7g.80gb"));
        check("a100-40gb", "nvidia.com/mig-1g.5gb.me", Some("1g.5gb+me"));
        check("gb200-186gb", "mig-1g.24gb.me", Some("1g.23gb+me"));
        for text in ["5g", "2g.20gb", "", "g", "mig-", "-1g"] {
            check("a100-40gb", text, None);
        }
        check("t4", "1g", None);
    }

    #[test]
    fn double_memory_and_attributes_are_not_plain() {
        let a100 = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
        let plain: Vec<_> = a100.profiles().iter().filter(|p| p.is_plain()).map(Profile::name).collect();
        assert_eq!(plain, ["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]);
        assert_eq!(a100.full().map(Profile::name), Some("7g.40gb"));
        assert_eq!(
            a100.profile("1g.5gb+me").map(Profile::resource).as_deref(),
            Some("nvidia.com/mig-1g.5gb.me")
        );
    }
}
