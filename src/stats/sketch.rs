//! Quantiles of many spans in little memory.

use crate::units::Span;

/// Parts of an octave: a value is known to 1/256 of itself.
const PARTS: u64 = 128;

/// A log-spaced histogram of spans.
///
/// Below 256 µs every microsecond has its own bin; above, each octave has 128, so a quantile is within
/// 0.4 % of the value of that rank, whatever the sample. Count, mean and maximum are exact. At most
/// 7,424 bins (58 KiB), and as many as the largest value needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    bins: Vec<u64>,
    count: u64,
    sum: u128,
    max: Span,
}

/// The bin of a value. Exact up to two octaves' worth of parts, then by its leading eight bits.
fn bin(micros: u64) -> usize {
    if micros < 2 * PARTS {
        return micros as usize;
    }
    let shift = micros.ilog2() - PARTS.ilog2();
    (u64::from(shift) * PARTS + (micros >> shift)) as usize
}

/// The middle of a bin.
fn middle(bin: usize) -> u64 {
    let bin = bin as u64;
    if bin < 2 * PARTS {
        return bin;
    }
    let shift = bin / PARTS - 1;
    let low = (bin - shift * PARTS) << shift;
    low + (1 << shift) / 2
}

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, span: Span) {
        let at = bin(span.0);
        if self.bins.len() <= at {
            self.bins.resize(at + 1, 0);
        }
        self.bins[at] += 1;
        self.count += 1;
        self.sum += u128::from(span.0);
        self.max = self.max.max(span);
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean in seconds; 0 of nothing.
    #[must_use]
    pub fn mean_s(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64 / 1e6
    }

    /// Largest value.
    #[must_use]
    pub fn max(&self) -> Span {
        self.max
    }

    /// The value that `level` millionths of the values do not exceed, by nearest rank and within 0.4 %; zero
    /// of nothing.
    #[must_use]
    pub fn quantile(&self, level: u32) -> Span {
        let rank = (u128::from(self.count) * u128::from(level)).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        for (bin, count) in self.bins.iter().enumerate() {
            seen += u128::from(*count);
            if rank <= seen {
                return Span(middle(bin)).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn bins_are_as_narrow_as_said() {
        let mut last = None;
        for micros in (0..3_000).chain((4..56).map(|e| 257_u64 << e)).chain([u64::MAX]) {
            let at = bin(micros);
            assert!(last.is_none_or(|last| last <= at), "{micros}");
            last = Some(at);
            let off = middle(at).abs_diff(micros) as f64 / micros.max(1) as f64;
            assert!(off <= 1.0 / 256.0, "{micros}: {}", middle(at));
        }
        assert!(bin(u64::MAX) < 7_424);
    }

    #[test]
    fn quantiles_are_those_of_the_sample() {
        let mut stream = Stream::new(1, "sketch", 0);
        let mut values: Vec<u64> = (0..10_000).map(|_| (stream.exponential() * 1e5) as u64).collect();
        let mut sketch = Sketch::default();
        values.iter().for_each(|v| sketch.add(Span(*v)));
        values.sort_unstable();
        for level in [1, 500_000, 900_000, 990_000, 999_900, 1_000_000] {
            let exact = values[(10_000 * level as usize).div_ceil(1_000_000) - 1];
            let found = sketch.quantile(level as u32).0;
            assert!(found.abs_diff(exact) as f64 <= exact as f64 / 250.0, "{level}: {found} {exact}");
        }
        assert_eq!((sketch.count(), sketch.max()), (10_000, Span(values[9_999])));
        let mean = values.iter().sum::<u64>() as f64 / 1e10;
        assert!((sketch.mean_s() - mean).abs() < 1e-9);
        assert_eq!((Sketch::default().quantile(500_000), Sketch::default().mean_s()), (Span::ZERO, 0.0));
    }
}
