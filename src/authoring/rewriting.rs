//! Has cases expect what came out. Comments, order and layout stay; nothing changes but what a case expects.

use serde_json::{Map, Number, Value as Json};
use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

use crate::core::Answered;

/// A case that is to be rewritten.
pub(crate) struct Change<'a> {
    /// Its number in the file.
    pub(crate) number: usize,
    /// What it is to expect.
    pub(crate) answered: &'a Answered,
    /// The claims that differ.
    pub(crate) claims: Vec<&'a str>,
}

/// A file of cases that is being rewritten.
#[derive(Clone)]
pub(crate) struct Rewriting(DocumentMut);

impl Rewriting {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        text.parse().map(Rewriting).map_err(|_| "the file cannot be rewritten: it is not TOML".to_owned())
    }

    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }

    /// Has a case expect what came out.
    ///
    /// # Errors
    /// Why it cannot be written; this rewriting is of no use then.
    pub(crate) fn apply(&mut self, change: &Change<'_>) -> Result<(), String> {
        let case = case(&mut self.0, change.number).ok_or("its place in the file is not found")?;
        match change.answered {
            Answered::Claims(claims) => expect_claims(case, claims, &change.claims),
            Answered::Error { status, error } => {
                expect_error(case, *status, error.as_deref());
                Ok(())
            }
        }
    }
}

/// The table of a case; a file may write them in three ways.
fn case(document: &mut DocumentMut, number: usize) -> Option<&mut dyn TableLike> {
    match document.get_mut("case")? {
        Item::ArrayOfTables(cases) => cases.get_mut(number).map(|case| case as &mut dyn TableLike),
        Item::Value(Value::Array(cases)) => {
            cases.get_mut(number)?.as_inline_table_mut().map(|case| case as &mut dyn TableLike)
        }
        item if number == 0 => item.as_table_like_mut(),
        _ => None,
    }
}

fn expect_claims(case: &mut dyn TableLike, claims: &[(String, Json)], differ: &[&str]) -> Result<(), String> {
    if let Some(Item::Value(Value::String(text))) = case.get("claims") {
        let written = in_text(text.value(), claims)?;
        put(case, "claims", quoted(&written));
        return Ok(());
    }
    if let Some(table) = case.get_mut("claims").and_then(Item::as_table_like_mut) {
        return differ.iter().try_for_each(|name| match claims.iter().find(|(claim, _)| claim == name) {
            Some((_, value)) => to_toml(name, value).map(|value| set(table, name, value)),
            None => {
                take(table, name);
                Ok(())
            }
        });
    }
    // An error was expected. Its comment stays, above what takes its place.
    let mut table = Table::new();
    for (name, value) in claims {
        table.insert(name, Item::Value(to_toml(name, value)?));
    }
    let above = case.key("error").and_then(|key| key.leaf_decor().prefix().cloned());
    case.remove("error");
    if let Some(above) = above.as_ref().and_then(RawString::as_str).filter(|above| above.contains('#')) {
        table.decor_mut().set_prefix(format!("\n{}", above.trim_start_matches('\n')));
    }
    case.insert(
        "claims",
        if is_inline(case) { Item::Value(Value::InlineTable(table.into_inline_table())) } else { Item::Table(table) },
    );
    Ok(())
}

/// An inline table can hold no table of another form. Only those have values alone, and a case without any other
/// table is as well written in one line.
fn is_inline(case: &dyn TableLike) -> bool {
    case.iter().all(|(_, item)| item.is_value())
}

