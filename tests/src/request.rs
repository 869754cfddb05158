//! Small requests to the scripted provider.

use workflow_types::proto::{Content, GenerationParameters, LlmBatchInput, LlmPipelineInput, content};

use crate::Rig;

/// The model that the scripted provider serves.
pub const MODEL: &str = "chaos/echo";
/// Another one of the same service.
pub const SPARE: &str = "chaos/spare";
/// One of a service that speaks the Anthropic protocol.
pub const CLAUDE: &str = "claude/echo";

/// Gives a small request to the scripted provider, with a text that holds these words.
pub fn prompt(words: &str) -> LlmPipelineInput {
    LlmPipelineInput {
        instruction: Some("Say what it is about.".to_owned()),
        model: Some(MODEL.to_owned()),
        content: Some(Content {
            source: Some(content::Source::Text(text(words))),
        }),
        parameters: Some(GenerationParameters {
            max_output_tokens: Some(64),
            ..GenerationParameters::default()
        }),
        ..LlmPipelineInput::default()
    }
}

/// Gives a batch of so many small requests, no two alike: `<NAME-0>`, `<NAME-1>` and so on.
///
/// # Errors
///
/// That its file can't be written.
pub fn batch(rig: &Rig, name: &str, items: usize) -> anyhow::Result<LlmBatchInput> {
    let line = |number| {
        let id = format!("{name}-{number}");
        format!("{{\"id\": \"{id}\", \"text\": \"{}\"}}\n", text(&id))
    };
    let lines: String = (0..items).map(line).collect();
    Ok(LlmBatchInput {
        items: Some(rig.file(&format!("{name}.jsonl"), &lines)?),
        defaults: Some(LlmPipelineInput {
            content: None,
            ..prompt("")
        }),
        ..LlmBatchInput::default()
    })
}

fn text(words: &str) -> String {
    format!("The text is called <{words}>.")
}
