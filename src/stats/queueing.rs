//! Closed forms of queues, as judges of a simulation.
//!
//! Units: mean service time is 1 and arrivals are Poisson, unless said. `c` servers, offered load
//! `a` (the arrival rate), load per server ρ = a/c. A mean wait counts those who do not wait.

use libm::{cos, exp, log, sin};
use std::f64::consts::PI;

/// Share of arrivals that a loss system of `c` servers turns away (Erlang B); any distribution of
/// service.
#[must_use]
pub fn erlang_b(c: u32, a: f64) -> f64 {
    // B(n) from B(n-1): each step divides by more than it multiplies, so nothing overflows.
    (1..=c).fold(1.0, |b, n| a * b / (f64::from(n) + a * b))
}

/// Probability to wait in M/M/c (Erlang C).
///
/// # Panics
/// Unless `a < c`: beyond that the queue grows for ever.
#[must_use]
pub fn erlang_c(c: u32, a: f64) -> f64 {
    assert!(a < f64::from(c), "the queue is stable");
    let b = erlang_b(c, a);
    b / (1.0 - a / f64::from(c) * (1.0 - b))
}

/// Mean wait in M/M/c.
///
/// # Panics
/// Unless `a < c`.
#[must_use]
pub fn mmc_wait(c: u32, a: f64) -> f64 {
    erlang_c(c, a) / (f64::from(c) - a)
}

/// The wait in M/M/c, first come first served, that a share `exceeded` of all arrivals exceeds; 0
/// where fewer wait at all.
///
/// # Panics
/// Unless `a < c` and `0 < exceeded`.
#[must_use]
pub fn mmc_wait_quantile(c: u32, a: f64, exceeded: f64) -> f64 {
    assert!(0.0 < exceeded, "a wait that nobody exceeds is infinite");
    log((erlang_c(c, a) / exceeded).max(1.0)) / (f64::from(c) - a)
}

/// M/M/c with room for `c` in service and a limited queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limited {
    /// Share of arrivals turned away.
    pub blocked: f64,
    /// Mean number waiting.
    pub waiting: f64,
}

/// M/M/c/K: at most `k` in the system, waiting ones included.
///
/// # Panics
/// Unless `c <= k` and `0 < c`.
#[must_use]
pub fn mmck(c: u32, k: u32, a: f64) -> Limited {
    assert!(0 < c && c <= k, "the system holds its servers");
    let mut weights = vec![1.0];
    for n in 1..=k {
        let weight = weights[weights.len() - 1] * a / f64::from(n.min(c));
        weights.push(weight);
        rescale(&mut weights);
    }
    let total: f64 = weights.iter().sum();
    let waiting: f64 = weights.iter().skip(c as usize).enumerate().map(|(n, w)| n as f64 * w).sum();
    Limited { blocked: weights[weights.len() - 1] / total, waiting: waiting / total }
}

/// A processor that its jobs share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// Mean time from arrival to departure.
    pub time: f64,
    /// Mean wait before it begins to be served, where only so many are at once.
    pub wait: f64,
    /// Probability that anybody is served.
    pub busy: f64,
}

/// A shared processor that serves n jobs with a total speed of `speed(n)`, at most `most` of them at once,
/// the others first come, first served; arrivals at rate `a`. Without a limit the time does not depend on the
/// distribution of work; with one, work is exponential.
///
/// # Panics
/// Unless the processor keeps up with the arrivals.
#[must_use]
pub fn processor_sharing(a: f64, speed: impl Fn(u32) -> f64, most: Option<u32>) -> Shared {
    /// Where the tail of any stable case of ours is below what a double holds.
    const STATES: u32 = 20_000;
    let served = |n: u32| most.map_or(n, |most| n.min(most));
    let mut weights = vec![1.0];
    for n in 1..=STATES {
        let weight = weights[weights.len() - 1] * a / speed(served(n));
        if weight < 1e-18 * weights[0] && weight < 1e-18 {
            break;
        }
        weights.push(weight);
        assert!(n < STATES, "the processor keeps up");
    }
    let total: f64 = weights.iter().sum();
    let mean = |of: &dyn Fn(u32) -> u32| {
        weights.iter().enumerate().map(|(n, w)| f64::from(of(n as u32)) * w).sum::<f64>() / total
    };
    Shared { time: mean(&|n| n) / a, wait: mean(&|n| n - served(n)) / a, busy: 1.0 - weights[0] / total }
}

