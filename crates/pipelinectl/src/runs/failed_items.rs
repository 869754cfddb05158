//! Why the items of a batch failed, from its result file.
//!
//! The batch itself knows only how many failed, because its history must not grow with the file. The first few mostly
//! say it for all; so the file is read only until they are found, and no further than a limit.

use workflow_types::{
    proto::{LlmBatchResult, Problem},
    wire,
};

const MOST: usize = 3;
/// How much of the file is looked at.
const LOOK_BYTES: usize = 16 * 1024 * 1024;

/// The first failures of a result file that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct FailedItems {
    found: Vec<Problem>,
    unfinished: Vec<u8>,
    read_bytes: usize,
}

impl FailedItems {
    /// Takes the next piece of the file and tells whether more is wanted.
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        self.read_bytes = self.read_bytes.saturating_add(piece.len());
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
        self.found.len() < MOST && self.read_bytes < LOOK_BYTES
    }

    /// Gives the failures, each by the name of its item.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.end_line();
        self.found
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        if self.found.len() == MOST {
            return;
        }
        let Ok(result) = wire::parse_json::<LlmBatchResult>(&line) else {
            return;
        };
        if result.outcome.is_none()
            && let Some(message) = reason(&result)
        {
            self.found.push(Problem {
                path: result.id,
                message,
            });
        }
    }
}

fn reason(result: &LlmBatchResult) -> Option<String> {
    let details = result.error.as_ref()?;
    let places = details
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message));
    // What is said in words is often the same for all, and the places are what differs.
    let said = result.message.clone().filter(|message| !message.is_empty());
    let words: Vec<_> = said.into_iter().chain(places).collect();
    Some(if words.is_empty() {
        details.code.clone()
    } else {
        format!("{}: {}", details.code, words.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"id":"a","outcome":"OUTCOME_TRUNCATED","text":"x"}
{"id":"b","error":{"code":"ModelGone"},"message":"no model of that name"}
{"id":"c","error":{"code":"InvalidInput","problems":[{"path":"text","message":"is empty"}]},"message":"the line can't be used"}
{"id":"d","error":{"code":"Auth"}}
{"id":"e","error":{"code":"Auth"}}
"#;

    fn told(pieces: impl Iterator<Item = &'static [u8]>) -> Vec<String> {
        let mut items = FailedItems::default();
        for piece in pieces {
            if !items.take(piece) {
                break;
            }
        }
        let found = items.finish().into_iter();
        found
            .map(|problem| format!("{} {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn the_first_three_failures_are_told_however_the_file_is_cut() {
        let expected = [
            "b ModelGone: no model of that name",
            "c InvalidInput: the line can't be used; text: is empty",
            "d Auth",
        ];
        for size in [1, 7, FILE.len()] {
            assert_eq!(told(FILE.as_bytes().chunks(size)), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_last_line_without_a_break_counts_and_the_rest_is_not_read() {
        let line: &[u8] = br#"{"id":"a","error":{"code":"Auth"}}"#;
        assert_eq!(told([line].into_iter()), ["a Auth"]);
        let mut items = FailedItems::default();
        assert!(items.take(b"not json\n"));
        assert!(!items.take(&vec![b' '; LOOK_BYTES]));
    }
}
