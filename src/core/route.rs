//! Which rule answers a request: the one whose name is the path.

use std::collections::HashMap;

/// All rules that serve, by name.
#[derive(Debug)]
pub struct Routes<R> {
    by_name: HashMap<String, R>,
}

impl<R> Routes<R> {
    /// Routes to these rules by their names.
    pub fn new(rules: impl IntoIterator<Item = (String, R)>) -> Self {
        Routes { by_name: rules.into_iter().collect() }
    }

    /// The rule at a path.
    pub fn find(&self, path: &str) -> Option<&R> {
        self.by_name.get(path.strip_prefix('/')?)
    }

    /// The names of all rules, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
