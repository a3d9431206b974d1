//! The geometries that nos allows each GPU model.
//!
//! The file format is nos' own: a list of models with their geometries, in an order that matters
//! (pkg/gpu/mig/allowed_geometries.go). The table here is the one that nos' charts deploy; the one in
//! its code (pkg/gpu/mig/known_configs.go) is used by its unit tests alone.

use super::names::Kind;
use crate::diag::Diagnostic;
use crate::yaml::{self, Node, Problem, Shape};
use std::collections::BTreeMap;

/// Slices by profile.
pub type Geometry = BTreeMap<String, i64>;

/// Allowed geometries by model, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables(BTreeMap<String, Vec<Geometry>>);

/// One entry of a file: geometries that several models share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Values of the label `nvidia.com/gpu.product`.
    pub models: Vec<String>,
    /// Geometries, in order.
    pub geometries: Vec<Geometry>,
}

impl Tables {
    /// The table that nos' charts deploy (helm-charts/nos/values.yaml,
    /// config/gpupartitioner/manager/known_mig_geometries.yaml): GPUs begin as `7x1g`.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn deployed() -> Tables {
        Tables::read(include_str!("../../../data/nos-geometries.yaml"), "nos-geometries.yaml")
            .expect("the deployed table is valid")
    }

    /// The table in nos' code (pkg/gpu/mig/known_configs.go), which a deployed nos never uses.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn builtin() -> Tables {
        Tables::read(include_str!("../../../data/nos-builtin-geometries.yaml"), "nos-builtin-geometries.yaml")
            .expect("the table of nos' code is valid")
    }

    /// The table of a file, checked as nos checks it at its start: at least one entry, profiles that
    /// contain `<n>g.<m>gb`, quantities of 1 or more. A model listed twice keeps its last entry.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn read(text: &str, file: &str) -> Result<Tables, Vec<Diagnostic>> {
        let complain = |problems| yaml::diagnostics(problems, text, file);
        let entries = parse(text).map_err(complain)?;
        let mut problems = Vec::new();
        let whole = 0..text.len();
        if entries.is_empty() {
            problems.push(Problem::new("N001", &whole, "the table of geometries has no entry"));
        }
        for (profile, count) in entries.iter().flat_map(|e| &e.geometries).flatten() {
            if Kind::Mig.profile(&Kind::Mig.resource(profile)).is_none() {
                let message = format!("`{profile}` is not a MIG profile");
                problems.push(Problem::new("N002", &whole, message).help("write `1g.5gb`"));
            }
            if *count < 1 {
                let message = format!("a geometry has {count} slices of `{profile}`");
                problems.push(Problem::new("N003", &whole, message).help("write 1 or more"));
            }
        }
        if problems.is_empty() { Ok(Tables::of(&entries)) } else { Err(complain(problems)) }
    }

    /// The table of entries.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Tables {
        let geometries = |e: &Entry| e.geometries.clone();
        let models = entries.iter().flat_map(|e| e.models.iter().map(move |m| (m.clone(), geometries(e))));
        Tables(models.collect())
    }

    /// Geometries of a model.
    #[must_use]
    pub fn get(&self, model: &str) -> Option<&[Geometry]> {
        self.0.get(model).map(Vec::as_slice)
    }

    /// Models by name, with their geometries.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Geometry])> {
        self.0.iter().map(|(model, geometries)| (model.as_str(), geometries.as_slice()))
    }
}

/// The first geometry with the fewest distinct profiles, however many slices it has: what a GPU
/// begins with (pkg/gpu/partitioning.go).
#[must_use]
pub fn fewest_slices(geometries: &[Geometry]) -> Geometry {
    geometries.iter().min_by_key(|g| g.len()).cloned().unwrap_or_default()
}

/// Reads the entries of a file, without the checks of [`Tables::read`].
///
/// # Errors
/// All that is wrong with its form.
pub fn parse(text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut problems = Vec::new();
    let root = yaml::parse(text, &mut problems).map_err(|problem| vec![problem])?;
    let entries = list(&root, "a list of entries", &mut problems);
    let entries = entries.iter().map(|node| entry(node, &mut problems)).collect();
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn entry(node: &Node, problems: &mut Vec<Problem>) -> Entry {
    let items = |key: &str, problems: &mut Vec<Problem>| match node.get(key) {
        Some(entry) => list(&entry.value, &format!("a list at `{key}`"), problems),
        None => {
            problems.push(Problem::new("N004", &node.at, format!("an entry without `{key}`")));
            &[]
        }
    };
    let models = items("models", problems);
    let geometries = items("allowedGeometries", problems);
    let models = models.iter().filter_map(|node| match &node.shape {
        Shape::Text { text, .. } => Some(text.clone()),
        _ => None,
    });
    Entry {
        models: models.collect(),
        geometries: geometries.iter().map(|node| geometry(node, problems)).collect(),
    }
}

fn geometry(node: &Node, problems: &mut Vec<Problem>) -> Geometry {
    let mut geometry = Geometry::new();
    let Some(entries) = node.entries() else {
        problems.push(Problem::new("N005", &node.at, "a geometry is a map from profiles to quantities"));
        return geometry;
    };
    for entry in entries {
        let count = match &entry.value.shape {
            Shape::Text { text, .. } => text.parse().ok(),
            _ => None,
        };
        match count {
            Some(count) => _ = geometry.insert(entry.key.to_string(), count),
            None => problems.push(Problem::new("N006", &entry.value.at, "a quantity is a whole number")),
        }
    }
    geometry
}

fn list<'a>(node: &'a Node, what: &str, problems: &mut Vec<Problem>) -> &'a [std::rc::Rc<Node>] {
    match &node.shape {
        Shape::List(items) => items,
        _ => {
            problems.push(Problem::new("N004", &node.at, format!("{what} is missing")));
            &[]
        }
    }
}
