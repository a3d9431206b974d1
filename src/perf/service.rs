//! Requests to pods that serve: when they come, what each costs, and what their latency is held against.
//!
//! A request that takes g seconds of a full GPU of its own takes g × S at the slowdown S of the moment. Under
//! time-slicing it takes its turns instead ([`TimeSlicing::latency`]): a request that comes alone is
//! slowed by who is busy then, not by the share that a loop without end gets.

use super::parameters::{Printed, TimeSlicing};
use crate::rng::Stream;
use crate::stats::law::{Law, Sampler, micros_to_span};
use crate::units::{Span, Speed, Time};
use serde::Serialize;
use std::sync::Arc;

/// The requests of a class of pods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// What a request costs.
    #[serde(flatten)]
    pub cost: Cost,
    /// When requests come to each of its pods.
    pub arrivals: Arrivals,
    /// Requests that a pod serves at once; those beyond wait, first come, first served.
    pub concurrency: u32,
    /// What the latency is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

/// What a request costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Time on a full GPU of its own, drawn from a law.
    #[serde(rename = "request")]
    Law(Law),
    /// By its tokens.
    Tokens(Tokens),
}

/// What tokens cost a language model's server: the prompt takes `prefill + per_prompt_token × tokens`, and each
/// token it writes `per_token + per_request × N` while it writes for N requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tokens {
    /// Time before the first token, whatever the prompt.
    pub prefill: Span,
    /// Time more for each token of the prompt.
    pub per_prompt_token: Span,
    /// Time of a token, whatever the load.
    pub per_token: Span,
    /// Time more of a token for each request in service.
    pub per_request: Span,
    /// Compute slices of the MIG slice that these were measured on, of [`Tokens::OF`]; without it, a full GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<u32>,
    /// Tokens of a prompt, where no trace says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<u32>,
    /// Tokens that a request writes, where no trace says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u32>,
}

impl Tokens {
    /// Compute slices of the GPUs that costs are measured on.
    pub const OF: u8 = 7;

    /// Measured costs: vLLM on MIG slices of an A100-40GB, with a model of 3, 7 or 14 billion parameters
    /// (NEWSLabNTU/Delta-HPC, `configs/simulation_config.yaml`). Confidence A.
    pub const NAMED: [(&'static str, Tokens); 5] = [
        ("1g.10gb-3b", Tokens::measured(1, [41_900, 192, 21_600, 394])),
        ("2g.10gb-3b", Tokens::measured(2, [28_300, 112, 21_900, 218])),
        ("3g.20gb-7b", Tokens::measured(3, [51_300, 156, 23_400, 209])),
        ("4g.20gb-7b", Tokens::measured(4, [30_100, 120, 23_300, 165])),
        ("7g.40gb-14b", Tokens::measured(7, [45_300, 157, 24_800, 156])),
    ];

    /// Times in microseconds.
    const fn measured(slices: u32, [prefill, per_prompt_token, per_token, per_request]: [u64; 4]) -> Tokens {
        Tokens {
            prefill: Span(prefill),
            per_prompt_token: Span(per_prompt_token),
            per_token: Span(per_token),
            per_request: Span(per_request),
            slices: Some(slices),
            prompt: None,
            output: None,
        }
    }

    /// The same on a full GPU, where they were measured at this speed of one.
    #[must_use]
    pub fn on_full_gpu(self, speed: f64) -> Tokens {
        let scaled = |span: Span| micros_to_span(span.0 as f64 * speed);
        Tokens {
            prefill: scaled(self.prefill),
            per_prompt_token: scaled(self.per_prompt_token),
            per_token: scaled(self.per_token),
            per_request: scaled(self.per_request),
            slices: None,
            ..self
        }
    }

    /// Time of a token while so many requests are served at once, 1 or more.
    fn token(&self, requests: usize) -> u64 {
        self.per_token.0.saturating_add(self.per_request.0.saturating_mul(requests as u64))
    }
}

/// When requests come to a pod, from its own arrival on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independent exponential gaps.
    Poisson {
        /// Mean number of requests in a second, above 0.
        per_second: f64,
    },
    /// As a file says. Each pod begins at a place of its own in it, drawn by the seed, and goes through it
    /// again and again.
    Trace(RequestTrace),
}

