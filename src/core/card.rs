//! A rule for people who set it up: what its text says beside what it does, comments included.
//!
//! It is read from the text as it stands; whether the rule is sound is for the compiler to say.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// What a rule says to people.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The description.
    pub description: String,
    /// Where the provider documents what the rule reads.
    pub docs: Option<String>,
    /// Where a login begins.
    pub authorization_url: Option<String>,
    /// Where the auth server gets the token.
    pub token_url: Option<String>,
    /// What the login asks for, and what is said of it.
    pub scopes: Option<(Vec<String>, String)>,
    /// Who reads the answers, if the rule names one.
    pub receiver: Option<String>,
    /// The claim that identifies the user.
    pub subject: String,
    /// Knobs with their defaults.
    pub vars: Vec<Line>,
    /// Secrets with where they come from.
    pub secrets: Vec<Line>,
    /// What the auth server has to pass on in the query.
    pub query: Vec<String>,
    /// The calls with their addresses.
    pub calls: Vec<Line>,
    /// The claims and how each is made.
    pub claims: Vec<Line>,
    /// The rule has a script.
    pub script: bool,
    /// The caller's token is verified before any call.
    pub verifies: bool,
    /// What stands in comments of their own.
    pub remarks: Vec<String>,
}

/// A name, what it is, and what is said of it at the end of its line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: String,
    /// What it is: a value, a path, an address.
    pub value: String,
    /// The comment.
    pub note: String,
}

impl Card {
    /// Reads the text of a rule; what is no TOML has an empty card.
    pub fn read(text: &str) -> Card {
        let (table, _) = DeTable::parse_recoverable(text);
        let rule = Reader { text, table: table.get_ref() };
        let login = rule.table("login");
        let in_login = |key: &str| login.as_ref().and_then(|login| login.text(key));
        let lines = |key: &str| rule.table(key).map(|table| table.lines()).unwrap_or_default();
        Card {
            description: rule.text("description").unwrap_or_default(),
            docs: rule.text("docs"),
            authorization_url: in_login("authorization_url"),
            token_url: in_login("token_url"),
            scopes: login.as_ref().and_then(|login| Some((login.texts("scopes")?, login.note(login.get("scopes")?)))),
            receiver: rule.text("receiver"),
            subject: rule.text("subject").unwrap_or_else(|| "sub".into()),
            vars: lines("vars"),
            secrets: lines("secrets"),
            query: rule.table("request").and_then(|request| request.texts("query")).unwrap_or_default(),
            calls: rule.calls(),
            claims: lines("claims"),
            script: rule.get("script").is_some(),
            verifies: rule.get("token").is_some(),
            remarks: remarks(text),
        }
    }

    /// The name of the provider: what stands before the colon of the description.
    pub fn title(&self) -> &str {
        self.description.split_once(':').map_or(&*self.description, |(title, _)| title)
    }

    /// What the rule makes of the provider: what stands after the colon.
    pub fn summary(&self) -> &str {
        self.description.split_once(':').map_or("", |(_, summary)| summary.trim())
    }

    /// The claim of this name.
    pub fn claim(&self, name: &str) -> Option<&Line> {
        self.claims.iter().find(|claim| claim.name == name)
    }

    /// What has to be there besides an address: words that can be searched for.
    pub fn needs(&self) -> Vec<&'static str> {
        let needs = [
            ("secrets", !self.secrets.is_empty()),
            ("vars", !self.vars.is_empty()),
            ("query", !self.query.is_empty()),
            ("calls", self.calls.len() > 1),
            ("script", self.script),
            ("token", self.verifies),
        ];
        needs.into_iter().filter(|(_, there)| *there).map(|(need, _)| need).collect()
    }
}

/// The words that [`Card::needs`] has, and what they mean.
pub const NEEDS: [(&str, &str); 6] = [
    ("secrets", "secrets of ours"),
    ("vars", "settings, with defaults"),
    ("query", "values that the auth server passes on in the query"),
    ("calls", "more than one call"),
    ("script", "a script"),
    ("token", "the verification of the token"),
];

struct Reader<'t> {
    text: &'t str,
    table: &'t DeTable<'t>,
}

