//! The catalogue as a whole: what holds for every rule of it, whatever the provider answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

// Rules and cases as data, read here by other means than the program's.
mod shelf;

// A host that answers as a case says, or as a test would have it, and remembers who was asked.
mod stage;

// What holds for the answer of every case.
mod invariants;

// What holds when the answers are less than, or other than, what a case has.
mod mutations;

// The providers that are asked for most, as they document themselves, over real sockets.
mod strict;

// How long the program takes to start with all rules, and what it holds then.
mod startup;

/// What is found wrong with the rules of the catalogue, side by side on the cores that there are; a check that
/// panics is a finding too.
fn findings(check: impl Fn(&shelf::Entry) -> Vec<String> + Sync) -> Vec<String> {
    let entries = shelf::all();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            let said = catch_unwind(AssertUnwindSafe(|| check(entry))).unwrap_or_else(|_| vec!["a panic".into()]);
            let mut found = found.lock().expect("nothing panics while it holds this");
            found.extend(said.into_iter().map(|said| format!("{}: {said}", entry.name)));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            // Scripts want the stack of the gateway's workers.
            thread::Builder::new().stack_size(8 * 1024 * 1024).spawn_scoped(scope, work).expect("a thread can start");
        }
    });
    let mut found = found.into_inner().expect("all threads are done");
    found.sort();
    found.dedup();
    found
}
