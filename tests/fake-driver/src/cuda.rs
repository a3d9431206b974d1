//! CUDA's symbols, those that the probe calls: one GPU whose memory is shared out in a folder.
//!
//! `FAKE_CUDA` is that folder. It has `gpu`, with MiB of memory and SMs, and a file for each process
//! that holds memory, with how many MiB; files of processes that have gone count for nothing. A client
//! of MPS is held to the limit that its environment or the file `limit` of its pipe folder gives it, which
//! the tests' control daemon writes; without either it may take all.

#![allow(non_snake_case, clippy::missing_safety_doc, reason = "the names and the contracts are CUDA's")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

const INVALID_VALUE: c_int = 1;
const OUT_OF_MEMORY: c_int = 2;
const NO_DEVICE: c_int = 100;
/// What a context takes, in MiB.
const CONTEXT: u64 = 500;

fn folder() -> Option<PathBuf> {
    std::env::var_os("FAKE_CUDA").map(PathBuf::from)
}

/// MiB and SMs.
fn gpu(folder: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(folder.join("gpu")).ok()?;
    let (memory, sms) = text.trim().split_once(' ')?;
    Some((memory.parse().ok()?, sms.parse().ok()?))
}

/// A setting of the control daemon of this process.
fn of_daemon(name: &str) -> Option<u64> {
    let pipe = PathBuf::from(std::env::var_os("CUDA_MPS_PIPE_DIRECTORY")?);
    fs::read_to_string(pipe.join(name)).ok()?.trim().parse().ok()
}

/// The limit of this process in MiB: the tighter of its own and the daemon's.
fn limit() -> u64 {
    let own = std::env::var("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT").ok().and_then(|text| {
        let size = text.split_once('=')?.1.to_owned();
        let number: u64 = size.trim_end_matches(['G', 'M']).parse().ok()?;
        Some(if size.ends_with('G') { number << 10 } else { number })
    });
    let broken = of_daemon("broken").is_some();
    let limits = [own, of_daemon("limit")].into_iter().flatten();
    if broken { u64::MAX } else { limits.min().unwrap_or(u64::MAX) }
}

/// MiB held by this process, and by all that live.
fn held(folder: &Path) -> (u64, u64) {
    let (mut own, mut all) = (0, 0);
    for entry in fs::read_dir(folder.join("held")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mib: u64 = fs::read_to_string(entry.path()).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
        if Path::new("/proc").join(&name).exists() {
            all += mib;
            own += if name == std::process::id().to_string() { mib } else { 0 };
        }
    }
    (own, all)
}

/// Takes memory for this process if there is some left for it.
fn take(mib: u64) -> c_int {
    let Some(folder) = folder() else { return NO_DEVICE };
    let Some((total, _)) = gpu(&folder) else { return NO_DEVICE };
    let lock = File::create(folder.join("lock")).expect("a writable folder");
    lock.lock().expect("a lock");
    let (own, all) = held(&folder);
    if total < all + mib || limit() < own + mib {
        return OUT_OF_MEMORY;
    }
    fs::create_dir_all(folder.join("held")).expect("a writable folder");
    let file = folder.join("held").join(std::process::id().to_string());
    fs::write(file, (own + mib).to_string()).expect("a writable folder");
    0
}

fn put<T>(out: *mut T, value: T) -> c_int {
    if out.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: not null; CUDA's callers pass places that can be written.
    unsafe { out.write(value) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuInit(_flags: c_uint) -> c_int {
    if folder().is_some() { 0 } else { NO_DEVICE }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, _ordinal: c_int) -> c_int {
    put(device, 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, _device: c_int) -> c_int {
    match take(CONTEXT) {
        0 => put(context, 8 as *mut c_void),
        code => code,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCurrent(_context: *mut c_void) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _device: c_int) -> c_int {
    let Some((_, sms)) = folder().and_then(|f| gpu(&f)) else { return NO_DEVICE };
    if attribute != 16 {
        return INVALID_VALUE;
    }
    let percent = of_daemon("threads").unwrap_or(100);
    put(value, (sms * percent).div_ceil(100) as c_int)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_int {
    let Some(folder) = folder() else { return NO_DEVICE };
    let Some((memory, _)) = gpu(&folder) else { return NO_DEVICE };
    put(free, ((memory - held(&folder).1) as usize) << 20);
    put(total, (memory as usize) << 20)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(at: *mut u64, bytes: usize) -> c_int {
    match take((bytes >> 20) as u64) {
        0 => put(at, 0x7000_0000),
        code => code,
    }
}

/// Steps take longer, the more processes hold memory.
fn work() -> c_int {
    let Some(folder) = folder() else { return NO_DEVICE };
    let names = fs::read_dir(folder.join("held")).into_iter().flatten().flatten();
    let alive = names.filter(|e| Path::new("/proc").join(e.file_name()).exists()).count();
    std::thread::sleep(Duration::from_micros(300 * alive as u64));
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoD_v2(_to: u64, _from: u64, _bytes: usize) -> c_int {
    work()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSynchronize() -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_char) -> c_int {
    if image.is_null() { INVALID_VALUE } else { put(module, 8 as *mut c_void) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    _module: *mut c_void,
    name: *const c_char,
) -> c_int {
    if name.is_null() { INVALID_VALUE } else { put(function, 8 as *mut c_void) }
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "CUDA's own")]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    _grid_x: c_uint,
    _grid_y: c_uint,
    _grid_z: c_uint,
    _block_x: c_uint,
    _block_y: c_uint,
    _block_z: c_uint,
    _shared: c_uint,
    _stream: *mut c_void,
    parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> c_int {
    if function.is_null() || parameters.is_null() { INVALID_VALUE } else { work() }
}
