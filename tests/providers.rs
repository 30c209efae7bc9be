//! Rules of the catalogue against the documented answers of their providers, over real sockets.

use serde_json::{Value, json};

use crate::support::{Reply, Seen, Setup, Upstream};

/// The claims that a shipped rule makes of what the provider answers.
fn claims(rule: &str, origin: &str, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Value {
    let upstream = Upstream::new(answer);
    let text = std::fs::read_to_string(format!("{}/rules/{rule}.toml", env!("CARGO_MANIFEST_DIR")))
        .expect("the catalogue has the rule");
    let gateway = Setup::new().rule(rule, &text).reroute(origin, &upstream.origin).start();
    let answer = gateway.get(&format!("/{rule}"), "gho_abc");
    assert_eq!(answer.status, 200, "{}", answer.body);
    for seen in upstream.seen() {
        assert_eq!(seen.header("authorization"), "Bearer gho_abc");
        assert!(seen.header("user-agent").starts_with("claimsmith/"), "GitHub and Discord refuse requests without one");
    }
    answer.json()
}

const GITHUB_USER: &str = r#"{"login":"octocat","id":583231,"node_id":"MDQ6VXNlcjE=","avatar_url":"https://avatars.githubusercontent.com/u/583231?v=4",
    "html_url":"https://github.com/octocat","type":"User","site_admin":false,"name":"The Octocat","company":"@github",
    "email":null,"public_repos":2,"created_at":"2008-01-14T04:33:35Z","updated_at":"2026-10-02T18:04:11Z",
    "plan":{"name":"Medium","space":400}}"#;

#[test]
fn github_with_a_private_email() {
    let found = claims("github", "https://api.github.com", |seen| match seen.target.as_str() {
        "/user" => Reply::json(GITHUB_USER),
        "/user/emails?per_page=100" => Reply::json(
            r#"[{"email":"old@example.com","verified":true,"primary":false,"visibility":null},
                {"email":"octocat@github.com","verified":true,"primary":true,"visibility":"private"}]"#,
        ),
        _ => Reply::new(404, r#"{"message":"Not Found"}"#),
    });
    assert_eq!(
        found,
        json!({
            "sub": "583231", "email": "octocat@github.com", "email_verified": true, "name": "The Octocat",
            "preferred_username": "octocat", "picture": "https://avatars.githubusercontent.com/u/583231?v=4",
            "profile": "https://github.com/octocat", "updated_at": 1_790_964_251
        })
    );
}

#[test]
fn github_without_the_scope_for_emails() {
    let found = claims("github", "https://api.github.com", |seen| match seen.target.as_str() {
        "/user" => Reply::json(GITHUB_USER.replace(r#""email":null"#, r#""email":"public@example.com""#)),
        _ => Reply::new(403, r#"{"message":"Resource not accessible by integration"}"#),
    });
    assert_eq!(found["email"], json!("public@example.com"));
    assert_eq!(found["sub"], json!("583231"));
    assert_eq!(found.get("email_verified"), None, "GitHub says nothing of a public address, so neither do we");
}

fn discord_user(id: &str, avatar: &str, discriminator: &str) -> String {
    format!(
        r#"{{"id":"{id}","username":"nelly","discriminator":"{discriminator}","global_name":null,"avatar":{avatar},
            "verified":true,"email":"nelly@example.com","flags":64,"banner":null,"accent_color":16711680,
            "premium_type":1,"public_flags":64,"locale":"en-US","mfa_enabled":false}}"#
    )
}

#[test]
fn discord_avatars() {
    for (id, avatar, discriminator, expected) in [
        (
            "80351110224678912",
            r#""8342729096ea3675442027381ff50dfe""#,
            "1337",
            "avatars/80351110224678912/8342729096ea3675442027381ff50dfe.png",
        ),
        (
            "80351110224678912",
            r#""a_d5efa99b3eeaa7dd43acca82f5692432""#,
            "0",
            "avatars/80351110224678912/a_d5efa99b3eeaa7dd43acca82f5692432.gif",
        ),
        ("80351110224678912", "null", "0", "embed/avatars/5.png"),
        ("80351110224678912", "null", "1337", "embed/avatars/2.png"),
    ] {
        let body = discord_user(id, avatar, discriminator);
        let found = claims("discord", "https://discord.com", move |seen| match seen.target.as_str() {
            "/api/users/@me" => Reply::json(body.clone()),
            _ => Reply::new(404, "{}"),
        });
        assert_eq!(
            found["picture"],
            json!(format!("https://cdn.discordapp.com/{expected}")),
            "{avatar} {discriminator}"
        );
        assert_eq!(found["sub"], json!(id));
        assert_eq!(found["name"], json!("nelly"));
        assert_eq!(found["email_verified"], json!(true));
    }
}
