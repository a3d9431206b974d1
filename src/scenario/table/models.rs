//! Keys of the models: how fast pods run on slices and beside neighbours, what breaks, what is kept.

use super::LAW;
use crate::yaml::{Alternative, Choice, Interval, Key, Kind, List, Object};

const SHARE: Kind = Kind::Number(Interval::at_least(0.0).to(1.0));
const ABOVE_ZERO: Kind = Kind::Number(Interval::above(0.0).to(1e6));
const FROM_ZERO: Kind = Kind::Number(Interval::at_least(0.0).to(1e6));
const SPAN: Kind = Kind::Span { positive: false };

pub(super) static MODELS: Object = Object {
    name: "the models",
    doc: "How fast pods run on slices and beside neighbours, and what breaks.",
    keys: &[
        Key::default(
            "sharing",
            Kind::Bool,
            "false",
            "whether slower slices and neighbours are modelled; false runs everything at full speed",
        ),
        Key::default("default", BEHAVIOR, "saturating", "behavior of the classes that are not named"),
        Key::default("classes", Kind::Map(&BEHAVIOR), "{}", "behavior by class"),
        Key::default("behaviors", Kind::Map(&BEHAVIOR), "{}", "further behaviors by name, for `assign`"),
        Key::default(
            "assign",
            Kind::List(&ASSIGNS),
            "[]",
            "behaviors of pods by rule or mix: the first rule that means a pod counts, the others go by class",
        ),
        Key::default(
            "life",
            Kind::Object(&LIFE),
            "{}",
            "how pods start, save their work and crash, where a class does not say otherwise",
        ),
        Key::default("mig", Kind::Object(&MIG), "{}", "speed on MIG slices"),
        Key::default("mps", Kind::Object(&MPS), "{}", "interference under MPS"),
        Key::default("time_slicing", Kind::Object(&TIME_SLICING), "{}", "interference under time-slicing"),
        Key::default("pairs", Kind::List(&PAIRS), "[]", "measured slowdowns, which win over the formulas"),
        Key::default("recut", Kind::Object(&RECUTS), "{}", "how long re-cuts and changes of mode take"),
        Key::optional(
            "failures",
            Kind::Object(&FAILURES),
            "faults of GPUs and nodes, and repairs; {} takes the defaults",
        ),
        Key::default(
            "services",
            Kind::Map(&Kind::Object(&SERVICE)),
            "{}",
            "requests to pods that serve, by class",
        ),
    ],
};

const BEHAVIOR: Kind = Kind::Either(&[Kind::Object(&MEASURED), Kind::Choice(&NAMED)]);

static MEASURED: Object = Object {
    name: "a measured behavior",
    doc: "What a class of pods does with a GPU, and how its pods live. `host` and `fill`, or `like`.",
    keys: &[
        Key::optional(
            "like",
            Kind::Choice(&NAMED),
            "the behavior whose numbers hold where a key is left out",
        ),
        Key::optional("host", SHARE, "share of its run time alone in which the GPU is not the limit"),
        Key::optional(
            "fill",
            Kind::Number(Interval::above(0.0).to(1.0)),
            "share of the GPU that it can fill while it computes",
        ),
        Key::optional("demand", SHARE, "its demand under MPS, where that was fitted; else (1 − host) × fill"),
        Key::default(
            "speeds",
            Kind::Map(&ABOVE_ZERO),
            "{}",
            "measured speeds on MIG slices, by compute slices",
        ),
        Key::optional("memory", Kind::Memory, "GPU memory of a pod; else what its trace says"),
        Key::optional("start_up", SPAN, "time at every start, beyond what run times contain"),
        Key::optional("checkpoint", CHECKPOINTS, "checkpoints, or none"),
        Key::optional("resume", SPAN, "time more at a start from a checkpoint"),
        Key::optional("saves_on_eviction", Kind::Bool, "whether it saves its work when it is asked to go"),
        Key::optional("crashes_per_hour", FROM_ZERO, "crashes in an hour of running"),
        Key::optional("fatal", SHARE, "share of its crashes that are fatal GPU faults"),
        Key::optional("retries", RETRIES, "how often it is created anew after failures of its own"),
    ],
};

