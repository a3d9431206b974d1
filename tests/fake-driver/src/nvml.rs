//! NVML's symbols. The codes are those that its header documents for each call.

#![allow(non_snake_case, clippy::missing_safety_doc, reason = "the names and the contracts are NVML's")]

use crate::driver::{Driver, call};
use crate::model::{
    COMPUTE_PROFILES, Compute, ComputeProfile, Instance, code, compute_profiles, compute_starts,
};
use nvml_wrapper_sys::bindings::{
    nvmlComputeInstanceInfo_t, nvmlComputeInstancePlacement_t, nvmlComputeInstanceProfileInfo_t,
    nvmlComputeInstanceProfileInfo_v2_t, nvmlDeviceAttributes_t, nvmlGpuInstanceInfo_t,
    nvmlGpuInstancePlacement_t, nvmlGpuInstanceProfileInfo_t, nvmlGpuInstanceProfileInfo_v2_st, nvmlMemory_t,
    nvmlPciInfo_t, nvmlProcessInfo_t,
};
use std::ffi::{CStr, c_char, c_uint, c_void};

type Code = u32;
type Done = Result<(), Code>;
/// Device, GPU instance or compute instance: a number in the place of a pointer.
type Handle = *mut c_void;

const GPU: usize = 1 << 12;
const INSTANCE: usize = 1;
const COMPUTE: usize = 2;
const MIG_DEVICE: usize = 3;

/// Profile enums that this library knows.
const PROFILE_ENUMS: u32 = 18;
/// Most MIG devices of a GPU.
const MIG_DEVICES: u32 = 7;
/// The version word of a struct is its size and this number in the highest byte.
const VERSION_2: u32 = 2 << 24;

/// What a handle means.
#[derive(Clone, Copy)]
enum Meant {
    Gpu(usize),
    /// A MIG device: the GPU, and positions of the GPU instance and the compute instance.
    Mig(usize, usize, usize),
}

fn handle_of(serial: u64, kind: usize) -> Handle {
    ((serial as usize) << 16 | kind) as Handle
}

fn gpu_handle(at: usize) -> Handle {
    (GPU + at) as Handle
}

fn meant(driver: &Driver, handle: Handle) -> Result<Meant, Code> {
    let number = handle as usize;
    if (GPU..GPU + driver.state.gpus.len()).contains(&number) {
        return Ok(Meant::Gpu(number - GPU));
    }
    let (at, gi, ci) = find_compute(driver, handle, MIG_DEVICE)?;
    Ok(Meant::Mig(at, gi, ci))
}

fn gpu(driver: &Driver, handle: Handle) -> Result<usize, Code> {
    match meant(driver, handle)? {
        Meant::Gpu(at) => Ok(at),
        Meant::Mig(..) => Err(code::INVALID_ARGUMENT),
    }
}

/// A GPU with MIG, whatever its mode.
fn mig_gpu(driver: &Driver, handle: Handle) -> Result<usize, Code> {
    let at = gpu(driver, handle)?;
    driver.device(at).1.mig.as_ref().map(|_| at).ok_or(code::NOT_SUPPORTED)
}

/// A GPU with MIG on.
fn mig_on(driver: &Driver, handle: Handle) -> Result<usize, Code> {
    let at = mig_gpu(driver, handle)?;
    if driver.state.gpus[at].mig { Ok(at) } else { Err(code::NOT_SUPPORTED) }
}

fn privileged(driver: &Driver) -> Done {
    if driver.config.unprivileged { Err(code::NO_PERMISSION) } else { Ok(()) }
}

fn find_instance(driver: &Driver, handle: Handle) -> Result<(usize, usize), Code> {
    for (at, gpu) in driver.state.gpus.iter().enumerate() {
        if let Some(gi) = gpu.instances.iter().position(|i| handle_of(i.serial, INSTANCE) == handle) {
            return Ok((at, gi));
        }
    }
    Err(code::INVALID_ARGUMENT)
}

fn find_compute(driver: &Driver, handle: Handle, kind: usize) -> Result<(usize, usize, usize), Code> {
    for (at, gpu) in driver.state.gpus.iter().enumerate() {
        for (gi, instance) in gpu.instances.iter().enumerate() {
            if let Some(ci) = instance.compute.iter().position(|c| handle_of(c.serial, kind) == handle) {
                return Ok((at, gi, ci));
            }
        }
    }
    Err(code::INVALID_ARGUMENT)
}

