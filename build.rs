//! Packs the rules that are shipped, with their cases, into one compressed file for `src/catalogue`, and the page of the
//! playground for `src/gateway/play`.
#![expect(clippy::disallowed_methods, reason = "a build reads files and the environment of the build")]

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder},
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CATALOGUE").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let target = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(target.join("catalogue"), pack(&root.join("rules"))?)?;
    if env::var_os("CARGO_FEATURE_GATEWAY").is_some() {
        pack_page(&root.join("deploy/playground/page"), &target)?;
    }
    Ok(())
}

/// The page of the playground, each file as browsers take it.
fn pack_page(folder: &Path, target: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for name in ["index.html", "play.js", "play.css"] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(folder.join(name))?)?;
        fs::write(target.join(format!("{name}.gz")), encoder.finish()?)?;
    }
    Ok(())
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
