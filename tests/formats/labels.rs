//! The 81 labels that NVIDIA ships with mig-parted, rebuilt from their facts: all are read, and each
//! stands on every product it names but the RTX PRO 5000, which shares names and takes half.

use slicewise::check::{Imagined, Input, Options, check};
use slicewise::formats::mig_parted::MigParted;
use slicewise::formats::{Content, read};
use slicewise::gpu::{Catalogue, Product};

/// Count, then the profiles of the labels `all-<profile>` with it.
const PLAIN: [(&str, u32, &str); 9] = [
    ("1g", 7, "5gb 12gb 18gb 23gb 34gb"),
    ("1g", 4, "6gb 20gb 24gb 36gb 45gb 47gb 67gb 70gb 24gb+gfx 24gb-me"),
    ("1g", 1, "5gb+me 6gb+me 10gb+me 12gb+me 18gb+me 23gb+me 24gb+me 34gb+me 35gb+me 24gb+me.all"),
    ("2g", 3, "10gb 20gb 24gb 35gb 36gb 45gb 47gb 67gb 70gb"),
    ("2g", 2, "12gb 48gb 48gb+gfx 48gb-me"),
    ("2g", 1, "12gb+me 48gb+me.all"),
    ("3g", 2, "20gb 40gb 47gb 48gb 71gb 72gb 90gb 93gb 95gb 135gb 139gb"),
    ("4g", 1, "20gb 24gb 40gb 47gb 48gb 71gb 72gb 90gb 93gb 95gb 96gb 96gb+gfx 135gb 139gb"),
    ("7g", 1, "40gb 80gb 94gb 96gb 141gb 144gb 180gb 186gb 189gb 269gb 278gb"),
];

