//! Measured step times to parameters of the sharing models.
//!
//! [`fit`] sorts what [`crate::trace::steps`] read into what each model can be fitted to, has
//! [`crate::perf::fit`] fit it, and keeps every measurement beside what the models say of it. [`text`],
//! [`json`], [`csv()`], [`yaml`], [`residuals_csv`] and [`pictures`] show it.

mod show;

pub use show::{csv, json, pictures, residuals_csv, text, yaml};

use crate::perf::fit::{Beside, CurveFit, Errors, Law, Measured, Parameter, fit_neighbours, fit_slices};
use crate::stats::sample::mean;
use crate::trace::steps::{Mode, Step};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Compute slices of the full instance.
    pub full: u8,
    /// Smaller slices of different size that a class must have: three, or as many as the product has.
    pub needed: usize,
    /// κ of MIG.
    pub kappa: Parameter,
    /// α of MPS.
    pub alpha: Parameter,
    /// ε of time-slicing.
    pub epsilon: Parameter,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fit {
    /// Files that were read, with their hashes.
    pub files: Vec<Source>,
    /// Compute slices of the full instance.
    pub full: u8,
    /// What was fitted apart, in order of name: one part without a name where nothing was.
    pub parts: Vec<Part>,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name, `-` for standard input.
    pub name: String,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Measurements in it.
    pub measurements: usize,
    /// Rows in which nothing could be measured.
    pub empty: u64,
}

/// What was fitted together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// The value that it is fitted apart by; empty where nothing is.
    pub by: String,
    /// Speed on MIG slices.
    pub mig: Option<Mig>,
    /// Slowdown by neighbours, MPS before time-slicing.
    pub shared: Vec<Shared>,
    /// Classes that could not be fitted, and why.
    pub passed_over: Vec<PassedOver>,
}

/// A class that was not fitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PassedOver {
    /// The model.
    #[serde(serialize_with = "word")]
    pub mode: Mode,
    /// The class, with its slice where it shared one.
    pub class: String,
    /// Why.
    pub why: String,
}

/// The MIG model, fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mig {
    /// κ.
    pub kappa: f64,
    /// Whether it was fitted too.
    pub kappa_fitted: bool,
    /// Classes in order of name.
    pub classes: Vec<MigClass>,
    /// Errors of all measurements.
    pub in_sample: Option<Errors>,
    /// Of each slice by a fit to the class's others.
    pub left_out: Option<Errors>,
    /// Simpler models, in sample.
    pub rivals: Vec<Rival>,
}

/// A model that the fitted one is compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rival {
    /// What it is.
    pub name: &'static str,
    /// Its errors.
    #[serde(flatten)]
    pub errors: Errors,
}

/// A class under MIG.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MigClass {
    /// Its name.
    pub class: String,
    /// Share of its time in which the GPU is not the limit.
    pub host: f64,
    /// Share of the GPU that it can fill while it computes.
    pub fill: f64,
    /// The least fill that fits as well: below `fill` where measurements leave a choice.
    pub fill_least: f64,
    /// Seconds of a step on the full instance.
    pub step_s: f64,
    /// Its slices.
    pub points: Vec<Point>,
}

/// A sharing model, fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shared {
    /// MPS or time-slicing.
    #[serde(serialize_with = "word")]
    pub mode: Mode,
    /// α or ε.
    pub shared: f64,
    /// Whether it was fitted too.
    pub shared_fitted: bool,
    /// Classes in order of name and slice.
    pub classes: Vec<SharedClass>,
    /// Measurements, in order of class, slice and company.
    pub points: Vec<Point>,
    /// Errors of all.
    pub in_sample: Option<Errors>,
    /// Of each company by a fit without it.
    pub left_out: Option<Errors>,
    /// Other models, in sample.
    pub rivals: Vec<Rival>,
}

/// A class beside neighbours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharedClass {
    /// Its name.
    pub class: String,
    /// The slice that was shared; empty of a whole GPU.
    pub slice: String,
    /// Under MPS its mean share of the GPU, under time-slicing the share of its time in which it wants it.
    pub demand: f64,
    /// Seconds of a step alone, if it was timed.
    pub step_s: Option<f64>,
}

/// A measurement and what models say of it; speeds are against being alone on all of the GPU or slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What ran.
    pub class: String,
    /// On which slice, as the file has it.
    pub slice: String,
    /// Compute slices of it; 0 without.
    pub slices: u8,
    /// Beside what.
    pub neighbours: Vec<String>,
    /// Measured speed.
    pub measured: f64,
    /// By the fitted model.
    pub modelled: f64,
    /// By a model that did not see it.
    pub unseen: Option<f64>,
}

