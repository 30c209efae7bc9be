//! How answers are read: formats, charsets, and bodies that are not what they are called.

use serde_json::{Value, json};

use crate::support::{Answer, Reply, Setup, Upstream};

const TOKEN: &str = "t0ken";

/// What a rule makes of an answer; `sub` is at this path.
fn read(decode: &str, sub: &str, reply: Reply) -> Answer {
    let upstream = Upstream::new(move |_| reply.clone());
    let rule = format!("[call.user]\nurl = \"https://api.acme.example/user\"\n{decode}\n[claims]\nsub = {sub}\n");
    let setup = Setup::new().rule("acme", &rule).reroute("https://api.acme.example", &upstream.origin);
    setup.start().get("/acme", TOKEN)
}

fn reply(kind: &str, body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200, body).header("content-type", kind)
}

#[track_caller]
fn reads(decode: &str, path: &str, kind: &str, body: impl Into<Vec<u8>>, expected: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
    let answer = read(decode, &format!("\"{path}\""), reply(kind, body));
    assert_eq!(answer.status, 200, "{decode} {kind} {shown}: {}", answer.body);
    assert_eq!(answer.json(), json!({ "sub": expected }), "{decode} {kind} {shown}");
}

#[track_caller]
fn refuses(decode: &str, kind: &str, body: impl Into<Vec<u8>>) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
    let answer = read(decode, "\"$.user.id\"", reply(kind, body));
    assert_eq!(answer.status, 502, "{decode} {kind} {shown}: {}", answer.body);
    assert_eq!(answer.json()["error_description"], "the provider gave no usable answer");
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_content_type_decides_where_the_body_agrees() {
    for (kind, body) in [
        ("application/json", r#"{"id":"7"}"#),
        ("text/html", r#"{"id":"7"}"#),
        (FORM, r#" {"id":"7"}"#),
        ("application/xml", r#"{"id":"7"}"#),
        ("nonsense", r#"{"id":7}"#),
        (FORM, "id=7&x=y"),
        ("application/x-www-form-urlencoded; charset=utf-8", "x&id=%37"),
    ] {
        reads("", "$.user.id", kind, body, "7");
    }
    reads("", "$.user.u.id", "text/xml", "<u><id>7</id></u>", "7");
    reads("", "$.user.u['@id']", "application/vnd.acme+xml; charset=utf-8", "\u{feff}<u id=\"7\"/>", "7");
    for (kind, body) in [
        ("text/plain", "id=7"),
        ("application/json", "<u><id>7</id></u>"),
        ("text/html", "<u><id>7</id></u>"),
        ("application/xhtml+xml", "<u><id>7</id></u>"),
        ("text/xml", "<html><body>login</body></html>"),
        ("text/xml", "<u><id>7</u>"),
        (FORM, "<form id=\"7\">"),
        (FORM, "\"id=7\""),
        (FORM, "7"),
        ("application/javascript", "callback({\"id\":\"7\"});"),
    ] {
        refuses("", kind, body);
    }
}

#[test]
fn a_named_format_forgives_the_content_type_and_not_the_body() {
    let any = ["application/json", "text/html; charset=utf-8", "image/png", "nonsense"];
    for kind in any {
        reads("decode = \"json\"", "$.user.id", kind, r#"{"id":"7"}"#, "7");
        reads("decode = \"form\"", "$.user.id", kind, "id=7", "7");
        reads("decode = \"jsonp\"", "$.user.id", kind, "callback( {\"id\":\"7\"} );\n", "7");
        reads("decode = \"jsonp\"", "$.user.id", kind, r#"/**/cb({"id":"7"})"#, "7");
        reads("decode = \"jsonp\"", "$.user.id", kind, r#"{"id":"7"}"#, "7");
        reads("decode = \"xml\"", "$.user.u.id", kind, "<?xml version='1.0'?><u><id> 7 </id></u>", "7");
        reads("decode = \"text\"", "$.user", kind, "7", "7");
    }
    for (decode, bodies) in [
        ("json", &["id=7", "callback({})", "<u/>", "", " ", "[1]", "7", "\"7\"", "null"][..]),
        ("form", &[r#"{"id":"7"}"#, "<u/>", "", " ", "7", "id=%f"]),
        ("jsonp", &["id=7", "cb({\"id\":1}", "cb()", "cb([1])", "cb(7)", "cb({})({})", "<u/>", "", " "]),
        ("xml", &[r#"{"id":"7"}"#, "id=7", "<u>", "<u></i>", "", " ", "<html/>", "<u>&bomb;</u>"]),
    ] {
        for body in bodies {
            refuses(&format!("decode = \"{decode}\""), "application/json", *body);
        }
    }
}

#[test]
fn only_what_is_read_of_jsonp_has_to_be_shallow() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    reads("decode = \"jsonp\"", "$.user.id", "text/javascript", format!(r#"cb({{"x":{deep},"id":"7"}});"#), "7");
    refuses("decode = \"jsonp\"", "text/javascript", format!(r#"cb({{"id":{deep}}});"#));
}

#[test]
fn one_element_can_be_a_list() {
    let lists = "decode = { xml = { lists = [\"email\"] } }";
    for (body, expected) in
        [("<u><email>a</email></u>", json!(["a"])), ("<u><email>a</email><email>b</email></u>", json!(["a", "b"]))]
    {
        let upstream = Upstream::new(move |_| reply("text/xml", body));
        let rule = format!(
            "[call.user]\nurl = \"https://api.acme.example/user\"\n{lists}\n[claims]\nsub = {{ value = \"7\" }}\n\
             emails = \"$.user.u.email\"\n"
        );
        let setup = Setup::new().rule("acme", &rule).reroute("https://api.acme.example", &upstream.origin);
        assert_eq!(setup.start().claims("/acme", TOKEN)["emails"], expected);
        assert_eq!(upstream.seen()[0].header("accept"), "application/xml, text/xml;q=0.9, */*;q=0.5");
    }
}

#[test]
fn xml_bombs_are_refused_in_no_time() {
    let entity = "<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'><!ENTITY c '&a;&a;&a;&a;&a;&a;'>]><b>&c;</b>";
    let external = "<!DOCTYPE b [<!ENTITY x SYSTEM 'http://a.example/x'>]><b>&x;</b>";
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let wide = format!("<a>{}</a>", "<b/>".repeat(200_000));
    let attributes = format!("<a{}/>", (0..80_000).map(|number| format!(" a{number}=''")).collect::<String>());
    for body in [entity, external, &deep, &wide, &attributes] {
        refuses("decode = \"xml\"", "text/xml", body);
        refuses("", "text/xml", body);
    }
    refuses("decode = \"form\"", FORM, "a=1&".repeat(200_000));
}

#[test]
fn the_charset_is_that_of_the_mark_or_the_header_and_utf_8_otherwise() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    for (kind, body) in [
        ("application/json", "{\"id\":\"Zoë\"}".as_bytes().to_vec()),
        ("application/json; charset=us-ascii", "{\"id\":\"Zoë\"}".as_bytes().to_vec()),
        ("application/json", "\u{feff}{\"id\":\"Zoë\"}".as_bytes().to_vec()),
        ("text/plain; charset=ISO-8859-1", b"{\"id\":\"Zo\xeb\"}".to_vec()),
        ("application/json; charset=\"utf-16be\"", utf_16("{\"id\":\"Zoë\"}")),
        ("application/json", utf_16("\u{feff}{\"id\":\"Zoë\"}")),
    ] {
        reads("", "$.user.id", kind, body, "Zoë");
    }
    reads("decode = \"text\"", "$.user", "text/plain; charset=windows-1252", *b"Zo\xeb", "Zoë");
    reads("decode = \"form\"", "$.user.id", "text/plain; charset=latin1", "id=Zo%EB", "Zoë");
    let declared = b"<?xml version='1.0' encoding='iso-8859-1'?><u><id>Zo\xeb</id></u>".to_vec();
    reads("decode = \"xml\"", "$.user.u.id", "text/xml", declared.clone(), "Zoë");
    reads("", "$.user.u.id", "text/xml", declared, "Zoë");
    for (kind, body) in [
        ("application/json", b"{\"id\":\"Zo\xeb\"}".to_vec()),
        ("application/json; charset=utf-8", b"{\"id\":\"Zo\xeb\"}".to_vec()),
        ("application/json; charset=klingon", b"{\"id\":\"7\"}".to_vec()),
        ("application/json; charset=utf-16le", b"{\"id\":\"7\"}\0".to_vec()),
        ("application/json; charset=gbk", b"{\"id\":\"\x81\"}".to_vec()),
        ("application/json; charset=utf-16", b"{\"id\":\"7\"}".to_vec()),
    ] {
        refuses("", kind, body);
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// The claims of a rule with a picture from a call of its own.
fn with_picture(lines: &str, picture: Reply) -> Answer {
    let upstream = Upstream::new(move |seen| match seen.target.as_str() {
        "/photo" => picture.clone(),
        _ => Reply::json(r#"{"id":"7"}"#),
    });
    let rule = format!(
        "[call.user]\nurl = \"https://api.acme.example/user\"\n\
         [call.photo]\nurl = \"https://api.acme.example/photo\"\ndecode = \"data_uri\"\n{lines}\n\
         [claims]\nsub = \"$.user.id\"\npicture = \"$.photo\"\n"
    );
    Setup::new().rule("acme", &rule).reroute("https://api.acme.example", &upstream.origin).start().get("/acme", TOKEN)
}

#[test]
fn a_picture_becomes_a_claim() {
    let uri = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";
    for kind in ["image/png", "image/jpeg", "application/octet-stream", "text/html"] {
        let answer = with_picture("", reply(kind, PNG));
        assert_eq!(answer.json(), json!({ "sub": "7", "picture": uri }), "{kind}");
    }
    let none = json!({ "sub": "7" });
    assert_eq!(with_picture("", Reply::new(204, "")).json(), none);
    assert_eq!(with_picture("expect = [200, 404]", Reply::new(404, "{}")).json(), none);
    assert_eq!(with_picture("", Reply::new(404, "{}")).status, 502);
    for (kind, body) in [
        ("image/png", &b"<html>login</html>"[..]),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"),
        ("application/json", b"{\"error\":\"none\"}"),
        ("application/octet-stream", b"anything"),
        ("image/png", b""),
    ] {
        assert_eq!(with_picture("", reply(kind, body)).status, 502, "{kind}");
        assert_eq!(with_picture("optional = true", reply(kind, body)).json(), none, "{kind}");
    }
    let large = |length: usize| [PNG, &vec![0; length - PNG.len()]].concat();
    assert_eq!(with_picture("", reply("image/png", large(256 * 1024))).status, 200);
    assert_eq!(with_picture("", reply("image/png", large(256 * 1024 + 1))).status, 502);
}

#[test]
fn json_inside_of_a_text_is_read_by_a_function() {
    let answer = read("decode = \"text\"", "{ rhai = \"parse_json(user).id\" }", reply("text/plain", r#"{"id":"7"}"#));
    assert_eq!((answer.status, answer.json()), (200, json!({ "sub": "7" })), "{}", answer.body);
}

#[test]
fn each_format_is_asked_for_unless_the_rule_says_otherwise() {
    for (lines, expected) in [
        ("decode = \"json\"", "application/json"),
        ("decode = \"data_uri\"", "image/*"),
        ("decode = \"text\"\nheaders = { accept = \"text/csv\" }", "text/csv"),
    ] {
        let upstream = Upstream::new(|_| reply("image/png", PNG));
        let rule = format!(
            "[call.user]\nurl = \"https://api.acme.example/user\"\n{lines}\n[claims]\nsub = {{ value = \"7\" }}\n"
        );
        let setup = Setup::new().rule("acme", &rule).reroute("https://api.acme.example", &upstream.origin);
        setup.start().get("/acme", TOKEN);
        let seen: Vec<Value> = upstream.seen().iter().map(|seen| seen.header("accept").into()).collect();
        assert_eq!(seen, [expected], "{lines}");
    }
}
