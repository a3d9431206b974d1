//! Closed forms of jobs that fail and units that are repaired, as judges of a simulation.
//!
//! Faults come at rate 1 ÷ `mtbf` while a job runs, none during a repair of mean `repair`; all in one unit
//! of time.

use libm::{exp, floor};

/// Mean time from first start to finish of `work` that restarts from zero after each fault.
#[must_use]
pub fn restarted(work: f64, mtbf: f64, repair: f64) -> f64 {
    (mtbf + repair) * (exp(work / mtbf) - 1.0)
}

/// The same with a checkpoint of `cost` after every `every` of work but at the end of the job: ⌊W ÷ τ⌋
/// whole pieces and the rest.
#[must_use]
pub fn checkpointed(work: f64, mtbf: f64, repair: f64, every: f64, cost: f64) -> f64 {
    let whole = floor(work / every);
    let rest = work - whole * every;
    // A job of whole pieces ends with the last, which needs no checkpoint.
    let (saved, last) = if rest == 0.0 { (whole - 1.0, every) } else { (whole, rest) };
    saved * restarted(every + cost, mtbf, repair) + restarted(last, mtbf, repair)
}

/// Mean number of `units` that are down when each that is up fails at rate `fails` and `crews` repair at rate
/// `repairs` each (the machine-repair model).
#[must_use]
pub fn units_down(units: u32, crews: u32, fails: f64, repairs: f64) -> f64 {
    let mut weights = vec![1.0];
    for down in 1..=units {
        let up = f64::from(units - down + 1);
        let weight = weights[weights.len() - 1] * up * fails / (f64::from(down.min(crews)) * repairs);
        weights.push(weight);
    }
    let total: f64 = weights.iter().sum();
    weights.iter().enumerate().map(|(down, weight)| down as f64 * weight).sum::<f64>() / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_as_tabled() {
        let root = libm::sqrt(2.0 * 0.05 * 100.0);
        for (value, tabled) in [
            (restarted(24.0, 100.0, 0.0), 27.124_915),
            (restarted(100.0, 100.0, 0.5), 172.687_324),
            (checkpointed(100.0, 100.0, 0.5, 2.0, 0.05), 104.024_352),
            (checkpointed(100.0, 100.0, 0.5, root, 0.05), 103.702_118),
            (units_down(10, 1, 0.05, 1.0), 0.759_263_37),
            (units_down(64, 4, 0.01, 0.25), 2.842_651_19),
            // As many crews as units: each is down for its share of the time.
            (units_down(8, 8, 0.05, 1.0), 8.0 * 0.05 / 1.05),
        ] {
            assert!((value - tabled).abs() < 6e-7 * tabled.max(1.0), "{value}, not {tabled}");
        }
    }
}
