//! The `claimsmith` program: see [`claimsmith::cli`].

use std::process::ExitCode;

/// See `Cargo.toml` for what it is worth. A library leaves the choice to its program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claimsmith::cli::run()
}
