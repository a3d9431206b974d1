//! JSON Schema (draft 2020-12) from the tables that files are read by.

use super::{Alternative, Choice, Interval, Key, Kind, Node, Object, Presence, Shape, parse};
use serde_json::{Map, Value, json};

/// The schema of files that are an `object`.
#[must_use]
pub fn schema(object: &'static Object) -> Value {
    let mut writer = Writer { definitions: Map::new() };
    let Value::Object(root) = writer.object(object, false) else { unreachable!("a schema is an object") };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.extend(root);
    schema.insert("$defs".to_owned(), Value::Object(writer.definitions));
    Value::Object(schema)
}

struct Writer {
    /// Schemas of objects and choices by name, so that each is written once.
    definitions: Map<String, Value>,
}

impl Writer {
    /// `part` makes the schema of an overlay: nothing is required, and nothing at all removes.
    fn object(&mut self, object: &'static Object, part: bool) -> Value {
        let properties: Map<String, Value> =
            object.keys.iter().map(|key| (key.name.to_owned(), self.key(key, part))).collect();
        let required: Vec<&str> = object
            .keys
            .iter()
            .filter(|k| !part && k.presence == Presence::Required)
            .map(|k| k.name)
            .collect();
        let mut schema = json!({
            "title": object.name,
            "description": object.doc,
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let twins: Vec<Value> = object
            .keys
            .iter()
            .filter_map(|k| match k.presence {
                Presence::ShortFor(long) => Some(json!({"not": {"required": [k.name, long]}})),
                _ => None,
            })
            .collect();
        // An overlay may remove the one with `~` to give the other.
        if !part && !twins.is_empty() {
            schema["allOf"] = json!(twins);
        }
        schema
    }

    fn key(&mut self, key: &'static Key, part: bool) -> Value {
        let mut schema = match (&key.kind, part) {
            (Kind::Object(object), true) => self.reference(object, true),
            (kind, _) => self.kind(kind),
        };
        if part {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        schema["description"] = json!(key.doc);
        if let Presence::Default(text) = key.presence {
            schema["default"] = value(&parse(text, &mut Vec::new()).expect("defaults are YAML"));
        }
        schema
    }

    fn kind(&mut self, kind: &'static Kind) -> Value {
        match kind {
            Kind::Bool => json!({"type": "boolean"}),
            // A number is as good a text as any: `name: 42`.
            Kind::Text => json!({"type": ["string", "number", "boolean"]}),
            Kind::Line | Kind::Path => json!({"type": ["string", "number", "boolean"], "minLength": 1}),
            Kind::Name => json!({
                "type": ["string", "number", "boolean"],
                "pattern": r#"^[^./\\,"\s][^/\\,"]*$"#,
                "maxLength": 100,
            }),
            Kind::Span { positive: true } => quantity("a duration such as `2h`", false),
            Kind::Span { positive: false } => quantity("a duration such as `2h`", true),
            Kind::Memory => quantity("an amount of memory such as `80GiB`", true),
            Kind::Cpu => json!({"anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9.+]+m?\s*$"},
            ]}),
            Kind::Integer(low, high) => json!({
                "type": "integer", "minimum": whole(*low), "maximum": whole(*high),
            }),
            Kind::Number(range) => number(*range),
            Kind::Choice(choice) => self.define(choice.name, |writer| writer.choice(choice)),
            Kind::List(list) => {
                let mut schema = json!({"type": "array", "items": self.kind(&list.of)});
                if list.filled {
                    schema["minItems"] = json!(1);
                }
                schema
            }
            Kind::Tuple(kinds) => {
                let items: Vec<Value> = kinds.iter().map(|k| self.kind(k)).collect();
                json!({"type": "array", "prefixItems": items, "items": false, "minItems": items.len()})
            }
            Kind::Map(of) => json!({"type": "object", "additionalProperties": self.kind(of)}),
            Kind::Object(object) => self.reference(object, false),
            Kind::Overlay(object) => self.reference(object, true),
            Kind::Either(kinds) => {
                let forms: Vec<Value> = kinds.iter().map(|k| self.kind(k)).collect();
                json!({"anyOf": forms})
            }
        }
    }

    fn reference(&mut self, object: &'static Object, part: bool) -> Value {
        let suffix = if part { " part" } else { "" };
        self.define(&format!("{}{suffix}", object.name), |writer| writer.object(object, part))
    }

    /// A reference to the schema called `name`, which is made at its first use.
    fn define(&mut self, name: &str, make: impl FnOnce(&mut Writer) -> Value) -> Value {
        let words = name.split(' ').filter(|w| !matches!(*w, "a" | "an" | "the"));
        let name = words.collect::<Vec<_>>().join("-");
        let reference = json!({"$ref": format!("#/$defs/{name}")});
        if !self.definitions.contains_key(&name) {
            let schema = make(self);
            self.definitions.insert(name, schema);
        }
        reference
    }

    fn choice(&mut self, choice: &'static Choice) -> Value {
        let words: Vec<&Alternative> = choice.alternatives.iter().filter(|a| a.bare).collect();
        let mut forms = Vec::new();
        if !words.is_empty() {
            let names: Vec<&str> = words.iter().map(|a| a.name).collect();
            let doc: Vec<String> = words.iter().map(|a| format!("{}: {}", a.name, a.doc)).collect();
            forms.push(json!({"enum": names, "description": doc.join("\n")}));
        }
        for alternative in choice.alternatives {
            if let Some(kind) = &alternative.value {
                forms.push(json!({
                    "type": "object",
                    "description": alternative.doc,
                    "properties": {alternative.name: self.kind(kind)},
                    "required": [alternative.name],
                    "additionalProperties": false,
                }));
            }
        }
        let mut schema = match forms.len() {
            1 => forms.remove(0),
            _ => json!({"anyOf": forms}),
        };
        let words = schema["description"].as_str().unwrap_or_default();
        schema["description"] = json!(format!("{}\n{words}", choice.doc).trim_end());
        schema
    }
}

/// A number and a unit; without a unit only nothing at all is clear.
fn quantity(what: &str, zero: bool) -> Value {
    let text = json!({"type": "string", "pattern": "[0-9]", "description": what});
    match zero {
        true => json!({"anyOf": [text, {"const": 0}]}),
        false => text,
    }
}

fn whole(number: i128) -> Value {
    match u64::try_from(number) {
        Ok(number) => json!(number),
        Err(_) => json!(i64::try_from(number).expect("a table's range fits 64 bits")),
    }
}

fn number(range: Interval) -> Value {
    let mut schema = json!({"type": "number"});
    schema[if range.low_open { "exclusiveMinimum" } else { "minimum" }] = json!(range.low);
    if range.high.is_finite() {
        schema[if range.high_open { "exclusiveMaximum" } else { "maximum" }] = json!(range.high);
    }
    schema
}

/// A default as JSON.
fn value(node: &Node) -> Value {
    match &node.shape {
        Shape::Text { .. } if node.is_null() => Value::Null,
        Shape::Text { text, plain: true } => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text.as_str()))
        }
        Shape::Text { text, .. } => json!(text.as_str()),
        Shape::List(items) => items.iter().map(|i| value(i)).collect(),
        Shape::Map(entries) => {
            Value::Object(entries.iter().map(|e| (e.key.to_string(), value(&e.value))).collect())
        }
    }
}
