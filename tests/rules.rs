//! The rules that are shipped: sound, without a finding, and with cases that pass.

use std::{collections::BTreeSet, fs, path::PathBuf};

use claimsmith::{core::Cases, gateway::source};

use crate::cli::{claimsmith, run};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn command(arguments: &[&str]) -> crate::cli::Run {
    let folder = folder();
    run(claimsmith(&[arguments, &[folder.to_str().expect("paths of tests are UTF-8")]].concat()))
}

#[test]
fn every_rule_is_sound_and_without_a_finding() {
    let ran = command(&["check", "--deny", "warning"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn every_rule_has_cases_that_pass_and_leave_nothing_out() {
    let ran = command(&["test", "--require-cases", "--coverage", "--min", "100"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn every_rule_shows_what_comes_out_and_what_is_refused() {
    let names: BTreeSet<_> = fs::read_dir(folder())
        .expect("the folder of the rules is there")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    let rules = names.iter().filter_map(|name| name.strip_suffix(".toml").filter(|name| !name.ends_with(".test")));
    for rule in rules {
        let text = source(&folder().join(format!("{rule}.test.toml"))).expect("every rule has cases");
        let (cases, problems) = Cases::read(&text);
        assert!(problems.is_empty(), "{rule}: {problems:?}");
        assert!(cases.len() >= 3, "{rule}: a normal answer, one with less, and an error");
        assert!(text.text.contains("[case.claims]") && text.text.contains("error ="), "{rule}: both outcomes");
    }
}
