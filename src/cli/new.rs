//! `claimsmith new`: a rule and its first cases, from what a provider answers.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Common, DONE, add::write, output, runtime};
use crate::{
    config,
    core::{Proposal, Sample, is_rule_name, propose},
    gateway::catalogue,
};

/// The longest sample that is read, in bytes. What a rule is made from is bounded by the core.
const MAX_SAMPLE: u64 = 1024 * 1024;

/// The call of a single sample.
const CALL: &str = "user";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of the rule, which is also its path.
    name: String,
    /// A file with what the provider answers, or `-` for standard input; `CALL=FILE` for each of several calls.
    #[arg(long, value_name = "[CALL=]FILE", required_unless_present = "like")]
    from: Vec<String>,
    /// The address that gives the answer; `CALL=URL` for each of several calls.
    #[arg(long, value_name = "[CALL=]URL")]
    url: Vec<String>,
    /// The shipped rule to start from instead.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "url"])]
    like: Option<String>,
    /// Overwrite the rule and its cases if they are there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let folder = config::load(&arguments.common.flags())?.settings.rules;
    match &arguments.like {
        Some(like) => copy(arguments, like, &folder)?,
        None => make(arguments, &folder)?,
    }
    let rule = folder.join(format!("{}.toml", arguments.name));
    let rule = rule.display();
    output::say(&format!(
        "next:\n  claimsmith check {rule}\n  claimsmith test {rule}\n  claimsmith try {rule} --trace"
    ));
    Ok(DONE)
}

/// A rule from samples.
fn make(arguments: &Arguments, folder: &Path) -> Result<(), String> {
    let mut samples = samples(&arguments.from)?;
    addresses(&mut samples, &arguments.url)?;
    let proposal = runtime()?.block_on(propose(&arguments.name, &samples))?;
    write(folder, &arguments.name, [&proposal.rule, &proposal.cases], arguments.force)?;
    show(folder, &arguments.name, &proposal);
    Ok(())
}

/// A rule from one that is shipped.
fn copy(arguments: &Arguments, like: &str, folder: &Path) -> Result<(), String> {
    let name = &arguments.name;
    if !is_rule_name(name) {
        return Err(format!(
            "`{name}` cannot be the name of a rule: lower-case letters, digits, `-` and `_`, at most 64"
        ));
    }
    let shipped = catalogue().find(like)?;
    write(folder, name, [shipped.rule, shipped.cases], arguments.force)?;
    output::say(&format!(
        "wrote {}, which is like {} so far",
        folder.join(format!("{name}.toml")).display(),
        shipped.name
    ));
    Ok(())
}

/// What a file or standard input holds, by the name of its call.
fn samples(from: &[String]) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::with_capacity(from.len());
    for argument in from {
        let (call, file) = named(argument);
        let call = match (call, from.len()) {
            (Some(call), _) => call.to_owned(),
            (None, 1) => CALL.to_owned(),
            (None, _) => call_of(file)?,
        };
        samples.push(Sample { call, url: None, text: text(file)? });
    }
    Ok(samples)
}

/// `call=rest`, where `call` can be the name of one.
fn named(argument: &str) -> (Option<&str>, &str) {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match argument.split_once('=') {
        Some((call, rest)) if is_name(call) => (Some(call), rest),
        _ => (None, argument),
    }
}

/// The name of a call by that of its file.
fn call_of(file: &str) -> Result<String, String> {
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => Ok(name),
        false => Err(format!("`{file}` gives no name of a call: write `CALL={file}`")),
    }
}

fn text(file: &str) -> Result<String, String> {
    let fault = |error: io::Error| match file {
        "-" => format!("cannot read the sample from standard input: {error}"),
        _ => format!("cannot read the sample {file}: {error}"),
    };
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().take(MAX_SAMPLE + 1).read_to_end(&mut bytes),
        _ => fs::File::open(file).and_then(|file| file.take(MAX_SAMPLE + 1).read_to_end(&mut bytes)),
    };
    if read.map_err(fault)? as u64 > MAX_SAMPLE {
        return Err(format!("a sample has at most {MAX_SAMPLE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| format!("the sample {file} is not UTF-8"))
}

/// Gives the samples their addresses.
fn addresses(samples: &mut [Sample], urls: &[String]) -> Result<(), String> {
    for argument in urls {
        let (call, url) = named(argument);
        let known: Vec<_> = samples.iter().map(|sample| sample.call.clone()).collect();
        let sample = match (call, &mut *samples) {
            (None, [only]) => Some(only),
            (None, _) => return Err(format!("there are several calls: write `--url CALL={url}`")),
            (Some(call), samples) => samples.iter_mut().find(|sample| sample.call == call),
        };
        match sample {
            Some(sample) => sample.url = Some(url.to_owned()),
            None => return Err(format!("`--url {argument}` names none of the calls {}", known.join(", "))),
        }
    }
    Ok(())
}

fn show(folder: &Path, name: &str, proposal: &Proposal) {
    let path = |ending: &str| -> PathBuf { folder.join(format!("{name}.{ending}")) };
    output::say(&format!("wrote {} and {}", path("toml").display(), path("test.toml").display()));
    let width = proposal.claims.iter().map(|claim| claim.claim.len()).max().unwrap_or_default();
    for claim in &proposal.claims {
        let value = claim.value.as_deref().unwrap_or("(absent in the sample)");
        output::say(&format!("  {:width$}  {value}  from {}", claim.claim, claim.written));
    }
    for remark in &proposal.remarks {
        output::say(&format!("note: {remark}"));
    }
    output::say("note: the sample is in the case file as it is: replace what belongs to a real person");
}
