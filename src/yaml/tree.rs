//! From YAML text to a tree whose nodes know their place.
//!
//! What YAML can do to a reader is dealt with here, once: aliases that expand without end, merge
//! keys, duplicate keys, keys that are no text, tags, several documents. Whoever reads the tree
//! sees plain lists and maps.

use super::Problem;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

/// Most nodes of a document, aliases counted as often as they are used. A large hand-written
/// scenario has some thousands; nine lines of nested aliases can ask for billions.
const NODES: usize = 250_000;

/// Most nodes of a file of several documents. What `kubectl get pods -A -o json` prints has some
/// hundreds for each pod.
const NODES_OF_MANY: usize = 5_000_000;

/// Most levels of lists and maps, through aliases too. The deepest table has eight.
const DEPTH: usize = 64;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Bytes of the source. A value used through an alias is where its anchor is.
    pub at: Range<usize>,
    /// What it is.
    pub shape: Shape,
    /// Nodes in it, itself included.
    size: usize,
    /// Levels of lists and maps in it.
    depth: usize,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A scalar, and whether it was written without quotes.
    Text {
        /// The text after YAML's escapes.
        text: String,
        /// Written without quotes, so that `8` is a number and not a text.
        plain: bool,
    },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map with distinct keys, in the order of the text; merged entries follow.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Rc<str>,
    /// Where the key is written.
    pub at: Range<usize>,
    /// Its value.
    pub value: Rc<Node>,
}

impl Node {
    /// A map of `entries`, as though written at `at`.
    #[must_use]
    pub fn map(at: Range<usize>, entries: Vec<Entry>) -> Node {
        Node::new(at, Shape::Map(entries))
    }

    fn new(at: Range<usize>, shape: Shape) -> Node {
        let inside = |nodes: &mut dyn Iterator<Item = &Rc<Node>>| {
            nodes.fold((1, 0), |(size, depth): (usize, usize), node| {
                (size.saturating_add(node.size), depth.max(node.depth))
            })
        };
        let (size, depth) = match &shape {
            Shape::Text { .. } => (1, 0),
            Shape::List(items) => inside(&mut items.iter()),
            Shape::Map(entries) => inside(&mut entries.iter().map(|e| &e.value)),
        };
        Node { at, size, depth: depth + 1, shape }
    }

    /// Whether nothing is written: an empty value, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.shape, Shape::Text { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries, if it is a map.
    #[must_use]
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.shape {
            Shape::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if it is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| &*e.key == key)
    }

    /// The same value as though all of it were written at `at`: for defaults, which have no text.
    #[must_use]
    pub fn moved(&self, at: &Range<usize>) -> Node {
        let shape = match &self.shape {
            Shape::Text { .. } => self.shape.clone(),
            Shape::List(items) => Shape::List(items.iter().map(|i| Rc::new(i.moved(at))).collect()),
            Shape::Map(entries) => Shape::Map(
                entries
                    .iter()
                    .map(|e| Entry { key: e.key.clone(), at: at.clone(), value: Rc::new(e.value.moved(at)) })
                    .collect(),
            ),
        };
        Node { at: at.clone(), shape, ..*self }
    }

    /// The same value with every place changed.
    #[must_use]
    pub fn relocated(&self, to: &dyn Fn(&Range<usize>) -> Range<usize>) -> Node {
        let shape = match &self.shape {
            Shape::Text { .. } => self.shape.clone(),
            Shape::List(items) => Shape::List(items.iter().map(|i| Rc::new(i.relocated(to))).collect()),
            Shape::Map(entries) => Shape::Map(
                entries
                    .iter()
                    .map(|e| Entry {
                        key: e.key.clone(),
                        at: to(&e.at),
                        value: Rc::new(e.value.relocated(to)),
                    })
                    .collect(),
            ),
        };
        Node { at: to(&self.at), shape, ..*self }
    }

    /// What it is, for a complaint: `a list`, `the text "x"`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.shape {
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) => "a mapping".to_owned(),
            _ if self.is_null() => "nothing".to_owned(),
            Shape::Text { text, plain: true } => format!("`{}`", clip(text)),
            Shape::Text { text, plain: false } => format!("the text {:?}", clip(text)),
        }
    }
}

/// As much of a text as a message bears.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Reads one document. Complaints that leave a tree to go on with are added to `problems`.
///
/// # Errors
/// What stops the reading: text that is not YAML, or too much of it.
pub fn parse(text: &str, problems: &mut Vec<Problem>) -> Result<Rc<Node>, Problem> {
    let mut builder = Builder::new(NODES, problems);
    builder.all(text)?;
    match (builder.roots.get(1), builder.roots.first()) {
        (Some(second), _) => Err(Problem::new("bad-yaml", &second.at, "a second document; a file holds one")),
        (None, Some(root)) => Ok(root.clone()),
        (None, None) => Err(Problem::new("bad-yaml", &(0..0), "the file is empty")),
    }
}

