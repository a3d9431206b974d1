//! A KubeSchedulerConfiguration as people have it: what we model of it becomes settings, and what we
//! do not is complained about at its place, with what it would change.

use crate::diag::nearest;
use crate::sched::spec::{ApiLimits, FitStrategy, KubeSettings};
use crate::units::Span;
use crate::yaml::{Entry, Node, Problem, Shape};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// Plugins of the default profile that neither exist here nor decide anything for our pods, which
/// have no ports, volumes, images, claims, or affinity to each other.
const WITHOUT_EFFECT: [&str; 15] = [
    "PrioritySort",
    "DefaultBinder",
    "SchedulingGates",
    "NodeName",
    "NodePorts",
    "NodeVolumeLimits",
    "EBSLimits",
    "GCEPDLimits",
    "AzureDiskLimits",
    "VolumeBinding",
    "VolumeRestrictions",
    "VolumeZone",
    "PodTopologySpread",
    "InterPodAffinity",
    "ImageLocality",
];

/// Keys of the file that say how the process runs and not what it decides.
const OF_THE_PROCESS: [&str; 6] = [
    "leaderElection",
    "enableProfiling",
    "enableContentionProfiling",
    "healthzBindAddress",
    "metricsBindAddress",
    "metadata",
];

/// Keys of the file that decide something.
const KEYS: [&str; 10] = [
    "apiVersion",
    "kind",
    "percentageOfNodesToScore",
    "podInitialBackoffSeconds",
    "podMaxBackoffSeconds",
    "parallelism",
    "clientConnection",
    "delayCacheUntilActive",
    "extenders",
    "profiles",
];

/// Extension points of the framework.
const POINTS: [&str; 13] = [
    "multiPoint",
    "preEnqueue",
    "queueSort",
    "preFilter",
    "filter",
    "postFilter",
    "preScore",
    "score",
    "reserve",
    "permit",
    "preBind",
    "bind",
    "postBind",
];

/// Plugins that decide something here.
const DECIDING: [&str; 6] = [
    "NodeUnschedulable",
    "TaintToleration",
    "NodeAffinity",
    "NodeResourcesFit",
    "NodeResourcesBalancedAllocation",
    "DefaultPreemption",
];

/// Keys of the arguments of plugins that decide nothing here (`apis/config/types_pluginargs.go`).
const ARGUMENTS: [(&str, &[&str]); 4] = [
    ("InterPodAffinity", &["hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"]),
    // Its defaults mean pods of a Service or a controller, which ours do not name.
    ("PodTopologySpread", &["defaultConstraints", "defaultingType"]),
    ("VolumeBinding", &["bindTimeoutSeconds", "shape"]),
    ("DynamicResources", &["filterTimeout", "bindingTimeout"]),
];

struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
    settings: KubeSettings,
    api: Option<ApiLimits>,
}

/// Plugins that are switched at one extension point: with their places, and weights if they have any.
#[derive(Default)]
struct Switched {
    enabled: Vec<(String, Range<usize>, Option<i64>)>,
    disabled: Vec<(String, Range<usize>)>,
}

impl Switched {
    fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|(disabled, _)| disabled == name || disabled == "*")
    }

    fn weight(&self, name: &str) -> Option<Option<i64>> {
        self.enabled.iter().find(|(enabled, ..)| enabled == name).map(|(.., weight)| *weight)
    }
}

/// Reads the settings of a file's only profile, or of that of a name; and the limits of the API client
/// where the file says any.
pub(super) fn read(
    root: &Rc<Node>,
    profile: Option<&str>,
    problems: &mut Vec<Problem>,
) -> (KubeSettings, Option<ApiLimits>) {
    let mut reader = Reader { problems, settings: KubeSettings::default(), api: None };
    reader.file(root, profile);
    (reader.settings, reader.api)
}

