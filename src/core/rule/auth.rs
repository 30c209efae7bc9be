//! Our own credentials as written: `auth` of a call.

use super::{
    text::{Fields, Reader, Text},
    words,
};

/// `auth`: a kind of credentials, a certificate, or both.
#[derive(Debug)]
pub struct Auth {
    /// What stands in the header Authorization.
    pub scheme: Option<Scheme>,
    /// What we show when the connection is made.
    pub mtls: Option<Mtls>,
}

/// Credentials in the header Authorization.
#[derive(Debug)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer(Text),
    /// RFC 7617.
    Basic {
        /// The user-id.
        user: Text,
        /// The password.
        password: Text,
    },
    /// A bearer token that a token endpoint gives for our own credentials.
    ClientCredentials(Box<ClientCredentials>),
}

/// RFC 6749, section 4.4.
#[derive(Debug)]
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: Text,
    /// Who we are there.
    pub client_id: Text,
    /// Our password there; none if our certificate says who we are.
    pub client_secret: Option<Text>,
    /// The scopes, separated by spaces.
    pub scope: Option<Text>,
    /// Who the token is for, as some endpoints want it.
    pub audience: Option<Text>,
    /// Who the token is for, as RFC 8707 says it.
    pub resource: Option<Text>,
    /// Where `client_secret` stands.
    pub style: Style,
}

/// Where the secret of a client stands in a request for a token (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// In the header Authorization.
    #[default]
    Basic,
    /// In the form.
    Post,
}

/// A certificate and its key, each as PEM.
#[derive(Debug)]
pub struct Mtls {
    /// The chain, our own certificate first.
    pub certificate: Text,
    /// The private key.
    pub key: Text,
}

const HELP: &str = "write `{ bearer = \"${secrets.…}\" }`, `{ basic = { user = …, password = … } }` or \
    `{ client_credentials = { token_url = …, client_id = …, client_secret = … } }`";
const BASIC_HELP: &str = "write `{ basic = { user = …, password = … } }`";
const CLIENT_HELP: &str = "write `{ token_url = …, client_id = …, client_secret = … }`";
const MTLS_HELP: &str = "write `{ certificate = \"${secrets.…}\", key = \"${secrets.…}\" }`";
const SCHEMES: [&str; 3] = ["bearer", "basic", "client_credentials"];

pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Auth> {
    let table = reader.table(fields, "auth", "auth")?;
    let sound = reader.known(&table, &words::AUTH);
    let mtls = mtls(reader, &table);
    let named: Vec<_> = SCHEMES.into_iter().filter(|scheme| table.has(scheme)).collect();
    let scheme = match named[..] {
        ["bearer"] => reader.text(&table, "bearer").map(Scheme::Bearer),
        ["basic"] => basic(reader, &table),
        ["client_credentials"] => {
            let credentials = client_credentials(reader, &table);
            credentials.map(|credentials| Scheme::ClientCredentials(Box::new(credentials)))
        }
        [] if table.has("mtls") => None,
        [] if !sound => None,
        _ => {
            let label = if named.is_empty() { "none is named" } else { "several are named" };
            reader.bad_value(table.span(), "exactly one kind of credentials is wanted here", label, HELP);
            None
        }
    };
    (scheme.is_some() || mtls.is_some()).then_some(Auth { scheme, mtls })
}

fn basic(reader: &mut Reader<'_>, auth: &Fields<'_>) -> Option<Scheme> {
    let table = reader.table(auth, "basic", "auth.basic")?;
    reader.known(&table, &words::BASIC);
    let user = reader.required_text(&table, "user", BASIC_HELP);
    let password = reader.required_text(&table, "password", BASIC_HELP);
    Some(Scheme::Basic { user: user?, password: password? })
}

fn client_credentials(reader: &mut Reader<'_>, auth: &Fields<'_>) -> Option<ClientCredentials> {
    let table = reader.table(auth, "client_credentials", "auth.client_credentials")?;
    reader.known(&table, &words::CLIENT_CREDENTIALS);
    let token_url = reader.required_text(&table, "token_url", CLIENT_HELP);
    let client_id = reader.required_text(&table, "client_id", CLIENT_HELP);
    let client_secret = reader.text(&table, "client_secret");
    if !table.has("client_secret") && !auth.has("mtls") {
        reader.missing(&table, "client_secret", "add `client_secret = \"${secrets.…}\"`, or `mtls` beside it");
    }
    let style = style(reader, &table);
    if let Some(value) = table.get("style").filter(|_| !table.has("client_secret")) {
        let message = "`style` says where `client_secret` stands, and there is none";
        reader.bad_value(value.span(), message, "of no use here", "take it away, or add `client_secret`");
    }
    let scope = reader.text(&table, "scope");
    let audience = reader.text(&table, "audience");
    let resource = reader.text(&table, "resource");
    Some(ClientCredentials {
        token_url: token_url?,
        client_id: client_id?,
        client_secret,
        scope,
        audience,
        resource,
        style: style?,
    })
}

fn style(reader: &mut Reader<'_>, table: &Fields<'_>) -> Option<Style> {
    if !table.has("style") {
        return Some(Style::default());
    }
    let text = reader.text(table, "style")?;
    match text.value.as_str() {
        "basic" => Some(Style::Basic),
        "post" => Some(Style::Post),
        other => {
            let message = format!("not a way to send a client's secret: `{other}`");
            reader.bad_value(text.span.clone(), message, "unknown", "one of `basic` and `post`");
            None
        }
    }
}

fn mtls(reader: &mut Reader<'_>, auth: &Fields<'_>) -> Option<Mtls> {
    let table = reader.table(auth, "mtls", "auth.mtls")?;
    reader.known(&table, &words::MTLS);
    let certificate = reader.required_text(&table, "certificate", MTLS_HELP);
    let key = reader.required_text(&table, "key", MTLS_HELP);
    Some(Mtls { certificate: certificate?, key: key? })
}
