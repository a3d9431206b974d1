//! Files within files: a ConfigMap holds whole files as texts, and a mistake in one of them is meant
//! to be found in the file that a person has open.

use super::tree::documents;
use super::{Node, Problem, Shape};
use std::ops::Range;
use std::rc::Rc;

/// Reads the documents in a text of `source`, with their places in `source`. Complaints that stop
/// the reading are among `problems`, as in [`documents`].
pub fn embedded(scalar: &Node, source: &str, problems: &mut Vec<Problem>) -> Vec<Rc<Node>> {
    let Shape::Text { text, .. } = &scalar.shape else { return Vec::new() };
    let map = Map::of(scalar, text, source);
    let to = |at: &Range<usize>| map.place(at);
    let mut inner = Vec::new();
    let trees = documents(text, &mut inner);
    problems.extend(inner.into_iter().map(|problem| {
        let at = to(&(problem.start..problem.end));
        Problem { start: at.start, end: at.end, ..problem }
    }));
    trees.into_iter().map(|tree| Rc::new(tree.relocated(&to))).collect()
}

/// Where the bytes of a text stand in the source.
struct Map {
    /// Bytes of the whole text in the source.
    whole: Range<usize>,
    /// First byte of a stretch in the text and in the source; bytes of a stretch follow each other.
    stretches: Vec<(usize, usize)>,
}

impl Map {
    fn of(scalar: &Node, text: &str, source: &str) -> Map {
        let raw = &source[scalar.at.start.min(source.len())..];
        let stretches = match raw.as_bytes().first() {
            Some(b'"') => quoted(text, raw),
            _ => block(text, raw),
        };
        let shift = |(inner, outer): (usize, usize)| (inner, outer + scalar.at.start);
        Map { whole: scalar.at.clone(), stretches: stretches.into_iter().map(shift).collect() }
    }

    fn place(&self, at: &Range<usize>) -> Range<usize> {
        let one = |byte: usize| {
            let next = self.stretches.partition_point(|(inner, _)| *inner <= byte);
            let (inner, outer) = *self.stretches.get(next.checked_sub(1)?)?;
            Some(outer + (byte - inner))
        };
        match (one(at.start), one(at.end.max(at.start + 1) - 1)) {
            (Some(start), Some(last)) if start <= last => start..last + 1,
            (Some(start), _) => start..start + 1,
            _ => self.whole.clone(),
        }
    }
}

/// Stretches of a text in double quotes: one after each escape. Ends where text and source do not
/// go together, which folded lines may bring about.
fn quoted(text: &str, raw: &str) -> Vec<(usize, usize)> {
    let mut stretches = vec![(0, 1)];
    let (mut inner, mut outer) = (0, 1);
    while let Some(c) = text[inner..].chars().next() {
        let rest = &raw[outer.min(raw.len())..];
        if !rest.starts_with('\\') {
            if !rest.starts_with(c) {
                break;
            }
            inner += c.len_utf8();
            outer += c.len_utf8();
            continue;
        }
        // The whole escape stands for one character.
        let len = match rest.as_bytes().get(1) {
            Some(b'x') => 4,
            Some(b'u') => 6,
            Some(b'U') => 10,
            _ => 1 + rest[1..].chars().next().map_or(1, char::len_utf8),
        };
        inner += c.len_utf8();
        outer += len;
        stretches.push((inner, outer));
    }
    stretches
}

/// Stretches of a literal block: one for each line, behind its indentation. Also the only stretch of
/// a plain text on one line.
fn block(text: &str, raw: &str) -> Vec<(usize, usize)> {
    let mut stretches = Vec::new();
    let mut at = 0;
    let mut inner = 0;
    let header = raw.starts_with(['|', '>']);
    if header || raw.starts_with('\'') {
        at += if header { raw.find('\n').map_or(raw.len(), |end| end + 1) } else { 1 };
    }
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        let rest = &raw[at.min(raw.len())..];
        let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let outer = rest[..end].trim_end_matches(['\n', '\r']);
        // A text that is cut short, or folded, goes on with its first stretches alone.
        let Some(indent) = outer.len().checked_sub(bare.len()).filter(|i| outer[*i..] == *bare) else {
            if let Some(found) = outer.find(bare).filter(|_| !bare.is_empty()) {
                stretches.push((inner, at + found));
            }
            break;
        };
        stretches.push((inner, at + indent));
        inner += line.len();
        at += end;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    /// The bytes of `source` that the value of `b` in its `data` says.
    #[track_caller]
    fn check(source: &str, expected: &str) {
        let mut problems = Vec::new();
        let tree = parse(source, &mut problems).expect("YAML");
        let trees = embedded(&tree.get("data").expect("data").value, source, &mut problems);
        let value = &trees[0].get("b").expect("b").value;
        assert_eq!((&source[value.at.clone()], problems), (expected, Vec::new()), "{source:?}");
    }

    #[test]
    fn places_are_those_of_the_outer_file() {
        check("data: |\n  a: 1\n  b: two\nnext: 1\n", "two");
        check("data: |-\n    a:\n      - 1\n\n    b: two", "two");
        check("data: |\r\n  a: 1\r\n  b: two\r\n", "two");
        check(r#"{"data": "a: 1\nb: two\n"}"#, "two");
        check(r#"{"data": "a: \"\u00e4 \\\\ x\"\nb: [\"t\", 2]"}"#, r#"[\"t\", 2]"#);
        check("data: 'b: two'\n", "two");
    }

    #[test]
    fn mistakes_are_those_of_the_outer_file() {
        let source = "data: |\n  a: 1\n  b: [two\n";
        let mut problems = Vec::new();
        let tree = parse(source, &mut problems).expect("YAML");
        assert!(embedded(&tree.get("data").expect("data").value, source, &mut problems).is_empty());
        assert_eq!(problems.len(), 1);
        assert!(18 < problems[0].start, "{problems:?}");
    }
}