impl Point {
    fn new(error: f64, unseen: Option<f64>, measured: f64) -> Point {
        Point {
            class: String::new(),
            slice: String::new(),
            slices: 0,
            neighbours: Vec::new(),
            measured,
            modelled: measured * libm::exp(error),
            unseen: unseen.map(|error| measured * libm::exp(error)),
        }
    }

    /// ln(model ÷ measured) of the fitted model.
    #[must_use]
    pub fn error(&self) -> f64 {
        libm::log(self.modelled / self.measured)
    }

    /// The same of the model that did not see it.
    #[must_use]
    pub fn unseen_error(&self) -> Option<f64> {
        self.unseen.map(|unseen| libm::log(unseen / self.measured))
    }
}

fn word<S: serde::Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(mode.word())
}

/// Fits every model that the measurements say something of.
#[must_use]
pub fn fit(steps: &[Step], options: &Options) -> Fit {
    let names: BTreeSet<&str> = steps.iter().map(|step| step.by.as_str()).collect();
    let part = |by: &str| {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.by == by).collect();
        let mut part = Part { by: by.to_owned(), ..Part::default() };
        part.mig = mig(&steps, options, &mut part.passed_over);
        for mode in [Mode::Mps, Mode::TimeSlicing] {
            part.shared.extend(shared(&steps, mode, options, &mut part.passed_over));
        }
        part
    };
    Fit { full: options.full, parts: names.into_iter().map(part).collect(), ..Fit::default() }
}

/// Mean times by what they are of.
fn times<K: Ord>(steps: impl Iterator<Item = (K, f64)>) -> BTreeMap<K, f64> {
    let mut all: BTreeMap<K, Vec<f64>> = BTreeMap::new();
    for (key, seconds) in steps {
        all.entry(key).or_default().push(seconds);
    }
    all.into_iter().map(|(key, times)| (key, mean(&times).expect("one at least"))).collect()
}

/// Times on a whole GPU that nobody shares, by class.
fn whole<'s>(steps: &[&'s Step]) -> BTreeMap<&'s str, f64> {
    times(steps.iter().filter(|s| s.mode == Mode::Whole).map(|s| (s.class.as_str(), s.seconds)))
}

/// A class's time on the full instance, and its smaller slices by name.
struct OnSlices<'s> {
    class: &'s str,
    step_s: f64,
    slices: Vec<(&'s str, Measured)>,
}

fn mig(steps: &[&Step], options: &Options, passed_over: &mut Vec<PassedOver>) -> Option<Mig> {
    let on_slices = steps.iter().filter(|step| step.mode == Mode::Mig);
    let by_slice = times(on_slices.map(|s| ((s.class.as_str(), s.slices, s.slice.as_str()), s.seconds)));
    let whole = whole(steps);
    let classes: BTreeSet<&str> = by_slice.keys().map(|(class, ..)| *class).collect();
    let mut found: Vec<OnSlices<'_>> = Vec::new();
    for class in classes {
        let of_class = || by_slice.iter().filter(|((c, ..), _)| *c == class);
        let full: Vec<f64> =
            of_class().filter(|((_, k, _), _)| *k == options.full).map(|(_, t)| *t).collect();
        let mut pass =
            |why: String| passed_over.push(PassedOver { mode: Mode::Mig, class: class.to_owned(), why });
        let Some(full) = mean(&full).or_else(|| whole.get(class).copied()) else {
            pass(format!("no time on the full instance, {}g, or a whole GPU", options.full));
            continue;
        };
        let slices: Vec<(&str, Measured)> = of_class()
            .filter(|((_, k, _), _)| *k < options.full)
            .map(|((_, k, slice), time)| (*slice, Measured { slices: *k, slowdown: time / full }))
            .collect();
        let sizes: BTreeSet<u8> = slices.iter().map(|(_, measured)| measured.slices).collect();
        match sizes.len() {
            enough if options.needed <= enough => found.push(OnSlices { class, step_s: full, slices }),
            few => pass(format!("times on {few} smaller slices, and two parameters need {}", options.needed)),
        }
    }
    if found.is_empty() {
        return None;
    }
    let measured: Vec<Vec<Measured>> =
        found.iter().map(|class| class.slices.iter().map(|(_, measured)| *measured).collect()).collect();
    let fit = fit_slices(&measured, options.full, options.kappa);
    let class = |(of, curve): (&OnSlices<'_>, &CurveFit)| MigClass {
        class: of.class.to_owned(),
        host: curve.shape.host,
        fill: curve.shape.fill,
        fill_least: curve.fill_least,
        step_s: of.step_s,
        points: of
            .slices
            .iter()
            .zip(curve.errors.iter().zip(&curve.left_out))
            .map(|((slice, measured), (error, unseen))| Point {
                class: of.class.to_owned(),
                slice: (*slice).to_owned(),
                slices: measured.slices,
                ..Point::new(*error, Some(*unseen), 1.0 / measured.slowdown)
            })
            .collect(),
    };
    Some(Mig {
        kappa: fit.kappa,
        kappa_fitted: options.kappa == Parameter::Fitted,
        classes: found.iter().zip(&fit.curves).map(class).collect(),
        in_sample: fit.in_sample,
        left_out: fit.left_out,
        rivals: fit.rivals.into_iter().filter_map(|(name, e)| Some(Rival { name, errors: e? })).collect(),
    })
}

