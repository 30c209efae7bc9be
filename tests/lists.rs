//! Calls that are several requests: for every value, for every page; and those that are tried again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use claimsmith::core::{Reception, Step, Trace, evaluate};
use serde_json::{Value, json};

use crate::support::{Gateway, Reply, Seen, Setup, Upstream};

const ORIGIN: &str = "https://api.acme.example";

fn serve(rule: &str, upstream: &Upstream) -> Gateway {
    Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin).start()
}

/// A rule whose call `list` has these lines, and whose claim `names` reads the list.
fn rule(lines: &str) -> String {
    format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\n[call.list]\nurl = \"{ORIGIN}/list\"\n{lines}\n\
         [claims]\nsub = \"$.user.id\"\nnames = {{ path = \"$.list[*].name\", many = true }}\n"
    )
}

fn names(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|number| json!({ "name": format!("n{number}"), "more": { "of": number } })).collect()
}

fn query(seen: &Seen, name: &str) -> Option<String> {
    let query = seen.target.split_once('?')?.1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Pages of a list of so many pages with so many names each; `next` says how the one after is told.
fn pages(count: usize, size: usize, next: fn(usize, bool) -> (Value, Option<String>)) -> Upstream {
    Upstream::new(move |seen| {
        if seen.target == "/user" {
            return Reply::json(r#"{"id":1}"#);
        }
        let number: usize = query(seen, "page").map_or(1, |page| page.parse().expect("a page is a number"));
        let last = number >= count;
        let items = if number > count { Vec::new() } else { names((number - 1) * size, number * size) };
        let (mut page, link) = next(number, last);
        match &mut page {
            Value::Null => page = items.into(),
            page => page["items"] = items.into(),
        }
        let reply = Reply::json(page.to_string());
        match link {
            Some(link) => reply.header("link", link),
            None => reply,
        }
    })
}

fn by_link(number: usize, last: bool) -> (Value, Option<String>) {
    let next = format!("<{ORIGIN}/list?per_page=100&page={}>; rel=\"next\"", number + 1);
    (Value::Null, Some(if last { format!("<{ORIGIN}/list?page=1>; rel=\"first\"") } else { next }))
}

fn by_address(number: usize, last: bool) -> (Value, Option<String>) {
    (if last { json!({}) } else { json!({ "@odata.nextLink": format!("/list?page={}", number + 1) }) }, None)
}

fn by_cursor(number: usize, last: bool) -> (Value, Option<String>) {
    (json!({ "meta": { "cursor": if last { json!("") } else { json!(number + 1) } } }), None)
}

fn by_number(_: usize, _: bool) -> (Value, Option<String>) {
    (Value::Null, None)
}

fn by_number_with_end(_: usize, last: bool) -> (Value, Option<String>) {
    (json!({ "last": last }), None)
}

type Next = fn(usize, bool) -> (Value, Option<String>);

const WAYS: [(&str, Next, usize); 6] = [
    ("paginate = \"link\"", by_link, 3),
    ("paginate = { link = true }", by_link, 3),
    ("paginate = { next = \"$.list['@odata.nextLink']\", items = \"$.list.items\" }", by_address, 3),
    ("paginate = { cursor = \"$.list.meta.cursor\", param = \"page\", items = \"$.list.items\" }", by_cursor, 3),
    ("paginate = { page = 1, param = \"page\" }", by_number, 4),
    (
        "paginate = { page = 1, param = \"page\", until = \"list.last\", items = \"$.list.items\" }",
        by_number_with_end,
        3,
    ),
];

#[test]
fn a_list_comes_out_whole_and_in_order_whatever_leads_from_page_to_page() {
    for (lines, next, requests) in WAYS {
        let upstream = pages(3, 4, next);
        let claims = serve(&rule(lines), &upstream).claims("/acme", "t0ken");
        let expected: Vec<_> = (0..12).map(|number| format!("n{number}")).collect();
        assert_eq!(claims["names"], json!(expected), "{lines}");
        let asked: Vec<_> = upstream.seen().into_iter().filter(|seen| seen.target != "/user").collect();
        assert_eq!(asked.len(), requests, "{lines}: {asked:?}");
        assert!(asked.iter().all(|seen| seen.header("authorization") == "Bearer t0ken"), "{lines}");
    }
}

#[test]
fn five_hundred_pages_of_a_hundred_groups_are_whole_and_in_order() {
    let upstream = pages(500, 100, by_link);
    let claims = serve(&rule("paginate = { link = true, max_pages = 500 }"), &upstream).claims("/acme", "t0ken");
    let expected: Vec<_> = (0..50_000).map(|number| Value::from(format!("n{number}"))).collect();
    assert!(claims["names"] == Value::from(expected), "all of them, in order");
    assert_eq!(upstream.seen().len(), 501);
}

#[test]
fn a_page_that_fails_fails_the_list() {
    let failing = |status: u16, body: &'static str| {
        Upstream::new(move |seen| match query(seen, "page").as_deref() {
            _ if seen.target == "/user" => Reply::json(r#"{"id":1}"#),
            Some("3") => Reply::new(status, body),
            page => {
                let number: usize = page.map_or(1, |page| page.parse().expect("a page is a number"));
                let next = format!("<{ORIGIN}/list?page={}>; rel=\"next\"", number + 1);
                Reply::json(json!(names(0, 2)).to_string()).header("link", next)
            }
        })
    };
    for (status, body, expected) in [
        (500, "{}", 502),
        (401, "{}", 401),
        (403, "{}", 403),
        (429, "{}", 503),
        (200, "<html>", 502),
        (200, r#"{"error":"x"}"#, 502),
        (200, "null", 502),
        (200, "[1,", 502),
    ] {
        let upstream = failing(status, body);
        assert_eq!(
            serve(&rule("paginate = \"link\""), &upstream).get("/acme", "t").status,
            expected,
            "{status} {body}"
        );
        let answer = serve(&rule("paginate = \"link\"\noptional = true"), &upstream).get("/acme", "t");
        assert_eq!((answer.status, &*answer.body), (200, r#"{"sub":"1"}"#), "not the first two pages: {status} {body}");
    }
}

#[test]
fn a_list_that_is_cut_short_fails_or_says_so() {
    for (lines, next, _) in WAYS.into_iter().skip(1) {
        let upstream = pages(5, 2, next);
        let with = |more: &str| rule(&lines.replace(" }", &format!(", max_pages = 3{more} }}")));
        let answer = serve(&with(""), &upstream).get("/acme", "t");
        assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("server_error")), "{lines}");
        let claims = serve(&with(", truncated = \"names_cut\""), &upstream).claims("/acme", "t");
        assert_eq!(
            (&claims["names_cut"], claims["names"].as_array().map(Vec::len)),
            (&json!(true), Some(6)),
            "{lines}"
        );
        let whole = pages(2, 2, next);
        let claims = serve(&with(", truncated = \"names_cut\""), &whole).claims("/acme", "t");
        assert!(!claims.contains_key("names_cut"), "{lines}: {claims:?}");
    }
}

#[test]
fn a_list_never_leaves_its_origin_and_never_goes_in_circles() {
    for (what, link) in [
        ("another host", "<https://evil.example/list?page=2>; rel=next".to_owned()),
        ("another scheme", "<http://api.acme.example/list?page=2>; rel=next".to_owned()),
        ("another port", "<https://api.acme.example:444/list>; rel=next".to_owned()),
        ("no host", "<//evil.example/list>; rel=next".to_owned()),
        ("itself", format!("<{ORIGIN}/list?page=2>; rel=next")),
    ] {
        let upstream = Upstream::new(move |seen| match &*seen.target {
            "/user" => Reply::json(r#"{"id":1}"#),
            _ => Reply::json("[]").header("link", link.clone()),
        });
        assert_eq!(serve(&rule("paginate = \"link\""), &upstream).get("/acme", "t").status, 502, "{what}");
        assert!(upstream.seen().len() <= 4, "{what}: it stops at once");
    }
}

#[test]
fn the_token_in_a_query_is_on_every_page_once() {
    let upstream = pages(3, 1, by_link);
    let lines = "token = { query = \"access_token\" }\npaginate = \"link\"";
    serve(&rule(lines), &upstream).claims("/acme", "t0ken&x");
    let asked: Vec<_> = upstream.seen().into_iter().filter(|seen| seen.target != "/user").collect();
    assert_eq!(asked.len(), 3);
    for seen in asked {
        assert_eq!(seen.target.matches("access_token=t0ken%26x").count(), 1, "{}", seen.target);
        assert_eq!(seen.header("authorization"), "");
    }
}

#[test]
fn the_size_of_a_list_is_bounded() {
    let page = json!(vec![json!({ "name": "x".repeat(100) }); 8_000]).to_string();
    let upstream = Upstream::new(move |seen| match query(seen, "page") {
        None if seen.target == "/user" => Reply::json(r#"{"id":1}"#),
        number => {
            let number: usize = number.map_or(1, |number| number.parse().expect("a page is a number"));
            Reply::json(page.clone()).header("link", format!("<{ORIGIN}/list?page={}>; rel=next", number + 1))
        }
    });
    let answer = serve(&rule("paginate = { link = true, max_pages = 1000 }"), &upstream).get("/acme", "t");
    assert_eq!(answer.status, 502);
    assert!(upstream.seen().len() < 25, "it stops once it is too large: {}", upstream.seen().len());
}

/// A rule that asks for each team.
fn teams(lines: &str) -> String {
    format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\n\
         [call.teams]\neach = \"$.user.teams[*]\"\nurl = \"{ORIGIN}/teams/${{each.id}}\"\n{lines}\n\
         [claims]\nsub = \"$.user.id\"\ngroups = {{ path = \"$.teams[*].slug\", many = true }}\n"
    )
}

fn team_upstream(count: usize) -> Upstream {
    Upstream::new(move |seen| match seen.target.strip_prefix("/teams/") {
        None => Reply::json(
            json!({ "id": 1, "teams": (0..count).map(|id| json!({ "id": id })).collect::<Vec<_>>() }).to_string(),
        ),
        Some("3") if count == 7 => Reply::new(404, "{}"),
        Some(id) => Reply::json(json!({ "slug": format!("team-{id}") }).to_string()),
    })
}

#[test]
fn a_call_is_made_for_every_value_in_order() {
    for count in [0, 1, 5, 100] {
        let upstream = team_upstream(count);
        let claims = serve(&teams("concurrency = 3"), &upstream).claims("/acme", "t");
        let expected: Vec<_> = (0..count).map(|id| format!("team-{id}")).collect();
        let found = claims.get("groups").cloned().unwrap_or(json!([]));
        assert_eq!(found, json!(expected), "{count}");
        assert_eq!(upstream.seen().len(), count + 1);
    }
}

#[test]
fn so_many_calls_are_on_their_way_at_once_and_no_more() {
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    // Nobody is answered before two are there.
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let upstream = {
        let (now, most) = (now.clone(), most.clone());
        Upstream::slow(move |seen| {
            let (now, most, both) = (now.clone(), most.clone(), both.clone());
            async move {
                if seen.target == "/user" {
                    return Reply::json(r#"{"id":1,"teams":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]}"#);
                }
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                both.wait().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Reply::json(r#"{"slug":"x"}"#)
            }
        })
    };
    serve(&teams("concurrency = 2"), &upstream).claims("/acme", "t");
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn more_values_than_allowed_are_a_failure_and_never_fewer_calls() {
    let upstream = team_upstream(101);
    assert_eq!(serve(&teams(""), &upstream).get("/acme", "t").status, 502);
    assert_eq!(upstream.seen().len(), 1, "not one is sent");
    let more = teams("").replace("each = \"$.user.teams[*]\"", "each = { path = \"$.user.teams[*]\", max = 101 }");
    assert_eq!(serve(&more, &upstream).claims("/acme", "t")["groups"].as_array().map(Vec::len), Some(101));
}

#[test]
fn a_value_whose_call_fails_fails_all_unless_they_are_optional() {
    let upstream = team_upstream(7);
    assert_eq!(serve(&teams(""), &upstream).get("/acme", "t").status, 502);
    let claims = serve(&teams("optional = true"), &upstream).claims("/acme", "t");
    assert_eq!(claims["groups"], json!(["team-0", "team-1", "team-2", "team-4", "team-5", "team-6"]));
}

#[test]
fn every_value_can_have_pages_and_a_condition_for_failing() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::json(r#"{"id":1,"teams":[{"id":"a"},{"id":"b"}]}"#),
        "/teams/a" => Reply::json(r#"{"of":"a","list":[{"slug":"a1"}],"next":"/teams/a?2"}"#),
        "/teams/a?2" => Reply::json(r#"{"of":"a","list":[{"slug":"a2"}]}"#),
        _ => Reply::json(r#"{"of":"b","list":[]}"#),
    });
    let lines = "paginate = { next = \"$.teams.next\", items = \"$.teams.list\" }\n\
        fail_when = [{ when = \"teams.of != each.id\", error = \"access_denied\" }]";
    let rule = teams(lines).replace("$.teams[*].slug", "$.teams[*][*].slug");
    assert_eq!(serve(&rule, &upstream).claims("/acme", "t")["groups"], json!(["a1", "a2"]));
    let denied = rule.replace("teams.of != each.id", "teams.of == each.id && each.id == \\\"b\\\"");
    assert_eq!(serve(&denied, &upstream).get("/acme", "t").status, 403);
}

#[test]
fn status_and_headers_of_an_answer_can_be_read() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::new(201, r#"{"id":1}"#).header("x-user-id", "ada").header("set-cookie", "s3ssion"),
        "/extra/ada" => Reply::new(404, r#"{"name":"nobody"}"#),
        _ => Reply::new(500, ""),
    });
    let rule = format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\n\
         [call.extra]\nurl = '{ORIGIN}/extra/${{meta.user.headers[\"x-user-id\"]}}'\noptional = true\n\
         [claims]\nsub = \"$.meta.user.headers['x-user-id']\"\nstatus = \"$.meta.user.status\"\n\
         missing = {{ rhai = \"meta.extra.status == 404\" }}\n\
         cookie = {{ path = \"$.meta.user.headers[?@ == 's3ssion']\", first = true }}\n\
         none = \"$.meta.user.headers.nothing\"\nname = \"$.extra.name\"\n"
    );
    let claims = serve(&rule, &upstream).claims("/acme", "t");
    assert_eq!(json!(claims), json!({ "sub": "ada", "status": 201, "missing": true }));
}

#[test]
fn graphql_is_sent_as_json_and_its_errors_are_failures() {
    let rule = |more: &str| {
        format!(
            "[vars]\nlogin = \"ada\"\n[call.user]\nurl = \"{ORIGIN}/graphql\"\n\
             graphql = {{ query = 'query U($login: String!) {{ user(login: $login) {{ id }} }}', \
             variables = {{ login = \"${{vars.login}}\", first = 10 }}, operation_name = \"U\" }}\n{more}\n\
             [claims]\nsub = \"$.user.data.user.id\"\n"
        )
    };
    let answering = |body: &'static str| Upstream::new(move |_| Reply::json(body));
    let upstream = answering(r#"{"data":{"user":{"id":"u1"}}}"#);
    assert_eq!(serve(&rule(""), &upstream).claims("/acme", "t")["sub"], "u1");
    let seen = &upstream.seen()[0];
    assert_eq!((&*seen.method, seen.header("content-type")), ("POST", "application/json"));
    let body: Value = serde_json::from_slice(&seen.body).expect("the body is JSON");
    let query = "query U($login: String!) { user(login: $login) { id } }";
    assert_eq!(body, json!({ "query": query, "operationName": "U", "variables": { "login": "ada", "first": 10 } }));
    for (body, expected) in [
        (r#"{"data":{"user":{"id":"u1"}},"errors":[]}"#, 200),
        (r#"{"data":{"user":{"id":"u1"}},"errors":null}"#, 200),
        (r#"{"data":{"user":{"id":"u1"}},"errors":[{"message":"s3cret words"}]}"#, 502),
        (r#"{"data":null,"errors":[{"message":"x","extensions":{"code":"UNAUTHENTICATED"}}]}"#, 502),
    ] {
        let answer = serve(&rule(""), &answering(body)).get("/acme", "t");
        assert_eq!(answer.status, expected, "{body}");
        assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    }
    let mapped = rule(
        "fail_when = [{ when = 'user.errors[0].extensions.code == \"UNAUTHENTICATED\"', error = \"invalid_token\" }]",
    );
    let body = r#"{"data":null,"errors":[{"message":"x","extensions":{"code":"UNAUTHENTICATED"}}]}"#;
    assert_eq!(serve(&mapped, &answering(body)).get("/acme", "t").status, 401);
}

/// Answers the first requests with these, and all others with the user.
fn at_first(replies: Vec<Reply>) -> Upstream {
    let left = Mutex::new(replies.into_iter());
    Upstream::new(move |_| {
        let next = left.lock().expect("no test panics while it holds this").next();
        next.unwrap_or_else(|| Reply::json(r#"{"id":1}"#))
    })
}

#[test]
fn what_may_pass_is_tried_again() {
    let rule = |lines: &str| format!("[call.user]\nurl = \"{ORIGIN}/user\"\n{lines}\n[claims]\nsub = \"$.user.id\"\n");
    let busy = || Reply::new(503, "");
    for (lines, replies, status, requests) in [
        ("", vec![busy()], 502, 1),
        ("retry = 0", vec![busy()], 502, 1),
        ("retry = 1", vec![busy()], 200, 2),
        ("retry = 2", vec![busy(), Reply::new(502, "")], 200, 3),
        ("retry = 1", vec![busy(), busy()], 502, 2),
        ("retry = 2", vec![Reply::new(429, "").header("retry-after", "0")], 200, 2),
        ("retry = 2", vec![Reply::new(429, "").header("retry-after", "60")], 503, 1),
        ("retry = 2", vec![Reply::new(401, "")], 401, 1),
        ("retry = 2", vec![Reply::new(500, "")], 502, 1),
        ("retry = { times = 2, on = [500] }", vec![Reply::new(500, "")], 200, 2),
        ("retry = { times = 2, on = [500] }", vec![busy()], 502, 1),
        ("retry = 2\ntimeout = \"50ms\"", vec![busy()], 502, 1),
        ("method = \"POST\"\nretry = { times = 1, idempotent = true }", vec![busy()], 200, 2),
        ("graphql = \"{ id }\"\nretry = 1", vec![busy()], 200, 2),
    ] {
        let upstream = at_first(replies);
        assert_eq!(serve(&rule(lines), &upstream).get("/acme", "t").status, status, "{lines}");
        assert_eq!(upstream.seen().len(), requests, "{lines}");
    }
}

#[test]
fn a_call_that_reads_the_meta_of_another_waits_for_it() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/b?s=204" => Reply::json(r#"{"id":"b"}"#),
        "/a" => Reply::new(204, ""),
        _ => Reply::new(500, ""),
    });
    let rule = format!(
        "[call.b]\nurl = \"{ORIGIN}/b\"\nquery = {{ s = \"${{meta.a.status}}\" }}\n[call.a]\nurl = \"{ORIGIN}/a\"\n\
         [claims]\nsub = \"$.b.id\"\n"
    );
    assert_eq!(serve(&rule, &upstream).claims("/acme", "t")["sub"], "b");
}

#[test]
fn a_link_that_cannot_be_read_is_no_end_of_a_list() {
    for link in [
        "</list?page=2; rel=\"next\"",
        "</list?q=1&page=2>; title=\"never closed; rel=next",
        "/list?page=2; rel=next",
        "</list?page=2>; rel=first, and so on",
    ] {
        let upstream = Upstream::new(move |seen| match &*seen.target {
            "/user" => Reply::json(r#"{"id":1}"#),
            _ => Reply::json("[]").header("link", link),
        });
        assert_eq!(serve(&rule("paginate = \"link\""), &upstream).get("/acme", "t").status, 502, "{link}");
    }
    // Bytes beyond ASCII are of no harm: a URL says them in its own way.
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::json(r#"{"id":1}"#),
        "/list" => Reply::json(r#"[{"name":"a"}]"#).header("link", "</list?q=é>; rel=next"),
        _ => Reply::json(r#"[{"name":"b"}]"#),
    });
    assert_eq!(serve(&rule("paginate = \"link\""), &upstream).claims("/acme", "t")["names"], json!(["a", "b"]));
}

#[test]
fn a_next_page_is_one_address_however_it_is_written() {
    for (what, next, requests) in [
        ("credentials", "https://ada:pw@api.acme.example/list?page=2".to_owned(), 1),
        ("the first page", "/list".to_owned(), 1),
        ("the first page in full", format!("{ORIGIN}/list#top"), 1),
        ("too long", format!("/list?page={}", "2".repeat(9000)), 1),
    ] {
        let upstream = Upstream::new(move |seen| match &*seen.target {
            "/user" => Reply::json(r#"{"id":1}"#),
            _ => Reply::json(json!({ "items": [], "next": next }).to_string()),
        });
        let rule = rule("paginate = { next = \"$.list.next\", items = \"$.list.items\" }");
        assert_eq!(serve(&rule, &upstream).get("/acme", "t").status, 502, "{what}");
        let asked = upstream.seen().iter().filter(|seen| seen.target != "/user").count();
        assert_eq!(asked, requests, "{what}");
    }
}

#[test]
fn the_items_of_all_values_together_are_bounded() {
    let page = format!("[{}1]", "1,".repeat(19_999));
    let upstream = Upstream::new(move |seen| match &*seen.target {
        "/user" => Reply::json(
            json!({ "id": 1, "teams": (0..6).map(|id| json!({ "id": id })).collect::<Vec<_>>() }).to_string(),
        ),
        _ => Reply::json(page.clone()),
    });
    assert_eq!(serve(&teams("paginate = \"link\""), &upstream).get("/acme", "t").status, 502);
}

#[test]
fn a_value_that_no_request_can_be_made_of_is_one_that_failed() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::json(r#"{"id":1,"teams":[{"id":"a"},{},{"id":".."},{"id":"b"}]}"#),
        target => Reply::json(json!({ "slug": target }).to_string()),
    });
    assert_eq!(serve(&teams(""), &upstream).get("/acme", "t").status, 500);
    assert_eq!(upstream.seen().len(), 1, "none is sent");
    for concurrency in [1, 4] {
        let lines = format!("optional = true\nconcurrency = {concurrency}");
        let claims = serve(&teams(&lines), &upstream).claims("/acme", "t");
        assert_eq!(claims["groups"], json!(["/teams/a", "/teams/b"]), "{concurrency}");
    }
}

#[test]
fn no_values_are_an_empty_list() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::json(r#"{"id":1}"#),
        _ => Reply::new(500, ""),
    });
    let rule = teams("") + "count = { rhai = \"teams.len()\" }\nmetas = { rhai = \"meta.teams.len()\" }\n";
    let claims = serve(&rule, &upstream).claims("/acme", "t");
    assert_eq!(json!(claims), json!({ "sub": "1", "count": 0, "metas": 0 }));
}

#[test]
fn meta_of_a_list_is_that_of_its_last_page_and_of_each_value_in_order() {
    // The first value is answered last.
    let done = Arc::new(tokio::sync::Notify::new());
    let upstream = Upstream::slow(move |seen| {
        let done = done.clone();
        async move {
            match &*seen.target {
                "/user" => Reply::json(r#"{"id":1,"teams":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#),
                "/teams/a" => {
                    done.notified().await;
                    Reply::new(201, r#"{"slug":"a"}"#).header("x-of", "a")
                }
                "/teams/b" => Reply::new(404, "{}").header("x-of", "b"),
                _ => {
                    done.notify_one();
                    Reply::json(r#"{"slug":"c"}"#).header("x-of", "c")
                }
            }
        }
    });
    let rule =
        teams("optional = true\nfail_when = [{ when = \"meta.teams.status == 500\", error = \"access_denied\" }]")
            + "statuses = { path = \"$.meta.teams[*].status\", join = \" \" }\n\
           of = { path = \"$.meta.teams[*].headers['x-of']\", many = true }\n";
    let claims = serve(&rule, &upstream).claims("/acme", "t");
    assert_eq!((&claims["statuses"], &claims["of"]), (&json!("201 404 200"), &json!(["a", "b", "c"])));

    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::json(r#"{"id":1}"#),
        "/list" => Reply::json("[]").header("link", "</list?2>; rel=next").header("x-total", "7"),
        _ => Reply::new(206, "[]").header("x-left", "0"),
    });
    let rule = self::rule("paginate = \"link\"")
        + "status = \"$.meta.list.status\"\nleft = \"$.meta.list.headers['x-left']\"\ntotal = \"$.meta.list.headers['x-total']\"\n";
    let claims = serve(&rule, &upstream).claims("/acme", "t");
    assert_eq!(json!(claims), json!({ "sub": "1", "status": 206, "left": "0" }));
}

#[test]
fn a_header_is_read_as_what_it_is_or_not_at_all() {
    let upstream = Upstream::new(|_| {
        let mut reply = Reply::json(r#"{"id":1}"#).header("x-name", "José");
        reply.headers.extend([("x-two", "a".to_owned()), ("x-two", "b".to_owned())]);
        reply
    });
    let rule = format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\n[claims]\nsub = \"$.user.id\"\n\
         n = \"$.meta.user.headers['x-name']\"\ntwo = \"$.meta.user.headers['x-two']\"\n"
    );
    assert_eq!(json!(serve(&rule, &upstream).claims("/acme", "t")), json!({ "sub": "1", "n": "José", "two": "a, b" }));
}

#[test]
fn an_upstream_that_says_when_is_not_asked_before() {
    let rule = format!("[call.user]\nurl = \"{ORIGIN}/user\"\nretry = 2\n[claims]\nsub = \"$.user.id\"\n");
    for (what, reply, status, requests) in [
        ("no word", Reply::new(429, ""), 503, 1),
        ("a date", Reply::new(503, "").header("retry-after", "Fri, 31 Dec 2999 23:59:59 GMT"), 502, 1),
        ("a long time", Reply::new(503, "").header("retry-after", "99999999999999999999999"), 502, 1),
        ("a negative time", Reply::new(503, "").header("retry-after", "-1"), 502, 1),
        ("soon", Reply::new(503, "").header("retry-after", " 0 "), 200, 2),
    ] {
        let upstream = at_first(vec![reply]);
        assert_eq!(serve(&rule, &upstream).get("/acme", "t").status, status, "{what}");
        assert_eq!(upstream.seen().len(), requests, "{what}");
    }
}

/// What a trace shows of one request.
fn traced(rule: &str, upstream: &Upstream, token: &str) -> Vec<String> {
    let setup = Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin);
    let host = claimsmith::gateway::Upstream::new(
        &setup.settings,
        claimsmith::gateway::Secrets::Real,
        claimsmith::gateway::Store::new(),
    )
    .expect("a host can be made");
    let loaded = claimsmith::gateway::load(&setup.settings, &host).expect("the folder can be read");
    let request = http::Request::get("/acme").header("authorization", format!("Bearer {token}"));
    let request = request.body(bytes::Bytes::new()).expect("a sound request");
    let trace = Trace::default();
    let rule = loaded.routes.find("/acme").expect("the rule is sound");
    crate::support::block_on(evaluate(rule, &request, "id", Reception::default(), &host, Some(&trace)));
    let words = |step| match step {
        Step::Call(call) => {
            let which = if call.which.is_empty() { String::new() } else { format!("{}: ", call.which) };
            Some(format!("{}: {which}{}: {}", call.name, call.words(), call.request.join(" | ")))
        }
        Step::Claim(claim) => Some(format!("claim {} from {}", claim.name, claim.from.words())),
        Step::Note { stage, words } => Some(format!("{stage}: {words}")),
        _ => None,
    };
    trace.steps().into_iter().filter_map(words).filter(|words| !words.starts_with("user: ")).collect()
}

#[test]
fn a_trace_shows_pages_and_values_and_no_credential_that_an_address_repeats() {
    let upstream = Upstream::new(|seen| match query(seen, "page").as_deref() {
        _ if seen.target == "/user" => Reply::json(r#"{"id":1}"#),
        None => Reply::json("[1]").header("link", "</list?page=2&access_token=t0ken%26x>; rel=next"),
        _ => Reply::json("[2]").header("link", "</next/t0ken%26x/3?page=3>; rel=next"),
    });
    let rule =
        rule("paginate = { link = true, max_pages = 2, truncated = \"cut\" }\ntoken = { query = \"access_token\" }");
    let steps = traced(&rule, &upstream, "t0ken&x");
    let told = steps.join("\n");
    for part in [
        "list: page 1: 200, 3 bytes: GET https://api.acme.example/list?access_token=[token]",
        "list: page 2: 200, 3 bytes: GET https://api.acme.example/list?page=2&access_token=…",
        "call list: a list of 2 items; 2 requests",
        "claim cut from a list that was cut short",
    ] {
        assert!(told.contains(part), "{part}\nin\n{told}");
    }
    assert!(!told.contains("t0ken"), "{told}");

    let upstream = team_upstream(7);
    let told = traced(&teams("optional = true"), &upstream, "t").join("\n");
    for part in [
        "teams: value 1: 200, 17 bytes: GET https://api.acme.example/teams/0 | ",
        "teams: value 4: given up: the upstream answered 404: GET https://api.acme.example/teams/3 | ",
        "call teams: a list of 7 items; 7 requests",
    ] {
        assert!(told.contains(part), "{part}\nin\n{told}");
    }
}

#[test]
fn a_trace_of_many_pages_is_short_and_tells_which_one_failed() {
    let upstream = Upstream::new(|seen| match query(seen, "page").as_deref() {
        _ if seen.target == "/user" => Reply::json(r#"{"id":1}"#),
        Some("60") => Reply::new(500, ""),
        _ => Reply::json("[1]"),
    });
    let steps = traced(&rule("paginate = { page = 1, param = \"page\", max_pages = 100 }"), &upstream, "t");
    let told = steps.join("\n");
    assert!(told.contains("list: page 1: 200, 3 bytes: GET https://api.acme.example/list?page=1 | "), "{told}");
    assert!(told.contains("call list: page 60 failed, and with it the list"), "{told}");
    assert!(steps.len() < 40, "{told}");
}

/// An upstream whose first connections break off, so many of them; how many there were.
fn breaking(times: usize) -> (String, Arc<AtomicUsize>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => head.extend_from_slice(&piece[..length]),
                }
            }
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\n{\"id\":1}";
            let broken = counted.fetch_add(1, Ordering::SeqCst) < times;
            // The gateway may have given up already.
            let _ = stream.write_all(&answer.as_bytes()[..if broken { 60 } else { answer.len() }]);
        }
    });
    (origin, count)
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let rule = |lines: &str| format!("[call.user]\nurl = \"{ORIGIN}/user\"\n{lines}\n[claims]\nsub = \"$.user.id\"\n");
    for (lines, times, status, connections) in [
        ("", 1, 502, 1),
        ("retry = 1", 1, 200, 2),
        ("retry = { times = 2, on = [] }", 2, 200, 3),
        ("retry = 1", 2, 502, 2),
        ("method = \"POST\"\nbody = \"x\"\nretry = 0", 1, 502, 1),
    ] {
        let (origin, count) = breaking(times);
        let gateway = Setup::new().rule("acme", &rule(lines)).reroute(ORIGIN, &origin).start();
        assert_eq!(gateway.get("/acme", "t").status, status, "{lines}");
        assert_eq!(count.load(Ordering::SeqCst), connections, "{lines}");
    }
    // Where nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("http://{}", free.local_addr().expect("a bound socket has an address"));
    drop(free);
    let gateway = Setup::new().rule("acme", &rule("retry = 1")).reroute(ORIGIN, &origin).start();
    assert_eq!(gateway.get("/acme", "t").status, 502);
}

#[test]
fn no_status_is_worth_another_attempt_where_the_list_is_empty() {
    let rule = format!(
        "[call.user]\nurl = \"{ORIGIN}/user\"\nretry = {{ times = 2, on = [] }}\n[claims]\nsub = \"$.user.id\"\n"
    );
    let upstream = at_first(vec![Reply::new(503, "")]);
    assert_eq!(serve(&rule, &upstream).get("/acme", "t").status, 502);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_deadline_ends_attempts_and_pages() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/user" => Reply::new(503, "").header("retry-after", "2"),
        target => {
            let number: usize = target.rsplit('=').next().and_then(|page| page.parse().ok()).unwrap_or(1);
            Reply::json("[]").header("link", format!("</list?page={}>; rel=next", number + 1))
        }
    });
    for lines in ["retry = 3", "url = \"https://api.acme.example/list\"\npaginate = { link = true, max_pages = 1000 }"]
    {
        let url = if lines.starts_with("url") { String::new() } else { format!("url = \"{ORIGIN}/user\"\n") };
        let rule = format!("[call.user]\n{url}{lines}\n[claims]\nsub = {{ value = \"1\" }}\n");
        let setup = Setup::new().rule("acme", &rule).reroute(ORIGIN, &upstream.origin);
        let gateway =
            setup.with(|settings| settings.deadline = claimsmith::config::Span(Duration::from_millis(60))).start();
        assert_eq!(gateway.get("/acme", "t").status, 504, "{lines}");
    }
}

#[test]
fn a_call_that_reads_all_of_meta_waits_for_all_others() {
    let upstream = Upstream::new(|seen| match &*seen.target {
        "/last?n=2" => Reply::json(r#"{"id":"z"}"#),
        "/a" | "/b" => Reply::json("{}"),
        _ => Reply::new(500, ""),
    });
    let rule = format!(
        "[call.last]\nurl = \"{ORIGIN}/last\"\nquery = {{ n = \"${{meta.len()}}\" }}\n[call.a]\nurl = \"{ORIGIN}/a\"\n\
         [call.b]\nurl = \"{ORIGIN}/b\"\n[claims]\nsub = \"$.last.id\"\n"
    );
    assert_eq!(serve(&rule, &upstream).claims("/acme", "t")["sub"], "z");
}
