//! Secrets from AWS's own extension for parameters and secrets, for those that are no variables of the function.
//!
//! With `PARAMETERS_PREFIX=/claimsmith/` the secret that a rule names by `{ env = "ACME_API_KEY" }` is the parameter
//! `/claimsmith/ACME_API_KEY`, decrypted.

use std::{collections::HashMap, env, time::Duration};

use bytes::Bytes;
use claimsmith::{
    config::{Allowed, Settings},
    core::{Host, Outgoing, Secret, SecretSource, ingredients},
    gateway::{Secrets, Store, Upstream, rule_texts},
};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

/// The longest that the extension may take for one parameter.
const LIMIT: Duration = Duration::from_secs(3);

/// The secrets of all rules that are not in the environment.
///
/// # Errors
/// A sentence that says which cannot be had, without any value.
pub async fn load(settings: &Settings) -> Result<Secrets, String> {
    let Ok(prefix) = env::var("PARAMETERS_PREFIX") else { return Ok(Secrets::Real) };
    let origin = origin();
    // The extension is on this machine, where the calls of rules must not go. This host asks for nothing else.
    let mut own = settings.clone();
    own.upstream.allow.push(origin.parse::<Allowed>()?);
    let host = Upstream::new(&own, Secrets::Real, Store::with(&own))?;
    let mut values = HashMap::new();
    for (_, source) in rule_texts(settings)?.0 {
        // A rule that cannot be read is told when rules are loaded.
        let Ok(source) = source else { continue };
        for (_, secret) in ingredients(&source).secrets {
            if let SecretSource::Env(name) = secret
                && env::var_os(&name).is_none()
                && !values.contains_key(&name)
            {
                let value = parameter(&origin, &format!("{prefix}{name}"), &host).await?;
                values.insert(name, value);
            }
        }
    }
    Ok(Secrets::Given(values.into()))
}

/// Where the extension listens.
fn origin() -> String {
    let port = env::var("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT").unwrap_or_else(|_| "2773".into());
    format!("http://localhost:{port}")
}

async fn parameter(origin: &str, name: &str, host: &Upstream) -> Result<Secret, String> {
    let fault = |why: String| format!("the parameter {name} cannot be had: {why}");
    let mut url = Url::parse(&format!("{origin}/systemsmanager/parameters/get"))
        .map_err(|_| fault("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT is no port".into()))?;
    url.query_pairs_mut().append_pair("name", name).append_pair("withDecryption", "true");
    let session = env::var("AWS_SESSION_TOKEN").unwrap_or_default();
    let mut session = HeaderValue::try_from(session).map_err(|_| fault("AWS_SESSION_TOKEN is no header".into()))?;
    session.set_sensitive(true);
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-aws-parameters-secrets-token"), session)]);
    let request = Outgoing {
        method: Method::GET,
        url,
        headers,
        body: Bytes::new(),
        timeout: Some(LIMIT),
        identity: None,
        number: 0,
    };
    let answer = host.fetch(request).await.map_err(|error| fault(error.words()))?;
    if !answer.status.is_success() {
        return Err(fault(format!("the extension answers {}", answer.status.as_u16())));
    }
    let body: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|_| fault("the extension answers no JSON".into()))?;
    match body["Parameter"]["Value"].as_str() {
        Some(value) if !value.is_empty() => Ok(Secret::new(value)),
        _ => Err(fault("it has no value".into())),
    }
}
