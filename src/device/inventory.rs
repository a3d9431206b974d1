//! What a machine has, made from a [`Reply`] alone.

use super::code::{Asked, Class, Code};
use super::reply::{Call, Reply};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a machine has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Driver version.
    pub driver: Option<String>,
    /// Version of NVML.
    pub nvml: Option<String>,
    /// GPUs, in the order of the reply.
    pub devices: Vec<Device>,
    /// UUIDs asked for that the driver does not know, with what it said.
    pub unknown: Vec<(String, Code)>,
    /// A call that names no GPU and failed.
    pub failed: Option<(String, Code)>,
}

/// Where an instance stands: a GPU instance in memory slices, a compute instance in compute slices of
/// its GPU instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// First slice.
    pub start: u32,
    /// Slices.
    pub size: u32,
}

/// MIG mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mode {
    /// Whether MIG is on.
    pub current: bool,
    /// Whether it is after the next reset.
    pub pending: bool,
}

/// A MIG profile as the device reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProfile {
    /// `NVML_GPU_INSTANCE_PROFILE_…`.
    pub nvml_enum: u32,
    /// The number that `nvidia-smi mig -cgi` takes.
    pub id: u32,
    /// Name, where the driver gives one.
    pub name: Option<String>,
    /// Compute slices.
    pub slices: u32,
    /// Most instances, says the driver; some A30 drivers are wrong.
    pub instances: u32,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Copy, decoder, encoder, JPEG and OFA engines.
    pub engines: [u32; 5],
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Where it may stand.
    pub places: Result<Vec<Place>, Code>,
    /// How many more fit now; `None` when it was not asked, since MIG is off.
    pub remaining: Option<Result<u32, Code>>,
}

/// A compute-instance profile of a GPU instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeProfile {
    /// `NVML_COMPUTE_INSTANCE_PROFILE_…`.
    pub nvml_enum: u32,
    /// The number that creation takes.
    pub id: u32,
    /// Compute slices.
    pub slices: u32,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Most instances in the GPU instance.
    pub instances: u32,
}

/// A compute instance that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Compute {
    /// NVML's number of it.
    pub id: u32,
    /// Profile id.
    pub profile: u32,
    /// Compute slices of its GPU instance.
    pub place: Place,
}

/// A GPU instance that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// NVML's number of it.
    pub id: u32,
    /// Profile id.
    pub profile: u32,
    /// Memory slices.
    pub place: Place,
    /// Its compute instances.
    pub compute: Vec<Compute>,
}

/// A MIG device: a compute instance as CUDA sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigDevice {
    /// Its UUID.
    pub uuid: String,
    /// Number of its GPU instance.
    pub instance: u32,
    /// Number of its compute instance.
    pub compute: u32,
    /// SMs and memory in MiB, where the driver says.
    pub attributes: Option<(u32, u64)>,
}

/// A process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number; 0 where only a `/proc` of another namespace was seen.
    pub pid: u32,
    /// What it does there: `compute`, `graphics`, `mps` or `holds /dev/nvidia0`.
    pub how: String,
    /// UUID of the GPU or the MIG device.
    pub on: String,
}

/// A GPU as the driver describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Name.
    pub name: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
    /// Total memory in MiB.
    pub memory_mib: Option<u64>,
    /// PCI bus id.
    pub pci: Option<String>,
    /// The number in `/dev/nvidia…`.
    pub minor: Option<u32>,
    /// MIG mode; NOT_SUPPORTED on a GPU without MIG.
    pub mode: Result<Mode, Code>,
    /// Profiles, by enum.
    pub profiles: Vec<DeviceProfile>,
    /// A call for profiles that failed with more than "there is none".
    pub profiles_failed: Option<Code>,
    /// What stands; `None` while MIG is off. The first call that failed makes it an error.
    pub instances: Option<Result<Vec<Instance>, (String, Code)>>,
    /// MIG devices.
    pub mig_devices: Vec<String>,
    /// Other calls that failed.
    pub failed: Vec<(String, Code)>,
}

impl Default for Device {
    fn default() -> Device {
        Device {
            name: None,
            uuid: None,
            memory_mib: None,
            pci: None,
            minor: None,
            mode: Err(Code::FUNCTION_NOT_FOUND),
            profiles: Vec::new(),
            profiles_failed: None,
            instances: None,
            mig_devices: Vec::new(),
            failed: Vec::new(),
        }
    }
}

/// A field as a number; 0 where it is missing.
fn number(call: &Call, field: &str) -> u64 {
    call.fields.get(field).and_then(Value::as_u64).unwrap_or(0)
}

fn small(call: &Call, field: &str) -> u32 {
    u32::try_from(number(call, field)).unwrap_or(u32::MAX)
}

fn text(call: &Call, field: &str) -> Option<String> {
    call.fields.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn argument(call: &Call, name: &str) -> u32 {
    call.args.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX)
}

