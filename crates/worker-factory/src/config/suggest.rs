//! The key that was probably meant.

/// Says that a key is unknown, and which one was meant or which ones there are.
pub(super) fn unknown_key(given: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (distance(given, name), *name)).min();
    match nearest {
        Some((edits, name)) if edits <= given.len().div_ceil(3) => {
            format!("unknown key; did you mean `{name}`?")
        }
        Some(_) => format!("unknown key; known here: {}", known.join(", ")),
        None => "unknown key; nothing can be set here".to_owned(),
    }
}

/// The Levenshtein distance in bytes, over one row.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, unknown_key};

    #[test]
    fn the_distance_counts_edits() {
        for (left, right, edits) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "axc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn a_near_miss_is_named_and_a_far_one_lists_what_is_known() {
        assert_eq!(
            unknown_key("task_queu", &["task_queue", "pollers"]),
            "unknown key; did you mean `task_queue`?"
        );
        assert_eq!(
            unknown_key("zzz", &["pollers", "health"]),
            "unknown key; known here: pollers, health"
        );
        assert_eq!(unknown_key("zzz", &[]), "unknown key; nothing can be set here");
    }
}
