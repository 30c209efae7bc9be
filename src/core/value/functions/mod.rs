//! The functions of `${…}`, `rhai`, conditions and scripts that Rhai does not bring itself.
//!
//! [`ALL`] is the one list of them: what a rule may write, the reference that `claimsmith functions`
//! and README print, and the examples that are run as tests. A file each holds what a family does;
//! `calls` finds the calls of a script that no function answers.

mod calls;
mod encoding;
mod hashing;
mod ids;
mod lists;
mod patterns;
mod signing;
mod text;
mod time;
mod tokens;

use std::{any::TypeId, fmt, ops::RangeInclusive, time::Duration};

use rhai::{Array, Dynamic, EvalAltResult, INT, ImmutableString, Map, Position};

use super::engine::Digits;

pub(super) use calls::{Functions, Misfit, Unknown, misfits, of_engine, unknown};
pub(super) use time::in_request;

/// A function that a rule may call.
#[derive(Clone, Copy)]
pub struct Function {
    /// How it is called: `sha256(text, output?)`. What ends in `?` may be left out.
    pub signature: &'static str,
    /// What it belongs with.
    pub family: Family,
    /// What it gives, in a sentence.
    pub doc: &'static str,
    /// A call of it.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub result: &'static str,
    run: Option<Run>,
    /// The number of an argument that can be judged when it is written out, and the judge.
    checked: Option<(usize, Check)>,
}

/// What several functions have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Digests and signatures.
    Hashing,
    /// Bytes and addresses as text, and back.
    Encoding,
    /// What a token says of itself.
    Tokens,
    /// Parts of texts, and patterns.
    Text,
    /// Moments.
    Time,
    /// Identifiers.
    Ids,
    /// Lists and maps.
    Lists,
}

