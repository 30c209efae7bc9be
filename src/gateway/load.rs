//! Reads a folder of rules and compiles them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Upstream;
use crate::{
    config::Settings,
    core::{
        CompiledRule, Compiler, MAX_SOURCE, Routes,
        problem::{Problem, Source},
    },
};

/// The largest file beside a rule: no upstream may answer more.
const MAX_BESIDE: u64 = 1024 * 1024;

/// The rules of a folder, and what is wrong with those that are refused.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that serve.
    pub routes: Routes<CompiledRule>,
    /// All problems, also those of rules that serve.
    pub problems: Vec<Problem>,
    /// The names of the rules that do not serve.
    pub refused: Vec<String>,
}

/// Reads and compiles all rules of a folder. A rule with an error is refused, the others serve.
///
/// # Errors
/// When the folder cannot be read.
pub fn load(settings: &Settings, host: &Upstream) -> Result<Loaded, String> {
    let compiler = Compiler::new::<Upstream>();
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    let mut refused = Vec::new();
    for path in files(&settings.rules)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = match source(&path) {
            Ok(source) => source,
            Err(why) => {
                tracing::error!(rule = name, "{why}");
                refused.push(name);
                continue;
            }
        };
        let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
        let (rule, found) = compiler.compile(&name, &source, &vars, host);
        problems.extend(found.sorted());
        match rule {
            Some(rule) => rules.push((name, rule)),
            None => refused.push(name),
        }
    }
    Ok(Loaded { routes: Routes::new(rules), problems, refused })
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
