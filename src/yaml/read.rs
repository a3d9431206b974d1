//! Holds a tree against its table.
//!
//! Nothing stops at the first mistake: a value that is wrong becomes [`Value::Bad`] with one
//! complaint, and its neighbours are read as though it were right.

use super::scalar::{Mistake, scalar};
use super::tree::clip;
use super::{
    Alternative, Choice, Entry, Item, Key, Kind, List, Node, Object, Presence, Problem, Record, Shape, Value,
    parse,
};
use crate::diag::nearest;
use std::ops::Range;
use std::rc::Rc;

/// Reads `node` as a value of `kind`.
pub fn read(node: &Rc<Node>, kind: &Kind, problems: &mut Vec<Problem>) -> Item {
    let value = value(node, kind, problems).unwrap_or_else(|problem| {
        problems.push(problem);
        Value::Bad
    });
    Item { at: node.at.clone(), value }
}

/// The value, or the one complaint about the node as a whole; those about its parts are added to
/// `problems`.
fn value(node: &Rc<Node>, kind: &Kind, problems: &mut Vec<Problem>) -> Result<Value, Problem> {
    match (kind, &node.shape) {
        (Kind::Overlay(_), Shape::Map(_)) => Ok(Value::Overlay(node.clone())),
        (Kind::Either(kinds), _) => {
            // A word of a choice is that word, whatever else would take a text.
            let named = kinds.iter().find(|k| is_word(k, node));
            match named.or_else(|| kinds.iter().find(|k| fits(k, node))) {
                Some(Kind::Integer(..)) if !is_number(node) => Err(mismatch(node, kind)),
                Some(kind) => value(node, kind, problems),
                None => Err(mismatch(node, kind)),
            }
        }
        (Kind::Choice(choice), _) => self::choice(node, choice, problems),
        (Kind::Object(object), Shape::Map(entries)) => Ok(object_value(&node.at, entries, object, problems)),
        (Kind::Map(of), Shape::Map(entries)) => {
            let one = |e: &Entry| (e.key.clone(), e.at.clone(), keyed(e, of, problems));
            Ok(Value::Map(entries.iter().map(one).collect()))
        }
        (Kind::List(list), Shape::List(items)) => list_value(node, items, list, problems),
        (Kind::Tuple(kinds), Shape::List(items)) if kinds.len() == items.len() => {
            let items = items.iter().zip(*kinds).map(|(item, kind)| read(item, kind, problems));
            Ok(Value::List(items.collect()))
        }
        (_, Shape::Text { text, plain }) if !node.is_null() => {
            scalar(text, *plain, kind).unwrap_or_else(|| Err(Mistake::other())).map_err(|mistake| {
                let message = match mistake.message.is_empty() {
                    true => format!("expected {}, found {}", expected(kind), node.describe()),
                    false => mistake.message,
                };
                Problem { help: mistake.help, ..Problem::new(mistake.code, &node.at, message) }
            })
        }
        _ => Err(mismatch(node, kind)),
    }
}

/// Whether a node is a word of this choice.
fn is_word(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.shape) {
        (Kind::Choice(choice), Shape::Text { text, .. }) => {
            choice.alternatives.iter().any(|word| word.name == text.as_str())
        }
        _ => false,
    }
}

/// Whether a node is a number.
fn is_number(node: &Node) -> bool {
    matches!(&node.shape, Shape::Text { text, .. } if text.parse::<f64>().is_ok())
}

/// Whether a kind takes nodes of this shape, for [`Kind::Either`].
fn fits(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.shape) {
        (Kind::Either(kinds), _) => kinds.iter().any(|k| fits(k, node)),
        (Kind::Choice(_), shape) => !matches!(shape, Shape::List(_)),
        (Kind::List(_) | Kind::Tuple(_), shape) => matches!(shape, Shape::List(_)),
        (Kind::Map(_) | Kind::Object(_) | Kind::Overlay(_), shape) => matches!(shape, Shape::Map(_)),
        (_, shape) => matches!(shape, Shape::Text { .. }),
    }
}

