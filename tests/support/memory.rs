//! How much memory the process has, for tests that hold a bound on it.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Held by tests that look at the memory of the process and by those that take much of it: all share one process.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed has taken what it took.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resident memory of this process in bytes; 0 where the system does not tell.
pub fn memory() -> usize {
    const PAGE: usize = 4096;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * PAGE)
}
