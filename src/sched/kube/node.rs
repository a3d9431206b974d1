//! A node as kube-scheduler sees it, and which pods its taints and labels admit.

use super::resource::{Amounts, PodRequest};
use crate::cluster::spec::Taint;
pub use crate::manifest::Operator;
use crate::workload::Toleration;
use std::collections::{BTreeMap, BTreeSet};

/// What a node is, apart from its name: nodes of equal specs are one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSpec {
    /// Allocatable amounts.
    pub allocatable: Vec<(super::resource::ResourceId, i64)>,
    /// Most pods.
    pub pods: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Cordoned: `spec.unschedulable`.
    pub unschedulable: bool,
}

impl NodeSpec {
    /// Allocatable amounts by resource.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        self.allocatable.iter().copied().collect()
    }
}

/// What pods on a node use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sums of requests.
    pub real: Amounts,
    /// CPU and memory as scores count them.
    pub nonzero: [i64; 2],
    /// Pods.
    pub pods: i64,
}

impl Usage {
    /// Counts a pod in.
    pub fn add(&mut self, request: &PodRequest) {
        self.change(request, 1);
    }

    /// Counts a pod out.
    pub fn remove(&mut self, request: &PodRequest) {
        self.change(request, -1);
    }

    fn change(&mut self, request: &PodRequest, sign: i64) {
        self.real.add(&request.real, sign);
        self.nonzero[0] += sign * request.nonzero[0];
        self.nonzero[1] += sign * request.nonzero[1];
        self.pods += sign;
    }
}

/// The first NoSchedule or NoExecute taint that no toleration covers.
#[must_use]
pub fn untolerated<'t>(taints: &'t [Taint], tolerations: &[Toleration]) -> Option<&'t Taint> {
    let covered = |taint: &Taint| tolerations.iter().any(|toleration| toleration.tolerates(taint));
    taints.iter().find(|taint| taint.effect != "PreferNoSchedule" && !covered(taint))
}

/// PreferNoSchedule taints that no toleration covers: the raw score of TaintToleration. Only
/// tolerations of that effect, or of every effect, count.
#[must_use]
pub fn intolerable(taints: &[Taint], tolerations: &[Toleration]) -> i64 {
    let counts = |t: &&Toleration| t.effect.is_empty() || t.effect == "PreferNoSchedule";
    let covered = |taint: &Taint| tolerations.iter().filter(counts).any(|t| t.tolerates(taint));
    taints.iter().filter(|taint| taint.effect == "PreferNoSchedule" && !covered(taint)).count() as i64
}

/// Whether a cordoned node takes a pod: it tolerates the taint that stands for the cordon.
#[must_use]
pub fn tolerates_cordon(tolerations: &[Toleration]) -> bool {
    let cordon = Taint::cordon();
    tolerations.iter().any(|toleration| toleration.tolerates(&cordon))
}

/// Where a pod may and would like to run: `nodeSelector` and node affinity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Labels that a node must carry.
    pub selector: Vec<(String, String)>,
    /// Required terms, of which one must match; empty asks for nothing.
    pub required: Vec<Term>,
    /// Preferred terms with weights.
    pub preferred: Vec<(i64, Term)>,
}

/// A node selector term: all its requirements together. An empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Requirements on labels.
    pub expressions: Vec<Requirement>,
    /// Requirements on fields, of which `metadata.name` is the only one.
    pub fields: Vec<Requirement>,
}

/// One requirement of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label or field.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether a value, or its absence, meets the requirement.
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|v| v == value));
        let integers = || {
            let [limit] = &self.values[..] else { return None };
            Some((value?.parse::<i64>().ok()?, limit.parse::<i64>().ok()?))
        };
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => integers().is_some_and(|(value, limit)| limit < value),
            Operator::Lt => integers().is_some_and(|(value, limit)| value < limit),
        }
    }

    /// Whether it can be read at all: a list where one is compared with, none where it is not.
    fn is_valid(&self) -> bool {
        match self.operator {
            Operator::In | Operator::NotIn => !self.values.is_empty(),
            Operator::Exists | Operator::DoesNotExist => self.values.is_empty(),
            Operator::Gt | Operator::Lt => matches!(&self.values[..], [v] if v.parse::<i64>().is_ok()),
        }
    }
}

