//! Which models are tried, and what lets the next one be tried.

use std::time::Duration;

use crate::{
    failure::FailureCode,
    problem::Problems,
    request::{ModelRef, collect},
};

/// The most models that may follow the first.
pub const MOST_FALLBACKS: usize = 3;

const DEFAULT_PATIENCE_SECONDS: i32 = 60;
const LONGEST_PATIENCE_SECONDS: i32 = 3_600;

/// Failures that may let the next model be tried although they don't by default.
const ON_REQUEST: [FailureCode; 2] = [FailureCode::Auth, FailureCode::ContentFilter];

/// Which models follow when one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The models, in order.
    pub models: Vec<ModelRef>,
    /// Failures that let the next one be tried.
    pub on: Vec<FailureCode>,
    /// How long one that has a next is tried, waits included.
    pub patience: Duration,
}

impl Fallback {
    /// Parses what a caller sent, given the first model.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(
        first: Option<&ModelRef>,
        models: &[String],
        on: &[String],
        patience_seconds: Option<i32>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        if models.len() > MOST_FALLBACKS {
            problems.at("fallbackModels", format!("at most {MOST_FALLBACKS} are taken"));
        }
        let mut parsed: Vec<ModelRef> = Vec::new();
        for (position, text) in models.iter().enumerate() {
            let path = format!("fallbackModels[{position}]");
            let Some(model) = collect(&path, ModelRef::parse(text), &mut problems) else {
                continue;
            };
            if first == Some(&model) || parsed.contains(&model) {
                problems.at(path, "is in the list twice");
            }
            parsed.push(model);
        }
        let codes = parse_codes(on, &mut problems);
        let seconds = patience_seconds.unwrap_or(DEFAULT_PATIENCE_SECONDS);
        if !(0..=LONGEST_PATIENCE_SECONDS).contains(&seconds) {
            problems.at(
                "fallbackPatienceSeconds",
                format!("must be 0 to {LONGEST_PATIENCE_SECONDS}"),
            );
        }
        problems.or(Self {
            models: parsed,
            on: codes,
            patience: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        })
    }
}

fn parse_codes(on: &[String], problems: &mut Problems) -> Vec<FailureCode> {
    if on.is_empty() {
        return FailureCode::ALL
            .into_iter()
            .filter(|code| code.row().fallback)
            .collect();
    }
    let allowed = |code: &FailureCode| code.row().fallback || ON_REQUEST.contains(code);
    let names = || {
        let names: Vec<_> = FailureCode::ALL
            .into_iter()
            .filter(allowed)
            .map(FailureCode::as_str)
            .collect();
        names.join(", ")
    };
    let mut codes = Vec::new();
    for (position, text) in on.iter().enumerate() {
        match text.parse::<FailureCode>().ok().filter(allowed) {
            Some(code) => codes.push(code),
            None => problems.at(
                format!("fallbackOn[{position}]"),
                format!("must be one of {}", names()),
            ),
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(models: &[&str], on: &[&str]) -> Result<Fallback, Vec<String>> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let first = ModelRef::parse("a/first").unwrap();
        Fallback::parse(Some(&first), &owned(models), &owned(on), None).map_err(|problems| {
            problems
                .into_vec()
                .into_iter()
                .map(|problem| problem.path)
                .collect()
        })
    }

    #[test]
    fn without_a_word_what_another_model_can_mend_goes_to_the_next() {
        let fallback = parse(&["b/second"], &[]).unwrap();
        assert!(fallback.on.contains(&FailureCode::Overloaded));
        for code in [
            FailureCode::Auth,
            FailureCode::OutcomeUnknown,
            FailureCode::InvalidInput,
        ] {
            assert!(!fallback.on.contains(&code), "{code}");
        }
    }

    #[test]
    fn mistakes_are_named_by_their_place() {
        assert_eq!(
            parse(
                &["b/x", "nonsense", "a/first", "b/x"],
                &["Auth", "OutcomeUnknown"]
            ),
            Err(vec![
                "fallbackModels".into(),
                "fallbackModels[1].model".into(),
                "fallbackModels[2]".into(),
                "fallbackModels[3]".into(),
                "fallbackOn[1]".into(),
            ])
        );
    }
}
