//! A proposal as text: the rule and its cases, with the one look that `format` gives.

use serde_json::Value;

use super::{
    Draft,
    choose::{Choice, Form},
    paths::{json_path, rhai},
    sample::Format,
    walk::Spot,
};
use crate::core::{
    format::format,
    problem::{Code, Source},
};

/// A line of a table: a key, a value, and words about it.
type Line = (String, String, String);

/// The longest value that has words about it at the end of its line.
const LONG: usize = 60;

/// The whole rule.
pub(super) fn rule(draft: &Draft<'_>) -> String {
    let mut text = format!("description = {}\n\n", quoted(&draft.title()));
    text.push_str(&head(draft));
    for call in 0..draft.calls.len() {
        text.push_str(&format!("\n[call.{}]\n", draft.calls[call]));
        text.push_str(&table(&call_lines(draft, call)));
    }
    text.push_str("\n[claims]\n");
    text.push_str(&table(&draft.choices.claims.iter().map(|choice| claim_line(draft, choice)).collect::<Vec<_>>()));
    if draft.choices.mutable_subject {
        let reason = "the sample has no id; whoever gets this name or address later is then this user";
        text.push_str(&format!("\n[accept]\n{} = {}\n", Code::MutableSubject.id(), quoted(reason)));
    }
    looking_good(text)
}

/// The text with its one look; what is no TOML is for those who read it to refuse.
fn looking_good(text: String) -> String {
    format(&Source::new("proposal", text.as_str())).unwrap_or(text)
}

/// What the sample cannot tell, as comments.
fn head(draft: &Draft<'_>) -> String {
    let mut lines = vec![
        "# Proposed from a sample answer. What the sample cannot tell: the scopes of the login, and whether".to_owned(),
        "# another user's answer has the same members.".to_owned(),
    ];
    let claims = &draft.choices.claims;
    let has = |name: &str| claims.iter().any(|choice| choice.claim == name);
    if !has("email") {
        lines.push("# There is no e-mail in it.".into());
    } else if let Some(spot) = &draft.choices.doubtful {
        let path = json_path(spot, &draft.calls);
        lines.push(format!("# `{path}` may be about the e-mail, or about something else. If the provider's"));
        lines.push(format!("# documentation says that it is: email_verified = {}", quoted(&path)));
    } else if !has("email_verified") {
        lines.push("# Nothing in it says whether the e-mail is verified.".into());
    }
    lines.join("\n") + "\n"
}

fn call_lines(draft: &Draft<'_>, call: usize) -> Vec<Line> {
    let sample = &draft.samples[call];
    let words = if sample.url.is_none() { "edit: the address that gives this answer" } else { "" };
    let mut lines = vec![("url".to_owned(), quoted(&draft.url(call)), words.to_owned())];
    match &draft.formats[call] {
        Format::Json => {}
        Format::Xml | Format::Form | Format::Jsonp => {
            lines.push(("decode".into(), quoted(draft.formats[call].name()), String::new()));
        }
        Format::Jwt { issuer, audience } => {
            let jwks = quoted(&draft.jwks(call));
            let (issuer, audience) = (quoted(issuer), quoted(audience));
            let value = format!("{{ jwt = {{ jwks = {jwks}, issuer = {issuer}, audience = {audience} }} }}");
            lines.push(("decode".into(), value, "edit: where the keys of the issuer are".into()));
        }
    }
    let rows: Vec<_> = draft
        .failing
        .iter()
        .filter(|row| row.call == call)
        .map(|row| {
            format!("{{ when = {}, error = \"invalid_token\", reason = {} }}", quoted(&row.when), quoted(row.reason))
        })
        .collect();
    match &rows[..] {
        [] => {}
        [row] => lines.push(("fail_when".into(), format!("[{row}]"), String::new())),
        rows => lines.push(("fail_when".into(), format!("[\n    {},\n]", rows.join(",\n    ")), String::new())),
    }
    lines
}

fn claim_line(draft: &Draft<'_>, choice: &Choice) -> Line {
    let path = |spot: &Spot| json_path(spot, &draft.calls);
    let mut words = choice.why.clone();
    if !choice.others.is_empty() {
        let others: Vec<_> = choice.others.iter().map(path).collect();
        if !words.is_empty() {
            words.push_str("; ");
        }
        words.push_str(&format!("also there: {}", others.join(", ")));
    }
    (choice.claim.to_owned(), form(draft, &choice.form), words)
}

