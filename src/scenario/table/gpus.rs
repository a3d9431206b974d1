//! Keys of the GPUs that a user adds to the catalogue or changes in it. They are spelled as in the
//! table inside the program, `data/gpus.json`.

use crate::yaml::{Alternative, Choice, Key, Kind, List, Object};

const BYTE: Kind = Kind::Integer(0, 255);
const COUNT: Kind = Kind::Integer(0, 65_535);
const MIB: Kind = Kind::Integer(0, 1_000_000_000);

/// A file of GPUs alone.
pub(in crate::scenario) static GPUS_FILE: Object = Object {
    name: "the file of GPUs",
    doc: "GPUs added to the catalogue, or rows of it changed.",
    keys: &[Key::required(
        "gpus",
        Kind::List(&GPUS),
        "the GPUs, in the order in which they are laid over it",
    )],
};

pub(in crate::scenario) static GPUS: List = List { of: Kind::Object(&GPU), name: "gpus", filled: true };

static GPU: Object = Object {
    name: "a GPU product",
    doc: "A product of your own, or one of the catalogue with some facts changed.",
    keys: &[
        Key::required("id", Kind::Line, "its name here; that of a known product takes its place"),
        Key::optional(
            "like",
            Kind::Line,
            "the product whose facts hold where a key is left out; without it the known product of this id",
        ),
        Key::optional("name", Kind::Line, "name as NVML reports it; the product label is made from it"),
        Key::optional(
            "variants",
            Kind::List(&LINES),
            "NVML names of boards that are the same to a simulator",
        ),
        Key::optional("labels", Kind::List(&LINES), "other words for it, as tools use them"),
        Key::optional("pci", Kind::List(&LINES), "PCI device ids of its boards, such as '0x20B0'"),
        Key::optional("architecture", Kind::Line, "architecture, such as Hopper"),
        Key::optional("memory_mib", MIB, "memory as NVML reports it, in MiB"),
        Key::optional("memory_gb", COUNT, "memory as it is sold, in GB: what MPS slices are counted in"),
        Key::optional("sms", COUNT, "streaming multiprocessors"),
        Key::optional("mps", Kind::Object(&GPU_MPS), "what MPS can do on it"),
        Key::default("confidence", Kind::Choice(&CONFIDENCE), "medium", "how far your facts can be trusted"),
        Key::default("source", Kind::Line, "given by the user", "where your facts come from"),
        Key::optional("notes", Kind::List(&LINES), "what else should be known"),
        Key::optional("mig", Kind::Object(&GPU_MIG), "how MIG can cut it"),
    ],
};

static LINES: List = List { of: Kind::Line, name: "lines", filled: false };

static GPU_MPS: Object = Object {
    name: "the MPS limits",
    doc: "What MPS can do on a product.",
    keys: &[
        Key::required("clients", COUNT, "clients of one GPU, CUDA up to 13.0"),
        Key::required("clients_cuda_13_1", COUNT, "clients of one GPU from CUDA 13.1 on"),
        Key::required("memory_limit", Kind::Bool, "whether a client's memory can be limited"),
        Key::required("plugin_replicas", COUNT, "most replicas that NVIDIA's device plugin accepts"),
    ],
};

static CONFIDENCE: Choice = Choice {
    name: "a confidence",
    doc: "How far a fact can be trusted.",
    alternatives: &[
        Alternative::word("high", "A real listing or two sources that agree."),
        Alternative::word("medium", "One document, or copied from a sibling product."),
        Alternative::word("low", "Estimated or unconfirmed."),
    ],
};

static GPU_MIG: Object = Object {
    name: "the MIG side of a GPU",
    doc: "What its slices divide, and the profiles.",
    keys: &[
        Key::required("compute_slices", BYTE, "compute slices"),
        Key::required("memory_slices", BYTE, "memory slices, which placements count in"),
        Key::optional(
            "engines",
            ENGINES,
            "engines of the GPU: copy, NVDEC, NVENC, JPEG, OFA; left out they limit nothing",
        ),
        Key::required("profiles", Kind::List(&PROFILES), "GPU instance profiles"),
    ],
};

const ENGINES: Kind = Kind::Tuple(&[BYTE, BYTE, BYTE, BYTE, BYTE]);

static PROFILES: List = List { of: Kind::Object(&PROFILE), name: "profiles", filled: true };

static PROFILE: Object = Object {
    name: "a MIG profile",
    doc: "A GPU instance profile, as `nvidia-smi mig -lgip` and `-lgipp` list it.",
    keys: &[
        Key::required("name", Kind::Line, "name, such as 1g.5gb+me"),
        Key::optional("aliases", Kind::List(&LINES), "names under other drivers"),
        Key::optional("id", Kind::Integer(0, u32::MAX as i128), "the number that nvidia-smi mig -cgi takes"),
        Key::required("enum", BYTE, "NVML_GPU_INSTANCE_PROFILE_..."),
        Key::required("compute", BYTE, "compute slices taken"),
        Key::required("memory", BYTE, "memory slices taken: the size of its placements"),
        Key::required("memory_mib", MIB, "memory of an instance in MiB"),
        Key::required("sms", COUNT, "streaming multiprocessors"),
        Key::required("max", BYTE, "most instances, as listed; it must follow from the places"),
        Key::required("starts", Kind::List(&STARTS), "memory slices at which an instance may start"),
        Key::optional("engines", ENGINES, "engines taken: copy, NVDEC, NVENC, JPEG, OFA"),
        Key::optional("attributes", Kind::List(&ATTRIBUTES), "what sets it apart from the plain profile"),
        Key::default("confidence", Kind::Choice(&CONFIDENCE), "medium", "how far the row can be trusted"),
        Key::default("source", Kind::Line, "given by the user", "where the row comes from"),
    ],
};

static STARTS: List = List { of: BYTE, name: "starts", filled: true };

static ATTRIBUTES: List = List { of: Kind::Choice(&ATTRIBUTE), name: "attributes", filled: false };

static ATTRIBUTE: Choice = Choice {
    name: "an attribute",
    doc: "What sets a profile apart from the plain one of its size.",
    alternatives: &[
        Alternative::word("me", "With media engines, of which there is one set."),
        Alternative::word("me.all", "With every media engine of the GPU."),
        Alternative::word("no-me", "Without media engines."),
        Alternative::word("gfx", "With graphics."),
    ],
};
