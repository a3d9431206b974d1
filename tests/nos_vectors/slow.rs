//! The planner again, slow and obvious: text maps, deep copies for every fork, sums counted anew at
//! every look, and the steps in the order in which the description of nos tells them. Nothing here
//! knows the fast planner; both are asked the same questions where nos leaves a choice.

use slicewise::partition::nos::names::Kind;
use slicewise::partition::nos::{Choices, Free, arrange};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Names to numbers; an entry of 0 is an entry.
pub(crate) type Map = BTreeMap<String, i64>;

pub(crate) fn get(map: &Map, key: &str) -> i64 {
    map.get(key).copied().unwrap_or(0)
}

/// Amounts by Kubernetes name, CPU in thousandths. `pods` is allocatable only.
pub(crate) type Amounts = Map;

/// A pod as its manifest says.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodSpec {
    pub(crate) name: String,
    pub(crate) containers: Vec<Amounts>,
    pub(crate) init_containers: Vec<Amounts>,
    pub(crate) overhead: Amounts,
    pub(crate) priority: Option<i32>,
    pub(crate) node_name: String,
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) tolerations: BTreeSet<String>,
    pub(crate) host_ports: BTreeSet<u16>,
    pub(crate) claims_volume: bool,
}

/// A node as its manifest says, with the pods that run there.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) allocatable: Amounts,
    pub(crate) running: Vec<PodSpec>,
    pub(crate) taints: BTreeSet<String>,
    pub(crate) cordoned: bool,
}

/// A cluster with pods that wait, in the order of the list.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) tables: BTreeMap<String, Vec<Map>>,
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) pods: Vec<PodSpec>,
}

/// One kept visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) node: String,
    pub(crate) updated: bool,
    pub(crate) pods: Vec<String>,
}

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) lacking: Map,
    pub(crate) unmet: Map,
    pub(crate) kept: Vec<Kept>,
    /// Per node, GPU index and slices by resource, as a multiset.
    pub(crate) desired: BTreeMap<String, Vec<(i64, Map)>>,
}

/// Adds up containers, takes the larger of that and each init container.
pub(crate) fn pod_request(pod: &PodSpec) -> Amounts {
    let mut request = Amounts::new();
    for container in &pod.containers {
        for (name, count) in container {
            *request.entry(name.clone()).or_insert(0) += count;
        }
    }
    for init in &pod.init_containers {
        for (name, count) in init {
            let known = request.entry(name.clone()).or_insert(0);
            *known = (*known).max(*count);
        }
    }
    request
}

/// What Kubernetes charges a node for a pod: its request and its overhead.
fn charged(pod: &PodSpec) -> Amounts {
    let mut sum = pod_request(pod);
    for (name, count) in &pod.overhead {
        *sum.entry(name.clone()).or_insert(0) += count;
    }
    sum
}

/// Whether a resource is a slice, by an unanchored search for `mig-<n>g.<m>gb` or `gpu-<n>gb`.
fn is_slice(kind: Kind, resource: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    let prefix = prefix(kind);
    (0..resource.len()).any(|at| {
        let Some(rest) = resource.get(at..).and_then(|rest| rest.strip_prefix(prefix)) else { return false };
        let Some(rest) = digits(rest) else { return false };
        match kind {
            Kind::Mps => rest.starts_with("gb"),
            Kind::Mig => rest.strip_prefix("g.").and_then(digits).is_some_and(|rest| rest.starts_with("gb")),
        }
    })
}

fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Mig => "nvidia.com/mig-",
        Kind::Mps => "nvidia.com/gpu-",
    }
}

fn profile_of(kind: Kind, resource: &str) -> String {
    resource.strip_prefix(prefix(kind)).unwrap_or(resource).to_owned()
}

fn resource_of(kind: Kind, profile: &str) -> String {
    format!("{}{profile}", prefix(kind))
}

fn requested_slices(kind: Kind, pod: &PodSpec) -> Map {
    let slices = pod_request(pod).into_iter().filter(|(name, _)| is_slice(kind, name));
    slices.map(|(name, count)| (profile_of(kind, &name), count)).collect()
}

