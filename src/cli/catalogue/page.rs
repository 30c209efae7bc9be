//! The reference of the shipped rules as one page of Markdown: a table, and a section for each.

use super::Listed;
use crate::core::{Card, CardLine, NEEDS};

const HEAD: &str = "\
# The rules that are shipped

This page is generated: `claimsmith catalogue --markdown > rules/README.md`. The same, for one rule, in a terminal:
`claimsmith catalogue show NAME`. To use rules as they are: `claimsmith serve --use NAME,NAME`; to change one,
`claimsmith add NAME` copies it with its cases into the rules folder.

*Verified* says where `email_verified` comes from: a `field` of the answer, the provider's `policy`, or nowhere. *Needs*:";

/// The whole page.
pub(super) fn write(cards: &[Listed]) -> String {
    let needs: Vec<_> = NEEDS.iter().map(|(need, words)| format!("- `{need}`: {words}")).collect();
    let mut page = format!("{HEAD}\n\n{}\n\n", needs.join("\n"));
    page.push_str("| rule | provider | tier | e-mail | verified | needs |\n|---|---|---|---|---|---|\n");
    for Listed { name, tier, card } in cards {
        let email = if card.claim("email").is_some() { "yes" } else { "" };
        let row = [
            format!("[`{name}`](#{name})"),
            cell(card.title()),
            tier.to_string(),
            email.into(),
            verified(card).into(),
            card.needs().join(", "),
        ];
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    cards.iter().for_each(|listed| page.push_str(&section(listed)));
    page
}

fn section(Listed { name, card, .. }: &Listed) -> String {
    let mut text = format!("\n## {name}\n\n{}", card.description);
    match &card.docs {
        Some(docs) => text.push_str(&format!(" ([documentation]({docs})).\n")),
        None => text.push_str(".\n"),
    }
    let mut facts = Vec::new();
    facts.extend(card.authorization_url.iter().map(|url| format!("authorization: `{url}`")));
    facts.extend(card.token_url.iter().map(|url| format!("token: `{url}`")));
    if let Some((scopes, note)) = &card.scopes {
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
        facts.push(with_note(format!("scopes: {}", scopes.join(" ")), note));
    }
    facts.extend(card.secrets.iter().map(|secret| with_note(format!("secret: `{}`", secret.value), &secret.note)));
    facts.extend(
        card.vars.iter().map(|var| with_note(format!("setting: `{} = {}`", var.name, literal(&var.value)), &var.note)),
    );
    facts.extend(card.query.iter().map(|name| format!("passed on in the query: `{name}`")));
    if !facts.is_empty() {
        text.push_str(&format!("\n- {}\n", facts.join("\n- ")));
    }
    card.remarks.iter().for_each(|remark| text.push_str(&format!("\n{remark}\n")));
    text.push_str("\n| claim | is |\n|---|---|\n");
    card.claims.iter().for_each(|claim| text.push_str(&claim_row(claim)));
    text
}

fn claim_row(claim: &CardLine) -> String {
    with_note(format!("| `{}` | {}", claim.name, code(&claim.value)), &cell(&claim.note)) + " |\n"
}

/// Where `email_verified` comes from.
fn verified(card: &Card) -> &'static str {
    match card.claim("email_verified").map(|claim| &*claim.value) {
        None => "",
        Some(value) if value.contains("value = false") => "never",
        Some(value) if value.contains("value = true") || value.contains("{ true }") => "policy",
        Some(_) => "field",
    }
}

fn with_note(text: String, note: &str) -> String {
    if note.is_empty() { text } else { format!("{text} — {note}") }
}

fn literal(value: &str) -> String {
    if value.is_empty() { "\"\"".into() } else { value.to_owned() }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Code in a cell of a table; a text with backticks needs more of them around it.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", cell(text))
}
