//! Request in, answer out, over real sockets.

use serde_json::json;

use crate::support::{Reply, Setup, Upstream};

/// The job of Clerk's example: an API key beside the caller's token, five claims out.
const CLERK: &str = r#"
subject = "uuid"

[secrets]
api_key = { env = "ACME_API_KEY" }

[call.user]
url     = "https://api.acme.example/user"
headers = { api-key = "${secrets.api_key}" }

[claims]
uuid       = "$.user.uuid"
avatar_url = "$.user.avatar"
name       = "$.user.name"
username   = "$.user.username"
slug       = "$.user.id.slug"
"#;

#[test]
fn the_job_of_clerks_example() {
    let upstream = Upstream::new(|seen| {
        if seen.header("api-key") != "k3y" || seen.header("authorization") != "Bearer t0ken" {
            return Reply::new(401, "{}");
        }
        Reply::json(
            r#"{"uuid":"6b0a8a3e","avatar":"https://cdn.example/a.png","name":"Ada","username":"ada","email":"a@b.example","id":{"slug":"ada-l","n":1}}"#,
        )
    });
    let gateway = Setup::new()
        .rule("acme", CLERK)
        .secrets(&[("ACME_API_KEY", "k3y")])
        .reroute("https://api.acme.example", &upstream.origin)
        .start();
    let answer = gateway.get("/acme", "t0ken");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        r#"{"uuid":"6b0a8a3e","avatar_url":"https://cdn.example/a.png","name":"Ada","username":"ada","slug":"ada-l"}"#,
        "exactly these, in the order of the rule"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(gateway.get("/acme", "wrong").json()["error"], json!("invalid_token"));
    assert!(CLERK.lines().filter(|line| !line.trim().is_empty()).count() < 20);
}
