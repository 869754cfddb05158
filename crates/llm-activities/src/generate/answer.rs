//! What came of a call: the answer trimmed, taken apart and checked, and where it goes.

use blob_store::{BlobStore, StagePrefix};
use documents::{
    json_answer::{self, Reason},
    schema::Schema,
};
use model_clients::provider::{Finish, GenerateResponse};
use workflow_types::{
    json,
    proto::{Outcome, Problem, generate_text_output::Answer},
    request::INLINE_LIMIT_BYTES,
};

use crate::error::Error;

/// An answer that was looked at.
pub(super) struct Checked {
    pub outcome: Outcome,
    /// The answer as text; of JSON the value alone.
    pub text: String,
    /// The value, when it is JSON in the form that was asked for.
    pub value: Option<serde_json::Value>,
    pub problems: Vec<Problem>,
}

/// Looks at an answer; JSON is asked for exactly when there is a schema.
pub(super) fn check(response: &GenerateResponse, schema: Option<&Schema>) -> Checked {
    let text = response.text.trim().to_owned();
    let outcome = match response.finish {
        Finish::Length => Outcome::Truncated,
        Finish::ContentFilter => Outcome::ContentFiltered,
        Finish::Stop | Finish::Other(_) => Outcome::Completed,
    };
    // A cut answer is never taken apart: half an object that happens to parse is not what the model meant to say.
    let (Outcome::Completed, Some(schema)) = (outcome, schema) else {
        return Checked {
            outcome,
            text,
            value: None,
            problems: Vec::new(),
        };
    };
    match json_answer::extract(&text) {
        json_answer::Answer::Extracted { value, .. } => held_against(schema, value, text),
        json_answer::Answer::NoJson(reason) => mismatch(text, no_json(reason)),
        json_answer::Answer::Truncated { .. } => mismatch(text, "the JSON is not closed"),
    }
}

fn held_against(schema: &Schema, value: serde_json::Value, given: String) -> Checked {
    let problems: Vec<Problem> = schema
        .check(&value)
        .into_iter()
        .map(|problem| Problem {
            path: problem.path,
            message: problem.message,
        })
        .collect();
    if problems.is_empty() {
        Checked {
            outcome: Outcome::Completed,
            text: value.to_string(),
            value: Some(value),
            problems,
        }
    } else {
        Checked {
            outcome: Outcome::SchemaMismatch,
            text: given,
            value: None,
            problems,
        }
    }
}

fn mismatch(text: String, message: &str) -> Checked {
    let problem = Problem {
        path: "$".to_owned(),
        message: message.to_owned(),
    };
    Checked {
        outcome: Outcome::SchemaMismatch,
        text,
        value: None,
        problems: vec![problem],
    }
}

fn no_json(reason: Reason) -> &'static str {
    match reason {
        Reason::Absent => "holds no JSON",
        Reason::Invalid { .. } => "holds something that is almost JSON",
        Reason::TooDeep { .. } => "the JSON is nested too deeply",
        Reason::TooLarge { .. } => "is too large to be looked at",
    }
}

/// Gives the answer inline, or stores it when it is large or that was asked for.
pub(super) async fn place(
    blobs: &BlobStore,
    stage: &StagePrefix,
    name: &str,
    store: bool,
    checked: &Checked,
) -> Result<Answer, Error> {
    if store || checked.text.len() > INLINE_LIMIT_BYTES {
        let media_type = if checked.value.is_some() {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        return Ok(Answer::Blob(
            blobs
                .put(&stage.path(name)?, checked.text.as_bytes(), media_type)
                .await?,
        ));
    }
    Ok(match &checked.value {
        Some(value) => Answer::Json(json::to_value(value)),
        None => Answer::Text(checked.text.clone()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(text: &str, finish: Finish) -> GenerateResponse {
        GenerateResponse {
            text: text.into(),
            finish,
            usage: model_clients::provider::Usage::default(),
            usage_source: model_clients::UsageSource::Reported,
            served_model: "m".into(),
            response_id: None,
            request_id: None,
            limits: model_clients::LimitHeaders::default(),
            first_token_ms: 1,
            total_ms: 2,
        }
    }

    fn schema() -> Schema {
        Schema::compile(
            &json!({"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}),
        )
        .unwrap()
    }

    #[test]
    fn text_is_trimmed_and_the_end_decides_the_outcome() {
        let cases = [
            (Finish::Stop, Outcome::Completed),
            (Finish::Length, Outcome::Truncated),
            (Finish::ContentFilter, Outcome::ContentFiltered),
        ];
        for (finish, outcome) in cases {
            let checked = check(&response(" words\n", finish), None);
            assert_eq!((checked.outcome, checked.text.as_str()), (outcome, "words"));
        }
    }

    #[test]
    fn json_is_taken_out_and_held_against_the_schema() {
        let checked = check(
            &response("Sure!\n```json\n{\"title\": \"A\"}\n```", Finish::Stop),
            Some(&schema()),
        );
        assert_eq!(checked.outcome, Outcome::Completed);
        assert_eq!(checked.value, Some(json!({"title": "A"})));
        let checked = check(&response("{\"title\": 1}", Finish::Stop), Some(&schema()));
        assert_eq!(checked.outcome, Outcome::SchemaMismatch);
        assert_eq!(checked.problems[0].path, "/title");
        let checked = check(&response("no", Finish::Stop), Some(&schema()));
        assert_eq!(checked.outcome, Outcome::SchemaMismatch);
    }

    #[test]
    fn an_answer_that_was_cut_is_truncated_even_when_it_parses() {
        let checked = check(&response("{\"title\": \"A\"}", Finish::Length), Some(&schema()));
        assert_eq!(checked.outcome, Outcome::Truncated);
        assert!(checked.value.is_none());
    }
}
