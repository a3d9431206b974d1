//! From lists of nodes and pods, as `kubectl get -o json|yaml` prints them, to a cluster.

use super::{Cluster, Waiting};
use crate::diag::Diagnostic;
use crate::gpu::{Catalogue, Product};
use crate::id::NodeId;
use crate::manifest::{self, Copies, Effect, Object, Quantity, Taint};
use crate::partition::boards::{Board, Boards};
use crate::partition::nos::control::PodStatus;
use crate::partition::nos::names::{
    COUNT, Kind, MEMORY, MODEL, PARTITIONING, Partitioning, STATUS_PREFIX, Texts,
};
use crate::partition::nos::{
    Counts, Fix, Names, NodeText, Pod, Port, Reach, Resources, Settings, Shape, Snapshot, Tables, build,
};
use crate::partition::planner::know;
use crate::yaml::{self, Problem};
use std::collections::BTreeMap;

/// A file.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// As the user named it.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// Most pods that the templates of a file may stand for.
const MOST_COPIES: u32 = 10_000;

/// Condition of a pod that kube-scheduler has looked at.
const SCHEDULED: &str = "PodScheduled";

/// The taint of a cordoned node.
fn cordon() -> Taint {
    let key = "node.kubernetes.io/unschedulable".to_owned();
    Taint { key, value: String::new(), effect: Effect::NoSchedule }
}

/// Complaints, file by file.
#[derive(Default)]
struct Complaints(Vec<Diagnostic>);

impl Complaints {
    fn add(&mut self, source: &Source<'_>, problem: Problem) {
        self.0.extend(yaml::diagnostics(vec![problem], source.text, source.name));
    }
}

/// A node of a file.
struct Listed {
    file: usize,
    node: manifest::Node,
}

/// Reads a cluster from files that hold nodes and pods, in any mixture. Which kind is planned is told by
/// the nodes, if nobody says so.
///
/// # Errors
/// All that is wrong with the files, and a cluster in which there is nothing to plan.
pub fn read<'c>(
    sources: &[Source<'_>],
    kind: Option<Kind>,
    tables: &Tables,
    settings: &Settings,
    catalogue: &'c Catalogue,
) -> Result<Cluster<'c>, Vec<Diagnostic>> {
    let mut complaints = Complaints::default();
    let (mut nodes, mut pods): (Vec<Listed>, Vec<(usize, manifest::Pod)>) = (Vec::new(), Vec::new());
    for (file, source) in sources.iter().enumerate() {
        let mut problems = Vec::new();
        for object in manifest::read(source.text, &mut problems) {
            match object {
                Object::Node(node) => nodes.push(Listed { file, node: *node }),
                Object::Pod(pod) => pods.push((file, *pod)),
                Object::Other(_) => {}
            }
        }
        complaints.0.extend(yaml::diagnostics(problems, source.text, source.name));
    }
    for (at, listed) in nodes.iter().enumerate() {
        if nodes[..at].iter().any(|other| other.node.meta.name == listed.node.meta.name) {
            let message = format!("the node `{}` is there twice", listed.node.meta.name);
            let problem = Problem::new("twice", &listed.node.meta.at, message);
            complaints.add(&sources[listed.file], problem.help("leave one of them out"));
        }
    }
    let named = sources.first().map_or("-", |source| source.name);
    let Some(kind) = kind.or_else(|| told(&nodes)) else {
        let both = nodes.iter().any(|listed| partitioning(&listed.node).is_some());
        let diagnostic = if nodes.is_empty() {
            Diagnostic::error("no-node", named, "no node is listed")
                .help("kubectl get nodes,pods -A -o json | slicewise plan")
        } else if both {
            Diagnostic::error("which-kind", named, "some nodes are partitioned by MIG and some by MPS")
                .help("say `--kind mig` or `--kind mps`")
        } else {
            Diagnostic::error("no-node", named, "no node is partitioned by MIG or MPS")
                .help(format!("label nodes `{PARTITIONING}=mig`, or say `--kind mig` or `--kind mps`"))
        };
        complaints.0.push(diagnostic);
        return Err(complaints.0);
    };
    let mut reading = Reading {
        sources,
        kind,
        settings,
        catalogue,
        complaints,
        cluster: Cluster {
            kind,
            snapshot: Snapshot::new(kind, tables),
            products: Vec::new(),
            boards: Boards::new(),
            shapes: Vec::new(),
            pods: Vec::new(),
            waiting: Vec::new(),
            passed_over: Vec::new(),
            blocked: None,
            notes: Vec::new(),
        },
    };
    reading.nodes(&nodes, &pods);
    reading.pods(&nodes, &pods);
    let nothing = reading.cluster.snapshot.nodes().is_empty() && reading.cluster.blocked.is_none();
    if nothing && reading.complaints.0.is_empty() {
        let message = format!("no node that can be read is partitioned by {}", kind.word());
        let help = format!("label nodes `{PARTITIONING}={}`", kind.word());
        reading.complaints.0.push(Diagnostic::error("no-node", named, message).help(help));
    }
    if reading.complaints.0.iter().any(|d| d.severity == crate::diag::Severity::Error) {
        return Err(reading.complaints.0);
    }
    Ok(reading.cluster)
}

