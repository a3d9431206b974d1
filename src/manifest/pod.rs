//! Pods, and the templates of controllers that make them.

use super::fields::{Reader, field, path, word};
use super::node::{Effect, Taint};
use super::{Located, Meta, Quantity, Resources, Texts, read_meta};
use crate::yaml;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A pod, or what a controller makes its pods from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What it says about itself; for a template, the name and place are the controller's.
    pub meta: Meta,
    /// The controller that would make it; `None` for a pod.
    pub template: Option<Template>,
    /// Where it runs.
    pub node: Option<String>,
    /// Where it is meant to run once room was made.
    pub nominated: Option<String>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`; empty if it says none.
    pub phase: String,
    /// What became of it, by type of condition.
    pub conditions: BTreeMap<String, Condition>,
    /// Its priority as the API server has looked it up.
    pub priority: Option<i32>,
    /// The name of its priority.
    pub priority_class: Option<Located<String>>,
    /// Whether it may evict others.
    pub preemption: Preemption,
    /// Which scheduler places it.
    pub scheduler: String,
    /// Containers that run side by side.
    pub containers: Vec<Container>,
    /// Containers that run before them, one after the other, and sidecars among these.
    pub init_containers: Vec<Container>,
    /// Resources for the pod as a whole, where it says any.
    pub pod_level: Resources,
    /// What running it costs besides.
    pub overhead: Resources,
    /// Labels that its node must have.
    pub node_selector: Texts,
    /// What else it asks of its node.
    pub affinity: Affinity,
    /// Taints that it bears.
    pub tolerations: Vec<Toleration>,
    /// What must be taken away before it is scheduled.
    pub gates: Vec<String>,
    /// The runtime that runs it.
    pub runtime_class: Option<Located<String>>,
    /// Claims on devices.
    pub claims: Vec<Claim>,
    /// Ports of its node that it takes.
    pub host_ports: Vec<HostPort>,
    /// Whether it mounts claims on persistent volumes.
    pub claims_volumes: bool,
    /// Whether it must run beside pods that are not like itself.
    pub beside_others: bool,
}

/// A port of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPort {
    /// Address; empty for every one.
    pub ip: String,
    /// `TCP` if it says none.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// A controller that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its kind.
    pub kind: String,
    /// How many pods there are at one time.
    pub copies: Copies,
}

/// How many pods a controller keeps at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// So many.
    Fixed(u32),
    /// One on each node.
    PerNode,
}

/// A condition of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is `True`.
    pub holds: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Whether a pod may evict others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preemption {
    /// Those of lower priority.
    #[default]
    LowerPriority,
    /// No.
    Never,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name, and where it is written.
    pub name: Located<String>,
    /// What it asks for, as written.
    pub requests: BTreeMap<String, Located<Quantity>>,
    /// What it must not pass, as written.
    pub limits: BTreeMap<String, Located<Quantity>>,
    /// Claims of its pod that it uses.
    pub claims: Vec<String>,
    /// When it is started again.
    pub restart: Restart,
}

/// When an init container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// As its pod says: it ends before the next begins.
    AsPod,
    /// Always: a sidecar, which runs until the pod ends.
    Always,
}

impl Container {
    /// What it asks for: a limit stands for a request that is not there, as in the API server.
    #[must_use]
    pub fn needs(&self) -> Resources {
        let limits = self.limits.iter().map(|(name, q)| (name.clone(), q.value));
        let mut needs: Resources = limits.collect();
        needs.extend(self.requests.iter().map(|(name, q)| (name.clone(), q.value)));
        needs
    }
}

/// What a pod asks of its node by labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// One of these must hold, if there are any; `None` if nothing is required.
    pub required: Option<Vec<Term>>,
    /// What is preferred, by weight.
    pub preferred: Vec<(i32, Term)>,
}

/// Expressions that must all hold. One without any holds for no node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// About labels.
    pub labels: Vec<Expression>,
    /// About fields, of which there is `metadata.name`.
    pub fields: Vec<Expression>,
}

/// A demand on one label or field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// Which.
    pub key: Located<String>,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It is one of the values.
    In,
    /// It is none of them, or absent.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// It is a number above the value.
    Gt,
    /// It is a number below the value.
    Lt,
}

impl Operator {
    const WORDS: [(&'static str, Operator); 6] = [
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
        ("Gt", Operator::Gt),
        ("Lt", Operator::Lt),
    ];
}

impl Expression {
    /// Whether a label's text, or its absence, meets the demand.
    #[must_use]
    pub fn holds(&self, text: Option<&str>) -> bool {
        let listed = |text| self.values.iter().any(|v| v == text);
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|v| number(v));
        match self.operator {
            Operator::In => text.is_some_and(listed),
            Operator::NotIn => !text.is_some_and(listed),
            Operator::Exists => text.is_some(),
            Operator::DoesNotExist => text.is_none(),
            Operator::Gt => text.and_then(number).zip(bound()).is_some_and(|(n, bound)| bound < n),
            Operator::Lt => text.and_then(number).zip(bound()).is_some_and(|(n, bound)| n < bound),
        }
    }
}

impl Term {
    /// Whether a node meets it.
    #[must_use]
    pub fn holds(&self, node: &Meta) -> bool {
        let field = |e: &Expression| e.holds((e.key.value == "metadata.name").then_some(node.name.as_str()));
        let said = !self.labels.is_empty() || !self.fields.is_empty();
        said && self.labels.iter().all(|e| e.holds(node.label(&e.key.value))) && self.fields.iter().all(field)
    }
}

/// A taint, or several, that a pod bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// Key of the taint; `None` for every key.
    pub key: Option<String>,
    /// Its value; `None` for every value.
    pub value: Option<String>,
    /// Its effect; `None` for every effect.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether it bears a taint.
    #[must_use]
    pub fn bears(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|e| e == taint.effect)
            && self.key.as_ref().is_none_or(|k| *k == taint.key)
            && self.value.as_ref().is_none_or(|v| *v == taint.value)
    }
}

/// A claim on devices that a pod holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What its containers call it.
    pub name: Located<String>,
    /// The ResourceClaim that is used.
    pub claim: Option<Located<String>>,
    /// The ResourceClaimTemplate that makes one for this pod.
    pub template: Option<Located<String>>,
}

impl Pod {
    /// Its namespace; `default` if it says none, as kubectl has it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or("default")
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// What the scheduler counts for it: the containers and sidecars together, or the most that is
    /// held while init containers run, whichever is more, and the overhead
    /// (k8s.io/component-helpers `resource.PodRequests`, with pod-level resources).
    #[must_use]
    pub fn requests(&self) -> Resources {
        let mut together = Resources::new();
        for container in &self.containers {
            add(&mut together, &container.needs());
        }
        let (mut sidecars, mut most) = (Resources::new(), Resources::new());
        for container in &self.init_containers {
            let mut needs = container.needs();
            match container.restart {
                Restart::Always => {
                    add(&mut together, &needs);
                    add(&mut sidecars, &needs);
                    raise(&mut most, &sidecars);
                }
                Restart::AsPod => {
                    add(&mut needs, &sidecars);
                    raise(&mut most, &needs);
                }
            }
        }
        raise(&mut together, &most);
        together.extend(self.pod_level.clone());
        add(&mut together, &self.overhead);
        together
    }

    /// Whether it bears every taint that keeps pods away.
    #[must_use]
    pub fn bears(&self, taints: &[Taint]) -> bool {
        taints.iter().all(|taint| {
            taint.effect == Effect::PreferNoSchedule || self.tolerations.iter().any(|t| t.bears(taint))
        })
    }

    /// Whether a node's labels and name meet its selector and its required affinity.
    #[must_use]
    pub fn selects(&self, node: &Meta) -> bool {
        self.node_selector.iter().all(|(key, value)| node.label(key) == Some(value.value.as_str()))
            && self.affinity.required.as_ref().is_none_or(|terms| terms.iter().any(|t| t.holds(node)))
    }
}

fn add(sum: &mut Resources, more: &Resources) {
    for (name, quantity) in more {
        let sum = sum.entry(name.clone()).or_default();
        *sum = sum.plus(*quantity);
    }
}

fn raise(most: &mut Resources, other: &Resources) {
    for (name, quantity) in other {
        let most = most.entry(name.clone()).or_default();
        *most = (*most).max(*quantity);
    }
}

/// Reads an object of kind Pod.
pub(super) fn read(reader: &mut Reader<'_>, tree: &Rc<yaml::Node>) -> Pod {
    let meta = read_meta(reader, tree);
    let empty = Rc::new(yaml::Node::map(tree.at.clone(), Vec::new()));
    let status = reader.mapping(tree, "status").unwrap_or(&empty);
    let mut pod = body(reader, meta, None, field(tree, "spec"), &tree.at);
    pod.nominated = reader.text(status, "nominatedNodeName").map(|n| n.value).filter(|n| !n.is_empty());
    pod.phase = reader.text(status, "phase").map(|p| p.value).unwrap_or_default();
    for condition in reader.mappings(status, "conditions") {
        let text = |key| word(condition, key).unwrap_or_default().to_owned();
        let holds = text("status") == "True";
        let read = Condition { holds, reason: text("reason"), message: text("message") };
        pod.conditions.insert(text("type"), read);
    }
    pod
}

/// The pods that a controller makes: none if `tree` is no controller.
pub(super) fn templates(reader: &mut Reader<'_>, kind: &str, tree: &Rc<yaml::Node>) -> Vec<Pod> {
    let (spec, copies) = match kind {
        "CronJob" => (path(tree, &["spec", "jobTemplate", "spec"]), Some(Copies::Fixed(1))),
        "DaemonSet" => (path(tree, &["spec"]), Some(Copies::PerNode)),
        _ => (path(tree, &["spec"]), None),
    };
    let Some(template) = spec.and_then(|s| path(s, &["template"])) else { return Vec::new() };
    // Controllers of others' making keep to this shape too; anything else is no controller.
    if path(template, &["spec", "containers"]).is_none() {
        return Vec::new();
    }
    let spec = spec.expect("it has a template");
    let mut count = |key| reader.integer(spec, key, 0..=i64::from(u32::MAX)).map(|n| n as u32);
    let copies = match (copies, kind) {
        (Some(Copies::PerNode), _) => Copies::PerNode,
        (_, "Job" | "CronJob") => {
            let (parallel, completions) = (count("parallelism").unwrap_or(1), count("completions"));
            Copies::Fixed(completions.map_or(parallel, |c| c.min(parallel)))
        }
        _ => Copies::Fixed(count("replicas").unwrap_or(1)),
    };
    let mut meta = read_meta(reader, tree);
    let inner = read_meta(reader, template);
    (meta.labels, meta.annotations) = (inner.labels, inner.annotations);
    let template_of = Template { kind: kind.to_owned(), copies };
    vec![body(reader, meta, Some(template_of), field(template, "spec"), &tree.at)]
}

/// Reads what a pod is to be.
fn body(
    reader: &mut Reader<'_>,
    meta: Meta,
    template: Option<Template>,
    spec: Option<&Rc<yaml::Node>>,
    at: &std::ops::Range<usize>,
) -> Pod {
    let empty = Rc::new(yaml::Node::map(at.clone(), Vec::new()));
    let spec = spec.unwrap_or(&empty);
    if spec.entries().is_none() {
        reader.complain(spec, "spec", "a mapping");
    }
    let words = [("PreemptLowerPriority", Preemption::LowerPriority), ("Never", Preemption::Never)];
    let plain =
        |map: BTreeMap<String, Located<Quantity>>| map.into_iter().map(|(k, q)| (k, q.value)).collect();
    let pod_level = match reader.mapping(spec, "resources") {
        Some(resources) => {
            let mut both = reader.quantities(resources, "limits");
            both.extend(reader.quantities(resources, "requests"));
            plain(both)
        }
        None => Resources::new(),
    };
    let labels = meta.labels.clone();
    Pod {
        meta,
        template,
        node: reader.text(spec, "nodeName").map(|n| n.value).filter(|n| !n.is_empty()),
        nominated: None,
        phase: String::new(),
        conditions: BTreeMap::new(),
        priority: reader
            .integer(spec, "priority", i64::from(i32::MIN)..=i64::from(i32::MAX))
            .map(|p| i32::try_from(p).expect("within the range")),
        priority_class: reader.text(spec, "priorityClassName").filter(|c| !c.value.is_empty()),
        preemption: reader.choice(spec, "preemptionPolicy", &words).unwrap_or_default(),
        scheduler: reader.text(spec, "schedulerName").map_or("default-scheduler".to_owned(), |s| s.value),
        containers: containers(reader, spec, "containers"),
        init_containers: containers(reader, spec, "initContainers"),
        pod_level,
        overhead: plain(reader.quantities(spec, "overhead")),
        node_selector: reader.text_map(spec, "nodeSelector"),
        affinity: affinity(reader, spec),
        tolerations: reader
            .mappings(spec, "tolerations")
            .into_iter()
            .map(|t| toleration(reader, t))
            .collect(),
        gates: reader
            .mappings(spec, "schedulingGates")
            .into_iter()
            .filter_map(|g| word(g, "name").map(str::to_owned))
            .collect(),
        runtime_class: reader.text(spec, "runtimeClassName"),
        claims: reader
            .mappings(spec, "resourceClaims")
            .into_iter()
            .filter_map(|c| claim(reader, c))
            .collect(),
        host_ports: host_ports(reader, spec),
        claims_volumes: reader
            .mappings(spec, "volumes")
            .into_iter()
            .any(|volume| field(volume, "persistentVolumeClaim").is_some()),
        beside_others: beside_others(reader, spec, &labels),
    }
}

fn host_ports(reader: &mut Reader<'_>, spec: &yaml::Node) -> Vec<HostPort> {
    let mut ports = Vec::new();
    for container in reader.mappings(spec, "containers") {
        for port in reader.mappings(container, "ports") {
            let number = reader.integer(port, "hostPort", 0..=65_535).filter(|number| 0 < *number);
            let text = |key| word(port, key).unwrap_or_default().to_owned();
            let (ip, protocol) = (text("hostIP"), text("protocol"));
            ports.extend(number.map(|number| HostPort { ip, protocol, number: number as u16 }));
        }
    }
    ports
}

/// Whether one of the required terms of affinity to pods is not met by the pod itself.
fn beside_others(reader: &mut Reader<'_>, spec: &yaml::Node, labels: &Texts) -> bool {
    let Some(affinity) = path(spec, &["affinity", "podAffinity"]) else { return false };
    let terms = reader.mappings(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
    let meets_itself = |term: &Rc<yaml::Node>| {
        let Some(selector) = path(term, &["labelSelector"]) else { return false };
        let wanted = reader.text_map(selector, "matchLabels");
        let own = |key: &str| labels.get(key).map(|label| label.value.as_str());
        let expressions = reader.mappings(selector, "matchExpressions");
        let expressions: Vec<Expression> =
            expressions.into_iter().filter_map(|e| expression(reader, e)).collect();
        wanted.iter().all(|(key, value)| own(key) == Some(value.value.as_str()))
            && expressions.iter().all(|e| e.holds(own(&e.key.value)))
    };
    !terms.into_iter().all(meets_itself)
}

fn containers(reader: &mut Reader<'_>, spec: &yaml::Node, key: &str) -> Vec<Container> {
    let trees = reader.mappings(spec, key);
    let read = |tree: &Rc<yaml::Node>| {
        let empty = Rc::new(yaml::Node::map(tree.at.clone(), Vec::new()));
        let resources = reader.mapping(tree, "resources").unwrap_or(&empty);
        let claims = reader.mappings(resources, "claims");
        Container {
            name: reader.text(tree, "name").unwrap_or_else(|| Located::new(&tree.at, String::new())),
            requests: reader.quantities(resources, "requests"),
            limits: reader.quantities(resources, "limits"),
            claims: claims.iter().filter_map(|c| word(c, "name").map(str::to_owned)).collect(),
            restart: match word(tree, "restartPolicy") {
                Some("Always") => Restart::Always,
                _ => Restart::AsPod,
            },
        }
    };
    trees.into_iter().map(read).collect()
}

fn affinity(reader: &mut Reader<'_>, spec: &yaml::Node) -> Affinity {
    let empty = Rc::new(yaml::Node::map(spec.at.clone(), Vec::new()));
    let affinity = reader.mapping(spec, "affinity").unwrap_or(&empty);
    let node = reader.mapping(affinity, "nodeAffinity").unwrap_or(&empty);
    let required = reader.mapping(node, "requiredDuringSchedulingIgnoredDuringExecution");
    let required = required.map(|required| {
        let terms = reader.mappings(required, "nodeSelectorTerms");
        terms.into_iter().map(|t| term(reader, t)).collect()
    });
    let preferred = reader.mappings(node, "preferredDuringSchedulingIgnoredDuringExecution");
    let preference = |tree: &Rc<yaml::Node>| {
        let weight = reader.integer(tree, "weight", 1..=100)?;
        let preference = reader.mapping(tree, "preference")?;
        Some((weight as i32, term(reader, preference)))
    };
    Affinity { required, preferred: preferred.into_iter().filter_map(preference).collect() }
}

fn term(reader: &mut Reader<'_>, tree: &yaml::Node) -> Term {
    let mut read = |key| {
        let expressions = reader.mappings(tree, key);
        expressions.into_iter().filter_map(|e| expression(reader, e)).collect()
    };
    Term { labels: read("matchExpressions"), fields: read("matchFields") }
}

fn expression(reader: &mut Reader<'_>, tree: &yaml::Node) -> Option<Expression> {
    let operator = reader.choice(tree, "operator", &Operator::WORDS);
    let values = reader.texts(tree, "values");
    Some(Expression { key: reader.text(tree, "key")?, operator: operator?, values })
}

fn toleration(reader: &mut Reader<'_>, tree: &yaml::Node) -> Toleration {
    let key = reader.text(tree, "key").map(|k| k.value).filter(|k| !k.is_empty());
    let value = reader.text(tree, "value").map(|v| v.value).unwrap_or_default();
    Toleration {
        value: (word(tree, "operator") != Some("Exists")).then_some(value),
        key,
        effect: match word(tree, "effect") {
            None | Some("") => None,
            Some(_) => reader.choice(tree, "effect", &Effect::WORDS),
        },
    }
}

fn claim(reader: &mut Reader<'_>, tree: &yaml::Node) -> Option<Claim> {
    // Until Kubernetes 1.31 the two names stood one level deeper.
    let source = reader.mapping(tree, "source").cloned();
    let mut named = |key| match reader.text(tree, key) {
        None => source.as_ref().and_then(|s| reader.text(s, key)),
        found => found,
    };
    let (claim, template) = (named("resourceClaimName"), named("resourceClaimTemplateName"));
    Some(Claim { name: reader.text(tree, "name")?, claim, template })
}
