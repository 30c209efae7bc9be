//! Scripts that try to run away, to break out or to tell secrets: each ends within its bounds,
//! and the gateway answers the next request.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Gateway, Reply, Setup, Upstream, alone, memory};

/// How long one request may take, beside other tests. A script itself has 50 ms; what one step of it does is some
/// ten times slower in a build without optimization.
const BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 500 });
/// How long compiling a rule may take.
const COMPILING: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });
/// How much the process may grow, in bytes.
const GROWTH: usize = 32 * 1024 * 1024;

/// What becomes of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The rule is refused when it is compiled.
    Refused,
    /// The request gets 500 `server_error`.
    Fails,
    /// The script rejects the request, as it may.
    Rejects,
    /// It does no harm, and there are claims.
    Harmless,
}

use End::{Fails, Harmless, Refused, Rejects};

/// A rule whose script is this, with a user and a handful of members to play with.
fn rule(script: &str) -> String {
    assert!(!script.contains("'''"), "the script stands in such quotes");
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\n\n[call.user]\nurl = \"https://api.acme.example/user\"\n\n\
         [claims]\nsub = \"$.user.id\"\nname = \"$.user.name\"\n\n[script]\nsource = '''\n{script}\n'''\n"
    )
}

const USER: &str = r#"{"id":"u1","name":"Ada","email":"ada@secret.example","big":9007199254740993,
    "list":[3,1,2],"teams":[{"name":"a"},{"name":"b"}],"nested":{"a":{"b":1}}}"#;

