//! What a test asks of the driver.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The machine and what goes wrong on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// File of what stands on the GPUs; made from `devices` if it is not there.
    pub state: PathBuf,
    /// Driver version.
    pub driver: String,
    /// GPUs.
    pub devices: Vec<Device>,
    /// Calls that fail.
    pub faults: Vec<Fault>,
    /// Kills the process after so many changing calls, once the effect is written.
    pub kill_after: Option<u32>,
    /// Every changing call takes so many milliseconds.
    pub delay_ms: u64,
    /// Calls that this driver does not have: they answer FUNCTION_NOT_FOUND.
    pub missing: Vec<String>,
    /// Whoever calls is not root.
    pub unprivileged: bool,
    /// An old driver, which says nothing of profiles while MIG is off.
    pub profiles_need_mig: bool,
    /// Nothing is written down: for tests that kill nobody and want speed.
    pub volatile: bool,
    /// An old driver, which does not know version 2 of the profile's struct.
    pub old_struct: bool,
}

/// One GPU.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Id of the catalogue.
    pub product: String,
    /// Its UUID.
    pub uuid: String,
    /// Name to report instead of the product's.
    pub name: Option<String>,
    /// Whether MIG is on at first.
    pub mig: bool,
    /// MIG mode that waits for a reset at first.
    pub pending: Option<bool>,
    /// Slices at first, each with one compute instance of its full size.
    pub layout: Vec<Slice>,
    /// Whether its halves change places in instance ids.
    pub mirrored: bool,
    /// A change of the mode waits for a reset.
    pub needs_reset: bool,
    /// Processes on the GPU: compute.
    pub compute_processes: Vec<u32>,
    /// Processes on the GPU: graphics.
    pub graphics_processes: Vec<u32>,
    /// Processes on the GPU: clients of MPS.
    pub mps_processes: Vec<u32>,
    /// Processes on the slice that starts at a memory slice.
    pub slice_processes: BTreeMap<u32, Vec<u32>>,
    /// Memory slices that nothing can be put on, start and size, though no instance stands there.
    pub occupied: Vec<(u32, u32)>,
    /// Wrong `instanceCount` by profile enum, as some A30 drivers report it.
    pub instance_count: BTreeMap<u32, u32>,
    /// Memory of every profile is reported so many thousandths off.
    pub memory_off: i64,
    /// SMs of every profile are reported so many off.
    pub sms_off: i32,
    /// Profiles, by enum, that this board lacks.
    pub lacks: Vec<u32>,
    /// Starts of a profile, by enum, that this board has instead.
    pub starts: BTreeMap<u32, Vec<u32>>,
}

/// A slice by its profile enum.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Slice {
    /// NVML enum of the profile.
    pub profile: u32,
    /// First memory slice.
    pub start: u32,
}

/// A call that fails.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The n-th call, from 1: of this name, or of all.
    pub nth: u32,
    /// Name of the calls that count; all of them without it.
    pub call: Option<String>,
    /// What it returns.
    pub code: u32,
    /// The call takes effect and fails all the same, as a time-out looks.
    pub after: bool,
    /// So does every later one.
    pub sticky: bool,
    /// For SetMigMode: the code stands in the activation status and the call returns SUCCESS.
    pub activation: bool,
}
