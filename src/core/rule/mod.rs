//! What a rule *says*: the file as written, with the place of everything in it.
//!
//! Nothing here runs, and nothing here is resolved: [`read`] checks that each key
//! exists and has the right type, and leaves the meaning to the steps.

mod auth;
mod cache;
mod calls;
mod cases;
mod decode;
mod names;
mod text;
mod token;
mod values;
pub mod words;

use std::sync::Arc;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use auth::{ClientCredentials, Mtls, Scheme, Style};
pub use cache::{Cache, Lifetimes};
pub use calls::{Body, Call, Each, JsonBody, PageBy, Paginate, Retry, TokenPlace};
pub use cases::{Asked, Case, Content, Expected, Recorded, Reply, Sent, read_cases};
pub use decode::{Decode, Format};
pub use names::{RESERVED, is_call_name, is_claim_name, is_rule_name, is_variable_name};
pub use text::{Key, Text};
pub use token::{Introspect, Jwt, Token};
pub use values::{Options, Selection, Written};

use self::text::{DENIAL_HELP, Fields, Reader};
use super::{
    denial::Denial,
    host::SecretSource,
    problem::{Code, Place, Problem, Problems, Severity, Source, Span, did_you_mean},
};

/// The longest rule file or script that is read, in bytes.
pub const MAX_SOURCE: usize = 256 * 1024;

/// A rule file as written.
#[derive(Debug)]
pub struct Rule {
    /// The text it was read from.
    pub source: Arc<Source>,
    /// Who reads the answer.
    pub receiver: Option<Text>,
    /// The claim that identifies the user; `sub` without one.
    pub subject: Option<Text>,
    /// How long its answers are used again.
    pub cache: Option<Cache>,
    /// Knobs with their defaults.
    pub vars: Vec<(Key, Value)>,
    /// Where secrets come from; `None` where that could not be read, which was reported.
    pub secrets: Vec<(Key, Option<SecretSource>)>,
    /// What the caller's token must be.
    pub token: Option<Token>,
    /// Headers of the caller's request that the document shows.
    pub request_headers: Vec<Text>,
    /// Query parameters of the caller's request that the document shows.
    pub request_query: Vec<Text>,
    /// The calls, in the order of the file.
    pub calls: Vec<Call>,
    /// The names of calls that could not be read, which was reported: they are declared all the same.
    pub unread_calls: Vec<String>,
    /// Objects whose members become claims.
    pub include: Vec<Include>,
    /// The claims, in the order of the file.
    pub claims: Vec<(Key, Written)>,
    /// The guards.
    pub require: Vec<Require>,
    /// The last word.
    pub script: Option<Script>,
    /// Findings that the author accepts, by their code, with the reason.
    pub accept: Vec<(Key, Text)>,
    /// Something may say who the user is, also something that could not be read.
    pub identified: bool,
}

/// `include`: copies the members of an object as claims.
#[derive(Debug)]
pub struct Include {
    /// The object.
    pub path: Text,
    /// Only these members.
    pub only: Option<Vec<Text>>,
    /// All but these.
    pub except: Vec<Text>,
    /// The separator that joins the names of nested members.
    pub flatten: Option<Text>,
}

/// `[[require]]`: what must hold, and what is answered otherwise.
#[derive(Debug)]
pub struct Require {
    /// A Rhai expression.
    pub that: Text,
    /// The error code to answer.
    pub error: Text,
    /// What the caller is told.
    pub reason: Option<Text>,
}

/// `[script]`: inline, or a file beside the rule.
#[derive(Debug)]
pub enum Script {
    /// The text in the rule file.
    Inline(Text),
    /// The name of a file in the same folder.
    File(Text),
}

impl Rule {
    /// The claim that identifies the user.
    pub fn subject_name(&self) -> &str {
        self.subject.as_ref().map_or("sub", |subject| &subject.value)
    }
}

/// Reads a rule. Gives what could be understood, and adds all that could not to `problems`.
pub fn read(source: &Arc<Source>, problems: &mut Problems) -> Option<Rule> {
    let table = toml(source, &format!("a rule file has at most {MAX_SOURCE} bytes"), problems)?;
    let reader = &mut Reader::new(source, problems);
    let whole = Fields::new("the rule", table.get_ref(), 0..source.text.len().min(1));
    Some(rule(reader, &whole))
}

/// The text as TOML. What keeps it from being so is reported.
fn toml<'s>(source: &'s Arc<Source>, bound: &str, problems: &mut Problems) -> Option<Spanned<DeTable<'s>>> {
    if source.text.len() > MAX_SOURCE {
        let place = Place { source: source.clone(), span: 0..0 };
        let message = format!("the file has {} bytes", source.text.len());
        problems.add(Problem::new(Code::TooLarge, place, message).help(bound));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut reader = Reader::new(source, problems);
    errors.iter().for_each(|error| reader.not_toml(error));
    errors.is_empty().then_some(table)
}

