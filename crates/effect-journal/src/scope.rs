//! Which keys a question is about.
//!
//! A plain text prefix would be shorter and wrong: `default/wf-1` is also a prefix of every key of `wf-10`. A
//! scope therefore always ends at a part's boundary, and encodes parts the way keys do.

use crate::EffectKey;
use crate::key::encode_into;

/// Selects every effect, or those of a namespace, a workflow, a run, or one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    All,
    Under(String),
    Key(EffectKey),
}

impl Scope {
    /// Selects all effects in the store.
    pub fn all() -> Self {
        Self(Kind::All)
    }

    /// Selects the effects of a namespace.
    pub fn namespace(namespace: &str) -> Self {
        Self::under(&[namespace])
    }

    /// Selects the effects of all runs that used a workflow id.
    pub fn workflow(namespace: &str, workflow_id: &str) -> Self {
        Self::under(&[namespace, workflow_id])
    }

    /// Selects the effects of one chain of runs, named by its first.
    pub fn run(namespace: &str, workflow_id: &str, first_run_id: &str) -> Self {
        Self::under(&[namespace, workflow_id, first_run_id])
    }

    /// Selects one effect.
    pub fn key(key: &EffectKey) -> Self {
        Self(Kind::Key(key.clone()))
    }

    /// Returns the range of key texts, from the first that belongs to the first that does not; `None` is no end.
    ///
    /// Texts compare by their bytes.
    pub(crate) fn range(&self) -> (String, Option<String>) {
        match &self.0 {
            Kind::All => (String::new(), None),
            Kind::Under(prefix) => {
                // '0' is the character after '/', so this is the first text beyond everything under the prefix.
                let end = format!("{}0", prefix.trim_end_matches('/'));
                (prefix.clone(), Some(end))
            }
            Kind::Key(key) => (key.to_string(), Some(format!("{key}\0"))),
        }
    }

    fn under(parts: &[&str]) -> Self {
        let mut prefix = String::new();
        for part in parts {
            encode_into(&mut prefix, part);
            prefix.push('/');
        }
        Self(Kind::Under(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(scope: &Scope, key: &EffectKey) -> bool {
        let (start, end) = scope.range();
        key.as_str() >= start.as_str() && end.is_none_or(|end| key.as_str() < end.as_str())
    }

    #[test]
    fn a_scope_ends_at_a_part_and_not_within_one() {
        let inside = EffectKey::new("ns", "wf-1", "run", "call/0").unwrap();
        let sibling = EffectKey::new("ns", "wf-10", "run", "call/0").unwrap();
        let slashed = EffectKey::new("ns", "wf-1/run", "x", "call/0").unwrap();
        let workflow = Scope::workflow("ns", "wf-1");
        assert!(holds(&workflow, &inside));
        assert!(!holds(&workflow, &sibling));
        assert!(!holds(&workflow, &slashed));
        assert!(holds(&Scope::workflow("ns", "wf-1/run"), &slashed));
        for scope in [Scope::all(), Scope::namespace("ns")] {
            assert!(holds(&scope, &inside) && holds(&scope, &sibling) && holds(&scope, &slashed));
        }
        assert!(!holds(&Scope::namespace("n"), &inside));
        assert!(holds(&Scope::run("ns", "wf-1", "run"), &inside));
        assert!(!holds(&Scope::run("ns", "wf-1", "ru"), &inside));
    }

    #[test]
    fn a_key_selects_itself_alone() {
        let key = EffectKey::new("ns", "wf", "run", "call/1").unwrap();
        let longer = EffectKey::new("ns", "wf", "run", "call/10").unwrap();
        let below = EffectKey::new("ns", "wf", "run", "call/1/a").unwrap();
        assert!(holds(&Scope::key(&key), &key));
        assert!(!holds(&Scope::key(&key), &longer));
        assert!(!holds(&Scope::key(&key), &below));
    }
}
