//! The device layer, apply and the command line against the fake driver (`tests/fake-driver`), which
//! is loaded as the real library would be.
#![expect(clippy::print_stdout, reason = "counts of what was tried are printed")]

mod geometries;
mod reading;
mod stand;
