//! Bytes as what an author computes: an expression or a script. It is refused, or it ends, whatever it does, and what one
//! request did is gone for the next.

use super::{outcome, problems, world};

/// The answer that it may read.
const USER: &str = r#"{"id":"u1","name":"Ada","email":"ada@engines.example","big":9007199254740993,
    "huge":123456789012345678901234567890,"half":0.5,"none":null,"yes":true,"text":"a,b;c","when":"2026-01-31T12:00:00Z",
    "list":[3,1,2],"teams":[{"name":"a","n":1},{"name":"b","n":2}],"nested":{"a":{"b":1}},"json":"{\"a\":1}"}"#;

/// What is asked of an input. Its first byte says where it stands.
pub fn check(bytes: &[u8]) {
    let Some((place, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let quoted = world::quoted(text);
    let within = world::quoted(&format!("<${{{text}}}>"));
    let (extra, after) = match place {
        b'c' => (format!("a = {{ rhai = {quoted} }}\n"), String::new()),
        b't' => (format!("a = {within}\n"), String::new()),
        b'g' => (String::new(), format!("[[require]]\nthat = {quoted}\nerror = \"access_denied\"\nreason = \"no\"\n")),
        b's' => (String::new(), format!("[script]\nsource = {quoted}\n")),
        b'h' => {
            (String::new(), format!("[call.more]\nurl = \"https://api.example/more\"\nheaders = {{ x = {within} }}\n"))
        }
        b'q' => {
            (String::new(), format!("[call.more]\nurl = \"https://api.example/more\"\nquery = {{ x = {within} }}\n"))
        }
        b'w' => (String::new(), format!("[call.more]\nurl = \"https://api.example/more\"\nwhen = {quoted}\n")),
        _ => return,
    };
    let rule = format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\n[vars]\nhost = \"a\"\n[call.user]\nurl = \"https://api.example/user\"\n\
         [claims]\nsub = \"$.user.id\"\nmail = \"$.user.email\"\n{extra}{after}"
    );
    let (rule, found) = world::compile(&rule);
    assert_eq!(rule.is_none(), problems::check(&found), "{found:?}");
    let Some(rule) = rule else { return };
    // What a call may put into a request it may of course have sent.
    let mark_free = outcome::is_mark_free(text);
    let answer = |_: &_, _| Ok(world::reply(200, "application/json", USER));
    let bodies = [(); 2].map(|()| {
        let world = world::World::new(&answer);
        let outcome = outcome::run(&rule, &world, mark_free);
        (outcome.response.status().as_u16(), outcome.response.into_body())
    });
    // A limit of time may end one of them and not the other.
    if bodies.iter().all(|(status, _)| *status == 200) {
        assert_eq!(bodies[0], bodies[1], "the second request meets nothing of the first");
    }
}
