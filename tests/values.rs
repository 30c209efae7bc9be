//! The values of claims: every form that a rule can write, absence, types, and numbers that stay exact.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Reply, Setup, Upstream, block_on, client, send};

const TOKEN: &str = "t0ken";
const ORIGIN: &str = "https://api.acme.example";

/// The claims of a rule as written, what the provider answers, and what follows in the answer after
/// the subject: nothing for an absent claim, `500` for a failure.
type Case<'a> = (&'a str, &'a str, &'a str);

/// A rule of one call and these claims after a constant subject.
fn rule(number: usize, claims: &str) -> String {
    format!("[call.user]\nurl = \"{ORIGIN}/{number}\"\n[claims]\nsub = {{ value = \"u\" }}\n{claims}\n")
}

/// Asks one gateway with a rule for each case, and compares the answers letter for letter.
#[track_caller]
fn check(cases: &[Case<'_>]) {
    let bodies: Vec<String> = cases.iter().map(|case| case.1.to_owned()).collect();
    let upstream = Upstream::new(move |seen| {
        let number: usize = seen.target.trim_start_matches('/').parse().expect("its path is a number");
        Reply::json(bodies[number].clone())
    });
    let rules = cases.iter().enumerate();
    let setup = rules.fold(Setup::new().reroute(ORIGIN, &upstream.origin), |setup, (number, case)| {
        setup.rule(&format!("c{number}"), &rule(number, case.0))
    });
    let gateway = setup.start();
    for (number, (claims, body, expected)) in cases.iter().enumerate() {
        let answer = gateway.get(&format!("/c{number}"), TOKEN);
        let expected = match *expected {
            "500" => (500, "server_error".to_owned()),
            "" => (200, r#"{"sub":"u"}"#.to_owned()),
            more => (200, format!(r#"{{"sub":"u",{more}}}"#)),
        };
        let got = match answer.status {
            500 => answer.json()["error"].as_str().unwrap_or_default().to_owned(),
            _ => answer.body,
        };
        assert_eq!((answer.status, got), expected, "{claims}\nof {body}");
    }
}

/// The answer of one rule, whose calls all get what the function says.
fn ask(rule: &str, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Answer {
    let upstream = Upstream::new(move |seen| Reply::json(answer(&seen.target)));
    Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin).start().get("/acme", TOKEN)
}

/// True if the rule is refused when it is loaded.
fn is_refused(rule: &str) -> bool {
    let loaded = Setup::new().rule("acme", rule).load();
    assert_eq!(loaded.refused.is_empty(), !loaded.routes.names().is_empty());
    !loaded.refused.is_empty()
}

const MAILS: &str = r#"{"emails":[
    {"address":"a@x","primary":false,"verified":false,"n":1},
    {"address":"b@x","primary":true,"verified":true,"n":2},
    {"address":"c@x","primary":false,"n":3}]}"#;

#[test]
fn a_path() {
    check(&[
        (r#"a = "$.user.a""#, r#"{"a":"x"}"#, r#""a":"x""#),
        (r#"a = "$.user.b.c.d""#, r#"{"b":{"c":{"d":"x"}}}"#, r#""a":"x""#),
        (r#"a = "$['user']['a b']['c.d']""#, r#"{"a b":{"c.d":"x"}}"#, r#""a":"x""#),
        (r#"a = "$.user['é']""#, r#"{"é":"ü"}"#, r#""a":"ü""#),
        (r#"a = "$.user.list[1]""#, r#"{"list":["x","y"]}"#, r#""a":"y""#),
        (r#"a = "$.user.list[-1]""#, r#"{"list":["x","y","z"]}"#, r#""a":"z""#),
        (r#"a = "$.user.list[9]""#, r#"{"list":["x"]}"#, ""),
        (r#"a = "$.user.a.b""#, r#"{"a":"x"}"#, ""),
        (r#"a = "$.user.a.b""#, r#"{"a":null}"#, ""),
        (r#"a = "$.user.a[0]""#, r#"{"a":{"0":"x"}}"#, ""),
        (r#"a = "$.user.a""#, r#"{}"#, ""),
        (r#"a = "$.user.a""#, r#"{"a":null}"#, ""),
        (r#"a = "$.user.a""#, r#"{"a":""}"#, r#""a":"""#),
        (r#"a = "$.user.a""#, r#"{"a":false}"#, r#""a":false"#),
        (r#"a = "$.user.a""#, r#"{"a":1.50}"#, r#""a":1.50"#),
        (r#"a = "$.user.a""#, r#"{"a":"\ud83d\ude00\u0001\""}"#, r#""a":"😀\u0001\"""#),
        (r#"a = "$.user.emails[?@.primary == true].address""#, MAILS, r#""a":"b@x""#),
        (r#"a = "$.user.emails[?@.n > 1].address""#, MAILS, r#""a":"b@x""#),
        (r#"a = "$.user.emails[?@.n >= 2 && @.primary == true].address""#, MAILS, r#""a":"b@x""#),
        (r#"a = "$.user.emails[?!@.verified].address""#, MAILS, r#""a":"c@x""#),
        (r#"a = "$.user.emails[?@.address == 'none'].address""#, MAILS, ""),
        (r#"a = "$.user.emails[?match(@.address, 'c@.*')].n""#, MAILS, r#""a":3"#),
        (r#"a = "$.user.emails[*].address""#, MAILS, r#""a":"a@x""#),
        (r#"a = "$.user..verified""#, MAILS, r#""a":false"#),
    ]);
}

#[test]
fn a_text_with_expressions() {
    check(&[
        (r#"a = "https://cdn/${user.avatar}.png""#, r#"{"avatar":"h"}"#, r#""a":"https://cdn/h.png""#),
        (r#"a = "https://cdn/${user.avatar}.png""#, r#"{}"#, ""),
        (r#"a = "https://cdn/${user.avatar}.png""#, r#"{"avatar":null}"#, ""),
        (r#"a = "https://cdn/${user.avatar.x.y}.png""#, r#"{}"#, ""),
        (r#"a = "${user.x}${user.y}""#, r#"{"x":"1"}"#, ""),
        (r#"a = "${user.x} ${user.y}""#, r#"{"x":"1","y":"2"}"#, r#""a":"1 2""#),
        (r#"a = "${user.x}""#, r#"{"x":"a/b?c=d&e\"\n"}"#, r#""a":"a/b?c=d&e\"\n""#),
        (r#"a = "${user.x}:${user.y}:${user.z}""#, r#"{"x":7,"y":true,"z":1.50}"#, r#""a":"7:true:1.50""#),
        (r#"a = "<${user.x}>""#, r#"{"x":""}"#, r#""a":"<>""#),
        (r#"a = "<${user.x.to_upper()}>""#, r#"{"x":"ab"}"#, r#""a":"<AB>""#),
        (r#"a = "<${user.gone.to_upper()}>""#, r#"{}"#, ""),
        (r#"a = '<${user.x.split("@")[0]}>'"#, r#"{"x":"ab@c"}"#, r#""a":"<ab>""#),
        (r#"a = '${"}" + user.x}'"#, r#"{"x":"b"}"#, r#""a":"}b""#),
        (r#"a = "${user.x}""#, r#"{"x":["1"]}"#, "500"),
        (r#"a = "${user.x}""#, r#"{"x":{"y":1}}"#, "500"),
        (r#"a = "${user.x}$ $.user.x""#, r#"{"x":"1"}"#, r#""a":"1$ $.user.x""#),
    ]);
}

#[test]
fn a_chain() {
    const CHAIN: &str = r#"a = ["$.user.a", "$.user.b", "no ${user.c}"]"#;
    check(&[
        (CHAIN, r#"{"a":"1","b":"2","c":"3"}"#, r#""a":"1""#),
        (CHAIN, r#"{"b":"2","c":"3"}"#, r#""a":"2""#),
        (CHAIN, r#"{"a":null,"b":"","c":"3"}"#, r#""a":"no 3""#),
        (CHAIN, r#"{"a":[],"b":{},"c":"3"}"#, r#""a":"no 3""#),
        (CHAIN, r#"{"a":false,"b":"2"}"#, r#""a":false"#),
        (CHAIN, r#"{"a":0,"b":"2"}"#, r#""a":0"#),
        (CHAIN, r#"{"a":" ","b":"2"}"#, r#""a":" ""#),
        (CHAIN, r#"{}"#, ""),
        (
            r#"a = [{ path = "$.user.a", trim = true }, { rhai = "user.b.to_upper()" }]"#,
            r#"{"a":" ","b":"x"}"#,
            r#""a":"X""#,
        ),
        (r#"a = ["$.user.a", { value = "none" }]"#, r#"{}"#, r#""a":"none""#),
        (r#"a = { path = ["$.user.a", "$.user.b"], lower = true }"#, r#"{"b":"AB"}"#, r#""a":"ab""#),
        (
            r#"a = { path = ["$.user.a[*]", "$.user.b[*]"], many = true }"#,
            r#"{"a":[],"b":["x","y"]}"#,
            r#""a":["x","y"]"#,
        ),
        (r#"a = { path = ["$.user.a", "$.user.b"], default = "d" }"#, r#"{"a":"","b":null}"#, r#""a":"d""#),
        (r#"a = { path = ["$.user.a", "$.user.b"], join = " " }"#, r#"{"a":"Ada","b":"L"}"#, r#""a":"Ada L""#),
        (r#"a = { path = ["$.user.a", "$.user.b"], join = " " }"#, r#"{"a":"","b":"L"}"#, r#""a":"L""#),
    ]);
}

#[test]
fn the_options_of_a_path() {
    check(&[
        (r#"a = { path = "$.user.emails[*].address", many = true }"#, MAILS, r#""a":["a@x","b@x","c@x"]"#),
        (r#"a = { path = "$.user.emails[*].n", many = true }"#, MAILS, r#""a":["1","2","3"]"#),
        (r#"a = { path = "$.user.emails[?@.n > 9].address", many = true }"#, MAILS, ""),
        (r#"a = { path = "$.user.x", many = true }"#, r#"{"x":["a",null,"b"]}"#, r#""a":["a","b"]"#),
        (r#"a = { path = "$.user.x", many = true }"#, r#"{"x":"a"}"#, r#""a":["a"]"#),
        (r#"a = { path = "$.user.x", many = true, default = [] }"#, r#"{}"#, r#""a":[]"#),
        (r#"a = { path = "$.user.emails[*].address", first = true }"#, MAILS, r#""a":"a@x""#),
        (r#"a = { path = "$.user.emails[*].address", join = "," }"#, MAILS, r#""a":"a@x,b@x,c@x""#),
        (r#"a = { path = "$.user.x", join = "+" }"#, r#"{"x":["a",1,null,""]}"#, r#""a":"a+1""#),
        (r#"a = { path = "$.user.x", join = "+" }"#, r#"{"x":[]}"#, ""),
        (r#"a = { path = "$.user.x", join = "+" }"#, r#"{"x":[{}, {"b":1}]}"#, "500"),
        (r#"a = { path = "$.user.x", default = "d" }"#, r#"{}"#, r#""a":"d""#),
        (r#"a = { path = "$.user.x", default = "d" }"#, r#"{"x":null}"#, r#""a":"d""#),
        (r#"a = { path = "$.user.x", default = "d" }"#, r#"{"x":""}"#, r#""a":"""#),
        (r#"a = { path = "$.user.x", default = "d", trim = true }"#, r#"{"x":" \t"}"#, r#""a":"d""#),
        (r#"a = { path = "$.user.x", default = false }"#, r#"{"x":true}"#, r#""a":true"#),
        (r#"a = { path = "$.user.x", required = true }"#, r#"{"x":"1"}"#, r#""a":"1""#),
        (r#"a = { path = "$.user.x", required = true }"#, r#"{}"#, "500"),
        (r#"a = { path = "$.user.x", required = true }"#, r#"{"x":null}"#, "500"),
        (r#"a = { path = "$.user.x", required = true, default = 1 }"#, r#"{}"#, r#""a":1"#),
        (r#"a = { path = "$.user.x", required = true, trim = true }"#, r#"{"x":" "}"#, "500"),
        (r#"a = { path = "$.user.x", trim = true }"#, r#"{"x":" a b \n"}"#, r#""a":"a b""#),
        (r#"a = { path = "$.user.x", lower = true }"#, r#"{"x":"ÄB c"}"#, r#""a":"äb c""#),
        (
            r#"a = { path = "$.user.x[*]", many = true, trim = true, lower = true }"#,
            r#"{"x":[" A","B "]}"#,
            r#""a":["a","b"]"#,
        ),
        (r#"a = { path = "$.user.x", trim = true, lower = true }"#, r#"{"x":7}"#, r#""a":7"#),
        (r#"a = { path = "x ${user.x}", lower = true }"#, r#"{"x":"Y"}"#, r#""a":"x y""#),
    ]);
}

#[test]
fn the_types_that_a_rule_asks_for() {
    let long = "123456789012345678901234567890";
    check(&[
        (r#"a = { path = "$.user.x", type = "string" }"#, r#"{"x":7}"#, r#""a":"7""#),
        (r#"a = { path = "$.user.x", type = "string" }"#, &format!(r#"{{"x":{long}}}"#), &format!(r#""a":"{long}""#)),
        (r#"a = { path = "$.user.x", type = "string" }"#, r#"{"x":true}"#, "500"),
        (r#"a = { path = "$.user.x", type = "string" }"#, r#"{"x":1.5}"#, "500"),
        (r#"a = { path = "$.user.x", type = "integer" }"#, r#"{"x":"-7"}"#, r#""a":-7"#),
        (r#"a = { path = "$.user.x", type = "integer" }"#, &format!(r#"{{"x":"{long}"}}"#), &format!(r#""a":{long}"#)),
        (r#"a = { path = "$.user.x", type = "integer" }"#, r#"{"x":"007"}"#, "500"),
        (r#"a = { path = "$.user.x", type = "integer" }"#, r#"{"x":7.0}"#, "500"),
        (r#"a = { path = "$.user.x", type = "number" }"#, r#"{"x":"1.50"}"#, r#""a":1.50"#),
        (r#"a = { path = "$.user.x", type = "boolean" }"#, r#"{"x":"FALSE"}"#, r#""a":false"#),
        (r#"a = { path = "$.user.x", type = "boolean" }"#, r#"{"x":1}"#, r#""a":true"#),
        (r#"a = { path = "$.user.x", type = "boolean" }"#, r#"{"x":""}"#, "500"),
        (r#"a = { path = "$.user.x", type = "time" }"#, r#"{"x":"2026-10-02T20:04:11+02:00"}"#, r#""a":1790964251"#),
        (r#"a = { path = "$.user.x", type = "strings" }"#, r#"{"x":"a"}"#, r#""a":["a"]"#),
        (r#"a = { path = "$.user.x", type = "strings" }"#, r#"{"x":[1,"b"]}"#, r#""a":["1","b"]"#),
        (r#"a = { path = "$.user.x", type = "strings" }"#, r#"{}"#, ""),
        (r#"name = { path = "$.user.x", type = "strings" }"#, r#"{"x":"a"}"#, r#""name":["a"]"#),
    ]);
}

#[test]
fn the_types_of_standard_claims() {
    let texts = [
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "email",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "phone_number",
    ];
    let lines: Vec<String> = texts.iter().map(|name| format!("{name} = \"$.user.x\"")).collect();
    let number: Vec<String> = texts.iter().map(|name| format!(r#""{name}":"7""#)).collect();
    check(
        &lines
            .iter()
            .zip(&number)
            .map(|(line, number)| (line.as_str(), r#"{"x":7}"#, number.as_str()))
            .collect::<Vec<_>>(),
    );
    check(&lines.iter().map(|line| (line.as_str(), r#"{"x":true}"#, "500")).collect::<Vec<_>>());
    check(&lines.iter().map(|line| (line.as_str(), r#"{"x":null}"#, "")).collect::<Vec<_>>());
    for name in ["email_verified", "phone_number_verified"] {
        let line = format!("{name} = \"$.user.x\"");
        let [yes, no] = [true, false].map(|flag| format!(r#""{name}":{flag}"#));
        check(&[
            (&line, r#"{"x":true}"#, &yes),
            (&line, r#"{"x":"true"}"#, &yes),
            (&line, r#"{"x":"True"}"#, &yes),
            (&line, r#"{"x":1}"#, &yes),
            (&line, r#"{"x":"1"}"#, &yes),
            (&line, r#"{"x":false}"#, &no),
            (&line, r#"{"x":"false"}"#, &no),
            (&line, r#"{"x":0}"#, &no),
            (&line, r#"{"x":null}"#, ""),
            (&line, r#"{}"#, ""),
            (&line, r#"{"x":""}"#, ""),
            (&line, r#"{"x":"perhaps"}"#, "500"),
            (&line, r#"{"x":2}"#, "500"),
            (&line, r#"{"x":[true]}"#, "500"),
        ]);
    }
    const UPDATED: &str = r#"updated_at = "$.user.x""#;
    check(&[
        (UPDATED, r#"{"x":1790964251}"#, r#""updated_at":1790964251"#),
        (UPDATED, r#"{"x":"1790964251"}"#, r#""updated_at":1790964251"#),
        (UPDATED, r#"{"x":"2026-10-02T18:04:11Z"}"#, r#""updated_at":1790964251"#),
        (UPDATED, r#"{"x":"2026-10-02T18:04:11.999-00:00"}"#, r#""updated_at":1790964251"#),
        (UPDATED, r#"{"x":"1969-12-31T23:59:59Z"}"#, r#""updated_at":-1"#),
        (UPDATED, r#"{"x":"yesterday"}"#, "500"),
        (UPDATED, r#"{"x":true}"#, "500"),
    ]);
}

#[test]
fn an_expression() {
    check(&[
        (r#"a = { rhai = "user.x.to_lower()" }"#, r#"{"x":"AB"}"#, r#""a":"ab""#),
        (r#"a = { rhai = "user.x" }"#, r#"{"x":"AB"}"#, r#""a":"AB""#),
        (r#"a = { rhai = "user.x + 1" }"#, r#"{"x":41}"#, r#""a":42"#),
        (r#"a = { rhai = "user.x > 1 && user.y" }"#, r#"{"x":2,"y":true}"#, r#""a":true"#),
        (r#"a = { rhai = "if user.x == 1 { \"one\" } else { \"many\" }" }"#, r#"{"x":2}"#, r#""a":"many""#),
        (r#"a = { rhai = "user.x.split(\",\")" }"#, r#"{"x":"a,b"}"#, r#""a":["a","b"]"#),
        (r#"a = { rhai = "user.x.filter(|x| x != \"a\")" }"#, r#"{"x":["a","b"]}"#, r#""a":["b"]"#),
        (r#"a = { rhai = "user.x", default = "d" }"#, r#"{}"#, r#""a":"d""#),
        (r#"a = { rhai = "user.x.y.z" }"#, r#"{}"#, ""),
        (r#"a = { rhai = "()" }"#, r#"{}"#, ""),
        (r##"a = { rhai = "#{ b: user.x }", flatten = "_" }"##, r#"{"x":1}"#, r#""a_b":1"#),
        (r##"a = { rhai = "#{ b: user.x }" }"##, r#"{"x":1}"#, "500"),
        (r#"a = { rhai = "user.x.to_lower()" }"#, r#"{"x":1}"#, "500"),
        (r#"name = { rhai = "user.x + 1" }"#, r#"{"x":1}"#, r#""name":"2""#),
    ]);
}

/// One expression for each case over the same answer.
#[track_caller]
fn rhai(body: &str, cases: &[(&str, &str)]) {
    let claims: Vec<_> = cases.iter().map(|(text, _)| format!("a = {{ rhai = '''{text}''' }}")).collect();
    let expected: Vec<_> = cases
        .iter()
        .map(|(_, value)| match *value {
            "" | "500" => (*value).to_owned(),
            value => format!("\"a\":{value}"),
        })
        .collect();
    let cases: Vec<Case<'_>> = claims.iter().zip(&expected).map(|(claim, value)| (&**claim, body, &**value)).collect();
    check(&cases);
}

const ALL_KINDS: &str = r#"{"i":6,"f":2.5,"s":"abc","t":true,"l":[1,2],"m":[{"x":1},{"y":[7]},"z"],"o":{"a":1,"b":{"c":2}},
    "big":18446744073709551615,"n":null}"#;

#[test]
fn a_member_that_a_value_cannot_have_is_absent() {
    rhai(
        ALL_KINDS,
        &[
            ("user.l.x", ""),
            ("user.l.x.y", ""),
            ("user.s.x", ""),
            ("user.i.x.y", ""),
            ("user.f.x", ""),
            ("user.t.x", ""),
            ("user.big.x", ""),
            ("user.s[0].x", ""),
            ("user.o[0]", ""),
            ("user.o[0].x", ""),
            ("user.o[0][1].x", ""),
            ("user.l['x']", ""),
            (r#"user.l["x"]"#, ""),
            (r#"user.l["x"]["y"]"#, ""),
            (r#"user.s["x"]"#, ""),
            (r#"user.i["x"]"#, ""),
            ("user.f[0]", ""),
            ("user.t[0]", ""),
            ("user.big[0]", ""),
            ("user.s[9]", ""),
            ("user.s[-9]", ""),
            ("user.i[64]", ""),
            ("user.l[9]", ""),
            ("user.l[-9223372036854775808]", ""),
            ("user.l[user.gone]", ""),
            ("user.o[user.gone]", ""),
            ("user.gone[user.i]", ""),
            ("user.gone[0..2]", ""),
            // What is there stays.
            ("user.l[0]", "1"),
            ("user.l[-1]", "2"),
            ("user.s[0]", r#""a""#),
            ("user.s[-1]", r#""c""#),
            ("user.s[1..9]", r#""bc""#),
            ("user.i[1]", "true"),
            (r#"user.o["b"]["c"]"#, "2"),
            (r#"user["o"].b["c"]"#, "2"),
            ("user.m[1].y[0]", "7"),
            ("user.m[user.l[0]].y[user.m[0].y ?? 0]", "7"),
            (r#"user.m[2].to_upper() + "]""#, r#""Z]""#),
            (r#"`${user.m[0].x}${user.o[0] ?? "]"}`"#, r#""1]""#),
            // In closures too, whose values are no constants.
            ("user.m.map(|e| e.x ?? 0)", r#"["1","0","0"]"#),
            (r#"user.m.map(|e| `${e.x ?? e["x"] ?? "none"}`)"#, r#"["1","none","none"]"#),
            ("user.m.filter(|e| e.y[0] == 7).len()", "1"),
            (r#"user.l.filter(|e| e["x"] == ()).len()"#, "2"),
            ("user.o[0] == 1 || user.i == 6", "true"),
        ],
    );
}

#[test]
fn what_a_script_changes_is_the_element_itself() {
    script(
        r#"
let list = [[1], #{ x: 1 }];
list[0].push(2);
list[0][0] = 5;
list[1].x += 1;
list[1]["y"] = list[0][1];
claims.a = `${list[0][0]}${list[0][1]}${list[1].x}${list[1].y}${list[7] ?? "-"}`;
"#,
        r#"{"id":"1"}"#,
        r#"{"sub":"1","a":"5222-"}"#,
    );
}

#[test]
fn nothing_is_in_something_absent() {
    rhai(
        ALL_KINDS,
        &[
            ("2 in user.gone", "false"),
            ("user.gone in user.l", "false"),
            ("user.gone in user.s", "false"),
            ("user.gone in user.o", "false"),
            ("user.gone in user.gone", "false"),
            ("user.gone in 200..300", "false"),
            ("user.gone in 200..=300", "false"),
            ("user.gone !in 200..300", "true"),
            ("user.i in 1..user.gone", "false"),
            ("user.i in user.gone..=9", "false"),
            ("user.i in user.gone..user.o.gone", "false"),
            ("user.i in 1..user.i", "false"),
            ("user.i in 1..=user.i", "true"),
            ("user.i in user.l[0]..9", "true"),
            ("user.f in 1..3", "true"),
            ("user.f in 1..=2", "false"),
            ("user.s in 1..3", "false"),
            ("user.big in 1..3", "false"),
            ("2 in user.l", "true"),
            ("2 in user.s", "false"),
            ("2 in user.o", "false"),
            ("2 in user.i", "false"),
            (r#""b" in user.s"#, "true"),
            (r#""b" in user.o"#, "true"),
            ("user.m.filter(|e| 7 in e.gone).len()", "0"),
            ("user.m.filter(|e| e.x in 1..3).len()", "1"),
            ("user.m.filter(|e| e.y in 1..e.z).len()", "0"),
            ("user.m.filter(|e| 7 in e.y).len()", "1"),
        ],
    );
}

#[test]
fn operators_know_the_values_of_answers() {
    rhai(
        ALL_KINDS,
        &[
            ("user.i + 1", "7"),
            ("user.i - 1", "5"),
            ("user.i * 2", "12"),
            ("user.i / 4", "1"),
            ("user.i % 4", "2"),
            ("user.i ** 2", "36"),
            ("-user.i", "-6"),
            ("user.i & 2", "2"),
            ("user.i | 1", "7"),
            ("user.i ^ 2", "4"),
            ("user.i << 2", "24"),
            ("user.i >> 1", "3"),
            ("(user.i & 4) != 0", "true"),
            ("user.i << 64", "0"),
            ("user.i << -1", "3"),
            ("user.i >> 9223372036854775807", "0"),
            ("user.i << (-9223372036854775807 - 1)", "0"),
            ("user.i & user.i == 6", "500"),
            ("user.t & true", "true"),
            ("user.t | false", "true"),
            ("user.t ^ true", "false"),
            ("!user.t", "false"),
            ("user.f + 1", "3.5"),
            ("user.f - user.i", "-3.5"),
            ("user.f * 2", "5.0"),
            ("user.f / 2", "1.25"),
            ("user.f % 2", "0.5"),
            ("user.f ** 2", "6.25"),
            ("-user.f", "-2.5"),
            ("user.i > user.f", "true"),
            ("user.f <= 2", "false"),
            (r#"user.s + "d""#, r#""abcd""#),
            (r#"user.s - "b""#, r#""ac""#),
            ("user.s + user.i", r#""abc6""#),
            (r#"user.s < "b""#, "true"),
            (r#"user.s == "abc""#, "true"),
            ("user.l == [1, 2]", "true"),
            ("(user.l + [3]).len()", "3"),
            ("user.o == #{ a: 1 }", "false"),
            ("user.big > user.i", "true"),
            ("user.big == user.big", "true"),
            // Nothing can be calculated with something absent, on either side.
            ("user.i + user.gone", ""),
            ("user.gone + user.i", ""),
            ("user.f * user.gone", ""),
            ("user.i & user.gone", ""),
            ("(user.gone & 4) != 0", "true"),
            ("(user.i & user.gone) == 4", "false"),
            ("-user.gone", ""),
            ("user.i / 0", "500"),
            ("user.big + 1", "500"),
        ],
    );
}

#[test]
fn a_constant() {
    check(&[
        (r#"a = { value = "gold" }"#, "{}", r#""a":"gold""#),
        (r#"a = { value = "$.user.x" }"#, r#"{"x":1}"#, r#""a":"$.user.x""#),
        (r#"a = { value = "${user.x}" }"#, r#"{"x":1}"#, r#""a":"${user.x}""#),
        (r#"a = { value = 7 }"#, "{}", r#""a":7"#),
        (r#"a = { value = 9223372036854775807 }"#, "{}", r#""a":9223372036854775807"#),
        (r#"a = { value = false }"#, "{}", r#""a":false"#),
        (r#"a = { value = ["x", "y"] }"#, "{}", r#""a":["x","y"]"#),
        (r#"email_verified = { value = true }"#, "{}", r#""email_verified":true"#),
    ]);
    for nested in [r#"a = { value = { b = 1 } }"#, r#"a = { value = [["x"]] }"#, r#"email_verified = { value = "x" }"#]
    {
        assert!(is_refused(&rule(0, nested)), "{nested}");
    }
}

#[test]
fn a_plain_text_is_refused_when_the_rule_is_loaded() {
    for text in ["gold", "", "user.name", "$user", "$"] {
        assert!(is_refused(&rule(0, &format!("a = \"{text}\""))), "{text}");
    }
}

#[test]
fn what_is_nested_is_refused() {
    check(&[
        (r#"a = "$.user.x""#, r#"{"x":{"y":1}}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":{}}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":[["y"]]}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":[{"y":1}]}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":["a",1.5]}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":["a",true]}"#, "500"),
        (r#"a = "$.user.x""#, r#"{"x":["a","b"]}"#, r#""a":["a","b"]"#),
        (r#"a = "$.user.x""#, r#"{"x":[]}"#, r#""a":[]"#),
        (r#"address = "$.user.x""#, r#"{"x":{"country":"DE","region":null}}"#, r#""address":{"country":"DE"}"#),
        (r#"address = "$.user.x""#, r#"{"x":{"country":{"code":"DE"}}}"#, "500"),
        (r#"address = "$.user.x""#, r#"{"x":{"lines":["a"]}}"#, "500"),
        (r#"address = "$.user.x""#, r#"{"x":"Berlin"}"#, r#""address":"Berlin""#),
        (r#"address = { path = "$.user.x", type = "string" }"#, r#"{"x":{"country":"DE"}}"#, "500"),
        (r#"address = { path = "$.user.x", flatten = "_" }"#, r#"{"x":{"country":"DE"}}"#, r#""address_country":"DE""#),
        (
            r##"address = { rhai = "#{ formatted: user.x }" }"##,
            r#"{"x":"Berlin"}"#,
            r#""address":{"formatted":"Berlin"}"#,
        ),
        (r#"street = "$.user.x""#, r#"{"x":{"country":"DE"}}"#, "500"),
        (
            r#"address = { path = "$.user.x", type = "object" }"#,
            r#"{"x":{"country":"DE"}}"#,
            r#""address":{"country":"DE"}"#,
        ),
        (r#"address = { path = "$.user.x", type = "object" }"#, r#"{"x":"DE"}"#, "500"),
    ]);
    assert!(is_refused(&rule(0, r#"a = { path = "$.user.x", type = "object" }"#)));
}

#[test]
fn flatten_on_a_claim() {
    const FLAT: &str = r#"a = { path = "$.user.x", flatten = "_" }"#;
    check(&[
        (FLAT, r#"{"x":{"b":1}}"#, r#""a_b":1"#),
        (
            FLAT,
            r#"{"x":{"b":{"c":{"d":"e"}},"f":true,"g":null,"h":["i","j"],"k":{}}}"#,
            r#""a_b_c_d":"e","a_f":true,"a_h":["i","j"]"#,
        ),
        (FLAT, r#"{"x":"plain"}"#, r#""a":"plain""#),
        (FLAT, r#"{"x":{}}"#, ""),
        (FLAT, r#"{}"#, ""),
        (FLAT, r#"{"x":{"b":[{"c":1}]}}"#, "500"),
        (FLAT, r#"{"x":{"b":[[1]]}}"#, "500"),
        (r#"a = { path = "$.user.x", flatten = "." }"#, r#"{"x":{"b":{"c":1}}}"#, r#""a.b.c":1"#),
        (r#"address = { path = "$.user.x", flatten = "_" }"#, r#"{"x":{"country":"DE"}}"#, r#""address_country":"DE""#),
    ]);
    let deep = format!(r#"{{"x":{}1{}}}"#, r#"{"b":"#.repeat(12), "}".repeat(12));
    check(&[(FLAT, &deep, "500")]);
}

#[test]
fn include_copies_members() {
    let body = r#"{"p":{"a":"1","b":2,"name":7,"gone":null,"list":["x",1],"deep":{"c":{"d":"e"}}}}"#;
    let flat = r#"{"p":{"a":"1","b":2,"name":7,"gone":null}}"#;
    let include = |options: &str| format!("[[include]]\npath = \"$.user.p\"\n{options}");
    let table = |body: &'static str, options: &str, claims: &str, expected: &str| {
        let rule = format!("{}\n{}", rule_with(claims), include(options));
        let answer = ask(&rule, move |_| body.to_owned());
        let got = if answer.status == 200 { answer.body } else { answer.status.to_string() };
        assert_eq!(got, expected, "{options} {claims}");
    };
    table(flat, "", "sub = \"$.user.p.a\"", r#"{"a":"1","b":2,"name":"7","sub":"1"}"#);
    table(flat, "only = [\"b\", \"gone\", \"other\"]", "sub = \"$.user.p.a\"", r#"{"b":2,"sub":"1"}"#);
    table(flat, "except = [\"b\", \"name\"]", "sub = \"$.user.p.a\"", r#"{"a":"1","sub":"1"}"#);
    table(flat, "only = []", "sub = \"$.user.p.a\"", r#"{"sub":"1"}"#);
    // [claims] wins; a value that is absent there does not take the included one away.
    let claims = "sub = \"$.user.p.a\"\nb = { value = \"mine\" }\nname = \"$.user.p.absent\"";
    table(flat, "", claims, r#"{"a":"1","b":"mine","name":"7","sub":"1"}"#);
    table(body, "only = [\"list\"]", "sub = \"$.user.p.a\"", r#"{"list":["x","1"],"sub":"1"}"#);
    table(body, "only = [\"deep\"]", "sub = \"$.user.p.a\"", "500");
    table(body, "only = [\"deep\"]\nflatten = \"_\"", "sub = \"$.user.p.a\"", r#"{"deep_c_d":"e","sub":"1"}"#);
    table("{}", "", "sub = { value = \"u\" }", r#"{"sub":"u"}"#);
    table(r#"{"p":"text"}"#, "", "sub = { value = \"u\" }", r#"{"sub":"u"}"#);
    // The subject may be among them, and is held to its promise.
    table(r#"{"p":{"sub":7,"email_verified":"true"}}"#, "", "", r#"{"email_verified":true,"sub":"7"}"#);
    table(r#"{"p":{"sub":"null"}}"#, "", "", "500");
    table(r#"{"p":{"sub":"1","email_verified":"perhaps"}}"#, "", "", "500");
}

fn rule_with(claims: &str) -> String {
    format!("[call.user]\nurl = \"{ORIGIN}/user\"\n[claims]\n{claims}\n")
}

#[test]
fn two_includes_and_the_whole_answer() {
    let rule = format!(
        "include = [{{ path = \"$.user\", only = [\"id\", \"a\"] }}, {{ path = \"$.user.more\" }}]\n{}",
        rule_with("sub = \"$.user.id\"")
    );
    let answer = ask(&rule, |_| r#"{"id":"1","a":"x","more":{"a":"y","b":"z"}}"#.into());
    assert_eq!(answer.body, r#"{"a":"y","id":"1","b":"z","sub":"1"}"#);
}

#[test]
fn the_subject_may_have_another_name() {
    for (subject, claims, body, expected) in [
        ("uuid", "uuid = \"$.user.id\"", r#"{"id":"x"}"#, r#"{"uuid":"x"}"#),
        ("uuid", "uuid = \"$.user.id\"", r#"{"id":18446744073709551615}"#, r#"{"uuid":18446744073709551615}"#),
        ("uuid", "sub = \"$.user.id\"\nuuid = \"$.user.uuid\"", r#"{"id":"x"}"#, "500"),
        ("uuid", "sub = \"$.user.gone\"\nuuid = \"$.user.id\"", r#"{"id":"x"}"#, r#"{"uuid":"x"}"#),
        ("uuid", "uuid = \"$.user.id\"", r#"{"id":true}"#, "500"),
        ("uuid", "uuid = { path = \"$.user.id\", default = \"\" }", r#"{}"#, "500"),
        ("x_y", "x = { path = \"$.user\", flatten = \"_\" }\nx_y = \"$.user.y\"", r#"{"y":"1"}"#, r#"{"x_y":"1"}"#),
    ] {
        let rule = format!("subject = \"{subject}\"\n{}", rule_with(claims));
        let answer = ask(&rule, move |_| body.to_owned());
        let got = if answer.status == 200 { answer.body } else { answer.status.to_string() };
        assert_eq!(got, expected, "{claims} of {body}");
    }
    assert!(is_refused(&rule_with("name = \"$.user.id\"")), "no `sub`, and nothing else named");
}

#[test]
fn claims_stand_in_the_order_of_the_rule() {
    let claims = "z = \"$.user.z\"\nsub = \"$.user.id\"\na = \"$.user.a\"\nm = { value = 1 }\nb = \"${user.id}\"";
    let answer = ask(&rule_with(claims), |_| r#"{"a":1,"b":2,"id":"1","z":3}"#.into());
    assert_eq!(answer.body, r#"{"z":3,"sub":"1","a":1,"m":1,"b":"1"}"#);
}

#[test]
fn the_request_shows_what_the_rule_lists_and_never_the_token() {
    let rule = format!(
        "[request]\nheaders = [\"X-Tenant\", \"x-other\", \"x-twice\"]\nquery = [\"lang\", \"access_token\"]\n{}\
         [script]\nsource = 'claims.all = request.headers.keys() + request.query.keys();'\n",
        rule_with(
            "sub = \"$.user.id\"\nmethod = \"$.request.method\"\nrule = \"${request.rule}\"\n\
             tenant = \"$.request.headers['x-tenant']\"\nunlisted = \"$.request.headers.authorization\"\n\
             lang = \"$.request.query.lang\"\nhidden = \"$.request.query.secret\"\n\
             token = \"$.request.query.access_token\"\nother = { rhai = 'request.headers[\"x-other\"]' }"
        )
    );
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let gateway = Setup::new()
        .rule("acme", &rule)
        .reroute(ORIGIN, &upstream.origin)
        .with(|settings| settings.query_token = true)
        .start();
    let url = gateway.url("/acme?lang=de%2DDE&secret=x&access_token=t0ken");
    let request = client().post(url).header("x-tenant", "t1").header("x-unlisted", "u");
    let answer = block_on(send(request));
    assert_eq!(
        answer.body,
        r#"{"sub":"1","method":"POST","rule":"acme","tenant":"t1","lang":"de-DE","all":["x-tenant","lang"]}"#
    );
    assert!(!answer.body.contains(TOKEN));
    for header in ["authorization", "Authorization", "cookie", "dpop", "proxy-authorization"] {
        let rule = format!("[request]\nheaders = [\"{header}\"]\n{}", rule_with("sub = \"$.user.id\""));
        assert!(is_refused(&rule), "{header}");
    }
}

#[test]
fn token_and_secrets_are_not_in_the_document() {
    let secrets = "[secrets]\nkey = { env = \"KEY\" }\n";
    for (claims, more) in [
        ("a = \"$.token\"", ""),
        ("a = \"$.secrets.key\"", ""),
        ("a = \"${token}\"", ""),
        ("a = \"${secrets.key}\"", ""),
        ("a = { rhai = \"token\" }", ""),
        ("a = { rhai = \"secrets.key\" }", ""),
        ("", "[script]\nsource = 'claims.a = token;'"),
        ("", "[script]\nsource = 'claims.a = secrets.key;'"),
        ("", "[[require]]\nthat = \"token == \\\"x\\\"\"\nerror = \"access_denied\""),
        ("", "[script]\nsource = 'fn f() { token } claims.a = f();'"),
    ] {
        let rule = format!("{secrets}{}{more}\n", rule_with(&format!("sub = \"$.user.id\"\n{claims}")));
        let loaded = Setup::new().rule("acme", &rule).secrets(&[("KEY", "k3y")]).load();
        assert_eq!(loaded.refused, ["acme"], "{claims} {more}");
    }
}

#[test]
fn vars_are_overridden_by_settings() {
    let rule = "[vars]\nhost = \"default.acme.example\"\npath = \"v1\"\nplan = \"basic\"\nlimit = 5\nopen = true\n\
         [call.user]\nurl = \"https://${vars.host}/${vars.path}/me\"\nquery = { n = \"${vars.limit}\" }\n\
         [claims]\nsub = \"$.user.id\"\nplan = \"$.vars.plan\"\nlimit = \"$.vars.limit\"\n\
         text = \"${vars.plan}-${vars.limit}\"\nopen = { rhai = \"vars.open && vars.limit > 3\" }\n";
    let upstream = Upstream::new(|seen| Reply::json(json!({ "id": seen.target }).to_string()));
    let setup = || Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin);
    let plain = setup().reroute("https://default.acme.example", &upstream.origin).start().get("/acme", TOKEN);
    assert_eq!(plain.body, r#"{"sub":"/v1/me?n=5","plan":"basic","limit":5,"text":"basic-5","open":true}"#);
    let vars = json!({
        "host": "api.acme.example", "path": "v2", "plan": "gold", "limit": 18_446_744_073_709_551_615_u64, "open": false
    });
    let changed = setup().with(|settings| {
        let vars = vars.as_object().expect("it is an object").clone();
        settings.rule.insert("acme".into(), claimsmith::config::Rule { vars, ..Default::default() });
    });
    assert_eq!(
        changed.start().get("/acme", TOKEN).body,
        r#"{"sub":"/v2/me?n=18446744073709551615","plan":"gold","limit":18446744073709551615,"text":"gold-18446744073709551615","open":false}"#
    );
    let unknown = setup().with(|settings| {
        let vars = json!({ "hots": "x" }).as_object().expect("it is an object").clone();
        settings.rule.insert("acme".into(), claimsmith::config::Rule { vars, ..Default::default() });
    });
    assert_eq!(unknown.load().refused, ["acme"]);
}

/// What a script makes of the claims `sub`, `b` and `a`, in this order.
#[track_caller]
fn script(source: &str, body: &'static str, expected: &str) {
    let claims = "sub = \"$.user.id\"\nb = \"$.user.b\"\na = \"$.user.a\"";
    let rule = format!("{}[script]\nsource = '''\n{source}\n'''\n", rule_with(claims));
    let answer = ask(&rule, move |_| body.to_owned());
    let got = if answer.status == 200 { answer.body } else { answer.status.to_string() };
    assert_eq!(got, expected, "{source}");
}

#[test]
fn a_script_changes_the_claims() {
    const BODY: &str = r#"{"id":"1","a":"x","b":"y","list":["p","q"],"n":5}"#;
    script("", BODY, r#"{"sub":"1","b":"y","a":"x"}"#);
    script("claims.b = \"z\";", BODY, r#"{"sub":"1","b":"z","a":"x"}"#);
    script("claims.remove(\"b\");", BODY, r#"{"sub":"1","a":"x"}"#);
    script("claims.b = ();", BODY, r#"{"sub":"1","a":"x"}"#);
    script("claims.z = 1; claims.c = true;", BODY, r#"{"sub":"1","b":"y","a":"x","c":true,"z":1}"#);
    script("claims.remove(\"b\"); claims.b = \"back\";", BODY, r#"{"sub":"1","b":"back","a":"x"}"#);
    script(
        "claims[\"https://acme.example/plan\"] = \"gold\";",
        BODY,
        r#"{"sub":"1","b":"y","a":"x","https://acme.example/plan":"gold"}"#,
    );
    script("claims = #{ sub: claims.sub };", BODY, r#"{"sub":"1"}"#);
    script(
        "claims.groups = user.list; claims.groups.push(\"r\");",
        BODY,
        r#"{"sub":"1","b":"y","a":"x","groups":["p","q","r"]}"#,
    );
    script(
        "claims.email_verified = \"true\"; claims.name = user.n;",
        BODY,
        r#"{"sub":"1","b":"y","a":"x","email_verified":true,"name":"5"}"#,
    );
    script(
        "for item in user.list { claims[item] = item.to_upper(); }",
        BODY,
        r#"{"sub":"1","b":"y","a":"x","p":"P","q":"Q"}"#,
    );
    script("fn shout(x) { x.to_upper() + \"!\" } claims.b = shout(user.b);", BODY, r#"{"sub":"1","b":"Y!","a":"x"}"#);
    script("let x = user.gone; if x == () { claims.b = \"none\"; }", BODY, r#"{"sub":"1","b":"none","a":"x"}"#);
    // The subject is held to its promise after the script.
    script("claims.remove(\"sub\");", BODY, "500");
    script("claims.sub = \"undefined\";", BODY, "500");
    script("claims.sub = 0;", BODY, "500");
    script("claims.sub = user.gone;", BODY, "500");
    script("claims.sub = 7;", BODY, r#"{"sub":"7","b":"y","a":"x"}"#);
    script("claims.b = #{ c: 1 };", BODY, "500");
    script("claims.b = [[1]];", BODY, "500");
    script("claims.b = 1.0 / 0.0;", BODY, "500");
    script("user.b = \"other\";", BODY, "500");
}

#[test]
fn absence_in_scripts_is_no_error() {
    const BODY: &str = r#"{"id":"1","n":5,"yes":true,"no":false,"nothing":null,"text":"t"}"#;
    for (condition, holds) in [
        ("user.suspended", false),
        ("user.gone.deep.er", false),
        ("user.nothing", false),
        ("user.nothing.deep", false),
        ("!user.suspended", true),
        ("user.yes", true),
        ("user.no", false),
        ("user.yes && user.gone", false),
        ("user.gone && user.yes", false),
        ("user.gone || user.yes", true),
        ("user.gone || user.none", false),
        ("user.gone == 5", false),
        ("5 == user.gone", false),
        ("user.gone == \"5\"", false),
        ("user.gone == true", false),
        ("user.gone == false", false),
        ("user.gone > 5", false),
        ("user.gone < 5", false),
        ("user.gone >= 5", false),
        ("5 < user.gone", false),
        ("5 > user.gone", false),
        ("user.n > user.gone", false),
        ("user.n < user.gone", false),
        ("user.gone == user.n", false),
        ("user.gone.len() > 3", false),
        ("user.gone[0] == \"x\"", false),
        ("user.gone[0].name == \"x\"", false),
        ("user.n == 5 && user.text == \"t\"", true),
    ] {
        let source = format!("if {condition} {{ claims.b = \"holds\"; }}");
        script(&source, BODY, if holds { r#"{"sub":"1","b":"holds"}"# } else { r#"{"sub":"1"}"# });
        // A guard says the same; so does a claim, where it is true.
        let guard = format!(
            "{}[[require]]\nthat = '''{condition}'''\nerror = \"access_denied\"\n",
            rule_with("sub = \"$.user.id\"")
        );
        assert_eq!(ask(&guard, move |_| BODY.into()).status, if holds { 200 } else { 403 }, "{condition}");
    }
    script("claims.b = user.gone.split(\"@\")[0];", BODY, r#"{"sub":"1"}"#);
    script("claims.b = user.gone.a.b + 1;", BODY, r#"{"sub":"1"}"#);
    script("let x = user.gone.items; claims.b = x[0].name;", BODY, r#"{"sub":"1"}"#);
}

#[test]
fn a_script_from_a_file_beside_the_rule() {
    let rule = format!("{}[script]\nfile = \"acme.rhai\"\n", rule_with("sub = \"$.user.id\""));
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1","handle":"ada@acme"}"#));
    let setup = |text: Option<&str>| {
        let setup = Setup::new().rule("acme", &rule).reroute(ORIGIN, &upstream.origin);
        text.map_or(Setup::new().rule("acme", &rule), |text| setup.file("acme.rhai", text))
    };
    let sound = "// The part before the sign.\nclaims.nickname = user.handle.split(\"@\")[0];\n";
    assert_eq!(setup(Some(sound)).start().get("/acme", TOKEN).body, r#"{"sub":"1","nickname":"ada"}"#);
    assert_eq!(setup(None).load().refused, ["acme"]);
    assert_eq!(setup(Some("let x = ;")).load().refused, ["acme"]);
    for name in ["../acme.rhai", "/etc/passwd", "sub/acme.rhai", "acme.txt"] {
        assert!(is_refused(&rule.replace("acme.rhai", name)), "{name}");
    }
}

#[test]
fn guards_are_asked_in_order_before_claims_are_made() {
    let rule = |guards: &str| format!("{}{guards}", rule_with("sub = { path = \"$.user.gone\", required = true }"));
    let guard = |that: &str, error: &str| format!("[[require]]\nthat = '{that}'\nerror = \"{error}\"\n");
    let ask = |guards: String| ask(&rule(&guards), |_| r#"{"id":"1"}"#.into());
    let first = ask(guard("user.id == \"2\"", "invalid_token") + guard("false", "access_denied").as_str());
    assert_eq!((first.status, first.json()["error"].as_str()), (401, Some("invalid_token")));
    let second = ask(guard("user.id == \"1\"", "invalid_token") + guard("false", "access_denied").as_str());
    assert_eq!((second.status, second.json()["error"].as_str()), (403, Some("access_denied")));
    assert_eq!(ask(guard("user.id == \"1\"", "invalid_token")).status, 500, "all hold, and the claim is missing");
}

#[test]
fn a_refused_answer_is_gone_for_later_steps() {
    // `fail_when` saw it; nothing after may.
    let rule = format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\n\
         [call.extra]\nurl = \"{ORIGIN}/extra\"\noptional = true\n\
         fail_when = [{{ when = \"extra.error.len() > 0\", error = \"invalid_token\" }}]\n\
         [call.after]\nurl = \"{ORIGIN}/after\"\nquery = {{ name = \"${{extra.name.to_upper()}}\" }}\n\
         [claims]\nsub = \"$.user.id\"\nname = {{ rhai = \"extra.name.to_upper()\" }}\nasked = \"$.after.id\"\n\
         [script]\nsource = 'if extra.name != () {{ claims.nickname = extra.name; }}'\n"
    );
    let answer = ask(&rule, |target| match target {
        "/extra" => r#"{"name":"mallory","error":"denied"}"#.into(),
        other => json!({ "id": other }).to_string(),
    });
    assert_eq!(answer.body, r#"{"sub":"/user","asked":"/after"}"#);
}

/// Integers that no float holds: 2^53+1, 2^63−1, −2^63, 2^64−1 and one of 30 digits.
const IDS: [&str; 5] = [
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "123456789012345678901234567890",
];

/// The same id with another last digit: as a float it is the same number.
fn neighbour(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 1);
    let other = if last == "0" { 1 } else { last.parse::<u8>().expect("it is a digit") - 1 };
    format!("{start}{other}")
}

/// `ID` in claims and body becomes each id, `NEAR` its neighbour.
#[track_caller]
fn exact(cases: &[Case<'_>]) {
    let put = |text: &str, id: &str| text.replace("ID", id).replace("NEAR", &neighbour(id));
    let cases: Vec<_> = IDS
        .iter()
        .flat_map(|id| cases.iter().map(|case| (put(case.0, id), put(case.1, id), put(case.2, id))))
        .collect();
    check(&cases.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect::<Vec<_>>());
}

const TWO: &str = r#"{"id":ID,"near":NEAR,"list":[{"id":NEAR,"n":"wrong"},{"id":ID,"n":"right"}],"deep":{"id":ID}}"#;

#[test]
fn ids_are_exact_in_every_form() {
    exact(&[
        (r#"a = "$.user.id""#, TWO, r#""a":ID"#),
        (r#"name = "$.user.id""#, TWO, r#""name":"ID""#),
        (r#"a = { path = "$.user.id", type = "string" }"#, TWO, r#""a":"ID""#),
        (r#"a = { path = "$.user.id", type = "integer" }"#, TWO, r#""a":ID"#),
        (r#"a = { path = "$.user.id", type = "number" }"#, TWO, r#""a":ID"#),
        (r#"a = { path = "$.user.id", type = "integer" }"#, r#"{"id":"ID"}"#, r#""a":ID"#),
        (r#"a = ["$.user.gone", "$.user.id"]"#, TWO, r#""a":ID"#),
        (r#"a = { path = "$.user.list[*].id", many = true }"#, TWO, r#""a":["NEAR","ID"]"#),
        (r#"a = { path = "$.user.list[*].id", join = "," }"#, TWO, r#""a":"NEAR,ID""#),
        (r#"a = { path = "$.user.list[-1].id" }"#, TWO, r#""a":ID"#),
        (r#"a = "${user.id}""#, TWO, r#""a":"ID""#),
        (r#"a = "<${user.list[1].id}>""#, TWO, r#""a":"<ID>""#),
        (r#"a = { rhai = "user.id" }"#, TWO, r#""a":ID"#),
        (r#"a = { rhai = "user.list[1].id" }"#, TWO, r#""a":ID"#),
        (r#"a = { rhai = "user.id.to_string()" }"#, TWO, r#""a":"ID""#),
        (r#"a = { rhai = "`<${user.list[1].id}>`" }"#, TWO, r#""a":"<ID>""#),
        (r#"a = { rhai = "[user.id, user.near]" }"#, TWO, r#""a":["ID","NEAR"]"#),
        (r#"a = { path = "$.user.deep", flatten = "_" }"#, TWO, r#""a_id":ID"#),
        ("[script]\nsource = 'claims.a = user.list[1].id; claims.b = [user.id];'", TWO, r#""a":ID,"b":["ID"]"#),
        (
            "a = \"$.user.id\"\n[script]\nsource = 'claims.b = claims.a; claims.c = #{ x: claims.a }.x;'",
            TWO,
            r#""a":ID,"b":ID,"c":ID"#,
        ),
        ("[script]\nsource = 'claims.a = `${user.id}`;'", TWO, r#""a":"ID""#),
    ]);
    for id in IDS {
        // The subject, plain, copied and flattened.
        let body = format!(r#"{{"id":{id},"p":{{"sub":{id},"q":{{"id":{id}}}}}}}"#);
        for (head, claims, expected) in [
            ("", "sub = \"$.user.id\"", format!(r#"{{"sub":"{id}"}}"#)),
            ("include = { path = \"$.user.p\", only = [\"sub\"] }\n", "", format!(r#"{{"sub":"{id}"}}"#)),
            ("include = { path = \"$.user.p\", flatten = \"_\" }\n", "", format!(r#"{{"q_id":{id},"sub":"{id}"}}"#)),
            ("subject = \"uuid\"\n", "uuid = \"$.user.id\"", format!(r#"{{"uuid":{id}}}"#)),
        ] {
            let body = body.clone();
            assert_eq!(ask(&format!("{head}{}", rule_with(claims)), move |_| body.clone()).body, expected);
        }
    }
}

#[test]
fn filters_do_not_confuse_ids() {
    exact(&[
        (r#"a = "$.user.list[?@.id == $.user.id].n""#, TWO, r#""a":"right""#),
        (r#"a = "$.user.list[?$.user.id == @.id].n""#, TWO, r#""a":"right""#),
        (r#"a = "$.user.list[?@.id != $.user.near].n""#, TWO, r#""a":"right""#),
        (r#"a = "$.user.list[?!(@.id == $.user.near)].n""#, TWO, r#""a":"right""#),
        (r#"a = { path = "$.user.list[?@.id == $.user.id].id", many = true }"#, TWO, r#""a":["ID"]"#),
        (r#"a = "$.user.list[?@.id == $.user.gone].n""#, TWO, ""),
        (r#"a = "$.user.list[?@.id == 'ID'].n""#, TWO, ""),
        // Refused when it is run: an order of such numbers would be a guess.
        (r#"a = "$.user.list[?@.id > $.user.near].n""#, TWO, "500"),
        (r#"a = "$.user.list[?@.id >= 5].n""#, TWO, "500"),
        (r#"a = "$.user.list[?@.id < 5].n""#, TWO, "500"),
        (r#"a = "$.user.list[?@.id <= $.user.id].n""#, TWO, "500"),
    ]);
    // Refused when it is run: with a fraction or an exponent nobody knows which integer was meant.
    check(&[
        (
            r#"a = "$.user.list[?@.id == $.user.id].n""#,
            r#"{"id":9007199254740993,"list":[{"id":9007199254740993.0}]}"#,
            "500",
        ),
        (
            r#"a = "$.user.list[?@.id == $.user.id].n""#,
            r#"{"id":9.007199254740993e15,"list":[{"id":9007199254740992}]}"#,
            "500",
        ),
    ]);
    for id in IDS {
        let rule = rule(0, &format!("a = \"$.user.list[?@.id == {id}].n\""));
        assert!(is_refused(&rule), "refused when the rule is loaded, a literal has at most 53 bits: {id}");
    }
}

#[test]
fn expressions_do_not_confuse_ids() {
    exact(&[
        (r#"a = { rhai = "user.id == user.list[1].id" }"#, TWO, r#""a":true"#),
        (r#"a = { rhai = "user.id == user.near" }"#, TWO, r#""a":false"#),
        (r#"a = { rhai = "user.id != user.near" }"#, TWO, r#""a":true"#),
        (r#"a = { rhai = "user.id == user.id.to_string()" }"#, TWO, r#""a":false"#),
        (r#"a = { rhai = "user.id == 5" }"#, TWO, r#""a":false"#),
        (r#"a = { rhai = "[user.near].contains(user.id)" }"#, TWO, r#""a":false"#),
        (r#"a = { rhai = "user.list.filter(|x| x.id == 5).len()" }"#, TWO, r#""a":0"#),
    ]);
    // Arithmetic: exact where 64 bits with a sign hold it, else refused when it is run.
    for id in IDS {
        let small = id.parse::<i64>().ok();
        let plus = small.and_then(|id| id.checked_add(1)).map_or("500".into(), |sum| format!(r#""a":{sum}"#));
        let minus = small.and_then(|id| id.checked_sub(1)).map_or("500".into(), |sum| format!(r#""a":{sum}"#));
        let body = TWO.replace("ID", id).replace("NEAR", &neighbour(id));
        check(&[(r#"a = { rhai = "user.id + 1" }"#, &body, &plus), (r#"a = { rhai = "user.id - 1" }"#, &body, &minus)]);
    }
}

#[test]
fn ids_are_exact_on_their_way_to_a_dependent_call() {
    for id in IDS {
        let rule = format!(
            "[call.user]\nurl = \"{ORIGIN}/user\"\n\
             [call.more]\nurl = \"{ORIGIN}/u/${{user.id}}/${{user.list[0].id}}\"\nquery = {{ q = \"${{user.id}}\" }}\n\
             headers = {{ x-id = \"${{user.id}}\" }}\njson = {{ id = \"${{user.id}}\" }}\n\
             [claims]\nsub = \"$.more.id\"\n"
        );
        let (body, sent) = (format!(r#"{{"id":{id},"list":[{{"id":{id}}}]}}"#), format!("/u/{id}/{id}?q={id}"));
        let upstream = Upstream::new(move |seen| {
            if seen.target == "/user" {
                return Reply::json(body.clone());
            }
            let json: Value = serde_json::from_slice(&seen.body).expect("it is JSON");
            Reply::json(json!({ "id": format!("{} {} {}", seen.target, seen.header("x-id"), json["id"]) }).to_string())
        });
        let gateway: Gateway = Setup::new().rule("acme", &rule).reroute(ORIGIN, &upstream.origin).start();
        let answer = gateway.get("/acme", TOKEN);
        assert_eq!(answer.json(), json!({ "sub": format!("{sent} {id} \"{id}\"") }));
    }
}
