//! Pods drawn from laws, by inverse CDF on named streams.
//!
//! Arrivals are one process and one stream; class, GPU demand and work of a pod have a stream each,
//! keyed by the pod's number. A change of one law therefore moves no draw of another, and two
//! classes of one seed can be compared pod by pod. Some 10 ns a stream, under 0.3 µs a pod in all.

use super::spec::{Arrivals, ClassSpec, Generate, GpuSpec};
use crate::rng::Stream;
use crate::stats::law::{Sampler, micros_to_span};
use crate::units::{Mib, Time};
use crate::workload::{Builder, GpuDemand, PodRow, Workload};

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
