//! The texts that an editor has open, and what stands beside them on disk.

use std::{collections::BTreeMap, path::PathBuf};

use url::Url;

use crate::{
    authoring::{
        here::{Here, Kind, Rule},
        samples::Samples,
    },
    config::SETTINGS,
    core::MAX_SOURCE,
    gateway::{bytes_beside, source},
};

/// Texts that are open at once; an editor has fewer.
const MOST: usize = 500;

/// What a text is, by its name.
pub(super) fn kind(uri: &str) -> Kind {
    let name = uri.rsplit('/').next().unwrap_or_default();
    match name {
        "claimsmith.toml" => Kind::Settings,
        name if name.ends_with(".test.toml") => Kind::Cases,
        name if name.ends_with(".rhai") => Kind::Script,
        _ => Kind::Rule,
    }
}

/// One open text.
#[derive(Debug)]
struct Document {
    text: String,
    /// The cases in it when it last was TOML.
    cases: Option<toml::Table>,
}

/// All open texts, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    documents: BTreeMap<String, Document>,
}

impl Workspace {
    /// Takes a text, as it is opened or changed. One that is too large counts as empty.
    pub(super) fn put(&mut self, uri: &str, text: String) {
        if self.documents.len() >= MOST && !self.documents.contains_key(uri) {
            return;
        }
        let before = self.documents.remove(uri).and_then(|document| document.cases);
        let fits = text.len() <= MAX_SOURCE && kind(uri) == Kind::Cases;
        let cases = if fits { text.parse().ok().or(before) } else { None };
        self.documents.insert(uri.to_owned(), Document { text, cases });
    }

    pub(super) fn close(&mut self, uri: &str) {
        self.documents.remove(uri);
    }

    /// An open text.
    pub(super) fn text(&self, uri: &str) -> Option<&str> {
        self.documents.get(uri).map(|document| document.text.as_str())
    }

    /// The addresses of all open texts.
    pub(super) fn uris(&self) -> impl Iterator<Item = &String> {
        self.documents.keys()
    }

    /// The rule of a text: itself, or the one beside it with the same name.
    pub(super) fn rule(&self, uri: &str) -> Option<Rule> {
        let uri = match kind(uri) {
            Kind::Rule => uri.to_owned(),
            Kind::Cases | Kind::Script => beside(uri, &format!("{}.toml", stem(uri)))?,
            Kind::Settings => return None,
        };
        let text = self.read(&uri)?;
        Some(Rule::new(&uri, text))
    }

    /// A place of a text, with all that is known around it.
    pub(super) fn here<'a>(&self, uri: &str, text: &'a str, at: usize) -> Option<Here<'a>> {
        let rule = self.rule(uri);
        let samples = rule.as_ref().map(|rule| self.samples(rule)).unwrap_or_default();
        Here::new((kind(uri), Some(&SETTINGS)), text, at, rule, samples)
    }

    /// What was recorded for a rule.
    pub(super) fn samples(&self, rule: &Rule) -> Samples {
        let Some(uri) = beside(&rule.uri, &format!("{}.test.toml", stem(&rule.uri))) else { return Samples::default() };
        let file = |name: &str| {
            let folder = path(&rule.uri)?.parent()?.to_owned();
            String::from_utf8(bytes_beside(&folder, name).ok()?).ok()
        };
        let on_disk;
        let cases = match self.documents.get(&uri) {
            Some(document) => document.cases.as_ref(),
            None => {
                on_disk = self.read(&uri).and_then(|text| text.parse().ok());
                on_disk.as_ref()
            }
        };
        cases.map(|cases| Samples::new((&rule.text, &rule.outline), cases, &file)).unwrap_or_default()
    }

    /// True for a text that is open or on disk.
    pub(super) fn exists(&self, uri: &str) -> bool {
        self.documents.contains_key(uri) || path(uri).is_some_and(|path| path.is_file())
    }

    /// A text as it is open, or as it is on disk.
    pub(super) fn read(&self, uri: &str) -> Option<String> {
        if let Some(text) = self.text(uri) {
            return Some(text.to_owned());
        }
        Some(source(&path(uri)?).ok()?.text.clone())
    }
}

/// The name of a rule, by the address of any of its files.
pub(super) fn stem(uri: &str) -> String {
    let name = path(uri).and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.unwrap_or_else(|| uri.rsplit(['/', ':']).next().unwrap_or_default().to_owned());
    let end = [".test.toml", ".toml", ".rhai"].iter().find_map(|end| name.strip_suffix(end));
    end.unwrap_or(&name).to_owned()
}

/// The address of a file in the same folder.
pub(super) fn beside(uri: &str, name: &str) -> Option<String> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return None;
    }
    let mut url = Url::parse(uri).ok()?;
    url.path_segments_mut().ok()?.pop().push(name);
    Some(url.into())
}

/// The path of a file.
pub(super) fn path(uri: &str) -> Option<PathBuf> {
    Url::parse(uri).ok()?.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_rule_are_found_by_its_name() {
        let rule = "file:///a%20b/acme.toml";
        for uri in [rule, "file:///a%20b/acme.test.toml", "file:///a%20b/acme.rhai"] {
            assert_eq!(stem(uri), "acme");
            assert_eq!(beside(uri, "acme.toml").as_deref(), Some(rule));
        }
        assert_eq!(beside(rule, "../x.toml"), None);
        assert_eq!(stem("untitled:Untitled-1"), "Untitled-1");
        assert_eq!(kind("file:///x/claimsmith.toml"), Kind::Settings);
    }

    #[test]
    fn cases_are_those_of_the_last_text_that_was_toml() {
        let mut workspace = Workspace::default();
        let (rule, cases) = ("untitled:/acme.toml", "untitled:/acme.test.toml");
        workspace.put(rule, "[call.user]\nurl = \"https://a.example/\"".into());
        workspace.put(cases, "[[case]]\n[[case.answer]]\nurl = \"https://a.example/\"\njson = '{\"id\": 7}'\n".into());
        let members = |workspace: &Workspace| {
            let rule = workspace.rule(cases).expect("it is open");
            workspace.samples(&rule).members(&[crate::authoring::chain::Step::Name("user".into())]).len()
        };
        assert_eq!(members(&workspace), 1);
        workspace.put(cases, "[[case]\n".into());
        assert_eq!(members(&workspace), 1);
        workspace.put(cases, "[[case]]\n".into());
        assert_eq!(members(&workspace), 0);
    }
}
