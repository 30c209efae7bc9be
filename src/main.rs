//! The `claimsmith` program: see [`claimsmith::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    claimsmith::cli::run()
}