/// Reads every document of a text, those without a value left out. What stops the reading is one of
/// the complaints; the documents before it are returned.
pub fn documents(text: &str, problems: &mut Vec<Problem>) -> Vec<Rc<Node>> {
    let mut builder = Builder::new(NODES_OF_MANY, problems);
    if let Err(problem) = builder.all(text) {
        builder.problems.push(problem);
    }
    builder.roots.retain(|root| !root.is_null());
    builder.roots
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or(0..0)
}

/// A list or map whose end has not come yet.
struct Open {
    children: Vec<Rc<Node>>,
    is_map: bool,
    anchor: usize,
    at: usize,
}

struct Builder<'p> {
    open: Vec<Open>,
    /// Finished nodes by the parser's number of their anchor.
    anchors: Vec<Option<Rc<Node>>>,
    most: usize,
    left: usize,
    roots: Vec<Rc<Node>>,
    problems: &'p mut Vec<Problem>,
}

impl Builder<'_> {
    fn new(most: usize, problems: &mut Vec<Problem>) -> Builder<'_> {
        Builder { open: Vec::new(), anchors: Vec::new(), most, left: most, roots: Vec::new(), problems }
    }

    fn all(&mut self, text: &str) -> Result<(), Problem> {
        for event in Parser::new_from_str(text) {
            match event {
                Ok((event, span)) => self.take(event, &bytes(&span))?,
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0);
                    let message = format!("not YAML: {}", error.info());
                    return Err(Problem::new("bad-yaml", &(at..at + 1), message));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, at: &Range<usize>) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let shape = Shape::Text { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.add(Rc::new(Node::new(at.clone(), shape)), anchor, 1)
            }
            Event::Alias(anchor) => match self.anchors.get(anchor).cloned().flatten() {
                Some(node) => {
                    let cost = node.size;
                    self.add(node, 0, cost)
                }
                None => Err(Problem::new("bad-yaml", at, "this alias stands inside its own anchor")),
            },
            Event::SequenceStart(_, anchor, tag) => self.enter(false, anchor, tag.is_some(), at),
            Event::MappingStart(_, anchor, tag) => self.enter(true, anchor, tag.is_some(), at),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser closes what it opened");
                let range = open.at..at.end.max(open.at);
                let shape = match open.is_map {
                    true => Shape::Map(self.entries(&open.children)),
                    false => Shape::List(open.children),
                };
                self.add(Rc::new(Node::new(range, shape)), open.anchor, 1)
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, is_map: bool, anchor: usize, tagged: bool, at: &Range<usize>) -> Result<(), Problem> {
        self.refuse_tag(tagged, at);
        if DEPTH <= self.open.len() {
            return Err(too_deep(at));
        }
        self.open.push(Open { children: Vec::new(), is_map, anchor, at: at.start });
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, at: &Range<usize>) {
        if tagged {
            let problem = Problem::new("bad-value", at, "tags such as `!include` mean nothing here");
            self.problems.push(problem.help("write the value without the word that begins with `!`"));
        }
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize, cost: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(cost).ok_or_else(|| {
            Problem::new("too-large", &node.at, format!("the document has more than {} values", self.most))
                .help("aliases count as often as they are used; pods belong in a trace file")
        })?;
        if DEPTH < self.open.len() + node.depth {
            return Err(too_deep(&node.at));
        }
        if anchor > 0 {
            self.anchors.resize(self.anchors.len().max(anchor + 1), None);
            self.anchors[anchor] = Some(node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.roots.push(node),
        }
        Ok(())
    }

    /// Keys and values in turn, with duplicates refused and merge keys followed.
    fn entries(&mut self, children: &[Rc<Node>]) -> Vec<Entry> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for pair in children.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            match &key.shape {
                Shape::Text { text, plain: true } if text == "<<" => merged.push(value.clone()),
                Shape::Text { text, .. } => {
                    let name: Rc<str> = text.as_str().into();
                    if seen.insert(name.clone()) {
                        entries.push(Entry { key: name, at: key.at.clone(), value: value.clone() });
                    } else {
                        let message = format!("duplicate key `{}`", clip(text));
                        self.problems.push(Problem::new("duplicate-key", &key.at, message));
                    }
                }
                _ => {
                    let message = format!("a key must be a word, found {}", key.describe());
                    self.problems.push(Problem::new("bad-value", &key.at, message));
                }
            }
        }
        for source in merged {
            self.merge(&source, &mut seen, &mut entries);
        }
        entries
    }

    /// Adds the entries of a merge key's value that are not there yet: what stands in the map
    /// itself wins, then the earlier of several maps, as YAML 1.1 has it.
    fn merge(&mut self, source: &Rc<Node>, seen: &mut BTreeSet<Rc<str>>, entries: &mut Vec<Entry>) {
        let maps = match &source.shape {
            Shape::List(maps) => maps.as_slice(),
            _ => std::slice::from_ref(source),
        };
        for map in maps {
            match map.entries() {
                Some(more) => {
                    entries.extend(more.iter().filter(|e| seen.insert(e.key.clone())).cloned());
                }
                None => {
                    let message = format!("`<<` merges mappings, found {}", map.describe());
                    self.problems.push(Problem::new("bad-value", &map.at, message));
                }
            }
        }
    }
}