/// A file of requests: CSV with a header.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestTrace {
    /// Path, relative to the scenario; absolute once the file is read.
    pub file: String,
    /// Column of the moments: seconds from any zero, or dates.
    pub arrival: String,
    /// Column of the tokens of the prompt; read where tokens cost.
    pub prompt: String,
    /// Column of the tokens written; read where tokens cost.
    pub output: String,
    /// How many times as fast requests come as in the file.
    pub speed: f64,
    /// SHA-256 of the file, in hex: filled in when the file is read, checked when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its requests, once the file is read.
    #[serde(skip)]
    pub requests: Option<Arc<Requests>>,
}

/// Requests as a file has them, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Time since the first one, tokens of its prompt, tokens it writes.
    pub rows: Vec<(Span, u32, u32)>,
    /// Time from the first to the first again: to the last, and a mean gap.
    pub period: Span,
}

/// What a latency is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    /// Share of the requests that must be answered in time, above 0 and below 1.
    pub quantile: f64,
    /// How soon.
    pub within: Span,
}

impl Target {
    /// The share in millionths.
    #[must_use]
    pub fn level(&self) -> u32 {
        (libm::round(self.quantile * 1e6) as u32).clamp(1, 1_000_000)
    }
}

/// What one request takes on a full GPU of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Before it writes: all of it where tokens do not count.
    pub prefill: Span,
    /// Tokens that it writes after that.
    pub tokens: u32,
    /// Its place in the turn of a time-sliced GPU when it starts, 0 to below 1.
    pub turn: f64,
}

impl Service {
    /// Time that a token takes while so many requests are served at once, and alone. `None` where tokens do
    /// not count.
    fn token(&self, requests: usize) -> Option<(u64, u64)> {
        match &self.cost {
            Cost::Law(_) => None,
            Cost::Tokens(tokens) => Some((tokens.token(requests), tokens.token(1))),
        }
    }

    /// Time that a request writes for, alone.
    #[must_use]
    pub fn writing(&self, need: &Need) -> Span {
        let token = self.token(1).map_or(0, |(_, alone)| alone);
        Span(token.saturating_mul(u64::from(need.tokens)))
    }

    /// How fast a request writes while so many are served at once, against alone.
    #[must_use]
    pub fn writing_speed(&self, pod: Speed, requests: usize) -> Speed {
        match self.token(requests) {
            Some((now, alone)) if now != alone && pod != Speed::STILL => {
                Speed::from_ratio(f64::from(pod.0) / 1e6 * (alone as f64 / now as f64))
            }
            _ => pod,
        }
    }

    /// All that a request takes on a full GPU while so many are served at once all along.
    #[must_use]
    pub fn takes(&self, need: &Need, requests: usize) -> Span {
        let token = self.token(requests).map_or(0, |(now, _)| now);
        need.prefill + Span(token.saturating_mul(u64::from(need.tokens)))
    }

    /// What runs rest on that use measured costs of tokens.
    #[must_use]
    pub fn printed(&self) -> Option<Printed> {
        let Cost::Tokens(tokens) = &self.cost else { return None };
        let bare = Tokens { prompt: None, output: None, ..*tokens };
        let named = Tokens::NAMED.iter().find(|(_, known)| *known == bare);
        let Tokens { prefill, per_prompt_token, per_token, per_request, .. } = tokens;
        Some(Printed {
            model: "services",
            key: "tokens",
            value: format!(
                "{prefill} + {per_prompt_token} × prompt, then {per_token} + {per_request} × N a token"
            ),
            source: match named {
                Some(_) => "vLLM on MIG slices of an A100-40GB (NEWSLabNTU/Delta-HPC)",
                None => "the scenario's own",
            },
            confidence: if named.is_some() { "A" } else { "assumed" },
            default: named.is_some(),
        })
    }
}

