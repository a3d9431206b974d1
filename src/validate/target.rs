//! What is asked for: slices on one GPU, with places or without.

use crate::gpu::{Layout, Product};
use serde::Deserialize;

/// Slices that one GPU should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it comes from: `command line`, a group of a scenario, a GPU of a plan, a variant of a run.
    pub origin: String,
    /// The product that it is for; on any, where none is named.
    pub product: Option<String>,
    /// Slices as [`Layout::place`] reads them: `3g.20gb@4`, or `1g` where any place will do.
    pub slices: Vec<String>,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No slice in it.
    #[error("no slice is named")]
    Empty,
    /// A count that is none, or without a slice before it.
    #[error("`{0}` is no count of the slice before it")]
    Count(String),
}

/// What `slicewise plan -o json` prints, as far as layouts go.
#[derive(Deserialize)]
struct Planned {
    gpus: Vec<PlannedGpu>,
}

#[derive(Deserialize)]
struct PlannedGpu {
    node: String,
    gpu: u32,
    product: String,
    kind: String,
    slices: Vec<String>,
}

/// What a run leaves in `layouts.json`.
#[derive(Deserialize)]
struct Layouts {
    layouts_version: u32,
    variants: Vec<OfVariant>,
}

#[derive(Deserialize)]
struct OfVariant {
    variant: String,
    layouts: Vec<OfGpu>,
}

#[derive(Deserialize)]
struct OfGpu {
    product: String,
    slices: Vec<String>,
}

impl Target {
    /// The distinct MIG layouts of a plan, as `slicewise plan -o json` prints it.
    ///
    /// # Errors
    /// Where and why the text is no such plan.
    pub fn of_plan(text: &str) -> Result<Vec<Target>, serde_json::Error> {
        let plan: Planned = serde_json::from_str(text)?;
        let mig = plan.gpus.into_iter().filter(|gpu| gpu.kind == "mig");
        Ok(distinct(mig.map(|gpu| Target {
            origin: format!("plan: {}, GPU {}", gpu.node, gpu.gpu),
            product: Some(gpu.product),
            slices: gpu.slices,
        })))
    }

    /// The distinct MIG layouts that a run went through, from its `layouts.json`.
    ///
    /// # Errors
    /// Where and why the text is no such file.
    pub fn of_run(text: &str) -> Result<Vec<Target>, serde_json::Error> {
        let of: Layouts = serde_json::from_str(text)?;
        if of.layouts_version != 1 {
            let message = format!("layouts of version {}, and this program reads 1", of.layouts_version);
            return Err(serde::de::Error::custom(message));
        }
        let targets = of.variants.into_iter().flat_map(|of| {
            of.layouts.into_iter().map(move |gpu| Target {
                origin: format!("run: {}", of.variant),
                product: Some(gpu.product),
                slices: gpu.slices,
            })
        });
        Ok(distinct(targets))
    }

    /// Reads slices as people write them: `3g@4 1g 1g`, `3g, 1g x4`, `3g + 1g*4`.
    ///
    /// # Errors
    /// The first word that cannot be.
    pub fn parse(text: &str, origin: &str, product: Option<&str>) -> Result<Target, TargetError> {
        let mut slices: Vec<String> = Vec::new();
        // A `+` alone or before a blank joins slices; inside a word it belongs to a profile, `1g+me`.
        let spaced = text.replace(" + ", " ").replace("+ ", " ").replace(['*', '×'], " x");
        for word in spaced.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
            let count = word.strip_prefix(['x', 'X']);
            match count {
                None => slices.push(word.to_owned()),
                Some(count) => {
                    let wrong = || TargetError::Count(word.to_owned());
                    let count: usize =
                        count.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(wrong)?;
                    let last = slices.last().cloned().ok_or_else(wrong)?;
                    slices.extend(std::iter::repeat_n(last, count - 1));
                }
            }
        }
        if slices.is_empty() {
            return Err(TargetError::Empty);
        }
        Ok(Target { origin: origin.to_owned(), product: product.map(str::to_owned), slices })
    }

    /// As it was written, more or less.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut rest = self.slices.as_slice();
        while let Some(first) = rest.first() {
            let many = rest.iter().take_while(|s| *s == first).count();
            let comma = if text.is_empty() { "" } else { " " };
            let times = if many == 1 { String::new() } else { format!(" x{many}") };
            text += &format!("{comma}{first}{times}");
            rest = &rest[many..];
        }
        text
    }

    /// Whether every slice has its place.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        self.slices.iter().all(|s| s.contains('@'))
    }

    /// Whether some slice has its place.
    pub(super) fn has_places(&self) -> bool {
        self.slices.iter().any(|s| s.contains('@'))
    }

    /// A layout of it, whatever stands.
    pub(super) fn place(&self, product: &Product) -> Result<Layout, crate::gpu::LayoutError> {
        Layout::place(product, &self.slices)
    }
}

