//! How nos names things in Kubernetes: labels, annotations, resources and the profiles in them.
//!
//! nos reads profiles with unanchored expressions and cuts a literal prefix off, so odd names give
//! odd profiles; both are kept (pkg/gpu/mig/util.go, pkg/gpu/slicing/util.go).

use std::collections::BTreeMap;
use std::fmt;

/// Node label that turns partitioning on: `mig`, `mps` or `hybrid`.
pub const PARTITIONING: &str = "nos.nebuly.com/gpu-partitioning";
/// Node label with the GPU model, of GPU feature discovery.
pub const MODEL: &str = "nvidia.com/gpu.product";
/// Node label with the number of GPUs.
pub const COUNT: &str = "nvidia.com/gpu.count";
/// Node label with the memory of one GPU in MiB.
pub const MEMORY: &str = "nvidia.com/gpu.memory";
/// Node label that names the device plugin's configuration.
pub const PLUGIN_CONFIG: &str = "nvidia.com/device-plugin.config";
/// Annotation with the plan that was asked for.
pub const SPEC_PLAN: &str = "nos.nebuly.com/spec-partitioning-plan";
/// Annotation with the plan that the node's agent has read.
pub const STATUS_PLAN: &str = "nos.nebuly.com/status-partitioning-plan";
/// Beginning of the annotations with the slices asked for.
pub const SPEC_PREFIX: &str = "nos.nebuly.com/spec-gpu";
/// Beginning of the annotations with the slices that exist.
pub const STATUS_PREFIX: &str = "nos.nebuly.com/status-gpu";

/// Most of anything, either way. Go wraps at 2⁶³; here sums over a whole cluster stay exact.
const LIMIT: i64 = 1 << 40;

/// The texts of labels or annotations by key.
pub type Texts = BTreeMap<String, String>;

/// The two ways in which nos cuts GPUs, each with a planner of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// MIG devices.
    Mig,
    /// MPS memory slices, `nvidia.com/gpu-<n>gb`.
    Mps,
}

impl Kind {
    /// The word in [`PARTITIONING`].
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Mig => "mig",
            Kind::Mps => "mps",
        }
    }

    /// What stands before the profile in a resource name.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Mig => "nvidia.com/mig-",
            Kind::Mps => "nvidia.com/gpu-",
        }
    }

    /// The resource of a profile.
    #[must_use]
    pub fn resource(self, profile: &str) -> String {
        format!("{}{profile}", self.prefix())
    }

    /// The profile that a resource stands for; `None` if it is no slice of this kind.
    ///
    /// A slice is a name that *contains* `nvidia.com/mig-<n>g.<m>gb` or `nvidia.com/gpu-<n>gb`; its
    /// profile is the name without the prefix, or all of it if the prefix stands further in.
    #[must_use]
    pub fn profile(self, resource: &str) -> Option<&str> {
        let matches = |at: usize| {
            let rest = &resource[at + self.prefix().len()..];
            match self {
                Kind::Mig => after_number(rest, "g.").is_some_and(|rest| after_number(rest, "gb").is_some()),
                Kind::Mps => after_number(rest, "gb").is_some(),
            }
        };
        let slice = resource.match_indices(self.prefix()).any(|(at, _)| matches(at));
        slice.then(|| resource.strip_prefix(self.prefix()).unwrap_or(resource))
    }
}

/// The partitioning that a node's label names; nothing handles `hybrid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Partitioning {
    /// One of the two kinds.
    Of(Kind),
    /// Recognized, counted, and left alone.
    Hybrid,
}

impl Partitioning {
    /// What the label of a node says, if it is a word that nos knows.
    #[must_use]
    pub fn of(labels: &Texts) -> Option<Partitioning> {
        match labels.get(PARTITIONING)?.as_str() {
            "mig" => Some(Partitioning::Of(Kind::Mig)),
            "mps" => Some(Partitioning::Of(Kind::Mps)),
            "hybrid" => Some(Partitioning::Hybrid),
            _ => None,
        }
    }

    /// The word in the label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Partitioning::Of(kind) => kind.word(),
            Partitioning::Hybrid => "hybrid",
        }
    }
}

/// What follows a number and `unit` at the beginning of `text`.
fn after_number<'a>(text: &'a str, unit: &str) -> Option<&'a str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == text.len() { None } else { rest.strip_prefix(unit) }
}

