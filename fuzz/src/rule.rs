//! Bytes as a rule file: it is refused with problems that can be shown, or it runs. The formatter moves only white
//! space, and a second time nothing.

use std::collections::BTreeMap;

use claimsmith::core::{Card, card_as_json, format, ingredients, problem::Source};

use super::{outcome, problems, world};

/// Any answer that a rule may read a user from.
const PROFILE: &str = r#"{"id":9007199254740993,"sub":"u1","name":"Ada","login":"ada","email":"ada@engines.example",
    "email_verified":true,"verified":1,"list":[{"id":1,"primary":true,"email":"a@b.example"},{"id":2}],"groups":["a","b"],
    "data":{"user":{"id":"7"},"next":null},"active":true,"keys":[],"access_token":"other","expires_in":3600}"#;

/// What is asked of an input.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rule, found) = world::compile(text);
    let refused = problems::check(&found);
    assert_eq!(rule.is_none(), refused, "a rule is there exactly if nothing is wrong with it: {found:?}");
    let source = Source::new("fuzz.toml", text);
    let _ = ingredients(&source);
    let _ = card_as_json(&Card::read(text), "fuzz", 1);
    match format(&source) {
        Err(found) => {
            assert!(problems::check(&found) && rule.is_none(), "what is no TOML is no rule");
        }
        Ok(formatted) => {
            let again = format(&Source::new("fuzz.toml", formatted.as_str())).expect("what was formatted is TOML");
            assert_eq!(again, formatted, "a second time nothing moves");
            let (same, others) = world::compile(&formatted);
            assert_eq!(same.is_some(), rule.is_some(), "it means the same");
            assert_eq!(counted(&found), counted(&others), "and says so in the same words");
        }
    }
    let Some(rule) = rule else { return };
    let _ = (rule.outline(), rule.points(), rule.untried());
    let world = world::World::new(&|_, _| Ok(world::reply(200, "application/json", PROFILE)));
    outcome::run(&rule, &world, outcome::is_mark_free(text));
}

/// Problems by code and words: places and order may differ.
fn counted(found: &[claimsmith::core::problem::Problem]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for problem in found {
        *counts.entry(format!("{} {}", problem.code.id(), problem.message)).or_default() += 1;
    }
    counts
}
