//! What is wrong with an input, all of it at once.
//!
//! A person who mistypes three fields should be told of three, so parsing collects problems by path instead of stopping
//! at the first. The paths are those of the JSON that was sent (`parameters.maxOutputTokens`), not of Rust's fields.

use std::fmt;

use crate::proto::Problem;

/// The problems found so far, each with its path in the JSON that was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Starts without problems.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wraps a single problem.
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        let mut problems = Self::new();
        problems.at(path, message);
        problems
    }

    /// Notes that the value at `path` is wrong and what to do about it.
    pub fn at(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Takes over problems whose paths are whole already.
    pub fn extend(&mut self, found: Self) {
        self.0.extend(found.0);
    }

    /// Takes over the problems of a part, whose paths are below `prefix`.
    pub fn extend_below(&mut self, prefix: &str, part: Self) {
        for problem in part.0 {
            self.at(format!("{prefix}.{}", problem.path), problem.message);
        }
    }

    /// Tells whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the problems in the order they were found.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// Gives `value` when nothing is wrong.
    ///
    /// # Errors
    ///
    /// The problems, when there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", problem.path, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_shown_with_its_path() {
        let mut part = Problems::one("temperature", "must be at most 2");
        part.at("topP", "must be above 0");
        let mut problems = Problems::new();
        problems.extend_below("parameters", part);
        assert_eq!(
            problems.to_string(),
            "parameters.temperature: must be at most 2; parameters.topP: must be above 0"
        );
    }
}
