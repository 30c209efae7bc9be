//! Imports point downward, and every file has a head.
//!
//! In one package the compiler does not guard the floors that ARCHITECTURE.md describes,
//! so this reads `src/` and checks every `crate::…` and `super::…` path.

use std::{fs, path::Path};

/// The floor of a module; a module may import from its own room and from lower floors.
/// The steps on floor 3 may not import one another.
const FLOORS: &[(&str, u8)] = &[
    ("core::problem", 0),
    ("core::message", 0),
    ("core::denial", 0),
    ("core::trace", 0),
    ("core::facts", 0),
    ("core::jose", 0),
    ("core::secret", 0),
    ("core::freshness", 0),
    ("core::store", 0),
    ("core::identity", 0),
    ("core::host", 0),
    ("core::rule", 1),
    ("core::card", 2),
    ("core::format", 2),
    ("core::keyring", 2),
    ("core::value", 2),
    ("core::route", 3),
    ("core::token", 3),
    ("core::calls", 3),
    ("core::require", 3),
    ("core::claims", 3),
    ("core::script", 3),
    ("core::receiver", 3),
    ("core::response", 4),
    ("core::select", 4),
    ("core::audit", 4),
    ("core::capability", 4),
    ("core::schema", 4),
    ("core::compile", 5),
    ("core::evaluate", 6),
    ("core::outline", 6),
    ("core::case", 7),
    ("core::record", 8),
    ("core::propose", 8),
    ("core", 9),
    ("authoring", 10),
    ("catalogue", 10),
    ("config", 10),
    ("gateway", 11),
    ("cli", 12),
    ("main", 13),
];

/// Edges that the floors alone would refuse, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("core::trace", "core::problem", "a step says where the rule has it"),
    ("core::trace", "core::secret", "it knows what must not be shown"),
    ("core::calls", "core::token", "a call puts the caller's token where the rule says"),
    ("core::script", "core::claims", "the script changes what the claims step made"),
    ("core::receiver", "core::claims", "a contract is about what the claims step made"),
    ("core::host", "core::message", "the door speaks in messages"),
    ("core::host", "core::store", "the door keeps what the store names"),
    ("core::keyring", "core::value", "a rule says by values where the keys are"),
    ("core::store", "core::jose", "what is kept may be a key set"),
    ("core::host", "core::identity", "the door shows who we are"),
    ("core::freshness", "core::message", "an answer says how long it may be used again"),
    ("core::store", "core::message", "what is kept may be an answer"),
    ("core::message", "core::identity", "a request may show who we are"),
    ("core::message", "core::secret", "a message may hold a secret"),
    ("core::store", "core::secret", "what is kept may be a secret"),
    ("core::identity", "core::secret", "a private key is a secret"),
    ("core::identity", "core::store", "connections of an identity are kept by its name"),
];

fn room(module: &str) -> Option<(&'static str, u8)> {
    FLOORS
        .iter()
        .filter(|(name, _)| module == *name || module.starts_with(&format!("{name}::")))
        .max_by_key(|(name, _)| name.len())
        .copied()
}

/// `a::b::{c, d::e}` after `use`, as single paths.
fn expand(path: &str) -> Vec<String> {
    let Some(open) = path.find('{') else { return vec![path.trim().to_owned()] };
    let (prefix, rest) = path.split_at(open);
    let inner = &rest[1..rest.rfind('}').unwrap_or(rest.len())];
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is always one").push(c);
    }
    parts
        .iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| expand(&format!("{prefix}{}", part.trim())))
        .collect()
}

/// A `crate::` or `super::` path as a module path from the root of the crate.
fn absolute(path: &str, module: &[&str]) -> Option<String> {
    let mut base: Vec<&str> = module.to_vec();
    let mut parts = path.split("::").map(str::trim).peekable();
    match parts.next()? {
        "crate" => base.clear(),
        "super" => {
            base.pop();
            while parts.peek() == Some(&"super") {
                parts.next();
                base.pop();
            }
        }
        _ => return None,
    }
    Some(base.into_iter().chain(parts).collect::<Vec<_>>().join("::"))
}

fn sources(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
}

/// Every `use` and every inline `crate::…` path of a text, with its line, tests left out.
fn paths(text: &str) -> Vec<(usize, String)> {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("use ").map(|at| rest + at) {
        rest = at + 4;
        let starts_a_line = text[..at]
            .rsplit('\n')
            .next()
            .is_some_and(|before| matches!(before.trim(), "" | "pub" | "pub(crate)" | "pub(super)"));
        if starts_a_line && let Some(end) = text[rest..].find(';') {
            let line = text[..at].matches('\n').count() + 1;
            found.extend(expand(&text[rest..rest + end]).into_iter().map(|path| (line, path)));
        }
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::") {
            let path: String =
                line[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, ':' | '_')).collect();
            // A `{` follows: that was a `use`, and is expanded above.
            if !path.ends_with("::") {
                found.push((number + 1, path));
            }
        }
    }
    found
}

#[test]
fn imports_point_downward() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "only {} files were found", files.len());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in &files {
        let relative = file.strip_prefix(&root).expect("files are below src").with_extension("");
        let mut module: Vec<_> = relative.iter().map(|part| part.to_str().expect("file names are UTF-8")).collect();
        if matches!(module.last(), Some(&"mod" | &"lib")) {
            module.pop();
        }
        let Some((from, floor)) = room(&module.join("::")) else { continue };
        let text = fs::read_to_string(file).expect("src can be read");
        for (line, path) in paths(&text) {
            let Some((to, target)) = absolute(&path, &module).and_then(|path| room(&path)) else { continue };
            seen += 1;
            let allowed = from == to
                || target < floor
                || ALLOWED.iter().any(|(a, b, _)| *a == from && *b == to)
                // The face of the core names what is below it.
                || from == "core";
            if !allowed {
                wrong.push(format!(
                    "{}:{line}: `{from}` (floor {floor}) imports `{path}` of `{to}` (floor {target})",
                    file.display()
                ));
            }
        }
    }
    assert!(seen > 150, "only {seen} imports were found: does the reader still work?");
    assert!(wrong.is_empty(), "imports that point upward or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_knows_no_runtime() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("src can be read");
        if text.contains("#![cfg(test)]") {
            continue;
        }
        let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        for word in [
            "tokio::",
            "hyper::",
            "reqwest::",
            "std::fs",
            "std::env::",
            "std::net",
            "std::thread",
            "Instant::now",
            "SystemTime",
        ] {
            assert!(!text.contains(word), "{} mentions {word}", file.display());
        }
    }
}

#[test]
fn every_file_has_a_head() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("sources can be read");
        assert!(text.starts_with("//! "), "{} does not say what it is", file.display());
    }
}

#[test]
fn the_reader_sees_imports_of_all_forms() {
    let text = "use crate::a::{b, c::{d, e}};\npub use super::x;\n// crate::not\nlet y = crate::z::w();\n#[cfg(test)]\nuse crate::t;\n";
    let found: Vec<_> = paths(text).into_iter().map(|(line, path)| format!("{line} {path}")).collect();
    assert_eq!(found, ["1 crate::a::b", "1 crate::a::c::d", "1 crate::a::c::e", "2 super::x", "4 crate::z::w"]);
    assert_eq!(absolute("super::super::x", &["core", "calls", "plan"]), Some("core::x".into()));
}
