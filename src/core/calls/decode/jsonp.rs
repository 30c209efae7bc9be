//! `jsonp`: JSON in the call of a function, as scripts of other sites once fetched it.

/// The JSON inside of `name(…);`. JSON without a wrapper stays as it is.
pub(super) fn unwrap(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        return Ok(text);
    }
    let fault = || "it is neither JSON nor `name(JSON)`".to_owned();
    // Some put a comment before the name, so that the answer is no plug-in of a browser.
    let text = text.strip_prefix("/**/").map_or(text, str::trim_start);
    let (name, rest) = text.split_once('(').ok_or_else(fault)?;
    if !is_name(name.trim_end()) {
        return Err(fault());
    }
    let rest = rest.strip_suffix(';').map_or(rest, str::trim_end);
    rest.strip_suffix(')').map(str::trim).ok_or_else(fault)
}

/// `callback`, `jQuery_1`, `window.cb`, `cbs[0]`.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$'))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '[' | ']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrapper_is_taken_away() {
        for text in [
            r#"callback({"a":1});"#,
            r#"callback( {"a":1} );"#,
            "\n/**/ cb.x[0]\n(\n{\"a\":1}\n)\n;\n",
            r#"/**/jQuery_1({"a":1})"#,
            r#"$({"a":1}) ;"#,
            r#" {"a":1} "#,
        ] {
            assert_eq!(unwrap(text).as_deref(), Ok(r#"{"a":1}"#), "{text}");
        }
        for text in
            ["", "cb", "cb(", "cb({}", "cb){", "(1)", "1x({})", "a b({})", "<p>(x)</p>", "alert(1);x", "cb({});;"]
        {
            assert!(unwrap(text).is_err(), "{text}");
        }
        // What is inside is left to the reader of JSON.
        assert_eq!(unwrap("a(b({}))").as_deref(), Ok("b({})"));
    }
}