/// The scripts, by what each tries.
const SCRIPTS: &[(&str, End, &str)] = &[
    // Endless.
    ("endless loop", Fails, "loop {}"),
    ("endless loop that counts", Fails, "let x = 0; loop { x += 1; x %= 1000; }"),
    ("endless while", Fails, "while true {}"),
    ("endless do", Fails, "do {} until false"),
    ("endless while on a member", Fails, "while user.id == \"u1\" {}"),
    ("for over a huge range", Harmless, "for i in 0..1000000000 {}"),
    ("for over the widest range", Harmless, "for i in -9223372036854775807..=9223372036854775807 {}"),
    ("for over a huge stepped range", Fails, "for i in range(0, 9223372036854775807, 1) {}"),
    ("range without step", Fails, "for i in range(0, 10, 0) {}"),
    ("nested loops", Harmless, "for a in 0..1000 { for b in 0..1000 { for c in 0..1000 {} } }"),
    ("recursion without end", Fails, "fn f(x) { f(x + 1) } f(0);"),
    ("mutual recursion", Fails, "fn a(x) { b(x) } fn b(x) { a(x) } a(0);"),
    ("recursion that doubles", Fails, "fn f(x) { f(x) + f(x) } f(0);"),
    ("recursion of an anonymous function", Fails, "let f = |f| f.call(f); f.call(f);"),
    ("recursion through a method", Fails, "fn f() { this.f() } let x = 1; x.f();"),
    ("recursion through a callback", Fails, "fn f(x) { [1].map(Fn(\"f\")) } f(1);"),
    ("fifteen levels deep, wide at each", Fails, "fn f(n) { if n > 0 { for i in 0..100 { f(n - 1); } } } f(14);"),
    ("catching the end of time", Fails, "loop { try { loop {} } catch { } }"),
    ("catching too many operations", Fails, "try { for i in 0..1000000 {} } catch { } loop {}"),
    ("catching a recursion in a loop", Fails, "fn f() { f() } loop { try { f() } catch {} }"),
    ("catching thrown errors in a loop", Fails, "loop { try { throw 1 } catch {} }"),
    ("retry from the catch", Fails, "fn f() { try { f() } catch { f() } } f();"),
    // Much data.
    ("text doubled", Fails, "let s = \"x\"; loop { s += s; }"),
    ("text doubled by interpolation", Fails, "let s = \"x\"; loop { s = `${s}${s}`; }"),
    ("text grown by one", Fails, "let s = \"\"; loop { s += \"0123456789012345678901234567890123456789\"; }"),
    ("text padded", Fails, "let s = \"x\"; s.pad(1000000000, \"y\");"),
    ("text padded by a character", Fails, "let s = \"x\"; s.pad(9223372036854775807, 'y');"),
    ("text padded with nothing", Fails, "let s = \"x\"; s.pad(100, \"\");"),
    ("text padded with wide characters", Fails, "let s = \"\"; s.pad(16384, \"\u{1F600}\");"),
    ("text repeated", Fails, "let s = \"x\" * 1000000000;"),
    ("text truncated to much", Harmless, "let s = \"x\"; s.truncate(9223372036854775807);"),
    (
        "text cropped at the ends of numbers",
        Harmless,
        "let s = \"x\"; s.crop(-9223372036854775807, 9223372036854775807);",
    ),
    ("text sliced at the ends of numbers", Harmless, "\"abc\".sub_string(-9223372036854775807, 9223372036854775807);"),
    (
        "replace with more",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); let t = \"\"; t.pad(4000, 'y'); s.replace(\"x\", t);",
    ),
    (
        "replace a character by a text",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); let t = \"\"; t.pad(4000, 'y'); s.replace('x', t);",
    ),
    ("replace a text by a character", Harmless, "let s = \"\"; s.pad(4000, 'x'); s.replace(\"x\", 'y');"),
    ("replace a character by one", Harmless, "let s = \"\"; s.pad(4000, 'x'); s.replace('x', 'y');"),
    ("replace, written as a function", Fails, "let s = \"\"; s.pad(4000, 'x'); let t = s; replace(s, \"x\", t);"),
    ("replace nothing", Fails, "let s = \"abc\"; s.replace(\"\", \"x\");"),
    (
        "replace through a pointer",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); let f = Fn(\"replace\"); f.call(s, \"x\", s);",
    ),
    (
        "replace as a method of a pointer",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); let t = s; s.call(Fn(\"replace\"), \"x\", t);",
    ),
    ("replace in a loop", Fails, "let s = \"x\"; loop { s = s.replace(\"x\", \"xx\"); }"),
    ("split into much", Fails, "let s = \"\"; s.pad(4000, 'x'); s.split(\"\");"),
    ("split at each character", Fails, "let s = \"\"; s.pad(4000, ','); s.split(\",\");"),
    ("characters as a list", Fails, "let s = \"\"; s.pad(4000, 'x'); s.to_chars();"),
    ("bytes as a blob", Harmless, "let s = \"\"; s.pad(1000, 'x'); s.to_blob();"),
    ("split in a loop", Fails, "let s = \"\"; s.pad(900, ','); loop { s.split(\",\"); }"),
    ("list doubled", Fails, "let a = [1]; loop { a += a; }"),
    ("list doubled by append", Fails, "let a = [1]; loop { a.append(a); }"),
    ("push without end", Fails, "let a = []; loop { a.push(1); }"),
    ("insert without end", Fails, "let a = []; loop { a.insert(0, 1); }"),
    ("list padded", Fails, "let a = []; a.pad(1000000000, 0);"),
    ("list padded until the size wraps", Fails, "let i = []; i.pad(1000, 0); let a = []; a.pad(18428315757951600, i);"),
    ("list padded with three lists", Fails, "let a = []; a.pad(4611686018427387904, [1, 2, 3]);"),
    ("list padded with long texts", Fails, "let s = \"\"; s.pad(4000, 'x'); let a = []; a.pad(900, s);"),
    ("splice without end", Fails, "let a = [1]; loop { a.splice(0, 0, a); }"),
    (
        "drain and retain at the ends of numbers",
        Harmless,
        "let a = [1, 2]; a.drain(-9223372036854775807, 9223372036854775807); a.retain(0, 9223372036854775807); a.extract(-5, 9);",
    ),
    ("a literal of a huge range", Harmless, "let r = 0..1000000000; r.contains(5);"),
    ("a range made a list", Refused, "(0..1000000000).to_array();"),
    ("a range collected by map", Fails, "let a = []; for i in 0..1000000000 { a.push(i); }"),
    ("blob that grows", Refused, "let b = blob(1000000000);"),
    ("map without end", Fails, "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }"),
    ("maps in maps, cloned", Fails, "let m = #{}; loop { m = #{a: m, b: m}; }"),
    ("list in list, without end", Fails, "let a = []; loop { a = [a]; }"),
    ("list pushed into itself", Fails, "let a = []; loop { a.push(a); }"),
    ("deep list as text", Fails, "let a = []; for i in 0..900 { a = [a]; } let s = a.to_string(); loop {}"),
    ("deep list as debug text", Harmless, "let a = []; for i in 0..150 { a = [a]; } let s = a.to_debug();"),
    ("deep list compared", Harmless, "let a = []; for i in 0..150 { a = [a]; } let b = a; a == b;"),
    ("deep list dropped", Harmless, "let a = []; for i in 0..150 { a = [a]; } a = 0;"),
    ("deep map as JSON", Fails, "let m = #{}; for i in 0..150 { m = #{a: m}; } m.to_json();"),
    ("deep map as a claim", Fails, "let m = #{}; for i in 0..150 { m = #{a: m}; } claims.x = m;"),
    ("deep list as a claim", Fails, "let a = []; for i in 0..150 { a = [a]; } claims.x = a;"),
    ("many variables of much", Fails, "let a = []; a.pad(1000, 1); let v = []; loop { v.push(a); }"),
    (
        "one list under many keys",
        Harmless,
        "let a = []; a.pad(1000, 1); let m = #{}; for i in 0..190 { m[`k${i}`] = a; }",
    ),
    ("texts in a list", Fails, "let s = \"\"; s.pad(4000, 'x'); let a = []; loop { a.push(s); }"),
    ("interpolation in a loop", Fails, "let s = \"\"; loop { s = `${s} ${user.name}`; }"),
    ("mixin without end", Fails, "let m = #{}; let i = 0; loop { m.mixin(#{x: m}); }"),
    ("many claims", Fails, "for i in 0..100000 { claims[`c${i}`] = \"x\"; }"),
    ("throwing something huge", Fails, "let a = []; a.pad(1000, \"x\"); throw a;"),
    ("throwing something deep", Fails, "let a = []; for i in 0..500 { a = [a]; } throw a;"),
    // Callbacks.
    (
        "sort by a comparator that lies",
        Harmless,
        "let a = []; for i in 0..100 { a.push(i * 7919 % 101); } a.sort(|x, y| 1);",
    ),
    (
        "sort by a comparator that changes its mind",
        Harmless,
        "let a = []; for i in 0..200 { a.push(i); } a.sort(|x, y| if x % 2 == 0 { -1 } else { 1 });",
    ),
    ("sort by a comparator that never ends", Harmless, "[2, 1].sort(|x, y| { loop {} });"),
    ("sort by a comparator that throws", Fails, "let a = [2, 1]; a.sort(|x, y| { throw 1 }); loop {}"),
    ("sort things that do not compare", Harmless, "let a = [1, \"a\", [], #{}, 'c', ()]; a.sort(|x, y| 0);"),
    ("filter that never ends", Fails, "[1].filter(|x| { loop {} });"),
    ("map that multiplies", Fails, "let a = [1]; loop { a = a.map(|x| [x, x]); }"),
    (
        "reduce into a long text",
        Fails,
        "let a = []; a.pad(1000, 1); let s = \"\"; s.pad(100, 'x'); a.reduce(|r, x| `${r}0123456789012345678901234567890`, \"\");",
    ),
    (
        "callbacks in callbacks",
        Refused,
        "let a = []; a.pad(900, 1); a.map(|x| { let b = []; b.pad(900, 1); b.map(|y| y + x) });",
    ),
    ("dedup by a comparator that never ends", Harmless, "[1, 2].dedup(|a, b| { loop {} });"),
    ("closure that captures", Refused, "let n = 1; let f = |x| x + n; f.call(1);"),
    ("closure that captures itself", Refused, "let f = |x| 1; loop { let g = f; f = |x| g; }"),
    ("currying", Refused, "let f = |a, b| a; let g = f.curry(1);"),
    ("currying as a function", Refused, "let g = curry(|a, b| a, 1);"),
    ("currying in a loop", Refused, "let f = |a, b| a; loop { f = f.curry(\"x\"); }"),
    ("pointers to pointers", Fails, "let f = |x| x; loop { f = [f]; }"),
    // Numbers.
    ("overflow of a sum", Fails, "let x = 9223372036854775807; x += 1;"),
    ("overflow of a product", Fails, "let x = 9223372036854775807; let y = x * 2;"),
    ("overflow of a negation", Fails, "let x = -9223372036854775807 - 1; let y = -x;"),
    ("overflow of a quotient", Fails, "let x = -9223372036854775807 - 1; let y = x / -1;"),
    ("overflow of a remainder", Fails, "let x = -9223372036854775807 - 1; let y = x % -1;"),
    ("division by zero", Fails, "let x = 0; let y = 1 / x;"),
    ("remainder by zero", Fails, "let x = 0; let y = 1 % x;"),
    ("absolute value of the least number", Fails, "let x = -9223372036854775807 - 1; x.abs();"),
    ("huge exponent", Fails, "let x = 3; let y = x ** 1000000000;"),
    ("negative exponent", Fails, "let x = 3; let y = x ** -1;"),
    ("huge shift", Harmless, "let x = 1; let y = x << 1000000000;"),
    ("negative shift", Harmless, "let x = 1; let y = x << -1000000000;"),
    ("bits at an index that is none", Fails, "let x = 1; x[1000] = true;"),
    ("infinite claim", Fails, "claims.x = 1e308 * 10.0;"),
    ("number that is none as a claim", Fails, "claims.x = 0.0 / 0.0;"),
    ("float to integer beyond it", Fails, "let x = 1e300; x.to_int();"),
    ("radix that is none", Harmless, "parse_int(\"10\", 99);"),
    ("index beyond the list", Harmless, "let x = user.list[1000000000];"),
    ("index at the end of numbers", Harmless, "let x = user.list[-9223372036854775807];"),
    ("index assignment beyond the list", Fails, "let a = [1]; a[5] = 1; loop {}"),
    ("character beyond the text", Harmless, "let x = \"abc\"; let c = x[99];"),
    // Reading what is not offered.
    ("eval", Refused, "eval(\"1 + 1\");"),
    ("eval through a pointer", Fails, "let f = Fn(\"eval\"); f.call(\"1\");"),
    ("import", Refused, "import \"/etc/passwd\" as x;"),
    ("export", Refused, "export claims;"),
    ("print", Refused, "print(user.name);"),
    ("print through a pointer", Fails, "Fn(\"print\").call(user.name);"),
    ("debug", Refused, "debug(user.name);"),
    ("sleep", Refused, "sleep(5);"),
    ("sleep for a fraction", Refused, "sleep(0.5);"),
    ("sleep through a pointer", Harmless, "let f = Fn(\"sleep\"); f.call(5);"),
    ("sleep as a callback", Fails, "[5].for_each(Fn(\"sleep\"));"),
    ("sleep as a method of a pointer", Fails, "let x = 5; x.call(Fn(\"sleep\"));"),
    ("curry through a pointer", Fails, "let f = Fn(\"curry\"); f.call(|x| x, 1);"),
    ("pointer to a name that is none", Fails, "Fn(\"a b\").call();"),
    ("pointer to an anonymous name", Fails, "Fn(\"anon$1\").call();"),
    ("clock", Refused, "let t = timestamp();"),
    ("file", Refused, "open_file(\"/etc/passwd\");"),
    ("environment", Refused, "env(\"KEY\");"),
    ("secrets", Refused, "claims.x = secrets.key;"),
    ("secrets by index", Refused, "claims.x = secrets[\"key\"];"),
    ("token", Refused, "claims.x = token;"),
    ("token in an interpolation", Refused, "claims.x = `${token}`;"),
    ("token in a function", Refused, "fn f() { token } claims.x = f();"),
    ("token by a method", Refused, "claims.x = token.len();"),
    ("secrets through this", Refused, "claims.x = this.secrets;"),
    ("whether a secret is there", Harmless, "if is_def_var(\"secrets\") || is_def_var(\"token\") { throw 1; }"),
    ("the functions of the engine", Harmless, "let l = get_fn_metadata_list(\"reject\");"),
    ("exit", Harmless, "exit(); loop {}"),
    ("exit with something huge", Harmless, "let a = []; a.pad(1000, 1); exit(a);"),
    ("return early", Harmless, "return 5; loop {}"),
    ("parse_json of something deep", Fails, "let s = \"\"; s.pad(5000, '['); parse_json(s);"),
    ("parse_json of deep objects", Fails, "let s = \"\"; for i in 0..2000 { s += \"{\\\"a\\\":\"; } parse_json(s);"),
    ("parse_json of something long", Fails, "let s = \"[0\"; s.pad(16000, \",0\"); parse_json(s + \"]\");"),
    ("parse_json that computes", Fails, "parse_json(\"{\\\"a\\\": 1 + 1}\");"),
    ("parse_json in a loop", Fails, "loop { parse_json(\"{\\\"a\\\":[1,2,3]}\"); }"),
    // Our own functions.
    ("a digest of itself in a loop", Fails, "let s = user.name; loop { s = sha512(s); }"),
    ("a digest of a long text in a loop", Fails, "let s = \"\"; s.pad(4000, 'x'); s += s; s += s; loop { sha512(s); }"),
    ("hexadecimal of itself", Fails, "let s = user.name; loop { s = hex(s); }"),
    ("base64 of itself", Fails, "let s = user.name; loop { s = base64(s); }"),
    ("percent-encoding of itself", Fails, "let s = \"%\"; loop { s = url_encode(s); }"),
    (
        "a list joined by something long",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); let a = []; a.pad(900, 1); join(a, s);",
    ),
    (
        "pairs of something long",
        Fails,
        "let s = \"\"; s.pad(4000, 'x'); sorted_pairs(#{a: 1, b: 2, c: 3, d: 4, e: 5, f: 6}, s);",
    ),
    (
        "what comes once in a long list, in a loop",
        Fails,
        "let a = []; for i in 0..900 { a.push(i); } loop { unique(a); }",
    ),
    (
        "a pattern that runs away elsewhere",
        Harmless,
        "let s = \"\"; s.pad(4000, 'a'); s += s; regex_match(s, \"^(a+)+b$\");",
    ),
    (
        "a small pattern over 8 KiB",
        Harmless,
        "let s = \"\"; s.pad(4000, 'a'); s += s; regex_match(s, \"[ab]*a[ab]{150}c\");",
    ),
    ("a larger pattern over 2 KiB", Harmless, "let s = \"\"; s.pad(2000, 'a'); regex_match(s, \"[ab]*a[ab]{700}c\");"),
    (
        "the largest pattern over 512 bytes",
        Harmless,
        "let s = \"\"; s.pad(500, 'a'); regex_match(s, \"[ab]*a[ab]{3000}c\");",
    ),
    ("the largest pattern over more", Fails, "let s = \"\"; s.pad(550, 'a'); regex_match(s, \"[ab]*a[ab]{3000}c\");"),
    ("a pattern that is too large", Refused, "regex_match(user.name, \"(a{100}){1000}\");"),
    ("a pattern of the provider", Fails, "regex_match(user.name, user.name + \"(\");"),
    ("patterns without end", Fails, "let i = 0; loop { i += 1; regex_match(user.name, `a{${i % 1000}}`); }"),
    (
        "a search for every character",
        Harmless,
        "let s = \"\"; s.pad(4000, 'a'); s += s; regex_replace(s, \"a\", \"b\");",
    ),
    (
        "a search to the end for every character",
        Fails,
        "let s = \"\"; s.pad(4000, 'a'); s += s; regex_replace(s, \"a.*b|a\", \"c\"); loop {}",
    ),
    ("replaced by more", Fails, "let s = \"\"; s.pad(4000, 'a'); regex_replace(s, \"a\", \"$0$0$0$0$0$0\");"),
    ("a token of much", Fails, "let s = \"\"; s.pad(4000, '['); jwt_claims(`e30.${base64url(\"{\\\"a\\\":\" + s)}.`);"),
    ("a format of something huge", Fails, "format_time(0, user.name + \"%9999999999Y\");"),
    ("keys that are none, in a loop", Fails, "loop { try { rsa_sha256(\"QUJD\", \"x\") } catch { } }"),
    // Claims and rejection.
    ("reject", Rejects, "reject(\"access_denied\", \"no\");"),
    ("reject that is caught", Rejects, "try { reject(\"access_denied\", \"no\"); } catch { }"),
    ("reject caught in a loop", Rejects, "loop { try { reject(\"access_denied\", \"no\"); } catch { } }"),
    ("reject in a callback", Rejects, "[1].map(|x| reject(\"access_denied\", \"no\"));"),
    ("reject through a pointer", Rejects, "Fn(\"reject\").call(\"access_denied\", \"no\");"),
    ("reject with an error that is none", Fails, "reject(\"x\", \"y\");"),
    ("reject of something absent", Fails, "reject(user.nothing, user.nothing);"),
    ("reject without a reason", Refused, "reject(\"access_denied\");"),
    ("reject redefined", Harmless, "fn reject(a, b) { } reject(\"access_denied\", \"no\");"),
    ("claims shadowed", Fails, "let claims = 5;"),
    ("claims made something else", Fails, "claims = 5;"),
    ("claims made absent", Fails, "claims = ();"),
    ("claims emptied", Fails, "claims = #{};"),
    ("claims cleared", Fails, "claims.clear();"),
    ("claims made of functions", Fails, "claims.x = |x| x;"),
    ("claims made of a range", Fails, "claims.x = 0..5;"),
    ("the user renamed", Fails, "claims.sub = ();"),
    ("the user blank", Fails, "claims.sub = \"  \";"),
    ("a constant changed", Fails, "user.name = \"x\";"),
    ("a constant's member changed", Fails, "user.nested.a.b = 2;"),
    ("a constant replaced", Fails, "user = 5;"),
    ("a constant's list changed", Fails, "user.list.push(4);"),
    ("a constant's list cleared", Fails, "user.list.clear();"),
    ("a constant's list sorted", Fails, "user.list.sort();"),
    ("a constant's list indexed and set", Fails, "user.list[0] = 5;"),
    ("a constant changed in a function", Fails, "fn f() { this.name = \"x\"; } user.f();"),
    ("a constant shadowed", Harmless, "let user = #{name: \"x\"}; user.name = \"y\";"),
    ("vars changed", Refused, "vars.x = 1;"),
    ("the request changed", Fails, "request.method = \"x\";"),
    ("a copy changed", Harmless, "let u = user; u.name = \"x\"; u.list.push(4);"),
    // Names.
    ("misspelt function", Refused, "claims.x = user.name.to_loweer();"),
    ("misspelt function of something absent", Refused, "claims.x = user.nothing.to_loweer();"),
    ("misspelt variable", Refused, "claims.x = usr.name;"),
    ("right function of something absent", Harmless, "claims.x = user.nothing.to_lower();"),
    ("text in a list of numbers", Harmless, "if \"x\" in user.list { throw 1; }"),
    ("in over a huge range", Harmless, "if 5 in 0..9223372036854775807 { }"),
    ("switch that falls", Harmless, "switch user.name { \"Ada\" => (), _ => throw 1 }"),
];

