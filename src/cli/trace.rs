//! `slicewise trace`: inspect and generate.

use super::args::{Generate, Inspect, TraceFormat};
use super::run::{choose, load};
use super::{Failure, Terminal, print};
use crate::experiment;
use crate::report;
use crate::trace::spec::{Assume, BadRows, Changes, Format, Source, Window};
use crate::trace::{self, Statistics};
use crate::units::Span;
use crate::workload::Workload;
use std::path::Path;

pub(super) fn inspect(args: &Inspect, terminal: &Terminal) -> Result<(), Failure> {
    let source = Source {
        file: args.file.display().to_string(),
        format: match args.trace_format {
            TraceFormat::Native => Format::Native,
            TraceFormat::Openb => Format::Openb,
            TraceFormat::Elasticflow => Format::Elasticflow,
        },
        bad_rows: if args.skip_bad_rows { BadRows::Skip } else { BadRows::Refuse },
        class: None,
        namespace: None,
        assume: Assume::default(),
        sha256: None,
    };
    let loaded = match args.file == Path::new("-") {
        true => trace::read(&source, std::io::stdin().lock())?,
        false => trace::open(&source, &args.file)?,
    };
    terminal.complain(loaded.warnings.clone());
    let window = (args.from.is_some() || args.to.is_some())
        .then(|| Window { from: args.from.unwrap_or(Span::ZERO), to: args.to });
    let counts = loaded.counts(window.as_ref());
    let workload = trace::apply(&loaded.workload, &Changes { window, ..Changes::default() }, 1);
    if workload.is_empty() {
        let help = "widen --from and --to, or look at the file";
        return Err(Failure::input("no-pods", &source.file, "no pods in this window", help));
    }
    let statistics = Statistics::of(&workload);
    let text = match args.json {
        true => {
            let value = serde_json::json!({ "file": source.file, "sha256": loaded.sha256, "rows": counts, "statistics": statistics });
            format!("{value:#}\n")
        }
        false => describe(&source.file, &counts, &statistics),
    };
    print(&text)?;
    match &args.out {
        Some(out) => draw(out, &workload, &statistics, terminal),
        None => Ok(()),
    }
}

/// A page of figures for a terminal.
fn describe(file: &str, counts: &trace::Counts, statistics: &Statistics) -> String {
    let time = |secs: f64| Span::from_secs_f64(secs).map_or_else(|| "-".to_owned(), |span| span.to_string());
    let or_none = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let mut lines =
        vec![format!("{file}: {} rows, {} pods, {} gangs", counts.rows, counts.pods, statistics.gangs)];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<14} {text}"));
    for (reason, rows) in &counts.dropped {
        line("dropped", format!("{rows} ({reason})"));
    }
    if 0 < counts.wrong {
        line("wrong", format!("{} rows skipped", counts.wrong));
    }
    line(
        "span",
        format!("{}, first arrival at {}", time(statistics.span_s), time(statistics.first_arrival_s)),
    );
    let gaps = statistics.gap_mean_s.map_or_else(|| "-".to_owned(), time);
    let rate = or_none(statistics.arrivals_per_hour);
    line(
        "arrivals",
        format!("{rate} an hour, mean gap {gaps}, CV {} (Poisson: 1)", or_none(statistics.gap_cv)),
    );
    for group in std::iter::once(&statistics.all).chain(&statistics.classes) {
        let (mix, work) = (&group.mix, &group.work);
        line(&group.name, format!("{} pods, {:.1} GPU-hours", group.pods, group.gpu_hours));
        let kinds = [
            (mix.cpu_only, "CPU only"),
            (mix.fractional, "fractional"),
            (mix.profile, "MIG profile"),
            (mix.one, "one GPU"),
            (mix.multi, "several GPUs"),
        ];
        let kinds: Vec<String> =
            kinds.iter().filter(|k| 0 < k.0).map(|(n, kind)| format!("{n} {kind}")).collect();
        line("", kinds.join(", "));
        line(
            "",
            format!(
                "work mean {}, p50 {}, p90 {}, p99 {}, max {}",
                time(work.mean),
                time(work.p50),
                time(work.p90),
                time(work.p99),
                time(work.max)
            ),
        );
        if statistics.classes.len() == 1 {
            break;
        }
    }
    line(
        "if none waits",
        format!(
            "mean {} GPUs busy, peak {:.1}; mean {} CPUs, peak {:.1}",
            or_none(statistics.gpus_busy_mean),
            statistics.gpus_busy_peak,
            or_none(statistics.cpus_busy_mean),
            statistics.cpus_busy_peak
        ),
    );
    lines.join("\n") + "\n"
}

/// Pictures of arrivals, sizes and durations.
fn draw(
    out: &Path,
    workload: &Workload,
    statistics: &Statistics,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let moments: Vec<f64> = workload.pods.iter().map(|pod| pod.arrival.as_secs_f64()).collect();
    let work: Vec<f64> = workload.truths.iter().map(|truth| truth.work.as_secs_f64()).collect();
    let pictures = [
        ("arrivals", report::arrivals("Arrivals over time", &moments)),
        ("work", report::durations("Run time alone on a full GPU", "run time", &work)),
        ("sizes", report::categories("GPU demand", &sizes(statistics))),
    ];
    let failed = |error: report::WriteError| Failure::Output(error.to_string());
    std::fs::create_dir_all(out)
        .map_err(|e| Failure::Output(format!("{}: {e}; name another folder", out.display())))?;
    for (name, picture) in &pictures {
        for (ending, bytes) in [("svg", picture.svg().into_bytes()), ("png", picture.png())] {
            let path = out.join(format!("{name}.{ending}"));
            report::atomic(&path, |file| file.write_all(&bytes)).map_err(failed)?;
            terminal.say(&format!("wrote {}", path.display()));
        }
    }
    Ok(())
}

fn sizes(statistics: &Statistics) -> Vec<(String, u64)> {
    let mix = &statistics.all.mix;
    [
        ("CPU only", mix.cpu_only),
        ("fraction of a GPU", mix.fractional),
        ("MIG profile", mix.profile),
        ("one GPU", mix.one),
        ("several GPUs", mix.multi),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .to_vec()
}

pub(super) fn generate(args: &Generate, terminal: &Terminal) -> Result<(), Failure> {
    let (mut file, inputs) = load(Some(&args.scenario), &args.set, args.gpus.as_deref(), terminal)?;
    choose(&mut file, args.only.as_slice(), args.seed)?;
    file.variants.truncate(1);
    let worlds = experiment::worlds(&mut file, &inputs, &[])?;
    let [world] = &worlds[..] else { unreachable!("a file has a variant, and one is kept") };
    match &args.out {
        None => {
            let mut bytes = Vec::new();
            trace::write_native(world.workload(), &mut bytes).expect("writing to memory");
            print(&String::from_utf8_lossy(&bytes))
        }
        Some(path) => {
            report::atomic(path, |out| trace::write_native(world.workload(), out))
                .map_err(|error| Failure::Output(error.to_string()))?;
            terminal.say(&format!("wrote {} pods to {}", world.workload().len(), path.display()));
            Ok(())
        }
    }
}
