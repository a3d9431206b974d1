//! GPUs that a user adds to the catalogue or changes in it.

use super::Context;
use super::workload::chosen;
use crate::gpu::{Attribute, Catalogue, Confidence, Engines, Fault, MigSpec, Mps, ProductSpec, ProfileSpec};
use crate::yaml::{Item, Lower, Problem, Record, Value, record};
use std::ops::Range;

/// Where the keys of a product and of its profiles are written.
#[derive(Default)]
struct Places {
    product: Vec<(&'static str, Range<usize>)>,
    profiles: Vec<Vec<(&'static str, Range<usize>)>>,
}

impl Places {
    /// Where a fault is, or else the whole entry: the fact may be inherited.
    fn of(&self, fault: &Fault, entry: &Range<usize>) -> Range<usize> {
        let keys = match fault.profile {
            Some(index) => self.profiles.get(index),
            None => Some(&self.product),
        };
        let found = keys.and_then(|keys| keys.iter().find(|(key, _)| *key == fault.key));
        found.map_or_else(|| entry.clone(), |(_, at)| at.clone())
    }
}

/// Lays a list of GPUs over the context's catalogue, one after the other; every complaint is made.
pub(super) fn lay(item: Item, context: &mut Context<'_>) -> Option<Vec<ProductSpec>> {
    let Value::List(items) = item.value else { return None };
    let laid: Vec<Option<ProductSpec>> = items
        .into_iter()
        .map(|item| {
            let entry = item.at.clone();
            let (spec, places) = product(item, context)?;
            match context.catalogue().with(spec.clone()) {
                Ok(catalogue) => context.set_catalogue(catalogue),
                Err(faults) => {
                    for fault in faults {
                        let at = places.of(&fault, &entry);
                        context.complain(Problem::new("bad-gpu", &at, fault.what));
                    }
                    return None;
                }
            }
            Some(spec)
        })
        .collect();
    laid.into_iter().collect()
}

/// One entry over the row it is like.
fn product(item: Item, context: &mut Context<'_>) -> Option<(ProductSpec, Places)> {
    let entry = item.at.clone();
    let mut places = Places::default();
    let spec = record(item, |r| {
        for key in ["id", "name", "variants", "labels", "pci", "memory_gb", "mig"] {
            places.product.push((key, r.place(key)));
        }
        let id: Option<String> = r.take("id", context);
        let like_at = r.place("like");
        let like: Option<Option<String>> = r.optional("like", context);
        let own = Own {
            name: r.optional("name", context),
            variants: r.optional("variants", context),
            labels: r.optional("labels", context),
            pci: r.optional("pci", context),
            architecture: r.optional("architecture", context),
            memory_mib: r.optional("memory_mib", context),
            memory_gb: r.optional("memory_gb", context),
            sms: r.optional("sms", context),
            mps: r.optional("mps", context),
            notes: r.optional("notes", context),
        };
        let mig: Option<Option<PlacedMig>> = r.optional("mig", context);
        let confidence: Option<Confidence> = r.take("confidence", context);
        let source: Option<String> = r.take("source", context);
        let (id, like, mig) = (id?, like?, mig?);
        let base = base(&id, like.as_deref(), &like_at, context.catalogue())
            .map_err(|p| context.complain(p))
            .ok()?;
        let mut spec = match base {
            Some(base) => own.over(ProductSpec { id: id.clone(), ..renamed(base, &id) })?,
            None => own.alone(id, &entry, context)?,
        };
        (spec.confidence, spec.source) = (confidence?, source?);
        if let Some(mig) = mig {
            for (key, at) in mig.keys {
                places.product.push((key, at));
            }
            places.profiles = mig.profiles;
            spec.mig = Some(mig.spec);
        }
        Some(spec)
    })?;
    Some((spec, places))
}

/// The row that an entry is like; `None` if it stands alone.
fn base(
    id: &str,
    like: Option<&str>,
    at: &Range<usize>,
    catalogue: &Catalogue,
) -> Result<Option<ProductSpec>, Problem> {
    let Some(like) = like else { return Ok(catalogue.find(id).map(|p| p.to_spec())) };
    match catalogue.find(like) {
        Some(product) => Ok(Some(product.to_spec())),
        None => {
            let problem = Problem::new("unknown-name", at, format!("no GPU model `{like}` is known"));
            Err(match catalogue.suggest(like) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`slicewise gpus` lists the models"),
            })
        }
    }
}

/// A copy under another id has no claim to the names of the original, nor to its boards.
fn renamed(base: ProductSpec, id: &str) -> ProductSpec {
    match base.id == id {
        true => base,
        false => ProductSpec {
            name: id.to_owned(),
            variants: Vec::new(),
            labels: Vec::new(),
            pci: Vec::new(),
            ..base
        },
    }
}

/// What an entry says of its own; an outer `None` is complained about already.
struct Own {
    name: Option<Option<String>>,
    variants: Option<Option<Vec<String>>>,
    labels: Option<Option<Vec<String>>>,
    pci: Option<Option<Vec<String>>>,
    architecture: Option<Option<String>>,
    memory_mib: Option<Option<u64>>,
    memory_gb: Option<Option<u16>>,
    sms: Option<Option<u16>>,
    mps: Option<Option<Mps>>,
    notes: Option<Option<Vec<String>>>,
}

impl Own {
    /// Laid over another row.
    fn over(self, base: ProductSpec) -> Option<ProductSpec> {
        Some(ProductSpec {
            name: self.name?.unwrap_or(base.name),
            variants: self.variants?.unwrap_or(base.variants),
            labels: self.labels?.unwrap_or(base.labels),
            pci: self.pci?.unwrap_or(base.pci),
            architecture: self.architecture?.unwrap_or(base.architecture),
            memory_mib: self.memory_mib?.unwrap_or(base.memory_mib),
            memory_gb: self.memory_gb?.unwrap_or(base.memory_gb),
            sms: self.sms?.unwrap_or(base.sms),
            mps: self.mps?.unwrap_or(base.mps),
            notes: self.notes?.unwrap_or(base.notes),
            ..base
        })
    }

