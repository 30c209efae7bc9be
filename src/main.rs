//! The `claimsmith` program: see [`claimsmith::cli`].

use std::process::ExitCode;

/// Answers are built in many small pieces, and each worker keeps its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claimsmith::cli::run()
}
