//! The inputs that are kept of fuzzing, each handed to its target: seeds, and what once broke a promise.
//!
//! The promises are those of `fuzz/src`; what makes inputs up is described in `fuzz/README.md`.

use std::{fs, path::Path};

use crate::support::alone;

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// The inputs of a folder, if it is there.
fn inputs(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(files) = fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.expect("the folder can be read").path()).collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).expect("the file can be read");
        (path.display().to_string(), bytes)
    };
    files.into_iter().filter(|path| path.is_file()).map(read).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the name of the input is what a failure has to tell")]
fn every_input_that_is_kept_keeps_the_promises_of_its_target() {
    let _alone = alone();
    for (target, check) in targets::TARGETS {
        let kept = [inputs(&format!("fuzz/seeds/{target}")), inputs(&format!("fuzz/found/{target}"))].concat();
        assert!(!kept.is_empty(), "{target} has seeds");
        for (name, bytes) in kept {
            println!("{name}");
            check(&bytes);
        }
    }
}

/// What other tests have besides: rules, their cases, and rules with problems.
#[test]
#[expect(clippy::print_stdout, reason = "the name of the input is what a failure has to tell")]
fn every_rule_that_there_is_keeps_the_promises_of_rule_files() {
    let _alone = alone();
    for (name, bytes) in [inputs("tests/problems"), inputs("rules")].concat() {
        println!("{name}");
        match name.ends_with(".test.toml") {
            true => targets::cases::check(&bytes),
            false => targets::rule::check(&bytes),
        }
    }
}

/// A target that is not built is never run.
#[test]
fn every_target_has_its_binary_and_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("it can be read");
    for (target, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
        let binary = fs::read_to_string(root.join(format!("fuzz_targets/{target}.rs"))).expect("it can be read");
        assert!(binary.contains(&format!("::{target}::check(bytes)")), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets::TARGETS.len());
}
