//! The document of `summary.json`: what was run and every figure, for programs.

use super::Page;
use super::table::replications;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the document's shape: raised when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// What was run and every figure of every variant.
///
/// # Panics
/// Never: a summary is a tree of plain values.
#[must_use]
pub fn summary(page: &Page) -> Value {
    let traces = page.trace_hashes.iter().map(|(name, hash)| json!({ "name": name, "sha256": hash }));
    let variants = page.variants.iter().map(|v| {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), json!(v.name));
        entry.insert("what".to_owned(), json!(v.what));
        if !v.compared.is_empty() {
            entry.insert("measured".to_owned(), tree(&v.compared));
        }
        if !v.models.is_empty() {
            entry.insert("models".to_owned(), json!(v.models));
        }
        entry.insert("notes".to_owned(), json!(v.notes));
        entry.insert("summary".to_owned(), tree(&v.summary));
        let held = v.services().filter_map(|class| Some((class.to_owned(), json!(v.holds(class)?))));
        let held: Map<String, Value> = held.collect();
        if !held.is_empty() {
            entry.insert("targets".to_owned(), Value::Object(held));
        }
        entry.extend(replications(v).map(|of| ("replications".to_owned(), tree(&of))));
        Value::Object(entry)
    });
    json!({
        "schema": SCHEMA,
        "title": page.title,
        "question": page.question,
        "command": page.command,
        "seed": page.seed,
        "version": page.version,
        "partial": page.partial,
        "traces": traces.collect::<Vec<_>>(),
        "limits": page.limits,
        "variants": variants.collect::<Vec<_>>(),
    })
}

fn tree(value: &impl Serialize) -> Value {
    let mut tree = serde_json::to_value(value).expect("plain values serialize");
    normalize(&mut tree);
    tree
}

/// Makes `-0.0` read `0.0`; what is not finite is `null` already.
fn normalize(value: &mut Value) {
    match value {
        Value::Number(n) if n.as_f64() == Some(0.0) && n.is_f64() => *value = json!(0.0),
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(fields) => fields.values_mut().for_each(normalize),
        _ => {}
    }
}
