//! Made-up words and numbers, one for each that was there, of the same shape.
//!
//! What stands for a value depends on when it was met, never on what it is: nobody can find it by trying values.

use std::collections::{HashMap, HashSet};

/// Replacements, and what none of them may be.
#[derive(Debug, Default)]
pub(super) struct Words {
    made: HashMap<String, String>,
    used: HashSet<String>,
    /// Runs of the originals, in lower case: a replacement must not hold any of them.
    avoid: HashSet<String>,
    random: Random,
}

/// Attempts to find a replacement that is new.
const ATTEMPTS: usize = 400;
/// Shorter runs are found in anything.
const SHORTEST: usize = 3;
/// Longer originals are not looked for in a replacement: they are in none by chance.
const LONGEST: usize = 24;

impl Words {
    /// Notes a run of the originals.
    pub(super) fn avoid(&mut self, run: &str) {
        self.avoid.insert(run.to_lowercase());
    }

    /// What stands for a run of letters and digits. The same letters in another case give the same in that case.
    pub(super) fn replace(&mut self, run: &str) -> String {
        let digits = run.chars().filter(char::is_ascii_digit).count();
        let all = run.chars().count();
        if digits == all {
            return self.digits(run);
        }
        if digits == 0 {
            return self.letters(run);
        }
        let border = run.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let (letters, number) = run.split_at(border);
        let is_numbered = !letters.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_numbered && !(is_hex(run) && all >= 8) {
            return format!("{}{}", self.letters(letters), self.digits(number));
        }
        self.opaque(run)
    }

    /// A number of as many digits. It fits where the original fits: into 53 bits, an `i64`, a `u64`.
    pub(super) fn digits(&mut self, digits: &str) -> String {
        if digits.len() <= 2 {
            return short(digits);
        }
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        let class = class(digits);
        self.fresh(digits, |random, _| {
            let mut made = "0".repeat(zeros);
            while made.len() < digits.len() {
                let first = made.len() == zeros;
                made.push(random.pick(if first { "123456789" } else { "0123456789" }));
            }
            (self::class(&made) == class).then_some(made)
        })
    }

    fn letters(&mut self, word: &str) -> String {
        let lower: Vec<char> = word.chars().map(lower).collect();
        let key: String = lower.iter().collect();
        let made = self.fresh(&key, |random, attempt| {
            let letter = |(at, c): (usize, &char)| match c {
                'a'..='z' if attempt > ATTEMPTS / 2 => random.pick("abcdefghijklmnopqrstuvwxyz"),
                'a'..='z' if at % 2 == 0 => random.pick("bdfghklmnprstvwz"),
                'a'..='z' => random.pick("aeiou"),
                c => random.like(*c),
            };
            Some(lower.iter().enumerate().map(letter).collect())
        });
        let case = |(original, made): (char, char)| match original.is_uppercase() {
            true => made.to_uppercase().next().unwrap_or(made),
            false => made,
        };
        word.chars().zip(made.chars()).map(case).collect()
    }

    /// A mix of letters and digits, as tokens and keys are: each character becomes one of its kind. It has no vowels,
    /// so that no word is in it by chance.
    fn opaque(&mut self, run: &str) -> String {
        let hex = is_hex(run);
        self.fresh(run, |random, _| {
            let one = |c: char| match c {
                '0'..='9' => random.pick("0123456789"),
                'a'..='f' if hex => random.pick("bcdf"),
                'A'..='F' if hex => random.pick("BCDF"),
                'a'..='z' => random.pick("bcdfghjklmnpqrstvwxz"),
                'A'..='Z' => random.pick("BCDFGHJKLMNPQRSTVWXZ"),
                c => random.like(c),
            };
            Some(run.chars().map(one).collect())
        })
    }

    /// The replacement of a key: the one that was made before, or a new one.
    fn fresh(&mut self, key: &str, mut make: impl FnMut(&mut Random, usize) -> Option<String>) -> String {
        if let Some(known) = self.made.get(key) {
            return known.clone();
        }
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let Some(made) = make(&mut self.random, attempt) else { continue };
            if made != key && !self.used.contains(&made) && !self.is_avoided(&made) {
                last = Some(made);
                break;
            }
            // Short words run out; then two may get the same, but none its own.
            if made != key && !self.is_avoided(&made) {
                last = Some(made);
            }
        }
        let made = last.unwrap_or_else(|| "x".repeat(key.chars().count()));
        self.used.insert(made.clone());
        self.made.insert(key.to_owned(), made.clone());
        made
    }

    fn is_avoided(&self, made: &str) -> bool {
        let lower = made.to_lowercase();
        let starts: Vec<_> = lower.char_indices().map(|(at, _)| at).chain([lower.len()]).collect();
        (0..starts.len()).any(|from| {
            let to = (from + SHORTEST..starts.len()).take(LONGEST - SHORTEST + 1);
            to.into_iter().any(|to| self.avoid.contains(&lower[starts[from]..starts[to]]))
        }) || self.avoid.contains(&lower)
    }

    /// A number from 0 to below a bound, another each time.
    pub(super) fn number(&mut self, bound: u64) -> u64 {
        self.random.next() % bound.max(1)
    }
}

/// The parts of a text between which nothing is a letter or digit: runs, and what stands between them.
pub(super) fn runs(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let inside = is_of_run(rest.chars().next()?);
        let end = rest.find(|c| is_of_run(c) != inside).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some((run, inside))
    })
}

