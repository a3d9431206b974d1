//! MPS and time-slicing: what each class asks of the GPU, from its slowdown beside neighbours.
//!
//! Each class has one number: under MPS `u`, its mean share of the GPU; under time-slicing `t`, the
//! share of its time in which it wants the GPU. All classes share one more, α or ε. The numbers of
//! classes are searched one after the other, each exactly with the others held, until none moves. Where
//! only copies of a class were run beside each other that is exact at once; with mixed company it is a
//! descent from what copies say.

use super::{Errors, Parameter, nearest_as_good};
use crate::perf::{Mps, TimeSlicing, slicing};
use crate::stats::minimum::{Low, least, scan};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Cells of the grid over a class's number.
const CELLS: u32 = 32;
/// To which it is found.
const WIDTH: f64 = 1e-6;
/// A class that asks for nothing would be none.
const DEMAND_LEAST: f64 = 1e-3;
/// A round in which no number moves by more ends the descent.
const STILL: f64 = 1e-5;
/// Rounds at most. Descents seen need under ten; a number that still moves then moves by little.
const ROUNDS: usize = 40;
/// Where α and ε may lie when they are fitted: no loss, to one that doubles what two do.
const SHARED: (f64, f64) = (0.0, 1.0);

/// One measurement: a class beside neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// The class, by number.
    pub class: usize,
    /// The classes beside it, itself again where copies ran.
    pub neighbours: Vec<usize>,
    /// Time of a step ÷ time alone.
    pub slowdown: f64,
}

impl Beside {
    /// All that ran, in order of number.
    fn company(&self) -> Vec<usize> {
        let mut all = self.neighbours.clone();
        all.push(self.class);
        all.sort_unstable();
        all
    }

    fn is_copies(&self) -> bool {
        self.neighbours.iter().all(|n| *n == self.class)
    }
}

/// How neighbours slow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// S = max(1 + α·Σ u of the others, Σ u of all ÷ C), no thread limits.
    Mps {
        /// α.
        alpha: Parameter,
        /// C.
        capacity: f64,
    },
    /// The closed network of [`Model`](crate::perf::Model) in time-slicing.
    TimeSlicing {
        /// ε.
        epsilon: Parameter,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// α or ε.
    pub shared: f64,
    /// Whether it was fitted: with no more measurements than classes it is held at its default.
    pub shared_fitted: bool,
    /// `u` or `t` of each class; `None` of one that no measurement has.
    pub demands: Vec<Option<f64>>,
    /// Error of each measurement, in sample.
    pub errors: Vec<f64>,
    /// Its error when all measurements of the same company are left out: the numbers of those in it are
    /// fitted again, the others and α or ε held. `None` where one of them would have none left.
    pub left_out: Vec<Option<f64>>,
    /// In sample.
    pub in_sample: Option<Errors>,
    /// Left out.
    pub unseen: Option<Errors>,
    /// Other models in sample: taking turns (S = n), and under MPS for mixed company `u` from copies
    /// alone (half the slowdown of a pair of them, at most 1), shared in proportion and max-min.
    pub rivals: Vec<(&'static str, Errors)>,
}

/// Fits `classes` classes to measurements.
///
/// # Panics
/// If a slowdown is not positive and finite, or a class is not below `classes`.
#[must_use]
pub fn fit_neighbours(classes: usize, measured: &[Beside], law: Law) -> Neighbours {
    assert!(measured.iter().all(|m| m.slowdown.is_finite() && 0.0 < m.slowdown), "times are positive");
    let table = Table::new(classes, measured);
    let (parameter, default) = match law {
        Law::Mps { alpha, .. } => (alpha, Mps::default().alpha),
        Law::TimeSlicing { epsilon } => (epsilon, TimeSlicing::default().loss),
    };
    let known = table.of_class.iter().filter(|rows| !rows.is_empty()).count();
    let shared_fitted = parameter == Parameter::Fitted && known < measured.len();
    let shared = match parameter {
        Parameter::Given(value) => value,
        Parameter::Fitted if !shared_fitted => default,
        Parameter::Fitted => {
            let squares = |shared| table.squares(Formula::new(law, shared));
            let mut seen = scan(SHARED.0, SHARED.1, 20, 1e-4, squares);
            seen.push(Low { at: default, value: squares(default) });
            nearest_as_good(&seen, default, measured.len())
        }
    };
    let formula = Formula::new(law, shared);
    let numbers = table.fitted(formula);
    let errors: Vec<f64> = measured.iter().map(|m| formula.error(m, &numbers)).collect();
    let left_out = table.left_out(formula, &numbers);
    let seen: Vec<f64> = left_out.iter().copied().flatten().collect();
    let demands =
        table.of_class.iter().zip(&numbers).map(|(rows, u)| (!rows.is_empty()).then_some(*u)).collect();
    Neighbours {
        shared,
        shared_fitted,
        demands,
        in_sample: Errors::of(&errors),
        unseen: Errors::of(&seen),
        errors,
        left_out,
        rivals: table.rivals(formula),
    }
}

/// A law with its numbers filled in.
#[derive(Clone, Copy, Debug)]
enum Formula {
    Mps(Mps),
    TimeSlicing { loss: f64 },
}

impl Formula {
    fn new(law: Law, shared: f64) -> Formula {
        match law {
            Law::Mps { capacity, .. } => Formula::Mps(Mps { alpha: shared, capacity, ..Mps::default() }),
            Law::TimeSlicing { .. } => Formula::TimeSlicing { loss: shared },
        }
    }

    fn slowdown(self, measured: &Beside, numbers: &[f64]) -> f64 {
        let own = numbers[measured.class];
        match self {
            Formula::Mps(mps) => {
                let others: f64 = measured.neighbours.iter().map(|class| numbers[*class]).sum();
                mps.shared(own, own + others)
            }
            Formula::TimeSlicing { loss } => {
                let others = measured.neighbours.iter().map(|class| numbers[*class]);
                let hosts: Vec<f64> = std::iter::once(own).chain(others).map(|t| 1.0 - t).collect();
                slicing::of_first(&hosts, loss)
            }
        }
    }

    /// ln(model ÷ measured) of speeds.
    fn error(self, measured: &Beside, numbers: &[f64]) -> f64 {
        libm::log(measured.slowdown) - libm::log(self.slowdown(measured, numbers))
    }
}

/// Measurements, and which have which class.
#[derive(Debug)]
struct Table<'m> {
    measured: &'m [Beside],
    /// Rows that a class is in, by class.
    of_class: Vec<Vec<usize>>,
}