/// True for a text that is TOML and not too large; adds what is wrong with any other.
pub fn is_toml(source: &Arc<Source>, problems: &mut Problems) -> bool {
    toml(source, &format!("a file has at most {MAX_SOURCE} bytes"), problems).is_some()
}

fn rule(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Rule {
    reader.known(fields, &words::RULE);
    let request = reader.table(fields, "request", "[request]");
    if let Some(request) = &request {
        reader.known(request, &words::REQUEST);
    }
    let listed = |reader: &mut Reader<'_>, key: &str| {
        request.as_ref().map(|request| reader.texts(request, key)).unwrap_or_default()
    };
    // These two are for people; they only have to be text.
    for key in ["description", "docs"] {
        reader.text(fields, key);
    }
    let vars = vars(reader, fields);
    login(reader, fields, &vars);
    let subject = reader.text(fields, "subject");
    let identified = is_identified(fields, subject.as_ref());
    let (calls, unread_calls) = calls::read(reader, fields);
    Rule {
        source: reader.source().clone(),
        receiver: reader.text(fields, "receiver"),
        subject,
        cache: cache::read(reader, fields),
        vars,
        secrets: secrets(reader, fields),
        token: token::read(reader, fields),
        request_headers: listed(reader, "headers"),
        request_query: listed(reader, "query"),
        calls,
        unread_calls,
        include: include(reader, fields),
        claims: claims(reader, fields),
        require: require(reader, fields),
        script: script(reader, fields),
        accept: accept(reader, fields),
        identified,
    }
}

/// `[login]`: what the auth server must be told besides our address. It is for people; it only has to be sound.
fn login(reader: &mut Reader<'_>, fields: &Fields<'_>, vars: &[(Key, Value)]) {
    let Some(login) = reader.table(fields, "login", "[login]") else { return };
    reader.known(&login, &words::LOGIN);
    for key in ["authorization_url", "token_url"] {
        let Some(text) = reader.text(&login, key) else { continue };
        // A whole address may come from a var, as that of a call may.
        let start = match text.value.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            Some((inner, _)) => {
                let name = inner.trim().strip_prefix("vars.");
                let var = name.and_then(|name| vars.iter().find(|(key, _)| key.name == name));
                var.and_then(|(_, value)| value.as_str()).unwrap_or_default()
            }
            None => &text.value,
        };
        if !start.starts_with("https://") && start != STAND_IN {
            let message = format!("`login.{key}` is no address of a provider");
            reader.bad_value(
                text.span,
                message,
                "not an `https` URL",
                "write `https://host/path`, with `${vars.…}` where it differs",
            );
        }
    }
    reader.texts(&login, "scopes");
}

/// False if it is certain that no claim says who the user is, whatever else is wrong.
fn is_identified(fields: &Fields<'_>, subject: Option<&Text>) -> bool {
    let name = subject.map_or("sub", |subject| &subject.value);
    let claimed = fields.get("claims").is_some_and(|claims| match claims.get_ref() {
        DeValue::Table(claims) => claims.iter().any(|(key, _)| key.get_ref() == name),
        _ => true,
    });
    claimed
        || fields.has("include")
        || fields.has("script")
        || fields.has("subject") && subject.is_none()
        || ["claims", "include", "script", "subject"].iter().any(|key| fields.misspells(key))
}

/// What stands for a var that could not be read, so that nothing else is found wrong with it.
const STAND_IN: &str = "unread";

fn vars(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Key, Value)> {
    let Some(table) = reader.table(fields, "vars", "[vars]") else { return Vec::new() };
    let mut vars = Vec::new();
    for (key, value) in table.entries() {
        reader.variable_name(&key, "a var");
        match reader.json(value) {
            Some(Value::Array(_) | Value::Object(_)) => {
                reader.wrong_type(&format!("vars.{}", key.name), value, "a string, number or boolean");
                vars.push((key, STAND_IN.into()));
            }
            Some(json) => vars.push((key, json)),
            None => vars.push((key, STAND_IN.into())),
        }
    }
    vars
}

fn secrets(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Key, Option<SecretSource>)> {
    let Some(table) = reader.table(fields, "secrets", "[secrets]") else { return Vec::new() };
    let mut secrets = Vec::new();
    for (key, value) in table.entries() {
        reader.variable_name(&key, "a secret");
        let what = format!("secrets.{}", key.name);
        let source = match value.get_ref() {
            DeValue::Table(_) => reader.as_table(value, &what).and_then(|source| secret(reader, &source)),
            _ => {
                reader.secret_value(&what, value);
                None
            }
        };
        secrets.push((key, source));
    }
    secrets
}