type Raw<T> = Result<T, Box<EvalAltResult>>;
type Run = fn(&Call<'_>) -> Raw<Dynamic>;
type Check = fn(&str) -> Result<(), &'static str>;

/// The functions, by family.
pub const ALL: &[Function] = &[
    row(
        Family::Hashing,
        "md5(text, output?)",
        "MD5, for gravatars and old signatures; `output` is `\"hex\"` (without it), `\"base64\"` or `\"base64url\"`",
        r#"md5("ada@engines.example")"#,
        r#""b3740ac02f49b3eac83694297504918e""#,
        hashing::md5,
    )
    .checked(1, hashing::check_output),
    row(
        Family::Hashing,
        "sha1(text, output?)",
        "SHA-1",
        r#"sha1("abc")"#,
        r#""a9993e364706816aba3e25717850c26c9cd0d89d""#,
        hashing::sha1,
    )
    .checked(1, hashing::check_output),
    row(
        Family::Hashing,
        "sha256(text, output?)",
        "SHA-256",
        r#"sha256("abc", "base64url")"#,
        r#""ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0""#,
        hashing::sha256,
    )
    .checked(1, hashing::check_output),
    row(
        Family::Hashing,
        "sha512(text, output?)",
        "SHA-512",
        r#"sha512("abc").sub_string(0, 16)"#,
        r#""ddaf35a193617aba""#,
        hashing::sha512,
    )
    .checked(1, hashing::check_output),
    row(
        Family::Hashing,
        "hmac_sha1(key, text, output?)",
        "HMAC with SHA-1",
        r#"hmac_sha1("Jefe", "what do ya want for nothing?", "base64")"#,
        r#""7/zfauXrL6LSdBbV8YTfnCWafHk=""#,
        hashing::hmac_sha1,
    )
    .checked(2, hashing::check_output),
    row(
        Family::Hashing,
        "hmac_sha256(key, text, output?)",
        "HMAC with SHA-256, such as the `appsecret_proof` of Facebook",
        "hmac_sha256(secrets.app_secret, token)",
        r#""d0f8abfce5e9c8e5c0b6446d31e29359768d9916db08c6a94ca7b481a4eeac2c""#,
        hashing::hmac_sha256,
    )
    .checked(2, hashing::check_output),
    row(
        Family::Hashing,
        "hmac_sha512(key, text, output?)",
        "HMAC with SHA-512",
        r#"hmac_sha512("Jefe", "what do ya want for nothing?").sub_string(0, 16)"#,
        r#""164b7a7bfcf819e2""#,
        hashing::hmac_sha512,
    )
    .checked(2, hashing::check_output),
    row(
        Family::Hashing,
        "rsa_sha256(key, text)",
        "signature with RSA and SHA-256 (PKCS #1 v1.5), as base64; the private key, 2048 to 4096 bits, is PEM or its base64 alone",
        r#"rsa_sha256(secrets.private_key, "app_id=1&method=get").len()"#,
        "344",
        signing::rsa_sha256,
    ),
    row(
        Family::Encoding,
        "base64(text)",
        "base64 of a text, with padding",
        r#"base64("us:1?>")"#,
        r#""dXM6MT8+""#,
        encoding::base64,
    ),
    row(
        Family::Encoding,
        "base64_decode(text)",
        "the text that base64 stands for, with or without padding",
        r#"base64_decode("QWRh")"#,
        r#""Ada""#,
        encoding::base64_decode,
    ),
    row(
        Family::Encoding,
        "base64url(text)",
        "base64 for addresses, without padding",
        r#"base64url("us:1?>")"#,
        r#""dXM6MT8-""#,
        encoding::base64url,
    ),
    row(
        Family::Encoding,
        "base64url_decode(text)",
        "the text that base64 for addresses stands for, with or without padding",
        r#"base64url_decode("dXM6MT8-")"#,
        r#""us:1?>""#,
        encoding::base64url_decode,
    ),
    row(
        Family::Encoding,
        "hex(text)",
        "the bytes of a text in hexadecimal",
        r#"hex("Ada")"#,
        r#""416461""#,
        encoding::hex,
    ),
    row(
        Family::Encoding,
        "hex_decode(text)",
        "the text that hexadecimal digits stand for",
        r#"hex_decode("416461")"#,
        r#""Ada""#,
        encoding::hex_decode,
    ),
    row(
        Family::Encoding,
        "url_encode(text)",
        "percent-encoding of everything but letters, digits and `-._~`; what stands in a URL, query or form of a call is encoded anyway",
        r#"url_encode("a b&c/é")"#,
        r#""a%20b%26c%2F%C3%A9""#,
        encoding::url_encode,
    ),
    row(
        Family::Encoding,
        "url_decode(text)",
        "the text that percent-encoding stands for; `+` stays",
        r#"url_decode("Ada%20Lovelace")"#,
        r#""Ada Lovelace""#,
        encoding::url_decode,
    ),
    present(
        Family::Encoding,
        "parse_json(text)",
        "the value that a JSON text holds; integers keep their digits",
        r#"parse_json("{\"id\": 7}").id"#,
        "7",
    ),
    present(
        Family::Encoding,
        "to_json(map)",
        "a map as JSON text",
        "to_json(#{id: 7, tags: [\"a\"]})",
        r#""{\"id\":7,\"tags\":[\"a\"]}""#,
    ),
    row(
        Family::Tokens,
        "jwt_claims(token)",
        "the claims of a JWT. **It verifies nothing**: anybody can write such a token, so nothing that it says is proven",
        r#"jwt_claims("eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0.").sub"#,
        r#""7""#,
        tokens::jwt_claims,
    ),
    row(
        Family::Tokens,
        "jwt_header(token)",
        "the header of a JWT. **It verifies nothing**",
        r#"jwt_header("eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0.").alg"#,
        r#""none""#,
        tokens::jwt_header,
    ),
    row(
        Family::Text,
        "regex_match(text, pattern)",
        "whether a pattern matches somewhere in a text; patterns are those of the `regex` crate and take linear time",
        r#"regex_match("ada@engines.example", "@engines\\.example$")"#,
        "true",
        patterns::regex_match,
    )
    .checked(1, patterns::check),
    row(
        Family::Text,
        "regex_find(text, pattern)",
        "the first group of the first match, or the whole match of a pattern without groups; absent without a match",
        r#"regex_find("https://id.example/users/42/profile", "/users/([0-9]+)")"#,
        r#""42""#,
        patterns::regex_find,
    )
    .checked(1, patterns::check),
    row(
        Family::Text,
        "regex_replace(text, pattern, with)",
        "the text with every match replaced; `$1` in `with` is the first group",
        r#"regex_replace("Lovelace, Ada", "^(\\w+), (\\w+)$", "$2 $1")"#,
        r#""Ada Lovelace""#,
        patterns::regex_replace,
    )
    .checked(1, patterns::check),
    row(
        Family::Text,
        "before(text, mark)",
        "what stands before the first mark; absent without one",
        r##"before("ada#1815", "#")"##,
        r#""ada""#,
        text::before,
    ),
    row(
        Family::Text,
        "after(text, mark)",
        "what stands after the first mark; absent without one",
        r#"after("acct:ada@engines.example", "acct:")"#,
        r#""ada@engines.example""#,
        text::after,
    ),
    row(
        Family::Text,
        "last_segment(text)",
        "the last segment of a path or URL, without query and fragment; absent if there is none",
        r#"last_segment("https://steamcommunity.example/openid/id/76561197960287930")"#,
        r#""76561197960287930""#,
        text::last_segment,
    ),
    row(
        Family::Text,
        "first_word(text)",
        "up to the first white space",
        r#"first_word("Ada King Lovelace")"#,
        r#""Ada""#,
        text::first_word,
    ),
    row(
        Family::Text,
        "rest_words(text)",
        "after the first word; absent if there is only one",
        r#"rest_words("Ada King Lovelace")"#,
        r#""King Lovelace""#,
        text::rest_words,
    ),
    row(
        Family::Text,
        "last_word(text)",
        "after the last white space",
        r#"last_word("Ada King Lovelace")"#,
        r#""Lovelace""#,
        text::last_word,
    ),
    row(
        Family::Text,
        "drop_last_word(text)",
        "before the last word; absent if there is only one",
        r#"drop_last_word("Ada King Lovelace")"#,
        r#""Ada King""#,
        text::drop_last_word,
    ),
    row(
        Family::Time,
        "now()",
        "the seconds since 1970, the same throughout a request",
        "now()",
        "1767225600",
        time::now,
    ),
    row(
        Family::Time,
        "parse_time(text)",
        "a time of RFC 3339 or RFC 2822, `2026-01-31 12:00:00`, a date, or seconds or milliseconds since 1970, as seconds since 1970; without an offset it is UTC",
        r#"parse_time("2026-01-31 12:00:00")"#,
        "1769860800",
        time::parse_time,
    ),
    row(
        Family::Time,
        "format_time(seconds, format)",
        "seconds since 1970 as text, in UTC; the format is that of `strftime`",
        r#"format_time(1769860800, "%Y-%m-%d %H:%M:%S")"#,
        r#""2026-01-31 12:00:00""#,
        time::format_time,
    )
    .checked(1, time::check_format),
    row(
        Family::Ids,
        "uuid5(namespace, name)",
        "the UUID (version 5) of a name, always the same; the namespace is `\"dns\"`, `\"url\"`, `\"oid\"` or a UUID",
        r#"uuid5("url", "https://id.example/users/42")"#,
        r#""6b54e061-86b8-5c05-bd88-6f7bec3c10ea""#,
        ids::uuid5,
    )
    .checked(0, ids::check_namespace),
    row(
        Family::Lists,
        "join(list, separator)",
        "the texts and integers of a list as one text; absent and empty ones are left out",
        r#"join(["Ada", (), "", "Lovelace"], " ")"#,
        r#""Ada Lovelace""#,
        lists::join,
    ),
    row(
        Family::Lists,
        "unique(list)",
        "a list without what came before",
        r#"unique(["b", "a", "b"])"#,
        r#"["b","a"]"#,
        lists::unique,
    ),
    row(
        Family::Lists,
        "pick_max(list, member)",
        "the element whose member is the greatest number, the first of several; absent if none has one",
        r#"pick_max([#{width: 64, url: "s"}, #{width: 640, url: "l"}], "width").url"#,
        r#""l""#,
        lists::pick_max,
    ),
    row(
        Family::Lists,
        "sorted_pairs(map, separator)",
        "the members as `name=value` in the order of their names, for signatures; absent ones are left out",
        r#"sorted_pairs(#{method: "get", app_id: 7}, "&")"#,
        r#""app_id=7&method=get""#,
        lists::sorted_pairs,
    ),
];

const fn row(
    family: Family,
    signature: &'static str,
    doc: &'static str,
    example: &'static str,
    result: &'static str,
    run: Run,
) -> Function {
    Function { signature, family, doc, example, result, run: Some(run), checked: None }
}

/// A function that the engine has without us.
const fn present(
    family: Family,
    signature: &'static str,
    doc: &'static str,
    example: &'static str,
    result: &'static str,
) -> Function {
    Function { signature, family, doc, example, result, run: None, checked: None }
}

impl Function {
    const fn checked(mut self, argument: usize, check: Check) -> Function {
        self.checked = Some((argument, check));
        self
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.signature.split('(').next().unwrap_or_default()
    }

    /// The names of the arguments.
    fn arguments(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.signature.split(['(', ')']).nth(1).unwrap_or_default();
        inner.split(", ").filter(|name| !name.is_empty())
    }

    /// How many arguments it takes.
    fn takes(&self) -> RangeInclusive<usize> {
        self.arguments().filter(|name| !name.ends_with('?')).count()..=self.arguments().count()
    }

    /// The function of this name.
    pub fn named(name: &str) -> Option<&'static Function> {
        ALL.iter().find(|function| function.name() == name)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signature)
    }
}

