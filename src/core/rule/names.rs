//! The kinds of names in a rule, and which of them are taken.

/// Names that a call cannot have: they stand for something else in the document.
pub const RESERVED: [&str; 8] = ["claims", "each", "meta", "request", "secrets", "token", "vars", "this"];

/// True for a name of a rule: what may stand in a URL path and in a file name alike.
pub fn is_rule_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
        && name.len() <= 64
}

/// True for a name of a call, var or secret: one that is a variable in Rhai and
/// a shorthand member in JSONPath.
pub fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= 64
        && !RHAI_KEYWORDS.contains(&name)
}

/// True for a name of a call.
pub fn is_call_name(name: &str) -> bool {
    is_variable_name(name) && !RESERVED.contains(&name)
}

/// True for a claim name. OpenID Connect leaves them open (collision-resistant
/// names are URLs), so only what no receiver could read is refused.
pub fn is_claim_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 255 && !name.chars().any(char::is_control)
}

/// Words that Rhai reads as something else than a variable.
pub const RHAI_KEYWORDS: [&str; 42] = [
    "as",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "else",
    "eval",
    "exit",
    "export",
    "false",
    "fn",
    "for",
    "go",
    "if",
    "import",
    "in",
    "is",
    "is_def_fn",
    "is_def_var",
    "let",
    "loop",
    "match",
    "print",
    "private",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "switch",
    "sync",
    "throw",
    "true",
    "try",
    "while",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_their_places_can_hold() {
        for (name, rule, variable) in [
            ("github", true, true),
            ("azure-b2c", true, false),
            ("42", true, false),
            ("user_2", true, true),
            ("User", false, true),
            ("if", true, false),
            ("", false, false),
            ("a/b", false, false),
            ("../x", false, false),
        ] {
            assert_eq!((is_rule_name(name), is_variable_name(name)), (rule, variable), "{name}");
        }
        assert!(is_claim_name("https://acme.example/groups"));
        assert!(!is_claim_name(" "));
    }
}
