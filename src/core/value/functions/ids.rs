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
