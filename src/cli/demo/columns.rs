//! Two texts side by side.

use serde_json::Value;

/// JSON over several lines. Claims keep the order in which they were sent.
pub(super) fn pretty(json: &Value, as_sent: &str) -> String {
    let Value::Object(members) = json else {
        return serde_json::to_string_pretty(json).unwrap_or_else(|_| as_sent.to_owned());
    };
    let mut names: Vec<_> = members.keys().collect();
    names.sort_by_key(|name| as_sent.find(&format!("\"{name}\":")));
    let lines: Vec<_> = names
        .into_iter()
        .map(|name| {
            let value = serde_json::to_string_pretty(&members[name]).unwrap_or_default().replace('\n', "\n  ");
            format!("  {}: {value}", Value::from(name.as_str()))
        })
        .collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// The left text in a column of this width, the right one beside it. Long lines are cut.
pub(super) fn side_by_side(left: &str, right: &str, width: usize) -> String {
    let cut = |line: &str| -> String {
        if line.chars().count() <= width {
            return line.to_owned();
        }
        line.chars().take(width - 1).chain(['…']).collect()
    };
    let (mut left, mut right) = (left.lines(), right.lines());
    let mut rows = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return rows.join("\n"),
            (a, b) => rows
                .push(format!("{:width$} {}", cut(a.unwrap_or_default()), b.unwrap_or_default()).trim_end().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_width_and_the_longer_text() {
        assert_eq!(side_by_side("a\nabcdef\nc", "x\ny", 4), "a    x\nabc… y\nc");
        assert_eq!(side_by_side("a", "x\ny", 3), "a   x\n    y");
    }

    #[test]
    fn members_keep_the_order_in_which_they_were_sent() {
        let sent = r#"{"sub":"1","email":"a"}"#;
        let json = serde_json::from_str(sent).expect("test data is JSON");
        assert_eq!(pretty(&json, sent), "{\n  \"sub\": \"1\",\n  \"email\": \"a\"\n}");
    }
}
