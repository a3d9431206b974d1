//! A driver that is not there: the symbols of NVML, and the few of CUDA that the probe calls, over
//! modelled GPUs.
//!
//! Tests load the shared object as slicewise loads the real library, so that everything above the
//! symbols is the code that ships. It knows nothing of slicewise: the rules of MIG placement are
//! written here a second time, from NVIDIA's words and not from ours, so that two answers are
//! compared and not one with itself. What it shares is the catalogue, `data/gpus.json`.
//!
//! - What stands on its GPUs is a file ([`State`]), written before a changing call returns: whoever is
//!   killed finds the GPU as it was left.
//! - It does as a [`Config`] says, a file too, named by `FAKE_DRIVER_CONFIG` or by the symbol
//!   `fake_configure`: which GPUs, what is odd about them, and which calls fail ([`Fault`]).
//! - A process that loads copies under several names has as many drivers.

mod catalogue;
mod config;
mod cuda;
mod driver;
mod model;
mod nvml;

pub use config::{Config, Device, Fault, Slice};
pub use model::{Compute, Gpu, Instance, State, reboot};