/// One class of a shared pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolClass {
    /// Offered load: arrivals in a mean holding time.
    pub load: f64,
    /// Units that each arrival holds, 1 or more.
    pub units: u32,
}

/// What becomes of classes that share a pool without waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Share of each class's arrivals that are turned away.
    pub blocked: Vec<f64>,
    /// Mean number of units in use.
    pub in_use: f64,
}

/// Sized classes on one pool of `capacity` units without any placement rule (Kaufman 1981, Roberts
/// 1981); any distribution of holding time.
///
/// # Panics
/// If a class holds no unit.
#[must_use]
pub fn kaufman_roberts(capacity: u32, classes: &[PoolClass]) -> Pool {
    assert!(classes.iter().all(|c| 0 < c.units), "each arrival holds something");
    let mut weights = vec![1.0];
    for used in 1..=capacity {
        let from = |c: &PoolClass| match used.checked_sub(c.units) {
            Some(before) => c.load * f64::from(c.units) * weights[before as usize],
            None => 0.0,
        };
        let weight = classes.iter().map(from).sum::<f64>() / f64::from(used);
        weights.push(weight);
        rescale(&mut weights);
    }
    let total: f64 = weights.iter().sum();
    // A class is turned away where fewer units are free than it holds.
    let blocked = |c: &PoolClass| {
        let first = (capacity + 1).saturating_sub(c.units) as usize;
        weights[first..].iter().sum::<f64>() / total
    };
    let in_use: f64 = weights.iter().enumerate().map(|(n, w)| n as f64 * w).sum();
    Pool { blocked: classes.iter().map(blocked).collect(), in_use: in_use / total }
}

/// Weights of a distribution count only relative to each other: keeps the last, which grows, far
/// from the range of a float.
fn rescale(weights: &mut [f64]) {
    const LARGE: f64 = 1e200;
    if weights.last().is_some_and(|w| LARGE < *w) {
        weights.iter_mut().for_each(|w| *w /= LARGE);
    }
}

/// Mean wait in M/G/1 with load `rho` and a squared coefficient of variation `scv` of service
/// (Pollaczek-Khinchine).
///
/// # Panics
/// Unless `rho < 1`.
#[must_use]
pub fn mg1_wait(rho: f64, scv: f64) -> f64 {
    assert!(rho < 1.0, "the queue is stable");
    rho / (1.0 - rho) * (1.0 + scv) / 2.0
}

/// Mean wait of each class in M/M/1 with priorities that do not preempt, highest first, by the
/// classes' arrival rates (Cobham 1954).
///
/// # Panics
/// Unless the rates sum to less than 1.
#[must_use]
pub fn priority_waits(rates: &[f64]) -> Vec<f64> {
    let rho: f64 = rates.iter().sum();
    assert!(rho < 1.0, "the queue is stable");
    let mut above = 0.0;
    let wait = |rate: &f64| {
        let with = above + rate;
        // The one in service has 1 left on average, and is there with probability rho.
        let wait = rho / ((1.0 - above) * (1.0 - with));
        above = with;
        wait
    };
    rates.iter().map(wait).collect()
}

/// Exact mean wait in M/D/c (Crommelin 1932), in *O*(`c`/(1 − ρ)) steps, to the six digits that tables
/// print; at hundreds of servers its terms cancel and digits are lost.
///
/// In one service time whoever was in service leaves, so the number waiting after it is
/// `max(waiting + Poisson(a) − c, 0)`. Its generating function has the roots `z` of
/// `z^c = e^{a(z−1)}` within the unit circle, and its mean is `Σ 1/(1−z) − (c(c−1) − a²)/(2(c−a))`
/// over the roots other than 1.
///
/// # Panics
/// Unless `0 < a < c`.
#[must_use]
pub fn mdc_wait(c: u32, a: f64) -> f64 {
    let servers = f64::from(c);
    assert!(0.0 < a && a < servers, "the queue is stable and somebody comes");
    let sum: f64 = (1..c)
        .map(|k| real_of_one_over_one_minus(root(2.0 * PI * f64::from(k) / servers, a / servers)))
        .sum();
    let waiting = sum - (servers * (servers - 1.0) - a * a) / (2.0 * (servers - a));
    waiting / a
}

/// A complex number, real part first.
type Complex = (f64, f64);