/// Scripts that are long: made, not written.
fn long_scripts() -> Vec<(&'static str, End, String)> {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let deep = |count: usize, open: &str, inner: &str, close: &str| {
        format!("{}{inner}{};", open.repeat(count), close.repeat(count))
    };
    vec![
        ("a literal of a megabyte", Refused, format!("let s = \"{}\";", "x".repeat(1_000_000))),
        ("a literal of 15 KiB", Harmless, format!("let s = \"{}\";", "x".repeat(15_000))),
        ("100,000 variables", Refused, many(100_000, &|n| format!("let v{n} = 1;"))),
        ("1,000 variables", Fails, many(1_000, &|n| format!("let v{n} = 1;"))),
        ("50,000 switch arms", Refused, format!("switch 1 {{ {} }}", many(50_000, &|n| format!("{n} => 1,")))),
        ("1,500 switch arms", Harmless, format!("switch 1 {{ {} }}", many(1_500, &|n| format!("{n} => 1,")))),
        ("20,000 functions", Refused, many(20_000, &|n| format!("fn f{n}() {{ 1 }}"))),
        ("500 functions", Refused, many(500, &|n| format!("fn f{n}() {{ 1 }}"))),
        ("500 anonymous functions", Refused, many(500, &|_| "|x| x;".into())),
        ("10,000 brackets deep", Refused, deep(10_000, "(", "1", ")")),
        ("5,000 brackets deep", Refused, deep(5_000, "(", "1", ")")),
        ("5,000 lists deep", Refused, deep(5_000, "[", "1", "]")),
        ("2,000 maps deep", Refused, deep(2_000, "#{a:", "1", "}")),
        ("5,000 blocks deep", Refused, deep(5_000, "{", "1", "}")),
        ("2,000 conditions deep", Refused, deep(2_000, "if a {", "1", "}")),
        ("8,000 negations", Refused, format!("let x = {}1;", "-".repeat(8_000))),
        ("8,000 exclamation marks", Refused, format!("let x = {}true;", "!".repeat(8_000))),
        ("1,000 functions in functions", Refused, format!("let f = {}1;", "|x| ".repeat(1_000))),
        ("4,000 terms", Refused, format!("let x = 1{};", " + 1".repeat(4_000))),
        ("4,000 members", Refused, format!("let x = user{};", ".a".repeat(4_000))),
        ("2,000 else-ifs", Refused, format!("if false {{}} {}", "else if 0 {}".repeat(1_300))),
        (
            "1,000 interpolations in another",
            Refused,
            format!("let x = {}1{};", "`${".repeat(1_000), "}`".repeat(1_000)),
        ),
        ("5,000 comments in another", Harmless, format!("{}{}", "/*".repeat(5_000), "*/".repeat(2_000))),
        ("a list of 5,000 numbers", Refused, format!("let a = [{}];", "1,".repeat(5_000))),
        ("3,000 statements", Harmless, "();".repeat(3_000)),
        (
            "an assignment of much, 60 times",
            Harmless,
            format!("let s = \"\"; s.pad(4000, 'x'); {}", many(60, &|n| format!("let v{n} = s;"))),
        ),
    ]
}

