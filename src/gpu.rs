//! GPU products and the ways MIG can cut them.
//!
//! A MIG GPU has compute slices (7 on the big parts) and memory slices (8 there). A [`Profile`]
//! takes so many of each and may start only at certain *memory* slices; a [`Layout`] is a legal set
//! of profiles with their starts. A100-40GB with `3g.20gb@4` beside four `1g.5gb`:
//!
//! ```text
//! memory slice   0    1    2    3    4    5    6    7
//!              | 1g | 1g | 1g | 1g |        3g         |   compute slices used: 4 + 3 of 7
//! ```
//!
//! The same four slices beside a 3g at 0 do not fit: no plain 1g starts at 7. Names are not keys
//! between products (`1g.10gb` is the plain slice of an A100-80GB and the double-memory slice of an
//! A100-40GB), so a slice is always meant on one product.

mod catalogue;
mod layout;
mod states;

pub use catalogue::{Catalogue, CatalogueError};
pub use layout::{Layout, LayoutError, Slice};
pub use states::{Counts, counts, states};

use crate::diag::nearest;
use crate::units::Mib;
use serde::Deserialize;

/// The NVML profile of the 1g slice with twice the memory (`1_SLICE_REV2`): no attribute tells it
/// from the plain one.
const DOUBLE_MEMORY_ENUM: u8 = 9;

/// How far a fact can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Estimated, extrapolated or unconfirmed: no reason to reject a plan on its own.
    Low,
    /// One document, or copied from a sibling product.
    Medium,
    /// A real listing or two sources that agree.
    High,
}

/// Fixed-function engines of a GPU or of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "[u8; 5]")]
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

impl Engines {
    /// The engines that limit a layout (rule 3 of MIG placement), with their names.
    #[must_use]
    pub fn media(self) -> [(&'static str, u8); 4] {
        [("NVDEC", self.nvdec), ("NVENC", self.nvenc), ("JPEG", self.jpeg), ("OFA", self.ofa)]
    }
}

/// What MPS can do on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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

/// One MIG profile of one product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(skip)]
    index: u8,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    id: Option<u32>,
    #[serde(rename = "enum")]
    nvml_enum: u8,
    #[serde(rename = "compute")]
    compute_slices: u8,
    #[serde(rename = "memory")]
    memory_slices: u8,
    memory_mib: u64,
    sms: u16,
    #[serde(rename = "max")]
    max_instances: u8,
    starts: Vec<u8>,
    engines: Option<Engines>,
    #[serde(default)]
    attributes: Vec<Attribute>,
    confidence: Confidence,
    source: String,
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
        &self.name
    }

    /// Names under older drivers.
    #[must_use]
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// Kubernetes resource, such as `nvidia.com/mig-1g.5gb.me`.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("nvidia.com/mig-{}", self.name.replace('+', "."))
    }

    /// The number that `nvidia-smi mig -cgi` takes; `None` where it is not known.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// `NVML_GPU_INSTANCE_PROFILE_…`, unique within a product.
    #[must_use]
    pub fn nvml_enum(&self) -> u8 {
        self.nvml_enum
    }

    /// Compute slices taken.
    #[must_use]
    pub fn compute_slices(&self) -> u8 {
        self.compute_slices
    }

    /// Memory slices taken: the length of every placement.
    #[must_use]
    pub fn memory_slices(&self) -> u8 {
        self.memory_slices
    }

    /// Memory of an instance; 0 where it is not known (Thor).
    #[must_use]
    pub fn memory(&self) -> Mib {
        Mib(self.memory_mib)
    }

    /// Streaming multiprocessors; not proportional to compute slices from Hopper on.
    #[must_use]
    pub fn sms(&self) -> u16 {
        self.sms
    }

    /// Most instances on one GPU, as the driver prints it.
    #[must_use]
    pub fn max_instances(&self) -> u8 {
        self.max_instances
    }

    /// Memory slices at which an instance may start, ascending.
    #[must_use]
    pub fn starts(&self) -> &[u8] {
        &self.starts
    }

    /// Engines taken; `None` where they are not known (Thor).
    #[must_use]
    pub fn engines(&self) -> Option<Engines> {
        self.engines
    }

    /// What sets it apart from the plain profile.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// How far the row can be trusted.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Where it comes from: keys of [`Catalogue::sources`].
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is the double-memory 1g.
    #[must_use]
    pub fn is_double_memory(&self) -> bool {
        self.nvml_enum == DOUBLE_MEMORY_ENUM
    }

    /// Whether it is the ordinary profile of its compute slices: no attribute, no double memory.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.attributes.is_empty() && !self.is_double_memory()
    }
}

