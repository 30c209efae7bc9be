//! The calls of a rule: what the upstream gets to see, in which order, and what becomes of its answer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use claimsmith::config::Span;
use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};

use crate::support::{Gateway, Reply, Seen, Setup, Upstream, block_on, client, raw_upstream, send};

const TOKEN: &str = "t0ken";
const ORIGIN: &str = "https://api.acme.example";
const OTHER: &str = "https://other.acme.example";

/// A gateway with one rule. Its upstreams are `api` and, if there is a second, `other`.
fn gateway(rule: &str, origins: &[&str]) -> Gateway {
    let setup = Setup::new().rule("acme", rule).secrets(&[("KEY", "k3y"), ("PASSWORD", "p:w")]);
    let pairs = [ORIGIN, OTHER].into_iter().zip(origins);
    pairs.fold(setup, |setup, (from, to)| setup.reroute(from, to)).start()
}

/// A rule with a call `user` of these lines, after a call `first` whose answer they may read.
fn rule(lines: &str) -> String {
    let url = if lines.contains("url =") { "" } else { "url = \"https://api.acme.example/user\"\n" };
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\npassword = {{ env = \"PASSWORD\" }}\n[vars]\nbase = \"v2\"\n\
         [call.first]\nurl = \"https://api.acme.example/first\"\ntoken = \"none\"\n\
         [call.user]\n{url}{lines}\n[claims]\nsub = \"$.user.id\"\n"
    )
}

/// The answer of `first`: values that would do harm if they were not escaped.
const FIRST: &str = r#"{"id":18446744073709551615,"flag":true,"null":null,"empty":"",
    "amp":"a&b=c d+e","quote":"\"q\"}\\ é","path":"../x/y","text":"plain"}"#;