/// The numbers that stand before `unit` in `text`, from the left. One beyond 64 bits is 0, which is
/// what a failed `Atoi` leaves behind.
fn numbers_before<'a>(text: &'a str, unit: &'a str) -> impl Iterator<Item = i64> + 'a {
    let starts = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at);
    // Only the first digit of a run begins a number.
    let starts = starts.filter(|at| *at == 0 || !text.as_bytes()[at - 1].is_ascii_digit());
    starts.filter_map(move |at| {
        let rest = after_number(&text[at..], unit)?;
        let digits = &text[at..text.len() - rest.len() - unit.len()];
        Some(digits.parse::<i64>().map_or(0, limited))
    })
}

/// A count within what this planner adds up exactly.
pub(super) fn limited(count: i64) -> i64 {
    count.clamp(-LIMIT, LIMIT)
}

/// Memory and compute slices of a MIG profile: the numbers in its first `<n>gb` and `<n>g`, else 0
/// (pkg/gpu/mig/profile.go).
#[must_use]
pub fn mig_size(profile: &str) -> (i64, i64) {
    let first = |unit| numbers_before(profile, unit).next().unwrap_or(0);
    (first("gb"), first("g"))
}

/// Whether one MIG profile is smaller than another: in memory **or** in compute slices, so two can
/// each be smaller than the other.
#[must_use]
pub fn mig_smaller(a: (i64, i64), b: (i64, i64)) -> bool {
    a.0 < b.0 || a.1 < b.1
}

/// GB of an MPS profile, `10gb` or `nvidia.com/gpu-10gb`; 0 if it is spelled another way
/// (pkg/gpu/slicing/profile.go).
#[must_use]
pub fn mps_memory_gb(profile: &str) -> i64 {
    let text = profile.strip_prefix(Kind::Mps.prefix()).unwrap_or(profile);
    let text = text.strip_suffix("gb").unwrap_or(text);
    text.parse::<i64>().map_or(0, limited)
}

/// GB that a node with the label [`MEMORY`] promises per GPU: MiB divided by 1000, rounded up, so
/// a card of 40960 MiB counts 41 (pkg/gpu/util.go).
#[must_use]
pub fn memory_gb(labels: &Texts) -> Option<i64> {
    let mib: i64 = labels.get(MEMORY)?.parse().ok()?;
    Some(limited(mib.div_euclid(1000) + i64::from(mib.rem_euclid(1000) != 0)))
}

/// GB of GPU memory that quotas charge for requests: `whole_gb` for a whole GPU, the size in the name
/// for a MIG slice, and nothing for an MPS slice (pkg/gpu/util/resource.go).
pub fn charged_gb<'a>(requests: impl IntoIterator<Item = (&'a str, i64)>, whole_gb: i64) -> i64 {
    let charge = |(resource, count): (&str, i64)| match resource {
        "nvidia.com/gpu" => count.saturating_mul(whole_gb),
        other => count.saturating_mul(mig_memory_gb(other).unwrap_or(0)),
    };
    requests.into_iter().map(charge).fold(0, i64::saturating_add)
}

/// GB in the name of a MIG slice, if exactly one size stands in it (pkg/gpu/mig/util.go).
#[must_use]
pub fn mig_memory_gb(resource: &str) -> Option<i64> {
    Kind::Mig.profile(resource)?;
    let mut sizes = numbers_before(resource, "gb");
    let size = sizes.next()?;
    sizes.next().is_none().then_some(size)
}

/// The GPU in the id of a device that may be one of its replicas, `<gpu>::<n>`
/// (pkg/gpu/slicing/util.go).
#[must_use]
pub fn gpu_of_device(id: &str) -> &str {
    id.split("::").next().expect("a first part")
}

/// What a device is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Attached to a pod.
    Used,
    /// Attached to none.
    Free,
    /// Anything else.
    Unknown,
}

impl Status {
    /// The word in annotations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Used => "used",
            Status::Free => "free",
            Status::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Option<Status> {
        [Status::Used, Status::Free, Status::Unknown]
            .into_iter()
            .find(|status| status.word().eq_ignore_ascii_case(text))
    }
}

/// Slices of one profile that one GPU of a node should have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spec {
    /// GPU index on the node.
    pub index: i64,
    /// Profile.
    pub profile: String,
    /// How many.
    pub quantity: i64,
}

/// Slices of one profile and status that one GPU of a node has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    /// GPU index on the node.
    pub index: i64,
    /// Profile.
    pub profile: String,
    /// What they are doing.
    pub status: Status,
    /// How many.
    pub quantity: i64,
}