/// The number in the first `<digits><unit>` of a text.
fn first_number(text: &str, unit: &str) -> i64 {
    let bytes = text.as_bytes();
    for start in 0..bytes.len() {
        let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        if 0 < length && text[start + length..].starts_with(unit) {
            return text[start..start + length].parse().unwrap_or(0);
        }
    }
    0
}

fn mps_size(profile: &str) -> i64 {
    let text = profile.strip_prefix("nvidia.com/gpu-").unwrap_or(profile);
    text.strip_suffix("gb").unwrap_or(text).parse().unwrap_or(0)
}

fn smaller_than(kind: Kind, a: &str, b: &str) -> bool {
    match kind {
        Kind::Mig => {
            first_number(a, "gb") < first_number(b, "gb") || first_number(a, "g") < first_number(b, "g")
        }
        Kind::Mps => mps_size(a) < mps_size(b),
    }
}

#[derive(Clone, Debug)]
struct Gpu {
    index: i64,
    /// Of MIG.
    allowed: Vec<Map>,
    /// Of MPS.
    memory: i64,
    used: Map,
    free: Map,
}

impl Gpu {
    fn geometry(&self) -> Map {
        let mut sum = self.used.clone();
        for (profile, count) in &self.free {
            *sum.entry(profile.clone()).or_insert(0) += count;
        }
        sum
    }

    fn allows(&self, geometry: &Map) -> bool {
        self.allowed.iter().any(|entry| entry == geometry)
    }

    fn can_apply(&self, geometry: &Map) -> bool {
        self.allows(geometry) && self.used.iter().all(|(profile, count)| *count <= get(geometry, profile))
    }

    fn apply(&mut self, geometry: &Map) {
        for (profile, count) in geometry {
            self.free.insert(profile.clone(), count - get(&self.used, profile));
        }
        self.free.retain(|profile, _| geometry.contains_key(profile));
    }

    fn total(&self) -> i64 {
        self.used.iter().chain(&self.free).map(|(profile, count)| mps_size(profile) * count).sum()
    }

    fn spare(&self) -> i64 {
        self.memory - self.total()
    }

    fn has_free(&self, kind: Kind) -> bool {
        match kind {
            Kind::Mig => !self.free.is_empty() || !self.allows(&self.geometry()),
            Kind::Mps => !self.free.is_empty() || 1 <= self.spare(),
        }
    }

    fn update(&mut self, kind: Kind, req: &Map, choices: &mut dyn Choices, eager: bool) -> bool {
        match kind {
            Kind::Mig => self.update_mig(req, choices),
            Kind::Mps => self.update_mps(req, choices, eager),
        }
    }

    fn update_mig(&mut self, req: &Map, choices: &mut dyn Choices) -> bool {
        // By geometry, in order of first appearance, so that the first maximal one is the default.
        let mut score: Vec<(Map, i64)> = Vec::new();
        for cand in &self.allowed {
            for (profile, quantity) in req {
                if *quantity <= get(&self.free, profile) {
                    continue;
                }
                let n = (get(cand, profile) - get(&self.used, profile)).min(*quantity);
                if n <= 0 || !self.can_apply(cand) {
                    continue;
                }
                match score.iter_mut().find(|(id, _)| id == cand) {
                    Some((_, sum)) => *sum += n,
                    None => score.push((cand.clone(), n)),
                }
            }
        }
        let Some(most) = score.iter().map(|(_, sum)| *sum).max() else { return false };
        let best: Vec<Map> = score.into_iter().filter(|(_, sum)| *sum == most).map(|(id, _)| id).collect();
        let at = if best.len() < 2 { 0 } else { choices.pick(Free::Geometry, best.len()) };
        self.apply(&best[at]);
        true
    }

    fn create(&mut self, size: i64, n: i64) -> bool {
        if self.spare() < size * n {
            return false;
        }
        *self.free.entry(format!("{size}gb")).or_insert(0) += n;
        true
    }