static NAMED: Choice = Choice {
    name: "a behavior",
    doc: "What a class of pods does with a GPU.",
    alternatives: &[
        Alternative::word("saturating", "Big-batch CNN or transformer training: host .05, fill 1."),
        Alternative::word("medium", "GNN or embedding training: host .45, fill .90."),
        Alternative::word("light", "Small-image training: host .50, fill .55."),
        Alternative::word("small-batch", "Inference at batch 4 to 8: host .15, fill .35."),
        Alternative::word("launch-bound", "Inference at batch 1 or 2: host .30, fill .14."),
        Alternative::word("host-bound", "Training starved by its input: host .90, fill .80."),
    ],
};

const CHECKPOINTS: Kind = Kind::Either(&[Kind::Object(&CHECKPOINT), Kind::Choice(&NO_CHECKPOINT)]);

static NO_CHECKPOINT: Choice = Choice {
    name: "no checkpoints",
    doc: "What a pod keeps of its work.",
    alternatives: &[Alternative::word("none", "Nothing: it restarts from zero.")],
};

const RETRIES: Kind = Kind::Either(&[Kind::Integer(0, 1_000_000), Kind::Choice(&NO_LIMIT)]);

static NO_LIMIT: Choice = Choice {
    name: "unlimited",
    doc: "How often a pod is created anew after crashes of its own and memory that it did not find.",
    alternatives: &[Alternative::word("unlimited", "Always: one that can never run goes on for ever.")],
};

static CHECKPOINT: Object = Object {
    name: "checkpoints",
    doc: "What a pod keeps of its work.",
    keys: &[
        Key::required(
            "every",
            Kind::Span { positive: true },
            "work between two of them, as time alone on a full GPU; the end of a pod takes none",
        ),
        Key::default("cost", SPAN, "0s", "time that one takes; no work is done meanwhile"),
    ],
};

static ASSIGNS: List = List { of: Kind::Object(&ASSIGN), name: "assign", filled: false };

static ASSIGN: Object = Object {
    name: "a rule of behavior",
    doc: "Gives pods a behavior, whatever their class has.",
    keys: &[
        Key::default("of", Kind::Object(&WHICH), "{}", "the pods"),
        Key::required(
            "as",
            Kind::Either(&[Kind::Line, Kind::Object(&MIXED)]),
            "their behavior: a name of `behaviors`, of `classes` or of a built-in one, or a mix",
        ),
    ],
};

static MIXED: Object = Object {
    name: "a mix of behaviors",
    doc: "One of several behaviors, drawn for each pod by the seed.",
    keys: &[Key::required("mix", Kind::Map(&ABOVE_ZERO), "weights by name")],
};

static WHICH: Object = Object {
    name: "pods by what they are",
    doc: "Pods by namespace, class, what they ask for and how long they run; what is left out matches all.",
    keys: &[
        Key::default("namespaces", Kind::List(&NAMES), "[]", "namespaces"),
        Key::default("classes", Kind::List(&NAMES), "[]", "classes"),
        Key::optional("gpus", Kind::Choice(&GPU_KINDS), "what they ask of GPUs"),
        Key::optional("longer_than", SPAN, "their run time alone on a full GPU is above this"),
        Key::optional("shorter_than", SPAN, "it is below this"),
        Key::optional(
            "gpu_memory_at_least",
            Kind::Memory,
            "GPU memory that their trace says; pods of which it says none are not meant",
        ),
        Key::optional("gpu_memory_below", Kind::Memory, "it is below this"),
    ],
};

static NAMES: List = List { of: Kind::Line, name: "names", filled: false };

static GPU_KINDS: Choice = Choice {
    name: "a kind of GPU demand",
    doc: "What a pod asks of GPUs.",
    alternatives: &[
        Alternative::word("none", "Nothing."),
        Alternative::word("share", "A part of one."),
        Alternative::word("slice", "A MIG slice."),
        Alternative::word("whole", "One or more."),
    ],
};

static LIFE: Object = Object {
    name: "the life of pods",
    doc: "How pods start, save their work and crash.",
    keys: &[
        Key::optional("memory", Kind::Memory, "GPU memory of a pod; else what its trace says"),
        Key::default("start_up", SPAN, "0s", "time at every start, beyond what run times contain"),
        Key::default("checkpoint", CHECKPOINTS, "none", "checkpoints, or none"),
        Key::default("resume", SPAN, "25s", "time more at a start from a checkpoint"),
        Key::default(
            "saves_on_eviction",
            Kind::Bool,
            "false",
            "whether it saves its work when it is asked to go",
        ),
        Key::default("crashes_per_hour", FROM_ZERO, "0", "crashes in an hour of running"),
        Key::default("fatal", SHARE, "0.2", "share of its crashes that are fatal GPU faults"),
        Key::default("retries", RETRIES, "6", "how often pods are created anew after failures of their own"),
    ],
};

