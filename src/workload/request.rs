//! What a pod asks for in one mode, and the named rules that derive it from a demand.
//!
//! Rules compare integers: `s` thousandths of a GPU against `k` of `K` slices is `s × K` against
//! `1000 × k`. No rule is right for every trace, since no public trace records MIG profiles or MPS
//! limits; results name the rule they rest on.

use super::{Demand, GpuDemand, Workload};
use crate::gpu::{Catalogue, Product, Profile};
use crate::id::SliceId;
use crate::units::{Mib, MilliCpu};
use serde::Serialize;
use std::cmp::Reverse;

/// One kind of thing that a node's GPUs hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A whole GPU, `nvidia.com/gpu`.
    Whole,
    /// So many thousandths of one GPU, 1 to 1000 (GPU-sharing schedulers).
    Milli(u16),
    /// An MPS memory slice of so many GB, `nvidia.com/gpu-<n>gb`.
    MemoryGb(u16),
    /// An equal replica of a GPU under MPS or time-slicing, `nvidia.com/gpu.shared`.
    Replica,
    /// A MIG slice, `nvidia.com/mig-<profile>`.
    Slice(SliceId),
}

/// The GPU part of a request: `count` units, each on another GPU of one node (MIG slices may share
/// a GPU).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GpuRequest {
    /// What is asked for.
    pub unit: Unit,
    /// How many, 1 or more.
    pub count: u16,
}

/// What a pod asks for. Pods with equal requests are one shape to a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Mib,
    /// GPU units; `None` for a CPU-only pod.
    pub gpu: Option<GpuRequest>,
    /// Where it may run: an index into [`super::Workload::constraints`].
    pub constraint: u32,
}

/// MIG profile names of a run; nodes and requests name slices through one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceNames(Vec<String>);

impl SliceNames {
    /// The id of a profile name, new or known.
    pub fn intern(&mut self, name: &str) -> SliceId {
        if let Some(index) = self.0.iter().position(|n| n == name) {
            return SliceId::of(index);
        }
        self.0.push(name.to_owned());
        SliceId::of(self.0.len() - 1)
    }

    /// The profile name of an id.
    #[must_use]
    pub fn get(&self, id: SliceId) -> &str {
        &self.0[id.index()]
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no name is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How GPUs are shared: what pods of a translation ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Whole GPUs.
    Whole,
    /// MIG slices.
    Mig,
    /// MPS memory slices.
    Mps,
    /// Equal replicas under MPS.
    MpsReplicas,
    /// Replicas under time-slicing.
    TimeSlicing,
    /// Thousandths of a GPU.
    Fraction,
}

impl Sharing {
    /// All of them, in their order.
    pub const ALL: [Sharing; 6] = [
        Sharing::Whole,
        Sharing::Mig,
        Sharing::Mps,
        Sharing::MpsReplicas,
        Sharing::TimeSlicing,
        Sharing::Fraction,
    ];

    /// The word for it in scenarios and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Sharing::Whole => "whole",
            Sharing::Mig => "mig",
            Sharing::Mps => "mps",
            Sharing::MpsReplicas => "mps-replicas",
            Sharing::TimeSlicing => "time-slicing",
            Sharing::Fraction => "fraction",
        }
    }
}

/// From a fraction of a GPU to a MIG profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Least profile with compute ≥ the fraction.
    CeilCompute,
    /// Least profile with compute ≥ and memory ≥ the fraction.
    #[default]
    CeilBoth,
    /// Profile with compute nearest to the fraction (may give too little).
    Nearest,
    /// The fraction × 16 GB of an older card, least profile of an A100-40GB (5, 10, 20, 20, 40 GB)
    /// that has it.
    #[serde(rename = "refresh-16gb-a100-40gb")]
    Refresh16gbA100,
    /// The same on an 80 GB card (10, 20, 40, 40, 80 GB).
    #[serde(rename = "refresh-16gb-h100-80gb")]
    Refresh16gbH100,
}

