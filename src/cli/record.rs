//! `claimsmith record`: a login that the process in service sees next becomes a case of its rule.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Common, DONE, WRONG, output, rule_file, runtime};
use crate::{
    config::{self, Allowed},
    core::{Answer, Cases, Host, Outgoing, problem::Source},
    gateway::{Secrets, Store, Upstream, admin_address, admin_key, shipped_folder, source},
};

/// What stands at the top of a new file.
const HEAD: &str =
    "# Cases of this rule: `claimsmith test` runs them. Recorded ones have made-up data in place of a person's.\n";
/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked whether there is a case.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of a rule that serves.
    rule: String,
    /// Only a request that is answered with this status.
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// Only a request that fails.
    #[arg(long)]
    failures: bool,
    /// Only the request with this id: its `x-request-id`.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// How long to wait for such a request, at most ten minutes.
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    limit: String,
    /// Where to put the case [default: NAME.test.toml beside the rule].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let mut settings = config::load(&arguments.common.flags())?.settings;
    let desk = Desk::new(&settings, arguments)?;
    let path = rule_file(&arguments.rule, &mut settings);
    if arguments.file.is_none() && (path.starts_with(shipped_folder()) || !path.is_file()) {
        return Err(format!("there is no {} to put a case beside: say where, `--file FILE`", path.display()));
    }
    let file = arguments.file.clone().unwrap_or_else(|| path.with_extension("test.toml"));
    let answer = desk.ask(Method::POST)?;
    if answer.status != StatusCode::CREATED {
        return Err(words(&answer));
    }
    output::remark("waiting for a request that fits; `Ctrl-C` leaves it armed until its time is over");
    loop {
        let answer = desk.ask(Method::GET)?;
        match answer.status {
            StatusCode::ACCEPTED => thread::sleep(AGAIN),
            StatusCode::OK => {
                let text = String::from_utf8(answer.body.to_vec()).map_err(|_| "the case is not UTF-8")?;
                append(&file, &existing(&file)?, &text)?;
                output::remark(&format!("recorded in {}: read it before you share it", file.display()));
                desk.ask(Method::DELETE)?;
                return Ok(DONE);
            }
            _ => {
                output::remark(&words(&answer));
                return Ok(WRONG);
            }
        }
    }
}

/// The admin listener of the process in service.
struct Desk {
    host: Upstream,
    runtime: tokio::runtime::Runtime,
    url: url::Url,
    headers: HeaderMap,
}

impl Desk {
    fn new(settings: &config::Settings, arguments: &Arguments) -> Result<Self, String> {
        let address = admin_address(&settings.admin).ok_or("`admin.listen` is off: there is nobody to ask")?;
        let mut url: url::Url = format!("http://{address}/record").parse().map_err(|_| "the address is none")?;
        url.query_pairs_mut().append_pair("rule", &arguments.rule).append_pair("for", &arguments.limit);
        if let Some(status) = arguments.status {
            url.query_pairs_mut().append_pair("status", &status.to_string());
        }
        if arguments.failures {
            url.query_pairs_mut().append_pair("failures", "true");
        }
        if let Some(id) = &arguments.request {
            url.query_pairs_mut().append_pair("request", id);
        }
        // The one address that this command is about, whatever calls may reach, and as it is.
        let upstream =
            config::Upstream { allow: vec![Allowed::Network(address.ip().into())], ..config::Upstream::default() };
        let settings = &config::Settings { upstream, ..settings.clone() };
        let host = Upstream::new(settings, Secrets::Real, Store::new())?;
        let mut headers = HeaderMap::new();
        if let Some(key) = admin_key(&settings.admin, &host)? {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose()));
            headers.insert(header::AUTHORIZATION, value.map_err(|_| "the key has characters that no header can hold")?);
        }
        Ok(Desk { host, runtime: runtime()?, url, headers })
    }

    fn ask(&self, method: Method) -> Result<Answer, String> {
        let outgoing = Outgoing {
            method,
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: Bytes::new(),
            timeout: Some(LIMIT),
            identity: None,
            number: 0,
        };
        let answer = self.runtime.block_on(self.host.fetch(outgoing));
        answer.map_err(|error| format!("{} does not answer: {}", self.url.authority(), error.words()))
    }
}

/// What an answer says, in one line.
fn words(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim_end().to_owned()
}

/// The cases that there are; what stands at the top of a file if there are none.
pub(super) fn existing(file: &Path) -> Result<String, String> {
    match file.is_file() {
        true => Ok(source(file)?.text.clone()),
        false => Ok(HEAD.to_owned()),
    }
}

/// Puts a case behind those that there are.
pub(super) fn append(file: &Path, existing: &str, text: &str) -> Result<(), String> {
    let refused = |why: String| format!("nothing was recorded: {}: {why}", file.display());
    let gap = if existing.is_empty() || existing.ends_with("\n\n") { "" } else { "\n" };
    let line = if existing.is_empty() || existing.ends_with('\n') { "" } else { "\n" };
    let whole = format!("{existing}{line}{gap}{text}");
    let (_, problems) = Cases::read(&Source::new(file.display().to_string(), whole.as_str()));
    if let Some(problem) = problems.first() {
        return Err(refused(problem.message.clone()));
    }
    put(file, &whole).map_err(|error| refused(error.to_string()))
}

/// The old file stays until the new one is whole.
fn put(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("toml.new");
    let mut out = fs::File::create(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, file)
}
