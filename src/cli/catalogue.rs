//! `claimsmith catalogue`: the rules that are shipped, what it takes to use one, and how local copies differ.

mod card;
mod differences;
mod page;

use clap::{Args, Subcommand, ValueEnum};

use super::{Common, DONE, WRONG, output};
use crate::{
    config,
    core::{Card, NEEDS, card_as_json},
    gateway::catalogue,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What has to be set up to use a rule: addresses, scopes, secrets, settings, attributes.
    Show(Show),
    /// How rules of the rules folder differ from those of the same name that are shipped; exit code 1 if one does.
    Diff(Diff),
}

#[derive(Debug, Args)]
struct List {
    /// Only rules with this in their name or description.
    search: Option<String>,
    /// Only rules that need this: secrets, vars, query, calls, script, token or nothing.
    #[arg(long, value_name = "WHAT", value_parser = need)]
    needs: Vec<String>,
    /// Only rules that have an e-mail, or that have none.
    #[arg(long, value_enum)]
    email: Option<Answer>,
    /// Only providers of this tier: 1 are those that are asked for most.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    tier: Option<u8>,
    /// How the rules are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The reference page instead: Markdown, with a section for each rule.
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// The name of the rule.
    name: String,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
struct Diff {
    /// The names of the rules [default: every rule of the folder that has the name of a shipped one].
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// JSON, for programs.
    Json,
}

/// A shipped rule for people.
struct Listed {
    name: &'static str,
    tier: u8,
    card: Card,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    match &arguments.command {
        Some(Command::Show(show)) => {
            let shipped = catalogue().find(&show.name)?;
            let listed = Listed { name: shipped.name, tier: shipped.tier, card: Card::read(shipped.rule) };
            output::say(&match show.format {
                Format::Text => card::text(&listed),
                Format::Json => card_as_json(&listed.card, listed.name, listed.tier).to_string(),
            });
            Ok(DONE)
        }
        Some(Command::Diff(diff)) => {
            let folder = config::load(&diff.common.flags())?.settings.rules;
            Ok(if differences::show(&folder, &diff.names)? { WRONG } else { DONE })
        }
        None => {
            list(&arguments.list);
            Ok(DONE)
        }
    }
}

fn list(list: &List) {
    let cards = catalogue().iter().map(|shipped| Listed {
        name: shipped.name,
        tier: shipped.tier,
        card: Card::read(shipped.rule),
    });
    let cards: Vec<_> = cards.filter(|listed| wanted(list, listed)).collect();
    if list.markdown {
        return output::say(page::write(&cards).trim_end());
    }
    if list.format == Format::Json {
        let cards: serde_json::Value =
            cards.iter().map(|listed| card_as_json(&listed.card, listed.name, listed.tier)).collect();
        return output::say(&cards.to_string());
    }
    let width = cards.iter().map(|listed| listed.name.len()).max().unwrap_or_default();
    for Listed { name, tier, card } in &cards {
        let email = if card.claim("email").is_some() { "e-mail" } else { "-" };
        let needs = card.needs().join(",");
        let needs = if needs.is_empty() { "-" } else { &*needs };
        output::say(&format!("{name:width$}  {tier}  {email:6}  {needs:20}  {}", card.description));
    }
    output::remark(&format!("{}; `claimsmith catalogue show NAME` has all of one", output::count(cards.len(), "rule")));
}

fn wanted(list: &List, Listed { name, tier, card }: &Listed) -> bool {
    let needs = card.needs();
    let has = |text: &str| {
        let search = text.to_lowercase();
        name.contains(&search) || card.description.to_lowercase().contains(&search)
    };
    list.search.as_deref().is_none_or(has)
        && list
            .needs
            .iter()
            .all(|need| if need == "nothing" { needs.is_empty() } else { needs.contains(&need.as_str()) })
        && list.email.is_none_or(|answer| (answer == Answer::Yes) == card.claim("email").is_some())
        && list.tier.is_none_or(|wanted| wanted == *tier)
}

fn need(text: &str) -> Result<String, String> {
    match text == "nothing" || NEEDS.iter().any(|(need, _)| *need == text) {
        true => Ok(text.to_owned()),
        false => {
            let words: Vec<_> = NEEDS.iter().map(|(need, _)| *need).collect();
            Err(format!("one of {}, nothing", words.join(", ")))
        }
    }
}