/// How demands become requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Translation {
    /// What pods ask for.
    pub to: Sharing,
    /// What pods ask for that need whole GPUs, on clusters whose nodes share in several ways;
    /// `None` is as all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_to: Option<Sharing>,
    /// Rule for fractions under MIG; it also scales the memory of MPS slices (the refresh rules
    /// take the fraction of a 16 GB card, the others of the target).
    pub rule: Rule,
    /// GPU product whose profiles and memory are meant: a catalogue id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// Memory of the older card that the refresh rules assume, in GB.
const REFRESH_SOURCE_GB: u64 = 16;

/// The compute slices that the refresh rules choose among, with the memory that an A100-40GB and an
/// H100-80GB give them, in GB.
const REFRESH_LADDER: [(u8, u64, u64); 5] = [(1, 5, 10), (2, 10, 20), (3, 20, 40), (4, 20, 40), (7, 40, 80)];

/// Why a demand has no request under a translation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslationError {
    /// The sharing mode cannot be worked out without a product.
    #[error("no GPU product is named, and the demands cannot be translated without one")]
    NoProduct,
    /// The product is not in the catalogue.
    #[error("the catalogue has no GPU `{text}`")]
    UnknownProduct {
        /// What was named.
        text: String,
        /// The product probably meant.
        suggestion: Option<String>,
    },
    /// The product has no MIG.
    #[error("{product} has no MIG")]
    NotMig {
        /// Product id.
        product: String,
    },
    /// A demand names a profile that the product lacks.
    #[error("{product} has no MIG profile `{text}`; it has {known}")]
    UnknownProfile {
        /// Product id.
        product: String,
        /// What the demand names.
        text: String,
        /// The product's profiles.
        known: String,
        /// The profile probably meant.
        suggestion: Option<String>,
    },
    /// A refresh rule chooses among 1g, 2g, 3g, 4g and 7g, and the product lacks one.
    #[error("the refresh rules choose among 1g, 2g, 3g, 4g and 7g, and {product} has no {slices}g")]
    NoLadder {
        /// Product id.
        product: String,
        /// The compute slices chosen.
        slices: u8,
    },
    /// No profile from the rule's choice upward has the memory stated.
    #[error("a demand of {memory} is more than any plain profile of {product} holds ({most})")]
    NoProfileHolds {
        /// Product id.
        product: String,
        /// Memory stated.
        memory: Mib,
        /// Memory of the largest profile.
        most: Mib,
    },
    /// The memory stated exceeds the GPU.
    #[error("a demand of {memory} is more than {product} has ({most})")]
    NoGpuHolds {
        /// Product id.
        product: String,
        /// Memory stated.
        memory: Mib,
        /// Memory of the GPU.
        most: Mib,
    },
}

impl TranslationError {
    /// What would be right, as a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            TranslationError::NoProduct => Some("name the target with `product`".to_owned()),
            TranslationError::UnknownProduct { suggestion, .. }
            | TranslationError::UnknownProfile { suggestion, .. } => {
                suggestion.as_ref().map(|word| format!("did you mean `{word}`?"))
            }
            TranslationError::NoLadder { .. } => {
                Some("use `ceil-compute`, `ceil-both` or `nearest`, or a product of seven slices".to_owned())
            }
            TranslationError::NotMig { .. } => Some("choose a product with MIG, or another mode".to_owned()),
            TranslationError::NoProfileHolds { .. } | TranslationError::NoGpuHolds { .. } => {
                Some("choose a product with more memory".to_owned())
            }
        }
    }
}

/// Thousandths of a GPU that a demand needs; `None` for CPU-only pods and for named profiles, whose
/// share depends on the product.
#[must_use]
pub fn share_milli(demand: &Demand) -> Option<u32> {
    match demand.gpu {
        GpuDemand::None | GpuDemand::Profile(_) => None,
        GpuDemand::Share { milli, .. } => Some(u32::from(milli)),
        GpuDemand::Whole { gpus } => Some(1_000 * u32::from(gpus)),
    }
}