/// The one kind that nodes are labelled with; MIG if none is and some offer MIG slices.
fn told(nodes: &[Listed]) -> Option<Kind> {
    let has = |kind| nodes.iter().any(|listed| partitioning(&listed.node) == Some(kind));
    match (has(Kind::Mig), has(Kind::Mps)) {
        (true, false) => Some(Kind::Mig),
        (false, true) => Some(Kind::Mps),
        (true, true) => None,
        (false, false) => nodes.iter().any(|listed| offers_mig(&listed.node)).then_some(Kind::Mig),
    }
}

fn labels(node: &manifest::Node) -> Texts {
    node.meta.labels.iter().map(|(key, label)| (key.clone(), label.value.clone())).collect()
}

fn partitioning(node: &manifest::Node) -> Option<Kind> {
    match Partitioning::of(&labels(node)) {
        Some(Partitioning::Of(kind)) => Some(kind),
        _ => None,
    }
}

fn offers_mig(node: &manifest::Node) -> bool {
    node.meta.label("nvidia.com/mig.config").is_some_and(|config| config != "all-disabled")
        || node.allocatable.keys().any(|name| Kind::Mig.profile(name).is_some())
}

/// What a pod asks for as nos counts it: the sum of its containers, or the most that one init container
/// asks for, without overhead.
fn requests(pod: &manifest::Pod) -> BTreeMap<String, Quantity> {
    let mut sum: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in &pod.containers {
        for (name, quantity) in container.needs() {
            let known = sum.entry(name).or_default();
            *known = known.plus(quantity);
        }
    }
    for container in &pod.init_containers {
        for (name, quantity) in container.needs() {
            let known = sum.entry(name).or_default();
            *known = (*known).max(quantity);
        }
    }
    sum
}

fn resources<'a>(names: &mut Names, list: impl IntoIterator<Item = (&'a String, Quantity)>) -> Resources {
    let mut resources = Resources::default();
    for (name, quantity) in list {
        match name.as_str() {
            "cpu" => resources.cpu_milli = quantity.milli(),
            "memory" => resources.memory_bytes = quantity.value(),
            "ephemeral-storage" => resources.storage_bytes = quantity.value(),
            "pods" => resources.pods = quantity.value(),
            _ => {
                let entry = [(names.intern(name), quantity.value())];
                resources.scalars.add_all(&entry.into_iter().collect());
            }
        }
    }
    resources
}

fn ports(pod: &manifest::Pod) -> Vec<Port> {
    let port =
        |p: &manifest::HostPort| Port { ip: p.ip.clone(), protocol: p.protocol.clone(), number: p.number };
    pod.host_ports.iter().map(port).collect()
}

/// Whether it runs; a pod that is bound and says nothing does.
fn runs(pod: &manifest::Pod) -> bool {
    pod.template.is_none() && pod.node.is_some() && matches!(pod.phase.as_str(), "Running" | "")
}

struct Reading<'a, 's, 'c> {
    sources: &'a [Source<'s>],
    kind: Kind,
    settings: &'a Settings,
    catalogue: &'c Catalogue,
    complaints: Complaints,
    cluster: Cluster<'c>,
}

impl<'c> Reading<'_, '_, 'c> {
    fn note(&mut self, note: String) {
        if !self.cluster.notes.contains(&note) {
            self.cluster.notes.push(note);
        }
    }

