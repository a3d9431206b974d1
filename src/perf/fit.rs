//! From measured slowdowns to parameters of the models: least squares on ln(speed).
//!
//! Values in, values out; who reads the measurements and shows the result stands above. An error is
//! ln(model ÷ measured), of speeds: 0.05 is a model 5 % too fast. *In sample* errors are of the fit to
//! all measurements; a *left out* error is of a measurement that the fit did not see, which says more of
//! what the model is worth for a slice or a neighbour that nobody measured.

mod neighbours;
mod slices;

pub use neighbours::{Beside, Law, Neighbours, fit_neighbours};
pub use slices::{CurveFit, Measured, Shape, Slices, fit_slices};

use crate::stats::minimum::Low;
use crate::stats::sample::quantile;
use serde::Serialize;

/// A parameter that all classes share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parameter {
    /// It is this.
    Given(f64),
    /// It is fitted along.
    Fitted,
}

/// Steps are not timed better than this: fits whose RMS errors differ by less are as good as each other.
const SAME_RMS: f64 = 0.002;

/// Of the values of a parameter that fit `points` measurements as well as the best of those `seen` (with
/// their sums of squares), the one nearest to its default. Parameters trade off: ε against `t` where many
/// copies ran, κ against `d` where no class fills a GPU.
fn nearest_as_good(seen: &[Low], default: f64, points: usize) -> f64 {
    let rms = |squares: f64| libm::sqrt(squares / points.max(1) as f64);
    let best = seen.iter().map(|low| rms(low.value)).fold(f64::INFINITY, f64::min);
    let as_good = seen.iter().filter(|low| rms(low.value) <= best + SAME_RMS);
    let off = |low: &&Low| (low.at - default).abs();
    as_good.min_by(|a, b| off(a).total_cmp(&off(b))).map_or(default, |low| low.at)
}

/// How far a model is from measurements, as sizes of ln(model ÷ measured).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// How many measurements.
    pub points: usize,
    /// Root of the mean square.
    pub rms: f64,
    /// Median of the sizes.
    pub median: f64,
    /// 95th percentile of the sizes, nearest rank.
    pub p95: f64,
}

impl Errors {
    /// Of these errors; `None` of none.
    #[must_use]
    pub fn of(errors: &[f64]) -> Option<Errors> {
        let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let (median, p95) = (quantile(&sizes, 500)?, quantile(&sizes, 950)?);
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        let rms = libm::sqrt(squares / errors.len() as f64);
        Some(Errors { points: errors.len(), rms, median, p95 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sizes() {
        let errors = Errors::of(&[0.3, -0.4, 0.0, 0.0]).expect("four");
        assert_eq!((errors.points, errors.median, errors.p95), (4, 0.0, 0.4));
        assert!((errors.rms - 0.25).abs() < 1e-15);
        assert_eq!(Errors::of(&[]), None);
    }
}
