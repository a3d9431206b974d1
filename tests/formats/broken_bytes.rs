//! Files with random damage: whatever a file has become, `check` answers and never panics, and every
//! complaint points into the file.

use crate::{Numbers, cases, plans};
use slicewise::check::{Imagined, Input, Options, check, github, json, junit, text};
use slicewise::formats::{Format, export};
use slicewise::gpu::Catalogue;

/// Things that people leave behind in files.
const DEBRIS: [&str; 16] = [
    "",
    " ",
    "\n",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "'",
    "\"",
    "null",
    "-1",
    "99999999999999999999",
    "\u{e4}",
    "#",
];

fn damaged(mut file: String, numbers: &mut Numbers) -> String {
    for _ in 0..=numbers.below(3) {
        let cut = |at: usize| (at..=file.len()).find(|i| file.is_char_boundary(*i)).expect("the end is one");
        let from = cut(numbers.below(file.len() + 1));
        let to = cut((from + numbers.below(12)).min(file.len()));
        file.replace_range(from..to, numbers.one::<&str>(&DEBRIS));
    }
    file
}

#[test]
fn nothing_panics() {
    let pods = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {slicewise/gpu-memory: 5Gi}}\nspec:\n  \
                nodeSelector: {a: b}\n  containers:\n    - name: c\n      resources: {limits: {nvidia.com/gpu: 1, \
                nvidia.com/mig-1g.5gb: 2}}\n";
    let mut found = 0;
    for seed in 0..cases() {
        let numbers = &mut Numbers(seed ^ 0xbad);
        let (word, format) = Format::WORDS[numbers.below(Format::WORDS.len())];
        let plan = plans::that(format, seed);
        let Ok(written) = export(&plan, format) else { panic!("{word} carries it") };
        let tail = if numbers.below(2) == 0 && written.text.starts_with('#') { pods } else { "" };
        let file = damaged(written.text + tail, numbers);
        let imagined = (0..numbers.below(3))
            .map(|_| Imagined {
                model: plan.nodes[0].product.id().to_owned(),
                count: 1 + numbers.below(3) as u32,
            })
            .collect();
        let inputs = [Input { name: "f".to_owned(), text: file.clone(), kind: None }];
        let outcome = check(&inputs, &Options { catalogue: Catalogue::builtin(), imagined, strategy: None });
        let lines = file.lines().count() + 1;
        for finding in &outcome.findings {
            found += 1;
            assert!(1 <= finding.line && finding.line <= lines, "{word} seed {seed}: {finding:?}\n{file}");
        }
        let forms = [text(&outcome, false), json(&outcome), github(&outcome), junit(&outcome)];
        assert!(forms[1].parse::<serde_json::Value>().is_ok());
    }
    assert!(cases() / 2 < found, "{found} complaints");
}