    fn update_mps(&mut self, req: &Map, choices: &mut dyn Choices, eager: bool) -> bool {
        let mut miss: Vec<(String, i64)> = Vec::new();
        for (profile, quantity) in req {
            let missing = quantity - get(&self.free, profile);
            if 0 < missing {
                miss.push((profile.clone(), missing));
            }
        }
        if miss.is_empty() {
            return false;
        }
        let orig = self.free.clone();
        let mut updated = false;
        miss.sort_by_key(|(profile, _)| mps_size(profile));
        for ties in miss.chunk_by_mut(|a, b| mps_size(&a.0) == mps_size(&b.0)) {
            arrange(choices, Free::Missing, ties);
        }
        for (profile, missing) in &mut miss {
            let size = mps_size(profile);
            if 1 <= self.spare() {
                for _ in 0..*missing {
                    if !self.create(size, 1) {
                        break;
                    }
                    *missing -= 1;
                    updated = true;
                }
            }
            for original in orig.keys() {
                self.free.remove(original);
            }
            for _ in 0..*missing {
                if self.spare() < 1 || !self.create(size, 1) {
                    break;
                }
                *missing -= 1;
                updated = true;
            }
            let mut order: Vec<&String> = orig.keys().collect();
            let all: i64 = orig.iter().map(|(profile, count)| mps_size(profile) * count).sum();
            if eager || self.spare() < all {
                arrange(choices, Free::Restore, &mut order);
            }
            for original in order {
                self.create(mps_size(original), orig[original]);
            }
        }
        updated
    }

    fn add_pod(&mut self, kind: Kind, pod: &PodSpec, choices: &mut dyn Choices, eager: bool) -> bool {
        let mut left: Vec<(String, i64)> = requested_slices(kind, pod).into_iter().collect();
        while !left.is_empty() {
            let is_free = |gpu: &Gpu, slice: &(String, i64)| slice.1 <= get(&gpu.free, &slice.0);
            // Unless some can be moved and some cannot, the order changes nothing.
            let open = left.iter().any(|slice| is_free(self, slice))
                && (eager || left.iter().any(|slice| !is_free(self, slice)));
            let at = if open { choices.pick(Free::PodSlices, left.len()) } else { 0 };
            let slice = left.remove(at);
            if !is_free(self, &slice) {
                return false;
            }
            *self.free.entry(slice.0.clone()).or_insert(0) -= slice.1;
            *self.used.entry(slice.0).or_insert(0) += slice.1;
        }
        true
    }
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    gpus: Vec<Gpu>,
    annotated: usize,
    allocatable: Amounts,
    requested: Amounts,
    pods: i64,
    used_ports: BTreeSet<u16>,
    labels: BTreeMap<String, String>,
    taints: BTreeSet<String>,
    cordoned: bool,
}

fn is_scalar(name: &str) -> bool {
    !matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods")
}

impl Node {
    fn build(kind: Kind, tables: &BTreeMap<String, Vec<Map>>, spec: &NodeSpec) -> Option<Node> {
        let model = spec.labels.get("nvidia.com/gpu.product")?;
        let count: i64 = spec.labels.get("nvidia.com/gpu.count")?.parse().ok()?;
        let memory = match kind {
            Kind::Mps => {
                let mib: i64 = spec.labels.get("nvidia.com/gpu.memory")?.parse().ok()?;
                mib / 1000 + i64::from(mib % 1000 != 0)
            }
            Kind::Mig => 0,
        };
        let new_gpu = |index: i64, used: Map, free: Map| {
            let allowed = match kind {
                Kind::Mig => tables.get(model)?.clone(),
                Kind::Mps => Vec::new(),
            };
            Some(Gpu { index, allowed, memory, used, free })
        };
        let mut groups: BTreeMap<i64, (Map, Map)> = BTreeMap::new();
        for (key, value) in &spec.annotations {
            if !key.starts_with("nos.nebuly.com/status-gpu") {
                continue;
            }
            let parts: Vec<&str> = key.split('-').collect();
            let [_, _, index, profile, status] = parts.as_slice() else { continue };
            let (Ok(index), Ok(quantity)) = (index.parse::<i64>(), value.parse::<i64>()) else { continue };
            let status = status.to_lowercase();
            if !["used", "free", "unknown"].contains(&status.as_str()) {
                continue;
            }
            let (used, free) = groups.entry(index).or_default();
            match status.as_str() {
                "used" => *used.entry((*profile).to_owned()).or_insert(0) += quantity,
                "free" => *free.entry((*profile).to_owned()).or_insert(0) += quantity,
                _ => {}
            }
        }
        let mut gpus = Vec::new();
        for (index, (used, free)) in groups {
            let gpu = new_gpu(index, used, free)?;
            if kind == Kind::Mps {
                let sizes = gpu.used.keys().chain(gpu.free.keys()).map(|profile| mps_size(profile));
                if sizes.min().is_some_and(|least| least < 1) || gpu.memory < gpu.total() {
                    return None;
                }
            }
            gpus.push(gpu);
        }
        let annotated = gpus.len();
        for index in annotated as i64..count {
            gpus.push(new_gpu(index, Map::new(), Map::new())?);
        }
        let mut requested = Amounts::new();
        let mut used_ports = BTreeSet::new();
        for pod in &spec.running {
            for (name, amount) in charged(pod) {
                *requested.entry(name).or_insert(0) += amount;
            }
            used_ports.extend(&pod.host_ports);
        }
        Some(Node {
            name: spec.name.clone(),
            gpus,
            annotated,
            allocatable: spec.allocatable.clone(),
            requested,
            pods: spec.running.len() as i64,
            used_ports,
            labels: spec.labels.clone(),
            taints: spec.taints.clone(),
            cordoned: spec.cordoned,
        })
    }