impl Family {
    /// All of them, in the order of the list.
    pub const ALL: [Family; 7] =
        [Family::Hashing, Family::Encoding, Family::Tokens, Family::Text, Family::Time, Family::Ids, Family::Lists];

    /// The name as it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Family::Hashing => "hashing and signing",
            Family::Encoding => "encoding",
            Family::Tokens => "tokens",
            Family::Text => "text",
            Family::Time => "time",
            Family::Ids => "ids",
            Family::Lists => "lists",
        }
    }
}

/// The clocks of a host: one that never runs backwards, and the time of day.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    pub(super) steady: fn() -> Duration,
    pub(super) now: fn() -> Duration,
}

/// Gives an engine all functions.
pub(super) fn register(rhai: &mut rhai::Engine, clocks: Clocks) {
    for function in ALL {
        let Some(run) = function.run else { continue };
        for count in function.takes() {
            let any = vec![TypeId::of::<Dynamic>(); count];
            rhai.register_raw_fn(function.name(), any, move |context, arguments| -> Raw<Dynamic> {
                let limit = context.engine().max_string_size();
                let call = Call { function, arguments, limit, clocks };
                match arguments.first() {
                    // As everywhere: what is made of something absent is absent.
                    Some(first) if first.is_unit() => Ok(Dynamic::UNIT),
                    _ => run(&call),
                }
            });
        }
    }
}

