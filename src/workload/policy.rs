//! What a cluster's administrators say of pods: priority classes, disruption budgets, scheduling gates.

use super::{Pod, Workload};
use crate::id::PodId;
use crate::units::Span;
use crate::workload::view::Pods;
use serde::Serialize;

/// How long a pod that must go keeps its place: Kubernetes' default `terminationGracePeriodSeconds`.
pub const GRACE: Span = Span::from_secs(30);

/// What becomes of a pod that was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evicted {
    /// It is created anew, its work lost, as by a Job: after 10 s, doubled each time up to 6 minutes.
    #[default]
    Return,
    /// It is gone, as a bare pod is.
    Leave,
}

/// Pods by namespace and class; whatever is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Of {
    /// Namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl Of {
    /// Whether a namespace and class are meant.
    #[must_use]
    pub fn holds(&self, namespace: &str, class: &str) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        among(&self.namespaces, namespace) && among(&self.classes, class)
    }

    /// Names that no pod of `workload` has.
    pub fn unknown<'o>(&'o self, workload: &'o Workload) -> impl Iterator<Item = &'o str> {
        let lacks = |all: &'o [String]| move |name: &&'o String| !all.contains(name);
        let namespaces = self.namespaces.iter().filter(lacks(&workload.namespaces));
        namespaces.chain(self.classes.iter().filter(lacks(&workload.classes))).map(String::as_str)
    }
}

/// A PriorityClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriorityClass {
    /// Its name.
    pub name: String,
    /// Its value: higher goes first.
    pub value: i32,
    /// `preemptionPolicy: Never`: its pods evict nobody.
    pub never_preempts: bool,
    /// The pods that it is given to; none gives it to the pods whose trace says just its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Of>,
}

/// Gives pods the first priority class that means them; the others keep what their trace says.
pub fn prioritize(workload: &mut Workload, classes: &[PriorityClass]) {
    let Workload { pods, namespaces, classes: names, .. } = workload;
    for pod in pods {
        let means = |class: &&PriorityClass| match &class.of {
            Some(of) => of.holds(&namespaces[pod.namespace.index()], &names[pod.class.index()]),
            None => class.value == pod.priority,
        };
        if let Some(class) = classes.iter().find(means) {
            (pod.priority, pod.never_preempts) = (class.value, class.never_preempts);
        }
    }
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DisruptionBudget {
    /// Its name.
    pub name: String,
    /// The pods that it protects.
    pub of: Of,
    /// How many of them may be disrupted.
    #[serde(flatten)]
    pub allows: Allows,
}

/// How many disruptions a budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allows {
    /// As long as so many are healthy afterwards.
    MinAvailable(Amount),
    /// As long as no more than so many are not.
    MaxUnavailable(Amount),
}

/// So many pods, or a share of those that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Pods.
    Pods(u32),
    /// Percent, rounded up to whole pods.
    Percent(u32),
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Amount::Pods(pods) => s.collect_str(pods),
            Amount::Percent(percent) => s.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl Amount {
    fn of(self, expected: i64) -> i64 {
        match self {
            Amount::Pods(pods) => i64::from(pods),
            Amount::Percent(percent) => (expected * i64::from(percent) + 99) / 100,
        }
    }
}

impl Allows {
    /// Disruptions allowed now, as the disruption controller writes them into a budget's status
    /// (`pkg/controller/disruption`): healthy − desired, where `minAvailable` is desired, or
    /// expected − `maxUnavailable`; never below 0.
    #[must_use]
    pub fn disruptions(self, healthy: i64, expected: i64) -> i64 {
        let desired = match self {
            Allows::MinAvailable(amount) => amount.of(expected),
            Allows::MaxUnavailable(amount) => (expected - amount.of(expected)).max(0),
        };
        (healthy - desired).max(0)
    }
}

/// The budgets of a run, looked up by pod.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    budgets: Vec<DisruptionBudget>,
    /// Budgets of each namespace and class, as bits.
    of: Vec<u64>,
    classes: usize,
}

/// Most budgets of a run: those of a pod are a set of so many bits.
pub const BUDGETS_MAX: usize = 64;

impl Budgets {
    /// The budgets for pods of `workload`.
    ///
    /// # Panics
    /// If there are more than [`BUDGETS_MAX`].
    #[must_use]
    pub fn new(budgets: &[DisruptionBudget], workload: &Workload) -> Budgets {
        assert!(budgets.len() <= BUDGETS_MAX, "budgets of a pod are a set of 64 bits");
        let mut of = Vec::new();
        for namespace in &workload.namespaces {
            for class in &workload.classes {
                let meant = budgets.iter().enumerate().filter(|(_, b)| b.of.holds(namespace, class));
                of.push(meant.fold(0, |set, (bit, _)| set | 1 << bit));
            }
        }
        Budgets { budgets: budgets.to_vec(), of, classes: workload.classes.len() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty()
    }

    /// The budgets that protect a pod, as bits by position.
    #[must_use]
    pub fn of(&self, pod: &Pod) -> u64 {
        if self.budgets.is_empty() {
            return 0;
        }
        self.of[pod.namespace.index() * self.classes + pod.class.index()]
    }

    /// What each budget allows.
    pub fn allows(&self) -> impl Iterator<Item = Allows> + '_ {
        self.budgets.iter().map(|budget| budget.allows)
    }
}

