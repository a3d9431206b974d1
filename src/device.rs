//! The real GPUs: what NVML says of them, and the few calls that change them.
//!
//! ```text
//! libnvidia-ml -> Nvml -> Reply (calls, arguments, codes, fields) -> Inventory -> who asks
//!                          ^ a file that `slicewise device save` wrote is as good
//! ```
//!
//! A [`Reply`] is what the driver answered, as data, in the order in which it was asked; an
//! [`Inventory`] is made from that data alone, so that whatever judges a device judges a saved answer
//! too. [`Nvml`] is the only part that talks to the driver and the only one with unsafe code. No
//! handle leaves it: GPUs are named by UUID, instances by NVML's numbers, and each call looks its
//! handle up anew, since handles die with a change of the MIG mode.
//!
//! What a code of NVML means is said once, by [`Code::class`].

mod code;
mod host;
mod inventory;
mod nvml;
mod reply;

pub use code::{Asked, Class, Code, Failed};
pub use host::Host;
pub use inventory::{
    Compute, ComputeProfile, Device, DeviceProfile, Instance, Inventory, MigDevice, Mode, Place, Process,
};
pub use nvml::{Nvml, NvmlError};
pub use reply::{Call, Reply, ReplyError};
