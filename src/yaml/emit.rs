//! Writes values as YAML for people: blocks, with short lists on one line, and quotes only where a
//! reader could take a text for something else.

use serde_json::Value;

/// Widest line that holds a whole list.
const WIDTH: usize = 80;

/// A value as block YAML, ending in a line break.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(map, 0, false, &mut out),
        Value::Array(items) if !items.is_empty() && inline(value, 0).is_none() => list(items, 0, &mut out),
        other => {
            out.push_str(&inline(other, 0).expect("what is not a block is a line"));
            out.push('\n');
        }
    }
    out
}

/// Entries of a mapping, one below the other; the first continues a line that is begun if `begun`.
fn entries(map: &serde_json::Map<String, Value>, indent: usize, begun: bool, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        if 0 < index || !begun {
            out.push_str(&" ".repeat(indent));
        }
        let key = text(key);
        out.push_str(&key);
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                entries(map, indent + 2, false, out);
            }
            _ => match (inline(value, indent + key.chars().count() + 2), value) {
                (Some(line), _) => {
                    out.push(' ');
                    out.push_str(&line);
                    out.push('\n');
                }
                (None, Value::Array(items)) => {
                    out.push('\n');
                    list(items, indent + 2, out);
                }
                (None, _) => unreachable!("scalars fit any line"),
            },
        }
    }
}

fn list(items: &[Value], indent: usize, out: &mut String) {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push('-');
        out.push(' ');
        match (item, inline(item, indent + 2)) {
            (Value::Object(map), None) => entries(map, indent + 2, true, out),
            (_, Some(line)) => {
                out.push_str(&line);
                out.push('\n');
            }
            (_, None) => {
                out.push_str(&flow(item));
                out.push('\n');
            }
        }
    }
}

/// The value on one line that begins at `column`, unless it should be a block.
fn inline(value: &Value, column: usize) -> Option<String> {
    match value {
        Value::Object(map) if !map.is_empty() => None,
        Value::Array(items) => {
            let line = flow(value);
            let nested = items.iter().any(|i| matches!(i, Value::Object(m) if !m.is_empty()));
            (!nested && column + line.chars().count() <= WIDTH).then_some(line)
        }
        _ => Some(flow(value)),
    }
}

fn flow(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => format!("[{}]", join(items.iter().map(flow).collect())),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", text(key), flow(value));
            format!("{{{}}}", join(map.iter().map(entry).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text, in quotes unless every YAML reader takes it for that text without.
fn text(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Controls, and what YAML may take for a line break or a byte order mark.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_plain(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let lower = text.to_ascii_lowercase();
    let inner = |c: char| c.is_ascii_alphanumeric() || "._/+@=-".contains(c);
    let reserved = RESERVED.contains(&lower.as_str());
    let number = text.parse::<f64>().is_ok()
        || ["0x", "0o", "0b", ".inf", ".nan"].iter().any(|p| lower.starts_with(p))
        || !text.contains(|c: char| c.is_ascii_alphabetic());
    let words = text.split(' ').all(|word| !word.is_empty() && word.chars().all(inner));
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || "./_".contains(c))
        && words
        && !reserved
        && !number
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_for_people() {
        let value = json!({
            "name": "quick start", "cpu": "96", "memory": "384GiB", "yes": "no", "n": 3, "x": 0.5,
            "empty": [], "none": "none", "labels": {"a/b": "c: d"},
            "nodes": [{"mode": {"mig": ["3g.20gb", "1g.10gb+me"]}, "share": [[250, 1.0]]}, {"a": 1, "b": 2}],
            "long": vec!["a-rather-long-word"; 6], "odd": "line\none \u{85}",
        });
        let expected = "\
name: quick start
cpu: \"96\"
memory: 384GiB
\"yes\": \"no\"
\"n\": 3
x: 0.5
empty: []
none: none
labels:
  a/b: \"c: d\"
nodes:
  - mode:
      mig: [3g.20gb, 1g.10gb+me]
    share: [[250, 1.0]]
  - a: 1
    b: 2
long:
  - a-rather-long-word
  - a-rather-long-word
  - a-rather-long-word
  - a-rather-long-word
  - a-rather-long-word
  - a-rather-long-word
odd: \"line\\none \\u0085\"
";
        assert_eq!(emit(&value), expected);
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for word in [
            "1e3",
            "0x1F",
            "12",
            "1_000",
            "2026-01-02",
            "NULL",
            "On",
            ".inf",
            "-a",
            "a:b",
            "a #",
            "",
            " a",
            "a  b",
            "#",
            "*a",
        ] {
            assert!(text(word).starts_with('"'), "{word}");
        }
        for word in ["3g.20gb", "2h", "500m", "a b", "../x/y.csv", "least-allocated", "1g.5gb+me"] {
            assert_eq!(text(word), word);
        }
    }

    #[test]
    fn scalars_and_lists_stand_alone() {
        assert_eq!(emit(&json!(3)), "3\n");
        assert_eq!(emit(&json!({})), "{}\n");
        assert_eq!(emit(&json!([1, 2])), "[1, 2]\n");
        assert_eq!(emit(&json!([{"a": 1}])), "- a: 1\n");
    }

    mod round_trip {
        use super::super::*;
        use crate::yaml::{Node, Shape, parse};
        use proptest::prelude::*;

        fn values() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                any::<i64>().prop_map(Value::from),
                any::<f64>().prop_filter("JSON", |f| f.is_finite()).prop_map(Value::from),
                any::<bool>().prop_map(Value::from),
                ".*".prop_map(Value::from),
                "[a-z0-9.: -]{0,6}".prop_map(Value::from),
            ];
            leaf.prop_recursive(4, 40, 5, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                    prop::collection::vec((".{0,5}", inner), 0..5)
                        .prop_map(|v| Value::Object(v.into_iter().filter(|(k, _)| k != "<<").collect())),
                ]
            })
        }

        /// Whether a node is that value, reading numbers as the reader does.
        fn same(node: &Node, value: &Value) -> bool {
            match (&node.shape, value) {
                (Shape::Text { text, plain }, Value::String(s)) => {
                    text == s && (!plain || (!node.is_null() && text.parse::<f64>().is_err()))
                }
                (Shape::Text { text, plain: true }, Value::Bool(b)) => *text == b.to_string(),
                (Shape::Text { text, plain: true }, Value::Number(n)) => {
                    text.parse::<f64>().ok() == n.as_f64()
                }
                (Shape::List(items), Value::Array(values)) => {
                    items.len() == values.len() && items.iter().zip(values).all(|(n, v)| same(n, v))
                }
                (Shape::Map(entries), Value::Object(map)) => {
                    entries.len() == map.len()
                        && entries.iter().zip(map).all(|(e, (k, v))| *e.key == **k && same(&e.value, v))
                }
                _ => false,
            }
        }

        proptest! {
            #[test]
            fn what_is_written_is_read_back(value in values()) {
                let text = emit(&value);
                let mut problems = Vec::new();
                let node = parse(&text, &mut problems).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
                prop_assert!(same(&node, &value), "{text}\n{node:?}");
                prop_assert!(problems.is_empty());
            }
        }
    }
}
