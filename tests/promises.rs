//! SECURITY.md names the tests that hold each promise; they have to be there.

use std::{collections::HashSet, fs, path::Path};

/// What stands between backquotes in the tables.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The file of a module, in the tests or in the source.
fn file(module: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = module.replace("::", "/");
    let places = ["tests", "src"].map(|place| [format!("{place}/{path}.rs"), format!("{place}/{path}/mod.rs")]);
    places.concat().iter().find_map(|place| fs::read_to_string(root.join(place)).ok())
}

fn is_there(name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else {
        return Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists();
    };
    let Some(text) = file(module) else { return false };
    let Some((before, _)) = text.split_once(&format!("fn {test}()")) else { return false };
    // Nothing but attributes and words of explanation in between.
    let between = before.rsplit_once("#[test]").map_or("none", |(_, between)| between);
    between.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with("//") || line.starts_with("#["))
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).expect("it can be read");
    let names: Vec<_> = quoted(&text).filter(|name| name.contains("::") || name.starts_with(".ci/")).collect();
    let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let promises: HashSet<_> = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()).collect();
    let wanted = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "S1", "S2", "S3", "S4", "S5", "R1", "R2", "R3", "R4", "B1"];
    let more = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "A1", "A2", "A3", "A5", "A6", "P1", "P2", "P3"];
    assert!(wanted.iter().chain(&more).all(|promise| promises.contains(promise)), "{promises:?}");
    assert!(!is_there("caches::no_such_test") && !is_there("no_such_module::overload") && !is_there(".ci/nothing"));
}
