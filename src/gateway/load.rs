//! Reads the rules of a folder and of the catalogue, and what stands beside them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use crate::{
    catalogue::{Catalogue, PREFIX},
    config::{DEFAULT_RULES, Settings},
    core::{MAX_SOURCE, problem::Source},
};

/// The largest file beside a rule: no upstream may answer more.
const MAX_BESIDE: u64 = 1024 * 1024;
/// Rules of a folder; with more it is most likely the wrong one.
const MAX_RULES: usize = 10_000;

/// A rule's name and text, or why that cannot be read.
pub type Text = (String, Result<Arc<Source>, String>);

/// The texts of all rules of the folder, and of those of the catalogue that the settings use; and the names of those of
/// the catalogue that rules of the folder stand in for.
///
/// # Errors
/// When the folder cannot be read, or the catalogue has no such rule.
pub fn texts(settings: &Settings) -> Result<(Vec<Text>, Vec<String>), String> {
    let mut texts: Vec<Text> = local(settings)?.iter().map(|path| (stem(path), source(path))).collect();
    if texts.len() > MAX_RULES {
        let folder = settings.rules.display();
        return Err(format!("{folder} has {} rules, and at most {MAX_RULES} are loaded", texts.len()));
    }
    let (local, mut hidden) = (texts.len(), Vec::new());
    // Opened here and dropped again: what serves keeps nothing of it but its rules.
    let catalogue = (!settings.shipped.is_empty()).then(Catalogue::open);
    for name in &settings.shipped {
        let Some(catalogue) = &catalogue else { break };
        let shipped = catalogue.find(name)?;
        match texts.iter().position(|(other, _)| other == shipped.name) {
            Some(number) if number < local => hidden.push(name.clone()),
            // It was named twice.
            Some(_) => {}
            None => {
                let source = Source::new(format!("{PREFIX}{}", shipped.name), shipped.rule);
                texts.push((shipped.name.to_owned(), Ok(source)));
            }
        }
    }
    Ok((texts, hidden))
}

/// The rule files of the folder. Who uses the catalogue and names no folder needs none.
fn local(settings: &Settings) -> Result<Vec<PathBuf>, String> {
    let needless =
        !settings.shipped.is_empty() && settings.rules == Path::new(DEFAULT_RULES) && !settings.rules.exists();
    if needless { Ok(Vec::new()) } else { files(&settings.rules) }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The catalogue, for commands that take rules from it one by one.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(Catalogue::open)
}

/// The folder that stands for the catalogue: its files are the rules and cases that are shipped.
pub fn shipped_folder() -> &'static Path {
    Path::new(PREFIX)
}

/// The text of a file in the folder that stands for the catalogue; `None` for any other file.
fn shipped(path: &Path) -> Option<Result<&'static str, String>> {
    let name = path.strip_prefix(shipped_folder()).ok()?.to_str()?;
    let (name, cases) = match name.strip_suffix(".test.toml") {
        Some(name) => (name, true),
        None => (name.trim_end_matches(".toml"), false),
    };
    Some(catalogue().find(name).map(|shipped| if cases { shipped.cases } else { shipped.rule }))
}

/// True for a file that can be read, also one of the catalogue.
pub fn is_file(path: &Path) -> bool {
    shipped(path).map_or_else(|| path.is_file(), |text| text.is_ok())
}

/// True for a folder, also the one that stands for the catalogue.
pub fn is_folder(path: &Path) -> bool {
    path == shipped_folder() || path.is_dir()
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
    if folder == shipped_folder() {
        let of = |name: &str| [format!("{name}.test.toml"), format!("{name}.toml")].map(|file| folder.join(file));
        return Ok(catalogue().iter().flat_map(|shipped| of(shipped.name)).collect());
    }
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
    if let Some(text) = shipped(path) {
        return text.map(|text| Source::new(path.display().to_string(), text));
    }
    let fault = |why: String| format!("cannot read {}: {why}", path.display());
    let length = fs::metadata(path).map_err(|error| fault(absent(path, &error)))?.len();
    if length > MAX_SOURCE as u64 {
        return Err(fault(format!("it has {length} bytes, and a rule has at most {MAX_SOURCE}")));
    }
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    Ok(Source::new(path.display().to_string(), text))
}

/// Why a file is not there; somebody may have meant a rule that is shipped.
fn absent(path: &Path, error: &io::Error) -> String {
    let name = stem(path);
    match error.kind() {
        io::ErrorKind::NotFound if catalogue().get(&name).is_some() => {
            format!("{error}; `{PREFIX}{name}` is the rule that is shipped")
        }
        _ => error.to_string(),
    }
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