fn expect_error(case: &mut dyn TableLike, status: u16, error: Option<&str>) {
    let mut table = InlineTable::new();
    table.insert("status", i64::from(status).into());
    if let Some(error) = error {
        table.insert("error", error.into());
    }
    if let Some(known) = case.get_mut("error").and_then(Item::as_table_like_mut) {
        set(known, "status", i64::from(status).into());
        match error {
            Some(error) => set(known, "error", error.into()),
            None => take(known, "error"),
        }
        return;
    }
    // The comment above the claims goes on to what takes their place.
    let above = match case.get("claims") {
        Some(Item::Table(table)) => table.decor().prefix().cloned(),
        _ => case.key("claims").and_then(|key| key.leaf_decor().prefix().cloned()),
    };
    case.remove("claims");
    case.insert("error", Item::Value(Value::InlineTable(table)));
    let above = above.as_ref().and_then(RawString::as_str).unwrap_or_default().trim_matches('\n');
    if let Some(mut key) = case.key_mut("error").filter(|_| above.contains('#')) {
        key.leaf_decor_mut().set_prefix(format!("{above}\n"));
    }
}

/// Puts a value in the place of another, with the white space and the comment around it.
fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    if let Some(known) = table.get_mut(name) {
        if let Some(old) = known.as_value() {
            *value.decor_mut() = old.decor().clone();
        }
        *known = Item::Value(value);
    }
}

fn set(table: &mut dyn TableLike, name: &str, value: Value) {
    if table.contains_key(name) {
        return put(table, name, value);
    }
    let last = table.iter().last().map(|(name, _)| name.to_owned());
    let column = column(table);
    let above = last.as_deref().and_then(|last| table.key(last)?.leaf_decor().prefix()?.as_str().map(str::to_owned));
    let after = last.as_deref().and_then(|last| end_of(table, last));
    table.insert(name, Item::Value(value));
    let Some(mut key) = table.key_mut(name) else { return };
    // Where the keys of a table are aligned, so is the new one.
    if let Some(column) = column {
        let width = key.display_repr().chars().count();
        key.leaf_decor_mut().set_suffix(" ".repeat(column.saturating_sub(width).max(1)));
    }
    // Only white space: a comment belongs to the key below it.
    if let Some(above) = above.filter(|above| above.trim().is_empty() && !above.is_empty()) {
        key.leaf_decor_mut().set_prefix(above.replace("\n\n", "\n"));
    }
    // In an inline table the space before the brace is that of the last value.
    if let (Some(last), Some(after)) = (last, after)
        && let Some(Item::Value(value)) = table.get_mut(&last)
    {
        value.decor_mut().set_suffix("");
        if let Some(Item::Value(value)) = table.get_mut(name) {
            *value.decor_mut() = toml_edit::Decor::new(" ", after);
        }
    }
}

/// Takes a claim away; in an inline table the white space before the brace stays.
fn take(table: &mut dyn TableLike, name: &str) {
    let after = end_of(table, name).filter(|_| table.iter().last().is_some_and(|(last, _)| last == name));
    table.remove(name);
    let last = table.iter().last().map(|(name, _)| name.to_owned());
    if let (Some(after), Some(last)) = (after, last)
        && let Some(Item::Value(value)) = table.get_mut(&last)
    {
        value.decor_mut().set_suffix(after);
    }
}

/// The white space behind a value, where nothing but white space is there.
fn end_of(table: &dyn TableLike, name: &str) -> Option<String> {
    let after = table.get(name)?.as_value()?.decor().suffix()?.as_str()?;
    after.trim().is_empty().then(|| after.to_owned())
}

/// The column of the `=` of all keys, if it is one.
fn column(table: &dyn TableLike) -> Option<usize> {
    let columns = table.iter().filter_map(|(name, _)| {
        let key = table.key(name)?;
        let space = key.leaf_decor().suffix().and_then(RawString::as_str).unwrap_or(" ");
        Some(key.display_repr().chars().count() + space.len())
    });
    let columns: Vec<_> = columns.collect();
    columns.first().copied().filter(|first| columns.len() > 1 && columns.iter().all(|column| column == first))
}

