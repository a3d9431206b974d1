//! The tables: M/M/c, loss systems, service shapes, priorities.

use super::{Cell, Judged, full, judge};
use slicewise::metrics::{Group, Summary};
use slicewise::stats::queueing::{
    PoolClass, erlang_b, erlang_c, kaufman_roberts, mdc_wait, mg1_wait, mmc_wait, mmc_wait_quantile, mmck,
    priority_waits,
};

/// Seconds of one unit of time: long against a microsecond, which is all that the clock rounds.
const UNIT: f64 = 1_000.0;

/// Laws of service with mean 1.
#[derive(Clone, Copy)]
enum Law {
    Exponential,
    Constant,
    Erlang2,
    Hyper(f64),
    Lognormal4,
}

impl Law {
    fn yaml(self) -> String {
        match self {
            Law::Exponential => "{exponential: {mean: 1000s}}".to_owned(),
            Law::Constant => "{constant: {mean: 1000s}}".to_owned(),
            Law::Erlang2 => "{erlang: {mean: 1000s, stages: 2}}".to_owned(),
            Law::Hyper(scv) => format!("{{hyperexponential: {{mean: 1000s, scv: {scv}}}}}"),
            Law::Lognormal4 => "{lognormal: {mean: 1000s, scv: 4}}".to_owned(),
        }
    }
}

/// A class of jobs: arrival rate, what it holds, priority.
struct Class {
    rate: f64,
    holds: String,
    priority: i32,
}

fn gpu_job(rate: f64, priority: i32) -> Class {
    Class { rate, holds: "cpu: 0, memory: 0, gpu: {whole: 1}".to_owned(), priority }
}

fn cpu_job(rate: f64, cpus: u32) -> Class {
    Class { rate, holds: format!("cpu: {cpus}, memory: 0, gpu: none"), priority: 0 }
}

/// A scenario of these classes on `nodes`, with further keys of the workload.
fn yaml(nodes: &str, classes: &[Class], law: Law, extra: &str) -> String {
    let rate: f64 = classes.iter().map(|class| class.rate).sum();
    let per_hour = rate * 3_600.0 / UNIT;
    let mut text = format!(
        "name: judge\nworkload:\n  {extra}\n  generate:\n    pods: JOBS\n    arrivals: {{poisson: {{per_hour: {per_hour}}}}}\n    classes:\n"
    );
    for (i, class) in classes.iter().enumerate() {
        text += &format!(
            "      - {{name: c{i}, weight: {}, {}, priority: {}, work: {}}}\n",
            class.rate,
            class.holds,
            class.priority,
            law.yaml()
        );
    }
    text + &format!(
        "cluster: {{nodes: {nodes}}}\nscheduler: {{profile: ideal, scores: []}}\nreport: {{warm_up: 0.1, until: last-arrival, gpus_shown: 0}}\n"
    )
}

/// `c` servers: nodes of at most 50 GPUs.
fn servers(c: u32) -> String {
    let (nodes, each) = if c <= 50 { (1, c) } else { (c / (c / 2).min(50), (c / 2).min(50)) };
    assert_eq!(nodes * each, c, "servers divide into nodes");
    format!(
        "[{{name: n, count: {nodes}, cpu: 1, memory: 1GiB, pods: 100, gpus: {{model: G2, count: {each}}}}}]"
    )
}

fn pool(cpus: u32) -> String {
    format!("[{{name: pool, cpu: {cpus}, memory: 1GiB, pods: 1000}}]")
}

/// Index of the group of all jobs; class `i` is group `i + 1`.
const ALL: usize = 0;

/// A group by number: classes stand in a summary in the order of their first jobs.
fn group(run: &Summary, index: usize) -> &Group {
    let name = index.checked_sub(1).map_or_else(|| "all".to_owned(), |class| format!("c{class}"));
    run.classes.iter().find(|group| group.name == name).expect("every class has jobs")
}

fn wait(run: &Summary, index: usize) -> f64 {
    group(run, index).wait_s.mean / UNIT
}