    fn has_free(&self, kind: Kind) -> bool {
        self.gpus.iter().any(|gpu| gpu.has_free(kind))
    }

    fn partitioning(&self, kind: Kind) -> Vec<(i64, Map)> {
        let resources = |gpu: &Gpu| -> Map {
            gpu.geometry().into_iter().map(|(profile, count)| (resource_of(kind, &profile), count)).collect()
        };
        let mut gpus: Vec<(i64, Map)> = self.gpus.iter().map(|gpu| (gpu.index, resources(gpu))).collect();
        gpus.sort();
        gpus
    }

    fn update(&mut self, kind: Kind, slices: &Map, choices: &mut dyn Choices, eager: bool) -> bool {
        if self.gpus.is_empty() || slices.is_empty() {
            return false;
        }
        let mut req = slices.clone();
        let mut updated = false;
        for gpu in &mut self.gpus {
            updated |= gpu.update(kind, &req, choices, eager);
            for (profile, quantity) in &gpu.free {
                *req.entry(profile.clone()).or_insert(0) -= quantity;
            }
            // Only what this GPU has free was touched.
            req.retain(|profile, left| 0 < *left || !gpu.free.contains_key(profile));
        }
        self.allocatable.retain(|name, _| !is_scalar(name) || !is_slice(kind, name));
        let mut totals = Map::new();
        for gpu in &self.gpus {
            for (profile, count) in gpu.geometry() {
                *totals.entry(resource_of(kind, &profile)).or_insert(0) += count;
            }
        }
        self.allocatable.extend(totals);
        updated
    }

    fn add_pod(&mut self, kind: Kind, pod: &PodSpec, choices: &mut dyn Choices, eager: bool) -> bool {
        for gpu in &mut self.gpus {
            if gpu.add_pod(kind, pod, choices, eager) {
                for (name, amount) in charged(pod) {
                    *self.requested.entry(name).or_insert(0) += amount;
                }
                self.used_ports.extend(&pod.host_ports);
                return true;
            }
        }
        false
    }

    /// The filters of the default profile that can refuse.
    fn admits(&self, pod: &PodSpec) -> bool {
        if pod.claims_volume {
            return false;
        }
        if self.cordoned && !pod.tolerations.contains("node.kubernetes.io/unschedulable") {
            return false;
        }
        if !pod.node_name.is_empty() && pod.node_name != self.name {
            return false;
        }
        if self.taints.iter().any(|taint| !pod.tolerations.contains(taint)) {
            return false;
        }
        if pod.selector.iter().any(|(key, value)| self.labels.get(key) != Some(value)) {
            return false;
        }
        if pod.host_ports.iter().any(|port| self.used_ports.contains(port)) {
            return false;
        }
        if get(&self.allocatable, "pods") < self.pods + 1 {
            return false;
        }
        let request = charged(pod);
        let basic = ["cpu", "memory", "ephemeral-storage"];
        let names_scalar = request.keys().any(|name| is_scalar(name));
        if basic.iter().all(|name| get(&request, name) == 0) && !names_scalar {
            return true;
        }
        let room = |name: &str| get(&self.allocatable, name) - get(&self.requested, name);
        let scalars = request.keys().filter(|name| is_scalar(name)).map(String::as_str);
        basic.into_iter().chain(scalars).all(|name| get(&request, name) <= room(name))
    }
}