impl<'m> Table<'m> {
    fn new(classes: usize, measured: &'m [Beside]) -> Table<'m> {
        let mut of_class = vec![Vec::new(); classes];
        for (row, m) in measured.iter().enumerate() {
            for class in m.company().into_iter().collect::<BTreeSet<_>>() {
                of_class[class].push(row);
            }
        }
        Table { measured, of_class }
    }

    /// The numbers of all classes.
    fn fitted(&self, formula: Formula) -> Vec<f64> {
        let mut numbers = vec![0.5; self.of_class.len()];
        let all: Vec<usize> = (0..numbers.len()).collect();
        // Copies first: they depend on no other class.
        self.descend(formula, &mut numbers, &all, |row| self.measured[row].is_copies());
        self.descend(formula, &mut numbers, &all, |_| true);
        numbers
    }

    fn squares(&self, formula: Formula) -> f64 {
        let numbers = self.fitted(formula);
        self.measured.iter().map(|m| formula.error(m, &numbers)).map(|error| error * error).sum()
    }

    /// Searches the numbers of `classes` one after the other on the rows that count, until none moves.
    fn descend(
        &self,
        formula: Formula,
        numbers: &mut [f64],
        classes: &[usize],
        counts: impl Fn(usize) -> bool,
    ) {
        for _ in 0..ROUNDS {
            let mut moved: f64 = 0.0;
            for &class in classes {
                let rows: Vec<usize> =
                    self.of_class[class].iter().copied().filter(|row| counts(*row)).collect();
                if rows.is_empty() {
                    continue;
                }
                let before = numbers[class];
                let squares = |number| {
                    numbers[class] = number;
                    let errors = rows.iter().map(|row| formula.error(&self.measured[*row], numbers));
                    errors.map(|error| error * error).sum()
                };
                numbers[class] = least(DEMAND_LEAST, 1.0, CELLS, WIDTH, squares).at;
                moved = moved.max((numbers[class] - before).abs());
            }
            if moved < STILL {
                break;
            }
        }
    }

    fn left_out(&self, formula: Formula, numbers: &[f64]) -> Vec<Option<f64>> {
        let one = |row: usize| {
            let company = self.measured[row].company();
            let counts = |other: usize| self.measured[other].company() != company;
            let classes: Vec<usize> = company.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
            if !classes.iter().all(|class| self.of_class[*class].iter().any(|row| counts(*row))) {
                return None;
            }
            let mut numbers = numbers.to_vec();
            self.descend(formula, &mut numbers, &classes, counts);
            Some(formula.error(&self.measured[row], &numbers))
        };
        (0..self.measured.len()).into_par_iter().map(one).collect()
    }

    fn rivals(&self, formula: Formula) -> Vec<(&'static str, Errors)> {
        let turns = |m: &Beside| libm::log(m.slowdown) - libm::log((m.neighbours.len() + 1) as f64);
        let turns: Vec<f64> = self.measured.iter().map(turns).collect();
        let mut rivals = vec![("taking turns (S = n)", Errors::of(&turns))];
        if let Formula::Mps(Mps { alpha, capacity, .. }) = formula {
            let (mut proportional, mut max_min) = (Vec::new(), Vec::new());
            for m in self.measured.iter().filter(|m| !m.is_copies()) {
                let Some(all) =
                    m.company().into_iter().map(|c| self.of_pair(c)).collect::<Option<Vec<f64>>>()
                else {
                    continue;
                };
                let own = self.of_pair(m.class).expect("it is one of all");
                let total: f64 = all.iter().sum();
                let crowded = 1.0 + alpha * (total - own);
                let measured = libm::log(m.slowdown);
                proportional.push(measured - libm::log(crowded.max(total / capacity)));
                max_min.push(measured - libm::log(crowded.max(own / poured(&all, own, capacity))));
            }
            rivals.push(("mixed company, u of pairs of copies, in proportion", Errors::of(&proportional)));
            rivals.push(("mixed company, u of pairs of copies, max-min", Errors::of(&max_min)));
        }
        rivals.into_iter().filter_map(|(name, errors)| Some((name, errors?))).collect()
    }

    /// Half the slowdown of a class beside one copy of itself, at most 1.
    fn of_pair(&self, class: usize) -> Option<f64> {
        let pair = |m: &&Beside| m.class == class && m.neighbours == [class];
        self.measured.iter().find(pair).map(|m| (m.slowdown / 2.0).min(1.0))
    }
}

/// What one that asks for `own` gets of `capacity` when it is poured evenly to all who ask, each until it
/// has what it asked for.
fn poured(all: &[f64], own: f64, capacity: f64) -> f64 {
    let mut asks = all.to_vec();
    asks.sort_by(f64::total_cmp);
    let mut left = capacity;
    for (at, ask) in asks.iter().enumerate() {
        let level = left / (asks.len() - at) as f64;
        if level <= *ask {
            return own.min(level);
        }
        left -= ask;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Share;
    use crate::id::BehaviorId;
    use crate::perf::{Behavior, Model, Resident, SpeedModel};

    /// What classes of these numbers would measure, in these companies.
    fn made(formula: Formula, numbers: &[f64], companies: &[&[usize]]) -> Vec<Beside> {
        let mut rows = Vec::new();
        for company in companies {
            for at in 0..company.len() {
                let neighbours =
                    company.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, c)| *c).collect();
                let mut row = Beside { class: company[at], neighbours, slowdown: 1.0 };
                row.slowdown = formula.slowdown(&row, numbers);
                rows.push(row);
            }
        }
        rows
    }