fn mismatch(node: &Node, kind: &Kind) -> Problem {
    Problem::new("bad-value", &node.at, format!("expected {}, found {}", expected(kind), node.describe()))
}

/// What a kind is, for a complaint.
fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Text | Kind::Line => "a text".to_owned(),
        Kind::Name => "a name".to_owned(),
        Kind::Path => "a file".to_owned(),
        Kind::Span { .. } => "a duration such as `2h`".to_owned(),
        Kind::Memory => "an amount of memory such as `80GiB`".to_owned(),
        Kind::Cpu => "an amount of CPU such as `16` or `500m`".to_owned(),
        Kind::Integer(..) => "a whole number".to_owned(),
        Kind::Number(_) => "a number".to_owned(),
        Kind::Choice(choice) => choice.name.to_owned(),
        Kind::List(list) => format!("a list of {}", list.name),
        Kind::Tuple(kinds) if 2 < kinds.len() => format!("a list of {} values", kinds.len()),
        Kind::Tuple(kinds) => {
            format!("a list of {}", kinds.iter().map(expected).collect::<Vec<_>>().join(" and "))
        }
        Kind::Map(_) => "a mapping".to_owned(),
        Kind::Object(object) | Kind::Overlay(object) => {
            format!("a mapping with keys such as `{}`", object.keys.first().map_or("", |k| k.name))
        }
        Kind::Either(kinds) => kinds.iter().map(expected).collect::<Vec<_>>().join(" or "),
    }
}

fn list_value(
    node: &Node,
    items: &[Rc<Node>],
    list: &List,
    problems: &mut Vec<Problem>,
) -> Result<Value, Problem> {
    if items.is_empty() && list.filled {
        let help = "leave the key out where nothing is wanted";
        return Err(Problem::new("empty-list", &node.at, format!("no {} are listed", list.name)).help(help));
    }
    Ok(Value::List(items.iter().map(|item| read(item, &list.of, problems)).collect()))
}

/// The value of an entry, complaining at its key when there is none.
fn keyed(entry: &Entry, kind: &Kind, problems: &mut Vec<Problem>) -> Item {
    if entry.value.is_null() {
        let message = format!("expected {}, found nothing", expected(kind));
        problems.push(Problem::new("bad-value", &entry.at, message));
        return Item { at: entry.at.clone(), value: Value::Bad };
    }
    read(&entry.value, kind, problems)
}

fn object_value(
    at: &Range<usize>,
    entries: &[Entry],
    object: &'static Object,
    problems: &mut Vec<Problem>,
) -> Value {
    for entry in entries.iter().filter(|e| object.key(&e.key).is_none()) {
        problems.push(unknown_key(entry, object));
    }
    let mut record = Record::new(object, at.clone());
    for key in object.keys {
        match entries.iter().find(|e| &*e.key == key.name) {
            Some(entry) if !entry.value.is_null() => {
                refuse_twin(entry, entries, object, problems);
                let item = read(&entry.value, &key.kind, problems);
                record.push(key, Some(entry.value.at.clone()), Some(item));
            }
            found => {
                let item = absent(key, found, at, entries, problems);
                record.push(key, None, item);
            }
        }
    }
    Value::Record(record)
}

/// What a key means that is not written, or without a value.
fn absent(
    key: &'static Key,
    found: Option<&Entry>,
    at: &Range<usize>,
    entries: &[Entry],
    problems: &mut Vec<Problem>,
) -> Option<Item> {
    match key.presence {
        Presence::Optional | Presence::ShortFor(_) => None,
        Presence::Default(text) => {
            let node = parse(text, &mut Vec::new()).expect("defaults are YAML");
            Some(read(&Rc::new(node.moved(at)), &key.kind, problems))
        }
        Presence::Required => {
            let (at, message) = match found {
                Some(entry) => (entry.at.clone(), format!("`{}` has no value", key.name)),
                None => (head(at, entries), format!("missing key `{}`", key.name)),
            };
            let problem = Problem::new("missing-key", &at, message);
            problems.push(problem.help(format!("expected {}: {}", expected(&key.kind), key.doc)));
            None
        }
    }
}

