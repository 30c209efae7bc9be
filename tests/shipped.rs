//! The rules inside of the program: listed, shown, served with no file at all, copied and compared.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{Run, Server, claimsmith, folder, run},
    support::{Reply, Upstream, block_on, client, send},
};

/// The program in a folder of its own.
fn in_folder(place: &TempDir, arguments: &[&str]) -> Run {
    let mut command = claimsmith(arguments);
    command.current_dir(place.path());
    run(command)
}

/// A command that must do its work.
#[track_caller]
fn done(place: &TempDir, arguments: &[&str]) -> Run {
    let ran = in_folder(place, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
    ran
}

/// The names that a list shows.
fn names(arguments: &[&str]) -> Vec<String> {
    let list: Value =
        serde_json::from_str(&done(&folder(&[]), &[&["catalogue", "--format", "json"], arguments].concat()).out)
            .expect("the list is JSON");
    let name = |rule: &Value| rule["name"].as_str().expect("a rule has a name").to_owned();
    list.as_array().expect("the list is one").iter().map(name).collect()
}

#[test]
fn the_page_about_the_rules_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/README.md");
    let page = done(&folder(&[]), &["catalogue", "--markdown"]).out;
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(&path, &page).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(page.lines()).find(|(found, page)| found != page);
    assert!(
        found == page,
        "{} is not current: `UPDATE=1 cargo test --test all page_about` writes it. {differs:?}",
        path.display()
    );
}

#[test]
fn every_rule_is_listed_and_has_a_section() {
    let all = names(&[]);
    assert!(all.len() >= 57, "{}", all.len());
    let page = done(&folder(&[]), &["catalogue", "--markdown"]).out;
    for name in &all {
        assert!(page.contains(&format!("\n## {name}\n")), "{name}");
    }
    let plain = done(&folder(&[]), &["catalogue"]);
    assert_eq!(plain.out.lines().count(), all.len());
}

