//! The files a scenario names: traces and node lists, read once and shared by its variants.

use crate::cluster::spec::{ClusterSpec, Gpus, NodeGroup};
use crate::diag::Diagnostic;
use crate::partition::nos::Tables;
use crate::partition::spec::{Geometries, PartitionerSpec};
use crate::perf::service::{Arrivals, Cost, Requests, Service};
use crate::scenario;
use crate::scenario::resolved::{Scenario, WorkloadSpec};
use crate::sched::spec::KubeSpec;
use crate::trace::spec::{Changes, Generate, Source};
use crate::trace::{self, Loaded};
use crate::workload::Workload;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The scenario inside the binary.
pub const QUICKSTART: &str = include_str!("../../scenarios/quickstart.yaml");

/// The name of the trace inside the binary.
const BUILTIN: &str = "builtin:quickstart";

/// Its trace, `builtin:quickstart`.
pub const QUICKSTART_TRACE: &str = include_str!("../../traces/quickstart.csv");

/// Where a scenario's files are looked for.
#[derive(Clone, Debug)]
pub struct Inputs {
    file: String,
    folder: PathBuf,
}

/// Workloads already made, by what made them.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    files: BTreeMap<String, Arc<Loaded>>,
    made: Vec<(Recipe, Made)>,
    requests: BTreeMap<String, (Arc<Requests>, String)>,
}

/// What a workload is made from.
#[derive(Clone, Debug, PartialEq)]
struct Recipe {
    seed: u64,
    traces: Vec<Source>,
    generate: Option<Generate>,
    changes: Changes,
}

#[derive(Clone, Debug)]
struct Made {
    workload: Arc<Workload>,
    notes: Vec<String>,
    hashes: Vec<String>,
}

impl Inputs {
    /// Files relative to the folder of the scenario at `path`, called `file` in messages.
    #[must_use]
    pub fn beside(path: &Path, file: &str) -> Inputs {
        Inputs { file: file.to_owned(), folder: path.parent().unwrap_or(Path::new("")).to_owned() }
    }

    /// The scenario's name in messages.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// A file's name as the resolved scenario holds it: absolute. The resolved scenario lies in a
    /// run's folder, and a copy of it in another, so a path relative to the first scenario would lead
    /// nowhere, and one relative to the run's folder would differ from folder to folder.
    ///
    /// A name that no scenario can hold (not UTF-8, a control character) stays as it was given.
    fn resolved(&self, file: &str) -> String {
        let path = std::fs::canonicalize(self.path(file)).ok();
        let name = path.and_then(|path| path.into_os_string().into_string().ok());
        name.filter(|name| !name.chars().any(char::is_control)).unwrap_or_else(|| file.to_owned())
    }

    /// The pods of a scenario with notes on rows that became none. Fills in where its traces lie and
    /// their hashes.
    pub(super) fn workload(
        &self,
        scenario: &mut Scenario,
        cache: &mut Cache,
    ) -> Result<(Arc<Workload>, Vec<String>), Vec<Diagnostic>> {
        let WorkloadSpec { traces, generate, changes, .. } = &scenario.workload;
        let recipe = Recipe {
            seed: scenario.seed,
            traces: traces.clone(),
            generate: generate.clone(),
            changes: changes.clone(),
        };
        let made = match cache.made.iter().find(|(known, _)| *known == recipe) {
            Some((_, made)) => made.clone(),
            None => {
                let made = self.make(&recipe, cache)?;
                cache.made.push((recipe, made.clone()));
                made
            }
        };
        for (source, hash) in scenario.workload.traces.iter_mut().zip(&made.hashes) {
            source.sha256 = Some(hash.clone());
            if source.file != BUILTIN {
                source.file = self.resolved(&source.file);
            }
        }
        Ok((made.workload, made.notes))
    }

