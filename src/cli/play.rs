//! `claimsmith play`: a page that shows a rule at work while it is written.

use std::{path::Path, process::Command};

use clap::Args;

use super::{Common, DONE, interrupted, of_catalogue, output, rule_file, rule_name, runtime};
use crate::{
    catalogue::PREFIX,
    config,
    core::is_rule_name,
    gateway::{Allowed, Opened, is_folder},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of a rule in the rules folder, a rule file, or a folder of them [default: the rules folder].
    rule: Option<String>,
    /// Let the page save rules and cases to the folder.
    #[arg(long)]
    write: bool,
    /// Let the page make real logins, with a token that is typed in there and kept nowhere.
    #[arg(long)]
    live: bool,
    /// Open the page in a browser.
    #[arg(long)]
    open: bool,
    /// The port on the loopback interface; a free one by default.
    #[arg(long, value_name = "PORT", default_value = "0")]
    port: u16,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let mut settings = config::load(&arguments.common.flags())?.settings;
    let mut open = None;
    match arguments.rule.as_deref() {
        None => {}
        Some(rule) if of_catalogue(Path::new(rule)).is_some() => {
            open = Some(rule.trim_end_matches(".toml").to_owned()).filter(|rule| rule != PREFIX);
        }
        Some(rule) if is_folder(Path::new(rule)) => settings.rules = rule.into(),
        Some(rule) => {
            let name = rule_name(&rule_file(rule, &mut settings));
            if !is_rule_name(&name) {
                return Err(format!(
                    "`{name}` cannot be the name of a rule: lower-case letters, digits, `-` and `_`, at most 64"
                ));
            }
            open = Some(name);
        }
    }
    if settings.rules.as_os_str().is_empty() {
        settings.rules = ".".into();
    }
    let allowed = Allowed { write: arguments.write, live: arguments.live, open };
    let told = |link: &str| output::say(&format!("for another page: {link}"));
    let opened = Opened::new(&settings, &allowed, arguments.port, told)?;
    let link = opened.link();
    output::say(&format!("the playground is at {link}"));
    output::say("the key in it opens one page, on this machine; Ctrl-C ends it");
    if arguments.open {
        browse(&link);
    }
    runtime()?.block_on(async {
        tokio::select! {
            served = opened.serve() => served,
            stopped = interrupted() => stopped,
        }
    })?;
    Ok(DONE)
}

/// Has the desktop open an address. Who has none copies it.
fn browse(link: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if Command::new(program).arg(link).spawn().is_err() {
        output::remark(&format!("`{program}` cannot be started: open the address yourself"));
    }
}
