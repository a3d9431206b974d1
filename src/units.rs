//! Quantities: integers that carry their unit in their type.
//!
//! Nothing in the model is a float that could round differently on another processor. Time is
//! microseconds, work is microseconds at full speed times parts per million, memory is MiB and CPU
//! is thousandths of a core. People write `2h`, `80GiB` and `500m`; [`parse`] reads that and
//! nothing below the scenario sees text.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Microseconds in one second.
pub const MICROS_PER_SECOND: u64 = 1_000_000;

/// A moment of simulated time: microseconds since the start of the run.
///
/// `u64` reaches 584,000 years, which the queueing judges need (their time unit is 10⁶ s).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A length of simulated time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Time {
    /// The start of every run.
    pub const ZERO: Time = Time(0);

    /// Time passed since `earlier`.
    ///
    /// # Panics
    /// If `earlier` is later than `self`: simulated time never runs backwards.
    #[must_use]
    pub fn since(self, earlier: Time) -> Span {
        assert!(earlier <= self, "time runs forwards");
        Span(self.0 - earlier.0)
    }

    /// Seconds since the start, for reports.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        Span(self.0).as_secs_f64()
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Span {
        Span(secs * MICROS_PER_SECOND)
    }

    /// The span nearest to `secs` seconds, or `None` when it is negative, not a number or beyond
    /// the range of the clock.
    #[must_use]
    pub fn from_secs_f64(secs: f64) -> Option<Span> {
        let micros = libm::round(secs * MICROS_PER_SECOND as f64);
        // 2^63 keeps sums of two spans inside u64.
        ((0.0..9.2e18).contains(&micros)).then_some(Span(micros as u64))
    }

    /// Seconds, for reports.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / MICROS_PER_SECOND as f64
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.checked_add(span.0).expect("simulated time fits 64 bits"))
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.checked_add(other.0).expect("a span fits 64 bits"))
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.checked_sub(other.0).expect("a span is not negative"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

/// Two largest units, as people say it: `3d4h`, `2h30m`, `45s`, `1.5s`, `250ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let text = if self.0 == 0 {
            "0s".to_owned()
        } else if self.0 < 1_000 {
            format!("{}us", self.0)
        } else if self.0 < MICROS_PER_SECOND {
            format!("{}ms", trim(self.0 as f64 / 1_000.0))
        } else if self.0 < 60 * MICROS_PER_SECOND {
            format!("{}s", trim(self.as_secs_f64()))
        } else {
            let secs = (self.0 + MICROS_PER_SECOND / 2) / MICROS_PER_SECOND;
            let first = UNITS.iter().position(|u| u.0 <= secs).expect("a minute or more");
            let (size, name) = UNITS[first];
            let mut text = format!("{}{name}", secs / size);
            if let Some((next, name)) = UNITS.get(first + 1)
                && 0 < secs % size / next
            {
                text.push_str(&format!("{}{name}", secs % size / next));
            }
            text
        };
        f.pad(&text)
    }
}

/// Up to two decimals, without trailing zeros.
fn trim(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Memory in MiB (2²⁰ bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mib(pub u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n != 0 && n % 1_024 == 0 => f.pad(&format!("{}GiB", n / 1_024)),
            n => f.pad(&format!("{n}MiB")),
        }
    }
}

/// CPU in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliCpu(pub u64);

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n % 1_000 == 0 => f.pad(&(n / 1_000).to_string()),
            n => f.pad(&format!("{n}m")),
        }
    }
}

/// How fast a pod works, in parts per million of a full GPU of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(pub u32);

impl Speed {
    /// A full GPU of its own: one second of work a second.
    pub const FULL: Speed = Speed(1_000_000);

    /// No work is done: a pod starts, or writes a checkpoint.
    pub const STILL: Speed = Speed(0);

    /// The nearest speed to a ratio, at least one part per million so that all work ends.
    #[must_use]
    pub fn from_ratio(ratio: f64) -> Speed {
        assert!(ratio.is_finite() && 0.0 <= ratio, "a speed is a finite, non-negative ratio");
        Speed((libm::round(ratio * 1e6) as u32).max(1))
    }
}