    #[track_caller]
    fn finds(law: Law, shared: f64, numbers: &[f64], companies: &[&[usize]]) {
        let measured = made(Formula::new(law, shared), numbers, companies);
        let fit = fit_neighbours(numbers.len(), &measured, law);
        // The value nearest to the default that fits to .2 %, hence the room.
        assert!((fit.shared - shared).abs() < 0.03, "{fit:?}");
        for (found, number) in fit.demands.iter().zip(numbers) {
            assert!((found.expect("measured") - number).abs() < 0.02, "{found:?} of {number}: {fit:?}");
        }
        assert!(fit.in_sample.expect("rows").rms < 3e-3, "{fit:?}");
    }

    /// The formulas here are those that runs use.
    #[test]
    fn the_model_says_the_same() {
        let numbers = [0.9, 0.3, 0.5];
        let measured = Beside { class: 1, neighbours: vec![0, 2, 2], slowdown: 1.0 };
        let model = |behaviors: [Behavior; 3], share: &Share| {
            let resident = |class| Resident { behavior: BehaviorId::of(class), slices: 0, threads: 100 };
            let mut out = Vec::new();
            Model::new(behaviors.to_vec()).slowdowns(share, &[0, 1, 2, 2].map(resident), &mut out);
            out[1]
        };
        let mps = Formula::Mps(Mps::default());
        let by_model = model(numbers.map(|u| Behavior::new(0.0, u)), &Share::Memory { gb: 40, clients: 48 });
        assert!((mps.slowdown(&measured, &numbers) - by_model).abs() < 1e-12, "{by_model}");
        let slicing = Formula::TimeSlicing { loss: 0.11 };
        let turns = Share::Replicas { replicas: 9, mps: false };
        let by_model = model(numbers.map(|t| Behavior::new(1.0 - t, 1.0)), &turns);
        assert!((slicing.slowdown(&measured, &numbers) - by_model).abs() < 1e-12, "{by_model}");
    }

