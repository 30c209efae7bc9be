//! The contracts as they are written down: one file a receiver, read once.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::{Contract, Others, Term};
use crate::core::claims::Kind;

/// The receivers by name, in the order in which they are shown.
const FILES: [(&str, &str); 19] = [
    ("alb", include_str!("contracts/alb.toml")),
    ("auth0", include_str!("contracts/auth0.toml")),
    ("authentik", include_str!("contracts/authentik.toml")),
    ("authjs", include_str!("contracts/authjs.toml")),
    ("better-auth", include_str!("contracts/better-auth.toml")),
    ("casdoor", include_str!("contracts/casdoor.toml")),
    ("clerk", include_str!("contracts/clerk.toml")),
    ("cognito", include_str!("contracts/cognito.toml")),
    ("dex", include_str!("contracts/dex.toml")),
    ("freshworks", include_str!("contracts/freshworks.toml")),
    ("grafana", include_str!("contracts/grafana.toml")),
    ("keycloak", include_str!("contracts/keycloak.toml")),
    ("kratos", include_str!("contracts/kratos.toml")),
    ("logto", include_str!("contracts/logto.toml")),
    ("mattermost", include_str!("contracts/mattermost.toml")),
    ("oauth2-proxy", include_str!("contracts/oauth2-proxy.toml")),
    ("oidc", include_str!("contracts/oidc.toml")),
    ("supabase", include_str!("contracts/supabase.toml")),
    ("zitadel", include_str!("contracts/zitadel.toml")),
];

static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let read = |(name, text)| contract(name, text);
    FILES
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .expect("the program's own contracts are sound: a test reads them")
});

/// All contracts.
pub fn all() -> &'static [Contract] {
    &CONTRACTS
}

/// A file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    trust: Trust,
    waits: Option<String>,
    #[serde(default)]
    errors: Errors,
    #[serde(default)]
    absent: Absent,
    #[serde(default)]
    empty_text: EmptyText,
    #[serde(default)]
    lists: Lists,
    #[serde(default)]
    identifies: Vec<String>,
    max_text: Option<usize>,
    max_body: Option<usize>,
    too_long: Option<String>,
    flat: Option<String>,
    drops: Option<String>,
    #[serde(default)]
    claims: Vec<Row>,
    others: Option<Rest>,
}

/// What is said of some claims.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    names: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    doubtful: BTreeMap<String, String>,
    required: Option<String>,
    wanted: Option<String>,
    otherwise: String,
    max: Option<usize>,
    #[serde(default)]
    ascii: bool,
    #[serde(default)]
    int64: bool,
}

/// What is said of all claims that no row names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    unread: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    otherwise: Option<String>,
}

/// How far a contract is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// It was read in the receiver's source, or in the standard.
    Source,
    /// It was read in the receiver's documentation.
    Documentation,
}

/// What stands in the body of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Errors {
    /// A JSON object that says what is wrong.
    #[default]
    Json,
    /// Nothing: the receiver would take an object for a profile.
    Empty,
}

/// What becomes of a claim of the rule that has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Absent {
    /// It is left out.
    #[default]
    #[serde(rename = "omit")]
    Omit,
    /// It is an empty text, so that the answer has always the same members.
    #[serde(rename = "empty text")]
    EmptyText,
}

/// What becomes of an empty text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EmptyText {
    #[default]
    Keep,
    Omit,
}

/// What becomes of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Lists {
    #[default]
    Keep,
    /// It is joined with commas.
    Joined,
}

fn contract(name: &'static str, text: &str) -> Result<Contract, String> {
    let file: File = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    let kind = |word: &String| Kind::parse(word).ok_or_else(|| format!("{name}: `{word}` is no type"));
    let mut terms = Vec::new();
    for row in file.claims {
        let main = kind(&row.kind)?;
        let also = row.also.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
        let doubtful = row.doubtful.iter().map(|(word, why)| Ok((kind(word)?, why.clone())));
        let doubtful = doubtful.collect::<Result<Vec<_>, String>>()?;
        terms.extend(row.names.into_iter().map(|name| Term {
            name,
            kind: main,
            also: also.clone(),
            doubtful: doubtful.clone(),
            required: row.required.clone(),
            wanted: row.wanted.clone(),
            otherwise: row.otherwise.clone(),
            max: row.max,
            ascii: row.ascii,
            int64: row.int64,
        }));
    }
    let others = match file.others {
        None => Others::Any,
        Some(Rest { unread: Some(why), .. }) => Others::Unread(why),
        Some(Rest { kind: Some(word), otherwise, .. }) => Others::Kind(kind(&word)?, otherwise.unwrap_or_default()),
        Some(_) => return Err(format!("{name}: [others] says nothing")),
    };
    let waits = file.waits.map(|text| text.parse::<jiff::SignedDuration>());
    let waits = waits.transpose().map_err(|error| format!("{name}: {error}"))?;
    Ok(Contract {
        name,
        title: file.title,
        trust: file.trust,
        waits: waits.map(jiff::SignedDuration::unsigned_abs),
        errors: file.errors,
        absent: file.absent,
        empty_text: file.empty_text,
        lists: file.lists,
        identifies: file.identifies,
        max_text: file.max_text,
        max_body: file.max_body,
        too_long: file.too_long.unwrap_or_default(),
        flat: file.flat,
        drops: file.drops,
        terms,
        others,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_can_be_read_and_names_its_source() {
        assert_eq!(all().len(), FILES.len());
        assert!(FILES.is_sorted_by_key(|(name, _)| *name));
        for (name, text) in FILES {
            assert!(text.contains("\n# Source: "), "{name} does not say where it comes from");
        }
    }

    #[test]
    fn a_contract_says_each_thing_once() {
        for contract in all() {
            let mut names: Vec<_> = contract.terms.iter().map(|term| &term.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{}", contract.name);
            for name in &contract.identifies {
                assert!(contract.term(name).is_some(), "{}: `{name}` identifies, and has no type", contract.name);
            }
            let bounded = contract.max_text.is_some() || contract.max_body.is_some();
            assert_eq!(bounded, !contract.too_long.is_empty(), "{}", contract.name);
        }
    }

    #[test]
    fn a_mistake_in_a_contract_is_told() {
        const SOUND: &str = "title = \"T\"\ntrust = \"source\"\n";
        assert!(contract("t", SOUND).is_ok());
        for wrong in [
            "titel = 1",
            "waits = \"soon\"",
            "[others]",
            "[[claims]]\nnames = [\"a\"]\ntype = \"txt\"\notherwise = \"\"",
            "[[claims]]\nnames = [\"a\"]\ntype = \"string\"\notherwise = \"\"\ndoubtful = { txt = \"\" }",
        ] {
            assert!(contract("t", &format!("{SOUND}{wrong}\n")).is_err(), "{wrong}");
        }
    }
}
