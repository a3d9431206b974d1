//! What can be said on the command line. The texts here are the help pages.

use crate::report::Format;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Scheduler simulator and capacity planner for shared GPUs.
#[derive(Debug, Parser)]
#[command(
    name = "slicewise",
    version,
    before_help = "Examples:\n  slicewise run                         the quickstart inside the program\n  slicewise run scenarios/openb-window.yaml --set OPENB=../shared/traces/openb",
    after_help = "Exit codes: 0 done, 2 usage or input, 3 could not write, 70 a bug in slicewise, 130 interrupted."
)]
pub(super) struct Args {
    /// Print results and errors only
    #[arg(short, long, global = true, env = "SLICEWISE_QUIET")]
    pub(super) quiet: bool,
    /// Colors on stderr
    #[arg(long, global = true, value_enum, default_value_t = Colors::Auto, env = "SLICEWISE_COLOR")]
    pub(super) color: Colors,
    /// Threads to use; results do not depend on it [default: one per core]
    #[arg(long, global = true, env = "SLICEWISE_THREADS", value_parser = threads)]
    pub(super) threads: Option<usize>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("a number from 1 to 1024".to_owned()),
    }
}

/// When to use colors.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Colors {
    /// On a terminal, unless NO_COLOR is set; also with CLICOLOR_FORCE
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Simulate every variant of a scenario, print one table, write a report folder
    Run(Run),
    /// Inspect and make traces of pods
    #[command(subcommand)]
    Trace(TraceVerb),
    /// List the GPUs of the catalogue, or show one: facts, MIG places, layouts
    Gpus(Gpus),
    /// Write a first scenario and trace to edit
    #[command(
        before_help = "Examples:\n  slicewise init mine\n  slicewise init mine && slicewise run mine/scenario.yaml"
    )]
    Init {
        /// Folder to write to; existing files are never overwritten
        folder: PathBuf,
    },
    /// Print the JSON Schema of scenarios, for editors
    #[command(
        before_help = "Examples:\n  slicewise schema > scenario.schema.json\n  slicewise schema | jq .title"
    )]
    Schema,
    /// Print a completion script for a shell
    #[command(
        before_help = "Examples:\n  slicewise completions bash\n  slicewise completions zsh > _slicewise"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(before_help = "Examples:\n  slicewise man > slicewise.1\n  slicewise man | man -l -")]
    Man,
}

impl Verb {
    /// Whether complaints are to be JSON too.
    pub(super) fn wants_json(&self) -> bool {
        matches!(
            self,
            Verb::Run(Run { format: TableFormat::Json, .. })
                | Verb::Gpus(Gpus { format: GpusFormat::Json, .. })
                | Verb::Trace(TraceVerb::Inspect(Inspect { json: true, .. }))
        )
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum TraceVerb {
    /// Print statistics of a trace and draw arrivals, sizes and durations
    Inspect(Inspect),
    /// Write the pods of a scenario as native CSV: generated, or read, changed and converted
    Generate(Generate),
}

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise run\n  slicewise run scenario.yaml --out report --only mig -o json",
    after_help = "Writes summary.json, pods.csv, timeline.csv, scenario.resolved.yaml, report.html and charts/ to\nthe folder. Running scenario.resolved.yaml again gives the same bytes."
)]
pub(super) struct Run {
    /// Scenario to run, `-` for standard input [default: the quickstart inside the program]
    pub(super) scenario: Option<PathBuf>,
    /// Folder of the report [default: reports/<name of the scenario>]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Seed of every variant, instead of the scenario's
    #[arg(long, env = "SLICEWISE_SEED")]
    pub(super) seed: Option<u64>,
    /// Runs of every variant in which seeds vary anything, instead of the scenario's
    #[arg(long, value_name = "N", env = "SLICEWISE_REPLICATIONS", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) replications: Option<u16>,
    /// Value of a ${NAME} in the scenario's file names; without it the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(String, String)>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
    /// Run only these variants
    #[arg(long, value_name = "VARIANT")]
    pub(super) only: Vec<String>,
    /// Form of the table
    #[arg(short = 'o', long, value_enum, default_value_t = TableFormat::Text)]
    pub(super) format: TableFormat,
    /// Print the table and write nothing
    #[arg(long, conflicts_with = "out")]
    pub(super) no_report: bool,
}

