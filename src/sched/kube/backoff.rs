//! How long a failed pod is held back.

use super::rules::Rules;
use crate::units::{MICROS_PER_SECOND, Span, Time};

/// Limits of back-off and of waiting without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Backoff {
    /// First back-off (`podInitialBackoffSeconds`).
    pub initial: Span,
    /// Longest back-off (`podMaxBackoffSeconds`).
    pub max: Span,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { initial: Span::from_secs(1), max: Span::from_secs(10) }
    }
}

impl Backoff {
    /// `calculateBackoffDuration`: the first doubled for every further failure, up to the limit.
    #[must_use]
    pub fn duration(&self, count: u32) -> Span {
        let Some(doublings) = count.checked_sub(1) else { return Span::ZERO };
        let limit = self.max.0.checked_shr(doublings).unwrap_or(0);
        match limit < self.initial.0 {
            true => self.max,
            false => Span(self.initial.0.checked_shl(doublings).unwrap_or(0)),
        }
    }

    /// When back-off ends for a pod that failed at `failed`; `None` where there is none.
    #[must_use]
    pub fn expiry(&self, failed: Time, count: u32, rules: &Rules) -> Option<Time> {
        let none = count == 0 || (rules.counts_apart && self.max == Span::ZERO);
        let end = failed + self.duration(count);
        (!none).then_some(if rules.pop_from_backoff { whole_second(end) } else { end })
    }
}

/// Whether back-off that ends at `expiry` still holds at `now`.
#[must_use]
pub fn holds(expiry: Option<Time>, now: Time, rules: &Rules) -> bool {
    let now = if rules.pop_from_backoff { whole_second(now) } else { now };
    expiry.is_some_and(|expiry| if rules.holds_at_expiry { now <= expiry } else { now < expiry })
}

/// The first tick at which a pod whose back-off ends at `expiry` leaves it: ticks are whole seconds.
#[must_use]
pub fn leaves(expiry: Time, rules: &Rules) -> Time {
    match rules.holds_at_expiry {
        true => whole_second(expiry) + Span::from_secs(1),
        false => Time(expiry.0.div_ceil(MICROS_PER_SECOND) * MICROS_PER_SECOND),
    }
}

fn whole_second(time: Time) -> Time {
    Time(time.0 / MICROS_PER_SECOND * MICROS_PER_SECOND)
}