fn lost(run: &Summary, index: usize) -> f64 {
    let counts = group(run, index).counts;
    (counts.gave_up + counts.turned_away) as f64 / counts.total as f64
}

fn judged(name: &str, theory: f64, of: fn(&Summary, usize) -> f64, index: usize) -> Judged {
    Judged { name: name.to_owned(), theory, of, index }
}

/// The cells with P(wait) ≥ .1 and ρ ≤ .9: 22 of the 40. The short suite is those with c ≤ 8 and
/// ρ ≤ .8. (The closed form itself is held against all 40 in `stats::queueing`.)
#[test]
fn mmc() {
    let mut cells = Vec::new();
    for c in [1_u32, 2, 4, 8, 16, 32, 64, 100] {
        for rho in [0.5, 0.7, 0.8, 0.9] {
            let a = rho * f64::from(c);
            let short = c <= 8 && rho <= 0.8;
            if erlang_c(c, a) < 0.1 || !(short || full()) {
                continue;
            }
            cells.push(Cell {
                name: format!("c={c} ρ={rho}"),
                yaml: yaml(&servers(c), &[gpu_job(a, 0)], Law::Exponential, ""),
                judged: vec![
                    judged("P(wait)", erlang_c(c, a), |run, _| run.classes[ALL].waited, ALL),
                    judged("Wq", mmc_wait(c, a), wait, ALL),
                ],
            });
        }
    }
    assert_eq!(cells.len(), if full() { 22 } else { 11 });
    judge("M/M/c", &cells);
}

/// Quantiles of the wait over the runs' sample quantiles.
#[test]
fn mmc_quantiles() {
    let cases: &[(u32, f64)] = if full() { &[(8, 0.8), (32, 0.9)] } else { &[(8, 0.8)] };
    let cells: Vec<Cell> = cases
        .iter()
        .map(|(c, rho)| {
            let a = rho * f64::from(*c);
            Cell {
                name: format!("c={c} ρ={rho}"),
                yaml: yaml(&servers(*c), &[gpu_job(a, 0)], Law::Exponential, ""),
                judged: vec![
                    judged(
                        "p95",
                        mmc_wait_quantile(*c, a, 0.05),
                        |run, _| run.classes[0].wait_s.p95 / UNIT,
                        0,
                    ),
                    judged(
                        "p99",
                        mmc_wait_quantile(*c, a, 0.01),
                        |run, _| run.classes[0].wait_s.p99 / UNIT,
                        0,
                    ),
                ],
            }
        })
        .collect();
    judge("M/M/c quantiles", &cells);
}

const ERLANG: [(u32, f64); 10] = [
    (1, 1.0),
    (2, 1.0),
    (3, 2.0),
    (5, 3.0),
    (7, 5.0),
    (8, 6.0),
    (10, 8.0),
    (20, 15.0),
    (64, 60.0),
    (100, 90.0),
];

fn loss(c: u32, a: f64, law: Law, name: &str) -> Cell {
    Cell {
        name: format!("({c}, {a}){name}"),
        yaml: yaml(&servers(c), &[gpu_job(a, 0)], law, "patience: 0s"),
        judged: vec![judged("lost", erlang_b(c, a), lost, ALL)],
    }
}

#[test]
fn erlang_loss() {
    let cells: Vec<Cell> = ERLANG.iter().map(|(c, a)| loss(*c, *a, Law::Exponential, "")).collect();
    judge("Erlang B", &cells);
}

/// (Arrival rate, units held) of each class.
const SMALL_POOL: [(f64, u32); 3] = [(1.0, 1), (0.5, 2), (0.3, 3)];
const LARGE_POOL: [(f64, u32); 4] = [(20.0, 1), (6.0, 2), (3.0, 4), (1.0, 8)];