/// Writes an output, unless the caller has no place for it.
fn put<T>(out: *mut T, value: T) -> Done {
    if out.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: NVML's callers pass places that can be written, or null.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes text that ends with a zero.
fn put_text(out: *mut c_char, room: usize, text: &str) -> Done {
    if out.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    if room <= text.len() {
        return Err(code::INSUFFICIENT_SIZE);
    }
    // SAFETY: the caller's room holds the text and its zero.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
        out.add(text.len()).write(0);
    }
    Ok(())
}

fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(text.bytes().take(N - 1)) {
        *to = from as c_char;
    }
    out
}

/// Writes a list whose count is given and gets the real one; a null list asks for the count.
fn put_list<T>(out: *mut T, count: *mut c_uint, list: Vec<T>, null_is_error: bool) -> Done {
    if count.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: not null; NVML's callers pass places that can be read and written.
    let room = unsafe { count.replace(list.len() as c_uint) } as usize;
    if list.is_empty() || (out.is_null() && !null_is_error) {
        return Ok(());
    }
    if out.is_null() || room < list.len() {
        return Err(code::INSUFFICIENT_SIZE);
    }
    for (i, item) in list.into_iter().enumerate() {
        // SAFETY: the caller has room for so many.
        unsafe { out.add(i).write(item) };
    }
    Ok(())
}

/// Writes a list into an array that must be large enough: the count is an output only.
fn put_all<T>(out: *mut T, count: *mut c_uint, list: Vec<T>) -> Done {
    if out.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    put(count, list.len() as c_uint)?;
    for (i, item) in list.into_iter().enumerate() {
        // SAFETY: the caller's array holds all instances, as NVML demands without checking.
        unsafe { out.add(i).write(item) };
    }
    Ok(())
}

macro_rules! calls {
    ($($(#[$doc:meta])* fn $name:ident($driver:ident $(, $arg:ident: $kind:ty)*) $body:block)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $kind),*) -> Code {
                call(stringify!($name), |$driver: &mut Driver| -> Done { $body })
            }
        )*
    };
}