    fn nodes(&mut self, nodes: &[Listed], pods: &[(usize, manifest::Pod)]) {
        let mut products: BTreeMap<String, Option<&'c Product>> = BTreeMap::new();
        for (number, listed) in nodes.iter().enumerate() {
            let node = &listed.node;
            let labelled = node.meta.labels.contains_key(PARTITIONING);
            let mine = match (labelled, self.kind) {
                (true, kind) => partitioning(node) == Some(kind),
                (false, Kind::Mig) => offers_mig(node),
                (false, Kind::Mps) => node.meta.labels.contains_key(MODEL) && !offers_mig(node),
            };
            if !mine {
                continue;
            }
            let product = node.meta.label(MODEL).and_then(|model| self.catalogue.find(model));
            if let Some(product) = product {
                know(self.cluster.snapshot.names_mut(), product);
            }
            let Some(text) = self.text(listed, NodeId::of(number), pods) else { continue };
            let name = text.name.clone();
            match build(&mut self.cluster.snapshot, text, self.settings.fixes) {
                Ok(built) => {
                    let gpus = built.gpus.clone();
                    let id = built.id;
                    self.cluster.snapshot.insert(built);
                    if self.kind == Kind::Mig {
                        self.places(&name, id, product, &gpus);
                    }
                    products.insert(name, product);
                }
                Err(error) if self.settings.fixes.has(Fix::BadNode) => {
                    self.note(format!("{error}: it is left out"));
                }
                Err(error) => {
                    self.cluster.blocked.get_or_insert(error.to_string());
                }
            }
        }
        self.cluster.products = self
            .cluster
            .snapshot
            .nodes()
            .iter()
            .map(|node| products.get(&node.name).copied().flatten())
            .collect();
    }

    /// A node's texts and amounts; `None`, and a complaint, if it does not say what stands on its GPUs.
    fn text(&mut self, listed: &Listed, id: NodeId, pods: &[(usize, manifest::Pod)]) -> Option<NodeText> {
        let node = &listed.node;
        let here = |pod: &&(usize, manifest::Pod)| {
            runs(&pod.1) && pod.1.node.as_deref() == Some(node.meta.name.as_str())
        };
        let running: Vec<&manifest::Pod> = pods.iter().filter(here).map(|(_, pod)| pod).collect();
        let mut labels = labels(node);
        labels.entry(PARTITIONING.to_owned()).or_insert_with(|| self.kind.word().to_owned());
        let mut annotations: Texts =
            node.meta.annotations.iter().map(|(key, text)| (key.clone(), text.value.clone())).collect();
        let reported = annotations.keys().any(|key| key.starts_with(STATUS_PREFIX));
        if !reported && self.kind == Kind::Mig && offers_mig(node) {
            annotations.extend(self.shared_out(listed, &running)?);
        }
        for (label, why) in [(MODEL, "the GPU's model"), (COUNT, "how many GPUs it has")]
            .into_iter()
            .chain((self.kind == Kind::Mps).then_some((MEMORY, "the MiB of one GPU")))
        {
            if !labels.contains_key(label) {
                let message = format!("the node `{}` has no label `{label}`", node.meta.name);
                let help = format!("GPU feature discovery writes it: {why}");
                let problem = Problem::new("no-label", &node.meta.at, message).help(help);
                self.complaints.add(&self.sources[listed.file], problem);
                return None;
            }
        }
        let names = self.cluster.snapshot.names_mut();
        let mut requested = Resources::default();
        for pod in &running {
            requested = requested.plus(&resources(names, requests(pod).iter().map(|(n, q)| (n, *q))));
            requested = requested.plus(&resources(names, pod.overhead.iter().map(|(n, q)| (n, *q))));
        }
        requested.pods = 0;
        let allocatable = resources(names, node.allocatable.iter().map(|(n, q)| (n, q.value)));
        if !node.allocatable.contains_key("cpu") || !node.allocatable.contains_key("pods") {
            let message =
                format!("the node `{}` does not say what CPU and pods it has room for", node.meta.name);
            let problem = Problem::new("no-allocatable", &node.meta.at, message);
            let help = "`kubectl get nodes -o json` lists them under status.allocatable";
            self.complaints.add(&self.sources[listed.file], problem.help(help));
            return None;
        }
        Some(NodeText {
            id,
            name: node.meta.name.clone(),
            labels,
            annotations,
            allocatable,
            requested,
            pods: running.len() as i64,
            ports: running.iter().flat_map(|pod| ports(pod)).collect(),
        })
    }