/// A scheduling gate of pods (`spec.schedulingGates`), and when whoever set it lifts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchedulingGate {
    /// Its name.
    pub name: String,
    /// The pods that are created with it.
    pub of: Of,
    /// So long after their creation it is lifted.
    pub lifted: Span,
}

/// The scheduling gates of a run, looked up by pod.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// What holds pods: the latest lift, and the names of all gates.
    held: Vec<(Span, String)>,
    /// Which of these holds the pods of each namespace and class, if any.
    of: Vec<Option<u32>>,
    classes: usize,
}

impl Gates {
    /// The gates for pods of `workload`.
    #[must_use]
    pub fn new(gates: &[SchedulingGate], workload: &Workload) -> Gates {
        let (mut held, mut of) = (Vec::new(), Vec::new());
        for namespace in workload.namespaces.iter().filter(|_| !gates.is_empty()) {
            for class in &workload.classes {
                let meant = || gates.iter().filter(|gate| gate.of.holds(namespace, class));
                let names: Vec<&str> = meant().map(|gate| gate.name.as_str()).collect();
                let by = meant().map(|gate| gate.lifted).max().map(|lifted| (lifted, names.join(" ")));
                of.push(by.map(|by| {
                    let known = held.iter().position(|known| *known == by);
                    known.unwrap_or_else(|| {
                        held.push(by);
                        held.len() - 1
                    }) as u32
                }));
            }
        }
        Gates { held, of, classes: workload.classes.len() }
    }

    fn get(&self, pod: &Pod) -> Option<&(Span, String)> {
        let by = self.of.get(pod.namespace.index() * self.classes + pod.class.index())?;
        by.map(|by| &self.held[by as usize])
    }

    /// How long after its creation the last gate of a pod, or of its gang, is lifted; `None` without gates.
    /// `first` is the pod alone or the first of its gang.
    #[must_use]
    pub fn lifted(&self, first: PodId, pods: &Pods<'_>) -> Option<Span> {
        let of = |pod: PodId| self.get(&pods.pods[pod.index()]).map(|(lifted, _)| *lifted);
        if self.of.is_empty() { None } else { pods.members(first).filter_map(of).max() }
    }

    /// The names of a pod's gates.
    pub fn names(&self, pod: &Pod) -> impl Iterator<Item = &str> {
        self.get(pod).into_iter().flat_map(|(_, names)| names.split(' '))
    }

    /// What kube-scheduler says of a pod that has gates (plugin SchedulingGates), or of a gang of which a
    /// member has. `first` is the pod alone or the first of its gang.
    #[must_use]
    pub fn message(&self, first: PodId, pods: &Pods<'_>) -> String {
        let names = pods.members(first).find_map(|pod| self.get(&pods.pods[pod.index()]));
        format!("waiting for scheduling gates: [{}]", names.map_or("", |(_, names)| names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_held_until_the_last_of_its_gates_is_lifted() {
        let mut workload = Workload { namespaces: vec!["a".into(), "b".into()], ..Workload::default() };
        workload.classes = vec!["x".into(), "y".into()];
        let of = |namespaces: &[&str], classes: &[&str]| Of {
            namespaces: namespaces.iter().map(|n| (*n).to_owned()).collect(),
            classes: classes.iter().map(|n| (*n).to_owned()).collect(),
        };
        let gate = |name: &str, of, secs| SchedulingGate {
            name: name.to_owned(),
            of,
            lifted: Span::from_secs(secs),
        };
        let gates = [gate("quota", of(&["a"], &[]), 60), gate("image", of(&[], &["y"]), 30)];
        let gates = Gates::new(&gates, &workload);
        let held = |by: &Option<u32>| {
            by.map(|by| &gates.held[by as usize]).map(|(span, names)| (span.0 / 1_000_000, names.as_str()))
        };
        let held: Vec<Option<(u64, &str)>> = gates.of.iter().map(held).collect();
        assert_eq!(held, [Some((60, "quota")), Some((60, "quota image")), None, Some((30, "image"))]);
    }

    #[test]
    fn disruptions_follow_the_disruption_controller() {
        let (pods, percent) = (Amount::Pods, Amount::Percent);
        for (allows, healthy, expected, allowed) in [
            (Allows::MinAvailable(pods(2)), 5, 5, 3),
            (Allows::MinAvailable(pods(6)), 5, 5, 0),
            (Allows::MinAvailable(percent(50)), 7, 7, 3),
            (Allows::MaxUnavailable(pods(1)), 5, 5, 1),
            (Allows::MaxUnavailable(pods(1)), 4, 5, 0),
            (Allows::MaxUnavailable(percent(30)), 7, 7, 3),
            (Allows::MaxUnavailable(pods(9)), 5, 5, 5),
        ] {
            assert_eq!(allows.disruptions(healthy, expected), allowed, "{allows:?} of {healthy}/{expected}");
        }
    }
}
