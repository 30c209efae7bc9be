//! Receivers: what each insists on, and that no answer leaves which its reader would refuse or bend.
//!
//! The contracts of Auth.js and Better Auth are seen to be true in `tests/clients/receivers.test.mjs`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use claimsmith::{
    config::Span,
    core::{Contract, Errors, Standing, contracts},
};
use serde_json::{Value, json};

use crate::{
    cli::{Server, claimsmith, folder, run},
    support::{Answer, Gateway, Reply, Setup, Upstream, block_on, client, send},
};

use Standing::{Fail, Ok as Read, Warn};

const ORIGIN: &str = "https://api.acme.example";
const TOKEN: &str = "t0ken";

/// A rule with one call; `head` stands before it, `tail` among the claims and after them.
fn rule(head: &str, tail: &str) -> String {
    format!("{head}\n[call.user]\nurl = \"{ORIGIN}/user\"\n[claims]\n{tail}\n")
}

/// A gateway with this rule, in front of an upstream that always answers the same.
#[track_caller]
fn gateway(head: &str, tail: &str, profile: &str) -> (Gateway, Upstream) {
    let reply = Reply::json(profile);
    let upstream = Upstream::new(move |_| reply.clone());
    let gateway = Setup::new().rule("acme", &rule(head, tail)).reroute(ORIGIN, &upstream.origin).start();
    (gateway, upstream)
}

/// The body of the answer, whatever its status.
#[track_caller]
fn body(head: &str, tail: &str, profile: &str) -> String {
    gateway(head, tail, profile).0.get("/acme", TOKEN).body
}

/// Claims that do not pass as they are, how they stand, and a part of what is said of them.
type Found = &'static [(&'static str, Standing, &'static str)];

