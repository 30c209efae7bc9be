//! Parts of texts.

use rhai::Dynamic;

use super::{Call, Raw};

pub(super) fn before(call: &Call<'_>) -> Raw<Dynamic> {
    cut(call, |text, mark| text.split_once(mark).map(|(before, _)| before))
}

pub(super) fn after(call: &Call<'_>) -> Raw<Dynamic> {
    cut(call, |text, mark| text.split_once(mark).map(|(_, after)| after))
}

pub(super) fn last_segment(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, |text| {
        let path = text.split(['?', '#']).next()?;
        // The host of a URL is no segment of its path.
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => path,
        };
        path.trim_end_matches('/').rsplit('/').next()
    })
}

pub(super) fn first_word(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, |text| text.split_whitespace().next())
}

pub(super) fn rest_words(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, |text| text.split_once(char::is_whitespace).map(|(_, rest)| rest.trim_start()))
}

pub(super) fn last_word(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, |text| text.split_whitespace().next_back())
}

pub(super) fn drop_last_word(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, |text| text.rsplit_once(char::is_whitespace).map(|(rest, _)| rest.trim_end()))
}

/// A part of a text without white space around it; absent if there is none.
fn part(call: &Call<'_>, find: impl FnOnce(&str) -> Option<&str>) -> Raw<Dynamic> {
    let text = call.text(0)?;
    Ok(find(text.trim()).filter(|part| !part.is_empty()).map_or(Dynamic::UNIT, |part| part.to_owned().into()))
}

/// What stands on one side of a mark; absent without one.
fn cut(call: &Call<'_>, find: impl for<'t> FnOnce(&'t str, &str) -> Option<&'t str>) -> Raw<Dynamic> {
    let (text, mark) = (call.text(0)?, call.text(1)?);
    if mark.is_empty() {
        return Err(call.wants(1, "a text that is not empty"));
    }
    Ok(find(&text, &mark).map_or(Dynamic::UNIT, |part| part.to_owned().into()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn parts_are_found_or_absent() {
        check(&[
            ("before(\"a.b.c\", \".\")", "\"a\""),
            ("before(\".b\", \".\")", "\"\""),
            ("before(\"abc\", \".\")", "absent"),
            ("before(\"abc\", \"\")", "!`before` wants a text that is not empty as `mark`"),
            ("after(\"a.b.c\", \".\")", "\"b.c\""),
            ("after(\"abc.\", \".\")", "\"\""),
            ("after(\"abc\", \".\")", "absent"),
            ("after(\"12345\", 3)", "\"45\""),
            ("last_segment(\"/users/42\")", "\"42\""),
            ("last_segment(\"/users/42/\")", "\"42\""),
            ("last_segment(\"42\")", "\"42\""),
            ("last_segment(\"https://api.example/users/42?x=/y#/z\")", "\"42\""),
            ("last_segment(\"https://api.example/users/a%20b\")", "\"a%20b\""),
            ("last_segment(\"https://api.example/\")", "absent"),
            ("last_segment(\"https://api.example\")", "absent"),
            ("last_segment(\"https://api.example?x=/y\")", "absent"),
            ("last_segment(\"\")", "absent"),
        ]);
    }

    #[test]
    fn words_stand_between_white_space_of_any_kind() {
        check(&[
            ("first_word(\"  Ada\\tKing  Lovelace \")", "\"Ada\""),
            ("rest_words(\"  Ada\\t King  Lovelace \")", "\"King  Lovelace\""),
            ("last_word(\"  Ada\\tKing\\u00a0Lovelace \")", "\"Lovelace\""),
            ("drop_last_word(\" Ada  King \\n Lovelace\")", "\"Ada  King\""),
            ("first_word(\"Ada\")", "\"Ada\""),
            ("rest_words(\"Ada\")", "absent"),
            ("last_word(\"Ada\")", "\"Ada\""),
            ("drop_last_word(\"Ada\")", "absent"),
            ("first_word(\" \")", "absent"),
            ("last_word(\"\")", "absent"),
        ]);
    }
}
