//! From a rule as written to a rule that runs: each step compiles its part, and all
//! problems are kept.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc, time::Duration};

use http::HeaderName;
use serde_json::{Map, Value};

use super::{
    audit, calls, claims,
    facts::Root,
    host::{Host, SecretSource},
    message::Secret,
    problem::{Code, Place, Problem, Problems, Source, did_you_mean},
    receiver::{self, Contract},
    require,
    rule::{self, Key, Rule, is_rule_name},
    script, store, token,
    trace::Point,
    value::{Engine, Known},
};

/// A rule that is ready to answer requests. Nothing in it is text to be parsed.
#[derive(Debug)]
pub struct CompiledRule {
    name: String,
    source: Arc<Source>,
    pub(super) vars: Value,
    pub(super) headers: Vec<HeaderName>,
    pub(super) query: Vec<String>,
    /// Something in the rule reads `request`.
    pub(super) reads_request: bool,
    pub(super) token: Option<token::Check>,
    pub(super) calls: calls::Plan,
    pub(super) require: require::Plan,
    pub(super) claims: claims::Plan,
    pub(super) script: Option<script::Plan>,
    pub(super) receiver: Option<receiver::Plan>,
    /// How long its answers are used again.
    pub(super) cache: Option<rule::Lifetimes>,
    /// Names this rule with its vars, secrets and script: what is kept for one is of no use to another.
    pub(super) revision: store::Key,
    untried: Option<Problem>,
    /// What nobody who looks on may see.
    pub(super) secrets: BTreeMap<String, Secret>,
}

impl CompiledRule {
    /// The name, which is also its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that it was compiled from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// True for a claim that the rule, its script, its contract or the standard names. Others are named by an answer.
    pub(super) fn names(&self, claim: &str) -> bool {
        self.source.text.contains(claim)
            || self.script.as_ref().is_some_and(|script| script.text().contains(claim))
            || self.receiver.as_ref().is_some_and(|receiver| receiver.contract().names(claim))
            || claims::is_standard(claim)
    }

    /// True if callers' tokens are verified here, by a signature that nobody can make up.
    pub fn verifies_signatures(&self) -> bool {
        matches!(self.token, Some(token::Check::Jwt(_)))
    }

    /// What coverage asks of the cases of the rule, in the order of the file.
    pub fn points(&self) -> Vec<Point> {
        let script = self.script.iter().flat_map(script::Plan::points);
        let mut points: Vec<_> =
            self.calls.points().chain(self.require.points()).chain(self.claims.points()).chain(script).collect();
        // A script in a file of its own comes last.
        points.sort_by_key(|point| (point.place.source.name.ends_with(".rhai"), point.place.span.start));
        points
    }

    /// The claim that identifies the user.
    pub fn subject(&self) -> &str {
        self.claims.subject()
    }

    /// What the reader of its answers insists on, if the rule names one.
    pub fn contract(&self) -> Option<&'static Contract> {
        self.receiver.as_ref().map(receiver::Plan::contract)
    }

    /// When an answer must be there: by the settings, or sooner if the receiver hangs up before.
    pub fn deadline(&self, settings: Duration) -> Duration {
        self.contract().and_then(Contract::deadline).map_or(settings, |deadline| deadline.min(settings))
    }

    /// What is to be said of the rule if it has no cases; `None` if it needs none.
    pub fn untried(&self) -> Option<&Problem> {
        self.untried.as_ref()
    }
}

/// Compiles rules. One compiler, with one script engine, serves all rules of a process.
#[derive(Debug)]
pub struct Compiler {
    engine: Arc<Engine>,
    /// Rules keep all of their answers, not only what they read.
    whole: bool,
}

impl Compiler {
    /// A compiler for rules that run on hosts of this kind.
    pub fn new<H: Host>() -> Self {
        Compiler { engine: Arc::new(Engine::new(H::clock, H::now)), whole: false }
    }

    /// The same, for coverage: the scripts of its rules tell which of their statements run.
    pub fn watching<H: Host>() -> Self {
        Compiler { engine: Arc::new(Engine::new(H::clock, H::now).watching()), whole: false }
    }

    /// The same, for people who write rules: the answers of calls are there to be seen, whole.
    pub fn showing<H: Host>() -> Self {
        Compiler { whole: true, ..Compiler::new::<H>() }
    }