/// The first key of a mapping: where a complaint about all of it points.
fn head(at: &Range<usize>, entries: &[Entry]) -> Range<usize> {
    match entries
        .iter()
        .map(|e| &e.at)
        .filter(|k| at.start <= k.start && k.end <= at.end)
        .min_by_key(|k| k.start)
    {
        Some(key) => key.clone(),
        None => at.clone(),
    }
}

fn refuse_twin(entry: &Entry, entries: &[Entry], object: &Object, problems: &mut Vec<Problem>) {
    let Some(twin) = object.twin(&entry.key) else { return };
    let both = entries.iter().any(|e| &*e.key == twin && !e.value.is_null());
    let short = object.key(&entry.key).is_some_and(|k| matches!(k.presence, Presence::ShortFor(_)));
    if both && short {
        let message = format!("`{}` and `{twin}` are two spellings of one key", entry.key);
        problems.push(Problem::new("duplicate-key", &entry.at, message).help("give one of them"));
    }
}

fn unknown_key(entry: &Entry, object: &Object) -> Problem {
    let names = || object.keys.iter().map(|k| k.name);
    let message = format!("unknown key `{}` in {}", clip(&entry.key), object.name);
    Problem::new("unknown-key", &entry.at, message).help(suggestion(&entry.key, names()))
}

/// The nearest of the known words, or all of them.
fn suggestion(word: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn choice(node: &Rc<Node>, choice: &'static Choice, problems: &mut Vec<Problem>) -> Result<Value, Problem> {
    match &node.shape {
        Shape::Text { text, .. } if !node.is_null() => {
            let alternative = find(choice, text, &node.at)?;
            if alternative.bare {
                return Ok(Value::Choice(alternative.name, None));
            }
            let kind = alternative.value.as_ref().map_or_else(String::new, expected);
            let message = format!("`{text}` needs a value: {kind}");
            Err(Problem::new("bad-value", &node.at, message).help(format!("write `{{{text}: …}}`")))
        }
        Shape::Map(entries) => match entries.as_slice() {
            [entry] => followed(entry, choice, problems),
            [] => Err(mismatch(node, &Kind::Choice(choice)).help(forms(choice))),
            [_, second, ..] => {
                let message = format!("expected {} with one key, found a second", choice.name);
                Err(Problem::new("bad-value", &second.at, message).help(forms(choice)))
            }
        },
        _ => Err(mismatch(node, &Kind::Choice(choice)).help(forms(choice))),
    }
}

/// An alternative with its value: `mig: […]`.
fn followed(entry: &Entry, choice: &Choice, problems: &mut Vec<Problem>) -> Result<Value, Problem> {
    let alternative = find(choice, &entry.key, &entry.at)?;
    match &alternative.value {
        None if entry.value.is_null() => Ok(Value::Choice(alternative.name, None)),
        Some(_) if entry.value.is_null() && alternative.bare => Ok(Value::Choice(alternative.name, None)),
        None => {
            let message = format!("`{}` takes no value", alternative.name);
            let problem = Problem::new("bad-value", &entry.at, message);
            Err(problem.help(format!("write the word alone: `{}`", alternative.name)))
        }
        Some(kind) => {
            let item = keyed(entry, kind, problems);
            match item.value {
                // Already complained about.
                Value::Bad => Ok(Value::Bad),
                _ => Ok(Value::Choice(alternative.name, Some(Box::new(item)))),
            }
        }
    }
}

fn find<'a>(choice: &'a Choice, word: &str, at: &Range<usize>) -> Result<&'a Alternative, Problem> {
    choice.alternatives.iter().find(|a| a.name == word).ok_or_else(|| {
        let message = format!("`{}` is not {}", clip(word), choice.name);
        let problem = Problem::new("unknown-name", at, message);
        match nearest(word, choice.alternatives.iter().map(|a| a.name)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(forms(choice)),
        }
    })
}