#[test]
fn every_abusive_script_ends_within_its_bounds() {
    let _alone = alone();
    let upstream = Upstream::new(|_| Reply::json(USER));
    let scripts: Vec<_> = SCRIPTS.iter().map(|(name, end, text)| (*name, *end, (*text).to_owned())).collect();
    let all: Vec<_> = scripts.into_iter().chain(long_scripts()).collect();
    let (mut faults, mut worst) = (String::new(), Worst::default());
    let mut setup = serving(&upstream).rule("good", &rule("claims.ok = true;"));
    for (number, (name, end, script)) in all.iter().enumerate() {
        let one = serving(&upstream).rule("one", &rule(script));
        let started = Instant::now();
        let loaded = one.load();
        worst.compiling(name, started.elapsed());
        if started.elapsed() > COMPILING {
            let _ = writeln!(faults, "{name}: compiling took {:?}", started.elapsed());
        }
        let refused = !loaded.refused.is_empty();
        let first = loaded.problems.first().map(|problem| problem.message.as_str());
        if refused != (*end == Refused) {
            let _ = writeln!(faults, "{name}: refused: {refused} ({first:?}), wanted {end:?}");
        }
        if !refused {
            setup = setup.rule(&format!("r{number}"), &rule(script));
        }
    }
    let gateway = setup.start();
    good(&gateway);
    for (number, (name, end, _)) in all.iter().enumerate() {
        if gateway.get_with(&format!("/r{number}"), &[]).status == 404 {
            continue;
        }
        let (before, started) = (memory(), Instant::now());
        let answer = gateway.get(&format!("/r{number}"), "t0ken");
        let (took, grown) = (started.elapsed(), memory().saturating_sub(before));
        worst.running(name, took, grown);
        if took > BUDGET || grown > GROWTH {
            let _ = writeln!(faults, "{name}: it took {took:?} and {} KiB", grown / 1024);
        }
        let error = serde_json::from_str::<Value>(&answer.body).unwrap_or_default()["error"].clone();
        let is = match (answer.status, error.as_str()) {
            (500, Some("server_error")) => Fails,
            (403, Some("access_denied")) => Rejects,
            (200, None) => Harmless,
            _ => Refused,
        };
        if is != *end {
            let _ = writeln!(faults, "{name}: {} {}, wanted {end:?}", answer.status, answer.body);
        }
        good(&gateway);
    }
    assert!(faults.is_empty(), "{} scripts, {worst}\n{faults}", all.len());
}

