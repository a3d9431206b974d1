//! Files as people have them, in `tests/data/kube-config`: what is read of them, and what is told.

use crate::scenario::kube_settings;
use crate::sched::spec::{ApiLimits, FitStrategy, KubeSettings, Weights};
use crate::units::Span;

fn text(name: &str) -> String {
    let path = format!("{}/tests/data/kube-config/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a file of this repository")
}

fn check(name: &str, profile: Option<&str>, expected: impl Fn(&mut KubeSettings)) {
    let mut settings = KubeSettings::default();
    expected(&mut settings);
    let read = kube_settings(&text(name), "k.yaml", profile).expect("a good file");
    assert_eq!(read, (settings, None), "{name}");
}

/// Lines, codes, and a part of the message or of its help.
fn refused(name: &str, profile: Option<&str>, expected: &[(usize, &str, &str)]) {
    let complaints = kube_settings(&text(name), "k.yaml", profile).expect_err("complaints");
    let got: Vec<(usize, &str)> = complaints.iter().map(|c| (c.line, c.code)).collect();
    let wanted: Vec<(usize, &str)> = expected.iter().map(|(line, code, _)| (*line, *code)).collect();
    assert_eq!(got, wanted, "{name}: {complaints:#?}");
    for (complaint, (.., words)) in complaints.iter().zip(expected) {
        let said = format!("{} {}", complaint.message, complaint.help.as_deref().unwrap_or(""));
        assert!(said.contains(words), "{name}: {said}");
    }
}

