//! Every key of a scenario, with its meaning, range and default.
//!
//! The documentation of keys lives here and nowhere else: complaints and the schema quote it.

mod gpus;
mod models;

pub(super) use gpus::GPUS_FILE;
use models::MODELS;

use crate::yaml::{Alternative, Choice, Interval, Key, Kind, List, Object};

/// Pods of a run are numbered in 32 bits, and a thousand million is more than anybody waits for.
const PODS_MOST: i128 = 1_000_000_000;

/// More GPUs than any node has; a larger number is a slip.
const GPUS_MOST: i128 = 1_024;

/// A whole file.
pub(super) static FILE: Object = Object {
    name: "the scenario",
    doc: "What to simulate: pods, nodes and a scheduler, and variants of them.",
    keys: &[
        Key::required("name", Kind::Name, "name of the scenario"),
        Key::default("description", Kind::Text, "\"\"", "what question it answers"),
        SEED,
        OWN_GPUS,
        Key::optional("workload", Kind::Overlay(&WORKLOAD), "what arrives"),
        Key::optional("cluster", Kind::Overlay(&CLUSTER), "what there is"),
        Key::optional("scheduler", Kind::Overlay(&SCHEDULER), "who decides"),
        PARTITIONER,
        Key::optional("models", Kind::Overlay(&MODELS), "how fast pods run"),
        Key::optional("report", Kind::Overlay(&REPORT), "what is measured and shown"),
        Key::optional(
            "variants",
            Kind::List(&List { of: Kind::Object(&VARIANT), name: "variants", filled: true }),
            "what is run: each is the scenario with some keys changed; without any, the scenario itself",
        ),
    ],
};

/// An overlay with a name.
static VARIANT: Object = Object {
    name: "a variant",
    doc: "The scenario with some keys changed. Mappings merge key by key, also behind the same word of a \
          choice; anything else replaces, and a key without a value removes.",
    keys: &[
        Key::required("name", Kind::Name, "name of the variant"),
        Key::default("base", Kind::Choice(&BASE), "scenario", "what the variant changes"),
        SEED,
        OWN_GPUS,
        Key::optional("workload", Kind::Overlay(&WORKLOAD), "what arrives differently"),
        Key::optional("cluster", Kind::Overlay(&CLUSTER), "what differs in the cluster"),
        Key::optional("scheduler", Kind::Overlay(&SCHEDULER), "what is decided differently"),
        PARTITIONER,
        Key::optional("models", Kind::Overlay(&MODELS), "how fast pods run differently"),
        Key::optional("report", Kind::Overlay(&REPORT), "what is shown differently"),
    ],
};

static BASE: Choice = Choice {
    name: "a base",
    doc: "What a variant changes.",
    alternatives: &[
        Alternative::word("scenario", "The keys of the scenario around it."),
        Alternative::word("none", "Nothing: the variant stands alone."),
    ],
};

const SEED: Key = Key::default(
    "seed",
    Kind::Integer(0, u64::MAX as i128),
    "1",
    "seed of every random stream; the same seed gives the same run",
);

const OWN_GPUS: Key =
    Key::optional("gpus", Kind::List(&gpus::GPUS), "GPUs added to the catalogue, or rows of it changed");

/// A variant laid over its base, complete but for its name.
pub(super) static SCENARIO: Object = Object {
    name: "a variant with its base",
    doc: "One run.",
    keys: &[
        SEED,
        OWN_GPUS,
        Key::required("workload", Kind::Object(&WORKLOAD), "what arrives"),
        Key::required("cluster", Kind::Object(&CLUSTER), "what there is"),
        Key::default("scheduler", Kind::Object(&SCHEDULER), "{}", "who decides"),
        PARTITIONER,
        Key::default("models", Kind::Object(&MODELS), "{}", "how fast pods run"),
        Key::default("report", Kind::Object(&REPORT), "{}", "what is measured and shown"),
    ],
};

const PARTITIONER: Key =
    Key::default("partitioner", Kind::Choice(&PARTITIONERS), "none", "who cuts GPUs while pods run");

static PARTITIONERS: Choice = Choice {
    name: "a partitioner",
    doc: "Who cuts the GPUs of nodes in mode `mig` without a layout, and `{mps: on-demand}`.",
    alternatives: &[
        Alternative::word("none", "Nobody."),
        Alternative::with(
            "nos",
            Kind::Object(&NOS),
            "nos (nebuly-ai), decision for decision, with its agents.",
        ),
    ],
};

static NOS: Object = Object {
    name: "nos",
    doc: "nos with its own settings and their defaults. The scheduler beside it is the scenario's.",
    keys: &[
        Key::default(
            "fix",
            Kind::Either(&[Kind::Line, Kind::List(&List { of: Kind::Line, name: "quirks", filled: false })]),
            "[]",
            "quirks that are corrected, by name; `all` corrects all",
        ),
        Key::default("geometries", Kind::Choice(&GEOMETRIES), "deployed", "the MIG geometries that it knows"),
        Key::default(
            "batch_timeout",
            Kind::Span { positive: true },
            "60s",
            "batchWindowTimeoutSeconds: from the first pod of a batch until it is planned for",
        ),
        Key::default(
            "batch_idle",
            Kind::Span { positive: true },
            "10s",
            "batchWindowIdleSeconds: from its last pod",
        ),
        Key::default(
            "plugin_delay",
            Kind::Span { positive: true },
            "5s",
            "devicePluginDelaySeconds: from an MPS node's new configuration to its label",
        ),
        Key::default(
            "mig_report",
            Kind::Span { positive: true },
            "10s",
            "reportConfigIntervalSeconds of the MIG agent",
        ),
        Key::default(
            "mps_report",
            Kind::Span { positive: true },
            "10s",
            "reportConfigIntervalSeconds of the GPU agent, which serves MPS",
        ),
        Key::default(
            "plugin",
            Kind::Span { positive: false },
            "10s",
            "how long a device plugin takes to be back after its pod was deleted (assumed)",
        ),
        Key::default(
            "mps_plugin",
            Kind::Span { positive: false },
            "10s",
            "how long an MPS node's device plugin takes to serve a new configuration (assumed)",
        ),
        Key::default(
            "choices",
            Kind::Choice(&CHOICES),
            "first",
            "what is done where nos leaves it to chance",
        ),
        Key::default(
            "planner",
            Kind::Choice(&PLANNER),
            "nos",
            "who plans, with nos' loop and agents around it",
        ),
        Key::default(
            "regret",
            Kind::Bool,
            "false",
            "whether the best plan is sought beside each, to report what it falls short of",
        ),
        Key::default(
            "steps",
            Kind::Integer(1, 1_000_000_000),
            "20000",
            "steps that each search for the best plan may take: 20,000 take some ten milliseconds",
        ),
    ],
};

