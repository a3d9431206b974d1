//! Every format: random plans that it can carry are written, read under its rules without a single
//! complaint, and come out as they went in; plans that it cannot carry are refused by name.

use crate::{cases, plans};
use slicewise::check::{self, Input, Options};
use slicewise::formats::{Content, Cut, Document, Format, GpuPlan, NodePlan, Plan, Sharing, export, read};
use slicewise::gpu::{Catalogue, Geometry, Layout, Product};
use std::collections::{BTreeMap, BTreeSet};

/// Writes and reads; no complaint is allowed.
fn written(plan: &Plan<'_>, format: Format, seed: u64) -> (String, Vec<Document>) {
    let export = export(plan, format).unwrap_or_else(|r| panic!("{} seed {seed}: {r:?}", format.word()));
    let mut problems = Vec::new();
    let documents = read(&export.text, None, &mut problems);
    assert!(problems.is_empty(), "{} seed {seed}: {problems:?}\n{}", format.word(), export.text);
    let inputs = [Input { name: "f".to_owned(), text: export.text.clone(), kind: None }];
    let options = Options { catalogue: Catalogue::builtin(), imagined: Vec::new(), strategy: None };
    let outcome = check::check(&inputs, &options);
    assert_eq!(
        outcome.counts().0,
        0,
        "{} seed {seed}: {:?}\n{}",
        format.word(),
        outcome.findings,
        export.text
    );
    (export.text, documents)
}

/// What the comments of a file select for each node: the word behind `before`.
fn selected(text: &str, node: &str, before: &str) -> String {
    let line = text.lines().find(|l| l.starts_with('#') && l.contains(node) && l.contains(before));
    let line = line.unwrap_or_else(|| panic!("a command for {node} in\n{text}"));
    let rest = &line[line.find(before).expect("it contains it") + before.len()..];
    rest.split_whitespace().next().expect("a label").to_owned()
}