impl Translation {
    /// The request of each demand, by [`crate::id::DemandId`].
    ///
    /// | demand | `whole` | `mig` | `mps` | replicas | `fraction` |
    /// |---|---|---|---|---|---|
    /// | share | one GPU | least profile by the rule, with any memory stated | its GB, 1 or more | one | itself |
    /// | n whole | n GPUs | n full profiles | n times all GB | n, on as many GPUs | n times 1000 |
    /// | profile k of K | one GPU | that profile | its share of memory slices | one | k/K, up |
    ///
    /// GB of MPS are those of the product as sold, of 1,024 MiB where memory is stated. The product
    /// is looked up only if some demand depends on it. Profiles of demands that have no request in
    /// `whole` mode or as replicas are not looked at.
    ///
    /// # Errors
    /// Every distinct reason why some demand has no request.
    pub fn requests(
        &self,
        workload: &Workload,
        catalogue: &Catalogue,
        slices: &mut SliceNames,
    ) -> Result<Vec<Request>, Vec<TranslationError>> {
        let mut requests = Vec::with_capacity(workload.demands.len());
        let mut errors = Vec::new();
        for demand in &workload.demands {
            match self.gpu(demand.gpu, &workload.profiles, catalogue, slices) {
                Ok(gpu) => requests.push(Request {
                    cpu: demand.cpu,
                    memory: demand.memory,
                    gpu,
                    constraint: demand.constraint,
                }),
                Err(error) if errors.contains(&error) => {}
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(requests) } else { Err(errors) }
    }

    fn gpu(
        &self,
        demand: GpuDemand,
        profiles: &[String],
        catalogue: &Catalogue,
        slices: &mut SliceNames,
    ) -> Result<Option<GpuRequest>, TranslationError> {
        let count = match demand {
            GpuDemand::None => return Ok(None),
            GpuDemand::Whole { gpus } => gpus,
            GpuDemand::Share { .. } | GpuDemand::Profile(_) => 1,
        };
        let product = || self.product(catalogue);
        let to = match demand {
            GpuDemand::Whole { .. } => self.whole_to.unwrap_or(self.to),
            _ => self.to,
        };
        let unit = match to {
            Sharing::Whole => Unit::Whole,
            Sharing::MpsReplicas | Sharing::TimeSlicing => Unit::Replica,
            Sharing::Mig => Unit::Slice(slices.intern(self.profile(demand, profiles, product()?)?.name())),
            Sharing::Mps => Unit::MemoryGb(self.memory_gb(demand, profiles, product()?)?),
            Sharing::Fraction => Unit::Milli(match demand {
                GpuDemand::Share { milli, .. } => milli,
                GpuDemand::Profile(name) => {
                    let product = product()?;
                    let profile = named_profile(product, &profiles[usize::from(name)])?;
                    let milli = 1_000 * u16::from(profile.compute_slices());
                    milli.div_ceil(u16::from(product.compute_slices()))
                }
                GpuDemand::Whole { .. } | GpuDemand::None => 1_000,
            }),
        };
        Ok(Some(GpuRequest { unit, count }))
    }

    fn product<'a>(&self, catalogue: &'a Catalogue) -> Result<&'a Product, TranslationError> {
        let text = self.product.as_deref().ok_or(TranslationError::NoProduct)?;
        catalogue.find(text).ok_or_else(|| TranslationError::UnknownProduct {
            text: text.to_owned(),
            suggestion: catalogue.suggest(text).map(str::to_owned),
        })
    }

    /// The MIG profile of a demand for GPUs.
    fn profile<'a>(
        &self,
        demand: GpuDemand,
        profiles: &[String],
        product: &'a Product,
    ) -> Result<&'a Profile, TranslationError> {
        let full =
            product.full().ok_or_else(|| TranslationError::NotMig { product: product.id().to_owned() })?;
        match demand {
            GpuDemand::Profile(name) => named_profile(product, &profiles[usize::from(name)]),
            GpuDemand::Share { milli, memory } => self.rule.profile(milli, memory, product),
            GpuDemand::Whole { .. } | GpuDemand::None => Ok(full),
        }
    }

    /// The MPS memory slice of a demand for GPUs, in GB.
    fn memory_gb(
        &self,
        demand: GpuDemand,
        profiles: &[String],
        product: &Product,
    ) -> Result<u16, TranslationError> {
        let whole = u64::from(product.memory_gb());
        let gb = match demand {
            GpuDemand::Share { memory, .. } if product.memory() < memory => {
                let product_id = product.id().to_owned();
                return Err(TranslationError::NoGpuHolds {
                    product: product_id,
                    memory,
                    most: product.memory(),
                });
            }
            GpuDemand::Share { memory, .. } if memory != Mib(0) => memory.0.div_ceil(1_024),
            GpuDemand::Share { milli, .. } => {
                let card = if self.rule.is_refresh() { REFRESH_SOURCE_GB } else { whole };
                (u64::from(milli) * card).div_ceil(1_000)
            }
            GpuDemand::Profile(name) => {
                let profile = named_profile(product, &profiles[usize::from(name)])?;
                (u64::from(profile.memory_slices()) * whole).div_ceil(u64::from(product.memory_slices()))
            }
            GpuDemand::Whole { .. } | GpuDemand::None => whole,
        };
        Ok(u16::try_from(gb.max(1)).expect("a GPU has fewer than 65,536 GB"))
    }
}