impl Term {
    /// Whether a node matches. A term that cannot be read matches none.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let empty = self.expressions.is_empty() && self.fields.is_empty();
        let mut all = self.expressions.iter().chain(&self.fields);
        !empty
            && all.all(Requirement::is_valid)
            && self.expressions.iter().all(|r| r.holds(labels.get(&r.key).map(String::as_str)))
            && self.fields.iter().all(|r| r.holds((r.key == "metadata.name").then_some(name)))
    }
}

impl Affinity {
    /// Whether a node is allowed (component-helpers `nodeaffinity.RequiredNodeAffinity.Match`).
    #[must_use]
    pub fn allows(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && (self.required.is_empty() || self.required.iter().any(|term| term.matches(name, labels)))
    }

    /// The nodes that required terms name, if each of them names some (NodeAffinity's PreFilter): a term
    /// its nodes that all its `metadata.name` requirements list, and all terms together.
    #[must_use]
    pub fn pinned(&self) -> Option<BTreeSet<&str>> {
        let mut all = BTreeSet::new();
        for term in &self.required {
            let named = |r: &&Requirement| r.key == "metadata.name" && r.operator == Operator::In;
            let mut lists = term.fields.iter().filter(named).map(|r| &r.values);
            let first: BTreeSet<&str> = lists.next()?.iter().map(String::as_str).collect();
            all.extend(lists.fold(first, |left, values| {
                left.into_iter().filter(|name| values.iter().any(|value| value == name)).collect()
            }));
        }
        (!self.required.is_empty()).then_some(all)
    }

    /// Whether some term asks for a field, and so for one node.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        let preferred = self.preferred.iter().map(|(_, term)| term);
        self.required.iter().chain(preferred).any(|term| !term.fields.is_empty())
    }

    /// The weights of the preferred terms that a node matches: NodeAffinity's raw score.
    #[must_use]
    pub fn preference(&self, name: &str, labels: &BTreeMap<String, String>) -> i64 {
        let matching = self.preferred.iter().filter(|(_, term)| term.matches(name, labels));
        matching.map(|(weight, _)| weight).sum()
    }
}

/// The order in which kube-scheduler keeps nodes (`nodeTree`): zones in order of first appearance,
/// one node of each in turn; inside a zone in order of arrival.
#[derive(Clone, Debug, Default)]
pub struct NodeOrder<N> {
    zones: Vec<(String, Vec<N>)>,
}

impl<N: Copy + PartialEq> NodeOrder<N> {
    /// No node.
    #[must_use]
    pub fn new() -> NodeOrder<N> {
        NodeOrder { zones: Vec::new() }
    }

    /// The zone that labels name: region and zone, by today's labels or by those before 1.17.
    #[must_use]
    pub fn zone(labels: &BTreeMap<String, String>) -> String {
        let either = |now: &str, before: &str| {
            labels.get(before).or_else(|| labels.get(now)).map_or("", String::as_str).to_owned()
        };
        let region = either("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region");
        let zone = either("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
        // The separator keeps ("a", "") and ("", "a") apart, as upstream's does.
        if region.is_empty() && zone.is_empty() { String::new() } else { format!("{region}:\0:{zone}") }
    }

    /// A node arrives in a zone. One that is there already stays where it is.
    pub fn add(&mut self, node: N, zone: &str) {
        match self.zones.iter_mut().find(|(name, _)| name == zone) {
            Some((_, nodes)) if nodes.contains(&node) => {}
            Some((_, nodes)) => nodes.push(node),
            None => self.zones.push((zone.to_owned(), vec![node])),
        }
    }

    /// A node leaves its zone; a zone without nodes goes, and comes back last.
    pub fn remove(&mut self, node: N, zone: &str) {
        let Some(at) = self.zones.iter().position(|(name, _)| name == zone) else { return };
        self.zones[at].1.retain(|other| *other != node);
        if self.zones[at].1.is_empty() {
            self.zones.remove(at);
        }
    }

    /// All nodes in order.
    #[must_use]
    pub fn list(&self) -> Vec<N> {
        let longest = self.zones.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0);
        (0..longest)
            .flat_map(|round| self.zones.iter().filter_map(move |(_, n)| n.get(round).copied()))
            .collect()
    }
}
