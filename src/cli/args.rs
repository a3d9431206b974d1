//! What can be said on the command line. The texts here are the help pages.

use crate::formats::plugin::Strategy;
use crate::formats::{Format, Kind};
use crate::perf::fit::Parameter;
use crate::report::Format as TableForm;
use crate::trace::steps::Mode;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Scheduler simulator and capacity planner for shared GPUs.
#[derive(Debug, Parser)]
#[command(
    name = "slicewise",
    version,
    before_help = "Examples:\n  slicewise run                         the quickstart inside the program\n  slicewise run scenarios/openb-window.yaml --set OPENB=../shared/traces/openb",
    after_help = "Exit codes: 0 done, 1 the answer is no (plan, check, validate), 2 usage or input, 3 could not write, 70 a bug in slicewise, 130 interrupted; the help of a verb says what it adds."
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
    /// Fit the sharing models to measured step times
    Fit(Box<Fit>),
    /// Check real configuration files and pods offline: what nodes would advertise, what cannot be
    Check(Check),
    /// Decide once how to cut the GPUs of a cluster for the pods that wait
    Plan(Box<Plan>),
    /// Ask the catalogue and real GPUs whether layouts can be; read-only unless --apply is given
    Validate(Box<Validate>),
    /// Save what the driver says of the GPUs of this machine
    #[command(subcommand)]
    Device(DeviceVerb),
    /// A client of the sharing probes, which `validate` starts
    #[command(hide = true)]
    ProbeClient(Probe),
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
        if let Verb::Validate(validate) = self {
            return validate.format == ValidateFormat::Json;
        }
        if let Verb::Plan(plan) = self {
            return plan.format == "json";
        }
        if let Verb::Fit(fit) = self {
            return fit.format == FitFormat::Json;
        }
        matches!(
            self,
            Verb::Run(Run { format: TableFormat::Json, .. })
                | Verb::Gpus(Gpus { format: GpusFormat::Json, .. })
                | Verb::Check(Check { format: CheckFormat::Json, .. })
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
    /// Also write what the GPUs are when a run begins, for another program; again for more
    #[arg(long, value_parser = export_formats(), value_name = "FORMAT", conflicts_with = "no_report")]
    pub(super) export: Vec<Format>,
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

/// Arguments of `fit`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise fit steps.csv --out fitted\n  slicewise fit mps.csv --mode mps --class workload,batch --time mean_step_s -o yaml",
    after_help = "A row of a file is one measurement: a class, the MIG slice that it ran on or the neighbours that it ran\nbeside (names joined by `+`, or a number of copies of itself; none is alone), and the time of a step, whose\ncolumn may end in _ms or _us. What `slicewise validate --measure` writes is read as it is.\n\nMIG needs each class's time on the full instance (or a whole GPU) and on three smaller slices; MPS and\ntime-slicing need its time alone. Who lacks them is\nlisted. Demand under MPS is of clients whose threads nobody limits. An error is ln(model/measured) of speeds; left\nout means that the fit did not see the measurement.\n\nThe folder of --out gets fit.json, models.yaml to paste into a scenario, residuals.csv, and a plot for each model\nas SVG and PNG."
)]
pub(super) struct Fit {
    /// CSV files of measurements, read together; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Columns that together name the class [default: class, workload or model, with batch_size or batch]
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(super) class: Vec<String>,
    /// Column of the MIG slice: 2g.10gb, 2g or 2 [default: slice, mig_profile or profile]
    #[arg(long, value_name = "COLUMN")]
    pub(super) slice: Option<String>,
    /// Column of the neighbours: a+b, or a number of copies [default: neighbours]
    #[arg(long, value_name = "COLUMN")]
    pub(super) neighbours: Option<String>,
    /// Column of the time of a step [default: time, step_s, step_us, mean_step_s, ...]
    #[arg(long, value_name = "COLUMN")]
    pub(super) time: Option<String>,
    /// Column of steps in a unit of time, instead of --time; 0 could not run
    #[arg(long, value_name = "COLUMN", conflicts_with = "time")]
    pub(super) rate: Option<String>,
    /// Columns whose values are fitted apart, such as the GPU
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(super) by: Vec<String>,
    /// How the GPU was shared in rows that do not say
    #[arg(long, value_enum)]
    pub(super) mode: Option<FitMode>,
    /// Column of how the GPU was shared [default: mode or sharing]
    #[arg(long, value_name = "COLUMN")]
    pub(super) mode_column: Option<String>,
    /// GPU that was measured: catalogue id, NVML name or label [default: one of 7 compute slices]
    #[arg(long, value_name = "MODEL")]
    pub(super) gpu: Option<String>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS", requires = "gpu")]
    pub(super) gpus: Option<PathBuf>,
    /// Compute that a slice gives beyond its share, or `fit`
    #[arg(long, value_name = "NUMBER", default_value = "1.1", value_parser = |text: &str| parameter(text, 0.5, 2.0))]
    pub(super) kappa: Parameter,
    /// Slowdown under MPS by each unit of the neighbours' demand, or `fit`
    #[arg(long, value_name = "NUMBER", default_value = "0.1", value_parser = |text: &str| parameter(text, 0.0, 1.0))]
    pub(super) alpha: Parameter,
    /// Loss under time-slicing whenever two want the GPU, or `fit`, which needs more measurements than classes
    #[arg(long, value_name = "NUMBER", default_value = "fit", value_parser = |text: &str| parameter(text, 0.0, 1.0))]
    pub(super) epsilon: Parameter,
    /// Also give measured pairs as a table, which wins over the formula in a run
    #[arg(long)]
    pub(super) pairs: bool,
    /// Form of the output: a table, everything, a row for each class, or models for a scenario
    #[arg(short = 'o', long, value_enum, default_value_t = FitFormat::Text)]
    pub(super) format: FitFormat,
    /// Also write everything and plots into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// A number, or `fit`.
fn parameter(text: &str, least: f64, most: f64) -> Result<Parameter, String> {
    match text.parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(Parameter::Given(value)),
        _ if text == "fit" => Ok(Parameter::Fitted),
        _ => Err(format!("a number from {least} to {most}, or `fit`")),
    }
}