static MIG: Object = Object {
    name: "the model of MIG",
    doc: "Speed of a pod on k of K compute slices: f(k) = min(1, κ·k/K), S = h + (1−h)·max(1, d/f).",
    keys: &[
        Key::default("kappa", ABOVE_ZERO, "1.1", "κ: compute that a slice gives beyond its share"),
        Key::default(
            "full",
            Kind::Number(Interval::above(0.0).to(1.0)),
            "1",
            "speed of the full instance against the GPU with MIG off",
        ),
        Key::default(
            "residual",
            FROM_ZERO,
            "0",
            "slowdown by each busy compute slice of the other instances",
        ),
    ],
};

static MPS: Object = Object {
    name: "the model of MPS",
    doc: "S = max(1 + α·Σ u of the others, Σ u ÷ C), with u the demands.",
    keys: &[
        Key::default("alpha", FROM_ZERO, "0.1", "α: slowdown by each unit of the neighbours' demand"),
        Key::default("capacity", ABOVE_ZERO, "1", "C: demand that a GPU serves before it saturates"),
        Key::default("threads", Kind::Choice(&THREADS), "plugin", "who limits the threads of clients"),
        Key::default("residual", FROM_ZERO, "0", "σ of the seeded residual between pods"),
    ],
};

static THREADS: Choice = Choice {
    name: "limits of threads",
    doc: "Who limits the threads of MPS clients.",
    alternatives: &[
        Alternative::word(
            "plugin",
            "As device plugins do: 100 ÷ replicas percent; memory slices have no limit.",
        ),
        Alternative::word("unlimited", "Nobody."),
        Alternative::word(
            "proportional",
            "Everybody: as replicas, and memory slices to their share of the memory.",
        ),
    ],
};

static TIME_SLICING: Object = Object {
    name: "the model of time-slicing",
    doc: "A closed network of a GPU that serves in equal turns, and of hosts.",
    keys: &[
        Key::default("loss", FROM_ZERO, "0.11", "ε: loss while two or more pods want the GPU"),
        Key::default("slice", Kind::Span { positive: true }, "2ms", "q: length of a time slice"),
        Key::default("context", Kind::Memory, "512MiB", "memory that the context of each process takes"),
        Key::default(
            "out_of_memory_within",
            SPAN,
            "60s",
            "longest time until a pod that finds no memory fails",
        ),
        Key::default("fault_domain", Kind::Choice(&DOMAINS), "gpu", "who goes down with a fatal GPU fault"),
        Key::default("residual", FROM_ZERO, "0", "σ of the seeded residual between pods"),
    ],
};

static DOMAINS: Choice = Choice {
    name: "a fault domain",
    doc: "Who goes down with a fatal GPU fault under time-slicing.",
    alternatives: &[
        Alternative::word("gpu", "All pods of the GPU, as the device plugin documents."),
        Alternative::word("process", "The pod that raised it alone."),
    ],
};

static PAIRS: List = List { of: Kind::Object(&PAIR), name: "pairs", filled: false };

static PAIR: Object = Object {
    name: "a measured pair",
    doc: "Slowdown of a class beside another.",
    keys: &[
        Key::required("mode", Kind::Choice(&PAIR_MODES), "the mode in which it was measured"),
        Key::required("class", Kind::Line, "the class that is slowed"),
        Key::required("beside", Kind::Line, "the class beside it"),
        Key::required("slowdown", ABOVE_ZERO, "run time beside it ÷ run time alone"),
    ],
};

static PAIR_MODES: Choice = Choice {
    name: "a shared mode",
    doc: "A mode in which pods slow each other.",
    alternatives: &[
        Alternative::word("mps", "MPS, memory slices and replicas alike."),
        Alternative::word("time-slicing", "Time-slicing."),
    ],
};