/// One call of a function.
struct Call<'a> {
    function: &'static Function,
    arguments: &'a [&'a mut Dynamic],
    /// How long a text may become.
    limit: usize,
    clocks: Clocks,
}

/// What a function has against its arguments: words of ours, so that they can be shown.
#[derive(Clone, Debug)]
pub(super) struct Fault(pub(super) String);

impl Call<'_> {
    fn argument(&self, number: usize) -> Option<&Dynamic> {
        self.arguments.get(number).map(|argument| &**argument)
    }

    /// An argument that is text; an integer is written out.
    fn text(&self, number: usize) -> Raw<ImmutableString> {
        self.argument(number).and_then(as_text).ok_or_else(|| self.wants(number, "a text"))
    }

    fn integer(&self, number: usize) -> Raw<INT> {
        self.argument(number).and_then(|value| value.as_int().ok()).ok_or_else(|| self.wants(number, "an integer"))
    }

    fn list<T>(&self, number: usize, read: impl FnOnce(&Array) -> Raw<T>) -> Raw<T> {
        match self.argument(number).and_then(|value| value.as_array_ref().ok()) {
            Some(list) => read(&list),
            None => Err(self.wants(number, "a list")),
        }
    }

    fn map<T>(&self, number: usize, read: impl FnOnce(&Map) -> Raw<T>) -> Raw<T> {
        match self.argument(number).and_then(|value| value.as_map_ref().ok()) {
            Some(map) => read(&map),
            None => Err(self.wants(number, "a map")),
        }
    }

    /// The error of an argument that is not what the function wants.
    fn wants(&self, number: usize, what: &str) -> Box<EvalAltResult> {
        let argument = self.function.arguments().nth(number).unwrap_or_default().trim_end_matches('?');
        self.fault(format_args!("wants {what} as `{argument}`"))
    }

    /// An error that names the function.
    fn fault(&self, what: impl fmt::Display) -> Box<EvalAltResult> {
        let fault = Fault(format!("`{}` {what}", self.function.name()));
        EvalAltResult::ErrorRuntime(Dynamic::from(fault), Position::NONE).into()
    }

    /// A text of this length may be built.
    fn fits(&self, length: usize) -> Raw<()> {
        if length > self.limit {
            return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
        }
        Ok(())
    }
}

