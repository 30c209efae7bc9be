//! Compiles the rules of the settings, once or again and again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Upstream, load::texts};
use crate::{
    config::Settings,
    core::{
        CompiledRule, Compiler, Host, Ingredients, Routes, SecretSource, ingredients,
        problem::{Problem, Source},
    },
};

/// The rules of the settings, and what is wrong with those that are refused.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that serve.
    pub routes: Routes<CompiledRule>,
    /// All problems, also those of rules that serve.
    pub problems: Vec<Problem>,
    /// The names of the rules that do not serve.
    pub refused: Vec<String>,
    /// How each rule stands, by its name.
    pub reports: Vec<Report>,
    /// The names of rules that were compiled, or could not be read.
    pub changed: Vec<String>,
    /// The names of rules that were there before and are no more.
    pub removed: Vec<String>,
    /// Files that were read or asked for besides the rules themselves.
    pub besides: Vec<PathBuf>,
}

/// How a rule stands.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Whether it serves.
    pub state: State,
    /// The first digits of the hash of what serves: of its text, its script and its vars.
    pub revision: String,
    /// When that was loaded, since 1970.
    pub since: Duration,
    /// What is wrong with the files as they are.
    pub problems: Vec<Problem>,
    /// Why the file cannot be read.
    pub unreadable: Option<String>,
}

/// Whether a rule serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves as its files say.
    Serving,
    /// Its files are broken; the last form that was sound goes on serving.
    Kept,
    /// It is broken and never was sound.
    Refused,
}

impl State {
    /// All states, in the order in which they are listed.
    pub const ALL: [State; 3] = [State::Serving, State::Kept, State::Refused];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Kept => "kept",
            State::Refused => "refused",
        }
    }
}

/// Reads and compiles all rules of a folder, and those of the catalogue that the settings use. A rule with an error is
/// refused, the others serve.
///
/// # Errors
/// When the folder cannot be read, or the catalogue has no such rule.
pub fn load(settings: &Settings, host: &Upstream) -> Result<Loaded, String> {
    Loader::new().load(settings, host)
}

/// Loads rules again and again. Only what has changed is compiled, and a rule that breaks keeps its last sound form.
#[derive(Debug)]
pub struct Loader {
    compiler: Compiler,
    known: BTreeMap<String, Known>,
}

/// What is known of a rule.
#[derive(Debug)]
struct Known {
    /// Of everything that went into it, secrets too: for comparing, never to be shown. `None` if it was unreadable.
    fingerprint: Option<[u8; 32]>,
    sound: Option<Arc<CompiledRule>>,
    report: Report,
}

impl Loader {
    /// One that knows no rule yet.
    pub fn new() -> Self {
        Loader { compiler: Compiler::new::<Upstream>(), known: BTreeMap::new() }
    }

    /// Reads the rules of the settings, and compiles what has changed.
    ///
    /// # Errors
    /// When the folder cannot be read, or the catalogue has no such rule. What is known stays.
    pub fn load(&mut self, settings: &Settings, host: &Upstream) -> Result<Loaded, String> {
        let (texts, hidden) = texts(settings)?;
        let (mut changed, mut besides) = (Vec::new(), Vec::new());
        let mut before = std::mem::take(&mut self.known);
        for (name, source) in texts {
            let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
            let rule = Read::new(source, vars, host, &mut besides, &settings.rules);
            let old = before.remove(&name);
            let known = match old {
                Some(known) if rule.is_same(&known) => known,
                old => {
                    changed.push(name.clone());
                    self.compile(&name, rule, old, host)
                }
            };
            self.known.insert(name, known);
        }
        for rule in hidden.iter().filter(|name| changed.contains(name)) {
            tracing::info!(rule, "the rules folder has a rule of this name: that one is taken, not the shipped one");
        }
        Ok(self.loaded(changed, before.into_keys().collect(), besides))
    }

    fn compile(&self, name: &str, read: Read, old: Option<Known>, host: &Upstream) -> Known {
        let (rule, problems, unreadable) = match &read.source {
            Err(why) => (None, Vec::new(), Some(why.clone())),
            Ok(source) => {
                let (rule, found) = self.compiler.compile(name, source, &read.vars, host);
                (rule, found.sorted(), None)
            }
        };
        let report = |state, revision, since| Report {
            name: name.to_owned(),
            state,
            revision,
            since,
            problems: problems.clone(),
            unreadable: unreadable.clone(),
        };
        let fingerprint = read.fingerprint;
        match (rule, old) {
            (Some(rule), _) => {
                let report = report(State::Serving, read.revision, Upstream::now());
                Known { fingerprint, sound: Some(Arc::new(rule)), report }
            }
            (None, Some(Known { sound: Some(rule), report: old, .. })) => {
                Known { fingerprint, sound: Some(rule), report: report(State::Kept, old.revision, old.since) }
            }
            (None, _) => {
                Known { fingerprint, sound: None, report: report(State::Refused, String::new(), Upstream::now()) }
            }
        }
    }

    fn loaded(&self, changed: Vec<String>, removed: Vec<String>, besides: Vec<PathBuf>) -> Loaded {
        let sound = self.known.iter().filter_map(|(name, known)| Some((name.clone(), known.sound.clone()?)));
        let reports: Vec<_> = self.known.values().map(|known| known.report.clone()).collect();
        let refused = reports.iter().filter(|report| report.state == State::Refused);
        Loaded {
            routes: Routes::new(sound),
            problems: reports.iter().flat_map(|report| report.problems.clone()).collect(),
            refused: refused.map(|report| report.name.clone()).collect(),
            reports,
            changed,
            removed,
            besides,
        }
    }
}

impl Default for Loader {
    fn default() -> Self {
        Loader::new()
    }
}

/// A rule as its files are now.
struct Read {
    source: Result<Arc<Source>, String>,
    vars: Map<String, Value>,
    revision: String,
    fingerprint: Option<[u8; 32]>,
}

impl Read {
    fn new(
        source: Result<Arc<Source>, String>,
        vars: Map<String, Value>,
        host: &Upstream,
        besides: &mut Vec<PathBuf>,
        folder: &Path,
    ) -> Self {
        let Ok(text) = &source else { return Read { source, vars, revision: String::new(), fingerprint: None } };
        let Ingredients { secrets, script } = ingredients(text);
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(text.text.as_bytes());
        add(Value::Object(vars.clone()).to_string().as_bytes());
        if let Some(name) = &script {
            besides.push(folder.join(name));
            add(host.script(name).unwrap_or_else(|why| why).as_bytes());
        }
        let shown = hash.clone().finalize();
        for (name, source) in &secrets {
            if let SecretSource::File(path) = source {
                besides.push(path.into());
            }
            match host.secret(name, source) {
                Ok(secret) => hash.update(Sha256::digest(secret.expose())),
                Err(why) => hash.update(Sha256::digest(why)),
            }
        }
        let revision = shown.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Read { source, vars, revision, fingerprint: Some(hash.finalize().into()) }
    }

    fn is_same(&self, known: &Known) -> bool {
        match &self.source {
            Ok(_) => self.fingerprint.is_some() && self.fingerprint == known.fingerprint,
            Err(why) => known.report.unreadable.as_ref() == Some(why),
        }
    }
}