fn named(resources: &[(&str, u32)]) -> std::collections::BTreeMap<String, u32> {
    resources.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

#[test]
fn files_that_change_nothing() {
    check("bare", None, |_| ());
    check("kubeadm", None, |_| ());
    check("kubeadm", Some("default-scheduler"), |_| ());
}

#[test]
fn scores() {
    check("packing", None, |settings| {
        settings.weights = Weights { fit: 5, balanced: 0, taints: 0, affinity: 0 };
        settings.strategy = FitStrategy::MostAllocated;
        settings.resources = named(&[("nvidia.com/gpu", 3), ("cpu", 1)]);
    });
    check("ratio", None, |settings| {
        settings.strategy = FitStrategy::Ratio(vec![(0, 0), (100, 10)]);
        settings.resources = named(&[("intel.com/foo", 3), ("intel.com/bar", 5)]);
    });
}

#[test]
fn limits_and_what_is_ignored() {
    check("backoff", None, |settings| {
        settings.backoff_initial = Span::from_secs(2);
        settings.backoff_max = Span::from_secs(120);
    });
    check("preemption", None, |settings| {
        (settings.candidates_percentage, settings.candidates_absolute) = (25, 500);
    });
    check("ignored", None, |settings| {
        settings.ignored_resources = vec!["example.com/license".to_owned()];
        settings.ignored_groups = vec!["smarter-devices".to_owned()];
    });
}

#[test]
fn one_of_several_profiles() {
    check("two-profiles", Some("default-scheduler"), |settings| settings.percentage_of_nodes_to_score = 30);
    check("two-profiles", Some("gpu-scheduler"), |settings| {
        settings.percentage_of_nodes_to_score = 100;
        settings.weights.balanced = 0;
    });
    let choose = (6, "not-modelled", "`default-scheduler`, `gpu-scheduler`");
    refused("two-profiles", None, &[choose]);
    refused("two-profiles", Some("gpu-shedule"), &[(5, "unknown-name", "did you mean `gpu-scheduler`?")]);
}

#[test]
fn plugins_off_at_one_point_or_all() {
    check("multipoint-off", Some("no-scoring"), |settings| {
        settings.weights = Weights { fit: 0, balanced: 0, taints: 0, affinity: 0 };
    });
    check("multipoint-off", Some("no-taints"), |settings| {
        settings.weights.taints = 0;
        settings.filters_off = vec!["TaintToleration".to_owned()];
        settings.preemption = false;
    });
    check("multipoint-off", Some("back-on"), |settings| {
        settings.weights = Weights { fit: 4, balanced: 0, taints: 0, affinity: 7 };
        settings.filters_off =
            ["NodeAffinity", "NodeUnschedulable", "TaintToleration"].map(str::to_owned).to_vec();
        settings.preemption = false;
    });
}

#[test]
fn what_is_not_modelled_is_told_at_its_line_with_what_it_would_change() {
    refused(
        "coscheduling",
        None,
        &[
            (9, "not-modelled", "the plugin `Coscheduling` at `queueSort`"),
            (10, "not-modelled", "pods would be tried"),
            (12, "not-modelled", "the plugin `Coscheduling` at `multiPoint`"),
            (14, "not-modelled", "the plugin `Coscheduling`"),
        ],
    );
    refused("extender", None, &[(4, "not-modelled", "refuse nodes")]);
    refused("added-affinity", None, &[(8, "not-modelled", "keep all pods of the profile off some nodes")]);
}

#[test]
fn mistakes_are_told_all_at_once() {
    refused(
        "mistakes",
        None,
        &[
            (1, "bad-value", "kubescheduler.config.k8s.io/v1"),
            (3, "unknown-key", "did you mean `percentageOfNodesToScore`?"),
            (4, "bad-value", "from 1"),
            (8, "unknown-key", "did you mean `score`?"),
            (11, "unknown-key", "did you mean `enabled`?"),
            (12, "not-modelled", "did you mean `NodeResourcesFit`?"),
            (12, "missing-key", "`name`"),
            (14, "not-modelled", "without its part at `preFilter`"),
            (16, "not-modelled", "bound otherwise"),
            (20, "bad-value", "extended resources"),
            (21, "missing-key", "`type`"),
            (21, "bad-value", "from 0 to 100"),
            (22, "bad-value", "no node at all"),
            (25, "unknown-key", "did you mean `defaultConstraints`?"),
        ],
    );
}

#[test]
fn the_limits_of_the_api_client_are_those_that_the_file_says() {
    let default = ApiLimits::default();
    for (said, limits) in [
        ("{}", None),
        ("{kubeconfig: /etc/kubernetes/scheduler.conf}", None),
        ("{qps: 500, burst: 1000}", Some(ApiLimits { qps: 500, burst: 1_000 })),
        ("{qps: 500}", Some(ApiLimits { qps: 500, ..default })),
        ("{burst: 7}", Some(ApiLimits { burst: 7, ..default })),
        // What kubeadm prints of settings that nobody made.
        ("{qps: 0, burst: 0}", Some(default)),
        // client-go makes no limiter then.
        ("{qps: -1, burst: 7}", None),
    ] {
        let (_, api) = kube_settings(&format!("clientConnection: {said}\n"), "k.yaml", None).expect(said);
        assert_eq!(api, limits, "{said}");
    }
    let complaints = kube_settings("clientConnection: {burst: -1, qps: 1.5}\n", "k.yaml", None);
    assert_eq!(complaints.expect_err("two complaints").len(), 2);
}

fn check_text(text: &str, expected: impl Fn(&mut KubeSettings)) {
    let mut settings = KubeSettings::default();
    expected(&mut settings);
    assert_eq!(kube_settings(text, "k.yaml", None).expect("a good file"), (settings, None), "{text}");
}

#[test]
fn a_file_for_packing_is_read_as_it_is() {
    let text = include_str!("../../../scenarios/config/bin-packing.yaml");
    check_text(text, |settings| {
        settings.weights = Weights { fit: 10, balanced: 0, ..Weights::default() };
        settings.strategy = FitStrategy::MostAllocated;
        settings.resources =
            [("cpu", 1), ("memory", 1), ("nvidia.com/gpu", 10)].map(|(n, w)| (n.to_owned(), w)).into();
    });
}

#[test]
fn settings_of_file_and_profile() {
    check_text("kind: KubeSchedulerConfiguration\nprofiles:\n", |_| ());
    check_text(
        "percentageOfNodesToScore: 20\npodInitialBackoffSeconds: 3\npodMaxBackoffSeconds: 60\n\
         clientConnection: {kubeconfig: /etc/kubernetes/scheduler.conf}\nleaderElection: {leaderElect: true}\n\
         profiles: [{percentageOfNodesToScore: 70}]\n",
        |settings| {
            settings.percentage_of_nodes_to_score = 70;
            settings.backoff_initial = crate::units::Span::from_secs(3);
            settings.backoff_max = crate::units::Span::from_secs(60);
        },
    );
    check_text(
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
    check_text(ratio, |settings| settings.strategy = FitStrategy::Ratio(vec![(0, 0), (100, 10)]));
}

#[test]
fn what_is_not_modelled_is_told_where_it_stands() {
    let text = "percentageOfNodesToScore: 101\nclientConnection: {qps: much}\nextenders: [{urlPrefix: x}]\n\
                profiles:\n- plugins: {filter: {enabled: [{name: Coscheduling}]}}\n- {}\nodd: 1\n";
    let complaints = kube_settings(text, "k.yaml", None).expect_err("six complaints");
    let codes: Vec<(usize, &str)> = complaints.iter().map(|c| (c.line, c.code)).collect();
    let expected = [
        (1, "bad-value"),
        (2, "bad-value"),
        (3, "not-modelled"),
        (5, "not-modelled"),
        (6, "not-modelled"),
        (7, "unknown-key"),
    ];
    assert_eq!(codes, expected);
}
