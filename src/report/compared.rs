//! Steps that somebody timed on real GPUs, beside the model's, of all variants.

use super::human::{NONE, count};
use crate::metrics::{Compared, VariantResult};

/// What the columns are.
pub(super) const HEADS: [&str; 7] = ["variant", "class", "pods", "slowdown", "model", "measured", "error"];

/// One comparison, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Name of the variant.
    pub(super) variant: String,
    /// The class, or all.
    pub(super) class: String,
    /// Pods, slowdown, step by the model, step measured, error.
    pub(super) figures: [String; 5],
}

/// A row for each timed step of each variant.
pub(super) fn rows(variants: &[VariantResult]) -> Vec<Row> {
    let row = |variant: &VariantResult, c: &Compared| Row {
        variant: variant.name.clone(),
        class: c.class.clone().unwrap_or_else(|| "all".to_owned()),
        figures: [
            count(c.pods),
            c.slowdown.map_or_else(|| NONE.to_owned(), |slowdown| format!("{}x", digits(slowdown))),
            c.modelled_s.map_or_else(|| NONE.to_owned(), step),
            step(c.measured_s),
            c.error.map_or_else(|| NONE.to_owned(), signed),
        ],
    };
    variants.iter().flat_map(|v| v.compared.iter().map(move |c| row(v, c))).collect()
}

/// Who measured, each once, in order.
pub(super) fn sources(variants: &[VariantResult]) -> Vec<&str> {
    let mut sources: Vec<&str> = Vec::new();
    for source in variants.iter().flat_map(|v| &v.compared).map(|c| c.source.as_str()) {
        if !source.is_empty() && !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// Four digits or so: what a person times.
fn digits(value: f64) -> String {
    let places = (3 - libm::floor(libm::log10(value.max(1e-9))) as i32).clamp(0, 9);
    format!("{value:.*}", places as usize)
}

/// A step in the unit that suits it.
fn step(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{}{unit}", digits(value))
}

/// `+0.2%`, `-8.2%`.
fn signed(error: f64) -> String {
    let percent = libm::round(error * 1_000.0) / 10.0;
    // No sign for what rounds to nothing.
    if percent == 0.0 { "0.0%".to_owned() } else { format!("{percent:+.1}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_of_a_measurement() {
        assert_eq!([1.0, 3.33, 7.77, 12.345].map(digits), ["1.000", "3.330", "7.770", "12.35"]);
        assert_eq!([0.08815, 0.314_14, 2.5, 3.2e-5].map(step), ["88.15ms", "314.1ms", "2.500s", "32.00us"]);
        assert_eq!([0.0016, -0.0824, 0.000_04, -0.0003].map(signed), ["+0.2%", "-8.2%", "0.0%", "0.0%"]);
    }
}
