//! `claimsmith fmt`: one look for all rules, and nothing that means another thing.

use std::{fs, path::Path};

use claimsmith::core::{format, problem::Source};
use toml_parser::lexer::TokenKind;

use crate::cli::{claimsmith, folder, run, run_with};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text of TOML in the repository that is one, by its path.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for folder in ["rules", "tests/problems", "tests/capabilities", "src/core/receiver/contracts", "benches"] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
        for path in entries.map(|entry| entry.expect("it can be read").path()) {
            let text = if path.extension().is_some_and(|kind| kind == "toml") {
                fs::read_to_string(&path).expect("it is text")
            } else {
                continue;
            };
            if text.parse::<toml::Table>().is_ok() {
                texts.push((path.display().to_string(), text));
            }
        }
    }
    assert!(texts.len() > 300, "only {} texts were found", texts.len());
    texts
}

fn formatted(name: &str, text: &str) -> String {
    format(&Source::new(name, text)).unwrap_or_else(|problems| panic!("{name}: {problems:?}\n{text}"))
}

/// All that a text says, in its order: keys, values, comments. White space and commas are left out.
fn said(text: &str) -> Vec<String> {
    let source = toml_parser::Source::new(text);
    let kept = source.lex().filter(|token| {
        !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Newline | TokenKind::Comma | TokenKind::Eof)
    });
    kept.map(|token| text[token.span().start()..token.span().end()].trim_end().to_owned()).collect()
}

#[test]
fn every_rule_that_is_shipped_has_the_look() {
    for folder in ["rules", "tests/capabilities", "benches/declarative", "benches/script"] {
        let folder = root().join(folder);
        let ran = run(claimsmith(&["fmt", "--check", folder.to_str().expect("paths of tests are UTF-8")]));
        assert_eq!(ran.code, Some(0), "`claimsmith fmt` would change\n{}{}", ran.out, ran.err);
    }
}

#[test]
fn a_text_means_the_same_and_says_it_in_the_same_words() {
    for (name, text) in texts() {
        let once = formatted(&name, &text);
        assert_eq!(said(&once), said(&text), "{name}");
        assert_eq!(once.parse::<toml::Table>(), text.parse::<toml::Table>(), "{name}");
        assert_eq!(formatted(&name, &once), once, "{name}: a second time");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below a usize")
    }
}

/// The text with other white space in all places that take it.
fn disturbed(text: &str, random: &mut Random) -> String {
    let source = toml_parser::Source::new(text);
    let mut result = String::new();
    let mut depth = 0_i32;
    for token in source.lex() {
        let word = &text[token.span().start()..token.span().end()];
        let blanks = [" ", "", "  ", "\t", "      "][random.below(5)];
        match token.kind() {
            // What looks like an array may be a header, in which there are no lines.
            TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightCurlyBracket => depth -= 1,
            _ => {}
        }
        match token.kind() {
            TokenKind::Whitespace => result.push_str(if random.below(2) == 0 { " " } else { "\t  " }),
            TokenKind::Newline => {
                result.push_str(blanks);
                result.push_str(["\n", "\n", "\n\n", "\r\n", "\n \n\t\n"][random.below(5)]);
                result.push_str(blanks);
            }
            TokenKind::Comma | TokenKind::Equals => {
                result.push_str(blanks);
                result.push_str(word);
                result.push_str(blanks);
                if token.kind() == TokenKind::Comma && depth > 0 && random.below(6) == 0 {
                    result.push_str(" # of an entry\n");
                }
            }
            _ => result.push_str(word),
        }
    }
    result
}

#[test]
fn however_it_is_written_it_means_the_same_afterwards() {
    let mut random = Random(0x00c1_a125_317b);
    let mut broken = 0;
    for (name, text) in texts() {
        for _ in 0..2 {
            let disturbed = disturbed(&text, &mut random);
            let meaning = disturbed.parse::<toml::Table>();
            assert!(meaning.is_ok(), "{name}: {meaning:?}\n{disturbed}");
            let once = formatted(&name, &disturbed);
            assert_eq!(said(&once), said(&disturbed), "{name}");
            assert_eq!(once.parse::<toml::Table>(), meaning, "{name}\n{disturbed}\n---\n{once}");
            assert_eq!(formatted(&name, &once), once, "{name}: a second time\n{disturbed}");
            broken += usize::from(once.contains("# of an entry"));
        }
    }
    assert!(broken > 100, "only {broken} lists were broken by comments");
}

#[test]
fn files_are_written_where_they_change_and_only_then() {
    let folder = folder(&[("good.toml", "a = 1\n"), ("bad.toml", "a=1\n"), ("bad.test.toml", "[[case]]\nb=1\n")]);
    let path = folder.path().to_str().expect("paths of tests are UTF-8");
    let names = |out: &str| {
        let names: Vec<_> = out.lines().map(|line| line.rsplit('/').next().expect("there is one").to_owned()).collect();
        names
    };
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is there");

    let ran = run(claimsmith(&["fmt", "--check", path]));
    assert_eq!((ran.code, names(&ran.out)), (Some(1), vec!["bad.test.toml".into(), "bad.toml".into()]), "{}", ran.err);
    assert_eq!(read("bad.toml"), "a=1\n", "nothing is written by --check");

    let ran = run(claimsmith(&["fmt", path]));
    assert_eq!((ran.code, names(&ran.out).len()), (Some(0), 2), "{}", ran.err);
    assert_eq!((read("bad.toml"), read("bad.test.toml")), ("a = 1\n".into(), "[[case]]\nb = 1\n".into()));

    let ran = run(claimsmith(&["fmt", "--check", path]));
    assert_eq!((ran.code, ran.out), (Some(0), String::new()));
}

#[test]
fn a_file_that_is_no_toml_is_shown_and_left_alone() {
    let folder = folder(&[("a.toml", "x=1\ny = oops\n"), ("b.toml", "x=1\n")]);
    let ran = run(claimsmith(&["fmt", folder.path().to_str().expect("paths of tests are UTF-8")]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("error[CS1001]") && ran.err.contains("a.toml:2:5"), "{}", ran.err);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is there");
    assert_eq!((read("a.toml"), read("b.toml")), ("x=1\ny = oops\n".into(), "x = 1\n".into()));
    let missing = run(claimsmith(&["fmt", "/nowhere/at-all.toml"]));
    assert_eq!(missing.code, Some(2));
}

#[test]
fn a_dash_is_standard_input() {
    let ran = run_with(claimsmith(&["fmt", "-"]), "a=1\n");
    assert_eq!((ran.code, &*ran.out), (Some(0), "a = 1\n"), "{}", ran.err);
    assert_eq!(run_with(claimsmith(&["fmt", "--check", "-"]), "a=1\n").code, Some(1));
    assert_eq!(run_with(claimsmith(&["fmt", "--check", "-"]), "a = 1\n").code, Some(0));
    let ran = run_with(claimsmith(&["fmt", "-"]), "a = [\n");
    assert_eq!((ran.code, &*ran.out), (Some(1), ""));
    assert!(ran.err.contains("standard input:"), "{}", ran.err);
}
