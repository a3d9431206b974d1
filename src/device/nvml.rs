//! The driver, through nvml-wrapper; with `cuda`, the only module of this crate with unsafe code.
//!
//! nvml-wrapper 0.13 loads the library and covers the reading of devices; what makes, lists and ends
//! instances it lacks, its `possible_placements` always answers with an empty list, and codes from 23
//! on come as one variant. So every call here goes to the functions of nvml-wrapper-sys that it
//! loaded, and every code is kept as the driver gave it.
//!
//! Each unsafe block is one call of a C function: the handles come from this library a moment before,
//! each output is a place of ours of the type that the header names, and arrays hold what the header
//! asks for.
#![allow(unsafe_code, reason = "calls of a C library, each of them a few lines")]

use super::code::{Asked, Class, Code, Failed};
use super::inventory::{Compute, ComputeProfile, Instance, MigDevice, Mode, Place, Process};
use super::reply::Reply;
use nvml_wrapper_sys::bindings::{
    nvmlComputeInstance_t, nvmlComputeInstanceInfo_t, nvmlComputeInstancePlacement_t,
    nvmlComputeInstanceProfileInfo_t, nvmlComputeInstanceProfileInfo_v2_t, nvmlDevice_t,
    nvmlDeviceAttributes_t, nvmlGpuInstance_t, nvmlGpuInstanceInfo_t, nvmlGpuInstancePlacement_t,
    nvmlGpuInstanceProfileInfo_t, nvmlGpuInstanceProfileInfo_v2_st, nvmlMemory_t, nvmlPciInfo_t,
    nvmlProcessInfo_t,
};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::zeroed;
use std::path::Path;

/// Profile enums up to here are asked for whatever the driver answers: it knew so many at 13.3.
const PROFILE_ENUMS: u32 = 18;
/// The same for compute-instance profiles.
const COMPUTE_ENUMS: u32 = 9;
/// Enums beyond are asked for until the driver says that there are no more, and no further than this.
const ENUMS_MAX: u32 = 32;
/// Instances that an array holds at least: some A30 drivers report fewer than there can be.
const INSTANCES: usize = 16;
/// Version 2 of a struct, beside its size.
const VERSION_2: u32 = 2 << 24;
/// How often a list of processes is asked for again when it has grown meanwhile.
const TRIES: usize = 8;

/// The driver's library, loaded and initialized.
#[derive(Debug)]
pub struct Nvml {
    nvml: nvml_wrapper::Nvml,
    /// Compute-instance profiles by GPU and profile id: facts of the hardware, read once.
    compute: RefCell<BTreeMap<(String, u32), Vec<ComputeProfile>>>,
}

/// Why there is no driver to talk to.
#[derive(Debug, thiserror::Error)]
#[error("NVML cannot be used: {0}")]
pub struct NvmlError(nvml_wrapper::error::NvmlError);

/// Calls a function of the library; one that it lacks answers FUNCTION_NOT_FOUND.
macro_rules! call {
    ($nvml:expr, $name:ident($($arg:expr),*)) => {
        Code(match &$nvml.nvml.lib().$name {
            // SAFETY: see the head of this module.
            Ok(function) => unsafe { function($($arg),*) },
            Err(_) => Code::FUNCTION_NOT_FOUND.0,
        })
    };
}

/// Turns a code into a result, with the name of the call.
macro_rules! must {
    ($nvml:expr, $asked:expr, $name:ident($($arg:expr),*)) => {
        check(stringify!($name), $asked, call!($nvml, $name($($arg),*)))
    };
}

fn check(call: &'static str, asked: Asked, code: Code) -> Result<(), Failed> {
    if code.is_success() { Ok(()) } else { Err(Failed { call, asked, code }) }
}

/// A struct of numbers and handles, all zero.
fn zero<T>() -> T {
    // SAFETY: only for NVML's plain structs, for which zeros are a value.
    unsafe { zeroed() }
}

