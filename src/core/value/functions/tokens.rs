//! What a token says of itself. Nothing here is verified: that is `[token]`'s work.

use base64::Engine as _;
use rhai::Dynamic;
use serde_json::{Map, Value};

use super::{Call, Raw, encoding::FOR_ADDRESSES};
use crate::core::value::to_script;

pub(super) fn jwt_claims(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, 1)
}

pub(super) fn jwt_header(call: &Call<'_>) -> Raw<Dynamic> {
    part(call, 0)
}

/// A part of a signed token; those of an encrypted one could not be read.
fn part(call: &Call<'_>, number: usize) -> Raw<Dynamic> {
    let token = call.text(0)?;
    let parts: Vec<_> = token.splitn(4, '.').collect();
    let bytes = match parts[..] {
        [_, _, _] => FOR_ADDRESSES.decode(parts[number]).ok(),
        _ => None,
    };
    let members = bytes.and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
    let members = members.ok_or_else(|| call.wants(0, "a JWT"))?;
    Ok(to_script(&Value::Object(members)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn a_token_is_read_whatever_its_signature_says() {
        check(&[
            // {"sub":9007199254740993,"scope":["a"]}
            ("jwt_claims(\"e30.eyJzdWIiOjkwMDcxOTkyNTQ3NDA5OTMsInNjb3BlIjpbImEiXX0.bm8\").sub", "9007199254740993"),
            ("jwt_claims(\"e30.eyJzdWIiOjkwMDcxOTkyNTQ3NDA5OTMsInNjb3BlIjpbImEiXX0=.bm8\").scope[0]", "\"a\""),
            ("jwt_claims(\"e30.e30.\").sub", "absent"),
            ("jwt_header(\"e30.e30.x\")", "{}"),
        ]);
    }

    #[test]
    fn what_is_no_token_of_three_parts_with_objects_is_refused() {
        for token in ["", "opaque", "a.b", "e30.e30", "e30.*.x", "e30.W10.x", "e30.bm8.x", "e30.e30.x.y.z", ".."] {
            check(&[(&format!("jwt_claims(\"{token}\")"), "!`jwt_claims` wants a JWT as `token`")]);
        }
    }
}