/// Arguments of `gpus`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise gpus\n  slicewise gpus a100-40gb --geometries all\n  slicewise gpus a100-40gb --layout '3g@4 1g@0'\n  slicewise gpus h100-80gb-sxm --format json",
    after_help = "`--format yaml` prints rows as `--gpus` reads them: a start for GPUs of your own."
)]
pub(super) struct Gpus {
    /// Catalogue id, NVML name or product label
    pub(super) model: Option<String>,
    /// Form of the output
    #[arg(short = 'o', long, value_enum, default_value_t = GpusFormat::Text)]
    pub(super) format: GpusFormat,
    /// Profiles whose maximal geometries are listed
    #[arg(long, value_enum, default_value_t = GpusSet::Base, requires = "model")]
    pub(super) geometries: GpusSet,
    /// Show what a layout leaves free, such as `3g@4 1g 1g`
    #[arg(long, requires = "model")]
    pub(super) layout: Option<String>,
    /// Show where nos' two tables of geometries are wrong or incomplete for it
    #[arg(long, requires = "model", conflicts_with = "layout")]
    pub(super) check_nos: bool,
    /// Draw its profiles and places into this SVG file too
    #[arg(long, value_name = "FILE", requires = "model")]
    pub(super) svg: Option<PathBuf>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
}

/// Forms of what `gpus` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GpusFormat {
    /// For people
    Text,
    /// For scripts
    Json,
    /// Rows as `--gpus` reads them
    Yaml,
}

/// Profiles that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GpusSet {
    /// The ordinary profile of each size
    Base,
    /// Those and the double-memory 1g
    #[value(alias = "double_memory")]
    DoubleMemory,
    /// All but graphics
    Media,
    /// All
    All,
}

/// Arguments of `trace inspect`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise trace inspect traces/quickstart.csv\n  slicewise trace inspect openb_pod_list_default.csv --trace-format openb --from 115d"
)]
pub(super) struct Inspect {
    /// Trace to read, `-` for standard input
    pub(super) file: PathBuf,
    /// How its rows are spelled
    #[arg(long, value_enum, default_value_t = TraceFormat::Native)]
    pub(super) trace_format: TraceFormat,
    /// Only pods that arrive from this moment of the trace's clock
    #[arg(long, value_parser = crate::units::parse::span)]
    pub(super) from: Option<crate::units::Span>,
    /// Only pods that arrive before this moment
    #[arg(long, value_parser = crate::units::parse::span)]
    pub(super) to: Option<crate::units::Span>,
    /// Count and skip rows that are wrong
    #[arg(long)]
    pub(super) skip_bad_rows: bool,
    /// Draw arrivals, sizes and durations into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `trace generate`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise trace generate traces/quickstart.yaml --out traces/quickstart.csv\n  slicewise trace generate scenario.yaml --only mig > pods.csv"
)]
pub(super) struct Generate {
    /// Scenario whose pods to write, `-` for standard input
    pub(super) scenario: PathBuf,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Variant whose pods to write [default: the first]
    #[arg(long, value_name = "VARIANT")]
    pub(super) only: Option<String>,
    /// Seed, instead of the scenario's
    #[arg(long, env = "SLICEWISE_SEED")]
    pub(super) seed: Option<u64>,
    /// Value of a ${NAME} in the scenario's file names
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(String, String)>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
}

/// Forms of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TableFormat {
    /// 80 columns
    Text,
    /// All columns
    Wide,
    /// summary.json
    Json,
    /// The same as YAML
    Yaml,
    /// A row for each variant
    Csv,
    /// Markdown
    Md,
}

impl From<TableFormat> for Format {
    fn from(format: TableFormat) -> Format {
        match format {
            TableFormat::Text => Format::Text,
            TableFormat::Wide => Format::Wide,
            TableFormat::Json => Format::Json,
            TableFormat::Yaml => Format::Yaml,
            TableFormat::Csv => Format::Csv,
            TableFormat::Md => Format::Md,
        }
    }
}

/// Formats that need no further words; job logs with mapped columns are read through a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TraceFormat {
    /// slicewise's own CSV
    Native,
    /// Alibaba cluster-trace-gpu-v2023 pod list
    Openb,
    /// Microsoft ITP jobs as in elasticflow-traces
    Elasticflow,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
