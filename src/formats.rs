//! The files that say how GPUs are cut and shared, as other programs read them.
//!
//! A [`Plan`] is written as a file of one of these [`Format`]s by [`export`], which says what the
//! format cannot carry and refuses what would be lost; [`read`] recognizes and reads files of all of
//! them, each value with its place, and complains about what their own readers would refuse or
//! silently drop.
//!
//! | format | carries |
//! |---|---|
//! | mig-parted, GPU operator | counts of MIG profiles per GPU |
//! | mig-parted's checkpoint | MIG slices with their places, by UUID |
//! | nos geometries | which counts of plain profiles a model may have |
//! | nos annotations | counts of plain profiles, or MPS slices in whole GB, per GPU |
//! | NVIDIA's device plugin | equal replicas by MPS or time-slicing, for all GPUs of a node |
//! | nebuly's device plugin | MPS slices in whole GB per GPU; time-slicing |
//! | DRA | claims and classes: profiles, MPS limits, not places |
//! | `nvidia-smi` script | MIG slices with their places |
//!
//! Rules are those read in the programs' sources: mig-parted bd7160f, gpu-operator a22dbf6, nos
//! 12e0a72, k8s-device-plugin 1b826ac, nebuly's fork 1e18198, dra-driver-gpu 2240711.

mod checkpoint;
mod cluster;
mod document;
mod dra;
pub mod mig_parted;
pub mod nos;
pub mod plugin;
mod smi;

pub use checkpoint::{Checkpoint, CheckpointDevice, Instance};
pub use cluster::plan_of;
pub use document::{Content, Document, Kind, read};
pub use dra::{Claim, ClaimChoice, ClaimRequest, Class, Sharing};
pub use smi::{Script, ScriptGpu, ScriptNode};

use crate::gpu::{Geometry, Layout, Product};
use sha2::{Digest, Sha256};
use std::fmt;

/// How the GPUs of some nodes are to be cut and shared.
#[derive(Clone, Debug)]
pub struct Plan<'c> {
    /// Nodes, by distinct names.
    pub nodes: Vec<NodePlan<'c>>,
}

/// The GPUs of one node, all of one product.
#[derive(Clone, Debug)]
pub struct NodePlan<'c> {
    /// Its name in Kubernetes.
    pub name: String,
    /// What its GPUs are.
    pub product: &'c Product,
    /// Its GPUs by index.
    pub gpus: Vec<GpuPlan>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuPlan {
    /// Its UUID, where it is known.
    pub uuid: Option<String>,
    /// What is to become of it.
    pub cut: Cut,
}

/// How one GPU is given to pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whole, MIG off.
    Whole,
    /// MIG slices at their places.
    Mig(Layout),
    /// MIG slices whose places are left to whoever creates them.
    Counts(Geometry),
    /// MPS slices of so many GB of memory each, largest first.
    Mps(Vec<MpsSlice>),
    /// So many equal shares by MPS.
    MpsReplicas(u16),
    /// So many pods in turn.
    TimeSlices(u16),
}

/// Equal MPS slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MpsSlice {
    /// Memory of each, in GB as GPUs are sold.
    pub gb: u16,
    /// How many.
    pub count: u16,
}

impl Cut {
    /// The counts of MIG profiles, if it is MIG.
    #[must_use]
    pub fn geometry(&self, product: &Product) -> Option<Geometry> {
        match self {
            Cut::Mig(layout) => Some(layout.geometry(product)),
            Cut::Counts(geometry) => Some(*geometry),
            _ => None,
        }
    }

    /// Slices with places, if it is MIG: those given, else the first that fit.
    #[must_use]
    pub fn layout(&self, product: &Product) -> Option<Layout> {
        match self {
            Cut::Mig(layout) => Some(*layout),
            Cut::Counts(geometry) => {
                let names: Vec<&str> = geometry.profiles().map(|p| product.at(p).name()).collect();
                Layout::place(product, &names).ok()
            }
            _ => None,
        }
    }

    /// How people call it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Cut::Whole => "a whole GPU",
            Cut::Mig(_) | Cut::Counts(_) => "MIG",
            Cut::Mps(_) => "MPS memory slices",
            Cut::MpsReplicas(_) => "MPS replicas",
            Cut::TimeSlices(_) => "time-slicing",
        }
    }
}

/// A file format that plans are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// mig-parted's configuration.
    MigParted,
    /// mig-parted's checkpoint of one node.
    Checkpoint,
    /// The ConfigMap of the GPU operator's MIG manager.
    GpuOperator,
    /// nos' known geometries.
    NosGeometries,
    /// Nodes with nos' annotations.
    NosAnnotations,
    /// ConfigMap of NVIDIA's device plugin.
    NvidiaPlugin,
    /// ConfigMap of nebuly's device plugin.
    NebulyPlugin,
    /// Claim templates for NVIDIA's DRA driver.
    DraClaims,
    /// Device classes for NVIDIA's DRA driver.
    DraClasses,
    /// A shell script of `nvidia-smi` commands.
    NvidiaSmi,
}

impl Format {
    /// Every format by its word.
    pub const WORDS: [(&'static str, Format); 10] = [
        ("mig-parted", Format::MigParted),
        ("checkpoint", Format::Checkpoint),
        ("gpu-operator", Format::GpuOperator),
        ("nos-geometries", Format::NosGeometries),
        ("nos-annotations", Format::NosAnnotations),
        ("nvidia-plugin", Format::NvidiaPlugin),
        ("nebuly-plugin", Format::NebulyPlugin),
        ("dra-claims", Format::DraClaims),
        ("dra-classes", Format::DraClasses),
        ("nvidia-smi", Format::NvidiaSmi),
    ];

    /// The format of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Format> {
        Format::WORDS.iter().find(|(known, _)| *known == word).map(|(_, format)| *format)
    }

