//! MIG: the host share and the fill of a class from its speeds on slices.
//!
//! S = h + (1−h)·max(1, d ÷ f) has a kink in d wherever d is the f of a measured slice, and is smooth
//! between. So each stretch between kinks is searched by itself, in d, with the best h for each d: no
//! start to choose, no valley to get stuck in.

use super::{Errors, Parameter, nearest_as_good};
use crate::stats::minimum::{Low, least, scan};
use rayon::prelude::*;

/// Cells of the grid over a stretch of d, and over h.
const CELLS: u32 = 16;
/// To which d and h are found. Squares are flat around their least value, so theirs is good to the
/// square of it.
const WIDTH: f64 = 1e-6;
/// Sums of squares so close are the same: measurements have no such digits.
const SAME: f64 = 1e-9;
/// The least d that is looked at: a hundredth of the share of the smallest slice that there is.
const FILL_LEAST: f64 = 1e-3;
/// Where κ may lie when it is fitted. Below 1 a slice gives less than its share; 1.5 is far above
/// what any card has shown.
const KAPPA: (f64, f64) = (0.8, 1.5);

/// Host share and fill of a class, as the models take them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Share of its run time, alone, in which the GPU is not the limit.
    pub host: f64,
    /// Share of the GPU that it can fill while it computes.
    pub fill: f64,
}

impl Shape {
    /// S = h + (1−h)·max(1, d ÷ f) with the share `f` of a GPU.
    fn slowdown(self, share: f64) -> f64 {
        self.host + (1.0 - self.host) * (self.fill / share).max(1.0)
    }
}

/// f(k) = min(1, κ·k/K), and 1 for the full instance.
fn slice_share(slices: u8, of: u8, kappa: f64) -> f64 {
    if slices == of { 1.0 } else { (kappa * f64::from(slices) / f64::from(of)).min(1.0) }
}

/// κ where measurements do not tell.
const KAPPA_DEFAULT: f64 = 1.10;

/// One slice, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Its compute slices.
    pub slices: u8,
    /// Time of a step on it ÷ time on the full instance.
    pub slowdown: f64,
}

/// What was found for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveFit {
    /// Host share and fill. Where measurements leave a choice, the greatest fill, and then the least host
    /// share; where no slice is slower, no host share and a fill of the smallest slice's share.
    pub shape: Shape,
    /// The least fill that fits as well: below that of `shape` where measurements leave a choice.
    pub fill_least: f64,
    /// Error of each measurement, in sample.
    pub errors: Vec<f64>,
    /// Its error when the class is fitted to its other measurements.
    pub left_out: Vec<f64>,
}

/// What was found for all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slices {
    /// Compute that a slice gives beyond its share.
    pub kappa: f64,
    /// A fit for each class, in their order.
    pub curves: Vec<CurveFit>,
    /// In sample, of all classes.
    pub in_sample: Option<Errors>,
    /// A slice left out at a time, with κ held.
    pub left_out: Option<Errors>,
    /// Simpler models in sample: host share alone (fill 1), fill alone (no host share), and speed in
    /// proportion to compute slices.
    pub rivals: [(&'static str, Option<Errors>); 3],
}

/// Fits each class: `classes` are its slices, measured, of a product of `of` compute slices. The full
/// instance is not among them, since every slowdown is against it. About 3 ms a class and slice.
///
/// # Panics
/// If a slowdown is not positive and finite.
#[must_use]
pub fn fit_slices(classes: &[Vec<Measured>], of: u8, kappa: Parameter) -> Slices {
    assert!(
        classes.iter().flatten().all(|m| m.slowdown.is_finite() && 0.0 < m.slowdown),
        "times are positive"
    );
    let kappa = match kappa {
        Parameter::Given(kappa) => kappa,
        Parameter::Fitted => {
            // Coarse in κ, since the squares hardly depend on it; each value costs a fit of all.
            let squares = |kappa: f64| -> f64 {
                let fits = classes.par_iter().map(|class| Curve::new(class, of, kappa).best().squares);
                fits.collect::<Vec<f64>>().iter().sum()
            };
            let mut seen = scan(KAPPA.0, KAPPA.1, 20, 1e-3, squares);
            seen.push(Low { at: KAPPA_DEFAULT, value: squares(KAPPA_DEFAULT) });
            nearest_as_good(&seen, KAPPA_DEFAULT, classes.iter().map(Vec::len).sum())
        }
    };
    let curves: Vec<CurveFit> =
        classes.par_iter().map(|class| Curve::new(class, of, kappa).fit(class, of, kappa)).collect();
    let all = |errors: &dyn Fn(&CurveFit) -> Vec<f64>| {
        Errors::of(&curves.iter().flat_map(errors).collect::<Vec<f64>>())
    };
    let (in_sample, left_out) = (all(&|c| c.errors.clone()), all(&|c| c.left_out.clone()));
    let rival = |predict: &(dyn Fn(&Curve) -> Vec<f64> + Sync)| {
        let errors = classes.iter().flat_map(|class| predict(&Curve::new(class, of, kappa)));
        Errors::of(&errors.collect::<Vec<f64>>())
    };
    let rivals = [
        ("host only (fill 1)", rival(&|curve| curve.errors(curve.with_fill(1.0)))),
        ("fill only (host 0)", rival(&|curve| curve.errors(curve.without_host()))),
        ("speed in proportion to slices", {
            let proportional = |m: &Measured| libm::log(f64::from(m.slices) / f64::from(of) * m.slowdown);
            Errors::of(&classes.iter().flatten().map(proportional).collect::<Vec<f64>>())
        }),
    ];
    Slices { kappa, curves, in_sample, left_out, rivals }
}

/// One class's measurements as the formula takes them: compute available, and ln(slowdown).
#[derive(Clone, Debug)]
struct Curve(Vec<(f64, f64)>);

/// A candidate.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    shape: Shape,
    squares: f64,
    fill_least: f64,
}