    #[test]
    fn demands_under_mps_are_found_again() {
        let given = Law::Mps { alpha: Parameter::Given(0.10), capacity: 1.0 };
        finds(given, 0.10, &[0.56], &[&[0, 0], &[0, 0, 0], &[0, 0, 0, 0, 0]]);
        finds(given, 0.10, &[0.9, 0.2, 0.4], &[&[0, 0], &[0, 1], &[0, 2], &[1, 2], &[1, 1, 1, 1, 1, 1]]);
        // α shows where the GPU is not full.
        let fitted = Law::Mps { alpha: Parameter::Fitted, capacity: 1.0 };
        finds(fitted, 0.30, &[0.2, 0.3], &[&[0, 0], &[0, 0, 0], &[0; 7], &[1, 1], &[1, 1, 1, 1]]);
    }

    #[test]
    fn times_under_time_slicing_are_found_again() {
        let fitted = Law::TimeSlicing { epsilon: Parameter::Fitted };
        finds(fitted, 0.30, &[1.0], &[&[0, 0], &[0, 0, 0], &[0; 5], &[0; 7]]);
        finds(fitted, 0.11, &[0.6], &[&[0, 0], &[0, 0, 0], &[0; 5], &[0; 7]]);
        let given = Law::TimeSlicing { epsilon: Parameter::Given(0.11) };
        finds(given, 0.11, &[1.0, 0.1, 0.5], &[&[0, 0], &[0, 1], &[1, 2], &[0, 2, 2]]);
    }

    /// Seven pods tell (ε, t) = (.11, 1) from (.255, .884) by a thousandth of a step: the default is kept.
    #[test]
    fn where_measurements_leave_a_choice_the_default_stays() {
        let rows = [(2, 3.3255), (4, 5.5468), (6, 7.7695)];
        let measured: Vec<Beside> = rows
            .map(|(copies, slowdown)| Beside { class: 0, neighbours: vec![0; copies], slowdown })
            .to_vec();
        let fit = fit_neighbours(1, &measured, Law::TimeSlicing { epsilon: Parameter::Fitted });
        assert_eq!((fit.shared, fit.shared_fitted), (0.11, true), "{fit:?}");
        assert!(0.99 < fit.demands[0].expect("measured"), "{fit:?}");
    }

    #[test]
    fn too_few_measurements_hold_what_classes_share() {
        let fitted = Law::TimeSlicing { epsilon: Parameter::Fitted };
        let one = Beside { class: 0, neighbours: vec![0], slowdown: 2.0 };
        let fit = fit_neighbours(2, &[one], fitted);
        assert!(!fit.shared_fitted && fit.shared == 0.11, "{fit:?}");
        assert_eq!((fit.demands[1], fit.left_out[0]), (None, None));
    }

    #[test]
    fn a_gpu_is_poured_evenly() {
        assert_eq!(poured(&[0.2, 0.9], 0.9, 1.0), 0.8);
        assert_eq!(poured(&[0.2, 0.9], 0.2, 1.0), 0.2);
        assert_eq!(poured(&[0.7, 0.9], 0.7, 1.0), 0.5);
        assert_eq!(poured(&[0.1, 0.2], 0.2, 1.0), 0.2);
    }
}