    /// Compiles one rule. `vars` are the operator's values for `[vars]`.
    ///
    /// The rule is there exactly if no problem is an error.
    pub fn compile<H: Host>(
        &self,
        name: &str,
        source: &Arc<Source>,
        vars: &Map<String, Value>,
        host: &H,
    ) -> (Option<CompiledRule>, Problems) {
        let mut problems = Problems::default();
        let compiled = rule::read(source, &mut problems).and_then(|rule| {
            check_name(name, source, &mut problems);
            self.steps(name, &rule, vars, host, &mut problems)
        });
        (compiled.filter(|_| !problems.refuse()), problems)
    }

    fn steps<H: Host>(
        &self,
        name: &str,
        rule: &Rule,
        vars: &Map<String, Value>,
        host: &H,
        problems: &mut Problems,
    ) -> Option<CompiledRule> {
        let vars = merge(rule, vars, problems);
        let secrets = resolve(rule, host, problems);
        // Those that could not be read come last, so that the others keep their numbers.
        let calls = rule.calls.iter().map(|call| &call.name.name).chain(&rule.unread_calls);
        let calls: Vec<_> = calls.cloned().collect();
        // What reads a call whose name stands for something else would only be misunderstood.
        if calls.iter().any(|name| !rule::is_call_name(name)) {
            return None;
        }
        let secret_names: Vec<_> = rule.secrets.iter().map(|(key, _)| key.name.clone()).collect();
        let known = Known {
            calls: &calls,
            vars: &vars,
            secrets: &secrets,
            secret_names: &secret_names,
            engine: &self.engine,
            each: false,
            token: token_claims(rule, &calls, problems),
        };
        let token = token::compile(rule, &known, problems);
        let calls = calls::compile(rule, &known, &|identity| host.check(identity), problems);
        let require = require::compile(rule, &known, problems);
        let contract = receiver::find(rule, problems);
        let kinds = contract.map(|contract| contract.kinds(rule.subject_name())).unwrap_or_default();
        let claims = claims::compile(rule, kinds, &known, problems);
        let beside = RefCell::new(String::new());
        let read = |file: &str| host.script(file).inspect(|text| beside.borrow_mut().clone_from(text));
        let script = script::compile(rule, read, &known, problems);
        let headers = listed_headers(rule, problems);
        let cache = rule.cache.as_ref().map(|cache| cache.lifetimes(&rule.source, problems));
        let (token, mut calls, require, claims, script) = (token?, calls?, require?, claims?, script?);
        calls.keep(&require.mentions());
        calls.keep(&claims.mentions());
        if let Some(script) = &script {
            calls.keep(script.mentions());
        }
        if self.whole {
            calls.keep_all();
        }
        if let Some(written) = &rule.cache {
            calls::check_changes(&rule.source, written, &calls, problems);
        }
        let revision = revision(name, rule, &vars, &secrets, &beside.borrow());
        calls.bind(revision, cache.is_some());
        calls::check_texts(&rule.source, &rule.calls, &calls, problems);
        // What is wrong already would only be told twice.
        if let Some(contract) = contract.filter(|_| !problems.refuse()) {
            receiver::check(rule, contract, problems);
        }
        if !problems.refuse() {
            audit::run(rule, token.as_ref(), &calls, problems);
        }
        let reads_request = [require.mentions(), claims.mentions(), calls.mentions().clone()]
            .iter()
            .chain(script.as_ref().map(script::Plan::mentions))
            .any(|mentions| mentions.paths.iter().any(|(root, _)| *root == Root::Request));
        let query = rule.request_query.iter().map(|text| text.value.clone()).collect();
        Some(CompiledRule {
            name: name.to_owned(),
            source: rule.source.clone(),
            vars,
            headers,
            query,
            reads_request,
            token,
            calls,
            require,
            claims,
            script,
            receiver: contract.map(|contract| receiver::Plan::new(contract, rule)),
            cache: cache.flatten(),
            revision,
            untried: audit::untried(rule),
            secrets,
        })
    }
}

/// Everything that decides what a compiled rule does.
fn revision(name: &str, rule: &Rule, vars: &Value, secrets: &BTreeMap<String, Secret>, script: &str) -> store::Key {
    let vars = vars.to_string();
    let mut parts = vec![env!("CARGO_PKG_VERSION"), name, &rule.source.text, &vars, script];
    for (name, secret) in secrets {
        parts.extend([name.as_str(), secret.expose()]);
    }
    store::Key::new("revision of a rule", &parts)
}

/// What a rule is made of besides its own text; all of it is read when the rule is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingredients {
    /// Its secrets, by their names in the rule.
    pub secrets: Vec<(String, SecretSource)>,
    /// The name of its script file.
    pub script: Option<String>,
}