fn named_profile<'a>(product: &'a Product, text: &str) -> Result<&'a Profile, TranslationError> {
    if !product.is_mig() {
        return Err(TranslationError::NotMig { product: product.id().to_owned() });
    }
    product.resolve_profile(text).ok_or_else(|| TranslationError::UnknownProfile {
        product: product.id().to_owned(),
        text: text.to_owned(),
        known: product.profile_names(),
        suggestion: product.suggest_profile(text).map(str::to_owned),
    })
}

impl Rule {
    fn is_refresh(self) -> bool {
        matches!(self, Rule::Refresh16gbA100 | Rule::Refresh16gbH100)
    }

    /// The plain profile of a MIG product for `milli` thousandths of a GPU: the rule's choice, or
    /// the least above it that has `memory`, which no rule goes below.
    fn profile(self, milli: u16, memory: Mib, product: &Product) -> Result<&Profile, TranslationError> {
        let mut plain: Vec<&Profile> = product.profiles().iter().filter(|p| p.is_plain()).collect();
        plain.sort_by_key(|p| p.compute_slices());
        let chosen = self.choose(u32::from(milli), &plain, product)?;
        let larger = &plain[chosen..];
        if memory == Mib(0) {
            return Ok(larger[0]);
        }
        larger.iter().copied().find(|p| memory <= p.memory()).ok_or_else(|| {
            TranslationError::NoProfileHolds {
                product: product.id().to_owned(),
                memory,
                most: larger[larger.len() - 1].memory(),
            }
        })
    }

    /// The index of the rule's choice in `plain`, which ascends by compute slices.
    fn choose(self, milli: u32, plain: &[&Profile], product: &Product) -> Result<usize, TranslationError> {
        let compute = |p: &Profile| 1_000 * u32::from(p.compute_slices());
        let wanted = milli * u32::from(product.compute_slices());
        let enough = |p: &Profile| wanted <= compute(p);
        let memory =
            |p: &Profile| milli * u32::from(product.memory_slices()) <= 1_000 * u32::from(p.memory_slices());
        let least = |fits: &dyn Fn(&Profile) -> bool| {
            plain.iter().position(|p| fits(p)).expect("a share is less than the full profile")
        };
        Ok(match self {
            Rule::CeilCompute => least(&enough),
            Rule::CeilBoth => least(&|p| enough(p) && memory(p)),
            Rule::Nearest => {
                let (nearest, _) = plain
                    .iter()
                    .enumerate()
                    // Of two equally near the larger, so that as little as possible is missing.
                    .min_by_key(|(_, p)| (wanted.abs_diff(compute(p)), Reverse(p.compute_slices())))
                    .expect("a MIG product has a full profile");
                nearest
            }
            Rule::Refresh16gbA100 | Rule::Refresh16gbH100 => {
                let slices = self.ladder(u64::from(milli));
                plain
                    .iter()
                    .position(|p| p.compute_slices() == slices)
                    .ok_or_else(|| TranslationError::NoLadder { product: product.id().to_owned(), slices })?
            }
        })
    }

