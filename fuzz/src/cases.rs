//! Bytes as a file of cases: its problems can be shown, the formatter moves only white space, and every case comes to a
//! verdict.

use claimsmith::core::{Cases, format, problem::Source};

use super::{problems, world};

const RULE: &str = r#"
[secrets]
key = { env = "KEY" }

[vars]
host = "api.example"

[call.user]
url     = "https://${vars.host}/user"
headers = { x-key = "${secrets.key}" }

[call.more]
url      = "https://${vars.host}/more/${user.id}"
optional = true

[claims]
sub   = "$.user.id"
name  = "$.user.name"
extra = "$.more.extra"
"#;

/// Cases that are run; the others are only read.
const RUN: usize = 5;

/// What is asked of an input.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source::new("fuzz.test.toml", text);
    let (cases, found) = Cases::read(&source);
    problems::check(&found);
    if let Ok(formatted) = format(&source) {
        let again = format(&Source::new("fuzz.test.toml", formatted.as_str())).expect("what was formatted is TOML");
        assert_eq!(again, formatted, "a second time nothing moves");
        let (same, _) = Cases::read(&Source::new("fuzz.test.toml", formatted.as_str()));
        assert!(same.names().eq(cases.names()), "the same cases are in it");
    }
    let rule = Source::new("fuzz.toml", RULE);
    let files = |name: &str| Ok(format!("{{\"id\":\"{}\"}}", name.len()).into_bytes());
    for number in 0..cases.len().min(RUN) {
        let place = cases.place(number);
        assert!(place.span.end <= text.len());
        let verdict = world::at_once(cases.run(number, ("fuzz", &rule), &files));
        assert!(verdict.faults.iter().all(|fault| !fault.words().is_empty() && !fault.kind().is_empty()));
        verdict.differences.iter().for_each(|difference| _ = difference.remark());
    }
}
