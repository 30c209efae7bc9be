//! Values that are used and never shown.

use std::fmt;

/// A value that must never be printed: a caller's token, an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: Box<str>,
    stands_in: bool,
}

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Secret { value: value.into(), stands_in: false }
    }

    /// Stands in for a value that is not looked up, where rules are only checked: nothing is wrong with it.
    pub fn stand_in() -> Self {
        Secret { value: "placeholder".into(), stands_in: true }
    }

    /// True if the value itself is not known, and cannot be judged.
    pub fn stands_in(&self) -> bool {
        self.stands_in
    }

    /// The value itself, for the one place where it must stand.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
