//! Which rule answers a request: the one whose name is the path.

use std::{collections::HashMap, sync::Arc};

/// All rules that serve, by name.
#[derive(Debug)]
pub struct Routes<R> {
    by_name: HashMap<String, Arc<R>>,
}

impl<R> Routes<R> {
    /// Routes to these rules by their names.
    pub fn new(rules: impl IntoIterator<Item = (String, impl Into<Arc<R>>)>) -> Self {
        Routes { by_name: rules.into_iter().map(|(name, rule)| (name, rule.into())).collect() }
    }

    /// The rule at a path.
    pub fn find(&self, path: &str) -> Option<&R> {
        self.by_name.get(path.strip_prefix('/')?).map(Arc::as_ref)
    }

    /// All rules with their names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Arc<R>)> {
        self.by_name.iter()
    }

    /// The names of all rules, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