    /// Status annotations for a node without nos' agent: its MIG slices shared out evenly over its GPUs,
    /// and held by its pods from the first GPU on.
    fn shared_out(&mut self, listed: &Listed, running: &[&manifest::Pod]) -> Option<Texts> {
        let node = &listed.node;
        let gpus: i64 = node.meta.label(COUNT).and_then(|count| count.parse().ok()).unwrap_or(0);
        let slices: Vec<(&String, i64)> = node
            .allocatable
            .iter()
            .filter(|(name, _)| Kind::Mig.profile(name).is_some())
            .map(|(name, quantity)| (name, quantity.value.value()))
            .collect();
        let uneven = slices.iter().find(|(_, count)| gpus < 1 || count % gpus != 0);
        if let Some((name, count)) = uneven {
            let message = format!(
                "the node `{}` has {count} of `{name}` on {gpus} GPUs, and does not say which has which",
                node.meta.name
            );
            let help = format!("nos' agent writes it as `{STATUS_PREFIX}-<GPU>-<profile>-<free|used>`");
            let problem = Problem::new("which-gpu", &node.meta.at, message).help(help);
            self.complaints.add(&self.sources[listed.file], problem);
            return None;
        }
        if let Some(state) =
            node.meta.label("nvidia.com/mig.config.state").filter(|state| *state != "success")
        {
            self.note(format!("{}: nvidia.com/mig.config.state is `{state}`", node.meta.name));
        }
        self.note(format!(
            "{}: no status annotations of nos; its MIG slices are taken to be alike on its GPUs",
            node.meta.name
        ));
        let mut free: Vec<BTreeMap<&String, i64>> =
            vec![slices.iter().map(|(name, count)| (*name, count / gpus)).collect(); gpus as usize];
        let mut used: Vec<BTreeMap<String, i64>> = vec![BTreeMap::new(); gpus as usize];
        for pod in running {
            let wanted: Vec<(String, i64)> = requests(pod)
                .into_iter()
                .filter(|(name, _)| Kind::Mig.profile(name).is_some())
                .map(|(name, quantity)| (name, quantity.value()))
                .collect();
            let has = |gpu: &BTreeMap<&String, i64>| {
                wanted.iter().all(|(name, count)| *count <= gpu.get(name).copied().unwrap_or(0))
            };
            let Some(at) = free.iter().position(has) else { continue };
            for (name, count) in wanted {
                *free[at].get_mut(&name).expect("it has them") -= count;
                *used[at].entry(name).or_insert(0) += count;
            }
        }
        let mut annotations = Texts::new();
        for gpu in 0..gpus as usize {
            let free = free[gpu].iter().map(|(name, count)| ((*name).clone(), *count, "free"));
            let used = used[gpu].iter().map(|(name, count)| (name.clone(), *count, "used"));
            for (name, count, word) in free.chain(used).filter(|(_, count, _)| 0 < *count) {
                let profile = Kind::Mig.profile(&name).expect("a slice").to_owned();
                annotations.insert(format!("{STATUS_PREFIX}-{gpu}-{profile}-{word}"), count.to_string());
            }
        }
        Some(annotations)
    }

    /// Gives the slices of a node's GPUs places.
    fn places(
        &mut self,
        name: &str,
        id: NodeId,
        product: Option<&'c Product>,
        gpus: &[crate::partition::nos::Gpu],
    ) {
        let Some(product) = product.filter(|product| product.is_mig()) else {
            self.note(format!("{name}: the catalogue has no such MIG GPU, so nothing is said about places"));
            return;
        };
        let mut boards: Vec<Board<'c>> = Vec::new();
        for gpu in gpus {
            let names = self.cluster.snapshot.names();
            let positive = |counts: &Counts| -> Counts { counts.iter().filter(|(_, n)| 0 < *n).collect() };
            let (used, free) = (positive(&gpu.used), positive(&gpu.free));
            match Board::guessed(gpu.index, product, names, &used, &free) {
                Ok(board) if boards.iter().all(|known| known.index != board.index) => boards.push(board),
                Ok(_) => {}
                Err(error) => self.note(format!("{name}, GPU {}: {error}", gpu.index)),
            }
        }
        if boards.iter().any(|board| !board.state.eq(&crate::gpu::State::EMPTY)) {
            self.note(
                "places of standing slices are not in the lists: they are taken to be those that the driver \
                 chooses when large slices are made first"
                    .to_owned(),
            );
        }
        self.cluster.boards.insert(id, boards);
    }