    /// A row of its own, which needs every fact that modes are worked out from.
    fn alone(self, id: String, entry: &Range<usize>, context: &mut Context<'_>) -> Option<ProductSpec> {
        let (memory_mib, memory_gb) = (self.memory_mib?, self.memory_gb?);
        let (sms, mps) = (self.sms?, self.mps?);
        let needed = [
            ("memory_mib", memory_mib.is_none()),
            ("memory_gb", memory_gb.is_none()),
            ("sms", sms.is_none()),
            ("mps", mps.is_none()),
        ];
        let missing: Vec<&str> = needed.iter().filter(|(_, missing)| *missing).map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            let message = format!("`{id}` is no known product, and `{}` is missing", missing.join("`, `"));
            let help = "give the facts, or say which product it is `like`";
            context.complain(Problem::new("missing-key", entry, message).help(help));
            return None;
        }
        Some(ProductSpec {
            name: self.name?.unwrap_or_else(|| id.clone()),
            id,
            variants: self.variants?.unwrap_or_default(),
            labels: self.labels?.unwrap_or_default(),
            pci: self.pci?.unwrap_or_default(),
            architecture: self.architecture?.unwrap_or_else(|| "unknown".to_owned()),
            memory_mib: memory_mib?,
            memory_gb: memory_gb?,
            sms: sms?,
            mps: mps?,
            confidence: Confidence::Low,
            source: String::new(),
            notes: self.notes?.unwrap_or_default(),
            mig: None,
        })
    }
}

impl<'a> Lower<Context<'a>> for Mps {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let clients = r.take("clients", context);
            let clients_cuda_13_1 = r.take("clients_cuda_13_1", context);
            let memory_limit = r.take("memory_limit", context);
            let plugin_replicas = r.take("plugin_replicas", context);
            Some(Mps {
                clients: clients?,
                clients_cuda_13_1: clients_cuda_13_1?,
                memory_limit: memory_limit?,
                plugin_replicas: plugin_replicas?,
            })
        })
    }
}

