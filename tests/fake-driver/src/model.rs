//! What stands on the GPUs, and what can: the rules of MIG.

use crate::catalogue::{Mig, Product, Profile, product};
use crate::config::{Config, Device};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// NVML's codes.
pub(crate) mod code {
    pub(crate) const INVALID_ARGUMENT: u32 = 2;
    pub(crate) const NOT_SUPPORTED: u32 = 3;
    pub(crate) const NO_PERMISSION: u32 = 4;
    pub(crate) const NOT_FOUND: u32 = 6;
    pub(crate) const INSUFFICIENT_SIZE: u32 = 7;
    pub(crate) const FUNCTION_NOT_FOUND: u32 = 13;
    pub(crate) const RESET_REQUIRED: u32 = 16;
    pub(crate) const IN_USE: u32 = 19;
    pub(crate) const INSUFFICIENT_RESOURCES: u32 = 23;
    pub(crate) const VERSION_MISMATCH: u32 = 25;
}

/// Compute-instance profiles that NVML knows, on whatever GPU instance.
pub(crate) const COMPUTE_PROFILES: u32 = 9;

/// The machine as it stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct State {
    /// Changes with every reboot.
    pub boot: u64,
    /// The next number of an instance: handles are never used twice.
    pub next: u64,
    /// GPUs.
    pub gpus: Vec<Gpu>,
}

/// One GPU as it stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Gpu {
    /// Its UUID.
    pub uuid: String,
    /// Id of the catalogue.
    pub product: String,
    /// Whether MIG is on.
    pub mig: bool,
    /// Whether it will be after a reset.
    pub pending: bool,
    /// GPU instances.
    pub instances: Vec<Instance>,
}

/// A GPU instance.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Instance {
    /// NVML's number of it.
    pub id: u32,
    /// Its number in this machine's life.
    pub serial: u64,
    /// Profile id.
    pub profile: u32,
    /// First memory slice.
    pub start: u32,
    /// Memory slices.
    pub size: u32,
    /// Compute instances.
    pub compute: Vec<Compute>,
}

/// A compute instance.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Compute {
    /// NVML's number of it.
    pub id: u32,
    /// Its number in this machine's life.
    pub serial: u64,
    /// Compute-instance profile.
    pub profile: u32,
    /// First compute slice in its GPU instance.
    pub start: u32,
    /// Compute slices.
    pub size: u32,
    /// Index of its MIG device.
    pub slot: u32,
}

/// A compute-instance profile of a GPU instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComputeProfile {
    pub(crate) id: u32,
    pub(crate) slices: u32,
    pub(crate) count: u32,
    pub(crate) sms: u32,
}

impl State {
    /// The machine as a test wants it at first.
    pub(crate) fn fresh(config: &Config) -> State {
        let mut state = State { boot: 1, next: 1, gpus: Vec::new() };
        for device in &config.devices {
            state.gpus.push(Gpu {
                uuid: device.uuid.clone(),
                product: device.product.clone(),
                mig: device.mig,
                pending: device.pending.unwrap_or(device.mig),
                instances: Vec::new(),
            });
            let at = state.gpus.len() - 1;
            for slice in &device.layout {
                let profile = product(&device.product).by_enum(slice.profile).expect("a profile");
                let id = profile.id();
                let size = profile.memory;
                let made = state.create(at, device, id, Some((slice.start, size))).expect("a legal layout");
                let full = full_compute(product(&device.product), profile);
                state.create_compute(at, made, full, None).expect("a compute instance of full size");
            }
        }
        state
    }