/// What a receiver makes of claims: one of each kind, hand-written from what is known of it.
const JUDGED: &[(&str, &str, Found)] = &[
    // Clerk reads what its attribute mapping names.
    ("clerk", r#"{"uuid":"1","avatar_url":"https://a.example","n":7,"email_verified":true}"#, &[]),
    ("clerk", r#"{"uuid":"1","email_verified":"true"}"#, &[("email_verified", Fail, "not true or false")]),
    ("auth0", r#"{"user_id":"1","email":"a@b.example","email_verified":false,"plan":"gold"}"#, &[]),
    ("auth0", r#"{"user_id":"1"}"#, &[("email", Warn, "recommends")]),
    ("auth0", r#"{"user_id":9007199254740993,"email":"a@b.example"}"#, &[("user_id", Fail, "another user")]),
    ("auth0", r#"{"sub":"1","email":"a@b.example"}"#, &[("user_id", Fail, "nothing says who the user is")]),
    ("auth0", r#"{"user_id":"1","email":"a@b.example","email_verified":"false"}"#, &[("email_verified", Fail, "text")]),
    (
        "supabase",
        r#"{"sub":"1","name":"Ada","email":"a@b.example","email_verified":true,"updated_at":1790964251,"aud":["a"]}"#,
        &[],
    ),
    ("supabase", r#"{"sub":"1","updated_at":"2026-10-02T18:04:11Z","aud":"a"}"#, &[]),
    ("supabase", r#"{"sub":1}"#, &[("sub", Fail, "the login")]),
    ("supabase", r#"{"sub":"1","email_verified":"true"}"#, &[("email_verified", Fail, "the login")]),
    ("supabase", r#"{"sub":"1","name":["Ada"]}"#, &[("name", Fail, "the login")]),
    ("supabase", r#"{"sub":"1","updated_at":true}"#, &[("updated_at", Fail, "the login")]),
    ("supabase", r#"{"sub":"1","groups":["a"]}"#, &[("groups", Warn, "custom_claims_allowlist")]),
    ("supabase", r#"{"email":"a@b.example"}"#, &[("sub", Fail, "nothing says who the user is")]),
    ("authjs", r#"{"sub":"1","name":"Ada","email":"a@b.example","picture":"https://a.example"}"#, &[]),
    ("authjs", r#"{"id":"1","nickname":"ada"}"#, &[]),
    ("authjs", r#"{"sub":9007199254740993}"#, &[("sub", Warn, "53 bits")]),
    ("authjs", r#"{"sub":"1","email":7}"#, &[("email", Fail, "fails the login")]),
    ("authjs", r#"{"name":"Ada"}"#, &[("sub", Fail, "nothing says who the user is")]),
    ("authjs", r#"{"sub":"1","email_verified":true}"#, &[("email_verified", Warn, "does not read it")]),
    ("better-auth", r#"{"id":"1","email":"a@b.example","email_verified":true,"name":"Ada"}"#, &[]),
    ("better-auth", r#"{"id":"1","email":"a@b.example","email_verified":"true"}"#, &[]),
    (
        "better-auth",
        r#"{"id":"1","email":"a@b.example","email_verified":1}"#,
        &[("email_verified", Fail, "unverified")],
    ),
    ("better-auth", r#"{"id":9007199254740993,"email":"a@b.example"}"#, &[("id", Warn, "53 bits")]),
    ("better-auth", r#"{"id":"1"}"#, &[("email", Fail, "email_not_found")]),
    ("better-auth", r#"{"id":"1","email":""}"#, &[("email", Fail, "email_not_found")]),
    ("better-auth", r#"{"email":"a@b.example"}"#, &[("id", Fail, "nothing says who the user is")]),
    ("keycloak", r#"{"id":"1","username":"ada","n":1,"l":["a"],"b":true}"#, &[]),
    ("logto", r#"{"id":"1","email":"a@b.example","phone":"1","name":"Ada","avatar":"https://a.example"}"#, &[]),
    ("logto", r#"{"id":"1","name":7}"#, &[("name", Fail, "the login fails")]),
    ("logto", r#"{"id":9007199254740993}"#, &[("id", Warn, "53 bits")]),
    ("logto", r#"{"id":"1","email_verified":false}"#, &[("email_verified", Warn, "for absent")]),
    ("logto", r#"{"id":"1","age":0}"#, &[("age", Warn, "for absent")]),
    ("logto", r#"{"id":"1","name":""}"#, &[("name", Warn, "for absent")]),
    ("logto", r#"{"sub":"1"}"#, &[("sub", Warn, "profileMap"), ("id", Fail, "nothing says who the user is")]),
    ("zitadel", r#"{"id":"1","anything":[]}"#, &[]),
    ("casdoor", r#"{"id":"1","username":"ada","displayName":"Ada","email":"","avatarUrl":""}"#, &[]),
    ("casdoor", r#"{"id":"1","username":"ada"}"#, &[("displayName", Fail, "fails the login")]),
    ("casdoor", r#"{"id":"1","username":"","displayName":"Ada"}"#, &[("username", Fail, "it is empty")]),
    ("casdoor", r#"{"id":"1","username":7,"displayName":"Ada"}"#, &[("username", Fail, "the login fails")]),
    ("casdoor", r#"{"id":9007199254740993,"username":"ada","displayName":"Ada"}"#, &[("id", Warn, "doubles")]),
    ("casdoor", r#"{"id":"1","username":"ada","displayName":"Ada","level":3}"#, &[("level", Warn, "the login fails")]),
    ("dex", r#"{"id":"1","user_name":"ada","email":"a@b.example","email_verified":true,"groups":["a"]}"#, &[]),
    ("dex", r#"{"id":12345678}"#, &[("id", Warn, "1.2345678e+07")]),
    ("dex", r#"{"id":"1","email_verified":"true"}"#, &[("email_verified", Fail, "for false, and says nothing")]),
    ("dex", r#"{"id":"1","email":["a@b.example"]}"#, &[("email", Fail, "for empty, and says nothing")]),
    ("dex", r#"{"id":"1","groups":"a"}"#, &[("groups", Fail, "no groups")]),
    ("dex", r#"{"id":true}"#, &[("id", Fail, "not found the id")]),
    ("authentik", r#"{"sub":"1","nickname":"ada","email":"a@b.example","name":"Ada"}"#, &[]),
    ("authentik", r#"{"sub":1}"#, &[("sub", Fail, "text")]),
    ("kratos", r#"{"sub":"1","email_verified":"true","updated_at":1790964251}"#, &[]),
    ("kratos", r#"{"sub":"1","updated_at":1790964251.5}"#, &[("updated_at", Fail, "no integer of 64 bits")]),
    ("kratos", r#"{"sub":"1","phone_number_verified":"true"}"#, &[("phone_number_verified", Fail, "the login")]),
    ("kratos", r#"{"sub":7}"#, &[("sub", Fail, "ID token")]),
    ("cognito", r#"{"sub":"1","email_verified":"true","groups":"a,b"}"#, &[]),
    ("cognito", r#"{"sub":"1","address":{"country":"x"}}"#, &[("address", Fail, "it is an object")]),
    ("grafana", r#"{"sub":"1","login":"ada","email":"a@b.example","role":"Admin","groups":["a"]}"#, &[]),
    ("grafana", r#"{"sub":"1","email":"a@b.example","name":7}"#, &[("name", Fail, "goes on without the answer")]),
    ("grafana", r#"{"sub":"1","login":"ada"}"#, &[("email", Warn, "/emails")]),
    ("mattermost", r#"{"id":12345678,"username":"ada","email":"a@b.example","name":"Ada"}"#, &[]),
    ("mattermost", r#"{"id":"12345678","username":"ada","email":"a@b.example"}"#, &[("id", Fail, "the login fails")]),
    (
        "mattermost",
        r#"{"id":9223372036854775808,"username":"ada","email":"a@b.example"}"#,
        &[("id", Fail, "no integer of 64 bits")],
    ),
    ("mattermost", r#"{"id":1,"username":"ada"}"#, &[("email", Fail, "refused")]),
    ("mattermost", r#"{"id":1,"email":"a@b.example"}"#, &[("username", Warn, "makes up a name")]),
    ("oauth2-proxy", r#"{"sub":"1","groups":["a"],"email":"a@b.example"}"#, &[]),
    ("oidc", r#"{"sub":"1","name":"Ada","address":{"country":"x"},"updated_at":1.5,"https://a.example/x":["y"]}"#, &[]),
    ("oidc", r#"{"sub":"ü"}"#, &[("sub", Fail, "not all ASCII")]),
    ("oidc", r#"{"sub":"1","email_verified":"true"}"#, &[("email_verified", Fail, "5.1")]),
    ("oidc", r#"{"sub":"1","updated_at":"2026-10-02T18:04:11Z"}"#, &[("updated_at", Fail, "5.1")]),
    ("oidc", r#"{"sub":"1","address":"x"}"#, &[("address", Fail, "5.1.1")]),
    ("oidc", r#"{"name":"Ada"}"#, &[("sub", Fail, "nothing says who the user is")]),
    ("freshworks", r#"{"sub":"1","email":"a@b.example","anything":1}"#, &[]),
    ("freshworks", r#"{"sub":"1"}"#, &[("email", Fail, "cannot retrieve")]),
    ("freshworks", r#"{"sub":1,"email":"a@b.example"}"#, &[("sub", Fail, "cannot retrieve")]),
    ("alb", r#"{"sub":"1","anything":["a"]}"#, &[]),
    ("alb", r#"{"sub":1}"#, &[("sub", Fail, "561")]),
];

#[test]
fn every_contract_accepts_what_it_should_and_says_what_a_breach_does() {
    let mut wrong = Vec::new();
    let (mut accepted, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (receiver, claims, expected) in JUDGED {
        let contract = Contract::find(receiver).expect("there is such a contract");
        let claims: Value = serde_json::from_str(claims).expect("test data is JSON");
        let claims = claims.as_object().expect("claims are an object");
        let judgements = contract.judge(claims.iter().map(|(name, value)| (&**name, value)));
        assert!(judgements.iter().all(|judgement| !judgement.words.is_empty()));
        let found: Vec<_> = judgements.iter().filter(|judgement| judgement.standing != Read).collect();
        let as_expected = found.len() == expected.len()
            && expected.iter().all(|(claim, standing, part)| {
                let same = |judgement: &&&claimsmith::core::Judgement| judgement.claim == *claim;
                found.iter().find(same).is_some_and(|v| v.standing == *standing && v.words.contains(part))
            });
        if !as_expected {
            wrong.push(format!("{receiver} {claims:?}: {found:?}"));
        }
        if expected.is_empty() {
            accepted.insert(*receiver)
        } else {
            refused.insert(*receiver)
        };
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<_> = contracts().iter().map(|contract| contract.name).collect();
    assert_eq!(accepted, all, "each has an answer that it accepts");
    // These read what they are told to, and insist on nothing.
    let open = BTreeSet::from(["keycloak", "oauth2-proxy", "zitadel"]);
    assert_eq!(refused.union(&open).copied().collect::<BTreeSet<_>>(), all, "each has one that it does not");
    assert!(refused.is_disjoint(&open));
}

#[test]
fn a_null_is_absent_for_whoever_judges() {
    let contract = Contract::find("freshworks").expect("there is such a contract");
    let null = json!({ "sub": "1", "email": null });
    let claims = null.as_object().expect("it is an object");
    let judgements = contract.judge(claims.iter().map(|(name, value)| (&**name, value)));
    let standings: Vec<_> = judgements.iter().map(|judgement| (&*judgement.claim, judgement.standing)).collect();
    assert_eq!(standings, [("sub", Read), ("email", Fail)]);
}

/// Trap 1: some receivers do not look at the status, and take whatever is JSON for a profile.
mod errors_are_no_profiles {
    use super::*;

    /// A rule that says how it fails by a query parameter, for a receiver or for none.
    fn failing(receiver: &str) -> String {
        let head = match receiver {
            "" => "subject = \"id\"".to_owned(),
            _ => format!("receiver = \"{receiver}\"\nsubject = \"id\""),
        };
        rule(
            &format!("{head}\n[request]\nquery = [\"f\"]"),
            "id = \"$.user.id\"\nusername = \"$.user.login\"\ndisplayName = \"$.user.name\"\n\
             wanted = { path = \"$.user.wanted\", required = true, type = \"string\" }\n\
             [script]\nsource = '''\n\
             if request.query.f == \"denied\" { reject(\"access_denied\", \"no\"); }\n\
             if request.query.f == \"later\" { reject(\"temporarily_unavailable\", \"no\"); }\n\
             if request.query.f == \"broken\" { throw 1; }\n'''",
        )
    }

    const SOUND: &str = r#"{"id":"1","login":"ada","name":"Ada","wanted":"w"}"#;

    fn upstream(status: u16, body: &'static str) -> Upstream {
        Upstream::new(move |_| Reply::new(status, body))
    }

    /// A failure as each receiver is told of it: the same status and headers, with and without a body.
    #[track_caller]
    fn told(
        reply: (u16, &'static str),
        change: impl Fn(&mut claimsmith::config::Settings),
        ask: impl Fn(&Gateway) -> Answer,
    ) {
        let upstream = upstream(reply.0, reply.1);
        let answer = |receiver| {
            let setup = Setup::new().rule("acme", &failing(receiver)).reroute(ORIGIN, &upstream.origin).with(&change);
            ask(&setup.start())
        };
        let plain = answer("");
        assert!(plain.status >= 400, "{}", plain.status);
        for receiver in ["authjs", "casdoor"] {
            let told = answer(receiver);
            assert_eq!((told.status, &*told.body), (plain.status, ""), "{receiver}");
            assert_eq!(told.header("content-type"), "", "{receiver}");
            for name in ["www-authenticate", "retry-after", "cache-control", "allow"] {
                assert_eq!(told.header(name), plain.header(name), "{receiver}: {name}");
            }
            assert!(!told.header("x-request-id").is_empty());
        }
        // Others get the words, but nothing that could be a user.
        let told = answer("dex");
        assert_eq!(told.body.is_empty(), plain.body.is_empty());
        if !plain.body.is_empty() {
            let body = told.json();
            let names: Vec<_> = body.as_object().expect("an error is an object").keys().collect();
            assert_eq!(names, ["error", "error_description", "request_id"]);
        }
    }

    fn as_it_is(_: &mut claimsmith::config::Settings) {}

    #[test]
    fn whatever_the_request_is() {
        let request = |method: &'static str| {
            move |gateway: &Gateway| {
                let method = http::Method::try_from(method).expect("it is a method");
                block_on(send(client().request(method, gateway.url("/acme")).bearer_auth(TOKEN)))
            }
        };
        told((200, SOUND), as_it_is, |gateway| gateway.get_with("/acme", &[]));
        told((200, SOUND), as_it_is, |gateway| gateway.get_with("/acme", &[("authorization", "Bearer a b")]));
        told((200, SOUND), as_it_is, |gateway| gateway.get_with("/acme?access_token=t", &[]));
        told((200, SOUND), as_it_is, |gateway| gateway.get_with("/acme", &[("authorization", "DPoP t0ken")]));
        told((200, SOUND), as_it_is, request("PUT"));
        told((200, SOUND), as_it_is, request("DELETE"));
        told((200, SOUND), as_it_is, |gateway| {
            let request = client().post(gateway.url("/acme")).bearer_auth(TOKEN).body(vec![b'x'; 70_000]);
            block_on(send(request))
        });
    }

    #[test]
    fn whatever_the_upstream_says() {
        let get = |gateway: &Gateway| gateway.get("/acme", TOKEN);
        for (status, body) in [
            (401, SOUND),
            (403, SOUND),
            (429, SOUND),
            (500, SOUND),
            (200, "<html>"),
            (200, "[]"),
            (200, "7"),
            (200, r#"{"id":"1","login":"ada","name":"Ada"}"#),
            (200, r#"{"id":"","login":"ada","name":"Ada","wanted":"w"}"#),
            (200, r#"{"id":{},"login":"ada","name":"Ada","wanted":"w"}"#),
        ] {
            told((status, body), as_it_is, get);
        }
    }

    #[test]
    fn whatever_the_rule_decides() {
        for what in ["denied", "later", "broken"] {
            told((200, SOUND), as_it_is, |gateway| gateway.get(&format!("/acme?f={what}"), TOKEN));
        }
    }

    #[test]
    fn whatever_runs_out() {
        let deadline =
            |settings: &mut claimsmith::config::Settings| settings.deadline = Span(Duration::from_millis(50));
        let upstream = Upstream::slow(|_| std::future::pending());
        for receiver in ["authjs", "casdoor"] {
            let setup = Setup::new().rule("acme", &failing(receiver)).reroute(ORIGIN, &upstream.origin);
            let answer = setup.with(deadline).start().get("/acme", TOKEN);
            assert_eq!((answer.status, &*answer.body), (504, ""), "{receiver}");
        }
        told((200, SOUND), |settings| settings.max_requests = 0, |gateway| gateway.get("/acme", TOKEN));
    }

    #[test]
    fn what_is_no_failure_stays_as_it_is() {
        let upstream = upstream(200, SOUND);
        let setup = Setup::new().rule("acme", &failing("casdoor")).reroute(ORIGIN, &upstream.origin);
        let gateway = setup.start();
        let sound = gateway.get("/acme", TOKEN);
        assert_eq!((sound.status, sound.header("content-type")), (200, "application/json"));
        let ask = |method| block_on(send(client().request(method, gateway.url("/acme")).bearer_auth(TOKEN)));
        let head = ask(http::Method::HEAD);
        assert_eq!((head.status, &*head.body, head.header("content-type")), (200, "", "application/json"));
        assert_eq!(head.header("content-length"), sound.body.len().to_string());
        let options = ask(http::Method::OPTIONS);
        assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, POST, OPTIONS"));
        // Who asks at an address without a rule is not known.
        let nowhere = gateway.get("/other", TOKEN);
        assert_eq!((nowhere.status, &*nowhere.body, nowhere.header("content-type")), (404, "", ""));
    }

    #[test]
    fn two_receivers_want_it_so() {
        let empty = contracts().iter().filter(|contract| contract.errors() == Errors::Empty);
        assert_eq!(empty.map(|contract| contract.name).collect::<Vec<_>>(), ["authjs", "casdoor"]);
    }
}

/// Trap 2: a number is a double on the other side.
#[test]
fn the_id_is_text_to_the_last_digit_unless_the_receiver_wants_a_number() {
    const PROFILE: &str = r#"{"id":9007199254740993,"text":"9007199254740993","m":"a@b.example","n":"ada"}"#;
    for (receiver, subject, more) in [
        ("auth0", "user_id", ""),
        ("authentik", "sub", ""),
        ("authjs", "id", ""),
        ("better-auth", "id", "email = \"$.user.m\""),
        ("casdoor", "id", "username = \"$.user.n\"\ndisplayName = \"$.user.n\""),
        // What its mapping names: text all the same.
        ("clerk", "uuid", ""),
        ("keycloak", "userid", ""),
        ("logto", "id", ""),
        ("dex", "id", ""),
        ("oidc", "sub", ""),
    ] {
        let head = format!("receiver = \"{receiver}\"\nsubject = \"{subject}\"");
        let answer = body(&head, &format!("{subject} = \"$.user.id\"\n{more}"), PROFILE);
        assert!(answer.contains(&format!("\"{subject}\":\"9007199254740993\"")), "{receiver}: {answer}");
    }
    let tail = "username = \"$.user.n\"\nemail = \"$.user.m\"";
    for path in ["$.user.id", "$.user.text"] {
        let answer = body("receiver = \"mattermost\"\nsubject = \"id\"", &format!("id = \"{path}\"\n{tail}"), PROFILE);
        assert_eq!(answer, r#"{"id":9007199254740993,"username":"ada","email":"a@b.example"}"#);
    }
    // A rule that says `type` is obeyed; for a number and Dex it was warned of.
    let typed = "id = { path = \"$.user.id\", type = \"integer\" }";
    assert_eq!(body("receiver = \"dex\"\nsubject = \"id\"", typed, PROFILE), r#"{"id":9007199254740993}"#);
    // Without a receiver nothing of this happens.
    assert_eq!(body("subject = \"uuid\"", "uuid = \"$.user.id\"", PROFILE), r#"{"uuid":9007199254740993}"#);
}

/// Trap 3: null, empty and absent.
#[test]
fn what_is_absent_is_left_out_or_has_a_stable_shape() {
    let claims = "username = \"$.user.n\"\nemail = \"$.user.m\"\nid = \"$.user.id\"\ndisplayName = \"$.user.n\"\n\
                  avatarUrl = \"$.user.a\"\nphone = \"$.user.p\"";
    let head = |receiver| format!("receiver = \"{receiver}\"\nsubject = \"id\"");
    let profile = r#"{"id":1,"n":"ada","m":null,"p":""}"#;
    assert_eq!(
        body(&head("casdoor"), claims, profile),
        r#"{"username":"ada","email":"","id":"1","displayName":"ada","avatarUrl":"","phone":""}"#,
        "in the order of the rule"
    );
    assert_eq!(body(&head("dex"), claims, profile), r#"{"username":"ada","id":"1","displayName":"ada","phone":""}"#);
    let strict = "sub = \"$.user.id\"\nname = \"$.user.n\"\nemail = \"$.user.m\"\nphone_number = \"$.user.p\"";
    assert_eq!(body("receiver = \"oidc\"", strict, profile), r#"{"sub":"1","name":"ada"}"#);
    assert_eq!(body("", strict, profile), r#"{"sub":"1","name":"ada"}"#, "no standard claim is empty");
    // What must be there is not made up.
    let (gateway, _upstream) = gateway(&head("casdoor"), claims, r#"{"id":1}"#);
    let answer = gateway.get("/acme", TOKEN);
    assert_eq!((answer.status, &*answer.body), (500, ""));
}

/// Trap 4: Keycloak wants a Content-Type that is JSON.
#[test]
fn every_answer_says_that_it_is_json() {
    let (gateway, _upstream) = gateway("receiver = \"keycloak\"", "sub = \"$.user.id\"", r#"{"id":1}"#);
    for accept in ["application/json", "*/*", "text/html"] {
        let bearer = format!("Bearer {TOKEN}");
        let answer = gateway.get_with("/acme", &[("accept", accept), ("authorization", &bearer)]);
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{accept}");
    }
}

/// Trap 5: Logto refuses a number in `name`, and drops false and 0.
#[test]
fn logto_gets_text_where_it_reads_text() {
    let head = "receiver = \"logto\"\nsubject = \"id\"";
    let claims = "id = \"$.user.id\"\nname = \"$.user.name\"\nphone = \"$.user.phone\"\navatar = \"$.user.a\"";
    let answer = body(head, claims, r#"{"id":7,"name":12345678901234567890,"phone":4420,"a":"x"}"#);
    assert_eq!(answer, r#"{"id":"7","name":"12345678901234567890","phone":"4420","avatar":"x"}"#);
    // What cannot be text without a loss is refused here, and not at the login.
    for name in ["1.5", "true", "{}", "[\"Ada\"]"] {
        let profile = format!(r#"{{"id":7,"name":{name}}}"#);
        assert_eq!(gateway(head, claims, &profile).0.get("/acme", TOKEN).status, 500, "{name}");
    }
    // That false is lost was said when the rule was loaded.
    let (gateway, _upstream) = gateway(head, "id = \"$.user.id\"\nemail_verified = \"$.user.v\"", r#"{"id":7,"v":0}"#);
    assert_eq!(gateway.get("/acme", TOKEN).body, r#"{"id":"7","email_verified":false}"#);
}

/// Trap 6: Cognito reads 2048 characters a value, and text alone.
#[test]
fn cognito_gets_no_value_that_it_would_refuse() {
    let head = "receiver = \"cognito\"";
    let claims = "sub = \"$.user.id\"\ngroups = { path = \"$.user.groups[*]\", many = true }\nx = \"$.user.x\"";
    let status = |profile: &Value| gateway(head, claims, &profile.to_string()).0.get("/acme", TOKEN).status;
    assert_eq!(
        body(head, claims, r#"{"id":1,"groups":["a","b"],"x":["c",4]}"#),
        r#"{"sub":"1","groups":"a,b","x":"c,4"}"#
    );
    // Characters, not bytes.
    let long = |length: usize| "é".repeat(length);
    assert_eq!(status(&json!({ "id": 1, "x": long(2048) })), 200);
    assert_eq!(status(&json!({ "id": 1, "x": long(2049) })), 500);
    // 2048 with the commas, and one more.
    assert_eq!(status(&json!({ "id": 1, "groups": [long(1023), long(1024)] })), 200);
    assert_eq!(status(&json!({ "id": 1, "groups": [long(1024), long(1024)] })), 500);
    // A list that could not be taken apart again.
    assert_eq!(status(&json!({ "id": 1, "groups": ["a,b", "c"] })), 500);
    assert_eq!(status(&json!({ "id": 1, "x": { "a": 1 } })), 500);
}

/// Trap 7: an error inside a 200.
#[test]
fn an_error_inside_a_200_is_not_mapped_and_is_asked_again() {
    for error in [r#"{"error":"invalid_token","name":"Ada"}"#, r#"{"code":99991663,"msg":"expired","name":"Ada"}"#] {
        for (receiver, subject) in [("supabase", "sub"), ("dex", "id"), ("authjs", "id"), ("clerk", "uuid")] {
            let head = format!("receiver = \"{receiver}\"\nsubject = \"{subject}\"");
            let claims = format!("{subject} = \"$.user.id\"\nname = \"$.user.name\"");
            let (gateway, upstream) = gateway(&head, &claims, error);
            for asked in 1..=2 {
                let answer = gateway.get("/acme", TOKEN);
                assert_eq!(answer.status, 500, "{receiver}");
                assert!(!answer.body.contains("Ada"), "{receiver}");
                assert_eq!(answer.header("cache-control"), "no-store");
                assert_eq!(upstream.seen().len(), asked);
            }
        }
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_and_names_the_largest_claim() {
    let claims = "sub = \"$.user.id\"\nx = \"$.user.x\"";
    // {"sub":"1","x":"…"} has 19 bytes besides.
    for (length, status) in [(11_000 - 18, 200), (11_000 - 17, 500)] {
        let profile = json!({ "id": 1, "x": "x".repeat(length) }).to_string();
        let (gateway, _upstream) = gateway("receiver = \"alb\"", claims, &profile);
        let answer = gateway.get("/acme", TOKEN);
        assert_eq!(answer.status, status, "{} bytes", answer.body.len());
    }
}

/// What a script may still break, and what the log says of it.
#[test]
fn a_contract_holds_after_the_script_and_the_log_names_the_claim_alone() {
    const MARK: &str = "M4rk";
    let cases = [
        ("freshworks", "sub", "claims.remove(\"email\");", "receiver freshworks: claim email: it is absent"),
        ("freshworks", "sub", "claims.email = \"\";", "receiver freshworks: claim email: it is empty"),
        ("authjs", "id", "claims.sub = user.m;", "receiver authjs: claim sub: it is taken for the user"),
        ("oidc", "sub", "claims.sub = user.m + \"é\";", "receiver oidc: claim sub: it is not all ASCII"),
        ("oidc", "sub", "claims.sub.pad(256, 'x');", "receiver oidc: claim sub: it is longer than 255 characters"),
        (
            "cognito",
            "sub",
            "claims.l = [user.m, \"a,b\"];",
            "receiver cognito: claim l: a text of this list has a comma",
        ),
        ("kratos", "sub", "claims.updated_at = 1.5;", "receiver kratos: claim updated_at: it is no integer"),
        ("mattermost", "id", "claims.id = \"u1\";", "claim id: it is no integer"),
        ("supabase", "sub", "claims.email_verified = user.m;", "claim email_verified: it is neither true nor false"),
    ];
    let reply = Reply::json(format!(r#"{{"id":71,"m":"{MARK}@b.example","n":"{MARK}"}}"#));
    let upstream = Upstream::new(move |_| reply.clone());
    let mut files = vec![(
        "settings/claimsmith.toml".to_owned(),
        format!("listen = \"127.0.0.1:0\"\n[upstream.reroute]\n\"{ORIGIN}\" = \"{}\"\n", upstream.origin),
    )];
    for (number, (receiver, subject, script, _)) in cases.iter().enumerate() {
        let head = format!("receiver = \"{receiver}\"\nsubject = \"{subject}\"");
        let tail = format!(
            "{subject} = \"$.user.id\"\nemail = \"$.user.m\"\nusername = \"$.user.n\"\n[script]\nsource = '''\n{script}\n'''"
        );
        files.push((format!("r{number}.toml"), rule(&head, &tail)));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let folder = folder(&files);
    let (rules, settings) = (folder.path(), folder.path().join("settings/claimsmith.toml"));
    let (rules, settings) = (rules.to_str().expect("it is UTF-8"), settings.to_str().expect("it is UTF-8"));
    let mut server =
        Server::start(claimsmith(&["serve", "--rules", rules, "--config", settings, "--log-format", "json"]));
    let address = server.address;
    for (number, (receiver, _, script, reason)) in cases.iter().enumerate() {
        let url = format!("http://{address}/r{number}");
        let answer = block_on(send(client().get(url).bearer_auth(TOKEN)));
        assert_eq!(answer.status, 500, "{receiver}, {script}: {}", answer.body);
        assert_eq!(answer.body.is_empty(), *receiver == "authjs", "{receiver}");
        assert!(!answer.body.contains(MARK));
        let line = server.json(&format!("\"rule\":\"r{number}\""));
        assert_eq!(line["level"], "ERROR", "{line}");
        let said = line["reason"].as_str().expect("a refusal has a reason");
        assert!(said.starts_with(reason), "{receiver}, {script}: {said}");
        assert!(!line.to_string().contains(MARK), "{line}");
    }
}

/// The receiver hangs up after five seconds, so its answer must be there before.
#[test]
fn the_answer_comes_before_the_receiver_hangs_up() {
    let upstream = Upstream::slow(|_| std::future::pending());
    let text = rule("receiver = \"logto\"\nsubject = \"id\"", "id = \"$.user.id\"");
    let setup = Setup::new().rule("logto", &text).reroute(ORIGIN, &upstream.origin);
    let gateway = setup.with(|settings| settings.deadline = Span(Duration::from_secs(30))).start();
    let started = Instant::now();
    let answer = gateway.get("/logto", TOKEN);
    let took = started.elapsed();
    assert_eq!(answer.status, 504);
    assert!((4400..4950).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_shorter_deadline_of_the_settings_stays() {
    let upstream = Upstream::slow(|_| std::future::pending());
    let text = rule("receiver = \"supabase\"", "sub = \"$.user.id\"");
    let setup = Setup::new().rule("acme", &text).reroute(ORIGIN, &upstream.origin);
    let gateway = setup.with(|settings| settings.deadline = Span(Duration::from_millis(50))).start();
    assert_eq!(gateway.get("/acme", TOKEN).status, 504);
    for (receiver, seconds) in [("clerk", Some(4.5)), ("logto", Some(4.5)), ("supabase", Some(9.0)), ("dex", None)] {
        let contract = Contract::find(receiver).expect("there is such a contract");
        assert_eq!(contract.deadline().map(|deadline| deadline.as_secs_f64()), seconds, "{receiver}");
    }
}

/// `include` copies whatever is there: its members get the contract's types too.
#[test]
fn members_that_are_included_have_the_types_of_the_contract() {
    let head = "receiver = \"mattermost\"\nsubject = \"id\"\ninclude = { path = \"$.user\" }";
    let answer = body(head, "", r#"{"id":"71","username":12,"email":"a@b.example","extra":1}"#);
    let answer: Value = serde_json::from_str(&answer).expect("claims are JSON");
    assert_eq!(answer, json!({ "id": 71, "username": "12", "email": "a@b.example", "extra": 1 }));
}

#[test]
fn try_shows_what_the_receiver_makes_of_each_claim() {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":7,"login":"ada","groups":["a"]}"#));
    let claims = "sub = \"$.user.id\"\nname = \"$.user.login\"\ngroups = \"$.user.groups\"";
    let freshworks = rule("receiver = \"freshworks\"\ninclude = { path = \"$.user\", only = [\"email\"] }", claims);
    let settings = format!("[upstream.reroute]\n\"{ORIGIN}\" = \"{}\"\n", upstream.origin);
    let folder = folder(&[
        ("fine.toml", &rule("receiver = \"supabase\"", claims)),
        ("bare.toml", &rule("", claims)),
        ("broken.toml", &freshworks),
        ("settings/claimsmith.toml", &settings),
    ]);
    let (rules, settings) = (folder.path(), folder.path().join("settings/claimsmith.toml"));
    let tried = |name: &str| {
        let (rules, settings) = (rules.to_str().expect("it is UTF-8"), settings.to_str().expect("it is UTF-8"));
        let mut command = claimsmith(&["try", name, "--rules", rules, "--config", settings]);
        command.env("CLAIMSMITH_TOKEN", TOKEN);
        run(command)
    };
    let fine = tried("fine");
    assert_eq!(fine.code, Some(0), "{}", fine.err);
    for line in [
        "        ok: supabase: read as text\n",
        "        warn: supabase: Supabase drops it, unless its name is on the provider's `custom_claims_allowlist`\n",
    ] {
        assert!(fine.err.contains(line), "{line} in {}", fine.err);
    }
    let bare = tried("bare");
    assert_eq!((bare.code, bare.err.lines().count()), (Some(0), 3), "{}", bare.err);
    let broken = tried("broken");
    assert_eq!(broken.code, Some(1));
    assert!(broken.err.contains("email   fail: freshworks: it is absent: Freshworks says"), "{}", broken.err);
    assert!(broken.err.contains("500 Internal Server Error: receiver freshworks: claim email: it is absent"));
}

#[test]
fn cases_hold_a_rule_to_its_contract() {
    let case = |name: &str, answer: &str, expected: &str| {
        format!("[[case]]\nname = \"{name}\"\n{expected}\n[[case.answer]]\nurl = \"{ORIGIN}/user\"\n{answer}\n")
    };
    let sound = "json = '{\"id\": 7, \"m\": \"a@b.example\"}'";
    let cases = [
        case("accepted", sound, "claims = { id = \"7\", email = \"a@b.example\" }"),
        case("without an address", "json = '{\"id\": 7}'", "error = { status = 500, error = \"server_error\" }"),
        case("refused", "status = 401", "error = { status = 401, error = \"invalid_token\" }"),
        case("broken", "status = 500", "error = { status = 502, error = \"server_error\" }"),
    ];
    for (receiver, passes) in [("better-auth", "4 cases passed, 0 failed"), ("authjs", "3 cases passed, 1 failed")] {
        let text =
            rule(&format!("receiver = \"{receiver}\"\nsubject = \"id\""), "id = \"$.user.id\"\nemail = \"$.user.m\"");
        let folder = folder(&[("acme.toml", &text), ("acme.test.toml", &cases.join("\n"))]);
        let ran = run(claimsmith(&["test", folder.path().to_str().expect("it is UTF-8")]));
        assert!(ran.out.contains(passes), "{receiver}: {}{}", ran.out, ran.err);
    }
}

/// The table of the README is the list of the contracts.
#[test]
fn the_readme_has_every_receiver() {
    let readme = include_str!("../README.md");
    let section = readme.split("\n### Receivers\n").nth(1).expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows: BTreeSet<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.split(" | ").take(2).map(|cell| cell.replace('`', "")).collect::<Vec<_>>().join(": "))
        .collect();
    let row = |contract: &Contract| match contract.identifies() {
        [] => format!("{}: *", contract.name),
        names => format!("{}: {}", contract.name, names.join(", else ")),
    };
    assert_eq!(rows, contracts().iter().map(row).collect());
}

#[test]
fn what_a_receiver_would_bend_can_be_accepted_with_a_reason() {
    let text = "receiver = \"dex\"\nsubject = \"id\"";
    let claims = "id = { path = \"$.user.id\", type = \"integer\" }";
    let found = |more: &str| {
        let loaded = Setup::new().rule("acme", &rule(text, &format!("{claims}\n{more}"))).load();
        loaded.problems.into_iter().map(|problem| problem.code.id()).collect::<Vec<_>>()
    };
    assert!(found("").contains(&"CS8003"));
    assert!(!found("[accept]\nCS8003 = \"ids have three digits\"").contains(&"CS8003"));
}
