//! What it takes to speak to the providers there are, class by class, and the case that shows that a rule can.
//!
//! The classes were found by going through several hundred providers. A class
//! without a case that passes fails this test; those that no userinfo proxy can serve have the reason.

use std::{collections::BTreeSet, path::PathBuf};

use claimsmith::{
    core::Cases,
    gateway::{bytes_beside, source},
};

use crate::support::block_on;

/// How a class is covered.
enum By {
    /// A rule in `tests/capabilities/`, and the case of it that needs the class.
    Case(&'static str, &'static str),
    /// The host does it for every rule; this test shows it.
    Host(&'static str),
    /// No userinfo proxy can.
    Nobody(&'static str),
}

use By::{Case, Host, Nobody};

const EVERYTHING: &str = "everything is there";

const CLASSES: [(&str, &str, By); 66] = [
    // How the token is sent, and what else a request needs.
    ("token_scheme", "another scheme than Bearer, or none", Case("graphql", "the viewer")),
    (
        "token_header",
        "the token in a header of its own",
        Case("headers", "token, key, version and user agent in headers"),
    ),
    ("token_query", "the token in the query", Case("query", "a user without an e-mail address")),
    (
        "token_body",
        "the token in a form or in JSON",
        Case("bodies", "form, nothing, a query in JSON, and a GET with a body"),
    ),
    ("token_path", "the token in the path", Case("several", EVERYTHING)),
    (
        "token_derived",
        "a part of the token, or a claim in it",
        Case("derived", "a part of the token, and a claim in it"),
    ),
    (
        "app_credential",
        "an id, key or secret of ours",
        Case("headers", "token, key, version and user agent in headers"),
    ),
    ("request_signature", "a signed request", Case("signed", "the signature, the proof and the time")),
    ("timestamp", "the time in a request", Case("signed", "the signature, the proof and the time")),
    (
        "oauth1",
        "requests signed as OAuth 1.0a asks",
        Nobody("the signature needs the token's secret, which an OAuth 2.0 client never gets"),
    ),
    (
        "dpop",
        "a proof of possession for each request",
        Nobody("the proof is made with the caller's key, for one address"),
    ),
    (
        "fixed_header",
        "a header that is always the same",
        Case("headers", "token, key, version and user agent in headers"),
    ),
    ("user_agent", "a User-Agent that says who asks", Case("headers", "token, key, version and user agent in headers")),
    ("post_empty", "POST without a body", Case("bodies", "form, nothing, a query in JSON, and a GET with a body")),
    ("post_form", "POST with a form", Case("bodies", "form, nothing, a query in JSON, and a GET with a body")),
    ("graphql", "a GraphQL query", Case("graphql", "the viewer")),
    (
        "query_body",
        "another query in a JSON body",
        Case("bodies", "form, nothing, a query in JSON, and a GET with a body"),
    ),
    ("get_with_body", "GET with a body", Case("bodies", "form, nothing, a query in JSON, and a GET with a body")),
    ("field_selection", "the wanted fields by name", Case("query", "a user without an e-mail address")),
    ("format_param", "a parameter that asks for JSON", Case("query", "a user without an e-mail address")),
    ("tenant_url", "a host or path of the operator's", Case("headers", "another shop")),
    ("region_url", "a host by region", Case("query", "the picture that stands for none")),
    ("input_needed", "a value from the token response", Case("passed", "the id from the query of the caller")),
    // How many calls, and how they hang together.
    ("multi_call", "several calls", Case("several", EVERYTHING)),
    ("dependent_call", "a call made from another answer", Case("several", EVERYTHING)),
    ("header_value", "a value in a header of the answer", Case("several", EVERYTHING)),
    (
        "optional_call",
        "a call that may fail",
        Case("several", "the e-mail is in another answer, and the groups are refused"),
    ),
    (
        "conditional_call",
        "a call only if it is needed",
        Case("several", "the e-mail is in another answer, and the groups are refused"),
    ),
    ("binary_call", "a picture", Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture")),
    (
        "app_token",
        "an application token of our own",
        Case("chain", "one token for the next, our own beside it, a call for each team, pages of groups"),
    ),
    (
        "token_chain",
        "a token that is exchanged for the next",
        Case("chain", "one token for the next, our own beside it, a call for each team, pages of groups"),
    ),
    (
        "paged_list",
        "a list in pages",
        Case("chain", "one token for the next, our own beside it, a call for each team, pages of groups"),
    ),
    (
        "call_for_each",
        "a call for every item of a list",
        Case("chain", "one token for the next, our own beside it, a call for each team, pages of groups"),
    ),
    // What the answer looks like.
    ("envelope", "claims inside of a wrapper", Case("headers", "another shop")),
    ("array_index", "a value at an index", Case("query", "a user without an e-mail address")),
    ("filter_select", "a value chosen by another", Case("values", EVERYTHING)),
    ("select_max", "the item with the greatest member", Case("values", EVERYTHING)),
    ("dynamic_key", "a member whose name is data", Case("values", EVERYTHING)),
    ("bracket_name", "a member whose name needs brackets", Case("values", "the optional things are missing")),
    ("jsonp", "JSON in the call of a function", Case("formats", "no picture")),
    ("xml", "XML", Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture")),
    ("form_encoded", "a form", Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture")),
    ("jwt_response", "a signed answer", Case("jwt", "a signed answer")),
    (
        "embedded_json",
        "JSON inside of a text",
        Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture"),
    ),
    (
        "text_node_object",
        "a text inside of an object",
        Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture"),
    ),
    (
        "percent_encoded",
        "percent-encoded values",
        Case("formats", "JSONP, XML, a form, JSON inside of a text, and a picture"),
    ),
    ("other_charset", "text in another charset", Host("tests/decode.rs")),
    ("gzip", "an answer that is always compressed", Host("tests/failures.rs")),
    ("error_in_200", "an error with status 200", Case("query", "an error with status 200")),
    // What it takes to make the claims.
    ("numeric_id", "an id that is a number, of any length", Case("query", "a user without an e-mail address")),
    ("composite_sub", "a subject of two parts", Case("headers", "another shop")),
    ("no_stable_sub", "no id but a user name", Case("values", EVERYTHING)),
    ("workspace_not_user", "an answer about an account", Case("headers", "another shop")),
    ("no_email", "no e-mail address", Case("query", "a user without an e-mail address")),
    ("fallback_chain", "the first that is there", Case("passed", "an id that is the same over several applications")),
    ("name_join", "a name joined from its parts", Case("headers", "another shop")),
    ("name_split", "a name split into its parts", Case("values", EVERYTHING)),
    ("string_surgery", "a part of a text", Case("values", "the optional things are missing")),
    ("bool_coerce", "a boolean that is written otherwise", Case("oidc", "claims with the types of others")),
    (
        "conditional_value",
        "a value that is kept only under a condition",
        Case("query", "the picture that stands for none"),
    ),
    ("url_template", "an address made of fields", Case("values", EVERYTHING)),
    ("gravatar_hash", "a picture by the hash of an address", Case("values", "the optional things are missing")),
    ("const_verified", "a flag that is the provider's policy", Case("values", EVERYTHING)),
    ("object_locale", "a locale in parts", Case("values", EVERYTHING)),
    ("oidc_like", "claims that need small repairs", Case("oidc", "claims with the types of others")),
    ("redirect_data", "an identity that only the redirect had", Nobody("there is no access token to ask with")),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/capabilities")
}

/// The cases of a rule that pass; the others are told.
fn passing(rule: &str) -> BTreeSet<String> {
    let text = source(&folder().join(format!("{rule}.toml"))).expect("the rule can be read");
    let cases = source(&folder().join(format!("{rule}.test.toml"))).expect("the cases can be read");
    let (cases, problems) = Cases::read(&cases);
    assert!(problems.is_empty(), "{rule}: {problems:?}");
    let files = |name: &str| bytes_beside(&folder(), name);
    let run = |number| block_on(cases.run(number, (rule, &text), &files));
    let verdicts: Vec<_> = (0..cases.len()).map(run).collect();
    for verdict in &verdicts {
        let (name, differences, faults) = (&verdict.name, &verdict.differences, &verdict.faults);
        assert!(verdict.passed(), "{rule}: {name}: {differences:?} {faults:?}");
    }
    verdicts.into_iter().map(|verdict| verdict.name).collect()
}

#[test]
fn every_class_has_a_rule_and_a_case_or_a_reason() {
    let rules: BTreeSet<_> = CLASSES
        .iter()
        .filter_map(|(_, _, by)| match by {
            Case(rule, _) => Some(*rule),
            Host(_) | Nobody(_) => None,
        })
        .collect();
    let passing: std::collections::BTreeMap<_, _> = rules.into_iter().map(|rule| (rule, passing(rule))).collect();
    for (class, what, by) in &CLASSES {
        assert!(!what.is_empty(), "{class}");
        match by {
            Case(rule, case) => {
                assert!(passing[rule].contains(*case), "{class}: {rule} has no case {case:?} that passes");
            }
            Host(test) => assert!(folder().join("../..").join(test).is_file(), "{class}: there is no {test}"),
            Nobody(reason) => assert!(reason.len() > 20, "{class}"),
        }
    }
    let classes: BTreeSet<_> = CLASSES.iter().map(|(class, ..)| class).collect();
    assert_eq!(classes.len(), CLASSES.len(), "a class stands twice");
}

#[test]
fn what_nobody_can_do_is_said_in_the_documentation() {
    let readme = std::fs::read_to_string(folder().join("../../README.md")).expect("README can be read");
    for (class, _, by) in &CLASSES {
        if let Nobody(reason) = by {
            assert!(readme.contains(reason), "README does not say why {class} is out of reach: {reason}");
        }
    }
}

#[test]
fn the_rules_of_the_classes_are_sound() {
    let mut arguments = vec!["check", "--deny", "warning"];
    let folder = folder();
    arguments.push(folder.to_str().expect("paths of tests are UTF-8"));
    let ran = crate::cli::run(crate::cli::claimsmith(&arguments));
    assert_eq!(ran.code, Some(0), "{}", ran.out);
}