/// An amount of work: microseconds on a full GPU × 10⁶, so that work = span × [`Speed`] exactly.
///
/// 128 bits because 64 would end at 213 days of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(pub u128);

impl Work {
    /// The work that takes `span` on a full GPU.
    #[must_use]
    pub fn alone(span: Span) -> Work {
        Work::done(span, Speed::FULL)
    }

    /// The work done in `span` at `speed`.
    #[must_use]
    pub fn done(span: Span, speed: Speed) -> Work {
        Work(u128::from(span.0) * u128::from(speed.0))
    }

    /// How long this work takes at `speed`, rounded up to the next microsecond.
    ///
    /// # Panics
    /// At [`Speed::STILL`].
    #[must_use]
    pub fn time_at(self, speed: Speed) -> Span {
        let micros = match u64::try_from(self.0) {
            // The common case avoids a 128-bit division (some 30 ns).
            Ok(small) => small.div_ceil(u64::from(speed.0)),
            Err(_) => u64::try_from(self.0.div_ceil(u128::from(speed.0)))
                .expect("work ends within the range of the clock"),
        };
        Span(micros)
    }

    /// What is left after `done`; zero when `done` is more (a finish is rounded up to a tick).
    #[must_use]
    pub fn minus(self, done: Work) -> Work {
        Work(self.0.saturating_sub(done.0))
    }
}

impl Serialize for Span {
    /// As people write it, exactly: the largest unit that divides it.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&exact_span(*self))
    }
}

impl Serialize for Mib {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for MilliCpu {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A span without loss: `36h`, `90s`, `1500ms`. [`parse::span`] reads it back.
#[must_use]
pub fn exact_span(span: Span) -> String {
    const UNITS: [(u64, &str); 6] = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1_000, "ms"),
        (1, "us"),
    ];
    if span == Span::ZERO {
        return "0s".to_owned();
    }
    let (size, name) =
        UNITS.into_iter().find(|u| span.0.is_multiple_of(u.0)).expect("a microsecond divides every span");
    format!("{}{name}", span.0 / size)
}

/// Reading quantities that people write. Every error says what was wrong and what would be right.
pub mod parse {
    use super::{Mib, MilliCpu, Span};