/// The requests of one pod, one after another; the same whatever happens to the pod.
#[derive(Clone, Debug)]
pub struct Asked {
    clock: Clock,
    cost: Sizes,
    turns: Stream,
}

#[derive(Clone, Debug)]
enum Clock {
    /// Mean gap in microseconds.
    Poisson {
        gaps: Stream,
        mean: f64,
        now: f64,
    },
    Trace {
        requests: Arc<Requests>,
        next: usize,
        round: u64,
        offset: Span,
        speed: f64,
    },
}

#[derive(Clone, Debug)]
enum Sizes {
    Law(Sampler, Stream),
    Tokens(Tokens),
}

impl Asked {
    /// The requests to the pod of this number under this seed.
    ///
    /// # Panics
    /// If its trace was not read.
    #[must_use]
    pub fn new(service: &Service, seed: u64, pod: u64) -> Asked {
        let clock = match &service.arrivals {
            Arrivals::Poisson { per_second } => {
                Clock::Poisson { gaps: Stream::new(seed, "requests", pod), mean: 1e6 / per_second, now: 0.0 }
            }
            Arrivals::Trace(trace) => {
                let requests = Arc::clone(trace.requests.as_ref().expect("the file was read"));
                let offset = Span(Stream::new(seed, "requests", pod).below(requests.period.0));
                let next = requests.rows.partition_point(|row| row.0 < offset);
                Clock::Trace { requests, next, round: 0, offset, speed: trace.speed }
            }
        };
        let cost = match &service.cost {
            Cost::Law(law) => Sizes::Law(Sampler::new(law), Stream::new(seed, "request-work", pod)),
            Cost::Tokens(tokens) => Sizes::Tokens(*tokens),
        };
        Asked { clock, cost, turns: Stream::new(seed, "request-turn", pod) }
    }

    /// The next one: when it comes after the pod's arrival, and what it takes.
    pub fn draw(&mut self) -> (Span, Need) {
        let (at, prompt, output) = match &mut self.clock {
            Clock::Poisson { gaps, mean, now } => {
                *now += gaps.exponential() * *mean;
                (micros_to_span(*now), None, None)
            }
            Clock::Trace { requests, next, round, offset, speed } => {
                if *next == requests.rows.len() {
                    (*next, *round) = (0, *round + 1);
                }
                let (at, prompt, output) = requests.rows[*next];
                *next += 1;
                let since = *round as f64 * requests.period.0 as f64 + at.0 as f64 - offset.0 as f64;
                (micros_to_span(since / *speed), Some(prompt), Some(output))
            }
        };
        let turn = self.turns.unit();
        let need = match &mut self.cost {
            Sizes::Law(law, stream) => Need { prefill: law.draw(stream), tokens: 0, turn },
            Sizes::Tokens(tokens) => {
                let prompt = u64::from(prompt.or(tokens.prompt).unwrap_or(0));
                let prefill =
                    tokens.prefill.0.saturating_add(tokens.per_prompt_token.0.saturating_mul(prompt));
                Need { prefill: Span(prefill), tokens: output.or(tokens.output).unwrap_or(0), turn }
            }
        };
        (at, need)
    }
}

impl TimeSlicing {
    /// Latency of one request that needs `gpu` of a GPU's time while `busy` processes want it, itself among
    /// them: with slices of q and c = ε·q for a switch, `g + w + (⌈g/q⌉ − 1)·(n − 1)·(q + c) + ⌈g/q⌉·c`. The
    /// first wait w is `turn` of (n − 1)(q + c), later ones are full. For g ≫ q it tends to (1 + ε)·n·g, as
    /// speeds do.
    #[must_use]
    pub fn latency(&self, gpu: Span, busy: u32, turn: f64) -> Span {
        if busy <= 1 {
            return gpu;
        }
        let slice = self.slice.0 as f64;
        let switch = self.loss * slice;
        let slices = gpu.0.div_ceil(self.slice.0) as f64;
        let others = f64::from(busy - 1) * (slice + switch);
        let waits = turn * others + (slices - 1.0).max(0.0) * others + slices * switch;
        Span(gpu.0.saturating_add(micros_to_span(waits).0))
    }
}