static PLANNER: Choice = Choice {
    name: "a planner",
    doc: "Who plans.",
    alternatives: &[
        Alternative::word("nos", "nos' own planner, quirks included."),
        Alternative::word(
            "nos-placements",
            "nos' planner on true places, with every geometry of the catalogue that has places beside the used \
             slices; agents make slices at the places that it counts on.",
        ),
        Alternative::word(
            "optimal",
            "The best plan: most pods served, then fewest GPUs re-cut, then least fragmentation; within `steps`.",
        ),
    ],
};

static GEOMETRIES: Choice = Choice {
    name: "a table of geometries",
    doc: "MIG geometries that nos knows, by product label.",
    alternatives: &[
        Alternative::word(
            "deployed",
            "Those of nos' charts: A30 and A100; a GPU begins as its smallest slices.",
        ),
        Alternative::word("builtin", "Those in nos' code, which a deployed nos never uses."),
        Alternative::word(
            "catalogue",
            "Every full geometry of plain profiles, for every MIG product of the catalogue, the finest first.",
        ),
        Alternative::with("file", Kind::Path, "Those of a file in nos' own format."),
    ],
};

static CHOICES: Choice = Choice {
    name: "a choice",
    doc: "What is done where nos follows the order of a Go map.",
    alternatives: &[
        Alternative::word("first", "GPUs by index, the first geometry of the table, slices by name."),
        Alternative::word("seeded", "Any legal choice with equal chance, by the run's seed."),
    ],
};

static WORKLOAD: Object = Object {
    name: "the workload",
    doc: "The pods that arrive: from traces, from laws, or both.",
    keys: &[
        Key::optional("traces", Kind::List(&TRACES), "files of pods, merged by arrival"),
        Key::short_for("trace", TRACE, "traces", "the only file of pods"),
        Key::optional("generate", Kind::Object(&GENERATE), "pods made by laws, instead of or beside traces"),
        Key::default("changes", Kind::Object(&CHANGES), "{}", "what is done to the pods before the run"),
        Key::optional(
            "translation",
            Kind::Object(&TRANSLATION),
            "how demands become requests; left out it follows the cluster",
        ),
        Key::optional(
            "patience",
            Kind::Span { positive: false },
            "pods that waited so long give up; 0 turns away whatever cannot start at once",
        ),
        Key::optional(
            "queue_limit",
            Kind::Integer(0, u64::MAX as i128),
            "most pods waiting after a cycle; the latest are turned away",
        ),
        Key::default(
            "priority_classes",
            Kind::List(&List { of: Kind::Object(&PRIORITY_CLASS), name: "priority classes", filled: false }),
            "[]",
            "priority classes; a pod gets the first that means it, and otherwise keeps its trace's priority",
        ),
        Key::default(
            "disruption_budgets",
            Kind::List(&List { of: Kind::Object(&BUDGET), name: "disruption budgets", filled: false }),
            "[]",
            "how many pods may be disrupted at a time: drains keep to it, preemption prefers to",
        ),
        Key::default(
            "scheduling_gates",
            Kind::List(&List { of: Kind::Object(&GATE), name: "scheduling gates", filled: false }),
            "[]",
            "`schedulingGates` of pods: who has any is not tried until the last is lifted; its wait counts from \
             its creation; kube-1.25 knows none",
        ),
        Key::default(
            "grace",
            Kind::Span { positive: false },
            "30s",
            "how long a pod that must go keeps its place (terminationGracePeriodSeconds)",
        ),
        Key::default("evicted", Kind::Choice(&EVICTED), "return", "what becomes of an evicted pod"),
    ],
};

static OF: Object = Object {
    name: "a choice of pods",
    doc: "Pods by namespace and class; what is left out matches all.",
    keys: &[
        Key::default(
            "namespaces",
            Kind::List(&List { of: Kind::Line, name: "namespaces", filled: false }),
            "[]",
            "namespaces",
        ),
        Key::default(
            "classes",
            Kind::List(&List { of: Kind::Line, name: "classes", filled: false }),
            "[]",
            "classes",
        ),
    ],
};

static PRIORITY_CLASS: Object = Object {
    name: "a priority class",
    doc: "A PriorityClass.",
    keys: &[
        Key::required("name", Kind::Name, "its name"),
        Key::required(
            "value",
            Kind::Integer(i32::MIN as i128, i32::MAX as i128),
            "priority of its pods; higher goes first",
        ),
        Key::default(
            "never_preempts",
            Kind::Bool,
            "false",
            "`preemptionPolicy: Never`: its pods evict nobody",
        ),
        Key::optional(
            "of",
            Kind::Object(&OF),
            "the pods that get it; left out, those whose trace gives just this value",
        ),
    ],
};

