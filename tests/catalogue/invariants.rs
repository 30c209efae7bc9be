//! What holds for the answer of every case: who it names, in which types, on whose word, and who was asked for it.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{
    findings,
    shelf::{Case, Entry},
    stage::{Login, Ready},
};

/// Whose word the rules take.
#[derive(Deserialize)]
struct Origins {
    /// The origins of a provider, by the name of its rule.
    origins: BTreeMap<String, Vec<String>>,
    /// The vars that say where the provider is, for providers that are in many places.
    tenants: BTreeMap<String, Vec<String>>,
}

#[test]
fn every_answer_of_the_catalogue_keeps_the_invariants() {
    let origins: Origins = toml::from_str(include_str!("origins.toml")).expect("the file is sound");
    let found = findings(|entry| {
        let cases = entry.cases.iter().flat_map(|case| {
            let login = Ready::new(entry, case).login();
            let found = judge(entry, case, &login, &origins);
            found.into_iter().map(move |what| format!("{}: {what}", case.name))
        });
        cases.chain(unbacked(&entry.rule)).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn judge(entry: &Entry, case: &Case, login: &Login, origins: &Origins) -> Vec<String> {
    let mut found = login.strays.clone();
    match (case.claims(), &case.error) {
        (Some(expected), None) => match serde_json::from_str::<Map<String, Value>>(&login.body) {
            Ok(claims) if login.status == 200 => {
                if claims != expected {
                    found.push(format!("other claims than it says: {}", login.body));
                }
                found.extend(unsound(&claims));
            }
            _ => found.push(format!("{} {:?} instead of claims", login.status, login.why)),
        },
        (None, Some(error)) if error.status == login.status => {}
        _ => found.push(format!("{} instead of the error that it says", login.status)),
    }
    found.extend(leaked(case, login));
    found.extend(strangers(entry, case, login, origins));
    found
}

/// Members of an answer that are not what OpenID Connect Core 5.1 has them be.
pub fn unsound(claims: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    if claims.get("sub").and_then(Value::as_str).is_none_or(|sub| sub.trim().is_empty()) {
        found.push("no `sub` that is a text and says something".to_owned());
    }
    for (name, value) in claims {
        let sound = match (&**name, value) {
            ("address", Value::Object(parts)) => parts.values().all(Value::is_string),
            ("email_verified" | "phone_number_verified", value) => value.is_boolean(),
            // Seconds, and not the thousandths of them that many providers have.
            ("updated_at", Value::Number(time)) => time.as_u64().is_some_and(|time| time < 10_000_000_000),
            ("address" | "updated_at", _) => false,
            (name, Value::String(text)) => !text.trim().is_empty() && fits(name, text),
            (name, value) if is_text(name) => value.is_string(),
            (_, Value::Array(items)) => items.iter().all(Value::is_string),
            (_, value) => value.is_number() || value.is_boolean(),
        };
        if !sound {
            found.push(format!("`{name}` is {value}"));
        }
    }
    found
}

#[test]
fn claims_that_are_unsound_are_found() {
    for (claims, wrong) in [
        (
            r#"{"sub":"1","email_verified":true,"updated_at":1767268800,"groups":["a"],"address":{"country":"NO"},"n":7}"#,
            "",
        ),
        (r#"{"name":"Ada"}"#, "no `sub`"),
        (r#"{"sub":7}"#, "no `sub`"),
        (r#"{"sub":" "}"#, "no `sub`"),
        (r#"{"sub":"1","email":"ada"}"#, "`email`"),
        (r#"{"sub":"1","email":""}"#, "`email`"),
        (r#"{"sub":"1","email":7}"#, "`email`"),
        (r#"{"sub":"1","email_verified":"true"}"#, "`email_verified`"),
        (r#"{"sub":"1","updated_at":1767268800000}"#, "`updated_at`"),
        (r#"{"sub":"1","updated_at":"2026-01-01"}"#, "`updated_at`"),
        (r#"{"sub":"1","address":"Oslo"}"#, "`address`"),
        (r#"{"sub":"1","address":{"country":7}}"#, "`address`"),
        (r#"{"sub":"1","picture":"/ada.png"}"#, "`picture`"),
        (r#"{"sub":"1","profile":"ada"}"#, "`profile`"),
        (r#"{"sub":"1","birthdate":"1.1.2000"}"#, "`birthdate`"),
        (r#"{"sub":"1","locale":"English"}"#, "`locale`"),
        (r#"{"sub":"1","zoneinfo":"+1"}"#, "`zoneinfo`"),
        (r#"{"sub":"1","phone_number":"none"}"#, "`phone_number`"),
        (r#"{"sub":"1","name":" "}"#, "`name`"),
        (r#"{"sub":"1","name":["Ada"]}"#, "`name`"),
        (r#"{"sub":"1","name":"${user.name}"}"#, "`name`"),
        (r#"{"sub":"1","groups":[{}]}"#, "`groups`"),
        (r#"{"sub":"1","groups":{}}"#, "`groups`"),
        (r#"{"sub":"1","plan":null}"#, "`plan`"),
    ] {
        let found = unsound(&serde_json::from_str(claims).expect("an object"));
        assert_eq!(found.is_empty(), wrong.is_empty(), "{claims}: {found:?}");
        assert!(found.iter().any(|found| found.starts_with(wrong)) || wrong.is_empty(), "{claims}: {found:?}");
    }
}

#[test]
fn what_is_unbacked_is_found() {
    for (claim, sound) in [
        ("email_verified = \"$.user.verified\"", true),
        ("email_verified = { rhai = \"user.confirmed_at > ''\" }", true),
        ("email_verified = { value = false }", true),
        ("email_verified = { value = true }\n[accept]\nCS9003 = \"documented\"", true),
        ("email_verified = { value = true }", false),
        ("phone_number_verified = { rhai = \"1 == 1\" }", false),
        ("sub = \"$.user.id\"\n[script]\nsource = \"claims.email_verified = true;\"", false),
    ] {
        let rule = format!("[call.user]\nurl = \"https://api.example.com\"\n[claims]\n{claim}\n");
        let found = unbacked(&toml::from_str(&rule).expect("it is TOML"));
        assert_eq!(found.is_empty(), sound, "{claim}: {found:?}");
    }
}

#[test]
fn a_request_to_others_and_a_leak_are_found() {
    let rule = "[vars]\nhost = \"api.example.com\"\n[call.user]\nurl = \"https://${vars.host}/me\"\n[claims]\n\
                sub = \"$.user.id\"\ntoken_hint = \"$.user.echo\"\n";
    let case = |vars: &str, host: &str, echo: &str| {
        format!(
            "[[case]]\nname = \"a user\"\nvars = {{ {vars} }}\nclaims = {{ sub = \"7\", token_hint = \"{echo}\" }}\n\
             [[case.answer]]\nurl = \"https://{host}/me\"\njson = '{{\"id\": \"7\", \"echo\": \"{echo}\"}}'\n"
        )
    };
    let told = "host = \"me.example.org\"";
    for (origins, vars, host, echo, sound) in [
        ("[origins]\nacme = [\"https://api.example.com\"]\n[tenants]\n", "", "api.example.com", "x", true),
        ("[origins]\nacme = [\"https://api.example.com\"]\n[tenants]\n", "", "api.example.com", "t0ken", false),
        ("[origins]\nacme = [\"https://example.com\"]\n[tenants]\n", "", "api.example.com", "x", false),
        ("[origins]\nacme = [\"http://api.example.com\"]\n[tenants]\n", "", "api.example.com", "x", false),
        ("[origins]\nacme = [\"https://api.example.com\"]\n[tenants]\n", told, "me.example.org", "x", false),
        ("[origins]\n[tenants]\nacme = [\"{host}\"]\n", told, "me.example.org", "x", true),
        ("[origins]\n[tenants]\nacme = [\"{host}\"]\n", "", "api.example.com", "x", false),
    ] {
        let entry = super::shelf::parse("acme", rule.to_owned(), &case(vars, host, echo));
        let login = Ready::new(&entry, &entry.cases[0]).login();
        let found = judge(&entry, &entry.cases[0], &login, &toml::from_str(origins).expect("it is TOML"));
        assert_eq!(found.is_empty(), sound, "{origins} {vars} {echo}: {found:?}");
    }
}

fn is_text(claim: &str) -> bool {
    [
        "sub",
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
    ]
    .contains(&claim)
}

/// The form that a text has by its claim.
fn fits(claim: &str, text: &str) -> bool {
    let pattern = match claim {
        "email" => r"^[^@\s]+@[^@\s]+$",
        "profile" | "website" => "^https?://[^/]",
        "picture" => "^(https?://[^/]|data:image/)",
        "birthdate" => r"^(\d{4}|0000-\d\d-\d\d|\d{4}-\d\d-\d\d)$",
        "locale" => "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$",
        "zoneinfo" => "^([A-Z][A-Za-z]+(/[A-Za-z_+-]+)+|UTC|GMT)$",
        "phone_number" => r"^\+?[0-9(][0-9 ()./-]+[0-9]$",
        // What is left of a template or an expression whose parts are missing.
        _ => return !text.contains("${"),
    };
    Regex::new(pattern).expect("a sound pattern").is_match(text)
}

/// Credentials in what the caller gets.
fn leaked(case: &Case, login: &Login) -> Vec<String> {
    let shown = |credential: &&str| login.body.contains(*credential) || login.head.contains(*credential);
    case.credentials().filter(shown).map(|_| "a credential is in the answer".to_owned()).collect()
}

/// Requests to others than the provider.
fn strangers(entry: &Entry, case: &Case, login: &Login, origins: &Origins) -> Vec<String> {
    let own = origins.origins.get(&entry.name).map(Vec::as_slice).unwrap_or_default();
    let tenant = origins.tenants.get(&entry.name).map(Vec::as_slice).unwrap_or_default();
    // What the operator says, as a whole address or as the host in one.
    let said = |url: &Url| {
        let told = tenant.iter().filter_map(|place| expand(place, &entry.rule, case));
        let mut places = told.map(|place| if place.contains("://") { place } else { format!("https://{place}") });
        places.any(|place| place.parse::<Url>().is_ok_and(|place| place.origin() == url.origin()))
    };
    let strange = |url: &&Url| {
        let origin = url.origin().ascii_serialization();
        url.scheme() != "https" || !(own.contains(&origin) || said(url))
    };
    let asked = login.asked.iter().map(|request| &request.url);
    asked
        .filter(strange)
        .map(|url| format!("{} is not known to be the provider's", url.origin().ascii_serialization()))
        .collect()
}

/// `{shop}.example.com` with the values of its vars, if the case gives one of them.
fn expand(place: &str, rule: &toml::Table, case: &Case) -> Option<String> {
    let vars = Regex::new(r"\{(\w+)\}").expect("a sound pattern");
    let given = vars.captures_iter(place).any(|found| case.vars.contains_key(&found[1]));
    let value = |name: &str| match case.vars.get(name) {
        Some(value) => value.as_str().unwrap_or_default().to_owned(),
        None => rule["vars"][name].as_str().unwrap_or_default().to_owned(),
    };
    given.then(|| vars.replace_all(place, |found: &regex::Captures<'_>| value(&found[1])).into_owned())
}

/// Claims that say that something is verified, and read nothing of what the provider answered.
fn unbacked(rule: &toml::Table) -> Vec<String> {
    let tables = |name| rule.get(name).and_then(toml::Value::as_table);
    let reads = |value: &toml::Value| {
        let text = format!("{value:?}");
        let call = |name: &String| Regex::new(&format!(r"\b{name}\b")).expect("a sound pattern").is_match(&text);
        tables("call").is_some_and(|calls| calls.keys().any(call))
    };
    let denied = |value: &toml::Value| value.get("value").and_then(toml::Value::as_bool) == Some(false);
    let reason = tables("accept").is_some_and(|accept| accept.contains_key("CS9003"));
    let mut found = Vec::new();
    for name in ["email_verified", "phone_number_verified"] {
        let written = tables("claims").and_then(|claims| claims.get(name));
        if written.is_some_and(|value| !reason && !denied(value) && !reads(value)) {
            found.push(format!("`{name}` reads nothing, and no reason is given"));
        }
        if tables("script").is_some_and(|script| format!("{script:?}").contains(name)) {
            found.push(format!("a script sets `{name}`, where nobody looks for it"));
        }
    }
    found
}
