//! The limits of an API client: a bucket of tokens, as client-go's flow control has one.

use crate::sched::spec::ApiLimits;
use crate::units::Time;

/// Tokens are counted in millionths, so that a rate per second is one per microsecond.
const TOKEN: i64 = 1_000_000;

/// A bucket that fills at a rate and lets nobody take more than it will hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    limits: ApiLimits,
    /// Tokens at `at`; below 0 where calls were promised for later.
    level: i64,
    at: Time,
}

impl Bucket {
    pub(super) fn new(limits: ApiLimits) -> Bucket {
        Bucket { limits, level: i64::from(limits.burst) * TOKEN, at: Time::ZERO }
    }

    /// Makes `calls` one after another, the first not before `now`; when the last may go out.
    pub(super) fn call(&mut self, now: Time, calls: u32) -> Time {
        let rate = i64::from(self.limits.qps);
        let since = i64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(i64::MAX);
        let most = i64::from(self.limits.burst) * TOKEN;
        self.level = self.level.saturating_add(since.saturating_mul(rate)).min(most);
        self.at = self.at.max(now);
        self.level -= i64::from(calls) * TOKEN;
        let owed = self.level.min(0).unsigned_abs();
        Time(self.at.0 + owed.div_ceil(u64::from(self.limits.qps)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_comes_at_the_rate() {
        let mut bucket = Bucket::new(ApiLimits { qps: 50, burst: 100 });
        let second = 1_000_000;
        assert_eq!(bucket.call(Time(0), 100), Time(0));
        assert_eq!(bucket.call(Time(0), 1), Time(20_000));
        assert_eq!(bucket.call(Time(0), 2), Time(60_000));
        // A second later it has paid its debt of 3 and holds 47.
        assert_eq!(bucket.call(Time(second), 47), Time(second));
        assert_eq!(bucket.call(Time(second), 1), Time(second + 20_000));
        assert_eq!(bucket.call(Time(100 * second), 100), Time(100 * second));
    }
}
