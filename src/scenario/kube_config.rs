//! A KubeSchedulerConfiguration as people have it: what we model of it becomes settings, and what we
//! do not is complained about at its place, with what it would change.

use crate::sched::spec::{FitStrategy, KubeSettings};
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
const OF_THE_PROCESS: [&str; 8] = [
    "apiVersion",
    "kind",
    "leaderElection",
    "enableProfiling",
    "enableContentionProfiling",
    "healthzBindAddress",
    "metricsBindAddress",
    "metadata",
];

struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
    settings: KubeSettings,
}

/// Reads the settings of a file's first profile.
pub(super) fn read(root: &Rc<Node>, problems: &mut Vec<Problem>) -> KubeSettings {
    let mut reader = Reader { problems, settings: KubeSettings::default() };
    reader.file(root);
    reader.settings
}

impl Reader<'_> {
    fn complain(&mut self, code: &'static str, at: &Range<usize>, message: String, help: &str) {
        self.problems.push(Problem::new(code, at, message).help(help));
    }

    fn unmodelled(&mut self, at: &Range<usize>, what: &str, changes: &str) {
        self.complain("not-modelled", at, format!("{what} is not modelled"), changes);
    }

    fn unknown(&mut self, entry: &Entry, of: &str) {
        let message = format!("`{}` is no key of {of} that is known here", entry.key);
        self.complain("unknown-key", &entry.at, message, "leave it out if it decides nothing about pods");
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

    fn file(&mut self, root: &Rc<Node>) {
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
                "clientConnection" => {
                    let limits = self.entries(value, "`clientConnection`");
                    for limit in limits.iter().filter(|limit| matches!(&*limit.key, "qps" | "burst")) {
                        self.unmodelled(
                            &limit.at,
                            "the API client's limit",
                            "bindings and status updates would wait for it on a busy scheduler; leave it out",
                        );
                    }
                }
                "delayCacheUntilActive" => {}
                "extenders" if self.items(value, "`extenders`").is_empty() => {}
                "extenders" => self.unmodelled(
                    &entry.at,
                    "an extender",
                    "it could refuse nodes and add to their scores; leave it out",
                ),
                "profiles" => self.profiles(value),
                _ => self.unknown(&entry, "a KubeSchedulerConfiguration"),
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

    fn profiles(&mut self, node: &Node) {
        let profiles = self.items(node, "`profiles`");
        if let Some(second) = profiles.get(1) {
            self.unmodelled(
                &second.at.clone(),
                "a second profile",
                "pods choose theirs by `schedulerName`, which traces do not have; keep the profile of your GPU pods",
            );
        }
        if let Some(profile) = profiles.first() {
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
                    _ => self.unknown(&entry, "a profile"),
                }
            }
        }
    }

    fn plugins(&mut self, node: &Node) {
        for point in self.entries(node, "`plugins`") {
            for entry in self.entries(&point.value, "an extension point") {
                for plugin in self.items(&entry.value, "a list of plugins") {
                    match &*entry.key {
                        "enabled" => self.enabled(&point.key, &plugin),
                        "disabled" => self.disabled(&point.key, &plugin),
                        _ => self.unknown(&entry, "an extension point"),
                    }
                }
            }
        }
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

    fn enabled(&mut self, point: &str, plugin: &Node) {
        let Some((name, at)) = self.name(plugin) else { return };
        let weight = plugin.get("weight").map(|entry| entry.value.clone());
        let weight = weight.and_then(|node| self.integer(&node, 0..=100));
        let here = self.weight(&name).is_some() || self.is_filter(&name) || name == "DefaultPreemption";
        if !here && !WITHOUT_EFFECT.contains(&name.as_str()) && name != "DynamicResources" {
            self.unmodelled(
                &at,
                &format!("the plugin `{name}`"),
                "whatever it decides about your pods is missing here; leave it out",
            );
        }
        if matches!(point, "multiPoint" | "filter") {
            self.settings.filters_off.retain(|off| *off != name);
        }
        if matches!(point, "multiPoint" | "postFilter") && name == "DefaultPreemption" {
            self.settings.preemption = true;
        }
        if matches!(point, "multiPoint" | "score")
            && let Some(of) = self.weight(&name)
        {
            // A weight that is left out or 0 is 1.
            *of = weight.filter(|weight| 0 < *weight).unwrap_or(1) as u32;
        }
    }

    fn is_filter(&self, name: &str) -> bool {
        crate::record::Plugins::named(name).is_some()
    }

    fn disabled(&mut self, point: &str, plugin: &Node) {
        let Some((name, at)) = self.name(plugin) else { return };
        let all = name == "*";
        if all && !matches!(point, "score" | "filter" | "multiPoint" | "preScore" | "postFilter") {
            return;
        }
        if matches!(point, "queueSort" | "bind") {
            self.unmodelled(
                &at,
                "another order or binder",
                "pods would be tried or bound otherwise; leave it out",
            );
        }
        if matches!(point, "multiPoint" | "score") {
            for plugin in
                ["NodeResourcesFit", "NodeResourcesBalancedAllocation", "TaintToleration", "NodeAffinity"]
            {
                if all || plugin == name {
                    *self.weight(plugin).expect("it has a weight") = 0;
                }
            }
        }
        if matches!(point, "multiPoint" | "filter") {
            let off = crate::record::Plugins::NAMES.iter().filter(|plugin| all || **plugin == name);
            self.settings.filters_off.extend(off.map(|plugin| (*plugin).to_owned()));
            self.settings.filters_off.sort();
            self.settings.filters_off.dedup();
        }
        if matches!(point, "multiPoint" | "postFilter") && (all || name == "DefaultPreemption") {
            self.settings.preemption = false;
        }
    }

    fn plugin_config(&mut self, config: &Node) {
        let Some((name, at)) = self.name(config) else { return };
        let args = config.get("args").map(|entry| Rc::clone(&entry.value));
        let args = args.map_or_else(Vec::new, |args| self.entries(&args, "`args`"));
        for entry in args.iter().filter(|entry| !matches!(&*entry.key, "apiVersion" | "kind")) {
            match (name.as_str(), &*entry.key) {
                ("NodeResourcesFit", "scoringStrategy") => self.strategy(&entry.value),
                ("NodeResourcesFit", "ignoredResources" | "ignoredResourceGroups") => {
                    if !self.items(&entry.value, "`ignoredResources`").is_empty() {
                        self.unmodelled(
                            &entry.at,
                            "an ignored resource",
                            "NodeResourcesFit would not look whether a node has enough of it; leave it out",
                        );
                    }
                }
                ("NodeResourcesBalancedAllocation", "resources") => {
                    let resources = self.resources(&entry.value);
                    self.settings.balanced_resources = resources.into_iter().map(|(name, _)| name).collect();
                }
                ("DefaultPreemption", _) => self.unmodelled(
                    &entry.at,
                    "another number of candidate nodes",
                    "preemption on more than 100 nodes would look at fewer or more of them; leave it out",
                ),
                ("NodeAffinity", _) => self.unmodelled(
                    &entry.at,
                    "an added affinity",
                    "it would keep all pods of the profile off some nodes; use `nodeSelector` of the pods",
                ),
                (plugin, _) if WITHOUT_EFFECT.contains(&plugin) || plugin == "DynamicResources" => {}
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
    }

    fn resources(&mut self, node: &Node) -> Vec<(String, u32)> {
        let mut resources = Vec::new();
        for resource in self.items(node, "`resources`") {
            let Some((name, _)) = self.name(&resource) else { continue };
            let weight = resource.get("weight").map(|entry| entry.value.clone());
            let weight = weight.map_or(Some(1), |node| self.integer(&node, 1..=100));
            resources.extend(weight.map(|weight| (name, weight as u32)));
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
                _ => self.unknown(&entry, "a scoring strategy"),
            }
        }
        let Some((kind, at)) = kind else { return };
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

#[cfg(test)]
mod tests {
    use crate::scenario::kube_settings;
    use crate::sched::spec::{FitStrategy, KubeSettings, Weights};

    fn check(text: &str, expected: impl Fn(&mut KubeSettings)) {
        let mut settings = KubeSettings::default();
        expected(&mut settings);
        assert_eq!(kube_settings(text, "k.yaml").expect("a good file"), settings, "{text}");
    }

    #[test]
    fn a_file_for_packing_is_read_as_it_is() {
        let text = include_str!("../../scenarios/config/bin-packing.yaml");
        check(text, |settings| {
            settings.weights = Weights { fit: 10, balanced: 0, ..Weights::default() };
            settings.strategy = FitStrategy::MostAllocated;
            settings.resources =
                [("cpu", 1), ("memory", 1), ("nvidia.com/gpu", 10)].map(|(n, w)| (n.to_owned(), w)).into();
        });
    }

    #[test]
    fn settings_of_file_and_profile() {
        check("kind: KubeSchedulerConfiguration\nprofiles:\n", |_| ());
        check(
            "percentageOfNodesToScore: 20\npodInitialBackoffSeconds: 3\npodMaxBackoffSeconds: 60\n\
             clientConnection: {kubeconfig: /etc/kubernetes/scheduler.conf}\nleaderElection: {leaderElect: true}\n\
             profiles: [{percentageOfNodesToScore: 70}]\n",
            |settings| {
                settings.percentage_of_nodes_to_score = 70;
                settings.backoff_initial = crate::units::Span::from_secs(3);
                settings.backoff_max = crate::units::Span::from_secs(60);
            },
        );
        check(
            "profiles:\n- plugins:\n    score: {disabled: [{name: '*'}], enabled: [{name: NodeAffinity, weight: 7}]}\n    \
             filter: {disabled: [{name: TaintToleration}]}\n    postFilter: {disabled: [{name: DefaultPreemption}]}\n",
            |settings| {
                settings.weights = Weights { fit: 0, balanced: 0, taints: 0, affinity: 7 };
                settings.filters_off = vec!["TaintToleration".to_owned()];
                settings.preemption = false;
            },
        );
        let ratio = "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: \
                     RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, \
                     {utilization: 100, score: 10}]}}}}]}]\n";
        check(ratio, |settings| settings.strategy = FitStrategy::Ratio(vec![(0, 0), (100, 10)]));
    }

    #[test]
    fn what_is_not_modelled_is_told_where_it_stands() {
        let text = "percentageOfNodesToScore: 101\nclientConnection: {qps: 500}\nextenders: [{urlPrefix: x}]\n\
                    profiles:\n- plugins: {filter: {enabled: [{name: Coscheduling}]}}\n- {}\nodd: 1\n";
        let complaints = kube_settings(text, "k.yaml").expect_err("six complaints");
        let codes: Vec<(usize, &str)> = complaints.iter().map(|c| (c.line, c.code)).collect();
        let expected = [
            (1, "bad-value"),
            (2, "not-modelled"),
            (3, "not-modelled"),
            (5, "not-modelled"),
            (6, "not-modelled"),
            (7, "unknown-key"),
        ];
        assert_eq!(codes, expected);
    }
}
