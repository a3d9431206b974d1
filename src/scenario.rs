//! What to run: one YAML file, raw as written and resolved.
pub mod resolved;