static GATE: Object = Object {
    name: "a scheduling gate",
    doc: "A scheduling gate, as a quota or data controller sets and lifts it.",
    keys: &[
        Key::required(
            "name",
            Kind::Line,
            "its name, such as `example.com/quota`, which the pod's message tells",
        ),
        Key::default("of", Kind::Object(&OF), "{}", "the pods that are created with it"),
        Key::required(
            "lifted",
            Kind::Span { positive: true },
            "so long after the pod's creation, and again after each time that it is created anew",
        ),
    ],
};

static BUDGET: Object = Object {
    name: "a disruption budget",
    doc: "A PodDisruptionBudget: `min_available` or `max_unavailable`.",
    keys: &[
        Key::required("name", Kind::Name, "its name"),
        Key::default("of", Kind::Object(&OF), "{}", "the pods that it protects"),
        Key::optional(
            "min_available",
            Kind::Line,
            "pods that must be left, or a share such as `50%` of those that should be there, rounded up",
        ),
        Key::optional(
            "max_unavailable",
            Kind::Line,
            "pods that may be missing, or a share such as `30%` of those that should be there, rounded up",
        ),
    ],
};

const TRACE: Kind = Kind::Either(&[Kind::Path, Kind::Object(&SOURCE)]);
static TRACES: List = List { of: TRACE, name: "traces", filled: true };

static SOURCE: Object = Object {
    name: "a trace",
    doc: "A file of pods and how to read it.",
    keys: &[
        Key::required(
            "file",
            Kind::Path,
            "path relative to the scenario, with `${NAME}` or `${NAME:-default}` for variables; \
             `builtin:quickstart` is inside the program",
        ),
        Key::default("format", Kind::Choice(&FORMAT), "native", "how its rows are spelled"),
        Key::default("bad_rows", Kind::Choice(&BAD_ROWS), "refuse", "what a row does that is wrong"),
        Key::optional("class", Kind::Name, "class of its pods, where the format has none"),
        Key::optional("namespace", Kind::Name, "namespace of its pods, where the format has none"),
        Key::default(
            "assume",
            Kind::Object(&ASSUME),
            "{}",
            "what is assumed of jobs whose log has GPUs only",
        ),
        Key::optional("sha256", Kind::Line, "SHA-256 of the file in hex; another file is refused"),
    ],
};

static FORMAT: Choice = Choice {
    name: "a trace format",
    doc: "How the rows of a trace are spelled.",
    alternatives: &[
        Alternative::word("native", "slicewise's own CSV."),
        Alternative::word("openb", "The pod list of Alibaba's cluster-trace-gpu-v2023."),
        Alternative::word("elasticflow", "Microsoft's ITP jobs as in elasticflow-traces."),
        Alternative::with(
            "jobs",
            Kind::Object(&COLUMNS),
            "Any CSV with a header, by the names of its columns.",
        ),
    ],
};

static COLUMNS: Object = Object {
    name: "the columns",
    doc: "Names of the columns of a job log.",
    keys: &[
        Key::optional("name", Kind::Line, "name of the job"),
        Key::required("arrival", Kind::Line, "time of submission, in `time_unit`s from any zero"),
        Key::optional("duration", Kind::Line, "run time; or give `start` and `end`"),
        Key::optional("start", Kind::Line, "start of the run, with `end` instead of `duration`"),
        Key::optional("end", Kind::Line, "end of the run"),
        Key::optional("gpus", Kind::Line, "whole GPUs asked; fractions up to 1 are accepted"),
        Key::optional("cpus", Kind::Line, "CPU cores asked; without it `assume` counts"),
        Key::optional("memory_gib", Kind::Line, "memory asked in GiB; without it `assume` counts"),
        Key::optional("class", Kind::Line, "class"),
        Key::optional("namespace", Kind::Line, "namespace, user or group"),
        Key::optional("priority", Kind::Line, "priority"),
        Key::default("time_unit", Kind::Span { positive: true }, "1s", "one unit of the columns of times"),
    ],
};

static BAD_ROWS: Choice = Choice {
    name: "a way with bad rows",
    doc: "What a row does that is wrong.",
    alternatives: &[
        Alternative::word("refuse", "All of them are reported and the run refuses."),
        Alternative::word("skip", "They are counted, the first few shown, and skipped."),
    ],
};

static ASSUME: Object = Object {
    name: "the assumptions",
    doc: "What is assumed for each GPU of a job whose log has no CPU, no memory and no node size.",
    keys: &[
        Key::default("cpu_per_gpu", Kind::Cpu, "12", "CPU request for each GPU"),
        Key::default("memory_per_gpu", Kind::Memory, "48GiB", "memory request for each GPU"),
        Key::default(
            "gpus_per_node",
            Kind::Integer(1, GPUS_MOST),
            "8",
            "GPUs of a node: larger jobs become gangs of pods that start together",
        ),
    ],
};

static CHANGES: Object = Object {
    name: "the changes",
    doc: "What is done to the pods, in the order of these keys.",
    keys: &[
        Key::optional("window", Kind::Object(&WINDOW), "keep the pods of this window of the trace's clock"),
        Key::default(
            "only_classes",
            Kind::List(&List { of: Kind::Line, name: "classes", filled: false }),
            "[]",
            "keep these classes; an empty list keeps all",
        ),
        Key::optional("draw", Kind::Choice(&DRAW), "draw pods by the seed"),
        Key::default(
            "time_scale",
            Kind::Number(Interval::above(0.0)),
            "1",
            "multiplies arrivals and work: 0.5 replays twice as fast",
        ),
        Key::default(
            "load_scale",
            Kind::Number(Interval::above(0.0)),
            "1",
            "divides the gaps between arrivals and leaves the work: 2 doubles the load",
        ),
        Key::optional("work_cap", Kind::Span { positive: true }, "longer work is cut to this"),
    ],
};

static WINDOW: Object = Object {
    name: "a window",
    doc: "A window of the trace's clock; arrivals are counted from `from` afterwards.",
    keys: &[
        Key::default("from", Kind::Span { positive: false }, "0s", "first moment kept"),
        Key::optional("to", Kind::Span { positive: true }, "first moment not kept"),
    ],
};