/// What a rule names to be read besides it, as far as its text can be understood.
pub fn ingredients(source: &Arc<Source>) -> Ingredients {
    let Some(rule) = rule::read(source, &mut Problems::default()) else { return Ingredients::default() };
    let secrets = rule.secrets.into_iter().filter_map(|(key, source)| Some((key.name, source?))).collect();
    let script = match rule.script {
        Some(rule::Script::File(name)) => Some(name.value),
        Some(rule::Script::Inline(_)) | None => None,
    };
    Ingredients { secrets, script }
}

/// Where the claims of the caller's token are: verified here, or the answer of the call that goes first.
fn token_claims(rule: &Rule, calls: &[String], problems: &mut Problems) -> Option<Root> {
    match rule.token.as_ref()? {
        rule::Token::Jwt(_) | rule::Token::Introspect(_) => Some(Root::Token),
        rule::Token::Call(name) => match calls.iter().position(|call| *call == name.value) {
            Some(number) => Some(Root::Call(number)),
            None => {
                let place = rule::place(&rule.source, &name.span);
                let problem = Problem::new(Code::UnknownName, place, format!("no call is named `{}`", name.value));
                let help = did_you_mean(&name.value, calls.iter().map(String::as_str));
                problems.add(problem.label("unknown name").help(help));
                None
            }
        },
    }
}

fn check_name(name: &str, source: &Arc<Source>, problems: &mut Problems) {
    if !is_rule_name(name) {
        let place = Place { source: source.clone(), span: 0..0 };
        let problem = Problem::new(Code::BadName, place, format!("`{name}` cannot be the name of a rule"))
            .label("this file")
            .help("the file name is the path: lower-case letters, digits, `-` and `_`, at most 64");
        problems.add(problem);
    }
}

/// The rule's vars, with the operator's values. A value for a var that the rule does not have is a
/// problem: it is a typing error more often than not, and would be lost in silence.
fn merge(rule: &Rule, given: &Map<String, Value>, problems: &mut Problems) -> Value {
    let mut vars: Map<String, Value> = rule.vars.iter().map(|(key, value)| (key.name.clone(), value.clone())).collect();
    for (name, value) in given {
        match vars.get_mut(name) {
            Some(var) => *var = value.clone(),
            None => {
                let known = rule.vars.iter().map(|(key, _)| key.name.as_str());
                let problem = Problem::new(
                    Code::UnknownName,
                    start(rule),
                    format!("the settings give a var `{name}`, which the rule does not have"),
                )
                .label("this file")
                .help(did_you_mean(name, known));
                problems.add(problem);
            }
        }
    }
    Value::Object(vars)
}

fn start(rule: &Rule) -> Place {
    Place { source: rule.source.clone(), span: 0..0 }
}

fn resolve<H: Host>(rule: &Rule, host: &H, problems: &mut Problems) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for (key, source) in &rule.secrets {
        let Some(source) = source else { continue };
        match host.secret(&key.name, source) {
            Ok(secret) => {
                secrets.insert(key.name.clone(), secret);
            }
            Err(why) => problems.add(missing_secret(rule, key, source, &why)),
        }
    }
    secrets
}

fn missing_secret(rule: &Rule, key: &Key, source: &SecretSource, why: &str) -> Problem {
    let help = match source {
        SecretSource::Env(name) => format!("set the environment variable {name}"),
        SecretSource::File(path) => format!("put the secret into the file {path}"),
    };
    Problem::new(
        Code::MissingSecret,
        rule::place(&rule.source, &key.span),
        format!("the secret `{}` is missing", key.name),
    )
    .label(why)
    .help(help)
}

/// The caller's headers that the document shows. Those that carry credentials are never among them.
fn listed_headers(rule: &Rule, problems: &mut Problems) -> Vec<HeaderName> {
    const PRIVATE: [&str; 5] = ["authorization", "cookie", "dpop", "proxy-authorization", "set-cookie"];
    let mut headers = Vec::new();
    for text in &rule.request_headers {
        let place = rule::place(&rule.source, &text.span);
        match HeaderName::try_from(text.value.as_str()) {
            Ok(name) if PRIVATE.contains(&name.as_str()) => problems.add(
                Problem::new(Code::NotHere, place, format!("the header `{name}` is not in the document"))
                    .label("not offered")
                    .help("it carries credentials, which must not reach claims"),
            ),
            Ok(name) => headers.push(name),
            Err(_) => problems.add(
                Problem::new(Code::BadHeader, place, format!("not a header name: `{}`", text.value))
                    .label("no header has this name")
                    .help("letters, digits and `-`"),
            ),
        }
    }
    headers
}
