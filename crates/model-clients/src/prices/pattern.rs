//! Which names of models an entry of a price table stands for.
//!
//! A plain prefix would be wrong with money at stake: `gpt-4` is the beginning of a dozen models of other prices. So a
//! name stands for itself and for the same name with a date behind it, which is how vendors name their snapshots, and
//! anything wider has to be written out with `*`.

use std::cmp::Reverse;

/// How closely a name was matched; the least is the closest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// The very name.
    Exact,
    /// The name of a snapshot of it.
    Snapshot,
    /// A pattern; one with more letters of its own is closer.
    Pattern(Reverse<usize>),
}

/// Says how closely an entry's name stands for a model, if it does.
pub(super) fn matches(entry: &str, model: &str) -> Option<Closeness> {
    if entry == model {
        return Some(Closeness::Exact);
    }
    if entry.contains('*') {
        let letters = entry.len() - entry.matches('*').count();
        return is_like(entry, model).then_some(Closeness::Pattern(Reverse(letters)));
    }
    let suffix = model.strip_prefix(entry)?;
    let version = suffix.strip_prefix(['-', '@'])?;
    is_version(version).then_some(Closeness::Snapshot)
}

/// Whether a text names a snapshot: `20260507`, `2026-05-07`, or `latest`.
fn is_version(text: &str) -> bool {
    let has_shape = |shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                _ => byte == form,
            })
    };
    text == "latest" || has_shape("00000000") || has_shape("0000-00-00")
}

fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // The last part must be the end; those before it are found from the left, which leaves most to the rest.
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = text.split_once(part) else {
            return false;
        };
        text = after;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::Closeness::{Exact, Pattern, Snapshot};
    use super::matches;

    #[test]
    fn a_name_stands_for_itself_and_its_snapshots() {
        for (entry, model, expected) in [
            ("gpt-4", "gpt-4", Some(Exact)),
            ("gpt-4", "gpt-4-20260507", Some(Snapshot)),
            ("gpt-4", "gpt-4-2026-05-07", Some(Snapshot)),
            ("claude-x", "claude-x@20260507", Some(Snapshot)),
            ("claude-x", "claude-x-latest", Some(Snapshot)),
            ("gpt-4", "gpt-4-turbo", None),
            ("gpt-4", "gpt-4-0613", None),
            ("gpt-4", "gpt-4.1", None),
            ("gpt-4", "gpt-42026-05-07", None),
            ("gpt-4", "gpt-4-2026-05-07-preview", None),
            ("gpt-4-2026-05-07", "gpt-4", None),
            ("gpt-4", "GPT-4", None),
        ] {
            assert_eq!(matches(entry, model), expected, "{entry} {model}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (entry, model, letters) in [
            ("*", "x", Some(0)),
            ("*", "", Some(0)),
            ("gpt-*", "gpt-4", Some(4)),
            ("gpt-*", "gpt", None),
            ("*-mini", "gpt-mini", Some(5)),
            ("*-mini", "gpt-mini-2", None),
            ("a*b*c", "a-b-b-c", Some(3)),
            ("a*b*c", "a-c-b", None),
            ("ab*ba", "aba", None),
            ("a**c", "ac", Some(2)),
        ] {
            assert_eq!(
                matches(entry, model),
                letters.map(|n| Pattern(Reverse(n))),
                "{entry} {model}"
            );
        }
    }

    #[test]
    fn closer_is_less() {
        assert!(
            Exact < Snapshot && Snapshot < Pattern(Reverse(9)) && Pattern(Reverse(9)) < Pattern(Reverse(1))
        );
    }
}
