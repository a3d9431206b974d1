//! What a scenario can say about its partitioner. Plain values; names are a scenario's keys.

use super::nos::batch::Windows;
use super::nos::table::Entry;
use super::nos::{Fix, Fixes, Settings, Tables};
use super::planner::Planner;
use crate::gpu::{Catalogue, ProfileSet};
use crate::units::Span;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// Who cuts GPUs while pods run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionerSpec {
    /// Nobody: GPUs stay as they are but for planned events.
    #[default]
    None,
    /// nos.
    Nos(NosSpec),
}

impl PartitionerSpec {
    /// What a reader of figures under this partitioner must know.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        let PartitionerSpec::Nos(nos) = self else { return None };
        let planner = match nos.planner {
            Planner::Nos => {
                "nos decides what nos (commit 12e0a72) decides, checked against recorded cases".to_owned()
            }
            other => format!(
                "nos' loop and agents run with the planner `{other}`, which a deployed nos does not have; slices are made \
                 at the places that it counts on"
            ),
        };
        Some(format!(
            "{planner}; its timing is that of its charts. \
             A device plugin is back after {} (MIG) or {} (MPS), which is assumed; slices take 75 to 138 ms a call and some \
             ms each (measured on A100) and 100 ms for a compute instance (assumed); watches have no delay. MPS slices do \
             not exceed a card's memory here, which nos' rounding up would allow.",
            nos.plugin, nos.mps_plugin
        ))
    }
}

/// nos with its own settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NosSpec {
    /// Quirks that are corrected.
    pub fix: Fixes,
    /// MIG geometries that it knows: `knownMigGeometries`.
    pub geometries: Geometries,
    /// `batchWindowTimeoutSeconds`.
    pub batch_timeout: Span,
    /// `batchWindowIdleSeconds`.
    pub batch_idle: Span,
    /// `devicePluginDelaySeconds`: from an MPS node's new configuration to its label.
    pub plugin_delay: Span,
    /// `reportConfigIntervalSeconds` of the MIG agent.
    pub mig_report: Span,
    /// `reportConfigIntervalSeconds` of the GPU agent.
    pub mps_report: Span,
    /// From the deletion of a device plugin's pod until its successor offers devices.
    pub plugin: Span,
    /// From an MPS node's new label until its plugin and MPS server offer devices.
    pub mps_plugin: Span,
    /// What is done where nos follows the order of a Go map.
    pub choices: Choice,
    /// Who plans, where nos has its own planner.
    pub planner: Planner,
    /// Whether the best plan is sought beside each, to tell what it falls short of.
    pub regret: bool,
    /// Steps that each search for the best plan may take.
    pub steps: u64,
}

impl Default for NosSpec {
    fn default() -> NosSpec {
        let settings = Settings::default();
        NosSpec {
            fix: Fixes::NONE,
            geometries: Geometries::Deployed,
            batch_timeout: settings.batch.timeout,
            batch_idle: settings.batch.idle,
            plugin_delay: settings.plugin_delay,
            mig_report: settings.mig_report,
            mps_report: settings.mps_report,
            // Assumed: nobody published how long the plugin's pod takes to be replaced and to register.
            plugin: Span::from_secs(10),
            mps_plugin: Span::from_secs(10),
            choices: Choice::First,
            planner: Planner::Nos,
            regret: false,
            steps: STEPS_OF_A_RUN,
        }
    }
}

/// Steps of each search for the best plan in a run, which has hundreds of plans: some ten milliseconds.
pub const STEPS_OF_A_RUN: u64 = 20_000;

impl NosSpec {
    /// The settings of the planner and the loop.
    #[must_use]
    pub fn settings(&self) -> Settings {
        // A planner that knows places has agents that keep to them.
        let fixes = match self.planner {
            Planner::Nos => self.fix,
            Planner::NosPlacements | Planner::Optimal => self.fix.with(Fix::Placement),
        };
        Settings {
            fixes,
            batch: Windows { timeout: self.batch_timeout, idle: self.batch_idle },
            plugin_delay: self.plugin_delay,
            mig_report: self.mig_report,
            mps_report: self.mps_report,
            ..Settings::default()
        }
    }
}

/// MIG geometries that nos knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Geometries {
    /// Those that its charts deploy: A30 and A100, which begin as one slice of the smallest profile each.
    #[default]
    Deployed,
    /// Those in its code, which a deployed nos never uses.
    Builtin,
    /// All of the catalogue that nothing can be added to, for every MIG product, the finest first.
    Catalogue,
    /// Those of a file in nos' own format; read once the scenario's files are.
    File {
        /// Where it lies.
        file: String,
        /// What it holds.
        tables: Option<Arc<Tables>>,
    },
}

impl Serialize for Geometries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Geometries::Deployed => serializer.serialize_str("deployed"),
            Geometries::Builtin => serializer.serialize_str("builtin"),
            Geometries::Catalogue => serializer.serialize_str("catalogue"),
            Geometries::File { file, .. } => serializer.collect_map([("file", file)]),
        }
    }
}

impl Geometries {
    /// As nos has them.
    ///
    /// # Panics
    /// If a file has not been read.
    #[must_use]
    pub fn tables(&self, catalogue: &Catalogue) -> Tables {
        match self {
            Geometries::Deployed => Tables::deployed(),
            Geometries::Builtin => Tables::builtin(),
            Geometries::Catalogue => of_catalogue(catalogue),
            Geometries::File { tables, .. } => Tables::clone(tables.as_ref().expect("the file was read")),
        }
    }
}

fn of_catalogue(catalogue: &Catalogue) -> Tables {
    let entry = |product: &crate::gpu::Product| {
        let states = product.states();
        let mut geometries = states.maximal_geometries(&product.profiles_of(ProfileSet::Base));
        geometries.sort_by_key(|geometry| std::cmp::Reverse(geometry.len()));
        let named = |geometry: &crate::gpu::Geometry| {
            let of = |(profile, count): (u8, u8)| (product.at(profile).name().to_owned(), i64::from(count));
            geometry.counts().map(of).collect()
        };
        Entry { models: vec![product.label()], geometries: geometries.iter().map(named).collect() }
    };
    let entries: Vec<Entry> = catalogue.iter().filter(|product| product.is_mig()).map(entry).collect();
    Tables::of(&entries)
}

/// What is done where nos leaves it to chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The documented defaults: GPUs by index, the first geometry of the table, slices by name.
    #[default]
    First,
    /// Any legal choice with equal chance, by the run's seed.
    Seeded,
}

impl Serialize for Fixes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Fix::ALL.iter().filter(|fix| self.has(**fix)).map(|fix| fix.word()))
    }
}