calls! {
    fn nvmlInit_v2(_driver) { Ok(()) }

    fn nvmlShutdown(_driver) { Ok(()) }

    fn nvmlSystemGetDriverVersion(driver, out: *mut c_char, room: c_uint) {
        let version = if driver.config.driver.is_empty() { "580.65.06" } else { &driver.config.driver };
        put_text(out, room as usize, version)
    }

    fn nvmlSystemGetNVMLVersion(_driver, out: *mut c_char, room: c_uint) {
        put_text(out, room as usize, "13.580.65.06")
    }

    fn nvmlDeviceGetCount_v2(driver, out: *mut c_uint) { put(out, driver.state.gpus.len() as c_uint) }

    fn nvmlDeviceGetHandleByIndex_v2(driver, index: c_uint, out: *mut Handle) {
        if driver.state.gpus.len() <= index as usize {
            return Err(code::INVALID_ARGUMENT);
        }
        put(out, gpu_handle(index as usize))
    }

    fn nvmlDeviceGetHandleByUUID(driver, uuid: *const c_char, out: *mut Handle) {
        if uuid.is_null() {
            return Err(code::INVALID_ARGUMENT);
        }
        // SAFETY: not null; NVML's callers pass text that ends with a zero.
        let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
        let at = driver.state.gpus.iter().position(|g| g.uuid == uuid).ok_or(code::NOT_FOUND)?;
        put(out, gpu_handle(at))
    }

    fn nvmlDeviceGetName(driver, device: Handle, out: *mut c_char, room: c_uint) {
        let at = gpu(driver, device)?;
        let (board, product) = driver.device(at);
        put_text(out, room as usize, board.name.as_deref().unwrap_or(&product.name))
    }

    fn nvmlDeviceGetUUID(driver, device: Handle, out: *mut c_char, room: c_uint) {
        let uuid = match meant(driver, device)? {
            Meant::Gpu(at) => driver.state.gpus[at].uuid.clone(),
            Meant::Mig(at, gi, ci) => {
                let gpu = &driver.state.gpus[at];
                format!("MIG-{}-{}", gpu.uuid.trim_start_matches("GPU-"), gpu.instances[gi].compute[ci].serial)
            }
        };
        put_text(out, room as usize, &uuid)
    }

    fn nvmlDeviceGetMemoryInfo(driver, device: Handle, out: *mut nvmlMemory_t) {
        let at = gpu(driver, device)?;
        let total = driver.device(at).1.memory_mib << 20;
        put(out, nvmlMemory_t { total, free: total, used: 0 })
    }

    fn nvmlDeviceGetPciInfo_v3(driver, device: Handle, out: *mut nvmlPciInfo_t) {
        let at = gpu(driver, device)? as c_uint;
        put(out, nvmlPciInfo_t {
            busIdLegacy: fixed(&format!("0000:{:02X}:00.0", at + 7)),
            domain: 0,
            bus: at + 7,
            device: 0,
            pciDeviceId: 0x20b0_10de,
            pciSubSystemId: 0,
            busId: fixed(&format!("00000000:{:02X}:00.0", at + 7)),
        })
    }

    fn nvmlDeviceGetMinorNumber(driver, device: Handle, out: *mut c_uint) {
        let at = gpu(driver, device)?;
        put(out, at as c_uint)
    }

    fn nvmlDeviceGetMigMode(driver, device: Handle, current: *mut c_uint, pending: *mut c_uint) {
        let at = mig_gpu(driver, device)?;
        let gpu = &driver.state.gpus[at];
        put(current, c_uint::from(gpu.mig))?;
        put(pending, c_uint::from(gpu.pending))
    }

    fn nvmlDeviceSetMigMode(driver, device: Handle, mode: c_uint, status: *mut Code) {
        let at = mig_gpu(driver, device)?;
        privileged(driver)?;
        if 1 < mode {
            return Err(code::INVALID_ARGUMENT);
        }
        let on = mode == 1;
        if let Some((code, effect)) = driver.activation.take() {
            if effect {
                (driver.state.gpus[at].mig, driver.state.gpus[at].pending) = (on, on);
            }
            return put(status, code);
        }
        let board = &driver.config.devices[at];
        let clients = [&board.compute_processes, &board.graphics_processes, &board.mps_processes];
        let busy = clients.iter().any(|list| !list.is_empty());
        let reset = board.needs_reset;
        let gpu = &mut driver.state.gpus[at];
        if gpu.mig == on {
            gpu.pending = on;
            return put(status, 0);
        }
        if busy || (!on && !gpu.instances.is_empty()) {
            return put(status, code::IN_USE);
        }
        gpu.pending = on;
        if reset {
            return put(status, code::RESET_REQUIRED);
        }
        gpu.mig = on;
        put(status, 0)
    }

    fn nvmlDeviceGetGpuInstanceProfileInfo(driver, device: Handle, profile: c_uint, out: *mut nvmlGpuInstanceProfileInfo_t) {
        let info = profile_info(driver, device, profile, driver.config.profiles_need_mig)?;
        put(out, nvmlGpuInstanceProfileInfo_t {
            id: info.id,
            isP2pSupported: info.isP2pSupported,
            sliceCount: info.sliceCount,
            instanceCount: info.instanceCount,
            multiprocessorCount: info.multiprocessorCount,
            copyEngineCount: info.copyEngineCount,
            decoderCount: info.decoderCount,
            encoderCount: info.encoderCount,
            jpegCount: info.jpegCount,
            ofaCount: info.ofaCount,
            memorySizeMB: info.memorySizeMB,
        })
    }

    fn nvmlDeviceGetGpuInstanceProfileInfoV(driver, device: Handle, profile: c_uint, out: *mut nvmlGpuInstanceProfileInfo_v2_st) {
        version(out.cast(), size_of::<nvmlGpuInstanceProfileInfo_v2_st>(), driver.config.old_struct)?;
        let info = profile_info(driver, device, profile, driver.config.profiles_need_mig)?;
        put(out, info)
    }

    fn nvmlDeviceGetGpuInstancePossiblePlacements_v2(driver, device: Handle, id: c_uint, out: *mut nvmlGpuInstancePlacement_t, count: *mut c_uint) {
        let at = mig_gpu(driver, device)?;
        let (board, product) = driver.device(at);
        let unasked = driver.config.profiles_need_mig && !driver.state.gpus[at].mig;
        let profile = board.profile(product, id).filter(|_| !unasked).ok_or(code::NOT_SUPPORTED)?;
        let place = |start: &u32| nvmlGpuInstancePlacement_t { start: *start, size: profile.memory };
        put_list(out, count, board.starts(profile).iter().map(place).collect(), false)
    }

    fn nvmlDeviceGetGpuInstanceRemainingCapacity(driver, device: Handle, id: c_uint, count: *mut c_uint) {
        let at = mig_on(driver, device)?;
        privileged(driver)?;
        let (board, product) = driver.device(at);
        let profile = board.profile(product, id).ok_or(code::NOT_SUPPORTED)?;
        put(count, driver.state.gpus[at].remaining(board, product, profile))
    }

    fn nvmlDeviceCreateGpuInstance(driver, device: Handle, id: c_uint, out: *mut Handle) {
        create(driver, device, id, None, out)
    }

    fn nvmlDeviceCreateGpuInstanceWithPlacement(driver, device: Handle, id: c_uint, place: *const nvmlGpuInstancePlacement_t, out: *mut Handle) {
        if place.is_null() {
            return Err(code::INVALID_ARGUMENT);
        }
        // SAFETY: not null; NVML's callers pass a struct.
        let place = unsafe { place.read() };
        create(driver, device, id, Some((place.start, place.size)), out)
    }

    fn nvmlGpuInstanceDestroy(driver, instance: Handle) {
        let (at, gi) = find_instance(driver, instance)?;
        privileged(driver)?;
        if !driver.state.gpus[at].instances[gi].compute.is_empty() {
            return Err(code::IN_USE);
        }
        driver.state.gpus[at].instances.remove(gi);
        Ok(())
    }

    fn nvmlDeviceGetGpuInstances(driver, device: Handle, id: c_uint, out: *mut Handle, count: *mut c_uint) {
        let at = mig_on(driver, device)?;
        privileged(driver)?;
        let (board, product) = driver.device(at);
        board.profile(product, id).ok_or(code::INVALID_ARGUMENT)?;
        let of_it = driver.state.gpus[at].instances.iter().filter(|i| i.profile == id);
        put_all(out, count, of_it.map(|i| handle_of(i.serial, INSTANCE)).collect())
    }

    fn nvmlDeviceGetGpuInstanceById(driver, device: Handle, id: c_uint, out: *mut Handle) {
        let at = mig_on(driver, device)?;
        privileged(driver)?;
        let found = driver.state.gpus[at].instances.iter().find(|i| i.id == id).ok_or(code::NOT_FOUND)?;
        put(out, handle_of(found.serial, INSTANCE))
    }

    fn nvmlGpuInstanceGetInfo(driver, instance: Handle, out: *mut nvmlGpuInstanceInfo_t) {
        let (at, gi) = find_instance(driver, instance)?;
        privileged(driver)?;
        let i = &driver.state.gpus[at].instances[gi];
        put(out, nvmlGpuInstanceInfo_t {
            device: gpu_handle(at).cast(),
            id: i.id,
            profileId: i.profile,
            placement: nvmlGpuInstancePlacement_t { start: i.start, size: i.size },
        })
    }

    fn nvmlGpuInstanceGetComputeInstanceProfileInfo(driver, instance: Handle, profile: c_uint, engines: c_uint, out: *mut nvmlComputeInstanceProfileInfo_t) {
        let (c, [copy, decoders, encoders, jpeg, ofa]) = compute_info(driver, instance, profile, engines)?;
        put(out, nvmlComputeInstanceProfileInfo_t {
            id: c.id,
            sliceCount: c.slices,
            instanceCount: c.count,
            multiprocessorCount: c.sms,
            sharedCopyEngineCount: copy,
            sharedDecoderCount: decoders,
            sharedEncoderCount: encoders,
            sharedJpegCount: jpeg,
            sharedOfaCount: ofa,
        })
    }

    fn nvmlGpuInstanceGetComputeInstanceProfileInfoV(driver, instance: Handle, profile: c_uint, engines: c_uint, out: *mut nvmlComputeInstanceProfileInfo_v2_t) {
        let size = size_of::<nvmlComputeInstanceProfileInfo_v2_t>();
        version(out.cast(), size, driver.config.old_struct)?;
        let (c, [copy, decoders, encoders, jpeg, ofa]) = compute_info(driver, instance, profile, engines)?;
        put(out, nvmlComputeInstanceProfileInfo_v2_t {
            version: size as u32 | VERSION_2,
            id: c.id,
            sliceCount: c.slices,
            instanceCount: c.count,
            multiprocessorCount: c.sms,
            sharedCopyEngineCount: copy,
            sharedDecoderCount: decoders,
            sharedEncoderCount: encoders,
            sharedJpegCount: jpeg,
            sharedOfaCount: ofa,
            name: fixed(&format!("MIG {}c", c.slices)),
        })
    }

    fn nvmlGpuInstanceGetComputeInstanceRemainingCapacity(driver, instance: Handle, id: c_uint, count: *mut c_uint) {
        let (at, gi) = find_instance(driver, instance)?;
        let mut state = driver.state.clone();
        let serial = state.gpus[at].instances[gi].serial;
        let mut more = 0;
        while state.create_compute(at, serial, id, None).is_ok() {
            more += 1;
        }
        put(count, more)
    }

    fn nvmlGpuInstanceGetComputeInstancePossiblePlacements(driver, instance: Handle, id: c_uint, out: *mut nvmlComputeInstancePlacement_t, count: *mut c_uint) {
        let (at, gi) = find_instance(driver, instance)?;
        let (_, product) = driver.device(at);
        let profile = product.profile(driver.state.gpus[at].instances[gi].profile).expect("it stands");
        let compute = compute_profiles(product, profile).into_iter().find(|c| c.id == id);
        let compute = compute.ok_or(code::NOT_SUPPORTED)?;
        let place = |start| nvmlComputeInstancePlacement_t { start, size: compute.slices };
        put_list(out, count, compute_starts(profile, compute).into_iter().map(place).collect(), false)
    }

    fn nvmlGpuInstanceCreateComputeInstance(driver, instance: Handle, id: c_uint, out: *mut Handle) {
        create_compute(driver, instance, id, None, out)
    }

    fn nvmlGpuInstanceCreateComputeInstanceWithPlacement(driver, instance: Handle, id: c_uint, place: *const nvmlComputeInstancePlacement_t, out: *mut Handle) {
        if place.is_null() {
            return Err(code::INVALID_ARGUMENT);
        }
        // SAFETY: not null; NVML's callers pass a struct.
        let place = unsafe { place.read() };
        create_compute(driver, instance, id, Some((place.start, place.size)), out)
    }

    fn nvmlComputeInstanceDestroy(driver, compute: Handle) {
        let (at, gi, ci) = find_compute(driver, compute, COMPUTE)?;
        privileged(driver)?;
        let start = driver.state.gpus[at].instances[gi].start;
        let processes = driver.config.devices[at].slice_processes.get(&start);
        if processes.is_some_and(|list| !list.is_empty()) {
            return Err(code::IN_USE);
        }
        driver.state.gpus[at].instances[gi].compute.remove(ci);
        Ok(())
    }

    fn nvmlGpuInstanceGetComputeInstances(driver, instance: Handle, id: c_uint, out: *mut Handle, count: *mut c_uint) {
        let (at, gi) = find_instance(driver, instance)?;
        privileged(driver)?;
        let of_it = driver.state.gpus[at].instances[gi].compute.iter().filter(|c| c.profile == id);
        put_all(out, count, of_it.map(|c| handle_of(c.serial, COMPUTE)).collect())
    }

    fn nvmlGpuInstanceGetComputeInstanceById(driver, instance: Handle, id: c_uint, out: *mut Handle) {
        let (at, gi) = find_instance(driver, instance)?;
        privileged(driver)?;
        let found = driver.state.gpus[at].instances[gi].compute.iter().find(|c| c.id == id);
        put(out, handle_of(found.ok_or(code::NOT_FOUND)?.serial, COMPUTE))
    }

    fn nvmlComputeInstanceGetInfo_v2(driver, compute: Handle, out: *mut nvmlComputeInstanceInfo_t) {
        let (at, gi, ci) = find_compute(driver, compute, COMPUTE)?;
        privileged(driver)?;
        let instance: &Instance = &driver.state.gpus[at].instances[gi];
        let c: &Compute = &instance.compute[ci];
        put(out, nvmlComputeInstanceInfo_t {
            device: handle_of(c.serial, MIG_DEVICE).cast(),
            gpuInstance: handle_of(instance.serial, INSTANCE).cast(),
            id: c.id,
            profileId: c.profile,
            placement: nvmlComputeInstancePlacement_t { start: c.start, size: c.size },
        })
    }

    fn nvmlDeviceIsMigDeviceHandle(driver, device: Handle, out: *mut c_uint) {
        let mig = matches!(meant(driver, device)?, Meant::Mig(..));
        put(out, c_uint::from(mig))
    }

    fn nvmlDeviceGetGpuInstanceId(driver, device: Handle, out: *mut c_uint) {
        match meant(driver, device)? {
            Meant::Mig(at, gi, _) => put(out, driver.state.gpus[at].instances[gi].id),
            Meant::Gpu(_) => Err(code::NOT_SUPPORTED),
        }
    }

    fn nvmlDeviceGetComputeInstanceId(driver, device: Handle, out: *mut c_uint) {
        match meant(driver, device)? {
            Meant::Mig(at, gi, ci) => put(out, driver.state.gpus[at].instances[gi].compute[ci].id),
            Meant::Gpu(_) => Err(code::NOT_SUPPORTED),
        }
    }

    fn nvmlDeviceGetMaxMigDeviceCount(driver, device: Handle, out: *mut c_uint) {
        let at = gpu(driver, device)?;
        put(out, if driver.state.gpus[at].mig { MIG_DEVICES } else { 0 })
    }

    fn nvmlDeviceGetMigDeviceHandleByIndex(driver, device: Handle, index: c_uint, out: *mut Handle) {
        let at = mig_gpu(driver, device)?;
        let most = if driver.state.gpus[at].mig { MIG_DEVICES } else { 0 };
        if most <= index {
            return Err(code::INVALID_ARGUMENT);
        }
        let mut all = driver.state.gpus[at].instances.iter().flat_map(|i| &i.compute);
        let found = all.find(|c| c.slot == index).ok_or(code::NOT_FOUND)?;
        put(out, handle_of(found.serial, MIG_DEVICE))
    }

    fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(driver, device: Handle, out: *mut Handle) {
        match meant(driver, device)? {
            Meant::Mig(at, ..) => put(out, gpu_handle(at)),
            Meant::Gpu(_) => Err(code::INVALID_ARGUMENT),
        }
    }

    fn nvmlDeviceGetAttributes_v2(driver, device: Handle, out: *mut nvmlDeviceAttributes_t) {
        let Meant::Mig(at, gi, ci) = meant(driver, device)? else { return Err(code::INVALID_ARGUMENT) };
        let instance = &driver.state.gpus[at].instances[gi];
        let (board, product) = driver.device(at);
        let profile = product.profile(instance.profile).expect("it stands");
        let compute = &instance.compute[ci];
        let known = compute_profiles(product, profile).into_iter().find(|c| c.id == compute.profile);
        let [copy, decoders, encoders, jpeg, ofa] = profile.engines.unwrap_or_default();
        put(out, nvmlDeviceAttributes_t {
            multiprocessorCount: known.expect("it stands").sms.saturating_add_signed(board.sms_off),
            sharedCopyEngineCount: copy,
            sharedDecoderCount: decoders,
            sharedEncoderCount: encoders,
            sharedJpegCount: jpeg,
            sharedOfaCount: ofa,
            gpuInstanceSliceCount: profile.compute,
            computeInstanceSliceCount: compute.size,
            memorySizeMB: off(profile.memory_mib, board.memory_off),
        })
    }

    fn nvmlDeviceGetComputeRunningProcesses_v3(driver, device: Handle, count: *mut c_uint, out: *mut nvmlProcessInfo_t) {
        let list = match meant(driver, device)? {
            Meant::Gpu(at) => driver.config.devices[at].compute_processes.clone(),
            Meant::Mig(at, gi, _) => {
                let start = driver.state.gpus[at].instances[gi].start;
                driver.config.devices[at].slice_processes.get(&start).cloned().unwrap_or_default()
            }
        };
        processes(list, count, out)
    }

    fn nvmlDeviceGetGraphicsRunningProcesses_v3(driver, device: Handle, count: *mut c_uint, out: *mut nvmlProcessInfo_t) {
        let list = match meant(driver, device)? {
            Meant::Gpu(at) => driver.config.devices[at].graphics_processes.clone(),
            Meant::Mig(..) => Vec::new(),
        };
        processes(list, count, out)
    }

    fn nvmlDeviceGetMPSComputeRunningProcesses_v3(driver, device: Handle, count: *mut c_uint, out: *mut nvmlProcessInfo_t) {
        let list = match meant(driver, device)? {
            Meant::Gpu(at) => driver.config.devices[at].mps_processes.clone(),
            Meant::Mig(..) => Vec::new(),
        };
        processes(list, count, out)
    }
}

