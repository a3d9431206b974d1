//! What a probe needs of CUDA: a context, memory until there is no more, and a step of work to time.
//!
//! The library is loaded at run time, as NVML is. Each unsafe block is one call of a C function of the
//! driver API, whose types the aliases below write down; outputs are places of ours.
#![allow(unsafe_code, reason = "calls of a C library, each of them a few lines")]

use libloading::{Library, Symbol};
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr::null_mut;

/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: c_int = 2;
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
const MULTIPROCESSOR_COUNT: c_int = 16;
/// Bytes in a MiB.
const MIB: usize = 1 << 20;
/// What is copied back and forth in a step of the class `memory`.
const COPIED: usize = 256 * MIB;
/// Turns of the loop in a step of the class `compute`.
const TURNS: u32 = 200_000;
/// Threads in a block of the kernel, and blocks for each SM: enough to fill it.
const THREADS: c_uint = 256;
const BLOCKS_PER_SM: c_uint = 8;

/// Multiplies and adds for a while, and stores a value that depends on all of it.
const KERNEL: &str = "\
.version 6.0
.target sm_50
.address_size 64
.visible .entry spin(.param .u64 out, .param .u32 turns)
{
    .reg .pred %p<2>;
    .reg .f32 %f<4>;
    .reg .b32 %r<6>;
    .reg .b64 %d<4>;
    ld.param.u64 %d1, [out];
    ld.param.u32 %r1, [turns];
    mov.u32 %r2, %tid.x;
    cvt.rn.f32.u32 %f1, %r2;
    mov.f32 %f2, 0f3F7FFFEF;
    mov.u32 %r3, 0;
again:
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    add.u32 %r3, %r3, 1;
    setp.lt.u32 %p1, %r3, %r1;
    @%p1 bra again;
    mul.wide.u32 %d2, %r2, 4;
    add.u64 %d3, %d1, %d2;
    st.global.f32 [%d3], %f1;
    ret;
}
";

/// A call of CUDA that failed, or a library that is not there.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// The library, or a function of it.
    #[error("CUDA cannot be used: {0}")]
    Library(#[from] libloading::Error),
    /// A call.
    #[error("{call} returned {code}")]
    Call {
        /// The function.
        call: &'static str,
        /// What it returned.
        code: c_int,
    },
}

/// A kind of work that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Copies within the GPU's memory: bound by bandwidth.
    Memory,
    /// Multiplications and additions: bound by SMs.
    Compute,
}

impl Work {
    /// Both.
    pub const ALL: [Work; 2] = [Work::Memory, Work::Compute];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Work::Memory => "memory",
            Work::Compute => "compute",
        }
    }
}

/// A context on the first GPU that CUDA shows. It lives as long as the process.
#[derive(Debug)]
pub struct Cuda {
    library: Library,
    device: c_int,
    /// The buffers and the kernel of steps, once one was asked for.
    bench: Option<Bench>,
}

#[derive(Debug)]
struct Bench {
    from: u64,
    to: u64,
    kernel: *mut c_void,
    blocks: c_uint,
}

/// Calls a function of the library.
macro_rules! cuda {
    ($library:expr, $name:ident: fn($($kind:ty),*), $($arg:expr),*) => {{
        // SAFETY: the symbol has this type in CUDA's header; see the head of this module.
        let code = unsafe {
            let function: Symbol<'_, unsafe extern "C" fn($($kind),*) -> c_int> =
                $library.get(concat!(stringify!($name), "\0").as_bytes())?;
            function($($arg),*)
        };
        match code {
            0 => Ok(()),
            code => Err(CudaError::Call { call: stringify!($name), code }),
        }
    }};
}

impl Cuda {
    /// Loads the library, the one at a path or the system's, and makes a context.
    ///
    /// # Errors
    /// What is missing, or the first call that failed.
    pub fn open(path: Option<&Path>) -> Result<Cuda, CudaError> {
        let name = path.unwrap_or(Path::new("libcuda.so.1"));
        // SAFETY: the initializers of NVIDIA's library are made for this.
        let library = unsafe { Library::new(name) }?;
        let (mut device, mut context): (c_int, *mut c_void) = (0, null_mut());
        cuda!(library, cuInit: fn(c_uint), 0)?;
        cuda!(library, cuDeviceGet: fn(*mut c_int, c_int), &mut device, 0)?;
        cuda!(library, cuDevicePrimaryCtxRetain: fn(*mut *mut c_void, c_int), &mut context, device)?;
        cuda!(library, cuCtxSetCurrent: fn(*mut c_void), context)?;
        Ok(Cuda { library, device, bench: None })
    }

