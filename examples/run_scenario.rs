//! A scenario built in code, run, and a few of its figures: slicewise as a library.
//!
//! ```text
//! cargo run --example run_scenario
//! ```
//!
//! Two hundred pods that want a quarter of a GPU each arrive at eight A100s, which are handed out whole,
//! cut by MIG, or shared by MPS. A resolved scenario is plain values with nothing left to look up, so
//! a search over clusters needs no text in between.
#![expect(clippy::print_stdout, reason = "an example prints")]

use slicewise::cluster::spec::{ClusterSpec, Gpus, Mode, Mps, NodeGroup};
use slicewise::experiment::{self, Inputs};
use slicewise::partition::spec::PartitionerSpec;
use slicewise::report::{self, Format, Page};
use slicewise::scenario::resolved::{ModelsSpec, ReportSpec, Scenario, ScenarioFile, WorkloadSpec};
use slicewise::sched::spec::SchedulerSpec;
use slicewise::trace::spec::{Arrivals, ClassSpec, Generate, GpuSpec, Law};
use slicewise::units::{Mib, MilliCpu, Span};
use std::path::Path;

fn main() {
    print!("{}", text());
}

/// What the example prints.
pub(crate) fn text() -> String {
    let mig = ["3g.20gb", "2g.10gb", "2g.10gb"].map(str::to_owned).to_vec();
    let mut file = ScenarioFile {
        name: "three ways of sharing".to_owned(),
        description: "Where do pods that want a quarter of a GPU wait least?".to_owned(),
        variants: vec![
            variant("whole", Mode::Whole),
            variant("mig", Mode::Mig(mig)),
            variant("mps", Mode::Mps(Mps::Memory { clients: 48 })),
        ],
    };

    // Files that the scenario names would be looked for here; this one names none.
    let inputs = Inputs::beside(Path::new(""), "run_scenario");
    let runs = experiment::run(&mut file, &inputs, &[], &|_, _| {}).expect("a good scenario");

    let mut text = String::new();
    for run in &runs {
        let summary = &run.result.summary;
        let all = &summary.classes[0];
        text += &format!(
            "{:<6} mean wait {:>7.1} s, p95 {:>7.1} s, {:.2} of {} GPUs allocated\n",
            run.result.name, all.wait_s.mean, all.wait_s.p95, summary.gpus.mean, summary.gpus.capacity
        );
    }

    // The same table as the command line prints; `report::write` would write the whole folder.
    let page = Page {
        title: file.name.clone(),
        question: file.description.clone(),
        command: "cargo run --example run_scenario".to_owned(),
        seed: file.variants[0].seed,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_yaml: slicewise::scenario::resolved_yaml(&file),
        trace_hashes: Vec::new(),
        limits: Vec::new(),
        partial: None,
        variants: runs.into_iter().map(|run| run.result).collect(),
    };
    text + "\n" + &report::table(&page, Format::Text)
}

/// Two nodes of four A100-40GB under `mode`, and the same pods for every mode.
fn variant(name: &str, mode: Mode) -> Scenario {
    let pods = Generate {
        pods: 200,
        arrivals: Arrivals::Poisson { per_hour: 20.0 },
        classes: vec![ClassSpec {
            name: "training".to_owned(),
            weight: 1.0,
            cpu: MilliCpu(4_000),
            memory: Mib(16 * 1_024),
            // Thousandths of a GPU; under MIG the rule `ceil-both` makes a slice of it.
            gpu: GpuSpec::Share(vec![(250, 1.0)]),
            work: Law::Exponential { mean: Span::from_secs(1_800) },
            priority: 0,
            namespace: "default".to_owned(),
        }],
    };
    let node = NodeGroup {
        name: "gpu".to_owned(),
        count: 2,
        cpu: MilliCpu(96_000),
        memory: Mib(384 * 1_024),
        pods: 110,
        gpus: Some(Gpus { model: "a100-40gb".to_owned(), count: 4 }),
        mode,
        labels: Default::default(),
        taints: Vec::new(),
        price_per_hour: None,
    };
    Scenario {
        gpus: Vec::new(),
        name: name.to_owned(),
        seed: 1,
        workload: WorkloadSpec { generate: Some(pods), ..WorkloadSpec::default() },
        cluster: ClusterSpec { nodes: vec![node], ..ClusterSpec::default() },
        partitioner: PartitionerSpec::None,
        scheduler: SchedulerSpec::default(),
        // Slower slices and neighbours are modelled, every pod as one that fills what it gets.
        models: ModelsSpec { sharing: true, ..ModelsSpec::default() },
        report: ReportSpec::default(),
    }
}
