//! All that it takes to use one rule, for people.

use super::Listed;
use crate::core::{Card, CardLine};

/// What auth servers call the attributes of a user, with the claims that they are read from.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("user id", "sub"),
    ("e-mail address", "email"),
    ("e-mail address verified", "email_verified"),
    ("full name", "name"),
    ("first name", "given_name"),
    ("last name", "family_name"),
    ("user name", "preferred_username"),
    ("picture", "picture"),
    ("phone number", "phone_number"),
];

/// The card as text.
pub(super) fn text(Listed { name, tier, card }: &Listed) -> String {
    let asked = ["by almost everybody", "by many", "by few"][usize::from(*tier).clamp(1, 3) - 1];
    let mut lines = vec![format!("{name}: {}", card.description), format!("asked for {asked} (tier {tier})")];
    lines.extend(card.docs.iter().map(|docs| format!("documentation: {docs}")));
    let mut section = |title: &str, rows: Vec<[String; 3]>| {
        if !rows.is_empty() {
            lines.push(format!("\n{title}"));
            lines.extend(table(&rows));
        }
    };
    section("In the auth server", login(name, card));
    section("Attributes, where the auth server has a mapping (such as Clerk's)", attributes(card));
    section("Secrets, in the environment or in files", secrets(card));
    section(&format!("Settings, in [rule.{name}.vars]"), rows(&card.vars));
    let passed =
        card.query.iter().map(|name| [name.clone(), "in the query of the user info URL".into(), String::new()]);
    section("Passed on by the auth server", passed.collect());
    section("Calls", rows(&card.calls));
    section("Claims", rows(&card.claims));
    if !card.remarks.is_empty() {
        lines.push("\nTo know".into());
        lines.extend(card.remarks.iter().map(|remark| wrapped(remark)));
    }
    lines.push(format!("\nServe it: claimsmith serve --use {name}   To change it: claimsmith add {name}"));
    lines.join("\n")
}

fn login(name: &str, card: &Card) -> Vec<[String; 3]> {
    let unknown = || "see the documentation".to_owned();
    let (scopes, note) = card.scopes.clone().unwrap_or_default();
    let scopes = if scopes.is_empty() { "see below, or the documentation".to_owned() } else { scopes.join(" ") };
    vec![
        ["authorization URL".into(), card.authorization_url.clone().unwrap_or_else(unknown), String::new()],
        ["token URL".into(), card.token_url.clone().unwrap_or_else(unknown), String::new()],
        ["user info URL".into(), format!("https://YOUR-HOST/{name}"), String::new()],
        ["scopes".into(), scopes, note],
    ]
}

/// The attributes that this rule has claims for, and the claims that are none of the usual.
fn attributes(card: &Card) -> Vec<[String; 3]> {
    let subject = &*card.subject;
    let claim = |claim: &'static str| if claim == "sub" { subject.to_owned() } else { claim.to_owned() };
    let mut rows: Vec<_> = ATTRIBUTES
        .iter()
        .map(|(attribute, name)| [(*attribute).to_owned(), claim(name), String::new()])
        .filter(|[_, claim, _]| card.claim(claim).is_some())
        .collect();
    let known = |name: &str| name == subject || ATTRIBUTES.iter().any(|(_, claim)| *claim == name);
    let others: Vec<_> = card.claims.iter().map(|claim| &*claim.name).filter(|name| !known(name)).collect();
    if !others.is_empty() {
        rows.push(["also answered".into(), others.join(", "), String::new()]);
    }
    rows
}

fn secrets(card: &Card) -> Vec<[String; 3]> {
    card.secrets
        .iter()
        .map(|secret| [secret.value.clone(), format!("secret `{}`", secret.name), secret.note.clone()])
        .collect()
}

fn rows(lines: &[CardLine]) -> Vec<[String; 3]> {
    lines.iter().map(|line| [line.name.clone(), line.value.clone(), line.note.clone()]).collect()
}

/// Rows with their second and third column below one another, unless what is before is too long.
fn table(rows: &[[String; 3]]) -> Vec<String> {
    let width = |column: usize, most: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|width| *width <= most).max().unwrap_or_default()
    };
    let (first, second) = (width(0, 30), width(1, 50));
    let line = |[a, b, c]: &[String; 3]| format!("  {a:first$}  {b:second$}  {c}").trim_end().to_owned();
    rows.iter().map(line).collect()
}

/// A paragraph on lines of readable length.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| line.chars().count() + word.chars().count() > 100);
        if full {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