impl Curve {
    fn new(measured: &[Measured], of: u8, kappa: f64) -> Curve {
        let point = |m: &Measured| (slice_share(m.slices, of, kappa), libm::log(m.slowdown));
        Curve(measured.iter().map(point).collect())
    }

    fn fit(&self, measured: &[Measured], of: u8, kappa: f64) -> CurveFit {
        let Candidate { shape, fill_least, .. } = self.best();
        let left_out = (0..measured.len()).map(|out| {
            let rest: Vec<Measured> =
                measured.iter().enumerate().filter(|(i, _)| *i != out).map(|(_, m)| *m).collect();
            let unseen = Curve(vec![self.0[out]]);
            unseen.errors(Curve::new(&rest, of, kappa).best().shape)[0]
        });
        CurveFit { shape, fill_least, errors: self.errors(shape), left_out: left_out.collect() }
    }

    /// ln(model ÷ measured) of speeds.
    fn errors(&self, shape: Shape) -> Vec<f64> {
        self.0.iter().map(|(share, measured)| measured - libm::log(shape.slowdown(*share))).collect()
    }

    fn squares(&self, shape: Shape) -> f64 {
        self.0
            .iter()
            .map(|(share, measured)| measured - libm::log(shape.slowdown(*share)))
            .map(|error| error * error)
            .sum()
    }

    /// The best host share for a fill; the least of equal ones.
    fn with_fill(&self, fill: f64) -> Shape {
        Shape { host: least(0.0, 1.0, CELLS, WIDTH, |host| self.squares(Shape { host, fill })).at, fill }
    }

    /// Squares over stretches of fill between kinks, in ascending order of fill.
    fn over_fill(&self, squares: impl Fn(f64) -> f64) -> Vec<Low> {
        let mut kinks: Vec<f64> = self.0.iter().map(|(share, _)| *share).filter(|s| *s < 1.0).collect();
        kinks.extend([FILL_LEAST, 1.0]);
        kinks.sort_by(f64::total_cmp);
        kinks.dedup();
        kinks.windows(2).flat_map(|ends| scan(ends[0], ends[1], CELLS, WIDTH, &squares)).collect()
    }

