//! How much memory the values of a JSON text would take: a text of empty objects takes hundreds of times its length.

/// Bytes that are always allowed, and how many times its own length a longer text may take. Rules copy what they read
/// once or twice more.
const ALLOWED: usize = 12 * 1024 * 1024;
const TIMES: usize = 12;
/// A value with its place in an array, and digits or text of its own.
const VALUE: usize = 64;
/// An object with the first of its members.
const OBJECT: usize = 640;
/// No text that is shorter can be too heavy, were it all objects.
const SHORT: usize = ALLOWED / (VALUE + OBJECT);

/// True if the values of this text are not to be kept.
///
/// Signs inside of strings count as well: that takes more texts for heavy, never fewer, and ordinary ones stay far below.
pub(super) fn is_too_heavy(text: &str) -> bool {
    if text.len() < SHORT {
        return false;
    }
    let weight = |byte| match byte {
        b',' | b'[' => VALUE,
        b'{' => OBJECT,
        _ => 0,
    };
    text.bytes().map(weight).sum::<usize>() > ALLOWED.max(text.len().saturating_mul(TIMES))
}

#[cfg(test)]
mod tests {
    use super::is_too_heavy;
    use crate::core::facts::Shape;

    fn list(element: &str, bytes: usize) -> String {
        format!("[{}{element}]", format!("{element},").repeat(bytes / (element.len() + 1)))
    }

    #[test]
    fn texts_of_values_are_heavy_and_those_of_people_are_not() {
        const MIB: usize = 1024 * 1024;
        for (element, heavy) in [
            ("{}", true),
            ("[]", true),
            ("7", true),
            (r#"{"a":0}"#, true),
            (r#"{"id":583231,"login":"ada","url":"https://api.acme.example/users/ada","site_admin":false}"#, false),
            (r#""a text, of some length, as people write them in a biography""#, false),
            ("9007199254740993", false),
        ] {
            let text = list(element, MIB);
            assert_eq!(is_too_heavy(&text), heavy, "{element}");
            assert_eq!(Shape::Whole.parse(&text).is_err(), heavy, "{element}");
            // What is not read weighs nothing.
            let mut shape = Shape::nothing();
            shape.add(&["id".into()]);
            assert!(shape.parse(&format!("{{\"id\":1,\"list\":{text}}}")).is_ok(), "{element}");
            shape.add(&["list".into()]);
            assert_eq!(shape.parse(&format!("{{\"id\":1,\"list\":{text}}}")).is_err(), heavy, "{element}");
            assert!(!is_too_heavy(&list(element, 8 * 1024)), "{element}: a short one");
        }
    }
}
