//! Packs the rules that are shipped, with their cases, into one compressed file for `src/catalogue`.
#![expect(clippy::disallowed_methods, reason = "a build reads files and the environment of the build")]

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::DeflateEncoder};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CATALOGUE").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed=rules");
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("rules");
    let target = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("catalogue");
    fs::write(target, pack(&folder)?)
}

/// A line with name and length for each file, an empty line, and the files one after another; as one stream, because
/// rules are so much alike.
fn pack(folder: &Path) -> io::Result<Vec<u8>> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml") && !name.starts_with('.'))
        .collect();
    // Rules first and cases after them: like stands by like.
    names.sort_by_key(|name| (name.ends_with(".test.toml"), name.clone()));
    let (mut head, mut body) = (String::new(), String::new());
    for name in &names {
        let text = fs::read_to_string(folder.join(name))?;
        head.push_str(&format!("{name} {}\n", text.len()));
        body.push_str(&text);
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(format!("{head}\n{body}").as_bytes())?;
    encoder.finish()
}
