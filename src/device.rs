//! The real GPUs: what NVML says of them, and the few calls that change them.
//!
//! ```text
//! libnvidia-ml -> Nvml -> Reply (calls, arguments, codes, fields) -> Inventory -> who asks
//!                          ^ a file that `slicewise device save` wrote is as good
//! ```
//!
//! A [`Reply`] is what the driver answered, as data, in the order in which it was asked; an
//! [`Inventory`] is made from that data alone, so that whatever judges a device judges a saved answer
//! too. [`Nvml`] alone talks to the driver. It and [`Cuda`], which is what the probes of MPS and
//! time-slicing need of CUDA, are the only parts with unsafe code. No handle leaves them: GPUs are named
//! by UUID, instances by NVML's numbers, and each call looks its handle up anew, since handles die with a
//! change of the MIG mode.
//!
//! What a code of NVML means is said once, by [`Code::class`].

mod code;
mod cuda;
mod host;
mod inventory;
mod nvml;
mod reply;

pub use code::{Asked, Class, Code, Failed};
pub use cuda::{Cuda, CudaError, Work};
pub use host::Host;
pub use inventory::{
    Compute, ComputeProfile, Device, DeviceProfile, Instance, Inventory, MigDevice, Mode, Place, Process,
};
pub use nvml::{Nvml, NvmlError};
pub use reply::{Call, Reply, ReplyError};