fn shared(
    steps: &[&Step],
    mode: Mode,
    options: &Options,
    passed_over: &mut Vec<PassedOver>,
) -> Option<Shared> {
    type Company<'s> = (&'s str, &'s str, &'s [String]);
    let of_mode = steps.iter().filter(|step| step.mode == mode);
    let by_company: BTreeMap<Company<'_>, f64> =
        times(of_mode.map(|s| ((s.class.as_str(), s.slice.as_str(), s.neighbours.as_slice()), s.seconds)));
    let whole = whole(steps);
    let alone = |class: &str, slice: &str| {
        let here = by_company.get(&(class, slice, &[][..])).copied();
        here.or_else(|| slice.is_empty().then(|| whole.get(class).copied()).flatten())
    };
    // Numbers for classes: those that a measurement names, on each slice.
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let together = || by_company.iter().filter(|((.., neighbours), _)| !neighbours.is_empty());
    let mut without: BTreeSet<(&str, &str)> = BTreeSet::new();
    for ((class, slice, neighbours), _) in together() {
        if alone(class, slice).is_none() {
            without.insert((*class, *slice));
            continue;
        }
        numbers.insert((*class, *slice), 0);
        numbers.extend(neighbours.iter().map(|n| ((n.as_str(), *slice), 0)));
    }
    passed_over.extend(without.into_iter().map(|(class, slice)| PassedOver {
        mode,
        class: if slice.is_empty() { class.to_owned() } else { format!("{class} on {slice}") },
        why: "no time alone".to_owned(),
    }));
    for (number, at) in numbers.values_mut().enumerate() {
        *at = number;
    }
    let mut measured = Vec::new();
    let mut points = Vec::new();
    for ((class, slice, neighbours), time) in together() {
        let Some(alone) = alone(class, slice) else { continue };
        let number = |name: &str| numbers[&(name, *slice)];
        let slowdown = time / alone;
        let neighbours_numbers = neighbours.iter().map(|n| number(n)).collect();
        measured.push(Beside { class: number(class), neighbours: neighbours_numbers, slowdown });
        points.push(Point {
            class: (*class).to_owned(),
            slice: (*slice).to_owned(),
            neighbours: neighbours.to_vec(),
            ..Point::new(0.0, None, 1.0 / slowdown)
        });
    }
    if measured.is_empty() {
        return None;
    }
    let law = match mode {
        Mode::Mps => Law::Mps { alpha: options.alpha, capacity: 1.0 },
        _ => Law::TimeSlicing { epsilon: options.epsilon },
    };
    let fit = fit_neighbours(numbers.len(), &measured, law);
    for (point, (error, unseen)) in points.iter_mut().zip(fit.errors.iter().zip(&fit.left_out)) {
        let Point { modelled, unseen, .. } = Point::new(*error, *unseen, point.measured);
        (point.modelled, point.unseen) = (modelled, unseen);
    }
    let class = |((class, slice), number): (&(&str, &str), &usize)| SharedClass {
        class: (*class).to_owned(),
        slice: (*slice).to_owned(),
        demand: fit.demands[*number].expect("a measurement names it"),
        step_s: alone(class, slice),
    };
    Some(Shared {
        mode,
        shared: fit.shared,
        shared_fitted: fit.shared_fitted,
        classes: numbers.iter().map(class).collect(),
        points,
        in_sample: fit.in_sample,
        left_out: fit.unseen,
        rivals: fit.rivals.into_iter().map(|(name, errors)| Rival { name, errors }).collect(),
    })
}

#[cfg(test)]
mod tests;