/// Forms of what `fit` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FitFormat {
    /// For people
    Text,
    /// Everything, for scripts
    Json,
    /// Parameters, a row for each class
    Csv,
    /// Models of a scenario
    Yaml,
}

/// Ways of sharing that measurements are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FitMode {
    /// MIG slices
    Mig,
    /// MPS
    Mps,
    /// Time-slicing
    TimeSlicing,
}

impl From<FitMode> for Mode {
    fn from(mode: FitMode) -> Mode {
        match mode {
            FitMode::Mig => Mode::Mig,
            FitMode::Mps => Mode::Mps,
            FitMode::TimeSlicing => Mode::TimeSlicing,
        }
    }
}

/// Files of other programs in which a plan can be written.
fn export_formats() -> impl TypedValueParser<Value = Format> {
    let word = |(word, format): &(&'static str, Format)| PossibleValue::new(*word).help(format.about());
    PossibleValuesParser::new(Format::WORDS.iter().map(word).collect::<Vec<_>>())
        .map(|word| Format::parse(&word).expect("one of the words"))
}

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise check mig-config.yaml --gpu a100-40gb:8\n  kubectl get nodes,pods -A -o json | slicewise check - device-plugin.yaml\n  slicewise check partitioning/*.yaml --nodes nodes.json -o github",
    after_help = "Files are recognized by what is in them: Kubernetes objects (nodes, pods and what makes them, ConfigMaps\nwith any of these files, ResourceClaims, DeviceClasses, ClusterPolicies), mig-parted configurations and\ncheckpoints, nos' known geometries, configurations of NVIDIA's and nebuly's device plugins, nvidia-smi scripts.\nA pod may say how much GPU memory it needs by the annotation slicewise/gpu-memory: 10Gi.\n\nExit codes: 0 nothing wrong; 1 something cannot be (with --strict also warnings); 2 usage, or a file that\ncannot be read as any of these."
)]
pub(super) struct Check {
    /// Files to check together, `-` for standard input
    #[arg(required_unless_present = "nodes")]
    pub(super) files: Vec<PathBuf>,
    /// What the files are, instead of by content
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub(super) kind: Option<CheckKind>,
    /// A node that no file tells of, as MODEL or MODEL:COUNT of its GPUs; again for more
    #[arg(long, value_name = "MODEL[:COUNT]")]
    pub(super) gpu: Vec<String>,
    /// File of Kubernetes nodes, as `kubectl get nodes -o json` prints them; again for more
    #[arg(long, value_name = "FILE")]
    pub(super) nodes: Vec<PathBuf>,
    /// MIG strategy of every device plugin, instead of what files say [default: mixed where none says]
    #[arg(long, value_enum)]
    pub(super) mig_strategy: Option<CheckStrategy>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
    /// Form of the output
    #[arg(short = 'o', long, value_enum, default_value_t = CheckFormat::Text)]
    pub(super) format: CheckFormat,
    /// Exit with 1 for warnings too
    #[arg(long, conflicts_with = "exit_zero")]
    pub(super) strict: bool,
    /// Exit with 0 whatever is found
    #[arg(long)]
    pub(super) exit_zero: bool,
}

/// Forms of what `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    /// For people
    Text,
    /// For scripts
    Json,
    /// Annotations of GitHub Actions
    Github,
    /// JUnit XML
    Junit,
}

/// What a file is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckKind {
    /// Kubernetes objects
    Kubernetes,
    /// mig-parted's configuration
    MigParted,
    /// mig-parted's checkpoint
    Checkpoint,
    /// nos' known geometries
    NosGeometries,
    /// NVIDIA's device plugin
    NvidiaPlugin,
    /// nebuly's device plugin
    NebulyPlugin,
    /// A script of nvidia-smi commands
    NvidiaSmi,
}

impl From<CheckKind> for Kind {
    fn from(kind: CheckKind) -> Kind {
        match kind {
            CheckKind::Kubernetes => Kind::Kubernetes,
            CheckKind::MigParted => Kind::MigParted,
            CheckKind::Checkpoint => Kind::Checkpoint,
            CheckKind::NosGeometries => Kind::NosGeometries,
            CheckKind::NvidiaPlugin => Kind::NvidiaPlugin,
            CheckKind::NebulyPlugin => Kind::NebulyPlugin,
            CheckKind::NvidiaSmi => Kind::NvidiaSmi,
        }
    }
}

/// How MIG devices become resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckStrategy {
    /// Not at all
    None,
    /// As nvidia.com/gpu
    Single,
    /// As nvidia.com/mig-<profile>
    Mixed,
}

impl From<CheckStrategy> for Strategy {
    fn from(strategy: CheckStrategy) -> Strategy {
        match strategy {
            CheckStrategy::None => Strategy::None,
            CheckStrategy::Single => Strategy::Single,
            CheckStrategy::Mixed => Strategy::Mixed,
        }
    }
}

/// Arguments of `validate`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise validate --offline --product a100-40gb --geometry '3g 1g x4'\n  slicewise validate scenarios/quickstart.yaml --out report\n  slicewise validate --reply a100.json --layout '3g@4 1g@0'\n  sudo slicewise validate --apply --uuid GPU-... --geometry '3g 2g x2'\n  slicewise validate --uuid GPU-... --mps '10gb x2 20gb'",
    after_help = "Levels: 0 the catalogue alone (--offline); 1 reads the GPUs (the default); 2 re-cuts the GPUs named by --uuid, verifies, and puts back what stood (--apply); 3 may also turn MIG on for the time (--toggle-mig).\n\nExit codes: 0 feasible (and with --apply restored); 1 not feasible, or without a target a device that is not as the catalogue says; 2 usage or input; 3 blocked by a precondition, nothing was touched, or the report could not be written; 4 an error came and the GPUs are as before; 5 a GPU is not as before: what is missing is listed; 130 interrupted, and the GPUs are as before."
)]
pub(super) struct Validate {
    /// What MIG layouts are asked for: a scenario (`-` for standard input), a plan of `slicewise plan -o json`,
    /// or the folder of a finished run
    #[arg(value_name = "FILE|DIR")]
    pub(super) scenario: Option<PathBuf>,
    /// Layout to ask for, such as `3g@4 1g@0 1g`; again for more
    #[arg(long, value_name = "SLICES")]
    pub(super) layout: Vec<String>,
    /// Geometry to ask for, such as `3g 1g x4`: the planner chooses the places; again for more
    #[arg(long, value_name = "SLICES")]
    pub(super) geometry: Vec<String>,
    /// Catalogue id, NVML name or label that layouts and geometries are for
    #[arg(long, value_name = "MODEL")]
    pub(super) product: Option<String>,
    /// GPU of this machine, by UUID; again for more [default at level 1: all]
    #[arg(long, value_name = "UUID", conflicts_with_all = ["offline", "reply"])]
    pub(super) uuid: Vec<String>,
    /// Level 0: ask the catalogue alone
    #[arg(long, conflicts_with_all = ["reply", "apply", "recover"])]
    pub(super) offline: bool,
    /// Judge a reply that `slicewise device save` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apply", "recover"])]
    pub(super) reply: Option<PathBuf>,
    /// Level 2: make each target on the GPUs named by --uuid, verify it, and put back what stood
    #[arg(long)]
    pub(super) apply: bool,
    /// Level 3: turn MIG on for the time where it is off
    #[arg(long)]
    pub(super) toggle_mig: bool,
    /// With --apply: check everything and print the steps, but change nothing
    #[arg(long, requires = "apply")]
    pub(super) dry_run: bool,
    /// Go on though another manager of MIG was seen on this machine
    #[arg(long)]
    pub(super) force: bool,
    /// Only finish restoring what an interrupted --apply left
    #[arg(long, conflicts_with_all = ["apply", "layout", "geometry", "scenario"])]
    pub(super) recover: bool,
    /// Share the GPU named by --uuid by MPS: limits of clients in GB, such as `10gb x2 20gb`
    #[arg(long, value_name = "LIMITS", requires = "uuid", group = "sharing", conflicts_with_all = ["apply", "recover"])]
    pub(super) mps: Option<String>,
    /// Share it by MPS in equal replicas, as NVIDIA's device plugin does
    #[arg(long, value_name = "N", requires = "uuid", group = "sharing", conflicts_with_all = ["apply", "recover"], value_parser = clap::value_parser!(u64).range(2..=60))]
    pub(super) mps_replicas: Option<u64>,
    /// Share it without limits by so many processes
    #[arg(long, value_name = "N", requires = "uuid", group = "sharing", conflicts_with_all = ["apply", "recover"], value_parser = clap::value_parser!(u64).range(2..=60))]
    pub(super) time_slicing: Option<u64>,
    /// Time steps of work too and write them as CSV: with one client and more, or on each slice of --apply
    #[arg(long, value_name = "FILE")]
    pub(super) measure: Option<PathBuf>,
    /// CUDA library for the clients [default: the system's]
    #[arg(long, value_name = "FILE", env = "SLICEWISE_CUDA")]
    pub(super) cuda: Option<PathBuf>,
    /// Control program of MPS
    #[arg(
        long,
        value_name = "FILE",
        env = "SLICEWISE_MPS_CONTROL",
        default_value = "nvidia-cuda-mps-control"
    )]
    pub(super) mps_control: PathBuf,
    /// Folder of locks, snapshots and journals [default: /var/lib/slicewise for root, else
    /// $XDG_STATE_HOME/slicewise]
    #[arg(long, value_name = "DIR", env = "SLICEWISE_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// NVML library to load [default: the system's]
    #[arg(long, value_name = "FILE", env = "SLICEWISE_NVML")]
    pub(super) nvml: Option<PathBuf>,
    /// Value of a ${NAME} in the scenario's file names; without it the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(String, String)>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
    /// Form of the output
    #[arg(short = 'o', long, value_enum, default_value_t = ValidateFormat::Text)]
    pub(super) format: ValidateFormat,
    /// Write validate.html and validate.json into this folder too
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Exit with 0 whatever the answer, unless a GPU is not as it was
    #[arg(long)]
    pub(super) exit_zero: bool,
}

/// Forms of what `plan` prints: for people, for scripts, and other programs' files.
fn plan_formats() -> PossibleValuesParser {
    let files = Format::WORDS.iter().map(|(word, _)| *word);
    PossibleValuesParser::new(["text", "json"].into_iter().chain(files))
}

/// Arguments of `plan`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  kubectl get nodes,pods -A -o json | slicewise plan\n  slicewise plan --nodes examples/plan/nodes.yaml --pods examples/plan/pods.yaml --explain\n  slicewise plan --nodes nodes.json --pods pods.json --planner optimal -o gpu-operator\n  slicewise plan --scenario scenarios/nos.yaml --at 20h --variant 'MIG cut by nos'",
    after_help = "Nodes are those labelled nos.nebuly.com/gpu-partitioning=mig or mps; what stands on their GPUs is read from\nnos' status annotations. MIG nodes without that label are read from their allocatable MIG slices, which are\ntaken to be alike on all GPUs of a node. Pods are those that kube-scheduler found unschedulable; pods without\na status, and the templates of controllers, count as such.\n\nExit codes: 0 every pod can run then; 1 some still wait; 2 usage or input; 3 could not write."
)]
pub(super) struct Plan {
    /// Nodes as kubectl lists them, JSON or YAML, `-` for standard input; pods may stand there too; again
    /// for more [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(super) nodes: Vec<PathBuf>,
    /// Pods, likewise
    #[arg(long, value_name = "FILE")]
    pub(super) pods: Vec<PathBuf>,
    /// The cluster of a scenario instead, as its run has it at a moment
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["nodes", "pods"], requires = "at")]
    pub(super) scenario: Option<PathBuf>,
    /// The moment, from the start of the run, such as 2h30m
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse::span, requires = "scenario")]
    pub(super) at: Option<crate::units::Span>,
    /// Which variant of the scenario [default: its first]
    #[arg(long, value_name = "NAME", requires = "scenario")]
    pub(super) variant: Option<String>,
    /// Value of a ${NAME} in the scenario's file names; without it the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(String, String)>,
    /// Who plans: nos with its quirks, nos on true MIG placements, or the best plan there is
    #[arg(long, default_value = "nos", value_parser = ["nos", "nos-placements", "optimal"])]
    pub(super) planner: String,
    /// Which slices are planned [default: what the nodes are labelled with]
    #[arg(long, value_parser = ["mig", "mps"])]
    pub(super) kind: Option<String>,
    /// Quirk of nos to correct, or `all`; several with commas
    #[arg(long, value_name = "QUIRK", value_delimiter = ',')]
    pub(super) fix: Vec<String>,
    /// Seed of the choices that nos leaves to chance [default: the documented choices]
    #[arg(long, env = "SLICEWISE_SEED")]
    pub(super) seed: Option<u64>,
    /// Steps after which a search for the best stops and tells its gap
    #[arg(long, default_value_t = crate::partition::optimal::STEPS)]
    pub(super) steps: u64,
    /// nos' file of known MIG geometries, instead of the one in its chart
    #[arg(long, value_name = "FILE")]
    pub(super) nos_geometries: Option<PathBuf>,
    /// YAML file of GPUs to lay over the catalogue
    #[arg(long, value_name = "FILE", env = "SLICEWISE_GPUS")]
    pub(super) gpus: Option<PathBuf>,
    /// Form of the output
    #[arg(short = 'o', long, default_value = "text", value_parser = plan_formats())]
    pub(super) format: String,
    /// Say step by step what changes, and GPU by GPU why pods wait
    #[arg(long)]
    pub(super) explain: bool,
    /// Exit with 0 though pods still wait
    #[arg(long)]
    pub(super) exit_zero: bool,
}

/// Forms of what `validate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ValidateFormat {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// Arguments of `probe-client`.
#[derive(Debug, ClapArgs)]
pub(super) struct Probe {
    /// CUDA library [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(super) cuda: Option<PathBuf>,
}

/// Verbs of `device`.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceVerb {
    /// Ask the driver everything that changes nothing, and save its answers
    Save(Save),
}

/// Arguments of `device save`.
#[derive(Debug, ClapArgs)]
#[command(
    before_help = "Examples:\n  slicewise device save a100.json\n  slicewise device save - --uuid GPU-... | less",
    after_help = "The file is JSON, a call of NVML a line with its arguments, code and fields; `slicewise validate --reply` reads it anywhere.\n\nExit codes: 0 saved, 2 usage, 3 no driver to ask, or could not write."
)]
pub(super) struct Save {
    /// File to write, `-` for standard output
    pub(super) file: PathBuf,
    /// GPU by UUID; again for more [default: all]
    #[arg(long, value_name = "UUID")]
    pub(super) uuid: Vec<String>,
    /// NVML library to load [default: the system's]
    #[arg(long, value_name = "FILE", env = "SLICEWISE_NVML")]
    pub(super) nvml: Option<PathBuf>,
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

impl From<TableFormat> for TableForm {
    fn from(format: TableFormat) -> TableForm {
        match format {
            TableFormat::Text => TableForm::Text,
            TableFormat::Wide => TableForm::Wide,
            TableFormat::Json => TableForm::Json,
            TableFormat::Yaml => TableForm::Yaml,
            TableFormat::Csv => TableForm::Csv,
            TableFormat::Md => TableForm::Md,
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
