//! `claimsmith health`: whether the process that runs with these settings is ready.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::{Common, DONE, WRONG, output, runtime};
use crate::{
    config::{self, Allowed},
    core::{Host, Outgoing},
    gateway::{Secrets, Store, Upstream, admin_address},
};

/// How long the answer is waited for.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) fn run(common: &Common) -> Result<u8, String> {
    let mut settings = config::load(&common.flags())?.settings;
    let address = admin_address(&settings.admin).ok_or("`admin.listen` is off: there is nobody to ask")?;
    // The one address that this command is about, whatever calls may reach, and as it is.
    settings.upstream =
        config::Upstream { allow: vec![Allowed::Network(address.ip().into())], ..config::Upstream::default() };
    let host = Upstream::new(&settings, Secrets::Placeholders, Store::new())?;
    let url = format!("http://{address}/readyz");
    let outgoing = Outgoing {
        method: Method::GET,
        url: url.parse().map_err(|_| format!("not a URL: {url}"))?,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Some(LIMIT),
        identity: None,
        number: 0,
    };
    // Nobody there is an answer too: a container with no process is not healthy.
    let Ok(answer) = runtime()?.block_on(host.fetch(outgoing)) else {
        output::say(&format!("{address} does not answer"));
        return Ok(WRONG);
    };
    output::say(String::from_utf8_lossy(&answer.body).trim_end());
    Ok(if answer.status == StatusCode::OK { DONE } else { WRONG })
}
