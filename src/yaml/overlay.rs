//! Lays part of an object over a whole one.

use super::{Choice, Entry, Kind, Node, Object};
use std::rc::Rc;

/// `over` laid over `base`, both of them an `object`: mappings merge key by key, those of one alternative
/// of a choice too, and anything else replaces what stands there: scalars, lists, and another
/// alternative. A key without a value removes. Every value keeps the place where it is written.
#[must_use]
pub fn overlay(object: &Object, base: &Rc<Node>, over: &Rc<Node>) -> Rc<Node> {
    let below = |key: &str| object.key(key).map(|k| &k.kind);
    let twin = |key: &str| object.twin(key);
    merge(base, over, &below, &twin)
}

fn merge<'k>(
    base: &Rc<Node>,
    over: &Rc<Node>,
    below: &dyn Fn(&str) -> Option<&'k Kind>,
    twin: &dyn Fn(&str) -> Option<&'static str>,
) -> Rc<Node> {
    let (Some(kept), Some(laid)) = (base.entries(), over.entries()) else { return over.clone() };
    let mut entries: Vec<Entry> = kept.to_vec();
    for entry in laid {
        if let Some(twin) = twin(&entry.key) {
            entries.retain(|e| &*e.key != twin || laid.iter().any(|l| &*l.key == twin));
        }
        match entries.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => *old = Entry { value: value(&old.value, entry, below(&entry.key)), ..entry.clone() },
            None => entries.push(entry.clone()),
        }
    }
    Rc::new(Node::map(over.at.clone(), entries))
}

fn value(base: &Rc<Node>, over: &Entry, kind: Option<&Kind>) -> Rc<Node> {
    match kind {
        Some(Kind::Object(object) | Kind::Overlay(object)) => overlay(object, base, &over.value),
        Some(Kind::Map(of)) => merge(base, &over.value, &|_| Some(of), &|_| None),
        Some(Kind::Choice(choice)) => alternative(base, &over.value, choice),
        _ => over.value.clone(),
    }
}

/// An alternative laid over another: what follows the word merges where it is the same word.
fn alternative(base: &Rc<Node>, over: &Rc<Node>, choice: &Choice) -> Rc<Node> {
    let (Some([was]), Some([is])) = (base.entries(), over.entries()) else { return over.clone() };
    let of = choice.alternatives.iter().find(|of| was.key == is.key && of.name == &*is.key);
    match of.and_then(|of| of.value.as_ref()) {
        Some(kind) => {
            let entry = Entry { value: value(&was.value, is, Some(kind)), ..is.clone() };
            Rc::new(Node::map(over.at.clone(), vec![entry]))
        }
        None => over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Alternative, Key, List, Shape, parse};

    static SHARED: Object = Object {
        name: "shared",
        doc: "",
        keys: &[Key::optional("a", Kind::Text, ""), Key::optional("b", Kind::Text, "")],
    };
    static MODE: Choice = Choice {
        name: "a mode",
        doc: "",
        alternatives: &[
            Alternative::with("mps", Kind::Object(&SHARED), ""),
            Alternative::with("mig", Kind::List(&LIST), ""),
            Alternative::word("whole", ""),
        ],
    };
    static LIST: List = List { of: Kind::Text, name: "items", filled: false };
    static INNER: Object = Object {
        name: "inner",
        doc: "",
        keys: &[
            Key::optional("a", Kind::Text, ""),
            Key::optional("b", Kind::Text, ""),
            Key::optional("mode", Kind::Choice(&MODE), ""),
            Key::optional("labels", Kind::Map(&Kind::Text), ""),
            Key::optional("list", Kind::List(&LIST), ""),
            Key::short_for("item", Kind::Text, "list", ""),
        ],
    };
    static OUTER: Object =
        Object { name: "outer", doc: "", keys: &[Key::optional("inner", Kind::Object(&INNER), "")] };

    fn show(node: &Node) -> String {
        match &node.shape {
            Shape::Text { text, .. } => text.clone(),
            Shape::List(items) => {
                format!("[{}]", items.iter().map(|i| show(i)).collect::<Vec<_>>().join(", "))
            }
            Shape::Map(entries) => {
                let entry = |e: &Entry| format!("{}: {}", e.key, show(&e.value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[track_caller]
    fn check(base: &str, over: &str, expected: &str) {
        let node = |text: &str| parse(&format!("inner: {{{text}}}"), &mut Vec::new()).unwrap();
        assert_eq!(show(&overlay(&OUTER, &node(base), &node(over))), format!("{{inner: {{{expected}}}}}"));
    }

    #[test]
    fn maps_merge_and_the_rest_replaces() {
        check("a: 1, b: 2", "b: 3", "a: 1, b: 3");
        check("list: [1, 2]", "list: [3]", "list: [3]");
        check("labels: {x: 1, y: 2}", "labels: {y: 3, z: 4}", "labels: {x: 1, y: 3, z: 4}");
        check("mode: {mps: {a: 4}}", "mode: {mig: [1g]}", "mode: {mig: [1g]}");
        check("mode: {mig: [3g]}", "mode: {mig: [1g]}", "mode: {mig: [1g]}");
        check("mode: {mps: {a: 4}}", "mode: whole", "mode: whole");
        check("mode: whole", "mode: {mps: {a: 4}}", "mode: {mps: {a: 4}}");
        check("mode: {mps: {a: 1, b: 2}}", "mode: {mps: {b: 3}}", "mode: {mps: {a: 1, b: 3}}");
        check("a: 1", "a: ~", "a: ~");
    }

    #[test]
    fn another_spelling_replaces_too() {
        check("list: [1, 2]", "item: 3", "item: 3");
        check("item: 3", "list: [1]", "list: [1]");
        check("a: 1", "item: 3, list: [4]", "a: 1, item: 3, list: [4]");
    }
}