/// The root of `z = e^{i·angle} · e^{rho(z−1)}` within the unit circle. The right side brings points
/// of the circle closer by `rho` or less, so repeating it converges, and once a step is no shorter
/// than the one before only rounding is left.
fn root(angle: f64, rho: f64) -> Complex {
    let (mut z, mut last_step) = ((0.0, 0.0), f64::INFINITY);
    loop {
        let (radius, turn) = (exp(rho * (z.0 - 1.0)), angle + rho * z.1);
        let next: Complex = (radius * cos(turn), radius * sin(turn));
        let (dx, dy) = (next.0 - z.0, next.1 - z.1);
        let step = dx * dx + dy * dy;
        if last_step <= step {
            return z;
        }
        (z, last_step) = (next, step);
    }
}

/// Real part of `1/(1−z)`; the imaginary parts of conjugate roots cancel.
fn real_of_one_over_one_minus((re, im): Complex) -> f64 {
    (1.0 - re) / ((1.0 - re) * (1.0 - re) + im * im)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares at the digits printed: `.5` and `.50000000` ask for different accuracy.
    #[track_caller]
    fn check(value: f64, printed: &str) {
        let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
        let decimals = mantissa.split_once('.').map_or(0, |(_, d)| d.len());
        let scaled = value / libm::pow(10.0, exponent.parse().expect("an exponent"));
        let expected: f64 = mantissa.parse().expect("a number");
        assert_eq!(format!("{scaled:.decimals$}"), format!("{expected:.decimals$}"), "{printed}");
    }

    #[test]
    fn mmc_is_as_tabled() {
        const LOADS: [f64; 5] = [0.5, 0.7, 0.8, 0.9, 0.95];
        const TABLE: &str = "
            1   | .5 / 1 | .7 / 2.3333333 | .8 / 4 | .9 / 9 | .95 / 19
            2   | .33333333 / .33333333 | .57647059 / .96078431 | .71111111 / 1.7777778 | .85263158 / 4.2631579 | .92564103 / 9.2564103
            4   | .17391304 / .086956522 | .42865432 / .35721193 | .59643247 / .74554059 | .78775326 / 1.9693832 | .891419 / 4.457095
            8   | .059043995 / .014760999 | .27060293 / .11275122 | .45764493 / .28602808 | .70153299 / .87691624 | .84416863 / 2.1104216
            16  | .0090188097 / .0011273512 | .12967579 / .02701579 | .30488391 / .095276223 | .59134339 / .36958962 | .78019246 / .97524058
            32  | .00029105799 / 1.8191124e-5 | .038019471 / .0039603616 | .16062321 / .025097377 | .45819662 / .14318644 | .69571011 / .43481882
            64  | 4.2637162e-7 / 1.3324113e-8 | .0044125519 / .00022982041 | .056056376 / .0043794043 | .31066332 / .048541143 | .58801093 / .18375342
            100 | 3.2606e-10 / 6.5213e-12 | .00045925385 / 1.5308e-5 | .019646427 / .00098232133 | .21694048 / .021694048 | .50645685 / .10129137";
        let mut cells = 0;
        for line in TABLE.trim().lines() {
            let mut columns = line.split('|').map(str::trim);
            let c: u32 = columns.next().and_then(|c| c.parse().ok()).expect("servers");
            for (rho, cell) in LOADS.into_iter().zip(columns) {
                let (p, wq) = cell.split_once(" / ").expect("two numbers");
                let a = f64::from(c) * rho;
                check(erlang_c(c, a), p);
                check(mmc_wait(c, a), wq);
                cells += 1;
            }
        }
        assert_eq!(cells, 40);
    }

    #[test]
    fn wait_quantiles_are_as_tabled() {
        for (c, rho, p95, p99) in [
            (8, 0.8, "1.3837941", "2.3896928"),
            (32, 0.9, ".69227356", "1.1952229"),
            (100, 0.95, ".46308323", ".78497081"),
        ] {
            let a = f64::from(c) * rho;
            check(mmc_wait_quantile(c, a, 0.05), p95);
            check(mmc_wait_quantile(c, a, 0.01), p99);
        }
        check(mmc_wait_quantile(100, 50.0, 0.05), "0");
    }

    #[test]
    fn losses_are_as_tabled() {
        for (c, a, blocked) in [
            (1, 1.0, ".5"),
            (2, 1.0, ".2"),
            (3, 2.0, ".210526316"),
            (5, 3.0, ".110054347826"),
            (7, 5.0, ".120518635073"),
            (8, 6.0, ".121875783666"),
            (10, 8.0, ".121661064253"),
            (20, 15.0, ".0455932155898"),
            (64, 60.0, ".0603627382042"),
            (100, 90.0, ".0269573804644"),
        ] {
            check(erlang_b(c, a), blocked);
        }
        for (c, k, a, blocked, waiting) in [
            (1, 5, 0.9, ".12602255", "1.40820260"),
            (4, 10, 3.6, ".06717441", "1.70293023"),
            (8, 20, 7.6, ".04024996", "3.83319597"),
        ] {
            let limited = mmck(c, k, a);
            check(limited.blocked, blocked);
            check(limited.waiting, waiting);
        }
    }

    #[test]
    fn pools_are_as_tabled() {
        let pool = |capacity, classes: &[(f64, u32)]| {
            let classes: Vec<_> =
                classes.iter().map(|(load, units)| PoolClass { load: *load, units: *units }).collect();
            kaufman_roberts(capacity, &classes)
        };
        let small = pool(7, &[(1.0, 1), (0.5, 2), (0.3, 3)]);
        let large = pool(64, &[(20.0, 1), (6.0, 2), (3.0, 4), (1.0, 8)]);
        for (pool, blocked, in_use) in [
            (small, &[".03746267", ".09825349", ".18785009"][..], "2.595219"),
            (large, &[".02108987", ".04382398", ".09428538", ".21455687"][..], "48.204435"),
        ] {
            for (value, printed) in pool.blocked.iter().zip(blocked) {
                check(*value, printed);
            }
            check(pool.in_use, in_use);
        }
        assert_eq!(pool(4, &[(1.0, 5)]).blocked, [1.0], "too large for the pool");
        let one_class = pool(2_000, &[(1_900.0, 1)]);
        check((one_class.blocked[0] - erlang_b(2_000, 1_900.0)).abs(), "0.000000000000");
    }

    #[test]
    fn service_shapes_are_as_tabled() {
        for (scv, wait) in [(0.0, "2"), (0.5, "3"), (1.0, "4"), (2.0, "6"), (4.0, "10"), (10.0, "22")] {
            check(mg1_wait(0.8, scv), &format!("{wait}.000000"));
        }
        for (c, at_80, at_90) in [
            (2, ".903284", "2.146923"),
            (4, ".386095", ".999966"),
            (8, ".151954", ".449973"),
            (16, ".052548", ".192467"),
        ] {
            check(mdc_wait(c, 0.8 * f64::from(c)), at_80);
            check(mdc_wait(c, 0.9 * f64::from(c)), at_90);
        }
        // The same sum in 40 digits.
        check(mdc_wait(100, 90.0), ".0123334737");
        check((mdc_wait(1, 0.8) - mg1_wait(0.8, 0.0)).abs(), "0.000000000000");
    }

    #[test]
    fn shared_processors_are_as_tabled() {
        let plain = |_: u32| 1.0;
        let slicing = |n: u32| if n == 1 { 1.0 } else { 1.0 / 1.11 };
        let mps =
            |u: f64| move |n: u32| f64::from(n) / (1.0 + 0.1 * f64::from(n - 1) * u).max(f64::from(n) * u);
        let servers = |n: u32| 0.25 * f64::from(n);
        for (shared, time, wait, busy) in [
            (processor_sharing(0.8, plain, None), "5.00000000", "0.00000000", ".80000000"),
            (processor_sharing(0.6, slicing, None), "3.20558027", "0.00000000", ".64239829"),
            (processor_sharing(0.8, slicing, None), "9.79010025", "0.00000000", ".87719298"),
            (processor_sharing(0.8, slicing, Some(7)), "9.79010025", "4.26263257", ".87719298"),
            (processor_sharing(1.5, mps(0.4), None), "1.44239631", "0.00000000", ".81566820"),
            (processor_sharing(2.0, mps(0.4), None), "2.40298507", "0.00000000", ".92537313"),
            (processor_sharing(2.0, mps(0.4), Some(4)), "2.40298507", ".99343284", ".92537313"),
            (processor_sharing(3.0, mps(0.25), None), "1.56020993", "0.00000000", ".96560584"),
        ] {
            check(shared.time, time);
            check(shared.wait, wait);
            check(shared.busy, busy);
        }
        let slices = processor_sharing(1.5, servers, Some(7));
        check(slices.time, "6.45532049");
        check(slices.wait, "2.45532049");
    }

    #[test]
    fn priorities_are_as_tabled() {
        let waits = priority_waits(&[0.3, 0.5]);
        check(waits[0], "1.142857");
        check(waits[1], "5.714286");
        check(priority_waits(&[0.8])[0], "4.000000");
    }
}