/// Every form of a choice, as it is written.
fn forms(choice: &Choice) -> String {
    let form = |a: &Alternative| match a.bare {
        true => format!("`{}`", a.name),
        false => format!("`{{{}: …}}`", a.name),
    };
    format!("write {}", choice.alternatives.iter().map(form).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Interval, diagnostics, table};

    static SIZE: table::Choice = table::Choice {
        name: "a size",
        doc: "How large.",
        alternatives: &[
            Alternative::word("small", "Small."),
            Alternative::with("exact", Kind::Integer(1, 9), "Just so."),
            Alternative::may_have("large", Kind::Number(Interval::above(0.0).to(1.0)), "Large."),
        ],
    };
    static TAGS: List = List { of: Kind::Name, name: "tags", filled: true };
    static BOX: Object = Object {
        name: "a box",
        doc: "A box.",
        keys: &[
            Key::required("name", Kind::Name, "how it is called"),
            Key::default("size", Kind::Choice(&SIZE), "small", "how large it is"),
            Key::optional("locked", Kind::Bool, "whether it is locked"),
            Key::optional("wait", Kind::Span { positive: true }, "until it opens"),
            Key::optional("memory", Kind::Memory, "what fits"),
            Key::optional("cpu", Kind::Cpu, "what computes"),
            Key::optional("tags", Kind::List(&TAGS), "what is on it"),
            Key::short_for("tag", Kind::Name, "tags", "one tag"),
            Key::optional("pair", Kind::Tuple(&[Kind::Integer(0, 5), Kind::Text]), "two things"),
            Key::optional("words", Kind::Map(&Kind::Text), "free"),
            Key::optional("either", Kind::Either(&[Kind::Cpu, Kind::List(&TAGS)]), "one of two"),
        ],
    };

    /// The complaints about a box, as `line:column code message (help)`.
    fn complaints(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let node = parse(text, &mut problems).expect("YAML");
        read(&node, &Kind::Object(&BOX), &mut problems);
        let show = |d: crate::diag::Diagnostic| {
            let help = d.help.map_or_else(String::new, |h| format!(" ({h})"));
            format!("{}:{} {} {}{help}", d.line, d.column, d.code, d.message)
        };
        diagnostics(problems, text, "box.yaml").into_iter().map(show).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(complaints(text), expected, "{text}");
    }

    #[test]
    fn what_fits_is_read() {
        check(
            "name: x\nsize: {exact: 3}\nlocked: true\nwait: 1h30m\nmemory: \"8GiB\"\ncpu: 500m\n\
             tags: [a, b]\npair: [3, x]\nwords: {a: 1, b: no}\neither: 3\n",
            &[],
        );
        check("name: 42\nsize: large\nlocked: ~\neither: [a]\ntag: x", &[]);
        check("name: x\nsize:\n  large: 0.5\n", &[]);
        check("name: x\nsize:\n  large:\n", &[]);
    }

    #[test]
    fn wrong_shapes_are_named() {
        check("- x", &["1:1 bad-value expected a mapping with keys such as `name`, found a list"]);
        check(
            "name: [x]\nwait: {a: 1}\nwords: x\ntags: x\npair: [1]\neither: {}\nsize: []",
            &[
                "1:7 bad-value expected a name, found a list",
                "2:7 bad-value expected a duration such as `2h`, found a mapping",
                "3:8 bad-value expected a mapping, found `x`",
                "4:7 bad-value expected a list of tags, found `x`",
                "5:7 bad-value expected a list of a whole number and a text, found a list",
                "6:9 bad-value expected an amount of CPU such as `16` or `500m` or a list of tags, found a mapping",
                "7:7 bad-value expected a size, found a list (write `small`, `{exact: …}`, `large`)",
            ],
        );
    }

    #[test]
    fn keys_are_checked() {
        check(
            "nmae: x\ncolour: red\ntag: a\ntags: [b]\nwords: {a: }\n",
            &[
                "1:1 missing-key missing key `name` (expected a name: how it is called)",
                "1:1 unknown-key unknown key `nmae` in a box (did you mean `name`?)",
                "2:1 unknown-key unknown key `colour` in a box (known here: `name`, `size`, `locked`, \
                 `wait`, `memory`, `cpu`, `tags`, `tag`, `pair`, `words`, `either`)",
                "3:1 duplicate-key `tag` and `tags` are two spellings of one key (give one of them)",
                "5:9 bad-value expected a text, found nothing",
            ],
        );
        check("name:\n", &["1:1 missing-key `name` has no value (expected a name: how it is called)"]);
    }

    #[test]
    fn scalars_are_checked() {
        for (value, complaint) in [
            ("locked: yes", "9 bad-value expected `true` or `false`, found `yes` (write `true`)"),
            ("locked: off", "9 bad-value expected `true` or `false`, found `off` (write `false`)"),
            ("locked: 1", "9 bad-value expected `true` or `false`, found `1`"),
            (
                "locked: 'true'",
                "9 bad-value expected `true` or `false`, found the text \"true\" (write `true`)",
            ),
            (
                "wait: 5",
                "7 bad-value `5` has no unit (write a number and a unit: `90s`, `30m`, `2h`, `1h30m`, `7d`, `250ms`)",
            ),
            ("wait: 0s", "7 out-of-range this duration must be above 0"),
            ("tag: 'a\"b'", "6 bad-value this must not contain `\\\"`"),
            ("tag: ''", "6 bad-value this must not be empty"),
            ("tag: .x", "6 bad-value a name must not begin with `.`, nor begin or end with a space"),
            ("pair: [6, x]", "8 out-of-range `6` is out of range; it must be 0 to 5"),
            ("pair: [-1, x]", "8 out-of-range `-1` is out of range; it must be 0 to 5"),
            (
                "pair: [\"1\", x]",
                "8 bad-value expected a whole number, found the text \"1\" (without quotes it is a number: `1`)",
            ),
            ("pair: [1.5, x]", "8 bad-value expected a whole number, found `1.5`"),
            ("pair: [1e0, x]", "8 bad-value expected a whole number, found `1e0` (write `1`)"),
            ("pair: [1_0, x]", "8 bad-value expected a whole number, found `1_0` (write `10`)"),
            ("pair: [.nan, x]", "8 bad-value expected a whole number, found `.nan`"),
            (
                "pair: [01, x]",
                "8 bad-value expected a whole number, found `01` (to some YAML readers that is octal; write the number without the leading 0)",
            ),
            ("size: tiny", "7 unknown-name `tiny` is not a size (write `small`, `{exact: …}`, `large`)"),
            ("size: smal", "7 unknown-name `smal` is not a size (did you mean `small`?)"),
            ("size: exact", "7 bad-value `exact` needs a value: a whole number (write `{exact: …}`)"),
            ("size: {small: 1}", "8 bad-value `small` takes no value (write the word alone: `small`)"),
            ("size: {exact: 0}", "15 out-of-range `0` is out of range; it must be 1 to 9"),
            ("size: {exact: }", "8 bad-value expected a whole number, found nothing"),
            (
                "size: {exact: 1, large: 1}",
                "18 bad-value expected a size with one key, found a second (write `small`, `{exact: …}`, `large`)",
            ),
            (
                "size: {large: 1.01}",
                "15 out-of-range `1.01` is out of range; it must be above 0 and at most 1",
            ),
            ("size: {large: nan}", "15 bad-value expected a number, found `nan`"),
            ("size: {large: .inf}", "15 bad-value expected a number, found `.inf`"),
            (
                "size: {large: 1e999}",
                "15 out-of-range `1e999` is out of range; it must be above 0 and at most 1",
            ),
            ("tags: []", "7 empty-list no tags are listed (leave the key out where nothing is wanted)"),
        ] {
            check(&format!("name: x\n{value}"), &[&format!("2:{complaint}")]);
        }
    }
}
