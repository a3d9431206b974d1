//! What to run: one YAML file, as written and resolved.
//!
//! [`load`] reads a scenario and gives its variants, each complete: defaults filled in, overlays
//! laid, variables substituted, names looked up. Whatever is wrong with the text is said at once,
//! each at its place; past this border nobody checks again and nobody sees an `Option` that means
//! "the default". [`resolved_yaml`] writes the result as a scenario that loads to the same values,
//! and [`schema`] describes scenarios to editors.
//!
//! The keys stand in one place, `table`; `lower` makes values from them and checks what tables
//! cannot say.

mod kube_config;
mod lower;
pub mod resolved;
mod table;
mod variables;

#[cfg(test)]
mod tests;

use crate::diag::{Diagnostic, any_error};
use crate::gpu::{Catalogue, ProductSpec};
use crate::partition::spec::{Geometries, PartitionerSpec};
use crate::perf::service::Arrivals;
use crate::sched::spec::{ApiLimits, KubeSettings};
use crate::yaml;
use lower::Context;
use resolved::{Scenario, ScenarioFile};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a scenario may refer to outside its text.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Names of scores.
    pub scores: &'a [&'a str],
    /// GPUs and what they can be cut into: those inside the program and `gpus`.
    pub catalogue: &'a Catalogue,
    /// Rows that were laid over the catalogue from elsewhere; a resolved scenario holds them too.
    pub gpus: &'a [ProductSpec],
    /// Values of `${NAME}` in the paths of files.
    pub variables: &'a BTreeMap<String, String>,
}

impl<'a> Known<'a> {
    /// The built-in scores and GPUs.
    #[must_use]
    pub fn builtin(scores: &'a [&'a str], variables: &'a BTreeMap<String, String>) -> Known<'a> {
        Known { scores, catalogue: Catalogue::builtin(), gpus: &[], variables }
    }
}

/// Reads a scenario. `file_name` is what complaints call it. With the variants come warnings.
///
/// # Errors
/// All complaints about the text, in order of place.
pub fn load(
    text: &str,
    file_name: &str,
    known: &Known<'_>,
) -> Result<(ScenarioFile, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut context = Context::new(known);
    let file = match yaml::parse(text, &mut context.problems) {
        Ok(root) => lower::file(&root, &mut context),
        Err(problem) => {
            context.problems.push(problem);
            None
        }
    };
    let diagnostics = yaml::diagnostics(context.problems, text, file_name);
    if any_error(&diagnostics) {
        return Err(diagnostics);
    }
    Ok((file.expect("what is not made is complained about"), diagnostics))
}

/// Reads a KubeSchedulerConfiguration: the settings of its profile, or of that of a `schedulerName`; and
/// the limits of its API client, if it says any.
///
/// # Errors
/// All complaints about the text, in order of place; also about what is not modelled.
pub fn kube_settings(
    text: &str,
    file_name: &str,
    profile: Option<&str>,
) -> Result<(KubeSettings, Option<ApiLimits>), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let settings = match yaml::parse(text, &mut problems) {
        Ok(root) => Some(kube_config::read(&root, profile, &mut problems)),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let diagnostics = yaml::diagnostics(problems, text, file_name);
    settings.filter(|_| !any_error(&diagnostics)).ok_or(diagnostics)
}

/// Reads a file of GPUs: rows for [`Known::gpus`], and `base` with them for [`Known::catalogue`].
///
/// # Errors
/// All complaints about the text, in order of place.
pub fn load_gpus(
    text: &str,
    file_name: &str,
    base: &Catalogue,
) -> Result<(Vec<ProductSpec>, Catalogue), Vec<Diagnostic>> {
    let known = Known { scores: &[], catalogue: base, gpus: &[], variables: &BTreeMap::new() };
    let mut context = Context::new(&known);
    let made = match yaml::parse(text, &mut context.problems) {
        Ok(root) => lower::gpus(&root, &mut context),
        Err(problem) => {
            context.problems.push(problem);
            None
        }
    };
    let diagnostics = yaml::diagnostics(context.problems, text, file_name);
    if any_error(&diagnostics) {
        Err(diagnostics)
    } else {
        Ok(made.expect("what is not made is complained about"))
    }
}

/// The resolved scenario as YAML: every variant stands alone, with every default written out.
/// [`load`] gives the same values back, and writing those gives the same text.
#[must_use]
pub fn resolved_yaml(file: &ScenarioFile) -> String {
    let variants: Vec<Value> = file.variants.iter().map(variant).collect();
    let mut root = json!({"name": file.name});
    if !file.description.is_empty() {
        root["description"] = json!(file.description);
    }
    root["variants"] = json!(variants);
    yaml::emit(&root)
}

/// A variant as it is written when nothing is inherited.
fn variant(scenario: &Scenario) -> Value {
    let mut scenario = scenario.clone();
    for source in &mut scenario.workload.traces {
        source.file = variables::escape(&source.file);
    }
    for list in &mut scenario.cluster.node_lists {
        list.file = variables::escape(&list.file);
    }
    for service in scenario.models.services.values_mut() {
        if let Arrivals::Trace(trace) = &mut service.arrivals {
            trace.file = variables::escape(&trace.file);
        }
    }
    if let PartitionerSpec::Nos(nos) = &mut scenario.partitioner
        && let Geometries::File { file, .. } = &mut nos.geometries
    {
        *file = variables::escape(file);
    }
    let mut value = json!({"name": scenario.name, "base": "none"});
    let Value::Object(keys) = json!(scenario) else { unreachable!("a scenario is a mapping") };
    value.as_object_mut().expect("a mapping").extend(keys);
    value
}

/// JSON Schema of scenarios, for editors.
#[must_use]
pub fn schema() -> Value {
    yaml::schema(&table::FILE)
}