    /// SMs that this process may use.
    ///
    /// # Errors
    /// The call failed.
    pub fn sms(&self) -> Result<u32, CudaError> {
        let mut count = 0;
        cuda!(
            self.library,
            cuDeviceGetAttribute: fn(*mut c_int, c_int, c_int),
            &mut count,
            MULTIPROCESSOR_COUNT,
            self.device
        )?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// Free and total memory in MiB, as CUDA reports it here; a limit may hold though it does not show.
    ///
    /// # Errors
    /// The call failed.
    pub fn memory_mib(&self) -> Result<(u64, u64), CudaError> {
        let (mut free, mut total) = (0_usize, 0_usize);
        cuda!(self.library, cuMemGetInfo_v2: fn(*mut usize, *mut usize), &mut free, &mut total)?;
        Ok(((free / MIB) as u64, (total / MIB) as u64))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        let mut at = 0;
        cuda!(self.library, cuMemAlloc_v2: fn(*mut u64, usize), &mut at, bytes)?;
        Ok(at)
    }

    /// Takes blocks of memory until there is no more; how many MiB. They are held until the process
    /// ends.
    ///
    /// # Errors
    /// A call failed with more than "out of memory".
    pub fn fill(&self, block_mib: u64) -> Result<u64, CudaError> {
        let mut taken = 0;
        loop {
            match self.allocate(block_mib as usize * MIB) {
                Ok(_) => taken += block_mib,
                Err(CudaError::Call { code: OUT_OF_MEMORY, .. }) => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    /// Does a step of work to its end. The first one makes what it needs.
    ///
    /// # Errors
    /// A call failed.
    pub fn step(&mut self, work: Work) -> Result<(), CudaError> {
        if self.bench.is_none() {
            self.bench = Some(self.bench()?);
        }
        let bench = self.bench.as_ref().expect("just made");
        match work {
            Work::Memory => {
                cuda!(self.library, cuMemcpyDtoD_v2: fn(u64, u64, usize), bench.to, bench.from, COPIED)?;
            }
            Work::Compute => self.launch(bench)?,
        }
        cuda!(self.library, cuCtxSynchronize: fn(),)
    }

    fn bench(&self) -> Result<Bench, CudaError> {
        let (from, to) = (self.allocate(COPIED)?, self.allocate(COPIED)?);
        let (mut module, mut kernel): (*mut c_void, *mut c_void) = (null_mut(), null_mut());
        let text = CString::new(KERNEL).expect("no zero in it");
        let name = CString::new("spin").expect("no zero in it");
        let (text, name): (*const c_char, *const c_char) = (text.as_ptr(), name.as_ptr());
        cuda!(self.library, cuModuleLoadData: fn(*mut *mut c_void, *const c_char), &mut module, text)?;
        cuda!(
            self.library,
            cuModuleGetFunction: fn(*mut *mut c_void, *mut c_void, *const c_char),
            &mut kernel,
            module,
            name
        )?;
        Ok(Bench { from, to, kernel, blocks: BLOCKS_PER_SM * self.sms()?.max(1) })
    }

    fn launch(&self, bench: &Bench) -> Result<(), CudaError> {
        let (mut out, mut turns) = (bench.to, TURNS);
        let mut arguments: [*mut c_void; 2] = [(&raw mut out).cast(), (&raw mut turns).cast()];
        cuda!(
            self.library,
            cuLaunchKernel: fn(
                *mut c_void,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                *mut c_void,
                *mut *mut c_void,
                *mut *mut c_void
            ),
            bench.kernel,
            bench.blocks,
            1,
            1,
            THREADS,
            1,
            1,
            0,
            null_mut(),
            arguments.as_mut_ptr(),
            null_mut()
        )
    }
}