static DRAW: Choice = Choice {
    name: "a way to draw pods",
    doc: "Drawing pods by the seed.",
    alternatives: &[
        Alternative::with(
            "sample",
            Kind::Number(Interval::above(0.0).to(1.0)),
            "Each pod with this probability, keeping its arrival.",
        ),
        Alternative::with(
            "bootstrap",
            Kind::Object(&BOOTSTRAP),
            "With replacement, under a clock of its own; demand, work, class and priority stay together.",
        ),
    ],
};

static BOOTSTRAP: Object = Object {
    name: "a bootstrap",
    doc: "Pods drawn with replacement.",
    keys: &[
        Key::required("pods", Kind::Integer(1, PODS_MOST), "how many pods"),
        Key::required("arrivals", Kind::Choice(&ARRIVALS), "when they arrive"),
    ],
};

static ARRIVALS: Choice = Choice {
    name: "a stream of arrivals",
    doc: "When pods arrive.",
    alternatives: &[
        Alternative::with("poisson", Kind::Object(&POISSON), "Independent exponential gaps."),
        Alternative::with(
            "bursty",
            Kind::Object(&BURSTY),
            "A rate that switches between high and low (MMPP-2).",
        ),
        Alternative::with("diurnal", Kind::Object(&DIURNAL), "A rate that follows a day."),
        Alternative::word("at-once", "All at time 0."),
    ],
};

const PER_HOUR: Key = Key::required("per_hour", Kind::Number(Interval::above(0.0)), "mean arrivals per hour");

static POISSON: Object =
    Object { name: "Poisson arrivals", doc: "Independent exponential gaps.", keys: &[PER_HOUR] };

static BURSTY: Object = Object {
    name: "bursty arrivals",
    doc: "A Poisson stream whose rate switches between a high and a low state of exponential lengths.",
    keys: &[
        PER_HOUR,
        Key::required(
            "ratio",
            Kind::Number(Interval::above(1.0)),
            "rate in the high state over that in the low",
        ),
        Key::required("burst", Kind::Span { positive: true }, "mean length of a high state"),
        Key::required(
            "share",
            Kind::Number(Interval::above(0.0).below(1.0)),
            "share of the time in the high state",
        ),
    ],
};

static DIURNAL: Object = Object {
    name: "diurnal arrivals",
    doc: "A Poisson stream whose rate is a sine over the day; time 0 is midnight.",
    keys: &[
        PER_HOUR,
        Key::required(
            "swing",
            Kind::Number(Interval::at_least(0.0).to(1.0)),
            "how far the rate swings around its mean: 1 is from nothing to double",
        ),
        Key::required("peak", Kind::Span { positive: false }, "time of day of the highest rate"),
    ],
};

static GENERATE: Object = Object {
    name: "generated pods",
    doc: "Pods made by draws from laws.",
    keys: &[
        Key::required("pods", Kind::Integer(1, PODS_MOST), "how many pods"),
        Key::required("arrivals", Kind::Choice(&ARRIVALS), "when they arrive"),
        Key::required(
            "classes",
            Kind::List(&List { of: Kind::Object(&CLASS), name: "classes", filled: true }),
            "what they are: the class of each pod is drawn by weight",
        ),
    ],
};

static CLASS: Object = Object {
    name: "a class",
    doc: "A class of generated pods.",
    keys: &[
        Key::required("name", Kind::Name, "its name"),
        Key::default(
            "weight",
            Kind::Number(Interval::at_least(0.0)),
            "1",
            "share of the pods, relative to the weights of the other classes",
        ),
        Key::required("cpu", Kind::Cpu, "CPU request"),
        Key::required("memory", Kind::Memory, "memory request"),
        Key::default("gpu", Kind::Choice(&GPU), "none", "GPU demand"),
        Key::required("work", Kind::Choice(&LAW), "law of the run time alone on a full GPU"),
        Key::default("priority", Kind::Integer(i32::MIN as i128, i32::MAX as i128), "0", "higher goes first"),
        Key::default("namespace", Kind::Name, "default", "namespace"),
    ],
};

const MILLI: Kind = Kind::Integer(1, 999);
const WEIGHT: Kind = Kind::Number(Interval::at_least(0.0));
const FIVE_WEIGHTS: Kind = Kind::Tuple(&[WEIGHT, WEIGHT, WEIGHT, WEIGHT, WEIGHT]);
static SHARES: List =
    List { of: Kind::Either(&[MILLI, Kind::Tuple(&[MILLI, WEIGHT])]), name: "shares", filled: true };

static GPU: Choice = Choice {
    name: "a GPU demand",
    doc: "What a pod needs of GPUs.",
    alternatives: &[
        Alternative::word("none", "No GPU."),
        Alternative::with("whole", Kind::Integer(1, GPUS_MOST), "So many whole GPUs."),
        Alternative::with(
            "share",
            Kind::Either(&[MILLI, Kind::List(&SHARES)]),
            "Thousandths of one GPU: a number, or pairs of a number and its weight to draw from.",
        ),
        Alternative::with(
            "profiles",
            Kind::Either(&[Kind::Choice(&MIX), FIVE_WEIGHTS]),
            "One MIG slice of 1, 2, 3, 4 or 7 compute slices: a named mix, or their five weights.",
        ),
    ],
};

static MIX: Choice = Choice {
    name: "a mix of profiles",
    doc: "Weights of slices of 1, 2, 3, 4 and 7 compute slices.",
    alternatives: &[
        Alternative::word("uniform", ".20 each."),
        Alternative::word("small-heavy", ".40 .25 .15 .15 .05."),
        Alternative::word("skew-small", ".80 .10 .05 .03 .02."),
        Alternative::word("skew-big", ".02 .03 .05 .10 .80."),
        Alternative::word("bimodal", ".45 .03 .04 .03 .45."),
        Alternative::word(
            "openb-nearest",
            ".034 .178 .307 .130 .350: openb's fractions by the rule `nearest`.",
        ),
        Alternative::with("weights", FIVE_WEIGHTS, "Five weights."),
    ],
};