impl<'a> Lower<Context<'a>> for Confidence {
    fn lower(item: Item, _: &mut Context<'a>) -> Option<Self> {
        match chosen(item)?.0 {
            "high" => Some(Confidence::High),
            "medium" => Some(Confidence::Medium),
            _ => Some(Confidence::Low),
        }
    }
}

impl<'a> Lower<Context<'a>> for Attribute {
    fn lower(item: Item, _: &mut Context<'a>) -> Option<Self> {
        let (word, _) = chosen(item)?;
        Some(Attribute::WORDS.iter().find(|(known, _)| *known == word).expect("a word of its table").1)
    }
}

impl<'a> Lower<Context<'a>> for Engines {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        let numbers: Vec<u16> = Vec::lower(item, context)?;
        let bytes: Vec<u8> = numbers.into_iter().map(byte).collect();
        Some(Engines::from(<[u8; 5]>::try_from(bytes).expect("five by its table")))
    }
}

/// A number that its table keeps within a byte.
fn byte(number: u16) -> u8 {
    u8::try_from(number).expect("a byte by its table")
}

fn take_byte(r: &mut Record, key: &str, context: &mut Context<'_>) -> Option<u8> {
    r.take(key, context).map(byte)
}

/// The MIG side with the places of its keys.
struct PlacedMig {
    spec: MigSpec,
    keys: Vec<(&'static str, Range<usize>)>,
    profiles: Vec<Vec<(&'static str, Range<usize>)>>,
}

impl<'a> Lower<Context<'a>> for PlacedMig {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let keys =
                ["compute_slices", "memory_slices", "engines", "profiles"].map(|key| (key, r.place(key)));
            let compute_slices = take_byte(r, "compute_slices", context);
            let memory_slices = take_byte(r, "memory_slices", context);
            let engines = r.optional("engines", context);
            let rows: Option<Vec<PlacedProfile>> = r.take("profiles", context);
            let (profiles, places) = rows?.into_iter().map(|row| (row.spec, row.keys)).unzip();
            let spec = MigSpec {
                compute_slices: compute_slices?,
                memory_slices: memory_slices?,
                engines: engines?,
                profiles,
            };
            Some(PlacedMig { spec, keys: keys.to_vec(), profiles: places })
        })
    }
}

/// A profile with the places of its keys.
struct PlacedProfile {
    spec: ProfileSpec,
    keys: Vec<(&'static str, Range<usize>)>,
}

impl<'a> Lower<Context<'a>> for PlacedProfile {
    fn lower(item: Item, context: &mut Context<'a>) -> Option<Self> {
        record(item, |r| {
            let keys = ["name", "enum", "compute", "memory", "max", "starts", "engines"]
                .map(|key| (key, r.place(key)));
            let name = r.take("name", context);
            let aliases: Option<Option<Vec<String>>> = r.optional("aliases", context);
            let id = r.optional("id", context);
            let nvml_enum = take_byte(r, "enum", context);
            let compute_slices = take_byte(r, "compute", context);
            let memory_slices = take_byte(r, "memory", context);
            let memory_mib = r.take("memory_mib", context);
            let sms = r.take("sms", context);
            let max_instances = take_byte(r, "max", context);
            let starts: Option<Vec<u16>> = r.take("starts", context);
            let engines = r.optional("engines", context);
            let attributes: Option<Option<Vec<Attribute>>> = r.optional("attributes", context);
            let confidence = r.take("confidence", context);
            let source = r.take("source", context);
            let spec = ProfileSpec {
                name: name?,
                aliases: aliases?.unwrap_or_default(),
                id: id?,
                nvml_enum: nvml_enum?,
                compute_slices: compute_slices?,
                memory_slices: memory_slices?,
                memory_mib: memory_mib?,
                sms: sms?,
                max_instances: max_instances?,
                starts: starts?.into_iter().map(byte).collect(),
                engines: engines?,
                attributes: attributes?.unwrap_or_default(),
                confidence: confidence?,
                source: source?,
            };
            Some(PlacedProfile { spec, keys: keys.to_vec() })
        })
    }
}