fn each(format: Format, holds: impl Fn(&Plan<'_>, &str, &[Document])) {
    for seed in 0..cases() {
        let plan = plans::that(format, seed);
        let (text, documents) = written(&plan, format, seed);
        holds(&plan, &text, &documents);
        assert_eq!(written(&plan, format, seed).0, text, "the same bytes twice");
    }
}

fn geometry(gpu: &GpuPlan, product: &Product) -> Option<Geometry> {
    gpu.cut.geometry(product)
}

/// The layout that must come back: places if the plan gives them, any that hold the counts if not.
#[track_caller]
fn same_layout(gpu: &GpuPlan, product: &Product, found: Layout) {
    match &gpu.cut {
        Cut::Mig(layout) => assert_eq!(*layout, found),
        other => assert_eq!(other.geometry(product), Some(found.geometry(product))),
    }
}

fn mig_configs(plan: &Plan<'_>, text: &str, documents: &[Document], before: &str) {
    let [Document { content: Content::MigParted(file), .. }] = documents else { panic!("one file") };
    for NodePlan { name, product, gpus } in &plan.nodes {
        let label = selected(text, name, before);
        let config = file.configs.iter().find(|c| c.label.value == label).expect("the label is defined");
        let entries = config.of_gpus(product, gpus.len() as u32);
        for (gpu, entry) in gpus.iter().zip(entries) {
            let entry = entry.expect("every GPU is matched");
            let found = entry.on(product).expect("it stands").layout.geometry(product);
            assert_eq!(entry.enabled.then_some(found), geometry(gpu, product));
        }
    }
}

#[test]
fn mig_parted() {
    each(Format::MigParted, |plan, text, documents| mig_configs(plan, text, documents, "FILE -c "));
}

#[test]
fn gpu_operator() {
    each(Format::GpuOperator, |plan, text, documents| {
        assert_eq!(documents[0].key.as_deref(), Some("config.yaml"));
        mig_configs(plan, text, documents, "nvidia.com/mig.config=");
    });
}

#[test]
fn checkpoint() {
    each(Format::Checkpoint, |plan, _, documents| {
        let [Document { content: Content::Checkpoint(file), .. }] = documents else { panic!("one file") };
        let NodePlan { product, gpus, .. } = &plan.nodes[0];
        assert_eq!(file.devices.len(), gpus.len());
        for (gpu, device) in gpus.iter().zip(&file.devices) {
            assert_eq!(Some(&device.uuid.value), gpu.uuid.as_ref());
            assert_eq!(device.enabled, geometry(gpu, product).is_some());
            if device.enabled {
                same_layout(gpu, product, device.on(product).expect("it stands"));
            }
        }
    });
}

#[test]
fn nvidia_smi() {
    each(Format::NvidiaSmi, |plan, _, documents| {
        let [Document { content: Content::Script(script), .. }] = documents else { panic!("one file") };
        for NodePlan { name, product, gpus } in &plan.nodes {
            let found = script.nodes.iter().find(|n| n.name == *name);
            for (index, gpu) in gpus.iter().enumerate() {
                if gpu.cut == Cut::Whole && !product.is_mig() {
                    continue;
                }
                let set = &found.expect("commands for the node").gpus[index];
                assert_eq!(Some(&set.id.value), gpu.uuid.as_ref());
                assert_eq!(set.enabled, Some(gpu.cut != Cut::Whole));
                if gpu.cut != Cut::Whole {
                    same_layout(gpu, product, set.on(product).expect("it stands"));
                }
            }
        }
    });
}

/// Counts by profile name.
type Counts = BTreeMap<String, u32>;

fn counts(geometry: Geometry, product: &Product) -> Counts {
    geometry.counts().map(|(p, n)| (product.at(p).name().to_owned(), u32::from(n))).collect()
}

#[test]
fn nos_geometries() {
    each(Format::NosGeometries, |plan, _, documents| {
        let [Document { content: Content::Geometries(entries), .. }] = documents else { panic!("one file") };
        let mut expected = BTreeSet::new();
        for node in &plan.nodes {
            let label = node.product.label();
            let of =
                |gpu: &GpuPlan| geometry(gpu, node.product).map(|g| (label.clone(), counts(g, node.product)));
            expected.extend(node.gpus.iter().filter_map(of));
        }
        let listed = entries.iter().flat_map(|e| {
            let slices = |g: &slicewise::formats::nos::ListedGeometry| -> Counts {
                g.slices.iter().map(|(p, n)| (p.value.clone(), *n)).collect()
            };
            e.geometries.iter().map(move |g| (e.models[0].value.clone(), slices(g)))
        });
        let listed: Vec<_> = listed.collect();
        assert_eq!(listed.len(), expected.len(), "none twice");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    });
}

#[test]
fn nos_annotations() {
    each(Format::NosAnnotations, |plan, _, documents| {
        assert_eq!(documents.len(), plan.nodes.len());
        for (node, document) in plan.nodes.iter().zip(documents) {
            let Content::Node(object, nos) = &document.content else { panic!("a node") };
            assert_eq!(object.meta.name, node.name);
            for (index, gpu) in node.gpus.iter().enumerate() {
                let of_gpu = nos.spec.iter().filter(|s| s.value.index == index as i64);
                let found: Counts =
                    of_gpu.map(|s| (s.value.profile.clone(), s.value.quantity as u32)).collect();
                let expected = match &gpu.cut {
                    Cut::Mps(slices) => {
                        slices.iter().map(|s| (format!("{}gb", s.gb), u32::from(s.count))).collect()
                    }
                    _ => counts(geometry(gpu, node.product).expect("MIG"), node.product),
                };
                assert_eq!(found, expected);
            }
        }
    });
}

/// The configuration of a plugin that a node is told to use.
fn plugin<'d>(text: &str, node: &str, documents: &'d [Document]) -> &'d slicewise::formats::plugin::Plugin {
    let key = selected(text, node, "nvidia.com/device-plugin.config=");
    let document = documents.iter().find(|d| d.key.as_ref() == Some(&key)).expect("the key is there");
    let Content::Plugin(plugin) = &document.content else { panic!("a plugin's file") };
    plugin
}

