//! Where each value came from, for mistakes that are found after the values have become options.

use config::{Map, Value, ValueKind};

use super::{Problem, fit};

/// The merged layers, in which every value knows its source.
#[derive(Clone, Debug, Default)]
pub struct Origins(Map<String, Value>);

impl Origins {
    pub(super) fn new(tree: Map<String, Value>) -> Self {
        Self(tree)
    }

    /// Gives the source of the value at a key's path, if somebody set it.
    pub fn of(&self, key: &str) -> Option<String> {
        find(&self.0, key).and_then(fit::origin)
    }

    /// Adds the source to a problem that has none.
    pub fn mark(&self, problem: &mut Problem) {
        if problem.origin.is_none() {
            problem.origin = self.of(&problem.key);
        }
    }
}

/// Follows a dotted path whose parts may themselves hold dots, as the names of models do.
fn find<'a>(table: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    table.iter().find_map(|(name, value)| {
        let rest = path.strip_prefix(name.as_str())?;
        match (rest.strip_prefix('.'), &value.kind) {
            (None, _) if rest.is_empty() => Some(value),
            (Some(rest), ValueKind::Table(nested)) => find(nested, rest),
            (_, _) => None,
        }
    })
}