/// Moves a time since a pod's arrival to the clock of the run; `None` beyond it.
#[must_use]
pub fn moment(arrival: Time, since: Span) -> Option<Time> {
    arrival.0.checked_add(since.0).filter(|at| *at < u64::MAX / 2).map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of sharing-models.md §4, by hand for a short request and in its limit.
    #[test]
    fn requests_take_their_turns() {
        let model = TimeSlicing { loss: 0.1, slice: Span(2_000), ..TimeSlicing::default() };
        // 5 ms in three slices of 2 ms among three: first wait 0 to 4.4 ms, two full ones, three switches.
        for (turn, micros) in [(0.0, 5_000 + 8_800 + 600), (0.5, 5_000 + 2_200 + 8_800 + 600)] {
            assert_eq!(model.latency(Span(5_000), 3, turn), Span(micros), "{turn}");
        }
        assert_eq!(model.latency(Span(5_000), 1, 0.9), Span(5_000));
        assert_eq!(model.latency(Span::ZERO, 3, 0.0), Span::ZERO);
        let model = TimeSlicing::default();
        for busy in 2..=7 {
            let long = model.latency(Span::from_secs(100), busy, 0.5).as_secs_f64();
            let limit = 1.11 * f64::from(busy) * 100.0;
            assert!((long / limit - 1.0).abs() < 1e-4, "{busy}: {long} against {limit}");
        }
    }

    #[test]
    fn tokens_cost_what_was_measured() {
        let (name, tokens) = Tokens::NAMED[4];
        assert_eq!(name, "7g.40gb-14b");
        let service = Service {
            cost: Cost::Tokens(Tokens { prompt: Some(1_000), output: Some(100), ..tokens }),
            arrivals: Arrivals::Poisson { per_second: 1.0 },
            concurrency: 8,
            target: None,
        };
        let (_, need) = Asked::new(&service, 1, 0).draw();
        assert_eq!(need.prefill, Span(45_300 + 157_000));
        assert_eq!(service.takes(&need, 1), Span(202_300 + 100 * (24_800 + 156)));
        assert_eq!(service.takes(&need, 8), Span(202_300 + 100 * (24_800 + 8 * 156)));
        let slow = service.writing_speed(Speed::FULL, 8);
        assert_eq!(slow, Speed::from_ratio(24_956.0 / 26_048.0));
        assert_eq!(service.writing_speed(Speed::STILL, 8), Speed::STILL);
        assert!(service.printed().is_some_and(|row| row.default && row.confidence == "A"));
    }

    #[test]
    fn a_trace_goes_round_and_a_pod_begins_where_it_will() {
        let rows = vec![(Span(0), 1, 1), (Span(4_000_000), 2, 2), (Span(6_000_000), 3, 3)];
        let trace = RequestTrace {
            file: String::new(),
            arrival: String::new(),
            prompt: String::new(),
            output: String::new(),
            speed: 2.0,
            sha256: None,
            requests: Some(Arc::new(Requests { rows, period: Span::from_secs(9) })),
        };
        let service = Service {
            cost: Cost::Tokens(Tokens::NAMED[0].1),
            arrivals: Arrivals::Trace(trace),
            concurrency: 1,
            target: None,
        };
        let mut asked = Asked::new(&service, 3, 0);
        let seen: Vec<(Span, u32)> =
            (0..7).map(|_| asked.draw()).map(|(at, need)| (at, need.tokens)).collect();
        for pair in seen.windows(2) {
            assert_eq!(pair[0].1 % 3 + 1, pair[1].1, "in order, again and again");
            let gap = [2_000_000, 1_000_000, 1_500_000][pair[0].1 as usize - 1];
            assert_eq!(pair[1].0.0 - pair[0].0.0, gap, "twice as fast");
        }
        assert_eq!(seen[3].0.0 - seen[0].0.0, 4_500_000);
    }
}