/// The slowest and the largest, for whoever reads the output.
#[derive(Default)]
struct Worst {
    compiling: (Duration, String),
    running: (Duration, String),
    grown: (usize, String),
}

impl Worst {
    fn compiling(&mut self, name: &str, took: Duration) {
        self.compiling = std::mem::take(&mut self.compiling).max((took, name.to_owned()));
    }

    fn running(&mut self, name: &str, took: Duration, grown: usize) {
        self.running = std::mem::take(&mut self.running).max((took, name.to_owned()));
        self.grown = std::mem::take(&mut self.grown).max((grown, name.to_owned()));
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Worst { compiling, running, grown } = self;
        write!(
            f,
            "slowest to compile {:?} ({}), slowest to run {:?} ({}), largest growth {} KiB ({})",
            compiling.0,
            compiling.1,
            running.0,
            running.1,
            grown.0 / 1024,
            grown.1
        )
    }
}

fn serving(upstream: &Upstream) -> Setup {
    Setup::new().secrets(&[("KEY", "k3y")]).reroute("https://api.acme.example", &upstream.origin)
}

/// A good request to another rule of the same gateway.
#[track_caller]
fn good(gateway: &Gateway) {
    let claims = gateway.claims("/good", "t0ken");
    assert_eq!(json!(claims), json!({"sub": "u1", "name": "Ada", "ok": true}));
}