type Data = BTreeMap<String, Rc<RefCell<Node>>>;

/// The snapshot, whose nodes are pointers as they are in nos.
struct Snapshot {
    kind: Kind,
    base: Data,
    forked: Option<Data>,
}

impl Snapshot {
    fn data(&self) -> &Data {
        self.forked.as_ref().unwrap_or(&self.base)
    }

    fn fork(&mut self) {
        assert!(self.forked.is_none(), "a fork is forked");
        let clone = |(name, node): (&String, &Rc<RefCell<Node>>)| {
            (name.clone(), Rc::new(RefCell::new(node.borrow().clone())))
        };
        self.forked = Some(self.base.iter().map(clone).collect());
    }

    fn commit(&mut self) {
        self.base = self.forked.take().expect("a fork");
    }

    fn revert(&mut self) {
        self.forked = None;
    }

    fn set_node(&mut self, node: Rc<RefCell<Node>>) {
        let name = node.borrow().name.clone();
        self.forked.as_mut().unwrap_or(&mut self.base).insert(name, node);
    }

    fn candidates(&self) -> Vec<Rc<RefCell<Node>>> {
        self.data().values().filter(|node| node.borrow().has_free(self.kind)).cloned().collect()
    }

    fn lacking(&self, pod: &PodSpec) -> Map {
        let mut lacking = Map::new();
        for (resource, quantity) in pod_request(pod) {
            if !is_slice(self.kind, &resource) {
                continue;
            }
            let allocatable: i64 =
                self.data().values().map(|n| get(&n.borrow().allocatable, &resource)).sum();
            let requested: i64 = self.data().values().map(|n| get(&n.borrow().requested, &resource)).sum();
            let available = (allocatable - requested).max(0);
            if available - quantity < 0 {
                lacking.insert(profile_of(self.kind, &resource), quantity - available);
            }
        }
        lacking
    }
}

struct Tracker {
    lookup: BTreeMap<String, Map>,
    lacking: Map,
}

impl Tracker {
    fn new(snapshot: &Snapshot, pods: &[PodSpec]) -> Tracker {
        let mut tracker = Tracker { lookup: BTreeMap::new(), lacking: Map::new() };
        for pod in pods {
            for (profile, count) in snapshot.lacking(pod) {
                *tracker.lacking.entry(profile.clone()).or_insert(0) += count;
                let own = tracker.lookup.entry(pod.name.clone()).or_default();
                *own.entry(profile).or_insert(0) += count;
            }
        }
        tracker
    }

    fn remove(&mut self, pod: &PodSpec) {
        for (profile, count) in self.lookup.remove(&pod.name).unwrap_or_default() {
            let left = self.lacking.entry(profile.clone()).or_insert(0);
            *left -= count;
            if *left <= 0 {
                self.lacking.remove(&profile);
            }
        }
    }
}

fn less(kind: Kind, x: &PodSpec, y: &PodSpec, choices: &mut dyn Choices) -> bool {
    let priority = |pod: &PodSpec| pod.priority.unwrap_or(0);
    if priority(x) != priority(y) {
        return priority(x) > priority(y);
    }
    let (of_x, of_y) = (requested_slices(kind, x), requested_slices(kind, y));
    if of_x.is_empty() || of_y.is_empty() {
        return false;
    }
    let mut results: Vec<bool> = Vec::new();
    for a in of_x.keys() {
        for b in of_y.keys() {
            let result = smaller_than(kind, a, b);
            if !results.contains(&result) {
                results.push(result);
            }
        }
    }
    if results.len() < 2 { results[0] } else { results[choices.pick(Free::Comparison, 2)] }
}

/// Go's `sort.SliceStable` on a whole slice with ranges, as the description has it.
fn go_sort(pods: &mut [PodSpec], less: &mut dyn FnMut(&PodSpec, &PodSpec) -> bool) {
    let n = pods.len();
    let mut first = 0;
    while first < n {
        let end = (first + 20).min(n);
        for i in first + 1..end {
            let mut j = i;
            while first < j && less(&pods[j], &pods[j - 1]) {
                pods.swap(j, j - 1);
                j -= 1;
            }
        }
        first = end;
    }
    let mut width = 20;
    while width < n {
        let mut lo = 0;
        while lo + width < n {
            sym_merge(pods, lo, lo + width, (lo + 2 * width).min(n), less);
            lo += 2 * width;
        }
        width *= 2;
    }
}

