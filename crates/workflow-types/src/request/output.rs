//! The form of an answer.

use crate::{
    json,
    problem::Problems,
    proto::{self, OutputSpec, output_spec},
};

/// The largest JSON Schema that is taken, in bytes.
pub const SCHEMA_LIMIT_BYTES: usize = 64 * 1024;

/// What form the answer has and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Text or JSON.
    pub format: Format,
    /// Whether the answer goes to the blob store whatever its size.
    pub store: bool,
}

/// Text or JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Trimmed text.
    Text,
    /// JSON that matches a schema.
    Json(JsonFormat),
}

/// JSON that matches a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonFormat {
    /// The schema.
    pub schema: serde_json::Value,
    /// How often a mismatch may be sent back: 0 or 1.
    pub max_repairs: u32,
}

impl Output {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path. Whether the schema itself is valid is found by the activity that
    /// uses it, because compiling schemas is no work for workflow code.
    pub fn parse(input: OutputSpec) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let format = match input.format {
            None | Some(output_spec::Format::Text(_)) => Format::Text,
            Some(output_spec::Format::Json(form)) => parse_json_format(&form, &mut problems),
        };
        problems.or(Self {
            format,
            store: input.store.unwrap_or(false),
        })
    }

    /// Gives how often a mismatch may be sent back.
    pub fn max_repairs(&self) -> u32 {
        match &self.format {
            Format::Text => 0,
            Format::Json(form) => form.max_repairs,
        }
    }
}

fn parse_json_format(form: &proto::JsonFormat, problems: &mut Problems) -> Format {
    let schema = form.schema.as_ref().map(json::from_struct);
    match &schema {
        None => problems.at("json.schema", "is missing; write a JSON Schema as an object"),
        Some(schema) if schema.to_string().len() > SCHEMA_LIMIT_BYTES => {
            problems.at(
                "json.schema",
                format!("is larger than {SCHEMA_LIMIT_BYTES} bytes"),
            );
        }
        Some(_) => {}
    }
    let max_repairs = form.max_repairs.unwrap_or(1);
    if !(0..=1).contains(&max_repairs) {
        problems.at("json.maxRepairs", "must be 0 or 1");
    }
    Format::Json(JsonFormat {
        schema: schema.unwrap_or_default(),
        max_repairs: max_repairs.unsigned_abs(),
    })
}

impl From<Output> for OutputSpec {
    fn from(output: Output) -> Self {
        let format = match output.format {
            Format::Text => output_spec::Format::Text(proto::TextFormat {}),
            Format::Json(form) => output_spec::Format::Json(proto::JsonFormat {
                schema: form.schema.as_object().map(json::to_struct),
                max_repairs: i32::try_from(form.max_repairs).ok(),
            }),
        };
        Self {
            format: Some(format),
            store: Some(output.store),
        }
    }
}
