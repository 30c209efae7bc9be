//! The standard claims, and what OpenID Connect says of each.

/// A claim of OpenID Connect Core 1.0, section 5.1.
#[derive(Clone, Copy, Debug)]
pub struct Standard {
    /// Its name.
    pub name: &'static str,
    /// What it is, in our words.
    pub doc: &'static str,
    /// How a rule might get it.
    pub example: &'static str,
}

/// Where all of them come from.
pub const STANDARD_SOURCE: &str = "OpenID Connect Core 1.0, section 5.1";

/// The standard claims, in the order of the standard.
pub const STANDARD: [Standard; 20] = [
    claim("sub", "The user's id at the provider: never reassigned, at most 255 ASCII characters.", "\"$.user.id\""),
    claim("name", "The full name as it is shown, with titles and the like.", "\"$.user.name\""),
    claim("given_name", "The first name, or several of them.", "\"$.user.first_name\""),
    claim("family_name", "The surname, or several of them.", "\"$.user.last_name\""),
    claim("middle_name", "The middle name, or several of them.", "\"$.user.middle_name\""),
    claim("nickname", "A casual name, which may differ from the first name.", "\"$.user.nick\""),
    claim(
        "preferred_username",
        "The short name that the user wants to go by. It can change and need not be unique, so it identifies nobody.",
        "\"$.user.login\"",
    ),
    claim("profile", "The address of a page about the user.", "\"$.user.html_url\""),
    claim("picture", "The address of a picture of the user, not of any picture.", "\"$.user.avatar_url\""),
    claim("website", "The address of the user's own page or blog.", "\"$.user.blog\""),
    claim("email", "The preferred e-mail address. It can change and need not be unique.", "\"$.user.email\""),
    claim(
        "email_verified",
        "Whether the provider made sure that the address was the user's at the time. Say true only if the provider does.",
        "\"$.user.email_verified\"",
    ),
    claim("gender", "`female`, `male` or another word.", "\"$.user.gender\""),
    claim(
        "birthdate",
        "The birthday as `YYYY-MM-DD`; year `0000` if it is left out, or the year alone.",
        "\"$.user.birthday\"",
    ),
    claim("zoneinfo", "The time zone by its name in the tz database, such as `Europe/Paris`.", "\"$.user.timezone\""),
    claim("locale", "The language and country as a BCP 47 tag, such as `en-US`.", "\"$.user.locale\""),
    claim("phone_number", "The preferred telephone number, best as E.164: `+14255551212`.", "\"$.user.phone\""),
    claim(
        "phone_number_verified",
        "Whether the provider made sure that the number was the user's at the time; the number is E.164 then.",
        "\"$.user.phone_verified\"",
    ),
    claim(
        "address",
        "The postal address: an object with `formatted`, `street_address`, `locality`, `region`, `postal_code`, `country`. \
         The only claim that may be an object, and only with `type = \"object\"`.",
        "{ path = \"$.user.address\", type = \"object\" }",
    ),
    claim(
        "updated_at",
        "When the profile was last changed, in seconds since 1970; RFC 3339 is converted.",
        "\"$.user.updated_at\"",
    ),
];

const fn claim(name: &'static str, doc: &'static str, example: &'static str) -> Standard {
    Standard { name, doc, example }
}

impl Standard {
    /// The claim with this name.
    pub fn find(name: &str) -> Option<&'static Standard> {
        STANDARD.iter().find(|claim| claim.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::claims::Kind;

    #[test]
    fn every_claim_with_a_type_is_explained() {
        for claim in &STANDARD {
            // The address is an object only where a rule says so.
            assert_eq!(Kind::of_standard_claim(claim.name).is_some(), claim.name != "address", "{}", claim.name);
        }
    }
}
