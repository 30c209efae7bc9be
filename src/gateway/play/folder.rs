//! The rules folder as the playground sees it: names in, texts out, and texts back if that is allowed.
//!
//! A name is that of a rule, so it leads nowhere but into the folder; what is written takes the place of a file and
//! never follows a link.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::load::{catalogue, files, source};
use crate::{
    catalogue::PREFIX,
    core::{MAX_SOURCE, is_rule_name},
};

/// A folder of rules.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Whether rules may be saved.
    pub(super) write: bool,
}

impl Folder {
    /// The names of all rules, and of those that are shipped.
    pub(super) fn names(&self) -> Value {
        let found = files(&self.path).unwrap_or_default();
        let names = found.iter().filter_map(|path| path.file_stem()?.to_str());
        let names: Vec<_> = names.filter(|name| is_rule_name(name)).collect();
        let shipped: Vec<_> = catalogue().iter().map(|shipped| shipped.name).collect();
        json!({ "folder": self.path.display().to_string(), "rules": names, "catalogue": shipped })
    }

    /// A rule and its cases, with a mark by which saving sees that nobody else has changed them.
    pub(super) fn open(&self, name: &str) -> Result<Value, String> {
        if let Some(name) = name.strip_prefix(PREFIX) {
            let shipped = catalogue().find(name)?;
            return Ok(json!({ "name": shipped.name, "rule": shipped.rule, "cases": shipped.cases, "mark": null }));
        }
        let [rule, cases] = self.files(name)?;
        let rule = source(&rule)?;
        let cases = if cases.is_file() { source(&cases)?.text.clone() } else { String::new() };
        let mark = mark(&rule.text, &cases);
        Ok(json!({ "name": name, "rule": rule.text, "cases": cases, "mark": mark }))
    }

    /// Saves a rule and its cases, unless they are not those that were opened.
    pub(super) fn save(&self, name: &str, [rule, cases]: [&str; 2], opened: Option<&str>) -> Result<Value, String> {
        if !self.write {
            return Err("nothing is saved: the playground was started without `--write`".into());
        }
        if rule.len() > MAX_SOURCE || cases.len() > MAX_SOURCE {
            return Err(format!("a rule has at most {MAX_SOURCE} bytes, and so have its cases"));
        }
        let paths = self.files(name)?;
        let now = self.there(&paths)?;
        if now.as_deref() != opened {
            return Err(match now {
                Some(_) => format!("{name}.toml was changed meanwhile: nothing is saved"),
                None => format!("{name}.toml is no longer there: nothing is saved"),
            });
        }
        fs::create_dir_all(&self.path).map_err(|error| fault(&self.path, &error))?;
        put(&paths[0], rule)?;
        if cases.is_empty() && !paths[1].exists() {
            return Ok(json!({ "mark": mark(rule, cases) }));
        }
        put(&paths[1], cases)?;
        Ok(json!({ "mark": mark(rule, cases) }))
    }

    /// The files of a rule.
    fn files(&self, name: &str) -> Result<[PathBuf; 2], String> {
        if !is_rule_name(name) {
            return Err("the name of a rule has lower-case letters, digits, `-` and `_`, at most 64".into());
        }
        Ok(["toml", "test.toml"].map(|ending| self.path.join(format!("{name}.{ending}"))))
    }

    /// The mark of what is there; a link is not written to.
    fn there(&self, paths: &[PathBuf; 2]) -> Result<Option<String>, String> {
        for path in paths {
            match fs::symlink_metadata(path) {
                Ok(found) if !found.is_file() => {
                    return Err(format!("{} is a link or no file: nothing is saved", path.display()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fault(path, &error)),
            }
        }
        if !paths[0].exists() {
            return Ok(None);
        }
        let read = |path: &Path| -> Result<String, String> {
            if path.exists() { Ok(source(path)?.text.clone()) } else { Ok(String::new()) }
        };
        Ok(Some(mark(&read(&paths[0])?, &read(&paths[1])?)))
    }
}

fn fault(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

fn mark(rule: &str, cases: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((rule.len() as u64).to_be_bytes());
    hash.update(rule);
    hash.update(cases);
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The old file stays until the new one is whole.
fn put(path: &Path, text: &str) -> Result<(), String> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = || -> io::Result<()> {
        // What was left behind by a process that ended while it wrote is of no use; a link is removed, not followed.
        if fs::symlink_metadata(&new).is_ok() {
            fs::remove_file(&new)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().map_err(|error| fault(path, &error))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at files")]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_but_rules_of_the_folder() {
        let outside = tempfile::tempdir().expect("a folder can be made");
        let inside = outside.path().join("rules");
        fs::create_dir(&inside).expect("it can be made");
        let folder = Folder { path: inside.clone(), write: true };
        for name in
            ["../x", "a/b", "..", ".", "", "A", "x.toml", "x\0", "/etc/x", "..%2fx", "a\\b", "\u{ff0e}\u{ff0e}/x"]
        {
            assert!(folder.save(name, ["x", ""], None).is_err(), "{name}");
            assert!(folder.open(name).is_err(), "{name}");
        }
        #[cfg(unix)]
        {
            let target = outside.path().join("target");
            fs::write(&target, "as it was").expect("it can be written");
            std::os::unix::fs::symlink(&target, inside.join("linked.toml")).expect("links can be made");
            std::os::unix::fs::symlink(&target, inside.join("cases.test.toml")).expect("links can be made");
            std::os::unix::fs::symlink(&target, inside.join("new.toml.new")).expect("links can be made");
            assert!(folder.save("linked", ["x", ""], None).is_err());
            assert!(folder.save("cases", ["x", "y"], None).is_err());
            folder.save("new", ["x", ""], None).expect("the link goes, and the rule comes");
            assert_eq!(fs::read_to_string(&target).expect("it is there"), "as it was");
        }
        let found = fs::read_dir(outside.path()).expect("it is there").count();
        assert_eq!(found, 1 + usize::from(cfg!(unix)), "nothing came beside the folder");
    }

    #[test]
    fn what_somebody_else_changed_is_not_overwritten() {
        let place = tempfile::tempdir().expect("a folder can be made");
        let folder = Folder { path: place.path().to_owned(), write: true };
        let mark = |value: Value| value["mark"].as_str().map(str::to_owned);
        let first = mark(folder.save("acme", ["a", "b"], None).expect("it is new"));
        assert_eq!(mark(folder.open("acme").expect("it is there")), first);
        assert!(folder.save("acme", ["c", ""], None).is_err(), "it is not new any more");
        fs::write(place.path().join("acme.test.toml"), "changed").expect("it can be written");
        assert!(folder.save("acme", ["c", ""], first.as_deref()).is_err());
        let now = mark(folder.open("acme").expect("it is there"));
        folder.save("acme", ["c", ""], now.as_deref()).expect("this is what is there");
        assert!(Folder { write: false, ..folder }.save("other", ["x", ""], None).is_err());
    }
}