/// A claim as TOML.
///
/// # Errors
/// When TOML has no such value.
fn to_toml(name: &str, value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err(format!("`{name}` is null, which TOML cannot say")),
        Json::Bool(flag) => Value::from(*flag),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => to_number(number).ok_or_else(|| {
            format!("`{name}` is {number}, which TOML cannot say digit for digit: write `claims` as a text with JSON")
        })?,
        Json::Array(items) => Value::Array(items.iter().map(|item| to_toml(name, item)).collect::<Result<Array, _>>()?),
        Json::Object(members) => {
            let mut table = InlineTable::new();
            for (member, value) in members {
                table.insert(member, to_toml(name, value)?);
            }
            Value::InlineTable(table)
        }
    })
}

fn to_number(number: &Number) -> Option<Value> {
    if let Some(integer) = number.as_i64() {
        return Some(Value::from(integer));
    }
    let float: f64 = number.as_str().contains(['.', 'e', 'E']).then(|| number.as_f64())??;
    (Number::from_f64(float).as_ref() == Some(number)).then(|| Value::from(float))
}

/// A text with JSON as people write it: without escapes where it has lines.
fn quoted(text: &str) -> Value {
    let literal = text.contains('\n') && !text.contains("'''");
    let value = if literal { format!("'''\n{text}'''").parse().ok() } else { None };
    value.unwrap_or_else(|| Value::from(text))
}

