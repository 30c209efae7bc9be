//! Identifiers that follow from a name.

use rhai::Dynamic;
use uuid::Uuid;

use super::{Call, Raw};

pub(super) fn uuid5(call: &Call<'_>) -> Raw<Dynamic> {
    let (space, name) = (call.text(0)?, call.text(1)?);
    let space = namespace(&space).ok_or_else(|| call.wants(0, NAMESPACES))?;
    Ok(Uuid::new_v5(&space, name.as_bytes()).to_string().into())
}

const NAMESPACES: &str = "`\"dns\"`, `\"url\"`, `\"oid\"` or a UUID";

/// Whether a text names a namespace.
pub(super) fn check_namespace(text: &str) -> Result<(), &'static str> {
    namespace(text).map(|_| ()).ok_or(NAMESPACES)
}

fn namespace(text: &str) -> Option<Uuid> {
    match text {
        "dns" => Some(Uuid::NAMESPACE_DNS),
        "url" => Some(Uuid::NAMESPACE_URL),
        "oid" => Some(Uuid::NAMESPACE_OID),
        other => Uuid::try_parse(other).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    /// RFC 9562, appendix A.4, and others of Python's `uuid`.
    #[test]
    fn ids_are_those_of_the_standard() {
        check(&[
            ("uuid5(\"dns\", \"www.example.com\")", "\"2ed6657d-e927-568b-95e1-2665a8aea6a2\""),
            (
                "uuid5(\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\", \"www.example.com\")",
                "\"2ed6657d-e927-568b-95e1-2665a8aea6a2\"",
            ),
            ("uuid5(\"dns\", \"7\") == uuid5(\"dns\", 7)", "true"),
            ("uuid5(\"dns\", \"\") != uuid5(\"url\", \"\")", "true"),
            ("uuid5(\"DNS\", \"x\")", "!`uuid5` wants `\"dns\"`, `\"url\"`, `\"oid\"` or a UUID as `namespace`"),
            ("uuid5(\"dns\", ())", "!`uuid5` wants a text as `name`"),
        ]);
    }
}