    /// The compute slices of a refresh rule for `milli` thousandths of the older card.
    fn ladder(self, milli: u64) -> u8 {
        let holds = |(_, a100, h100): &&(u8, u64, u64)| {
            let gb = if self == Rule::Refresh16gbA100 { a100 } else { h100 };
            milli * REFRESH_SOURCE_GB <= 1_000 * gb
        };
        REFRESH_LADDER.iter().find(holds).expect("16 GB fit the largest slice").0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, PodRow};
    use super::*;
    use crate::units::{Span, Time};
    use std::path::PathBuf;

    fn translation(to: Sharing, rule: Rule, product: &str) -> Translation {
        let product = (!product.is_empty()).then(|| product.to_owned());
        Translation { to, whole_to: None, rule, product }
    }

    fn row(gpu: GpuDemand) -> PodRow<'static> {
        PodRow {
            name: "",
            arrival: Time::ZERO,
            work: Span(1),
            cpu: MilliCpu(1),
            memory: Mib(2),
            gpu,
            constraint: 0,
            class: "",
            namespace: "",
            priority: 0,
            gang: 1,
        }
    }

    /// A share such as `300m` or `300m/8000` (with MiB), GPUs such as `2`, or a profile.
    fn demand(builder: &mut Builder, text: &str) -> GpuDemand {
        if let Some((milli, memory)) = text.split_once('m') {
            let memory = memory.strip_prefix('/').map_or(0, |m| m.parse().expect("MiB"));
            return GpuDemand::Share { milli: milli.parse().expect("thousandths"), memory: Mib(memory) };
        }
        text.parse().map_or_else(|_| builder.profile(text), |gpus| GpuDemand::Whole { gpus })
    }

    /// The requests of some demands, or the messages with their helps.
    #[track_caller]
    fn check(translation: &Translation, demands: &str, expected: &str) {
        let mut builder = Builder::new();
        for text in demands.split_whitespace() {
            let gpu = demand(&mut builder, text);
            builder.push(&row(gpu));
        }
        let mut names = SliceNames::default();
        let answer = match translation.requests(&builder.finish(), Catalogue::builtin(), &mut names) {
            Ok(requests) => {
                let gpus = requests.iter().map(|r| r.gpu.expect("a demand for GPUs"));
                gpus.map(|g| format!("{}x{}", g.count, unit(g.unit, &names))).collect::<Vec<_>>().join(" ")
            }
            Err(errors) => {
                let text = |e: &TranslationError| format!("{e}; {}", e.help().unwrap_or_default());
                errors.iter().map(text).collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(answer, expected, "{demands}");
    }

    fn unit(unit: Unit, names: &SliceNames) -> String {
        match unit {
            Unit::Whole => "gpu".to_owned(),
            Unit::Milli(n) => format!("{n}m"),
            Unit::MemoryGb(n) => format!("{n}gb"),
            Unit::Replica => "replica".to_owned(),
            Unit::Slice(id) => names.get(id).to_owned(),
        }
    }

    #[test]
    fn each_mode_has_its_own_words() {
        const DEMANDS: &str = "300m 300m/12000 2 2g 1g.10gb";
        let a100 = |to| translation(to, Rule::CeilBoth, "a100-40gb");
        check(&a100(Sharing::Whole), DEMANDS, "1xgpu 1xgpu 2xgpu 1xgpu 1xgpu");
        check(&a100(Sharing::Mig), DEMANDS, "1x3g.20gb 1x3g.20gb 2x7g.40gb 1x2g.10gb 1x1g.10gb");
        check(&a100(Sharing::Mps), DEMANDS, "1x12gb 1x12gb 2x40gb 1x10gb 1x10gb");
        check(&a100(Sharing::TimeSlicing), DEMANDS, "1xreplica 1xreplica 2xreplica 1xreplica 1xreplica");
        check(&a100(Sharing::MpsReplicas), "2 1g", "2xreplica 1xreplica");
        check(&a100(Sharing::Fraction), DEMANDS, "1x300m 1x300m 2x1000m 1x286m 1x143m");
        check(&translation(Sharing::Whole, Rule::Nearest, ""), "300m 1 2g", "1xgpu 1xgpu 1xgpu");
    }

    #[test]
    fn memory_that_is_stated_is_a_lower_bound() {
        let mig = |rule| translation(Sharing::Mig, rule, "a100-40gb");
        check(
            &mig(Rule::CeilCompute),
            "100m 100m/4864 100m/4865 100m/21000",
            "1x1g.5gb 1x1g.5gb 1x2g.10gb 1x7g.40gb",
        );
        check(&mig(Rule::Nearest), "571m/1", "1x4g.20gb");
        check(
            &mig(Rule::CeilBoth),
            "100m/40449",
            "a demand of 40449MiB is more than any plain profile of a100-40gb holds (40448MiB); \
             choose a product with more memory",
        );
        let mps = translation(Sharing::Mps, Rule::CeilBoth, "a100-40gb");
        check(&mps, "1m 10m/1024 10m/1025 900m/40960", "1x1gb 1x1gb 1x2gb 1x40gb");
        check(
            &mps,
            "10m/40961",
            "a demand of 40961MiB is more than a100-40gb has (40GiB); choose a product with more memory",
        );
    }

    #[test]
    fn rules_follow_the_product() {
        let mig = |rule, product| translation(Sharing::Mig, rule, product);
        check(
            &mig(Rule::CeilCompute, "a30"),
            "250m 251m 501m 1 2g",
            "1x1g.6gb 1x2g.12gb 1x4g.24gb 1x4g.24gb 1x2g.12gb",
        );
        check(&mig(Rule::Nearest, "a30"), "374m 375m 376m", "1x1g.6gb 1x2g.12gb 1x2g.12gb");
        let pro = "rtx-pro-6000-blackwell-96gb";
        check(&mig(Rule::CeilBoth, pro), "250m 251m 1", "1x1g.24gb 1x2g.48gb 1x4g.96gb");
        check(&mig(Rule::Refresh16gbH100, "h200-141gb-sxm"), "625m 626m", "1x1g.18gb 1x2g.35gb");
        check(
            &mig(Rule::Refresh16gbA100, "a30"),
            "700m 320m",
            "the refresh rules choose among 1g, 2g, 3g, 4g and 7g, and a30-24gb has no 3g; \
             use `ceil-compute`, `ceil-both` or `nearest`, or a product of seven slices",
        );
        check(
            &translation(Sharing::Mps, Rule::Refresh16gbA100, "a100-40gb"),
            "500m 1 3g",
            "1x8gb 1x40gb 1x20gb",
        );
    }

    #[test]
    fn every_reason_is_given_once() {
        let mig = |product| translation(Sharing::Mig, Rule::CeilBoth, product);
        check(
            &mig("a100-40gb"),
            "5g 1 1g.5bg 5g 2",
            "a100-40gb has no MIG profile `5g`; it has 1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb; \n\
             a100-40gb has no MIG profile `1g.5bg`; it has 1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb; \
             did you mean `1g.5gb`?",
        );
        check(&mig("t4"), "1 100m 2g", "t4 has no MIG; choose a product with MIG, or another mode");
        check(&mig("a100-4gb"), "1 2", "the catalogue has no GPU `a100-4gb`; did you mean `a100-40gb`?");
        check(
            &mig(""),
            "1",
            "no GPU product is named, and the demands cannot be translated without one; \
             name the target with `product`",
        );
    }

    #[test]
    fn cpu_pods_ask_for_no_gpu() {
        let mut builder = Builder::new();
        builder.push(&row(GpuDemand::None));
        let workload = builder.finish();
        let none = translation(Sharing::Mig, Rule::CeilBoth, "");
        let requests = none.requests(&workload, Catalogue::builtin(), &mut SliceNames::default());
        assert_eq!(requests.map(|r| r[0].gpu), Ok(None));
        assert_eq!(share_milli(&workload.demands[0]), None);
    }

    /// Alibaba's published pods: their demands, and each pod's whole record.
    struct Openb {
        workload: Workload,
        /// Creation, scheduling (`None` for Pending) and deletion, in seconds, by pod.
        times: Vec<(u64, Option<u64>, u64)>,
    }

    impl Openb {
        /// The default list where the checkout stands beside it; says so where it does not.
        fn read() -> Option<Openb> {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../shared/traces/openb/openb_pod_list_default.csv");
            let Ok(mut reader) = csv::Reader::from_path(&path) else {
                #[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
                {
                    eprintln!("skipped: no {}", path.display());
                }
                return None;
            };
            let header = reader.headers().expect("a header").clone();
            let column = |name: &str| header.iter().position(|h| h == name).expect("a column of openb");
            let columns =
                ["num_gpu", "gpu_milli", "creation_time", "scheduled_time", "deletion_time"].map(column);
            let mut builder = Builder::new();
            let mut times = Vec::new();
            for record in reader.records() {
                let record = record.expect("a row of openb");
                let number = |c: usize| record[columns[c]].parse::<f64>().ok().map(|v| v as u64);
                let gpu = match (number(0).expect("GPUs"), number(1).expect("thousandths")) {
                    (0, _) => GpuDemand::None,
                    (1, milli) if milli < 1_000 => GpuDemand::Share { milli: milli as u16, memory: Mib(0) },
                    (gpus, _) => GpuDemand::Whole { gpus: gpus as u16 },
                };
                builder.push(&row(gpu));
                times.push((number(2).expect("created"), number(3), number(4).expect("deleted")));
            }
            Some(Openb { workload: builder.finish(), times })
        }

        fn requests(&self, translation: &Translation) -> (Vec<Request>, SliceNames) {
            let mut names = SliceNames::default();
            let requests = translation.requests(&self.workload, Catalogue::builtin(), &mut names);
            (requests.expect("every demand of openb translates"), names)
        }

        /// The shares in thousandths, with the request of each.
        fn shares<'a>(&'a self, requests: &'a [Request]) -> impl Iterator<Item = (u64, GpuRequest)> + 'a {
            self.workload.pods.iter().filter_map(|pod| match self.workload.demands[pod.demand.index()].gpu {
                GpuDemand::Share { milli, .. } => {
                    Some((u64::from(milli), requests[pod.demand.index()].gpu.expect("a share asks for GPUs")))
                }
                _ => None,
            })
        }
    }

    /// Compute slices of a profile name such as `3g.20gb`.
    fn slices(name: &str) -> u64 {
        name.split_once('g').and_then(|(n, _)| n.parse().ok()).expect("a profile name")
    }

    #[test]
    fn openb_fractions_become_the_published_counts() {
        let Some(openb) = Openb::read() else { return };
        for (rule, product, counts, ratio) in [
            (Rule::CeilCompute, "a100-40gb", [32, 280, 389, 971, 1406], "1.28"),
            (Rule::CeilBoth, "a100-40gb", [31, 277, 393, 899, 1478], "1.30"),
            (Rule::Nearest, "h100-80gb-sxm", [106, 548, 946, 400, 1078], "1.09"),
            (Rule::Refresh16gbA100, "a100-40gb", [313, 1434, 1331, 0, 0], "0.59"),
            (Rule::Refresh16gbH100, "h100-80gb-sxm", [1747, 1331, 0, 0, 0], "0.36"),
        ] {
            let (requests, names) = openb.requests(&translation(Sharing::Mig, rule, product));
            let (mut found, mut asked, mut given) = ([0; 5], 0, 0);
            for (milli, request) in openb.shares(&requests) {
                let Unit::Slice(id) = request.unit else { panic!("MIG asks for slices") };
                let slices = slices(names.get(id));
                found[[1, 2, 3, 4, 7].iter().position(|s| *s == slices).expect("a size")] += 1;
                (asked, given) = (asked + milli, given + slices);
            }
            assert_eq!(found, counts, "{rule:?}");
            assert_eq!(format!("{:.2}", given as f64 / 7.0 / (asked as f64 / 1_000.0)), ratio, "{rule:?}");
        }
    }

    #[test]
    fn openb_memory_and_replicas_are_the_published_ones() {
        let Some(openb) = Openb::read() else { return };
        for (product, sum) in [("a100-40gb", 70_457), ("h100-80gb-sxm", 139_444)] {
            let (requests, _) = openb.requests(&translation(Sharing::Mps, Rule::CeilBoth, product));
            let gb = |(_, request): (u64, GpuRequest)| match request.unit {
                Unit::MemoryGb(gb) => u64::from(gb),
                other => panic!("MPS asks for memory, not {other:?}"),
            };
            assert_eq!(openb.shares(&requests).map(gb).sum::<u64>(), sum);
        }
        let demands = || openb.workload.pods.iter().map(|p| &openb.workload.demands[p.demand.index()]);
        let fractions =
            |n: u32| demands().filter_map(share_milli).filter(|s| *s < 1_000 && s * n <= 1_000).count();
        assert_eq!([1, 2, 3, 4].map(fractions), [3_078, 1_600, 648, 308]);
    }

    /// Mean GPUs allocated by the pods of the last 35 days where nobody waits, under each rule.
    #[test]
    fn openb_without_waiting_allocates_the_published_means() {
        const WINDOW: std::ops::Range<u64> = 9_936_000..12_902_960;
        let Some(openb) = Openb::read() else { return };
        for (to, rule, mean) in [
            (Sharing::Fraction, Rule::CeilBoth, "19.886"),
            (Sharing::Whole, Rule::CeilBoth, "21.870"),
            (Sharing::Mig, Rule::CeilCompute, "20.410"),
            (Sharing::Mig, Rule::CeilBoth, "20.473"),
            (Sharing::Mig, Rule::Nearest, "20.086"),
            (Sharing::Mig, Rule::Refresh16gbA100, "19.120"),
            (Sharing::Mig, Rule::Refresh16gbH100, "18.664"),
        ] {
            let (requests, names) = openb.requests(&translation(to, rule, "a100-40gb"));
            // In 7,000ths of a GPU times seconds.
            let mut held = 0;
            for (pod, (created, scheduled, deleted)) in openb.workload.pods.iter().zip(&openb.times) {
                let (true, Some(scheduled)) = (WINDOW.contains(created), scheduled) else { continue };
                let Some(gpu) = requests[pod.demand.index()].gpu else { continue };
                let unit = match gpu.unit {
                    Unit::Slice(id) => 1_000 * slices(names.get(id)),
                    Unit::Milli(milli) => 7 * u64::from(milli),
                    _ => 7_000,
                };
                let end = (created + deleted - scheduled).min(WINDOW.end);
                held += u64::from(gpu.count) * unit * (end - created);
            }
            let found = held as f64 / 7_000.0 / (WINDOW.end - WINDOW.start) as f64;
            assert_eq!(format!("{found:.3}"), mean, "{to:?} {rule:?}");
        }
    }
}
