//! How rules of a folder differ from those of the same name that are shipped.

use std::path::Path;

use similar::TextDiff;

use crate::{
    catalogue::PREFIX,
    cli::output,
    gateway::{catalogue, files, is_file, source},
};

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

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
                let diff = TextDiff::from_lines(text, local);
                let header = (format!("{PREFIX}{file}"), path.display().to_string());
                let shown = diff.unified_diff().context_radius(CONTEXT).header(&header.0, &header.1).to_string();
                output::say(shown.trim_end());
            }
        }
    }
    let looked_at = output::count(names.len(), "rule");
    output::remark(&format!("{looked_at} with the name of a shipped one; {differ} of the files differ"));
    Ok(differ > 0)
}

/// The rules of the folder that have the name of a shipped one.
fn copies(folder: &Path) -> Result<Vec<String>, String> {
    let names = files(folder)?.into_iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    Ok(names.filter(|name| catalogue().get(name).is_some()).collect())
}