#[test]
fn nvidia_plugin() {
    each(Format::NvidiaPlugin, |plan, text, documents| {
        for node in &plan.nodes {
            let plugin = plugin(text, &node.name, documents);
            let replicas = |s: &slicewise::formats::plugin::Shares| s.resources[0].replicas.value;
            let (mps, time) = (plugin.mps.as_ref().map(replicas), plugin.time_slicing.as_ref().map(replicas));
            for gpu in &node.gpus {
                let expected = match gpu.cut {
                    Cut::MpsReplicas(n) => (Some(u32::from(n)), None),
                    Cut::TimeSlices(n) => (None, Some(u32::from(n))),
                    _ => (None, None),
                };
                assert_eq!((mps, time), expected);
            }
        }
    });
}

#[test]
fn nebuly_plugin() {
    each(Format::NebulyPlugin, |plan, text, documents| {
        for node in &plan.nodes {
            let plugin = plugin(text, &node.name, documents);
            for (index, gpu) in node.gpus.iter().enumerate() {
                let found: BTreeSet<(u32, u32)> = plugin
                    .mps
                    .iter()
                    .flat_map(|m| &m.resources)
                    .filter(|r| r.devices.iter().any(|d| d.value == index.to_string()))
                    .map(|r| (r.memory_gb.as_ref().expect("memory").value, r.replicas.value))
                    .collect();
                let expected = match &gpu.cut {
                    Cut::Mps(slices) => {
                        slices.iter().map(|s| (u32::from(s.gb), u32::from(s.count))).collect()
                    }
                    _ => BTreeSet::new(),
                };
                assert_eq!(found, expected);
                if let Cut::TimeSlices(n) = gpu.cut {
                    let shares = plugin.time_slicing.as_ref().expect("time-slicing");
                    assert_eq!(shares.resources[0].replicas.value, u32::from(n));
                }
            }
        }
    });
}

#[test]
fn dra_claims() {
    each(Format::DraClaims, |plan, _, documents| {
        let claims: Vec<_> = documents
            .iter()
            .map(|d| if let Content::Claim(c) = &d.content { c } else { panic!("a claim") })
            .collect();
        let all = || plan.nodes.iter().flat_map(|n| n.gpus.iter().map(move |g| (n, g)));
        for (node, gpu) in all() {
            if let Some(geometry) = geometry(gpu, node.product) {
                let wanted = counts(geometry, node.product);
                let asks = |c: &&&slicewise::formats::Claim| {
                    let found: Counts = c
                        .requests
                        .iter()
                        .filter_map(|r| Some((r.profile.as_ref()?.value.clone(), r.count)))
                        .collect();
                    c.is_template && c.same_gpu && found == wanted
                };
                assert_eq!(claims.iter().filter(asks).count(), 1);
            }
        }
        let shared = |wanted: fn(&Cut) -> bool, found: fn(&Sharing) -> bool| {
            let gpus = all().filter(|(_, g)| wanted(&g.cut)).count();
            assert_eq!(claims.iter().filter(|c| c.sharing.iter().any(found)).count(), gpus);
        };
        shared(|c| matches!(c, Cut::TimeSlices(_)), |s| matches!(s, Sharing::TimeSlicing { .. }));
        shared(
            |c| matches!(c, Cut::Mps(_) | Cut::MpsReplicas(_)),
            |s| matches!(s, Sharing::Mps { threads: Some(_), memory: Some(_) }),
        );
    });
}