/// Claims that are written as a text with JSON: their order stays, new ones follow.
fn in_text(before: &str, claims: &[(String, Json)]) -> Result<String, String> {
    let known: Map<String, Json> = serde_json::from_str(before).map_err(|_| "its claims are not JSON")?;
    let mut places: Vec<_> =
        known.keys().map(|name| (before.find(&Json::from(name.as_str()).to_string()), name)).collect();
    places.sort();
    let old = places.iter().filter_map(|(_, name)| claims.iter().find(|(claim, _)| claim == *name));
    let new = claims.iter().filter(|(name, _)| !known.contains_key(name));
    let members: Vec<_> =
        old.chain(new).map(|(name, value)| format!("{}: {value}", Json::from(name.as_str()))).collect();
    Ok(match before.contains('\n') {
        true => format!("{{\n  {}\n}}", members.join(",\n  ")),
        false => format!("{{{}}}", members.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(text: &str, number: usize, answered: &Answered, claims: &[&str]) -> Result<String, String> {
        let mut rewriting = Rewriting::new(text)?;
        rewriting.apply(&Change { number, answered, claims: claims.to_vec() })?;
        Ok(rewriting.text())
    }

    fn claims(text: &str) -> Answered {
        let claims: Map<String, Json> = serde_json::from_str(text).expect("test data is JSON");
        Answered::Claims(claims.into_iter().collect())
    }

    fn error(status: u16, error: Option<&str>) -> Answered {
        Answered::Error { status, error: error.map(str::to_owned) }
    }

    #[test]
    fn only_what_differs_is_rewritten_and_comments_stay() {
        let text = "\
# About the file.
[[case]]
name = \"one\"   # its name

[[case.answer]]
url  = 'https://a.example'

# What comes out.
[case.claims]
# The id.
sub   = '1'    # digits
# The name.
name  = \"Ada\" # as written
email = \"a@example.com\"

# The next.
[[case]]
name  = \"two\"
error = { status = 401, error = \"invalid_token\" } # refused
";
        let answered = claims(r#"{"sub":"2","email":"a@example.com","id":7,"very_long_name":[true,"x"]}"#);
        let new = update(text, 0, &answered, &["sub", "name", "id", "very_long_name"]).expect("it can be written");
        let expected = text
            .replace("'1'    # digits", "\"2\"    # digits")
            .replace("# The name.\nname  = \"Ada\" # as written\n", "")
            .replace("\"a@example.com\"\n", "\"a@example.com\"\nid    = 7\nvery_long_name = [true, \"x\"]\n");
        assert_eq!(new, expected);
        let new = update(text, 1, &error(403, Some("access_denied")), &[]).expect("it can be written");
        assert_eq!(new, text.replace("401", "403").replace("invalid_token", "access_denied"));
        let new = update(text, 1, &error(500, None), &[]).expect("it can be written");
        assert_eq!(new, text.replace("401, error = \"invalid_token\"", "500"));
    }

    #[test]
    fn claims_take_the_place_of_an_error_and_the_other_way_round() {
        let text = "[[case]]\nname  = \"one\"\n# Refused.\nerror = { status = 401 }\n\n[[case.answer]]\nurl = 'https://a.example'\n\n[[case]]\nname = \"two\"\nclaims = {}\n";
        let new = update(text, 0, &claims(r#"{"sub":"1"}"#), &["sub"]).expect("it can be written");
        assert_eq!(
            new,
            "[[case]]\nname  = \"one\"\n\n[[case.answer]]\nurl = 'https://a.example'\n\n# Refused.\n[case.claims]\nsub = \"1\"\n\n[[case]]\nname = \"two\"\nclaims = {}\n"
        );
        let back = update(&new, 0, &error(401, None), &[]).expect("it can be written");
        assert_eq!(
            back,
            "[[case]]\nname  = \"one\"\n# Refused.\nerror = { status = 401 }\n\n[[case.answer]]\nurl = 'https://a.example'\n\n[[case]]\nname = \"two\"\nclaims = {}\n"
        );
    }

    #[test]
    fn every_form_of_claims_can_be_rewritten() {
        let answered = claims(r#"{"name":"Ada","sub":"2"}"#);
        for (before, after) in [
            ("claims = { sub = \"1\" }", "claims = { sub = \"2\", name = \"Ada\" }"),
            ("claims = { sub = \"1\", old = 1 }", "claims = { sub = \"2\", name = \"Ada\" }"),
            ("claims = {sub = \"1\"}", "claims = {sub = \"2\", name = \"Ada\"}"),
            ("claims.sub = \"1\"", "claims.sub = \"2\"\nclaims.name = \"Ada\""),
            ("claims = '{\"sub\": \"1\"}'", "claims = '{\"sub\": \"2\", \"name\": \"Ada\"}'"),
            (
                "claims = '''\n{\n  \"sub\": \"1\"\n}''' # long",
                "claims = '''\n{\n  \"sub\": \"2\",\n  \"name\": \"Ada\"\n}''' # long",
            ),
        ] {
            let text = format!("[[case]]\nname = \"one\"\n{before}\n");
            let new = update(&text, 0, &answered, &["sub", "name", "old"]).expect(before);
            assert_eq!(new, format!("[[case]]\nname = \"one\"\n{after}\n"));
        }
        let inline = "case = [{ name = \"one\", claims = { sub = \"1\" } }]\n";
        let new = update(inline, 0, &answered, &["sub", "name"]).expect("it can be written");
        assert_eq!(new, "case = [{ name = \"one\", claims = { sub = \"2\", name = \"Ada\" } }]\n");
    }

    #[test]
    fn what_toml_cannot_say_is_refused() {
        let text = "[[case]]\nname = \"one\"\n[case.claims]\nsub = \"1\"\n";
        for (found, why) in [
            (r#"{"sub":"2","id":18446744073709551616}"#, "`id` is 18446744073709551616"),
            (r#"{"sub":"2","id":0.12345678901234567890}"#, "digit for digit"),
        ] {
            let told = update(text, 0, &claims(found), &["sub", "id"]).expect_err(found);
            assert!(told.contains(why), "{told}");
        }
        let long = "[[case]]\nname = \"one\"\nclaims = '{\"sub\": \"1\"}'\n";
        let new = update(long, 0, &claims(r#"{"sub":"1","id":18446744073709551616}"#), &["id"]).expect("JSON can");
        assert_eq!(new, long.replace("\"1\"}", "\"1\", \"id\": 18446744073709551616}"));
    }
}
