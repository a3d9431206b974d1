//! slicewise: what would happen on shared GPUs, before anyone buys or re-cuts one.
//!
//! This page is the architecture. slicewise replays pod arrivals against simulated clusters whose
//! GPUs are given whole, cut by MIG, shared by MPS or time-slicing, or handed out in thousandths,
//! and says how long pods waited, what was used and why pods were refused.
//!
//! # The house
//!
//! Modules stand on floors. A module names only modules on lower floors; two on one floor do not
//! know each other, and the word they share belongs a floor lower. The `mod` lines below are in
//! this order, and `tests/tidy.rs` keeps both true.
//!
//! ```text
//! 9 roof       cli                        words on the command line -> a verb; the only printing
//! 8 verbs      check experiment fit plan validate  others' files judged · a scenario -> runs -> results ·
//!                                         measured steps -> parameters · how to cut now · a layout
//!                                         against a device
//! 7 papers     scenario report            what to run · what came out
//! 6 worlds     sim trace device           the imagined cluster · the recorded one · the real one
//! 5 judgement  sched metrics              what to do next · how well it went
//! 4 telling    formats perf record        others' files of cuts · how fast it runs there · what happened
//! 3 state      cluster partition          who holds what · how GPUs should be cut for who waits
//! 2 nouns      workload manifest          what is asked for, and the truth about it · Kubernetes objects
//! 1 physics    engine gpu stats yaml      event queue · device geometry · samples · files of keys
//! 0 ground     units id rng diag          quantities · typed names · seeded streams · complaints
//! ```
//!
//! (`perf` and `record` speak of the cluster's grants and shares, so the state floor of our plan
//! became two: the cluster, and what is told about it.)
//!
//! # One pod's way through
//!
//! A row of a trace is lowered by [`trace`] to a [`workload::Pod`] (what is asked) and a
//! [`workload::Truth`] (what it will really take). A [`workload::request::Translation`] turns each
//! distinct demand into the request of one sharing mode. At its moment [`sim`] enqueues it with
//! the scheduler of its profile ([`sched::kube::Kube`], or the yardstick [`sched::Scheduler`]); a cycle
//! filters, scores and returns what it decides as a value; `sim` applies it
//! to the [`cluster::Cluster`] (and hands nos what its controllers and agents would see, where
//! [`partition::nos`] cuts GPUs on demand), asks [`perf`] for its speed and plans its end on the
//! [`engine::Calendar`]. Every step emits a [`record::Record`]; [`metrics`] folds records into
//! figures; [`report`] renders them. Values flow down this path and never back up.
//!
//! # Entry points
//!
//! [`scenario::load`] reads a scenario, [`experiment::run`] runs its variants, [`report::write`]
//! writes the folder. The examples `run_scenario` and `own_score` do so in a few lines.
//! [`validate::device`] judges what a device answered; [`validate::apply::run`] tries it.
//!
//! # What the house counts on
//!
//! - No wall clock below the roof: time is a value the engine hands out.
//! - A policy sees what a real scheduler would see. `Truth` is held by `sim`.
//! - One module changes allocations (`cluster`); one emits records (`sim`); records are a run's only
//!   output, and a checker rebuilds occupancy from them in every run.
//! - Nothing decides by hash order, float rounding or thread timing: the same inputs and seed give
//!   the same bytes on any number of threads and any processor.
//! - Files are touched only at the edges: `trace`, `report` when it writes, `validate` for what an apply
//!   must not lose, and `cli`. GPUs are touched by `device` alone, with all of its unsafe code.

pub mod diag;
pub mod id;
pub mod rng;
pub mod units;

pub mod engine;
pub mod gpu;
pub mod stats;
pub mod yaml;

pub mod manifest;
pub mod workload;

pub mod cluster;
pub mod partition;

pub mod formats;
pub mod perf;
pub mod record;

pub mod metrics;
pub mod sched;

pub mod device;
pub mod sim;
pub mod trace;

pub mod report;
pub mod scenario;

pub mod check;
pub mod experiment;
pub mod fit;
pub mod plan;
pub mod validate;

pub mod cli;
