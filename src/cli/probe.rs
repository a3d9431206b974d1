//! A client of the sharing probes: this program, started by itself, one process for each client.
//!
//! It speaks lines: it says `ready` once it has a context, waits for a word, and answers it with a line
//! of JSON; `fill` takes memory until there is no more and holds it, `step CLASS` times steps of work.
//! When its input ends, so does it.

use super::args::Probe;
use super::{Failure, print};
use crate::device::{Cuda, CudaError, Work};
use serde_json::{Value, json};
use std::io::BufRead;
use std::time::Instant;

/// Memory is taken in blocks of so many MiB.
const BLOCK_MIB: u64 = 64;
/// Steps that are not timed, and steps that are.
const WARM: usize = 3;
const TIMED: usize = 21;

/// Does the verb.
pub(super) fn probe(args: &Probe) -> Result<(), Failure> {
    let answer = |value: Value| print(&format!("{value}\n"));
    let failed = |error: CudaError| json!({"error": error.to_string()});
    let mut cuda = match Cuda::open(args.cuda.as_deref()) {
        Ok(cuda) => cuda,
        Err(error) => return answer(failed(error)),
    };
    answer(json!({"ready": true}))?;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let done = match line.as_str() {
            "fill" => fill(&cuda),
            line => match Work::ALL.into_iter().find(|w| line == format!("step {}", w.word())) {
                Some(work) => step(&mut cuda, work),
                None => Ok(json!({"error": format!("no such word: {line}")})),
            },
        };
        answer(done.unwrap_or_else(failed))?;
    }
    Ok(())
}

fn fill(cuda: &Cuda) -> Result<Value, CudaError> {
    let (sms, (_, total)) = (cuda.sms()?, cuda.memory_mib()?);
    Ok(json!({"sms": sms, "total_mib": total, "taken_mib": cuda.fill(BLOCK_MIB)?}))
}

/// The median of some steps, in microseconds.
fn step(cuda: &mut Cuda, work: Work) -> Result<Value, CudaError> {
    let mut times = Vec::new();
    for n in 0..WARM + TIMED {
        let begin = Instant::now();
        cuda.step(work)?;
        if WARM <= n {
            times.push(begin.elapsed().as_micros());
        }
    }
    times.sort_unstable();
    Ok(json!({"step_us": times[times.len() / 2] as u64}))
}
