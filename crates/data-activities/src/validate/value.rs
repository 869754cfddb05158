//! A JSON value, held against a schema.
//!
//! What does not match is an answer and no failure: whoever asks has the value from a person or a model and wants to tell
//! them what to mend. Only a schema that is none is the caller's mistake.

use documents::schema::{self, Schema};
use serde_json::Value;
use workflow_types::{problem::Problems, proto::Problem, request::ContentSource};

use crate::{
    Error, load,
    services::{Scope, Services},
};

/// Gives the content with its size and hash, and every rule that it breaks.
pub(super) async fn checked(
    services: &Services,
    content: ContentSource,
    schema: Option<Value>,
    scope: &Scope,
) -> Result<(ContentSource, Vec<Problem>), Error> {
    let schema = schema.ok_or_else(|| Problems::one("schema", "is missing"))?;
    let (bytes, content) = match content {
        ContentSource::Inline(text) => (text.clone().into(), ContentSource::Inline(text)),
        ContentSource::Blob(blob) => {
            let loaded = load::text(services, "content.blob", blob, scope).await?;
            (loaded.bytes, ContentSource::Blob(loaded.blob))
        }
    };
    let problems = services
        .pool
        .run(&scope.cancellation(), move |_| held(&bytes, &schema))
        .await?;
    let problems = problems
        .value
        .map_err(|error| Problems::one("schema", error.to_string()))?;
    Ok((content, problems))
}

fn held(bytes: &[u8], schema: &Value) -> Result<Vec<Problem>, schema::Error> {
    let schema = Schema::compile(schema)?;
    Ok(match serde_json::from_slice(bytes) {
        Ok(value) => schema
            .check(&value)
            .into_iter()
            .map(|problem| Problem {
                path: problem.path,
                message: problem.message,
            })
            .collect(),
        // The parser says where, and what it expected; it quotes nothing of a value that it has no type for.
        Err(error) => Problems::one("$", format!("is not JSON: {error}")).into_vec(),
    })
}