pub(super) static LAW: Choice = Choice {
    name: "a law of durations",
    doc: "How long something takes, all given by the mean.",
    alternatives: &[
        Alternative::with("constant", Kind::Object(&CONSTANT), "Always the mean."),
        Alternative::with("exponential", Kind::Object(&EXPONENTIAL), "Exponential."),
        Alternative::with("erlang", Kind::Object(&ERLANG), "A sum of equal exponentials: less variable."),
        Alternative::with(
            "hyperexponential",
            Kind::Object(&HYPER),
            "Two phases with balanced means: more variable.",
        ),
        Alternative::with("lognormal", Kind::Object(&LOGNORMAL), "Log-normal."),
        Alternative::with("pareto", Kind::Object(&PARETO), "Pareto cut at `max`: heavy-tailed."),
    ],
};

const MEAN: Key = Key::required("mean", Kind::Span { positive: true }, "mean");

static CONSTANT: Object = Object { name: "a constant", doc: "Always the mean.", keys: &[MEAN] };
static EXPONENTIAL: Object = Object { name: "an exponential law", doc: "Exponential.", keys: &[MEAN] };
static ERLANG: Object = Object {
    name: "an Erlang law",
    doc: "A sum of equal exponentials.",
    keys: &[
        MEAN,
        Key::required(
            "stages",
            Kind::Integer(1, 10_000),
            "number of exponentials; the squared coefficient of variation is 1 over it",
        ),
    ],
};
static HYPER: Object = Object {
    name: "a hyperexponential law",
    doc: "Two phases with balanced means.",
    keys: &[
        MEAN,
        Key::required("scv", Kind::Number(Interval::at_least(1.0)), "squared coefficient of variation"),
    ],
};
static LOGNORMAL: Object = Object {
    name: "a log-normal law",
    doc: "Log-normal.",
    keys: &[
        MEAN,
        Key::required("scv", Kind::Number(Interval::above(0.0)), "squared coefficient of variation"),
    ],
};
static PARETO: Object = Object {
    name: "a Pareto law",
    doc: "Pareto cut at `max`.",
    keys: &[
        Key::required("mean", Kind::Span { positive: true }, "mean of the law before it is cut"),
        Key::required("shape", Kind::Number(Interval::above(1.0)), "tail index; 1.5 is heavy"),
        Key::required("max", Kind::Span { positive: true }, "no draw is longer"),
    ],
};

static TRANSLATION: Object = Object {
    name: "the translation",
    doc: "How demands become requests.",
    keys: &[
        Key::required("to", Kind::Choice(&SHARING), "what pods ask for"),
        Key::optional(
            "whole_to",
            Kind::Choice(&SHARING),
            "what pods ask for that need whole GPUs, where nodes share in several ways; left out, as all others",
        ),
        Key::default("rule", Kind::Choice(&RULE), "ceil-both", "which slice a fraction of a GPU becomes"),
        Key::optional("product", Kind::Line, "GPU whose profiles and memory are meant"),
    ],
};

static SHARING: Choice = Choice {
    name: "a kind of sharing",
    doc: "What pods ask for.",
    alternatives: &[
        Alternative::word("whole", "Whole GPUs."),
        Alternative::word("mig", "MIG slices."),
        Alternative::word("mps", "MPS slices of memory."),
        Alternative::word("mps-replicas", "Equal replicas under MPS."),
        Alternative::word("time-slicing", "Replicas under time-slicing."),
        Alternative::word("fraction", "Thousandths of a GPU."),
    ],
};

static RULE: Choice = Choice {
    name: "a translation rule",
    doc: "From a fraction of a GPU to a MIG profile.",
    alternatives: &[
        Alternative::word("ceil-compute", "The least profile with as much compute."),
        Alternative::word("ceil-both", "The least profile with as much compute and memory."),
        Alternative::word("nearest", "The profile with the nearest compute; may give too little."),
        Alternative::word(
            "refresh-16gb-a100-40gb",
            "The fraction of a 16 GB card, on an A100-40GB: the least profile with that memory.",
        ),
        Alternative::word("refresh-16gb-h100-80gb", "The same on an 80 GB card."),
    ],
};

static CLUSTER: Object = Object {
    name: "the cluster",
    doc: "The nodes.",
    keys: &[
        Key::default(
            "nodes",
            Kind::List(&List { of: Kind::Object(&NODE), name: "nodes", filled: false }),
            "[]",
            "groups of equal nodes, in the order of the cluster",
        ),
        Key::default(
            "node_lists",
            Kind::List(&List { of: Kind::Object(&NODE_LIST), name: "node lists", filled: false }),
            "[]",
            "files of nodes, after the groups",
        ),
        Key::default(
            "events",
            Kind::List(&List { of: Kind::Object(&EVENT), name: "events", filled: false }),
            "[]",
            "what is planned to happen to nodes",
        ),
    ],
};

static EVENT: Object = Object {
    name: "a planned event",
    doc: "Something that happens to nodes at a moment. Events of one moment happen in the order in which they are written.",
    keys: &[
        Key::required("at", Kind::Span { positive: false }, "when, from the start of the run"),
        Key::required(
            "nodes",
            Kind::List(&List { of: Kind::Line, name: "nodes", filled: true }),
            "names of nodes (`<group>-<i>`), or of groups for all their nodes",
        ),
        Key::required("do", Kind::Choice(&EVENT_KIND), "what happens"),
    ],
};