static RECUTS: Object = Object {
    name: "the time of re-cuts",
    doc: "Re-cuts of a partitioner, re-cuts and changes of mode that are planned.",
    keys: &[
        Key::default("path", Kind::Choice(&PATHS), "agent", "who carries out what is planned"),
        Key::default("create", Kind::Object(&CREATE), "{}", "a call that creates GPU instances"),
        Key::default("destroy", Kind::Object(&DESTROY), "{}", "a call that destroys them"),
        Key::default("compute_instance", SPAN, "100ms", "a compute instance in each"),
        Key::default("retry", SPAN, "300ms", "the retry after a pod that has just ended"),
        Key::default("plugin", SPAN, "10s", "a restart of the device plugin; nos has its own key"),
        Key::default("mps_server", SPAN, "10s", "the start of an MPS server"),
        Key::default("manager", Kind::Object(&MANAGER), "{}", "mig-manager's work on a node, log-normal"),
        Key::default("reset", SPAN, "60s", "a reset of GPUs, where a change of mode needs it"),
    ],
};

static PATHS: Choice = Choice {
    name: "a way to re-cut",
    doc: "Who carries out re-cuts that are planned.",
    alternatives: &[
        Alternative::word("agent", "An agent on the node: the GPU is cut, then the device plugin restarts."),
        Alternative::word("mig-manager", "mig-manager: the node is without plugin until it is through."),
        Alternative::word("instant", "Nobody: it takes no time."),
    ],
};

static CREATE: Object = Object {
    name: "creating instances",
    doc: "A call that creates GPU instances.",
    keys: &[
        Key::default("call", SPAN, "75ms", "the call"),
        Key::default("each", SPAN, "10ms", "each instance"),
    ],
};

static DESTROY: Object = Object {
    name: "destroying instances",
    doc: "A call that destroys GPU instances.",
    keys: &[
        Key::default("call", SPAN, "138ms", "the call"),
        Key::default("each", SPAN, "6ms", "each instance"),
    ],
};

static MANAGER: Object = Object {
    name: "mig-manager's time",
    doc: "A log-normal time.",
    keys: &[
        Key::default("median", SPAN, "90s", "median"),
        Key::default("p95", SPAN, "300s", "95th percentile"),
    ],
};

static FAILURES: Object = Object {
    name: "failures",
    doc: "Faults of GPUs and nodes, as Poisson processes in calendar time, and repairs.",
    keys: &[
        Key::default("gpu", Kind::Object(&GPU_FAULTS), "{}", "faults of GPUs"),
        Key::default("node", Kind::Object(&NODE_FAULTS), "{}", "faults of nodes beside those of their GPUs"),
        Key::default("law", Kind::Choice(&LAWS), "exponential", "distribution of repair times"),
        Key::optional(
            "crews",
            Kind::Integer(1, 1_000_000),
            "GPUs and nodes that are repaired at once; without it all are",
        ),
        Key::default(
            "mps_restart",
            SPAN,
            "10s",
            "mean time of a restart of the MPS server after a fatal fault",
        ),
    ],
};

static GPU_FAULTS: Object = Object {
    name: "faults of GPUs",
    doc: "Hardware faults of GPUs.",
    keys: &[
        Key::default("per_day", FROM_ZERO, "0.0003", "faults of one GPU a day"),
        Key::default("swapped", SHARE, "1", "share of them after which the hardware is swapped"),
        Key::default("swap", SPAN, "24h", "mean time of a swap"),
        Key::default("reset", SPAN, "60s", "mean time of a reset, after the others"),
    ],
};

static NODE_FAULTS: Object = Object {
    name: "faults of nodes",
    doc: "Faults of nodes beside those of their GPUs.",
    keys: &[
        Key::default("per_day", FROM_ZERO, "0.0014", "faults of one node a day"),
        Key::default("repair", SPAN, "600s", "mean time until it is back"),
        Key::default(
            "evicted_after",
            SPAN,
            "340s",
            "after so long its pods are created anew elsewhere, if it is not back before",
        ),
    ],
};

static LAWS: Choice = Choice {
    name: "a law of repair times",
    doc: "Distribution of repair times.",
    alternatives: &[
        Alternative::word("exponential", "Exponential with the mean that is given."),
        Alternative::word("constant", "Always as long as is given."),
    ],
};