fn places(call: &Call) -> Vec<Place> {
    let list = call.fields.get("placements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|place| serde_json::from_value(place.clone()).ok()).collect()
}

impl Inventory {
    /// What a reply says.
    #[must_use]
    pub fn of(reply: &Reply) -> Inventory {
        let mut inventory = Inventory::default();
        for call in &reply.calls {
            inventory.take(call);
        }
        inventory
    }

    fn take(&mut self, call: &Call) {
        let device = call.args.get("device").and_then(Value::as_u64);
        match (call.call.as_str(), device) {
            ("nvmlSystemGetDriverVersion", _) => self.driver = text(call, "version"),
            ("nvmlSystemGetNVMLVersion", _) => self.nvml = text(call, "version"),
            ("nvmlDeviceGetHandleByUUID" | "nvmlDeviceGetHandleByIndex_v2", _) => {
                if call.code.is_success() {
                    self.devices.push(Device::default());
                } else if let Some(uuid) = call.args.get("uuid").and_then(Value::as_str) {
                    self.unknown.push((uuid.to_owned(), call.code));
                } else {
                    self.failed = self.failed.take().or_else(|| Some((call.call.clone(), call.code)));
                }
            }
            (_, None) => {
                if !call.code.is_success() {
                    self.failed = self.failed.take().or_else(|| Some((call.call.clone(), call.code)));
                }
            }
            (_, Some(at)) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                if let Some(device) = self.devices.get_mut(at) {
                    device.take(call);
                }
            }
        }
    }
}

impl Device {
    fn take(&mut self, call: &Call) {
        let ok = call.code.is_success();
        match call.call.as_str() {
            "nvmlDeviceGetName" if ok => self.name = text(call, "name"),
            "nvmlDeviceGetUUID" if ok && call.args.contains_key("mig_device") => {
                self.mig_devices.extend(text(call, "uuid"));
            }
            "nvmlDeviceGetUUID" if ok => self.uuid = text(call, "uuid"),
            "nvmlDeviceGetMemoryInfo" if ok => self.memory_mib = Some(number(call, "total") >> 20),
            "nvmlDeviceGetPciInfo_v3" if ok => self.pci = text(call, "busId"),
            "nvmlDeviceGetMinorNumber" if ok => self.minor = Some(small(call, "minorNumber")),
            "nvmlDeviceGetMigMode" => self.mode = mode(call),
            "nvmlDeviceGetGpuInstanceProfileInfoV" | "nvmlDeviceGetGpuInstanceProfileInfo" => {
                self.take_profile(call);
            }
            "nvmlDeviceGetGpuInstancePossiblePlacements_v2" => {
                if let Some(profile) = self.profile_mut(call) {
                    profile.places = if ok { Ok(places(call)) } else { Err(call.code) };
                }
            }
            "nvmlDeviceGetGpuInstanceRemainingCapacity" => {
                let count = if ok { Ok(small(call, "count")) } else { Err(call.code) };
                if let Some(profile) = self.profile_mut(call) {
                    profile.remaining = Some(count);
                }
            }
            "nvmlDeviceGetGpuInstances" | "nvmlGpuInstanceGetInfo" | "nvmlComputeInstanceGetInfo_v2" => {
                self.take_instance(call);
            }
            "nvmlGpuInstanceGetComputeInstances" => self.take_instance(call),
            "nvmlGpuInstanceGetComputeInstanceProfileInfoV"
            | "nvmlGpuInstanceGetComputeInstanceProfileInfo"
            | "nvmlDeviceGetMigDeviceHandleByIndex" => {
                let class = call.code.class(Asked::Enumerate);
                if !matches!(class, Class::Done | Class::Absent | Class::Unsupported) {
                    self.failed.push((call.call.clone(), call.code));
                }
            }
            name if !ok => self.failed.push((name.to_owned(), call.code)),
            _ => {}
        }
    }

    fn profile_mut(&mut self, call: &Call) -> Option<&mut DeviceProfile> {
        let id = argument(call, "profile_id");
        self.profiles.iter_mut().find(|p| p.id == id)
    }

    fn take_profile(&mut self, call: &Call) {
        match call.code.class(Asked::Enumerate) {
            Class::Done => {}
            Class::Absent | Class::Unsupported => return,
            _ => {
                self.profiles_failed = self.profiles_failed.or(Some(call.code));
                return;
            }
        }
        let nvml_enum = argument(call, "profile");
        self.profiles.retain(|p| p.nvml_enum != nvml_enum);
        let engines = ["copyEngineCount", "decoderCount", "encoderCount", "jpegCount", "ofaCount"]
            .map(|f| small(call, f));
        self.profiles.push(DeviceProfile {
            nvml_enum,
            id: small(call, "id"),
            name: text(call, "name").map(|n| n.trim_start_matches("MIG ").to_owned()),
            slices: small(call, "sliceCount"),
            instances: small(call, "instanceCount"),
            sms: small(call, "multiprocessorCount"),
            engines,
            memory_mib: number(call, "memorySizeMB"),
            places: Err(Code::FUNCTION_NOT_FOUND),
            remaining: None,
        });
    }

    fn take_instance(&mut self, call: &Call) {
        let instances = self.instances.get_or_insert_with(|| Ok(Vec::new()));
        let Ok(list) = instances else { return };
        if !call.code.is_success() {
            *instances = Err((call.call.clone(), call.code));
            return;
        }
        let place = Place { start: small(call, "start"), size: small(call, "size") };
        let (id, profile) = (small(call, "id"), small(call, "profileId"));
        match call.call.as_str() {
            "nvmlGpuInstanceGetInfo" => list.push(Instance { id, profile, place, compute: Vec::new() }),
            "nvmlComputeInstanceGetInfo_v2" => {
                let of = argument(call, "instance");
                if let Some(instance) = list.iter_mut().find(|i| i.id == of) {
                    instance.compute.push(Compute { id, profile, place });
                }
            }
            _ => {}
        }
    }
}

fn mode(call: &Call) -> Result<Mode, Code> {
    if !call.code.is_success() {
        return Err(call.code);
    }
    Ok(Mode { current: number(call, "currentMode") == 1, pending: number(call, "pendingMode") == 1 })
}
