//! Broken files: each has one planted mistake, which is found at its place, and nothing else is said.
//! Read the expected lines as a user would.

use crate::broken_files::BROKEN;
use slicewise::check::{Imagined, Input, Options, check};
use slicewise::gpu::Catalogue;

/// `line:col severity code: message (help)` of everything found in one file, with nodes of `gpus`.
fn found(gpus: &[(&str, u32)], text: &str) -> Vec<String> {
    let input = Input { name: "f".to_owned(), text: text.to_owned(), kind: None };
    let imagined =
        gpus.iter().map(|(model, count)| Imagined { model: (*model).to_owned(), count: *count }).collect();
    let options = Options { catalogue: Catalogue::builtin(), imagined, strategy: None };
    let outcome = check(&[input], &options);
    let line = |d: slicewise::diag::Diagnostic| {
        let severity = format!("{:?}", d.severity).to_lowercase();
        let help = d.help.map_or(String::new(), |h| format!(" ({h})"));
        format!("{}:{} {severity} {}: {}{help}", d.line, d.column, d.code, d.message)
    };
    outcome.findings.into_iter().map(line).collect()
}

/// One broken file: GPUs of the node, text, what is found.
pub(crate) struct Broken {
    pub(crate) gpus: &'static [(&'static str, u32)],
    pub(crate) text: &'static str,
    pub(crate) expected: &'static [&'static str],
}

pub(crate) const A100: &[(&str, u32)] = &[("a100-40gb", 2)];

#[test]
fn each_planted_mistake_is_found_at_its_place() {
    let mut wrong = String::new();
    for (index, Broken { gpus, text, expected }) in BROKEN.iter().enumerate() {
        let found = found(gpus, text);
        if found != *expected {
            wrong.push_str(&format!("--- file {index}\n{text}\nfound:\n"));
            found.iter().for_each(|line| wrong.push_str(&format!("        {line:?},\n")));
        }
    }
    assert!(40 <= BROKEN.len(), "{} files", BROKEN.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}
