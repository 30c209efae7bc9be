//! Bytes as a sample answer: what is proposed of it is a rule that compiles, and its cases pass.

use claimsmith::core::{Cases, Sample, format, problem::Source, propose};

use super::{problems, world};

/// What is asked of an input.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sample = Sample { call: "user".into(), url: None, text: text.to_owned() };
    let proposal = match world::at_once(propose("fuzz", &[sample])) {
        Ok(proposal) => proposal,
        Err(why) => return assert!(!why.is_empty()),
    };
    let (rule, found) = world::compile(&proposal.rule);
    problems::check(&found);
    assert!(rule.is_some(), "{found:?}\n{}", proposal.rule);
    let source = Source::new("fuzz.toml", proposal.rule.as_str());
    assert_eq!(format(&source).as_deref().ok(), Some(proposal.rule.as_str()), "it has the look of rules");
    let (cases, found) = Cases::read(&Source::new("fuzz.test.toml", proposal.cases.as_str()));
    assert!(found.is_empty(), "{found:?}\n{}", proposal.cases);
    // The first is the sample itself; the others are what could go wrong, which some forms cannot say.
    for number in 0..cases.len() {
        let verdict = world::at_once(cases.run(number, ("fuzz", &source), &|_| Err("there is none".into())));
        assert!(
            verdict.passed() || number > 0,
            "{:?} {:?}\n{}\n{}",
            verdict.faults,
            verdict.differences,
            proposal.rule,
            proposal.cases
        );
    }
}