/// MIG side of a product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mig {
    compute_slices: u8,
    memory_slices: u8,
    engines: Option<Engines>,
    profiles: Vec<Profile>,
}

/// One GPU product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    id: String,
    name: String,
    #[serde(default)]
    variants: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    architecture: String,
    memory_mib: u64,
    memory_gb: u16,
    sms: u16,
    mps: Mps,
    confidence: Confidence,
    source: String,
    #[serde(default)]
    notes: Vec<String>,
    mig: Option<Mig>,
}

impl Product {
    /// Our name for it, such as `a100-40gb`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Name that NVML reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// NVML names of boards that are the same product to a simulator.
    #[must_use]
    pub fn variants(&self) -> &[String] {
        &self.variants
    }

    /// Value of the node label `nvidia.com/gpu.product`.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.replace(' ', "-")
    }

    /// Architecture, such as `Ampere`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Memory as NVML reports it.
    #[must_use]
    pub fn memory(&self) -> Mib {
        Mib(self.memory_mib)
    }

    /// Memory as it is sold, in GB: what MPS memory slices are counted in.
    #[must_use]
    pub fn memory_gb(&self) -> u16 {
        self.memory_gb
    }

    /// Streaming multiprocessors.
    #[must_use]
    pub fn sms(&self) -> u16 {
        self.sms
    }

    /// What MPS can do on it.
    #[must_use]
    pub fn mps(&self) -> Mps {
        self.mps
    }

    /// How far the row can be trusted.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Where it comes from: keys of [`Catalogue::sources`].
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What else should be known about the row.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether MIG can cut it.
    #[must_use]
    pub fn is_mig(&self) -> bool {
        self.mig.is_some()
    }

    /// Compute slices; 0 without MIG.
    #[must_use]
    pub fn compute_slices(&self) -> u8 {
        self.mig.as_ref().map_or(0, |m| m.compute_slices)
    }

    /// Memory slices; 0 without MIG.
    #[must_use]
    pub fn memory_slices(&self) -> u8 {
        self.mig.as_ref().map_or(0, |m| m.memory_slices)
    }

    /// Engines that its slices divide; `None` where they are not known or there is no MIG.
    #[must_use]
    pub fn engines(&self) -> Option<Engines> {
        self.mig.as_ref().and_then(|m| m.engines)
    }

    /// MIG profiles; empty without MIG.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        self.mig.as_ref().map_or(&[], |m| &m.profiles)
    }

    /// The profile of a name or an alias.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        let by_name = self.profiles().iter().find(|p| p.name == name);
        by_name.or_else(|| self.profiles().iter().find(|p| p.aliases.iter().any(|a| a == name)))
    }

    /// The plain profile of so many compute slices.
    #[must_use]
    pub fn plain(&self, compute_slices: u8) -> Option<&Profile> {
        self.profiles().iter().find(|p| p.is_plain() && p.compute_slices == compute_slices)
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
                p.name.replace('+', ".") == name || p.aliases.iter().any(|a| a.replace('+', ".") == name)
            };
            self.profiles().iter().find(dotted)
        })
    }

    /// The profile name that was probably meant.
    #[must_use]
    pub fn suggest_profile(&self, text: &str) -> Option<&str> {
        nearest(text, self.profiles().iter().map(Profile::name))
    }

    /// Names of its profiles, for messages: `1g.5gb, 1g.5gb+me, …`.
    #[must_use]
    pub fn profile_names(&self) -> String {
        self.profiles().iter().map(Profile::name).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