    /// Of the fits that are as good as the best, the one of the greatest fill; but one that says that no
    /// slice is slower says it by a small fill, not by a class that never computes.
    fn best(&self) -> Candidate {
        let squares = |fill| self.squares(self.with_fill(fill));
        let seen = self.over_fill(squares);
        let least = seen.iter().map(|low| low.value).fold(f64::INFINITY, f64::min);
        let equal = |low: &&Low| low.value <= least + SAME;
        let smallest = self.0.iter().map(|(share, _)| *share).fold(1.0, f64::min);
        let level = Shape { host: 0.0, fill: smallest };
        if self.squares(level) <= least + SAME {
            return Candidate { shape: level, squares: self.squares(level), fill_least: FILL_LEAST };
        }
        let first = seen.iter().position(|low| equal(&low)).expect("there is a lowest");
        let last = seen.iter().rfind(equal).expect("there is a lowest");
        // The end of the stretch below the first point that was seen to fit.
        let mut fill_least = seen[first].at;
        let mut below = if first == 0 { fill_least } else { seen[first - 1].at };
        while WIDTH < fill_least - below {
            let middle = (fill_least + below) / 2.0;
            match squares(middle) <= least + SAME {
                true => fill_least = middle,
                false => below = middle,
            }
        }
        Candidate { shape: self.with_fill(last.at), squares: last.value, fill_least }
    }

    /// The best fill of a class that has no host share.
    fn without_host(&self) -> Shape {
        let seen = self.over_fill(|fill| self.squares(Shape { host: 0.0, fill }));
        let first = *seen.first().expect("there is a lowest");
        let best = seen.into_iter().fold(first, |best, low| if low.value < best.value { low } else { best });
        Shape { host: 0.0, fill: best.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a class of this shape would measure.
    fn measured(shape: Shape, kappa: f64) -> Vec<Measured> {
        let of = |slices| Measured { slices, slowdown: shape.slowdown(slice_share(slices, 7, kappa)) };
        [1, 2, 3, 4].map(of).to_vec()
    }

    proptest! {
        /// What the model made is found again: exactly where two slices or more are slower than the full
        /// instance, and where fewer are, at least their speeds.
        #[test]
        fn parameters_are_found_again(host in 0.0..0.9_f64, fill in 0.05..=1.0_f64) {
            let truth = Shape { host, fill };
            let points = measured(truth, 1.10);
            let fit = fit_slices(std::slice::from_ref(&points), 7, Parameter::Given(1.10));
            prop_assert!(fit.in_sample.expect("four points").rms < 1e-4, "{fit:?}");
            let found = &fit.curves[0];
            // A fill a little above a slice's share says almost nothing by that slice.
            if 0.33 < fill {
                prop_assert!((found.shape.host - host).abs() < 0.01, "{found:?} of {truth:?}");
                prop_assert!((found.shape.fill - fill).abs() < 0.01, "{found:?} of {truth:?}");
            } else {
                let within = found.fill_least - 1e-3 <= fill && fill <= found.shape.fill + 1e-3;
                prop_assert!(within, "{found:?} of {truth:?}");
            }
        }
    }

    #[test]
    fn what_measurements_leave_open_is_said() {
        // No slice is slower: any fill up to the smallest slice's share does.
        let level = Shape { host: 0.3, fill: 0.14 };
        let fit = fit_slices(&[measured(level, 1.10)], 7, Parameter::Given(1.10));
        let found = &fit.curves[0];
        assert!(found.fill_least < 0.01 && (found.shape.fill - 1.1 / 7.0).abs() < 1e-6, "{found:?}");
        assert_eq!(found.shape.host, 0.0);
    }

    #[test]
    fn kappa_is_found_again() {
        let classes = [(0.05, 1.0), (0.45, 0.9), (0.2, 0.8)]
            .map(|(host, fill)| measured(Shape { host, fill }, 1.04))
            .to_vec();
        let fit = fit_slices(&classes, 7, Parameter::Fitted);
        // With d free, κ and d are told apart only by slices whose κ·k/7 is cut off at 1, and by d ≤ 1.
        assert!(fit.in_sample.expect("points").rms < 1e-3, "{fit:?}");
        assert!((fit.kappa - 1.04).abs() < 0.05, "{}", fit.kappa);
    }

    #[test]
    fn rivals_are_no_better_than_the_model() {
        let classes = [(0.3, 0.9), (0.5, 0.5)]
            .map(|(host, fill)| {
                let mut points = measured(Shape { host, fill }, 1.10);
                points[1].slowdown *= 1.1;
                points[2].slowdown *= 0.95;
                points
            })
            .to_vec();
        let fit = fit_slices(&classes, 7, Parameter::Given(1.10));
        let model = fit.in_sample.expect("points").rms;
        assert!(model < fit.left_out.expect("points").rms);
        for (name, rival) in fit.rivals {
            assert!(model <= rival.expect("points").rms, "{name}");
        }
    }
}
