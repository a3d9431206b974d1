//! The binary: everything is in [`slicewise::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    slicewise::cli::main()
}