static EVENT_KIND: Choice = Choice {
    name: "an event",
    doc: "What can be planned.",
    alternatives: &[
        Alternative::word("join", "The node is there from now on; it was not before."),
        Alternative::word("leave", "The node is gone at once, and so are its pods."),
        Alternative::word("cordon", "The node takes no new pods, as after `kubectl cordon`."),
        Alternative::word("uncordon", "The node takes pods again."),
        Alternative::word(
            "drain",
            "The node is cordoned and its pods are asked to go, as by `kubectl drain`: at once where \
             disruption budgets allow it, else again every 5 s.",
        ),
        Alternative::with(
            "taint",
            Kind::Line,
            "The node has this taint, `key=value:effect`; NoExecute asks pods to go that do not tolerate it.",
        ),
        Alternative::with("untaint", Kind::Line, "The node has this taint, `key:effect`, no more."),
        Alternative::with("label", Kind::Map(&Kind::Text), "The node has these labels."),
        Alternative::with("allocatable", Kind::Object(&AMOUNTS), "The node has other allocatable amounts."),
        Alternative::with("recut", Kind::Object(&RECUT), "MIG GPUs of the node are re-cut."),
        Alternative::with("mode", Kind::Object(&SWITCH), "The GPUs of the node are shared in another way."),
    ],
};

static AMOUNTS: Object = Object {
    name: "allocatable amounts",
    doc: "Amounts that change; those left out stay.",
    keys: &[
        Key::optional("cpu", Kind::Cpu, "CPU"),
        Key::optional("memory", Kind::Memory, "memory"),
        Key::optional("pods", Kind::Integer(0, 100_000), "pods"),
    ],
};

static RECUT: Object = Object {
    name: "a re-cut",
    doc: "Another layout for MIG GPUs.",
    keys: &[
        Key::required(
            "layout",
            Kind::List(&List { of: Kind::Line, name: "profiles", filled: true }),
            "profiles of the new layout",
        ),
        Key::optional(
            "gpus",
            Kind::List(&List { of: Kind::Integer(0, GPUS_MOST), name: "GPUs", filled: true }),
            "numbers of the GPUs on each node; left out, all of them",
        ),
        Key::default("running", Kind::Choice(&HOLDERS), "wait", "what becomes of pods on slices that go"),
    ],
};

static SWITCH: Object = Object {
    name: "a change of mode",
    doc: "Another way of sharing for all GPUs of a node.",
    keys: &[
        Key::required("to", Kind::Choice(&MODE), "the new mode"),
        Key::default("running", Kind::Choice(&HOLDERS), "wait", "what becomes of pods that hold its GPUs"),
    ],
};

static HOLDERS: Choice = Choice {
    name: "a fate of pods on slices that go",
    doc: "What becomes of pods whose slices a re-cut takes away.",
    alternatives: &[
        Alternative::word("wait", "Their GPU is re-cut once they have ended; nobody else gets such a slice."),
        Alternative::word("evict", "They are asked to go."),
    ],
};

/// Kubelet's default.
const PODS: Key = Key::default("pods", Kind::Integer(1, 100_000), "110", "pods that a node may hold");
const NODE_MODE: Key = Key::default("mode", Kind::Choice(&MODE), "whole", "how its GPUs are shared");

static NODE: Object = Object {
    name: "a node group",
    doc: "Equal nodes, named `<name>-0`, `<name>-1`, …",
    keys: &[
        Key::required("name", Kind::Name, "name of the group"),
        Key::default("count", Kind::Integer(1, 1_000_000), "1", "number of nodes"),
        Key::required("cpu", Kind::Cpu, "allocatable CPU of each"),
        Key::required("memory", Kind::Memory, "allocatable memory of each"),
        PODS,
        Key::optional("gpus", Kind::Object(&GPUS), "GPUs of each"),
        NODE_MODE,
        Key::default("labels", Kind::Map(&Kind::Text), "{}", "labels"),
        Key::default(
            "taints",
            Kind::List(&List { of: Kind::Line, name: "taints", filled: false }),
            "[]",
            "taints, as `key=value:effect` or `key:effect`",
        ),
        Key::optional(
            "price_per_hour",
            Kind::Number(Interval::at_least(0.0)),
            "price of one node for an hour, in one currency throughout",
        ),
    ],
};

static GPUS: Object = Object {
    name: "the GPUs of a node",
    doc: "GPUs of a node.",
    keys: &[
        Key::required("model", Kind::Line, "GPU model, as `slicewise gpus` lists them"),
        Key::required("count", Kind::Integer(1, GPUS_MOST), "number of GPUs"),
    ],
};

static MODE: Choice = Choice {
    name: "a mode",
    doc: "How a node's GPUs are shared.",
    alternatives: &[
        Alternative::word("whole", "Each GPU goes to one pod."),
        Alternative::word("fraction", "Thousandths of a GPU."),
        Alternative::may_have(
            "mig",
            Kind::Either(&[
                Kind::List(&List { of: Kind::Line, name: "MIG profiles", filled: true }),
                Kind::Map(&Kind::Integer(1, 16)),
            ]),
            "Each GPU is cut into these profiles: a list, or a mapping of counts. The word alone leaves the cuts \
             to the partitioner.",
        ),
        Alternative::may_have("mps", Kind::Choice(&MPS), "MPS; the word alone is slices of memory."),
        Alternative::with(
            "time-slicing",
            Kind::Object(&REPLICAS),
            "Replicas of each GPU, without isolation.",
        ),
    ],
};

static MPS: Choice = Choice {
    name: "a way of MPS",
    doc: "How MPS divides a GPU.",
    alternatives: &[
        Alternative::may_have(
            "on-demand",
            Kind::Object(&MPS_MEMORY),
            "Slices of memory that the partitioner makes.",
        ),
        Alternative::may_have(
            "memory",
            Kind::Object(&MPS_MEMORY),
            "Slices of any whole number of GB, as nos makes them.",
        ),
        Alternative::with(
            "replicas",
            Kind::Integer(2, 1_000),
            "So many equal replicas, as NVIDIA's device plugin makes them.",
        ),
    ],
};