/// A text, a character, or an integer digit for digit.
fn as_text(value: &Dynamic) -> Option<ImmutableString> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.clone());
    }
    if let Ok(integer) = value.as_int() {
        return Some(integer.to_string().into());
    }
    if let Ok(character) = value.as_char() {
        return Some(character.to_string().into());
    }
    value.read_lock::<Digits>().map(|digits| digits.as_str().into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rhai::Scope;

    use super::*;
    use crate::core::value::{Engine, from_script};

    /// The start of 2026.
    const NOW: Duration = Duration::from_secs(1_767_225_600);
    /// The key of RFC 7515, appendix A.2: everybody has it.
    pub(super) const KEY: &str = include_str!("rfc7515-a2.pem");

    /// What an expression gives, as JSON, or what is said of it.
    pub(super) fn run(text: &str) -> Result<String, String> {
        let engine = Engine::new(|| Duration::ZERO, || NOW);
        let mut scope = Scope::new();
        let secrets = [("app_secret", "s3cret"), ("private_key", KEY)];
        let secrets: Map = secrets.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        scope.push("secrets", secrets).push("token", "t0ken");
        let given = in_request(&mut None, || engine.rhai.eval_with_scope::<Dynamic>(&mut scope, text));
        match given {
            Ok(value) => match from_script(&value)? {
                Some(value) => Ok(value.to_string()),
                None => Ok("absent".into()),
            },
            Err(error) => Err(match *error {
                EvalAltResult::ErrorRuntime(thrown, _) if thrown.is::<Fault>() => thrown.cast::<Fault>().0,
                other => other.to_string(),
            }),
        }
    }

    /// Each expression gives this JSON, `absent`, or fails with `!` and these words.
    #[track_caller]
    pub(super) fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let found = run(text).unwrap_or_else(|why| format!("!{why}"));
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn every_example_gives_its_result() {
        for function in ALL {
            assert!(function.example.contains(&format!("{}(", function.name())), "{function:?}");
            assert_eq!(run(function.example).as_deref(), Ok(function.result), "{}", function.example);
        }
    }

    #[test]
    fn every_function_can_be_called_with_the_arguments_that_it_names_and_no_others() {
        let functions = Engine::new(|| Duration::ZERO, || NOW).functions;
        for function in ALL {
            let found: BTreeSet<_> =
                functions.iter().filter(|(name, _)| name == function.name()).map(|(_, takes)| *takes).collect();
            assert_eq!(found, function.takes().collect(), "{function:?}");
        }
    }

    #[test]
    fn the_list_is_sorted_by_family_and_says_everything() {
        let families: Vec<_> = ALL.iter().map(|function| function.family).collect();
        let place = |family: &Family| Family::ALL.iter().position(|other| other == family);
        assert!(families.is_sorted_by_key(place));
        let names: BTreeSet<_> = ALL.iter().map(Function::name).collect();
        assert_eq!(names.len(), ALL.len(), "a name comes once");
        for function in ALL {
            assert!(!function.doc.is_empty() && !function.doc.ends_with('.'), "{function:?}");
            assert!(!function.doc.contains('|'), "{function:?}: it stands in a table");
        }
    }

    #[test]
    fn what_is_made_of_something_absent_is_absent() {
        for function in ALL.iter().filter(|function| *function.takes().end() > 0) {
            for count in function.takes() {
                let rest = ", \"hex\"".repeat(count - 1);
                assert_eq!(run(&format!("{}((){rest})", function.name())).as_deref(), Ok("absent"), "{function:?}");
                assert_eq!(
                    run(&format!("let x = (); x.{}({})", function.name(), rest.trim_start_matches(", "))).as_deref(),
                    Ok("absent")
                );
            }
        }
    }

    #[test]
    fn a_wrong_argument_is_told_by_its_name_and_without_its_value() {
        for function in ALL.iter().filter(|function| function.run.is_some() && *function.takes().end() > 0) {
            for wrong in 0..*function.takes().start() {
                let right = |number| match (function.name(), number) {
                    ("join" | "unique" | "pick_max", 0) => "[]",
                    ("sorted_pairs", 0) => "#{}",
                    ("format_time", 0) => "0",
                    ("uuid5", 0) => "\"dns\"",
                    _ => "\"x\"",
                };
                // Rhai's floats have lost digits, so they are no text.
                let arguments: Vec<_> =
                    (0..*function.takes().start()).map(|at| if at == wrong { "12345.5" } else { right(at) }).collect();
                let told = run(&format!("{}({})", function.name(), arguments.join(", "))).expect_err("it is wrong");
                let name = function.arguments().nth(wrong).expect("it has that many");
                assert!(told.starts_with(&format!("`{}` wants ", function.name())), "{told}");
                assert!(told.ends_with(&format!("as `{name}`")) && !told.contains("12345"), "{told}");
            }
        }
    }

    #[test]
    fn integers_are_text_digit_for_digit_and_other_values_are_not() {
        check(&[
            ("md5(9007199254740993) == md5(\"9007199254740993\")", "true"),
            ("base64(parse_json(\"123456789012345678901234567890\"))", "\"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\""),
            ("hex('a')", "\"61\""),
            ("hex(true)", "!`hex` wants a text as `text`"),
            ("hex([])", "!`hex` wants a text as `text`"),
        ]);
    }

    #[test]
    fn a_function_can_be_written_as_a_method() {
        check(&[
            ("\"abc\".sha256(\"base64\")", "\"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\""),
            ("secrets.app_secret.hex()", "\"733363726574\""),
        ]);
    }
}