    /// Reads a file of it.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn read(path: &Path) -> State {
        let text = std::fs::read_to_string(path).expect("the state of the fake driver");
        serde_json::from_str(&text).expect("a state")
    }

    /// Writes it: whole or not at all, since the writer may be killed.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn write(&self, path: &Path) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_string(self).expect("plain values"))
            .expect("a writable folder");
        std::fs::rename(&beside, path).expect("a writable folder");
    }

    fn serial(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Creates a GPU instance, where the driver likes or at a place; its serial.
    pub(crate) fn create(
        &mut self,
        at: usize,
        device: &Device,
        id: u32,
        place: Option<(u32, u32)>,
    ) -> Result<u64, u32> {
        let gpu = &self.gpus[at];
        let product = product(&gpu.product);
        let profile = device.profile(product, id).ok_or(code::INVALID_ARGUMENT)?;
        let starts = device.starts(profile);
        if let Some((start, size)) = place
            && (!starts.contains(&start) || size != profile.memory)
        {
            return Err(code::INVALID_ARGUMENT);
        }
        let mig = product.mig.as_ref().expect("a product with profiles");
        let tried = match place {
            Some((start, _)) => vec![start],
            None => preferred(mig, profile, starts),
        };
        let start = tried.into_iter().find(|s| gpu.fits(device, mig, product, profile, *s));
        let start = start.ok_or(code::INSUFFICIENT_RESOURCES)?;
        let instance = Instance {
            id: self.instance_id(at, device, mig, profile, start),
            serial: self.serial(),
            profile: id,
            start,
            size: profile.memory,
            compute: Vec::new(),
        };
        let serial = instance.serial;
        self.gpus[at].instances.push(instance);
        Ok(serial)
    }

    /// The node of the tree of halves; ascending numbers where the tree is not known.
    fn instance_id(&self, at: usize, device: &Device, mig: &Mig, profile: &Profile, start: u32) -> u32 {
        let (slices, size) = (mig.memory_slices, profile.memory);
        if [4, 8, 12].contains(&slices) && slices % size == 0 {
            let start = if device.mirrored && slices == 8 && size < 8 { start ^ 4 } else { start };
            return slices / size - 1 + start / size;
        }
        let taken = |id: &u32| self.gpus[at].instances.iter().any(|i| i.id == *id);
        (1..).find(|id| !taken(id)).expect("few instances")
    }

    /// Creates a compute instance; its serial.
    pub(crate) fn create_compute(
        &mut self,
        at: usize,
        serial: u64,
        profile: u32,
        place: Option<(u32, u32)>,
    ) -> Result<u64, u32> {
        let gpu = &self.gpus[at];
        let product = product(&gpu.product);
        let instance = gpu.instances.iter().find(|i| i.serial == serial).ok_or(code::INVALID_ARGUMENT)?;
        let of = product.profile(instance.profile).expect("a profile that stands");
        let compute = compute_profiles(product, of).into_iter().find(|c| c.id == profile);
        let unknown = if profile < COMPUTE_PROFILES { code::NOT_SUPPORTED } else { code::INVALID_ARGUMENT };
        let compute = compute.ok_or(unknown)?;
        let starts: Vec<u32> = compute_starts(of, compute);
        if let Some((start, size)) = place
            && (!starts.contains(&start) || size != compute.slices)
        {
            return Err(code::INVALID_ARGUMENT);
        }
        let free = |start: &u32| {
            instance.compute.iter().all(|c| c.start + c.size <= *start || start + compute.slices <= c.start)
        };
        let start = starts.into_iter().filter(|s| place.is_none_or(|p| p.0 == *s)).find(free);
        let start = start.ok_or(code::INSUFFICIENT_RESOURCES)?;
        let lowest = |taken: &dyn Fn(u32) -> bool| (0..).find(|n| !taken(*n)).expect("few instances");
        let id = lowest(&|n| instance.compute.iter().any(|c| c.id == n));
        let slot = lowest(&|n| gpu.instances.iter().flat_map(|i| &i.compute).any(|c| c.slot == n));
        let made = Compute { id, serial: self.serial(), profile, start, size: compute.slices, slot };
        let number = made.serial;
        let instances = &mut self.gpus[at].instances;
        instances.iter_mut().find(|i| i.serial == serial).expect("just seen").compute.push(made);
        Ok(number)
    }
}

impl Gpu {
    /// Whether a slice can stand at a start: on nothing, and with engines enough.
    fn fits(&self, device: &Device, mig: &Mig, product: &Product, profile: &Profile, start: u32) -> bool {
        let apart = |other: u32, size: u32| other + size <= start || start + profile.memory <= other;
        let free = self.instances.iter().all(|i| apart(i.start, i.size));
        let free = free && device.occupied.iter().all(|(s, n)| apart(*s, *n));
        free && self.engines_left(mig, product, profile) != Some(0)
    }

    /// How many more of a profile the media engines allow; without figures, any number.
    fn engines_left(&self, mig: &Mig, product: &Product, profile: &Profile) -> Option<u32> {
        let (total, needed) = (mig.engines?, profile.engines?);
        let taken = |kind: usize| -> u32 {
            let of = |i: &Instance| product.profile(i.profile).and_then(|p| p.engines).map_or(0, |e| e[kind]);
            self.instances.iter().map(of).sum()
        };
        // Copy engines, the first, never bind.
        (1..5).filter(|k| 0 < needed[*k]).map(|k| (total[k] - taken(k)) / needed[k]).min()
    }