fn too_deep(at: &Range<usize>) -> Problem {
    Problem::new("too-large", at, format!("more than {DEPTH} levels of lists and mappings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<(Rc<Node>, Vec<Problem>), Problem> {
        let mut problems = Vec::new();
        let node = parse(text, &mut problems)?;
        Ok((node, problems))
    }

    /// The text of a leaf by its path.
    fn leaf(node: &Node, path: &[&str]) -> Option<String> {
        match (path, &node.shape) {
            ([], Shape::Text { text, .. }) => Some(text.clone()),
            ([key, rest @ ..], _) => leaf(&node.get(key)?.value, rest),
            _ => None,
        }
    }

    #[test]
    fn places_are_bytes() {
        let text = "ä: ö\nlist: [1, 'zwei']\n";
        let (node, _) = tree(text).unwrap();
        let entry = node.get("ä").unwrap();
        assert_eq!((&text[entry.at.clone()], &text[entry.value.at.clone()]), ("ä", "ö"));
        let Shape::List(items) = &node.get("list").unwrap().value.shape else { panic!("a list") };
        assert_eq!(&text[items[1].at.clone()], "'zwei'");
        assert_eq!(&text[node.get("list").unwrap().value.at.clone()], "[1, 'zwei']");
    }

    #[test]
    fn files_of_other_systems_are_read() {
        let text = "\u{feff}a: 1\r\nb: zwei\r\n";
        let (node, _) = tree(text).unwrap();
        let entries = node.entries().unwrap();
        assert_eq!(entries.iter().map(|e| &text[e.value.at.clone()]).collect::<Vec<_>>(), ["1", "zwei"]);
        assert_eq!(&*entries[0].key, "a");
    }

    #[test]
    fn merge_keys_are_followed() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\n\
                    one: {<<: *a, y: 9}\nmany: {<<: [*a, *b], w: 0}\nbad: {<<: 3}\n";
        let (node, problems) = tree(text).unwrap();
        for (path, value) in [
            (["one", "x"], "1"),
            (["one", "y"], "9"),
            (["many", "y"], "1"),
            (["many", "z"], "2"),
            (["many", "w"], "0"),
        ] {
            assert_eq!(leaf(&node, &path).as_deref(), Some(value), "{path:?}");
        }
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, "`<<` merges mappings, found `3`");
    }

    #[test]
    fn duplicates_odd_keys_and_tags_are_located() {
        let text = "a: 1\nb: {c: 1, c: 2}\na: 3\n[x]: 1\nd: !env HOME\n";
        let (node, problems) = tree(text).unwrap();
        let found: Vec<_> = problems.iter().map(|p| (p.code, &text[p.start..p.end])).collect();
        assert_eq!(
            found,
            [("duplicate-key", "c"), ("bad-value", "HOME"), ("duplicate-key", "a"), ("bad-value", "[x]")]
        );
        assert_eq!(leaf(&node, &["a"]).as_deref(), Some("1"));
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for i in 1..80 {
            let before = i - 1;
            let items = vec![format!("*a{before}"); 9].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{items}]\n"));
            deep.push_str(&format!("a{i}: &a{i} [*a{before}]\n"));
        }
        for text in [bomb, deep, "[".repeat(100_000), "a: &a [*a]".to_owned(), "{a: ".repeat(300)] {
            assert!(tree(&text).is_err());
        }
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        for text in ["", "# nothing\n", "a: 1\n---\nb: 2\n", "a: [1", "a: *b", "\t- x: [", "%\n"] {
            assert!(tree(text).is_err(), "{text}");
        }
    }
}