    fn pods(&mut self, nodes: &[Listed], pods: &[(usize, manifest::Pod)]) {
        let mut waiting: Vec<(usize, &manifest::Pod)> = pods
            .iter()
            .filter(|(_, pod)| pod.node.is_none() && matches!(pod.phase.as_str(), "Pending" | ""))
            .map(|(file, pod)| (*file, pod))
            .collect();
        // The order of the list is free in nos (N6): oldest first, then by name.
        waiting.sort_by(|a, b| {
            let key =
                |pod: &manifest::Pod| (pod.meta.created, pod.namespace().to_owned(), pod.meta.name.clone());
            key(a.1).cmp(&key(b.1))
        });
        let mut copies = 0;
        for (file, pod) in waiting {
            let name = format!("{}/{}", pod.namespace(), pod.meta.name);
            if let Some(why) = passed_over(pod) {
                self.cluster.passed_over.push((name, why));
                continue;
            }
            let count = match &pod.template {
                None => 1,
                Some(template) => match template.copies {
                    Copies::Fixed(count) => count,
                    Copies::PerNode => {
                        let why = "a DaemonSet's pods go to every node, whatever is planned".to_owned();
                        self.cluster.passed_over.push((name, why));
                        continue;
                    }
                },
            };
            copies += count;
            if MOST_COPIES < copies {
                let message = format!("`{name}` brings the pods that wait to more than {MOST_COPIES}");
                let problem = Problem::new("many-pods", &pod.meta.at, message);
                self.complaints.add(&self.sources[file], problem.help("ask for fewer replicas"));
                return;
            }
            let shape = self.shape(pod, nodes);
            let slices = self.slices(&shape);
            let known = self.cluster.shapes.iter().position(|other| *other == shape);
            let at = known.unwrap_or_else(|| {
                self.cluster.shapes.push(shape);
                self.cluster.shapes.len() - 1
            });
            for copy in 1..=count {
                let name = if pod.template.is_some() { format!("{name} #{copy}") } else { name.clone() };
                self.cluster.waiting.push(Waiting { name, slices: slices.clone() });
                self.cluster.pods.push(Pod { shape: at, priority: pod.priority.unwrap_or(0) });
            }
        }
    }

    fn shape(&mut self, pod: &manifest::Pod, nodes: &[Listed]) -> Shape {
        let names = self.cluster.snapshot.names_mut();
        let asked = requests(pod);
        let requests = resources(names, asked.iter().map(|(name, quantity)| (name, *quantity)));
        let overhead = resources(names, pod.overhead.iter().map(|(name, quantity)| (name, *quantity)));
        let reaches = |listed: &Listed| {
            let node = &listed.node;
            let cordoned = node.unschedulable && !pod.bears(&[cordon()]);
            !cordoned && pod.bears(&node.taints) && pod.selects(&node.meta)
        };
        let all: Vec<NodeId> = (0..nodes.len()).filter(|at| reaches(&nodes[*at])).map(NodeId::of).collect();
        Shape {
            requests,
            overhead,
            reach: if all.len() == nodes.len() { Reach::Anywhere } else { Reach::Nodes(all) },
            ports: ports(pod),
            unseen: pod.claims_volumes || pod.beside_others,
        }
    }

    fn slices(&self, shape: &Shape) -> String {
        let names = self.cluster.snapshot.names();
        let slices = names.slices(self.kind, &shape.requests.scalars);
        super::show::slices(names, self.kind, &slices)
    }
}

/// Why nos would not plan for a pod, if it would not. A pod without a status has just been written.
fn passed_over(pod: &manifest::Pod) -> Option<String> {
    if pod.template.is_some() || pod.phase.is_empty() {
        return None;
    }
    let condition = pod.conditions.get(SCHEDULED);
    let status = PodStatus {
        pending: pod.phase == "Pending",
        bound: pod.node.is_some(),
        nominated: pod.nominated.is_some(),
        unschedulable: condition.is_some_and(|condition| condition.reason == "Unschedulable"),
        node_owned: pod.meta.owners.iter().any(|(kind, _)| matches!(kind.as_str(), "DaemonSet" | "Node")),
    };
    if status.is_helpable() {
        return None;
    }
    Some(match status {
        PodStatus { nominated: true, .. } => "kube-scheduler is making room for it by preemption".to_owned(),
        PodStatus { node_owned: true, .. } => "it belongs to a DaemonSet or a node".to_owned(),
        _ => match condition {
            Some(condition) => format!("kube-scheduler says `{}`, not `Unschedulable`", condition.reason),
            None => "kube-scheduler has not looked at it".to_owned(),
        },
    })
}