/// Text that the library wrote, up to its zero.
fn text(bytes: &[c_char]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let bytes: Vec<u8> = bytes[..end].iter().map(|b| *b as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks for text.
fn ask_text(ask: impl FnOnce(*mut c_char, u32) -> Code) -> (Code, String) {
    let mut out = [0; 256];
    let code = ask(out.as_mut_ptr(), out.len() as u32);
    (code, text(&out))
}

/// Whether an enumeration goes on after a code.
fn goes_on(nvml_enum: u32, known: u32, code: Code) -> bool {
    nvml_enum < known || code != Code::INVALID_ARGUMENT
}

impl Nvml {
    /// Loads the library: the one at a path, or the system's.
    ///
    /// # Errors
    /// There is none, or it does not find a driver.
    pub fn open(path: Option<&Path>) -> Result<Nvml, NvmlError> {
        let mut builder = nvml_wrapper::Nvml::builder();
        if let Some(path) = path {
            builder.lib_path(path.as_os_str());
        }
        let nvml = builder.init().map_err(NvmlError)?;
        Ok(Nvml { nvml, compute: RefCell::default() })
    }

    /// Everything that can be asked without changing anything, of these GPUs or of all.
    #[must_use]
    pub fn read(&self, uuids: &[String]) -> Reply {
        let mut reply = Reply::empty();
        let (code, version) = ask_text(|out, room| call!(self, nvmlSystemGetDriverVersion(out, room)));
        reply.note("nvmlSystemGetDriverVersion", Value::Null, code, json!({"version": version}));
        let (code, version) = ask_text(|out, room| call!(self, nvmlSystemGetNVMLVersion(out, room)));
        reply.note("nvmlSystemGetNVMLVersion", Value::Null, code, json!({"version": version}));
        let mut devices = Vec::new();
        for uuid in uuids {
            let (code, device) = self.by_uuid(uuid);
            reply.note(
                "nvmlDeviceGetHandleByUUID",
                json!({"uuid": uuid}),
                code,
                json!({"device": devices.len()}),
            );
            devices.extend(device);
        }
        if uuids.is_empty() {
            let mut count = 0;
            let code = call!(self, nvmlDeviceGetCount_v2(&mut count));
            reply.note("nvmlDeviceGetCount_v2", Value::Null, code, json!({"deviceCount": count}));
            for index in 0..count {
                let mut device: nvmlDevice_t = std::ptr::null_mut();
                let code = call!(self, nvmlDeviceGetHandleByIndex_v2(index, &mut device));
                let fields = json!({"device": devices.len()});
                reply.note("nvmlDeviceGetHandleByIndex_v2", json!({"index": index}), code, fields);
                if code.is_success() {
                    devices.push(device);
                }
            }
        }
        for (at, device) in devices.into_iter().enumerate() {
            self.read_device(&mut reply, at, device);
        }
        reply
    }

    fn read_device(&self, reply: &mut Reply, at: usize, device: nvmlDevice_t) {
        let args = json!({"device": at});
        let (code, name) = ask_text(|out, room| call!(self, nvmlDeviceGetName(device, out, room)));
        reply.note("nvmlDeviceGetName", args.clone(), code, json!({"name": name}));
        let (code, uuid) = ask_text(|out, room| call!(self, nvmlDeviceGetUUID(device, out, room)));
        reply.note("nvmlDeviceGetUUID", args.clone(), code, json!({"uuid": uuid}));
        let mut memory: nvmlMemory_t = zero();
        let code = call!(self, nvmlDeviceGetMemoryInfo(device, &mut memory));
        reply.note("nvmlDeviceGetMemoryInfo", args.clone(), code, json!({"total": memory.total}));
        let mut pci: nvmlPciInfo_t = zero();
        let code = call!(self, nvmlDeviceGetPciInfo_v3(device, &mut pci));
        let fields = json!({"busId": text(&pci.busId), "pciDeviceId": pci.pciDeviceId, "pciSubSystemId": pci.pciSubSystemId});
        reply.note("nvmlDeviceGetPciInfo_v3", args.clone(), code, fields);
        let mut minor = 0;
        let code = call!(self, nvmlDeviceGetMinorNumber(device, &mut minor));
        reply.note("nvmlDeviceGetMinorNumber", args.clone(), code, json!({"minorNumber": minor}));
        let (mut current, mut pending) = (0, 0);
        let code = call!(self, nvmlDeviceGetMigMode(device, &mut current, &mut pending));
        let fields = json!({"currentMode": current, "pendingMode": pending});
        reply.note("nvmlDeviceGetMigMode", args.clone(), code, fields);
        let on = code.is_success() && current == 1;
        let ids = self.read_profiles(reply, at, device);
        for id in &ids {
            self.read_places(reply, at, device, *id);
        }
        if !on {
            return;
        }
        for id in ids {
            let args = json!({"device": at, "profile_id": id});
            let mut count = 0;
            let code = call!(self, nvmlDeviceGetGpuInstanceRemainingCapacity(device, id, &mut count));
            reply.note(
                "nvmlDeviceGetGpuInstanceRemainingCapacity",
                args.clone(),
                code,
                json!({"count": count}),
            );
            let (code, handles) = self.list_instances(device, id);
            reply.note("nvmlDeviceGetGpuInstances", args.clone(), code, json!({"count": handles.len()}));
            for (position, handle) in handles.into_iter().enumerate() {
                let mut info: nvmlGpuInstanceInfo_t = zero();
                let code = call!(self, nvmlGpuInstanceGetInfo(handle, &mut info));
                let args = json!({"device": at, "profile_id": id, "position": position});
                let place = info.placement;
                let fields = json!({"id": info.id, "profileId": info.profileId, "start": place.start, "size": place.size});
                reply.note("nvmlGpuInstanceGetInfo", args, code, fields);
                if code.is_success() {
                    self.read_compute(reply, at, handle, info.id);
                }
            }
        }
        self.read_mig_devices(reply, at, device);
    }

    /// Notes every profile; their ids.
    fn read_profiles(&self, reply: &mut Reply, at: usize, device: nvmlDevice_t) -> Vec<u32> {
        let mut ids = Vec::new();
        for profile in 0..ENUMS_MAX {
            let args = json!({"device": at, "profile": profile});
            let mut info: nvmlGpuInstanceProfileInfo_v2_st = zero();
            info.version = size_of::<nvmlGpuInstanceProfileInfo_v2_st>() as u32 | VERSION_2;
            let mut code = call!(self, nvmlDeviceGetGpuInstanceProfileInfoV(device, profile, &mut info));
            let fields = json!({
                "id": info.id, "sliceCount": info.sliceCount, "instanceCount": info.instanceCount,
                "multiprocessorCount": info.multiprocessorCount, "copyEngineCount": info.copyEngineCount,
                "decoderCount": info.decoderCount, "encoderCount": info.encoderCount,
                "jpegCount": info.jpegCount, "ofaCount": info.ofaCount, "memorySizeMB": info.memorySizeMB,
                "name": text(&info.name),
            });
            reply.note("nvmlDeviceGetGpuInstanceProfileInfoV", args.clone(), code, fields);
            let mut id = info.id;
            // The older call is the one that is documented to answer while MIG is off.
            if code.class(Asked::Enumerate) == Class::Unsupported {
                let mut info: nvmlGpuInstanceProfileInfo_t = zero();
                code = call!(self, nvmlDeviceGetGpuInstanceProfileInfo(device, profile, &mut info));
                let fields = json!({
                    "id": info.id, "sliceCount": info.sliceCount, "instanceCount": info.instanceCount,
                    "multiprocessorCount": info.multiprocessorCount, "copyEngineCount": info.copyEngineCount,
                    "decoderCount": info.decoderCount, "encoderCount": info.encoderCount,
                    "jpegCount": info.jpegCount, "ofaCount": info.ofaCount, "memorySizeMB": info.memorySizeMB,
                });
                reply.note("nvmlDeviceGetGpuInstanceProfileInfo", args, code, fields);
                id = info.id;
            }
            if code.is_success() {
                ids.push(id);
            }
            if !goes_on(profile, PROFILE_ENUMS, code) {
                break;
            }
        }
        ids
    }

    fn read_places(&self, reply: &mut Reply, at: usize, device: nvmlDevice_t, id: u32) {
        const NAME: &str = "nvmlDeviceGetGpuInstancePossiblePlacements_v2";
        let args = json!({"device": at, "profile_id": id});
        let mut count = 0;
        let none = std::ptr::null_mut();
        let code = call!(self, nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, id, none, &mut count));
        if !code.is_success() {
            reply.note(NAME, args, code, Value::Null);
            return;
        }
        let mut list: Vec<nvmlGpuInstancePlacement_t> = vec![zero(); count as usize];
        let out = list.as_mut_ptr();
        let code = call!(self, nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, id, out, &mut count));
        list.truncate(count as usize);
        let place = |p: &nvmlGpuInstancePlacement_t| json!({"start": p.start, "size": p.size});
        reply.note(NAME, args, code, json!({"placements": list.iter().map(place).collect::<Value>()}));
    }

    fn read_compute(&self, reply: &mut Reply, at: usize, instance: nvmlGpuInstance_t, gi: u32) {
        for profile in 0..ENUMS_MAX {
            let args = json!({"device": at, "instance": gi, "profile": profile, "engine_profile": 0});
            let (call, code, info) = self.compute_profile(instance, profile);
            let fields = json!({
                "id": info.id, "sliceCount": info.slices, "instanceCount": info.instances,
                "multiprocessorCount": info.sms,
            });
            reply.note(call, args, code, fields);
            if code.is_success() {
                let (code, handles) = self.list_compute(instance, info.id);
                let args = json!({"device": at, "instance": gi, "profile_id": info.id});
                reply.note("nvmlGpuInstanceGetComputeInstances", args, code, json!({"count": handles.len()}));
                for (position, handle) in handles.into_iter().enumerate() {
                    let mut info: nvmlComputeInstanceInfo_t = zero();
                    let code = call!(self, nvmlComputeInstanceGetInfo_v2(handle, &mut info));
                    let args = json!({"device": at, "instance": gi, "position": position});
                    let place = info.placement;
                    let fields = json!({"id": info.id, "profileId": info.profileId, "start": place.start, "size": place.size});
                    reply.note("nvmlComputeInstanceGetInfo_v2", args, code, fields);
                }
            }
            if !goes_on(profile, COMPUTE_ENUMS, code) {
                break;
            }
        }
    }

    fn read_mig_devices(&self, reply: &mut Reply, at: usize, device: nvmlDevice_t) {
        let mut count = 0;
        let code = call!(self, nvmlDeviceGetMaxMigDeviceCount(device, &mut count));
        reply.note("nvmlDeviceGetMaxMigDeviceCount", json!({"device": at}), code, json!({"count": count}));
        for index in 0..count {
            let mut mig: nvmlDevice_t = std::ptr::null_mut();
            let code = call!(self, nvmlDeviceGetMigDeviceHandleByIndex(device, index, &mut mig));
            let args = json!({"device": at, "index": index});
            reply.note("nvmlDeviceGetMigDeviceHandleByIndex", args, code, json!({"mig_device": index}));
            if code.is_success() {
                let (code, uuid) = ask_text(|out, room| call!(self, nvmlDeviceGetUUID(mig, out, room)));
                let args = json!({"device": at, "mig_device": index});
                reply.note("nvmlDeviceGetUUID", args, code, json!({"uuid": uuid}));
            }
        }
    }

    fn by_uuid(&self, uuid: &str) -> (Code, Option<nvmlDevice_t>) {
        let Ok(text) = CString::new(uuid) else { return (Code::INVALID_ARGUMENT, None) };
        let mut device: nvmlDevice_t = std::ptr::null_mut();
        let code = call!(self, nvmlDeviceGetHandleByUUID(text.as_ptr(), &mut device));
        (code, code.is_success().then_some(device))
    }

    fn device(&self, uuid: &str) -> Result<nvmlDevice_t, Failed> {
        let (code, device) = self.by_uuid(uuid);
        device.ok_or(Failed { call: "nvmlDeviceGetHandleByUUID", asked: Asked::Read, code })
    }

    fn list_instances(&self, device: nvmlDevice_t, id: u32) -> (Code, Vec<nvmlGpuInstance_t>) {
        let mut handles: Vec<nvmlGpuInstance_t> = vec![std::ptr::null_mut(); INSTANCES];
        let mut count = 0;
        let code = call!(self, nvmlDeviceGetGpuInstances(device, id, handles.as_mut_ptr(), &mut count));
        handles.truncate(if code.is_success() { count as usize } else { 0 });
        (code, handles)
    }

    fn list_compute(&self, instance: nvmlGpuInstance_t, id: u32) -> (Code, Vec<nvmlComputeInstance_t>) {
        let mut handles: Vec<nvmlComputeInstance_t> = vec![std::ptr::null_mut(); INSTANCES];
        let mut count = 0;
        let out = handles.as_mut_ptr();
        let code = call!(self, nvmlGpuInstanceGetComputeInstances(instance, id, out, &mut count));
        handles.truncate(if code.is_success() { count as usize } else { 0 });
        (code, handles)
    }

    fn compute_profile(
        &self,
        instance: nvmlGpuInstance_t,
        profile: u32,
    ) -> (&'static str, Code, ComputeProfile) {
        let mut info: nvmlComputeInstanceProfileInfo_v2_t = zero();
        info.version = size_of::<nvmlComputeInstanceProfileInfo_v2_t>() as u32 | VERSION_2;
        let out = &raw mut info;
        let code = call!(self, nvmlGpuInstanceGetComputeInstanceProfileInfoV(instance, profile, 0, out));
        let found = ComputeProfile {
            nvml_enum: profile,
            id: info.id,
            slices: info.sliceCount,
            sms: info.multiprocessorCount,
            instances: info.instanceCount,
        };
        if code.class(Asked::Enumerate) != Class::Unsupported {
            return ("nvmlGpuInstanceGetComputeInstanceProfileInfoV", code, found);
        }
        let mut info: nvmlComputeInstanceProfileInfo_t = zero();
        let out = &raw mut info;
        let code = call!(self, nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, profile, 0, out));
        let found = ComputeProfile {
            nvml_enum: profile,
            id: info.id,
            slices: info.sliceCount,
            sms: info.multiprocessorCount,
            instances: info.instanceCount,
        };
        ("nvmlGpuInstanceGetComputeInstanceProfileInfo", code, found)
    }

    /// Compute-instance profiles of GPU instances of a profile, of which one must stand.
    fn compute_profiles(
        &self,
        uuid: &str,
        profile_id: u32,
        instance: nvmlGpuInstance_t,
    ) -> Result<Vec<ComputeProfile>, Failed> {
        let key = (uuid.to_owned(), profile_id);
        if let Some(known) = self.compute.borrow().get(&key) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        for profile in 0..ENUMS_MAX {
            let (call, code, info) = self.compute_profile(instance, profile);
            match code.class(Asked::Enumerate) {
                Class::Done => found.push(info),
                Class::Absent | Class::Unsupported => {}
                _ => return Err(Failed { call, asked: Asked::Enumerate, code }),
            }
            if !goes_on(profile, COMPUTE_ENUMS, code) {
                break;
            }
        }
        self.compute.borrow_mut().insert(key, found.clone());
        Ok(found)
    }

    /// Driver version.
    ///
    /// # Errors
    /// The call failed.
    pub fn driver(&self) -> Result<String, Failed> {
        let (code, version) = ask_text(|out, room| call!(self, nvmlSystemGetDriverVersion(out, room)));
        check("nvmlSystemGetDriverVersion", Asked::Read, code)?;
        Ok(version)
    }

    /// MIG mode of a GPU.
    ///
    /// # Errors
    /// The call failed; a GPU without MIG does not support it.
    pub fn mode(&self, uuid: &str) -> Result<Mode, Failed> {
        let device = self.device(uuid)?;
        let (mut current, mut pending) = (0, 0);
        must!(self, Asked::Read, nvmlDeviceGetMigMode(device, &mut current, &mut pending))?;
        Ok(Mode { current: current == 1, pending: pending == 1 })
    }

    /// Sets the MIG mode. A reason why it did not take effect may stand in the activation status
    /// though the call succeeds: it is the error then.
    ///
    /// # Errors
    /// The call failed, or its activation status is an error.
    pub fn set_mode(&self, uuid: &str, on: bool) -> Result<(), Failed> {
        let device = self.device(uuid)?;
        let mut status = 0;
        must!(self, Asked::Change, nvmlDeviceSetMigMode(device, u32::from(on), &mut status))?;
        check("nvmlDeviceSetMigMode", Asked::Change, Code(status))
    }

    /// The profile ids of a GPU.
    ///
    /// # Errors
    /// A call failed with more than "there is none".
    pub fn profile_ids(&self, uuid: &str) -> Result<Vec<u32>, Failed> {
        let device = self.device(uuid)?;
        let mut reply = Reply::empty();
        let ids = self.read_profiles(&mut reply, 0, device);
        let broken = reply.calls.iter().map(|c| c.code).find(|code| {
            !matches!(code.class(Asked::Enumerate), Class::Done | Class::Absent | Class::Unsupported)
        });
        match broken {
            Some(code) => {
                Err(Failed { call: "nvmlDeviceGetGpuInstanceProfileInfo", asked: Asked::Enumerate, code })
            }
            None => Ok(ids),
        }
    }

    /// What stands on a GPU: GPU instances of these profile ids with their compute instances.
    ///
    /// # Errors
    /// The first call that failed.
    pub fn instances(&self, uuid: &str, profile_ids: &[u32]) -> Result<Vec<Instance>, Failed> {
        let device = self.device(uuid)?;
        let mut instances = Vec::new();
        for id in profile_ids {
            let (code, handles) = self.list_instances(device, *id);
            check("nvmlDeviceGetGpuInstances", Asked::Read, code)?;
            for handle in handles {
                let mut info: nvmlGpuInstanceInfo_t = zero();
                must!(self, Asked::Read, nvmlGpuInstanceGetInfo(handle, &mut info))?;
                let mut compute = Vec::new();
                for profile in self.compute_profiles(uuid, info.profileId, handle)? {
                    let (code, list) = self.list_compute(handle, profile.id);
                    check("nvmlGpuInstanceGetComputeInstances", Asked::Read, code)?;
                    for handle in list {
                        let mut info: nvmlComputeInstanceInfo_t = zero();
                        must!(self, Asked::Read, nvmlComputeInstanceGetInfo_v2(handle, &mut info))?;
                        let place = Place { start: info.placement.start, size: info.placement.size };
                        compute.push(Compute { id: info.id, profile: info.profileId, place });
                    }
                }
                compute.sort_unstable_by_key(|c| (c.place, c.profile));
                let place = Place { start: info.placement.start, size: info.placement.size };
                instances.push(Instance { id: info.id, profile: info.profileId, place, compute });
            }
        }
        instances.sort_by_key(|i| (i.place, i.profile));
        Ok(instances)
    }

    fn instance(&self, uuid: &str, id: u32) -> Result<nvmlGpuInstance_t, Failed> {
        let device = self.device(uuid)?;
        let mut handle: nvmlGpuInstance_t = std::ptr::null_mut();
        must!(self, Asked::Read, nvmlDeviceGetGpuInstanceById(device, id, &mut handle))?;
        Ok(handle)
    }

    /// The compute-instance profile that gives all of a GPU instance: as many slices and SMs as the
    /// GPU instance has, the lowest enum where several do.
    ///
    /// # Errors
    /// The first call that failed.
    pub fn full_compute(
        &self,
        uuid: &str,
        instance: u32,
        profile_id: u32,
        slices: u32,
        sms: u32,
    ) -> Result<Option<ComputeProfile>, Failed> {
        let handle = self.instance(uuid, instance)?;
        let all = self.compute_profiles(uuid, profile_id, handle)?;
        let full = all.iter().filter(|p| p.slices == slices && p.sms == sms).min_by_key(|p| p.nvml_enum);
        Ok(full.copied())
    }

    /// Creates a GPU instance at a place; its number.
    ///
    /// # Errors
    /// The call failed.
    pub fn create_instance(&self, uuid: &str, profile_id: u32, place: Place) -> Result<u32, Failed> {
        let device = self.device(uuid)?;
        let wanted = nvmlGpuInstancePlacement_t { start: place.start, size: place.size };
        let mut handle: nvmlGpuInstance_t = std::ptr::null_mut();
        let out = &raw mut handle;
        must!(
            self,
            Asked::Create,
            nvmlDeviceCreateGpuInstanceWithPlacement(device, profile_id, &wanted, out)
        )?;
        let mut info: nvmlGpuInstanceInfo_t = zero();
        must!(self, Asked::Read, nvmlGpuInstanceGetInfo(handle, &mut info))?;
        Ok(info.id)
    }

    /// Creates a GPU instance where the driver likes; its number and place. What today's tools do.
    ///
    /// # Errors
    /// The call failed.
    pub fn create_anywhere(&self, uuid: &str, profile_id: u32) -> Result<(u32, Place), Failed> {
        let device = self.device(uuid)?;
        let mut handle: nvmlGpuInstance_t = std::ptr::null_mut();
        must!(self, Asked::Create, nvmlDeviceCreateGpuInstance(device, profile_id, &mut handle))?;
        let mut info: nvmlGpuInstanceInfo_t = zero();
        must!(self, Asked::Read, nvmlGpuInstanceGetInfo(handle, &mut info))?;
        Ok((info.id, Place { start: info.placement.start, size: info.placement.size }))
    }

    /// Creates a compute instance at a place in a GPU instance; its number. A library without
    /// placements for compute instances is left the choice.
    ///
    /// # Errors
    /// The call failed.
    pub fn create_compute(
        &self,
        uuid: &str,
        instance: u32,
        profile_id: u32,
        place: Place,
    ) -> Result<u32, Failed> {
        let handle = self.instance(uuid, instance)?;
        let wanted = nvmlComputeInstancePlacement_t { start: place.start, size: place.size };
        let mut made: nvmlComputeInstance_t = std::ptr::null_mut();
        let out = &raw mut made;
        let placed = must!(
            self,
            Asked::Create,
            nvmlGpuInstanceCreateComputeInstanceWithPlacement(handle, profile_id, &wanted, out)
        );
        match placed {
            Err(failed) if failed.code == Code::FUNCTION_NOT_FOUND => {
                must!(self, Asked::Create, nvmlGpuInstanceCreateComputeInstance(handle, profile_id, out))?;
            }
            other => other?,
        }
        let mut info: nvmlComputeInstanceInfo_t = zero();
        must!(self, Asked::Read, nvmlComputeInstanceGetInfo_v2(made, &mut info))?;
        Ok(info.id)
    }

    /// Destroys a compute instance.
    ///
    /// # Errors
    /// The call failed.
    pub fn destroy_compute(&self, uuid: &str, instance: u32, compute: u32) -> Result<(), Failed> {
        let handle = self.instance(uuid, instance)?;
        let mut found: nvmlComputeInstance_t = std::ptr::null_mut();
        let out = &raw mut found;
        must!(self, Asked::Read, nvmlGpuInstanceGetComputeInstanceById(handle, compute, out))?;
        must!(self, Asked::Change, nvmlComputeInstanceDestroy(found))
    }

    /// Destroys a GPU instance, which must have no compute instance.
    ///
    /// # Errors
    /// The call failed.
    pub fn destroy_instance(&self, uuid: &str, instance: u32) -> Result<(), Failed> {
        let handle = self.instance(uuid, instance)?;
        must!(self, Asked::Change, nvmlGpuInstanceDestroy(handle))
    }

    /// The MIG devices of a GPU by index.
    ///
    /// # Errors
    /// The first call that failed.
    pub fn mig_devices(&self, uuid: &str) -> Result<Vec<MigDevice>, Failed> {
        let device = self.device(uuid)?;
        let mut found = Vec::new();
        for mig in self.mig_handles(device)? {
            let (code, uuid) = ask_text(|out, room| call!(self, nvmlDeviceGetUUID(mig, out, room)));
            check("nvmlDeviceGetUUID", Asked::Read, code)?;
            let (mut instance, mut compute) = (0, 0);
            must!(self, Asked::Read, nvmlDeviceGetGpuInstanceId(mig, &mut instance))?;
            must!(self, Asked::Read, nvmlDeviceGetComputeInstanceId(mig, &mut compute))?;
            let mut attributes: nvmlDeviceAttributes_t = zero();
            let code = call!(self, nvmlDeviceGetAttributes_v2(mig, &mut attributes));
            let attributes =
                code.is_success().then_some((attributes.multiprocessorCount, attributes.memorySizeMB));
            found.push(MigDevice { uuid, instance, compute, attributes });
        }
        Ok(found)
    }

    fn mig_handles(&self, device: nvmlDevice_t) -> Result<Vec<nvmlDevice_t>, Failed> {
        let mut count = 0;
        must!(self, Asked::Read, nvmlDeviceGetMaxMigDeviceCount(device, &mut count))?;
        let mut found = Vec::new();
        for index in 0..count {
            let mut mig: nvmlDevice_t = std::ptr::null_mut();
            let got =
                must!(self, Asked::Enumerate, nvmlDeviceGetMigDeviceHandleByIndex(device, index, &mut mig));
            match got {
                Ok(()) => found.push(mig),
                Err(failed) if failed.class() == Class::Absent => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(found)
    }

    /// Processes on a GPU and on its MIG devices, as far as the driver shows them: those of other PID
    /// namespaces may be hidden.
    ///
    /// # Errors
    /// The first call that failed.
    pub fn processes(&self, uuid: &str) -> Result<Vec<Process>, Failed> {
        let device = self.device(uuid)?;
        let mut found = Vec::new();
        self.processes_of(device, uuid, &mut found)?;
        let migs = match self.mig_handles(device) {
            // A GPU without MIG has no MIG devices.
            Err(failed) if failed.class() == Class::Unsupported => Vec::new(),
            other => other?,
        };
        for mig in migs {
            let (code, uuid) = ask_text(|out, room| call!(self, nvmlDeviceGetUUID(mig, out, room)));
            check("nvmlDeviceGetUUID", Asked::Read, code)?;
            self.processes_of(mig, &uuid, &mut found)?;
        }
        Ok(found)
    }

    fn processes_of(&self, device: nvmlDevice_t, on: &str, found: &mut Vec<Process>) -> Result<(), Failed> {
        let ask = |name: &'static str, how: &str, ask: &dyn Fn(*mut u32, *mut nvmlProcessInfo_t) -> Code| {
            let mut list: Vec<nvmlProcessInfo_t> = vec![zero(); INSTANCES];
            for _ in 0..TRIES {
                let mut count = list.len() as u32;
                let code = ask(&mut count, list.as_mut_ptr());
                if code == Code::INSUFFICIENT_SIZE {
                    list = vec![zero(); 2 * list.len().max(count as usize)];
                    continue;
                }
                check(name, Asked::Read, code)?;
                list.truncate(count as usize);
                let process =
                    |p: &nvmlProcessInfo_t| Process { pid: p.pid, how: how.to_owned(), on: on.to_owned() };
                return Ok(list.iter().map(process).collect::<Vec<_>>());
            }
            Err(Failed { call: name, asked: Asked::Read, code: Code::INSUFFICIENT_SIZE })
        };
        found.extend(ask("nvmlDeviceGetComputeRunningProcesses_v3", "compute", &|count, out| {
            call!(self, nvmlDeviceGetComputeRunningProcesses_v3(device, count, out))
        })?);
        for (name, how, graphics) in [
            ("nvmlDeviceGetGraphicsRunningProcesses_v3", "graphics", true),
            ("nvmlDeviceGetMPSComputeRunningProcesses_v3", "mps", false),
        ] {
            let list = ask(name, how, &|count, out| match graphics {
                true => call!(self, nvmlDeviceGetGraphicsRunningProcesses_v3(device, count, out)),
                false => call!(self, nvmlDeviceGetMPSComputeRunningProcesses_v3(device, count, out)),
            });
            match list {
                // Without graphics or MPS on this device there are no such processes.
                Err(failed) if failed.class() == Class::Unsupported => {}
                other => found.extend(other?),
            }
        }
        Ok(())
    }

    /// The number of a GPU's device file.
    ///
    /// # Errors
    /// The call failed.
    pub fn minor(&self, uuid: &str) -> Result<u32, Failed> {
        let device = self.device(uuid)?;
        let mut minor = 0;
        must!(self, Asked::Read, nvmlDeviceGetMinorNumber(device, &mut minor))?;
        Ok(minor)
    }
}
