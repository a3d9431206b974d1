//! The device layer, apply and the command line against the fake driver (`tests/fake-driver`), which
//! is loaded as the real library would be.
#![expect(clippy::print_stdout, reason = "counts of what was tried are printed")]

mod applying;
mod faults;
mod geometries;
mod judging;
mod kills;
mod program;
mod reading;
mod sharing;
mod stand;
mod trial;
