//! Means, quantiles and their intervals.
//!
//! Quantiles are nearest-rank: always a value that was seen. Their level is written in thousandths,
//! so that ranks are integer arithmetic (in floats 0.07 × 100 is more than 7).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A quantile's level in thousandths, 1 to 1000: 950 is the 95th percentile.
pub type PerMille = u32;

/// Mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Unbiased variance (divided by n − 1); `None` of fewer than two values.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| 1 < values.len())?;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Some(squares / (values.len() - 1) as f64)
}

/// Rank, from 1, of a quantile among `n` values: the least that at least `level` of them do not
/// exceed.
///
/// # Panics
/// Unless `0 < n` and `level` is 1 to 1000.
#[must_use]
pub fn rank(n: usize, level: PerMille) -> usize {
    assert!(0 < n, "nothing has no quantile");
    assert!((1..=1_000).contains(&level), "a level is 1 to 1000 thousandths");
    let rank = (n as u128 * u128::from(level)).div_ceil(1_000);
    usize::try_from(rank).expect("a rank is at most n")
}

/// Quantile of values that ascend; `None` of nothing.
///
/// # Panics
/// Unless `level` is 1 to 1000.
#[must_use]
pub fn quantile<T: Copy + PartialOrd>(ascending: &[T], level: PerMille) -> Option<T> {
    debug_assert!(ascending.is_sorted(), "quantiles are of sorted values");
    (!ascending.is_empty()).then(|| ascending[rank(ascending.len(), level) - 1])
}

/// A mean with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean of the runs.
    pub mean: f64,
    /// Half the width of the interval around it.
    pub half_width: f64,
}

impl Interval {
    /// Whether a value lies within.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        (value - self.mean).abs() <= self.half_width
    }
}

/// Student's interval for the mean of independent runs at a confidence `level` such as 0.95; `None`
/// of fewer than two runs.
///
/// # Panics
/// Unless `level` lies between 0 and 1.
#[must_use]
pub fn t_interval(runs: &[f64], level: f64) -> Option<Interval> {
    assert!(0.0 < level && level < 1.0, "a confidence level is between 0 and 1");
    let (mean, variance) = (mean(runs)?, variance(runs)?);
    let n = runs.len() as f64;
    let t = StudentsT::new(0.0, 1.0, n - 1.0).expect("one degree of freedom or more");
    Some(Interval { mean, half_width: t.inverse_cdf(0.5 + level / 2.0) * (variance / n).sqrt() })
}

/// Ranks, from 1, between which the quantile of the population lies with a confidence `level`, by
/// `n` independent values: at most (1 − `level`)/2 of doubt on either side. `None` where the sample
/// is too small to bound both sides. *O*(n).
///
/// # Panics
/// Unless `quantile` is 1 to 999 and `level` between 0 and 1.
#[must_use]
pub fn quantile_ranks(n: usize, quantile: PerMille, level: f64) -> Option<(usize, usize)> {
    assert!(0.0 < level && level < 1.0, "a confidence level is between 0 and 1");
    let doubt = (1.0 - level) / 2.0;
    let below = binomial_cdf(n, quantile);
    // l is the largest with P(at most l-1 below) <= doubt, u the smallest with 1 - doubt <= P(at
    // most u-1 below).
    let lower = below.partition_point(|p| *p <= doubt);
    let upper = below.partition_point(|p| *p < 1.0 - doubt) + 1;
    (1 <= lower && upper <= n).then_some((lower, upper))
}

/// P(X ≤ k) for k = 0..=n, X binomial of `n` trials that succeed with `p` thousandths.
fn binomial_cdf(n: usize, p: PerMille) -> Vec<f64> {
    assert!((1..1_000).contains(&p), "both outcomes are possible");
    let odds = f64::from(p) / f64::from(1_000 - p);
    // Weights relative to the likeliest count, so that the smallest, not the largest, are lost to
    // underflow.
    let mode = (n as u128 + 1) * u128::from(p) / 1_000;
    let mode = usize::try_from(mode).expect("a count is at most n").min(n);
    let mut weights = vec![1.0; n + 1];
    for k in mode + 1..=n {
        weights[k] = weights[k - 1] * odds * (n - k + 1) as f64 / k as f64;
    }
    for k in (0..mode).rev() {
        weights[k] = weights[k + 1] / odds * (k + 1) as f64 / (n - k) as f64;
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    for weight in &mut weights {
        sum += *weight;
        *weight = sum / total;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!((mean(&[]), variance(&[1.0])), (None, None));
        assert_eq!((mean(&[2.0, 4.0, 9.0]), variance(&[2.0, 4.0, 9.0])), (Some(5.0), Some(13.0)));
    }

    #[test]
    fn quantiles_are_values_seen() {
        let hundred: Vec<u32> = (1..=100).collect();
        for (level, value) in [(1, 1), (70, 7), (71, 8), (500, 50), (950, 95), (999, 100), (1_000, 100)] {
            assert_eq!(quantile(&hundred, level), Some(value), "{level}");
        }
        assert_eq!(quantile(&[7], 1), Some(7));
        assert_eq!(quantile::<u32>(&[], 500), None);
    }

    /// Against printed tables of Student's t.
    #[test]
    fn student_intervals() {
        for (runs, level, t) in
            [(2, 0.95, 12.706_205), (10, 0.95, 2.262_157), (20, 0.99, 2.860_935), (20, 0.9999, 4.897_462)]
        {
            // Half ones, half minus ones: mean 0, and n/(n-1) variance.
            let values: Vec<f64> = (0..runs).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
            let interval = t_interval(&values, level).expect("two runs or more");
            let expected = t / f64::from(runs - 1).sqrt();
            assert!((interval.half_width - expected).abs() < 1e-6, "{runs} {level} {}", interval.half_width);
            assert!(interval.contains(0.0) && !interval.contains(expected + 1e-3));
        }
        assert_eq!(t_interval(&[1.0], 0.95), None);
    }

    #[test]
    fn quantile_intervals_are_as_tabled() {
        for (n, level, ranks) in [
            (100, 500, Some((40, 61))),
            (100, 950, Some((90, 100))),
            (1_000, 950, Some((936, 964))),
            (20, 950, None),
            (5, 500, None),
            (6, 500, Some((1, 6))),
            (0, 500, None),
        ] {
            assert_eq!(quantile_ranks(n, level, 0.95), ranks, "{n} {level}");
        }
    }
}
