//! Plain trees as YAML that every parser reads alike, old ones included.

use serde_json::Value;

/// A tree of plain values as block YAML.
#[must_use]
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut out, value, 0),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

/// Writes the lines of a list or map that is not empty, the first at the place where `out` ends.
fn block(out: &mut String, value: &Value, indent: usize) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { &pad });
                out.push_str(&string(key));
                out.push(':');
                if is_block(value) {
                    let deeper = if value.is_array() { indent } else { indent + 2 };
                    out.push_str(&format!("\n{}", " ".repeat(deeper)));
                    block(out, value, deeper);
                } else {
                    out.push_str(&format!(" {}\n", inline(value)));
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { &pad });
                out.push_str("- ");
                if is_block(item) {
                    block(out, item, indent + 2);
                } else {
                    out.push_str(&format!("{}\n", inline(item)));
                }
            }
        }
        scalar => out.push_str(&format!("{}\n", inline(scalar))),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

/// Bare only where no parser could take it for anything but this text; quoted as JSON otherwise.
fn string(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./ ".contains(c);
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(safe)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trees_read_as_people_write_them() {
        let tree = json!({
            "name": "a b", "odd": "no", "colon": "a: b", "empty": [], "none": null,
            "list": [{ "x": 1, "deep": { "y": [1.5, "#"] } }, [2]],
        });
        let text = "name: a b\nodd: \"no\"\ncolon: \"a: b\"\nempty: []\nnone: null\nlist:\n- x: 1\n  deep:\n    \"y\":\n    - 1.5\n    - \"#\"\n- - 2\n";
        assert_eq!(yaml(&tree), text);
    }
}