    /// What such a file is, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Format::MigParted => "mig-parted's configuration: counts of MIG profiles",
            Format::Checkpoint => "mig-parted's checkpoint: MIG slices with places, one node by UUID",
            Format::GpuOperator => "ConfigMap of the GPU operator's MIG manager",
            Format::NosGeometries => "nos' known geometries",
            Format::NosAnnotations => "Nodes with nos' annotations",
            Format::NvidiaPlugin => "ConfigMap of NVIDIA's device plugin: replicas by MPS or time-slicing",
            Format::NebulyPlugin => "ConfigMap of nebuly's device plugin: MPS memory slices",
            Format::DraClaims => "Claim templates for NVIDIA's DRA driver",
            Format::DraClasses => "Device classes for NVIDIA's DRA driver",
            Format::NvidiaSmi => "Shell script of nvidia-smi commands: MIG slices with places",
        }
    }

    /// How names of such files end.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Checkpoint => "json",
            Format::NvidiaSmi => "sh",
            _ => "yaml",
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Format::WORDS.iter().find(|(_, f)| *f == self).map_or("", |(word, _)| word)
    }
}

/// A file, and what it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The file. Where the format has comments, the notes are among them.
    pub text: String,
    /// What the format cannot carry, and what it needs.
    pub notes: Vec<String>,
}

/// Why a plan cannot be written in a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node; empty if it is about all of them.
    pub node: String,
    /// One of its GPUs.
    pub gpu: Option<usize>,
    /// What cannot be carried, and by what it could be.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.node.as_str(), self.gpu) {
            ("", _) => f.write_str(&self.why),
            (node, None) => write!(f, "{node}: {}", self.why),
            (node, Some(gpu)) => write!(f, "{node}, GPU {gpu}: {}", self.why),
        }
    }
}

/// Writes a plan.
///
/// # Errors
/// Everything of it that the format cannot carry.
///
/// # Panics
/// If two nodes have one name: a plan is of distinct nodes.
pub fn export(plan: &Plan<'_>, format: Format) -> Result<Export, Vec<Refusal>> {
    let names: std::collections::BTreeSet<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
    assert!(names.len() == plan.nodes.len(), "nodes have distinct names");
    let mut out = Writer::default();
    if plan.nodes.is_empty() {
        out.refuse(None, None, "the plan has no node");
        return Err(out.refusals);
    }
    let text = match format {
        Format::MigParted => mig_parted::write(plan, &mut out),
        Format::Checkpoint => checkpoint::write(plan, &mut out),
        Format::GpuOperator => mig_parted::write_config_map(plan, &mut out),
        Format::NosGeometries => nos::write_geometries(plan, &mut out),
        Format::NosAnnotations => nos::write_annotations(plan, &mut out),
        Format::NvidiaPlugin => plugin::write_nvidia(plan, &mut out),
        Format::NebulyPlugin => plugin::write_nebuly(plan, &mut out),
        Format::DraClaims => dra::write_claims(plan, &mut out),
        Format::DraClasses => dra::write_classes(plan, &mut out),
        Format::NvidiaSmi => smi::write(plan, &mut out),
    };
    match out.refusals.is_empty() {
        true => Ok(Export { text: out.with_comments(text, format), notes: out.notes }),
        false => Err(out.refusals),
    }
}

/// Gathers what is to be said about an export.
#[derive(Default)]
struct Writer {
    notes: Vec<String>,
    /// Commands that go with the file, as comments in it.
    commands: Vec<String>,
    refusals: Vec<Refusal>,
}

impl Writer {
    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn refuse(&mut self, node: Option<&NodePlan<'_>>, gpu: Option<usize>, why: impl Into<String>) {
        let node = node.map_or(String::new(), |n| n.name.clone());
        self.refusals.push(Refusal { node, gpu, why: why.into() });
    }

    fn with_comments(&self, text: String, format: Format) -> String {
        if format == Format::Checkpoint {
            return text;
        }
        let (first, rest) = match text.strip_prefix("#!") {
            Some(_) => text.split_at(text.find('\n').map_or(text.len(), |end| end + 1)),
            None => ("", text.as_str()),
        };
        let mut out = first.to_owned();
        for note in &self.notes {
            out.push_str(&wrapped(note));
        }
        if !self.commands.is_empty() {
            out.push_str("#\n");
        }
        for command in &self.commands {
            out.push_str(&format!("#   {command}\n"));
        }
        out.push_str(rest);
        out
    }
}

/// A note as comment lines of at most 100 columns.
fn wrapped(note: &str) -> String {
    let mut out = String::new();
    let mut line = "#".to_owned();
    for word in note.split_whitespace() {
        if 100 < line.len() + 1 + word.len() {
            out.push_str(&line);
            out.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}

/// A name that equal contents share and different ones do not: eight digits of their SHA-256.
fn fingerprint(content: &str) -> String {
    Sha256::digest(content.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A ConfigMap with files in it, each as a block that people can read.
fn config_map(name: &str, namespace: &str, files: &[(String, String)]) -> String {
    let mut out = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\ndata:\n"
    );
    for (key, text) in files {
        out.push_str(&format!("  {key}: |\n"));
        for line in text.lines() {
            out.push_str(&if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") });
        }
    }
    out
}

/// Whether a text can be the value of a Kubernetes label.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63 && text.chars().all(inner) && ends(text.chars().next()) && ends(text.chars().last())
}

/// GPUs as a list of their indices: `0, 1 and 5`.
fn listed(indices: &[usize]) -> String {
    let words: Vec<String> = indices.iter().map(usize::to_string).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}