    fn make(&self, recipe: &Recipe, cache: &mut Cache) -> Result<Made, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut notes = Vec::new();
        let mut files = Vec::new();
        let mut hashes = Vec::new();
        for source in &recipe.traces {
            match self.load(source, cache) {
                Ok(loaded) => {
                    notes.extend(row_notes(source, &loaded, &recipe.changes));
                    hashes.push(loaded.sha256.clone());
                    files.push(loaded);
                }
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let generated = recipe.generate.as_ref().map(|spec| trace::generate(spec, recipe.seed));
        let parts: Vec<&Workload> = files.iter().map(|file| &file.workload).chain(&generated).collect();
        let merged = trace::merge(&parts);
        let workload = trace::apply(&merged, &recipe.changes, recipe.seed);
        if workload.is_empty() {
            let message =
                format!("no pods: {} were read, and window, classes and sample keep none", merged.len());
            return Err(vec![
                Diagnostic::error("no-pods", &self.file, message).help("look at `workload.changes`"),
            ]);
        }
        if let Some(cap) = recipe.changes.work_cap {
            notes.push(format!("Work is cut at {cap} (workload.changes.work_cap)."));
        }
        Ok(Made { workload: Arc::new(workload), notes, hashes })
    }

    fn load(&self, source: &Source, cache: &mut Cache) -> Result<Arc<Loaded>, Vec<Diagnostic>> {
        // The hash is checked below and is no part of how the file is read.
        let key = format!("{:?}", Source { sha256: None, ..source.clone() });
        let loaded = match cache.files.get(&key) {
            Some(loaded) => Arc::clone(loaded),
            None => {
                let loaded = Arc::new(match source.file.as_str() {
                    BUILTIN => trace::read(source, QUICKSTART_TRACE.as_bytes())?,
                    file => trace::open(source, &self.path(file))?,
                });
                cache.files.insert(key, Arc::clone(&loaded));
                loaded
            }
        };
        match &source.sha256 {
            Some(hash) if *hash != loaded.sha256 => Err(vec![changed(&source.file, hash, &loaded.sha256)]),
            _ => Ok(loaded),
        }
    }

    /// Reads a scheduler's configuration into its settings, which then stand for it.
    pub(super) fn scheduler(&self, kube: &mut KubeSpec) -> Result<(), Vec<Diagnostic>> {
        let Some(file) = &kube.config else { return Ok(()) };
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            vec![
                Diagnostic::error("unreadable", file, format!("cannot be read: {error}"))
                    .help(format!("it was looked for at {}", path.display())),
            ]
        })?;
        let api;
        (kube.settings, api) = scenario::kube_settings(&text, file, kube.scheduler_name.as_deref())?;
        // What the scenario itself says of the API client wins, so that variants can differ in it.
        kube.api = kube.api.or(api);
        (kube.config, kube.scheduler_name) = (None, None);
        Ok(())
    }

    /// Reads the traces of requests, and fills in where they lie and their hashes.
    pub(super) fn services(
        &self,
        services: &mut BTreeMap<String, Service>,
        cache: &mut Cache,
    ) -> Result<(), Vec<Diagnostic>> {
        let mut errors: Vec<Diagnostic> = Vec::new();
        for service in services.values_mut() {
            let tokens = matches!(service.cost, Cost::Tokens(_));
            let Arrivals::Trace(trace) = &mut service.arrivals else { continue };
            let key = format!("{tokens} {} {} {} {}", trace.file, trace.arrival, trace.prompt, trace.output);
            let (requests, hash) = match cache.requests.get(&key) {
                Some(known) => known.clone(),
                None => match trace::open_requests(trace, tokens, &self.path(&trace.file)) {
                    Ok((requests, hash)) => {
                        let read = (Arc::new(requests), hash);
                        cache.requests.insert(key, read.clone());
                        read
                    }
                    Err(more) => {
                        errors.extend(more.into_iter().filter(|e| !errors.contains(e)).collect::<Vec<_>>());
                        continue;
                    }
                },
            };
            match &trace.sha256 {
                Some(wanted) if *wanted != hash => errors.push(changed(&trace.file, wanted, &hash)),
                _ => {
                    trace.file = self.resolved(&trace.file);
                    (trace.sha256, trace.requests) = (Some(hash), Some(requests));
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Reads a partitioner's table of geometries, and fills in where it lies.
    pub(super) fn partitioner(&self, partitioner: &mut PartitionerSpec) -> Result<(), Vec<Diagnostic>> {
        let PartitionerSpec::Nos(nos) = partitioner else { return Ok(()) };
        let Geometries::File { file, tables } = &mut nos.geometries else { return Ok(()) };
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            vec![
                Diagnostic::error("unreadable", &*file, format!("cannot be read: {error}"))
                    .help(format!("it was looked for at {}", path.display())),
            ]
        })?;
        *tables = Some(Arc::new(Tables::read(&text, file)?));
        *file = self.resolved(file);
        Ok(())
    }

    /// The groups of a cluster, each with whether it is a single named node, the nodes of its lists
    /// after its groups. Fills in where its lists lie.
    pub(super) fn nodes(&self, cluster: &mut ClusterSpec) -> Result<Vec<(NodeGroup, bool)>, Vec<Diagnostic>> {
        let mut nodes: Vec<_> = cluster.nodes.iter().map(|group| (group.clone(), false)).collect();
        let mut errors = Vec::new();
        for list in &mut cluster.node_lists {
            let path = self.path(&list.file);
            let rows = std::fs::File::open(&path)
                .map_err(|error| {
                    vec![
                        Diagnostic::error("unreadable", &list.file, format!("cannot be opened: {error}"))
                            .help(format!("it was looked for at {}", path.display())),
                    ]
                })
                .and_then(|file| trace::read_nodes(&list.file, file));
            match rows {
                Err(more) => errors.extend(more),
                Ok(rows) => nodes.extend(rows.into_iter().map(|row| {
                    let model = list.models.get(&row.model).unwrap_or(&row.model).clone();
                    let group = NodeGroup {
                        name: row.name,
                        count: 1,
                        cpu: row.cpu,
                        memory: row.memory,
                        pods: list.pods,
                        gpus: (0 < row.gpus).then_some(Gpus { model, count: row.gpus }),
                        mode: list.mode.clone(),
                        labels: BTreeMap::new(),
                        taints: Vec::new(),
                        price_per_hour: None,
                    };
                    (group, true)
                })),
            }
            list.file = self.resolved(&list.file);
        }
        if errors.is_empty() { Ok(nodes) } else { Err(errors) }
    }
}

fn changed(file: &str, wanted: &str, found: &str) -> Diagnostic {
    Diagnostic::error("changed-trace", file, format!("has SHA-256 {found}, not {wanted}"))
        .help("the file changed since the scenario was resolved: bring the old one back, or remove `sha256`")
}

/// What became of the rows of a file, where not all became pods.
fn row_notes(source: &Source, loaded: &Loaded, changes: &Changes) -> Vec<String> {
    let counts = loaded.counts(changes.window.as_ref());
    // Without its folder, which differs between machines and says nothing of the rows.
    let name =
        Path::new(&source.file).file_name().map_or(source.file.as_str().into(), |n| n.to_string_lossy());
    let mut notes = Vec::new();
    if !counts.dropped.is_empty() || 0 < counts.wrong {
        let dropped = counts.dropped.iter().map(|(reason, rows)| format!("{rows} dropped ({reason})"));
        let wrong = (0 < counts.wrong).then(|| format!("{} wrong and skipped", counts.wrong));
        let parts: Vec<String> = dropped.chain(wrong).collect();
        notes.push(format!("{name}: {} rows, {}; {} pods.", counts.rows, parts.join(", "), counts.pods));
    }
    notes
}