impl Spec {
    /// Reads `nos.nebuly.com/spec-gpu-<index>-<profile>: "<quantity>"`. Anything else is no such
    /// annotation, a profile with a hyphen included (pkg/gpu/annotation.go).
    #[must_use]
    pub fn parse(key: &str, value: &str) -> Option<Spec> {
        let [_, _, index, profile] = parts(key, SPEC_PREFIX)?;
        let (index, quantity) = (index.parse().ok()?, limited(value.parse().ok()?));
        Some(Spec { index, profile: profile.to_owned(), quantity })
    }

    /// All of a node.
    pub fn of(annotations: &Texts) -> impl Iterator<Item = Spec> {
        annotations.iter().filter_map(|(key, value)| Spec::parse(key, value))
    }
}

/// The key of the annotation.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SPEC_PREFIX}-{}-{}", self.index, self.profile)
    }
}

impl Observed {
    /// Reads `nos.nebuly.com/status-gpu-<index>-<profile>-<status>: "<quantity>"`, the status in
    /// any case (pkg/gpu/annotation.go).
    #[must_use]
    pub fn parse(key: &str, value: &str) -> Option<Observed> {
        let [_, _, index, profile, status] = parts(key, STATUS_PREFIX)?;
        let (index, quantity) = (index.parse().ok()?, limited(value.parse().ok()?));
        let status = Status::parse(status)?;
        Some(Observed { index, profile: profile.to_owned(), status, quantity })
    }

    /// All of a node.
    pub fn of(annotations: &Texts) -> impl Iterator<Item = Observed> {
        annotations.iter().filter_map(|(key, value)| Observed::parse(key, value))
    }
}

/// The key of the annotation.
impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STATUS_PREFIX}-{}-{}-{}", self.index, self.profile, self.status.word())
    }
}

/// Exactly `N` parts between the hyphens of a key that begins with `prefix`.
fn parts<'a, const N: usize>(key: &'a str, prefix: &str) -> Option<[&'a str; N]> {
    if !key.starts_with(prefix) {
        return None;
    }
    key.split('-').collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_found_anywhere_in_a_name() {
        let check = |name: &str, mig: Option<&str>, mps: Option<&str>| {
            assert_eq!((Kind::Mig.profile(name), Kind::Mps.profile(name)), (mig, mps), "{name}");
        };
        check("nvidia.com/mig-1g.10gb.me", Some("1g.10gb.me"), None);
        check("nvidia.com/mig-1c.2g.20gb", None, None);
        check("x.nvidia.com/gpu-10gb", None, Some("x.nvidia.com/gpu-10gb"));
        check("nvidia.com/gpu-10gb-shared", None, Some("10gb-shared"));
        check("nvidia.com/gpu", None, None);
    }

    #[test]
    fn sizes_are_the_first_numbers_and_may_contradict_each_other() {
        assert_eq!(mig_size("1c.2g.20gb"), (20, 2));
        assert_eq!(mig_size("10gb"), (10, 10));
        assert_eq!(mig_size("7g.99999999999999999999gb"), (0, 7));
        assert!(mig_smaller(mig_size("3g.40gb"), mig_size("4g.24gb")));
        assert!(mig_smaller(mig_size("4g.24gb"), mig_size("3g.40gb")));
        assert_eq!([mps_memory_gb("10gb"), mps_memory_gb("+5gb"), mps_memory_gb("10gb-x")], [10, 5, 0]);
    }

    #[test]
    fn memory_is_rounded_up_to_thousands_of_mib() {
        let gb = |text: &str| memory_gb(&Texts::from([(MEMORY.to_owned(), text.to_owned())]));
        assert_eq!([gb("40960"), gb("40000"), gb("15360"), gb("0")], [Some(41), Some(40), Some(16), Some(0)]);
        assert_eq!([gb(""), gb("40 GB")], [None, None]);
    }

    #[test]
    fn annotations_read_back_what_they_print() {
        let spec = Spec { index: 1, profile: "1g.5gb".to_owned(), quantity: 3 };
        assert_eq!(Spec::parse(&spec.to_string(), "3"), Some(spec));
        let observed = Observed { index: 0, profile: "10gb".to_owned(), status: Status::Free, quantity: 2 };
        assert_eq!(Observed::parse(&observed.to_string(), "2"), Some(observed));
        for (key, value) in [
            ("nos.nebuly.com/spec-gpu-0-1g.5gb", "x"),
            ("nos.nebuly.com/spec-gpu-x-1g.5gb", "1"),
            ("nos.nebuly.com/spec-gpu-0-a-b", "1"),
            ("nos.nebuly.com/spec-0-a", "1"),
        ] {
            assert_eq!(Spec::parse(key, value), None, "{key}");
        }
    }
}
