//! Real configuration files and pods, asked offline: will this cluster take them?
//!
//! [`check`] reads files of every format of [`crate::formats`] together and says what each node
//! would advertise, which layouts a device would refuse, which pods can never run and by which rule,
//! and which fields do nothing. What it cannot know it assumes aloud: a strategy nobody sets is
//! named as assumed, a node whose GPUs no file tells is left alone.
//!
//! | part | asks |
//! |---|---|
//! | `layouts` | can the GPUs be cut as the file says, by the tool that reads it? |
//! | `world`, `offer` | what does each node have, and what does its plugin advertise? |
//! | `pods` | is there a node for each pod? |

mod layouts;
mod offer;
mod pods;
mod render;
mod world;

pub use render::{github, json, junit, text};

use crate::diag::{Diagnostic, Severity};
use crate::formats::plugin::Strategy;
use crate::formats::{self, Content, Document, Kind};
use crate::gpu::Catalogue;
use crate::yaml::Problem;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A file to be checked.
#[derive(Clone, Debug)]
pub struct Input {
    /// As the user named it, `-` for standard input.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// What it is meant to be; by its content if that is `None`.
    pub kind: Option<Kind>,
}

/// GPUs of a node that no file tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imagined {
    /// A name of the product.
    pub model: String,
    /// GPUs on the node.
    pub count: u32,
}

/// What is asked besides files.
#[derive(Clone, Debug)]
pub struct Options<'c> {
    /// Known GPUs.
    pub catalogue: &'c Catalogue,
    /// Nodes that no file tells of.
    pub imagined: Vec<Imagined>,
    /// The MIG strategy of every plugin, instead of what files say.
    pub strategy: Option<Strategy>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Complaints, in the order of a reader.
    pub findings: Vec<Diagnostic>,
    /// What each file holds, in the order of the files.
    pub files: Vec<(String, Vec<String>)>,
    /// What each node offers.
    pub nodes: Vec<NodeReport>,
    /// Objects that hold nothing to be checked, as `file: title`.
    pub unchecked: Vec<String>,
    /// Pods and templates that were checked.
    pub pods: usize,
    /// Whether a file could not be read as what it is.
    pub unread: bool,
}

/// What a node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Its name; for one that no file tells of, its GPUs and what was tried on them.
    pub name: String,
    /// Product and number of its GPUs, if they are known.
    pub gpus: Option<(String, u32)>,
    /// What decides about its GPUs.
    pub decided_by: Vec<String>,
    /// Resources with their counts.
    pub resources: BTreeMap<String, u64>,
    /// Labels that feature discovery would write.
    pub labels: BTreeMap<String, String>,
    /// How its GPUs come to be cut: GPU indices and slices at their places.
    pub layouts: Vec<(String, String)>,
}

impl Outcome {
    /// How many errors and warnings there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.findings.iter().filter(|d| d.severity == Severity::Error).count();
        (errors, self.findings.len() - errors)
    }
}

/// Codes of problems that leave a file unread, not merely wrong.
const UNREAD: [&str; 3] = ["bad-yaml", "too-large", "unrecognized"];

/// Checks files together.
#[must_use]
pub fn check(inputs: &[Input], options: &Options<'_>) -> Outcome {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for (file, input) in inputs.iter().enumerate() {
        let mut of_file = Vec::new();
        let read = formats::read(&input.text, input.kind, &mut of_file);
        problems.extend(of_file.into_iter().map(|p| (file, p)));
        documents.extend(read.into_iter().map(|document| (file, document)));
    }
    let unread = problems.iter().any(|(_, p)| UNREAD.contains(&p.code));
    let mut findings = Findings {
        inputs,
        lines: inputs.iter().map(|i| lines(&i.text)).collect(),
        found: Vec::new(),
        seen: BTreeSet::new(),
    };
    problems.into_iter().for_each(|(file, problem)| findings.problem(file, problem));
    let world = world::World::new(&documents, options, &mut findings);
    layouts::check(&documents, &world, options.catalogue, &mut findings);
    let pods = pods::check(&documents, &world, options.catalogue, &mut findings);
    let titles = |file: usize| {
        let of_file = documents.iter().filter(|(f, _)| *f == file).map(|(_, d)| d.title.clone());
        of_file.collect::<Vec<_>>()
    };
    let other = |(_, document): &&Placed| matches!(document.content, Content::Other);
    let title = |(file, document): &Placed| format!("{}: {}", inputs[*file].name, document.title);
    Outcome {
        unchecked: documents.iter().filter(other).map(title).collect(),
        files: inputs.iter().enumerate().map(|(file, input)| (input.name.clone(), titles(file))).collect(),
        nodes: world.reports(),
        findings: findings.sorted(),
        pods,
        unread,
    }
}

/// A document and the number of its file.
type Placed = (usize, Document);

/// Gathers complaints at places of several files.
struct Findings<'i> {
    inputs: &'i [Input],
    /// First bytes of the lines of each file: lists of pods are long, and complaints may be many.
    lines: Vec<Vec<usize>>,
    found: Vec<Diagnostic>,
    /// File, line, column, code and message of each, so that none is said twice.
    seen: BTreeSet<(usize, usize, usize, &'static str, String)>,
}

fn lines(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

impl Findings<'_> {
    fn problem(&mut self, file: usize, problem: Problem) {
        let input = &self.inputs[file];
        let lines = &self.lines[file];
        let mut start = problem.start.min(input.text.len());
        while !input.text.is_char_boundary(start) {
            start -= 1;
        }
        let line = lines.partition_point(|first| *first <= start) - 1;
        let end = lines.get(line + 1).map_or(input.text.len(), |next| next - 1);
        let text = input.text[lines[line]..end].trim_end_matches('\r');
        let from = start - lines[line];
        let to = problem.end.max(start).min(lines[line] + text.len()).max(start) - lines[line];
        let plain = Diagnostic::error(problem.code, &input.name, problem.message);
        let diagnostic = Diagnostic { severity: problem.severity, help: problem.help, ..plain };
        let diagnostic = diagnostic.at_line(line + 1, text, from..to);
        let key = (file, diagnostic.line, diagnostic.column, diagnostic.code, diagnostic.message.clone());
        if self.seen.insert(key) {
            self.found.push(diagnostic);
        }
    }

    fn error(
        &mut self,
        file: usize,
        at: &Range<usize>,
        code: &'static str,
        message: String,
        help: impl Into<String>,
    ) {
        self.problem(file, helped(Problem::new(code, at, message), help.into()));
    }

    fn warning(
        &mut self,
        file: usize,
        at: &Range<usize>,
        code: &'static str,
        message: String,
        help: impl Into<String>,
    ) {
        self.problem(file, helped(Problem::new(code, at, message).warning(), help.into()));
    }

    /// By file in the order given, then by place.
    fn sorted(self) -> Vec<Diagnostic> {
        let order: BTreeMap<&str, usize> =
            self.inputs.iter().enumerate().map(|(i, f)| (f.name.as_str(), i)).collect();
        let mut found = self.found;
        found.sort_by(|a, b| {
            let key = |d: &Diagnostic| (order.get(d.file.as_str()).copied(), d.line, d.column);
            key(a).cmp(&key(b))
        });
        found
    }
}

fn helped(problem: Problem, help: String) -> Problem {
    if help.is_empty() { problem } else { problem.help(help) }
}
