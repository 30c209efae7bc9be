//! Reads a folder of rules and compiles them, once or again and again.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Upstream;
use crate::{
    config::Settings,
    core::{
        CompiledRule, Compiler, Host, Ingredients, MAX_SOURCE, Routes, SecretSource, ingredients,
        problem::{Problem, Source},
    },
};

/// The largest file beside a rule: no upstream may answer more.
const MAX_BESIDE: u64 = 1024 * 1024;
/// Rules of a folder; with more it is most likely the wrong one.
const MAX_RULES: usize = 10_000;

/// The rules of a folder, and what is wrong with those that are refused.
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

/// Reads and compiles all rules of a folder. A rule with an error is refused, the others serve.
///
/// # Errors
/// When the folder cannot be read.
pub fn load(settings: &Settings, host: &Upstream) -> Result<Loaded, String> {
    Loader::new().load(settings, host)
}

/// Loads a folder again and again. Only what has changed is compiled, and a rule that breaks keeps its last sound form.
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

    /// Reads the folder of the settings, and compiles what has changed.
    ///
    /// # Errors
    /// When the folder cannot be read. What is known stays.
    pub fn load(&mut self, settings: &Settings, host: &Upstream) -> Result<Loaded, String> {
        let files = files(&settings.rules)?;
        if files.len() > MAX_RULES {
            let folder = settings.rules.display();
            return Err(format!("{folder} has {} rules, and at most {MAX_RULES} are loaded", files.len()));
        }
        let (mut changed, mut besides) = (Vec::new(), Vec::new());
        let mut before = std::mem::take(&mut self.known);
        for path in files {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
            let rule = Read::new(&path, vars, host, &mut besides, &settings.rules);
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
    fn new(path: &Path, vars: Map<String, Value>, host: &Upstream, besides: &mut Vec<PathBuf>, folder: &Path) -> Self {
        let source = source(path);
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

/// The rule files of a folder, sorted. Case files, hidden files and other kinds are none.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = toml_files(folder)?;
    files.retain(|path| !path.to_string_lossy().ends_with(".test.toml"));
    Ok(files)
}

/// The rule files and case files of a folder, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fault = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; name the folder with `--rules` or the setting `rules`",
            _ => "",
        };
        format!("cannot read the rules folder {}: {error}{remedy}", folder.display())
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") && !name.starts_with('.') && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one text of a rule, bounded.
///
/// # Errors
/// A sentence that says why it cannot be read.
pub fn source(path: &Path) -> Result<Arc<Source>, String> {
    let fault = |why: String| format!("cannot read {}: {why}", path.display());
    let length = fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
    if length > MAX_SOURCE as u64 {
        return Err(fault(format!("it has {length} bytes, and a rule has at most {MAX_SOURCE}")));
    }
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    Ok(Source::new(path.display().to_string(), text))
}

/// A file that stands beside a rule, bounded: a script, or the body of an answer of a case.
///
/// # Errors
/// A sentence that says why it cannot be read.
pub fn bytes_beside(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err("a file of a case stands beside the rule".into());
    }
    let path = folder.join(name);
    let length = fs::metadata(&path).map_err(|error| error.to_string())?.len();
    if length > MAX_BESIDE {
        return Err(format!("it has {length} bytes, and at most {MAX_BESIDE} are read"));
    }
    fs::read(&path).map_err(|error| error.to_string())
}