fn processes(pids: Vec<u32>, count: *mut c_uint, out: *mut nvmlProcessInfo_t) -> Done {
    let info = |pid| nvmlProcessInfo_t {
        pid,
        usedGpuMemory: 1 << 30,
        gpuInstanceId: u32::MAX,
        computeInstanceId: u32::MAX,
    };
    put_list(out, count, pids.into_iter().map(info).collect(), true)
}

/// A version word of 2 and this size, which an old library does not know.
fn version(out: *mut u32, size: usize, old: bool) -> Done {
    if out.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: not null; the version stands first.
    let word = unsafe { out.read() };
    if old || word != size as u32 | VERSION_2 {
        return Err(code::VERSION_MISMATCH);
    }
    Ok(())
}

/// So many thousandths off.
fn off(mib: u64, thousandths: i64) -> u64 {
    mib.saturating_add_signed(mib as i64 * thousandths / 1_000)
}

fn profile_info(
    driver: &Driver,
    device: Handle,
    nvml_enum: u32,
    needs_mig: bool,
) -> Result<nvmlGpuInstanceProfileInfo_v2_st, Code> {
    let at = mig_gpu(driver, device)?;
    if PROFILE_ENUMS <= nvml_enum {
        return Err(code::INVALID_ARGUMENT);
    }
    if needs_mig && !driver.state.gpus[at].mig {
        return Err(code::NOT_SUPPORTED);
    }
    let (board, product) = driver.device(at);
    let profile = product.by_enum(nvml_enum).and_then(|p| board.profile(product, p.id()));
    let profile = profile.ok_or(code::NOT_SUPPORTED)?;
    let [copy, decoders, encoders, jpeg, ofa] = profile.engines.unwrap_or_default();
    Ok(nvmlGpuInstanceProfileInfo_v2_st {
        version: size_of::<nvmlGpuInstanceProfileInfo_v2_st>() as u32 | VERSION_2,
        id: profile.id(),
        isP2pSupported: 0,
        sliceCount: profile.compute,
        instanceCount: board.instance_count.get(&nvml_enum).copied().unwrap_or(profile.max),
        multiprocessorCount: profile.sms.saturating_add_signed(board.sms_off),
        copyEngineCount: copy,
        decoderCount: decoders,
        encoderCount: encoders,
        jpegCount: jpeg,
        ofaCount: ofa,
        memorySizeMB: off(profile.memory_mib, board.memory_off),
        name: fixed(&profile.reported_name()),
    })
}