fn sized(cpus: u32, classes: &[(f64, u32)], law: Law, name: &str) -> Cell {
    let theory: Vec<PoolClass> =
        classes.iter().map(|(load, units)| PoolClass { load: *load, units: *units }).collect();
    let theory = kaufman_roberts(cpus, &theory);
    let jobs: Vec<Class> = classes.iter().map(|(rate, cpus)| cpu_job(*rate, *cpus)).collect();
    let mut all: Vec<Judged> = theory
        .blocked
        .iter()
        .enumerate()
        .map(|(class, blocked)| judged(&format!("class {class} lost"), *blocked, lost, class + 1))
        .collect();
    all.push(judged("in use", theory.in_use, |run, _| run.cpus.mean, ALL));
    Cell { name: format!("C={cpus}{name}"), yaml: yaml(&pool(cpus), &jobs, law, "patience: 0s"), judged: all }
}

#[test]
fn kaufman_roberts_pools() {
    judge(
        "Kaufman-Roberts",
        &[sized(7, &SMALL_POOL, Law::Exponential, ""), sized(64, &LARGE_POOL, Law::Exponential, "")],
    );
}

#[test]
fn limited_queues() {
    let cells: Vec<Cell> = [(1, 5, 0.9), (4, 10, 3.6), (8, 20, 7.6)]
        .into_iter()
        .map(|(c, k, rate)| {
            let theory = mmck(c, k, rate);
            Cell {
                name: format!("({c}, {k}, {rate})"),
                yaml: yaml(
                    &servers(c),
                    &[gpu_job(rate, 0)],
                    Law::Exponential,
                    &format!("queue_limit: {}", k - c),
                ),
                judged: vec![
                    judged("lost", theory.blocked, lost, ALL),
                    judged("Lq", theory.waiting, |run, _| run.queue.mean, ALL),
                ],
            }
        })
        .collect();
    judge("M/M/c/K", &cells);
}

#[test]
fn service_shapes() {
    let laws = [
        (Law::Constant, 0.0),
        (Law::Erlang2, 0.5),
        (Law::Exponential, 1.0),
        (Law::Hyper(2.0), 2.0),
        (Law::Hyper(4.0), 4.0),
        (Law::Hyper(10.0), 10.0),
    ];
    let cells: Vec<Cell> = laws
        .into_iter()
        .filter(|(_, scv)| full() || *scv <= 4.0)
        .map(|(law, scv)| Cell {
            name: format!("scv {scv}"),
            yaml: yaml(&servers(1), &[gpu_job(0.8, 0)], law, ""),
            judged: vec![judged("Wq", mg1_wait(0.8, scv), wait, ALL)],
        })
        .collect();
    judge("M/G/1", &cells);
}

#[test]
fn constant_service() {
    let mut cells = Vec::new();
    for c in [2_u32, 4, 8, 16] {
        for rho in [0.8, 0.9] {
            if full() || rho < 0.85 {
                let a = rho * f64::from(c);
                cells.push(Cell {
                    name: format!("c={c} ρ={rho}"),
                    yaml: yaml(&servers(c), &[gpu_job(a, 0)], Law::Constant, ""),
                    judged: vec![judged("Wq", mdc_wait(c, a), wait, ALL)],
                });
            }
        }
    }
    judge("M/D/c", &cells);
}

/// What is lost does not depend on the shape of service.
#[test]
fn insensitive() {
    let mut cells = Vec::new();
    for (law, name) in
        [(Law::Exponential, " exponential"), (Law::Constant, " constant"), (Law::Lognormal4, " lognormal")]
    {
        cells.push(loss(8, 6.0, law, name));
        cells.push(loss(20, 15.0, law, name));
        cells.push(sized(7, &SMALL_POOL, law, name));
        cells.push(sized(64, &LARGE_POOL, law, name));
    }
    judge("insensitive", &cells);
}

/// Two classes on one server, the first never waits for the second's queue.
#[test]
fn priorities() {
    let theory = priority_waits(&[0.3, 0.5]);
    let cell = Cell {
        name: "λ = .3, .5".to_owned(),
        yaml: yaml(&servers(1), &[gpu_job(0.3, 1), gpu_job(0.5, 0)], Law::Exponential, ""),
        judged: vec![judged("Wq high", theory[0], wait, 1), judged("Wq low", theory[1], wait, 2)],
    };
    judge("non-preemptive priorities", &[cell]);
}
