//! Reading what people write in YAML, with every complaint of a file at its place in one pass.
//!
//! Three steps, each useful alone:
//!
//! 1. [`parse`] makes a [`Node`] tree in which each node knows its bytes in the source. Aliases and
//!    merge keys are followed, keys are unique texts, and size and depth are bounded.
//! 2. [`read`] holds the tree against a static table of the [`Kind`]s that are expected and gives an
//!    [`Item`]: the same shape, with quantities read, defaults filled in and whatever was wrong
//!    complained about and marked [`Value::Bad`].
//! 3. [`Lower`] makes a caller's own types from items. By then only what no table can say is left
//!    to check: that names are distinct, that a window ends after it begins.
//!
//! The tables are the only list of keys, words, ranges and defaults there is. [`schema`] makes a
//! JSON Schema from them for editors, so the two cannot differ.

mod embed;
mod emit;
mod lower;
mod overlay;
mod read;
mod scalar;
mod schema;
mod table;
mod tree;

pub use embed::embedded;
pub use emit::emit;
pub use lower::{Item, Lower, Record, Value, record};
pub use overlay::overlay;
pub use read::read;
pub use schema::schema;
pub use table::{Alternative, Choice, Interval, Key, Kind, List, Object, Presence};
pub use tree::{Entry, Node, Shape, documents, parse};

use crate::diag::{Diagnostic, Severity};
use std::collections::BTreeSet;
use std::ops::Range;

/// A complaint about bytes of the text that is being read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// First byte meant. First of all fields, so that the derived order is a reader's.
    pub start: usize,
    /// Byte after the last one meant.
    pub end: usize,
    /// Error or warning.
    pub severity: Severity,
    /// A stable short name.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Problem {
    /// An error.
    #[must_use]
    pub fn new(code: &'static str, at: &Range<usize>, message: impl Into<String>) -> Problem {
        let severity = Severity::Error;
        Problem { start: at.start, end: at.end, severity, code, message: message.into(), help: None }
    }

    /// The same with a word on what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Problem {
        self.severity = Severity::Warning;
        self
    }
}

/// Complaints about `text` as a reader wants them: in order of place, each once.
#[must_use]
pub fn diagnostics(problems: Vec<Problem>, text: &str, file: &str) -> Vec<Diagnostic> {
    let distinct: BTreeSet<Problem> = problems.into_iter().collect();
    let show = |p: Problem| Diagnostic {
        severity: p.severity,
        help: p.help,
        ..Diagnostic::error(p.code, file, p.message).at(text, p.start..p.end)
    };
    distinct.into_iter().map(show).collect()
}