impl<'t> Reader<'t> {
    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.get_ref().as_str().map(str::to_owned)
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        let items = self.get(key)?.get_ref().as_array()?;
        Some(items.iter().filter_map(|item| item.get_ref().as_str().map(str::to_owned)).collect())
    }

    fn table(&self, key: &str) -> Option<Reader<'t>> {
        self.get(key)?.get_ref().as_table().map(|table| Reader { text: self.text, table })
    }

    /// The entries in the order of the file.
    fn entries(&self) -> Vec<(&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    fn lines(&self) -> Vec<Line> {
        let line = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let notes = [self.above(key.span().start), self.note(value)];
            let notes: Vec<_> = notes.into_iter().filter(|note| !note.is_empty()).collect();
            Line { name: key.get_ref().to_string(), value: self.shown(value), note: notes.join(" ") }
        };
        self.entries().into_iter().map(line).collect()
    }

    fn calls(&self) -> Vec<Line> {
        let Some(calls) = self.table("call") else { return Vec::new() };
        let call = |(name, value): (&Spanned<DeString<'_>>, &'t Spanned<DeValue<'t>>)| {
            let call = Reader { text: self.text, table: value.get_ref().as_table()? };
            let note = call.get("url").map(|url| call.note(url)).unwrap_or_default();
            let name = name.get_ref().to_string();
            Some(Line { name, value: call.text("url").unwrap_or_default(), note })
        };
        calls.entries().into_iter().filter_map(call).collect()
    }

    /// A value in few words: a text as it is, where a secret comes from, anything else as the file has it.
    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        let source = |key: &str| value.get_ref().as_table()?.get(key)?.get_ref().as_str().map(str::to_owned);
        match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Table(table) if table.len() == 1 && source("env").is_some() => source("env").unwrap_or_default(),
            DeValue::Table(table) if table.len() == 1 && source("file").is_some() => source("file").unwrap_or_default(),
            _ => self.text.get(value.span()).map(one_line).unwrap_or_default(),
        }
    }

    /// The comment on the lines right above a key.
    fn above(&self, key: usize) -> String {
        let before = self.text.get(..key).unwrap_or_default();
        let mut lines: Vec<_> = before.lines().rev().skip_while(|line| line.is_empty()).map_while(comment).collect();
        // With a line between, it is about what came before.
        if before.ends_with("\n\n") {
            lines.clear();
        }
        lines.reverse();
        lines.join(" ")
    }

    /// The comment at the end of the line on which a value ends.
    fn note(&self, value: &Spanned<DeValue<'_>>) -> String {
        let rest = self.text.get(value.span().end..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim_start();
        line.strip_prefix('#').map(|note| note.trim().to_owned()).unwrap_or_default()
    }
}

/// A line that is a comment, without its mark.
fn comment(line: &str) -> Option<&str> {
    line.strip_prefix('#').map(str::trim)
}

/// Comments of their own, as paragraphs: those that are right above a key speak of that key alone.
fn remarks(text: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut open = Vec::new();
    for line in text.lines().chain([""]) {
        match comment(line) {
            Some(words) => open.push(words),
            None if open.is_empty() => {}
            None => {
                let words = std::mem::take(&mut open).join(" ");
                if line.is_empty() || line.starts_with('[') {
                    remarks.push(words);
                }
            }
        }
    }
    remarks
}

/// A value that is written over several lines, on one.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    lines.join(" ").replace("[ ", "[").replace(", ]", "]")
}

/// The same for programs.
pub fn as_json(card: &Card, name: &str, tier: u8) -> Value {
    let lines = |lines: &[Line]| -> Value {
        let line = |line: &Line| serde_json::json!({ "name": line.name, "value": line.value, "note": line.note });
        lines.iter().map(line).collect()
    };
    serde_json::json!({
        "name": name,
        "title": card.title(),
        "description": card.description,
        "tier": tier,
        "docs": card.docs,
        "authorization_url": card.authorization_url,
        "token_url": card.token_url,
        "scopes": card.scopes.as_ref().map(|(scopes, _)| scopes),
        "needs": card.needs(),
        "vars": lines(&card.vars),
        "secrets": lines(&card.secrets),
        "query": card.query,
        "calls": lines(&card.calls),
        "subject": card.subject,
        "claims": lines(&card.claims),
        "remarks": card.remarks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = r##"
description = "Acme: profile and e-mail"
docs        = "https://developers.acme.example"

[login]
authorization_url = "https://acme.example/authorize"
scopes            = ["read", "email"]   # `email` is asked for at the first login

# There is no handle. Nothing says
# whether the e-mail is verified.

[vars]
host = "api.acme.example"   # or # another
size = 64

[secrets]
key = { env = "ACME_KEY" }   # made in the console

[request]
query = ["openid"]

[call.user]
url = "https://${vars.host}/me?a=#"

# Comes second.
[call.emails]
url = "https://${vars.host}/emails"

[claims]
# Of this claim alone.
sub  = "$.user.id"   # a number
name = [
    "$.user.name",
    # or
    "$.user.login",
]
"##;

    #[test]
    fn a_card_has_what_people_want_to_know() {
        let card = Card::read(RULE);
        assert_eq!((card.title(), card.summary()), ("Acme", "profile and e-mail"));
        assert_eq!(
            card.scopes,
            Some((vec!["read".into(), "email".into()], "`email` is asked for at the first login".into()))
        );
        let line =
            |name: &str, value: &str, note: &str| Line { name: name.into(), value: value.into(), note: note.into() };
        assert_eq!(card.vars, [line("host", "api.acme.example", "or # another"), line("size", "64", "")]);
        assert_eq!(card.secrets, [line("key", "ACME_KEY", "made in the console")]);
        assert_eq!(card.calls.len(), 2);
        assert_eq!(
            card.claims,
            [
                line("sub", "$.user.id", "Of this claim alone. a number"),
                line("name", r#"["$.user.name", "$.user.login"]"#, "")
            ]
        );
        assert_eq!(card.remarks, ["There is no handle. Nothing says whether the e-mail is verified.", "Comes second."]);
        assert_eq!(card.needs(), ["secrets", "vars", "query", "calls"]);
    }

    #[test]
    fn what_is_no_rule_has_a_card_that_says_little() {
        for text in ["", "= = =", "description = 7\n[claims]\nsub = 1", "call = 7"] {
            assert!(Card::read(text).calls.is_empty(), "{text}");
        }
    }
}
