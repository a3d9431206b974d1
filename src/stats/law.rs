//! Laws of durations, drawn by inverse CDF on named streams: work of pods, cost of requests.

use crate::rng::Stream;
use crate::units::Span;
use serde::Serialize;

/// Beyond any run, and sums of two such still fit the clock.
const LATEST: f64 = (1_u64 << 62) as f64;

/// A law of non-negative spans, all given by their mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// Always the mean.
    Constant {
        /// Mean.
        mean: Span,
    },
    /// Exponential.
    Exponential {
        /// Mean.
        mean: Span,
    },
    /// Sum of `stages` exponentials: squared coefficient of variation 1/stages.
    Erlang {
        /// Mean.
        mean: Span,
        /// 1 or more.
        stages: u32,
    },
    /// Two-phase hyperexponential with balanced means.
    Hyperexponential {
        /// Mean.
        mean: Span,
        /// Squared coefficient of variation, 1 or more.
        scv: f64,
    },
    /// Log-normal.
    Lognormal {
        /// Mean.
        mean: Span,
        /// Squared coefficient of variation, above 0.
        scv: f64,
    },
    /// Pareto cut at `max` (inverse CDF of the truncated law): heavy-tailed work.
    Pareto {
        /// Mean of the untruncated law.
        mean: Span,
        /// Tail index, above 1; 1.5 is heavy.
        shape: f64,
        /// No draw is longer.
        max: Span,
    },
}

/// A law made ready for drawing: constants worked out once.
#[derive(Clone, Copy, Debug)]
pub struct Sampler(Shape);

/// Times in microseconds.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant(Span),
    /// Sum of `stages` exponentials of mean `mean` each.
    Erlang {
        mean: f64,
        stages: u32,
    },
    /// Exponential of mean `short` with probability `p`, of mean `long` else.
    Hyperexponential {
        p: f64,
        short: f64,
        long: f64,
    },
    /// e to a normal.
    Lognormal {
        location: f64,
        scale: f64,
    },
    /// `least` · (1 − u·`below`)^(−1/shape), where `below` is the untruncated law's share under the cut.
    Pareto {
        least: f64,
        exponent: f64,
        below: f64,
        max: Span,
    },
}

impl Sampler {
    /// # Panics
    /// On parameters outside what [`Law`] says, which a scenario refuses.
    #[must_use]
    pub fn new(law: &Law) -> Sampler {
        Sampler(match *law {
            Law::Constant { mean } => Shape::Constant(mean),
            Law::Exponential { mean } => Shape::Erlang { mean: mean.0 as f64, stages: 1 },
            Law::Erlang { mean, stages } => {
                assert!(0 < stages, "an Erlang law has a stage");
                Shape::Erlang { mean: mean.0 as f64 / f64::from(stages), stages }
            }
            Law::Hyperexponential { mean, scv } => {
                assert!(1.0 <= scv, "a hyperexponential varies at least as an exponential");
                // Balanced means: both phases carry half of the work.
                let p = (1.0 + libm::sqrt((scv - 1.0) / (scv + 1.0))) / 2.0;
                let half = mean.0 as f64 / 2.0;
                Shape::Hyperexponential { p, short: half / p, long: half / (1.0 - p) }
            }
            Law::Lognormal { mean, scv } => {
                assert!(0.0 < scv, "a log-normal varies");
                let variance = libm::log1p(scv);
                let location = libm::log(mean.0 as f64) - variance / 2.0;
                Shape::Lognormal { location, scale: libm::sqrt(variance) }
            }
            Law::Pareto { mean, shape, max } => {
                assert!(1.0 < shape, "a Pareto law of shape 1 or less has no mean");
                let least = mean.0 as f64 * (shape - 1.0) / shape;
                let below = (1.0 - libm::pow(least / max.0 as f64, shape)).max(0.0);
                Shape::Pareto { least, exponent: -1.0 / shape, below, max }
            }
        })
    }

    /// One draw, to the nearest microsecond.
    #[must_use]
    pub fn draw(&self, stream: &mut Stream) -> Span {
        let micros = match self.0 {
            Shape::Constant(span) => return span,
            Shape::Erlang { mean, stages } => (0..stages).map(|_| stream.exponential()).sum::<f64>() * mean,
            Shape::Hyperexponential { p, short, long } => {
                let mean = if stream.unit() < p { short } else { long };
                stream.exponential() * mean
            }
            Shape::Lognormal { location, scale } => libm::exp(location + scale * stream.normal()),
            Shape::Pareto { least, exponent, below, max } => {
                let micros = least * libm::pow(1.0 - stream.unit() * below, exponent);
                return micros_to_span(micros).min(max);
            }
        };
        micros_to_span(micros)
    }
}

/// The span nearest to so many microseconds, held within the range of the clock.
pub(crate) fn micros_to_span(micros: f64) -> Span {
    Span(libm::round(micros.min(LATEST)) as u64)
}
