//! Pods drawn from laws, by inverse CDF on named streams.
//!
//! Arrivals are one process and one stream; class, GPU demand and work of a pod have a stream each,
//! keyed by the pod's number. A change of one law therefore moves no draw of another, and two
//! classes of one seed can be compared pod by pod. Some 10 ns a stream, under 0.3 µs a pod in all.

use super::spec::{Arrivals, ClassSpec, Generate, GpuSpec, Law};
use crate::rng::Stream;
use crate::units::{Mib, Span, Time};
use crate::workload::{Builder, GpuDemand, PodRow, Workload};

/// Beyond any run, and sums of two such still fit the clock.
const LATEST: f64 = (1_u64 << 62) as f64;

const HOUR: f64 = 3.6e9;
const DAY: f64 = 24.0 * HOUR;

/// The profiles that [`ProfileMix`](super::spec::ProfileMix) weighs.
const PROFILES: [&str; 5] = ["1g", "2g", "3g", "4g", "7g"];

/// Draws pods; they are named `pod-0`, `pod-1`, … in order of arrival.
///
/// # Panics
/// On values that a scenario refuses: no class, no positive weight, a rate that is not positive.
#[must_use]
pub fn generate(spec: &Generate, seed: u64) -> Workload {
    let mut builder = Builder::new();
    let weights: Vec<f64> = spec.classes.iter().map(|class| class.weight).collect();
    let classes: Vec<Class<'_>> = spec.classes.iter().map(|class| Class::new(class, &mut builder)).collect();
    let mut clock = Clock::new(&spec.arrivals, seed);
    for pod in 0..spec.pods {
        let drawn = match classes.len() {
            1 => 0,
            _ => Stream::new(seed, "class", pod).weighted(&weights),
        };
        let class = &classes[drawn];
        builder.push(&PodRow {
            name: "",
            arrival: clock.next(),
            work: class.work.draw(&mut Stream::new(seed, "work", pod)),
            cpu: class.spec.cpu,
            memory: class.spec.memory,
            gpu: class.gpu(seed, pod),
            constraint: 0,
            class: &class.spec.name,
            namespace: &class.spec.namespace,
            priority: class.spec.priority,
            gang: 1,
        });
    }
    builder.finish()
}

/// A class made ready for drawing.
#[derive(Debug)]
struct Class<'a> {
    spec: &'a ClassSpec,
    work: Sampler,
    /// What a pod of it may ask of GPUs, by weight.
    gpus: Vec<GpuDemand>,
    weights: Vec<f64>,
}

impl<'a> Class<'a> {
    fn new(spec: &'a ClassSpec, builder: &mut Builder) -> Class<'a> {
        let (gpus, weights) = match &spec.gpu {
            GpuSpec::None => (vec![GpuDemand::None], vec![1.0]),
            GpuSpec::Whole(gpus) => (vec![GpuDemand::Whole { gpus: *gpus }], vec![1.0]),
            GpuSpec::Share(shares) => shares.iter().map(|(milli, weight)| (share(*milli), *weight)).unzip(),
            GpuSpec::Profiles(mix) => {
                (PROFILES.map(|name| builder.profile(name)).to_vec(), mix.weights().to_vec())
            }
        };
        Class { spec, work: Sampler::new(&spec.work), gpus, weights }
    }

    fn gpu(&self, seed: u64, pod: u64) -> GpuDemand {
        match self.gpus.as_slice() {
            [only] => *only,
            gpus => gpus[Stream::new(seed, "gpu", pod).weighted(&self.weights)],
        }
    }
}

fn share(milli: u16) -> GpuDemand {
    assert!((1..1_000).contains(&milli), "a share is a part of one GPU");
    GpuDemand::Share { milli, memory: Mib(0) }
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

fn micros_to_span(micros: f64) -> Span {
    Span(libm::round(micros.min(LATEST)) as u64)
}

/// A stream of arrivals from time 0, in order.
#[derive(Debug)]
pub(super) struct Clock {
    stream: Stream,
    /// Microseconds. A float, since rates are; exact to a microsecond for 285 years.
    now: f64,
    process: Process,
}

/// Rates are per microsecond.
#[derive(Debug)]
enum Process {
    AtOnce,
    Poisson {
        rate: f64,
    },
    Bursty {
        /// Rate and mean length of the low and of the high state.
        states: [(f64, f64); 2],
        high: bool,
        /// When the state ends.
        until: f64,
        lengths: Stream,
    },
    Diurnal {
        rate: f64,
        swing: f64,
        peak: f64,
    },
}

impl Clock {
    pub(super) fn new(arrivals: &Arrivals, seed: u64) -> Clock {
        let rate = |per_hour: f64| {
            assert!(per_hour.is_finite() && 0.0 < per_hour, "pods arrive at a positive rate");
            per_hour / HOUR
        };
        let process = match *arrivals {
            Arrivals::AtOnce => Process::AtOnce,
            Arrivals::Poisson { per_hour } => Process::Poisson { rate: rate(per_hour) },
            Arrivals::Bursty { per_hour, ratio, burst, share } => {
                bursty(rate(per_hour), ratio, burst.0 as f64, share, seed)
            }
            Arrivals::Diurnal { per_hour, swing, peak } => {
                assert!((0.0..=1.0).contains(&swing), "a rate is never negative");
                Process::Diurnal { rate: rate(per_hour), swing, peak: peak.0 as f64 }
            }
        };
        Clock { stream: Stream::new(seed, "arrivals", 0), now: 0.0, process }
    }

    pub(super) fn next(&mut self) -> Time {
        match &mut self.process {
            Process::AtOnce => {}
            Process::Poisson { rate } => self.now += self.stream.exponential() / *rate,
            Process::Bursty { states, high, until, lengths } => {
                // One exponential a pod, used up at the rate of each state on the way.
                let mut left = self.stream.exponential();
                loop {
                    let (rate, _) = states[usize::from(*high)];
                    let next = self.now + left / rate;
                    if next <= *until {
                        self.now = next;
                        break;
                    }
                    left = (left - (*until - self.now) * rate).max(0.0);
                    self.now = *until;
                    *high = !*high;
                    *until += lengths.exponential() * states[usize::from(*high)].1;
                }
            }
            Process::Diurnal { rate, swing, peak } => loop {
                // Thinning: candidates at the highest rate, each kept with its moment's share of it.
                self.now += self.stream.exponential() / (*rate * (1.0 + *swing));
                let angle = std::f64::consts::TAU * (self.now - *peak) / DAY;
                if self.stream.unit() * (1.0 + *swing) < 1.0 + *swing * libm::cos(angle) {
                    break;
                }
            },
        }
        Time(micros_to_span(self.now).0)
    }
}

/// The two states of an MMPP-2 whose mean rate is `rate`, begun in its steady state.
fn bursty(rate: f64, ratio: f64, burst: f64, share: f64, seed: u64) -> Process {
    assert!(1.0 <= ratio && ratio.is_finite(), "the high state has the higher rate");
    assert!(0.0 < share && share < 1.0, "both states take some of the time");
    assert!(0.0 < burst, "a burst lasts");
    let low = rate / (share * ratio + 1.0 - share);
    let states = [(low, burst * (1.0 - share) / share), (low * ratio, burst)];
    let mut lengths = Stream::new(seed, "burst", 0);
    let high = lengths.unit() < share;
    let until = lengths.exponential() * states[usize::from(high)].1;
    Process::Bursty { states, high, until, lengths }
}