fn secret(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SecretSource> {
    let sound = reader.known(fields, &words::SECRET);
    match (fields.has("env"), fields.has("file")) {
        (true, false) => return reader.text(fields, "env").map(|env| SecretSource::Env(env.value)),
        (false, true) => return reader.text(fields, "file").map(|file| SecretSource::File(file.value)),
        (true, true) => reader.conflict(fields, "`env` and `file` exclude each other"),
        (false, false) if sound => {
            reader.missing(fields, "env", "say `{ env = \"NAME\" }` or `{ file = \"/path\" }`");
        }
        (false, false) => {}
    }
    None
}

fn include(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Include> {
    let mut includes = Vec::new();
    for table in reader.tables(fields, "include", "include") {
        reader.known(&table, &words::INCLUDE);
        let path = reader.required_text(&table, "path", "name the object: `path = \"$.user\"`");
        let Some(path) = path else { continue };
        if table.has("only") && table.has("except") {
            reader.conflict(&table, "`only` and `except` exclude each other");
        }
        includes.push(Include {
            path,
            only: table.has("only").then(|| reader.texts(&table, "only")),
            except: reader.texts(&table, "except"),
            flatten: reader.text(&table, "flatten"),
        });
    }
    includes
}

fn claims(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Key, Written)> {
    let Some(table) = reader.table(fields, "claims", "[claims]") else { return Vec::new() };
    let mut claims = Vec::new();
    for (key, value) in table.entries() {
        if !is_claim_name(&key.name) {
            reader.bad_name(&key, "a claim has a name of up to 255 characters, none of them a control character");
        }
        if let Some(written) = values::read(reader, value, &format!("claims.{}", key.name)) {
            claims.push((key, written));
        }
    }
    claims
}

fn require(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Require> {
    let mut guards = Vec::new();
    for table in reader.tables(fields, "require", "[[require]]") {
        reader.known(&table, &words::REQUIRE);
        let that = reader.required_text(&table, "that", "add `that = \"…\"`: the Rhai expression that must hold");
        let error = reader.required_text(&table, "error", DENIAL_HELP);
        let reason = reader.text(&table, "reason");
        if let (Some(that), Some(error)) = (that, error) {
            guards.push(Require { that, error, reason });
        }
    }
    guards
}

fn script(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Script> {
    let table = reader.table(fields, "script", "[script]")?;
    let sound = reader.known(&table, &words::SCRIPT);
    match (table.has("source"), table.has("file")) {
        (true, false) => return reader.text(&table, "source").map(Script::Inline),
        (false, true) => return reader.text(&table, "file").map(Script::File),
        (true, true) => reader.conflict(&table, "`source` and `file` exclude each other"),
        (false, false) if sound => {
            reader.missing(&table, "source", "write the script as `source = '''…'''`, or name its `file`");
        }
        (false, false) => {}
    }
    None
}

fn accept(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Key, Text)> {
    let Some(table) = reader.table(fields, "accept", "[accept]") else { return Vec::new() };
    let mut accepted = Vec::new();
    for (key, value) in table.entries() {
        let Some(reason) = reader.as_text(value, &format!("accept.{}", key.name)) else { continue };
        match Code::parse(&key.name).map(Code::severity) {
            None | Some(Severity::Error) => {
                let message = format!("`{}` is no finding that can be accepted", key.name);
                let help = "warnings and advice can be, by the code that `claimsmith check` prints: CS9004";
                reader.bad_value(key.span, message, "neither a warning nor advice", help);
            }
            Some(_) if reason.value.trim().is_empty() => {
                let help = "say why it is right here, for whoever reads the rule next";
                reader.bad_value(reason.span, "a finding is accepted with a reason", "no reason", help);
            }
            Some(_) => accepted.push((key, reason)),
        }
    }
    accepted
}

/// The error that a rule answers with this code, or a problem that lists the codes.
pub fn denial(source: &Arc<Source>, text: &Text, problems: &mut Problems) -> Option<Denial> {
    let found = Denial::parse(&text.value);
    if found.is_none() {
        let message = format!("not an error that a rule can answer: `{}`", text.value);
        let help = did_you_mean(&text.value, Denial::ALL.map(Denial::code));
        let problem = Problem::new(Code::BadValue, place(source, &text.span), message);
        problems.add(problem.label("unknown error").help(help));
    }
    found
}

/// Where a value stands that must not be seen: its excerpt has stars.
pub fn masked_place(source: &Arc<Source>, span: &Span) -> Place {
    let Span { start, end } = *span;
    let text = &source.text;
    // Lines stay lines, so that the place is the same.
    let stars = text[start..end].chars().map(|c| if c == '\n' { '\n' } else { '*' });
    let masked = format!("{}{}{}", &text[..start], stars.collect::<String>(), &text[end..]);
    let end = start + text[start..end].chars().count();
    Place { source: Source::new(source.name.as_str(), masked), span: start..end }
}

/// Where a value of the rule stands.
pub fn place(source: &Arc<Source>, span: &Span) -> Place {
    Place { source: source.clone(), span: span.clone() }
}
