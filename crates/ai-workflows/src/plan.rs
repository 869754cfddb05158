//! The pure choices: how partial answers are joined, and what the whole comes to.

use std::ops::Range;

use workflow_types::proto::Outcome;

/// Why partial answers can't be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "two partial answers of up to {largest} tokens don't fit the {window} tokens that a prompt may hold; \
     ask for fewer output tokens"
)]
pub struct DoesNotShrink {
    /// Tokens of the largest partial answer.
    pub largest: u32,
    /// Tokens that a prompt's content may hold.
    pub window: u32,
}

/// Groups neighbouring partial answers so that each group fits one prompt.
///
/// Every round at least halves the number of answers, so joining ends.
///
/// # Errors
///
/// [`DoesNotShrink`] when two neighbours don't fit together.
pub fn group_partials(tokens: &[u32], window: u32) -> Result<Vec<Range<usize>>, DoesNotShrink> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut held = 0_u32;
    for (index, &size) in tokens.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if held.saturating_add(size).saturating_add(SEPARATOR_TOKENS) <= window => {
                group.end = index + 1;
                held = held.saturating_add(size).saturating_add(SEPARATOR_TOKENS);
            }
            Some(_) | None => {
                groups.push(index..index + 1);
                held = size;
            }
        }
    }
    // A group of one makes no progress, but the last may be a rest; two rests in a row mean that two did not fit.
    let stuck = groups.len() > tokens.len().div_ceil(2).max(1);
    if stuck {
        return Err(DoesNotShrink {
            largest: tokens.iter().copied().max().unwrap_or(0),
            window,
        });
    }
    Ok(groups)
}

/// What a blank line between two partial answers may cost.
const SEPARATOR_TOKENS: u32 = 4;

/// Gives the outcome of a whole from those of two of its parts: the one that promises less.
pub fn worse(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Unspecified => 0,
        Outcome::Completed => 1,
        Outcome::Truncated => 2,
        Outcome::SchemaMismatch => 3,
        Outcome::ContentFiltered => 4,
        Outcome::Rejected => 5,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_prompt_as_far_as_they_fit() {
        let ends = |sizes: &[u32]| -> Vec<usize> {
            group_partials(sizes, 100)
                .unwrap()
                .into_iter()
                .map(|group| group.end)
                .collect()
        };
        assert_eq!(ends(&[10, 10, 10, 10]), [4]);
        assert_eq!(ends(&[40, 40, 40, 40]), [2, 4]);
        assert_eq!(ends(&[40, 40, 40]), [2, 3]);
        assert_eq!(ends(&[10]), [1]);
        assert!(ends(&[]).is_empty());
    }

    #[test]
    fn what_cannot_be_joined_is_an_error_and_not_an_endless_loop() {
        assert_eq!(
            group_partials(&[90, 90, 90], 100),
            Err(DoesNotShrink {
                largest: 90,
                window: 100
            })
        );
    }

    #[test]
    fn joining_always_ends() {
        for count in 1..200_usize {
            let mut sizes = vec![30_u32; count];
            let mut rounds = 0;
            while sizes.len() > 1 {
                sizes = vec![30; group_partials(&sizes, 100).unwrap().len()];
                rounds += 1;
                assert!(rounds < 10, "{count}");
            }
        }
    }

    #[test]
    fn the_whole_promises_no_more_than_its_worst_part() {
        assert_eq!(worse(Outcome::Completed, Outcome::Truncated), Outcome::Truncated);
        assert_eq!(
            worse(Outcome::ContentFiltered, Outcome::Truncated),
            Outcome::ContentFiltered
        );
    }
}