    /// How many more of this profile alone fit now.
    pub(crate) fn remaining(&self, device: &Device, product: &Product, profile: &Profile) -> u32 {
        let mig = product.mig.as_ref().expect("a product with profiles");
        let mut starts = device.starts(profile).to_vec();
        starts.sort_unstable();
        let (mut count, mut from) = (0, 0);
        for start in starts {
            if from <= start && self.fits(device, mig, product, profile, start) {
                count += 1;
                from = start + profile.memory;
            }
        }
        self.engines_left(mig, product, profile).map_or(count, |most| count.min(most))
    }
}

impl Device {
    /// A profile of this board.
    pub(crate) fn profile<'a>(&self, product: &'a Product, id: u32) -> Option<&'a Profile> {
        product.profile(id).filter(|p| !self.lacks.contains(&p.nvml_enum))
    }

    /// Its starts on this board.
    pub(crate) fn starts<'a>(&'a self, profile: &'a Profile) -> &'a [u32] {
        self.starts.get(&profile.nvml_enum).unwrap_or(&profile.starts)
    }
}

/// The starts in the order in which the driver tries them: fitted to sequences seen on GPUs of eight
/// memory slices, ascending elsewhere.
fn preferred(mig: &Mig, profile: &Profile, starts: &[u32]) -> Vec<u32> {
    let order: &[u32] = match (mig.memory_slices, profile.memory) {
        (8, 1) => &[6, 4, 5, 0, 1, 2, 3],
        (8, 2) if profile.is_double_memory() => &[4, 0, 2, 6],
        (8, 2) => &[4, 0, 2],
        (8, 4) => &[4, 0],
        _ => &[],
    };
    let mut tried: Vec<u32> = order.iter().copied().filter(|s| starts.contains(s)).collect();
    let mut others: Vec<u32> = starts.iter().copied().filter(|s| !order.contains(s)).collect();
    others.sort_unstable();
    tried.extend(others);
    tried
}

/// Compute-instance profiles of a GPU instance: all its slices, or parts of about half at most.
pub(crate) fn compute_profiles(product: &Product, profile: &Profile) -> Vec<ComputeProfile> {
    let whole = profile.compute;
    let number = |slices: u32| match slices {
        7 => 4,
        n => n - 1,
    };
    let parts = (1..=whole).filter(|c| *c == whole || 2 * c <= whole + 1);
    let known = parts.filter(|c| [1, 2, 3, 4, 7].contains(c));
    let of = |slices: u32| ComputeProfile {
        id: number(slices),
        slices,
        count: whole / slices,
        sms: profile.sms * slices / whole,
    };
    let mut all: Vec<ComputeProfile> = known.map(of).collect();
    // From Hopper on the double-memory slice has more SMs than the plain one, which its ordinary
    // compute instance does not reach; a second one does.
    let plain = product.by_enum(0).map_or(profile.sms, |p| p.sms);
    if profile.is_double_memory() && plain < profile.sms {
        all[0].sms = plain;
        all.push(ComputeProfile { id: 7, slices: 1, count: 1, sms: profile.sms });
    }
    all
}

/// The compute-instance profile with all the SMs of a GPU instance.
pub(crate) fn full_compute(product: &Product, profile: &Profile) -> u32 {
    let all = compute_profiles(product, profile);
    let full = all.iter().find(|c| c.slices == profile.compute && c.sms == profile.sms);
    full.expect("a compute instance of full size").id
}

/// Compute slices at which one may start.
pub(crate) fn compute_starts(profile: &Profile, compute: ComputeProfile) -> Vec<u32> {
    (0..compute.count).map(|n| n * compute.slices).filter(|s| s + compute.slices <= profile.compute).collect()
}

/// A reboot of the machine whose state is in a file: instances are gone, the mode is kept where the
/// GPU keeps it.
///
/// # Panics
/// If the file is no state.
pub fn reboot(path: &Path) {
    let mut state = State::read(path);
    state.boot += 1;
    for gpu in &mut state.gpus {
        gpu.instances.clear();
        gpu.mig = if product(&gpu.product).keeps_mode() { gpu.pending } else { false };
        gpu.pending = gpu.mig;
    }
    state.write(path);
}