/// A value as a rule writes it.
pub(super) fn form(draft: &Draft<'_>, form: &Form) -> String {
    let calls = &draft.calls;
    let one = |spot: &Spot| match spot.selects_several() {
        true => format!("{{ path = {}, first = true }}", quoted(&json_path(spot, calls))),
        false => quoted(&json_path(spot, calls)),
    };
    let all = |spots: &[Spot]| spots.iter().map(one).collect::<Vec<_>>().join(", ");
    let in_rhai = |spot: &Spot| rhai(spot, calls).unwrap_or_default();
    match form {
        Form::Value(spot) => one(spot),
        Form::FirstOf(spots) => format!("[{}]", all(spots)),
        Form::Joined(spots) => {
            let paths: Vec<_> = spots.iter().map(|spot| quoted(&json_path(spot, calls))).collect();
            format!("{{ path = [{}], join = \" \" }}", paths.join(", "))
        }
        Form::Many(spot) => format!("{{ path = {}, many = true }}", quoted(&json_path(spot, calls))),
        Form::Happened(spot) => format!("{{ rhai = {} }}", quoted(&format!("{} != ()", in_rhai(spot)))),
        Form::Moment(spot) => format!("{{ rhai = {} }}", quoted(&format!("parse_time({})", in_rhai(spot)))),
        Form::Largest { list, by, member } => {
            let expression = format!("pick_max({}, \"{by}\").{member}", in_rhai(list));
            format!("{{ rhai = {} }}", quoted(&expression))
        }
    }
}

/// The cases, with these claims in the first.
pub(super) fn cases(draft: &Draft<'_>, claims: &[(String, Value)]) -> String {
    let verified = draft.is_signed();
    let mut text = match verified {
        false => "[[case]]\nname = \"the sample\"\n".to_owned(),
        true => format!("[[case]]\nname  = \"an answer that is signed with a key that nobody knows\"\n{REFUSED}"),
    };
    for call in 0..draft.calls.len() {
        let body = match draft.formats[call] {
            Format::Json => "json",
            _ => "body",
        };
        text.push_str(&answer(&draft.url(call), &[(body, &block(draft.samples[call].text.trim()))]));
        if matches!(draft.formats[call], Format::Jwt { .. }) {
            text.push_str(&answer(&draft.jwks(call), &[("json", "'{\"keys\": []}'")]));
        }
    }
    if !verified {
        text.push_str("\n[case.claims]\n");
        let lines: Vec<Line> =
            claims.iter().map(|(name, value)| (name.clone(), literal(value), String::new())).collect();
        text.push_str(&table(&lines));
    }
    text.push_str(
        "\n[[case]]\nname  = \"the token is refused\"\nerror = { status = 401, error = \"invalid_token\" }\n",
    );
    for call in 0..draft.calls.len() {
        text.push_str(&answer(&draft.url(call), &[("status", "401"), ("json", "'{\"error\": \"invalid_token\"}'")]));
    }
    for row in draft.failing {
        text.push_str(&format!(
            "\n[[case]]\nname  = {}\nerror = {{ status = 401, error = \"invalid_token\" }}\n",
            quoted(row.case)
        ));
        for call in 0..draft.calls.len() {
            let json =
                if call == row.call { quoted(&row.answer.to_string()) } else { block(draft.samples[call].text.trim()) };
            text.push_str(&answer(&draft.url(call), &[("json", &json)]));
        }
    }
    looking_good(text)
}

/// What comes of an answer whose signature cannot be verified.
const REFUSED: &str = "error = { status = 502, error = \"server_error\" }\n";

fn answer(url: &str, more: &[(&str, &str)]) -> String {
    let mut lines = vec![("url".to_owned(), quoted(url), String::new())];
    lines.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned(), String::new())));
    format!("\n[[case.answer]]\n{}", table(&lines))
}

/// The lines of a table. Where things stand below one another is for the formatter.
fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    for (name, content, words) in lines {
        // Words at the end of a long line would push those of its neighbours away.
        match (words.is_empty(), content.chars().count() > LONG) {
            (true, _) => text.push_str(&format!("{name} = {content}\n")),
            (false, true) => text.push_str(&format!("# {words}\n{name} = {content}\n")),
            (false, false) => text.push_str(&format!("{name} = {content}   # {words}\n")),
        }
    }
    text
}

/// A TOML string on one line.
pub(super) fn quoted(text: &str) -> String {
    let plain = |refused: &[char]| !text.contains(refused) && !text.chars().any(char::is_control);
    if plain(&['"', '\\']) {
        format!("\"{text}\"")
    } else if plain(&['\'']) {
        format!("'{text}'")
    } else {
        // What JSON escapes, TOML reads alike; DEL is the one character that only TOML wants escaped.
        Value::from(text).to_string().replace('\u{7f}', "\\u007f")
    }
}

/// A TOML string over several lines, if it has any.
fn block(text: &str) -> String {
    let sound = !text.contains("'''") && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    match text.contains('\n') {
        true if sound => format!("'''\n{text}'''"),
        _ => quoted(text),
    }
}

/// A claim as TOML writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_a_toml_string_again() {
        for text in [
            "plain",
            "say \"x\"",
            r"back\slash",
            r#"'both' "kinds""#,
            "line\nbreak",
            "\u{7f}\u{1}",
            "'''\n\"\"\"",
            "é 小",
        ] {
            for written in [quoted(text), block(text)] {
                let read: toml::Table = toml::from_str(&format!("x = {written}")).expect("it is TOML");
                assert_eq!(read["x"].as_str(), Some(text), "{written}");
            }
        }
    }
}
