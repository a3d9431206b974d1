//! Located complaints about something a person wrote.
//!
//! A broken file is not a broken program: whoever reads a file collects every [`Diagnostic`] it
//! deserves and goes on, so that one look shows all of them. Each names the place, what is wrong
//! and what would be right; it renders as rustc's do, or as JSON for editors and CI.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input cannot be used.
    Error,
    /// The input is used, though perhaps not as its author meant.
    Warning,
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable short name such as `unknown-key`, for searching and for scripts.
    pub code: &'static str,
    /// The file as the user named it, `-` for standard input.
    pub file: String,
    /// Line, from 1; 0 when the complaint is about the whole file.
    pub line: usize,
    /// Column in characters, from 1; 0 when unknown.
    #[serde(rename = "col")]
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line complained about and the bytes of it that are meant.
    #[serde(skip)]
    pub excerpt: Option<(String, Range<usize>)>,
}

impl Diagnostic {
    /// An error about a whole file.
    #[must_use]
    pub fn error(code: &'static str, file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            help: None,
            excerpt: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(self) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self }
    }

    /// What would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Points at `bytes` of `text`, a line whose number is `line`.
    #[must_use]
    pub fn at_line(mut self, line: usize, text: &str, bytes: Range<usize>) -> Diagnostic {
        /// Longer lines are cut, since a terminal shows no more and a broken file may be one line.
        const SHOWN: usize = 200;
        self.line = line;
        let start = floor_boundary(text, bytes.start);
        self.column = text[..start].chars().count() + 1;
        if start < SHOWN {
            let end = floor_boundary(text, bytes.end.clamp(start, SHOWN));
            self.excerpt = Some((text[..floor_boundary(text, SHOWN)].to_owned(), start..end));
        }
        self
    }

    /// Points at `bytes` of a whole `source`; a range of several lines points at the first.
    #[must_use]
    pub fn at(self, source: &str, bytes: Range<usize>) -> Diagnostic {
        let start = floor_boundary(source, bytes.start);
        let line_start = source[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |i| start + i);
        let line = source[..line_start].matches('\n').count() + 1;
        let text = source[line_start..line_end].trim_end_matches('\r');
        let end = bytes.end.clamp(start, line_start + text.len().max(start - line_start));
        self.at_line(line, text, start - line_start..end - line_start)
    }

    /// As rustc prints it, with colours for a terminal when `styled`.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let place = match (&self.excerpt, self.line, self.column) {
            (Some(_), ..) => None,
            (None, 0, _) => Some(self.file.clone()),
            (None, line, 0) => Some(format!("{}:{line}", self.file)),
            (None, line, column) => Some(format!("{}:{line}:{column}", self.file)),
        };
        let message = match place {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        };
        let mut group = level
            .primary_title(message)
            .id(self.code)
            .elements([] as [Snippet<'_, annotate_snippets::Annotation<'_>>; 0]);
        if let Some((text, bytes)) = &self.excerpt {
            group = group.element(
                Snippet::source(text.as_str())
                    .path(self.file.as_str())
                    .line_start(self.line)
                    .annotation(AnnotationKind::Primary.span(bytes.clone())),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group]).to_string()
    }
}

/// Puts complaints in the order of a reader: by file, then by place. Stable otherwise.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
}

/// Whether any complaint stops the work.
#[must_use]
pub fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// The word of `known` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        // A third of the letters wrong is a typo; more is another word.
        .filter(|(distance, k)| *distance <= (k.chars().count().max(3)) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_helps_are_shown() {
        let source = "a: 1\nscore: best\n";
        let diagnostic = Diagnostic::error("bad-value", "s.yaml", "no such score")
            .at(source, 12..16)
            .help("did you mean `most`?");
        assert_eq!((diagnostic.line, diagnostic.column), (2, 8));
        let text = diagnostic.render(false);
        for part in ["error[bad-value]: no such score", "s.yaml:2:8", "^^^^", "help: did you mean `most`?"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn odd_places_do_not_panic() {
        let source = "ä\n\nü";
        for start in 0..8 {
            for end in 0..9 {
                let _ = Diagnostic::error("x", "f", "m").at(source, start..end).render(false);
            }
        }
        let _ = Diagnostic::error("x", "f", "m").at("", 0..0).render(true);
        let _ = Diagnostic::error("x", "f", "m").at_line(3, &"ö".repeat(500), 399..1000).render(false);
    }

    #[test]
    fn near_words_are_found() {
        assert_eq!(nearest("clster", ["cluster", "workload"]), Some("cluster"));
        assert_eq!(nearest("banana", ["cluster", "workload"]), None);
    }
}