#[test]
fn dra_classes() {
    each(Format::DraClasses, |plan, _, documents| {
        let mut names = BTreeSet::new();
        let found: BTreeSet<(String, String)> = documents
            .iter()
            .map(|d| {
                let Content::Class(class) = &d.content else { panic!("a class") };
                assert!(names.insert(class.name.clone()), "{} twice", class.name);
                let text = |t: &Option<slicewise::manifest::Located<String>>| {
                    t.as_ref().expect("given").value.clone()
                };
                (text(&class.profile), text(&class.extended_resource))
            })
            .collect();
        let mut expected = BTreeSet::new();
        for node in &plan.nodes {
            for geometry in node.gpus.iter().filter_map(|g| geometry(g, node.product)) {
                let name = |(p, _)| (node.product.at(p).name().to_owned(), node.product.at(p).resource());
                expected.extend(geometry.counts().map(name));
            }
        }
        assert_eq!(found, expected);
    });
}

/// Any plan in any format: written and readable, or refused with names.
#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let (mut carried, mut refused) = (0, 0);
    for seed in 0..cases() {
        let plan = plans::any(seed);
        for (word, format) in Format::WORDS {
            match export(&plan, format) {
                Ok(export) => {
                    carried += 1;
                    let mut problems = Vec::new();
                    let documents = read(&export.text, None, &mut problems);
                    assert!(
                        problems.is_empty() && !documents.is_empty(),
                        "{word} seed {seed}: {problems:?}\n{}",
                        export.text
                    );
                }
                Err(refusals) => {
                    refused += 1;
                    assert!(!refusals.is_empty(), "{word} seed {seed}");
                    let named = |r: &slicewise::formats::Refusal| {
                        !r.why.is_empty()
                            && (r.node.is_empty() || plan.nodes.iter().any(|n| n.name == r.node))
                    };
                    assert!(refusals.iter().all(named), "{word} seed {seed}: {refusals:?}");
                }
            }
        }
    }
    assert!(cases() / 2 < carried && cases() / 2 < refused, "{carried} carried, {refused} refused");
}

/// One GPU that a format must not carry, and how it says so.
#[track_caller]
fn refuses(format: Format, id: &str, cut: Cut, expected: &str) {
    let product = Catalogue::builtin().find(id).expect("in the catalogue");
    let gpus = vec![GpuPlan { uuid: None, cut }];
    let plan = Plan { nodes: vec![NodePlan { name: "n".to_owned(), product, gpus }] };
    let refusals = export(&plan, format).expect_err("it cannot be carried");
    let text: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(text, [expected]);
}

fn cut(id: &str, names: &[&str]) -> Cut {
    let product = Catalogue::builtin().find(id).expect("in the catalogue");
    Cut::Mig(Layout::place(product, names).expect("it stands"))
}

#[test]
fn refusals_name_what_is_lost() {
    let pro = "rtx-pro-5000-blackwell-48gb";
    refuses(
        Format::NvidiaSmi,
        pro,
        cut(pro, &["1g.24gb"]),
        "n, GPU 0: the id of 1g.24gb on rtx-pro-5000-blackwell-48gb is not known, and nvidia-smi creates slices by \
         id; use a checkpoint or mig-parted",
    );
    let a100 = "a100-40gb";
    refuses(
        Format::NosAnnotations,
        a100,
        cut(a100, &["1g.5gb+me"]),
        "n, GPU 0: nos carries plain profiles only, not 1g.5gb+me",
    );
    refuses(
        Format::Checkpoint,
        a100,
        cut(a100, &["1g.5gb"]),
        "n, GPU 0: a checkpoint names GPUs by UUID, and this one's is not known",
    );
    refuses(
        Format::NvidiaPlugin,
        a100,
        Cut::MpsReplicas(60),
        "n: 60 MPS replicas on a100-40gb: the plugin takes up to 48",
    );
    refuses(
        Format::MigParted,
        a100,
        Cut::TimeSlices(4),
        "n, GPU 0: mig-parted carries MIG only, not time-slicing; a device plugin's file does",
    );
}
