//! The rules that are shipped, with their cases, inside of the program.
//!
//! Pure: the texts are compressed at build time (`build.rs`) and unpacked when somebody asks. Nothing is kept: whoever
//! serves a few rules takes their texts and lets go of the rest.

use std::{collections::BTreeMap, io::Read, ops::Range};

use flate2::read::DeflateDecoder;

use crate::core::problem::nearest;

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalogue"));
const TIERS: &str = include_str!("tiers.toml");

/// The tier of a provider that few ask for.
const LAST_TIER: u8 = 3;

/// What stands before the name of a shipped rule where a file could stand as well: `catalogue:github`.
pub const PREFIX: &str = "catalogue:";

/// All rules that are shipped.
#[derive(Debug)]
pub struct Catalogue {
    text: String,
    /// The places of rule and cases, by name.
    places: BTreeMap<String, (Range<usize>, Range<usize>)>,
    tiers: BTreeMap<String, u8>,
}

/// A shipped rule.
#[derive(Clone, Copy, Debug)]
pub struct Shipped<'c> {
    /// Its name.
    pub name: &'c str,
    /// The rule.
    pub rule: &'c str,
    /// Its cases.
    pub cases: &'c str,
    /// How often the provider is asked for: 1 by almost everybody, 3 by few.
    pub tier: u8,
}

impl Catalogue {
    /// Unpacks it.
    pub fn open() -> Self {
        let mut text = String::new();
        // The build wrote it, and a test reads all of it.
        DeflateDecoder::new(PACKED).read_to_string(&mut text).expect("the catalogue is what the build packed");
        let mut places = BTreeMap::<_, (Range<usize>, Range<usize>)>::new();
        let (head, _) = text.split_once("\n\n").unwrap_or_default();
        let mut start = head.len() + 2;
        for (file, length) in head.lines().filter_map(|line| line.split_once(' ')) {
            let end = start + length.parse::<usize>().unwrap_or_default();
            match file.strip_suffix(".test.toml") {
                Some(name) => places.entry(name.to_owned()).or_default().1 = start..end,
                None => places.entry(file.trim_end_matches(".toml").to_owned()).or_default().0 = start..end,
            }
            start = end;
        }
        Catalogue { text, places, tiers: tiers() }
    }

    /// All rules, by name.
    pub fn iter(&self) -> impl Iterator<Item = Shipped<'_>> {
        self.places.keys().filter_map(|name| self.get(name))
    }

    /// The rule of this name.
    pub fn get(&self, name: &str) -> Option<Shipped<'_>> {
        let (name, (rule, cases)) = self.places.get_key_value(name)?;
        let tier = self.tiers.get(name).copied().unwrap_or(LAST_TIER);
        Some(Shipped { name, rule: &self.text[rule.clone()], cases: &self.text[cases.clone()], tier })
    }

    /// The same, or a sentence that says which name was meant.
    ///
    /// # Errors
    /// When no rule of this name is shipped.
    pub fn find(&self, name: &str) -> Result<Shipped<'_>, String> {
        self.get(name.strip_prefix(PREFIX).unwrap_or(name)).ok_or_else(|| {
            let help = match nearest(name, self.places.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`claimsmith catalogue` lists them".into(),
            };
            format!("no rule `{name}` is shipped; {help}")
        })
    }
}

fn tiers() -> BTreeMap<String, u8> {
    let tiers: BTreeMap<String, Vec<String>> = toml::from_str(TIERS).unwrap_or_default();
    let of = |(tier, names): (String, Vec<String>)| {
        let tier = tier.parse().unwrap_or(LAST_TIER);
        names.into_iter().map(move |name| (name, tier))
    };
    tiers.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test compares with the files")]
    fn what_is_packed_is_what_stands_in_the_folder() {
        let catalogue = Catalogue::open();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let read = |name: String| std::fs::read_to_string(folder.join(name)).expect("it is there");
        let mut seen = 0;
        for Shipped { name, rule, cases, .. } in catalogue.iter() {
            assert_eq!(rule, read(format!("{name}.toml")), "{name}");
            assert_eq!(cases, read(format!("{name}.test.toml")), "{name}");
            seen += 2;
        }
        let files = std::fs::read_dir(&folder)
            .expect("it is there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert_eq!(files.filter(|name| name.ends_with(".toml")).count(), seen);
    }

    #[test]
    fn tiers_are_known_for_what_is_asked_for_most() {
        let catalogue = Catalogue::open();
        assert_eq!(catalogue.get("github").map(|rule| rule.tier), Some(1));
        assert!(catalogue.tiers.len() > 300);
        assert!(catalogue.iter().filter(|rule| rule.tier == 1).count() > 40);
    }

    #[test]
    fn a_name_that_is_misspelt_finds_the_one_that_was_meant() {
        let catalogue = Catalogue::open();
        let words = |name: &str| catalogue.find(name).map(|rule| rule.name.to_owned());
        assert_eq!(words("catalogue:github"), Ok("github".into()));
        assert_eq!(words("githb"), Err("no rule `githb` is shipped; did you mean `github`?".into()));
        assert_eq!(
            words("nonesuch-at-all"),
            Err("no rule `nonesuch-at-all` is shipped; `claimsmith catalogue` lists them".into())
        );
    }
}