/// Device ids of products, as filters.
fn filter(ids: &[&str]) -> String {
    let of = |id: &&str| Catalogue::builtin().find(id).unwrap_or_else(|| panic!("{id}")).pci().to_vec();
    let quoted: Vec<String> = ids.iter().flat_map(of).map(|id| format!("\"{id}10DE\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn entry(filter: &str, profiles: &str) -> String {
    format!(
        "    - {{device-filter: {filter}, devices: all, mig-enabled: true, mig-devices: {{{profiles}}}}}\n"
    )
}

/// The balanced mix of a product: plain names, 1g x2 + 2g x1 and, where there are seven slices, 3g.
fn balanced(id: &str) -> String {
    let product = Catalogue::builtin().find(id).expect("in the catalogue");
    let name = |slices| product.plain(slices).map(|p| format!("\"{}\"", p.name()));
    let (one, two) = (name(1).expect("1g"), name(2).expect("2g"));
    match name(3) {
        Some(three) => format!("{one}: 2, {two}: 1, {three}: 1"),
        None => format!("{one}: 2, {two}: 1"),
    }
}

fn file() -> String {
    let mut text = "version: v1\nmig-configs:\n  all-disabled:\n    - {devices: all, mig-enabled: false}\n  \
                    all-enabled:\n    - {devices: all, mig-enabled: true, mig-devices: {}}\n"
        .to_owned();
    for (slices, count, sizes) in PLAIN {
        for size in sizes.split_whitespace() {
            let profile = format!("{slices}.{size}");
            text.push_str(&format!("  all-{}:\n", profile.replace('+', ".")));
            text.push_str(&format!(
                "    - {{devices: all, mig-enabled: true, mig-devices: {{\"{profile}\": {count}}}}}\n"
            ));
        }
    }
    text.push_str("  all-1g.10gb:\n");
    let eighty = ["a100-80gb", "h100-80gb-sxm", "h100-80gb-pcie"];
    text.push_str(&entry(&filter(&eighty), "\"1g.10gb\": 7"));
    text.push_str(&entry(&filter(&["a100-40gb"]), "\"1g.10gb\": 4"));
    text.push_str("  all-1g.35gb:\n");
    text.push_str(&entry(&filter(&["h200-141gb-sxm"]), "\"1g.35gb\": 4"));
    text.push_str(&entry(&filter(&["gb300-278gb"]), "\"1g.35gb\": 7"));
    text.push_str("  all-balanced:\n");
    text.push_str(&entry(&filter(&["a100-40gb"]), &balanced("a100-40gb")));
    text.push_str(&entry(&filter(&eighty), &balanced("a100-80gb")));
    let alone = [
        "gb200-186gb",
        "gb300-278gb",
        "b200-180gb",
        "b300-269gb",
        "gh200-144gb",
        "h200-141gb-sxm",
        "h100-94gb-nvl",
        "a30-24gb",
    ];
    for id in alone {
        text.push_str(&entry(&filter(&[id]), &balanced(id)));
    }
    text.push_str(&entry(
        &filter(&["gh200-96gb", "h100-96gb", "pg506-96gb", "h20-96gb"]),
        &balanced("gh200-96gb"),
    ));
    text.push_str(&entry("\"0x2BB510DE\"", &balanced("rtx-pro-6000-blackwell-96gb")));
    text
}

fn labels() -> MigParted {
    let mut problems = Vec::new();
    let documents = read(&file(), None, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let [document] = documents.as_slice() else { panic!("one document") };
    let Content::MigParted(file) = &document.content else { panic!("mig-parted") };
    file.clone()
}

#[test]
fn all_81_are_read() {
    let labels = labels();
    assert_eq!(labels.configs.len(), 81);
    // 78 labels with one entry, two with two, and the balanced one with twelve.
    assert_eq!(labels.configs.iter().map(|c| c.entries.len()).sum::<usize>(), 94);
}

#[test]
fn each_stands_on_every_product_it_names_but_one() {
    let mut refused = Vec::new();
    let mut pairs = 0;
    for config in labels().configs {
        for entry in config.entries.iter().filter(|e| e.enabled) {
            let has = |p: &&Product| entry.slices.iter().all(|s| p.profile(&s.profile.value).is_some());
            // Without a filter an entry names whoever has the profile.
            let named = |p: &&Product| entry.names(p).unwrap_or_else(|| has(p));
            for product in Catalogue::builtin().iter().filter(|p| p.is_mig()).filter(named) {
                pairs += 1;
                if let Err(infeasible) = entry.on(product) {
                    refused.push(format!("{} on {}: {}", config.label.value, product.id(), infeasible.error));
                }
            }
        }
    }
    let room = |label: &str, profile: &str, beside: usize| {
        let product = "rtx-pro-5000-blackwell-48gb";
        let others = vec![profile; beside].join(", ");
        format!("{label} on {product}: {product} has no room for {profile} beside {others}")
    };
    assert_eq!(
        refused,
        [
            room("all-1g.24gb", "1g.24gb", 2),
            room("all-1g.24gb.gfx", "1g.24gb+gfx", 2),
            room("all-1g.24gb-me", "1g.24gb-me", 2),
            room("all-2g.48gb", "2g.48gb", 1),
            room("all-2g.48gb.gfx", "2g.48gb+gfx", 1),
        ]
    );
    assert!(81 < pairs, "{pairs} pairs of label and product");
}

/// The whole file, with nodes of `gpus`: what `check` says of it.
fn checked(gpus: &[&str]) -> (Vec<String>, usize) {
    let imagined = gpus.iter().map(|g| Imagined { model: (*g).to_owned(), count: 8 }).collect();
    let inputs = [Input { name: "f".to_owned(), text: file(), kind: None }];
    let outcome = check(&inputs, &Options { catalogue: Catalogue::builtin(), imagined, strategy: None });
    let nodes = outcome.nodes.len();
    (outcome.findings.into_iter().map(|d| format!("{:?} {}", d.severity, d.message)).collect(), nodes)
}

#[test]
fn a_file_for_many_gpus_is_no_mistake() {
    assert_eq!(checked(&[]), (Vec::new(), 0));
    let (found, nodes) = checked(&["a100-40gb"]);
    let [one] = found.as_slice() else { panic!("one word on the others' labels: {found:?}") };
    assert!(
        one.starts_with("Warning not for a100-40gb, which lacks their profiles: all-1g.12gb, all-1g.18gb"),
        "{one}"
    );
    // Each size and its variants, all of them off or on, and the balanced mix.
    assert_eq!(nodes, 10);
}