impl Reader<'_> {
    fn complain(&mut self, code: &'static str, at: &Range<usize>, message: String, help: &str) {
        self.problems.push(Problem::new(code, at, message).help(help));
    }

    fn unmodelled(&mut self, at: &Range<usize>, what: &str, changes: &str) {
        self.complain("not-modelled", at, format!("{what} is not modelled"), changes);
    }

    fn unknown(&mut self, entry: &Entry, of: &str, known: &[&str]) {
        let message = format!("`{}` is no key of {of} that is known here", entry.key);
        let help = match nearest(&entry.key, known.iter().copied()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => "leave it out if it decides nothing about pods".to_owned(),
        };
        self.complain("unknown-key", &entry.at, message, &help);
    }

    fn entries(&mut self, node: &Node, of: &str) -> Vec<Entry> {
        match node.entries() {
            Some(entries) => entries.to_vec(),
            None if node.is_null() => Vec::new(),
            None => {
                self.complain(
                    "bad-value",
                    &node.at,
                    format!("{of} is a mapping"),
                    "see kube-scheduler's reference",
                );
                Vec::new()
            }
        }
    }

    fn items(&mut self, node: &Node, of: &str) -> Vec<Rc<Node>> {
        match &node.shape {
            Shape::List(items) => items.clone(),
            _ if node.is_null() => Vec::new(),
            _ => {
                self.complain(
                    "bad-value",
                    &node.at,
                    format!("{of} is a list"),
                    "see kube-scheduler's reference",
                );
                Vec::new()
            }
        }
    }

    fn integer(&mut self, node: &Node, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = match &node.shape {
            Shape::Text { text, .. } => text.parse::<i64>().ok(),
            _ => None,
        };
        let good = number.filter(|number| range.contains(number));
        if good.is_none() {
            let (low, high) = (range.start(), range.end());
            let message = format!("expected a whole number from {low} to {high}");
            self.complain("bad-value", &node.at, message, "see kube-scheduler's reference");
        }
        good
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match &node.shape {
            Shape::Text { text, .. } => Some(text.clone()),
            _ => {
                self.complain(
                    "bad-value",
                    &node.at,
                    "expected a text".to_owned(),
                    "see kube-scheduler's reference",
                );
                None
            }
        }
    }

    fn file(&mut self, root: &Rc<Node>, profile: Option<&str>) {
        for entry in self.entries(root, "a KubeSchedulerConfiguration") {
            let value = &entry.value;
            match &*entry.key {
                "kind" => {
                    if self.text(value).is_some_and(|kind| kind != "KubeSchedulerConfiguration") {
                        let message = "this is no KubeSchedulerConfiguration".to_owned();
                        self.complain(
                            "bad-value",
                            &value.at,
                            message,
                            "name the file of `kube-scheduler --config`",
                        );
                    }
                }
                "apiVersion" => {
                    // v1beta2 and before had other default weights; v1beta3 is read alike.
                    const READ: [&str; 2] =
                        ["kubescheduler.config.k8s.io/v1", "kubescheduler.config.k8s.io/v1beta3"];
                    if self.text(value).is_some_and(|version| !READ.contains(&version.as_str())) {
                        let message = "this version of the file is not read".to_owned();
                        let help = "write `kubescheduler.config.k8s.io/v1`";
                        self.complain("bad-value", &value.at, message, help);
                    }
                }
                key if OF_THE_PROCESS.contains(&key) => {}
                "percentageOfNodesToScore" => self.percentage(value),
                "podInitialBackoffSeconds" => {
                    if let Some(seconds) = self.integer(value, 1..=86_400) {
                        self.settings.backoff_initial = Span::from_secs(seconds as u64);
                    }
                }
                "podMaxBackoffSeconds" => {
                    if let Some(seconds) = self.integer(value, 0..=86_400) {
                        self.settings.backoff_max = Span::from_secs(seconds as u64);
                    }
                }
                "parallelism" => {
                    let _ = self.integer(value, 1..=i64::from(u16::MAX));
                }
                "clientConnection" => self.client(value),
                "delayCacheUntilActive" => {}
                "extenders" if self.items(value, "`extenders`").is_empty() => {}
                "extenders" => self.unmodelled(
                    &entry.at,
                    "an extender",
                    "it could refuse nodes and add to their scores; leave it out",
                ),
                "profiles" => self.profiles(value, profile),
                _ => self.unknown(&entry, "a KubeSchedulerConfiguration", &KEYS),
            }
        }
        if self.settings.backoff_max < self.settings.backoff_initial
            && self.settings.backoff_max != Span::ZERO
        {
            let message = "podMaxBackoffSeconds is below podInitialBackoffSeconds".to_owned();
            self.complain("bad-value", &root.at, message, "kube-scheduler refuses it");
        }
    }

    fn percentage(&mut self, value: &Node) {
        if let Some(percentage) = self.integer(value, 0..=100) {
            self.settings.percentage_of_nodes_to_score = percentage as u16;
        }
    }

    /// The API client. A 0 is what the file's defaulting makes of it, and with a `qps` below 0 client-go
    /// makes no limiter at all (`apis/config/v1/defaults.go`, `client-go/rest/config.go`).
    fn client(&mut self, node: &Node) {
        const KNOWN: [&str; 5] = ["kubeconfig", "contentType", "acceptContentTypes", "qps", "burst"];
        let (mut limits, mut limited, mut says) = (ApiLimits::default(), true, false);
        for entry in self.entries(node, "`clientConnection`") {
            match &*entry.key {
                "kubeconfig" | "contentType" | "acceptContentTypes" => {}
                key @ ("qps" | "burst") => {
                    says = true;
                    let least = if key == "qps" { -1_000_000 } else { 0 };
                    let number = self.integer(&entry.value, least..=1_000_000);
                    limited &= number.is_none_or(|number| 0 <= number);
                    let of = if key == "qps" { &mut limits.qps } else { &mut limits.burst };
                    if let Some(number) = number.filter(|number| 0 < *number) {
                        *of = number as u32;
                    }
                }
                _ => self.unknown(&entry, "`clientConnection`", &KNOWN),
            }
        }
        self.api = (says && limited).then_some(limits);
    }

    fn profiles(&mut self, node: &Node, wanted: Option<&str>) {
        let profiles = self.items(node, "`profiles`");
        let mut names = Vec::new();
        for profile in &profiles {
            let entry = profile.get("schedulerName").map(|entry| Rc::clone(&entry.value));
            let name = entry.and_then(|name| self.text(&name));
            names.push(name.unwrap_or_else(|| "default-scheduler".to_owned()));
        }
        let chosen = match wanted {
            Some(wanted) => names.iter().position(|name| name == wanted),
            None => (!profiles.is_empty()).then_some(0),
        };
        if let (Some(second), None) = (profiles.get(1), wanted) {
            let message = "the file has several profiles".to_owned();
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let names = names.join(", ");
            let help = format!("choose that of your GPU pods by `scheduler_name` beside `config`: {names}");
            self.complain("not-modelled", &second.at, message, &help);
        }
        if let (Some(wanted), None) = (wanted, chosen) {
            let message = format!("no profile has the schedulerName `{wanted}`");
            let help = match nearest(wanted, names.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "a profile without one is `default-scheduler`".to_owned(),
            };
            self.complain("unknown-name", &node.at, message, &help);
        }
        if let Some(profile) = chosen.and_then(|chosen| profiles.get(chosen)) {
            for entry in self.entries(profile, "a profile") {
                match &*entry.key {
                    "schedulerName" => {}
                    "percentageOfNodesToScore" => self.percentage(&entry.value),
                    "plugins" => self.plugins(&entry.value),
                    "pluginConfig" => {
                        for config in self.items(&entry.value, "`pluginConfig`") {
                            self.plugin_config(&config);
                        }
                    }
                    _ => {
                        let known = ["schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"];
                        self.unknown(&entry, "a profile", &known);
                    }
                }
            }
        }
    }

    /// Plugins on and off: whatever the order in the file, a point disables before it enables, and what
    /// a point of its own says wins over `multiPoint` (`framework/runtime`, `expandMultiPointPlugins`).
    fn plugins(&mut self, node: &Node) {
        let mut points: BTreeMap<&str, Switched> = BTreeMap::new();
        for point in self.entries(node, "`plugins`") {
            let Some(name) = POINTS.iter().find(|known| **known == &*point.key) else {
                self.unknown(&point, "`plugins`", &POINTS);
                continue;
            };
            let switched = self.switched(name, &point.value);
            points.insert(name, switched);
        }
        let none = Switched::default();
        let at = |point: &str| points.get(point).unwrap_or(&none);
        let (every, filter, post, score) = (at("multiPoint"), at("filter"), at("postFilter"), at("score"));
        // Before a point's own word, `multiPoint` has it.
        let is_on = |own: &Switched, name: &str| {
            let by_default = !every.disables(name) || every.weight(name).is_some();
            own.weight(name).is_some() || (by_default && !own.disables(name))
        };
        for name in crate::record::Plugins::NAMES {
            if !is_on(filter, name) {
                self.settings.filters_off.push(name.to_owned());
            }
        }
        self.settings.filters_off.sort();
        self.settings.preemption = is_on(post, "DefaultPreemption");
        for name in DECIDING {
            let on = is_on(score, name);
            let said = score.weight(name).or_else(|| every.weight(name));
            if let Some(weight) = self.weight(name) {
                *weight = match said {
                    _ if !on => 0,
                    None => *weight,
                    // A weight that is left out or 0 is 1.
                    Some(said) => said.filter(|weight| 0 < *weight).unwrap_or(1) as u32,
                };
            }
        }
        let parts: [(&str, &Switched, &[&str]); 2] = [
            ("preFilter", filter, &["NodeAffinity", "NodeResourcesFit"]),
            ("preScore", score, &DECIDING[1..5]),
        ];
        for (point, later, with_part) in parts {
            for (name, place) in &at(point).disabled {
                let again = |of: &str| at(point).weight(of).or_else(|| every.weight(of)).is_some();
                let missed = with_part.iter().find(|of| {
                    let off = (name == **of || name == "*") && !again(of);
                    off && is_on(later, of)
                });
                if let Some(plugin) = missed {
                    let what = format!("`{plugin}` without its part at `{point}`");
                    self.unmodelled(
                        place,
                        &what,
                        "disable it at `multiPoint`, or where it filters and scores",
                    );
                }
            }
        }
        for (point, ours) in [("queueSort", "PrioritySort"), ("bind", "DefaultBinder")] {
            let off = at(point).disabled.iter().find(|(name, _)| name == ours || name == "*");
            if let Some((_, place)) = off
                && at(point).weight(ours).is_none()
            {
                let what = "another order or binder";
                self.unmodelled(place, what, "pods would be tried or bound otherwise; leave it out");
            }
        }
    }

    fn switched(&mut self, point: &str, node: &Node) -> Switched {
        let mut switched = Switched::default();
        for entry in self.entries(node, "an extension point") {
            if !matches!(&*entry.key, "enabled" | "disabled") {
                self.unknown(&entry, "an extension point", &["enabled", "disabled"]);
                continue;
            }
            for plugin in self.items(&entry.value, "a list of plugins") {
                let Some((name, at)) = self.name(&plugin) else { continue };
                if &*entry.key == "disabled" {
                    switched.disabled.push((name, at));
                    continue;
                }
                let weight = plugin.get("weight").map(|entry| Rc::clone(&entry.value));
                let weight = weight.and_then(|node| self.integer(&node, 0..=100));
                let known = DECIDING.contains(&name.as_str()) || is_without_effect(&name);
                if !known {
                    let all = DECIDING.iter().chain(&WITHOUT_EFFECT).copied();
                    let help = match nearest(&name, all) {
                        Some(plugin) => format!("did you mean `{plugin}`?"),
                        None => {
                            "whatever it decides about your pods is missing here; leave it out".to_owned()
                        }
                    };
                    self.unmodelled(&at, &format!("the plugin `{name}` at `{point}`"), &help);
                }
                switched.enabled.push((name, at, weight));
            }
        }
        switched
    }

    fn name(&mut self, plugin: &Node) -> Option<(String, Range<usize>)> {
        let Some(entry) = plugin.get("name") else {
            self.complain(
                "missing-key",
                &plugin.at,
                "a plugin has a `name`".to_owned(),
                "see kube-scheduler's reference",
            );
            return None;
        };
        Some((self.text(&entry.value)?, entry.value.at.clone()))
    }

    /// The weight of a score plugin that has one here.
    fn weight(&mut self, name: &str) -> Option<&mut u32> {
        let weights = &mut self.settings.weights;
        Some(match name {
            "NodeResourcesFit" => &mut weights.fit,
            "NodeResourcesBalancedAllocation" => &mut weights.balanced,
            "TaintToleration" => &mut weights.taints,
            "NodeAffinity" => &mut weights.affinity,
            _ => return None,
        })
    }

    fn plugin_config(&mut self, config: &Node) {
        let Some((name, at)) = self.name(config) else { return };
        let args = config.get("args").map(|entry| Rc::clone(&entry.value));
        let args = args.map_or_else(Vec::new, |args| self.entries(&args, "`args`"));
        for entry in args.iter().filter(|entry| !matches!(&*entry.key, "apiVersion" | "kind")) {
            match (name.as_str(), &*entry.key) {
                ("NodeResourcesFit", "scoringStrategy") => self.strategy(&entry.value),
                ("NodeResourcesFit", "ignoredResources") => {
                    self.settings.ignored_resources = self.ignored(&entry.value, false);
                }
                ("NodeResourcesFit", "ignoredResourceGroups") => {
                    self.settings.ignored_groups = self.ignored(&entry.value, true);
                }
                ("NodeResourcesBalancedAllocation", "resources") => {
                    let resources = self.resources(&entry.value);
                    self.settings.balanced_resources = resources.into_iter().map(|(name, _)| name).collect();
                }
                ("DefaultPreemption", "minCandidateNodesPercentage") => {
                    if let Some(percentage) = self.integer(&entry.value, 0..=100) {
                        self.settings.candidates_percentage = percentage as u32;
                    }
                }
                ("DefaultPreemption", "minCandidateNodesAbsolute") => {
                    if let Some(nodes) = self.integer(&entry.value, 0..=1_000_000) {
                        self.settings.candidates_absolute = nodes as u32;
                    }
                }
                ("NodeAffinity", "addedAffinity") if entry.value.is_null() => {}
                ("NodeAffinity", "addedAffinity") => self.unmodelled(
                    &entry.at,
                    "an added affinity",
                    "it would keep all pods of the profile off some nodes; use `nodeSelector` of the pods",
                ),
                (plugin, _) if DECIDING.contains(&plugin) => {
                    let known = [
                        "scoringStrategy",
                        "ignoredResources",
                        "ignoredResourceGroups",
                        "resources",
                        "minCandidateNodesPercentage",
                        "minCandidateNodesAbsolute",
                        "addedAffinity",
                    ];
                    self.unknown(entry, &format!("the arguments of `{plugin}`"), &known);
                }
                (plugin, key) if is_without_effect(plugin) => {
                    let keys = ARGUMENTS.iter().find(|(name, _)| *name == plugin).map_or(&[][..], |of| of.1);
                    if !keys.contains(&key) {
                        self.unknown(entry, &format!("the arguments of `{plugin}`"), keys);
                    }
                }
                (plugin, _) => {
                    self.unmodelled(
                        &at,
                        &format!("the plugin `{plugin}`"),
                        "its arguments change nothing here; leave them out",
                    );
                    return;
                }
            }
        }
        if name == "DefaultPreemption"
            && (self.settings.candidates_percentage, self.settings.candidates_absolute) == (0, 0)
        {
            let message = "preemption looks at no node at all".to_owned();
            self.complain("bad-value", &at, message, "kube-scheduler refuses both at 0");
        }
    }

    /// Names of extended resources, or of their groups.
    fn ignored(&mut self, node: &Node, groups: bool) -> Vec<String> {
        let mut names = Vec::new();
        for item in self.items(node, "a list of names") {
            let Some(name) = self.text(&item) else { continue };
            let good = if groups { !name.contains('/') } else { name.contains('/') };
            if good {
                names.push(name);
            } else {
                let (message, help) = match groups {
                    true => ("a group is what stands before the `/`", "write `nvidia.com`"),
                    false => ("only extended resources can be ignored", "they are named `DOMAIN/RESOURCE`"),
                };
                self.complain("bad-value", &item.at, message.to_owned(), help);
            }
        }
        names
    }

    fn resources(&mut self, node: &Node) -> Vec<(String, u32)> {
        let mut resources = Vec::new();
        for resource in self.items(node, "`resources`") {
            let Some((name, _)) = self.name(&resource) else { continue };
            let weight = resource.get("weight").map(|entry| entry.value.clone());
            let weight = weight.map_or(Some(1), |node| self.integer(&node, 0..=100));
            // A weight of 0 is as good as none, which is 1.
            resources.extend(weight.map(|weight| (name, weight.max(1) as u32)));
        }
        resources
    }

    fn strategy(&mut self, node: &Node) {
        let mut ratio = Vec::new();
        let mut kind = None;
        for entry in self.entries(node, "`scoringStrategy`") {
            match &*entry.key {
                "type" => kind = self.text(&entry.value).map(|text| (text, entry.value.at.clone())),
                "resources" => {
                    let resources = self.resources(&entry.value);
                    if !resources.is_empty() {
                        self.settings.resources = resources.into_iter().collect::<BTreeMap<_, _>>();
                    }
                }
                "requestedToCapacityRatio" => {
                    let shape = entry.value.get("shape").map(|shape| Rc::clone(&shape.value));
                    for point in shape.map_or_else(Vec::new, |shape| self.items(&shape, "`shape`")) {
                        let mut number = |key: &str, most: i64| {
                            let value = point.get(key).map(|entry| Rc::clone(&entry.value));
                            value.map_or(Some(0), |value| self.integer(&value, 0..=most))
                        };
                        ratio.extend(number("utilization", 100).zip(number("score", 10)));
                    }
                }
                _ => {
                    let known = ["type", "resources", "requestedToCapacityRatio"];
                    self.unknown(&entry, "a scoring strategy", &known);
                }
            }
        }
        let Some((kind, at)) = kind else {
            let message = "a scoring strategy has a `type`".to_owned();
            let help = "write `LeastAllocated`, `MostAllocated` or `RequestedToCapacityRatio`";
            return self.complain("missing-key", &node.at, message, help);
        };
        self.settings.strategy = match kind.as_str() {
            "LeastAllocated" => FitStrategy::LeastAllocated,
            "MostAllocated" => FitStrategy::MostAllocated,
            "RequestedToCapacityRatio" if !ratio.is_empty() && ratio.is_sorted_by(|a, b| a.0 < b.0) => {
                FitStrategy::Ratio(ratio.iter().map(|(at, score)| (*at as u8, *score as u8)).collect())
            }
            "RequestedToCapacityRatio" => {
                let message = "its shape needs points of ascending utilization".to_owned();
                return self.complain("bad-value", &at, message, "kube-scheduler refuses it");
            }
            other => {
                let message = format!("`{other}` is no scoring strategy");
                let help = "write `LeastAllocated`, `MostAllocated` or `RequestedToCapacityRatio`";
                return self.complain("unknown-name", &at, message, help);
            }
        };
    }
}

fn is_without_effect(plugin: &str) -> bool {
    // Without claims it decides nothing; it is on by default since 1.34.
    WITHOUT_EFFECT.contains(&plugin) || plugin == "DynamicResources"
}

#[cfg(test)]
mod tests;
