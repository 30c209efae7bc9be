//! How long the program takes to start with the whole catalogue, and what it holds then.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::shelf;

/// What an optimized build promises: listening after this long, with so much memory. The least of some starts is
/// taken: what else runs on the machine only ever adds.
const STARTS: usize = 5;
const LISTENING: Duration = Duration::from_millis(300);
const RESIDENT_KIB: u64 = 40 * 1024;
/// A build without optimization has other figures; that it serves every rule is tried all the same.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_program_serves_the_whole_catalogue_soon_and_in_little_memory() {
    let entries = shelf::all();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut best: Option<(Duration, Option<u64>)> = None;
    for _ in 0..if cfg!(debug_assertions) { 1 } else { STARTS } {
        let mut command = crate::cli::claimsmith(&["serve", "--listen", "127.0.0.1:0", "--rules"]);
        command.arg(shelf::folder()).env("CLAIMSMITH_LOG__FORMAT", "json");
        let secrets = entries.iter().filter_map(|entry| entry.rule.get("secrets")?.as_table()).flatten();
        for variable in secrets.filter_map(|(_, place)| place.get("env")?.as_str()) {
            command.env(variable, "placeholder");
        }
        let (served, took, resident) = start(command);
        assert_eq!(served, names, "every rule is served");
        let (least_time, least_memory) = best.unwrap_or((took, resident));
        best = Some((took.min(least_time), resident.min(least_memory)));
    }
    let (took, resident) = best.expect("it was started");
    println!("{} rules: listening after {took:?}, {resident:?} KiB resident", names.len());
    if !cfg!(debug_assertions) {
        assert!(took < LISTENING, "{took:?}");
        // Where the system says how much it is.
        assert!(resident.is_none_or(|resident| resident < RESIDENT_KIB), "{resident:?} KiB");
    }
}

/// Starts the program, and ends it once it listens: its rules, how long that took, and the memory it has then.
fn start(mut command: Command) -> (Vec<String>, Duration, Option<u64>) {
    let began = Instant::now();
    let mut program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let output = program.stderr.take().expect("it was piped");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let line = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        let listening = line.into_iter().find(|line| line["message"] == "listening");
        // Nobody listens once the test has given up.
        let _ = tell.send(listening.map(|line| (line, began.elapsed())));
    });
    let said = told.recv_timeout(PATIENCE);
    let resident = resident_kib(program.id());
    program.kill().expect("it runs until it is ended");
    program.wait().expect("it has ended");
    let (line, took) = said.expect("it starts in time").expect("it says that it listens");
    let rules = line["rules"].as_str().expect("it names its rules").split(',').map(str::to_owned).collect();
    (rules, took, resident)
}

fn resident_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}
