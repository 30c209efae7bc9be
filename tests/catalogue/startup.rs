//! How long the program takes to start with the whole catalogue, and what it holds then.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::shelf;
use crate::cli::{Server, claimsmith};

/// What an optimized build promises: listening after this long, with so much memory. The least of some starts is
/// taken: what else runs on the machine only ever adds.
const STARTS: usize = 5;
const LISTENING: Duration = Duration::from_millis(300);
const RESIDENT_KIB: u64 = 40 * 1024;

#[test]
fn the_program_serves_the_whole_catalogue_soon_and_in_little_memory() {
    let entries = shelf::all();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut best: Option<(Duration, Option<u64>)> = None;
    for _ in 0..if cfg!(debug_assertions) { 1 } else { STARTS } {
        let mut command = claimsmith(&["serve", "--listen", "127.0.0.1:0", "--rules"]);
        command.arg(shelf::folder()).env("CLAIMSMITH_LOG__FORMAT", "json");
        let secrets = entries.iter().filter_map(|entry| entry.rule.get("secrets")?.as_table()).flatten();
        for variable in secrets.filter_map(|(_, place)| place.get("env")?.as_str()) {
            command.env(variable, "placeholder");
        }
        let began = Instant::now();
        let server = Server::start(command);
        let (took, resident) = (began.elapsed(), resident_kib(server.process()));
        let line: Value = serde_json::from_str(server.log.lines().last().unwrap_or_default()).expect("logs are JSON");
        let served: Vec<_> = line["rules"].as_str().expect("the line names the rules").split(',').collect();
        assert_eq!(served, names, "every rule is served");
        let (least_time, least_memory) = best.unwrap_or((took, resident));
        best = Some((took.min(least_time), resident.min(least_memory)));
    }
    let (took, resident) = best.expect("it was started");
    #[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
    {
        println!("{} rules: listening after {took:?}, {resident:?} KiB resident", names.len());
    }
    // A build without optimization has other figures; that it serves every rule is tried all the same.
    if !cfg!(debug_assertions) {
        assert!(took < LISTENING, "{took:?}");
        // Where the system says how much it is.
        assert!(resident.is_none_or(|resident| resident < RESIDENT_KIB), "{resident:?} KiB");
    }
}

fn resident_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}
