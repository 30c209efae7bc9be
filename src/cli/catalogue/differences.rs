//! How rules of a folder differ from those of the same name that are shipped.

use std::path::Path;

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

use crate::{
    catalogue::PREFIX,
    cli::output,
    gateway::{catalogue, files, is_file, source},
};

/// Shows the differences of rules and cases; true if there is one.
pub(super) fn show(folder: &Path, names: &[String]) -> Result<bool, String> {
    let names = if names.is_empty() { copies(folder)? } else { names.to_vec() };
    let mut differ = 0;
    for name in &names {
        let shipped = catalogue().find(name)?;
        for (file, text) in [(format!("{name}.toml"), shipped.rule), (format!("{name}.test.toml"), shipped.cases)] {
            let path = folder.join(&file);
            // Cases may have been left away; a rule that is named has to be there.
            let local = if file.ends_with(".test.toml") && !is_file(&path) { None } else { Some(source(&path)?) };
            let local = local.as_ref().map_or("", |source| &*source.text);
            if local != text {
                differ += 1;
                output::say(&format!("--- {PREFIX}{file}\n+++ {}", path.display()));
                output::say(changes(text, local).trim_end());
            }
        }
    }
    let looked_at = output::count(names.len(), "rule");
    output::remark(&format!("{looked_at} with the name of a shipped one; {differ} of the files differ"));
    Ok(differ > 0)
}

/// The lines that differ, with a few around them.
fn changes(shipped: &str, local: &str) -> String {
    let lines = InternedInput::new(shipped, local);
    let mut diff = Diff::compute(Algorithm::Histogram, &lines);
    diff.postprocess_lines(&lines);
    diff.unified_diff(&BasicLineDiffPrinter(&lines.interner), UnifiedDiffConfig::default(), &lines).to_string()
}

/// The rules of the folder that have the name of a shipped one.
fn copies(folder: &Path) -> Result<Vec<String>, String> {
    let names = files(folder)?.into_iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    Ok(names.filter(|name| catalogue().get(name).is_some()).collect())
}