fn sym_merge(
    a: &mut [PodSpec],
    lo: usize,
    m: usize,
    hi: usize,
    less: &mut dyn FnMut(&PodSpec, &PodSpec) -> bool,
) {
    let bisect = |mut i: usize, mut j: usize, holds: &mut dyn FnMut(usize) -> bool| {
        while i < j {
            let h = (i + j) / 2;
            if holds(h) { j = h } else { i = h + 1 }
        }
        i
    };
    if m - lo == 1 {
        let k = bisect(m, hi, &mut |k| !less(&a[k], &a[lo]));
        a[lo..k].rotate_left(1);
        return;
    }
    if hi - m == 1 {
        let k = bisect(lo, m, &mut |k| less(&a[m], &a[k]));
        a[k..=m].rotate_right(1);
        return;
    }
    let c = (lo + hi) / 2;
    let t = c + m;
    let (from, to) = if m > c { (t - hi, c) } else { (lo, m) };
    let k = bisect(from, to, &mut |k| less(&a[t - 1 - k], &a[k]));
    let e = t - k;
    if k < m && m < e {
        a[k..e].rotate_left(m - k);
    }
    if lo < k && k < c {
        sym_merge(a, lo, k, c, less);
    }
    if c < e && e < hi {
        sym_merge(a, c, e, hi, less);
    }
}

/// Plans a world; `None` if a node of the kind cannot be read. `eager` asks for choices that change
/// nothing as well.
pub(crate) fn plan(world: &World, choices: &mut dyn Choices, eager: bool) -> Option<Outcome> {
    let kind = world.kind;
    let mut base = Data::new();
    for spec in &world.nodes {
        if spec.labels.get("nos.nebuly.com/gpu-partitioning").map(String::as_str) == Some(kind.word()) {
            let node = Node::build(kind, &world.tables, spec)?;
            base.insert(spec.name.clone(), Rc::new(RefCell::new(node)));
        }
    }
    let mut snapshot = Snapshot { kind, base, forked: None };
    let state = |node: &Rc<RefCell<Node>>| node.borrow().partitioning(kind);
    let mut desired: BTreeMap<_, _> =
        snapshot.base.iter().map(|(name, node)| (name.clone(), state(node))).collect();
    let mut tracker = Tracker::new(&snapshot, &world.pods);
    let lacking = tracker.lacking.clone();
    let mut kept = Vec::new();
    if lacking.is_empty() {
        return Some(Outcome { unmet: lacking.clone(), lacking, kept, desired });
    }
    let mut order = world.pods.clone();
    go_sort(&mut order, &mut |x, y| less(kind, x, y, choices));
    for n in snapshot.candidates() {
        if tracker.lacking.is_empty() {
            break;
        }
        // The order that the map of annotated GPUs happened to have; drawn when it is first looked at.
        let annotated = n.borrow().annotated;
        let in_order = {
            let mut gpus = n.borrow().gpus.clone();
            arrange(choices, Free::GpuOrder, &mut gpus[..annotated]);
            gpus
        };
        let name = n.borrow().name.clone();
        n.borrow_mut().gpus = in_order.clone();
        snapshot.base[&name].borrow_mut().gpus = in_order;
        snapshot.fork();
        let updated = n.borrow_mut().update(kind, &tracker.lacking, choices, eager);
        if updated {
            snapshot.set_node(Rc::clone(&n));
        }
        let mut added = Vec::new();
        for pod in &order {
            if !snapshot.lacking(pod).is_empty() {
                continue;
            }
            let target = Rc::clone(&snapshot.data()[&name]);
            if !target.borrow().admits(pod) || !target.borrow_mut().add_pod(kind, pod, choices, eager) {
                continue;
            }
            desired.insert(name.clone(), state(&n));
            tracker.remove(pod);
            added.push(pod.name.clone());
        }
        if added.is_empty() {
            snapshot.revert();
        } else {
            snapshot.commit();
            kept.push(Kept { node: name, updated, pods: added });
        }
    }
    Some(Outcome { lacking, unmet: tracker.lacking, kept, desired })
}