fn compute_info(
    driver: &Driver,
    instance: Handle,
    nvml_enum: u32,
    engines: u32,
) -> Result<(ComputeProfile, [u32; 5]), Code> {
    let (at, gi) = find_instance(driver, instance)?;
    if COMPUTE_PROFILES <= nvml_enum || engines != 0 {
        return Err(code::INVALID_ARGUMENT);
    }
    let (_, product) = driver.device(at);
    let profile = product.profile(driver.state.gpus[at].instances[gi].profile).expect("it stands");
    // The ids of compute-instance profiles are their enums.
    let found = compute_profiles(product, profile).into_iter().find(|c| c.id == nvml_enum);
    Ok((found.ok_or(code::NOT_SUPPORTED)?, profile.engines.unwrap_or_default()))
}

fn create(driver: &mut Driver, device: Handle, id: u32, place: Option<(u32, u32)>, out: *mut Handle) -> Done {
    let at = mig_on(driver, device)?;
    privileged(driver)?;
    let board = driver.config.devices[at].clone();
    let serial = driver.state.create(at, &board, id, place)?;
    put(out, handle_of(serial, INSTANCE))
}

fn create_compute(
    driver: &mut Driver,
    instance: Handle,
    id: u32,
    place: Option<(u32, u32)>,
    out: *mut Handle,
) -> Done {
    let (at, gi) = find_instance(driver, instance)?;
    privileged(driver)?;
    let serial = driver.state.gpus[at].instances[gi].serial;
    let made = driver.state.create_compute(at, serial, id, place)?;
    put(out, handle_of(made, COMPUTE))
}