    /// `90s`, `2h`, `1h30m`, `1.5d`, `250ms`; a bare number is refused, since its unit is a guess.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn span(text: &str) -> Result<Span, String> {
        const HELP: &str = "write a number and a unit: `90s`, `30m`, `2h`, `1h30m`, `7d`, `250ms`";
        let mut total = 0.0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(format!("empty duration; {HELP}"));
        }
        if rest == "0" {
            return Ok(Span::ZERO);
        }
        while !rest.is_empty() {
            let (number, after) = split_number(rest);
            let (unit, after) =
                after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
            let value: f64 = number.parse().map_err(|_| format!("`{text}` is not a duration; {HELP}"))?;
            let micros = match unit {
                "us" | "µs" => 1.0,
                "ms" => 1e3,
                "s" | "sec" => 1e6,
                "m" | "min" => 6e7,
                "h" => 3.6e9,
                "d" => 8.64e10,
                "w" => 6.048e11,
                "" => return Err(format!("`{text}` has no unit; {HELP}")),
                other => return Err(format!("unknown unit `{other}` in `{text}`; {HELP}")),
            };
            total += value * micros;
            rest = after.trim_start();
        }
        Span::from_secs_f64(total / 1e6).ok_or_else(|| format!("`{text}` is out of range; {HELP}"))
    }

    /// `80GiB`, `512Mi`, `40GB`, `0.5TiB`; a bare number is refused. Rounded up to whole MiB.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn mib(text: &str) -> Result<Mib, String> {
        const HELP: &str = "write a number and a unit: `512MiB`, `80GiB`, `1.5TiB` (or decimal: `80GB`)";
        let text = text.trim();
        if text == "0" {
            return Ok(Mib(0));
        }
        let (number, unit) = split_number(text);
        let value: f64 =
            number.parse().map_err(|_| format!("`{text}` is not an amount of memory; {HELP}"))?;
        let bytes = match unit.trim() {
            "KiB" | "Ki" => 1024.0,
            "MiB" | "Mi" => 1_048_576.0,
            "GiB" | "Gi" => 1_073_741_824.0,
            "TiB" | "Ti" => 1_099_511_627_776.0,
            "kB" | "KB" | "k" => 1e3,
            "MB" | "M" => 1e6,
            "GB" | "G" => 1e9,
            "TB" | "T" => 1e12,
            "" => return Err(format!("`{text}` has no unit; {HELP}")),
            other => return Err(format!("unknown unit `{other}` in `{text}`; {HELP}")),
        };
        let mib = libm::ceil(value * bytes / 1_048_576.0);
        if (0.0..1e15).contains(&mib) {
            Ok(Mib(mib as u64))
        } else {
            Err(format!("`{text}` is out of range; {HELP}"))
        }
    }

    /// `500m`, `16`, `1.5`: cores, or thousandths with `m`, as in Kubernetes.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn milli_cpu(text: &str) -> Result<MilliCpu, String> {
        const HELP: &str = "write cores (`16`, `1.5`) or thousandths (`500m`)";
        let (number, unit) = split_number(text.trim());
        let value: f64 = number.parse().map_err(|_| format!("`{text}` is not an amount of CPU; {HELP}"))?;
        let milli = match unit {
            "" => value * 1_000.0,
            "m" => value,
            other => return Err(format!("unknown unit `{other}` in `{text}`; {HELP}")),
        };
        let whole = libm::round(milli);
        if !(0.0..1e12).contains(&milli) {
            Err(format!("`{text}` is out of range; {HELP}"))
        } else if 1e-6 < (whole - milli).abs() {
            Err(format!("`{text}` is finer than a thousandth of a core; {HELP}"))
        } else {
            Ok(MilliCpu(whole as u64))
        }
    }

    fn split_number(text: &str) -> (&str, &str) {
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'))
            .unwrap_or(text.len());
        text.split_at(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print() {
        for (text, micros) in [
            ("90s", 90_000_000),
            ("1h30m", 5_400_000_000),
            ("0", 0),
            ("250ms", 250_000),
            ("1.5d", 129_600_000_000),
        ] {
            assert_eq!(parse::span(text), Ok(Span(micros)), "{text}");
            assert_eq!(parse::span(&exact_span(Span(micros))), Ok(Span(micros)), "{text}");
        }
        for bad in ["", "5", "-3s", "NaNs", "3 parsecs", "h", "1e400s"] {
            assert!(parse::span(bad).is_err(), "{bad}");
        }
        assert_eq!(Span::from_secs(93_784).to_string(), "1d2h");
        assert_eq!(Span(1_500_000).to_string(), "1.5s");
    }

    #[test]
    fn memory_and_cpu_read() {
        assert_eq!(parse::mib("80GiB"), Ok(Mib(81_920)));
        assert_eq!(parse::mib("1GB"), Ok(Mib(954)), "rounded up: a need is never understated");
        assert_eq!(parse::milli_cpu("500m"), Ok(MilliCpu(500)));
        assert_eq!(parse::milli_cpu("1.5"), Ok(MilliCpu(1_500)));
        for bad in ["80", "-1GiB", "x", "1GiBB"] {
            assert!(parse::mib(bad).is_err(), "{bad}");
        }
        for bad in ["", "-1", "NaN", "0.0001", "5k"] {
            assert!(parse::milli_cpu(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn work_is_settled_exactly() {
        let work = Work::alone(Span::from_secs(10));
        let left = work.minus(Work::done(Span::from_secs(4), Speed(250_000)));
        assert_eq!(left.time_at(Speed::FULL), Span::from_secs(9));
        assert_eq!(Work::alone(Span(1)).time_at(Speed(300_000)), Span(4), "rounded up to a tick");
    }
}