/// Letters and digits of all scripts, with the marks that belong to them.
fn is_of_run(c: char) -> bool {
    let is_mark = c >= '\u{300}' && !c.is_whitespace() && !c.is_control();
    let is_punctuation = matches!(c, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{fe00}'..='\u{fe0f}' | '\u{ff00}'..='\u{ff0f}');
    c.is_alphanumeric() || is_mark && !is_punctuation
}

/// Numbers of one or two digits: too few to look for new ones, so they change places.
fn short(digits: &str) -> String {
    let bytes: Vec<u64> = digits.bytes().map(|byte| u64::from(byte - b'0')).collect();
    match bytes[..] {
        [0, one] => format!("0{}", turn(one)),
        [ten, one] => format!("{}", (ten * 10 + one - 10 + 37) % 90 + 10),
        [one] => turn(one).to_string(),
        _ => String::new(),
    }
}

fn turn(digit: u64) -> u64 {
    if digit == 0 { 0 } else { (digit + 3) % 9 + 1 }
}

/// Where a number fits.
fn class(digits: &str) -> u8 {
    match digits.parse::<u64>() {
        Ok(number) if number <= 1 << 53 => 0,
        Ok(number) if i64::try_from(number).is_ok() => 1,
        Ok(_) => 2,
        Err(_) => 3,
    }
}

fn is_hex(run: &str) -> bool {
    run.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !(run.bytes().any(|b| b.is_ascii_lowercase()) && run.bytes().any(|b| b.is_ascii_uppercase()))
}

fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// A small generator (SplitMix64): the same replacements every time. It hides nothing, and need not.
#[derive(Debug, Default)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick(&mut self, from: &str) -> char {
        let length = from.chars().count().max(1) as u64;
        from.chars().nth((self.next() % length) as usize).unwrap_or('x')
    }

    /// A letter of the same script, in lower case.
    fn like(&mut self, c: char) -> char {
        let within = |random: &mut Self, first: u32, count: u64| {
            char::from_u32(first + (random.next() % count) as u32).unwrap_or('x')
        };
        match c {
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => self.pick("áéíóúäöüåøñç"),
            '\u{370}'..='\u{3ff}' => self.pick("αβγδεζηθικλμνξοπρτυφχψω"),
            '\u{400}'..='\u{52f}' => self.pick("абвгдежзиклмнопрстуфхцчшэюя"),
            '\u{590}'..='\u{5ff}' => within(self, 0x5d0, 26),
            '\u{600}'..='\u{6ff}' => within(self, 0x628, 19),
            '\u{900}'..='\u{97f}' => within(self, 0x915, 37),
            '\u{e00}'..='\u{e7f}' => within(self, 0xe01, 46),
            '\u{3040}'..='\u{309f}' => within(self, 0x3042, 80),
            '\u{30a0}'..='\u{30ff}' => within(self, 0x30a2, 80),
            '\u{ac00}'..='\u{d7a3}' => within(self, 0xac00, 5000),
            '\u{3400}'..='\u{9fff}' => within(self, 0x4e00, 8000),
            'a'..='z' => self.pick("bcdfghjklmnpqrstvwxz"),
            '0'..='9' => self.pick("0123456789"),
            _ => self.pick("bdfgklmnprst"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_has_the_shape_of_what_was_there_and_is_the_same_each_time() {
        let mut words = Words::default();
        for run in ["Ada", "LOVELACE", "McDonald", "583231", "007123", "ada99", "a1b2C3d4e5", "山田", "Åsa", "ß", "x"]
        {
            let made = words.replace(run);
            assert_ne!(made, run);
            assert_eq!(words.replace(run), made);
            let shape = |text: &str| {
                let kind = |c: char| (c.is_ascii_digit(), c.is_uppercase(), c.is_ascii());
                text.chars().map(kind).collect::<Vec<_>>()
            };
            assert_eq!(shape(&made), shape(run), "{run} {made}");
        }
        assert_eq!(words.replace("ada").to_uppercase(), words.replace("ADA"));
        assert!(words.replace("007123").starts_with("00"));
    }

    #[test]
    fn numbers_stay_in_the_type_that_holds_them() {
        let mut words = Words::default();
        for digits in [
            "9007199254740993",
            "9223372036854775807",
            "9999999999999999999",
            "18446744073709551615",
            "123456789012345678901234567890",
            "12345",
        ] {
            let made = words.digits(digits);
            assert_eq!((made.len(), class(&made)), (digits.len(), class(digits)), "{digits} {made}");
            assert_ne!(made, digits);
        }
    }

    #[test]
    fn short_numbers_change_places_without_a_loss() {
        for width in [1, 2] {
            let all: Vec<_> =
                (0..10_u32.pow(width)).map(|number| format!("{number:0width$}", width = width as usize)).collect();
            let made: HashSet<_> = all.iter().map(|digits| short(digits)).collect();
            assert_eq!(made.len(), all.len());
            assert!(
                all.iter().filter(|digits| short(digits) == **digits).all(|digits| digits.trim_matches('0').is_empty())
            );
        }
    }

    #[test]
    fn no_replacement_holds_an_original() {
        let mut words = Words::default();
        let originals = ["kod", "ban", "mir", "vud", "1234", "99999"];
        originals.iter().for_each(|original| words.avoid(original));
        for number in 0..500 {
            for run in [format!("w{}", "o".repeat(number % 7 + 2)), format!("{}", 10_000 + number * 7)] {
                let made = words.replace(&run);
                assert!(!originals.iter().any(|original| made.to_lowercase().contains(original)), "{made}");
            }
        }
    }
}
