//! `claimsmith demo`: an awkward provider, the gateway in front of it, and one request.

mod columns;
mod provider;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, header};

use super::{DONE, WRONG, interrupted, output, runtime};
use crate::{
    config::{Allowed, Level, Log, Settings, Upstream as UpstreamSettings},
    core::{Compiler, Host, Outgoing, Routes, Secret, problem::Source},
    gateway::{Secrets, Store, Upstream, start, start_log},
};

/// The rule that is shown; it is the file in the rules folder.
const RULE: &str = include_str!("../../../rules/demo.toml");
/// The origin in the rule, which is led to the provider of this process.
const ORIGIN: &str = "https://api.provider.example";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Exit after the one request.
    #[arg(long)]
    once: bool,
    /// Where the gateway listens; a free port by default.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    start_log(&Log { level: Level::Warn, ..Log::default() });
    let runtime = runtime()?;
    runtime.block_on(show(arguments))
}

async fn show(arguments: &Arguments) -> Result<u8, String> {
    let provider = provider::start().await?;
    let origin: String = format!("http://{provider}");
    let reroute = [(ORIGIN.parse()?, origin.parse()?)].into_iter().collect();
    let settings = Settings {
        listen: arguments.listen,
        workers: 1,
        upstream: UpstreamSettings { reroute, ..UpstreamSettings::default() },
        ..Settings::default()
    };
    let key = Secret::new(provider::API_KEY);
    let secrets = Secrets::Given(Arc::new(HashMap::from([("DEMO_API_KEY".to_owned(), key)])));
    // What asks for the show goes where the gateway's calls may not go by themselves.
    let allow = [provider.ip(), arguments.listen.ip()].map(|address| Allowed::Network(address.into())).into();
    let upstream = UpstreamSettings { allow, ..UpstreamSettings::default() };
    let host = Upstream::new(&Settings { upstream, ..settings.clone() }, secrets.clone(), Store::new())?;
    let source = Source::new("rules/demo.toml", RULE);
    let (rule, problems) = Compiler::new::<Upstream>().compile("demo", &source, &serde_json::Map::new(), &host);
    output::show_problems(&problems.sorted());
    let rule = rule.ok_or("the demo's own rule is refused")?;
    let running = start(settings, &Routes::new([("demo".to_owned(), rule)]), &secrets)?;
    let address = running.address();

    let profile = ask(&host, &format!("{origin}/v2/me"), provider::TOKEN).await?;
    let emails = ask(&host, &format!("{origin}/v2/me/emails"), provider::TOKEN).await?;
    let claims = ask(&host, &format!("http://{address}/demo"), provider::TOKEN).await?;
    let refused = ask(&host, &format!("http://{address}/demo"), provider::REVOKED).await?;

    let left = format!("GET /v2/me\n{}\n\nGET /v2/me/emails\n{}", profile.body, emails.body);
    output::say("What the provider answers                            What claimsmith makes of it (GET /demo)\n");
    output::say(&columns::side_by_side(&left, &claims.body, 52));
    output::say(&format!(
        "\nThe provider reports a revoked token inside a 200; claimsmith answers {}:\n{}",
        refused.status, refused.body
    ));
    let good = claims.status == 200 && refused.status == 401;
    if arguments.once {
        running.stop();
        return Ok(if good { DONE } else { WRONG });
    }
    output::say(&next_steps(address));
    interrupted().await?;
    running.stop();
    Ok(DONE)
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "\nThe rule that does it is rules/demo.toml. The gateway serves until Ctrl-C; try:\n\n  \
         curl -i http://{address}/demo -H 'Authorization: Bearer {}'\n  \
         curl -i http://{address}/demo -H 'Authorization: Bearer {}'\n  \
         curl -i http://{address}/demo\n\n\
         Then copy the rule into a folder of your own, edit it for your provider, and run\n\n  \
         claimsmith check my-rules\n  \
         claimsmith serve --rules my-rules",
        provider::TOKEN,
        provider::REVOKED
    )
}

struct Asked {
    status: u16,
    body: String,
}

/// Asks as an auth server would. The provider also wants its API key, which the gateway ignores.
async fn ask(host: &Upstream, url: &str, token: &str) -> Result<Asked, String> {
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
    let key = HeaderValue::from_static(provider::API_KEY);
    let headers = [(header::AUTHORIZATION, bearer), (HeaderName::from_static("x-api-key"), key)];
    let outgoing = Outgoing {
        method: Method::GET,
        url: url.parse().map_err(|_| format!("not a URL: {url}"))?,
        headers: headers.into_iter().collect(),
        body: Bytes::new(),
        timeout: None,
        identity: None,
        number: 0,
    };
    let answer = host.fetch(outgoing).await.map_err(|error| format!("the demo cannot reach itself: {error:?}"))?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let body = serde_json::from_str(&body).map(|json| columns::pretty(&json, &body)).unwrap_or(body);
    Ok(Asked { status: answer.status.as_u16(), body })
}