/// Each product's slices once, by the first that asks; nothing asks for nothing.
fn distinct(targets: impl Iterator<Item = Target>) -> Vec<Target> {
    let mut distinct: Vec<Target> = Vec::new();
    for target in targets.filter(|target| !target.slices.is_empty()) {
        if !distinct.iter().any(|known| (&known.product, &known.slices) == (&target.product, &target.slices))
        {
            distinct.push(target);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_runs_ask_for_each_layout_once() {
        let gpu = |gpu: u32, kind: &str, slices: &str| {
            format!(
                r#"{{"node": "n", "gpu": {gpu}, "product": "a100-40gb", "kind": "{kind}", "slices": {slices}}}"#
            )
        };
        let cut = r#"["3g.20gb@4", "1g.5gb@0"]"#;
        let gpus =
            [gpu(0, "mig", cut), gpu(1, "mig", "[]"), gpu(2, "mig", cut), gpu(3, "mps", r#"["10gb"]"#)];
        let plan = format!(r#"{{"planner": "nos", "gpus": [{}]}}"#, gpus.join(","));
        let targets = Target::of_plan(&plan).expect("a plan");
        assert_eq!(targets.len(), 1);
        assert_eq!(
            (targets[0].origin.as_str(), targets[0].describe().as_str()),
            ("plan: n, GPU 0", "3g.20gb@4 1g.5gb@0")
        );
        let layout = format!(r#"{{"product": "a100-40gb", "slices": {cut}, "times": 3}}"#);
        let variant = |name: &str| format!(r#"{{"variant": "{name}", "layouts": [{layout}]}}"#);
        let run = |version: u32| {
            format!(r#"{{"layouts_version": {version}, "variants": [{}, {}]}}"#, variant("a"), variant("b"))
        };
        let targets = Target::of_run(&run(1)).expect("layouts of a run");
        assert_eq!((targets.len(), targets[0].origin.as_str()), (1, "run: a"));
        assert!(Target::of_run(&run(2)).is_err());
        assert!(Target::of_plan("{}").is_err());
    }

    #[test]
    fn people_write_slices_in_many_ways() {
        for (text, slices, described) in [
            ("3g@4 1g@0", "3g@4 1g@0", "3g@4 1g@0"),
            ("3g, 1g x4", "3g 1g 1g 1g 1g", "3g 1g x4"),
            ("3g.20gb + 1g.5gb*2", "3g.20gb 1g.5gb 1g.5gb", "3g.20gb 1g.5gb x2"),
            ("1g.5gb+me 1g", "1g.5gb+me 1g", "1g.5gb+me 1g"),
            ("1g x1", "1g", "1g"),
        ] {
            let target = Target::parse(text, "here", None).expect(text);
            assert_eq!(target.slices.join(" "), slices, "{text}");
            assert_eq!(target.describe(), described, "{text}");
        }
        for text in ["", " , ", "x4", "1g x0", "1g x999", "1g xx"] {
            assert!(Target::parse(text, "here", None).is_err(), "{text}");
        }
    }
}
