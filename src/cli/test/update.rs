//! `--update`: writes a file of cases, as it was rewritten.

use std::{fs, path::Path};

/// Writes the file, unless somebody else has changed it meanwhile.
pub(crate) fn write(path: &Path, before: &str, text: &str) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if fs::read_to_string(path).map_err(fault)? != before {
        return Err(format!("{} was changed meanwhile: nothing is written", path.display()));
    }
    fs::write(path, text).map_err(fault)
}
