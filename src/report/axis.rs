//! Scales, and ticks that people read: round numbers, minutes, hours and days.

use super::human;
use super::human::seconds;

/// A place along an axis and what is written there.
pub(super) type Tick = (f64, String);

/// From values to places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Values at the ends.
    pub(super) values: (f64, f64),
    /// Places of the ends, in pixels.
    pub(super) places: (f64, f64),
    /// Whether equal ratios take equal room.
    pub(super) log: bool,
}

impl Scale {
    /// The place of a value; values beyond the ends are at the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let warp = |x: f64| if self.log { libm::log10(x.max(f64::MIN_POSITIVE)) } else { x };
        let (from, to) = (warp(self.values.0), warp(self.values.1));
        let share = if from < to { ((warp(value) - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
        self.places.0 + share * (self.places.1 - self.places.0)
    }
}

/// The least of 1, 2, 5, 10, 20, … times a power of ten that is `rough` or more.
fn round_step(rough: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|s| rough <= *s).unwrap_or(10.0 * power)
}

/// Ticks from 0 to the first one at or above `most`, about `wanted` of them.
pub(super) fn from_zero(most: f64, wanted: usize) -> Vec<Tick> {
    let most = if most.is_finite() && 0.0 < most { most } else { 1.0 };
    let step = round_step(most / wanted as f64);
    let last = libm::ceil(most / step - 1e-9) as usize;
    (0..=last.max(1)).map(|i| i as f64 * step).map(|x| (x, tick_label(x))).collect()
}

fn tick_label(x: f64) -> String {
    if x < 1.0 && x != 0.0 { human::number(libm::round(x * 1e6) / 1e6) } else { decimal(x) }
}

/// A level without needless decimals: `2.5`, not `2.50`.
fn decimal(x: f64) -> String {
    let text = human::level(x);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Steps of a time axis, in seconds.
const TIME_STEPS: [f64; 21] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0,
    21_600.0, 43_200.0, 86_400.0, 172_800.0, 432_000.0, 604_800.0,
];

/// The shortest step of a time axis that is `rough` seconds or more.
pub(super) fn time_step(rough: f64) -> f64 {
    const DAY: f64 = 86_400.0;
    if rough < TIME_STEPS[0] {
        return round_step(rough.max(1e-6));
    }
    TIME_STEPS.into_iter().find(|s| rough <= *s).unwrap_or_else(|| round_step(rough / DAY) * DAY)
}

/// Ticks of time between two moments, at most `wanted` and both ends included where they are round.
pub(super) fn time(from: f64, to: f64, wanted: usize) -> Vec<Tick> {
    let step = time_step((to - from).max(1e-6) / wanted as f64);
    let first = libm::ceil(from / step - 1e-9);
    let mut ticks = Vec::new();
    let mut at = first * step;
    while at <= to + step * 1e-9 && ticks.len() <= 2 * wanted {
        ticks.push((at, moment(at)));
        at = (first + ticks.len() as f64) * step;
    }
    ticks
}

fn moment(secs: f64) -> String {
    if secs == 0.0 { "0".to_owned() } else { seconds(secs) }
}

/// Round spans, about a factor ten apart: `1s`, `10s`, `1m`, `10m`, `1h`, …, in the clock's range.
fn round_spans() -> impl Iterator<Item = f64> {
    const DAY: f64 = 86_400.0;
    let short = (0..8).map(|i| libm::pow(10.0, f64::from(i - 6)));
    let clock = [60.0, 600.0, 3_600.0, 21_600.0];
    short.chain(clock).chain((0..9).map(|i| DAY * libm::pow(10.0, f64::from(i))))
}

/// Ends and ticks of a log axis that holds everything from `least` to `most` seconds.
pub(super) fn log_time(least: f64, most: f64) -> ((f64, f64), Vec<Tick>) {
    let spans: Vec<f64> = round_spans().collect();
    let below = spans.iter().rposition(|s| *s <= least).unwrap_or(0);
    let above = spans.iter().position(|s| most <= *s).unwrap_or(spans.len() - 1).max(below + 1);
    let above = above.min(spans.len() - 1);
    let ticks = spans[below..=above].iter().map(|s| (*s, seconds(*s))).collect();
    ((spans[below], spans[above]), ticks)
}

/// Ends and ticks, at 1, 2 and 5 times powers of ten, of a log axis that holds everything from `least` to
/// `most`.
pub(super) fn log(least: f64, most: f64) -> ((f64, f64), Vec<Tick>) {
    let decade = |x: f64| libm::floor(libm::log10(x)) as i32;
    let round: Vec<f64> = (decade(least)..=decade(most) + 1)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|m| m * libm::pow(10.0, f64::from(decade))))
        .collect();
    // What is beyond a tick by less than a marker is wide stands at it.
    const CLOSE: f64 = 1.02;
    let below = round.iter().rposition(|tick| *tick <= least * CLOSE).unwrap_or(0);
    let above = round.iter().position(|tick| most <= *tick * CLOSE).unwrap_or(round.len() - 1);
    let ticks = &round[below..=above.max(below + 1)];
    ((ticks[0], ticks[ticks.len() - 1]), ticks.iter().map(|tick| (*tick, tick_label(*tick))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> String {
        ticks.iter().map(|t| t.1.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&from_zero(64.0, 4)), "0 20 40 60 80");
        assert_eq!(labels(&from_zero(1.0, 4)), "0 0.5 1");
        assert_eq!(labels(&from_zero(0.0, 4)), "0 0.5 1");
        assert_eq!(labels(&from_zero(120_000.0, 4)), "0 50,000 100,000 150,000");
        assert_eq!(labels(&from_zero(9.0, 4)), "0 5 10");
    }

    #[test]
    fn times_are_said_as_people_do() {
        assert_eq!(labels(&time(0.0, 86_400.0, 8)), "0 3h 6h 9h 12h 15h 18h 21h 1d");
        assert_eq!(labels(&time(0.0, 45.0, 6)), "0 10s 20s 30s 40s");
        assert_eq!(labels(&time(0.0, 30.0 * 86_400.0, 8)), "0 5d 10d 15d 20d 25d 30d");
        assert_eq!(labels(&time(0.0, 0.0, 8)), "0");
        assert!(time(0.0, 1e12, 8).len() <= 12);
    }

    #[test]
    fn log_axes_hold_their_data() {
        let (ends, ticks) = log_time(3.0, 50_000.0);
        assert_eq!(ends, (1.0, 86_400.0));
        assert_eq!(labels(&ticks), "1s 10s 1m 10m 1h 6h 1d");
        for (least, most, expected) in
            [(0.08, 1.0, "0.05 0.1 0.2 0.5 1"), (0.9, 1.01, "0.5 1"), (1.0, 1.0, "1 2")]
        {
            assert_eq!(labels(&log(least, most).1), expected);
        }
        let scale = Scale { values: ends, places: (100.0, 200.0), log: true };
        assert_eq!((scale.at(1.0), scale.at(0.0), scale.at(1e9)), (100.0, 100.0, 200.0));
    }
}