static MPS_MEMORY: Object = Object {
    name: "MPS slices of memory",
    doc: "Slices of memory under MPS.",
    keys: &[Key::default(
        "clients",
        Kind::Integer(1, 1_000),
        "48",
        "most pods on one GPU; CUDA up to 13.0 serves 48",
    )],
};

static REPLICAS: Object = Object {
    name: "time-slicing",
    doc: "Replicas of each GPU.",
    keys: &[Key::required(
        "replicas",
        Kind::Integer(2, 1_000),
        "how often each GPU is advertised; once would be the mode `whole`",
    )],
};

static NODE_LIST: Object = Object {
    name: "a node list",
    doc: "A file of nodes.",
    keys: &[
        Key::required("file", Kind::Path, "path relative to the scenario; may hold variables as `${NAME}`"),
        NODE_MODE,
        Key::default("models", Kind::Map(&Kind::Line), "{}", "a GPU product for each model name of the file"),
        PODS,
    ],
};

static SCHEDULER: Object = Object {
    name: "the scheduler",
    doc: "Who decides where pods run.",
    keys: &[
        Key::default("profile", Kind::Choice(&PROFILE), "kube-1.35", "named behaviour of queue and retries"),
        Key::default(
            "scores",
            Kind::List(&List { of: SCORE, name: "scores", filled: false }),
            "[least-allocated]",
            "under `ideal`: scores of nodes, summed by weight; an empty list is first fit by node order",
        ),
        Key::short_for("score", SCORE, "scores", "the only score"),
        Key::default("gpu_choice", Kind::Choice(&GPU_CHOICE), "best-fit", "which GPU of the chosen node"),
        Key::default(
            "ties",
            Kind::Choice(&TIES),
            "node-order",
            "under `ideal`: which of several equally good nodes",
        ),
        Key::default(
            "cycle",
            Kind::Span { positive: false },
            "0s",
            "cycles run at multiples of this; 0 runs one whenever something changed",
        ),
        Key::default("kube", Kind::Object(&KUBE), "{}", "what surrounds kube-scheduler"),
    ],
};

static KUBE: Object = Object {
    name: "kube-scheduler's surroundings",
    doc: "What a cluster and its users set around kube-scheduler; for the `kube-` profiles.",
    keys: &[
        Key::optional(
            "config",
            Kind::Path,
            "a KubeSchedulerConfiguration as `kube-scheduler --config` reads it, instead of `settings`",
        ),
        Key::optional(
            "scheduler_name",
            Kind::Line,
            "which profile of that file, by its schedulerName, where it has several",
        ),
        Key::default("settings", Kind::Object(&KUBE_SETTINGS), "{}", "how it is set up, in our words"),
        Key::default(
            "cycle_time",
            Kind::Span { positive: false },
            "0s",
            "how long one scheduling cycle takes; real ones take 0.5 to 20 ms",
        ),
        Key::default(
            "bind_failures",
            Kind::Number(Interval::at_least(0.0).to(0.9)),
            "0",
            "share of the bindings that fail, drawn by the seed: the pod gives its room back and is tried again \
             after a back-off, as after an API error",
        ),
        Key::optional(
            "api",
            Kind::Object(&API),
            "the limits of its API client, which hold up bindings, failed cycles and evictions; left out they are \
             those of `config`, if it says any, else there are none",
        ),
    ],
};

static API: Object = Object {
    name: "the limits of an API client",
    doc: "Calls to the API server: bindings, status patches, evictions.",
    keys: &[
        Key::default("qps", Kind::Integer(1, 1_000_000), "50", "calls per second in the long run"),
        Key::default("burst", Kind::Integer(1, 1_000_000), "100", "calls at once after a pause"),
    ],
};

static KUBE_SETTINGS: Object = Object {
    name: "kube-scheduler's settings",
    doc: "What a KubeSchedulerConfiguration says that is modelled.",
    keys: &[
        Key::default(
            "percentage_of_nodes_to_score",
            Kind::Integer(0, 100),
            "0",
            "share of the nodes among which a cycle looks for feasible ones; 0 adapts to their number",
        ),
        Key::default("backoff_initial", Kind::Span { positive: true }, "1s", "first back-off"),
        Key::default("backoff_max", Kind::Span { positive: false }, "10s", "longest back-off"),
        Key::default(
            "unschedulable_max",
            Kind::Span { positive: true },
            "5m",
            "longest stay of a pod that no event helps (the flag --pod-max-in-unschedulable-pods-duration)",
        ),
        Key::default(
            "filters_off",
            Kind::List(&List { of: Kind::Choice(&FILTER), name: "filters", filled: false }),
            "[]",
            "filter plugins that are off",
        ),
        Key::default(
            "ignored_resources",
            Kind::List(&List { of: Kind::Line, name: "resources", filled: false }),
            "[]",
            "extended resources of which NodeResourcesFit does not look whether a node has enough",
        ),
        Key::default(
            "ignored_groups",
            Kind::List(&List { of: Kind::Line, name: "groups", filled: false }),
            "[]",
            "the same by what stands before the `/` of their names",
        ),
        Key::default("preemption", Kind::Bool, "true", "whether DefaultPreemption is on"),
        Key::default(
            "candidates_percentage",
            Kind::Integer(0, 100),
            "10",
            "share of the nodes that preemption tries at least, in percent (minCandidateNodesPercentage)",
        ),
        Key::default(
            "candidates_absolute",
            Kind::Integer(0, 1_000_000),
            "100",
            "nodes that preemption tries at least (minCandidateNodesAbsolute)",
        ),
        Key::default("weights", Kind::Object(&WEIGHTS), "{}", "weights of the score plugins; 0 is off"),
        Key::default("strategy", Kind::Choice(&STRATEGY), "least-allocated", "how NodeResourcesFit scores"),
        Key::default(
            "resources",
            Kind::Map(&Kind::Integer(1, 100)),
            "{cpu: 1, memory: 1}",
            "resources that NodeResourcesFit scores, with weights, such as `nvidia.com/gpu: 5`",
        ),
        Key::default(
            "balanced_resources",
            Kind::List(&List { of: Kind::Line, name: "resources", filled: true }),
            "[cpu, memory]",
            "resources that NodeResourcesBalancedAllocation balances",
        ),
    ],
};

