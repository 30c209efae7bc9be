//! What the project is made of: every dependency says why it is there, and everything is locked.

use std::{collections::BTreeSet, fs, path::Path};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file can be read")
}

/// The dependencies of a manifest, each with the comment right above it; empty without one.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let (mut found, mut inside, mut comment, mut open) = (Vec::new(), false, String::new(), 0_i32);
    for line in manifest.lines() {
        let depth = |c: char| i32::try_from(line.matches(c).count()).expect("lines are short");
        match line.trim() {
            // A table or list of a dependency that goes over several lines.
            _ if open > 0 => open += depth('[') + depth('{') - depth(']') - depth('}'),
            line if line.starts_with('[') => {
                inside = line.trim_matches(['[', ']']).ends_with("dependencies");
                comment.clear();
            }
            "" => comment.clear(),
            line if line.starts_with('#') => comment += line.trim_start_matches(['#', ' ']),
            line if inside => {
                let (name, _) = line.split_once([' ', '=', '.']).expect("a dependency has a version");
                found.push((name.to_owned(), std::mem::take(&mut comment)));
                open = depth('[') + depth('{') - depth(']') - depth('}');
            }
            _ => {}
        }
    }
    found
}

#[test]
fn no_dependency_is_there_without_a_reason_in_a_comment() {
    for (file, least) in [("Cargo.toml", 40), ("fuzz/Cargo.toml", 7)] {
        let all = dependencies(&read(file));
        assert!(
            all.len() >= least,
            "only {} dependencies were found in {file}: does the reader still work?",
            all.len()
        );
        let without: BTreeSet<_> =
            all.iter().filter(|(_, comment)| comment.len() < 4).map(|(name, _)| name.as_str()).collect();
        assert!(without.is_empty(), "{file}: write above each of these why it is needed: {without:?}");
    }
}

#[test]
fn a_comment_that_belongs_to_others_is_no_reason() {
    let manifest = "[dependencies]\n# why\na = \"1\"\nb = { version = \"1\", features = [\n  \"x\",\n] }\n\n# heading\n\n# why\nc.workspace = true\n\
        [features]\n# not\nd = []\n[dev-dependencies]\n# why\ne = \"1\"\n";
    let found: Vec<_> = dependencies(manifest);
    let found: Vec<_> = found.iter().map(|(name, comment)| (name.as_str(), comment.as_str())).collect();
    assert_eq!(found, [("a", "why"), ("b", ""), ("c", "why"), ("e", "why")]);
}

/// Every version is fixed, and comes from the one registry.
#[test]
fn versions_are_locked_and_come_from_the_registry() {
    for (lock, least) in [("Cargo.lock", 150), ("fuzz/Cargo.lock", 150)] {
        let lock = read(lock);
        let sources: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
        assert!(sources.len() >= least, "{}", sources.len());
        let one = "\"registry+https://github.com/rust-lang/crates.io-index\"";
        assert!(sources.iter().all(|source| *source == one), "another source than the registry");
        assert_eq!(lock.matches("\nchecksum = ").count(), sources.len(), "each has its checksum");
    }
}

/// The `unsafe` of others is theirs; there is none of ours.
#[test]
fn no_code_of_ours_is_unsafe() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    assert!(read("fuzz/src/lib.rs").contains("#![forbid(unsafe_code)]"));
}