fn answers(seen: &Seen) -> Reply {
    Reply::json(if seen.target == "/first" { FIRST } else { r#"{"id":"1"}"# })
}

/// What the upstream sees of the call.
#[track_caller]
fn sent_by(lines: &str, headers: &[(&str, &str)]) -> Seen {
    let upstream = Upstream::new(answers);
    let gateway = gateway(&rule(lines), &[&upstream.origin]);
    let answer = gateway.get_with("/acme", headers);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#), "{lines}");
    let mut seen = upstream.seen();
    seen.retain(|seen| seen.target != "/first");
    assert_eq!(seen.len(), 1, "{lines}");
    seen.remove(0)
}

#[track_caller]
fn sent(lines: &str) -> Seen {
    sent_by(lines, &[("authorization", "Bearer t0ken")])
}

#[test]
fn the_method_follows_from_the_body() {
    for (lines, expected) in [
        ("", "GET"),
        ("json = { a = 1 }", "POST"),
        ("form = { a = \"1\" }", "POST"),
        ("body = \"x\"", "POST"),
        ("token = { form = \"t\" }", "POST"),
        ("token = { json = \"t\" }", "POST"),
        ("token = { query = \"t\" }", "GET"),
        ("method = \"PUT\"\njson = { a = 1 }", "PUT"),
        ("method = \"PATCH\"\nbody = \"x\"", "PATCH"),
        ("method = \"DELETE\"", "DELETE"),
        ("method = \"POST\"", "POST"),
    ] {
        assert_eq!(sent(lines).method, expected, "{lines}");
    }
}

#[test]
fn the_query() {
    for (lines, expected) in [
        ("", "/user"),
        ("query = { fields = \"id,name\" }", "/user?fields=id,name"),
        ("query = { fields = \"id,name\", n = 5, b = true, f = 1.5 }", "/user?fields=id,name&n=5&b=true&f=1.5"),
        ("query = { z = \"1\", a = \"${first.gone}\", m = \"${first.null}\", b = \"2\" }", "/user?z=1&b=2"),
        ("query = { a = \"x${first.gone}\" }", "/user"),
        ("query = { a = \"${first.empty}\" }", "/user?a="),
        ("query = { a = \"${first.amp}\", b = \"1\" }", "/user?a=a%26b%3Dc%20d%2Be&b=1"),
        ("query = { a = \"x y&z=1#f+\" }", "/user?a=x%20y%26z=1%23f%2B"),
        ("query = { a = \"${first.id}\", b = \"${first.flag}\" }", "/user?a=18446744073709551615&b=true"),
        ("query = { a = \"${first.text.to_upper()}:${first.text.len()}\" }", "/user?a=PLAIN:5"),
        ("query = { \"a b&\" = \"1\", \"$select\" = \"id,mail\" }", "/user?a+b%26=1&$select=id,mail"),
        ("url = \"https://api.acme.example/user?v=1\"\nquery = { w = \"${first.text}\" }", "/user?v=1&w=plain"),
        ("url = \"https://api.acme.example/user?v=${first.amp}\"", "/user?v=a%26b%3Dc%20d%2Be"),
        ("url = \"https://api.acme.example/${vars.base}/${first.path}/x\"", "/v2/..%2Fx%2Fy/x"),
        ("url = \"https://api.acme.example/u-${first.id}.json\"", "/u-18446744073709551615.json"),
        ("query = { key = \"${secrets.key}\" }", "/user?key=k3y"),
    ] {
        assert_eq!(sent(lines).target, expected, "{lines}");
    }
}

#[test]
fn the_headers() {
    let plain = sent("");
    assert_eq!(plain.header("accept"), "application/json");
    assert!(plain.header("user-agent").starts_with("claimsmith/"));
    assert!(!plain.headers.contains_key("referer") && !plain.headers.contains_key("cookie"));
    let seen = sent(
        "headers = { Accept = \"application/vnd.acme+json\", User-Agent = \"x\", api-key = \"${secrets.key}\", \
         x-text = \"<${first.text}>\", x-gone = \"${first.gone}\", x-null = \"a${first.null}\", x-id = \"${first.id}\", \
         x-n = 5 }",
    );
    for (name, expected) in [
        ("accept", "application/vnd.acme+json"),
        ("user-agent", "x"),
        ("api-key", "k3y"),
        ("x-text", "<plain>"),
        ("x-id", "18446744073709551615"),
        ("x-n", "5"),
        ("authorization", "Bearer t0ken"),
    ] {
        assert_eq!(seen.header(name), expected, "{name}");
    }
    assert!(!seen.headers.contains_key("x-gone") && !seen.headers.contains_key("x-null"));
}

#[test]
fn a_body_of_json() {
    for (json, expected) in [
        ("{}", "{}"),
        ("{ a = \"${first.quote}\", b = 1, c = true, d = 1.5 }", r#"{"a":"\"q\"}\\ é","b":1,"c":true,"d":1.5}"#),
        ("{ a = { b = [\"${first.text}\", \"${first.gone}\", 2] } }", r#"{"a":{"b":["plain",2]}}"#),
        ("{ a = \"${first.gone}\", b = \"${first.null}\", c = \"${first.id}\" }", r#"{"c":"18446744073709551615"}"#),
        ("[\"a\", 9007199254740993]", r#"["a",9007199254740993]"#),
        ("\"${first.text}\"", r#""plain""#),
        ("{ t = \"${token}\", k = \"${secrets.key}\" }", r#"{"k":"k3y","t":"t0ken"}"#),
    ] {
        let seen = sent(&format!("json = {json}"));
        assert_eq!(seen.header("content-type"), "application/json", "{json}");
        let body: Value = serde_json::from_slice(&seen.body).expect("it is JSON");
        assert_eq!(body, serde_json::from_str::<Value>(expected).expect("it is JSON"), "{json}");
    }
}

#[test]
fn a_body_of_a_form() {
    for (form, expected) in [
        ("{ a = \"1\", b = 2 }", "a=1&b=2"),
        ("{ a = \"${first.amp}\", b = \"x y&\" }", "a=a%26b%3Dc+d%2Be&b=x+y%26"),
        ("{ a = \"${first.gone}\", b = \"${first.id}\" }", "b=18446744073709551615"),
        ("{ t = \"${token}\", k = \"${secrets.key}\" }", "t=t0ken&k=k3y"),
    ] {
        let seen = sent(&format!("form = {form}"));
        assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded", "{form}");
        assert_eq!(String::from_utf8_lossy(&seen.body), expected, "{form}");
    }
}

#[test]
fn a_body_of_text_is_escaped_as_its_type_asks() {
    for (kind, body, expected) in [
        ("application/json", r#"{"a":"${first.quote}"}"#, r#"{"a":"\"q\"}\\ é"}"#),
        ("application/vnd.acme+json; charset=utf-8", r#"{"a":"${first.quote}"}"#, r#"{"a":"\"q\"}\\ é"}"#),
        ("application/x-www-form-urlencoded", "a=${first.amp}&b=x+y", "a=a%26b%3Dc%20d%2Be&b=x+y"),
        ("application/x-www-form-urlencoded", "a=1&b=%20", "a=1&b=%20"),
        ("text/plain", "<${first.quote}>", "<\"q\"}\\ é>"),
        ("application/xml", "<a/>", "<a/>"),
    ] {
        let lines = format!("headers = {{ Content-Type = \"{kind}\" }}\nbody = '''{body}'''");
        let seen = sent(&lines);
        assert_eq!(seen.header("content-type"), kind);
        assert_eq!(String::from_utf8_lossy(&seen.body), expected, "{kind}");
    }
}

#[test]
fn where_the_token_travels() {
    /// Lines, what stands in `Authorization`, and what stands elsewhere.
    type Case = (&'static str, &'static str, fn(&Seen) -> bool);
    let cases: [Case; 18] = [
        ("", "Bearer t0ken", |seen| seen.target == "/user"),
        ("token = \"bearer\"", "Bearer t0ken", |_| true),
        ("token = \"none\"", "", |_| true),
        ("token = \"bare\"", "t0ken", |_| true),
        ("token = \"as-received\"", "Bearer t0ken", |_| true),
        ("token = { scheme = \"OAuth\" }", "OAuth t0ken", |_| true),
        ("token = { header = \"X-Auth-Token\" }", "", |seen| seen.header("x-auth-token") == "t0ken"),
        ("token = { query = \"access_token\" }", "", |seen| seen.target == "/user?access_token=t0ken"),
        ("token = { query = \"t\" }\nquery = { a = \"1\", b = \"${first.text}\" }", "", |seen| {
            seen.target == "/user?a=1&b=plain&t=t0ken"
        }),
        ("token = { form = \"t\" }", "", |seen| seen.body == "t=t0ken"),
        ("token = { form = \"t\" }\nform = { a = \"1\" }", "", |seen| seen.body == "a=1&t=t0ken"),
        ("token = { json = \"t\" }", "", |seen| seen.body == r#"{"t":"t0ken"}"#),
        ("token = { json = \"t\" }\njson = { a = 1 }", "", |seen| seen.body == r#"{"a":1,"t":"t0ken"}"#),
        ("url = \"https://api.acme.example/${token}/user\"", "", |seen| seen.target == "/t0ken/user"),
        ("query = { sig = \"${token}\" }", "", |seen| seen.target == "/user?sig=t0ken"),
        ("headers = { x-token = \"v1 ${token}\" }", "", |seen| seen.header("x-token") == "v1 t0ken"),
        ("query = { sig = \"${token}\" }\ntoken = \"bearer\"", "Bearer t0ken", |seen| seen.target == "/user?sig=t0ken"),
        ("query = { sig = \"${token.to_upper() + secrets.key}\" }", "", |seen| seen.target == "/user?sig=T0KENk3y"),
    ];
    for (lines, authorization, elsewhere) in cases {
        let seen = sent(lines);
        assert_eq!(seen.header("authorization"), authorization, "{lines}");
        assert!(elsewhere(&seen), "{lines}: {seen:?}");
        let text = format!("{seen:?}").to_lowercase();
        let expected =
            usize::from(!lines.contains("none")) + usize::from(authorization == "Bearer t0ken" && lines.contains("${"));
        assert_eq!(text.matches("t0ken").count(), expected, "nowhere else: {text}");
    }
}

#[test]
fn the_scheme_that_was_received() {
    for (received, lines, expected) in [
        ("token  t0ken", "token = \"as-received\"", "token  t0ken"),
        ("bearer t0ken", "token = \"as-received\"", "bearer t0ken"),
        ("bearer t0ken", "", "Bearer t0ken"),
        ("OAuth t0ken", "", "Bearer t0ken"),
        ("Bearer   t0ken", "", "Bearer t0ken"),
        ("OAuth t0ken", "token = { scheme = \"GoogleLogin\" }", "GoogleLogin t0ken"),
    ] {
        assert_eq!(sent_by(lines, &[("authorization", received)]).header("authorization"), expected, "{received}");
    }
}

#[test]
fn a_token_with_signs_in_it_stays_one_part() {
    for token in ["a/../b", "a?b=c&d#e", "..%2f", "a+b%20c==", "@evil/", "\\\\evil"] {
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let decode = |text: &str| percent_decode_str(text).decode_utf8().expect("it is UTF-8").into_owned();
        let seen = sent_by("url = \"https://api.acme.example/a/${token}/b\"", &headers);
        let parts: Vec<_> = seen.target.split('/').collect();
        assert_eq!((parts.len(), parts[1], parts[3]), (4, "a", "b"), "{}", seen.target);
        assert_eq!(decode(parts[2]), token);
        let seen = sent_by("token = { query = \"t\" }\nquery = { z = \"1\" }", &headers);
        let query = seen.target.strip_prefix("/user?").expect("it has a query");
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(pairs, [("z".into(), "1".into()), ("t".into(), token.into())]);
    }
}

#[test]
fn our_own_credentials() {
    for (lines, expected) in [
        ("auth = { bearer = \"${secrets.key}\" }", "Bearer k3y"),
        ("auth = { bearer = \"pre-${secrets.key}\" }", "Bearer pre-k3y"),
        // RFC 7617: "us:p:w"
        ("auth = { basic = { user = \"us\", password = \"${secrets.password}\" } }", "Basic dXM6cDp3"),
        ("auth = { basic = { user = \"${vars.base}\", password = \"\" } }", "Basic djI6"),
    ] {
        let seen = sent(lines);
        assert_eq!(seen.header("authorization"), expected);
        assert!(!format!("{seen:?}").contains(TOKEN), "`auth` keeps the token out");
        let seen = sent(&format!("{lines}\ntoken = {{ header = \"x-user-token\" }}"));
        assert_eq!((seen.header("authorization"), seen.header("x-user-token")), (expected, TOKEN));
    }
}

/// A rule with a call `extra` of these lines beside the user's, and a third that reads it.
fn with_extra(lines: &str) -> String {
    let url = if lines.contains("url =") { "" } else { "url = \"https://other.acme.example/extra\"\n" };
    format!(
        "[call.user]\nurl = \"https://api.acme.example/user\"\n\
         [call.extra]\n{url}optional = true\n{lines}\n\
         [call.after]\nurl = \"https://api.acme.example/after\"\nquery = {{ nick = \"${{extra.nick}}\" }}\n\
         [claims]\nsub = \"$.user.id\"\nnickname = \"$.extra.nick\"\n\
         name = [\"$.extra.name\", \"$.user.name\"]\nlocale = {{ path = \"$.extra.locale\", default = \"en\" }}\n\
         zoneinfo = {{ rhai = \"extra.zone.to_upper()\" }}\ngender = \"$.after.gender\"\n"
    )
}

const WITHOUT_EXTRA: &str = r#"{"sub":"1","name":"Ada","locale":"en","gender":"f"}"#;

fn user_and_after(seen: &Seen) -> Reply {
    match seen.target.as_str() {
        "/user" => Reply::json(r#"{"id":"1","name":"Ada"}"#),
        "/after" => Reply::json(r#"{"gender":"f"}"#),
        "/after?nick=ad" => Reply::json(r#"{"gender":"x"}"#),
        _ => Reply::new(404, ""),
    }
}

#[test]
fn an_optional_call_that_answers() {
    let user = Upstream::new(user_and_after);
    let extra = Upstream::new(|_| Reply::json(r#"{"nick":"ad","name":"A","locale":"de","zone":"utc"}"#));
    let answer = gateway(&with_extra(""), &[&user.origin, &extra.origin]).get("/acme", TOKEN);
    assert_eq!(answer.body, r#"{"sub":"1","nickname":"ad","name":"A","locale":"de","zoneinfo":"UTC","gender":"x"}"#);
}

#[test]
fn an_optional_call_that_fails_leaves_the_others() {
    let mut origins = Vec::new();
    let mut upstreams = Vec::new();
    let full = r#"{"nick":"ad","name":"A","locale":"de","zone":"utc"}"#;
    for reply in [
        Reply::new(400, full),
        Reply::new(401, full),
        Reply::new(403, full),
        Reply::new(404, full),
        Reply::new(429, full),
        Reply::new(500, full),
        Reply::new(302, full).header("location", "/x"),
        Reply::json(""),
        Reply::json("<html>"),
        Reply::json(&full[..20]),
        Reply::json("[]"),
        Reply::json("7"),
        Reply::new(200, *b"{\"nick\":\"\xff\"}"),
        Reply::new(200, vec![b' '; 2 * 1024 * 1024]),
    ] {
        let upstream = Upstream::new(move |_| reply.clone());
        origins.push(upstream.origin.clone());
        upstreams.push(upstream);
    }
    origins.push(raw_upstream(""));
    origins.push(raw_upstream("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"));
    // Port 1 of the loopback interface: nobody listens there.
    origins.push("http://127.0.0.1:1".into());
    let user = Upstream::new(user_and_after);
    for origin in origins {
        let answer = gateway(&with_extra(""), &[&user.origin, &origin]).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.body.as_str()), (200, WITHOUT_EXTRA));
    }
}

#[test]
fn an_optional_call_that_hangs_is_given_up_in_time_for_the_answer() {
    let user = Upstream::new(user_and_after);
    let hung = Upstream::slow(|_| async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        Reply::json("{}")
    });
    // A limit that is longer, attempts that are repeated, and a cache where others wait change nothing.
    for lines in ["", "timeout = \"60s\"\nretry = 3", "cache = \"60s\""] {
        let setup = Setup::new().rule("acme", &with_extra(lines));
        let setup = setup.reroute(ORIGIN, &user.origin).reroute(OTHER, &hung.origin);
        let gateway = setup.with(|settings| settings.deadline = Span(Duration::from_secs(2))).start();
        let answer = gateway.get("/acme", TOKEN);
        assert_eq!((answer.status, answer.body.as_str()), (200, WITHOUT_EXTRA), "{lines}");
    }
}

#[test]
fn an_optional_call_that_the_rule_gives_up() {
    let user = Upstream::new(user_and_after);
    let extra = Upstream::slow(|seen| async move {
        if seen.target.contains("slow") {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Reply::json(r#"{"nick":"ad","name":"A","locale":"de","zone":"utc","error":"e"}"#)
    });
    for (lines, asked) in [
        ("fail_when = [{ when = \"extra.error != ()\", error = \"invalid_token\" }]", 1),
        ("fail_when = [{ when = \"1 / 0 == 1\", error = \"invalid_token\" }]", 1),
        ("expect = 201", 1),
        ("timeout = \"30ms\"\nquery = { slow = true }", 1),
        ("when = \"false\"", 0),
        ("when = \"1 / 0 == 1\"", 0),
        ("when = \"user.id\"", 0),
        ("url = \"https://other.acme.example/${user.gone}/x\"", 0),
        ("headers = { x-a = \"${[user.id]}\" }", 0),
    ] {
        let before = extra.seen().len();
        let answer = gateway(&with_extra(lines), &[&user.origin, &extra.origin]).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.body.as_str()), (200, WITHOUT_EXTRA), "{lines}");
        assert_eq!(extra.seen().len() - before, asked, "{lines}");
    }
}

#[test]
fn a_missing_part_of_an_address_fails_a_call_that_is_not_optional() {
    let upstream = Upstream::new(answers);
    for part in ["gone", "null", "empty", "gone.deeper"] {
        let rule = rule(&format!("url = \"https://api.acme.example/u/${{first.{part}}}/x\""));
        let answer = gateway(&rule, &[&upstream.origin]).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (500, Some("server_error")), "{part}");
    }
    assert!(upstream.seen().iter().all(|seen| seen.target == "/first"));
}

#[test]
fn when_decides_if_a_call_is_sent() {
    for (when, expected) in [
        ("first.flag", true),
        ("first.gone", false),
        ("first.gone.deeper", false),
        ("first.null", false),
        ("first.text", false),
        ("!first.gone", true),
        ("first.text == \"plain\"", true),
        ("first.gone == \"plain\"", false),
        ("first.gone > 5", false),
        ("first.text.starts_with(\"p\") && first.flag", true),
        ("first.gone && first.flag", false),
        ("first.gone || first.flag", true),
        ("first.id != () && vars.base == \"v2\"", true),
    ] {
        let upstream = Upstream::new(answers);
        let lines = format!("url = \"https://api.acme.example/user\"\nwhen = '{when}'");
        let rule = rule(&lines).replace("sub = \"$.user.id\"", "sub = \"$.first.id\"\nname = \"$.user.id\"");
        let answer = gateway(&rule, &[&upstream.origin]).get("/acme", TOKEN);
        let body =
            if expected { r#"{"sub":"18446744073709551615","name":"1"}"# } else { r#"{"sub":"18446744073709551615"}"# };
        assert_eq!(answer.body, body, "{when}");
        assert_eq!(upstream.seen().len(), 1 + usize::from(expected), "{when}");
    }
}

#[test]
fn what_status_is_expected() {
    for (lines, status, fine) in [
        ("", 200, true),
        ("", 201, true),
        ("", 299, true),
        ("", 404, false),
        ("expect = 404", 404, true),
        ("expect = 404", 200, false),
        ("expect = [200, 404]", 404, true),
        ("expect = [200, 404]", 201, false),
        ("expect = [401, 200]", 401, true),
        ("expect = [302]", 302, true),
    ] {
        let upstream = Upstream::new(move |seen| match seen.target.as_str() {
            "/first" => Reply::json(FIRST),
            _ => Reply::new(status, r#"{"id":"1"}"#).header("location", "/x"),
        });
        let answer = gateway(&rule(lines), &[&upstream.origin]).get("/acme", TOKEN);
        assert_eq!(answer.status, if fine { 200 } else { 502 }, "{lines} and {status}");
    }
}

#[test]
fn an_answer_without_content_is_null() {
    let user = Upstream::new(user_and_after);
    let extra = Upstream::new(|_| Reply::new(204, ""));
    let rule = with_extra("").replace("optional = true", "");
    let answer = gateway(&rule, &[&user.origin, &extra.origin]).get("/acme", TOKEN);
    assert_eq!((answer.status, answer.body.as_str()), (200, WITHOUT_EXTRA));
}

#[test]
fn the_first_row_of_fail_when_that_is_true_decides() {
    let rows = r#"
[[call.user.fail_when]]
when  = "user.code == 190"
error = "invalid_token"

[[call.user.fail_when]]
when   = "user.kind == \"scope\" || first.flag && user.code == 7"
error  = "insufficient_scope"
reason = "more is needed"

[[call.user.fail_when]]
when  = "user.error != ()"
error = "access_denied"
"#;
    for (body, status, error) in [
        (r#"{"id":"1"}"#, 200, ""),
        (r#"{"id":"1","code":190,"kind":"scope"}"#, 401, "invalid_token"),
        (r#"{"id":"1","code":7}"#, 403, "insufficient_scope"),
        (r#"{"kind":"scope","error":"x"}"#, 403, "insufficient_scope"),
        (r#"{"error":"x"}"#, 403, "access_denied"),
        (r#"{"id":"1","code":"190"}"#, 200, ""),
    ] {
        let upstream = Upstream::new(move |seen| Reply::json(if seen.target == "/first" { FIRST } else { body }));
        let answer = gateway(&rule(rows), &[&upstream.origin]).get("/acme", TOKEN);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        if status != 200 {
            assert_eq!(answer.json()["error"], error, "{body}");
        }
    }
}

/// A rule whose one call follows redirects, with every kind of credentials.
fn follows(redirect: &str, more: &str) -> String {
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"https://api.acme.example/start\"\n\
         headers = {{ api-key = \"${{secrets.key}}\", x-t = \"${{token}}\", cookie = \"s=${{secrets.key}}\" }}\n\
         token = \"bearer\"\nredirect = {redirect}\n{more}\n[claims]\nsub = \"$.user.id\"\n"
    )
}

/// Answers `/start` with a redirect, and anything else with a user.
fn leads(status: u16, location: &str) -> Upstream {
    let location = location.to_owned();
    Upstream::new(move |seen| match seen.target.split('?').next() {
        Some("/start") => Reply::new(status, "{}").header("location", location.clone()),
        _ => Reply::json(r#"{"id":"1"}"#),
    })
}

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

#[test]
fn redirects_are_off() {
    for status in REDIRECTS {
        let upstream = leads(status, "/moved");
        for rule in [rule("url = \"https://api.acme.example/start\""), follows("0", "")] {
            let answer = gateway(&rule, &[&upstream.origin]).get("/acme", TOKEN);
            assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")));
        }
        assert!(upstream.seen().iter().all(|seen| seen.target != "/moved"));
    }
}

#[test]
fn a_redirect_within_the_origin_is_followed_with_credentials() {
    for status in REDIRECTS {
        for location in
            ["/moved?x=1", "moved?x=1", "https://api.acme.example/moved?x=1", "//api.acme.example:443/moved?x=1"]
        {
            let upstream = leads(status, location);
            let answer = gateway(&follows("1", ""), &[&upstream.origin]).get("/acme", TOKEN);
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#), "{status} {location}");
            let seen = upstream.seen();
            assert_eq!(seen.len(), 2);
            assert_eq!((seen[1].method.as_str(), seen[1].target.as_str()), ("GET", "/moved?x=1"));
            assert_eq!((seen[1].header("authorization"), seen[1].header("api-key")), ("Bearer t0ken", "k3y"));
            assert!(!seen[1].headers.contains_key("referer"));
        }
    }
}

#[test]
fn a_redirect_of_a_post() {
    for (status, method, body) in
        [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "a=1"), (308, "POST", "a=1")]
    {
        let upstream = leads(status, "/moved");
        let answer = gateway(&follows("1", "form = { a = \"1\" }"), &[&upstream.origin]).get("/acme", TOKEN);
        assert_eq!(answer.status, 200, "{status}");
        let seen = &upstream.seen()[1];
        assert_eq!((seen.method.as_str(), &seen.body[..]), (method, body.as_bytes()), "{status}");
        assert_eq!(seen.headers.contains_key("content-type"), !body.is_empty());
    }
}

#[test]
fn a_redirect_to_another_origin_is_refused() {
    for status in REDIRECTS {
        let other = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
        for location in [
            "https://other.acme.example/moved",
            "//other.acme.example/moved",
            "http://api.acme.example/moved",
            "https://api.acme.example:8443/moved",
            "https://api.acme.example@other.acme.example/",
            // The same origin, but with somebody's credentials, which would be sent.
            "https://me:m4rk@api.acme.example/moved",
            "//m4rk@api.acme.example/moved",
            "\\\\other.acme.example\\moved",
            "https://api.acme.example.other.acme.example/",
            "file://localhost/etc/passwd",
            "data:application/json,{}",
            "https://",
        ] {
            let upstream = leads(status, location);
            let answer = gateway(&follows("5", ""), &[&upstream.origin, &other.origin]).get("/acme", TOKEN);
            assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")), "{location}");
            assert_eq!(upstream.seen().len(), 1, "{location}");
        }
        assert!(other.seen().is_empty());
    }
}

#[test]
fn a_redirect_without_a_place_is_refused() {
    let upstream = Upstream::new(|_| Reply::new(302, "{}"));
    let answer = gateway(&follows("1", ""), &[&upstream.origin]).get("/acme", TOKEN);
    assert_eq!(answer.status, 502);
}

/// No trace of a credential in a request.
#[track_caller]
fn without_credentials(seen: &Seen) {
    let names: BTreeSet<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    let known = BTreeSet::from(["accept", "accept-encoding", "host", "user-agent"]);
    assert!(names.is_subset(&known), "{names:?}");
    let text = format!("{seen:?}");
    assert!(!text.contains(TOKEN) && !text.contains("k3y"), "{text}");
    assert!(seen.body.is_empty());
}

#[test]
fn a_redirect_to_a_listed_origin_carries_no_credentials() {
    let lines = [
        "",
        "form = { k = \"${secrets.key}\", t = \"${token}\" }",
        "query = { k = \"${secrets.key}\", t = \"${token}\" }",
        "json = { k = \"${secrets.key}\" }",
    ];
    for status in REDIRECTS {
        for more in lines {
            let other = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
            let upstream = leads(status, "https://other.acme.example/moved");
            let redirect = "{ max = 1, origins = [\"https://other.acme.example\"] }";
            let answer = gateway(&follows(redirect, more), &[&upstream.origin, &other.origin]).get("/acme", TOKEN);
            let has_body = more.starts_with("form") || more.starts_with("json");
            if has_body && status > 303 {
                // It would take the body along.
                assert_eq!(answer.status, 502, "{status} {more}");
                assert!(other.seen().is_empty());
                continue;
            }
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#), "{status} {more}");
            assert_eq!(other.seen().len(), 1);
            assert_eq!((other.seen()[0].method.as_str(), other.seen()[0].target.as_str()), ("GET", "/moved"));
            without_credentials(&other.seen()[0]);
        }
    }
}

#[test]
fn credentials_do_not_come_back_after_another_origin() {
    let other = Upstream::new(|_| Reply::new(302, "{}").header("location", "https://api.acme.example/back"));
    let upstream = leads(302, "https://other.acme.example/moved");
    let redirect = "{ max = 2, origins = [\"https://other.acme.example\", \"https://api.acme.example\"] }";
    let answer = gateway(&follows(redirect, ""), &[&upstream.origin, &other.origin]).get("/acme", TOKEN);
    assert_eq!(answer.status, 200);
    without_credentials(&other.seen()[0]);
    without_credentials(&upstream.seen()[1]);
}

#[test]
fn another_origin_that_wants_credentials_says_nothing_of_the_token() {
    for status in [401, 403] {
        let other = Upstream::new(move |_| Reply::new(status, "{}"));
        let upstream = leads(302, "https://other.acme.example/moved");
        let redirect = "{ max = 1, origins = [\"https://other.acme.example\"] }";
        let answer = gateway(&follows(redirect, ""), &[&upstream.origin, &other.origin]).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")));
    }
}

#[test]
fn a_loop_of_redirects_ends() {
    for max in [1, 3, 10] {
        let upstream = Upstream::new(|_| Reply::new(302, "{}").header("location", "/start"));
        let answer = gateway(&follows(&max.to_string(), ""), &[&upstream.origin]).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")));
        assert_eq!(upstream.seen().len(), max + 1);
    }
}

const THREE: &str = r#"
[call.a]
url = "https://api.acme.example/a"

[call.b]
url = "https://api.acme.example/b"

[call.c]
url = "https://api.acme.example/c"

[claims]
sub  = "$.a.id"
name = "$.b.id"
nickname = "$.c.id"
"#;

#[test]
fn independent_calls_are_on_their_way_together() {
    // None is answered before all have come.
    let together = Arc::new(Barrier::new(3));
    let upstream = Upstream::slow(move |_| {
        let together = together.clone();
        async move {
            together.wait().await;
            Reply::json(r#"{"id":"1"}"#)
        }
    });
    let answer = gateway(THREE, &[&upstream.origin]).get("/acme", TOKEN);
    assert_eq!(answer.body, r#"{"sub":"1","name":"1","nickname":"1"}"#);
}

#[test]
fn three_calls_of_100_ms_take_less_than_200() {
    let upstream = Upstream::slow(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Reply::json(r#"{"id":"1"}"#)
    });
    let gateway = gateway(THREE, &[&upstream.origin]);
    // The machine may be busy with other tests, so the best of a few counts.
    let took = block_on(async {
        let client = client();
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = tokio::time::Instant::now();
            let answer = send(client.get(gateway.url("/acme")).bearer_auth(TOKEN)).await;
            best = best.min(started.elapsed());
            assert_eq!(answer.status, 200);
        }
        best
    });
    assert!((Duration::from_millis(100)..Duration::from_millis(200)).contains(&took), "{took:?}");
}

#[test]
fn a_dependent_call_starts_when_its_inputs_are_there_and_not_later() {
    let rule = r#"
[call.late]
url = "https://api.acme.example/late"

[call.dependent]
url = "https://api.acme.example/dependent/${early.id}"

[call.early]
url = "https://api.acme.example/early"

[claims]
sub      = "$.dependent.id"
name     = "$.late.id"
nickname = "$.early.id"
"#;
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = {
        let events = events.clone();
        move |what: String| events.lock().expect("no test panics while it holds this").push(what)
    };
    let (late_came, dependent_came) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream = Upstream::slow(move |seen| {
        let (note, late_came, dependent_came) = (note.clone(), late_came.clone(), dependent_came.clone());
        async move {
            match seen.target.as_str() {
                // Answered only once the dependent call has come: it must not wait for this one.
                "/late" => {
                    late_came.notify_one();
                    dependent_came.notified().await;
                    note("late answered".into());
                }
                "/early" => {
                    late_came.notified().await;
                    note("early answered".into());
                }
                other => {
                    note(other.to_owned());
                    dependent_came.notify_one();
                }
            }
            Reply::json(r#"{"id":"7"}"#)
        }
    });
    let answer = gateway(rule, &[&upstream.origin]).get("/acme", TOKEN);
    assert_eq!(answer.body, r#"{"sub":"7","name":"7","nickname":"7"}"#);
    assert_eq!(
        *events.lock().expect("no test panics while it holds this"),
        ["early answered", "/dependent/7", "late answered"]
    );
}

#[test]
fn what_an_answer_is_judged_by_is_there_before_it_comes() {
    let answered = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let noted = answered.clone();
    let upstream = Upstream::slow(move |seen| {
        let noted = noted.clone();
        async move {
            if seen.target == "/first" {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                noted.store(true, std::sync::atomic::Ordering::SeqCst);
                return Reply::json(FIRST);
            }
            assert!(noted.load(std::sync::atomic::Ordering::SeqCst), "`user` was sent before `first` answered");
            Reply::json(r#"{"id":"1"}"#)
        }
    });
    let rule = rule("fail_when = { when = \"first.flag\", error = \"access_denied\" }");
    let answer = gateway(&rule, &[&upstream.origin]).get("/acme", TOKEN);
    assert_eq!((answer.status, upstream.seen().len()), (403, 2), "{}", answer.body);
}

#[test]
fn a_diamond_of_calls() {
    let rule = r#"
[call.bottom]
url   = "https://api.acme.example/bottom"
query = { l = "${left.id}", r = "${right.id}" }

[call.left]
url = "https://api.acme.example/left/${top.id}"

[call.right]
url = "https://api.acme.example/right/${top.id}"

[call.top]
url = "https://api.acme.example/top"

[claims]
sub = "$.bottom.id"
"#;
    let both = Arc::new(Barrier::new(2));
    let upstream = Upstream::slow(move |seen| {
        let both = both.clone();
        async move {
            let id = match seen.target.as_str() {
                "/top" => "t",
                "/left/t" => "l",
                "/right/t" => "r",
                "/bottom?l=l&r=r" => "b",
                _ => "?",
            };
            if matches!(id, "l" | "r") {
                both.wait().await;
            }
            Reply::json(format!(r#"{{"id":"{id}"}}"#))
        }
    });
    let answer = gateway(rule, &[&upstream.origin]).get("/acme", TOKEN);
    assert_eq!(answer.body, r#"{"sub":"b"}"#);
    let targets: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets.len(), 4, "each once: {targets:?}");
    assert_eq!((targets[0].as_str(), targets[3].as_str()), ("/top", "/bottom?l=l&r=r"));
}

#[test]
fn the_first_failure_ends_the_request_while_others_are_on_their_way() {
    let upstream = Upstream::slow(|seen| async move {
        if seen.target != "/b" {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Reply::new(401, "{}")
    });
    assert_eq!(gateway(THREE, &[&upstream.origin]).get("/acme", TOKEN).status, 401);
}

#[test]
fn every_answer_belongs_to_its_token() {
    const REQUESTS: usize = 1000;
    let rule = r#"
[call.user]
url = "https://api.acme.example/user"

[call.mail]
url = "https://api.acme.example/mail"

[call.team]
url = "https://api.acme.example/team/${user.id}"

[claims]
sub   = "$.user.id"
email = "$.mail.address"
name  = "${user.id}+${team.id}"

[script]
source = 'claims.nickname = `${user.id}/${mail.address}`;'
"#;
    let upstream = Upstream::slow(|seen| async move {
        let token = seen.header("authorization").trim_start_matches("Bearer ").to_owned();
        let number: usize = token.trim_start_matches('t').parse().unwrap_or_default();
        // Some answers let others pass.
        for _ in 0..(number * 7919 + seen.target.len()) % 13 {
            tokio::task::yield_now().await;
        }
        let team = seen.target.strip_prefix("/team/").unwrap_or(&token);
        Reply::json(json!({ "id": team, "address": format!("{token}@acme.example") }).to_string())
    });
    let gateway = gateway(rule, &[&upstream.origin]);
    let answered = block_on(async {
        let client = client();
        stream::iter(0..REQUESTS)
            .map(|number| {
                let request = client.get(gateway.url("/acme")).bearer_auth(format!("t{number}"));
                async move { (number, send(request).await) }
            })
            .buffer_unordered(64)
            .map(|(number, answer)| {
                let t = format!("t{number}");
                let expected = format!(
                    r#"{{"sub":"{t}","email":"{t}@acme.example","name":"{t}+{t}","nickname":"{t}/{t}@acme.example"}}"#
                );
                assert_eq!((answer.status, answer.body), (200, expected));
            })
            .count()
            .await
    });
    assert_eq!(answered, REQUESTS);
    assert_eq!(upstream.seen().len(), 3 * REQUESTS);
}

/// Values that try to leave the place where they stand.
fn hostile() -> Vec<String> {
    let parts = [
        "../",
        "..",
        ".",
        "/",
        "//",
        "\\",
        "..\\",
        "%2e%2e",
        "%2e%2e%2f",
        "%2F",
        "%5c",
        "?",
        "?a=b",
        "#",
        "#f",
        "@",
        "@evil.example",
        ":80@evil.example/",
        "//evil.example/",
        "https://evil.example/",
        "&a=b",
        "&after=2",
        ";",
        ";jsessionid=1",
        "=",
        "+",
        "%",
        "%%",
        "%00",
        "\0",
        "\r",
        "\n",
        "\r\n",
        "\r\nx-evil: 1",
        "\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
        "%0d%0a",
        "\t",
        " ",
        "\"",
        "\",\"after\":2,\"x\":\"",
        "'",
        "`",
        "${token}",
        "${secrets.key}",
        "{}",
        "}",
        "[]",
        "\u{2024}\u{2024}\u{2215}",
        "\u{ff0e}\u{ff0e}\u{ff0f}",
        "\u{2044}",
        "\u{fe52}",
        "\u{3002}",
        "\u{feff}",
        "\u{202e}",
        "\u{85}",
        "\u{2028}",
        "é",
        "日本",
        "\u{1f600}",
        "\u{7f}",
        "\u{1b}[31m",
        "\\u0022",
        "\\r\\n",
        "|",
        "^",
        "<script>",
        "*",
        "~",
        "!",
        "$",
        ",",
        "%c0%ae",
        "%u002e",
        ".;",
        "%2e",
        "..%00/",
        "\u{200b}",
        "a=b&c=d",
    ];
    let mut values: Vec<String> = parts.iter().map(ToString::to_string).collect();
    for part in parts {
        values.push(format!("a{part}b"));
        values.push(format!("{part}etc"));
        values.push(format!("x/{part}{part}"));
    }
    values.extend([String::new(), "x".repeat(8_000), "../".repeat(1_000), "é".repeat(3_000), "x".repeat(70_000)]);
    values
}

/// A place, the lines of a call that puts a value there, and how the upstream reads it; `None` if
/// anything but the value changed.
type Position = (&'static str, &'static str, fn(&Seen) -> Option<String>);

const POSITIONS: [Position; 8] = [
    ("path", "url = \"https://api.acme.example/in/${first.value}/end\"", |seen| {
        let inner = seen.target.strip_prefix("/in/")?.strip_suffix("/end")?;
        let one = !inner.contains(['/', '?', '#', '\\']);
        one.then(|| percent_decode_str(inner).decode_utf8().ok().map(String::from))?
    }),
    ("query", "query = { v = \"${first.value}\", after = 1 }", |seen| pairs(seen.target.strip_prefix("/user?")?)),
    ("query in the address", "url = \"https://api.acme.example/user?v=${first.value}&after=1\"", |seen| {
        pairs(seen.target.strip_prefix("/user?")?)
    }),
    ("header", "headers = { x-value = \"${first.value}\", x-after = \"1\" }", |seen| {
        let mut all = seen.headers.get_all("x-value").iter();
        // HTTP takes white space at both ends away.
        let value = all.next().map_or(String::new(), |value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (all.next().is_none() && seen.header("x-after") == "1" && !seen.headers.contains_key("x-evil")).then_some(value)
    }),
    ("form", "form = { v = \"${first.value}\", after = 1 }", |seen| pairs(std::str::from_utf8(&seen.body).ok()?)),
    ("JSON", "json = { v = \"${first.value}\", after = 1 }", |seen| member(&seen.body)),
    (
        "JSON as text",
        "headers = { content-type = \"application/json\" }\nbody = '{\"v\":\"${first.value}\",\"after\":1}'",
        |seen| member(&seen.body),
    ),
    (
        "form as text",
        "headers = { content-type = \"application/x-www-form-urlencoded\" }\nbody = 'v=${first.value}&after=1'",
        |seen| pairs(std::str::from_utf8(&seen.body).ok()?),
    ),
];

fn pairs(text: &str) -> Option<String> {
    let pairs: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    match &pairs[..] {
        [(v, value), (after, one)] if v == "v" && after == "after" && one == "1" => Some(value.clone()),
        _ => None,
    }
}

fn member(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    (body.as_object()?.len() == 2 && body["after"] == 1).then(|| body["v"].as_str().map(str::to_owned))?
}

#[test]
fn hostile_values_stay_where_they_are_put_or_are_refused() {
    let values = hostile();
    assert!(values.len() >= 300, "{}", values.len());
    for (place, lines, read) in POSITIONS {
        let known = values.clone();
        let upstream = Upstream::new(move |seen| match seen.header("x-number").parse::<usize>() {
            Ok(number) if seen.target == "/first" => Reply::json(json!({ "value": known[number] }).to_string()),
            _ => Reply::json(r#"{"id":"1"}"#),
        });
        let rule = rule(lines).replace(
            "/first\"\ntoken = \"none\"",
            "/first\"\ntoken = \"none\"\nheaders = { x-number = \"${request.headers[\\\"x-number\\\"]}\" }",
        );
        let rule = format!("request = {{ headers = [\"x-number\"] }}\n{rule}");
        let gateway = gateway(&rule, &[&upstream.origin]);
        let statuses: Vec<u16> = block_on(async {
            let client = client();
            stream::iter(0..values.len())
                .map(|number| {
                    // The token tells which of the requests is meant.
                    let request = client.get(gateway.url("/acme")).header("x-number", number);
                    let request = request.bearer_auth(format!("n{number}"));
                    async move { send(request).await.status }
                })
                .buffered(16)
                .collect()
                .await
        });
        let host = upstream.origin.trim_start_matches("http://");
        let mut got = vec![Vec::new(); values.len()];
        for seen in upstream.seen().into_iter().filter(|seen| seen.target != "/first") {
            assert_eq!(seen.header("host"), host);
            let number = seen.header("authorization").trim_start_matches("Bearer n").parse::<usize>();
            got[number.expect("it carries its token")].push(seen);
        }
        let mut passed = 0;
        for ((value, status), got) in values.iter().zip(statuses).zip(got) {
            let shown: String = value.chars().take(40).collect();
            match &got[..] {
                [] => assert!(status == 500 || status == 502, "{place}, {shown:?}: {status}"),
                [seen] => {
                    passed += 1;
                    assert_eq!(status, 200, "{place}, {shown:?}");
                    let read = read(seen).unwrap_or_else(|| panic!("{place}, {shown:?}: {seen:?}"));
                    let expected = if place == "header" { value.trim_matches([' ', '\t']) } else { value };
                    assert_eq!(read, expected, "{place}");
                }
                more => panic!("{place}, {shown:?}: {} requests", more.len()),
            }
        }
        assert!(passed > values.len() / 2, "{place}: most values can be escaped, {passed}");
    }
}