static FILTER: Choice = Choice {
    name: "a filter plugin",
    doc: "A filter plugin of kube-scheduler.",
    alternatives: &[
        Alternative::word("NodeUnschedulable", "Cordoned nodes."),
        Alternative::word("TaintToleration", "Taints."),
        Alternative::word("NodeAffinity", "Node selector and affinity."),
        Alternative::word("NodeResourcesFit", "Requests."),
    ],
};

static WEIGHTS: Object = Object {
    name: "the weights",
    doc: "Weights of kube-scheduler's score plugins; 0 is off.",
    keys: &[
        Key::default("fit", Kind::Integer(0, 100), "1", "NodeResourcesFit"),
        Key::default("balanced", Kind::Integer(0, 100), "1", "NodeResourcesBalancedAllocation"),
        Key::default("taints", Kind::Integer(0, 100), "3", "TaintToleration"),
        Key::default("affinity", Kind::Integer(0, 100), "2", "NodeAffinity"),
    ],
};

static STRATEGY: Choice = Choice {
    name: "a scoring strategy",
    doc: "How NodeResourcesFit scores.",
    alternatives: &[
        Alternative::word("least-allocated", "More free is better."),
        Alternative::word("most-allocated", "More used is better."),
        Alternative::with(
            "ratio",
            Kind::List(&List {
                of: Kind::Tuple(&[Kind::Integer(0, 100), Kind::Integer(0, 10)]),
                name: "points",
                filled: true,
            }),
            "A broken line through [utilization in percent, score of 0 to 10], ascending.",
        ),
    ],
};

static EVICTED: Choice = Choice {
    name: "a fate of evicted pods",
    doc: "What becomes of a pod that is evicted.",
    alternatives: &[
        Alternative::word(
            "return",
            "It is created anew and starts over, as by a Job: after 10 s, doubled each time.",
        ),
        Alternative::word("leave", "It is gone, as a bare pod is."),
    ],
};

const SCORE: Kind = Kind::Either(&[Kind::Name, Kind::Object(&WEIGHTED)]);

static WEIGHTED: Object = Object {
    name: "a score",
    doc: "A score with a weight.",
    keys: &[
        Key::required("name", Kind::Name, "name of the score"),
        Key::default("weight", Kind::Integer(1, 100), "1", "its weight"),
    ],
};

static PROFILE: Choice = Choice {
    name: "a scheduler profile",
    doc: "Named behaviour of queue and retries.",
    alternatives: &[
        Alternative::word(
            "kube-1.35",
            "kube-scheduler 1.35: its queues, back-off, wake-ups, scores, sampling and preemption. Without gangs: \
             it places each pod by itself unless alpha gates or another scheduler's plugin say otherwise.",
        ),
        Alternative::word("kube-1.25", "The same of 1.25, which nos was built on."),
        Alternative::word(
            "ideal",
            "Priority, then arrival; a waiting pod is tried again exactly when something changed that could serve it.",
        ),
    ],
};

static GPU_CHOICE: Choice = Choice {
    name: "a choice of GPU",
    doc: "Which GPU of a node takes a pod.",
    alternatives: &[
        Alternative::word("first-fit", "The lowest number."),
        Alternative::word("best-fit", "The one with least room left."),
        Alternative::word("worst-fit", "The one with most room left."),
    ],
};

static TIES: Choice = Choice {
    name: "a way with ties",
    doc: "Which of several equally good nodes.",
    alternatives: &[
        Alternative::word("node-order", "The first in node order."),
        Alternative::word("seeded", "Any of them, by the seed."),
    ],
};

static REPORT: Object = Object {
    name: "the report",
    doc: "What is measured and shown.",
    keys: &[
        Key::default(
            "warm_up",
            Kind::Number(Interval::at_least(0.0).below(1.0)),
            "0",
            "share of the pods, by arrival, that no figure counts",
        ),
        Key::default(
            "until",
            Kind::Choice(&UNTIL),
            "last-departure",
            "end of the window in which levels are measured",
        ),
        Key::default("gpus_shown", Kind::Integer(0, u16::MAX as i128), "12", "GPUs in the chart of slices"),
        Key::default(
            "replications",
            Kind::Integer(1, 10_000),
            "1",
            "runs, with the seed and those that follow it, where seeds vary anything; figures are means with 95 % intervals",
        ),
        Key::default(
            "measured",
            Kind::List(&TIMED_STEPS),
            "[]",
            "steps that were timed on real GPUs, to show beside the model's",
        ),
    ],
};

static TIMED_STEPS: List = List { of: Kind::Object(&TIMED_STEP), name: "measured", filled: false };

static TIMED_STEP: Object = Object {
    name: "a timed step",
    doc: "Mean time of a step on real GPUs, shared as in this variant.",
    keys: &[
        Key::optional("class", Kind::Line, "the class that took it; without one, all pods"),
        Key::required("alone", Kind::Span { positive: true }, "what it takes alone on a whole GPU"),
        Key::required("step", Kind::Span { positive: true }, "what it took"),
        Key::default("source", Kind::Text, "\"\"", "who timed it, and where"),
    ],
};

static UNTIL: Choice = Choice {
    name: "an end",
    doc: "Where the measured window of levels ends; waits and counts are of all pods.",
    alternatives: &[
        Alternative::word("last-departure", "When the last pod leaves."),
        Alternative::word("last-arrival", "When the last pod arrives: what a steady state is measured over."),
        Alternative::with("at", Kind::Span { positive: true }, "So long after the start."),
    ],
};