static SERVICE: Object = Object {
    name: "a service",
    doc: "Requests to each pod of a class, while it is there: as long as its work takes, which a slow slice stretches \
          (`report.until` compares over the same time). `request`, or `tokens`.",
    keys: &[
        Key::optional("request", Kind::Choice(&LAW), "time of a request on a full GPU of its own"),
        Key::optional(
            "tokens",
            Kind::Either(&[Kind::Object(&TOKENS), Kind::Choice(&MEASURED_TOKENS)]),
            "cost of a request by its tokens, as a language model's server has it",
        ),
        Key::required("arrivals", Kind::Choice(&REQUESTS), "when requests come to a pod"),
        Key::default(
            "concurrency",
            Kind::Integer(1, 10_000),
            "1",
            "requests that a pod serves at once; others wait, first come, first served",
        ),
        Key::optional("target", Kind::Object(&TARGET), "what the latency is held against"),
    ],
};

static TOKENS: Object = Object {
    name: "the cost of tokens",
    doc: "A prompt takes `prefill + per_prompt_token × tokens`; each token written `per_token + per_request × N` \
          while N requests are served. All four, or `like`.",
    keys: &[
        Key::optional(
            "like",
            Kind::Choice(&MEASURED_TOKENS),
            "the measurement whose numbers hold where a key is left out",
        ),
        Key::optional("prefill", SPAN, "time before the first token, whatever the prompt"),
        Key::optional("per_prompt_token", SPAN, "time more for each token of the prompt"),
        Key::optional("per_token", SPAN, "time of a token, whatever the load"),
        Key::optional("per_request", SPAN, "time more of a token for each request that is served"),
        Key::optional(
            "slices",
            Kind::Integer(1, 7),
            "compute slices, of 7, of the MIG slice that these were measured on; without it, a full GPU",
        ),
        Key::optional("prompt", TOKEN_COUNT, "tokens of a prompt, where no trace says"),
        Key::optional("output", TOKEN_COUNT, "tokens that a request writes, where no trace says"),
    ],
};

const TOKEN_COUNT: Kind = Kind::Integer(0, 100_000_000);

static MEASURED_TOKENS: Choice = Choice {
    name: "a measured server",
    doc: "vLLM on a MIG slice of an A100-40GB, with a model of so many parameters.",
    alternatives: &[
        Alternative::word("1g.10gb-3b", "3 billion on 1g.10gb."),
        Alternative::word("2g.10gb-3b", "3 billion on 2g.10gb."),
        Alternative::word("3g.20gb-7b", "7 billion on 3g.20gb."),
        Alternative::word("4g.20gb-7b", "7 billion on 4g.20gb."),
        Alternative::word("7g.40gb-14b", "14 billion on 7g.40gb."),
    ],
};

static REQUESTS: Choice = Choice {
    name: "a stream of requests",
    doc: "When requests come to each pod, from its own arrival on.",
    alternatives: &[
        Alternative::with("poisson", Kind::Object(&POISSON_REQUESTS), "Independent exponential gaps."),
        Alternative::with(
            "trace",
            Kind::Object(&REQUEST_TRACE),
            "As a file says, again and again, each pod from a place of its own in it.",
        ),
    ],
};

static POISSON_REQUESTS: Object = Object {
    name: "Poisson requests",
    doc: "Independent exponential gaps.",
    keys: &[Key::required("per_second", ABOVE_ZERO, "mean number of requests to a pod in a second")],
};

static REQUEST_TRACE: Object = Object {
    name: "a trace of requests",
    doc: "CSV with a header; the names of columns are those of Azure's LLM inference trace of 2023.",
    keys: &[
        Key::required("file", Kind::Path, "path relative to the scenario, with `${NAME}` for variables"),
        Key::default(
            "arrival",
            Kind::Line,
            "TIMESTAMP",
            "column of the moments: seconds from any zero, or dates as `2023-11-16 18:17:03.97`",
        ),
        Key::default("prompt", Kind::Line, "ContextTokens", "column of a prompt's tokens; read for `tokens`"),
        Key::default(
            "output",
            Kind::Line,
            "GeneratedTokens",
            "column of the tokens written; read for `tokens`",
        ),
        Key::default("speed", ABOVE_ZERO, "1", "how many times as fast requests come as in the file"),
        Key::optional("sha256", Kind::Line, "SHA-256 of the file in hex; another file is refused"),
    ],
};

static TARGET: Object = Object {
    name: "a target of latency",
    doc: "It is met where at least so many requests are answered in time; lost ones are not.",
    keys: &[
        Key::default(
            "quantile",
            Kind::Number(Interval::above(0.0).below(1.0)),
            "0.99",
            "share of the requests that must be",
        ),
        Key::required("within", Kind::Span { positive: true }, "how soon"),
    ],
};