#[test]
fn the_list_is_searched_and_filtered() {
    let all = names(&[]);
    let has = |arguments: &[&str], inside: &[&str], outside: &[&str]| {
        let found = names(arguments);
        assert!(found.len() < all.len(), "{arguments:?}");
        inside.iter().for_each(|name| assert!(found.contains(&(*name).to_owned()), "{arguments:?}: {name}"));
        outside.iter().for_each(|name| assert!(!found.contains(&(*name).to_owned()), "{arguments:?}: {name}"));
    };
    has(&["GitHub"], &["github"], &["gitlab"]);
    has(&["--tier", "1"], &["github", "discord"], &[]);
    has(&["--email", "no"], &["roblox", "steam"], &["github"]);
    has(&["--email", "yes"], &["github"], &["roblox"]);
    has(&["--needs", "secrets"], &["twitch"], &["asana"]);
    has(&["--needs", "calls"], &["github"], &["asana"]);
    has(&["--needs", "query", "--needs", "vars"], &["wechat"], &["github"]);
    has(&["--needs", "nothing"], &["asana"], &["github", "wechat"]);
    assert!(names(&["no provider is called so"]).is_empty());
    for arguments in [&["catalogue", "--tier", "4"], &["catalogue", "--needs", "luck"]] {
        assert_eq!(in_folder(&folder(&[]), arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_rule_is_shown_with_all_that_it_takes() {
    let shown = done(&folder(&[]), &["catalogue", "show", "twitch"]).out;
    for part in [
        "https://id.twitch.tv/oauth2/authorize",
        "https://id.twitch.tv/oauth2/token",
        "https://YOUR-HOST/twitch",
        "user:read:email",
        "TWITCH_CLIENT_ID",
        "e-mail address verified  email_verified",
        "Twitch documents that it gives verified addresses only",
        "claimsmith serve --use twitch",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = done(&folder(&[]), &["catalogue", "show", "wechat"]).out;
    assert!(shown.contains("openid  in the query of the user info URL"), "{shown}");
    assert!(shown.contains("There is no e-mail"), "{shown}");
    let shown: Value =
        serde_json::from_str(&done(&folder(&[]), &["catalogue", "show", "github", "--format", "json"]).out)
            .expect("it is JSON");
    assert_eq!(shown["calls"][1]["name"], "emails");
    let ran = in_folder(&folder(&[]), &["catalogue", "show", "githb"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("no rule `githb` is shipped; did you mean `github`?"), "{}", ran.err);
}

/// What Asana would answer.
fn provider() -> Upstream {
    Upstream::new(|seen| match seen.header("authorization") {
        "Bearer t0ken" => Reply::json(r#"{"data": {"gid": "12", "name": "Ada Example"}}"#),
        _ => Reply::new(401, "{}"),
    })
}

/// `serve` in a folder, with the provider behind Asana's address.
fn serve(place: &TempDir, upstream: &Upstream, more: &[&str], environment: &[(&str, &str)]) -> Server {
    let settings = format!("[upstream.reroute]\n\"https://app.asana.com\" = \"{}\"\n", upstream.origin);
    let path = place.path().join("claimsmith.toml");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, format!("{before}{settings}")).expect("the folder can be written to");
    let mut command = claimsmith(&[&["serve", "--listen", "127.0.0.1:0", "--workers", "1"], more].concat());
    command.current_dir(place.path()).envs(environment.iter().copied());
    Server::start(command)
}

#[track_caller]
fn claims(server: &Server) -> Value {
    let url = format!("http://{}/asana", server.address);
    let answer = block_on(send(client().get(url).bearer_auth("t0ken")));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn rules_serve_from_the_catalogue_with_no_file_at_all() {
    for (settings, flags, environment) in [
        ("", &["--use", "asana,discord"][..], &[][..]),
        ("use = [\"asana\", \"discord\"]\n", &[], &[]),
        ("", &[], &[("CLAIMSMITH_USE", "asana, discord")]),
        ("", &[], &[("CLAIMSMITH_USE", "[asana, discord]")]),
    ] {
        let (place, upstream) = (folder(&[("claimsmith.toml", settings)]), provider());
        let server = serve(&place, &upstream, flags, environment);
        assert!(server.log.contains("asana,discord"), "{}", server.log);
        assert_eq!(claims(&server), serde_json::json!({"sub": "12", "name": "Ada Example"}));
    }
}

#[test]
fn a_rule_of_the_folder_goes_before_the_shipped_one() {
    let mine = "[call.user]\nurl = \"https://app.asana.com/me\"\n[claims]\nsub = \"$.user.data.gid\"\nmine = { value = true }\n";
    let (place, upstream) = (folder(&[("rules/asana.toml", mine)]), provider());
    let server = serve(&place, &upstream, &["--use", "asana"], &[]);
    assert!(server.log.contains("that one is taken, not the shipped one"), "{}", server.log);
    assert_eq!(claims(&server), serde_json::json!({"sub": "12", "mine": true}));
}

#[test]
fn what_cannot_be_used_is_told() {
    for (files, arguments, words) in [
        (&[][..], &["serve", "--use", "asna"][..], "no rule `asna` is shipped; did you mean `asana`?"),
        (&[], &["serve", "--use", "asana", "--rules", "nowhere"], "cannot read the rules folder nowhere"),
        (&[], &["serve"], "cannot read the rules folder rules"),
        (&[("claimsmith.toml", "use = 1.5")], &["serve"], "`use`"),
        (&[], &["check", "catalogue:asna"], "did you mean `asana`?"),
        (&[], &["try", "asana"], "`catalogue:asana` is the rule that is shipped"),
        (&[], &["add", "asana", "asna"], "did you mean `asana`?"),
        (&[], &["new", "mine", "--like", "asna"], "did you mean `asana`?"),
        (&[], &["new", "Mine", "--like", "asana"], "cannot be the name of a rule"),
        (&[("rules/asana.test.toml", "")], &["add", "discord", "asana"], "asana.test.toml is there already"),
        (&[], &["catalogue", "diff"], "cannot read the rules folder rules"),
        (&[], &["catalogue", "diff", "asana"], "cannot read rules/asana.toml"),
    ] {
        let place = folder(files);
        let ran = in_folder(&place, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
        assert!(!place.path().join("rules/asana.toml").exists(), "{arguments:?}: nothing is written");
        assert!(!place.path().join("rules/discord.toml").exists(), "{arguments:?}: nothing is written");
    }
}

#[test]
fn shipped_rules_are_checked_and_tested_where_they_are() {
    let place = folder(&[]);
    done(&place, &["check", "--deny", "warning", "catalogue:github", "catalogue:twitch"]);
    let ran = done(&place, &["test", "--require-cases", "catalogue:github", "catalogue:asana.toml"]);
    assert!(ran.out.contains("2 rules:"), "{}", ran.out);
    let ran = done(&place, &["plan", "catalogue:github"]);
    assert!(ran.out.contains("github: 2 calls"), "{}", ran.out);
    let mut command = claimsmith(&["check", "catalogue:"]);
    command.current_dir(place.path());
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains(&format!("{} rules:", names(&[]).len())), "{}", ran.out);
}

#[test]
fn a_copy_is_changed_and_compared() {
    let place = folder(&[]);
    done(&place, &["add", "asana", "discord"]);
    let ran = done(&place, &["catalogue", "diff"]);
    assert_eq!(ran.out, "", "copies do not differ");
    done(&place, &["test", "--require-cases", "rules"]);
    done(&place, &["fmt", "--check", "rules"]);
    let path = place.path().join("rules/asana.toml");
    let text = fs::read_to_string(&path).expect("it was added");
    fs::write(&path, text.replace("image_128x128", "image_60x60")).expect("it can be changed");
    for arguments in [&["catalogue", "diff"][..], &["catalogue", "diff", "asana"]] {
        let ran = in_folder(&place, arguments);
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        for part in ["--- catalogue:asana.toml", "+++ rules/asana.toml", "-picture", "+picture", "image_60x60"] {
            assert!(ran.out.contains(part), "{part} is not in\n{}", ran.out);
        }
        assert!(!ran.out.contains("discord"), "{}", ran.out);
    }
    // What the change comes to, claim by claim, and not only in the text.
    let ran = done(&place, &["diff", "catalogue:asana", "rules/asana.toml"]);
    assert!(ran.out.contains("picture"), "{}", ran.out);
    assert_eq!(in_folder(&place, &["add", "asana"]).code, Some(2), "a changed rule is not lost");
    done(&place, &["add", "asana", "--force"]);
    done(&place, &["catalogue", "diff"]);
}

#[test]
fn a_new_rule_starts_from_a_shipped_one() {
    let place = folder(&[]);
    let ran = done(&place, &["new", "mine", "--like", "github"]);
    assert!(ran.out.contains("claimsmith test rules/mine.toml"), "{}", ran.out);
    done(&place, &["check", "--deny", "warning", "rules"]);
    done(&place, &["test", "--require-cases", "rules"]);
    assert_eq!(in_folder(&place, &["new", "mine", "--like", "github"]).code, Some(2));
    assert_eq!(in_folder(&place, &["new", "other"]).code, Some(2), "from something, or like something");
}
